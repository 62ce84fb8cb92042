//! PostgreSQL as several servers of which one takes changes: connections go to that one, also after
//! another took its place.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::open::{CONNECT, connect};
use super::postgres_tls;

/// A pool of connections, and the servers that it may connect to.
#[derive(Clone, Debug)]
pub struct Postgres {
    connections: Arc<ArcSwap<Connections>>,
    cluster: Arc<Cluster>,
}

/// Connections to the primary, until they are given up.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) pool: PgPool,
    given_up: CancellationToken,
}

impl Connections {
    fn new(options: PgPoolOptions, server: PgConnectOptions) -> Self {
        let given_up = CancellationToken::new();
        Self { pool: options.connect_lazy_with(server), given_up }
    }

    /// Waits for what is done by these connections, and fails as soon as they are given up: a server
    /// that lost its power answers nothing, which the kernel notices a quarter of an hour later.
    pub(crate) async fn wait_for<T>(
        &self,
        work: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let done = self.given_up.run_until_cancelled(work).await;
        done.unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()))
    }
}

#[derive(Debug)]
struct Cluster {
    servers: Vec<PgConnectOptions>,
    /// Which of them takes changes, as far as is known.
    primary: AtomicUsize,
    /// Every pool that connects to them, and how it was made.
    pools: Mutex<Vec<(Arc<ArcSwap<Connections>>, PgPoolOptions)>>,
}

impl Cluster {
    fn pools(&self) -> MutexGuard<'_, Vec<(Arc<ArcSwap<Connections>>, PgPoolOptions)>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How to connect to the primary.
    fn options(&self) -> PgConnectOptions {
        let known = self.servers.get(self.primary.load(Ordering::Relaxed));
        known.or_else(|| self.servers.first()).cloned().unwrap_or_default()
    }
}

impl Postgres {
    /// Connects nothing yet. `primary` is one of the servers.
    pub(super) fn new(
        servers: Vec<PgConnectOptions>,
        primary: usize,
        options: PgPoolOptions,
    ) -> Self {
        let (primary, pools) = (AtomicUsize::new(primary), Mutex::default());
        Self::of(Arc::new(Cluster { servers, primary, pools }), options)
    }

    /// The same servers by connections of its own.
    pub(super) fn by(&self, options: PgPoolOptions) -> Self {
        Self::of(self.cluster.clone(), options)
    }

    fn of(cluster: Arc<Cluster>, options: PgPoolOptions) -> Self {
        let connections = Connections::new(options.clone(), cluster.options());
        let connections = Arc::new(ArcSwap::from_pointee(connections));
        cluster.pools().push((connections.clone(), options));
        Self { connections, cluster }
    }

    /// The pool, for one use: after an outage there is another.
    pub fn pool(&self) -> PgPool {
        self.connections.load().pool.clone()
    }

    /// The connections, for one use: after an outage there are others.
    pub(crate) fn connections(&self) -> Arc<Connections> {
        self.connections.load_full()
    }

    /// How to connect to the primary.
    pub(super) fn options(&self) -> PgConnectOptions {
        self.cluster.options()
    }

    /// Looks which of several servers is the primary now. Whether it is another.
    pub(super) async fn find_primary(&self) -> sqlx::Result<bool> {
        let Cluster { servers, primary, .. } = &*self.cluster;
        if servers.len() < 2 {
            return Ok(false);
        }
        let (number, _) = connect_to_primary(servers).await?;
        let is_other = primary.swap(number, Ordering::Relaxed) != number;
        if is_other {
            let server = servers.get(number).map(shown).unwrap_or_default();
            tracing::warn!("PostgreSQL at {server} is the primary now");
        }
        Ok(is_other)
    }

    /// Gives up every connection after an outage, and what waits for an answer by one.
    pub(super) fn renew(&self) {
        for (connections, options) in self.cluster.pools().iter() {
            let new = Connections::new(options.clone(), self.options());
            let old = connections.swap(Arc::new(new));
            old.given_up.cancel();
            tokio::spawn(async move { old.pool.close().await });
        }
    }
}

/// A server, for people.
fn shown(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(directory) => directory.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// Connects to the server that takes changes; a single one may be anything.
pub(super) async fn connect_to_primary(
    servers: &[PgConnectOptions],
) -> sqlx::Result<(usize, PgConnection)> {
    if let [only] = servers {
        return Ok((0, connect(only).await?));
    }
    // All at once: one that lost its power answers after five seconds, or never.
    let mut asked = JoinSet::new();
    for (number, options) in servers.iter().cloned().enumerate() {
        asked.spawn(async move { (number, ask(&options).await) });
    }
    let mut failures = Vec::new();
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok((number, Ok(connection))) => return Ok((number, connection)),
            Ok((number, Err(why))) => failures.push((number, why.to_string())),
            Err(error) => failures.push((servers.len(), error.to_string())),
        }
    }
    failures.sort();
    let reasons: Vec<String> = failures.into_iter().map(|(_, why)| why).collect();
    let text = format!("none of the servers takes changes: {}", reasons.join("; "));
    Err(io::Error::other(text).into())
}

/// Why a server is not the primary.
#[derive(Debug, thiserror::Error)]
enum NotPrimary {
    #[error("{server}: {}", postgres_tls::refusal(.source).unwrap_or_else(|| .source.to_string()))]
    Unreachable { server: String, source: sqlx::Error },
    #[error("{server}: it is a standby")]
    Standby { server: String },
}

/// Connects to a server that takes changes. One that is behind a proxy may take the connection and
/// answer nothing.
async fn ask(options: &PgConnectOptions) -> Result<PgConnection, NotPrimary> {
    let server = shown(options);
    let asked = async {
        let mut connection = connect(options).await?;
        let standby = timeout(CONNECT, is_standby(&mut connection)).await;
        Ok((standby.map_err(io::Error::from)??, connection))
    };
    match asked.await {
        Ok((false, connection)) => Ok(connection),
        Ok((true, _)) => Err(NotPrimary::Standby { server }),
        Err(source) => Err(NotPrimary::Unreachable { server, source }),
    }
}

/// Whether a server only repeats what another does.
pub(super) async fn is_standby(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await
}

/// The URL of each server, of one that has several hosts with commas between them, as libpq has it.
/// `target_session_attrs=read-write`, which libpq needs, is what is done anyway.
pub(super) fn urls_of(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_owned()] };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    let tail = without_session_attributes(tail);
    hosts.split(',').map(|host| format!("{scheme}://{user}{host}{tail}")).collect()
}

/// The path and query without what is done anyway.
fn without_session_attributes(tail: &str) -> String {
    const DONE: [&str; 2] = ["target_session_attrs=read-write", "target_session_attrs=primary"];
    let Some((path, query)) = tail.split_once('?') else { return tail.to_owned() };
    let kept: Vec<&str> = query.split('&').filter(|pair| !DONE.contains(pair)).collect();
    match kept.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", kept.join("&")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_name_several_servers() {
        let cases = [
            ("postgres://u@a/db", vec!["postgres://u@a/db"]),
            ("postgres://u:p@a,b:5433/db", vec!["postgres://u:p@a/db", "postgres://u:p@b:5433/db"]),
            ("postgres://a,b", vec!["postgres://a", "postgres://b"]),
            (
                "postgresql://u@a,[2001:db8::1]/db?target_session_attrs=read-write",
                vec!["postgresql://u@a/db", "postgresql://u@[2001:db8::1]/db"],
            ),
            (
                "postgres://u@a,b/db?sslmode=require&target_session_attrs=primary",
                vec!["postgres://u@a/db?sslmode=require", "postgres://u@b/db?sslmode=require"],
            ),
            (
                "postgres://u@localhost/db?host=/run/a,b",
                vec!["postgres://u@localhost/db?host=/run/a,b"],
            ),
        ];
        for (url, expected) in cases {
            assert_eq!(urls_of(url), expected, "{url}");
        }
    }
}
