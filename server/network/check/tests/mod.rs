//! One broken site for every rule: a good site with one line changed.

mod addresses;
mod bgp;
mod bonds;
mod links;
mod names;
mod nics;
mod routes;
mod switches;
mod systemd;
mod tenants;

use std::collections::BTreeSet;

use super::{Finding, Severity, check_host, check_site};
use crate::profile::ResolvedSite;
use crate::site_file::set_values;

const GOOD: &str = r#"
racks: {r1: {units: 42}}
tenants: {acme: {}, globex: {}}
switches:
  leaf1a: {vendor: eos, mlag-peer: leaf1b, native-vlan: 10}
  leaf1b: {vendor: eos, mlag-peer: leaf1a, native-vlan: 10}
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    gateway: 10.77.0.1
    server: 10.77.0.2
    rail: 3
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
  internal:
    cidr: 172.16.160.0/24
    vlan: 500
    gateway: 172.16.160.254
    mtu: 9000
    dns: ["223.5.5.5#dns.alidns.com"]
    dns-over-tls: true
    tenant: acme
    ranges:
      - {from: 172.16.160.10, to: 172.16.160.99, for: hosts}
      - {from: 172.16.160.200, to: 172.16.160.254, for: reserved}
  secret: {cidr: 10.99.0.0/24, vlan: 77, gateway: 10.99.0.1, dns: [10.99.0.53], tenant: globex, role: secret}
  other: {cidr: 10.98.0.0/24, vlan: 30, dns: [10.98.0.53]}
profiles:
  rented: {nics: {eth0: {subnet: tenant/secret}, eth1: {}}}
  vms: {vlans: {v: {link: eth0, id: tenant/secret}}, nics: {eth1: {dhcp4: true}}}
  foreign: {vlans: {v77: {link: eth0, id: 77, dhcp4: true}}, nics: {eth1: {}}}
  hypervisor:
    bonds:
      bond0:
        nics: [eth0, eth1]
        mode: 802.3ad
        lacp-rate: fast
        mii-monitor: 100ms
        up-delay: 200ms
    vlans: {vlan500: {link: bond0, subnet: internal}}
    bridges: {br0: {interfaces: [vlan500], subnet: internal}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img]}
hosts:
  n1:
    rack: r1
    unit: 1
    tenant: acme
    profile: hypervisor
    image: live
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {br0: 172.16.160.12}
    reservations: {provisioning: 10.77.0.12}
  n2:
    rack: r1
    unit: 2
    tenant: acme
    profile: hypervisor
    nics:
      eth0: {mac: "52:54:00:aa:00:03", switch: leaf1a, port: Ethernet2}
      eth1: {mac: "52:54:00:aa:00:04", switch: leaf1b, port: Ethernet2}
    addresses: {br0: 172.16.160.13}
    reservations: {provisioning: 10.77.0.13}
"#;

fn site(text: &str) -> ResolvedSite {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The good site with one piece of text replaced at its first place.
fn changed(old: &str, new: &str) -> ResolvedSite {
    assert!(GOOD.contains(old), "{old} is not in the good site");
    site(&GOOD.replacen(old, new, 1))
}

/// Rule, old text, new text, place of the finding, a piece of what it says.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

const BOND: &str = "nics: [eth0, eth1]";
const VLAN: &str = "{vlan500: {link: bond0, subnet: internal}}";
const BRIDGE: &str = "{br0: {interfaces: [vlan500], subnet: internal}}";
const N1: &str = "hosts.n1.addresses.br0";

/// The tables of errors.
const ERRORS: &[&[Case]] = &[
    names::ERRORS,
    nics::ERRORS,
    bonds::ERRORS,
    links::ERRORS,
    addresses::ERRORS,
    routes::ERRORS,
    systemd::ERRORS,
    switches::ERRORS,
    tenants::ERRORS,
    bgp::ERRORS,
];

/// The tables of warnings.
const WARNINGS: &[&[Case]] = &[
    names::WARNINGS,
    nics::WARNINGS,
    bonds::WARNINGS,
    links::WARNINGS,
    addresses::WARNINGS,
    routes::WARNINGS,
    systemd::WARNINGS,
    switches::WARNINGS,
    tenants::WARNINGS,
    bgp::WARNINGS,
];

#[test]
fn the_good_site_has_no_findings() {
    assert_eq!(check_site(&site(GOOD)), []);
    assert_eq!(check_host(&site(GOOD), "n1"), []);
}

#[test]
fn every_rule_finds_its_broken_site() {
    let errors = ERRORS.iter().copied().flatten().map(|case| (case, Severity::Error));
    let warnings = WARNINGS.iter().copied().flatten().map(|case| (case, Severity::Warning));
    let mut missed = Vec::new();
    for ((rule, old, new, path, says), severity) in errors.chain(warnings) {
        let findings = check_site(&changed(old, new));
        let found = findings.iter().any(|finding| {
            (finding.rule, finding.severity) == (*rule, severity)
                && finding.path() == *path
                && finding.text.contains(says)
        });
        if !found {
            missed.push(format!("{rule} at {path} after {old:?} -> {new:?}: {findings:#?}"));
        }
    }
    assert!(missed.is_empty(), "not found: {}", missed.join("\n"));
}

#[test]
fn every_fix_puts_its_finding_right() {
    let mut fixed = BTreeSet::new();
    for (rule, old, new, path, _) in ERRORS.iter().chain(WARNINGS).copied().flatten() {
        let site = changed(old, new);
        for finding in check_site(&site) {
            let is_meant = (finding.rule, &*finding.path()) == (*rule, *path);
            let Some(fix) = finding.fix.filter(|_| is_meant) else {
                continue;
            };
            let edits = fix.edits.iter().map(|edit| (edit.at.path(), edit.value.clone()));
            let edits: Vec<_> = edits.collect();
            let better: ResolvedSite = set_values(Some(&site), &edits)
                .unwrap_or_else(|error| panic!("{rule}: {fix}: {error}"));
            let left = check_site(&better);
            let same = |other: &Finding| {
                (other.rule, &other.at, &other.text) == (finding.rule, &finding.at, &finding.text)
            };
            assert!(!left.iter().any(same), "{rule}: {fix} does not help: {left:#?}");
            fixed.insert(*rule);
        }
    }
    let expected = [
        "N106", "N108", "N112", "N113", "N115", "N116", "N124", "N125", "N126", "N127", "N130",
        "N131", "N132", "N133", "N140", "N141", "N142", "N143", "N147", "N150", "N151", "N156",
        "N157", "N161", "N162", "N163", "N164", "N165", "N171", "N173", "N174", "N175", "N180",
        "N182",
    ];
    let lacking: Vec<_> = expected.iter().filter(|rule| !fixed.contains(**rule)).collect();
    assert!(lacking.is_empty(), "without a fix: {lacking:?}; with one: {fixed:?}");
}

#[test]
fn a_warning_is_silenced_where_its_rule_is_allowed_and_is_shown_so() {
    let cases = [
        ("N126", "up-delay: 200ms", "up-delay: 250ms\n        allow: [N126]"),
        ("N122", BOND, "nics: [eth0]\n        allow: [N122]"),
        (
            "N152",
            "    bonds:",
            "    allow: [N152]\n    nics: {eth9: {default-route: false}}\n  other:\n    bonds:",
        ),
        (
            "N105",
            "52:54:00:aa:00:01\", eth1: \"52:54:00:aa:00:02\"}",
            "02:54:00:aa:00:01\", eth1: \"52:54:00:aa:00:02\"}\n    allow: [N105]",
        ),
        ("N160", "223.5.5.5#dns.alidns.com\"]", "223.5.5.5\"]\n    allow: [N160]"),
    ];
    for (rule, old, new) in cases {
        let findings = check_site(&changed(old, new));
        let of_rule: Vec<Severity> = findings
            .iter()
            .filter(|found| found.rule == rule)
            .map(|found| found.severity)
            .collect();
        assert!(!of_rule.is_empty(), "{rule} has vanished: {findings:#?}");
        assert!(
            of_rule.iter().all(|severity| *severity == Severity::Silenced),
            "{rule}: {findings:#?}"
        );
    }
}

#[test]
fn a_mistake_in_a_profile_is_one_finding_and_refuses_each_host_that_has_it() {
    let site = changed(BOND, "nics: []");
    let empty = |finding: &&Finding| finding.rule == "N122";
    assert_eq!(check_site(&site).iter().filter(empty).count(), 1);
    for host in ["n1", "n2"] {
        assert_eq!(check_host(&site, host).iter().filter(empty).count(), 1, "{host}");
    }
}

#[test]
fn errors_come_before_warnings() {
    let both = GOOD.replace("up-delay: 200ms", "up-delay: 250ms").replace("vlan: 500", "vlan: 0");
    let severities: Vec<Severity> =
        check_site(&site(&both)).iter().map(|finding| finding.severity).collect();
    assert!(severities.is_sorted() && severities.len() >= 2, "{severities:?}");
}

/// Two subnets with the same addresses, and a host in each with the same address.
const TWO_DOMAINS: &str = r#"
subnets:
  a: {cidr: 10.0.0.0/24, vlan: 10, gateway: 10.0.0.1, dns: [10.0.0.53], vrf: red, ranges: RANGES}
  b: {cidr: 10.0.0.0/24, vlan: 20, gateway: 10.0.0.1, dns: [10.0.0.53], vrf: blue, ranges: RANGES}
profiles:
  red: {vlans: {v10: {link: eth0, subnet: a}}}
  blue: {vlans: {v20: {link: eth0, subnet: b}}}
hosts:
  n1: {profile: red, nics: {eth0: "52:54:00:aa:00:01"}, addresses: {v10: 10.0.0.7}}
  n2: {profile: blue, nics: {eth0: "52:54:00:aa:00:02"}, addresses: {v20: 10.0.0.7}}
"#;

#[test]
fn an_address_is_one_hosts_in_each_routing_domain() {
    let ranges = "[{from: 10.0.0.2, to: 10.0.0.9, for: hosts}]";
    let text = TWO_DOMAINS.replace("RANGES", ranges);
    assert_eq!(check_site(&site(&text)), []);
    let rules = |text: &str| {
        check_site(&site(text)).into_iter().map(|found| found.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules(&text.replace("vrf: red", "vrf: blue")), ["N145", "N141"]);
    assert_eq!(rules(&text.replace(", vrf: red", "").replace(", vrf: blue", "")), ["N145", "N141"]);
    // The next free address is free in its own domain.
    let waiting = text.replace(", addresses: {v20: 10.0.0.7}", "");
    let given = crate::network::allocate(&site(&waiting));
    assert_eq!(given[0].address.to_string(), "10.0.0.2");
    let one = waiting.replace(ranges, "[{from: 10.0.0.7, to: 10.0.0.7, for: hosts}]");
    assert_eq!(crate::network::allocate(&site(&one))[0].address.to_string(), "10.0.0.7");
}

#[test]
fn what_a_profile_allows_is_allowed_in_those_that_extend_it() {
    let base = "up-delay: 250ms\n        allow: [N126]";
    let severity = |profiles: &str| {
        let text = GOOD.replacen("up-delay: 200ms", base, 1);
        let text = text.replacen("images:", &format!("{profiles}images:"), 1);
        let text = text.replacen("profile: hypervisor\n    image", "profile: child\n    image", 1);
        let text = text.replacen("profile: hypervisor\n    nics", "profile: child\n    nics", 1);
        let found = check_site(&site(&text));
        found.into_iter().map(|one| (one.rule, one.severity)).collect::<Vec<_>>()
    };
    let silenced = [("N126", Severity::Silenced)];
    assert_eq!(severity("  child: {extends: hypervisor}\n"), silenced);
    let more = "  child: {extends: hypervisor, allow: [N152], bonds: {bond0: {allow: [N122]}}}\n";
    assert_eq!(severity(more), silenced);
    let none = "  child: {extends: hypervisor, bonds: {bond0: {allow: null}}}\n";
    assert_eq!(severity(none), [("N126", Severity::Warning)]);
}

/// The rule, the place and a piece of the text of every finding of one rule.
fn found(text: &str, rule: &str) -> Vec<(String, String)> {
    let findings = check_site(&site(text)).into_iter();
    findings.filter(|one| one.rule == rule).map(|one| (one.path(), one.text)).collect()
}

#[test]
fn hosts_that_share_switches_agree_on_vlans_and_rails() {
    let fleet = |vlan: u16, leaf: &str| {
        format!(
            r#"
switches:
  leaf1: {{vendor: eos, rack: r1}}
  leaf2: {{vendor: eos, rack: r1}}
subnets:
  a: {{cidr: 10.1.0.0/24, vlan: 20, gateway: 10.1.0.1}}
  b: {{cidr: 10.2.0.0/24, vlan: {vlan}, gateway: 10.2.0.1}}
profiles:
  one: {{vlans: {{v: {{link: rail0, subnet: a, host-number: =index + 10}}}}, nics: {{rail0: {{rail: 0}}}}}}
  two: {{vlans: {{v: {{link: eth0, subnet: b, host-number: =index + 10}}}}}}
hosts:
  n1: {{rack: r1, index: 1, profile: one, nics: {{rail0: {{mac: "52:54:00:aa:00:01", switch: leaf1, port: Ethernet1}}}}}}
  n2: {{rack: r1, index: 2, profile: one, nics: {{rail0: {{mac: "52:54:00:aa:00:02", switch: leaf1, port: Ethernet2}}}}}}
  n3: {{rack: r1, index: 3, profile: one, nics: {{rail0: {{mac: "52:54:00:aa:00:03", switch: {leaf}, port: Ethernet3}}}}}}
  n4: {{rack: r1, index: 4, profile: two, nics: {{eth0: {{mac: "52:54:00:aa:00:04", switch: leaf1, port: Ethernet4}}}}}}
"#
        )
    };
    let good = fleet(30, "leaf1");
    assert_eq!(found(&good, "N217"), []);
    assert_eq!(found(&good, "N218"), []);
    let [(path, text)] = &found(&fleet(20, "leaf1"), "N217")[..] else { panic!("N217") };
    assert_eq!(path, "subnets.b.vlan");
    assert!(
        text.contains("VLAN 20 of leaf1 has subnet \"a\" (n1) and subnet \"b\" (n4)"),
        "{text}"
    );
    let [(path, text)] = &found(&fleet(30, "leaf2"), "N218")[..] else { panic!("N218") };
    assert_eq!(path, "hosts.n3.nics.rail0");
    assert!(text.contains("rail 0 of n3 ends on leaf2, but on leaf1 for 2 other hosts"), "{text}");
    let fewer = fleet(30, "leaf1").replace(
        "hosts:\n",
        "hosts:\n  n0: {profile: one, network: {nics: {rail1: {rail: 1}}}, nics: {rail0: \"52:54:00:aa:00:08\", rail1: \"52:54:00:aa:00:09\"}}\n",
    );
    let [(path, text)] = &found(&fewer, "N218")[..] else { panic!("N218") };
    assert_eq!(path, "hosts.n0");
    assert!(
        text.contains("n0: rails 0, 1 of profile one, but 3 other hosts have rail 0"),
        "{text}"
    );
}

#[test]
fn an_anycast_address_is_on_more_than_one_host() {
    let fleet = |second: &str| {
        format!(
            r#"
profiles:
  any: {{nics: {{eth0: {{dhcp4: true}}}}, dummies: {{any0: {{addresses: [{{address: 192.0.2.1/32, role: anycast}}]}}}}}}
  plain: {{nics: {{eth0: {{dhcp4: true}}}}}}
hosts:
  n1: {{profile: any, nics: {{eth0: "52:54:00:aa:00:01"}}}}
  n2: {{profile: {second}, nics: {{eth0: "52:54:00:aa:00:02"}}}}
"#
        )
    };
    assert_eq!(found(&fleet("any"), "N221"), []);
    let [(path, text)] = &found(&fleet("plain"), "N221")[..] else { panic!("N221") };
    assert_eq!(path, "profiles.any");
    assert!(text.contains("n1 alone has it"), "{text}");
}

#[test]
fn packets_fit_the_path_to_every_host_of_a_subnet() {
    let fleet = |mtu: &str, room: &str, its_room: &str| {
        format!(
            r#"
switches:
  leaf1: {{vendor: eos}}
  leaf2: {{vendor: eos, mlag-peer: leaf3{room}}}
  leaf3: {{vendor: eos, mlag-peer: leaf2{its_room}}}
subnets:
  a: {{cidr: 10.1.0.0/24, gateway: 10.1.0.1, mtu: 9000}}
profiles:
  big: {{nics: {{eth0: {{subnet: a, host-number: =index + 10}}}}}}
  small: {{nics: {{eth0: {{subnet: a, host-number: =index + 10{mtu}}}}}}}
hosts:
  n1: {{index: 1, profile: big, nics: {{eth0: {{mac: "52:54:00:aa:00:01", switch: leaf1, port: Ethernet1}}}}}}
  n2: {{index: 2, profile: small, nics: {{eth0: {{mac: "52:54:00:aa:00:02", switch: leaf2, port: Ethernet1}}}}}}
  n3: {{index: 3, profile: small, nics: {{eth0: {{mac: "52:54:00:aa:00:03", switch: leaf2, port: Ethernet2}}}}}}
"#
        )
    };
    assert_eq!(found(&fleet("", ", mtu: 9216", ", mtu: 9216"), "N223"), []);
    let [(path, text)] = &found(&fleet(", mtu: 1500", "", ""), "N223")[..] else { panic!("hosts") };
    assert_eq!(path, "subnets.a.mtu");
    let says = "n1 sends packets of 9000 bytes (eth0), and n2 and 1 more take 1500 (eth0)";
    assert!(text.contains(says), "{text}");
    let leaf = found(&fleet(", mtu: 1500", ", mtu: 1600", ""), "N223");
    assert!(
        leaf.iter().any(|(_, text)| text.contains("on leaf2 on the way to n2, and it has 1600")),
        "{leaf:#?}"
    );
    let peer = found(&fleet("", "", ", mtu: 1600"), "N223");
    assert!(
        peer.iter().any(|(_, text)| text.contains("on leaf3 on the way to n2, and it has 1600")),
        "{peer:#?}"
    );
    let allowed = fleet(", mtu: 1500", "", "").replace("mtu: 9000}", "mtu: 9000, allow: [N223]}");
    let severities: Vec<Severity> = check_site(&site(&allowed))
        .into_iter()
        .filter(|one| one.rule == "N223")
        .map(|one| one.severity)
        .collect();
    assert_eq!(severities, [Severity::Silenced]);
}

#[test]
fn router_ids_are_one_hosts_each() {
    let fleet = |second: &str| {
        format!(
            r#"
subnets:
  lo1: {{cidr: 10.255.0.0/24, vrf: red}}
  lo2: {{cidr: 10.255.0.0/24, vrf: blue}}
profiles:
  one: {{nics: {{eth0: {{}}}}, loopbacks: {{lo: {{subnet: lo1}}}}, bgp: {{asn: 65001, neighbors: [{{link: eth0}}], router-id: lo}}}}
  two: {{nics: {{eth0: {{}}}}, loopbacks: {{lo: {{subnet: lo2}}}}, bgp: {{asn: 65002, neighbors: [{{link: eth0}}], router-id: lo}}}}
hosts:
  n1: {{profile: one, nics: {{eth0: "52:54:00:aa:00:01"}}, addresses: {{lo: 10.255.0.1}}}}
  n2: {{profile: two, nics: {{eth0: "52:54:00:aa:00:02"}}, addresses: {{lo: {second}}}}}
"#
        )
    };
    assert_eq!(found(&fleet("10.255.0.2"), "N219"), []);
    let [(path, text)] = &found(&fleet("10.255.0.1"), "N219")[..] else { panic!("N219") };
    assert_eq!(path, "hosts.n2.addresses");
    assert!(text.contains("router id 10.255.0.1 is that of n1 and of n2"), "{text}");
}
