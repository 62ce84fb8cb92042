//! NetworkManager's keyfiles (nm-settings-keyfile(5)). Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Read;
use super::ini::{Line, lines, value};
use super::meaning::Link;
use super::netplan::route_of;
use crate::import::draft::place;
use crate::import::{ImportError, Reason, Source};
use crate::network::BondWords;

/// NetworkManager's types, and the sections of a profile.
const TYPES: [(&str, &str); 9] = [
    ("ethernet", "nics"),
    ("802-3-ethernet", "nics"),
    ("infiniband", "nics"),
    ("bond", "bonds"),
    ("vlan", "vlans"),
    ("bridge", "bridges"),
    ("vrf", "vrfs"),
    ("dummy", "dummies"),
    ("vxlan", "vxlans"),
];

/// Reads the connections of one host.
pub(super) fn read(files: &[&Source]) -> Result<Read, ImportError> {
    let mut read = Read::default();
    let parsed: Vec<(&Source, Vec<Line>)> = files.iter().map(|file| (*file, lines(file))).collect();
    // Connections name each other by their UUIDs as well.
    let mut names = BTreeMap::new();
    for (file, lines) in &parsed {
        let name = name_of(file, lines);
        for key in ["uuid", "id"] {
            if let Some(other) = value(lines, "connection", key) {
                names.insert(other.to_owned(), name.clone());
            }
        }
    }
    let named = |word: &str| names.get(word).cloned().unwrap_or_else(|| word.to_owned());
    let mut members: Vec<(String, String)> = Vec::new();
    for (file, lines) in &parsed {
        let name = name_of(file, lines);
        let kind = value(lines, "connection", "type").unwrap_or("ethernet");
        let at = place(&file.name, 1);
        let section = match (kind, TYPES.iter().find(|(theirs, _)| *theirs == kind)) {
            ("loopback", _) => "loopbacks",
            (_, Some((_, section))) => section,
            _ => {
                read.report(&at, format!("connection of the type {kind}"), Reason::NoCounterpart);
                continue;
            }
        };
        let mut link = Link { place: Some(at), section, ..Link::default() };
        let mut routes: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        for line in lines {
            let word = line.value.as_str();
            let mut set = |key: &str, value: Value| drop(link.keys.insert(key.to_owned(), value));
            match (line.section.as_str(), line.key.as_str()) {
                ("connection", "master" | "controller") => {
                    members.push((named(word), name.clone()))
                }
                (
                    "connection",
                    "id"
                    | "uuid"
                    | "type"
                    | "interface-name"
                    | "slave-type"
                    | "port-type"
                    | "autoconnect"
                    | "timestamp"
                    | "wait-device-timeout"
                    | "lldp"
                    | "permissions",
                ) => {}
                ("ethernet" | "802-3-ethernet", "mac-address") => link.mac = word.parse().ok(),
                ("ethernet" | "802-3-ethernet", "cloned-mac-address") => {
                    set("macaddress", json!(word.to_ascii_lowercase()));
                }
                ("ethernet" | "802-3-ethernet" | "loopback", "mtu") => link.mtu = word.parse().ok(),
                ("vlan", "id") => set("id", json!(word.parse::<u16>().ok())),
                ("vlan" | "vxlan", "parent") => set("link", json!(named(word))),
                ("vlan", "flags") => {}
                ("vrf", "table") => set("table", json!(word.parse::<u32>().ok())),
                ("vxlan", "id") => set("vni", json!(word.parse::<u32>().ok())),
                ("vxlan", "remote") => set("remote", json!(word)),
                ("vxlan", "destination-port") if word == "4789" => {}
                ("vxlan", "destination-port") => set("port", json!(word.parse::<u16>().ok())),
                ("vxlan", "local") => {}
                ("bridge", "stp") => set("stp", json!(word == "true")),
                ("bridge", "vlan-filtering") => set("vlan-filtering", json!(word == "true")),
                ("bridge", "priority") => set("priority", json!(word.parse::<u16>().ok())),
                ("bridge", "forward-delay" | "hello-time" | "max-age" | "ageing-time") => {
                    set(&line.key, json!(super::duration(word, 1000)));
                }
                ("bond", "mode" | _) if line.section == "bond" => {
                    match super::bond_setting(BondWords::NetworkManager, &line.key, word) {
                        Ok(setting) => set(&setting.key, setting.value),
                        Err(reason) => read.report(&line.place, line.text(), reason),
                    }
                }
                ("ipv4" | "ipv6", key) => ip(&mut read, &mut link, &mut routes, line, key),
                ("proxy", _) => {}
                _ => read.report(&line.place, line.text(), Reason::NoCounterpart),
            }
        }
        // NetworkManager's own default.
        if section == "bridges" {
            link.keys.entry("stp").or_insert_with(|| json!(true));
        }
        for (key, route) in routes {
            match route_of(route) {
                Ok(route) => link.routes.push(route),
                Err(error) => {
                    read.report(&place(&file.name, 1), key, Reason::Value(error));
                }
            }
        }
        read.meaning.links.insert(name, link);
    }
    super::join_members(&mut read, members);
    Ok(read)
}

fn name_of(file: &Source, lines: &[Line]) -> String {
    let named =
        value(lines, "connection", "interface-name").or_else(|| value(lines, "connection", "id"));
    let base = file.name.rsplit('/').next().unwrap_or_default();
    named.unwrap_or_else(|| base.trim_end_matches(".nmconnection")).to_owned()
}

fn ip(
    read: &mut Read,
    link: &mut Link,
    routes: &mut BTreeMap<String, Map<String, Value>>,
    line: &Line,
    key: &str,
) {
    let word = line.value.as_str();
    let digits = key.trim_start_matches(|c: char| !c.is_ascii_digit());
    let numbered = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let list =
        || word.split([';', ',']).map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned);
    let gateway = |link: &mut Link, via: &str| {
        let route = route_of(Map::from_iter([("via".to_owned(), json!(via))]));
        link.routes.extend(route.ok());
    };
    match (key, numbered) {
        ("method", _) => {
            let is_learned = word == "auto" || word == "dhcp";
            match line.section.as_str() {
                "ipv4" if is_learned => drop(link.keys.insert("dhcp4".into(), json!(true))),
                "ipv6" if word == "dhcp" => drop(link.keys.insert("dhcp6".into(), json!(true))),
                _ => {}
            }
        }
        ("addresses", _) | (_, "address") => {
            let mut words = list();
            match words.next().unwrap_or_default().parse() {
                Ok(address) => link.addresses.push(address),
                Err(_) => read.report(&line.place, line.text(), Reason::NotAnAddress),
            }
            if let Some(via) = words.next() {
                gateway(link, &via);
            }
        }
        ("gateway", _) => gateway(link, word),
        ("dns", _) => link.dns.extend(list()),
        ("dns-search", _) => link.domains.extend(list()),
        (_, "route") => {
            let route = routes.entry(format!("{}{digits}", line.section)).or_default();
            for (key, word) in ["to", "via", "metric"].iter().zip(list()) {
                let number = word.parse::<i64>().map(|number| json!(number));
                route.insert((*key).to_owned(), number.unwrap_or_else(|_| json!(word)));
            }
        }
        _ if numbered.starts_with("route") && key.ends_with("_options") => {
            let digits: String = key.chars().filter(char::is_ascii_digit).collect();
            let route = routes.entry(format!("{}{digits}", line.section)).or_default();
            for (name, word) in list()
                .filter_map(|one| one.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())))
            {
                let key = match name.as_str() {
                    "table" => "table",
                    "mtu" => "mtu",
                    "src" => "from",
                    "type" => "type",
                    "onlink" => {
                        route.insert("on-link".into(), json!(word == "true"));
                        continue;
                    }
                    _ => {
                        read.report(&line.place, line.text(), Reason::NoCounterpart);
                        continue;
                    }
                };
                let number = word.parse::<i64>().map(|number| json!(number));
                route.insert(key.to_owned(), number.unwrap_or_else(|_| json!(word)));
            }
        }
        (_, "routing-rule") => match super::rule_words(word) {
            Ok(rule) => link.rules.push(rule),
            Err(error) => read.report(&line.place, line.text(), Reason::Value(error)),
        },
        (
            "addr-gen-mode" | "ip6-privacy" | "may-fail" | "dhcp-client-id" | "link-local"
            | "never-default",
            _,
        ) => {}
        ("ignore-auto-dns" | "ignore-auto-routes", _) if word == "false" => {}
        _ => read.report(&line.place, line.text(), Reason::NoCounterpart),
    }
}
