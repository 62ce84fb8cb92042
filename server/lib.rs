//! Rackstrap, a bare-metal provisioning server.
//!
//! One boot, told as a walk through the modules: a bare host's firmware asks
//! [`dhcp`], which finds it in the [`inventory`] by any of its MACs and names
//! the boot file that [`boot`] chooses for its architecture; [`tftp`] or
//! [`http`] sends that file out of [`files`]; iPXE fetches its script, kernel
//! and initrds by [`http`]; and the host's own network configuration, which
//! [`network`] generates from the site that [`model`] describes, goes along.
//!
//! `tree <- model <- profile <- network | lifecycle | dhcp | tftp | boot | config` are pure: no
//! sockets, no files, no clock (their `service` and `socket` files excepted). `inventory`, `files`,
//! `http` and the services are the edges; [`serve`] starts them all. `tests/architecture.rs` has
//! every arrow.

// Nouns and decisions: pure.
mod boot;
pub mod bundle;
pub mod config;
pub(crate) mod deploy;
pub(crate) mod import;
pub mod leases;
pub mod lifecycle;
pub mod model;
pub mod network;
pub(crate) mod options;
pub mod profile;
pub mod recipe;
pub mod site_file;
pub(crate) mod tree;

// Protocols: pure cores, each with a service at its edge.
mod dhcp;
mod dhcp6;
mod syslog;
pub mod tftp;

// Edges.
mod address_owner;
mod agent;
pub mod app;
mod authority;
mod causes;
pub mod cli;
mod dns;
pub mod files;
pub mod http;
pub mod images;
pub mod inventory;
mod lab;
mod live;
mod logs;
mod memory;
mod metrics;
mod netbox;
mod priority;
mod serve;
mod supervisor;
mod udp;
mod webhooks;

// What must hold whatever comes, for tests and the fuzzer.
#[cfg(any(test, fuzzing))]
pub mod exercise;
