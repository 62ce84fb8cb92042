//! The partitions of an image, from `sfdisk --json`. Pure.

use serde::Deserialize;

/// The EFI system partition (UEFI specification table 5.7), and its type in a master boot record.
const ESP: [&str; 2] = ["C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "ef"];
/// Partitions that hold neither a root file system nor one that could grow: BIOS boot, PReP.
const NOT_ROOT: [&str; 2] =
    ["21686148-6449-6E6F-744E-656564454649", "9E1A2D38-C612-4316-AA26-8B49521E5A8B"];

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct PartitionTable {
    /// `gpt` or `dos`.
    pub label: String,
    #[serde(default)]
    pub partitions: Vec<Partition>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Partition {
    /// Its device, such as `/dev/nvme0n1p2`.
    pub node: String,
    /// Its first sector.
    pub start: u64,
    /// Its length in sectors.
    pub size: u64,
    /// A GUID, or the byte of a master boot record in hexadecimal.
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Deserialize)]
struct Document {
    partitiontable: PartitionTable,
}

/// Why an image's partitions are of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidTable {
    #[error("sfdisk's answer cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the image has no partition for a root file system")]
    NoRoot,
}

/// The partitions that a deployment works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The EFI system partition, if there is one.
    pub esp: Option<Partition>,
    /// The root file system's: the largest.
    pub root: Partition,
    /// Whether the root's is the last one on the disk, so that it can grow.
    pub root_is_last: bool,
    /// Whether the table is a GPT, whose backup has to move to the end of the disk.
    pub is_gpt: bool,
}

/// Reads the answer of `sfdisk --json`.
pub(crate) fn table(json: &str) -> Result<PartitionTable, InvalidTable> {
    let Document { partitiontable } = serde_json::from_str(json)?;
    Ok(partitiontable)
}

/// Reads the answer of `sfdisk --json`: what a deployment works on.
pub(crate) fn read(json: &str) -> Result<Layout, InvalidTable> {
    of_table(&table(json)?)
}

/// The partitions of a table that a deployment works on.
pub(crate) fn of_table(table: &PartitionTable) -> Result<Layout, InvalidTable> {
    let is = |partition: &Partition, kinds: &[&str]| {
        kinds.iter().any(|kind| partition.kind.eq_ignore_ascii_case(kind))
    };
    let esp = table.partitions.iter().find(|partition| is(partition, &ESP)).cloned();
    let candidates = table
        .partitions
        .iter()
        .filter(|partition| !is(partition, &ESP) && !is(partition, &NOT_ROOT));
    let root = candidates.max_by_key(|partition| partition.size).ok_or(InvalidTable::NoRoot)?;
    let last = table.partitions.iter().map(|partition| partition.start).max();
    Ok(Layout {
        esp,
        root: root.clone(),
        root_is_last: last == Some(root.start),
        is_gpt: table.label == "gpt",
    })
}

/// Whether bytes begin with a partition table: a GUID partition table, or a master boot record.
pub(crate) fn has_table(image: &[u8]) -> bool {
    let is_signed = image.get(510..512) == Some(&[0x55, 0xaa]);
    table_sector_bytes(image).is_some() || is_signed && !is_volume(image)
}

/// Whether bytes begin with a FAT, exFAT or NTFS file system, whose boot sector has the signature
/// of a master boot record.
pub(crate) fn is_volume(image: &[u8]) -> bool {
    const NAMES: [(usize, &[u8]); 4] =
        [(54, b"FAT"), (82, b"FAT32"), (3, b"NTFS    "), (3, b"EXFAT   ")];
    NAMES.iter().any(|(at, name)| image.get(*at..).is_some_and(|it| it.starts_with(name)))
}

/// The bytes of a sector that the GUID partition table at the start of an image counts in, from
/// where its header is; none without such a table.
pub(crate) fn table_sector_bytes(image: &[u8]) -> Option<u64> {
    let has_header =
        |at: &u64| image.get(*at as usize..).is_some_and(|it| it.starts_with(b"EFI PART"));
    [512, 4096].into_iter().find(has_header)
}

impl Partition {
    /// Its number: the digits that its name ends with.
    pub(crate) fn number(&self) -> &str {
        let digits = self.node.chars().rev().take_while(char::is_ascii_digit).count();
        &self.node[self.node.len() - digits..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_header_tells_the_size_of_sectors() {
        for at in [512, 4096] {
            let mut image = vec![0; 8192];
            image[at..at + 8].copy_from_slice(b"EFI PART");
            assert_eq!(table_sector_bytes(&image), Some(at as u64));
        }
        assert_eq!(table_sector_bytes(&[0; 8192]), None);
        assert_eq!(table_sector_bytes(&[0; 100]), None);
    }

    #[test]
    fn a_volume_is_no_partition_table() {
        let with = |parts: &[(usize, &[u8])]| {
            let mut image = vec![0; 8192];
            for (at, part) in parts {
                image[*at..at + part.len()].copy_from_slice(part);
            }
            image
        };
        let signature: (usize, &[u8]) = (510, &[0x55, 0xaa]);
        let cases: [(&str, &[(usize, &[u8])], bool); 7] = [
            ("a master boot record", &[signature], true),
            ("GRUB's, which jumps as a volume does", &[(0, b"\xeb\x63\x90"), signature], true),
            ("a GPT of a disk with 4096 bytes in a sector", &[(4096, b"EFI PART")], true),
            ("FAT16", &[(54, b"FAT16   "), signature], false),
            ("FAT32", &[(82, b"FAT32   "), signature], false),
            ("NTFS", &[(3, b"NTFS    "), signature], false),
            ("ext4", &[(0x438, b"\x53\xef")], false),
        ];
        for (name, parts, expected) in cases {
            assert_eq!(has_table(&with(parts)), expected, "{name}");
        }
        assert!(!has_table(&[]));
    }

    #[test]
    fn root_and_esp_are_found_wherever_they_are() {
        let debian = r#"{"partitiontable":{"label":"gpt","partitions":[
            {"node":"/dev/nvme0n1p1","start":262144,"size":4000000,"type":"0FC63DAF-8483-4772-8E79-3D69D8477DE4"},
            {"node":"/dev/nvme0n1p14","start":2048,"size":6144,"type":"21686148-6449-6E6F-744E-656564454649"},
            {"node":"/dev/nvme0n1p15","start":8192,"size":253952,"type":"c12a7328-f81f-11d2-ba4b-00a0c93ec93b"}]}}"#;
        let layout = read(debian).unwrap();
        assert_eq!((layout.root.number(), layout.root_is_last), ("1", true));
        assert_eq!(layout.esp.unwrap().number(), "15");
        let dos = r#"{"partitiontable":{"label":"dos","partitions":[
            {"node":"/dev/sda1","start":2048,"size":4000,"type":"83"},
            {"node":"/dev/sda2","start":8192,"size":100,"type":"82"}]}}"#;
        let layout = read(dos).unwrap();
        assert_eq!((layout.root.node.as_str(), layout.root_is_last), ("/dev/sda1", false));
        assert!(!layout.is_gpt && layout.esp.is_none());
        let empty = r#"{"partitiontable":{"label":"gpt"}}"#;
        assert!(matches!(read(empty), Err(InvalidTable::NoRoot)));
        assert!(matches!(read("{}"), Err(InvalidTable::Unreadable(_))));
    }
}
