//! Layout after layout on a whole guest with Debian's kernel: bonds, VLANs, bridges and VRFs
//! come up as modelled, the host is called online in time, and survives a pulled cable.
//!
//! Takes minutes: `make test-full` runs it, `make test` does not.

use std::path::Path;

use rackstrap::bundle::archive::HostFile;
use rackstrap::model::{BondMode, Defaults, Host};
use rackstrap::network::{Format, HostNetwork, Kind, Link, layout, render_host};
use rackstrap::profile::ResolvedSite;

use crate::common::guest::{Guest, Image, file};
use crate::common::kernel::Kernel;
use crate::common::partner::{Gateway, Partner};
use crate::common::skip::skip;
use crate::golden;

/// How soon after its start networkd must call a safe profile online, in seconds.
const SOON: f64 = 5.0;
/// The same of the one whose profile asks for a spanning tree with a delay of 2 x 4 s.
const SOON_WITH_STP: f64 = 15.0;
/// How often the kernel is looked at until it is as modelled.
const LOOKS: usize = 40;
/// How many pings are sent while a cable is pulled, ten a second.
const PINGS: u32 = 40;
/// How many of them pulling the one cable and then the other may cost in all: twice the
/// 300 ms until a bond that looks every 100 ms, and waits 200 ms more, uses the other port.
const MOST_LOST: u32 = 6;
/// LACP's bits `collecting` and `distributing`.
const CARRIES_FRAMES: u8 = 0x30;

/// Starts networkd and prints when it was started, when it ran, when wait-online ended, and how.
const START: &str = "read start _ </proc/uptime; systemctl start systemd-networkd; \
                     read runs _ </proc/uptime; \
                     /usr/lib/systemd/systemd-networkd-wait-online --timeout=$WAIT >&2; status=$?; \
                     read online _ </proc/uptime; echo $start $runs $online $status";

/// One profile that a guest is given.
struct Scenario {
    name: &'static str,
    site: ResolvedSite,
    /// How long wait-online may take, in seconds.
    wait: u32,
}

/// What was seen of a scenario.
struct Seen {
    /// Seconds until wait-online ended; none if it gave up.
    online: Option<f64>,
    /// The links that networkd was still configuring when it gave up.
    unready: Vec<String>,
    /// Seconds until the kernel was as modelled.
    modelled: f64,
    /// Pings lost when each cable of a bond was pulled in turn.
    lost: Option<u32>,
}

#[test]
#[ignore = "takes minutes: make test-full"]
fn every_layout_comes_up_in_a_guest_of_debian_12() {
    let test = "every_layout_comes_up_in_a_guest_of_debian_12";
    prove(test, 252, Image::build(None));
}

#[test]
#[ignore = "takes minutes: make test-full"]
fn every_layout_comes_up_in_a_guest_of_debian_13() {
    let test = "every_layout_comes_up_in_a_guest_of_debian_13";
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/trees");
    let apt = trees.join("trixie/apt.conf");
    if !apt.exists() {
        return skip(test, "tests/tools/get-trees.sh could not reach Debian 13 in apt's mirror");
    }
    prove(test, 257, Image::build(Some(&apt)));
}

fn prove(test: &str, systemd: u16, image: Result<Image, String>) {
    let image = match image {
        Ok(image) => image,
        Err(why) => return skip(test, &format!("the guest's image cannot be built: {why}")),
    };
    let scenarios = scenarios(systemd);
    let mut guest = Guest::boot(&image, scenarios.iter().flat_map(files).collect());
    let version = guest.ok("networkctl --version");
    assert!(version.starts_with(&format!("systemd {systemd}")), "{version}");
    let mut table = format!(
        "{:<28}{:>12}{:>14}{:>12}\n",
        format!("systemd {systemd}, seconds"),
        "online",
        "as modelled",
        "pings lost"
    );
    println!("{test}");
    let mut late = Vec::new();
    for scenario in &scenarios {
        let seen = run(&mut guest, scenario);
        table.push_str(&row(scenario, &seen));
        println!("{}", row(scenario, &seen).trim_end());
        let soon = if scenario.name == "stack" { SOON_WITH_STP } else { SOON };
        if is_safe(scenario) && seen.online.is_none_or(|seconds| seconds >= soon) {
            late.push(scenario.name);
        }
        if seen.lost.is_some_and(|lost| lost > MOST_LOST) {
            late.push(scenario.name);
        }
    }
    println!("{table}");
    assert_eq!(late, Vec::<&str>::new(), "not in time:\n{table}");
}

fn row(scenario: &Scenario, seen: &Seen) -> String {
    let given_up = format!("not in {}", scenario.wait);
    let online = seen.online.map_or(given_up, |seconds| format!("{seconds:.1}"));
    let lost = seen.lost.map_or_else(|| "-".to_owned(), |lost| format!("{lost} of {}", 2 * PINGS));
    let mut row = format!("{:<28}{online:>12}{:>14.1}{lost:>12}", scenario.name, seen.modelled);
    if seen.online.is_none() {
        row.push_str(&format!("  networkd waits for {}", seen.unready.join(", ")));
    }
    row + "\n"
}

/// The three layouts as they are and as an operator once wrote them, rails, a VRF, bonds whose
/// MAC somebody else chooses, and rules of nftables.
fn scenarios(systemd: u16) -> Vec<Scenario> {
    let written = |name: &str| {
        let layouts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layouts");
        golden::read_site(&layouts.join(format!("{name}.yaml")))
    };
    let safe = |name| golden::sites().remove(name).unwrap();
    // The newer one waits for a router without end, and so for a bond that bears no address.
    let patience = if systemd < 256 { 60 } else { 20 };
    let mut all = vec![
        Scenario { name: "bond", site: safe("bond"), wait: 30 },
        Scenario { name: "bond-vlan", site: safe("bond-vlan"), wait: 30 },
        Scenario { name: "bond-vlan-bridge", site: safe("bond-vlan-bridge"), wait: 30 },
        Scenario { name: "rails", site: with_several_routers(safe("rails")), wait: 30 },
        Scenario { name: "stack", site: safe("stack"), wait: 30 },
        Scenario { name: "bond, kernel's MAC", site: with_mac(safe("bond"), "none"), wait: 30 },
        Scenario {
            name: "bond, networkd's MAC",
            site: with_mac(safe("bond"), "persistent"),
            wait: 30,
        },
        Scenario { name: "source-nat", site: safe("source-nat"), wait: 30 },
        Scenario { name: "1-bond, verbatim", site: written("1-bond"), wait: patience },
        Scenario { name: "2-bond-vlan, verbatim", site: written("2-bond-vlan"), wait: patience },
        Scenario {
            name: "3-bond-vlan-bridge, verbatim",
            site: written("3-bond-vlan-bridge"),
            wait: patience,
        },
    ];
    for host in all.iter_mut().flat_map(|scenario| scenario.site.hosts.values_mut()) {
        set_network(host, serde_json::json!({"systemd": systemd}));
    }
    all
}

/// The rails, with a route over two routers of the first.
fn with_several_routers(mut site: ResolvedSite) -> ResolvedSite {
    let hops = serde_json::json!([{"via": "10.10.0.1"}, {"via": "10.10.0.2", "weight": 3}]);
    let route = serde_json::json!({"to": "203.0.113.0/24", "next-hops": hops});
    for host in site.hosts.values_mut() {
        set_network(host, serde_json::json!({"nics": {"rail0": {"routes": [route]}}}));
    }
    site
}

/// The bond, with the MAC that somebody else chooses.
fn with_mac(mut site: ResolvedSite, chooser: &str) -> ResolvedSite {
    for host in site.hosts.values_mut() {
        set_network(host, serde_json::json!({"bonds": {"bond0": {"macaddress": chooser}}}));
    }
    site
}

/// Lays something over the profile of a host, beside what is laid there already.
fn set_network(host: &mut Host, network: serde_json::Value) {
    let mut entries = host.network.entries().clone();
    entries.extend(network.as_object().unwrap().clone());
    host.network = entries.into();
}

fn is_safe(scenario: &Scenario) -> bool {
    let site = &scenario.site;
    let mut found = site.hosts.values().map(|host| site.profile_of(host).unwrap());
    found.all(|found| found.profile.defaults == Defaults::Safe)
}

/// A scenario's files, below a directory with its name.
fn files(scenario: &Scenario) -> Vec<HostFile> {
    let rendered = render_host(&scenario.site, golden::HOST, Format::Networkd).unwrap();
    let place = |path: &str| format!("{}{path}", directory(scenario));
    rendered.into_iter().map(|one| file(&place(&one.path()), &one.text)).collect()
}

fn directory(scenario: &Scenario) -> String {
    format!("/proof/{}", scenario.name.replace([' ', ',', '\''], ""))
}

fn run(guest: &mut Guest, scenario: &Scenario) -> Seen {
    let network = layout(&scenario.site, golden::HOST);
    let partner = Partner::of(&network, &scenario.site);
    guest.ok("sh /usr/lib/proof/reset");
    guest.ok(&partner.shell());
    guest.ok(&format!("busybox cp -r {}/etc /", directory(scenario)));
    guest.ok("/usr/lib/systemd/systemd-sysctl; udevadm control --reload; systemctl daemon-reload");
    let said = guest.ok(&format!("WAIT={}; {START}", scenario.wait));
    let times: Vec<f64> =
        said.lines().last().unwrap().split(' ').map(|number| number.parse().unwrap()).collect();
    let [_, runs, online, status] = times[..] else { panic!("{said}") };
    let online = (status == 0.0).then_some(online - runs);
    let unready = if online.is_none() { unready(guest) } else { Vec::new() };
    assert!(online.is_some() || !unready.is_empty(), "{}: nothing to wait for", scenario.name);
    let modelled = wait_until_as_modelled(guest, scenario, &network) - runs;
    for (name, value) in &network.sysctls {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        assert_eq!(guest.ok(&format!("cat {path}")).trim(), value, "{}: {name}", scenario.name);
    }
    source_nat(guest, &network);
    assert!(!partner.gateways.is_empty(), "{}", scenario.name);
    for gateway in &partner.gateways {
        ping(guest, scenario, &network, gateway);
    }
    let has_partner = lacp_bonds(&network).next().is_some();
    let lost = (has_partner && is_safe(scenario)).then(|| {
        let lost = [0, 1].map(|nic| {
            // The cable that was pulled before carries frames again.
            wait_until_as_modelled(guest, scenario, &network);
            pull_a_cable(guest, &partner.gateways[0], nic)
        });
        lost.iter().sum()
    });
    Seen { online, unready, modelled, lost }
}

/// Whether systemd has had the rules loaded, of a host that has any.
fn source_nat(guest: &mut Guest, network: &HostNetwork) {
    for nat in &network.source_nat {
        let chain = guest.ok("nft list chain inet rackstrap postrouting");
        for address in &nat.addresses {
            assert!(chain.contains(&format!(" to {address}\n")), "{address} is not in {chain}");
        }
    }
}

/// The links that networkd has not set up to its end. `networkctl` needs a bus on 252.
fn unready(guest: &mut Guest) -> Vec<String> {
    let line = "for link in /sys/class/net/*/ifindex; do read index <$link; \
                busybox grep -qs ADMIN_STATE=configuring /run/systemd/netif/links/$index && \
                busybox basename ${link%/ifindex}; done; true";
    guest.ok(line).lines().map(str::to_owned).collect()
}

/// Waits until the kernel is as modelled and LACP has a partner on every port; the uptime then.
fn wait_until_as_modelled(guest: &mut Guest, scenario: &Scenario, network: &HostNetwork) -> f64 {
    let mut wrong = Vec::new();
    for _ in 0..LOOKS {
        wrong = Kernel::read(|words| guest.ip(words)).differences(network);
        wrong.extend(lacp_bonds(network).filter_map(|bond| lacp_difference(guest, network, bond)));
        if wrong.is_empty() {
            return guest.ok("cut -d ' ' -f 1 /proc/uptime").trim().parse().unwrap();
        }
        guest.ok("sleep 1");
    }
    let log = guest.run("ip -d addr; cat /proc/net/bonding/*").0;
    panic!("{}: {wrong:#?}\n{log}", scenario.name);
}

fn lacp_bonds(network: &HostNetwork) -> impl Iterator<Item = &Link> {
    let is_lacp =
        |link: &&Link| matches!(&link.kind, Kind::Bond(spec) if spec.mode == BondMode::Lacp);
    network.links.values().filter(is_lacp)
}

/// What is wrong with a bond in the kernel's own words. A port is counted 2 s before it
/// carries frames: it does when both sides collect and distribute (IEEE 802.1AX-2014 section 6.4.2.3).
fn lacp_difference(guest: &mut Guest, network: &HostNetwork, bond: &Link) -> Option<String> {
    let said = guest.run(&format!("cat /proc/net/bonding/{}", bond.name)).0;
    let ports = format!("Number of ports: {}\n", network.members(&bond.name).count());
    let expected = ["Mode: IEEE 802.3ad", &ports, "Partner Mac Address: 52:54:00:bb:00:"];
    if let Some(missing) = expected.into_iter().find(|words| !said.contains(words)) {
        return Some(format!("{} has no \"{missing}\"", bond.name));
    }
    let states = said.lines().filter_map(|line| line.trim().strip_prefix("port state: "));
    let idle = states.map(|state| state.parse::<u8>().unwrap());
    let idle = idle.filter(|state| state & CARRIES_FRAMES != CARRIES_FRAMES).count();
    (idle > 0).then(|| format!("{}: {idle} ends of its ports carry no frames", bond.name))
}

/// Asks the gateway for an answer, with packets as large as the link takes.
fn ping(guest: &mut Guest, scenario: &Scenario, network: &HostNetwork, gateway: &Gateway) {
    let kernel = Kernel::read(|words| guest.ip(words));
    let device = kernel.name(&network.links[&gateway.link]).to_owned();
    let headers = if gateway.address.is_ipv6() { 48 } else { 28 };
    let (address, size) = (gateway.address, gateway.mtu - headers);
    let line = format!("ping -n -I {device} -M do -s {size} -c 3 -i 0.2 -W 2 {address}");
    let mut said = String::new();
    for _ in 0..10 {
        said = guest.run(&line).0;
        if said.contains(" 0% packet loss") {
            return;
        }
    }
    panic!("{}: {line}: {said}", scenario.name);
}

/// Pulls a NIC's cable while pings are under way, and gives how many of them were lost.
fn pull_a_cable(guest: &mut Guest, gateway: &Gateway, nic: usize) -> u32 {
    guest.send(&format!("ping -n -q -i 0.1 -c {PINGS} -W 1 {}", gateway.address));
    // Time for the first answers: the bond is at work when the cable goes.
    std::thread::sleep(std::time::Duration::from_secs(1));
    guest.set_cable(nic, false);
    let said = guest.answer().0;
    let carrier = guest.ok(&format!("cat /sys/class/net/eth{nic}/carrier"));
    guest.set_cable(nic, true);
    assert_eq!(carrier.trim(), "0", "the cable was not pulled");
    let received = said.split(" received").next().unwrap().rsplit(' ').next().unwrap();
    PINGS - received.parse::<u32>().unwrap_or_else(|_| panic!("{said}"))
}
