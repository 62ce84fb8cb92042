//! Every key of the model against every format: what a key changes is written, or the format
//! refuses it by name. A key that is lost without a word fails here, and so does a new key that
//! has no sample.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{Site, sections};
use crate::network::links::HostNetwork;
use crate::network::{Format, check_host, layout, written};
use crate::profile::ResolvedSite;
use crate::site_file::set_values;
use crate::tree;

const FORMATS: [Format; 12] = [
    Format::Networkd,
    Format::Netplan,
    Format::CloudInit,
    Format::CloudInitV1,
    Format::Ignition,
    Format::NetworkManager,
    Format::Nmstate,
    Format::Ifupdown2,
    Format::NetworkData,
    Format::Talos,
    Format::NixOs,
    Format::Dracut,
];

const SITE: &str = r#"
subnets:
  h: {cidr: 10.2.0.0/24, gateway: 10.2.0.1, dns: [10.2.0.53]}
  h6: {cidr: "fd00:2::/64", gateway: "fd00:2::1"}
  h6x: {cidr: "fd00:3::/64", gateway: "fd00:3::1"}
  other: {cidr: 10.3.0.0/24, gateway: 10.3.0.1}
  third: {cidr: 10.4.0.0/24, gateway: 10.4.0.1}
  plain: {cidr: 10.0.0.0/24}
  plain2: {cidr: 10.1.0.0/24}
hosts:
  n: {profile: p, nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02", eth2: "52:54:00:aa:00:03", ib0: "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0c", ib1: "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0d"}}
"#;

const ON_NIC: &str = "nics: {eth0: {subnet: plain, host-number: 12}}";

/// For each kind of link: the profile's key, the link, and a profile with one such link.
fn kinds() -> Vec<(&'static str, &'static str, String)> {
    let beside = |more: &str| format!("{{{ON_NIC}, {more}}}");
    vec![
        ("nics", "eth0", "nics: {eth0: {subnet: h, host-number: 12}}".into()),
        ("bonds", "bond0", "bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, subnet: h, host-number: 12}}".into()),
        ("vlans", "vlan500", "vlans: {vlan500: {link: eth0, id: 500, subnet: h, host-number: 12}}".into()),
        ("bridges", "br0", "bridges: {br0: {interfaces: [eth0], subnet: h, host-number: 12}}".into()),
        ("vxlans", "vx0", beside("vxlans: {vx0: {vni: 7, link: eth0, remote: 10.0.0.9, subnet: h, host-number: 12}}")),
        ("tunnels", "gre0x", beside("tunnels: {gre0x: {mode: gre, link: eth0, remote: 10.0.0.9, subnet: h, host-number: 12}}")),
        ("wireguards", "wg0", beside("wireguards: {wg0: {listen-port: 51820, peers: [{public-key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\", endpoint: \"192.0.2.1:51820\", allowed-ips: [10.5.0.0/24]}], subnet: h, host-number: 12}}")),
        ("macsecs", "sec0", beside("macsecs: {sec0: {link: eth0, peers: [{macaddress: \"02:00:00:00:00:09\", key: {secret: theirs}}], subnet: h, host-number: 12}}")),
        ("vrfs", "blue", "{nics: {eth0: {subnet: h, host-number: 12}}, vrfs: {blue: {table: 1000, interfaces: [eth0]}}}".into()),
        ("dummies", "d0", beside("dummies: {d0: {subnet: h, host-number: 12}}")),
        ("veths", "v0", beside("veths: {v0: {peer: v1, subnet: h, host-number: 12}}")),
        ("macvlans", "m0", "macvlans: {m0: {link: eth0, subnet: h, host-number: 12}}".into()),
        ("ipvlans", "i0", "ipvlans: {i0: {link: eth0, subnet: h, host-number: 12}}".into()),
        ("partitions", "p0", "{nics: {ib0: {}, ib1: {}}, partitions: {p0: {link: ib0, pkey: \"0x8001\", subnet: h, host-number: 12}}}".into()),
        ("loopbacks", "lo", beside("loopbacks: {lo: {subnet: h, host-number: 12}}")),
    ]
}

/// Keys of every link: the key, a value, and what must be set before.
#[rustfmt::skip] // a table: a key a line
const SHARED: &[(&str, &str, &str)] = &[
    ("subnet", "other", ""),
    ("mtu", "1400", ""),
    ("subnet6", "h6", "subnet6=h6x host-number6=12"),
    ("host-number", "13", ""),
    ("host-number6", "13", "subnet6=h6 host-number6=12"),
    ("peer-number", "1", ""),
    ("peer-number6", "1", "subnet6=h6 host-number6=12"),
    ("more-subnets", "[{subnet: other, host-number: 12}]", ""),
    ("ipv6-token", "\"::53\"", "accept-ra=true"),
    ("ipv6-token", "stable", "accept-ra=true"),
    ("ipv6-privacy", "true", "accept-ra=true"),
    ("ipv6-privacy", "prefer-public", "accept-ra=true"),
    ("ipv6-address-generation", "stable-privacy", "accept-ra=true"),
    ("ipv6-address-generation", "random", "accept-ra=true"),
    ("ipv6-address-generation", "eui64", "accept-ra=true ipv6-address-generation=stable-privacy ipv6-token=stable"),
    ("dhcp-identifier", "duid", "dhcp4=true"),
    ("duid", "uuid", "dhcp6=true accept-ra=true"),
    ("duid", "link-layer", "dhcp4=true dhcp-identifier=duid"),
    ("vendor-class", "rack", "dhcp4=true"),
    ("vendor-class", "rack", "dhcp6=true accept-ra=true"),
    ("address-scope", "link", ""),
    ("dhcp4", "true", ""),
    ("dhcp6", "true", ""),
    ("link-local", "[ipv4]", ""),
    ("accept-ra", "true", ""),
    ("default-route", "false", ""),
    ("table", "100", ""),
    ("mark", "1", "table=100"),
    ("cpus", "0-3", "table=100 mark=1"),
    ("users", "[1000-1999]", "table=100 mark=1"),
    ("slices", "[gpu0.slice]", "table=100 mark=1"),
    ("namespace", "blue", ""),
    ("metric", "100", ""),
    ("multicast-macs", "[\"01:00:5e:00:00:05\"]", ""),
    ("qdisc", "fq", ""),
    ("addresses", "[{address: 10.8.0.9/32, role: secondary}]", ""),
    ("routes", "[{to: 10.9.0.0/16, via: 10.2.0.9}]", ""),
    ("routing-policy", "[{from: 10.2.0.0/24, table: 254, priority: 9}]", ""),
    ("neighbors", "[{address: 10.2.0.9, macaddress: \"02:00:00:00:00:09\"}]", ""),
    ("forwarding", "[{macaddress: \"02:00:00:00:00:09\"}]", ""),
    ("macaddress", "02:00:00:00:00:77", ""),
    ("emit-lldp", "true", ""),
    ("lldp", "false", ""),
    ("advertised-mss", "1360", ""),
    ("domains", "[example.net]", ""),
    ("ignore-carrier", "true", ""),
    ("critical", "true", ""),
    ("optional", "true", ""),
    ("duplicate-detection", "true", ""),
    ("activation-mode", "manual", ""),
    ("online-state", "degraded", ""),
    ("online-family", "ipv4", ""),
    ("description", "to the spine", ""),
    ("group", "7", ""),
    ("dhcp4-overrides", "{use-dns: false}", "dhcp4=true"),
    ("dhcp6-overrides", "{use-dns: false}", "dhcp6=true accept-ra=true"),
    ("ra-overrides", "{use-dns: false}", "accept-ra=true"),
    ("extra", "{network: {Network: {KeepMaster: true}}}", ""),
];

const ARP: &str = "mode=active-backup arp-interval=100ms arp-ip-targets=[10.2.0.1]";

const PEAP: &str = "auth={method: peap, identity: n1, password: {secret: own}}";
const EAP_TLS: &str = "auth={method: tls, identity: n1, client-certificate: /etc/ssl/n1.pem, client-key: /etc/ssl/n1.key}";

/// Keys of one kind of link, or of a mapping within one: the section of the model, the key, a
/// value, and what must be set before. Paths are those within the link.
#[rustfmt::skip] // a table: a key a line
const OWN: &[(&str, &str, &str, &str)] = &[
    ("nics", "match-name", "en*", "^match=name"),
    ("nics", "set-name", "lan0", ""),
    ("nics", "path", "pci-0000:42:00.0", "^match=path path=pci-0000:41:00.0"),
    ("nics", "sriov", "{count: 2}", ""),
    ("nics", "wake-on-lan", "[magic]", ""),
    ("nics", "offload", "{tso: true}", ""),
    ("nics", "ring", "{rx: 512}", ""),
    ("nics", "channels", "{combined: 4}", ""),
    ("nics", "match-driver", "mlx5_core", "^match=name match-name=ens*"),
    ("nics", "coalesce", "{rx-usecs: 20}", ""),
    ("nics", "roce", "{priorities: [3]}", ""),
    ("nics", "affinity", "{irqs: local}", ""),
    ("nics", "auth", "{method: peap, identity: n1, password: {secret: own}}", ""),
    ("nics.auth", "method", "ttls", PEAP),
    ("nics.auth", "identity", "n2", PEAP),
    ("nics.auth", "anonymous-identity", "anonymous", PEAP),
    ("nics.auth", "password", "{secret: other}", PEAP),
    ("nics.auth.password", "secret", "other", PEAP),
    ("nics.auth", "phase2-auth", "pap", "auth={method: ttls, identity: n1, password: {secret: own}}"),
    ("nics.auth", "ca-certificate", "/etc/ssl/ca.pem", PEAP),
    ("nics.auth", "client-certificate", "/etc/ssl/other.pem", EAP_TLS),
    ("nics.auth", "client-key", "/etc/ssl/other.key", EAP_TLS),
    ("nics.auth", "sealed-client-key", "{secret: other}", "auth={method: tls, identity: n1, client-certificate: /etc/ssl/n1.pem, sealed-client-key: {secret: own}}"),
    ("nics.auth", "client-key-password", "{secret: other}", EAP_TLS),
    ("nics", "rdma-device", "mlx5_0", "rail=0 ^nccl={}"),
    ("nics.coalesce", "rx-usecs", "20", ""),
    ("nics.coalesce", "rx-frames", "20", ""),
    ("nics.coalesce", "tx-usecs", "20", ""),
    ("nics.coalesce", "tx-frames", "20", ""),
    ("nics.coalesce", "adaptive-rx", "true", ""),
    ("nics.coalesce", "adaptive-tx", "false", ""),
    ("nics.roce", "tool", "mlnx_qos", "roce={priorities: [3]}"),
    ("nics.roce", "trust", "pcp", "roce={priorities: [3]}"),
    ("nics.roce", "priorities", "[3, 4]", "roce={priorities: [3]}"),
    ("nics.roce", "dscp", "26", "roce={priorities: [3]}"),
    ("nics.roce", "ecn", "true", "roce={priorities: [3]}"),
    ("nics.affinity", "irqs", "0-3", "affinity={irqs: local}"),
    ("nics.affinity", "rps", "local", ""),
    ("nics.affinity", "xps", "4-7", ""),
    ("nics.sriov", "count", "3", "sriov={count: 2}"),
    ("nics.sriov", "eswitch", "switchdev", "sriov={count: 2}"),
    ("nics.sriov", "functions", "{0: {vlan: 5}}", "sriov={count: 2}"),
    ("nics.sriov.functions.0", "vlan", "5", "sriov={count: 2, functions: {0: {}}}"),
    ("nics.sriov.functions.0", "qos", "3", "sriov={count: 2, functions: {0: {vlan: 5}}}"),
    ("nics.sriov.functions.0", "macaddress", "02:00:00:00:00:78", "sriov={count: 2, functions: {0: {}}}"),
    ("nics.sriov.functions.0", "spoof-check", "false", "sriov={count: 2, functions: {0: {}}}"),
    ("nics.sriov.functions.0", "trust", "true", "sriov={count: 2, functions: {0: {}}}"),
    ("nics.sriov.functions.0", "link-state", "up", "sriov={count: 2, functions: {0: {}}}"),
    ("nics.offload", "rx-checksum", "false", ""),
    ("nics.offload", "tx-checksum", "false", ""),
    ("nics.offload", "tso", "false", ""),
    ("nics.offload", "tso6", "false", ""),
    ("nics.offload", "gso", "false", ""),
    ("nics.offload", "gro", "false", ""),
    ("nics.offload", "lro", "true", ""),
    ("nics.ring", "rx", "512", ""),
    ("nics.ring", "tx", "512", ""),
    ("nics.channels", "rx", "4", ""),
    ("nics.channels", "tx", "4", ""),
    ("nics.channels", "combined", "4", ""),
    ("nics.channels", "other", "4", ""),
    ("bonds", "nics", "[eth0, eth1, eth2]", ""),
    ("bonds", "mode", "active-backup", ""),
    ("bonds", "lacp-rate", "fast", ""),
    ("bonds", "transmit-hash-policy", "layer2+3", ""),
    ("bonds", "mii-monitor", "50ms", ""),
    ("bonds", "up-delay", "200ms", ""),
    ("bonds", "down-delay", "200ms", ""),
    ("bonds", "min-links", "2", ""),
    ("bonds", "primary", "eth0", "mode=active-backup"),
    ("bonds", "primary-reselect-policy", "better", "mode=active-backup"),
    ("bonds", "fail-over-mac-policy", "active", "mode=active-backup"),
    ("bonds", "ad-select", "bandwidth", ""),
    ("bonds", "ad-actor-system-priority", "100", ""),
    ("bonds", "ad-actor-system", "02:00:00:00:00:01", ""),
    ("bonds", "ad-user-port-key", "7", ""),
    ("bonds", "arp-interval", "200ms", ARP),
    ("bonds", "arp-ip-targets", "[10.2.0.1, 10.2.0.2]", ARP),
    ("bonds", "gratuitous-arp", "3", "mode=active-backup"),
    ("bonds", "arp-validate", "all", ARP),
    ("bonds", "arp-all-targets", "all", ARP),
    ("bonds", "arp-missed-max", "3", ARP),
    ("bonds", "all-members-active", "true", ""),
    ("bonds", "packets-per-member", "5", "mode=balance-rr"),
    ("bonds", "learn-packet-interval", "2s", "mode=balance-tlb"),
    ("bonds", "resend-igmp", "3", ""),
    ("bonds", "dynamic-load-balancing", "false", "mode=balance-tlb"),
    ("bonds", "peer-notify-delay", "200ms", "mode=active-backup"),
    ("bonds", "bind-carrier", "true", ""),
    ("vlans", "link", "eth1", ""),
    ("vlans", "protocol", "802.1ad", ""),
    ("vlans", "id", "501", ""),
    ("vlans", "ingress-qos", "{0: 3}", ""),
    ("vlans", "egress-qos", "{0: 3}", ""),
    ("bridges", "interfaces", "[eth0, eth1]", ""),
    ("bridges", "stp", "true", ""),
    ("bridges", "forward-delay", "4s", ""),
    ("bridges", "hello-time", "3s", ""),
    ("bridges", "max-age", "22s", ""),
    ("bridges", "ageing-time", "200s", ""),
    ("bridges", "priority", "100", ""),
    ("bridges", "vlan-filtering", "true", ""),
    ("bridges", "default-pvid", "5", "vlan-filtering=true"),
    ("bridges", "multicast-snooping", "false", ""),
    ("bridges", "multicast-querier", "true", ""),
    ("bridges", "multicast-igmp-version", "3", ""),
    ("bridges", "openvswitch", "true", ""),
    ("bridges", "ports", "{eth0: {cost: 5}}", ""),
    ("bridges.ports.eth0", "pvid", "5", "vlan-filtering=true ports={eth0: {untagged: [5]}}"),
    ("bridges.ports.eth0", "tagged", "[6]", "vlan-filtering=true"),
    ("bridges.ports.eth0", "tagged", "2-4094", "vlan-filtering=true"),
    ("bridges.ports.eth0", "untagged", "[5]", "vlan-filtering=true ports={eth0: {pvid: 5}}"),
    ("bridges.ports.eth0", "isolated", "true", ""),
    ("bridges.ports.eth0", "hairpin", "true", ""),
    ("bridges.ports.eth0", "learning", "false", ""),
    ("bridges.ports.eth0", "neighbor-suppression", "true", ""),
    ("bridges.ports.eth0", "cost", "9", ""),
    ("vxlans", "vni", "8", ""),
    ("vxlans", "link", "eth1", "^nics.eth1={subnet: plain2, host-number: 12}"),
    ("vxlans", "remote", "10.0.0.8", ""),
    ("vxlans", "port", "4790", ""),
    ("vxlans", "mac-learning", "false", ""),
    ("tunnels", "mode", "ipip", ""),
    ("tunnels", "mode", "geneve", "id=7"),
    ("tunnels", "link", "eth1", "^nics.eth1={subnet: plain2, host-number: 12}"),
    ("tunnels", "remote", "10.0.0.8", ""),
    ("tunnels", "id", "8", ""),
    ("tunnels", "ttl", "64", ""),
    ("wireguards", "listen-port", "51821", ""),
    ("wireguards", "networks", "[10.7.0.0/24]", ""),
    ("wireguards", "hub", "n", ""),
    ("wireguards", "peers", "[{public-key: \"TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=\", endpoint: \"192.0.2.1:51820\", allowed-ips: [10.5.0.0/24]}]", ""),
    ("macsecs", "link", "eth1", ""),
    ("macsecs", "peers", "[{macaddress: \"02:00:00:00:00:08\", key: {secret: theirs}}]", ""),
    ("macsecs", "key", "{secret: own}", ""),
    ("macsecs", "encrypt", "false", ""),
    ("macsecs.key", "secret", "other", "key={secret: own}"),
    ("vrfs", "interfaces", "[eth0, eth1]", ""),
    ("veths", "peer", "v2", ""),
    ("veths", "peer-macaddress", "02:00:00:00:00:79", ""),
    ("macvlans", "link", "eth1", ""),
    ("macvlans", "mode", "private", ""),
    ("macvlans", "source-macaddresses", "[\"02:00:00:00:00:80\"]", "mode=source"),
    ("ipvlans", "link", "eth1", ""),
    ("ipvlans", "mode", "l3", ""),
    ("partitions", "link", "ib1", ""),
    ("partitions", "pkey", "0x8002", ""),
    ("partitions", "mode", "connected", ""),
];

/// Keys of items of a list of a NIC: the key of the list, the key of the item, the list before,
/// and after.
#[rustfmt::skip] // a table: a key a line
const ITEMS: &[(&str, &str, &str, &str)] = &[
    ("addresses", "address", "address: 10.8.0.9/24, role: secondary", "address: 10.8.0.8/24, role: secondary"),
    ("addresses", "peer", "address: 10.8.0.9/32, role: secondary", "address: 10.8.0.9/32, role: secondary, peer: 10.8.0.1"),
    ("addresses", "scope", "address: 10.8.0.9/24, role: secondary", "address: 10.8.0.9/24, role: secondary, scope: link"),
    ("routes", "to", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.10.0.0/16, via: 10.2.0.9"),
    ("routes", "via", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.9.0.0/16, via: 10.2.0.8"),
    ("routes", "next-hops", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.9.0.0/16, next-hops: [{via: 10.2.0.8}, {via: 10.2.0.9}]"),
    ("routes", "on-link", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.9.0.0/16, via: 10.2.0.9, on-link: true"),
    ("routes", "from", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.9.0.0/16, via: 10.2.0.9, from: 10.2.0.12"),
    ("routes", "metric", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.9.0.0/16, via: 10.2.0.9, metric: 50"),
    ("routes", "table", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.9.0.0/16, via: 10.2.0.9, table: 100"),
    ("routes", "type", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.9.0.0/16, type: blackhole"),
    ("routes", "mtu", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.9.0.0/16, via: 10.2.0.9, mtu: 1400"),
    ("routes", "advertised-mss", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.9.0.0/16, via: 10.2.0.9, advertised-mss: 1360"),
    ("routes", "congestion-window", "to: 10.9.0.0/16, via: 10.2.0.9", "to: 10.9.0.0/16, via: 10.2.0.9, congestion-window: 20"),
    ("routes.next-hops", "via", "to: 10.9.0.0/16, next-hops: [{via: 10.2.0.8}, {via: 10.2.0.9}]", "to: 10.9.0.0/16, next-hops: [{via: 10.2.0.7}, {via: 10.2.0.9}]"),
    ("routes.next-hops", "link", "to: 10.9.0.0/16, next-hops: [{via: 10.2.0.8}, {via: 10.2.0.9}]", "to: 10.9.0.0/16, next-hops: [{via: 10.2.0.8, link: eth0}, {via: 10.2.0.9, link: eth0}]"),
    ("routes.next-hops", "weight", "to: 10.9.0.0/16, next-hops: [{via: 10.2.0.8}, {via: 10.2.0.9}]", "to: 10.9.0.0/16, next-hops: [{via: 10.2.0.8, weight: 2}, {via: 10.2.0.9}]"),
    ("routing-policy", "from", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/25, table: 254, priority: 9"),
    ("routing-policy", "to", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, to: 10.9.0.0/16, table: 254, priority: 9"),
    ("routing-policy", "mark", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, mark: 1, table: 254, priority: 9"),
    ("routing-policy", "mask", "from: 10.2.0.0/24, mark: 1, table: 254, priority: 9", "from: 10.2.0.0/24, mark: 1, mask: 255, table: 254, priority: 9"),
    ("routing-policy", "incoming-interface", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, incoming-interface: eth0, table: 254, priority: 9"),
    ("routing-policy", "outgoing-interface", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, outgoing-interface: eth0, table: 254, priority: 9"),
    ("routing-policy", "tos", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, table: 254, priority: 9, tos: 16"),
    ("routing-policy", "users", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, table: 254, priority: 9, users: 1000-1999"),
    ("routing-policy", "protocol", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, table: 254, priority: 9, protocol: tcp"),
    ("routing-policy", "source-port", "from: 10.2.0.0/24, table: 254, priority: 9, protocol: tcp", "from: 10.2.0.0/24, table: 254, priority: 9, protocol: tcp, source-port: 80"),
    ("routing-policy", "destination-port", "from: 10.2.0.0/24, table: 254, priority: 9, protocol: tcp", "from: 10.2.0.0/24, table: 254, priority: 9, protocol: tcp, destination-port: 80-90"),
    ("routing-policy", "type", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, type: prohibit, priority: 9"),
    ("neighbors", "address", "address: 10.2.0.9, macaddress: \"02:00:00:00:00:09\"", "address: 10.2.0.8, macaddress: \"02:00:00:00:00:09\""),
    ("neighbors", "macaddress", "address: 10.2.0.9, macaddress: \"02:00:00:00:00:09\"", "address: 10.2.0.9, macaddress: \"02:00:00:00:00:08\""),
    ("routing-policy", "family", "mark: 1, table: 254, priority: 9", "mark: 1, family: ipv6, table: 254, priority: 9"),
    ("routing-policy", "invert", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, invert: true, table: 254, priority: 9"),
    ("routing-policy", "suppress-prefix-length", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, suppress-prefix-length: 0, table: 254, priority: 9"),
    ("routing-policy", "table", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, table: 253, priority: 9"),
    ("routing-policy", "priority", "from: 10.2.0.0/24, table: 254, priority: 9", "from: 10.2.0.0/24, table: 254, priority: 10"),
];

const MORE: &str = "subnet: other, host-number: 12";

/// The same for subnets beside the first ones.
const MORE_ITEMS: &[(&str, &str)] = &[
    ("subnet", "subnet: third, host-number: 12"),
    ("host-number", "subnet: other, host-number: 13"),
    ("table", "subnet: other, host-number: 12, table: 100"),
    ("default-route", "subnet: other, host-number: 12, default-route: true"),
];

const PEER: &str = "bgp={asn: 65001, neighbors: [{address: 10.2.0.1, remote-as: 65000}]}";

const WG: &str = "wireguards={wg1: {listen-port: 51820, peers: [{public-key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\", endpoint: \"192.0.2.1:51820\", allowed-ips: [10.5.0.0/24]}]}}";

const SEC: &str = "macsecs={sec1: {link: eth0, peers: [{macaddress: \"02:00:00:00:00:09\", key: {secret: theirs}}]}}";

const FDB: &str =
    "vxlans={vx1: {vni: 7, link: eth0, forwarding: [{macaddress: \"02:00:00:00:00:09\"}]}}";

const EVPN: &str = "bgp={asn: 65001, neighbors: [{address: 10.2.0.1, remote-as: 65000}], evpn: {}} \
                    vxlans={vx1: {vni: 7, link: eth0, mac-learning: false}} vrfs={red: {table: 1001, interfaces: []}}";

/// Keys outside of links, for a host with one NIC: the section, the key, and what is set before
/// and after. Paths are those of the site.
#[rustfmt::skip] // a table: a key a line
const ELSEWHERE: &[(&str, &str, &str, &str)] = &[
    ("profiles.NAME", "defaults", "", "profiles.p.defaults=verbatim"),
    ("profiles.NAME", "match", "profiles.p.match=permanent-mac", "profiles.p.match=name"),
    ("profiles.NAME", "nics", "", "profiles.p.nics.eth1={}"),
    ("profiles.NAME", "bonds", "", "profiles.p.bonds={bond1: {nics: [eth1, eth2], mode: 802.3ad}}"),
    ("profiles.NAME.nics.NAME", "unmanaged", "nics={eth1: {}}", "profiles.p.nics.eth1.unmanaged=true"),
    ("profiles.NAME.nics.NAME", "driver-override", "nics={eth1: {path: pci-0000:41:00.0}}", "profiles.p.nics.eth1.driver-override=vfio-pci"),
    ("profiles.NAME.bonds.NAME", "openvswitch", "bonds={bond1: {nics: [eth1, eth2], mode: active-backup}} bridges={br1: {interfaces: [bond1], openvswitch: true}}", "profiles.p.bonds.bond1.openvswitch=true"),
    ("profiles.NAME.bonds.NAME", "lacp", "bonds={bond1: {nics: [eth1, eth2], mode: 802.3ad, openvswitch: true}} bridges={br1: {interfaces: [bond1], openvswitch: true}}", "profiles.p.bonds.bond1.lacp=passive"),
    ("profiles.NAME", "vlans", "", "profiles.p.vlans={vlan7: {link: eth0, id: 7}}"),
    ("profiles.NAME", "bridges", "", "profiles.p.bridges={br1: {interfaces: [eth1]}}"),
    ("profiles.NAME", "vxlans", "", "profiles.p.vxlans={vx1: {vni: 7, link: eth0}}"),
    ("profiles.NAME", "tunnels", "", "profiles.p.tunnels={t1: {mode: gre, link: eth0, remote: 10.2.0.9}}"),
    ("profiles.NAME", "wireguards", "", "profiles.p.wireguards={wg1: {listen-port: 51820, peers: [{public-key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\", endpoint: \"192.0.2.1:51820\", allowed-ips: [10.5.0.0/24]}]}}"),
    ("profiles.NAME.wireguards.NAME.peers", "public-key", WG, "profiles.p.wireguards.wg1.peers=[{public-key: \"TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=\", endpoint: \"192.0.2.1:51820\", allowed-ips: [10.5.0.0/24]}]"),
    ("profiles.NAME.wireguards.NAME.peers", "endpoint", WG, "profiles.p.wireguards.wg1.peers=[{public-key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\", endpoint: \"192.0.2.2:51820\", allowed-ips: [10.5.0.0/24]}]"),
    ("profiles.NAME.wireguards.NAME.peers", "allowed-ips", WG, "profiles.p.wireguards.wg1.peers=[{public-key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\", endpoint: \"192.0.2.1:51820\", allowed-ips: [10.6.0.0/24]}]"),
    ("profiles.NAME.wireguards.NAME.peers", "keepalive", WG, "profiles.p.wireguards.wg1.peers=[{public-key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\", endpoint: \"192.0.2.1:51820\", allowed-ips: [10.5.0.0/24], keepalive: 25s}]"),
    ("profiles.NAME", "macsecs", "", "profiles.p.macsecs={sec1: {link: eth0, peers: [{macaddress: \"02:00:00:00:00:09\", key: {secret: theirs}}]}}"),
    ("profiles.NAME.macsecs.NAME.peers", "macaddress", SEC, "profiles.p.macsecs.sec1.peers=[{macaddress: \"02:00:00:00:00:08\", key: {secret: theirs}}]"),
    ("profiles.NAME.macsecs.NAME.peers", "port", SEC, "profiles.p.macsecs.sec1.peers=[{macaddress: \"02:00:00:00:00:09\", port: 2, key: {secret: theirs}}]"),
    ("profiles.NAME.macsecs.NAME.peers", "key", SEC, "profiles.p.macsecs.sec1.peers=[{macaddress: \"02:00:00:00:00:09\", key: {secret: others}}]"),
    ("profiles.NAME", "vrfs", "", "profiles.p.vrfs={red: {table: 1001, interfaces: [eth1]}}"),
    ("profiles.NAME", "dummies", "", "profiles.p.dummies={d1: {}}"),
    ("profiles.NAME", "veths", "", "profiles.p.veths={v1: {peer: v2}}"),
    ("profiles.NAME", "macvlans", "", "profiles.p.macvlans={m1: {link: eth0}}"),
    ("profiles.NAME", "ipvlans", "", "profiles.p.ipvlans={i1: {link: eth0}}"),
    ("profiles.NAME", "loopbacks", "", "profiles.p.loopbacks={lo: {addresses: [{address: 192.0.2.1/32, role: anycast}]}}"),
    ("profiles.NAME", "partitions", "", "profiles.p.partitions={p1: {link: ib0, pkey: \"0x8001\"}}"),
    ("profiles.NAME.nics.NAME", "infiniband-mode", "nics={ib0: {subnet: h, host-number: 12}}", "profiles.p.nics.ib0.infiniband-mode=connected"),
    ("profiles.NAME", "nccl", "", "profiles.p.nccl={socket: eth0}"),
    ("profiles.NAME.nccl", "links", "nccl={} nics={eth0: {rdma-device: mlx5_0}}", "profiles.p.nccl.links=[eth0]"),
    ("profiles.NAME.nccl", "socket", "nccl={}", "profiles.p.nccl.socket=eth0"),
    ("profiles.NAME.nccl", "variables", "nccl={}", "profiles.p.nccl.variables={NCCL_IB_GID_INDEX: \"3\"}"),
    ("profiles.NAME", "bgp", "", "profiles.p.bgp={asn: 65001, neighbors: [{address: 10.2.0.1, remote-as: 65000}]}"),
    ("profiles.NAME", "sysctls", "", "profiles.p.sysctls={net.core.rmem_max: \"8388608\"}"),
    ("profiles.NAME", "extra", "", "profiles.p.extra={files: {/etc/x/y: {text: z}}}"),
    ("profiles.NAME.extra", "files", "", "profiles.p.extra={files: {/etc/x/y: {text: z}}}"),
    ("profiles.NAME.extra.files.NAME", "text", "extra={files: {/etc/x/y: {text: z}}}", "profiles.p.extra={files: {/etc/x/y: {text: changed}}}"),
    ("profiles.NAME.extra.files.NAME", "private", "extra={files: {/etc/x/y: {text: z}}}", "profiles.p.extra={files: {/etc/x/y: {text: z, private: true}}}"),
    ("profiles.NAME.dummies.NAME.forwarding", "macaddress", FDB, "profiles.p.vxlans.vx1.forwarding=[{macaddress: \"02:00:00:00:00:08\"}]"),
    ("profiles.NAME.dummies.NAME.forwarding", "destination", FDB, "profiles.p.vxlans.vx1.forwarding=[{macaddress: \"02:00:00:00:00:09\", destination: 10.2.0.9}]"),
    ("profiles.NAME.dummies.NAME.forwarding", "vlan", FDB, "profiles.p.vxlans.vx1.forwarding=[{macaddress: \"02:00:00:00:00:09\", vlan: 7}]"),
    ("profiles.NAME.dummies.NAME.extra", "network", "", "profiles.p.nics.eth0.extra={network: {Network: {KeepMaster: true}}}"),
    ("profiles.NAME.dummies.NAME.extra", "netdev", "bridges={br1: {interfaces: [eth1]}}", "profiles.p.bridges.br1.extra={netdev: {Bridge: {Priority: 5}}}"),
    ("profiles.NAME.dummies.NAME.extra", "link", "", "profiles.p.nics.eth0.extra={link: {Link: {Alias: x}}}"),
    ("profiles.NAME.dummies.NAME.extra", "keyfile", "", "profiles.p.nics.eth0.extra={keyfile: {ipv4: {dad-timeout: 0}}}"),
    ("profiles.NAME.dummies.NAME.extra", "interfaces", "", "profiles.p.nics.eth0.extra={interfaces: {link-speed: 1000}}"),
    ("profiles.NAME.bgp", "asn", PEER, "profiles.p.bgp.asn=65002"),
    ("profiles.NAME.bgp", "router-id", "bgp={asn: 65001, neighbors: [{address: 10.2.0.1, remote-as: 65000}]} loopbacks={lo: {subnet: plain, host-number: 12}}", "profiles.p.bgp.router-id=eth0"),
    ("profiles.NAME.bgp", "neighbors", PEER, "profiles.p.bgp.neighbors=[{address: 10.2.0.2, remote-as: 65000}]"),
    ("profiles.NAME.bgp", "announce", PEER, "profiles.p.bgp.announce=[eth0]"),
    ("profiles.NAME.bgp", "redistribute", PEER, "profiles.p.bgp.redistribute=[{from: kernel, within: [10.9.0.0/16]}]"),
    ("profiles.NAME.bgp.redistribute", "from", PEER, "profiles.p.bgp.redistribute=[{from: connected, within: [10.9.0.0/16]}]"),
    ("profiles.NAME.bgp.redistribute", "within", PEER, "profiles.p.bgp.redistribute=[{from: kernel, within: [10.8.0.0/16]}]"),
    ("profiles.NAME.bgp", "communities", "bgp={asn: 65001, neighbors: [{address: 10.2.0.1, remote-as: 65000}], announce: [eth0]}", "profiles.p.bgp.communities=[\"65000:100\"]"),
    ("profiles.NAME.bgp", "timers", PEER, "profiles.p.bgp.timers={keepalive: 1s, hold: 3s}"),
    ("profiles.NAME.bgp.timers", "keepalive", PEER, "profiles.p.bgp.timers={keepalive: 1s, hold: 6s}"),
    ("profiles.NAME.bgp.timers", "hold", PEER, "profiles.p.bgp.timers={keepalive: 1s, hold: 4s}"),
    ("profiles.NAME.bgp", "route-maps", PEER, "profiles.p.bgp.route-maps={a: [{}]}"),
    ("profiles.NAME.bgp.route-maps.NAME", "action", PEER, "profiles.p.bgp.route-maps={a: [{action: deny}]}"),
    ("profiles.NAME.bgp.route-maps.NAME", "prefixes", PEER, "profiles.p.bgp.route-maps={a: [{prefixes: [10.0.0.0/8]}]}"),
    ("profiles.NAME.bgp.route-maps.NAME", "community", PEER, "profiles.p.bgp.route-maps={a: [{community: \"65000:1\"}]}"),
    ("profiles.NAME.bgp.route-maps.NAME", "set-communities", PEER, "profiles.p.bgp.route-maps={a: [{set-communities: [no-export]}]}"),
    ("profiles.NAME.bgp.route-maps.NAME", "local-preference", PEER, "profiles.p.bgp.route-maps={a: [{local-preference: 50}]}"),
    ("profiles.NAME.bgp.route-maps.NAME", "metric", PEER, "profiles.p.bgp.route-maps={a: [{metric: 50}]}"),
    ("profiles.NAME.bgp.route-maps.NAME", "prepend", PEER, "profiles.p.bgp.route-maps={a: [{prepend: 2}]}"),
    ("profiles.NAME.bgp", "evpn", "bgp={asn: 65001, neighbors: [{address: 10.2.0.1, remote-as: 65000}]} vxlans={vx1: {vni: 7, link: eth0, mac-learning: false}}", "profiles.p.bgp.evpn={}"),
    ("profiles.NAME.bgp.evpn", "vrfs", EVPN, "profiles.p.bgp.evpn.vrfs=[{vrf: red, vxlan: vx1}]"),
    ("profiles.NAME.bgp.evpn.vrfs", "vrf", EVPN, "profiles.p.bgp.evpn.vrfs=[{vrf: red, vxlan: vx1}]"),
    ("profiles.NAME.bgp.evpn.vrfs", "vxlan", EVPN, "profiles.p.bgp.evpn.vrfs=[{vrf: red, vxlan: vx1}]"),
    ("profiles.NAME.bgp.neighbors", "range", PEER, "profiles.p.bgp.neighbors=[{range: 10.2.0.0/25, remote-as: 65000}]"),
    ("profiles.NAME.bgp.neighbors", "in", PEER, "profiles.p.bgp={asn: 65001, neighbors: [{address: 10.2.0.1, remote-as: 65000, in: a}], route-maps: {a: [{}]}}"),
    ("profiles.NAME.bgp.neighbors", "out", PEER, "profiles.p.bgp={asn: 65001, neighbors: [{address: 10.2.0.1, remote-as: 65000, out: a}], route-maps: {a: [{}]}}"),
    ("profiles.NAME.bgp.neighbors", "timers", PEER, "profiles.p.bgp.neighbors=[{address: 10.2.0.1, remote-as: 65000, timers: {keepalive: 1s, hold: 3s}}]"),
    ("profiles.NAME.bgp.neighbors", "password", PEER, "profiles.p.bgp.neighbors=[{address: 10.2.0.1, remote-as: 65000, password: {secret: leaf}}]"),
    ("profiles.NAME.bgp.neighbors.password", "secret", PEER, "profiles.p.bgp.neighbors=[{address: 10.2.0.1, remote-as: 65000, password: {secret: spine}}]"),
    ("profiles.NAME.bgp.neighbors", "bfd", PEER, "profiles.p.bgp.neighbors=[{address: 10.2.0.1, remote-as: 65000, bfd: true}]"),
    ("profiles.NAME.bgp", "max-paths", PEER, "profiles.p.bgp.max-paths=4"),
    ("profiles.NAME.bgp", "bfd", PEER, "profiles.p.bgp.bfd=true"),
    ("profiles.NAME.bgp.neighbors", "address", PEER, "profiles.p.bgp.neighbors=[{address: 10.2.0.2, remote-as: 65000}]"),
    ("profiles.NAME.bgp.neighbors", "link", PEER, "profiles.p.bgp.neighbors=[{link: eth0, remote-as: 65000}]"),
    ("profiles.NAME.bgp.neighbors", "remote-as", PEER, "profiles.p.bgp.neighbors=[{address: 10.2.0.1, remote-as: 65009}]"),
    ("subnets.NAME", "cidr", "", "subnets.h.cidr=10.2.0.0/25"),
    ("subnets.NAME", "gateway", "", "subnets.h.gateway=10.2.0.2"),
    ("subnets.NAME", "mtu", "", "subnets.h.mtu=1400"),
    ("subnets.NAME", "dns", "", "subnets.h.dns=[10.2.0.54]"),
    ("subnets.NAME", "dns-over-tls", "", "subnets.h.dns-over-tls=opportunistic"),
    ("subnets.NAME", "dnssec", "", "subnets.h.dnssec=allow-downgrade"),
    ("subnets.NAME", "domains", "", "subnets.h.domains=[example.net]"),
    ("subnets.NAME", "ntp", "", "subnets.h.ntp=[10.2.0.123]"),
    ("hosts.NAME", "nics", "profiles.p.match=permanent-mac", "hosts.n.nics.eth0=52:54:00:aa:00:09"),
    ("hosts.NAME", "addresses", "", "hosts.n.addresses={eth0: 10.2.0.99}"),
];

/// Keys that no format writes, and why. A key that ends in `*` stands for a whole section.
const NOT_WRITTEN: &[(&str, &str)] = &[
    (" *", "the names of the sections of the site file"),
    ("profiles.NAME.wireguards.NAME link", "written in the files of other hosts"),
    ("profiles.NAME.wireguards.NAME endpoint", "written in the files of other hosts"),
    ("profiles.NAME.wireguards.NAME mesh", "which other hosts are peers: golden/wireguard.yaml"),
    ("profiles.NAME.wireguards.NAME.mesh *", "which other hosts are peers"),
    (
        "profiles.NAME.wireguards.NAME keepalive",
        "of peers that are other hosts: golden/wireguard.yaml",
    ),
    ("profiles.NAME.macsecs.NAME mesh", "which other hosts are heard: golden/macsec.yaml"),
    ("profiles.NAME.nics.NAME.auth key-management", "one value, which is always written"),
    ("racks.NAME *", "where hosts are; their network is a layer of the profile"),
    ("tenants.NAME *", "who rents hosts"),
    ("switches.NAME *", "configured by the switch formats"),
    ("images.NAME *", "what is booted"),
    ("images.NAME.variants.NAME *", "what is booted"),
    ("images.NAME.recipe *", "what an installer reads"),
    ("subnets.NAME.ranges *", "which addresses are given to hosts and by DHCP"),
    ("hosts.NAME.match *", "how DHCP recognises the host"),
    ("labels.NAME *", "which hosts may be installed"),
    ("hosts.NAME disk", "where an image is written"),
    ("hosts.NAME.disk *", "where an image is written"),
    ("hosts.NAME local-boot", "how firmware is sent to the local disk"),
    ("hosts.NAME rack", "where the host is"),
    ("hosts.NAME unit", "where the host is"),
    ("hosts.NAME height", "where the host is"),
    ("hosts.NAME index", "read by expressions of the profile"),
    ("hosts.NAME serial", "identifies the host"),
    ("hosts.NAME tenant", "chooses the subnets of the profile"),
    ("hosts.NAME rented-from", "when the rental begins"),
    ("hosts.NAME notes", "for people"),
    ("subnets.NAME notes", "for people"),
    ("subnets.NAME labels", "for queries"),
    ("hosts.NAME rented-until", "when the rental ends"),
    ("hosts.NAME profile", "the base of this sweep"),
    ("hosts.NAME parameters", "read by expressions of the profile"),
    ("hosts.NAME network", "a layer of the profile, whose keys are swept"),
    ("hosts.NAME image", "what is booted"),
    ("hosts.NAME reservations", "given by DHCP"),
    ("hosts.NAME allow", "silences warnings"),
    ("hosts.NAME boot-file", "given by DHCP"),
    ("hosts.NAME next-server", "given by DHCP"),
    ("hosts.NAME dhcp", "whether DHCP answers"),
    ("hosts.NAME bmc", "answered by DHCP"),
    ("hosts.NAME.bmc *", "answered by DHCP"),
    ("hosts.NAME protected", "refuses to be armed"),
    ("hosts.NAME labels", "for people"),
    ("hosts.NAME match", "how DHCP recognises the host"),
    ("hosts.NAME dhcp-options", "given by DHCP"),
    ("subnets.NAME vlan", "only VLANs without an id of their own read it"),
    ("subnets.NAME tenant", "chooses among subnets"),
    ("subnets.NAME role", "chooses among subnets"),
    ("subnets.NAME allow", "silences warnings"),
    ("subnets.NAME server", "read by the checks and by DHCP"),
    ("subnets.NAME rail", "read by the checks"),
    ("subnets.NAME vrf", "read by the checks"),
    ("subnets.NAME lease-time", "given by DHCP"),
    ("subnets.NAME renew-time", "given by DHCP"),
    ("subnets.NAME rebind-time", "given by DHCP"),
    ("subnets.NAME relay-addresses", "DHCP"),
    ("subnets.NAME subnet-selection", "DHCP"),
    ("subnets.NAME next-server", "given by DHCP"),
    ("subnets.NAME unknown-clients", "DHCP"),
    ("subnets.NAME identify-by", "DHCP"),
    ("subnets.NAME shared-network", "DHCP"),
    ("subnets.NAME conflict-probe", "DHCP"),
    ("subnets.NAME rapid-commit", "DHCP"),
    ("subnets.NAME min-secs", "DHCP"),
    ("subnets.NAME bootp", "DHCP"),
    ("subnets.NAME boot-files", "given by DHCP"),
    ("subnets.NAME dhcp-options", "given by DHCP"),
    ("subnets.NAME ranges", "which addresses are given to hosts and by DHCP"),
    ("profiles.NAME.parameters.NAME *", "read by expressions of the profile"),
    ("profiles.NAME.for-each.NAME *", "unrolled before there are links"),
    ("profiles.NAME extends", "resolved before there are links"),
    ("profiles.NAME parameters", "read by expressions of the profile"),
    ("profiles.NAME for-each", "unrolled before there are links"),
    ("profiles.NAME dhcp-options", "given by DHCP"),
    ("profiles.NAME allow", "silences warnings"),
    ("profiles.NAME format", "read by the checks"),
    ("profiles.NAME ssh-authorized-keys", "written by the live system that installs"),
    ("profiles.NAME root-password-hash", "written by the live system that installs"),
    ("profiles.NAME new-hosts", "read when a host first asks to boot"),
    ("profiles.NAME systemd", "read by the checks, and by the files for BGP"),
    ("profiles.NAME.nics.NAME rail", "read by the checks"),
    ("profiles.NAME.nics.NAME numa", "read by the checks"),
    ("profiles.NAME.nics.NAME gpu", "read by the checks"),
    ("profiles.NAME.nics.NAME speed", "read by the checks"),
    ("profiles.NAME.nics.NAME max-mtu", "read by the checks"),
    ("profiles.NAME.nics.NAME bondable", "read by the checks"),
    ("profiles.NAME.nics.NAME sriov-max", "read by the checks"),
    ("profiles.NAME.dummies.NAME allow", "silences warnings"),
    ("profiles.NAME.dummies.NAME.addresses role", "read by the checks; the address is the same"),
];

/// One key, and the site without and with it.
struct Sample {
    /// The section of the model and the key, such as `profiles.NAME.nics.NAME mtu`.
    key: String,
    /// The kind of link that has it.
    kind: &'static str,
    before: Vec<(String, String)>,
    after: Vec<(String, String)>,
}

/// `a=1 b=[2, 3]` as pairs; a value ends where the next `name=` begins.
fn pairs(text: &str, within: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for word in text.split_whitespace() {
        let named = word.split_once('=').filter(|(name, _)| {
            name.chars().all(|c| c.is_ascii_alphanumeric() || "-.^_".contains(c))
        });
        match (named, found.last_mut()) {
            (Some((name, value)), _) => {
                let path = match name.strip_prefix('^') {
                    Some(name) => format!("profiles.p.{name}"),
                    None => format!("{within}{name}"),
                };
                found.push((path, value.to_owned()));
            }
            (None, Some((_, value))) => *value += &format!(" {word}"),
            (None, None) => panic!("{text}"),
        }
    }
    found
}

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (section, link, _) in kinds() {
        let within = format!("profiles.p.{section}.{link}.");
        for (key, value, before) in SHARED {
            // The table of a VRF is the VRF itself.
            let value = if (section, *key) == ("vrfs", "table") { "1001" } else { *value };
            samples.push(Sample {
                key: format!("profiles.NAME.dummies.NAME {key}"),
                kind: section,
                before: pairs(before, &within),
                after: vec![(format!("{within}{key}"), value.to_owned())],
            });
        }
        for (own, key, value, before) in OWN {
            let (kind, rest) = own.split_once('.').unwrap_or((*own, ""));
            if kind != section {
                continue;
            }
            let inner = if rest.is_empty() { String::new() } else { format!("{rest}.") };
            let shown = match rest {
                "" => String::new(),
                "sriov.functions.0" => ".sriov.functions.NAME".into(),
                "ports.eth0" => ".ports.NAME".into(),
                rest => format!(".{rest}"),
            };
            samples.push(Sample {
                key: format!("profiles.NAME.{kind}.NAME{shown} {key}"),
                kind: section,
                before: pairs(before, &within),
                after: vec![(format!("{within}{inner}{key}"), (*value).to_owned())],
            });
        }
    }
    for (list, key, before, after) in ITEMS {
        let whole = list.split('.').next().unwrap();
        let path = format!("profiles.p.nics.eth0.{whole}");
        samples.push(Sample {
            key: format!("profiles.NAME.dummies.NAME.{list} {key}"),
            kind: "nics",
            before: vec![(path.clone(), format!("[{{{before}}}]"))],
            after: vec![(path, format!("[{{{after}}}]"))],
        });
    }
    for (key, after) in MORE_ITEMS {
        let path = "profiles.p.nics.eth0.more-subnets";
        samples.push(Sample {
            key: format!("profiles.NAME.dummies.NAME.more-subnets {key}"),
            kind: "nics",
            before: vec![
                (path.to_owned(), format!("[{{{MORE}}}]")),
                ("profiles.p.nics.eth0.default-route".to_owned(), "false".to_owned()),
            ],
            after: vec![(path.to_owned(), format!("[{{{after}}}]"))],
        });
    }
    for (which, keys, asks) in [
        (
            "dhcp4",
            &[
                "use-dns",
                "use-domains",
                "use-ntp",
                "use-routes",
                "use-mtu",
                "use-hostname",
                "send-hostname",
            ][..],
            "dhcp4=true",
        ),
        (
            "dhcp6",
            &["use-dns", "use-domains", "use-ntp", "use-hostname", "send-hostname"][..],
            "dhcp6=true accept-ra=true",
        ),
        (
            "ra",
            &["use-dns", "use-domains", "use-mtu", "use-addresses", "use-routes"][..],
            "accept-ra=true",
        ),
        ("ra", &["route-metric"][..], "accept-ra=true"),
        ("dhcp4", &["route-metric"][..], "dhcp4=true"),
    ] {
        for key in keys {
            let value = if *key == "route-metric" { "50" } else { "false" };
            samples.push(Sample {
                key: format!("profiles.NAME.dummies.NAME.dhcp4-overrides {key}"),
                kind: "nics",
                before: pairs(asks, "profiles.p.nics.eth0."),
                after: vec![(
                    format!("profiles.p.nics.eth0.{which}-overrides.{key}"),
                    value.into(),
                )],
            });
        }
    }
    for (section, key, before, after) in ELSEWHERE {
        samples.push(Sample {
            key: format!("{section} {key}"),
            kind: "nics",
            before: pairs(&before.replace("profiles.p.", ""), "profiles.p."),
            after: pairs(after, ""),
        });
    }
    samples
}

fn base(kind: &str, defaults: &str) -> Site {
    let (_, _, part) = kinds().into_iter().find(|(section, ..)| *section == kind).unwrap();
    let mut site: Site = tree::parse(SITE).and_then(|root| tree::read(&root)).unwrap();
    let part = tree::parse(&part).and_then(|root| tree::read::<serde_json::Value>(&root)).unwrap();
    let mut profile = part.as_object().unwrap().clone();
    profile.insert("systemd".into(), 257.into());
    profile.insert("defaults".into(), defaults.into());
    site.profiles.insert("p".into(), serde_json::from_value(profile.into()).unwrap());
    site
}

/// The host's network, or the rules that refuse it.
fn network(site: &ResolvedSite) -> Result<HostNetwork, String> {
    let errors = check_host(site, "n");
    let mut errors =
        errors.iter().filter(|found| found.severity == crate::network::Severity::Error);
    match errors.next() {
        Some(error) => Err(error.to_string()),
        None => Ok(layout(site, "n")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SweepResult {
    /// The files differ.
    Written,
    /// The format has no word for it, and says so in a warning.
    LeftOut,
    /// The format refuses the key.
    Refused,
    /// A rule refuses the key, or the sample without it.
    Rule,
    /// The format refuses the host without the key as well.
    Kind,
    /// The key makes no difference to any format here.
    NoEffect,
    /// It makes one to networkd, and this format says nothing.
    Silent,
}

fn outcome(without: &HostNetwork, with: &HostNetwork, format: Format) -> SweepResult {
    match (written(without, format), written(with, format)) {
        (Ok(without), Ok(with)) if without.left_out != with.left_out => SweepResult::LeftOut,
        (Ok(without), Ok(with)) if without.files == with.files => SweepResult::NoEffect,
        (Ok(_) | Err(_), Ok(_)) => SweepResult::Written,
        (Ok(_), Err(_)) => SweepResult::Refused,
        (Err(without), Err(with)) => match with.iter().all(|lost| without.contains(lost)) {
            true => SweepResult::Kind,
            false => SweepResult::Refused,
        },
    }
}

#[test]
fn every_key_is_written_or_refused_by_every_format() {
    let mut bases: HashMap<(&str, &str), Site> = HashMap::new();
    let mut best: BTreeMap<(String, Format), SweepResult> = BTreeMap::new();
    let mut cells: BTreeMap<SweepResult, usize> = BTreeMap::new();
    let mut silent = BTreeSet::new();
    let mut mistakes = Vec::new();
    for sample in samples() {
        for defaults in ["safe", "verbatim"] {
            let mut found: BTreeMap<Format, SweepResult> = BTreeMap::new();
            let site: &Site =
                bases.entry((sample.kind, defaults)).or_insert_with(|| base(sample.kind, defaults));
            // Some formats find NICs by MAC only, others by name only.
            for match_by in ["permanent-mac", "name"] {
                let mut before = vec![("profiles.p.match".to_owned(), match_by.to_owned())];
                before.extend(sample.before.iter().cloned());
                let with: Vec<_> = before.iter().chain(&sample.after).cloned().collect();
                let read = |edits: &[(String, String)]| {
                    set_values::<Site>(Some(site), edits).map(ResolvedSite::from)
                };
                let (without, with) = match (read(&before), read(&with)) {
                    (Ok(without), Ok(with)) => (without, with),
                    (Err(error), _) | (_, Err(error)) => {
                        mistakes.push(format!("{} ({}): {error}", sample.key, sample.kind));
                        break;
                    }
                };
                let (Ok(without), Ok(with)) = (network(&without), network(&with)) else {
                    for format in FORMATS {
                        found.entry(format).or_insert(SweepResult::Rule);
                    }
                    continue;
                };
                for format in FORMATS {
                    let now = outcome(&without, &with, format);
                    let worst = found.entry(format).or_insert(now);
                    // No effect under one way to find NICs and a refusal under the other: the
                    // first is the one that can be compared.
                    if matches!(*worst, SweepResult::Kind | SweepResult::Rule)
                        || now == SweepResult::NoEffect
                    {
                        *worst = now;
                    }
                }
            }
            let has_effect = found.get(&Format::Networkd) == Some(&SweepResult::Written);
            for (format, mut outcome) in found {
                if has_effect && outcome == SweepResult::NoEffect {
                    outcome = SweepResult::Silent;
                    silent.insert(format!(
                        "{} on {} ({defaults}): {format}",
                        sample.key, sample.kind
                    ));
                }
                *cells.entry(outcome).or_default() += 1;
                let best = best.entry((sample.key.clone(), format)).or_insert(outcome);
                *best = (*best).min(outcome);
            }
        }
    }
    let count = |outcome: SweepResult| best.values().filter(|own| **own == outcome).count();
    println!(
        "keys x formats: {} written, {} left out with a warning, {} refused by the format, {} refused by a rule, {} on a kind \
         of link that the format refuses, {} without effect, {} silent",
        count(SweepResult::Written),
        count(SweepResult::LeftOut),
        count(SweepResult::Refused),
        count(SweepResult::Rule),
        count(SweepResult::Kind),
        count(SweepResult::NoEffect),
        count(SweepResult::Silent),
    );
    println!("keys x kinds of link x defaults x formats: {cells:?}");
    assert_eq!(mistakes, [""; 0], "samples that cannot be read");
    let silent: Vec<_> = silent.into_iter().filter(|lost| !is_expected(lost)).collect();
    assert_eq!(silent, [""; 0], "lost without a word");

    let mut missing = Vec::new();
    for section in sections() {
        for key in &section.keys {
            let name = format!("{} {}", section.path, key.name);
            let is_excused = |(excused, _): &&(&str, &str)| match excused.strip_suffix('*') {
                Some(section) => name.strip_prefix(section).is_some_and(|key| !key.contains(' ')),
                None => *excused == name,
            };
            let excused = NOT_WRITTEN.iter().find(is_excused);
            let outcome = best.get(&(name.clone(), Format::Networkd));
            match (excused, outcome) {
                (Some(_), None) => {}
                (Some((_, why)), Some(_)) => {
                    missing.push(format!("{name}: excused ({why}), and sampled"))
                }
                (None, Some(SweepResult::Written | SweepResult::Refused)) => {}
                (None, other) => missing.push(format!("{name}: {other:?}")),
            }
        }
    }
    assert_eq!(missing, [""; 0], "keys without a sample that networkd writes");
}

/// What networkd has to be told and another format has by itself.
fn is_expected(lost: &str) -> bool {
    EXPECTED
        .iter()
        .any(|(start, format, _)| lost.starts_with(start) && lost.ends_with(&format!(": {format}")))
}

/// The beginning of `KEY on KIND (DEFAULTS)`, the format, and why nothing is lost.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("profiles.NAME match on nics", "network-data", "a NIC is always found by its MAC"),
    (
        "profiles.NAME.dummies.NAME accept-ra on",
        "nmstate",
        "autoconf, which the link has anyway, hears routers",
    ),
    (
        "profiles.NAME.dummies.NAME dhcp6 on",
        "nmstate",
        "autoconf, which the link has anyway, asks DHCPv6 where the router says so",
    ),
    (
        "profiles.NAME.dummies.NAME accept-ra on",
        "networkmanager",
        "method=auto, which the link has anyway, hears routers",
    ),
    (
        "profiles.NAME.dummies.NAME dhcp6 on",
        "networkmanager",
        "method=auto, which the link has anyway, asks DHCPv6 where the router says so",
    ),
];
