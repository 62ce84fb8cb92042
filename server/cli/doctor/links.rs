//! The interfaces that are served.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;

use super::{Finding, Patient};
use crate::model::Site;

const CHECK: &str = "interfaces";

/// Whether every interface that is to be served is there, up, and in a subnet of the site.
pub(super) fn interfaces(patient: &Patient) -> Vec<Finding> {
    let entries: Vec<InterfaceAddress> = getifaddrs().map(Iterator::collect).unwrap_or_default();
    let named = &patient.config.interfaces;
    if named.is_empty() {
        let remedy = format!("name one: interfaces = [\"NAME\"]; there are: {}", names(&entries));
        let text = "no interface is named: DHCP and TFTP are off";
        return vec![Finding::trouble(CHECK, text, remedy)];
    }
    let site = &patient.snapshot().site;
    named.iter().map(|name| interface(name, &entries, site)).collect()
}

fn names(entries: &[InterfaceAddress]) -> String {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.interface_name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn interface(name: &str, entries: &[InterfaceAddress], site: &Site) -> Finding {
    let own: Vec<&InterfaceAddress> =
        entries.iter().filter(|entry| entry.interface_name == name).collect();
    let Some(flags) = own.first().map(|entry| entry.flags) else {
        let remedy = format!("name one that is there: {}", names(entries));
        return Finding::trouble(CHECK, format!("{name} does not exist"), remedy);
    };
    if !flags.contains(InterfaceFlags::IFF_UP) {
        let remedy = format!("ip link set {name} up");
        return Finding::trouble(CHECK, format!("{name} is down"), remedy);
    }
    if !flags.contains(InterfaceFlags::IFF_RUNNING) {
        let text = format!("{name} has no carrier");
        return Finding::trouble(CHECK, text, "look at its cable and its switch port");
    }
    let addresses: Vec<Ipv4Net> = own.iter().filter_map(|entry| net(entry)).collect();
    if addresses.is_empty() {
        let text = format!("{name} has no IPv4 address: only clients behind relays are served");
        return Finding::trouble(CHECK, text, format!("ip address add ADDRESS/PREFIX dev {name}"));
    }
    let subnet = site.subnets.iter().find(|(_, subnet)| {
        addresses.iter().any(|net| subnet.cidr.contains(&IpAddr::V4(net.addr())))
    });
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    match subnet {
        Some((subnet, _)) => Finding::good(CHECK, format!("{name} has {shown}, subnet {subnet}")),
        None => Finding::trouble(
            CHECK,
            format!(
                "{name} has {shown}, which is in no subnet of the site: nobody there is served"
            ),
            "add the subnet with a dhcp range, or correct the interface's address",
        ),
    }
}

fn net(entry: &InterfaceAddress) -> Option<Ipv4Net> {
    let address = entry.address?.as_sockaddr_in()?.ip();
    let mask = entry.netmask?.as_sockaddr_in()?.ip();
    Ipv4Net::with_netmask(address, mask).ok()
}

/// Every IPv4 address of this machine.
pub(super) fn own_addresses() -> Vec<Ipv4Addr> {
    let entries = getifaddrs().into_iter().flatten();
    entries.filter_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip())).collect()
}
