//! A reply as bytes, and where it goes (RFC 2131 section 4.1). Pure.

use std::net::{Ipv4Addr, SocketAddrV4};

use dhcproto::v4::MessageType;

use super::{CLIENT_PORT, Reply, SERVER_PORT};
use crate::dhcp::link::Arrival;
use crate::dhcp::wire::Packet;
use crate::leases::CommitError;
use crate::lifecycle::reason::NakReason;
use crate::lifecycle::{Event, EventData, event};
use crate::model::{Lease, Mac};

/// To everybody on the link.
const EVERYBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT);

/// A reply ready to leave, and the event that is recorded once it has left.
pub(crate) struct Transmit {
    pub(crate) bytes: Vec<u8>,
    /// Where it goes: to an address that the kernel can reach by itself, to everybody on the
    /// link, or to the address that it gives.
    pub(crate) to: SocketAddrV4,
    /// The client's MAC, if it does not answer ARP for its address yet.
    pub(crate) mac: Option<Mac>,
    /// The address of ours that it leaves from.
    pub(crate) local: Ipv4Addr,
    /// The port of ours that it leaves from.
    pub(crate) port: u16,
    /// None for BOOTP.
    pub(crate) message_type: Option<MessageType>,
    /// Its time is set when it is recorded.
    pub(crate) event: Option<Event>,
    /// Sent in its place if another client holds the address in the database.
    pub(crate) if_taken: Option<Box<Transmit>>,
    /// Sent in its place if the database failed, and memory knows a running lease of the client.
    pub(crate) if_failed: Option<Box<Transmit>>,
}

impl Transmit {
    /// A reply to a request as `bytes`, which leaves from `local` to where RFC 2131 sends it.
    pub(crate) fn new(
        bytes: Vec<u8>,
        reply: &Reply<'_>,
        request: &Packet<'_>,
        arrival: &Arrival,
        local: Ipv4Addr,
        always_broadcast: bool,
    ) -> Self {
        let mac = request.mac().filter(|_| !request.wants_broadcast() && !always_broadcast);
        let transmit = Self {
            bytes,
            to: EVERYBODY,
            mac: None,
            local,
            port: arrival.port,
            message_type: reply.message_type,
            event: None,
            if_taken: None,
            if_failed: None,
        };
        if let Some(relay) = request.relay_address() {
            // A relay that needs its own port back says so (RFC 8357).
            let own_port = request.relay_info().is_some_and(|info| info.source_port);
            let port = if own_port { arrival.source.port() } else { SERVER_PORT };
            return Self { to: SocketAddrV4::new(relay, port), ..transmit };
        }
        if reply.message_type == Some(MessageType::Nak) {
            return transmit;
        }
        if let Some(address) = request.client_address() {
            return Self { to: SocketAddrV4::new(address, CLIENT_PORT), ..transmit };
        }
        if request.message_type() == Some(MessageType::Inform) {
            return Self { to: SocketAddrV4::new(*arrival.source.ip(), CLIENT_PORT), ..transmit };
        }
        match (reply.address, mac) {
            (Some(address), Some(mac)) => {
                Self { to: SocketAddrV4::new(address, CLIENT_PORT), mac: Some(mac), ..transmit }
            }
            _ => transmit,
        }
    }

    /// The same reply to everybody on the link.
    pub(crate) fn broadcast(self) -> Self {
        self.routed_to(EVERYBODY)
    }

    /// The same reply to somebody whom the kernel can reach by itself.
    pub(crate) fn routed_to(self, to: SocketAddrV4) -> Self {
        Self { to, mac: None, ..self }
    }

    /// Whether it goes to one address that the kernel can reach by itself.
    pub(crate) fn is_routed(&self) -> bool {
        self.mac.is_none() && self.to != EVERYBODY
    }

    /// Where it goes if no frame can be sent to a client without ARP.
    pub(crate) fn without_frame(&self) -> SocketAddrV4 {
        if self.mac.is_some() { EVERYBODY } else { self.to }
    }

    /// The type of the reply as it is counted.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.message_type {
            Some(MessageType::Offer) => "offer",
            Some(MessageType::Ack) => "ack",
            Some(MessageType::Nak) => "nak",
            _ => "bootp",
        }
    }

    /// The reply that fits how the commit of its lease ended.
    pub(crate) fn after_commit(self, stored: &Result<Lease, CommitError>) -> Option<Self> {
        match stored {
            Ok(_) => Some(self),
            Err(CommitError::Database(_) | CommitError::Slow) => self.if_failed.map(|kept| *kept),
            Err(CommitError::Taken(address)) => {
                let (reason, own) = (NakReason::NotAvailable, None);
                let data = EventData::Nak(event::Nak { address: Some(*address), reason, own });
                // An unknown client's events are recorded up to a rate: that was decided already.
                let event = self.event.map(|event| Event { data, ..event });
                self.if_taken.map(|nak| Self { event, ..*nak })
            }
            // The client asks again by itself.
            Err(CommitError::Busy) => None,
        }
    }
}
