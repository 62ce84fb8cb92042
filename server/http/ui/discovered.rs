//! Unknown clients: MACs that asked for an address and are in no host.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::clock::Moment;
use super::error::Error;
use super::page::{Frame, Page};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{EventFilter, Snapshot};
use crate::lifecycle::Event;
use crate::model::{Lease, Mac};

/// How many events are looked at for clients without a lease.
const EVENTS: u32 = 5000;
/// How many clients are shown.
const SHOWN: usize = 300;

/// An unknown client.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Client {
    address: Option<Ipv4Addr>,
    subnet: String,
    heard_ms: i64,
    said: String,
}

struct Row {
    mac: Mac,
    heard: Moment,
    client: Client,
}

#[derive(Template)]
#[template(path = "discovered.html")]
struct DiscoveredPage {
    frame: Frame,
    rows: Vec<Row>,
    more: bool,
    hosts: Vec<String>,
}

/// `GET /discovered`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let filter = EventFilter { limit: EVENTS, ..EventFilter::default() };
    let events = ui.app.inventory.database.list_events(&filter).await?;
    let mut clients =
        unknown_clients(&snapshot, &events, &ui.app.leases.list(), ui.now_ms() / 1000);
    clients.sort_by_key(|(_, client)| std::cmp::Reverse(client.heard_ms));
    let more = clients.len() > SHOWN;
    clients.truncate(SHOWN);
    let row = |(mac, client): (Mac, Client)| Row { mac, heard: ui.moment(client.heard_ms), client };
    Ok(Page(DiscoveredPage {
        frame: operator.frame("discovered").await?,
        rows: clients.into_iter().map(row).collect(),
        more,
        hosts: snapshot.site.hosts.keys().cloned().collect(),
    }))
}

/// Every MAC that asked and is in no host: from the events (newest first) and the leases.
fn unknown_clients(
    snapshot: &Snapshot,
    events: &[Event],
    leases: &[Lease],
    now: i64,
) -> Vec<(Mac, Client)> {
    let mut clients: BTreeMap<Mac, Client> = BTreeMap::new();
    for event in events {
        let Some(mac) = event.mac else { continue };
        let client = || Client {
            address: None,
            subnet: String::new(),
            heard_ms: event.at_ms,
            said: event.text(),
        };
        clients.entry(mac).or_insert_with(client);
    }
    for lease in leases.iter().filter(|lease| lease.is_live(now)) {
        let client = clients.entry(lease.mac).or_insert_with(|| Client {
            address: None,
            subnet: String::new(),
            heard_ms: lease.starts_at.saturating_mul(1000),
            said: String::new(),
        });
        client.address = Some(lease.address);
        client.subnet.clone_from(&lease.subnet);
    }
    let is_known = |mac| snapshot.host_of_mac(mac).is_some() || snapshot.host_of_bmc(mac).is_some();
    clients.into_iter().filter(|(mac, _)| !is_known(*mac)).collect()
}

/// The NIC that a known host shall have.
#[derive(Deserialize)]
pub(crate) struct Adopted {
    #[serde(default)]
    mac: String,
    #[serde(default)]
    host: String,
}

/// `GET /discovered/adopt`: leads to the host's form with the MAC filled in.
pub(crate) async fn adopt(
    State(ui): State<Ui>,
    UrlQuery(adopted): UrlQuery<Adopted>,
) -> Result<Redirect, Error> {
    let Adopted { mac, host } = adopted;
    let mac: Mac = mac.parse().map_err(|error| Error::Malformed(format!("{error}")))?;
    if host.is_empty() {
        return Ok(Redirect::to(&format!("/add-host?mac={mac}")));
    }
    if !ui.app.inventory.snapshot().site.hosts.contains_key(&host) {
        return Err(Error::NotFound { what: "host", name: host });
    }
    Ok(Redirect::to(&format!("/hosts/{host}/edit?mac={mac}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{EventData, EventKind};
    use crate::model::{ClientKey, LeaseState, Site};

    #[test]
    fn only_macs_of_no_host_are_unknown() {
        let site: Site = serde_json::from_value(serde_json::json!({
            "hosts": {"n1": {"nics": {"eth0": "52:54:00:aa:00:01"}}},
        }))
        .unwrap();
        let snapshot = Snapshot::new(1, site);
        let mac = |last: u8| Mac([0x52, 0x54, 0, 0xaa, 0, last]);
        let event = |at_ms, last, text: &str| Event {
            at_ms,
            host: None,
            mac: Some(mac(last)),
            data: EventData::Recorded { of: EventKind::Discover, text: text.into() },
        };
        let events = [event(30, 2, "new"), event(20, 1, "known"), event(10, 2, "old")];
        let lease = |last, expires_at| Lease {
            address: Ipv4Addr::new(10, 0, 0, last),
            client: ClientKey::Mac(mac(last)),
            mac: mac(last),
            subnet: "prov".into(),
            state: LeaseState::Bound,
            starts_at: 1,
            expires_at,
        };
        let leases = [lease(2, 100), lease(3, 100), lease(4, 5)];
        let found = unknown_clients(&snapshot, &events, &leases, 50);
        let found: Vec<_> = found
            .iter()
            .map(|(mac, c)| (mac.0[5], c.heard_ms, c.address.is_some(), c.said.as_str()))
            .collect();
        assert_eq!(found, [(2, 30, true, "new"), (3, 1000, true, "")]);
    }
}
