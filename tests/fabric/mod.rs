//! The switches of `tests/fabric/site.yaml` in their vendors' words, whole files compared.
//! `GOLDEN=write cargo test fabric::` writes what is rendered; read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use rackstrap::model::Vendor;
use rackstrap::network::{FabricError, check_site, consequences, fabric, render_switch};
use rackstrap::profile::ResolvedSite;
use serde_json::Value;

use crate::golden::read_site;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fabric")
}

fn site() -> ResolvedSite {
    read_site(&directory().join("site.yaml"))
}

/// The site with a piece of its text replaced, where a case wants it otherwise.
fn changed(old: &str, new: &str) -> ResolvedSite {
    let text = fs::read_to_string(directory().join("site.yaml")).unwrap();
    assert!(text.contains(old), "{old} is not in the site");
    serde_saphyr::from_str(&text.replace(old, new)).unwrap()
}

#[test]
fn every_switch_renders_to_its_golden_file() {
    let site = site();
    assert_eq!(check_site(&site), []);
    let write = std::env::var("GOLDEN").is_ok_and(|value| value == "write");
    for (name, switch) in &site.switches {
        let text = render_switch(&site, name).unwrap();
        let ending = match switch.vendor {
            Vendor::Eos => "eos",
            Vendor::Nvue => "yaml",
            Vendor::Sonic => "json",
        };
        let golden = directory().join(format!("{name}.{ending}"));
        if write {
            fs::write(&golden, &text).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(text, expected, "{}", golden.display());
    }
}

#[test]
fn nvue_reads_as_yaml_and_says_what_the_hosts_need() {
    let text = render_switch(&site(), "leaf2a").unwrap();
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    let interfaces = &document[0]["set"]["interface"];
    let bond = &interfaces["bond12"];
    assert_eq!(bond["bond"]["member"], serde_json::json!({"swp12": {}}), "{text}");
    assert_eq!(bond["bond"]["lacp-bypass"], "on");
    assert_eq!(bond["bond"]["lacp-rate"], "fast");
    assert_eq!(bond["bond"]["mlag"]["id"], 12);
    let domain = &bond["bridge"]["domain"]["br_default"];
    assert_eq!(domain["untagged"], 10);
    assert_eq!(domain["vlan"], serde_json::json!({"10,501,600-601": {}}));
    assert_eq!(domain["stp"]["bpdu-guard"], "on");
    assert_eq!(interfaces["swp12"]["bridge"], Value::Null);
    assert_eq!(interfaces["swp13s0"]["bridge"]["domain"]["br_default"]["access"], 20);
    assert_eq!(interfaces["swp13s0"]["link"]["mtu"], 9216);
}

#[test]
fn sonic_reads_as_json_and_every_reference_in_it_is_there() {
    for name in ["leaf3a", "leaf3b"] {
        let text = render_switch(&site(), name).unwrap();
        let tables: Value = serde_json::from_str(&text).unwrap();
        let has = |table: &str, key: &str| tables[table].get(key).is_some();
        for member in tables["VLAN_MEMBER"].as_object().unwrap().keys() {
            let (vlan, port) = member.split_once('|').unwrap();
            assert!(has("VLAN", vlan), "{member}");
            assert!(has("PORT", port) || has("PORTCHANNEL", port), "{member}");
        }
        for member in tables["PORTCHANNEL_MEMBER"].as_object().unwrap().keys() {
            let (group, port) = member.split_once('|').unwrap();
            assert!(has("PORTCHANNEL", group) && has("PORT", port), "{member}");
        }
        assert!(has("MCLAG_INTERFACE", "7|PortChannel48"), "{text}");
        let group = &tables["PORTCHANNEL"]["PortChannel48"];
        assert_eq!((&group["fallback"], &group["fast_rate"]), (&"true".into(), &"true".into()));
        let native = &tables["VLAN_MEMBER"]["Vlan10|PortChannel48"]["tagging_mode"];
        assert_eq!(native, "untagged");
    }
}

#[test]
fn both_switches_of_a_pair_agree_on_each_group() {
    let site = site();
    for (a, b) in [("leaf1a", "leaf1b"), ("leaf2a", "leaf2b"), ("leaf3a", "leaf3b")] {
        let [a, b] = [a, b].map(|name| fabric(&site, name).unwrap().lags);
        assert_eq!((a.len(), b.len()), (1, 1));
        assert_eq!((a[0].id, &a[0].lan, a[0].mlag), (b[0].id, &b[0].lan, true));
    }
}

#[test]
fn what_a_switch_cannot_do_is_refused_by_name() {
    let cases = [
        (
            "mode: 802.3ad, lacp-rate: fast",
            "mode: balance-xor",
            "leaf3a",
            "PortChannel48: bond0 of r3-n01 without LACP",
        ),
        (
            "mlag-peer: leaf1b",
            "mtu: 9214",
            "leaf1a",
            "Ethernet12: bond0 of r1-n01 ends on leaf1b too, which is not an MLAG peer",
        ),
        (
            "{vendor: eos, rack: r1, mlag-peer: leaf1b}",
            "{vendor: eos, rack: r1, mlag-peer: leaf1b, mtu: 8000}",
            "leaf1a",
            "MTU 9000 of r1-n01 with room for its headers",
        ),
        (
            "guests0: {link: bond0, id: 600}",
            "guests0: {link: bond0, id: 600, protocol: 802.1ad}",
            "leaf2a",
            "swp12: 802.1ad of r2-n01 guests0",
        ),
        (
            "guests0: {link: bond0, id: 600}",
            "guests0: {link: bond0, id: 10}",
            "leaf2a",
            "swp12: VLAN 10 both tagged and native for r2-n01",
        ),
        (
            "switch: leaf1b, port: Ethernet14}",
            "switch: leaf1b, port: Ethernet3/14/1}",
            "leaf1b",
            "",
        ),
        (
            "switch: leaf1a, port: Ethernet12}",
            "switch: leaf1a, port: Ethernet3/14/1}",
            "leaf1a",
            "Ethernet3/14/1: a number for bond0 of r1-n01",
        ),
    ];
    for (old, new, switch, says) in cases {
        match (render_switch(&changed(old, new), switch), says) {
            (Ok(_), "") => {}
            (Err(error @ FabricError::Unsupported { .. }), says) if !says.is_empty() => {
                assert!(error.to_string().contains(says), "{error}");
            }
            (other, _) => panic!("{old} -> {new}: {other:?}"),
        }
    }
    let unknown = render_switch(&site(), "leaf1c").unwrap_err().to_string();
    assert!(unknown.contains("switch \"leaf1c\" does not exist; did you mean"), "{unknown}");
}

#[test]
fn a_host_that_is_given_to_another_tenant_changes_its_switches_too() {
    let (before, mut after) = (site(), site());
    after.hosts.get_mut("r1-n01").unwrap().give_to(Some("globex".into()));
    let changes = consequences(&before, &after).switches;
    let names: Vec<&String> = changes.iter().flat_map(|change| &change.switches).collect();
    assert_eq!(names, ["leaf1a", "leaf1b"]);
    let text: Vec<&str> = changes[0].lines.iter().map(|line| line.text.as_str()).collect();
    let wanted = "+    switchport trunk allowed vlan 10,501,600-601";
    assert!(text.contains(&wanted), "{text:#?}");
}
