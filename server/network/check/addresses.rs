//! Rules about the addresses of one host. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{FindingSubject, Findings, HostView};
use crate::model::{RangeUse, Subnet};
use crate::network::links::{Borne, Computed, Kind};
use crate::network::nearest;

pub(super) fn check(view: &HostView<'_>, findings: &mut Findings) {
    for (link, address) in &view.host.addresses {
        on_link(view, link, *address, findings);
    }
    for link in view.network.links.values() {
        for borne in &link.layer3.borne {
            match &borne.computed {
                Some(computed) => self::computed(view, &link.name, borne, computed, findings),
                None if borne.awaits_address() => missing(view, &link.name, borne, findings),
                None => {}
            }
            peer(view, &link.name, borne, findings);
        }
    }
    own_as_other(view, findings);
    for (name, address) in &view.host.reservations {
        let at = || FindingSubject::from(view.at("reservations").at(name));
        match view.site.subnets.get(name) {
            Some(subnet) => in_subnet(name, subnet, *address, at, findings),
            None => {
                let hint = nearest::hint(name, view.site.subnets.keys().map(String::as_str));
                findings.error("N180", at(), format!("subnet \"{name}\" does not exist{hint}"));
            }
        }
    }
}

fn on_link(view: &HostView<'_>, name: &str, address: IpAddr, findings: &mut Findings) {
    let at = || view.at_link("addresses", name);
    // Without a profile there are no links yet; the address waits for one.
    if view.network.profile.is_none() {
        return;
    }
    let borne = || view.network.links.values().flat_map(|link| &link.layer3.borne);
    let Some(found) = borne().find(|borne| borne.key == name) else {
        let hint = nearest::hint(name, borne().map(|borne| borne.key.as_str()));
        let text = match view.network.links.contains_key(name) {
            true => format!("{name} has no address in this profile{hint}"),
            false => format!("the profile has no link \"{name}\"{hint}"),
        };
        return findings.error("N180", at(), text);
    };
    if let Some(subnet) = view.site.subnets.get(&found.subnet) {
        in_subnet(&found.subnet, subnet, address, at, findings);
    }
}

/// Rule N146: a link that must have an address and has none.
fn missing(view: &HostView<'_>, link: &str, borne: &Borne, findings: &mut Findings) {
    let name = &borne.subnet;
    let Some(subnet) = view.site.subnets.get(name) else { return };
    let has_range = subnet.ranges.iter().any(|range| range.used_for == RangeUse::Hosts);
    let remedy = if has_range {
        "the subnet's range for hosts is exhausted"
    } else {
        "set one, or give the subnet a range for hosts"
    };
    let text = format!("{link} has no address in subnet \"{name}\"; {remedy}");
    findings.error("N146", view.at_link("addresses", &borne.key), text);
}

/// Rules N188 and N189: an address that the profile computes and cannot, or that the host
/// does not have.
fn computed(
    view: &HostView<'_>,
    link: &str,
    borne: &Borne,
    computed: &Computed,
    findings: &mut Findings,
) {
    let at = || view.at_link("addresses", &borne.key);
    match (computed, borne.address) {
        _ if !borne.written => {}
        (Err(error), None) => {
            findings.error("N188", at(), format!("{link} has no address: {error}"));
        }
        (Ok(computed), Some(address)) if *computed != address.addr() => {
            let text = format!(
                "{link} keeps {} although the profile computes {computed}; remove the address from \
                 the host to follow the profile",
                address.addr()
            );
            findings.warn("N189", at(), text);
        }
        _ => {}
    }
}

/// Rules N188 and N140: the other end that the profile computes, and cannot, or that is this one.
fn peer(view: &HostView<'_>, link: &str, borne: &Borne, findings: &mut Findings) {
    let at = || view.at_link("addresses", &borne.key);
    let own = borne.address.map(|address| address.addr());
    match &borne.peer {
        Some(Err(error)) if borne.written => {
            findings.error("N188", at(), format!("{link} has no peer: {error}"));
        }
        Some(Ok(peer)) if own == Some(*peer) => {
            findings.error("N140", at(), format!("{peer} on {link} is its own peer"));
        }
        _ => {}
    }
}

/// Rules N113, N125 and N150: an address of the host where another's has to be.
fn own_as_other(view: &HostView<'_>, findings: &mut Findings) {
    let mut own: BTreeMap<IpAddr, &str> = BTreeMap::new();
    for link in view.network.links.values() {
        own.extend(link.all_addresses().map(|net| (net.addr(), link.name.as_str())));
    }
    for link in view.network.links.values() {
        let routes = link.layer3.routes.iter();
        let vias = routes.flat_map(|route| {
            route.via.into_iter().chain(route.next_hops.iter().map(|hop| hop.via))
        });
        for via in link.layer3.gateways.iter().copied().chain(vias) {
            // Rule N143 is about the gateway of the address's own subnet.
            let is_here = |bearer: &&&str| {
                let bearer = &view.network.links[**bearer];
                bearer.settings.namespace == link.settings.namespace
            };
            let bearer = own.get(&via).filter(is_here).filter(|_| !is_gateway(view, via));
            let Some(bearer) = bearer else { continue };
            let text =
                format!("gateway {via} of {} is the host's own address, on {bearer}", link.name);
            findings.error("N150", view.at_link("addresses", bearer), text);
        }
        let (rule, what, others): (_, _, Vec<IpAddr>) = match &link.kind {
            Kind::Tunnel { spec, .. } => ("N113", "remote", vec![spec.remote]),
            Kind::Vxlan { spec, .. } => ("N113", "remote", spec.remote.into_iter().collect()),
            // The kernel does not answer its own ARP request.
            Kind::Bond(spec) => {
                let targets = spec.arp_ip_targets.iter().copied().map(IpAddr::V4);
                ("N125", "ARP target", targets.collect())
            }
            _ => continue,
        };
        for (other, bearer) in others.iter().filter_map(|other| own.get_key_value(other)) {
            let text =
                format!("{}: {what} {other} is the host's own address, on {bearer}", link.name);
            findings.error(rule, view.at_link("addresses", bearer), text);
        }
    }
}

fn is_gateway(view: &HostView<'_>, address: IpAddr) -> bool {
    view.site.subnets.values().any(|subnet| subnet.gateway == Some(address))
}

/// Rules N140, N142, N143 and N147: an address against the subnet that it is in.
fn in_subnet(
    name: &str,
    subnet: &Subnet,
    address: IpAddr,
    at: impl Fn() -> FindingSubject,
    findings: &mut Findings,
) {
    if !subnet.cidr.contains(&address) {
        let text = format!("{address} is outside {} of subnet \"{name}\"", subnet.cidr);
        return findings.error("N147", at(), text);
    }
    if let Some(word) = subnet.unusable(address) {
        let text = format!("{address} is the {word} address of {}", subnet.cidr);
        findings.error("N140", at(), text);
    }
    if subnet.gateway == Some(address) {
        findings.error("N143", at(), format!("{address} is the gateway of subnet \"{name}\""));
    }
    if subnet.server == Some(address) {
        let text = format!("{address} is the provisioning server in subnet \"{name}\"");
        findings.error("N143", at(), text);
    }
    // An address inside a dhcp range is taken out of the pool, as other servers do.
    if let Some(range) =
        subnet.range_of(address).filter(|range| range.used_for == RangeUse::Reserved)
    {
        let text = format!(
            "{address} is in the {} range {}-{} of subnet \"{name}\"",
            range.used_for.label(),
            range.from,
            range.to
        );
        findings.error("N142", at(), text);
    }
}
