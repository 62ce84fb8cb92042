//! Chooses addresses for hosts that have none. Pure: what it chooses is sticky
//! because the caller writes it down as the host's own.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::domain::Domains;
use super::lower::lower;
use crate::model::{RangeUse, Subnet};
use crate::profile::ResolvedSite;

/// An address chosen for a link of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The host.
    pub host: String,
    /// The key under the host's `addresses`: the link, or `LINK/SUBNET` for its IPv6 subnet.
    pub link: String,
    /// The subnet that it was taken from.
    pub subnet: String,
    /// The address.
    pub address: IpAddr,
}

/// Gives every link that must have an address and has none the next free one of its
/// subnet's `hosts` ranges, in the order of the hosts' names. What is reserved, given by
/// DHCP, a gateway or somebody's already is left alone. Where no address is free the link
/// stays without, for [`check_site`](super::check_site) to name.
pub fn allocate(site: &ResolvedSite) -> Vec<Assignment> {
    let mut free = Free::new(site);
    let mut assignments = Vec::new();
    for (name, host) in &site.hosts {
        let network = lower(site, name, host);
        let awaiting = network.links.values().flat_map(|link| &link.layer3.borne);
        for borne in awaiting.filter(|borne| borne.takes_any_address()) {
            let Some(address) = free.next(&borne.subnet) else { continue };
            assignments.push(Assignment {
                host: name.clone(),
                link: borne.key.clone(),
                subnet: borne.subnet.clone(),
                address,
            });
        }
    }
    assignments
}

/// The addresses that hosts may get: each is given out once.
pub(super) struct Free<'a> {
    site: &'a ResolvedSite,
    /// By routing domain.
    taken: HashSet<(&'a str, IpAddr)>,
    ahead: HashMap<&'a str, Candidates<'a>>,
}

impl<'a> Free<'a> {
    pub(super) fn new(site: &'a ResolvedSite) -> Self {
        Self { site, taken: taken(site), ahead: HashMap::new() }
    }

    /// The next free address of a subnet's `hosts` ranges, if there is one.
    pub(super) fn next(&mut self, subnet: &str) -> Option<IpAddr> {
        let (name, subnet) = self.site.subnets.get_key_value(subnet)?;
        // What was passed over once is taken for good: nothing is given back in here.
        let ahead = self.ahead.entry(name.as_str()).or_insert_with(|| candidates(subnet));
        let domain = subnet.vrf.as_deref().unwrap_or_default();
        ahead.find(|address| self.taken.insert((domain, *address)))
    }
}

/// Every address of the site that somebody has.
fn taken(site: &ResolvedSite) -> HashSet<(&str, IpAddr)> {
    let domains = Domains::of(site);
    let hosts = site.hosts.iter();
    let hosts = hosts.flat_map(|(name, host)| domains.owned(name, host).map(|(.., owned)| owned));
    let of_subnet = |(name, subnet): (&String, &Subnet)| {
        let own = subnet.gateway.into_iter().chain(subnet.server);
        let domain = domains.of_subnet(name);
        own.map(|address| (domain, address)).collect::<Vec<_>>()
    };
    hosts.chain(site.subnets.iter().flat_map(of_subnet)).collect()
}

/// The addresses of a subnet that a host may get, each once, whether somebody has it or not.
type Candidates<'a> = Box<dyn Iterator<Item = IpAddr> + 'a>;

fn candidates(subnet: &Subnet) -> Candidates<'_> {
    let hosts = subnet.ranges.iter().filter(|range| range.used_for == RangeUse::Hosts);
    let usable = |address: &IpAddr| {
        // A range for hosts may overlap another by mistake; the stricter use wins.
        let strict = |range: &&crate::model::Range| range.used_for != RangeUse::Hosts;
        let elsewhere = subnet.ranges.iter().filter(strict).any(|range| range.contains(*address));
        subnet.cidr.contains(address) && !elsewhere && subnet.unusable(*address).is_none()
    };
    // At most one more address than are taken or withheld need be looked at in a good
    // range; the bound is for an IPv6 range that lies outside its subnet altogether.
    Box::new(hosts.flat_map(|range| walk(range.from, range.to).take(MOST_LOOKED_AT)).filter(usable))
}

/// How many addresses of one range are looked at: a /16 full of hosts.
const MOST_LOOKED_AT: usize = 1 << 16;

/// The addresses from one to another, both included; none if they are of two families.
fn walk(from: IpAddr, to: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (from, to, is_ipv4) = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            (u128::from(from.to_bits()), u128::from(to.to_bits()), true)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => (from.to_bits(), to.to_bits(), false),
        _ => (1, 0, true),
    };
    (from..=to).map(move |bits| match is_ipv4 {
        true => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        false => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Host;

    const SITE: &str = r#"
subnets:
  a:
    cidr: 10.0.0.0/24
    gateway: 10.0.0.3
    ranges:
      - {from: 10.0.0.0, to: 10.0.0.6, for: hosts}
      - {from: 10.0.0.10, to: 10.0.0.11, for: hosts}
      - {from: 10.0.0.4, to: 10.0.0.4, for: reserved}
  six: {cidr: "fd00::/64", ranges: [{from: "fd00::10", to: "fd00::ffff:ffff", for: hosts}]}
profiles:
  plain: {nics: {eth0: {subnet: a}}}
  asks: {nics: {eth0: {subnet: a, dhcp4: true}}}
  new: {nics: {eth0: {subnet: six}}}
hosts:
  h1: {profile: plain, nics: {eth0: "00:16:3e:00:00:01"}}
  h2: {profile: plain, nics: {eth0: "00:16:3e:00:00:02"}, addresses: {eth0: 10.0.0.1}}
  h3: {profile: plain, nics: {eth0: "00:16:3e:00:00:03"}}
  h4: {profile: plain, nics: {eth0: "00:16:3e:00:00:04"}}
  h5: {profile: asks, nics: {eth0: "00:16:3e:00:00:05"}}
  h6: {profile: new, nics: {eth0: "00:16:3e:00:00:06"}}
  h7: {reservations: {a: 10.0.0.5}}
  h8: {profile: plain, nics: {eth0: "00:16:3e:00:00:08"}}
  h9: {profile: plain, nics: {eth0: "00:16:3e:00:00:09"}}
"#;

    fn chosen(site: &ResolvedSite) -> Vec<(String, String)> {
        let pair = |made: Assignment| (made.host, made.address.to_string());
        allocate(site).into_iter().map(pair).collect()
    }

    #[test]
    fn hosts_get_the_next_free_address_and_nothing_that_is_spoken_for() {
        let site: ResolvedSite = serde_saphyr::from_str(SITE).unwrap();
        let expected = [
            ("h1", "10.0.0.2"),
            ("h3", "10.0.0.6"),
            ("h4", "10.0.0.10"),
            ("h6", "fd00::10"),
            ("h8", "10.0.0.11"),
        ];
        assert_eq!(chosen(&site), expected.map(|(host, address)| (host.into(), address.into())));
    }

    #[test]
    fn what_was_chosen_stays() {
        let mut site: ResolvedSite = serde_saphyr::from_str(SITE).unwrap();
        for made in allocate(&site) {
            let host = site.hosts.get_mut(&made.host).unwrap();
            host.addresses.insert(made.link, made.address);
        }
        let before = site.clone();
        assert_eq!(chosen(&site), []);
        site.hosts.remove("h1");
        assert_eq!(chosen(&site), [("h9".to_owned(), "10.0.0.2".to_owned())]);
        assert_eq!(before.hosts["h3"], site.hosts["h3"]);
    }

    #[test]
    fn four_thousand_hosts_get_two_addresses_each_and_no_two_the_same() {
        let mut site: ResolvedSite = serde_saphyr::from_str(
            r#"
subnets:
  a: {cidr: 10.0.0.0/16, ranges: [{from: 10.0.0.1, to: 10.0.255.254, for: hosts}]}
  b: {cidr: 10.1.0.0/16, ranges: [{from: 10.1.0.1, to: 10.1.15.160, for: hosts}]}
profiles:
  two: {nics: {eth0: {subnet: a}, eth1: {subnet: b}}}
"#,
        )
        .unwrap();
        for number in 0..4000 {
            let host = Host { profile: Some("two".into()), ..Host::default() };
            site.hosts.insert(format!("h{number:04}"), host);
        }
        let made = allocate(&site);
        let addresses: HashSet<IpAddr> = made.iter().map(|made| made.address).collect();
        assert_eq!((made.len(), addresses.len()), (8000, 8000));
        let of =
            |made: &Assignment| (made.host.clone(), made.link.clone(), made.address.to_string());
        let expect =
            |host: &str, link: &str, address: &str| (host.into(), link.into(), address.into());
        assert_eq!(of(&made[0]), expect("h0000", "eth0", "10.0.0.1"));
        assert_eq!(of(&made[1]), expect("h0000", "eth1", "10.1.0.1"));
        assert_eq!(of(&made[7998]), expect("h3999", "eth0", "10.0.15.160"));
        assert_eq!(of(&made[7999]), expect("h3999", "eth1", "10.1.15.160"));
    }
}
