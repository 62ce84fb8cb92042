//! Rules about VXLAN tunnels. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Findings, ProfileView, reach};
use crate::model::{Millis, TunnelMode, TunnelSpec, WireguardSpec};
use crate::network::links::{Kind, Link};
use crate::network::{Wireguard, WireguardPeer, nearest};

/// The port of VXLAN (RFC 7348 section 5).
const PORT: u16 = 4789;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut taken: BTreeMap<(u32, u16), &str> = BTreeMap::new();
    for link in view.network.links.values() {
        vxlan(view, link, findings);
        without_ethernet(view, link, findings);
        if let Kind::Wireguard { spec, wireguard } = &link.kind {
            self::wireguard(view, link, spec, wireguard, findings);
            continue;
        }
        if let Kind::Tunnel { spec, local } = &link.kind {
            between_hosts(view, link, spec, findings);
            far_end(view, link, spec.remote, *local, findings);
            continue;
        }
        let Kind::Vxlan { spec, local } = &link.kind else { continue };
        if let Some(other) = taken.insert((spec.vni, spec.port.unwrap_or(PORT)), &link.name) {
            let text = format!(
                "{other} and {} both have VNI {} on one port; the kernel makes only one of them",
                link.name, spec.vni
            );
            findings.error("N113", view.at(&link.name, "vni"), text);
        }
        if let Some(remote) = spec.remote {
            far_end(view, link, remote, *local, findings);
        }
    }
}

/// Rule N182: what carries IP without Ethernet has no MAC.
fn without_ethernet(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let is_bare = match &link.kind {
        Kind::Tunnel { spec, .. } => spec.mode != TunnelMode::Geneve,
        Kind::Wireguard { .. } => true,
        _ => false,
    };
    if is_bare && link.settings.macaddress.is_some() {
        let text = format!("{} carries IP without Ethernet and has no MAC", link.name);
        findings.error("N182", view.at(&link.name, "macaddress"), text);
        findings.suggest(view.path(&link.name, "macaddress"), "");
    }
}

/// Rule N242: one network is behind one peer, and somebody must call.
fn wireguard(
    view: &ProfileView<'_>,
    link: &Link,
    spec: &WireguardSpec,
    wireguard: &Wireguard,
    findings: &mut Findings,
) {
    let mut error = |key: &str, text: String| {
        let text = format!("{}: {text}", link.name);
        findings.error("N242", view.at(&link.name, key), text);
    };
    if let Some(fault) = view.site.keyring().fault() {
        error("", format!("its key cannot be derived: {fault}"));
    }
    if spec.listen_port == Some(0) {
        error(
            "listen-port",
            "port 0 does not exist; leave it out for one that the kernel chooses".into(),
        );
    }
    if let Some(name) = &spec.link {
        match view.network.links.get(name) {
            None => {
                let hint = nearest::hint(name, view.network.links.keys().map(String::as_str));
                error("link", format!("link \"{name}\" does not exist{hint}"));
            }
            Some(_) if *name == link.name => {
                error("link", "it cannot be called at its own address".into())
            }
            Some(_) if spec.listen_port.is_none() => {
                error(
                    "link",
                    "others cannot call it at a port that the kernel chooses: set listen-port"
                        .into(),
                );
            }
            Some(_) => {}
        }
    }
    if let Some(owner) = view.network.owner(link) {
        error("", format!("it carries IP without Ethernet and cannot be in {}", owner.name));
    }
    if spec.mesh.is_some() && spec.hub.is_some() {
        error("mesh", "mesh and hub exclude each other; remove one".into());
    }
    if spec.mesh.is_none() && spec.hub.is_none() && spec.peers.is_empty() {
        error("peers", "no peer: set mesh, hub or peers".into());
    }
    if let Some(hub) = spec.hub.as_ref().filter(|hub| !view.site.hosts.contains_key(*hub)) {
        let hint = nearest::hint(hub, view.site.hosts.keys().map(String::as_str));
        error("hub", format!("host \"{hub}\" does not exist{hint}"));
    }
    let is_whole =
        |time: &Millis| time.0.is_multiple_of(1000) && (1000..=65_535_000).contains(&time.0);
    for time in spec.keepalive.iter().filter(|time| !is_whole(time)) {
        error("keepalive", format!("keepalive {time} must be 1 to 65535 whole seconds"));
    }
    for peer in &spec.peers {
        for time in peer.keepalive.iter().filter(|time| !is_whole(time)) {
            error("peers", format!("keepalive {time} must be 1 to 65535 whole seconds"));
        }
        if peer.endpoint.is_none() && spec.listen_port.is_none() {
            let key = &peer.public_key;
            error(
                "peers",
                format!("peer {key} has no endpoint, and no listen-port is set: neither can call"),
            );
        }
    }
    if spec.mesh.is_some() || spec.hub.is_some() || !spec.peers.is_empty() {
        size(view, link, spec, wireguard, findings);
    }
    let mut error = |key: &str, text: String| {
        let text = format!("{}: {text}", link.name);
        findings.error("N242", view.at(&link.name, key), text);
    };
    let mut keys = BTreeSet::new();
    let mut behind: BTreeMap<IpNet, String> = BTreeMap::new();
    for peer in &wireguard.peers {
        let name = peer.host.clone().unwrap_or_else(|| format!("peer {}", peer.public_key));
        if !keys.insert(&peer.public_key) {
            error("peers", format!("{name} is listed twice"));
        }
        if peer.allowed_ips.is_empty() {
            error("peers", format!("{name} has no allowed-ips, so nothing is sent to it"));
        }
        for net in &peer.allowed_ips {
            if let Some(other) = behind.insert(*net, name.clone()) {
                error("peers", format!("{net} is behind {other} and behind {name}"));
            }
        }
    }
}

/// Rule N242: what WireGuard adds has to fit as well. The kernel cuts a packet in two that does not,
/// and many routers on the way drop such parts.
fn size(
    view: &ProfileView<'_>,
    link: &Link,
    spec: &WireguardSpec,
    wireguard: &Wireguard,
    findings: &mut Findings,
) {
    let below = spec.link.as_ref().and_then(|name| view.network.links.get(name));
    let (whose, least) = match below {
        Some(below) => (below.name.as_str(), below.settings.mtu),
        None => ("a link by which it leaves", view.network.mtu_of_ways(link)),
    };
    let Some((mtu, least)) = link.settings.mtu.zip(least) else { return };
    // The outer IP and UDP headers, and 32 bytes of WireGuard's own.
    let is_ipv6 = |peer: &WireguardPeer| peer.endpoint.iter().any(|end| end.starts_with('['));
    let overhead = if wireguard.peers.iter().any(is_ipv6) { 80 } else { 60 };
    if mtu + overhead > least {
        let text = format!(
            "{}: MTU {mtu} needs {} on {whose}, which has {least}: every large packet is cut in two",
            link.name,
            mtu + overhead
        );
        findings.warn("N242", view.at(&link.name, "mtu"), text);
        findings.suggest(view.path(&link.name, "mtu"), least.saturating_sub(overhead));
    }
}

/// Rule N113 for GRE, IPIP, SIT and Geneve: what each can wrap, and an address to leave from.
fn between_hosts(view: &ProfileView<'_>, link: &Link, spec: &TunnelSpec, findings: &mut Findings) {
    let mut error = |key: &str, text: String| {
        let text = format!("{}: {text}", link.name);
        findings.error("N113", view.at(&link.name, key), text);
    };
    let is_geneve = spec.mode == TunnelMode::Geneve;
    if spec.remote.is_multicast() {
        error("remote", format!("{} is a group; a tunnel has one other end", spec.remote));
    }
    if spec.remote.is_ipv6() && !is_geneve {
        error("remote", format!("{} tunnels go through IPv4, not to {}", spec.mode, spec.remote));
    }
    if spec.ttl == Some(0) {
        error("ttl", "ttl 0 never arrives; leave it out, or set 1 to 255".into());
    }
    match (spec.mode, spec.id) {
        (TunnelMode::Geneve, None) => error("id", "Geneve needs an id, 0 to 16777215".into()),
        (TunnelMode::Geneve, Some(id)) if id >= 1 << 24 => {
            error("id", format!("id {id} is outside 0-16777215"));
        }
        (TunnelMode::Ipip | TunnelMode::Sit, Some(_)) => {
            error("id", format!("{} has no key; remove id", spec.mode));
        }
        _ => {}
    }
    let wraps = |is_ipv4: bool| match spec.mode {
        TunnelMode::Gre | TunnelMode::Geneve => true,
        TunnelMode::Ipip => is_ipv4,
        TunnelMode::Sit => !is_ipv4,
    };
    for net in link.all_addresses().filter(|net| !wraps(net.addr().is_ipv4())) {
        error("", format!("{} cannot carry {net}", spec.mode));
    }
    let in_bridge = view.network.owner(link);
    if let Some(owner) = in_bridge.filter(|_| !is_geneve) {
        error(
            "",
            format!("{} carries IP without Ethernet and cannot be in {}", spec.mode, owner.name),
        );
    }
    let below = view.network.links.get(&spec.link);
    let has_address = |below: &Link| {
        !(below.layer3.borne.is_empty() && below.layer3.shared.is_empty() && !below.settings.dhcp4)
    };
    if below.is_some_and(|below| !has_address(below)) {
        error("link", format!("{} has no address to use as the source of the tunnel", spec.link));
    }
}

/// Rule N113 for where a tunnel leads.
fn far_end(
    view: &ProfileView<'_>,
    link: &Link,
    remote: IpAddr,
    local: Option<IpAddr>,
    findings: &mut Findings,
) {
    let below = link.parent().and_then(|name| view.network.links.get(name));
    let is_main = below.is_some_and(|below| view.network.domain(below).is_none());
    let family = |address: IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
    if let Some(local) = local.filter(|local| local.is_ipv4() != remote.is_ipv4()) {
        let text = format!(
            "{}: remote {remote} is {}, but {}, by whose address the tunnel leaves, has {}",
            link.name,
            family(remote),
            link.parent().unwrap_or_default(),
            family(local)
        );
        findings.error("N113", view.at(&link.name, "remote"), text);
    } else if !remote.is_multicast() && is_main && !reach::reaches(view, remote) {
        let text = format!(
            "{}: remote {remote} is unreachable: it is outside the host's subnets, and no route leads \
             to it",
            link.name
        );
        findings.warn("N113", view.at(&link.name, "remote"), text);
    }
}

/// Rule N113: the 24 bits of the network identifier (RFC 7348 section 5), and an address
/// to leave from.
fn vxlan(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let Kind::Vxlan { spec, .. } = &link.kind else { return };
    if !(1..1 << 24).contains(&spec.vni) {
        let text = format!("{}: VNI {} is outside 1-16777215", link.name, spec.vni);
        findings.error("N113", view.at(&link.name, "vni"), text);
    }
    let group = spec.remote.filter(|remote| remote.is_multicast());
    if let Some(group) = group.filter(|_| view.network.is_independent(link)) {
        let text = format!(
            "{}: the kernel joins group {group} on a link that sends, which {} does not; use a link \
             with a carrier, or unicast",
            link.name, spec.link
        );
        findings.error("N113", view.at(&link.name, "link"), text);
    }
    let below = view.network.links.get(&spec.link);
    if below.is_some_and(|below| view.network.owner(below).is_some()) {
        let text =
            format!("{}: {} is in a bond or bridge and has no address", link.name, spec.link);
        findings.error("N112", view.at(&link.name, "link"), text);
    } else if below.is_some_and(|below| {
        below.layer3.borne.is_empty() && below.layer3.shared.is_empty() && !below.settings.dhcp4
    }) {
        let text = format!(
            "{}: {} has no address to use as the source of the tunnel",
            link.name, spec.link
        );
        findings.error("N113", view.at(&link.name, "link"), text);
    }
}
