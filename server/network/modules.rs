//! Settings of kernel modules that a network needs (modprobe.d(5)). Pure.

use super::links::{HostNetwork, Kind};
use super::{File, Format};
use crate::model::Defaults;

/// Where they are read.
const DIRECTORY: &str = "/etc/modprobe.d";

/// What keeps a module from making a link as soon as it is loaded: its word for the links, and
/// whether a host's network has links of that kind.
const MODULES: [(&str, fn(&Kind) -> bool); 2] = [
    ("bonding max_bonds=0", |kind| matches!(kind, Kind::Bond(spec) if !spec.openvswitch)),
    ("dummy numdummies=0", |kind| matches!(kind, Kind::Dummy)),
];

/// The file that keeps the kernel from making `bond0` and `dummy0` by itself: networkd would
/// meet a bond that is there already, in round-robin mode, and cannot change the mode of one
/// that has members. None for a host without such links, and for a verbatim profile.
pub(super) fn render(host: &HostNetwork) -> Option<File> {
    let has = |is: fn(&Kind) -> bool| host.links.values().any(|link| is(&link.kind));
    let used = MODULES.iter().filter(|(_, is)| has(*is));
    let lines: String = used.map(|(words, _)| format!("options {words}\n")).collect();
    if lines.is_empty() || host.defaults == Defaults::Verbatim {
        return None;
    }
    let text = format!("# {}\n{lines}", host.origin());
    let file = File::of(Format::Networkd, "90-rackstrap-modules.conf", text);
    Some(File { directory: Some(DIRECTORY.into()), ..file })
}
