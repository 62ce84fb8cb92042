//! The pure modules that read what strangers send, compiled on their own: they
//! need no database and no web server, so a target builds in seconds.

/// Names of files.
#[path = "../../server/files/names.rs"]
pub mod names;

/// MAC addresses.
#[path = "../../server/model/mac.rs"]
pub mod mac;

pub mod tftp;
