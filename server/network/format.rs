//! What a host's configuration can be written for, and the files that come of it. Pure.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::RenderError;
use crate::model::NetworkFormat;

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name without a directory, such as `05-bond0.netdev`.
    pub name: String,
    /// Where a host keeps it; none for one that it fetches and does not keep.
    pub directory: Option<Cow<'static, str>>,
    /// Its permissions, such as `0o644`.
    pub mode: u32,
    /// All of its text.
    pub text: String,
}

impl File {
    /// A file of a format, in the directory of that format.
    pub fn of(format: Format, name: impl Into<String>, text: String) -> Self {
        let directory = format.directory().map(Cow::Borrowed);
        Self { name: name.into(), directory, mode: format.mode(), text }
    }

    /// The permissions as `chmod` takes them, such as `0644`.
    pub fn mode_text(&self) -> String {
        format!("{:04o}", self.mode)
    }

    /// Where a host keeps it, such as `/etc/sysctl.d/90-rackstrap.conf`; the name alone if
    /// it does not.
    pub fn path(&self) -> String {
        match &self.directory {
            Some(directory) => format!("{directory}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// What the files are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// systemd-networkd's `.network` and `.netdev` files, and behind them the settings of kernel
    /// modules and what [`Sysctl`](Self::Sysctl) gives: without it some of them do not work.
    Networkd,
    /// netplan's YAML.
    Netplan,
    /// A NoCloud tree for cloud-init, with network configuration version 2.
    CloudInit,
    /// A NoCloud tree for cloud-init, with network configuration version 1.
    CloudInitV1,
    /// An Ignition configuration that writes the files of [`Networkd`](Self::Networkd).
    Ignition,
    /// NetworkManager's keyfiles, and what [`Sysctl`](Self::Sysctl) gives.
    NetworkManager,
    /// nmstate's desired state, NetworkManager's own settings, and what
    /// [`Sysctl`](Self::Sysctl) gives.
    Nmstate,
    /// `/etc/network/interfaces` for ifupdown2, with the files beside it that it needs.
    Ifupdown2,
    /// OpenStack's `network_data.json`.
    NetworkData,
    /// Documents of Talos's machine configuration.
    Talos,
    /// A NixOS module, and within it what [`Networkd`](Self::Networkd) has.
    NixOs,
    /// The kernel command line for an initramfs made by dracut.
    Dracut,
    /// FRR's files. None for a host that speaks no BGP.
    Frr,
    /// Kernel settings for sysctl.d: what a network needs besides its links. No file for a
    /// host that needs none.
    Sysctl,
}

impl Format {
    /// All formats.
    pub const ALL: &[Self] = &[
        Self::Networkd,
        Self::Netplan,
        Self::CloudInit,
        Self::CloudInitV1,
        Self::Ignition,
        Self::NetworkManager,
        Self::Nmstate,
        Self::Ifupdown2,
        Self::NetworkData,
        Self::Talos,
        Self::NixOs,
        Self::Dracut,
        Self::Frr,
        Self::Sysctl,
    ];

    /// The one that the system of a disk image reads.
    pub fn of_image(format: NetworkFormat) -> Self {
        match format {
            NetworkFormat::Networkd => Self::Networkd,
            NetworkFormat::Netplan => Self::Netplan,
            NetworkFormat::NetworkManager => Self::NetworkManager,
            NetworkFormat::Ifupdown2 => Self::Ifupdown2,
            NetworkFormat::CloudInit => Self::CloudInit,
        }
    }

    /// The word for it on the command line and in URLs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Networkd => "networkd",
            Self::Netplan => "netplan",
            Self::CloudInit => "cloud-init",
            Self::CloudInitV1 => "cloud-init-v1",
            Self::Ignition => "ignition",
            Self::NetworkManager => "networkmanager",
            Self::Nmstate => "nmstate",
            Self::Ifupdown2 => "ifupdown2",
            Self::NetworkData => "network-data",
            Self::Talos => "talos",
            Self::NixOs => "nixos",
            Self::Dracut => "dracut",
            Self::Frr => "frr",
            Self::Sysctl => "sysctl",
        }
    }

    /// Where a host keeps the files; none for those that it fetches and does not keep.
    pub fn directory(self) -> Option<&'static str> {
        match self {
            Self::Networkd => Some("/etc/systemd/network"),
            Self::Netplan => Some("/etc/netplan"),
            Self::NetworkManager => Some("/etc/NetworkManager/system-connections"),
            Self::Nmstate => Some("/etc/nmstate"),
            Self::Ifupdown2 => Some("/etc/network"),
            Self::Frr => Some("/etc/frr"),
            Self::Sysctl => Some("/etc/sysctl.d"),
            Self::CloudInit | Self::CloudInitV1 | Self::Ignition => None,
            Self::NixOs => Some("/etc/nixos"),
            Self::NetworkData | Self::Talos | Self::Dracut => None,
        }
    }

    /// The permissions of the files. NetworkManager ignores keyfiles that others may read.
    fn mode(self) -> u32 {
        match self {
            Self::NetworkManager => 0o600,
            _ => 0o644,
        }
    }

    /// The format to take instead of one that cannot say something, as a sentence's end.
    pub(super) fn better(self) -> &'static str {
        match self {
            Self::Networkd | Self::Ignition => "",
            _ => "; networkd can",
        }
    }

    /// The words for all formats, as a sentence has them.
    pub fn labels() -> String {
        let labels: Vec<&str> = Self::ALL.iter().map(|format| format.label()).collect();
        labels.join(", ")
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for Format {
    type Err = RenderError;

    fn from_str(text: &str) -> Result<Self, RenderError> {
        let found = Self::ALL.iter().copied().find(|format| format.label() == text);
        found.ok_or_else(|| RenderError::UnknownFormat { name: text.to_owned() })
    }
}
