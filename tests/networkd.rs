//! The files that are written for systemd-networkd, and what the real one makes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use rackstrap::model::{Mac, Site};
use rackstrap::network::{Format, HostNetwork, Kind, Role, layout, render_host};

use crate::common::netns::Netns;
use crate::golden;

/// How long networkd may take to read its files, and to bring links up.
const PATIENCE: Duration = Duration::from_secs(20);

fn layouts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layouts")
}

/// The three sites whose files an operator wrote by hand before.
fn verbatim_sites() -> BTreeMap<String, Site> {
    let names = ["1-bond", "2-bond-vlan", "3-bond-vlan-bridge"];
    let site = |name| golden::read_site(&layouts().join(format!("{name}.yaml")));
    names.into_iter().map(|name| (name.to_owned(), site(name))).collect()
}

#[test]
fn a_verbatim_profile_gives_the_operators_own_files_byte_for_byte() {
    for (layout, site) in verbatim_sites() {
        let files = render_host(&site, golden::HOST, Format::Networkd).unwrap();
        assert_eq!(
            golden::by_name(files),
            golden::read_files(&layouts().join(&layout)),
            "{layout}"
        );
    }
}

#[test]
fn the_real_networkd_reads_every_file_without_a_complaint() {
    for (name, site) in verbatim_sites().into_iter().chain(golden::sites()) {
        let networkd = Networkd::start(&site);
        networkd.wait_for_log("Enumeration completed");
        assert_eq!(networkd.complaints(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_parser_check_sees_a_broken_file() {
    let site = golden::sites().remove("plain-bridge").unwrap();
    let networkd = Networkd::start_with(&site, |name, text| match name {
        "15-br0.netdev" => text.replace("STP=", "Spanning="),
        _ => text,
    });
    networkd.wait_for_log("Enumeration completed");
    let complaints = networkd.complaints();
    assert!(complaints.len() == 1 && complaints[0].contains("Spanning"), "{complaints:?}");
}

#[test]
fn a_bridge_and_plain_nics_really_come_up_as_modelled() {
    let site = golden::sites().remove("plain-bridge").unwrap();
    let networkd = Networkd::start(&site);
    let network = layout(&site, golden::HOST);
    networkd.wait_until("the links are as modelled", |links| differences(&network, links));
    let routes = networkd.ip(&["-4", "route", "show", "default"]);
    assert_eq!(routes[0]["gateway"], "10.0.1.254", "{routes}");
    assert_eq!(routes[0]["dev"], "br0", "{routes}");
}

#[test]
fn tables_rules_and_several_routers_are_really_installed() {
    let site = golden::sites().remove("policy-routing").unwrap();
    let networkd = Networkd::start(&site);
    let network = layout(&site, golden::HOST);
    networkd.wait_until("the links are as modelled", |links| differences(&network, links));
    networkd.wait_until("the last route is there", |_| {
        let routes = networkd.ip(&["-4", "route", "show", "203.0.113.0/24"]);
        if routes.as_array().is_some_and(Vec::is_empty) { vec!["none".into()] } else { Vec::new() }
    });
    let routes = |arguments: &str| {
        let words: Vec<&str> = arguments.split(' ').collect();
        networkd.ip(&[&["-4", "route", "show"], &words[..]].concat())
    };
    for (table, gateway, device) in [("100", "10.1.0.1", "eth0"), ("101", "10.2.0.1", "eth1")] {
        let default = routes(&format!("default table {table}"));
        assert_eq!((&default[0]["gateway"], &default[0]["dev"]), (&gateway.into(), &device.into()));
    }
    let hops = &routes("203.0.113.0/24")[0]["nexthops"];
    assert_eq!((&hops[0]["weight"], &hops[1]["weight"]), (&1.into(), &3.into()), "{hops}");
    assert_eq!(routes("198.51.100.0/24")[0]["type"], "blackhole");
    assert_eq!(routes("192.0.2.0/24")[0]["metric"], 50);
    let rule = |rule: &Value| {
        let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        (rule["priority"].as_u64().unwrap(), text("src"), text("fwmark"), text("table"))
    };
    let rules: Vec<_> = networkd.ip(&["-4", "rule"]).as_array().unwrap().iter().map(rule).collect();
    let expected = [
        (100, "all", "0x10", "100"),
        (101, "all", "0x11", "101"),
        (500, "10.1.0.10", "", "100"),
        (501, "10.2.0.10", "", "101"),
    ];
    for (priority, from, mark, table) in expected {
        let rule = (priority, from.to_owned(), mark.to_owned(), table.to_owned());
        assert!(rules.contains(&rule), "{rule:?} is not in {rules:?}");
    }
}

/// What of the kernel's links is not as the model says; empty when all is.
fn differences(network: &HostNetwork, links: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for link in network.links.values().filter(|link| link.role != Role::Unused) {
        let Some(real) = links.as_array().unwrap().iter().find(|real| real["ifname"] == *link.name)
        else {
            wrong.push(format!("{} is not there", link.name));
            continue;
        };
        let mac = match link.kind {
            Kind::Nic(mac) => mac,
            _ => link.mac,
        };
        let up = real["flags"].as_array().unwrap().iter().any(|flag| flag == "UP");
        let addresses: Vec<String> =
            link.layer3.addresses.iter().map(ToString::to_string).collect();
        let expected = (
            link.mtu.map(u64::from),
            link.master.as_deref(),
            mac.map(|m| m.to_string()),
            true,
            addresses,
        );
        let seen = (
            real["mtu"].as_u64(),
            real["master"].as_str(),
            mac.and_then(|_| real["address"].as_str().map(str::to_owned)),
            up,
            global_addresses(real),
        );
        if expected != seen {
            wrong.push(format!("{}: {seen:?}, expected {expected:?}", link.name));
        }
    }
    wrong
}

fn global_addresses(link: &Value) -> Vec<String> {
    let global = |info: &&Value| info["scope"] == "global";
    let text = |info: &Value| format!("{}/{}", info["local"].as_str().unwrap(), info["prefixlen"]);
    link["addr_info"].as_array().unwrap().iter().filter(global).map(text).collect()
}

/// A running systemd-networkd in a namespace that has the host's NICs as veth pairs.
struct Networkd {
    process: Child,
    inside: Netns,
    _outside: Netns,
    directory: tempfile::TempDir,
}

impl Networkd {
    fn start(site: &Site) -> Self {
        Self::start_with(site, |_, text| text)
    }

    /// Starts networkd on the files of the site's host, each changed by `edit`.
    fn start_with(site: &Site, edit: impl Fn(&str, String) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join("files");
        fs::create_dir(&files).unwrap();
        let mut rendered = render_host(site, golden::HOST, Format::Networkd).unwrap();
        rendered.retain(|file| file.directory == Format::Networkd.directory());
        for file in rendered {
            let text = edit(&file.name, matching_by_name(site, file.text));
            fs::write(files.join(&file.name), text).unwrap();
        }
        let (inside, outside) = (Netns::new("networkd"), Netns::new("switch"));
        for (label, mac) in &site.hosts[golden::HOST].nics {
            add_nic(&inside, &outside, label, *mac);
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/run-networkd.sh");
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = Command::new("ip")
            .args(["netns", "exec", &inside.name])
            .args(["unshare", "--mount", "--propagation", "private"])
            .arg(script)
            .arg(files)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, inside, _outside: outside, directory }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    fn wait_for_log(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < end, "networkd never said {text:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `differences` finds none between the kernel's links and the model.
    fn wait_until(&self, what: &str, differences: impl Fn(&Value) -> Vec<String>) {
        let end = Instant::now() + PATIENCE;
        loop {
            let wrong = differences(&self.ip(&["addr"]));
            if wrong.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{what}: {wrong:#?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `ip -j` says inside.
    fn ip(&self, arguments: &[&str]) -> Value {
        let output = self.inside.command("ip").arg("-j").args(arguments).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// networkd words every rejected line as `FILE:LINE: ...`, and every rejected file
    /// or section as `FILE: ...`.
    fn complaints(&self) -> Vec<String> {
        let log = self.log();
        let about_a_file = |line: &&str| {
            line.split_once(": ").is_some_and(|(file, _)| file.contains("/systemd/network/"))
        };
        log.lines().filter(about_a_file).map(str::to_owned).collect()
    }
}

impl Drop for Networkd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A veth has no permanent MAC, and a match on the current one would catch the bridge
/// that bears it as well: in the test's copy alone, NICs are matched by name.
fn matching_by_name(site: &Site, text: String) -> String {
    let nics = site.hosts[golden::HOST].nics.iter();
    nics.fold(text, |text, (label, mac)| {
        text.replace(&format!("PermanentMACAddress={mac}"), &format!("Name={label}"))
    })
}

fn add_nic(inside: &Netns, outside: &Netns, label: &str, mac: Mac) {
    let peer = format!("p-{label}");
    inside.ip(&format!(
        "link add {label} address {mac} type veth peer {peer} netns {}",
        outside.name
    ));
    outside.ip(&format!("link set {peer} up"));
}
