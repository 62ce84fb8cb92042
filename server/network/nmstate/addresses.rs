//! `ipv4` and `ipv6` of an interface, and the routes and rules of the document. Pure.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{Writer, name};
use crate::model::{
    AddressGeneration, Destination, DhcpIdentifier, DnsServer, DuidType, Family, Ipv6Token,
    Overrides, RouteKind, RouteSpec, RuleSpec, RuleVerdict,
};
use crate::network::links::Kind;
use crate::network::netplan::present;

impl Writer<'_> {
    pub(super) fn addresses(&mut self) {
        let v4 = self.ipv4();
        self.set("ipv4", v4);
        let v6 = self.ipv6();
        self.set("ipv6", v6);
        let domain = self.host.domain(self.link);
        let link = self.link;
        for via in &link.layer3.gateways {
            let route = RouteSpec { via: Some(*via), ..RouteSpec::to(Destination::Default) };
            self.route(&RouteSpec { table: domain, ..route });
        }
        for route in &link.layer3.routes {
            self.route(&RouteSpec { table: route.table.or(domain), ..route.clone() });
        }
        for rule in &link.layer3.rules {
            self.rule(rule);
        }
    }

    fn ipv4(&mut self) -> Value {
        let settings = &self.link.settings;
        let families = self.host.link_local(self.link);
        let local = families.is_some_and(|families| families.contains(&Family::Ipv4));
        self.lose(local, "an IPv4 link-local address");
        let mut keys = Map::new();
        let addresses = self.written(Family::Ipv4);
        let loops = self.link.kind == Kind::Loopback;
        self.lose(loops && settings.dhcp4, "DHCP on the loopback");
        keys.insert("enabled".into(), json!(settings.dhcp4 || loops || !addresses.is_empty()));
        self.unreachable(Family::Ipv4, settings.dhcp4 || !addresses.is_empty());
        if settings.dhcp4 {
            keys.insert("dhcp".into(), json!(true));
            let identifier = settings.dhcp_identifier.unwrap_or(DhcpIdentifier::Mac);
            let identifier = match identifier {
                DhcpIdentifier::Mac => "ll",
                DhcpIdentifier::Duid => "iaid+duid",
            };
            keys.insert("dhcp-client-id".into(), json!(identifier));
            self.learned(&mut keys, &[settings.dhcp4_overrides]);
        } else if !loops {
            keys.insert("dhcp".into(), json!(false));
        }
        self.lose(settings.duid.is_some() && !settings.dhcp6, "duid of DHCPv4 alone");
        self.lose(settings.vendor_class.is_some(), "vendor-class");
        if !addresses.is_empty() {
            keys.insert("address".into(), Value::Array(addresses));
        }
        Value::Object(keys)
    }

    fn ipv6(&mut self) -> Value {
        let settings = &self.link.settings;
        let loops = self.link.kind == Kind::Loopback;
        let families = self.host.link_local(self.link);
        let local = families.is_none_or(|families| families.contains(&Family::Ipv6));
        let hears = !loops && self.host.accept_ra(self.link).unwrap_or(local);
        let addresses = self.written(Family::Ipv6);
        let learns = hears || settings.dhcp6;
        self.lose(
            loops && (settings.dhcp6 || settings.accept_ra == Some(true)),
            "DHCP on the loopback",
        );
        let without = !loops && !local && (learns || !addresses.is_empty());
        self.lose(without, "IPv6 without a link-local address");
        self.lose(settings.ipv6_privacy.is_some(), "ipv6-privacy");
        let mut keys = Map::new();
        let enabled = loops || local || learns || !addresses.is_empty();
        keys.insert("enabled".into(), json!(enabled));
        self.unreachable(Family::Ipv6, enabled);
        if !enabled || loops {
            let made = settings.ipv6_address_generation.is_some() || settings.ipv6_token.is_some();
            self.lose(made, "how IPv6 addresses are made, without IPv6");
        } else {
            // It asks DHCPv6 where a router says so, and cannot be told otherwise.
            keys.insert("dhcp".into(), json!(learns));
            keys.insert("autoconf".into(), json!(hears));
            self.generation(&mut keys, learns);
        }
        if learns {
            let duid = settings.duid.filter(|_| settings.dhcp6).map(|kind| match kind {
                DuidType::LinkLayer => "ll",
                DuidType::LinkLayerTime => "llt",
                DuidType::Uuid => "uuid",
                DuidType::Vendor => "en",
            });
            keys.extend(duid.map(|duid| ("dhcp-duid".to_owned(), json!(duid))));
            let (asked, ra) = (settings.dhcp6_overrides, settings.ra_overrides);
            let both = hears && settings.dhcp6;
            self.lose(
                both && asked.use_dns != ra.use_dns,
                "use-dns of DHCPv6 and of routers apart",
            );
            self.learned(&mut keys, &[asked, ra]);
        }
        if !addresses.is_empty() {
            keys.insert("address".into(), Value::Array(addresses));
        }
        Value::Object(keys)
    }

    /// How IPv6 addresses are made: the link-local one and the others in one way.
    fn generation(&mut self, keys: &mut Map<String, Value>, learns: bool) {
        let settings = &self.link.settings;
        let is_stable = settings.ipv6_address_generation == Some(AddressGeneration::StablePrivacy);
        let of_prefix = settings.ipv6_token == Some(Ipv6Token::Stable);
        let other = settings.ipv6_address_generation;
        let other = matches!(other, Some(AddressGeneration::Random | AddressGeneration::None));
        self.lose(other, "ipv6-address-generation: random or none");
        let apart = learns && is_stable != of_prefix;
        self.lose(apart, "stable addresses of the link or of prefixes alone");
        let mode = if is_stable { "stable-privacy" } else { "eui64" };
        keys.insert("addr-gen-mode".into(), json!(mode));
        let token = settings.ipv6_token.filter(|token| *token != Ipv6Token::Stable);
        self.lose(token.is_some() && !learns, "ipv6-token without SLAAC");
        keys.extend(token.map(|token| ("token".to_owned(), json!(token.to_string()))));
    }

    fn written(&mut self, family: Family) -> Vec<Value> {
        let own = self.link.all_addresses().filter(|net| is_of(net.addr(), family));
        own.map(|net| json!({"ip": net.addr(), "prefix-length": net.prefix_len()})).collect()
    }

    /// Refuses what would have no address to go with.
    fn unreachable(&mut self, family: Family, has_addresses: bool) {
        let link = self.link;
        let of_family = |dns: &&DnsServer| is_of(dns.address, family);
        let asks = link.layer3.dns.iter().any(|dns| of_family(&dns));
        let feature = format!("{family} resolvers without an {family} address");
        self.lose(!has_addresses && asks, &feature);
        let gateway = link.layer3.gateways.iter().any(|gateway| is_of(*gateway, family));
        let routes = link
            .layer3
            .routes
            .iter()
            .any(|route| route.family() == family && route.kind == RouteKind::default());
        let feature = format!("{family} routes without an {family} address");
        self.lose(!has_addresses && (gateway || routes), &feature);
    }

    /// What is taken from DHCP and from routers.
    fn learned(&mut self, keys: &mut Map<String, Value>, all: &[Overrides]) {
        let any = |value: fn(&Overrides) -> bool| all.iter().any(value);
        self.lose(any(|one| one.use_mtu.is_some()), "use-mtu");
        self.lose(any(|one| one.use_hostname.is_some()), "use-hostname");
        self.lose(any(|one| one.use_addresses.is_some()), "use-addresses");
        self.lose(any(|one| one.use_ntp.is_some()), "use-ntp");
        self.lose(any(|one| one.use_domains == Some(false)), "use-domains: false");
        let mut set = |key: &str, value: Value| drop(keys.insert(key.to_owned(), value));
        if any(|one| one.use_dns == Some(false)) {
            set("auto-dns", json!(false));
        }
        if any(|one| one.use_routes == Some(false)) {
            set("auto-routes", json!(false));
            set("auto-gateway", json!(false));
        }
        if let Some(metric) = all.iter().find_map(|one| one.route_metric) {
            set("auto-route-metric", json!(metric));
        }
        if let Some(tells) = all.iter().find_map(|one| one.send_hostname) {
            set("dhcp-send-hostname", json!(tells));
        }
    }

    fn route(&mut self, route: &RouteSpec) {
        let family = route.family();
        self.lose(route.on_link, "on-link");
        let other = route.via.is_some_and(|via| !is_of(via, family));
        self.lose(other, "a router of the other family");
        let several = !route.next_hops.is_empty();
        self.lose(several && family == Family::Ipv6, "several routers for one IPv6 route");
        self.lose(route.spans_links(), "routers of one route on several links");
        let to = match (route.to, family) {
            (Destination::Net(net), _) => net.to_string(),
            (Destination::Default, Family::Ipv4) => "0.0.0.0/0".into(),
            (Destination::Default, Family::Ipv6) => "::/0".into(),
        };
        let is_plain = route.kind == RouteKind::default();
        let device = name(self.host, self.link);
        let mut add = |via: Option<IpAddr>, weight: Option<u32>| {
            self.state.routes.push(present([
                ("destination", Some(json!(to))),
                ("next-hop-address", via.map(|via| json!(via))),
                ("next-hop-interface", is_plain.then(|| json!(device))),
                ("weight", weight.map(|weight| json!(weight))),
                ("metric", route.metric.map(|metric| json!(metric))),
                ("table-id", route.table.map(|table| json!(table))),
                ("route-type", (!is_plain).then(|| json!(route.kind.label()))),
                ("source", route.from.map(|from| json!(from))),
                ("mtu", route.mtu.map(|mtu| json!(mtu))),
                ("advmss", route.advertised_mss.map(|mss| json!(mss))),
                ("initcwnd", route.congestion_window.map(|window| json!(window))),
            ]));
        };
        match several {
            // Routes to one place with weights become one route with several routers.
            true => {
                route.next_hops.iter().for_each(|hop| add(Some(hop.via), hop.weight.or(Some(1))))
            }
            false => add(route.via, None),
        }
    }

    fn rule(&mut self, rule: &RuleSpec) {
        let host = self.host;
        let words = [
            (rule.outgoing_interface.is_some(), "rules by outgoing interface"),
            (rule.tos.is_some(), "rules by TOS"),
            (rule.users.is_some(), "rules by user"),
            (rule.protocol.is_some(), "rules by protocol or port"),
            (rule.source_port.or(rule.destination_port).is_some(), "rules by protocol or port"),
            (rule.invert, "rules with invert"),
        ];
        for (used, feature) in words {
            self.lose(used, feature);
        }
        let looks_up = rule.verdict == RuleVerdict::Table;
        let incoming = rule.incoming_interface.as_ref().map(|name| json!(host.device(name)));
        let family = rule.from.or(rule.to).is_none().then(|| json!(rule.family().label()));
        self.state.rules.push(present([
            ("family", family),
            ("ip-from", rule.from.map(|net| json!(net.to_string()))),
            ("ip-to", rule.to.map(|net| json!(net.to_string()))),
            ("fwmark", rule.mark.map(|mark| json!(mark))),
            ("fwmask", rule.mask.map(|mask| json!(mask))),
            ("iif", incoming),
            ("suppress-prefix-length", rule.suppress_prefix_length.map(|bits| json!(bits))),
            ("action", (!looks_up).then(|| json!(rule.verdict.label()))),
            ("route-table", looks_up.then(|| json!(rule.table))),
            ("priority", Some(json!(rule.priority))),
        ]));
    }
}

/// Whether an address is of the family.
fn is_of(address: IpAddr, family: Family) -> bool {
    address.is_ipv4() == (family == Family::Ipv4)
}
