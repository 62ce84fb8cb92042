//! Addresses, routes and rules of an interface. What ifupdown2 has no attribute for is a command
//! of `ip`, run when the interface is up, and its opposite before it goes down. Pure.

use std::net::IpAddr;

use super::Writer;
use crate::model::{Destination, Family, NextHop, Overrides, RouteKind, RouteSpec, RuleSpec};
use crate::network::ip_rule::ip_rule;
use crate::network::links::HostNetwork;

impl Writer<'_> {
    /// What it asks of others: dhclient's IPv4 alone, with whatever that takes.
    pub(super) fn learned(&mut self) {
        let (layer3, settings) = (&self.link.layer3, &self.link.settings);
        self.lose(settings.dhcp6, "dhcp6");
        self.lose(self.host.accept_ra(self.link) == Some(true), "accept-ra");
        let overrides = [settings.dhcp4_overrides, settings.dhcp6_overrides, settings.ra_overrides];
        self.lose(overrides.iter().any(|one| *one != Overrides::default()), "overrides");
        let ipv4 = |families: &[Family]| families.contains(&Family::Ipv4);
        self.lose(self.host.link_local(self.link).is_some_and(ipv4), "link-local IPv4");
        for (said, words) in layer3.resolver_words() {
            self.lose(said, words);
        }
        self.lose(!layer3.ntp.is_empty(), "time servers");
    }

    /// The addresses and the default router of one family, and the word for how they come.
    pub(super) fn addresses(&mut self, family: Family) -> &'static str {
        let (layer3, settings) = (&self.link.layer3, &self.link.settings);
        let is_ours = |address: IpAddr| address.is_ipv4() == (family == Family::Ipv4);
        let mut written = false;
        for address in self.link.all_addresses().filter(|net| is_ours(net.addr())) {
            written = true;
            self.set("address", address);
        }
        for gateway in layer3.gateways.iter().filter(|gateway| is_ours(**gateway)) {
            self.lose(!written, "a router without an address");
            self.set("gateway", gateway);
        }
        let asks = settings.dhcp4 && family == Family::Ipv4;
        self.lose(asks && written, "addresses beside DHCP");
        match (asks, written) {
            (true, _) => "dhcp",
            (_, true) => "static",
            _ => "manual",
        }
    }

    pub(super) fn routes(&mut self) {
        for route in &self.link.layer3.routes {
            let other = route.via.is_some_and(|via| via.is_ipv4() != is_ipv4(route));
            self.lose(other, "a router of the other family");
            // It begins link after link, and the kernel refuses a way over one that is not up yet.
            self.lose(route.spans_links(), "routers of one route on several links");
            let (ip, words) = (ip(is_ipv4(route)), self.route(route));
            self.set("post-up", format!("{ip} route replace {words}"));
            // The others go with the interface.
            if route.kind != RouteKind::default() {
                self.set("pre-down", format!("{ip} route del {words}"));
            }
        }
        for rule in &self.link.layer3.rules {
            let (ip, words) = (ip(rule.family() == Family::Ipv4), rule_words(self.host, rule));
            // A reload runs it again; the kernel would not take the same rule twice.
            self.set(
                "post-up",
                format!("{ip} rule del {words} 2>/dev/null; {ip} rule add {words}"),
            );
            self.set("pre-down", format!("{ip} rule del {words}"));
        }
    }

    /// A route in the words of `ip route`.
    fn route(&self, route: &RouteSpec) -> String {
        let device = self.link.device();
        let is_unicast = route.kind == RouteKind::default();
        let table = route.table.or_else(|| self.host.domain(self.link));
        let several = !route.next_hops.is_empty();
        let to = match route.to {
            Destination::Default => "default".to_owned(),
            Destination::Net(net) => net.to_string(),
        };
        let mut words = vec![to];
        if !is_unicast {
            words.insert(0, route.kind.to_string());
        }
        let on_link = if route.on_link { " onlink" } else { "" };
        let mut add = |key: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{key} {value}")));
        };
        add("via", route.via.map(|via| via.to_string()));
        add("dev", (is_unicast && !several).then(|| format!("{device}{on_link}")));
        add("src", route.from.map(|from| from.to_string()));
        add("metric", route.metric.map(|metric| metric.to_string()));
        add("table", table.map(|table| table.to_string()));
        add("mtu", route.mtu.map(|mtu| mtu.to_string()));
        add("advmss", route.advertised_mss.map(|mss| mss.to_string()));
        add("initcwnd", route.congestion_window.map(|window| window.to_string()));
        let hop = |hop: &NextHop| {
            let weight = hop.weight.unwrap_or(1);
            format!("nexthop via {} dev {device}{on_link} weight {weight}", hop.via)
        };
        words.extend(route.next_hops.iter().map(hop));
        words.join(" ")
    }
}

/// A rule in the words of `ip rule`.
fn rule_words(host: &HostNetwork, rule: &RuleSpec) -> String {
    ip_rule(host, rule, Some(rule.from.map_or_else(|| "all".to_owned(), |net| net.to_string())))
}

fn ip(is_ipv4: bool) -> &'static str {
    if is_ipv4 { "ip" } else { "ip -6" }
}

fn is_ipv4(route: &RouteSpec) -> bool {
    route.family() == Family::Ipv4
}
