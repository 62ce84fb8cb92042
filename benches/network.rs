//! How long it takes to check and render a site of 4,000 hosts with four NICs each, on one core.
//! The bar is one second for both.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use rackstrap::model::{Host, Mac};
use rackstrap::network::{Format, allocate, check_site, render_host};
use rackstrap::profile::ResolvedSite;

const HOSTS: u32 = 4000;

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
        let nic =
            |slot: u8| (format!("eth{slot}"), Mac([0x00, 0x16, 0x3e, slot, high, low]).into());
        let nics = (0..4).map(nic).collect();
        let host = Host { profile: Some("hypervisor".into()), nics, ..Host::default() };
        site.hosts.insert(format!("n{number:04}"), host);
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
    println!("{HOSTS} hosts, {files} files");
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
