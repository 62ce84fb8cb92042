//! One broken site for every rule: a good site with one line changed.

use std::collections::BTreeSet;

use super::{Finding, Severity, check_host, check_site};
use crate::model::Site;
use crate::site_file::set_values;

const GOOD: &str = r#"
racks: {r1: {units: 42}}
tenants: {acme: {}, globex: {}}
switches:
  leaf1a: {vendor: eos, mlag-peer: leaf1b, native-vlan: 10}
  leaf1b: {vendor: eos, mlag-peer: leaf1a, native-vlan: 10}
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    gateway: 10.77.0.1
    server: 10.77.0.2
    rail: 3
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
  internal:
    cidr: 172.16.160.0/24
    vlan: 500
    gateway: 172.16.160.254
    mtu: 9000
    dns: ["223.5.5.5#dns.alidns.com"]
    dns-over-tls: true
    tenant: acme
    ranges:
      - {from: 172.16.160.10, to: 172.16.160.99, for: hosts}
      - {from: 172.16.160.200, to: 172.16.160.254, for: reserved}
  secret: {cidr: 10.99.0.0/24, vlan: 77, gateway: 10.99.0.1, dns: [10.99.0.53], tenant: globex, role: secret}
  other: {cidr: 10.98.0.0/24, vlan: 30, dns: [10.98.0.53]}
profiles:
  rented: {nics: {eth0: {subnet: tenant/secret}, eth1: {}}}
  vms: {vlans: {v: {link: eth0, id: tenant/secret}}, nics: {eth1: {dhcp4: true}}}
  foreign: {vlans: {v77: {link: eth0, id: 77, dhcp4: true}}, nics: {eth1: {}}}
  hypervisor:
    bonds:
      bond0:
        nics: [eth0, eth1]
        mode: 802.3ad
        lacp-rate: fast
        mii-monitor: 100ms
        up-delay: 200ms
    vlans: {vlan500: {link: bond0, subnet: internal}}
    bridges: {br0: {interfaces: [vlan500], subnet: internal}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img]}
hosts:
  n1:
    rack: r1
    unit: 1
    tenant: acme
    profile: hypervisor
    image: live
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {br0: 172.16.160.12}
    reservations: {provisioning: 10.77.0.12}
  n2:
    rack: r1
    unit: 2
    tenant: acme
    profile: hypervisor
    nics:
      eth0: {mac: "52:54:00:aa:00:03", switch: leaf1a, port: Ethernet2}
      eth1: {mac: "52:54:00:aa:00:04", switch: leaf1b, port: Ethernet2}
    addresses: {br0: 172.16.160.13}
    reservations: {provisioning: 10.77.0.13}
"#;

fn site(text: &str) -> Site {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The good site with one piece of text replaced at its first place.
fn changed(old: &str, new: &str) -> Site {
    assert!(GOOD.contains(old), "{old} is not in the good site");
    site(&GOOD.replacen(old, new, 1))
}

/// Rule, old text, new text, place of the finding, a piece of what it says.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

const BOND: &str = "nics: [eth0, eth1]";
const VLAN: &str = "{vlan500: {link: bond0, subnet: internal}}";
const BRIDGE: &str = "{br0: {interfaces: [vlan500], subnet: internal}}";
const N1: &str = "hosts.n1.addresses.br0";

#[rustfmt::skip] // a table: a case a line
const ERRORS: &[Case] = &[
    ("N101", "br0: {int", "virbr-production0: {int", "profiles.hypervisor.bridges.virbr-production0", "is 17 bytes"),
    ("N101", "  n1:\n", "  n_1:\n", "hosts.n_1", "RFC 1123"),
    ("N101", "images:\n  live:", "images:\n  \"live image\":", "images.live image", "letters, digits"),
    ("N102", "{br0: {int", "{bond0: {int", "profiles.hypervisor.bonds.bond0", "two links are named"),
    ("N104", "aa:00:03", "aa:00:01", "hosts.n2.nics.eth0", "is NIC eth0 of n1"),
    ("N104", "52:54:00:aa:00:01", "53:54:00:aa:00:01", "hosts.n1.nics.eth0", "unicast"),
    ("N104", "52:54:00:aa:00:01", "00:00:00:00:00:00", "hosts.n1.nics.eth0", "not zero"),
    ("N110", "vlan: 500", "vlan: 5000", "subnets.internal.vlan", "5000 is outside 1-4094"),
    ("N110", "    vlan: 500\n", "", "profiles.hypervisor.vlans.vlan500.id", "no VLAN id"),
    ("N110", "{link: bond0,", "{link: bond0, id: 4095,", "profiles.hypervisor.vlans.vlan500.id", "4095"),
    ("N111", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: 500}}", "profiles.hypervisor.vlans.v9.id", "vlan500 and v9 are both VLAN 500"),
    ("N112", "link: bond0", "link: eth0", "profiles.hypervisor.vlans.vlan500.link", "put the VLAN on bond0"),
    ("N120", "[vlan500]", "[vlan500, eth0]", "profiles.hypervisor.bridges.br0.interfaces", "eth0 is in bond0 and in br0"),
    ("N120", BOND, "nics: [eth0, eth0]", "profiles.hypervisor.bonds.bond0.nics", "twice"),
    ("N120", "[vlan500]", "[br0]", "profiles.hypervisor.bridges.br0", "in a ring: br0 -> br0"),
    ("N120", "link: bond0", "link: br0", "profiles.hypervisor.bridges.br0", "in a ring: br0 -> vlan500 -> br0"),
    ("N120", BOND, "nics: [eth0, vlan500]", "profiles.hypervisor.bonds.bond0.nics", "no NIC"),
    ("N121", "    bonds:", "    nics: {eth0: {subnet: provisioning}}\n    bonds:", "profiles.hypervisor.nics.eth0", "move it to bond0"),
    ("N121", "    bonds:", "    nics: {eth0: {dhcp4: true}}\n    bonds:", "profiles.hypervisor.nics.eth0", "DHCP on eth0 is lost"),
    ("N122", BOND, "nics: []", "profiles.hypervisor.bonds.bond0.nics", "no members"),
    ("N124", "mode: 802.3ad", "mode: active-backup", "profiles.hypervisor.bonds.bond0.lacp-rate", "only for 802.3ad"),
    ("N124", "lacp-rate: fast", "primary: eth0", "profiles.hypervisor.bonds.bond0.primary", "only for active-backup"),
    ("N125", "mii-monitor: 100ms", "mii-monitor: 0ms", "profiles.hypervisor.bonds.bond0.mii-monitor", "no link monitoring"),
    ("N127", "lacp-rate: fast", "min-links: 3", "profiles.hypervisor.bonds.bond0.min-links", "never be up"),
    ("N130", "lacp-rate: fast", "mtu: 1500", "profiles.hypervisor.vlans.vlan500.mtu", "MTU 9000 and stands on bond0 with 1500"),
    ("N132", "mtu: 9000", "mtu: 60", "subnets.internal.mtu", "at least 68"),
    ("N140", "172.16.160.12}", "172.16.160.0}", N1, "network address"),
    ("N140", "172.16.160.0/24", "172.16.160.1/24", "subnets.internal.cidr", "host bits"),
    ("N141", "172.16.160.13", "172.16.160.12", "hosts.n2.addresses.br0", "is on n1 br0 and on n2 br0"),
    ("N142", "10.77.0.12", "10.77.0.120", "hosts.n1.reservations.provisioning", "dhcp range 10.77.0.100-10.77.0.199"),
    ("N142", "172.16.160.12", "172.16.160.201", N1, "reserved range"),
    ("N143", "172.16.160.12", "172.16.160.254", N1, "is the gateway of subnet \"internal\""),
    ("N143", "gateway: 172.16.160.254", "gateway: 172.16.160.11", "subnets.internal.gateway", "would be given to a host"),
    ("N144", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal}, br1: {interfaces: [eth2], subnet: internal}}", "profiles.hypervisor.bridges.br1.subnet", "both in subnet \"internal\""),
    ("N146", "    addresses: {br0: 172.16.160.13}\n", "", "hosts.n2.addresses.br0", "has no address in subnet \"internal\""),
    ("N147", "172.16.160.12", "172.16.161.12", N1, "is not inside 172.16.160.0/24"),
    ("N148", "to: 10.77.0.199", "to: 10.77.1.199", "subnets.provisioning.ranges", "is not inside 10.77.0.0/24"),
    ("N148", "from: 10.77.0.100", "from: 10.77.0.200", "subnets.provisioning.ranges", "ends before it begins"),
    ("N148", "to: 172.16.160.99", "to: 172.16.160.210", "subnets.internal.ranges", "overlaps the hosts range"),
    ("N150", "gateway: 172.16.160.254", "gateway: 172.16.161.254", "subnets.internal.gateway", "wait for it for ever"),
    ("N150", "gateway: 172.16.160.254", "gateway: 172.16.160.255", "subnets.internal.gateway", "broadcast"),
    ("N151", "lacp-rate: fast", "subnet: provisioning", "profiles.hypervisor.bridges.br0.default-route", "default-route: false"),
    ("N180", "profile: hypervisor", "profile: hypervizor", "hosts.n1.profile", "did you mean \"hypervisor\"?"),
    ("N180", "image: live", "image: dead", "hosts.n1.image", "there are: live"),
    ("N180", "subnet: internal}}", "subnet: internel}}", "profiles.hypervisor.vlans.vlan500.subnet", "did you mean \"internal\"?"),
    ("N180", "{br0: 172.16.160.12}", "{br1: 172.16.160.12}", "hosts.n1.addresses.br1", "did you mean \"br0\"?"),
    ("N180", "{br0: 172.16.160.12}", "{bond0: 172.16.160.12}", "hosts.n1.addresses.bond0", "bears no address"),
    ("N180", "tenant: acme\n    ranges", "tenant: acne\n    ranges", "subnets.internal.tenant", "did you mean \"acme\"?"),
    ("N180", "{provisioning:", "{provision:", "hosts.n1.reservations.provision", "there is no subnet"),
    ("N181", ", eth1: \"52:54:00:aa:00:02\"", "", "hosts.n1.nics.eth1", "needs NIC \"eth1\" for bond0"),
    ("N112", VLAN, "{vlan500: {link: bond0, subnet: internal}}\n    vxlans: {vx1: {link: vlan500, vni: 5}}", "profiles.hypervisor.vxlans.vx1.link", "in a bond or bridge"),
    ("N113", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal}}\n    vxlans: {vx1: {link: br0, vni: 16777216}}", "profiles.hypervisor.vxlans.vx1.vni", "outside 1-16777215"),
    ("N113", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, mtu: 9000}}\n    vxlans: {vx1: {link: br0, vni: 5, mtu: 9000}}", "profiles.hypervisor.vxlans.vx1.mtu", "MTU 9000 needs 9050 on br0"),
    ("N113", "    vlans:", "    vxlans: {vx1: {link: bond0, vni: 5}}\n    vlans:", "profiles.hypervisor.vxlans.vx1.link", "bears no address"),
    ("N121", "    bonds:", "    nics: {eth0: {addresses: [{address: 192.0.2.1/32, role: vrrp}]}}\n    bonds:", "profiles.hypervisor.nics.eth0", "192.0.2.1/32 on eth0 is lost"),
    ("N124", "mode: 802.3ad", "mode: balance-rr\n        fail-over-mac-policy: active", "profiles.hypervisor.bonds.bond0.fail-over-mac-policy", "only for active-backup"),
    ("N125", "mii-monitor: 100ms", "arp-interval: 1s", "profiles.hypervisor.bonds.bond0.arp-interval", "cannot be monitored by ARP"),
    ("N125", "lacp-rate: fast", "arp-interval: 1s", "profiles.hypervisor.bonds.bond0.arp-interval", "exclude each other"),
    ("N128", "lacp-rate: fast", "ad-user-port-key: 1024", "profiles.hypervisor.bonds.bond0.ad-user-port-key", "0 to 1023"),
    ("N128", "lacp-rate: fast", "arp-interval: 1s", "profiles.hypervisor.bonds.bond0.arp-ip-targets", "1 to 16"),
    ("N150", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 10.1.1.1}]}}", "profiles.hypervisor.bridges.br0.routes", "inside no subnet of br0"),
    ("N151", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: default, via: 172.16.160.253}]}}", "profiles.hypervisor.bridges.br0.default-route", "with metric 0"),
    ("N154", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routing-policy: [{from: 10.0.0.0/8, table: 77, priority: 9}]}}", "profiles.hypervisor.bridges.br0.routing-policy", "table 77, which is empty"),
    ("N155", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routing-policy: [{from: 10.0.0.0/8, table: 254, priority: 32766}]}}", "profiles.hypervisor.bridges.br0.routing-policy", "outside 1-32765"),
    ("N155", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routing-policy: [{from: 10.0.0.0/8, table: 254, priority: 9}, {from: 10.0.0.0/9, table: 254, priority: 9}]}}", "profiles.hypervisor.bridges.br0.routing-policy", "two rules have priority 9"),
    ("N156", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, table: 254}}", "profiles.hypervisor.bridges.br0.table", "the kernel's own"),
    ("N156", "    vlans:", "    vrfs: {blue: {interfaces: [eth7]}}\n    vlans:", "profiles.hypervisor.vrfs.blue.table", "a VRF is a table"),
    ("N156", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, table: 9}}\n    vrfs: {blue: {table: 9, interfaces: [eth7]}}", "profiles.hypervisor.bridges.br0.table", "belongs to blue alone"),
    ("N158", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, next-hops: [{via: 172.16.160.9, weight: 300}]}]}}", "profiles.hypervisor.bridges.br0.routes", "weight 300"),
    ("N158", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, next-hops: [{via: 172.16.160.9, link: vlan5}]}]}}", "profiles.hypervisor.bridges.br0.routes", "behind a link \"vlan5\""),
    ("N158", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, next-hops: [{via: 172.16.160.9, link: vlan500}]}]}}", "profiles.hypervisor.bridges.br0.routes", "behind vlan500, which has no address"),
    ("N165", "[vlan500],", "[vlan500], forward-delay: 1s,", "profiles.hypervisor.bridges.br0.forward-delay", "2s-30s"),
    ("N165", "[vlan500],", "[vlan500], ports: {vlan500: {pvid: 7}},", "profiles.hypervisor.bridges.br0.ports", "vlan-filtering: true"),
    ("N170", "    bonds:", "    systemd: 246\n    bonds:", "profiles.hypervisor.systemd", "247 to 257"),
    ("N170", "    bonds:", "    systemd: 247\n    vlans: {v9: {link: eth2, id: 9, protocol: 802.1ad}}\n  other:\n    bonds:", "profiles.hypervisor.vlans.v9.protocol", "needs systemd 248"),
    ("N174", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 192.0.2.1/24, role: dsr}]}}", "profiles.hypervisor.bridges.br0.addresses", "write 192.0.2.1/32"),
    ("N174", "    bonds:", "    sysctls: {net.ipv4.conf.all.arp_ignore: \"0\"}\n    dummies: {vip: {addresses: [{address: 192.0.2.1/32, role: dsr}]}}\n    bonds:", "profiles.hypervisor.sysctls", "arp_ignore is 0"),
    ("N180", "[vlan500],", "[vlan500], ports: {vlan50: {cost: 7}},", "profiles.hypervisor.bridges.br0.ports", "did you mean \"vlan500\"?"),
    ("N182", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, mark: 5}}", "profiles.hypervisor.bridges.br0.mark", "own table"),
    ("N182", "lacp-rate: fast", "ra-overrides: {use-ntp: true}", "profiles.hypervisor.bonds.bond0.ra-overrides", "routers announce no time"),
    ("N186", "    bonds:", "    extends: bse\n    bonds:", "profiles.hypervisor.extends", "there is no profile \"bse\""),
    ("N186", "up-delay: 200ms", "mtu: =rails", "profiles.hypervisor.bonds.bond0.mtu", "there is no parameter \"rails\""),
    ("N186", "up-delay: 200ms", "mtu: many", "profiles.hypervisor.bonds.bond0.mtu", "not \"many\""),
    ("N186", "addresses: {br0: 172.16.160.12}", "network: {bonds: {bond0: {mtu: many}}}", "hosts.n1.network.bonds.bond0.mtu", "not \"many\""),
    ("N187", "    bonds:", "    parameters: {speed: {type: number}}\n    systemd: =speed\n    bonds:", "hosts.n1.parameters.speed", "needs the parameter \"speed\""),
    ("N187", "addresses: {br0: 172.16.160.12}", "parameters: {speed: 7}", "hosts.n1.parameters.speed", "has no parameter \"speed\""),
    ("N188", "addresses: {br0: 172.16.160.12}", "network: {bridges: {br0: {host-number: =index + 300}}}", "hosts.n1.addresses.br0", "=index + 300 with index 1: number 301 is not inside 172.16.160.0/24"),
    ("N188", "addresses: {br0: 172.16.160.12}", "network: {bridges: {br0: {host-number: =index + 253}}}", "hosts.n1.addresses.br0", "the gateway of subnet"),
    ("N183", "kernel: live/vmlinuz,", "", "images.live", "nothing to boot"),
    ("N183", "kernel: live/vmlinuz,", "kernel: live/vmlinuz, local: true,", "images.live", "kernel and local"),
    ("N101", "    vlans:", "    loopbacks: {lo1: {}}\n    vlans:", "profiles.hypervisor.loopbacks.lo1", "Linux has one"),
    ("N101", "    bonds:", "    nics: {eth5: {set-name: \"a b\"}}\n    bonds:", "profiles.hypervisor.nics.eth5.set-name", "letters, digits"),
    ("N102", "    bonds:", "    nics: {eth0: {set-name: eth1}}\n    bonds:", "profiles.hypervisor.nics.eth1.set-name", "would both be named \"eth1\""),
    ("N106", "    bonds:", "    match: mac\n    bonds:", "profiles.hypervisor.match", "eth0: [Match] MACAddress= would also match bond0"),
    ("N108", "    bonds:", "    match: path\n    bonds:", "profiles.hypervisor.nics.eth0.path", "has no path"),
    ("N108", "    bonds:", "    match: name\n    nics: {eth7: {set-name: lan7}}\n    bonds:", "hosts.n1.nics.eth7", "by MAC or path"),
    ("N110", "[vlan500],", "[vlan500], default-pvid: 4095,", "profiles.hypervisor.bridges.br0.default-pvid", "4095 is outside"),
    ("N112", "    vlans:", "    macvlans: {mv: {link: eth0}}\n    vlans:", "profiles.hypervisor.macvlans.mv.link", "put it on bond0"),
    ("N115", "    vlans:", "    veths: {a: {peer: a}}\n    vlans:", "profiles.hypervisor.veths.a.peer", "its own other end"),
    ("N115", "    vlans:", "    veths: {a: {peer: b}, b: {peer: c}}\n    vlans:", "profiles.hypervisor.veths.a.peer", "a ends at b, which ends at c"),
    ("N115", "    vlans:", "    veths: {a: {peer: c}, b: {peer: c}}\n    vlans:", "profiles.hypervisor.veths.b.peer", "the other end of a and of b"),
    ("N115", "    vlans:", "    veths: {a: {peer: bond0}}\n    vlans:", "profiles.hypervisor.veths.a.peer", "no end of a cable"),
    ("N116", "    vlans:", "    macvlans: {mv: {link: eth7}}\n    ipvlans: {iv: {link: eth7}}\n    vlans:", "profiles.hypervisor.ipvlans.iv.link", "eth7 cannot carry the IPVLAN iv and the MACVLAN mv"),
    ("N116", "    vlans:", "    ipvlans: {i1: {link: eth7, mode: l3}, i2: {link: eth7}}\n    vlans:", "profiles.hypervisor.ipvlans.i2.mode", "all IPVLANs on eth7 have one mode"),
    ("N116", "    vlans:", "    macvlans: {m1: {link: eth7, mode: passthru}, m2: {link: eth7}}\n    vlans:", "profiles.hypervisor.macvlans.m1.mode", "m1 has all of eth7"),
    ("N121", "    bonds:", "    nics: {eth0: {accept-ra: true}}\n    bonds:", "profiles.hypervisor.nics.eth0", "what routers announce on eth0 is lost"),
    ("N123", "    bonds:", "    nics: {eth0: {bondable: false}}\n    bonds:", "profiles.hypervisor.bonds.bond0.nics", "eth0 cannot be in a bond"),
    ("N124", "lacp-rate: fast", "packets-per-member: 5", "profiles.hypervisor.bonds.bond0.packets-per-member", "only for balance-rr"),
    ("N128", "lacp-rate: fast", "arp-validate: all", "profiles.hypervisor.bonds.bond0.arp-interval", "is missing"),
    ("N132", "    bonds:", "    nics: {eth0: {max-mtu: 1500}}\n    bonds:", "profiles.hypervisor.nics.eth0.max-mtu", "eth0 would have MTU 9000, and its hardware takes 1500"),
    ("N140", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 192.0.2.0/24, role: vrrp}]}}", "profiles.hypervisor.bridges.br0.addresses", "192.0.2.0/24 on br0 is the network address"),
    ("N143", "vlan: 500", "vlan: 500\n    server: 172.16.160.12", N1, "172.16.160.12 is the provisioning server"),
    ("N145", "    bonds:", "    nics: {eth5: {rail: 1, subnet: provisioning}}\n    bonds:", "profiles.hypervisor.nics.eth5.subnet", "of rail 3, but eth5 is cabled to rail 1"),
    ("N147", "server: 10.77.0.2", "server: 10.78.0.2", "subnets.provisioning.server", "10.78.0.2 is not inside"),
    ("N153", "    gateway: 172.16.160.254\n", "", "profiles.hypervisor", "(10.77.0.2) is unreachable"),
    ("N156", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 172.16.160.9, table: 255}]}}", "profiles.hypervisor.bridges.br0.routes", "table 255, the kernel's own"),
    ("N156", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 172.16.160.9, table: 9}]}}\n    vrfs: {blue: {table: 9, interfaces: [eth7]}}", "profiles.hypervisor.bridges.br0.routes", "belongs to blue alone"),
    ("N170", "    bonds:", "    systemd: 250\n    nics: {eth5: {sriov: {count: 1}}}\n    bonds:", "profiles.hypervisor.nics.eth5.sriov", "SR-IOVVirtualFunctions= needs systemd 251"),
    ("N170", "lacp-rate: fast", "peer-notify-delay: 1s", "profiles.hypervisor.bonds.bond0.peer-notify-delay", "needs systemd 256, the target has 252"),
    ("N170", "    bonds:", "    systemd: 247\n    vlans: {v9: {link: eth2, id: 9, egress-qos: {1: 7}}}\n  other:\n    bonds:", "profiles.hypervisor.vlans.v9.egress-qos", "needs systemd 248"),
    ("N171", "    bonds:", "    format: netplan\n    bonds:", "profiles.hypervisor.format", "netplan cannot say br0: DNS over TLS"),
    ("N174", "    vlans:", "    loopbacks: {lo: {addresses: [{address: 192.0.2.1/24, role: vrrp}]}}\n    vlans:", "profiles.hypervisor.loopbacks.lo.addresses", "192.0.2.1/24 on lo answers for the whole subnet"),
    ("N175", "    bonds:", "    nics: {eth5: {sriov: {count: 1, functions: {1: {}}}}}\n    bonds:", "profiles.hypervisor.nics.eth5.sriov.functions.1", "no virtual function 1"),
    ("N175", "    bonds:", "    nics: {eth5: {sriov: {count: 1, functions: {0: {vlan: 4096}}}}}\n    bonds:", "profiles.hypervisor.nics.eth5.sriov.functions.0.vlan", "4096 of virtual function 0 is outside 0-4095"),
    ("N175", "    bonds:", "    nics: {eth5: {sriov: {count: 1, functions: {0: {qos: 8}}}}}\n    bonds:", "profiles.hypervisor.nics.eth5.sriov.functions.0.qos", "outside 0-7"),
    ("N180", "    bonds:", "    allow: [\"204\"]\n    bonds:", "profiles.hypervisor.allow", "rules are named like N131"),
    ("N180", "    bonds:", "    format: netplam\n    bonds:", "profiles.hypervisor.format", "did you mean \"netplan\"?"),
    ("N182", "    bonds:", "    nics: {eth5: {match-name: \"en*\"}}\n    bonds:", "profiles.hypervisor.nics.eth5.match-name", "found by permanent-mac"),
    ("N182", "    vlans:", "    macvlans: {mv: {link: eth7, source-macaddresses: [\"52:54:00:00:00:01\"]}}\n    vlans:", "profiles.hypervisor.macvlans.mv.source-macaddresses", "only for mode source"),
    ("N101", "leaf1a: {vendor", "\"leaf 1\": {vendor", "switches.leaf 1", "letters, digits"),
    ("N110", "native-vlan: 10}", "native-vlan: 4095}", "switches.leaf1a.native-vlan", "outside 1-4094"),
    ("N119", "switch: leaf1b, port: Ethernet2}", "switch: leaf1a, port: Ethernet2}", "hosts.n2.nics.eth1", "leaf1a Ethernet2 is where eth0 of n2 is cabled to"),
    ("N129", "mlag-peer: leaf1a", "mlag-peer: leaf1b", "switches.leaf1a.mlag-peer", "whose mlag-peer is leaf1b"),
    ("N129", "leaf1b: {vendor: eos", "leaf1b: {vendor: sonic", "switches.leaf1a.mlag-peer", "leaf1a is eos, its peer leaf1b sonic"),
    ("N118", "switch: leaf1b, port: Ethernet2}", "switch: leaf1b, port: swp2}", "hosts.n2.nics.eth1", "\"swp2\" is no port of leaf1b (eos)"),
    ("N164", "{interfaces: [vlan500],", "{interfaces: [vlan500], stp: true,", "hosts.n2.nics.eth0", "br0 runs spanning tree towards leaf1a Ethernet2"),
    ("N159", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, cpus: 0-3, mark: 1}}", "profiles.hypervisor.bridges.br0.cpus", "give it both"),
    ("N159", BRIDGE, "{br0: {interfaces: [vlan500], dhcp4: true, cpus: 0-3, mark: 1, table: 100}}", "profiles.hypervisor.bridges.br0.cpus", "no written address"),
    ("N159", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, cpus: 0-3, mark: 1, table: 100, default-route: true}}\n    dummies: {d0: {subnet: other, cpus: \"3,7\", mark: 2, table: 101}}", "profiles.hypervisor.dummies.d0.cpus", "processor 3 is in the cpus of br0 and of d0"),
    ("N159", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, cpus: 0-3, mark: 1, table: 100, default-route: true}}\n    dummies: {d0: {subnet: other, cpus: 7, mark: 1, table: 101}}", "profiles.hypervisor.dummies.d0.cpus", "br0 and d0 have cpus and the same mark"),
    ("N180", "mlag-peer: leaf1b", "mlag-peer: leaf1c", "switches.leaf1a.mlag-peer", "there is no switch \"leaf1c\""),
    ("N180", "switch: leaf1b,", "switch: leaf2b,", "hosts.n2.nics.eth1", "did you mean \"leaf1b\"?"),
    ("N190", "unit: 1\n    tenant: acme", "unit: 1\n    tenant: globex", "hosts.n1.tenant", "of tenant \"acme\", but the host is leased to \"globex\""),
    ("N190", "unit: 1\n    tenant: acme", "unit: 1", "hosts.n1.tenant", "br0 would be in subnet \"internal\" of tenant \"acme\", but the host is leased to nobody"),
    ("N190", "profile: hypervisor\n    image", "profile: foreign\n    image", "hosts.n1.tenant", "v77 would be with VLAN 77 in subnet \"secret\" of tenant \"globex\""),
    ("N190", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, vlan-filtering: true, ports: {vlan500: {tagged: [77]}}}}", "hosts.n1.tenant", "br0 would be with VLAN 77"),
    ("N190", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 10.99.0.9/32, role: anycast}]}}", "hosts.n1.tenant", "the address 10.99.0.9 of br0 is in subnet \"secret\""),
    ("N190", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 10.99.0.9, on-link: true}]}}", "hosts.n1.tenant", "the router 10.99.0.9 of br0 is in subnet \"secret\""),
    ("N190", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal}}\n    vxlans: {vx1: {link: br0, vni: 5, mtu: 1400, remote: 10.99.0.9}}", "hosts.n1.tenant", "the remote end 10.99.0.9 of vx1 is"),
    ("N190", "reservations: {provisioning: 10.77.0.12}", "reservations: {secret: 10.99.0.12}", "hosts.n1.reservations.secret", "its reservation is in subnet \"secret\""),
    ("N190", "vlan: 77", "vlan: 500", "subnets.secret.vlan", "VLAN 500 is that of \"internal\" of tenant \"acme\" too"),
    ("N191", "[vlan500], subnet: internal}", "[vlan500], subnet: tenant/secret}", "hosts.n1.tenant", "br0 needs the \"secret\" subnet of tenant \"acme\""),
    ("N191", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: tenant/secret}}", "hosts.n1.tenant", "v9 needs the \"secret\" subnet of tenant \"acme\""),
    ("N190", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: secret}}", "hosts.n1.tenant", "v9 would be in subnet \"secret\" of tenant \"globex\""),
    ("N180", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: tenant/secrets}}", "profiles.hypervisor.vlans.v9.id", "did you mean \"secret\"?"),
    ("N110", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: othr}}", "profiles.hypervisor.vlans.v9.id", "there is no subnet \"othr\"; did you mean \"other\"?"),
    ("N110", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: provisioning}}", "profiles.hypervisor.vlans.v9.id", "subnet \"provisioning\", whose id it is, has none"),
    ("N111", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: internal}}", "profiles.hypervisor.vlans.v9.id", "vlan500 and v9 are both VLAN 500"),
    ("N191", "unit: 1\n    tenant: acme\n    profile: hypervisor", "unit: 1\n    profile: vms", "hosts.n1.tenant", "v needs the \"secret\" subnet of the host's tenant, but it is leased to nobody"),
    ("N191", "profile: hypervisor\n    image", "profile: rented\n    image", "hosts.n1.tenant", "who has none: write role: secret"),
    ("N180", "tenant/secret", "tenant/secrets", "profiles.rented.nics.eth0.subnet", "did you mean \"secret\"?"),
    ("N192", "unit: 1\n    tenant: acme", "unit: 1\n    tenant: acme\n    leased-from: 2026-11-02\n    leased-until: 2026-11-01", "hosts.n1.leased-until", "ends (2026-11-01) before it begins (2026-11-02)"),
    ("N192", "unit: 1\n    tenant: acme", "unit: 1\n    leased-until: 2026-11-01", "hosts.n1.leased-until", "leased to nobody"),
    ("N193", "tenant: acme\n    ranges", "tenant: globex\n    role: secret\n    ranges", "subnets.secret.role", "\"internal\" and \"secret\""),
    ("N101", "role: secret", "role: a/b", "subnets.secret.role", "letters, digits"),
    ("N201", "    bonds:", "    bgp: {asn: 0, neighbors: [{link: br0}]}\n    bonds:", "profiles.hypervisor.bgp.asn", "is reserved"),
    ("N201", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0, remote-as: 23456}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "nobody's"),
    ("N202", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], router-id: vlan500}\n    bonds:", "profiles.hypervisor.bgp.router-id", "no IPv4 address"),
    ("N202", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], router-id: br1}\n    bonds:", "profiles.hypervisor.bgp.router-id", "there is no link"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: []}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "no neighbour"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: eth9}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "there is no link"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: eth0}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "other end of bond0"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}, {link: br0}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "twice"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "a link or an address"),
    ("N204", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], announce: [192.0.2.0/24]}\n    bonds:", "profiles.hypervisor.bgp.announce", "no link bears"),
    ("N204", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], announce: [bond0]}\n    bonds:", "profiles.hypervisor.bgp.announce", "no address to announce"),
    ("N205", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], max-paths: 0}\n    bonds:", "profiles.hypervisor.bgp.max-paths", "1 to 128"),
];

#[rustfmt::skip] // a table: a case a line
const WARNINGS: &[Case] = &[
    ("N158", "id: 77, dhcp4: true}}, nics: {eth1: {}}}", "id: 77, dhcp4: true, routes: [{to: 10.50.0.0/16, next-hops: [{via: 10.1.0.1}, {via: 10.2.0.1, link: eth1}]}]}}, nics: {eth1: {dhcp4: true, set-name: nic1}}}", "profiles.foreign.vlans.v77.routes", "write it under loopbacks.lo"),
    ("N158", "id: 77, dhcp4: true}}, nics: {eth1: {}}}", "id: 77, dhcp4: true}}, loopbacks: {lo: {routes: [{to: 10.50.0.0/16, next-hops: [{via: 10.1.0.1, link: v77}, {via: 10.2.0.1, link: eth1}]}]}}, nics: {eth1: {dhcp4: true}}}", "profiles.foreign.loopbacks.lo.routes", "finds the way over eth1"),
    ("N103", "{br0: {int", "{docker0: {int", "profiles.hypervisor.bridges.docker0", "Docker"),
    ("N103", "    vlans:", "    dummies: {lo: {}}\n    vlans:", "profiles.hypervisor.dummies.lo", "the kernel's loopback"),
    ("N103", "    bonds:", "    nics: {eth5: {set-name: eth9}}\n    bonds:", "profiles.hypervisor.nics.eth5.set-name", "the kernel gives itself"),
    ("N107", "    bonds:", "    match: name\n    nics: {eth5: {match-name: \"b*\"}}\n    bonds:", "profiles.hypervisor.nics.eth5.match-name", "Name=b* also matches bond0"),
    ("N108", "lacp-rate: fast", "bind-carrier: true", "profiles.hypervisor.bonds.bond0.bind-carrier", "BindCarrier=eth1 goes by the kernel's name"),
    ("N108", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routing-policy: [{incoming-interface: br9, table: 254, priority: 9}]}}", "profiles.hypervisor.bridges.br0.routing-policy", "about a link \"br9\""),
    ("N116", "    vlans:", "    ipvlans: {iv: {link: eth7, dhcp4: true}}\n    vlans:", "profiles.hypervisor.ipvlans.iv.dhcp4", "give both one address"),
    ("N123", "    bonds:", "    nics: {eth0: {speed: 25000}, eth1: {speed: 10000}}\n    bonds:", "profiles.hypervisor.bonds.bond0.nics", "25G and 10G members; LACP"),
    ("N123", "    bonds:", "    nics: {eth0: {numa: 0}, eth1: {numa: 1}}\n    bonds:", "profiles.hypervisor.bonds.bond0.nics", "members on NUMA nodes 0 and 1"),
    ("N123", "    bonds:", "    nics: {eth0: {rail: 0}, eth1: {rail: 1}}\n    bonds:", "profiles.hypervisor.bonds.bond0.nics", "members on rails 0 and 1"),
    ("N131", "    bonds:", "    nics: {eth5: {mtu: 9000}, eth6: {}}\n    bridges: {br1: {interfaces: [eth5, eth6], mtu: 1500}}\n  other:\n    bonds:", "profiles.hypervisor.bridges.br1.interfaces", "eth6 (MTU 1500) and eth5 (MTU 9000) differ"),
    ("N152", "    dns: [\"223.5.5.5#dns.alidns.com\"]\n", "", "profiles.hypervisor", "no resolver on any link"),
    ("N154", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 172.16.160.9, table: 77}]}}", "profiles.hypervisor.bridges.br0.routes", "no rule leads to table 77"),
    ("N160", "    gateway: 172.16.160.254\n", "", "profiles.hypervisor.bridges.br0.subnet", "resolver 223.5.5.5 is in no subnet"),
    ("N163", "    bonds:", "    defaults: verbatim\n    nics: {eth5: {link-local: []}}\n    bonds:", "profiles.hypervisor.nics.eth5.optional", "hang for 120 s"),
    ("N164", "{interfaces: [vlan500],", "{interfaces: [vlan500], stp: true, forward-delay: 4s,", "profiles.hypervisor.bridges.br0.stp", "by 8 s"),
    ("N173", "kernel: live/vmlinuz,", "kernel: live/vmlinuz, cmdline: \"root=iscsi:target\",", "profiles.hypervisor.bridges.br0.critical", "boots from iSCSI over br0"),
    ("N175", "    bonds:", "    nics: {eth5: {sriov-max: 2, sriov: {count: 3}}}\n    bonds:", "profiles.hypervisor.nics.eth5.sriov.count", "3 virtual functions, the device has 2"),
    ("N175", "    bonds:", "    nics: {eth0: {sriov: {count: 1}}}\n    bonds:", "profiles.hypervisor.nics.eth0.sriov", "eth0 is in bond0"),
    ("N185", BOND, "nics: []\n        allow: [N122]", "profiles.hypervisor.bonds.bond0.allow", "cannot be silenced"),
    ("N104", "{interfaces: [vlan500],", "{interfaces: [vlan500], macaddress: \"52:54:00:bb:00:01\",", "profiles.hypervisor.bridges.br0.macaddress", "on every host that has the profile"),
    ("N105", "52:54:00:aa:00:01", "02:54:00:aa:00:01", "hosts.n1.nics.eth0", "locally administered"),
    ("N114", "native-vlan: 10}", "native-vlan: 10, vlans: [10, 20]}", "hosts.n2.nics.eth0", "bond0 -> leaf1a Ethernet2: VLAN 500 is none of those that leaf1a carries (10, 20)"),
    ("N122", BOND, "nics: [eth0]", "profiles.hypervisor.bonds.bond0.nics", "no redundancy"),
    ("N127", "mlag-peer: leaf1b, native-vlan: 10}\n  leaf1b: {vendor: eos, mlag-peer: leaf1a", "native-vlan: 10}\n  leaf1b: {vendor: eos", "hosts.n2.nics.eth1", "bond0: members end on leaf1a and leaf1b, which are no MLAG pair"),
    ("N127", "mode: 802.3ad\n        lacp-rate: fast", "mode: balance-rr", "hosts.n2.nics.eth1", "balance-rr"),
    ("N132", "native-vlan: 10}", "native-vlan: 10, mtu: 9000}", "hosts.n2.nics.eth0", "eth0 has MTU 9000 and needs 9022 on leaf1a Ethernet2, which has 9000"),
    ("N172", "native-vlan: 10}", "native-vlan: 10, no-lacp-fallback: true}", "hosts.n2.nics.eth0", "LACP without fallback"),
    ("N172", "mlag-peer: leaf1b, native-vlan: 10", "mlag-peer: leaf1b", "hosts.n2.nics.eth0", "the VLAN of subnet \"provisioning\", in which it boots, is not known"),
    ("N172", "lacp-rate: fast", "subnet: other", "hosts.n2.nics.eth0", "so its firmware does not reach \"provisioning\""),
    ("N126", "up-delay: 200ms", "up-delay: 250ms", "profiles.hypervisor.bonds.bond0.up-delay", "the kernel uses 200ms"),
    ("N131", "    bonds:", "    defaults: verbatim\n    vlans: {v1: {link: eth2, id: 1, mtu: 9000}}\n    bridges: {br1: {interfaces: [v1]}}\n  other:\n    bonds:", "profiles.hypervisor.bridges.br1", "it will fall from 9000"),
    ("N133", "lacp-rate: fast", "subnet: provisioning", "profiles.hypervisor.bonds.bond0.mtu", "but subnet \"provisioning\" has 1500"),
    ("N145", "10.77.0.0/24", "172.16.0.0/16", "subnets.internal.cidr", "overlaps 172.16.0.0/16"),
    ("N152", "    gateway: 172.16.160.254\n", "", "profiles.hypervisor", "no default route"),
    ("N155", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routing-policy: [{from: 10.0.0.0/8, table: 254, priority: 9}, {mark: 1, table: 254, priority: 10}]}}", "profiles.hypervisor.bridges.br0.routing-policy", "never wins"),
    ("N157", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, table: 9}}\n    sysctls: {net.ipv4.conf.all.rp_filter: \"1\"}", "profiles.hypervisor.sysctls", "rp_filter is 1"),
    ("N160", "223.5.5.5#dns.alidns.com", "223.5.5.5", "subnets.internal.dns", "without a name"),
    ("N161", "lacp-rate: fast", "dhcp4-overrides: {use-dns: false}", "profiles.hypervisor.bonds.bond0.dhcp4-overrides", "no effect"),
    ("N162", "    bonds:", "    defaults: verbatim\n    bonds:", "profiles.hypervisor.bonds.bond0.accept-ra", "systemd 257"),
    ("N163", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, optional: true}}", "profiles.hypervisor", "optional"),
    ("N164", "{interfaces: [vlan500],", "{interfaces: [vlan500], stp: true,", "profiles.hypervisor.bridges.br0.stp", "30 s"),
    ("N126", "addresses: {br0: 172.16.160.12}", "network: {bonds: {bond0: {up-delay: 250ms}}}", "hosts.n1.network.bonds.bond0.up-delay", "the kernel uses 200ms"),
    ("N187", "racks: {r1: {units: 42}}", "racks: {r1: {units: 42, parameters: {speed: 7}}}", "racks.r1.parameters.speed", "no profile has"),
    ("N189", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, host-number: =index + 20}}", "hosts.n1.addresses.br0", "keeps 172.16.160.12"),
    ("N184", "unit: 2", "unit: 1", "hosts.n2.unit", "n1 is in unit 1"),
    ("N184", "unit: 2", "unit: 43", "hosts.n2.unit", "units 1 to 42"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{address: 192.0.2.1}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "more than a hop"),
    ("N203", "    bonds:", "    nics: {eth2: {}}\n    bgp: {asn: 65001, neighbors: [{link: eth2}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "set-name"),
];

#[test]
fn the_good_site_has_no_findings() {
    assert_eq!(check_site(&site(GOOD)), []);
    assert_eq!(check_host(&site(GOOD), "n1"), []);
}

#[test]
fn every_rule_finds_its_broken_site() {
    let errors = ERRORS.iter().map(|case| (case, Severity::Error));
    let warnings = WARNINGS.iter().map(|case| (case, Severity::Warning));
    let mut missed = Vec::new();
    for ((rule, old, new, path, says), severity) in errors.chain(warnings) {
        let findings = check_site(&changed(old, new));
        let found = findings.iter().any(|finding| {
            (finding.rule, finding.severity) == (*rule, severity)
                && finding.path == *path
                && finding.text.contains(says)
        });
        if !found {
            missed.push(format!("{rule} at {path} after {old:?} -> {new:?}: {findings:#?}"));
        }
    }
    assert!(missed.is_empty(), "not found: {}", missed.join("\n"));
}

#[test]
fn every_fix_puts_its_finding_right() {
    let mut fixed = BTreeSet::new();
    for (rule, old, new, path, _) in ERRORS.iter().chain(WARNINGS) {
        let site = changed(old, new);
        for finding in check_site(&site) {
            let Some(fix) =
                finding.fix.filter(|_| (finding.rule, &*finding.path) == (*rule, *path))
            else {
                continue;
            };
            let edits = fix.edits.iter().map(|edit| (edit.path.clone(), edit.value.clone()));
            let edits: Vec<_> = edits.collect();
            let better: Site = set_values(Some(&site), &edits)
                .unwrap_or_else(|error| panic!("{rule}: {fix}: {error}"));
            let left = check_site(&better);
            let same = |other: &Finding| {
                (other.rule, &other.path, &other.text)
                    == (finding.rule, &finding.path, &finding.text)
            };
            assert!(!left.iter().any(same), "{rule}: {fix} does not help: {left:#?}");
            fixed.insert(*rule);
        }
    }
    let expected = [
        "N106", "N108", "N112", "N113", "N115", "N116", "N124", "N125", "N126", "N127", "N130",
        "N131", "N132", "N133", "N140", "N141", "N142", "N143", "N147", "N150", "N151", "N156",
        "N157", "N161", "N162", "N163", "N164", "N165", "N171", "N173", "N174", "N175", "N180",
        "N182",
    ];
    let lacking: Vec<_> = expected.iter().filter(|rule| !fixed.contains(**rule)).collect();
    assert!(lacking.is_empty(), "without a fix: {lacking:?}; with one: {fixed:?}");
}

#[test]
fn a_warning_is_silenced_where_its_rule_is_allowed_and_is_shown_so() {
    let cases = [
        ("N126", "up-delay: 200ms", "up-delay: 250ms\n        allow: [N126]"),
        ("N122", BOND, "nics: [eth0]\n        allow: [N122]"),
        (
            "N152",
            "    bonds:",
            "    allow: [N152]\n    nics: {eth9: {default-route: false}}\n  other:\n    bonds:",
        ),
        (
            "N105",
            "52:54:00:aa:00:01\", eth1: \"52:54:00:aa:00:02\"}",
            "02:54:00:aa:00:01\", eth1: \"52:54:00:aa:00:02\"}\n    allow: [N105]",
        ),
        ("N160", "223.5.5.5#dns.alidns.com\"]", "223.5.5.5\"]\n    allow: [N160]"),
    ];
    for (rule, old, new) in cases {
        let findings = check_site(&changed(old, new));
        let of_rule: Vec<Severity> = findings
            .iter()
            .filter(|found| found.rule == rule)
            .map(|found| found.severity)
            .collect();
        assert!(!of_rule.is_empty(), "{rule} has vanished: {findings:#?}");
        assert!(
            of_rule.iter().all(|severity| *severity == Severity::Silenced),
            "{rule}: {findings:#?}"
        );
    }
}

#[test]
fn a_mistake_in_a_profile_is_one_finding_and_refuses_each_host_that_has_it() {
    let site = changed(BOND, "nics: []");
    let empty = |finding: &&Finding| finding.rule == "N122";
    assert_eq!(check_site(&site).iter().filter(empty).count(), 1);
    for host in ["n1", "n2"] {
        assert_eq!(check_host(&site, host).iter().filter(empty).count(), 1, "{host}");
    }
}

#[test]
fn errors_come_before_warnings() {
    let both = GOOD.replace("up-delay: 200ms", "up-delay: 250ms").replace("vlan: 500", "vlan: 0");
    let severities: Vec<Severity> =
        check_site(&site(&both)).iter().map(|finding| finding.severity).collect();
    assert!(severities.is_sorted() && severities.len() >= 2, "{severities:?}");
}
