//! Contents of a file as shared bytes: mapped if large, read if small.
#![allow(unsafe_code)] // memmap2: a mapping's safety is the caller's word, given below.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use bytes::Bytes;
use memmap2::{Advice, Mmap};

use super::mapped::Mapped;

/// Up to this size a file is read into memory: that is cheaper than a mapping, and code can read
/// the bytes (TFTP's netascii).
pub const SMALL_BYTES: u64 = 64 * 1024;
/// How much of a mapped file to read ahead.
const READ_AHEAD_BYTES: usize = 64 << 20;

/// Identifies the contents of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: i128,
    // Catches a rewrite whose modification time was set back (cp -p, rsync -t).
    changed_ns: i128,
}

/// Which file it is, whatever it is called and contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub(super) fn inode(&self) -> Inode {
        Inode { device: self.device, number: self.inode }
    }

    /// A strong entity tag, with its quotes (RFC 9110 section 8.8.3).
    pub(super) fn etag(&self) -> String {
        format!("\"{:x}-{:x}-{:x}-{:x}\"", self.inode, self.size, self.modified_ns, self.changed_ns)
    }
}

/// The bytes of an open file of `size` bytes.
pub(super) fn share(file: &File, size: u64) -> io::Result<Bytes> {
    if size <= SMALL_BYTES {
        let mut content = Vec::with_capacity(size as usize);
        file.take(SMALL_BYTES).read_to_end(&mut content)?;
        return Ok(content.into());
    }
    // SAFETY: the mapping is private and read-only. Another process may still
    // change or truncate the file, so its bytes are only handed to socket calls:
    // the kernel's copy sees old or new bytes, or fails with EFAULT.
    let mapping = unsafe { Mmap::map(file)? };
    // Without read-ahead, the first transfer waits for the disk page by page.
    let _ = mapping.advise_range(Advice::WillNeed, 0, mapping.len().min(READ_AHEAD_BYTES));
    // Without a free descriptor, transfers copy the bytes instead of using sendfile.
    Ok(match file.try_clone() {
        Ok(file) => Bytes::from_owner(Mapped::new(mapping, file)),
        Err(_) => Bytes::from_owner(mapping),
    })
}
