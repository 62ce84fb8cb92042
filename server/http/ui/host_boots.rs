//! The last boots of a host side by side: how long each was in each stage, and where most time went.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::clock::Moment;
use super::error::Error;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::EventFilter;
use crate::lifecycle::timeline::{Stage, boots, durations};
use crate::lifecycle::{Event, EventKind};

/// How many boots are shown.
const BOOTS: usize = 6;
/// How many of a host's events are looked at: a boot has some dozen, and what it sends by syslog.
const EVENTS: u32 = 4000;

#[derive(Template)]
#[template(path = "host_boots.html")]
struct BootsPage {
    frame: Frame,
    name: String,
    columns: Vec<Column>,
    rows: Vec<Row>,
}

/// A boot.
struct Column {
    began: Moment,
    ending: &'static str,
    total: String,
}

/// A stage, with what each boot spent in it.
struct Row {
    label: &'static str,
    cells: Vec<Cell>,
}

/// What a boot spent in a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cell {
    text: String,
    is_slowest: bool,
}

/// `GET /hosts/{name}/boots`
pub(super) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Error> {
    if ui.app.inventory.snapshot().host(&name).is_none() {
        return Err(Error::NotFound { what: "host", name });
    }
    let filter =
        EventFilter { host: Some(name.as_str().into()), limit: EVENTS, ..EventFilter::default() };
    let mut events = ui.app.inventory.database.list_events(&filter).await?;
    events.reverse();
    let mut boots = boots(&events);
    // One of which only the end is stored says nothing of its stages.
    boots.retain(|boot| boot.first().is_some_and(|first| first.kind() != EventKind::Report));
    boots.drain(..boots.len().saturating_sub(BOOTS));
    boots.reverse();
    let columns = boots.iter().enumerate().map(|(place, boot)| column(&ui, boot, place == 0));
    let frame = operator.frame("hosts").await?;
    Ok(Page(BootsPage { frame, name, columns: columns.collect(), rows: rows(&boots) }))
}

fn column(ui: &Ui, boot: &[Event], is_latest: bool) -> Column {
    let began_ms = boot.first().map_or(0, |event| event.at_ms);
    let last_of = |kind| boot.iter().rfind(|event| event.kind() == kind);
    let end = last_of(EventKind::Report).or_else(|| last_of(EventKind::InstallCompleted));
    let ending = match end.map(|event| event.kind()) {
        Some(EventKind::Report) => "reported",
        Some(_) => "installed",
        None if is_latest => "no report yet",
        None => "never reported",
    };
    let total = end.map(|event| seconds(event.at_ms - began_ms)).unwrap_or_default();
    Column { began: ui.moment(began_ms), ending, total }
}

/// A row for each stage that one of the boots reached, in order.
fn rows(boots: &[&[Event]]) -> Vec<Row> {
    let spent: Vec<_> = boots.iter().map(|boot| durations(boot)).collect();
    let is_reached =
        |stage: &Stage| spent.iter().any(|boot| boot.iter().any(|(reached, _)| reached == stage));
    let row = |stage: Stage| Row {
        label: stage.label(),
        cells: spent.iter().map(|boot| cell(boot, stage)).collect(),
    };
    Stage::ALL.into_iter().filter(is_reached).map(row).collect()
}

fn cell(boot: &[(Stage, Option<i64>)], stage: Stage) -> Cell {
    let Some((_, spent)) = boot.iter().find(|(reached, _)| *reached == stage) else {
        return Cell::default();
    };
    let slowest = boot.iter().filter_map(|(_, spent)| *spent).max();
    let text = spent.map_or_else(|| "reached".to_owned(), seconds);
    // Of stages that took no time none is slow.
    Cell { text, is_slowest: spent.is_some_and(|spent| spent >= 1000 && Some(spent) == slowest) }
}

/// A duration in milliseconds as people compare it: `18.4 s`.
fn seconds(ms: i64) -> String {
    format!("{:.1} s", ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::samples;

    #[test]
    fn the_slowest_stage_of_each_boot_is_marked() {
        use EventKind::*;
        let kinds = [
            (0, Discover),
            (2, Script),
            (20, Kernel),
            (24, Report),
            (90, Discover),
            (90, Script),
            (91, Discover),
        ];
        let events = samples::events(kinds.iter().map(|(at, kind)| (*at, samples::data(*kind))));
        let rows = rows(&boots(&events));
        let shown = |row: &Row| {
            let mark = |cell: &Cell| if cell.is_slowest { "!" } else { "" };
            let cells = row.cells.iter().map(|cell| format!("{}{}", cell.text, mark(cell)));
            (row.label, cells.collect::<Vec<_>>())
        };
        let expected = [
            (Stage::Address, ["2.0 s", "0.0 s"]),
            (Stage::Script, ["18.0 s!", "reached"]),
            (Stage::Kernel, ["4.0 s", ""]),
            (Stage::Report, ["reached", ""]),
        ];
        let expected =
            expected.map(|(stage, cells)| (stage.label(), cells.map(str::to_owned).to_vec()));
        assert_eq!(rows.iter().map(shown).collect::<Vec<_>>(), expected);
    }
}
