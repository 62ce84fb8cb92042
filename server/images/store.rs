//! The store on the disk. Everything here waits for the disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{collections::BTreeSet, mem};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::convert::{self, ConvertError};
use super::detect::{FileFacts, HEAD_BYTES};
use super::facts::{self, DiskContents};
use super::names::{FileRole, RoleRefusal, advice, store_path};
use crate::model::{FileContent, STORE_FOLDER, StoredFile, StoredFileFault, size_text};

/// What arrives, in the folder of the store.
const INCOMING: &str = ".incoming";
/// What is left free on the disk, where the database may be too: with a full disk, new clients
/// get no address.
const RESERVE_BYTES: u64 = 64 << 20;
/// How often free space is looked at while a file of unknown size arrives.
const LOOK_EVERY_BYTES: u64 = 16 << 20;
/// What is read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Why a file is not stored. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not fit.
    #[error(
        "not enough space on the disk of {directory}: {} needed, {} free (64 MiB stay free)",
        size_text(*.needed_bytes), size_text(*.free_bytes)
    )]
    NoSpace {
        /// The files directory.
        directory: String,
        /// How much it needs.
        needed_bytes: u64,
        /// How much there is.
        free_bytes: u64,
    },
    /// A system call failed.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// More or fewer bytes came than were announced.
    #[error("{name} has {found} bytes instead of {expected}: the transfer was cut")]
    Length {
        /// The file.
        name: String,
        /// How many bytes were announced.
        expected: u64,
        /// How many came.
        found: u64,
    },
    /// The digest is not the one that was given.
    #[error(
        "the SHA-256 of {name} is {found}, not {expected}: it was changed or damaged on its way"
    )]
    Digest {
        /// The file.
        name: String,
        /// The digest that was given.
        expected: String,
        /// That of the bytes.
        found: String,
    },
    /// It is something else than what it was given as.
    #[error(transparent)]
    Role(#[from] RoleRefusal),
    /// It cannot be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// It is of no kind that an image has a key for.
    #[error(
        "{name} is not a kernel, disk image, EFI program or iPXE script: found {content}{}",
        advice(*.content, .name)
    )]
    Nameless {
        /// The file.
        name: String,
        /// What it is.
        content: FileContent,
    },
    /// Its end is missing, or it does not unpack.
    #[error("{name} is damaged: {reason}")]
    Damaged {
        /// The file.
        name: String,
        /// What the decoder says, or what is missing.
        reason: String,
    },
    /// Whoever copies it was asked to stop.
    #[error("interrupted: nothing was added")]
    Interrupted,
}

impl StoreError {
    pub(super) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        failed(what, path)(source)
    }
}

/// A file that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedFile {
    /// The key of an image that names it.
    pub role: FileRole,
    /// Its path below the files directory.
    pub path: String,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time, in Unix milliseconds.
    pub modified_ms: i64,
    /// Whether the store did not have it.
    pub is_new: bool,
    pub(crate) facts: FileFacts,
    pub(crate) disk: Option<DiskContents>,
    pub(super) claim: Claim,
}

/// Keeps a file of the store from being removed as unused, by any process, until it is dropped:
/// an image that names it may be about to be saved.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    _lock: Arc<Flock<File>>,
}

impl PartialEq for Claim {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Claim {}

/// The right to add files to the store and to remove some: one process has it at a time.
#[derive(Debug)]
pub(super) struct StoreLock {
    _lock: Flock<File>,
}

/// A file of the store that nobody claims, and that nobody can claim while this exists.
#[derive(Debug)]
pub(super) struct Unclaimed {
    _lock: Option<Flock<File>>,
}

/// What this process receives.
#[derive(Debug, Default)]
struct Receiving {
    parts: BTreeSet<PathBuf>,
    is_interrupted: bool,
}

/// The store below a files directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ImageStore {
    files: PathBuf,
    receiving: Arc<Mutex<Receiving>>,
}

impl ImageStore {
    /// The store of a files directory.
    pub fn new(files: PathBuf) -> Self {
        let files = std::path::absolute(&files).unwrap_or(files);
        Self { files, receiving: Arc::default() }
    }

    /// Stops whatever is received through this store or a clone of it, and removes what has come.
    pub fn interrupt(&self) {
        let mut receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        receiving.is_interrupted = true;
        for part in mem::take(&mut receiving.parts) {
            let _ = fs::remove_file(part);
        }
    }

    fn check_interrupted(&self) -> Result<(), StoreError> {
        let receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        if receiving.is_interrupted { Err(StoreError::Interrupted) } else { Ok(()) }
    }

    /// Waits until nobody else adds or removes files.
    pub(super) fn turn(&self) -> Result<StoreLock, StoreError> {
        let folder = self.files.join(STORE_FOLDER);
        self.create_folder(&folder)?;
        Ok(StoreLock { _lock: lock_folder(&folder, FlockArg::LockExclusive)? })
    }

    /// Keeps a file of the store from being removed.
    fn claim(&self, full: &Path) -> Result<Claim, StoreError> {
        let file = File::open(full).map_err(failed("open", full))?;
        let lock = Flock::lock(file, FlockArg::LockShared);
        let lock = lock.map_err(|(_, error)| failed("lock", full)(error.into()))?;
        Ok(Claim { _lock: Arc::new(lock) })
    }

    /// Locks a file of the store that nobody claims; none if somebody does.
    pub(super) fn unclaimed(&self, path: &str) -> Result<Option<Unclaimed>, StoreError> {
        let full = self.files.join(path);
        // Over NFS an exclusive lock needs a file that is open for writing.
        let file = match OpenOptions::new().read(true).write(true).open(&full) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Some(Unclaimed { _lock: None }));
            }
            Err(error) => return Err(failed("open", &full)(error)),
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Unclaimed { _lock: Some(lock) })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(failed("lock", &full)(error.into())),
        }
    }

    /// Whether a path is that of a file that did not arrive whole.
    pub(super) fn is_part(&self, path: &str) -> bool {
        self.files.join(path).parent() == Some(&self.incoming())
    }

    /// The files directory.
    pub fn directory(&self) -> &Path {
        &self.files
    }

    /// The files directory, or the nearest directory above that exists: the first file makes it.
    fn existing(&self) -> &Path {
        self.files.ancestors().find(|path| path.exists()).unwrap_or(&self.files)
    }

    fn incoming(&self) -> PathBuf {
        self.files.join(STORE_FOLDER).join(INCOMING)
    }

    /// How many bytes are free on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`]
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        let there = self.existing();
        let disk = statvfs(there).map_err(io::Error::from);
        let disk = disk.map_err(failed("look at the disk of", there))?;
        Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
    }

    /// Refuses what does not fit on the disk.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`]
    pub fn check_space(&self, needed_bytes: u64) -> Result<(), StoreError> {
        let free_bytes = self.free_bytes()?;
        if needed_bytes.saturating_add(RESERVE_BYTES) <= free_bytes {
            return Ok(());
        }
        let directory = self.files.display().to_string();
        Err(StoreError::NoSpace { directory, needed_bytes, free_bytes })
    }

    /// Begins to receive a file, of `size_bytes` if that is known.
    pub(crate) fn receive(&self, size_bytes: Option<u64>) -> Result<IncomingFile, StoreError> {
        self.check_space(size_bytes.unwrap_or_default())?;
        let folder = self.incoming();
        self.create_folder(&folder)?;
        // What a process left that was killed takes the space of what comes.
        if let Err(error) = self.sweep() {
            tracing::warn!("files that did not arrive whole remain: {error}");
        }
        // Held until the new file has its own lock, so that nobody sweeps it away in between.
        let _creating = lock_folder(&folder, FlockArg::LockShared)?;
        let path = folder.join(format!("{:032x}", rand::random::<u128>()));
        let mut create = OpenOptions::new();
        let create = create.read(true).write(true).create_new(true).mode(0o644);
        let mut receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        if receiving.is_interrupted {
            return Err(StoreError::Interrupted);
        }
        let file = create.open(&path).map_err(failed("create", &path))?;
        receiving.parts.insert(path.clone());
        drop(receiving);
        self.give_to_owner(&file).map_err(failed("change the owner of", &path))?;
        let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let file = locked.map_err(|(_, error)| failed("lock", &path)(error.into()))?;
        let incoming = IncomingFile {
            store: self.clone(),
            file,
            path,
            hash: Sha256::new(),
            beginning: Vec::new(),
            size_bytes: 0,
            is_reserved: size_bytes.is_some(),
        };
        if let Some(size_bytes) = size_bytes.filter(|size| *size > 0) {
            incoming.reserve(size_bytes)?;
        }
        Ok(incoming)
    }

    /// Removes what was received in part by processes that are gone; how many files that were.
    pub fn sweep(&self) -> Result<usize, StoreError> {
        let folder = self.incoming();
        if !folder.is_dir() {
            return Ok(0);
        }
        let _sweeping = lock_folder(&folder, FlockArg::LockExclusive)?;
        let left = left_in(&folder)?;
        for (path, _) in &left {
            fs::remove_file(path).map_err(failed("remove", path))?;
        }
        Ok(left.len())
    }

    /// What [`sweep`](Self::sweep) would remove: path below the files directory and size in bytes.
    pub(super) fn left_over(&self) -> Vec<(String, u64)> {
        let folder = self.incoming();
        let left = lock_folder(&folder, FlockArg::LockExclusive).and_then(|_| left_in(&folder));
        let named = |(path, bytes): (PathBuf, u64)| {
            Some((path.strip_prefix(&self.files).ok()?.to_str()?.to_owned(), bytes))
        };
        left.unwrap_or_default().into_iter().filter_map(named).collect()
    }

    /// Why a file of the store is not the one that was recorded; none for a sound one. The outer
    /// error is that of looking at it.
    pub fn fault(&self, record: &StoredFile) -> io::Result<Option<StoredFileFault>> {
        let metadata = fs::metadata(self.files.join(&record.path))?;
        Ok(record.fault(metadata.len(), modified_ms(&metadata)))
    }

    /// The digest of a file, its size and its modification time (Unix milliseconds).
    pub(crate) fn digest(&self, path: &str, mut seen: impl FnMut(u64)) -> io::Result<Digested> {
        let mut file = File::open(self.files.join(path))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => {
                    hash.update(&buffer[..length]);
                    seen(length as u64);
                }
            }
        }
        let metadata = file.metadata()?;
        let sha256 = hex(&hash.finalize());
        Ok(Digested { sha256, modified_ms: modified_ms(&metadata) })
    }

    /// The files of the store by path, with their sizes.
    pub fn list(&self) -> Vec<(String, u64)> {
        let store = self.files.join(STORE_FOLDER);
        let folders = fs::read_dir(&store).into_iter().flatten().flatten();
        let folders = folders.filter(|entry| entry.file_name() != INCOMING);
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten());
        let listed = |entry: fs::DirEntry| {
            let path = entry.path();
            let path = path.strip_prefix(&self.files).ok()?.to_str()?.to_owned();
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((path, metadata.len()))
        };
        let mut files: Vec<_> = files.flatten().filter_map(listed).collect();
        files.sort();
        files
    }

    /// Removes a file of the store and its folder.
    pub fn remove(&self, path: &str) -> Result<(), StoreError> {
        let full = self.files.join(path);
        match fs::remove_file(&full) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("remove", &full)(error));
            }
            _ => {}
        }
        // Another name of the same contents may be in it.
        if let Some(folder) = full.parent() {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    fn create_folder(&self, folder: &Path) -> Result<(), StoreError> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.is_dir()).collect();
        for path in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o755).create(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                made => made.map_err(failed("create", path))?,
            }
            if let Some(owner) = self.owner() {
                let given = chown(path, Some(owner.0), Some(owner.1));
                given.map_err(failed("change the owner of", path))?;
            }
            if let Some(parent) = path.parent() {
                sync_folder(parent)?;
            }
        }
        Ok(())
    }

    /// Who owns the files directory, if root adds to that of another user.
    fn owner(&self) -> Option<(u32, u32)> {
        let metadata = fs::metadata(self.existing()).ok()?;
        (geteuid().is_root() && metadata.uid() != 0).then(|| (metadata.uid(), metadata.gid()))
    }

    fn give_to_owner(&self, file: &File) -> io::Result<()> {
        match self.owner() {
            Some((user, group)) => fchown(file, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

/// What a file is now.
pub(crate) struct Digested {
    pub(crate) sha256: String,
    pub(crate) modified_ms: i64,
}

/// What is expected of a file that has arrived.
#[derive(Clone)]
pub(crate) struct ExpectedFile<'a> {
    /// What it is called by whoever sends it.
    pub name: &'a str,
    /// What it is for; what its contents are for where none is given.
    pub role: Option<FileRole>,
    pub size_bytes: Option<u64>,
    /// In lower-case hexadecimal.
    pub sha256: Option<&'a str>,
}

/// A file that has come whole and can be used for what it is wanted for.
#[derive(Debug)]
pub struct ReceivedFile {
    incoming: IncomingFile,
    name: String,
    role: FileRole,
    sha256: String,
    facts: FileFacts,
    disk: Option<DiskContents>,
}

impl ReceivedFile {
    /// SHA-256 in lower-case hexadecimal.
    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Moves it to its place, or to that of the record of the same contents, and claims it. The
    /// turn shows that the record is the newest.
    pub(super) fn place(
        self,
        _turn: &StoreLock,
        known: Option<&StoredFile>,
    ) -> Result<ArrivedFile, StoreError> {
        let Self { incoming, name, role, sha256, facts, disk } = self;
        let store = incoming.store.clone();
        store.check_interrupted()?;
        let is_sound =
            |known: &StoredFile| !known.is_damaged && matches!(store.fault(known), Ok(None));
        let is_new = !known.is_some_and(is_sound);
        let path = known.map_or_else(|| store_path(&sha256, &name), |known| known.path.clone());
        let full = store.files.join(&path);
        if is_new {
            incoming.place(&full)?;
        }
        let size_bytes = incoming.size_bytes;
        // Its lock is exclusive and follows the file to its place.
        drop(incoming);
        let claim = store.claim(&full)?;
        let metadata = fs::metadata(&full).map_err(failed("read", &full))?;
        let modified_ms = modified_ms(&metadata);
        Ok(ArrivedFile { role, path, sha256, size_bytes, modified_ms, is_new, facts, disk, claim })
    }
}

/// What a file is for, if it can be used for that: what it is wanted for, else what its contents
/// are for. None for an archive that has such files in it.
pub(super) fn role_of(
    wanted: Option<FileRole>,
    name: &str,
    facts: &FileFacts,
) -> Result<Option<FileRole>, StoreError> {
    match wanted {
        Some(role) => {
            role.check(name, facts)?;
            Ok(Some(role))
        }
        None if facts.content == FileContent::Iso => Ok(None),
        None => match FileRole::of_content(facts.content) {
            Some(role) => Ok(Some(role)),
            None => Err(StoreError::Nameless { name: name.to_owned(), content: facts.content }),
        },
    }
}

/// Checks that a file has its end: of a disk image, what it puts on a disk.
pub(super) fn check_whole(
    path: &Path,
    name: &str,
    role: FileRole,
    facts: &FileFacts,
) -> Result<Option<DiskContents>, StoreError> {
    facts::check_whole(path, role, facts.content)
        .map_err(|error| StoreError::Damaged { name: name.to_owned(), reason: error.to_string() })
}

/// A file that arrives. Dropped before it is finished, nothing of it is left.
#[derive(Debug)]
pub(crate) struct IncomingFile {
    store: ImageStore,
    file: Flock<File>,
    path: PathBuf,
    hash: Sha256,
    /// Its first bytes, until they have told what it is.
    beginning: Vec<u8>,
    size_bytes: u64,
    is_reserved: bool,
}

impl IncomingFile {
    /// Takes space on the disk for the whole file.
    fn reserve(&self, size_bytes: u64) -> Result<(), StoreError> {
        let length = i64::try_from(size_bytes).unwrap_or(i64::MAX);
        match fallocate(&*self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length) {
            // NFS and others cannot; the free space was compared before.
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => Ok(()),
            Err(error) => Err(self.write_failed(error.into(), size_bytes)),
        }
    }

    /// Adds the next bytes. A file whose beginning shows that it is not what is wanted is refused
    /// before the rest comes.
    pub(crate) fn write_wanted(
        &mut self,
        bytes: &[u8],
        wanted: &ExpectedFile<'_>,
    ) -> Result<(), StoreError> {
        let before = self.beginning.len();
        if self.size_bytes < HEAD_BYTES as u64 {
            self.beginning.extend(bytes.iter().take(HEAD_BYTES - before));
            if self.beginning.len() == HEAD_BYTES {
                let facts = facts::of_beginning(&mem::take(&mut self.beginning));
                role_of(wanted.role, wanted.name, &facts)?;
            }
        }
        self.write(bytes)
    }

    /// Adds the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.store.check_interrupted()?;
        let before = self.size_bytes / LOOK_EVERY_BYTES;
        self.size_bytes += bytes.len() as u64;
        if !self.is_reserved && self.size_bytes / LOOK_EVERY_BYTES != before {
            self.store.check_space(LOOK_EVERY_BYTES)?;
        }
        let written = self.file.write_all(bytes);
        written.map_err(|error| self.write_failed(error, bytes.len() as u64))?;
        self.hash.update(bytes);
        Ok(())
    }

    /// How many bytes have come.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn write_failed(&self, error: io::Error, needed_bytes: u64) -> StoreError {
        if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            let directory = self.store.files.display().to_string();
            return StoreError::NoSpace { directory, needed_bytes, free_bytes: 0 };
        }
        failed("write", &self.path)(error)
    }

    /// Checks the length and the digest of what came.
    fn check(&mut self, wanted: &ExpectedFile<'_>) -> Result<String, StoreError> {
        let name = wanted.name.to_owned();
        if let Some(expected) = wanted.size_bytes.filter(|size| *size != self.size_bytes) {
            return Err(StoreError::Length { name, expected, found: self.size_bytes });
        }
        let sha256 = hex(&self.hash.finalize_reset());
        match wanted.sha256 {
            Some(expected) if expected != sha256 => {
                Err(StoreError::Digest { name, expected: expected.to_owned(), found: sha256 })
            }
            _ => Ok(sha256),
        }
    }

    /// Checks the whole file: of a qcow2 image what it puts on a disk, of an ISO its kernel and its
    /// initrd.
    pub(crate) fn finish(
        mut self,
        wanted: &ExpectedFile<'_>,
    ) -> Result<Vec<ReceivedFile>, StoreError> {
        let name = wanted.name.to_owned();
        let sha256 = self.check(wanted)?;
        let facts = facts::of_file(&self.path).map_err(failed("read", &self.path))?;
        let Some(role) = role_of(wanted.role, &name, &facts)? else {
            return self.finish_iso();
        };
        if facts.content == FileContent::Qcow2 {
            return self.finish_qcow2(wanted);
        }
        let disk = check_whole(&self.path, &name, role, &facts)?;
        self.store.check_interrupted()?;
        Ok(vec![ReceivedFile { incoming: self, name, role, sha256, facts, disk }])
    }

    /// Stores what a qcow2 image puts on a disk, compressed.
    fn finish_qcow2(self, wanted: &ExpectedFile<'_>) -> Result<Vec<ReceivedFile>, StoreError> {
        // It keeps its lock while qemu-img writes to it, and goes with it.
        let scratch = self.store.receive(None)?;
        let mut packed = self.store.receive(None)?;
        convert::unpack_qcow2(&self.path, &scratch.path, &mut packed)?;
        drop((scratch, self));
        let name = format!("{}.raw.zst", wanted.name.trim_end_matches(".qcow2"));
        packed.finish(&ExpectedFile {
            name: &name,
            size_bytes: None,
            sha256: None,
            ..wanted.clone()
        })
    }

    /// Stores the kernel and the initrd of an ISO.
    fn finish_iso(self) -> Result<Vec<ReceivedFile>, StoreError> {
        let mut arrived = Vec::new();
        for (role, member) in convert::find_in_iso(&self.path)? {
            let (role, name) = (Some(role), member.as_str());
            let own = ExpectedFile { name, role, size_bytes: None, sha256: None };
            arrived.extend(convert::extract(&self.store, &self.path, name)?.finish(&own)?);
        }
        Ok(arrived)
    }

    fn place(&self, full: &Path) -> Result<(), StoreError> {
        let folder = full.parent().unwrap_or(&self.store.files);
        self.store.create_folder(folder)?;
        // A power cut must not leave a file of that name with other bytes.
        self.file
            .set_permissions(fs::Permissions::from_mode(0o644))
            .map_err(failed("set the mode of", &self.path))?;
        self.file.sync_all().map_err(failed("write", &self.path))?;
        fs::rename(&self.path, full).map_err(failed("move to its place", full))?;
        sync_folder(folder)
    }
}

impl Drop for IncomingFile {
    fn drop(&mut self) {
        // Gone already if it is in its place.
        let _ = fs::remove_file(&self.path);
        let mut receiving = self.store.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        receiving.parts.remove(&self.path);
    }
}

/// The files of a folder that no process writes, with their sizes.
fn left_in(folder: &Path) -> Result<Vec<(PathBuf, u64)>, StoreError> {
    let entries = fs::read_dir(folder).map_err(failed("read", folder))?.flatten();
    let left = |entry: fs::DirEntry| {
        let path = entry.path();
        let file = File::open(&path).ok()?;
        let size_bytes = file.metadata().ok()?.len();
        Flock::lock(file, FlockArg::LockExclusiveNonblock).ok().map(|_| (path, size_bytes))
    };
    Ok(entries.filter_map(left).collect())
}

fn lock_folder(folder: &Path, how: FlockArg) -> Result<Flock<File>, StoreError> {
    let open = File::open(folder).map_err(failed("open", folder))?;
    Flock::lock(open, how).map_err(|(_, error)| failed("lock", folder)(error.into()))
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed("write", folder))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::Io { what, path, source }
}

fn modified_ms(metadata: &fs::Metadata) -> i64 {
    metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
