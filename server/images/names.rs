//! Where a file goes in the store, and which files an image can have where. Pure.

use crate::images::detect::FileFacts;
use crate::model::{FileContent, STORE_FOLDER, build_of_tarball};

/// How many hexadecimal digits of its digest name the folder of a file.
const FOLDER_DIGITS: usize = 16;
/// The longest name of a file in the store.
const MAX_NAME_BYTES: usize = 64;

/// What a file is for in an image: the key that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileRole {
    /// `kernel`
    Kernel,
    /// `initrd`
    Initrd,
    /// `disk`
    Disk,
    /// `efi`
    Efi,
    /// `script`
    Script,
}

impl FileRole {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Kernel, Self::Initrd, Self::Disk, Self::Efi, Self::Script];

    /// The key of the site file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Disk => "disk",
            Self::Efi => "efi",
            Self::Script => "script",
        }
    }

    /// The role with that key.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.key() == key)
    }

    /// What a file is for, by what it is. Compressed data of another kind could be anything.
    pub(crate) fn of_content(content: FileContent) -> Option<Self> {
        let is_known = content != FileContent::Compressed;
        Self::ALL.into_iter().find(|role| is_known && role.takes(content))
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Kernel => "a Linux kernel",
            Self::Initrd => "an initrd (a cpio archive, compressed or not)",
            Self::Disk => {
                "a disk image with a partition table (raw, raw.zst, raw.xz, raw.gz, qcow2)"
            }
            Self::Efi => "an EFI program",
            Self::Script => "an iPXE script (its first line is #!ipxe)",
        }
    }

    fn takes(self, content: FileContent) -> bool {
        use FileContent as C;
        match self {
            Self::Kernel => content == C::Kernel,
            // An archive packed by lz4, lzma or bzip2 is not looked into.
            Self::Initrd => matches!(content, C::Initrd | C::Compressed),
            Self::Disk => {
                matches!(content, C::RawDisk | C::ZstdDisk | C::XzDisk | C::GzipDisk | C::Qcow2)
            }
            Self::Efi => content == C::Efi,
            Self::Script => content == C::Script,
        }
    }

    /// Refuses a file that cannot be what it is given as.
    pub(crate) fn check(self, name: &str, facts: &FileFacts) -> Result<(), RoleRefusal> {
        if self.takes(facts.content) {
            return Ok(());
        }
        Err(RoleRefusal { name: name.to_owned(), role: self, content: facts.content })
    }
}

/// A file was given as what it is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} cannot be used as {}: expected {}, {}{}",
    .role.key(), .role.expected(), found(*.content), advice(*.content, .name)
)]
pub struct RoleRefusal {
    name: String,
    role: FileRole,
    content: FileContent,
}

fn found(content: FileContent) -> String {
    match content {
        FileContent::Other => "and its first bytes are of no known kind".to_owned(),
        FileContent::Compressed => "found compressed data of another kind".to_owned(),
        FileContent::WebPage => "found a web page".to_owned(),
        known => format!("found {known}"),
    }
}

/// What makes an image of a file that no host can boot, as the end of a refusal.
pub(super) fn advice(content: FileContent, name: &str) -> String {
    match content {
        FileContent::Tarball | FileContent::PackedTarball => {
            format!("; if it has a root file system, {}", build_of_tarball(name))
        }
        FileContent::FileSystem => {
            "; it has no partition table, so no firmware boots it: give the image of the whole disk"
                .to_owned()
        }
        _ => String::new(),
    }
}

/// The path of a file in the store, below the files directory. Letters, digits, `.`, `_` and `-`
/// come through iPXE scripts, GRUB and TFTP as they are.
pub(crate) fn store_path(sha256: &str, name: &str) -> String {
    let folder = sha256.get(..FOLDER_DIGITS).unwrap_or(sha256);
    format!("{STORE_FOLDER}/{folder}/{}", plain_name(name))
}

fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let plain: String = last.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    let plain = plain.trim_start_matches(['.', '-']);
    let plain = &plain[plain.len().saturating_sub(MAX_NAME_BYTES)..];
    let plain = plain.trim_start_matches(['.', '-']);
    if plain.is_empty() { "file".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_the_store_comes_through_every_boot_program() {
        let digest = "0123456789abcdef".repeat(4);
        let long = format!("{}.raw.zst", "x".repeat(100));
        let cases = [
            ("/boot/vmlinuz-6.1.0-50-amd64", "vmlinuz-6.1.0-50-amd64"),
            ("C:\\images\\disk.img", "disk.img"),
            ("Fedora 42 (x86+64).iso", "Fedora-42--x86-64-.iso"),
            (".hidden", "hidden"),
            ("../..", "file"),
            ("", "file"),
            ("é$;", "file"),
            (long.as_str(), &long[long.len() - 64..]),
        ];
        for (name, expected) in cases {
            assert_eq!(store_path(&digest, name), format!("store/0123456789abcdef/{expected}"));
        }
    }

    #[test]
    fn each_key_takes_what_it_can_boot() {
        use FileContent as C;
        let cases = [
            (FileRole::Kernel, vec![C::Kernel]),
            (FileRole::Initrd, vec![C::Initrd, C::Compressed]),
            (FileRole::Disk, vec![C::RawDisk, C::ZstdDisk, C::XzDisk, C::GzipDisk, C::Qcow2]),
            (FileRole::Efi, vec![C::Efi]),
            (FileRole::Script, vec![C::Script]),
        ];
        for (role, taken) in cases {
            assert_eq!(FileRole::of_key(role.key()), Some(role));
            for content in C::ALL {
                let is_taken = role.check("x", &(*content).into()).is_ok();
                assert_eq!(is_taken, taken.contains(content), "{role:?} {content}");
            }
        }
        let refusal = FileRole::Kernel.check("index.html", &C::WebPage.into()).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "index.html cannot be used as kernel: expected a Linux kernel, found a web page"
        );
        let refusal = FileRole::Disk.check("root.tar.zst", &C::PackedTarball.into()).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "root.tar.zst cannot be used as disk: expected a disk image with a partition table \
             (raw, raw.zst, raw.xz, raw.gz, qcow2), found compressed-tarball; if it has a root file \
             system, sudo rackstrap image build disk --tarball root.tar.zst makes a disk image of it"
        );
    }
}
