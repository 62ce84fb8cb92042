//! Which disk of a host an image is written to, and sizes as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::as_text::as_text;
use super::words::words;

/// Which disk an image is written to. Every key that is set must match, and exactly one disk may
/// be left; otherwise nothing is written. Without any key the host must have exactly one disk.
/// Disks that are removable, read-only, empty, behind USB, or that the running system uses never
/// count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiskRule {
    /// Its serial number, as `lsblk -o SERIAL` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Its World Wide Name, with or without extension, such as `0x5002538e40a0b1c2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// Its name in `/dev/disk/by-path`, such as `pci-0000:00:1f.2-ata-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_path: Option<String>,
    /// Its model, as `lsblk -o MODEL` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it is made of.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<DiskType>,
    /// The least size, such as `400G`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size: Option<ByteSize>,
    /// The greatest size, such as `2T`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<ByteSize>,
    /// Of the disks that match, the smallest or the largest. Two of the same size are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick: Option<DiskPick>,
}

impl DiskRule {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

words! {
    /// What a disk is made of.
    pub DiskType {
        /// NVMe.
        Nvme = "nvme",
        /// Flash behind SATA, SAS or virtio.
        Ssd = "ssd",
        /// Rotating.
        Hdd = "hdd",
    }
}

words! {
    /// Which of several disks is taken.
    pub DiskPick {
        /// The one with the fewest bytes.
        Smallest = "smallest",
        /// The one with the most bytes.
        Largest = "largest",
    }
}

/// A number of bytes, written `512M`, `400G` or `2T` in powers of 1000 as disks are sold, or
/// `512Mi`, `400Gi`, `2Ti` in powers of 1024.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A text that is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a size: expected a number with M, G, T, Mi, Gi or Ti, such as 400G")]
pub struct InvalidByteSize(pub String);

const UNITS: [(&str, u64); 7] = [
    ("", 1),
    ("M", 1_000_000),
    ("Mi", 1 << 20),
    ("G", 1_000_000_000),
    ("Gi", 1 << 30),
    ("T", 1_000_000_000_000),
    ("Ti", 1 << 40),
];

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        let invalid = || InvalidByteSize(text.to_owned());
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text[digits.len()..].trim_end_matches('B');
        let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?.1;
        let number: u64 = digits.parse().map_err(|_| invalid())?;
        number.checked_mul(factor).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, factor): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*factor);
        let (unit, factor) = UNITS.iter().rev().find(whole).unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

as_text!(ByteSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_keeps_its_unit() {
        for text in ["512M", "400G", "2T", "512Mi", "3Gi", "1Ti", "12345"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        assert_eq!("480GB".parse(), Ok(ByteSize(480_000_000_000)));
        for text in ["", "G", "-1G", "1 G", "1.5T", "4k", "99999999999T"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
