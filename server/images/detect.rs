//! What a file is, by its bytes and never by its name. Pure.

use crate::deploy::image_format::is_tarball;
use crate::deploy::partitions;
use crate::model::{CpuArch, FileContent};

/// How many bytes from the beginning of a file the decision reads: a Linux `Image` has its
/// version some MiB into its read-only data, everything else is in the first 64 KiB. Of a file
/// compressed by zstd nothing is known before its first block is whole, which has up to 128 KiB.
pub(crate) const HEAD_BYTES: usize = 192 << 10;

/// What the bytes of a file say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileFacts {
    /// What it is.
    pub content: FileContent,
    /// The processors that it runs on.
    pub arch: Option<CpuArch>,
    /// The release of a kernel.
    pub kernel_version: Option<String>,
}

impl From<FileContent> for FileFacts {
    fn from(content: FileContent) -> Self {
        Self { content, arch: None, kernel_version: None }
    }
}

/// A compression whose magic number begins a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    /// The format of LZMA utils, before xz.
    Lzma,
    /// A frame of lz4 (LZ4 Frame Format Description).
    Lz4,
    /// The legacy frame of lz4, which the kernel reads (Linux lib/decompress_unlz4.c).
    Lz4Legacy,
}

/// The compression of a file.
pub(crate) fn packing(head: &[u8]) -> Option<Packing> {
    const MAGIC: [(&[u8], Packing); 7] = [
        (b"\x1f\x8b", Packing::Gzip),
        (b"\x28\xb5\x2f\xfd", Packing::Zstd),
        (b"\xfd7zXZ\0", Packing::Xz),
        (b"\x02\x21\x4c\x18", Packing::Lz4Legacy),
        (b"\x04\x22\x4d\x18", Packing::Lz4),
        (b"\x5d\0\0", Packing::Lzma),
        (b"BZh", Packing::Bzip2),
    ];
    MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, packing)| *packing)
}

/// What a file is that begins with `head`. `unpacked` is the beginning of what a compressed file
/// unpacks to, as far as it could be unpacked.
pub(crate) fn detect(head: &[u8], unpacked: Option<&[u8]>) -> FileFacts {
    let Some(packing) = packing(head) else { return of_plain(head) };
    let Some(inner) = unpacked.map(of_plain) else { return FileContent::Compressed.into() };
    match (inner.content, packing) {
        // Debian's arm64 kernels are a gzip'd Image.
        (FileContent::Kernel, Packing::Gzip) => inner,
        (FileContent::Initrd, _) => inner,
        (FileContent::RawDisk, Packing::Zstd) => FileContent::ZstdDisk.into(),
        (FileContent::RawDisk, Packing::Xz) => FileContent::XzDisk.into(),
        (FileContent::RawDisk, Packing::Gzip) => FileContent::GzipDisk.into(),
        (FileContent::Tarball, _) => FileContent::PackedTarball.into(),
        (FileContent::FileSystem, _) => FileContent::FileSystem.into(),
        _ => FileContent::Compressed.into(),
    }
}

fn of_plain(head: &[u8]) -> FileFacts {
    if let Some(kernel) = linux(head) {
        return kernel;
    }
    if let Some(arch) = efi_program(head) {
        return FileFacts { content: FileContent::Efi, arch, kernel_version: None };
    }
    let at = |offset: usize, magic: &[u8]| {
        head.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    let content = if at(0, b"070701") || at(0, b"070702") || at(0, b"070707") || at(0, b"\xc7\x71")
    {
        FileContent::Initrd
    } else if at(0, b"#!ipxe") {
        FileContent::Script
    } else if at(0, b"QFI\xfb") {
        FileContent::Qcow2
    } else if at(0x8001, b"CD001") {
        // Before the partition table that a hybrid ISO has as well.
        FileContent::Iso
    } else if is_tarball(head) {
        FileContent::Tarball
    } else if at(0, b"hsqs") {
        FileContent::Squashfs
    } else if partitions::has_table(head) {
        FileContent::RawDisk
    } else if is_file_system(head) {
        FileContent::FileSystem
    } else if is_web_page(head) {
        FileContent::WebPage
    } else {
        FileContent::Other
    };
    content.into()
}

/// Whether a file system takes the whole disk: ext2 to ext4, XFS, Btrfs, FAT or NTFS.
fn is_file_system(head: &[u8]) -> bool {
    let at = |offset: usize, magic: &[u8]| {
        head.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    at(0x438, b"\x53\xef")
        || at(0, b"XFSB")
        || at(0x1_0040, b"_BHRfS_M")
        || partitions::is_volume(head)
}

fn is_web_page(head: &[u8]) -> bool {
    let start = head.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or_default();
    let first: Vec<u8> = head[start..].iter().take(14).map(u8::to_ascii_lowercase).collect();
    first.starts_with(b"<!doctype html")
        || first.starts_with(b"<html")
        || first.starts_with(b"<?xml")
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A Linux kernel: x86's boot protocol (Linux `Documentation/arch/x86/boot.rst`), the `Image` of
/// arm64, riscv64 and loongarch64, or a compressed one with an EFI stub (`zboot`).
fn linux(head: &[u8]) -> Option<FileFacts> {
    let kernel = |arch, kernel_version| {
        let content = FileContent::Kernel;
        Some(FileFacts { content, arch: Some(arch), kernel_version })
    };
    if head.get(0x202..0x206) == Some(b"HdrS") && u16_at(head, 0x1fe) == Some(0xaa55) {
        // XLF_KERNEL_64, since protocol 2.12.
        let is_64 = u16_at(head, 0x206)? >= 0x20c && u16_at(head, 0x236)? & 1 == 1;
        let version = u16_at(head, 0x20e).filter(|at| *at != 0).and_then(|at| {
            let text = head.get(usize::from(at) + 0x200..)?;
            let end = text.iter().take(200).position(|byte| *byte == 0)?;
            release(std::str::from_utf8(&text[..end]).ok()?)
        });
        return kernel(if is_64 { CpuArch::X64 } else { CpuArch::X86 }, version);
    }
    let arch = match head.get(0x38..0x3c) {
        Some(b"ARM\x64") => Some(CpuArch::Arm64),
        Some(b"RSC\x05") => Some(CpuArch::Riscv64),
        _ => None,
    };
    if let Some(arch) = arch {
        return kernel(arch, banner(head));
    }
    if head.starts_with(b"MZ") && head.get(4..8) == Some(b"zimg") {
        let arch = efi_program(head).flatten()?;
        return kernel(arch, None);
    }
    None
}

/// The release in the text that a kernel prints first: `Linux version 6.1.0-50-arm64 (...`.
pub(crate) fn banner(bytes: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    // The format string of the same text has no digit there.
    bytes.windows(BANNER.len() + 1).enumerate().find_map(|(at, window)| {
        let is_banner = window.starts_with(BANNER) && window[BANNER.len()].is_ascii_digit();
        let text = is_banner.then(|| &bytes[at + BANNER.len()..])?;
        let end = text.iter().take(100).position(|byte| *byte == b' ')?;
        release(std::str::from_utf8(&text[..end]).ok()?)
    })
}

/// The first word, if it can be the name of a release.
fn release(text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?;
    let is_plain =
        word.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '&'));
    (is_plain && word.len() <= 80).then(|| word.to_owned())
}

/// Whether it is a PE program for UEFI, and for which processors (PE format, "COFF File Header").
fn efi_program(head: &[u8]) -> Option<Option<CpuArch>> {
    if !head.starts_with(b"MZ") {
        return None;
    }
    let at = usize::try_from(u32_at(head, 0x3c)?).ok()?;
    if head.get(at..at.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    // Application, boot service driver, runtime driver: 10 to 12.
    if !matches!(u16_at(head, at + 24 + 68)?, 10..=12) {
        return None;
    }
    Some(match u16_at(head, at + 4)? {
        0x014c => Some(CpuArch::X86),
        0x8664 => Some(CpuArch::X64),
        0xaa64 => Some(CpuArch::Arm64),
        0x5064 => Some(CpuArch::Riscv64),
        0x6264 => Some(CpuArch::Loong64),
        _ => None,
    })
}

/// How long a disk or a program is by its own tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// What ends there.
    pub(crate) what: &'static str,
    /// Where, in bytes from the beginning.
    pub(crate) bytes: u64,
}

/// How long a disk image has to be, by its partition table: a GPT (UEFI specification section 5.3)
/// or a master boot record.
pub(crate) fn disk_extent(head: &[u8]) -> Option<Extent> {
    let gpt = [512_usize, 4096].into_iter().find_map(|sector| gpt_extent(head, sector));
    gpt.or_else(|| mbr_extent(head))
}

fn gpt_extent(head: &[u8], sector: usize) -> Option<Extent> {
    let header = head.get(sector..sector + 92).filter(|it| it.starts_with(b"EFI PART"))?;
    let end_of = |sectors: u64| sectors.saturating_add(1).saturating_mul(sector as u64);
    let backup =
        Extent { what: "its backup GPT header ends at", bytes: end_of(u64_at(header, 32)?) };
    let first = usize::try_from(u64_at(header, 72)?).ok()?.checked_mul(sector)?;
    let (count, size) = (u32_at(header, 80)? as usize, u32_at(header, 84)? as usize);
    let entries = (0..count.min(128)).map_while(|number| {
        let at = first.checked_add(number.checked_mul(size)?)?;
        head.get(at..at.checked_add(48)?)
    });
    let used = entries.filter(|entry| entry[..16] != [0; 16]);
    let last = used.filter_map(|entry| u64_at(entry, 40)).max().map(end_of);
    let partition = last.map(|bytes| Extent { what: "its last partition ends at", bytes });
    partition.filter(|partition| partition.bytes > backup.bytes).or(Some(backup))
}

fn mbr_extent(head: &[u8]) -> Option<Extent> {
    // A FAT or NTFS boot sector has the same signature, and code in place of the table.
    let is_volume = matches!(head.first(), Some(0xeb | 0xe9));
    if is_volume || head.get(510..512) != Some(b"\x55\xaa") {
        return None;
    }
    let entries: Vec<&[u8]> = head.get(446..510)?.chunks(16).collect();
    if entries.iter().any(|entry| !matches!(entry[0], 0 | 0x80)) {
        return None;
    }
    let used = entries.into_iter().filter(|entry| !matches!(entry[4], 0 | 0xee));
    let end =
        |entry: &[u8]| Some((u64::from(u32_at(entry, 8)?) + u64::from(u32_at(entry, 12)?)) * 512);
    let bytes = used.filter_map(end).max()?;
    Some(Extent { what: "its last partition ends at", bytes })
}

/// How long a PE program is, by its table of sections (Microsoft PE Format).
pub(crate) fn program_extent(head: &[u8]) -> Option<Extent> {
    let header = u32_at(head, 0x3c)? as usize;
    head.get(header..)?.starts_with(b"PE\0\0").then_some(())?;
    let count = usize::from(u16_at(head, header + 6)?);
    let first = header + 24 + usize::from(u16_at(head, header + 20)?);
    let end = |number: usize| {
        let at = first + number * 40;
        Some(u64::from(u32_at(head, at + 16)?) + u64::from(u32_at(head, at + 20)?))
    };
    let bytes = (0..count).filter_map(end).max()?;
    Some(Extent { what: "its last section ends at", bytes })
}

/// How long a kernel is. A bzImage says it in its header (Linux `Documentation/arch/x86/boot.rst`:
/// `setup_sects` and, of 32 bits since protocol 2.04, `syssize`), a compressed one with an EFI stub
/// where its payload is (Linux drivers/firmware/efi/libstub/zboot-header.S). A signature may follow.
pub(crate) fn kernel_extent(head: &[u8]) -> Option<Extent> {
    let what = "the kernel in it";
    if head.starts_with(b"MZ") && head.get(4..8) == Some(b"zimg") {
        let bytes = u64::from(u32_at(head, 8)?) + u64::from(u32_at(head, 12)?);
        return Some(Extent { what, bytes });
    }
    if head.get(0x202..0x206) != Some(b"HdrS") || u16_at(head, 0x206)? < 0x204 {
        return None;
    }
    let sectors = if *head.get(0x1f1)? == 0 { 4 } else { u64::from(*head.get(0x1f1)?) };
    let paragraphs = u64::from(u32_at(head, 0x1f4)?);
    Some(Extent { what, bytes: (sectors + 1) * 512 + paragraphs * 16 })
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(size: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; size];
        for (at, part) in parts {
            bytes[*at..at + part.len()].copy_from_slice(part);
        }
        bytes
    }

    /// A bzImage with this release.
    pub(crate) fn bz_image(release: &str) -> Vec<u8> {
        let version = format!("{release} (build@host) #1 SMP\0");
        with(
            0x2000,
            &[
                (0, b"MZ"),
                (0x1fe, b"\x55\xaa"),
                (0x202, b"HdrS"),
                (0x206, b"\x0f\x02"),
                (0x20e, b"\x00\x10"),
                (0x236, b"\x01\0"),
                (0x1200, version.as_bytes()),
            ],
        )
    }

    fn pe(machine: u16, subsystem: u16) -> Vec<u8> {
        with(
            0x400,
            &[
                (0, b"MZ"),
                (0x3c, b"\x80\0\0\0"),
                (0x80, b"PE\0\0"),
                (0x84, &machine.to_le_bytes()),
                (0x80 + 24 + 68, &subsystem.to_le_bytes()),
            ],
        )
    }

    #[test]
    fn files_are_told_apart_by_their_bytes() {
        use FileContent as C;
        let arm_banner = b"Linux version %s\0Linux version 6.12.117-arm64 (debian) #1 SMP\0";
        let arm = with(0x2000, &[(0x38, b"ARM\x64"), (0x1000, arm_banner)]);
        let mut zboot = pe(0xaa64, 10);
        zboot[4..8].copy_from_slice(b"zimg");
        let old = {
            let mut kernel = bz_image("5.10.0-686");
            kernel[0x236] = 0;
            kernel
        };
        let gpt = with(0x1000, &[(510, b"\x55\xaa"), (512, b"EFI PART")]);
        let cases: Vec<(&str, Vec<u8>, C, Option<CpuArch>, Option<&str>)> = vec![
            (
                "bzImage",
                bz_image("6.1.0-50-amd64"),
                C::Kernel,
                Some(CpuArch::X64),
                Some("6.1.0-50-amd64"),
            ),
            ("32-bit bzImage", old, C::Kernel, Some(CpuArch::X86), Some("5.10.0-686")),
            ("Image", arm, C::Kernel, Some(CpuArch::Arm64), Some("6.12.117-arm64")),
            ("zboot", zboot, C::Kernel, Some(CpuArch::Arm64), None),
            ("GRUB", pe(0x8664, 10), C::Efi, Some(CpuArch::X64), None),
            ("GRUB, arm64", pe(0xaa64, 10), C::Efi, Some(CpuArch::Arm64), None),
            ("Windows program", pe(0x8664, 3), C::Other, None, None),
            ("cpio", b"070701000".to_vec(), C::Initrd, None, None),
            ("script", b"#!ipxe\nshell".to_vec(), C::Script, None, None),
            ("qcow2", b"QFI\xfb\0\0\0\x03".to_vec(), C::Qcow2, None, None),
            (
                "hybrid ISO",
                with(0x9000, &[(510, b"\x55\xaa"), (0x8001, b"CD001")]),
                C::Iso,
                None,
                None,
            ),
            ("GPT", gpt, C::RawDisk, None, None),
            ("GPT, 4096", with(0x2000, &[(4096, b"EFI PART")]), C::RawDisk, None, None),
            ("ext4", with(0x1000, &[(0x438, b"\x53\xef")]), C::FileSystem, None, None),
            ("Btrfs", with(0x1_1000, &[(0x1_0040, b"_BHRfS_M")]), C::FileSystem, None, None),
            ("FAT", with(0x1000, &[(54, b"FAT16"), (510, b"\x55\xaa")]), C::FileSystem, None, None),
            ("tar", with(512, &[(257, b"ustar")]), C::Tarball, None, None),
            ("squashfs", b"hsqs....".to_vec(), C::Squashfs, None, None),
            ("error page", b"\n <!DOCTYPE HTML><html>".to_vec(), C::WebPage, None, None),
            ("text", b"hello".to_vec(), C::Other, None, None),
            ("nothing", vec![], C::Other, None, None),
        ];
        for (name, bytes, content, arch, version) in cases {
            let kernel_version = version.map(str::to_owned);
            assert_eq!(detect(&bytes, None), FileFacts { content, arch, kernel_version }, "{name}");
        }
    }

    #[test]
    fn compressed_files_are_what_is_in_them() {
        use FileContent as C;
        let arm = with(0x2000, &[(0x38, b"ARM\x64"), (0x1000, b"Linux version 6.1.0 (x)")]);
        let gpt = with(0x1000, &[(510, b"\x55\xaa")]);
        let tar = with(512, &[(257, b"ustar")]);
        let ext4 = with(0x1000, &[(0x438, b"\x53\xef")]);
        let (gzip, zstd, xz) = (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0");
        let cases: Vec<(&[u8], Option<&[u8]>, C)> = vec![
            (gzip, Some(b"070701"), C::Initrd),
            (xz, Some(b"070701"), C::Initrd),
            (gzip, Some(&arm), C::Kernel),
            (zstd, Some(&gpt), C::ZstdDisk),
            (xz, Some(&gpt), C::XzDisk),
            (gzip, Some(&gpt), C::GzipDisk),
            (zstd, Some(&tar), C::PackedTarball),
            (zstd, Some(&ext4), C::FileSystem),
            (zstd, Some(b"text"), C::Compressed),
            (b"\x02\x21\x4c\x18", None, C::Compressed),
        ];
        for (head, unpacked, content) in cases {
            assert_eq!(detect(head, unpacked).content, content, "{head:02x?}");
        }
    }

    #[test]
    fn a_release_is_a_plain_word() {
        assert_eq!(release("6.1.0-50-amd64 (gcc)"), Some("6.1.0-50-amd64".into()));
        assert_eq!(release("<b>6"), None);
        assert_eq!(release(""), None);
        assert_eq!(detect(&bz_image("6.1\u{e9}"), None).kernel_version, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_something(mut bytes in proptest::collection::vec(any::<u8>(), 0..2048), magic in 0..4_usize) {
            let magic: &[u8] = [b"MZ".as_slice(), b"\x1f\x8b", b"", b"QFI\xfb"][magic];
            if bytes.len() >= magic.len() {
                bytes[..magic.len()].copy_from_slice(magic);
            }
            let facts = detect(&bytes, Some(&bytes));
            prop_assert!(facts.kernel_version.is_none_or(|version| version.len() <= 80));
        }
    }

    #[test]
    fn a_file_is_as_long_as_its_own_tables_say() {
        let number = |at: usize, value: u64| (at, value.to_le_bytes());
        let filled = |size: usize, magic: &[(usize, &[u8])], numbers: &[(usize, [u8; 8])]| {
            let mut bytes = with(size, magic);
            for (at, value) in numbers {
                bytes[*at..*at + 8].copy_from_slice(value);
            }
            bytes
        };
        let table = |sector: usize, backup: u64, last: u64| {
            let entries = (u64::from(128_u32) << 32) | 128;
            filled(
                64 << 10,
                &[(sector, b"EFI PART"), (2 * sector, &[1; 16])],
                &[
                    number(sector + 32, backup),
                    number(sector + 72, 2),
                    number(sector + 80, entries),
                    number(2 * sector + 40, last),
                ],
            )
        };
        let mbr = filled(512, &[(510, b"\x55\xaa"), (450, &[0x83])], &[number(454, (8 << 32) | 2)]);
        let fat = filled(512, &[(0, b"\xeb"), (510, b"\x55\xaa"), (450, &[0x83])], &[]);
        let cases = [
            ("GPT", table(512, 99, 50), Some(("its backup GPT header ends at", 51_200))),
            ("GPT, 4096", table(4096, 99, 50), Some(("its backup GPT header ends at", 409_600))),
            ("GPT, partition", table(512, 99, 200), Some(("its last partition ends at", 102_912))),
            ("MBR", mbr, Some(("its last partition ends at", 5120))),
            ("FAT", fat, None),
            ("boot code", [vec![7; 510], b"\x55\xaa".to_vec()].concat(), None),
            ("short", vec![0; 100], None),
        ];
        for (name, head, expected) in cases {
            let found = disk_extent(&head).map(|extent| (extent.what, extent.bytes));
            assert_eq!(found, expected, "{name}");
        }
        let zboot = filled(64, &[(0, b"MZ\0\0zimg")], &[number(8, (100 << 32) | 64)]);
        assert_eq!(kernel_extent(&zboot).map(|extent| extent.bytes), Some(164));
        let section = number(0x80 + 24 + 16, (0x400 << 32) | 0x200);
        let mut program = filled(0x200, &[(0x80, b"PE\0\0"), (0x86, &[1])], &[section]);
        program[0x3c] = 0x80;
        assert_eq!(program_extent(&program).map(|extent| extent.bytes), Some(0x600));
    }
}
