//! Broken sites: NICs, their MACs and virtual functions.

use super::{BRIDGE, Case};

/// A port of InfiniBand in place of an Ethernet NIC.
const IPOIB: &str = "\"80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0c\"";

#[rustfmt::skip] // a table: a case a line
pub(super) const ERRORS: &[Case] = &[
    ("N176", "{interfaces: [vlan500],", "{interfaces: [vlan500], extra: {network: {\"Network]\": {DHCP: \"no\"}}},", "profiles.hypervisor.bridges.br0.extra", "has a section \"Network]\""),
    ("N176", "{interfaces: [vlan500],", "{interfaces: [vlan500], extra: {network: {Network: {\"DHCP=yes\": \"no\"}}},", "profiles.hypervisor.bridges.br0.extra", "has a key \"DHCP=yes\""),
    ("N176", "{interfaces: [vlan500],", "{interfaces: [vlan500], extra: {link: {Link: {Alias: x}}},", "profiles.hypervisor.bridges.br0.extra", "only a NIC has a .link file"),
    ("N176", "    bonds:", "    nics: {eth5: {extra: {netdev: {NetDev: {Name: x}}}}}\n    bonds:", "profiles.hypervisor.nics.eth5.extra", "networkd does not make eth5"),
    ("N176", "    bonds:", "    extra: {files: {etc/x: {text: x}}}\n    bonds:", "profiles.hypervisor.extra", "needs an absolute path"),
    ("N104", "{interfaces: [vlan500],", "{interfaces: [vlan500], macaddress: \"01:00:5e:00:00:01\",", "profiles.hypervisor.bridges.br0.macaddress", "expected a non-zero unicast address"),
    ("N104", "    vlans:", "    veths: {a: {peer: b, peer-macaddress: \"03:00:00:00:00:01\"}, b: {peer: a}}\n    vlans:", "profiles.hypervisor.veths.a.macaddress", "expected a non-zero unicast address"),
    ("N104", "aa:00:03", "aa:00:01", "hosts.n2.nics.eth0", "belongs to eth0 of n1 and to eth0 of n2"),
    ("N104", "52:54:00:aa:00:01", "53:54:00:aa:00:01", "hosts.n1.nics.eth0", "unicast"),
    ("N104", "52:54:00:aa:00:01", "00:00:00:00:00:00", "hosts.n1.nics.eth0", "non-zero"),
    ("N181", ", eth1: \"52:54:00:aa:00:02\"", "", "hosts.n1.nics.eth1", "needs NIC \"eth1\" for bond0"),
    ("N106", "    bonds:", "    match: mac\n    bonds:", "profiles.hypervisor.match", "eth0: [Match] MACAddress= would also match bond0"),
    ("N108", "    bonds:", "    match: path\n    bonds:", "profiles.hypervisor.nics.eth0.path", "has no path"),
    ("N108", "    bonds:", "    match: name\n    nics: {eth7: {set-name: lan7}}\n    bonds:", "hosts.n1.nics.eth7", "by MAC or path"),
    ("N104", "aa:00:01\"", "aa:00:01\", ib0: \"80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0c\", ib1: \"0002:c903:000a:0b0c\"", "hosts.n1.nics.ib1", "00:02:c9:03:00:0a:0b:0c belongs to ib0 of n1 and to ib1 of n1; a GUID identifies one host"),
    ("N104", "aa:00:01\"", "aa:00:01\", ib0: \"00:00:00:00:00:00:00:00\"", "hosts.n1.nics.ib0", "00:00:00:00:00:00:00:00 is not a valid GUID: expected one that is not zero"),
    ("N108", "\"52:54:00:aa:00:01\"", "\"0002:c903:000a:0b0c\"", "hosts.n1.nics.eth0", "no file can find an InfiniBand link by its GUID alone"),
    ("N168", "\"52:54:00:aa:00:01\"", IPOIB, "hosts.n1.nics.eth0", "bond0 is a bond in mode 802.3ad, and eth0 a port of InfiniBand"),
    ("N168", "\"52:54:00:aa:00:01\"", IPOIB, "hosts.n1.nics.eth0", "bond0 cannot have both eth0, a port of InfiniBand, and eth1, an Ethernet NIC"),
    ("N175", "    bonds:", "    nics: {eth5: {sriov: {count: 1, functions: {1: {}}}}}\n    bonds:", "profiles.hypervisor.nics.eth5.sriov.functions.1", "virtual function 1 does not exist"),
    ("N175", "    bonds:", "    nics: {eth5: {sriov: {count: 1, functions: {0: {vlan: 4096}}}}}\n    bonds:", "profiles.hypervisor.nics.eth5.sriov.functions.0.vlan", "4096 of virtual function 0 is outside 0-4095"),
    ("N175", "    bonds:", "    nics: {eth5: {sriov: {count: 1, functions: {0: {qos: 8}}}}}\n    bonds:", "profiles.hypervisor.nics.eth5.sriov.functions.0.qos", "outside 0-7"),
];

#[rustfmt::skip] // a table: a case a line
pub(super) const WARNINGS: &[Case] = &[
    ("N107", "    bonds:", "    match: name\n    nics: {eth5: {match-name: \"b*\"}}\n    bonds:", "profiles.hypervisor.nics.eth5.match-name", "Name=b* also matches bond0"),
    ("N108", "lacp-rate: fast", "bind-carrier: true", "profiles.hypervisor.bonds.bond0.bind-carrier", "BindCarrier=eth1 refers to the NIC's kernel name"),
    ("N108", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routing-policy: [{incoming-interface: br9, table: 254, priority: 9}]}}", "profiles.hypervisor.bridges.br0.routing-policy", "refers to link \"br9\", which does not exist"),
    ("N175", "    bonds:", "    nics: {eth5: {sriov-max: 2, sriov: {count: 3}}}\n    bonds:", "profiles.hypervisor.nics.eth5.sriov.count", "3 virtual functions, but the device has 2"),
    ("N175", "    bonds:", "    nics: {eth0: {sriov: {count: 1}}}\n    bonds:", "profiles.hypervisor.nics.eth0.sriov", "eth0 is in bond0"),
    ("N104", "{interfaces: [vlan500],", "{interfaces: [vlan500], macaddress: \"52:54:00:bb:00:01\",", "profiles.hypervisor.bridges.br0.macaddress", "on every host that has the profile"),
    ("N105", "52:54:00:aa:00:01", "02:54:00:aa:00:01", "hosts.n1.nics.eth0", "locally administered"),
];
