//! GRUB for BIOS in an image without a loop device: where `grub-bios-setup` would write. Pure.
//!
//! The first sector of the disk is GRUB's `boot.img`, which loads the first sector of `core.img`,
//! which loads the rest (grub-core/boot/i386/pc/{boot,diskboot}.S, include/grub/i386/pc/boot.h).

const SECTOR: usize = 512;
/// In `boot.img`: the sector of `core.img`, 8 bytes (GRUB_BOOT_MACHINE_KERNEL_SECTOR).
const KERNEL_SECTOR: usize = 0x5c;
/// In `boot.img`: a jump that BIOSes with a wrong drive number need taken out
/// (GRUB_BOOT_MACHINE_DRIVE_CHECK).
const DRIVE_CHECK: usize = 0x66;
/// Where the partition table of a master boot record begins, with the disk's signature before it.
const TABLE: usize = 0x1b8;
/// In the first sector of `core.img`: where the rest of it begins, 8 bytes
/// (the last block list entry, GRUB_BOOT_MACHINE_LIST_SIZE from the end).
const BLOCK_LIST: usize = SECTOR - 12;

/// Why GRUB cannot be embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EmbedError {
    #[error("boot.img of GRUB is not a sector of 512 bytes")]
    BootSize,
    #[error("core.img of GRUB ({0} bytes) does not fit the BIOS boot partition")]
    CoreSize(usize),
}

/// The first sector of a disk whose first sector was `old`, so that BIOS starts `core.img` at
/// `sector`.
pub(crate) fn boot_sector(boot: &[u8], old: &[u8], sector: u64) -> Result<Vec<u8>, EmbedError> {
    if boot.len() != SECTOR || old.len() != SECTOR {
        return Err(EmbedError::BootSize);
    }
    let mut first = boot.to_vec();
    first[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&sector.to_le_bytes());
    // Two NOPs.
    first[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    first[TABLE..].copy_from_slice(&old[TABLE..]);
    Ok(first)
}

/// `core.img` as it lies at `sector`, in a partition of `sectors`.
pub(crate) fn core(core: &[u8], sector: u64, sectors: u64) -> Result<Vec<u8>, EmbedError> {
    if core.len() <= SECTOR || core.len() as u64 > sectors * SECTOR as u64 {
        return Err(EmbedError::CoreSize(core.len()));
    }
    let mut core = core.to_vec();
    core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&(sector + 1).to_le_bytes());
    Ok(core)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_sector_keeps_the_partition_table_and_finds_the_core() {
        let (boot, old) = (vec![1; SECTOR], vec![2; SECTOR]);
        let first = boot_sector(&boot, &old, 2048).unwrap();
        assert_eq!(first[KERNEL_SECTOR..KERNEL_SECTOR + 8], 2048_u64.to_le_bytes());
        assert_eq!(first[DRIVE_CHECK..DRIVE_CHECK + 2], [0x90, 0x90]);
        assert!(first[TABLE..].iter().all(|byte| *byte == 2));
        assert_eq!(boot_sector(&boot[1..], &old, 1), Err(EmbedError::BootSize));
        let image = core(&[3; 1000], 2048, 2).unwrap();
        assert_eq!(image[BLOCK_LIST..BLOCK_LIST + 8], 2049_u64.to_le_bytes());
        assert_eq!(core(&[3; 1025], 2048, 2), Err(EmbedError::CoreSize(1025)));
        assert_eq!(core(&[3; 512], 2048, 2), Err(EmbedError::CoreSize(512)));
    }
}
