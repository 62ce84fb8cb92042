//! Rules about what profiles come to: each once, however many hosts it comes to the same
//! for, and each finding where the value in question was written. Pure.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::finding::Findings;
use super::{ProfileView, Surroundings, check_profile};
use crate::model::{Host, Location, Profile, ProfileTree, Rack};
use crate::network::lower::lower_with;
use crate::network::nearest;
use crate::profile::{Fault, Resolution, ResolvedSite};

/// Every profile as its hosts have it, and those that no host has.
pub(super) fn check_all(site: &ResolvedSite, around: &Surroundings, findings: &mut Findings) {
    let mut checked: HashMap<*const Resolution, Arc<Resolution>> = HashMap::new();
    let mut named = BTreeSet::new();
    for (name, host) in &site.hosts {
        let Some(resolution) = site.profile_of(host) else { continue };
        named.extend(host.profile.as_deref());
        if checked.insert(Arc::as_ptr(&resolution), resolution.clone()).is_none() {
            check(site, around, name, host, &resolution, findings);
        }
    }
    let mut parameters = BTreeSet::new();
    for name in site.profiles.keys() {
        let Some(resolution) = named_for_some_tenant(site, name) else { continue };
        parameters.extend(resolution.parameters.keys().cloned());
        if named.contains(name.as_str()) {
            continue;
        }
        let host = Host { profile: Some(name.clone()), ..Host::default() };
        let is_base = site.profiles.values().any(|other| other.extends() == Some(name));
        match resolution.is_example || is_base {
            // Made-up values would break rules that nobody breaks, and a profile that is only
            // there to be extended need not be whole.
            true => faults("", resolution.faults.iter().filter(|fault| fault.in_itself), findings),
            false => check(site, around, "", &host, &resolution, findings),
        }
    }
    layers(site, findings);
    unused_parameters(site, &parameters, findings);
}

/// Networks of the site, racks and hosts that no profile has shown to be wrong.
fn layers(site: &ResolvedSite, findings: &mut Findings) {
    for (host, fault) in site.layer_faults() {
        findings.error("N186", fault.location(&host), fault.text);
    }
}

/// A profile without a host, for the first tenant whom it can serve, where it serves tenants.
fn named_for_some_tenant(site: &ResolvedSite, name: &str) -> Option<Arc<Resolution>> {
    let first = site.profile_named(name, None)?;
    if !first.profile.serves_tenants() {
        return Some(first);
    }
    let mut tenants = site.tenants.keys();
    let served = tenants.find_map(|tenant| {
        site.profile_named(name, Some(tenant)).filter(|found| !found.profile.serves_tenants())
    });
    Some(served.unwrap_or(first))
}

/// The profile of a host, which others may share.
pub(super) fn check(
    site: &ResolvedSite,
    around: &Surroundings,
    host_name: &str,
    host: &Host,
    resolution: &Resolution,
    findings: &mut Findings,
) {
    if !resolution.faults.is_empty() {
        return faults(host_name, resolution.faults.iter(), findings);
    }
    let name = host.profile.as_deref().unwrap_or_default();
    let profile = &resolution.profile;
    let network = lower_with(site, "", &any_host(site, host, profile), Some(profile));
    let first = findings.len();
    check_profile(&ProfileView { site, around, name, profile, network }, findings);
    let written = |at: &Location| {
        let is_value = at.is_in::<ProfileTree>(name) && !at.field.is_empty();
        is_value.then(|| resolution.location(host_name, &at.field)).flatten()
    };
    for finding in findings.since(first) {
        if let Some(at) = written(&finding.at) {
            finding.at = at;
        }
        for edit in finding.fix.iter_mut().flat_map(|fix| &mut fix.edits) {
            if let Some(at) = written(&edit.at) {
                edit.at = at;
            }
        }
    }
}

/// A host as the profile expects it: without NICs, but with an address wherever one must be.
fn any_host(site: &ResolvedSite, like: &Host, profile: &Profile) -> Host {
    let mut host = Host {
        profile: like.profile.clone(),
        tenant: like.tenant.clone(),
        index: Some(1),
        ..Host::default()
    };
    let first = |subnet: &str| site.subnets.get(subnet).map(|subnet| subnet.cidr.network());
    for link in profile.links() {
        let main = link
            .settings
            .subnet
            .as_deref()
            .and_then(first)
            .map(|address| (link.name.into(), address));
        let beside = link
            .settings
            .subnet6
            .as_ref()
            .and_then(|subnet| Some((format!("{}/{subnet}", link.name), first(subnet)?)));
        let more = link.settings.more_subnets.iter().filter_map(|more| {
            Some((format!("{}/{}", link.name, more.subnet), first(&more.subnet)?))
        });
        host.addresses.extend(main.into_iter().chain(beside).chain(more));
    }
    host
}

/// Rules N186 and N187: a profile that cannot be read, and what a host lacks to have it.
fn faults<'a>(host: &str, faults: impl Iterator<Item = &'a Fault>, findings: &mut Findings) {
    for fault in faults {
        let rule = if fault.origin.is_some() { "N186" } else { "N187" };
        findings.error(rule, fault.location(host), fault.text.clone());
    }
}

/// Rule N187: what the site or a rack gives to a parameter that no profile has.
fn unused_parameters(site: &ResolvedSite, known: &BTreeSet<String>, findings: &mut Findings) {
    let of_site = site.parameters.keys().map(|name| (Location::site(), name));
    let of_racks = site.racks.iter().flat_map(|(rack, entry)| {
        entry.parameters.keys().map(move |name| (Location::of::<Rack>(rack), name))
    });
    for (entry, name) in of_site.chain(of_racks).filter(|(_, name)| !known.contains(*name)) {
        let hint = nearest::hint(name, known.iter().map(String::as_str));
        let text = format!("no profile has a parameter \"{name}\"{hint}");
        findings.warn("N187", entry.at("parameters").at(name), text);
    }
}
