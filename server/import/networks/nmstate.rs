//! nmstate's YAML, as people write it and as `nmstatectl show` prints it (nmstate's examples and
//! API). Pure.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::counterparts::reason;
use super::meaning::Link;
use super::netplan::route_of;
use super::{Dialect, Read, rule_of};
use crate::import::draft::place;
use crate::import::{ImportError, Place, Reason, Source};
use crate::model::{NextHop, PortSpec, RouteSpec};
use crate::network::BondWords;
use crate::tree::{self, Content, Key, Node};

fn entries(node: &Node) -> &[(Key, Arc<Node>)] {
    node.entries().unwrap_or_default()
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    entries(node).iter().find(|(key, _)| key.text == name).map(|(_, value)| value.as_ref())
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

fn text<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    field(node, name).and_then(scalar)
}

fn items(node: Option<&Node>) -> &[Arc<Node>] {
    match node.map(|node| &node.content) {
        Some(Content::List(items)) => items,
        _ => &[],
    }
}

fn texts(node: Option<&Node>) -> Vec<&str> {
    items(node).iter().filter_map(|one| scalar(one)).collect()
}

fn is_on(word: &str) -> bool {
    matches!(word, "true" | "yes" | "on" | "1")
}

/// A number, decimal or hexadecimal as nmstate prints marks.
fn number(word: &str) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// Why a word is not taken over.
fn left(word: &str) -> Reason {
    reason(Dialect::Nmstate, word)
}

/// Reads the files of one host.
pub(super) fn read(files: &[&Source]) -> Result<Read, ImportError> {
    let mut read = Read::default();
    for file in files {
        let root = tree::parse(&file.text).map_err(|refusal| ImportError::Syntax {
            place: place(&file.name, refusal.position.unwrap_or_default().line),
            message: refusal.told(),
        })?;
        let is_shown = is_shown(&root);
        let mut reader =
            Reader { read: &mut read, file, is_shown, unbound: Vec::new(), weighted: Vec::new() };
        reader.document(&root);
    }
    Ok(read)
}

/// Whether a document is what a host shows of itself, with all that nobody asked for.
fn is_shown(root: &Node) -> bool {
    const SHOWN: [&str; 4] = ["min-mtu", "max-mtu", "permanent-mac-address", "driver"];
    let of_interface = |node: &Arc<Node>| SHOWN.iter().any(|key| field(node, key).is_some());
    let routes = field(root, "routes");
    items(field(root, "interfaces")).iter().any(of_interface)
        || routes.is_some_and(|routes| field(routes, "running").is_some())
}

/// A tunnel that names the address that it leaves from, and not the link.
struct Unbound {
    name: String,
    local: IpAddr,
}

/// A router of a route that may have several.
struct Weighted {
    interface: String,
    /// The route without its router.
    route: RouteSpec,
    hop: NextHop,
}

struct Reader<'a> {
    read: &'a mut Read,
    file: &'a Source,
    is_shown: bool,
    unbound: Vec<Unbound>,
    weighted: Vec<Weighted>,
}

impl Reader<'_> {
    fn at(&self, node: &Node) -> Place {
        place(&self.file.name, node.position.line)
    }

    fn report(&mut self, key: &str, node: &Node, reason: Reason) {
        let at = self.at(node);
        let text = match scalar(node) {
            None | Some("") => key.to_owned(),
            Some(value) => format!("{key}: {value}"),
        };
        self.read.report(&at, text, reason);
    }

    fn document(&mut self, root: &Node) {
        for interface in items(field(root, "interfaces")) {
            self.interface(interface);
        }
        for Unbound { name, local } in std::mem::take(&mut self.unbound) {
            let links = &mut self.read.meaning.links;
            let has = |link: &Link| link.addresses.iter().any(|net| net.addr() == local);
            let below = links.iter().find(|(_, link)| has(link)).map(|(name, _)| name.clone());
            if let (Some(below), Some(link)) = (below, links.get_mut(&name)) {
                link.keys.insert("link".into(), json!(below));
            }
        }
        let config = |part: &str| items(field(root, part).and_then(|part| field(part, "config")));
        config("routes").iter().for_each(|node| self.route(node));
        self.join_routers();
        config("route-rules").iter().for_each(|node| self.rule(node));
        self.resolvers(root);
        for (key, node) in entries(root) {
            let is_read = ["interfaces", "routes", "route-rules", "dns-resolver"]
                .contains(&key.text.as_str());
            if !is_read {
                self.report(&key.text, node, left(&key.text));
            }
        }
    }

    fn interface(&mut self, node: &Node) {
        let name = text(node, "name").unwrap_or_default().to_owned();
        let kind = text(node, "type").unwrap_or("ethernet");
        match text(node, "state") {
            // What is shown of it says that nobody brought it up.
            Some("ignore" | "down") if self.is_shown => return,
            // It is not to be there.
            Some("absent") => return,
            Some(state @ ("ignore" | "down")) => {
                let at = self.at(node);
                let word = format!("state.{state}");
                return self.read.leave_link(&at, &name, format!("{name}: {state}"), left(&word));
            }
            _ => {}
        }
        let section = match kind {
            "ethernet" => "nics",
            "bond" => "bonds",
            "vlan" => "vlans",
            "linux-bridge" => "bridges",
            "vrf" => "vrfs",
            "vxlan" => "vxlans",
            "dummy" => "dummies",
            "loopback" => "loopbacks",
            "veth" => "veths",
            "mac-vlan" => "macvlans",
            "ipvlan" => "ipvlans",
            "ip-tunnel" => "tunnels",
            _ => {
                let at = self.at(node);
                let word = format!("type.{kind}");
                return self.read.leave_link(&at, &name, format!("{kind} {name}"), left(&word));
            }
        };
        let mut link = Link { place: Some(self.at(node)), section, ..Link::default() };
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            let mut set = |key: &str, value: Value| drop(link.keys.insert(key.to_owned(), value));
            match key.text.as_str() {
                "name" | "type" | "state" | "profile-name" | "controller" => {}
                // What a host shows of itself.
                "accept-all-mac-addresses" | "min-mtu" | "max-mtu" | "driver" | "wait-ip"
                    if self.is_shown => {}
                "accept-all-mac-addresses" if !is_on(word) => {}
                "identifier" if matches!(word, "name" | "mac-address") => {}
                "mtu" if section == "loopbacks" => {}
                // What links have where nobody asked for anything.
                "mtu" if self.is_shown && word == "1500" => {}
                "mtu" => match word.parse() {
                    Ok(mtu) => link.mtu = Some(mtu),
                    Err(_) => self.report("mtu", value, Reason::NoCounterpart),
                },
                "permanent-mac-address" if section == "nics" => link.mac = word.parse().ok(),
                "mac-address" if section == "nics" => {
                    link.mac = link.mac.or_else(|| word.parse().ok());
                }
                // The kernel's choice.
                "mac-address" | "permanent-mac-address" if self.is_shown => {}
                "mac-address" => set("macaddress", json!(word.to_ascii_lowercase())),
                "description" => {
                    let at = self.at(value);
                    self.read.caption(&mut link, "description", word, &at);
                }
                "lldp" => {
                    if text(value, "enabled").is_some_and(is_on) {
                        link.quiet.insert("lldp".into(), json!(true));
                    }
                }
                "ipv4" | "ipv6" => self.addresses(&mut link, &key.text, value),
                "link-aggregation" => self.bond(&mut link, value),
                "vlan" => self.vlan(&mut link, value),
                "vxlan" => self.vxlan(&mut link, &name, value),
                "vrf" => {
                    let ports = texts(field(value, "port").or_else(|| field(value, "ports")));
                    set("interfaces", json!(ports));
                    set("table", json!(text(value, "route-table-id").and_then(number)));
                }
                "bridge" => self.bridge(&mut link, value),
                "veth" => set("peer", json!(text(value, "peer"))),
                "mac-vlan" | "ipvlan" => self.on_another(&mut link, value),
                "ip-tunnel" => self.tunnel(&mut link, &name, value),
                "ethernet" if section == "nics" => self.ethernet(&mut link, value),
                "ethtool" if !self.is_shown => self.ethtool(&mut link, value),
                other => self.report(&format!("{name}.{other}"), value, left(other)),
            }
        }
        self.read.meaning.links.insert(name, link);
    }

    fn vlan(&mut self, link: &mut Link, node: &Node) {
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            let mut set = |key: &str, value: Value| drop(link.keys.insert(key.to_owned(), value));
            match (key.text.as_str(), word) {
                ("id", _) => set("id", json!(number(word))),
                ("base-iface", _) => set("link", json!(word)),
                ("protocol", "802.1q") => {}
                ("protocol", _) => set("protocol", json!(word)),
                ("registration-protocol", "none")
                | ("reorder-headers", "true")
                | ("loose-binding", "false") => {}
                ("ingress-qos-map" | "egress-qos-map", _) => {
                    let pair = |pair: &Arc<Node>| {
                        let to = text(pair, "to").and_then(number)?;
                        Some((text(pair, "from")?.to_owned(), json!(to)))
                    };
                    let pairs: Map<String, Value> =
                        items(Some(value)).iter().filter_map(pair).collect();
                    set(key.text.trim_end_matches("-map"), Value::Object(pairs));
                }
                (other, _) => self.report(&format!("vlan.{other}"), value, Reason::NoCounterpart),
            }
        }
    }

    fn vxlan(&mut self, link: &mut Link, name: &str, node: &Node) {
        // The kernel's port, from before one was assigned.
        link.keys.insert("port".into(), json!(8472));
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            let mut set = |key: &str, value: Value| drop(link.keys.insert(key.to_owned(), value));
            match key.text.as_str() {
                "id" => set("vni", json!(number(word))),
                "base-iface" if word.is_empty() => {}
                "base-iface" => set("link", json!(word)),
                "remote" => set("remote", json!(word)),
                "destination-port" => set("port", json!(number(word))),
                "learning" => set("mac-learning", json!(is_on(word))),
                "local" => self.local(name, word),
                other => self.report(&format!("vxlan.{other}"), value, Reason::NoCounterpart),
            }
        }
        if link.keys.contains_key("link") {
            self.unbound.retain(|one| one.name != name);
        }
        if link.keys.get("port") == Some(&json!(4789)) {
            link.keys.shift_remove("port");
        }
    }

    fn local(&mut self, name: &str, word: &str) {
        let local = word.parse().ok();
        self.unbound.extend(local.map(|local| Unbound { name: name.to_owned(), local }));
    }

    fn tunnel(&mut self, link: &mut Link, name: &str, node: &Node) {
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            let mut set = |key: &str, value: Value| drop(link.keys.insert(key.to_owned(), value));
            match key.text.as_str() {
                "mode" | "remote" => set(&key.text, json!(word)),
                "ttl" => set("ttl", json!(number(word))),
                "base-iface" => set("link", json!(word)),
                "local" => self.local(name, word),
                other => self.report(&format!("ip-tunnel.{other}"), value, Reason::NoCounterpart),
            }
        }
        if link.keys.contains_key("link") {
            self.unbound.retain(|one| one.name != name);
        }
    }

    fn on_another(&mut self, link: &mut Link, node: &Node) {
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            let mut set = |key: &str, value: Value| drop(link.keys.insert(key.to_owned(), value));
            match (key.text.as_str(), word) {
                ("base-iface", _) => set("link", json!(word)),
                ("mode", "bridge") if link.section == "macvlans" => {}
                ("mode", "l2") if link.section == "ipvlans" => {}
                ("mode", _) => set("mode", json!(word)),
                ("promiscuous" | "accept-all-mac", "true") | ("private" | "vepa", "false") => {}
                (other, _) => self.report(other, value, Reason::NoCounterpart),
            }
        }
    }

    fn bridge(&mut self, link: &mut Link, node: &Node) {
        let is_read = |key: &str| matches!(key, "options" | "port" | "ports");
        for (key, value) in entries(node).iter().filter(|(key, _)| !is_read(&key.text)) {
            self.report(&format!("bridge.{}", key.text), value, Reason::NoCounterpart);
        }
        for (key, value) in field(node, "options").map(entries).unwrap_or_default() {
            let word = scalar(value).unwrap_or_default();
            let mut set = |key: &str, value: Value| drop(link.keys.insert(key.to_owned(), value));
            match key.text.as_str() {
                "mac-ageing-time" => set("ageing-time", json!(super::duration(word, 1000))),
                "multicast-snooping" | "multicast-querier" => set(&key.text, json!(is_on(word))),
                "vlan-default-pvid" => set("default-pvid", json!(number(word))),
                "stp" => self.spanning_tree(link, value),
                // A host shows every option of the kernel.
                _ if self.is_shown => {}
                other => self.report(&format!("bridge.{other}"), value, Reason::NoCounterpart),
            }
        }
        let mut ports = Vec::new();
        for port in items(field(node, "port").or_else(|| field(node, "ports"))) {
            let name = text(port, "name").unwrap_or_default();
            ports.push(name);
            let spec = self.port(port);
            if spec != PortSpec::default() {
                if spec.pvid.is_some() || !spec.tagged.is_empty() {
                    link.keys.insert("vlan-filtering".into(), json!(true));
                }
                let all = link.keys.entry("ports").or_insert_with(|| json!({}));
                all[name] = json!(spec);
            }
        }
        link.keys.insert("interfaces".into(), json!(ports));
    }

    fn spanning_tree(&mut self, link: &mut Link, node: &Node) {
        let on = text(node, "enabled").is_some_and(is_on);
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            let found = match key.text.as_str() {
                "enabled" => json!(on),
                // What a host shows of it is the kernel's own where it does nothing.
                _ if self.is_shown && !on => continue,
                "forward-delay" | "hello-time" | "max-age" => json!(super::duration(word, 1000)),
                "priority" => json!(number(word)),
                other => {
                    self.report(&format!("stp.{other}"), value, Reason::NoCounterpart);
                    continue;
                }
            };
            let key = if key.text == "enabled" { "stp" } else { &key.text };
            link.keys.insert(key.to_owned(), found);
        }
    }

    fn port(&mut self, node: &Node) -> PortSpec {
        let mut spec = PortSpec::default();
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            match key.text.as_str() {
                "name" => {}
                "stp-path-cost" if self.is_shown && word == "100" => {}
                "stp-path-cost" => spec.cost = number(word),
                "stp-hairpin-mode" => spec.hairpin = is_on(word),
                "vlan" => self.port_vlans(&mut spec, value),
                "stp-priority" if word == "32" => {}
                other => self.report(&format!("port.{other}"), value, Reason::NoCounterpart),
            }
        }
        spec
    }

    fn port_vlans(&mut self, spec: &mut PortSpec, node: &Node) {
        let tag = text(node, "tag").and_then(number).and_then(|tag| u16::try_from(tag).ok());
        let is_native = text(node, "enable-native").is_some_and(is_on);
        let is_access = text(node, "mode") == Some("access");
        spec.pvid = tag.filter(|tag| *tag != 0 && (is_access || is_native));
        spec.untagged = spec.pvid.into_iter().collect();
        for one in items(field(node, "trunk-tags")) {
            let range = field(one, "id-range");
            let id = |node: Option<&Node>, key: &str| {
                node.and_then(|node| text(node, key)?.parse().ok())
            };
            let ids = match (id(Some(one), "id"), id(range, "min"), id(range, "max")) {
                (Some(id), ..) => Some(id..=id),
                (_, Some(min), Some(max)) => Some(min..=max),
                _ => None,
            };
            match ids {
                Some(ids) => spec.tagged.extend(&ids.into()),
                None => self.report("trunk-tags", one, Reason::NoCounterpart),
            }
        }
    }

    fn ethernet(&mut self, link: &mut Link, node: &Node) {
        for (key, value) in entries(node) {
            match key.text.as_str() {
                "sr-iov" => self.virtual_functions(link, value),
                // What the wire came to.
                "speed" | "duplex" | "auto-negotiation" if self.is_shown => {}
                "auto-negotiation" if scalar(value) == Some("true") => {}
                other => self.report(&format!("ethernet.{other}"), value, Reason::NoCounterpart),
            }
        }
    }

    fn virtual_functions(&mut self, link: &mut Link, node: &Node) {
        let count = text(node, "total-vfs").and_then(number).unwrap_or(0);
        if count == 0 {
            return;
        }
        let mut functions = Map::new();
        for one in items(field(node, "vfs")) {
            let mut keys = Map::new();
            for (key, value) in entries(one) {
                let word = scalar(value).unwrap_or_default();
                let (key, value) = match key.text.as_str() {
                    "id" | "iface-name" => continue,
                    "mac-address" => ("macaddress", json!(word.to_ascii_lowercase())),
                    "spoof-check" | "trust" => (key.text.as_str(), json!(is_on(word))),
                    "vlan-id" => ("vlan", json!(number(word))),
                    "qos" => ("qos", json!(number(word))),
                    "vlan-proto" | "min-tx-rate" | "max-tx-rate" if self.is_shown => continue,
                    "min-tx-rate" | "max-tx-rate" if word == "0" => continue,
                    other => {
                        self.report(&format!("vfs.{other}"), value, Reason::NoCounterpart);
                        continue;
                    }
                };
                keys.insert(key.to_owned(), value);
            }
            functions.extend(text(one, "id").map(|id| (id.to_owned(), Value::Object(keys))));
        }
        let mut sriov = json!({"count": count});
        // A host shows each of them.
        if !functions.is_empty() && !self.is_shown {
            sriov["functions"] = Value::Object(functions);
        }
        link.quiet.insert("sriov".into(), sriov);
    }

    fn ethtool(&mut self, link: &mut Link, node: &Node) {
        const FEATURES: [(&str, &str); 12] = [
            ("rx", "rx-checksum"),
            ("rx-checksum", "rx-checksum"),
            ("tso", "tso"),
            ("tx-tcp-segmentation", "tso"),
            ("tx-tcp6-segmentation", "tso6"),
            ("gso", "gso"),
            ("tx-generic-segmentation", "gso"),
            ("gro", "gro"),
            ("rx-gro", "gro"),
            ("lro", "lro"),
            ("rx-lro", "lro"),
            ("large-receive-offload", "lro"),
        ];
        for (part, inner) in entries(node) {
            for (key, value) in entries(inner) {
                let word = scalar(value).unwrap_or_default();
                let feature = FEATURES.iter().find(|(theirs, _)| *theirs == key.text);
                let found = match (part.text.as_str(), key.text.as_str(), feature) {
                    ("ring", "rx" | "tx", _) => {
                        number(word).map(|size| ("ring", &*key.text, json!(size)))
                    }
                    ("feature", _, Some((_, ours))) => Some(("offload", *ours, json!(is_on(word)))),
                    _ => None,
                };
                match found {
                    Some((group, key, value)) => {
                        let keys = link.quiet.entry(group).or_insert_with(|| json!({}));
                        keys[key] = value;
                    }
                    None => {
                        let key = format!("ethtool.{}.{}", part.text, key.text);
                        self.report(&key, value, left(&key));
                    }
                }
            }
        }
    }

    fn addresses(&mut self, link: &mut Link, family: &str, node: &Node) {
        let is_v4 = family == "ipv4";
        let says = |key: &str| text(node, key).is_some_and(is_on);
        if text(node, "enabled") == Some("false") {
            let has_other = is_v4 || link.section == "loopbacks";
            if !has_other && !self.is_shown {
                link.quiet.insert("link-local".into(), json!([]));
            }
            return;
        }
        let (asks, hears) = (says("dhcp"), says("autoconf"));
        let which = match (is_v4, hears) {
            (true, _) => "dhcp4-overrides",
            (_, true) => "ra-overrides",
            _ => "dhcp6-overrides",
        };
        let mut overrides = Map::new();
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            let mut quiet = |key: &str, value: Value| drop(link.quiet.insert(key.into(), value));
            match (key.text.as_str(), word) {
                ("enabled", _) => {}
                ("dhcp", _) if asks && is_v4 => drop(link.keys.insert("dhcp4".into(), json!(true))),
                // With routers it is they who say whether there is DHCPv6.
                ("dhcp", _) if asks && !hears => {
                    drop(link.keys.insert("dhcp6".into(), json!(true)))
                }
                ("dhcp", _) => {}
                ("autoconf", _) if hears => quiet("accept-ra", json!(true)),
                ("autoconf", _) => {}
                ("auto-dns", "false") => drop(overrides.insert("use-dns".into(), json!(false))),
                ("auto-routes" | "auto-gateway", "false") => {
                    overrides.insert("use-routes".into(), json!(false));
                }
                ("auto-dns" | "auto-routes" | "auto-gateway", _) => {}
                ("auto-route-metric", _) => {
                    overrides.insert("route-metric".into(), json!(number(word)));
                }
                ("dhcp-send-hostname", "false") => {
                    overrides.insert("send-hostname".into(), json!(false));
                }
                ("dhcp-send-hostname", _) => {}
                ("auto-route-table-id", "0") => {}
                ("dhcp-client-id", "ll" | "LL") => {}
                ("dhcp-client-id", "iaid+duid") => quiet("dhcp-identifier", json!("duid")),
                ("dhcp-duid", "ll" | "LL") => quiet("duid", json!("link-layer")),
                ("dhcp-duid", "llt" | "LLT") => quiet("duid", json!("link-layer-time")),
                ("dhcp-duid", "en" | "EN") => quiet("duid", json!("vendor")),
                ("dhcp-duid", "uuid" | "UUID") => quiet("duid", json!("uuid")),
                ("addr-gen-mode", "eui64") => {}
                ("addr-gen-mode", "stable-privacy") => {
                    quiet("ipv6-address-generation", json!("stable-privacy"));
                    if hears {
                        quiet("ipv6-token", json!("stable"));
                    }
                }
                ("token", "::") => {}
                ("token", _) => quiet("ipv6-token", json!(word)),
                ("address", _) => self.written(link, family, value),
                ("allow-extra-address" | "mptcp" | "addr-gen-mode", _) if self.is_shown => {}
                (other, _) => {
                    let word = format!("{family}.{other}");
                    self.report(&word, value, left(&word));
                }
            }
        }
        if !overrides.is_empty() {
            link.quiet.insert(which.into(), Value::Object(overrides));
        }
    }

    fn written(&mut self, link: &mut Link, family: &str, node: &Node) {
        for one in items(Some(node)) {
            // What was learned.
            let lives = text(one, "valid-life-time").or_else(|| text(one, "valid-lft"));
            if lives.is_some() {
                continue;
            }
            let address = text(one, "ip").and_then(|ip| ip.parse().ok());
            let length = text(one, "prefix-length").and_then(|length| length.parse().ok());
            match address.zip(length).and_then(|(ip, length)| IpNet::new(ip, length).ok()) {
                // Link-local addresses are made by the kernel, and so are those of the loopback.
                Some(IpNet::V6(net)) if net.addr().is_unicast_link_local() => {}
                Some(net) if net.addr().is_loopback() => {}
                Some(net) => link.addresses.push(net),
                None => self.report(&format!("{family}.address"), one, Reason::NotAnAddress),
            }
        }
    }

    fn bond(&mut self, link: &mut Link, node: &Node) {
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            match key.text.as_str() {
                "port" | "ports" | "slaves" => {
                    link.keys.insert("nics".into(), json!(texts(Some(value))));
                }
                "mode" => self.bond_option(link, "mode", word, value),
                "options" => {
                    for (key, value) in entries(value) {
                        let word = scalar(value).unwrap_or_default();
                        self.bond_option(link, &key.text, word, value);
                    }
                }
                other => self.report(other, value, Reason::NoCounterpart),
            }
        }
        // NetworkManager's own, where nothing else watches the members.
        if !link.keys.contains_key("arp-interval") {
            link.keys.entry("mii-monitor").or_insert_with(|| json!("100ms"));
        }
    }

    fn bond_option(&mut self, link: &mut Link, key: &str, word: &str, node: &Node) {
        let word = match (key, word) {
            ("lp_interval", _) => format!("{word}s"),
            ("all_slaves_active", "delivered") => "true".to_owned(),
            ("all_slaves_active", "dropped") => "false".to_owned(),
            ("arp_validate", _) => word.replace('_', "-"),
            _ => word.to_owned(),
        };
        match super::bond_setting(BondWords::Nmstate, key, &word) {
            Ok(setting) => drop(link.keys.insert(setting.key, setting.value)),
            // A host shows every option of the kernel.
            Err(_) if self.is_shown => {}
            Err(reason) => self.report(key, node, reason),
        }
    }

    fn route(&mut self, node: &Node) {
        if text(node, "state") == Some("absent") {
            return;
        }
        let mut keys = Map::new();
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            let ours = match (key.text.as_str(), word) {
                ("next-hop-interface" | "weight" | "state", _) => continue,
                // What nmstate shows where nothing was said.
                ("metric", "0" | "-1") | ("table-id", "0" | "254") => continue,
                ("metric", "150" | "100") if self.is_shown => continue,
                ("destination", _) => "to",
                ("next-hop-address", "" | "0.0.0.0" | "::") => continue,
                ("next-hop-address", _) => "via",
                ("metric", _) => "metric",
                ("table-id", _) => "table",
                ("source", _) => "from",
                ("mtu", _) => "mtu",
                ("advmss", _) => "advertised-mss",
                ("initcwnd", _) => "congestion-window",
                ("route-type", _) => "type",
                (other, _) => {
                    self.report(&format!("route.{other}"), value, Reason::NoCounterpart);
                    continue;
                }
            };
            let number = word.parse::<i64>().map(|number| json!(number));
            keys.insert(ours.to_owned(), number.unwrap_or_else(|_| json!(word)));
        }
        let weight = text(node, "weight").and_then(number);
        let route = match route_of(keys) {
            Ok(route) => route,
            Err(error) => return self.report("route", node, Reason::Value(error)),
        };
        let named = text(node, "next-hop-interface").filter(|name| *name != "lo");
        let interface = match named {
            Some(name) => Some(name.to_owned()),
            // One that leads nowhere names no interface.
            None => self.link_of(route.table, |_| false),
        };
        let interface = interface.filter(|name| self.read.meaning.links.contains_key(name));
        let Some(interface) = interface else {
            let by = named.unwrap_or("no interface");
            return self.report(&format!("route by {by}"), node, Reason::NoCounterpart);
        };
        match (weight, route.via) {
            (Some(weight), Some(via)) => {
                let hop = NextHop { via, link: None, weight: Some(weight).filter(|one| *one > 1) };
                let route = RouteSpec { via: None, ..route };
                self.weighted.push(Weighted { interface, route, hop });
            }
            _ => self.add_route(&interface, route),
        }
    }

    fn add_route(&mut self, interface: &str, route: RouteSpec) {
        if let Some(link) = self.read.meaning.links.get_mut(interface) {
            link.routes.push(route);
        }
    }

    /// Routes to one place with weights are one route with several routers.
    fn join_routers(&mut self) {
        let mut joined: Vec<(String, RouteSpec)> = Vec::new();
        for Weighted { interface, route, hop } in std::mem::take(&mut self.weighted) {
            let is_same = |(other, of): &&mut (String, RouteSpec)| {
                let bare = RouteSpec { next_hops: Vec::new(), ..of.clone() };
                *other == interface && bare == route
            };
            match joined.iter_mut().find(is_same) {
                Some((_, route)) => route.next_hops.push(hop),
                None => joined.push((interface, RouteSpec { next_hops: vec![hop], ..route })),
            }
        }
        for (interface, mut route) in joined {
            if let [only] = route.next_hops.as_slice() {
                route.via = Some(only.via);
                route.next_hops.clear();
            }
            self.add_route(&interface, route);
        }
    }

    /// The link that something without a link belongs to: whose routes are in the same table, that
    /// `is_meant`, or that has the default route.
    fn link_of(&self, table: Option<u32>, is_meant: impl Fn(&Link) -> bool) -> Option<String> {
        let links = || self.read.meaning.links.iter();
        let in_table =
            |link: &Link| table.is_some() && link.routes.iter().any(|route| route.table == table);
        let found = links().find(|(_, link)| in_table(link));
        let found = found.or_else(|| links().find(|(_, link)| is_meant(link)));
        let found = found.or_else(|| links().find(|(_, link)| link.gateways().next().is_some()));
        let found = found.or_else(|| links().find(|(_, link)| !link.addresses.is_empty()));
        found.map(|(name, _)| name.clone())
    }

    fn rule(&mut self, node: &Node) {
        if text(node, "state") == Some("absent") {
            return;
        }
        let mut keys = Map::new();
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            let (ours, value) = match key.text.as_str() {
                "ip-from" => ("from", json!(word)),
                "ip-to" => ("to", json!(word)),
                "priority" => ("priority", json!(number(word))),
                "route-table" => ("table", json!(number(word))),
                "fwmark" => ("mark", json!(number(word))),
                "fwmask" => ("mask", json!(number(word))),
                "iif" => ("incoming-interface", json!(word)),
                "action" => ("type", json!(word)),
                "suppress-prefix-length" | "suppress_prefixlength" => {
                    ("suppress-prefix-length", json!(number(word)))
                }
                "family" if word == "ipv6" => ("family", json!(word)),
                "family" | "state" => continue,
                other => {
                    self.report(&format!("route-rule.{other}"), value, Reason::NoCounterpart);
                    continue;
                }
            };
            keys.insert(ours.to_owned(), value);
        }
        if keys.contains_key("from") || keys.contains_key("to") {
            keys.shift_remove("family");
        }
        let rule = match rule_of(keys) {
            Ok(rule) => rule,
            Err(error) => return self.report("route-rule", node, Reason::Value(error)),
        };
        let from = rule.from;
        let has = |link: &Link| {
            link.addresses.iter().any(|net| from.is_some_and(|from| from.contains(&net.addr())))
        };
        let name = self.link_of(Some(rule.table).filter(|table| *table != 0), has);
        match name.and_then(|name| self.read.meaning.links.get_mut(&name)) {
            Some(link) => link.rules.push(rule),
            None => self.report("route-rule", node, Reason::NoCounterpart),
        }
    }

    /// The resolvers are those of the link with the default route.
    fn resolvers(&mut self, root: &Node) {
        let Some(config) = field(root, "dns-resolver").and_then(|node| field(node, "config"))
        else {
            return;
        };
        for (key, value) in entries(config) {
            let is_empty = items(Some(value)).is_empty();
            if !matches!(key.text.as_str(), "server" | "search") && !is_empty {
                self.report(&format!("dns-resolver.{}", key.text), value, Reason::NoCounterpart);
            }
        }
        let words = |name: &str| -> Vec<String> {
            texts(field(config, name)).into_iter().map(str::to_owned).collect()
        };
        let (dns, domains) = (words("server"), words("search"));
        if dns.is_empty() && domains.is_empty() {
            return;
        }
        let servers: Vec<IpAddr> = dns.iter().filter_map(|one| one.parse().ok()).collect();
        let near = |link: &Link| {
            let near = |server: &IpAddr| link.addresses.iter().any(|net| net.contains(server));
            link.gateways().next().is_some() || servers.iter().any(near)
        };
        let name = self.link_of(None, near);
        match name.and_then(|name| self.read.meaning.links.get_mut(&name)) {
            Some(link) => (link.dns, link.domains) = (dns, domains),
            None => self.report("dns-resolver", config, Reason::NoCounterpart),
        }
    }
}
