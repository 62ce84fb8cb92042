//! Rule N101 for the names that the site file gives to hosts and nouns. Pure.

use super::Findings;
use crate::model::{
    Host, InvalidName, Location, Noun, NounVisitor, Site, check_host_name, check_noun_name,
    visit_nouns,
};

pub(super) fn check(site: &Site, findings: &mut Findings) {
    visit_nouns(&mut NameCheck { site, findings });
}

struct NameCheck<'a> {
    site: &'a Site,
    findings: &'a mut Findings,
}

impl NounVisitor for NameCheck<'_> {
    fn visit<T: Noun>(&mut self) {
        for name in T::all(self.site).keys() {
            // A host's name is a DNS name as well.
            let verdict = match T::NOUN == Host::NOUN {
                true => check_host_name(name),
                false => check_noun_name(T::NAME, name),
            };
            named::<T>(name, verdict, self.findings);
        }
    }
}

fn named<T: Noun>(name: &str, verdict: Result<(), InvalidName>, findings: &mut Findings) {
    if let Err(error) = verdict {
        findings.error("N101", Location::of::<T>(name), error.to_string());
    }
}
