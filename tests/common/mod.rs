//! What several subjects need: network namespaces, servers, clients.

pub mod dhcp;
pub mod netns;
pub mod skip;
pub mod store;
pub mod tftp;
