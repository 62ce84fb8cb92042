//! A host's network as links: what a profile comes to for one host. Pure data.

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;

use crate::model::{BondSpec, BridgeSpec, Defaults, DnsServer, Mac, MatchBy, Overrides};

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
    /// The bond or bridge that has taken it in.
    pub master: Option<String>,
    /// How many links lie below it at most: 0 for a NIC, 1 for a bond of NICs and so on.
    pub layer: usize,
    /// What it is for.
    pub role: Role,
    /// The MAC that is written for it; none leaves the kernel's or networkd's choice.
    pub mac: Option<Mac>,
    /// The MTU in bytes that is written for it; none leaves the kernel's choice.
    pub mtu: Option<u32>,
    /// Whether the host counts as online without it.
    pub optional: bool,
    /// The subnet that it carries, even where a link above bears the address.
    pub subnet: Option<String>,
    /// Addresses, routes and resolvers.
    pub layer3: Layer3,
}

/// What a link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A physical NIC with its permanent MAC, if the inventory has one for it.
    Nic(Option<Mac>),
    /// A bond; its members are the links whose master it is.
    Bond(BondSpec),
    /// A VLAN.
    Vlan {
        /// The link below.
        parent: String,
        /// The VLAN id; none when neither profile nor subnet gives one.
        id: Option<u16>,
    },
    /// A bridge; its ports are the links whose master it is.
    Bridge(BridgeSpec),
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A NIC of the host that its profile does not speak of: no file is written for it.
    Unused,
    /// Carries other links and no address.
    Carrier,
    /// Bears addresses.
    Addressed,
    /// Is up without an address, for OVN, Open vSwitch or virtual hosts to use.
    LinkOnly,
}

/// What a link has above Ethernet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer3 {
    /// The subnet whose address the link bears. A link that only carries the subnet to a
    /// link above bears none.
    pub subnet: Option<String>,
    /// Addresses with their prefix lengths, in the order they are written.
    pub addresses: Vec<IpNet>,
    /// Whether IPv4 is asked from DHCP.
    pub dhcp4: bool,
    /// Whether router advertisements are heard; none leaves networkd's choice, which is to hear them.
    pub accept_ra: Option<bool>,
    /// The default router.
    pub gateway: Option<IpAddr>,
    /// Resolvers.
    pub dns: Vec<DnsServer>,
    /// Whether resolvers are asked over TLS.
    pub dns_over_tls: bool,
    /// Search domains.
    pub domains: Vec<String>,
    /// Time servers.
    pub ntp: Vec<String>,
    /// What is taken from DHCPv4.
    pub dhcp4_overrides: Overrides,
    /// What is taken from DHCPv6.
    pub dhcp6_overrides: Overrides,
    /// What is taken from router advertisements.
    pub ra_overrides: Overrides,
}

impl Kind {
    /// The word for people: `NIC`, `bond`, `VLAN`, `bridge`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Nic(_) => "NIC",
            Self::Bond(_) => "bond",
            Self::Vlan { .. } => "VLAN",
            Self::Bridge(_) => "bridge",
        }
    }

    /// The key of a profile that holds links of this kind.
    pub fn section(&self) -> &'static str {
        match self {
            Self::Nic(_) => "nics",
            Self::Bond(_) => "bonds",
            Self::Vlan { .. } => "vlans",
            Self::Bridge(_) => "bridges",
        }
    }
}

impl Link {
    /// Whether it is a physical NIC.
    pub fn is_nic(&self) -> bool {
        matches!(self.kind, Kind::Nic(_))
    }

    /// Whether it must have a written address of its subnet and has none.
    pub fn awaits_address(&self) -> bool {
        let layer3 = &self.layer3;
        let learns = layer3.dhcp4 || layer3.accept_ra == Some(true);
        layer3.subnet.is_some() && !learns && layer3.addresses.is_empty()
    }

    /// The VLAN id, of a VLAN that has one.
    pub fn vlan_id(&self) -> Option<u16> {
        match self.kind {
            Kind::Vlan { id, .. } => id,
            _ => None,
        }
    }

    /// The link that a VLAN stands on.
    pub fn parent(&self) -> Option<&str> {
        match &self.kind {
            Kind::Vlan { parent, .. } => Some(parent),
            _ => None,
        }
    }
}

impl HostNetwork {
    /// The members of a bond or the ports of a bridge, in the order of the links.
    pub fn members<'a>(&'a self, master: &'a str) -> impl Iterator<Item = &'a Link> {
        self.links.values().filter(move |link| link.master.as_deref() == Some(master))
    }

    /// The VLANs that stand on `parent`, in the order of the links.
    pub fn vlans_on<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = &'a Link> {
        self.links.values().filter(move |link| link.parent() == Some(parent))
    }

    /// The names of the links directly below `link`: members, ports, or a VLAN's parent.
    pub fn below<'a>(&'a self, link: &'a Link) -> impl Iterator<Item = &'a Link> {
        let parent = link.parent().and_then(|name| self.links.get(name));
        self.members(&link.name).chain(parent)
    }

    /// The links in layers for a drawing, NICs first. Every link is above all that it stands on.
    pub fn layers(&self) -> Vec<Vec<&Link>> {
        let height = self.links.values().map(|link| link.layer + 1).max().unwrap_or(0);
        let mut layers = vec![Vec::new(); height];
        for link in self.links.values() {
            layers[link.layer].push(link);
        }
        layers
    }

    /// The indexes of the links, every one before all that it stands on.
    pub(super) fn top_down(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.links.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(self.links[*index].layer));
        order
    }
}
