//! What an image is, by what it boots.

use super::words::words;
use super::{BootMode, Image};

words! {
    /// What an image is, by what it boots.
    pub ImageKind {
        /// A system that runs from memory at every boot.
        Live = "live",
        /// A disk image that the live system writes.
        Disk = "disk",
        /// A kernel that installs once.
        Installer = "installer",
        /// An EFI program.
        Efi = "efi",
        /// An iPXE script.
        Script = "script",
        /// The local disk.
        Local = "local",
        /// It boots nothing.
        Nothing = "nothing",
    }
}

impl Image {
    /// What it is.
    pub fn kind(&self) -> ImageKind {
        match self {
            Self { local: true, .. } => ImageKind::Local,
            Self { disk: Some(_), .. } => ImageKind::Disk,
            Self { kernel: Some(_), boot: BootMode::Once, .. } => ImageKind::Installer,
            Self { kernel: Some(_), .. } => ImageKind::Live,
            Self { efi: Some(_), .. } => ImageKind::Efi,
            Self { script: Some(_), .. } => ImageKind::Script,
            _ => ImageKind::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_what_it_boots() {
        let with = |key: &'static str| {
            let mut image = Image::default();
            image.set_files([(key, "x".to_owned())]);
            image
        };
        let once = Image { boot: BootMode::Once, ..with("kernel") };
        let local = Image { local: true, ..Image::default() };
        let cases = [
            (with("kernel"), "live"),
            (once, "installer"),
            (with("disk"), "disk"),
            (with("efi"), "efi"),
            (with("script"), "script"),
            (local, "local"),
            (Image::default(), "nothing"),
        ];
        for (image, kind) in cases {
            assert_eq!(image.kind().label(), kind);
        }
    }
}
