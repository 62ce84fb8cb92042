//! A host's network as links: what a profile comes to for one host. Pure data.

mod layer3;
mod written;

use std::collections::BTreeMap;
use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;

use super::auth::PortAuth;
use super::bgp::Bgp;
use super::macsec::Macsec;
use super::source_nat::SourceNat;
use super::wireguard::Wireguard;
use crate::model::{
    AddressRole, BondSpec, BridgeSpec, Defaults, ExtraFile, Family, IpvlanSpec, LinkMac,
    LinkSettings, Mac, MacsecSpec, MacvlanSpec, MatchBy, NcclSpec, NicAddress, NicSpec,
    PartitionSpec, SharedAddress, TunnelMode, TunnelSpec, VlanProtocol, VxlanSpec, WireguardSpec,
};

pub use layer3::{Borne, Computed, Layer3, NotComputed, NotComputedCause};
pub use written::WrittenAddress;

/// Everything that renderers, checks and drawings need to know of one host's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNetwork {
    /// The host's name.
    pub host: String,
    /// The profile that it came from; none for a host without one.
    pub profile: Option<String>,
    /// Whether the renderer adds what makes the host come up well.
    pub defaults: Defaults,
    /// How the files find the physical NICs.
    pub match_by: MatchBy,
    /// The version of systemd that reads the files.
    pub systemd: u16,
    /// What the host says by BGP, if anything.
    pub bgp: Option<Bgp>,
    /// The links that the connections of processors, users and slices leave by.
    pub source_nat: Vec<SourceNat>,
    /// What NCCL is told of the links.
    pub nccl: Option<NcclSpec>,
    /// Rules whose warnings about the profile are silenced.
    pub allow: Vec<String>,
    /// Kernel settings, by name.
    pub sysctls: BTreeMap<String, String>,
    /// Whole files that the profile adds, by path.
    pub extra_files: IndexMap<String, ExtraFile>,
    /// The links by name: NICs in the order of the slots, then bonds, VLANs, bridges.
    pub links: IndexMap<String, Link>,
}

/// One network interface of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface's name.
    pub name: String,
    /// What it is, with what is particular to that kind.
    pub kind: Kind,
    /// The bond, bridge or VRF that has taken it in.
    pub master: Option<String>,
    /// How many links lie below it at most: 0 for a NIC, 1 for a bond of NICs and so on.
    pub layer: usize,
    /// What it is for.
    pub role: Role,
    /// The MAC that is written for it; none leaves the kernel's or networkd's choice.
    pub mac: Option<Mac>,
    /// What the profile says of it, with what its defaults and the links around it add.
    pub settings: LinkSettings,
    /// What the profile says of the hardware, of a NIC that it speaks of.
    pub nic: Option<Box<NicSpec>>,
    /// How it is let in where its switch asks who is there.
    pub auth: Option<Box<PortAuth>>,
    /// The subnets that it carries, even where a link above has the address.
    pub subnets: Vec<String>,
    /// Addresses, routes and resolvers.
    pub layer3: Layer3,
}

/// What a link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A physical NIC with its permanent address, if the inventory has one for it.
    Nic(Option<NicAddress>),
    /// A bond; its members are the links whose master it is.
    Bond(BondSpec),
    /// A VLAN.
    Vlan {
        /// The link below.
        parent: String,
        /// The VLAN id; none when neither profile nor subnet gives one.
        id: Option<u16>,
        /// The protocol of the tag.
        protocol: VlanProtocol,
        /// The kernel's priorities by the tag's, and the tag's by the kernel's.
        qos: Qos,
    },
    /// A VXLAN tunnel on the link `spec.link`.
    Vxlan {
        /// What the profile says of it.
        spec: VxlanSpec,
        /// The address that it leaves from: that of the link below.
        local: Option<IpAddr>,
    },
    /// A tunnel between two hosts, from the link `spec.link`.
    Tunnel {
        /// What the profile says of it.
        spec: TunnelSpec,
        /// The address that it leaves from: that of the link below.
        local: Option<IpAddr>,
    },
    /// A link of WireGuard.
    Wireguard {
        /// What the profile says of it.
        spec: Box<WireguardSpec>,
        /// Its keys and its peers.
        wireguard: Box<Wireguard>,
    },
    /// A link of MACsec on the link `spec.link`.
    Macsec {
        /// What the profile says of it.
        spec: Box<MacsecSpec>,
        /// Its key, and whom it hears.
        macsec: Box<Macsec>,
    },
    /// A bridge; its ports are the links whose master it is.
    Bridge(BridgeSpec),
    /// A routing domain with its table; the links in it are those whose master it is.
    Vrf(Option<u32>),
    /// A link to nowhere.
    Dummy,
    /// One end of a virtual cable.
    Veth {
        /// The other end.
        peer: String,
        /// Whether making this end makes the other, with that MAC, or a MAC that is chosen so,
        /// if the profile says. One end of a pair does.
        makes_peer: Option<Option<LinkMac>>,
    },
    /// A link with a MAC of its own on the link `link` of the spec.
    Macvlan(MacvlanSpec),
    /// A link that shares the MAC of the link `link` of the spec.
    Ipvlan(IpvlanSpec),
    /// A partition of InfiniBand on the port `link` of the spec.
    Partition(PartitionSpec),
    /// The loopback.
    Loopback,
}

/// How the priorities of a VLAN's tag and of the kernel answer to each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qos {
    /// The kernel's, by the tag's.
    pub ingress: BTreeMap<u32, u32>,
    /// The tag's, by the kernel's.
    pub egress: BTreeMap<u32, u32>,
}

impl Qos {
    /// Whether something is said of them.
    pub fn is_some(&self) -> bool {
        !(self.ingress.is_empty() && self.egress.is_empty())
    }
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A NIC of the host that its profile does not speak of: no file is written for it.
    Unused,
    /// Owned by another program: networkd is told to leave it alone.
    Unmanaged,
    /// Carries other links and no address.
    Carrier,
    /// Bears addresses.
    Addressed,
    /// Is up without an address, for OVN, Open vSwitch or virtual hosts to use.
    LinkOnly,
}

impl Kind {
    /// The word for people: `NIC`, `bond`, `VLAN`, `bridge`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Nic(_) => "NIC",
            Self::Bond(_) => "bond",
            Self::Vlan { .. } => "VLAN",
            Self::Vxlan { .. } => "VXLAN",
            Self::Tunnel { .. } => "tunnel",
            Self::Wireguard { .. } => "WireGuard",
            Self::Macsec { .. } => "MACsec",
            Self::Bridge(_) => "bridge",
            Self::Vrf(_) => "VRF",
            Self::Dummy => "dummy",
            Self::Veth { .. } => "veth",
            Self::Macvlan(_) => "MACVLAN",
            Self::Ipvlan(_) => "IPVLAN",
            Self::Partition(_) => "partition",
            Self::Loopback => "loopback",
        }
    }

    /// The kernel's word for a link that is made (`ip link add type`); none for one that is
    /// there by itself.
    pub fn kernel_kind(&self) -> Option<&'static str> {
        match self {
            Self::Nic(_) | Self::Loopback => None,
            Self::Bond(_) => Some("bond"),
            Self::Vlan { .. } => Some("vlan"),
            Self::Vxlan { .. } => Some("vxlan"),
            Self::Tunnel { spec, .. } => Some(spec.mode.label()),
            Self::Wireguard { .. } => Some("wireguard"),
            Self::Macsec { .. } => Some("macsec"),
            Self::Bridge(_) => Some("bridge"),
            Self::Vrf(_) => Some("vrf"),
            Self::Dummy => Some("dummy"),
            Self::Veth { .. } => Some("veth"),
            Self::Macvlan(_) => Some("macvlan"),
            Self::Ipvlan(_) => Some("ipvlan"),
            Self::Partition(_) => Some("ipoib"),
        }
    }

    /// The key of a profile that holds links of this kind.
    pub fn section(&self) -> &'static str {
        match self {
            Self::Nic(_) => "nics",
            Self::Bond(_) => "bonds",
            Self::Vlan { .. } => "vlans",
            Self::Vxlan { .. } => "vxlans",
            Self::Tunnel { .. } => "tunnels",
            Self::Wireguard { .. } => "wireguards",
            Self::Macsec { .. } => "macsecs",
            Self::Bridge(_) => "bridges",
            Self::Vrf(_) => "vrfs",
            Self::Dummy => "dummies",
            Self::Veth { .. } => "veths",
            Self::Macvlan(_) => "macvlans",
            Self::Ipvlan(_) => "ipvlans",
            Self::Partition(_) => "partitions",
            Self::Loopback => "loopbacks",
        }
    }

    /// The bytes that packets of this link are wrapped in on the link below.
    pub fn overhead(&self) -> u32 {
        match self {
            // RFC 7348 section 4: outer IP, UDP, VXLAN and the inner Ethernet header.
            Self::Vxlan { local: Some(IpAddr::V6(_)), .. } => 70,
            Self::Vxlan { .. } => 50,
            Self::Tunnel { spec, .. } => match spec.mode {
                // IP, then GRE with or without its key.
                TunnelMode::Gre => 24 + if spec.id.is_some() { 4 } else { 0 },
                TunnelMode::Ipip | TunnelMode::Sit => 20,
                TunnelMode::Geneve if spec.remote.is_ipv6() => 70,
                TunnelMode::Geneve => 50,
            },
            // IEEE 802.1AE section 9: SecTAG with its SCI, and the ICV.
            Self::Macsec { .. } => 32,
            _ => 0,
        }
    }
}

impl Link {
    /// Whether the wire tells the link of networks that the site file does not name.
    pub fn learns(&self) -> bool {
        self.settings.dhcp4 || self.settings.dhcp6 || self.settings.accept_ra == Some(true)
    }

    /// Whether its packets leave the host as they are: it is no tunnel.
    fn is_wired(&self) -> bool {
        !matches!(self.kind, Kind::Vxlan { .. } | Kind::Tunnel { .. } | Kind::Wireguard { .. })
    }

    /// The addresses that others may be led to by the host: all but those that it only answers
    /// for behind a load balancer.
    pub(super) fn announceable(&self) -> impl Iterator<Item = IpNet> {
        let dsr = |address: &IpNet| {
            let shared =
                |one: &SharedAddress| one.address == *address && one.role == AddressRole::Dsr;
            self.layer3.shared.iter().any(shared)
        };
        self.all_addresses().filter(move |address| !dsr(address))
    }

    /// Whether it is a physical NIC.
    pub fn is_nic(&self) -> bool {
        matches!(self.kind, Kind::Nic(_))
    }

    /// Whether it is a bridge or a bond of Open vSwitch, which makes it and has its ports.
    pub(super) fn is_openvswitch(&self) -> bool {
        match &self.kind {
            Kind::Bridge(spec) => spec.openvswitch,
            Kind::Bond(spec) => spec.openvswitch,
            _ => false,
        }
    }

    /// Whether it is a port of InfiniBand.
    pub(super) fn is_infiniband(&self) -> bool {
        match self.kind {
            Kind::Nic(Some(nic)) => nic.is_infiniband(),
            Kind::Partition(_) => true,
            _ => false,
        }
    }

    /// The VLAN id, of a VLAN that has one.
    pub fn vlan_id(&self) -> Option<u16> {
        match self.kind {
            Kind::Vlan { id, .. } => id,
            _ => None,
        }
    }

    /// The link that a VLAN, VXLAN, MACsec, MACVLAN or IPVLAN is built on.
    pub fn parent(&self) -> Option<&str> {
        match &self.kind {
            Kind::Vlan { parent, .. } => Some(parent),
            Kind::Vxlan { spec, .. } => Some(&spec.link),
            Kind::Macsec { spec, .. } => Some(&spec.link),
            Kind::Tunnel { spec, .. } => Some(&spec.link),
            Kind::Macvlan(spec) => Some(&spec.link),
            Kind::Ipvlan(spec) => Some(&spec.link),
            Kind::Partition(spec) => Some(&spec.link),
            _ => None,
        }
    }

    /// The kernel's name for it: what a NIC is renamed to or found by, else its name here.
    pub fn device(&self) -> &str {
        let named = self.nic.as_ref().and_then(|nic| {
            let is_name = |name: &&str| !name.contains(['*', '?']);
            nic.set_name.as_deref().or_else(|| nic.match_name.as_deref().filter(is_name))
        });
        named.unwrap_or(&self.name)
    }

    /// Whether it is a NIC that is found by a pattern of names.
    pub fn has_pattern(&self) -> bool {
        let Some(nic) = &self.nic else { return false };
        match &nic.match_name {
            Some(name) => name.contains(['*', '?']),
            None => nic.match_driver.is_some(),
        }
    }

    /// Whether the kernel makes it by itself: a NIC, or the loopback.
    pub fn is_found(&self) -> bool {
        matches!(self.kind, Kind::Nic(_) | Kind::Loopback)
    }
}

impl HostNetwork {
    /// Where a file comes from, for its first line.
    pub(super) fn origin(&self) -> String {
        let profile = self.profile.as_deref().unwrap_or("none");
        format!("Generated by rackstrap for {}, profile {profile}.", self.host)
    }

    /// Whether router advertisements are heard on `link`; none leaves networkd's choice. A
    /// statically addressed link hears routers only if asked to.
    pub(super) fn accept_ra(&self, link: &Link) -> Option<bool> {
        let quiet = self.defaults == Defaults::Safe;
        link.settings.accept_ra.or_else(|| quiet.then_some(link.settings.dhcp6))
    }

    /// The families that get a link-local address on `link`; none leaves networkd's choice. A
    /// layer that only carries others has no address of its own at all: it would wait for a
    /// router that never answers (systemd 257 then never calls the host online), or take an
    /// address from the untagged network.
    pub(super) fn link_local<'a>(&self, link: &'a Link) -> Option<&'a [Family]> {
        let quiet = self.defaults == Defaults::Safe && link.role != Role::Addressed;
        link.settings.link_local.as_deref().or_else(|| quiet.then_some(&[]))
    }

    /// The members of a bond or the ports of a bridge, in the order of the links.
    pub fn members<'a>(&'a self, master: &'a str) -> impl Iterator<Item = &'a Link> {
        self.links.values().filter(move |link| link.master.as_deref() == Some(master))
    }

    /// The VLANs, VXLANs, MACVLANs and IPVLANs on top of `parent`, in the order of the links.
    pub fn children<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = &'a Link> {
        self.links.values().filter(move |link| link.parent() == Some(parent))
    }

    /// The bond or bridge that has taken `link` in whole, so that it has no layer 3 of its
    /// own. In a VRF it keeps that.
    pub fn owner(&self, link: &Link) -> Option<&Link> {
        let master = self.links.get(link.master.as_deref()?)?;
        matches!(master.kind, Kind::Bond(_) | Kind::Bridge(_)).then_some(master)
    }

    /// Whether a unit of systemd brings `link` up, and not networkd: it is in a namespace, or a port of
    /// Open vSwitch.
    pub(super) fn is_of_unit(&self, link: &Link) -> bool {
        link.settings.namespace.is_some() || self.owner(link).is_some_and(Link::is_openvswitch)
    }

    /// The kernel's name of the link `name`, or `name` where the host has no such link.
    pub fn device<'a>(&'a self, name: &'a str) -> &'a str {
        self.links.get(name).map_or(name, Link::device)
    }

    /// Whether the kernel's name of `link` is known for sure: it is made by that name, found by
    /// it, or given it by udev.
    pub(super) fn has_known_name(&self, link: &Link) -> bool {
        let renamed = link.nic.as_ref().is_some_and(|nic| nic.set_name.is_some());
        let named = self.match_by == MatchBy::Name && !link.has_pattern();
        renamed || !link.is_nic() || named
    }

    /// The table of the VRF that `link` is in.
    pub fn domain(&self, link: &Link) -> Option<u32> {
        match self.links.get(link.master.as_deref()?)?.kind {
            Kind::Vrf(table) => table,
            _ => None,
        }
    }

    /// Whether a tunnel leaves by whatever link the routes name, because the one that lends it
    /// its address sends nothing: bound to the loopback or a dummy it would lose every packet.
    pub(super) fn is_independent(&self, link: &Link) -> bool {
        // What is bound to a link says so in the file of that link, which a tunnel need not be.
        let Kind::Vxlan { spec, .. } = &link.kind else {
            return matches!(link.kind, Kind::Tunnel { .. });
        };
        let below = self.links.get(&spec.link);
        below.is_some_and(|below| matches!(below.kind, Kind::Loopback | Kind::Dummy))
    }

    /// The largest packet of what `link` sends through: that of its parent, or of the links by
    /// which an independent tunnel may leave.
    pub(super) fn mtu_below(&self, link: &Link) -> Option<u32> {
        if !self.is_independent(link) {
            return self.links.get(link.parent()?)?.settings.mtu;
        }
        self.mtu_of_ways(link)
    }

    /// The least MTU of the links by which a tunnel may leave that goes where the routes say.
    pub(super) fn mtu_of_ways(&self, link: &Link) -> Option<u32> {
        let leaves = |other: &&Link| {
            let is_wired = !self.nics_below(other).is_empty() && other.is_wired();
            // What the tunnel carries does not carry the tunnel.
            other.role == Role::Addressed && is_wired && !self.is_built_on(other, link)
        };
        self.links.values().filter(leaves).filter_map(|link| link.settings.mtu).min()
    }

    /// Whether `link` has no carrier until somebody joins it: a bridge without ports, and what
    /// is on one.
    pub(super) fn lacks_carrier(&self, link: &Link) -> bool {
        // A ring of links is found by its bound.
        self.lacks_carrier_within(link, self.links.len())
    }

    fn lacks_carrier_within(&self, link: &Link, depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return false };
        let lacks = |below: &Link| self.lacks_carrier_within(below, depth);
        match &link.kind {
            Kind::Bridge(_) => self.members(&link.name).all(lacks),
            Kind::Vlan { .. }
            | Kind::Macsec { .. }
            | Kind::Macvlan(_)
            | Kind::Ipvlan(_)
            | Kind::Partition(_) => {
                link.parent().and_then(|name| self.links.get(name)).is_some_and(lacks)
            }
            _ => false,
        }
    }

    /// The links directly on `link`: the one that has taken it in, and those whose parent it is.
    pub fn above<'a>(&'a self, link: &'a Link) -> impl Iterator<Item = &'a Link> {
        let master = link.master.as_deref().and_then(|master| self.links.get(master));
        master.into_iter().chain(self.children(&link.name))
    }

    /// The links directly below `link`: members, ports, or a VLAN's parent.
    pub fn below<'a>(&'a self, link: &'a Link) -> impl Iterator<Item = &'a Link> {
        let parent = link.parent().and_then(|name| self.links.get(name));
        self.members(&link.name).chain(parent)
    }

    /// The NICs that `link` is built on, itself if it is one.
    pub fn nics_below<'a>(&'a self, link: &'a Link) -> Vec<&'a Link> {
        let mut nics = Vec::new();
        let mut left = vec![link];
        // A ring of links is found by its bound.
        for _ in 0..=self.links.len() {
            let Some(link) = left.pop() else { break };
            if link.is_nic() {
                nics.push(link);
            }
            left.extend(self.below(link));
        }
        nics
    }

    /// Whether `lower` is below `link`, however far.
    fn is_built_on(&self, link: &Link, lower: &Link) -> bool {
        let mut left = vec![link];
        // A ring of links is found by its bound.
        for _ in 0..=self.links.len() {
            let Some(link) = left.pop() else { break };
            if self.below(link).any(|below| below.name == lower.name) {
                return true;
            }
            left.extend(self.below(link));
        }
        false
    }

    /// The indexes of the links, each before the links it is built on.
    pub(super) fn top_down(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.links.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(self.links[*index].layer));
        order
    }
}
