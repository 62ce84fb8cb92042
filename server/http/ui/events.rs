//! Events: what happened to whom, newest first.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::clock::Moment;
use super::error::Error;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::EventFilter;
use crate::model::{Event, EventKind};

/// How many events are looked at.
const READ: u32 = 5000;
/// How many are shown.
const SHOWN: usize = 300;

/// One event in a table.
pub struct EventRow {
    /// When.
    pub at: Moment,
    /// The host, of an event about one.
    pub host: Option<String>,
    /// The MAC, or nothing.
    pub mac: String,
    /// What kind of thing.
    pub kind: EventKind,
    /// What happened.
    pub text: String,
}

/// The rows of a table of events.
pub fn rows(ui: &Ui, events: Vec<Event>) -> Vec<EventRow> {
    let row = |event: Event| EventRow {
        at: ui.moment(event.at_ms),
        host: event.host,
        mac: event.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        kind: event.kind,
        text: event.text,
    };
    events.into_iter().map(row).collect()
}

/// Which events are wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    host: String,
    kind: String,
    text: String,
}

impl Wanted {
    fn lets_through(&self, event: &Event) -> bool {
        let text = self.text.trim().to_lowercase();
        let mac = || event.mac.is_some_and(|mac| mac.to_string().contains(&text));
        let host = || event.host.as_ref().is_some_and(|host| host.to_lowercase().contains(&text));
        (self.kind.is_empty() || event.kind.label() == self.kind)
            && (text.is_empty() || event.text.to_lowercase().contains(&text) || mac() || host())
    }
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    frame: Frame,
    wanted: Wanted,
    events: Vec<EventRow>,
    more: bool,
}

/// `GET /events`
pub async fn list(
    State(ui): State<Ui>,
    operator: Operator,
    Query(wanted): Query<Wanted>,
) -> Result<impl IntoResponse, Error> {
    let host = wanted.host.trim();
    let host = (!host.is_empty()).then(|| host.to_owned());
    let filter = EventFilter { host, limit: READ, ..EventFilter::default() };
    let mut events = ui.app.inventory.database.list_events(&filter).await?;
    events.retain(|event| wanted.lets_through(event));
    let more = events.len() > SHOWN;
    events.truncate(SHOWN);
    let frame = operator.frame("events").await?;
    Ok(Page(EventsPage { frame, wanted, events: rows(&ui, events), more }))
}
