//! Addresses, routes, rules and resolvers of each link. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Source;
use crate::model::{
    Destination, Family, HostNumber, LinkSettings, NoSuchAddress, RouteSpec, RuleSpec, Subnet,
};
use crate::network::links::{
    Borne, Computed, HostNetwork, Kind, Layer3, NotComputed, NotComputedCause,
};

/// The priorities of the rules that a link's own table gets, plus the link's number. A
/// mark is looked at before a source, or it would never win; both before the rule that
/// the kernel adds for VRFs at 1000.
const MARK_PRIORITY: u32 = 100;
const SOURCE_PRIORITY: u32 = 500;

impl Source<'_> {
    /// Gives every link its layer 3, and every tunnel the address that it leaves from.
    pub(super) fn set_layer3(&self, network: &mut HostNetwork) {
        let carried = carried_above(network);
        for link in self.profile.links() {
            let Some(index) = network.links.get_index_of(link.name) else { continue };
            // Two links of one name are two mistakes of one profile; the kind tells them apart.
            if network.links[index].kind.section() != link.section {
                continue;
            }
            let layer3 = self.layer3(link.name, link.settings, &carried[index], index as u32);
            network.links[index].layer3 = layer3;
        }
        for index in 0..network.links.len() {
            let parent = network.links[index].parent().and_then(|name| network.links.get(name));
            let address = parent.and_then(|parent| parent.all_addresses().next());
            if let Kind::Vxlan { local, .. } = &mut network.links[index].kind {
                *local = address.map(|address| address.addr());
            }
        }
    }

    /// The layer 3 of one link. `carried` are the subnets that links on it have instead.
    fn layer3(
        &self,
        name: &str,
        settings: &LinkSettings,
        carried: &BTreeSet<String>,
        number: u32,
    ) -> Layer3 {
        let mut layer3 = Layer3 {
            shared: settings.addresses.clone(),
            routes: settings.routes.clone(),
            rules: settings.routing_policy.clone(),
            ..Layer3::default()
        };
        extend_new(&mut layer3.domains, &settings.domains);
        for (place, subnet_name) in settings.subnets().enumerate() {
            let Some(subnet) = self.site.subnets.get(subnet_name) else { continue };
            if carried.contains(subnet_name) {
                continue;
            }
            let is_first = place == 0 && settings.subnet.is_some();
            let (key, number, peer) = match is_first {
                true => (name.to_owned(), &settings.host_number, &settings.peer_number),
                false => (
                    format!("{name}/{subnet_name}"),
                    &settings.host_number6,
                    &settings.peer_number6,
                ),
            };
            let computed = number
                .as_ref()
                .map(|number| self.computed(number, |number| subnet.host(subnet_name, number)));
            let peer = peer
                .as_ref()
                .map(|number| self.computed(number, |number| subnet.numbered(subnet_name, number)));
            let numbered = Numbered { key, computed, peer };
            self.bear(&mut layer3, settings, subnet_name, subnet, numbered);
        }
        if let Some(table) = settings.table.filter(|_| !self.profile.vrfs.contains_key(name)) {
            own_table(&mut layer3, table, settings, number, self);
        }
        layer3
    }

    /// The address `of` the number that the profile computes for the host.
    fn computed(
        &self,
        number: &HostNumber,
        of: impl Fn(i64) -> Result<IpAddr, NoSuchAddress>,
    ) -> Computed {
        let index = self.host.number();
        let address = || -> Result<IpAddr, NotComputedCause> { Ok(of(number.of(index)?)?) };
        address().map_err(|cause| NotComputed { number: number.clone(), index, cause })
    }

    /// Adds a subnet's address and facts to the link that has it.
    fn bear(
        &self,
        layer3: &mut Layer3,
        settings: &LinkSettings,
        name: &str,
        subnet: &Subnet,
        Numbered { key, computed, peer }: Numbered,
    ) {
        // With DHCP or SLAAC the wire says all this; written down as well it would be there twice.
        let learns = match subnet.cidr {
            IpNet::V4(_) => settings.dhcp4,
            IpNet::V6(_) => settings.dhcp6 || settings.accept_ra == Some(true),
        };
        let given = self.host.addresses.get(&key).copied();
        let address =
            given.or_else(|| computed.as_ref().and_then(|computed| computed.clone().ok()));
        let address = address.filter(|_| !learns);
        // On a link to nowhere the address is alone: with the subnet's prefix the host would
        // take the whole subnet for its own.
        let link = key.split('/').next().unwrap_or(&key);
        let alone =
            self.profile.loopbacks.contains_key(link) || self.profile.dummies.contains_key(link);
        let single = alone || peer.is_some();
        let length = if single { subnet.cidr.max_prefix_len() } else { subnet.cidr.prefix_len() };
        let address = address.and_then(|address| IpNet::new(address, length).ok());
        layer3.addresses.extend(address);
        layer3.borne.push(Borne {
            subnet: name.to_owned(),
            key,
            written: !learns,
            address,
            computed,
            peer,
        });
        if learns {
            return;
        }
        let gateway = subnet.gateway.filter(|_| settings.sets_default_route() && !alone);
        if let Some(mss) = settings.advertised_mss {
            let default = gateway.map(|gateway| RouteSpec {
                via: Some(gateway),
                advertised_mss: Some(mss),
                ..RouteSpec::to(Destination::Default)
            });
            layer3.routes.extend(default);
        } else {
            layer3.gateways.extend(gateway);
        }
        layer3.dns.extend(subnet.dns.iter().cloned());
        if !subnet.dns.is_empty() {
            layer3.dns_over_tls = layer3.dns_over_tls.max(subnet.dns_over_tls);
            layer3.dnssec = layer3.dnssec.max(subnet.dnssec);
        }
        extend_new(&mut layer3.domains, &subnet.domains);
        extend_new(&mut layer3.ntp, &subnet.ntp);
    }
}

/// What a profile computes of a link's address in a subnet.
struct Numbered {
    /// The key of the address under the host's `addresses`.
    key: String,
    computed: Option<Computed>,
    peer: Option<Computed>,
}

/// Adds what is not there yet.
fn extend_new(list: &mut Vec<String>, more: &[String]) {
    for item in more {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

/// Sends what comes from the link's addresses, or has its mark, out by the link: its
/// routes in a table of its own, and rules that lead there.
fn own_table(
    layer3: &mut Layer3,
    table: u32,
    settings: &LinkSettings,
    number: u32,
    source: &Source<'_>,
) {
    let (mark, advertised_mss) = (settings.mark, settings.advertised_mss);
    for borne in layer3.borne.clone() {
        let Some(subnet) = source.site.subnets.get(&borne.subnet) else { continue };
        let from = borne.address.map(|address| address.addr());
        let cidr = borne.known_peer().map_or_else(|| subnet.cidr.trunc(), IpNet::from);
        layer3.routes.push(RouteSpec { from, ..route(Destination::Net(cidr), None, table) });
        if let Some(gateway) = subnet.gateway {
            let default = route(Destination::Default, Some(gateway), table);
            layer3.routes.push(RouteSpec { advertised_mss, ..default });
        }
        if let Some(from) = borne.address {
            let (from, priority) = (IpNet::from(from.addr()), SOURCE_PRIORITY + number);
            let rule = RuleSpec { from: Some(from), table, priority, ..RuleSpec::default() };
            layer3.rules.push(rule);
        }
    }
    let is_ipv6 = |borne: &Borne| source.site.subnets[&borne.subnet].cidr.addr().is_ipv6();
    let families: BTreeSet<bool> = layer3.borne.iter().map(is_ipv6).collect();
    for is_ipv6 in families.into_iter().filter(|_| mark.is_some()) {
        let family = is_ipv6.then_some(Family::Ipv6);
        let priority = MARK_PRIORITY + number;
        layer3.rules.push(RuleSpec { mark, family, table, priority, ..RuleSpec::default() });
    }
}

fn route(to: Destination, via: Option<IpAddr>, table: u32) -> RouteSpec {
    RouteSpec { via, table: Some(table), ..RouteSpec::to(to) }
}

/// For every link, the subnets that links standing on it carry, directly or not. A VRF
/// carries none: its members keep their addresses.
fn carried_above(network: &HostNetwork) -> Vec<BTreeSet<String>> {
    let mut carried = vec![BTreeSet::new(); network.links.len()];
    for index in network.top_down() {
        let mut subnets = BTreeSet::new();
        for upper in network.above(&network.links[index]) {
            subnets.extend(upper.subnets.iter().cloned());
            let upper = network.links.get_index_of(&upper.name);
            subnets.extend(upper.into_iter().flat_map(|upper| carried[upper].clone()));
        }
        carried[index] = subnets;
    }
    carried
}
