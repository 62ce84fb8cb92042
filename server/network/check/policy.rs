//! Rules about routing tables and which packets are looked up in them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::routes::MAIN;
use super::{Findings, ProfileView};
use crate::model::{Family, IpProtocol, NumberRange, RuleSpec, RuleVerdict};
use crate::network::links::{Kind, Link};
use crate::network::lower;
use crate::network::source_nat;

/// The kernel's own tables: unspecified, default, main, local.
const KERNEL_TABLES: [u32; 4] = [0, 253, MAIN, LOCAL];

/// The table of the host's own addresses.
const LOCAL: u32 = 255;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    tables(view, findings);
    let links = view.network.links.values();
    let rules: Vec<(&Link, &RuleSpec)> =
        links.flat_map(|link| link.layer3.rules.iter().map(move |rule| (link, rule))).collect();
    priorities(view, &rules, findings);
    empty_tables(view, &rules, findings);
    sysctls(view, findings);
    processors(view, findings);
}

/// Rule N159: processors, users and slices whose connections cannot leave by the link that they
/// are given to.
fn processors(view: &ProfileView<'_>, findings: &mut Findings) {
    let links: Vec<_> =
        view.profile.links().filter(|link| source_nat::chooses(link.settings)).collect();
    for (place, link) in links.iter().enumerate() {
        let (name, settings) = (link.name, link.settings);
        let key = match () {
            () if !settings.cpus.is_empty() => "cpus",
            () if !settings.users.is_empty() => "users",
            () => "slices",
        };
        let mut wrong = |key: &str, text: String| findings.error("N159", view.at(name, key), text);
        if settings.table.is_none() || settings.mark.is_none() {
            wrong(key, format!("{name} has {key} and needs a table and a mark: set both"));
        }
        let own = view.network.links.get(name);
        if own.is_none_or(|link| link.layer3.addresses.is_empty()) {
            wrong(key, format!("{name} has {key} but no static address for their connections"));
        }
        for slice in settings.slices.iter().filter(|slice| !is_slice(slice)) {
            wrong(
                "slices",
                format!("\"{slice}\" is not a slice of systemd: expected one such as gpu0.slice"),
            );
        }
        for other in &links[..place] {
            let theirs = other.settings;
            if let Some(cpu) = settings.cpus.shared(&theirs.cpus) {
                wrong(
                    "cpus",
                    format!("processor {cpu} is in the cpus of {} and of {name}", other.name),
                );
            }
            let both = settings.users.iter().flat_map(|own| {
                let shared = |their: &NumberRange| NumberRange {
                    first: own.first.max(their.first),
                    last: own.last.min(their.last),
                };
                theirs.users.iter().map(shared)
            });
            let user = both.filter(|both| both.first <= both.last).map(|both| both.first).min();
            if let Some(user) = user {
                wrong(
                    "users",
                    format!("user {user} is in the users of {} and of {name}", other.name),
                );
            }
            if let Some(slice) = settings.slices.iter().find(|own| theirs.slices.contains(own)) {
                wrong(
                    "slices",
                    format!("{slice} is in the slices of {} and of {name}", other.name),
                );
            }
            if settings.mark.is_some() && settings.mark == theirs.mark {
                wrong(key, format!("{} and {name} have {key} and the same mark", other.name));
            }
        }
    }
}

/// Whether it is a name that systemd takes for a slice (systemd.slice(5)), and that nft takes for
/// a path.
fn is_slice(name: &str) -> bool {
    let Some(name) = name.strip_suffix(".slice") else { return false };
    let is_part = |part: &str| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':');
        !part.is_empty() && part.bytes().all(is_word)
    };
    name.split('-').all(is_part)
}

/// Rule N156: a table that is the kernel's, or a VRF's and somebody else's.
fn tables(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut domains: BTreeMap<u32, &str> = BTreeMap::new();
    for (name, link) in &view.network.links {
        let Kind::Vrf(table) = link.kind else { continue };
        let Some(table) = table else {
            let text = format!("VRF {name} needs a routing table: set table");
            findings.error("N156", view.at(name, "table"), text);
            findings.suggest(view.path(name, "table"), free_table(view));
            continue;
        };
        if let Some(other) = domains.insert(table, name) {
            let text = format!("{other} and {name} both have table {table}");
            findings.error("N156", view.at(name, "table"), text);
            findings.suggest(view.path(name, "table"), free_table(view));
        }
    }
    for link in view.profile.links() {
        let Some(table) = link.settings.table else { continue };
        if KERNEL_TABLES.contains(&table) {
            let text =
                format!("{}: table {table} is reserved for the kernel; choose another", link.name);
            findings.error("N156", view.at(link.name, "table"), text);
            findings.suggest(view.path(link.name, "table"), free_table(view));
        }
        if let Some(vrf) = domains.get(&table).filter(|vrf| **vrf != link.name) {
            let text = format!("{}: table {table} belongs to VRF {vrf}", link.name);
            findings.error("N156", view.at(link.name, "table"), text);
            findings.suggest(view.path(link.name, "table"), free_table(view));
        }
    }
    for link in view.profile.links() {
        for table in link.settings.more_subnets.iter().filter_map(|more| more.table) {
            let why = match domains.get(&table) {
                _ if KERNEL_TABLES.contains(&table) => "is reserved for the kernel".to_owned(),
                Some(vrf) => format!("belongs to VRF {vrf}"),
                None => continue,
            };
            let text = format!("{}: table {table} {why}; choose another", link.name);
            findings.error("N156", view.at(link.name, "more-subnets"), text);
        }
    }
    for link in view.network.links.values() {
        let own = view.network.domain(link);
        for table in link.layer3.routes.iter().filter_map(|route| route.table) {
            let vrf = domains.get(&table).filter(|vrf| own != Some(table) && **vrf != link.name);
            let text = match vrf {
                _ if matches!(table, 0 | LOCAL) => {
                    format!(
                        "{}: routes cannot be added to table {table}, which is reserved for the kernel",
                        link.name
                    )
                }
                Some(vrf) => format!("{}: table {table} belongs to VRF {vrf}", link.name),
                None => continue,
            };
            findings.error("N156", view.at(&link.name, "routes"), text);
        }
    }
}

/// The lowest table from 100 on that the profile does not use.
fn free_table(view: &ProfileView<'_>) -> u32 {
    let own = view.profile.links().flat_map(|link| {
        let more = link.settings.more_subnets.iter().filter_map(|more| more.table);
        link.settings.table.into_iter().chain(more)
    });
    let links = view.network.links.values();
    let routes = links.flat_map(|link| link.layer3.routes.iter().filter_map(|route| route.table));
    let used: BTreeSet<u32> = own.chain(routes).chain(KERNEL_TABLES).collect();
    (100..).find(|table| !used.contains(table)).unwrap_or(100)
}

/// Rule N155: priorities that the kernel uses itself, or that two rules share, and marks
/// that are looked at too late.
fn priorities(view: &ProfileView<'_>, rules: &[(&Link, &RuleSpec)], findings: &mut Findings) {
    let mut taken: BTreeMap<(u32, Family), &str> = BTreeMap::new();
    for (link, rule) in rules {
        let at = || view.at(&link.name, "routing-policy");
        if !(1..=32_765).contains(&rule.priority) {
            let text = format!("rule priority {} is outside 1-32765", rule.priority);
            findings.error("N155", at(), text);
        }
        for ports in [rule.source_port, rule.destination_port].into_iter().flatten() {
            if ports.first == 0 || ports.last > 65_535 {
                findings.error("N155", at(), format!("ports {ports} are outside 1-65535"));
            }
            if rule.protocol.is_none_or(|protocol| protocol == IpProtocol::Icmp) {
                let text = format!("a rule with ports {ports} needs protocol: tcp, udp or sctp");
                findings.error("N155", at(), text);
            }
        }
        if let Some(other) = taken.insert((rule.priority, rule.family()), &link.name) {
            let text = format!(
                "two rules have priority {} ({other} and {}); their order would be undefined",
                rule.priority, link.name
            );
            findings.error("N155", at(), text);
        }
    }
    let sources = rules.iter().filter(|(_, rule)| rule.from.is_some() && rule.mark.is_none());
    let Some(first) = sources.map(|(_, rule)| rule.priority).min() else { return };
    for (link, rule) in rules.iter().filter(|(_, rule)| rule.mark.is_some() && rule.from.is_none())
    {
        if rule.priority > first {
            let text = format!(
                "the mark rule ({}) comes after a source rule ({first}) and never matches",
                rule.priority
            );
            findings.warn("N155", view.at(&link.name, "routing-policy"), text);
        }
    }
}

/// Rule N154: a rule that leads to a table without routes, and a table without a rule. An own table of a link has
/// routes as soon as the link has a subnet.
fn empty_tables(view: &ProfileView<'_>, rules: &[(&Link, &RuleSpec)], findings: &mut Findings) {
    let links = || view.network.links.values();
    let routes = links().flat_map(|link| link.layer3.routes.iter().filter_map(|route| route.table));
    let domains = links().filter_map(|link| view.network.domain(link));
    let filled: BTreeSet<u32> = routes.chain(domains).chain([MAIN, 253, 255]).collect();
    for (link, rule) in rules
        .iter()
        .filter(|(_, rule)| rule.verdict == RuleVerdict::Table && !filled.contains(&rule.table))
    {
        let text = format!(
            "the rule with priority {} looks up table {}, which is empty",
            rule.priority, rule.table
        );
        findings.error("N154", view.at(&link.name, "routing-policy"), text);
    }
    let led_to: BTreeSet<u32> =
        rules.iter().map(|(_, rule)| rule.table).chain(KERNEL_TABLES).collect();
    let domains: BTreeSet<u32> = links()
        .filter_map(|link| match link.kind {
            Kind::Vrf(table) => table,
            _ => None,
        })
        .collect();
    let mut told = BTreeSet::new();
    for link in links() {
        let tables = link.layer3.routes.iter().filter_map(|route| route.table);
        for table in tables.filter(|table| !led_to.contains(table) && !domains.contains(table)) {
            if told.insert(table) {
                let text =
                    format!("no rule leads to table {table}, which has routes of {}", link.name);
                findings.warn("N154", view.at(&link.name, "routes"), text);
            }
        }
    }
}

/// Rules N157 and N174: settings without which the addresses and routes do not work.
fn sysctls(view: &ProfileView<'_>, findings: &mut Findings) {
    for (name, value) in lower::needed_sysctls(&view.network) {
        let set = view.network.sysctls.get(name);
        if set.is_some_and(|set| set == value) {
            continue;
        }
        let set = set.map_or("not set", String::as_str);
        let text = format!("{name} is {set}; this profile's addresses and routes need {value}");
        let place = view.within(["sysctls"]);
        match name.contains("arp_") {
            true => findings.error("N174", place, text),
            false => findings.warn("N157", place, text),
        }
        let mut settings = view.profile.sysctls.clone();
        settings.insert(name.to_owned(), value.to_owned());
        // Names of settings have dots: the map as a whole.
        let map = serde_json::json!(settings);
        findings.suggest(view.within(["sysctls"]), map);
    }
}
