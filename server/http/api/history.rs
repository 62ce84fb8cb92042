//! What happens and happened: states of hosts, leases, events and revisions.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{Extension, OriginalUri, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::auth::Program;
use super::extract::{Named, PathOf, Query};
use super::nouns::{ChangeResult, not_found};
use super::page::{NewestFirst, Page, Paging, Position, SortValue};
use super::problem::Error;
use super::site::SiteQuery;
use crate::app::App;
use crate::inventory::{self, EventPageQuery, EventsOf, Report, Revision};
use crate::lifecycle::audit::Action;
use crate::lifecycle::{Event, EventKind, HostStatus};
use crate::model::{Difference, Host, Lease, LeaseState, Mac};
use crate::network::Consequences;

/// What a host is doing.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StatusOfHost {
    /// The host's name.
    name: String,
    /// Its state, since when, and the cause.
    status: HostStatus,
    /// What it reported last.
    report: Option<Report>,
}

/// `GET /hosts/{name}/status`
pub(super) async fn status(
    State(app): State<App>,
    PathOf(Named { name }): PathOf<Named>,
) -> Result<Answer<StatusOfHost>, Error> {
    let database = &app.inventory.database;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let Some(status) = app.inventory.host_status(&name, now_ms) else {
        return Err(not_found::<Host>(&app.inventory.snapshot().site, name));
    };
    let report = database.find_report(&name).await?;
    Ok(Answer::new(StatusOfHost { name, status, report }))
}

/// A lease as programs read it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Lease")]
pub(super) struct LeaseItem {
    /// The address.
    address: Ipv4Addr,
    /// Who holds it: `host:NAME`, `mac:MAC` or `id:HEX`.
    client: String,
    /// The hardware address that asked last.
    mac: Mac,
    /// The subnet's name.
    subnet: String,
    /// Whether the address is in use.
    state: LeaseState,
    /// When it was first given, in Unix seconds.
    starts_at: i64,
    /// When it ends, in Unix seconds.
    expires_at: i64,
}

impl From<&Lease> for LeaseItem {
    fn from(lease: &Lease) -> Self {
        let Lease { address, client, mac, subnet, state, starts_at, expires_at } = lease.clone();
        let client = client.to_string();
        Self { address, client, mac, subnet, state, starts_at, expires_at }
    }
}

/// What leases can be sorted by.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(super) enum LeaseSort {
    #[serde(rename = "address")]
    Address,
    #[serde(rename = "-address")]
    AddressDescending,
    #[serde(rename = "expires_at")]
    Expires,
    #[serde(rename = "-expires_at")]
    ExpiresDescending,
}

/// Which leases are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LeaseQuery {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Where the page begins: from the link to the next page.
    #[serde(default)]
    cursor: Option<String>,
    /// What the list is sorted by; with - in front in the opposite order.
    #[serde(default)]
    sort: Option<LeaseSort>,
    /// Only leases of this subnet.
    #[serde(default)]
    subnet: Option<String>,
    /// Only leases in this state.
    #[serde(default)]
    state: Option<LeaseState>,
    /// Only leases of this client: `host:NAME`, `mac:MAC` or `id:HEX`.
    #[serde(default)]
    client: Option<String>,
}

/// `GET /leases`: those that have ended included.
pub(super) async fn leases(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<LeaseQuery>,
) -> Result<Answer<Page<LeaseItem>>, Error> {
    let LeaseQuery { limit, cursor, sort, subnet, state, client } = query;
    let sort = match sort.unwrap_or(LeaseSort::Address) {
        LeaseSort::Address => "address",
        LeaseSort::AddressDescending => "-address",
        LeaseSort::Expires => "expires_at",
        LeaseSort::ExpiresDescending => "-expires_at",
    };
    let paging = Paging::new(limit, cursor, Some(sort), &["address", "expires_at"])?;
    let leases = app.leases.list();
    let is_wanted = |lease: &&Lease| {
        subnet.as_ref().is_none_or(|subnet| lease.subnet == *subnet)
            && state.is_none_or(|state| lease.state == state)
            && client.as_ref().is_none_or(|client| lease.client.to_string() == *client)
    };
    let items = leases.iter().filter(is_wanted).map(|lease| {
        let number = i64::from(lease.address.to_bits());
        let value = match paging.sort.as_str() {
            "expires_at" => lease.expires_at,
            _ => number,
        };
        let position = Position { value: SortValue::Number(value), key: format!("{number:010}") };
        (position, LeaseItem::from(lease))
    });
    Ok(paging.page(items.collect(), &uri).into())
}

/// The path of a lease.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Addressed {
    /// The leased IPv4 address.
    #[schemars(extend("format" = "ipv4"))]
    address: String,
}

/// `GET /leases/{address}`
pub(super) async fn lease(
    State(app): State<App>,
    PathOf(Addressed { address }): PathOf<Addressed>,
) -> Result<Answer<LeaseItem>, Error> {
    Ok(Answer::new(LeaseItem::from(&find_lease(&app, &address)?)))
}

/// `DELETE /leases/{address}`: the address is free again; its client is not told.
pub(super) async fn remove_lease(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Addressed { address }): PathOf<Addressed>,
) -> Result<Answer<LeaseItem>, Error> {
    let lease = find_lease(&app, &address)?;
    app.leases.remove(lease.address).await.map_err(inventory::Error::from)?;
    let action = Action::LeaseRemoved { address: lease.address, client: lease.client.to_string() };
    app.inventory.audit(program.author(), action).await;
    Ok(Answer::new(LeaseItem::from(&lease)))
}

fn find_lease(app: &App, address: &str) -> Result<Lease, Error> {
    let missing = || Error::NotFound { noun: "lease", name: address.into(), hint: String::new() };
    let parsed: Ipv4Addr = address.parse().map_err(|_| missing())?;
    app.leases.find(parsed).ok_or_else(missing)
}

/// Which events are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Where the page begins: from the link to the next page.
    #[serde(default)]
    cursor: Option<i64>,
    /// Only events of this host and of its BMC.
    #[serde(default)]
    host: Option<String>,
    /// Only events about this hardware address. Other notations are read as well.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"))]
    mac: Option<Mac>,
    /// Only events of this kind.
    #[serde(default)]
    kind: Option<EventKind>,
    /// Only events about this address.
    #[serde(default)]
    address: Option<IpAddr>,
    /// Only events that have, for each word of this text, a word that begins with it, in upper or
    /// lower case: words of the sentence, the host, the MAC and the kind.
    #[serde(default)]
    q: Option<String>,
    /// Only events of this moment or later, in Unix milliseconds.
    #[serde(default)]
    from_ms: Option<i64>,
    /// Only events before this moment, in Unix milliseconds.
    #[serde(default)]
    until_ms: Option<i64>,
    /// Only events after this moment, in Unix milliseconds.
    #[serde(default)]
    after_ms: Option<i64>,
}

/// `GET /events`, newest first.
pub(super) async fn events(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<EventQuery>,
) -> Result<Answer<Page<Event>>, Error> {
    let EventQuery { limit, cursor, host, mac, kind, address, q, until_ms, .. } = query;
    let paging = NewestFirst::new(limit)?;
    let after = query.after_ms.map(|after_ms| after_ms.saturating_add(1));
    let site = &app.inventory.snapshot().site;
    let wanted = EventPageQuery {
        host: host.map(|name| EventsOf::host(site, &name)),
        mac,
        kind,
        address,
        text: q.unwrap_or_default(),
        from_ms: query.from_ms.unwrap_or_default().max(after.unwrap_or_default()),
        until_ms,
        before: cursor,
        limit: paging.fetched(),
    };
    let found = app.inventory.database.page_events(&wanted).await?;
    Ok(paging.page(found, &uri, |last| last.number.to_string(), |stored| stored.event).into())
}

/// Which revisions are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevisionQuery {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only revisions before this one: from the link to the next page.
    #[serde(default)]
    cursor: Option<i64>,
    /// Only revisions of this author, such as `token deploy`.
    #[serde(default)]
    who: Option<String>,
}

/// `GET /revisions`, newest first.
pub(super) async fn revisions(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<RevisionQuery>,
) -> Result<Answer<Page<Revision>>, Error> {
    let paging = NewestFirst::new(query.limit)?;
    let (before, who) = (query.cursor.unwrap_or(i64::MAX), query.who.as_deref());
    let database = &app.inventory.database;
    let found = database.list_revisions_before(before, who, paging.fetched()).await?;
    Ok(paging.page(found, &uri, |last| last.id.to_string(), |revision| revision).into())
}

/// The path of a revision.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Numbered {
    /// The number of the revision.
    id: i64,
}

/// A revision and what it changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RevisionDetail {
    /// The revision.
    revision: Revision,
    /// What it changed in the inventory.
    differences: Vec<Difference>,
    /// What it changed in the generated files; null where that can no longer be computed.
    consequences: Option<Consequences>,
}

/// `GET /revisions/{id}`
pub(super) async fn revision(
    State(app): State<App>,
    PathOf(Numbered { id }): PathOf<Numbered>,
) -> Result<Answer<RevisionDetail>, Error> {
    let revision = find_revision(&app, id).await?;
    let differences = revision.differences()?;
    let consequences = app.inventory.find_consequences(id).await?;
    Ok(Answer::new(RevisionDetail { revision, differences, consequences }))
}

async fn find_revision(app: &App, id: i64) -> Result<Revision, Error> {
    let found = app.inventory.database.find_revision(id).await?;
    found.ok_or_else(|| Error::NotFound {
        noun: "revision",
        name: id.to_string(),
        hint: String::new(),
    })
}

/// `POST /revisions/{id}/revert`: undoes one, as a new revision.
pub(super) async fn revert(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Numbered { id }): PathOf<Numbered>,
    Query(query): Query<SiteQuery>,
) -> Result<Answer<ChangeResult>, Error> {
    find_revision(&app, id).await?;
    let summary = format!("revert revision {id}");
    let committed = app.inventory.revert(query.change(&program, &summary), id).await?;
    Ok(Answer::new(ChangeResult::new(committed, query.how()).await))
}
