//! Rules about addresses that several hosts have: anycast, direct server return, VRRP. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{FindingSubject, Findings, ProfileView};
use crate::model::{AddressRole, RangeUse, SharedAddress};
use crate::network::links::{Kind, Link};
use crate::profile::{Resolution, ResolvedSite};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        for shared in &link.layer3.shared {
            prefix(view, link, shared, findings);
            in_subnets(view, link, shared, findings);
        }
    }
}

/// Rules N140 and N174: an address with direct server return, or one on the loopback, is one
/// address, or the whole prefix would be answered for.
fn prefix(view: &ProfileView<'_>, link: &Link, shared: &SharedAddress, findings: &mut Findings) {
    let address = shared.address;
    if let Some(word) = unusable(address) {
        let text = format!("{address} on {} is the {word} address of its prefix", link.name);
        findings.error("N140", view.at(&link.name, "addresses"), text);
    }
    let is_one = address.prefix_len() == address.max_prefix_len();
    let elsewhere = shared.role != AddressRole::Secondary
        || view.site.subnets.values().any(|subnet| subnet.cidr.contains(&address.addr()));
    let must_be_one = shared.role == AddressRole::Dsr
        || link.kind == Kind::Loopback
        || (link.kind == Kind::Dummy && elsewhere);
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

/// What an address is of its own prefix that no host can have. Both are usable in a /31 and
/// a /127, and the one of a /32 and a /128.
fn unusable(address: IpNet) -> Option<&'static str> {
    if address.prefix_len() + 1 >= address.max_prefix_len() {
        return None;
    }
    let is_last = address.addr().is_ipv4() && address.addr() == address.broadcast();
    match address.addr() == address.network() {
        true => Some("network"),
        false => is_last.then_some("broadcast"),
    }
}

/// Rules N142 and N143: an address that somebody else would be given, or that is this server's.
/// A reserved range is the place for such addresses, and one that VRRP moves may be a gateway.
fn in_subnets(
    view: &ProfileView<'_>,
    link: &Link,
    shared: &SharedAddress,
    findings: &mut Findings,
) {
    let (address, at) = (shared.address.addr(), || view.at(&link.name, "addresses"));
    let here = |name: &String| link.subnets.contains(name);
    for (name, subnet) in &view.site.subnets {
        if !subnet.cidr.contains(&address) || (subnet.vrf.is_some() && !here(name)) {
            continue;
        }
        let range = subnet.range_of(address);
        if let Some(range) = range.filter(|range| range.used_for != RangeUse::Reserved) {
            let text = format!(
                "{address} on {} is in the {} range {}-{} of subnet \"{name}\" and would be given \
                 to a host",
                link.name,
                range.used_for.label(),
                range.from,
                range.to
            );
            findings.error("N142", at(), text);
        }
        let gateway = subnet.gateway.filter(|_| shared.role == AddressRole::Dsr);
        let owners = [(gateway, "the gateway"), (subnet.server, "the provisioning server")];
        for (_, what) in owners.into_iter().filter(|(owner, _)| *owner == Some(address)) {
            let text = format!("{address} on {} is {what} of subnet \"{name}\"", link.name);
            findings.error("N143", at(), text);
        }
    }
}

/// The addresses that profiles of the site's hosts give to all of them: each with the profile
/// and the link.
pub(super) fn all(site: &ResolvedSite) -> HashMap<IpAddr, (String, String)> {
    let mut seen: HashMap<*const Resolution, Arc<Resolution>> = HashMap::new();
    let mut shared = HashMap::new();
    for host in site.hosts.values() {
        let Some(resolution) = site.profile_of(host) else { continue };
        if seen.insert(Arc::as_ptr(&resolution), resolution.clone()).is_some() {
            continue;
        }
        let profile = host.profile.as_deref().unwrap_or_default();
        for link in resolution.profile.links() {
            let several = |one: &&SharedAddress| one.role != AddressRole::Secondary;
            for one in link.settings.addresses.iter().filter(several) {
                let bearer = (profile.to_owned(), link.name.to_owned());
                shared.entry(one.address.addr()).or_insert(bearer);
            }
        }
    }
    shared
}

/// Rule N141 for one address that a host has to itself.
pub(super) fn is_own(
    shared: &HashMap<IpAddr, (String, String)>,
    address: IpAddr,
    at: impl Fn() -> FindingSubject,
    findings: &mut Findings,
) {
    let Some((profile, link)) = shared.get(&address) else { return };
    let text = format!(
        "{address} is on {link} of every host with profile \"{profile}\"; it cannot belong to one host"
    );
    findings.error("N141", at(), text);
}
