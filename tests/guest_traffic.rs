//! Networks that carry traffic, in a whole guest with Debian's kernel and a real networkd: each is
//! brought up from our files, beside a switch that is made with plain `ip` commands, and then asked
//! to carry packets.
//!
//! Takes minutes: `make test-full` runs it, `make test` does not.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rackstrap::bundle::archive::HostFile;
use rackstrap::model::{KeyState, Keyring, MasterKey};
use rackstrap::network::{File, Format, layout, render_host};
use rackstrap::profile::ResolvedSite;

use crate::common::guest::{Guest, Image, file};
use crate::common::kernel::Kernel;
use crate::common::partner::Partner;
use crate::common::skip::skip;
use crate::common::tools;
use crate::golden;

/// How soon after its start networkd must call the host online, in seconds of the guest.
const SOON: f64 = 8.0;
/// How often something is tried until it works, a second apart.
const TRIES: usize = 20;

/// The subnets of every scenario.
const SUBNETS: &str = r#"
subnets:
  boot: {cidr: 10.77.0.0/24, gateway: 10.77.0.1, dns: [10.77.0.1]}
  lan: {cidr: 172.16.0.0/24, vlan: 500, gateway: 172.16.0.254, dns: [172.16.0.254]}
  lan6: {cidr: "2001:db8:5::/64", gateway: "fe80::1"}
  storage: {cidr: 10.88.0.0/24, vlan: 600, mtu: 9000}
  overlay: {cidr: 172.30.0.0/24, mtu: 1450}
  guests: {cidr: 10.66.0.0/24}
  own: {cidr: 192.168.10.0/24}
  far: {cidr: 172.29.0.0/24}
  far6: {cidr: "2001:db8:29::/64"}
"#;

/// A host, the switch that it is cabled to, and what has to work between them.
struct Scenario {
    name: &'static str,
    /// The keys of the profile, a line each.
    profile: &'static [&'static str],
    addresses: &'static str,
    /// How long wait-online may take, where it is not as soon as usual.
    soon: f64,
    /// What makes the switch, each without `ip -n switch`.
    switch: &'static [&'static str],
    /// Shell lines that must succeed.
    proofs: &'static [&'static str],
}

/// What a bond of LACP ends at, with a VLAN that has an address.
const LACP: [&str; 5] = [
    "link add lag type bond mode 802.3ad lacp_rate fast miimon 100",
    "link set port0 master lag",
    "link set port1 master lag",
    "link set port0 up",
    "link set port1 up",
];
const BOND: &str = "bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, lacp-rate: fast}}";

#[rustfmt::skip] // a table: a command a line
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "vxlan from the loopback",
        profile: &["nics: {eth0: {subnet: boot}}", "loopbacks: {lo: {subnet: own}}",
                   "vxlans: {vx1: {vni: 7, link: lo, remote: 192.168.10.20, subnet: overlay}}"],
        addresses: "{eth0: 10.77.0.12, lo: 192.168.10.10, vx1: 172.30.0.1}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up", "addr add 192.168.10.20/32 dev lo",
                  "route add 192.168.10.10 via 10.77.0.12",
                  "link add vx1 type vxlan id 7 local 192.168.10.20 remote 192.168.10.10 dstport 4789",
                  "addr add 172.30.0.2/24 dev vx1", "link set vx1 up"],
        proofs: &["ping -n -c 3 -i 0.2 -W 2 -M do -s 1422 172.30.0.2",
                  "ip netns exec switch ping -n -c 3 -i 0.2 -W 2 172.30.0.1"],
    },
    Scenario {
        name: "vxlan from a dummy, in a bridge",
        profile: &["nics: {eth0: {subnet: boot}}", "dummies: {d0: {addresses: [{address: 192.168.10.10/32, role: anycast}]}}",
                   "vxlans: {vx1: {vni: 7, link: d0, remote: 192.168.10.20, mtu: 1450}}",
                   "bridges: {br0: {interfaces: [vx1], subnet: overlay}}"],
        addresses: "{eth0: 10.77.0.12, br0: 172.30.0.1}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up", "addr add 192.168.10.20/32 dev lo",
                  "route add 192.168.10.10 via 10.77.0.12",
                  "link add vx1 type vxlan id 7 local 192.168.10.20 remote 192.168.10.10 dstport 4789",
                  "addr add 172.30.0.2/24 dev vx1", "link set vx1 up"],
        proofs: &["ping -n -c 3 -i 0.2 -W 2 -M do -s 1422 172.30.0.2"],
    },
    Scenario {
        name: "a VLAN-aware bridge with its own side in the VLAN",
        profile: &[BOND, "bridges: {br0: {interfaces: [bond0], vlan-filtering: true, default-pvid: 0, \
                    ports: {bond0: {tagged: [500, 600]}, br0: {pvid: 500, untagged: [500]}}, subnet: lan}}"],
        addresses: "{br0: 172.16.0.12}",
        soon: SOON,
        switch: &[LACP[0], LACP[1], LACP[2], LACP[3], LACP[4], "link set lag up", "link add lag.500 link lag type vlan id 500",
                  "addr add 172.16.0.254/24 dev lag.500", "link set lag.500 up"],
        proofs: &["ping -n -c 3 -i 0.2 -W 2 172.16.0.254"],
    },
    Scenario {
        name: "Proxmox's form: the address on a VLAN of the bridge",
        profile: &[BOND, "bridges: {vmbr0: {interfaces: [bond0], vlan-filtering: true, stp: false, \
                    ports: {bond0: {tagged: [20, 500]}, vmbr0: {tagged: [500]}}}}",
                   "vlans: {vmbr0.500: {link: vmbr0, subnet: lan}}"],
        addresses: "{vmbr0.500: 172.16.0.12}",
        soon: SOON,
        switch: &[LACP[0], LACP[1], LACP[2], LACP[3], LACP[4], "link set lag up", "link add lag.500 link lag type vlan id 500",
                  "addr add 172.16.0.254/24 dev lag.500", "link set lag.500 up"],
        proofs: &["ping -n -c 3 -i 0.2 -W 2 172.16.0.254"],
    },
    Scenario {
        name: "ready/proxmox, with a guest in VLAN 3700",
        profile: &["extends: ready/proxmox", "parameters: {subnet: {default: lan}, vlan: {default: 500}}",
                   "bonds: {bond0: {nics: [eth0, eth1], lacp-rate: fast}}"],
        addresses: "{vmbr0.500: 172.16.0.12}",
        soon: SOON,
        switch: &[LACP[0], LACP[1], LACP[2], LACP[3], LACP[4], "link set lag up", "link add lag.500 link lag type vlan id 500",
                  "addr add 172.16.0.254/24 dev lag.500", "link set lag.500 up", "link add lag.3700 link lag type vlan id 3700",
                  "addr add 10.99.0.254/24 dev lag.3700", "link set lag.3700 up"],
        // A guest's tap is a port of vmbr0, in a VLAN of the range.
        proofs: &["ping -n -c 3 -i 0.2 -W 2 172.16.0.254",
                  "ip link add tap0 type veth peer name guest0; ip link set tap0 master vmbr0 up; bridge vlan add dev tap0 vid 3700 pvid untagged; \
                   ip addr add 10.99.0.7/24 dev guest0; ip link set guest0 up; ping -n -c 3 -i 0.2 -W 2 10.99.0.254"],
    },
    Scenario {
        name: "a bridge for guests without a port",
        profile: &["nics: {eth0: {subnet: boot}}", "bridges: {vmbr1: {interfaces: [], subnet: guests}}"],
        addresses: "{eth0: 10.77.0.12, vmbr1: 10.66.0.1}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up", "route add 10.66.0.0/24 via 10.77.0.12"],
        proofs: &["ip netns exec switch ping -n -c 2 -i 0.2 -W 2 10.66.0.1"],
    },
    Scenario {
        name: "an anycast address beside its subnet",
        profile: &["nics: {eth0: {subnet: boot}}", "dummies: {any0: {addresses: [{address: 10.77.0.53/32, role: anycast}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "addr add 10.77.0.9/24 dev port0", "link set port0 up",
                  "route add 10.77.0.53/32 via 10.77.0.12"],
        // The subnet's other hosts are still reached.
        proofs: &["ping -n -c 2 -i 0.2 -W 2 10.77.0.9", "ip netns exec switch ping -n -c 2 -i 0.2 -W 2 10.77.0.53"],
    },
    Scenario {
        name: "a bridge of MTU 1500 over a NIC of 9000",
        profile: &["vlans: {stor0: {link: eth0, subnet: storage}}", "bridges: {br0: {interfaces: [eth0], subnet: boot}}"],
        addresses: "{stor0: 10.88.0.12, br0: 10.77.0.12}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up", "link add port0.600 link port0 type vlan id 600",
                  "addr add 10.88.0.1/24 dev port0.600", "link set port0.600 mtu 9000 up"],
        proofs: &["test $(cat /sys/class/net/eth0/mtu) = 9000", "test $(cat /sys/class/net/br0/mtu) = 1500",
                  "test $(cat /sys/class/net/stor0/mtu) = 9000", "ping -n -c 2 -i 0.2 -W 2 -M do -s 1472 10.77.0.1",
                  "ping -n -c 2 -i 0.2 -W 2 -M do -s 8972 10.88.0.1", "test $(cat /sys/class/net/br0/mtu) = 1500"],
    },
    Scenario {
        name: "default routes as 0.0.0.0/0 and ::/0",
        profile: &["nics: {eth0: {subnet: boot, subnet6: lan6, default-route: false, \
                    routes: [{to: 0.0.0.0/0, via: 10.77.0.1}, {to: \"::/0\", via: \"2001:db8:5::1\"}]}}"],
        addresses: "{eth0: 10.77.0.12, eth0/lan6: \"2001:db8:5::12\"}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "addr add 2001:db8:5::1/64 dev port0 nodad", "link set port0 up",
                  "addr add 203.0.113.1/32 dev lo", "addr add 2001:db8:ffff::1/128 dev lo"],
        proofs: &["ping -n -c 2 -i 0.2 -W 2 203.0.113.1", "ping -n -c 2 -i 0.2 -W 2 2001:db8:ffff::1"],
    },
    Scenario {
        name: "a gateway at fe80::1",
        profile: &["nics: {eth0: {subnet: boot, subnet6: lan6}}"],
        addresses: "{eth0: 10.77.0.12, eth0/lan6: \"2001:db8:5::12\"}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "addr add fe80::1/64 dev port0 nodad", "link set port0 up",
                  "route add 2001:db8:5::/64 dev port0", "addr add 2001:db8:ffff::1/128 dev lo"],
        proofs: &["ping -n -c 2 -i 0.2 -W 2 2001:db8:ffff::1"],
    },
    Scenario {
        name: "two uplinks of a bridge with spanning tree",
        profile: &["bridges: {br0: {interfaces: [eth0, eth1], stp: true, forward-delay: 4s, subnet: boot}}"],
        addresses: "{br0: 10.77.0.12}",
        soon: 20.0,
        switch: &["link add sw type bridge forward_delay 0", "link set port0 master sw", "link set port1 master sw",
                  "link set port0 up", "link set port1 up", "addr add 10.77.0.1/24 dev sw", "link set sw up"],
        // Ten broadcasts are ten, and what spanning tree says of itself: not what goes round.
        proofs: &["ping -n -c 2 -i 0.2 -W 2 10.77.0.1", "bridge link show | busybox grep -q 'state blocking'",
                  "before=$(cat /sys/class/net/eth0/statistics/rx_packets); ip netns exec switch ping -n -b -c 10 -i 0.1 -W 1 10.77.0.255 >/dev/null; \
                   sleep 2; after=$(cat /sys/class/net/eth0/statistics/rx_packets); echo $((after - before)); test $((after - before)) -lt 100"],
    },
    Scenario {
        name: "a bond that asks its gateway by ARP",
        profile: &["bonds: {bond0: {nics: [eth0, eth1], mode: active-backup, arp-interval: 100ms, arp-ip-targets: [10.77.0.1], subnet: boot}}"],
        addresses: "{bond0: 10.77.0.12}",
        soon: SOON,
        switch: &["link add sw type bridge forward_delay 0", "link set port0 master sw", "link set port1 master sw",
                  "link set port0 up", "link set port1 up", "addr add 10.77.0.1/24 dev sw", "link set sw up"],
        // The switch's port is closed with the cable still carrying: only ARP notices it.
        proofs: &["ping -n -c 2 -i 0.2 -W 2 10.77.0.1",
                  "active=$(cat /sys/class/net/bond0/bonding/active_slave); bridge -n switch link set dev port${active#eth} state 0; sleep 3; \
                   test $(cat /sys/class/net/bond0/bonding/active_slave) != $active; status=$?; \
                   bridge -n switch link set dev port${active#eth} state 3; exit $status",
                  "ping -n -c 2 -i 0.2 -W 2 10.77.0.1"],
    },
    Scenario {
        name: "an address behind a load balancer",
        profile: &["nics: {eth0: {subnet: boot}}", "loopbacks: {lo: {addresses: [{address: 10.77.0.200/32, role: dsr}]}}"],
        addresses: "{eth0: 10.77.0.12}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up"],
        // Nobody hears of the address by ARP; who sends to the host's MAC gets an answer from it.
        proofs: &["! ip netns exec switch ping -n -c 2 -i 0.2 -W 1 10.77.0.200",
                  "ip -n switch neigh replace 10.77.0.200 lladdr 52:54:00:aa:00:01 dev port0; ip netns exec switch ping -n -c 2 -i 0.2 -W 2 10.77.0.200",
                  "ip netns exec switch ping -n -c 2 -i 0.2 -W 2 10.77.0.12"],
    },
    Scenario {
        name: "tunnel: GRE with a key",
        profile: &["nics: {eth0: {subnet: boot}}",
                   "tunnels: {over0: {mode: gre, link: eth0, remote: 10.77.0.1, id: 42, subnet: far}}"],
        addresses: "{eth0: 10.77.0.12, over0: 172.29.0.1}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up",
                  "link add over0 type gre local 10.77.0.1 remote 10.77.0.12 key 42", "addr add 172.29.0.2/24 dev over0", "link set over0 up"],
        proofs: &["ping -n -c 3 -i 0.2 -W 2 -M do -s 1444 172.29.0.2", "ip netns exec switch ping -n -c 3 -i 0.2 -W 2 172.29.0.1", PAYLOAD,
                  "ip -d link show over0 | busybox grep -q 'gre .*ikey 0.0.0.42'"],
    },
    Scenario {
        name: "tunnel: IPIP",
        profile: &["nics: {eth0: {subnet: boot}}",
                   "tunnels: {over0: {mode: ipip, link: eth0, remote: 10.77.0.1, ttl: 64, subnet: far}}"],
        addresses: "{eth0: 10.77.0.12, over0: 172.29.0.1}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up",
                  "link add over0 type ipip local 10.77.0.1 remote 10.77.0.12", "addr add 172.29.0.2/24 dev over0", "link set over0 up"],
        proofs: &["ping -n -c 3 -i 0.2 -W 2 -M do -s 1452 172.29.0.2", "ip netns exec switch ping -n -c 3 -i 0.2 -W 2 172.29.0.1", PAYLOAD],
    },
    Scenario {
        name: "tunnel: SIT",
        profile: &["nics: {eth0: {subnet: boot}}",
                   "tunnels: {over0: {mode: sit, link: eth0, remote: 10.77.0.1, ttl: 64, subnet6: far6, host-number6: 1}}"],
        addresses: "{eth0: 10.77.0.12}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up", "link add over0 type sit local 10.77.0.1 remote 10.77.0.12",
                  "addr add 2001:db8:29::2/64 dev over0 nodad", "link set over0 up"],
        proofs: &["ping -n -c 3 -i 0.2 -W 2 -M do -s 1432 2001:db8:29::2", "ip netns exec switch ping -n -c 3 -i 0.2 -W 2 2001:db8:29::1"],
    },
    Scenario {
        name: "tunnel: Geneve in a bridge",
        profile: &["nics: {eth0: {subnet: boot}}", "tunnels: {over0: {mode: geneve, link: eth0, remote: 10.77.0.1, id: 7}}",
                   "bridges: {br0: {interfaces: [over0], subnet: far, mtu: 1450}}"],
        addresses: "{eth0: 10.77.0.12, br0: 172.29.0.1}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up", "link add over0 type geneve id 7 remote 10.77.0.12",
                  "addr add 172.29.0.2/24 dev over0", "link set over0 up"],
        proofs: &["ping -n -c 3 -i 0.2 -W 2 -M do -s 1422 172.29.0.2", "ip netns exec switch ping -n -c 3 -i 0.2 -W 2 172.29.0.1", PAYLOAD],
    },
    Scenario {
        name: "tunnel: WireGuard, a mesh of two hosts",
        profile: &["nics: {eth0: {subnet: boot}}",
                   "wireguards: {over0: {subnet: far, listen-port: 51820, link: eth0, mesh: {label: office}}}"],
        addresses: "{eth0: 10.77.0.12, over0: 172.29.0.1}\n    labels: [office]\n  r1-n02:\n    profile: p\n    labels: [office]\n    \
                    network: {wireguards: {over0: {networks: [10.41.0.0/16]}}}\n    \
                    nics: {eth0: \"52:54:00:bb:00:01\"}\n    addresses: {eth0: 10.77.0.1, over0: 172.29.0.2}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up", "link add over0 type wireguard",
                  "addr add 172.29.0.2/24 dev over0", "addr add 10.41.0.1/32 dev lo", "link set over0 up mtu 1420"],
        // The other host has the key that follows for it, and the first one's public key.
        proofs: &["busybox base64 -d /usr/lib/proof/wg.b64 >/run/wg; busybox chmod 755 /run/wg; \
                   test \"$(/run/wg show over0 public-key)\" = \"$(cat /usr/lib/proof/own.pub)\"",
                  "ip netns exec switch /run/wg set over0 listen-port 51820 private-key /usr/lib/proof/peer.key \
                   peer $(cat /usr/lib/proof/own.pub) allowed-ips 172.29.0.1/32",
                  "ping -n -c 3 -i 0.2 -W 2 -M do -s 1392 172.29.0.2", "ip netns exec switch ping -n -c 3 -i 0.2 -W 2 172.29.0.1", PAYLOAD,
                  "ping -n -c 2 -i 0.2 -W 2 10.41.0.1", "test $(busybox stat -c %a:%G /etc/systemd/network/over0.key) = 640:systemd-network",
                  "/run/wg show over0"],
    },
    Scenario {
        name: "tunnel: WireGuard, the hub of two hosts",
        profile: &["nics: {eth0: {subnet: boot}}",
                   "wireguards: {over0: {subnet: far, listen-port: 51820, link: eth0, hub: r1-n01}}"],
        addresses: "{eth0: 10.77.0.12, over0: 172.29.0.1}\n  r1-n02:\n    profile: p\n    \
                    network: {wireguards: {over0: {networks: [10.42.0.0/16], link: null}}}\n    \
                    nics: {eth0: \"52:54:00:bb:00:01\"}\n    addresses: {eth0: 10.77.0.1, over0: 172.29.0.2}\n  r1-n03:\n    profile: p\n    \
                    network: {wireguards: {over0: {networks: [10.43.0.0/16], link: null}}}\n    \
                    nics: {eth0: \"52:54:00:bb:00:02\"}\n    addresses: {eth0: 10.77.0.3, over0: 172.29.0.3}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up", "link add over0 type wireguard",
                  "addr add 172.29.0.2/24 dev over0", "addr add 10.42.0.1/32 dev lo", "link set over0 up mtu 1420",
                  "route add 10.43.0.0/16 dev over0 src 10.42.0.1", "link add over1 type wireguard"],
        // The second spoke's link is moved to a namespace of its own, and still calls from the switch.
        proofs: &["busybox base64 -d /usr/lib/proof/wg.b64 >/run/wg; busybox chmod 755 /run/wg; ip netns add spoke; \
                   ip -n switch link set over1 netns spoke; ip -n spoke link set lo up; ip -n spoke addr add 172.29.0.3/24 dev over1; \
                   ip -n spoke addr add 10.43.0.1/32 dev lo; ip -n spoke link set over1 up mtu 1420; \
                   ip -n spoke route add 10.42.0.0/16 dev over1 src 10.43.0.1",
                  "ip netns exec switch /run/wg set over0 private-key /usr/lib/proof/peer.key \
                   peer $(cat /usr/lib/proof/own.pub) endpoint 10.77.0.12:51820 allowed-ips 172.29.0.0/24,10.43.0.0/16",
                  "ip netns exec spoke /run/wg set over1 private-key /usr/lib/proof/peer3.key \
                   peer $(cat /usr/lib/proof/own.pub) endpoint 10.77.0.12:51820 allowed-ips 172.29.0.0/24,10.42.0.0/16",
                  "ip netns exec switch ping -n -c 2 -i 0.2 -W 2 172.29.0.1", "ip netns exec spoke ping -n -c 2 -i 0.2 -W 2 172.29.0.1",
                  "ping -n -c 3 -i 0.2 -W 2 -M do -s 1392 172.29.0.2", PAYLOAD,
                  "ip netns exec spoke ping -n -c 3 -i 0.2 -W 2 -M do -s 1392 172.29.0.2",
                  "ip netns exec switch ping -n -c 2 -i 0.2 -W 2 -I 10.42.0.1 10.43.0.1"],
    },
    Scenario {
        name: "MACsec, a mesh of two hosts",
        profile: &["nics: {eth0: {subnet: boot}}", "macsecs: {sec0: {link: eth0, subnet: far, mesh: {label: office}}}"],
        addresses: "{eth0: 10.77.0.12, sec0: 172.29.0.1}\n    labels: [office]\n  r1-n02:\n    profile: p\n    labels: [office]\n    \
                    nics: {eth0: \"52:54:00:bb:00:01\"}\n    addresses: {eth0: 10.77.0.1, sec0: 172.29.0.2}",
        soon: SOON,
        switch: &["addr add 10.77.0.1/24 dev port0", "link set port0 up", "link add over0 link port0 type macsec port 1 encrypt on",
                  "addr add 172.29.0.2/24 dev over0", "macsec add over0 rx port 1 address 52:54:00:aa:00:01"],
        // The other host sends with the key that follows for it, and hears with the first one's.
        proofs: &["ip -n switch macsec add over0 tx sa 0 pn 1 on key 00 $(cat /usr/lib/proof/macsec-peer.key); \
                   ip -n switch macsec add over0 rx port 1 address 52:54:00:aa:00:01 sa 0 pn 1 on key 00 $(cat /usr/lib/proof/macsec-own.key); \
                   ip -n switch link set over0 up",
                  "ping -n -c 3 -i 0.2 -W 2 -M do -s 1440 172.29.0.2", "ip netns exec switch ping -n -c 3 -i 0.2 -W 2 172.29.0.1", PAYLOAD,
                  "test $(cat /sys/class/net/sec0/mtu) = 1468", "ip macsec show sec0 | busybox grep -q 'encrypt on'",
                  "test $(busybox stat -c %a:%G /etc/systemd/network/sec0.r1-n02.key) = 640:systemd-network",
                  // Nobody with another key is heard, and nothing is heard without one.
                  "ip -n switch macsec set over0 tx sa 0 off; ip -n switch macsec del over0 tx sa 0; \
                   ip -n switch macsec add over0 tx sa 0 pn 1 on key 00 $(cat /usr/lib/proof/macsec-own.key); \
                   ! ping -n -c 2 -i 0.2 -W 1 172.29.0.2",
                  "ip -n switch macsec set over0 tx sa 0 off; ip -n switch macsec del over0 tx sa 0; \
                   ip -n switch macsec add over0 tx sa 0 pn 1 on key 00 $(cat /usr/lib/proof/macsec-peer.key); \
                   ping -n -c 2 -i 0.2 -W 2 172.29.0.2"],
    },
];

/// A megabyte of random bytes comes through as it was. Each end keeps its input open until the
/// other one is done: busybox's nc ends with the first end of file that it sees.
const PAYLOAD: &str = "busybox head -c 1000000 /dev/urandom >/run/sent; busybox rm -f /run/got; \
    ip netns exec switch busybox timeout 20 busybox nc -l -p 7000 </run/sent >/dev/null & sleep 1; \
    sleep 4 | busybox timeout 20 busybox nc 172.29.0.2 7000 >/run/got; wait; \
    busybox cmp /run/sent /run/got";

/// The keyring that the keys of WireGuard follow from.
fn keyring() -> Keyring {
    Keyring::new(BTreeMap::new(), KeyState::Open(MasterKey::new([7; 32]).into()))
}

/// What the other end of a tunnel needs: its own key, the host's public one, and the program that
/// sets them (of the package wireguard-tools), in base64.
fn files_of_other_end() -> Vec<HostFile> {
    let keyring = keyring();
    let peer = keyring.wireguard_private("r1-n02", "over0", true).to_string();
    let own = keyring.wireguard_public(golden::HOST, "over0").unwrap();
    let program = std::fs::read(tools::root().join("usr/bin/wg")).unwrap_or_default();
    let macsec = |host| keyring.macsec_key(host, "sec0", true).to_string();
    let (macsec_own, macsec_peer) = (macsec(golden::HOST), macsec("r1-n02"));
    let third = keyring.wireguard_private("r1-n03", "over0", true).to_string();
    [
        ("peer.key", peer),
        ("peer3.key", third),
        ("own.pub", own),
        ("wg.b64", STANDARD.encode(program)),
        ("macsec-own.key", macsec_own),
        ("macsec-peer.key", macsec_peer),
    ]
    .map(|(name, text)| file(&format!("/usr/lib/proof/{name}"), &format!("{text}\n")))
    .into()
}

fn site(scenario: &Scenario, systemd: u16) -> ResolvedSite {
    let keys: String = scenario.profile.iter().map(|key| format!("    {key}\n")).collect();
    let text = format!(
        "{SUBNETS}profiles:\n  p:\n    systemd: {systemd}\n{keys}hosts:\n  {}:\n    profile: p\n    \
         nics: {{eth0: \"52:54:00:aa:00:01\", eth1: \"52:54:00:aa:00:02\"}}\n    addresses: {}\n",
        golden::HOST,
        scenario.addresses
    );
    serde_saphyr::from_str::<ResolvedSite>(&text)
        .unwrap_or_else(|error| panic!("{}: {error}\n{text}", scenario.name))
        .with_keyring(keyring())
        .for_the_host()
}

fn directory(scenario: &Scenario) -> String {
    let letters = scenario.name.chars().filter(char::is_ascii_alphanumeric);
    format!("/proof/{}", letters.collect::<String>())
}

fn files(scenario: &Scenario, systemd: u16) -> Vec<HostFile> {
    let rendered = render_host(&site(scenario, systemd), golden::HOST, Format::Networkd);
    let rendered = rendered.unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
    let place = |path: &str| format!("{}{path}", directory(scenario));
    let place = |one: File| HostFile { path: place(&one.path()), mode: one.mode, text: one.text };
    rendered.into_iter().map(place).collect()
}

/// Brings the host up and gives how long networkd took to call it online, and what is wrong.
fn run(guest: &mut Guest, scenario: &Scenario, systemd: u16) -> (f64, Vec<String>) {
    guest.ok("sh /usr/lib/proof/reset");
    guest.ok(&Partner::default().shell());
    guest
        .ok("ip -n switch link del vx1 2>/dev/null; ip -n switch link del over0 2>/dev/null; ip -n switch addr flush dev lo scope global; \
              ip -n switch -6 addr flush dev lo scope global; ip -n switch link set lo up");
    for command in scenario.switch {
        guest.ok(&format!("ip -n switch {command}"));
    }
    guest.ok(&format!("busybox cp -r {}/etc /", directory(scenario)));
    guest.ok("/usr/lib/systemd/systemd-sysctl; udevadm control --reload; systemctl daemon-reload");
    let said = guest.ok("systemctl start systemd-networkd; read from _ </proc/uptime; \
         /usr/lib/systemd/systemd-networkd-wait-online --timeout=40 >&2; status=$?; \
         read to _ </proc/uptime; echo $from $to $status");
    let times: Vec<f64> =
        said.lines().last().unwrap().split(' ').map(|number| number.parse().unwrap()).collect();
    let online = times[1] - times[0];
    let mut wrong = Vec::new();
    if times[2] != 0.0 || online > scenario.soon {
        wrong.push(format!("{}: online after {online:.1} s", scenario.name));
    }
    let network = layout(&site(scenario, systemd), golden::HOST);
    let differences = (0..TRIES).find_map(|_| {
        let left = Kernel::read(|words| guest.ip(words)).differences(&network);
        if left.is_empty() {
            return Some(());
        }
        guest.ok("sleep 1");
        None
    });
    if differences.is_none() {
        let left = Kernel::read(|words| guest.ip(words)).differences(&network);
        wrong.push(format!("{}: not as modelled: {left:?}", scenario.name));
    }
    for proof in scenario.proofs {
        let mut said = String::new();
        let works = (0..TRIES).any(|_| {
            let (printed, status) = guest.run(proof);
            said = printed;
            status == 0 || guest.run("sleep 1").1 != 0
        });
        if !works {
            let state = guest.run("ip -d link; ip addr; ip route; bridge vlan; bridge link").0;
            wrong.push(format!("{}: {proof}: {said}\n{state}", scenario.name));
        }
    }
    (online, wrong)
}

fn prove(test: &str, systemd: u16, image: Result<Image, String>) {
    let image = match image {
        Ok(image) => image,
        Err(why) => return skip(test, &format!("the guest's image cannot be built: {why}")),
    };
    // Those of one kind alone, by a part of their names.
    let part = std::env::var("SCENARIO").unwrap_or_default();
    let chosen = || SCENARIOS.iter().filter(|scenario| scenario.name.contains(&part));
    let all = chosen().flat_map(|scenario| files(scenario, systemd));
    let mut guest = Guest::boot(&image, all.chain(files_of_other_end()).collect());
    guest.ok("for module in wireguard geneve ip_gre ipip sit macsec; do modprobe $module; done");
    let version = guest.ok("networkctl --version");
    assert!(version.starts_with(&format!("systemd {systemd}")), "{version}");
    println!("{test}");
    let mut wrong = Vec::new();
    for scenario in chosen() {
        let (online, found) = run(&mut guest, scenario, systemd);
        let verdict = if found.is_empty() { "carries" } else { "FAILS" };
        println!("systemd {systemd}: {:<52} online {online:>5.1} s  {verdict}", scenario.name);
        wrong.extend(found);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
#[ignore = "takes minutes: make test-full"]
fn networks_that_have_to_carry_traffic_carry_it_on_debian_12() {
    let test = "networks_that_have_to_carry_traffic_carry_it_on_debian_12";
    prove(test, 252, Image::build(None));
}

#[test]
#[ignore = "takes minutes: make test-full"]
fn networks_that_have_to_carry_traffic_carry_it_on_debian_13() {
    let test = "networks_that_have_to_carry_traffic_carry_it_on_debian_13";
    let apt = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/trees/trixie/apt.conf");
    if !apt.exists() {
        return skip(test, "tests/tools/get-trees.sh could not reach Debian 13 in apt's mirror");
    }
    prove(test, 257, Image::build(Some(&apt)));
}
