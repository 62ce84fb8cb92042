//! The life of a host: what happened to it, how far its boot is, and why it does not go on. Pure.

pub mod event;
pub mod gate;
pub mod stall;
pub mod timeline;

pub use event::{Event, EventKind, Progress, StrangerBudget};
