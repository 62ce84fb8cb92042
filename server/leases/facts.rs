//! What the leases know of one client, read before its answer is decided. Pure.

use std::net::Ipv4Addr;

/// What is known about the client and the addresses it could have, read before the decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The address that the client owns here, unless somebody else still holds it.
    pub reserved: Option<Ipv4Addr>,
    /// The address that it leases.
    pub leased: Option<Ipv4Addr>,
    /// Whether it leases the very address that its message speaks of.
    pub holds_requested: bool,
    /// The address that it was offered a moment ago.
    pub offered: Option<Ipv4Addr>,
    /// The address that it had before, if that is free.
    pub previous: Option<Ipv4Addr>,
    /// Whether the address it asks for is a dynamic one of this link and free.
    pub requested_is_free: bool,
    /// An address that nobody holds.
    pub free: Option<Ipv4Addr>,
    /// Whether there is any record of the client here, live or not.
    pub known: bool,
    /// Whether it may have a dynamic address.
    pub may_lease: bool,
    /// Whether no other server serves this link, so that a stranger may be told no.
    pub authoritative: bool,
    /// Whether the subnet answers BOOTP.
    pub bootp_allowed: bool,
}
