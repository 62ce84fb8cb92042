//! Subnets: what each is, and who has which address in it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::error::Error;
use super::page::{Frame, Page, Slice};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use super::usage::{Cell, Class, Occupant, capacity, cells, occupants};
use crate::inventory::Snapshot;
use crate::leases::fill::{Level, Usage};
use crate::model::{Lease, RangeUse, Site, Subnet};

/// How many addresses a page lists.
const PAGE: usize = 200;
/// Cells in a row of the drawing.
const ROW: usize = 64;
/// The pitch of the cells, in pixels.
const PITCH: usize = 14;

struct Row {
    name: String,
    subnet: Subnet,
    hosts: Share,
    dhcp: Share,
}

/// How many of how many.
struct Share {
    used: u64,
    of: u64,
}

impl Share {
    /// 0 to 100.
    fn percent(&self) -> u64 {
        (self.used.min(self.of) * 100).checked_div(self.of).unwrap_or(0)
    }

    fn is_scarce(&self) -> bool {
        self.of > 0 && self.percent() >= 80
    }
}

#[derive(Template)]
#[template(path = "subnets.html")]
struct SubnetsPage {
    frame: Frame,
    rows: Vec<Row>,
}

/// `GET /subnets`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let (leases, now) = (ui.app.leases.list(), ui.now_ms() / 1000);
    let rows = snapshot.site.subnets.keys().map(|name| row(&snapshot.site, name, &leases, now));
    let rows = rows.collect();
    Ok(Page(SubnetsPage { frame: operator.frame("subnets").await?, rows }))
}

fn row(site: &Site, name: &str, leases: &[Lease], now: i64) -> Row {
    let subnet = site.subnets[name].clone();
    let occupants = occupants(site, name, leases, now);
    let share = |used_for| {
        let in_range = |occupant: &&Occupant| {
            subnet.range_of(occupant.address).is_some_and(|range| range.used_for == used_for)
        };
        let used = occupants.iter().filter(in_range).count() as u64;
        Share { used, of: capacity(&subnet, used_for) }
    };
    let (hosts, dhcp) = (share(RangeUse::Hosts), share(RangeUse::Dhcp));
    Row { name: name.to_owned(), hosts, dhcp, subnet }
}

struct Drawn {
    x: usize,
    y: usize,
    cell: Cell,
}

#[derive(Template)]
#[template(path = "subnet.html")]
struct SubnetPage {
    frame: Frame,
    row: Row,
    cells: Vec<Drawn>,
    height: usize,
    width: usize,
    summary: String,
    occupants: Vec<Occupant>,
    slice: Slice,
    /// None where DHCP gives no addresses.
    pool: Option<Usage>,
}

/// Which part of the addresses is wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SubnetsQuery {
    page: usize,
}

/// `GET /subnets/{name}`
pub(crate) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
    UrlQuery(wanted): UrlQuery<SubnetsQuery>,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let Some(subnet) = snapshot.site.subnets.get(&name) else {
        return Err(Error::NotFound { what: "subnet", name });
    };
    let (leases, now) = (ui.app.leases.list(), ui.now_ms() / 1000);
    let occupants = occupants(&snapshot.site, &name, &leases, now);
    let cells = cells(subnet, &occupants);
    let slice = Slice::new(wanted.page, occupants.len(), PAGE);
    Ok(Page(SubnetPage {
        frame: operator.frame("subnets").await?,
        row: row(&snapshot.site, &name, &leases, now),
        height: cells.len().div_ceil(ROW) * PITCH,
        width: cells.len().min(ROW) * PITCH,
        summary: summary(&cells),
        cells: cells.into_iter().enumerate().map(|(index, cell)| place(index, cell)).collect(),
        occupants: slice.of(&occupants).to_vec(),
        slice,
        pool: pool(&ui, &snapshot, subnet, now),
    }))
}

/// How many of the subnet's dynamic addresses are in use: as its DHCP clients find them.
fn pool(ui: &Ui, snapshot: &Snapshot, subnet: &Subnet, now: i64) -> Option<Usage> {
    let ipnet::IpNet::V4(net) = subnet.cidr else { return None };
    let leases = ui.app.leases.at(snapshot.revision, &snapshot.site, now);
    Some(leases.usage(net.trunc())).filter(|usage| usage.of > 0)
}

fn place(index: usize, cell: Cell) -> Drawn {
    Drawn { x: index % ROW * PITCH, y: index / ROW * PITCH, cell }
}

/// The drawing in words.
fn summary(cells: &[Cell]) -> String {
    let count = |class| cells.iter().filter(|cell| cell.class == class).count();
    let parts = Class::ALL.iter().map(|class| (class.label(), count(*class)));
    let parts: Vec<String> = parts
        .filter(|(_, count)| *count > 0)
        .map(|(label, count)| format!("{count} {label}"))
        .collect();
    parts.join(", ")
}
