//! What to do about a message, and what is recorded of it.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::probe::Probe;
use crate::dhcp::decide::{NakReason, Reason};
use crate::dhcp::reply::Destination;
use crate::dhcp::request::Unusable;
use crate::inventory::EventBus;
use crate::leases::CommitError;
use crate::lifecycle::{EventData, event};
use crate::model::{Lease, Mac};

/// What to do about a message.
pub(super) enum Action {
    /// Send a reply now.
    Send(Transmit),
    /// Store a lease and the ends of those that its client leaves, and then send a reply, unless
    /// the client expects none (DECLINE, RELEASE).
    Commit { lease: Lease, ended: Vec<Lease>, reply: Option<Transmit> },
    /// Find out whether an address is in use, and look at the message again.
    Probe(Box<Probe>),
}

/// Why a packet gets no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    /// It is not a message of a client.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// By the rules of RFC 2131 or of the site.
    #[error(transparent)]
    Decided(#[from] Reason),
}

impl Silence {
    /// The reason as it is counted: one of a fixed set, without what the packet says.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Unusable(unusable) => unusable.label(),
            Self::Decided(reason) => reason.label(),
        }
    }
}

/// A reply ready to leave, and the event that is recorded once it has left.
pub(in crate::dhcp) struct Transmit {
    pub(in crate::dhcp) bytes: Vec<u8>,
    pub(in crate::dhcp) destination: Destination,
    /// The address of ours that it leaves from.
    pub(in crate::dhcp) local: Ipv4Addr,
    /// The port of ours that it leaves from.
    pub(in crate::dhcp) port: u16,
    /// None for BOOTP.
    pub(in crate::dhcp) message_type: Option<MessageType>,
    pub(in crate::dhcp) event: Option<ClientEvent>,
    /// Sent in its place if another client holds the address in the database.
    pub(in crate::dhcp) if_taken: Option<Box<Transmit>>,
    /// Sent in its place if the database failed, and memory knows a running lease of the client.
    pub(in crate::dhcp) if_failed: Option<Box<Transmit>>,
}

/// An event of a client that is not recorded yet.
#[derive(Clone)]
pub(in crate::dhcp) struct ClientEvent {
    pub(super) host: Option<String>,
    pub(super) mac: Option<Mac>,
    pub(super) data: EventData,
}

impl ClientEvent {
    /// Records the event.
    pub(super) fn record(self, events: &EventBus) {
        let Self { host, mac, data } = self;
        events.record(host.as_deref(), mac, data);
    }
}

impl Transmit {
    /// The type of the reply as it is counted.
    pub(super) fn type_name(&self) -> &'static str {
        match self.message_type {
            Some(MessageType::Offer) => "offer",
            Some(MessageType::Ack) => "ack",
            Some(MessageType::Nak) => "nak",
            _ => "bootp",
        }
    }

    /// The reply that fits how the commit of its lease ended.
    pub(super) fn after_commit(self, stored: &Result<Lease, CommitError>) -> Option<Self> {
        match stored {
            Ok(_) => Some(self),
            Err(CommitError::Database(_) | CommitError::Slow) => self.if_failed.map(|kept| *kept),
            Err(CommitError::Taken(address)) => {
                let (reason, own) = (NakReason::NotAvailable, None);
                let data = EventData::Nak(event::Nak { address: Some(*address), reason, own });
                // An unknown client's events are recorded up to a rate: that was decided already.
                let event = self.event.map(|event| ClientEvent { data, ..event });
                self.if_taken.map(|nak| Self { event, ..*nak })
            }
            // The client asks again by itself.
            Err(CommitError::Busy) => None,
        }
    }
}
