//! What is wrong with a site, in the operator's words. Pure.
//!
//! networkd never refuses a file: it logs a bad line, skips it and applies the
//! rest, so a mistake shows only as a host that is not there. It has to be
//! found here, before anything is served. The rules' ids are stable.

mod addresses;
mod auth;
mod bgp;
mod bond;
mod bridge;
mod dracut;
mod extra;
mod fabric;
mod finding;
mod fleet;
mod free;
mod hardware;
mod host;
mod infiniband;
mod losses;
mod macsec;
mod mtu;
mod names;
mod namespace;
mod network_root;
mod online;
mod peers;
mod policy;
mod profile;
mod rdma;
mod reach;
mod resolved;
mod routes;
mod rules;
mod secret;
mod shared;
mod silence;
mod subnet;
mod sysctl;
mod tenant;
mod together;
mod tunnel;
mod unmanaged;
mod version;
mod virtual_links;
mod ways;
mod wireguard;

#[cfg(test)]
mod tests;

pub use finding::{Edit, Finding, Fix, Severity};
use finding::{FindingSubject, Findings};
pub use rules::{RULES, Rule};

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::links::HostNetwork;
use super::lower::lower;
use crate::model::{Host, Location, Profile, ProfileTree, Switch};
use crate::profile::ResolvedSite;

/// What a running server knows besides the site.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The addresses that hosts reach this server at; none where nobody knows.
    pub servers: Vec<IpAddr>,
    /// The files that hosts boot.
    pub files: BootFiles,
    /// Fills in recipes; nothing is wrong with any where nobody can.
    pub recipes: Option<RecipeCheck>,
}

/// Fills in the recipe of the image of the host with this name: why that is not possible, or none.
pub type RecipeCheck = fn(&ResolvedSite, &str) -> Option<String>;

/// Tells why a file cannot be served, by its name in an image; nothing is wrong with any file
/// where nobody knows.
#[derive(Clone, Default)]
pub struct BootFiles(Option<Arc<dyn Fn(&str) -> Option<String> + Send + Sync>>);

impl BootFiles {
    /// Asks `fault` about each file.
    pub fn new(fault: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(fault)))
    }

    /// Why a file cannot be served.
    pub fn fault(&self, name: &str) -> Option<String> {
        self.0.as_ref().and_then(|fault| fault(name))
    }
}

impl fmt::Debug for BootFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootFiles({})", self.0.is_some())
    }
}

/// Everything that is wrong with a site, errors first. A mistake in a profile is one
/// finding, however many hosts have the profile.
pub fn check_site(site: &ResolvedSite) -> Vec<Finding> {
    check_site_within(site, &Surroundings::default())
}

/// The same with what else is known.
pub fn check_site_within(site: &ResolvedSite, around: &Surroundings) -> Vec<Finding> {
    let mut findings = Findings::default();
    names::check(site, &mut findings);
    subnet::check_all(site, &mut findings);
    resolved::check_all(site, around, &mut findings);
    tenant::check_all(site, &mut findings);
    fabric::check_all(site, &mut findings);
    let owners = tenant::Owners::of(site);
    let mut together = together::Together::default();
    for (name, host) in &site.hosts {
        let view = HostView::new(site, name, host);
        check_one(&view, &owners, &mut findings);
        together.add(&view);
    }
    together.check(site, &mut findings);
    fleet::check(site, &mut findings);
    fleet::files(site, around, &mut findings);
    fleet::recipes(site, around, site.hosts.iter(), &mut findings);
    fleet::new_hosts(site, &mut findings);
    free::suggest(site, &mut findings);
    silence::by_entries(site, site.hosts.iter(), &mut findings);
    findings.sorted()
}

/// Everything that is wrong with one host, its profile and the subnets that the profile
/// names. What two hosts have in common is for [`check_site`] to find.
pub fn check_host(site: &ResolvedSite, host_name: &str) -> Vec<Finding> {
    check_host_within(site, host_name, &Surroundings::default())
}

/// The same with what else is known.
pub fn check_host_within(
    site: &ResolvedSite,
    host_name: &str,
    around: &Surroundings,
) -> Vec<Finding> {
    let Some(host) = site.hosts.get(host_name) else { return Vec::new() };
    check_view(&HostView::new(site, host_name, host), around)
}

/// The links of a host, with what is wrong with it, its profile and its subnets.
pub(super) fn lower_and_check(
    site: &ResolvedSite,
    host_name: &str,
    host: &Host,
) -> (HostNetwork, Vec<Finding>) {
    let view = HostView::new(site, host_name, host);
    let findings = check_view(&view, &Surroundings::default());
    (view.network, findings)
}

fn check_view(view: &HostView<'_>, around: &Surroundings) -> Vec<Finding> {
    let HostView { site, name: host_name, host, .. } = *view;
    let mut findings = Findings::default();
    if let Some(resolution) = site.profile_of(host) {
        let profile = &resolution.profile;
        let subnets = profile.subnets().chain(profile.vlan_subnets());
        for subnet in subnets.filter_map(|(_, name)| site.subnets.get_key_value(name)) {
            subnet::check(subnet.0, subnet.1, &mut findings);
        }
        resolved::check(site, around, host_name, host, &resolution, &mut findings);
    }
    let owners = tenant::Owners::of(site);
    check_one(view, &owners, &mut findings);
    fleet::files_of_host(site, host, around, &mut findings);
    fleet::recipes(site, around, site.hosts.get_key_value(host_name).into_iter(), &mut findings);
    silence::by_entries(site, site.hosts.get_key_value(host_name).into_iter(), &mut findings);
    findings.sorted()
}

/// Everything that is wrong with one switch, its ports and the cables to it.
pub fn check_switch(site: &ResolvedSite, switch_name: &str) -> Vec<Finding> {
    let mut findings = Findings::default();
    fabric::check_all(site, &mut findings);
    let is_cabled = |host: &&Host| {
        let ends = host.nics.values().filter_map(|nic| nic.cable.as_ref());
        ends.into_iter().any(|cable| cable.switch == switch_name)
    };
    let cabled = || site.hosts.iter().filter(|(_, host)| is_cabled(host));
    for (name, host) in cabled() {
        let view = HostView::new(site, name, host);
        let start = findings.len();
        fabric::check(&view, &mut findings);
        silence::by_hosts_profile(&view, &mut findings, start);
    }
    silence::by_entries(site, cabled(), &mut findings);
    let concerns =
        |finding: &Finding| finding.subjects().any(|subject| subject.is_in::<Switch>(switch_name));
    findings.sorted().into_iter().filter(concerns).collect()
}

/// What is wrong with a host by itself.
fn check_one(view: &HostView<'_>, owners: &tenant::Owners<'_>, findings: &mut Findings) {
    let start = findings.len();
    host::check(view, findings);
    tenant::check(view, owners, findings);
    fabric::check(view, findings);
    infiniband::check(view, findings);
    wireguard::check(view, findings);
    network_root::check(view, findings);
    dracut::check(view, findings);
    silence::by_hosts_profile(view, findings, start);
}

/// What is wrong with a profile whichever host of a tenant has it.
fn check_profile(view: &ProfileView<'_>, findings: &mut Findings) {
    // What its tenant has no subnet for would only look as if it had been forgotten.
    if view.profile.serves_tenants() {
        return profile::roles(view, findings);
    }
    let start = findings.len();
    profile::check(view, findings);
    bond::check(view, findings);
    mtu::check(view, findings);
    namespace::check(view, findings);
    let parts = namespace::parts(view);
    let own = parts.as_ref().map_or(view, |parts| &parts.host);
    routes::check(own, findings);
    for other in parts.iter().flat_map(|parts| &parts.namespaces) {
        routes::check(other, findings);
    }
    policy::check(view, findings);
    sysctl::check(view, findings);
    extra::check(view, findings);
    tunnel::check(view, findings);
    macsec::check(view, findings);
    auth::check(view, findings);
    shared::check(view, findings);
    bridge::check(view, findings);
    version::check(view, findings);
    online::check(view, findings);
    bgp::check(view, findings);
    secret::check(view, findings);
    virtual_links::check(view, findings);
    hardware::check(view, findings);
    rdma::check(view, findings);
    unmanaged::check(view, findings);
    reach::check(own, findings);
    peers::check(view, findings);
    losses::check(view, findings);
    silence::by_profile(view, findings, start);
}

/// A profile under examination, with the links that it comes to.
struct ProfileView<'a> {
    site: &'a ResolvedSite,
    around: &'a Surroundings,
    name: &'a str,
    profile: &'a Profile,
    network: HostNetwork,
}

/// A host under examination, with its links.
struct HostView<'a> {
    site: &'a ResolvedSite,
    name: &'a str,
    host: &'a Host,
    network: HostNetwork,
}

impl<'a> HostView<'a> {
    fn new(site: &'a ResolvedSite, name: &'a str, host: &'a Host) -> Self {
        Self { site, name, host, network: lower(site, name, host) }
    }

    /// A value of the host's entry.
    fn at(&self, key: &str) -> Location {
        Location::of::<Host>(self.name).at(key)
    }

    /// A value of the host's entry that is about a link.
    fn at_link(&self, key: &str, link: &str) -> FindingSubject {
        FindingSubject::from(self.at(key).at(link)).of_link(link)
    }
}

impl ProfileView<'_> {
    /// A value of the profile.
    fn within<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Location {
        Location::of::<ProfileTree>(self.name).within(keys)
    }

    /// A key of one of the profile's links, or several that lead to a value, joined by dots;
    /// whether the profile lists the link or only names it.
    fn path(&self, link: &str, key: &str) -> Location {
        let section = self.network.links.get(link).map_or("nics", |link| link.kind.section());
        self.within([section, link].into_iter().chain(key.split('.')))
    }

    /// The place of a link in the profile, or of one of its keys.
    fn at(&self, link: &str, key: &str) -> FindingSubject {
        let found = self.profile.links().find(|other| other.name == link);
        // A member that the profile only names stands in the link that has taken it in.
        let (section, entry, key) = match (found, self.profile.master_of(link)) {
            (Some(found), _) => (found.section, link, key),
            (None, Some(master)) if self.profile.bonds.contains_key(master) => {
                ("bonds", master, "nics")
            }
            (None, Some(master)) if self.profile.bridges.contains_key(master) => {
                ("bridges", master, "interfaces")
            }
            (None, Some(master)) => ("vrfs", master, "interfaces"),
            (None, None) => ("nics", link, key),
        };
        let key = Some(key).filter(|key| !key.is_empty());
        FindingSubject::from(self.within([section, entry].into_iter().chain(key))).of_link(link)
    }
}
