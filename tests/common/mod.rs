//! What several subjects need: network namespaces, servers, clients.

pub(crate) mod boots;
pub(crate) mod desk;
pub(crate) mod dhcp;
pub(crate) mod disk;
pub(crate) mod guest;
pub(crate) mod kernel;
pub(crate) mod machine;
pub(crate) mod message;
pub(crate) mod netns;
pub(crate) mod networkd;
pub(crate) mod partner;
pub(crate) mod qemu;
pub(crate) mod real_client;
pub(crate) mod sample;
pub(crate) mod skip;
pub(crate) mod source;
pub(crate) mod spoiler;
pub(crate) mod store;
pub(crate) mod tftp;
pub(crate) mod tools;
