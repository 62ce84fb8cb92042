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
}

/// All of them.
pub const SHIPPED: [Shipped; 3] = [
    Shipped {
        name: "debian-preseed",
        format: RecipeFormat::Preseed,
        text: include_str!("shipped/debian-preseed.cfg"),
    },
    Shipped {
        name: "ubuntu-autoinstall",
        format: RecipeFormat::Yaml,
        text: include_str!("shipped/ubuntu-autoinstall.yaml"),
    },
    Shipped {
        name: "kickstart",
        format: RecipeFormat::Kickstart,
        text: include_str!("shipped/kickstart.cfg"),
    },
];
