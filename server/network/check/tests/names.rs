//! Broken sites: names, references, profiles as such, and what is silenced.

use super::{BOND, BRIDGE, Case, VLAN};

#[rustfmt::skip] // a table: a case a line
pub(super) const ERRORS: &[Case] = &[
    ("N101", "br0: {int", "virbr-production0: {int", "profiles.hypervisor.bridges.virbr-production0", "is 17 bytes"),
    ("N101", "  n1:\n", "  n_1:\n", "hosts.n_1", "RFC 1123"),
    ("N101", "images:\n  live:", "images:\n  \"live image\":", "images.live image", "letters, digits"),
    ("N102", "{br0: {int", "{bond0: {int", "profiles.hypervisor.bonds.bond0", "two links are named"),
    ("N180", "profile: hypervisor", "profile: hypervizor", "hosts.n1.profile", "did you mean \"hypervisor\"?"),
    ("N180", "image: live", "image: dead", "hosts.n1.image", "expected one of: live"),
    ("N180", "subnet: internal}}", "subnet: internel}}", "profiles.hypervisor.vlans.vlan500.subnet", "did you mean \"internal\"?"),
    ("N180", "{br0: 172.16.160.12}", "{br1: 172.16.160.12}", "hosts.n1.addresses.br1", "did you mean \"br0\"?"),
    ("N180", "{br0: 172.16.160.12}", "{bond0: 172.16.160.12}", "hosts.n1.addresses.bond0", "has no address"),
    ("N180", "tenant: acme\n    ranges", "tenant: acne\n    ranges", "subnets.internal.tenant", "did you mean \"acme\"?"),
    ("N180", "{provisioning:", "{provision:", "hosts.n1.reservations.provision", "subnet \"provision\" does not exist"),
    ("N180", "[vlan500],", "[vlan500], ports: {vlan50: {cost: 7}},", "profiles.hypervisor.bridges.br0.ports", "did you mean \"vlan500\"?"),
    ("N182", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, mark: 5}}", "profiles.hypervisor.bridges.br0.mark", "needs a routing table"),
    ("N182", "lacp-rate: fast", "ra-overrides: {use-ntp: true}", "profiles.hypervisor.bonds.bond0.ra-overrides", "routers announce no time"),
    ("N186", "    bonds:", "    extends: bse\n    bonds:", "profiles.hypervisor.extends", "profile \"bse\" does not exist"),
    ("N186", "up-delay: 200ms", "mtu: =rails", "profiles.hypervisor.bonds.bond0.mtu", "parameter \"rails\" does not exist"),
    ("N186", "up-delay: 200ms", "mtu: many", "profiles.hypervisor.bonds.bond0.mtu", "found \"many\""),
    ("N186", "addresses: {br0: 172.16.160.12}", "network: {bonds: {bond0: {mtu: many}}}", "hosts.n1.network.bonds.bond0.mtu", "found \"many\""),
    ("N187", "    bonds:", "    parameters: {speed: {type: number}}\n    systemd: =speed\n    bonds:", "hosts.n1.parameters.speed", "needs the parameter \"speed\""),
    ("N187", "addresses: {br0: 172.16.160.12}", "parameters: {speed: 7}", "hosts.n1.parameters.speed", "has no parameter \"speed\""),
    ("N183", "kernel: live/vmlinuz,", "", "images.live", "nothing to boot"),
    ("N183", "kernel: live/vmlinuz,", "kernel: live/vmlinuz, local: true,", "images.live", "kernel and local"),
    ("N101", "    vlans:", "    loopbacks: {lo1: {}}\n    vlans:", "profiles.hypervisor.loopbacks.lo1", "Linux has one"),
    ("N101", "    bonds:", "    nics: {eth5: {set-name: \"a b\"}}\n    bonds:", "profiles.hypervisor.nics.eth5.set-name", "letters, digits"),
    ("N102", "    bonds:", "    nics: {eth0: {set-name: eth1}}\n    bonds:", "profiles.hypervisor.nics.eth1.set-name", "would both be named \"eth1\""),
    ("N180", "    bonds:", "    allow: [\"204\"]\n    bonds:", "profiles.hypervisor.allow", "is not a rule id"),
    ("N180", "    bonds:", "    format: netplam\n    bonds:", "profiles.hypervisor.format", "did you mean \"netplan\"?"),
    ("N182", "    bonds:", "    nics: {eth5: {match-name: \"en*\"}}\n    bonds:", "profiles.hypervisor.nics.eth5.match-name", "found by permanent-mac"),
    ("N182", "    vlans:", "    macvlans: {mv: {link: eth7, source-macaddresses: [\"52:54:00:00:00:01\"]}}\n    vlans:", "profiles.hypervisor.macvlans.mv.source-macaddresses", "only for mode source"),
    ("N101", "leaf1a: {vendor", "\"leaf 1\": {vendor", "switches.leaf 1", "letters, digits"),
    ("N180", "mlag-peer: leaf1b", "mlag-peer: leaf1c", "switches.leaf1a.mlag-peer", "switch \"leaf1c\" does not exist"),
    ("N180", "switch: leaf1b,", "switch: leaf2b,", "hosts.n2.nics.eth1", "did you mean \"leaf1b\"?"),
    ("N180", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: tenant/secrets}}", "profiles.hypervisor.vlans.v9.id", "did you mean \"secret\"?"),
    ("N180", "tenant/secret", "tenant/secrets", "profiles.rented.nics.eth0.subnet", "did you mean \"secret\"?"),
    ("N101", "role: secret", "role: a/b", "subnets.secret.role", "letters, digits"),
    ("N101", "br0: {int", "all: {int", "profiles.hypervisor.bridges.all", "reserved by the kernel"),
    ("N101", "br0: {int", "\"12\": {int", "profiles.hypervisor.bridges.12", "digits only"),
    ("N101", "vlan: 77", "vlan: 77, vrf: a/b", "subnets.secret.vrf", "letters, digits"),
    ("N183", "initrd: [live/initrd.img]}", "initrd: [live/initrd.img], cmdline: \"{network}\"}", "images.live.cmdline", "unknown placeholder in \"{network}\""),
    ("N183", "kernel: live/vmlinuz, initrd: [live/initrd.img]}", "efi: x.efi, cmdline: \"{dracut}\"}", "images.live.cmdline", "without a kernel"),
];

#[rustfmt::skip] // a table: a case a line
pub(super) const WARNINGS: &[Case] = &[
    ("N103", "{br0: {int", "{docker0: {int", "profiles.hypervisor.bridges.docker0", "Docker"),
    ("N103", "    vlans:", "    dummies: {lo: {}}\n    vlans:", "profiles.hypervisor.dummies.lo", "the kernel's loopback"),
    ("N103", "    bonds:", "    nics: {eth5: {set-name: eth9}}\n    bonds:", "profiles.hypervisor.nics.eth5.set-name", "the kernel assigns itself"),
    ("N185", BOND, "nics: []\n        allow: [N122]", "profiles.hypervisor.bonds.bond0.allow", "cannot be silenced"),
    ("N187", "racks: {r1: {units: 42}}", "racks: {r1: {units: 42, parameters: {speed: 7}}}", "racks.r1.parameters.speed", "no profile has"),
    ("N184", "unit: 2", "unit: 1", "hosts.n2.unit", "occupied by n1"),
    ("N184", "unit: 2", "unit: 43", "hosts.n2.unit", "units 1 to 42"),
];
