//! Writes a host's BGP for FRR (frr.conf, daemons), in the vocabulary of FRR 8.4 (Debian 12). Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ipnet::IpNet;

use super::bgp::{Bgp, Neighbor, Peer, RoutedVni};
use super::links::HostNetwork;
use super::{File, Format};
use crate::model::{BgpTimers, Community, Redistribution, RouteMapRule, RouteVerdict};

/// FRR's files; none for a host that speaks no BGP.
pub(super) fn render(host: &HostNetwork) -> Vec<File> {
    let Some(bgp) = &host.bgp else { return Vec::new() };
    let has_password = bgp.neighbors.iter().any(|neighbor| neighbor.password.is_some());
    // FRR's programs read it as root, and run as others.
    let mode = if has_password { 0o600 } else { 0o644 };
    vec![
        File::of(Format::Frr, "daemons", daemons(host, bgp)),
        File { mode, ..File::of(Format::Frr, "frr.conf", configuration(host, bgp)) },
    ]
}

/// Which of FRR's programs run. Their doors for people are open to this host alone.
fn daemons(host: &HostNetwork, bgp: &Bgp) -> String {
    let mut text = format!("# {}\nbgpd=yes\n", host.origin());
    if bgp.has_bfd() {
        text.push_str("bfdd=yes\n");
    }
    text.push_str("vtysh_enable=yes\nzebra_options=\"-A 127.0.0.1 -s 90000000\"\n");
    text.push_str("bgpd_options=\"-A 127.0.0.1\"\n");
    if bgp.has_bfd() {
        text.push_str("bfdd_options=\"-A 127.0.0.1\"\n");
    }
    text
}

fn configuration(host: &HostNetwork, bgp: &Bgp) -> String {
    let mut text = format!("! {}\n", host.origin());
    // Timers of 3 s and 9 s, in place of 60 s and 180 s.
    text.push_str("frr defaults datacenter\n");
    let _ = writeln!(text, "hostname {}", host.host);
    text.push_str("service integrated-vtysh-config\nlog syslog informational\n!\n");
    for RoutedVni { vrf, vni } in bgp.evpn.iter().flat_map(|evpn| &evpn.vrfs) {
        let _ = writeln!(text, "vrf {vrf}\n vni {vni}\nexit-vrf\n!");
    }
    if !bgp.redistributed.is_empty() {
        // Only of the host's own routes the path is empty.
        text.push_str("bgp as-path access-list own seq 5 permit ^$\n!\n");
    }
    for (name, rules) in &bgp.route_maps {
        route_map(&mut text, bgp, name, rules);
    }
    for is_ipv4 in [true, false] {
        for redistribution in &bgp.redistributed {
            guard(&mut text, redistribution, is_ipv4);
        }
        prefixes(&mut text, bgp, is_ipv4);
        filter(&mut text, bgp, is_ipv4, None);
        for outbound in outbounds(bgp) {
            filter(&mut text, bgp, is_ipv4, Some(outbound));
        }
    }
    text.push_str("route-map accept permit 10\nexit\n!\n");
    sources(&mut text, bgp);
    router(&mut text, bgp);
    for RoutedVni { vrf, .. } in bgp.evpn.iter().flat_map(|evpn| &evpn.vrfs) {
        routed_domain(&mut text, bgp, vrf);
    }
    text
}

/// The lists of rules that some neighbour's announcements go through, each once.
fn outbounds(bgp: &Bgp) -> BTreeSet<&str> {
    bgp.neighbors.iter().filter_map(|neighbor| neighbor.outbound.as_deref()).collect()
}

/// FRR's name for an operator's list of rules: never that of one of ours.
fn own_name(name: &str) -> String {
    format!("own-{name}")
}

/// An operator's rules. A rule with networks of both IP versions becomes two.
fn route_map(text: &mut String, bgp: &Bgp, name: &str, rules: &[RouteMapRule]) {
    let map = own_name(name);
    if rules.is_empty() {
        let _ = writeln!(text, "route-map {map} deny 10\nexit\n!");
    }
    let mut order = 0;
    for (place, rule) in rules.iter().enumerate() {
        let list = format!("{map}-{place}");
        if let Some(community) = &rule.community {
            let large = if community.is_large() { "large-" } else { "" };
            let _ = writeln!(
                text,
                "bgp {large}community-list standard {list} seq 5 permit {community}"
            );
        }
        let mut matched: Vec<String> = Vec::new();
        for (ip, is_ipv4, longest) in [("ip", true, 32), ("ipv6", false, 128)] {
            let nets = rule.prefixes.iter().filter(|net| net.addr().is_ipv4() == is_ipv4);
            let mut has_some = false;
            for (number, net) in (1..).zip(nets) {
                has_some = true;
                let longer = longer(net, longest);
                let net = net.trunc();
                let _ = writeln!(
                    text,
                    "{ip} prefix-list {list} seq {} permit {net}{longer}",
                    number * 5
                );
            }
            if has_some {
                matched.push(format!(" match {ip} address prefix-list {list}\n"));
            }
        }
        if rule.prefixes.is_empty() {
            matched.push(String::new());
        }
        for matched in matched {
            order += 10;
            let _ = write!(text, "route-map {map} {} {order}\n{matched}", rule.action);
            if let Some(community) = &rule.community {
                let large = if community.is_large() { "large-" } else { "" };
                let _ = writeln!(text, " match {large}community {list}");
            }
            if rule.action == RouteVerdict::Permit {
                changes(text, bgp, rule);
            }
            text.push_str("exit\n!\n");
        }
    }
}

/// How an operator's rule changes a route.
fn changes(text: &mut String, bgp: &Bgp, rule: &RouteMapRule) {
    communities(text, &rule.set_communities);
    if let Some(preference) = rule.local_preference {
        let _ = writeln!(text, " set local-preference {preference}");
    }
    if let Some(metric) = rule.metric {
        let _ = writeln!(text, " set metric {metric}");
    }
    if let Some(count) = rule.prepend {
        let own = format!(" {}", bgp.asn).repeat(count.into());
        let _ = writeln!(text, " set as-path prepend{own}");
    }
}

fn communities(text: &mut String, all: &[Community]) {
    for (is_large, word) in [(false, "community"), (true, "large-community")] {
        let these = all.iter().filter(|community| community.is_large() == is_large);
        let these: Vec<String> = these.map(Community::to_string).collect();
        if !these.is_empty() {
            let _ = writeln!(text, " set {word} {}", these.join(" "));
        }
    }
}

/// How a prefix list says that longer prefixes match as well.
fn longer(net: &IpNet, longest: u8) -> String {
    if net.prefix_len() == longest { String::new() } else { format!(" le {longest}") }
}

/// What belongs to one IP version.
fn of_version(bgp: &Bgp, is_ipv4: bool) -> impl Iterator<Item = &IpNet> {
    bgp.announced.iter().filter(move |prefix| prefix.addr().is_ipv4() == is_ipv4)
}

/// The networks of a redistribution that belong to one IP version.
fn within(redistribution: &Redistribution, is_ipv4: bool) -> impl Iterator<Item = &IpNet> {
    redistribution.within.iter().filter(move |net| net.addr().is_ipv4() == is_ipv4)
}

/// What redistributed routes are in, for one IP version.
fn guard_name(redistribution: &Redistribution, is_ipv4: bool) -> String {
    format!("{}{}", redistribution.from, if is_ipv4 { 4 } else { 6 })
}

/// The single addresses that may be redistributed. Without a rule nothing is.
fn guard(text: &mut String, redistribution: &Redistribution, is_ipv4: bool) {
    let (ip, length) = if is_ipv4 { ("ip", 32) } else { ("ipv6", 128) };
    let name = guard_name(redistribution, is_ipv4);
    let mut nets = within(redistribution, is_ipv4).peekable();
    if nets.peek().is_none() {
        return;
    }
    for (number, net) in (1..).zip(nets) {
        let single =
            if net.prefix_len() == length { String::new() } else { format!(" ge {length}") };
        let net = net.trunc();
        let _ = writeln!(text, "{ip} prefix-list {name} seq {} permit {net}{single}", number * 5);
    }
    let _ = writeln!(text, "!\nroute-map {name} permit 10");
    let _ = writeln!(text, " match {ip} address prefix-list {name}\nexit\n!");
}

/// FRR's word for an IP version, and the name of the filter of what is announced.
fn announcing(is_ipv4: bool) -> (&'static str, &'static str) {
    if is_ipv4 { ("ip", "announce4") } else { ("ipv6", "announce6") }
}

fn prefixes(text: &mut String, bgp: &Bgp, is_ipv4: bool) {
    let (ip, map) = announcing(is_ipv4);
    let mut number = 0;
    for prefix in of_version(bgp, is_ipv4) {
        number += 5;
        let _ = writeln!(text, "{ip} prefix-list {map} seq {number} permit {prefix}");
    }
    if number > 0 {
        text.push_str("!\n");
    }
}

/// The name of the filter of what a neighbour with these rules is told.
fn filter_name(is_ipv4: bool, outbound: Option<&str>) -> String {
    let (_, map) = announcing(is_ipv4);
    outbound.map_or_else(|| map.to_owned(), |name| format!("{map}-{name}"))
}

/// The host announces what is its own and nothing that it has learnt: it is not a router between
/// its neighbours. An operator's rules only choose from that. A filter without a rule lets nothing
/// pass.
fn filter(text: &mut String, bgp: &Bgp, is_ipv4: bool, outbound: Option<&str>) {
    let (ip, list) = announcing(is_ipv4);
    let map = filter_name(is_ipv4, outbound);
    let has_own = of_version(bgp, is_ipv4).next().is_some();
    let redistributed = bgp.redistributed.iter();
    let redistributed: Vec<&Redistribution> =
        redistributed.filter(|it| within(it, is_ipv4).next().is_some()).collect();
    if !has_own && redistributed.is_empty() {
        let _ = writeln!(text, "route-map {map} deny 10\nexit\n!");
        return;
    }
    let rest = |text: &mut String| {
        communities(text, &bgp.communities);
        if let Some(name) = outbound {
            let _ = writeln!(text, " call {}", own_name(name));
        }
        text.push_str("exit\n!\n");
    };
    if has_own {
        let _ = writeln!(text, "route-map {map} permit 10");
        let _ = writeln!(text, " match {ip} address prefix-list {list}");
        rest(text);
    }
    // Of those that are learnt from one neighbour none goes to the other.
    for (order, redistribution) in (2..).zip(redistributed) {
        let name = guard_name(redistribution, is_ipv4);
        let _ = writeln!(text, "route-map {map} permit {}\n match as-path own", order * 10);
        let _ = writeln!(text, " match {ip} address prefix-list {name}");
        rest(text);
    }
}

/// Packets by learnt routes come from the host's own address: left to itself the kernel may
/// take one that it shares with others, and the answer goes to another host.
fn sources(text: &mut String, bgp: &Bgp) {
    if let Some(source) = bgp.router_id {
        let _ = writeln!(text, "route-map source4 permit 10\n set src {source}\nexit\n!");
        text.push_str("ip protocol bgp route-map source4\n!\n");
    }
    if let Some(source) = bgp.source6 {
        let _ = writeln!(text, "route-map source6 permit 10\n set src {source}\nexit\n!");
        text.push_str("ipv6 protocol bgp route-map source6\n!\n");
    }
}

fn router(text: &mut String, bgp: &Bgp) {
    let _ = writeln!(text, "router bgp {}", bgp.asn);
    if let Some(id) = bgp.router_id {
        let _ = writeln!(text, " bgp router-id {id}");
    }
    text.push_str(" no bgp default ipv4-unicast\n");
    if let Some(BgpTimers { keepalive, hold }) = bgp.timers {
        let _ = writeln!(text, " timers bgp {} {}", keepalive.0 / 1000, hold.0 / 1000);
    }
    if bgp.max_paths.is_some_and(|paths| paths > 1) {
        // Two switches of a pair have two numbers; their ways are as long.
        text.push_str(" bgp bestpath as-path multipath-relax\n");
    }
    for neighbor in &bgp.neighbors {
        self::neighbor(text, neighbor);
    }
    for is_ipv4 in [true, false] {
        family(text, bgp, is_ipv4);
    }
    if bgp.evpn.is_some() {
        text.push_str(" !\n address-family l2vpn evpn\n");
        for Neighbor { peer, .. } in &bgp.neighbors {
            let _ = writeln!(text, "  neighbor {peer} activate");
        }
        text.push_str("  advertise-all-vni\n exit-address-family\n");
    }
    text.push_str("exit\n");
}

/// Who a neighbour is, and how it is found dead.
fn neighbor(text: &mut String, neighbor: &Neighbor) {
    let peer = &neighbor.peer;
    if matches!(peer, Peer::Range { .. }) {
        let _ = writeln!(text, " neighbor {peer} peer-group");
    }
    let interface = if matches!(peer, Peer::Link(_)) { " interface" } else { "" };
    let _ = writeln!(text, " neighbor {peer}{interface} remote-as {}", neighbor.remote_as);
    if let Some(password) = &neighbor.password {
        let _ = writeln!(text, " neighbor {peer} password {password}");
    }
    if neighbor.bfd {
        let _ = writeln!(text, " neighbor {peer} bfd");
    }
    if let Some(BgpTimers { keepalive, hold }) = neighbor.timers {
        let (keepalive, hold) = (keepalive.0 / 1000, hold.0 / 1000);
        let _ = writeln!(text, " neighbor {peer} timers {keepalive} {hold}");
    }
    if let Peer::Range { group, net } = peer {
        let _ = writeln!(text, " bgp listen range {net} peer-group {group}");
    }
}

fn family(text: &mut String, bgp: &Bgp, is_ipv4: bool) {
    let neighbors: Vec<&Neighbor> =
        bgp.neighbors.iter().filter(|neighbor| neighbor.peer.speaks(is_ipv4)).collect();
    if neighbors.is_empty() {
        return;
    }
    let word = if is_ipv4 { "ipv4" } else { "ipv6" };
    let _ = writeln!(text, " !\n address-family {word} unicast");
    for prefix in of_version(bgp, is_ipv4) {
        let _ = writeln!(text, "  network {prefix}");
    }
    for redistribution in &bgp.redistributed {
        if within(redistribution, is_ipv4).next().is_some() {
            let name = guard_name(redistribution, is_ipv4);
            let _ = writeln!(text, "  redistribute {} route-map {name}", redistribution.from);
        }
    }
    for Neighbor { peer, inbound, outbound, .. } in neighbors {
        let inbound = inbound.as_deref().map_or_else(|| "accept".to_owned(), own_name);
        let outbound = filter_name(is_ipv4, outbound.as_deref());
        let _ = writeln!(text, "  neighbor {peer} activate");
        let _ = writeln!(text, "  neighbor {peer} route-map {inbound} in");
        let _ = writeln!(text, "  neighbor {peer} route-map {outbound} out");
    }
    if let Some(paths) = bgp.max_paths {
        let _ = writeln!(text, "  maximum-paths {paths}\n  maximum-paths ibgp {paths}");
    }
    text.push_str(" exit-address-family\n");
}

/// A routing domain whose networks travel in a VXLAN of their own.
fn routed_domain(text: &mut String, bgp: &Bgp, vrf: &str) {
    let _ = writeln!(text, "!\nrouter bgp {} vrf {vrf}", bgp.asn);
    if let Some(id) = bgp.router_id {
        let _ = writeln!(text, " bgp router-id {id}");
    }
    for word in ["ipv4", "ipv6"] {
        let _ = writeln!(text, " !\n address-family {word} unicast\n  redistribute connected");
        text.push_str(" exit-address-family\n");
    }
    text.push_str(" !\n address-family l2vpn evpn\n");
    for word in ["ipv4", "ipv6"] {
        let _ = writeln!(text, "  advertise {word} unicast");
    }
    text.push_str(" exit-address-family\nexit\n");
}
