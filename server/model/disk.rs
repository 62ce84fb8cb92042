//! Which disk of a host an image is written to, and sizes as people write them.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

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
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub serial: Option<String>,
    /// Its World Wide Name, with or without extension, such as `0x5002538e40a0b1c2`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub wwn: Option<String>,
    /// Its name in `/dev/disk/by-path`, such as `pci-0000:00:1f.2-ata-1`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "file_name")]
    pub by_path: Option<String>,
    /// Its model, as `lsblk -o MODEL` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub model: Option<String>,
    /// What it is made of.
    #[serde(
        default,
        rename = "type",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    pub kind: Option<DiskType>,
    /// The least size, such as `400G`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub min_size: Option<ByteSize>,
    /// The greatest size, such as `2T`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub max_size: Option<ByteSize>,
    /// Of the disks that match, the smallest or the largest. Two of the same size are refused.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub pick: Option<DiskPick>,
    /// Two disks instead of one: the root file system is mirrored.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub raid: Option<RaidLevel>,
}

impl DiskRule {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the rule of a host that has one. A rule that says nothing would select the only disk
    /// of the host, which is what leaving the rule out is for.
    ///
    /// # Errors
    /// It is empty, or no disk can match it.
    pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rule = Self::deserialize(deserializer)?;
        if rule.is_empty() {
            return Err(D::Error::custom(InvalidDiskRule::Empty));
        }
        match (rule.min_size, rule.max_size) {
            (Some(least), Some(most)) if least > most => {
                Err(D::Error::custom(InvalidDiskRule::Sizes { least, most }))
            }
            _ => Ok(rule),
        }
    }
}

/// The keys that are set, in words, such as `type nvme, at least 400 GB`.
impl fmt::Display for DiskRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { serial, wwn, by_path, model, kind, min_size, max_size, pick, raid } = self;
        let part = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("{name} \"{value}\""))
        };
        let parts = [
            part("serial", serial),
            part("wwn", wwn),
            part("by-path", by_path),
            part("model", model),
            kind.map(|kind| format!("type {kind}")),
            min_size.map(|size| format!("at least {}", size.in_words())),
            max_size.map(|size| format!("at most {}", size.in_words())),
            pick.map(|pick| format!("the {pick} of them")),
            raid.map(|raid| format!("two disks as {}", raid.in_words())),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// Why a rule selects no disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDiskRule {
    /// It has no key.
    #[error(
        "the rule is empty, and would select any only disk: set serial, wwn, by-path, model, type, min-size, max-size, pick or raid, or remove disk"
    )]
    Empty,
    /// A key has no value.
    #[error("\"{0}\" selects no disk: expected a value, or leave the key out")]
    Blank(String),
    /// A value that no disk has.
    #[error("{0:?} has control characters, which no disk shows")]
    Control(String),
    /// A path instead of a name.
    #[error(
        "\"{0}\" has a slash: expected a name in /dev/disk/by-path, such as pci-0000:00:1f.2-ata-1"
    )]
    Slash(String),
    /// No size is between them.
    #[error("no disk has at least {least} (min-size) and at most {most} (max-size)")]
    Sizes {
        /// The least size.
        least: ByteSize,
        /// The greatest size.
        most: ByteSize,
    },
}

/// A key that is there has a value.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Option::<T>::deserialize(deserializer)?;
    match value {
        None => Err(D::Error::custom(InvalidDiskRule::Blank(String::new()))),
        value => Ok(value),
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value: Option<String> = given(deserializer)?;
    let text = value.as_deref().unwrap_or_default();
    if text.chars().any(char::is_control) {
        return Err(D::Error::custom(InvalidDiskRule::Control(text.to_owned())));
    }
    if text.trim().is_empty() {
        return Err(D::Error::custom(InvalidDiskRule::Blank(text.to_owned())));
    }
    Ok(value)
}

fn file_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = text(deserializer)?;
    match name {
        Some(name) if name.contains('/') => Err(D::Error::custom(InvalidDiskRule::Slash(name))),
        name => Ok(name),
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

words! {
    /// How an image lies on several disks (mdadm(8), `--level`).
    pub RaidLevel {
        /// Two disks with the same data.
        Raid1 = "raid1",
    }
}

impl RaidLevel {
    fn in_words(self) -> &'static str {
        match self {
            Self::Raid1 => "RAID 1",
        }
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
    ("B", 1),
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
        let unit = &text[digits.len()..];
        let is = |name: &str| name == unit || unit.strip_suffix('B') == Some(name);
        let factor = UNITS.iter().find(|(name, _)| is(name)).ok_or_else(invalid)?.1;
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

impl ByteSize {
    /// As people read it: `400 GB`.
    fn in_words(self) -> String {
        let text = self.to_string();
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        format!("{digits} {}B", text[digits.len()..].trim_end_matches('B'))
    }
}

as_text!(ByteSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_keeps_its_unit() {
        for text in ["512M", "400G", "2T", "512Mi", "3Gi", "1Ti", "12345B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        assert_eq!("480GB".parse(), Ok(ByteSize(480_000_000_000)));
        for text in ["", "400", "0", "BB", "G", "-1G", "1 G", "1.5T", "4k", "99999999999T"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_that_selects_no_disk_is_refused_and_never_dropped() {
        use crate::model::Host;
        use crate::site_file::set_host;
        let set = |key: &str, value: &str| {
            let old: Host = serde_json::from_str(r#"{"disk":{"serial":"S1"}}"#).unwrap();
            set_host(Some(&old), &[(key.to_owned(), value.to_owned())])
                .map(|host| host.disk.to_string())
                .map_err(|error| error.to_string())
        };
        let cases = [
            ("disk", "{serial: }", "selects no disk"),
            ("disk", "{serial: ~, type: ssd}", "selects no disk"),
            ("disk", "{serial: \"\"}", "\"\" selects no disk"),
            ("disk", "{model: \"  \"}", "\"  \" selects no disk"),
            ("disk", "{type: }", "type"),
            ("disk", "{type: tape}", "tape"),
            ("disk", "{pick: }", "pick"),
            ("disk", "{raid: 5}", "raid"),
            ("disk", "{raid: raid5}", "raid5"),
            ("disk", "{min-size: }", "min-size"),
            ("disk", "{min-size: 400}", "\"400\" is not a size"),
            ("disk.max-size", "400", "\"400\" is not a size"),
            ("disk", "{min-size: 2T, max-size: 1T}", "at least 2T (min-size) and at most 1T"),
            ("disk", "{wwn: \"a\\nb\"}", "control characters"),
            ("disk", "{serial: \"a\\0\"}", "control characters"),
            (
                "disk",
                "{by-path: /dev/disk/by-path/pci-1}",
                "\"/dev/disk/by-path/pci-1\" has a slash",
            ),
            ("disk", "{}", "the rule is empty"),
            ("disk.serial", "", "the rule is empty"),
        ];
        for (key, value, expected) in cases {
            let refusal = set(key, value).expect_err(value);
            assert!(refusal.contains(expected), "{key}={value}: {refusal}");
        }
        let cases = [
            ("disk", "{serial: S2}", "serial \"S2\""),
            ("disk", "{type: nvme, min-size: 400G}", "type nvme, at least 400 GB"),
            (
                "disk",
                "{min-size: 1T, max-size: 1T, pick: largest}",
                "at least 1 TB, at most 1 TB, the largest of them",
            ),
            ("disk", "{type: ssd, raid: raid1}", "type ssd, two disks as RAID 1"),
            ("disk", "", ""),
        ];
        for (key, value, expected) in cases {
            assert_eq!(set(key, value).as_deref(), Ok(expected), "{key}={value}");
        }
        let file = |disk: &str| {
            crate::site_file::parse(&format!("hosts: {{n1: {{disk: {disk}}}}}"), "site.yaml")
        };
        for disk in ["", "{}", "{serial: }", "{serial: ''}"] {
            assert!(file(disk).is_err(), "disk: {disk}");
        }
        assert!(file("{serial: S1}").is_ok());
    }
}
