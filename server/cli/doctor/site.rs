//! The site: free addresses, hosts with errors, relays.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::links::own_addresses;
use super::{CheckResult, Installation, counted};
use crate::inventory::{EventPageQuery, now_ms};
use crate::lifecycle::event::Warning;
use crate::lifecycle::{EventData, EventKind};
use crate::model::{RangeUse, UnknownClients};
use crate::network::{Severity, check_site_within};

/// The most errors of the site to print, and the most warnings.
const MOST_SHOWN: usize = 5;
/// Makes a finding of one severity.
type Make = fn(&'static str, String, String) -> CheckResult;
/// A range is nearly full when less than one in this many addresses is free.
const NEARLY_FULL: u64 = 20;

/// Checks that every served subnet has free addresses.
pub(super) fn pools(target: &Installation) -> Vec<CheckResult> {
    let check = "addresses";
    let (snapshot, now) = (target.snapshot(), jiff::Timestamp::now().as_second());
    let leases = target.leases.at(snapshot.revision, &snapshot.site, now);
    let own = own_addresses();
    let mut findings = Vec::new();
    for (name, subnet) in &snapshot.site.subnets {
        let IpNet::V4(net) = subnet.cidr else { continue };
        let has_range = subnet.ranges.iter().any(|range| range.used_for == RangeUse::Dhcp);
        let (size, free) = leases.count(net.trunc());
        let fix = "extend its dhcp range, or reduce its lease-time";
        if !has_range {
            let served = own.iter().any(|own| net.contains(own));
            if served && subnet.unknown_clients != UnknownClients::Refuse {
                let text = format!(
                    "subnet {name} has no dhcp range: only hosts with an address in it get an answer"
                );
                let fix = "add a range with for: dhcp, or set unknown-clients: refuse";
                findings.push(CheckResult::warning(check, text, fix));
            }
        } else if free == 0 {
            let text = format!("all {size} dynamic addresses of subnet {name} are in use");
            findings.push(CheckResult::error(check, text, fix));
        } else if free * NEARLY_FULL < size {
            let text = format!("only {free} of {size} dynamic addresses of subnet {name} are free");
            findings.push(CheckResult::warning(check, text, fix));
        } else {
            let text = format!("{free} of {size} dynamic addresses of subnet {name} are free");
            findings.push(CheckResult::ok(check, text));
        }
    }
    if snapshot.site.subnets.is_empty() {
        let text = "the site has no subnet: no client gets an answer";
        findings.push(CheckResult::error(
            check,
            text,
            "add one with rackstrap apply or rackstrap init",
        ));
    }
    findings
}

/// Checks that the rules find no error, and that every host has an image.
pub(super) fn hosts(target: &Installation) -> Vec<CheckResult> {
    let check = "hosts";
    let snapshot = target.snapshot();
    let found = check_site_within(&snapshot.site, &target.inventory.surroundings());
    let mut findings = Vec::new();
    for (severity, make, fix) in [
        (Severity::Error, CheckResult::error as Make, "correct it: hosts with errors get no files"),
        (Severity::Warning, CheckResult::warning, "correct it, or silence it with allow"),
    ] {
        // What N220 finds is in the check of the images, as an error.
        let is_own =
            |one: &&crate::network::Finding| one.severity == severity && one.rule != "N220";
        let own: Vec<_> = found.iter().filter(is_own).collect();
        findings.extend(own.iter().take(MOST_SHOWN).map(|one| {
            let fix = one.fix.as_ref().map_or_else(|| fix.to_owned(), ToString::to_string);
            make(check, one.to_string(), fix)
        }));
        if own.len() > MOST_SHOWN {
            let text =
                format!("{} more in the site", counted(own.len() - MOST_SHOWN, severity.label()));
            findings.push(make(check, text, "list them with rackstrap check".to_owned()));
        }
    }
    let hosts = &snapshot.site.hosts;
    let without = hosts.values().filter(|host| host.image.is_none()).count();
    if without > 0 {
        let text =
            format!("{without} of {} without an image: no boot", counted(hosts.len(), "host"));
        let fix = "assign one: rackstrap host set NAME image=IMAGE";
        findings.push(CheckResult::warning(check, text, fix));
    }
    if findings.is_empty() {
        findings
            .push(CheckResult::ok(check, format!("no errors in {}", counted(hosts.len(), "host"))));
    }
    findings
}

/// How far back events are read for the checks, in milliseconds: two days.
const RECENT_MS: i64 = 2 * 86_400_000;
/// How many warnings are read at most.
const MAX_WARNINGS: u32 = 1000;

/// Finds the relays whose packets were refused lately: no host behind them boots.
pub(super) async fn refused_relays(target: &Installation) -> Vec<CheckResult> {
    let check = "relays";
    let query = EventPageQuery {
        kind: Some(EventKind::Warning),
        from_ms: now_ms() - RECENT_MS,
        limit: MAX_WARNINGS,
        ..EventPageQuery::default()
    };
    let events = match target.inventory.database.page_events(&query).await {
        Ok(events) => events,
        Err(error) => {
            let fix = "repair the database";
            return vec![CheckResult::warning(check, format!("cannot read events: {error}"), fix)];
        }
    };
    let mut refused: BTreeMap<Ipv4Addr, String> = BTreeMap::new();
    for stored in events {
        if let EventData::Warning(Warning::RelayRefused { relay, interface, .. }) =
            stored.event.data
        {
            refused.entry(relay).or_insert(interface);
        }
    }
    let snapshot = target.snapshot();
    let is_served = |relay: &Ipv4Addr| match target.config.relays.is_empty() {
        true => snapshot.site.subnets.values().any(|subnet| {
            subnet.relay_addresses.contains(relay) || subnet.cidr.contains(&IpAddr::V4(*relay))
        }),
        false => target.config.relays.contains(relay),
    };
    let still = refused.into_iter().filter(|(relay, _)| !is_served(relay));
    still
        .map(|(relay, interface)| {
            let text = format!(
                "relay {relay} (on {interface}) is not served: no host behind it gets an answer"
            );
            let fix = format!(
                "set relay-addresses: [{relay}] on the subnet of its clients, or add \"{relay}\" \
                 to relays"
            );
            CheckResult::error(check, text, fix)
        })
        .collect()
}

/// Checks that every configured relay is in a subnet of the site.
pub(super) fn relays(target: &Installation) -> Vec<CheckResult> {
    let check = "relays";
    let snapshot = target.snapshot();
    let in_site =
        |relay: IpAddr| snapshot.site.subnets.values().any(|subnet| subnet.cidr.contains(&relay));
    let is_listed = |relay: &Ipv4Addr| {
        snapshot.site.subnets.values().any(|subnet| subnet.relay_addresses.contains(relay))
    };
    let relays = target.config.relays.iter().filter(|relay| !is_listed(relay));
    let unknown = relays.filter(|relay| !in_site(IpAddr::V4(**relay)));
    let warned = unknown.map(|relay| {
        let text = format!(
            "relay {relay} is not in a subnet of the site: its clients get an answer only if it \
             sends the link selection suboption (82.5)"
        );
        CheckResult::warning(check, text, "add the subnet of the relay's link")
    });
    warned.collect()
}
