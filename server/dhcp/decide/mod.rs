//! Chooses the answer to a client's message from facts (RFC 2131 section 4.3). Pure.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::link::Arrival;
use super::wire::Packet;
use crate::leases::facts::LeaseFacts;
pub(crate) use crate::lifecycle::reason::{NakReason, Reason};
use crate::model::Subnet;
use crate::options::code;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Offer the address and keep it for the client for a moment.
    Offer(Ipv4Addr),
    /// Give the address, once its lease is durable.
    Ack(Ipv4Addr),
    /// Tell the client that its address is wrong.
    Nak(NakReason),
    /// The client found the address in use: quarantine it.
    Decline(Ipv4Addr),
    /// The client gave the address back.
    Release(Ipv4Addr),
    /// Tell a client with an address of its own the other settings.
    Inform(Ipv4Addr),
    /// Give a BOOTP client its host's own address, without an end.
    Bootp(Ipv4Addr),
    /// Stay silent.
    Ignore(Reason),
}

impl LeaseFacts {
    /// The address that is the client's: its own, else what it holds
    /// (the order of RFC 2131 section 4.3.1 begins here).
    fn entitled(&self) -> Option<Ipv4Addr> {
        self.reserved.or(self.leased)
    }
}

/// Chooses the answer to a client of `subnet`.
pub(crate) fn decide(
    request: &Packet<'_>,
    arrival: &Arrival,
    subnet: &Subnet,
    facts: &LeaseFacts,
) -> Decision {
    let Some(message_type) = request.message_type() else {
        let own = facts.reserved.filter(|_| subnet.bootp);
        return own.map_or(Decision::Ignore(Reason::NoBootp), Decision::Bootp);
    };
    match message_type {
        MessageType::Discover if subnet.min_secs.is_some_and(|least| request.seconds < least) => {
            Decision::Ignore(Reason::TooEarly)
        }
        MessageType::Discover => decide_discover(request, subnet, facts),
        MessageType::Request => decide_request(request, facts),
        MessageType::Decline => decide_decline(request, facts),
        MessageType::Release => decide_release(request, arrival, facts),
        MessageType::Inform => {
            let source = Some(*arrival.source.ip()).filter(|source| !source.is_unspecified());
            let address = request.client_address().or(source);
            address.map_or(Decision::Ignore(Reason::NoAddress), Decision::Inform)
        }
        _ => Decision::Ignore(Reason::NotForUs),
    }
}

/// RFC 2131 section 4.3.1: the client's own address, else its current one, its
/// previous one, the one it asks for, any free one. In two packets where the client wants that
/// and the subnet allows it (RFC 4039).
fn decide_discover(request: &Packet<'_>, subnet: &Subnet, facts: &LeaseFacts) -> Decision {
    let is_rapid = subnet.rapid_commit && request.option(code::RAPID_COMMIT).is_some();
    let offer = if is_rapid { Decision::Ack } else { Decision::Offer };
    if let Some(address) = facts.reserved {
        return offer(address);
    }
    if !facts.may_lease {
        return Decision::Ignore(Reason::UnknownRefused);
    }
    let requested = request.requested_address().filter(|_| facts.requested_is_free);
    let address = facts.leased.or(facts.offered).or(facts.previous).or(requested).or(facts.free);
    address.map_or(Decision::Ignore(Reason::PoolExhausted), offer)
}

/// RFC 2131 section 4.3.2: the client's state follows from which fields are set.
fn decide_request(request: &Packet<'_>, facts: &LeaseFacts) -> Decision {
    match (facts.names_us, request.requested_address(), request.client_address()) {
        (Some(false), _, _) => Decision::Ignore(Reason::OtherServer),
        (Some(true), Some(requested), _) => decide_selecting(requested, facts),
        // Some clients leave option 50 out and put the offered address into ciaddr.
        (Some(true), None, Some(address)) => decide_selecting(address, facts),
        (None, Some(requested), None) => decide_rebooting(requested, facts),
        (None, _, Some(address)) => decide_extending(address, facts),
        (_, None, None) => Decision::Ignore(Reason::NoAddress),
    }
}

/// SELECTING: the client takes an offer of ours. An offer that has run out, or
/// that a restart made us forget, is still good while the address is free.
fn decide_selecting(requested: Ipv4Addr, facts: &LeaseFacts) -> Decision {
    let entitled = facts.entitled();
    if entitled == Some(requested) {
        return Decision::Ack(requested);
    }
    if facts.reserved.is_some() {
        return Decision::Nak(NakReason::NotYours);
    }
    let still_good = facts.offered == Some(requested) || facts.requested_is_free;
    if facts.may_lease && still_good {
        return Decision::Ack(requested);
    }
    Decision::Nak(NakReason::NotAvailable)
}

/// INIT-REBOOT: the client remembers an address. An unknown client gets no NAK:
/// another server may know it.
fn decide_rebooting(requested: Ipv4Addr, facts: &LeaseFacts) -> Decision {
    if facts.entitled() == Some(requested) {
        return Decision::Ack(requested);
    }
    if facts.reserved.is_none() && facts.may_lease {
        let takes_over = facts.authoritative && is_of_another_server(facts);
        if facts.previous == Some(requested) || takes_over {
            return Decision::Ack(requested);
        }
    }
    refuse(facts)
}

/// RENEWING (sent to us) and REBINDING (broadcast): the client uses an address
/// and wants to keep it. One that this server does not know had it from another server, perhaps
/// the one that this server replaces: it keeps a free address of ours, or gets no answer, but
/// never a NAK, which would cost a running machine its address. This includes a host that owns
/// another address: it moves there when it asks anew.
fn decide_extending(address: Ipv4Addr, facts: &LeaseFacts) -> Decision {
    let keeps = facts.keeps_leased && facts.leased == Some(address);
    if facts.entitled() == Some(address) || keeps {
        return Decision::Ack(address);
    }
    let is_its_former = facts.reserved.is_none() && facts.previous == Some(address);
    if facts.may_lease && is_its_former {
        return Decision::Ack(address);
    }
    if facts.may_lease && is_of_another_server(facts) {
        return match facts.authoritative {
            true => Decision::Ack(address),
            false => Decision::Ignore(Reason::NoRecord),
        };
    }
    refuse(facts)
}

/// Whether a client that uses an address can only have it from another server: it is free here,
/// and the client leases no other.
pub(crate) fn is_of_another_server(facts: &LeaseFacts) -> bool {
    facts.requested_is_free && facts.leased.is_none()
}

fn refuse(facts: &LeaseFacts) -> Decision {
    if facts.known || facts.authoritative {
        return Decision::Nak(nak_reason(facts));
    }
    Decision::Ignore(Reason::NoRecord)
}

fn nak_reason(facts: &LeaseFacts) -> NakReason {
    if facts.entitled().is_some() { NakReason::NotYours } else { NakReason::NotAvailable }
}

fn decide_decline(request: &Packet<'_>, facts: &LeaseFacts) -> Decision {
    match (request.requested_address(), facts.names_us) {
        (None, _) => Decision::Ignore(Reason::NoAddress),
        (_, Some(false)) => Decision::Ignore(Reason::OtherServer),
        (Some(address), Some(true)) if facts.holds_requested => Decision::Decline(address),
        _ => Decision::Ignore(Reason::NotItsLease),
    }
}

fn decide_release(request: &Packet<'_>, arrival: &Arrival, facts: &LeaseFacts) -> Decision {
    // systemd-networkd (252) sends its RELEASE without option 54, to this server alone.
    let names_us = facts.names_us.or_else(|| is_unicast(request, arrival).then_some(true));
    let comes_from_client =
        request.relay_address().is_some() || request.client_address() == Some(*arrival.source.ip());
    match (request.client_address(), names_us) {
        (None, _) => Decision::Ignore(Reason::NoAddress),
        (_, Some(false)) => Decision::Ignore(Reason::OtherServer),
        (Some(_), _) if !comes_from_client => Decision::Ignore(Reason::WrongSource),
        (Some(address), Some(true)) if facts.holds_requested => Decision::Release(address),
        _ => Decision::Ignore(Reason::NotItsLease),
    }
}

/// Whether the client sent its message to this server alone.
fn is_unicast(request: &Packet<'_>, arrival: &Arrival) -> bool {
    arrival.is_unicast() && request.relay_address().is_none()
}

#[cfg(test)]
mod tests;
