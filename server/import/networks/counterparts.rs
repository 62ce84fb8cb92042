//! Why a word of another format is not taken over: a site file has none for it, or has one that the
//! importer does not read. Pure.

use super::Dialect;
use crate::import::Reason;

/// Words of other formats, as `SECTION.KEY` or with `*` at the end, and what a site file has for them.
const COUNTERPARTS: &[(Dialect, &str, &str)] = {
    use Dialect::{Ifupdown, Netplan, NetworkManager, Networkd, Nmstate};
    &[
        (Networkd, "Match.Driver", "match-driver of NICs"),
        (Networkd, "Match.OriginalName", "match-name of NICs"),
        (Networkd, "Match.Path", "path of NICs"),
        (Networkd, "Network.DNSSEC", "dnssec of subnets"),
        (Networkd, "Network.DNSOverTLS", "dns-over-tls of subnets"),
        (Networkd, "Network.NTP", "ntp of subnets"),
        (Networkd, "Network.IPForward", "sysctls"),
        (Networkd, "Network.IPv4Forwarding", "sysctls"),
        (Networkd, "Network.IPv6Forwarding", "sysctls"),
        (Networkd, "Network.IPv4ProxyARP", "sysctls"),
        (Networkd, "Network.IPv4ReversePathFilter", "sysctls"),
        (Networkd, "Network.IPv4AcceptLocal", "sysctls"),
        (Networkd, "Network.IPoIB", "partitions"),
        (Networkd, "FairQueueing.*", "qdisc of links"),
        (Networkd, "FairQueueingControlledDelay.*", "qdisc of links"),
        (Networkd, "CAKE.*", "qdisc of links"),
        (Networkd, "PFIFO.*", "qdisc of links"),
        (Networkd, "SR-IOV.*", "sriov of NICs"),
        (Networkd, "BridgeFDB.*", "forwarding of links"),
        (Networkd, "Address.Scope", "address-scope of links"),
        (Networkd, "Address.Peer", "peer-number of links"),
        (Networkd, "Address.DuplicateAddressDetection", "duplicate-detection of links"),
        (Networkd, "Address.RouteMetric", "metric of links"),
        (Networkd, "VLAN.Id", "id of vlans"),
        (Networkd, "Link.RxCoalesceSec", "coalesce of NICs"),
        (Networkd, "Link.TxCoalesceSec", "coalesce of NICs"),
        (Networkd, "Link.RxMaxCoalescedFrames", "coalesce of NICs"),
        (Networkd, "Link.TxMaxCoalescedFrames", "coalesce of NICs"),
        (Networkd, "Link.UseAdaptive*", "coalesce of NICs"),
        (Networkd, "Kind.wireguard", "wireguards, whose keys are its own"),
        (Networkd, "Kind.ipoib", "partitions"),
        (Networkd, "Kind.macsec", "macsecs"),
        (Netplan, "match.driver", "match-driver of NICs"),
        (Netplan, "match.name", "match-name of NICs"),
        (Netplan, "tunnel.wireguard", "wireguards, whose keys are its own"),
        (Netplan, "tunnel.*", "tunnels"),
        (Netplan, "virtual-ethernets", "veths"),
        (Netplan, "auth", "auth of NICs"),
        (Netplan, "openvswitch", "openvswitch of bridges"),
        (Netplan, "neigh-suppress", "neighbor-suppression of a bridge's ports"),
        (Netplan, "hairpin", "hairpin of a bridge's ports"),
        (Netplan, "port-mac-learning", "learning of a bridge's ports"),
        (Netplan, "virtual-function-count", "sriov of NICs"),
        (Netplan, "embedded-switch-mode", "sriov of NICs"),
        (Netplan, "infiniband-mode", "infiniband-mode of NICs"),
        (NetworkManager, "type.wireguard", "wireguards, whose keys are its own"),
        (NetworkManager, "type.ip-tunnel", "tunnels"),
        (NetworkManager, "type.macvlan", "macvlans"),
        (NetworkManager, "type.ipvlan", "ipvlans"),
        (NetworkManager, "type.veth", "veths"),
        (NetworkManager, "type.macsec", "macsecs"),
        (NetworkManager, "802-1x.*", "auth of NICs"),
        (NetworkManager, "type.ovs-*", "openvswitch of bridges"),
        (NetworkManager, "connection.autoconnect", "activation-mode of links"),
        (NetworkManager, "match.interface-name", "match-name of NICs"),
        (NetworkManager, "match.driver", "match-driver of NICs"),
        (NetworkManager, "match.path", "path of NICs"),
        (NetworkManager, "ethernet.wake-on-lan", "wake-on-lan of NICs"),
        (NetworkManager, "bridge-port.*", "ports of bridges"),
        (NetworkManager, "bridge.vlans", "ports of bridges"),
        (NetworkManager, "vlan.ingress-priority-map", "ingress-qos of vlans"),
        (NetworkManager, "vlan.egress-priority-map", "egress-qos of vlans"),
        (NetworkManager, "infiniband.transport-mode", "infiniband-mode of NICs"),
        (NetworkManager, "infiniband.p-key", "partitions"),
        (NetworkManager, "infiniband.parent", "partitions"),
        (NetworkManager, "ethtool.feature-*", "offload of NICs"),
        (NetworkManager, "ethtool.ring-*", "ring of NICs"),
        (NetworkManager, "ethtool.channels-*", "channels of NICs"),
        (NetworkManager, "ethtool.coalesce-*", "coalesce of NICs"),
        (NetworkManager, "sriov.*", "sriov of NICs"),
        (NetworkManager, "tc.qdisc*", "qdisc of links"),
        (NetworkManager, "ipv4.route-table", "table of links"),
        (NetworkManager, "ipv6.route-table", "table of links"),
        (NetworkManager, "ipv4.never-default", "default-route of links"),
        (NetworkManager, "ipv6.never-default", "default-route of links"),
        (NetworkManager, "ipv4.may-fail", "online-family of links"),
        (NetworkManager, "ipv6.may-fail", "online-family of links"),
        (Ifupdown, "ovs-*", "openvswitch of bridges"),
        (Ifupdown, "vxlan-*", "vxlans"),
        (Ifupdown, "tunnel-*", "tunnels"),
        (Ifupdown, "wireguard", "wireguards, whose keys are its own"),
        (Ifupdown, "link-type.veth", "veths"),
        (Ifupdown, "bridge-learning", "learning of a bridge's ports"),
        (Ifupdown, "bridge-arp-nd-suppress", "neighbor-suppression of a bridge's ports"),
        (Ifupdown, "bridge-pathcosts", "cost of a bridge's ports"),
        (Ifupdown, "bridge-ageing", "ageing-time of bridges"),
        (Ifupdown, "bridge-maxage", "max-age of bridges"),
        (Ifupdown, "bridge-hello", "hello-time of bridges"),
        (Ifupdown, "bridge-bridgeprio", "priority of bridges"),
        (Ifupdown, "bridge-mcsnoop", "multicast-snooping of bridges"),
        (Ifupdown, "bridge-mcquerier", "multicast-querier of bridges"),
        (Ifupdown, "ethernet-wol", "wake-on-lan of NICs"),
        (Ifupdown, "offload-*", "offload of NICs"),
        (Ifupdown, "vlan-protocol", "protocol of vlans"),
        (Ifupdown, "alias", "description of links"),
        (Ifupdown, "metric", "metric of links"),
        (Ifupdown, "accept-ra", "accept-ra of links"),
        (Ifupdown, "privext", "ipv6-privacy of links"),
        (Nmstate, "type.wireguard", "wireguards, whose keys are its own"),
        (Nmstate, "type.infiniband", "partitions"),
        (Nmstate, "type.macsec", "macsecs"),
        (Nmstate, "802.1x", "auth of NICs"),
        (Nmstate, "type.ovs-*", "openvswitch of bridges"),
        (Nmstate, "ovs-db", "openvswitch of bridges"),
        (Nmstate, "state.down", "activation-mode of links"),
        (Nmstate, "state.ignore", "unmanaged of NICs"),
        (Nmstate, "ethtool", "offload, ring, channels and coalesce of NICs"),
        (Nmstate, "ethtool.coalesce.*", "coalesce of NICs"),
        (Nmstate, "ethtool.feature.*", "offload of NICs"),
        (Nmstate, "ipv4.auto-route-table-id", "table of links"),
        (Nmstate, "ipv6.auto-route-table-id", "table of links"),
    ]
};

/// Why a word of a format is not taken over.
pub(super) fn reason(dialect: Dialect, word: &str) -> Reason {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => word.starts_with(beginning),
        None => word == pattern,
    };
    let found = COUNTERPARTS.iter().find(|(of, pattern, _)| *of == dialect && fits(pattern));
    found.map_or(Reason::NoCounterpart, |(_, _, ours)| Reason::NotRead(ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Profile, Subnet};

    #[test]
    fn every_counterpart_is_a_key_of_site_files() {
        let schemas = [
            serde_json::to_string(&schemars::schema_for!(Profile)).unwrap(),
            serde_json::to_string(&schemars::schema_for!(Subnet)).unwrap(),
        ];
        for (_, theirs, ours) in COUNTERPARTS {
            let key = ours.split([' ', ',']).next().unwrap_or_default();
            let is_key = schemas.iter().any(|schema| schema.contains(&format!("\"{key}\":")));
            assert!(is_key, "{theirs}: {ours}");
        }
    }
}
