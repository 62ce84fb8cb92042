//! Every route: `machine` for booting hosts, `ui` for people, `api` for programs, on separate listeners.

pub mod api;
pub mod health;
pub(crate) mod listen;
pub mod machine;
mod settled;
pub(crate) mod tls;
pub mod ui;
