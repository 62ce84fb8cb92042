//! All hosts: a list that is searched, narrowed by facets, sorted, paged and live.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;

use super::csv_answer::{CsvAnswer, CsvRows, cell};
use super::error::Error;
use super::host_query::{Extra, Facet, FacetCounts, HostView, Hosts, HostsQuery};
use super::host_row::{Board, EventCell, StateCell};
use super::overview::thousands;
use super::page::{Frame, Page, Slice};
use super::session::Operator;
use super::site_facts::SiteFacts;
use super::state::Ui;
use super::tenants::{RentalCell, rental_cell};
use crate::inventory::Snapshot;
use crate::model::natural;
use crate::model::{ClientKey, LeaseState, RentalTerm};
use crate::network::ConfigState;

/// How many hosts a page shows.
pub(super) const PAGE: usize = 100;
/// Values of a facet that are offered.
const MOST_VALUES: usize = 14;

struct Row {
    name: String,
    rack: String,
    unit: String,
    address: String,
    state: StateCell,
    event: EventCell,
    /// That its tenant's rental has ended.
    ended: Option<RentalCell>,
    extra: Vec<String>,
}

/// A column's heading: a link that sorts by it.
struct Column {
    label: &'static str,
    class: &'static str,
    query: String,
    /// What `aria-sort` says; empty where the list is sorted by another column.
    order: &'static str,
}

/// A facet with its values.
struct FacetList {
    label: &'static str,
    values: Vec<FacetValue>,
    /// Values that are not offered.
    more: usize,
    /// How many values are chosen.
    chosen: usize,
    key: &'static str,
}

/// A value of a facet: a link that adds it, or takes it away.
struct FacetValue {
    value: String,
    count: usize,
    query: String,
    is_chosen: bool,
}

/// A set of hosts that people look for every day.
struct View {
    label: &'static str,
    query: &'static str,
    is_shown: bool,
}

const VIEWS: [(&str, &str); 6] = [
    ("All", ""),
    ("Need attention", "state=failed&state=stuck"),
    ("In progress", "state=booting&state=installing"),
    ("Not seen yet", "state=waiting"),
    ("Outdated configuration", "config=outdated"),
    ("Without profile", "profile=none"),
];

#[derive(Template)]
#[template(path = "hosts.html")]
struct HostsPage {
    frame: Frame,
    wanted: HostsQuery,
    /// The query without the page.
    query: String,
    /// The query without order and page, for a change of all that match.
    filter: String,
    /// The names of the hosts that are shown, separated by commas.
    shown: String,
    columns: Vec<Column>,
    views: Vec<View>,
    facets: Vec<FacetList>,
    rows: Vec<Row>,
    slice: Slice,
    /// How many hosts there are, whatever is wanted.
    all: usize,
}

impl HostsPage {
    fn total(&self) -> String {
        thousands(self.slice.total)
    }

    fn all(&self) -> String {
        thousands(self.all)
    }

    fn has(&self, extra: Extra) -> bool {
        self.wanted.extra.contains(&extra)
    }
}

/// The addresses that hosts have by DHCP now.
pub(super) fn leased(ui: &Ui) -> HashMap<String, Vec<Ipv4Addr>> {
    let now = ui.now_ms() / 1000;
    let snapshot = ui.app.inventory.snapshot();
    let mut leased: HashMap<String, Vec<Ipv4Addr>> = HashMap::new();
    for lease in ui.app.leases.list() {
        if lease.state != LeaseState::Bound || !lease.is_live(now) {
            continue;
        }
        let owner = match &lease.client {
            ClientKey::Host(name) => Some(name.clone()),
            ClientKey::Mac(_) | ClientKey::Guid(_) | ClientKey::Id(_) => {
                let owner = lease.nic.and_then(|nic| snapshot.host_of_nic(nic));
                owner.map(|(name, _)| name.to_owned())
            }
        };
        if let Some(name) = owner {
            leased.entry(name).or_default().push(lease.address);
        }
    }
    leased
}

/// What a query of hosts looks at.
pub(super) struct HostListData {
    facts: Arc<SiteFacts>,
    board: Board,
    configs: BTreeMap<String, ConfigState>,
    snapshot: Arc<Snapshot>,
}

impl HostListData {
    pub(super) async fn read(ui: &Ui, wanted: &HostsQuery) -> Result<Self, Error> {
        let facts = SiteFacts::read(ui, wanted.needs_facts()).await?;
        let board = Board::read(ui).await?;
        let configs = ui.app.inventory.config_states().await?;
        Ok(Self { facts, board, configs, snapshot: ui.app.inventory.snapshot() })
    }

    pub(super) fn hosts(&self, ui: &Ui) -> Hosts<'_> {
        let Self { facts, board, configs, snapshot } = self;
        let (site, leases) = (&snapshot.site, leased(ui));
        Hosts { site, statuses: board.statuses(), leases, configs, facts }
    }
}

/// `GET /hosts`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
    RawQuery(raw): RawQuery,
) -> Result<impl IntoResponse, Error> {
    let wanted = HostsQuery::parse(&raw.unwrap_or_default())?;
    let known = HostListData::read(&ui, &wanted).await?;
    let (board, hosts) = (&known.board, known.hosts(&ui));
    let found = wanted.find(&hosts, |name| board.last_ms(name));
    let slice = Slice::new(wanted.page, found.hosts.len(), PAGE);
    let shown = slice.of(&found.hosts);
    let names: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
    let views = shown.iter().map(|(name, host)| hosts.view(name, host));
    let rows = views.map(|view| row(&ui, board, &view, &wanted.extra)).collect();
    let filter = wanted.filter_text();
    Ok(Page(HostsPage {
        frame: operator.frame("hosts").await?,
        query: wanted.link(),
        shown: names.join(","),
        columns: columns(&wanted),
        views: VIEWS
            .map(|(label, query)| View { label, query, is_shown: filter == query })
            .into_iter()
            .collect(),
        facets: facets(&wanted, found.counts),
        rows,
        slice,
        all: known.snapshot.site.hosts.len(),
        filter,
        wanted,
    }))
}

/// `GET /hosts.csv`: every host that the query finds, with all columns.
pub(super) async fn csv(
    State(ui): State<Ui>,
    _: Operator,
    RawQuery(raw): RawQuery,
) -> Result<CsvAnswer, Error> {
    let wanted = HostsQuery::parse(&raw.unwrap_or_default())?;
    let known = HostListData::read(&ui, &wanted).await?;
    let (board, hosts) = (&known.board, known.hosts(&ui));
    let found = wanted.find(&hosts, |name| board.last_ms(name));
    let headings = ["name", "rack", "unit", "state", "cause", "addresses"];
    let headings = headings.into_iter().chain(Extra::ALL.map(Extra::key));
    let line = |(name, host): &(&String, &crate::model::Host)| {
        let view = hosts.view(name, host);
        let reason = board.reason(name);
        let addresses = host.addresses.values().chain(host.reservations.values());
        let addresses: Vec<String> = addresses.map(ToString::to_string).collect();
        let mut cells = vec![
            (*name).clone(),
            cell(host.rack.as_ref()),
            cell(host.unit),
            view.state.label().to_owned(),
            reason,
            addresses.join(" "),
        ];
        cells.extend(Extra::ALL.map(|extra| extra.text(&view)));
        cells
    };
    let rows: CsvRows = found.hosts.iter().map(line).collect();
    Ok(CsvAnswer::new("hosts", headings, rows))
}

fn facets(wanted: &HostsQuery, mut counts: FacetCounts) -> Vec<FacetList> {
    let list = |facet: Facet| {
        let mut counted = counts.remove(&facet).unwrap_or_default();
        let chosen = wanted.facets.get(&facet).map(Vec::as_slice).unwrap_or_default();
        for value in chosen {
            counted.entry(value.clone()).or_default();
        }
        let mut values: Vec<(String, usize)> = counted.into_iter().collect();
        values.sort_by(|a, b| natural(&a.0, &b.0));
        // With many values those that matter are offered, in their order.
        let mut largest: Vec<(bool, usize)> =
            values.iter().map(|(value, count)| (wanted.has(facet, value), *count)).collect();
        largest.sort_by(|a, b| b.cmp(a));
        let least = largest.get(MOST_VALUES - 1).copied().unwrap_or_default();
        let all = values.len();
        values.retain(|(value, count)| (wanted.has(facet, value), *count) >= least);
        values.truncate(MOST_VALUES);
        let more = all - values.len();
        let value = |(value, count): (String, usize)| FacetValue {
            count,
            query: wanted.toggled(facet, &value).link(),
            is_chosen: wanted.has(facet, &value),
            value,
        };
        FacetList {
            label: facet.label(),
            key: facet.key(),
            values: values.into_iter().map(value).collect(),
            more,
            chosen: chosen.len(),
        }
    };
    let lists = Facet::ALL.map(list).into_iter();
    // A facet in which all hosts are alike, and nothing is chosen, tells nothing apart.
    lists.filter(|list| list.values.len() > 1 || list.chosen > 0).collect()
}

fn columns(wanted: &HostsQuery) -> Vec<Column> {
    let columns = [
        ("place", "Rack, unit", "c-place"),
        ("name", "Host", "c-name"),
        ("state", "State", "c-state"),
        ("", "Address", "c-address"),
        ("event", "Last event", "c-event"),
    ];
    let sort = if wanted.sort.is_empty() { "place" } else { &wanted.sort };
    let column = |(key, label, class): (&'static str, _, _)| Column {
        label,
        class,
        query: match key {
            "" => String::new(),
            key => HostsQuery { sort: key.to_owned(), ..wanted.clone() }.link(),
        },
        order: match key == sort {
            true if key == "event" => "descending",
            true => "ascending",
            false => "",
        },
    };
    columns.into_iter().map(column).collect()
}

fn row(ui: &Ui, board: &Board, view: &HostView<'_>, extra: &[Extra]) -> Row {
    let HostView { name, host, .. } = view;
    let now = ui.now_ms() / 1000;
    let is_ended = matches!(host.rental_term(now), Some(RentalTerm::Ended(_)));
    let address = host.addresses.values().chain(host.reservations.values()).next();
    Row {
        name: (*name).clone(),
        rack: host.rack.clone().unwrap_or_default(),
        unit: host.unit.map(|unit| unit.to_string()).unwrap_or_default(),
        address: address.map(ToString::to_string).unwrap_or_default(),
        state: board.state_cell(ui, name),
        event: board.event_cell(ui, name),
        ended: rental_cell(host, now).filter(|_| is_ended),
        extra: extra.iter().map(|extra| extra.text(view)).collect(),
    }
}
