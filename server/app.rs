//! What every service shares.

use std::sync::Arc;

use crate::config::Config;
use crate::files::FileStore;
use crate::inventory::Inventory;
use crate::leases::LeaseBook;

/// The shared parts of a running server. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The configuration as it was at the start.
    pub config: Arc<Config>,
    /// Site, events and database.
    pub inventory: Inventory,
    /// Who holds which address.
    pub leases: LeaseBook,
    /// Kernels, initrds and network boot programs.
    pub files: FileStore,
}
