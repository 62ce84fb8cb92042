//! Lowers a profile and a host to links. Pure, and never fails: what does not
//! fit together is left out here and named by `check`, so that a host with a
//! mistake can still be drawn.

mod bgp;
mod ethernet;
mod layer3;
mod macsec;
mod sysctl;
mod virtual_links;
mod wireguard;

pub(super) use sysctl::needed as needed_sysctls;

use indexmap::IndexMap;

use super::auth::PortAuth;
use super::links::{HostNetwork, Kind, Layer3, Link, Qos, Role};
use super::macsec::Macsec;
use super::source_nat;
use super::wireguard::Wireguard;
use crate::model::{Defaults, Host, NicSpec, Profile, SecretRef};
use crate::profile::ResolvedSite;

/// The systemd of Debian 12, where a profile names none.
const SYSTEMD: u16 = 252;

/// No stack of links is deeper than this; only a ring is.
const DEEPEST: usize = 32;

/// What the lowering of one host reads.
struct Source<'a> {
    site: &'a ResolvedSite,
    host: &'a Host,
    profile: &'a Profile,
}

/// The network of one host. A host without a profile that can be read has its
/// NICs, unused.
pub(super) fn lower(site: &ResolvedSite, name: &str, host: &Host) -> HostNetwork {
    match site.profile_of(host).filter(|found| found.faults.is_empty()) {
        Some(found) => lower_with(site, name, host, Some(&found.profile)),
        None => lower_with(site, name, host, None),
    }
}

/// The same with this profile for the host's.
pub(super) fn lower_with(
    site: &ResolvedSite,
    name: &str,
    host: &Host,
    profile: Option<&Profile>,
) -> HostNetwork {
    let none = Profile::default();
    let source = Source { site, host, profile: profile.unwrap_or(&none) };
    let mut network = HostNetwork {
        host: name.to_owned(),
        profile: profile.and_then(|_| host.profile.clone()),
        defaults: source.profile.defaults,
        match_by: source.profile.match_by,
        systemd: source.profile.systemd.unwrap_or(SYSTEMD),
        bgp: None,
        source_nat: Vec::new(),
        nccl: source.profile.nccl.clone(),
        allow: source.profile.allow.clone(),
        sysctls: Default::default(),
        extra_files: source.profile.extra.files.clone(),
        links: source.links(),
    };
    set_masters(&mut network, source.profile);
    set_layers(&mut network);
    source.set_layer3(&mut network);
    wireguard::lower(site, &mut network);
    macsec::lower(site, &mut network);
    source.set_vlan_subnets(&mut network);
    bgp::set_link_local(&mut network, source.profile);
    set_roles(&mut network, source.profile);
    network.bgp = bgp::lower(site, &network, source.profile);
    network.source_nat = source_nat::lower(&network, source.profile);
    ethernet::set_macs(&mut network);
    if network.defaults == Defaults::Safe {
        ethernet::set_mtus(&mut network, site);
        ethernet::set_parameters(&mut network);
        set_critical(&mut network);
    }
    network.sysctls = sysctl::settings(&network, source.profile);
    network
}

impl<'a> Source<'a> {
    /// Every link with its kind and its own settings, standing alone.
    fn links(&self) -> IndexMap<String, Link> {
        let mut links = IndexMap::new();
        for (label, nic) in &self.host.nics {
            links.insert(label.clone(), self.link(label, Kind::Nic(Some(nic.address))));
        }
        for label in self.nic_labels() {
            let link = || self.link(label, Kind::Nic(None));
            links.entry(label.to_owned()).or_insert_with(link);
        }
        for (name, kind) in self.made() {
            links.insert(name.clone(), self.link(name, kind));
        }
        links
    }

    /// The links that the profile makes, with their kinds, lowest kind first.
    fn made(&self) -> impl Iterator<Item = (&'a String, Kind)> {
        let profile = self.profile;
        let bonds = profile.bonds.iter().map(|(name, spec)| (name, Kind::Bond(spec.clone())));
        let vlans = profile.vlans.iter().map(|(name, spec)| {
            let id = self.site.vlan_of(spec);
            let qos = Qos { ingress: spec.ingress_qos.clone(), egress: spec.egress_qos.clone() };
            (name, Kind::Vlan { parent: spec.link.clone(), id, protocol: spec.protocol, qos })
        });
        let vxlans = profile.vxlans.iter();
        let vxlans =
            vxlans.map(|(name, spec)| (name, Kind::Vxlan { spec: spec.clone(), local: None }));
        let tunnels = profile.tunnels.iter();
        let tunnels =
            tunnels.map(|(name, spec)| (name, Kind::Tunnel { spec: spec.clone(), local: None }));
        let wireguards = profile.wireguards.iter().map(|(name, spec)| {
            let (spec, wireguard) = (Box::new(spec.clone()), Box::new(Wireguard::unknown()));
            (name, Kind::Wireguard { spec, wireguard })
        });
        let partitions = profile.partitions.iter();
        let partitions = partitions.map(|(name, spec)| (name, Kind::Partition(spec.clone())));
        let macsecs = profile.macsecs.iter().map(|(name, spec)| {
            let (spec, macsec) = (Box::new(spec.clone()), Box::new(Macsec::unknown()));
            (name, Kind::Macsec { spec, macsec })
        });
        let vlans = vlans.chain(macsecs);
        let vxlans = vxlans.chain(tunnels).chain(wireguards).chain(partitions);
        let bridges = profile.bridges.iter();
        let bridges = bridges.map(|(name, spec)| (name, Kind::Bridge(spec.clone())));
        let vrfs = profile.vrfs.iter().map(|(name, spec)| (name, Kind::Vrf(spec.settings.table)));
        let dummies = profile.dummies.keys().map(|name| (name, Kind::Dummy));
        let ethernet = virtual_links::veths(profile).chain(bonds).chain(vlans).chain(vxlans);
        let upper = bridges.chain(virtual_links::on_others(profile));
        ethernet.chain(upper).chain(vrfs).chain(dummies).chain(virtual_links::loopbacks(profile))
    }

    /// The names that the profile speaks of and does not make: they must be NICs.
    fn nic_labels(&self) -> impl Iterator<Item = &'a str> {
        let profile = self.profile;
        let members = profile.masters().flat_map(|(_, _, members)| members);
        let parents = profile.vlans.values().map(|vlan| &vlan.link);
        let parents = parents.chain(profile.macsecs.values().map(|macsec| &macsec.link));
        let underlays = profile.vxlans.values().map(|vxlan| &vxlan.link);
        let underlays = underlays.chain(profile.tunnels.values().map(|tunnel| &tunnel.link));
        let parents = parents.chain(virtual_links::parents(profile));
        let named = profile.nics.keys().chain(members).chain(parents).chain(underlays);
        named.filter(|name| !profile.makes(name)).map(String::as_str)
    }

    fn link(&self, name: &str, kind: Kind) -> Link {
        let of_section = |link: &crate::model::ProfileLink<'a>| {
            link.name == name && link.section == kind.section()
        };
        let found = self.profile.links().find(of_section);
        let settings = found.map(|link| link.settings.clone()).unwrap_or_default();
        Link {
            name: name.to_owned(),
            master: None,
            layer: 0,
            role: Role::Unused,
            mac: settings.macaddress.and_then(|mac| mac.given()),
            nic: self.nic_spec(name, &kind),
            auth: self.auth(name, &kind),
            subnets: settings.subnets().map(str::to_owned).collect(),
            layer3: Layer3::default(),
            kind,
            settings,
        }
    }
}

impl Source<'_> {
    /// A VLAN that is a subnet's carries the subnet, though it has no address of it.
    fn set_vlan_subnets(&self, network: &mut HostNetwork) {
        for (name, subnet) in self.profile.vlan_subnets() {
            let link = network.links.get_mut(name).filter(|link| link.kind.section() == "vlans");
            if let Some(link) = link.filter(|link| !link.subnets.iter().any(|own| own == subnet)) {
                link.subnets.push(subnet.to_owned());
            }
        }
    }

    /// What the profile says of a NIC's hardware.
    fn nic_spec(&self, name: &str, kind: &Kind) -> Option<Box<NicSpec>> {
        let spec = self.profile.nics.get(name).filter(|_| matches!(kind, Kind::Nic(_)));
        spec.cloned().map(Box::new)
    }
}

impl Source<'_> {
    /// How a NIC is let in, with what files have in the place of its secrets.
    fn auth(&self, name: &str, kind: &Kind) -> Option<Box<PortAuth>> {
        let spec = self.profile.nics.get(name).filter(|_| matches!(kind, Kind::Nic(_)))?;
        let spec = spec.auth.clone()?;
        let text = |named: &Option<SecretRef>| Some(self.site.secret_text(named.as_ref()?));
        Some(Box::new(PortAuth {
            password: text(&spec.password),
            client_key: text(&spec.sealed_client_key),
            client_key_password: text(&spec.client_key_password),
            spec,
        }))
    }
}

fn set_masters(network: &mut HostNetwork, profile: &Profile) {
    for (name, link) in &mut network.links {
        link.master = profile.master_of(name).map(str::to_owned);
    }
}

/// Puts every link one layer above the highest that it is built on, in rounds until nothing
/// moves. The bound is for links that are built on each other in a ring, which never settle.
fn set_layers(network: &mut HostNetwork) {
    for _ in 0..network.links.len().min(DEEPEST) {
        let layer = |link: &Link| network.below(link).map(|lower| lower.layer + 1).max();
        let layers: Vec<usize> =
            network.links.values().map(|link| layer(link).unwrap_or(0)).collect();
        let mut changed = false;
        for (link, layer) in network.links.values_mut().zip(layers) {
            // A bond whose members are all unknown is still no NIC.
            let layer = if link.is_found() { layer } else { layer.max(1) };
            changed |= link.layer != layer;
            link.layer = layer;
        }
        if !changed {
            return;
        }
    }
}

/// What a critical link is built on is critical as well.
fn set_critical(network: &mut HostNetwork) {
    for index in network.top_down() {
        let link = &network.links[index];
        let carries = network.above(link).any(|upper| upper.settings.critical);
        network.links[index].settings.critical |= carries;
    }
}

fn set_roles(network: &mut HostNetwork, profile: &Profile) {
    let role = |link: &Link| {
        let layer3 = &link.layer3;
        let nic = profile.nics.get(&link.name).filter(|_| link.is_nic());
        let learns = link.learns();
        let is_taken = nic.is_some_and(|nic| nic.unmanaged || nic.driver_override.is_some());
        if is_taken || network.is_of_unit(link) {
            Role::Unmanaged
        } else if !layer3.borne.is_empty() || !layer3.shared.is_empty() || learns {
            Role::Addressed
        } else if network.above(link).any(|upper| !matches!(upper.kind, Kind::Vrf(_))) {
            Role::Carrier
        } else if virtual_links::is_given_away(link, profile) && link.master.is_none() {
            Role::Unmanaged
        } else if nic.is_some() || !link.is_nic() || link.master.is_some() {
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
