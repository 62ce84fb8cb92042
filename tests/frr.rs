//! What the real FRR reads in our frr.conf, and what it then announces: beside a real networkd,
//! with another FRR as the switch.

use std::fs;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use rackstrap::network::{Format, layout, render_host};
use rackstrap::profile::ResolvedSite;

use crate::common::netns::Netns;
use crate::common::networkd::{Networkd, Systemd};
use crate::common::skip::skip;
use crate::common::tools::{self, Tool};
use crate::golden;

fn vtysh(test: &str) -> Option<Tool> {
    let found = tools::find("usr/bin/vtysh", &["--help"]);
    if found.is_none() {
        skip(test, "vtysh of the package frr is not unpacked, or does not start");
    }
    found
}

/// What FRR says of a configuration.
fn check(vtysh: &Tool, text: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    // It looks for a file of its own beside, and says so if there is none.
    fs::write(directory.path().join("vtysh.conf"), "").unwrap();
    fs::write(directory.path().join("frr.conf"), text).unwrap();
    let mut command = vtysh.command();
    command.arg("--config_dir").arg(directory.path());
    command.arg("-C").arg("-f").arg(directory.path().join("frr.conf")).output().unwrap()
}

#[test]
fn frr_knows_every_command_that_we_write() {
    let Some(vtysh) = vtysh("frr_knows_every_command_that_we_write") else { return };
    let mut read = 0;
    for (name, site) in golden::sites() {
        let files = render_host(&site, golden::HOST, Format::Frr).unwrap();
        for file in files.iter().filter(|file| file.name == "frr.conf") {
            let output = check(&vtysh, &file.text);
            let said = [output.stdout, output.stderr].concat();
            assert_eq!(String::from_utf8_lossy(&said), "", "{name}: {}", file.text);
            assert!(output.status.success(), "{name}");
            read += 1;
        }
    }
    assert!(read > 0, "no site speaks BGP");
}

#[test]
fn the_check_of_frr_sees_a_wrong_command() {
    let Some(vtysh) = vtysh("the_check_of_frr_sees_a_wrong_command") else { return };
    let output = check(&vtysh, "router bgp 65001\n bgp router id 10.0.0.1\nexit\n");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("Unknown command"), "{said}");
}

/// zebra and bgpd in a namespace; ended when dropped.
struct Frr {
    processes: Vec<Child>,
    _directory: tempfile::TempDir,
}

impl Frr {
    fn start(namespace: &Netns, text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let conf = directory.path().join("frr.conf");
        fs::write(&conf, text).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/run-frr.sh");
        // bgpd waits for zebra, and finds it by the socket in the directory.
        let processes = ["zebra", "bgpd"].map(|daemon| {
            let log = fs::File::create(directory.path().join(format!("{daemon}.log"))).unwrap();
            let mut command = namespace.command("unshare");
            command.args(["--mount", "--propagation", "private"]).arg(&script);
            command.arg(tools::root()).arg(directory.path()).arg(daemon);
            command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
            command.spawn().unwrap()
        });
        Self { processes: processes.into(), _directory: directory }
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A host with two cables and an address of its own on the loopback, beside one that it only
/// answers for behind a load balancer. A subnet of the site has the provisioning server.
fn site_with_bgp(systemd: &Systemd) -> ResolvedSite {
    let site = serde_json::json!({
        "subnets": {
            "boot": {"cidr": "10.77.0.0/24", "gateway": "10.77.0.1", "server": "10.77.0.2"},
            "own": {"cidr": "10.0.17.0/24", "dns": ["10.77.0.53"]},
        },
        "profiles": {"p": {
            "match": "name",
            "systemd": systemd.version,
            "nics": {"lan0": {}, "lan1": {}},
            "loopbacks": {"lo": {
                "subnet": "own", "addresses": [{"address": "10.77.0.200/32", "role": "dsr"}],
            }},
            "bgp": {
                "asn": 4_200_003_073_u32, "announce": ["lo"],
                "neighbors": [{"link": "lan0"}, {"link": "lan1"}],
            },
        }},
        "hosts": {(golden::HOST): {
            "profile": "p",
            "nics": {"lan0": "52:54:00:aa:00:01", "lan1": "52:54:00:aa:00:02"},
            "addresses": {"lo": "10.0.17.2"},
        }},
    });
    serde_json::from_value(site).unwrap()
}

/// The switch: what it is, written by hand.
const LEAF: &str = "frr defaults datacenter
hostname leaf
router bgp 4200000001
 bgp router-id 10.0.17.1
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 neighbor p-lan0 interface remote-as external
 neighbor p-lan1 interface remote-as external
 address-family ipv4 unicast
  neighbor p-lan0 activate
  neighbor p-lan0 default-originate
  neighbor p-lan1 activate
  neighbor p-lan1 default-originate
 exit-address-family
exit
";

fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<(), String>) {
    let end = Instant::now() + Duration::from_secs(30);
    while let Err(seen) = is_so() {
        assert!(Instant::now() < end, "{what}: {seen}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn routes(namespace: &Netns, words: &str) -> String {
    let output = namespace.sh(&format!("ip -4 route show {words}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn a_host_is_announced(systemd: &Systemd) {
    let site = site_with_bgp(systemd);
    let networkd = Networkd::start(systemd, &site);
    networkd.wait_until_as_modelled(&layout(&site, golden::HOST));
    let (host, leaf) = (networkd.inside(), networkd.outside());
    leaf.ip("addr add 10.77.0.2/32 dev lo");
    let files = render_host(&site, golden::HOST, Format::Frr).unwrap();
    let text = &files.iter().find(|file| file.name == "frr.conf").unwrap().text;
    let _frr = [Frr::start(host, text), Frr::start(leaf, LEAF)];
    let ways = |route: &str| ["dev p-lan0", "dev p-lan1"].map(|way| route.contains(way));
    wait_for("the leaf's ways to the host", || {
        let seen = routes(leaf, "10.0.17.2");
        if ways(&seen) == [true, true] { Ok(()) } else { Err(seen) }
    });
    wait_for("the host's default route", || {
        let seen = routes(host, "default");
        let both = seen.contains("dev lan0") && seen.contains("dev lan1");
        if both && seen.contains("src 10.0.17.2") { Ok(()) } else { Err(seen) }
    });
    // The load balancer announces this one.
    assert_eq!(routes(leaf, "10.77.0.200"), "");
    let ping = |namespace: &Netns, words: &str| {
        let said = namespace.sh(&format!("ping -n -c 3 -i 0.2 -W 2 {words}"));
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        if said.contains(" 0% packet loss") { Ok(()) } else { Err(said) }
    };
    wait_for("the provisioning server", || ping(host, "10.77.0.2"));
    wait_for("the host", || ping(leaf, "-I 10.77.0.2 10.0.17.2"));
    leaf.ip("link set p-lan0 down");
    wait_for("the leaf's way by the other cable", || {
        let seen = routes(leaf, "10.0.17.2");
        if ways(&seen) == [false, true] { Ok(()) } else { Err(seen) }
    });
    wait_for("the host by the other cable", || ping(leaf, "-I 10.77.0.2 10.0.17.2"));
}

#[test]
fn a_host_announces_its_own_address_by_both_cables_and_no_other() {
    let test = "a_host_announces_its_own_address_by_both_cables_and_no_other";
    if tools::find("usr/lib/frr/bgpd", &["--version"]).is_none() {
        return skip(test, "bgpd of the package frr is not unpacked, or does not start");
    }
    a_host_is_announced(&Systemd::here());
    match Systemd::unpacked(257) {
        Some(systemd) => a_host_is_announced(&systemd),
        None => skip(test, "tests/tools/get-trees.sh could not unpack systemd 257"),
    }
}
