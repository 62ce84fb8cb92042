//! The recipes that come with the program.

use crate::model::RecipeFormat;

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
pub const SHIPPED: [Shipped; 3] = [
    Shipped {
        name: "debian-preseed",
        format: RecipeFormat::Preseed,
        text: include_str!("shipped/debian-preseed.cfg"),
        values: &[
            "disk",
            "domain",
            "keymap",
            "locale",
            "mirror",
            "mirror-directory",
            "root-password-hash",
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
