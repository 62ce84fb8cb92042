//! Connections that leave by the NIC of their processor: real nftables reads every golden file,
//! and real packets of either processor come by the NIC that is theirs.

use std::process::Command;

use rackstrap::network::{File, Format, render_host};
use rackstrap::profile::ResolvedSite;

use crate::common::netns::Netns;
use crate::common::skip::skip;
use crate::golden;

/// The file of rules among a host's.
fn rules(site: &ResolvedSite) -> Option<File> {
    let files = render_host(site, golden::HOST, Format::Networkd).unwrap();
    files.into_iter().find(|file| file.name.ends_with(".nft"))
}

/// A namespace for nftables to look at; none, and why is said, where there is no nft.
fn with_nft(test: &str) -> Option<Netns> {
    if Command::new("nft").arg("--version").output().is_err() {
        skip(test, "nftables is not installed");
        return None;
    }
    Some(Netns::new("nat"))
}

fn load(inside: &Netns, arguments: &str, file: &File) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(&file.name);
    std::fs::write(&path, &file.text).unwrap();
    let slices = with_slices(&file.text);
    let output = inside.sh(&format!("{slices} nft {arguments} {}", path.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{}", file.text);
}

/// Shell words that make the cgroups of the slices which rules name, where nft looks for them.
fn with_slices(rules: &str) -> String {
    let paths = rules.lines().filter_map(|line| line.split_once("cgroupv2 ")?.1.split('"').nth(1));
    let paths: Vec<&str> = paths.collect();
    if paths.is_empty() {
        return String::new();
    }
    let made = paths.iter().map(|path| format!("mkdir -p /sys/fs/cgroup/{path} && "));
    format!("mount -t cgroup2 none /sys/fs/cgroup && {}", made.collect::<String>())
}

#[test]
fn nftables_reads_every_golden_file_of_rules() {
    let Some(inside) = with_nft("nftables_reads_every_golden_file_of_rules") else { return };
    let files: Vec<File> = golden::sites().values().filter_map(rules).collect();
    assert!(!files.is_empty());
    for file in files {
        load(&inside, "-c -f", &file);
        // Again over itself: once what it makes is there, nothing of it may be there twice.
        load(&inside, "-f", &file);
        let list = || String::from_utf8(inside.sh("nft list ruleset").stdout).unwrap();
        let once = list();
        load(&inside, "-f", &file);
        assert_eq!(list(), once);
    }
}

/// A host with a NIC for each of two processors, in two networks that both know 198.51.100.1.
const SITE: &str = r#"
subnets:
  left: {cidr: 10.1.0.0/24, gateway: 10.1.0.1}
  right: {cidr: 10.2.0.0/24, gateway: 10.2.0.1}
parameters: {first: left, second: right}
profiles:
  own: {extends: ready/two-nics}
hosts:
  r1-n01:
    profile: own
    parameters: {first-cpus: 0, second-cpus: 1}
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {eth0: 10.1.0.12, eth1: 10.2.0.12}
"#;

/// Joins the host to two networks that both know 198.51.100.1, the first by its default route.
fn two_networks(host: &Netns) -> [Netns; 2] {
    let sides = [("eth0", "10.1.0", 100, 1), ("eth1", "10.2.0", 101, 2)].map(|side| {
        let (nic, net, table, mark) = side;
        let other = Netns::new("side");
        other.join("port", host, nic);
        other.ip(&format!("addr add {net}.1/24 dev port"));
        other.ip("addr add 198.51.100.1/32 dev lo");
        other.ip("link set lo up");
        host.ip(&format!("addr add {net}.12/24 dev {nic}"));
        host.ip(&format!("route add default via {net}.1 dev {nic} table {table}"));
        host.ip(&format!("rule add priority {} fwmark {mark} table {table}", 100 + mark));
        host.ip(&format!("rule add priority {} from {net}.12 table {table}", 500 + mark));
        other
    });
    host.ip("route add default via 10.1.0.1 dev eth0");
    host.sh("sysctl -q -w net.ipv4.conf.all.rp_filter=2");
    sides
}

/// How often a namespace was pinged.
fn echoes(side: &Netns) -> u32 {
    let text = String::from_utf8(side.sh("cat /proc/net/snmp").stdout).unwrap();
    let mut rows = text.lines().filter(|line| line.starts_with("Icmp: "));
    let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
    let place = names.split(' ').position(|name| name == "InEchos").unwrap();
    values.split(' ').nth(place).unwrap().parse::<u32>().unwrap()
}

#[test]
fn what_a_processor_begins_leaves_by_its_nic() {
    const TEST: &str = "what_a_processor_begins_leaves_by_its_nic";
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return skip(TEST, "this machine has one processor");
    }
    let Some(host) = with_nft(TEST) else { return };
    let sides = two_networks(&host);
    let ping = |processor: usize| {
        let line = format!("taskset -c {processor} ping -n -c 3 -i 0.2 -W 2 198.51.100.1");
        let output = host.sh(&line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stdout));
        [echoes(&sides[0]), echoes(&sides[1])]
    };
    assert_eq!(ping(1), [3, 0], "without rules everything takes the default route");
    load(&host, "-f", &rules(&serde_saphyr::from_str(SITE).unwrap()).unwrap());
    assert_eq!(ping(1), [3, 3]);
    assert_eq!(ping(0), [6, 3]);
    let bound = host.sh("taskset -c 0 ping -n -c 1 -W 2 -I eth1 10.2.0.1");
    assert!(bound.status.success(), "{}", String::from_utf8_lossy(&bound.stdout));
    assert_eq!(echoes(&sides[1]), 4, "who binds itself to a link leaves by it, with its address");
    let local = host.sh("ip link set lo up; taskset -c 1 ping -n -c 1 -W 2 10.1.0.12");
    assert!(local.status.success(), "{}", String::from_utf8_lossy(&local.stdout));
}

/// A host whose user 1500 and slice leave by the second NIC.
const BY_USER: &str = r#"
subnets:
  left: {cidr: 10.1.0.0/24, gateway: 10.1.0.1}
  right: {cidr: 10.2.0.0/24, gateway: 10.2.0.1}
profiles:
  own:
    nics:
      eth0: {subnet: left, table: 100, mark: 1, default-route: true}
      eth1: {subnet: right, table: 101, mark: 2, users: [1000-1999], slices: [rstest-nat.slice]}
hosts:
  r1-n01:
    profile: own
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {eth0: 10.1.0.12, eth1: 10.2.0.12}
"#;

#[test]
fn what_a_user_or_a_slice_begins_leaves_by_its_nic() {
    const TEST: &str = "what_a_user_or_a_slice_begins_leaves_by_its_nic";
    let Some(host) = with_nft(TEST) else { return };
    let [left, right] = two_networks(&host);
    let slice = "/sys/fs/cgroup/rstest.slice/rstest-nat.slice";
    let mount = "mount -t cgroup2 none /sys/fs/cgroup";
    let ping = |before: &str| {
        let line = format!("{mount}; {before} ping -n -c 1 -W 2 198.51.100.1");
        let output = host.sh(&line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        [echoes(&left), echoes(&right)]
    };
    host.sh("sysctl -qw net.ipv4.ping_group_range='0 2147483647'");
    let user = "setpriv --reuid=1500 --regid=1500 --clear-groups";
    assert_eq!(ping(user), [1, 0], "without rules everything takes the default route");
    load(&host, "-f", &rules(&serde_saphyr::from_str(BY_USER).unwrap()).unwrap());
    assert_eq!(ping(user), [1, 1]);
    assert_eq!(ping("setpriv --reuid=2000 --regid=2000 --clear-groups"), [2, 1]);
    assert_eq!(ping(""), [3, 1]);
    assert_eq!(ping(&format!("echo $$ >{slice}/cgroup.procs;")), [3, 2]);
    host.sh(&format!("{mount}; rmdir {slice} /sys/fs/cgroup/rstest.slice"));
}
