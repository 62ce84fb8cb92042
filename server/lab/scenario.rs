//! What is odd about the disks of hosts that are installed, or what is done to them afterwards: the
//! cases that tests prove in whole guests.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::ValueEnum;

use crate::lifecycle::install::InstallTask;
use crate::model::size_text;

/// The size of a host's disk in bytes, larger than the image. It takes only what is written.
const DISK_BYTES: u64 = 6 << 30;
/// Smaller than any disk image that boots.
const SMALL_DISK_BYTES: u64 = 64 << 20;
/// What firmware reads first.
const FIRST_BYTES: u64 = 1 << 20;
/// The label of data that is not ours.
const FOREIGN_LABEL: &str = "not-ours";

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// Each host has two disks, and no rule says which one
    TwoDisks,
    /// Each host has two disks as RAID 1, and loses the first one once it is up
    Raid1,
    /// Each host has NICs, an NVMe disk and a SATA disk as servers have, and its rule says NVMe
    ServerHardware,
    /// The disk has a file system
    ForeignData,
    /// The disk is smaller than the image
    SmallDisk,
    /// The image's SHA-256 is another one
    WrongDigest,
    /// The image's file was cut after it was added
    TruncatedImage,
    /// Each host is installed again once it is up
    Reinstall,
    /// Each host is erased once it is up
    Erase,
}

impl Scenario {
    /// What is done to a host that is up.
    pub(super) fn task(self) -> Option<InstallTask> {
        match self {
            Self::Reinstall => Some(InstallTask::Reinstall),
            Self::Erase => Some(InstallTask::Erase),
            Self::TwoDisks
            | Self::Raid1
            | Self::ServerHardware
            | Self::ForeignData
            | Self::SmallDisk
            | Self::WrongDigest
            | Self::TruncatedImage => None,
        }
    }

    /// Whether nothing may be installed.
    pub(super) fn is_refused(self) -> bool {
        self.task().is_none() && !self.is_installed_as_usual()
    }

    /// Whether the image is installed, and the host powered on again from its disks.
    pub(super) fn is_installed_as_usual(self) -> bool {
        matches!(self, Self::Raid1 | Self::ServerHardware)
    }
}

/// The disks of a host, made where they do not exist yet.
pub(super) fn disks(
    scenario: Option<Scenario>,
    directory: &Path,
    host: &str,
) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory)?;
    let names = match scenario {
        Some(Scenario::TwoDisks | Scenario::Raid1 | Scenario::ServerHardware) => {
            vec![format!("{host}.disk"), format!("{host}.disk2")]
        }
        _ => vec![format!("{host}.disk")],
    };
    let paths: Vec<PathBuf> = names.into_iter().map(|name| directory.join(name)).collect();
    let bytes = match scenario {
        Some(Scenario::SmallDisk) => SMALL_DISK_BYTES,
        _ => DISK_BYTES,
    };
    for path in paths.iter().filter(|path| !path.exists()) {
        File::create(path)?.set_len(bytes).context("cannot make the host's disk")?;
        if scenario == Some(Scenario::ForeignData) {
            let mut make = Command::new("mkfs.ext4");
            let made = make.args(["-q", "-F", "-L", FOREIGN_LABEL]).arg(path).status()?;
            ensure!(made.success(), "mkfs.ext4 failed: {made}");
        }
    }
    Ok(paths)
}

/// Cuts a copy of an image's file, for the scenario that wants it: the path of the copy.
pub(super) fn truncate(files: &Path, image: &str) -> anyhow::Result<String> {
    const CUT: &str = "images/truncated.raw.zst";
    let mut whole = File::open(files.join(image))?;
    let kept = whole.metadata()?.len() / 3 * 2;
    let mut cut = File::create(files.join(CUT))?;
    std::io::copy(&mut (&mut whole).take(kept), &mut cut)?;
    Ok(CUT.to_owned())
}

/// What is on a disk, to see whether it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    path: PathBuf,
    first: Vec<u8>,
    /// How many blocks of it have been written.
    blocks: u64,
}

impl Mark {
    /// A disk as it is.
    pub(super) fn of(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path)?;
        let blocks = file.metadata()?.blocks();
        let mut first = Vec::new();
        file.take(FIRST_BYTES).read_to_end(&mut first)?;
        Ok(Self { path: path.to_owned(), first, blocks })
    }

    /// The disk.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What has become of it.
    pub(super) fn compare(&self) -> anyhow::Result<String> {
        let now = Self::of(&self.path)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let changed = if now == *self { "nothing was written" } else { "was written to" };
        let first = if now.first.iter().all(|byte| *byte == 0) { "empty" } else { "not empty" };
        Ok(format!("{name}: {changed}, its first MiB is {first}"))
    }
}

/// Whether a half of a mirror has all of the data: its superblock (struct mdp_superblock_1 of
/// linux/raid/md_p.h, version 1.0) gives it a place in the array, and does not say how far the copy
/// has come.
pub(super) fn is_synchronised(disk: &Path) -> anyhow::Result<bool> {
    const MAGIC: u32 = 0xa92b_4efc;
    const RECOVERY_OFFSET: u32 = 2;
    /// Of the places that no member has.
    const SPARE: u32 = 0xfffe;
    let (start, size) = root_partition(disk)?;
    // 8 KiB before the end, at a whole 4 KiB.
    let at = start + (size / 512 - 16) / 8 * 8 * 512;
    let mut block = [0; 4096];
    File::open(disk)?.read_exact_at(&mut block, at)?;
    let word = |at: usize, bytes: usize| {
        block[at..at + bytes].iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
    };
    ensure!(word(0, 4) == MAGIC, "{} is not a member of an md array", disk.display());
    let (features, number) = (word(8, 4), word(160, 4) as usize);
    let place = word(256 + 2 * number.min(1900), 2);
    Ok(features & RECOVERY_OFFSET == 0 && place < SPARE)
}

/// Where the largest partition of a disk begins and how long it is, in bytes.
fn root_partition(disk: &Path) -> anyhow::Result<(u64, u64)> {
    let table = output_of(Command::new("sfdisk").arg("--json").arg(disk))?;
    let table: serde_json::Value = serde_json::from_str(&table)?;
    let table = &table["partitiontable"];
    let sector = table["sectorsize"].as_u64().unwrap_or(512);
    let partitions = table["partitions"].as_array().into_iter().flatten();
    let largest = partitions.max_by_key(|partition| partition["size"].as_u64());
    let bytes = |key: &str| Some(largest?[key].as_u64()? * sector);
    let start = bytes("start").context("no partition")?;
    Ok((start, bytes("size").context("a partition without a size")?))
}

/// Which root file system a disk has and how long it is: that of XFS (xfs_dsb of Linux
/// fs/xfs/libxfs/xfs_format.h) or of Btrfs (btrfs_super_block of linux/btrfs_tree.h).
pub(super) fn root_size(disk: &Path) -> anyhow::Result<String> {
    const BTRFS_AT: u64 = 64 << 10;
    let (start, _) = root_partition(disk)?;
    let file = File::open(disk)?;
    let (mut xfs, mut btrfs) = ([0; 16], [0; 0x78]);
    file.read_exact_at(&mut xfs, start)?;
    file.read_exact_at(&mut btrfs, start + BTRFS_AT)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (kind, bytes) = if xfs.starts_with(b"XFSB") {
        ("xfs", number(&xfs[4..8]) * number(&xfs[8..16]))
    } else if btrfs[0x40..].starts_with(b"_BHRfS_M") {
        btrfs[0x70..].reverse();
        ("btrfs", number(&btrfs[0x70..]))
    } else {
        ("another", 0)
    };
    let name = disk.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{name}: its root file system is {kind} of {}", size_text(bytes)))
}

/// Whether every byte of a disk is zero.
pub(super) fn is_blank(path: &Path) -> anyhow::Result<bool> {
    let mut file = File::open(path)?;
    let mut block = vec![0; 4 << 20];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(true),
            length if block[..length].iter().all(|byte| *byte == 0) => {}
            _ => return Ok(false),
        }
    }
}

/// The root file system of a disk as it is now, in a file beside it. The host that runs on it must
/// stand still meanwhile. What its kernel has written only to the journal so far is brought to its
/// place in the copy.
pub(super) struct RootCopy {
    /// The name of the disk.
    disk: String,
    path: PathBuf,
}

impl RootCopy {
    /// Copies the largest partition of a disk.
    pub(super) fn of(disk: &Path) -> anyhow::Result<Self> {
        let (start, size) = root_partition(disk)?;
        let name = disk.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let copy = Self { path: disk.with_file_name(format!("{name}.root")), disk: name };
        let mut dd = Command::new("dd");
        dd.args(["bs=4M", "conv=sparse", "status=none", "iflag=skip_bytes,count_bytes"]);
        dd.args([format!("skip={start}"), format!("count={size}")]);
        dd.arg(format!("if={}", disk.display())).arg(format!("of={}", copy.path.display()));
        output_of(&mut dd)?;
        let checked = Command::new("e2fsck").args(["-f", "-y"]).arg(&copy.path).output()?;
        // e2fsck(8): bits of 4 and above are errors that are left, or that of the program.
        let clean = checked.status.code().is_some_and(|code| code < 4);
        ensure!(clean, "e2fsck of {}: {}", copy.disk, String::from_utf8_lossy(&checked.stdout));
        Ok(copy)
    }

    /// The machine-id of the system: every installation makes another one.
    pub(super) fn machine_id(&self) -> anyhow::Result<String> {
        let text = self.debugfs("cat /etc/machine-id")?.trim().to_owned();
        ensure!(text.len() == 32, "no machine-id on {}: {text}", self.disk);
        Ok(text)
    }

    /// Who may log in to the system: the file of keys with its owner and mode, and root's password.
    pub(super) fn login(&self) -> anyhow::Result<String> {
        let of = |file: &str| -> anyhow::Result<String> {
            let told = self.debugfs(&format!("stat {file}"))?;
            let word = |key: &str| {
                let mut words = told.split_whitespace().skip_while(|word| *word != key);
                words.nth(1).with_context(|| format!("stat {file}: no {key} in {told}"))
            };
            let (mode, user, group) = (word("Mode:")?, word("User:")?, word("Group:")?);
            Ok(format!("{file} is {mode} of {user}:{group}"))
        };
        let keys = self.debugfs("cat /root/.ssh/authorized_keys")?;
        let shadow = self.debugfs("cat /etc/shadow")?;
        let root = shadow.lines().find(|line| line.starts_with("root:")).unwrap_or("no root");
        let lines = [
            of("/root/.ssh")?,
            of("/root/.ssh/authorized_keys")?,
            of("/etc/shadow")?,
            format!("keys: {}", keys.trim()),
            format!("shadow: {root}"),
        ];
        Ok(lines.map(|line| format!("{}: {line}", self.disk)).join("\n"))
    }

    /// Which of the files that a host's network may be in the system has.
    pub(super) fn network(&self) -> anyhow::Result<String> {
        const PLACES: [&str; 5] = [
            "/etc/systemd/network/05-bond0.netdev",
            "/etc/netplan/90-rackstrap.yaml",
            "/etc/NetworkManager/system-connections/bond0.nmconnection",
            "/etc/network/interfaces",
            "/var/lib/cloud/seed/nocloud/network-config",
        ];
        let has = |place: &&str| self.debugfs(&format!("stat {place}")).is_ok();
        let line = |place: &str| format!("{}: network: {place}", self.disk);
        Ok(PLACES.into_iter().filter(has).map(line).collect::<Vec<_>>().join("\n"))
    }

    /// What debugfs prints. It exits with 0 whatever happens.
    fn debugfs(&self, request: &str) -> anyhow::Result<String> {
        let mut read = Command::new("debugfs");
        let read = read.args(["-R", request]).arg(&self.path).output()?;
        let complaint = String::from_utf8_lossy(&read.stderr);
        // Its first line is its version.
        let complaint: Vec<&str> = complaint.lines().skip(1).collect();
        ensure!(complaint.is_empty(), "debugfs {request}: {}", complaint.join("; "));
        Ok(String::from_utf8_lossy(&read.stdout).into_owned())
    }
}

impl Drop for RootCopy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What a program prints; its complaint where it fails.
fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let program = command.get_program().to_string_lossy();
    ensure!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
