//! Racks: which there are, and what stands where in one, drawn from the front; placing hosts in them.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::csv_answer::{CsvAnswer, cell};
use super::elevation::{Elevation, PlacedItem};
use super::error::Error;
use super::give_address::{MOST_OFFERED_HOSTS, unknown_host};
use super::host_row::{Board, StateCell};
use super::page::{Frame, Page};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::lifecycle::HostState;
use crate::model::natural;
use crate::model::{Host, Rack, Role, Site};

/// The width of the drawing of its units, in pixels.
const WIDTH: u32 = 320;
/// The height of a unit, in pixels.
const PITCH: u32 = 24;

struct Row {
    name: String,
    rack: Rack,
    /// How many hosts are in each state.
    counts: Vec<(HostState, usize)>,
    hosts: usize,
    /// The hosts that do not go on, as HTML.
    stopped: String,
}

#[derive(Template)]
#[template(path = "racks.html")]
struct RacksPage {
    frame: Frame,
    rows: Vec<Row>,
}

/// `GET /racks`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let rows = rows(&ui).await?;
    Ok(Page(RacksPage { frame: operator.frame("racks").await?, rows }))
}

async fn rows(ui: &Ui) -> Result<Vec<Row>, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let board = Board::read(ui).await?;
    let racks = snapshot.site.racks.iter();
    let mut rows: Vec<Row> =
        racks.map(|(name, rack)| row(ui, &snapshot.site, &board, name, rack)).collect();
    rows.sort_by(|a, b| natural(&a.name, &b.name));
    Ok(rows)
}

/// `GET /racks.csv`
pub(super) async fn csv(State(ui): State<Ui>, _: Operator) -> Result<CsvAnswer, Error> {
    let headings = ["rack", "location", "units", "labels", "notes", "hosts"];
    let headings = headings.into_iter().chain(HostState::ALL.map(HostState::label));
    let rows = rows(&ui).await?.into_iter().map(|Row { name, rack, counts, hosts, .. }| {
        let count = |state| counts.iter().find(|(own, _)| *own == state).map_or(0, |(_, n)| *n);
        let labels = rack.labels.join(" ");
        let mut cells = vec![name, cell(rack.location), cell(rack.units), labels];
        cells.extend([cell(rack.notes), hosts.to_string()]);
        cells.extend(HostState::ALL.map(|state| count(state).to_string()));
        cells
    });
    Ok(CsvAnswer::new("racks", headings, rows))
}

fn row(ui: &Ui, site: &Site, board: &Board, name: &str, rack: &Rack) -> Row {
    let states: Vec<HostState> = hosts_of(site, name).map(|(host, _)| board.state(host)).collect();
    let count = |state: &HostState| (*state, states.iter().filter(|own| *own == state).count());
    let counts = HostState::ALL.iter().map(count).filter(|(_, count)| *count > 0).collect();
    let stopped = stopped(ui, board, &host_names(site, name));
    Row { name: name.to_owned(), rack: rack.clone(), counts, hosts: states.len(), stopped }
}

fn hosts_of<'a>(site: &'a Site, rack: &'a str) -> impl Iterator<Item = (&'a String, &'a Host)> {
    site.hosts.iter().filter(move |(_, host)| host.rack.as_deref() == Some(rack))
}

/// The names of the hosts in a rack.
pub(crate) fn host_names(site: &Site, rack: &str) -> Vec<String> {
    hosts_of(site, rack).map(|(name, _)| name.clone()).collect()
}

/// A host or a switch in the drawing.
struct Slot {
    name: String,
    is_switch: bool,
    unit: u16,
    units: u16,
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    mark: SlotMark,
}

/// What moves of a host in the drawing.
#[derive(Template)]
#[template(path = "rack_slot.html")]
struct SlotMark {
    state: HostState,
}

/// The hosts of a rack that do not go on, with the cause.
#[derive(Template)]
#[template(path = "rack_stopped.html")]
struct StoppedHosts {
    hosts: Vec<(String, StateCell)>,
}

/// The hosts among `names` that do not go on, with the cause, as HTML.
pub(super) fn stopped(ui: &Ui, board: &Board, names: &[String]) -> String {
    let is_stopped =
        |name: &&String| matches!(board.state(name), HostState::Stuck | HostState::Failed);
    let mut names: Vec<&String> = names.iter().filter(is_stopped).collect();
    names.sort_by(|a, b| natural(a, b));
    let cell = |name: &String| (name.clone(), board.state_cell(ui, name));
    StoppedHosts { hosts: names.into_iter().map(cell).collect() }.to_string()
}

/// The moving part of a host in the drawing, as HTML.
pub(crate) fn mark(board: &Board, host: &str) -> String {
    SlotMark { state: board.state(host) }.to_string()
}

/// What somebody fills in to place a host.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlaceQuery {
    unit: String,
    host: String,
}

/// The form that places a host.
struct PlaceForm {
    query: PlaceQuery,
    /// The free units, the topmost first.
    units: Vec<u16>,
    /// The hosts that are offered, those without a place first.
    hosts: Vec<String>,
    /// What is wrong with the host or its place.
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "rack.html")]
struct RackPage {
    frame: Frame,
    row: Row,
    /// The number of each unit, where its line is, from the top, and whether it is free.
    units: Vec<(u16, u32, bool)>,
    height: u32,
    slots: Vec<Slot>,
    unplaced: Vec<String>,
    unplaced_switches: Vec<String>,
    place: PlaceForm,
}

/// `GET /racks/{name}`
pub(crate) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
    UrlQuery(query): UrlQuery<PlaceQuery>,
) -> Result<Response, Error> {
    page(&ui, &operator, &name, query, None).await
}

/// `GET /racks/{name}/place`: leads to the form of the host, with its new place filled in and
/// reviewed.
pub(crate) async fn place(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
    UrlQuery(query): UrlQuery<PlaceQuery>,
) -> Result<Response, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let site = &snapshot.site;
    let Some(rack) = site.racks.get(&name) else {
        return Err(Error::NotFound { what: "rack", name });
    };
    let host_name = query.host.trim();
    let wrong = match (site.hosts.get(host_name), query.unit.parse::<u16>()) {
        (None, _) => unknown_host(host_name),
        (_, Err(_)) => format!("\"{}\" is not a unit: expected a number", query.unit),
        (Some(host), Ok(unit)) => {
            let height = host.height.unwrap_or(1);
            if Elevation::of(site, &name, rack).has_room(unit, height, host_name) {
                let segment = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
                let (host, rack) = (segment(host_name), segment(&name));
                let to = format!("/hosts/{host}/edit?rack={rack}&unit={unit}");
                return Ok(Redirect::to(&to).into_response());
            }
            let room = if height == 1 { String::new() } else { format!(" for {height} units") };
            format!("unit {unit} of {name} has no room{room}: choose a free one")
        }
    };
    page(&ui, &operator, &name, query, Some(wrong)).await
}

async fn page(
    ui: &Ui,
    operator: &Operator,
    name: &str,
    query: PlaceQuery,
    wrong: Option<String>,
) -> Result<Response, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let site = &snapshot.site;
    let Some(rack) = site.racks.get(name) else {
        return Err(Error::NotFound { what: "rack", name: name.to_owned() });
    };
    let board = Board::read(ui).await?;
    let Elevation { units: top, items, free } = Elevation::of(site, name, rack);
    let slot = |placed: PlacedItem| {
        let PlacedItem { item, column, columns } = placed;
        // What reaches above the drawing is cut off there.
        let shown_top = item.top().min(top);
        let width = WIDTH / columns;
        Slot {
            name: item.name.to_owned(),
            is_switch: item.is_switch,
            unit: item.unit,
            units: item.height,
            x: 40 + column * width,
            y: u32::from(top - shown_top) * PITCH,
            width,
            height: u32::from(shown_top + 1 - item.unit) * PITCH,
            mark: SlotMark { state: board.state(item.name) },
        }
    };
    let switches = site.switches.iter();
    let here = switches.filter(|(_, own)| own.rack.as_deref() == Some(name) && own.unit.is_none());
    let mut unplaced: Vec<String> = hosts_of(site, name)
        .filter(|(_, host)| host.unit.is_none())
        .map(|(name, _)| name.clone())
        .collect();
    unplaced.sort_by(|a, b| natural(a, b));
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = RackPage {
        frame: operator.frame("racks").await?,
        row: row(ui, site, &board, name, rack),
        height: u32::from(top) * PITCH,
        unplaced_switches: here.map(|(name, _)| name.clone()).collect(),
        slots: items.into_iter().map(slot).collect(),
        place: PlaceForm {
            query,
            units: free.iter().rev().copied().collect(),
            hosts: offered_hosts(site, name, &unplaced),
            wrong,
        },
        units: (1..=top)
            .rev()
            .map(|unit| (unit, u32::from(top - unit) * PITCH, free.contains(&unit)))
            .collect(),
        unplaced,
    };
    Ok((status, Page(page)).into_response())
}

/// The hosts that a rack offers: its own without a unit, those without a rack, and its others.
fn offered_hosts(site: &Site, rack: &str, unplaced: &[String]) -> Vec<String> {
    let named = |is_one: fn(&Host) -> bool| {
        let mut names: Vec<String> = site
            .hosts
            .iter()
            .filter(|(_, host)| is_one(host))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort_by(|a, b| natural(a, b));
        names
    };
    let homeless = named(|host| host.rack.is_none());
    let mut own = host_names(site, rack);
    own.retain(|name| !unplaced.contains(name));
    own.sort_by(|a, b| natural(a, b));
    let all = unplaced.iter().cloned().chain(homeless).chain(own);
    all.take(MOST_OFFERED_HOSTS).collect()
}
