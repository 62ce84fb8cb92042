//! `/etc/network/interfaces` of ifupdown and ifupdown2 (interfaces(5)). Pure.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::Read;
use super::meaning::Link;
use super::netplan::route_of;
use crate::import::draft::place;
use crate::import::{ImportError, Place, Reason, Source};
use crate::model::{PortSpec, VlanIds};
use crate::network::BondWords;

/// A line of a stanza.
struct Setting {
    place: Place,
    key: String,
    value: String,
    text: String,
}

/// Reads the files of one host.
pub(super) fn read(files: &[&Source]) -> Result<Read, ImportError> {
    let mut read = Read::default();
    let mut members: Vec<(String, String)> = Vec::new();
    let mut vlans: BTreeMap<String, PortSpec> = BTreeMap::new();
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
    ports(&mut read, &vlans);
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
        _ => "nics",
    }
}

/// The link below and the id of `eth0.120`.
fn vlan_of(name: &str) -> Option<(&str, u16)> {
    let (parent, id) = name.rsplit_once('.')?;
    Some((parent, id.parse().ok()?))
}

/// The VLANs of ports: their own, or those of the bridge, which has VLAN 1 without a tag.
fn ports(read: &mut Read, vlans: &BTreeMap<String, PortSpec>) {
    for (name, link) in &mut read.meaning.links {
        if link.keys.get("vlan-filtering") != Some(&json!(true)) {
            continue;
        }
        let of_bridge = vlans.get(name);
        let mut all = Map::new();
        for port in link.members() {
            let Some(spec) = vlans.get(port).or(of_bridge) else { continue };
            let mut spec = spec.clone();
            let native = spec.pvid.or_else(|| of_bridge.and_then(|bridge| bridge.pvid));
            let native = native.unwrap_or(1);
            spec.pvid = Some(native);
            spec.untagged = [native].into_iter().collect();
            spec.tagged = spec.tagged.without(&spec.untagged);
            all.insert(port.to_owned(), json!(spec));
        }
        if !all.is_empty() {
            link.keys.insert("ports".into(), Value::Object(all));
        }
    }
}

fn finish(
    read: &mut Read,
    members: &mut Vec<(String, String)>,
    vlans: &mut BTreeMap<String, PortSpec>,
    stanza: Option<(String, Place, Vec<Setting>)>,
) {
    let Some((name, at, options)) = stanza else { return };
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
                _ => {}
            },
            "netmask" | "broadcast" | "network" => {}
            "address" => match address(word, netmask.as_deref()) {
                Some(address) => link.addresses.push(address),
                None => read.report(&option.place, option.text.clone(), Reason::NotAnAddress),
            },
            "gateway" => match route_of(Map::from_iter([("via".to_owned(), json!(word))])) {
                Ok(route) => link.routes.push(route),
                Err(error) => read.report(&option.place, option.text.clone(), Reason::Value(error)),
            },
            "mtu" => link.mtu = word.parse().ok(),
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
                        ids.iter().for_each(|ids| port.tagged.extend(ids))
                    }
                    ("bridge-pvid" | "bridge-access", _, Some(id)) => port.pvid = Some(id),
                    _ => read.report(&option.place, option.text.clone(), Reason::NoCounterpart),
                }
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
            // What takes away again what `up` adds.
            "down" | "pre-down" if word.contains("route del") => {}
            _ => read.report(&option.place, option.text.clone(), Reason::NoCounterpart),
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
