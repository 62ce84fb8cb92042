//! Rules about bridges: timers, ports and their VLANs. Pure.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::subnet::VLAN_IDS;
use super::{Findings, ProfileView};
use crate::model::{BridgeSpec, Millis, PortSpec, VlanIds};
use crate::network::links::{Borne, Kind, Link, Role};
use crate::network::nearest;

/// The VLAN of untagged packets where a bridge names none (ip-link(8), vlan_default_pvid).
const DEFAULT_PVID: u16 = 1;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for (name, bridge) in &view.profile.bridges {
        timers(view, name, bridge, findings);
        if let Some(link) = view.network.links.get(name) {
            own_side(view, link, bridge, findings);
            uplinks(view, link, bridge, findings);
        }
        if let Some(id) = bridge.default_pvid.filter(|id| *id > *VLAN_IDS.end()) {
            let text = format!("{name}: VLAN id {id} is outside 1-4094 (0 for none)");
            findings.error("N110", view.at(name, "default-pvid"), text);
        }
        if let Some(version) = bridge.multicast_igmp_version.filter(|it| !(2..=3).contains(it)) {
            let text = format!("{name}: IGMP version {version} is not supported (2 or 3)");
            findings.error("N165", view.at(name, "multicast-igmp-version"), text);
        }
        openvswitch(view, name, bridge, findings);
        for (port, spec) in &bridge.ports {
            ports(view, name, bridge, port, spec, findings);
        }
    }
}

/// Rule N232: what Open vSwitch has no word for, or does by itself.
fn openvswitch(view: &ProfileView<'_>, name: &str, bridge: &BridgeSpec, findings: &mut Findings) {
    if !bridge.openvswitch {
        return;
    }
    let words = [
        (bridge.forward_delay.is_some(), "forward-delay"),
        (bridge.hello_time.is_some(), "hello-time"),
        (bridge.max_age.is_some(), "max-age"),
        (bridge.ageing_time.is_some(), "ageing-time"),
        (bridge.priority.is_some(), "priority"),
        (bridge.vlan_filtering, "vlan-filtering"),
        (bridge.default_pvid.is_some(), "default-pvid"),
        (bridge.multicast_querier.is_some(), "multicast-querier"),
        (bridge.multicast_igmp_version.is_some(), "multicast-igmp-version"),
    ];
    for (_, key) in words.into_iter().filter(|(used, _)| *used) {
        let text = format!(
            "{name} is a bridge of Open vSwitch, which has no {key}: it keeps VLANs apart by itself"
        );
        findings.error("N232", view.at(name, key), text);
        findings.suggest(view.path(name, key), "");
    }
    for (port, spec) in &bridge.ports {
        let linux = spec.isolated
            || spec.hairpin
            || spec.learning.is_some()
            || spec.neighbor_suppression
            || spec.cost.is_some();
        if linux {
            let text = format!(
                "{name}: port {port} of a bridge of Open vSwitch has pvid, tagged and untagged alone"
            );
            findings.error("N232", view.at(name, "ports"), text);
        }
        let own: VlanIds = spec.pvid.into_iter().collect();
        let others = spec.untagged.without(&own);
        if !others.is_empty() {
            let which = match spec.pvid {
                Some(id) => format!("only its pvid {id}"),
                None => "only a pvid, and it has none".to_owned(),
            };
            let text = format!(
                "{name}: port {port} of a bridge of Open vSwitch has one VLAN without a tag, {which}: \
                 untagged {others} has no effect"
            );
            findings.error("N232", view.at(name, "ports"), text);
            let at = view.path(name, "ports").at(port).at("untagged");
            findings.suggest(at, spec.pvid.map(|id| format!("[{id}]")).unwrap_or_default());
        }
    }
    let link = |port: &String| view.network.links.get(port);
    for port in bridge.interfaces.iter().filter_map(link) {
        if matches!(port.kind, Kind::Bridge(_)) {
            continue;
        }
        if port.is_nic() && port.has_pattern() {
            let text = format!("{name}: {} is found by a pattern; a port is one NIC", port.name);
            findings.error("N232", view.at(name, "interfaces"), text);
        }
    }
}

/// Rule N167: a bridge that filters VLANs filters what is for itself as well.
fn own_side(view: &ProfileView<'_>, link: &Link, bridge: &BridgeSpec, findings: &mut Findings) {
    if !bridge.vlan_filtering {
        return;
    }
    let name = link.name.as_str();
    let own = bridge.ports.get(name);
    let default = Some(bridge.default_pvid.unwrap_or(DEFAULT_PVID)).filter(|id| *id != 0);
    let pvid = own.and_then(|own| own.pvid).or(default);
    let has = |port: &PortSpec, id: u16| {
        port.pvid == Some(id) || port.tagged.contains(id) || port.untagged.contains(id)
    };
    let is_on_port = |id: u16| {
        default == Some(id) || bridge.ports.iter().any(|(port, spec)| port != name && has(spec, id))
    };
    let tag = |borne: &Borne| view.site.subnets.get(&borne.subnet)?.vlan;
    let wanted = link.layer3.borne.iter().find_map(tag).filter(|id| is_on_port(*id));
    let why = match (pvid, wanted) {
        _ if link.role != Role::Addressed => None,
        (None, _) => Some("its own side is in no VLAN".to_owned()),
        (Some(id), Some(wanted)) if id != wanted => {
            Some(format!("its own side is in VLAN {id}, and its subnet in VLAN {wanted}"))
        }
        (Some(id), _) if !is_on_port(id) && !bridge.interfaces.is_empty() => {
            Some(format!("no port is in VLAN {id}, that of its own side"))
        }
        _ => None,
    };
    if let Some(why) = why {
        let text = format!(
            "{name} has an address, but {why}: no packet reaches it; set pvid and untagged of {name} \
             under its ports"
        );
        findings.error("N167", view.at(name, "ports"), text);
        if let Some(id) = wanted {
            let own = serde_json::json!({"pvid": id, "untagged": [id]});
            findings.suggest(view.path(name, "ports").at(name), own);
        }
    }
    let lacks = |id: &u16| !own.is_some_and(|own| has(own, *id)) && pvid != Some(*id);
    for vlan in view.network.children(name) {
        // A warning: ifupdown2 adds the id by itself.
        let Some(id) = vlan.vlan_id().filter(lacks) else { continue };
        let text = format!(
            "{} is VLAN {id} on {name}, but the own side of {name} is not in it: no packet reaches {}; \
             add {id} to tagged of {name} under its ports",
            vlan.name, vlan.name
        );
        findings.warn("N167", view.at(name, "ports"), text);
        let mut tagged = own.map(|own| own.tagged.clone()).unwrap_or_default();
        tagged.insert(id);
        let at = view.path(name, "ports").at(name).at("tagged");
        findings.suggest(at, serde_json::json!(tagged));
    }
}

/// Rule N166: a bridge over two ways to the network closes a loop, and without spanning tree a
/// broadcast goes round in it for ever.
fn uplinks(view: &ProfileView<'_>, link: &Link, bridge: &BridgeSpec, findings: &mut Findings) {
    let name = link.name.as_str();
    let below = |port: &Link| {
        let nics = view.network.nics_below(port);
        nics.into_iter().map(|nic| nic.name.clone()).collect::<BTreeSet<String>>()
    };
    let ports: Vec<(&str, BTreeSet<String>)> = view
        .network
        .members(name)
        // What a tunnel carries is a network of its own.
        .filter(|port| !matches!(port.kind, Kind::Vxlan { .. }))
        .map(|port| (port.name.as_str(), below(port)))
        .filter(|(_, nics)| !nics.is_empty())
        .collect();
    for (index, (port, nics)) in ports.iter().enumerate() {
        let Some((other, theirs)) = ports[..index].first() else { continue };
        let shared = ports[..index].iter().find(|(_, theirs)| !theirs.is_disjoint(nics));
        if let Some((other, theirs)) = shared {
            if bridge.vlan_filtering || bridge.openvswitch {
                continue;
            }
            let nic = theirs.intersection(nics).next().map_or("", String::as_str);
            let text = format!(
                "{name}: {other} and {port} both leave by {nic}: the bridge would join their VLANs, and \
                 with a second such host broadcasts go round for ever; use a bridge for each, or \
                 vlan-filtering"
            );
            findings.error("N166", view.at(name, "interfaces"), text);
        } else if bridge.stp != Some(true) {
            let (one, two) = (theirs.first(), nics.first());
            let text = format!(
                "{name}: {other} and {port} both lead to the network ({} and {}): the bridge closes a \
                 loop, and a broadcast goes round in it for ever; use a bond, or stp: true",
                one.map_or("", String::as_str),
                two.map_or("", String::as_str)
            );
            findings.warn("N166", view.at(name, "interfaces"), text);
        }
    }
}

/// Rule N165: the ranges of IEEE 802.1D, outside of which the kernel refuses the bridge.
fn timers(view: &ProfileView<'_>, name: &str, bridge: &BridgeSpec, findings: &mut Findings) {
    let timers: [(&str, Option<Millis>, RangeInclusive<u64>); 3] = [
        ("forward-delay", bridge.forward_delay, 2..=30),
        ("hello-time", bridge.hello_time, 1..=10),
        ("max-age", bridge.max_age, 6..=40),
    ];
    for (key, time, range) in timers {
        let millis = range.start() * 1000..=range.end() * 1000;
        if let Some(time) = time.filter(|time| !millis.contains(&time.0)) {
            let text =
                format!("{name}: {key} {time} is outside {}s-{}s", range.start(), range.end());
            findings.error("N165", view.at(name, key), text);
        }
    }
}

/// Rules N110, N165 and N180 for one port.
fn ports(
    view: &ProfileView<'_>,
    name: &str,
    bridge: &BridgeSpec,
    port: &String,
    spec: &PortSpec,
    findings: &mut Findings,
) {
    let at = || view.at(name, "ports");
    if port != name && !bridge.interfaces.contains(port) {
        let hint = nearest::hint(port, bridge.interfaces.iter().map(String::as_str));
        findings.error("N180", at(), format!("{name} has no port \"{port}\"{hint}"));
    }
    let mut all: VlanIds = spec.pvid.into_iter().collect();
    [&spec.tagged, &spec.untagged].into_iter().for_each(|ids| all.extend(ids));
    let outside = all.without(&VlanIds::from(VLAN_IDS));
    if !outside.is_empty() {
        findings.error("N110", at(), format!("{port}: VLAN id {outside} is outside 1-4094"));
    }
    if !all.is_empty() && !bridge.vlan_filtering && !bridge.openvswitch {
        let text =
            format!("{port} has VLANs, but {name} does not filter VLANs; set vlan-filtering: true");
        findings.error("N165", at(), text);
        findings.suggest(view.path(name, "vlan-filtering"), true);
    }
    if let Some(id) = spec.tagged.iter().find(|id| spec.untagged.contains(*id)) {
        findings.error(
            "N165",
            at(),
            format!("{port}: VLAN {id} is both tagged and untagged; choose one"),
        );
    }
}
