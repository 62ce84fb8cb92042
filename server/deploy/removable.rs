//! What UEFI firmware starts from a disk without a boot entry (UEFI specification section 3.5.1.1).
//! Firmware loses entries, so an installed disk always has it. Pure.

use crate::model::CpuArch;

/// The folder of the path, and of the programs that are started from it.
const FOLDER: &str = "EFI/BOOT";

/// A file to be copied; both paths are below the EFI system partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileCopy {
    pub from: String,
    pub to: String,
}

/// Why a disk does not get the path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoLoader {
    #[error(
        "the image does not boot by UEFI on {}: its EFI system partition has neither {} nor shim, \
         GRUB or systemd-boot in a folder of EFI",
        .0.label(), path(*.0)
    )]
    Missing(CpuArch),
    #[error(
        "the image has no {}, and several boot loaders that could be copied there: {}",
        path(*.arch), .found.join(", ")
    )]
    Several { arch: CpuArch, found: Vec<String> },
}

/// The end of the names of an architecture's programs.
fn suffix(arch: CpuArch) -> &'static str {
    match arch {
        CpuArch::X86 => "ia32",
        CpuArch::X64 => "x64",
        CpuArch::Arm64 => "aa64",
        CpuArch::Riscv64 => "riscv64",
        CpuArch::Loong64 => "loongarch64",
    }
}

/// The path for an architecture.
pub(crate) fn path(arch: CpuArch) -> String {
    format!("{FOLDER}/BOOT{}.EFI", suffix(arch).to_ascii_uppercase())
}

/// What has to be copied so that the path exists, the path itself last; nothing if it does.
/// `files` are the paths of two folders below `EFI`.
pub(crate) fn missing_files(files: &[String], arch: CpuArch) -> Result<Vec<FileCopy>, NoLoader> {
    // FAT does not know upper case from lower case.
    let find = |path: &str| files.iter().find(|file| file.eq_ignore_ascii_case(path));
    let removable = path(arch);
    if find(&removable).is_some() {
        return Ok(Vec::new());
    }
    let suffix = suffix(arch);
    let named = |name: &str| {
        let with_name = move |file: &&String| {
            let (folder, own) = file.rsplit_once('/').unwrap_or_default();
            own.eq_ignore_ascii_case(name) && !folder.eq_ignore_ascii_case(FOLDER)
        };
        files.iter().filter(with_name).collect::<Vec<_>>()
    };
    let beside = |file: &str, name: &str| {
        let (folder, _) = file.rsplit_once('/').unwrap_or_default();
        find(&format!("{folder}/{name}")).cloned()
    };
    let grub = format!("grub{suffix}.efi");
    // Shim starts the GRUB beside it.
    let mut shims = named(&format!("shim{suffix}.efi"));
    shims.retain(|shim| beside(shim, &grub).is_some());
    let found = [shims, named(&grub), named(&format!("systemd-boot{suffix}.efi"))];
    let found = found.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
    let loader = match &found[..] {
        [] => return Err(NoLoader::Missing(arch)),
        [loader] => (*loader).clone(),
        _ => return Err(NoLoader::Several { arch, found: found.into_iter().cloned().collect() }),
    };
    let is_shim = loader.to_ascii_lowercase().ends_with(&format!("/shim{suffix}.efi"));
    let companions = [grub, format!("mm{suffix}.efi")];
    let companions = companions.into_iter().filter(|_| is_shim).filter_map(|name| {
        let to = format!("{FOLDER}/{name}");
        let copy = beside(&loader, &name).map(|from| FileCopy { from, to });
        copy.filter(|copy| find(&copy.to).is_none())
    });
    let mut copies: Vec<FileCopy> = companions.collect();
    copies.push(FileCopy { from: loader, to: removable });
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_removable_path_is_made_of_what_the_image_boots_by() {
        use CpuArch::{Arm64, X64};
        let debian = ["EFI/debian/shimx64.efi", "EFI/debian/grubx64.efi", "EFI/debian/mmx64.efi"];
        let copied = "EFI/debian/grubx64.efi > EFI/BOOT/grubx64.efi, \
                      EFI/debian/mmx64.efi > EFI/BOOT/mmx64.efi, \
                      EFI/debian/shimx64.efi > EFI/BOOT/BOOTX64.EFI";
        let two = ["EFI/debian/grubx64.efi", "EFI/ubuntu/grubx64.efi"];
        let cases: [(&str, &[&str], CpuArch, Result<&str, &str>); 12] = [
            ("it is there", &["EFI/BOOT/BOOTX64.EFI"], X64, Ok("")),
            ("in any case", &["efi/boot/bootx64.efi"], X64, Ok("")),
            ("of arm64", &["EFI/BOOT/BOOTAA64.EFI"], Arm64, Ok("")),
            ("of another one", &["EFI/BOOT/BOOTAA64.EFI"], X64, Err("does not boot by UEFI on am")),
            ("shim and GRUB", &debian, X64, Ok(copied)),
            ("for another one", &debian, Arm64, Err("neither EFI/BOOT/BOOTAA64.EFI nor shim")),
            (
                "plain grub-install",
                &debian[1..2],
                X64,
                Ok("EFI/debian/grubx64.efi > EFI/BOOT/BOOTX64.EFI"),
            ),
            ("shim without what it starts", &debian[..1], X64, Err("does not boot by UEFI")),
            (
                "systemd-boot",
                &["EFI/systemd/systemd-bootx64.efi"],
                X64,
                Ok("EFI/systemd/systemd-bootx64.efi > EFI/BOOT/BOOTX64.EFI"),
            ),
            (
                "GRUB is there, shim is not",
                &["EFI/BOOT/grubx64.efi", "EFI/rocky/SHIMX64.EFI", "EFI/rocky/grubx64.efi"],
                X64,
                Ok("EFI/rocky/SHIMX64.EFI > EFI/BOOT/BOOTX64.EFI"),
            ),
            (
                "two of them",
                &two,
                X64,
                Err("several boot loaders that could be copied there: EFI/d"),
            ),
            ("nothing", &[], X64, Err("does not boot by UEFI")),
        ];
        for (name, files, arch, expected) in cases {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            let text = |copies: Vec<FileCopy>| {
                let lines = copies.iter().map(|copy| format!("{} > {}", copy.from, copy.to));
                lines.collect::<Vec<_>>().join(", ")
            };
            match (missing_files(&files, arch).map(text), expected) {
                (Ok(copies), Ok(wanted)) => assert_eq!(copies, wanted, "{name}"),
                (Err(error), Err(wanted)) => {
                    assert!(error.to_string().contains(wanted), "{name}: {error}");
                }
                (found, wanted) => panic!("{name}: {found:?}, expected {wanted:?}"),
            }
        }
    }
}
