//! What the server tells the live system to do, and what that reports. JSON of
//! `GET /deploy/MAC` and `POST /deploy/MAC`.

use serde::{Deserialize, Serialize};

use crate::lifecycle::install::InstallTask;
use crate::model::DiskRule;

/// What is to be done to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Plan {
    /// The host's name, which becomes its host name.
    pub host: String,
    /// The image's name.
    pub image: String,
    /// The disk image.
    pub source: Source,
    /// Which disk it is written to.
    pub disk: DiskRule,
    /// What is to be done.
    pub task: InstallTask,
    /// The host's files, such as those of systemd-networkd.
    pub files: Vec<PlanFile>,
}

/// Where a disk image is, and how to know that it came whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Source {
    /// Its path on the server, such as `/files/images/debian.raw.zst`.
    pub path: String,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The SHA-256 of the file in hexadecimal, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
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
