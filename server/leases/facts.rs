//! What the leases say about one client, read before its answer is decided. Pure.

use std::net::Ipv4Addr;

use crate::model::NicAddress;

/// What is known about a client and the addresses that it could have. The asker fills in the
/// first fields, and [`Table::complete`](super::table::Table::complete) the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseFacts {
    /// The address that the client owns here; the table leaves it out while somebody else
    /// still holds it.
    pub reserved: Option<Ipv4Addr>,
    /// The address that its message is about.
    pub requested: Option<Ipv4Addr>,
    /// Whether the server that its message names (option 54) is this one; none if it names none.
    pub names_us: Option<bool>,
    /// Whether it may have a dynamic address.
    pub may_lease: bool,
    /// The NIC that asks, by its [identity](NicAddress::identity); none of a client that does not
    /// tell it.
    pub nic: Option<NicAddress>,
    /// Whether firmware or a boot program asks. It runs on one NIC at a time, while an operating
    /// system may ask by all of them at once.
    pub is_firmware: bool,
    /// Whether no other server serves this link, so that an unknown client may get a NAK.
    pub authoritative: bool,
    /// Whether the reserved address is still leased to a MAC that its host no longer has: that
    /// machine may use it.
    pub reserved_needs_probe: bool,
    /// The address that it leases.
    pub leased: Option<Ipv4Addr>,
    /// Whether it has leased that address since it renewed it here as another server's, so that it
    /// keeps it although it owns another.
    pub keeps_leased: bool,
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
}
