//! Writes a host's BGP for FRR (frr.conf, daemons), in the vocabulary of FRR 8.4 (Debian 12). Pure.

use std::fmt::Write as _;

use ipnet::IpNet;

use super::bgp::{Bgp, Peer};
use super::links::HostNetwork;
use super::{File, Format};

/// FRR's files; none for a host that speaks no BGP.
pub(super) fn render(host: &HostNetwork) -> Vec<File> {
    let Some(bgp) = &host.bgp else { return Vec::new() };
    vec![
        File::of(Format::Frr, "daemons", daemons(host, bgp)),
        File::of(Format::Frr, "frr.conf", configuration(host, bgp)),
    ]
}

/// Which of FRR's programs run. Their doors for people are open to this host alone.
fn daemons(host: &HostNetwork, bgp: &Bgp) -> String {
    let mut text = format!("# {}\nbgpd=yes\n", host.origin());
    if bgp.bfd {
        text.push_str("bfdd=yes\n");
    }
    text.push_str("vtysh_enable=yes\nzebra_options=\"-A 127.0.0.1 -s 90000000\"\n");
    text.push_str("bgpd_options=\"-A 127.0.0.1\"\n");
    if bgp.bfd {
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
    for is_ipv4 in [true, false] {
        filter(&mut text, bgp, is_ipv4);
    }
    text.push_str("route-map accept permit 10\nexit\n!\n");
    sources(&mut text, bgp);
    router(&mut text, bgp);
    text
}

/// What belongs to one IP version.
fn of_version(bgp: &Bgp, is_ipv4: bool) -> impl Iterator<Item = &IpNet> {
    bgp.announced.iter().filter(move |prefix| prefix.addr().is_ipv4() == is_ipv4)
}

/// The host announces what is its own and nothing that it has learnt: it is not a router between
/// its neighbours. A filter without a rule lets nothing pass.
fn filter(text: &mut String, bgp: &Bgp, is_ipv4: bool) {
    let (ip, map) = if is_ipv4 { ("ip", "announce4") } else { ("ipv6", "announce6") };
    let mut number = 0;
    for prefix in of_version(bgp, is_ipv4) {
        number += 5;
        let _ = writeln!(text, "{ip} prefix-list {map} seq {number} permit {prefix}");
    }
    if number == 0 {
        let _ = writeln!(text, "route-map {map} deny 10\nexit\n!");
        return;
    }
    let _ = writeln!(text, "!\nroute-map {map} permit 10");
    let _ = writeln!(text, " match {ip} address prefix-list {map}\nexit\n!");
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
    if bgp.max_paths.is_some_and(|paths| paths > 1) {
        // Two switches of a pair have two numbers; their ways are as long.
        text.push_str(" bgp bestpath as-path multipath-relax\n");
    }
    for neighbor in &bgp.neighbors {
        let peer = &neighbor.peer;
        let interface = if matches!(peer, Peer::Link(_)) { " interface" } else { "" };
        let _ = writeln!(text, " neighbor {peer}{interface} remote-as {}", neighbor.remote_as);
        if bgp.bfd {
            let _ = writeln!(text, " neighbor {peer} bfd");
        }
    }
    for is_ipv4 in [true, false] {
        family(text, bgp, is_ipv4);
    }
    text.push_str("exit\n");
}

fn family(text: &mut String, bgp: &Bgp, is_ipv4: bool) {
    let peers: Vec<&Peer> =
        bgp.neighbors.iter().map(|neighbor| &neighbor.peer).filter(|p| p.speaks(is_ipv4)).collect();
    if peers.is_empty() {
        return;
    }
    let (word, map) = if is_ipv4 { ("ipv4", "announce4") } else { ("ipv6", "announce6") };
    let _ = writeln!(text, " !\n address-family {word} unicast");
    for prefix in of_version(bgp, is_ipv4) {
        let _ = writeln!(text, "  network {prefix}");
    }
    for peer in peers {
        let _ = writeln!(text, "  neighbor {peer} activate");
        let _ = writeln!(text, "  neighbor {peer} route-map accept in");
        let _ = writeln!(text, "  neighbor {peer} route-map {map} out");
    }
    if let Some(paths) = bgp.max_paths {
        let _ = writeln!(text, "  maximum-paths {paths}\n  maximum-paths ibgp {paths}");
    }
    text.push_str(" exit-address-family\n");
}
