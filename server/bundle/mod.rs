//! A host's configuration files in the forms that it fetches: one text, a tar or cpio archive, or
//! a script that applies them on the running host and rolls back if they cut it off. Pure.

pub mod apply;
pub mod archive;
pub mod cpio;
