//! A mirror (RAID 1) of an image's root file system: what the second disk gets, and what an image
//! needs for it. Pure.
//!
//! The superblock of version 1.0 is at the end of each half (md(4)), so that boot loaders, which
//! know nothing of arrays, find the file system at the start of the partition as ever.

use super::partitions::Layout;

/// What an array keeps at the end of each half: superblock, bitmap, and what aligns them. mdadm
/// takes less than that (super1.c).
pub(crate) const RESERVED_BYTES: u64 = 4 << 20;
/// What in an image tells that its initramfs assembles arrays: Debian's mdadm puts itself into it.
pub(crate) const INITRAMFS_HOOK: &str = "/usr/share/initramfs-tools/hooks/mdadm";
/// Where an image keeps its arrays (mdadm.conf(5)).
pub(crate) const CONFIGURATION: &str = "/etc/mdadm/mdadm.conf";

/// Why an image cannot be mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MirrorRefusal {
    #[error(
        "RAID 1 needs an image with a GUID partition table, and this one has a master boot record"
    )]
    NoGpt,
    #[error("RAID 1 needs an image whose last partition has the root file system")]
    RootNotLast,
    #[error(
        "the image cannot start from RAID 1: its initramfs has no mdadm (expected {INITRAMFS_HOOK} \
         of Debian's packages mdadm and initramfs-tools)"
    )]
    NoMdadm,
    #[error(
        "the smaller disk has {0} bytes behind the image, and RAID 1 needs {RESERVED_BYTES} there"
    )]
    NoRoom(u64),
}

/// Refuses a partition table that cannot be mirrored.
pub(crate) fn check(layout: &Layout) -> Result<(), MirrorRefusal> {
    match layout {
        Layout { is_gpt: false, .. } => Err(MirrorRefusal::NoGpt),
        Layout { root_is_last: false, .. } => Err(MirrorRefusal::RootNotLast),
        _ => Ok(()),
    }
}

/// Refuses a root partition that has not become larger by what the array keeps there.
pub(crate) fn check_room(image_bytes: u64, grown_bytes: u64) -> Result<(), MirrorRefusal> {
    match grown_bytes.saturating_sub(image_bytes) {
        room if room < RESERVED_BYTES => Err(MirrorRefusal::NoRoom(room)),
        _ => Ok(()),
    }
}

/// The partition table of the second disk as a script for sfdisk(8), from that of the first as
/// `sfdisk --dump` prints it: equal partitions with identities of their own.
pub(crate) fn second_table(dump: &str) -> String {
    let mut script = String::new();
    for line in dump.lines() {
        let is_own = ["label-id:", "device:", "first-lba:", "last-lba:"];
        if is_own.iter().any(|key| line.starts_with(key)) {
            continue;
        }
        let fields = line.split(',').filter(|field| !field.trim_start().starts_with("uuid="));
        script.push_str(&fields.collect::<Vec<_>>().join(","));
        script.push('\n');
    }
    script
}

/// The line of mdadm.conf(5) for an array, from what `mdadm --detail --brief` prints of it, under a
/// name that lasts.
pub(crate) fn array_line(brief: &str) -> Option<String> {
    let line = brief.lines().find(|line| line.starts_with("ARRAY "))?;
    // The halves, which have other names after a restart, follow on lines of their own.
    let words = line.split_whitespace().skip(2);
    let words: Vec<&str> = words.filter(|word| !word.starts_with("spares=")).collect();
    Some(format!("ARRAY /dev/md/root {}\n", words.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_disk_gets_equal_partitions_with_identities_of_their_own() {
        let dump = "label: gpt\nlabel-id: 6A0F\ndevice: /dev/vda\nunit: sectors\nfirst-lba: 34\n\
            last-lba: 12582878\nsector-size: 512\n\n\
            /dev/vda14 : start=2048, size=2048, type=2168, uuid=AA-1\n\
            /dev/vda1 : start=4096, size=131072, type=C12A, uuid=AA-2, name=\"EFI\"\n";
        let expected = "label: gpt\nunit: sectors\nsector-size: 512\n\n\
            /dev/vda14 : start=2048, size=2048, type=2168\n\
            /dev/vda1 : start=4096, size=131072, type=C12A, name=\"EFI\"\n";
        assert_eq!(second_table(dump), expected);
    }

    #[test]
    fn the_array_has_a_name_that_lasts() {
        let brief = "ARRAY /dev/md0 metadata=1.0 spares=1 name=n1:root UUID=1:2:3:4\n";
        let expected = "ARRAY /dev/md/root metadata=1.0 name=n1:root UUID=1:2:3:4\n";
        assert_eq!(array_line(brief).as_deref(), Some(expected));
        assert_eq!(array_line(""), None);
    }

    #[test]
    fn an_image_that_cannot_be_mirrored_is_refused_with_the_reason() {
        use super::super::partitions::Partition;
        let root = Partition {
            node: "/dev/vda1".into(),
            start: 2048,
            size: 4096,
            kind: "0FC63DAF-8483-4772-8E79-3D69D8477DE4".into(),
        };
        let layout = |is_gpt, root_is_last| {
            check(&Layout { esp: None, root: root.clone(), root_is_last, is_gpt })
        };
        assert_eq!(layout(true, true), Ok(()));
        assert_eq!(layout(false, true), Err(MirrorRefusal::NoGpt));
        assert_eq!(layout(true, false), Err(MirrorRefusal::RootNotLast));
        assert_eq!(check_room(100, 100 + RESERVED_BYTES), Ok(()));
        assert_eq!(check_room(100, 200), Err(MirrorRefusal::NoRoom(100)));
        assert_eq!(check_room(200, 100), Err(MirrorRefusal::NoRoom(0)));
    }
}
