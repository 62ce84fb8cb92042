//! Boot files shared by TFTP and HTTP: safe names, memory-mapped contents.
//!
//! A file is opened and mapped once; every transfer of it shares those bytes.
//! Nothing is kept of a file that was replaced: its identity is looked at again
//! at each [`FileStore::open`] that comes more than a second after the last.

mod beneath;
mod contents;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
mod mapped;
pub mod names;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use beneath::{Links, Refusal};
use contents::Identity;
pub use contents::SMALL_BYTES;
pub use mapped::file_of;

/// For how long a file that was just looked at is taken to be unchanged.
const FRESH: Duration = Duration::from_secs(1);
/// For how long a file that nobody asks for stays mapped.
const KEPT: Duration = Duration::from_secs(60);
/// How many files a listing names at most.
const MAX_LISTED: usize = 10_000;

/// Finds files under its roots and shares their contents among all transfers. Cheap to clone.
#[derive(Clone)]
pub struct FileStore {
    shared: Arc<Shared>,
}

struct Shared {
    roots: Vec<Root>,
    cache: Mutex<HashMap<String, Cached>>,
}

#[derive(Clone)]
struct Root {
    path: PathBuf,
    links: Links,
}

struct Cached {
    identity: Identity,
    file: SharedFile,
    looked_at: Instant,
}

/// A file that is open: its bytes are shared, never copied per transfer.
///
/// Hand the bytes to sockets. Code that reads a large file's bytes itself dies
/// by SIGBUS if somebody truncates the file meanwhile; a socket call fails with
/// EFAULT instead.
#[derive(Clone)]
pub struct SharedFile {
    /// The whole content (memory-mapped, or in memory if it is small).
    pub bytes: Bytes,
    /// When it was changed last.
    pub modified: SystemTime,
    /// A strong HTTP entity tag, with its quotes.
    pub etag: String,
}

impl fmt::Debug for SharedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedFile({} bytes, {})", self.bytes.len(), self.etag)
    }
}

/// A file that could be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// The name to ask for it by.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// The root that has it.
    pub root: PathBuf,
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
    /// Symbolic links may not lead out of a root.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        let roots = roots.into_iter().map(|path| Root { path, links: Links::Beneath }).collect();
        Self::of(roots)
    }

    /// Serves the files of a distribution's package too, after all others. Its
    /// symbolic links may lead anywhere: Debian's `ipxe.efi` is one into `/boot`.
    #[must_use]
    pub fn with_package(&self, directory: PathBuf) -> Self {
        let mut roots = self.shared.roots.clone();
        roots.push(Root { path: directory, links: Links::Anywhere });
        Self::of(roots)
    }

    fn of(roots: Vec<Root>) -> Self {
        Self { shared: Arc::new(Shared { roots, cache: Mutex::default() }) }
    }

    /// Opens `name`, a relative path as a client wrote it (mapped to a safe one first).
    pub async fn open(&self, name: &str) -> Result<SharedFile, FileError> {
        let path = map_name(name)?;
        if let Some(file) = self.shared.fresh(&path) {
            return Ok(file);
        }
        let shared = Arc::clone(&self.shared);
        let asked = path.clone();
        let opened = tokio::task::spawn_blocking(move || shared.look(&asked)).await;
        opened.unwrap_or_else(|error| Err(FileError::Io(path, std::io::Error::other(error))))
    }

    /// The file if it was looked at within the last second: costs no system call
    /// and never waits for a disk.
    pub fn cached(&self, name: &str) -> Option<SharedFile> {
        self.shared.fresh(&map_name(name).ok()?)
    }

    /// Every file below the roots by name; one that an earlier root hides is left
    /// out. Bounded to 10,000 files; does not follow links to directories.
    pub async fn list(&self) -> Vec<ListedFile> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.list()).await.unwrap_or_default()
    }
}

fn map_name(name: &str) -> Result<String, FileError> {
    names::relative_path(name.as_bytes())
        .map_err(|reason| FileError::Refused(names::shown(name.as_bytes()), reason))
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, HashMap<String, Cached>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, path: &str) -> Option<SharedFile> {
        let cache = self.cache();
        let cached = cache.get(path)?;
        (cached.looked_at.elapsed() < FRESH).then(|| cached.file.clone())
    }

    /// Opens the file and gives what is mapped already if it is still the same.
    fn look(&self, path: &str) -> Result<SharedFile, FileError> {
        let (file, metadata) = self.find(path)?;
        let identity = Identity::of(&metadata);
        if let Some(cached) = self.cache().get_mut(path).filter(|c| c.identity == identity) {
            cached.looked_at = Instant::now();
            return Ok(cached.file.clone());
        }
        let bytes = contents::share(&file, metadata.len())
            .map_err(|error| FileError::Io(path.to_owned(), error))?;
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let file = SharedFile { bytes, modified, etag: identity.etag() };
        let now = Instant::now();
        let mut cache = self.cache();
        cache.retain(|_, cached| now.duration_since(cached.looked_at) < KEPT);
        cache.insert(path.to_owned(), Cached { identity, file: file.clone(), looked_at: now });
        Ok(file)
    }

    fn find(&self, path: &str) -> Result<(std::fs::File, std::fs::Metadata), FileError> {
        for root in &self.roots {
            match beneath::open_file(&root.path, root.links, path) {
                Ok(found) => return Ok(found),
                Err(Refusal::Absent) => {}
                Err(Refusal::Forbidden(reason)) => {
                    return Err(FileError::Refused(path.to_owned(), reason));
                }
                Err(Refusal::Io(error)) => return Err(FileError::Io(path.to_owned(), error)),
            }
        }
        Err(FileError::NotFound(path.to_owned()))
    }

    fn list(&self) -> Vec<ListedFile> {
        let mut files: Vec<ListedFile> = Vec::new();
        for root in &self.roots {
            let mut waiting = vec![PathBuf::new()];
            while let Some(directory) = waiting.pop() {
                let Ok(entries) = std::fs::read_dir(root.path.join(&directory)) else { continue };
                for entry in entries.flatten().take(MAX_LISTED) {
                    let name = directory.join(entry.file_name());
                    match entry.file_type() {
                        Ok(kind) if kind.is_dir() => waiting.push(name),
                        Ok(_) => files.extend(self.listed(root, &name)),
                        Err(_) => {}
                    }
                }
                if files.len() >= MAX_LISTED {
                    break;
                }
            }
        }
        // Stable: of two with one name, the earlier root's stays.
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files.dedup_by(|later, earlier| later.name == earlier.name);
        files.truncate(MAX_LISTED);
        files
    }

    fn listed(&self, root: &Root, name: &Path) -> Option<ListedFile> {
        let name = name.to_str()?.to_owned();
        let (_, metadata) = beneath::open_file(&root.path, root.links, &name).ok()?;
        Some(ListedFile { name, size_bytes: metadata.len(), root: root.path.clone() })
    }
}

#[cfg(test)]
mod tests;
