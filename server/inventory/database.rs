//! SQLite or PostgreSQL behind one enum; each query is written once, with `$1`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sqlx::Connection;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::postgres_tls;
use super::primary::{Connections, Postgres, is_standby};
use crate::metrics::DATABASE;

/// How often SQLite's log is moved into the file.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);
/// How often SQLite's file is looked at and PostgreSQL is asked whether it answers, and how long that may take: an outage is
/// known after twice as long.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The database that is open.
#[derive(Clone, Debug)]
pub enum Database {
    /// One file, the default.
    Sqlite(Sqlite),
    /// A server that several rackstraps may share.
    Postgres(Postgres),
}

/// An open SQLite file.
#[derive(Clone, Debug)]
pub struct Sqlite {
    /// Connections whose commits are on the disk when they return.
    pub pool: SqlitePool,
    /// A connection whose commits may be lost in a power cut, though never in part: they
    /// wait for no disk.
    log: SqlitePool,
    writing: Arc<Mutex<()>>,
    file: Option<DatabaseFile>,
}

/// The file that was opened: another one of the same name, or none, is not it.
#[derive(Clone, Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl DatabaseFile {
    /// The file as it is now.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        Ok(Self { path: path.to_owned(), device, inode })
    }

    /// Why what is written goes nowhere: a file that was removed or replaced is written on by
    /// whoever has it open, and is gone with them.
    fn failure(&self) -> Option<String> {
        let path = self.path.display();
        match Self::of(&self.path) {
            Ok(now) if (now.device, now.inode) == (self.device, self.inode) => None,
            Ok(_) => Some(format!("{path} was replaced while it was open: restart the server")),
            Err(error) => Some(format!("{path} was removed while it was open: {error}")),
        }
    }
}

impl Sqlite {
    /// `file` is that of the database, unless it is in memory.
    pub(super) fn new(pool: SqlitePool, log: SqlitePool, file: Option<DatabaseFile>) -> Self {
        Self { pool, log, writing: Arc::default(), file }
    }

    /// Waits for one's turn to write. SQLite has one writer at a time and lets the others
    /// look again in steps of up to 100 ms; here they queue, and go on at once.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        self.writing.clone().lock_owned().await
    }

    async fn begin(&self, pool: &SqlitePool) -> sqlx::Result<Transaction> {
        let turn = self.turn().await;
        if DATABASE.is_unreachable() {
            let reason = DATABASE.failure().unwrap_or_default();
            return Err(sqlx::Error::Io(std::io::Error::other(reason)));
        }
        // IMMEDIATE: a read that turns into a write later would fail as SQLITE_BUSY.
        Ok(Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?, Some(turn)))
    }
}

/// Evaluates `$body`, whose value is a `sqlx::Result`, with `$pool` bound to whichever pool is open.
macro_rules! with_pool {
    ($db:expr, $pool:ident => $body:expr) => {
        match $db {
            $crate::inventory::Database::Sqlite(sqlite) => {
                let $pool = &sqlite.pool;
                $body
            }
            $crate::inventory::Database::Postgres(postgres) => {
                let connections = postgres.connections();
                let $pool = &connections.pool;
                connections.wait_for(async { $body }).await
            }
        }
    };
}
pub(crate) use with_pool;

impl Database {
    /// Begins a transaction that sees one state of the database throughout.
    pub(crate) async fn begin_reading(&self) -> sqlx::Result<Transaction> {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(match self {
            Self::Sqlite(sqlite) => Transaction::Sqlite(sqlite.pool.begin().await?, None),
            Self::Postgres(postgres) => Transaction::begin(postgres, SNAPSHOT).await?,
        })
    }

    /// Begins a transaction that changes the site. There is one at a time on a database,
    /// whichever process asks; readers do not wait for it.
    pub(crate) async fn begin_changing(&self) -> sqlx::Result<Transaction> {
        match self {
            Self::Sqlite(sqlite) => sqlite.begin(&sqlite.pool).await,
            Self::Postgres(postgres) => {
                let mut transaction = Transaction::begin(postgres, "BEGIN").await?;
                execute!(&mut transaction, "LOCK TABLE revisions IN EXCLUSIVE MODE")?;
                Ok(transaction)
            }
        }
    }

    /// Begins a transaction for writing rows that no invariant of the site hangs on, and
    /// of which a power cut may take the last seconds.
    pub(crate) async fn begin_writing(&self) -> sqlx::Result<Transaction> {
        match self {
            Self::Sqlite(sqlite) => sqlite.begin(&sqlite.log).await,
            Self::Postgres(postgres) => Transaction::begin(postgres, "BEGIN").await,
        }
    }

    /// Whether a change could be written now. Nothing is.
    pub async fn check_writable(&self) -> sqlx::Result<()> {
        let mut transaction = self.begin_changing().await?;
        // A row of nothing: a file that cannot be written says so only when it is.
        let touched = execute!(&mut transaction, "UPDATE racks SET name = name");
        transaction.roll_back().await?;
        touched.map(drop)
    }

    /// How many connections others have to a PostgreSQL database. Of SQLite nobody can tell.
    ///
    /// # Errors
    /// The database's.
    pub async fn other_connections(&self) -> sqlx::Result<i64> {
        const SQL: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND backend_type = 'client backend' AND pid <> ALL($1)";
        const OWN: &str = "SELECT pg_backend_pid()";
        let Self::Postgres(postgres) = self else { return Ok(0) };
        let mut connection = postgres.pool().acquire().await?;
        let own: i32 = sqlx::query_scalar(OWN).fetch_one(&mut *connection).await?;
        sqlx::query_scalar(SQL).bind(vec![own]).fetch_one(&mut *connection).await
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Sqlite(sqlite) => sqlite.pool.is_closed(),
            Self::Postgres(postgres) => postgres.pool().is_closed(),
        }
    }

    /// Moves what SQLite's write-ahead log holds into the file as far as nobody reads it, so that
    /// a copy of the file alone is a recent inventory. Nobody waits for it.
    pub async fn checkpoint(&self) {
        let Self::Sqlite(sqlite) = self else { return };
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&sqlite.log).await
        {
            tracing::warn!("cannot move the database's log into its file: {error}");
        }
    }

    /// Until `stop`: moves SQLite's log into the file, looks whether it is still the file that was
    /// opened, and asks whether PostgreSQL answers, so
    /// that an outage is known before a request has to wait for it.
    pub(crate) async fn run_upkeep(self, stop: CancellationToken) -> std::io::Result<()> {
        let upkeep = async {
            match &self {
                Self::Sqlite(sqlite) => loop {
                    for _ in 0..CHECKPOINT_EVERY.as_secs() {
                        tokio::time::sleep(ASK_EVERY).await;
                        let failure = sqlite.file.as_ref().and_then(DatabaseFile::failure);
                        DATABASE.reached(failure.as_deref());
                    }
                    self.checkpoint().await;
                },
                Self::Postgres(postgres) => ask_postgres(postgres).await,
            }
        };
        stop.run_until_cancelled(upkeep).await;
        Ok(())
    }

    /// Closes every connection; what was committed stays. SQLite's log is moved into the file.
    pub async fn close(&self) {
        self.checkpoint().await;
        match self {
            Self::Sqlite(sqlite) => {
                sqlite.log.close().await;
                sqlite.pool.close().await;
            }
            Self::Postgres(postgres) => postgres.pool().close().await,
        }
    }
}

/// Whether a connection of the pool may be used again. A full disk makes SQLite roll back
/// by itself; sqlx then fails to, takes the connection to be inside a transaction indefinitely,
/// and refuses to begin another one on it.
pub(super) fn is_sound(
    connection: &mut SqliteConnection,
    _: PoolConnectionMetadata,
) -> BoxFuture<'_, sqlx::Result<bool>> {
    let sound = !connection.is_in_transaction();
    Box::pin(async move { Ok(sound) })
}

/// How soon a server that was found to be the primary is asked.
const ASK_ANOTHER: Duration = Duration::from_millis(20);
/// How long PostgreSQL may be away until its connections are given up.
const OUTAGE: Duration = Duration::from_secs(5);

/// Asks PostgreSQL once a second by a connection of its own, which has to wait for nobody and
/// whose errors name their cause. Of several servers another is asked when one does not answer or takes
/// no changes. Ends never.
async fn ask_postgres(postgres: &Postgres) {
    let (mut connection, mut away_since) = (None, None::<Instant>);
    let mut known = None::<ServerStart>;
    loop {
        let failure = match timeout(ASK_EVERY, ask(&mut connection, postgres)).await {
            Ok(Ok(answered)) => {
                let away = away_since.take().map(|since| since.elapsed());
                // After a failure before the first answer, the connections may be to any of them.
                let is_other = match known.replace(answered.clone()) {
                    Some(before) => before != answered,
                    None => away.is_some(),
                };
                let was_away = away.is_some_and(|away| away > OUTAGE);
                // One that was slow for a moment still has its connections.
                if is_other || was_away {
                    postgres.renew();
                }
                DATABASE.reached(None);
                tokio::time::sleep(ASK_EVERY).await;
                continue;
            }
            Ok(Err(error)) => postgres_tls::refusal(&error).unwrap_or_else(|| error.to_string()),
            Err(_) => "PostgreSQL does not answer".to_owned(),
        };
        connection = None;
        away_since.get_or_insert_with(Instant::now);
        // Known before another server is looked for.
        DATABASE.reached(Some(&failure));
        match postgres.find_primary().await {
            Ok(true) => tokio::time::sleep(ASK_ANOTHER).await,
            Ok(false) => tokio::time::sleep(ASK_EVERY).await,
            Err(error) => {
                DATABASE.reached(Some(&error.to_string()));
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }
}

/// When a PostgreSQL server was started, to the microsecond: another one behind the same address
/// was started at another time.
type ServerStart = String;

async fn ask(
    connection: &mut Option<PgConnection>,
    postgres: &Postgres,
) -> sqlx::Result<ServerStart> {
    const STARTED: &str = "SELECT pg_postmaster_start_time()::text";
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(PgConnection::connect_with(&postgres.options()).await?),
    };
    match is_standby(connection).await? {
        true => Err(std::io::Error::other("PostgreSQL is a standby: it takes no changes").into()),
        false => sqlx::query_scalar(STARTED).fetch_one(connection).await,
    }
}

/// A transaction on whichever database is open; dropped without a commit, it is rolled back.
pub(crate) enum Transaction {
    /// On SQLite, with the turn to write if it writes.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>, Option<OwnedMutexGuard<()>>),
    /// On PostgreSQL, by one of the connections.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>, Arc<Connections>),
}

/// Evaluates `$body`, whose value is a `sqlx::Result`, with `$connection` bound to the connection of a
/// [`Transaction`].
macro_rules! with_connection {
    ($transaction:expr, $connection:ident => $body:expr) => {
        match $transaction {
            $crate::inventory::database::Transaction::Sqlite(inner, _) => {
                let $connection = &mut **inner;
                $body
            }
            $crate::inventory::database::Transaction::Postgres(inner, connections) => {
                let $connection = &mut **inner;
                connections.wait_for(async { $body }).await
            }
        }
    };
}
pub(crate) use with_connection;

/// Runs `$sql` in a transaction with the values bound in order; how many rows it touched.
macro_rules! execute {
    ($transaction:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::inventory::database::with_connection!($transaction, connection =>
            sqlx::query($sql)$(.bind($value))*
                .execute(connection)
                .await
                .map(|done| done.rows_affected()))
    };
}
pub(crate) use execute;

/// Adds `$rows` in a transaction, several hundred by a statement `$head VALUES ... $tail`.
macro_rules! insert_rows {
    ($transaction:expr, $head:expr, $rows:expr, |$row:pat_param| [$($value:expr),* $(,)?], $tail:expr) => {{
        let rows = $rows;
        // SQLite allows 32,766 bound values a statement, PostgreSQL 65,535.
        for chunk in rows.chunks(500) {
            $crate::inventory::database::with_connection!($transaction, connection => {
                let mut builder = sqlx::QueryBuilder::new($head);
                builder.push_values(chunk, |mut values, $row| { $(values.push_bind($value);)* });
                builder.push($tail);
                builder.build().persistent(false).execute(connection).await.map(drop)
            })?;
        }
    }};
}
pub(crate) use insert_rows;

impl Transaction {
    async fn begin(postgres: &Postgres, statement: &'static str) -> sqlx::Result<Self> {
        let connections = postgres.connections();
        let begun = connections.wait_for(connections.pool.begin_with(statement)).await?;
        Ok(Self::Postgres(begun, connections))
    }

    /// Makes everything done in it last.
    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(inner, _turn) => inner.commit().await,
            Self::Postgres(inner, connections) => connections.wait_for(inner.commit()).await,
        }
    }

    /// Undoes everything done in it, and waits until that is so.
    pub(crate) async fn roll_back(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(inner, _turn) => inner.rollback().await,
            Self::Postgres(inner, connections) => connections.wait_for(inner.rollback()).await,
        }
    }
}
