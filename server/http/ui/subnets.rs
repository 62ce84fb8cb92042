//! Subnets: what each is, and who has which address in it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;

use super::csv_answer::{CsvAnswer, cell};
use super::error::Error;
use super::give_address::{self, GivenAddress, NewHostUse};
use super::page::{Frame, Page, Slice};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use super::usage::{
    Cell, CellTarget, Class, Occupant, Stretch, capacity, cells, free_stretches, occupants,
};
use crate::inventory::Snapshot;
use crate::leases::fill::{Level, Usage};
use crate::model::{Lease, RangeUse, Role, Site, Subnet};

/// How many addresses a page lists.
const PAGE: usize = 200;
/// How many stretches of free addresses it lists.
const STRETCHES: usize = 40;
/// Cells in a row of the drawing.
const ROW: usize = 32;
/// The pitch of the cells, in pixels; as in the style sheet.
const PITCH: usize = 18;

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
    Ok(Page(SubnetsPage { frame: operator.frame("subnets").await?, rows: rows(&ui) }))
}

fn rows(ui: &Ui) -> Vec<Row> {
    let snapshot = ui.app.inventory.snapshot();
    let (leases, now) = (ui.app.leases.list(), ui.now_ms() / 1000);
    let names = snapshot.site.subnets.keys();
    names.map(|name| row(&snapshot.site, name, &leases, now)).collect()
}

/// `GET /subnets.csv`
pub(super) async fn csv(State(ui): State<Ui>, _: Operator) -> CsvAnswer {
    let headings = [
        "subnet",
        "prefix",
        "vlan",
        "gateway",
        "hosts-used",
        "hosts-of",
        "dhcp-used",
        "dhcp-of",
        "tenant",
        "role",
        "labels",
    ];
    let rows = rows(&ui).into_iter().map(|Row { name, subnet, hosts, dhcp }| {
        let mut cells =
            vec![name, subnet.cidr.to_string(), cell(subnet.vlan), cell(subnet.gateway)];
        cells.extend([hosts.used, hosts.of, dhcp.used, dhcp.of].map(|count| count.to_string()));
        cells.extend([cell(subnet.tenant), cell(subnet.role), subnet.labels.join(" ")]);
        cells
    });
    CsvAnswer::new("subnets", headings, rows)
}

/// `GET /subnets/{name}/addresses.csv`: the addresses in use and who has each.
pub(super) async fn addresses_csv(
    State(ui): State<Ui>,
    _: Operator,
    Path(name): Path<String>,
) -> Result<CsvAnswer, Error> {
    let snapshot = ui.app.inventory.snapshot();
    if !snapshot.site.subnets.contains_key(&name) {
        return Err(Error::NotFound { what: "subnet", name });
    }
    let occupants = occupants(&snapshot.site, &name, &ui.app.leases.list(), ui.now_ms() / 1000);
    let rows = occupants.into_iter().map(|Occupant { address, class, host, text }| {
        vec![address.to_string(), class.label().to_owned(), cell(host), text]
    });
    Ok(CsvAnswer::new("addresses", ["address", "use", "host", "detail"], rows))
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
    /// The part of the subnet that is drawn; none for IPv6, which is too large.
    drawn: Option<Ipv4Net>,
    cells: Vec<Drawn>,
    height: usize,
    width: usize,
    summary: String,
    /// The address that somebody chose.
    chosen: Option<GivenAddress>,
    /// The hosts that are offered for it, if they are few.
    hosts: Vec<String>,
    /// What a new host could have it for.
    new_uses: Vec<NewHostUse>,
    free: Vec<Stretch>,
    /// How many stretches are not listed.
    more_free: usize,
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
    /// The address that is chosen.
    at: String,
    /// The part that is drawn, as a prefix.
    block: String,
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
    let drawn = drawn_part(subnet, &wanted.block)?;
    let cells = drawn.map(|net| cells(subnet, net, &occupants)).unwrap_or_default();
    let chosen = GivenAddress::find(subnet, &occupants, &wanted.at);
    let is_free = chosen.as_ref().is_some_and(|chosen| chosen.is_free);
    let site = &snapshot.site;
    let mut free = free_stretches(subnet, &occupants);
    let more_free = free.len().saturating_sub(STRETCHES);
    free.truncate(STRETCHES);
    let slice = Slice::new(wanted.page, occupants.len(), PAGE);
    Ok(Page(SubnetPage {
        frame: operator.frame("subnets").await?,
        row: row(site, &name, &leases, now),
        drawn,
        hosts: if is_free { give_address::offered_hosts(site) } else { Vec::new() },
        new_uses: if is_free { give_address::new_uses(site, &name) } else { Vec::new() },
        chosen,
        free,
        more_free,
        height: cells.len().div_ceil(ROW) * PITCH,
        width: cells.len().min(ROW) * PITCH,
        summary: summary(&cells),
        cells: cells.into_iter().enumerate().map(|(index, cell)| place(index, cell)).collect(),
        occupants: slice.of(&occupants).to_vec(),
        slice,
        pool: pool(&ui, &snapshot, subnet, now),
    }))
}

/// The part that is drawn: the whole subnet, or the block of it that somebody chose.
fn drawn_part(subnet: &Subnet, block: &str) -> Result<Option<Ipv4Net>, Error> {
    let IpNet::V4(whole) = subnet.cidr else { return Ok(None) };
    if block.is_empty() {
        return Ok(Some(whole.trunc()));
    }
    let part = block.parse::<Ipv4Net>().ok().filter(|part| whole.contains(part));
    part.map(|part| Some(part.trunc())).ok_or_else(|| {
        Error::Malformed(format!("\"{block}\" is not a prefix within {whole}, such as {whole}"))
    })
}

/// How many of the subnet's dynamic addresses are in use: as its DHCP clients find them.
fn pool(ui: &Ui, snapshot: &Snapshot, subnet: &Subnet, now: i64) -> Option<Usage> {
    let IpNet::V4(net) = subnet.cidr else { return None };
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
