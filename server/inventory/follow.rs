//! The stored events in the order of their numbers, whichever server stored them: a reader that
//! comes back goes on behind the last number that it has seen, and misses none.

use std::sync::Arc;

use tokio::sync::{Mutex, broadcast};

use crate::inventory::{Database, Error, StoredEvent};
use crate::lifecycle::Event;

/// How many events a slow reader may lag before it misses some.
const BACKLOG: usize = 4096;
/// How many events are read together.
const AT_ONCE: u32 = 1000;

/// An event as a reader gets it.
#[derive(Clone, Debug)]
pub struct FollowedEvent {
    /// Its number; none of one that is shown and not stored.
    pub number: Option<i64>,
    /// What happened. Shared: a channel keeps room for as many as a reader may lag.
    pub event: Arc<Event>,
}

impl From<StoredEvent> for FollowedEvent {
    fn from(StoredEvent { number, event }: StoredEvent) -> Self {
        Self { number: Some(number), event: Arc::new(event) }
    }
}

/// Every event from some number on.
#[derive(Debug)]
pub struct Following {
    /// The number that they come after.
    pub after: i64,
    /// The events.
    pub live: broadcast::Receiver<FollowedEvent>,
}

/// Sends stored events to their readers.
#[derive(Debug)]
pub(super) struct Publisher {
    database: Database,
    readers: broadcast::Sender<FollowedEvent>,
    /// The number of the newest event that was sent.
    sent: Mutex<i64>,
}

impl Publisher {
    pub(super) fn new(database: Database) -> Self {
        let (readers, _) = broadcast::channel(BACKLOG);
        Self { database, readers, sent: Mutex::default() }
    }

    /// Sends what is stored and was not sent yet. Without a reader it does nothing.
    pub(super) async fn publish(&self) -> Result<(), Error> {
        if self.readers.receiver_count() == 0 {
            return Ok(());
        }
        let mut sent = self.sent.lock().await;
        let last = self.database.last_event().await?;
        while *sent < last {
            let events = self.database.list_events_between(*sent, last, AT_ONCE).await?;
            let newest = events.last().filter(|_| events.len() == AT_ONCE as usize);
            let until = newest.map_or(last, |newest| newest.number);
            for event in events {
                let _ = self.readers.send(event.into());
            }
            *sent = until;
        }
        Ok(())
    }

    /// Shows an event that the database does not take.
    pub(super) fn show_unstored(&self, event: Event) {
        let _ = self.readers.send(FollowedEvent { number: None, event: Arc::new(event) });
    }

    /// Every event from now on.
    pub(super) async fn follow(&self) -> Result<Following, Error> {
        let mut sent = self.sent.lock().await;
        if self.readers.receiver_count() == 0 {
            *sent = self.database.last_event().await?;
        }
        Ok(Following { after: *sent, live: self.readers.subscribe() })
    }
}
