//! A change that is reviewed before it is saved, by a dry run.

use super::error::Error;
use super::overview::{Messages, Overview, Places, counted};
use super::session::{Notice, Operator};
use super::state::Ui;
use crate::inventory::{Change, ChangeError, Committed};
use crate::model::Site;

/// A proposed change.
pub(crate) struct Proposal<'a> {
    /// The user.
    pub operator: &'a Operator,
    /// Summary for the list of revisions.
    pub summary: &'a str,
    /// The revision that the user has seen; none where the edit itself compares what it touches.
    pub base: Option<i64>,
    /// Whether to save the change or only review it.
    pub save: bool,
}

/// How far a change goes: the revision that the user has seen, and whether it is saved.
#[derive(Clone, Copy)]
pub(crate) struct EditStep {
    pub base: i64,
    pub save: bool,
}

impl EditStep {
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
    /// Saved.
    Saved(SavedChange),
    /// Valid, with its effects.
    Reviewed(ChangePreview),
    /// Refused, and why.
    Refused(ChangeError),
}

/// A change that was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SavedChange {
    /// The revision that it made.
    pub revision: i64,
    /// How many warnings are new since.
    warnings: usize,
}

impl SavedChange {
    pub(crate) fn of(done: &Committed) -> Self {
        Self { revision: done.revision, warnings: done.warnings.len() }
    }

    /// [`said`](Self::said), with a link to what changed.
    pub(crate) fn notice(self) -> Notice {
        Notice { text: self.said(), revision: Some(self.revision) }
    }

    /// What the next page says of it: who did not review it has not seen the warnings.
    pub(crate) fn said(self) -> String {
        let saved = format!("Saved as revision {}.", self.revision);
        match self.warnings {
            0 => saved,
            some => {
                format!("{saved} {}: see Checks.", counted(some, "new warning", "new warnings"))
            }
        }
    }
}

/// The effects of a change.
pub(crate) struct ChangePreview {
    /// On the inventory and on the generated files.
    pub overview: Overview,
    /// New warnings.
    pub warnings: Messages,
}

impl ChangePreview {
    /// Whether nothing would change.
    pub(crate) fn is_empty(&self) -> bool {
        self.overview.entries.is_empty()
    }
}

/// Saves or reviews a change.
pub(crate) async fn propose(
    ui: &Ui,
    proposal: Proposal<'_>,
    edit: impl FnOnce(&mut Site) -> Result<(), ChangeError>,
) -> Result<ProposalResult, Error> {
    let Proposal { operator, summary, base, save } = proposal;
    let change = Change { base, dry_run: !save, ..operator.change(summary) };
    result_of(ui.app.inventory.change_site(change, edit).await, save).await
}

/// What became of a change that is saved, or else a dry run.
pub(crate) async fn result_of(
    outcome: Result<Committed, ChangeError>,
    save: bool,
) -> Result<ProposalResult, Error> {
    match outcome {
        Ok(done) if save => Ok(ProposalResult::Saved(SavedChange::of(&done))),
        Ok(done) => Ok(ProposalResult::Reviewed(review(done).await)),
        Err(ChangeError::Inventory(error)) => Err(error.into()),
        Err(error) => Ok(ProposalResult::Refused(error)),
    }
}

/// The result of a dry run.
pub(crate) async fn review(mut done: Committed) -> ChangePreview {
    let places = done.tried.as_deref().map(Places::of_tried).unwrap_or_default();
    let consequences = done.take_consequences().await;
    let warnings = Messages::of_findings(&done.warnings);
    let overview = Overview::new(&done.differences, consequences, &places);
    ChangePreview { overview, warnings }
}
