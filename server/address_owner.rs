//! Which host an address belongs to.

use std::net::{IpAddr, Ipv4Addr};

use crate::app::App;
use crate::inventory::{Snapshot, now_ms};
use crate::model::{ClientKey, Host, Lease, Mac};

/// The host that leases or owns an address.
pub(crate) fn host_at<'a>(
    app: &App,
    snapshot: &'a Snapshot,
    address: IpAddr,
) -> Option<(&'a str, &'a Host)> {
    let hosts = &snapshot.site.hosts;
    let by_lease = lease_of(app, address).and_then(|lease| match lease.client {
        ClientKey::Host(name) => hosts.get_key_value(&name),
        ClientKey::Mac(_) | ClientKey::Guid(_) | ClientKey::Id(_) => {
            let host = snapshot.host_of_nic(lease.nic?);
            host.and_then(|(name, _)| hosts.get_key_value(name))
        }
    });
    let found =
        by_lease.or_else(|| hosts.iter().find(|(_, host)| owns_address(snapshot, host, address)));
    found.map(|(name, host)| (name.as_str(), host))
}

/// The running lease of an address.
pub(crate) fn lease_of(app: &App, address: IpAddr) -> Option<Lease> {
    let IpAddr::V4(address) = address else { return None };
    app.leases.find(address).filter(|lease| lease.is_live(now_ms() / 1000))
}

/// Whether an address is a host's. If another host has it too, in another VRF, the NIC that
/// answers ARP for it decides.
pub(crate) fn owns_address(snapshot: &Snapshot, host: &Host, address: IpAddr) -> bool {
    owns(host, address) && (!snapshot.is_shared(address) || is_nic_of(address, host))
}

/// Whether the neighbour with this address is a NIC of the host.
pub(crate) fn is_nic_of(address: IpAddr, host: &Host) -> bool {
    let IpAddr::V4(address) = address else { return false };
    neighbour(address).is_some_and(|mac| host.has_mac(mac))
}

/// The MAC of a neighbour, as the kernel knows it from ARP: it has one of every caller on the
/// link, which it answers.
fn neighbour(address: Ipv4Addr) -> Option<Mac> {
    // As the thread sees it: a server may be in a network namespace of its own.
    let table = std::fs::read_to_string("/proc/thread-self/net/arp").ok()?;
    mac_in_arp_table(&table, address)
}

/// The MAC of an address in `/proc/net/arp` (proc_net(5)): address, type, flags, MAC, mask,
/// device. An entry whose flags lack ATF_COM (2) is incomplete.
fn mac_in_arp_table(table: &str, address: Ipv4Addr) -> Option<Mac> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let is_its = words.next()?.parse() == Ok(address);
        let flags = u32::from_str_radix(words.nth(1)?.strip_prefix("0x")?, 16).ok()?;
        let mac: Mac = words.next()?.parse().ok()?;
        (is_its && flags & 2 != 0 && !mac.is_zero()).then_some(mac)
    })
}

/// Whether the address is one that the inventory gives to the host.
fn owns(host: &Host, address: IpAddr) -> bool {
    host.addresses.values().chain(host.reservations.values()).any(|own| *own == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_found_in_the_arp_table() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.77.0.12       0x1         0x2         52:54:00:aa:00:01     *        lan\n\
                     10.77.0.13       0x1         0x0         00:00:00:00:00:00     *        lan\n\
                     10.77.0.14       0x1         0x6         52:54:00:aa:00:04     *        lan\n\
                     rubbish\n";
        let found = |last| mac_in_arp_table(table, Ipv4Addr::new(10, 77, 0, last));
        assert_eq!(found(12), Some(Mac([0x52, 0x54, 0, 0xaa, 0, 1])));
        assert_eq!((found(13), found(15)), (None, None), "incomplete, and unknown");
        assert_eq!(found(14), Some(Mac([0x52, 0x54, 0, 0xaa, 0, 4])), "permanent");
    }
}
