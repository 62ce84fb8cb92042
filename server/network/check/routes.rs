//! Rules about where packets leave a host. Pure.

use std::collections::BTreeMap;

use super::{Findings, Place, ProfileView};
use crate::network::links::Role;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    one_link_per_subnet(view, findings);
    default_routes(view, findings);
}

/// Rule N144: with two links in one subnet the kernel answers by either (ARP flux).
fn one_link_per_subnet(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut bearers: BTreeMap<&str, &str> = BTreeMap::new();
    for link in view.network.links.values() {
        let Some(subnet) = link.layer3.subnet.as_deref() else { continue };
        if let Some(other) = bearers.insert(subnet, &link.name) {
            let text = format!(
                "{other} and {} are both in subnet \"{subnet}\"; replies would leave by one of them only",
                link.name
            );
            findings.error("N144", view.at(&link.name, "subnet"), text);
        }
    }
}

/// Rules N151 and N152: one default route for each family.
fn default_routes(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut routes: BTreeMap<bool, &str> = BTreeMap::new();
    for link in view.network.links.values() {
        let Some(gateway) = link.layer3.gateway else { continue };
        if let Some(other) = routes.insert(gateway.is_ipv4(), &link.name) {
            let family = if gateway.is_ipv4() { "IPv4" } else { "IPv6" };
            let text = format!(
                "{other} and {} both set the {family} default route; write default-route: false at one of them",
                link.name
            );
            findings.error("N151", view.at(&link.name, "default-route"), text);
        }
    }
    let links = || view.network.links.values();
    let learns = links().any(|link| link.layer3.dhcp4 || link.layer3.accept_ra == Some(true));
    let place = || Place::new(format!("profiles.{}", view.name));
    if !links().any(|link| link.role == Role::Addressed) {
        findings.warn("N152", place(), "no link has an address".into());
    } else if routes.is_empty() && !learns {
        let text = "no default route: what is not in its own subnets is out of its reach";
        findings.warn("N152", place(), text.into());
    }
}
