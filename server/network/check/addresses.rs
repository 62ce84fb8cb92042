//! Rules about the addresses of one host. Pure.

use std::net::IpAddr;

use super::{Findings, HostView, Place};
use crate::model::{RangeUse, Subnet};
use crate::network::links::Link;
use crate::network::nearest;

pub(super) fn check(view: &HostView<'_>, findings: &mut Findings) {
    for (link, address) in &view.host.addresses {
        on_link(view, link, *address, findings);
    }
    for link in view.network.links.values() {
        missing(view, link, findings);
    }
    for (name, address) in &view.host.reservations {
        let at = || view.at(&format!("reservations.{name}"));
        match view.site.subnets.get(name) {
            Some(subnet) => in_subnet((name, subnet), *address, at, findings),
            None => {
                let hint = nearest::hint(name, view.site.subnets.keys().map(String::as_str));
                findings.error("N180", at(), format!("there is no subnet \"{name}\"{hint}"));
            }
        }
    }
}

fn on_link(view: &HostView<'_>, name: &str, address: IpAddr, findings: &mut Findings) {
    let at = || view.at_link("addresses", name);
    let bearers = || view.network.links.values().filter(|link| link.layer3.subnet.is_some());
    let bearer = bearers().find(|link| link.name == name);
    // Without a profile there are no links yet; the address waits for one.
    if view.network.profile.is_none() {
        return;
    }
    let Some(subnet) = bearer.and_then(|link| link.layer3.subnet.as_deref()) else {
        let hint = nearest::hint(name, bearers().map(|link| link.name.as_str()));
        let text = match view.network.links.contains_key(name) {
            true => format!("{name} bears no address in this profile{hint}"),
            false => format!("the profile has no link \"{name}\"{hint}"),
        };
        return findings.error("N180", at(), text);
    };
    if let Some(pair) = view.site.subnets.get_key_value(subnet) {
        in_subnet((pair.0, pair.1), address, at, findings);
    }
}

/// Rule N146: a link that must have an address and has none.
fn missing(view: &HostView<'_>, link: &Link, findings: &mut Findings) {
    let name = link.layer3.subnet.as_deref().filter(|_| link.awaits_address());
    let Some(name) = name else { return };
    let Some(subnet) = view.site.subnets.get(name) else { return };
    let has_range = subnet.ranges.iter().any(|range| range.used_for == RangeUse::Hosts);
    let remedy = if has_range {
        "the subnet's range for hosts is used up"
    } else {
        "give it one, or give the subnet a range for hosts"
    };
    let text = format!("{} has no address in subnet \"{name}\"; {remedy}", link.name);
    findings.error("N146", view.at_link("addresses", &link.name), text);
}

/// Rules N140, N142, N143 and N147: an address against the subnet that it is in.
fn in_subnet(
    (name, subnet): (&String, &Subnet),
    address: IpAddr,
    at: impl Fn() -> Place,
    findings: &mut Findings,
) {
    if !subnet.cidr.contains(&address) {
        let text = format!("{address} is not inside {} of subnet \"{name}\"", subnet.cidr);
        return findings.error("N147", at(), text);
    }
    if let Some(word) = subnet.unusable(address) {
        let text = format!("{address} is the {word} address of {}", subnet.cidr);
        findings.error("N140", at(), text);
    }
    if subnet.gateway == Some(address) {
        findings.error("N143", at(), format!("{address} is the gateway of subnet \"{name}\""));
    }
    if let Some(range) = subnet.range_of(address).filter(|range| range.used_for != RangeUse::Hosts)
    {
        let text = format!(
            "{address} lies in the {} range {}-{} of subnet \"{name}\"",
            range.used_for.label(),
            range.from,
            range.to
        );
        findings.error("N142", at(), text);
    }
}
