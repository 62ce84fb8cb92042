//! The pages for people: every route on one screen.
//!
//! A request passes the guard (host name, security headers), then its session;
//! everything but the login page and the style sheet needs a login, and every
//! form its CSRF token ([`form::CheckedForm`]).

mod access;
mod assets;
mod audit;
mod bulk;
mod bulk_install;
mod change;
mod checks;
mod clock;
mod confirm;
mod csv_answer;
mod definitions;
mod discovered;
mod drawing;
mod elevation;
mod entry_form;
mod error;
mod event_tail;
mod events;
mod find;
mod fleet;
mod form;
mod formats;
mod give_address;
mod guard;
mod host;
mod host_boots;
mod host_edit;
mod host_form;
mod host_install;
mod host_label;
mod host_query;
mod host_row;
mod host_timeline;
mod hosts;
mod image_upload;
mod images;
mod import_drafts;
mod import_files;
mod keys;
mod last_change;
mod leases;
mod live;
mod login;
mod oidc;
mod overview;
mod page;
mod parameter_choice;
mod password_queue;
mod profile_builder;
mod progress;
mod proposal;
mod proxy;
mod query;
mod racks;
mod recent;
mod revisions;
mod roll_out;
mod routes;
mod second_factor;
mod server_url;
mod session;
mod site_facts;
mod stack;
mod state;
mod subnets;
mod switches;
mod tenants;
mod theme;
mod throttle;
mod usage;
mod users;

use std::io;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, DefaultBodyLimit};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{AddExtension, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::app::App;
use crate::http::listen::{self, Limits, Prepared, Protocol};
use crate::http::settled::settled;
use crate::http::tls::{self, Audience, Tls};
use crate::http::{api, health};
use crate::memory;
use crate::model::NounKind;
#[cfg(any(test, fuzzing))]
pub(crate) use oidc::exercise;
use proxy::Transport;
pub use routes::RouteRule;
use routes::{
    ASK_OWN, CHANGE, CHANGE_SHARED, EDIT, EDIT_SHARED, Guarded, MANAGE, MANAGE_CHANGE, MANAGE_VIEW,
    OWN, PREPARE, PREPARE_SHARED, VIEW,
};
use state::Ui;

/// The largest form that is read, in bytes: a pasted site file of some thousand hosts.
const FORM_BYTES: usize = 4 << 20;

/// The largest login form, in bytes: it is read from anybody.
const LOGIN_BYTES: usize = 8 << 10;

/// Every page.
pub fn router(app: App) -> Router {
    routes(Ui::start(app, CancellationToken::new()))
}

fn routes(ui: Ui) -> Router {
    let with_login = guarded()
        .router
        .route_layer(from_fn_with_state(ui.app.clone(), settled))
        .route_layer(from_fn_with_state(ui.clone(), session::require_login));
    Router::new()
        .merge(with_login)
        .route(
            "/login",
            get(login::form).post(login::enter).layer(DefaultBodyLimit::max(LOGIN_BYTES)),
        )
        .route(
            "/login/code",
            get(login::code_form).post(login::enter_code).layer(DefaultBodyLimit::max(LOGIN_BYTES)),
        )
        .route("/login/oidc", get(oidc::begin))
        .route("/login/oidc/callback", get(oidc::callback))
        .route("/static/{file}", get(assets::file))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics).with_state(ui.app.clone()))
        .method_not_allowed_fallback(error::no_such_method)
        .nest_service("/api/v1", api::service(ui.app.clone(), ui.stop.clone()))
        .fallback(error::no_such_page)
        .layer(session::layer(&ui))
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(RequestBodyTimeoutLayer::new(listen::BODY))
        .layer(from_fn_with_state(ui.clone(), guard::check))
        .layer(CatchPanicLayer::custom(error::after_panic))
        .layer(from_fn(api::describe_failures))
        .layer(from_fn_with_state(ui.clone(), proxy::settle))
        .with_state(ui)
}

/// Every page behind a login, with the role that each needs.
fn guarded() -> Guarded {
    Guarded::default()
        .route("/", VIEW, get(fleet::show))
        .route("/steps/dismiss", OWN, post(fleet::dismiss_steps))
        .route("/logout", OWN, post(login::leave))
        .merge(nouns())
        .route("/find", VIEW, get(find::show))
        .route("/formats", VIEW, get(formats::show))
        .route("/keys", VIEW, get(keys::show))
        .route("/keys/schema.json", VIEW, get(keys::schema))
        .route("/leases", VIEW, get(leases::list))
        .route("/leases.csv", VIEW, get(leases::csv))
        .route("/leases/{address}/remove", EDIT, get(leases::ask_remove).post(leases::remove))
        .route("/discovered", VIEW, get(discovered::list))
        .route("/discovered/adopt", PREPARE, get(discovered::adopt))
        .route("/events", VIEW, get(events::list))
        .route("/events.csv", VIEW, get(events::csv))
        .route("/audit", VIEW, get(audit::list))
        .route("/revisions", VIEW, get(revisions::list))
        .route("/revisions/{id}", VIEW, get(revisions::show))
        .route("/revisions/{id}/site.diff", VIEW, get(revisions::site_diff))
        .route("/revisions/{id}/files.diff", VIEW, get(revisions::files_diff))
        .route(
            "/revisions/{id}/revert",
            EDIT,
            get(revisions::ask_revert).post(revisions::take_back),
        )
        .route("/roll-out", VIEW, get(roll_out::show))
        .route("/roll-out.csv", VIEW, get(roll_out::csv))
        .route("/roll-out/start", EDIT_SHARED, get(roll_out::review).post(roll_out::start))
        .route("/roll-out/resume", EDIT_SHARED, get(roll_out::ask_resume).post(roll_out::resume))
        .route("/roll-out/end", EDIT_SHARED, get(roll_out::ask_end).post(roll_out::end))
        .route("/checks", VIEW, get(checks::list))
        .route("/checks/fix", CHANGE, post(checks::fix))
        .route("/change", EDIT, get(change::form).post(change::take))
        .route("/access", VIEW, get(access::show))
        .route("/access/tokens", OWN, post(access::add_token))
        .route(
            "/access/tokens/{name}/remove",
            ASK_OWN,
            get(access::ask_remove_token).post(access::remove_token),
        )
        .route("/access/secrets", CHANGE_SHARED, post(access::set_secret))
        .route("/access/secrets/remove", CHANGE_SHARED, post(access::remove_secret))
        .route("/access/password", OWN, post(access::set_password))
        .route("/access/sessions", OWN, post(access::end_sessions))
        .route("/access/theme", OWN, post(theme::choose))
        .route("/access/second-factor", ASK_OWN, get(second_factor::show).post(second_factor::take))
        .route("/users", MANAGE, get(users::list).post(users::add))
        .route("/users/{name}", MANAGE_VIEW, get(users::show))
        .route("/users/{name}/role", MANAGE_CHANGE, post(users::set_role))
        .route("/users/{name}/limits", MANAGE_CHANGE, post(users::set_limits))
        .route("/users/{name}/disable", MANAGE_CHANGE, post(users::disable))
        .route("/users/{name}/enable", MANAGE_CHANGE, post(users::enable))
        .route("/users/{name}/reset", MANAGE_CHANGE, post(users::reset))
        .route("/users/{name}/second-factor", MANAGE_CHANGE, post(users::reset_second_factor))
        .route("/users/{name}/sessions", MANAGE_CHANGE, post(users::end_sessions))
        .route("/users/{name}/remove", MANAGE, get(users::ask_remove).post(users::remove))
        .route("/live", VIEW, get(live::all))
        .route("/live/fleet", VIEW, get(live::fleet))
        .route("/live/events", VIEW, get(live::events))
        .route("/live/hosts/{name}", VIEW, get(live::host))
        .route("/live/racks/{name}", VIEW, get(live::rack))
}

/// Every page behind a login, with the role that each method needs.
pub fn route_rules() -> Vec<RouteRule> {
    guarded().rules
}

fn nouns() -> Guarded {
    NounKind::ALL.iter().fold(Guarded::default(), |routes, kind| routes.merge(pages(*kind)))
}

/// The pages of a noun.
fn pages(kind: NounKind) -> Guarded {
    let pages = Guarded::default();
    match kind {
        NounKind::Host => pages
            .route("/hosts", VIEW, get(hosts::list))
            .route("/hosts.csv", VIEW, get(hosts::csv))
            .route("/add-host", EDIT, get(host_edit::blank).post(host_edit::add))
            .route("/edit-hosts", EDIT, get(bulk::form).post(bulk::take))
            .route(
                "/import",
                EDIT,
                get(import_files::form)
                    .post(import_files::take)
                    .layer(DefaultBodyLimit::max(import_files::MOST_SENT)),
            )
            .route("/import/{id}", EDIT, get(import_files::show).post(import_files::answer))
            .route("/import/{id}/report.txt", PREPARE, get(import_files::report))
            .route("/install-hosts", EDIT, get(bulk_install::ask).post(bulk_install::take))
            .route("/hosts/{name}", VIEW, get(host::show))
            .route("/hosts/{name}/boots", VIEW, get(host_boots::show))
            .route("/hosts/{name}/label", VIEW, get(host_label::show))
            .route("/hosts/{name}/edit", EDIT, get(host_edit::form).post(host_edit::save))
            .route("/hosts/{name}/install", EDIT, get(host_install::ask).post(host_install::take))
            .route(
                "/hosts/{name}/remove",
                EDIT,
                get(host_edit::ask_remove).post(host_edit::remove),
            ),
        NounKind::Rack => pages
            .route("/racks", VIEW, get(racks::list))
            .route("/racks.csv", VIEW, get(racks::csv))
            .route("/racks/{name}", VIEW, get(racks::show))
            .route("/racks/{name}/place", PREPARE, get(racks::place)),
        NounKind::Subnet => pages
            .route("/subnets", VIEW, get(subnets::list))
            .route("/subnets.csv", VIEW, get(subnets::csv))
            .route("/subnets/{name}/addresses.csv", VIEW, get(subnets::addresses_csv))
            .route("/subnets/{name}", VIEW, get(subnets::show))
            .route("/subnets/{name}/give", PREPARE, get(give_address::show)),
        NounKind::Switch => pages
            .route("/switches", VIEW, get(switches::list))
            .route("/switches.csv", VIEW, get(switches::csv))
            .route("/switches/{name}", VIEW, get(switches::show)),
        NounKind::Tenant => pages
            .route("/tenants", VIEW, get(tenants::list))
            .route("/tenants.csv", VIEW, get(tenants::csv))
            .route("/tenants/{name}", VIEW, get(tenants::show)),
        NounKind::ProfileTree => pages
            .route("/profiles", VIEW, get(definitions::profiles))
            .route("/profiles.csv", VIEW, get(definitions::profiles_csv))
            .route("/profiles/{name}", VIEW, get(definitions::profile)),
        NounKind::Image => pages
            .route("/images", VIEW, get(images::list))
            .route("/images.csv", VIEW, get(images::csv))
            .route("/images/{name}", VIEW, get(images::show))
            .route(
                "/add-image",
                EDIT_SHARED,
                get(image_upload::form)
                    .post(image_upload::take)
                    // Files are stored while they come, as far as the disk has space.
                    .layer(DefaultBodyLimit::disable()),
            )
            .route("/add-image/review", PREPARE_SHARED, get(image_upload::review)),
    }
}

/// Serves the pages on `listener` until `stop`.
pub async fn run(app: App, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let tls = Tls::start(Audience::Operators, app.config.clone(), stop.clone())
        .map_err(io::Error::other)?;
    let proxies = app.config.now().trusted_proxies.clone();
    let routes = routes(Ui::start(app, stop.clone()));
    // The description of the API takes 10 MB to make and 0.5 MB to keep.
    memory::give_back();
    let prepare = move |stream, peer| greet(stream, peer, tls.acceptor(), routes.clone());
    let limits = Limits::of_operators().without(proxies);
    listen::run(listener, limits, prepare, stop).await
}

/// The first byte of a TLS connection: the type of a handshake record (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// A connection's own service: all routes with what its requests need to know of it.
type Routes = AddExtension<AddExtension<Router, ConnectInfo<SocketAddr>>, Transport>;

/// Adds it to requests. [`Router::layer`] would copy every route for each connection.
fn of_connection(routes: Router, peer: SocketAddr, transport: Transport) -> Routes {
    Extension(transport).layer(Extension(ConnectInfo(peer)).layer(routes))
}

/// Begins a connection: encrypted where there is a certificate. Programs on this server itself may
/// speak plain HTTP, which nobody can read on its way; others are sent to HTTPS.
async fn greet(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    routes: Router,
) -> Option<Prepared<Either<TcpStream, TlsStream<TcpStream>>, Routes>> {
    let plain = |stream, routes| {
        let service = of_connection(routes, peer, Transport::Plain);
        let io = Either::Left(stream);
        Some(Prepared { io, service, protocol: Protocol::Http1 })
    };
    let Some(acceptor) = acceptor else { return plain(stream, routes) };
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first[0] != HANDSHAKE {
        let own = stream.local_addr().ok()?.ip().to_canonical();
        let address = peer.ip().to_canonical();
        let is_here = address.is_loopback() || address == own;
        return plain(stream, if is_here { routes } else { Router::new().fallback(to_https) });
    }
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            return None;
        }
    };
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(chosen) if chosen == tls::H2 => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let service = of_connection(routes, peer, Transport::Tls);
    Some(Prepared { io: Either::Right(stream), service, protocol })
}

/// The same page, encrypted.
async fn to_https(headers: HeaderMap, uri: Uri) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_name =
        |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
    match host.filter(is_name) {
        Some(host) => {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            Redirect::permanent(&format!("https://{host}{path}")).into_response()
        }
        None => (StatusCode::BAD_REQUEST, "this port speaks HTTPS\n").into_response(),
    }
}
