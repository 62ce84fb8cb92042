//! Revisions: every change of the inventory, with its difference.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::clock::Moment;
use super::confirm::{Confirmation, Crumb, is_confirmed, reviewed_revision};
use super::error::Error;
use super::form::CheckedForm;
use super::overview::{Messages, Overview, Places};
use super::page::{Frame, Page};
use super::proposal::{EditStep, ProposalResult, result_of};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{self, Change, Revision};
use crate::network::{Consequences, Line, lines};

/// How many revisions are listed.
const SHOWN: u32 = 500;

struct Row {
    id: i64,
    at: Moment,
    who: String,
    summary: String,
}

fn row(ui: &Ui, revision: &Revision) -> Row {
    Row {
        id: revision.id,
        at: ui.moment(revision.at.saturating_mul(1000)),
        who: revision.who.clone(),
        summary: revision.summary.clone(),
    }
}

#[derive(Template)]
#[template(path = "revisions.html")]
struct RevisionsPage {
    frame: Frame,
    rows: Vec<Row>,
}

/// `GET /revisions`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let revisions = ui.app.inventory.database.list_revision_heads(SHOWN).await?;
    let rows = revisions.iter().map(|revision| row(&ui, revision)).collect();
    Ok(Page(RevisionsPage { frame: operator.frame("revisions").await?, rows }))
}

/// What the page of a revision shows, for as long as the page of another is not opened.
pub(crate) struct ShownRevision {
    id: i64,
    overview: Overview,
    /// Whether it can be said still what it did to the generated files.
    has_files: bool,
}

#[derive(Template)]
#[template(path = "revision.html")]
struct RevisionPage {
    frame: Frame,
    row: Row,
    shown: Arc<ShownRevision>,
}

/// `GET /revisions/{id}`
pub(crate) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let revision = find(&ui, id).await?;
    let frame = operator.frame("revisions").await?;
    let row = row(&ui, &revision);
    let shown = ui.revision.load_full().filter(|shown| shown.id == revision.id);
    let shown = match shown {
        Some(shown) => shown,
        None => {
            let shown = Arc::new(sum_up(&ui, revision).await?);
            // What cannot be found out now may be found once later changes are taken back.
            if shown.has_files {
                ui.revision.store(Some(shown.clone()));
            }
            shown
        }
    };
    Ok(Page(RevisionPage { frame, row, shown }))
}

async fn sum_up(ui: &Ui, revision: Revision) -> Result<ShownRevision, Error> {
    let id = revision.id;
    let consequences = ui.app.inventory.find_consequences(id).await?;
    let snapshot = ui.app.inventory.snapshot();
    let work = move || -> Result<ShownRevision, inventory::Error> {
        let has_files = consequences.is_some();
        let places = Places::of(&snapshot.site);
        let differences = revision.differences()?;
        let overview = Overview::new(&differences, consequences.unwrap_or_default(), &places);
        Ok(ShownRevision { id, overview, has_files })
    };
    Ok(blocking(work).await??)
}

/// Runs work that takes long at thousands of hosts away from the threads that answer packets.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Internal(error.to_string()))
}

/// `GET /revisions/{id}/site.diff`: the whole difference of the site file.
pub(super) async fn site_diff(
    State(ui): State<Ui>,
    _: Operator,
    Path(id): Path<String>,
) -> Result<String, Error> {
    let revision = find(&ui, id).await?;
    blocking(move || joined(&lines(&revision.before, &revision.after, 3))).await
}

/// Whose files are wanted; everybody's where no host is named.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct FilesQuery {
    host: String,
}

/// `GET /revisions/{id}/files.diff`: the difference of the generated files.
pub(super) async fn files_diff(
    State(ui): State<Ui>,
    _: Operator,
    Path(id): Path<String>,
    UrlQuery(FilesQuery { host }): UrlQuery<FilesQuery>,
) -> Result<String, Error> {
    let revision = find(&ui, id).await?;
    let too_old = || Error::Conflict("the inventory has changed too much since then".to_owned());
    let found = if host.trim().is_empty() {
        ui.app.inventory.find_consequences(revision.id).await?
    } else {
        let groups = ui.app.inventory.find_host_consequences(revision.id, host.trim().to_owned());
        groups.await?.map(|hosts| Consequences { hosts, switches: Vec::new() })
    };
    let Consequences { hosts, switches } = found.ok_or_else(too_old)?;
    if hosts.is_empty() && switches.is_empty() {
        return Ok("no generated file changed\n".to_owned());
    }
    let hosts = hosts.iter().map(|group| (group.some_hosts(), &group.lines));
    let switches = switches.iter().map(|change| (change.some_switches(), &change.lines));
    let group = |(names, lines): (String, &Vec<Line>)| format!("{names}\n{}\n", joined(lines));
    Ok(hosts.chain(switches).map(group).collect())
}

fn joined(lines: &[Line]) -> String {
    lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect()
}

async fn find(ui: &Ui, id: String) -> Result<Revision, Error> {
    let found = match id.parse() {
        Ok(number) => ui.app.inventory.database.find_revision(number).await?,
        Err(_) => None,
    };
    found.ok_or(Error::NotFound { what: "revision", name: id })
}

/// `GET /revisions/{id}/revert`: what taking a change back would change.
pub(crate) async fn ask_revert(
    State(ui): State<Ui>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let revision = find(&ui, id).await?;
    ask(&ui, &operator, &revision, Messages::default()).await
}

/// `POST /revisions/{id}/revert`: takes one change back, as a new revision.
pub(crate) async fn take_back(
    State(ui): State<Ui>,
    Path(id): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let revision = find(&ui, id).await?;
    let base = reviewed_revision(&sent).filter(|_| is_confirmed(&sent));
    let Some(base) = base else {
        return ask(&ui, &sent.operator, &revision, Messages::default()).await;
    };
    match revert(&ui, &sent.operator, &revision, EditStep::save(base)).await? {
        ProposalResult::Saved(saved) => {
            let said = format!("Reverted revision {} in revision {}.", revision.id, saved.revision);
            sent.operator.notify(said).await?;
            Ok(Redirect::to(&format!("/revisions/{}", saved.revision)).into_response())
        }
        ProposalResult::Refused(error) => {
            ask(&ui, &sent.operator, &revision, Messages::of_refusal(&error)).await
        }
        ProposalResult::Reviewed(_) => Err(Error::Internal("a revert was only reviewed".into())),
    }
}

async fn revert(
    ui: &Ui,
    operator: &Operator,
    revision: &Revision,
    EditStep { base, save }: EditStep,
) -> Result<ProposalResult, Error> {
    let summary = format!("reverted revision {}: {}", revision.id, revision.summary);
    let change = Change {
        base: Some(base),
        dry_run: !save,
        // The page shows what it deletes above the button.
        prune: true,
        ..operator.change(&summary)
    };
    result_of(ui.app.inventory.revert(change, revision.id).await, save).await
}

/// Shows what a revert would change, and why the one before was refused.
async fn ask(
    ui: &Ui,
    operator: &Operator,
    revision: &Revision,
    form_errors: Messages,
) -> Result<Response, Error> {
    let base = ui.app.inventory.snapshot().revision;
    let page = format!("/revisions/{}", revision.id);
    let mut question = Confirmation {
        section: "revisions",
        crumbs: vec![
            Crumb::new("/revisions", "Revisions"),
            Crumb::new(page.clone(), format!("Revision {}", revision.id)),
        ],
        question: format!("Revert revision {}?", revision.id),
        explanation: format!(
            "This takes back what {} changed ({}), as a new revision that can be reverted in turn.",
            revision.who, revision.summary
        ),
        action: "Revert",
        cancel: page,
        hidden: vec![("base", base.to_string())],
        form_errors,
        ..Confirmation::default()
    };
    question.add(revert(ui, operator, revision, EditStep::review(base)).await?);
    question.page(operator).await
}
