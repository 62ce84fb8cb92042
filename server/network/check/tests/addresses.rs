//! Broken sites: addresses and subnets.

use super::{BRIDGE, Case, N1};

#[rustfmt::skip] // a table: a case a line
pub(super) const ERRORS: &[Case] = &[
    ("N140", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, peer-number: 12}}", N1, "172.16.160.12 on br0 is its own peer"),
    ("N188", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, peer-number: 300}}", N1, "br0 has no peer: "),
    ("N140", "    bonds:", "    nics: {eth5: {addresses: [{address: 192.0.2.1/32, role: anycast, peer: \"fd00::1\"}]}}\n    bonds:", "profiles.hypervisor.nics.eth5.addresses", "different address families"),
    ("N140", "    bonds:", "    nics: {eth5: {addresses: [{address: 192.0.2.1/32, role: anycast, peer: 192.0.2.1}]}}\n    bonds:", "profiles.hypervisor.nics.eth5.addresses", "192.0.2.1/32 on eth5 is its own peer"),
    ("N140", "    bonds:", "    nics: {eth5: {addresses: [{address: 192.0.2.1/24, role: anycast, peer: 192.0.2.2}]}}\n    bonds:", "profiles.hypervisor.nics.eth5.addresses", "write 192.0.2.1/32"),
    ("N182", "    bonds:", "    nics: {eth5: {addresses: [{address: \"fd00::1/128\", role: anycast, scope: link}]}}\n    bonds:", "profiles.hypervisor.nics.eth5.addresses", "of an IPv6 address follows from the address"),
    ("N182", "    bonds:", "    nics: {eth5: {peer-number: 1}}\n    bonds:", "profiles.hypervisor.nics.eth5.peer-number", "eth5 has peer-number but no static address of a subnet"),
    ("N182", "    bonds:", "    nics: {eth5: {subnet: other, dhcp4: true, address-scope: link}}\n    bonds:", "profiles.hypervisor.nics.eth5.address-scope", "no static address of an IPv4 subnet"),
    ("N150", "    bonds:", "    nics: {eth5: {subnet: provisioning, peer-number: 7}}\n    bonds:", "profiles.hypervisor.nics.eth5.peer-number", "gateway 10.77.0.1 is unreachable: eth5 reaches only its peer 10.77.0.7"),
    ("N140", "172.16.160.12}", "172.16.160.0}", N1, "network address"),
    ("N140", "172.16.160.0/24", "172.16.160.1/24", "subnets.internal.cidr", "host bits"),
    ("N141", "172.16.160.13", "172.16.160.12", "hosts.n2.addresses.br0", "is on n1 br0 and on n2 br0"),
    ("N142", "172.16.160.12", "172.16.160.201", N1, "reserved range"),
    ("N143", "172.16.160.12", "172.16.160.254", N1, "is the gateway of subnet \"internal\""),
    ("N143", "gateway: 172.16.160.254", "gateway: 172.16.160.11", "subnets.internal.gateway", "would be given to a host"),
    ("N144", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal}, br1: {interfaces: [eth2], subnet: internal}}", "profiles.hypervisor.bridges.br1.subnet", "both in subnet \"internal\""),
    ("N146", "    addresses: {br0: 172.16.160.13}\n", "", "hosts.n2.addresses.br0", "has no address in subnet \"internal\""),
    ("N147", "172.16.160.12", "172.16.161.12", N1, "is outside 172.16.160.0/24"),
    ("N148", "to: 10.77.0.199", "to: 10.77.1.199", "subnets.provisioning.ranges", "is outside 10.77.0.0/24"),
    ("N148", "from: 10.77.0.100", "from: 10.77.0.200", "subnets.provisioning.ranges", "ends before it begins"),
    ("N148", "to: 172.16.160.99", "to: 172.16.160.210", "subnets.internal.ranges", "overlaps the hosts range"),
    ("N174", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 192.0.2.1/24, role: dsr}]}}", "profiles.hypervisor.bridges.br0.addresses", "write 192.0.2.1/32"),
    ("N174", "    bonds:", "    sysctls: {net.ipv4.conf.all.arp_ignore: \"0\"}\n    dummies: {vip: {addresses: [{address: 192.0.2.1/32, role: dsr}]}}\n    bonds:", "profiles.hypervisor.sysctls", "arp_ignore is 0"),
    ("N188", "addresses: {br0: 172.16.160.12}", "network: {bridges: {br0: {host-number: =index + 300}}}", "hosts.n1.addresses.br0", "=index + 300 with index 1: number 301 is not inside 172.16.160.0/24"),
    ("N188", "addresses: {br0: 172.16.160.12}", "network: {bridges: {br0: {host-number: =index + 253}}}", "hosts.n1.addresses.br0", "the gateway of subnet"),
    ("N140", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 192.0.2.0/24, role: vrrp}]}}", "profiles.hypervisor.bridges.br0.addresses", "192.0.2.0/24 on br0 is the network address"),
    ("N143", "vlan: 500", "vlan: 500\n    server: 172.16.160.12", N1, "172.16.160.12 is the provisioning server"),
    ("N145", "    bonds:", "    nics: {eth5: {rail: 1, subnet: provisioning}}\n    bonds:", "profiles.hypervisor.nics.eth5.subnet", "of rail 3, but eth5 is cabled to rail 1"),
    ("N147", "server: 10.77.0.2", "server: 10.78.0.2", "subnets.provisioning.server", "10.78.0.2 is outside"),
    ("N174", "    vlans:", "    loopbacks: {lo: {addresses: [{address: 192.0.2.1/24, role: vrrp}]}}\n    vlans:", "profiles.hypervisor.loopbacks.lo.addresses", "192.0.2.1/24 on lo answers for the whole subnet"),
    ("N140", "{br0: 172.16.160.12}", "{br0: 172.16.160.255}", N1, "broadcast address"),
    ("N140", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 192.0.2.255/24, role: vrrp}]}}", "profiles.hypervisor.bridges.br0.addresses", "192.0.2.255/24 on br0 is the broadcast address"),
    ("N142", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 10.77.0.120/32, role: anycast}]}}", "profiles.hypervisor.bridges.br0.addresses", "dhcp range 10.77.0.100-10.77.0.199 of subnet \"provisioning\""),
    ("N142", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 172.16.160.50/32, role: anycast}]}}", "profiles.hypervisor.bridges.br0.addresses", "hosts range 172.16.160.10-172.16.160.99"),
    ("N143", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 10.77.0.2/32, role: anycast}]}}", "profiles.hypervisor.bridges.br0.addresses", "is the provisioning server of subnet \"provisioning\""),
    ("N143", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 10.77.0.1/32, role: dsr}]}}", "profiles.hypervisor.bridges.br0.addresses", "is the gateway of subnet \"provisioning\""),
    ("N141", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 172.16.160.12/32, role: anycast}]}}", N1, "172.16.160.12 is on br0 of every host with profile \"hypervisor\""),
    ("N144", "  other: {cidr: 10.98.0.0/24, vlan: 30, dns: [10.98.0.53]}\nprofiles:", "  other: {cidr: 172.16.0.0/16, vlan: 30, vrf: blue}\nprofiles:\n  two: {nics: {eth0: {subnet: internal, dhcp4: true}, eth1: {subnet: other, dhcp4: true}}}", "profiles.two.nics.eth1.subnet", "of another VRF with the same addresses"),
    ("N145", "  other: {cidr: 10.98.0.0/24,", "  other: {cidr: 10.77.0.128/25, vrf: blue,", "subnets.other.cidr", "of another VRF, and DHCP serves one of them"),
    ("N141", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 10.8.0.9/24, role: secondary}]}}", "hosts.n2.network", "10.8.0.9 is on n1 (beside its subnet) and on br0 of n2"),
    ("N141", "addresses: {br0: 172.16.160.12}", "addresses: {br0: 172.16.160.12}\n    network: {bridges: {br0: {addresses: [{address: 172.16.160.13/24, role: secondary}]}}}", "hosts.n1.network", "172.16.160.13 is on n2 (br0) and on br0 of n1"),
];

#[rustfmt::skip] // a table: a case a line
pub(super) const WARNINGS: &[Case] = &[
    ("N145", "10.77.0.0/24", "172.16.0.0/16", "subnets.internal.cidr", "overlaps 172.16.0.0/16"),
    ("N189", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, host-number: =index + 20}}", "hosts.n1.addresses.br0", "keeps 172.16.160.12"),
];
