//! Images: what a host boots.

use serde::{Deserialize, Serialize};

use super::Recipe;

/// The word of a command line in whose place a host's network stands.
pub const DRACUT_WORD: &str = "{dracut}";

/// The image with the live system that writes a disk image, where `live-system` names no other.
pub const DEFAULT_LIVE_SYSTEM: &str = "live";

/// What to boot: a kernel with initrds, an EFI program, an iPXE script, a disk image that is
/// written to the local disk first, or the local disk as it is.
/// Exactly one of `kernel`, `efi`, `script`, `disk` and `local` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// A Linux kernel, as a path under the files directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Initrds in order, as paths under the files directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initrd: Vec<String>,
    /// The kernel's command line. A word `{dracut}` on it becomes the host's network as an
    /// initramfs made by dracut reads it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cmdline: String,
    /// An EFI program, as a path under the files directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub efi: Option<String>,
    /// An iPXE script, as a path under the files directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// A disk image, as a path under the files directory: raw, or compressed by zstd, xz or gzip.
    /// It is written to the host's disk once each time that the host is armed
    /// (`rackstrap host install NAME`), by the live system; otherwise the host boots its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// The SHA-256 of the file of `disk`, in hexadecimal. A file with another one is not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The image that boots the live system which writes `disk`; `live` where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_system: Option<String>,
    /// The answers of its installer, filled in for each host that boots it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
    /// Boot the local disk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
    /// Whether a host with this image boots it every time, or once for each time that it is
    /// armed (`rackstrap host install NAME`) and its local disk otherwise.
    #[serde(default, skip_serializing_if = "BootMode::is_always")]
    pub boot: BootMode,
    /// When an image with `boot: once` counts as used, so that no other boot may install.
    #[serde(default, skip_serializing_if = "InstallBegins::is_loaded")]
    pub install_begins: InstallBegins,
    /// How hosts with this image are sent to their local disk; `menu` where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_boot: Option<LocalBoot>,
}

/// How often a host boots its image.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum BootMode {
    /// At every boot.
    #[default]
    Always,
    /// In one boot after the host was armed. The image installs to the disk.
    Once,
}

impl BootMode {
    fn is_always(&self) -> bool {
        *self == Self::Always
    }
}

/// When an installer counts as started.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum InstallBegins {
    /// When its kernel and initrds have been sent. Right for every installer; a power cut while
    /// its kernel starts means that the host has to be armed again.
    #[default]
    Loaded,
    /// When it reports `installing` with its token, before it changes the disk. An installer that
    /// does not wait for the answer 200 could install twice.
    Reported,
}

impl InstallBegins {
    fn is_loaded(&self) -> bool {
        *self == Self::Loaded
    }
}

/// How firmware is sent to the local disk. Firmware differs, so a host may override its image.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LocalBoot {
    /// A PXE boot menu whose only item is the local disk (UEFI HTTP Boot: a URL that answers 404).
    /// The firmware goes on to its next boot option without loading a file.
    #[default]
    Menu,
    /// Load iPXE, which starts the first disk itself (`sanboot`). For hosts with many NICs in
    /// their boot order, and for those whose IPv6 boot attempts nobody answers.
    Sanboot,
    /// Load iPXE, which returns an error to the firmware (`exit 1`).
    Exit,
    /// Send no boot data. Most UEFI firmware then waits about a minute for each NIC and protocol.
    NoFile,
}

impl LocalBoot {
    /// All ways.
    pub const ALL: [Self; 4] = [Self::Menu, Self::Sanboot, Self::Exit, Self::NoFile];

    /// The word of the site file.
    pub fn label(self) -> &'static str {
        match self {
            Self::Menu => "menu",
            Self::Sanboot => "sanboot",
            Self::Exit => "exit",
            Self::NoFile => "no-file",
        }
    }
}

impl Image {
    /// Its files, each with the key that names it.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let programs = [
            ("kernel", &self.kernel),
            ("efi", &self.efi),
            ("script", &self.script),
            ("disk", &self.disk),
        ];
        let programs = programs.into_iter().filter_map(|(key, file)| Some((key, file.as_deref()?)));
        programs.chain(self.initrd.iter().map(|file| ("initrd", file.as_str())))
    }

    /// Names these files, by their keys, in place of all that it names.
    pub fn set_files(&mut self, files: impl IntoIterator<Item = (&'static str, String)>) {
        (self.kernel, self.efi, self.script, self.disk) = (None, None, None, None);
        self.initrd.clear();
        for (key, path) in files {
            self.set_file(key, path, true);
        }
    }

    /// Names a file by its key, in place of the one that it names so. An initrd that is `added`
    /// comes after the others.
    pub fn set_file(&mut self, key: &'static str, path: String, added: bool) {
        match key {
            "kernel" => self.kernel = Some(path),
            "initrd" if added => self.initrd.push(path),
            "initrd" => self.initrd = vec![path],
            "efi" => self.efi = Some(path),
            "script" => self.script = Some(path),
            "disk" => self.disk = Some(path),
            _ => {}
        }
    }

    /// Whether this is one of its files.
    pub fn has_file(&self, path: &str) -> bool {
        let is_same = |own: &str| own.trim_start_matches('/') == path.trim_start_matches('/');
        self.files().any(|(_, file)| is_same(file))
    }

    /// Whether it changes the disk, so that it boots only once each time its host is armed.
    pub fn installs(&self) -> bool {
        self.boot == BootMode::Once || self.disk.is_some()
    }

    /// When an install counts as started. What writes a disk image always asks first.
    pub fn install_begins(&self) -> InstallBegins {
        if self.disk.is_some() { InstallBegins::Reported } else { self.install_begins }
    }

    /// The name of the image with the live system that writes its `disk`.
    pub fn live_system(&self) -> &str {
        self.live_system.as_deref().unwrap_or(DEFAULT_LIVE_SYSTEM)
    }

    /// Whether its command line has [`DRACUT_WORD`].
    pub fn wants_dracut(&self) -> bool {
        self.cmdline.split_whitespace().any(|word| word == DRACUT_WORD)
    }
}
