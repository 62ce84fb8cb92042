//! Connections that leave by the NIC of the processor which began them: an nftables file, and
//! what has systemd-networkd load it at boot. Pure.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use super::File;
use super::links::{HostNetwork, Link};
use crate::model::{CpuList, LinkSettings, NumberRange, Profile};

/// Where both files are: systemd reads those of a service's directory that end in `.conf`.
const DIRECTORY: &str = "/etc/systemd/system/systemd-networkd.service.d";
/// The file of rules.
const RULES: &str = "90-rackstrap.nft";
/// The file that has it loaded.
const LOADER: &str = "90-rackstrap-nft.conf";

/// Whose new connections leave by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNat {
    /// The link.
    pub link: String,
    /// The processors.
    pub cpus: CpuList,
    /// The users.
    pub users: Vec<NumberRange>,
    /// The slices of systemd.
    pub slices: Vec<String>,
    /// The mark whose rule leads to the link's table.
    pub mark: u32,
    /// The addresses that such connections have, one a family.
    pub addresses: Vec<IpAddr>,
    /// What the link leads to without a router.
    pub connected: Vec<IpNet>,
}

/// Whether a link says whose connections leave by it.
pub(super) fn chooses(settings: &LinkSettings) -> bool {
    !(settings.cpus.is_empty() && settings.users.is_empty() && settings.slices.is_empty())
}

/// What a profile says of processors, users and slices, of links that a mark leads to.
pub(super) fn lower(network: &HostNetwork, profile: &Profile) -> Vec<SourceNat> {
    let links = profile.links().filter(|link| chooses(link.settings));
    let of_link = |link: crate::model::ProfileLink<'_>| {
        let mark = link.settings.mark.filter(|_| link.settings.table.is_some())?;
        let own = || network.links.get(link.name).into_iter().flat_map(Link::written);
        let own = || own().filter(|written| written.is_own);
        let first = |is_ipv4: bool| {
            let mut addresses = own().map(|written| written.address.addr());
            addresses.find(|address| address.is_ipv4() == is_ipv4)
        };
        Some(SourceNat {
            link: link.name.to_owned(),
            cpus: link.settings.cpus.clone(),
            users: link.settings.users.clone(),
            slices: link.settings.slices.clone(),
            mark,
            addresses: first(true).into_iter().chain(first(false)).collect(),
            connected: own().map(|written| written.connected().trunc()).collect(),
        })
    };
    links.filter_map(of_link).collect()
}

/// The rules and what loads them; nothing for a host that does not ask for them.
pub(super) fn render(host: &HostNetwork) -> Vec<File> {
    if host.source_nat.is_empty() {
        return Vec::new();
    }
    let file = |name: &str, text| File {
        name: name.to_owned(),
        directory: Some(DIRECTORY.into()),
        mode: 0o644,
        text,
    };
    // The kernel knows a cgroup by a number, which it has when the slice is there. A slice that is
    // wanted stays when its last service ends, and keeps the number.
    let slices: Vec<&str> =
        host.source_nat.iter().flat_map(|nat| &nat.slices).map(String::as_str).collect();
    let wanted = match slices.join(" ") {
        none if none.is_empty() => none,
        slices => format!("[Unit]\nWants={slices}\nAfter={slices}\n\n"),
    };
    // With `+`, because networkd itself may not load rules; with `-`, because a host without
    // nft is to come up all the same.
    let loader = format!(
        "# {}\n{wanted}[Service]\nExecStartPost=+-/usr/sbin/nft -f {DIRECTORY}/{RULES}\n",
        host.origin()
    );
    vec![file(LOADER, loader), file(RULES, rules(host))]
}

/// A connection that this host begins.
const NEW: &str = "\t\tct state new ct direction original";

/// Where the cgroup of a slice is: `a-b.slice` is within `a.slice` (systemd.slice(5)).
fn slice_path(slice: &str) -> String {
    let name = slice.strip_suffix(".slice").unwrap_or(slice);
    let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
    let parts: Vec<String> = ends.map(|end| format!("{}.slice", &name[..end])).collect();
    parts.join("/")
}

/// The rules, as `nft -f` reads them.
pub(super) fn rules(host: &HostNetwork) -> String {
    let mut text = format!("#!/usr/sbin/nft -f\n# {}\n", host.origin());
    // Made before it is deleted, so that deleting it is never a mistake.
    text.push_str("table inet rackstrap\ndelete table inet rackstrap\ntable inet rackstrap {\n");
    text.push_str("\tchain output {\n\t\ttype route hook output priority mangle\n");
    // Only what this host begins: an answer leaves as its connection came.
    // The last word counts: of a slice before that of its user, and of both before that of the
    // processor, which the scheduler may change.
    for SourceNat { cpus, mark, .. } in &host.source_nat {
        if !cpus.is_empty() {
            let cpus = cpus.to_string().replace(',', ", ");
            let _ = writeln!(text, "{NEW} meta cpu {{ {cpus} }} ct mark set {mark}");
        }
    }
    for SourceNat { users, mark, .. } in &host.source_nat {
        if !users.is_empty() {
            let users: Vec<String> = users.iter().map(NumberRange::to_string).collect();
            let users = users.join(", ");
            let _ = writeln!(text, "{NEW} meta skuid {{ {users} }} ct mark set {mark}");
        }
    }
    for SourceNat { slices, mark, .. } in &host.source_nat {
        for slice in slices {
            let path = slice_path(slice);
            let level = path.split('/').count();
            let _ =
                writeln!(text, "{NEW} socket cgroupv2 level {level} \"{path}\" ct mark set {mark}");
        }
    }
    let marks: Vec<String> = host.source_nat.iter().map(|nat| nat.mark.to_string()).collect();
    let _ = writeln!(text, "\t\tct mark {{ {} }} meta mark set ct mark\n\t}}", marks.join(", "));
    // What stays on the host has a mark too, and keeps its address.
    text.push_str("\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat\n");
    for nat in &host.source_nat {
        for address in &nat.addresses {
            let (family, word) = if address.is_ipv4() { ("ipv4", "ip") } else { ("ipv6", "ip6") };
            let _ = writeln!(
                text,
                "\t\toifname != \"lo\" meta nfproto {family} meta mark {}{} snat {word} to {address}",
                nat.mark,
                unless_elsewhere(host, nat, word)
            );
        }
    }
    text.push_str("\t}\n}\n");
    text
}

/// That the next router, or the other end itself, is in no network of the other links: a program
/// that binds itself to one of them leaves by it whatever its mark, and must have its address.
/// By network and not by name: a NIC that is found by its MAC may have any name.
fn unless_elsewhere(host: &HostNetwork, nat: &SourceNat, word: &str) -> String {
    let others = host.source_nat.iter().filter(|other| other.link != nat.link);
    let others = others.flat_map(|other| &other.connected);
    let family = others.filter(|net| net.addr().is_ipv4() == (word == "ip"));
    let nets: Vec<String> = family.map(IpNet::to_string).collect();
    match nets.is_empty() {
        true => String::new(),
        false => format!(" rt {word} nexthop != {{ {} }}", nets.join(", ")),
    }
}
