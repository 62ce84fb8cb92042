//! netplan as a second opinion: what it makes of our netplan text must mean to networkd
//! what our networkd files mean.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rackstrap::network::{Format, render_host};

use crate::common::skip::skip;
use crate::golden;

/// The sections of a file, each with its keys and values.
type Meaning = BTreeSet<(String, BTreeSet<(String, String)>)>;

#[test]
fn netplan_reads_our_text_as_our_networkd_files_say() {
    let Some(generate) = generator() else {
        return skip(
            "netplan_reads_our_text_as_our_networkd_files_say",
            "netplan.io is not installed",
        );
    };
    let mut compared = 0;
    for (name, site) in golden::sites() {
        let Ok(text) = render_host(&site, golden::HOST, Format::Netplan) else { continue };
        let mut ours = render_host(&site, golden::HOST, Format::Networkd).unwrap();
        ours.retain(|file| file.directory == Format::Networkd.directory());
        let theirs = generated(&generate, &text[0].text);
        let (ours, theirs) = (meanings(golden::by_name(ours)), meanings(theirs));
        for (link, meaning) in &ours {
            let other =
                theirs.get(link).unwrap_or_else(|| panic!("{name}: netplan made no {link}"));
            assert_eq!(meaning, other, "{name}: {link}");
        }
        assert_eq!(ours.len(), theirs.len(), "{name}: {:?}", theirs.keys());
        compared += 1;
    }
    assert!(compared >= 4, "only {compared} sites were compared");
}

fn generator() -> Option<PathBuf> {
    let given = std::env::var_os("RACKSTRAP_NETPLAN_GENERATE").map(PathBuf::from);
    let path = given.unwrap_or_else(|| "/usr/libexec/netplan/generate".into());
    path.exists().then_some(path)
}

/// The networkd files that netplan makes of a text.
fn generated(generate: &Path, text: &str) -> BTreeMap<String, String> {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("etc/netplan")).unwrap();
    fs::write(root.path().join("etc/netplan/90-rackstrap.yaml"), text).unwrap();
    let output = Command::new(generate).arg("--root-dir").arg(root.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("rror"), "{said}\n{text}");
    golden::read_files(&root.path().join("run/systemd/network"))
}

/// What the files of each link mean, by `LINK.network` and `LINK.netdev`.
fn meanings(files: BTreeMap<String, String>) -> BTreeMap<String, Meaning> {
    let mut meanings = BTreeMap::new();
    for (name, text) in files {
        // `01-eth0.network` is ours, `10-netplan-eth0.network` is theirs.
        let name = name.split_once('-').unwrap().1.trim_start_matches("netplan-").to_owned();
        // Differences: netplan writes .link files that turn wake-on-LAN off, has no words
        // for the .network of a VRF, and leaves a NIC alone by not naming it.
        let is_vrf = name.ends_with(".network") && text.contains("Name=blue");
        if !name.ends_with(".link") && !is_vrf && !text.contains("Unmanaged=yes") {
            meanings.insert(name, meaning(&text));
        }
    }
    meanings
}

fn meaning(text: &str) -> Meaning {
    let mut meaning = Meaning::new();
    let mut section = String::new();
    let mut block = BTreeSet::new();
    for line in text.lines().chain(["[End]"]) {
        if let Some(next) = line.strip_prefix('[') {
            end_section(&mut meaning, &section, std::mem::take(&mut block));
            section = next.trim_end_matches(']').replace("DHCP", "DHCPv4").replace("v4v", "v");
        } else if let Some((key, value)) = line.split_once('=') {
            let values: Vec<&str> =
                if key == "Domains" { value.split(' ').collect() } else { vec![value] };
            block.extend(values.into_iter().map(|value| (key.to_owned(), plain(key, value))));
        }
    }
    meaning
}

/// Adds a section: its single keys where their order and grouping mean nothing, else whole.
fn end_section(meaning: &mut Meaning, section: &str, mut block: BTreeSet<(String, String)>) {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    if section == "Match" && block.iter().any(|(key, _)| key == "PermanentMACAddress") {
        // Of a NIC that is renamed netplan wants the new name as well.
        block.retain(|(key, _)| key != "Name");
    }
    match section {
        "Route" => {
            let ipv6 = block.iter().any(|(key, value)| key == "Gateway" && value.contains(':'));
            if !block.iter().any(|(key, _)| key == "Destination") {
                block.insert(pair("Destination", if ipv6 { "::/0" } else { "0.0.0.0/0" }));
            }
            // A link in a VRF routes by its table, said or not.
            block.remove(&pair("Table", "1000"));
            meaning.insert((section.into(), block));
        }
        "RoutingPolicyRule" => {
            // netplan wants a source said even where any will do.
            block.remove(&pair("From", "0.0.0.0/0"));
            meaning.insert((section.into(), block));
        }
        _ => {
            for (key, value) in block.into_iter().filter(|(key, value)| counts(section, key, value))
            {
                match key.as_str() {
                    "Gateway" => {
                        let all = if value.contains(':') { "::/0" } else { "0.0.0.0/0" };
                        let route = [pair("Destination", all), (key, value)];
                        meaning.insert(("Route".into(), route.into()));
                    }
                    "Address" => {
                        meaning.insert(("Address".into(), [(key, value)].into()));
                    }
                    _ => {
                        meaning.insert((section.into(), [(key, value)].into()));
                    }
                }
            }
        }
    }
}

/// Whether a key is one that both mean to say. What is left out, and why:
fn counts(section: &str, key: &str, value: &str) -> bool {
    match (section, key) {
        // netplan configures links without carrier; ours wait for it.
        ("Network", "ConfigureWithoutCarrier") => false,
        // networkd's default, which netplan writes down.
        ("Network", "LinkLocalAddressing") => value != "ipv6",
        // netplan says only what is not waited for.
        ("Link", "RequiredForOnline") => value == "no",
        // It repeats what the .netdev says.
        ("Link", "MACAddress") => false,
        // Its own defaults for DHCP.
        ("DHCPv4", "UseMTU") => false,
        ("DHCPv4", "RouteMetric") => value != "100",
        _ => true,
    }
}

/// A value in one notation: times in milliseconds, truth as yes and no.
fn plain(key: &str, value: &str) -> String {
    let millis = |number: &str, factor: f64| {
        number.parse::<f64>().map(|number| format!("{}ms", (number * factor).round()))
    };
    match value {
        "true" => return "yes".into(),
        "false" => return "no".into(),
        _ => {}
    }
    if !key.ends_with("Sec") {
        return value.to_owned();
    }
    if let Some(number) = value.strip_suffix("ms") {
        return millis(number, 1.0).unwrap();
    }
    millis(value.trim_end_matches('s'), 1000.0).unwrap()
}
