//! The whole site in memory, with the indexes that answering a packet needs.

use std::collections::HashMap;

use crate::inventory::Database;
use crate::model::{Host, Mac, Site};

/// The site at one revision.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The number of the last revision in it; 0 for an empty inventory.
    pub revision: i64,
    /// Everything the operators declared.
    pub site: Site,
    by_mac: HashMap<Mac, String>,
}

impl Snapshot {
    /// Makes the indexes for a site.
    pub fn new(revision: i64, site: Site) -> Self {
        let by_mac = site.mac_index();
        Self { revision, site, by_mac }
    }

    /// Reads the whole site.
    pub async fn load(_database: &Database) -> Result<Self, sqlx::Error> {
        Ok(Self::new(0, Site::default()))
    }

    /// The host that has this MAC, with its name.
    pub fn host_of_mac(&self, mac: Mac) -> Option<(&str, &Host)> {
        let name = self.by_mac.get(&mac)?;
        self.site.hosts.get_key_value(name).map(|(name, host)| (name.as_str(), host))
    }
}
