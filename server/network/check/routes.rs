//! Rules about where packets leave a host. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Findings, ProfileView, ways};
use ipnet::IpNet;

use crate::model::{Destination, Family, RouteKind, RouteSpec, Subnet};
use crate::network::links::{Kind, Link, Role};

/// The table of routes that name none.
pub(super) const MAIN: u32 = 254;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    one_link_per_subnet(view, findings);
    default_routes(view, findings);
    duplicates(view, findings);
    for link in view.network.links.values() {
        local_gateways(view, link, findings);
        for route in &link.layer3.routes {
            hops(view, link, route, findings);
            ways::check(view, link, route, findings);
        }
    }
}

/// Rule N144: with two links in one subnet the kernel answers by either (ARP flux), unless
/// each has a table or a VRF of its own.
fn one_link_per_subnet(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut bearers: BTreeMap<(&str, Option<u32>), &str> = BTreeMap::new();
    for link in view.network.links.values() {
        let settings = view.profile.links().find(|other| other.name == link.name);
        let own_table = settings.and_then(|link| link.settings.table);
        for borne in &link.layer3.borne {
            let more = link.settings.more_subnets.iter();
            let mut more =
                more.filter(|more| borne.key == format!("{}/{}", link.name, more.subnet));
            let own_table = more.next_back().map_or(own_table, |more| more.table);
            let table = view.network.domain(link).or(own_table);
            let Some(other) = bearers.insert((&borne.subnet, table), &link.name) else { continue };
            let text = format!(
                "{other} and {} are both in subnet \"{}\"; replies would leave by only one of them; \
                 set a table on each",
                link.name, borne.subnet
            );
            findings.error("N144", view.at(&link.name, "subnet"), text);
        }
    }
    overlapping_domains(view, &bearers, findings);
}

/// Rule N144 for subnets of two routing domains: where their prefixes overlap, one table cannot
/// lead to both.
fn overlapping_domains(
    view: &ProfileView<'_>,
    bearers: &BTreeMap<(&str, Option<u32>), &str>,
    findings: &mut Findings,
) {
    let found = bearers.iter().filter_map(|((name, table), link)| {
        Some((*name, view.site.subnets.get(*name)?, *table, *link))
    });
    let borne: Vec<_> = found.collect();
    for (index, (name, subnet, table, link)) in borne.iter().enumerate() {
        let overlaps = |(_, other, its_table, _): &&(&str, &Subnet, Option<u32>, &str)| {
            let (one, two) = (subnet.cidr.trunc(), other.cidr.trunc());
            other.vrf != subnet.vrf
                && its_table == table
                && (one.contains(&two) || two.contains(&one))
        };
        let Some((other, _, _, their)) = borne[..index].iter().find(overlaps) else { continue };
        let text = format!(
            "{their} is in subnet \"{other}\" and {link} in \"{name}\" of another VRF with the same \
             addresses; put one of them in a VRF of the host"
        );
        findings.error("N144", view.at(link, "subnet"), text);
    }
}

/// Whether a link has a default route in the main table that leads somewhere.
fn leads_out(view: &ProfileView<'_>, link: &Link) -> bool {
    let main = view.network.domain(link).unwrap_or(MAIN);
    let leads = |route: &RouteSpec| {
        let table = route.table.unwrap_or(main);
        route.is_default() && route.kind == RouteKind::Unicast && table == MAIN
    };
    (main == MAIN && !link.layer3.gateways.is_empty()) || link.layer3.routes.iter().any(leads)
}

/// Rule N151 for default routes that DHCPv4 and router advertisements bring: two of one metric.
fn learned_twice(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut learned: BTreeMap<(&str, u32, Option<u32>), &str> = BTreeMap::new();
    for link in view.network.links.values() {
        let settings = &link.settings;
        let sources = [
            (settings.dhcp4, settings.dhcp4_overrides, "dhcp4-overrides", "DHCP"),
            (
                settings.accept_ra == Some(true),
                settings.ra_overrides,
                "ra-overrides",
                "router advertisements",
            ),
        ];
        for (is_on, overrides, key, source) in sources {
            let is_told = is_on && overrides.use_routes != Some(false);
            if !is_told || view.network.owner(link).is_some() {
                continue;
            }
            let own = view.network.domain(link).or(settings.table).unwrap_or(MAIN);
            let Some(other) = learned.insert((key, own, overrides.route_metric), &link.name) else {
                continue;
            };
            let text = format!(
                "{other} and {} both take a default route of one metric from {source}; set \
                 {key}: {{use-routes: false}} on one of them, or a route-metric",
                link.name
            );
            findings.warn("N151", view.at(&link.name, key), text);
            findings.suggest(view.path(&link.name, &format!("{key}.use-routes")), false);
        }
    }
}

/// Rule N158 for routes that the kernel has once: the same way to the same place.
fn duplicates(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut taken: BTreeMap<(Destination, bool, u32, u32), &str> = BTreeMap::new();
    for link in view.network.links.values() {
        let main = view.network.domain(link).unwrap_or(MAIN);
        // Rule N151 is about default routes.
        for route in link.layer3.routes.iter().filter(|route| !route.is_default()) {
            let to = match route.to {
                Destination::Net(net) => Destination::Net(net.trunc()),
                Destination::Default => Destination::Default,
            };
            let (table, metric) = (route.table.unwrap_or(main), route.metric.unwrap_or(0));
            let key = (to, route.family() == Family::Ipv4, table, metric);
            let Some(other) = taken.insert(key, &link.name) else {
                own_subnet(view, link, route, findings);
                continue;
            };
            let whose = match other == link.name {
                true => format!("{other} has two routes"),
                false => format!("{other} and {} both have a route", link.name),
            };
            let text = format!(
                "{whose} to {to} in table {table} with metric {metric}; the kernel uses one of them; \
                 set another metric, or next-hops"
            );
            findings.error("N158", view.at(&link.name, "routes"), text);
        }
    }
}

/// Rule N158 for a gateway to where the host is already: the kernel's own route to a subnet of
/// the host comes first.
fn own_subnet(view: &ProfileView<'_>, link: &Link, route: &RouteSpec, findings: &mut Findings) {
    let Destination::Net(to) = route.to else { return };
    let has_gateway = route.via.is_some() || !route.next_hops.is_empty();
    let (domain, is_first) = (view.network.domain(link), route.metric.unwrap_or(0) == 0);
    if !has_gateway || !is_first || route.table.is_some_and(|table| Some(table) != domain) {
        return;
    }
    // An address of the loopback or a dummy is one of many, not the subnet.
    let bears = |other: &&Link| {
        let own_table = other.settings.table.filter(|_| domain.is_none());
        view.network.domain(other) == domain
            && own_table.is_none()
            && !matches!(other.kind, Kind::Loopback | Kind::Dummy)
            && connected(view, other).any(|net| net.trunc() == to.trunc())
    };
    if let Some(bearer) = view.network.links.values().find(bears) {
        let text = format!(
            "the route to {to} is never used: {} is in that subnet, and the kernel's own route comes first",
            bearer.name
        );
        findings.error("N158", view.at(&link.name, "routes"), text);
    }
}

/// Rules N151 and N152: one default route for each family, table and metric.
fn default_routes(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut routes: BTreeMap<(bool, u32, u32), &str> = BTreeMap::new();
    for link in view.network.links.values() {
        let main = view.network.domain(link).unwrap_or(MAIN);
        let own = link.layer3.gateways.iter().map(|gateway| (gateway.is_ipv4(), main, 0));
        let defaults = link.layer3.routes.iter().filter(|route| route.is_default());
        let more = defaults.map(|route| {
            let is_ipv4 = route.family() == Family::Ipv4;
            (is_ipv4, route.table.unwrap_or(main), route.metric.unwrap_or(0))
        });
        for (is_ipv4, table, metric) in own.chain(more) {
            let Some(other) = routes.insert((is_ipv4, table, metric), &link.name) else { continue };
            let family = if is_ipv4 { "IPv4" } else { "IPv6" };
            let text = match other == link.name {
                true => format!(
                    "{other} sets the {family} default route of table {table} twice with metric \
                     {metric}, by the gateway of its subnet and by routes; set default-route: false, or \
                     remove the route"
                ),
                false => format!(
                    "{other} and {} both set the {family} default route of table {table} with metric \
                     {metric}; set default-route: false on one of them",
                    link.name
                ),
            };
            findings.error("N151", view.at(&link.name, "default-route"), text);
            findings.suggest(view.path(&link.name, "default-route"), false);
        }
    }
    learned_twice(view, findings);
    let links = || view.network.links.values();
    let learns = links().any(|link| link.learns());
    let place = || view.within([]);
    if links().next().is_some_and(|link| link.settings.namespace.is_some()) {
        // A namespace that reaches its own subnets alone is what somebody wanted.
    } else if !links().any(|link| link.role == Role::Addressed) {
        findings.warn("N152", place(), "no link has an address".into());
    } else if !links().any(|link| leads_out(view, link)) && !learns && view.profile.bgp.is_none() {
        let text = "no default route: only the host's own subnets are reachable";
        findings.warn("N152", place(), text.into());
    }
}

/// Rules N150 and N158: the routers of a route of the profile's own.
fn hops(view: &ProfileView<'_>, link: &Link, route: &RouteSpec, findings: &mut Findings) {
    let at = || view.at(&link.name, "routes");
    let own = route.via.map(|via| (via, link));
    let shared = route.next_hops.iter().filter_map(|hop| {
        let name = hop.link.as_deref().unwrap_or(&link.name);
        // `ways` names a link that is not there.
        Some((hop.via, view.network.links.get(name)?))
    });
    let vias: Vec<(IpAddr, &Link)> = own.into_iter().chain(shared).collect();
    match (route.kind, vias.is_empty()) {
        (RouteKind::Unicast, _) => {}
        (kind, false) => {
            let text =
                format!("the {kind} route to {} has a gateway, which it never uses", route.to);
            findings.error("N158", at(), text);
        }
        (kind, true) if route.to == Destination::Default => {
            let text = format!("a {kind} route to default has no family; write 0.0.0.0/0 or ::/0");
            findings.error("N158", at(), text);
        }
        (_, true) => {}
    }
    if route.to == Destination::Default && vias.is_empty() && route.kind == RouteKind::Unicast {
        findings.error("N158", at(), "a default route needs a gateway: via or next-hops".into());
    }
    if route.on_link {
        return;
    }
    let lost = |(via, link): &(IpAddr, &Link)| !link.learns() && !reaches(view, link, *via);
    for (via, link) in vias.into_iter().filter(lost) {
        let text = format!(
            "gateway {via} is unreachable: it is outside the subnets of {} (networkd would wait \
             for ever, without an error); set on-link: true if it is on the link",
            link.name
        );
        findings.error("N150", at(), text);
    }
}

/// Rule N150: a link-local gateway is reached from a link-local address.
fn local_gateways(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let is_local = |via: &IpAddr| matches!(via, IpAddr::V6(via) if via.is_unicast_link_local());
    let routes = link.layer3.routes.iter().filter_map(|route| route.via);
    let mut vias = link.layer3.gateways.iter().copied().chain(routes);
    let silent = view.network.link_local(link).is_some_and(|all| !all.contains(&Family::Ipv6));
    if let Some(via) = vias.find(is_local).filter(|_| silent) {
        let text = format!(
            "gateway {via} is unreachable: {} has no IPv6 link-local address; add ipv6 to link-local",
            link.name
        );
        findings.error("N150", view.at(&link.name, "link-local"), text);
        findings.suggest(view.path(&link.name, "link-local"), "[ipv6]");
    }
}

/// Whether one of the link's own prefixes covers `address`.
pub(super) fn reaches(view: &ProfileView<'_>, link: &Link, address: IpAddr) -> bool {
    // A link-local router is on every link (RFC 4291 section 2.5.6).
    if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
        return true;
    }
    connected(view, link).any(|net| net.contains(&address))
}

/// What the link leads to without a router: the other ends that it names, and whole prefixes.
pub(super) fn connected<'a>(
    view: &'a ProfileView<'_>,
    link: &'a Link,
) -> impl Iterator<Item = IpNet> + 'a {
    // A subnet is on the link whether the host has been given its address yet or not.
    let borne = link.layer3.borne.iter().filter_map(|borne| {
        let subnet = view.site.subnets.get(&borne.subnet)?;
        Some(borne.known_peer().map_or(subnet.cidr, IpNet::from))
    });
    let shared = link.written().filter(|written| !written.is_own);
    borne.chain(shared.map(|written| written.connected()))
}
