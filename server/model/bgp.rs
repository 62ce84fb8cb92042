//! BGP from the host: whom it speaks to and what it announces. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::link::is_default;

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
    /// How many ways to one place are used at a time, 1 to 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_paths: Option<u16>,
    /// Whether BFD finds dead neighbours (RFC 5880), in place of a hold time of seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bfd: bool,
}

/// One router that a host speaks to: by link, or by address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BgpNeighbor {
    /// Whoever is at the other end of the link, by its link-local address (RFC 8950).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The router's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
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
