//! The systemd-networkd files of the guest that is the switch. Pure.

use super::fabric::PORTS;
use super::sample_site::{GATEWAY, Layout, VLAN};
use crate::bundle::archive::HostFile;

/// The kernel command line that makes a router of it. Without `arp_ignore` it
/// would answer for the gateway's address on the provisioning side too.
pub(super) const CMDLINE: &str = "console=ttyS0 quiet cryptomgr.notests sysctl.net.ipv4.ip_forward=1 \
                           sysctl.net.ipv4.conf.all.arp_ignore=1";

/// MAC address of the switch's link to the server.
pub(super) const UPLINK_MAC: &str = "52:54:00:5c:00:00";

/// MAC address of the switch port of a host port.
pub(super) fn port_mac(host: usize, port: usize) -> String {
    format!("52:54:00:5c:{host:02x}:{port:02x}")
}

/// The switch's files: an 802.3ad partner for each host, and a bridge of all
/// partners (of their VLAN where the layout has one) with the gateway's address.
pub(super) fn files(layout: Layout, hosts: usize) -> Vec<HostFile> {
    let mut files = vec![
        file(
            "10-uplink.network",
            format!(
                "[Match]\nPermanentMACAddress={UPLINK_MAC}\n\n[Link]\nMTUBytes=9000\n\n\
                 [Network]\nAddress=10.77.0.254/24\n{QUIET}"
            ),
        ),
        file(
            "40-internal.netdev",
            "[NetDev]\nName=internal\nKind=bridge\nMACAddress=52:54:00:5c:ff:fe\n\n\
             [Bridge]\nSTP=no\nForwardDelaySec=0\n"
                .to_owned(),
        ),
        file(
            "40-internal.network",
            format!(
                "[Match]\nName=internal\n\n[Link]\nMTUBytes=9000\n\n\
                 [Network]\nAddress={GATEWAY}/24\nConfigureWithoutCarrier=yes\n{QUIET}"
            ),
        ),
    ];
    for host in 1..=hosts {
        files.extend(partner(layout, host));
    }
    files
}

/// What every link that only carries others says.
const QUIET: &str = "LinkLocalAddressing=no\nIPv6AcceptRA=no\n";

/// The bond that is a host's LACP partner, and its VLAN.
fn partner(layout: Layout, host: usize) -> Vec<HostFile> {
    let bond = format!("host{host}");
    let mut files = Vec::new();
    for port in 0..PORTS {
        let mac = port_mac(host, port);
        files.push(file(
            &format!("10-{bond}-{port}.network"),
            format!(
                "[Match]\nPermanentMACAddress={mac}\n\n[Link]\nMTUBytes=9000\n\n\
                 [Network]\nBond={bond}\n{QUIET}"
            ),
        ));
    }
    let mac = port_mac(host, 0);
    files.push(file(
        &format!("20-{bond}.netdev"),
        format!(
            "[NetDev]\nName={bond}\nKind=bond\nMTUBytes=9000\nMACAddress={mac}\n\n\
             [Bond]\nMode=802.3ad\nLACPTransmitRate=fast\nMIIMonitorSec=100ms\n"
        ),
    ));
    let (over, vlan) = match layout {
        Layout::Bond => ("Bridge=internal".to_owned(), None),
        Layout::BondVlan | Layout::BondVlanBridge => {
            let vlan = format!("{bond}.{VLAN}");
            (format!("VLAN={vlan}"), Some(vlan))
        }
    };
    files.push(file(&format!("20-{bond}.network"), carrier(&bond, &over)));
    if let Some(vlan) = vlan {
        let netdev =
            format!("[NetDev]\nName={vlan}\nKind=vlan\nMTUBytes=9000\n\n[VLAN]\nId={VLAN}\n");
        files.push(file(&format!("30-{vlan}.netdev"), netdev));
        files.push(file(&format!("30-{vlan}.network"), carrier(&vlan, "Bridge=internal")));
    }
    files
}

/// A link without an address that carries another.
fn carrier(name: &str, over: &str) -> String {
    format!("[Match]\nName={name}\n\n[Link]\nMTUBytes=9000\n\n[Network]\n{over}\n{QUIET}")
}

fn file(name: &str, text: String) -> HostFile {
    HostFile { path: format!("/etc/systemd/network/{name}"), mode: 0o644, text }
}
