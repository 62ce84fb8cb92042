//! The recipes that come with the program.

use crate::model::{PRESEED, PROXMOX, RecipeFormat, TALOS};

/// A recipe that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// What images call it.
    pub name: &'static str,
    /// What it is.
    pub format: RecipeFormat,
    /// Its text.
    pub text: &'static str,
    /// The keys of `values` that it reads.
    pub values: &'static [&'static str],
}

/// All of them.
pub const SHIPPED: [Shipped; 8] = [
    Shipped {
        name: PRESEED,
        format: RecipeFormat::Preseed,
        text: include_str!("shipped/debian-preseed.cfg"),
        values: &[
            "disk",
            "domain",
            "keymap",
            "locale",
            "mirror",
            "mirror-directory",
            "mirror-key",
            "root-password-hash",
            "security-mirror",
            "services",
            "ssh-key",
            "timezone",
        ],
    },
    Shipped {
        name: "ubuntu-autoinstall",
        format: RecipeFormat::Yaml,
        text: include_str!("shipped/ubuntu-autoinstall.yaml"),
        values: &["disk", "keymap", "locale", "password-hash", "ssh-key", "timezone", "user"],
    },
    Shipped {
        name: "flatcar-ignition",
        format: RecipeFormat::Json,
        text: include_str!("shipped/flatcar-ignition.json"),
        values: &["channel", "disk", "mirror", "ssh-key"],
    },
    Shipped {
        name: "coreos-ignition",
        format: RecipeFormat::Json,
        text: include_str!("shipped/coreos-ignition.json"),
        values: &["disk", "image-url", "ssh-key"],
    },
    Shipped {
        name: PROXMOX,
        format: RecipeFormat::Toml,
        text: include_str!("shipped/proxmox-answer.toml"),
        values: &[
            "country",
            "disk",
            "domain",
            "filesystem",
            "keymap",
            "mailto",
            "root-password-hash",
            "ssh-key",
            "timezone",
        ],
    },
    Shipped {
        name: TALOS,
        format: RecipeFormat::Yaml,
        text: include_str!("shipped/talos.yaml"),
        values: &[
            "aggregator-ca-crt",
            "aggregator-ca-key",
            "cluster-ca-crt",
            "cluster-ca-key",
            "cluster-id",
            "cluster-secret",
            "cluster-token",
            "disk",
            "endpoint",
            "etcd-ca-crt",
            "etcd-ca-key",
            "installer",
            "machine-ca-crt",
            "machine-ca-key",
            "machine-token",
            "secretbox-secret",
            "service-account-key",
            "type",
        ],
    },
    Shipped {
        name: "autoyast",
        format: RecipeFormat::Xml,
        text: include_str!("shipped/autoyast.xml"),
        values: &[
            "disk",
            "keymap",
            "locale",
            "pattern",
            "product",
            "root-password-hash",
            "ssh-key",
            "timezone",
        ],
    },
    Shipped {
        name: "kickstart",
        format: RecipeFormat::Kickstart,
        text: include_str!("shipped/kickstart.cfg"),
        values: &[
            "disk",
            "keymap",
            "locale",
            "repository",
            "root-password-hash",
            "ssh-key",
            "timezone",
        ],
    },
];
