//! The secure channels of MACsec links: hosts of the inventory, and those that a profile lists. Pure.

use crate::model::{Defaults, Host, Mac, MacPolicy, Profile};
use crate::network::links::{HostNetwork, Kind};
use crate::network::macsec::{Channel, Macsec, PORT};
use crate::profile::ResolvedSite;

/// No stack of links is deeper than this; only a ring is.
const DEEPEST: usize = 8;

/// Gives every link of MACsec its key, and those of whom it hears.
pub(super) fn lower(site: &ResolvedSite, network: &mut HostNetwork) {
    for link in network.links.values_mut() {
        let Kind::Macsec { spec, macsec } = &mut link.kind else { continue };
        let own = network.host.as_str();
        let of_mesh = site.hosts.iter().filter(|(name, host)| {
            *name != own && spec.mesh.as_ref().is_some_and(|selector| selector.fits(host))
        });
        let of_mesh = of_mesh.filter_map(|(name, host)| {
            let found = site.profile_of(host).filter(|found| found.faults.is_empty())?;
            let theirs = found.profile.macsecs.get(&link.name)?;
            Some(Channel {
                host: Some(name.clone()),
                mac: mac_of(host, &found.profile, &link.name, DEEPEST),
                port: PORT,
                key: site.macsec_key(theirs.key.as_ref(), name, &link.name),
            })
        });
        let listed = spec.peers.iter().map(|peer| Channel {
            host: None,
            mac: Some(peer.macaddress),
            port: peer.port.unwrap_or(PORT),
            key: site.secret_text(&peer.key),
        });
        **macsec = Macsec {
            key: site.macsec_key(spec.key.as_ref(), own, &link.name),
            channels: of_mesh.chain(listed).collect(),
        };
    }
}

/// The MAC that a host's link sends from, where that is known before the host runs: its own, or that
/// of what it is built on.
fn mac_of(host: &Host, profile: &Profile, name: &str, depth: usize) -> Option<Mac> {
    let depth = depth.checked_sub(1)?;
    let settings = profile.links().find(|link| link.name == name).map(|link| link.settings);
    let said = settings.and_then(|settings| settings.macaddress);
    if let Some(given) = said.and_then(|mac| mac.given()) {
        return Some(given);
    }
    if let Some(nic) = host.nics.get(name) {
        return nic.address.mac();
    }
    let below = |name: &String| mac_of(host, profile, name, depth);
    if let Some(vlan) = profile.vlans.get(name) {
        return below(&vlan.link);
    }
    // networkd would make one of the machine-id.
    let usual = match profile.defaults {
        Defaults::Safe => MacPolicy::Inherit,
        Defaults::Verbatim => MacPolicy::Persistent,
    };
    let policy = settings.and_then(|settings| settings.mac_policy()).unwrap_or(usual);
    if let Some(macsec) = profile.macsecs.get(name).filter(|_| policy == MacPolicy::Inherit) {
        return below(&macsec.link);
    }
    let members: &[String] = match (profile.bonds.get(name), profile.bridges.get(name)) {
        _ if policy != MacPolicy::Inherit => &[],
        (Some(bond), _) => &bond.nics,
        (_, Some(bridge)) => &bridge.interfaces,
        (None, None) => &[],
    };
    members.iter().find_map(below)
}
