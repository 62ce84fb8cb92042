//! `/etc/network/interfaces` of ifupdown and ifupdown2 (interfaces(5)). Pure.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::counterparts::reason;
use super::meaning::Link;
use super::netplan::route_of;
use super::{Dialect, Read, rule_words};
use crate::import::draft::place;
use crate::import::{ImportError, Place, Reason, Source};
use crate::model::{PortSpec, RuleSpec, VlanIds};
use crate::network::BondWords;

/// A line of a stanza.
struct Setting {
    place: Place,
    key: String,
    value: String,
    text: String,
}

/// What the VLANs of a port are said by.
#[derive(Default)]
struct PortVlans {
    spec: PortSpec,
    lines: Vec<(Place, String)>,
}

/// Why a word is not taken over.
fn left(word: &str) -> Reason {
    reason(Dialect::Ifupdown, word)
}

/// Reads the files of one host.
pub(super) fn read(files: &[&Source]) -> Result<Read, ImportError> {
    let mut read = Read::default();
    let mut members: Vec<(String, String)> = Vec::new();
    let mut vlans: BTreeMap<String, PortVlans> = BTreeMap::new();
    for file in files {
        let mut current: Option<(String, Place, Vec<Setting>)> = None;
        let text = file.text.replace("\\\n", " ");
        for (index, raw) in text.lines().enumerate() {
            let line = raw.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = place(&file.name, index + 1);
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim();
            match key {
                "auto" | "allow-hotplug" | "allow-auto" | "no-auto-down" => {}
                "source" | "source-directory" | "mapping" => {
                    read.report(&at, line.to_owned(), Reason::NotGiven);
                }
                "iface" => {
                    finish(&mut read, &mut members, &mut vlans, current.take());
                    let mut words = value.split_whitespace();
                    let name = words.next().unwrap_or_default().to_owned();
                    let family = words.next().unwrap_or("inet").to_owned();
                    let method = words.next().unwrap_or("static").to_owned();
                    let method = Setting {
                        place: at.clone(),
                        key: "method".into(),
                        value: format!("{family} {method}"),
                        text: line.to_owned(),
                    };
                    current = Some((name, at, vec![method]));
                }
                key => match &mut current {
                    Some((_, _, options)) => options.push(Setting {
                        place: at,
                        key: key.replace('_', "-"),
                        value: value.to_owned(),
                        text: line.to_owned(),
                    }),
                    None => read.report(&at, line.to_owned(), Reason::NoCounterpart),
                },
            }
        }
        finish(&mut read, &mut members, &mut vlans, current);
    }
    super::join_members(&mut read, members);
    ports(&mut read, vlans);
    Ok(read)
}

/// What a link is, by its options and by its name.
fn section_of(name: &str, options: &[Setting]) -> &'static str {
    let has = |key: &str| options.iter().any(|option| option.key == key);
    match name {
        "lo" => "loopbacks",
        _ if has("bond-slaves") || has("bond-mode") => "bonds",
        _ if has("bridge-ports") => "bridges",
        _ if has("vrf-table") => "vrfs",
        _ if has("vlan-raw-device") || vlan_of(name).is_some() => "vlans",
        _ if is_dummy(options) => "dummies",
        _ => "nics",
    }
}

fn is_dummy(options: &[Setting]) -> bool {
    options.iter().any(|option| option.key == "link-type" && option.value == "dummy")
}

/// What a stanza is of that is not read: a tunnel, a port of Open vSwitch, WireGuard.
fn unread(options: &[Setting]) -> Option<&Setting> {
    let is_unread = |option: &&Setting| {
        let word = option.value.as_str();
        match option.key.as_str() {
            "method" => !matches!(
                word,
                "inet static"
                    | "inet manual"
                    | "inet dhcp"
                    | "inet loopback"
                    | "inet6 static"
                    | "inet6 manual"
                    | "inet6 dhcp"
                    | "inet6 auto"
                    | "inet6 loopback"
            ),
            "link-type" => word != "dummy",
            "ovs-type" | "vxlan-id" | "tunnel-mode" => true,
            "pre-up" | "up" => word.contains("type wireguard") || word.starts_with("wg-quick"),
            _ => false,
        }
    };
    options.iter().find(is_unread)
}

/// The link below and the id of `eth0.120`.
fn vlan_of(name: &str) -> Option<(&str, u16)> {
    let (parent, id) = name.rsplit_once('.')?;
    Some((parent, id.parse().ok()?))
}

/// The VLANs of ports: their own, or those of the bridge, which has VLAN 1 without a tag. A VLAN on the
/// bridge is one of the bridge's own side, to which ifupdown2 adds it by itself.
fn ports(read: &mut Read, mut vlans: BTreeMap<String, PortVlans>) {
    let links = &mut read.meaning.links;
    let mut on: Vec<(String, u16)> = Vec::new();
    for link in links.values().filter(|link| link.section == "vlans") {
        let id = link.keys.get("id").and_then(Value::as_u64).and_then(|id| u16::try_from(id).ok());
        on.extend(link.parent().map(str::to_owned).zip(id));
    }
    for (name, link) in links {
        if link.keys.get("vlan-filtering") != Some(&json!(true)) {
            continue;
        }
        let of_bridge = vlans.remove(name);
        let mut all = Map::new();
        for port in link.members() {
            let own = vlans.remove(port);
            let Some(PortVlans { mut spec, .. }) = own.or_else(|| {
                of_bridge.as_ref().map(|of| PortVlans { spec: of.spec.clone(), lines: Vec::new() })
            }) else {
                continue;
            };
            let native = spec.pvid.or_else(|| of_bridge.as_ref().and_then(|of| of.spec.pvid));
            let native = native.unwrap_or(1);
            spec.pvid = Some(native);
            spec.untagged = [native].into_iter().collect();
            spec.tagged = spec.tagged.without(&spec.untagged);
            all.insert(port.to_owned(), json!(spec));
        }
        let tagged: VlanIds =
            on.iter().filter(|(parent, _)| parent == name).map(|(_, id)| *id).collect();
        if !tagged.is_empty() {
            all.insert(name.clone(), json!(PortSpec { tagged, ..PortSpec::default() }));
        }
        if !all.is_empty() {
            link.keys.insert("ports".into(), Value::Object(all));
        }
    }
    for (place, text) in vlans.into_values().flat_map(|of| of.lines) {
        read.report(&place, text, Reason::NotFiltered);
    }
}

fn finish(
    read: &mut Read,
    members: &mut Vec<(String, String)>,
    vlans: &mut BTreeMap<String, PortVlans>,
    stanza: Option<(String, Place, Vec<Setting>)>,
) {
    let Some((name, at, options)) = stanza else { return };
    if let Some(option) = unread(&options) {
        let word = match (option.key.as_str(), option.value.as_str()) {
            ("link-type", kind) => format!("link-type.{kind}"),
            ("pre-up" | "up", _) => "wireguard".to_owned(),
            (key, _) => key.to_owned(),
        };
        let text = format!("{name}: {}", option.text);
        return read.leave_link(&option.place, &name, text, left(&word));
    }
    let mut link = read.meaning.links.remove(&name).unwrap_or_else(|| Link {
        place: Some(at),
        section: section_of(&name, &options),
        ..Link::default()
    });
    if link.section == "vlans" && link.keys.get("id").is_none() {
        let by_name = vlan_of(&name);
        let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
        let id = by_name.map(|(_, id)| id).or_else(|| digits.parse().ok());
        link.keys.insert("id".into(), json!(id));
        if let Some((parent, _)) = by_name {
            link.keys.insert("link".into(), json!(parent));
        }
    }
    let netmask =
        options.iter().find(|option| option.key == "netmask").map(|option| option.value.clone());
    for option in &options {
        let word = option.value.as_str();
        let list = || word.split_whitespace().filter(|one| *one != "none").map(str::to_owned);
        match option.key.as_str() {
            "method" => match word {
                "inet dhcp" => drop(link.keys.insert("dhcp4".into(), json!(true))),
                "inet6 dhcp" => drop(link.keys.insert("dhcp6".into(), json!(true))),
                "inet6 auto" => drop(link.quiet.insert("accept-ra".into(), json!(true))),
                // Those that are read no further, by `unread`.
                _ => {}
            },
            "link-type" => {}
            "netmask" | "broadcast" | "network" => {}
            "address" => match address(word, netmask.as_deref()) {
                Some(address) => link.addresses.push(address),
                None => read.report(&option.place, option.text.clone(), Reason::NotAnAddress),
            },
            "gateway" => match route_of(Map::from_iter([("via".to_owned(), json!(word))])) {
                Ok(route) => link.routes.push(route),
                Err(error) => read.report(&option.place, option.text.clone(), Reason::Value(error)),
            },
            "mtu" if word.parse::<u32>().is_ok() => link.mtu = word.parse().ok(),
            "hwaddress" => {
                let mac = word.trim_start_matches("ether").trim().to_ascii_lowercase();
                link.keys.insert("macaddress".into(), json!(mac));
            }
            "dns-nameservers" => link.dns.extend(list()),
            "dns-search" | "dns-domain" => link.domains.extend(list()),
            "bond-slaves" | "bridge-ports" => {
                members.extend(list().map(|member| (name.clone(), member)));
            }
            "bond-master" | "vrf" => members.push((word.to_owned(), name.clone())),
            "vrf-table" if word.parse::<u32>().is_ok() => {
                drop(link.keys.insert("table".into(), json!(word.parse::<u32>().ok())))
            }
            "vlan-raw-device" => drop(link.keys.insert("link".into(), json!(word))),
            "vlan-id" => drop(link.keys.insert("id".into(), json!(word.parse::<u16>().ok()))),
            "bridge-stp" => {
                link.keys.insert("stp".into(), json!(matches!(word, "on" | "yes")));
            }
            // Where nothing spans a tree there is no delay, and a tree has one of two seconds at least.
            "bridge-fd" if word.parse() == Ok(0.0) => {}
            "bridge-fd" => {
                drop(link.keys.insert("forward-delay".into(), json!(super::duration(word, 1000))))
            }
            "bridge-vids" | "bridge-pvid" | "bridge-access" => {
                let ids: Option<Vec<VlanIds>> = list().map(|one| one.parse().ok()).collect();
                let port = vlans.entry(name.clone()).or_default();
                match (option.key.as_str(), ids, word.parse().ok()) {
                    ("bridge-vids", Some(ids), _) => {
                        ids.iter().for_each(|ids| port.spec.tagged.extend(ids))
                    }
                    ("bridge-pvid" | "bridge-access", _, Some(id)) => port.spec.pvid = Some(id),
                    _ => {
                        read.report(&option.place, option.text.clone(), Reason::NoCounterpart);
                        continue;
                    }
                }
                port.lines.push((option.place.clone(), option.text.clone()));
            }
            "bridge-vlan-aware" => {
                link.keys.insert("vlan-filtering".into(), json!(word == "yes"));
            }
            key if key.starts_with("bond-") => {
                match super::bond_setting(BondWords::Ifupdown2, key, word) {
                    Ok(setting) => drop(link.keys.insert(setting.key, setting.value)),
                    Err(reason) => read.report(&option.place, option.text.clone(), reason),
                }
            }
            "up" | "post-up" if route_words(word).is_some() => {
                link.routes.extend(route_words(word));
            }
            "up" | "post-up" if rule_added(word).is_some() => {
                link.rules.extend(rule_added(word));
            }
            // What takes away again what `up` adds.
            "down" | "pre-down" | "post-down"
                if word.contains("route del") || word.contains("rule del") => {}
            word => read.report(&option.place, option.text.clone(), left(word)),
        }
    }
    read.meaning.links.insert(name, link);
}

fn address(word: &str, netmask: Option<&str>) -> Option<IpNet> {
    if let Ok(net) = word.parse() {
        return Some(net);
    }
    let address = word.parse().ok()?;
    match netmask {
        None => Some(IpNet::from(address)),
        Some(mask) => match mask.parse::<u8>() {
            Ok(length) => IpNet::new(address, length).ok(),
            Err(_) => IpNet::with_netmask(address, mask.parse().ok()?).ok(),
        },
    }
}

/// `ip rule add from 10.0.0.5 table 100`.
fn rule_added(command: &str) -> Option<RuleSpec> {
    let (head, rest) = command.split_once(" add ")?;
    let words: Vec<&str> = head.split_whitespace().collect();
    let is_rule = matches!(words[..], ["ip" | "/sbin/ip" | "/bin/ip", "rule" | "ru"]);
    rule_words(rest).ok().filter(|_| is_rule)
}

/// `ip route add 10.8.0.0/16 via 10.0.0.9 metric 5`.
fn route_words(command: &str) -> Option<crate::model::RouteSpec> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let ["ip" | "/sbin/ip" | "/bin/ip", "route" | "ro" | "r", "add" | "replace", rest @ ..] =
        words.as_slice()
    else {
        return None;
    };
    let mut keys = Map::from_iter([("to".to_owned(), json!(rest.first()?))]);
    for pair in rest[1..].chunks(2) {
        let [key, word] = pair else { return None };
        let key = match *key {
            "dev" => continue,
            "via" | "metric" | "table" | "mtu" => key,
            "src" => &"from",
            _ => return None,
        };
        let number = word.parse::<i64>().map(|number| json!(number));
        keys.insert((*key).to_owned(), number.unwrap_or_else(|_| json!(word)));
    }
    route_of(keys).ok()
}
