//! What a decision must know of one client, read out of the table. Pure.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::{Allocation, Held, HeldOffer, Table, nic_of};
use crate::leases::facts::LeaseFacts;
use crate::model::{ClientKey, Host, LeaseState, NicAddress};

impl Table {
    /// Completes what is known about a client in a subnet of prefix `net`; `host` is the host
    /// that it is.
    pub fn complete(
        &mut self,
        asked: LeaseFacts,
        client: &ClientKey,
        host: Option<&Host>,
        net: Ipv4Net,
    ) -> LeaseFacts {
        let now = self.now;
        let mut facts = asked;
        facts.reserved =
            asked.reserved.filter(|address| self.is_open_to(*address, client, host, &asked));
        facts.reserved_needs_probe = facts.reserved.is_some_and(|address| {
            self.leases.get(&address).is_some_and(|held| {
                held.is_live(now) && held.nic() != asked.nic && is_former_nic(host, held.nic())
            })
        });
        facts.known = asked.reserved.is_some();
        for address in self.addresses_of(client) {
            let Some(held) = self.leases.get(&address) else { continue };
            facts.known |= held.state != LeaseState::Declined;
            let live = held.state == LeaseState::Bound && held.is_live(now);
            if live && !self.may_take_over(address, held, host, &asked) {
                continue;
            }
            facts.holds_requested |= live && asked.requested == Some(address);
            if !net.contains(&address) || !self.is_usable(address, &asked) {
                continue;
            }
            if live && held.nic() != asked.nic && is_former_nic(host, held.nic()) {
                continue;
            }
            if live {
                let requested = facts.leased.filter(|leased| asked.requested == Some(*leased));
                if requested.is_none() {
                    facts.leased = Some(address);
                    facts.keeps_leased = held.taken_over;
                }
            } else if self.is_free(address) {
                facts.previous = Some(address);
            }
        }
        let nic = nic_of(client, asked.nic);
        let offered = self.offer_of.get(&(client.clone(), nic)).copied();
        facts.offered =
            offered.filter(|address| net.contains(address) && self.is_usable(*address, &asked));
        let requested = asked.requested.filter(|address| net.contains(address));
        facts.requested_is_free = requested.is_some_and(|address| self.is_free(address));
        if facts.leased.or(facts.offered).is_none() {
            let stranger = !matches!(client, ClientKey::Host(_));
            let allocation = self.allocation;
            let network = self.networks.get_mut(&net.network());
            facts.free = network
                .filter(|network| !stranger || network.has_room_for_strangers())
                .and_then(|network| match allocation {
                    Allocation::InTurn => network.pool.next_free(),
                    Allocation::ByClient => network.pool.free_at(place_of(client, nic)),
                });
        }
        facts
    }
}

impl Table {
    /// Whether neither another client holds the address, nor another NIC of the same host.
    fn is_open_to(
        &self,
        address: Ipv4Addr,
        client: &ClientKey,
        host: Option<&Host>,
        asked: &LeaseFacts,
    ) -> bool {
        let nic = nic_of(client, asked.nic);
        let lease = self.leases.get(&address).filter(|held| held.is_live(self.ticked));
        let offer = self.offers.get(&address).filter(|offer| offer.until > self.ticked);
        let is_its_lease = |held: &Held| {
            held.client == *client
                && held.state == LeaseState::Bound
                && self.may_take_over(address, held, host, asked)
        };
        let is_its_offer = |offer: &HeldOffer| {
            offer.client == *client
                && (offer.nic == nic || asked.is_firmware || is_former_nic(host, offer.nic))
        };
        lease.is_none_or(is_its_lease) && offer.is_none_or(is_its_offer)
    }

    /// Whether a running lease of the client is that of the NIC that asks, or of one that does not
    /// use it any more: it is another one's of a host whose firmware runs, or whose firmware had
    /// the lease, or it is not a NIC of the host any more.
    fn may_take_over(
        &self,
        address: Ipv4Addr,
        held: &Held,
        host: Option<&Host>,
        asked: &LeaseFacts,
    ) -> bool {
        let (ClientKey::Host(_), Some(nic)) = (&held.client, asked.nic) else { return true };
        let Some(held_by) = held.nic() else { return true };
        held_by == nic
            || asked.is_firmware
            || self.firmware.get(&address) == Some(&held_by.into())
            || is_former_nic(host, held.nic())
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

/// A client's own place in a pool, by a digest: servers of all versions must come to the same one.
fn place_of(client: &ClientKey, nic: Option<NicAddress>) -> u64 {
    let mut digest = Sha256::new_with_prefix(client.to_string());
    digest.update(nic.map(|nic| format!(" {nic}")).unwrap_or_default());
    digest.finalize().first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// Whether a host had this NIC, and has it no longer.
fn is_former_nic(host: Option<&Host>, nic: Option<NicAddress>) -> bool {
    nic.is_some_and(|nic| host.is_some_and(|host| !host.has_nic(nic)))
}
