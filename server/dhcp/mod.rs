//! DHCPv4: wire format, decisions and replies are pure; `service` and `socket` do the I/O.
//!
//! The path of a packet: [`wire`] parses it, [`request`] reads what is asked, [`link`] finds the
//! subnets of the client's link, [`leases`](crate::leases) tells what is known, [`decide`] chooses,
//! [`reply`] and [`pxe`] write the reply, and `service` sends it, an ACK only after its lease is
//! durable.

pub mod decide;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
pub mod history;
pub mod identity;
pub mod link;
pub mod probe;
pub mod pxe;
pub mod relay;
pub mod reply;
pub mod request;
pub mod router_advertisement;
pub mod service;
mod socket;
pub mod wire;

pub use service::{advertise, run};

#[cfg(test)]
pub(crate) mod test_packets;
