//! The served interfaces.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;

use super::{CheckResult, Installation};
use crate::model::Site;

const CHECK: &str = "interfaces";

/// Checks that every served interface exists, is up, and is in a subnet of the site.
pub(super) fn interfaces(target: &Installation) -> Vec<CheckResult> {
    let entries: Vec<InterfaceAddress> = getifaddrs().map(Iterator::collect).unwrap_or_default();
    let named = &target.config.interfaces;
    if named.is_empty() {
        let fix = format!("set interfaces = [\"NAME\"] (available: {})", names(&entries));
        let text = "no interface is configured: DHCP and TFTP are off";
        return vec![CheckResult::error(CHECK, text, fix)];
    }
    let site = &target.snapshot().site;
    named.iter().map(|name| interface(name, &entries, site)).collect()
}

fn names(entries: &[InterfaceAddress]) -> String {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.interface_name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn interface(name: &str, entries: &[InterfaceAddress], site: &Site) -> CheckResult {
    let own: Vec<&InterfaceAddress> =
        entries.iter().filter(|entry| entry.interface_name == name).collect();
    let Some(flags) = own.first().map(|entry| entry.flags) else {
        let fix = format!("use an existing interface (available: {})", names(entries));
        return CheckResult::error(CHECK, format!("{name} does not exist"), fix);
    };
    if !flags.contains(InterfaceFlags::IFF_UP) {
        let fix = format!("ip link set {name} up");
        return CheckResult::error(CHECK, format!("{name} is down"), fix);
    }
    if !flags.contains(InterfaceFlags::IFF_RUNNING) {
        let text = format!("{name} has no carrier");
        return CheckResult::error(CHECK, text, "check its cable and its switch port");
    }
    let addresses: Vec<Ipv4Net> = own.iter().filter_map(|entry| net(entry)).collect();
    if addresses.is_empty() {
        let text = format!("{name} has no IPv4 address: only clients behind relays get an answer");
        return CheckResult::error(
            CHECK,
            text,
            format!("ip address add ADDRESS/PREFIX dev {name}"),
        );
    }
    let subnet = site.subnets.iter().find(|(_, subnet)| {
        addresses.iter().any(|net| subnet.cidr.contains(&IpAddr::V4(net.addr())))
    });
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    match subnet {
        Some((subnet, _)) => CheckResult::ok(CHECK, format!("{name} has {shown}, subnet {subnet}")),
        None => CheckResult::error(
            CHECK,
            format!(
                "{name} has {shown}, which is not in a subnet of the site: its clients get no answer"
            ),
            "add the subnet with a dhcp range, or correct the address of the interface",
        ),
    }
}

fn net(entry: &InterfaceAddress) -> Option<Ipv4Net> {
    let address = entry.address?.as_sockaddr_in()?.ip();
    let mask = entry.netmask?.as_sockaddr_in()?.ip();
    Ipv4Net::with_netmask(address, mask).ok()
}

/// All IPv4 addresses of this host.
pub(super) fn own_addresses() -> Vec<Ipv4Addr> {
    let entries = getifaddrs().into_iter().flatten();
    entries.filter_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip())).collect()
}
