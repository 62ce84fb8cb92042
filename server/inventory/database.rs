//! SQLite or PostgreSQL behind one enum; each query is written once, with `$1`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::Connection;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The database that is open.
#[derive(Clone, Debug)]
pub enum Database {
    /// One file, the default.
    Sqlite(Sqlite),
    /// A server that several rackstraps may share.
    Postgres(PgPool),
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
}

/// How many pages the write-ahead log holds before SQLite moves them into the database.
const WAL_PAGES: u32 = 4000;

impl Sqlite {
    /// Waits for one's turn to write. SQLite has one writer at a time and lets the others
    /// look again in steps of up to 100 ms; here they queue, and go on at once.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        self.writing.clone().lock_owned().await
    }

    async fn begin(&self, pool: &SqlitePool) -> sqlx::Result<Transaction> {
        let turn = self.turn().await;
        // IMMEDIATE: a read that turns into a write later would fail as SQLITE_BUSY.
        Ok(Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?, Some(turn)))
    }
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL's scheme is not ours.
    #[error("database \"{0}\" is neither sqlite:PATH nor postgres://USER@HOST/NAME")]
    UnknownScheme(String),
    /// It does not open.
    #[error("database {what} does not open: {source}")]
    Connect {
        /// The URL without its password.
        what: String,
        /// The driver's reason.
        source: sqlx::Error,
    },
    /// A migration failed.
    #[error("database schema cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// Evaluates `$body` with `$pool` bound to whichever pool is open.
macro_rules! with_pool {
    ($db:expr, $pool:ident => $body:expr) => {
        match $db {
            $crate::inventory::Database::Sqlite(sqlite) => {
                let $pool = &sqlite.pool;
                $body
            }
            $crate::inventory::Database::Postgres($pool) => $body,
        }
    };
}
pub(crate) use with_pool;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

impl Database {
    /// Opens `sqlite:PATH` or `postgres://...` and brings its schema up to date.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let database = if let Some(path) = url.strip_prefix("sqlite:") {
            Self::open_sqlite(Path::new(path)).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url).await?
        } else {
            return Err(OpenError::UnknownScheme(without_password(url)));
        };
        with_pool!(&database, pool => MIGRATIONS.run(pool).await)?;
        Ok(database)
    }

    async fn open_sqlite(path: &Path) -> Result<Self, OpenError> {
        // FULL, not NORMAL: an ACK promises that the lease survives a power cut.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // More than the default: a checkpoint makes whoever commits wait for the disk twice.
            .pragma("wal_autocheckpoint", WAL_PAGES.to_string())
            .busy_timeout(Duration::from_secs(10));
        let unhurried = options.clone().synchronous(SqliteSynchronous::Normal);
        let open = async |options, connections| {
            let pool = SqlitePoolOptions::new().max_connections(connections);
            // A file does not go away as a server does: no journey to its thread to ask it.
            let pool = pool.test_before_acquire(false);
            pool.before_acquire(is_sound).connect_with(options).await
        };
        let failed = |source| OpenError::Connect { what: path.display().to_string(), source };
        let pool = open(options, 8).await.map_err(failed)?;
        let log = open(unhurried, 1).await.map_err(failed)?;
        Ok(Self::Sqlite(Sqlite { pool, log, writing: Arc::default() }))
    }

    async fn open_postgres(url: &str) -> Result<Self, OpenError> {
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .connect(url)
            .await
            .map_err(|source| OpenError::Connect { what: without_password(url), source })?;
        Ok(Self::Postgres(pool))
    }

    /// Begins a transaction that sees one state of the database throughout.
    pub(crate) async fn begin_reading(&self) -> sqlx::Result<Transaction> {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(match self {
            Self::Sqlite(sqlite) => Transaction::Sqlite(sqlite.pool.begin().await?, None),
            Self::Postgres(pool) => Transaction::Postgres(pool.begin_with(SNAPSHOT).await?),
        })
    }

    /// Begins a transaction that changes the site. There is one at a time on a database,
    /// whichever process asks; readers do not wait for it.
    pub(crate) async fn begin_changing(&self) -> sqlx::Result<Transaction> {
        match self {
            Self::Sqlite(sqlite) => sqlite.begin(&sqlite.pool).await,
            Self::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                sqlx::query("LOCK TABLE revisions IN EXCLUSIVE MODE")
                    .execute(&mut *transaction)
                    .await?;
                Ok(Transaction::Postgres(transaction))
            }
        }
    }

    /// Begins a transaction for writing rows that no invariant of the site hangs on, and
    /// of which a power cut may take the last seconds.
    pub(crate) async fn begin_writing(&self) -> sqlx::Result<Transaction> {
        match self {
            Self::Sqlite(sqlite) => sqlite.begin(&sqlite.log).await,
            Self::Postgres(pool) => Ok(Transaction::Postgres(pool.begin().await?)),
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

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        with_pool!(self, pool => pool.is_closed())
    }

    /// Closes every connection; what was committed stays.
    pub async fn close(&self) {
        if let Self::Sqlite(sqlite) = self {
            sqlite.log.close().await;
        }
        with_pool!(self, pool => pool.close().await);
    }
}

/// Whether a connection of the pool may be used again. A full disk makes SQLite roll back
/// by itself; sqlx then fails to, takes the connection to be inside a transaction indefinitely,
/// and refuses to begin another one on it.
fn is_sound(
    connection: &mut SqliteConnection,
    _: PoolConnectionMetadata,
) -> BoxFuture<'_, sqlx::Result<bool>> {
    let sound = !connection.is_in_transaction();
    Box::pin(async move { Ok(sound) })
}

/// A transaction on whichever database is open; dropped without a commit, it is rolled back.
pub(crate) enum Transaction {
    /// On SQLite, with the turn to write if it writes.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>, Option<OwnedMutexGuard<()>>),
    /// On PostgreSQL.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// Evaluates `$body` with `$connection` bound to the connection of a [`Transaction`].
macro_rules! with_connection {
    ($transaction:expr, $connection:ident => $body:expr) => {
        match $transaction {
            $crate::inventory::database::Transaction::Sqlite(inner, _) => {
                let $connection = &mut **inner;
                $body
            }
            $crate::inventory::database::Transaction::Postgres(inner) => {
                let $connection = &mut **inner;
                $body
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
    /// Makes everything done in it last.
    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(inner, _turn) => inner.commit().await,
            Self::Postgres(inner) => inner.commit().await,
        }
    }

    /// Undoes everything done in it, and waits until that is so.
    pub(crate) async fn roll_back(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(inner, _turn) => inner.rollback().await,
            Self::Postgres(inner) => inner.rollback().await,
        }
    }
}

/// The URL with its password left out, for messages.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = user.split_once(':').map_or(user, |(name, _)| name);
    format!("{scheme}://{user}@{host}")
}
