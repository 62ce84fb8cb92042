//! Rules about BGP from the host: numbers, neighbours and what is announced. Pure.

use std::collections::HashSet;

use super::{Findings, ProfileView};
use crate::model::{
    Announcement, BgpNeighbor, BgpSpec, BgpTimers, Family, Location, Millis, Redistribution,
    RemoteAs, check_link_name,
};
use crate::network::links::{Kind, Link, Role};
use crate::network::nearest;

/// FRR is built for no more.
const MOST_PATHS: u16 = 128;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    let Some(bgp) = &view.profile.bgp else { return };
    numbers(view, bgp, findings);
    redistributed(view, bgp, findings);
    route_maps(view, bgp, findings);
    evpn(view, bgp, findings);
    router_id(view, bgp, findings);
    if bgp.neighbors.is_empty() {
        let text = "no neighbour is set, so nothing is announced";
        findings.error("N203", place(view, "neighbors"), text.into());
    }
    let mut seen = HashSet::new();
    for neighbor in &bgp.neighbors {
        let at = || place(view, "neighbors");
        if !seen.insert((&neighbor.link, neighbor.address, neighbor.range)) {
            findings.error("N203", at(), "this neighbour is listed twice".into());
        }
        if let Some(text) = neighbor_mistake(view, neighbor) {
            findings.error("N203", at(), text);
        } else if let Some(text) = neighbor_doubt(view, neighbor) {
            findings.warn("N203", at(), text);
        }
        if let RemoteAs::Number(number) = neighbor.remote_as
            && let Some(why) = unusable(number)
        {
            findings.error("N201", at(), format!("remote-as {number} {why}"));
        }
    }
    for announcement in &bgp.announce {
        if let Some(text) = announced(view, announcement) {
            findings.error("N204", place(view, "announce"), text);
        }
    }
}

fn place(view: &ProfileView<'_>, key: &str) -> Location {
    view.within(["bgp", key])
}

/// Why a number is not an autonomous system's (RFC 7607, RFC 4893, RFC 7300).
fn unusable(asn: u32) -> Option<&'static str> {
    match asn {
        0 | 65535 | u32::MAX => Some("is reserved; use 4200000000 to 4294967294"),
        23456 => Some("is reserved as a placeholder for numbers above 65535 (RFC 6793)"),
        _ => None,
    }
}

/// Rule N206: each source once, and within networks that are not everything.
fn redistributed(view: &ProfileView<'_>, bgp: &BgpSpec, findings: &mut Findings) {
    let mut seen = HashSet::new();
    for Redistribution { from, within } in &bgp.redistribute {
        let mut error = |text: String| {
            findings.error("N206", place(view, "redistribute"), text);
        };
        if !seen.insert(*from) {
            error(format!("{from} is listed twice; put its networks into one within"));
        }
        if within.is_empty() {
            error(format!("{from} names no network, so nothing is announced; set within"));
        }
        for net in within.iter().filter(|net| net.prefix_len() == 0) {
            error(format!("{net} is every address: name the networks of the guests"));
        }
    }
}

/// Rule N208: names of lists of rules, and what they cannot say.
fn route_maps(view: &ProfileView<'_>, bgp: &BgpSpec, findings: &mut Findings) {
    for (name, rules) in &bgp.route_maps {
        let mut error = |text: String| findings.error("N208", place(view, "route-maps"), text);
        if check_link_name(name).is_err() {
            error(format!("\"{name}\" is not a name: use letters, digits, - and _, 15 at most"));
        }
        for count in rules.iter().filter_map(|rule| rule.prepend) {
            if !(1..=10).contains(&count) {
                error(format!("{name}: prepend {count} must be 1 to 10"));
            }
        }
    }
    for neighbor in &bgp.neighbors {
        let named = [&neighbor.inbound, &neighbor.outbound].into_iter().flatten();
        for name in named.filter(|name| !bgp.route_maps.contains_key(*name)) {
            let hint = nearest::hint(name, bgp.route_maps.keys().map(String::as_str));
            let text = format!("route-map \"{name}\" does not exist{hint}");
            findings.error("N208", place(view, "neighbors"), text);
        }
    }
}

/// Rule N209: EVPN needs VXLANs that leave the learning of MACs to it, and VRFs that exist.
fn evpn(view: &ProfileView<'_>, bgp: &BgpSpec, findings: &mut Findings) {
    let Some(evpn) = &bgp.evpn else { return };
    let tunnels = || {
        view.network.links.values().filter_map(|link| match &link.kind {
            Kind::Vxlan { spec, .. } if spec.remote.is_none() => Some((link, spec)),
            _ => None,
        })
    };
    if tunnels().next().is_none() {
        let text = "no VXLAN without a remote takes part in EVPN; add one to vxlans";
        findings.error("N209", place(view, "evpn"), text.into());
    }
    for (link, _) in tunnels().filter(|(_, spec)| spec.mac_learning != Some(false)) {
        let text = format!(
            "{}: with EVPN, MACs are told by BGP; packets must not teach others: set mac-learning: \
             false",
            link.name
        );
        findings.warn("N209", view.at(&link.name, "mac-learning"), text);
        findings.suggest(view.path(&link.name, "mac-learning"), false);
    }
    for one in &evpn.vrfs {
        let kind = |name: &str| view.network.links.get(name).map(|link| &link.kind);
        let text = match (kind(&one.vrf), kind(&one.vxlan)) {
            (Some(Kind::Vrf(_)), Some(Kind::Vxlan { .. })) => continue,
            (Some(Kind::Vrf(_)), _) => format!("\"{}\" is not a VXLAN of the profile", one.vxlan),
            _ => format!("\"{}\" is not a VRF of the profile", one.vrf),
        };
        findings.error("N209", place(view, "evpn"), text);
    }
}

/// Rules N201, N205 and N207.
fn numbers(view: &ProfileView<'_>, bgp: &BgpSpec, findings: &mut Findings) {
    if let Some(why) = unusable(bgp.asn) {
        findings.error("N201", place(view, "asn"), format!("asn {} {why}", bgp.asn));
    }
    if let Some(paths) = bgp.max_paths.filter(|paths| !(1..=MOST_PATHS).contains(paths)) {
        let text = format!("max-paths {paths} must be 1 to {MOST_PATHS}");
        findings.error("N205", place(view, "max-paths"), text);
    }
    if let Some(text) = bgp.timers.and_then(timer_mistake) {
        findings.error("N207", place(view, "timers"), text);
    }
    let of_neighbors = bgp.neighbors.iter().filter_map(|neighbor| neighbor.timers);
    for text in of_neighbors.filter_map(timer_mistake) {
        findings.error("N207", place(view, "neighbors"), text);
    }
}

/// What is wrong with timers (RFC 4271 section 4.2): whole seconds in two bytes, and a sign of life
/// within the hold time.
fn timer_mistake(BgpTimers { keepalive, hold }: BgpTimers) -> Option<String> {
    let is_whole = |time: Millis| time.0.is_multiple_of(1000);
    if !is_whole(keepalive) || !is_whole(hold) {
        return Some("timers are whole seconds".into());
    }
    let (keepalive, hold) = (keepalive.0 / 1000, hold.0 / 1000);
    if !(3..=65_535).contains(&hold) {
        return Some(format!("hold {hold} s must be 3 to 65535 s (RFC 4271)"));
    }
    (keepalive == 0 || keepalive >= hold)
        .then(|| format!("keepalive {keepalive} s must be less than hold {hold} s, and not zero"))
}

/// Rule N202: two routers with one identifier do not speak to each other.
fn router_id(view: &ProfileView<'_>, bgp: &BgpSpec, findings: &mut Findings) {
    if view.network.bgp.as_ref().is_some_and(|bgp| bgp.router_id.is_some()) {
        return;
    }
    let names = || view.network.links.keys().map(String::as_str);
    let text = match &bgp.router_id {
        Some(name) if !view.network.links.contains_key(name) => {
            format!("link \"{name}\" does not exist{}", nearest::hint(name, names()))
        }
        Some(name) => format!("{name} has no IPv4 address of its own"),
        None => {
            "no link has an IPv4 address of its own; give the loopback one from a subnet".into()
        }
    };
    findings.error("N202", place(view, "router-id"), text);
}

fn neighbor_mistake(view: &ProfileView<'_>, neighbor: &BgpNeighbor) -> Option<String> {
    let name = match (&neighbor.link, neighbor.address, neighbor.range) {
        (Some(name), None, None) => name,
        (None, None, Some(net)) if net.prefix_len() == 0 => {
            return Some(format!("{net} is every address: name the network of the routers"));
        }
        (None, None, Some(_)) => return None,
        (None, Some(address), None) => {
            let own = view.network.links.values().flat_map(Link::all_addresses);
            let is_own = own.map(|net| net.addr()).any(|own| own == address);
            return is_own.then(|| format!("{address} is the host's own address"));
        }
        _ => return Some("a neighbour needs one of link, address and range".into()),
    };
    let Some(link) = view.network.links.get(name) else {
        let names = view.network.links.keys().map(String::as_str);
        return Some(format!("link \"{name}\" does not exist{}", nearest::hint(name, names)));
    };
    if let Some(owner) = view.network.owner(link) {
        let owner = &owner.name;
        return Some(format!("{name} is in {owner}; the neighbour is at the other end of {owner}"));
    }
    if link.role == Role::Unmanaged {
        return Some(format!("{name} is unmanaged, so no neighbour can be reached on it"));
    }
    let local = view.network.link_local(link);
    let silent = local.is_some_and(|families| !families.contains(&Family::Ipv6));
    silent.then(|| format!("{name} has no IPv6 link-local address to reach the neighbour"))
}

fn neighbor_doubt(view: &ProfileView<'_>, neighbor: &BgpNeighbor) -> Option<String> {
    if let Some(address) = neighbor.address {
        let mut nets = view.network.links.values().flat_map(Link::all_addresses);
        let learns = view.network.links.values().any(|link| link.settings.dhcp4);
        let far = !learns && !nets.any(|net| net.contains(&address));
        return far.then(|| {
            format!("{address} is outside the host's subnets: it is more than one hop away")
        });
    }
    let link = view.network.links.get(neighbor.link.as_deref()?)?;
    (!view.network.has_known_name(link)).then(|| {
        let name = &link.name;
        format!(
            "FRR refers to the NIC as {name}, which the kernel may name differently; set set-name, or match: name"
        )
    })
}

/// Rule N204: what is announced must end here.
fn announced(view: &ProfileView<'_>, announcement: &Announcement) -> Option<String> {
    match announcement {
        Announcement::Link(name) => match view.network.links.get(name) {
            Some(link) if link.announceable().next().is_some() => None,
            Some(link) if link.all_addresses().next().is_some() => Some(format!(
                "{name} has only addresses with role dsr: the load balancer announces those, and \
                 the host must not attract their packets"
            )),
            Some(_) => Some(format!("{name} has no address to announce")),
            None => {
                let names = view.network.links.keys().map(String::as_str);
                Some(format!("link \"{name}\" does not exist{}", nearest::hint(name, names)))
            }
        },
        Announcement::Prefix(prefix) => {
            let mut nets = view.network.links.values().flat_map(Link::announceable);
            let borne = nets.any(|net| net.trunc() == prefix.trunc());
            (!borne).then(|| {
                format!("no link has {prefix}: the host would attract packets to it and drop them")
            })
        }
    }
}
