//! Twenty configurations of the kinds that public repositories and manuals show, with addresses of
//! documentation: each is taken over, rendered again, and means the same. What is still impossible
//! is named line by line.

use std::fs;

use serde_json::Value;

use crate::import_servers::rackstrap;

/// A configuration of one host.
struct Public {
    /// Where the kind was seen.
    seen: &'static str,
    /// The format that it is compared in.
    format: &'static str,
    /// Its files, below the directory of the host.
    files: &'static [(&'static str, &'static str)],
    /// What the report says of it, each by its beginning.
    left: &'static [&'static str],
}

const CONFIGURATIONS: &[Public] = &[
    Public {
        seen: "canonical/netplan examples/bonding_router.yaml: three bonds of a router",
        format: "netplan",
        files: &[("etc/netplan/50.yaml", "\
network:
  version: 2
  renderer: networkd
  ethernets:
    enp1s0: {dhcp4: no}
    enp2s0: {dhcp4: no}
    enp3s0: {dhcp4: no, optional: true}
    enp4s0: {dhcp4: no, optional: true}
    enp5s0: {dhcp4: no, optional: true}
    enp6s0: {dhcp4: no, optional: true}
  bonds:
    bond-lan:
      interfaces: [enp2s0, enp3s0]
      addresses: [198.51.100.2/24]
      parameters: {mode: 802.3ad, mii-monitor-interval: 1}
    bond-wan:
      interfaces: [enp1s0, enp4s0]
      addresses: [192.0.2.252/24]
      nameservers: {search: [local], addresses: [192.0.2.8, 192.0.2.9]}
      parameters: {mode: active-backup, mii-monitor-interval: 1, gratuitous-arp: 5}
      routes: [{to: default, via: 192.0.2.1}]
    bond-conntrack:
      interfaces: [enp5s0, enp6s0]
      addresses: [203.0.113.2/24]
      parameters: {mode: balance-rr, mii-monitor-interval: 1}
")],
        left: &[],
    },
    Public {
        seen: "canonical/netplan examples/vlan.yaml: VLANs on a NIC that is found by its MAC",
        format: "netplan",
        files: &[("etc/netplan/50.yaml", "\
network:
  version: 2
  ethernets:
    mainif:
      match: {macaddress: \"02:00:5e:00:53:01\"}
      set-name: mainif
      addresses: [192.0.2.5/24]
      nameservers: {addresses: [192.0.2.8, 192.0.2.9], search: [example.com]}
      routes: [{to: default, via: 192.0.2.1}]
  vlans:
    vlan15: {id: 15, link: mainif, addresses: [198.51.100.5/24]}
    vlan10: {id: 10, link: mainif, addresses: [203.0.113.5/24], nameservers: {addresses: [203.0.113.53], search: [domain1.example.com]}}
")],
        left: &[],
    },
    Public {
        seen: "canonical/netplan examples/static_singlenic_multiip_multigateway.yaml: two gateways by metric",
        format: "netplan",
        files: &[("etc/netplan/50.yaml", "\
network:
  version: 2
  ethernets:
    eno1:
      addresses: [192.0.2.10/24, 198.51.100.11/24]
      nameservers: {addresses: [192.0.2.8]}
      routes: [{to: 0.0.0.0/0, via: 192.0.2.1, metric: 100}, {to: 0.0.0.0/0, via: 198.51.100.1, metric: 200}]
")],
        left: &[],
    },
    Public {
        seen: "canonical/netplan examples/source_routing.yaml: two NICs with tables of their own",
        format: "netplan",
        files: &[("etc/netplan/50.yaml", "\
network:
  version: 2
  ethernets:
    ens3:
      addresses: [192.0.2.30/24]
      dhcp4: no
      routes: [{to: 192.0.2.0/24, via: 192.0.2.1, table: 101}, {to: default, via: 192.0.2.1, table: 101}]
      routing-policy: [{from: 192.0.2.0/24, table: 101, priority: 100}]
    ens5:
      addresses: [198.51.100.24/24]
      dhcp4: no
      routes: [{to: default, via: 198.51.100.1}, {to: default, via: 198.51.100.1, table: 102}]
      routing-policy: [{from: 198.51.100.0/24, table: 102}]
")],
        // netplan leaves the order of rules to the kernel where none is said.
        left: &["routing-policy"],
    },
    Public {
        seen: "canonical/netplan examples/bridge_vlan.yaml: a bridge over a VLAN",
        format: "netplan",
        files: &[("etc/netplan/50.yaml", "\
network:
  version: 2
  renderer: networkd
  ethernets: {enp0s25: {dhcp4: true}}
  bridges: {br0: {addresses: [192.0.2.25/24], interfaces: [vlan15], parameters: {stp: false}}}
  vlans: {vlan15: {accept-ra: no, id: 15, link: enp0s25}}
")],
        left: &[],
    },
    Public {
        seen: "canonical/netplan examples/vxlan.yaml: VXLANs from the loopback, bridges in a VRF",
        format: "netplan",
        files: &[("etc/netplan/50.yaml", "\
network:
  version: 2
  renderer: networkd
  ethernets:
    lo: {addresses: [192.0.2.10/32]}
    eth0: {addresses: [198.51.100.10/24], mtu: 9000}
  vrfs: {vrf1005: {table: 1005, interfaces: [br1005]}}
  bridges:
    br1005: {interfaces: [vxlan1005], parameters: {stp: false}}
  tunnels:
    vxlan1005: {mode: vxlan, id: 1005, link: lo, mtu: 8950, accept-ra: no, neigh-suppress: true, mac-learning: false, port: 4789, local: 192.0.2.10}
")],
        left: &["vxlan1005.neigh-suppress: true"],
    },
    Public {
        seen: "cloud-init on Ubuntu, 50-cloud-init.yaml: DHCP on a NIC that is found by its MAC",
        format: "netplan",
        files: &[("etc/netplan/50-cloud-init.yaml", "\
network:
  version: 2
  ethernets:
    eth0:
      dhcp4: true
      dhcp6: false
      match: {macaddress: \"02:00:5e:00:53:0a\"}
      set-name: eth0
")],
        left: &[],
    },
    Public {
        seen: "systemd.network(5): a bridge with two ports",
        format: "networkd",
        files: &[
            ("etc/systemd/network/25-bridge-static.network", "\
[Match]
Name=bridge0

[Network]
Address=192.0.2.15/24
Gateway=192.0.2.1
DNS=192.0.2.1
"),
            ("etc/systemd/network/25-bridge-interface-1.network", "[Match]\nName=enp2s0\n\n[Network]\nBridge=bridge0\n"),
            ("etc/systemd/network/25-bridge-interface-2.network", "[Match]\nName=wlp3s0\n\n[Network]\nBridge=bridge0\n"),
            ("etc/systemd/network/25-bridge.netdev", "[NetDev]\nName=bridge0\nKind=bridge\n"),
        ],
        left: &[],
    },
    Public {
        seen: "systemd.network(5): VLAN filtering, a port with a PVID and a trunk",
        format: "networkd",
        files: &[
            ("etc/systemd/network/20-bridge-slave-interface-vlan.network", "\
[Match]
Name=enp2s0

[Network]
Bridge=bridge0

[BridgeVLAN]
VLAN=1-32
PVID=42
EgressUntagged=42

[BridgeVLAN]
VLAN=100-200

[BridgeVLAN]
EgressUntagged=300-400
"),
            ("etc/systemd/network/25-bridge.netdev", "[NetDev]\nName=bridge0\nKind=bridge\n\n[Bridge]\nVLANFiltering=yes\n"),
            ("etc/systemd/network/26-bridge.network", "[Match]\nName=bridge0\n\n[Network]\nAddress=192.0.2.15/24\n"),
        ],
        left: &[],
    },
    Public {
        seen: "amazonlinux/amazon-ec2-net-utils: drop-ins with tables and rules of a second NIC",
        format: "networkd",
        files: &[
            ("etc/systemd/network/70-eth1.network", "\
[Match]
PermanentMACAddress=02:00:5e:00:53:02
Name=eth1

[Network]
Address=192.0.2.20/24

[Link]
MTUBytes=1500
"),
            ("etc/systemd/network/70-eth1.network.d/eni.conf", "\
# Configuration of the second NIC
[Link]
MTUBytes=9000

[Route]
Table=10001
Gateway=192.0.2.1
"),
            ("etc/systemd/network/70-eth1.network.d/ec2net_policy_ipv4.conf", "\
[RoutingPolicyRule]
From=192.0.2.20
Priority=10001
Table=10001
"),
        ],
        left: &[],
    },
    Public {
        seen: "systemd.netdev(5): an LACP bond, its members by MAC, a VLAN on it",
        format: "networkd",
        files: &[
            ("etc/systemd/network/10-bond1.netdev", "\
[NetDev]
Name=bond1
Kind=bond

[Bond]
Mode=802.3ad
TransmitHashPolicy=layer3+4
MIIMonitorSec=1s
LACPTransmitRate=fast
"),
            ("etc/systemd/network/20-a.network", "[Match]\nMACAddress=02:00:5e:00:53:03\n\n[Network]\nBond=bond1\n"),
            ("etc/systemd/network/20-b.network", "[Match]\nMACAddress=02:00:5e:00:53:04\n\n[Network]\nBond=bond1\n"),
            ("etc/systemd/network/30-bond1.network", "[Match]\nName=bond1\n\n[Network]\nVLAN=mgmt\nLinkLocalAddressing=no\n"),
            ("etc/systemd/network/31-mgmt.netdev", "[NetDev]\nName=mgmt\nKind=vlan\n\n[VLAN]\nId=20\n"),
            ("etc/systemd/network/32-mgmt.network", "\
[Match]
Name=mgmt

[Network]
Address=192.0.2.21/24
Gateway=192.0.2.1
DNS=192.0.2.53
Domains=rack.example
IPv6AcceptRA=no
IPForward=yes
"),
        ],
        left: &["[Network] IPForward=yes"],
    },
    Public {
        seen: "systemd.netdev(5) and systemd.network(5): a VRF, a VXLAN by unicast, a MACVLAN",
        format: "networkd",
        files: &[
            ("etc/systemd/network/10-eth0.network", "[Match]\nName=eth0\n\n[Network]\nAddress=192.0.2.22/24\nVXLAN=vxlan7\nMACVLAN=guest\n"),
            ("etc/systemd/network/11-eth1.network", "[Match]\nName=eth1\n\n[Network]\nAddress=198.51.100.22/24\nVRF=blue\n"),
            ("etc/systemd/network/12-blue.netdev", "[NetDev]\nName=blue\nKind=vrf\n\n[VRF]\nTable=1042\n"),
            ("etc/systemd/network/13-vxlan7.netdev", "[NetDev]\nName=vxlan7\nKind=vxlan\nMTUBytes=1450\n\n[VXLAN]\nVNI=7\nRemote=192.0.2.99\nDestinationPort=4789\n"),
            ("etc/systemd/network/14-guest.netdev", "[NetDev]\nName=guest\nKind=macvlan\n\n[MACVLAN]\nMode=bridge\n"),
            ("etc/systemd/network/15-guest.network", "[Match]\nName=guest\n\n[Network]\nAddress=203.0.113.22/24\n"),
        ],
        left: &[],
    },
    Public {
        seen: "Proxmox VE administration guide: a bridge that knows VLANs, management in one of them",
        format: "ifupdown2",
        files: &[("etc/network/interfaces", "\
auto lo
iface lo inet loopback

iface eno1 inet manual

auto vmbr0
iface vmbr0 inet manual
        bridge-ports eno1
        bridge-stp off
        bridge-fd 0
        bridge-vlan-aware yes
        bridge-vids 2-4094

auto vmbr0.5
iface vmbr0.5 inet static
        address 192.0.2.23/24
        gateway 192.0.2.1
")],
        left: &[],
    },
    Public {
        seen: "Proxmox VE administration guide: an LACP bond below a bridge",
        format: "ifupdown2",
        files: &[("etc/network/interfaces", "\
auto lo
iface lo inet loopback

iface eno1 inet manual
iface eno2 inet manual

auto bond0
iface bond0 inet manual
      bond-slaves eno1 eno2
      bond-miimon 100
      bond-mode 802.3ad
      bond-xmit-hash-policy layer2+3

auto vmbr0
iface vmbr0 inet static
        address 192.0.2.24/24
        gateway 192.0.2.1
        bridge-ports bond0
        bridge-stp off
        bridge-fd 0
")],
        left: &[],
    },
    Public {
        seen: "CumulusNetworks/docs: a server's bond with two VLANs, a loopback address",
        format: "ifupdown2",
        files: &[("etc/network/interfaces", "\
auto lo
iface lo inet loopback
auto lo
iface lo inet static
address 203.0.113.31/32

auto eth0
iface eth0 inet dhcp

auto eth1
iface eth1

auto eth2
iface eth2

auto bond1
iface bond1
bond-slaves eth1 eth2
bond-miimon 100
bond-min-links 1
bond-mode 802.3ad
bond-xmit-hash-policy layer3+4
bond-lacp-rate 1

auto bond1.10
iface bond1.10
address 192.0.2.101/24
auto bond1.20
iface bond1.20
address 198.51.100.101/24
")],
        left: &[],
    },
    Public {
        seen: "Debian Wiki, NetworkConfiguration: netmask, a route by a command, both families",
        format: "ifupdown2",
        files: &[("etc/network/interfaces", "\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

allow-hotplug ens3
iface ens3 inet static
    address 192.0.2.25
    netmask 255.255.255.0
    gateway 192.0.2.1
    dns-nameservers 192.0.2.53
    up ip route add 198.51.100.0/24 via 192.0.2.254
    down ip route del 198.51.100.0/24 via 192.0.2.254

iface ens3 inet6 static
    address 2001:db8:0:1::25/64
    gateway 2001:db8:0:1::1
    pre-up /sbin/ip6tables-restore /etc/rules.v6
")],
        left: &["source /etc/network/interfaces.d/*", "pre-up /sbin/ip6tables-restore"],
    },
    Public {
        seen: "canonical/cloud-init tests/unittests/net/network_configs.py: a bond whose members name it by UUID",
        format: "networkmanager",
        files: &[
            ("etc/NetworkManager/system-connections/cloud-init-bond0.nmconnection", "\
[connection]
id=cloud-init bond0
uuid=54317911-f840-516b-a10d-82cb4c1f075c
autoconnect-priority=120
type=bond
interface-name=bond0

[user]
org.freedesktop.NetworkManager.origin=cloud-init

[bond]
mode=active-backup
miimon=100

[ipv4]
method=manual
may-fail=false
address1=192.0.2.26/24
gateway=192.0.2.1
dns=192.0.2.53;
"),
            ("etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection", "\
[connection]
id=cloud-init eth0
type=ethernet
slave-type=bond
master=54317911-f840-516b-a10d-82cb4c1f075c
interface-name=eth0

[ethernet]
mac-address=02:00:5E:00:53:05
"),
            ("etc/NetworkManager/system-connections/cloud-init-eth1.nmconnection", "\
[connection]
id=cloud-init eth1
type=ethernet
slave-type=bond
master=54317911-f840-516b-a10d-82cb4c1f075c
interface-name=eth1

[ethernet]
mac-address=02:00:5E:00:53:06
"),
        ],
        left: &["[connection] autoconnect-priority=120", "[ipv4] may-fail=false", "[user] org.freedesktop.NetworkManager.origin=cloud-init"],
    },
    Public {
        seen: "canonical/netplan tests/generator/test_ethernets.py and RHEL's guide: a VLAN on a bond as keyfiles",
        format: "networkmanager",
        files: &[
            ("etc/NetworkManager/system-connections/bond0.nmconnection", "[connection]\nid=bond0\ntype=bond\ninterface-name=bond0\n\n[bond]\nmode=802.3ad\nmiimon=100\nlacp_rate=fast\nxmit_hash_policy=layer3+4\n\n[ethernet]\nmtu=9000\n\n[ipv4]\nmethod=disabled\n\n[ipv6]\nmethod=ignore\n"),
            ("etc/NetworkManager/system-connections/p1.nmconnection", "[connection]\nid=p1\ntype=ethernet\ninterface-name=p1\nmaster=bond0\nslave-type=bond\n"),
            ("etc/NetworkManager/system-connections/p2.nmconnection", "[connection]\nid=p2\ntype=ethernet\ninterface-name=p2\nmaster=bond0\nslave-type=bond\n"),
            ("etc/NetworkManager/system-connections/vlan.nmconnection", "[connection]\nid=storage\ntype=vlan\ninterface-name=bond0.108\n\n[vlan]\nid=108\nparent=bond0\n\n[ethernet]\nmtu=9000\n\n[ipv4]\nmethod=manual\naddress1=192.0.2.27/24\nroute1=198.51.100.0/24,192.0.2.1,50\nroute1_options=mtu=1400\n\n[ipv6]\nmethod=ignore\n"),
        ],
        left: &[],
    },
    Public {
        seen: "nmstate/nmstate examples/linuxbrige_eth1_up_port_vlan.yml: a trunk with a native VLAN",
        format: "nmstate",
        files: &[("etc/nmstate/bridge.yml", "\
---
interfaces:
  - name: eth1
    type: ethernet
    state: up
  - name: linux-br0
    type: linux-bridge
    state: up
    ipv4: {enabled: true, address: [{ip: 192.0.2.28, prefix-length: 24}]}
    bridge:
      port:
        - name: eth1
          stp-hairpin-mode: false
          stp-path-cost: 100
          stp-priority: 32
          vlan:
            mode: trunk
            trunk-tags:
              - id: 101
              - id-range: {min: 500, max: 599}
            tag: 100
            enable-native: true
")],
        left: &[],
    },
    Public {
        seen: "nmstate/nmstate examples/bond_linuxbridge_vlan_up.yml, eth1_add_route.yml, dns_edit_eth1.yml",
        format: "nmstate",
        files: &[("etc/nmstate/all.yml", "\
---
dns-resolver:
  config:
    search: [example.com]
    server: [192.0.2.53]
routes:
  config:
    - {destination: 198.51.100.0/24, metric: 150, next-hop-address: 192.0.2.1, next-hop-interface: br0, table-id: 254}
    - {destination: 0.0.0.0/0, next-hop-address: 192.0.2.1, next-hop-interface: br0}
interfaces:
  - {name: vlan29, type: vlan, state: up, vlan: {base-iface: bond0, id: 29}}
  - {name: br29, type: linux-bridge, state: up, bridge: {port: [{name: vlan29}]}}
  - name: br0
    type: linux-bridge
    state: up
    ipv4: {enabled: true, address: [{ip: 192.0.2.29, prefix-length: 24}]}
    bridge: {options: {stp: {enabled: false}}, port: [{name: bond0}]}
  - {name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, slaves: [eth1, eth2]}}
  - {name: eth1, type: ethernet, state: up}
  - {name: eth2, type: ethernet, state: up}
")],
        left: &[],
    },
];

#[test]
fn twenty_public_configurations_are_taken_over_and_mean_the_same() {
    assert_eq!(CONFIGURATIONS.len(), 20);
    let mut wrong = Vec::new();
    for (number, public) in CONFIGURATIONS.iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for (name, text) in public.files {
            let file = path.join("hosts/n1").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let read = rackstrap(path, &["--json", "import", "hosts"]);
        let imported: Value = serde_json::from_slice(&read.stdout).unwrap();
        let report = imported["not_taken"].as_array().unwrap();
        let said: Vec<&str> = report.iter().map(|one| one["text"].as_str().unwrap()).collect();
        let is_known = said.len() == public.left.len()
            && said.iter().all(|text| public.left.iter().any(|known| text.starts_with(known)));
        if !is_known {
            wrong.push(format!("{number} {}: report {report:#?}", public.seen));
        }
        let done = rackstrap(path, &["import", "--apply", "hosts"]);
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            wrong.push(format!("{number} {}: {said}", public.seen));
            continue;
        }
        let words = ["render", "n1", "--format", public.format, "--diff", "hosts/n1"];
        let compared = rackstrap(path, &words);
        let said = String::from_utf8_lossy(&compared.stdout).into_owned();
        let error = String::from_utf8_lossy(&compared.stderr).into_owned();
        if !(compared.status.success() && said.is_empty()) {
            wrong.push(format!("{number} {}: {said}{error}", public.seen));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
