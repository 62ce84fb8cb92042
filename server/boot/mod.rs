//! What a host boots and how the client learns it: architecture, next step, iPXE script, configuration archive. Pure.

pub(crate) mod arch;
pub(crate) mod grub_config;
pub(crate) mod ipxe_text;
pub(crate) mod next;
pub(crate) mod script;
#[cfg(test)]
mod test_target;
pub(crate) mod trail;
mod url_name;

pub(crate) use url_name::UrlName;
