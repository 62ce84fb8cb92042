//! Opens the database, and refuses one that this program must not touch.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{AccessFlags, Uid, User, access};
use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use super::audit_guard::{guard_postgres, guard_sqlite};
use super::database::{Database, DatabaseFile, Sqlite, is_sound};
use super::postgres_tls::{self, TlsParameterError};
use super::primary::{Postgres, connect_to_primary, urls_of};

/// How long a locked database is waited for.
const BUSY: Duration = Duration::from_secs(10);
/// How soon what does not wait for a lock is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// SQLite's code of a locked database.
const SQLITE_BUSY: &str = "5";

/// What a process may do to a database that it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Create it if it does not exist, and bring its schema up to date.
    Manage,
    /// Use it as it is: a command that only reads neither creates nor migrates anything.
    Use,
    /// Create it with the schema of an earlier version, for rows of that version.
    CreateAt(i64),
    /// Use it as it is, if it has the schema of that version.
    AtSchema(i64),
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL's scheme is not ours.
    #[error("invalid database \"{0}\": expected sqlite:PATH or postgres://USER@HOST/NAME")]
    UnknownScheme(String),
    /// It does not open.
    #[error("cannot open database {what}: {source}")]
    Connect {
        /// The URL without its password.
        what: String,
        /// The driver's reason.
        source: sqlx::Error,
    },
    /// There is none, and this process may not create one.
    #[error("no inventory in {what}: run \"rackstrap init\", or check --data-dir and --database")]
    Missing {
        /// The URL without its password.
        what: String,
    },
    /// The user of this process may not write to it.
    #[error(
        "cannot write to {path}: it belongs to user {owner}, and rackstrap runs as {user}; give \
         the data directory to that user (chown -R {user} {directory})"
    )]
    NotWritable {
        /// The file or directory.
        path: String,
        /// Who owns it.
        owner: String,
        /// Who this process runs as.
        user: String,
        /// The data directory.
        directory: String,
    },
    /// A later version of the program has migrated it, in a way that this one cannot live with.
    #[error(
        "this rackstrap ({program}) is older than its database: {what} has schema {found}, and \
         this version knows schemas up to {known}; install the newer version, or restore a backup \
         made before the upgrade"
    )]
    ProgramTooOld {
        /// The URL without its password.
        what: String,
        /// The program's version.
        program: &'static str,
        /// The database's latest migration.
        found: i64,
        /// The program's latest migration.
        known: i64,
    },
    /// It was last used by an earlier version, and this process may not migrate it.
    #[error(
        "the schema of {what} is of an earlier rackstrap ({found}; this version needs {known}): \
         \"rackstrap serve\" upgrades it when it starts, and this command changes nothing"
    )]
    SchemaTooOld {
        /// The URL without its password.
        what: String,
        /// The database's latest migration.
        found: i64,
        /// The program's latest migration.
        known: i64,
    },
    /// PostgreSQL stores text in another encoding.
    #[error(
        "database {what} has the encoding {encoding}: expected UTF8 (CREATE DATABASE name ENCODING \
         'UTF8' TEMPLATE template0)"
    )]
    Encoding {
        /// The URL without its password.
        what: String,
        /// Its encoding.
        encoding: String,
    },
    /// What the URL says of TLS cannot be done.
    #[error("invalid database {what}: {source}")]
    Parameter {
        /// The URL without its password.
        what: String,
        /// Which parameter, and what would be right.
        source: TlsParameterError,
    },
    /// The PostgreSQL server is not the one that is wanted, or does not encrypt.
    #[error("cannot open database {what}: {why}")]
    Encryption {
        /// The URL without its password.
        what: String,
        /// What it is, and what would help.
        why: String,
    },
    /// There was an inventory, and now there is none.
    #[error(
        "the inventory {id} is gone: {what} has none, or another one without hosts ({known_by} \
         says that {id} was served here); mount its disk, restore a backup, or, to start with an \
         empty inventory, remove {known_by}"
    )]
    Gone {
        /// The URL without its password.
        what: String,
        /// The id of the inventory.
        id: String,
        /// The file or the key of the configuration that says so.
        known_by: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A migration failed.
    #[error("cannot bring the database schema up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A file or directory cannot be made.
    #[error("cannot create {path}: {source}")]
    Create {
        /// The file or directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
}

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The latest migration that this program knows.
pub(super) fn latest_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// The migrations up to one. Those of a newer version that were applied beside them stay.
fn migrations_to(schema: i64) -> Migrator {
    let seen = MIGRATIONS.iter().filter(|migration| migration.version <= schema);
    let mut migrations = Migrator::with_migrations(seen.cloned().collect());
    migrations.set_ignore_missing(true);
    migrations
}

/// The migrations of one thousand only add to each other, so that a program that knows some of them
/// works on a schema that has seen more (`migrations/README.md`).
const GENERATION: i64 = 1000;

/// Whether a program that knows the migrations up to `known` works on a schema that has seen those
/// up to `found`, which are more.
fn lives_with(known: i64, found: i64) -> bool {
    known / GENERATION == found / GENERATION
}

impl Access {
    /// The migrations that a process with this access applies.
    fn migrations(self) -> Option<Migrator> {
        match self {
            Self::Manage => Some(migrations_to(latest_schema())),
            Self::CreateAt(schema) => Some(migrations_to(schema)),
            Self::Use | Self::AtSchema(_) => None,
        }
    }

    /// The schema that a database must have, if this access changes none.
    fn needs(self) -> Option<i64> {
        match self {
            Self::Use => Some(latest_schema()),
            Self::AtSchema(schema) => Some(schema),
            Self::Manage | Self::CreateAt(_) => None,
        }
    }
}

/// How many pages the write-ahead log holds before SQLite moves them into the database.
const WAL_PAGES: u32 = 4000;
/// How long PostgreSQL may take to accept a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// How long a request waits for a connection of the pool.
const ACQUIRE: Duration = Duration::from_secs(3);
/// Connections for everything but leases.
const CONNECTIONS: u32 = 8;
/// Connections for leases alone: neither slow pages nor waiting changes stop DHCP.
const LEASE_CONNECTIONS: u32 = 3;

/// The limits that PostgreSQL itself enforces, for pages, changes and events. Whoever holds a
/// lock for longer, such as a server that was cut off in the middle of a change, fails the
/// others instead of stopping them.
const LIMITS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '60s'";
/// The same for leases: a client retries after a few seconds.
const LEASE_LIMITS: &str = "SET statement_timeout = '2s'; SET lock_timeout = '1s'; \
     SET idle_in_transaction_session_timeout = '10s'";

impl Database {
    /// Opens `sqlite:PATH` or `postgres://...`, creates it if needed, and brings its schema up
    /// to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Self::open_for(url, Access::Manage).await
    }

    /// Opens a database.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_for(url: &str, access: Access) -> Result<Self, OpenError> {
        let database = match Location::of(url)? {
            Location::File(path) => open_sqlite(&path, access).await?,
            Location::Server(url) => return open_postgres(&url, access).await,
        };
        // A copy of a young file would be an empty inventory otherwise.
        database.checkpoint().await;
        Ok(database)
    }

    /// An empty inventory in memory, for commands that check a file where no server was set up.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn in_memory() -> Result<Self, OpenError> {
        Self::in_memory_at(latest_schema()).await
    }

    /// The same with the schema of an earlier version.
    pub(super) async fn in_memory_at(schema: i64) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Connect { what: "memory".to_owned(), source };
        let options = SqliteConnectOptions::from_str("sqlite::memory:").map_err(failed)?;
        let open = async |connections| {
            let pool = SqlitePoolOptions::new().max_connections(connections).min_connections(1);
            pool.idle_timeout(None).max_lifetime(None).connect_with(options.clone()).await
        };
        let (pool, log) = (open(2).await.map_err(failed)?, open(1).await.map_err(failed)?);
        migrations_to(schema).run(&pool).await?;
        Ok(Self::Sqlite(Sqlite::new(pool, log, None)))
    }

    /// Whether there is an inventory at a URL: a schema, whatever rows it has. Creates nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn exists(url: &str) -> Result<bool, OpenError> {
        match Location::of(url)? {
            Location::File(path) if is_empty_file(&path)? => Ok(false),
            Location::File(path) => {
                check_writable(&path)?;
                let what = path.display().to_string();
                let failed = |source| OpenError::Connect { what: what.clone(), source };
                let options = sqlite_options(&path).create_if_missing(false);
                let mut connection = options.connect().await.map_err(failed)?;
                let schema = latest(&mut connection, &what).await?;
                connection.close().await.map_err(failed)?;
                Ok(schema.is_some())
            }
            Location::Server(url) => {
                let what = without_password(&url);
                let failed = |source| not_opened(&what, source);
                let (_, mut connection) =
                    connect_to_primary(&pg_options(&url)?).await.map_err(failed)?;
                let schema = latest(&mut connection, &what).await?;
                connection.close().await.map_err(failed)?;
                Ok(schema.is_some())
            }
        }
    }

    /// The same database by connections of its own that wait a second at most, for leases.
    pub(crate) fn for_leases(&self) -> Self {
        match self {
            Self::Sqlite(sqlite) => Self::Sqlite(sqlite.clone()),
            Self::Postgres(postgres) => {
                let pool = pool_options(LEASE_CONNECTIONS, LEASE_LIMITS);
                Self::Postgres(postgres.by(pool.acquire_timeout(Duration::from_secs(1))))
            }
        }
    }
}

/// Where a database is.
enum Location {
    File(PathBuf),
    Server(String),
}

impl Location {
    fn of(url: &str) -> Result<Self, OpenError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            Ok(Self::File(PathBuf::from(path)))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Ok(Self::Server(url.to_owned()))
        } else {
            Err(OpenError::UnknownScheme(without_password(url)))
        }
    }
}

/// Creates a directory that only its owner and its group can read, with those above it.
///
/// # Errors
/// The system's.
pub fn create_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(path)
}

fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    // FULL, not NORMAL: an ACK promises that the lease survives a power cut.
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // More than the default: a checkpoint makes whoever commits wait for the disk twice.
        .pragma("wal_autocheckpoint", WAL_PAGES.to_string())
        .busy_timeout(BUSY)
}

/// Connects. The switch of a new file to its log does not wait for another process that makes the
/// same switch (SQLite reports `SQLITE_BUSY` at once to avoid a deadlock), so it is repeated.
async fn connect_sqlite(options: &SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    let end = Instant::now() + BUSY;
    loop {
        match options.connect().await {
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(SQLITE_BUSY) && Instant::now() < end =>
            {
                tokio::time::sleep(AGAIN).await;
            }
            outcome => return outcome,
        }
    }
}

/// Takes a database's directory for this process, for as long as the lock is held.
async fn lock_directory(path: &Path) -> Result<Flock<File>, OpenError> {
    let failed = |source| OpenError::Unreadable { path: path.display().to_string(), source };
    let mut directory = File::open(path).map_err(failed)?;
    let end = Instant::now() + BUSY;
    loop {
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((unlocked, Errno::EWOULDBLOCK)) if Instant::now() < end => directory = unlocked,
            Err((_, errno)) => return Err(failed(errno.into())),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn open_sqlite(path: &Path, access: Access) -> Result<Database, OpenError> {
    let what = path.display().to_string();
    // Held until the schema is there: of two processes that find none, one creates it.
    let _creating = match access {
        Access::Use | Access::AtSchema(_) if is_empty_file(path)? => {
            return Err(OpenError::Missing { what });
        }
        Access::Use | Access::AtSchema(_) => None,
        Access::Manage | Access::CreateAt(_) => {
            prepare_file(path)?;
            Some(lock_directory(directory_of(path)).await?)
        }
    };
    let options = sqlite_options(path).create_if_missing(false);
    let failed = |source| OpenError::Connect { what: what.clone(), source };
    check_schema(&mut connect_sqlite(&options).await.map_err(failed)?, &what, access).await?;
    let unhurried = options.clone().synchronous(SqliteSynchronous::Normal);
    let open = async |options, connections| {
        let pool = SqlitePoolOptions::new().max_connections(connections);
        // A file does not go away as a server does: no journey to its thread to ask it.
        let pool = pool.test_before_acquire(false);
        pool.before_acquire(is_sound).connect_with(options).await
    };
    let pool: SqlitePool = open(options, CONNECTIONS).await.map_err(failed)?;
    let log = open(unhurried, 1).await.map_err(failed)?;
    if let Some(migrations) = access.migrations() {
        migrations.run(&pool).await?;
    }
    if access == Access::Manage {
        guard_sqlite(&pool).await.map_err(failed)?;
    }
    let file =
        DatabaseFile::of(path).map_err(|source| OpenError::Unreadable { path: what, source })?;
    Ok(Database::Sqlite(Sqlite::new(pool, log, Some(file))))
}

/// Whether a file holds no database: it is missing, or has no bytes. Who may not look is not told
/// that there is none.
fn is_empty_file(path: &Path) -> Result<bool, OpenError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len() == 0),
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(OpenError::Unreadable { path: path.display().to_string(), source })
        }
        Err(_) => Ok(true),
    }
}

/// Creates the file for its owner alone: it holds password hashes and BMC passwords. Takes away
/// from others what an earlier version left readable. SQLite gives its log the same mode.
fn prepare_file(path: &Path) -> Result<(), OpenError> {
    let directory = directory_of(path);
    let mut create = OpenOptions::new();
    match create.write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => give_to_owner_of(directory, path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(not_writable(path, directory));
        }
        Err(source) => {
            return Err(OpenError::Create { path: path.display().to_string(), source });
        }
    }
    check_writable(path)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let file = PathBuf::from(name);
        if let Ok(metadata) = fs::metadata(&file)
            && metadata.mode() & 0o007 != 0
        {
            let private = Permissions::from_mode(metadata.mode() & 0o7770);
            if let Err(error) = fs::set_permissions(&file, private) {
                let file = file.display();
                tracing::warn!(
                    "{file} is readable by every user, and this cannot be changed: {error}"
                );
            }
        }
    }
    Ok(())
}

/// The directory of a file.
pub(crate) fn directory_of(file: &Path) -> &Path {
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty());
    directory.unwrap_or_else(|| Path::new("."))
}

/// SQLite writes to the file and makes others beside it.
fn check_writable(file: &Path) -> Result<(), OpenError> {
    let directory = directory_of(file);
    match [file, directory].into_iter().find(|path| access(*path, AccessFlags::W_OK).is_err()) {
        Some(refused) => Err(not_writable(refused, directory)),
        None => Ok(()),
    }
}

/// `init` by root for a directory of the service's user: the file is that user's too.
pub(super) fn give_to_owner_of(directory: &Path, file: &Path) {
    if let (true, Ok(owner)) = (Uid::effective().is_root(), fs::metadata(directory))
        && let Err(error) = std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid()))
    {
        tracing::warn!("cannot give {} to the owner of its directory: {error}", file.display());
    }
}

/// What is to be said of a file of the data directory that this process may not write or make.
pub(crate) fn not_writable(path: &Path, directory: &Path) -> OpenError {
    let path = if path.exists() { path } else { directory };
    let name = |uid: Uid| {
        let user = User::from_uid(uid).ok().flatten();
        user.map_or_else(|| uid.to_string(), |user| user.name)
    };
    let owner = fs::metadata(path).map(|metadata| name(Uid::from_raw(metadata.uid())));
    OpenError::NotWritable {
        path: path.display().to_string(),
        owner: owner.unwrap_or_else(|error| error.to_string()),
        user: name(Uid::effective()),
        directory: directory.display().to_string(),
    }
}

async fn open_postgres(url: &str, access: Access) -> Result<Database, OpenError> {
    let what = without_password(url);
    let servers = pg_options(url)?;
    let failed = |source| not_opened(&what, source);
    // A connection of its own first: a pool says only that it waited in vain.
    let (primary, mut connection) = connect_to_primary(&servers).await.map_err(failed)?;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding")
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding { what, encoding });
    }
    check_schema(&mut connection, &what, access).await?;
    if let Some(migrations) = access.migrations() {
        // Not by the pool: a migration of many rows may take longer than its limits allow.
        migrations.run(&mut connection).await?;
    }
    if access == Access::Manage {
        guard_postgres(&mut connection).await.map_err(failed)?;
    }
    connection.close().await.map_err(failed)?;
    let pool = pool_options(CONNECTIONS, LIMITS).acquire_timeout(ACQUIRE);
    Ok(Database::Postgres(Postgres::new(servers, primary, pool)))
}

/// How to connect to each server of a URL.
fn pg_options(url: &str) -> Result<Vec<PgConnectOptions>, OpenError> {
    let what = without_password(url);
    if let Err(source) = postgres_tls::check(url) {
        return Err(OpenError::Parameter { what, source });
    }
    let read = |url: &String| PgConnectOptions::from_str(url);
    let options: Result<Vec<_>, _> = urls_of(url).iter().map(read).collect();
    options.map_err(|source| OpenError::Connect { what, source })
}

fn not_opened(what: &str, source: sqlx::Error) -> OpenError {
    let what = what.to_owned();
    match postgres_tls::refusal(&source) {
        Some(why) => OpenError::Encryption { what, why },
        None => OpenError::Connect { what, source },
    }
}

/// Connects once, within [`CONNECT`].
pub(super) async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    match tokio::time::timeout(CONNECT, PgConnection::connect_with(options)).await {
        Ok(connected) => connected,
        Err(_) => {
            let text = format!("no answer within {} s", CONNECT.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
        }
    }
}

/// A pool whose connections have these limits. They are set by statements, since connection
/// poolers refuse them among the options of a connection.
fn pool_options(connections: u32, limits: &'static str) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections).after_connect(move |connection, _| {
        Box::pin(async move { sqlx::raw_sql(limits).execute(connection).await.map(drop) })
    })
}

/// The latest migration of a database, or `None` if it has no schema of ours.
async fn latest<C>(connection: &mut C, what: &str) -> Result<Option<i64>, OpenError>
where
    C: Migrate + TableExists,
{
    let failed = |source| OpenError::Connect { what: what.to_owned(), source };
    if !connection.has_migrations().await.map_err(failed)? {
        return Ok(None);
    }
    let applied = connection.list_applied_migrations(TABLE).await?;
    Ok(applied.into_iter().map(|migration| migration.version).max())
}

/// The table that sqlx keeps of migrations.
const TABLE: &str = "_sqlx_migrations";

/// Refuses a schema that the program cannot live with, and for [`Access::Use`] an earlier one.
async fn check_schema<C: Migrate + TableExists>(
    connection: &mut C,
    what: &str,
    access: Access,
) -> Result<(), OpenError> {
    let known = latest_schema();
    let what = what.to_owned();
    match latest(connection, &what).await? {
        Some(found) if access.needs().is_some_and(|needed| found < needed) => {
            let known = access.needs().unwrap_or(known);
            Err(OpenError::SchemaTooOld { what, found, known })
        }
        Some(found)
            if found > known
                && lives_with(known, found)
                && matches!(access, Access::Manage | Access::Use) =>
        {
            if access == Access::Manage {
                tracing::warn!(
                    "a newer rackstrap has upgraded {what} to schema {found}: this version, which \
                     knows schemas up to {known}, goes on with it; upgrade it too"
                );
            }
            Ok(())
        }
        Some(found) if found > known => {
            let program = env!("CARGO_PKG_VERSION");
            Err(OpenError::ProgramTooOld { what, program, found, known })
        }
        None if access.needs().is_some() => Err(OpenError::Missing { what }),
        Some(_) | None => Ok(()),
    }
}

/// Whether a database has a table of migrations.
trait TableExists {
    async fn has_migrations(&mut self) -> sqlx::Result<bool>;
}

impl TableExists for SqliteConnection {
    async fn has_migrations(&mut self) -> sqlx::Result<bool> {
        const SQL: &str = "SELECT count(*) FROM sqlite_master WHERE name = $1";
        let count: i64 = sqlx::query_scalar(SQL).bind(TABLE).fetch_one(self).await?;
        Ok(count > 0)
    }
}

impl TableExists for PgConnection {
    async fn has_migrations(&mut self) -> sqlx::Result<bool> {
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(TABLE).fetch_one(self).await
    }
}

/// A database for messages: the path of a file, or the URL of a server without its password.
pub fn shown(url: &str) -> String {
    url.strip_prefix("sqlite:").map_or_else(|| without_password(url), str::to_owned)
}

/// The URL with its password left out, for messages.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = user.split_once(':').map_or(user, |(name, _)| name);
    format!("{scheme}://{user}@{host}")
}
