use std::collections::BTreeSet;

use super::*;
use crate::network::{Severity, check_site, layout};

/// The kinds of links that a feature's profile has.
fn kinds(part: &str) -> BTreeSet<&'static str> {
    let site = sample(part, None, "permanent-mac").unwrap_or_else(|| panic!("{part}"));
    let network = layout(&site, "n");
    let used = network.links.values().filter(|link| link.role != crate::network::Role::Unused);
    used.map(|link| link.kind.label()).collect()
}

#[test]
fn every_feature_can_be_said_to_the_newest_networkd() {
    let newest = Reader { format: Format::Networkd, systemd: Some(257) };
    for (feature, part) in FEATURES {
        assert_eq!(told(part, newest).refusal, None, "{feature}");
    }
}

#[test]
fn every_kind_of_link_is_rendered_or_refused_by_name_in_every_format() {
    let seen: BTreeSet<&str> = FEATURES.iter().flat_map(|(_, part)| kinds(part)).collect();
    let all = [
        "NIC",
        "bond",
        "VLAN",
        "VXLAN",
        "bridge",
        "VRF",
        "dummy",
        "veth",
        "MACVLAN",
        "IPVLAN",
        "loopback",
        "partition",
        "tunnel",
        "WireGuard",
        "MACsec",
    ];
    assert_eq!(seen, BTreeSet::from(all));
    for (kind, part) in &FEATURES[..all.len()] {
        assert!(kinds(part).contains(kind), "{kind}");
        let site = sample(part, None, "permanent-mac").unwrap();
        for format in Format::ALL {
            match render_host(&site, "n", *format) {
                Ok(files) => {
                    let text: String = files.iter().map(|file| file.text.as_str()).collect();
                    let part = matches!(format, Format::Frr | Format::Sysctl);
                    assert!(part || !text.is_empty(), "{format} {kind}");
                }
                Err(RenderError::Unsupported { features, .. }) => {
                    let named = |feature: &String| {
                        let (link, what) = feature.split_once(": ").unwrap_or_default();
                        let network = layout(&site, "n");
                        (network.links.contains_key(link) || link == "bgp") && !what.is_empty()
                    };
                    assert!(features.iter().all(named), "{format} {kind}: {features:?}");
                }
                Err(other) => panic!("{format} {kind}: {other}"),
            }
        }
    }
}

#[test]
fn what_formats_cannot_say_is_known() {
    let readers = Reader::all();
    let column = |label: &str| readers.iter().position(|reader| reader.label() == label).unwrap();
    let says = |feature: &str, label: &str| {
        let row = abilities().iter().find(|row| row.feature == feature).unwrap();
        row.refusals[column(label)].is_none()
    };
    let cases = [
        ("NIC", "networkd 247", true),
        ("bond", "netplan", true),
        ("VLAN", "cloud-init-v1", true),
        ("bridge", "network-data", false),
        ("VXLAN", "dracut", false),
        ("provider VLAN", "networkd 247", false),
        ("provider VLAN", "networkd 252", true),
        ("LACP parameters", "network-data", true),
        ("ARP monitor", "network-data", false),
        ("VRF", "talos", true),
        ("VXLAN", "talos", false),
        ("SR-IOV", "nmstate", true),
        ("rule by port", "nmstate", false),
        ("source NAT by processor", "nixos", true),
        ("BGP", "nixos", false),
        ("own table and mark", "cloud-init", false),
        ("source NAT by processor", "netplan", true),
        ("source NAT by processor", "networkmanager", false),
    ];
    for (feature, label, expected) in cases {
        assert_eq!(says(feature, label), expected, "{feature} in {label}");
    }
    let lacp = abilities().iter().find(|row| row.feature == "LACP parameters").unwrap();
    let left_out = lacp.left_out[column("network-data")].as_deref().unwrap();
    assert!(left_out.contains("bond0: ad-user-port-key"), "{left_out}");
    let whole = lacp.left_out.iter().filter(|left_out| left_out.is_some()).count();
    assert_eq!(whole, 1, "{:?}", lacp.left_out);
}

#[test]
fn what_a_format_leaves_out_is_a_warning_and_no_refusal() {
    let bond = "{format: network-data, bonds: {bond0: {nics: [eth0, eth1], mode: MODE, subnet: lan, host-number: 12}}}";
    let cases = [
        (
            "802.3ad, lacp-rate: fast, up-delay: 200ms",
            Severity::Warning,
            "network-data leaves out bond0: lacp-rate",
        ),
        (
            "active-backup, primary: eth0",
            Severity::Error,
            "network-data cannot express bond0: primary",
        ),
    ];
    for (mode, severity, text) in cases {
        let site = sample(&bond.replace("MODE", mode), None, "permanent-mac").unwrap();
        let findings = check_site(&site);
        let found = findings.iter().find(|one| one.rule == "N171" && one.text.starts_with(text));
        assert_eq!(found.map(|one| one.severity), Some(severity), "{mode}: {findings:#?}");
        let is_written = render_host(&site, "n", Format::NetworkData).is_ok();
        assert_eq!(is_written, severity == Severity::Warning, "{mode}");
    }
}
