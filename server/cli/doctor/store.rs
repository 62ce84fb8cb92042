//! Files, database and clock.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::{Finding, Patient};
use crate::boot::arch::Arch;
use crate::boot::next::nbp_of;
use crate::files::FileStore;
use crate::inventory::EventFilter;
use crate::model::{Image, size_text};

/// Less than this is left of a disk that is full.
const LEAST_BYTES: u64 = 64 << 20;
/// 2025-01-01: no clock that was ever set is before this version.
const BORN: i64 = 1_735_689_600;
const ARCHS: [Arch; 5] =
    [Arch::Bios, Arch::X64Efi, Arch::Arm64Efi, Arch::Riscv64Efi, Arch::Loong64Efi];

fn files(patient: &Patient) -> FileStore {
    let config = &patient.config;
    FileStore::new(vec![config.files_path()]).with_package(config.ipxe_dir.clone())
}

/// Whether there is a boot program for each architecture, and those that the site names.
pub(super) async fn boot_programs(patient: &Patient) -> Vec<Finding> {
    let check = "boot programs";
    let (files, snapshot) = (files(patient), patient.snapshot());
    let (mut findings, mut there, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (arch, name) in ARCHS.into_iter().filter_map(|arch| Some((arch, nbp_of(arch)?))) {
        match files.open(name).await {
            Ok(_) => there.push(format!("{arch} ({name})")),
            // Some distributions' package has none for these.
            Err(_) if !matches!(arch, Arch::Bios | Arch::X64Efi) => missing.push(arch.to_string()),
            Err(error) => findings.push(Finding::trouble(
                check,
                format!("{arch} machines get nothing to boot: {error}"),
                "install the distribution's iPXE (Debian: apt install ipxe), or set ipxe_dir",
            )),
        }
    }
    if !there.is_empty() {
        let without = match missing.is_empty() {
            true => String::new(),
            false => format!("; none for {}", missing.join(", ")),
        };
        findings.push(Finding::good(check, format!("for {}{without}", there.join(", "))));
    }
    let of_subnets = snapshot.site.subnets.iter().flat_map(|(name, subnet)| {
        subnet.boot_files.values().map(move |file| (format!("subnet {name}"), file))
    });
    let of_hosts = snapshot.site.hosts.iter().filter_map(|(name, host)| {
        host.boot_file.as_ref().map(|file| (format!("host {name}"), file))
    });
    for (owner, file) in of_subnets.chain(of_hosts) {
        if let Err(error) = files.open(file).await {
            let remedy = format!("put it into {}", patient.config.files_path().display());
            findings.push(Finding::trouble(
                check,
                format!("boot-file of {owner}: {error}"),
                remedy,
            ));
        }
    }
    findings
}

/// Whether the files of every image are there.
pub(super) async fn images(patient: &Patient) -> Vec<Finding> {
    let check = "images";
    let (files, snapshot) = (files(patient), patient.snapshot());
    let mut findings = Vec::new();
    for (name, image) in &snapshot.site.images {
        let Image { kernel, efi, script, initrd, .. } = image;
        for file in [kernel, efi, script].into_iter().flatten().chain(initrd) {
            if let Err(error) = files.open(file).await {
                let users = snapshot.site.hosts.values();
                let users = users.filter(|host| host.image.as_deref() == Some(name)).count();
                let text = format!("image {name}, which {users} hosts boot: {error}");
                let remedy = format!("put it into {}", patient.config.files_path().display());
                findings.push(Finding::trouble(check, text, remedy));
            }
        }
    }
    if findings.is_empty() {
        let count = snapshot.site.images.len();
        findings.push(Finding::good(check, format!("the files of all {count} are there")));
    }
    findings
}

/// Whether the database takes leases, and its disk has room.
pub(super) async fn database(patient: &Patient) -> Vec<Finding> {
    let check = "database";
    let mut findings = Vec::new();
    match patient.inventory.database.check_writable().await {
        Ok(()) => findings.push(Finding::good(check, "it can be written")),
        Err(error) => findings.push(Finding::trouble(
            check,
            format!("it cannot be written, so that no lease is given: {error}"),
            "look at its owner, its mode and its disk, or at the PostgreSQL server",
        )),
    }
    if let Some(left) = bytes_left(&patient.config.data_dir).filter(|left| *left < LEAST_BYTES) {
        let dir = patient.config.data_dir.display();
        let text = format!("{} are left on the disk of {dir}", size_text(left));
        findings.push(Finding::trouble(check, text, "make room: a full disk gives no new lease"));
    }
    findings
}

fn bytes_left(directory: &Path) -> Option<u64> {
    let disk = statvfs(directory).ok()?;
    Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// Whether the clock can be right: leases live by it.
pub(super) async fn clock(patient: &Patient) -> Vec<Finding> {
    let check = "clock";
    let now = jiff::Timestamp::now();
    let filter = EventFilter { limit: 1, ..EventFilter::default() };
    let newest = patient.inventory.database.list_events(&filter).await.unwrap_or_default();
    let remedy = "set it, and let a time service keep it (systemd-timesyncd, chrony)";
    if now.as_second() < BORN {
        return vec![Finding::trouble(check, format!("it says {now}"), remedy)];
    }
    if let Some(event) = newest.first().filter(|event| event.at_ms > now.as_millisecond() + 60_000)
    {
        let seconds = event.at_ms / 1000 - now.as_second();
        let text = format!("it is {seconds} s behind the newest event: leases would not end");
        return vec![Finding::trouble(check, text, remedy)];
    }
    vec![Finding::good(check, format!("it says {}", now.strftime("%Y-%m-%d %H:%M:%S UTC")))]
}
