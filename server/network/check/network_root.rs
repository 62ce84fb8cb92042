//! Rule N173: a host whose root file system is on the network it configures. Pure.

use super::{FindingSubject, Findings, HostView};
use crate::model::{Location, ProfileTree};
use crate::network::links::{Link, Role};

/// Words of a kernel's command line, what the root is then on, and whether that is a file
/// system: those systemd sees by itself since 252, and keeps the configuration.
const ROOTS: [(&str, &str, bool); 12] = [
    ("root=/dev/nfs", "NFS", true),
    ("root=nfs", "NFS", true),
    ("nfsroot=", "NFS", true),
    ("netboot=nfs", "NFS", true),
    ("root=cifs", "CIFS", true),
    ("netboot=cifs", "CIFS", true),
    ("root=iscsi", "iSCSI", false),
    ("netroot=iscsi", "iSCSI", false),
    ("iscsi_initiator=", "iSCSI", false),
    ("root=nbd", "NBD", false),
    ("netroot=nbd", "NBD", false),
    ("rd.nvmf.", "NVMe over fabrics", false),
];

pub(super) fn check(view: &HostView<'_>, findings: &mut Findings) {
    let image = view.host.image.as_deref().and_then(|name| view.site.images.get_key_value(name));
    let Some((image, spec)) = image else { return };
    let words = || spec.cmdline.split_whitespace();
    let root = ROOTS.iter().find(|(start, ..)| words().any(|word| word.starts_with(start)));
    let Some((_, what, is_file_system)) = root else { return };
    let network = &view.network;
    let Some(profile) = &network.profile else { return };
    let is_kept = *is_file_system && network.systemd >= 252;
    let mut links = network.links.values().filter(|link| link.role == Role::Addressed);
    let has_gateway = |link: &&Link| !link.layer3.gateways.is_empty();
    if is_kept || links.clone().any(|link| link.settings.critical) {
        return;
    }
    let Some(link) = links.clone().find(has_gateway).or_else(|| links.next()) else { return };
    let at = || {
        Location::of::<ProfileTree>(profile).within([link.kind.section(), &link.name, "critical"])
    };
    let text = format!(
        "image \"{image}\" boots from {what} over {}; reconfiguring the link would disconnect the \
         root file system; set critical: true",
        link.name
    );
    findings.warn("N173", FindingSubject::from(at()).of_link(link.name.as_str()), text);
    findings.suggest(at(), true);
}
