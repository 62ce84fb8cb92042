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
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "one of link, address and range"),
    ("N204", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], announce: [192.0.2.0/24]}\n    bonds:", "profiles.hypervisor.bgp.announce", "no link has"),
    ("N204", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], announce: [bond0]}\n    bonds:", "profiles.hypervisor.bgp.announce", "no address to announce"),
    ("N206", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], redistribute: [{from: kernel, within: []}]}\n    bonds:", "profiles.hypervisor.bgp.redistribute", "names no network"),
    ("N206", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], redistribute: [{from: kernel, within: [0.0.0.0/0]}]}\n    bonds:", "profiles.hypervisor.bgp.redistribute", "every address"),
    ("N206", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], redistribute: [{from: kernel, within: [10.9.0.0/16]}, {from: kernel, within: [10.8.0.0/16]}]}\n    bonds:", "profiles.hypervisor.bgp.redistribute", "twice"),
    ("N207", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], timers: {keepalive: 1s, hold: 2s}}\n    bonds:", "profiles.hypervisor.bgp.timers", "3 to 65535"),
    ("N207", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], timers: {keepalive: 9s, hold: 9s}}\n    bonds:", "profiles.hypervisor.bgp.timers", "less than hold"),
    ("N207", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0, timers: {keepalive: 500ms, hold: 3s}}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "whole seconds"),
    ("N208", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0, in: some}], route-maps: {same: [{}]}}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "route-map \"some\" does not exist"),
    ("N208", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], route-maps: {a: [{prepend: 0}]}}\n    bonds:", "profiles.hypervisor.bgp.route-maps", "1 to 10"),
    ("N209", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], evpn: {}}\n    bonds:", "profiles.hypervisor.bgp.evpn", "no VXLAN without a remote"),
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0, range: 10.0.0.0/8}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "one of link, address and range"),
    ("N205", "    bonds:", "    bgp: {asn: 65001, neighbors: [{link: br0}], max-paths: 0}\n    bonds:", "profiles.hypervisor.bgp.max-paths", "1 to 128"),
];

#[rustfmt::skip] // a table: a case a line
pub(super) const WARNINGS: &[Case] = &[
    ("N203", "    bonds:", "    bgp: {asn: 65001, neighbors: [{address: 192.0.2.1}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "more than one hop"),
    ("N209", "    bonds:", "    vxlans: {vx9: {vni: 9, link: br0}}\n    bgp: {asn: 65001, neighbors: [{link: br0}], evpn: {}}\n    bonds:", "profiles.hypervisor.vxlans.vx9.mac-learning", "told by BGP"),
    ("N203", "    bonds:", "    nics: {eth2: {}}\n    bgp: {asn: 65001, neighbors: [{link: eth2}]}\n    bonds:", "profiles.hypervisor.bgp.neighbors", "set-name"),
];
