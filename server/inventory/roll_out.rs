//! Which hosts run the network configuration that the inventory has for them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Database, Error, Inventory, Snapshot};
use crate::inventory::database::with_pool;
use crate::network::{ConfigState, Fingerprint, Format, render_host};

/// What a host runs, compared with the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// Whether it has every file as the inventory has it.
    pub state: ConfigState,
    /// The paths of those that it does not have, or has otherwise.
    pub differing: Vec<String>,
}

impl HostConfig {
    /// Compares the files that a host reported with the site.
    pub fn compare(snapshot: &Snapshot, host: &str, reported: Option<&Fingerprint>) -> Self {
        let unknown = Self { state: ConfigState::Unknown, differing: Vec::new() };
        let Some(reported) = reported else { return unknown };
        let files = render_host(&snapshot.site.for_the_host(), host, reported.format);
        let Ok(files) = files else { return unknown };
        let differing = reported.differing(&files);
        let is_current = differing.is_empty();
        let state = if is_current { ConfigState::Current } else { ConfigState::Outdated };
        Self { state, differing }
    }
}

/// The files that hosts are to have, as far as somebody asked for them. They change with the site.
#[derive(Debug, Default)]
pub(super) struct WantedFiles {
    snapshot: Option<Arc<Snapshot>>,
    hosts: HashMap<(String, Format), Option<Fingerprint>>,
}

impl WantedFiles {
    /// What each of these hosts runs, compared with the site.
    fn compare(
        &mut self,
        snapshot: &Arc<Snapshot>,
        reported: Vec<(String, Fingerprint)>,
    ) -> BTreeMap<String, ConfigState> {
        let is_same = |known: &Arc<Snapshot>| Arc::ptr_eq(known, snapshot);
        if !self.snapshot.as_ref().is_some_and(is_same) {
            *self = Self { snapshot: Some(snapshot.clone()), hosts: HashMap::new() };
        }
        let site = snapshot.site.for_the_host();
        let mut states = BTreeMap::new();
        for (name, has) in reported {
            let wanted = self.hosts.entry((name.clone(), has.format)).or_insert_with(|| {
                let files = render_host(&site, &name, has.format).ok()?;
                Some(Fingerprint::of_files(has.format, &files))
            });
            let state = match wanted {
                // What cannot be rendered is on no host: Checks says why.
                None => ConfigState::Unknown,
                Some(wanted) if has.has_all(wanted) => ConfigState::Current,
                Some(_) => ConfigState::Outdated,
            };
            states.insert(name, state);
        }
        states
    }
}

impl Inventory {
    /// What every host that has reported its files runs, by name; of the others it is unknown.
    ///
    /// # Errors
    /// If the database does not answer, or has what cannot be read.
    pub async fn config_states(&self) -> Result<BTreeMap<String, ConfigState>, Error> {
        let reported = self.database.list_fingerprints().await?;
        let snapshot = self.snapshot();
        let mut wanted = self.wanted_files.clone().lock_owned().await;
        // Away from the threads that answer packets: thousands of hosts are rendered.
        let work = tokio::task::spawn_blocking(move || wanted.compare(&snapshot, reported));
        Ok(work.await.expect("rendering does not panic and is not aborted"))
    }
}

impl Database {
    /// The files that hosts have reported, by the name of the host.
    async fn list_fingerprints(&self) -> Result<Vec<(String, Fingerprint)>, Error> {
        const LIST: &str =
            "SELECT host, configuration FROM reports WHERE configuration IS NOT NULL";
        let rows: Vec<(String, String)> =
            with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        let read = |(host, text): (String, String)| {
            let files = read_fingerprint(&host, &text)?;
            Ok((host, files))
        };
        rows.into_iter().map(read).collect()
    }
}

/// The stored files of a host.
pub(super) fn read_fingerprint(host: &str, text: &str) -> Result<Fingerprint, Error> {
    text.parse().map_err(|error| Error::unreadable("report of", host, error))
}
