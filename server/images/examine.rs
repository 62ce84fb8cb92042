//! Looks at a file that would be added, without copying it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::convert;
use super::detect::FileFacts;
use super::download::{Download, DownloadError};
use super::facts;
use super::names::{FileRole, store_path};
use super::receive::{Expected, ReceiveError};
use super::store::{StoreError, check_whole, hex, role_of};
use crate::model::{CpuArch, FileContent};

/// What is read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What a file would be in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The key of an image that would name it.
    pub role: FileRole,
    /// What its bytes are.
    pub content: FileContent,
    /// The processors that it runs on.
    pub arch: Option<CpuArch>,
    /// The release of a kernel.
    pub kernel_version: Option<String>,
    /// Its size, where that is known before it is converted or unpacked.
    pub size_bytes: Option<u64>,
    /// SHA-256 in lower-case hexadecimal, where it was read to its end.
    pub sha256: Option<String>,
    /// Its path in the store, where its digest is known.
    pub path: Option<String>,
}

impl Examined {
    fn new(role: FileRole, facts: FileFacts) -> Self {
        let FileFacts { content, arch, kernel_version } = facts;
        Self { role, content, arch, kernel_version, size_bytes: None, sha256: None, path: None }
    }

    /// A file of an archive.
    fn member(role: FileRole) -> Self {
        let content = match role {
            FileRole::Kernel => FileContent::Kernel,
            _ => FileContent::Initrd,
        };
        Self::new(role, content.into())
    }
}

/// Why a file cannot be looked at, or would be refused.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// It would be refused, or cannot be read.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// Its server does not send it.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// Its server stopped sending it.
    #[error("cannot read the beginning of {url}: {source}")]
    Beginning {
        /// Where it is.
        url: String,
        /// Why.
        source: io::Error,
    },
}

impl From<StoreError> for ExamineError {
    fn from(error: StoreError) -> Self {
        Self::Receive(error.into())
    }
}

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Its beginning, which tells what it is.
    Beginning,
    /// All of it: its digest and whether it has its end.
    Whole,
}

/// Looks at a file of this host: of an ISO at its kernel and its initrd.
pub async fn examine_file(
    path: &Path,
    expected: Expected,
    depth: Depth,
) -> Result<Vec<Examined>, ExamineError> {
    let path = path.to_owned();
    let looked = spawn_blocking(move || look(&path, &expected, depth)).await;
    looked.map_err(ReceiveError::from)?
}

fn look(path: &Path, expected: &Expected, depth: Depth) -> Result<Vec<Examined>, ExamineError> {
    let read = |source| ReceiveError::Read { path: path.display().to_string(), source };
    let mut file = File::open(path).map_err(read)?;
    if !file.metadata().map_err(read)?.is_file() {
        return Err(read(io::Error::other("it is not a regular file")).into());
    }
    let facts = facts::of_file(path).map_err(read)?;
    let name = &expected.name;
    let role = role_of(expected.role, name, &facts)?;
    let Some(role) = role else {
        let members = convert::find_in_iso(path).map_err(StoreError::from)?;
        return Ok(members.map(|(role, _)| Examined::member(role)).into());
    };
    let is_converted = facts.content == FileContent::Qcow2;
    let mut found = Examined::new(role, facts.clone());
    if depth == Depth::Beginning {
        return Ok(vec![found]);
    }
    let (mut hash, mut size_bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer).map_err(read)? {
            0 => break,
            length => {
                hash.update(&buffer[..length]);
                size_bytes += length as u64;
            }
        }
    }
    let sha256 = hex(&hash.finalize());
    if let Some(wanted) = expected.sha256.clone().filter(|wanted| *wanted != sha256) {
        let name = name.clone();
        return Err(StoreError::Digest { name, expected: wanted, found: sha256 }.into());
    }
    if is_converted {
        convert::check_qcow2(path).map_err(StoreError::from)?;
        return Ok(vec![found]);
    }
    check_whole(path, name, role, &facts)?;
    found.path = Some(store_path(&sha256, name));
    found.size_bytes = Some(size_bytes);
    found.sha256 = Some(sha256);
    Ok(vec![found])
}

/// Looks at the beginning of a file on a server. Of an ISO there only the kernel and the initrd
/// can be named that it has to have.
pub async fn examine_url(url: &str, role: Option<FileRole>) -> Result<Vec<Examined>, ExamineError> {
    let download = Download::begin(url).await?;
    let (name, size_bytes) = (download.name.clone(), download.size_bytes);
    let beginning = download.beginning().await;
    let beginning = beginning
        .map_err(|source| ExamineError::Beginning { url: super::shown_url(url), source })?;
    let facts = facts::of_beginning(&beginning);
    Ok(match role_of(role, &name, &facts)? {
        Some(role) => vec![Examined { size_bytes, ..Examined::new(role, facts) }],
        None => vec![Examined::member(FileRole::Kernel), Examined::member(FileRole::Initrd)],
    })
}
