//! NetworkManager's keyfiles (nm-settings-keyfile(5)). Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::counterparts::reason;
use super::ini::{Line, lines, value};
use super::meaning::Link;
use super::netplan::route_of;
use super::{Dialect, Read};
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
    let mut parsed: Vec<(&Source, Vec<Line>)> = Vec::new();
    for &file in files {
        let found = lines(file);
        for stray in found.strays {
            read.report(&stray.place, stray.text, Reason::NotALine);
        }
        parsed.push((file, found.lines));
    }
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
                let text = format!("connection of the type {kind}");
                read.leave_link(&at, &name, text, left(&format!("type.{kind}")));
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
                    | "timestamp"
                    | "wait-device-timeout",
                ) => {}
                ("connection", "autoconnect") if word == "true" => {}
                ("connection", "permissions") if word.is_empty() => {}
                ("connection", "lldp") if matches!(word, "-1" | "0" | "default" | "disable") => {}
                ("connection", "lldp") => drop(link.quiet.insert("lldp".into(), json!(true))),
                ("ethernet" | "802-3-ethernet", "mac-address") => link.mac = word.parse().ok(),
                ("ethernet" | "802-3-ethernet", "cloned-mac-address") => {
                    set("macaddress", json!(word.to_ascii_lowercase()));
                }
                ("ethernet" | "802-3-ethernet" | "loopback" | "infiniband", "mtu") => {
                    // 0 is the driver's own.
                    link.mtu = word.parse().ok().filter(|mtu| *mtu != 0);
                }
                ("vlan", "id") => set("id", json!(word.parse::<u16>().ok())),
                ("vlan" | "vxlan", "parent") => set("link", json!(named(word))),
                ("vlan", "flags") if matches!(word, "0" | "1") => {}
                ("vlan", "protocol") if word.eq_ignore_ascii_case("802.1q") => {}
                ("vlan", "protocol") => set("protocol", json!(word.to_ascii_lowercase())),
                ("vrf", "table") => set("table", json!(word.parse::<u32>().ok())),
                ("vxlan", "id") => set("vni", json!(word.parse::<u32>().ok())),
                ("vxlan", "remote") => set("remote", json!(word)),
                ("vxlan", "destination-port") if word == "4789" => {}
                ("vxlan", "destination-port") => set("port", json!(word.parse::<u16>().ok())),
                // That of the link below.
                ("vxlan", "local") => {}
                ("vxlan", "learning") => set("mac-learning", json!(word == "true")),
                ("bridge", "stp") => set("stp", json!(word == "true")),
                ("bridge", "multicast-snooping" | "multicast-querier") => {
                    set(&line.key, json!(word == "true"));
                }
                ("bridge", "vlan-default-pvid") => {
                    set("default-pvid", json!(word.parse::<u16>().ok()))
                }
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
                (section, key) => {
                    let section = if section == "802-3-ethernet" { "ethernet" } else { section };
                    read.report(&line.place, line.text(), left(&format!("{section}.{key}")));
                }
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

/// Why a word is not taken over.
fn left(word: &str) -> Reason {
    reason(Dialect::NetworkManager, word)
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
    let group = if line.section == "ipv4" { "dhcp4-overrides" } else { "ra-overrides" };
    let learned = |link: &mut Link, key: &str, value: Value| {
        let keys = link.quiet.entry(group).or_insert_with(|| json!({}));
        keys[key] = value;
    };
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
                "ipv6" if word == "auto" => {
                    drop(link.quiet.insert("accept-ra".into(), json!(true)))
                }
                family if word == "link-local" => {
                    drop(link.quiet.insert("link-local".into(), json!([family])))
                }
                _ if matches!(word, "manual" | "disabled" | "ignore") => {}
                _ => read.report(&line.place, line.text(), Reason::NoCounterpart),
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
        ("ignore-auto-dns" | "ignore-auto-routes" | "never-default", _) if word == "false" => {}
        ("ignore-auto-dns", _) => learned(link, "use-dns", json!(false)),
        ("ignore-auto-routes", _) => learned(link, "use-routes", json!(false)),
        ("dhcp-send-hostname", _) if matches!(word, "true" | "1" | "-1") => {}
        ("dhcp-send-hostname", _) => learned(link, "send-hostname", json!(false)),
        ("route-metric", _) if word == "-1" => {}
        ("route-metric", _) if word.parse::<u32>().is_ok() => {
            learned(link, "route-metric", json!(word.parse::<u32>().ok()));
        }
        // What NetworkManager does where nothing is said, and what networkd does.
        ("addr-gen-mode", _) if matches!(word, "default" | "default-or-eui64" | "eui64" | "0") => {}
        ("addr-gen-mode", _) if matches!(word, "stable-privacy" | "1") => {
            let mode = json!("stable-privacy");
            link.quiet.insert("ipv6-address-generation".into(), mode);
        }
        ("ip6-privacy", _) if matches!(word, "-1" | "0") => {}
        ("ip6-privacy", _) if matches!(word, "1" | "2") => {
            let choice = if word == "1" { json!("prefer-public") } else { json!(true) };
            link.quiet.insert("ipv6-privacy".into(), choice);
        }
        ("token", _) => drop(link.quiet.insert("ipv6-token".into(), json!(word))),
        ("may-fail", _) if word == "true" => {}
        ("link-local", _) if matches!(word, "0" | "default" | "auto") => {}
        // That is what rackstrap's profiles say where nothing else is said.
        ("dhcp-client-id", _) if word == "mac" => {}
        ("dhcp-client-id", _) if word == "duid" => {
            drop(link.quiet.insert("dhcp-identifier".into(), json!("duid")))
        }
        ("dhcp-vendor-class-identifier", _) => {
            read.caption(link, "vendor-class", word, &line.place)
        }
        _ => {
            read.report(&line.place, line.text(), left(&format!("{}.{key}", line.section)));
        }
    }
}
