//! What each format can say, found out by asking the renderers: a small profile for every kind of
//! link and every feature, rendered for each of them. Pure.

use std::sync::LazyLock;

use super::{Format, RenderError, left_out, render_host};
use crate::profile::ResolvedSite;
use crate::tree;

/// The versions of systemd that differ in what they can be told.
const VERSIONS: [u16; 5] = [247, 249, 252, 255, 257];

/// A column of the table: a format, and which systemd reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The format.
    pub format: Format,
    /// The version of systemd, of networkd's own files.
    pub systemd: Option<u16>,
}

impl Reader {
    /// Every reader that is told the whole of a host's network.
    pub fn all() -> Vec<Self> {
        let of_version = |version| Self { format: Format::Networkd, systemd: Some(version) };
        let is_part = |format: &&Format| matches!(format, Format::Frr | Format::Sysctl);
        // Ignition carries networkd's own files.
        let is_networkd = |format: &&Format| matches!(format, Format::Networkd | Format::Ignition);
        let others = Format::ALL.iter().filter(|format| !is_part(format) && !is_networkd(format));
        let others = others.map(|format| Self { format: *format, systemd: None });
        VERSIONS.into_iter().map(of_version).chain(others).collect()
    }

    /// Its name, such as `networkd 252`.
    pub fn label(&self) -> String {
        match self.systemd {
            Some(version) => format!("{} {version}", self.format),
            None => self.format.to_string(),
        }
    }
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ability {
    /// What is to be said.
    pub feature: &'static str,
    /// For each of [`Reader::all`] why it cannot be told; none where it can.
    pub refusals: Vec<Option<String>>,
    /// For each of them what is left out of it; none where all is told, or nothing.
    pub left_out: Vec<Option<String>>,
}

/// What a reader makes of a feature.
struct Told {
    refusal: Option<String>,
    left_out: Option<String>,
}

/// Features, each as a part of a profile. `lan` and `lan2` are subnets of IPv4, `lan6` one of IPv6, `tls` one
/// whose resolvers are asked over TLS, `signed` and `port` one with DNSSEC and a port of theirs; `eth0` to `eth2` are NICs.
const FEATURES: &[(&str, &str)] = &[
    ("NIC", "nics: {eth0: {subnet: lan, host-number: 12}}"),
    (
        "bond",
        "bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, lacp-rate: fast, subnet: lan, host-number: 12}}",
    ),
    ("VLAN", "vlans: {vlan500: {link: eth0, subnet: lan, host-number: 12}}"),
    ("bridge", "bridges: {br0: {interfaces: [eth0], subnet: lan, host-number: 12}}"),
    (
        "VXLAN",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, vxlans: {vx0: {vni: 7, link: eth0, remote: 10.0.0.9, mtu: 1400}}}",
    ),
    (
        "VRF",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, vrfs: {blue: {table: 1000, interfaces: [eth0]}}}",
    ),
    (
        "dummy",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, dummies: {d0: {addresses: [{address: 192.0.2.1/32, role: anycast}]}}}",
    ),
    (
        "loopback",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, loopbacks: {lo: {addresses: [{address: 192.0.2.1/32, role: anycast}]}}}",
    ),
    ("veth", "{nics: {eth0: {subnet: lan, host-number: 12}}, veths: {v0: {peer: v1}}}"),
    ("MACVLAN", "macvlans: {m0: {link: eth0, subnet: lan, host-number: 12}}"),
    ("IPVLAN", "ipvlans: {i0: {link: eth0, subnet: lan, host-number: 12}}"),
    (
        "partition",
        "{nics: {eth0: {subnet: lan, host-number: 12}, ib0: {}}, partitions: {p0: {link: ib0, pkey: \"0x8001\", subnet: lan2, host-number: 12}}}",
    ),
    (
        "tunnel",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, tunnels: {t0: {mode: gre, link: eth0, remote: 10.0.0.9}}}",
    ),
    (
        "WireGuard",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, wireguards: {wg0: {listen-port: 51820, peers: [{public-key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\", endpoint: \"192.0.2.1:51820\", allowed-ips: [10.5.0.0/24]}]}}}",
    ),
    (
        "MACsec",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, macsecs: {sec0: {link: eth0, subnet: lan2, host-number: 12, peers: [{macaddress: \"02:00:00:00:00:09\", key: {secret: theirs}}]}}}",
    ),
    (
        "IPIP and SIT",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, tunnels: {t0: {mode: ipip, link: eth0, remote: 10.0.0.9}, t1: {mode: sit, link: eth0, remote: 10.0.0.9}}}",
    ),
    (
        "Geneve",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, tunnels: {t0: {mode: geneve, id: 7, link: eth0, remote: 10.0.0.9}}}",
    ),
    ("DHCP", "nics: {eth0: {dhcp4: true}}"),
    ("router advertisements", "nics: {eth0: {accept-ra: true}}"),
    (
        "IPv4 and IPv6",
        "nics: {eth0: {subnet: lan, host-number: 12, subnet6: lan6, host-number6: 12}}",
    ),
    (
        "routes",
        "nics: {eth0: {subnet: lan, host-number: 12, routes: [{to: 10.9.0.0/16, via: 10.0.0.9, metric: 50}]}}",
    ),
    (
        "on-link router",
        "nics: {eth0: {subnet: lan, host-number: 12, routes: [{to: 10.9.0.0/16, via: 10.8.0.9, on-link: true}]}}",
    ),
    (
        "multipath",
        "nics: {eth0: {subnet: lan, host-number: 12, routes: [{to: 10.9.0.0/16, next-hops: [{via: 10.0.0.8}, {via: 10.0.0.9}]}]}}",
    ),
    (
        "multipath over several NICs",
        "{nics: {eth0: {subnet: lan, host-number: 12, set-name: lan0}, eth1: {subnet: lan2, host-number: 12, set-name: lan1}}, \
          loopbacks: {lo: {routes: [{to: 10.9.0.0/16, next-hops: [{via: 10.0.0.8, link: eth0}, {via: 10.1.0.8, link: eth1}]}]}}}",
    ),
    (
        "own table and mark",
        "nics: {eth0: {subnet: lan, host-number: 12, table: 100, mark: 1, default-route: true}}",
    ),
    (
        "source NAT by processor",
        "nics: {eth0: {subnet: lan, host-number: 12, table: 100, mark: 1, cpus: 0-3, default-route: true}}",
    ),
    (
        "source NAT by user and slice",
        "nics: {eth0: {subnet: lan, host-number: 12, table: 100, mark: 1, users: [1000-1999], slices: [gpu.slice], default-route: true}}",
    ),
    (
        "network namespace",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, macvlans: {m0: {link: eth0, subnet: lan2, host-number: 12, namespace: blue}}}",
    ),
    ("metric of a subnet", "nics: {eth0: {subnet: lan, host-number: 12, metric: 100}}"),
    (
        "lossless Ethernet",
        "nics: {eth0: {subnet: lan, host-number: 12, roce: {priorities: [3], dscp: 26, ecn: true}}}",
    ),
    (
        "processors of interrupts",
        "nics: {eth0: {subnet: lan, host-number: 12, affinity: {irqs: local, rps: 0-3, xps: local}}}",
    ),
    ("coalescing", "nics: {eth0: {subnet: lan, host-number: 12, coalesce: {rx-usecs: 20}}}"),
    ("queueing discipline", "nics: {eth0: {subnet: lan, host-number: 12, qdisc: fq}}"),
    (
        "multicast MACs",
        "nics: {eth0: {subnet: lan, host-number: 12, multicast-macs: [\"01:00:5e:00:00:05\"]}}",
    ),
    (
        "802.1X",
        "nics: {eth0: {subnet: lan, host-number: 12, auth: {method: peap, identity: n1, password: {secret: own}, ca-certificate: /etc/ssl/ca.pem}}}",
    ),
    (
        "NCCL",
        "{nics: {eth0: {subnet: lan, host-number: 12, rail: 0, rdma-device: mlx5_0, set-name: rail0}}, nccl: {socket: eth0}}",
    ),
    (
        "bridge of Open vSwitch",
        "bridges: {br0: {interfaces: [eth0], openvswitch: true, subnet: lan, host-number: 12}}",
    ),
    (
        "bond of Open vSwitch",
        "{bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, openvswitch: true}}, bridges: {br0: {interfaces: [bond0], openvswitch: true, subnet: lan, host-number: 12}}}",
    ),
    (
        "driver of a program",
        "nics: {eth0: {subnet: lan, host-number: 12}, eth1: {path: pci-0000:41:00.0, driver-override: vfio-pci}}",
    ),
    (
        "state for being online",
        "nics: {eth0: {subnet: lan, host-number: 12, online-state: degraded}}",
    ),
    (
        "families for being online",
        "nics: {eth0: {subnet: lan, host-number: 12, online-family: ipv4}}",
    ),
    ("description", "nics: {eth0: {subnet: lan, host-number: 12, description: to the spine}}"),
    ("group of links", "nics: {eth0: {subnet: lan, host-number: 12, group: 7}}"),
    ("DNSSEC", "nics: {eth0: {subnet: signed, host-number: 12}}"),
    ("resolver's port", "nics: {eth0: {subnet: port, host-number: 12}}"),
    ("smaller TCP segments", "nics: {eth0: {subnet: lan, host-number: 12, advertised-mss: 1360}}"),
    ("DNS over TLS", "nics: {eth0: {subnet: tls, host-number: 12}}"),
    ("domains of a link", "nics: {eth0: {subnet: lan, host-number: 12, domains: [example.net]}}"),
    (
        "BGP",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, bgp: {asn: 65001, neighbors: [{address: 10.0.0.1, remote-as: 65000}]}}",
    ),
    (
        "kernel settings",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, sysctls: {net.core.rmem_max: \"8388608\"}}",
    ),
    (
        "ARP monitor",
        "bonds: {bond0: {nics: [eth0, eth1], mode: active-backup, arp-interval: 200ms, arp-ip-targets: [10.0.0.1], subnet: lan, host-number: 12}}",
    ),
    (
        "provider VLAN",
        "vlans: {v: {link: eth0, protocol: 802.1ad, id: 7, subnet: lan, host-number: 12}}",
    ),
    (
        "VLAN priorities",
        "vlans: {v: {link: eth0, id: 7, egress-qos: {0: 3}, subnet: lan, host-number: 12}}",
    ),
    (
        "spanning tree",
        "bridges: {br0: {interfaces: [eth0], stp: true, forward-delay: 4s, subnet: lan, host-number: 12}}",
    ),
    (
        "bridge that filters VLANs",
        "bridges: {br0: {interfaces: [eth0], vlan-filtering: true, ports: {eth0: {pvid: 5, untagged: [5]}}, subnet: lan, host-number: 12}}",
    ),
    ("NIC without address", "nics: {eth0: {subnet: lan, host-number: 12}, eth1: {}}"),
    (
        "NIC of another program",
        "nics: {eth0: {subnet: lan, host-number: 12}, eth1: {unmanaged: true}}",
    ),
    ("NIC's name", "nics: {eth0: {subnet: lan, host-number: 12, set-name: lan0}}"),
    ("Wake-on-LAN", "nics: {eth0: {subnet: lan, host-number: 12, wake-on-lan: [magic]}}"),
    ("offloads", "nics: {eth0: {subnet: lan, host-number: 12, offload: {tso: true, lro: true}}}"),
    ("SR-IOV", "nics: {eth0: {subnet: lan, host-number: 12, sriov: {count: 2}}}"),
    ("LLDP", "nics: {eth0: {subnet: lan, host-number: 12, emit-lldp: true}}"),
    (
        "second address",
        "nics: {eth0: {subnet: lan, host-number: 12, addresses: [{address: 10.8.0.9/24, role: secondary}]}}",
    ),
    ("probed addresses", "nics: {eth0: {subnet: lan, host-number: 12, duplicate-detection: true}}"),
    (
        "NIC that is left down",
        "nics: {eth0: {subnet: lan, host-number: 12}, eth1: {activation-mode: manual}}",
    ),
    (
        "multicast on a bridge",
        "bridges: {br0: {interfaces: [eth0], multicast-snooping: true, multicast-querier: true, multicast-igmp-version: 3, subnet: lan, host-number: 12}}",
    ),
    (
        "isolated ports",
        "bridges: {br0: {interfaces: [eth0], ports: {eth0: {isolated: true}}, subnet: lan, host-number: 12}}",
    ),
    (
        "ports that learn no MACs",
        "bridges: {br0: {interfaces: [eth0], ports: {eth0: {learning: false, neighbor-suppression: true}}, subnet: lan, host-number: 12}}",
    ),
    ("routing domains", "nics: {eth0: {subnet: lan, host-number: 12, domains: [~corp.example]}}"),
    (
        "congestion window",
        "nics: {eth0: {subnet: lan, host-number: 12, routes: [{to: 10.9.0.0/16, via: 10.0.0.9, congestion-window: 20}]}}",
    ),
    (
        "LACP parameters",
        "bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, ad-user-port-key: 7, ad-actor-system: \"02:00:00:00:00:01\", \
          ad-actor-system-priority: 100, subnet: lan, host-number: 12}}",
    ),
    (
        "rule by interface",
        "nics: {eth0: {subnet: lan, host-number: 12, routing-policy: [{incoming-interface: eth0, table: 254, priority: 9, invert: true}]}}",
    ),
    (
        "what routers and DHCP say",
        "nics: {eth0: {accept-ra: true, ra-overrides: {use-dns: false}}}",
    ),
    ("the other end's address", "nics: {eth0: {subnet: lan, host-number: 12, peer-number: 1}}"),
    ("scope of an address", "nics: {eth0: {subnet: lan, host-number: 12, address-scope: link}}"),
    (
        "the kernel's own choice of a MAC",
        "bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, macaddress: none, subnet: lan, host-number: 12}}",
    ),
    (
        "networkd's own choice of a MAC",
        "bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, macaddress: persistent, subnet: lan, host-number: 12}}",
    ),
    (
        "two IPv4 subnets on a link",
        "nics: {eth0: {subnet: lan, host-number: 12, more-subnets: [{subnet: lan2, host-number: 12}]}}",
    ),
    ("SLAAC token", "nics: {eth0: {accept-ra: true, ipv6-token: \"::53\"}}"),
    (
        "stable SLAAC addresses",
        "nics: {eth0: {accept-ra: true, ipv6-token: stable, ipv6-address-generation: stable-privacy}}",
    ),
    ("SLAAC addresses that change", "nics: {eth0: {accept-ra: true, ipv6-privacy: true}}"),
    (
        "link-local address by RFC 7217",
        "nics: {eth0: {accept-ra: true, ipv6-address-generation: stable-privacy}}",
    ),
    (
        "router and resolvers by RA, address written",
        "nics: {eth0: {subnet6: lan6, host-number6: 12, accept-ra: true, ra-overrides: {use-addresses: false}}}",
    ),
    ("MTU of DHCP", "nics: {eth0: {dhcp4: true, dhcp4-overrides: {use-mtu: true}}}"),
    ("host name to DHCP", "nics: {eth0: {dhcp4: true, dhcp4-overrides: {send-hostname: false}}}"),
    ("DHCPv4 by DUID", "nics: {eth0: {dhcp4: true, dhcp-identifier: duid}}"),
    ("kind of DUID", "nics: {eth0: {accept-ra: true, dhcp6: true, duid: uuid}}"),
    ("vendor class", "nics: {eth0: {dhcp4: true, vendor-class: rack}}"),
    (
        "rule by port",
        "nics: {eth0: {subnet: lan, host-number: 12, routing-policy: [{protocol: tcp, destination-port: 80-90, tos: 16, table: 254, priority: 9}]}}",
    ),
    (
        "rule by user",
        "nics: {eth0: {subnet: lan, host-number: 12, routing-policy: [{users: 1000-1999, table: 254, priority: 9}]}}",
    ),
    (
        "rule that forbids",
        "nics: {eth0: {subnet: lan, host-number: 12, routing-policy: [{from: 10.9.0.0/16, type: prohibit, priority: 9}]}}",
    ),
    (
        "neighbours whose MACs are written",
        "nics: {eth0: {subnet: lan, host-number: 12, neighbors: [{address: 10.0.0.9, macaddress: \"02:00:00:00:00:09\"}]}}",
    ),
    (
        "MACs of a VXLAN that are written",
        "{nics: {eth0: {subnet: lan, host-number: 12}}, vxlans: {vx0: {vni: 7, link: eth0, mtu: 1400, forwarding: [{macaddress: \"02:00:00:00:00:09\", destination: 10.0.0.9}]}}}",
    ),
    ("kept addresses", "nics: {eth0: {subnet: lan, host-number: 12, critical: true}}"),
];

/// The rest of a site that has one of the features.
const AROUND: &str = r#"
subnets:
  lan: {cidr: 10.0.0.0/24, vlan: 500, gateway: 10.0.0.1, dns: [10.0.0.1]}
  signed: {cidr: 10.0.0.0/24, gateway: 10.0.0.1, dns: [10.0.0.1], dnssec: allow-downgrade}
  port: {cidr: 10.0.0.0/24, gateway: 10.0.0.1, dns: ["10.0.0.1:5353"]}
  lan2: {cidr: 10.1.0.0/24}
  lan6: {cidr: "fd00::/64", gateway: "fd00::1"}
  tls: {cidr: 10.0.0.0/24, gateway: 10.0.0.1, dns: ["10.0.0.1#dns.example.net"], dns-over-tls: true}
hosts:
  n: {profile: p, nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02", eth2: "52:54:00:aa:00:03", ib0: "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0c"}}
"#;

/// A site with one host, whose profile has nothing but the feature.
fn sample(part: &str, systemd: Option<u16>, match_by: &str) -> Option<ResolvedSite> {
    static SITE: LazyLock<Option<ResolvedSite>> =
        LazyLock::new(|| tree::parse(AROUND).and_then(|root| tree::read(&root)).ok());
    let mut site = SITE.clone()?;
    let whole = format!("{{match: {match_by}, systemd: {}}}", systemd.unwrap_or(257));
    let read =
        |text: &str| tree::parse(text).and_then(|root| tree::read::<serde_json::Value>(&root)).ok();
    let mut profile = read(part)?;
    profile.as_object_mut()?.extend(read(&whole)?.as_object()?.clone());
    site.profiles.insert("p".into(), serde_json::from_value(profile).ok()?);
    Some(site)
}

/// What a reader cannot express of a feature. NICs may be found by MAC or by name: some readers know
/// but one of the two.
fn told(part: &str, reader: Reader) -> Told {
    let mut refused = None;
    for match_by in ["permanent-mac", "name"] {
        let site = sample(part, reader.systemd, match_by).unwrap_or_default();
        let error = match render_host(&site, "n", reader.format) {
            Ok(_) => {
                let features = left_out(&site, "n", reader.format);
                let left_out = (!features.is_empty()).then(|| features.join(", "));
                return Told { refusal: None, left_out };
            }
            Err(RenderError::Unsupported { features, .. }) => features.join(", "),
            Err(RenderError::Refused { findings, .. }) => {
                findings.iter().map(|finding| finding.text.clone()).collect::<Vec<_>>().join("; ")
            }
            Err(other) => other.to_string(),
        };
        refused = Some(error);
    }
    Told { refusal: refused, left_out: None }
}

/// What every reader can be told, feature by feature. The same for every site, so found out once.
pub fn abilities() -> &'static [Ability] {
    static ABILITIES: LazyLock<Vec<Ability>> = LazyLock::new(|| {
        let readers = Reader::all();
        let row = |(feature, part): &(&'static str, &str)| {
            let told = readers.iter().map(|reader| told(part, *reader));
            let (refusals, left_out) = told.map(|told| (told.refusal, told.left_out)).unzip();
            Ability { feature, refusals, left_out }
        };
        FEATURES.iter().map(row).collect()
    });
    &ABILITIES
}

#[cfg(test)]
mod tests;
