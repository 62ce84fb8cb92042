//! A host's configuration files as it takes them: a tar or cpio archive, one text, or a script that
//! applies them while the host runs and takes them back if they cut it off. Pure.

pub mod apply;
pub mod archive;
