//! Events: what happened to whom, newest first.

use std::str::FromStr;

use askama::Template;
use axum::extract::State;
use axum::response::IntoResponse;
use futures_util::stream;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::clock::Moment;
use super::csv_answer::{CsvAnswer, CsvRows, cell};
use super::error::Error;
use super::page::{Frame, Page};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{self, EventFilter, EventPageQuery, EventsOf, StoredEvent};
use crate::lifecycle::moment::{self, InvalidMoment};
use crate::lifecycle::{Event, EventKind};
use crate::model::Site;

/// How many of a host's events its page shows.
const OF_HOST: u32 = 40;
/// How many a page shows.
pub(super) const PAGE: u32 = 200;
/// How many are read at once for a spreadsheet.
const PART: u32 = 1000;

struct EventRow {
    /// What a page that follows the events knows the row by.
    number: Option<i64>,
    at: Moment,
    host: Option<String>,
    mac: String,
    kind: EventKind,
    is_failure: bool,
    text: String,
}

/// A table of events.
#[derive(Template)]
#[template(path = "event_table.html")]
pub(crate) struct EventTable {
    events: Vec<EventRow>,
}

impl EventTable {
    /// The table of these events.
    pub(crate) fn new(ui: &Ui, events: Vec<Event>) -> Self {
        Self { events: events.into_iter().map(|event| EventRow::new(ui, event)).collect() }
    }

    /// The table of a page of all events.
    pub(super) fn of_page(ui: &Ui, found: Vec<StoredEvent>) -> Self {
        let row = |StoredEvent { number, event }| EventRow {
            number: Some(number),
            ..EventRow::new(ui, event)
        };
        Self { events: found.into_iter().map(row).collect() }
    }

    /// Its rows alone.
    pub(super) fn rows(&self) -> String {
        EventRows { events: &self.events }.to_string()
    }

    /// The table of a host's newest events.
    pub(crate) async fn of_host(ui: &Ui, host: &str) -> Result<Self, inventory::Error> {
        let host = Some(EventsOf::host(&ui.app.inventory.snapshot().site, host));
        let filter = EventFilter { host, limit: OF_HOST, ..EventFilter::default() };
        Ok(Self::new(ui, ui.app.inventory.database.list_events(&filter).await?))
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl EventRow {
    fn new(ui: &Ui, event: Event) -> Self {
        Self {
            number: None,
            at: ui.moment(event.at_ms),
            host: event.host.clone(),
            mac: event.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            kind: event.kind(),
            is_failure: event.data.is_failure(),
            text: event.text(),
        }
    }
}

/// Rows of a table of events.
#[derive(Template)]
#[template(path = "event_rows.html")]
struct EventRows<'a> {
    events: &'a [EventRow],
}

/// Which events are wanted. Empty for all.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct EventsQuery {
    text: String,
    host: String,
    kind: String,
    mac: String,
    address: String,
    from: String,
    until: String,
    before: String,
}

impl EventsQuery {
    /// Whether new events belong on its page.
    fn is_live(&self) -> bool {
        self.before.trim().is_empty() && self.until.trim().is_empty()
    }

    /// What to ask the database for, or what is wrong with a field.
    pub(super) fn query(&self, site: &Site, now_ms: i64) -> Result<EventPageQuery, InvalidFilter> {
        fn read<T: FromStr>(
            text: &str,
            expected: &'static str,
        ) -> Result<Option<T>, InvalidFilter> {
            let wrong = |_| InvalidFilter::Field { text: text.trim().to_owned(), expected };
            match text.trim() {
                "" => Ok(None),
                text => text.parse().map(Some).map_err(wrong),
            }
        }
        let time = |text: &str| match text.trim() {
            "" => Ok(None),
            text => moment::parse(text, now_ms, &TimeZone::system()).map(Some),
        };
        Ok(EventPageQuery {
            host: read(&self.host, "the name of a host")?
                .map(|name: String| EventsOf::host(site, &name)),
            kind: read(&self.kind, "a kind of event")?,
            mac: read(&self.mac, "a MAC address")?,
            address: read(&self.address, "an IPv4 or IPv6 address")?,
            text: self.text.clone(),
            from_ms: time(&self.from)?.unwrap_or_default(),
            until_ms: time(&self.until)?,
            before: read(&self.before, "the number of an event")?,
            after: None,
            oldest_first: false,
            // One more than is shown: whether there are older ones.
            limit: PAGE + 1,
        })
    }

    /// The query of the page of the events before one with this number.
    fn older(&self, before: i64) -> String {
        format!("{}before={before}", self.filter_link())
    }

    /// The query without a place in the list; with its `&` at the end, if it has anything.
    fn filter_link(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let Self { text, host, kind, mac, address, from, until, before: _ } = self;
        let pairs = [
            ("text", text),
            ("host", host),
            ("kind", kind),
            ("mac", mac),
            ("address", address),
            ("from", from),
            ("until", until),
        ];
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
            query.append_pair(name, value);
        }
        let mut query = query.finish();
        if !query.is_empty() {
            query.push('&');
        }
        query
    }
}

/// What is wrong with the form.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidFilter {
    #[error("\"{text}\" is not {expected}")]
    Field { text: String, expected: &'static str },
    #[error(transparent)]
    Moment(#[from] InvalidMoment),
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    frame: Frame,
    wanted: EventsQuery,
    wrong: Option<String>,
    /// The query without a place in the list.
    filter: String,
    events: EventTable,
    older: Option<String>,
    /// The newest of all events, where the page shows those that come.
    live_after: Option<i64>,
}

/// `GET /events`
pub(super) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(wanted): UrlQuery<EventsQuery>,
) -> Result<impl IntoResponse, Error> {
    let newest = newest_number(&ui).await?;
    let (mut found, wrong) = match wanted.query(&ui.app.inventory.snapshot().site, ui.now_ms()) {
        Ok(query) => (ui.app.inventory.database.page_events(&query).await?, None),
        Err(wrong) => (Vec::new(), Some(wrong.to_string())),
    };
    let has_more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let older = found.last().filter(|_| has_more).map(|last| wanted.older(last.number));
    let frame = operator.frame("events").await?;
    let (filter, events) = (wanted.filter_link(), EventTable::of_page(&ui, found));
    let live_after = (wrong.is_none() && wanted.is_live()).then_some(newest);
    Ok(Page(EventsPage { frame, wanted, wrong, filter, events, older, live_after }))
}

/// The number of the newest event; 0 if there is none.
async fn newest_number(ui: &Ui) -> Result<i64, Error> {
    let query = EventPageQuery { limit: 1, ..EventPageQuery::default() };
    let newest = ui.app.inventory.database.page_events(&query).await?;
    Ok(newest.first().map_or(0, |event| event.number))
}

/// `GET /events.csv`: all events that the query finds, newest first, as many as the database keeps.
pub(super) async fn csv(
    State(ui): State<Ui>,
    _: Operator,
    UrlQuery(wanted): UrlQuery<EventsQuery>,
) -> Result<CsvAnswer, Error> {
    let query = wanted.query(&ui.app.inventory.snapshot().site, ui.now_ms());
    let mut query = query.map_err(|wrong| Error::Malformed(wrong.to_string()))?;
    query.limit = PART;
    let database = ui.app.inventory.database.clone();
    let parts = stream::try_unfold(Some(query), move |query| {
        let database = database.clone();
        async move {
            let Some(mut query) = query else { return Ok(None) };
            let found = database.page_events(&query).await?;
            query.before = found.last().map(|last| last.number);
            let next = (found.len() >= PART as usize).then_some(query);
            Ok(Some((found.into_iter().map(cells).collect::<CsvRows>(), next)))
        }
    });
    Ok(CsvAnswer::read("events", ["time", "host", "mac", "kind", "failed", "event"], parts))
}

fn cells(stored: StoredEvent) -> Vec<String> {
    let event = stored.event;
    let failed = if event.data.is_failure() { "yes" } else { "" };
    vec![
        cell(Timestamp::from_millisecond(event.at_ms).ok()),
        cell(event.host.as_ref()),
        cell(event.mac),
        event.kind().label().to_owned(),
        failed.to_owned(),
        event.text(),
    ]
}
