//! What a decision must know of one client, read out of the table. Pure.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use smallvec::SmallVec;

use super::{Session, Table};
use crate::leases::facts::LeaseFacts;
use crate::model::{ClientKey, LeaseState};

impl Session<'_> {
    /// Completes what is known about a client in a subnet of prefix `net`.
    pub fn complete(&mut self, asked: LeaseFacts, client: &ClientKey, net: Ipv4Net) -> LeaseFacts {
        let now = self.now;
        let mut facts = asked;
        facts.reserved = asked.reserved.filter(|address| self.is_open_to(*address, client, now));
        facts.known = asked.reserved.is_some();
        for address in self.addresses_of(client) {
            let Some(held) = self.leases.get(&address) else { continue };
            facts.known |= held.state != LeaseState::Declined;
            let live = held.state == LeaseState::Bound && held.is_live(now);
            facts.holds_requested |= live && asked.requested == Some(address);
            if !net.contains(&address) || !self.is_usable(address, &asked) {
                continue;
            }
            if live {
                let requested = facts.leased.filter(|leased| asked.requested == Some(*leased));
                facts.leased = requested.or(Some(address));
            } else if self.is_free(address) {
                facts.previous = Some(address);
            }
        }
        let offered = self.offer_of.get(client).copied();
        facts.offered =
            offered.filter(|address| net.contains(address) && self.is_usable(*address, &asked));
        let requested = asked.requested.filter(|address| net.contains(address));
        facts.requested_is_free = requested.is_some_and(|address| self.is_free(address));
        if facts.leased.or(facts.offered).is_none() {
            let stranger = !matches!(client, ClientKey::Host(_));
            let network = self.networks.get_mut(&net.network());
            facts.free = network
                .filter(|network| !stranger || network.has_room_for_strangers())
                .and_then(|network| network.pool.next_free());
        }
        facts
    }
}

impl Table {
    /// Whether no other client holds the address.
    fn is_open_to(&self, address: Ipv4Addr, client: &ClientKey, now: i64) -> bool {
        let lease = self.leases.get(&address).filter(|held| held.is_live(now));
        let offer = self.offers.get(&address).filter(|offer| offer.until > now);
        lease.is_none_or(|held| held.client == *client && held.state == LeaseState::Bound)
            && offer.is_none_or(|offer| offer.client == *client)
    }

    /// Whether the site still lets the client have the address.
    fn is_usable(&self, address: Ipv4Addr, asked: &LeaseFacts) -> bool {
        asked.reserved == Some(address)
            || (asked.may_lease
                && !self.owners.contains_key(&address)
                && !self.is_kept_off(address)
                && self.pool_around(address).is_some_and(|pool| pool.contains(address)))
    }

    /// The addresses that are or were a client's, in order.
    fn addresses_of(&self, client: &ClientKey) -> SmallVec<[Ipv4Addr; 4]> {
        let is_its = |address: &Ipv4Addr| {
            self.leases.get(address).is_some_and(|held| held.client == *client)
        };
        self.by_client.find(client).filter(is_its).collect()
    }
}
