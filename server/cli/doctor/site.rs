//! What the site itself says: addresses that are left, hosts with errors, relays.

use std::net::IpAddr;

use ipnet::IpNet;

use super::links::own_addresses;
use super::{Finding, Patient};
use crate::model::{RangeUse, UnknownClients};
use crate::network::{Severity, check_site};

/// How many hosts with errors are named.
const NAMED: usize = 5;
/// A subnet with fewer free addresses than one in this many is nearly full.
const NEARLY: u64 = 20;

/// Whether every subnet that DHCP serves has addresses left.
pub(super) fn pools(patient: &Patient) -> Vec<Finding> {
    let check = "addresses";
    let (snapshot, now) = (patient.snapshot(), jiff::Timestamp::now().as_second());
    let mut table = patient.leases.table();
    table.set_site(snapshot.revision, &snapshot.site, now);
    table.tick(now);
    let own = own_addresses();
    let mut findings = Vec::new();
    for (name, subnet) in &snapshot.site.subnets {
        let IpNet::V4(net) = subnet.cidr else { continue };
        let has_range = subnet.ranges.iter().any(|range| range.used_for == RangeUse::Dhcp);
        let (size, free) = table.count(net.trunc());
        let remedy = "widen its dhcp range, or shorten its lease-time";
        if !has_range {
            let served = own.iter().any(|own| net.contains(own));
            if served && subnet.unknown_clients != UnknownClients::Refuse {
                let text = format!(
                    "subnet {name} has no dhcp range: only hosts with an address there are answered"
                );
                let remedy = "add a range with for: dhcp, or say unknown-clients: refuse";
                findings.push(Finding::warning(check, text, remedy));
            }
        } else if free == 0 {
            let text = format!("all {size} dynamic addresses of subnet {name} are taken");
            findings.push(Finding::trouble(check, text, remedy));
        } else if free * NEARLY < size {
            let text = format!("{free} of {size} dynamic addresses of subnet {name} are left");
            findings.push(Finding::warning(check, text, remedy));
        } else {
            let text = format!("subnet {name} has {free} of {size} dynamic addresses left");
            findings.push(Finding::good(check, text));
        }
    }
    if snapshot.site.subnets.is_empty() {
        let text = "the site has no subnet: nobody is answered";
        findings.push(Finding::trouble(check, text, "add one: rackstrap apply, or rackstrap init"));
    }
    findings
}

/// Whether the rules refuse any host.
pub(super) fn hosts(patient: &Patient) -> Vec<Finding> {
    let check = "hosts";
    let snapshot = patient.snapshot();
    let found = check_site(&snapshot.site);
    let errors: Vec<_> = found.iter().filter(|one| one.severity == Severity::Error).collect();
    let mut findings: Vec<Finding> = errors
        .iter()
        .take(NAMED)
        .map(|one| {
            Finding::trouble(check, one.to_string(), "correct it: what is wrong is not served")
        })
        .collect();
    if errors.len() > NAMED {
        let text = format!("{} more errors in the site", errors.len() - NAMED);
        findings.push(Finding::trouble(check, text, "see all: rackstrap check"));
    }
    let hosts = &snapshot.site.hosts;
    let without = hosts.values().filter(|host| host.image.is_none()).count();
    if without > 0 {
        let text = format!("{without} of {} hosts have no image: they boot nothing", hosts.len());
        let remedy = "give them one: rackstrap host set NAME image=IMAGE";
        findings.push(Finding::warning(check, text, remedy));
    }
    if findings.is_empty() {
        findings.push(Finding::good(check, format!("the rules find nothing in {}", hosts.len())));
    }
    findings
}

/// Whether the relays that are answered can be heard.
pub(super) fn relays(patient: &Patient) -> Vec<Finding> {
    let check = "relays";
    let snapshot = patient.snapshot();
    let in_site =
        |relay: IpAddr| snapshot.site.subnets.values().any(|subnet| subnet.cidr.contains(&relay));
    let strange = patient.config.relays.iter().filter(|relay| !in_site(IpAddr::V4(**relay)));
    let warned = strange.map(|relay| {
        let text = format!(
            "relay {relay} is in no subnet of the site: its clients are served only where it \
             names another link (option 82.5)"
        );
        Finding::warning(check, text, "add the subnet of the link that it relays for")
    });
    warned.collect()
}
