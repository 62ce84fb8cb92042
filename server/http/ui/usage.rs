//! The use of each address of a subnet. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

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
}

/// The cells of the drawing; none for IPv6, which is too large.
pub(crate) fn cells(subnet: &Subnet, occupants: &[Occupant]) -> Vec<Cell> {
    let IpNet::V4(net) = subnet.cidr else { return Vec::new() };
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
    Cell { class, title }
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
        let cells = cells(&site.subnets["prov"], &occupants);
        let classes: Vec<Class> = cells.iter().map(|cell| cell.class).collect();
        use Class::*;
        let expected = [
            Free, Gateway, Free, Free, Host, Host, Hosts, Hosts, Lease, Declined, Dhcp, Dhcp, Free,
            Free, Free, Free,
        ];
        assert_eq!(classes, expected);
        assert_eq!(cells[4].title, "10.0.0.4: n1, on br0");
    }

    #[test]
    fn a_large_subnet_is_drawn_in_blocks() {
        let mut site = site();
        for (cidr, count) in
            [("10.0.0.0/22", 1024), ("10.0.0.0/16", 1024), ("0.0.0.0/0", 1024), ("10.0.0.0/32", 1)]
        {
            site.subnets.get_mut("prov").unwrap().cidr = cidr.parse().unwrap();
            let cells = cells(&site.subnets["prov"], &occupants(&site, "prov", &[], 0));
            assert_eq!(cells.len(), count, "{cidr}");
        }
        site.subnets.get_mut("prov").unwrap().cidr = "fd00::/64".parse().unwrap();
        assert!(cells(&site.subnets["prov"], &[]).is_empty());
    }

    #[test]
    fn capacity_counts_both_ends() {
        let site = site();
        assert_eq!(capacity(&site.subnets["prov"], RangeUse::Dhcp), 4);
        assert_eq!(capacity(&site.subnets["prov"], RangeUse::Reserved), 0);
    }
}
