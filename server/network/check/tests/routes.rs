//! Broken sites: routes, rules and tables.

use super::{BRIDGE, Case, N1};

#[rustfmt::skip] // a table: a case a line
pub(super) const ERRORS: &[Case] = &[
    ("N150", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 172.16.160.12}]}}", N1, "gateway 172.16.160.12 of br0 is the host's own address, on br0"),
    ("N150", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, link-local: [], routes: [{to: \"2001:db8::/32\", via: \"fe80::1\"}]}}", "profiles.hypervisor.bridges.br0.link-local", "gateway fe80::1 is unreachable: br0 has no IPv6 link-local address"),
    ("N151", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 0.0.0.0/0, via: 172.16.160.253}]}}", "profiles.hypervisor.bridges.br0.default-route", "br0 sets the IPv4 default route of table 254 twice with metric 0"),
    ("N151", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 0.0.0.0/0, type: blackhole}]}}", "profiles.hypervisor.bridges.br0.default-route", "with metric 0"),
    ("N158", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 172.16.160.9}, {to: 10.0.0.0/8, via: 172.16.160.8}]}}", "profiles.hypervisor.bridges.br0.routes", "br0 has two routes to 10.0.0.0/8 in table 254 with metric 0"),
    ("N158", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 172.16.160.0/24, via: 172.16.160.9}]}}", "profiles.hypervisor.bridges.br0.routes", "the route to 172.16.160.0/24 is never used: br0 is in that subnet"),
    ("N180", "    bonds:", "    sysctls: {nett.ipv4.ip_forward: \"1\"}\n    bonds:", "profiles.hypervisor.sysctls", "did you mean \"net\"?"),
    ("N180", "    bonds:", "    sysctls: {net.ipv5.ip_forward: \"1\"}\n    bonds:", "profiles.hypervisor.sysctls", "unknown \"ipv5\""),
    ("N150", "gateway: 172.16.160.254", "gateway: 172.16.161.254", "subnets.internal.gateway", "wait for it for ever"),
    ("N150", "gateway: 172.16.160.254", "gateway: 172.16.160.255", "subnets.internal.gateway", "broadcast"),
    ("N151", "lacp-rate: fast", "subnet: provisioning", "profiles.hypervisor.bridges.br0.default-route", "default-route: false"),
    ("N150", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 10.1.1.1}]}}", "profiles.hypervisor.bridges.br0.routes", "outside the subnets of br0"),
    ("N151", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: default, via: 172.16.160.253}]}}", "profiles.hypervisor.bridges.br0.default-route", "with metric 0"),
    ("N154", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routing-policy: [{from: 10.0.0.0/8, table: 77, priority: 9}]}}", "profiles.hypervisor.bridges.br0.routing-policy", "table 77, which is empty"),
    ("N155", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routing-policy: [{from: 10.0.0.0/8, table: 254, priority: 32766}]}}", "profiles.hypervisor.bridges.br0.routing-policy", "outside 1-32765"),
    ("N155", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routing-policy: [{from: 10.0.0.0/8, table: 254, priority: 9}, {from: 10.0.0.0/9, table: 254, priority: 9}]}}", "profiles.hypervisor.bridges.br0.routing-policy", "two rules have priority 9"),
    ("N156", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, table: 254}}", "profiles.hypervisor.bridges.br0.table", "reserved for the kernel"),
    ("N156", "    vlans:", "    vrfs: {blue: {interfaces: [eth7]}}\n    vlans:", "profiles.hypervisor.vrfs.blue.table", "needs a routing table: set table"),
    ("N156", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, table: 9}}\n    vrfs: {blue: {table: 9, interfaces: [eth7]}}", "profiles.hypervisor.bridges.br0.table", "belongs to VRF blue"),
    ("N158", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, next-hops: [{via: 172.16.160.9, weight: 300}]}]}}", "profiles.hypervisor.bridges.br0.routes", "weight 300"),
    ("N158", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, next-hops: [{via: 172.16.160.9, link: vlan5}]}]}}", "profiles.hypervisor.bridges.br0.routes", "behind link \"vlan5\""),
    ("N158", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, next-hops: [{via: 172.16.160.9, link: vlan500}]}]}}", "profiles.hypervisor.bridges.br0.routes", "is unreachable: vlan500 has no address"),
    ("N153", "    gateway: 172.16.160.254\n", "", "profiles.hypervisor", "(10.77.0.2) is unreachable"),
    ("N156", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 172.16.160.9, table: 255}]}}", "profiles.hypervisor.bridges.br0.routes", "table 255, which is reserved for the kernel"),
    ("N156", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 172.16.160.9, table: 9}]}}\n    vrfs: {blue: {table: 9, interfaces: [eth7]}}", "profiles.hypervisor.bridges.br0.routes", "belongs to VRF blue"),
    ("N159", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, cpus: 0-3, mark: 1}}", "profiles.hypervisor.bridges.br0.cpus", "set both"),
    ("N159", BRIDGE, "{br0: {interfaces: [vlan500], dhcp4: true, cpus: 0-3, mark: 1, table: 100}}", "profiles.hypervisor.bridges.br0.cpus", "no static address"),
    ("N159", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, cpus: 0-3, mark: 1, table: 100, default-route: true}}\n    dummies: {d0: {subnet: other, cpus: \"3,7\", mark: 2, table: 101}}", "profiles.hypervisor.dummies.d0.cpus", "processor 3 is in the cpus of br0 and of d0"),
    ("N159", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, cpus: 0-3, mark: 1, table: 100, default-route: true}}\n    dummies: {d0: {subnet: other, cpus: 7, mark: 1, table: 101}}", "profiles.hypervisor.dummies.d0.cpus", "br0 and d0 have cpus and the same mark"),
];

#[rustfmt::skip] // a table: a case a line
pub(super) const WARNINGS: &[Case] = &[
    ("N151", "    bonds:", "    nics: {eth5: {accept-ra: true}, eth6: {accept-ra: true}}\n  rest:\n    bonds:", "profiles.hypervisor.nics.eth6.ra-overrides", "both take a default route of one metric from router advertisements"),
    ("N180", "    bonds:", "    sysctls: {net.ipv4.ip_forwrd: \"1\"}\n    bonds:", "profiles.hypervisor.sysctls", "unknown \"ip_forwrd\"; did you mean \"ip_forward\"?"),
    ("N180", "    bonds:", "    sysctls: {net.ipv4.tcp_tw_recycle: \"1\"}\n    bonds:", "profiles.hypervisor.sysctls", "no kernel has a setting net.ipv4.tcp_tw_recycle"),
    ("N180", "    bonds:", "    sysctls: {net.ipv4.conf.bond0.rp_filer: \"1\"}\n    bonds:", "profiles.hypervisor.sysctls", "did you mean \"rp_filter\"?"),
    ("N180", "    bonds:", "    sysctls: {net.ipv4.conf.bond1.rp_filter: \"1\"}\n    bonds:", "profiles.hypervisor.sysctls", "the profile has no link \"bond1\"; did you mean \"bond0\"?"),
    ("N180", "    bonds:", "    sysctls: {net.ipv6.conf.bond0.10.accept_ra: \"0\"}\n    bonds:", "profiles.hypervisor.sysctls", "write net/ipv6/conf/bond0.10/accept_ra"),
    ("N151", "    bonds:", "    nics: {eth5: {dhcp4: true}, eth6: {dhcp4: true}}\n  rest:\n    bonds:", "profiles.hypervisor.nics.eth6.dhcp4-overrides", "both take a default route of one metric from DHCP"),
    ("N152", "    bonds:", "    allow: []\n    nics: {eth5: {subnet: other, routes: [{to: 0.0.0.0/0, type: blackhole}]}}\n  rest:\n    bonds:", "profiles.hypervisor", "no default route"),
    ("N158", "id: 77, dhcp4: true}}, nics: {eth1: {}}}", "id: 77, dhcp4: true, routes: [{to: 10.50.0.0/16, next-hops: [{via: 10.1.0.1}, {via: 10.2.0.1, link: eth1}]}]}}, nics: {eth1: {dhcp4: true, set-name: nic1}}}", "profiles.foreign.vlans.v77.routes", "put it under loopbacks.lo"),
    ("N158", "id: 77, dhcp4: true}}, nics: {eth1: {}}}", "id: 77, dhcp4: true}}, loopbacks: {lo: {routes: [{to: 10.50.0.0/16, next-hops: [{via: 10.1.0.1, link: v77}, {via: 10.2.0.1, link: eth1}]}]}}, nics: {eth1: {dhcp4: true}}}", "profiles.foreign.loopbacks.lo.routes", "finds eth1 by its kernel name"),
    ("N152", "    dns: [\"223.5.5.5#dns.alidns.com\"]\n", "", "profiles.hypervisor", "no resolver on any link"),
    ("N154", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 172.16.160.9, table: 77}]}}", "profiles.hypervisor.bridges.br0.routes", "no rule leads to table 77"),
    ("N160", "    gateway: 172.16.160.254\n", "", "profiles.hypervisor.bridges.br0.subnet", "resolver 223.5.5.5 is unreachable"),
    ("N152", "    gateway: 172.16.160.254\n", "", "profiles.hypervisor", "no default route"),
    ("N155", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routing-policy: [{from: 10.0.0.0/8, table: 254, priority: 9}, {mark: 1, table: 254, priority: 10}]}}", "profiles.hypervisor.bridges.br0.routing-policy", "never matches"),
    ("N157", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, table: 9}}\n    sysctls: {net.ipv4.conf.all.rp_filter: \"1\"}", "profiles.hypervisor.sysctls", "rp_filter is 1"),
    ("N160", "223.5.5.5#dns.alidns.com", "223.5.5.5", "subnets.internal.dns", "without a name"),
    ("N152", "nics: {eth1: {}}}\n  hypervisor", "nics: {eth1: {}}}\n  bare: {nics: {eth0: {}}}\n  hypervisor", "profiles.bare", "no link has an address"),
    ("N157", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, next-hops: [{via: 172.16.160.8}, {via: 172.16.160.9}]}]}}\n    sysctls: {net.ipv4.fib_multipath_hash_policy: \"0\"}", "profiles.hypervisor.sysctls", "fib_multipath_hash_policy is 0"),
];
