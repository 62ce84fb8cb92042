//! Rule N171 for images that stand for the network of their hosts: on a command line, or in the
//! format that the system of a disk image reads. Pure.

use super::{Findings, HostView};
use crate::model::DRACUT_WORD;
use crate::network::{Format, write};

pub(super) fn check(view: &HostView<'_>, findings: &mut Findings) {
    let Some(name) = &view.host.image else { return };
    disk_image(view, name, findings);
    if !view.site.images.get(name).is_some_and(|image| image.wants_dracut()) {
        return;
    }
    if view.host.profile.is_none() {
        let text = format!(
            "image \"{name}\" has {DRACUT_WORD} on its command line, but the host has no profile to \
             take the network from"
        );
        return findings.error("N171", view.at("image"), text);
    }
    // One that cannot be read is named elsewhere, and has no links here.
    if view.network.profile.is_none() {
        return;
    }
    let Err(features) = write(&view.network, Format::Dracut) else { return };
    for feature in features {
        let text = format!(
            "image \"{name}\" has {DRACUT_WORD} on its command line, but dracut cannot express {feature}"
        );
        findings.error("N171", view.at("image"), text);
    }
}

fn disk_image(view: &HostView<'_>, name: &str, findings: &mut Findings) {
    let image = view.site.images.get(name);
    let Some(format) = image.and_then(|image| image.network_format) else { return };
    if view.network.profile.is_none() {
        return;
    }
    let Err(features) = write(&view.network, Format::of_image(format)) else { return };
    for feature in features {
        let text = format!(
            "image \"{name}\" has network-format: {format}, and {format} cannot express {feature}"
        );
        findings.error("N171", view.at("image"), text);
    }
}
