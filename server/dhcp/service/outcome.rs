//! What is to be done about a packet, and what is told of it.

use std::net::Ipv4Addr;

use super::probe::Probe;
use crate::dhcp::decide::Reason;
use crate::dhcp::reply::Answer;
use crate::dhcp::request::Unusable;
use crate::dhcp::socket::Letter;
use crate::dhcp::wire::HEADER_BYTES;
use crate::inventory::EventBus;
use crate::leases::CommitError;
use crate::lifecycle::EventData;
use crate::model::{Lease, Mac};

/// What is to be done about a packet.
pub(super) enum Outcome {
    /// Nothing.
    Silent(Silence),
    /// An answer leaves at once.
    Send(Sending),
    /// An answer leaves once a lease is durable.
    Commit(Box<Commit>),
    /// The message is looked at again once it is known whether somebody uses an address.
    Probe(Box<Probe>),
}

/// Why nothing is answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    /// The packet is none.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// It was decided so.
    #[error(transparent)]
    Decided(#[from] Reason),
}

/// An answer ready to leave, and the event that tells of it.
pub(super) struct Sending {
    pub(super) answer: Answer,
    /// The address of ours that it leaves from.
    pub(super) local: Ipv4Addr,
    /// The port of ours that it leaves from.
    pub(super) port: u16,
    pub(super) event: Option<Happened>,
}

/// An event about to be told.
#[derive(Clone)]
pub(super) struct Happened {
    pub(super) host: Option<String>,
    pub(super) mac: Option<Mac>,
    pub(super) data: EventData,
}

/// A lease to be made durable and the answers that depend on it.
pub(super) struct Commit {
    pub(super) lease: Lease,
    /// As of when, in Unix seconds.
    pub(super) now: i64,
    pub(super) answers: Answers,
}

/// The answers that depend on how the commit of a lease ends.
#[derive(Default)]
pub(super) struct Answers {
    /// The answer when it is stored; none where nobody waits (DECLINE, RELEASE).
    pub(super) granted: Option<Sending>,
    /// Whether the client is told no when somebody else holds the address. That happens so
    /// seldom that its answer is made only then.
    pub(super) may_refuse: bool,
    /// The answer when the database fails and memory knows a live lease of the client.
    pub(super) remembered: Option<Sending>,
}

impl Happened {
    /// Writes the event to the log and to the event bus.
    pub(super) fn record(self, events: &EventBus) {
        let Self { host, mac, data } = self;
        tracing::info!(host, mac = mac.map(tracing::field::display), "{}: {data}", data.kind());
        events.record(host.as_deref(), mac, data);
    }
}

impl Sending {
    /// The type of the answer as it is counted: option 53 stands first in all but BOOTP's.
    pub(super) fn type_name(&self) -> &'static str {
        match self.answer.bytes.get(HEADER_BYTES..HEADER_BYTES + 3) {
            Some([53, 1, 2]) => "offer",
            Some([53, 1, 5]) => "ack",
            Some([53, 1, 6]) => "nak",
            _ => "bootp",
        }
    }

    /// The answer as the socket takes it.
    pub(super) fn letter(&self) -> Letter<'_> {
        let Answer { bytes, destination } = &self.answer;
        Letter { bytes, destination: *destination, local: self.local }
    }
}

impl Answers {
    /// The one that fits how the commit ended, unless it is a refusal.
    pub(super) fn choose(self, stored: &Result<Lease, CommitError>) -> Option<Sending> {
        match stored {
            Ok(_) => self.granted,
            Err(CommitError::Database(_)) => self.remembered,
            // Refused, or the client asks again by itself.
            Err(CommitError::Taken(_) | CommitError::Busy) => None,
        }
    }
}
