//! Broken sites: links on other links (VLANs, tunnels, bridges), cables, and MTUs from layer to layer.

use super::{BOND, BRIDGE, Case, VLAN};

#[rustfmt::skip] // a table: a case a line
pub(super) const ERRORS: &[Case] = &[
    ("N182", "    bonds:", "    nics: {eth5: {macaddress: none}}\n    bonds:", "profiles.hypervisor.nics.eth5.macaddress", "macaddress none has no effect: a NIC has its own MAC"),
    ("N110", "vlan: 500", "vlan: 5000", "subnets.internal.vlan", "5000 is outside 1-4094"),
    ("N110", "    vlan: 500\n", "", "profiles.hypervisor.vlans.vlan500.id", "no VLAN id"),
    ("N110", "{link: bond0,", "{link: bond0, id: 4095,", "profiles.hypervisor.vlans.vlan500.id", "4095"),
    ("N111", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: 500}}", "profiles.hypervisor.vlans.v9.id", "vlan500 and v9 are both VLAN 500"),
    ("N112", "link: bond0", "link: eth0", "profiles.hypervisor.vlans.vlan500.link", "put the VLAN on bond0"),
    ("N120", "[vlan500]", "[vlan500, eth0]", "profiles.hypervisor.bridges.br0.interfaces", "eth0 is in bond0 and in br0"),
    ("N120", BOND, "nics: [eth0, eth0]", "profiles.hypervisor.bonds.bond0.nics", "twice"),
    ("N120", "[vlan500]", "[br0]", "profiles.hypervisor.bridges.br0", "form a loop: br0 -> br0"),
    ("N120", "link: bond0", "link: br0", "profiles.hypervisor.bridges.br0", "form a loop: br0 -> vlan500 -> br0"),
    ("N120", BOND, "nics: [eth0, vlan500]", "profiles.hypervisor.bonds.bond0.nics", "not a NIC"),
    ("N121", "    bonds:", "    nics: {eth0: {subnet: provisioning}}\n    bonds:", "profiles.hypervisor.nics.eth0", "move it to bond0"),
    ("N121", "    bonds:", "    nics: {eth0: {dhcp4: true}}\n    bonds:", "profiles.hypervisor.nics.eth0", "DHCP on eth0 is lost"),
    ("N130", "lacp-rate: fast", "mtu: 1500", "profiles.hypervisor.vlans.vlan500.mtu", "MTU 9000, but bond0 below it has 1500"),
    ("N132", "mtu: 9000", "mtu: 60", "subnets.internal.mtu", "at least 68"),
    ("N112", VLAN, "{vlan500: {link: bond0, subnet: internal}}\n    vxlans: {vx1: {link: vlan500, vni: 5}}", "profiles.hypervisor.vxlans.vx1.link", "in a bond or bridge"),
    ("N113", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal}}\n    vxlans: {vx1: {link: br0, vni: 16777216}}", "profiles.hypervisor.vxlans.vx1.vni", "outside 1-16777215"),
    ("N113", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, mtu: 9000}}\n    vxlans: {vx1: {link: br0, vni: 5, mtu: 9000}}", "profiles.hypervisor.vxlans.vx1.mtu", "MTU 9000 needs 9050 on br0"),
    ("N113", "    vlans:", "    vxlans: {vx1: {link: bond0, vni: 5}}\n    vlans:", "profiles.hypervisor.vxlans.vx1.link", "has no address"),
    ("N121", "    bonds:", "    nics: {eth0: {addresses: [{address: 192.0.2.1/32, role: vrrp}]}}\n    bonds:", "profiles.hypervisor.nics.eth0", "192.0.2.1/32 on eth0 is lost"),
    ("N165", "[vlan500],", "[vlan500], forward-delay: 1s,", "profiles.hypervisor.bridges.br0.forward-delay", "2s-30s"),
    ("N165", "[vlan500],", "[vlan500], ports: {vlan500: {pvid: 7}},", "profiles.hypervisor.bridges.br0.ports", "vlan-filtering: true"),
    ("N110", "[vlan500],", "[vlan500], default-pvid: 4095,", "profiles.hypervisor.bridges.br0.default-pvid", "4095 is outside"),
    ("N112", "    vlans:", "    macvlans: {mv: {link: eth0}}\n    vlans:", "profiles.hypervisor.macvlans.mv.link", "put it on bond0"),
    ("N115", "    vlans:", "    veths: {a: {peer: a}}\n    vlans:", "profiles.hypervisor.veths.a.peer", "names itself as its peer"),
    ("N115", "    vlans:", "    veths: {a: {peer: b}, b: {peer: c}}\n    vlans:", "profiles.hypervisor.veths.a.peer", "the peer of a is b, whose peer is c"),
    ("N115", "    vlans:", "    veths: {a: {peer: c}, b: {peer: c}}\n    vlans:", "profiles.hypervisor.veths.b.peer", "the peer of both a and b"),
    ("N115", "    vlans:", "    veths: {a: {peer: bond0}}\n    vlans:", "profiles.hypervisor.veths.a.peer", "is not a veth"),
    ("N116", "    vlans:", "    macvlans: {mv: {link: eth7}}\n    ipvlans: {iv: {link: eth7}}\n    vlans:", "profiles.hypervisor.ipvlans.iv.link", "eth7 cannot carry the IPVLAN iv and the MACVLAN mv"),
    ("N116", "    vlans:", "    ipvlans: {i1: {link: eth7, mode: l3}, i2: {link: eth7}}\n    vlans:", "profiles.hypervisor.ipvlans.i2.mode", "all IPVLANs on eth7 must have one mode"),
    ("N116", "    vlans:", "    macvlans: {m1: {link: eth7, mode: passthru}, m2: {link: eth7}}\n    vlans:", "profiles.hypervisor.macvlans.m1.mode", "m1 takes all of eth7"),
    ("N121", "    bonds:", "    nics: {eth0: {accept-ra: true}}\n    bonds:", "profiles.hypervisor.nics.eth0", "router advertisements on eth0 is lost"),
    ("N132", "    bonds:", "    nics: {eth0: {max-mtu: 1500}}\n    bonds:", "profiles.hypervisor.nics.eth0.max-mtu", "eth0 would have MTU 9000, but its hardware allows 1500"),
    ("N110", "native-vlan: 10}", "native-vlan: 4095}", "switches.leaf1a.native-vlan", "outside 1-4094"),
    ("N110", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: othr}}", "profiles.hypervisor.vlans.v9.id", "there is no subnet \"othr\"; did you mean \"other\"?"),
    ("N110", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: provisioning}}", "profiles.hypervisor.vlans.v9.id", "subnet \"provisioning\" has none"),
    ("N111", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: internal}}", "profiles.hypervisor.vlans.v9.id", "vlan500 and v9 are both VLAN 500"),
    ("N121", "    bonds:", "    nics: {eth0: {routes: [{to: 10.0.0.0/8, via: 10.1.1.1, on-link: true}]}}\n    bonds:", "profiles.hypervisor.nics.eth0", "a route or rule on eth0 is lost"),
    ("N132", "    bonds:", "    nics: {eth5: {mtu: 1200, dhcp6: true}}\n    bonds:", "profiles.hypervisor.nics.eth5.mtu", "IPv6 needs at least 1280"),
    ("N132", "    bonds:", "    nics: {eth5: {mtu: 1200, accept-ra: true}}\n    bonds:", "profiles.hypervisor.nics.eth5.mtu", "IPv6 needs at least 1280"),
    ("N165", "[vlan500],", "[vlan500], multicast-igmp-version: 1,", "profiles.hypervisor.bridges.br0.multicast-igmp-version", "IGMP version 1 is not supported"),
];

#[rustfmt::skip] // a table: a case a line
pub(super) const WARNINGS: &[Case] = &[
    ("N117", "lacp-rate: fast", "dhcp4: true\n        macaddress: persistent", "profiles.hypervisor.bonds.bond0.macaddress", "would not recognise the host; set macaddress: inherit"),
    ("N116", "    vlans:", "    ipvlans: {iv: {link: eth7, dhcp4: true}}\n    vlans:", "profiles.hypervisor.ipvlans.iv.dhcp4", "give both one address"),
    ("N131", "    bonds:", "    nics: {eth5: {mtu: 9000}, eth6: {}}\n    bridges: {br1: {interfaces: [eth5, eth6], mtu: 1500}}\n  other:\n    bonds:", "profiles.hypervisor.bridges.br1.interfaces", "eth6 (MTU 1500) and eth5 (MTU 9000) differ"),
    ("N132", "native-vlan: 10}", "native-vlan: 10, mtu: 9000}", "hosts.n2.nics.eth0", "eth0 has MTU 9000 and needs 9022 on leaf1a Ethernet2, which has 9000"),
    ("N131", "    bonds:", "    defaults: verbatim\n    vlans: {v1: {link: eth2, id: 1, mtu: 9000}}\n    bridges: {br1: {interfaces: [v1]}}\n  other:\n    bonds:", "profiles.hypervisor.bridges.br1", "it drops from 9000"),
    ("N133", "lacp-rate: fast", "subnet: provisioning", "profiles.hypervisor.bonds.bond0.mtu", "but subnet \"provisioning\" has 1500"),
];
