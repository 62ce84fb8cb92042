//! Broken sites: switches and what is cabled to them.

use super::Case;

#[rustfmt::skip] // a table: a case a line
pub(super) const ERRORS: &[Case] = &[
    ("N166", "    bonds:", "    bridges: {br0: {interfaces: [eth0, eth1], dhcp4: true}}\n  rest:\n    bonds:", "hosts.n2.nics.eth1", "eth0 ends on leaf1a Ethernet2 and eth1 on leaf1b Ethernet2"),
    ("N127", "lacp-rate: fast", "min-links: 3", "profiles.hypervisor.bonds.bond0.min-links", "never come up"),
    ("N119", "switch: leaf1b, port: Ethernet2}", "switch: leaf1a, port: Ethernet2}", "hosts.n2.nics.eth1", "leaf1a Ethernet2 is already connected to eth0 of n2"),
    ("N129", "mlag-peer: leaf1a", "mlag-peer: leaf1b", "switches.leaf1a.mlag-peer", "whose own mlag-peer is leaf1b"),
    ("N129", "leaf1b: {vendor: eos", "leaf1b: {vendor: sonic", "switches.leaf1a.mlag-peer", "leaf1a is eos, but its peer leaf1b is sonic"),
    ("N118", "switch: leaf1b, port: Ethernet2}", "switch: leaf1b, port: swp2}", "hosts.n2.nics.eth1", "\"swp2\" is not a port name of leaf1b (eos)"),
    ("N127", "mlag-peer: leaf1b, native-vlan: 10}\n  leaf1b: {vendor: eos, mlag-peer: leaf1a", "native-vlan: 10}\n  leaf1b: {vendor: eos", "hosts.n2.nics.eth1", "bond0: members end on leaf1a and leaf1b, which are not an MLAG pair"),
];

#[rustfmt::skip] // a table: a case a line
pub(super) const WARNINGS: &[Case] = &[
    ("N127", "switch: leaf1b, port: Ethernet2}", "switch: leaf1a, port: Ethernet3}", "hosts.n2.nics.eth1", "bond0: all members end on leaf1a"),
    ("N114", "native-vlan: 10}", "native-vlan: 10, vlans: [10, 20]}", "hosts.n2.nics.eth0", "bond0 -> leaf1a Ethernet2: leaf1a does not carry VLAN 500 (allowed: 10, 20)"),
    ("N127", "mode: 802.3ad\n        lacp-rate: fast", "mode: balance-rr", "hosts.n2.nics.eth1", "balance-rr"),
    ("N172", "native-vlan: 10}", "native-vlan: 10, no-lacp-fallback: true}", "hosts.n2.nics.eth0", "LACP without fallback"),
    ("N172", "mlag-peer: leaf1b, native-vlan: 10", "mlag-peer: leaf1b", "hosts.n2.nics.eth0", "it boots in subnet \"provisioning\", whose VLAN is unknown"),
    ("N216", "  leaf1b: {vendor: eos, ", "  own: {vendor: eos, rack: r1}\n  leaf1b: {vendor: eos, rack: r2, ", "hosts.n2.nics.eth1", "is in rack r1 and cabled to leaf1b, a switch of rack r2"),
    ("N172", "lacp-rate: fast", "subnet: other", "hosts.n2.nics.eth0", "so firmware cannot reach \"provisioning\""),
    ("N114", "  leaf1b: {vendor", "  leaf9: {vendor: eos, rack: r1, vlans: [10, 20]}\n  leaf1b: {vendor", "hosts.n1.rack", "no switch of rack r1 carries VLAN 500 (allowed: 10, 20)"),
    ("N219", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}]}\n    bonds:", "profiles.hypervisor.bgp.asn", "2 hosts have asn 65001 (such as n1 and n2)"),
];
