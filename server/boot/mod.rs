//! What a host boots and how it is told: architecture, next step, iPXE script, configuration archive. Pure.

pub mod arch;
pub mod ipxe_text;
pub mod next;
pub mod script;
pub mod trail;
