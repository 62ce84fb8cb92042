//! nmstate itself reads the desired states that we write, and brings one up in a namespace. Debian
//! has no package of it: `tests/tools/nmstate` is a program on its library.

use std::path::{Path, PathBuf};
use std::process::Command;

use rackstrap::network::{Format, render_host};
use rackstrap::profile::ResolvedSite;

use crate::common::netns::Netns;
use crate::common::skip::skip;
use crate::common::tools;
use crate::golden;

/// The program, made once below `target`; without it the test is reported as skipped.
fn reader(test: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target/nmstate");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--manifest-path"]);
    build.arg(root.join("tests/tools/nmstate/Cargo.toml")).arg("--target-dir").arg(&target);
    let output = build.output().unwrap();
    if !output.status.success() {
        skip(test, &String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(target.join("debug/nmstate-reader"))
}

/// The desired state of a host; none where the format refuses it.
fn state(site: &ResolvedSite, host: &str) -> Option<String> {
    let files = render_host(site, host, Format::Nmstate).ok()?;
    files.into_iter().find(|file| file.name == "90-rackstrap.yml").map(|file| file.text)
}

fn keyfiles(reader: &Path, state: &str) -> Result<String, String> {
    let output = tools::feed(Command::new(reader).arg("keyfiles"), state);
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn nmstate_makes_connections_of_every_state_that_we_write() {
    let Some(reader) = reader("nmstate_makes_connections_of_every_state_that_we_write") else {
        return;
    };
    let mut taken = 0;
    for (name, site) in golden::sites() {
        let Some(state) = state(&site, golden::HOST) else { continue };
        let made =
            keyfiles(&reader, &state).unwrap_or_else(|error| panic!("{name}: {error}{state}"));
        assert!(made.contains("[connection]"), "{name}");
        taken += 1;
    }
    println!("{taken} sites");
    assert!(taken > 10, "only {taken} sites");
    let wrong = "interfaces: [{name: b, type: bond, state: up, link-aggregation: {mode: lacp0}}]\n";
    assert!(keyfiles(&reader, wrong).is_err());
}

#[test]
fn nmstate_makes_of_a_state_what_it_says() {
    let Some(reader) = reader("nmstate_makes_of_a_state_what_it_says") else { return };
    let site = golden::read_site(&golden::directory().join("state.yaml"));
    let made = keyfiles(&reader, &state(&site, golden::HOST).unwrap()).unwrap();
    for line in [
        "mode=802.3ad",
        "lacp_rate=fast",
        "id=20",
        "protocol=802.1ad",
        "egress-priority-map=0:3",
        "route-metric=200",
        "ignore-auto-dns=true",
        "vlan-filtering=true",
        "vlans=10 pvid untagged,20,300-399",
        "table=1000",
        "learning=false",
        "destination-port=4789",
        "total-vfs=2",
        "dns-search=rack.example",
        "token=::53",
    ] {
        assert!(made.lines().any(|one| one == line), "{line}: {made}");
    }
    for part in ["192.0.2.11/24", "2001:db8:9::11/64", "192.0.2.10/32", "weight=3", "blackhole"] {
        assert!(made.contains(part), "{part}: {made}");
    }
}

/// What nmstate sets up without NetworkManager, of links that a kernel without modules has as well.
const LAB: &str = r#"
subnets:
  lan: {cidr: 192.0.2.0/24}
  storage: {cidr: 198.51.100.0/24}
profiles:
  p:
    match: name
    nics: {eth0: {subnet: lan, routes: [{to: 10.9.0.0/16, via: 192.0.2.9, metric: 50}]}}
    bridges: {br0: {interfaces: [eth1], subnet: storage}}
hosts:
  n1:
    profile: p
    nics: {eth0: "02:00:00:00:00:01", eth1: "02:00:00:00:00:02"}
    addresses: {eth0: 192.0.2.11, br0: 198.51.100.11}
"#;

#[test]
fn nmstate_brings_up_what_we_write_and_it_carries_traffic() {
    let Some(reader) = reader("nmstate_brings_up_what_we_write_and_it_carries_traffic") else {
        return;
    };
    let (host, rack) = (Netns::new("state"), Netns::new("rack"));
    for number in 0..2 {
        host.join(&format!("eth{number}"), &rack, &format!("port{number}"));
    }
    rack.ip("address add 192.0.2.9/24 dev port0");
    rack.ip("address add 198.51.100.9/24 dev port1");

    let site: ResolvedSite = serde_saphyr::from_str(LAB).unwrap();
    let state = state(&site, "n1").unwrap();
    // Of IPv6 nmstate sets addresses alone where NetworkManager is not there.
    let mut document: serde_json::Value = serde_saphyr::from_str(&state).unwrap();
    for interface in document["interfaces"].as_array_mut().unwrap() {
        interface.as_object_mut().unwrap().remove("ipv6");
    }
    let state = document.to_string();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &state).unwrap();
    // It verifies the state of the kernel after it has applied it.
    let command = format!("{} apply < {}", reader.display(), file.path().display());
    let applied = host.sh(&command);
    let said = String::from_utf8_lossy(&applied.stderr).into_owned();
    assert!(applied.status.success(), "{said}{state}");

    let shown = |words: &str| String::from_utf8(host.sh(&format!("ip {words}")).stdout).unwrap();
    let route = shown("route show 10.9.0.0/16");
    assert!(route.contains("via 192.0.2.9 dev eth0") && route.contains("metric 50"), "{route}");
    assert!(shown("link show eth1").contains("master br0"));
    for target in ["192.0.2.9", "198.51.100.9"] {
        let pinged = host.sh(&format!("ping -c 3 -i 0.3 -w 10 {target}"));
        let said = String::from_utf8_lossy(&pinged.stdout).into_owned();
        assert!(pinged.status.success(), "{target}: {said}");
    }
}
