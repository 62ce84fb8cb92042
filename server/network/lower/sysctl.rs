//! Kernel settings that a network needs besides its links. Pure.

use std::collections::BTreeMap;

use super::wireguard;
use crate::model::{AddressRole, Defaults, Profile, RouteSpec};
use crate::network::links::{HostNetwork, Kind, Link, Role};

/// The profile's settings, and in a profile that is not verbatim those without which its
/// addresses and routes do not work.
pub(super) fn settings(network: &HostNetwork, profile: &Profile) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    if network.defaults == Defaults::Safe {
        let needed = needed(network).into_iter();
        settings.extend(needed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    // The profile's own word is the last.
    settings.extend(profile.sysctls.iter().map(|(name, value)| (name.clone(), value.clone())));
    settings
}

/// Settings that the links imply, with their values.
pub(in crate::network) fn needed(network: &HostNetwork) -> Vec<(&'static str, &'static str)> {
    let layers = || network.links.values().map(|link| &link.layer3);
    let mut needed = Vec::new();
    if layers().any(|layer3| layer3.shared.iter().any(|one| one.role == AddressRole::Dsr)) {
        // The load balancer answers ARP for the address, and nobody else may.
        needed.push(("net.ipv4.conf.all.arp_ignore", "1"));
        needed.push(("net.ipv4.conf.all.arp_announce", "2"));
    }
    if layers().any(|layer3| !layer3.rules.is_empty()) {
        // Strict reverse path filtering drops packets that come in by another NIC than the main
        // table would send the answer to. The kernel uses the larger of all and the NIC's.
        needed.push(("net.ipv4.conf.all.rp_filter", "2"));
    }
    let leaves = |link: &&Link| match &link.kind {
        Kind::Veth { peer, .. } => {
            let other = network.links.get(peer);
            let is_away = other.is_some_and(|other| other.settings.namespace.is_some());
            is_away && link.settings.namespace.is_none() && link.role == Role::Addressed
        }
        _ => false,
    };
    let (passes_ipv4, passes_ipv6) = wireguard::forwards(network);
    // What comes from a namespace goes on by another link.
    if passes_ipv4 || network.links.values().any(|link| leaves(&link)) {
        needed.push(("net.ipv4.ip_forward", "1"));
    }
    if passes_ipv6 {
        needed.push(("net.ipv6.conf.all.forwarding", "1"));
    }
    let mut routes = layers().flat_map(|layer3| &layer3.routes);
    if routes.any(RouteSpec::spans_links) {
        // Without it the kernel goes on choosing the way over a link that has lost its carrier.
        needed.push(("net.ipv4.conf.all.ignore_routes_with_linkdown", "1"));
        needed.push(("net.ipv6.conf.all.ignore_routes_with_linkdown", "1"));
    }
    let multipath = network.bgp.as_ref().and_then(|bgp| bgp.max_paths) > Some(1);
    if multipath
        || layers().any(|layer3| layer3.routes.iter().any(|route| route.next_hops.len() > 1))
    {
        // By addresses and ports, or all flows between two hosts share one way.
        needed.push(("net.ipv4.fib_multipath_hash_policy", "1"));
    }
    needed
}
