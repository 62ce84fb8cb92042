//! The audit log: who did what, from where, newest first.

use askama::Template;
use axum::extract::State;
use axum::response::IntoResponse;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::clock::Moment;
use super::error::Error;
use super::page::{Frame, Page};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{AuditQuery, StoredAuditEntry};
use crate::lifecycle::audit::{ActionKind, AuditAction, UnknownWord};
use crate::lifecycle::moment::{self, InvalidMoment};

/// How many entries a page shows.
const PAGE: u32 = 100;

struct Row {
    at: Moment,
    who: String,
    from: String,
    kind: ActionKind,
    text: String,
    /// Whose page has what was before and after.
    revision: Option<i64>,
}

/// Which entries are wanted. Empty for all.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditPageQuery {
    who: String,
    kind: String,
    address: String,
    from: String,
    until: String,
    before: String,
}

/// What is wrong with a field of the query.
#[derive(Debug, thiserror::Error)]
enum InvalidAuditQuery {
    #[error("\"{0}\" is not an address: expected IPv4 or IPv6")]
    Address(String),
    #[error(transparent)]
    Kind(#[from] UnknownWord),
    #[error(transparent)]
    Time(#[from] InvalidMoment),
}

impl AuditPageQuery {
    /// What to ask the database for.
    fn query(&self, now_ms: i64) -> Result<AuditQuery, InvalidAuditQuery> {
        let Self { who, kind, address, from, until, before } = self;
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let time = |text: &str| {
            let read = |text: String| moment::parse(&text, now_ms, &TimeZone::system());
            given(text).map(read).transpose()
        };
        let address =
            given(address).map(|text| text.parse().map_err(|_| InvalidAuditQuery::Address(text)));
        Ok(AuditQuery {
            who: given(who),
            kind: given(kind).map(|kind| kind.parse()).transpose()?,
            address: address.transpose()?,
            from_ms: time(from)?,
            until_ms: time(until)?,
            before: given(before),
            after: None,
            oldest_first: false,
            limit: PAGE + 1,
        })
    }

    /// The query of the page that begins behind an entry.
    fn older(&self, before: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let Self { who, kind, address, from, until, before: _ } = self;
        let pairs =
            [("who", who), ("kind", kind), ("address", address), ("from", from), ("until", until)];
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
            query.append_pair(name, value);
        }
        query.append_pair("before", before);
        query.finish()
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    wanted: AuditPageQuery,
    wrong: Option<InvalidAuditQuery>,
    rows: Vec<Row>,
    older: Option<String>,
    keep_days: u32,
}

/// `GET /audit`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(wanted): UrlQuery<AuditPageQuery>,
) -> Result<impl IntoResponse, Error> {
    ui.app.inventory.settle_audit().await;
    let (mut found, wrong) = match wanted.query(ui.now_ms()) {
        Ok(query) => (ui.app.inventory.database.page_audit(&query).await?, None),
        Err(wrong) => (Vec::new(), Some(wrong)),
    };
    let has_more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let older = found.last().filter(|_| has_more).map(|last| wanted.older(&last.id));
    let row = |StoredAuditEntry { entry, .. }: StoredAuditEntry| Row {
        at: ui.moment(entry.at_ms),
        from: match entry.origin.address {
            Some(address) => format!("{} {address}", entry.origin.via),
            None => entry.origin.via.to_string(),
        },
        kind: entry.action.kind(),
        text: entry.text(),
        revision: match entry.action {
            AuditAction::Changed { revision, .. } => Some(revision),
            _ => None,
        },
        who: entry.who,
    };
    Ok(Page(AuditPage {
        frame: operator.frame("audit").await?,
        rows: found.into_iter().map(row).collect(),
        keep_days: ui.app.config.now().audit_days,
        wanted,
        wrong,
        older,
    }))
}
