//! Unknown clients: who asked DHCP and is in no host, and what marks them.

use std::collections::BTreeSet;

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
use crate::lifecycle::client::Client;
use crate::lifecycle::event::Way;
use crate::lifecycle::unknown::{ClientMarks, UnknownClient};
use crate::lifecycle::{Event, HostState, gate};
use crate::model::{Image, Mac, NewHosts, NicAddress};

/// How many events are looked at for MACs that came by other ways than DHCP.
const EVENTS: u32 = 5000;
/// How many clients are shown.
const SHOWN: usize = 300;

/// How many hosts are proposed while a name is typed.
const PROPOSED: usize = 200;

struct Row {
    /// Its NIC, or what else it is known by.
    name: String,
    nic: Option<NicAddress>,
    /// The address with its subnet.
    lease: Option<(String, String)>,
    first: Option<Moment>,
    last: Moment,
    /// What marks it, each in a few words.
    marks: Vec<String>,
    bmc: Option<String>,
}

/// A host of the inventory that has asked to boot and waits until somebody decides.
struct NewHost {
    name: String,
    rack: Option<String>,
    since: Moment,
    /// What it waits for.
    says: String,
}

#[derive(Template)]
#[template(path = "discovered.html")]
struct DiscoveredPage {
    frame: Frame,
    new_hosts: Vec<NewHost>,
    rows: Vec<Row>,
    more: bool,
    hosts: Vec<String>,
}

/// `GET /discovered`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let inventory = &ui.app.inventory;
    let snapshot = inventory.snapshot();
    let filter = EventFilter { limit: EVENTS, ..EventFilter::default() };
    let events = inventory.database.list_events(&filter).await?;
    let leases = ui.app.leases.list();
    let clients = inventory.unknown_clients(&leases, ui.now_ms() / 1000).await?;
    let heard = heard_otherwise(&snapshot, &clients, &events);
    let mut rows: Vec<(i64, Row)> =
        clients.into_iter().map(|client| (client.last_seen_ms, row(&ui, client))).collect();
    rows.extend(heard.into_iter().map(|event| {
        let row = Row {
            name: event.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            nic: event.mac.map(NicAddress::Mac),
            lease: None,
            first: None,
            last: ui.moment(event.at_ms),
            marks: vec![event.text()],
            bmc: None,
        };
        (event.at_ms, row)
    }));
    rows.sort_by_key(|(last_seen_ms, _)| std::cmp::Reverse(*last_seen_ms));
    let more = rows.len() > SHOWN;
    rows.truncate(SHOWN);
    Ok(Page(DiscoveredPage {
        frame: operator.frame("discovered").await?,
        new_hosts: new_hosts(&ui, &snapshot),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        more,
        hosts: snapshot.site.hosts.keys().take(PROPOSED).cloned().collect(),
    }))
}

/// The hosts that were never armed, boot nothing by themselves and have asked for something.
fn new_hosts(ui: &Ui, snapshot: &Snapshot) -> Vec<NewHost> {
    let inventory = &ui.app.inventory;
    let installs = inventory.installs();
    let mut waiting = Vec::new();
    for (name, status) in inventory.states.list(ui.now_ms()) {
        let Some(host) = snapshot.site.hosts.get(&name) else { continue };
        let image = host.image.as_ref().and_then(|name| snapshot.site.images.get(name));
        let is_for_install = image.is_none_or(Image::installs);
        let has_asked = status.stage.is_some() && status.state != HostState::Up;
        if !has_asked || !is_for_install || installs.of(&name).is_some() {
            continue;
        }
        let policy = snapshot.site.policy_for_new(host);
        let protector = gate::protector(&snapshot.site, &name);
        let says = match (&host.image, policy) {
            (_, policy @ NewHosts::Install(_)) => match protector {
                Some(by) => format!("new-hosts: {policy}, and protected by {by}"),
                None => format!("new-hosts: {policy}; {}", status.reason),
            },
            (Some(image), NewHosts::Ask) => format!("image {image}, and nobody has armed it"),
            (None, NewHosts::Ask) => "no image".to_owned(),
        };
        let (rack, since) = (host.rack.clone(), ui.moment(status.since_ms));
        waiting.push(NewHost { name, rack, since, says });
    }
    waiting.truncate(SHOWN);
    waiting
}

fn row(ui: &Ui, client: UnknownClient) -> Row {
    Row {
        name: client.nic.map_or(client.client, |nic| nic.to_string()),
        nic: client.nic,
        lease: client.lease.map(|lease| (lease.address.to_string(), lease.subnet)),
        first: Some(ui.moment(client.first_seen_ms)),
        last: ui.moment(client.last_seen_ms),
        marks: client.marks.as_ref().map(words).unwrap_or_default(),
        bmc: client.looks_like_bmc.map(|sign| sign.to_string()),
    }
}

/// What marks a client, each in a few words.
fn words(marks: &ClientMarks) -> Vec<String> {
    let ClientMarks { client, vendor_class, host_name, uuid, way, remote_id, unanswered } = marks;
    let boots = (*client != Client::Plain).then(|| client.to_string());
    let class = vendor_class.as_ref().map(|class| format!("class {class}"));
    let name = host_name.as_ref().map(|name| format!("calls itself {name}"));
    let uuid = uuid.as_ref().map(|uuid| format!("UUID {uuid}"));
    let way = match way {
        Way::Interface(interface) => format!("on {interface}"),
        Way::Relay { address, port: None } => format!("by relay {address}"),
        Way::Relay { address, port: Some(port) } => format!("by relay {address}, port {port}"),
    };
    let remote = remote_id.as_ref().map(|remote| format!("remote id {remote}"));
    let reason = unanswered.map(|reason| format!("no answer: {reason}"));
    [boots, class, name, uuid, Some(way), remote, reason].into_iter().flatten().collect()
}

/// The newest event of each MAC that is in no host and asked by other ways than DHCP.
fn heard_otherwise<'a>(
    snapshot: &Snapshot,
    clients: &[UnknownClient],
    events: &'a [Event],
) -> Vec<&'a Event> {
    let is_known = |mac| snapshot.host_of_mac(mac).is_some() || snapshot.host_of_bmc(mac).is_some();
    let mut seen: BTreeSet<Mac> = clients.iter().filter_map(|it| it.nic?.mac()).collect();
    let is_new = |event: &&Event| {
        event.host.is_none() && event.mac.is_some_and(|mac| !is_known(mac) && seen.insert(mac))
    };
    events.iter().filter(is_new).collect()
}

/// The NIC that a host shall have.
#[derive(Deserialize)]
pub(crate) struct Adopted {
    #[serde(default)]
    mac: String,
    #[serde(default)]
    host: String,
}

/// `GET /discovered/adopt`: leads to the host's form with the NIC filled in.
pub(crate) async fn adopt(
    State(ui): State<Ui>,
    UrlQuery(adopted): UrlQuery<Adopted>,
) -> Result<Redirect, Error> {
    let Adopted { mac, host } = adopted;
    let nic: NicAddress = mac.parse().map_err(|error| Error::Malformed(format!("{error}")))?;
    let host = host.trim();
    let name: String = form_urlencoded::byte_serialize(host.as_bytes()).collect();
    // A name that no host has is that of a new one.
    Ok(Redirect::to(&match host {
        "" => format!("/add-host?mac={nic}"),
        known if ui.app.inventory.snapshot().site.hosts.contains_key(known) => {
            format!("/hosts/{name}/edit?mac={nic}")
        }
        _ => format!("/add-host?mac={nic}&name={name}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::client::Arch;
    use crate::lifecycle::reason::Reason;
    use crate::lifecycle::{EventData, EventKind};
    use crate::model::Site;

    #[test]
    fn a_mac_of_no_host_is_listed_once_whichever_way_it_came() {
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
        let events = [
            event(40, 3, "asked DHCP"),
            event(30, 2, "new"),
            event(20, 1, "known"),
            event(10, 2, "old"),
        ];
        let asked_dhcp = UnknownClient {
            client: format!("mac:{}", mac(3)),
            nic: Some(mac(3).into()),
            first_seen_ms: 1,
            last_seen_ms: 40,
            marks: None,
            looks_like_bmc: None,
            lease: None,
        };
        let found = heard_otherwise(&snapshot, &[asked_dhcp], &events);
        let found: Vec<_> = found.iter().map(|event| (event.at_ms, event.text())).collect();
        assert_eq!(found, [(30, "new".to_owned())]);
    }

    #[test]
    fn marks_are_a_few_words_each() {
        let marks = ClientMarks {
            client: Client::Pxe(Arch::X64Efi),
            vendor_class: Some("PXEClient:Arch:00007".into()),
            host_name: Some("new-server-1".into()),
            uuid: Some("4c4c4544-0042-3510-8054-b4c04f4d3032".into()),
            way: Way::Relay {
                address: "10.20.0.1".parse().unwrap(),
                port: Some("\"ge-0/0/1\"".into()),
            },
            remote_id: Some("\"sw1\"".into()),
            unanswered: Some(Reason::UnknownRefused),
        };
        let expected = [
            "UEFI x64 PXE",
            "class PXEClient:Arch:00007",
            "calls itself new-server-1",
            "UUID 4c4c4544-0042-3510-8054-b4c04f4d3032",
            "by relay 10.20.0.1, port \"ge-0/0/1\"",
            "remote id \"sw1\"",
        ];
        let words = words(&marks);
        assert_eq!(words[..6], expected);
        assert!(words[6].starts_with("no answer: "), "{words:?}");
    }
}
