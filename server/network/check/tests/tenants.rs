//! Broken sites: tenants.

use super::{BRIDGE, Case, VLAN};

#[rustfmt::skip] // a table: a case a line
pub(super) const ERRORS: &[Case] = &[
    ("N190", "unit: 1\n    tenant: acme", "unit: 1\n    tenant: globex", "hosts.n1.tenant", "of tenant \"acme\", but the host is rented to \"globex\""),
    ("N190", "unit: 1\n    tenant: acme", "unit: 1", "hosts.n1.tenant", "br0 would be in subnet \"internal\" of tenant \"acme\", but the host is rented to nobody"),
    ("N190", "profile: hypervisor\n    image", "profile: foreign\n    image", "hosts.n1.tenant", "v77 would be with VLAN 77 in subnet \"secret\" of tenant \"globex\""),
    ("N190", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, vlan-filtering: true, ports: {vlan500: {tagged: [77]}}}}", "hosts.n1.tenant", "br0 would be with VLAN 77"),
    ("N190", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, addresses: [{address: 10.99.0.9/32, role: anycast}]}}", "hosts.n1.tenant", "the address 10.99.0.9 of br0 is in subnet \"secret\""),
    ("N190", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal, routes: [{to: 10.0.0.0/8, via: 10.99.0.9, on-link: true}]}}", "hosts.n1.tenant", "the router 10.99.0.9 of br0 is in subnet \"secret\""),
    ("N190", BRIDGE, "{br0: {interfaces: [vlan500], subnet: internal}}\n    vxlans: {vx1: {link: br0, vni: 5, mtu: 1400, remote: 10.99.0.9}}", "hosts.n1.tenant", "the remote end 10.99.0.9 of vx1 is"),
    ("N190", "reservations: {provisioning: 10.77.0.12}", "reservations: {secret: 10.99.0.12}", "hosts.n1.reservations.secret", "its reservation is in subnet \"secret\""),
    ("N190", "vlan: 77", "vlan: 500", "subnets.secret.vlan", "VLAN 500 is also that of \"internal\" of tenant \"acme\""),
    ("N191", "[vlan500], subnet: internal}", "[vlan500], subnet: tenant/secret}", "hosts.n1.tenant", "br0 needs the \"secret\" subnet of tenant \"acme\""),
    ("N191", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: tenant/secret}}", "hosts.n1.tenant", "v9 needs the \"secret\" subnet of tenant \"acme\""),
    ("N190", VLAN, "{vlan500: {link: bond0, subnet: internal}, v9: {link: bond0, id: secret}}", "hosts.n1.tenant", "v9 would be in subnet \"secret\" of tenant \"globex\""),
    ("N191", "unit: 1\n    tenant: acme\n    profile: hypervisor", "unit: 1\n    profile: vms", "hosts.n1.tenant", "v needs the \"secret\" subnet of the host's tenant, but it is rented to nobody"),
    ("N191", "profile: hypervisor\n    image", "profile: rented\n    image", "hosts.n1.tenant", "which has none: set role: secret"),
    ("N192", "unit: 1\n    tenant: acme", "unit: 1\n    tenant: acme\n    rented-from: 2026-11-02\n    rented-until: 2026-11-01", "hosts.n1.rented-until", "ends (2026-11-01) before it begins (2026-11-02)"),
    ("N192", "unit: 1\n    tenant: acme", "unit: 1\n    rented-until: 2026-11-01", "hosts.n1.rented-until", "rented to nobody"),
    ("N193", "tenant: acme\n    ranges", "tenant: globex\n    role: secret\n    ranges", "subnets.secret.role", "\"internal\" and \"secret\""),
];

pub(super) const WARNINGS: &[Case] = &[];
