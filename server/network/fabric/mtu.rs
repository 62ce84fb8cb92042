//! How large the packets of a port may be. Pure.

use crate::model::{Switch, Vendor};

/// The bytes around a host's packet that a switch may count: Ethernet's header, two VLAN
/// tags and the checksum, IEEE 802.3 section 3.2.
pub(in crate::network) const HEADROOM: u32 = 14 + 4 + 4;

/// The MTUs that ports of a vendor usually have, smallest first: what the platform documents
/// as jumbo frames' size, and its largest.
fn steps(vendor: Vendor) -> &'static [u32] {
    match vendor {
        Vendor::Eos => &[9214],
        Vendor::Nvue => &[9216],
        Vendor::Sonic => &[9100, 9216],
    }
}

/// The MTU of a port to a host whose largest packet is `host_mtu`: the switch's own if it
/// has one, else the vendor's smallest with headroom. None: no port is large enough.
pub(in crate::network) fn port_mtu(switch: &Switch, host_mtu: u32) -> Option<u32> {
    if let Some(mtu) = switch.mtu {
        return (host_mtu <= mtu).then_some(mtu);
    }
    steps(switch.vendor).iter().copied().find(|step| host_mtu + HEADROOM <= *step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_room_for_the_hosts_packets_and_their_headers() {
        let switch = |vendor, mtu| Switch {
            mtu,
            ..serde_json::from_value(serde_json::json!({"vendor": vendor})).unwrap()
        };
        let cases = [
            ("eos", None, 1500, Some(9214)),
            ("nvue", None, 9000, Some(9216)),
            ("sonic", None, 9000, Some(9100)),
            ("sonic", None, 9090, Some(9216)),
            ("eos", None, 9200, None),
            ("eos", Some(1600), 1500, Some(1600)),
            ("eos", Some(1500), 1500, Some(1500)),
            ("eos", Some(1500), 9000, None),
        ];
        for (vendor, mtu, host, expected) in cases {
            assert_eq!(port_mtu(&switch(vendor, mtu), host), expected, "{vendor} {mtu:?} {host}");
        }
    }
}
