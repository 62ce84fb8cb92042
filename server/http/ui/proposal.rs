//! A change that is shown before it is made: tried in full, told in full, and saved only
//! as it was told.

use crate::inventory::{Change, ChangeError, Committed};
use crate::model::{Difference, Site};
use crate::network::Consequences;

use super::error::Error;
use super::state::Ui;

/// Who proposes what, having seen which revision.
pub struct Proposal<'a> {
    /// The user.
    pub who: &'a str,
    /// What is done, in a few words.
    pub summary: &'a str,
    /// The revision that the user saw.
    pub base: i64,
    /// Whether to make the change; if not, it is only told.
    pub save: bool,
}

/// What became of a proposal.
pub enum Outcome {
    /// It is made: the new revision.
    Saved(i64),
    /// It can be made.
    Told(Review),
    /// It cannot be made, and why.
    Refused(Vec<String>),
}

/// What a change would do.
pub struct Review {
    /// In the inventory.
    pub differences: Vec<Difference>,
    /// In the generated files.
    pub consequences: Consequences,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}

/// Makes a change, or finds out what it would do.
pub async fn propose(
    ui: &Ui,
    proposal: Proposal<'_>,
    edit: impl FnOnce(&mut Site) -> Result<(), ChangeError>,
) -> Result<Outcome, Error> {
    let Proposal { who, summary, base, save } = proposal;
    let change = Change { who, summary, base: Some(base), dry_run: !save };
    let outcome = ui.app.inventory.change_site(change, edit);
    match outcome.await {
        Ok(done) if save => Ok(Outcome::Saved(done.revision)),
        Ok(done) => Ok(Outcome::Told(review(done).await)),
        Err(ChangeError::Inventory(error)) => Err(error.into()),
        Err(ChangeError::Refused(findings)) => {
            Ok(Outcome::Refused(findings.iter().map(ToString::to_string).collect()))
        }
        Err(error) => Ok(Outcome::Refused(vec![error.to_string()])),
    }
}

/// What a dry run found.
pub async fn review(mut done: Committed) -> Review {
    let consequences = done.take_consequences().await;
    let warnings = done.warnings.iter().map(ToString::to_string).collect();
    Review { differences: done.differences, consequences, warnings }
}
