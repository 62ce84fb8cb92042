//! The host and the image that the unit tests of this folder share.

use super::UrlName;
use super::script::ScriptTarget;
use crate::model::Image;

/// A host with two labels that boots by its MAC.
pub(super) fn target() -> ScriptTarget {
    ScriptTarget {
        host: "r1-n01".into(),
        url_name: UrlName::Nic("52:54:00:aa:00:01".parse().unwrap()),
        nic: "52:54:00:aa:00:01".parse().ok(),
        base: "http://10.77.0.1".parse().unwrap(),
        system_base: "http://10.77.0.1".parse().unwrap(),
        address: Some([10, 77, 0, 12].into()),
        labels: vec!["db".into(), "blue".into()],
        token: None,
    }
}

/// A live system with one initrd.
pub(super) fn live() -> Image {
    Image {
        kernel: Some("live/vmlinuz".into()),
        initrd: vec!["live/initrd.img".into()],
        cmdline: "console=ttyS0 quiet".into(),
        ..Image::default()
    }
}
