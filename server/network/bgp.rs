//! A host's BGP as its renderers and checks see it. Pure data.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::model::RemoteAs;

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
    /// How many ways to one place are used at a time.
    pub max_paths: Option<u16>,
    /// Whether BFD finds dead neighbours.
    pub bfd: bool,
}

/// One router that a host speaks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Who it is.
    pub peer: Peer,
    /// Its autonomous system.
    pub remote_as: RemoteAs,
}

/// Who a neighbour is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Whoever is at the other end of the link, by the kernel's name of it.
    Link(String),
    /// The router with this address.
    Address(IpAddr),
}

impl Peer {
    /// Whether the neighbour gets and announces networks of that IP version: at the
    /// other end of a link both, else that of its own address.
    pub fn speaks(&self, is_ipv4: bool) -> bool {
        match self {
            Self::Link(_) => true,
            Self::Address(address) => address.is_ipv4() == is_ipv4,
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}
