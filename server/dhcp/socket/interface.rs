//! What the kernel says of an interface: number, addresses, MTU.

use std::fs;
use std::io;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;

use crate::dhcp::link::ServedLink;
use crate::model::Mac;

/// The interface as it is now, or `None` if it does not exist.
///
/// # Errors
/// When the kernel does not say, for example for lack of descriptors (EMFILE): nothing is known
/// about the interface then.
pub(in crate::dhcp) fn read_link(interface: &str) -> io::Result<Option<ServedLink>> {
    let index = match if_nametoindex(interface) {
        Ok(index) => index,
        Err(Errno::ENODEV | Errno::ENXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mtu = match fs::read_to_string(format!("/sys/class/net/{interface}/mtu")) {
        Ok(text) => text.trim().parse().unwrap_or(1500),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 1500,
        Err(error) => return Err(error),
    };
    let addresses = addresses(interface)?;
    Ok(Some(ServedLink { interface: interface.to_owned(), index, addresses, mtu }))
}

fn addresses(interface: &str) -> io::Result<Vec<Ipv4Net>> {
    let own = getifaddrs()?.filter(|entry| entry.interface_name == interface);
    let address_of = |entry: nix::ifaddrs::InterfaceAddress| {
        let address: Ipv4Addr = entry.address?.as_sockaddr_in()?.ip();
        let mask: Ipv4Addr = entry.netmask?.as_sockaddr_in()?.ip();
        Ipv4Net::with_netmask(address, mask).ok()
    };
    Ok(own.filter_map(address_of).collect())
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
