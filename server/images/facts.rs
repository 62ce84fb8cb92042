//! Reads what [`detect`](super::detect) decides by, and what a disk image unpacks to. Waits for
//! the disk.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;
use sha2::{Digest, Sha256};

use super::detect::{Facts, HEAD_BYTES, Packing, banner, detect, packing};
use super::store::hex;
use crate::model::FileContent;

/// How much of an unpacked kernel is searched for its version.
const MAX_KERNEL_BYTES: u64 = 128 << 20;
/// What is read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// The window of zstd that is unpacked: 128 MiB, as the zstd program does by default.
const ZSTD_WINDOW_LOG: u32 = 27;

/// What a disk image puts on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskContents {
    pub(crate) size_bytes: u64,
    pub(crate) sha256: String,
}

/// What a file is.
pub(crate) fn of_file(path: &Path) -> io::Result<Facts> {
    let mut file = File::open(path)?;
    let mut head = vec![];
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    // What cannot be unpacked is told by its own magic number.
    let unpacked = unpacked_head(&head);
    let mut facts = detect(&head, unpacked.as_deref());
    if facts.content == FileContent::Kernel && facts.kernel_version.is_none() {
        facts.kernel_version = find_version(&mut file, &head).unwrap_or_default();
    }
    Ok(facts)
}

/// How long a bzImage is by its header (Linux `Documentation/arch/x86/boot.rst`: `setup_sects` and,
/// of 32 bits since protocol 2.04, `syssize`), in bytes; none for any other file. A signature may
/// follow.
pub(crate) fn kernel_bytes(path: &Path) -> io::Result<Option<u64>> {
    let mut head = Vec::new();
    File::open(path)?.take(0x208).read_to_end(&mut head)?;
    let is_bz_image = head.len() == 0x208
        && head[0x202..0x206] == *b"HdrS"
        && u16::from_le_bytes([head[0x206], head[0x207]]) >= 0x204;
    if !is_bz_image {
        return Ok(None);
    }
    let setup_sectors = if head[0x1f1] == 0 { 4 } else { u64::from(head[0x1f1]) };
    let paragraphs = u32::from_le_bytes([head[0x1f4], head[0x1f5], head[0x1f6], head[0x1f7]]);
    Ok(Some((setup_sectors + 1) * 512 + u64::from(paragraphs) * 16))
}

/// The beginning of what a compressed beginning unpacks to.
fn unpacked_head(head: &[u8]) -> Option<Vec<u8>> {
    let decoder = decoder(packing(head)?, head).ok()??;
    let mut unpacked = vec![];
    // The input ends in the middle: what came until then counts.
    let mut decoder = decoder.take(HEAD_BYTES as u64);
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = decoder.read(&mut buffer) {
        unpacked.extend_from_slice(&buffer[..length]);
    }
    (!unpacked.is_empty()).then_some(unpacked)
}

fn decoder<'a>(packing: Packing, from: impl Read + 'a) -> io::Result<Option<Box<dyn Read + 'a>>> {
    Ok(match packing {
        Packing::Gzip => Some(Box::new(MultiGzDecoder::new(from))),
        Packing::Xz => Some(Box::new(XzDecoder::new_multi_decoder(from))),
        Packing::Zstd => {
            let mut decoder = zstd::Decoder::new(from)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Some(Box::new(decoder))
        }
        Packing::Other => None,
    })
}

/// The version of a kernel whose header does not have it.
fn find_version(file: &mut File, head: &[u8]) -> io::Result<Option<String>> {
    // zboot: offset and size of the compressed kernel, then the name of the compression (Linux
    // drivers/firmware/efi/libstub/zboot-header.S).
    let (start, size) = match head.get(4..16) {
        Some([b'z', b'i', b'm', b'g', fields @ ..]) if head.starts_with(b"MZ") => {
            let number = |at: usize| {
                fields[at..at + 4]
                    .try_into()
                    .map_or(0, |bytes| u64::from(u32::from_le_bytes(bytes)))
            };
            (number(0), number(4))
        }
        _ => (0, MAX_KERNEL_BYTES),
    };
    file.seek(SeekFrom::Start(start))?;
    let mut packed = BufReader::new(file.take(size));
    let packing = packing(io::BufRead::fill_buf(&mut packed)?);
    let unpacked = match packing {
        Some(packing) => decoder(packing, packed)?,
        None => Some(Box::new(packed) as Box<dyn Read>),
    };
    let Some(unpacked) = unpacked else { return Ok(None) };
    let mut unpacked = unpacked.take(MAX_KERNEL_BYTES);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut kept = 0;
    loop {
        let length = unpacked.read(&mut buffer[kept..])?;
        if length == 0 {
            return Ok(None);
        }
        let filled = kept + length;
        if let Some(version) = banner(&buffer[..filled]) {
            return Ok(Some(version));
        }
        // The text may lie across two reads.
        kept = filled.min(200);
        buffer.copy_within(filled - kept..filled, 0);
    }
}

/// What a disk image puts on a disk: unpacked to its end, so that a truncated one is found here.
/// None for what is not a disk as it is.
pub(crate) fn disk_contents(path: &Path, content: FileContent) -> io::Result<Option<DiskContents>> {
    let packing = match content {
        FileContent::RawDisk => None,
        FileContent::ZstdDisk => Some(Packing::Zstd),
        FileContent::XzDisk => Some(Packing::Xz),
        FileContent::GzipDisk => Some(Packing::Gzip),
        _ => return Ok(None),
    };
    let file = File::open(path)?;
    let mut bytes: Box<dyn Read> = match packing {
        None => Box::new(file),
        Some(packing) => match decoder(packing, file)? {
            Some(decoder) => decoder,
            None => return Ok(None),
        },
    };
    let (mut hash, mut size_bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match bytes.read(&mut buffer)? {
            0 => break,
            length => {
                hash.update(&buffer[..length]);
                size_bytes += length as u64;
            }
        }
    }
    Ok(Some(DiskContents { size_bytes, sha256: hex(&hash.finalize()) }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::model::CpuArch;

    fn facts(bytes: &[u8]) -> Facts {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        of_file(file.path()).unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    /// An arm64 Image whose version is far from its beginning, and across two reads.
    fn arm_image() -> Vec<u8> {
        let mut image = vec![0; 3 << 20];
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        let text = b"Linux version 6.12.117-arm64 (debian-kernel)";
        let at = (1 << 20) - 10;
        image[at..at + text.len()].copy_from_slice(text);
        image
    }

    #[test]
    fn a_version_is_found_wherever_it_is() {
        let image = arm_image();
        let packed = zstd::encode_all(image.as_slice(), 3).unwrap();
        let mut zboot = vec![0; 0x400];
        zboot[..8].copy_from_slice(b"MZ\0\0zimg");
        zboot[8..12].copy_from_slice(&0x400_u32.to_le_bytes());
        zboot[12..16].copy_from_slice(&(packed.len() as u32).to_le_bytes());
        zboot[0x3c] = 0x80;
        zboot[0x80..0x84].copy_from_slice(b"PE\0\0");
        zboot[0x84..0x86].copy_from_slice(&0xaa64_u16.to_le_bytes());
        zboot[0x80 + 24 + 68] = 10;
        zboot.extend(packed);
        for (name, bytes) in
            [("Image", image.clone()), ("Image.gz", gzip(&image)), ("zboot", zboot)]
        {
            let expected = Facts {
                content: FileContent::Kernel,
                arch: Some(CpuArch::Arm64),
                kernel_version: Some("6.12.117-arm64".into()),
            };
            assert_eq!(facts(&bytes), expected, "{name}");
        }
    }

    #[test]
    fn a_disk_image_is_unpacked_to_its_end() {
        let mut disk = vec![7; 300_000];
        disk[510..512].copy_from_slice(b"\x55\xaa");
        let expected = DiskContents { size_bytes: 300_000, sha256: hex(&Sha256::digest(&disk)) };
        let mut xz = liblzma::write::XzEncoder::new(vec![], 1);
        xz.write_all(&disk).unwrap();
        let forms = [
            (FileContent::RawDisk, disk.clone()),
            (FileContent::ZstdDisk, zstd::encode_all(disk.as_slice(), 3).unwrap()),
            (FileContent::XzDisk, xz.finish().unwrap()),
            (FileContent::GzipDisk, gzip(&disk)),
        ];
        for (content, bytes) in forms {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            assert_eq!(of_file(file.path()).unwrap().content, content);
            let found = disk_contents(file.path(), content).unwrap();
            assert_eq!(found.as_ref(), Some(&expected), "{content}");
            if content != FileContent::RawDisk {
                file.as_file().set_len(bytes.len() as u64 - 5).unwrap();
                assert!(disk_contents(file.path(), content).is_err(), "{content} was cut");
            }
        }
    }
}
