//! The live streams: server-sent events, each a JSON object of element keys and
//! the HTML that the page itself would show there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;

use super::error::Error;
use super::event_tail::{EventTail, NewRows};
use super::events::{EventTable, EventsQuery};
use super::fleet::FleetUpdate;
use super::host_row::Board;
use super::host_timeline::Timeline;
use super::hosts::PAGE;
use super::query::UrlQuery;
use super::racks;
use super::recent::Recent;
use super::state::Ui;
use crate::inventory::{EventsOf, Live};
use crate::lifecycle::{HostState, StateChange};
use crate::model::Site;

/// How often the page of one host is brought up to date while something happens: its bars move.
const HOST_TICK: Duration = Duration::from_millis(300);
/// How often a list or a rack is.
const LIST_TICK: Duration = Duration::from_secs(1);
/// How often the home page is, which counts all hosts.
const FLEET_TICK: Duration = Duration::from_secs(2);
/// How often one host's page is brought up to date while nothing happens: that a boot has
/// stopped shows in silence.
const QUIET: Duration = Duration::from_secs(10);
/// A change is shown in this many ticks: the bus is quicker than the database that the
/// page is read from, and what is shown may be a tick old.
const SETTLE: u8 = 3;
/// Messages that may wait for a slow browser.
const BACKLOG: usize = 4;

type Stream =
    Sse<axum::response::sse::KeepAliveStream<ReceiverStream<Result<Message, Infallible>>>>;

/// What the script gets.
#[derive(Default, Serialize)]
struct Update {
    /// HTML by the element's `data-live` key.
    html: BTreeMap<String, String>,
    /// What a screen reader says.
    #[serde(skip_serializing_if = "Option::is_none")]
    say: Option<String>,
    /// Rows that come on top of a list.
    #[serde(flatten)]
    rows: Option<NewRows>,
}

/// What a stream follows.
enum StreamScope {
    /// The hosts of one page of the list.
    Hosts(Vec<String>),
    /// One host's boot.
    Host {
        name: String,
        /// What its page shows, in every browser that has it open.
        shared: Arc<Recent<HostUpdate>>,
    },
    /// The hosts of one rack.
    Rack(String),
    /// The home page, with what this browser has of it.
    Fleet(BTreeMap<String, String>),
    /// The list of events.
    Events(EventTail),
}

impl StreamScope {
    fn tick(&self) -> Duration {
        match self {
            Self::Host { .. } => HOST_TICK,
            Self::Hosts(_) | Self::Rack(_) | Self::Events(_) => LIST_TICK,
            Self::Fleet(_) => FLEET_TICK,
        }
    }
}

/// The moving parts of a host's page, as HTML by the element's `data-live` key.
pub(crate) struct HostUpdate(BTreeMap<String, String>);

/// What a list shows.
#[derive(Deserialize)]
pub(super) struct ListQuery {
    /// The names of its hosts, separated by commas; those after the first [`PAGE`] are ignored.
    #[serde(default)]
    hosts: String,
}

/// `GET /live`
pub(super) async fn all(State(ui): State<Ui>, UrlQuery(shown): UrlQuery<ListQuery>) -> Stream {
    let names = shown.hosts.split(',').filter(|name| !name.is_empty()).take(PAGE);
    stream(ui, StreamScope::Hosts(names.map(str::to_owned).collect()))
}

/// `GET /live/hosts/{name}`
pub(super) async fn host(State(ui): State<Ui>, Path(name): Path<String>) -> Result<Stream, Error> {
    if !ui.app.inventory.snapshot().site.hosts.contains_key(&name) {
        return Err(Error::NotFound { what: "host", name });
    }
    let shared = ui.hosts.of(&name);
    Ok(stream(ui, StreamScope::Host { name, shared }))
}

/// `GET /live/racks/{name}`
pub(super) async fn rack(State(ui): State<Ui>, Path(name): Path<String>) -> Result<Stream, Error> {
    if !ui.app.inventory.snapshot().site.racks.contains_key(&name) {
        return Err(Error::NotFound { what: "rack", name });
    }
    Ok(stream(ui, StreamScope::Rack(name)))
}

/// `GET /live/fleet`
pub(super) async fn fleet(State(ui): State<Ui>) -> Stream {
    stream(ui, StreamScope::Fleet(BTreeMap::new()))
}

/// What a list of events shows.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AfterQuery {
    /// The newest event of the page.
    after: i64,
}

/// `GET /live/events`
pub(super) async fn events(
    State(ui): State<Ui>,
    UrlQuery(wanted): UrlQuery<EventsQuery>,
    UrlQuery(page): UrlQuery<AfterQuery>,
    headers: HeaderMap,
) -> Result<Stream, Error> {
    let query = wanted.query(&ui.app.inventory.snapshot().site, ui.now_ms());
    let query = query.map_err(|wrong| Error::Malformed(wrong.to_string()))?;
    // A browser that has lost its connection asks for the same URL, and says what it got last.
    let last = headers.get("last-event-id").and_then(|last| last.to_str().ok()?.parse().ok());
    let tail = EventTail::new(query, last.unwrap_or(page.after));
    Ok(stream(ui, StreamScope::Events(tail)))
}

fn stream(ui: Ui, followed: StreamScope) -> Stream {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    tokio::spawn(follow(ui, followed, sender));
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::default())
}

/// What happened since the page was brought up to date.
#[derive(Default)]
struct Pending {
    /// Ticks in which a host is still to be shown anew.
    hosts: HashMap<String, u8>,
    say: Option<String>,
    /// Everything must be shown anew: it is the query, or something was missed.
    all: bool,
    changed: bool,
}

impl Pending {
    fn note(&mut self, live: &Live, followed: &StreamScope, site: &Site) {
        if let StreamScope::Events(_) = followed {
            if let Live::Event(_) = live {
                self.hosts.insert(String::new(), SETTLE);
            }
            return;
        }
        let host = match live {
            // What its BMC does is among the events of a host's page.
            Live::Event(event) => match followed {
                StreamScope::Host { name, .. } if EventsOf::host(site, name).has(event) => {
                    Some(name)
                }
                _ => event.host.as_ref(),
            },
            Live::Progress(progress) => progress.host.as_ref(),
            Live::Revision(_) => {
                self.changed = true;
                return;
            }
            Live::Audit(_) => return,
            Live::State(change) => {
                let StateChange { host, status } = &**change;
                if status.is_stopped()
                    && !matches!(followed, StreamScope::Host { name, .. } if name != host)
                {
                    self.say = Some(format!("{host} is {}: {}", status.state, status.reason));
                }
                Some(host)
            }
        };
        let Some(host) = host else { return };
        match followed {
            StreamScope::Host { name, .. } if name != host => return,
            StreamScope::Host { .. } => {
                if let Live::Event(event) = live {
                    self.say = Some(format!("{}: {}", event.kind(), event.text()));
                }
            }
            StreamScope::Hosts(_)
            | StreamScope::Rack(_)
            | StreamScope::Fleet(_)
            | StreamScope::Events(_) => {}
        }
        self.hosts.insert(host.clone(), SETTLE);
    }

    /// Notes the hosts that have become stuck, or are no longer: that happens without an event.
    fn note_stuck(&mut self, ui: &Ui, stuck: &mut HashSet<String>) {
        let statuses = ui.app.inventory.states.list(ui.now_ms()).into_iter();
        let now = statuses.filter(|(_, status)| status.state == HostState::Stuck);
        let now: HashSet<String> = now.map(|(name, _)| name).collect();
        for name in now.symmetric_difference(stuck) {
            self.hosts.insert(name.clone(), 1);
        }
        *stuck = now;
    }

    fn is_empty(&self) -> bool {
        self.hosts.is_empty() && !self.all && !self.changed
    }

    /// Whether a host is to be shown anew.
    fn is_due(&self, host: &str) -> bool {
        self.all || self.hosts.contains_key(host)
    }

    /// What is left for the next tick.
    fn settle(&mut self) {
        self.hosts.retain(|_, ticks| {
            *ticks -= 1;
            *ticks > 0
        });
        (self.say, self.all, self.changed) = (None, false, false);
    }
}

async fn follow(
    ui: Ui,
    mut followed: StreamScope,
    sender: mpsc::Sender<Result<Message, Infallible>>,
) {
    let mut live = ui.app.inventory.events.watch();
    let mut tick = interval(followed.tick());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut quiet = interval(QUIET);
    let mut pending = Pending { all: true, ..Pending::default() };
    let mut stuck = HashSet::new();
    loop {
        tokio::select! {
            () = ui.stop.cancelled() => return,
            () = sender.closed() => return,
            message = live.recv() => match message {
                Ok(message) => {
                    pending.note(&message, &followed, &ui.app.inventory.snapshot().site);
                }
                Err(RecvError::Lagged(_)) => pending.all = true,
                Err(RecvError::Closed) => return,
            },
            _ = quiet.tick() => match followed {
                // How long it has been so moves too.
                StreamScope::Host { .. } | StreamScope::Fleet(_) => pending.all = true,
                StreamScope::Hosts(_) | StreamScope::Rack(_) => pending.note_stuck(&ui, &mut stuck),
                StreamScope::Events(_) => {}
            },
            _ = tick.tick(), if !pending.is_empty() => {
                match update(&ui, &mut followed, &pending).await {
                    Ok(update) if send(&sender, &update).await.is_err() => return,
                    Ok(_) => pending.settle(),
                    // Tried again with the next tick; the page says that it stands still.
                    Err(error) => tracing::warn!(%error, "a live page cannot be brought up to date"),
                }
            }
        }
    }
}

async fn send(
    sender: &mpsc::Sender<Result<Message, Infallible>>,
    update: &Update,
) -> Result<(), mpsc::error::SendError<Result<Message, Infallible>>> {
    if update.html.is_empty() && update.rows.is_none() {
        return Ok(());
    }
    let Ok(mut message) = Message::default().json_data(update) else { return Ok(()) };
    if let Some(rows) = &update.rows {
        message = message.id(rows.after.to_string());
    }
    sender.send(Ok(message)).await
}

async fn update(ui: &Ui, followed: &mut StreamScope, pending: &Pending) -> Result<Update, Error> {
    ui.app.inventory.events.settle().await;
    let mut update = match followed {
        StreamScope::Hosts(names) => update_rows(ui, names, pending).await?,
        StreamScope::Host { name, shared } => update_host(ui, name, shared).await?,
        StreamScope::Rack(name) => update_rack(ui, name, pending).await?,
        StreamScope::Fleet(sent) => update_fleet(ui, sent).await?,
        StreamScope::Events(tail) => Update { rows: tail.next(ui).await?, ..Update::default() },
    };
    update.say = pending.say.clone();
    if pending.changed {
        let link = "<a href=\"\">The inventory has changed: reload this page</a>";
        update.html.insert("changed".into(), link.into());
    }
    Ok(update)
}

/// What moves in lists and racks, read once for all that are open.
async fn shared_board(ui: &Ui) -> Result<Arc<Board>, Error> {
    Ok(ui.board.get(LIST_TICK, Board::read(ui)).await?)
}

async fn update_rows(ui: &Ui, names: &[String], pending: &Pending) -> Result<Update, Error> {
    let mut update = Update::default();
    let due: Vec<&String> = names.iter().filter(|name| pending.is_due(name)).collect();
    if due.is_empty() {
        return Ok(update);
    }
    let board = shared_board(ui).await?;
    for name in due {
        let (state, event) = (board.state_cell(ui, name), board.event_cell(ui, name));
        update.html.insert(format!("state {name}"), state.to_string());
        update.html.insert(format!("event {name}"), event.to_string());
    }
    Ok(update)
}

async fn update_rack(ui: &Ui, rack: &str, pending: &Pending) -> Result<Update, Error> {
    let names = racks::host_names(&ui.app.inventory.snapshot().site, rack);
    let mut update = Update::default();
    if !names.iter().any(|name| pending.is_due(name)) {
        return Ok(update);
    }
    let board = shared_board(ui).await?;
    update.html.insert("stopped".into(), racks::stopped(ui, &board, &names));
    for name in names.into_iter().filter(|name| pending.is_due(name)) {
        update.html.insert(format!("rack {name}"), racks::mark(&board, &name));
    }
    Ok(update)
}

/// What this browser does not have yet of the home page, which is made once for all that have it open.
async fn update_fleet(ui: &Ui, sent: &mut BTreeMap<String, String>) -> Result<Update, Error> {
    let FleetUpdate(html) = &*ui.fleet.get(FLEET_TICK, FleetUpdate::read(ui)).await?;
    let mut update = Update::default();
    for (key, html) in html {
        if sent.get(key) == Some(html) {
            continue;
        }
        sent.insert(key.clone(), html.clone());
        update.html.insert(key.clone(), html.clone());
    }
    Ok(update)
}

async fn update_host(ui: &Ui, name: &str, shared: &Recent<HostUpdate>) -> Result<Update, Error> {
    let HostUpdate(html) = &*shared.get(HOST_TICK, read_host(ui, name)).await?;
    Ok(Update { html: html.clone(), ..Update::default() })
}

async fn read_host(ui: &Ui, name: &str) -> Result<HostUpdate, Error> {
    let timeline = Timeline::read(ui, name).await?;
    let board = ui.board.get(HOST_TICK, Board::read(ui)).await?;
    let html = [
        ("timeline", timeline.to_string()),
        ("events", EventTable::of_host(ui, name).await?.to_string()),
        ("state", board.state_cell(ui, name).to_string()),
    ];
    Ok(HostUpdate(html.map(|(key, html)| (key.to_owned(), html)).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{Event, EventKind, samples};

    fn event(host: Option<&str>) -> Live {
        let (host, data) = (host.map(str::to_owned), samples::data(EventKind::Kernel));
        Live::Event(Arc::new(Event { at_ms: 0, host, mac: None, data }))
    }

    #[test]
    fn what_a_bmc_does_shows_on_the_page_of_its_host() {
        let site: Site = serde_json::from_str(
            r#"{"hosts": {"n1": {"bmc": {"mac": "52:54:00:bb:00:01"}}, "n2": {}}}"#,
        )
        .unwrap();
        let host = |name: &str| StreamScope::Host { name: name.into(), shared: Arc::default() };
        let of_bmc = |mac: &str| {
            let data = samples::data(EventKind::Offer);
            Live::Event(Arc::new(Event { at_ms: 0, host: None, mac: mac.parse().ok(), data }))
        };
        let cases = [
            (host("n1"), "52:54:00:bb:00:01", true),
            (host("n2"), "52:54:00:bb:00:01", false),
            (host("n1"), "52:54:00:bb:00:02", false),
            (StreamScope::Hosts(vec!["n1".into()]), "52:54:00:bb:00:01", false),
        ];
        for (followed, mac, shows) in cases {
            let mut pending = Pending::default();
            pending.note(&of_bmc(mac), &followed, &site);
            assert_eq!(!pending.is_empty(), shows, "{mac}");
        }
    }

    #[test]
    fn a_change_is_shown_until_the_database_has_settled() {
        let mut pending = Pending::default();
        let followed = StreamScope::Host { name: "n1".into(), shared: Arc::default() };
        let site = Site::default();
        pending.note(&event(Some("n2")), &followed, &site);
        pending.note(&event(None), &followed, &site);
        assert!(pending.is_empty());
        pending.note(&event(Some("n1")), &followed, &site);
        assert_eq!(
            pending.say.as_deref(),
            Some("kernel: live/vmlinuz to 10.0.0.5: 1000 B in 0.0 s")
        );
        for tick in 0..SETTLE {
            assert!(!pending.is_empty(), "tick {tick}");
            pending.settle();
            assert_eq!(pending.say, None);
        }
        assert!(pending.is_empty());
    }
}
