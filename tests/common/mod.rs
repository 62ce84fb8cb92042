//! What several subjects need: network namespaces, servers, clients.

pub mod dhcp;
pub mod netns;
pub mod tftp;
pub mod skip;
pub mod store;
