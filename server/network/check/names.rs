//! Rule N101 for the names that the site file gives to hosts and nouns. Pure.

use super::Findings;
use crate::model::{
    Host, Image, InvalidName, Location, Noun, ProfileTree, Rack, Site, Subnet, Switch, Tenant,
    check_host_name, check_noun_name,
};

pub(super) fn check(site: &Site, findings: &mut Findings) {
    for name in site.hosts.keys() {
        named::<Host>(name, check_host_name(name), findings);
    }
    nouns::<Rack>("rack name", site, findings);
    nouns::<Tenant>("tenant name", site, findings);
    nouns::<Switch>("switch name", site, findings);
    nouns::<Subnet>("subnet name", site, findings);
    nouns::<ProfileTree>("profile name", site, findings);
    nouns::<Image>("image name", site, findings);
}

fn nouns<T: Noun>(what: &'static str, site: &Site, findings: &mut Findings) {
    for name in T::all(site).keys() {
        named::<T>(name, check_noun_name(what, name), findings);
    }
}

fn named<T: Noun>(name: &str, verdict: Result<(), InvalidName>, findings: &mut Findings) {
    if let Err(error) = verdict {
        findings.error("N101", Location::of::<T>(name), error.to_string());
    }
}
