//! Networks from the field that pass a reader and carry no traffic: each with what the checks find,
//! and beside it the form that is right, in which they find nothing.

use rackstrap::network::{Severity, check_host, check_site};
use rackstrap::profile::ResolvedSite;

/// The subnets and switches of every case.
const SITE: &str = r#"
switches:
  leaf1: {vendor: eos, mlag-peer: leaf2, native-vlan: 10}
  leaf2: {vendor: eos, mlag-peer: leaf1, native-vlan: 10}
subnets:
  boot: {cidr: 10.77.0.0/24, vlan: 10, gateway: 10.77.0.1, server: 10.77.0.2, dns: [10.77.0.53]}
  lan: {cidr: 172.16.0.0/24, vlan: 500, gateway: 172.16.0.254, mtu: 9000, dns: [172.16.0.53]}
  lan6: {cidr: "2001:db8:5::/64", vlan: 500, gateway: "fe80::1", mtu: 9000}
  storage: {cidr: 10.88.0.0/24, vlan: 600, mtu: 9000}
  overlay: {cidr: 172.30.0.0/24}
  guests: {cidr: 10.66.0.0/24}
  own: {cidr: 192.168.10.0/24}
"#;

/// A host of a profile that is called p.
const HOST: &str = r#"
hosts:
  n1:
    profile: p
    nics:
      eth0: {mac: "52:54:00:aa:00:01", switch: leaf1, port: Ethernet1}
      eth1: {mac: "52:54:00:aa:00:02", switch: leaf2, port: Ethernet1}
"#;

/// The usual bond, with a place for more of its settings.
const BOND: &str = "bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, lacp-rate: fast}}";

/// What is expected to be found: the rule, how bad it is, and where it is.
type Found = (&'static str, Severity, &'static str);

struct Case {
    /// What a host would suffer from.
    name: &'static str,
    /// The keys of the profile, a line each.
    profile: &'static [&'static str],
    /// The host's own addresses.
    addresses: &'static str,
    found: &'static [Found],
}

const E: Severity = Severity::Error;
const W: Severity = Severity::Warning;

#[rustfmt::skip] // a table: a key of the profile a line
const CASES: &[Case] = &[
    // A tunnel whose address is not that of the link it leaves by.
    Case {
        name: "vxlan from the loopback",
        profile: &["nics: {eth0: {subnet: boot}}", "loopbacks: {lo: {subnet: own}}",
                   "vxlans: {vx1: {vni: 1, link: lo, remote: 192.168.10.20, subnet: overlay, mtu: 1450}}"],
        addresses: "{eth0: 10.77.0.12, lo: 192.168.10.10, vx1: 172.30.0.1}",
        found: &[],
    },
    Case {
        name: "vxlan from a dummy, with packets that do not fit",
        profile: &["nics: {eth0: {subnet: boot}}", "dummies: {d0: {subnet: own}}",
                   "vxlans: {vx1: {vni: 1, link: d0, remote: 192.168.10.20, subnet: overlay}}"],
        addresses: "{eth0: 10.77.0.12, d0: 192.168.10.10, vx1: 172.30.0.1}",
        found: &[("N113", E, "profiles.p.vxlans.vx1.mtu")],
    },
    Case {
        name: "vxlan from a dummy to a group",
        profile: &["nics: {eth0: {subnet: boot}}", "dummies: {d0: {subnet: own}}",
                   "vxlans: {vx1: {vni: 1, link: d0, remote: 239.1.1.1, mtu: 1450}}"],
        addresses: "{eth0: 10.77.0.12, d0: 192.168.10.10}",
        found: &[("N113", E, "profiles.p.vxlans.vx1.link")],
    },
    Case {
        name: "vxlan to the host itself",
        profile: &["nics: {eth0: {subnet: boot}}", "loopbacks: {lo: {subnet: own}}",
                   "vxlans: {vx1: {vni: 1, link: lo, remote: 192.168.10.10, mtu: 1450}}"],
        addresses: "{eth0: 10.77.0.12, lo: 192.168.10.10}",
        found: &[("N113", E, "hosts.n1.addresses.lo")],
    },
    Case {
        name: "vxlan to a neighbour of the loopback without a route",
        profile: &["nics: {eth0: {subnet: boot, default-route: false}}", "loopbacks: {lo: {subnet: own}}",
                   "vxlans: {vx1: {vni: 1, link: lo, remote: 192.168.10.20, mtu: 1450}}"],
        addresses: "{eth0: 10.77.0.12, lo: 192.168.10.10}",
        found: &[("N113", W, "profiles.p.vxlans.vx1.remote"), ("N152", W, "profiles.p")],
    },
    Case {
        name: "two vxlans of one VNI",
        profile: &["nics: {eth0: {subnet: boot}}",
                   "vxlans: {vx1: {vni: 1, link: eth0, remote: 10.77.0.20, mtu: 1450}, vx2: {vni: 1, link: eth0, remote: 10.77.0.21, mtu: 1450}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N113", E, "profiles.p.vxlans.vx2.vni")],
    },
    // Loops.
    Case {
        name: "a bridge over two uplinks",
        profile: &["bridges: {br0: {interfaces: [eth0, eth1], subnet: boot}}"],
        addresses: "{br0: 10.77.0.12}",
        found: &[("N166", E, "hosts.n1.nics.eth1"), ("N166", W, "profiles.p.bridges.br0.interfaces")],
    },
    Case {
        name: "a bridge over two uplinks that runs spanning tree",
        profile: &["bridges: {br0: {interfaces: [eth0, eth1], stp: true, forward-delay: 4s, subnet: boot}}"],
        addresses: "{br0: 10.77.0.12}",
        found: &[("N164", E, "hosts.n1.nics.eth0"), ("N164", E, "hosts.n1.nics.eth1"), ("N164", W, "profiles.p.bridges.br0.stp")],
    },
    Case {
        name: "a bridge over two VLANs of one bond",
        profile: &[BOND, "vlans: {v1: {link: bond0, id: 1}, v2: {link: bond0, id: 2}}",
                   "bridges: {br0: {interfaces: [v1, v2], subnet: lan}}"],
        addresses: "{br0: 172.16.0.12}",
        found: &[("N166", E, "profiles.p.bridges.br0.interfaces")],
    },
    Case {
        name: "a bridge over a bond and that bond's VLAN",
        profile: &[BOND, "vlans: {v2: {link: bond0, id: 2}}", "bridges: {br0: {interfaces: [bond0, v2], subnet: lan}}"],
        addresses: "{br0: 172.16.0.12}",
        found: &[("N166", E, "profiles.p.bridges.br0.interfaces")],
    },
    // A bridge that filters what is for itself.
    Case {
        name: "a VLAN-aware bridge whose own side is in no VLAN",
        profile: &[BOND, "bridges: {br0: {interfaces: [bond0], vlan-filtering: true, default-pvid: 0, ports: {bond0: {tagged: [500]}}, subnet: lan}}"],
        addresses: "{br0: 172.16.0.12}",
        found: &[("N167", E, "profiles.p.bridges.br0.ports")],
    },
    Case {
        name: "a VLAN-aware bridge with its own side in the VLAN",
        profile: &[BOND, "bridges: {br0: {interfaces: [bond0], vlan-filtering: true, default-pvid: 0, ports: {bond0: {tagged: [500]}, br0: {pvid: 500, untagged: [500]}}, subnet: lan}}"],
        addresses: "{br0: 172.16.0.12}",
        found: &[],
    },
    Case {
        name: "Proxmox's form: the address on a VLAN of the bridge",
        profile: &[BOND, "bridges: {vmbr0: {interfaces: [bond0], vlan-filtering: true, stp: false, ports: {bond0: {tagged: [20, 500]}, vmbr0: {tagged: [500]}}}}",
                   "vlans: {vmbr0.500: {link: vmbr0, subnet: lan}}"],
        addresses: "{vmbr0.500: 172.16.0.12}",
        found: &[],
    },
    Case {
        name: "a VLAN of a bridge whose own side is not in it",
        profile: &[BOND, "bridges: {vmbr0: {interfaces: [bond0], vlan-filtering: true, stp: false, ports: {bond0: {tagged: [500]}}}}",
                   "vlans: {vmbr0.500: {link: vmbr0, subnet: lan}}"],
        addresses: "{vmbr0.500: 172.16.0.12}",
        found: &[("N167", W, "profiles.p.bridges.vmbr0.ports")],
    },
    // Addresses that many hosts have.
    Case {
        name: "an anycast address with its subnet's prefix",
        profile: &["nics: {eth0: {subnet: boot}}", "dummies: {any0: {addresses: [{address: 10.77.0.53/24, role: anycast}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N174", E, "profiles.p.dummies.any0.addresses")],
    },
    Case {
        name: "an IPv6 anycast address with its subnet's prefix",
        profile: &["nics: {eth0: {subnet: boot}}", "dummies: {any0: {addresses: [{address: \"2001:db8:5::53/64\", role: anycast}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N174", E, "profiles.p.dummies.any0.addresses")],
    },
    Case {
        name: "an anycast address of its own",
        profile: &["nics: {eth0: {subnet: boot}}", "dummies: {any0: {addresses: [{address: 10.77.0.53/32, role: anycast}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[],
    },
    Case {
        name: "an address behind a load balancer, announced",
        profile: &["nics: {eth0: {subnet: boot}}", "dummies: {d0: {addresses: [{address: 10.77.0.200/32, role: dsr}]}}",
                   "bgp: {asn: 4200000001, router-id: eth0, neighbors: [{address: 10.77.0.1}], announce: [d0]}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N204", E, "profiles.p.bgp.announce")],
    },
    Case {
        name: "an address behind a load balancer beside one that is announced",
        profile: &["nics: {eth0: {subnet: boot}}", "loopbacks: {lo: {subnet: own, addresses: [{address: 10.77.0.200/32, role: dsr}]}}",
                   "bgp: {asn: 4200000001, neighbors: [{address: 10.77.0.1}], announce: [lo]}"],
        addresses: "{eth0: 10.77.0.12, lo: 192.168.10.10}",
        found: &[],
    },
    // ARP monitoring.
    Case {
        name: "an ARP target that is nowhere",
        profile: &["bonds: {bond0: {nics: [eth0, eth1], mode: active-backup, arp-interval: 100ms, arp-ip-targets: [192.0.2.77], subnet: boot}}"],
        addresses: "{bond0: 10.77.0.12}",
        found: &[("N125", E, "profiles.p.bonds.bond0.arp-ip-targets")],
    },
    Case {
        name: "an ARP target that is the host itself",
        profile: &["bonds: {bond0: {nics: [eth0, eth1], mode: active-backup, arp-interval: 100ms, arp-ip-targets: [10.77.0.12], subnet: boot}}"],
        addresses: "{bond0: 10.77.0.12}",
        found: &[("N125", E, "hosts.n1.addresses.bond0")],
    },
    Case {
        name: "an ARP target on a VLAN of the bond",
        profile: &["bonds: {bond0: {nics: [eth0, eth1], mode: active-backup, arp-interval: 100ms, arp-ip-targets: [172.16.0.254]}}",
                   "vlans: {v: {link: bond0, subnet: lan}}"],
        addresses: "{v: 172.16.0.12}",
        found: &[],
    },
    // Ways out.
    Case {
        name: "a gateway that is link-local",
        profile: &[BOND, "vlans: {v: {link: bond0, subnet: lan, subnet6: lan6}}"],
        addresses: "{v: 172.16.0.12, v/lan6: \"2001:db8:5::12\"}",
        found: &[],
    },
    Case {
        name: "a gateway that is link-local, on a link without such an address",
        profile: &[BOND, "vlans: {v: {link: bond0, subnet: lan, subnet6: lan6, link-local: []}}"],
        addresses: "{v: 172.16.0.12, v/lan6: \"2001:db8:5::12\"}",
        found: &[("N150", E, "profiles.p.vlans.v.link-local")],
    },
    Case {
        name: "a second default route, written 0.0.0.0/0",
        profile: &["nics: {eth0: {subnet: boot, routes: [{to: 0.0.0.0/0, via: 10.77.0.9}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N151", E, "profiles.p.nics.eth0.default-route")],
    },
    Case {
        name: "a second default route, written ::/0",
        profile: &[BOND, "vlans: {v: {link: bond0, subnet: lan, subnet6: lan6, routes: [{to: \"::/0\", via: \"fe80::9\"}]}}"],
        addresses: "{v: 172.16.0.12, v/lan6: \"2001:db8:5::12\"}",
        found: &[("N151", E, "profiles.p.vlans.v.default-route")],
    },
    Case {
        name: "a default route by 0.0.0.0/0 alone",
        profile: &["nics: {eth0: {subnet: boot, default-route: false, routes: [{to: 0.0.0.0/0, via: 10.77.0.9}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[],
    },
    Case {
        name: "a default route into a black hole",
        profile: &["nics: {eth0: {subnet: boot, default-route: false, routes: [{to: 0.0.0.0/0, type: blackhole}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N152", W, "profiles.p")],
    },
    Case {
        name: "two links with DHCP",
        profile: &["nics: {eth0: {dhcp4: true}, eth1: {dhcp4: true}}"],
        addresses: "{}",
        found: &[("N151", W, "profiles.p.nics.eth1.dhcp4-overrides")],
    },
    Case {
        name: "two links with router advertisements",
        profile: &["nics: {eth0: {accept-ra: true}, eth1: {accept-ra: true}}"],
        addresses: "{}",
        found: &[("N151", W, "profiles.p.nics.eth1.ra-overrides")],
    },
    Case {
        name: "the host as its own gateway",
        profile: &["nics: {eth0: {subnet: boot, routes: [{to: 10.5.0.0/16, via: 10.77.0.12}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N150", E, "hosts.n1.addresses.eth0")],
    },
    Case {
        name: "two routes to one place",
        profile: &["nics: {eth0: {subnet: boot, routes: [{to: 10.5.0.0/16, via: 10.77.0.8}, {to: 10.5.0.0/16, via: 10.77.0.9}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N158", E, "profiles.p.nics.eth0.routes")],
    },
    Case {
        name: "a gateway to the host's own subnet",
        profile: &["nics: {eth0: {subnet: boot, routes: [{to: 10.77.0.0/24, via: 10.77.0.9}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N158", E, "profiles.p.nics.eth0.routes")],
    },
    Case {
        name: "a BGP host that learns its routes",
        profile: &["match: name", "nics: {eth0: {mtu: 9000}, eth1: {mtu: 9000}}", "loopbacks: {lo: {subnet: own}}",
                   "bgp: {asn: 4200003073, neighbors: [{link: eth0}, {link: eth1}], announce: [lo]}"],
        addresses: "{lo: 192.168.10.10}",
        found: &[("N152", W, "profiles.p")],
    },
    // VLANs.
    Case {
        name: "a VLAN with a tag and without",
        profile: &["bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, subnet: boot}}", "vlans: {v10: {link: bond0, id: 10}}"],
        addresses: "{bond0: 10.77.0.12}",
        found: &[("N111", E, "profiles.p.vlans.v10.id")],
    },
    Case {
        name: "a VLAN in the same VLAN",
        profile: &["nics: {eth0: {subnet: boot}}", "vlans: {a: {link: eth1, id: 600}, b: {link: a, subnet: storage}}"],
        addresses: "{eth0: 10.77.0.12, b: 10.88.0.12}",
        found: &[("N111", E, "profiles.p.vlans.b.id")],
    },
    // Bridges without a carrier, and below their ports.
    Case {
        name: "a bridge for guests without a port",
        profile: &[BOND, "vlans: {v: {link: bond0, subnet: lan}}", "bridges: {br1: {interfaces: [], subnet: guests}}"],
        addresses: "{v: 172.16.0.12, br1: 10.66.0.1}",
        found: &[],
    },
    Case {
        name: "a bridge of MTU 1500 over a NIC of 9000",
        profile: &["vlans: {stor0: {link: eth0, subnet: storage}}", "bridges: {br0: {interfaces: [eth0], subnet: boot}}"],
        addresses: "{stor0: 10.88.0.12, br0: 10.77.0.12}",
        found: &[],
    },
    // NICs that networkd leaves alone or down.
    Case {
        name: "an unmanaged member",
        profile: &["bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, subnet: boot}}", "nics: {eth0: {unmanaged: true}}"],
        addresses: "{bond0: 10.77.0.12}",
        found: &[("N120", E, "profiles.p.nics.eth0.unmanaged")],
    },
    Case {
        name: "a member that is never brought up",
        profile: &["bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, subnet: boot}}", "nics: {eth0: {activation-mode: \"off\"}}"],
        addresses: "{bond0: 10.77.0.12}",
        found: &[("N120", E, "profiles.p.nics.eth0.activation-mode")],
    },
    Case {
        name: "an unmanaged port",
        profile: &["bridges: {br0: {interfaces: [eth0], subnet: boot}}", "nics: {eth0: {unmanaged: true}}"],
        addresses: "{br0: 10.77.0.12}",
        found: &[("N120", E, "profiles.p.nics.eth0.unmanaged")],
    },
    // What no kernel does.
    Case {
        name: "router advertisements without a link-local address",
        profile: &["nics: {eth0: {subnet: boot, accept-ra: true, link-local: []}}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N161", W, "profiles.p.nics.eth0.accept-ra")],
    },
    Case {
        name: "large receive offload below a bridge",
        profile: &["nics: {eth0: {offload: {lro: true}}}", "bridges: {br0: {interfaces: [eth0], subnet: boot}}"],
        addresses: "{br0: 10.77.0.12}",
        found: &[("N161", W, "profiles.p.nics.eth0.offload")],
    },
    Case {
        name: "a MAC of a group",
        profile: &["bridges: {br0: {interfaces: [eth0], subnet: boot, macaddress: \"01:00:5e:00:00:01\"}}"],
        addresses: "{br0: 10.77.0.12}",
        found: &[("N104", E, "profiles.p.bridges.br0.macaddress")],
    },
    Case {
        name: "a setting that no kernel has",
        profile: &["nics: {eth0: {subnet: boot}}", "sysctls: {net.ipv4.tcp_tw_recycle: \"1\"}"],
        addresses: "{eth0: 10.77.0.12}",
        found: &[("N180", W, "profiles.p.sysctls")],
    },
];

fn site(case: &Case) -> ResolvedSite {
    let keys: String = case.profile.iter().map(|key| format!("    {key}\n")).collect();
    let text = format!(
        "{SITE}profiles:\n  p:\n{keys}{HOST}    addresses: {}\n    reservations: {{}}\n",
        case.addresses
    );
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", case.name))
}

#[test]
fn networks_from_the_field_give_the_findings_that_they_deserve_and_no_others() {
    let mut wrong = Vec::new();
    for case in CASES {
        let site = site(case);
        // That firmware boots elsewhere than the network runs is a matter of the switches.
        let mut found: Vec<_> =
            check_site(&site).into_iter().filter(|finding| finding.rule != "N172").collect();
        found.sort_by_key(|finding| (finding.rule, finding.severity, finding.path()));
        let seen: Vec<_> = found.iter().map(|one| (one.rule, one.severity, one.path())).collect();
        let mut expected: Vec<_> = case
            .found
            .iter()
            .map(|(rule, severity, at)| (*rule, *severity, (*at).to_owned()))
            .collect();
        expected.sort();
        if seen != expected {
            let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
            wrong.push(format!("{}: expected {expected:?}, found {texts:#?}", case.name));
        }
        // What is found of the site with an error refuses the host as well.
        let refused = check_host(&site, "n1").iter().any(|one| one.severity == Severity::Error);
        let has_error = case.found.iter().any(|(_, severity, _)| *severity == Severity::Error);
        if refused != has_error {
            wrong.push(format!("{}: the host is refused: {refused}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A member whose switch carries both cables is lost with it.
#[test]
fn both_members_on_one_switch_of_a_pair_are_a_warning() {
    let text = format!(
        "{SITE}profiles:\n  p:\n    {BOND}\n    vlans: {{v: {{link: bond0, subnet: lan}}}}\n{HOST}    addresses: {{v: 172.16.0.12}}\n"
    );
    let apart: ResolvedSite = serde_saphyr::from_str(&text).unwrap();
    let together = text.replace("switch: leaf2, port: Ethernet1", "switch: leaf1, port: Ethernet2");
    let together: ResolvedSite = serde_saphyr::from_str(&together).unwrap();
    let rules = |site: &ResolvedSite| {
        let found = check_site(site).into_iter().filter(|one| one.rule == "N127");
        found.map(|one| (one.severity, one.path())).collect::<Vec<_>>()
    };
    assert_eq!(rules(&apart), []);
    assert_eq!(rules(&together), [(W, "hosts.n1.nics.eth1".to_owned())]);
}
