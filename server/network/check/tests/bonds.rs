//! Broken sites: bonds.

use super::{BOND, Case, N1};

#[rustfmt::skip] // a table: a case a line
pub(super) const ERRORS: &[Case] = &[
    ("N125", "mode: 802.3ad\n        lacp-rate: fast\n        mii-monitor: 100ms\n        up-delay: 200ms", "mode: active-backup\n        arp-interval: 100ms\n        arp-ip-targets: [172.16.160.12]", N1, "bond0: ARP target 172.16.160.12 is the host's own address, on br0"),
    ("N125", "mode: 802.3ad\n        lacp-rate: fast\n        mii-monitor: 100ms\n        up-delay: 200ms", "mode: active-backup\n        arp-interval: 100ms\n        arp-ip-targets: [192.0.2.77]", "profiles.hypervisor.bonds.bond0.arp-ip-targets", "ARP target 192.0.2.77 is outside the subnets of bond0"),
    ("N122", BOND, "nics: []", "profiles.hypervisor.bonds.bond0.nics", "no members"),
    ("N124", "mode: 802.3ad", "mode: active-backup", "profiles.hypervisor.bonds.bond0.lacp-rate", "only for 802.3ad"),
    ("N124", "lacp-rate: fast", "primary: eth0", "profiles.hypervisor.bonds.bond0.primary", "only for active-backup"),
    ("N125", "mii-monitor: 100ms", "mii-monitor: 0ms", "profiles.hypervisor.bonds.bond0.mii-monitor", "no link monitoring"),
    ("N124", "mode: 802.3ad", "mode: balance-rr\n        fail-over-mac-policy: active", "profiles.hypervisor.bonds.bond0.fail-over-mac-policy", "only for active-backup"),
    ("N125", "mii-monitor: 100ms", "arp-interval: 1s", "profiles.hypervisor.bonds.bond0.arp-interval", "cannot be monitored by ARP"),
    ("N125", "lacp-rate: fast", "arp-interval: 1s", "profiles.hypervisor.bonds.bond0.arp-interval", "mutually exclusive"),
    ("N128", "lacp-rate: fast", "ad-user-port-key: 1024", "profiles.hypervisor.bonds.bond0.ad-user-port-key", "0 to 1023"),
    ("N128", "lacp-rate: fast", "arp-interval: 1s", "profiles.hypervisor.bonds.bond0.arp-ip-targets", "1 to 16"),
    ("N123", "    bonds:", "    nics: {eth0: {bondable: false}}\n    bonds:", "profiles.hypervisor.bonds.bond0.nics", "eth0 cannot be in a bond"),
    ("N124", "lacp-rate: fast", "packets-per-member: 5", "profiles.hypervisor.bonds.bond0.packets-per-member", "only for balance-rr"),
    ("N128", "lacp-rate: fast", "arp-validate: all", "profiles.hypervisor.bonds.bond0.arp-interval", "is not set"),
];

#[rustfmt::skip] // a table: a case a line
pub(super) const WARNINGS: &[Case] = &[
    ("N123", "    bonds:", "    nics: {eth0: {speed: 25000}, eth1: {speed: 10000}}\n    bonds:", "profiles.hypervisor.bonds.bond0.nics", "25G and 10G members; LACP"),
    ("N123", "    bonds:", "    nics: {eth0: {numa: 0}, eth1: {numa: 1}}\n    bonds:", "profiles.hypervisor.bonds.bond0.nics", "members on NUMA nodes 0 and 1"),
    ("N123", "    bonds:", "    nics: {eth0: {rail: 0}, eth1: {rail: 1}}\n    bonds:", "profiles.hypervisor.bonds.bond0.nics", "members on rails 0 and 1"),
    ("N122", BOND, "nics: [eth0]", "profiles.hypervisor.bonds.bond0.nics", "no redundancy"),
    ("N126", "up-delay: 200ms", "up-delay: 250ms", "profiles.hypervisor.bonds.bond0.up-delay", "the kernel uses 200ms"),
    ("N126", "addresses: {br0: 172.16.160.12}", "network: {bonds: {bond0: {up-delay: 250ms}}}", "hosts.n1.network.bonds.bond0.up-delay", "the kernel uses 200ms"),
    ("N123", "    bonds:", "    nics: {eth0: {gpu: 0}, eth1: {gpu: 1}}\n    bonds:", "profiles.hypervisor.bonds.bond0.nics", "members on GPUs 0 and 1"),
];
