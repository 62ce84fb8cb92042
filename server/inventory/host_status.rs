//! The state of each host: kept in memory for whoever answers packets, stored with the events that
//! it follows from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::inventory::database::{Transaction, execute, with_pool};
use crate::inventory::{Database, Error, Snapshot};
use crate::lifecycle::stall::{BootContext, Patience};
use crate::lifecycle::state::Life;
use crate::lifecycle::{Event, HostState, HostStatus};

/// The states of all hosts. Every server on a database computes them of the same events.
#[derive(Debug)]
pub struct HostStates {
    lives: Mutex<Lives>,
    /// Patience with silent boots, in per cent.
    patience: AtomicU32,
    current: Arc<ArcSwap<Snapshot>>,
}

#[derive(Debug, Default)]
struct Lives {
    of: HashMap<String, Life>,
    /// The hosts whose life is not stored as it is.
    changed: HashSet<String>,
}

impl HostStates {
    pub(super) fn new(current: Arc<ArcSwap<Snapshot>>) -> Self {
        let patience = Patience::default().percent.into();
        Self { lives: Mutex::default(), patience, current }
    }

    fn lives(&self) -> MutexGuard<'_, Lives> {
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

    /// Takes an event into account.
    pub(super) fn note(&self, event: &Event) {
        let Some(name) = &event.host else { return };
        let site = &self.current.load().site;
        let Some(host) = site.hosts.get(name) else { return };
        let image = host.image.as_ref().and_then(|image| site.images.get(image));
        let mut lives = self.lives();
        let lives = &mut *lives;
        let life = match lives.of.get_mut(name) {
            Some(life) => life,
            None => lives.of.entry(name.clone()).or_default(),
        };
        life.note(event, image.is_some_and(|image| image.local));
        if !lives.changed.contains(name) {
            lives.changed.insert(name.clone());
        }
    }

    /// The lives that are not stored yet.
    pub(super) fn take_changed(&self) -> Vec<(String, Life)> {
        let mut lives = self.lives();
        let changed = std::mem::take(&mut lives.changed);
        changed
            .into_iter()
            .filter_map(|name| Some((name.clone(), lives.of.get(&name)?.clone())))
            .collect()
    }

    /// Adds what is stored of hosts that are not known here: at the start, and after a host got
    /// another name.
    pub(super) fn add(&self, stored: Vec<(String, Life)>) {
        let mut lives = self.lives();
        for (name, life) in stored {
            lives.of.entry(name).or_insert(life);
        }
    }

    /// Forgets hosts that are no more.
    pub(super) fn retain(&self, snapshot: &Snapshot) {
        self.lives().of.retain(|name, _| snapshot.site.hosts.contains_key(name));
    }

    /// The state of a host at `now_ms` (Unix milliseconds), if there is such a host.
    pub fn find(&self, name: &str, now_ms: i64) -> Option<HostStatus> {
        let snapshot = self.current.load();
        if !snapshot.site.hosts.contains_key(name) {
            return None;
        }
        let life = self.lives().of.get(name).cloned().unwrap_or_default();
        Some(self.status(&snapshot, name, &life, now_ms))
    }

    /// The state of every host at `now_ms` (Unix milliseconds), by name.
    pub fn list(&self, now_ms: i64) -> BTreeMap<String, HostStatus> {
        let snapshot = self.current.load();
        let lives = self.lives().of.clone();
        let none = Life::default();
        let status = |name: &String| {
            let life = lives.get(name).unwrap_or(&none);
            (name.clone(), self.status(&snapshot, name, life, now_ms))
        };
        snapshot.site.hosts.keys().map(status).collect()
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
pub struct Report {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// What it sent.
    pub body: String,
}

type LifeRow = (String, String, i64, String, Option<String>);

fn read((name, state, since_ms, boot, old_reason): LifeRow) -> Result<(String, Life), Error> {
    let state = state.parse().map_err(|error| Error::unreadable("host", &name, error))?;
    let boot = serde_json::from_str(&boot).map_err(|e| Error::unreadable("boot of", &name, e))?;
    Ok((name, Life { state, since_ms, boot, old_reason }))
}

impl Database {
    /// What is stored of every host that was seen.
    pub async fn list_lives(&self) -> Result<Vec<(String, Life)>, Error> {
        const LIST: &str = "SELECT host, state, since_ms, boot, old_reason FROM host_states";
        let rows: Vec<LifeRow> =
            with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        rows.into_iter().map(read).collect()
    }

    /// Keeps what a host reported of itself, in place of what it reported before.
    pub async fn set_report(&self, host: &str, report: &Report) -> Result<(), Error> {
        const SET: &str = "INSERT INTO reports (host, at_ms, body)
             SELECT name, $2, $3 FROM hosts WHERE name = $1
             ON CONFLICT (host) DO UPDATE SET at_ms = excluded.at_ms, body = excluded.body";
        with_pool!(self, pool => sqlx::query(SET)
            .bind(host)
            .bind(report.at_ms)
            .bind(&report.body)
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }

    /// What a host reported of itself last.
    pub async fn find_report(&self, host: &str) -> Result<Option<Report>, Error> {
        const FIND: &str = "SELECT at_ms, body FROM reports WHERE host = $1";
        let row: Option<(i64, String)> =
            with_pool!(self, pool => sqlx::query_as(FIND).bind(host).fetch_optional(pool).await)?;
        Ok(row.map(|(at_ms, body)| Report { at_ms, body }))
    }
}

/// Stores the life of a host, if there is such a host.
pub(super) async fn set_life(
    transaction: &mut Transaction,
    host: &str,
    life: &Life,
) -> Result<(), Error> {
    const SET: &str = "INSERT INTO host_states (host, state, since_ms, boot, old_reason)
         SELECT name, $2, $3, $4, $5 FROM hosts WHERE name = $1
         ON CONFLICT (host) DO UPDATE SET state = excluded.state,
             since_ms = excluded.since_ms, boot = excluded.boot,
             old_reason = excluded.old_reason";
    let boot =
        serde_json::to_string(&life.boot).map_err(|e| Error::unreadable("boot of", host, e))?;
    execute!(transaction, SET, host, life.state.label(), life.since_ms, boot, &life.old_reason)?;
    Ok(())
}
