//! What must hold whatever comes: one function of any bytes for each fuzz target. Pure
//! but for the ones that ask the real services.
//!
//! The checks stand beside the code that they are about; here is the list of them. The
//! fuzzer runs them for hours (`make fuzz`); `cargo test` runs each over its corpus and
//! some thousand changed copies of it ([`replay`]).

mod dice;
#[cfg(test)]
mod replay;
mod stage;

pub(crate) use dice::Dice;
pub(crate) use stage::TestServer;

use crate::{dhcp, files, http, model, site_file, tftp};

/// A check that any bytes must pass.
pub type Check = fn(&[u8]);

/// Every check by the name of its fuzz target.
pub const TARGETS: [(&str, Check); 12] = [
    ("dhcp_answer", dhcp::service::exercise::answer),
    ("dhcp_decode", dhcp::exercise::decode),
    ("dhcp_relay", dhcp::exercise::relay),
    ("file_name", files::exercise::name),
    ("hosts_csv", site_file::exercise::rows),
    ("mac", model::exercise::mac),
    ("site_yaml", site_file::exercise::site),
    ("stranger", http::ui::exercise::stranger),
    ("tftp_download", tftp::exercise::download),
    ("tftp_request", tftp::exercise::request),
    ("tftp_session", tftp::exercise::session),
    ("url", http::machine::exercise::url),
];

/// Runs the check of a target.
///
/// # Panics
/// If the target does not exist, or if what it checks does not hold.
pub fn run(target: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, check) = found.unwrap_or_else(|| panic!("there is no target {target}"));
    check(bytes);
}
