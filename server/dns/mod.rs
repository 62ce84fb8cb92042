//! Dynamic updates (RFC 2136): the addresses of hosts in the zones of a name server.

mod key;
mod service;
mod update;

pub(crate) use service::run;
