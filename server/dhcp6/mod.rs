//! DHCPv6 for firmware of the inventory's hosts, where silence costs a minute.
//!
//! EDK2 tries PXE and HTTP Boot over IPv6 as well, and waits 63 to 66 s for an answer to each. A
//! host that boots its disk gets an address without a boot file URL (option 59), which ends both
//! within 5 s; one that boots from the network gets the URL of its boot program at this server's
//! link-local address, if the interface has another one. No other client is answered and nothing is leased, so that this can run
//! beside any other DHCPv6 server on the link.

pub(crate) mod decide;
mod service;

pub(crate) use service::run;
