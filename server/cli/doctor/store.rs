//! Boot programs, image files, database and clock.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::links::own_addresses;
use super::{CheckResult, Installation, counted};
use crate::boot::arch::Arch;
use crate::boot::next::nbp_of;
use crate::files::FileStore;
use crate::images::{self, ImageStore};
use crate::inventory::EventFilter;
use crate::inventory::vault::exposed_mode;
use crate::model::{RangeUse, Subnet, size_text, some_names};

/// Free space below which the disk counts as full.
const LEAST_BYTES: u64 = 64 << 20;
/// 2025-01-01, in Unix seconds: a clock before this release was never set.
const RELEASED: i64 = 1_735_689_600;
/// What the programs of iPXE 1.0 contain, and those of 1.20 and newer do not.
const OLD_IPXE: &[u8] = b"1.0.0";
const ARCHS: &[Arch] =
    &[Arch::Bios, Arch::X64Efi, Arch::Arm64Efi, Arch::Riscv64Efi, Arch::Loong64Efi];

fn files(target: &Installation) -> FileStore {
    let config = &target.config;
    FileStore::new(vec![config.files_path()]).with_package(config.ipxe_dir.clone())
}

/// What brings the boot program of an architecture that a distribution's iPXE may lack.
fn provider(arch: Arch) -> &'static str {
    match arch {
        Arch::Arm64Efi => {
            "package ipxe of Debian 13 or newer, or shim-signed and grub-efi-arm64-signed"
        }
        _ => "package ipxe of Debian 13 or newer",
    }
}

/// Checks that the boot program of each architecture exists, and each `boot-file` of the site.
pub(super) async fn boot_programs(target: &Installation) -> Vec<CheckResult> {
    let check = "boot programs";
    let (files, snapshot) = (files(target), target.snapshot());
    let (mut findings, mut there, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (arch, name) in ARCHS.iter().filter_map(|arch| Some((*arch, nbp_of(*arch)?))) {
        match files.open(name).await {
            Ok(_) => there.push(format!("{arch} ({name})")),
            // The iPXE packages of some distributions lack these.
            Err(_) if !matches!(arch, Arch::Bios | Arch::X64Efi) => {
                missing.push(format!("{arch} ({})", provider(arch)));
            }
            Err(error) => findings.push(CheckResult::error(
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
        findings
            .push(CheckResult::ok(check, format!("available for {}{without}", there.join(", "))));
    }
    findings.extend(slow_ipxe(target));
    let of_subnets = snapshot.site.subnets.iter().flat_map(|(name, subnet)| {
        subnet.boot_files.values().map(move |file| (format!("subnet {name}"), file))
    });
    let of_hosts = snapshot.site.hosts.iter().filter_map(|(name, host)| {
        host.boot_file.as_ref().map(|file| (format!("host {name}"), file))
    });
    for (owner, file) in of_subnets.chain(of_hosts) {
        if let Err(error) = files.open(file).await {
            let fix = format!("copy it to {}", target.config.files_path().display());
            findings.push(CheckResult::error(check, format!("boot-file of {owner}: {error}"), fix));
        }
    }
    findings
}

/// Finds the subnets whose hosts wait at each boot: iPXE 1.0 waits for a router advertisement, and
/// this server's reach its own links alone.
fn slow_ipxe(target: &Installation) -> Option<CheckResult> {
    let name = nbp_of(Arch::X64Efi)?;
    let files = target.config.files_path();
    let found = [files.join(name), target.config.ipxe_dir.join(name)];
    let program = found.iter().find_map(|path| fs::read(path).ok())?;
    if !program.windows(OLD_IPXE.len()).any(|bytes| bytes == OLD_IPXE) {
        return None;
    }
    let own = own_addresses();
    let advertises = target.config.router_advertisements;
    let is_reached = |subnet: &Subnet| {
        advertises && own.iter().any(|own| subnet.cidr.contains(&IpAddr::V4(*own)))
    };
    let gives = |subnet: &Subnet| subnet.ranges.iter().any(|it| it.used_for == RangeUse::Dhcp);
    let snapshot = target.snapshot();
    let subnets = snapshot.site.subnets.iter();
    let slow = subnets.filter(|(_, subnet)| subnet.cidr.addr().is_ipv4() && gives(subnet));
    let slow: Vec<String> =
        slow.filter(|(_, subnet)| !is_reached(subnet)).map(|(name, _)| name.clone()).collect();
    if slow.is_empty() {
        return None;
    }
    let text = format!(
        "{name} is iPXE 1.0 (2019), which waits 13 to 16 s for a router advertisement at each boot; \
         none of this server's reaches subnet {}",
        some_names(&slow)
    );
    let fix = format!(
        "install a newer iPXE (Debian 13 or newer), or copy its programs to {}, which go first",
        files.display()
    );
    Some(CheckResult::warning("boot programs", text, fix))
}

/// Checks that the files of every image are here and as they were added.
pub(super) fn images(target: &Installation) -> Vec<CheckResult> {
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
                findings.push(CheckResult::error(check, text, fix));
            }
        }
    }
    if findings.is_empty() {
        let count = snapshot.site.images.len();
        findings.push(CheckResult::ok(check, format!("images whose files are all here: {count}")));
    }
    findings
}

/// Checks that the database is writable, and that its disk has space.
pub(super) async fn database(target: &Installation) -> Vec<CheckResult> {
    let check = "database";
    let mut findings = Vec::new();
    match target.inventory.database.check_writable().await {
        Ok(()) => findings.push(CheckResult::ok(check, "writable")),
        Err(error) => findings.push(CheckResult::error(
            check,
            format!("not writable, so no client gets an address: {error}"),
            "check owner, mode and disk of the database file, or the PostgreSQL server",
        )),
    }
    if let Some(left) = bytes_left(&target.config.data_dir).filter(|left| *left < LEAST_BYTES) {
        let dir = target.config.data_dir.display();
        let text = format!("only {} free on the disk of {dir}", size_text(left));
        findings.push(CheckResult::error(
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

/// Checks that nobody but the server reads the file that secrets are sealed with.
pub(super) fn key_file(target: &Installation) -> Vec<CheckResult> {
    let check = "key file";
    let path = target.config.secret_key_path();
    match exposed_mode(&path) {
        Some(mode) => {
            let path = path.display();
            let text = format!(
                "{path} has mode {mode:04o}: other users of this machine can use the key of all secrets"
            );
            vec![CheckResult::warning(check, text, format!("chmod 600 {path}"))]
        }
        None if path.exists() => vec![CheckResult::ok(check, path.display().to_string())],
        None => Vec::new(),
    }
}

/// Checks that the clock is plausible: leases expire by it.
pub(super) async fn clock(target: &Installation) -> Vec<CheckResult> {
    let check = "clock";
    let now = jiff::Timestamp::now();
    let after_ms = now.as_millisecond() + 60_000;
    let filter = EventFilter { after_ms, limit: 1, ..EventFilter::default() };
    let newest = target.inventory.database.list_events(&filter).await.unwrap_or_default();
    let fix = "set the clock and keep it synchronised (systemd-timesyncd, chrony)";
    if now.as_second() < RELEASED {
        return vec![CheckResult::error(check, format!("the clock is wrong: {now}"), fix)];
    }
    if let Some(event) = newest.first() {
        let seconds = event.at_ms / 1000 - now.as_second();
        let text = format!("the clock is {seconds} s behind the newest event: leases expire late");
        return vec![CheckResult::error(check, text, fix)];
    }
    vec![CheckResult::ok(check, format!("{}", now.strftime("%Y-%m-%d %H:%M:%S UTC")))]
}
