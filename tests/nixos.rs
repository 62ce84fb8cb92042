//! What Nix itself reads in the modules that we write: the very lines of networkd's files.

use std::collections::BTreeMap;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use rackstrap::network::{File, Format, render_host};
use rackstrap::profile::ResolvedSite;
use serde_json::{Value, json};

use crate::common::skip::skip;
use crate::common::tools::{self, Tool};
use crate::golden;

fn nix(test: &str) -> Option<Tool> {
    let found = tools::find("usr/bin/nix-instantiate", &["--version"]);
    if found.is_none() {
        skip(test, "nix-instantiate of the package nix-bin is not unpacked, or does not start");
    }
    found
}

/// The value of an expression.
fn evaluated(nix: &Tool, expression: &str) -> Value {
    let home = tempfile::tempdir().unwrap();
    let mut command = nix.command();
    command.env("HOME", home.path()).env("NIX_REMOTE", "dummy://");
    command.args(["--eval", "--strict", "--json", "-"]);
    let output = tools::feed(&mut command, expression);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{expression}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Lines of a file of networkd's, as `SECTION NUMBER KEY=VALUE`: sections that repeat have a number.
fn lines(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut section, mut number) = ("", 0);
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            let count = seen.entry(section).or_default();
            *count += 1;
            // Where they are one section to networkd, they are one to NixOS.
            let repeats =
                ["Address", "Route", "RoutingPolicyRule", "BridgeFDB", "SR-IOV", "Neighbor"];
            number = if repeats.contains(&section) { *count } else { 1 };
        } else if line.contains('=') && !line.starts_with('#') {
            lines.push(format!("{section} {number} {line}"));
        }
    }
    lines.sort();
    lines
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The file that NixOS makes of options: the section of each, and what is appended.
fn file(options: &Value) -> String {
    const SECTIONS: [(&str, &str); 20] = [
        ("matchConfig", "Match"),
        ("linkConfig", "Link"),
        ("netdevConfig", "NetDev"),
        ("networkConfig", "Network"),
        ("dhcpV4Config", "DHCPv4"),
        ("dhcpV6Config", "DHCPv6"),
        ("ipv6AcceptRAConfig", "IPv6AcceptRA"),
        ("bridgeConfig", "Bridge"),
        ("bondConfig", "Bond"),
        ("vlanConfig", "VLAN"),
        ("vxlanConfig", "VXLAN"),
        ("vrfConfig", "VRF"),
        ("macvlanConfig", "MACVLAN"),
        ("tunnelConfig", "Tunnel"),
        ("peerConfig", "Peer"),
        ("addresses", "Address"),
        ("routes", "Route"),
        ("routingPolicyRules", "RoutingPolicyRule"),
        ("bridgeVLANs", "BridgeVLAN"),
        ("bridgeFDBs", "BridgeFDB"),
    ];
    let mut made = String::new();
    for (option, value) in options.as_object().unwrap() {
        if option == "extraConfig" {
            made += &text(value);
            continue;
        }
        let found = SECTIONS.iter().find(|(name, _)| name == option);
        let (_, section) = found.unwrap_or_else(|| panic!("no option {option}"));
        let copies = match value {
            Value::Array(copies) => copies.clone(),
            one => vec![one.clone()],
        };
        for keys in copies {
            made += &format!("[{section}]\n");
            for (key, value) in keys.as_object().unwrap() {
                let values = match value {
                    Value::Array(values) => values.clone(),
                    one => vec![one.clone()],
                };
                values.iter().for_each(|value| made += &format!("{key}={}\n", text(value)));
            }
        }
    }
    made
}

fn module(site: &ResolvedSite) -> Option<String> {
    let files = render_host(site, golden::HOST, Format::NixOs).ok()?;
    assert_eq!(files.len(), 1);
    files.into_iter().next().map(|file| file.text)
}

#[test]
fn nix_reads_the_very_lines_of_networkds_files() {
    let Some(nix) = nix("nix_reads_the_very_lines_of_networkds_files") else { return };
    let (mut sites, mut units) = (0, 0);
    for (name, site) in golden::sites() {
        let Some(module) = module(&site) else { continue };
        let value = evaluated(&nix, &module);
        let files = render_host(&site, golden::HOST, Format::Networkd).unwrap();
        let is_unit = |file: &&File| file.directory.as_deref() == Some("/etc/systemd/network");
        for unit in files.iter().filter(is_unit) {
            let (stem, ending) = unit.name.rsplit_once('.').unwrap();
            let options = &value["systemd.network"];
            let options = if options.is_null() { &value["systemd"]["network"] } else { options };
            let options = &options[format!("{ending}s")][stem];
            if options.is_null() {
                // One that the profile adds whole.
                let added = &value["environment"]["etc"][format!("systemd/network/{}", unit.name)];
                assert_eq!(added["text"], json!(unit.text), "{name} {}", unit.name);
                continue;
            }
            assert_eq!(lines(&file(options)), lines(&unit.text), "{name} {}", unit.name);
            units += 1;
        }
        sites += 1;
    }
    println!("{sites} sites, {units} files");
    assert!(sites > 20, "only {sites} sites");
}

#[test]
fn no_text_ends_its_quotes_in_nix() {
    let Some(nix) = nix("no_text_ends_its_quotes_in_nix") else { return };
    let mut runner = TestRunner::deterministic();
    let strategy =
        proptest::string::string_regex("([$\\\\\"'{}\n\t\ra-c]|''|\\$\\{|\\PC){0,24}").unwrap();
    // In a site file a text that begins with `=` is an expression, and so is what is between `<` and `>`.
    let text = |_| format!("x{}\n", strategy.new_tree(&mut runner).unwrap().current());
    let texts: Vec<String> = (0..400).map(text).collect();
    let named = |(number, text): (usize, &String)| {
        (format!("/etc/x/{number:03}"), json!({"text": text.replace('<', "<<")}))
    };
    let files: serde_json::Map<String, Value> = texts.iter().enumerate().map(named).collect();
    let site = json!({
        "subnets": {"lan": {"cidr": "192.0.2.0/24"}},
        "profiles": {"p": {"nics": {"eth0": {"subnet": "lan"}}, "extra": {"files": files}}},
        "hosts": {golden::HOST: {
            "profile": "p", "nics": {"eth0": "02:00:00:00:00:01"}, "addresses": {"eth0": "192.0.2.7"}
        }},
    });
    let site: ResolvedSite = serde_json::from_value(site).unwrap();
    let files = render_host(&site, golden::HOST, Format::NixOs);
    let module = files.unwrap_or_else(|error| panic!("{error}")).remove(0).text;
    let value = evaluated(&nix, &module);
    for (number, text) in texts.iter().enumerate() {
        let file = &value["environment"]["etc"][format!("x/{number:03}")];
        assert_eq!(file["text"], json!(text), "{number}");
    }
}
