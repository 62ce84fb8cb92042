//! Leases: which address is free, whose it is, and until when.
//!
//! [`pool`], [`table`], [`facts`], [`fill`] and [`foreign_file`] are pure. [`book`]
//! keeps the table beside the database, and `watch` follows what other servers on it do.

pub mod book;
pub mod facts;
pub mod fill;
pub(crate) mod foreign_file;
pub mod pool;
pub mod table;
mod watch;

pub use book::{CommitError, LeaseBook};
