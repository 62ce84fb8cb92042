//! The Debian packages of the guest: found, downloaded and unpacked, never installed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// What the guest runs. Their libraries are found by `apt-cache`, but for liblzma: a newer kmod
/// is not linked with it, and loads it to read modules.
const PROGRAMS: &[&str] = &[
    "systemd",
    "udev",
    "iproute2",
    "curl",
    "kmod",
    "liblzma5",
    "iputils-ping",
    "nftables",
    "busybox-static",
    "dash",
    // What deploying needs.
    "util-linux",
    "fdisk",
    "e2fsprogs",
    "zstd",
    "xz-utils",
    "efibootmgr",
    "mdadm",
    "openssh-client",
];
/// The package that always depends on the newest kernel for virtual machines.
const KERNEL: &str = "linux-image-cloud-amd64";

/// Brings apt's lists up to date: on a new machine there are none, and on one that was not
/// updated for weeks they name packages that have been replaced since.
pub(crate) fn update_lists() -> anyhow::Result<()> {
    output("apt-get", &["-qq", "update"]).map(drop)
}

/// The names of all packages whose files the guest may take.
pub(crate) fn names() -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = PROGRAMS.iter().map(|name| (*name).to_owned()).collect();
    let mut arguments = vec!["depends", "--recurse", "--no-recommends", "--no-suggests"];
    arguments.extend(["--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"]);
    arguments.extend(PROGRAMS);
    // Dependencies stand indented below the package that has them. What is no
    // library (debconf, dpkg, other initramfs tools) is not needed to run.
    let closure = output("apt-cache", &arguments)?;
    let is_library = |line: &&str| line.starts_with("lib") || line.starts_with("zlib");
    names.extend(closure.lines().filter(is_library).map(str::to_owned));
    let kernel = output("apt-cache", &["depends", KERNEL])?;
    let image = kernel.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image"));
    let image = image.with_context(|| format!("apt-cache knows no kernel of {KERNEL}"))?;
    names.push(format!("linux-image{image}"));
    names.sort();
    names.dedup();
    Ok(names)
}

/// Downloads the packages into `directory`, which keeps what it has already.
pub(crate) fn download(names: &[String], directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory)?;
    // apt's own user may not write here, and apt would say so for every package.
    let status = Command::new("apt-get")
        .args(["-qq", "-o", "APT::Sandbox::User=root", "download"])
        .args(names)
        .current_dir(directory)
        .output()
        .context("apt-get does not start")?;
    if !status.status.success() {
        let reason = String::from_utf8_lossy(&status.stderr);
        bail!("apt-get download failed: {}", reason.trim());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        files.push(entry?.path());
    }
    files.retain(|path| path.extension() == Some(OsStr::new("deb")));
    files.sort();
    Ok(files)
}

/// Unpacks a package into `tree`.
pub(crate) fn unpack(package: &Path, tree: &Path) -> anyhow::Result<()> {
    let arguments = [OsStr::new("-x"), package.as_os_str(), tree.as_os_str()];
    output("dpkg-deb", &arguments).map(drop)
}

/// What a program printed; its complaint if it failed.
pub(crate) fn output(program: &str, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{program} does not start"))?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
