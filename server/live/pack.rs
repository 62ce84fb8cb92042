//! An initramfs: files, links and directories as a gzip'd cpio.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::bundle::cpio::{Archive, EntryKind};

/// Empty directories of the guest.
const EMPTY_DIRECTORIES: &[&str] =
    &["dev", "etc/systemd/network", "proc", "root", "run", "sys", "tmp", "var"];

/// An initramfs under construction, in memory.
#[derive(Default)]
pub(crate) struct Initramfs {
    archive: Archive,
    directories: BTreeSet<String>,
}

impl Initramfs {
    /// An initramfs with the directories that every Linux system has.
    pub(crate) fn of_a_system() -> io::Result<Self> {
        let mut initramfs = Self::default();
        for directory in EMPTY_DIRECTORIES {
            initramfs.add_parents(&format!("{directory}/"))?;
        }
        Ok(initramfs)
    }

    /// Adds a file with its permissions, such as `0o755`.
    pub(crate) fn add_file(&mut self, path: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        self.add(path, EntryKind::Regular, mode, contents)
    }

    /// Adds a symbolic link.
    pub(crate) fn add_link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.add(path, EntryKind::Symlink, 0o777, target.as_bytes())
    }

    /// Adds the console: the kernel opens it for init before devtmpfs is mounted.
    pub(crate) fn add_console(&mut self) -> io::Result<()> {
        let console = EntryKind::CharacterDevice { major: 5, minor: 1 };
        self.add("dev/console", console, 0o600, &[])
    }

    /// The archive, compressed by gzip(1), which is many times faster than flate2 in a debug build.
    pub(crate) fn finish(self) -> anyhow::Result<Vec<u8>> {
        let cpio = self.archive.finish()?;
        let mut gzip = Command::new("gzip")
            .args(["-6", "-n", "-c"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run gzip")?;
        let mut input = gzip.stdin.take().context("gzip has no standard input")?;
        let feeder = std::thread::spawn(move || input.write_all(&cpio));
        let output = gzip.wait_with_output()?;
        let fed = feeder.join().is_ok_and(|written| written.is_ok());
        ensure!(fed && output.status.success(), "gzip failed");
        Ok(output.stdout)
    }

    fn add(&mut self, path: &str, kind: EntryKind, mode: u32, contents: &[u8]) -> io::Result<()> {
        self.add_parents(path)?;
        self.archive.append(path, kind, mode, contents)
    }

    /// Adds the directories above `path`, topmost first: the kernel creates none.
    fn add_parents(&mut self, path: &str) -> io::Result<()> {
        for (end, _) in path.match_indices('/') {
            let directory = &path[..end];
            if self.directories.insert(directory.to_owned()) {
                self.archive.append(directory, EntryKind::Directory, 0o755, &[])?;
            }
        }
        Ok(())
    }
}
