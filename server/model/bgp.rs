//! BGP from the host: whom it speaks to and what it announces. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use indexmap::IndexMap;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::as_text::as_text;
use super::link::is_default;
use super::words::words;
use super::{Millis, SecretRef};

/// What a host says and hears by BGP (RFC 4271).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BgpSpec {
    /// The host's autonomous system (RFC 6793); 4200000000 to 4294967294 and 64512 to 65534
    /// are for private use (RFC 6996).
    pub asn: u32,
    /// The link whose first IPv4 address of the host's own is its identifier, and the source
    /// of what it sends by learnt routes. Where none is given: the loopback, else the first
    /// dummy, else the first link that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// The routers that it speaks to.
    pub neighbors: Vec<BgpNeighbor>,
    /// What it announces: links, for all their addresses, or prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub announce: Vec<Announcement>,
    /// Routes of the host that it announces as they come and go, such as those to its virtual
    /// machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redistribute: Vec<Redistribution>,
    /// Communities that everything announced has (RFC 1997, RFC 8092).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<Community>,
    /// How often it speaks to its neighbours, and how long it waits for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<BgpTimers>,
    /// Lists of rules by name, which neighbours refer to: the first rule that matches a route
    /// decides, and a route that none matches is refused.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub route_maps: IndexMap<String, Vec<RouteMapRule>>,
    /// Ethernet over VXLAN, with the MACs told by BGP (RFC 7432, RFC 8365).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evpn: Option<EvpnSpec>,
    /// How many ways to one place are used at a time, 1 to 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_paths: Option<u16>,
    /// Whether BFD finds dead neighbours (RFC 5880), in place of a hold time of seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bfd: bool,
}

/// Routes that a host announces while it has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Redistribution {
    /// Whose routes.
    pub from: RouteSource,
    /// The networks whose single addresses (/32, /128) are announced. No other route leaves the
    /// host, whoever sets it.
    #[schemars(with = "Vec<super::schema::Prefix>")]
    pub within: Vec<IpNet>,
}

words! {
    /// Whose routes are announced.
    pub RouteSource {
        /// Routes that programs set in the kernel, such as a hypervisor for each virtual machine.
        Kernel = "kernel",
        /// The addresses of links.
        Connected = "connected",
    }
}

/// The timers of BGP (RFC 4271 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BgpTimers {
    /// How often a sign of life is sent: whole seconds.
    pub keepalive: Millis,
    /// How long a silent neighbour is believed to live: whole seconds, 3 s or more.
    pub hold: Millis,
}

words! {
    /// What becomes of a route.
    #[derive(Default)]
    pub RouteVerdict {
        /// It passes.
        #[default]
        Permit = "permit",
        /// It does not.
        Deny = "deny",
    }
}

/// One rule of a list: what it matches, all of it together, and what is done with the route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RouteMapRule {
    /// Whether the route passes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub action: RouteVerdict,
    /// Networks whose routes match, longer ones included; every route where none is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<super::schema::Prefix>")]
    pub prefixes: Vec<IpNet>,
    /// A community that a route must have to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub community: Option<Community>,
    /// Communities that the route gets in place of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_communities: Vec<Community>,
    /// The preference that it gets; the highest is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_preference: Option<u32>,
    /// The metric that it gets (MED); the lowest is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// How many times the host's own number is put before the path, 1 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepend: Option<u8>,
}

/// Ethernet over VXLAN by BGP. All VXLANs of the profile without a `remote` take part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EvpnSpec {
    /// Routing domains whose networks are announced, each through a VXLAN of its own (symmetric
    /// IRB, RFC 9135).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vrfs: Vec<EvpnVrf>,
}

/// One routing domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EvpnVrf {
    /// The VRF of the profile.
    pub vrf: String,
    /// The VXLAN of the profile whose number its routes have.
    pub vxlan: String,
}

/// A community of a route: `65000:100`, `65000:1:2`, or a word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(String);

/// A text that is not a community.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a community: expected 65000:100, 65000:1:2, no-export, no-advertise, local-AS, blackhole or graceful-shutdown"
)]
pub struct InvalidCommunity(pub String);

impl Community {
    /// Whether it is one of three numbers (RFC 8092).
    pub fn is_large(&self) -> bool {
        self.0.split(':').count() == 3
    }
}

impl FromStr for Community {
    type Err = InvalidCommunity;

    fn from_str(text: &str) -> Result<Self, InvalidCommunity> {
        const WORDS: [&str; 5] =
            ["no-export", "no-advertise", "local-AS", "blackhole", "graceful-shutdown"];
        let parts: Vec<&str> = text.split(':').collect();
        let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = match parts.len() {
            1 => WORDS.contains(&text),
            2 => parts.iter().all(|part| is_number(part) && part.parse::<u16>().is_ok()),
            3 => parts.iter().all(|part| is_number(part) && part.parse::<u32>().is_ok()),
            _ => false,
        };
        fits.then(|| Self(text.to_owned())).ok_or_else(|| InvalidCommunity(text.to_owned()))
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(Community);

/// One router that a host speaks to: by link, or by address; or all of a network that call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BgpNeighbor {
    /// Whoever is at the other end of the link, by its link-local address (RFC 8950).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The router's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// A network whose routers are answered when they call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::schema::Prefix>")]
    pub range: Option<IpNet>,
    /// The name in `route-maps` of the rules for what it says.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub inbound: Option<String>,
    /// The name in `route-maps` of the rules for what it is told, which is never more than the
    /// host announces.
    #[serde(default, rename = "out", skip_serializing_if = "Option::is_none")]
    pub outbound: Option<String>,
    /// Timers that are not the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<BgpTimers>,
    /// Whether BFD finds it dead, where that is not as with the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd: Option<bool>,
    /// What signs the session (RFC 2385): both ends have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// Its autonomous system; any but the host's where none is given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub remote_as: RemoteAs,
}

/// The autonomous system of a neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemoteAs {
    /// Any but the host's.
    #[default]
    External,
    /// The host's.
    Internal,
    /// This one.
    Number(u32),
}

/// A text that is not an autonomous system number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an autonomous system: expected a number, external or internal")]
pub struct InvalidRemoteAs(pub String);

impl FromStr for RemoteAs {
    type Err = InvalidRemoteAs;

    fn from_str(text: &str) -> Result<Self, InvalidRemoteAs> {
        match text {
            "external" => Ok(Self::External),
            "internal" => Ok(Self::Internal),
            _ => text.parse().map(Self::Number).map_err(|_| InvalidRemoteAs(text.to_owned())),
        }
    }
}

impl fmt::Display for RemoteAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::External => f.write_str("external"),
            Self::Internal => f.write_str("internal"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Serialize for RemoteAs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u32(*number),
            word => serializer.collect_str(word),
        }
    }
}

impl<'de> Deserialize<'de> for RemoteAs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self::Number(number)),
            Written::Word(word) => word.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// What a host announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// One network.
    Prefix(IpNet),
    /// Every address of a link.
    Link(String),
}

impl FromStr for Announcement {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A link's name has no slash.
        if !text.contains('/') {
            return Ok(Self::Link(text.to_owned()));
        }
        text.parse().map(Self::Prefix)
    }
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "{prefix}"),
            Self::Link(link) => f.write_str(link),
        }
    }
}

impl Serialize for Announcement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Announcement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            let why = format!("\"{text}\" is neither a link nor a prefix such as 192.0.2.10/32");
            serde::de::Error::custom(why)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_community_is_two_or_three_numbers_or_a_word() {
        for text in ["65000:100", "4200000001:1:2", "no-export", "blackhole"] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
        for text in ["", "65536:1", "1", "1:", "+1:2", "internet\n", "1:2:3:4"] {
            assert!(text.parse::<Community>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_bgp_section_reads_and_writes_alike() {
        let text = "asn: 4200000001\nneighbors:\n  - {link: lan0}\n  - {address: 10.0.0.1, \
                    remote-as: 65100}\n  - {link: lan1, remote-as: internal}\n\
                    announce: [lo, 192.0.2.10/32]\n";
        let spec: BgpSpec = serde_saphyr::from_str(text).unwrap();
        assert_eq!(spec.neighbors[1].remote_as, RemoteAs::Number(65100));
        assert_eq!(spec.neighbors[2].remote_as, RemoteAs::Internal);
        assert_eq!(spec.announce[0], Announcement::Link("lo".into()));
        let json = serde_json::to_value(&spec).unwrap();
        assert_eq!(json["announce"], serde_json::json!(["lo", "192.0.2.10/32"]));
        assert_eq!(serde_json::from_value::<BgpSpec>(json).unwrap(), spec);
        for wrong in ["announce: [1.2.3/32]", "neighbors: [{remote-as: some}]", "asn: -1"] {
            assert!(serde_saphyr::from_str::<BgpSpec>(wrong).is_err(), "{wrong}");
        }
    }
}
