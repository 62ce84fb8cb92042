//! The findings of all rules, with a button for each available fix.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};

use super::error::Error;
use super::form::CheckedForm;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{Change, ChangeError, Snapshot};
use crate::network::{Finding, Severity, check_site_within};
use crate::site_file::set_values;

/// The most findings listed per severity.
const SHOWN: usize = 500;

/// The findings of one severity.
struct Group {
    title: &'static str,
    class: &'static str,
    shown: Vec<Finding>,
    more: usize,
}

#[derive(Template)]
#[template(path = "checks.html")]
struct ChecksPage {
    frame: Frame,
    revision: i64,
    groups: Vec<Group>,
}

/// `GET /checks`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let revision = snapshot.revision;
    let findings = check(&ui, snapshot).await?;
    let group = |severity, title, class| {
        let own: Vec<&Finding> = findings.iter().filter(|one| one.severity == severity).collect();
        let shown = own.iter().take(SHOWN).map(|one| (*one).clone()).collect();
        Group { title, class, shown, more: own.len().saturating_sub(SHOWN) }
    };
    let groups = [
        group(Severity::Error, "Errors: these hosts get no files", "trouble-box"),
        group(Severity::Warning, "Warnings", "advice"),
        group(Severity::Silenced, "Silenced by allow", "card"),
    ];
    let groups = groups.into_iter().filter(|group| !group.shown.is_empty()).collect();
    Ok(Page(ChecksPage { frame: operator.frame("checks").await?, revision, groups }))
}

/// All findings, computed on a blocking thread so that packets do not wait.
async fn check(ui: &Ui, snapshot: Arc<Snapshot>) -> Result<Vec<Finding>, Error> {
    let around = ui.app.inventory.surroundings();
    let work = tokio::task::spawn_blocking(move || check_site_within(&snapshot.site, &around));
    work.await.map_err(|error| Error::Internal(error.to_string()))
}

/// `POST /checks/fix`: applies the fix that was shown, if it is still the same.
pub(crate) async fn fix(State(ui): State<Ui>, sent: CheckedForm) -> Result<Redirect, Error> {
    let (rule, path, fix) =
        (sent.fields.text("rule"), sent.fields.text("path"), sent.fields.text("fix"));
    let base = sent.fields.text("revision").parse().ok();
    let findings = check(&ui, ui.app.inventory.snapshot()).await?;
    let is_meant = |found: &&Finding| found.rule == rule && found.path() == path;
    let meant = findings.iter().filter(is_meant).filter_map(|found| found.fix.as_ref());
    let Some(meant) = meant.into_iter().find(|own| own.to_string() == fix) else {
        return Err(Error::Conflict(
            "this finding is already fixed or has changed; reload the page".into(),
        ));
    };
    let edits = meant.edits.iter().map(|edit| (edit.at.path(), edit.value.clone()));
    let edits: Vec<(String, String)> = edits.collect();
    let summary = format!("fixed {rule}: {fix}");
    let change = Change {
        who: &sent.operator.name,
        origin: sent.operator.origin,
        summary: &summary,
        base,
        ..Change::default()
    };
    let outcome = ui.app.inventory.change_site(change, |site| {
        *site = set_values(Some(&*site), &edits)?;
        Ok(())
    });
    match outcome.await {
        Ok(done) => {
            let said = format!("Fixed in revision {}: {fix}.", done.revision);
            sent.operator.notify(said).await?;
            Ok(Redirect::to("/checks"))
        }
        Err(ChangeError::Inventory(error)) => Err(error.into()),
        Err(error) => Err(Error::Conflict(error.to_string())),
    }
}
