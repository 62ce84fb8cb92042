//! What the leases say about one client, read before its answer is decided. Pure.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::model::ClientKey;

/// Who asks for an address, where, and for which.
#[derive(Clone, Copy, Debug)]
pub struct LeaseQuery<'a> {
    /// Who holds the lease, or will.
    pub client: &'a ClientKey,
    /// The network of the subnet.
    pub net: Ipv4Net,
    /// The address that the client owns on this subnet.
    pub reserved: Option<Ipv4Addr>,
    /// The address that its message is about.
    pub requested: Option<Ipv4Addr>,
    /// Whether it may have a dynamic address.
    pub may_lease: bool,
}

/// What is known about the client and the addresses it could have, read before the decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseFacts {
    /// The address that the client owns here, unless somebody else still holds it.
    pub reserved: Option<Ipv4Addr>,
    /// The address that it leases.
    pub leased: Option<Ipv4Addr>,
    /// Whether it leases the address that its message is about.
    pub holds_requested: bool,
    /// The address that is on offer to it.
    pub offered: Option<Ipv4Addr>,
    /// The address that it had before, if that is free.
    pub previous: Option<Ipv4Addr>,
    /// Whether the address it asks for is dynamic, of this subnet, and free.
    pub requested_is_free: bool,
    /// A free address.
    pub free: Option<Ipv4Addr>,
    /// Whether there is any record of the client here, live or not.
    pub known: bool,
    /// Whether it may have a dynamic address.
    pub may_lease: bool,
    /// Whether no other server serves this link, so that an unknown client may get a NAK.
    pub authoritative: bool,
    /// Whether the subnet answers BOOTP.
    pub bootp_allowed: bool,
}
