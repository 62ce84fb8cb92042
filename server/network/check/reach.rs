//! Rules about whom a host reaches with its configuration: resolvers, this server. Pure.

use std::net::IpAddr;

use super::{Findings, Place, ProfileView};
use crate::model::{Destination, RouteKind};
use crate::network::check::routes::MAIN;
use crate::network::links::{Link, Role};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    let place = || Place::new(format!("profiles.{}", view.name));
    let links = || view.network.links.values();
    if !links().any(|link| link.role == Role::Addressed) {
        // Rule N152 says so.
        return;
    }
    let learns = links().any(|link| link.layer3.learns());
    let servers: Vec<(&Link, IpAddr)> = links()
        .flat_map(|link| link.layer3.dns.iter().map(move |server| (link, server.address)))
        .collect();
    if servers.is_empty() && !learns {
        let text = "no resolver on any link: names cannot be looked up";
        findings.warn("N152", place(), text.into());
    }
    for (link, server) in servers.into_iter().filter(|(_, server)| !reaches(view, *server)) {
        let text =
            format!("resolver {server} is in no subnet of the host, and no route leads to it",);
        findings.warn("N160", view.at(&link.name, "subnet"), text);
    }
    let own: Vec<IpAddr> = view.site.subnets.values().filter_map(|subnet| subnet.server).collect();
    if !own.is_empty() && !own.iter().any(|server| reaches(view, *server)) {
        let words: Vec<String> = own.iter().map(IpAddr::to_string).collect();
        let text = format!(
            "with this configuration the provisioning server ({}) is unreachable: the host could \
             never fetch a fix",
            words.join(", ")
        );
        findings.error("N153", place(), text);
    }
}

/// Whether the main table leads to `address`, or may learn to.
fn reaches(view: &ProfileView<'_>, address: IpAddr) -> bool {
    let network = &view.network;
    let main = |link: &&Link| network.domain(link).is_none();
    network
        .links
        .values()
        .filter(main)
        .any(|link| link.layer3.learns() || leads(view, link, address))
}

/// Whether a route of one link in the main table covers `address`.
fn leads(view: &ProfileView<'_>, link: &Link, address: IpAddr) -> bool {
    let layer3 = &link.layer3;
    let mut borne =
        layer3.borne.iter().filter_map(|borne| view.site.subnets.get(&borne.subnet)?.cidr.into());
    let mut routes = layer3.routes.iter().filter(|route| {
        route.table.is_none_or(|table| table == MAIN) && route.kind == RouteKind::Unicast
    });
    borne.any(|net: ipnet::IpNet| net.contains(&address))
        || link.all_addresses().any(|net| net.contains(&address))
        || layer3.gateways.iter().any(|gateway| gateway.is_ipv4() == address.is_ipv4())
        || routes.any(|route| match route.to {
            Destination::Net(net) => net.contains(&address),
            Destination::Default => {
                let hops = route.next_hops.iter().map(|hop| hop.via);
                route.via.into_iter().chain(hops).any(|via| via.is_ipv4() == address.is_ipv4())
            }
        })
}
