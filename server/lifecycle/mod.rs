//! The life of a host: what happened to it, how far its boot is, and why it does not go on. Pure.

pub mod audit;
pub mod boot;
pub mod budget;
pub mod client;
pub mod effect;
pub mod event;
pub mod first_boot;
pub mod gate;
pub mod install;
pub mod moment;
pub mod reason;
pub mod roll_out;
#[cfg(test)]
pub(crate) mod samples;
pub mod search;
pub mod stall;
pub mod state;
pub mod timeline;
pub mod unknown;
pub mod wording;

pub use event::{Event, EventData, EventKind, Progress, StrangerBudget};
pub use state::{HostState, HostStatus, StateChange};
