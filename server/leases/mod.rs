//! Leases: which address is free, whose it is, and until when.
//!
//! [`pool`], [`table`], [`facts`] and [`fill`] are pure: addresses and times in, answers out. [`book`]
//! keeps the table beside the database, and `watch` hears what other servers on it do.

pub mod book;
pub mod facts;
pub mod fill;
pub mod pool;
pub mod table;
mod watch;

pub use book::{CommitError, LeaseBook};
