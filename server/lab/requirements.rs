//! The programs that the lab needs, and their Debian packages.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// A required file and its package.
const NEEDED: &[(&str, &str)] = &[
    ("/usr/bin/apt-get", "apt"),
    ("/usr/bin/curl", "curl"),
    ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/bin/mcopy", "mtools"),
    ("/sbin/getcap", "libcap2-bin"),
    ("/usr/bin/zstd", "zstd"),
    ("/sbin/mkfs.ext4", "e2fsprogs"),
    ("/sbin/e2fsck", "e2fsprogs"),
    ("/sbin/debugfs", "e2fsprogs"),
    ("/sbin/mkfs.vfat", "dosfstools"),
    ("/sbin/sfdisk", "fdisk"),
    ("/usr/lib/ipxe/undionly.kpxe", "ipxe"),
    ("/usr/lib/ipxe/snponly.efi", "ipxe"),
    ("/usr/lib/ipxe/qemu/pxe-virtio.rom", "ipxe-qemu"),
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
    ("/usr/share/seabios/bios-256k.bin", "seabios"),
    ("/sbin/ip", "iproute2"),
];

/// Fails if a program is missing or the user is not root, with the command that fixes it.
pub(super) fn check() -> anyhow::Result<()> {
    let mut missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect();
    missing.dedup();
    let root = nix::unistd::geteuid().is_root();
    if !missing.is_empty() {
        let sudo = if root { "" } else { "sudo " };
        let missing = missing.join(" ");
        bail!("missing Debian packages; install them: {sudo}apt-get install -y {missing}");
    }
    if !root {
        bail!("network namespaces need root: run with sudo");
    }
    Ok(())
}

/// Default directory of the guest image.
pub(super) fn default_cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
    base.unwrap_or_else(|| "/var/cache".into()).join("rackstrap-lab")
}
