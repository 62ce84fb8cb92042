//! What the table takes from the site: pools, owners, and who its clients are. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::by_client::ByClient;
use super::{Addresses, ByAddress, Held, SubnetPool, Table};
use crate::leases::pool::Pool;
use crate::model::{ClientKey, Host, Identity, Mac, NicAddress, Octets, Site, Subnet};

impl Table {
    /// Takes in a site if it is another than before: pools, who owns what, and
    /// who the clients of the leases are now.
    pub(super) fn set_site(&mut self, revision: i64, site: &Site, now: i64) {
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

    /// This server's own addresses.
    pub fn own_addresses(&self) -> Vec<Ipv4Addr> {
        self.own.values().flatten().copied().collect()
    }

    /// Notes that servers on the same database have these addresses, until `until`.
    pub fn note_peers(&mut self, peers: Vec<Ipv4Addr>, until: i64) {
        self.peers.extend(peers.into_iter().map(|peer| (peer, until)));
    }

    /// Whether an address is that of a server on the same database.
    pub fn is_peer(&self, address: Ipv4Addr, now: i64) -> bool {
        self.peers.get(&address).is_some_and(|until| *until > now)
    }

    /// Whether an address is this server's own.
    pub fn is_own(&self, address: Ipv4Addr) -> bool {
        self.own.values().flatten().any(|own| *own == address)
    }

    /// Marks everything that is not free in new pools.
    fn mark_all(&mut self, now: i64) {
        let mut owned: Vec<Ipv4Addr> = self.owners.keys().copied().collect();
        owned.extend(&self.kept_off);
        owned.extend(self.own.values().flatten());
        owned.into_iter().for_each(|address| self.mark(address, false));
        self.networks.values_mut().for_each(SubnetPool::count_owned);
        let live = self.leases.iter().filter(|(_, held)| held.is_live(now));
        let mut taken: Vec<Ipv4Addr> = live.map(|(address, _)| *address).collect();
        taken.extend(self.offers.keys());
        taken.into_iter().for_each(|address| self.mark(address, false));
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

    /// A host that was added, renamed or removed keeps what its MAC leases, and one that is
    /// known by something else what it leases by that.
    fn rename_clients(&mut self, site: &Site) {
        let hosts = site.nic_index();
        let guids = hosts.iter().filter(|(nic, _)| nic.is_infiniband());
        let guids = guids.map(|(nic, host)| (*nic, host.clone())).collect();
        let guids_before = std::mem::replace(&mut self.guids, guids);
        let before = std::mem::replace(&mut self.identities, site.identity_index());
        let now_called = |name: &str| {
            let mut its = before.iter().filter(|(_, host)| *host == name).map(|(it, _)| it);
            let renamed = its.find_map(|identity| self.identities.get(identity));
            renamed.or_else(|| {
                let mut its = guids_before.iter().filter(|(_, host)| *host == name);
                its.find_map(|(guid, _)| self.guids.get(guid))
            })
        };
        let client_of =
            |held: &Held| match (&held.client, held.nic().and_then(|nic| hosts.get(&nic))) {
                (_, Some(host)) => Some(ClientKey::Host(host.clone())),
                (ClientKey::Host(name), None) if !site.hosts.contains_key(name) => {
                    let renamed = now_called(name).cloned().map(ClientKey::Host);
                    let stranger = held.nic().unwrap_or(NicAddress::Mac(Mac([0; 6]))).into();
                    Some(renamed.unwrap_or(stranger))
                }
                (ClientKey::Id(id), None) => {
                    let id = octets(id)?;
                    // That of an InfiniBand port ends with its GUID.
                    let guid = id.last_chunk().map(|guid| NicAddress::Guid(*guid));
                    let known = guid.and_then(|guid| self.guids.get(&guid));
                    let known = known.or_else(|| self.identities.get(&Identity::ClientId(id)));
                    known.cloned().map(ClientKey::Host)
                }
                _ => None,
            };
        for held in self.leases.values_mut() {
            if let Some(client) = client_of(held) {
                held.client = client;
            }
        }
        self.by_client = ByClient::default();
        for (address, held) in &self.leases {
            self.by_client.insert(&held.client, *address);
        }
    }
}

/// The bytes of a client identifier that is kept in hexadecimal.
fn octets(hexadecimal: &str) -> Option<Vec<u8>> {
    format!("hex:{hexadecimal}").parse::<Octets>().ok().map(|octets| octets.0)
}

fn owners(site: &Site) -> ByAddress<String> {
    let of_host = |(name, host): (&String, &Host)| {
        let addresses = host.addresses.values().chain(host.reservations.values());
        addresses.filter_map(|address| Some((v4(*address)?, name.clone()))).collect::<Vec<_>>()
    };
    site.hosts.iter().flat_map(of_host).collect()
}

fn kept_off(site: &Site) -> Addresses {
    let of_subnet = |subnet: &Subnet| {
        let resolvers = subnet.dns.iter().map(|server| server.address);
        subnet.gateway.into_iter().chain(resolvers).filter_map(v4).collect::<Vec<_>>()
    };
    let bmcs = site.hosts.values().filter_map(|host| host.bmc.as_ref()?.address);
    let bmcs = bmcs.filter_map(v4).collect::<Vec<_>>();
    site.subnets.values().flat_map(of_subnet).chain(bmcs).collect()
}

fn networks(site: &Site) -> BTreeMap<Ipv4Addr, SubnetPool> {
    let network = |subnet: &Subnet| match subnet.cidr {
        ipnet::IpNet::V4(net) => {
            let (net, pool) = (net.trunc(), Pool::new(subnet));
            Some((net.network(), SubnetPool { net, pool, owned: 0, strangers: 0 }))
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
