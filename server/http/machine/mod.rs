//! What booting hosts fetch: a stable contract, plain HTTP, no redirects, and no route of the administration.

mod conditions;
mod config;
mod congestion;
mod connection;
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
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRef, Request};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, ServiceExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::boot::next::LOCAL_PATH;
use crate::http::health;
use crate::lifecycle::EventData;
use crate::metrics::HTTP_ANSWERS;
use crate::model::Mac;
use crate::network::Format;
use config::Wrapping;
use error::Error;
use peer::{ConnectionAddresses, MachineListener};
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

/// Every route that a booting host may ask for.
fn service(app: App) -> Service {
    let routes = Router::new()
        .route("/boot/{script}", get(scripts::host))
        .route("/autoexec.ipxe", get(scripts::autoexec))
        .route(LOCAL_PATH, get(scripts::local))
        .route("/files/{*name}", get(files::file))
        .route("/config/{mac}", get(config::all))
        .route("/config/{mac}/netplan.yaml", get(config::netplan))
        .route("/config/{mac}/microcloud-preseed.yaml", get(config::microcloud))
        .route("/config/{mac}/{format}", get(config::of_format))
        .route("/config/{mac}/{format}/{name}", get(config::one))
        .route("/report/{mac}", post(report::store))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(|| async { Error::Nowhere })
        .method_not_allowed_fallback(
            |method: Method| async move { Error::Method(method.to_string()) },
        )
        .layer(DefaultBodyLimit::max(report::MAX_BYTES))
        .layer(ServiceBuilder::new().layer(middleware::from_fn(log)).layer(CatchPanicLayer::new()))
        .with_state(Machine(Arc::new(Parts { app, rendered: Rendered::default() })));
    MapRequest::new(routes, join_slashes)
}

/// Serves on `listener` until `stop`; answers that have begun are finished.
pub async fn run(app: App, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    axum::serve(
        MachineListener(listener),
        service(app).into_make_service_with_connect_info::<ConnectionAddresses>(),
    )
    .with_graceful_shutdown(stop.cancelled_owned())
    .await
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
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let peer =
        request.extensions().get::<ConnectInfo<ConnectionAddresses>>().map(|info| info.0.peer);
    let response = next.run(request).await;
    let peer = peer.map(tracing::field::display);
    HTTP_ANSWERS.count(response.status().as_str());
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    if status < 400 {
        tracing::debug!(peer, status, ?elapsed, "{method} {uri}");
    } else {
        tracing::info!(peer, status, ?elapsed, "{method} {uri}");
    }
    response
}

/// Says in the log and on the event bus what happened.
fn tell(app: &App, host: Option<&str>, mac: Option<Mac>, data: EventData) {
    tracing::info!(host, mac = mac.map(tracing::field::display), "{}: {data}", data.kind());
    app.inventory.events.record(host, mac, data);
}

/// Now, in Unix milliseconds.
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64)
}
