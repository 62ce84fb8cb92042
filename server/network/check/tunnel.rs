//! Rules about VXLAN tunnels. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Findings, ProfileView, reach};
use crate::network::links::{Kind, Link};

/// The port of VXLAN (RFC 7348 section 5).
const PORT: u16 = 4789;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut taken: BTreeMap<(u32, u16), &str> = BTreeMap::new();
    for link in view.network.links.values() {
        vxlan(view, link, findings);
        let Kind::Vxlan { spec, local } = &link.kind else { continue };
        if let Some(other) = taken.insert((spec.vni, spec.port.unwrap_or(PORT)), &link.name) {
            let text = format!(
                "{other} and {} both have VNI {} on one port; the kernel makes only one of them",
                link.name, spec.vni
            );
            findings.error("N113", view.at(&link.name, "vni"), text);
        }
        if let Some(remote) = spec.remote {
            far_end(view, link, remote, *local, findings);
        }
    }
}

/// Rule N113 for where a tunnel leads.
fn far_end(
    view: &ProfileView<'_>,
    link: &Link,
    remote: IpAddr,
    local: Option<IpAddr>,
    findings: &mut Findings,
) {
    let below = link.parent().and_then(|name| view.network.links.get(name));
    let is_main = below.is_some_and(|below| view.network.domain(below).is_none());
    let family = |address: IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
    if let Some(local) = local.filter(|local| local.is_ipv4() != remote.is_ipv4()) {
        let text = format!(
            "{}: remote {remote} is {}, but {}, by whose address the tunnel leaves, has {}",
            link.name,
            family(remote),
            link.parent().unwrap_or_default(),
            family(local)
        );
        findings.error("N113", view.at(&link.name, "remote"), text);
    } else if !remote.is_multicast() && is_main && !reach::reaches(view, remote) {
        let text = format!(
            "{}: remote {remote} is unreachable: it is outside the host's subnets, and no route leads \
             to it",
            link.name
        );
        findings.warn("N113", view.at(&link.name, "remote"), text);
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
