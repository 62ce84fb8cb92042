//! What is wrong with a site, in the operator's words. Pure.
//!
//! networkd never refuses a file: it logs a bad line, skips it and applies the
//! rest, so a mistake shows only as a host that is not there. It has to be
//! found here, before anything is served. The rules' ids are stable.

mod addresses;
mod bgp;
mod bond;
mod bridge;
mod fleet;
mod host;
mod mtu;
mod names;
mod online;
mod policy;
mod profile;
mod routes;
mod subnet;
mod tenant;
mod tunnel;
mod version;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::links::HostNetwork;
use super::lower::lower;
use crate::model::{Host, Profile, Site};

/// Whether a finding stops a host from being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The host is not served, and a change that brings it is refused.
    Error,
    /// The host is served; somebody should look.
    Warning,
}

impl Severity {
    /// The word for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// The rule's stable id, such as `N141`.
    pub rule: &'static str,
    /// Whether it stops the host.
    pub severity: Severity,
    /// The host, of a finding about one.
    pub host: Option<String>,
    /// The link, of a finding about one.
    pub link: Option<String>,
    /// The place in the site file: keys joined by dots, such as `hosts.r1-n01.addresses.virbr0`.
    pub path: String,
    /// What is wrong, why it matters and what to do.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.path, self.text, self.rule)
    }
}

/// Everything that is wrong with a site, errors first. A mistake in a profile is one
/// finding, however many hosts have the profile.
pub fn check_site(site: &Site) -> Vec<Finding> {
    let mut findings = Findings::default();
    names::check(site, &mut findings);
    subnet::check_all(site, &mut findings);
    for (name, profile) in &site.profiles {
        for tenant in tenants_of(site, name, profile) {
            check_profile(site, name, tenant, &mut findings);
        }
    }
    tenant::check_all(site, &mut findings);
    let owners = tenant::Owners::of(site);
    for (name, host) in &site.hosts {
        let view = HostView::new(site, name, host);
        host::check(&view, &mut findings);
        tenant::check(&view, &owners, &mut findings);
    }
    fleet::check(site, &mut findings);
    findings.sorted()
}

/// Everything that is wrong with one host, its profile and the subnets that the profile
/// names. What two hosts have in common is for [`check_site`] to find.
pub fn check_host(site: &Site, host_name: &str) -> Vec<Finding> {
    let mut findings = Findings::default();
    let Some(host) = site.hosts.get(host_name) else { return Vec::new() };
    if let (Some(name), Some(profile)) = (&host.profile, site.profile_of(host)) {
        for subnet in profile.subnets().filter_map(|(_, name)| site.subnets.get_key_value(name)) {
            subnet::check(subnet.0, subnet.1, &mut findings);
        }
        check_profile(site, name, host.tenant.as_deref(), &mut findings);
    }
    let view = HostView::new(site, host_name, host);
    host::check(&view, &mut findings);
    tenant::check(&view, &tenant::Owners::of(site), &mut findings);
    findings.sorted()
}

/// Whose subnets a profile is looked at with: those of every tenant whose hosts have it,
/// where it serves tenants.
fn tenants_of<'a>(site: &'a Site, name: &str, profile: &Profile) -> BTreeSet<Option<&'a str>> {
    if !profile.serves_tenants() {
        return [None].into();
    }
    let hosts = site.hosts.values().filter(|host| host.profile.as_deref() == Some(name));
    let tenants: BTreeSet<_> = hosts.map(|host| host.tenant.as_deref()).collect();
    if !tenants.is_empty() {
        return tenants;
    }
    let mut all = std::iter::once(None).chain(site.tenants.keys().map(|name| Some(name.as_str())));
    let served = all.find(|tenant| !site.for_tenant(profile, *tenant).serves_tenants());
    [served.flatten()].into()
}

/// What is wrong with a profile whichever host of a tenant has it.
fn check_profile(site: &Site, name: &str, tenant: Option<&str>, findings: &mut Findings) {
    let Some(profile) = site.profiles.get(name) else { return };
    let profile = &*site.for_tenant(profile, tenant);
    let any_host = Host { tenant: tenant.map(str::to_owned), ..any_host(site, name, profile) };
    let view = ProfileView { site, name, profile, network: lower(site, "", &any_host) };
    // What its tenant has no subnet for would only look as if it had been forgotten.
    if profile.serves_tenants() {
        return profile::roles(&view, findings);
    }
    profile::check(&view, findings);
    bond::check(&view, findings);
    mtu::check(&view, findings);
    routes::check(&view, findings);
    policy::check(&view, findings);
    tunnel::check(&view, findings);
    bridge::check(&view, findings);
    version::check(&view, findings);
    online::check(&view, findings);
    bgp::check(&view, findings);
}

/// A host as the profile expects it: without NICs, but with an address wherever one must be.
fn any_host(site: &Site, name: &str, profile: &Profile) -> Host {
    let mut host = Host { profile: Some(name.to_owned()), ..Host::default() };
    let first = |subnet: &str| site.subnets.get(subnet).map(|subnet| subnet.cidr.network());
    for link in profile.links() {
        let main = link.settings.subnet.and_then(first).map(|address| (link.name.into(), address));
        let beside = link
            .settings
            .subnet6
            .and_then(|subnet| Some((format!("{}/{subnet}", link.name), first(subnet)?)));
        host.addresses.extend(main.into_iter().chain(beside));
    }
    host
}

/// A profile under examination, with the links that it comes to.
struct ProfileView<'a> {
    site: &'a Site,
    name: &'a str,
    profile: &'a Profile,
    network: HostNetwork,
}

/// A host under examination, with its links.
struct HostView<'a> {
    site: &'a Site,
    name: &'a str,
    host: &'a Host,
    network: HostNetwork,
}

impl<'a> HostView<'a> {
    fn new(site: &'a Site, name: &'a str, host: &'a Host) -> Self {
        Self { site, name, host, network: lower(site, name, host) }
    }

    /// A place in the host's entry, such as `nics.eth0`.
    fn at(&self, key: &str) -> Place {
        Place {
            host: Some(self.name.into()),
            link: None,
            path: format!("hosts.{}.{key}", self.name),
        }
    }

    /// A place in the host's entry that is about a link.
    fn at_link(&self, key: &str, link: &str) -> Place {
        Place { link: Some(link.into()), ..self.at(&format!("{key}.{link}")) }
    }
}

impl ProfileView<'_> {
    /// The place of a link in the profile, or of one of its keys.
    fn at(&self, link: &str, key: &str) -> Place {
        let found = self.profile.links().find(|other| other.name == link);
        // A member that the profile only names stands in the link that has taken it in.
        let (section, entry, key) = match (found, self.profile.master_of(link)) {
            (Some(found), _) => (found.section, link, key),
            (None, Some(master)) if self.profile.bonds.contains_key(master) => {
                ("bonds", master, "nics")
            }
            (None, Some(master)) => ("bridges", master, "interfaces"),
            (None, None) => ("nics", link, key),
        };
        let mut path = format!("profiles.{}.{section}.{entry}", self.name);
        if !key.is_empty() {
            path.push('.');
            path.push_str(key);
        }
        Place { host: None, link: Some(link.into()), path }
    }
}

/// Where a finding is.
struct Place {
    host: Option<String>,
    link: Option<String>,
    path: String,
}

impl Place {
    /// A place that is about no host and no link.
    fn new(path: String) -> Self {
        Self { host: None, link: None, path }
    }
}

/// The findings so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, rule: &'static str, place: Place, text: String) {
        self.add(rule, Severity::Error, place, text);
    }

    fn warn(&mut self, rule: &'static str, place: Place, text: String) {
        self.add(rule, Severity::Warning, place, text);
    }

    fn add(&mut self, rule: &'static str, severity: Severity, place: Place, text: String) {
        let Place { host, link, path } = place;
        self.0.push(Finding { rule, severity, host, link, path, text });
    }

    /// Errors first, each once, otherwise in the order of discovery.
    fn sorted(mut self) -> Vec<Finding> {
        let mut seen = std::collections::HashSet::new();
        self.0.retain(|finding| {
            seen.insert((finding.rule, finding.path.clone(), finding.text.clone()))
        });
        self.0.sort_by_key(|finding| finding.severity);
        self.0
    }
}
