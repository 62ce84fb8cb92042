//! Which subnet of its link a client is in: where it owns an address, else where it has one,
//! had one, or there is one left.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::caller::{Around, Caller};
use crate::dhcp::decide::Reason;
use crate::dhcp::link::{Place, owned_place, places};
use crate::dhcp::request::Request;
use crate::leases::facts::{LeaseFacts, LeaseQuery};
use crate::model::{ClientKey, Subnet, UnknownClients};

/// A client's subnet, what it is called there, and the address that it owns there.
pub(super) struct Placed<'a> {
    pub(super) place: Place<'a>,
    pub(super) client: ClientKey,
    pub(super) reserved: Option<Ipv4Addr>,
}

impl<'a> Caller<'a> {
    /// Finds the client's place. Only a link with several subnets costs a look at the leases.
    pub(super) fn find_place(&self) -> Result<Placed<'a>, Reason> {
        let Around { snapshot, link, arrival, .. } = self.around;
        let places = places((&snapshot.site, snapshot.subnets()), self.request, link, arrival);
        let first = *places.first().ok_or(Reason::NoSubnet)?;
        let owned = self.host.and_then(|(_, host)| owned_place(&snapshot.site, host, &places));
        if let Some((place, address)) = owned {
            return Ok(Placed { place, client: self.key_in(place)?, reserved: Some(address) });
        }
        let place = if places.len() == 1 { first } else { self.best_of(&places).unwrap_or(first) };
        Ok(Placed { place, client: self.key_in(place)?, reserved: None })
    }

    fn key_in(&self, place: Place<'_>) -> Result<ClientKey, Reason> {
        self.key(place.subnet.identify_by).ok_or(Reason::NoRecord)
    }

    /// Whether the client may have a dynamic address of a subnet.
    pub(super) fn may_lease(&self, subnet: &Subnet) -> bool {
        self.host.is_some() || subnet.unknown_clients != UnknownClients::Refuse
    }

    /// The place of the address that the message speaks of, else the one with the best to offer.
    fn best_of(&self, places: &[Place<'a>]) -> Option<Place<'a>> {
        let Around { app, snapshot, now, .. } = self.around;
        let wanted = wanted(self.request);
        let speaks_of = |place: &&Place<'_>| wanted.is_some_and(|it| place.net.contains(&it));
        if self.request.message_type != Some(MessageType::Discover)
            && let Some(place) = places.iter().find(speaks_of)
        {
            return Some(*place);
        }
        let mut table = app.leases.table();
        let mut leases = table.at(snapshot.revision, &snapshot.site, now);
        let mut rank_in = |place: &Place<'a>| {
            let Some(client) = self.key(place.subnet.identify_by) else { return u8::MAX };
            let may_lease = self.may_lease(place.subnet);
            rank(&leases.facts(&LeaseQuery {
                client: &client,
                net: place.net,
                reserved: None,
                requested: wanted,
                may_lease,
            }))
        };
        // The first of equals, which are in the order of the site.
        let mut best: Option<(u8, &Place<'a>)> = None;
        for place in places {
            let rank = rank_in(place);
            if best.is_none_or(|(lowest, _)| rank < lowest) {
                best = Some((rank, place));
            }
        }
        best.map(|(_, place)| *place)
    }
}

/// The address that a message speaks of.
fn wanted(request: &Request<'_>) -> Option<Ipv4Addr> {
    request.requested_address.or(request.client_address)
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
