//! A bridge of Open vSwitch: the unit's script tells a real ovsdb-server and ovs-vswitchd, and packets
//! go through the bridge that they make.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rackstrap::network::{File, Format, render_host};
use rackstrap::profile::ResolvedSite;

use crate::common::netns::Netns;
use crate::common::skip::skip;
use crate::golden;

/// Open vSwitch of its own in a namespace, which forwards in user space.
struct Daemons {
    children: Vec<Child>,
    directory: tempfile::TempDir,
}

impl Daemons {
    fn start(host: &Netns) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let run = directory.path();
        let database = run.join("conf.db");
        let made = Command::new("ovsdb-tool").arg("create").arg(&database).status().unwrap();
        assert!(made.success());
        let spawn = |program: &str, words: &[String]| {
            let mut command = host.command(program);
            command.args(words).env("OVS_RUNDIR", run).env("OVS_LOGDIR", run);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let socket = run.join("db.sock");
        let words =
            [database.display().to_string(), format!("--remote=punix:{}", socket.display())];
        let mut children = vec![spawn("ovsdb-server", &words)];
        wait_for(&socket);
        // Where the kernel has no datapath, it is not asked for one.
        let words = [format!("unix:{}", socket.display()), "--disable-system".into()];
        children.push(spawn("ovs-vswitchd", &words));
        Self { children, directory }
    }

    fn run(&self, host: &Netns, words: &[&str]) -> Output {
        let mut command = host.command(words[0]);
        command.args(&words[1..]).env("OVS_RUNDIR", self.directory.path());
        command.output().unwrap()
    }

    /// Has the script of a site's bridges do something, and returns what it says of it.
    fn script(&self, host: &Netns, site: &str, word: &str) -> String {
        let files = rendered(site);
        let script = files.iter().find(|file| file.name == "rackstrap-openvswitch.sh").unwrap();
        let path = self.directory.path().join("script.sh");
        std::fs::write(&path, &script.text).unwrap();
        let output = self.run(host, &["sh", path.to_str().unwrap(), word]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    fn vsctl(&self, host: &Netns, words: &str) -> String {
        let words: Vec<&str> =
            ["ovs-vsctl", "--timeout=30"].into_iter().chain(words.split_whitespace()).collect();
        let output = self.run(host, &words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn wait_for(path: &Path) {
    for _ in 0..100 {
        if path.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{} does not appear", path.display());
}

/// A host whose bridge has a port for tagged guests and one for its own network.
const SITE: &str = r#"
subnets: {lan: {cidr: 10.1.0.0/24, gateway: 10.1.0.1, dns: [10.1.0.53]}}
profiles:
  own:
    nics: {eth0: {mtu: 1600}, eth1: {mtu: 1600}}
    bridges:
      br0:
        interfaces: [eth0, eth1]
        openvswitch: true
        subnet: lan
        ports: {eth0: {pvid: 5}, eth1: {pvid: 5, tagged: [10, 20-22]}, br0: {pvid: 5}}
hosts:
  r1-n01:
    profile: own
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {br0: 10.1.0.12}
"#;

/// The files of the host of a site.
fn rendered(site: &str) -> Vec<File> {
    let site: ResolvedSite = serde_saphyr::from_str(site).unwrap();
    render_host(&site, golden::HOST, Format::Networkd).unwrap()
}

fn is_installed(test: &str) -> bool {
    let found = Command::new("ovs-vsctl").arg("--version").output().is_ok();
    if !found {
        skip(test, "openvswitch-switch is not installed");
    }
    found
}

#[test]
fn a_bridge_of_open_vswitch_has_the_ports_and_vlans_of_the_site_file() {
    const TEST: &str = "a_bridge_of_open_vswitch_has_the_ports_and_vlans_of_the_site_file";
    if !is_installed(TEST) {
        return;
    }
    let files = rendered(SITE);
    let text = |name: &str| files.iter().find(|file| file.name == name).map(|file| &file.text);
    assert_eq!(text("15-br0.netdev"), None, "Open vSwitch makes it");
    assert!(text("01-eth0.network").unwrap().contains("Unmanaged=yes"));
    assert!(text("15-br0.network").unwrap().contains("Address=10.1.0.12/24"));
    let script = text("rackstrap-openvswitch.sh").unwrap();

    let (host, left, right) = (Netns::new("ovs"), Netns::new("left"), Netns::new("right"));
    left.join("port", &host, "enx1");
    right.join("port", &host, "enx2");
    host.ip("link set enx1 address 52:54:00:aa:00:01 down");
    host.ip("link set enx2 address 52:54:00:aa:00:02 down");
    left.ip("address add 10.1.0.1/24 dev port");
    right.ip("address add 10.1.0.2/24 dev port");
    let daemons = Daemons::start(&host);
    // This kernel may lack the module: the bridge of the test forwards in user space.
    daemons.vsctl(&host, "add-br br0 -- set bridge br0 datapath_type=netdev");
    let path = daemons.directory.path().join("script.sh");
    std::fs::write(&path, script).unwrap();
    let run = |path: &Path| {
        let output = daemons.run(&host, &["sh", path.to_str().unwrap(), "start"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&path);
    run(&path);
    assert_eq!(daemons.vsctl(&host, "list-ports br0"), "enx1\nenx2");
    assert_eq!(daemons.vsctl(&host, "get port enx1 tag vlan_mode"), "5\naccess");
    assert_eq!(
        daemons.vsctl(&host, "get port enx2 tag trunks vlan_mode"),
        "5\n[10, 20, 21, 22]\nnative-untagged"
    );
    let links = String::from_utf8(host.sh("ip link show enx1").stdout).unwrap();
    assert!(links.contains("mtu 1600") && links.contains(",UP"), "{links}");

    // What networkd does with the bridge's own side.
    host.ip("address add 10.1.0.12/24 dev br0");
    host.ip("link set br0 up");
    let pings = |from: &Netns, to: &str| {
        from.sh(&format!("ping -n -c 3 -i 0.3 -W 2 {to} >/dev/null")).status.success()
    };
    assert!(pings(&left, "10.1.0.2"), "from port to port");
    assert!(pings(&left, "10.1.0.12"), "from a port to the host");

    let one = SITE
        .replace("interfaces: [eth0, eth1]", "interfaces: [eth0]")
        .replace(", eth1: {pvid: 5, tagged: [10, 20-22]}", "");
    let files = rendered(&one);
    let fewer = files.iter().find(|file| file.name == "rackstrap-openvswitch.sh").unwrap();
    std::fs::write(&path, &fewer.text).unwrap();
    run(&path);
    assert_eq!(daemons.vsctl(&host, "list-ports br0"), "enx1", "a port that is gone is taken away");
}

/// Two bridges, the first of which has both NICs.
const TWO: &str = r#"
subnets: {lan: {cidr: 10.1.0.0/24}}
profiles:
  own:
    bridges:
      br0: {interfaces: [eth0, eth1], openvswitch: true, subnet: lan}
      br1: {interfaces: [], openvswitch: true}
    allow: [N166, N152, N133]
hosts:
  r1-n01:
    profile: own
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {br0: 10.1.0.12}
"#;

#[test]
fn ports_move_between_bridges_and_bridges_that_left_the_profile_go() {
    const TEST: &str = "ports_move_between_bridges_and_bridges_that_left_the_profile_go";
    if !is_installed(TEST) {
        return;
    }
    let (host, left, right) = (Netns::new("ovs"), Netns::new("left"), Netns::new("right"));
    left.join("port", &host, "enx1");
    right.join("port", &host, "enx2");
    host.ip("link set enx1 address 52:54:00:aa:00:01 down");
    host.ip("link set enx2 address 52:54:00:aa:00:02 down");
    let daemons = Daemons::start(&host);
    for bridge in ["br0", "br1", "br2"] {
        daemons
            .vsctl(&host, &format!("add-br {bridge} -- set bridge {bridge} datapath_type=netdev"));
    }
    // One of another program's.
    daemons.vsctl(&host, "add-br other -- set bridge other datapath_type=netdev");
    daemons.script(&host, TWO, "start");
    assert_eq!(daemons.vsctl(&host, "list-ports br0"), "enx1\nenx2");

    let moved = TWO
        .replace("interfaces: [eth0, eth1]", "interfaces: [eth0]")
        .replace("interfaces: []", "interfaces: [eth1]");
    daemons.script(&host, &moved, "start");
    daemons.script(&host, &moved, "start");
    assert_eq!(daemons.vsctl(&host, "list-ports br0"), "enx1");
    assert_eq!(daemons.vsctl(&host, "list-ports br1"), "enx2", "a port moves to another bridge");

    // A guest is in br0 when it is renamed: it stays there, without the host.
    daemons.vsctl(&host, "add-port br0 guest -- set interface guest type=internal");
    let renamed = moved.replace("br0", "br2");
    let said = daemons.script(&host, &renamed, "start");
    assert!(said.contains("bridge br0 stays for ports of other programs: guest"), "{said}");
    assert_eq!(daemons.vsctl(&host, "list-br"), "br0\nbr1\nbr2\nother");
    assert_eq!(daemons.vsctl(&host, "list-ports br0"), "guest");
    assert_eq!(daemons.vsctl(&host, "list-ports br2"), "enx1");
    daemons.vsctl(&host, "del-port br0 guest");
    daemons.script(&host, &renamed, "start");
    assert_eq!(daemons.vsctl(&host, "list-br"), "br1\nbr2\nother", "a bridge that is gone goes");

    // Stopping leaves the bridges, which guests are in; they go when the service goes for good.
    daemons.script(&host, &renamed, "stop");
    assert_eq!(daemons.vsctl(&host, "list-br"), "br1\nbr2\nother");
    let path = daemons.directory.path().join("script.sh");
    let told = format!(
        "mount -t tmpfs none /run && mkdir -p /run/rackstrap/gone && \
         touch /run/rackstrap/gone/rackstrap-openvswitch.service && sh {} stop",
        path.display()
    );
    let output = daemons.run(&host, &["unshare", "-m", "sh", "-c", &told]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(daemons.vsctl(&host, "list-br"), "other");
}

/// A bond of Open vSwitch's own.
const BOND: &str = r#"
subnets: {lan: {cidr: 10.1.0.0/24}}
profiles:
  own:
    bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, lacp-rate: fast, openvswitch: true}}
    bridges: {br0: {interfaces: [bond0], openvswitch: true, subnet: lan}}
    allow: [N152, N133]
hosts:
  r1-n01:
    profile: own
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {br0: 10.1.0.12}
"#;

#[test]
fn a_bond_of_open_vswitch_speaks_lacp_and_outlives_a_cable() {
    const TEST: &str = "a_bond_of_open_vswitch_speaks_lacp_and_outlives_a_cable";
    if !is_installed(TEST) {
        return;
    }
    let files = rendered(BOND);
    let text = |name: &str| files.iter().find(|file| file.name == name).map(|file| &file.text);
    assert_eq!((text("05-bond0.netdev"), text("05-bond0.network")), (None, None));
    assert!(text("01-eth1.network").unwrap().contains("Unmanaged=yes"));

    // The switch is another Open vSwitch, which only answers.
    let (host, switch) = (Netns::new("ovs"), Netns::new("switch"));
    for (number, name) in [(1, "enx1"), (2, "enx2")] {
        switch.join(&format!("port{number}"), &host, name);
        host.ip(&format!("link set {name} address 52:54:00:aa:00:0{number} down"));
    }
    // The bridges forward in user space: left to itself the kernel answers ARP on their ports as well, with
    // the MAC of a port that may not be the bridge's.
    for side in [&host, &switch] {
        side.sh("sysctl -qw net.ipv4.conf.all.arp_ignore=1");
    }
    let (daemons, other) = (Daemons::start(&host), Daemons::start(&switch));
    daemons.vsctl(&host, "add-br br0 -- set bridge br0 datapath_type=netdev");
    other.vsctl(&switch, "add-br sw -- set bridge sw datapath_type=netdev");
    other.vsctl(
        &switch,
        "add-bond sw lag port1 port2 -- set port lag bond_mode=balance-tcp lacp=passive other_config:lacp-time=fast",
    );
    // Ports of an earlier revision become members.
    let ports = BOND
        .replace("bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, lacp-rate: fast, openvswitch: true}}", "nics: {eth0: {}, eth1: {}}")
        .replace("interfaces: [bond0]", "interfaces: [eth0]");
    daemons.script(&host, &ports, "start");
    assert_eq!(daemons.vsctl(&host, "list-ports br0"), "enx1");
    daemons.script(&host, BOND, "start");
    daemons.script(&host, BOND, "start");
    assert_eq!(daemons.vsctl(&host, "list-ports br0"), "bond0");
    assert_eq!(daemons.vsctl(&host, "list-ifaces br0"), "enx1\nenx2");
    assert_eq!(
        daemons.vsctl(&host, "get port bond0 bond_mode lacp other_config:lacp-time"),
        "balance-tcp\nactive\nfast"
    );
    let agrees = |name: &str| daemons.vsctl(&host, &format!("get interface {name} lacp_current"));
    let waits = |what: &dyn Fn() -> bool| {
        for _ in 0..60 {
            if what() {
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        false
    };
    assert!(waits(&|| agrees("enx1") == "true" && agrees("enx2") == "true"), "LACP on both");

    host.ip("address add 10.1.0.12/24 dev br0");
    host.ip("link set br0 up");
    switch.ip("address add 10.1.0.1/24 dev sw");
    switch.ip("link set sw up");
    let pings = || host.sh("ping -n -c 2 -i 0.3 -W 1 10.1.0.1 >/dev/null").status.success();
    assert!(waits(&pings), "by the bond");
    for port in ["port1", "port2"] {
        switch.ip(&format!("link set {port} down"));
        assert!(waits(&pings), "by the other member, without {port}");
        switch.ip(&format!("link set {port} up"));
        assert!(waits(&|| agrees("enx1") == "true" && agrees("enx2") == "true"), "both again");
    }

    // Other words, and then no bond any more.
    let backup = BOND.replace("802.3ad, lacp-rate: fast", "active-backup, primary: eth1");
    daemons.script(&host, &backup, "start");
    assert_eq!(
        daemons.vsctl(&host, "get port bond0 bond_mode lacp other_config"),
        "active-backup\noff\n{bond-primary=enx2}"
    );
    daemons.script(&host, &ports, "start");
    assert_eq!(daemons.vsctl(&host, "list-ports br0"), "enx1");
    assert_eq!(daemons.vsctl(&host, "list-ifaces br0"), "enx1");
}
