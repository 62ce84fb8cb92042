//! Revisions: every change of the inventory, with its difference.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};

use super::clock::Moment;
use super::error::Error;
use super::form::CheckedForm;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{Change, ChangeError, Revision};
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

/// `POST /revisions/{id}/revert`: takes one change back, as a new revision.
pub(crate) async fn take_back(
    State(ui): State<Ui>,
    Path(id): Path<String>,
    sent: CheckedForm,
) -> Result<Redirect, Error> {
    let revision = find(&ui, id).await?;
    let summary = format!("reverted revision {}: {}", revision.id, revision.summary);
    let change = Change {
        who: &sent.operator.name,
        origin: sent.operator.origin,
        summary: &summary,
        // The page shows what it deletes beside the button.
        prune: true,
        ..Change::default()
    };
    let outcome = ui.app.inventory.revert(change, revision.id);
    match outcome.await {
        Ok(done) => {
            let said = if done.differences.is_empty() {
                "No changes.".to_owned()
            } else {
                format!("Reverted revision {} in revision {}.", revision.id, done.revision)
            };
            sent.operator.notify(said).await?;
            Ok(Redirect::to(&format!("/revisions/{}", done.revision)))
        }
        Err(ChangeError::Inventory(error)) => Err(error.into()),
        Err(error) => Err(Error::Conflict(error.to_string())),
    }
}
