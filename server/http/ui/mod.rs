//! The pages for people: every route on one screen.
//!
//! A request passes the guard (host name, security headers), then its session;
//! everything but the login page and the style sheet needs a login, and every
//! form its CSRF token ([`form::CheckedForm`]).

mod access;
mod assets;
mod audit;
mod bulk;
mod change;
mod checks;
mod clock;
mod confirm;
mod definitions;
mod discovered;
mod drawing;
mod error;
mod events;
mod form;
mod formats;
mod guard;
mod host;
mod host_edit;
mod host_form;
mod host_install;
mod host_row;
mod host_timeline;
mod hosts;
mod image_upload;
mod images;
mod keys;
mod leases;
mod live;
mod login;
mod natural;
mod page;
mod parameter_choice;
mod password_queue;
mod progress;
mod proposal;
mod query;
mod racks;
mod recent;
mod revisions;
mod session;
mod stack;
mod state;
mod subnets;
mod switches;
mod tenants;
mod throttle;
mod usage;

use std::io;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, DefaultBodyLimit};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::app::App;
use crate::http::listen::{self, Limits};
use crate::http::settled::settled;
use crate::http::{api, health};
use crate::memory;
use crate::model::NounKind;
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
    let with_login = Router::new()
        .route("/", get(|| async { Redirect::to("/hosts") }))
        .route("/logout", post(login::leave))
        .merge(nouns())
        .route("/formats", get(formats::show))
        .route("/keys", get(keys::show))
        .route("/keys/schema.json", get(keys::schema))
        .route("/leases", get(leases::list))
        .route("/leases/{address}/remove", get(leases::ask_remove).post(leases::remove))
        .route("/discovered", get(discovered::list))
        .route("/discovered/adopt", get(discovered::adopt))
        .route("/events", get(events::list))
        .route("/audit", get(audit::list))
        .route("/revisions", get(revisions::list))
        .route("/revisions/{id}", get(revisions::show))
        .route("/revisions/{id}/revert", get(revisions::ask_revert).post(revisions::take_back))
        .route("/checks", get(checks::list))
        .route("/checks/fix", post(checks::fix))
        .route("/change", get(change::form).post(change::take))
        .route("/access", get(access::show))
        .route("/access/tokens", post(access::add_token))
        .route(
            "/access/tokens/{name}/remove",
            get(access::ask_remove_token).post(access::remove_token),
        )
        .route("/access/password", post(access::set_password))
        .route("/live", get(live::all))
        .route("/live/hosts/{name}", get(live::host))
        .route("/live/racks/{name}", get(live::rack))
        .route_layer(from_fn_with_state(ui.app.clone(), settled))
        .route_layer(from_fn_with_state(ui.clone(), session::require_login));
    Router::new()
        .merge(with_login)
        .route(
            "/login",
            get(login::form).post(login::enter).layer(DefaultBodyLimit::max(LOGIN_BYTES)),
        )
        .route("/static/{file}", get(assets::file))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics).with_state(ui.app.clone()))
        .nest_service("/api/v1", api::service(ui.app.clone(), ui.stop.clone()))
        .fallback(error::no_such_page)
        .layer(session::layer(&ui))
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(RequestBodyTimeoutLayer::new(listen::BODY))
        .layer(from_fn_with_state(ui.clone(), guard::check))
        .layer(CatchPanicLayer::custom(error::after_panic))
        .layer(from_fn(api::describe_failures))
        .with_state(ui)
}

fn nouns() -> Router<Ui> {
    NounKind::ALL.iter().fold(Router::new(), |routes, kind| routes.merge(pages(*kind)))
}

/// The pages of a noun.
fn pages(kind: NounKind) -> Router<Ui> {
    let pages = Router::new();
    match kind {
        NounKind::Host => pages
            .route("/hosts", get(hosts::list))
            .route("/add-host", get(host_edit::blank).post(host_edit::add))
            .route("/edit-hosts", get(bulk::form).post(bulk::take))
            .route("/hosts/{name}", get(host::show))
            .route("/hosts/{name}/edit", get(host_edit::form).post(host_edit::save))
            .route("/hosts/{name}/install", get(host_install::ask).post(host_install::take))
            .route("/hosts/{name}/remove", get(host_edit::ask_remove).post(host_edit::remove)),
        NounKind::Rack => {
            pages.route("/racks", get(racks::list)).route("/racks/{name}", get(racks::show))
        }
        NounKind::Subnet => {
            pages.route("/subnets", get(subnets::list)).route("/subnets/{name}", get(subnets::show))
        }
        NounKind::Switch => pages
            .route("/switches", get(switches::list))
            .route("/switches/{name}", get(switches::show)),
        NounKind::Tenant => {
            pages.route("/tenants", get(tenants::list)).route("/tenants/{name}", get(tenants::show))
        }
        NounKind::ProfileTree => pages
            .route("/profiles", get(definitions::profiles))
            .route("/profiles/{name}", get(definitions::profile)),
        NounKind::Image => pages
            .route("/images", get(images::list))
            .route("/images/{name}", get(images::show))
            .route(
                "/add-image",
                get(image_upload::form)
                    .post(image_upload::take)
                    // Files are stored while they come, as far as the disk has space.
                    .layer(DefaultBodyLimit::disable()),
            )
            .route("/add-image/review", get(image_upload::review)),
    }
}

/// Serves the pages on `listener` until `stop`.
pub async fn run(app: App, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let routes = routes(Ui::start(app, stop.clone()));
    // The description of the API takes 10 MB to make and 0.5 MB to keep.
    memory::give_back();
    let prepare = move |stream, peer: SocketAddr| {
        (stream, Extension(ConnectInfo(peer)).layer(routes.clone()))
    };
    listen::run(listener, Limits::of_operators(), prepare, stop).await
}
