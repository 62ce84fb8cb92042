//! Which subnet of its link a client is in: where it owns an address, else where it has one,
//! had one, or there is one left.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::transaction::Transaction;
use crate::boot::arch::Client;
use crate::dhcp::decide::Reason;
use crate::dhcp::link::{ipv4_net, link_subnets, owned_address};
use crate::leases::facts::LeaseFacts;
use crate::leases::table::v4;
use crate::model::{Subnet, UnknownClients};

impl<'a> Transaction<'a> {
    /// The name of the client's subnet. Only a link with several subnets costs a look at the
    /// leases.
    pub(super) fn select_subnet(&self) -> Result<&'a str, Reason> {
        let subnets = self.link_subnets();
        let first = *subnets.first().ok_or(Reason::NoSubnet)?;
        if subnets.len() == 1 {
            return Ok(first);
        }
        let owned = subnets.iter().copied().find(|subnet| self.owned_in(subnet).is_some());
        Ok(owned.or_else(|| self.best_of(&subnets)).unwrap_or(first))
    }

    /// The address that the client owns in a subnet, as a host or as a BMC.
    pub(super) fn owned_in(&self, subnet_name: &str) -> Option<Ipv4Addr> {
        let site = &self.snapshot.site;
        if let Some((_, host)) = self.host {
            return owned_address(site, host, subnet_name);
        }
        let address = v4(self.bmc?.address?)?;
        let net = ipv4_net(site.subnets.get(subnet_name)?)?;
        net.contains(&address).then_some(address)
    }

    /// The names of the subnets of the client's link.
    fn link_subnets(&self) -> Vec<&'a str> {
        let Self { snapshot, request, link, arrival, .. } = *self;
        link_subnets(&snapshot.site, snapshot.subnets(), request, link, arrival)
    }

    /// The first subnet of the client's link.
    pub(super) fn first_subnet(&self) -> Option<&'a Subnet> {
        self.snapshot.site.subnets.get(*self.link_subnets().first()?)
    }

    /// Whether the client may have a dynamic address of a subnet.
    pub(super) fn may_lease(&self, subnet: &Subnet) -> bool {
        self.host.is_some()
            || self.bmc.is_some()
            || subnet.unknown_clients != UnknownClients::Refuse
    }

    /// The subnet of the address that the message is about, else the one with the best to offer.
    fn best_of(&self, names: &[&'a str]) -> Option<&'a str> {
        let site = &self.snapshot.site;
        let requested = self.request.subject_address();
        if self.request.message_type() != Some(MessageType::Discover) {
            let is_around = |name: &&'a str| {
                let net = site.subnets.get(*name).and_then(ipv4_net);
                net.zip(requested).is_some_and(|(net, requested)| net.contains(&requested))
            };
            if let Some(name) = names.iter().copied().find(is_around) {
                return Some(name);
            }
        }
        let mut leases = self.app.leases.at(self.snapshot.revision, site, self.now);
        let mut rank = |name: &&'a str| {
            let subnet = site.subnets.get(*name)?;
            let (client, net) = (self.key(subnet.identify_by)?, ipv4_net(subnet)?);
            let asked = LeaseFacts {
                requested,
                may_lease: self.may_lease(subnet),
                nic: self.nic(),
                is_firmware: self.boots != Client::Plain,
                ..LeaseFacts::default()
            };
            let host = self.host.map(|(_, host)| host);
            Some(rank(&leases.complete(asked, &client, host, net)))
        };
        // The first of equals, which are in the order of the site.
        names.iter().copied().min_by_key(|name| rank(name).unwrap_or(u8::MAX))
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
