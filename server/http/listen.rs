//! Accepts HTTP connections, within limits: what one client can hold open is bounded, and what
//! all of them can hold open leaves descriptors for DHCP, TFTP and the database.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

/// How long a client may take to send the head of a request, also on a connection that was kept
/// open for another one.
const HEAD: Duration = Duration::from_secs(15);
/// How long a client may pause within the body of a request.
pub(crate) const BODY: Duration = Duration::from_secs(15);
/// How long a client may take no byte of a response before its connection is closed.
const STALLED: Duration = Duration::from_secs(60);
/// How many connections one address may have at least and at most, an eighth of all between: many
/// hosts may be behind one NAT. Reverse proxies on the server itself are not limited.
const PER_ADDRESS: RangeInclusive<usize> = 64..=512;
/// How many requests an HTTP/2 connection may have under way: a page has some ten parts and streams.
const STREAMS: u32 = 64;
/// How large the head of a request over HTTP/2 may be, in bytes.
const HEADER_BYTES: u32 = 64 << 10;
/// Descriptors that are kept free for DHCP, TFTP, the database and files.
const RESERVED: usize = 256;
/// How often a refused connection, or a TLS handshake that failed, is logged.
pub(crate) const LOG_EVERY: Duration = Duration::from_secs(10);

/// Which connections a listener accepts.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Reverse proxies, whose address has many clients.
    pub proxies: Vec<IpNet>,
    /// How many connections there may be.
    pub connections: usize,
    /// How many one address may have.
    pub per_address: usize,
}

impl Limits {
    /// The limits of one of the listeners of hosts: they share three quarters of what the limit of
    /// open files allows.
    pub(crate) fn of_machines(listeners: usize) -> Self {
        Self::of(spare_descriptors() / 4 * 3 / listeners)
    }

    /// The limits of the listener of the web UI and the API: a quarter.
    pub(crate) fn of_operators() -> Self {
        Self::of(spare_descriptors() / 4)
    }

    fn of(connections: usize) -> Self {
        let per_address = (connections / 8).clamp(*PER_ADDRESS.start(), *PER_ADDRESS.end());
        Self { connections, per_address, proxies: Vec::new() }
    }

    /// The same, without a limit for each address of reverse proxies.
    pub(crate) fn without(self, proxies: Vec<IpNet>) -> Self {
        Self { proxies, ..self }
    }
}

/// Raises the limit of open files to the hard one, as the process itself may (getrlimit(2)).
pub(crate) fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("cannot raise the limit of open files from {soft} to {hard}: {error}");
    }
}

/// How many descriptors connections may have, in all.
fn spare_descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(65_536);
    // A file may be open for each connection.
    (limit.saturating_sub(RESERVED) / 2).max(64)
}

/// A listener's connections.
struct Connections {
    limits: Limits,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    count: usize,
    by_address: HashMap<IpAddr, usize>,
    last_logged: Option<Instant>,
}

/// A connection's place among them, as long as it is held.
struct ConnectionSlot {
    open: Arc<Mutex<Open>>,
    address: IpAddr,
}

/// Why a connection is closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// The listener has as many as it may have.
    Listener,
    /// The address has.
    Address,
}

impl Connections {
    fn new(limits: Limits) -> Self {
        Self { limits, open: Arc::default() }
    }

    fn admit(&self, address: IpAddr) -> Result<ConnectionSlot, Full> {
        let address = address.to_canonical();
        let mut open = lock(&self.open);
        if open.count >= self.limits.connections {
            return Err(Full::Listener);
        }
        let of_address = open.by_address.entry(address).or_default();
        let is_limited =
            !address.is_loopback() && !self.limits.proxies.iter().any(|net| net.contains(&address));
        if *of_address >= self.limits.per_address && is_limited {
            return Err(Full::Address);
        }
        *of_address += 1;
        open.count += 1;
        Ok(ConnectionSlot { open: self.open.clone(), address })
    }

    /// Logs a refused connection, at most every [`LOG_EVERY`].
    fn log(&self, peer: SocketAddr, full: Full, now: Instant) {
        let mut open = lock(&self.open);
        if open.last_logged.is_some_and(|last| now < last + LOG_EVERY) {
            return;
        }
        open.last_logged = Some(now);
        match full {
            Full::Listener => tracing::warn!(
                %peer, "closed a new HTTP connection: {} are open", open.count
            ),
            Full::Address => tracing::warn!(
                %peer, "closed a new HTTP connection: {} has {} open, the limit",
                peer.ip().to_canonical(), self.limits.per_address
            ),
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        open.count -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The version of HTTP that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 and HTTP/1.0.
    Http1,
    /// HTTP/2, which a client chooses in its TLS handshake.
    Http2,
}

/// A connection that requests may come on.
pub(crate) struct Prepared<I, S> {
    /// What is read and written.
    pub io: I,
    /// What answers its requests.
    pub service: S,
    /// What it speaks.
    pub protocol: Protocol,
}

/// Serves `listener` until `stop`; then requests that are being answered are finished. `prepare`
/// gets each connection first; without a result it is closed.
pub(crate) async fn run<I, S, P>(
    mut listener: TcpListener,
    limits: Limits,
    prepare: impl Fn(TcpStream, SocketAddr) -> P,
    stop: CancellationToken,
) -> io::Result<()>
where
    P: Future<Output = Option<Prepared<I, S>>> + Send + 'static,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let connections = Connections::new(limits);
    let tracker = TaskTracker::new();
    while let Some((stream, peer)) = stop.run_until_cancelled(accept(&mut listener)).await {
        let place = match connections.admit(peer.ip()) {
            Ok(place) => place,
            Err(full) => {
                connections.log(peer, full, Instant::now());
                continue;
            }
        };
        if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(STALLED)) {
            tracing::debug!(%peer, %error, "cannot limit how long a client may stall");
        }
        let preparing = tokio::time::timeout(HEAD, prepare(stream, peer));
        let stop = stop.clone();
        tracker.spawn(async move {
            if let Some(Ok(Some(prepared))) = stop.run_until_cancelled(preparing).await {
                serve(prepared, peer, stop).await;
            }
            drop(place);
        });
    }
    drop(listener);
    tracker.close();
    tracker.wait().await;
    Ok(())
}

/// The next connection. Whatever accept(2) complains of belongs to one connection, or passes.
async fn accept(listener: &mut TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!("cannot accept HTTP connections: {error}; retrying in 1 s");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Serves one connection.
async fn serve<I, S>(prepared: Prepared<I, S>, peer: SocketAddr, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let Prepared { io, service, protocol } = prepared;
    let asked = Arc::new(AtomicBool::new(false));
    let has_asked = asked.clone();
    let service = service.map_request(move |request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        request.map(Body::new)
    });
    let (io, service) = (TokioIo::new(io), TowerToHyperService::new(service));
    // Both kinds of connection are futures with a method of the same name, and no trait.
    macro_rules! until_stopped {
        ($connection:expr) => {{
            let connection = $connection;
            tokio::pin!(connection);
            tokio::select! {
                ended = &mut connection => ended,
                () = stop.cancelled() => {
                    // A connection without a request yet would wait for its client.
                    if !has_asked.load(Ordering::Relaxed) {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }};
    }
    let ended = match protocol {
        Protocol::Http1 => until_stopped!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                // GRUB's client that uses the firmware's HTTP (SUSE's and Debian's net/efi/http.c)
                // looks for "Content-Length" in exactly these letters, and takes a file without it
                // for empty.
                .title_case_headers(true)
                .header_read_timeout(HEAD)
                .serve_connection(io, service)
        ),
        Protocol::Http2 => until_stopped!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(HEAD)
                .keep_alive_timeout(HEAD)
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(HEADER_BYTES)
                .serve_connection(io, service)
        ),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "HTTP connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_all_of_them_have_limits_and_the_server_itself_has_only_the_latter() {
        let connections =
            Connections::new(Limits { connections: 5, per_address: 2, proxies: Vec::new() });
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut places: Vec<_> = (0..2).map(|_| connections.admit(one).ok().unwrap()).collect();
        assert_eq!(connections.admit(one).err(), Some(Full::Address));
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(connections.admit(mapped).err(), Some(Full::Address));
        places.extend((0..3).map(|_| connections.admit([127, 0, 0, 1].into()).ok().unwrap()));
        assert_eq!(connections.admit(other).err(), Some(Full::Listener));
        places.clear();
        assert!(connections.admit(one).is_ok());
        assert!(lock(&connections.open).by_address.len() <= 1);
    }
}
