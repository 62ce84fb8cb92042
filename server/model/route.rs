//! Routes, policy rules and addresses of a profile's own, in netplan's words. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::as_text::as_text;
use super::link::{Family, is_default};
use super::words::words;

/// Where a route leads: `default` or a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// Everything that no longer prefix covers.
    Default,
    /// One network.
    Net(IpNet),
}

/// A text that is not a destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a destination: expected \"default\" or a prefix such as 10.0.0.0/8")]
pub struct InvalidDestination(pub String);

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        if text == "default" {
            return Ok(Self::Default);
        }
        text.parse().map(Self::Net).map_err(|_| InvalidDestination(text.to_owned()))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Net(net) => write!(f, "{net}"),
        }
    }
}

as_text!(Destination);

words! {
    /// What becomes of a packet that a route matches.
    #[derive(Default)]
    pub RouteKind {
        /// It goes on its way.
        #[default]
        Unicast = "unicast",
        /// It is dropped in silence.
        Blackhole = "blackhole",
        /// It is refused as unreachable.
        Unreachable = "unreachable",
        /// It is refused as forbidden.
        Prohibit = "prohibit",
    }
}

/// A route beside those that a subnet brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RouteSpec {
    /// Where it leads.
    pub to: Destination,
    /// The next router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
    /// Several next routers that share the load; in place of `via`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_hops: Vec<NextHop>,
    /// The router is on the link though no address of the link covers it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_link: bool,
    /// The source address that the host prefers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// The lower, the more it is preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// The routing table, main (254) where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// What becomes of a packet.
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    pub kind: RouteKind,
    /// The largest packet on it, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The largest TCP segment that is announced to the other side, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertised_mss: Option<u32>,
    /// How many segments a TCP connection may send before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub congestion_window: Option<u32>,
}

impl RouteSpec {
    /// A route that says nothing but where it leads.
    pub fn to(to: Destination) -> Self {
        Self {
            to,
            via: None,
            next_hops: Vec::new(),
            on_link: false,
            from: None,
            metric: None,
            table: None,
            kind: RouteKind::default(),
            mtu: None,
            advertised_mss: None,
            congestion_window: None,
        }
    }

    /// Whether it leads to everything that no longer prefix covers, in either notation.
    pub fn is_default(&self) -> bool {
        match self.to {
            Destination::Default => true,
            Destination::Net(net) => net.prefix_len() == 0,
        }
    }

    /// Whether it names the links that its routers are behind.
    pub fn spans_links(&self) -> bool {
        self.next_hops.iter().any(|hop| hop.link.is_some())
    }

    /// The IP version that the route is for; IPv4 where nothing in it tells.
    pub fn family(&self) -> Family {
        let via = self.via.or_else(|| self.next_hops.first().map(|hop| hop.via)).or(self.from);
        let is_ipv4 = match self.to {
            Destination::Net(net) => net.addr().is_ipv4(),
            Destination::Default => via.is_none_or(|via| via.is_ipv4()),
        };
        if is_ipv4 { Family::Ipv4 } else { Family::Ipv6 }
    }
}

words! {
    /// What becomes of a packet that a policy rule matches.
    #[derive(Default)]
    pub RuleVerdict {
        /// It is looked up in the rule's table.
        #[default]
        Table = "table",
        /// It is dropped in silence.
        Blackhole = "blackhole",
        /// It is refused as unreachable.
        Unreachable = "unreachable",
        /// It is refused as forbidden.
        Prohibit = "prohibit",
    }
}

words! {
    /// What a packet carries.
    pub IpProtocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// SCTP.
        Sctp = "sctp",
        /// ICMP.
        Icmp = "icmp",
    }
}

/// A number or a range of them, such as `1000` or `1000-1999`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NumberRange {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

/// A text that is not a range of numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a number or a range of them: expected one such as 1000 or 1000-1999")]
pub struct InvalidNumberRange(pub String);

impl FromStr for NumberRange {
    type Err = InvalidNumberRange;

    fn from_str(text: &str) -> Result<Self, InvalidNumberRange> {
        let invalid = || InvalidNumberRange(text.to_owned());
        let number = |part: &str| {
            let is_plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| is_plain)
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first = number(first).ok_or_else(invalid)?;
        let last = number(last).filter(|last| first <= *last).ok_or_else(invalid)?;
        Ok(Self { first, last })
    }
}

impl fmt::Display for NumberRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

as_text!(NumberRange);

/// A neighbour whose MAC is written down, in place of asking by ARP or neighbour discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StaticNeighbor {
    /// Its address.
    pub address: IpAddr,
    /// Its MAC.
    pub macaddress: super::Mac,
}

/// Where a bridge or a VXLAN sends what is for a MAC, in place of learning it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StaticMac {
    /// The MAC; zeros, of a VXLAN, for every unknown one.
    pub macaddress: super::Mac,
    /// The other end, of a VXLAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<IpAddr>,
    /// The VLAN, of a port of a bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
}

/// One of several routers of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NextHop {
    /// The router.
    pub via: IpAddr,
    /// The link that leads to it, where it is another than the one that has the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Its share of the load against the others', 1 to 256; 1 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// Which routing table a packet is looked up in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RuleSpec {
    /// Its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::schema::Prefix>")]
    pub from: Option<IpNet>,
    /// Its destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::schema::Prefix>")]
    pub to: Option<IpNet>,
    /// Its firewall mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// Which bits of the mark count; all where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<u32>,
    /// The link it came in by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming_interface: Option<String>,
    /// The link that its socket is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outgoing_interface: Option<String>,
    /// The IP version, where neither `from` nor `to` tells; IPv4 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// Its type of service, the byte of the IP header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos: Option<u8>,
    /// The users whose sockets it is of, by number such as `1000` or `1000-1999`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<NumberRange>,
    /// What it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<IpProtocol>,
    /// Its source ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<NumberRange>,
    /// Its destination ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<NumberRange>,
    /// What becomes of it.
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    pub verdict: RuleVerdict,
    /// Whether it is for every packet that does not match.
    #[serde(default, skip_serializing_if = "is_default")]
    pub invert: bool,
    /// Routes with prefixes of this length or less do not count: 0 passes over the default
    /// route of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress_prefix_length: Option<u8>,
    /// The table, of a rule whose `type` is `table`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub table: u32,
    /// Rules are tried from the lowest priority up: 1 to 32765.
    pub priority: u32,
}

impl RuleSpec {
    /// The IP version that the rule is for.
    pub fn family(&self) -> Family {
        match self.from.or(self.to) {
            Some(IpNet::V4(_)) => Family::Ipv4,
            Some(IpNet::V6(_)) => Family::Ipv6,
            None => self.family.unwrap_or(Family::Ipv4),
        }
    }
}

words! {
    /// What an address of a profile is for; all but the last may be on several hosts.
    pub AddressRole {
        /// Announced from several hosts; the nearest answers.
        Anycast = "anycast",
        /// Direct server return: the hosts answer for a load balancer, and stay silent to ARP.
        Dsr = "dsr",
        /// Moved between hosts by VRRP.
        Vrrp = "vrrp",
        /// One host's own, beside that of the link's subnet: for the `network` of a host.
        Secondary = "secondary",
    }
}

words! {
    /// Where an IPv4 address is valid (`ip address add ... scope`).
    pub AddressScope {
        /// Everywhere.
        Global = "global",
        /// On the link alone: no source of what goes further.
        Link = "link",
        /// Within the host alone.
        Host = "host",
    }
}

/// An address that every host of a profile has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharedAddress {
    /// The address with its prefix length.
    #[schemars(with = "super::schema::Prefix")]
    pub address: IpNet,
    /// What it is for, and whether several hosts may have it.
    pub role: AddressRole,
    /// The address of the only other end that the link leads to by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// Where it is valid, of an IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<AddressScope>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_number_or_two() {
        for text in ["0", "1000", "1000-1999"] {
            assert_eq!(text.parse::<NumberRange>().unwrap().to_string(), text);
        }
        for text in ["", "-1", "2-1", "a", "1-", "+1", "4294967296"] {
            assert!(text.parse::<NumberRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_destination_is_default_or_a_prefix() {
        for text in ["default", "10.0.0.0/8", "fd00::/8"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        for text in ["", "10.0.0.1", "0", "Default"] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
