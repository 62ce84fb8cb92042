//! netplan's YAML, version 2 (netplan-yaml(5)). Pure.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::counterparts::reason;
use super::meaning::Link;
use super::{Dialect, Read, rule_of};
use crate::import::draft::place;
use crate::import::{ImportError, InvalidValue, Place, Reason, Source};
use crate::model::{Destination, Mac, RouteSpec};
use crate::network::BondWords;
use crate::tree::{self, Content, Node};

/// Reads the files of one host; later ones go before earlier ones.
pub(super) fn read(files: &[&Source]) -> Result<Read, ImportError> {
    let mut read = Read::default();
    let mut files = files.to_vec();
    files.sort_by_key(|file| file.name.rsplit('/').next().map(str::to_owned));
    for file in files {
        let root = tree::parse(&file.text).map_err(|refusal| ImportError::Syntax {
            place: place(&file.name, refusal.position.unwrap_or_default().line),
            message: refusal.told(),
        })?;
        let mut reader = Reader { read: &mut read, file };
        for (key, node) in root.entries().unwrap_or_default() {
            match key.text.as_str() {
                "network" => reader.network(node),
                _ => reader.report_node(&key.text, node, Reason::NoCounterpart),
            }
        }
    }
    Ok(read)
}

struct Reader<'a> {
    read: &'a mut Read,
    file: &'a Source,
}

fn scalar(node: &Node) -> &str {
    match &node.content {
        Content::Scalar { text, .. } => text,
        _ => "",
    }
}

fn list(node: &Node) -> Vec<String> {
    match &node.content {
        Content::List(items) => items.iter().map(|item| scalar(item).to_owned()).collect(),
        Content::Scalar { text, .. } if !text.is_empty() => vec![text.clone()],
        _ => Vec::new(),
    }
}

fn is_on(word: &str) -> bool {
    matches!(word, "true" | "yes" | "on" | "y")
}

fn is_off(word: &str) -> bool {
    matches!(word, "false" | "no" | "off" | "n")
}

/// What a NIC does in place of the kernel.
fn offload_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "receive-checksum-offload" => "rx-checksum",
        "transmit-checksum-offload" => "tx-checksum",
        "tcp-segmentation-offload" => "tso",
        "tcp6-segmentation-offload" => "tso6",
        "generic-segmentation-offload" => "gso",
        "generic-receive-offload" => "gro",
        "large-receive-offload" => "lro",
        _ => return None,
    })
}

fn nodes(node: &Node) -> &[Arc<Node>] {
    match &node.content {
        Content::List(items) => items,
        _ => &[],
    }
}

/// netplan's sections, and those of a profile.
const SECTIONS: [(&str, &str); 6] = [
    ("ethernets", "nics"),
    ("bonds", "bonds"),
    ("vlans", "vlans"),
    ("bridges", "bridges"),
    ("vrfs", "vrfs"),
    ("dummy-devices", "dummies"),
];

impl Reader<'_> {
    fn at(&self, node: &Node) -> Place {
        place(&self.file.name, node.position.line)
    }

    /// Reports a word that is not read.
    fn leave(&mut self, word: &str, key: &str, node: &Node) {
        self.report_node(key, node, reason(Dialect::Netplan, word));
    }

    fn report_node(&mut self, key: &str, node: &Node, reason: Reason) {
        let at = self.at(node);
        let text = match scalar(node) {
            "" => key.to_owned(),
            value => format!("{key}: {value}"),
        };
        self.read.report(&at, text, reason);
    }

    fn network(&mut self, network: &Node) {
        for (key, node) in network.entries().unwrap_or_default() {
            let section = SECTIONS.iter().find(|(theirs, _)| *theirs == key.text);
            match (key.text.as_str(), section) {
                ("version" | "renderer", _) => {}
                ("tunnels", _) => {
                    for (name, link) in node.entries().unwrap_or_default() {
                        self.tunnel(&name.text, link);
                    }
                }
                (_, Some((_, section))) => {
                    for (name, link) in node.entries().unwrap_or_default() {
                        self.link(section, &name.text, link);
                    }
                }
                _ => {
                    let links = node.entries().unwrap_or_default().iter();
                    self.read.untaken.extend(links.map(|(name, _)| name.text.clone()));
                    self.leave(&key.text, &key.text, node);
                }
            }
        }
    }

    fn tunnel(&mut self, name: &str, node: &Node) {
        let entries = node.entries().unwrap_or_default();
        let mode = entries.iter().find(|(key, _)| key.text == "mode").map(|(_, node)| scalar(node));
        match mode {
            Some("vxlan") => self.link("vxlans", name, node),
            mode => {
                let at = self.at(node);
                let mode = mode.unwrap_or("(none)");
                let why = reason(Dialect::Netplan, &format!("tunnel.{mode}"));
                self.read.leave_link(&at, name, format!("{name}: tunnel of mode {mode}"), why);
            }
        }
    }

    fn link(&mut self, section: &'static str, name: &str, node: &Node) {
        let mut link = self.read.meaning.links.remove(name).unwrap_or_default();
        link.section = section;
        link.place.get_or_insert_with(|| self.at(node));
        let mut is_loopback = name == "lo";
        for (key, value) in node.entries().unwrap_or_default() {
            let word = scalar(value);
            let mut set = |key: &str, value: Value| drop(link.keys.insert(key.to_owned(), value));
            match (key.text.as_str(), section) {
                ("match", _) => {
                    for (key, value) in value.entries().unwrap_or_default() {
                        match (key.text.as_str(), scalar(value).parse::<Mac>()) {
                            ("macaddress", Ok(mac)) => link.mac = Some(mac),
                            ("name", _) if scalar(value) == "lo" => is_loopback = true,
                            ("name", _) if scalar(value) == name => {}
                            _ => self.leave(&format!("match.{}", key.text), &key.text, value),
                        }
                    }
                }
                ("set-name", _) if word == name => {}
                ("set-name", _) => drop(link.quiet.insert("set-name".into(), json!(word))),
                ("optional" | "critical" | "ignore-carrier", _) => {
                    if matches!(word, "true" | "yes" | "on") {
                        link.quiet.insert(key.text.clone(), json!(true));
                    }
                }
                ("accept-ra", _) => {
                    link.quiet
                        .insert("accept-ra".into(), json!(matches!(word, "true" | "yes" | "on")));
                }
                ("link-local", _) => {
                    drop(link.quiet.insert("link-local".into(), json!(list(value))))
                }
                ("dhcp4" | "dhcp6", _) => {
                    if matches!(word, "true" | "yes" | "on") {
                        set(&key.text, json!(true));
                    }
                }
                ("mtu", _) => link.mtu = word.parse().ok(),
                ("macaddress", "nics") if link.mac.is_none() && word.parse::<Mac>().is_err() => {
                    self.report_node("macaddress", value, Reason::NoCounterpart);
                }
                ("macaddress", _) => set("macaddress", json!(word.to_ascii_lowercase())),
                ("addresses", _) => self.addresses(&mut link, value),
                ("gateway4" | "gateway6", _) => match word.parse() {
                    Ok(via) => {
                        let default = RouteSpec::to(Destination::Default);
                        link.routes.push(RouteSpec { via: Some(via), ..default });
                    }
                    Err(_) => self.report_node(&key.text, value, Reason::NotAnAddress),
                },
                ("nameservers", _) => {
                    for (key, value) in value.entries().unwrap_or_default() {
                        match key.text.as_str() {
                            "addresses" => link.dns.extend(list(value)),
                            _ => link.domains.extend(list(value)),
                        }
                    }
                }
                ("routes", _) => nodes(value).iter().for_each(|route| self.route(&mut link, route)),
                ("routing-policy", _) => {
                    nodes(value).iter().for_each(|rule| self.rule(&mut link, rule))
                }
                ("interfaces", "bonds") => set("nics", json!(list(value))),
                ("interfaces", _) => set("interfaces", json!(list(value))),
                ("table", "vrfs") => set("table", json!(word.parse::<u32>().ok())),
                ("id", "vxlans") => set("vni", json!(word.parse::<u32>().ok())),
                ("id", _) => set("id", json!(word.parse::<u32>().ok())),
                ("mode" | "local", "vxlans") => {}
                ("port", "vxlans") => set("port", json!(word.parse::<u32>().ok())),
                ("link" | "remote", _) => set(&key.text, json!(word)),
                ("mac-learning", _) => set("mac-learning", json!(word == "true")),
                ("parameters", "bonds") => self.bond(&mut link, value),
                ("parameters", "bridges") => self.bridge(&mut link, value),
                ("dhcp4-overrides" | "dhcp6-overrides" | "ra-overrides", _) => {
                    self.overrides(&mut link, name, &key.text, value);
                }
                ("wakeonlan", "nics") if is_on(word) => {
                    drop(link.quiet.insert("wake-on-lan".into(), json!(["magic"])))
                }
                ("wakeonlan", "nics") if is_off(word) => {}
                ("emit-lldp", _) if is_on(word) => {
                    drop(link.quiet.insert("emit-lldp".into(), json!(true)))
                }
                ("emit-lldp", _) if is_off(word) => {}
                ("ipv6-privacy", _) if is_on(word) || is_off(word) => {
                    drop(link.quiet.insert("ipv6-privacy".into(), json!(is_on(word))))
                }
                ("ipv6-address-generation", _) if matches!(word, "eui64" | "stable-privacy") => {
                    drop(link.quiet.insert("ipv6-address-generation".into(), json!(word)))
                }
                ("ipv6-address-token", _) => {
                    drop(link.quiet.insert("ipv6-token".into(), json!(word)))
                }
                ("activation-mode", _) if matches!(word, "manual" | "off") => {
                    drop(link.quiet.insert("activation-mode".into(), json!(word)))
                }
                (offload, "nics") if offload_of(offload).is_some() => {
                    let keys = link.quiet.entry("offload").or_insert_with(|| json!({}));
                    keys[offload_of(offload).unwrap_or_default()] = json!(is_on(word));
                }
                // How the old renderer does it; rackstrap has its own way.
                ("renderer" | "dhcp-identifier", _) => {}
                _ => self.leave(&key.text, &format!("{name}.{}", key.text), value),
            }
        }
        // netplan's own default.
        if section == "bridges" {
            link.keys.entry("stp").or_insert_with(|| json!(true));
        }
        if is_loopback {
            link.section = "loopbacks";
        }
        self.read.meaning.links.insert(name.to_owned(), link);
    }

    /// What is taken from DHCP and routers.
    fn overrides(&mut self, link: &mut Link, name: &str, group: &str, node: &Node) {
        for (key, value) in node.entries().unwrap_or_default() {
            let word = scalar(value);
            let found = match key.text.as_str() {
                "use-dns" | "use-ntp" | "use-hostname" | "use-mtu" | "send-hostname"
                | "use-routes" | "use-domains"
                    if is_on(word) || is_off(word) =>
                {
                    Some(json!(is_on(word)))
                }
                "route-metric" => word.parse::<u32>().ok().map(|metric| json!(metric)),
                _ => None,
            };
            match found {
                Some(found) => {
                    let keys = link.quiet.entry(group).or_insert_with(|| json!({}));
                    keys[&key.text] = found;
                }
                None => {
                    let text = format!("{name}.{group}.{}", key.text);
                    self.report_node(&text, value, Reason::NoCounterpart);
                }
            }
        }
    }

    fn addresses(&mut self, link: &mut Link, node: &Node) {
        for item in nodes(node) {
            let text = match &item.content {
                Content::Map(entries) => {
                    self.report_node("options of an address", item, Reason::NoCounterpart);
                    entries.first().map(|(key, _)| key.text.as_str()).unwrap_or_default()
                }
                _ => scalar(item),
            };
            match text.parse() {
                Ok(address) if !link.addresses.contains(&address) => link.addresses.push(address),
                Ok(_) => {}
                Err(_) => self.report_node("addresses", item, Reason::NotAnAddress),
            }
        }
    }

    fn route(&mut self, link: &mut Link, node: &Node) {
        let mut keys = values(node);
        let has_via = keys.contains_key("via");
        if keys.get("scope").is_some_and(|scope| scope == "link") && !has_via {
            keys.shift_remove("scope");
        }
        match route_of(keys) {
            Ok(route) => link.routes.push(route),
            Err(error) => self.report_node("route", node, Reason::Value(error)),
        }
    }

    fn rule(&mut self, link: &mut Link, node: &Node) {
        let mut keys = values(node);
        if let Some(tos) = keys.shift_remove("type-of-service") {
            keys.insert("tos".into(), tos);
        }
        match rule_of(keys) {
            Ok(rule) => link.rules.push(rule),
            Err(error) => self.report_node("routing-policy", node, Reason::Value(error)),
        }
    }

    fn bond(&mut self, link: &mut Link, node: &Node) {
        for (key, value) in node.entries().unwrap_or_default() {
            let word = match &value.content {
                Content::List(_) => list(value).join(","),
                _ => scalar(value).to_owned(),
            };
            match super::bond_setting(BondWords::Netplan, &key.text, &word) {
                Ok(setting) => drop(link.keys.insert(setting.key, setting.value)),
                Err(reason) => self.report_node(&key.text, value, reason),
            }
        }
    }

    fn bridge(&mut self, link: &mut Link, node: &Node) {
        for (key, value) in node.entries().unwrap_or_default() {
            let word = scalar(value);
            match key.text.as_str() {
                "stp" => {
                    drop(link.keys.insert("stp".into(), json!(matches!(word, "true" | "yes"))))
                }
                "forward-delay" | "hello-time" | "max-age" | "ageing-time" => {
                    match super::duration(word, 1000) {
                        Some(time) => drop(link.keys.insert(key.text.clone(), json!(time))),
                        None => self.report_node(&key.text, value, Reason::NoCounterpart),
                    }
                }
                "priority" => {
                    drop(link.keys.insert("priority".into(), json!(word.parse::<u16>().ok())))
                }
                "path-cost" => {
                    for (port, cost) in value.entries().unwrap_or_default() {
                        let cost = scalar(cost).parse::<u32>().ok();
                        let ports = link.keys.entry("ports").or_insert_with(|| json!({}));
                        ports[&port.text] = json!({"cost": cost});
                    }
                }
                _ => self.report_node(&key.text, value, Reason::NoCounterpart),
            }
        }
    }
}

/// The scalars of a mapping, as the model reads them.
fn values(node: &Node) -> Map<String, Value> {
    let entries = node.entries().unwrap_or_default().iter();
    entries
        .map(|(key, value)| {
            let word = scalar(value);
            let value = match (word.parse::<i64>(), word.parse::<bool>()) {
                (Ok(number), _) => json!(number),
                (_, Ok(truth)) => json!(truth),
                _ => json!(word),
            };
            (key.text.clone(), value)
        })
        .collect()
}

/// A route as the model has it, of netplan's keys.
///
/// # Errors
/// The model refuses it.
pub(super) fn route_of(mut keys: Map<String, Value>) -> Result<RouteSpec, InvalidValue> {
    let to = keys.get("to").and_then(Value::as_str).unwrap_or("default").to_owned();
    let to = match to.as_str() {
        "0.0.0.0/0" | "::/0" | "default" => "default".to_owned(),
        address if !address.contains('/') => {
            format!("{address}/{}", if address.contains(':') { 128 } else { 32 })
        }
        net => net.to_owned(),
    };
    keys.insert("to".into(), json!(to));
    if keys.get("table").is_some_and(|table| *table == json!(254)) {
        keys.shift_remove("table");
    }
    Ok(tree::read_json(&Value::Object(keys))?)
}
