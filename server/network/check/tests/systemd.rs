//! Broken sites: how a host comes up, and what its systemd and its format can say.

use super::{BRIDGE, Case};

#[rustfmt::skip] // a table: a case a line
pub(super) const ERRORS: &[Case] = &[
    ("N170", "    bonds:", "    systemd: 246\n    bonds:", "profiles.hypervisor.systemd", "247 to 257"),
    ("N170", "    bonds:", "    systemd: 247\n    vlans: {v9: {link: eth2, id: 9, protocol: 802.1ad}}\n  other:\n    bonds:", "profiles.hypervisor.vlans.v9.protocol", "needs systemd 248"),
    ("N170", "    bonds:", "    systemd: 250\n    nics: {eth5: {sriov: {count: 1}}}\n    bonds:", "profiles.hypervisor.nics.eth5.sriov", "SR-IOVVirtualFunctions= needs systemd 251"),
    ("N170", "lacp-rate: fast", "peer-notify-delay: 1s", "profiles.hypervisor.bonds.bond0.peer-notify-delay", "needs systemd 256, but the target has 252"),
    ("N170", "    bonds:", "    systemd: 247\n    vlans: {v9: {link: eth2, id: 9, egress-qos: {1: 7}}}\n  other:\n    bonds:", "profiles.hypervisor.vlans.v9.egress-qos", "needs systemd 248"),
    ("N170", "    bonds:", "    systemd: 249\n    bridges: {b9: {interfaces: [eth2], macaddress: none}}\n  other:\n    bonds:", "profiles.hypervisor.bridges.b9.macaddress", "[NetDev] MACAddress=none needs systemd 250"),
    ("N171", "    bonds:", "    format: netplan\n    bonds:", "profiles.hypervisor.format", "netplan cannot express br0: DNS over TLS"),
    ("N170", "    bonds:", "    systemd: 252\n    nics: {eth5: {dhcp6: true, dhcp6-overrides: {send-hostname: false}}}\n    bonds:", "profiles.hypervisor.nics.eth5.dhcp6-overrides", "needs systemd 255"),
    ("N170", "    bonds:", "    systemd: 247\n    nics: {eth5: {dhcp6: true, duid: uuid}}\n    bonds:", "profiles.hypervisor.nics.eth5.duid", "needs systemd 252"),
    ("N170", "    bonds:", "    systemd: 247\n    nics: {eth5: {accept-ra: true, ra-overrides: {use-routes: false}}}\n    bonds:", "profiles.hypervisor.nics.eth5.ra-overrides", "needs systemd 252"),
    ("N182", "    bonds:", "    nics: {eth5: {dhcp6: true, dhcp6-overrides: {use-mtu: true}}}\n    bonds:", "profiles.hypervisor.nics.eth5.dhcp6-overrides", "DHCPv6 carries no MTU"),
    ("N182", "    bonds:", "    nics: {eth5: {subnet: other, more-subnets: [{subnet: other}]}}\n    bonds:", "profiles.hypervisor.nics.eth5.more-subnets", "twice"),
    ("N182", "    bonds:", "    nics: {eth5: {dhcp4: true, mtu: 1400, dhcp4-overrides: {use-mtu: true}}}\n    bonds:", "profiles.hypervisor.nics.eth5.mtu", "ignores use-mtu"),
    ("N156", "    bonds:", "    nics: {eth5: {dhcp4: true, more-subnets: [{subnet: other, table: 254}]}}\n    bonds:", "profiles.hypervisor.nics.eth5.more-subnets", "reserved for the kernel"),
    ("N164", "{interfaces: [vlan500],", "{interfaces: [vlan500], stp: true,", "hosts.n2.nics.eth0", "br0 runs spanning tree towards leaf1a Ethernet2"),
    ("N171", "initrd: [live/initrd.img]}", "initrd: [live/initrd.img], cmdline: \"quiet {dracut}\"}", "hosts.n1.image", "image \"live\" has {dracut} on its command line, but dracut cannot express br0: bridge"),
    ("N171", "initrd: [live/initrd.img]}\nhosts:", "initrd: [live/initrd.img], cmdline: \"{dracut}\"}\nhosts:\n  n0: {image: live}", "hosts.n0.image", "the host has no profile"),
    ("N170", "    bonds:", "    systemd: 247\n    nics: {eth5: {online-family: both}}\n    bonds:", "profiles.hypervisor.nics.eth5.online-family", "needs systemd 249"),
    ("N170", "    bonds:", "    systemd: 247\n    nics: {eth5: {activation-mode: manual}}\n    bonds:", "profiles.hypervisor.nics.eth5.activation-mode", "needs systemd 248"),
];

#[rustfmt::skip] // a table: a case a line
pub(super) const WARNINGS: &[Case] = &[
    ("N163", "    bonds:", "    defaults: verbatim\n    nics: {eth5: {link-local: []}}\n    bonds:", "profiles.hypervisor.nics.eth5.optional", "for 120 s"),
    ("N164", "{interfaces: [vlan500],", "{interfaces: [vlan500], stp: true, forward-delay: 4s,", "profiles.hypervisor.bridges.br0.stp", "by 8 s"),
    ("N173", "kernel: live/vmlinuz,", "kernel: live/vmlinuz, cmdline: \"root=iscsi:target\",", "profiles.hypervisor.bridges.br0.critical", "boots from iSCSI over br0"),
    ("N161", "lacp-rate: fast", "dhcp4-overrides: {use-dns: false}", "profiles.hypervisor.bonds.bond0.dhcp4-overrides", "no effect"),
    ("N161", "lacp-rate: fast", "ipv6-token: \"::53\"", "profiles.hypervisor.bonds.bond0.ipv6-token", "asks nobody"),
    ("N161", "lacp-rate: fast", "vendor-class: rack", "profiles.hypervisor.bonds.bond0.vendor-class", "asks nobody"),
    ("N162", "    bonds:", "    defaults: verbatim\n    bonds:", "profiles.hypervisor.bonds.bond0.accept-ra", "systemd 257"),
    ("N163", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, optional: true}}", "profiles.hypervisor", "optional"),
    ("N164", "{interfaces: [vlan500],", "{interfaces: [vlan500], stp: true,", "profiles.hypervisor.bridges.br0.stp", "30 s"),
];
