//! The audit log.

use std::net::IpAddr;

use axum::extract::{OriginalUri, State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::Answer;
use super::extract::Query;
use super::page::{NewestFirst, Page};
use super::problem::Error;
use crate::app::App;
use crate::inventory::AuditQuery;
use crate::lifecycle::audit::{ActionKind, AuditEntry};

/// Which entries are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditFilter {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Where the page begins: from the link to the next page.
    #[serde(default)]
    cursor: Option<String>,
    /// Only what this user, token (`token NAME`) or operator did.
    #[serde(default)]
    who: Option<String>,
    /// Only entries of this kind.
    #[serde(default)]
    kind: Option<ActionKind>,
    /// Only what came from this address.
    #[serde(default)]
    address: Option<IpAddr>,
    /// Only entries of this moment or later, in Unix milliseconds.
    #[serde(default)]
    from_ms: Option<i64>,
    /// Only entries before this moment, in Unix milliseconds.
    #[serde(default)]
    until_ms: Option<i64>,
}

/// `GET /audit`, newest first.
pub(super) async fn list(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(filter): Query<AuditFilter>,
) -> Result<Answer<Page<AuditEntry>>, Error> {
    let AuditFilter { limit, cursor, who, kind, address, from_ms, until_ms } = filter;
    let paging = NewestFirst::new(limit)?;
    let (before, limit) = (cursor, paging.fetched());
    let query = AuditQuery { who, kind, address, from_ms, until_ms, before, limit };
    app.inventory.settle_audit().await;
    let found = app.inventory.database.page_audit(&query).await?;
    Ok(paging.page(found, &uri, |last| last.id.clone(), |stored| stored.entry).into())
}
