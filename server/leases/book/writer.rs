//! Writes leases down, many in one commit: while one runs, the next batch fills by itself.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::statement::{Kept, Stored, read_starts, store};
use super::{Claim, Columns, CommitError, Ended, Outcomes, read_lease};
use crate::inventory::{Database, database::with_pool};
use crate::leases::table::Table;
use crate::metrics::DATABASE;
use crate::model::LeaseState;

/// How many leases may wait for the database; beyond that, clients are made to ask again.
const WAITING: usize = 16_384;
/// How many leases one commit carries at most.
const BATCH: usize = 1024;

/// A claim on its way into the database, and who waits for it.
pub(super) struct Write {
    pub(super) claim: Claim,
    to: Outcomes,
}

/// The claims that wait for the database.
#[derive(Clone)]
pub(super) struct Queue {
    claims: mpsc::UnboundedSender<Vec<Write>>,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    /// Starts the task that writes; it ends when every clone is gone.
    pub(super) fn start(database: Database, table: Arc<Mutex<Table>>) -> Self {
        let (sender, claims) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer {
            database,
            table,
            claims,
            queue: Vec::new(),
            waiting: waiting.clone(),
            kept: None,
        };
        tokio::spawn(writer.run());
        Self { claims: sender, waiting }
    }

    /// Lets claims wait together, unless too many do already.
    pub(super) fn add(&self, claims: Vec<Claim>, to: &Outcomes) {
        let count = claims.len();
        if self.waiting.fetch_add(count, Ordering::Relaxed) + count > WAITING {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            let busy =
                |claim: Claim| Ended { number: claim.number, outcome: Err(CommitError::Busy) };
            let _ = to.send(claims.into_iter().map(busy).collect());
            return;
        }
        let writes = claims.into_iter().map(|claim| Write { claim, to: to.clone() });
        // Fails only when the runtime is gone; who waits is told so by the closed channel.
        let _ = self.claims.send(writes.collect());
    }
}

/// The task that writes.
struct Writer {
    database: Database,
    table: Arc<Mutex<Table>>,
    claims: mpsc::UnboundedReceiver<Vec<Write>>,
    /// What was taken out of `claims` and is not written yet.
    queue: Vec<Write>,
    waiting: Arc<AtomicUsize>,
    kept: Kept,
}

impl Writer {
    /// Writes until nobody can send claims any more.
    async fn run(mut self) {
        loop {
            if self.queue.is_empty() {
                match self.next_claims().await {
                    Some(writes) => self.queue = writes,
                    None => return,
                }
            }
            self.write_batch().await;
        }
    }

    /// Writes what waits, as much of it as one statement carries.
    async fn write_batch(&mut self) {
        while self.queue.len() < BATCH {
            let Ok(writes) = self.claims.try_recv() else { break };
            self.queue.extend(writes);
        }
        let mut batch = take_batch(&mut self.queue);
        self.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        let stored = store(&self.database, &mut self.kept, &batch).await;
        match &stored {
            Ok(stored) => {
                let lost = batch.iter().map(|write| write.claim.lease.address);
                let lost = lost.filter(|address| !stored.has(*address));
                learn(&self.database, &self.table, lost).await;
                self.note_starts(&mut batch, stored).await;
            }
            // The pool looks whether it may be used again.
            Err(_) => self.kept = None,
        }
        answer(&self.table, batch, stored);
    }

    /// Waits for claims. A database that is being closed gets its connection back.
    async fn next_claims(&mut self) -> Option<Vec<Write>> {
        if let (Database::Sqlite(sqlite), true) = (&self.database, self.kept.is_some()) {
            tokio::select! {
                biased;
                writes = self.claims.recv() => return writes,
                () = sqlite.pool.close_event() => self.kept = None,
            }
        }
        self.claims.recv().await
    }

    /// Notes when the leases of a stored batch began.
    async fn note_starts(&self, batch: &mut [Write], stored: &Stored) {
        let asked;
        let starts = match stored {
            Stored::Some(starts) => starts,
            Stored::All => {
                let unsure = note_known_starts(&self.table, batch);
                asked = read_starts(&self.database, &unsure).await;
                &asked
            }
        };
        for Claim { lease, .. } in batch.iter_mut().map(|write| &mut write.claim) {
            if let Some(starts_at) = starts.get(&lease.address) {
                lease.starts_at = *starts_at;
            }
        }
    }
}

/// Notes when leases began as far as memory knows it, and gives the addresses of the others:
/// of a lease that ends, and where an end that memory knows already was not stored before.
fn note_known_starts(table: &Mutex<Table>, batch: &mut [Write]) -> Vec<Ipv4Addr> {
    let memory = table.lock().unwrap_or_else(PoisonError::into_inner);
    let mut unsure = Vec::new();
    for Claim { lease, now, .. } in batch.iter_mut().map(|write| &mut write.claim) {
        if lease.state != LeaseState::Bound || memory.is_ending(lease.address) {
            unsure.push(lease.address);
        }
        if lease.state == LeaseState::Bound {
            lease.starts_at = memory.running_since(lease.address, *now).unwrap_or(*now);
        }
    }
    unsure
}

/// Takes from the queue what one statement can carry: each address once. The
/// rest keeps its order, so that a release comes before the lease that follows it.
fn take_batch(queue: &mut Vec<Write>) -> Vec<Write> {
    let mut seen = HashSet::with_capacity(queue.len());
    let (batch, rest) = std::mem::take(queue)
        .into_iter()
        .partition(|write| seen.len() < BATCH && seen.insert(write.claim.lease.address));
    *queue = rest;
    batch
}

/// Takes what is stored into memory, then tells those who wait.
fn answer(table: &Mutex<Table>, batch: Vec<Write>, stored: Result<Stored, sqlx::Error>) {
    match &stored {
        Ok(_) => DATABASE.works(),
        Err(error) => DATABASE.failed(error),
    }
    let mut posts: Vec<(Outcomes, Vec<Ended>)> = Vec::with_capacity(1);
    let mut post = |to: Outcomes, ended: Ended| match posts
        .iter_mut()
        .find(|(other, _)| other.same_channel(&to))
    {
        Some((_, list)) => list.push(ended),
        None => posts.push((to, vec![ended])),
    };
    let mut memory = table.lock().unwrap_or_else(PoisonError::into_inner);
    for Write { claim: Claim { lease, number, .. }, to } in batch {
        let outcome = match &stored {
            Err(error) => Err(CommitError::Database(error.to_string())),
            Ok(stored) if stored.has(lease.address) => {
                memory.put(lease.clone());
                Ok(lease)
            }
            Ok(_) => {
                memory.withdraw(&lease.client);
                Err(CommitError::Taken(lease.address))
            }
        };
        post(to, Ended { number, outcome });
    }
    drop(memory);
    for (to, ended) in posts {
        // Nobody waits any more: the service stopped.
        let _ = to.send(ended);
    }
}

/// Reads the leases that another server on the database made, so that their
/// addresses are not offered again.
async fn learn(database: &Database, table: &Mutex<Table>, taken: impl Iterator<Item = Ipv4Addr>) {
    const SQL: &str = "SELECT address, client, mac, subnet, state, starts_at, expires_at \
                       FROM leases WHERE address = $1";
    for address in taken {
        let row: Result<Option<Columns>, _> = with_pool!(database, pool =>
            sqlx::query_as(SQL).bind(address.to_string()).fetch_optional(pool).await);
        match row {
            Ok(row) => {
                let lease = row.and_then(read_lease);
                let mut memory = table.lock().unwrap_or_else(PoisonError::into_inner);
                lease.into_iter().for_each(|lease| memory.put(lease));
            }
            Err(error) => tracing::warn!("the lease of {address} cannot be read: {error}"),
        }
    }
}
