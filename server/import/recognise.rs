//! What a file is, by its text and its name. Pure.

use std::sync::Arc;

use super::networks::Dialect;
use crate::tree::{self, Content, Node};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `dhcpd.conf` of ISC dhcpd.
    Dhcpd,
    /// Kea's JSON.
    Kea,
    /// `dnsmasq.conf`, a file of `dhcp-host` lines, `/etc/ethers` or `/etc/hosts`.
    Dnsmasq,
    /// CSV of hosts or subnets.
    Table,
    /// Ansible's inventory as INI.
    AnsibleIni,
    /// Ansible's inventory as YAML.
    AnsibleYaml,
    /// Warewulf's `nodes.conf`.
    Warewulf,
    /// What `maas admin machines read` prints.
    Maas,
    /// The network of a host.
    Network(Dialect),
}

impl Kind {
    /// What is recognised, for a sentence.
    pub(crate) fn expected() -> &'static str {
        "dhcpd.conf, dnsmasq.conf and its hosts files, Kea's JSON, CSV, an inventory of Ansible, Warewulf \
         or MAAS, or the network of a host for netplan, \
         systemd-networkd, NetworkManager, ifupdown or nmstate"
    }

    /// What a file is called.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Dhcpd => "configuration of ISC dhcpd",
            Self::Kea => "configuration of Kea",
            Self::Dnsmasq => "configuration or hosts of dnsmasq",
            Self::Table => "table",
            Self::AnsibleIni | Self::AnsibleYaml => "inventory of Ansible",
            Self::Warewulf => "nodes of Warewulf",
            Self::Maas => "machines of MAAS",
            Self::Network(Dialect::Netplan) => "network of a host, for netplan",
            Self::Network(Dialect::Networkd) => "network of a host, for systemd-networkd",
            Self::Network(Dialect::NetworkManager) => "network of a host, for NetworkManager",
            Self::Network(Dialect::Ifupdown) => "network of a host, for ifupdown",
            Self::Network(Dialect::Nmstate) => "network of a host, of nmstate",
        }
    }

    /// What a text is, if anything that is known.
    pub(crate) fn of(name: &str, text: &str) -> Option<Self> {
        let ends = [".network", ".netdev", ".link"];
        let is_networkd =
            ends.iter().any(|end| name.ends_with(end)) || is_drop_in_of_networkd(name);
        // One that is empty masks another.
        if is_networkd && text.trim().is_empty() {
            return Some(Self::Network(Dialect::Networkd));
        }
        let first = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let first = first.clone().find(|line| !line.is_empty() && !line.starts_with(['#', ';']))?;
        if is_kea(text) {
            return Some(Self::Kea);
        }
        if text.contains("\"system_id\"") && text.contains("\"interface_set\"") {
            return Some(Self::Maas);
        }
        let begins = |key: &str| text.lines().any(|line| line.trim_end() == key);
        if begins("nodeprofiles:") || begins("nodes:") {
            return Some(Self::Warewulf);
        }
        if let Some(dialect) = yaml_network(text) {
            return Some(Self::Network(dialect));
        }
        if text.contains("[connection]") && text.contains("type=") {
            return Some(Self::Network(Dialect::NetworkManager));
        }
        let is_iface = |line: &str| {
            let mut words = line.split_whitespace();
            words.next() == Some("iface") && words.next().is_some()
        };
        if text.lines().any(|line| is_iface(line.trim())) {
            return Some(Self::Network(Dialect::Ifupdown));
        }
        let has_section = text.contains("[Match]") || text.contains("[NetDev]");
        if is_networkd && has_section || is_drop_in_of_networkd(name) {
            return Some(Self::Network(Dialect::Networkd));
        }
        if is_ansible_yaml(text) {
            return Some(Self::AnsibleYaml);
        }
        if text.lines().any(|line| is_dhcpd(line.trim())) {
            return Some(Self::Dhcpd);
        }
        if text.lines().any(|line| is_dnsmasq(line.trim())) || is_hosts_line(first) {
            return Some(Self::Dnsmasq);
        }
        is_ansible_ini(text).then_some(Self::AnsibleIni)
    }

    /// What a text is where it may also be a table.
    pub(crate) fn or_table(name: &str, text: &str) -> Option<Self> {
        let lines = || {
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
        };
        let has_cells = |line: &str| line.contains([',', ';', '\t', '|']);
        let is_table = lines().count() >= 2
            && lines().all(|line| !line.starts_with(['{', '[']))
            && lines().filter(|line| has_cells(line)).count() * 2 > lines().count();
        Self::of(name, text).or_else(|| is_table.then_some(Self::Table))
    }
}

/// Whether a file adds to one of networkd's: `10-lan.network.d/50-mtu.conf`.
fn is_drop_in_of_networkd(name: &str) -> bool {
    super::networks::dropped_into(name).is_some()
}

/// Groups with `hosts` or `children` below them, and nothing that a site file has.
fn is_ansible_yaml(text: &str) -> bool {
    let mut lines =
        text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let mut lines = lines.by_ref().skip_while(|line| line.trim() == "---");
    let Some(group) = lines.next() else { return false };
    let Some(inner) = lines.next() else { return false };
    let is_key = |line: &str| line.trim_end().ends_with(':');
    let is_group = !group.starts_with(' ') && is_key(group);
    let names_nothing_of_ours =
        !["hosts:", "subnets:", "racks:", "profiles:"].contains(&group.trim_end());
    let inner_key = inner.trim();
    is_group
        && names_nothing_of_ours
        && inner.starts_with(' ')
        && ["hosts:", "children:", "vars:"].contains(&inner_key)
}

/// The network of a host in YAML, in whichever of its styles it is written. A file of netplan's that is
/// broken is still one, whose error is shown.
fn yaml_network(text: &str) -> Option<Dialect> {
    let says = |word: &str| text.contains(word);
    let parts = ["ethernets", "bonds", "vlans", "bridges", "version"];
    if text.lines().any(|line| line.starts_with("network:")) && parts.into_iter().any(says) {
        return Some(Dialect::Netplan);
    }
    if text.lines().any(|line| line.trim_end() == "interfaces:")
        && text.lines().any(|line| line.trim_start_matches([' ', '-']).starts_with("type:"))
    {
        return Some(Dialect::Nmstate);
    }
    if !(says("network") && parts.into_iter().any(says) || says("interfaces") && says("name")) {
        return None;
    }
    let root = tree::parse(text).ok()?;
    let field = |node: &Node, name: &str| {
        let found = node.entries().ok()?.iter().find(|(key, _)| key.text == name)?;
        Some(found.1.clone())
    };
    if field(&root, "network").is_some_and(|it| parts.iter().any(|key| field(&it, key).is_some())) {
        return Some(Dialect::Netplan);
    }
    let interfaces = field(&root, "interfaces")?;
    let Content::List(items) = &interfaces.content else { return None };
    let is_interface = |item: &Arc<Node>| field(item, "name").is_some();
    (!items.is_empty() && items.iter().all(is_interface)).then_some(Dialect::Nmstate)
}

/// `[group]` heads, and lines that begin with a name.
fn is_ansible_ini(text: &str) -> bool {
    let lines = || {
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
    };
    let heads = lines().filter(|line| line.starts_with('[') && line.ends_with(']')).count();
    let has_variables =
        lines().any(|line| line.contains("ansible_host=") || line.contains("ansible_ssh_host="));
    let is_setting =
        |line: &str| line.split('=').next().is_some_and(|key| !key.trim().contains(' '));
    let names = lines()
        .filter(|line| !(line.starts_with('[') || line.contains('=') && is_setting(line)))
        .count();
    has_variables
        || (heads > 0
            && names > 0
            && !lines().any(|line| line.ends_with(';') || line.contains('{')))
}

fn is_kea(text: &str) -> bool {
    ["\"Dhcp4\"", "\"Dhcp6\"", "\"subnet4\""].iter().any(|key| text.contains(key))
}

fn is_dhcpd(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["subnet", _, "netmask", ..] | ["shared-network", _, ..] => true,
        ["host", _, "{", ..] | ["group", "{", ..] | ["pool", "{", ..] => true,
        ["hardware", "ethernet", ..] => true,
        ["option" | "include" | "default-lease-time" | "max-lease-time", ..] => line.ends_with(';'),
        ["authoritative;"] | ["not", "authoritative;"] => true,
        _ => false,
    }
}

/// Keys that only dnsmasq has, as far as the other formats here go.
const DNSMASQ_KEYS: [&str; 12] = [
    "dhcp-range",
    "dhcp-host",
    "dhcp-option",
    "dhcp-boot",
    "dhcp-hostsfile",
    "dhcp-authoritative",
    "conf-dir",
    "conf-file",
    "enable-tftp",
    "tftp-root",
    "read-ethers",
    "bind-interfaces",
];

fn is_dnsmasq(line: &str) -> bool {
    let key = line.split(['=', ' ']).next().unwrap_or_default();
    DNSMASQ_KEYS.contains(&key) && !line.ends_with(';')
}

/// Whether a line is one of `/etc/hosts`, `/etc/ethers` or a file of `dhcp-host` lines.
fn is_hosts_line(line: &str) -> bool {
    let mac = |word: &str| word.parse::<crate::model::Mac>().is_ok();
    let words: Vec<&str> = line.split_whitespace().collect();
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    match (&words[..], &cells[..]) {
        ([address, _, ..], _) if address.parse::<std::net::IpAddr>().is_ok() => true,
        ([first, _], [_]) => mac(first),
        (_, [first, rest @ ..]) if mac(first) && !rest.is_empty() => rest
            .iter()
            .any(|cell| cell.parse::<std::net::IpAddr>().is_ok() || cell.starts_with("set:")),
        _ => false,
    }
}
