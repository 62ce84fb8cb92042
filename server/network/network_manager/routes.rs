//! Routes and policy rules of a keyfile. Pure.

use std::net::IpAddr;

use super::Keyfile;
use super::addresses::is_of;
use crate::model::{Destination, Family, RouteKind, RouteSpec, RuleSpec, RuleVerdict};
use crate::network::ip_rule::ip_rule;

impl Keyfile<'_> {
    /// The routes and rules of one family. On a link that also learns routes, the metric of
    /// those written down is said, or they would get that of the others.
    pub(super) fn routes(&mut self, family: Family, learns: bool) {
        let layer3 = &self.link.layer3;
        let mut number = 0;
        for route in layer3.routes.iter().filter(|route| route.family() == family) {
            let other = |via: &IpAddr| !is_of(*via, family);
            self.lose(route.via.as_ref().is_some_and(other), "a router of the other family");
            let several = !route.next_hops.is_empty();
            self.lose(several && family == Family::Ipv6, "several routers for one IPv6 route");
            self.lose(route.spans_links(), "routers of one route on several links");
            let metric = route.metric.or_else(|| learns.then_some(0));
            let ways: Vec<(Option<IpAddr>, Option<u32>)> = match several {
                // Routes to one place with weights become one route with several routers.
                true => {
                    let way = |hop: &crate::model::NextHop| (Some(hop.via), hop.weight.or(Some(1)));
                    route.next_hops.iter().map(way).collect()
                }
                false => vec![(route.via, None)],
            };
            for (via, weight) in ways {
                number += 1;
                self.unit.set(&format!("route{number}"), way(route, via, metric));
                let options = options(route, weight);
                if !options.is_empty() {
                    self.unit.set(&format!("route{number}_options"), options.join(","));
                }
            }
        }
        let rules = layer3.rules.iter().filter(|rule| rule.family() == family);
        for (index, rule) in rules.enumerate() {
            let words = self.rule(rule);
            self.unit.set(&format!("routing-rule{}", index + 1), words);
        }
    }

    /// A rule in the words of `ip rule`.
    fn rule(&mut self, rule: &RuleSpec) -> String {
        // Its library refuses the words that `ip rule` has for them.
        self.lose(rule.users.is_some(), "rules by user");
        self.lose(rule.verdict != RuleVerdict::Table, "rules with a type");
        let everything = if rule.family() == Family::Ipv4 { "0.0.0.0/0" } else { "::/0" };
        let from = rule.from.map(|net| net.to_string());
        let from = from.or_else(|| rule.to.is_none().then(|| everything.to_owned()));
        ip_rule(self.host, rule, from)
    }
}

/// `DESTINATION,ROUTER,METRIC`, as much of it as there is.
fn way(route: &RouteSpec, via: Option<IpAddr>, metric: Option<u32>) -> String {
    let mut text = match (route.to, route.family()) {
        (Destination::Net(net), _) => net.to_string(),
        (Destination::Default, Family::Ipv4) => "0.0.0.0/0".into(),
        (Destination::Default, Family::Ipv6) => "::/0".into(),
    };
    // The metric is the third word, with or without a second.
    let none = || if route.family() == Family::Ipv4 { "0.0.0.0" } else { "::" }.to_owned();
    let via = via.map(|via| via.to_string()).or_else(|| metric.map(|_| none()));
    for word in [via, metric.map(|metric| metric.to_string())].into_iter().flatten() {
        text.push(',');
        text.push_str(&word);
    }
    text
}

fn options(route: &RouteSpec, weight: Option<u32>) -> Vec<String> {
    let kind = (route.kind != RouteKind::default()).then(|| route.kind.label().to_owned());
    let words = [
        ("type", kind),
        ("table", route.table.map(|table| table.to_string())),
        ("src", route.from.map(|from| from.to_string())),
        ("onlink", route.on_link.then(|| "true".to_owned())),
        ("mtu", route.mtu.map(|mtu| mtu.to_string())),
        ("advmss", route.advertised_mss.map(|mss| mss.to_string())),
        ("initcwnd", route.congestion_window.map(|window| window.to_string())),
        ("weight", weight.map(|weight| weight.to_string())),
    ];
    words.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?))).collect()
}
