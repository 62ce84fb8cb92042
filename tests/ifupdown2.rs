//! What the real ifupdown2 reads in our interfaces file: it parses it, checks the values of
//! every attribute, and lists the attributes that it knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rackstrap::network::{Format, render_host};
use rackstrap::profile::ResolvedSite;

use crate::common::skip::skip;
use crate::common::tools;
use crate::golden;

/// Words that are no addon's: the commands, and what belongs to the stanza itself.
const OWN_WORDS: [&str; 3] = ["post-up", "pre-down", "vrf"];

/// Runs one of ifupdown2's programs in namespaces of its own, on an interfaces file.
fn run(text: &str, program: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("network")).unwrap();
    fs::write(directory.path().join("network/interfaces"), text).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/run-ifupdown2.sh");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--propagation", "private"]).arg(script);
    command.arg(tools::root()).arg(directory.path()).args(program).output().unwrap()
}

/// The attributes that its addons know; none where it cannot run.
fn known() -> Option<BTreeSet<String>> {
    if !tools::root().join("usr/share/ifupdown2").exists() {
        return None;
    }
    let output = run("", &["ifquery", "-s"]);
    let text = String::from_utf8(output.stdout).unwrap();
    // An attribute stands two spaces in, its help further.
    let word = |line: &str| {
        let word = line.strip_prefix("  ").filter(|word| !word.starts_with(' '))?;
        Some(word.trim_end_matches(" (required)").trim().to_owned())
    };
    Some(text.lines().filter_map(word).collect()).filter(|words: &BTreeSet<_>| words.len() > 50)
}

/// What it complains of, but for the links that the empty namespace does not have.
fn complaints(text: &str) -> Vec<String> {
    let output = run(text, &["ifreload", "-a", "-s"]);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    let silent = lines.is_empty();
    // Its advice is to leave a bridge's MTU to its ports; it sets it all the same, and a bridge
    // that has none of its own falls to 1500 with the first such port.
    let ignored = ["interface not recognized", "There is no need to assign mtu on a bridge"];
    lines.retain(|line| !ignored.iter().any(|words| line.contains(words)));
    if silent && !output.status.success() {
        lines.push(output.status.to_string());
    }
    lines
}

#[test]
fn ifupdown2_knows_every_attribute_that_we_write_and_takes_its_value() {
    let Some(known) = known() else {
        return skip(
            "ifupdown2_knows_every_attribute_that_we_write_and_takes_its_value",
            "the package ifupdown2 is not unpacked, or its ifquery does not run",
        );
    };
    let mut read = 0;
    for (name, site) in golden::sites() {
        let Ok(files) = render_host(&site, golden::HOST, Format::Ifupdown2) else { continue };
        let text = &files.iter().find(|file| file.name == "interfaces").unwrap().text;
        let attributes = text.lines().filter_map(|line| line.strip_prefix('\t'));
        let attributes = attributes.filter(|line| !line.starts_with('#'));
        for attribute in attributes.map(|line| line.split(' ').next().unwrap()) {
            let is_known = known.contains(attribute) || OWN_WORDS.contains(&attribute);
            assert!(is_known, "{name}: {attribute}");
        }
        assert_eq!(complaints(text), Vec::<String>::new(), "{name}: {text}");
        read += 1;
    }
    assert!(read > 0, "no site was read");
}

#[test]
fn the_check_of_interfaces_sees_a_wrong_value() {
    if known().is_none() {
        return skip(
            "the_check_of_interfaces_sees_a_wrong_value",
            "the package ifupdown2 is not unpacked, or its ifquery does not run",
        );
    }
    let text = "auto br0\niface br0\n\tbridge-ports eno1\n\tbridge-bridgeprio banana\n";
    let complaints = complaints(text);
    assert!(complaints.iter().any(|line| line.contains("banana")), "{complaints:?}");
}

/// Proxmox's own layout: a VLAN-aware bridge over a bond, the host's address on a VLAN of it.
#[test]
fn ifupdown2_takes_a_vlan_aware_bridge_with_the_address_on_its_vlan() {
    let test = "ifupdown2_takes_a_vlan_aware_bridge_with_the_address_on_its_vlan";
    if known().is_none() {
        return skip(test, "the package ifupdown2 is not unpacked, or its ifquery does not run");
    }
    let site = serde_json::json!({
        "subnets": {"mgmt": {"cidr": "10.30.0.0/24", "vlan": 10, "gateway": "10.30.0.1", "dns": ["10.30.0.2"]}},
        "profiles": {"pve": {
            "match": "name",
            "bonds": {"bond0": {"nics": ["eno1", "eno2"], "mode": "802.3ad"}},
            "bridges": {"vmbr0": {
                "interfaces": ["bond0"], "vlan-filtering": true, "stp": false,
                "ports": {"bond0": {"tagged": [10, 20, 30]}, "vmbr0": {"tagged": [10]}},
            }},
            "vlans": {"vmbr0.10": {"link": "vmbr0", "subnet": "mgmt"}},
        }},
        "hosts": {(golden::HOST): {
            "profile": "pve",
            "nics": {"eno1": "52:54:00:aa:00:01", "eno2": "52:54:00:aa:00:02"},
            "addresses": {"vmbr0.10": "10.30.0.11"},
        }},
    });
    let site: ResolvedSite = serde_json::from_value(site).unwrap();
    let files = render_host(&site, golden::HOST, Format::Ifupdown2).unwrap();
    let text = &files.iter().find(|file| file.name == "interfaces").unwrap().text;
    assert_eq!(complaints(text), Vec::<String>::new(), "{text}");
    for line in ["bridge-vlan-aware yes", "bridge-vids 10 20 30", "vlan-raw-device vmbr0"] {
        assert!(text.contains(&format!("\t{line}\n")), "{line} is not in {text}");
    }
}
