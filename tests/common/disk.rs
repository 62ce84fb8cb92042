//! Disks whose loader says on the serial console that it runs, and then does nothing more.

use std::path::Path;

/// What the loaders say.
pub(crate) const STARTED: &str = "LOCAL DISK STARTED";

/// Writes each character of the text behind it to the first serial port, then waits for ever
/// (64-bit): `lea`, then `lodsb`, wait for bit 5 of port 0x3fd, `out` to port 0x3f8.
const SAY_64: [u8; 36] = [
    0x48, 0x8d, 0x35, 0x1d, 0, 0, 0, 0xac, 0x84, 0xc0, 0x74, 0x14, 0x88, 0xc4, 0x66, 0xba, 0xfd,
    0x03, 0xec, 0xa8, 0x20, 0x74, 0xfb, 0x66, 0xba, 0xf8, 0x03, 0x88, 0xe0, 0xee, 0xeb, 0xe7, 0xf3,
    0x90, 0xeb, 0xfc,
];
/// The same for a boot sector (16-bit, loaded at 0x7c00, text at 0x7c23).
const SAY_16: [u8; 35] = [
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0xfc, 0xbe, 0x23, 0x7c, 0xac, 0x84, 0xc0, 0x74, 0x12, 0x88, 0xc4,
    0xba, 0xfd, 0x03, 0xec, 0xa8, 0x20, 0x74, 0xfb, 0xba, 0xf8, 0x03, 0x88, 0xe0, 0xee, 0xeb, 0xe9,
    0xf4, 0xeb, 0xfd,
];

fn with_text(code: &[u8]) -> Vec<u8> {
    [code, b"\r\n", STARTED.as_bytes(), b"\r\n\0"].concat()
}

/// A raw disk of 1 MiB for BIOS.
pub(crate) fn bios(path: &Path) {
    let mut disk = with_text(&SAY_16);
    disk.resize(510, 0);
    disk.extend([0x55, 0xaa]);
    disk.resize(1 << 20, 0);
    std::fs::write(path, disk).unwrap();
}

/// A directory with `EFI/BOOT/BOOTX64.EFI`, for QEMU to show as a FAT disk.
pub(crate) fn uefi(directory: &Path) {
    let boot = directory.join("EFI/BOOT");
    std::fs::create_dir_all(&boot).unwrap();
    std::fs::write(boot.join("BOOTX64.EFI"), efi_program()).unwrap();
}

/// An EFI application of one section (PE32+, Microsoft PE specification): 512 bytes of headers,
/// then 512 of position-independent code.
fn efi_program() -> Vec<u8> {
    const HEADERS: u32 = 0x200;
    const CODE: u32 = 0x200;
    const PAGE: u32 = 0x1000;
    let mut file = b"MZ".to_vec();
    file.resize(0x3c, 0);
    file.extend(0x40_u32.to_le_bytes());
    file.extend(b"PE\0\0");
    // COFF: x86-64, one section, an optional header of 240 bytes, executable.
    for half in [0x8664_u16, 1, 0, 0, 0, 0, 0, 0, 240, 0x0206] {
        file.extend(half.to_le_bytes());
    }
    file.extend([0x0b, 0x02, 0, 0]);
    for word in [CODE, 0, 0, PAGE, PAGE, 0, 0, PAGE, 0x200, 0, 0, 0, 0, 2 * PAGE, HEADERS, 0] {
        file.extend(word.to_le_bytes());
    }
    // EFI application; stack and heap, loader flags, sixteen empty directories.
    file.extend([10_u16.to_le_bytes(), [0, 0]].concat());
    file.extend([0; 36]);
    file.extend(16_u32.to_le_bytes());
    file.extend([0; 16 * 8]);
    file.extend(b".text\0\0\0");
    for word in [CODE, PAGE, CODE, HEADERS, 0, 0, 0, 0x6000_0020] {
        file.extend(word.to_le_bytes());
    }
    file.resize(HEADERS as usize, 0);
    file.extend(with_text(&SAY_64));
    file.resize((HEADERS + CODE) as usize, 0);
    file
}
