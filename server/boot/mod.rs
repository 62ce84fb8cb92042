//! What a host boots and how it is told: architecture, next step, iPXE script, configuration archive. Pure.

pub(crate) mod arch;
pub(crate) mod ipxe_text;
pub(crate) mod next;
pub(crate) mod script;
pub(crate) mod trail;
