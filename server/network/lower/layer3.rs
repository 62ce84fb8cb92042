//! Addresses, routes, rules and resolvers of each link. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Source;
use crate::model::{
    Destination, Family, HostNumber, LinkSettings, MoreSubnet, NoSuchAddress, RouteSpec, RuleSpec,
    Subnet,
};
use crate::network::links::{
    Borne, Computed, HostNetwork, Kind, Layer3, Link, NotComputed, NotComputedCause,
};

/// The priorities of the rules that a link's own table gets, plus the link's number. A
/// mark is looked at before a source, or it would never win; both before the rule that
/// the kernel adds for VRFs at 1000.
const MARK_PRIORITY: u32 = 100;
const SOURCE_PRIORITY: u32 = 500;
/// How far apart the priorities are of the tables of `more-subnets`.
const MORE_STEP: u32 = 100;

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
            if let Kind::Vxlan { local, .. } | Kind::Tunnel { local, .. } =
                &mut network.links[index].kind
            {
                *local = address.map(|address| address.addr());
            }
        }
    }

    /// The layer 3 of one link. `carried` are the subnets that links on it have instead.
    pub(super) fn layer3(
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
        for Carried { subnet: subnet_name, key, number, peer, place } in carries(name, settings) {
            let Some(subnet) = self.site.subnets.get(subnet_name) else { continue };
            if carried.contains(subnet_name) {
                continue;
            }
            let computed = number
                .map(|number| self.computed(number, |number| subnet.host(subnet_name, number)));
            let peer = peer
                .map(|number| self.computed(number, |number| subnet.numbered(subnet_name, number)));
            let numbered = ComputedAddress { key, computed, peer, more: place };
            self.bear(&mut layer3, settings, subnet_name, subnet, numbered);
        }
        self.own_tables(&mut layer3, name, settings, number);
        layer3
    }

    /// The tables of the link's own: that of its first subnets, and those of the others.
    fn own_tables(&self, layer3: &mut Layer3, name: &str, settings: &LinkSettings, number: u32) {
        let is_more = |borne: &Borne| {
            let of = |more: &MoreSubnet| borne.key == format!("{name}/{}", more.subnet);
            settings.more_subnets.iter().position(of)
        };
        let borne = layer3.borne.clone();
        if let Some(table) = settings.table.filter(|_| !self.profile.vrfs.contains_key(name)) {
            let first: Vec<Borne> =
                borne.iter().filter(|borne| is_more(borne).is_none()).cloned().collect();
            let way = OwnTable { table, priority: SOURCE_PRIORITY + number };
            own_table(layer3, way, &first, settings, self);
            mark(layer3, table, &first, settings, number, self);
        }
        for one in borne {
            let Some(at) = is_more(&one) else { continue };
            let Some(table) = settings.more_subnets[at].table else { continue };
            // Each address has a rule of its own.
            let priority = SOURCE_PRIORITY + number + MORE_STEP * (at as u32 + 1);
            own_table(layer3, OwnTable { table, priority }, &[one], settings, self);
        }
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
        ComputedAddress { key, computed, peer, more }: ComputedAddress,
    ) {
        // With DHCP or SLAAC the wire says all this; written down as well it would be there twice.
        let family = if subnet.cidr.addr().is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let learns = more.is_none() && settings.learns_addresses(family);
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
        // Routers that are heard say who they are, and who resolves names.
        let hears = family == Family::Ipv6 && settings.accept_ra == Some(true) && more.is_none();
        if learns || hears {
            return;
        }
        let leads_out = match more {
            Some(place) => settings.more_subnets[place].default_route,
            None => settings.sets_default_route(),
        };
        let gateway = subnet.gateway.filter(|_| leads_out && !alone);
        if settings.advertised_mss.is_some() || settings.metric.is_some() {
            let default = gateway.map(|gateway| RouteSpec {
                via: Some(gateway),
                advertised_mss: settings.advertised_mss,
                metric: settings.metric,
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
struct ComputedAddress {
    /// The key of the address under the host's `addresses`.
    key: String,
    computed: Option<Computed>,
    peer: Option<Computed>,
    /// The place among `more-subnets`, of one of those.
    more: Option<usize>,
}

/// A subnet of a link, with what the profile says of the address in it.
struct Carried<'a> {
    subnet: &'a str,
    key: String,
    number: Option<&'a HostNumber>,
    peer: Option<&'a HostNumber>,
    /// The place among `more-subnets`, of one of those.
    place: Option<usize>,
}

/// Every subnet of a link. The address of the first has the link's name as its key, all others
/// are `LINK/SUBNET`.
fn carries<'a>(name: &'a str, settings: &'a LinkSettings) -> impl Iterator<Item = Carried<'a>> {
    let beside = move |subnet: &str| format!("{name}/{subnet}");
    let first = settings.subnet.as_deref().map(|subnet| Carried {
        subnet,
        key: name.to_owned(),
        number: settings.host_number.as_ref(),
        peer: settings.peer_number.as_ref(),
        place: None,
    });
    let second = settings.subnet6.as_deref().map(|subnet| Carried {
        subnet,
        key: beside(subnet),
        number: settings.host_number6.as_ref(),
        peer: settings.peer_number6.as_ref(),
        place: None,
    });
    let more = settings.more_subnets.iter().enumerate().map(move |(place, more)| Carried {
        subnet: &more.subnet,
        key: beside(&more.subnet),
        number: more.host_number.as_ref(),
        peer: None,
        place: Some(place),
    });
    first.into_iter().chain(second).chain(more)
}

/// A table of a link's own, and the priority of the rules that lead to it.
#[derive(Clone, Copy)]
struct OwnTable {
    table: u32,
    priority: u32,
}

/// Adds what is not there yet.
fn extend_new(list: &mut Vec<String>, more: &[String]) {
    for item in more {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

/// Sends what comes from these addresses of a link out by it: its routes in a table of its own,
/// and rules that lead there.
fn own_table(
    layer3: &mut Layer3,
    OwnTable { table, priority }: OwnTable,
    all: &[Borne],
    settings: &LinkSettings,
    source: &Source<'_>,
) {
    let advertised_mss = settings.advertised_mss;
    for borne in all {
        let Some(subnet) = source.site.subnets.get(&borne.subnet) else { continue };
        let from = borne.address.map(|address| address.addr());
        let cidr = borne.known_peer().map_or_else(|| subnet.cidr.trunc(), IpNet::from);
        layer3.routes.push(RouteSpec { from, ..route(Destination::Net(cidr), None, table) });
        if let Some(gateway) = subnet.gateway {
            let default = route(Destination::Default, Some(gateway), table);
            layer3.routes.push(RouteSpec { advertised_mss, ..default });
        }
        if let Some(from) = borne.address {
            let from = Some(IpNet::from(from.addr()));
            let rule = RuleSpec { from, table, priority, ..RuleSpec::default() };
            layer3.rules.push(rule);
        }
    }
}

/// Sends what has the link's mark to its table.
fn mark(
    layer3: &mut Layer3,
    table: u32,
    all: &[Borne],
    settings: &LinkSettings,
    number: u32,
    source: &Source<'_>,
) {
    let mark = settings.mark;
    let is_ipv6 = |borne: &Borne| source.site.subnets[&borne.subnet].cidr.addr().is_ipv6();
    let families: BTreeSet<bool> = all.iter().map(is_ipv6).collect();
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
        // What is in a namespace is beside the host, which keeps its own address.
        let is_here = |upper: &&Link| upper.settings.namespace.is_none();
        for upper in network.above(&network.links[index]).filter(is_here) {
            subnets.extend(upper.subnets.iter().cloned());
            let upper = network.links.get_index_of(&upper.name);
            subnets.extend(upper.into_iter().flat_map(|upper| carried[upper].clone()));
        }
        carried[index] = subnets;
    }
    carried
}
