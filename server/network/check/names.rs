//! Rule N101 for the names that the site file gives to hosts and nouns. Pure.

use super::{Findings, Place};
use crate::model::{InvalidName, Site, check_host_name, check_noun_name};

pub(super) fn check(site: &Site, findings: &mut Findings) {
    for name in site.hosts.keys() {
        named("hosts", name, check_host_name(name), findings);
    }
    nouns("racks", "rack name", site.racks.keys(), findings);
    nouns("tenants", "tenant name", site.tenants.keys(), findings);
    nouns("switches", "switch name", site.switches.keys(), findings);
    nouns("subnets", "subnet name", site.subnets.keys(), findings);
    nouns("profiles", "profile name", site.profiles.keys(), findings);
    nouns("images", "image name", site.images.keys(), findings);
}

fn nouns<'a>(
    section: &str,
    what: &'static str,
    names: impl Iterator<Item = &'a String>,
    findings: &mut Findings,
) {
    for name in names {
        named(section, name, check_noun_name(what, name), findings);
    }
}

fn named(section: &str, name: &str, verdict: Result<(), InvalidName>, findings: &mut Findings) {
    if let Err(error) = verdict {
        findings.error("N101", Place::new(format!("{section}.{name}")), error.to_string());
    }
}
