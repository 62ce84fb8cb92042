//! Leases, offers and free addresses in memory, and the rules that keep one
//! address with one client. Pure: the lease book makes it durable.

mod by_client;
mod facts;
mod filling;
mod site;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;

use indexmap::IndexSet;
use ipnet::Ipv4Net;

use crate::leases::fill::Level;
use crate::leases::pool::Pool;
use crate::model::{ClientKey, Identity, Lease, LeaseState, Mac, NicAddress, Site};

use by_client::ByClient;
pub use site::v4;

/// How many DECLINEs of one client are believed within an hour.
const DECLINES_AN_HOUR: u32 = 3;
/// This many offers to unknown clients are always allowed, however small the pool.
const MIN_STRANGERS: u64 = 16;

/// Keyed by addresses that this server chooses, so that no client can cause collisions.
type ByAddress<T> = HashMap<Ipv4Addr, T, foldhash::fast::RandomState>;
/// See [`ByAddress`].
type Addresses = HashSet<Ipv4Addr, foldhash::fast::RandomState>;

/// Every lease and offer that is known, and which addresses are free.
#[derive(Debug, Default)]
pub struct Table {
    leases: ByAddress<Held>,
    /// The addresses whose lease is over here, and not yet in the database.
    ending: Addresses,
    by_client: ByClient,
    /// When each live lease ends.
    ends: BTreeSet<(i64, Ipv4Addr)>,
    /// As of when it is asked, in Unix seconds.
    now: i64,
    /// Until when expired leases and offers were freed, in Unix seconds.
    ticked: i64,
    offers: ByAddress<HeldOffer>,
    /// By client, and by NIC where a host has several.
    offer_of: HashMap<(ClientKey, Option<NicAddress>), Ipv4Addr>,
    /// Addresses that firmware of this NIC leased last: its operating system may take them over
    /// with another NIC, such as the first one of a bond.
    firmware: ByAddress<CompactNic>,
    /// Offers in the order in which they end.
    offers_end: BTreeSet<(i64, Ipv4Addr)>,
    /// The networks by their first addresses.
    networks: BTreeMap<Ipv4Addr, SubnetPool>,
    /// The fill level of each network that was last reported.
    told: BTreeMap<Ipv4Addr, Level>,
    /// Addresses that hosts own, with the host's name.
    owners: ByAddress<String>,
    /// How often a client found its address in use, and since when it is counted.
    declines: HashMap<ClientKey, (i64, u32)>,
    /// Gateways, resolvers and the addresses of BMCs.
    kept_off: Addresses,
    /// This server's own addresses, by interface.
    own: BTreeMap<String, Vec<Ipv4Addr>>,
    /// How a new client's address is chosen.
    allocation: Allocation,
    /// The addresses of servers that share the database, and until when that is believed.
    peers: HashMap<Ipv4Addr, i64>,
    /// Which host is known by what besides its MACs.
    identities: HashMap<Identity, String>,
    /// Which host has which port of InfiniBand.
    guids: HashMap<NicAddress, String>,
    /// The name of every subnet that has or had a lease.
    subnets: IndexSet<String>,
    revision: Option<i64>,
}

/// How a new client's address is chosen among the free ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocation {
    /// In turn, so that one that was given back rests the longest: for a server that is alone.
    #[default]
    InTurn,
    /// By who the client is: servers that share the pools offer one client the same address, and
    /// two clients different ones, without asking each other.
    ByClient,
}

/// A lease without its address. There may be 100,000: each byte counts.
#[derive(Clone, Debug)]
struct Held {
    client: ClientKey,
    nic: Option<CompactNic>,
    subnet: SubnetNumber,
    state: LeaseState,
    starts_at: i64,
    expires_at: i64,
    taken_over: bool,
}

/// The [identity](NicAddress::identity) of a NIC in less than half of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CompactNic {
    Mac(Mac),
    Guid([u8; 8]),
}

impl From<NicAddress> for CompactNic {
    fn from(nic: NicAddress) -> Self {
        match nic {
            NicAddress::Mac(mac) => Self::Mac(mac),
            NicAddress::Guid(guid) => Self::Guid(guid),
            NicAddress::Ipoib([.., a, b, c, d, e, f, g, h]) => Self::Guid([a, b, c, d, e, f, g, h]),
        }
    }
}

impl From<CompactNic> for NicAddress {
    fn from(nic: CompactNic) -> Self {
        match nic {
            CompactNic::Mac(mac) => Self::Mac(mac),
            CompactNic::Guid(guid) => Self::Guid(guid),
        }
    }
}

/// The place of a subnet's name in `Table::subnets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SubnetNumber(u32);

/// One network's dynamic addresses.
#[derive(Clone, Debug)]
struct SubnetPool {
    net: Ipv4Net,
    pool: Pool,
    /// How many addresses of the pool are hosts' own, or the network's.
    owned: u64,
    /// How many addresses are offered to clients that are in no inventory.
    strangers: u64,
}

impl SubnetPool {
    /// Whether one more stranger may be offered an address: a flood of invented
    /// MACs must leave addresses for hosts.
    fn has_room_for_strangers(&self) -> bool {
        self.strangers < (self.pool.count().0 / 2).max(MIN_STRANGERS)
    }
}

#[derive(Clone, Debug)]
struct HeldOffer {
    client: ClientKey,
    /// None except for a host's NIC.
    nic: Option<NicAddress>,
    until: i64,
}

/// What tells the offers to one client apart: the NIC of a host, and nothing of another client.
fn nic_of(client: &ClientKey, nic: Option<NicAddress>) -> Option<NicAddress> {
    nic.filter(|_| matches!(client, ClientKey::Host(_)))
}

impl Held {
    fn is_live(&self, now: i64) -> bool {
        self.state != LeaseState::Released && self.expires_at > now
    }
}

/// What depends on the time or the site: asked through [`LeaseBook::at`](super::LeaseBook::at), so
/// that it cannot be forgotten to bring the table up to date first.
impl Table {
    /// Whether the same client and NIC already leases the address with at least
    /// three quarters of the time of `wanted` left: one that asks this early is
    /// answered without a write. ROM, iPXE and OS of one boot come within seconds.
    pub fn is_fresh(&self, wanted: &Lease) -> bool {
        let Some(held) = self.leases.get(&wanted.address) else { return false };
        let (left, whole) = (held.expires_at - self.now, wanted.expires_at - self.now);
        let same = held.client == wanted.client && held.nic() == wanted.nic;
        same && held.state == LeaseState::Bound && left * 4 >= whole * 3 && left <= whole
    }

    /// Counts a DECLINE of a client; returns whether it is to be believed.
    /// A client that declines every address would empty the pool.
    pub fn believes_decline(&mut self, client: &ClientKey) -> bool {
        let now = self.now;
        self.declines.retain(|_, (since, _)| now - *since < 3600);
        let (_, count) = self.declines.entry(client.clone()).or_insert((now, 0));
        *count = count.saturating_add(1);
        *count <= DECLINES_AN_HOUR
    }

    /// How many dynamic addresses a network has, and how many of them are free.
    pub fn count(&self, net: Ipv4Net) -> (u64, u64) {
        self.networks.get(&net.network()).map_or((0, 0), |network| network.pool.count())
    }

    /// How many leases run, and how many addresses are in quarantine, by subnet.
    pub fn count_live(&self) -> BTreeMap<(&str, LeaseState), u64> {
        let mut counts = BTreeMap::new();
        for held in self.leases.values().filter(|held| held.is_live(self.now)) {
            *counts.entry((self.subnet(held.subnet), held.state)).or_default() += 1;
        }
        counts
    }
}

impl Table {
    /// No lease and no site yet.
    pub fn new(allocation: Allocation) -> Self {
        Self { allocation, ..Self::default() }
    }

    /// Brings the table up to `now` (Unix seconds) and to a revision of the site: what has run
    /// out by then is free.
    pub(super) fn bring_up_to(&mut self, revision: i64, site: &Site, now: i64) {
        self.set_site(revision, site, now);
        self.tick(now);
    }

    /// Takes in a lease that is durable, or one's end that is. An end that was known before
    /// changes nothing any more: the address may be on offer again by now.
    pub fn put(&mut self, lease: Lease) {
        self.ending.remove(&lease.address);
        let subnet = self.number(&lease.subnet);
        let held = self.leases.get_mut(&lease.address);
        let is_known =
            |held: &&mut Held| held.state != LeaseState::Bound && held.is_same(&lease, subnet);
        match held.filter(is_known) {
            Some(held) => held.starts_at = lease.starts_at,
            None => self.replace(lease),
        }
    }

    /// Takes in the end of a lease that is about to be durable.
    pub fn end(&mut self, lease: Lease) {
        self.ending.insert(lease.address);
        self.replace(lease);
    }

    /// Whether the database may still hold a lease that is over in memory.
    pub fn is_ending(&self, address: Ipv4Addr) -> bool {
        self.ending.contains(&address)
    }

    fn replace(&mut self, lease: Lease) {
        let address = lease.address;
        self.drop_offer(address);
        if lease.state == LeaseState::Bound {
            // An end says nothing of another address, whose lease may be on its way to the disk.
            self.withdraw(&lease.client, lease.nic);
        }
        self.unindex(address);
        if lease.state != LeaseState::Released {
            self.ends.insert((lease.expires_at, address));
        }
        let subnet = self.number(&lease.subnet);
        let Lease { client, nic, state, starts_at, expires_at, taken_over, .. } = lease;
        let nic = nic.map(CompactNic::from);
        self.by_client.insert(&client, address);
        let held = Held { client, nic, subnet, state, starts_at, expires_at, taken_over };
        self.leases.insert(address, held);
        self.mark(address, state == LeaseState::Released);
    }

    /// Forgets the lease of an address, such as a quarantine that is over.
    pub fn forget(&mut self, address: Ipv4Addr) {
        self.unindex(address);
        self.ending.remove(&address);
        self.leases.remove(&address);
        self.firmware.remove(&address);
        self.mark(address, !self.offers.contains_key(&address));
    }

    /// The lease of an address, live or not.
    pub fn find(&self, address: Ipv4Addr) -> Option<Lease> {
        self.leases.get(&address).map(|held| self.lease(address, held))
    }

    /// Every lease, by address.
    pub fn list(&self) -> Vec<Lease> {
        let mut all: Vec<Lease> =
            self.leases.iter().map(|(address, held)| self.lease(*address, held)).collect();
        all.sort_by_key(|lease| lease.address);
        all
    }

    /// Frees what has run out by `now`.
    fn tick(&mut self, now: i64) {
        self.now = now;
        self.ticked = self.ticked.max(now);
        while let Some(&(until, address)) = self.offers_end.first() {
            if until > now {
                break;
            }
            self.drop_offer(address);
        }
        while let Some(&(end, address)) = self.ends.first() {
            if end > now {
                break;
            }
            self.ends.pop_first();
            self.mark(address, !self.offers.contains_key(&address));
        }
    }

    /// Keeps an address for a client and its NIC until `until`. Any other offer to it is dropped.
    pub fn offer(
        &mut self,
        client: &ClientKey,
        asks: Option<NicAddress>,
        address: Ipv4Addr,
        until: i64,
    ) {
        let nic = nic_of(client, asks);
        let is_its = |offer: &&mut HeldOffer| offer.client == *client && offer.nic == nic;
        // A client that takes up an offer has it once more, until its lease is stored.
        if let Some(offer) = self.offers.get_mut(&address).filter(is_its) {
            let before = std::mem::replace(&mut offer.until, until);
            if before != until {
                self.offers_end.remove(&(before, address));
                self.offers_end.insert((until, address));
            }
            return;
        }
        self.withdraw(client, asks);
        self.drop_offer(address);
        self.offer_of.insert((client.clone(), nic), address);
        self.offers.insert(address, HeldOffer { client: client.clone(), nic, until });
        self.offers_end.insert((until, address));
        self.mark(address, false);
        self.count_stranger(client, address, 1);
    }

    /// Whether an address is on offer, or a lease of it is on its way to the disk.
    pub fn is_offered(&self, address: Ipv4Addr) -> bool {
        self.offers.contains_key(&address)
    }

    /// Drops the offer to a client and its NIC, if there is one.
    pub fn withdraw(&mut self, client: &ClientKey, nic: Option<NicAddress>) {
        let offered = self.offer_of.get(&(client.clone(), nic_of(client, nic))).copied();
        if let Some(address) = offered {
            self.drop_offer(address);
        }
    }

    /// Notes whether firmware leases an address, or an operating system.
    pub(crate) fn note_firmware(&mut self, address: Ipv4Addr, firmware: Option<NicAddress>) {
        match firmware {
            Some(nic) => self.firmware.insert(address, nic.into()),
            None => self.firmware.remove(&address),
        };
    }

    /// The other running leases of a client's NIC in a network: it uses them no longer once it has
    /// taken `address`.
    pub(crate) fn left_behind(
        &self,
        client: &ClientKey,
        nic: Option<NicAddress>,
        address: Ipv4Addr,
        net: Ipv4Net,
    ) -> Vec<Lease> {
        let others = self.by_client.find(client).filter(|it| *it != address && net.contains(it));
        let running = others.filter_map(|other| Some((other, self.leases.get(&other)?)));
        running
            .filter(|(_, held)| held.client == *client && held.nic() == nic)
            .filter(|(_, held)| held.state == LeaseState::Bound && held.is_live(self.ticked))
            .map(|(other, held)| self.lease(other, held))
            .collect()
    }

    /// When the lease began that runs on an address at `now`, if one does.
    pub fn running_since(&self, address: Ipv4Addr, now: i64) -> Option<i64> {
        let held = self.leases.get(&address)?;
        (held.state == LeaseState::Bound && held.expires_at > now).then_some(held.starts_at)
    }

    /// The name of the host that owns an address.
    pub fn owner(&self, address: Ipv4Addr) -> Option<&str> {
        self.owners.get(&address).map(String::as_str)
    }

    /// Whether a lease of the address runs, as of the last session.
    fn is_leased(&self, address: Ipv4Addr) -> bool {
        self.leases.get(&address).is_some_and(|held| held.is_live(self.ticked))
    }

    fn is_free(&self, address: Ipv4Addr) -> bool {
        self.pool_around(address).is_some_and(|pool| pool.is_free(address))
    }

    /// The pool of the network that the address is in.
    fn pool_around(&self, address: Ipv4Addr) -> Option<&Pool> {
        let mut below = self.networks.range(..=address).rev().map(|(_, network)| network);
        below.find(|network| network.net.contains(&address)).map(|network| &network.pool)
    }

    fn network_around(&mut self, address: Ipv4Addr) -> Option<&mut SubnetPool> {
        let mut below = self.networks.range_mut(..=address).rev().map(|(_, network)| network);
        below.find(|network| network.net.contains(&address))
    }

    /// Whether the address belongs to the network itself.
    fn is_kept_off(&self, address: Ipv4Addr) -> bool {
        self.kept_off.contains(&address) || self.is_own(address)
    }

    /// Marks an address in its pool, where its owner and use allow it to be free at all.
    fn mark(&mut self, address: Ipv4Addr, free: bool) {
        let free = free && !self.owners.contains_key(&address) && !self.is_kept_off(address);
        if let Some(network) = self.network_around(address) {
            network.pool.set_free(address, free);
        }
    }

    fn count_stranger(&mut self, client: &ClientKey, address: Ipv4Addr, change: i64) {
        if let (false, Some(network)) =
            (matches!(client, ClientKey::Host(_)), self.network_around(address))
        {
            network.strangers = network.strangers.saturating_add_signed(change);
        }
    }

    fn drop_offer(&mut self, address: Ipv4Addr) {
        if let Some(offer) = self.offers.remove(&address) {
            self.offer_of.remove(&(offer.client.clone(), offer.nic));
            self.offers_end.remove(&(offer.until, address));
            self.count_stranger(&offer.client, address, -1);
            self.mark(address, !self.is_leased(address));
        }
    }

    fn unindex(&mut self, address: Ipv4Addr) {
        if let Some(held) = self.leases.get(&address) {
            self.by_client.remove(&held.client, address);
            self.ends.remove(&(held.expires_at, address));
        }
    }

    /// The number of a subnet, by its name.
    fn number(&mut self, name: &str) -> SubnetNumber {
        let place = self.subnets.get_index_of(name);
        let place = place.unwrap_or_else(|| self.subnets.insert_full(name.to_owned()).0);
        SubnetNumber(place as u32)
    }

    /// The name of a subnet.
    fn subnet(&self, number: SubnetNumber) -> &str {
        self.subnets.get_index(number.0 as usize).map_or("", String::as_str)
    }

    fn lease(&self, address: Ipv4Addr, held: &Held) -> Lease {
        Lease {
            address,
            client: held.client.clone(),
            nic: held.nic(),
            subnet: self.subnet(held.subnet).to_owned(),
            state: held.state,
            starts_at: held.starts_at,
            expires_at: held.expires_at,
            taken_over: held.taken_over,
        }
    }
}

impl Held {
    fn nic(&self) -> Option<NicAddress> {
        self.nic.map(NicAddress::from)
    }

    /// Whether a lease of the same address, and of this subnet, is this one, whenever it began.
    fn is_same(&self, lease: &Lease, subnet: SubnetNumber) -> bool {
        let Lease { client, nic, state, expires_at, .. } = lease;
        (&self.client, self.nic(), self.subnet) == (client, *nic, subnet)
            && (self.state, self.expires_at) == (*state, *expires_at)
    }
}

#[cfg(test)]
mod tests;
