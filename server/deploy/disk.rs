//! Which disk of a host is written to, and which are refused. Pure.

use std::fmt;

use crate::model::{ByteSize, DiskPick, DiskRule, DiskType, RaidLevel, size_text};

/// What is known of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    /// The kernel's name, such as `nvme0n1`. It may differ at the next boot.
    pub name: String,
    pub serial: Option<String>,
    pub wwn: Option<String>,
    pub by_path: Option<String>,
    pub model: Option<String>,
    pub kind: Option<DiskType>,
    pub bytes: u64,
    /// Of a logical sector, in bytes.
    pub sector_bytes: u64,
    pub is_read_only: bool,
    pub is_removable: bool,
    /// Whether USB is on its way to the processor.
    pub is_usb: bool,
    /// What uses it: mount points, and names of devices that are stacked on it.
    pub used_by: Vec<String>,
    /// What is on it and on its partitions.
    pub signatures: Vec<Signature>,
}

/// A file system, partition table or other data found on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The device it is on, such as `sda1`.
    pub device: String,
    /// What it is, such as `ext4`.
    pub kind: String,
    /// Its UUID, if it has one.
    pub uuid: Option<String>,
    /// Its label, if it has one.
    pub label: Option<String>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.kind, self.device)?;
        match &self.label {
            Some(label) => write!(f, " (label {label})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.name, size_text(self.bytes))?;
        if let Some(serial) = &self.serial {
            write!(f, ", serial {serial}")?;
        }
        f.write_str(")")
    }
}

/// Why a disk never counts, whatever the rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    Empty,
    ReadOnly,
    Removable,
    Usb,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "has no medium",
            Self::ReadOnly => "is read-only",
            Self::Removable => "is removable",
            Self::Usb => "is a USB disk",
        })
    }
}

impl Disk {
    fn unfit(&self) -> Option<Unfit> {
        [
            (self.bytes == 0, Unfit::Empty),
            (self.is_read_only, Unfit::ReadOnly),
            (self.is_removable, Unfit::Removable),
            (self.is_usb, Unfit::Usb),
        ]
        .into_iter()
        .find_map(|(is_so, why)| is_so.then_some(why))
    }

    /// The first key of the rule that it does not match.
    fn mismatch(&self, rule: &DiskRule) -> Option<&'static str> {
        let is = |wanted: &Option<String>, own: &Option<String>| match wanted {
            None => true,
            Some(wanted) => own.as_deref().is_some_and(|own| own.trim() == wanted.trim()),
        };
        let ByteSize(least) = rule.min_size.unwrap_or_default();
        let ByteSize(most) = rule.max_size.unwrap_or(ByteSize(u64::MAX));
        [
            ("serial", is(&rule.serial, &self.serial)),
            ("wwn", rule.wwn.as_ref().is_none_or(|wwn| self.has_wwn(wwn))),
            ("by-path", is(&rule.by_path, &self.by_path)),
            ("model", is(&rule.model, &self.model)),
            ("type", rule.kind.is_none_or(|kind| self.kind == Some(kind))),
            ("min-size", self.bytes >= least),
            ("max-size", self.bytes <= most),
        ]
        .into_iter()
        .find_map(|(key, fits)| (!fits).then_some(key))
    }

    /// Whether both are one disk that is reached by two paths, as with SCSI multipath.
    fn is_same_unit(&self, other: &Self) -> bool {
        // A name of this kind is made of the model and a serial, which hypervisors leave empty.
        let own = self.wwn.as_deref().filter(|wwn| !wwn.trim().starts_with("t10."));
        own.is_some_and(|wwn| other.has_wwn(wwn))
            && (&self.serial, self.bytes) == (&other.serial, other.bytes)
    }

    /// The kernel writes `eui.…` and `naa.…`, udev `0x…`.
    fn has_wwn(&self, wanted: &str) -> bool {
        let bare = |wwn: &str| {
            let wwn = wwn.trim().to_ascii_lowercase();
            let prefixes = ["0x", "naa.", "eui.", "wwn-0x", "nvme-eui."];
            prefixes.iter().find_map(|it| wwn.strip_prefix(it)).unwrap_or(&wwn).to_owned()
        };
        self.wwn.as_deref().is_some_and(|own| bare(own) == bare(wanted))
    }
}

/// Why nothing is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiskRefusal {
    #[error("the host has no disk{}", list(.0))]
    NoDisk(Vec<String>),
    #[error("no disk matches the host's rule{}", list(.0))]
    NoMatch(Vec<String>),
    #[error("{} disks match, and only one may: {}; set disk of the host, such as disk: {{serial: ...}}", .0.len(), .0.join(", "))]
    Several(Vec<String>),
    #[error("{} are the same disk by two paths, WWN {wwn}: multipath is not supported; set disk of the host, such as disk: {{by-path: ...}}, to choose one path", paths.join(" and "))]
    TwoPaths { wwn: String, paths: Vec<String> },
    #[error("RAID 1 takes two disks, and {} match{}: {}", .0.len(), if .0.len() == 1 { "es" } else { "" }, .0.join(", "))]
    NotTwo(Vec<String>),
    #[error("RAID 1 takes two disks with sectors of one size, and they differ: {}", .0.join(", "))]
    SectorsDiffer(Vec<String>),
    #[error("disk {disk} is in use by {}", used_by.join(", "))]
    Busy { disk: String, used_by: Vec<String> },
    #[error("disk {disk} has data: {}; nothing was changed", found.join(", "))]
    ForeignData { disk: String, found: Vec<String> },
    #[error(
        "disk {disk} has sectors of {own} bytes, and the image's partition table is for {image}"
    )]
    SectorSize { disk: String, own: u64, image: u64 },
    #[error(
        "the image boots by UEFI only (its first sector has no boot code), and this host boots by \
         BIOS; use an image for BIOS, or set the firmware to UEFI"
    )]
    NoBootCode,
    #[error("disk {disk} is too small: the image needs {needed} bytes, the disk has {own}")]
    TooSmall { disk: String, needed: u64, own: u64 },
}

fn list(reasons: &[String]) -> String {
    if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) }
}

/// What an image is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The disk that the image is written to; of two that make a mirror, the one with fewer bytes.
    pub disk: Disk,
    /// The disk that becomes its mirror.
    pub mirror: Option<Disk>,
}

impl Target {
    /// Both, the first one first.
    pub(crate) fn disks(&self) -> impl DoubleEndedIterator<Item = &Disk> {
        std::iter::once(&self.disk).chain(&self.mirror)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.disk)?;
        match &self.mirror {
            Some(mirror) => write!(f, " and {mirror}"),
            None => Ok(()),
        }
    }
}

/// What the rule stands for: one disk, or the two of a mirror.
pub(crate) fn select(rule: &DiskRule, disks: &[Disk]) -> Result<Target, DiskRefusal> {
    let mut reasons = Vec::new();
    let mut fit = Vec::new();
    for disk in disks {
        match disk.unfit() {
            Some(why) => reasons.push(format!("{disk} {why}")),
            None => fit.push(disk),
        }
    }
    if fit.is_empty() {
        return Err(DiskRefusal::NoDisk(reasons));
    }
    let mut matching = Vec::new();
    for disk in fit {
        match disk.mismatch(rule) {
            Some(key) => reasons.push(format!("{disk} differs in {key}")),
            None => matching.push(disk),
        }
    }
    let extreme = match rule.pick {
        None => None,
        Some(DiskPick::Smallest) => matching.iter().map(|disk| disk.bytes).min(),
        Some(DiskPick::Largest) => matching.iter().map(|disk| disk.bytes).max(),
    };
    if let Some(bytes) = extreme {
        matching.retain(|disk| disk.bytes == bytes);
    }
    matching.sort_by_key(|disk| disk.bytes);
    for (index, disk) in matching.iter().enumerate() {
        if let Some(other) = matching[..index].iter().find(|other| other.is_same_unit(disk)) {
            let wwn = disk.wwn.clone().unwrap_or_default();
            return Err(DiskRefusal::TwoPaths {
                wwn,
                paths: vec![other.to_string(), disk.to_string()],
            });
        }
    }
    let names = || matching.iter().map(ToString::to_string).collect();
    let (disk, mirror) = match (&matching[..], rule.raid) {
        ([], _) => return Err(DiskRefusal::NoMatch(reasons)),
        ([disk], None) => (*disk, None),
        (_, None) => return Err(DiskRefusal::Several(names())),
        ([disk, mirror], Some(RaidLevel::Raid1)) if disk.sector_bytes != mirror.sector_bytes => {
            return Err(DiskRefusal::SectorsDiffer(names()));
        }
        ([disk, mirror], Some(RaidLevel::Raid1)) => (*disk, Some(*mirror)),
        (_, Some(RaidLevel::Raid1)) => return Err(DiskRefusal::NotTwo(names())),
    };
    let target = Target { disk: disk.clone(), mirror: mirror.cloned() };
    let busy = target.disks().find(|disk| !disk.used_by.is_empty());
    let of_busy = busy
        .map(|busy| DiskRefusal::Busy { disk: busy.to_string(), used_by: busy.used_by.clone() });
    of_busy.map_or(Ok(target), Err)
}

/// Every disk that is to be erased: all that an image could be written to. None if one is in use.
pub(crate) fn all_to_erase(disks: &[Disk]) -> Result<Vec<&Disk>, DiskRefusal> {
    let fit: Vec<&Disk> = disks.iter().filter(|disk| disk.unfit().is_none()).collect();
    if fit.is_empty() {
        return Err(DiskRefusal::NoDisk(Vec::new()));
    }
    match fit.iter().find(|disk| !disk.used_by.is_empty()) {
        Some(disk) => {
            Err(DiskRefusal::Busy { disk: disk.to_string(), used_by: disk.used_by.clone() })
        }
        None => Ok(fit),
    }
}

/// Refuses to overwrite data, unless erasing it was asked for.
pub(crate) fn check_data(disk: &Disk, may_erase: bool) -> Result<(), DiskRefusal> {
    if may_erase || disk.signatures.is_empty() {
        return Ok(());
    }
    let found = disk.signatures.iter().map(ToString::to_string).collect();
    Err(DiskRefusal::ForeignData { disk: disk.to_string(), found })
}

/// Refuses an image that does not fit. `needed` is its size, if it is known before it is written.
pub(crate) fn check_size(disk: &Disk, needed: Option<u64>) -> Result<(), DiskRefusal> {
    match needed {
        Some(needed) if needed > disk.bytes => {
            Err(DiskRefusal::TooSmall { disk: disk.to_string(), needed, own: disk.bytes })
        }
        _ => Ok(()),
    }
}

/// A file system on another disk with a UUID of the image: the firmware or the kernel may take
/// that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OlderCopy {
    disk: String,
    found: Signature,
}

impl fmt::Display for OlderCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { disk, found } = self;
        write!(f, "disk {disk} has an older copy of the image: {found} with the same UUID")
    }
}

/// The older copies of what is on the disks of these names now.
pub(crate) fn older_copies(own: &[&str], disks: &[Disk]) -> Vec<OlderCopy> {
    let is_own = |disk: &&Disk| own.contains(&disk.name.as_str());
    let (own, others): (Vec<&Disk>, Vec<&Disk>) = disks.iter().partition(is_own);
    let uuids: Vec<&String> =
        own.iter().flat_map(|disk| &disk.signatures).filter_map(|it| it.uuid.as_ref()).collect();
    let mut copies = Vec::new();
    for disk in others {
        let is_copy =
            |found: &&Signature| found.uuid.as_ref().is_some_and(|it| uuids.contains(&it));
        for found in disk.signatures.iter().filter(is_copy) {
            copies.push(OlderCopy { disk: disk.to_string(), found: found.clone() });
        }
    }
    copies
}

/// Refuses an image whose partition table counts in other sectors than the disk has: the firmware
/// would not find it.
pub(crate) fn check_sectors(disk: &Disk, image: Option<u64>) -> Result<(), DiskRefusal> {
    match image {
        Some(image) if image != disk.sector_bytes => {
            Err(DiskRefusal::SectorSize { disk: disk.to_string(), own: disk.sector_bytes, image })
        }
        _ => Ok(()),
    }
}

/// Refuses an image that the firmware would not start.
pub(crate) fn check_boot_code(is_bios: bool, has_boot_code: bool) -> Result<(), DiskRefusal> {
    if is_bios && !has_boot_code { Err(DiskRefusal::NoBootCode) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn disk(name: &str, gigabytes: u64, kind: DiskType) -> Disk {
        Disk {
            name: name.into(),
            serial: Some(format!("S-{name}")),
            wwn: Some(format!("naa.5002538e4{gigabytes:07}")),
            by_path: Some(format!("pci-0000:00:1f.2-ata-{gigabytes}")),
            kind: Some(kind),
            bytes: gigabytes * GB,
            sector_bytes: 512,
            ..Disk::default()
        }
    }

    fn rule(text: &str) -> DiskRule {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn exactly_one_disk_is_selected_or_none() {
        let usb = Disk { is_usb: true, ..disk("sda", 16, DiskType::Ssd) };
        let config = Disk { is_removable: true, ..disk("sr0", 1, DiskType::Hdd) };
        let small = disk("sdb", 240, DiskType::Ssd);
        let large = disk("nvme0n1", 960, DiskType::Nvme);
        let wwn = Some("naa.5002538e49999999".into());
        let twin = Disk { name: "nvme1n1".into(), wwn, ..large.clone() };
        let two = [usb.clone(), config.clone(), small.clone(), large.clone()];
        let three = [large.clone(), small.clone(), twin.clone()];
        let large_sectors = Disk { sector_bytes: 4096, ..large.clone() };
        let unequal = [small.clone(), large_sectors];
        let busy = [Disk { used_by: vec!["/".into()], ..twin }, small.clone()];
        let none: [Disk; 0] = [];
        let cases: [(&[Disk], &str, Result<&str, &str>); 24] = [
            (std::slice::from_ref(&small), "{}", Ok("sdb")),
            (&two[..3], "{}", Ok("sdb")),
            (&none, "{}", Err("the host has no disk")),
            (&two[..2], "{}", Err("sda (14.9 GiB, serial S-sda) is a USB disk; sr0")),
            (&two, "{}", Err("2 disks match, and only one may: sdb (223.5 GiB, serial S-sdb)")),
            (&two, r#"{"type":"nvme"}"#, Ok("nvme0n1")),
            (&two, r#"{"serial":"S-sdb"}"#, Ok("sdb")),
            (&two, r#"{"serial":"S-sda"}"#, Err("no disk matches")),
            (&two, r#"{"wwn":"0x5002538E40000240"}"#, Ok("sdb")),
            (&two, r#"{"by-path":"pci-0000:00:1f.2-ata-960"}"#, Ok("nvme0n1")),
            (&two, r#"{"min-size":"400G"}"#, Ok("nvme0n1")),
            (&two, r#"{"max-size":"400G"}"#, Ok("sdb")),
            (&two, r#"{"pick":"smallest"}"#, Ok("sdb")),
            (&three, r#"{"pick":"largest"}"#, Err("2 disks match")),
            (&three, r#"{"type":"hdd"}"#, Err("sdb (223.5 GiB, serial S-sdb) differs in type")),
            (&three, r#"{"min-size":"2T"}"#, Err("differs in min-size")),
            (&two, r#"{"model":"X"}"#, Err("differs in model")),
            // The smaller one is written first.
            (&three[..2], r#"{"raid":"raid1"}"#, Ok("sdb, nvme0n1")),
            (&three, r#"{"type":"nvme","raid":"raid1"}"#, Ok("nvme0n1, nvme1n1")),
            (&three, r#"{"pick":"largest","raid":"raid1"}"#, Ok("nvme0n1, nvme1n1")),
            (&three, r#"{"raid":"raid1"}"#, Err("RAID 1 takes two disks, and 3 match: sdb (")),
            (&two[..3], r#"{"raid":"raid1"}"#, Err("takes two disks, and 1 matches: sdb (223.5")),
            (&unequal, r#"{"raid":"raid1"}"#, Err("sectors of one size, and they differ: sdb")),
            (&busy, r#"{"raid":"raid1"}"#, Err("disk nvme1n1 (894.1 GiB, serial S-nvme0n1) is in")),
        ];
        for (disks, text, expected) in cases {
            let names = |target: Target| {
                target.disks().map(|disk| disk.name.as_str()).collect::<Vec<_>>().join(", ")
            };
            match (select(&rule(text), disks).map(names), expected) {
                (Ok(names), Ok(wanted)) => assert_eq!(names, wanted, "{text}"),
                (Err(refusal), Err(wanted)) => {
                    assert!(refusal.to_string().contains(wanted), "{text}: {refusal}");
                }
                (selected, expected) => panic!("{text}: {selected:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn two_paths_to_one_disk_are_no_two_disks() {
        let first = disk("sda", 480, DiskType::Ssd);
        let path =
            |name: &str| Disk { name: name.into(), by_path: Some(name.into()), ..first.clone() };
        let (second, other) = (path("sdb"), disk("sdc", 960, DiskType::Ssd));
        let made_up =
            |name: &str| Disk { wwn: Some("t10.QEMU".into()), serial: None, ..path(name) };
        let cases: [(&str, [&Disk; 2], Option<&str>); 7] = [
            (
                "{}",
                [&first, &second],
                Some("are the same disk by two paths, WWN naa.5002538e40000480"),
            ),
            (r#"{"raid": "raid1"}"#, [&first, &second], Some("are the same disk by two paths")),
            (r#"{"pick": "smallest"}"#, [&second, &first], Some("are the same disk by two paths")),
            (r#"{"by-path": "sdb"}"#, [&first, &second], None),
            (r#"{"max-size": "500G"}"#, [&first, &other], None),
            ("{}", [&first, &other], Some("2 disks match")),
            (r#"{"raid": "raid1"}"#, [&made_up("sdd"), &made_up("sde")], None),
        ];
        for (text, disks, expected) in cases {
            let refusal = select(&rule(text), &disks.map(Clone::clone)).err();
            let refusal = refusal.map(|refusal| refusal.to_string());
            match expected {
                None => assert_eq!(refusal, None, "{text}"),
                Some(expected) => {
                    assert!(refusal.clone().unwrap().contains(expected), "{refusal:?}")
                }
            }
        }
    }

    #[test]
    fn an_older_copy_of_the_image_is_found_on_another_disk() {
        let with = |name: &str, uuids: &[&str]| {
            let found = |uuid: &&str| Signature {
                device: format!("{name}1"),
                kind: "ext4".into(),
                uuid: Some((*uuid).to_owned()).filter(|uuid| !uuid.is_empty()),
                label: None,
            };
            Disk { signatures: uuids.iter().map(found).collect(), ..disk(name, 240, DiskType::Ssd) }
        };
        let cases: [(&[&str], &[&str], usize); 5] = [
            (&["a"], &["a"], 1),
            (&["a", "b"], &["b", "a", "c"], 2),
            (&["a"], &["b"], 0),
            (&[""], &[""], 0),
            (&[], &["a"], 0),
        ];
        for (own, other, expected) in cases {
            let disks = [with("sda", own), with("sdb", other)];
            let copies = older_copies(&["sda"], &disks);
            assert_eq!(copies.len(), expected, "{own:?} {other:?}");
            if let Some(copy) = copies.first() {
                let text = "disk sdb (223.5 GiB, serial S-sdb) has an older copy of the image: \
                            ext4 on sdb1 with the same UUID";
                assert_eq!(copy.to_string(), text);
            }
            assert_eq!(older_copies(&["sda", "sdb"], &disks), [], "the halves of a mirror");
        }
    }

    #[test]
    fn what_is_in_use_or_has_data_is_refused_by_name() {
        let busy = Disk { used_by: vec!["/".into()], ..disk("sda", 240, DiskType::Ssd) };
        let refused = select(&DiskRule::default(), std::slice::from_ref(&busy)).unwrap_err();
        assert!(refused.to_string().contains("is in use by /"), "{refused}");
        let (device, kind) = ("sda1".to_owned(), "ext4".to_owned());
        let found = Signature { device, kind, uuid: None, label: Some("data".into()) };
        let full = Disk { signatures: vec![found], used_by: vec![], ..busy };
        let refused = check_data(&full, false).unwrap_err().to_string();
        assert!(refused.contains("has data: ext4 on sda1 (label data)"), "{refused}");
        assert_eq!(check_data(&full, true), Ok(()));
        let usb = Disk { is_usb: true, ..full.clone() };
        let two = [usb, full.clone()];
        let all = all_to_erase(&two).unwrap();
        assert_eq!(all, [&two[1]], "a USB disk is not the host's");
        assert!(all_to_erase(&two[..1]).is_err());
        assert_eq!(check_size(&full, Some(240 * GB)), Ok(()));
        assert_eq!(check_size(&full, None), Ok(()));
        let refused = check_size(&full, Some(240 * GB + 1)).unwrap_err().to_string();
        assert!(refused.contains("needs 240000000001 bytes"), "{refused}");
        for (is_bios, has_boot_code) in [(false, false), (false, true), (true, true)] {
            assert_eq!(check_boot_code(is_bios, has_boot_code), Ok(()));
        }
        let refused = check_boot_code(true, false).unwrap_err().to_string();
        assert!(refused.contains("boots by UEFI only"), "{refused}");
        assert_eq!(check_sectors(&full, Some(512)), Ok(()));
        assert_eq!(check_sectors(&full, None), Ok(()));
        let refused = check_sectors(&full, Some(4096)).unwrap_err().to_string();
        assert!(refused.contains("sectors of 512 bytes, and the image"), "{refused}");
    }
}
