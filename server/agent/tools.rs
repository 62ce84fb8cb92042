//! The programs that the agent runs, and the calls that need no program.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{About, DeployError};
use crate::deploy::disk::Disk;
use crate::deploy::erase::{self, EraseMethod, Erased, SAMPLE_BYTES};

/// A program that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error("{0} does not start: {1}")]
    Start(String, std::io::Error),
    #[error("{0}: {1}")]
    Failed(String, String),
}

/// Runs a program with what it reads, and gives what it prints. `codes` are the exit codes that
/// count as success.
pub(crate) fn output(words: &[&str], input: &str, codes: &[i32]) -> Result<String, ToolError> {
    let (program, arguments) = words.split_first().unwrap_or((&"", &[]));
    let start = |error| ToolError::Start((*program).to_owned(), error);
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that reads nothing is no failure.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(start)?;
    if output.status.code().is_some_and(|code| codes.contains(&code)) {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    let said = if said.is_empty() { output.status.to_string() } else { said };
    Err(ToolError::Failed(words.join(" "), said))
}

/// Runs a program that has to succeed.
pub(crate) fn run(words: &[&str]) -> Result<String, ToolError> {
    output(words, "", &[0])
}

/// A disk's device.
pub(crate) fn device(disk: &Disk) -> PathBuf {
    Path::new("/dev").join(&disk.name)
}

/// Takes the signatures off a disk: those of its partitions, its own, and both ends. Whatever
/// becomes of one of them, the others go.
pub(crate) fn wipe(disk: &Disk) -> Result<(), DeployError> {
    // What udev or mdadm may have started by itself.
    let holders = super::inspect::holders(&disk.name);
    let holders = holders.into_iter().filter(|holder| holder.starts_with("md"));
    let stop = |holder| run(&["mdadm", "--stop", &format!("/dev/{holder}")]);
    let mut outcomes: Vec<_> = holders.map(stop).collect();
    let devices = super::inspect::partitions(&disk.name).into_iter().chain([disk.name.clone()]);
    let take_off = |name| run(&["wipefs", "--all", "--force", "--quiet", &format!("/dev/{name}")]);
    outcomes.extend(devices.map(take_off));
    let emptied = zero_ends(disk);
    outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    emptied?;
    reread(disk)
}

/// Overwrites both ends of a disk, where partition tables and boot code are.
fn zero_ends(disk: &Disk) -> Result<(), DeployError> {
    const ENDS: u64 = 2 << 20;
    let device = device(disk);
    let name = device.display().to_string();
    let mut file = File::options().write(true).open(&device).about(&name)?;
    let zeros = vec![0; 1 << 20];
    let ends = [0, disk.bytes.saturating_sub(ENDS)];
    for start in ends {
        use std::io::{Seek, SeekFrom};
        file.seek(SeekFrom::Start(start)).about(&name)?;
        let length = ENDS.min(disk.bytes - start);
        let mut left = length as usize;
        while left > 0 {
            let now = left.min(zeros.len());
            file.write_all(&zeros[..now]).about(&name)?;
            left -= now;
        }
    }
    file.sync_all().about(&name)
}

nix::ioctl_none!(
    /// BLKRRPART of linux/fs.h.
    reread_partitions,
    0x12,
    95
);

/// Has the kernel read the partition table again. A partition that udev has open makes it busy.
#[expect(unsafe_code, reason = "an ioctl without arguments")]
pub(crate) fn reread(disk: &Disk) -> Result<(), DeployError> {
    let device = device(disk);
    let mut last = Ok(0);
    for _ in 0..50 {
        let file = File::open(&device).about(device.display())?;
        // SAFETY: BLKRRPART takes no argument, and the descriptor is open for the whole call.
        last = unsafe { reread_partitions(file.as_raw_fd()) };
        if last.is_ok() {
            break;
        }
        sleep(Duration::from_millis(200));
    }
    last.about(format_args!("{} is busy", device.display()))?;
    settle();
    Ok(())
}

/// Waits until udev has made the device nodes.
pub(crate) fn settle() {
    let _ = run(&["udevadm", "settle", "--timeout=20"]);
}

/// A mounted file system; unmounted when dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn new(what: &str, at: &Path, kind: &str) -> Result<Self, DeployError> {
        let _ = output(&["modprobe", "-q", kind], "", &[0, 1]);
        fs::create_dir_all(at).about(at.display())?;
        mount(Some(what), at, Some(kind), MsFlags::empty(), None::<&str>)
            .about(format_args!("{what} cannot be mounted as {kind}"))?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if umount2(&self.0, MntFlags::empty()).is_err() {
            let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        }
    }
}

/// Erases a whole disk by the best way that it has, and says how.
pub(crate) fn erase(disk: &Disk) -> Result<Erased, DeployError> {
    wipe(disk)?;
    let mut failed = Vec::new();
    for &method in erase::better_methods(disk) {
        match erase_by(disk, method) {
            Ok(()) => return Ok(Erased { method, failed }),
            Err(error) => failed.push((method, error.to_string())),
        }
    }
    erase_by(disk, EraseMethod::Overwrite)?;
    Ok(Erased { method: EraseMethod::Overwrite, failed })
}

fn erase_by(disk: &Disk, method: EraseMethod) -> Result<(), DeployError> {
    let device = device(disk).display().to_string();
    for words in method.commands() {
        run(&[*words, &[device.as_str()]].concat())?;
    }
    // What the controller did is not known to the kernel's cache.
    run(&["blockdev", "--flushbufs", &device])?;
    let file = File::open(&device).about(&device)?;
    let mut sample = vec![1; SAMPLE_BYTES.min(disk.bytes) as usize];
    for at in erase::sample_places(disk.bytes) {
        use std::os::unix::fs::FileExt;
        file.read_exact_at(&mut sample, at).about(&device)?;
        if sample.iter().any(|byte| *byte != 0) {
            let error = std::io::Error::other(format!("not all bytes from {at} on are zero"));
            return Err(error).about(format_args!("{device} is not erased"));
        }
    }
    drop(file);
    reread(disk)
}

/// Switches the host off.
pub(crate) fn power_off() -> Result<(), DeployError> {
    Ok(run(&["systemctl", "poweroff"]).map(drop)?)
}

/// Restarts the host.
pub(crate) fn reboot() -> Result<(), DeployError> {
    nix::unistd::sync();
    run(&["systemctl", "reboot"])
        .map(drop)
        .or_else(|_| fs::write("/proc/sysrq-trigger", "b").about("the host cannot be restarted"))
}
