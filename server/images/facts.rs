//! Reads what [`detect`](super::detect) decides by, and what a disk image unpacks to. Waits for
//! the disk.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;
use sha2::{Digest, Sha256};

use super::detect::{
    Extent, FileFacts, HEAD_BYTES, Packing, banner, detect, disk_extent, kernel_extent, packing,
    program_extent,
};
use super::names::FileRole;
use super::store::hex;
use crate::model::FileContent;

/// How much of an unpacked kernel is searched for its version.
const MAX_KERNEL_BYTES: u64 = 128 << 20;
/// What is read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// The window of zstd that is unpacked: 128 MiB, as the zstd program does by default.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The memory that a dictionary of lzma may take.
const LZMA_MEMORY_BYTES: u64 = 256 << 20;

/// What a disk image puts on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskContents {
    pub(crate) size_bytes: u64,
    pub(crate) sha256: String,
}

/// What a file is.
pub(crate) fn of_file(path: &Path) -> io::Result<FileFacts> {
    let mut file = File::open(path)?;
    let mut head = vec![];
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let mut facts = of_beginning(&head);
    if facts.content == FileContent::Kernel && facts.kernel_version.is_none() {
        facts.kernel_version = find_version(&mut file, &head).unwrap_or_default();
    }
    Ok(facts)
}

/// What a file is that begins with these bytes.
pub(crate) fn of_beginning(head: &[u8]) -> FileFacts {
    detect(head, unpacked_head(head).as_deref())
}

/// The beginning of what a compressed beginning unpacks to.
// What cannot be unpacked is told by its own magic number.
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
        Packing::Bzip2 => Some(Box::new(bzip2::read::MultiBzDecoder::new(from))),
        Packing::Lzma => Some(Box::new(XzDecoder::new_stream(from, lzma_stream()?))),
        Packing::Lz4 | Packing::Lz4Legacy => None,
    })
}

fn lzma_stream() -> io::Result<liblzma::stream::Stream> {
    Ok(liblzma::stream::Stream::new_lzma_decoder(LZMA_MEMORY_BYTES)?)
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

/// A file without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {size_bytes} bytes, and {what} {needed_bytes}: it was truncated")]
struct Truncated {
    what: &'static str,
    size_bytes: u64,
    needed_bytes: u64,
}

fn check_extent(extent: Option<Extent>, size_bytes: u64) -> io::Result<()> {
    match extent {
        Some(Extent { what, bytes }) if bytes > size_bytes => {
            Err(io::Error::other(Truncated { what, size_bytes, needed_bytes: bytes }))
        }
        _ => Ok(()),
    }
}

/// Reads everything that an image's file has to have, so that a truncated one is found here: a
/// compressed one is unpacked to its end. Of a disk image, what it puts on a disk.
pub(crate) fn check_whole(
    path: &Path,
    role: FileRole,
    content: FileContent,
) -> io::Result<Option<DiskContents>> {
    let mut file = File::open(path)?;
    let mut head = vec![];
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let size_bytes = file.metadata()?.len();
    match role {
        FileRole::Disk => return disk_contents(path, content),
        FileRole::Initrd => check_initrd(path)?,
        FileRole::Efi => check_extent(program_extent(&head), size_bytes)?,
        FileRole::Kernel => {
            check_extent(kernel_extent(&head), size_bytes)?;
            // Whatever follows, such as a signature, is not unpacked.
            if packing(&head).is_some() {
                check_initrd(path)?;
            }
        }
        FileRole::Script => {}
    }
    Ok(None)
}

/// Unpacks to the end; `seen` is given each piece.
fn unpack(packing: Packing, from: impl Read, mut seen: impl FnMut(&[u8])) -> io::Result<()> {
    let Some(mut bytes) = decoder(packing, from)? else { return Ok(()) };
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match bytes.read(&mut buffer)? {
            0 => return Ok(()),
            length => seen(&buffer[..length]),
        }
    }
}

/// What a disk image puts on a disk; none for what is not a disk as it is.
fn disk_contents(path: &Path, content: FileContent) -> io::Result<Option<DiskContents>> {
    let mut file = File::open(path)?;
    let packing = match content {
        FileContent::RawDisk => None,
        FileContent::ZstdDisk => Some(Packing::Zstd),
        FileContent::XzDisk => Some(Packing::Xz),
        FileContent::GzipDisk => Some(Packing::Gzip),
        _ => return Ok(None),
    };
    let (mut hash, mut size_bytes, mut head) = (Sha256::new(), 0, Vec::new());
    let mut seen = |piece: &[u8]| {
        hash.update(piece);
        size_bytes += piece.len() as u64;
        head.extend(piece.iter().take(HEAD_BYTES - head.len().min(HEAD_BYTES)));
    };
    match packing {
        Some(packing) => unpack(packing, file, seen)?,
        None => {
            let mut buffer = vec![0; CHUNK_BYTES];
            while let length @ 1.. = file.read(&mut buffer)? {
                seen(&buffer[..length]);
            }
        }
    }
    check_extent(disk_extent(&head), size_bytes)?;
    Ok(Some(DiskContents { size_bytes, sha256: hex(&hash.finalize()) }))
}

/// Reads an initrd as the kernel does (Linux `init/initramfs.c`): archives, plain or compressed, one
/// after the other, with zeros between them. Ends at what it does not know.
fn check_initrd(path: &Path) -> io::Result<()> {
    let mut bytes = BufReader::with_capacity(CHUNK_BYTES, File::open(path)?);
    let mut position = 0_u64;
    loop {
        let next = io::BufRead::fill_buf(&mut bytes)?;
        let Some(first) = next.first() else { return Ok(()) };
        if *first == 0 {
            let zeros = next.iter().take_while(|byte| **byte == 0).count();
            io::BufRead::consume(&mut bytes, zeros);
            position += zeros as u64;
            continue;
        }
        if next.starts_with(b"070701") || next.starts_with(b"070702") {
            match skip_archive(&mut bytes, position)? {
                Some(length) => position += length,
                None => return Ok(()),
            }
            continue;
        }
        let before = position;
        match packing(next) {
            Some(Packing::Gzip) => {
                io::copy(&mut flate2::bufread::GzDecoder::new(&mut bytes), &mut io::sink())?;
            }
            Some(Packing::Xz) => {
                io::copy(&mut liblzma::bufread::XzDecoder::new(&mut bytes), &mut io::sink())?;
            }
            Some(Packing::Zstd) => {
                let mut decoder = zstd::Decoder::with_buffer(&mut bytes)?.single_frame();
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                io::copy(&mut decoder, &mut io::sink())?;
            }
            Some(Packing::Bzip2) => {
                io::copy(&mut bzip2::bufread::BzDecoder::new(&mut bytes), &mut io::sink())?;
            }
            Some(Packing::Lzma) => {
                let mut decoder =
                    liblzma::bufread::XzDecoder::new_stream(&mut bytes, lzma_stream()?);
                io::copy(&mut decoder, &mut io::sink())?;
            }
            Some(Packing::Lz4) => skip_lz4(&mut bytes)?,
            // It has no end of its own: nothing can follow it.
            Some(Packing::Lz4Legacy) => return skip_lz4_legacy(&mut bytes),
            None => return Ok(()),
        }
        // Where the compressed archive ended; cpio aligns to four bytes of the file.
        position = bytes.stream_position()?;
        if position == before {
            return Ok(());
        }
    }
}

/// Skips a frame of lz4 by the lengths of its blocks (LZ4 Frame Format Description 1.6.4).
fn skip_lz4(bytes: &mut impl Read) -> io::Result<()> {
    const BLOCK_CHECKSUMS: u8 = 1 << 4;
    const CONTENT_SIZE: u8 = 1 << 3;
    const CONTENT_CHECKSUM: u8 = 1 << 2;
    const DICTIONARY: u8 = 1;
    let mut head = [0; 6];
    read_whole(bytes, &mut head)?;
    let flags = head[4];
    let has = |flag: u8| flags & flag != 0;
    let optional = 8 * u64::from(has(CONTENT_SIZE)) + 4 * u64::from(has(DICTIONARY));
    // The checksum of the descriptor is its last byte.
    skip(bytes, optional + 1)?;
    loop {
        let mut length = [0; 4];
        read_whole(bytes, &mut length)?;
        // The highest bit says that the block is not compressed.
        let length = u64::from(u32::from_le_bytes(length) & 0x7fff_ffff);
        if length == 0 {
            return skip(bytes, 4 * u64::from(has(CONTENT_CHECKSUM)));
        }
        skip(bytes, length + 4 * u64::from(has(BLOCK_CHECKSUMS)))?;
    }
}

/// Skips a legacy frame of lz4: blocks with their lengths until the file ends. A file that was cut
/// between two blocks cannot be told from a whole one.
fn skip_lz4_legacy(bytes: &mut impl io::BufRead) -> io::Result<()> {
    const MAGIC: [u8; 4] = *b"\x02\x21\x4c\x18";
    while !bytes.fill_buf()?.is_empty() {
        let mut length = [0; 4];
        read_whole(bytes, &mut length)?;
        // Another frame may follow, and zeros that align it.
        if length != MAGIC && length != [0; 4] {
            skip(bytes, u64::from(u32::from_le_bytes(length)))?;
        }
    }
    Ok(())
}

/// Skips a cpio archive of the newc format (Linux
/// `Documentation/driver-api/early-userspace/buffer-format.rst`): how many bytes it has; none for
/// one that cannot be read on.
fn skip_archive(bytes: &mut impl Read, start: u64) -> io::Result<Option<u64>> {
    const HEADER_BYTES: usize = 110;
    let mut length = 0_u64;
    loop {
        let mut header = [0; HEADER_BYTES];
        read_whole(bytes, &mut header)?;
        let field = |number: usize| {
            let digits = &header[6 + number * 8..14 + number * 8];
            u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        let is_entry = header.starts_with(b"070701") || header.starts_with(b"070702");
        let (Some(size), Some(name)) = (field(6), field(11)) else { return Ok(None) };
        if !is_entry || name > 4096 {
            return Ok(None);
        }
        let padded = |end: u64| (4 - (start + end) % 4) % 4;
        length += HEADER_BYTES as u64;
        let mut text = vec![0; name as usize];
        read_whole(bytes, &mut text)?;
        length += name;
        let is_last = text.starts_with(b"TRAILER!!!");
        let padding = padded(length);
        let rest = padding + size;
        skip(bytes, if is_last { 0 } else { rest })?;
        if is_last {
            return Ok(Some(length));
        }
        length += rest;
        let padding = padded(length);
        skip(bytes, padding)?;
        length += padding;
    }
}

/// The end of an archive is missing.
#[derive(Debug, thiserror::Error)]
#[error("its archive has no end: it was truncated")]
struct NoEnd;

fn read_whole(bytes: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
    bytes.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::other(NoEnd),
        _ => error,
    })
}

fn skip(bytes: &mut impl Read, length: u64) -> io::Result<()> {
    match io::copy(&mut bytes.take(length), &mut io::sink())? {
        skipped if skipped == length => Ok(()),
        _ => Err(io::Error::other(NoEnd)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::model::CpuArch;

    fn facts(bytes: &[u8]) -> FileFacts {
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
            let expected = FileFacts {
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

    /// An archive of the newc format with one file.
    fn archive(contents: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, data) in [("init", contents), ("TRAILER!!!", &b""[..])] {
            let fields = [1, 0o100_755, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0];
            bytes.extend(b"070701");
            bytes.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
            bytes.extend(name.as_bytes());
            bytes.push(0);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn an_initrd_without_its_end_is_noticed_and_a_whole_one_is_not() {
        let inner: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let plain = archive(&inner);
        let mut xz = liblzma::write::XzEncoder::new(vec![], 1);
        xz.write_all(&plain).unwrap();
        let xz = xz.finish().unwrap();
        let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
        let microcode = [archive(b"microcode"), vec![0; 388]].concat();
        let mut bzip2 = bzip2::write::BzEncoder::new(vec![], bzip2::Compression::fast());
        bzip2.write_all(&plain).unwrap();
        let bzip2 = bzip2.finish().unwrap();
        let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        let encoder = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
        let mut lzma = liblzma::write::XzEncoder::new_stream(vec![], encoder);
        lzma.write_all(&plain).unwrap();
        let lzma = lzma.finish().unwrap();
        // One block that is not compressed, its end, and no checksum but the descriptor's.
        let block = (plain.len() as u32 | 1 << 31).to_le_bytes();
        let lz4 = [&b"\x04\x22\x4d\x18\x60\x70\x73"[..], &block, &plain, &[0; 4]].concat();
        let block = (plain.len() as u32).to_le_bytes();
        let lz4_legacy = [&b"\x02\x21\x4c\x18"[..], &block, &plain].concat();
        let forms = [
            ("bzip2", bzip2.clone()),
            ("bzip2, bzip2", [bzip2.clone(), bzip2].concat()),
            ("lzma", lzma),
            ("lz4", lz4.clone()),
            ("lz4, gzip", [lz4, gzip(&plain)].concat()),
            ("lz4 of the kernel", lz4_legacy.clone()),
            ("microcode, lz4 of the kernel", [microcode.clone(), lz4_legacy].concat()),
            ("plain", plain.clone()),
            ("gzip", gzip(&plain)),
            ("xz", xz),
            ("zstd", zstd),
            ("microcode, gzip", [microcode.clone(), gzip(&plain)].concat()),
            ("microcode, plain", [microcode, plain.clone()].concat()),
            ("gzip, zeros, gzip", [gzip(&archive(b"1")), vec![0; 3], gzip(&plain)].concat()),
        ];
        for (name, bytes) in forms {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            check_initrd(file.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
            for cut in [130, bytes.len() / 3] {
                file.as_file().set_len((bytes.len() - cut) as u64).unwrap();
                assert!(check_initrd(file.path()).is_err(), "{name} without {cut} bytes");
            }
        }
        // What is not known is not looked into.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"\x89LZO\0 of something").unwrap();
        check_initrd(file.path()).unwrap();
    }

    #[test]
    fn a_disk_image_that_ends_before_its_partitions_is_noticed() {
        let mut disk = vec![0; 1 << 20];
        disk[510..512].copy_from_slice(b"\x55\xaa");
        disk[450] = 0x83;
        disk[454..458].copy_from_slice(&1024_u32.to_le_bytes());
        disk[458..462].copy_from_slice(&1024_u32.to_le_bytes());
        for (name, cut) in [("whole", 0), ("cut", 512)] {
            let bytes = &disk[..disk.len() - cut];
            for (content, bytes) in [
                (FileContent::RawDisk, bytes.to_vec()),
                (FileContent::GzipDisk, gzip(bytes)),
                (FileContent::ZstdDisk, zstd::encode_all(bytes, 3).unwrap()),
            ] {
                let mut file = tempfile::NamedTempFile::new().unwrap();
                file.write_all(&bytes).unwrap();
                let found = check_whole(file.path(), FileRole::Disk, content);
                assert_eq!(found.is_ok(), cut == 0, "{name} {content}: {found:?}");
                if let Err(error) = found {
                    let expected = "it has 1048064 bytes, and its last partition ends at 1048576";
                    assert!(error.to_string().starts_with(expected), "{error}");
                }
            }
        }
    }
}
