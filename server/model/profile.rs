//! Profiles: the network that a kind of host has, in netplan's and networkd's words. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::bgp::BgpSpec;
use super::bond::BondSpec;
use super::bridge::BridgeSpec;
use super::dhcp_options::DhcpOptions;
use super::extra::ProfileExtra;
use super::link::{LinkSettings, is_default, link_spec};
use super::login::{AuthorizedKey, RootPassword};
use super::new_hosts::NewHosts;
use super::nic::NicSpec;
use super::virtual_link::{
    IpvlanSpec, LoopbackSpec, MacvlanSpec, NcclSpec, PartitionSpec, VethSpec,
};
use super::vlan_id::VlanId;
use super::words::words;

/// What the network of a kind of host looks like. Forty hosts are one profile and forty rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// Whether the generator adds what makes a host come up well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub defaults: Defaults,
    /// DHCP options of its hosts, by name or number; they go before those of the subnet.
    #[serde(default, skip_serializing_if = "DhcpOptions::is_empty")]
    pub dhcp_options: DhcpOptions,
    /// How the files find the physical NICs.
    #[serde(default, rename = "match", skip_serializing_if = "is_default")]
    pub match_by: MatchBy,
    /// What the profile says about NICs, by the label of the NIC.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub nics: IndexMap<String, NicSpec>,
    /// Bonds, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub bonds: IndexMap<String, BondSpec>,
    /// VLANs, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub vlans: IndexMap<String, VlanSpec>,
    /// Bridges, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub bridges: IndexMap<String, BridgeSpec>,
    /// VXLAN tunnels, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub vxlans: IndexMap<String, VxlanSpec>,
    /// Tunnels by GRE, IPIP, SIT and Geneve, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub tunnels: IndexMap<String, TunnelSpec>,
    /// Links of WireGuard, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub wireguards: IndexMap<String, super::WireguardSpec>,
    /// Links of MACsec, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub macsecs: IndexMap<String, super::MacsecSpec>,
    /// Routing domains, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub vrfs: IndexMap<String, VrfSpec>,
    /// Dummy links, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub dummies: IndexMap<String, DummySpec>,
    /// Ends of virtual cables, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub veths: IndexMap<String, VethSpec>,
    /// MACVLANs, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub macvlans: IndexMap<String, MacvlanSpec>,
    /// IPVLANs, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub ipvlans: IndexMap<String, IpvlanSpec>,
    /// Partitions of InfiniBand fabrics, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub partitions: IndexMap<String, PartitionSpec>,
    /// What NCCL is told of the links of an accelerator host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nccl: Option<NcclSpec>,
    /// The loopback, whose name is `lo`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub loopbacks: IndexMap<String, LoopbackSpec>,
    /// Whom the host speaks BGP with, and what it announces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bgp: Option<BgpSpec>,
    /// Kernel settings, by name such as `net.core.rmem_max`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "IndexMap<String, super::Scalar>")]
    pub sysctls: IndexMap<String, String>,
    /// Whole files that the host has besides, passed on as they are. Nothing checks what they mean.
    #[serde(default, skip_serializing_if = "is_default")]
    pub extra: ProfileExtra,
    /// Who may log in as root of an installed disk image: lines of `/root/.ssh/authorized_keys`,
    /// which they replace. Without any the file is the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_authorized_keys: Vec<AuthorizedKey>,
    /// The hash of root's password in an installed disk image (crypt(5), such as `mkpasswd -m
    /// yescrypt` prints), or `locked` for none; the image's where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_password_hash: Option<RootPassword>,
    /// What happens to a host that was never armed when it first asks to boot: `ask`, or `install`
    /// and the name of a disk image. A disk with data is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_hosts: Option<NewHosts>,
    /// Rules, such as `N152`, whose warnings about it are silenced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// What its hosts read, such as `netplan`: what that cannot say is refused at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The version of systemd that reads the files, 247 to 257; 252 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd: Option<u16>,
}

words! {
    /// What the generator adds to the profile's own words.
    #[derive(Default)]
    pub Defaults {
        /// Everything that makes the host come up well (MAC, MTU, no stray IPv6, wait-online).
        #[default]
        Safe = "safe",
        /// Exactly what the profile says and nothing else.
        Verbatim = "verbatim",
    }
}

words! {
    /// How a `.network` file finds a physical NIC.
    #[derive(Default)]
    pub MatchBy {
        /// `PermanentMACAddress=`, which survives enslaving.
        #[default]
        PermanentMac = "permanent-mac",
        /// `Name=` with the NIC's label, for hosts with predictable kernel names.
        Name = "name",
        /// `MACAddress=`, the present one, for links that have no permanent one (veth, some
        /// clouds). Not where a bond, bridge or VLAN has the same.
        Mac = "mac",
        /// `Path=` with the NIC's `path`, for hosts whose NICs are exchanged.
        Path = "path",
    }
}

words! {
    /// The protocol of a VLAN's tag.
    #[derive(Default)]
    pub VlanProtocol {
        /// The customer's tag, EtherType 0x8100.
        #[default]
        Dot1q = "802.1q",
        /// The provider's tag around the customer's, EtherType 0x88a8.
        Dot1ad = "802.1ad",
    }
}

link_spec! {
    /// An 802.1Q VLAN on top of a link.
    VlanSpec {
        /// The link below.
        link: String,
        /// The tag's protocol, where it is not 802.1Q.
        #[serde(default, skip_serializing_if = "is_default")]
        protocol: VlanProtocol,
        /// The VLAN id, where it is not the subnet's; or the name of a subnet, or `tenant/ROLE`,
        /// for its VLAN without its address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<VlanId>,
        /// The kernel's priority of packets that come in, by the tag's (0 to 7).
        #[serde(default, with = "super::numbered", skip_serializing_if = "BTreeMap::is_empty")]
        #[schemars(with = "BTreeMap<String, u32>")]
        ingress_qos: BTreeMap<u32, u32>,
        /// The tag's priority (0 to 7) of packets that go out, by the kernel's.
        #[serde(default, with = "super::numbered", skip_serializing_if = "BTreeMap::is_empty")]
        #[schemars(with = "BTreeMap<String, u32>")]
        egress_qos: BTreeMap<u32, u32>,
    }
}

link_spec! {
    /// A routing domain over links; its `table` is the domain's and nobody else's.
    VrfSpec {
        /// The links in it.
        interfaces: Vec<String>,
    }
}

link_spec! {
    /// Ethernet in UDP (RFC 7348).
    VxlanSpec {
        /// The network identifier, 1 to 16777215.
        vni: u32,
        /// The link below, whose address the tunnel leaves from.
        link: String,
        /// The other end, or a multicast group; none where another program fills the table.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote: Option<IpAddr>,
        /// The UDP port, 4789 where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// Whether MACs are learnt from packets.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac_learning: Option<bool>,
    }
}

words! {
    /// What a tunnel wraps packets in.
    pub TunnelMode {
        /// IP in GRE in IP (RFC 2784, RFC 2890).
        Gre = "gre",
        /// IPv4 in IPv4 (RFC 2003).
        Ipip = "ipip",
        /// IPv6 in IPv4 (RFC 4213).
        Sit = "sit",
        /// Ethernet in UDP (RFC 8926).
        Geneve = "geneve",
    }
}

link_spec! {
    /// A tunnel between two hosts.
    TunnelSpec {
        /// What packets are wrapped in.
        mode: TunnelMode,
        /// The link whose address the tunnel leaves from.
        link: String,
        /// The other end.
        remote: IpAddr,
        /// The key of GRE, or the network identifier of Geneve, 0 to 16777215.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u32>,
        /// How many routers its packets may pass, 1 to 255; that of the packet within where none
        /// is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u8>,
    }
}

link_spec! {
    /// A link to nowhere that has addresses.
    #[derive(Default)]
    DummySpec {}
}

/// One link of a profile: the key of the profile that holds it, its name and what all links share.
#[derive(Clone, Copy, Debug)]
pub struct ProfileLink<'a> {
    /// The profile's key: `nics`, `bonds`, `vlans` and so on.
    pub section: &'static str,
    /// The link's name.
    pub name: &'a str,
    /// What links of every kind share.
    pub settings: &'a LinkSettings,
}

impl Profile {
    /// Every link of the profile, the kind that usually lies lowest first.
    pub fn links(&self) -> impl Iterator<Item = ProfileLink<'_>> {
        let nics = self.nics.iter().map(|(name, spec)| ("nics", name, &spec.settings));
        let bonds = self.bonds.iter().map(|(name, spec)| ("bonds", name, &spec.settings));
        let vlans = self.vlans.iter().map(|(name, spec)| ("vlans", name, &spec.settings));
        let vxlans = self.vxlans.iter().map(|(name, spec)| ("vxlans", name, &spec.settings));
        let bridges = self.bridges.iter().map(|(name, spec)| ("bridges", name, &spec.settings));
        let vrfs = self.vrfs.iter().map(|(name, spec)| ("vrfs", name, &spec.settings));
        let dummies = self.dummies.iter().map(|(name, spec)| ("dummies", name, &spec.settings));
        let veths = self.veths.iter().map(|(name, spec)| ("veths", name, &spec.settings));
        let macvlans = self.macvlans.iter().map(|(name, spec)| ("macvlans", name, &spec.settings));
        let ipvlans = self.ipvlans.iter().map(|(name, spec)| ("ipvlans", name, &spec.settings));
        let loopbacks =
            self.loopbacks.iter().map(|(name, spec)| ("loopbacks", name, &spec.settings));
        let tunnels = self.tunnels.iter().map(|(name, spec)| ("tunnels", name, &spec.settings));
        let wireguards = self.wireguards.iter();
        let wireguards = wireguards.map(|(name, spec)| ("wireguards", name, &spec.settings));
        let partitions = self.partitions.iter();
        let partitions = partitions.map(|(name, spec)| ("partitions", name, &spec.settings));
        let macsecs = self.macsecs.iter().map(|(name, spec)| ("macsecs", name, &spec.settings));
        let vlans = vlans.chain(macsecs);
        let vxlans = vxlans.chain(tunnels).chain(wireguards).chain(partitions);
        let lower = loopbacks.chain(nics).chain(veths).chain(bonds).chain(vlans).chain(vxlans);
        let all = lower.chain(bridges).chain(macvlans).chain(ipvlans).chain(vrfs).chain(dummies);
        all.map(|(section, name, settings)| ProfileLink { section, name, settings })
    }

    /// Every link of the profile that has a subnet, with the subnet's name, lowest kind first.
    pub fn subnets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.links().flat_map(|link| link.settings.subnets().map(move |subnet| (link.name, subnet)))
    }

    /// Every VLAN whose id is that of a subnet, with the subnet's name.
    pub fn vlan_subnets(&self) -> impl Iterator<Item = (&str, &str)> {
        let vlans = self.vlans.iter();
        vlans.filter_map(|(name, spec)| Some((name.as_str(), spec.id.as_ref()?.subnet()?)))
    }

    /// The same subnets, and those of [`vlan_subnets`](Self::vlan_subnets), to change.
    pub(super) fn subnets_mut(&mut self) -> impl Iterator<Item = &mut String> {
        macro_rules! of {
            ($links:expr) => {
                $links.values_mut().flat_map(|link| link.settings.subnets_mut())
            };
        }
        let vlans = self.vlans.values_mut().flat_map(|vlan| {
            let of_id = vlan.id.as_mut().and_then(VlanId::subnet_mut);
            vlan.settings.subnets_mut().chain(of_id)
        });
        let lower = of!(self.nics).chain(of!(self.bonds)).chain(vlans);
        let upper = of!(self.bridges).chain(of!(self.vrfs)).chain(of!(self.dummies));
        let virtual_links = of!(self.veths).chain(of!(self.macvlans)).chain(of!(self.ipvlans));
        let tunnels = of!(self.vxlans)
            .chain(of!(self.tunnels))
            .chain(of!(self.wireguards))
            .chain(of!(self.macsecs))
            .chain(of!(self.partitions));
        let upper = upper.chain(tunnels).chain(virtual_links);
        lower.chain(upper).chain(of!(self.loopbacks))
    }

    /// Whether it computes an address of its hosts.
    pub fn computes_addresses(&self) -> bool {
        self.links().any(|link| link.settings.computes_address())
    }

    /// The topmost link that carries `subnet`: an address lives there, never on a lower layer.
    pub fn link_of_subnet(&self, subnet: &str) -> Option<&str> {
        self.subnets().filter(|(_, name)| *name == subnet).last().map(|(link, _)| link)
    }

    /// Every bond, bridge and VRF: its name, the key that lists what is in it, and the list.
    pub fn masters(&self) -> impl Iterator<Item = (&str, &'static str, &[String])> {
        let bonds = self.bonds.iter().map(|(name, spec)| (name, "nics", &spec.nics));
        let bridges =
            self.bridges.iter().map(|(name, spec)| (name, "interfaces", &spec.interfaces));
        let vrfs = self.vrfs.iter().map(|(name, spec)| (name, "interfaces", &spec.interfaces));
        let all = bonds.chain(bridges).chain(vrfs);
        all.map(|(name, key, members)| (name.as_str(), key, members.as_slice()))
    }

    /// The bond, bridge or VRF that has taken `link` in.
    pub fn master_of(&self, link: &str) -> Option<&str> {
        let found = self.masters().find(|(_, _, members)| members.iter().any(|m| m == link));
        found.map(|(name, _, _)| name)
    }

    /// Whether `name` is a link that the profile makes: everything but a NIC.
    pub fn makes(&self, name: &str) -> bool {
        self.links().any(|link| link.name == name && link.section != "nics")
            || self.veths.values().any(|veth| veth.peer == name)
    }
}
