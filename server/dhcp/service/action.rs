//! What to do about a message.

use super::probe::Probe;
use crate::dhcp::reply::Transmit;
use crate::model::Lease;

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
