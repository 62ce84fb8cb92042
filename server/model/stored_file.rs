//! What is recorded of a file that images boot or write to disks.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::words::words;

/// The folder of the store below the files directory.
pub const STORE_FOLDER: &str = "store";

/// A file in the store, as it was when it was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StoredFile {
    /// Where it is below the files directory, such as `store/0123456789abcdef/vmlinuz`: the value
    /// of `kernel`, `initrd`, `disk`, `efi` or `script` of an image.
    pub path: String,
    /// SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// What its bytes are.
    pub content: FileContent,
    /// The processors that it runs on, if its header says so.
    pub arch: Option<CpuArch>,
    /// The release of a Linux kernel, such as `6.1.0-50-amd64`.
    pub kernel_version: Option<String>,
    /// Where it came from: a path, a URL, or `upload NAME`.
    pub origin: String,
    /// Who added it.
    pub added_by: String,
    /// When it was added, in Unix seconds.
    pub added_at: i64,
    /// Its modification time, in Unix milliseconds: another one means that it was changed.
    pub modified_ms: i64,
    /// When its digest was last compared, in Unix seconds.
    pub verified_at: Option<i64>,
    /// Whether its digest differed then.
    pub is_damaged: bool,
    /// Of a disk image: how many bytes are written to the disk.
    pub disk_bytes: Option<u64>,
    /// Of a disk image: SHA-256 of the bytes that are written to the disk.
    pub disk_sha256: Option<String>,
}

impl StoredFile {
    /// Why a file of this size and modification time is not the one that was added.
    pub fn fault(&self, size_bytes: u64, modified_ms: i64) -> Option<StoredFileFault> {
        let expected_bytes = self.size_bytes;
        match size_bytes {
            _ if self.is_damaged => Some(StoredFileFault::Damaged),
            // Stored by a version that took them for disks.
            _ if matches!(self.content, FileContent::Tarball | FileContent::PackedTarball) => {
                Some(StoredFileFault::Tarball)
            }
            size_bytes if size_bytes < expected_bytes => {
                Some(StoredFileFault::Truncated { size_bytes, expected_bytes })
            }
            size_bytes if size_bytes > expected_bytes => {
                Some(StoredFileFault::Longer { size_bytes, expected_bytes })
            }
            _ if modified_ms != self.modified_ms => Some(StoredFileFault::Touched),
            _ => None,
        }
    }
}

/// The command that makes a disk image of a tarball, and what it does.
pub(crate) fn build_of_tarball(name: &str) -> String {
    format!("sudo rackstrap image build disk --tarball {name} makes a disk image of it")
}

/// How a file in the store differs from what was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredFileFault {
    /// Bytes at its end are gone.
    #[error("it is truncated: {size_bytes} of {expected_bytes} bytes; add it again")]
    Truncated {
        /// Its size now.
        size_bytes: u64,
        /// Its size when it was added.
        expected_bytes: u64,
    },
    /// It has grown.
    #[error("it was changed: {size_bytes} bytes instead of {expected_bytes}; add it again")]
    Longer {
        /// Its size now.
        size_bytes: u64,
        /// Its size when it was added.
        expected_bytes: u64,
    },
    /// It was written to, or copied without its time.
    #[error("it was written to since it was added; compare it with rackstrap image verify")]
    Touched,
    /// It cannot be written to a disk.
    #[error("it is a tarball, which no host can boot: {}", build_of_tarball("FILE"))]
    Tarball,
    /// Its digest differs.
    #[error("its SHA-256 differs from that of the file that was added; add it again")]
    Damaged,
}

/// A word that is not one of a kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not {what}")]
pub struct UnknownFileWord {
    what: &'static str,
    text: String,
}

words! {
    /// A family of processors, in Debian's words.
    pub CpuArch {
    /// 32-bit x86.
    X86 = "i386",
    /// 64-bit x86.
    X64 = "amd64",
    /// 64-bit ARM.
    Arm64 = "arm64",
    /// 64-bit RISC-V.
    Riscv64 = "riscv64",
    /// 64-bit LoongArch.
    Loong64 = "loong64",
    }
}

impl FromStr for CpuArch {
    type Err = UnknownFileWord;

    fn from_str(text: &str) -> Result<Self, UnknownFileWord> {
        let found = Self::ALL.iter().copied().find(|one| one.label() == text);
        let unknown = UnknownFileWord { what: "a processor architecture", text: text.to_owned() };
        found.ok_or(unknown)
    }
}

words! {
    /// What the bytes of a file are, by their magic numbers.
    pub FileContent {
    /// A Linux kernel: bzImage, Image, zboot.
    Kernel = "kernel",
    /// A cpio archive, compressed or not.
    Initrd = "initrd",
    /// A PE program for UEFI, such as GRUB or a unified kernel image.
    Efi = "efi-program",
    /// A script for iPXE.
    Script = "ipxe-script",
    /// A disk with a partition table, as its bytes are.
    RawDisk = "raw-disk",
    /// The same, compressed by zstd.
    ZstdDisk = "raw-disk.zst",
    /// The same, compressed by xz.
    XzDisk = "raw-disk.xz",
    /// The same, compressed by gzip.
    GzipDisk = "raw-disk.gz",
    /// A disk of QEMU's own format.
    Qcow2 = "qcow2",
    /// A file system without a partition table, compressed or not: no firmware boots it.
    FileSystem = "file-system",
    /// An ISO 9660 file system.
    Iso = "iso",
    /// A tar archive of a root file system.
    Tarball = "tarball",
    /// The same, compressed.
    PackedTarball = "compressed-tarball",
    /// A squashfs file system.
    Squashfs = "squashfs",
    /// A web page: what a server sends in place of a file that it does not have.
    WebPage = "web-page",
    /// Compressed data of a kind that its beginning does not show.
    Compressed = "compressed-data",
    /// Nothing that is known.
    Other = "unknown",
    }
}

impl FromStr for FileContent {
    type Err = UnknownFileWord;

    fn from_str(text: &str) -> Result<Self, UnknownFileWord> {
        let found = Self::ALL.iter().copied().find(|one| one.label() == text);
        found.ok_or_else(|| UnknownFileWord { what: "a kind of file", text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_what_was_added_has_a_fault() {
        let file = StoredFile {
            path: "store/0123456789abcdef/vmlinuz".into(),
            sha256: "00".repeat(32),
            size_bytes: 100,
            content: FileContent::Kernel,
            arch: Some(CpuArch::X64),
            kernel_version: None,
            origin: "/boot/vmlinuz".into(),
            added_by: "ann".into(),
            added_at: 1,
            modified_ms: 1000,
            verified_at: None,
            is_damaged: false,
            disk_bytes: None,
            disk_sha256: None,
        };
        let damaged = StoredFile { is_damaged: true, ..file.clone() };
        let tarball = StoredFile { content: FileContent::PackedTarball, ..file.clone() };
        let cases = [
            (&file, 100, 1000, None),
            (&file, 99, 1000, Some("it is truncated: 99 of 100 bytes; add it again")),
            (&file, 0, 1000, Some("it is truncated: 0 of 100 bytes; add it again")),
            (&file, 101, 1000, Some("it was changed: 101 bytes instead of 100; add it again")),
            (
                &file,
                100,
                1001,
                Some(
                    "it was written to since it was added; compare it with rackstrap image verify",
                ),
            ),
            (
                &damaged,
                100,
                1000,
                Some("its SHA-256 differs from that of the file that was added; add it again"),
            ),
            (
                &tarball,
                100,
                1000,
                Some(
                    "it is a tarball, which no host can boot: sudo rackstrap image build disk \
                     --tarball FILE makes a disk image of it",
                ),
            ),
        ];
        for (file, size, modified, expected) in cases {
            let found = file.fault(size, modified).map(|fault| fault.to_string());
            assert_eq!(found.as_deref(), expected, "{size} {modified}");
        }
    }

    #[test]
    fn words_are_read_back() {
        for content in FileContent::ALL {
            assert_eq!(content.label().parse(), Ok(*content));
        }
        for arch in CpuArch::ALL {
            assert_eq!(arch.label().parse(), Ok(*arch));
        }
        assert_eq!(
            "vax".parse::<CpuArch>().unwrap_err().to_string(),
            "\"vax\" is not a processor architecture"
        );
    }
}
