//! What the table takes from the site: pools, owners, and who its clients are. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use super::{Held, Network, Table};
use crate::dhcp::pool::Pool;
use crate::model::{ClientKey, Host, Site, Subnet};

impl Table {
    /// Takes in a site if it is another than before: pools, who owns what, and
    /// who the clients of the leases are now.
    pub fn set_site(&mut self, revision: i64, site: &Site, now: i64) {
        if self.revision == Some(revision) {
            return;
        }
        self.revision = Some(revision);
        self.owners = owners(site);
        self.kept_off = kept_off(site);
        self.networks = networks(site);
        self.rename_clients(site);
        self.mark_all(now);
    }

    /// Sets this server's own addresses on an interface, which no client may have.
    pub fn set_own_addresses(&mut self, interface: &str, own: Vec<Ipv4Addr>) {
        let new = own.clone();
        let before = self.own.insert(interface.to_owned(), own).unwrap_or_default();
        for address in new.into_iter().chain(before) {
            self.mark(address, !self.is_leased(address) && !self.offers.contains_key(&address));
        }
    }

    /// Whether an address is this server's own.
    pub fn is_own(&self, address: Ipv4Addr) -> bool {
        self.own.values().flatten().any(|own| *own == address)
    }

    /// Marks everything that is not free in new pools.
    fn mark_all(&mut self, now: i64) {
        let live = self.leases.iter().filter(|(_, held)| held.is_live(now));
        let mut taken: Vec<Ipv4Addr> = live.map(|(address, _)| *address).collect();
        taken.extend(self.offers.keys());
        taken.extend(self.owners.keys());
        taken.extend(&self.kept_off);
        taken.extend(self.own.values().flatten());
        for address in taken {
            self.mark(address, false);
        }
        self.count_strangers();
    }

    /// Counts the offers to strangers anew.
    fn count_strangers(&mut self) {
        self.networks.values_mut().for_each(|network| network.strangers = 0);
        let offers: Vec<_> =
            self.offers.iter().map(|(address, offer)| (offer.client.clone(), *address)).collect();
        for (client, address) in offers {
            self.count_stranger(&client, address, 1);
        }
    }

    /// A host that was added, renamed or removed keeps what its MAC leases.
    fn rename_clients(&mut self, site: &Site) {
        let hosts = site.mac_index();
        let client_of = |held: &Held| match (&held.client, hosts.get(&held.mac)) {
            (ClientKey::Id(_), _) => None,
            (_, Some(host)) => Some(ClientKey::Host(host.clone())),
            (ClientKey::Host(name), None) if !site.hosts.contains_key(name) => {
                Some(ClientKey::Mac(held.mac))
            }
            _ => None,
        };
        for held in self.leases.values_mut() {
            if let Some(client) = client_of(held) {
                held.client = client;
            }
        }
        let clients = self.leases.iter().map(|(address, held)| (held.client.clone(), *address));
        self.by_client = clients.collect();
    }
}

fn owners(site: &Site) -> HashMap<Ipv4Addr, String> {
    let of_host = |(name, host): (&String, &Host)| {
        let addresses = host.addresses.values().chain(host.reservations.values());
        addresses.filter_map(|address| Some((v4(*address)?, name.clone()))).collect::<Vec<_>>()
    };
    site.hosts.iter().flat_map(of_host).collect()
}

fn kept_off(site: &Site) -> HashSet<Ipv4Addr> {
    let of_subnet = |subnet: &Subnet| {
        let resolvers = subnet.dns.iter().map(|server| server.address);
        subnet.gateway.into_iter().chain(resolvers).filter_map(v4).collect::<Vec<_>>()
    };
    site.subnets.values().flat_map(of_subnet).collect()
}

fn networks(site: &Site) -> BTreeMap<Ipv4Addr, Network> {
    let network = |subnet: &Subnet| match subnet.cidr {
        ipnet::IpNet::V4(net) => {
            let (net, pool) = (net.trunc(), Pool::new(subnet));
            Some((net.network(), Network { net, pool, strangers: 0 }))
        }
        ipnet::IpNet::V6(_) => None,
    };
    site.subnets.values().filter_map(network).collect()
}

/// The IPv4 address, if it is one.
pub fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
