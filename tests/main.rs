//! The integration tests: one program with a file per subject.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

mod accounts;
mod api;
mod command_line;
mod dhcp_clients;
mod dhcp_crash;
mod dhcp_identity;
mod dhcp_probe;
mod dhcp_service;
mod dhcp_shared;
mod disk_full;
mod doctor;
mod fabric;
mod frr;
mod golden;
mod guests;
mod hostile;
mod install_script;
mod inventory;
mod ipxe_scripts;
mod lab;
mod lease_book;
mod lease_book_model;
mod machine_http;
mod netplan;
mod network_manager;
mod network_property;
mod networkd;
mod purity;
mod tftp_clients;
mod tftp_hard;
mod tftp_loss;
mod tftp_rules;
mod ui;
