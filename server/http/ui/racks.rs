//! Racks: which there are, and what stands where in one, drawn from the front.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::error::Error;
use super::host_row::{Board, StateCell};
use super::natural::natural;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::lifecycle::HostState;
use crate::model::{Host, Rack, Site};

/// How many units a rack has where nobody says.
const UNITS: u16 = 42;
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
    let snapshot = ui.app.inventory.snapshot();
    let board = Board::read(&ui).await?;
    let mut rows: Vec<Row> = snapshot
        .site
        .racks
        .iter()
        .map(|(name, rack)| row(&ui, &snapshot.site, &board, name, rack))
        .collect();
    rows.sort_by(|a, b| natural(&a.name, &b.name));
    Ok(Page(RacksPage { frame: operator.frame("racks").await?, rows }))
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

/// A host in the drawing.
struct Slot {
    name: String,
    x: u32,
    y: u32,
    width: u32,
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

#[derive(Template)]
#[template(path = "rack.html")]
struct RackPage {
    frame: Frame,
    row: Row,
    /// The number of each unit and where its line is, from the top.
    units: Vec<(u16, u32)>,
    height: u32,
    slots: Vec<Slot>,
    unplaced: Vec<String>,
}

/// `GET /racks/{name}`
pub(crate) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let site = &snapshot.site;
    let Some(rack) = site.racks.get(&name) else {
        return Err(Error::NotFound { what: "rack", name });
    };
    let board = Board::read(&ui).await?;
    let hosts: Vec<(&String, &Host)> = hosts_of(site, &name).collect();
    let places: Vec<RackPosition> = places(rack, &hosts);
    let top = unit_count(rack, &hosts);
    let slot = |place: RackPosition| Slot {
        name: place.host.to_owned(),
        x: 40 + place.column * (320 / place.columns),
        y: u32::from(top - place.unit) * PITCH,
        width: 320 / place.columns,
        mark: SlotMark { state: board.state(place.host) },
    };
    let unplaced = hosts.iter().filter(|(_, host)| host.unit.is_none());
    Ok(Page(RackPage {
        frame: operator.frame("racks").await?,
        row: row(&ui, site, &board, &name, rack),
        units: (1..=top).rev().map(|unit| (unit, u32::from(top - unit) * PITCH)).collect(),
        height: u32::from(top) * PITCH,
        unplaced: unplaced.map(|(name, _)| (*name).clone()).collect(),
        slots: places.into_iter().map(slot).collect(),
    }))
}

/// Where a host stands; hosts that claim one unit share it side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RackPosition<'a> {
    host: &'a str,
    unit: u16,
    column: u32,
    columns: u32,
}

fn places<'a>(rack: &Rack, hosts: &[(&'a String, &Host)]) -> Vec<RackPosition<'a>> {
    let top = unit_count(rack, hosts);
    let mut places = Vec::new();
    for unit in (1..=top).rev() {
        let here: Vec<&(&String, &Host)> =
            hosts.iter().filter(|(_, host)| host.unit == Some(unit)).collect();
        for (column, (host, _)) in (0..).zip(&here) {
            places.push(RackPosition { host, unit, column, columns: here.len() as u32 });
        }
    }
    places
}

fn unit_count(rack: &Rack, hosts: &[(&String, &Host)]) -> u16 {
    let highest = hosts.iter().filter_map(|(_, host)| host.unit).max().unwrap_or(1);
    // What a host claims is shown even above the rack's end, but not without an end.
    rack.units.unwrap_or(UNITS).max(highest).min(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_stand_at_their_units_and_share_one_if_they_must() {
        let names = ["a", "b", "c", "d", "e"].map(str::to_owned);
        let host = |unit| Host { unit, ..Host::default() };
        let hosts = [host(Some(1)), host(Some(3)), host(Some(3)), host(None), host(Some(9999))];
        let list: Vec<(&String, &Host)> = names.iter().zip(&hosts).collect();
        let rack = Rack { units: Some(4), ..Rack::default() };
        let places = places(&rack, &list);
        let found: Vec<_> = places.iter().map(|p| (p.host, p.unit, p.column, p.columns)).collect();
        assert_eq!(found, [("b", 3, 0, 2), ("c", 3, 1, 2), ("a", 1, 0, 1)]);
        assert_eq!(unit_count(&rack, &list[..4]), 4);
        assert_eq!(unit_count(&Rack::default(), &[]), UNITS);
    }
}
