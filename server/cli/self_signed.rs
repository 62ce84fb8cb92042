//! The certificate of `rackstrap init --self-signed`.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::ifaddrs::getifaddrs;
use nix::unistd::Uid;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};

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
    let mut create = DirBuilder::new();
    create.recursive(true).mode(0o750);
    create.create(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    own(&config.data_dir, &directory)?;
    // The key first: the certificate is not used without it.
    write_file(&key, &pair.serialize_pem(), 0o600)?;
    write_file(&certificate, &made.pem(), 0o644)?;
    for file in [&key, &certificate] {
        own(&config.data_dir, file)?;
    }
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

fn write_file(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    // A file that is there keeps its mode.
    if path.exists() {
        std::fs::remove_file(path).with_context(failed)?;
    }
    let mut create = OpenOptions::new();
    let file = create.write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(failed)
}

/// Gives a file to the owner of the data directory, as whom the server runs.
fn own(data_dir: &Path, path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt;
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let owner = std::fs::metadata(data_dir)?;
    chown(path, Some(owner.uid()), Some(owner.gid())).with_context(|| {
        format!("cannot give {} to the owner of the data directory", path.display())
    })
}
