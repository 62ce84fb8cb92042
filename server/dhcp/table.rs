//! Leases, offers and free addresses in memory, and the rules that keep one
//! address with one client. Pure: the lease book makes it durable.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::decide::Facts;
use super::pool::Pool;
use crate::model::{ClientKey, Host, Lease, LeaseState, Mac, Site, Subnet};

/// Every lease and offer that is known, and which addresses are free.
#[derive(Debug, Default)]
pub struct Table {
    leases: HashMap<Ipv4Addr, Held>,
    /// The addresses of `leases` by client.
    by_client: BTreeSet<(ClientKey, Ipv4Addr)>,
    /// When each live lease ends.
    ends: BTreeSet<(i64, Ipv4Addr)>,
    offers: HashMap<Ipv4Addr, Offer>,
    offer_of: HashMap<ClientKey, Ipv4Addr>,
    /// Offers in the order in which they end.
    offers_end: VecDeque<(i64, Ipv4Addr)>,
    /// The pool of each network, by its first address.
    pools: BTreeMap<Ipv4Addr, (Ipv4Net, Pool)>,
    /// Addresses that hosts own, with the host's name.
    owners: HashMap<Ipv4Addr, String>,
    /// Gateways, resolvers and this server's own addresses.
    kept_off: HashSet<Ipv4Addr>,
    own: Vec<Ipv4Addr>,
    names: HashSet<Arc<str>>,
    revision: Option<i64>,
}

/// A lease without its address.
#[derive(Clone, Debug)]
struct Held {
    client: ClientKey,
    mac: Mac,
    subnet: Arc<str>,
    state: LeaseState,
    starts_at: i64,
    expires_at: i64,
}

#[derive(Clone, Debug)]
struct Offer {
    client: ClientKey,
    until: i64,
}

/// Who asks, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Who.
    pub client: &'a ClientKey,
    /// The address that it owns on this subnet.
    pub reserved: Option<Ipv4Addr>,
    /// The address that its message speaks of.
    pub requested: Option<Ipv4Addr>,
    /// Whether it may have a dynamic address.
    pub may_lease: bool,
}

impl Held {
    fn is_live(&self, now: i64) -> bool {
        self.state != LeaseState::Released && self.expires_at > now
    }
}

impl Table {
    /// Takes in a lease that is durable.
    pub fn put(&mut self, lease: Lease) {
        let address = lease.address;
        self.drop_offer(address);
        self.withdraw(&lease.client);
        self.unindex(address);
        self.by_client.insert((lease.client.clone(), address));
        if lease.state != LeaseState::Released {
            self.ends.insert((lease.expires_at, address));
        }
        let subnet = self.name(&lease.subnet);
        let Lease { client, mac, state, starts_at, expires_at, .. } = lease;
        self.leases.insert(address, Held { client, mac, subnet, state, starts_at, expires_at });
        self.mark(address, lease.state == LeaseState::Released);
    }

    /// Forgets the lease of an address, such as a quarantine that is over.
    pub fn forget(&mut self, address: Ipv4Addr) {
        self.unindex(address);
        self.leases.remove(&address);
        self.mark(address, !self.offers.contains_key(&address));
    }

    /// The lease of an address, live or not.
    pub fn find(&self, address: Ipv4Addr) -> Option<Lease> {
        self.leases.get(&address).map(|held| held.as_lease(address))
    }

    /// Every lease, by address.
    pub fn list(&self) -> Vec<Lease> {
        let mut all: Vec<Lease> =
            self.leases.iter().map(|(address, held)| held.as_lease(*address)).collect();
        all.sort_by_key(|lease| lease.address);
        all
    }

    /// Takes in a site if it is another than before: pools, who owns what, and
    /// who the clients of the leases are now.
    pub fn set_site(&mut self, revision: i64, site: &Site, now: i64) {
        if self.revision == Some(revision) {
            return;
        }
        self.revision = Some(revision);
        self.owners = owners(site);
        self.kept_off = kept_off(site);
        self.kept_off.extend(&self.own);
        self.pools = pools(site);
        self.rename_clients(site);
        self.mark_all(now);
    }

    /// Sets this server's own addresses, which no client may have.
    pub fn set_own_addresses(&mut self, own: Vec<Ipv4Addr>, now: i64) {
        if self.own == own {
            return;
        }
        self.own = own;
        self.kept_off.extend(&self.own);
        self.mark_all(now);
    }

    /// This server's own addresses.
    pub fn own_addresses(&self) -> &[Ipv4Addr] {
        &self.own
    }

    /// Frees what has run out by `now`.
    pub fn tick(&mut self, now: i64) {
        while let Some(&(until, address)) = self.offers_end.front() {
            if until > now {
                break;
            }
            self.offers_end.pop_front();
            // An offer that was renewed has a later entry of its own.
            if self.offers.get(&address).is_some_and(|offer| offer.until <= now) {
                self.drop_offer(address);
            }
        }
        while let Some(&(end, address)) = self.ends.first() {
            if end > now {
                break;
            }
            self.ends.pop_first();
            self.mark(address, !self.offers.contains_key(&address));
        }
    }

    /// What is known about a client in a network. `tick` must have run for `now`.
    pub fn facts(&mut self, asker: &Asker<'_>, net: Ipv4Net, now: i64) -> Facts {
        let client = asker.client;
        let reserved = asker.reserved.filter(|address| self.is_open_to(*address, client, now));
        let mut facts = Facts { reserved, may_lease: asker.may_lease, ..Facts::default() };
        facts.known = asker.reserved.is_some();
        for address in self.addresses_of(client) {
            let Some(held) = self.leases.get(&address) else { continue };
            facts.known |= held.state != LeaseState::Declined;
            let live = held.state == LeaseState::Bound && held.is_live(now);
            facts.holds_requested |= live && asker.requested == Some(address);
            if !net.contains(&address) || !self.is_usable(address, asker) {
                continue;
            }
            if live {
                let wanted = facts.leased.filter(|leased| asker.requested == Some(*leased));
                facts.leased = wanted.or(Some(address));
            } else if self.is_free(address) {
                facts.previous = Some(address);
            }
        }
        let offered = self.offer_of.get(client).copied();
        facts.offered =
            offered.filter(|address| net.contains(address) && self.is_usable(*address, asker));
        let requested = asker.requested.filter(|address| net.contains(address));
        facts.requested_is_free = requested.is_some_and(|address| self.is_free(address));
        if facts.leased.or(facts.offered).is_none() {
            facts.free = self.pool_of(net).and_then(Pool::next_free);
        }
        facts
    }

    /// Keeps an address for a client until `until`. Any other offer to it is dropped.
    pub fn offer(&mut self, client: &ClientKey, address: Ipv4Addr, until: i64) {
        if self.offer_of.get(client).is_some_and(|offered| *offered != address) {
            self.withdraw(client);
        }
        self.offer_of.insert(client.clone(), address);
        self.offers.insert(address, Offer { client: client.clone(), until });
        self.offers_end.push_back((until, address));
        self.mark(address, false);
    }

    /// Drops the offer to a client, if there is one.
    pub fn withdraw(&mut self, client: &ClientKey) {
        if let Some(address) = self.offer_of.get(client).copied() {
            self.drop_offer(address);
        }
    }

    /// Whether the same client and NIC already leases the address with at least
    /// three quarters of the time of `wanted` left: one that asks this early is
    /// answered without a write. ROM, iPXE and OS of one boot come within seconds.
    pub fn is_fresh(&self, wanted: &Lease, now: i64) -> bool {
        let Some(held) = self.leases.get(&wanted.address) else { return false };
        let (left, whole) = (held.expires_at - now, wanted.expires_at - now);
        let same = held.client == wanted.client && held.mac == wanted.mac;
        same && held.state == LeaseState::Bound && left * 4 >= whole * 3 && left <= whole
    }

    /// The name of the host that owns an address.
    pub fn owner(&self, address: Ipv4Addr) -> Option<&str> {
        self.owners.get(&address).map(String::as_str)
    }

    /// How many dynamic addresses a network has, and how many of them are free.
    pub fn count(&self, net: Ipv4Net) -> (u64, u64) {
        self.pools.get(&net.network()).map_or((0, 0), |(_, pool)| pool.count())
    }

    /// Whether no other client holds the address.
    fn is_open_to(&self, address: Ipv4Addr, client: &ClientKey, now: i64) -> bool {
        let lease = self.leases.get(&address).filter(|held| held.is_live(now));
        let offer = self.offers.get(&address).filter(|offer| offer.until > now);
        lease.is_none_or(|held| held.client == *client && held.state == LeaseState::Bound)
            && offer.is_none_or(|offer| offer.client == *client)
    }

    /// Whether the site still lets the client have the address.
    fn is_usable(&self, address: Ipv4Addr, asker: &Asker<'_>) -> bool {
        asker.reserved == Some(address)
            || (asker.may_lease
                && !self.owners.contains_key(&address)
                && !self.kept_off.contains(&address)
                && self.pool_around(address).is_some_and(|pool| pool.contains(address)))
    }

    /// Whether a lease of the address runs, as of the last `tick`.
    fn is_leased(&self, address: Ipv4Addr) -> bool {
        self.leases
            .get(&address)
            .is_some_and(|held| self.ends.contains(&(held.expires_at, address)))
    }

    fn is_free(&self, address: Ipv4Addr) -> bool {
        self.pool_around(address).is_some_and(|pool| pool.is_free(address))
    }

    /// The pool of the network that the address is in.
    fn pool_around(&self, address: Ipv4Addr) -> Option<&Pool> {
        let below = self.pools.range(..=address).rev();
        below.map(|(_, entry)| entry).find(|(net, _)| net.contains(&address)).map(|(_, pool)| pool)
    }

    fn addresses_of(&self, client: &ClientKey) -> Vec<Ipv4Addr> {
        let from = (client.clone(), Ipv4Addr::UNSPECIFIED);
        let range = self.by_client.range(from..);
        range.take_while(|(of, _)| of == client).map(|(_, address)| *address).collect()
    }

    fn pool_of(&mut self, net: Ipv4Net) -> Option<&mut Pool> {
        self.pools.get_mut(&net.network()).map(|(_, pool)| pool)
    }

    /// Marks an address in its pool, where its owner and use allow it to be free at all.
    fn mark(&mut self, address: Ipv4Addr, free: bool) {
        let free = free && !self.owners.contains_key(&address) && !self.kept_off.contains(&address);
        let mut below = self.pools.range_mut(..=address).rev().map(|(_, entry)| entry);
        if let Some((_, pool)) = below.find(|(net, _)| net.contains(&address)) {
            pool.set_free(address, free);
        }
    }

    /// Marks everything that is not free in new pools.
    fn mark_all(&mut self, now: i64) {
        let live = self.leases.iter().filter(|(_, held)| held.is_live(now));
        let mut taken: Vec<Ipv4Addr> = live.map(|(address, _)| *address).collect();
        taken.extend(self.offers.keys());
        taken.extend(self.owners.keys());
        taken.extend(&self.kept_off);
        for address in taken {
            self.mark(address, false);
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

    fn drop_offer(&mut self, address: Ipv4Addr) {
        if let Some(offer) = self.offers.remove(&address) {
            self.offer_of.remove(&offer.client);
            self.mark(address, !self.is_leased(address));
        }
    }

    fn unindex(&mut self, address: Ipv4Addr) {
        if let Some(held) = self.leases.get(&address) {
            self.by_client.remove(&(held.client.clone(), address));
            self.ends.remove(&(held.expires_at, address));
        }
    }

    /// One shared copy of each subnet's name.
    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }
}

impl Held {
    fn as_lease(&self, address: Ipv4Addr) -> Lease {
        Lease {
            address,
            client: self.client.clone(),
            mac: self.mac,
            subnet: self.subnet.to_string(),
            state: self.state,
            starts_at: self.starts_at,
            expires_at: self.expires_at,
        }
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

fn pools(site: &Site) -> BTreeMap<Ipv4Addr, (Ipv4Net, Pool)> {
    let pool = |subnet: &Subnet| match subnet.cidr {
        ipnet::IpNet::V4(net) => Some((net.network(), (net.trunc(), Pool::new(subnet)))),
        ipnet::IpNet::V6(_) => None,
    };
    site.subnets.values().filter_map(pool).collect()
}

/// The IPv4 address, if it is one.
pub fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests;
