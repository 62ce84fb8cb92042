//! What kind of client asks: which firmware, which architecture, or iPXE. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::FirmwareArch;

/// What a client is, as far as booting is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// iPXE that can fetch by HTTP.
    Ipxe(Arch),
    /// An old iPXE, often in a NIC's ROM, that knows TFTP only.
    IpxeWithoutHttp(Arch),
    /// UEFI HTTP Boot.
    HttpBoot(Arch),
    /// PXE firmware, BIOS or UEFI.
    Pxe(Arch),
    /// The ROM of a Raspberry Pi.
    RaspberryPi,
    /// An operating system, or anything else that does not boot.
    Plain,
}

/// Processor and firmware, as far as they decide which program runs
/// (IANA "Processor Architecture Types", with the errata of RFC 4578).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// x86 with BIOS.
    Bios,
    /// 32-bit x86 with UEFI.
    X86Efi,
    /// 64-bit x86 with UEFI.
    X64Efi,
    /// 32-bit ARM with UEFI or U-Boot.
    Arm32Efi,
    /// 64-bit ARM with UEFI or U-Boot.
    Arm64Efi,
    /// 32-bit RISC-V with UEFI.
    Riscv32Efi,
    /// 64-bit RISC-V with UEFI.
    Riscv64Efi,
    /// 64-bit LoongArch with UEFI.
    Loong64Efi,
    /// Anything else, with its number.
    Other(u16),
}

impl Client {
    /// The architecture that it names, if it boots.
    pub fn arch(self) -> Option<Arch> {
        match self {
            Self::Ipxe(arch)
            | Self::IpxeWithoutHttp(arch)
            | Self::HttpBoot(arch)
            | Self::Pxe(arch) => Some(arch),
            Self::RaspberryPi | Self::Plain => None,
        }
    }
}

impl Arch {
    /// The architecture of a number of option 93. HTTP variants are the same machine.
    pub fn from_number(number: u16) -> Self {
        match number {
            0 | 1 | 20 => Self::Bios,
            6 | 15 => Self::X86Efi,
            // 9 and 17 are "EFI byte code", but x64 firmware of some vendors says so.
            7 | 9 | 16 | 17 => Self::X64Efi,
            10 | 18 | 21 | 23 => Self::Arm32Efi,
            11 | 19 | 22 | 24 => Self::Arm64Efi,
            25 | 26 => Self::Riscv32Efi,
            27 | 28 => Self::Riscv64Efi,
            39 | 40 => Self::Loong64Efi,
            other => Self::Other(other),
        }
    }

    /// What the site file calls it; none where no boot program exists.
    pub fn of_firmware(self) -> Option<FirmwareArch> {
        match self {
            Self::Bios => Some(FirmwareArch::Bios),
            Self::X86Efi => Some(FirmwareArch::X86),
            Self::X64Efi => Some(FirmwareArch::X64),
            Self::Arm32Efi => Some(FirmwareArch::Arm32),
            Self::Arm64Efi => Some(FirmwareArch::Arm64),
            Self::Riscv32Efi => Some(FirmwareArch::Riscv32),
            Self::Riscv64Efi => Some(FirmwareArch::Riscv64),
            Self::Loong64Efi => Some(FirmwareArch::Loong64),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bios => f.write_str("BIOS"),
            Self::X86Efi => f.write_str("UEFI x86"),
            Self::X64Efi => f.write_str("UEFI x64"),
            Self::Arm32Efi => f.write_str("UEFI arm32"),
            Self::Arm64Efi => f.write_str("UEFI arm64"),
            Self::Riscv32Efi => f.write_str("UEFI riscv32"),
            Self::Riscv64Efi => f.write_str("UEFI riscv64"),
            Self::Loong64Efi => f.write_str("UEFI loong64"),
            Self::Other(number) => write!(f, "architecture {number}"),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipxe(arch) => write!(f, "iPXE on {arch}"),
            Self::IpxeWithoutHttp(arch) => write!(f, "iPXE without HTTP on {arch}"),
            Self::HttpBoot(arch) => write!(f, "{arch} HTTP Boot"),
            Self::Pxe(arch) => write!(f, "{arch} PXE"),
            Self::RaspberryPi => f.write_str("Raspberry Pi"),
            Self::Plain => f.write_str("no boot client"),
        }
    }
}
