//! Broken sites: BGP.

use super::Case;

#[rustfmt::skip] // a table: a case a line
pub(super) const ERRORS: &[Case] = &[
    ("N204", "    bonds:", "    loopbacks: {lo: {addresses: [{address: 192.0.2.1/32, role: dsr}]}}\n    bgp: {asn: 65001, neighbors: [{link: br0}], announce: [lo]}\n    bonds:", "profiles.hypervisor.bgp.announce", "lo has only addresses with role dsr"),
    ("N204", "    bonds:", "    loopbacks: {lo: {addresses: [{address: 192.0.2.1/32, role: dsr}]}}\n    bgp: {asn: 65001, neighbors: [{link: br0}], announce: [192.0.2.1/32]}\n    bonds:", "profiles.hypervisor.bgp.announce", "no link has 192.0.2.1/32"),
    ("N201", "    bonds:", "    bgp: {asn: 0, neighbors: [{link: br0}]}\n    bonds:", "profiles.hypervisor.bgp.asn", "is reserved"),
    ("N201", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0, remote-as: 23456}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "RFC 6793"),
    ("N202", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], router-id: vlan500}\n    bonds:", "profiles.hypervisor.bgp.router-id", "no IPv4 address"),
    ("N202", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], router-id: br1}\n    bonds:", "profiles.hypervisor.bgp.router-id", "link \"br1\" does not exist"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: []}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "no neighbour"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: eth9}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "link \"eth9\" does not exist"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: eth0}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "other end of bond0"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}, {link: br0}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "twice"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "a link or an address"),
    ("N204", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], announce: [192.0.2.0/24]}\n    bonds:", "profiles.hypervisor.bgp.announce", "no link has"),
    ("N204", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], announce: [bond0]}\n    bonds:", "profiles.hypervisor.bgp.announce", "no address to announce"),
    ("N205", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], max-paths: 0}\n    bonds:", "profiles.hypervisor.bgp.max-paths", "1 to 128"),
];

#[rustfmt::skip] // a table: a case a line
pub(super) const WARNINGS: &[Case] = &[
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{address: 192.0.2.1}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "more than one hop"),
    ("N203", "    bonds:", "    nics: {eth2: {}}\n    bgp: {asn: 65001, neighbors: [{link: eth2}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "set-name"),
];
