//! Rule N242 for one host among the others: whether its links of WireGuard find anybody, and what they
//! lead away. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{FindingSubject, Findings, HostView};
use crate::model::{Host, Location, WireguardSpec};
use crate::network::links::{Kind, Link};
use crate::network::{Wireguard, WireguardPeer};

pub(super) fn check(view: &HostView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        let Kind::Wireguard { spec, wireguard } = &link.kind else { continue };
        calls(view, link, spec, wireguard, findings);
        behind(view, link, spec, wireguard, findings);
        led_away(view, link, wireguard, findings);
    }
}

fn place(view: &HostView<'_>, link: &Link) -> FindingSubject {
    FindingSubject::from(Location::of::<Host>(view.name)).of_link(link.name.as_str())
}

/// Of two peers one calls the other, so one of them can be called.
fn calls(
    view: &HostView<'_>,
    link: &Link,
    spec: &WireguardSpec,
    wireguard: &Wireguard,
    findings: &mut Findings,
) {
    let name = &link.name;
    if let Some(hub) = spec.hub.as_ref().filter(|hub| *hub != view.name)
        && view.site.hosts.contains_key(hub)
        && !wireguard.peers.iter().any(|peer| peer.host.as_ref() == Some(hub))
    {
        let text = format!("{name}: the hub {hub} has no WireGuard link named {name}");
        findings.error("N242", place(view, link), text);
    }
    if let Some(label) = spec.mesh.as_ref().and_then(|mesh| mesh.label.as_ref())
        && !view.site.hosts.values().any(|host| host.labels.contains(label))
    {
        let text = format!("{name}: no host has the label \"{label}\" of its mesh");
        findings.warn("N242", place(view, link), text);
    }
    let is_called = spec.endpoint.is_some() || (spec.link.is_some() && spec.listen_port.is_some());
    let is_hub = spec.hub.as_deref() == Some(view.name);
    let lost = |peer: &&WireguardPeer| !is_called && peer.host.is_some() && peer.endpoint.is_none();
    let apart: Vec<&str> =
        wireguard.peers.iter().filter(lost).filter_map(|peer| peer.host.as_deref()).collect();
    if apart.is_empty() {
        return;
    }
    let fix = "set link and listen-port, or endpoint, on one of the two";
    if apart.len() == wireguard.peers.len() {
        let whom = apart.join(", ");
        let text = format!("{name}: neither {} nor {whom} can be called: {fix}", view.name);
        // Its spokes say the same, each of itself.
        if !is_hub {
            findings.error("N242", place(view, link), text);
        }
        return;
    }
    for other in apart.into_iter().filter(|other| view.name < *other) {
        let text = format!(
            "{name}: {} and {other} never meet, because neither can be called: {fix}",
            view.name
        );
        findings.warn("N242", place(view, link), text);
    }
}

/// A hub sends what is for a network to one spoke.
fn behind(
    view: &HostView<'_>,
    link: &Link,
    spec: &WireguardSpec,
    wireguard: &Wireguard,
    findings: &mut Findings,
) {
    if spec.hub.as_deref() != Some(view.name) {
        return;
    }
    let mut taken: BTreeMap<IpNet, &str> = BTreeMap::new();
    for peer in wireguard.peers.iter() {
        let name = peer.host.as_deref().unwrap_or(&peer.public_key);
        for net in &peer.allowed_ips {
            if let Some(other) = taken.insert(*net, name) {
                let text = format!("{}: {net} is behind {other} and behind {name}", link.name);
                findings.error("N242", place(view, link), text);
            }
        }
    }
}

/// What the host reaches by another link is not led into the tunnel: a network that it has an address
/// in, and where it calls its peers.
fn led_away(view: &HostView<'_>, link: &Link, wireguard: &Wireguard, findings: &mut Findings) {
    let connected: Vec<(&str, IpNet)> = view
        .network
        .links
        .values()
        .filter(|other| other.name != link.name)
        .flat_map(|other| other.all_addresses().map(|net| (other.name.as_str(), net.trunc())))
        .filter(|(_, net)| net.prefix_len() < net.max_prefix_len())
        .collect();
    let nets = || {
        let of_peer = |peer: &'_ WireguardPeer| {
            let name = peer.host.clone().unwrap_or_else(|| format!("peer {}", peer.public_key));
            peer.allowed_ips.iter().map(move |net| (name.clone(), *net)).collect::<Vec<_>>()
        };
        wireguard.peers.iter().flat_map(of_peer).filter(|(_, net)| net.prefix_len() > 0)
    };
    for (peer, net) in nets() {
        if let Some((other, _)) = connected.iter().find(|(_, own)| *own == net) {
            let text = format!(
                "{}: {net} is behind {peer}, and is the network of {other}: it would be led into the tunnel",
                link.name
            );
            findings.error("N242", place(view, link), text);
        }
    }
    for peer in &wireguard.peers {
        let Some(endpoint) = peer.endpoint.as_ref() else { continue };
        let Ok(end) = endpoint.parse::<SocketAddr>() else { continue };
        let longest = |nets: &mut dyn Iterator<Item = IpNet>| longest_match(nets, end.ip());
        let within = longest(&mut nets().map(|(_, net)| net));
        let near = longest(&mut connected.iter().map(|(_, net)| *net));
        if within.is_some() && within > near {
            let text = format!(
                "{}: it would call {endpoint} through itself, because that is behind a peer",
                link.name
            );
            findings.error("N242", place(view, link), text);
        }
    }
}

/// The length of the longest prefix that an address is in.
fn longest_match(nets: &mut dyn Iterator<Item = IpNet>, address: IpAddr) -> Option<u8> {
    nets.filter(|net| net.contains(&address)).map(|net| net.prefix_len()).max()
}
