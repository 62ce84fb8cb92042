//! Rules about VXLAN tunnels, and addresses that several hosts bear. Pure.

use super::{Findings, ProfileView};
use crate::model::AddressRole;
use crate::network::links::{Kind, Link};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        vxlan(view, link, findings);
        shared(view, link, findings);
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
    let below = view.network.links.get(&spec.link);
    if below.is_some_and(|below| view.network.owner(below).is_some()) {
        let text =
            format!("{}: {} is in a bond or bridge and has no address", link.name, spec.link);
        findings.error("N112", view.at(&link.name, "link"), text);
    } else if below.is_some_and(|below| {
        below.layer3.borne.is_empty() && below.layer3.shared.is_empty() && !below.layer3.dhcp4
    }) {
        let text =
            format!("{}: {} bears no address that it could leave from", link.name, spec.link);
        findings.error("N113", view.at(&link.name, "link"), text);
    }
}

/// Rule N174: an address with direct server return is one address, or the whole prefix
/// would be answered for.
fn shared(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    for shared in &link.layer3.shared {
        let address = shared.address;
        let is_one = address.prefix_len() == address.max_prefix_len();
        if !is_one && address.addr() == address.network() {
            let text = format!("{address} on {} is the network address of its prefix", link.name);
            findings.error("N140", view.at(&link.name, "addresses"), text);
        }
        let must_be_one = shared.role == AddressRole::Dsr || link.kind == Kind::Loopback;
        if must_be_one && !is_one {
            let text = format!(
                "{address} on {} answers for the whole subnet; write {}/{}",
                link.name,
                address.addr(),
                address.max_prefix_len()
            );
            findings.error("N174", view.at(&link.name, "addresses"), text);
            let mut all = link.layer3.shared.clone();
            for one in all.iter_mut().filter(|one| one.address == address) {
                one.address = address.addr().into();
            }
            findings.suggest(view.path(&link.name, "addresses"), serde_json::json!(all));
        }
    }
}
