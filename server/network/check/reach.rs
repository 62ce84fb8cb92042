//! Rules about whom a host reaches with its configuration: resolvers, this server. Pure.

use std::net::IpAddr;

use super::{Findings, ProfileView};
use crate::model::{Destination, RouteKind};
use crate::network::check::routes::{MAIN, connected};
use crate::network::links::{Kind, Link, Role};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    let place = || view.within([]);
    let links = || view.network.links.values();
    if !links().any(|link| link.role == Role::Addressed) {
        // Rule N152 reports it.
        return;
    }
    let learns = links().any(|link| link.learns());
    let servers: Vec<(&Link, IpAddr)> = links()
        .flat_map(|link| link.layer3.dns.iter().map(move |server| (link, server.address)))
        .collect();
    if servers.is_empty() && !learns {
        let text = "no resolver on any link: names cannot be looked up";
        findings.warn("N152", place(), text.into());
    }
    for (link, server) in servers.into_iter().filter(|(_, server)| !reaches(view, *server)) {
        let text = format!(
            "resolver {server} is unreachable: it is outside the host's subnets, and no route leads to it",
        );
        findings.warn("N160", view.at(&link.name, "subnet"), text);
    }
    check_server(view, findings);
}

/// Rule N153. What an operator says of the server's address goes before what the server sees
/// of itself; and only the first refuses the host, for a network without a way to the server
/// may be meant so.
fn check_server(view: &ProfileView<'_>, findings: &mut Findings) {
    let said: Vec<IpAddr> = view.site.subnets.values().filter_map(|subnet| subnet.server).collect();
    let is_said = !said.is_empty();
    let seen = view.around.servers.iter().copied().filter(|server| speaks(view, *server));
    let own: Vec<IpAddr> = if is_said { said } else { seen.collect() };
    if own.is_empty() || own.iter().any(|server| reaches(view, *server)) {
        return;
    }
    let words: Vec<String> = own.iter().map(IpAddr::to_string).collect();
    let text = format!(
        "with this configuration the provisioning server ({}) is unreachable: the host could \
         never fetch a fix",
        words.join(", ")
    );
    let place = view.within([]);
    match is_said {
        true => findings.error("N153", place, text),
        false => findings.warn("N153", place, text),
    }
}

/// Whether some link has an address of the family of `address`: a host of the other one reaches
/// the server at an address that is not known.
fn speaks(view: &ProfileView<'_>, address: IpAddr) -> bool {
    let same = |net: &ipnet::IpNet| net.addr().is_ipv4() == address.is_ipv4();
    view.network.links.values().any(|link| {
        let subnets = link.layer3.borne.iter();
        let mut borne =
            subnets.filter_map(|borne| Some(view.site.subnets.get(&borne.subnet)?.cidr));
        borne.any(|net| same(&net)) || link.all_addresses().any(|net| same(&net))
    })
}

/// Whether the main table leads to `address`, or may learn to.
pub(super) fn reaches(view: &ProfileView<'_>, address: IpAddr) -> bool {
    let network = &view.network;
    // What the neighbours tell is not known here; mostly it is a default route.
    if network.bgp.as_ref().is_some_and(|bgp| !bgp.neighbors.is_empty()) {
        return true;
    }
    let main = |link: &&Link| network.domain(link).is_none();
    network.links.values().filter(main).any(|link| link.learns() || leads(view, link, address))
}

/// Whether a route of one link in the main table covers `address`.
fn leads(view: &ProfileView<'_>, link: &Link, address: IpAddr) -> bool {
    let layer3 = &link.layer3;
    let mut routes = layer3.routes.iter().filter(|route| {
        route.table.is_none_or(|table| table == MAIN) && route.kind == RouteKind::Unicast
    });
    // The loopback and a dummy have addresses of a subnet, and lead to none of its other hosts.
    let is_alone = matches!(link.kind, Kind::Loopback | Kind::Dummy);
    let is_connected = match is_alone {
        true => link.written().any(|written| written.connected().contains(&address)),
        false => connected(view, link).any(|net| net.contains(&address)),
    };
    is_connected
        || layer3.gateways.iter().any(|gateway| gateway.is_ipv4() == address.is_ipv4())
        || routes.any(|route| match route.to {
            Destination::Net(net) => net.contains(&address),
            Destination::Default => {
                let hops = route.next_hops.iter().map(|hop| hop.via);
                route.via.into_iter().chain(hops).any(|via| via.is_ipv4() == address.is_ipv4())
            }
        })
}

#[cfg(test)]
mod tests {
    use super::super::{Severity, Surroundings, check_host_within, check_site_within};
    use crate::profile::ResolvedSite;

    /// A site with a host of one link, in a subnet that is given.
    fn site(subnet: &str, gateway: &str, more: &str) -> ResolvedSite {
        let text = format!(
            "subnets:\n  \
               provisioning: {{cidr: 10.77.0.0/24{more}}}\n  \
               storage: {{cidr: 10.9.0.0/24{gateway}}}\n  \
               six: {{cidr: \"2001:db8::/64\"}}\n\
             profiles: {{p: {{nics: {{eth0: {{subnet: {subnet}}}}}}}}}\n\
             hosts: {{n1: {{profile: p, nics: {{eth0: \"52:54:00:aa:00:01\"}}}}}}\n"
        );
        serde_saphyr::from_str(&text).unwrap()
    }

    #[test]
    fn a_host_without_a_way_to_the_running_server_is_warned_of_in_the_same_words() {
        let (seen, gateway) = (&["10.77.0.1"][..], ", gateway: 10.9.0.254");
        let said = ", server: 10.77.0.2";
        let warning = Some((Severity::Warning, "10.77.0.1"));
        let cases = [
            ("nobody knows the server", site("storage", "", ""), &[][..], None),
            ("no way to it", site("storage", "", ""), seen, warning),
            ("in its subnet", site("provisioning", "", ""), seen, None),
            ("by a gateway", site("storage", gateway, ""), seen, None),
            (
                "one of its addresses will do",
                site("storage", "", ""),
                &["10.77.0.1", "10.9.0.1"],
                None,
            ),
            ("by IPv6, whose address nobody knows", site("six", "", ""), seen, None),
            (
                "what an operator says counts",
                site("storage", "", said),
                seen,
                Some((Severity::Error, "10.77.0.2")),
            ),
            ("and is enough", site("provisioning", "", said), &["192.0.2.1"], None),
        ];
        for (name, site, servers, expected) in cases {
            let servers = servers.iter().map(|server| server.parse().unwrap()).collect();
            let around = Surroundings { servers, ..Surroundings::default() };
            let told = expected.map(|(severity, address)| {
                let text = format!(
                    "with this configuration the provisioning server ({address}) is unreachable: \
                     the host could never fetch a fix"
                );
                (severity, "profiles.p".to_owned(), text)
            });
            for found in
                [check_site_within(&site, &around), check_host_within(&site, "n1", &around)]
            {
                let mut found = found.into_iter().filter(|one| one.rule == "N153");
                let first = found.next().map(|one| (one.severity, one.path(), one.text));
                assert_eq!((first, found.next()), (told.clone(), None), "{name}");
            }
        }
    }
}
