//! The second disk of a host whose root file system is mirrored (RAID 1), with mdadm(8).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::system::System;
use super::tools;
use super::{About, DeployError};
use crate::deploy::disk::Disk;
use crate::deploy::image_format::BOOT_CODE_BYTES;
use crate::deploy::mirror::{self, MirrorRefusal};
use crate::deploy::partitions::{self, Layout};

/// An array in the making: one half on the first disk.
pub(super) struct Mirror {
    /// Its device, such as `/dev/md0`.
    pub device: String,
    /// The line of mdadm.conf(5) for it.
    pub line: String,
}

impl Mirror {
    /// Makes the root partition of the first disk, which has become larger than its file system,
    /// one half of an array. The file system stays as it is.
    pub(super) fn create(root: &str, host: &str) -> Result<Self, DeployError> {
        let _ = tools::output(&["modprobe", "-q", "raid1"], "", &[0, 1]);
        let device = free_device()?;
        tools::run(&[
            "mdadm",
            "--create",
            &device,
            "--run",
            "--quiet",
            "--level=1",
            "--metadata=1.0",
            "--raid-devices=2",
            &format!("--homehost={host}"),
            "--name=root",
            root,
            "missing",
        ])?;
        let brief = tools::run(&["mdadm", "--detail", "--brief", &device])?;
        let missing =
            || std::io::Error::other(format!("mdadm --detail prints no ARRAY line: {brief}"));
        let line = mirror::array_line(&brief).ok_or_else(missing).about(&device)?;
        Ok(Self { device, line })
    }

    /// Adds the array to those that the installed system knows.
    pub(super) fn record(&self, system: &System<'_>) -> Result<(), DeployError> {
        let place = system.inside(mirror::CONFIGURATION);
        let known = std::fs::read_to_string(&place).unwrap_or_default();
        system.write(mirror::CONFIGURATION, 0o644, &format!("{known}\n{}", self.line))
    }

    /// Gives the second disk the first one's partitions with what is in them, and its root partition
    /// to the array, whose copy goes on whenever the array runs.
    pub(super) fn complete(self, first: &Disk, second: &Disk) -> Result<(), DeployError> {
        let of = |disk: &Disk| tools::device(disk).display().to_string();
        let (from, to) = (of(first), of(second));
        let table = mirror::second_table(&tools::run(&["sfdisk", "--dump", &from])?);
        tools::output(&["sfdisk", "--quiet", "--wipe=always", &to], &table, &[0])?;
        tools::reread(second)?;
        let (own, other) = (table_of(&from)?, table_of(&to)?);
        let root = partitions::of_table(&own)?.root;
        let mut half = None;
        for partition in &own.partitions {
            let equal = other.partitions.iter().find(|it| it.number() == partition.number());
            let missing = || std::io::Error::other("its partition is missing");
            let equal = equal.ok_or_else(missing).about(format_args!("{to} {}", partition.node))?;
            if partition.number() == root.number() {
                half = Some(equal.node.clone());
                continue;
            }
            let mut source = File::open(&partition.node).about(&partition.node)?;
            let target = File::options().write(true).open(&equal.node);
            let mut target = target.about(&equal.node)?;
            std::io::copy(&mut source, &mut target).about(&equal.node)?;
            target.sync_all().about(&equal.node)?;
        }
        copy_boot_code(&from, &to)?;
        if let Some(half) = half {
            // Whatever was there before is not to be taken for a part of the array.
            tools::run(&["wipefs", "--all", "--force", "--quiet", &half])?;
            tools::run(&["mdadm", "--manage", "--quiet", &self.device, "--add", &half])?;
        }
        nix::unistd::sync();
        Ok(tools::run(&["mdadm", "--quiet", "--stop", &self.device]).map(drop)?)
    }
}

/// Refuses a written image that could not start from an array.
pub(super) fn check(layout: &Layout, system: &System<'_>) -> Result<(), DeployError> {
    mirror::check(layout)?;
    match system.has(mirror::INITRAMFS_HOOK) {
        true => Ok(()),
        false => Err(MirrorRefusal::NoMdadm.into()),
    }
}

fn table_of(device: &str) -> Result<partitions::PartitionTable, DeployError> {
    Ok(partitions::table(&tools::run(&["sfdisk", "--json", device])?)?)
}

/// An array device that is not in use.
fn free_device() -> Result<String, DeployError> {
    let is_free = |number: &u8| !Path::new(&format!("/sys/block/md{number}")).exists();
    let number = (0..128).find(is_free);
    let none = || std::io::Error::other("all of them are in use");
    Ok(format!("/dev/md{}", number.ok_or_else(none).about("/dev/md0 to /dev/md127")?))
}

/// What a BIOS starts, which lies before the partitions.
fn copy_boot_code(from: &str, to: &str) -> Result<(), DeployError> {
    let mut code = [0; BOOT_CODE_BYTES];
    File::open(from).and_then(|mut disk| disk.read_exact(&mut code)).about(from)?;
    let mut disk = File::options().write(true).open(to).about(to)?;
    disk.seek(SeekFrom::Start(0)).about(to)?;
    disk.write_all(&code).about(to)?;
    disk.sync_all().about(to)
}
