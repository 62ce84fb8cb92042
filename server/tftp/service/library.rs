//! Resolves a name to a file, or to content that is generated on request.

use std::net::IpAddr;

use bytes::Bytes;

use super::report::TftpClient;
use crate::app::App;
use crate::boot::arch::is_raspberry_pi;
use crate::boot::script;
use crate::files::{FileError, FileStore};
use crate::lifecycle::gate;
use crate::tftp::packet::ErrorCode;

/// The script that iPXE asks its TFTP server for before anything else.
const AUTOEXEC: &str = "autoexec.ipxe";
/// What shim and iPXE ask for at the root although it lies beside them: with some
/// firmware they lose the directory that they came from.
const BESIDE_THE_LAST: [&str; 4] = ["grubx64.efi", "mmx64.efi", "revocations.efi", "ipxe.efi"];

/// What is sent.
pub(super) struct Content {
    /// The name it was found by.
    pub(super) path: String,
    /// All of it.
    pub(super) bytes: Bytes,
}

/// Why nothing is sent.
#[derive(Debug)]
pub(super) struct TftpError {
    /// The code of the ERROR packet.
    pub(super) code: ErrorCode,
    /// Its text.
    pub(super) text: String,
}

impl TftpError {
    pub(super) fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl From<FileError> for TftpError {
    fn from(error: FileError) -> Self {
        let code = match &error {
            FileError::NotFound(_) => ErrorCode::NotFound,
            FileError::Refused(..) => ErrorCode::Access,
            FileError::Io(..) => ErrorCode::Undefined,
        };
        Self::new(code, error.to_string())
    }
}

/// Generated content. `local` is this server's address as the client knows it.
pub(super) fn generated(app: &App, local: IpAddr, path: &str) -> Option<Bytes> {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    if name != AUTOEXEC {
        return None;
    }
    let base = app.config.machine_base_url(local).parse().ok()?;
    script::autoexec(&base).ok().map(Bytes::from)
}

/// Lets a client through that may fetch all of some names. TFTP knows no token of a boot, so that
/// no installer goes out by it.
pub(super) fn check_gate(
    app: &App,
    client: &TftpClient,
    names: &[String],
) -> Result<(), TftpError> {
    let snapshot = app.inventory.snapshot();
    let host = client.host().and_then(|name| snapshot.host(name));
    let verdict = app.inventory.verdict(&snapshot, host, None);
    let is_rom = client.mac().is_some_and(is_raspberry_pi);
    let may_fetch = |name: &String| gate::may_fetch(&verdict, name, &snapshot.site);
    if (!is_rom || gate::may_serve_rom(&verdict)) && names.iter().all(may_fetch) {
        return Ok(());
    }
    let host = client.host().unwrap_or_default();
    let text = format!("{host} does not boot {} from here", names.join(" or "));
    Err(TftpError::new(ErrorCode::Access, text))
}

/// The names to try in order, for a client whose last boot program lay in `directory`.
pub(super) fn candidates(path: &str, directory: &str) -> Vec<String> {
    let mut names = vec![path.to_owned()];
    if !directory.is_empty() && BESIDE_THE_LAST.contains(&path) {
        names.push(format!("{directory}/{path}"));
    }
    names
}

/// The first of some names that is cached: costs no system call.
pub(super) fn cached(files: &FileStore, names: &[String]) -> Option<Content> {
    // Only the first: whether the earlier of two names exists takes a look at the disk.
    let path = names.first()?;
    let bytes = files.cached(path)?.bytes;
    Some(Content { path: path.clone(), bytes })
}

/// Opens the first of some names that exists; the error is that of the first name.
pub(super) async fn open(files: &FileStore, names: Vec<String>) -> Result<Content, FileError> {
    let mut first_error = None;
    for path in names {
        match files.open(&path).await {
            Ok(file) => return Ok(Content { path, bytes: file.bytes }),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| FileError::NotFound(String::new())))
}
