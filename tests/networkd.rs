//! The files that are written for systemd-networkd, and what real ones make of them: this
//! machine's, and the oldest and the newest that a profile may name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rackstrap::network::{Finding, Format, Kind, RenderError, layout, render_host};
use rackstrap::profile::ResolvedSite;

use crate::common::netns::Netns;
use crate::common::networkd::{Networkd, Systemd};
use crate::common::skip::skip;
use crate::common::tools;
use crate::golden;

/// The systemd versions of Debian 11 and 13.
const OTHERS: [u16; 2] = [247, 257];

/// What golden sites use that older versions have no words for: the site, the refusal's
/// words, and the version that came with it.
const REFUSED: [(&str, &str, u16); 9] = [
    ("everything", "outer: [VLAN] Protocol= needs systemd 248", 248),
    ("everything", "br0: [Bridge] Isolated= needs systemd 251", 251),
    ("policy-routing", "eth1: [Route] TCPAdvertisedMaximumSegmentSize= needs systemd 248", 248),
    ("macs", "br0: [NetDev] MACAddress=none needs systemd 250", 250),
    ("online", "eth0: [Link] RequiredFamilyForOnline= needs systemd 249", 249),
    ("gpu-fabric", "ib0.8001: [NetDev] Kind=ipoib needs systemd 250", 250),
    ("gpu-fabric", "eth1: [Link] RxCoalesceSec= and its like needs systemd 250", 250),
    ("infiniband", "ib0: [Match] PermanentMACAddress= of 20 bytes needs systemd 252", 252),
    ("spread-rails", "lo: [Route] MultiPathRoute= with a link needs systemd 252", 252),
];

fn layouts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layouts")
}

/// The three sites whose files an operator wrote by hand before.
fn verbatim_sites() -> BTreeMap<String, ResolvedSite> {
    let names = ["1-bond", "2-bond-vlan", "3-bond-vlan-bridge"];
    let site = |name| golden::read_site(&layouts().join(format!("{name}.yaml")));
    names.into_iter().map(|name| (name.to_owned(), site(name))).collect()
}

fn all_sites() -> BTreeMap<String, ResolvedSite> {
    verbatim_sites().into_iter().chain(golden::sites()).collect()
}

/// The site, written for a version of systemd.
fn aimed_at(mut site: ResolvedSite, version: u16) -> ResolvedSite {
    for host in site.hosts.values_mut() {
        let aim = serde_json::json!({"systemd": version});
        host.network = serde_json::from_value(aim).unwrap();
    }
    site
}

/// Whether the site's version lacks what it needs: `what_a_version_lacks_is_refused_by_name`
/// knows which do, and reads the words.
fn is_refused(site: &ResolvedSite) -> bool {
    render_host(site, golden::HOST, Format::Networkd).is_err()
}

/// The other releases' systemd; a test without them is reported as skipped.
fn other_systemds(test: &str) -> Vec<Systemd> {
    let found = OTHERS.map(Systemd::unpacked);
    if found.iter().any(Option::is_none) {
        skip(
            test,
            "tests/tools/get-trees.sh could not unpack systemd 247 and 257 from apt's mirror",
        );
    }
    found.into_iter().flatten().collect()
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
    for (name, site) in all_sites() {
        let networkd = Networkd::start(&Systemd::here(), &site);
        networkd.wait_until_files_are_read();
        assert_eq!(networkd.complaints(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_oldest_and_the_newest_networkd_read_every_file_that_is_written_for_them() {
    let test = "the_oldest_and_the_newest_networkd_read_every_file_that_is_written_for_them";
    for systemd in other_systemds(test) {
        for (name, site) in all_sites() {
            let site = aimed_at(site, systemd.version);
            if is_refused(&site) {
                continue;
            }
            let networkd = Networkd::start(&systemd, &site);
            networkd.wait_until_files_are_read();
            let complaints = networkd.complaints();
            assert_eq!(complaints, Vec::<String>::new(), "{name}, systemd {}", systemd.version);
        }
    }
}

#[test]
fn what_a_version_lacks_is_refused_by_name() {
    for version in [247, 249, 252, 255, 257] {
        for (name, site) in all_sites() {
            let site = aimed_at(site, version);
            let refused = match render_host(&site, golden::HOST, Format::Networkd) {
                Ok(_) => Vec::new(),
                Err(RenderError::Refused { findings, .. }) => findings,
                Err(other) => panic!("{name}, systemd {version}: {other}"),
            };
            let newer = |finding: &Finding| {
                let since = finding.text.split_once("needs systemd ").map(|(_, rest)| &rest[..3]);
                finding.rule == "N170" && since.is_some_and(|since| *since > *version.to_string())
            };
            assert!(refused.iter().all(newer), "{name}, systemd {version}: {refused:#?}");
            for (_, words, since) in REFUSED.iter().filter(|(site, ..)| *site == name) {
                let is_refused = refused.iter().any(|finding| finding.text.contains(words));
                assert_eq!(
                    is_refused,
                    version < *since,
                    "{name}, {version}, {words}: {refused:#?}"
                );
            }
        }
    }
}

#[test]
fn the_parser_check_sees_a_broken_file() {
    let all = OTHERS.into_iter().filter_map(Systemd::unpacked).chain([Systemd::here()]);
    for systemd in all {
        let site = golden::sites().remove("plain-bridge").unwrap();
        let networkd = Networkd::start_with(&systemd, &site, |name, text| match name {
            "15-br0.netdev" => text.replace("STP=", "Spanning="),
            _ => text,
        });
        networkd.wait_until_files_are_read();
        let complaints = networkd.complaints();
        assert!(complaints.len() == 1 && complaints[0].contains("Spanning"), "{complaints:?}");
    }
}

/// The sites that a kernel with nothing but bridges can have. `spread-rails` is one of them: a
/// route of the loopback over four NICs.
fn plain_sites() -> BTreeMap<String, ResolvedSite> {
    let mut sites = golden::sites();
    sites.retain(|_, site| {
        let network = layout(site, golden::HOST);
        let is_plain = |kind: &Kind| match kind {
            Kind::Nic(_) | Kind::Loopback => true,
            Kind::Bridge(spec) => !spec.openvswitch,
            _ => false,
        };
        network.links.values().all(|link| is_plain(&link.kind))
    });
    sites
}

fn come_up(systemd: &Systemd) {
    let sites = plain_sites();
    assert!(sites.len() >= 5, "{:?}", sites.keys());
    for (_, site) in sites {
        let site = aimed_at(site, systemd.version);
        if is_refused(&site) {
            continue;
        }
        let networkd = Networkd::start(systemd, &site);
        networkd.wait_until_as_modelled(&layout(&site, golden::HOST));
    }
}

#[test]
fn bridges_tables_rules_and_several_routers_are_really_installed_as_modelled() {
    come_up(&Systemd::here());
}

/// Whether the kernel can put a link of this kind on another.
fn kernel_has(kind: &str) -> bool {
    let namespace = Netns::new("kinds");
    namespace.ip("link add below type veth peer name other");
    let mut ip = namespace.command("ip");
    let added = ip.args(["link", "add", "above", "link", "below", "type", kind]).output().unwrap();
    added.status.success()
}

#[test]
fn cables_macvlans_and_addresses_of_the_loopback_come_up_as_modelled() {
    let mut site = golden::sites().remove("virtual").unwrap();
    let without = |site: &mut ResolvedSite, kind: &str| {
        let (_, profile) = site.profiles.iter_mut().next().unwrap();
        let mut entries = profile.entries().clone();
        entries.remove(kind);
        *profile = entries.into();
    };
    if !kernel_has("ipvlan") {
        without(&mut site, "ipvlans");
    }
    if !kernel_has("macvlan") {
        without(&mut site, "macvlans");
        site.hosts.get_mut(golden::HOST).unwrap().addresses.remove("services");
    }
    let networkd = Networkd::start(&Systemd::here(), &site);
    networkd.wait_until_as_modelled(&layout(&site, golden::HOST));
    let loopback = networkd.ip("addr show dev lo").to_string();
    for address in ["127.0.0.1", "192.0.2.10", "2001:db8::10"] {
        assert!(loopback.contains(address), "{address} is not on {loopback}");
    }
    let given_away = networkd.ip("link show dev web1");
    let is_up = given_away[0]["flags"].as_array().unwrap().contains(&"UP".into());
    assert!(!is_up, "networkd leaves the end of a cable alone: {given_away}");
    assert_eq!(given_away[0]["address"], "02:00:00:00:00:0b");
}

/// udev words a value that it cannot read as `FILE:LINE: ...`.
#[test]
fn the_real_udev_reads_every_link_file_without_a_complaint() {
    let directory = tempfile::tempdir().unwrap();
    let mut written = 0;
    for (name, site) in all_sites() {
        let Ok(files) = render_host(&site, golden::HOST, Format::Networkd) else { continue };
        for file in files.iter().filter(|file| file.name.ends_with(".link")) {
            let path = directory.path().join(format!("{name}-{}", file.name));
            std::fs::write(path, &file.text).unwrap();
            written += 1;
        }
    }
    assert!(written >= 3, "{written} .link files");
    let Some(udevadm) = tools::find("bin/udevadm", &["--version"]) else {
        let test = "the_real_udev_reads_every_link_file_without_a_complaint";
        return skip(test, "`make test` could not unpack udevadm");
    };
    let broken = "[Match]\nPermanentMACAddress=02:00:00:00:00:01\n[Link]\nWakeOnLan=maybe\n";
    std::fs::write(directory.path().join("broken.link"), broken).unwrap();
    let script = "mount --bind \"$1\" /etc/systemd/network && \
                  exec \"$0\" test-builtin net_setup_link /sys/class/net/lo";
    let mut unshare = Command::new("unshare");
    let read = unshare.args(["--mount", "--propagation", "private", "sh", "-c", script]);
    let read = read.arg(udevadm.command().get_program()).arg(directory.path());
    let output = read.env("SYSTEMD_LOG_LEVEL", "debug").output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let about_a_line = |line: &&str| line.starts_with("/etc/systemd/network/");
    let complaints: Vec<&str> = said.lines().filter(about_a_line).collect();
    assert!(complaints.len() == 1 && complaints[0].contains("broken.link:4"), "{said}");
}

#[test]
fn the_oldest_and_the_newest_networkd_install_the_same() {
    let test = "the_oldest_and_the_newest_networkd_install_the_same";
    other_systemds(test).iter().for_each(come_up);
}

/// The comparison with the model is made by the same code that made the model's routes;
/// these are written out by hand.
#[test]
fn the_routes_of_two_ways_out_are_those_of_the_kernel_s_own_words() {
    let site = golden::sites().remove("policy-routing").unwrap();
    let networkd = Networkd::start(&Systemd::here(), &site);
    networkd.wait_until_as_modelled(&layout(&site, golden::HOST));
    let routes = |words: &str| networkd.ip(&format!("-4 route show {words}"));
    for (table, gateway, device) in [("100", "10.1.0.1", "eth0"), ("101", "10.2.0.1", "eth1")] {
        let default = routes(&format!("default table {table}"));
        assert_eq!((&default[0]["gateway"], &default[0]["dev"]), (&gateway.into(), &device.into()));
    }
    let hops = &routes("203.0.113.0/24")[0]["nexthops"];
    assert_eq!((&hops[0]["weight"], &hops[1]["weight"]), (&1.into(), &3.into()), "{hops}");
    assert_eq!(routes("198.51.100.0/24")[0]["type"], "blackhole");
    assert_eq!(routes("192.0.2.0/24")[0]["metric"], 50);
    let rules = networkd.ip("-4 rule");
    let rules = rules.as_array().unwrap().iter().map(|rule| {
        let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        (rule["priority"].as_u64().unwrap(), text("src"), text("fwmark"), text("table"))
    });
    let rules: Vec<_> = rules.collect();
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

/// A NIC of MTU 9000 below a bridge of 1500, a bridge that guests will join, and a tunnel from
/// the loopback's address.
fn site_with_bridges() -> ResolvedSite {
    let site = serde_json::json!({
        "subnets": {
            "lan": {"cidr": "10.0.0.0/24", "gateway": "10.0.0.1", "dns": ["10.0.0.53"]},
            "guests": {"cidr": "10.66.0.0/24"},
        },
        "profiles": {"p": {
            "nics": {"eth0": {"mtu": 9000}},
            "bridges": {
                "br0": {"interfaces": ["eth0"], "subnet": "lan"},
                "vmbr1": {"interfaces": [], "subnet": "guests"},
            },
        }},
        "hosts": {(golden::HOST): {
            "profile": "p",
            "nics": {"eth0": "52:54:00:aa:00:01"},
            "addresses": {"br0": "10.0.0.12", "vmbr1": "10.66.0.1"},
        }},
    });
    serde_json::from_value(site).unwrap()
}

fn bridges_come_up(systemd: &Systemd) {
    let site = aimed_at(site_with_bridges(), systemd.version);
    let files = golden::by_name(render_host(&site, golden::HOST, Format::Networkd).unwrap());
    assert!(files["15-vmbr1.network"].contains("RequiredForOnline=no\n"), "{files:#?}");
    let networkd = Networkd::start(systemd, &site);
    networkd.wait_until_as_modelled(&layout(&site, golden::HOST));
    let guests = networkd.ip("addr show dev vmbr1").to_string();
    assert!(guests.contains("10.66.0.1"), "no address before the first guest: {guests}");
    let settled = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mtus = || {
        ["eth0", "br0"].map(|name| networkd.ip(&format!("link show dev {name}"))[0]["mtu"].clone())
    };
    while mtus() != [9000, 1500] {
        assert!(std::time::Instant::now() < settled, "{:?}", mtus());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // It stays there when a port comes and goes.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(mtus(), [9000, 1500]);
}

#[test]
fn a_bridge_stays_below_its_ports_and_one_without_ports_has_its_address() {
    bridges_come_up(&Systemd::here());
    let test = "a_bridge_stays_below_its_ports_and_one_without_ports_has_its_address";
    for systemd in other_systemds(test) {
        bridges_come_up(&systemd);
    }
}

/// Two hosts whose tunnel leaves from the loopback, behind two routers.
fn tunnel_end(systemd: &Systemd, number: u8) -> Networkd {
    let other = 3 - number;
    let site = serde_json::json!({
        "subnets": {
            "lan": {"cidr": format!("10.{number}.0.0/24"), "gateway": format!("10.{number}.0.1"), "dns": ["10.9.9.9"]},
            "own": {"cidr": "192.168.10.0/24"},
            "overlay": {"cidr": "172.30.0.0/24", "mtu": 1450},
        },
        "profiles": {"p": {
            "nics": {"eth0": {"subnet": "lan"}},
            "loopbacks": {"lo": {"subnet": "own"}},
            "vxlans": {"vx1": {
                "vni": 7, "link": "lo", "remote": format!("192.168.10.{other}"), "subnet": "overlay",
            }},
        }},
        "hosts": {(golden::HOST): {
            "profile": "p",
            "nics": {"eth0": format!("52:54:00:aa:00:0{number}")},
            "addresses": {
                "eth0": format!("10.{number}.0.12"),
                "lo": format!("192.168.10.{number}"),
                "vx1": format!("172.30.0.{number}"),
            },
        }},
    });
    let site = aimed_at(serde_json::from_value(site).unwrap(), systemd.version);
    let networkd = Networkd::start(systemd, &site);
    let router = networkd.outside();
    router.ip(&format!("addr add 10.{number}.0.1/24 dev p-eth0"));
    router.ip(&format!("route add 192.168.10.{number}/32 via 10.{number}.0.12"));
    router.sh("sysctl -qw net.ipv4.ip_forward=1");
    networkd.wait_until_as_modelled(&layout(&site, golden::HOST));
    networkd
}

fn a_tunnel_carries_traffic(systemd: &Systemd) {
    let [one, two] = [1, 2].map(|number| tunnel_end(systemd, number));
    one.outside().join("between", two.outside(), "between");
    one.outside().ip("addr add 10.9.0.1/30 dev between");
    two.outside().ip("addr add 10.9.0.2/30 dev between");
    one.outside().ip("route add 192.168.10.2/32 via 10.9.0.2");
    two.outside().ip("route add 192.168.10.1/32 via 10.9.0.1");
    for (from, to) in [(&one, "172.30.0.2"), (&two, "172.30.0.1")] {
        let said = from.inside().sh(&format!("ping -n -c 3 -i 0.2 -W 2 -M do -s 1422 {to}"));
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(" 0% packet loss"), "systemd {}: {said}", systemd.version);
    }
}

#[test]
fn a_tunnel_from_the_loopback_carries_packets_between_two_hosts() {
    a_tunnel_carries_traffic(&Systemd::here());
    let test = "a_tunnel_from_the_loopback_carries_packets_between_two_hosts";
    for systemd in other_systemds(test) {
        a_tunnel_carries_traffic(&systemd);
    }
}
