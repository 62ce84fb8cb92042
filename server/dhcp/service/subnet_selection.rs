//! Which subnet of its link a client is in: where it owns an address, else where it has one,
//! had one, or there is one left.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::transaction::Transaction;
use crate::boot::arch::Client;
use crate::dhcp::decide::Reason;
use crate::dhcp::link::{LinkSubnet, link_subnets, owned_subnet};
use crate::leases::facts::LeaseFacts;
use crate::leases::table::v4;
use crate::model::{ClientKey, Subnet, UnknownClients};

impl<'a> Transaction<'a> {
    /// The client's subnet, and the address that it owns there. Only a link with several subnets
    /// costs a look at the leases.
    pub(super) fn select_subnet(&self) -> Result<(LinkSubnet<'a>, Option<Ipv4Addr>), Reason> {
        let subnets = self.link_subnets();
        let first = *subnets.first().ok_or(Reason::NoSubnet)?;
        let site = &self.snapshot.site;
        let owned = self.host.and_then(|(_, host)| owned_subnet(site, host, &subnets));
        if let Some((subnet, address)) = owned.or_else(|| self.owned_by_bmc(&subnets)) {
            return Ok((subnet, Some(address)));
        }
        let best = if subnets.len() == 1 { None } else { self.best_of(&subnets) };
        Ok((best.unwrap_or(first), None))
    }

    /// The subnet among several where a BMC has its address, with that address.
    fn owned_by_bmc(&self, subnets: &[LinkSubnet<'a>]) -> Option<(LinkSubnet<'a>, Ipv4Addr)> {
        let address = v4(self.bmc?.address?)?;
        let subnet = subnets.iter().find(|subnet| subnet.net.contains(&address))?;
        Some((*subnet, address))
    }

    /// The subnets of the client's link.
    pub(super) fn link_subnets(&self) -> Vec<LinkSubnet<'a>> {
        let Self { snapshot, request, link, arrival, .. } = *self;
        link_subnets(&snapshot.site, snapshot.subnets(), request, link, arrival)
    }

    /// Who the client is in a subnet.
    pub(super) fn key_in(&self, subnet: LinkSubnet<'_>) -> Result<ClientKey, Reason> {
        self.key(subnet.subnet.identify_by).ok_or(Reason::NoRecord)
    }

    /// Whether the client may have a dynamic address of a subnet.
    pub(super) fn may_lease(&self, subnet: &Subnet) -> bool {
        self.host.is_some()
            || self.bmc.is_some()
            || subnet.unknown_clients != UnknownClients::Refuse
    }

    /// The subnet of the address that the message is about, else the one with the best to offer.
    fn best_of(&self, subnets: &[LinkSubnet<'a>]) -> Option<LinkSubnet<'a>> {
        let requested = self.request.subject_address();
        if self.request.message_type() != Some(MessageType::Discover) {
            let mut around = subnets.iter().filter(|subnet| {
                requested.is_some_and(|requested| subnet.net.contains(&requested))
            });
            if let Some(subnet) = around.next() {
                return Some(*subnet);
            }
        }
        let mut table = self.app.leases.table();
        let mut leases = table.at(self.snapshot.revision, &self.snapshot.site, self.now);
        // The first of equals, which are in the order of the site.
        let mut best: Option<(u8, LinkSubnet<'a>)> = None;
        for subnet in subnets {
            let rank = match self.key(subnet.subnet.identify_by) {
                Some(client) => {
                    let may_lease = self.may_lease(subnet.subnet);
                    let asked = LeaseFacts {
                        requested,
                        may_lease,
                        nic: self.request.mac(),
                        is_firmware: self.boots != Client::Plain,
                        ..LeaseFacts::default()
                    };
                    let host = self.host.map(|(_, host)| host);
                    rank(&leases.complete(asked, &client, host, subnet.net))
                }
                None => u8::MAX,
            };
            if best.is_none_or(|(lowest, _)| rank < lowest) {
                best = Some((rank, *subnet));
            }
        }
        best.map(|(_, subnet)| subnet)
    }
}

/// The order in which a DISCOVER is served (RFC 2131 section 4.3.1), lowest first.
fn rank(facts: &LeaseFacts) -> u8 {
    let have = [
        facts.leased.is_some(),
        facts.offered.is_some(),
        facts.may_lease && facts.previous.is_some(),
        facts.may_lease && facts.requested_is_free,
        facts.may_lease && facts.free.is_some(),
    ];
    have.iter().position(|has| *has).map_or(u8::MAX, |at| at as u8)
}
