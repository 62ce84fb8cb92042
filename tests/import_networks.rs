//! Networks of running hosts: taken over, and compared by what they mean; netplan itself agrees.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::common::skip::skip;
use crate::import_servers::{import_json, rackstrap};

/// A host with a bond, two VLANs and a bridge.
fn netplan(n: usize) -> String {
    let (rack, unit) = (n / 40 + 1, n % 40 + 10);
    format!(
        r#"network:
  version: 2
  renderer: networkd
  ethernets:
    eno1: {{match: {{macaddress: "0c:42:a1:{rack:02x}:{unit:02x}:01"}}, set-name: eno1, mtu: 9000}}
    eno2: {{match: {{macaddress: "0c:42:a1:{rack:02x}:{unit:02x}:02"}}, set-name: eno2, mtu: 9000}}
  bonds:
    bond0:
      interfaces: [eno1, eno2]
      mtu: 9000
      parameters: {{mode: 802.3ad, lacp-rate: fast, mii-monitor-interval: 100, transmit-hash-policy: layer3+4}}
  vlans:
    vlan120:
      id: 120
      link: bond0
      mtu: 1500
      addresses: [10.60.{rack}.{unit}/16]
      nameservers: {{addresses: [10.60.0.2, 10.60.0.3], search: [hall.example]}}
      routes:
        - {{to: default, via: 10.60.0.1}}
    vlan130: {{id: 130, link: bond0, mtu: 9000}}
  bridges:
    br0:
      interfaces: [vlan130]
      mtu: 9000
      addresses: [10.70.{rack}.{unit}/16]
      parameters: {{stp: false}}
      routes:
        - {{to: 10.80.0.0/16, via: 10.70.0.1, metric: 100}}
"#
    )
}

#[test]
fn four_hundred_hosts_are_one_profile_and_mean_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for n in 0..400 {
        let host = path.join(format!("hosts/n{n:03}/etc/netplan"));
        fs::create_dir_all(&host).unwrap();
        fs::write(host.join("50-cloud-init.yaml"), netplan(n)).unwrap();
    }
    let imported = import_json(path, &["hosts"]);
    let site = &imported["site"];
    assert_eq!(site["profiles"].as_object().unwrap().len(), 1, "{}", site["profiles"]);
    assert_eq!(site["hosts"].as_object().unwrap().len(), 400);
    assert_eq!(imported["not_taken"].as_array().unwrap().len(), 0, "{}", imported["not_taken"]);
    let done = rackstrap(path, &["import", "--apply", "hosts"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let begin = Instant::now();
    let compared = rackstrap(path, &["render", "--format", "netplan", "--diff", "hosts"]);
    let said = String::from_utf8(compared.stdout).unwrap();
    println!("400 hosts compared in {:?}", begin.elapsed());
    assert_eq!(said, "400 of 400 hosts agree\n", "{}", String::from_utf8_lossy(&compared.stderr));
    assert_eq!(compared.status.code(), Some(0));

    // One address and one parameter otherwise; comments and order are no difference.
    let file = path.join("hosts/n007/etc/netplan/50-cloud-init.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let changed = text.replace("lacp-rate: fast, ", "").replace("10.80.0.0/16", "10.81.0.0/16");
    fs::write(&file, format!("# ours\n{changed}")).unwrap();
    let compared = rackstrap(path, &["render", "--format", "netplan", "--diff", "hosts"]);
    let said = String::from_utf8(compared.stdout).unwrap();
    assert_eq!(compared.status.code(), Some(1));
    for line in [
        "n007:",
        "+ bond0: lacp-rate fast",
        "- br0: route to 10.81.0.0/16 via 10.70.0.1 metric 100",
        "+ br0: route to 10.80.0.0/16 via 10.70.0.1 metric 100",
        "399 of 400 hosts agree",
    ] {
        assert!(said.lines().any(|one| one == line), "{line}: {said}");
    }
    let beside = rackstrap(path, &["render", "n001", "--diff", "n002"]);
    assert_eq!(beside.status.code(), Some(1));
    let same = rackstrap(path, &["render", "n001", "--diff", "n001"]);
    assert_eq!((same.status.code(), same.stdout.is_empty()), (Some(0), true));
    let files = ["render", "n007", "--format", "netplan", "--diff", "hosts/n007"];
    assert_eq!(rackstrap(path, &files).status.code(), Some(1));
    let said = String::from_utf8(beside.stdout).unwrap();
    assert!(
        said.contains("- vlan120: address 10.60.1.12/16\n+ vlan120: address 10.60.1.11/16"),
        "{said}"
    );
    assert!(!said.contains("route"), "{said}");
}

/// What netplan makes for networkd, as sections that can be compared.
fn generated(netplan: &str) -> Option<BTreeSet<String>> {
    let root = tempfile::tempdir().unwrap();
    let etc = root.path().join("etc/netplan");
    fs::create_dir_all(&etc).unwrap();
    fs::write(etc.join("50.yaml"), netplan).unwrap();
    let made =
        Command::new("netplan").args(["generate", "--root-dir"]).arg(root.path()).output().ok()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut lines = BTreeSet::new();
    collect(&root.path().join("run/systemd/network"), &mut lines);
    Some(lines)
}

fn collect(directory: &Path, lines: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut section = String::new();
        for line in fs::read_to_string(&path).unwrap().lines() {
            match line.starts_with('[') {
                true => section = line.to_owned(),
                false if !line.is_empty() => drop(lines.insert(format!("{name} {section} {line}"))),
                false => {}
            }
        }
    }
}

#[test]
fn netplan_makes_the_same_links_addresses_and_routes_of_what_is_rendered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("n001.yaml"), netplan(1)).unwrap();
    let done = rackstrap(path, &["import", "--apply", "n001.yaml"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let rendered = rackstrap(path, &["--json", "render", "n001", "--format", "netplan"]);
    let files: serde_json::Value = serde_json::from_slice(&rendered.stdout).unwrap();
    let yaml =
        files.as_array().unwrap().iter().find(|file| file["name"] == "90-rackstrap.yaml").unwrap();
    let (Some(before), Some(after)) =
        (generated(&netplan(1)), generated(yaml["text"].as_str().unwrap()))
    else {
        skip("import_networks", "netplan is not installed");
        return;
    };
    let is_meant = |line: &&String| {
        [
            "Address=",
            "Gateway=",
            "Destination=",
            "Metric=",
            "Id=",
            "Mode=",
            "LACPTransmitRate=",
            "Bond=",
            "VLAN=",
            "Bridge=",
            "DNS=",
            "Kind=",
            "MTUBytes=",
        ]
        .iter()
        .any(|key| line.rsplit(' ').next().unwrap().starts_with(key))
    };
    let pick =
        |lines: &BTreeSet<String>| lines.iter().filter(is_meant).cloned().collect::<Vec<_>>();
    assert_eq!(pick(&before), pick(&after));
}

#[test]
fn latin_1_is_read_in_tables_and_in_directories() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("hosts.csv"), b"host,serial,notes\nn1,S1,B\xfcro\n").unwrap();
    let done = rackstrap(path, &["import", "--apply", "hosts.csv"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let shown = rackstrap(path, &["export"]);
    let said = String::from_utf8(shown.stdout).unwrap();
    assert!(said.contains("B\u{fc}ro"), "{said}");

    let etc = path.join("hosts/n2/etc/systemd/network");
    fs::create_dir_all(&etc).unwrap();
    let text = b"# f\xfcr das B\xfcro\n[Match]\nName=eth0\n[Network]\nDescription=B\xfcro\nAddress=192.0.2.7/24\n";
    fs::write(etc.join("10-eth0.network"), text).unwrap();
    // What has control characters is no text.
    fs::write(etc.join("core"), b"\x7fELF\x01\xff\x00").unwrap();
    let imported = import_json(path, &["hosts"]);
    let text = imported.to_string();
    assert!(text.contains("192.0.2.7") && text.contains("B\u{fc}ro"), "{text}");
}
