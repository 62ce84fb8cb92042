//! Which subnets of a site an IPv4 address is in, without a look at each. Pure.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use foldhash::fast::RandomState;
use ipnet::{IpNet, Ipv4Net};

use super::{Site, Subnet};

/// The names of a site's IPv4 subnets by their prefixes. A lookup costs one step for each
/// length of prefix that there is, however many racks have a subnet of that length. A subnet that
/// overlaps one of another VRF is left out: an address alone does not say which of them it is in.
#[derive(Clone, Debug, Default)]
pub struct SubnetIndex {
    lengths: Vec<u8>,
    names: HashMap<Ipv4Net, Vec<String>, RandomState>,
}

impl SubnetIndex {
    /// Makes the index of a site.
    pub fn new(site: &Site) -> Self {
        let mut index = Self::default();
        let ambiguous = ambiguous(site);
        for (name, subnet) in &site.subnets {
            if let IpNet::V4(net) = subnet.cidr
                && !ambiguous.contains(name.as_str())
            {
                index.names.entry(net.trunc()).or_default().push(name.clone());
            }
        }
        index.lengths = index.names.keys().map(Ipv4Net::prefix_len).collect();
        index.lengths.sort_unstable();
        index.lengths.dedup();
        index
    }

    /// The names of the subnets around an address, those with the shortest prefix first.
    pub fn around(&self, address: Ipv4Addr) -> impl Iterator<Item = &str> {
        let nets = self.lengths.iter().filter_map(move |length| {
            let net = Ipv4Net::new(address, *length).ok()?;
            self.names.get(&net.trunc())
        });
        nets.flatten().map(String::as_str)
    }
}

/// The subnets that overlap one of another VRF.
fn ambiguous(site: &Site) -> HashSet<&str> {
    let mut found = HashSet::new();
    if site.subnets.values().all(|subnet| subnet.vrf.is_none()) {
        return found;
    }
    let mut subnets: Vec<(&String, &Subnet)> = site.subnets.iter().collect();
    subnets.sort_by_key(|(_, subnet)| (subnet.cidr.network(), subnet.cidr.prefix_len()));
    // Prefixes are nested or apart: these are the ones around the present one.
    let mut around: Vec<(&String, &Subnet)> = Vec::new();
    for (name, subnet) in subnets {
        around.retain(|(_, other)| other.cidr.trunc().contains(&subnet.cidr.trunc()));
        for (other, _) in around.iter().filter(|(_, other)| other.vrf != subnet.vrf) {
            found.extend([name.as_str(), other.as_str()]);
        }
        around.push((name, subnet));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_that_overlaps_one_of_another_vrf_is_left_out() {
        let site = "{subnets: {a: {cidr: 10.0.0.0/24, vrf: red}, b: {cidr: 10.0.0.0/24}, \
                    c: {cidr: 10.0.1.0/24, vrf: red}, d: {cidr: 10.0.0.0/25, vrf: red}, \
                    e: {cidr: 10.0.1.0/25, vrf: red}, f: {cidr: 10.0.2.0/24, vrf: blue}, \
                    g: {cidr: 10.0.2.64/26, vrf: blue}, h: {cidr: 10.0.2.128/26}}}";
        let site: Site = serde_saphyr::from_str(site).unwrap();
        let index = SubnetIndex::new(&site);
        let around = |address: [u8; 4]| index.around(address.into()).collect::<Vec<_>>();
        assert_eq!(around([10, 0, 0, 7]), [""; 0]);
        assert_eq!(around([10, 0, 1, 7]), ["c", "e"]);
        assert_eq!(around([10, 0, 2, 70]), ["g"]);
        assert_eq!(around([10, 0, 2, 130]), [""; 0]);
    }

    fn index(subnets: &[(&str, &str)]) -> SubnetIndex {
        let subnet = |cidr| serde_json::from_value(serde_json::json!({ "cidr": cidr })).unwrap();
        let subnets = subnets.iter().map(|(name, cidr)| ((*name).to_owned(), subnet(cidr)));
        SubnetIndex::new(&Site { subnets: subnets.collect(), ..Site::default() })
    }

    #[test]
    fn an_address_is_in_every_subnet_whose_prefix_fits() {
        let subnets = index(&[
            ("all", "10.0.0.0/8"),
            ("host", "10.1.0.7/32"),
            ("rack1", "10.1.0.0/24"),
            ("rack2", "10.1.1.0/24"),
            ("six", "2001:db8::/64"),
            ("twin", "10.1.0.0/24"),
        ]);
        let cases: [(&str, &[&str]); 5] = [
            ("10.1.0.7", &["all", "rack1", "twin", "host"]),
            ("10.1.0.255", &["all", "rack1", "twin"]),
            ("10.1.1.0", &["all", "rack2"]),
            ("10.255.0.1", &["all"]),
            ("11.0.0.1", &[]),
        ];
        for (address, expected) in cases {
            let around: Vec<&str> = subnets.around(address.parse().unwrap()).collect();
            assert_eq!(around, expected, "{address}");
        }
        let everything = index(&[("any", "0.0.0.0/0")]);
        assert_eq!(everything.around(Ipv4Addr::BROADCAST).next(), Some("any"));
    }
}
