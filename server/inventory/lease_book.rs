//! The lease book: who holds which address. Reads come from memory, every
//! promise waits for its commit.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use sqlx::Row;
use tokio::sync::{mpsc, oneshot};

use crate::dhcp::table::Table;
use crate::inventory::{Database, database::with_pool};
use crate::model::Lease;

/// How many leases may wait for the database; beyond that, clients are made to ask again.
const WAITING: usize = 16_384;
/// How many leases one commit carries at most.
const BATCH: usize = 1024;

/// What lets a claim replace a stored lease: that one is over, or is the same
/// client's (or the same MAC's, whose host was added, renamed or removed since).
/// A running lease keeps its start.
macro_rules! claim_guard {
    () => {
        "ON CONFLICT (address) DO UPDATE SET client = excluded.client, mac = excluded.mac, \
         subnet = excluded.subnet, state = excluded.state, expires_at = excluded.expires_at, \
         starts_at = CASE WHEN leases.state = 'bound' AND leases.expires_at > excluded.starts_at \
         THEN leases.starts_at ELSE excluded.starts_at END \
         WHERE leases.expires_at <= excluded.starts_at OR leases.state = 'released' \
         OR (leases.state = 'bound' AND (leases.client = excluded.client \
         OR (leases.mac = excluded.mac AND leases.mac <> '00:00:00:00:00:00'))) \
         RETURNING address, starts_at"
    };
}
/// Every lease, in memory and in the database. Cheap to clone.
#[derive(Clone)]
pub struct LeaseBook {
    table: Arc<Mutex<Table>>,
    writer: mpsc::Sender<Write>,
    database: Database,
}

/// Why a lease was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Somebody else holds the address in the database, perhaps by another server.
    #[error("{0} is held by another client")]
    Taken(Ipv4Addr),
    /// The database did not take it.
    #[error("the lease was not stored: {0}")]
    Database(String),
    /// Too many leases wait for the database.
    #[error("too many leases wait for the database")]
    Busy,
}

/// A lease on its way into the database, and who waits for it.
struct Write {
    lease: Lease,
    /// Unix seconds.
    now: i64,
    done: oneshot::Sender<Result<Lease, CommitError>>,
}

impl LeaseBook {
    /// Reads the leases of the database and starts the task that writes them.
    pub async fn open(database: Database) -> Result<Self, sqlx::Error> {
        let mut table = Table::default();
        for lease in read_all(&database).await? {
            table.put(lease);
        }
        let table = Arc::new(Mutex::new(table));
        let (writer, waiting) = mpsc::channel(WAITING);
        tokio::spawn(write_down(database.clone(), table.clone(), waiting));
        Ok(Self { table, writer, database })
    }

    /// The lease of an address, live or not.
    pub fn find(&self, address: Ipv4Addr) -> Option<Lease> {
        self.table().find(address)
    }

    /// Every lease, by address.
    pub fn list(&self) -> Vec<Lease> {
        self.table().list()
    }

    /// The table in memory, for one decision. Never held across an await.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        // A panic elsewhere leaves at worst one half-made offer: better than no DHCP.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no other server can write to the database, so that memory alone
    /// knows which leases run.
    pub fn is_alone(&self) -> bool {
        matches!(self.database, Database::Sqlite(_))
    }

    /// Makes a lease (or ends it, by its state) durable as of `now` (Unix seconds).
    /// The answer comes after the commit, with the lease as it is stored.
    pub fn commit(
        &self,
        lease: Lease,
        now: i64,
    ) -> impl Future<Output = Result<Lease, CommitError>> + Send + use<> {
        let (done, answer) = oneshot::channel();
        let sent = self.writer.try_send(Write { lease, now, done });
        async move {
            sent.map_err(|_| CommitError::Busy)?;
            answer.await.unwrap_or_else(|_| Err(CommitError::Database("the writer stopped".into())))
        }
    }

    /// Ends whatever holds an address: a quarantine or a lease that an operator takes back.
    pub async fn remove(&self, address: Ipv4Addr) -> Result<(), sqlx::Error> {
        const SQL: &str = "DELETE FROM leases WHERE address = $1";
        with_pool!(&self.database, pool =>
            sqlx::query(SQL).bind(address.to_string()).execute(pool).await.map(drop))?;
        self.table().forget(address);
        Ok(())
    }
}

/// Writes leases down, many in one commit: while one runs, the next batch fills by itself.
async fn write_down(
    database: Database,
    table: Arc<Mutex<Table>>,
    mut waiting: mpsc::Receiver<Write>,
) {
    let mut queue: Vec<Write> = Vec::new();
    loop {
        if queue.is_empty() && waiting.recv_many(&mut queue, BATCH).await == 0 {
            return;
        }
        while queue.len() < BATCH {
            let Ok(write) = waiting.try_recv() else { break };
            queue.push(write);
        }
        let batch = take_batch(&mut queue);
        let stored = store(&database, &batch).await;
        if let Ok(stored) = &stored {
            let lost = batch.iter().map(|write| write.lease.address);
            learn(&database, &table, lost.filter(|address| !stored.contains_key(address))).await;
        }
        answer(&table, batch, stored);
    }
}

/// Takes from the queue what one statement can carry: each address once. The
/// rest keeps its order, so that a release comes before the lease that follows it.
fn take_batch(queue: &mut Vec<Write>) -> Vec<Write> {
    let mut seen = HashSet::new();
    let (batch, rest) = std::mem::take(queue)
        .into_iter()
        .partition(|write| seen.len() < BATCH && seen.insert(write.lease.address));
    *queue = rest;
    batch
}

/// Takes what is stored into memory, then tells those who wait.
fn answer(table: &Mutex<Table>, batch: Vec<Write>, stored: Result<Stored, sqlx::Error>) {
    let stored = match stored {
        Ok(stored) => stored,
        Err(error) => {
            let error = CommitError::Database(error.to_string());
            for write in batch {
                let _ = write.done.send(Err(error.clone()));
            }
            return;
        }
    };
    let mut results = Vec::with_capacity(batch.len());
    let mut memory = table.lock().unwrap_or_else(PoisonError::into_inner);
    for Write { mut lease, done, .. } in batch {
        let Some(starts_at) = stored.get(&lease.address) else {
            memory.withdraw(&lease.client);
            results.push((done, Err(CommitError::Taken(lease.address))));
            continue;
        };
        lease.starts_at = *starts_at;
        memory.put(lease.clone());
        results.push((done, Ok(lease)));
    }
    drop(memory);
    for (done, result) in results {
        let _ = done.send(result);
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

/// What was granted of a batch: address and start.
type Stored = HashMap<Ipv4Addr, i64>;

/// Stores a batch in one statement and gives what was granted. A lease that another client holds stays, so that two servers on one
/// database can never both win. This is the one visible difference between the engines.
async fn store(database: &Database, batch: &[Write]) -> Result<Stored, sqlx::Error> {
    let rows: Vec<serde_json::Value> = batch.iter().map(as_json).collect();
    let rows = serde_json::Value::Array(rows).to_string();
    match database {
        Database::Sqlite(sqlite) => {
            let sql = concat!(
                "INSERT INTO leases (address, client, mac, subnet, state, starts_at, expires_at) ",
                "SELECT value->>'address', value->>'client', value->>'mac', value->>'subnet', ",
                "value->>'state', value->>'now', value->>'expires_at' FROM json_each($1) WHERE true ",
                claim_guard!()
            );
            let _turn = sqlite.turn().await;
            let rows = sqlx::query(sql).bind(rows).fetch_all(&sqlite.pool).await?;
            rows.iter().map(|row| granted(row.try_get(0)?, row.try_get(1)?)).collect()
        }
        Database::Postgres(pool) => {
            let sql = concat!(
                "INSERT INTO leases (address, client, mac, subnet, state, starts_at, expires_at) ",
                "SELECT address, client, mac, subnet, state, now, expires_at ",
                "FROM jsonb_to_recordset($1::jsonb) AS claim(address TEXT, client TEXT, mac TEXT, ",
                "subnet TEXT, state TEXT, now BIGINT, expires_at BIGINT) ",
                claim_guard!()
            );
            let rows = sqlx::query(sql).bind(rows).fetch_all(pool).await?;
            rows.iter().map(|row| granted(row.try_get(0)?, row.try_get(1)?)).collect()
        }
    }
}

fn as_json(write: &Write) -> serde_json::Value {
    let lease = &write.lease;
    json!({
        "address": lease.address.to_string(),
        "client": lease.client.to_string(),
        "mac": lease.mac.to_string(),
        "subnet": lease.subnet,
        "state": lease.state.label(),
        "now": write.now,
        "expires_at": lease.expires_at,
    })
}

fn granted(address: String, starts_at: i64) -> Result<(Ipv4Addr, i64), sqlx::Error> {
    Ok((parsed(&address).map_err(|error| sqlx::Error::Decode(error.into()))?, starts_at))
}

/// A row of the table of leases.
type Columns = (String, String, String, String, String, i64, i64);

async fn read_all(database: &Database) -> Result<Vec<Lease>, sqlx::Error> {
    const SQL: &str =
        "SELECT address, client, mac, subnet, state, starts_at, expires_at FROM leases";
    let rows: Vec<Columns> = with_pool!(database, pool =>
        sqlx::query_as(SQL).fetch_all(pool).await)?;
    Ok(rows.into_iter().filter_map(read_lease).collect())
}

/// A stored lease. One spoilt row must not stop every other host from booting.
fn read_lease(
    (address, client, mac, subnet, state, starts_at, expires_at): Columns,
) -> Option<Lease> {
    let lease = (|| {
        Ok::<_, String>(Lease {
            address: parsed(&address)?,
            client: parsed(&client)?,
            mac: parsed(&mac)?,
            subnet,
            state: parsed(&state)?,
            starts_at,
            expires_at,
        })
    })();
    lease.inspect_err(|error| tracing::error!(address, "stored lease is left out: {error}")).ok()
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("\"{text}\": {error}"))
}
