//! Every route: `machine` for booting hosts, `ui` for people, on separate listeners.

pub mod machine;
pub mod ui;
