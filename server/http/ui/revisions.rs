//! Revisions: every change of the inventory, with its difference.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::clock::Moment;
use super::difference::{Line, lines};
use super::error::Error;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::Revision;
use crate::model::{Difference, DifferenceKind};

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
pub async fn list(State(ui): State<Ui>, operator: Operator) -> Result<impl IntoResponse, Error> {
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
    lines: Vec<Line>,
}

/// `GET /revisions/{id}`
pub async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let found = match id.parse() {
        Ok(number) => ui.app.inventory.database.find_revision(number).await?,
        Err(_) => None,
    };
    let Some(revision) = found else {
        return Err(Error::NotFound { what: "revision", name: id });
    };
    Ok(Page(RevisionPage {
        frame: operator.frame("revisions").await?,
        row: row(&ui, &revision),
        differences: revision.differences()?,
        lines: lines(&revision.before, &revision.after),
    }))
}
