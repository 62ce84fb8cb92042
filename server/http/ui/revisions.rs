//! Revisions: every change of the inventory, with its difference.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::clock::Moment;
use super::confirm::{Confirmation, Crumb, is_confirmed, reviewed_revision};
use super::error::Error;
use super::form::CheckedForm;
use super::page::{Frame, Page};
use super::proposal::{ProposalResult, Step, result_of};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{Change, Revision};
use crate::model::{Difference, DifferenceKind};
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
    let revisions = ui.app.inventory.database.list_revisions(SHOWN).await?;
    let rows = revisions.iter().map(|revision| row(&ui, revision)).collect();
    Ok(Page(RevisionsPage { frame: operator.frame("revisions").await?, rows }))
}

#[derive(Template)]
#[template(path = "revision.html")]
struct RevisionPage {
    frame: Frame,
    row: Row,
    differences: Vec<Difference>,
    /// What it did to the generated files, if that can be said still.
    consequences: Option<Consequences>,
    lines: Vec<Line>,
}

/// `GET /revisions/{id}`
pub(crate) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let revision = find(&ui, id).await?;
    let consequences = ui.app.inventory.find_consequences(revision.id).await?;
    Ok(Page(RevisionPage {
        frame: operator.frame("revisions").await?,
        row: row(&ui, &revision),
        differences: revision.differences()?,
        consequences,
        lines: lines(&revision.before, &revision.after, 3),
    }))
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
    ask(&ui, &operator, &revision, Vec::new()).await
}

/// `POST /revisions/{id}/revert`: takes one change back, as a new revision.
pub(crate) async fn take_back(
    State(ui): State<Ui>,
    Path(id): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let revision = find(&ui, id).await?;
    let base = reviewed_revision(&sent).filter(|_| is_confirmed(&sent));
    let Some(base) = base else { return ask(&ui, &sent.operator, &revision, Vec::new()).await };
    match revert(&ui, &sent.operator, &revision, Step::save(base)).await? {
        ProposalResult::Saved(saved) => {
            let said = format!("Reverted revision {} in revision {saved}.", revision.id);
            sent.operator.notify(said).await?;
            Ok(Redirect::to(&format!("/revisions/{saved}")).into_response())
        }
        ProposalResult::Refused(form_errors) => {
            ask(&ui, &sent.operator, &revision, form_errors).await
        }
        ProposalResult::Reviewed(_) => Err(Error::Internal("a revert was only reviewed".into())),
    }
}

async fn revert(
    ui: &Ui,
    operator: &Operator,
    revision: &Revision,
    Step { base, save }: Step,
) -> Result<ProposalResult, Error> {
    let summary = format!("reverted revision {}: {}", revision.id, revision.summary);
    let change = Change {
        who: &operator.name,
        origin: operator.origin,
        summary: &summary,
        base: Some(base),
        dry_run: !save,
        // The page shows what it deletes above the button.
        prune: true,
    };
    result_of(ui.app.inventory.revert(change, revision.id).await, save).await
}

/// Shows what a revert would change, and why the one before was refused.
async fn ask(
    ui: &Ui,
    operator: &Operator,
    revision: &Revision,
    form_errors: Vec<String>,
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
    question.add(revert(ui, operator, revision, Step::review(base)).await?);
    question.page(operator).await
}
