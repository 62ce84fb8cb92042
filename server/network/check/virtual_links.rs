//! Rules about veth pairs, MACVLANs, IPVLANs and the loopback. Pure.

use std::collections::BTreeMap;

use super::{Findings, ProfileView};
use crate::model::{Host, Mac, MacvlanMode};
use crate::network::links::{Kind, Link};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    pairs(view, findings);
    same_macs(view, findings);
    groups(view, findings);
    for link in view.network.links.values() {
        siblings(view, link, findings);
        forwarding(view, link, findings);
        match &link.kind {
            Kind::Macvlan(spec) => {
                parent(view, link, &spec.link, findings);
                let chooses = spec.mode == MacvlanMode::Source;
                if !chooses && !spec.source_macaddresses.is_empty() {
                    let text = format!(
                        "{}: source-macaddresses is only for mode source (mode is {})",
                        link.name, spec.mode
                    );
                    findings.error("N182", view.at(&link.name, "source-macaddresses"), text);
                    findings.suggest(view.path(&link.name, "mode"), MacvlanMode::Source);
                }
            }
            Kind::Ipvlan(spec) => {
                parent(view, link, &spec.link, findings);
                if link.settings.dhcp4 {
                    let text = format!(
                        "{} has the MAC of {}: DHCP would give both one address",
                        link.name, spec.link
                    );
                    findings.warn("N116", view.at(&link.name, "dhcp4"), text);
                }
            }
            Kind::Loopback => loopback(view, link, findings),
            _ => {}
        }
    }
}

/// Rule N104: a MAC that the profile writes down is that of every host which has the profile.
fn same_macs(view: &ProfileView<'_>, findings: &mut Findings) {
    let bears = |host: &&Host| host.profile.as_deref() == Some(view.name);
    let own = view
        .profile
        .links()
        .filter_map(|link| Some((link.name, link.settings.macaddress?.given()?)));
    let peers = view.profile.veths.iter();
    let peers = peers.filter_map(|(name, spec)| Some((name.as_str(), spec.peer_macaddress?)));
    let functions = view.profile.nics.iter().flat_map(|(name, nic)| {
        let functions = nic.sriov.iter().flat_map(|sriov| sriov.functions.values());
        functions.filter_map(move |function| Some((name.as_str(), function.macaddress?)))
    });
    let macs: Vec<(&str, Mac)> = own.chain(peers).chain(functions).collect();
    for (link, mac) in macs.iter().filter(|(_, mac)| mac.is_multicast() || mac.is_zero()) {
        let text = format!(
            "{mac} of {link} is not a valid MAC address: expected a non-zero unicast address"
        );
        findings.error("N104", view.at(link, "macaddress"), text);
    }
    let mut macs = macs.into_iter().peekable();
    if macs.peek().is_none() || view.site.hosts.values().filter(bears).take(2).count() < 2 {
        return;
    }
    for (link, mac) in macs {
        let text = format!("{mac} of {link} would be on every host that has the profile");
        findings.warn("N104", view.at(link, "macaddress"), text);
    }
}

/// Rule N104: a NIC takes packets for its own MAC by itself, and for another host's never.
fn groups(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.profile.links() {
        for mac in link.settings.multicast_macs.iter().filter(|mac| !mac.is_multicast()) {
            let text = format!(
                "{}: {mac} is not the MAC of a multicast group: expected one whose first byte is odd, \
                 such as 01:00:5e:00:00:05",
                link.name
            );
            findings.error("N104", view.at(link.name, "multicast-macs"), text);
        }
    }
}

/// Rule N182: a table of MACs where there is none.
fn forwarding(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let is_vxlan = matches!(link.kind, Kind::Vxlan { .. });
    let is_port = view.network.owner(link).is_some_and(|own| matches!(own.kind, Kind::Bridge(_)));
    for entry in &link.settings.forwarding {
        let text = if entry.destination.is_some() && !is_vxlan {
            "a destination is for a VXLAN"
        } else if !is_vxlan && !is_port {
            "the link is neither a VXLAN nor a port of a bridge"
        } else {
            continue;
        };
        let text = format!("{}: forwarding of {}: {text}", link.name, entry.macaddress);
        findings.error("N182", view.at(&link.name, "forwarding"), text);
    }
}

/// Rule N115: the two ends of a cable name each other, and nobody else.
fn pairs(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut named: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, spec) in &view.profile.veths {
        let at = || view.at(name, "peer");
        let text = if spec.peer == *name {
            format!("{name} names itself as its peer")
        } else if let Some(other) = named.insert(&spec.peer, name) {
            format!("{} is the peer of both {other} and {name}", spec.peer)
        } else if let Some(peer) = view.profile.veths.get(&spec.peer) {
            if peer.peer == *name {
                continue;
            }
            let text = format!("the peer of {name} is {}, whose peer is {}", spec.peer, peer.peer);
            findings.error("N115", at(), text);
            findings.suggest(view.path(&spec.peer, "peer"), name);
            continue;
        } else if view.profile.links().any(|link| link.name == spec.peer) {
            format!("the peer of {name} is {}, which is not a veth", spec.peer)
        } else {
            continue;
        };
        findings.error("N115", at(), text);
    }
}

/// Rule N112: what is in a bond or bridge gives all its packets to that.
fn parent(view: &ProfileView<'_>, link: &Link, parent: &str, findings: &mut Findings) {
    let Some(owner) = view.network.links.get(parent).and_then(|lower| view.network.owner(lower))
    else {
        return;
    };
    let text = format!(
        "{}: its parent {parent} is in {owner}, which takes all its packets; put it on {owner}",
        link.name,
        owner = owner.name
    );
    findings.error("N112", view.at(&link.name, "link"), text);
    findings.suggest(view.path(&link.name, "link"), &owner.name);
}

/// Rule N116: links that the kernel does not allow on one link together.
fn siblings(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let children: Vec<&Link> = view.network.children(&link.name).collect();
    let mode = |child: &&Link| match &child.kind {
        Kind::Ipvlan(spec) => Some((child.name.clone(), spec.mode)),
        _ => None,
    };
    let ipvlans: Vec<_> = children.iter().filter_map(mode).collect();
    let macvlans = || children.iter().filter(|child| matches!(child.kind, Kind::Macvlan(_)));
    if let (Some((ipvlan, _)), Some(macvlan)) = (ipvlans.first(), macvlans().next()) {
        let text = format!(
            "{} cannot carry the IPVLAN {ipvlan} and the MACVLAN {} at once",
            link.name, macvlan.name
        );
        findings.error("N116", view.at(ipvlan, "link"), text);
    }
    if let Some((first, rest)) = ipvlans.split_first() {
        for (name, mode) in rest.iter().filter(|(_, mode)| *mode != first.1) {
            let text = format!(
                "{name} has mode {mode} and {} has {}: all IPVLANs on {} must have one mode",
                first.0, first.1, link.name
            );
            findings.error("N116", view.at(name, "mode"), text);
            findings.suggest(view.path(name, "mode"), first.1);
        }
    }
    let is_alone = |child: &&&Link| matches!(&child.kind, Kind::Macvlan(spec) if spec.mode == MacvlanMode::Passthru);
    if let Some(alone) = macvlans().find(is_alone).filter(|_| macvlans().count() > 1) {
        let text = format!(
            "{} takes all of {} (passthru): nothing else can be on it",
            alone.name, link.name
        );
        findings.error("N116", view.at(&alone.name, "mode"), text);
    }
}

/// Rule N101: there is one loopback. A subnet's address is alone on it, without the prefix.
fn loopback(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    if link.name != "lo" {
        let text = format!("\"{}\" is not a loopback: Linux has one, named lo", link.name);
        findings.error("N101", view.at(&link.name, ""), text);
    }
}
