//! Chooses the answer to a client's message out of facts (RFC 2131 section 4.3). Pure.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use crate::leases::facts::LeaseFacts;
pub(crate) use crate::lifecycle::reason::{NakReason, Reason};

/// What a client asks, reduced to what decides the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// None for BOOTP.
    pub message_type: Option<MessageType>,
    /// The address that it asks for (option 50).
    pub requested: Option<Ipv4Addr>,
    /// The address that it uses (`ciaddr`).
    pub client_address: Option<Ipv4Addr>,
    /// Which server it has chosen (option 54).
    pub server: ChosenServer,
    /// Whether it was sent to this server alone, not broadcast.
    pub unicast: bool,
    /// Whether it wants its lease in two packets and may have it so (RFC 4039).
    pub rapid_commit: bool,
    /// Whether it has not asked for long enough (`secs`) for this server to step in.
    pub too_early: bool,
    /// Whether the packet came from the address that the client says it uses.
    /// Always so for a relayed one.
    pub source_agrees: bool,
}

/// Whom a client named as its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChosenServer {
    /// Nobody.
    None,
    /// This one.
    Us,
    /// Another one.
    Other,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Offer the address and keep it for the client for a moment.
    Offer(Ipv4Addr),
    /// Give the address, once its lease is durable.
    Ack(Ipv4Addr),
    /// Tell the client that its address is wrong.
    Nak(NakReason),
    /// The client found the address in use: give it to nobody for a while.
    Decline(Ipv4Addr),
    /// The client gave the address back.
    Release(Ipv4Addr),
    /// Tell a client with an address of its own the other settings.
    Inform(Ipv4Addr),
    /// Give a BOOTP client the address that its host owns, for ever.
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

/// Chooses the answer.
pub(crate) fn decide(question: &Question, facts: &LeaseFacts) -> Decision {
    let Some(message_type) = question.message_type else {
        let own = facts.reserved.filter(|_| facts.bootp_allowed);
        return own.map_or(Decision::Ignore(Reason::NoBootp), Decision::Bootp);
    };
    match message_type {
        MessageType::Discover if question.too_early => Decision::Ignore(Reason::TooEarly),
        MessageType::Discover => decide_discover(question, facts),
        MessageType::Request => decide_request(question, facts),
        MessageType::Decline => decide_decline(question, facts),
        MessageType::Release => decide_release(question, facts),
        MessageType::Inform => match question.client_address {
            Some(address) => Decision::Inform(address),
            None => Decision::Ignore(Reason::NoAddress),
        },
        _ => Decision::Ignore(Reason::NotForUs),
    }
}

/// RFC 2131 section 4.3.1: the client's own address, else its current one, its
/// previous one, the one it asks for, any free one.
fn decide_discover(question: &Question, facts: &LeaseFacts) -> Decision {
    let offer = if question.rapid_commit { Decision::Ack } else { Decision::Offer };
    if let Some(address) = facts.reserved {
        return offer(address);
    }
    if !facts.may_lease {
        return Decision::Ignore(Reason::UnknownRefused);
    }
    let wanted = question.requested.filter(|_| facts.requested_is_free);
    let address = facts.leased.or(facts.offered).or(facts.previous).or(wanted).or(facts.free);
    address.map_or(Decision::Ignore(Reason::PoolExhausted), offer)
}

/// RFC 2131 section 4.3.2: which fields are filled tells the client's state.
fn decide_request(question: &Question, facts: &LeaseFacts) -> Decision {
    match (question.server, question.requested, question.client_address) {
        (ChosenServer::Other, _, _) => Decision::Ignore(Reason::OtherServer),
        (ChosenServer::Us, Some(requested), _) => decide_selecting(requested, facts),
        // Some clients leave option 50 out and put the offered address into ciaddr.
        (ChosenServer::Us, None, Some(address)) => decide_selecting(address, facts),
        (ChosenServer::None, Some(requested), None) => decide_rebooting(requested, facts),
        (ChosenServer::None, _, Some(address)) => {
            decide_extending(address, question.unicast, facts)
        }
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

/// INIT-REBOOT: the client remembers an address. A stranger is not told no:
/// another server may know it.
fn decide_rebooting(requested: Ipv4Addr, facts: &LeaseFacts) -> Decision {
    if facts.entitled() == Some(requested) {
        return Decision::Ack(requested);
    }
    if facts.reserved.is_none() && facts.previous == Some(requested) && facts.may_lease {
        return Decision::Ack(requested);
    }
    refuse(facts)
}

/// RENEWING (sent to us) and REBINDING (broadcast): the client uses an address
/// and wants to keep it.
fn decide_extending(address: Ipv4Addr, unicast: bool, facts: &LeaseFacts) -> Decision {
    let keeps = facts.entitled() == Some(address)
        || (facts.reserved.is_none() && facts.previous == Some(address) && facts.may_lease);
    if keeps {
        return Decision::Ack(address);
    }
    if unicast {
        return Decision::Nak(nak_reason(facts));
    }
    refuse(facts)
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

fn decide_decline(question: &Question, facts: &LeaseFacts) -> Decision {
    match (question.requested, question.server) {
        (None, _) => Decision::Ignore(Reason::NoAddress),
        (_, ChosenServer::Other) => Decision::Ignore(Reason::OtherServer),
        (Some(address), ChosenServer::Us) if facts.holds_requested => Decision::Decline(address),
        _ => Decision::Ignore(Reason::NotItsLease),
    }
}

fn decide_release(question: &Question, facts: &LeaseFacts) -> Decision {
    // systemd-networkd (252) sends its RELEASE without option 54, to this server alone.
    let server = match question.server {
        ChosenServer::None if question.unicast => ChosenServer::Us,
        said => said,
    };
    match (question.client_address, server) {
        (None, _) => Decision::Ignore(Reason::NoAddress),
        (_, ChosenServer::Other) => Decision::Ignore(Reason::OtherServer),
        (Some(_), _) if !question.source_agrees => Decision::Ignore(Reason::WrongSource),
        (Some(address), ChosenServer::Us) if facts.holds_requested => Decision::Release(address),
        _ => Decision::Ignore(Reason::NotItsLease),
    }
}

#[cfg(test)]
mod tests;
