//! What is recorded of the files in the store, and what that says of them later.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::receive::ReceiveError;
use super::store::{ArrivedFile, ImageStore, ReceivedFile, StoreError, StoreLock};
use crate::inventory::{self, Inventory};
use crate::model::{Site, StoredFile};

/// Where a file came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// A path, a URL, or `upload NAME`.
    pub origin: String,
    /// A user's name, `token NAME`, or the login name of whoever ran a command.
    pub who: String,
    /// When, in Unix seconds.
    pub at: i64,
}

/// Why files were not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// A file did not arrive.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// It cannot be recorded.
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
}

impl From<StoreError> for AddError {
    fn from(error: StoreError) -> Self {
        Self::Receive(error.into())
    }
}

/// Moves files that were received to their places in the store and records them. Nobody removes
/// them as unused before the last copy of what this returns is dropped.
pub async fn keep(
    store: &ImageStore,
    inventory: &Inventory,
    received: Vec<ReceivedFile>,
    from: &Provenance,
) -> Result<Vec<ArrivedFile>, AddError> {
    let turn = Arc::new(turn(store).await?);
    inventory.reload_stored_files().await?;
    let mut kept = Vec::new();
    for file in received {
        let known = inventory.stored_files().with_digest(file.sha256()).cloned();
        let (own, is_known) = (turn.clone(), known.is_some());
        let place = move || file.place(&own, known.as_ref());
        let arrived = spawn_blocking(place).await.map_err(ReceiveError::from)??;
        if arrived.is_new || !is_known {
            inventory.record_stored_file(&record_of(&arrived, from)).await?;
        }
        kept.push(arrived);
    }
    Ok(kept)
}

async fn turn(store: &ImageStore) -> Result<StoreLock, AddError> {
    let store = store.clone();
    let waited = spawn_blocking(move || store.turn()).await.map_err(ReceiveError::from)?;
    Ok(waited?)
}

/// What is recorded of a file that was received.
fn record_of(arrived: &ArrivedFile, from: &Provenance) -> StoredFile {
    let disk = arrived.disk.as_ref();
    StoredFile {
        path: arrived.path.clone(),
        sha256: arrived.sha256.clone(),
        size_bytes: arrived.size_bytes,
        content: arrived.facts.content,
        arch: arrived.facts.arch,
        kernel_version: arrived.facts.kernel_version.clone(),
        origin: from.origin.clone(),
        added_by: from.who.clone(),
        added_at: from.at,
        modified_ms: arrived.modified_ms,
        verified_at: Some(from.at),
        is_damaged: false,
        disk_bytes: disk.map(|disk| disk.size_bytes),
        disk_sha256: disk.map(|disk| disk.sha256.clone()),
    }
}

/// Takes back files that were just added, except those that the store had before, that something
/// uses, or that others are adding as well.
pub async fn discard(
    store: &ImageStore,
    inventory: &Inventory,
    arrived: Vec<ArrivedFile>,
) -> Result<(), AddError> {
    let paths = arrived.iter().filter(|file| file.is_new).map(|file| file.path.clone()).collect();
    drop(arrived);
    remove_unused(store, inventory, paths).await?;
    Ok(())
}

/// Removes files of the store that nothing in the site names as it is stored now, and that nobody
/// is adding; the paths that were removed.
pub async fn remove_unused(
    store: &ImageStore,
    inventory: &Inventory,
    paths: Vec<String>,
) -> Result<Vec<String>, AddError> {
    let _turn = turn(store).await?;
    let (parts, paths): (Vec<String>, Vec<String>) =
        paths.into_iter().partition(|path| store.is_part(path));
    if !parts.is_empty() {
        store.sweep()?;
    }
    let mut locked = Vec::new();
    for path in paths {
        if let Some(lock) = store.unclaimed(&path)? {
            locked.push((path, lock));
        }
    }
    // Read after the locks: whoever added one of these files has saved its image by now.
    inventory.reload().await?;
    let snapshot = inventory.snapshot();
    let used = used(&snapshot.site);
    let mut removed = parts;
    for (path, _lock) in locked {
        if !used.contains(path.as_str()) {
            store.remove(&path)?;
            inventory.forget_stored_file(&path).await?;
            removed.push(path);
        }
    }
    Ok(removed)
}

/// A file that is recorded in the database, and not below the files directory of this server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no file \"{path}\" in {directory}: it was deleted, or added by a server on this database whose \
     files_dir is another directory (each server needs every file: copy store/, or share one files_dir)"
)]
struct MissingHere {
    path: String,
    directory: String,
}

/// Why a file of the store differs from its record, for
/// [`Inventory::set_boot_files`].
pub fn file_fault(store: &ImageStore, record: Option<&StoredFile>) -> Option<String> {
    let record = record?;
    match store.fault(record) {
        Ok(fault) => Some(format!("file \"{}\": {}", record.path, fault?)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let (path, directory) = (record.path.clone(), store.directory().display().to_string());
            Some(MissingHere { path, directory }.to_string())
        }
        Err(_) => None,
    }
}

/// What became of a file of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Its digest is that of the file that was added.
    Sound,
    /// It differs.
    Damaged,
    /// It cannot be read.
    Unreadable,
}

/// Compares the digest of a file with the recorded one, and records the result.
pub async fn verify(
    store: &ImageStore,
    inventory: &Inventory,
    record: &StoredFile,
    now: i64,
    seen: impl FnMut(u64) + Send + 'static,
) -> Result<FileState, AddError> {
    let (own, path) = (store.clone(), record.path.clone());
    let read = spawn_blocking(move || own.digest(&path, seen));
    let Ok(digested) = read.await.map_err(ReceiveError::from)? else {
        return Ok(FileState::Unreadable);
    };
    let is_damaged = digested.sha256 != record.sha256;
    let mut after = StoredFile { verified_at: Some(now), is_damaged, ..record.clone() };
    if !is_damaged {
        after.modified_ms = digested.modified_ms;
    }
    inventory.record_stored_file(&after).await?;
    Ok(if is_damaged { FileState::Damaged } else { FileState::Sound })
}

/// The paths of the store that the site names.
fn used(site: &Site) -> BTreeSet<&str> {
    let of_images = site.images.values().flat_map(|image| image.files()).map(|(_, path)| path);
    let of_hosts = site.hosts.values().filter_map(|host| host.boot_file.as_deref());
    let of_subnets = site.subnets.values().flat_map(|subnet| subnet.boot_files.values());
    let all = of_images.chain(of_hosts).chain(of_subnets.map(String::as_str));
    all.map(|path| path.trim_start_matches('/')).collect()
}

/// A file of the store that nothing in the site names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedFile {
    /// Its path below the files directory.
    pub path: String,
    /// Its size in bytes; zero where it is recorded and gone.
    pub size_bytes: u64,
    /// Whether an image that names it is being added: it is not removed.
    pub is_being_added: bool,
}

/// The files of the store that nothing in the site names, recorded or not, and what was left of
/// copies that were killed.
pub fn unused(store: &ImageStore, inventory: &Inventory) -> Vec<UnusedFile> {
    let snapshot = inventory.snapshot();
    let used = used(&snapshot.site);
    let (on_disk, records) = (store.list(), inventory.stored_files());
    let is_here = |path: &str| on_disk.iter().any(|(here, _)| here == path);
    let gone = records.iter().filter(|file| !is_here(&file.path));
    let gone: Vec<_> = gone.map(|file| (file.path.clone(), 0)).collect();
    let all = on_disk.iter().cloned().chain(gone);
    let all = all.filter(|(path, _)| !used.contains(path.as_str())).chain(store.left_over());
    all.map(|(path, size_bytes)| {
        let is_being_added = matches!(store.unclaimed(&path), Ok(None));
        UnusedFile { path, size_bytes, is_being_added }
    })
    .collect()
}
