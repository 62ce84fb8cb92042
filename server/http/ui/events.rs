//! Events: what happened to whom, newest first.

use askama::Template;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;

use super::clock::Moment;
use super::error::Error;
use super::page::{Frame, Page};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{self, EventFilter};
use crate::lifecycle::{Event, EventKind};

/// How many events are looked at.
const READ: u32 = 5000;
/// How many of a host's events its page shows.
const OF_HOST: u32 = 40;
/// How many are shown.
const SHOWN: usize = 300;

struct EventRow {
    at: Moment,
    host: Option<String>,
    mac: String,
    kind: EventKind,
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
        Self { events: rows(ui, events) }
    }

    /// The table of a host's newest events.
    pub(crate) async fn of_host(ui: &Ui, host: &str) -> Result<Self, inventory::Error> {
        let host = Some(host.to_owned());
        let filter = EventFilter { host, limit: OF_HOST, ..EventFilter::default() };
        Ok(Self::new(ui, ui.app.inventory.database.list_events(&filter).await?))
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

fn rows(ui: &Ui, events: Vec<Event>) -> Vec<EventRow> {
    let row = |event: Event| EventRow {
        at: ui.moment(event.at_ms),
        host: event.host.clone(),
        mac: event.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        kind: event.kind(),
        text: event.text(),
    };
    events.into_iter().map(row).collect()
}

/// Which events are wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct EventsQuery {
    host: String,
    kind: String,
    text: String,
}

impl EventsQuery {
    fn lets_through(&self, event: &Event) -> bool {
        let text = self.text.trim().to_lowercase();
        let mac = || event.mac.is_some_and(|mac| mac.to_string().contains(&text));
        let host = || event.host.as_ref().is_some_and(|host| host.to_lowercase().contains(&text));
        (self.kind.is_empty() || event.kind().label() == self.kind)
            && (text.is_empty() || event.text().to_lowercase().contains(&text) || mac() || host())
    }
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    frame: Frame,
    wanted: EventsQuery,
    events: EventTable,
    more: bool,
}

/// `GET /events`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(wanted): UrlQuery<EventsQuery>,
) -> Result<impl IntoResponse, Error> {
    let host = wanted.host.trim();
    let host = (!host.is_empty()).then(|| host.to_owned());
    let filter = EventFilter { host, limit: READ, ..EventFilter::default() };
    let mut events = ui.app.inventory.database.list_events(&filter).await?;
    events.retain(|event| wanted.lets_through(event));
    let more = events.len() > SHOWN;
    events.truncate(SHOWN);
    let frame = operator.frame("events").await?;
    Ok(Page(EventsPage { frame, wanted, events: EventTable::new(&ui, events), more }))
}
