//! The inventory: the one place that talks to the database.
//!
//! `Inventory` is what the services hold. Reads come from a snapshot in memory
//! that is replaced whole when a revision is made (by this process or another
//! one on the same database); writes go to the database first.

mod database;
mod events;
mod lease_book;
mod snapshot;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use database::{Database, OpenError};
pub use events::{EventBus, Live};
pub use lease_book::LeaseBook;
pub use snapshot::Snapshot;

/// The inventory as the services see it. Cheap to clone.
#[derive(Clone)]
pub struct Inventory {
    /// The database, for what is not in the snapshot.
    pub database: Database,
    /// What happens, for whoever wants to know.
    pub events: EventBus,
    current: Arc<ArcSwap<Snapshot>>,
}

impl Inventory {
    /// Opens the inventory in `database`, which must be migrated, and reads it whole.
    pub async fn open(database: Database) -> Result<Self, sqlx::Error> {
        let events = EventBus::start(database.clone());
        let snapshot = Snapshot::load(&database).await?;
        Ok(Self { database, events, current: Arc::new(ArcSwap::from_pointee(snapshot)) })
    }

    /// The site as it is now. Take it once per request, so that one answer speaks of one site.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Reads the site anew from the database.
    pub async fn reload(&self) -> Result<(), sqlx::Error> {
        let snapshot = Snapshot::load(&self.database).await?;
        self.current.store(Arc::new(snapshot));
        Ok(())
    }
}
