//! Recipes: the answers of an installer, with places for values of a host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Scalar;
use super::words::words;

/// The shipped recipe of Debian's own installer.
pub(crate) const PRESEED: &str = "debian-preseed";

/// The shipped recipe of an installer that asks for its answers at one URL for all hosts, and so
/// begins with the answers and not with its last file.
pub(crate) const PROXMOX: &str = "proxmox-answer";

/// The shipped recipe of a system that reports nothing: its installer is done when it restarts.
pub(crate) const TALOS: &str = "talos";

/// What an installer reads, written once for many hosts: a recipe that comes with rackstrap
/// (`use`), or one of the operator's own (`format` and `text`). `{{ host.name }}` and its like stand for
/// values of the host that installs; no value can add a line, an argument or a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// A recipe that comes with rackstrap: `debian-preseed`, `ubuntu-autoinstall`, `kickstart`,
    /// `flatcar-ignition`, `coreos-ignition`, `proxmox-answer`, `talos` or `autoyast`.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub shipped: Option<String>,
    /// What `text` is: how values are written in it follows from that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<RecipeFormat>,
    /// The file, in the template language of Jinja.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What `{{ image.values.KEY }}` stands for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Scalar>,
}

impl Recipe {
    /// Whether it is the shipped one with this name.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.shipped.as_deref() == Some(name)
    }
}

words! {
    /// What a recipe is.
    pub RecipeFormat {
        /// A preseed file of Debian's installer: a line per answer.
        Preseed = "preseed",
        /// A kickstart file of Anaconda.
        Kickstart = "kickstart",
        /// YAML: Ubuntu's autoinstall, Talos.
        Yaml = "yaml",
        /// TOML: Proxmox's answer file.
        Toml = "toml",
        /// JSON: Ignition.
        Json = "json",
        /// XML: SUSE's AutoYaST.
        Xml = "xml",
    }
}
