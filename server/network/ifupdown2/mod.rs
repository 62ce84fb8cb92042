//! Writes a host's links as `/etc/network/interfaces` for ifupdown2 (Proxmox, Cumulus), in the
//! vocabulary of version 3.0 (Debian 12). Pure.
//!
//! ifupdown2 knows links by their names alone: NICs get theirs from udev's `.link` files. It has
//! no word for router advertisements and none for resolvers: those are in files of their own.

mod addresses;
mod kinds;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::links::{HostNetwork, Kind, Link, Role};
use super::losses::Losses;
use super::{File, Format, extra, networkd, settings_file};
use crate::model::{Eswitch, Family};

/// glibc asks no more resolvers than these.
const MOST_RESOLVERS: usize = 3;

/// The one file of interfaces, and what it has no words for.
pub(super) fn render(host: &HostNetwork, losses: &mut Losses) -> Vec<File> {
    let mut files = networkd::link_files(host);
    let mut text = format!("# {}\n\nauto lo\niface lo inet loopback\n", host.origin());
    let mut settings = host.sysctls.clone();
    let managed = |link: &&Link| !matches!(link.role, Role::Unused | Role::Unmanaged);
    for link in host.links.values().filter(managed) {
        let mut writer = Writer { host, link, losses, lines: Vec::new() };
        text.push_str(&writer.stanzas());
        settings.extend(writer.settings());
    }
    files.push(File::of(Format::Ifupdown2, "interfaces", text));
    files.extend(resolvers(host, losses));
    files.extend(settings_file(&settings));
    files
}

/// `/etc/resolv.conf`: resolvers are the host's here, and not a link's.
fn resolvers(host: &HostNetwork, losses: &mut Losses) -> Option<File> {
    let layers = || host.links.values().map(|link| &link.layer3);
    let mut servers = BTreeSet::new();
    let servers: Vec<_> =
        layers().flat_map(|layer3| &layer3.dns).filter(|dns| servers.insert(dns.address)).collect();
    let mut domains: Vec<&str> = Vec::new();
    for domain in layers().flat_map(|layer3| &layer3.domains) {
        let domain = domain.trim_end_matches('.');
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    if servers.is_empty() && domains.is_empty() {
        return None;
    }
    let learns = host.links.values().any(|link| link.settings.dhcp4);
    losses.add_if(learns, "profile", "resolvers beside those of DHCP");
    losses.add_if(servers.len() > MOST_RESOLVERS, "profile", "more than three resolvers");
    let routing = domains.iter().any(|domain| domain.starts_with('~'));
    losses.add_if(routing, "profile", "routing domains");
    let mut text = format!("# {}\n", host.origin());
    if !domains.is_empty() {
        text.push_str(&format!("search {}\n", domains.join(" ")));
    }
    for server in servers {
        text.push_str(&format!("nameserver {}\n", server.address));
    }
    let file = File::of(Format::Ifupdown2, "resolv.conf", text);
    Some(File { directory: Some("/etc".into()), ..file })
}

/// One interface under construction.
struct Writer<'a> {
    host: &'a HostNetwork,
    link: &'a Link,
    losses: &'a mut Losses,
    lines: Vec<String>,
}

impl Writer<'_> {
    fn lose(&mut self, lost: bool, feature: &str) {
        self.losses.add_if(lost, &self.link.name, feature);
    }

    fn set(&mut self, key: &str, value: impl Display) {
        self.lines.push(format!("\t{key} {value}\n"));
    }

    fn set_some(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// What the interface is and its IPv4 addresses, then its IPv6 addresses.
    fn stanzas(&mut self) -> String {
        self.losses.bring_up(self.link);
        self.hardware();
        let name = self.link.device().to_owned();
        let owned = self.host.owner(self.link).is_some();
        self.kind();
        self.port();
        self.lose(self.link.kind == Kind::Loopback && self.link.settings.mtu.is_some(), "mtu");
        if self.link.kind != Kind::Loopback {
            self.set_some("hwaddress", self.link.mac);
            self.set_some("mtu", self.link.settings.mtu);
        }
        if let Some(vrf) = self.link.master.as_deref().filter(|_| !owned) {
            self.set("vrf", self.host.device(vrf).to_owned());
        }
        let quiet = self.host.link_local(self.link).is_some_and(|all| !all.contains(&Family::Ipv6));
        if quiet && !owned {
            self.set("ipv6-addrgen", "off");
        }
        let mut word = "manual";
        if !owned {
            self.learned();
            word = self.addresses(Family::Ipv4);
            self.routes();
        }
        self.extra();
        let first = self.take();
        let mut text = match self.link.kind {
            // It stands there already.
            Kind::Loopback => first,
            _ => format!("\nauto {name}\niface {name} inet {word}\n{first}"),
        };
        if !owned && self.addresses(Family::Ipv6) == "static" {
            let lines = self.take();
            let word = if self.link.kind == Kind::Loopback { "loopback" } else { "static" };
            match word {
                "loopback" => text.push_str(&lines),
                _ => text.push_str(&format!("\niface {name} inet6 {word}\n{lines}")),
            }
        }
        text
    }

    /// What an operator adds: the last lines of the interface's first stanza.
    fn extra(&mut self) {
        let attributes = &self.link.settings.extra.interfaces;
        if !attributes.is_empty() {
            self.lines.push(format!("\t{}\n", extra::COMMENT));
        }
        for (attribute, value) in attributes {
            value.lines().for_each(|line| self.set(attribute, line));
        }
    }

    fn take(&mut self) -> String {
        std::mem::take(&mut self.lines).concat()
    }

    /// What udev sets is in the `.link` file.
    fn hardware(&mut self) {
        let unnamed = self.link.is_nic() && !self.host.has_known_name(self.link);
        self.lose(unnamed, "a NIC without set-name or match: name");
        let Some(sriov) = self.link.nic.as_ref().and_then(|nic| nic.sriov.as_ref()) else { return };
        self.lose(sriov.eswitch == Some(Eswitch::Switchdev), "eswitch switchdev");
        self.lose(!sriov.functions.is_empty(), "single virtual functions");
    }

    /// The kernel hears router advertisements by itself unless a setting says otherwise.
    fn settings(&self) -> BTreeMap<String, String> {
        let layer3 = self.host.owner(self.link).is_none() && self.link.kind != Kind::Loopback;
        let deaf = layer3 && self.host.accept_ra(self.link) == Some(false);
        // With slashes, because a link's name may have dots.
        let name = format!("net/ipv6/conf/{}/accept_ra", self.link.device());
        deaf.then(|| (name, "0".to_owned())).into_iter().collect()
    }
}
