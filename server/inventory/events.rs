//! The event bus: everything that happens is shown live and written down.

use std::collections::{BTreeSet, HashMap};
use std::mem::{Discriminant, discriminant};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::inventory::follow::{Following, Publisher};
use crate::inventory::{
    Database, Error, HostStates, Inventory, Retention, StoredAuditEntry, now_ms,
};
use crate::lifecycle::budget::EventBudget;
use crate::lifecycle::stall::Cause;
use crate::lifecycle::{Event, EventData, HostState, Progress, StateChange, StrangerBudget};
use crate::metrics::{DATABASE, EVENTS, EVENTS_SET_ASIDE};
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
/// How soon a change of a host's state is told.
const STATES_EVERY: Duration = Duration::from_millis(250);
/// How often events are indexed: a search reads those that are not.
const INDEX_EVERY: Duration = Duration::from_secs(1);
/// How often events that are too old or too many are removed.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// What a watcher sees. Shared: the channel keeps room for as many as a watcher may lag.
#[derive(Clone, Debug)]
pub enum Live {
    /// Something happened.
    Event(Arc<Event>),
    /// A long transfer moved.
    Progress(Arc<Progress>),
    /// The inventory changed: its new revision.
    Revision(i64),
    /// Somebody did something that the audit log has, by this process or another one.
    Audit(Arc<StoredAuditEntry>),
    /// The state of a host changed, by an event or by the clock.
    State(Arc<StateChange>),
}

enum StoreRequest {
    Store(Event),
    /// Everything sent before is written down: say so.
    Flush(oneshot::Sender<()>),
}

/// Where services say what happened. Cheap to clone; never blocks the caller.
#[derive(Clone)]
pub struct EventBus {
    /// Tells the events that are stored here from those of other servers.
    pub(super) server: i64,
    watchers: broadcast::Sender<Live>,
    store: mpsc::Sender<StoreRequest>,
    hurry: Arc<Notify>,
    not_stored: Arc<AtomicU64>,
    strangers: Arc<Mutex<StrangerBudget>>,
    budget: Arc<Mutex<EventBudget>>,
    logs_fields: Arc<AtomicBool>,
    states: Arc<HostStates>,
    publisher: Arc<Publisher>,
}

impl EventBus {
    /// Starts the task that writes events down in batches. It ends when every clone is gone.
    pub fn start(database: Database, states: Arc<HostStates>) -> Self {
        let (watchers, _) = broadcast::channel(WATCH_BACKLOG);
        let (store, waiting) = mpsc::channel(STORE_BACKLOG);
        let not_stored = Arc::new(AtomicU64::new(0));
        let hurry = Arc::<Notify>::default();
        let server = i64::from(rand::random::<u32>()) + 1;
        let publisher = Arc::new(Publisher::new(database.clone()));
        let writer =
            Writer { server, database, states: states.clone(), publisher: publisher.clone() };
        tokio::spawn(write_down(writer, waiting, hurry.clone(), not_stored.clone()));
        let (strangers, budget, logs_fields) = Default::default();
        Self {
            server,
            watchers,
            store,
            hurry,
            not_stored,
            strangers,
            budget,
            logs_fields,
            states,
            publisher,
        }
    }

    /// Records that something happened now, and logs it; of a client that repeats itself only a
    /// part.
    pub fn record(&self, host: Option<&str>, mac: Option<Mac>, data: EventData) {
        self.record_event(Event { at_ms: 0, host: host.map(str::to_owned), mac, data });
    }

    /// [`Self::record`] of an event that was made before: it gets the time of now.
    pub fn record_event(&self, event: Event) {
        EVENTS.count(event.kind().label());
        let event = Event { at_ms: now_ms(), ..event };
        let is_taken = self.budget.lock().unwrap_or_else(PoisonError::into_inner).takes(&event);
        if is_taken {
            self.keep(event);
        }
    }

    /// Tells how many events were only counted.
    pub(super) fn tell_left_out(&self) {
        let told = self.budget.lock().unwrap_or_else(PoisonError::into_inner).tell(now_ms());
        told.into_iter().for_each(|event| self.keep(event));
    }

    fn keep(&self, event: Event) {
        let boot = self.states.note(&event);
        self.log(&event, boot);
        if self.watchers.receiver_count() > 0 {
            let _ = self.watchers.send(Live::Event(Arc::new(event.clone())));
        }
        let waiting = STORE_BACKLOG - self.store.capacity();
        let host = event.host.clone();
        let shed = waiting > STRANGERS_BACKLOG && host.is_none();
        let refused = match shed {
            true => Some(StoreRequest::Store(event)),
            false => self.store.try_send(StoreRequest::Store(event)).err().map(|e| e.into_inner()),
        };
        if let Some(StoreRequest::Store(event)) = refused {
            self.states.will_not_store(host.as_ref());
            self.not_stored.fetch_add(1, Ordering::Relaxed);
            self.publisher.show_unstored(event);
        }
    }

    /// Whether a failed request of a client is logged: not all of one that repeats itself.
    pub fn logs_failure_of(&self, address: IpAddr) -> bool {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.takes_failure(address, now_ms())
    }

    /// Has log lines carry the fields of events, for programs that read the log.
    pub fn log_fields(&self) {
        self.logs_fields.store(true, Ordering::Relaxed);
    }

    /// Writes an event to the log. `boot` tells one boot of its host from another.
    fn log(&self, event: &Event, boot: Option<i64>) {
        let Event { host, mac, data, .. } = event;
        let (kind, host, mac) =
            (data.kind().label(), host.as_deref(), mac.map(|mac| mac.to_string()));
        let address = data.address().map(|address| address.to_string());
        let fields = self.logs_fields.load(Ordering::Relaxed);
        // What is looked for most, as fields of their own: the logger nests none.
        let sent = fields.then(|| data.transfer()).flatten();
        let file = sent.map(|sent| sent.file);
        let bytes = sent.map(|sent| sent.bytes);
        let milliseconds = sent.and_then(|sent| sent.milliseconds);
        let fields = fields.then(|| serde_json::to_string(data).unwrap_or_default());
        match data {
            EventData::Error(_) => {
                tracing::error!(kind, host, mac, boot, address, fields, "{data}");
            }
            EventData::Warning(_) => {
                tracing::warn!(kind, host, mac, boot, address, fields, "{data}");
            }
            _ => tracing::info!(
                kind,
                host,
                mac,
                boot,
                address,
                file,
                bytes,
                milliseconds,
                fields,
                "{kind}: {data}"
            ),
        }
    }

    /// Shows what somebody did, which the audit log has.
    pub(super) fn audited(&self, entry: StoredAuditEntry) {
        let _ = self.watchers.send(Live::Audit(Arc::new(entry)));
    }

    /// Whether one more event of an unknown client is recorded. To be asked before the event is
    /// made.
    pub fn tells_of_stranger(&self) -> bool {
        let mut budget = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        budget.takes_one(now_ms() / 1000)
    }

    /// Whether anybody watches.
    pub(super) fn is_watched(&self) -> bool {
        self.watchers.receiver_count() > 0
    }

    /// Shows an event that another server stored.
    pub(super) fn show(&self, event: Event) {
        let _ = self.watchers.send(Live::Event(Arc::new(event)));
    }

    /// Says how far a transfer is.
    pub fn progress(&self, progress: Progress) {
        let _ = self.watchers.send(Live::Progress(Arc::new(progress)));
    }

    /// Says that the inventory is at a new revision.
    pub fn revision(&self, revision: i64) {
        let _ = self.watchers.send(Live::Revision(revision));
    }

    /// Every event that is stored from now on, in the order of their numbers.
    ///
    /// # Errors
    /// The database's.
    pub async fn follow(&self) -> Result<Following, Error> {
        self.publisher.follow().await
    }

    /// Shows what is stored to those who [follow](Self::follow).
    pub(super) async fn publish(&self) -> Result<(), Error> {
        self.publisher.publish().await
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
            let asked = self.store.send(StoreRequest::Flush(done)).await;
            self.hurry.notify_one();
            asked.is_ok() && written.await.is_ok()
        };
        tokio::time::timeout(limit, flushed).await.unwrap_or(false)
    }
}

/// What the task that stores events works with.
struct Writer {
    server: i64,
    database: Database,
    states: Arc<HostStates>,
    publisher: Arc<Publisher>,
}

async fn write_down(
    writer: Writer,
    mut waiting: mpsc::Receiver<StoreRequest>,
    hurry: Arc<Notify>,
    not_stored: Arc<AtomicU64>,
) {
    let mut batch = Vec::new();
    loop {
        if waiting.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        gather(&mut waiting, &mut batch, &hurry).await;
        write_batch(&writer, &mut batch).await;
        let lost = not_stored.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "events came faster than the database takes them");
        }
    }
}

/// Adds to a batch what comes soon after, unless it is full or someone waits for it.
async fn gather(
    waiting: &mut mpsc::Receiver<StoreRequest>,
    batch: &mut Vec<StoreRequest>,
    hurry: &Notify,
) {
    if batch.len() >= BATCH || batch.iter().any(|message| matches!(message, StoreRequest::Flush(_)))
    {
        return;
    }
    let _ = tokio::time::timeout(GATHER, hurry.notified()).await;
    while batch.len() < BATCH {
        let Ok(message) = waiting.try_recv() else { return };
        batch.push(message);
    }
}

async fn write_batch(writer: &Writer, batch: &mut Vec<StoreRequest>) {
    let Writer { server, database, states, publisher } = writer;
    let mut events = Vec::with_capacity(batch.len());
    let mut flushes = Vec::new();
    for message in batch.drain(..) {
        match message {
            StoreRequest::Store(event) => events.push(event),
            StoreRequest::Flush(done) => flushes.push(done),
        }
    }
    // A full disk is emptied one day: until then events wait, as many as the channel holds.
    let mut failed_before = false;
    let is_local = |host: &str| states.is_local(host);
    while !events.is_empty() {
        let error = match database.add_events(&events, *server, &is_local).await {
            Ok(lives) => {
                DATABASE.works();
                states.stored(&events, lives);
                break;
            }
            Err(error) => error,
        };
        if database.is_closed() {
            return;
        }
        if error.is_about_data() {
            store_singly(writer, &events).await;
            break;
        }
        DATABASE.failed(&error);
        if !failed_before {
            tracing::error!(%error, "cannot store events; retrying every second");
        }
        failed_before = true;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for done in flushes {
        let _ = done.send(());
    }
    if let Err(error) = publisher.publish().await {
        // Whoever looks for events of other servers tries again.
        tracing::debug!(%error, "stored events cannot be shown yet");
    }
}

/// Stores events one by one: the database does not take one of them. That one is set aside, so
/// that it holds up no other.
async fn store_singly(writer: &Writer, events: &[Event]) {
    let Writer { server, database, states, publisher } = writer;
    let is_local = |host: &str| states.is_local(host);
    for event in events {
        let one = std::slice::from_ref(event);
        match database.add_events(one, *server, &is_local).await {
            Ok(lives) => states.stored(one, lives),
            Err(error) => {
                EVENTS_SET_ASIDE.count(event.kind().label());
                states.stored(one, Vec::new());
                publisher.show_unstored(event.clone());
                tracing::error!(%error, kind = event.kind().label(), "an event cannot be stored; set aside");
            }
        }
    }
}

/// The last state of each host that the log has, with the kind of its cause.
type LoggedStates = HashMap<String, (HostState, Option<Discriminant<Cause>>)>;

impl Inventory {
    /// Writes the state of a host to the log, unless only the numbers in its cause are new: a client
    /// that asks again and again counts up four times a second.
    fn log_state(&self, change: &StateChange, logged: &mut LoggedStates) {
        let StateChange { host, status } = change;
        let kind = (status.state, status.cause.as_ref().map(discriminant));
        if logged.insert(host.clone(), kind) == Some(kind) {
            return;
        }
        let (state, reason) = (status.state.label(), &status.reason);
        let boot = self.states.boot_of(host);
        match status.is_stopped() {
            true => tracing::warn!(host, boot, state, reason, "{host} is {state}: {reason}"),
            false => tracing::info!(host, boot, state, "{host} is {state}"),
        }
    }

    /// Tells whoever watches, and the log, of hosts whose state changes, until `stop`.
    pub async fn run_states(self, stop: CancellationToken) -> std::io::Result<()> {
        let mut tick = interval(STATES_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut logged) = (HashMap::new(), HashMap::new());
        // What was so before the server started is not news.
        self.states.changes(&mut told, now_ms());
        let mut armed = self.installs().armed(now_ms() / 1000);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            let now_ms = now_ms();
            let before = std::mem::replace(&mut armed, self.installs().armed(now_ms / 1000));
            let is_new = |host: &String, until: &i64| before.get(host) != Some(until);
            let mut rearmed = BTreeSet::new();
            rearmed.extend(
                armed.iter().filter(|(host, until)| is_new(host, until)).map(|it| it.0.clone()),
            );
            rearmed.extend(before.keys().filter(|host| !armed.contains_key(*host)).cloned());
            for mut change in self.states.changes(&mut told, now_ms) {
                change.status = change.status.armed(armed.get(&change.host).copied());
                rearmed.remove(&change.host);
                self.log_state(&change, &mut logged);
                let _ = self.events.watchers.send(Live::State(Arc::new(change)));
            }
            logged.retain(|host, _| told.contains_key(host));
            // Armed, cancelled, or no longer armed because time has passed.
            for host in rearmed {
                if let Some(status) = self.host_status(&host, now_ms) {
                    let _ = self
                        .events
                        .watchers
                        .send(Live::State(Arc::new(StateChange { host, status })));
                }
            }
        }
    }

    /// Removes events that are too old or too many at that time, and indexes the others, until
    /// `stop`.
    pub async fn run_events(
        self,
        retention: impl Fn() -> Retention + Send,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        let mut trim = interval(TRIM_EVERY);
        let mut index = interval(INDEX_EVERY);
        for timer in [&mut trim, &mut index] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = index.tick() => {
                    self.events.tell_left_out();
                    if let Err(error) = self.database.index_events().await {
                        tracing::warn!(%error, "cannot index events; retrying");
                    }
                }
                _ = trim.tick() => match self.database.trim_events(retention(), now_ms()).await {
                    Ok(0) => {}
                    Ok(removed) => tracing::info!(removed, "old events removed"),
                    Err(error) => tracing::warn!(%error, "cannot remove old events"),
                },
            }
        }
    }
}
