//! MTU and MAC of each link, where the profile leaves them to us. Pure.

use super::virtual_links::derived_mac;
use crate::model::{
    BondMode, Defaults, Mac, MacPolicy, Millis, NicAddress, Site, TransmitHashPolicy, TunnelMode,
    TunnelSpec, VxlanSpec,
};
use crate::network::links::{HostNetwork, Kind, Link, Role};

/// The MTU of Ethernet, where no subnet and no link says another.
const ETHERNET_MTU: u32 = 1500;

/// What is left of that in IPv6, UDP and WireGuard (wg-quick(8)).
const WIREGUARD_MTU: u32 = 1420;

/// Writes an MTU on every layer, because a bridge without one falls to that of its
/// smallest port: the profile's, else what the link and those on it need.
pub(super) fn set_mtus(network: &mut HostNetwork, site: &Site) {
    let order = network.top_down();
    for index in &order {
        let link = &network.links[*index];
        let elsewhere =
            matches!(link.role, Role::Unused | Role::Unmanaged) && !network.is_of_unit(link);
        if link.settings.mtu.is_some()
            || elsewhere
            || is_without_mtu(&link.kind)
            // networkd takes no MTU of others on a link that has one written down.
            || link.settings.takes_mtu()
        {
            continue;
        }
        let subnets = link.subnets.iter().filter_map(|name| site.subnets.get(name));
        // What leads to one other host needs no more than what its way there can carry.
        let is_wireguard = matches!(link.kind, Kind::Wireguard { .. });
        let is_direct =
            !is_wireguard && !matches!(link.kind, Kind::Tunnel { .. } | Kind::Macsec { .. });
        let usual = is_direct.then_some(ETHERNET_MTU);
        let own = subnets.filter_map(|subnet| subnet.mtu.or(usual)).max();
        let wrapped = network
            .above(link)
            .filter_map(|upper| Some(upper.settings.mtu? + upper.kind.overhead()));
        let needed = own.max(wrapped.max());
        // A tunnel with no need of its own takes what its link leaves it, below.
        let is_tunnel = takes_what_is_left(&link.kind);
        network.links[*index].settings.mtu = needed.or(match (is_tunnel, is_wireguard) {
            (true, _) => None,
            (_, true) => Some(WIREGUARD_MTU),
            _ => Some(ETHERNET_MTU),
        });
    }
    for index in order.into_iter().rev() {
        let link = &network.links[index];
        let lower = network.mtu_below(link);
        let left = lower.map(|mtu| mtu.saturating_sub(link.kind.overhead()));
        let is_tunnel = takes_what_is_left(&link.kind);
        if link.settings.mtu.is_none() && is_tunnel {
            network.links[index].settings.mtu = left;
        }
    }
}

/// Whether a link without a need of its own has the MTU that its wrapping leaves of the one below.
fn takes_what_is_left(kind: &Kind) -> bool {
    matches!(kind, Kind::Vxlan { .. } | Kind::Tunnel { .. } | Kind::Macsec { .. })
}

/// Whether packets of the link never see a wire.
fn is_without_mtu(kind: &Kind) -> bool {
    matches!(kind, Kind::Vrf(_) | Kind::Dummy | Kind::Loopback)
}

/// Gives every bond and bridge the permanent MAC of its first NIC, and every MACVLAN and VXLAN
/// one made of it, unless the profile leaves the choice to others. Without one networkd hashes the name
/// with the machine-id, which cloned images share.
pub(super) fn set_macs(network: &mut HostNetwork) {
    let mut macs: Vec<Option<Mac>> = vec![None; network.links.len()];
    for index in network.top_down().into_iter().rev() {
        // In the profile's order: its first member is the one the operator thinks of.
        let lower: &[String] = match &network.links[index].kind {
            Kind::Nic(mac) => {
                macs[index] = mac.and_then(NicAddress::mac);
                continue;
            }
            Kind::Bond(spec) => &spec.nics,
            Kind::Vlan { parent, .. } => std::slice::from_ref(parent),
            Kind::Macsec { spec, .. } => std::slice::from_ref(&spec.link),
            Kind::Bridge(spec) => &spec.interfaces,
            Kind::Macvlan(spec) => std::slice::from_ref(&spec.link),
            Kind::Ipvlan(spec) => std::slice::from_ref(&spec.link),
            // A tunnel's end is not a NIC's: two tunnels over one NIC must not share a MAC. Nor may
            // two hosts: networkd makes one of the machine-id, which cloned images share, and two
            // such ends never hear each other.
            Kind::Tunnel { spec, .. } if spec.mode != TunnelMode::Geneve => continue,
            Kind::Vxlan { spec: VxlanSpec { link, .. }, .. }
            | Kind::Tunnel { spec: TunnelSpec { link, .. }, .. } => {
                let below = network.links.get_index_of(link).and_then(|at| macs[at]);
                let nic = below.or_else(|| macs.iter().copied().flatten().next());
                macs[index] = nic.map(|nic| derived_mac(nic, &network.links[index].name));
                continue;
            }
            Kind::Vrf(_) | Kind::Dummy | Kind::Partition(_) | Kind::Wireguard { .. } => continue,
            Kind::Veth { .. } | Kind::Loopback => continue,
        };
        let mac = |name: &String| macs[network.links.get_index_of(name)?];
        macs[index] = lower.iter().find_map(mac);
    }
    let usual = match network.defaults {
        Defaults::Safe => MacPolicy::Inherit,
        Defaults::Verbatim => MacPolicy::Persistent,
    };
    let inherits =
        |link: &&mut Link| link.settings.mac_policy().unwrap_or(usual) == MacPolicy::Inherit;
    for (link, mac) in network.links.values_mut().zip(macs).filter(|(link, _)| inherits(link)) {
        link.mac = link.mac.or_else(|| match link.kind {
            Kind::Bond(_) | Kind::Bridge(_) | Kind::Vxlan { .. } | Kind::Tunnel { .. } => mac,
            // Peers know it by the MAC of the link below; networkd would make another one.
            Kind::Macsec { .. } => mac,
            Kind::Macvlan(_) => mac.map(|nic| derived_mac(nic, &link.name)),
            _ => None,
        });
    }
}

/// Gives every bond and bridge what each should have: a dead member is noticed, one live
/// member is enough, flows are spread by ports as well, and no spanning tree.
pub(super) fn set_parameters(network: &mut HostNetwork) {
    for link in network.links.values_mut() {
        match &mut link.kind {
            Kind::Bond(spec) if spec.openvswitch => {}
            Kind::Bond(spec) => {
                if spec.arp_interval.is_none() {
                    spec.mii_monitor.get_or_insert(Millis(100));
                }
                spec.min_links.get_or_insert(1);
                if spec.mode == BondMode::Lacp {
                    spec.transmit_hash_policy.get_or_insert(TransmitHashPolicy::Layer34);
                }
            }
            // It keeps the network down for 30 s, and its packets shut a switch port that
            // has BPDU guard.
            Kind::Bridge(spec) => {
                spec.stp.get_or_insert(false);
            }
            _ => {}
        }
    }
}
