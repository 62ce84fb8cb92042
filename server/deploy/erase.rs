//! How a disk is erased, and what is read back of it. Pure.

use std::fmt;

use crate::deploy::disk::Disk;
use crate::model::DiskType;

/// How many places of a disk are read back.
const SAMPLES: u64 = 16;
/// How much is read at each of them.
pub(crate) const SAMPLE_BYTES: u64 = 1 << 20;

/// A way to erase a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EraseMethod {
    /// The controller erases all user data (NVM Express Base Specification 2.0 section 5.14).
    NvmeFormat,
    /// The disk erases all blocks, and the copies that it has of them.
    SecureDiscard,
    /// The disk is told that no block is needed, and then overwritten: no kernel knows whether
    /// what was discarded reads as zeros.
    DiscardAndOverwrite,
    /// All blocks are overwritten with zeros; the kernel has the disk do it where it can.
    Overwrite,
}

impl EraseMethod {
    /// What is run, one after the other.
    pub(crate) fn commands(self) -> &'static [&'static [&'static str]] {
        const DISCARD: &[&str] = &["blkdiscard", "--force"];
        const OVERWRITE: &[&str] = &["blkdiscard", "--force", "--zeroout"];
        match self {
            Self::NvmeFormat => &[&["nvme", "format", "--force", "--ses=1"]],
            Self::SecureDiscard => &[&["blkdiscard", "--force", "--secure"]],
            Self::DiscardAndOverwrite => &[DISCARD, OVERWRITE],
            Self::Overwrite => &[OVERWRITE],
        }
    }
}

impl fmt::Display for EraseMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NvmeFormat => "erased by its controller (NVMe format)",
            Self::SecureDiscard => "erased by secure discard",
            Self::DiscardAndOverwrite => "discarded and overwritten with zeros",
            Self::Overwrite => "overwritten with zeros",
        })
    }
}

/// The ways to erase a disk that are better than [`EraseMethod::Overwrite`], which every disk has, the
/// best one first. One has done it if the disk reads back as zeros.
pub(crate) fn better_methods(disk: &Disk) -> &'static [EraseMethod] {
    use EraseMethod::{DiscardAndOverwrite, NvmeFormat, SecureDiscard};
    match disk.kind {
        Some(DiskType::Nvme) => &[NvmeFormat, DiscardAndOverwrite],
        Some(DiskType::Ssd) => &[SecureDiscard, DiscardAndOverwrite],
        Some(DiskType::Hdd) | None => &[],
    }
}

/// What was done to a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Erased {
    /// How it was erased.
    pub method: EraseMethod,
    /// What was tried before, and why it did not do.
    pub failed: Vec<(EraseMethod, String)>,
}

impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {SAMPLES} places read back", self.method)?;
        let mut failed = self.failed.iter();
        failed.try_for_each(|(method, why)| write!(f, " (not {method}: {why})"))
    }
}

/// Where samples of [`SAMPLE_BYTES`] begin: at both ends, and at equal distances in between.
pub(crate) fn sample_places(bytes: u64) -> impl Iterator<Item = u64> {
    let last = bytes.saturating_sub(SAMPLE_BYTES);
    // Whole sectors of 4096 bytes; the end of a disk is one.
    let place = move |number| match number == SAMPLES - 1 {
        true => last,
        false => last / (SAMPLES - 1) * number / 4096 * 4096,
    };
    (0..SAMPLES).map(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_disk_is_erased_by_the_best_way_that_it_has() {
        let cases = [
            (Some(DiskType::Nvme), Some(&EraseMethod::NvmeFormat)),
            (Some(DiskType::Ssd), Some(&EraseMethod::SecureDiscard)),
            (Some(DiskType::Hdd), None),
            (None, None),
        ];
        for (kind, best) in cases {
            let methods = better_methods(&Disk { kind, ..Disk::default() });
            assert_eq!(methods.first(), best, "{kind:?}");
            assert!(!methods.contains(&EraseMethod::Overwrite), "{kind:?}: it comes last anyway");
        }
    }

    #[test]
    fn the_report_says_how_a_disk_was_erased_and_what_did_not_work() {
        let erased = Erased { method: EraseMethod::NvmeFormat, failed: Vec::new() };
        let text = "erased by its controller (NVMe format), 16 places read back";
        assert_eq!(erased.to_string(), text);
        let failed = vec![(EraseMethod::SecureDiscard, "Operation not supported".to_owned())];
        let erased = Erased { method: EraseMethod::DiscardAndOverwrite, failed };
        let text = "discarded and overwritten with zeros, 16 places read back (not erased by secure \
                    discard: Operation not supported)";
        assert_eq!(erased.to_string(), text);
    }

    #[test]
    fn samples_are_read_at_both_ends_and_between() {
        for bytes in [6 << 30, 960_197_124_096, (16 << 20) + 512] {
            let places: Vec<u64> = sample_places(bytes).collect();
            assert_eq!((places.len(), places[0]), (16, 0));
            assert_eq!(places[15] + SAMPLE_BYTES, bytes);
            assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
        }
        // A disk that is smaller than a sample is read from its beginning.
        assert!(sample_places(512).all(|place| place == 0));
    }
}
