//! All hosts: a list that is searched, sorted, paged and live.

use std::cmp::Ordering;

use askama::Template;
use axum::extract::State;
use axum::response::IntoResponse;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::error::Error;
use super::host_row::{Board, EventCell, StateCell};
use super::natural::natural;
use super::page::{Frame, Page, Slice};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use super::tenants::{RentalCell, rental_cell};
use crate::lifecycle::HostState;
use crate::model::{Host, NicAddress, RentalTerm, Site};

/// How many hosts a page shows.
pub(super) const PAGE: usize = 100;

/// Which hosts are wanted, in which order.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HostsQuery {
    /// Part of a name, rack, serial, address or MAC.
    pub text: String,
    /// A state, or nothing for all.
    pub state: String,
    /// `place`, `name`, `state` or `event`; anything else is `place`.
    pub sort: String,
    /// Which page, from 1.
    pub page: usize,
}

impl HostsQuery {
    /// The names of the hosts on the page, and where in the list the page is.
    pub(crate) fn names<'a>(&self, site: &'a Site, board: &Board) -> (Vec<&'a str>, Slice) {
        let needle = Needle::new(&self.text);
        let state: Option<HostState> = self.state.parse().ok();
        let mut found: Vec<(&String, &Host)> = site
            .hosts
            .iter()
            .filter(|(name, host)| needle.is_in(name, host))
            .filter(|(name, _)| state.is_none_or(|state| board.state(name) == state))
            .collect();
        match self.sort.as_str() {
            "name" => found.sort_by(|a, b| natural(a.0, b.0)),
            "state" => found.sort_by_key(|(name, _)| urgency(board.state(name))),
            "event" => found.sort_by_key(|(name, _)| std::cmp::Reverse(board.last_ms(name))),
            _ => found.sort_by(by_place),
        }
        let slice = Slice::new(self.page, found.len(), PAGE);
        (slice.of(&found).iter().map(|(name, _)| name.as_str()).collect(), slice)
    }

    /// The query without the page, each part with its `&`.
    fn query(&self, sort: &str) -> String {
        let pairs = [("text", self.text.as_str()), ("state", &self.state), ("sort", sort)];
        let given = pairs.iter().filter(|(_, value)| !value.is_empty());
        given
            .map(|(key, value)| format!("{key}={}&", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect()
    }
}

/// What the operator searches for.
struct Needle {
    text: String,
    /// The hexadecimal digits alone, where it may be part of a MAC in any notation.
    digits: Option<String>,
}

impl Needle {
    fn new(text: &str) -> Self {
        let text = text.trim().to_lowercase();
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
        let hexadecimal = digits.len() >= 4 && digits.chars().all(|c| c.is_ascii_hexdigit());
        Self { text, digits: hexadecimal.then_some(digits) }
    }

    fn is_in(&self, name: &str, host: &Host) -> bool {
        let text = self.text.as_str();
        let has = |value: &Option<String>| {
            value.as_ref().is_some_and(|value| value.to_lowercase().contains(text))
        };
        let mut addresses = host.addresses.values().chain(host.reservations.values());
        name.to_lowercase().contains(text)
            || [&host.rack, &host.serial, &host.profile, &host.image, &host.tenant]
                .into_iter()
                .any(has)
            || addresses.any(|address| address.to_string().contains(text))
            || host.nics.values().any(|nic| self.is_in_mac(nic.address))
            || host.bmc.as_ref().is_some_and(|bmc| self.is_in_mac(bmc.mac.into()))
    }

    fn is_in_mac(&self, mac: NicAddress) -> bool {
        let bare = || mac.to_string().replace(':', "");
        self.digits.as_ref().is_some_and(|digits| bare().contains(digits))
    }
}

/// By rack and unit, then by name; hosts without a rack come last.
fn by_place(a: &(&String, &Host), b: &(&String, &Host)) -> Ordering {
    let rack = match (&a.1.rack, &b.1.rack) {
        (Some(a), Some(b)) => natural(a, b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    };
    rack.then_with(|| a.1.unit.cmp(&b.1.unit)).then_with(|| natural(a.0, b.0))
}

/// What needs a person comes first.
fn urgency(state: HostState) -> u8 {
    match state {
        HostState::Failed => 0,
        HostState::Stuck => 1,
        HostState::Installing => 2,
        HostState::Booting => 3,
        HostState::Waiting => 4,
        HostState::Up => 5,
    }
}

struct Row {
    name: String,
    rack: String,
    unit: String,
    address: String,
    state: StateCell,
    event: EventCell,
    /// That its tenant's lease has ended.
    ended: Option<RentalCell>,
}

/// A column's heading: a link that sorts by it.
struct Column {
    label: &'static str,
    class: &'static str,
    query: String,
    /// What `aria-sort` says; empty where the list is sorted by another column.
    order: &'static str,
}

#[derive(Template)]
#[template(path = "hosts.html")]
struct HostsPage {
    frame: Frame,
    wanted: HostsQuery,
    query: String,
    /// The names of the hosts that are shown, separated by commas.
    shown: String,
    columns: Vec<Column>,
    states: Vec<(HostState, usize)>,
    rows: Vec<Row>,
    slice: Slice,
}

/// `GET /hosts`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(wanted): UrlQuery<HostsQuery>,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let board = Board::read(&ui).await?;
    let (names, slice) = wanted.names(&snapshot.site, &board);
    let rows = names.iter().map(|name| row(&ui, &snapshot.site, &board, name)).collect();
    let count =
        |state| snapshot.site.hosts.keys().filter(|name| board.state(name) == state).count();
    Ok(Page(HostsPage {
        frame: operator.frame("hosts").await?,
        query: wanted.query(&wanted.sort),
        shown: names.join(","),
        columns: columns(&wanted),
        states: HostState::ALL.iter().map(|state| (*state, count(*state))).collect(),
        rows,
        slice,
        wanted,
    }))
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
        query: if key.is_empty() { String::new() } else { wanted.query(key) },
        order: match key == sort {
            true if key == "event" => "descending",
            true => "ascending",
            false => "",
        },
    };
    columns.into_iter().map(column).collect()
}

fn row(ui: &Ui, site: &Site, board: &Board, name: &str) -> Row {
    let none = Host::default();
    let host = site.hosts.get(name).unwrap_or(&none);
    let now = ui.now_ms() / 1000;
    let is_ended = matches!(host.rental_term(now), Some(RentalTerm::Ended(_)));
    let address = host.addresses.values().chain(host.reservations.values()).next();
    Row {
        name: name.to_owned(),
        rack: host.rack.clone().unwrap_or_default(),
        unit: host.unit.map(|unit| unit.to_string()).unwrap_or_default(),
        address: address.map(ToString::to_string).unwrap_or_default(),
        state: board.state_cell(ui, name),
        event: board.event_cell(ui, name),
        ended: rental_cell(host, now).filter(|_| is_ended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_by_anything_that_stands_on_it() {
        let host = Host {
            rack: Some("R7".into()),
            serial: Some("CZ123".into()),
            nics: [("eth0".to_owned(), "52:54:00:aa:00:01".parse::<NicAddress>().unwrap().into())]
                .into(),
            addresses: [("br0".to_owned(), "172.16.160.12".parse().unwrap())].into(),
            ..Host::default()
        };
        for text in [
            "",
            "n01",
            "R7-N",
            "r7",
            "cz12",
            "160.12",
            "5254.00aa",
            "52-54-00-AA-00-01",
            "aa:00:01",
        ] {
            assert!(Needle::new(text).is_in("r7-n01", &host), "{text}");
        }
        for text in ["n02", "r8", "52:54:00:aa:00:02", "10.0"] {
            assert!(!Needle::new(text).is_in("r7-n01", &host), "{text}");
        }
    }

    #[test]
    fn hosts_stand_in_the_order_of_the_racks() {
        let host = |rack: Option<&str>, unit| Host {
            rack: rack.map(str::to_owned),
            unit,
            ..Host::default()
        };
        let names: Vec<String> = ["z", "b", "a", "y", "c"].map(str::to_owned).into();
        let hosts = [
            host(Some("r2"), Some(1)),
            host(Some("r2"), Some(10)),
            host(Some("r2"), Some(9)),
            host(Some("r10"), None),
            host(None, None),
        ];
        let mut list: Vec<(&String, &Host)> = names.iter().zip(&hosts).rev().collect();
        list.sort_by(by_place);
        assert_eq!(
            list.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["z", "a", "b", "y", "c"]
        );
    }
}
