//! How a disk image is compressed and what it begins with, found by its first bytes and never by
//! its name. Pure.

use super::partitions;
use crate::model::build_of_tarball;

/// How a disk image is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageFormat {
    Raw,
    Zstd,
    Xz,
    Gzip,
}

/// What must not be written to a disk as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnImage {
    #[error("the image is a qcow2 file: convert it with qemu-img convert -O raw")]
    Qcow2,
    #[error("the image is a web page, not a disk image")]
    Html,
    #[error("the image is a tarball: {}", build_of_tarball("FILE"))]
    Tarball,
    #[error("the image has no partition table, so no firmware boots it")]
    NoTable,
    #[error("the image has neither a partition table nor a known compression")]
    Unknown,
}

/// How many bytes tell the format, and what is in it: of a file compressed by zstd nothing is
/// known before its first block is whole, which has up to 128 KiB.
pub(crate) const HEAD_BYTES: usize = 192 << 10;
/// How many bytes of the unpacked image tell what it begins with.
pub(crate) const BEGINNING_BYTES: usize = 64 << 10;
/// How many bytes of the first sector are boot code; the partition table follows.
pub(crate) const BOOT_CODE_BYTES: usize = 440;

impl ImageFormat {
    /// The format of an image that begins with `head`, of [`HEAD_BYTES`] or the whole file.
    pub(crate) fn of(head: &[u8]) -> Result<Self, NotAnImage> {
        let begins = |magic: &[u8]| head.starts_with(magic);
        if begins(&[0x28, 0xb5, 0x2f, 0xfd]) {
            return Ok(Self::Zstd);
        }
        if begins(b"\xfd7zXZ\0") {
            return Ok(Self::Xz);
        }
        if begins(&[0x1f, 0x8b]) {
            return Ok(Self::Gzip);
        }
        if begins(b"QFI\xfb") {
            return Err(NotAnImage::Qcow2);
        }
        if begins(b"<") {
            return Err(NotAnImage::Html);
        }
        match Beginning::of(head) {
            Ok(_) => Ok(Self::Raw),
            Err(NotAnImage::NoTable) if !partitions::is_volume(head) => Err(NotAnImage::Unknown),
            Err(error) => Err(error),
        }
    }

    /// The program that unpacks it from its standard input, and its arguments.
    pub(crate) fn unpacker(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Raw => None,
            // A window of 128 MiB, which `zstd -19 --long` needs.
            Self::Zstd => Some(&["zstd", "-dcq", "--long=27"]),
            Self::Xz => Some(&["xz", "-dcq"]),
            Self::Gzip => Some(&["gzip", "-dc"]),
        }
    }

    /// The size of the unpacked image, where the head of the file tells it.
    pub(crate) fn unpacked_bytes(self, head: &[u8], file_bytes: u64) -> Option<u64> {
        match self {
            Self::Raw => Some(file_bytes),
            Self::Zstd => zstd_content_bytes(head),
            Self::Xz | Self::Gzip => None,
        }
    }
}

/// Whether bytes are the beginning of a tar archive (POSIX.1-1988, `magic`).
pub(crate) fn is_tarball(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// What an image begins with, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// The bytes of a sector that its GPT counts in; none without a GPT.
    pub sector_bytes: Option<u64>,
    /// Whether a BIOS finds code in its first sector.
    pub has_boot_code: bool,
}

impl Beginning {
    /// The beginning of an image that can boot: one with a partition table.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, NotAnImage> {
        if is_tarball(bytes) {
            return Err(NotAnImage::Tarball);
        }
        if !partitions::has_table(bytes) {
            return Err(NotAnImage::NoTable);
        }
        let sector_bytes = partitions::table_sector_bytes(bytes);
        let has_boot_code = bytes.iter().take(BOOT_CODE_BYTES).any(|byte| *byte != 0);
        Ok(Self { sector_bytes, has_boot_code })
    }
}

/// The content size in the header of a zstd frame (RFC 8878 section 3.1.1.1). Of a file of
/// several frames it is the first one's, hence a lower bound.
fn zstd_content_bytes(head: &[u8]) -> Option<u64> {
    let descriptor = *head.get(4)?;
    let is_single = descriptor & 0x20 != 0;
    let size_bytes = match (descriptor >> 6, is_single) {
        (0, false) => return None,
        (0, true) => 1,
        (flag, _) => 1 << flag,
    };
    let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let at = 5 + usize::from(!is_single) + dictionary_bytes;
    let field = head.get(at..at + size_bytes)?;
    let size = field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
    // Two bytes count from 256.
    Some(if size_bytes == 2 { size + 256 } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_first_bytes() {
        let mut mbr = vec![0; HEAD_BYTES];
        mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
        let mut fat = mbr.clone();
        fat[82..87].copy_from_slice(b"FAT32");
        let mut tar = vec![0; HEAD_BYTES];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [(&[u8], Result<ImageFormat, NotAnImage>); 10] = [
            (&fat, Err(NotAnImage::NoTable)),
            (&tar, Err(NotAnImage::Tarball)),
            (&[0x28, 0xb5, 0x2f, 0xfd, 0], Ok(ImageFormat::Zstd)),
            (b"\xfd7zXZ\0....", Ok(ImageFormat::Xz)),
            (&[0x1f, 0x8b, 8], Ok(ImageFormat::Gzip)),
            (&mbr, Ok(ImageFormat::Raw)),
            (b"QFI\xfb\0\0\0\x03", Err(NotAnImage::Qcow2)),
            (b"<!DOCTYPE html>", Err(NotAnImage::Html)),
            (&[0; HEAD_BYTES], Err(NotAnImage::Unknown)),
            (b"", Err(NotAnImage::Unknown)),
        ];
        for (head, expected) in cases {
            assert_eq!(ImageFormat::of(head), expected, "{head:?}");
        }
    }

    #[test]
    fn an_image_begins_with_a_partition_table_and_perhaps_with_boot_code() {
        let with = |parts: &[(usize, &[u8])]| {
            let mut image = vec![0; BEGINNING_BYTES];
            for (at, part) in parts {
                image[*at..at + part.len()].copy_from_slice(part);
            }
            Beginning::of(&image)
        };
        let of = |sector_bytes, has_boot_code| Ok(Beginning { sector_bytes, has_boot_code });
        let signature: (usize, &[u8]) = (510, &[0x55, 0xaa]);
        let gpt: (usize, &[u8]) = (512, b"EFI PART");
        let cases: [(&[(usize, &[u8])], Result<Beginning, NotAnImage>); 6] = [
            (&[signature, gpt], of(Some(512), false)),
            (&[(0, b"\xeb\x63\x90"), signature, gpt], of(Some(512), true)),
            (&[signature, (4096, b"EFI PART")], of(Some(4096), false)),
            (&[(439, b"\x01"), signature], of(None, true)),
            // The disk's signature is behind the code.
            (&[(440, b"\x01"), signature], of(None, false)),
            (&[(0x438, b"\x53\xef")], Err(NotAnImage::NoTable)),
        ];
        for (parts, expected) in cases {
            assert_eq!(with(parts), expected, "{parts:?}");
        }
    }

    #[test]
    fn the_size_of_an_unpacked_image_is_in_its_first_frame() {
        let magic = [0x28, 0xb5, 0x2f, 0xfd];
        let head = |rest: &[u8]| [&magic[..], rest].concat();
        let cases: [(&[u8], Option<u64>); 6] = [
            // One segment, one byte.
            (&[0x20, 7], Some(7)),
            // Two bytes behind a window.
            (&[0x40, 0x88, 1, 0], Some(257)),
            // Four bytes, with a checksum: 3 GiB.
            (&[0x84, 0x88, 0, 0, 0, 0xc0], Some(3 << 30)),
            // Eight bytes.
            (&[0xc4, 0x88, 0, 0, 0, 0, 1, 0, 0, 0], Some(1 << 32)),
            // Not told, as when zstd reads from a pipe.
            (&[0x04, 0x88], None),
            (&[0xc4, 0x88, 0], None),
        ];
        for (rest, expected) in cases {
            let size = ImageFormat::Zstd.unpacked_bytes(&head(rest), 1);
            assert_eq!(size, expected, "{rest:?}");
        }
        assert_eq!(ImageFormat::Raw.unpacked_bytes(&[], 42), Some(42));
    }
}
