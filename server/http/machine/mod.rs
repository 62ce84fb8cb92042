//! What booting hosts fetch: a stable contract, HTTP or HTTPS, no redirects, and no route of the administration.

mod conditions;
mod config;
mod congestion;
mod connection;
mod deploy;
#[cfg(test)]
mod entrances;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
mod files;
mod peer;
mod recipes;
mod rendered;
mod report;
mod scripts;
mod transfer;

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRef, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::util::MapRequest;
use tower::{Layer, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::app::App;
use crate::boot::next::LOCAL_PATH;
use crate::http::health;
use crate::http::listen::{self, Limits, Prepared, Protocol};
use crate::http::tls::{Audience, Tls};
use crate::inventory::now_ms;
use crate::lifecycle::EventData;
use crate::metrics::{HTTP_ANSWERS, HTTP_TIME};
use crate::model::Mac;
use crate::network::Format;
use config::Wrapping;
use error::Error;
use peer::ConnectionAddresses;
use rendered::Rendered;

/// What the handlers share. Cheaper to clone than its parts, which happens at every request.
#[derive(Clone)]
struct Machine(Arc<Parts>);

struct Parts {
    app: App,
    rendered: Rendered<(Format, Wrapping)>,
}

impl Deref for Machine {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl FromRef<Machine> for App {
    fn from_ref(machine: &Machine) -> Self {
        machine.app.clone()
    }
}

/// The routes, and what is done to a request before they are tried, so outside of them.
type Service = MapRequest<Router, fn(Request) -> Request>;

/// A route of [`ROUTES`].
pub(crate) struct Route {
    /// The path as axum writes it.
    pub(crate) path: &'static str,
    handlers: fn() -> MethodRouter<Machine>,
}

/// Every route that a booting host may ask for. A test fetches each of them for a host that must
/// not be installed.
pub(crate) const ROUTES: [Route; 18] = [
    Route { path: "/boot/{script}", handlers: || get(scripts::host) },
    Route { path: "/boot/{script}/grub.cfg", handlers: || get(scripts::host_grub) },
    Route { path: "/grub/{*name}", handlers: || get(scripts::grub) },
    Route { path: "/autoexec.ipxe", handlers: || get(scripts::autoexec) },
    Route { path: LOCAL_PATH, handlers: || get(scripts::local) },
    Route { path: "/files/{*name}", handlers: || get(files::file) },
    Route { path: "/config/{mac}", handlers: || get(config::all) },
    Route { path: "/config/{mac}/netplan.yaml", handlers: || get(config::netplan) },
    Route { path: "/config/{mac}/microcloud-preseed.yaml", handlers: || get(config::microcloud) },
    Route { path: "/config/{mac}/{format}", handlers: || get(config::of_format) },
    Route { path: "/config/{mac}/{format}/{name}", handlers: || get(config::one) },
    Route { path: "/roll-out/{mac}", handlers: || get(config::roll_out) },
    Route { path: "/deploy/{mac}", handlers: || get(deploy::plan).post(deploy::step) },
    Route { path: "/recipe/{mac}/{token}/{name}", handlers: || get(recipes::one) },
    Route { path: "/answer", handlers: || post(recipes::answer) },
    Route { path: "/report/{mac}", handlers: || post(report::store) },
    Route { path: "/healthz", handlers: || get(health::alive) },
    Route { path: "/readyz", handlers: || get(health::ready) },
];

fn service(app: App) -> Service {
    let routes = ROUTES
        .iter()
        .fold(Router::new(), |router, route| router.route(route.path, (route.handlers)()));
    let routes = routes
        .fallback(|| async { Error::Nowhere })
        .method_not_allowed_fallback(
            |method: Method| async move { Error::Method(method.to_string()) },
        )
        .layer(DefaultBodyLimit::max(report::MAX_BYTES))
        .layer(RequestBodyTimeoutLayer::new(listen::BODY))
        .layer(
            ServiceBuilder::new()
                .layer(middleware::from_fn_with_state(app.clone(), log))
                .layer(CatchPanicLayer::new()),
        )
        .with_state(Machine(Arc::new(Parts { app, rendered: Rendered::default() })));
    MapRequest::new(routes, join_slashes)
}

fn limits(app: &App) -> Limits {
    Limits::of_machines(if app.config.now().machine_tls_listen.is_some() { 2 } else { 1 })
}

/// Serves on `listener` until `stop`; answers that have begun are finished.
pub async fn run(app: App, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let limits = limits(&app);
    let service = service(app);
    let prepare = move |stream, peer| {
        let (connection, addresses) = peer::connect(stream, peer);
        let service = Extension(ConnectInfo(addresses)).layer(service.clone());
        std::future::ready(Some(Prepared { io: connection, service, protocol: Protocol::Http1 }))
    };
    listen::run(listener, limits, prepare, stop).await
}

/// Reads `//boot//x` as `/boot/x`: firmware joins URLs carelessly and does not follow a redirect.
fn join_slashes(mut request: Request) -> Request {
    let uri = request.uri();
    if !uri.path().contains("//") {
        return request;
    }
    let mut path = String::with_capacity(uri.path().len());
    for character in uri.path().chars() {
        if !(character == '/' && path.ends_with('/')) {
            path.push(character);
        }
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    if let Ok(joined) = path.parse::<Uri>() {
        *request.uri_mut() = joined;
    }
    request
}

/// Writes a line for requests that fail, and for the others where debugging asks for it. What
/// matters of those is told as an event. A client that fails again and again is logged in part.
async fn log(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // Without the query, which may hold the token of a boot.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let peer =
        request.extensions().get::<ConnectInfo<ConnectionAddresses>>().map(|info| info.0.peer);
    let response = next.run(request).await;
    let status = response.status().as_u16();
    HTTP_ANSWERS.count(status_label(status));
    HTTP_TIME.observe(started.elapsed());
    let is_failure = status >= 400;
    let address = peer.map(|peer| peer.ip().to_canonical());
    let is_logged = match (is_failure, address) {
        (true, Some(address)) => app.inventory.events.logs_failure_of(address),
        (true, None) => true,
        (false, _) => tracing::enabled!(tracing::Level::DEBUG),
    };
    if is_logged {
        let elapsed_us = started.elapsed().as_micros() as u64;
        let RequestOrigin { host, mac, boot } = RequestOrigin::of(&app, &path, address);
        let peer = peer.map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port()));
        let (peer, mac) = (peer.map(tracing::field::display), mac.map(|mac| mac.to_string()));
        if is_failure {
            tracing::info!(peer, host, mac, boot, status, elapsed_us, "{method} {path}");
        } else {
            tracing::debug!(peer, host, mac, boot, status, elapsed_us, "{method} {path}");
        }
    }
    response
}

/// Whose request it is, as far as its path or its address says.
#[derive(Default)]
struct RequestOrigin {
    host: Option<String>,
    mac: Option<Mac>,
    boot: Option<i64>,
}

impl RequestOrigin {
    fn of(app: &App, path: &str, address: Option<IpAddr>) -> Self {
        let named = path.split('/').nth(2).unwrap_or_default();
        let mac = named.get(..17).and_then(|name| name.parse::<Mac>().ok());
        let named = named.split_once('.').map_or(named, |(name, _)| name);
        let lease = match address {
            Some(IpAddr::V4(address)) => app.leases.find(address),
            _ => None,
        };
        let nic = lease.and_then(|lease| lease.nic);
        let mac = mac.or_else(|| nic?.mac());
        let snapshot = app.inventory.snapshot();
        let by_nic = || snapshot.host_of_nic(named.parse().ok()?);
        let host = by_nic().or_else(|| snapshot.host(named));
        let asks = mac.map(Into::into).or(nic);
        let host = host.or_else(|| snapshot.host_of_nic(asks?)).map(|(name, _)| name.to_owned());
        let boot = host.as_ref().and_then(|host| app.inventory.states.boot_of(host));
        Self { host, mac, boot }
    }
}

/// A status as it is counted: one of a fixed set.
fn status_label(status: u16) -> &'static str {
    match status {
        200 => "200",
        206 => "206",
        304 => "304",
        400 => "400",
        403 => "403",
        404 => "404",
        405 => "405",
        408 => "408",
        409 => "409",
        413 => "413",
        416 => "416",
        422 => "422",
        500 => "500",
        503 => "503",
        _ => "other",
    }
}

/// Records what happened.
fn record(app: &App, host: Option<&str>, mac: Option<Mac>, data: EventData) {
    app.inventory.events.record(host, mac, data);
}

/// The same, encrypted, on `machine_tls_listen`.
pub(crate) async fn run_tls(
    app: App,
    listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let (config, until) = (app.config.clone(), stop.clone());
    // A new RSA key takes up to a second of a processor.
    let start = move || Tls::start(Audience::Machines, config, until);
    let tls = tokio::task::spawn_blocking(start).await?.map_err(io::Error::other)?;
    let limits = limits(&app);
    let service = service(app);
    let prepare = move |stream, peer| {
        let (service, acceptor) = (service.clone(), tls.acceptor());
        async move {
            let (connection, addresses) = peer::connect_tls(stream, peer, acceptor?).await?;
            let service = Extension(ConnectInfo(addresses)).layer(service);
            Some(Prepared { io: connection, service, protocol: Protocol::Http1 })
        }
    };
    listen::run(listener, limits, prepare, stop).await
}
