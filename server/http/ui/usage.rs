//! The use of each address of a subnet. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::model::{Lease, LeaseState, RangeUse, Site, Subnet};

/// The most cells in a drawing; in a larger subnet, a cell shows several addresses.
const MOST_CELLS: u64 = 1024;

/// The use of an address. A cell shows the greatest of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// Unused, outside all ranges.
    Free,
    /// Unused, in a range for hosts.
    Hosts,
    /// Unused, in a range for DHCP.
    Dhcp,
    /// Unused, in a reserved range.
    Reserved,
    /// The gateway.
    Gateway,
    /// Leased by DHCP.
    Lease,
    /// Address or reservation of a host.
    Host,
    /// Declined: a client found the address in use.
    Declined,
}

impl Class {
    /// All, in the order of the legend.
    pub(crate) const ALL: [Self; 8] = [
        Self::Host,
        Self::Lease,
        Self::Gateway,
        Self::Declined,
        Self::Hosts,
        Self::Dhcp,
        Self::Reserved,
        Self::Free,
    ];

    /// The CSS class.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Hosts => "hosts",
            Self::Dhcp => "dhcp",
            Self::Reserved => "reserved",
            Self::Gateway => "gateway",
            Self::Lease => "lease",
            Self::Host => "host",
            Self::Declined => "declined",
        }
    }

    /// The text of the legend.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Free => "outside ranges",
            Self::Hosts => "free, for hosts",
            Self::Dhcp => "free, for DHCP",
            Self::Reserved => "reserved",
            Self::Gateway => "gateway",
            Self::Lease => "leased",
            Self::Host => "host",
            Self::Declined => "declined",
        }
    }
}

/// An address in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Occupant {
    /// The address.
    pub address: IpAddr,
    /// Its use.
    pub class: Class,
    /// The host, if it is the address of one.
    pub host: Option<String>,
    /// The use as text.
    pub text: String,
}

/// The addresses in use in a subnet, in order.
pub(crate) fn occupants(site: &Site, name: &str, leases: &[Lease], now: i64) -> Vec<Occupant> {
    let Some(subnet) = site.subnets.get(name) else { return Vec::new() };
    let mut found: BTreeMap<IpAddr, Occupant> = BTreeMap::new();
    let mut put = |address: IpAddr, class, host: Option<&String>, text: String| {
        let host = host.cloned();
        let occupant = Occupant { address, class, host, text };
        let place = found.entry(address).or_insert_with(|| occupant.clone());
        if place.class < class {
            *place = occupant;
        }
    };
    if let Some(gateway) = subnet.gateway {
        put(gateway, Class::Gateway, None, "gateway".into());
    }
    for lease in leases.iter().filter(|lease| lease.subnet == name && lease.is_live(now)) {
        let class =
            if lease.state == LeaseState::Declined { Class::Declined } else { Class::Lease };
        let by = lease.nic.map_or_else(|| lease.client.to_string(), |nic| nic.to_string());
        put(lease.address.into(), class, None, format!("{} by {}", lease.state.label(), by));
    }
    for (host_name, host) in &site.hosts {
        for (link, address) in host.addresses.iter().filter(|(_, a)| subnet.cidr.contains(*a)) {
            put(*address, Class::Host, Some(host_name), format!("on {link}"));
        }
        for (_, address) in host.reservations.iter().filter(|(on, _)| *on == name) {
            put(*address, Class::Host, Some(host_name), "reserved for DHCP".into());
        }
    }
    found.into_values().collect()
}

/// A cell of the drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The use to show.
    pub class: Class,
    /// The tooltip.
    pub title: String,
    /// What it stands for.
    pub target: CellTarget,
}

/// What a cell stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellTarget {
    /// One address.
    Address(Ipv4Addr),
    /// Several; the block of addresses that is drawn when somebody wants to see them.
    Block(Ipv4Net),
}

/// The cells of the part `net` of a subnet.
pub(crate) fn cells(subnet: &Subnet, net: Ipv4Net, occupants: &[Occupant]) -> Vec<Cell> {
    let size = 1_u64 << (32 - net.prefix_len());
    let step = size.div_ceil(MOST_CELLS).next_power_of_two();
    let first = u64::from(u32::from(net.network()));
    let mut taken: BTreeMap<u64, &Occupant> = BTreeMap::new();
    for occupant in occupants {
        if let IpAddr::V4(address) = occupant.address {
            taken.insert(u64::from(u32::from(address)), occupant);
        }
    }
    (0..size / step).map(|index| cell(subnet, &taken, first + index * step, step)).collect()
}

fn cell(subnet: &Subnet, taken: &BTreeMap<u64, &Occupant>, from: u64, step: u64) -> Cell {
    let to = from + step - 1;
    let mut occupants = taken.range(from..=to).map(|(_, occupant)| *occupant);
    let count = occupants.clone().count();
    let strongest = occupants.clone().map(|occupant| occupant.class).max();
    let range = |at| subnet.range_of(address(at).into()).map(|range| class_of(range.used_for));
    let background = || range(from).max(range(to)).unwrap_or(Class::Free);
    let class = strongest.unwrap_or_else(background);
    let title = match (step, occupants.next()) {
        (1, Some(Occupant { host: Some(host), text, .. })) => {
            format!("{}: {host}, {text}", address(from))
        }
        (1, Some(occupant)) => format!("{}: {}", address(from), occupant.text),
        (1, None) => format!("{}: {}", address(from), class.label()),
        _ => format!("{} to {}: {count} of {step} in use", address(from), address(to)),
    };
    let target = if step == 1 { CellTarget::Address(address(from)) } else { block(from, step) };
    Cell { class, title, target }
}

/// What is drawn for `step` addresses at `from`: they, or as many around them as a drawing has
/// cells.
fn block(from: u64, step: u64) -> CellTarget {
    let prefix = 32 - step.max(MOST_CELLS).ilog2() as u8;
    let net = Ipv4Net::new(address(from), prefix).map(|net| net.trunc());
    CellTarget::Block(net.unwrap_or_default())
}

/// Addresses in a row that are free, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The first.
    pub from: IpAddr,
    /// The last.
    pub to: IpAddr,
    /// What they are for.
    pub class: Class,
}

/// The addresses that a host can be given, those for hosts before the others. Neither the addresses
/// of the network and of all its hosts nor reserved ones are among them.
pub(crate) fn free_stretches(subnet: &Subnet, occupants: &[Occupant]) -> Vec<Stretch> {
    let Some((first, last)) = usable(subnet.cidr) else { return Vec::new() };
    let here = occupants.iter().map(|occupant| occupant.address);
    let taken: BTreeSet<u128> = here.filter(|at| subnet.cidr.contains(at)).map(number).collect();
    let mut cuts = BTreeSet::from([first]);
    for (from, to) in subnet.ranges.iter().map(|range| (number(range.from), number(range.to))) {
        cuts.extend([from, to.saturating_add(1)]);
    }
    cuts.extend(taken.iter().flat_map(|at| [*at, at.saturating_add(1)]));
    let starts: Vec<u128> = cuts.into_iter().filter(|at| (first..=last).contains(at)).collect();
    let ends = starts.iter().skip(1).map(|next| next - 1).chain([last]);
    let free = starts.iter().zip(ends).filter(|(from, _)| !taken.contains(from));
    let ip = |number| match subnet.cidr {
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    };
    let stretch = |(from, to): (&u128, u128)| Stretch {
        from: ip(*from),
        to: ip(to),
        class: unused_class(subnet, ip(*from)),
    };
    let mut found: Vec<Stretch> = free.map(stretch).collect();
    found.retain(|stretch| stretch.class != Class::Reserved);
    found.sort_by_key(|stretch| stretch.class != Class::Hosts);
    found
}

/// The use of an address that nobody has.
pub(crate) fn unused_class(subnet: &Subnet, address: IpAddr) -> Class {
    subnet.range_of(address).map_or(Class::Free, |range| class_of(range.used_for))
}

/// Whether hosts may have it: not the address of the network nor of all its hosts.
pub(crate) fn is_usable(subnet: &Subnet, address: IpAddr) -> bool {
    let within = |(first, last)| (first..=last).contains(&number(address));
    subnet.cidr.contains(&address) && usable(subnet.cidr).is_some_and(within)
}

/// The first and the last address that hosts may have.
fn usable(cidr: IpNet) -> Option<(u128, u128)> {
    let (first, last) = (number(cidr.network()), number(cidr.broadcast()));
    let (first, last) = match cidr {
        // A link between two routers (RFC 3021), and a single address.
        IpNet::V4(net) if net.prefix_len() >= 31 => (first, last),
        IpNet::V4(_) => (first + 1, last - 1),
        IpNet::V6(net) if net.prefix_len() >= 127 => (first, last),
        // The first is the anycast address of the subnet's routers (RFC 4291 section 2.6.1).
        IpNet::V6(_) => (first + 1, last),
    };
    (first <= last).then_some((first, last))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn class_of(used_for: RangeUse) -> Class {
    match used_for {
        RangeUse::Dhcp => Class::Dhcp,
        RangeUse::Hosts => Class::Hosts,
        RangeUse::Reserved => Class::Reserved,
    }
}

fn address(number: u64) -> Ipv4Addr {
    Ipv4Addr::from(number as u32)
}

/// The number of addresses in the ranges for one use.
pub(crate) fn capacity(subnet: &Subnet, used_for: RangeUse) -> u64 {
    let size = |range: &crate::model::Range| match (range.from, range.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            u64::from(u32::from(to)).saturating_sub(u64::from(u32::from(from))) + 1
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            u64::try_from(u128::from(to).saturating_sub(u128::from(from)))
                .map_or(u64::MAX, |size| size.saturating_add(1))
        }
        _ => 0,
    };
    let ranges = subnet.ranges.iter().filter(|range| range.used_for == used_for);
    ranges.map(size).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ClientKey;

    fn site() -> Site {
        serde_json::from_value(serde_json::json!({
            "subnets": {"prov": {"cidr": "10.0.0.0/28", "gateway": "10.0.0.1", "ranges": [
                {"from": "10.0.0.4", "to": "10.0.0.7", "for": "hosts"},
                {"from": "10.0.0.8", "to": "10.0.0.11", "for": "dhcp"},
            ]}},
            "hosts": {"n1": {"addresses": {"br0": "10.0.0.4"}, "reservations": {"prov": "10.0.0.5"}}},
        }))
        .unwrap()
    }

    fn lease(address: &str, state: LeaseState) -> Lease {
        let mac = "52:54:00:aa:00:09".parse().unwrap();
        Lease {
            address: address.parse().unwrap(),
            client: ClientKey::Mac(mac),
            nic: Some(mac.into()),
            subnet: "prov".into(),
            state,
            starts_at: 0,
            expires_at: 100,
            taken_over: false,
        }
    }

    #[test]
    fn each_address_shows_what_matters_most() {
        let site = site();
        let leases = [
            lease("10.0.0.5", LeaseState::Bound),
            lease("10.0.0.8", LeaseState::Bound),
            lease("10.0.0.9", LeaseState::Declined),
            lease("10.0.0.10", LeaseState::Released),
        ];
        let occupants = occupants(&site, "prov", &leases, 50);
        let cells = cells(&site.subnets["prov"], net("10.0.0.0/28"), &occupants);
        let classes: Vec<Class> = cells.iter().map(|cell| cell.class).collect();
        use Class::*;
        let expected = [
            Free, Gateway, Free, Free, Host, Host, Hosts, Hosts, Lease, Declined, Dhcp, Dhcp, Free,
            Free, Free, Free,
        ];
        assert_eq!(classes, expected);
        assert_eq!(cells[4].title, "10.0.0.4: n1, on br0");
    }

    fn net(cidr: &str) -> Ipv4Net {
        cidr.parse().unwrap()
    }

    #[test]
    fn a_large_subnet_is_drawn_in_blocks_that_are_drawn_in_turn() {
        let mut site = site();
        for (cidr, count, target) in [
            ("10.0.0.0/22", 1024, CellTarget::Address("10.0.0.5".parse().unwrap())),
            ("10.0.0.0/21", 1024, CellTarget::Block(net("10.0.0.0/22"))),
            ("10.0.0.0/16", 1024, CellTarget::Block(net("10.0.0.0/22"))),
            ("10.0.0.0/8", 1024, CellTarget::Block(net("10.1.64.0/18"))),
            ("0.0.0.0/0", 1024, CellTarget::Block(net("1.64.0.0/10"))),
        ] {
            site.subnets.get_mut("prov").unwrap().cidr = cidr.parse().unwrap();
            let occupants = occupants(&site, "prov", &[], 0);
            let cells = cells(&site.subnets["prov"], net(cidr), &occupants);
            assert_eq!((cells.len(), cells[5].target), (count, target), "{cidr}");
        }
        let one = cells(&site.subnets["prov"], net("10.0.0.0/32"), &[]);
        assert_eq!(one.len(), 1);
    }

    #[test]
    fn what_is_free_is_listed_in_stretches_those_for_hosts_first() {
        let listed = |site: &Site| {
            let found = free_stretches(&site.subnets["prov"], &occupants(site, "prov", &[], 0));
            let line = |s: &Stretch| format!("{} {} {}", s.from, s.to, s.class.class());
            found.iter().map(line).collect::<Vec<_>>()
        };
        let mut site = site();
        let expected = [
            "10.0.0.6 10.0.0.7 hosts",
            "10.0.0.2 10.0.0.3 free",
            "10.0.0.8 10.0.0.11 dhcp",
            "10.0.0.12 10.0.0.14 free",
        ];
        assert_eq!(listed(&site), expected);
        let prov = site.subnets.get_mut("prov").unwrap();
        prov.ranges[1].used_for = RangeUse::Reserved;
        assert_eq!(listed(&site).len(), 3, "reserved addresses are not given");
        let prov = site.subnets.get_mut("prov").unwrap();
        (prov.ranges, prov.gateway) = (Vec::new(), Some("fd00::1".parse().unwrap()));
        for (cidr, expected) in [
            ("fd00::/64", vec!["fd00::2 fd00::ffff:ffff:ffff:ffff free"]),
            (
                "::/0",
                vec!["::1 fd00:: free", "fd00::2 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff free"],
            ),
            ("10.0.0.0/31", vec!["10.0.0.0 10.0.0.1 free"]),
            ("10.0.0.4/32", vec![]),
        ] {
            site.subnets.get_mut("prov").unwrap().cidr = cidr.parse().unwrap();
            assert_eq!(listed(&site), expected, "{cidr}");
        }
        let cidr = |site: &mut Site, cidr: &str| {
            site.subnets.get_mut("prov").unwrap().cidr = cidr.parse().unwrap();
        };
        for (own, address, usable) in [
            ("10.0.0.0/28", "10.0.0.0", false),
            ("10.0.0.0/28", "10.0.0.1", true),
            ("10.0.0.0/28", "10.0.0.15", false),
            ("10.0.0.0/28", "10.0.0.16", false),
            ("fd00::/64", "fd00::", false),
            ("fd00::/64", "10.0.0.1", false),
        ] {
            cidr(&mut site, own);
            let found = is_usable(&site.subnets["prov"], address.parse().unwrap());
            assert_eq!(found, usable, "{own} {address}");
        }
    }

    #[test]
    fn capacity_counts_both_ends() {
        let site = site();
        assert_eq!(capacity(&site.subnets["prov"], RangeUse::Dhcp), 4);
        assert_eq!(capacity(&site.subnets["prov"], RangeUse::Reserved), 0);
    }
}
