//! The disks of this host, from sysfs.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;

use super::tools;
use super::{About, DeployError};
use crate::deploy::disk::{Disk, Signature};
use crate::model::DiskType;

/// Devices that are no disks: loop, RAM, floppy, CD, network and device-mapper devices.
const NO_DISKS: [&str; 9] = ["loop", "ram", "zram", "fd", "sr", "nbd", "dm-", "md", "mtd"];

/// The disks, once the kernel has found them: drivers look for disks on their own time.
pub(super) fn settled_disks() -> Result<Vec<Disk>, DeployError> {
    tools::settle();
    let mut before = disks()?;
    for _ in 0..30 {
        sleep(Duration::from_millis(if before.is_empty() { 1000 } else { 300 }));
        let now = disks()?;
        if !now.is_empty() && now == before {
            break;
        }
        before = now;
    }
    Ok(before)
}

/// The disks as they are now.
pub(super) fn disks() -> Result<Vec<Disk>, DeployError> {
    fs::read_dir("/sys/block").about("/sys/block")?;
    Ok(disk_names(Path::new("/sys/block")).into_iter().map(disk).collect())
}

/// The names of the disks among the block devices of sysfs.
fn disk_names(block: &Path) -> Vec<String> {
    let mut names = names_in(block);
    names.retain(|name| !NO_DISKS.iter().any(|prefix| name.starts_with(prefix)));
    // Partitions of an eMMC that only its firmware writes.
    names.retain(|name| !(name.starts_with("mmcblk") && name.contains("boot")));
    // One of the ways to an NVMe namespace, such as nvme0c0n1, has no device of its own.
    let is_hidden = |name: &String| {
        fs::read_to_string(block.join(name).join("hidden")).is_ok_and(|text| text.trim() == "1")
    };
    names.retain(|name| !is_hidden(name));
    names
}

fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The partitions of a disk, from sysfs: a name alone does not tell.
pub(super) fn partitions(disk: &str) -> Vec<String> {
    let directory = Path::new("/sys/block").join(disk);
    let is_partition = |name: &String| directory.join(name).join("partition").exists();
    names_in(&directory).into_iter().filter(is_partition).collect()
}

/// The devices that are stacked on a disk or its partitions.
pub(super) fn holders(disk: &str) -> Vec<String> {
    let directory = Path::new("/sys/block").join(disk);
    let own = names_in(&directory.join("holders")).into_iter();
    let parts = partitions(disk);
    own.chain(parts.iter().flat_map(|name| names_in(&directory.join(name).join("holders"))))
        .collect()
}

fn disk(name: String) -> Disk {
    let directory = PathBuf::from("/sys/block").join(&name);
    let text = |path: &str| {
        let text = fs::read_to_string(directory.join(path)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let number = |path: &str| text(path).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let place = fs::canonicalize(&directory).unwrap_or_default();
    let told = udev(&name);
    let told = |key: &str| {
        let mut lines = told.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
    };
    let kind = match (name.starts_with("nvme"), number("queue/rotational")) {
        (true, _) => DiskType::Nvme,
        (false, 0) => DiskType::Ssd,
        // What a hypervisor says of its disks is not to be relied upon.
        (false, _) if name.starts_with("vd") => DiskType::Ssd,
        (false, _) => DiskType::Hdd,
    };
    let is_usb =
        place.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"));
    Disk {
        serial: text("serial")
            .or_else(|| text("device/serial"))
            .or_else(|| told("ID_SERIAL_SHORT"))
            .or_else(|| vital_product_serial(&directory)),
        wwn: text("wwid").or_else(|| text("device/wwid")).or_else(|| told("ID_WWN")),
        by_path: told("ID_PATH"),
        model: text("device/model").or_else(|| told("ID_MODEL")),
        kind: Some(kind),
        // Always in units of 512 bytes, whatever the sectors are.
        bytes: number("size") * 512,
        sector_bytes: number("queue/logical_block_size").max(512),
        is_read_only: number("ro") != 0,
        is_removable: number("removable") != 0,
        is_usb,
        used_by: used_by(&name),
        signatures: signatures(&name),
        name,
    }
}

/// What udev says of a disk; of a live system without its rules only the path.
fn udev(name: &str) -> String {
    let path = format!("/sys/block/{name}");
    let stored = tools::run(&["udevadm", "info", "--query=property", &path]).unwrap_or_default();
    let built = tools::run(&["udevadm", "test-builtin", "path_id", &path]).unwrap_or_default();
    stored + &built
}

/// The unit serial number of a SCSI disk (SPC-4 section 7.8.16): page 0x80 of its vital product
/// data.
fn vital_product_serial(directory: &Path) -> Option<String> {
    let page = fs::read(directory.join("device/vpd_pg80")).ok()?;
    let text = String::from_utf8_lossy(page.get(4..)?).trim().trim_matches('\0').to_owned();
    Some(text).filter(|text| !text.is_empty())
}

/// Mount points and swap on a disk or its partitions, and what is stacked on them, arrays apart:
/// those are assembled by udev and stopped when the disk is wiped.
fn used_by(name: &str) -> Vec<String> {
    let mut devices = partitions(name);
    devices.push(name.to_owned());
    let devices: Vec<String> = devices.iter().map(|name| format!("/dev/{name}")).collect();
    let mut users = Vec::new();
    for (table, word) in [("/proc/mounts", 1), ("/proc/swaps", 1)] {
        for line in fs::read_to_string(table).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.first().is_some_and(|first| devices.iter().any(|device| device == first)) {
                users.extend(words.get(word).map(|user| (*user).to_owned()));
            }
        }
    }
    users.extend(holders(name).into_iter().filter(|holder| !holder.starts_with("md")));
    users
}

#[derive(Deserialize)]
struct Wipefs {
    #[serde(default)]
    signatures: Vec<WipefsSignature>,
}

#[derive(Deserialize)]
struct WipefsSignature {
    #[serde(rename = "type")]
    kind: String,
    uuid: Option<String>,
    label: Option<String>,
}

fn signatures(name: &str) -> Vec<Signature> {
    let mut devices = vec![name.to_owned()];
    devices.extend(partitions(name));
    let mut found = Vec::new();
    for device in devices {
        let words = ["wipefs", "--no-act", "--json", &format!("/dev/{device}")];
        // Of a device without any it says nothing at all.
        let text = tools::run(&words).unwrap_or_default();
        let Ok(read) = serde_json::from_str::<Wipefs>(&text) else { continue };
        let mut kinds = Vec::new();
        for WipefsSignature { kind, uuid, label } in read.signatures {
            // A GPT has two signatures and a protective master boot record.
            if !kinds.contains(&kind) {
                kinds.push(kind.clone());
                found.push(Signature { device: device.clone(), kind, uuid, label });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_a_namespace_and_devices_that_are_no_disks_do_not_count() {
        let block = tempfile::tempdir().unwrap();
        // As a kernel with native NVMe multipath shows a drive with two ports; before 4.15 there is
        // no such attribute.
        let devices = [
            ("nvme0n1", Some("0\n")),
            ("nvme0c0n1", Some("1\n")),
            ("nvme0c1n1", Some("1\n")),
            ("sda", None),
            ("vda", Some("0\n")),
            ("mmcblk0", Some("0\n")),
            ("mmcblk0boot0", Some("0\n")),
            ("md127", Some("0\n")),
            ("dm-0", Some("0\n")),
            ("sr0", Some("0\n")),
            ("loop0", Some("0\n")),
        ];
        for (name, hidden) in devices {
            let directory = block.path().join(name);
            fs::create_dir(&directory).unwrap();
            if let Some(text) = hidden {
                fs::write(directory.join("hidden"), text).unwrap();
            }
        }
        assert_eq!(disk_names(block.path()), ["mmcblk0", "nvme0n1", "sda", "vda"]);
    }
}
