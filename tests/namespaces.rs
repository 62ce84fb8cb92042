//! Links in network namespaces: the script of the unit runs on a host made of namespaces, and real
//! packets go where the site file says.

use std::process::{Command, Output};

use rackstrap::network::{Format, render_host};
use rackstrap::profile::ResolvedSite;

use crate::common::netns::Netns;
use crate::golden;

/// A host with a NIC for itself, one for a namespace, a cable into a second namespace and a MACVLAN
/// in a third. `ID` makes the names of the namespaces the test's own.
const SITE: &str = r#"
subnets:
  left: {cidr: 10.1.0.0/24, gateway: 10.1.0.1, mtu: 8896, dns: [10.1.0.53]}
  right: {cidr: 10.2.0.0/24, gateway: 10.2.0.1, mtu: 8896, dns: [10.2.0.53], domains: [example.net]}
  inside: {cidr: 10.3.0.0/30}
profiles:
  own:
    nics:
      eth0: {subnet: left, set-name: lan0}
      eth1: {subnet: right, namespace: ID-nic, routes: [{to: 10.9.0.0/16, type: prohibit}]}
    veths:
      inner: {peer: outer, namespace: ID-veth, subnet: inside, host-number: 2, routes: [{to: 0.0.0.0/0, via: 10.3.0.1}]}
      outer: {peer: inner, subnet: inside, host-number: 1}
    macvlans: {guest: {link: eth0, namespace: ID-macvlan, subnet: left}}
hosts:
  r1-n01:
    profile: own
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {eth0: 10.1.0.12, eth1: 10.2.0.12, guest: 10.1.0.13}
"#;

/// What a unit's script does with a word, in a namespace that stands for the host.
fn run(host: &Netns, script: &str, word: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script.sh");
    std::fs::write(&path, script).unwrap();
    // Not `ip netns exec`, whose namespaces of mounts would hide what the script makes.
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", host.name)).arg("sh").arg(path).arg(word);
    command.output().unwrap()
}

fn good(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// What a shell line prints in a namespace of the script's.
fn within(namespace: &str, line: &str) -> (String, bool) {
    let mut command = Command::new("ip");
    let output = command.args(["netns", "exec", namespace, "sh", "-c", line]).output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

fn pings(namespace: &str, words: &str) -> bool {
    within(namespace, &format!("ping -n -c 1 -W 2 {words} >/dev/null")).1
}

/// Namespaces that a test has the script make, gone when dropped.
struct Made([String; 3]);

impl Drop for Made {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
            let _ = std::fs::remove_dir_all(format!("/etc/netns/{name}"));
        }
    }
}

#[test]
fn links_are_moved_to_their_namespaces_and_packets_go_by_them() {
    let id = format!("rs{}", std::process::id());
    let made = Made(["nic", "veth", "macvlan"].map(|what| format!("{id}-{what}")));
    let [nic, veth, macvlan] = &made.0;
    let site: ResolvedSite = serde_saphyr::from_str(&SITE.replace("ID", &id)).unwrap();
    let files = render_host(&site, golden::HOST, Format::Networkd).unwrap();
    let text = |name: &str| {
        let found = files.iter().find(|file| file.name == name);
        found.map(|file| file.text.clone()).unwrap_or_else(|| panic!("{name}"))
    };
    let script = text("rackstrap-namespaces.sh");
    assert!(text("01-eth1.network").contains("Unmanaged=yes"));
    assert!(text("03-outer.netdev").contains("[Peer]\nName=inner"));
    assert!(files.iter().all(|file| !file.name.contains("guest")), "made in its namespace");
    assert!(text("90-rackstrap.conf").contains("net.ipv4.ip_forward = 1"));

    let (host, left, right) = (Netns::new("host"), Netns::new("left"), Netns::new("right"));
    // By name where udev gives one, else by MAC, whatever the kernel calls it.
    left.join("port", &host, "lan0");
    right.join("port", &host, "enx7");
    for (side, name, mac, gateway) in
        [(&left, "lan0", "01", "10.1.0.1"), (&right, "enx7", "02", "10.2.0.1")]
    {
        host.ip(&format!("link set {name} address 52:54:00:aa:00:{mac} mtu 8896"));
        side.ip("link set port mtu 8896");
        side.ip(&format!("address add {gateway}/24 dev port"));
        side.ip("address add 198.51.100.1/32 dev lo");
    }
    left.ip("route add 10.3.0.0/30 via 10.1.0.12");
    // What networkd does: the address of the host itself, and the cable.
    host.ip("address add 10.1.0.12/24 dev lan0");
    host.ip("route add default via 10.1.0.1");
    let cable = || {
        host.ip("link add outer type veth peer name inner");
        host.ip("address add 10.3.0.1/30 dev outer");
        host.ip("link set outer up");
    };
    cable();
    host.sh("sysctl -qw net.ipv4.ip_forward=1");

    for time in ["first", "second"] {
        good(&run(&host, &script, "start"));
        let (links, _) = within(nic, "ip -br link show");
        assert!(links.contains("eth1") && !links.contains("enx7"), "{time}: {links}");
        assert!(pings(nic, "-M do -s 8868 198.51.100.1"), "{time}: largest packet by its own NIC");
        assert!(pings(veth, "10.1.0.1"), "{time}: forwarded by the host");
        assert!(pings(macvlan, "-M do -s 8868 10.1.0.1"), "{time}: beside the host on its NIC");
        let (address, _) = within(nic, "ip -br -4 address show dev eth1");
        assert_eq!(address.split_whitespace().last(), Some("10.2.0.12/24"), "{time}: {address}");
    }
    let seen = |side: &Netns| {
        let text = String::from_utf8(side.sh("grep ^Icmp: /proc/net/snmp").stdout).unwrap();
        let mut rows = text.lines().map(|row| row.split(' ').collect::<Vec<_>>());
        let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
        let place = names.iter().position(|name| *name == "InEchos").unwrap();
        values[place].parse::<u32>().unwrap()
    };
    let before = (seen(&left), seen(&right));
    assert!(pings(nic, "198.51.100.1") && pings(&host.name, "198.51.100.1"));
    assert_eq!((seen(&left), seen(&right)), (before.0 + 1, before.1 + 1));
    assert!(!pings(nic, "10.9.0.1"), "a route forbids it");
    let (resolvers, _) = within(nic, "cat /etc/resolv.conf");
    assert_eq!(resolvers, "nameserver 10.2.0.53\nsearch example.net\n");

    good(&run(&host, &script, "stop"));
    assert!(!std::path::Path::new("/run/netns").join(nic).exists());
    let links = String::from_utf8(host.sh("ip -br link show").stdout).unwrap();
    assert!(links.contains("eth1@"), "the NIC is back: {links}");

    // Another link of the host has the NIC's label by then.
    cable();
    good(&run(&host, &script, "start"));
    host.ip("link add eth1 type bridge");
    let output = run(&host, &script, "stop");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "rackstrap: the host has a link eth1: the NIC comes back as back0\n");
    assert!(!std::path::Path::new("/run/netns").join(nic).exists());
    let back = String::from_utf8(host.sh("ip -br link show back0").stdout).unwrap();
    assert!(back.contains("52:54:00:aa:00:02"), "{back}");
    // It is found again by its MAC.
    cable();
    good(&run(&host, &script, "start"));
    assert!(pings(nic, "-M do -s 8868 198.51.100.1"), "as before");
    host.ip("link delete eth1");
    good(&run(&host, &script, "stop"));
}
