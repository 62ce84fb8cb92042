//! Images: what a host boots.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::command_line::HostWord;
use super::recipe::{PRESEED, PROXMOX, TALOS};
use super::words::words;
use super::{FirmwareArch, Recipe, RecipeFormat};

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
    /// What the system in `disk` reads its network from; found out from the image where none is
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_format: Option<NetworkFormat>,
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
    /// When an install counts as done.
    #[serde(default, skip_serializing_if = "InstallEnds::is_reported")]
    pub install_ends: InstallEnds,
    /// How hosts with this image are sent to their local disk; `menu` where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_boot: Option<LocalBoot>,
    /// Where a host that gets `disk` has it in the boot order of its UEFI firmware;
    /// `network-first` where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_order: Option<BootOrder>,
    /// What hosts of another architecture boot in its place, by the architecture that their
    /// firmware names (DHCP option 93). What a variant does not say is as the image says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"enum": FirmwareArch::ALL}))]
    pub variants: BTreeMap<FirmwareArch, ImageVariant>,
}

/// What an image is on hosts of one architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageVariant {
    /// A Linux kernel, as a path under the files directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Initrds in order, as paths under the files directory; with `kernel`, in place of the
    /// image's even if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initrd: Vec<String>,
    /// The kernel's command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// An EFI program, as a path under the files directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub efi: Option<String>,
    /// A disk image, as a path under the files directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// The SHA-256 of the file of `disk`, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl ImageVariant {
    fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let programs = [("kernel", &self.kernel), ("efi", &self.efi), ("disk", &self.disk)];
        let programs = programs.into_iter().filter_map(|(key, file)| Some((key, file.as_deref()?)));
        programs.chain(self.initrd.iter().map(|file| ("initrd", file.as_str())))
    }
}

words! {
    /// What a system on a disk reads its network from.
    pub NetworkFormat {
        /// systemd-networkd's files in `/etc/systemd/network`.
        Networkd = "networkd",
        /// netplan's YAML in `/etc/netplan`.
        Netplan = "netplan",
        /// NetworkManager's keyfiles in `/etc/NetworkManager/system-connections`.
        NetworkManager = "networkmanager",
        /// `/etc/network/interfaces` as ifupdown2 reads it, such as on Proxmox.
        Ifupdown2 = "ifupdown2",
        /// The NoCloud source of cloud-init in `/var/lib/cloud/seed/nocloud`.
        CloudInit = "cloud-init",
    }
}

/// A word that is not a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a format: expected networkd, netplan, networkmanager, ifupdown2 or cloud-init"
)]
pub struct InvalidNetworkFormat(pub String);

impl FromStr for NetworkFormat {
    type Err = InvalidNetworkFormat;

    fn from_str(word: &str) -> Result<Self, InvalidNetworkFormat> {
        let known = Self::ALL.iter().find(|format| format.label() == word);
        known.copied().ok_or_else(|| InvalidNetworkFormat(word.to_owned()))
    }
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

/// When an installer counts as done.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum InstallEnds {
    /// When it reports so with its token. A host that is powered on again before has failed.
    #[default]
    Reported,
    /// When the host boots again. For installers that cannot report; whether they installed
    /// anything is not known.
    Rebooted,
}

impl InstallEnds {
    fn is_reported(&self) -> bool {
        *self == Self::Reported
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

words! {
    /// Where an installed disk comes in the boot order of UEFI firmware.
    #[derive(Default)]
    pub BootOrder {
        /// Behind the network, so that the next boot can install again.
        #[default]
        NetworkFirst = "network-first",
        /// First: the host boots with no server, and from the network only if its firmware is told
        /// to.
        DiskFirst = "disk-first",
    }
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
        let own = programs.chain(self.initrd.iter().map(|file| ("initrd", file.as_str())));
        own.chain(self.variants.values().flat_map(ImageVariant::files))
    }

    /// What it is on hosts of an architecture; the image itself where it has no variant for it.
    #[must_use]
    pub fn on(&self, arch: Option<FirmwareArch>) -> Self {
        let own = Self { variants: BTreeMap::new(), ..self.clone() };
        let Some(variant) = arch.and_then(|arch| self.variants.get(&arch)) else { return own };
        let variant = variant.clone();
        let initrd = match variant.kernel.is_some() || !variant.initrd.is_empty() {
            true => variant.initrd,
            false => own.initrd,
        };
        let sha256 = if variant.disk.is_some() { variant.sha256 } else { own.sha256 };
        Self {
            kernel: variant.kernel.or(own.kernel),
            initrd,
            cmdline: variant.cmdline.unwrap_or(own.cmdline),
            efi: variant.efi.or(own.efi),
            disk: variant.disk.or(own.disk),
            sha256,
            ..own
        }
    }

    /// Whether there is anything to boot on hosts without a variant of their own.
    pub fn boots_anywhere(&self) -> bool {
        let programs = [&self.kernel, &self.efi, &self.script, &self.disk];
        self.local || programs.into_iter().any(Option::is_some)
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
        self.files().any(|(_, file)| file.trim_start_matches('/') == path.trim_start_matches('/'))
    }

    /// Whether this is one of its files as a client may spell it: files are found in any case.
    pub fn has_file_in_any_case(&self, path: &str) -> bool {
        let path = path.trim_start_matches('/');
        self.files().any(|(_, file)| file.trim_start_matches('/').eq_ignore_ascii_case(path))
    }

    /// Whether it changes the disk, so that it boots only once each time its host is armed.
    pub fn installs(&self) -> bool {
        let has_disk = |variant: &ImageVariant| variant.disk.is_some();
        self.boot == BootMode::Once || self.disk.is_some() || self.variants.values().any(has_disk)
    }

    /// When an install counts as started. What writes a disk image always asks first, and so does
    /// an installer that fetches its answers when it runs.
    pub fn install_begins(&self) -> InstallBegins {
        match self.disk.is_some() || self.uses_recipe(PROXMOX) {
            true => InstallBegins::Reported,
            false => self.install_begins,
        }
    }

    /// When an install counts as done.
    pub fn install_ends(&self) -> InstallEnds {
        if self.uses_recipe(TALOS) { InstallEnds::Rebooted } else { self.install_ends }
    }

    /// Whether its recipe goes to the host inside an initrd: that of Debian's installer does, which
    /// reads `/preseed.cfg` before it brings up any network, unless the command line says where
    /// else it is.
    pub fn has_recipe_as_initrd(&self) -> bool {
        let is_preseed =
            |recipe: &Recipe| recipe.format == Some(RecipeFormat::Preseed) || recipe.uses(PRESEED);
        self.recipe.as_ref().is_some_and(is_preseed)
            && !self.cmdline.contains(HostWord::RecipeUrl.word())
    }

    fn uses_recipe(&self, name: &str) -> bool {
        self.recipe.as_ref().is_some_and(|recipe| recipe.uses(name))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_word_that_the_refusal_names() {
        let refusal = "nmstate".parse::<NetworkFormat>().unwrap_err().to_string();
        for format in NetworkFormat::ALL {
            assert_eq!(format.label().parse(), Ok(*format));
            assert!(refusal.contains(format.label()), "{format}: {refusal}");
        }
    }
}
