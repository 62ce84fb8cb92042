//! Boot programs, image files, database and clock.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::{Finding, Target, counted};
use crate::boot::arch::Arch;
use crate::boot::next::nbp_of;
use crate::files::FileStore;
use crate::images::{self, ImageStore};
use crate::inventory::EventFilter;
use crate::model::size_text;

/// Free space below which the disk counts as full.
const LEAST_BYTES: u64 = 64 << 20;
/// 2025-01-01, in Unix seconds: a clock before this release was never set.
const RELEASED: i64 = 1_735_689_600;
const ARCHS: &[Arch] =
    &[Arch::Bios, Arch::X64Efi, Arch::Arm64Efi, Arch::Riscv64Efi, Arch::Loong64Efi];

fn files(target: &Target) -> FileStore {
    let config = &target.config;
    FileStore::new(vec![config.files_path()]).with_package(config.ipxe_dir.clone())
}

/// Checks that the boot program of each architecture exists, and each `boot-file` of the site.
pub(super) async fn boot_programs(target: &Target) -> Vec<Finding> {
    let check = "boot programs";
    let (files, snapshot) = (files(target), target.snapshot());
    let (mut findings, mut there, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (arch, name) in ARCHS.iter().filter_map(|arch| Some((*arch, nbp_of(*arch)?))) {
        match files.open(name).await {
            Ok(_) => there.push(format!("{arch} ({name})")),
            // The iPXE packages of some distributions lack these.
            Err(_) if !matches!(arch, Arch::Bios | Arch::X64Efi) => missing.push(arch.to_string()),
            Err(error) => findings.push(Finding::error(
                check,
                format!("{arch} hosts cannot boot: {error}"),
                "install the distribution's iPXE (Debian: apt install ipxe), or set ipxe_dir",
            )),
        }
    }
    if !there.is_empty() {
        let without = match missing.is_empty() {
            true => String::new(),
            false => format!(", but not for {}", missing.join(", ")),
        };
        findings.push(Finding::ok(check, format!("available for {}{without}", there.join(", "))));
    }
    let of_subnets = snapshot.site.subnets.iter().flat_map(|(name, subnet)| {
        subnet.boot_files.values().map(move |file| (format!("subnet {name}"), file))
    });
    let of_hosts = snapshot.site.hosts.iter().filter_map(|(name, host)| {
        host.boot_file.as_ref().map(|file| (format!("host {name}"), file))
    });
    for (owner, file) in of_subnets.chain(of_hosts) {
        if let Err(error) = files.open(file).await {
            let fix = format!("copy it to {}", target.config.files_path().display());
            findings.push(Finding::error(check, format!("boot-file of {owner}: {error}"), fix));
        }
    }
    findings
}

/// Checks that the files of every image are here and as they were added.
pub(super) fn images(target: &Target) -> Vec<Finding> {
    let check = "images";
    let (files, snapshot) = (files(target), target.snapshot());
    let (store, records) =
        (ImageStore::new(target.config.files_path()), target.inventory.stored_files());
    let fault = |file: &str| {
        let of_record = images::file_fault(&store, records.of(file));
        of_record.or_else(|| files.fault(file).map(|fault| fault.to_string()))
    };
    let mut findings = Vec::new();
    for (name, image) in &snapshot.site.images {
        for (_, file) in image.files() {
            if let Some(fault) = fault(file) {
                let users = snapshot.site.hosts.values();
                let users = users.filter(|host| host.image.as_deref() == Some(name)).count();
                let text = format!("image {name} of {}: {fault}", counted(users, "host"));
                let fix = match records.of(file) {
                    Some(_) => format!("rackstrap image add {name} --replace"),
                    None => format!("copy it to {}", target.config.files_path().display()),
                };
                findings.push(Finding::error(check, text, fix));
            }
        }
    }
    if findings.is_empty() {
        let count = snapshot.site.images.len();
        findings.push(Finding::ok(check, format!("images whose files are all here: {count}")));
    }
    findings
}

/// Checks that the database is writable, and that its disk has space.
pub(super) async fn database(target: &Target) -> Vec<Finding> {
    let check = "database";
    let mut findings = Vec::new();
    match target.inventory.database.check_writable().await {
        Ok(()) => findings.push(Finding::ok(check, "writable")),
        Err(error) => findings.push(Finding::error(
            check,
            format!("not writable, so no client gets an address: {error}"),
            "check owner, mode and disk of the database file, or the PostgreSQL server",
        )),
    }
    if let Some(left) = bytes_left(&target.config.data_dir).filter(|left| *left < LEAST_BYTES) {
        let dir = target.config.data_dir.display();
        let text = format!("only {} free on the disk of {dir}", size_text(left));
        findings.push(Finding::error(
            check,
            text,
            "free some space: with a full disk, new clients get no address",
        ));
    }
    findings
}

fn bytes_left(directory: &Path) -> Option<u64> {
    let disk = statvfs(directory).ok()?;
    Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// Checks that the clock is plausible: leases expire by it.
pub(super) async fn clock(target: &Target) -> Vec<Finding> {
    let check = "clock";
    let now = jiff::Timestamp::now();
    let after_ms = now.as_millisecond() + 60_000;
    let filter = EventFilter { after_ms, limit: 1, ..EventFilter::default() };
    let newest = target.inventory.database.list_events(&filter).await.unwrap_or_default();
    let fix = "set the clock and keep it synchronised (systemd-timesyncd, chrony)";
    if now.as_second() < RELEASED {
        return vec![Finding::error(check, format!("the clock is wrong: {now}"), fix)];
    }
    if let Some(event) = newest.first() {
        let seconds = event.at_ms / 1000 - now.as_second();
        let text = format!("the clock is {seconds} s behind the newest event: leases expire late");
        return vec![Finding::error(check, text, fix)];
    }
    vec![Finding::ok(check, format!("{}", now.strftime("%Y-%m-%d %H:%M:%S UTC")))]
}
