//! What is odd about the disks of hosts that are installed, or what is done to them afterwards: the
//! cases that tests prove in whole guests.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;

use crate::lifecycle::install::InstallTask;

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
            | Self::ForeignData
            | Self::SmallDisk
            | Self::WrongDigest
            | Self::TruncatedImage => None,
        }
    }

    /// Whether nothing may be installed.
    pub(super) fn is_refused(self) -> bool {
        self.task().is_none()
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
        Some(Scenario::TwoDisks) => vec![format!("{host}.disk"), format!("{host}.disk2")],
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

    /// What has become of it.
    pub(super) fn compare(&self) -> anyhow::Result<String> {
        let now = Self::of(&self.path)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let changed = if now == *self { "nothing was written" } else { "was written to" };
        let first = if now.first.iter().all(|byte| *byte == 0) { "empty" } else { "not empty" };
        Ok(format!("{name}: {changed}, its first MiB is {first}"))
    }
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

/// The machine-id of the system on a disk: every installation makes another one. The system
/// runs, and a reading that meets one of its writes is repeated.
pub(super) fn machine_id(path: &Path) -> anyhow::Result<String> {
    const READINGS: u32 = 10;
    for _ in 1..READINGS {
        if let Ok(id) = read_machine_id(path) {
            return Ok(id);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    read_machine_id(path)
}

fn read_machine_id(path: &Path) -> anyhow::Result<String> {
    let text = of_root(path, "cat /etc/machine-id")?.trim().to_owned();
    ensure!(text.len() == 32, "no machine-id on {}: {text}", path.display());
    Ok(text)
}

/// Who may log in to the system on a disk: the file of keys with its owner and mode, and root's
/// password.
pub(super) fn login(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let of = |file: &str| -> anyhow::Result<String> {
        let told = of_root(path, &format!("stat {file}"))?;
        let word = |key: &str| {
            let mut words = told.split_whitespace().skip_while(|word| *word != key);
            words.nth(1).unwrap_or("?").to_owned()
        };
        Ok(format!("{file} is {} of {}:{}", word("Mode:"), word("User:"), word("Group:")))
    };
    let keys = of_root(path, "cat /root/.ssh/authorized_keys")?;
    let shadow = of_root(path, "cat /etc/shadow")?;
    let root = shadow.lines().find(|line| line.starts_with("root:")).unwrap_or("no root");
    let lines = [
        of("/root/.ssh")?,
        of("/root/.ssh/authorized_keys")?,
        of("/etc/shadow")?,
        format!("keys: {}", keys.trim()),
        format!("shadow: {root}"),
    ];
    Ok(lines.map(|line| format!("{name}: {line}")).join("\n"))
}

/// What debugfs prints of the root file system of a disk.
fn of_root(path: &Path, request: &str) -> anyhow::Result<String> {
    let table = Command::new("sfdisk").arg("--json").arg(path).output()?;
    let table: serde_json::Value = serde_json::from_slice(&table.stdout)?;
    let table = &table["partitiontable"];
    let sector = table["sectorsize"].as_u64().unwrap_or(512);
    let partitions = table["partitions"].as_array().into_iter().flatten();
    let largest = partitions.max_by_key(|partition| partition["size"].as_u64());
    let start =
        largest.and_then(|partition| partition["start"].as_u64()).context("no partition")?;
    let device = format!("{}?offset={}", path.display(), start * sector);
    let mut read = Command::new("debugfs");
    let read = read.args(["-R", request, &device]).output()?;
    Ok(String::from_utf8_lossy(&read.stdout).into_owned())
}
