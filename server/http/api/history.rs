//! What happens: states, leases, events and revisions.

use std::net::Ipv4Addr;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Program;
use super::error::Error;
use super::nouns::{How, not_found, told};
use crate::app::App;
use crate::inventory::{self, EventFilter, Revision};
use crate::lifecycle::{Event, EventKind};
use crate::model::{Host, Lease};

/// How many entries a list has when nobody says.
const USUAL: u32 = 100;
/// How many it has at most.
const MOST: u32 = 10_000;

/// Which part of a history is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What is about one host only.
    host: Option<String>,
    /// What came after this moment only, in Unix milliseconds.
    #[serde(default)]
    after_ms: i64,
    /// The newest so many.
    limit: Option<u32>,
}

impl Part {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(USUAL).min(MOST)
    }
}

/// `GET /hosts/{name}/status`: the state of a host and what it said of itself.
pub async fn status(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Error> {
    let database = &app.inventory.database;
    let Some(status) = database.find_host_status(&name).await? else {
        return Err(not_found::<Host>(&app.inventory.snapshot().site, name));
    };
    let report = database.find_report(&name).await?;
    Ok(Json(json!({"name": name, "status": status, "report": report})))
}

/// `GET /leases`: those that have ended included.
pub async fn leases(State(app): State<App>) -> Json<Vec<Value>> {
    Json(app.leases.list().iter().map(lease_json).collect())
}

/// `GET /leases/{address}`
pub async fn lease(
    State(app): State<App>,
    Path(address): Path<String>,
) -> Result<Json<Value>, Error> {
    Ok(Json(lease_json(&find_lease(&app, &address)?)))
}

/// `DELETE /leases/{address}`: the address is free again; its client is not told.
pub async fn remove_lease(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Path(address): Path<String>,
) -> Result<Json<Value>, Error> {
    let lease = find_lease(&app, &address)?;
    app.leases.remove(lease.address).await.map_err(inventory::Error::from)?;
    let text = format!("{} took back the lease of {address} ({})", program.who, lease.client);
    app.inventory.events.record(None, Some(lease.mac), EventKind::Change, text);
    Ok(Json(lease_json(&lease)))
}

fn find_lease(app: &App, address: &str) -> Result<Lease, Error> {
    let missing = || Error::NotFound { noun: "lease", name: address.into(), hint: String::new() };
    let parsed: Ipv4Addr = address.parse().map_err(|_| missing())?;
    app.leases.find(parsed).ok_or_else(missing)
}

fn lease_json(lease: &Lease) -> Value {
    let Lease { address, client, mac, subnet, state, starts_at, expires_at } = lease;
    json!({
        "address": address, "client": client.to_string(), "mac": mac, "subnet": subnet,
        "state": state, "starts_at": starts_at, "expires_at": expires_at,
    })
}

/// `GET /events`, newest first.
pub async fn events(
    State(app): State<App>,
    Query(part): Query<Part>,
) -> Result<Json<Vec<Event>>, Error> {
    let limit = part.limit();
    let filter = EventFilter { host: part.host, after_ms: part.after_ms, limit };
    Ok(Json(app.inventory.database.list_events(&filter).await?))
}

/// `GET /revisions`, newest first.
pub async fn revisions(
    State(app): State<App>,
    Query(part): Query<Part>,
) -> Result<Json<Vec<Revision>>, Error> {
    Ok(Json(app.inventory.database.list_revisions(part.limit()).await?))
}

/// `GET /revisions/{id}`: with what it changed, in the generated files too unless it is too long
/// ago to be found out.
pub async fn revision(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Value>, Error> {
    let revision = app.inventory.database.find_revision(id).await?.ok_or_else(|| {
        Error::NotFound { noun: "revision", name: id.to_string(), hint: String::new() }
    })?;
    let differences = revision.differences()?;
    let consequences = app.inventory.find_consequences(id).await?;
    Ok(Json(json!({
        "revision": revision, "differences": differences, "consequences": consequences,
    })))
}

/// `POST /revisions/{id}/revert`: undoes one, as a new revision.
pub async fn revert(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Path(id): Path<i64>,
    Query(how): Query<How>,
) -> Result<Json<Value>, Error> {
    let summary = format!("revert revision {id}");
    Ok(told(app.inventory.revert(how.change(&program, &summary), id).await?).await)
}
