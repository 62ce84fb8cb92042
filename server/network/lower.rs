//! Lowers a profile and a host to links. Pure, and never fails: what does not
//! fit together is left out here and named by `check`, so that a host with a
//! mistake can still be drawn.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use ipnet::IpNet;

use super::links::{HostNetwork, Kind, Layer3, Link, Role};
use crate::model::{Defaults, Host, LinkSettings, Mac, Profile, Site};

/// The MTU of Ethernet, where no subnet and no link says another.
const ETHERNET_MTU: u32 = 1500;

/// No stack of links is deeper than this; only a ring is.
const DEEPEST: usize = 32;

/// What the lowering of one host reads.
struct Source<'a> {
    site: &'a Site,
    host: &'a Host,
    profile: &'a Profile,
}

/// The network of one host. A host without a known profile has its NICs, unused.
pub(super) fn lower(site: &Site, name: &str, host: &Host) -> HostNetwork {
    let none = Profile::default();
    let found = host.profile.as_deref().and_then(|profile| site.profiles.get(profile));
    let source = Source { site, host, profile: found.unwrap_or(&none) };
    let mut network = HostNetwork {
        host: name.to_owned(),
        profile: found.and_then(|_| host.profile.clone()),
        defaults: source.profile.defaults,
        match_by: source.profile.match_by,
        links: source.links(),
    };
    set_masters(&mut network, source.profile);
    set_layers(&mut network);
    source.set_layer3(&mut network);
    set_roles(&mut network, source.profile);
    if network.defaults == Defaults::Safe {
        set_mtus(&mut network, site);
        set_macs(&mut network);
    }
    network
}

impl<'a> Source<'a> {
    /// Every link with its kind and its own settings, standing alone.
    fn links(&self) -> IndexMap<String, Link> {
        let mut links = IndexMap::new();
        for (label, mac) in &self.host.nics {
            links.insert(label.clone(), self.link(label, Kind::Nic(Some(*mac))));
        }
        for label in self.nic_labels() {
            let link = || self.link(label, Kind::Nic(None));
            links.entry(label.to_owned()).or_insert_with(link);
        }
        for (name, spec) in &self.profile.bonds {
            links.insert(name.clone(), self.link(name, Kind::Bond(spec.clone())));
        }
        for (name, spec) in &self.profile.vlans {
            let subnet = spec.subnet.as_deref().and_then(|subnet| self.site.subnets.get(subnet));
            let id = spec.id.or_else(|| subnet.and_then(|subnet| subnet.vlan));
            let kind = Kind::Vlan { parent: spec.link.clone(), id };
            links.insert(name.clone(), self.link(name, kind));
        }
        for (name, spec) in &self.profile.bridges {
            links.insert(name.clone(), self.link(name, Kind::Bridge(spec.clone())));
        }
        links
    }

    /// The names that the profile speaks of and does not make: they must be NICs.
    fn nic_labels(&self) -> impl Iterator<Item = &'a str> {
        let members = self.profile.bonds.values().flat_map(|bond| &bond.nics);
        let parents = self.profile.vlans.values().map(|vlan| &vlan.link);
        let ports = self.profile.bridges.values().flat_map(|bridge| &bridge.interfaces);
        let named = self.profile.nics.keys().chain(members).chain(parents).chain(ports);
        named.filter(|name| !self.profile.makes(name)).map(String::as_str)
    }

    fn settings(&self, name: &str) -> Option<LinkSettings<'a>> {
        self.profile.links().find(|link| link.name == name).map(|link| link.settings)
    }

    fn link(&self, name: &str, kind: Kind) -> Link {
        let settings = self.settings(name);
        Link {
            name: name.to_owned(),
            kind,
            master: None,
            layer: 0,
            role: Role::Unused,
            mac: None,
            mtu: settings.and_then(|settings| settings.mtu),
            optional: settings.is_some_and(|settings| settings.optional),
            subnet: settings.and_then(|settings| settings.subnet).map(str::to_owned),
            layer3: Layer3::default(),
        }
    }

    fn set_layer3(&self, network: &mut HostNetwork) {
        let carried = carried_above(network);
        for link in self.profile.links() {
            let Some(index) = network.links.get_index_of(link.name) else { continue };
            let bears = link.settings.subnet.is_some_and(|name| !carried[index].contains(name));
            network.links[index].layer3 = self.layer3(link.name, &link.settings, bears);
        }
    }

    /// Addresses, routes and resolvers of a link; the subnet's facts where it `bears` the address.
    fn layer3(&self, name: &str, settings: &LinkSettings<'_>, bears: bool) -> Layer3 {
        let mut layer3 = Layer3 {
            dhcp4: settings.dhcp4,
            accept_ra: settings.accept_ra,
            dhcp4_overrides: settings.dhcp4_overrides,
            dhcp6_overrides: settings.dhcp6_overrides,
            ra_overrides: settings.ra_overrides,
            ..Layer3::default()
        };
        let subnet = settings.subnet.filter(|_| bears);
        let Some(subnet) = subnet.and_then(|name| self.site.subnets.get(name)) else {
            return layer3;
        };
        layer3.subnet = settings.subnet.map(str::to_owned);
        // With DHCP the server says all this; written down as well it would be there twice.
        if settings.dhcp4 {
            return layer3;
        }
        let address = self.host.addresses.get(name).copied();
        let prefix = |address| IpNet::new(address, subnet.cidr.prefix_len()).ok();
        layer3.addresses.extend(address.and_then(prefix));
        layer3.gateway = subnet.gateway.filter(|_| settings.default_route);
        layer3.dns = subnet.dns.clone();
        layer3.dns_over_tls = subnet.dns_over_tls && !subnet.dns.is_empty();
        layer3.domains = subnet.domains.clone();
        layer3.ntp = subnet.ntp.clone();
        layer3
    }
}

/// For every link, the subnets that links standing on it carry, directly or not.
fn carried_above(network: &HostNetwork) -> Vec<BTreeSet<String>> {
    let mut carried = vec![BTreeSet::new(); network.links.len()];
    for index in network.top_down() {
        let mut subnets = BTreeSet::new();
        for upper in above(network, &network.links[index].name) {
            subnets.extend(upper.subnet.clone());
            let upper = network.links.get_index_of(&upper.name);
            subnets.extend(upper.into_iter().flat_map(|upper| carried[upper].clone()));
        }
        carried[index] = subnets;
    }
    carried
}

/// The links directly on `name`: the one that has taken it in, and its VLANs.
fn above<'a>(network: &'a HostNetwork, name: &'a str) -> impl Iterator<Item = &'a Link> {
    let master = network.links.get(name).and_then(|link| link.master.as_deref());
    let master = master.and_then(|master| network.links.get(master));
    master.into_iter().chain(network.vlans_on(name))
}

fn set_masters(network: &mut HostNetwork, profile: &Profile) {
    for (name, link) in &mut network.links {
        link.master = profile.master_of(name).map(str::to_owned);
    }
}

/// Puts every link one layer above the highest that it stands on, in rounds until nothing
/// moves. The bound is for links that stand on each other in a ring, which never settle.
fn set_layers(network: &mut HostNetwork) {
    for _ in 0..network.links.len().min(DEEPEST) {
        let layer = |link: &Link| network.below(link).map(|lower| lower.layer + 1).max();
        let layers: Vec<usize> =
            network.links.values().map(|link| layer(link).unwrap_or(0)).collect();
        let mut changed = false;
        for (link, layer) in network.links.values_mut().zip(layers) {
            // A bond whose members are all unknown is still no NIC.
            let layer = if link.is_nic() { layer } else { layer.max(1) };
            changed |= link.layer != layer;
            link.layer = layer;
        }
        if !changed {
            return;
        }
    }
}

fn set_roles(network: &mut HostNetwork, profile: &Profile) {
    let role = |link: &Link| {
        let layer3 = &link.layer3;
        let mentioned = !link.is_nic() || profile.nics.contains_key(&link.name);
        let hears_ra = layer3.accept_ra == Some(true);
        if layer3.subnet.is_some() || layer3.dhcp4 || hears_ra {
            Role::Addressed
        } else if above(network, &link.name).next().is_some() {
            Role::Carrier
        } else if mentioned {
            Role::LinkOnly
        } else {
            Role::Unused
        }
    };
    let roles: Vec<Role> = network.links.values().map(role).collect();
    for (link, role) in network.links.values_mut().zip(roles) {
        link.role = role;
    }
}

/// Writes an MTU on every layer, because a bridge without one falls to that of its
/// smallest port: the profile's, else what the link and those on it need.
fn set_mtus(network: &mut HostNetwork, site: &Site) {
    for index in network.top_down() {
        let link = &network.links[index];
        if link.mtu.is_some() || link.role == Role::Unused {
            continue;
        }
        let subnet = link.subnet.as_deref().and_then(|name| site.subnets.get(name));
        let own = subnet.map(|subnet| subnet.mtu.unwrap_or(ETHERNET_MTU));
        let carried = above(network, &link.name).filter_map(|upper| upper.mtu).max();
        network.links[index].mtu = own.max(carried).or(Some(ETHERNET_MTU));
    }
}

/// Gives every bond and bridge the permanent MAC of its first NIC. Without one networkd
/// hashes the name with the machine-id, which cloned images share.
fn set_macs(network: &mut HostNetwork) {
    let mut macs: Vec<Option<Mac>> = vec![None; network.links.len()];
    for index in network.top_down().into_iter().rev() {
        // In the profile's order: its first member is the one the operator thinks of.
        let lower: &[String] = match &network.links[index].kind {
            Kind::Nic(mac) => {
                macs[index] = *mac;
                continue;
            }
            Kind::Bond(spec) => &spec.nics,
            Kind::Vlan { parent, .. } => std::slice::from_ref(parent),
            Kind::Bridge(spec) => &spec.interfaces,
        };
        let mac = |name: &String| macs[network.links.get_index_of(name)?];
        macs[index] = lower.iter().find_map(mac);
    }
    for (link, mac) in network.links.values_mut().zip(macs) {
        if matches!(link.kind, Kind::Bond(_) | Kind::Bridge(_)) {
            link.mac = mac;
        }
    }
}
