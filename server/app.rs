//! State that all services share.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Config;
use crate::files::FileStore;
use crate::inventory::Inventory;
use crate::leases::LeaseBook;

/// The state of a running server that all services share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The configuration, which a reload replaces.
    pub config: LiveConfig,
    /// The site, its events and the database.
    pub inventory: Inventory,
    /// DHCP leases.
    pub leases: LeaseBook,
    /// Kernels, initrds and boot programs.
    pub files: FileStore,
}

/// The configuration of a running server. Whoever needs a key asks for the configuration of that
/// moment; clones see the same one.
#[derive(Clone)]
pub struct LiveConfig(Arc<ArcSwap<Config>>);

impl LiveConfig {
    /// The configuration of this moment.
    pub fn now(&self) -> Arc<Config> {
        self.0.load_full()
    }

    /// Replaces it for all services.
    pub(crate) fn replace(&self, config: Config) {
        self.0.store(Arc::new(config));
    }
}

impl From<Config> for LiveConfig {
    fn from(config: Config) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }
}

impl fmt::Debug for LiveConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now().fmt(f)
    }
}
