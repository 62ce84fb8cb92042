//! The web UI: real pages from the real server, by HTTP and in a real browser.

mod access;
mod address_map;
mod audit;
mod axe;
pub(crate) mod browser;
mod bulk;
mod changes;
mod checks;
mod entry_forms;
mod events;
mod forms;
mod images;
mod import;
mod install;
mod journey;
mod logins;
mod pages;
mod profile_builder;
mod racks;
mod roll_outs;
mod scale;
mod security;
pub(crate) mod server;
mod switches;
mod tabs;
mod tenants;
mod theme;
