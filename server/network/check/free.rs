//! Fixes of addresses: a host whose address cannot be gets the next free one of its subnet. Pure.

use super::finding::{Finding, Findings};

use crate::network::allocate::Free;
use crate::network::lower::lower;
use crate::profile::ResolvedSite;

/// The rules about one address of one host that another address puts right.
const RULES: [&str; 5] = ["N140", "N141", "N142", "N143", "N147"];

/// Adds the fix to every such finding, to each another address.
pub(super) fn suggest(site: &ResolvedSite, findings: &mut Findings) {
    let mut free: Option<Free<'_>> = None;
    for finding in findings.since(0) {
        let Some(subnet) = subnet_of(site, finding) else { continue };
        let free = free.get_or_insert_with(|| Free::new(site));
        let Some(address) = free.next(&subnet) else { continue };
        finding.fix = Some(super::Fix {
            edits: vec![super::Edit { at: finding.at.clone(), value: address.to_string() }],
        });
    }
}

/// The subnet of the address that a finding is about.
fn subnet_of(site: &ResolvedSite, finding: &Finding) -> Option<String> {
    let name = finding.host().filter(|_| RULES.contains(&finding.rule))?;
    let [section, key] = finding.at.field.as_slice() else { return None };
    match section.as_str() {
        "reservations" => return Some(key.clone()),
        "addresses" => {}
        _ => return None,
    }
    let network = lower(site, name, site.hosts.get(name)?);
    let mut borne = network.links.values().flat_map(|link| &link.layer3.borne);
    borne.find(|borne| borne.key == *key).map(|borne| borne.subnet.clone())
}
