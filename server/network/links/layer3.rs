//! What a link has above Ethernet: addresses, routes, rules, resolvers. Pure data.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{
    AddressScope, DnsOverTls, DnsServer, Dnssec, Family, Overrides, RouteSpec, RuleSpec,
    SharedAddress,
};

/// What a link has above Ethernet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer3 {
    /// The subnets whose addresses the link bears. A link that only carries a subnet to a
    /// link above bears none.
    pub borne: Vec<Borne>,
    /// Addresses of the host's own with their prefix lengths, in the order they are written.
    pub addresses: Vec<IpNet>,
    /// Where those of IPv4 are valid, where the profile says so.
    pub address_scope: Option<AddressScope>,
    /// Addresses that other hosts bear as well, and those beside the subnet's.
    pub shared: Vec<SharedAddress>,
    /// Whether IPv4 is asked from DHCP.
    pub dhcp4: bool,
    /// Whether IPv6 is asked from DHCP.
    pub dhcp6: bool,
    /// The families that get a link-local address; none leaves networkd's choice, IPv6.
    pub link_local: Option<Vec<Family>>,
    /// Whether router advertisements are heard; none leaves networkd's choice, which is to hear them.
    pub accept_ra: Option<bool>,
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
    /// What is taken from DHCPv4.
    pub dhcp4_overrides: Overrides,
    /// What is taken from DHCPv6.
    pub dhcp6_overrides: Overrides,
    /// What is taken from router advertisements.
    pub ra_overrides: Overrides,
}

impl Layer3 {
    /// Whether the wire tells the link of networks that nobody writes down.
    pub fn learns(&self) -> bool {
        self.dhcp4 || self.dhcp6 || self.accept_ra == Some(true)
    }

    /// What is said of resolvers besides their addresses, each with whether it is.
    pub fn resolver_words(&self) -> [(bool, &'static str); 3] {
        [
            (self.dns_over_tls.is_on(), "DNS over TLS"),
            (self.dnssec.is_some(), "DNSSEC"),
            (self.dns.iter().any(|server| server.port.is_some()), "resolvers with a port"),
        ]
    }
}

/// A subnet whose address a link bears.
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
pub type Computed = Result<IpAddr, String>;

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
