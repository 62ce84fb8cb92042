//! Network namespaces, and the cleanup after a lab that crashed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Directory of `ip netns`.
const NAMESPACES: &str = "/run/netns";
/// Directory of the labs' files, with a subdirectory per process id.
const WORK: &str = "/run/rackstrap-lab";
/// The labs' disks, which are too large for memory.
const DISKS: &str = "/var/tmp/rackstrap-lab";
/// Prefix of the labs' namespaces.
const PREFIX: &str = "rackstrap-lab-";

/// A network namespace, removed with its links when dropped.
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates a namespace of this lab, with loopback up.
    pub(super) fn new(what: &str) -> anyhow::Result<Self> {
        let namespace = Self { name: format!("{PREFIX}{}-{what}", std::process::id()) };
        run(&["ip", "netns", "add", &namespace.name])?;
        namespace.ip("link set lo up\n")?;
        Ok(namespace)
    }

    /// Name for `ip netns`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs lines of `ip` commands in the namespace.
    pub(super) fn ip(&self, lines: &str) -> anyhow::Result<()> {
        let mut ip = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run ip")?;
        // ip exits at the first error without reading the rest, which is not a second error.
        if let Some(mut input) = ip.stdin.take() {
            let _ = input.write_all(lines.as_bytes());
        }
        let output = ip.wait_with_output()?;
        if !output.status.success() {
            bail!("ip in {}: {}", self.name, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// A command in the namespace that is killed when this process ends for any reason.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", &self.name, "setpriv", "--pdeathsig", "KILL"]);
        // A process group of its own, so that Ctrl-C reaches only the lab, which stops it in order.
        command.arg(program).stdin(Stdio::null()).kill_on_drop(true).process_group(0);
        command
    }

    /// Moves the calling thread into the namespace, permanently.
    pub(super) fn enter(name: &str) -> io::Result<()> {
        let file = File::open(Path::new(NAMESPACES).join(name))?;
        setns(file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove_namespace(&self.name);
    }
}

/// The directory of this lab's files, removed when dropped.
pub(super) struct WorkDirectory {
    path: PathBuf,
    disks: PathBuf,
}

impl WorkDirectory {
    /// Creates the directory.
    pub(super) fn new() -> io::Result<Self> {
        let process = std::process::id().to_string();
        let (path, disks) = (Path::new(WORK).join(&process), Path::new(DISKS).join(process));
        fs::create_dir_all(&path)?;
        Ok(Self { path, disks })
    }

    /// Path of the directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the directory for disks, which may not exist yet.
    pub(super) fn disks(&self) -> &Path {
        &self.disks
    }
}

impl Drop for WorkDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_dir_all(&self.disks);
    }
}

/// Cleans up after labs that were killed. Returns their number.
pub(super) fn remove_leftovers() -> usize {
    let namespaces = names_in(NAMESPACES);
    let namespaces = namespaces.iter().filter_map(|name| Some((name, name.strip_prefix(PREFIX)?)));
    let mut dead: Vec<&str> = Vec::new();
    for (name, rest) in namespaces {
        let process = rest.split('-').next().unwrap_or(rest);
        if !is_a_lab(process) {
            remove_namespace(name);
            dead.push(process);
        }
    }
    let directories: Vec<(&str, String)> = [WORK, DISKS]
        .into_iter()
        .flat_map(|parent| names_in(parent).into_iter().map(move |process| (parent, process)))
        .collect();
    for (parent, process) in directories.iter().filter(|(_, process)| !is_a_lab(process)) {
        let _ = fs::remove_dir_all(Path::new(parent).join(process));
        dead.push(process);
    }
    dead.sort_unstable();
    dead.dedup();
    dead.len()
}

fn names_in(directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// Whether a process id is of a running lab; ids are reused.
fn is_a_lab(process: &str) -> bool {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|argument| argument == b"lab")
}

/// Kills the processes in a namespace and removes it.
fn remove_namespace(name: &str) {
    let inside = Command::new("ip").args(["netns", "pids", name]).output();
    let inside = inside.map(|output| output.stdout).unwrap_or_default();
    let processes = String::from_utf8_lossy(&inside);
    for process in processes.split_whitespace().filter_map(|number| number.parse().ok()) {
        let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
    }
    let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("empty command")?;
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
