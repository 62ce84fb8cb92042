//! Rules about switches, and about hosts and switches that must agree. Pure.

use std::collections::HashMap;

use super::subnet::VLAN_IDS;
use super::{FindingSubject, Findings, HostView};
use crate::model::{BondMode, Cable, Host, Location, Switch, Vendor, VlanIds};
use crate::network::fabric::{Attachment, Bundling, HEADROOM, attachments, port_mtu};
use crate::network::links::{Kind, Link};
use crate::network::nearest;
use crate::profile::ResolvedSite;

/// What is wrong with the switches as such, and with two hosts on one port.
pub(super) fn check_all(site: &ResolvedSite, findings: &mut Findings) {
    for (name, switch) in &site.switches {
        vlans(name, switch, findings);
        pair(site, name, switch, findings);
    }
    let mut owners: HashMap<(&str, &str), (&str, &str)> = HashMap::new();
    for (host, (label, nic)) in
        site.hosts.iter().flat_map(|(name, host)| host.nics.iter().map(move |nic| (name, nic)))
    {
        let Some(cable) = &nic.cable else { continue };
        let nic_of = |host: &str, label: &str| Location::of::<Host>(host).at("nics").at(label);
        let place = || FindingSubject::from(nic_of(host, label)).of_link(label.as_str());
        other_rack(site, host, cable, place(), findings);
        let port = (cable.switch.as_str(), cable.port.as_str());
        // Rule N119: a port has one cable.
        if let Some((other, nic)) = owners.insert(port, (host, label)) {
            let text =
                format!("{cable} is already connected to {nic} of {other}; a port has one cable");
            let place = place().and(nic_of(other, nic)).and(port_of(cable));
            findings.error("N119", place, text);
        }
    }
}

/// Rule N216: a cable to a switch of another rack, though the host's rack has switches.
fn other_rack(
    site: &ResolvedSite,
    host: &str,
    cable: &Cable,
    place: FindingSubject,
    findings: &mut Findings,
) {
    let rack = site.hosts.get(host).and_then(|host| host.rack.as_deref());
    let of_switch = site.switches.get(&cable.switch).and_then(|switch| switch.rack.as_deref());
    let (Some(rack), Some(of_switch)) = (rack, of_switch) else { return };
    let has_own = || site.switches.values().any(|switch| switch.rack.as_deref() == Some(rack));
    if rack != of_switch && has_own() {
        let text = format!(
            "{host} is in rack {rack} and cabled to {}, a switch of rack {of_switch}",
            cable.switch
        );
        findings.warn("N216", place.and(Location::of::<Switch>(&cable.switch)), text);
    }
}

fn vlans(name: &str, switch: &Switch, findings: &mut Findings) {
    let native: VlanIds = switch.native_vlan.into_iter().collect();
    for (key, ids) in [("native-vlan", &native), ("vlans", &switch.vlans)] {
        let outside = ids.without(&VlanIds::from(VLAN_IDS));
        if !outside.is_empty() {
            let place = Location::of::<Switch>(name).at(key);
            findings.error("N110", place, format!("VLAN id {outside} is outside 1-4094"));
        }
    }
}

/// Rule N129: two switches are a pair for both of them.
fn pair(site: &ResolvedSite, name: &str, switch: &Switch, findings: &mut Findings) {
    let Some(peer) = switch.mlag_peer.as_deref() else { return };
    let place = || Location::of::<Switch>(name).at("mlag-peer");
    let Some(other) = site.switches.get(peer) else {
        let hint = nearest::hint(peer, site.switches.keys().map(String::as_str));
        return findings.error("N180", place(), format!("switch \"{peer}\" does not exist{hint}"));
    };
    if other.mlag_peer.as_deref() != Some(name) || peer == name {
        let theirs = other.mlag_peer.as_deref().unwrap_or("none");
        let text = format!("{name} has mlag-peer {peer}, whose own mlag-peer is {theirs}");
        findings.error(
            "N129",
            FindingSubject::from(place()).and(Location::of::<Switch>(peer)),
            text,
        );
    } else if other.vendor != switch.vendor {
        let text = format!(
            "{name} is {}, but its peer {peer} is {}; an MLAG pair has one vendor",
            switch.vendor, other.vendor
        );
        findings.error(
            "N129",
            FindingSubject::from(place()).and(Location::of::<Switch>(peer)),
            text,
        );
    }
}

/// What is wrong between one host and the switches that it is cabled to.
pub(super) fn check(view: &HostView<'_>, findings: &mut Findings) {
    if view.host.nics.values().all(|nic| nic.cable.is_none()) {
        return in_rack(view, findings);
    }
    let needs = attachments(view.site, view.name, view.host, &view.network);
    for need in &needs {
        let Some(switch) = view.site.switches.get(&need.cable.switch) else {
            let known = view.site.switches.keys().map(String::as_str);
            let name = &need.cable.switch;
            let text = format!("switch \"{name}\" does not exist{}", nearest::hint(name, known));
            findings.error("N180", at(view, need), text);
            continue;
        };
        port_name(view, need, switch, findings);
        carried(view, need, switch, findings);
        booting(view, need, switch, findings);
        frames(view, need, switch, findings);
    }
    bonds(view, &needs, findings);
    loops(view, &needs, findings);
}

/// Rule N166, where cables say that both ways end on switches.
fn loops(view: &HostView<'_>, needs: &[Attachment<'_>], findings: &mut Findings) {
    for bridge in view.network.links.values() {
        let Kind::Bridge(spec) = &bridge.kind else { continue };
        if spec.stp == Some(true) {
            continue;
        }
        let cabled = |port: &Link| {
            let nics = view.network.nics_below(port);
            needs.iter().find(|need| nics.iter().any(|nic| nic.name == need.nic))
        };
        let ends: Vec<(&Link, &Attachment<'_>)> = view
            .network
            .members(&bridge.name)
            .filter_map(|port| Some((port, cabled(port)?)))
            .collect();
        let [(one, first), (two, second), ..] = ends[..] else { continue };
        if first.nic == second.nic {
            // Rule N166 of the profile says so.
            continue;
        }
        let text = format!(
            "{}: {} ends on {} and {} on {}: the bridge closes a loop through the switches; use a bond, \
             or stp: true",
            bridge.name, one.name, first.cable, two.name, second.cable
        );
        findings.error("N166", at(view, second).and(port_of(first.cable)), text);
    }
}

fn at(view: &HostView<'_>, need: &Attachment<'_>) -> FindingSubject {
    view.at_link("nics", need.nic).and(port_of(need.cable))
}

/// The switch port that a cable ends at.
fn port_of(cable: &Cable) -> Location {
    Location::of::<Switch>(&cable.switch).at("ports").at(&cable.port)
}

/// Rule N118: a name that no port of the vendor has. It is written into the configuration as it is.
fn port_name(view: &HostView<'_>, need: &Attachment<'_>, switch: &Switch, findings: &mut Findings) {
    let port = need.cable.port.as_str();
    let (prefix, example) = match switch.vendor {
        Vendor::Eos => ("Ethernet", "Ethernet12 or Ethernet12/1"),
        Vendor::Nvue => ("swp", "swp12 or swp12s0"),
        Vendor::Sonic => ("Ethernet", "Ethernet48"),
    };
    let separator = if switch.vendor == Vendor::Nvue { 's' } else { '/' };
    let number =
        |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let rest = port.strip_prefix(prefix);
    let parts = rest.map(|rest| rest.split(separator).collect::<Vec<_>>());
    if !parts.is_some_and(|parts| parts.len() <= 3 && parts.into_iter().all(number)) {
        let text = format!(
            "\"{port}\" is not a port name of {} ({}): expected {example}",
            need.cable.switch, switch.vendor
        );
        findings.error("N118", at(view, need), text);
    }
}

/// Rule N114: a VLAN that the switch does not carry.
fn carried(view: &HostView<'_>, need: &Attachment<'_>, switch: &Switch, findings: &mut Findings) {
    if switch.vlans.is_empty() {
        return;
    }
    let native = need.untagged.subnet().and_then(|name| view.site.subnets.get(name)?.vlan);
    let mut needed = need.tagged.clone();
    native.into_iter().for_each(|id| needed.insert(id));
    let missing = needed.without(&switch.vlans);
    if !missing.is_empty() {
        let link = need.bond.as_ref().map_or(need.nic, |bond| bond.name.as_str());
        let text = format!(
            "{link} -> {}: {} does not carry VLAN {} (allowed: {})",
            need.cable,
            need.cable.switch,
            missing.joined(", "),
            switch.vlans.joined(", ")
        );
        findings.warn("N114", at(view, need), text);
    }
}

/// Rule N114 for a host without cables: a VLAN that no switch of its rack carries.
fn in_rack(view: &HostView<'_>, findings: &mut Findings) {
    let Some(rack) = view.host.rack.as_deref() else { return };
    let own = |switch: &&Switch| switch.rack.as_deref() == Some(rack);
    let mut carried = VlanIds::default();
    let mut switches = view.site.switches.values().filter(own).peekable();
    if switches.peek().is_none() {
        return;
    }
    for switch in switches {
        if switch.vlans.is_empty() {
            return;
        }
        carried.extend(&switch.vlans);
        switch.native_vlan.into_iter().for_each(|id| carried.insert(id));
    }
    for (link, id) in
        view.network.links.values().filter_map(|link| Some((&link.name, link.vlan_id()?)))
    {
        if !carried.contains(id) {
            let text = format!(
                "{link}: no switch of rack {rack} carries VLAN {id} (allowed: {})",
                carried.joined(", ")
            );
            findings.warn(
                "N114",
                FindingSubject::from(view.at("rack")).of_link(link.as_str()),
                text,
            );
        }
    }
}

/// Rule N172: firmware speaks no LACP and sends no tags.
fn booting(view: &HostView<'_>, need: &Attachment<'_>, switch: &Switch, findings: &mut Findings) {
    let Some(booting) = need.untagged.booting.as_deref().filter(|_| need.boots) else { return };
    let lacp = need.bond.as_ref().is_some_and(|bond| matches!(bond.mode, Bundling::Lacp { .. }));
    if lacp && switch.no_lacp_fallback {
        let text = format!(
            "{} -> {}: LACP without fallback: firmware speaks no LACP, so PXE would time out",
            need.nic, need.cable
        );
        findings.warn("N172", at(view, need), text);
    }
    let native = |name: &str| {
        let subnet = view.site.subnets.get(name)?;
        subnet.vlan.or(switch.native_vlan)
    };
    if let Some(running) = need.untagged.running.as_deref().filter(|name| *name != booting) {
        if native(running) != native(booting) {
            let text = format!(
                "{} -> {}: untagged packets belong to subnet \"{running}\", so firmware cannot \
                 reach \"{booting}\" to boot",
                need.nic, need.cable
            );
            findings.warn("N172", at(view, need), text);
        }
    } else if native(booting).is_none() {
        let text = format!(
            "{} -> {}: it boots in subnet \"{booting}\", whose VLAN is unknown: set vlan on the \
             subnet, or native-vlan on {}",
            need.nic, need.cable, need.cable.switch
        );
        findings.warn("N172", at(view, need), text);
    }
}

/// Rules N132 and N164: packets that the port drops, and those that shut it.
fn frames(view: &HostView<'_>, need: &Attachment<'_>, switch: &Switch, findings: &mut Findings) {
    let room = switch.mtu.is_none_or(|mtu| need.mtu + HEADROOM <= mtu);
    if !room || port_mtu(switch, need.mtu).is_none() {
        let has = switch.mtu.map_or_else(|| "is too small".into(), |mtu| format!("has {mtu}"));
        let text = format!(
            "{} has MTU {} and needs {} on {}, which {has}",
            need.nic,
            need.mtu,
            need.mtu + HEADROOM,
            need.cable
        );
        findings.warn("N132", at(view, need), text);
    }
    if let Some(bridge) = need.spanning_tree.as_deref().filter(|_| switch.guards_bpdus()) {
        let text = format!(
            "{bridge} runs spanning tree towards {}, which has BPDU guard and would shut down the port",
            need.cable
        );
        findings.error("N164", at(view, need), text);
    }
}

/// Rule N127: the members of a bond end where they can be one.
fn bonds(view: &HostView<'_>, needs: &[Attachment<'_>], findings: &mut Findings) {
    for (index, need) in needs.iter().enumerate() {
        let Some(bond) = &need.bond else { continue };
        let same =
            |other: &&Attachment<'_>| other.bond.as_ref().is_some_and(|b| b.name == bond.name);
        let Some(first) = needs[..index].iter().find(same) else { continue };
        let (here, there) = (&need.cable.switch, &first.cable.switch);
        let paired = view.site.switches.get(here).is_some_and(|switch| switch.mlag_peer.is_some());
        let ends_here = |other: &Attachment<'_>| other.cable.switch == *here;
        if paired && needs.iter().filter(same).all(ends_here) {
            let text = format!(
                "{}: all members end on {here}: the host is lost with that switch; cable one to its \
                 peer",
                bond.name
            );
            findings.warn("N127", at(view, need).and(port_of(first.cable)), text);
        }
        if here == there || bond.mode == Bundling::Apart {
            continue;
        }
        let peer = view.site.switches.get(here).and_then(|switch| switch.mlag_peer.as_ref());
        let text = |why: &str| format!("{}: members end on {there} and {here}, {why}", bond.name);
        let place = || at(view, need).and(port_of(first.cable));
        match bond.bond_mode {
            BondMode::BalanceRr => {
                let why = "balance-rr sends a flow's packets by both, out of order";
                findings.warn("N127", place(), text(why));
            }
            _ if peer == Some(there) => {}
            // Two systems at the other end: LACP keeps the members of one and leaves the rest idle.
            BondMode::Lacp => {
                findings.error("N127", place(), text("which are not an MLAG pair"));
            }
            _ => findings.warn("N127", place(), text("which are not an MLAG pair")),
        }
    }
}
