//! A host's BGP as its renderers and checks see it. Pure data.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use indexmap::IndexMap;

use crate::model::{BgpTimers, Community, Redistribution, RemoteAs, RouteMapRule, SecretText};

/// What one host says and hears by BGP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bgp {
    /// The host's autonomous system.
    pub asn: u32,
    /// Its identifier, which is also the source of IPv4 packets by learnt routes.
    pub router_id: Option<Ipv4Addr>,
    /// The source of IPv6 packets by learnt routes.
    pub source6: Option<Ipv6Addr>,
    /// Whom it speaks to.
    pub neighbors: Vec<Neighbor>,
    /// What it announces, each prefix once.
    pub announced: Vec<IpNet>,
    /// Whose routes it announces while it has them, and within which networks.
    pub redistributed: Vec<Redistribution>,
    /// What everything announced has.
    pub communities: Vec<Community>,
    /// How often it speaks to its neighbours, and how long it waits for them.
    pub timers: Option<BgpTimers>,
    /// Lists of rules by name.
    pub route_maps: IndexMap<String, Vec<RouteMapRule>>,
    /// Ethernet over VXLAN, if it speaks of that.
    pub evpn: Option<Evpn>,
    /// How many ways to one place are used at a time.
    pub max_paths: Option<u16>,
}

impl Bgp {
    /// Whether BFD finds some dead neighbour.
    pub fn has_bfd(&self) -> bool {
        self.neighbors.iter().any(|neighbor| neighbor.bfd)
    }
}

/// Ethernet over VXLAN, by the kernel's names of links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evpn {
    /// Routing domains and the numbers of their VXLANs.
    pub vrfs: Vec<RoutedVni>,
}

/// A routing domain whose routes travel in a VXLAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedVni {
    /// The VRF.
    pub vrf: String,
    /// The VXLAN's number.
    pub vni: u32,
}

/// One router that a host speaks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Who it is.
    pub peer: Peer,
    /// Its autonomous system.
    pub remote_as: RemoteAs,
    /// The rules for what it says.
    pub inbound: Option<String>,
    /// The rules for what it is told.
    pub outbound: Option<String>,
    /// Timers of its own.
    pub timers: Option<BgpTimers>,
    /// Whether BFD finds it dead.
    pub bfd: bool,
    /// What signs the session.
    pub password: Option<SecretText>,
}

/// Who a neighbour is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Whoever is at the other end of the link, by the kernel's name of it.
    Link(String),
    /// The router with this address.
    Address(IpAddr),
    /// Whoever calls from a network.
    Range {
        /// The name of the group that they are in.
        group: String,
        /// The network.
        net: IpNet,
    },
}

impl Peer {
    /// Whether the neighbour gets and announces networks of that IP version: at the
    /// other end of a link both, else that of its own address.
    pub fn speaks(&self, is_ipv4: bool) -> bool {
        match self {
            Self::Link(_) => true,
            Self::Address(address) => address.is_ipv4() == is_ipv4,
            Self::Range { net, .. } => net.addr().is_ipv4() == is_ipv4,
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
            Self::Range { group, .. } => f.write_str(group),
        }
    }
}
