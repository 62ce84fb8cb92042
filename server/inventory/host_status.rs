//! The state of each host: kept in memory for whoever answers packets, stored with the events that
//! it follows from.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::inventory::database::{Transaction, execute, with_connection, with_pool};
use crate::inventory::{Database, Error, Snapshot};
use crate::lifecycle::client::Arch;
use crate::lifecycle::stall::{BootContext, Cause, Patience};
use crate::lifecycle::state::Life;
use crate::lifecycle::{Event, HostState, HostStatus, StateChange};
use crate::model::Mac;
use crate::network::{Fingerprint, take_fingerprint};

/// The states of all hosts.
///
/// What is stored follows from all events of a host, whichever server had them, in the order in
/// which they were stored. What is shown adds the events that this server has not stored yet.
#[derive(Debug)]
pub struct HostStates {
    lives: Mutex<HashMap<String, HostRecord>>,
    /// Patience with silent boots, in per cent.
    patience: AtomicU32,
    current: Arc<ArcSwap<Snapshot>>,
}

/// What is known of a host.
#[derive(Debug, Default)]
struct HostRecord {
    stored: Life,
    last_event: i64,
    /// The events that are not stored yet, oldest first.
    waiting: VecDeque<Event>,
    shown: Life,
    /// Whether something happened since the states were told.
    is_new: bool,
}

/// The states of hosts that were told, by the host's name.
pub(super) type ToldStates = HashMap<String, (HostState, Option<Cause>)>;

impl HostRecord {
    /// Takes over what is stored, unless something newer is known.
    fn take_over(&mut self, stored: StoredLife, is_local: bool) {
        if stored.last_event < self.last_event {
            return;
        }
        (self.stored, self.last_event) = (stored.life, stored.last_event);
        self.shown = self.stored.clone();
        self.is_new = true;
        for event in &self.waiting {
            self.shown.note(event, is_local);
        }
    }
}

/// The life of a host as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLife {
    /// The host's name.
    pub host: String,
    /// The number of the last event that it follows from.
    pub last_event: i64,
    /// What is stored.
    pub life: Life,
}

impl StoredLife {
    /// The life of a host that was never seen.
    pub(super) fn new(host: &str) -> Self {
        Self { host: host.to_owned(), last_event: 0, life: Life::default() }
    }
}

impl HostStates {
    pub(super) fn new(current: Arc<ArcSwap<Snapshot>>) -> Self {
        let patience = Patience::default().percent.into();
        Self { lives: Mutex::default(), patience, current }
    }

    fn lives(&self) -> MutexGuard<'_, HashMap<String, HostRecord>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how long silence of a boot is normal.
    pub fn set_patience(&self, patience: Patience) {
        self.patience.store(patience.percent, Ordering::Relaxed);
    }

    /// How long silence of a boot is normal.
    pub fn patience(&self) -> Patience {
        Patience { percent: self.patience.load(Ordering::Relaxed) }
    }

    /// Whether the image of a host is the local disk, if there is such a host.
    pub(super) fn is_local(&self, name: &str) -> Option<bool> {
        let site = &self.current.load().site;
        let image = site.hosts.get(name)?.image.as_ref();
        Some(image.and_then(|image| site.images.get(image)).is_some_and(|image| image.local))
    }

    /// Takes an event into account that is about to be stored. Gives the boot of its host: when it
    /// began, in Unix milliseconds.
    pub(super) fn note(&self, event: &Event) -> Option<i64> {
        let name = event.host.as_ref()?;
        let is_local = self.is_local(name)?;
        let mut lives = self.lives();
        let known = match lives.get_mut(name) {
            Some(known) => known,
            None => lives.entry(name.clone()).or_default(),
        };
        known.shown.note(event, is_local);
        known.is_new = true;
        known.waiting.push_back(event.clone());
        Some(known.shown.boot.began_ms).filter(|began_ms| *began_ms > 0)
    }

    /// Whether a report of a host that comes now is of the first boot of an installed system.
    pub fn awaits_first_boot(&self, host: &str) -> bool {
        self.lives().get(host).is_some_and(|known| known.shown.awaits_first_boot())
    }

    /// The architecture that a host's firmware named last, if it asked this or another server.
    pub fn arch_of(&self, host: &str) -> Option<Arch> {
        self.lives().get(host)?.shown.boot.arch
    }

    /// The MAC of a host that its latest boot was heard of by last.
    pub fn mac_of(&self, host: &str) -> Option<Mac> {
        self.lives().get(host)?.shown.boot.mac
    }

    /// The latest boot of a host: when it began, in Unix milliseconds.
    pub fn boot_of(&self, host: &str) -> Option<i64> {
        let lives = self.lives();
        lives.get(host).map(|known| known.shown.boot.began_ms).filter(|began_ms| *began_ms > 0)
    }

    /// Notes that an event, the newest one of its host, will not be stored.
    pub(super) fn will_not_store(&self, host: Option<&String>) {
        let mut lives = self.lives();
        if let Some(known) = host.and_then(|host| lives.get_mut(host)) {
            known.waiting.pop_back();
        }
    }

    /// Notes that these events, the oldest that waited, are stored, with the lives that follow.
    pub(super) fn stored(&self, events: &[Event], stored: Vec<StoredLife>) {
        let mut lives = self.lives();
        for event in events {
            let known = event.host.as_ref().and_then(|host| lives.get_mut(host));
            if let Some(known) = known.filter(|known| known.waiting.front() == Some(event)) {
                known.waiting.pop_front();
            }
        }
        drop(lives);
        self.take_over(stored);
    }

    /// Takes over what is stored of hosts: at the start, after a host got another name, and after
    /// another server stored events.
    pub(super) fn take_over(&self, stored: Vec<StoredLife>) {
        for life in stored {
            let is_local = self.is_local(&life.host).unwrap_or_default();
            let mut lives = self.lives();
            lives.entry(life.host.clone()).or_default().take_over(life, is_local);
        }
    }

    /// Forgets hosts that are no more.
    pub(super) fn retain(&self, snapshot: &Snapshot) {
        self.lives().retain(|name, _| snapshot.site.hosts.contains_key(name));
    }

    /// The state of a host at `now_ms` (Unix milliseconds), if there is such a host.
    pub fn find(&self, name: &str, now_ms: i64) -> Option<HostStatus> {
        let snapshot = self.current.load();
        if !snapshot.site.hosts.contains_key(name) {
            return None;
        }
        let life = self.lives().get(name).map(|known| known.shown.clone()).unwrap_or_default();
        Some(self.status(&snapshot, name, &life, now_ms))
    }

    /// The state of every host at `now_ms` (Unix milliseconds), by name.
    pub fn list(&self, now_ms: i64) -> BTreeMap<String, HostStatus> {
        let snapshot = self.current.load();
        let shown = |(name, known): (&String, &HostRecord)| (name.clone(), known.shown.clone());
        let lives: HashMap<String, Life> = self.lives().iter().map(shown).collect();
        let none = Life::default();
        let status = |name: &String| {
            let life = lives.get(name).unwrap_or(&none);
            (name.clone(), self.status(&snapshot, name, life, now_ms))
        };
        snapshot.site.hosts.keys().map(status).collect()
    }

    /// The hosts whose state or cause is another one than `told` at `now_ms` (Unix milliseconds);
    /// they are put into `told`. Looks only at hosts that had events or wait for the clock.
    pub(super) fn changes(&self, told: &mut ToldStates, now_ms: i64) -> Vec<StateChange> {
        let snapshot = self.current.load();
        let mut changed = Vec::new();
        let mut lives = self.lives();
        told.retain(|host, _| lives.contains_key(host));
        for (host, known) in &mut *lives {
            if !std::mem::take(&mut known.is_new) && !known.shown.waits_for_clock() {
                continue;
            }
            let status = self.status(&snapshot, host, &known.shown, now_ms);
            let now = (status.state, status.cause.clone());
            if told.get(host) != Some(&now) {
                told.insert(host.clone(), now);
                changed.push(StateChange { host: host.clone(), status });
            }
        }
        changed
    }

    /// How many hosts are in each state.
    pub fn count(&self, now_ms: i64) -> BTreeMap<&'static str, u64> {
        let mut counts: BTreeMap<_, _> = HostState::ALL.iter().map(|s| (s.label(), 0)).collect();
        for status in self.list(now_ms).into_values() {
            *counts.entry(status.state.label()).or_default() += 1;
        }
        counts
    }

    fn status(&self, snapshot: &Snapshot, name: &str, life: &Life, now_ms: i64) -> HostStatus {
        // Only a boot that may be stuck is diagnosed by what the inventory knows.
        let context = match life.waits_for_clock() {
            true => BootContext::of(&snapshot.site, name),
            false => BootContext::default(),
        };
        life.status(&context, self.patience(), now_ms)
    }
}

/// What a host reported of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct StoredReport {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// What it sent.
    pub body: String,
}

#[derive(sqlx::FromRow)]
struct LifeRow {
    host: String,
    state: String,
    since_ms: i64,
    boot: String,
    old_reason: Option<String>,
    last_event: i64,
}

impl LifeRow {
    fn read(self) -> Result<StoredLife, Error> {
        let Self { host, state, since_ms, boot, old_reason, last_event } = self;
        let state = state.parse().map_err(|error| Error::unreadable("host", &host, error))?;
        let boot =
            serde_json::from_str(&boot).map_err(|e| Error::unreadable("boot of", &host, e))?;
        let life = Life { state, since_ms, boot, old_reason };
        Ok(StoredLife { host, last_event, life })
    }
}

const LIVES: &str = "SELECT host, state, since_ms, boot, old_reason, last_event FROM host_states";

/// What is stored of some hosts, by name.
pub(super) async fn find_lives(
    transaction: &mut Transaction,
    hosts: &BTreeSet<&String>,
) -> Result<HashMap<String, StoredLife>, Error> {
    let mut found = HashMap::new();
    let hosts: Vec<&String> = hosts.iter().copied().collect();
    for some in hosts.chunks(250) {
        let places: Vec<String> = (1..=some.len()).map(|place| format!("${place}")).collect();
        let sql = format!("{LIVES} WHERE host IN ({})", places.join(", "));
        let rows: Vec<LifeRow> = with_connection!(&mut *transaction, connection => {
            let mut asked = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            for host in some {
                asked = asked.bind(*host);
            }
            asked.fetch_all(connection).await
        })?;
        for row in rows {
            let life = row.read()?;
            found.insert(life.host.clone(), life);
        }
    }
    Ok(found)
}

impl Database {
    /// What is stored of every host that was seen.
    pub async fn list_lives(&self) -> Result<Vec<StoredLife>, Error> {
        let rows: Vec<LifeRow> =
            with_pool!(self, pool => sqlx::query_as(LIVES).fetch_all(pool).await)?;
        rows.into_iter().map(LifeRow::read).collect()
    }

    /// What is stored of the hosts that had events behind one with this number.
    pub(super) async fn list_lives_after(&self, last_event: i64) -> Result<Vec<StoredLife>, Error> {
        const AFTER: &str = "SELECT host, state, since_ms, boot, old_reason, last_event
             FROM host_states WHERE last_event > $1";
        let rows: Vec<LifeRow> =
            with_pool!(self, pool => sqlx::query_as(AFTER).bind(last_event).fetch_all(pool).await)?;
        rows.into_iter().map(LifeRow::read).collect()
    }

    /// Keeps what a host reported of itself, in place of what it reported before; the digests of its
    /// files apart from the rest.
    pub async fn set_report(&self, host: &str, report: &StoredReport) -> Result<(), Error> {
        const SET: &str = "INSERT INTO reports (host, at_ms, body, configuration)
             SELECT name, $2, $3, $4 FROM hosts WHERE name = $1
             ON CONFLICT (host) DO UPDATE SET at_ms = excluded.at_ms, body = excluded.body,
                 configuration = excluded.configuration";
        let (body, files) = take_fingerprint(report.body.clone());
        let files = files.map(|files| files.to_string());
        with_pool!(self, pool => sqlx::query(SET)
            .bind(host)
            .bind(report.at_ms)
            .bind(&body)
            .bind(&files)
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }

    /// What a host reported of itself last.
    pub async fn find_report(&self, host: &str) -> Result<Option<StoredReport>, Error> {
        const FIND: &str = "SELECT at_ms, body FROM reports WHERE host = $1";
        let row: Option<(i64, String)> =
            with_pool!(self, pool => sqlx::query_as(FIND).bind(host).fetch_optional(pool).await)?;
        Ok(row.map(|(at_ms, body)| StoredReport { at_ms, body }))
    }

    /// The files of its network that a host reported last.
    pub async fn find_fingerprint(&self, host: &str) -> Result<Option<Fingerprint>, Error> {
        const FIND: &str =
            "SELECT configuration FROM reports WHERE host = $1 AND configuration IS NOT NULL";
        let row: Option<String> = with_pool!(self, pool =>
            sqlx::query_scalar(FIND).bind(host).fetch_optional(pool).await)?;
        row.map(|text| super::roll_out::read_fingerprint(host, &text)).transpose()
    }
}

/// Stores the life of a host, if there is such a host.
pub(super) async fn set_life(
    transaction: &mut Transaction,
    stored: &StoredLife,
) -> Result<(), Error> {
    const SET: &str =
        "INSERT INTO host_states (host, state, since_ms, boot, old_reason, last_event)
         SELECT name, $2, $3, $4, $5, $6 FROM hosts WHERE name = $1
         ON CONFLICT (host) DO UPDATE SET state = excluded.state,
             since_ms = excluded.since_ms, boot = excluded.boot,
             old_reason = excluded.old_reason, last_event = excluded.last_event";
    let StoredLife { host, last_event, life } = stored;
    let boot =
        serde_json::to_string(&life.boot).map_err(|e| Error::unreadable("boot of", host, e))?;
    execute!(
        transaction,
        SET,
        host,
        life.state.label(),
        life.since_ms,
        boot,
        &life.old_reason,
        last_event
    )?;
    Ok(())
}
