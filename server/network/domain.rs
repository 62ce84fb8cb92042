//! Which routing domain of the fabric (VRF) each address of a site is in. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::lower::lower;
use crate::model::Host;
use crate::profile::ResolvedSite;

/// The routing domains of a site's addresses. The empty name is the one that every subnet is
/// in which names no other.
pub struct Domains<'a> {
    site: &'a ResolvedSite,
    /// By host and key of its addresses; only what is elsewhere than in the usual domain.
    links: HashMap<&'a str, BTreeMap<String, &'a str>>,
}

impl<'a> Domains<'a> {
    /// Finds them. A site whose subnets name no domain costs a look at each subnet.
    pub fn of(site: &'a ResolvedSite) -> Self {
        let mut domains = Self { site, links: HashMap::new() };
        if site.subnets.values().any(|subnet| subnet.vrf.is_some()) {
            let of_host = |(name, host)| (str(name), domains.keys(name, host));
            let links = site.hosts.iter().map(of_host).filter(|(_, keys)| !keys.is_empty());
            domains.links = links.collect();
        }
        domains
    }

    fn keys(&self, name: &str, host: &Host) -> BTreeMap<String, &'a str> {
        let network = lower(self.site, name, host);
        let borne = network.links.values().flat_map(|link| &link.layer3.borne);
        let pairs = borne.map(|borne| (borne.key.clone(), self.of_subnet(&borne.subnet)));
        pairs.filter(|(_, domain)| !domain.is_empty()).collect()
    }

    /// The domain that a subnet is in.
    pub fn of_subnet(&self, subnet: &str) -> &'a str {
        let found = self.site.subnets.get(subnet).and_then(|subnet| subnet.vrf.as_deref());
        found.unwrap_or_default()
    }

    /// The domain of the address that `host` has under `key`.
    pub fn of_address(&self, host: &str, key: &str) -> &'a str {
        self.links.get(host).and_then(|keys| keys.get(key)).copied().unwrap_or_default()
    }

    /// The domains of a host's addresses that are in another than the usual one.
    pub fn of_host(&self, host: &str) -> Option<&BTreeMap<String, &'a str>> {
        self.links.get(host)
    }

    /// Every address that a host owns, with its domain and its key: first those of its links,
    /// then those that DHCP keeps for it.
    pub fn owned<'h>(
        &self,
        name: &str,
        host: &'h Host,
    ) -> impl Iterator<Item = (&'static str, &'h String, (&'a str, IpAddr))> {
        let on_link = |(key, address): (&'h String, &IpAddr)| {
            ("addresses", key, (self.of_address(name, key), *address))
        };
        let reserved = |(subnet, address): (&'h String, &IpAddr)| {
            ("reservations", subnet, (self.of_subnet(subnet), *address))
        };
        host.addresses.iter().map(on_link).chain(host.reservations.iter().map(reserved))
    }
}

fn str(text: &String) -> &str {
    text
}
