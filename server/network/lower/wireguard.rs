//! The peers of WireGuard links: hosts of the inventory, and those that a profile lists. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Source;
use crate::model::{Destination, Host, Profile, RouteSpec, WireguardSpec};
use crate::network::links::{HostNetwork, Kind};
use crate::network::wireguard::{Peer, Wireguard, endpoint};
use crate::profile::ResolvedSite;

/// Gives every link of WireGuard its keys, its peers, and routes to what is behind them.
pub(super) fn lower(site: &ResolvedSite, network: &mut HostNetwork) {
    for index in 0..network.links.len() {
        let link = &network.links[index];
        let Kind::Wireguard { spec, .. } = &link.kind else { continue };
        let peers = match &spec.hub {
            Some(hub) => of_hub(site, &network.host, &link.name, spec, hub),
            None => of_mesh(site, &network.host, &link.name, spec),
        };
        let listed = spec.peers.iter().map(|peer| Peer {
            host: None,
            public_key: peer.public_key.to_string(),
            endpoint: peer.endpoint.as_ref().map(ToString::to_string),
            allowed_ips: peer.allowed_ips.iter().map(IpNet::trunc).collect(),
            keepalive: peer.keepalive,
        });
        let peers: Vec<Peer> = peers.into_iter().chain(listed).collect();
        let mut routed: BTreeSet<IpNet> =
            link.all_addresses().map(|address| address.trunc()).collect();
        let mut routes = Vec::new();
        for net in peers.iter().flat_map(|peer| &peer.allowed_ips) {
            let is_near = routed.iter().any(|known| known.contains(net));
            let is_written =
                link.layer3.routes.iter().any(|route| route.to == Destination::Net(*net));
            // Everything may be behind a peer; that it leads there is for the profile to say.
            if is_near || is_written || net.prefix_len() == 0 {
                continue;
            }
            routed.insert(*net);
            routes.push(RouteSpec::to(Destination::Net(*net)));
        }
        let wireguard = Wireguard {
            private_key: site.wireguard_private(&network.host, &link.name),
            public_key: site.keyring().wireguard_public(&network.host, &link.name),
            peers,
        };
        let link = &mut network.links[index];
        link.layer3.routes.extend(routes);
        if let Kind::Wireguard { wireguard: lowered, .. } = &mut link.kind {
            **lowered = wireguard;
        }
    }
}

/// Another host with a link of the same name.
struct OtherHost<'a> {
    name: &'a str,
    host: &'a Host,
    profile: std::sync::Arc<crate::profile::Resolution>,
}

impl<'a> OtherHost<'a> {
    fn find(site: &'a ResolvedSite, name: &str, link: &str) -> Option<Self> {
        let (name, host) = site.hosts.get_key_value(name)?;
        let profile = site.profile_of(host).filter(|found| found.faults.is_empty())?;
        profile.profile.wireguards.contains_key(link).then_some(Self { name, host, profile })
    }

    fn spec(&self, link: &str) -> &WireguardSpec {
        &self.profile.profile.wireguards[link]
    }

    fn addresses(&self, site: &ResolvedSite, link: &str) -> Vec<IpNet> {
        addresses(site, self.host, &self.profile.profile, link)
    }

    /// The host as a peer with these networks behind it.
    fn peer(&self, site: &ResolvedSite, link: &str, allowed_ips: Vec<IpNet>) -> Option<Peer> {
        let spec = self.spec(link);
        let written = spec.endpoint.as_ref().map(ToString::to_string);
        let called = || -> Option<String> {
            let address = self.addresses(site, spec.link.as_ref()?).first()?.addr();
            Some(endpoint(address, spec.listen_port?))
        };
        Some(Peer {
            host: Some(self.name.to_owned()),
            public_key: site.keyring().wireguard_public(self.name, link)?,
            endpoint: written.or_else(called),
            allowed_ips,
            keepalive: None,
        })
    }

    /// Its own addresses in the tunnel, and the networks behind it.
    fn own(&self, site: &ResolvedSite, link: &str) -> Vec<IpNet> {
        let single = self.addresses(site, link).into_iter().map(|net| IpNet::from(net.addr()));
        single.chain(self.spec(link).networks.iter().map(IpNet::trunc)).collect()
    }
}

/// The addresses of a host's link, where nothing on it has them instead.
fn addresses(site: &ResolvedSite, host: &Host, profile: &Profile, link: &str) -> Vec<IpNet> {
    let Some(found) = profile.links().find(|other| other.name == link) else { return Vec::new() };
    let source = Source { site, host, profile };
    let layer3 = source.layer3(link, found.settings, &BTreeSet::new(), 0);
    let shared = layer3.shared.iter().map(|shared| shared.address);
    layer3.addresses.iter().copied().chain(shared).collect()
}

/// Every other host of a mesh, in the order of their names.
fn of_mesh(site: &ResolvedSite, own: &str, link: &str, spec: &WireguardSpec) -> Vec<Peer> {
    let Some(selector) = &spec.mesh else { return Vec::new() };
    let fits = site.hosts.iter().filter(|(name, host)| *name != own && selector.fits(host));
    let found = fits.filter_map(|(name, _)| OtherHost::find(site, name, link));
    let peers = found.filter_map(|other| {
        let peer = other.peer(site, link, other.own(site, link))?;
        Some(Peer { keepalive: spec.keepalive, ..peer })
    });
    peers.collect()
}

/// The hub, for whoever calls it; all who call it, for the hub.
fn of_hub(
    site: &ResolvedSite,
    own: &str,
    link: &str,
    spec: &WireguardSpec,
    hub: &str,
) -> Vec<Peer> {
    let spokes = move || {
        let others = site.hosts.keys().filter(move |name| *name != own && *name != hub);
        let found = others.filter_map(move |name| OtherHost::find(site, name, link));
        found.filter(move |other| other.spec(link).hub.as_deref() == Some(hub))
    };
    if own == hub {
        return spokes()
            .filter_map(|other| other.peer(site, link, other.own(site, link)))
            .collect();
    }
    let Some(other) = OtherHost::find(site, hub, link) else { return Vec::new() };
    // Those that call it reach each other through it.
    let mut allowed: Vec<IpNet> =
        other.addresses(site, link).into_iter().map(|net| net.trunc()).collect();
    allowed.extend(spec_networks(other.spec(link)));
    for spoke in spokes() {
        allowed.extend(spoke.own(site, link));
    }
    let mut kept: Vec<IpNet> = Vec::new();
    for net in allowed {
        if !kept.iter().any(|known| known.contains(&net)) {
            kept.push(net);
        }
    }
    let peer = other.peer(site, link, kept);
    peer.map(|peer| Peer { keepalive: spec.keepalive, ..peer }).into_iter().collect()
}

fn spec_networks(spec: &WireguardSpec) -> impl Iterator<Item = IpNet> + '_ {
    spec.networks.iter().map(IpNet::trunc)
}

/// Whether a host passes on packets between its peers, or between them and networks behind it; for
/// each IP version.
pub(super) fn forwards(network: &HostNetwork) -> (bool, bool) {
    let mut forwarded: (bool, bool) = (false, false);
    for link in network.links.values() {
        let Kind::Wireguard { spec, wireguard } = &link.kind else { continue };
        let is_hub = spec.hub.as_deref() == Some(network.host.as_str());
        let nets = spec.networks.iter().map(|net| net.addr());
        let through = wireguard.peers.iter().flat_map(|peer| &peer.allowed_ips);
        let through = through.filter(|_| is_hub).map(|net| net.addr());
        for address in nets.chain(through) {
            match address {
                IpAddr::V4(_) => forwarded.0 = true,
                IpAddr::V6(_) => forwarded.1 = true,
            }
        }
    }
    forwarded
}
