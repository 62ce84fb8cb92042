//! What the server tells the live system to do, and what that reports. JSON of
//! `GET /deploy/MAC` and `POST /deploy/MAC`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::lifecycle::install::InstallTask;
use crate::model::{AuthorizedKey, BootOrder, DiskRule, NetworkFormat, RootPassword};

/// Where cloud-init looks for its NoCloud source.
pub(crate) const NOCLOUD_SEED: &str = "/var/lib/cloud/seed/nocloud";

/// What is to be done to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Plan {
    /// The host's name, which becomes its host name.
    pub host: String,
    /// The image's name.
    pub image: String,
    /// The disk image.
    pub source: ImageSource,
    /// Which disk it is written to.
    pub disk: DiskRule,
    /// What is to be done.
    pub task: InstallTask,
    /// Where the disk comes in the firmware's boot order.
    #[serde(default)]
    pub boot_order: BootOrder,
    /// The host's network in each format that the image may read; one alone where the image or
    /// the profile says which. None for a host without a network: the image keeps its own.
    pub networks: Vec<PlanNetwork>,
    /// The address of the host's own network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Who may log in as root by SSH; none leaves what the image has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_authorized_keys: Vec<AuthorizedKey>,
    /// Root's password; none leaves that of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_password_hash: Option<RootPassword>,
}

/// Where a disk image is, and how to know that it came whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ImageSource {
    /// Its path on the server, such as `/files/images/debian.raw.zst`.
    pub path: String,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The SHA-256 of the file in hexadecimal, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many bytes the image has once it is unpacked, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// The SHA-256 of the unpacked image in hexadecimal, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_sha256: Option<String>,
}

/// The host's network in one format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PlanNetwork {
    /// The format.
    pub format: NetworkFormat,
    /// What the host has; nothing if the format cannot express its network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PlanFile>,
    /// Why the format cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// A file of the installed system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlanFile {
    /// Its absolute path.
    pub path: String,
    /// Its permissions, such as `0o644`.
    pub mode: u32,
    /// Its contents.
    pub text: String,
}
