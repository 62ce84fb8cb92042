//! State that all services share.

use std::sync::Arc;

use crate::config::Config;
use crate::files::FileStore;
use crate::inventory::Inventory;
use crate::leases::LeaseBook;

/// The state of a running server that all services share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The configuration at startup; a change needs a restart.
    pub config: Arc<Config>,
    /// The site, its events and the database.
    pub inventory: Inventory,
    /// DHCP leases.
    pub leases: LeaseBook,
    /// Kernels, initrds and boot programs.
    pub files: FileStore,
}
