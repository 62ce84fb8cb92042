//! Writes leases, many in one commit: while one runs, the next batch fills by itself.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::statement::{Kept, Stored, read_starts, store};
use super::{CommitError, read_leases};
use crate::inventory::Database;
use crate::leases::table::Table;
use crate::metrics::{DATABASE, LEASE_COMMIT_TIME};
use crate::model::{Lease, LeaseState};

/// How many leases may wait for the database; beyond that, clients are made to ask again.
const MAX_WAITING: usize = 16_384;
/// How many leases one commit carries at most.
const MAX_COMMIT: usize = 1024;

/// How long PostgreSQL may take for a commit.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why leases were not stored.
#[derive(Debug, thiserror::Error)]
enum LeaseStoreError {
    #[error("the database cannot be reached")]
    Unreachable,
    #[error("PostgreSQL took longer than {} s", PATIENCE.as_secs())]
    TimedOut,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// How each lease of a batch ended, in its order.
type Outcomes = Vec<Result<Lease, CommitError>>;

/// Leases that came together, and who waits for how they end.
struct Batch {
    leases: Vec<Lease>,
    /// As of when, in Unix seconds.
    now: i64,
    done: oneshot::Sender<Outcomes>,
}

/// The batches that wait for the database.
#[derive(Clone)]
pub(super) struct Queue {
    batches: mpsc::UnboundedSender<Batch>,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    /// Starts the task that writes; it ends when every clone is gone.
    pub(super) fn start(database: Database, table: Arc<Mutex<Table>>) -> Self {
        let (sender, batches) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer { database, table, batches, waiting: waiting.clone(), kept: None };
        tokio::spawn(writer.run());
        Self { batches: sender, waiting }
    }

    /// Adds leases that are stored together. None when too many wait already.
    pub(super) fn add(&self, leases: Vec<Lease>, now: i64) -> Option<oneshot::Receiver<Outcomes>> {
        let count = leases.len();
        if self.waiting.fetch_add(count, Ordering::Relaxed) + count > MAX_WAITING {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            return None;
        }
        let (done, stored) = oneshot::channel();
        // Fails only when the runtime is gone; who waits learns that by the closed channel.
        let _ = self.batches.send(Batch { leases, now, done });
        Some(stored)
    }
}

/// The task that writes.
struct Writer {
    database: Database,
    table: Arc<Mutex<Table>>,
    batches: mpsc::UnboundedReceiver<Batch>,
    waiting: Arc<AtomicUsize>,
    kept: Kept,
}

impl Writer {
    /// Writes until no sender is left.
    async fn run(mut self) {
        while let Some(first) = self.next_batch().await {
            let mut count = first.leases.len();
            let mut batches = vec![first];
            while count < MAX_COMMIT
                && let Ok(batch) = self.batches.try_recv()
            {
                count += batch.leases.len();
                batches.push(batch);
            }
            self.write(batches).await;
        }
    }

    /// Waits for leases. A database that is being closed gets its connection back.
    async fn next_batch(&mut self) -> Option<Batch> {
        if let (Database::Sqlite(sqlite), true) = (&self.database, self.kept.is_some()) {
            tokio::select! {
                biased;
                batch = self.batches.recv() => return batch,
                () = sqlite.pool.close_event() => self.kept = None,
            }
        }
        self.batches.recv().await
    }

    /// Writes batches in as few commits as possible, each as of one second, and answers them.
    async fn write(&mut self, mut batches: Vec<Batch>) {
        while let Some(now) = batches.first().map(|batch| batch.now) {
            let later = batches.iter().position(|batch| batch.now != now);
            let later = batches.split_off(later.unwrap_or(batches.len()));
            self.write_as_of(now, std::mem::replace(&mut batches, later)).await;
        }
    }

    /// Writes batches of the same second, and answers each when all are complete.
    async fn write_as_of(&mut self, now: i64, batches: Vec<Batch>) {
        let mut waiters = Vec::with_capacity(batches.len());
        let mut leases = Vec::new();
        for batch in batches {
            waiters.push(Waiter { leases: batch.leases.len(), done: batch.done });
            leases.extend(batch.leases);
        }
        let mut failures = vec![None; leases.len()];
        let mut places: Vec<usize> = (0..leases.len()).collect();
        while !places.is_empty() {
            let commit = take_commit(&leases, &mut places);
            self.commit(now, &mut leases, &commit, &mut failures).await;
        }
        let ended = leases.into_iter().zip(failures);
        let mut outcomes = ended.map(|(lease, failure)| failure.map_or(Ok(lease), Err));
        for Waiter { leases, done } in waiters {
            // The service that asked may have stopped.
            let _ = done.send(outcomes.by_ref().take(leases).collect());
        }
    }

    /// Writes the leases at some places in one commit, each address once; notes why some are not
    /// stored.
    async fn commit(
        &mut self,
        now: i64,
        leases: &mut [Lease],
        places: &[usize],
        failures: &mut [Option<CommitError>],
    ) {
        self.waiting.fetch_sub(places.len(), Ordering::Relaxed);
        let begin = Instant::now();
        let rows: Vec<&Lease> = places.iter().map(|place| &leases[*place]).collect();
        let stored = self.store(&rows, now).await;
        LEASE_COMMIT_TIME.observe(begin.elapsed());
        match &stored {
            Ok(stored) => {
                DATABASE.works();
                let lost = rows.iter().map(|lease| lease.address);
                let lost: Vec<_> = lost.filter(|address| !stored.has(*address)).collect();
                learn(&self.database, &self.table, &lost).await;
                self.note_starts(now, leases, places, stored).await;
            }
            Err(LeaseStoreError::Unreachable) => {}
            Err(error) => {
                DATABASE.failed(error);
                // The pool checks whether the connection may be used again.
                self.kept = None;
            }
        }
        let mut memory = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for place in places {
            let lease = &leases[*place];
            failures[*place] = match &stored {
                Err(error) => Some(CommitError::Database(error.to_string())),
                Ok(stored) if stored.has(lease.address) => {
                    memory.put(lease.clone());
                    None
                }
                Ok(_) => {
                    memory.withdraw(&lease.client, lease.nic);
                    Some(CommitError::Taken(lease.address))
                }
            };
        }
    }

    /// Stores leases by one statement. PostgreSQL is not waited for while it is known not to
    /// answer, nor for long before that is known.
    async fn store(&mut self, leases: &[&Lease], now: i64) -> Result<Stored, LeaseStoreError> {
        let stored = store(&self.database, &mut self.kept, leases, now);
        match &self.database {
            _ if DATABASE.is_unreachable() => Err(LeaseStoreError::Unreachable),
            Database::Sqlite(_) => Ok(stored.await?),
            Database::Postgres(_) => timeout(PATIENCE, stored)
                .await
                .map_err(|_| LeaseStoreError::TimedOut)?
                .map_err(Into::into),
        }
    }

    /// Notes when the leases of a commit began.
    async fn note_starts(&self, now: i64, leases: &mut [Lease], places: &[usize], stored: &Stored) {
        let asked;
        let starts = match stored {
            Stored::Some(starts) => starts,
            Stored::All => {
                let unsure = note_known_starts(&self.table, now, leases, places);
                asked = read_starts(&self.database, &unsure).await;
                &asked
            }
        };
        for place in places {
            let lease = &mut leases[*place];
            if let Some(starts_at) = starts.get(&lease.address) {
                lease.starts_at = *starts_at;
            }
        }
    }
}

/// Who waits for a batch that is being written.
struct Waiter {
    /// How many leases it has.
    leases: usize,
    done: oneshot::Sender<Outcomes>,
}

/// Notes when leases began as far as memory knows it, and gives the addresses of the others:
/// of a lease that ends, and where an end that memory knows already was not stored before.
fn note_known_starts(
    table: &Mutex<Table>,
    now: i64,
    leases: &mut [Lease],
    places: &[usize],
) -> Vec<Ipv4Addr> {
    let memory = table.lock().unwrap_or_else(PoisonError::into_inner);
    let mut unsure = Vec::new();
    for place in places {
        let lease = &mut leases[*place];
        if lease.state != LeaseState::Bound || memory.is_ending(lease.address) {
            unsure.push(lease.address);
        }
        if lease.state == LeaseState::Bound {
            lease.starts_at = memory.running_since(lease.address, now).unwrap_or(now);
        }
    }
    unsure
}

/// Takes out the places of what one statement can carry: each address once. The rest keeps its order, so that
/// a release comes before the lease that follows it.
fn take_commit(leases: &[Lease], places: &mut Vec<usize>) -> Vec<usize> {
    let mut seen = HashSet::with_capacity(places.len());
    let (commit, rest) = std::mem::take(places)
        .into_iter()
        .partition(|place| seen.len() < MAX_COMMIT && seen.insert(leases[*place].address));
    *places = rest;
    commit
}

/// Reads the leases that another server on the database made, so that their
/// addresses are not offered again.
async fn learn(database: &Database, table: &Mutex<Table>, taken: &[Ipv4Addr]) {
    if taken.is_empty() {
        return;
    }
    match read_leases(database, taken).await {
        Ok(leases) => {
            let mut memory = table.lock().unwrap_or_else(PoisonError::into_inner);
            leases.into_iter().for_each(|lease| memory.put(lease));
        }
        Err(error) => tracing::warn!("cannot read leases that another server made: {error}"),
    }
}
