//! Rules about NICs that are ports of InfiniBand. Pure.

use super::{Findings, HostView};
use crate::model::{BondMode, MatchBy, NicAddress};
use crate::network::links::{Kind, Link, Role};

pub(super) fn check(view: &HostView<'_>, findings: &mut Findings) {
    let ports = view.network.links.values().filter(|link| link.is_infiniband());
    for link in ports.filter(|link| !matches!(link.role, Role::Unused | Role::Unmanaged)) {
        guid_alone(view, link, findings);
        too_old(view, link, findings);
        above(view, link, findings);
    }
    for link in view.network.links.values() {
        settings(view, link, findings);
    }
}

/// Rule N168: what only a port of InfiniBand has.
fn settings(view: &HostView<'_>, link: &Link, findings: &mut Findings) {
    let is_ethernet = |link: &Link| {
        matches!(&link.kind, Kind::Nic(Some(nic)) if !nic.is_infiniband())
            || !matches!(link.kind, Kind::Nic(_) | Kind::Partition(_))
    };
    if let Kind::Partition(spec) = &link.kind {
        let below = view.network.links.get(&spec.link);
        let why = match below {
            Some(below) if is_ethernet(below) => "not a port of InfiniBand",
            Some(Link { kind: Kind::Partition(_), .. }) => "a partition itself",
            _ => return,
        };
        let text = format!("{} is a partition on {}, which is {why}", link.name, spec.link);
        findings.error("N168", view.at_link("nics", &spec.link), text);
    }
    let Some(nic) = &link.nic else { return };
    if nic.infiniband_mode.is_some() && is_ethernet(link) {
        let text = format!(
            "{} is an Ethernet NIC, and infiniband-mode is for ports of InfiniBand",
            link.name
        );
        findings.error("N168", view.at_link("nics", &link.name), text);
    }
    if nic.roce.is_some() && link.is_infiniband() {
        let text = format!(
            "{} is a port of InfiniBand, which loses no packets by itself; roce is for Ethernet NICs",
            link.name
        );
        findings.error("N168", view.at_link("nics", &link.name), text);
    }
}

/// The oldest systemd that was seen to read 20 bytes: 247 calls them no MAC address.
const SINCE: u16 = 252;

/// Rule N170: a systemd that cannot find the link by its 20 bytes.
fn too_old(view: &HostView<'_>, link: &Link, findings: &mut Findings) {
    let Kind::Nic(Some(NicAddress::Ipoib(_))) = link.kind else { return };
    let by_address = matches!(view.network.match_by, MatchBy::PermanentMac | MatchBy::Mac);
    let target = view.network.systemd;
    if by_address && target < SINCE {
        let text = format!(
            "{}: [Match] PermanentMACAddress= of 20 bytes needs systemd {SINCE}, but the target has \
             {target}",
            link.name
        );
        findings.error("N170", view.at_link("nics", &link.name), text);
    }
}

/// Rule N108: the kernel knows an IPoIB link by 20 bytes, of which a GUID is the end.
fn guid_alone(view: &HostView<'_>, link: &Link, findings: &mut Findings) {
    let Kind::Nic(Some(NicAddress::Guid(_))) = link.kind else { return };
    let found_by_address = match view.network.match_by {
        MatchBy::PermanentMac | MatchBy::Mac => true,
        MatchBy::Path => link.nic.as_ref().is_none_or(|nic| nic.path.is_none()),
        MatchBy::Name => {
            link.nic.as_ref().is_some_and(|nic| nic.needs_link_file() && nic.path.is_none())
        }
    };
    if found_by_address {
        let text = format!(
            "{}: no file can find an InfiniBand link by its GUID alone; write the 20 bytes that \
             `ip link` shows on the host, or match: name in the profile",
            link.name
        );
        findings.error("N108", view.at_link("nics", &link.name), text);
    }
}

/// Rule N168: what carries Ethernet frames cannot be put on a link that has none.
fn above(view: &HostView<'_>, link: &Link, findings: &mut Findings) {
    let name = link.name.as_str();
    let mut refuse = |text: String| findings.error("N168", view.at_link("nics", name), text);
    match view.network.owner(link).map(|owner| (&owner.name, &owner.kind)) {
        Some((bridge, Kind::Bridge(_))) => refuse(format!(
            "{name} is a port of InfiniBand, which bridge {bridge} cannot take in: it carries IP \
             without Ethernet; give {name} its own address, or route"
        )),
        Some((bond, Kind::Bond(spec))) => {
            if spec.mode != BondMode::ActiveBackup {
                refuse(format!(
                    "{bond} is a bond in mode {}, and {name} a port of InfiniBand, for which Linux has \
                     only active-backup",
                    spec.mode
                ));
            }
            let is_ethernet = |member: &&Link| matches!(member.kind, Kind::Nic(Some(nic)) if !nic.is_infiniband());
            if let Some(other) = view.network.members(bond).find(is_ethernet) {
                refuse(format!(
                    "{bond} cannot have both {name}, a port of InfiniBand, and {}, an Ethernet NIC",
                    other.name
                ));
            }
        }
        _ => {}
    }
    for child in view.network.children(name) {
        if matches!(child.kind, Kind::Vlan { .. } | Kind::Macvlan(_)) {
            refuse(format!(
                "{} cannot be on {name}, a port of InfiniBand, which has partitions (P_Keys) in place \
                 of VLANs",
                child.name
            ));
        }
    }
}
