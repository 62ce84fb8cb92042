//! A change that is reviewed before it is saved, by a dry run.

use crate::inventory::{Change, ChangeError, Committed};
use crate::lifecycle::audit::Author;
use crate::model::{Difference, Site};
use crate::network::Consequences;

use super::error::Error;
use super::state::Ui;

/// A proposed change.
pub(crate) struct Proposal<'a> {
    /// The user.
    pub author: Author<'a>,
    /// Summary for the list of revisions.
    pub summary: &'a str,
    /// The revision that the user has seen.
    pub base: i64,
    /// Whether to save the change or only review it.
    pub save: bool,
}

/// How far a change goes: the revision that the user has seen, and whether it is saved.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub base: i64,
    pub save: bool,
}

impl Step {
    /// The change is only shown.
    pub(crate) fn review(base: i64) -> Self {
        Self { base, save: false }
    }

    /// The change is saved.
    pub(crate) fn save(base: i64) -> Self {
        Self { base, save: true }
    }
}

/// The result of a proposal.
pub(crate) enum ProposalResult {
    /// Saved, as this revision.
    Saved(i64),
    /// Valid, with its effects.
    Reviewed(Review),
    /// Refused, with the reasons.
    Refused(Vec<String>),
}

/// The effects of a change.
pub(crate) struct Review {
    /// On the inventory.
    pub differences: Vec<Difference>,
    /// On the generated files.
    pub consequences: Consequences,
    /// New warnings.
    pub warnings: Vec<String>,
}

/// Saves or reviews a change.
pub(crate) async fn propose(
    ui: &Ui,
    proposal: Proposal<'_>,
    edit: impl FnOnce(&mut Site) -> Result<(), ChangeError>,
) -> Result<ProposalResult, Error> {
    let Proposal { author: Author { who, origin }, summary, base, save } = proposal;
    let change = Change { who, origin, summary, base: Some(base), dry_run: !save, prune: false };
    result_of(ui.app.inventory.change_site(change, edit).await, save).await
}

/// What became of a change that is saved, or else a dry run.
pub(crate) async fn result_of(
    outcome: Result<Committed, ChangeError>,
    save: bool,
) -> Result<ProposalResult, Error> {
    match outcome {
        Ok(done) if save => Ok(ProposalResult::Saved(done.revision)),
        Ok(done) => Ok(ProposalResult::Reviewed(review(done).await)),
        Err(ChangeError::Inventory(error)) => Err(error.into()),
        Err(ChangeError::Refused(findings)) => {
            Ok(ProposalResult::Refused(findings.iter().map(ToString::to_string).collect()))
        }
        Err(error) => Ok(ProposalResult::Refused(vec![error.to_string()])),
    }
}

/// The result of a dry run.
pub(crate) async fn review(mut done: Committed) -> Review {
    let consequences = done.take_consequences().await;
    let warnings = done.warnings.iter().map(ToString::to_string).collect();
    Review { differences: done.differences, consequences, warnings }
}
