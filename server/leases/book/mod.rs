//! The lease book: who holds which address. Reads come from memory, every
//! promise waits for its commit.

mod statement;
mod writer;

use std::fmt::Display;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::inventory::{Database, database::with_pool};
use crate::leases::table::{Allocation, Table};
use crate::model::{Lease, Site};
use writer::Queue;

/// Every lease, in memory and in the database. Cheap to clone.
#[derive(Clone)]
pub struct LeaseBook {
    table: Arc<Mutex<Table>>,
    queue: Queue,
    database: Database,
}

/// Why a lease was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Another client holds the address in the database, perhaps by another server.
    #[error("{0} is held by another client")]
    Taken(Ipv4Addr),
    /// The driver's reason.
    #[error("the lease was not stored: {0}")]
    Database(String),
    /// It is still being stored; what memory knows is used instead.
    #[error("the lease is still being stored")]
    Slow,
    /// See [`writer`]: the client asks again by itself.
    #[error("too many leases are waiting for the database")]
    Busy,
}

impl CommitError {
    fn stopped() -> Self {
        Self::Database("the server is stopping".to_owned())
    }
}

impl LeaseBook {
    /// Reads the leases of the database and starts the task that writes them.
    pub async fn open(database: Database) -> Result<Self, sqlx::Error> {
        let database = database.for_leases();
        let allocation = match database {
            Database::Sqlite(_) => Allocation::InTurn,
            Database::Postgres(_) => Allocation::ByClient,
        };
        let mut table = Table::new(allocation);
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

    /// The table at `now` (Unix seconds) and for a revision of the site, for one decision: what
    /// has run out by then is free. Other rooms have no other way to it. Never held across an
    /// await.
    pub fn at(&self, revision: i64, site: &Site, now: i64) -> MutexGuard<'_, Table> {
        let mut table = self.table();
        table.bring_up_to(revision, site, now);
        table
    }

    /// Sets this server's own addresses on an interface, which no client may have. Gives those on
    /// all interfaces.
    pub fn set_own_addresses(&self, interface: &str, own: Vec<Ipv4Addr>) -> Vec<Ipv4Addr> {
        let mut table = self.table();
        table.set_own_addresses(interface, own);
        table.own_addresses()
    }

    /// Waits until no decision is being made: for ever if the thread that makes one hangs.
    pub fn wait_for_decision(&self) {
        drop(self.table());
    }

    /// Another table in place of the one in memory, as after a start of the server.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn replace_table(&self, table: Table) {
        *self.table() = table;
    }

    /// The table as it is, for what depends neither on the time nor on the site.
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
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
        let stored = self.commit_all(vec![lease], now);
        async move { stored.await.pop().unwrap_or_else(|| Err(CommitError::stopped())) }
    }

    /// Makes leases durable as of `now` (Unix seconds). Gives how each ended, in the same order,
    /// after the commit of the last.
    pub fn commit_all(
        &self,
        leases: Vec<Lease>,
        now: i64,
    ) -> impl Future<Output = Vec<Result<Lease, CommitError>>> + Send + use<> {
        let count = leases.len();
        let stored = self.queue.add(leases, now);
        async move {
            match stored {
                Some(stored) => {
                    stored.await.unwrap_or_else(|_| vec![Err(CommitError::stopped()); count])
                }
                None => vec![Err(CommitError::Busy); count],
            }
        }
    }

    /// Tells the server about leases that this process has stored, if another process serves.
    /// PostgreSQL does so by itself.
    pub async fn announce(&self, addresses: &[Ipv4Addr]) -> Result<(), sqlx::Error> {
        const TELL: &str = "INSERT INTO lease_removals (address) \
                            SELECT value FROM json_each($1) WHERE true ON CONFLICT DO NOTHING";
        if let Database::Sqlite(sqlite) = &self.database {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let rows = serde_json::to_string(&addresses)
                .map_err(|error| sqlx::Error::Encode(error.into()))?;
            let _turn = sqlite.turn().await;
            sqlx::query(TELL).bind(rows).execute(&sqlite.pool).await?;
        }
        Ok(())
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
            Database::Postgres(postgres) => {
                let connections = postgres.connections();
                let removal = sqlx::query(SQL).bind(address.to_string());
                connections.wait_for(removal.execute(&connections.pool)).await?;
            }
        }
        self.table().forget(address);
        Ok(())
    }
}

/// A row of the table of leases.
#[derive(sqlx::FromRow)]
struct LeaseRow {
    address: String,
    client: String,
    nic: String,
    subnet: String,
    state: String,
    starts_at: i64,
    expires_at: i64,
    taken_over: bool,
}

/// A column that does not hold what it should.
#[derive(Debug, thiserror::Error)]
#[error("invalid {column} \"{text}\" in the table of leases: {reason}")]
struct InvalidColumn {
    column: &'static str,
    text: String,
    reason: String,
}

impl TryFrom<LeaseRow> for Lease {
    type Error = InvalidColumn;

    fn try_from(row: LeaseRow) -> Result<Self, InvalidColumn> {
        let LeaseRow { address, client, nic, subnet, state, starts_at, expires_at, taken_over } =
            row;
        Ok(Self {
            address: parse_column("address", &address)?,
            client: parse_column("client", &client)?,
            nic: Some(nic)
                .filter(|nic| !nic.is_empty())
                .map(|nic| parse_column("nic", &nic))
                .transpose()?,
            subnet,
            state: parse_column("state", &state)?,
            starts_at,
            expires_at,
            taken_over,
        })
    }
}

fn parse_column<T: FromStr<Err: Display>>(
    column: &'static str,
    text: &str,
) -> Result<T, InvalidColumn> {
    text.parse().map_err(|error: T::Err| InvalidColumn {
        column,
        text: text.to_owned(),
        reason: error.to_string(),
    })
}

/// What a [`LeaseRow`] is read by; a condition may follow.
macro_rules! select_leases {
    () => {
        "SELECT address, client, nic, subnet, state, starts_at, expires_at, taken_over FROM leases"
    };
}
/// Every row.
const SELECT_LEASES: &str = select_leases!();

/// Every lease in the database.
pub(super) async fn read_all(database: &Database) -> Result<Vec<Lease>, sqlx::Error> {
    let rows: Vec<LeaseRow> = with_pool!(database, pool =>
        sqlx::query_as(SELECT_LEASES).fetch_all(pool).await)?;
    Ok(rows.into_iter().filter_map(read_lease).collect())
}

/// The leases that these addresses have in the database.
pub(super) async fn read_leases(
    database: &Database,
    addresses: &[Ipv4Addr],
) -> sqlx::Result<Vec<Lease>> {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let rows: Vec<LeaseRow> = match database {
        Database::Sqlite(sqlite) => {
            const SQL: &str =
                concat!(select_leases!(), " WHERE address IN (SELECT value FROM json_each($1))");
            let texts =
                serde_json::to_string(&texts).map_err(|error| sqlx::Error::Encode(error.into()))?;
            sqlx::query_as(SQL).bind(texts).fetch_all(&sqlite.pool).await?
        }
        Database::Postgres(postgres) => {
            const SQL: &str = concat!(select_leases!(), " WHERE address = ANY($1)");
            let connections = postgres.connections();
            let read = sqlx::query_as(SQL).bind(texts).fetch_all(&connections.pool);
            connections.wait_for(read).await?
        }
    };
    Ok(rows.into_iter().filter_map(read_lease).collect())
}

/// A stored lease. One corrupt row must not keep every other host from booting.
fn read_lease(row: LeaseRow) -> Option<Lease> {
    Lease::try_from(row).inspect_err(|error| tracing::error!("skipped a lease: {error}")).ok()
}
