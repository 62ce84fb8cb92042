//! DHCPv6 for the one case where silence costs a minute: UEFI that boots its local disk.
//!
//! EDK2 tries PXE and HTTP Boot over IPv6 as well, and waits 63 to 66 s for an answer to each.
//! An ADVERTISE with an address and without a boot file URL (option 59) ends both within 5 s.
//! No other client is answered and nothing is leased, so that this can run beside any other
//! DHCPv6 server on the link.

pub(crate) mod decide;
mod service;

pub(crate) use service::run;
