//! Rules about VXLAN tunnels. Pure.

use super::{Findings, ProfileView};
use crate::network::links::{Kind, Link};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        vxlan(view, link, findings);
    }
}

/// Rule N113: the 24 bits of the network identifier (RFC 7348 section 5), and an address
/// to leave from.
fn vxlan(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let Kind::Vxlan { spec, .. } = &link.kind else { return };
    if !(1..1 << 24).contains(&spec.vni) {
        let text = format!("{}: VNI {} is outside 1-16777215", link.name, spec.vni);
        findings.error("N113", view.at(&link.name, "vni"), text);
    }
    let group = spec.remote.filter(|remote| remote.is_multicast());
    if let Some(group) = group.filter(|_| view.network.is_independent(link)) {
        let text = format!(
            "{}: the kernel joins group {group} on a link that sends, which {} does not; use a link \
             with a carrier, or unicast",
            link.name, spec.link
        );
        findings.error("N113", view.at(&link.name, "link"), text);
    }
    let below = view.network.links.get(&spec.link);
    if below.is_some_and(|below| view.network.owner(below).is_some()) {
        let text =
            format!("{}: {} is in a bond or bridge and has no address", link.name, spec.link);
        findings.error("N112", view.at(&link.name, "link"), text);
    } else if below.is_some_and(|below| {
        below.layer3.borne.is_empty() && below.layer3.shared.is_empty() && !below.settings.dhcp4
    }) {
        let text = format!(
            "{}: {} has no address to use as the source of the tunnel",
            link.name, spec.link
        );
        findings.error("N113", view.at(&link.name, "link"), text);
    }
}
