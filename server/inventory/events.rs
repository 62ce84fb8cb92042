//! The event bus: everything that happens is shown live and written down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc, oneshot};

use crate::inventory::{Database, HostStates, now_ms};
use crate::lifecycle::audit::AuditEntry;
use crate::lifecycle::{Event, EventData, Progress, StrangerBudget};
use crate::metrics::{DATABASE, EVENTS};
use crate::model::Mac;

/// How many messages a slow watcher may lag before it misses some.
const WATCH_BACKLOG: usize = 4096;
/// How many events may wait for the database; beyond that new ones are shown, not stored.
const STORE_BACKLOG: usize = 65_536;
/// How many events may wait before those of strangers are shown, not stored: a flood of
/// unknown clients must not cost the hosts their history.
const STRANGERS_BACKLOG: usize = 4096;
/// How many events one transaction writes at most: a lease may wait for it.
const BATCH: usize = 250;
/// How long the first of a batch waits for others: a transaction for every file that a
/// thousand hosts fetch would cost more than it tells. Whoever reads has them written at once.
const GATHER: Duration = Duration::from_millis(100);
/// How long a reader waits for what happened just before it came.
const SETTLE: Duration = Duration::from_millis(250);
/// How long events are kept.
const KEEP: Duration = Duration::from_secs(90 * 86_400);
/// How often older ones are removed.
const TRIM_EVERY: Duration = Duration::from_secs(3600);

/// What a watcher sees.
#[derive(Clone, Debug)]
pub enum Live {
    /// Something happened.
    Event(Event),
    /// A long transfer moved.
    Progress(Progress),
    /// The inventory changed: its new revision.
    Revision(i64),
    /// Somebody did something that the audit log has.
    Audit(AuditEntry),
}

enum Message {
    Store(Event),
    /// Everything sent before is written down: say so.
    Flush(oneshot::Sender<()>),
}

/// Where services say what happened. Cheap to clone; never blocks the caller.
#[derive(Clone)]
pub struct EventBus {
    watchers: broadcast::Sender<Live>,
    store: mpsc::Sender<Message>,
    hurry: Arc<Notify>,
    not_stored: Arc<AtomicU64>,
    strangers: Arc<Mutex<StrangerBudget>>,
    states: Arc<HostStates>,
}

impl EventBus {
    /// Starts the task that writes events down in batches. It ends when every clone is gone.
    pub fn start(database: Database, states: Arc<HostStates>) -> Self {
        let (watchers, _) = broadcast::channel(WATCH_BACKLOG);
        let (store, waiting) = mpsc::channel(STORE_BACKLOG);
        let not_stored = Arc::new(AtomicU64::new(0));
        let hurry = Arc::<Notify>::default();
        let writer = Writer { database, states: states.clone() };
        tokio::spawn(write_down(writer, waiting, hurry.clone(), not_stored.clone()));
        Self { watchers, store, hurry, not_stored, strangers: Arc::default(), states }
    }

    /// Records that something happened now.
    pub fn record(&self, host: Option<&str>, mac: Option<Mac>, data: EventData) {
        EVENTS.count(data.kind().label());
        let event = Event { at_ms: now_ms(), host: host.map(str::to_owned), mac, data };
        self.states.note(&event);
        if self.watchers.receiver_count() > 0 {
            let _ = self.watchers.send(Live::Event(event.clone()));
        }
        let waiting = STORE_BACKLOG - self.store.capacity();
        let shed = waiting > STRANGERS_BACKLOG && event.host.is_none();
        if shed || self.store.try_send(Message::Store(event)).is_err() {
            self.not_stored.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Shows what somebody did, which the audit log has.
    pub(super) fn audited(&self, entry: AuditEntry) {
        let _ = self.watchers.send(Live::Audit(entry));
    }

    /// Whether one more event of an unknown client is recorded. To be asked before the event is
    /// made.
    pub fn tells_of_stranger(&self) -> bool {
        let mut budget = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        budget.takes_one(now_ms() / 1000)
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

    /// Waits for a moment until what was recorded so far can be read.
    pub async fn settle(&self) {
        self.flush(SETTLE).await;
    }

    /// Waits until everything recorded so far is in the database, for `limit` at most.
    /// Whether it is.
    pub async fn flush(&self, limit: Duration) -> bool {
        let (done, written) = oneshot::channel();
        let flushed = async {
            let asked = self.store.send(Message::Flush(done)).await;
            self.hurry.notify_one();
            asked.is_ok() && written.await.is_ok()
        };
        tokio::time::timeout(limit, flushed).await.unwrap_or(false)
    }
}

/// What the task that stores events works with.
struct Writer {
    database: Database,
    states: Arc<HostStates>,
}

async fn write_down(
    writer: Writer,
    mut waiting: mpsc::Receiver<Message>,
    hurry: Arc<Notify>,
    not_stored: Arc<AtomicU64>,
) {
    let mut trim = tokio::time::interval(TRIM_EVERY);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            received = waiting.recv_many(&mut batch, BATCH) => {
                if received == 0 {
                    return;
                }
                gather(&mut waiting, &mut batch, &hurry).await;
                write_batch(&writer, &mut batch).await;
            }
            _ = trim.tick() => forget_old(&writer.database).await,
        }
        let lost = not_stored.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "events came faster than the database takes them");
        }
    }
}

/// Adds to a batch what comes soon after, unless it is full or someone waits for it.
async fn gather(waiting: &mut mpsc::Receiver<Message>, batch: &mut Vec<Message>, hurry: &Notify) {
    if batch.len() >= BATCH || batch.iter().any(|message| matches!(message, Message::Flush(_))) {
        return;
    }
    let _ = tokio::time::timeout(GATHER, hurry.notified()).await;
    while batch.len() < BATCH {
        let Ok(message) = waiting.try_recv() else { return };
        batch.push(message);
    }
}

async fn write_batch(writer: &Writer, batch: &mut Vec<Message>) {
    let Writer { database, states } = writer;
    let mut events = Vec::with_capacity(batch.len());
    let mut flushes = Vec::new();
    for message in batch.drain(..) {
        match message {
            Message::Store(event) => events.push(event),
            Message::Flush(done) => flushes.push(done),
        }
    }
    // A full disk is emptied one day: until then events wait, as many as the channel holds.
    let mut failed_before = false;
    let lives = if events.is_empty() { Vec::new() } else { states.take_changed() };
    while let Err(error) = database.add_events(&events, &lives).await {
        if database.is_closed() {
            return;
        }
        DATABASE.failed(&error);
        if !failed_before {
            tracing::error!(%error, "events cannot be written down; trying again every second");
        }
        failed_before = true;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if !events.is_empty() {
        DATABASE.works();
    }
    for done in flushes {
        let _ = done.send(());
    }
}

async fn forget_old(database: &Database) {
    let before_ms = now_ms() - KEEP.as_millis() as i64;
    match database.remove_events_before(before_ms).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "old events removed"),
        Err(error) => tracing::warn!(%error, "old events cannot be removed"),
    }
}
