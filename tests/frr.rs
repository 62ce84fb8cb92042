//! What the real FRR reads in our frr.conf, and what it then announces: beside a real networkd,
//! with another FRR as the switch.

use std::fs;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use rackstrap::model::{KeyState, Keyring, MasterKey};
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

/// A hypervisor with a cable to each of two leaves.
fn hypervisor(number: u8) -> ResolvedSite {
    let site = serde_json::json!({
        "subnets": {
            "boot": {"cidr": "10.77.0.0/24", "gateway": "10.77.0.1", "server": "10.77.0.2"},
            "own": {"cidr": "10.255.0.0/24", "dns": ["10.77.0.53"]},
        },
        "profiles": {"p": {
            "match": "name",
            "nics": {"leaf1": {}, "leaf2": {}},
            "loopbacks": {"lo": {"subnet": "own"}},
            "vxlans": {"vx100": {"vni": 100, "link": "lo", "mac-learning": false, "mtu": 1450}},
            "bridges": {"guests": {
                "interfaces": ["vx100"],
                "ports": {"vx100": {"learning": false, "neighbor-suppression": true}},
                "mtu": 1450,
            }},
            "bgp": {
                "asn": 65010 + u32::from(number), "announce": ["lo"], "max-paths": 2, "evpn": {},
                "neighbors": [
                    {"link": "leaf1"},
                    {"link": "leaf2", "out": "second", "timers": {"keepalive": "2s", "hold": "6s"}},
                ],
                "timers": {"keepalive": "1s", "hold": "3s"},
                "communities": ["65010:7"],
                "route-maps": {"second": [{"prefixes": ["10.9.99.0/24"], "action": "deny"}, {}]},
                "redistribute": [
                    {"from": "kernel", "within": ["10.9.0.0/16"]},
                    {"from": "connected", "within": ["10.9.255.0/24"]},
                ],
            },
        }},
        "hosts": {(golden::HOST): {
            "profile": "p",
            "nics": {"leaf1": "52:54:00:aa:00:01", "leaf2": "52:54:00:aa:00:02"},
            "addresses": {"lo": format!("10.255.0.{number}")},
        }},
    });
    serde_json::from_value(site).unwrap()
}

/// A leaf with a port to each of the two hypervisors.
fn leaf(number: u8) -> String {
    format!(
        "frr defaults datacenter
hostname leaf{number}
router bgp {asn}
 bgp router-id 10.254.0.{number}
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 bgp bestpath as-path multipath-relax
 neighbor host1 interface remote-as external
 neighbor host2 interface remote-as external
 address-family ipv4 unicast
  neighbor host1 activate
  neighbor host1 default-originate
  neighbor host2 activate
  neighbor host2 default-originate
 exit-address-family
 address-family l2vpn evpn
  neighbor host1 activate
  neighbor host2 activate
 exit-address-family
exit
",
        asn = 65000 + u32::from(number)
    )
}

/// Two hosts, two leaves, and a cable from each host to each leaf.
struct Racks {
    hosts: [Netns; 2],
    leaves: [Netns; 2],
    _frr: Vec<Frr>,
}

impl Racks {
    fn start() -> Self {
        let hosts = [Netns::new("hv1"), Netns::new("hv2")];
        let leaves = [Netns::new("leaf1"), Netns::new("leaf2")];
        for (number, host) in (1..).zip(&hosts) {
            host.ip("link set lo up");
            host.ip(&format!("addr add 10.255.0.{number}/32 dev lo"));
            for (place, leaf) in (1..).zip(&leaves) {
                let name = &leaf.name;
                host.ip(&format!(
                    "link add leaf{place} type veth peer name host{number} netns {name}"
                ));
                host.ip(&format!("link set leaf{place} up"));
                leaf.ip(&format!("link set host{number} up"));
            }
        }
        for leaf in &leaves {
            leaf.ip("link set lo up");
            leaf.sh("sysctl -qw net.ipv4.ip_forward=1");
        }
        let configuration = |number: u8| {
            let files = render_host(&hypervisor(number), golden::HOST, Format::Frr).unwrap();
            files.into_iter().find(|file| file.name == "frr.conf").unwrap().text
        };
        let of_hosts =
            (1..).zip(&hosts).map(|(number, host)| Frr::start(host, &configuration(number)));
        let of_leaves = (1..).zip(&leaves).map(|(number, one)| Frr::start(one, &leaf(number)));
        let _frr = of_hosts.chain(of_leaves).collect();
        Self { hosts, leaves, _frr }
    }

    /// Waits until every leaf has a route by exactly these ports, or none without any.
    fn wait_for_way(&self, what: &str, to: &str, ports: [&str; 2], on: &[usize]) {
        for place in on {
            wait_for(&format!("{what} at leaf {}", place + 1), || {
                let seen = routes(&self.leaves[*place], to);
                let by = ["host1", "host2"].map(|port| seen.contains(&format!("dev {port} ")));
                let wanted = ["host1", "host2"].map(|port| ports.contains(&port));
                if by == wanted { Ok(()) } else { Err(seen) }
            });
        }
    }
}

fn has_bgpd(test: &str) -> bool {
    let found = tools::find("usr/lib/frr/bgpd", &["--version"]).is_some();
    if !found {
        skip(test, "bgpd of the package frr is not unpacked, or does not start");
    }
    found
}

#[test]
fn a_guests_address_follows_it_to_another_host_and_nothing_else_is_announced() {
    if !has_bgpd("a_guests_address_follows_it_to_another_host_and_nothing_else_is_announced") {
        return;
    }
    let racks = Racks::start();
    let [first, second] = &racks.hosts;
    for host in &racks.hosts {
        host.ip("link add tap0 type veth peer name guest0");
        host.ip("link set tap0 up");
        host.ip("link set guest0 up");
        // Outside of the guard, and wider than one address.
        host.ip("route add 10.8.0.7/32 dev tap0");
        host.ip("route add 10.9.1.0/24 dev tap0");
        host.ip("addr add 10.9.255.1/32 dev lo");
    }
    first.ip("route add 10.9.0.7/32 dev tap0");
    first.ip("route add 10.9.99.7/32 dev tap0");
    racks.wait_for_way("the guest", "10.9.0.7", ["host1", ""], &[0, 1]);
    racks.wait_for_way("the anycast address", "10.9.255.1", ["host1", "host2"], &[0, 1]);
    // The second leaf is told what the list of rules leaves over.
    racks.wait_for_way("the guest that one leaf is told of", "10.9.99.7", ["host1", ""], &[0]);
    for leaf in &racks.leaves {
        for hidden in ["10.8.0.7", "10.9.1.0/24"] {
            assert_eq!(routes(leaf, hidden), "", "{hidden}");
        }
    }
    assert_eq!(routes(&racks.leaves[1], "10.9.99.7"), "");
    wait_for("the host's default route by both leaves", || {
        let seen = routes(first, "default");
        let both = ["dev leaf1", "dev leaf2"].iter().all(|way| seen.contains(way));
        if both { Ok(()) } else { Err(seen) }
    });
    first.ip("route del 10.9.0.7/32");
    second.ip("route add 10.9.0.7/32 dev tap0");
    racks.wait_for_way("the guest that has moved", "10.9.0.7", ["host2", ""], &[0, 1]);
    second.ip("addr del 10.9.255.1/32 dev lo");
    racks.wait_for_way("the address that one withdraws", "10.9.255.1", ["host1", ""], &[0, 1]);
}

#[test]
fn guests_of_two_hosts_reach_each_other_by_evpn() {
    if !has_bgpd("guests_of_two_hosts_reach_each_other_by_evpn") {
        return;
    }
    let racks = Racks::start();
    let guests = [Netns::new("guest1"), Netns::new("guest2")];
    for ((number, host), guest) in (1..).zip(&racks.hosts).zip(&guests) {
        // What networkd makes of the same profile; `networkd::` proves that it does.
        host.ip(&format!(
            "link add vx100 type vxlan id 100 local 10.255.0.{number} dstport 4789 nolearning"
        ));
        host.ip("link add guests type bridge");
        host.ip("link set vx100 master guests");
        host.sh("bridge link set dev vx100 learning off neigh_suppress on");
        let name = &guest.name;
        host.ip(&format!("link add tap0 type veth peer name eth0 netns {name}"));
        host.ip("link set tap0 master guests");
        for link in ["vx100", "guests", "tap0"] {
            host.ip(&format!("link set {link} up"));
        }
        guest.ip(&format!("addr add 10.66.0.{number}/24 dev eth0"));
        guest.ip("link set eth0 mtu 1400 up");
    }
    wait_for("the other guest", || {
        let said = guests[0].sh("ping -n -c 2 -i 0.2 -W 1 10.66.0.2");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        if said.contains(" 0% packet loss") { Ok(()) } else { Err(said) }
    });
    // Its MAC was told by BGP, not learnt from a packet.
    wait_for("the other guest's MAC", || {
        let said = racks.hosts[0].sh("bridge fdb show dev vx100");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let told = |line: &str| line.contains("dst 10.255.0.2") && !line.starts_with("00:00:00");
        let is_told = said.lines().any(|line| told(line) && line.contains("extern_learn"));
        if is_told { Ok(()) } else { Err(said) }
    });
}

/// A host that speaks to a leaf by address and by link, is called by it from a range of addresses, and
/// signs all three sessions.
fn signing_host() -> ResolvedSite {
    let password = serde_json::json!({"secret": "leaf"});
    let site = serde_json::json!({
        "subnets": {
            "boot": {"cidr": "10.77.0.0/24", "dns": ["10.77.0.1"]},
            "callers": {"cidr": "10.78.0.0/24"},
            "own": {"cidr": "10.255.0.0/24"},
        },
        "profiles": {"p": {
            "match": "name",
            "nics": {
                "leaf1": {"subnet": "boot", "host-number": 2},
                "leaf2": {},
                "leaf3": {"subnet": "callers", "host-number": 2},
            },
            "loopbacks": {"lo": {"subnet": "own"}},
            "bgp": {
                "asn": 65011, "announce": ["lo"], "timers": {"keepalive": "1s", "hold": "3s"},
                "neighbors": [
                    {"address": "10.77.0.1", "remote-as": 65001, "password": password},
                    {"link": "leaf2", "password": password},
                    {"range": "10.78.0.0/24", "remote-as": 65001, "password": password},
                ],
            },
        }},
        "hosts": {(golden::HOST): {
            "profile": "p",
            "nics": {
                "leaf1": "52:54:00:aa:00:01",
                "leaf2": "52:54:00:aa:00:02",
                "leaf3": "52:54:00:aa:00:03",
            },
            "addresses": {"lo": "10.255.0.1"},
        }},
    });
    let site: ResolvedSite = serde_json::from_value(site).unwrap();
    let secrets = [("leaf".to_owned(), Some("correct-horse".to_owned()))].into();
    site.with_keyring(Keyring::new(secrets, KeyState::Open(MasterKey::new([1; 32]).into())))
}

fn signing_leaf(password: &str) -> String {
    format!(
        "frr defaults datacenter
hostname leaf
router bgp 65001
 bgp router-id 10.254.0.1
 no bgp ebgp-requires-policy
 neighbor 10.77.0.2 remote-as 65011
 neighbor 10.77.0.2 password {password}
 neighbor host2 interface remote-as external
 neighbor host2 password {password}
 neighbor 10.78.0.2 remote-as 65011
 neighbor 10.78.0.2 password {password}
exit
"
    )
}

#[test]
fn a_session_with_a_password_begins_with_the_same_password_alone() {
    if !has_bgpd("a_session_with_a_password_begins_with_the_same_password_alone") {
        return;
    }
    let site = signing_host();
    let text = |site: &ResolvedSite| {
        let files = render_host(site, golden::HOST, Format::Frr).unwrap();
        files.into_iter().find(|file| file.name == "frr.conf").unwrap().text
    };
    assert!(!text(&site).contains("correct-horse"));
    for (password, begins) in [("correct-horse", true), ("wrong-horse", false)] {
        let (host, leaf) = (Netns::new("signed"), Netns::new("signleaf"));
        for number in [1, 2, 3] {
            let peer = format!("peer name host{number} netns {}", leaf.name);
            host.ip(&format!("link add leaf{number} type veth {peer}"));
            host.ip(&format!("link set leaf{number} up"));
            leaf.ip(&format!("link set host{number} up"));
        }
        host.ip("link set lo up");
        host.ip("addr add 10.255.0.1/32 dev lo");
        host.ip("addr add 10.77.0.2/24 dev leaf1");
        leaf.ip("addr add 10.77.0.1/24 dev host1");
        host.ip("addr add 10.78.0.2/24 dev leaf3");
        leaf.ip("addr add 10.78.0.1/24 dev host3");
        let _frr = [
            Frr::start(&host, &text(&site.for_the_host())),
            Frr::start(&leaf, &signing_leaf(password)),
        ];
        let ways = || {
            let seen = routes(&leaf, "10.255.0.1");
            (["dev host1", "dev host2", "dev host3"].map(|way| seen.contains(way)), seen)
        };
        if begins {
            wait_for("all sessions", || match ways() {
                ([true, true, true], _) => Ok(()),
                (_, seen) => Err(seen),
            });
        } else {
            std::thread::sleep(Duration::from_secs(8));
            assert_eq!(ways().0, [false; 3], "{}", ways().1);
        }
    }
}
