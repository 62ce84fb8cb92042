//! Writes a host's links as documents of Talos's machine configuration (`LinkConfig`, `BondConfig`
//! and others, of Talos 1.12; `VRFConfig`, `RoutingRuleConfig` and tables of routes, of 1.13), to
//! be appended to the machine's own or given as a patch. Pure.

use serde_json::{Map, Value, json};

use super::bond;
use super::links::{HostNetwork, Kind, Link, Role};
use super::losses::{INFINIBAND, Losses};
use super::netplan::present;
use super::network_manager::{self, KnownBy};
use super::{File, Format, resolvers, yaml};
use crate::model::{
    BondSpec, BridgeSpec, Destination, DhcpIdentifier, Family, MatchBy, NicSpec, Overrides,
    PortSpec, RouteKind, RouteSpec, RuleSpec, RuleVerdict, VlanProtocol,
};

/// All documents in one file.
pub(super) fn render(host: &HostNetwork, losses: &mut Losses) -> Vec<File> {
    losses.add_if(host.bgp.is_some(), "profile", "bgp");
    let mut writer = Writer { host, losses, documents: Vec::new(), priorities: Vec::new() };
    if !host.sysctls.is_empty() {
        writer.documents.push(json!({"machine": {"sysctls": host.sysctls}}));
    }
    let managed = |link: &&Link| !matches!(link.role, Role::Unused | Role::Unmanaged);
    for link in host.links.values().filter(managed) {
        writer.link(link);
    }
    writer.of_the_host();
    let texts: Vec<String> = writer.documents.iter().map(yaml::write).collect();
    vec![File::of(Format::Talos, "talos.yaml", texts.join("---\n"))]
}

struct Writer<'a> {
    host: &'a HostNetwork,
    losses: &'a mut Losses,
    documents: Vec<Value>,
    /// Of the rules so far: a rule's priority is its name.
    priorities: Vec<u32>,
}

/// The name of a link in the documents: a NIC that may be called anything has an alias, which must
/// not be the name of another.
fn name(host: &HostNetwork, link: &Link) -> String {
    match network_manager::known_by(host, link) {
        KnownBy::Name => link.device().to_owned(),
        _ => format!("nic-{}", link.name),
    }
}

fn reference(host: &HostNetwork, link: &str) -> String {
    host.links.get(link).map_or_else(|| link.to_owned(), |link| name(host, link))
}

fn references<'a>(host: &HostNetwork, links: impl Iterator<Item = &'a str>) -> Vec<String> {
    links.map(|link| reference(host, link)).collect()
}

impl Writer<'_> {
    fn add(&mut self, kind: &str, name: Option<&str>, keys: Value) {
        let mut document = Map::from_iter([
            ("apiVersion".to_owned(), json!("v1alpha1")),
            ("kind".to_owned(), json!(kind)),
        ]);
        document.extend(name.map(|name| ("name".to_owned(), json!(name))));
        document.extend(keys.as_object().cloned().unwrap_or_default());
        self.documents.push(Value::Object(document));
    }

    fn link(&mut self, link: &Link) {
        self.losses.bring_up(link);
        self.losses.add_if(link.is_infiniband(), &link.name, INFINIBAND);
        let name = name(self.host, link);
        let (kind, mut keys) = self.kind(link, &name);
        let own = self.common(link);
        keys.extend(own.as_object().cloned().unwrap_or_default());
        self.add(kind, Some(&name), Value::Object(keys));
        if self.host.owner(link).is_none() {
            self.asked(link, &name);
            for rule in &link.layer3.rules {
                self.rule(link, rule);
            }
        }
    }

    /// The document of a link, with what is particular to its kind.
    fn kind(&mut self, link: &Link, name: &str) -> (&'static str, Map<String, Value>) {
        let host = self.host;
        let mut lose = |lost: bool, feature: &str| self.losses.add_if(lost, &link.name, feature);
        let mac = link.mac.map(|mac| json!(mac.to_string()));
        let has_mac = mac.is_some();
        let (document, keys, takes_mac) = match &link.kind {
            Kind::Nic(_) => {
                self.found(link, name);
                if let Some(nic) = &link.nic {
                    self.nic(link, nic, name);
                }
                ("LinkConfig", json!({}), false)
            }
            Kind::Loopback => ("LinkConfig", json!({}), false),
            Kind::Dummy => ("DummyLinkConfig", json!({"hardwareAddr": mac}), true),
            Kind::Bond(spec) => {
                let mut keys = bond(host, spec, &mut lose);
                keys["hardwareAddr"] = json!(mac);
                ("BondConfig", keys, true)
            }
            Kind::Vlan { parent, id, protocol, qos } => {
                lose(qos.is_some(), "priorities of tags");
                let mode = (*protocol != VlanProtocol::default()).then(|| protocol.to_string());
                let parent = reference(host, parent);
                ("VLANConfig", json!({"vlanID": id, "vlanMode": mode, "parent": parent}), false)
            }
            Kind::Bridge(spec) => {
                let mut keys = bridge(host, link, spec, &mut lose);
                keys["hardwareAddr"] = json!(mac);
                ("BridgeConfig", keys, true)
            }
            Kind::Vrf(table) => {
                let members = host.members(&link.name).map(|link| link.name.as_str());
                let table = table.map(|table| table.to_string());
                let links = references(host, members);
                let keys = json!({"links": links, "table": table, "hardwareAddr": mac});
                ("VRFConfig", keys, true)
            }
            other => {
                lose(true, other.label());
                ("LinkConfig", json!({}), false)
            }
        };
        self.losses.add_if(has_mac && !takes_mac, &link.name, "macaddress");
        let given = keys.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        (document, given.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// The alias of a NIC that is not known by its name.
    fn found(&mut self, link: &Link, name: &str) {
        let mut lose = |lost: bool, feature: &str| self.losses.add_if(lost, &link.name, feature);
        lose(link.has_pattern(), "match-name with a pattern");
        lose(link.nic.as_ref().is_some_and(|nic| nic.set_name.is_some()), "set-name");
        let expression = match network_manager::known_by(self.host, link) {
            KnownBy::Name => {
                lose(self.host.match_by == MatchBy::Path, "match by path");
                return;
            }
            KnownBy::Mac(mac) => {
                let address = match self.host.match_by {
                    MatchBy::Mac => "hardware_addr",
                    _ => "permanent_addr",
                };
                format!("mac(link.{address}) == \"{mac}\"")
            }
            KnownBy::Path(path) => {
                let bus = path.strip_prefix("pci-");
                lose(bus.is_none(), "a path that is not of PCI");
                format!("link.bus_path == \"{}\"", bus.unwrap_or(path))
            }
        };
        self.add("LinkAliasConfig", Some(name), json!({"selector": {"match": expression}}));
    }

    fn nic(&mut self, link: &Link, nic: &NicSpec, name: &str) {
        let words = [
            (nic.wake_on_lan.is_some(), "wake-on-lan"),
            (nic.channels != Default::default(), "channels"),
            (nic.sriov.is_some(), "sriov"),
            (nic.coalesce != Default::default(), "coalesce"),
            (nic.offload.tx_checksum.is_some(), "offload of checksums that are sent"),
        ];
        for (used, feature) in words {
            self.losses.add_if(used, &link.name, feature);
        }
        let on = |value: Option<bool>| value.map(|on| json!(on));
        let features = present([
            ("rx-checksum", on(nic.offload.rx_checksum)),
            ("tx-tcp-segmentation", on(nic.offload.tso)),
            ("tx-tcp6-segmentation", on(nic.offload.tso6)),
            ("tx-generic-segmentation", on(nic.offload.gso)),
            ("rx-gro", on(nic.offload.gro)),
            ("rx-lro", on(nic.offload.lro)),
        ]);
        let rings = present([
            ("rx", nic.ring.rx.map(|size| json!(size))),
            ("tx", nic.ring.tx.map(|size| json!(size))),
        ]);
        let has = |value: &Value| value.as_object().is_some_and(|keys| !keys.is_empty());
        let keys =
            present([("features", Some(features).filter(has)), ("rings", Some(rings).filter(has))]);
        if has(&keys) {
            self.add("EthernetConfig", Some(name), keys);
        }
    }

    /// What links of every kind have.
    fn common(&mut self, link: &Link) -> Value {
        let owned = self.host.owner(link).is_some();
        let layer3 = &link.layer3;
        let domain = self.host.domain(link);
        let addresses: Vec<Value> =
            link.all_addresses().map(|net| json!({"address": net.to_string()})).collect();
        let mut routes: Vec<Value> = Vec::new();
        for via in &layer3.gateways {
            let route = RouteSpec { via: Some(*via), ..RouteSpec::to(Destination::Default) };
            routes.push(self.route(link, &RouteSpec { table: domain, ..route }));
        }
        for route in &layer3.routes {
            let table = route.table.or(domain);
            routes.push(self.route(link, &RouteSpec { table, ..route.clone() }));
        }
        let is_loopback = link.kind == Kind::Loopback;
        let list = |list: Vec<Value>| (!list.is_empty() && !owned).then_some(Value::Array(list));
        present([
            ("up", (!is_loopback).then(|| json!(true))),
            ("mtu", link.settings.mtu.map(|mtu| json!(mtu))),
            ("addresses", list(addresses)),
            ("routes", list(routes)),
        ])
    }

    fn route(&mut self, link: &Link, route: &RouteSpec) -> Value {
        let words = [
            (!route.next_hops.is_empty(), "several routers for one route"),
            (route.on_link, "on-link"),
            (route.kind != RouteKind::default(), "routes with a type"),
            (route.advertised_mss.is_some(), "advertised-mss"),
            (route.congestion_window.is_some(), "congestion-window"),
            (route.is_default() && route.via.is_none(), "a default route without a router"),
        ];
        for (used, feature) in words {
            self.losses.add_if(used, &link.name, feature);
        }
        let to = match route.to {
            Destination::Net(net) if !route.is_default() => Some(net.to_string()),
            _ => None,
        };
        present([
            ("destination", to.map(|to| json!(to))),
            ("gateway", route.via.map(|via| json!(via))),
            ("source", route.from.map(|from| json!(from))),
            ("metric", route.metric.map(|metric| json!(metric))),
            ("mtu", route.mtu.map(|mtu| json!(mtu))),
            ("table", route.table.map(|table| json!(table.to_string()))),
        ])
    }

    fn rule(&mut self, link: &Link, rule: &RuleSpec) {
        let is_taken = self.priorities.contains(&rule.priority);
        self.priorities.push(rule.priority);
        // Those between are KubeSpan's.
        let is_reserved = matches!(rule.priority, 0 | 32_500 | 32_501 | 32_766..);
        let words = [
            (is_taken, "two rules of one priority"),
            (is_reserved, "a priority that Talos keeps for itself"),
            (rule.from.or(rule.to).is_none(), "rules without a source or a destination"),
            (rule.tos.is_some(), "rules by TOS"),
            (rule.users.is_some(), "rules by user"),
            (rule.protocol.is_some(), "rules by protocol or port"),
            (rule.source_port.or(rule.destination_port).is_some(), "rules by protocol or port"),
            (
                rule.invert || rule.suppress_prefix_length.is_some(),
                "rules with invert or suppress-prefix-length",
            ),
        ];
        for (used, feature) in words {
            self.losses.add_if(used, &link.name, feature);
        }
        let host = self.host;
        let link = |name: &Option<String>| name.as_ref().map(|name| json!(reference(host, name)));
        let looks_up = rule.verdict == RuleVerdict::Table;
        let keys = present([
            ("src", rule.from.map(|net| json!(net.to_string()))),
            ("dst", rule.to.map(|net| json!(net.to_string()))),
            ("table", looks_up.then(|| json!(rule.table.to_string()))),
            ("action", (!looks_up).then(|| json!(rule.verdict.label()))),
            ("iifName", link(&rule.incoming_interface)),
            ("oifName", link(&rule.outgoing_interface)),
            ("fwMark", rule.mark.map(|mark| json!(mark))),
            ("fwMask", rule.mask.map(|mask| json!(mask))),
        ]);
        self.add("RoutingRuleConfig", Some(&rule.priority.to_string()), keys);
    }

    /// What the link asks DHCP and routers.
    fn asked(&mut self, link: &Link, name: &str) {
        let settings = &link.settings;
        let local = settings.link_local.as_deref();
        let words = [
            (local.is_some_and(|families| families != [Family::Ipv6]), "link-local"),
            // It hears routers as the kernel does, and has no word for it.
            (settings.accept_ra.is_some(), "accept-ra"),
            (settings.ra_overrides != Overrides::default(), "ra-overrides"),
        ];
        for (used, feature) in words {
            self.losses.add_if(used, &link.name, feature);
        }
        for (said, words) in link.layer3.resolver_words() {
            self.losses.add_if(said, &link.name, words);
        }
        let of_families = [
            (settings.dhcp4, "DHCPv4Config", settings.dhcp4_overrides),
            (settings.dhcp6, "DHCPv6Config", settings.dhcp6_overrides),
        ];
        for (asks, kind, overrides) in of_families {
            let Overrides { route_metric, use_hostname, .. } = overrides;
            let own = Overrides { route_metric, use_hostname, ..Overrides::default() };
            self.losses.add_if(own != overrides, &link.name, "overrides");
            if asks {
                let identifier = (kind == "DHCPv4Config").then_some(DhcpIdentifier::Mac);
                let keys = present([
                    ("routeMetric", route_metric.map(|metric| json!(metric))),
                    ("ignoreHostname", use_hostname.map(|uses| json!(!uses))),
                    ("clientIdentifier", identifier.map(|identifier| json!(identifier.label()))),
                ]);
                self.add(kind, Some(name), keys);
            }
        }
    }

    /// Resolvers and time servers.
    fn of_the_host(&mut self) {
        if let Some(link) = resolvers::of_host(self.host, self.losses) {
            let address = |one: &crate::model::DnsServer| json!({"address": one.address});
            let servers: Vec<Value> = link.layer3.dns.iter().map(address).collect();
            let domains = &link.layer3.domains;
            let keys = present([
                ("nameservers", (!servers.is_empty()).then_some(Value::Array(servers))),
                ("searchDomains", (!domains.is_empty()).then(|| json!({"domains": domains}))),
            ]);
            self.add("ResolverConfig", None, keys);
        }
        let mut servers: Vec<&String> = Vec::new();
        for server in self.host.links.values().flat_map(|link| &link.layer3.ntp) {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        if !servers.is_empty() {
            let keys = json!({"ntp": {"servers": servers}});
            self.add("TimeSyncConfig", None, keys);
        }
    }
}

fn bond(host: &HostNetwork, spec: &BondSpec, lose: &mut impl FnMut(bool, &str)) -> Value {
    let spelled = bond::spell(spec, |names| names.talos, &[]);
    for lost in spelled.lost {
        lose(true, &lost);
    }
    let links = references(host, spec.nics.iter().map(String::as_str));
    let mut keys = Map::from_iter([("links".to_owned(), json!(links))]);
    for written in spelled.written {
        let value = match (written.name, written.value) {
            // In seconds, unlike every other time.
            ("lpInterval", bond::Value::Time(time)) => {
                lose(time.0 % 1000 != 0, "learn-packet-interval below a second");
                json!(time.0 / 1000)
            }
            (_, bond::Value::Switch(on)) => json!(u8::from(on)),
            (_, value) => value.json(),
        };
        keys.insert(written.name.to_owned(), value);
    }
    Value::Object(keys)
}

fn bridge(
    host: &HostNetwork,
    link: &Link,
    spec: &BridgeSpec,
    lose: &mut impl FnMut(bool, &str),
) -> Value {
    let times = [spec.forward_delay, spec.hello_time, spec.max_age, spec.ageing_time];
    let words = [
        (times.iter().any(Option::is_some), "times of a bridge"),
        (spec.priority.is_some(), "priority"),
        (spec.default_pvid.is_some(), "default-pvid"),
        (spec.multicast_snooping.is_some(), "multicast-snooping"),
        (spec.multicast_querier.is_some(), "multicast-querier"),
        (spec.multicast_igmp_version.is_some(), "multicast-igmp-version"),
        (spec.ports.values().any(|port| *port != PortSpec::default()), "ports"),
    ];
    for (used, feature) in words {
        lose(used, feature);
    }
    let members = host.members(&link.name).map(|member| member.name.as_str());
    let filters = spec.vlan_filtering.then(|| json!({"filtering": true}));
    let stp = json!({"enabled": spec.stp.unwrap_or(false)});
    json!({"links": references(host, members), "stp": stp, "vlan": filters})
}
