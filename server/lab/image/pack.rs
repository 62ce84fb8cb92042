//! An initramfs: files, links and directories packed as a gzip'd newc cpio.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use cpio::newc::{self, ModeFileType};

/// Directories of the guest in which nothing lies yet.
const EMPTY_DIRECTORIES: [&str; 8] =
    ["dev", "etc/systemd/network", "proc", "root", "run", "sys", "tmp", "var"];

/// An initramfs that is being put together in memory.
#[derive(Default)]
pub struct Initramfs {
    cpio: Vec<u8>,
    directories: BTreeSet<String>,
    count: u32,
}

impl Initramfs {
    /// One with the directories that every Linux system has.
    pub fn of_a_system() -> io::Result<Self> {
        let mut initramfs = Self::default();
        for directory in EMPTY_DIRECTORIES {
            initramfs.add_parents(&format!("{directory}/"))?;
        }
        Ok(initramfs)
    }

    /// Adds a file with its permissions, such as `0o755`.
    pub fn add_file(&mut self, path: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        self.add(path, ModeFileType::Regular, mode, contents)
    }

    /// Adds a symbolic link.
    pub fn add_link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.add(path, ModeFileType::Symlink, 0o777, target.as_bytes())
    }

    /// Adds the console: the kernel opens it for the first program, before any
    /// device file system is mounted.
    pub fn add_console(&mut self) -> io::Result<()> {
        self.add_parents("dev/console")?;
        let header = self.header("dev/console").rdev_major(5).rdev_minor(1);
        let header = header.mode(0o600).set_mode_file_type(ModeFileType::Char);
        self.write(header, &[])
    }

    /// The whole, compressed by `gzip`: many times as fast as in an unoptimised build of our own.
    pub fn finish(self) -> anyhow::Result<Vec<u8>> {
        let cpio = newc::trailer(self.cpio)?;
        let mut gzip = Command::new("gzip")
            .args(["-6", "-n", "-c"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("gzip does not start")?;
        let mut input = gzip.stdin.take().context("gzip has no input")?;
        let feeder = std::thread::spawn(move || input.write_all(&cpio));
        let output = gzip.wait_with_output()?;
        let fed = feeder.join().is_ok_and(|written| written.is_ok());
        ensure!(fed && output.status.success(), "gzip failed");
        Ok(output.stdout)
    }

    fn add(
        &mut self,
        path: &str,
        kind: ModeFileType,
        mode: u32,
        contents: &[u8],
    ) -> io::Result<()> {
        self.add_parents(path)?;
        let header = self.header(path).mode(mode).set_mode_file_type(kind);
        self.write(header, contents)
    }

    /// Adds the directories above `path`, the highest first: the kernel makes none by itself.
    fn add_parents(&mut self, path: &str) -> io::Result<()> {
        for (end, _) in path.match_indices('/') {
            let directory = &path[..end];
            if self.directories.insert(directory.to_owned()) {
                let kind = ModeFileType::Directory;
                let header = self.header(directory).mode(0o755).set_mode_file_type(kind);
                self.write(header, &[])?;
            }
        }
        Ok(())
    }

    fn header(&mut self, path: &str) -> newc::Builder {
        self.count += 1;
        newc::Builder::new(path).ino(self.count).nlink(1)
    }

    fn write(&mut self, header: newc::Builder, contents: &[u8]) -> io::Result<()> {
        let size = u32::try_from(contents.len()).map_err(io::Error::other)?;
        let mut writer = header.write(std::mem::take(&mut self.cpio), size);
        writer.write_all(contents)?;
        self.cpio = writer.finish()?;
        Ok(())
    }
}
