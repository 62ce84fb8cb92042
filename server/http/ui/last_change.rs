//! Who changed an entry last.

use std::fmt;

use super::clock::Moment;
use super::error::Error;
use super::state::Ui;
use crate::inventory::Revision;
use crate::model::{Noun, NounKind, NounVisitor, Site};

/// How many revisions are looked at.
const LOOKED_AT: u32 = 50;

/// The last change of an entry, as far as it is among the latest revisions.
pub(crate) struct LastChange(Option<(Revision, Moment)>);

impl LastChange {
    /// Finds it.
    pub(crate) async fn find(ui: &Ui, kind: NounKind, name: &str) -> Result<Self, Error> {
        for revision in ui.app.inventory.database.list_revisions(LOOKED_AT).await? {
            // Reading the text of a site of thousands of hosts takes long.
            if !revision.before.contains(name) && !revision.after.contains(name) {
                continue;
            }
            let (before, after) = revision.sites()?;
            if has(&before, kind, name) || has(&after, kind, name) {
                let moment = ui.moment(revision.at.saturating_mul(1000));
                return Ok(Self(Some((revision, moment))));
            }
        }
        Ok(Self(None))
    }
}

impl fmt::Display for LastChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((Revision { id, who, .. }, at)) => {
                write!(f, "{who} at {}, revision {id}", at.text)
            }
            None => f.write_str("changed meanwhile"),
        }
    }
}

fn has(site: &Site, kind: NounKind, name: &str) -> bool {
    struct Has<'a> {
        site: &'a Site,
        name: &'a str,
        found: bool,
    }
    impl NounVisitor for Has<'_> {
        fn visit<T: Noun>(&mut self) {
            self.found = T::all(self.site).contains_key(self.name);
        }
    }
    let mut has = Has { site, name, found: false };
    kind.visit(&mut has);
    has.found
}
