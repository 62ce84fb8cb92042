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
    "xfsprogs",
    "btrfs-progs",
    "zstd",
    "xz-utils",
    "efibootmgr",
    "nvme-cli",
    "mdadm",
    "openssh-client",
];

/// Architectures that a live system is built for, as Debian calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Architecture {
    /// 64-bit PCs.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Architecture {
    /// That of this very program.
    pub(crate) fn own() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 }
    }

    /// Debian's word for it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// Where packages come from: this machine's apt, or one of its own for another architecture.
pub(crate) struct PackageSource {
    architecture: Architecture,
    /// Options for every apt command.
    options: Vec<String>,
}

impl PackageSource {
    /// The packages of an architecture; what apt keeps of a foreign one is below `cache`.
    pub(crate) fn of(architecture: Architecture, cache: &Path) -> anyhow::Result<Self> {
        if architecture == Architecture::own() {
            return Ok(Self { architecture, options: Vec::new() });
        }
        let state = cache.join(format!("apt-{}", architecture.label()));
        for directory in ["lists/partial", "archives/partial"] {
            std::fs::create_dir_all(state.join(directory))?;
        }
        std::fs::write(state.join("status"), "")?;
        let at = |key: &str, path: &str| format!("{key}={}", state.join(path).display());
        let settings = [
            format!("APT::Architecture={}", architecture.label()),
            at("Dir::State::Lists", "lists"),
            at("Dir::State::status", "status"),
            at("Dir::Cache", "."),
            "APT::Sandbox::User=root".to_owned(),
        ];
        let options = settings.into_iter().flat_map(|one| ["-o".to_owned(), one]).collect();
        Ok(Self { architecture, options })
    }

    fn apt(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let options = self.options.iter().map(String::as_str);
        output(program, &options.chain(arguments.iter().copied()).collect::<Vec<_>>())
    }
}

/// Brings apt's lists up to date: on a new machine there are none, and on one that was not
/// updated for weeks they name packages that have been replaced since.
pub(crate) fn update_lists(source: &PackageSource) -> anyhow::Result<()> {
    source.apt("apt-get", &["-qq", "update"]).map(drop)
}

/// The names of all packages whose files the guest may take.
pub(crate) fn names(source: &PackageSource) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = PROGRAMS.iter().map(|name| (*name).to_owned()).collect();
    let mut arguments = vec!["depends", "--recurse", "--no-recommends", "--no-suggests"];
    arguments.extend(["--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"]);
    arguments.extend(PROGRAMS);
    // Dependencies stand indented below the package that has them. What is no
    // library (debconf, dpkg, other initramfs tools) is not needed to run.
    let closure = source.apt("apt-cache", &arguments)?;
    let is_library = |line: &&str| line.starts_with("lib") || line.starts_with("zlib");
    names.extend(closure.lines().filter(is_library).map(str::to_owned));
    // It always depends on the newest kernel. That for virtual machines has no drivers of servers.
    let newest = format!("linux-image-{}", source.architecture.label());
    let kernel = source.apt("apt-cache", &["depends", &newest])?;
    let image = kernel.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image"));
    let image = image.with_context(|| format!("apt-cache knows no kernel of {newest}"))?;
    names.push(format!("linux-image{image}"));
    names.sort();
    names.dedup();
    Ok(names)
}

/// Downloads the packages into `directory`, which keeps what it has already.
pub(crate) fn download(
    source: &PackageSource,
    names: &[String],
    directory: &Path,
) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory)?;
    // apt's own user may not write here, and apt would say so for every package.
    let status = Command::new("apt-get")
        .args(&source.options)
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
