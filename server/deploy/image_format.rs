//! How a disk image is compressed, found by its first bytes and never by its name. Pure.

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
    #[error("the image has neither a partition table nor a known compression")]
    Unknown,
}

/// How many bytes tell the format.
pub(crate) const HEAD_BYTES: usize = 1024;

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
        // The boot signature of a master boot record, which GPT has too.
        if head.get(510..512) == Some(&[0x55, 0xaa]) {
            Ok(Self::Raw)
        } else {
            Err(NotAnImage::Unknown)
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
        let cases: [(&[u8], Result<ImageFormat, NotAnImage>); 8] = [
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
