//! What makes an image a host: its size, what [`system`](super::system) writes into it, and its boot
//! entry.

use std::fs;
use std::path::Path;

use super::mirror::{self, Mirror};
use super::system::System;
use super::tools::{self, Mounted};
use super::{About, DeployError};
use crate::deploy::Plan;
use crate::deploy::boot_order;
use crate::deploy::disk::{Disk, Target};
use crate::deploy::mirror::check_room;
use crate::deploy::partitions::{self, Layout, Partition};
use crate::deploy::removable::{self, FileCopy};
use crate::lifecycle::event::BootEntry;
use crate::model::{BootOrder, CpuArch};

/// Where the installed system is mounted.
const ROOT: &str = "/run/rackstrap/root";
const ESP: &str = "/run/rackstrap/esp";
/// What this program, and so the host, is made for.
const ARCH: CpuArch = if cfg!(target_arch = "aarch64") { CpuArch::Arm64 } else { CpuArch::X64 };

fn is_uefi() -> bool {
    Path::new("/sys/firmware/efi").exists()
}

/// Whether a BIOS started this host. Hosts of other architectures without UEFI boot in ways of
/// their own.
pub(super) fn is_bios() -> bool {
    ARCH == CpuArch::X64 && !is_uefi()
}

/// Makes the image on the disk this host's own, and the second disk its mirror. What could not be
/// done and prevents no boot is a warning.
pub(super) fn configure(
    target: &Target,
    plan: &Plan,
    url: &str,
    mac: &str,
) -> Result<Vec<String>, DeployError> {
    let mut warnings = Vec::new();
    let Target { disk, mirror: second } = target;
    tools::reread(disk)?;
    let of_image = layout(disk)?;
    let kind = file_system(&of_image.root)?;
    let system = System::new(Path::new(ROOT));
    if second.is_some() {
        let _mounted = Mounted::new(&of_image.root.node, Path::new(ROOT), &kind)?;
        mirror::check(&of_image, &system)?;
    }
    grow(disk, &of_image, &mut warnings)?;
    let mirror = match second {
        None => None,
        Some(_) => {
            let grown = layout(disk)?.root;
            let bytes = |partition: &Partition| partition.size.saturating_mul(disk.sector_bytes);
            check_room(bytes(&of_image.root), bytes(&grown))?;
            Some(Mirror::create(&grown.node, &plan.host)?)
        }
    };
    let root = mirror.as_ref().map_or(&of_image.root.node, |mirror| &mirror.device);
    grow_file_system(root, &kind)?;
    {
        let _mounted = Mounted::new(root, Path::new(ROOT), &kind)?;
        grow_mounted(&kind, &mut warnings);
        system.make_own(plan, url, mac)?;
        mirror.iter().try_for_each(|mirror| mirror.record(&system))?;
    }
    nix::unistd::sync();
    if let (Some(mirror), Some(second)) = (mirror, second) {
        mirror.complete(disk, second)?;
    }
    Ok(warnings)
}

/// What became of the way from the firmware to the disk.
pub(super) struct AddedBoot {
    pub entry: BootEntry,
    pub warnings: Vec<String>,
}

/// Makes the firmware boot the disks, the first one first. What prevents no boot is a warning.
pub(super) fn add_boot(
    target: &Target,
    host: &str,
    policy: BootOrder,
) -> Result<AddedBoot, DeployError> {
    let mut added = AddedBoot { entry: BootEntry::NotNeeded, warnings: Vec::new() };
    // Each entry is put before the ones added earlier, so the last one comes first.
    let labels = [format!("rackstrap {host}"), format!("rackstrap {host} mirror")];
    let disks: Vec<(&Disk, String)> = target.disks().zip(labels).collect();
    for (disk, label) in disks.into_iter().rev() {
        added.entry = add_boot_of(disk, &label, policy, &mut added.warnings)?;
    }
    nix::unistd::sync();
    Ok(added)
}

/// Makes the firmware boot a disk by an entry with this label.
fn add_boot_of(
    disk: &Disk,
    label: &str,
    policy: BootOrder,
    warnings: &mut Vec<String>,
) -> Result<BootEntry, DeployError> {
    if !is_uefi() {
        return Ok(BootEntry::NotNeeded);
    }
    let layout = layout(disk)?;
    let Some(esp) = &layout.esp else {
        warnings.push("the image has no EFI system partition, and this host boots by UEFI".into());
        return Ok(BootEntry::Refused);
    };
    add_removable_path(esp)?;
    Ok(match add_boot_entry(disk, esp, label, policy) {
        Ok(()) => BootEntry::Added,
        Err(error) => {
            warnings.push(format!("no boot entry: {error}; {disk} boots by its removable path"));
            BootEntry::Refused
        }
    })
}

fn layout(disk: &Disk) -> Result<Layout, DeployError> {
    let device = tools::device(disk).display().to_string();
    Ok(partitions::read(&tools::run(&["sfdisk", "--json", &device])?)?)
}

/// Lets the last partition take the rest of the disk.
fn grow(disk: &Disk, layout: &Layout, warnings: &mut Vec<String>) -> Result<(), DeployError> {
    let device = tools::device(disk).display().to_string();
    if layout.is_gpt {
        // The backup is where the image ended: programs refuse the disk, or stop growing there.
        tools::run(&["sfdisk", "--quiet", "--relocate", "gpt-bak-std", &device])?;
    }
    if layout.root_is_last {
        let words = ["sfdisk", "--quiet", "--no-reread", "-N", layout.root.number(), &device];
        tools::output(&words, ",+\n", &[0])?;
    } else {
        warnings.push("the root partition is not the last one, so it keeps its size".into());
    }
    tools::reread(disk)
}

/// Grows a file system that must not be mounted for it.
fn grow_file_system(device: &str, kind: &str) -> Result<(), DeployError> {
    if kind == "ext4" {
        // 1: errors were corrected.
        tools::output(&["e2fsck", "-f", "-p", device], "", &[0, 1])?;
        tools::run(&["resize2fs", device])?;
    }
    Ok(())
}

/// Grows a file system that has to be mounted for it.
fn grow_mounted(kind: &str, warnings: &mut Vec<String>) {
    let words: &[&str] = match kind {
        "xfs" => &["xfs_growfs", ROOT],
        "btrfs" => &["btrfs", "filesystem", "resize", "max", ROOT],
        _ => return,
    };
    if let Err(error) = tools::run(words) {
        warnings.push(format!("the root file system keeps its size: {error}"));
    }
}

fn file_system(partition: &Partition) -> Result<String, DeployError> {
    let words = ["blkid", "-p", "-o", "value", "-s", "TYPE", &partition.node];
    Ok(tools::run(&words)?.trim().to_owned())
}

/// The disk has to boot without an entry: firmware loses entries.
fn add_removable_path(esp: &Partition) -> Result<(), DeployError> {
    let _ = tools::output(&["modprobe", "-q", "-a", "nls_cp437", "nls_ascii"], "", &[0, 1]);
    let _mounted = Mounted::new(&esp.node, Path::new(ESP), "vfat")?;
    for FileCopy { from, to } in removable::missing_files(&programs(), ARCH)? {
        let place = Path::new(ESP).join(&to);
        place.parent().map_or(Ok(()), fs::create_dir_all).about(&to)?;
        fs::copy(Path::new(ESP).join(from), &place).about(&to)?;
    }
    Ok(())
}

/// The files of the folders of `EFI`.
fn programs() -> Vec<String> {
    let names_in = |path: &str| {
        let entries = fs::read_dir(Path::new(ESP).join(path)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.map(|name| format!("{path}/{name}")).collect();
        names.sort();
        names
    };
    names_in("EFI").iter().flat_map(|folder| names_in(folder)).collect()
}

/// Adds the disk to the firmware's boot order, and reads it back.
fn add_boot_entry(
    disk: &Disk,
    esp: &Partition,
    label: &str,
    policy: BootOrder,
) -> Result<(), DeployError> {
    let _ = tools::output(&["modprobe", "-q", "efivarfs"], "", &[0, 1]);
    let variables = Path::new("/sys/firmware/efi/efivars");
    let _mounted = match fs::read_dir(variables).is_ok_and(|mut entries| entries.next().is_some()) {
        true => None,
        false => Some(Mounted::new("efivarfs", variables, "efivarfs")?),
    };
    for number in boot_order::read(&tools::run(&["efibootmgr"])?).labelled(label) {
        tools::run(&["efibootmgr", "-q", "-b", &number, "-B"])?;
    }
    let device = tools::device(disk).display().to_string();
    let loader = format!("\\{}", removable::path(ARCH).replace('/', "\\"));
    let words =
        ["efibootmgr", "-q", "-C", "-d", &device, "-p", esp.number(), "-L", label, "-l", &loader];
    tools::run(&words)?;
    let missing =
        |what: &str| Err(std::io::Error::other("the firmware did not keep it")).about(what);
    let entries = boot_order::read(&tools::run(&["efibootmgr"])?);
    let Some(new) = entries.labelled(label).pop() else { return missing("the boot entry") };
    let order = entries.order_with(&new, policy);
    tools::run(&["efibootmgr", "-q", "-o", &order.join(",")])?;
    if boot_order::read(&tools::run(&["efibootmgr"])?).order != order {
        return missing("the boot order");
    }
    Ok(())
}
