//! Makes a compressed raw disk image of a qcow2 one, and finds the kernel in an ISO, with the
//! programs that read these formats best: `qemu-img` and `bsdtar`. Waits for the disk.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

use super::names::FileRole;
use super::store::{ImageStore, IncomingFile, StoreError};

/// What is read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// zstd's own default: a disk of 10 GB takes a minute.
const ZSTD_LEVEL: i32 = 3;

/// Why a file cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The program is not here.
    #[error("cannot run {program}: {source}; install package {package}")]
    Missing {
        /// The program.
        program: &'static str,
        /// Debian's package with it.
        package: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// It failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// The image reads other files.
    #[error("it needs another file ({0}): flatten it with qemu-img convert")]
    Backed(String),
    /// There is no kernel in the ISO where one is known to be.
    #[error("no kernel with initrd found; known places: {}", known_places())]
    NoKernel,
}

fn known_places() -> String {
    BOOT_FILES.iter().map(|(kernel, _)| *kernel).collect::<Vec<_>>().join(", ")
}

/// The parts of `qemu-img info --output=json` that name other files.
#[derive(Deserialize)]
struct QemuInfo {
    #[serde(rename = "backing-filename")]
    backing: Option<String>,
    #[serde(rename = "format-specific")]
    specific: Option<QemuSpecific>,
}

#[derive(Deserialize)]
struct QemuSpecific {
    data: Option<QemuSpecificData>,
}

#[derive(Deserialize)]
struct QemuSpecificData {
    #[serde(rename = "data-file")]
    data_file: Option<String>,
}

fn run(
    program: &'static str,
    package: &'static str,
    command: &mut Command,
) -> Result<Output, ConvertError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| ConvertError::Missing { program, package, source })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ConvertError::Failed { program, said })
}

/// Refuses a qcow2 image that is damaged or truncated, or that reads other files.
pub(super) fn check_qcow2(from: &Path) -> Result<(), ConvertError> {
    let mut info = Command::new("qemu-img");
    info.args(["info", "-f", "qcow2", "--output=json"]).arg(from);
    let info = run("qemu-img", "qemu-utils", &mut info)?;
    let info: QemuInfo = serde_json::from_slice(&info.stdout).map_err(|error| {
        ConvertError::Failed { program: "qemu-img info", said: error.to_string() }
    })?;
    let other = info.specific.and_then(|specific| specific.data?.data_file).or(info.backing);
    match other {
        Some(other) => Err(ConvertError::Backed(other)),
        None => check_clusters(from),
    }
}

/// qemu-img converts a truncated image without a word.
fn check_clusters(image: &Path) -> Result<(), ConvertError> {
    // Clusters that nothing uses (qemu-img(1), check: exit status 3) do no harm.
    const LEAKS: i32 = 3;
    let program = "qemu-img check";
    let mut check = Command::new("qemu-img");
    let check = check.args(["check", "-q", "-f", "qcow2"]).arg(image).stdin(Stdio::null()).output();
    let package = "qemu-utils";
    let check = check.map_err(|source| ConvertError::Missing { program, package, source })?;
    if matches!(check.status.code(), Some(0 | LEAKS)) {
        return Ok(());
    }
    let said = [check.stderr, check.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty());
    let said = said.unwrap_or("the image is damaged").to_owned();
    Err(ConvertError::Failed { program, said })
}

/// Writes what a qcow2 image puts on a disk into `to`, compressed by zstd. The format is given, so
/// that nothing in the file chooses another one.
pub(super) fn unpack_qcow2(
    from: &Path,
    scratch: &Path,
    to: &mut IncomingFile,
) -> Result<(), StoreError> {
    let failed = |error: ConvertError| StoreError::Convert(error);
    check_qcow2(from).map_err(failed)?;
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-f", "qcow2", "-O", "raw"]).arg(from).arg(scratch);
    run("qemu-img", "qemu-utils", &mut convert).map_err(failed)?;
    let raw = std::fs::File::open(scratch);
    let raw = raw.map_err(|source| StoreError::io("read", scratch, source))?;
    let size_bytes = raw.metadata().map_or(0, |metadata| metadata.len());
    pack(raw, size_bytes, to)
}

/// Compresses by zstd, with the size in the header and a checksum at the end.
fn pack(mut from: impl Read, size_bytes: u64, to: &mut IncomingFile) -> Result<(), StoreError> {
    let failed = |error: io::Error| {
        StoreError::Convert(ConvertError::Failed { program: "zstd", said: error.to_string() })
    };
    let mut packer = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(failed)?;
    packer.include_checksum(true).map_err(failed)?;
    packer.set_pledged_src_size(Some(size_bytes)).map_err(failed)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut buffer).map_err(failed)?;
        if length == 0 {
            break;
        }
        io::Write::write_all(&mut packer, &buffer[..length]).map_err(failed)?;
        to.write(packer.get_ref())?;
        packer.get_mut().clear();
    }
    to.write(&packer.finish().map_err(failed)?)
}

/// Where installers and live systems have kernel and initrd, below the root of their ISO.
const BOOT_FILES: [(&str, &str); 14] = [
    // Debian's installer.
    ("install.amd/vmlinuz", "install.amd/initrd.gz"),
    ("install.a64/vmlinuz", "install.a64/initrd.gz"),
    // Ubuntu.
    ("casper/vmlinuz", "casper/initrd"),
    ("casper/vmlinuz", "casper/initrd.lz"),
    ("casper/vmlinuz", "casper/initrd.gz"),
    // Debian Live.
    ("live/vmlinuz", "live/initrd.img"),
    ("live/vmlinuz", "live/initrd"),
    // Fedora, RHEL and their kin.
    ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img"),
    // SUSE.
    ("boot/x86_64/loader/linux", "boot/x86_64/loader/initrd"),
    ("boot/aarch64/linux", "boot/aarch64/initrd"),
    // Proxmox VE.
    ("boot/linux26", "boot/initrd.img"),
    // Alpine.
    ("boot/vmlinuz-lts", "boot/initramfs-lts"),
    ("boot/vmlinuz-virt", "boot/initramfs-virt"),
    // Arch.
    ("arch/boot/x86_64/vmlinuz-linux", "arch/boot/x86_64/initramfs-linux.img"),
];

/// The kernel and the initrd among the names of an ISO's files.
fn choose(names: &[String]) -> Option<[(FileRole, String); 2]> {
    let plain = |name: &str| {
        let name = name.trim_start_matches("./");
        name.split(';').next().unwrap_or(name).to_ascii_lowercase()
    };
    let find = |wanted: &str| names.iter().find(|name| plain(name) == wanted).cloned();
    let known = BOOT_FILES.iter().find_map(|(kernel, initrd)| Some((find(kernel)?, find(initrd)?)));
    // Debian Live has the release in both names.
    let versioned = || {
        let kernel = names.iter().find(|name| plain(name).starts_with("live/vmlinuz-"))?;
        let release = plain(kernel).strip_prefix("live/vmlinuz-")?.to_owned();
        let initrd = find(&format!("live/initrd.img-{release}"))?;
        Some((kernel.clone(), initrd))
    };
    let (kernel, initrd) = known.or_else(versioned)?;
    Some([(FileRole::Kernel, kernel), (FileRole::Initrd, initrd)])
}

/// The kernel and the initrd of an ISO: their names in it.
pub(super) fn find_in_iso(iso: &Path) -> Result<[(FileRole, String); 2], ConvertError> {
    let mut list = Command::new("bsdtar");
    let list = run("bsdtar", "libarchive-tools", list.arg("-tf").arg(iso))?;
    let names = String::from_utf8_lossy(&list.stdout);
    let names: Vec<String> = names.lines().map(str::to_owned).collect();
    choose(&names).ok_or(ConvertError::NoKernel)
}

/// Copies a file of an ISO into the store.
pub(super) fn extract(
    store: &ImageStore,
    iso: &Path,
    name: &str,
) -> Result<IncomingFile, StoreError> {
    let failed =
        |source| ConvertError::Missing { program: "bsdtar", package: "libarchive-tools", source };
    let mut command = Command::new("bsdtar");
    // A name is a pattern to bsdtar: what it would expand is quoted.
    let pattern: String = name
        .chars()
        .flat_map(|c| match c {
            '*' | '?' | '[' | '\\' => vec!['\\', c],
            c => vec![c],
        })
        .collect();
    command.arg("-xOf").arg(iso).arg("--").arg(pattern).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| StoreError::Convert(failed(error)))?;
    let mut incoming = store.receive(None)?;
    let mut copy = || -> Result<(), StoreError> {
        let unreadable = |error| StoreError::io("read", iso, error);
        let no_output = || unreadable(io::Error::other("no output"));
        let mut from = child.stdout.take().ok_or_else(no_output)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match from.read(&mut buffer).map_err(unreadable)? {
                0 => return Ok(()),
                length => incoming.write(&buffer[..length])?,
            }
        }
    };
    let copied = copy();
    let output = child.wait_with_output();
    let output = output.map_err(|error| StoreError::Convert(failed(error)))?;
    copied?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(StoreError::Convert(ConvertError::Failed { program: "bsdtar", said }));
    }
    Ok(incoming)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found_where_installers_have_them() {
        let cases = [
            (
                vec!["casper/vmlinuz", "casper/initrd", "casper/hwe-vmlinuz"],
                Some(("casper/vmlinuz", "casper/initrd")),
            ),
            (
                vec!["./install.amd/vmlinuz", "./install.amd/initrd.gz"],
                Some(("./install.amd/vmlinuz", "./install.amd/initrd.gz")),
            ),
            (vec!["IMAGES/PXEBOOT/VMLINUZ.;1", "IMAGES/PXEBOOT/INITRD.IMG;1"], None),
            (
                vec!["IMAGES/PXEBOOT/VMLINUZ;1", "IMAGES/PXEBOOT/INITRD.IMG;1"],
                Some(("IMAGES/PXEBOOT/VMLINUZ;1", "IMAGES/PXEBOOT/INITRD.IMG;1")),
            ),
            (
                vec![
                    "live/vmlinuz-6.1.0-50-amd64",
                    "live/initrd.img-6.1.0-50-amd64",
                    "live/initrd.img-5.10",
                ],
                Some(("live/vmlinuz-6.1.0-50-amd64", "live/initrd.img-6.1.0-50-amd64")),
            ),
            (vec!["casper/vmlinuz"], None),
            (vec![], None),
        ];
        for (names, expected) in cases {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let found = choose(&names);
            let found =
                found.as_ref().map(|[(_, kernel), (_, initrd)]| (kernel.as_str(), initrd.as_str()));
            assert_eq!(found, expected, "{names:?}");
        }
    }
}
