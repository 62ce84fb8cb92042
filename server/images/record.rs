//! What is recorded of the files in the store, and what that says of them later.

use std::collections::BTreeSet;

use super::receive::ReceiveError;
use super::store::{Arrived, ImageStore, StoreError};
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

/// Records a file that has arrived.
pub async fn record(
    inventory: &Inventory,
    arrived: &Arrived,
    from: &Provenance,
) -> Result<StoredFile, inventory::Error> {
    if let Some(known) = inventory.stored_files().with_digest(&arrived.sha256)
        && !arrived.is_new
    {
        return Ok(known.clone());
    }
    let disk = arrived.disk.as_ref();
    let file = StoredFile {
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
    };
    inventory.record_stored_file(&file).await?;
    Ok(file)
}

/// Takes back a file that was just added, unless the store had it before or something uses it.
pub async fn discard(
    store: &ImageStore,
    inventory: &Inventory,
    arrived: &Arrived,
) -> Result<(), AddError> {
    if arrived.is_new && !used(&inventory.snapshot().site).contains(arrived.path.as_str()) {
        store.remove(&arrived.path)?;
        inventory.forget_stored_file(&arrived.path).await?;
    }
    Ok(())
}

/// Why a file of the store differs from its record, for
/// [`Inventory::set_boot_files`].
pub fn file_fault(store: &ImageStore, record: Option<&StoredFile>) -> Option<String> {
    let record = record?;
    // A file that is not there has another fault already.
    let fault = store.fault(record).ok()??;
    Some(format!("file \"{}\": {fault}", record.path))
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
    let read = tokio::task::spawn_blocking(move || own.digest(&path, seen));
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

/// The files of the store that nothing in the site names, recorded or not: path and size in bytes.
pub fn unused(store: &ImageStore, inventory: &Inventory) -> Vec<(String, u64)> {
    let snapshot = inventory.snapshot();
    let used = used(&snapshot.site);
    let (on_disk, records) = (store.list(), inventory.stored_files());
    let is_here = |path: &str| on_disk.iter().any(|(here, _)| here == path);
    let gone = records.iter().filter(|file| !is_here(&file.path));
    let gone: Vec<_> = gone.map(|file| (file.path.clone(), 0)).collect();
    on_disk.iter().cloned().chain(gone).filter(|(path, _)| !used.contains(path.as_str())).collect()
}
