//! What a client may boot: the one decision that every entrance asks. Pure.

use crate::model::{Host, Image, LocalBoot};

/// What a client may boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The client is not in the inventory: it may load a boot program and the script that says so.
    Unknown,
    /// The host has no image.
    NoImage,
    /// The host boots this image from the network.
    Image(&'a Image),
    /// The host boots its local disk, to which its firmware is sent in this way.
    Disk(LocalBoot),
}

/// Decides what a client may boot. `host` is what the inventory knows it as, `image` the image
/// of that host.
pub fn decide<'a>(host: Option<&Host>, image: Option<&'a Image>) -> Verdict<'a> {
    let Some(host) = host else { return Verdict::Unknown };
    let Some(image) = image else { return Verdict::NoImage };
    if image.local {
        return Verdict::Disk(local_boot(host, image));
    }
    Verdict::Image(image)
}

/// How a host is sent to its local disk: as it says itself, else as its image does.
pub fn local_boot(host: &Host, image: &Image) -> LocalBoot {
    host.local_boot.or(image.local_boot).unwrap_or_default()
}
