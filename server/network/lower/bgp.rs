//! What a host says by BGP, with the names, addresses and prefixes of this host. Pure, and
//! never fails: what does not fit together is left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::model::{Announcement, BgpSpec, Defaults, EvpnSpec, Family, Profile};
use crate::network::bgp::{Bgp, Evpn, Neighbor, Peer, RoutedVni};
use crate::network::links::{HostNetwork, Kind, Link};
use crate::profile::ResolvedSite;

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
pub(super) fn lower(site: &ResolvedSite, network: &HostNetwork, profile: &Profile) -> Option<Bgp> {
    let spec = profile.bgp.as_ref()?;
    let home = home(network, spec);
    let neighbors = spec.neighbors.iter().enumerate().filter_map(|(place, neighbor)| {
        let by_link = || {
            let name = network.links.get(neighbor.link.as_deref()?)?.device();
            Some(Peer::Link(name.to_owned()))
        };
        let group = |net: IpNet| Peer::Range { group: format!("callers{place}"), net: net.trunc() };
        let by_address = neighbor.address.map(Peer::Address);
        let peer = by_address.or_else(by_link).or_else(|| neighbor.range.map(group))?;
        Some(Neighbor {
            peer,
            remote_as: neighbor.remote_as,
            inbound: neighbor.inbound.clone(),
            outbound: neighbor.outbound.clone(),
            timers: neighbor.timers,
            bfd: neighbor.bfd.unwrap_or(spec.bfd),
            password: neighbor.password.as_ref().map(|named| site.secret_text(named)),
        })
    });
    Some(Bgp {
        asn: spec.asn,
        router_id: home.and_then(own_ipv4),
        source6: home.and_then(own_ipv6),
        neighbors: neighbors.collect(),
        announced: announced(network, spec),
        redistributed: spec.redistribute.clone(),
        communities: spec.communities.clone(),
        timers: spec.timers,
        route_maps: spec.route_maps.clone(),
        evpn: spec.evpn.as_ref().map(|evpn| lower_evpn(network, evpn)),
        max_paths: spec.max_paths,
    })
}

fn lower_evpn(network: &HostNetwork, spec: &EvpnSpec) -> Evpn {
    let vrfs = spec.vrfs.iter().filter_map(|one| {
        let Kind::Vxlan { spec, .. } = &network.links.get(&one.vxlan)?.kind else { return None };
        let vrf = network.links.get(&one.vrf)?;
        Some(RoutedVni { vrf: vrf.device().to_owned(), vni: spec.vni })
    });
    Evpn { vrfs: vrfs.collect() }
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
