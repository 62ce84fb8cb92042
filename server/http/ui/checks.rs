//! The findings of all rules, with a button for each available fix.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::confirm::{Confirmation, Crumb, is_confirmed, reviewed_revision};
use super::error::Error;
use super::form::CheckedForm;
use super::overview::Messages;
use super::page::{Frame, Page};
use super::proposal::{Proposal, ProposalResult, propose};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::Snapshot;
use crate::model::Site;
use crate::network::{Finding, Severity, check_site_within};
use crate::site_file::set_values;

/// The most findings listed of a rule: one that finds the same on every host must not hide the others.
const SHOWN: usize = 20;
/// The most findings listed of a severity.
const ALL_SHOWN: usize = 500;

/// The findings of one severity.
struct Group {
    title: &'static str,
    class: &'static str,
    rules: Vec<RuleGroup>,
}

/// The findings of one rule.
struct RuleGroup {
    rule: &'static str,
    shown: Vec<Finding>,
    more: usize,
}

impl Group {
    /// Rules that find little come first: what is everywhere is known by then.
    fn new(
        findings: &[Finding],
        severity: Severity,
        title: &'static str,
        class: &'static str,
    ) -> Self {
        let mut of_rule: BTreeMap<&'static str, Vec<&Finding>> = BTreeMap::new();
        for finding in findings.iter().filter(|one| one.severity == severity) {
            of_rule.entry(finding.rule).or_default().push(finding);
        }
        let mut all: Vec<_> = of_rule.into_iter().collect();
        all.sort_by_key(|(_, findings)| findings.len());
        let mut left = ALL_SHOWN;
        let rules = all.into_iter().map(|(rule, findings)| {
            let shown = findings.len().min(SHOWN).min(left);
            left -= shown;
            let more = findings.len() - shown;
            let shown = findings.into_iter().take(shown).cloned().collect();
            RuleGroup { rule, shown, more }
        });
        Self { title, class, rules: rules.collect() }
    }
}

#[derive(Template)]
#[template(path = "checks.html")]
struct ChecksPage {
    frame: Frame,
    groups: Vec<Group>,
}

/// `GET /checks`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let findings = check(&ui, snapshot).await?;
    let group = |severity, title, class| Group::new(&findings, severity, title, class);
    let groups = [
        group(Severity::Error, "Errors: these hosts get no files", "trouble-box"),
        group(Severity::Warning, "Warnings", "advice"),
        group(Severity::Silenced, "Silenced by allow", "card"),
    ];
    let groups = groups.into_iter().filter(|group| !group.rules.is_empty()).collect();
    Ok(Page(ChecksPage { frame: operator.frame("checks").await?, groups }))
}

/// All findings, computed on a blocking thread so that packets do not wait.
async fn check(ui: &Ui, snapshot: Arc<Snapshot>) -> Result<Vec<Finding>, Error> {
    let around = ui.app.inventory.surroundings();
    let work = tokio::task::spawn_blocking(move || check_site_within(&snapshot.site, &around));
    work.await.map_err(|error| Error::Internal(error.to_string()))
}

/// `POST /checks/fix`: shows what the fix of a finding would change, or applies what was shown, if it
/// is still the same.
pub(crate) async fn fix(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let (rule, path, fix) =
        (sent.fields.text("rule"), sent.fields.text("path"), sent.fields.text("fix"));
    let findings = check(&ui, ui.app.inventory.snapshot()).await?;
    let is_meant = |found: &&Finding| found.rule == rule && found.path() == path;
    let Some(found) = findings
        .iter()
        .filter(is_meant)
        .find(|found| found.fix.as_ref().is_some_and(|own| own.to_string() == fix))
    else {
        return Err(Error::Conflict(
            "this finding is already fixed or has changed; reload the page".into(),
        ));
    };
    let edits = found.fix.iter().flat_map(|meant| &meant.edits);
    let edits: Vec<_> = edits.map(|edit| (edit.at.path(), edit.value.clone())).collect();
    let summary = format!("fixed {rule}: {fix}");
    let propose = async |base: i64, save: bool| {
        let edit = |site: &mut Site| {
            *site = set_values(Some(&*site), &edits)?;
            Ok(())
        };
        propose(
            &ui,
            Proposal { operator: &sent.operator, summary: &summary, base: Some(base), save },
            edit,
        )
        .await
    };
    let mut form_errors = Messages::default();
    if let Some(base) = reviewed_revision(&sent).filter(|_| is_confirmed(&sent)) {
        match propose(base, true).await? {
            ProposalResult::Saved(saved) => {
                let said = format!("Fixed in revision {}: {fix}.", saved.revision);
                sent.operator.notify(said).await?;
                return Ok(Redirect::to("/checks").into_response());
            }
            ProposalResult::Refused(error) => form_errors = Messages::of_refusal(&error),
            ProposalResult::Reviewed(_) => {}
        }
    }
    let base = ui.app.inventory.snapshot().revision;
    let mut question = Confirmation {
        section: "checks",
        crumbs: vec![Crumb::new("/checks", "Checks")],
        question: format!("Fix {rule}?"),
        explanation: format!("{} The fix: {fix}. It can be reverted later.", found.text),
        action: "Fix",
        cancel: "/checks".to_owned(),
        hidden: vec![
            ("base", base.to_string()),
            ("rule", rule.to_owned()),
            ("path", path.to_owned()),
            ("fix", fix.to_owned()),
        ],
        form_errors,
        ..Confirmation::default()
    };
    question.add(propose(base, false).await?);
    question.page(&sent.operator).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Host, Location};

    #[test]
    fn a_rule_that_finds_much_hides_no_other() {
        let finding = |rule: &'static str, number: usize| Finding {
            rule,
            severity: Severity::Warning,
            at: Location::of::<Host>(&format!("n{number}")),
            also: Vec::new(),
            link: None,
            text: String::new(),
            fix: None,
        };
        let many = (0..498).map(|number| finding("N172", number));
        let all: Vec<Finding> = many.chain([finding("N216", 1), finding("N184", 2)]).collect();
        let group = Group::new(&all, Severity::Warning, "Warnings", "advice");
        let rules: Vec<_> =
            group.rules.iter().map(|one| (one.rule, one.shown.len(), one.more)).collect();
        assert_eq!(rules, [("N184", 1, 0), ("N216", 1, 0), ("N172", 20, 478)]);
        // However many rules there are, the page stays short.
        let names: Vec<&'static str> =
            (0..100).map(|number| &*format!("N{number}").leak()).collect();
        let all = names.iter().flat_map(|rule| (0..20).map(|number| finding(rule, number)));
        let group = Group::new(&all.collect::<Vec<_>>(), Severity::Warning, "", "");
        let shown: usize = group.rules.iter().map(|one| one.shown.len()).sum();
        assert_eq!((shown, group.rules.len()), (ALL_SHOWN, 100));
        assert!(Group::new(&[], Severity::Error, "", "").rules.is_empty());
    }
}
