//! Veth pairs, MACVLANs, IPVLANs and the loopback of a profile. Pure.

use crate::model::{LinkMac, Mac, Profile};
use crate::network::links::{Kind, Link};

/// Every end of every cable. Of two ends that the profile lists the first makes both; one
/// that it only names as a peer is there as well.
pub(super) fn veths(profile: &Profile) -> impl Iterator<Item = (&String, Kind)> {
    profile.veths.iter().enumerate().flat_map(|(place, (name, spec))| {
        let listed = profile.veths.get_full(&spec.peer);
        let given = spec.peer_macaddress.map(LinkMac::Given);
        let peer_mac = listed.map_or(given, |(_, _, peer)| peer.settings.macaddress);
        // The end that stays makes the pair: networkd would make it again whenever it misses the
        // end that it made.
        let first = listed.is_none_or(|(peer_place, _, peer)| {
            match (&spec.settings.namespace, &peer.settings.namespace) {
                (Some(_), None) => false,
                (None, Some(_)) => true,
                _ => place <= peer_place,
            }
        });
        let makes_peer = first.then_some(peer_mac);
        let own = (name, Kind::Veth { peer: spec.peer.clone(), makes_peer });
        let other = || (&spec.peer, Kind::Veth { peer: name.clone(), makes_peer: None });
        [Some(own), listed.is_none().then(other)].into_iter().flatten()
    })
}

/// MACVLANs and IPVLANs.
pub(super) fn on_others(profile: &Profile) -> impl Iterator<Item = (&String, Kind)> {
    let macvlans = profile.macvlans.iter().map(|(name, spec)| (name, Kind::Macvlan(spec.clone())));
    let ipvlans = profile.ipvlans.iter().map(|(name, spec)| (name, Kind::Ipvlan(spec.clone())));
    macvlans.chain(ipvlans)
}

/// The links that those are built on.
pub(super) fn parents(profile: &Profile) -> impl Iterator<Item = &String> {
    let macvlans = profile.macvlans.values().map(|spec| &spec.link);
    let partitions = profile.partitions.values().map(|spec| &spec.link);
    macvlans.chain(profile.ipvlans.values().map(|spec| &spec.link)).chain(partitions)
}

/// The loopback, where the profile speaks of it.
pub(super) fn loopbacks(profile: &Profile) -> impl Iterator<Item = (&String, Kind)> {
    profile.loopbacks.keys().map(|name| (name, Kind::Loopback))
}

/// Whether a link is the end of a cable that the profile leaves to a namespace or container.
pub(super) fn is_given_away(link: &Link, profile: &Profile) -> bool {
    matches!(link.kind, Kind::Veth { .. }) && !profile.veths.contains_key(&link.name)
}

/// A MAC for a MACVLAN that is built on a NIC: the NIC's own last half, and a locally
/// administered first half made of the link's name. networkd's own choice is made of the name
/// and the machine-id, which cloned images share.
pub(super) fn derived_mac(nic: Mac, name: &str) -> Mac {
    // FNV-1a: short, and the same for ever.
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let [first, second, third, _] = name.bytes().fold(0x811c_9dc5, step).to_be_bytes();
    let [.., x, y, z] = nic.0;
    Mac([first & 0xfc | 0x02, second, third, x, y, z])
}
