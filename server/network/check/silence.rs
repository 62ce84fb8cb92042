//! `allow`: warnings that somebody has looked at and lives with. They are shown, as silenced. Pure.

use super::finding::{Finding, Findings, Severity};
use super::{HostView, ProfileView};
use crate::model::{Host, Location, ProfileTree, Site, Subnet};

/// Silences the warnings from `start` on for which `allowed` names the list that allows them.
/// An error in such a list stays one, and rule N185 reports it.
fn silence(
    findings: &mut Findings,
    start: usize,
    allowed: impl Fn(&Finding) -> Option<(Location, Vec<String>)>,
) {
    let mut in_vain = Vec::new();
    for finding in findings.since(start) {
        let Some((list, rules)) = allowed(finding) else { continue };
        if !rules.iter().any(|rule| rule == finding.rule) {
            continue;
        }
        match finding.severity {
            Severity::Error => in_vain.push((list, finding.rule)),
            Severity::Warning => finding.severity = Severity::Silenced,
            Severity::Silenced => {}
        }
    }
    for (list, rule) in in_vain {
        let text = format!("{rule} is an error here, and an error cannot be silenced");
        findings.warn("N185", list, text);
    }
}

/// What a profile and its links allow of the findings about the profile.
pub(super) fn by_profile(view: &ProfileView<'_>, findings: &mut Findings, start: usize) {
    let network = &view.network;
    let profile = view.within(["allow"]);
    silence(findings, start, |_| Some((profile.clone(), network.allow.clone())));
    silence(findings, start, |finding| {
        let link = network.links.get(finding.link.as_deref()?)?;
        Some((view.path(&link.name, "allow"), link.settings.allow.clone()))
    });
    let links =
        network.links.values().map(|link| (view.path(&link.name, "allow"), &link.settings.allow));
    for (path, rules) in links.chain([(profile.clone(), &network.allow)]) {
        spelled(path, rules, findings);
    }
}

/// What a host's profile and its links allow of the findings about the host.
pub(super) fn by_hosts_profile(view: &HostView<'_>, findings: &mut Findings, start: usize) {
    let network = &view.network;
    let Some(profile) = &network.profile else { return };
    let path = || Location::of::<ProfileTree>(profile).at("allow");
    if !network.allow.is_empty() {
        silence(findings, start, |_| Some((path(), network.allow.clone())));
    }
    if network.links.values().any(|link| !link.settings.allow.is_empty()) {
        silence(findings, start, |finding| {
            let link = network.links.get(finding.link.as_deref()?)?;
            Some((path(), link.settings.allow.clone()))
        });
    }
}

/// What subnets, and the hosts that are looked at, allow of the findings about themselves.
pub(super) fn by_entries<'a>(
    site: &Site,
    hosts: impl Iterator<Item = (&'a String, &'a Host)>,
    findings: &mut Findings,
) {
    let subnets = site.subnets.iter().filter(|(_, subnet)| !subnet.allow.is_empty());
    for (name, subnet) in subnets {
        let list = Location::of::<Subnet>(name).at("allow");
        silence(findings, 0, |finding| {
            let own = finding.at.is_in::<Subnet>(name);
            own.then(|| (list.clone(), subnet.allow.clone()))
        });
        spelled(list, &subnet.allow, findings);
    }
    for (name, host) in hosts.filter(|(_, host)| !host.allow.is_empty()) {
        let list = Location::of::<Host>(name).at("allow");
        silence(findings, 0, |finding| {
            let own = finding.at.is_in::<Host>(name);
            own.then(|| (list.clone(), host.allow.clone()))
        });
        spelled(list, &host.allow, findings);
    }
}

/// Rule N180 for rules' ids.
fn spelled(list: Location, rules: &[String], findings: &mut Findings) {
    let is_id = |rule: &str| {
        let digits = rule.strip_prefix('N').unwrap_or_default();
        digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    for rule in rules.iter().filter(|rule| !is_id(rule)) {
        let text = format!("\"{rule}\" is not a rule id; expected one such as N131");
        findings.error("N180", list.clone(), text);
    }
}
