//! What happens and happened: states of hosts, leases, events and revisions.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{Extension, OriginalUri, State};
use axum::http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::ApiResponse;
use super::auth::Program;
use super::extract::{Named, PathOf, Query};
use super::nouns::{ChangeResult, not_found};
use super::page::{Page, Paging, Position, SortValue, TimeOrder, TimePaging};
use super::parsed::{EventNumber, Limit, NumberCursor, Parsed, UnixMillis};
use super::precondition::{Preconditions, tag_of};
use super::problem::Error;
use super::site::SiteQuery;
use crate::app::App;
use crate::inventory::{
    self, EventPageQuery, EventsOf, FollowedEvent, HostConfig, Revision, RevisionPageQuery,
    StoredReport,
};
use crate::lifecycle::audit::AuditAction;
use crate::lifecycle::unknown::UnknownClient;
use crate::lifecycle::{Event, EventKind, HostStatus};
use crate::model::{Difference, Host, Lease, LeaseState, Mac, NicAddress};
use crate::network::{ConfigState, Consequences};

/// What a host is doing.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StatusOfHost {
    /// The host's name.
    name: String,
    /// Its state, since when, and the cause.
    status: HostStatus,
    /// What it reported last.
    report: Option<StoredReport>,
    /// Whether it runs the network configuration that the inventory has for it, by the SHA-256 of
    /// its files in the report.
    configuration: ConfigState,
    /// The paths of the files that it does not have, or has otherwise.
    differing_files: Vec<String>,
}

/// `GET /hosts/{name}/status`
pub(super) async fn status(
    State(app): State<App>,
    PathOf(Named { name }): PathOf<Named>,
) -> Result<ApiResponse<StatusOfHost>, Error> {
    let database = &app.inventory.database;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let snapshot = app.inventory.snapshot();
    let Some(status) = app.inventory.host_status(&name, now_ms) else {
        return Err(not_found::<Host>(&snapshot.site, name));
    };
    let report = database.find_report(&name).await?;
    let HostConfig { state: configuration, differing: differing_files } =
        HostConfig::compare(&snapshot, &name, database.find_fingerprint(&name).await?.as_ref());
    Ok(ApiResponse::new(StatusOfHost { name, status, report, configuration, differing_files }))
}

/// A lease as programs read it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Lease")]
pub(super) struct LeaseItem {
    /// The address.
    address: Ipv4Addr,
    /// Who holds it: `host:NAME`, `mac:MAC`, `guid:GUID` or `id:HEX`.
    client: String,
    /// The MAC that asked last; zero if it was no Ethernet NIC.
    mac: Mac,
    /// The NIC that asked last: its MAC, or on InfiniBand the GUID of its port; null if the client
    /// does not tell it.
    nic: Option<NicAddress>,
    /// The subnet's name.
    subnet: String,
    /// Whether the address is in use.
    state: LeaseState,
    /// When it was first given, in Unix milliseconds.
    starts_ms: i64,
    /// When it ends, in Unix milliseconds.
    expires_ms: i64,
    /// `starts_ms` in Unix seconds, for older programs.
    starts_at: i64,
    /// `expires_ms` in Unix seconds, for older programs.
    expires_at: i64,
    /// Whether another server gave the address: its client owns another one here, and keeps this
    /// one until it asks anew.
    taken_over: bool,
}

impl LeaseItem {
    /// Its entity tag: another one as soon as the lease is renewed.
    fn tag(&self) -> String {
        tag_of(&json!(self).to_string())
    }
}

/// The entity tag of a revision, which does not change.
fn revision_tag(revision: &Revision) -> String {
    tag_of(&json!(revision).to_string())
}

impl From<&Lease> for LeaseItem {
    fn from(lease: &Lease) -> Self {
        let Lease { address, client, nic, subnet, state, starts_at, expires_at, taken_over } =
            lease.clone();
        let (client, mac) = (client.to_string(), lease.mac().unwrap_or(Mac([0; 6])));
        let [starts_ms, expires_ms] = [starts_at, expires_at].map(|at| at.saturating_mul(1000));
        Self {
            address,
            client,
            mac,
            nic,
            subnet,
            state,
            starts_ms,
            expires_ms,
            starts_at,
            expires_at,
            taken_over,
        }
    }
}

/// What leases can be sorted by: every key of a lease.
const LEASE_SORTS: [&str; 9] = [
    "address",
    "client",
    "mac",
    "subnet",
    "state",
    "starts_ms",
    "expires_ms",
    "starts_at",
    "expires_at",
];

/// A key of [`LEASE_SORTS`], with `-` in front for the opposite order.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct LeaseSort(String);

impl JsonSchema for LeaseSort {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LeaseSort".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let both = LEASE_SORTS.iter().flat_map(|key| [(*key).to_owned(), format!("-{key}")]);
        schemars::json_schema!({"type": "string", "enum": both.collect::<Vec<_>>()})
    }
}

/// Which leases are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LeaseQuery {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<Parsed<Limit>>,
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
    /// Only leases of this client: `host:NAME`, `mac:MAC`, `guid:GUID` or `id:HEX`.
    #[serde(default)]
    client: Option<String>,
    /// Only leases that this NIC asked for last. Other notations are read as well, and the GUID of
    /// an InfiniBand port.
    #[serde(default)]
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"))]
    mac: Option<NicAddress>,
    /// Only leases that have this text anywhere, in upper or lower case.
    #[serde(default)]
    q: Option<String>,
}

/// `GET /leases`: those that have ended included.
pub(super) async fn leases(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<LeaseQuery>,
) -> Result<ApiResponse<Page<LeaseItem>>, Error> {
    let LeaseQuery { limit, cursor, sort, subnet, state, client, mac, q } = query;
    let sort = sort.map(|LeaseSort(sort)| sort);
    let paging = Paging::new(limit, cursor, sort.as_deref(), &LEASE_SORTS)?;
    let text = q.map(|text| text.to_lowercase());
    let leases = app.leases.list();
    let is_wanted = |lease: &&Lease| {
        subnet.as_ref().is_none_or(|subnet| lease.subnet == *subnet)
            && state.is_none_or(|state| lease.state == state)
            && client.as_ref().is_none_or(|client| lease.client.to_string() == *client)
            && mac.is_none_or(|mac| lease.nic == Some(mac.identity()))
    };
    let items = leases.iter().filter(is_wanted).map(LeaseItem::from).filter(|lease| {
        text.as_ref().is_none_or(|text| json!(lease).to_string().to_lowercase().contains(text))
    });
    let items = items.map(|lease| {
        let number = i64::from(lease.address.to_bits());
        let value = match paging.sort.as_str() {
            "client" => SortValue::Text(lease.client.clone()),
            "mac" => SortValue::Text(lease.mac.to_string()),
            "subnet" => SortValue::Text(lease.subnet.clone()),
            "state" => SortValue::Text(lease.state.label().to_owned()),
            "starts_ms" | "starts_at" => SortValue::Number(lease.starts_at),
            "expires_ms" | "expires_at" => SortValue::Number(lease.expires_at),
            _ => SortValue::Number(number),
        };
        (Position { value, key: format!("{number:010}") }, lease)
    });
    Ok(paging.page(items.collect(), &uri)?.into())
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
    headers: HeaderMap,
) -> Result<ApiResponse<LeaseItem>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    let lease = LeaseItem::from(&find_lease(&app, &address)?);
    let tag = lease.tag();
    Ok(ApiResponse::current(&preconditions, &tag, lease))
}

/// `DELETE /leases/{address}`: the address is free again; its client is not told.
pub(super) async fn remove_lease(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Addressed { address }): PathOf<Addressed>,
    headers: HeaderMap,
) -> Result<ApiResponse<LeaseItem>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    let lease = find_lease(&app, &address)?;
    let tag = LeaseItem::from(&lease).tag();
    preconditions.check(&format!("the lease of {address}"), Some(&tag))?;
    app.inventory.check_lease(program.author(), &program.limits, &lease).await?;
    app.leases.remove(lease.address).await.map_err(inventory::Error::from)?;
    let action =
        AuditAction::LeaseRemoved { address: lease.address, client: lease.client.to_string() };
    app.inventory.audit(program.author(), action).await;
    Ok(ApiResponse::new(LeaseItem::from(&lease)))
}

fn find_lease(app: &App, address: &str) -> Result<Lease, Error> {
    let missing = || Error::NotFound { noun: "lease", name: address.into(), hint: String::new() };
    let parsed: Ipv4Addr = address.parse().map_err(|_| missing())?;
    app.leases.find(parsed).ok_or_else(missing)
}

/// Which unknown clients are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscoveredQuery {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<Parsed<Limit>>,
    /// Where the page begins: from the link to the next page.
    #[serde(default)]
    cursor: Option<String>,
}

/// `GET /discovered`, those that asked last first.
pub(super) async fn discovered(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<DiscoveredQuery>,
) -> Result<ApiResponse<Page<UnknownClient>>, Error> {
    let paging = Paging::new(query.limit, query.cursor, Some("-last_seen_ms"), &["last_seen_ms"])?;
    let now = jiff::Timestamp::now().as_second();
    let clients = app.inventory.unknown_clients(&app.leases.list(), now).await?;
    let item = |client: UnknownClient| {
        let value = SortValue::Number(client.last_seen_ms);
        (Position { value, key: client.client.clone() }, client)
    };
    Ok(paging.page(clients.into_iter().map(item).collect(), &uri)?.into())
}

/// An event and its number.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EventItem")]
pub(super) struct EventItem {
    /// Its number: events are numbered in the order in which they are stored, whichever server
    /// stores them. One that is shown and not stored has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    id: Option<i64>,
    #[serde(flatten)]
    event: Event,
}

impl From<FollowedEvent> for EventItem {
    fn from(FollowedEvent { number, event }: FollowedEvent) -> Self {
        Self { id: number, event: Arc::unwrap_or_clone(event) }
    }
}

/// Which events are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<Parsed<Limit>>,
    /// Where the page begins: from the link to the next page.
    #[serde(default)]
    cursor: Option<Parsed<NumberCursor>>,
    /// What the list is sorted by: `-id` has the newest first.
    #[serde(default)]
    sort: TimeOrder,
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
    address: Option<Parsed<IpAddr>>,
    /// Only events that have, for each word of this text, a word that begins with it, in upper or
    /// lower case: words of the sentence, the host, the MAC and the kind.
    #[serde(default)]
    q: Option<String>,
    /// Only events of this moment or later, in Unix milliseconds.
    #[serde(default)]
    from_ms: Option<Parsed<UnixMillis>>,
    /// Only events before this moment, in Unix milliseconds.
    #[serde(default)]
    until_ms: Option<Parsed<UnixMillis>>,
    /// Only events with lower numbers than this one.
    #[serde(default)]
    before: Option<Parsed<EventNumber>>,
    /// Only events with higher numbers than this one.
    #[serde(default)]
    after: Option<Parsed<EventNumber>>,
    /// Only events after this moment, in Unix milliseconds.
    #[serde(default)]
    after_ms: Option<Parsed<UnixMillis>>,
}

/// `GET /events`, newest first.
pub(super) async fn events(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<EventQuery>,
) -> Result<ApiResponse<Page<EventItem>>, Error> {
    let EventQuery { limit, cursor, sort, host, mac, kind, address, q, until_ms, .. } = query;
    let paging = TimePaging::new(limit)?;
    let after = query.after_ms.map(|Parsed(UnixMillis(after_ms))| after_ms.saturating_add(1));
    let oldest_first = sort == TimeOrder::OldestFirst;
    let cursor = cursor.map(|Parsed(NumberCursor(number))| number);
    let (before, behind) = if oldest_first { (None, cursor) } else { (cursor, None) };
    let from = query.from_ms.map(|Parsed(UnixMillis(from_ms))| from_ms);
    let site = &app.inventory.snapshot().site;
    let wanted = EventPageQuery {
        host: host.map(|name| EventsOf::host(site, &name)),
        mac,
        kind,
        address: address.map(|Parsed(address)| address),
        text: q.unwrap_or_default(),
        from_ms: from.unwrap_or_default().max(after.unwrap_or_default()),
        until_ms: until_ms.map(|Parsed(UnixMillis(until_ms))| until_ms),
        before: [before, query.before.map(|Parsed(EventNumber(number))| number)]
            .into_iter()
            .flatten()
            .min(),
        after: behind.max(query.after.map(|Parsed(EventNumber(number))| number)),
        oldest_first,
        limit: paging.fetched(),
    };
    let found = app.inventory.database.page_events(&wanted).await?;
    Ok(paging
        .page(
            found,
            &uri,
            |last| last.number.to_string(),
            |stored| EventItem::from(FollowedEvent::from(stored)),
        )
        .into())
}

/// Which revisions are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevisionQuery {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<Parsed<Limit>>,
    /// Where the page begins: from the link to the next page.
    #[serde(default)]
    cursor: Option<Parsed<NumberCursor>>,
    /// What the list is sorted by: `-id` has the newest first.
    #[serde(default)]
    sort: TimeOrder,
    /// Only revisions of this author, such as `token deploy`.
    #[serde(default)]
    who: Option<String>,
}

/// `GET /revisions`, newest first.
pub(super) async fn revisions(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<RevisionQuery>,
) -> Result<ApiResponse<Page<RevisionItem>>, Error> {
    let paging = TimePaging::new(query.limit)?;
    let wanted = RevisionPageQuery {
        who: query.who,
        oldest_first: query.sort == TimeOrder::OldestFirst,
        behind: query.cursor.map(|Parsed(NumberCursor(number))| number),
        limit: paging.fetched(),
    };
    let found = app.inventory.database.page_revisions(&wanted).await?;
    Ok(paging.page(found, &uri, |last| last.id.to_string(), RevisionItem::from).into())
}

/// A revision as programs read it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RevisionItem")]
pub(super) struct RevisionItem {
    #[serde(flatten)]
    revision: Revision,
    /// When, in Unix milliseconds.
    at_ms: i64,
}

impl From<Revision> for RevisionItem {
    fn from(revision: Revision) -> Self {
        Self { at_ms: revision.at.saturating_mul(1000), revision }
    }
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
    revision: RevisionItem,
    /// What it changed in the inventory.
    differences: Vec<Difference>,
    /// What it changed in the generated files; null where that can no longer be computed.
    consequences: Option<Consequences>,
}

/// `GET /revisions/{id}`
pub(super) async fn revision(
    State(app): State<App>,
    PathOf(Numbered { id }): PathOf<Numbered>,
    headers: HeaderMap,
) -> Result<ApiResponse<RevisionDetail>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    let revision = find_revision(&app, id).await?;
    let differences = revision.differences()?;
    let consequences = app.inventory.find_consequences(id).await?;
    let tag = revision_tag(&revision);
    let detail = RevisionDetail { revision: revision.into(), differences, consequences };
    Ok(ApiResponse::current(&preconditions, &tag, detail))
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
    headers: HeaderMap,
) -> Result<ApiResponse<ChangeResult>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    let tag = revision_tag(&find_revision(&app, id).await?);
    preconditions.check(&format!("revision {id}"), Some(&tag))?;
    let summary = format!("revert revision {id}");
    let committed = app.inventory.revert(query.change(&program, &summary), id).await?;
    Ok(ApiResponse::new(ChangeResult::new(committed, query.how()).await))
}
