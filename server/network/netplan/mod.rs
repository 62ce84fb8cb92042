//! Writes a host's links as netplan's YAML, version 2, in the vocabulary of netplan 0.106
//! (Debian 12). Pure. cloud-init's network configuration version 2 is a part of it.

mod hardware;

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::bond;
use super::keys::key_path;
use super::links::{HostNetwork, Kind, Layer3, Link, Role};
use super::losses::Losses;
use super::wireguard::{Peer, Wireguard};
use crate::model::{
    BondSpec, BridgeSpec, Defaults, Destination, DhcpIdentifier, Family, Ipv6Privacy, Ipv6Token,
    LinkSettings, MatchBy, Millis, Overrides, RouteKind, RouteSpec, RuleSpec, RuleVerdict,
    TunnelMode, VlanProtocol, VxlanSpec, WireguardSpec,
};

/// Whose version 2 it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// netplan's own.
    Netplan,
    /// cloud-init's, whose schema knows less of routes and nothing of rules.
    CloudInit,
}

/// The document below `network:`, and what it cannot say.
pub(super) fn document(host: &HostNetwork, dialect: Dialect, losses: &mut Losses) -> Value {
    let mut sections: Map<String, Value> = Map::new();
    let managed = |link: &&Link| !matches!(link.role, Role::Unused | Role::Unmanaged);
    for link in host.links.values().filter(managed) {
        let mut writer = Writer { host, link, dialect, keys: Map::new(), losses };
        let section = writer.link();
        let keys = Value::Object(writer.keys);
        let entry = sections.entry(section).or_insert_with(|| json!({}));
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(link.name.clone(), keys);
        }
    }
    let mut network = Map::from_iter([("version".into(), json!(2))]);
    if dialect == Dialect::Netplan {
        network.insert("renderer".into(), json!("networkd"));
    }
    network.extend(sections);
    Value::Object(network)
}

/// One link under construction.
struct Writer<'a> {
    host: &'a HostNetwork,
    link: &'a Link,
    dialect: Dialect,
    keys: Map<String, Value>,
    losses: &'a mut Losses,
}

impl Writer<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.keys.insert(key.to_owned(), value.into());
    }

    fn lose(&mut self, lost: bool, feature: &str) {
        self.losses.add_if(lost, &self.link.name, feature);
    }

    /// Only netplan itself knows the feature.
    fn beyond_cloud_init(&mut self, used: bool, feature: &str) {
        self.lose(used && self.dialect == Dialect::CloudInit, feature);
    }

    /// Writes the link and gives the section that it belongs to.
    fn link(&mut self) -> String {
        let section = self.kind().to_owned();
        // A VRF has members and a table, and no other words.
        if matches!(self.link.kind, Kind::Vrf(_)) {
            self.lose_settings();
            return section;
        }
        if let Some(mtu) = self.link.settings.mtu {
            self.set("mtu", mtu);
        }
        if let Some(mac) = self.link.mac {
            self.set("macaddress", mac.to_string());
        }
        self.bringup();
        // The loopback is never waited for.
        let learned = matches!(self.link.role, Role::Addressed)
            && !self.link.settings.optional
            && !self.host.lacks_carrier(self.link)
            && self.link.kind != Kind::Loopback;
        let waited_for =
            learned || (self.link.role == Role::Carrier && self.host.owner(self.link).is_none());
        if self.link.settings.optional || (self.host.defaults == Defaults::Safe && !waited_for) {
            self.set("optional", true);
        }
        self.layer3();
        section
    }

    /// Refuses every setting of the link by its key, but for the table that a VRF is.
    fn lose_settings(&mut self) {
        let settings = serde_json::to_value(&self.link.settings).unwrap_or_default();
        for key in settings.as_object().into_iter().flat_map(|settings| settings.keys()) {
            self.lose(key != "table", key);
        }
    }

    fn kind(&mut self) -> &'static str {
        match &self.link.kind {
            Kind::Nic(mac) => {
                match (mac, self.host.match_by) {
                    (Some(mac), MatchBy::PermanentMac | MatchBy::Mac) => {
                        self.set("match", json!({"macaddress": mac.to_string()}));
                    }
                    (_, MatchBy::Path) => self.lose(true, "match by path"),
                    _ => {}
                }
                if let Some(nic) = &self.link.nic {
                    self.nic(nic);
                }
                if let Some(auth) = &self.link.auth {
                    self.auth(auth);
                }
                "ethernets"
            }
            Kind::Loopback => {
                self.set("match", json!({"name": "lo"}));
                "ethernets"
            }
            Kind::Veth { .. }
            | Kind::Macsec { .. }
            | Kind::Macvlan(_)
            | Kind::Ipvlan(_)
            | Kind::Partition(_) => {
                self.lose(true, self.link.kind.label());
                "ethernets"
            }
            Kind::Bond(spec) => {
                self.bond(spec);
                "bonds"
            }
            Kind::Vlan { parent, id, protocol, qos } => {
                self.lose(qos.is_some(), "priorities of tags");
                self.lose(*protocol != VlanProtocol::default(), "protocol 802.1ad");
                self.set("id", *id);
                self.set("link", parent.as_str());
                "vlans"
            }
            Kind::Vxlan { spec, local } => {
                self.beyond_cloud_init(true, "VXLAN");
                self.vxlan(spec, *local);
                "tunnels"
            }
            Kind::Wireguard { spec, wireguard } => {
                self.beyond_cloud_init(true, "WireGuard");
                self.wireguard(spec, wireguard);
                "tunnels"
            }
            Kind::Tunnel { spec, local } => {
                self.beyond_cloud_init(true, "tunnel");
                self.lose(spec.mode == TunnelMode::Geneve, "Geneve");
                self.lose(spec.ttl.is_some(), "ttl of a tunnel");
                self.set("mode", spec.mode.label());
                for (key, address) in [("local", *local), ("remote", Some(spec.remote))] {
                    if let Some(address) = address {
                        self.set(key, address.to_string());
                    }
                }
                if let Some(key) = spec.id {
                    self.set("key", key);
                }
                "tunnels"
            }
            Kind::Bridge(spec) => {
                self.bridge(spec);
                "bridges"
            }
            Kind::Vrf(table) => {
                self.beyond_cloud_init(true, "VRF");
                self.set("table", *table);
                let members: Vec<&str> =
                    self.host.members(&self.link.name).map(|link| link.name.as_str()).collect();
                self.set("interfaces", members);
                "vrfs"
            }
            Kind::Dummy => {
                self.lose(true, "dummy link");
                "dummy-devices"
            }
        }
    }

    fn bond(&mut self, spec: &BondSpec) {
        const FIRST: &[&str] = &[
            "mode",
            "lacp-rate",
            "mii-monitor",
            "min-links",
            "transmit-hash-policy",
            "ad-select",
            "arp-interval",
            "arp-ip-targets",
            "up-delay",
            "down-delay",
            "fail-over-mac-policy",
            "gratuitous-arp",
        ];
        let spelled = bond::spell(spec, |names| names.netplan, FIRST);
        for lost in spelled.lost {
            self.lose(true, &lost);
        }
        self.set("interfaces", spec.nics.clone());
        let value = |written: bond::SpelledParameter<'_>| match written.is_text {
            true => (written.name.to_owned(), json!(written.value.to_string())),
            false => (written.name.to_owned(), written.value.json()),
        };
        self.set("parameters", Map::from_iter(spelled.written.into_iter().map(value)));
    }

    fn bridge(&mut self, spec: &BridgeSpec) {
        self.lose(spec.vlan_filtering || spec.default_pvid.is_some(), "vlan-filtering");
        self.lose(spec.multicast_snooping.is_some(), "multicast-snooping");
        self.lose(spec.multicast_querier.is_some(), "multicast-querier");
        self.lose(spec.multicast_igmp_version.is_some(), "multicast-igmp-version");
        let costs: Map<String, Value> = spec
            .ports
            .iter()
            .filter_map(|(port, spec)| Some((port.clone(), json!(spec.cost?))))
            .collect();
        for port in spec.ports.values() {
            self.lose(port.isolated, "isolated");
            self.lose(port.hairpin, "hairpin");
            self.lose(port.learning.is_some(), "learning");
            self.lose(port.neighbor_suppression, "neighbor-suppression");
        }
        self.beyond_cloud_init(!costs.is_empty(), "cost");
        // It writes one MTU for both files of networkd, which the bridge then loses to its ports.
        let of_ports =
            self.host.members(&self.link.name).filter_map(|port| port.settings.mtu).max();
        let is_less = self.link.settings.mtu.is_some_and(|mtu| Some(mtu) < of_ports);
        self.lose(is_less, "an MTU of a bridge below its ports'");
        self.set("interfaces", spec.interfaces.clone());
        let times = [spec.forward_delay, spec.hello_time, spec.max_age, spec.ageing_time];
        self.lose(times.iter().flatten().any(|time| time.0 % 1000 != 0), "times below a second");
        let seconds = |time: Option<Millis>| time.map(|time| json!(time.0 / 1000));
        let parameters = [
            ("stp", spec.stp.map(|stp| json!(stp))),
            ("forward-delay", seconds(spec.forward_delay)),
            ("hello-time", seconds(spec.hello_time)),
            ("max-age", seconds(spec.max_age)),
            ("ageing-time", seconds(spec.ageing_time)),
            ("priority", spec.priority.map(|priority| json!(priority))),
            ("path-cost", (!costs.is_empty()).then(|| Value::Object(costs))),
        ];
        self.set("parameters", present(parameters));
    }

    fn wireguard(&mut self, spec: &WireguardSpec, wireguard: &Wireguard) {
        self.set("mode", "wireguard");
        self.set("key", key_path(&self.link.name));
        if let Some(port) = spec.listen_port {
            self.set("port", port);
        }
        let peer = |peer: &Peer| {
            present([
                ("keys", Some(json!({"public": peer.public_key}))),
                ("allowed-ips", Some(json!(peer.allowed()))),
                ("endpoint", peer.endpoint.as_ref().map(|end| json!(end))),
                ("keepalive", peer.keepalive_seconds().map(|seconds| json!(seconds))),
            ])
        };
        let peers: Vec<Value> = wireguard.peers.iter().map(peer).collect();
        self.set("peers", peers);
    }

    fn vxlan(&mut self, spec: &VxlanSpec, local: Option<IpAddr>) {
        self.set("mode", "vxlan");
        self.set("id", spec.vni);
        // Without a link netplan makes the tunnel independent.
        if !self.host.is_independent(self.link) {
            self.set("link", spec.link.as_str());
        }
        for (key, address) in [("local", local), ("remote", spec.remote)] {
            if let Some(address) = address {
                self.set(key, address.to_string());
            }
        }
        self.set("port", spec.port.unwrap_or(4789));
        if let Some(learning) = spec.mac_learning {
            self.set("mac-learning", learning);
        }
    }

    fn layer3(&mut self) {
        let layer3 = &self.link.layer3;
        let safe = self.host.defaults == Defaults::Safe;
        self.dynamic(safe);
        let addresses: Vec<String> = self.link.all_addresses().map(|net| net.to_string()).collect();
        if !addresses.is_empty() {
            self.set("addresses", addresses);
        }
        self.names(layer3);
        // netplan does not know that a link in a VRF routes by the VRF's table.
        let domain = self.host.domain(self.link);
        let default = |via: &IpAddr| {
            present([
                ("to", Some(json!(default(via.is_ipv4(), self.dialect)))),
                ("via", Some(json!(via))),
                ("table", domain.map(|table| json!(table))),
            ])
        };
        let mut routes: Vec<Value> = layer3.gateways.iter().map(default).collect();
        for route in &layer3.routes {
            routes.push(self.route(route));
        }
        if !routes.is_empty() {
            self.set("routes", routes);
        }
        self.beyond_cloud_init(!layer3.rules.is_empty(), "policy rules");
        let rules: Vec<Value> = layer3.rules.iter().map(|rule| self.rule(rule)).collect();
        if !rules.is_empty() {
            self.set("routing-policy", rules);
        }
    }

    fn dynamic(&mut self, safe: bool) {
        let settings = &self.link.settings;
        if settings.dhcp4 {
            self.set("dhcp4", true);
            self.overrides("dhcp4-overrides", &settings.dhcp4_overrides);
            let identifier =
                settings.dhcp_identifier.or_else(|| safe.then_some(DhcpIdentifier::Mac));
            if let Some(identifier) = identifier {
                self.set("dhcp-identifier", identifier.label());
            }
        }
        if settings.dhcp6 {
            self.set("dhcp6", true);
            self.overrides("dhcp6-overrides", &settings.dhcp6_overrides);
        }
        self.client(settings);
        self.lose(settings.ra_overrides != Overrides::default(), "ra-overrides");
        if let Some(accept) = self.host.accept_ra(self.link) {
            self.set("accept-ra", accept);
        }
        if let Some(families) = self.host.link_local(self.link) {
            let labels: Vec<&str> = families.iter().map(|family| family.label()).collect();
            self.set("link-local", labels);
        }
    }

    /// How addresses are made and asked for.
    fn client(&mut self, settings: &LinkSettings) {
        match settings.ipv6_token {
            None => {}
            Some(Ipv6Token::Stable) => self.lose(true, "ipv6-token: stable"),
            Some(token) => self.set("ipv6-address-token", token.to_string()),
        }
        match settings.ipv6_privacy {
            None => {}
            Some(Ipv6Privacy::PreferPublic) => self.lose(true, "ipv6-privacy: prefer-public"),
            Some(privacy) => self.set("ipv6-privacy", privacy == Ipv6Privacy::Yes),
        }
        // It has the word, for NetworkManager alone.
        self.lose(settings.ipv6_address_generation.is_some(), "ipv6-address-generation");
        let made = settings.ipv6_token.is_some() || settings.ipv6_privacy.is_some();
        self.beyond_cloud_init(made, "how IPv6 addresses are made");
        self.lose(settings.duid.is_some(), "duid");
        self.lose(settings.vendor_class.is_some(), "vendor-class");
        let of_dhcp6 = settings.dhcp6_overrides;
        let name = of_dhcp6.use_hostname.is_some() || of_dhcp6.send_hostname.is_some();
        self.lose(name, "the host's name in DHCPv6");
        // netplan writes both into one section, and refuses a text where they differ.
        let apart = settings.dhcp4 && settings.dhcp6;
        let apart = apart && settings.dhcp4_overrides != settings.dhcp6_overrides;
        self.lose(apart, "overrides of DHCPv4 and DHCPv6 apart");
    }

    fn overrides(&mut self, key: &str, overrides: &Overrides) {
        let Overrides { use_dns, use_domains, use_ntp, use_routes, route_metric, .. } = *overrides;
        let flag = |value: Option<bool>| value.map(|value| json!(value));
        let keys = present([
            ("use-dns", flag(use_dns)),
            ("use-domains", use_domains.map(|value| json!(value.to_string()))),
            ("use-ntp", flag(use_ntp)),
            ("use-mtu", flag(overrides.use_mtu)),
            ("use-hostname", flag(overrides.use_hostname)),
            ("send-hostname", flag(overrides.send_hostname)),
            ("use-routes", flag(use_routes)),
            ("route-metric", route_metric.map(|metric| json!(metric))),
        ]);
        if keys.as_object().is_some_and(|keys| !keys.is_empty()) {
            self.set(key, keys);
        }
    }

    fn names(&mut self, layer3: &Layer3) {
        for (said, words) in layer3.resolver_words() {
            self.lose(said, words);
        }
        // cloud-init has a place of its own for them.
        let lost = self.dialect == Dialect::Netplan && !layer3.ntp.is_empty();
        self.lose(lost, "time servers");
        let servers: Vec<String> = layer3.dns.iter().map(|dns| dns.address.to_string()).collect();
        let nameservers = present([
            ("addresses", (!servers.is_empty()).then(|| json!(servers))),
            ("search", (!layer3.domains.is_empty()).then(|| json!(layer3.domains))),
        ]);
        if nameservers.as_object().is_some_and(|keys| !keys.is_empty()) {
            self.set("nameservers", nameservers);
        }
    }

    fn route(&mut self, route: &RouteSpec) -> Value {
        self.lose(!route.next_hops.is_empty(), "several routers for one route");
        self.lose(route.advertised_mss.is_some(), "advertised-mss");
        self.lose(
            route.to == Destination::Default && route.via.is_none(),
            "a default route without a router",
        );
        let own =
            route.table.is_some() || route.from.is_some() || route.on_link || route.mtu.is_some();
        self.beyond_cloud_init(own, "routes with table, from, on-link or mtu");
        self.beyond_cloud_init(route.congestion_window.is_some(), "congestion-window");
        self.beyond_cloud_init(route.kind != RouteKind::default(), "routes with a type");
        let is_ipv4 = route.via.is_none_or(|via| via.is_ipv4());
        let to = match route.to {
            Destination::Default => default(is_ipv4, self.dialect).to_owned(),
            Destination::Net(net) => net.to_string(),
        };
        let scope = route.kind == RouteKind::default() && route.via.is_none();
        self.beyond_cloud_init(scope, "routes without a router");
        present([
            ("to", Some(json!(to))),
            ("via", route.via.map(|via| json!(via))),
            ("scope", scope.then(|| json!("link"))),
            ("type", (route.kind != RouteKind::default()).then(|| json!(route.kind.label()))),
            ("on-link", route.on_link.then(|| json!(true))),
            ("from", route.from.map(|from| json!(from))),
            ("metric", route.metric.map(|metric| json!(metric))),
            (
                "table",
                route.table.or_else(|| self.host.domain(self.link)).map(|table| json!(table)),
            ),
            ("mtu", route.mtu.map(|mtu| json!(mtu))),
            ("congestion-window", route.congestion_window.map(|window| json!(window))),
        ])
    }

    fn rule(&mut self, rule: &RuleSpec) -> Value {
        self.lose(rule.mask.is_some(), "rules with a mask");
        let by_link = rule.incoming_interface.is_some() || rule.outgoing_interface.is_some();
        self.lose(by_link, "rules by interface");
        let own = rule.invert || rule.suppress_prefix_length.is_some();
        self.lose(own, "rules with invert or suppress-prefix-length");
        self.lose(rule.users.is_some(), "rules by user");
        let by_packet =
            rule.protocol.is_some() || rule.source_port.or(rule.destination_port).is_some();
        self.lose(by_packet, "rules by protocol or port");
        self.lose(rule.verdict != RuleVerdict::Table, "rules with a type");
        // Without from and to, netplan has no way to say the family.
        let unsaid = rule.from.or(rule.to).is_none() && rule.family() == Family::Ipv6;
        self.lose(unsaid, "IPv6 rules by mark alone");
        // It refuses a rule that has neither.
        let everywhere = || rule.to.is_none().then(|| "0.0.0.0/0".to_owned());
        let from = rule.from.map(|from| from.to_string()).or_else(everywhere);
        present([
            ("from", from.map(|from| json!(from))),
            ("to", rule.to.map(|to| json!(to.to_string()))),
            ("mark", rule.mark.map(|mark| json!(mark))),
            ("type-of-service", rule.tos.map(|tos| json!(tos))),
            ("table", Some(json!(rule.table))),
            ("priority", Some(json!(rule.priority))),
        ])
    }
}

/// The default destination: cloud-init's other renderers know prefixes only.
fn default(is_ipv4: bool, dialect: Dialect) -> &'static str {
    match (dialect, is_ipv4) {
        (Dialect::Netplan, _) => "default",
        (Dialect::CloudInit, true) => "0.0.0.0/0",
        (Dialect::CloudInit, false) => "::/0",
    }
}

/// The keys that have a value.
pub(super) fn present<const N: usize>(keys: [(&str, Option<Value>); N]) -> Value {
    let given = keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(given.collect())
}
