//! SQLite or PostgreSQL behind one enum; each query is written once, with `$1`.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

/// The database that is open.
#[derive(Clone, Debug)]
pub enum Database {
    /// One file, the default.
    Sqlite(SqlitePool),
    /// A server that several rackstraps may share.
    Postgres(PgPool),
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
            $crate::inventory::Database::Sqlite($pool) => $body,
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
            .busy_timeout(Duration::from_secs(10));
        let pool =
            SqlitePoolOptions::new().max_connections(8).connect_with(options).await.map_err(
                |source| OpenError::Connect { what: path.display().to_string(), source },
            )?;
        Ok(Self::Sqlite(pool))
    }

    async fn open_postgres(url: &str) -> Result<Self, OpenError> {
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .connect(url)
            .await
            .map_err(|source| OpenError::Connect { what: without_password(url), source })?;
        Ok(Self::Postgres(pool))
    }

    /// Closes every connection; what was committed stays.
    pub async fn close(&self) {
        with_pool!(self, pool => pool.close().await);
    }
}

/// The URL with its password left out, for messages.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = user.split_once(':').map_or(user, |(name, _)| name);
    format!("{scheme}://{user}@{host}")
}
