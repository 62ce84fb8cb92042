//! How long it takes to check and render a site of 4,000 hosts with four NICs each, cabled to 200 switches, on one
//! core.
//! The bar is one second for both.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use rackstrap::model::{Cable, Host, Mac, Nic};
use rackstrap::network::{Format, allocate, check_site, render_host};
use rackstrap::profile::ResolvedSite;

const HOSTS: u32 = 4000;

/// The hosts of a rack, which has two switches.
const IN_RACK: u32 = 40;

const SITE: &str = "
subnets:
  internal: {cidr: 10.0.0.0/16, vlan: 500, gateway: 10.0.255.254, mtu: 9000, dns: [10.0.255.253], ranges: [{from: 10.0.0.1, to: 10.0.99.255, for: hosts}]}
  storage: {cidr: 10.1.0.0/16, mtu: 9000, ranges: [{from: 10.1.0.1, to: 10.1.99.255, for: hosts}]}
profiles:
  hypervisor:
    bonds:
      bond0: {nics: [eth0, eth1], mode: 802.3ad, lacp-rate: fast}
      bond1: {nics: [eth2, eth3], mode: active-backup, subnet: storage}
    vlans: {vlan500: {link: bond0, subnet: internal}}
    bridges: {br0: {interfaces: [vlan500], subnet: internal}}
";

fn main() {
    let mut site: ResolvedSite = serde_saphyr::from_str(SITE).unwrap();
    for number in 0..HOSTS {
        let [_, _, high, low] = number.to_be_bytes();
        let (rack, unit) = (number / IN_RACK, number % IN_RACK + 1);
        let nic = |slot: u8| {
            let address = Mac([0x00, 0x16, 0x3e, slot, high, low]).into();
            let side = if slot.is_multiple_of(2) { 'a' } else { 'b' };
            let port = format!("Ethernet{}", unit + u32::from(slot / 2) * IN_RACK);
            let cable = Some(Cable { switch: format!("leaf{rack}{side}"), port });
            (format!("eth{slot}"), Nic { address, cable })
        };
        let nics = (0..4).map(nic).collect();
        let host = Host {
            profile: Some("hypervisor".into()),
            rack: Some(format!("rack{rack:03}")),
            unit: Some(unit as u16),
            nics,
            ..Host::default()
        };
        site.hosts.insert(format!("n{number:04}"), host);
    }
    for rack in 0..HOSTS / IN_RACK {
        for (side, peer) in [('a', 'b'), ('b', 'a')] {
            let switch = serde_json::json!({
                "vendor": "eos",
                "rack": format!("rack{rack:03}"),
                "mlag-peer": format!("leaf{rack}{peer}"),
                "native-vlan": 10,
                "vlans": [10, 500],
            });
            let switch = serde_json::from_value(switch).unwrap();
            site.switches.insert(format!("leaf{rack}{side}"), switch);
        }
    }
    let (assignments, allocated) = timed(|| allocate(&site));
    for made in assignments {
        site.hosts.get_mut(&made.host).unwrap().addresses.insert(made.link, made.address);
    }
    let (findings, checked) = timed(|| check_site(&site));
    assert_eq!(findings, []);
    let (files, rendered) = timed(|| {
        let files = |host: &String| render_host(&site, host, Format::Networkd).unwrap().len();
        site.hosts.keys().map(files).sum::<usize>()
    });
    println!("{HOSTS} hosts, {} switches, {files} files", site.switches.len());
    println!("allocate {allocated:?}\ncheck    {checked:?}\nrender   {rendered:?}");
    println!("check and render {:?}, the bar is 1 s", checked + rendered);
    assert!(checked + rendered < Duration::from_secs(1));
}

/// What a function gives, and the time it took.
fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = run();
    (value, start.elapsed())
}
