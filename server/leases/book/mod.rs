//! The lease book: who holds which address. Reads come from memory, every
//! promise waits for its commit.

mod statement;
mod writer;

use std::fmt::Display;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::inventory::{Database, database::with_pool};
use crate::leases::table::Table;
use crate::model::Lease;
use writer::Queue;

/// Every lease, in memory and in the database. Cheap to clone.
#[derive(Clone)]
pub struct LeaseBook {
    table: Arc<Mutex<Table>>,
    queue: Queue,
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

/// A lease to be made durable, or ended by its state.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The lease.
    pub lease: Lease,
    /// As of when, in Unix seconds.
    pub now: i64,
    /// What its outcome is known by.
    pub number: u64,
}

/// How a claim ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The claim's number.
    pub number: u64,
    /// The lease as it is stored.
    pub outcome: Result<Lease, CommitError>,
}

/// Where the outcomes of claims go, those of one commit together.
pub type Outcomes = mpsc::UnboundedSender<Vec<Ended>>;

impl LeaseBook {
    /// Reads the leases of the database and starts the task that writes them.
    pub async fn open(database: Database) -> Result<Self, sqlx::Error> {
        let mut table = Table::default();
        for lease in read_all(&database).await? {
            table.put(lease);
        }
        let table = Arc::new(Mutex::new(table));
        let queue = Queue::start(database.clone(), table.clone());
        Ok(Self { table, queue, database })
    }

    /// The database behind it.
    pub(super) fn database(&self) -> &Database {
        &self.database
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
        let (to, mut outcome) = mpsc::unbounded_channel();
        self.commit_all(vec![Claim { lease, now, number: 0 }], &to);
        drop(to);
        async move {
            let ended = outcome.recv().await.and_then(|mut ended| ended.pop());
            let stopped = || Err(CommitError::Database("the writer stopped".into()));
            ended.map_or_else(stopped, |ended| ended.outcome)
        }
    }

    /// Makes leases durable, all at once; each outcome comes after the commit.
    pub fn commit_all(&self, claims: Vec<Claim>, to: &Outcomes) {
        self.queue.add(claims, to);
    }

    /// Ends whatever holds an address: a quarantine or a lease that an operator takes back.
    pub async fn remove(&self, address: Ipv4Addr) -> Result<(), sqlx::Error> {
        const SQL: &str = "DELETE FROM leases WHERE address = $1";
        const TELL: &str =
            "INSERT INTO lease_removals (address) VALUES ($1) ON CONFLICT DO NOTHING";
        match &self.database {
            Database::Sqlite(sqlite) => {
                let _turn = sqlite.turn().await;
                sqlx::query(SQL).bind(address.to_string()).execute(&sqlite.pool).await?;
                // For the server, if it is another process that removes the lease.
                sqlx::query(TELL).bind(address.to_string()).execute(&sqlite.pool).await?;
            }
            Database::Postgres(pool) => {
                sqlx::query(SQL).bind(address.to_string()).execute(pool).await?;
            }
        }
        self.table().forget(address);
        Ok(())
    }
}

/// A row of the table of leases.
pub(super) type Columns = (String, String, String, String, String, i64, i64);

async fn read_all(database: &Database) -> Result<Vec<Lease>, sqlx::Error> {
    const SQL: &str =
        "SELECT address, client, mac, subnet, state, starts_at, expires_at FROM leases";
    let rows: Vec<Columns> = with_pool!(database, pool =>
        sqlx::query_as(SQL).fetch_all(pool).await)?;
    Ok(rows.into_iter().filter_map(read_lease).collect())
}

/// A stored lease. One spoilt row must not stop every other host from booting.
pub(super) fn read_lease(
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
