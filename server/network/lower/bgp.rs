//! What a host says by BGP, with the names, addresses and prefixes of this host. Pure, and
//! never fails: what does not fit together is left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::model::{Announcement, BgpSpec, Defaults, Family, Profile};
use crate::network::bgp::{Bgp, Neighbor, Peer};
use crate::network::links::{HostNetwork, Kind, Link};

/// A neighbour at the other end of a link is reached by its link-local address: a link that
/// has no other address needs one for it.
pub(super) fn set_link_local(network: &mut HostNetwork, profile: &Profile) {
    if network.defaults != Defaults::Safe {
        return;
    }
    for link in peer_links(profile) {
        let Some(link) = network.links.get_mut(link) else { continue };
        link.settings.link_local.get_or_insert_with(|| vec![Family::Ipv6]);
    }
}

/// The links at whose other end the profile expects a neighbour.
pub(super) fn peer_links(profile: &Profile) -> impl Iterator<Item = &str> {
    let neighbors = profile.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    neighbors.filter_map(|neighbor| neighbor.link.as_deref())
}

/// The BGP of a host, if it speaks any.
pub(super) fn lower(network: &HostNetwork, profile: &Profile) -> Option<Bgp> {
    let spec = profile.bgp.as_ref()?;
    let home = home(network, spec);
    let neighbors = spec.neighbors.iter().filter_map(|neighbor| {
        let by_link = || {
            let name = network.links.get(neighbor.link.as_deref()?)?.device();
            Some(Peer::Link(name.to_owned()))
        };
        let peer = neighbor.address.map(Peer::Address).or_else(by_link)?;
        Some(Neighbor { peer, remote_as: neighbor.remote_as })
    });
    Some(Bgp {
        asn: spec.asn,
        router_id: home.and_then(own_ipv4),
        source6: home.and_then(own_ipv6),
        neighbors: neighbors.collect(),
        announced: announced(network, spec),
        max_paths: spec.max_paths,
        bfd: spec.bfd,
    })
}

/// The link whose address is the router's identifier.
fn home<'a>(network: &'a HostNetwork, spec: &BgpSpec) -> Option<&'a Link> {
    if let Some(name) = &spec.router_id {
        return network.links.get(name);
    }
    let mut bearers: Vec<&Link> =
        network.links.values().filter(|link| own_ipv4(link).is_some()).collect();
    bearers.sort_by_key(|link| match link.kind {
        Kind::Loopback => 0,
        Kind::Dummy => 1,
        _ => 2,
    });
    bearers.first().copied()
}

/// The first IPv4 address that the host shares with nobody.
fn own_ipv4(link: &Link) -> Option<Ipv4Addr> {
    link.layer3.addresses.iter().find_map(|address| match address.addr() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })
}

fn own_ipv6(link: &Link) -> Option<Ipv6Addr> {
    link.layer3.addresses.iter().find_map(|address| match address.addr() {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    })
}

fn announced(network: &HostNetwork, spec: &BgpSpec) -> Vec<IpNet> {
    let mut all: Vec<IpNet> = Vec::new();
    for announcement in &spec.announce {
        let prefixes = match announcement {
            Announcement::Prefix(prefix) => vec![prefix.trunc()],
            Announcement::Link(name) => match network.links.get(name) {
                Some(link) => link.announceable().map(|address| address.trunc()).collect(),
                None => Vec::new(),
            },
        };
        for prefix in prefixes {
            if !all.contains(&prefix) {
                all.push(prefix);
            }
        }
    }
    all
}
