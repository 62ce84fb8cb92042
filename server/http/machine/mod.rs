//! What booting hosts fetch: a stable contract, plain HTTP, no redirects, and no route of the administration.

mod conditions;
mod config;
mod congestion;
mod connection;
#[cfg(test)]
mod entrances;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
mod files;
mod peer;
mod rendered;
mod report;
mod scripts;
mod transfer;

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRef, Request};
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
use crate::http::listen::{self, Limits};
use crate::inventory::now_ms;
use crate::lifecycle::EventData;
use crate::metrics::HTTP_ANSWERS;
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
pub(crate) const ROUTES: [Route; 12] = [
    Route { path: "/boot/{script}", handlers: || get(scripts::host) },
    Route { path: "/autoexec.ipxe", handlers: || get(scripts::autoexec) },
    Route { path: LOCAL_PATH, handlers: || get(scripts::local) },
    Route { path: "/files/{*name}", handlers: || get(files::file) },
    Route { path: "/config/{mac}", handlers: || get(config::all) },
    Route { path: "/config/{mac}/netplan.yaml", handlers: || get(config::netplan) },
    Route { path: "/config/{mac}/microcloud-preseed.yaml", handlers: || get(config::microcloud) },
    Route { path: "/config/{mac}/{format}", handlers: || get(config::of_format) },
    Route { path: "/config/{mac}/{format}/{name}", handlers: || get(config::one) },
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
        .layer(ServiceBuilder::new().layer(middleware::from_fn(log)).layer(CatchPanicLayer::new()))
        .with_state(Machine(Arc::new(Parts { app, rendered: Rendered::default() })));
    MapRequest::new(routes, join_slashes)
}

/// Serves on `listener` until `stop`; answers that have begun are finished.
pub async fn run(app: App, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let service = service(app);
    let prepare = move |stream, peer| {
        let (connection, addresses) = peer::connect(stream, peer);
        (connection, Extension(ConnectInfo(addresses)).layer(service.clone()))
    };
    listen::run(listener, Limits::of_machines(), prepare, stop).await
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

/// Writes a line for every request that fails, and for the others where debugging asks for it.
/// What matters of those is told as an event.
async fn log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    // Without the query, which may hold the token of a boot.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let peer =
        request.extensions().get::<ConnectInfo<ConnectionAddresses>>().map(|info| info.0.peer);
    let response = next.run(request).await;
    let peer = peer.map(tracing::field::display);
    HTTP_ANSWERS.count(response.status().as_str());
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    if status < 400 {
        tracing::debug!(peer, status, ?elapsed, "{method} {path}");
    } else {
        tracing::info!(peer, status, ?elapsed, "{method} {path}");
    }
    response
}

/// Says in the log and on the event bus what happened.
fn tell(app: &App, host: Option<&str>, mac: Option<Mac>, data: EventData) {
    tracing::info!(host, mac = mac.map(tracing::field::display), "{}: {data}", data.kind());
    app.inventory.events.record(host, mac, data);
}
