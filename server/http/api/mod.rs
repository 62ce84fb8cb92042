//! `/api/v1`: the inventory as JSON, for programs that bear a token.
//!
//! Every token may read; one that may change may also send POST, PUT and DELETE.
//! Bodies are JSON or YAML, with the site file's keys.

mod auth;
mod error;
mod history;
mod live;
mod nouns;
mod openapi;
mod site;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::app::App;
use crate::http::settled::settled;
use crate::model::{Host, Image, Noun, ProfileTree, Rack, Subnet, Switch, Tenant};

/// The largest body that is read, in bytes: what a site file may have.
const BODY_BYTES: usize = 32 << 20;

/// Every route, without `/api/v1`, for a router of any state.
pub fn router<S: Clone + Send + Sync + 'static>(app: App) -> Router<S> {
    let with_token = Router::new()
        .route("/site", get(site::show).put(site::replace))
        .route("/check", get(site::check))
        .merge(noun::<Rack>())
        .merge(noun::<Tenant>())
        .merge(noun::<Switch>())
        .merge(noun::<Subnet>())
        .merge(noun::<ProfileTree>())
        .merge(noun::<Image>())
        .merge(noun::<Host>())
        .route("/hosts/{name}/status", get(history::status))
        .route("/hosts/{name}/config", get(site::config))
        .route("/switches/{name}/config", get(site::switch_config))
        .route("/profiles/{name}/microcloud-preseed", get(site::microcloud))
        .route("/leases", get(history::leases))
        .route("/leases/{address}", get(history::lease).delete(history::remove_lease))
        .route("/events", get(history::events))
        .route("/revisions", get(history::revisions))
        .route("/revisions/{id}", get(history::revision))
        .route("/revisions/{id}/revert", post(history::revert))
        .route("/live", get(live::stream))
        .route_layer(from_fn_with_state(app.clone(), settled))
        .route_layer(from_fn_with_state(app.clone(), auth::require_token));
    Router::new()
        .merge(with_token)
        .route("/openapi.json", get(openapi::document))
        .fallback(error::no_such_route)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(app)
}

fn noun<T: Noun>() -> Router<App> {
    Router::new().route(&format!("/{}", T::SECTION), get(nouns::list::<T>)).route(
        &format!("/{}/{{name}}", T::SECTION),
        get(nouns::show::<T>).put(nouns::put::<T>).delete(nouns::remove::<T>),
    )
}
