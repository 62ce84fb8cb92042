//! The certificate of `rackstrap init --self-signed`.

use std::net::IpAddr;
use std::path::PathBuf;

use nix::ifaddrs::getifaddrs;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};

use crate::cli::tls_files;
use crate::config::Config;

/// How long it is valid. Apple's systems refuse certificates for longer.
const DAYS: i64 = 825;

/// A certificate that was made.
pub(super) struct SelfSigned {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// The names and addresses that it is for.
    pub(super) names: Vec<String>,
}

/// Writes a certificate and its key below the data directory.
pub(super) fn write(config: &Config) -> anyhow::Result<SelfSigned> {
    let directory = config.data_dir.join("tls");
    let (certificate, key) = (directory.join("admin.crt"), directory.join("admin.key"));
    let names = names(config);
    let pair = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(names.clone())?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "rackstrap");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = time::OffsetDateTime::now_utc();
    parameters.not_before = now - time::Duration::days(1);
    parameters.not_after = now + time::Duration::days(DAYS);
    let made = parameters.self_signed(&pair)?;
    let files = [&certificate, &key];
    tls_files::write(&config.data_dir, files, [&made.pem(), &pair.serialize_pem()])?;
    Ok(SelfSigned { certificate, key, names })
}

/// The names that browsers may open the UI by: localhost, this computer's name, its addresses, and
/// `admin_names`.
fn names(config: &Config) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let is_name = |name: &String| crate::model::check_host_name(name).is_ok();
    names.extend(own.map(|name| name.trim().to_owned()).filter(is_name));
    names.extend(config.admin_names.iter().cloned());
    let mut addresses = vec![IpAddr::from([127, 0, 0, 1])];
    let found = getifaddrs().into_iter().flatten().filter_map(|entry| entry.address);
    addresses
        .extend(found.filter_map(|address| Some(IpAddr::from(address.as_sockaddr_in()?.ip()))));
    if !config.admin_listen.ip().is_unspecified() {
        addresses.push(config.admin_listen.ip());
    }
    names.extend(addresses.iter().map(ToString::to_string));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}
