//! Boot files shared by TFTP and HTTP: safe names, memory-mapped contents.

use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;

/// Finds files under its roots and shares their contents among all transfers. Cheap to clone.
#[derive(Clone)]
pub struct FileStore {}

/// A file that is open: its bytes are shared, never copied per transfer.
#[derive(Clone, Debug)]
pub struct SharedFile {
    /// The whole content (memory-mapped).
    pub bytes: Bytes,
    /// When it was changed last.
    pub modified: SystemTime,
    /// A strong HTTP entity tag, with its quotes.
    pub etag: String,
}

/// Why a file is not served.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No root has it.
    #[error("no file \"{0}\" here")]
    NotFound(String),
    /// The name leaves the roots, or is no regular file.
    #[error("file name \"{0}\" is not allowed: {1}")]
    Refused(String, &'static str),
    /// The operating system refused.
    #[error("file \"{0}\" cannot be read: {1}")]
    Io(String, std::io::Error),
}

impl FileStore {
    /// Serves the files under `roots`; the first root that has a name wins.
    pub fn new(_roots: Vec<PathBuf>) -> Self {
        Self {}
    }

    /// Opens `name`, a relative path as a client wrote it (mapped to a safe one first).
    pub async fn open(&self, name: &str) -> Result<SharedFile, FileError> {
        Err(FileError::NotFound(name.to_owned()))
    }
}
