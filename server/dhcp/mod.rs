//! DHCPv4: wire format, decisions and replies are pure; `service` and `socket` do the I/O.
//!
//! The path of a packet: [`wire`] parses it, [`request`] reads what is asked, [`link`] finds the
//! subnets of the client's link, [`leases`](crate::leases) tells what is known, [`decide`] chooses,
//! [`reply`] and [`pxe`] write the reply, and `service` sends it, an ACK only after its lease is
//! durable.

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
