//! Rules about packet sizes from layer to layer. Pure.

use std::net::Ipv6Addr;

use super::subnet::mtu_bounds;
use super::{Findings, ProfileView};
use crate::network::links::{Kind, Link};

/// Ethernet's MTU, from which a link without one of its own starts.
const ETHERNET_MTU: u32 = 1500;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        layers(view, link, findings);
        ports(view, link, findings);
        own_subnets(view, link, findings);
    }
}

/// Rules N130 and N131: a link against what it is built on.
fn layers(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    // A VRF only groups links; nothing passes through it.
    if matches!(link.kind, Kind::Vrf(_)) {
        return;
    }
    let overhead = link.kind.overhead();
    if view.network.is_independent(link) {
        let below = view.network.mtu_below(link).zip(link.settings.mtu);
        if let Some((below, mtu)) = below.filter(|(below, mtu)| mtu + overhead > *below) {
            let text = format!(
                "{}: MTU {mtu} needs {} on the links by which the tunnel leaves, one of which has \
                 {below}",
                link.name,
                mtu + overhead
            );
            findings.error("N113", view.at(&link.name, "mtu"), text);
            findings.suggest(view.path(&link.name, "mtu"), below.saturating_sub(overhead));
        }
        return;
    }
    for lower in view.network.below(link) {
        match (link.settings.mtu, lower.settings.mtu) {
            (Some(mtu), Some(lower_mtu)) if overhead > 0 && mtu + overhead > lower_mtu => {
                let text = format!(
                    "{}: MTU {mtu} needs {} on {}, which has {lower_mtu}",
                    link.name,
                    mtu + overhead,
                    lower.name
                );
                findings.error("N113", view.at(&link.name, "mtu"), text);
                findings.suggest(view.path(&lower.name, "mtu"), mtu + overhead);
            }
            (Some(mtu), Some(lower_mtu)) if mtu > lower_mtu => {
                let text = format!(
                    "{} has MTU {mtu}, but {} below it has {lower_mtu}; larger packets would be dropped",
                    link.name, lower.name
                );
                findings.error("N130", view.at(&link.name, "mtu"), text);
                findings.suggest(view.path(&lower.name, "mtu"), mtu);
            }
            (None, Some(lower_mtu)) if lower_mtu > ETHERNET_MTU && falls(link) => {
                let text = format!(
                    "{} has no MTU of its own; it drops from {lower_mtu} to 1500 when a port with 1500 joins",
                    link.name
                );
                findings.warn("N131", view.at(&link.name, ""), text);
                findings.suggest(view.path(&link.name, "mtu"), lower_mtu);
            }
            _ => {}
        }
    }
}

/// Rule N131: a bridge whose ports differ passes what fits the larger ones and not the others.
fn ports(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    if !matches!(link.kind, Kind::Bridge(_)) {
        return;
    }
    let sizes: Vec<(&str, u32)> = view
        .network
        .members(&link.name)
        .filter_map(|port| Some((port.name.as_str(), port.settings.mtu?)))
        .collect();
    let least = sizes.iter().min_by_key(|(_, mtu)| *mtu);
    let most = sizes.iter().max_by_key(|(_, mtu)| *mtu);
    let Some(((small, least), (large, most))) = least.zip(most).filter(|(a, b)| a.1 < b.1) else {
        return;
    };
    let text = format!(
        "{}: ports {small} (MTU {least}) and {large} (MTU {most}) differ; large packets between \
         them are dropped",
        link.name
    );
    findings.warn("N131", view.at(&link.name, "interfaces"), text);
}

/// Whether the kernel lets the link's MTU follow its smallest port.
fn falls(link: &Link) -> bool {
    matches!(link.kind, Kind::Bridge(_))
}

/// Rules N132 and N133: a link against the subnets whose addresses it has.
fn own_subnets(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let Some(mtu) = link.settings.mtu else { return };
    if link.settings.dhcp6 || link.settings.accept_ra == Some(true) {
        mtu_bounds(Ipv6Addr::UNSPECIFIED.into(), mtu, view.at(&link.name, "mtu"), findings);
    }
    for address in link.layer3.shared.iter().map(|shared| shared.address.addr()) {
        mtu_bounds(address, mtu, view.at(&link.name, "mtu"), findings);
    }
    for borne in &link.layer3.borne {
        let name = &borne.subnet;
        let Some(subnet) = view.site.subnets.get(name) else { continue };
        mtu_bounds(subnet.cidr.network(), mtu, view.at(&link.name, "mtu"), findings);
        let usual = subnet.mtu.unwrap_or(ETHERNET_MTU);
        if mtu > usual {
            let text = format!(
                "{} has MTU {mtu}, but subnet \"{name}\" has {usual}: hosts there would not \
                 receive its large packets",
                link.name
            );
            findings.warn("N133", view.at(&link.name, "mtu"), text);
            findings.suggest(view.path(&link.name, "mtu"), usual);
        }
    }
}
