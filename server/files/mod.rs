//! Boot files for TFTP and HTTP: safe names, memory-mapped contents.
//!
//! A file is opened and mapped once, and all its transfers share the bytes. An
//! [`FileStore::open`] more than one second after the last check notices a replaced file.

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

use beneath::{Links, OpenRefusal};
pub use contents::SMALL_BYTES;
use contents::{Identity, Inode};
pub use mapped::{file_of, mapping_of};

/// How long a file counts as unchanged after a check.
const FRESH: Duration = Duration::from_secs(1);
/// How long an unused file stays mapped.
const KEPT: Duration = Duration::from_secs(60);
/// The most files in a listing.
const MAX_LISTED: usize = 10_000;

/// The files below some directories, with contents shared by all transfers. Cheap to clone.
#[derive(Clone)]
pub struct FileStore {
    shared: Arc<Shared>,
}

struct Shared {
    roots: Vec<Root>,
    cache: Mutex<HashMap<String, Cached>>,
    /// What withheld names led to lately; nothing, if there was no such file.
    withheld: Mutex<HashMap<String, (Option<Inode>, Instant)>>,
}

#[derive(Clone)]
struct Root {
    path: PathBuf,
    links: Links,
}

struct Cached {
    identity: Identity,
    file: SharedFile,
    checked_at: Instant,
}

/// An open file with shared bytes.
///
/// Pass the bytes to socket calls only. If a large file is truncated meanwhile, a socket call
/// fails with EFAULT, but code that reads the bytes itself gets SIGBUS.
#[derive(Clone)]
pub struct SharedFile {
    /// The contents, mapped or, if small, read into memory.
    pub bytes: Bytes,
    /// Modification time.
    pub modified: SystemTime,
    /// A strong HTTP entity tag, with its quotes.
    pub etag: String,
    inode: Inode,
}

impl fmt::Debug for SharedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedFile({} bytes, {})", self.bytes.len(), self.etag)
    }
}

/// A file in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// The name to request it by.
    pub name: String,
    /// Size.
    pub size_bytes: u64,
    /// The directory that it is in.
    pub root: PathBuf,
}

/// Why a file cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file does not exist.
    #[error("no file \"{0}\" here")]
    NotFound(String),
    /// The name leaves the directories, or is not a regular file.
    #[error("file name \"{0}\" is not allowed: {1}")]
    Refused(String, &'static str),
    /// The system call failed.
    #[error("cannot read file \"{0}\": {1}")]
    Io(String, std::io::Error),
}

impl FileStore {
    /// Serves the files below `roots`; the first root with the name wins. Symbolic links out of a
    /// root are refused.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        let roots = roots.into_iter().map(|path| Root { path, links: Links::Beneath }).collect();
        Self::of(roots)
    }

    /// Adds the directory of a distribution package, after all others. Its symbolic links may lead
    /// anywhere: Debian's `ipxe.efi` is a link into `/boot`.
    #[must_use]
    pub fn with_package(&self, directory: PathBuf) -> Self {
        let mut roots = self.shared.roots.clone();
        roots.push(Root { path: directory, links: Links::Anywhere });
        Self::of(roots)
    }

    fn of(roots: Vec<Root>) -> Self {
        Self {
            shared: Arc::new(Shared { roots, cache: Mutex::default(), withheld: Mutex::default() }),
        }
    }

    /// Opens a file by the name in a client's request, see [`names::relative_path`].
    pub async fn open(&self, name: &str) -> Result<SharedFile, FileError> {
        let path = map_name(name)?;
        if let Some(file) = self.shared.fresh(&path) {
            return Ok(file);
        }
        let shared = Arc::clone(&self.shared);
        let asked = path.clone();
        let opened = tokio::task::spawn_blocking(move || shared.check(&asked)).await;
        opened.unwrap_or_else(|error| Err(FileError::Io(path, std::io::Error::other(error))))
    }

    /// Opens a file by the name in a client's request, unless it is one of the files `withheld` by
    /// another name: a link, or another spelling.
    pub async fn open_apart(
        &self,
        name: &str,
        withheld: &[String],
    ) -> Result<SharedFile, FileError> {
        let file = self.open(name).await?;
        if withheld.is_empty() {
            return Ok(file);
        }
        let is_withheld = match self.shared.is_one_of(&file, withheld) {
            Some(known) => known,
            None => {
                let (shared, names) = (Arc::clone(&self.shared), withheld.to_vec());
                let looked = tokio::task::spawn_blocking(move || shared.look_at(&names)).await;
                looked.map_err(|error| {
                    FileError::Io(name.to_owned(), std::io::Error::other(error))
                })?;
                // What is not known now is given to nobody.
                self.shared.is_one_of(&file, withheld).unwrap_or(true)
            }
        };
        if is_withheld {
            let shown = names::shown(name.as_bytes());
            return Err(FileError::Refused(shown, "it is a file of an image that installs"));
        }
        Ok(file)
    }

    /// The file that [`FileStore::open_apart`] gives, if everything was looked at within the last
    /// second. Makes no system call.
    pub fn cached_apart(&self, name: &str, withheld: &[String]) -> Option<SharedFile> {
        let file = self.shared.fresh(&map_name(name).ok()?)?;
        let is_apart = withheld.is_empty() || self.shared.is_one_of(&file, withheld) == Some(false);
        is_apart.then_some(file)
    }

    /// Why a file cannot be opened, if it cannot. Waits for the disk.
    pub fn fault(&self, name: &str) -> Option<FileError> {
        map_name(name).and_then(|path| self.shared.find(&path)).err()
    }

    /// All files by name, without those hidden by an earlier root: at most 10,000. Does not follow
    /// links to directories.
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
        (cached.checked_at.elapsed() < FRESH).then(|| cached.file.clone())
    }

    /// Opens the file and reuses its mapping if it is unchanged.
    fn check(&self, path: &str) -> Result<SharedFile, FileError> {
        let (file, metadata) = self.find(path)?;
        let identity = Identity::of(&metadata);
        if let Some(cached) = self.cache().get_mut(path).filter(|c| c.identity == identity) {
            cached.checked_at = Instant::now();
            return Ok(cached.file.clone());
        }
        let bytes = contents::share(&file, metadata.len())
            .map_err(|error| FileError::Io(path.to_owned(), error))?;
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let (etag, inode) = (identity.etag(), identity.inode());
        let file = SharedFile { bytes, modified, etag, inode };
        let now = Instant::now();
        let mut cache = self.cache();
        cache.retain(|_, cached| now.duration_since(cached.checked_at) < KEPT);
        cache.insert(path.to_owned(), Cached { identity, file: file.clone(), checked_at: now });
        Ok(file)
    }

    fn withheld(&self) -> MutexGuard<'_, HashMap<String, (Option<Inode>, Instant)>> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a file is that of one of some names, if all of them were looked at lately.
    fn is_one_of(&self, file: &SharedFile, names: &[String]) -> Option<bool> {
        let known = self.withheld();
        let mut is_one = false;
        for name in names {
            let (inode, looked_at) = known.get(name)?;
            if looked_at.elapsed() >= FRESH {
                return None;
            }
            is_one |= *inode == Some(file.inode);
        }
        Some(is_one)
    }

    /// Looks at what some names lead to.
    fn look_at(&self, names: &[String]) {
        for name in names {
            let found = map_name(name).and_then(|path| self.find(&path)).ok();
            let inode = found.map(|(_, metadata)| Identity::of(&metadata).inode());
            let now = Instant::now();
            let mut known = self.withheld();
            known.retain(|_, (_, looked_at)| now.duration_since(*looked_at) < KEPT);
            known.insert(name.clone(), (inode, now));
        }
    }

    fn find(&self, path: &str) -> Result<(std::fs::File, std::fs::Metadata), FileError> {
        for root in &self.roots {
            match beneath::open_file(&root.path, root.links, path) {
                Ok(found) => return Ok(found),
                Err(OpenRefusal::Absent) => {}
                Err(OpenRefusal::Forbidden(reason)) => {
                    return Err(FileError::Refused(path.to_owned(), reason));
                }
                Err(OpenRefusal::Io(error)) => return Err(FileError::Io(path.to_owned(), error)),
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
        // A stable sort: of two files with one name, that of the earlier root stays.
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
