//! What the kernel says of an interface: number, addresses, MTU.

use std::fs;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;

use crate::dhcp::link::ServedLink;
use crate::model::Mac;

/// The interface as it is now; none if there is none of that name.
pub(in crate::dhcp) fn read_link(interface: &str) -> Option<ServedLink> {
    let index = if_nametoindex(interface).ok()?;
    let mtu = fs::read_to_string(format!("/sys/class/net/{interface}/mtu"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1500);
    Some(ServedLink {
        interface: interface.to_owned(),
        index,
        addresses: addresses(interface),
        mtu,
    })
}

fn addresses(interface: &str) -> Vec<Ipv4Net> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    all.filter(|entry| entry.interface_name == interface)
        .filter_map(|entry| {
            let address: Ipv4Addr = entry.address?.as_sockaddr_in()?.ip();
            let mask: Ipv4Addr = entry.netmask?.as_sockaddr_in()?.ip();
            Ipv4Net::with_netmask(address, mask).ok()
        })
        .collect()
}

/// The interface's own MAC.
pub(super) fn mac_of(interface: &str) -> Option<Mac> {
    let mut entries = getifaddrs().ok()?.filter(|entry| entry.interface_name == interface);
    entries.find_map(|entry| entry.address?.as_link_addr()?.addr()).map(Mac)
}

/// The names of all interfaces, for an error that says what would be right.
pub(in crate::dhcp) fn interface_names() -> Vec<String> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    let mut names: Vec<String> = all.map(|entry| entry.interface_name).collect();
    names.sort();
    names.dedup();
    names
}
