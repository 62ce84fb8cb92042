//! What a link has above Ethernet: addresses, routes, rules, resolvers. Pure data.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{
    DnsOverTls, DnsServer, Dnssec, HostNumber, HostNumberError, NoSuchAddress, RouteSpec, RuleSpec,
    SharedAddress,
};

/// What a link has above Ethernet besides its settings: what its subnets, its table and the host
/// add to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer3 {
    /// The subnets whose addresses the link has. A link that only carries a subnet to a
    /// link above has none.
    pub borne: Vec<Borne>,
    /// Addresses of the host's own with their prefix lengths, in the order they are written.
    pub addresses: Vec<IpNet>,
    /// Addresses that other hosts have as well, and those beside the subnet's.
    pub shared: Vec<SharedAddress>,
    /// The default routers of the main table, one a family.
    pub gateways: Vec<IpAddr>,
    /// Every other route.
    pub routes: Vec<RouteSpec>,
    /// Policy rules.
    pub rules: Vec<RuleSpec>,
    /// Resolvers.
    pub dns: Vec<DnsServer>,
    /// Whether resolvers are asked over TLS.
    pub dns_over_tls: DnsOverTls,
    /// Whether their answers must be signed; none leaves the resolver's choice.
    pub dnssec: Option<Dnssec>,
    /// Search domains.
    pub domains: Vec<String>,
    /// Time servers.
    pub ntp: Vec<String>,
}

impl Layer3 {
    /// What is said of resolvers besides their addresses, each with whether it is.
    pub fn resolver_words(&self) -> [(bool, &'static str); 3] {
        [
            (self.dns_over_tls.is_on(), "DNS over TLS"),
            (self.dnssec.is_some(), "DNSSEC"),
            (self.dns.iter().any(|server| server.port.is_some()), "resolvers with a port"),
        ]
    }
}

/// A subnet whose address a link has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Borne {
    /// The subnet's name.
    pub subnet: String,
    /// The key of its address under the host's `addresses`: the link's name, or `LINK/SUBNET`.
    pub key: String,
    /// Whether the address must be written down, because nobody gives it on the wire.
    pub written: bool,
    /// The written address, if the host has one.
    pub address: Option<IpNet>,
    /// The address that the profile computes, where it does; one that the host is given goes
    /// before it.
    pub computed: Option<Computed>,
    /// The other end, where the profile names one: the link leads to it alone.
    pub peer: Option<Computed>,
}

/// The address that a profile computes for a host, or why it cannot.
pub type Computed = Result<IpAddr, NotComputed>;

/// A number in a profile that does not give a host an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{number}{}: {cause}", .index.map(|index| format!(" with index {index}")).unwrap_or_default())]
pub struct NotComputed {
    /// The number as the profile has it.
    pub number: HostNumber,
    /// The host's own number.
    pub index: Option<u32>,
    /// Why it gives none.
    pub cause: NotComputedCause,
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotComputedCause {
    /// The number cannot be computed.
    #[error(transparent)]
    Number(#[from] HostNumberError),
    /// The subnet has no address of that number.
    #[error(transparent)]
    Address(#[from] NoSuchAddress),
}

impl Borne {
    /// Whether an address must be written down and is not.
    pub fn awaits_address(&self) -> bool {
        self.written && self.address.is_none()
    }

    /// Whether the next free address will do: the profile computes none.
    pub fn takes_any_address(&self) -> bool {
        self.awaits_address() && self.computed.is_none()
    }
}
