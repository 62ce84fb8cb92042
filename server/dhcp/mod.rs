//! DHCPv4: wire format, decisions and replies are pure; `service` and `socket` do the I/O.
//!
//! The path of a message: [`wire`] parses an `Arrival`'s bytes to a `Packet`; [`request`] and
//! `client` read who asks and for what. A `Transaction` is the message with its host, an
//! `Exchange` one that has a subnet, which [`link`] finds. [`leases`](crate::leases) gives the
//! `LeaseFacts` there, [`decide`] makes a `Decision` of them. [`reply`] and [`pxe`] say it as a
//! `Reply` and write that into a `Transmit`. The `Action` is to send it, an ACK only after its
//! lease is durable. Decision 0604 has the list.

mod client;
pub(crate) mod decide;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
pub(crate) mod history;
pub(crate) mod identity;
pub(crate) mod link;
pub(crate) mod probe;
pub(crate) mod pxe;
pub(crate) mod relay;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod router_advertisement;
pub(crate) mod service;
mod socket;
pub(crate) mod wire;

pub(crate) use service::{advertise, run};

#[cfg(test)]
pub(crate) mod test_packets;
