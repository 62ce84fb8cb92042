//! What a network comes to, whoever wrote it: links, addresses, routes, rules. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::import::Place;
use crate::model::{Destination, Mac, RouteSpec, RuleSpec, VlanProtocol};
use crate::network::{HostNetwork, Kind, Role};

/// The network of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// By name.
    pub(crate) links: BTreeMap<String, Link>,
}

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Where it is written; none of one that was rendered.
    pub(crate) place: Option<Place>,
    /// The key of a profile that holds such links.
    pub(crate) section: &'static str,
    /// The MAC that a NIC is found by.
    pub(crate) mac: Option<Mac>,
    /// What is particular to its kind, in the words of a profile.
    pub(crate) keys: Map<String, Value>,
    /// Keys that say how it comes up, and not what it means.
    pub(crate) quiet: Map<String, Value>,
    pub(crate) mtu: Option<u32>,
    pub(crate) addresses: Vec<IpNet>,
    pub(crate) routes: Vec<RouteSpec>,
    pub(crate) rules: Vec<RuleSpec>,
    pub(crate) dns: Vec<String>,
    pub(crate) domains: Vec<String>,
}

/// Settings of a link that change what it means, besides those with a field of their own.
const SETTINGS: [&str; 4] = ["dhcp4", "dhcp6", "macaddress", "accept-ra"];

impl Link {
    /// The links that it has taken in.
    pub(crate) fn members(&self) -> Vec<&str> {
        let members = self.keys.get("nics").or_else(|| self.keys.get("interfaces"));
        members.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The link below a VLAN.
    pub(crate) fn parent(&self) -> Option<&str> {
        self.keys.get("link").and_then(Value::as_str)
    }

    /// Default routes that say nothing but their router.
    pub(crate) fn gateways(&self) -> impl Iterator<Item = std::net::IpAddr> {
        self.routes.iter().filter(|route| is_plain_default(route)).filter_map(|route| route.via)
    }
}

pub(crate) fn is_plain_default(route: &RouteSpec) -> bool {
    route.via.is_some()
        && *route == RouteSpec { via: route.via, ..RouteSpec::to(Destination::Default) }
}

impl Meaning {
    /// The meaning of a network of the inventory.
    pub(crate) fn of(network: &HostNetwork) -> Self {
        let mut meaning = Self::default();
        let managed = network
            .links
            .values()
            .filter(|link| !matches!(link.role, Role::Unused | Role::Unmanaged));
        for link in managed {
            let spec = match &link.kind {
                Kind::Bond(spec) => json!(spec),
                Kind::Bridge(spec) => json!(spec),
                Kind::Vxlan { spec, .. } => json!(spec),
                Kind::Macvlan(spec) => json!(spec),
                Kind::Ipvlan(spec) => json!(spec),
                Kind::Vlan { parent, id, protocol, qos } => {
                    let protocol = Some(protocol).filter(|one| **one != VlanProtocol::default());
                    json!({"link": parent, "id": id, "protocol": protocol,
                           "ingress-qos": qos.ingress, "egress-qos": qos.egress})
                }
                Kind::Tunnel { spec, .. } => json!(spec),
                Kind::Veth { peer, .. } => json!({"peer": peer}),
                Kind::Vrf(table) => {
                    let members: Vec<&str> =
                        network.members(&link.name).map(|member| member.name.as_str()).collect();
                    json!({"interfaces": members, "table": table})
                }
                _ => json!({}),
            };
            let settings = json!(link.settings);
            let mut keys = Map::new();
            for (key, value) in spec.as_object().into_iter().flatten() {
                // Those that all links share are in the settings.
                if settings.get(key).is_none() || key == "interfaces" || key == "table" {
                    keys.insert(key.clone(), value.clone());
                }
            }
            for key in SETTINGS {
                if let Some(value) = settings.get(key).filter(|_| key != "accept-ra") {
                    keys.insert(key.to_owned(), value.clone());
                }
            }
            if let Some(mac) = link.mac {
                keys.insert("macaddress".to_owned(), json!(mac));
            }
            let gateways = link.layer3.gateways.iter();
            let gateways = gateways
                .map(|via| RouteSpec { via: Some(*via), ..RouteSpec::to(Destination::Default) });
            let own = Link {
                place: None,
                section: link.kind.section(),
                mac: match link.kind {
                    Kind::Nic(Some(nic)) => nic.mac(),
                    _ => None,
                },
                keys,
                quiet: Map::new(),
                mtu: link.settings.mtu,
                addresses: link.all_addresses().collect(),
                routes: gateways.chain(link.layer3.routes.iter().cloned()).collect(),
                rules: link.layer3.rules.clone(),
                dns: link.layer3.dns.iter().map(ToString::to_string).collect(),
                domains: link.layer3.domains.clone(),
            };
            meaning.links.insert(link.name.clone(), own);
        }
        meaning
    }

    /// The MTU that a link has in the end: the kernel gives a VLAN its parent's, and a member of
    /// a bond the bond's.
    pub(crate) fn mtu(&self, name: &str) -> u32 {
        self.mtu_within(name, self.links.len() + 1)
    }

    fn mtu_within(&self, name: &str, depth: usize) -> u32 {
        const USUAL: u32 = 1500;
        let Some(link) = self.links.get(name).filter(|_| depth > 0) else { return USUAL };
        if let Some((bond, _)) = self
            .links
            .iter()
            .find(|(_, other)| other.section == "bonds" && other.members().contains(&name))
        {
            return self.mtu_within(bond, depth - 1);
        }
        if let Some(mtu) = link.mtu {
            return mtu;
        }
        match link.section {
            "vlans" => link.parent().map_or(USUAL, |parent| self.mtu_within(parent, depth - 1)),
            "bridges" => {
                let ports = link.members();
                let of_ports = ports.iter().map(|port| self.mtu_within(port, depth - 1));
                of_ports.min().unwrap_or(USUAL)
            }
            _ => USUAL,
        }
    }

    /// What differs between two networks.
    pub(crate) fn differences(&self, other: &Self) -> Vec<MeaningDifference> {
        let names: BTreeSet<&String> = self.links.keys().chain(other.links.keys()).collect();
        names.into_iter().flat_map(|name| self.link_differences(other, name)).collect()
    }

    fn link_differences(&self, other: &Self, name: &str) -> Vec<MeaningDifference> {
        let (before, after) = (self.facts(name), other.facts(name));
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut found = Vec::new();
        for key in keys {
            let of = |facts: &BTreeMap<String, BTreeSet<String>>| {
                facts.get(key).cloned().unwrap_or_default()
            };
            let (before, after) = (of(&before), of(&after));
            if before == after {
                continue;
            }
            found.push(MeaningDifference {
                link: name.to_owned(),
                fact: key.clone(),
                removed: before.difference(&after).cloned().collect(),
                added: after.difference(&before).cloned().collect(),
            });
        }
        found
    }

    /// Whether a MAC is that of a NIC of the host.
    fn is_of_nic(&self, mac: &Value) -> bool {
        let mac = mac.as_str().and_then(|mac| mac.parse::<Mac>().ok());
        mac.is_some() && self.links.values().any(|link| link.mac == mac)
    }

    /// What can be said of a link, each fact with its values.
    fn facts(&self, name: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut facts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let Some(link) = self.links.get(name) else { return facts };
        // What it is, is for another program to say.
        if link.quiet.get("unmanaged") == Some(&json!(true)) {
            return facts;
        }
        // Every host has a loopback.
        if link.section == "loopbacks" && link.addresses.is_empty() && link.routes.is_empty() {
            return facts;
        }
        let mut say = |fact: &str, value: String| {
            facts.entry(fact.to_owned()).or_default().insert(value);
        };
        say("kind", link.section.trim_end_matches('s').to_owned());
        say("mtu", self.mtu(name).to_string());
        let is_lacp = link.keys.get("mode").is_some_and(|mode| *mode == json!("802.3ad"));
        if is_lacp && !link.keys.contains_key("transmit-hash-policy") {
            say("transmit-hash-policy", "layer2".to_owned());
        }
        if let Some(mac) = link.mac {
            say("mac", mac.to_string());
        }
        for (key, value) in link.keys.iter().filter(|(_, value)| !is_nothing(value)) {
            match (key.as_str(), value) {
                // To the kernel 1 is as 0.
                ("min-links", value) if value.as_u64().is_some_and(|links| links <= 1) => continue,
                // The kernel gives a bond and a bridge the MAC of a NIC below by itself.
                ("macaddress", value) if self.is_of_nic(value) => continue,
                ("macaddress", _) if link.section == "vxlans" => continue,
                ("port", value) if link.section == "vxlans" && *value == json!(4789) => continue,
                _ => {}
            }
            match value {
                Value::Array(items) => items.iter().for_each(|item| say(key, shown(item))),
                value => say(key, shown(value)),
            }
        }
        link.addresses.iter().for_each(|address| say("address", address.to_string()));
        for route in &link.routes {
            let mut route = route.clone();
            // One part is what a router has where nothing is said.
            for hop in &mut route.next_hops {
                hop.weight = hop.weight.filter(|weight| *weight != 1);
            }
            say("route", shown_map(&json!(route)));
        }
        link.rules.iter().for_each(|rule| say("rule", shown_map(&json!(rule))));
        link.dns.iter().for_each(|server| say("dns", server.clone()));
        link.domains.iter().for_each(|domain| say("domain", domain.clone()));
        facts
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(keys) => keys.is_empty(),
        _ => false,
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `to default via 10.0.0.1`.
fn shown_map(value: &Value) -> String {
    let keys = value.as_object().into_iter().flatten();
    keys.map(|(key, value)| format!("{key} {}", shown(value))).collect::<Vec<_>>().join(" ")
}

/// One fact of a link that differs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct MeaningDifference {
    pub(crate) link: String,
    pub(crate) fact: String,
    pub(crate) removed: Vec<String>,
    pub(crate) added: Vec<String>,
}

impl fmt::Display for MeaningDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.removed.iter().map(|value| ('-', value));
        let lines = lines.chain(self.added.iter().map(|value| ('+', value)));
        for (index, (sign, value)) in lines.enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{sign} {}: {} {value}", self.link, self.fact)?;
        }
        Ok(())
    }
}
