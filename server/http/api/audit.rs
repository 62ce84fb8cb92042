//! The audit log.

use std::net::IpAddr;

use axum::extract::{OriginalUri, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::ApiResponse;
use super::extract::Query;
use super::page::{Page, TimeOrder, TimePaging};
use super::parsed::{AuditCursor, Limit, Parsed, UnixMillis};
use super::problem::Error;
use crate::app::App;
use crate::inventory::{AuditQuery, StoredAuditEntry};
use crate::lifecycle::audit::{ActionKind, AuditEntry};

/// Which entries are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditFilter {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<Parsed<Limit>>,
    /// Where the page begins: from the link to the next page.
    #[serde(default)]
    cursor: Option<Parsed<AuditCursor>>,
    /// What the list is sorted by: `-id` has the newest first.
    #[serde(default)]
    sort: TimeOrder,
    /// Only what this user, token (`token NAME`) or operator did.
    #[serde(default)]
    who: Option<String>,
    /// Only entries of this kind.
    #[serde(default)]
    kind: Option<ActionKind>,
    /// Only what came from this address.
    #[serde(default)]
    address: Option<Parsed<IpAddr>>,
    /// Only entries of this moment or later, in Unix milliseconds.
    #[serde(default)]
    from_ms: Option<Parsed<UnixMillis>>,
    /// Only entries before this moment, in Unix milliseconds.
    #[serde(default)]
    until_ms: Option<Parsed<UnixMillis>>,
}

/// An entry and its id.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditItem")]
pub(super) struct AuditItem {
    /// Its id: no two entries have the same, and ids sort by time.
    id: String,
    #[serde(flatten)]
    entry: AuditEntry,
}

impl From<StoredAuditEntry> for AuditItem {
    fn from(StoredAuditEntry { id, entry }: StoredAuditEntry) -> Self {
        Self { id, entry }
    }
}

/// `GET /audit`, newest first.
pub(super) async fn list(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(filter): Query<AuditFilter>,
) -> Result<ApiResponse<Page<AuditItem>>, Error> {
    let AuditFilter { limit, cursor, sort, who, kind, address, from_ms, until_ms } = filter;
    let paging = TimePaging::new(limit)?;
    let oldest_first = sort == TimeOrder::OldestFirst;
    let cursor = cursor.map(|Parsed(AuditCursor(id))| id);
    let (before, after) = if oldest_first { (None, cursor) } else { (cursor, None) };
    let address = address.map(|Parsed(address)| address);
    let [from_ms, until_ms] =
        [from_ms, until_ms].map(|moment| moment.map(|Parsed(UnixMillis(ms))| ms));
    let limit = paging.fetched();
    let query =
        AuditQuery { who, kind, address, from_ms, until_ms, before, after, oldest_first, limit };
    app.inventory.settle_audit().await;
    let found = app.inventory.database.page_audit(&query).await?;
    Ok(paging.page(found, &uri, |last| last.id.clone(), AuditItem::from).into())
}
