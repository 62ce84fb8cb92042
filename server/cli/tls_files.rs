//! Certificates and keys below the data directory.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::unistd::Uid;

/// Writes a certificate and its key, in PEM, in place of those that are there. They belong to the
/// owner of the data directory, as whom the server runs.
pub(super) fn write(
    data_dir: &Path,
    [certificate, key]: [&PathBuf; 2],
    [certificate_pem, key_pem]: [&str; 2],
) -> anyhow::Result<()> {
    if let Some(directory) = certificate.parent() {
        let mut create = DirBuilder::new();
        create.recursive(true).mode(0o750);
        let failed = || format!("cannot create {}", directory.display());
        create.create(directory).with_context(failed)?;
        own(data_dir, directory)?;
    }
    // The key first: the certificate is not used without it.
    write_file(key, key_pem, 0o600)?;
    write_file(certificate, certificate_pem, 0o644)?;
    [key, certificate].into_iter().try_for_each(|file| own(data_dir, file))
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
