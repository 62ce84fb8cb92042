//! What several subjects need: network namespaces, servers, clients.

pub mod boots;
pub mod desk;
pub mod dhcp;
pub mod disk;
pub mod guest;
pub mod kernel;
pub mod machine;
pub mod message;
pub mod netns;
pub mod networkd;
pub mod partner;
pub mod qemu;
pub mod real_client;
pub mod skip;
pub mod source;
pub mod spoiler;
pub mod store;
pub mod tftp;
pub mod tools;
