//! Writes leases, many in one commit: while one runs, the next batch fills by itself.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::statement::{Kept, Stored, read_starts, store};
use super::{CommitError, LeaseRow, read_lease};
use crate::inventory::{Database, database::with_pool};
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
enum StoreError {
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

/// One lease on its way into the database.
pub(super) struct Write {
    pub(super) lease: Lease,
    /// As of when, in Unix seconds.
    pub(super) now: i64,
    /// Its batch, and its place there.
    batch: usize,
    place: usize,
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

    /// Writes batches in as few commits as possible, and answers each when it is complete.
    async fn write(&mut self, batches: Vec<Batch>) {
        let mut waiters = Vec::with_capacity(batches.len());
        let mut writes = Vec::new();
        for (batch, Batch { leases, now, done }) in batches.into_iter().enumerate() {
            waiters.push(Waiter { outcomes: vec![None; leases.len()], done });
            let places = leases.into_iter().enumerate();
            writes.extend(places.map(|(place, lease)| Write { lease, now, batch, place }));
        }
        while !writes.is_empty() {
            self.commit(take_commit(&mut writes), &mut waiters).await;
        }
        for Waiter { outcomes, done } in waiters {
            // The service that asked may have stopped.
            let _ = done.send(outcomes.into_iter().flatten().collect());
        }
    }

    /// Writes leases in one commit, each address once.
    async fn commit(&mut self, mut writes: Vec<Write>, waiters: &mut [Waiter]) {
        self.waiting.fetch_sub(writes.len(), Ordering::Relaxed);
        let begin = Instant::now();
        let stored = self.store(&writes).await;
        LEASE_COMMIT_TIME.observe(begin.elapsed());
        match &stored {
            Ok(stored) => {
                DATABASE.works();
                let lost = writes.iter().map(|write| write.lease.address);
                let lost = lost.filter(|address| !stored.has(*address));
                learn(&self.database, &self.table, lost).await;
                self.note_starts(&mut writes, stored).await;
            }
            Err(StoreError::Unreachable) => {}
            Err(error) => {
                DATABASE.failed(error);
                // The pool checks whether the connection may be used again.
                self.kept = None;
            }
        }
        let mut memory = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for Write { lease, batch, place, .. } in writes {
            let outcome = match &stored {
                Err(error) => Err(CommitError::Database(error.to_string())),
                Ok(stored) if stored.has(lease.address) => {
                    memory.put(lease.clone());
                    Ok(lease)
                }
                Ok(_) => {
                    memory.withdraw(&lease.client, lease.mac);
                    Err(CommitError::Taken(lease.address))
                }
            };
            waiters[batch].outcomes[place] = Some(outcome);
        }
    }

    /// Stores leases by one statement. PostgreSQL is not waited for while it is known not to
    /// answer, nor for long before that is known.
    async fn store(&mut self, writes: &[Write]) -> Result<Stored, StoreError> {
        let stored = store(&self.database, &mut self.kept, writes);
        match &self.database {
            _ if DATABASE.is_unreachable() => Err(StoreError::Unreachable),
            Database::Sqlite(_) => Ok(stored.await?),
            Database::Postgres(_) => timeout(PATIENCE, stored)
                .await
                .map_err(|_| StoreError::TimedOut)?
                .map_err(Into::into),
        }
    }

    /// Notes when the leases of a commit began.
    async fn note_starts(&self, writes: &mut [Write], stored: &Stored) {
        let asked;
        let starts = match stored {
            Stored::Some(starts) => starts,
            Stored::All => {
                let unsure = note_known_starts(&self.table, writes);
                asked = read_starts(&self.database, &unsure).await;
                &asked
            }
        };
        for Write { lease, .. } in writes.iter_mut() {
            if let Some(starts_at) = starts.get(&lease.address) {
                lease.starts_at = *starts_at;
            }
        }
    }
}

/// A batch whose leases are being written.
struct Waiter {
    outcomes: Vec<Option<Result<Lease, CommitError>>>,
    done: oneshot::Sender<Outcomes>,
}

/// Notes when leases began as far as memory knows it, and gives the addresses of the others:
/// of a lease that ends, and where an end that memory knows already was not stored before.
fn note_known_starts(table: &Mutex<Table>, writes: &mut [Write]) -> Vec<Ipv4Addr> {
    let memory = table.lock().unwrap_or_else(PoisonError::into_inner);
    let mut unsure = Vec::new();
    for Write { lease, now, .. } in writes.iter_mut() {
        if lease.state != LeaseState::Bound || memory.is_ending(lease.address) {
            unsure.push(lease.address);
        }
        if lease.state == LeaseState::Bound {
            lease.starts_at = memory.running_since(lease.address, *now).unwrap_or(*now);
        }
    }
    unsure
}

/// Takes out what one statement can carry: each address once. The rest keeps its order, so that
/// a release comes before the lease that follows it.
fn take_commit(writes: &mut Vec<Write>) -> Vec<Write> {
    let mut seen = HashSet::with_capacity(writes.len());
    let (commit, rest) = std::mem::take(writes)
        .into_iter()
        .partition(|write| seen.len() < MAX_COMMIT && seen.insert(write.lease.address));
    *writes = rest;
    commit
}

/// Reads the leases that another server on the database made, so that their
/// addresses are not offered again.
async fn learn(database: &Database, table: &Mutex<Table>, taken: impl Iterator<Item = Ipv4Addr>) {
    const SQL: &str = "SELECT address, client, mac, subnet, state, starts_at, expires_at \
                       FROM leases WHERE address = $1";
    for address in taken {
        let row: Result<Option<LeaseRow>, _> = with_pool!(database, pool =>
            sqlx::query_as(SQL).bind(address.to_string()).fetch_optional(pool).await);
        match row {
            Ok(row) => {
                let lease = row.and_then(read_lease);
                let mut memory = table.lock().unwrap_or_else(PoisonError::into_inner);
                lease.into_iter().for_each(|lease| memory.put(lease));
            }
            Err(error) => tracing::warn!("cannot read the lease of {address}: {error}"),
        }
    }
}
