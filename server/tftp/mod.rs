//! A read-only TFTP server: packet and transfer are pure; `service` does the I/O.

pub mod blocks;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
pub mod negotiate;
pub mod netascii;
pub mod packet;
mod round_trip;
mod service;
pub mod transfer;

pub use service::run;
