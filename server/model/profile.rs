//! Profiles: the network that a kind of host has, in netplan's and networkd's words.

use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the network of a kind of host looks like. Forty hosts are one profile and forty rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// Whether the generator adds what makes a host come up well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub defaults: Defaults,
    /// How the files find the physical NICs.
    #[serde(default, rename = "match", skip_serializing_if = "is_default")]
    pub match_by: MatchBy,
    /// Plain NICs that carry addresses themselves, by the label of the NIC.
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
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What the generator adds to the profile's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defaults {
    /// Everything that makes the host come up well (MAC, MTU, no stray IPv6, wait-online).
    #[default]
    Safe,
    /// Exactly what the profile says and nothing else.
    Verbatim,
}

/// How a `.network` file finds a physical NIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchBy {
    /// `PermanentMACAddress=`, which survives enslaving.
    #[default]
    PermanentMac,
    /// `Name=` with the NIC's label, for hosts with predictable kernel names.
    Name,
}

/// What stands on a link that carries traffic of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NicSpec {
    /// The subnet whose address, gateway, resolvers and MTU the NIC gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// The MTU in bytes, where it is not the subnet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Ask DHCP for the address instead of writing it down.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dhcp: bool,
}

/// A bond of NICs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BondSpec {
    /// The labels of the member NICs.
    pub nics: Vec<String>,
    /// The bonding mode.
    pub mode: BondMode,
    /// How often LACP packets are asked for (802.3ad only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacp_rate: Option<LacpRate>,
    /// How a flow chooses its link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transmit_hash_policy: Option<TransmitHashPolicy>,
    /// How often the links' carrier is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mii_monitor: Option<Millis>,
    /// How long a link must be up before it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_delay: Option<Millis>,
    /// How long a link must be down before it is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_delay: Option<Millis>,
    /// How many links must be up for the bond to be up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_links: Option<u32>,
    /// The member preferred while it is up (active-backup, balance-tlb, balance-alb).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Take the bond down when all members are (`BindCarrier=`, by name).
    #[serde(default, skip_serializing_if = "is_default")]
    pub bind_carrier: bool,
    /// The subnet on the bond itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// The MTU in bytes, where it is not the largest of what the bond carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// An 802.1Q VLAN on top of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VlanSpec {
    /// The link below.
    pub link: String,
    /// The VLAN id, where it is not the subnet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// The subnet that the VLAN carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// The MTU in bytes, where it is not the subnet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// A bridge over links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BridgeSpec {
    /// The ports.
    pub interfaces: Vec<String>,
    /// Whether spanning tree runs, which delays the network by 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stp: Option<bool>,
    /// The subnet on the bridge itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// The MTU in bytes, where it is not the subnet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// The kernel's bonding modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    /// Packets in turn.
    BalanceRr,
    /// One link at a time.
    ActiveBackup,
    /// A hash chooses the link.
    BalanceXor,
    /// Every packet on every link.
    Broadcast,
    /// LACP (IEEE 802.1AX).
    #[serde(rename = "802.3ad")]
    Lacp,
    /// Sending is balanced by load.
    BalanceTlb,
    /// Sending and receiving are balanced by load.
    BalanceAlb,
}

/// How often a bond asks its partner for LACP packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LacpRate {
    /// Every 30 s.
    Slow,
    /// Every second.
    Fast,
}

/// What of a packet chooses its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransmitHashPolicy {
    /// MAC addresses.
    #[serde(rename = "layer2")]
    Layer2,
    /// MAC and IP addresses.
    #[serde(rename = "layer2+3")]
    Layer23,
    /// IP addresses and ports.
    #[serde(rename = "layer3+4")]
    Layer34,
    /// As layer2+3, inside tunnels.
    #[serde(rename = "encap2+3")]
    Encap23,
    /// As layer3+4, inside tunnels.
    #[serde(rename = "encap3+4")]
    Encap34,
}

impl BondMode {
    /// The kernel's and networkd's word.
    pub fn label(self) -> &'static str {
        match self {
            Self::BalanceRr => "balance-rr",
            Self::ActiveBackup => "active-backup",
            Self::BalanceXor => "balance-xor",
            Self::Broadcast => "broadcast",
            Self::Lacp => "802.3ad",
            Self::BalanceTlb => "balance-tlb",
            Self::BalanceAlb => "balance-alb",
        }
    }
}

impl LacpRate {
    /// The kernel's and networkd's word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Fast => "fast",
        }
    }
}

impl TransmitHashPolicy {
    /// The kernel's and networkd's word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Layer2 => "layer2",
            Self::Layer23 => "layer2+3",
            Self::Layer34 => "layer3+4",
            Self::Encap23 => "encap2+3",
            Self::Encap34 => "encap3+4",
        }
    }
}

impl Profile {
    /// Every link of the profile that has a subnet, with the subnet's name, lowest layer first.
    pub fn subnets(&self) -> impl Iterator<Item = (&str, &str)> {
        fn pair<'a>(
            (name, subnet): (&'a String, &'a Option<String>),
        ) -> Option<(&'a str, &'a str)> {
            Some((name.as_str(), subnet.as_deref()?))
        }
        let nics = self.nics.iter().map(|(name, spec)| (name, &spec.subnet));
        let bonds = self.bonds.iter().map(|(name, spec)| (name, &spec.subnet));
        let vlans = self.vlans.iter().map(|(name, spec)| (name, &spec.subnet));
        let bridges = self.bridges.iter().map(|(name, spec)| (name, &spec.subnet));
        nics.chain(bonds).chain(vlans).chain(bridges).filter_map(pair)
    }

    /// The topmost link that carries `subnet`: an address lives there, never on a lower layer.
    pub fn link_of_subnet(&self, subnet: &str) -> Option<&str> {
        self.subnets().filter(|(_, name)| *name == subnet).last().map(|(link, _)| link)
    }
}

/// A span of time in milliseconds, written `100ms`, `2s`, `5m`, `1h` or `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// A text that is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a time span: a number with ms, s, m, h or d is needed, such as 100ms")]
pub struct InvalidDuration(pub String);

impl Millis {
    /// Seconds as networkd writes them: `0.1s`, `2s`.
    pub fn as_seconds_text(self) -> String {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        if millis == 0 {
            return format!("{seconds}s");
        }
        let fraction = format!("{millis:03}");
        format!("{seconds}.{}s", fraction.trim_end_matches('0'))
    }
}

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl FromStr for Millis {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let invalid = || InvalidDuration(text.to_owned());
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?.1;
        let number: u64 = digits.parse().map_err(|_| invalid())?;
        number.checked_mul(factor).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, factor): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*factor);
        let (unit, factor) = UNITS.iter().rev().find(whole).unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_span_keeps_its_unit() {
        for text in ["100ms", "2s", "5m", "1h", "1d", "1500ms"] {
            assert_eq!(text.parse::<Millis>().unwrap().to_string(), text);
        }
        assert_eq!(Millis(100).as_seconds_text(), "0.1s");
        assert_eq!(Millis(2000).as_seconds_text(), "2s");
        for text in ["", "s", "10", "-1s", "1 s", "1w", "99999999999999999999d"] {
            assert!(text.parse::<Millis>().is_err(), "{text}");
        }
    }
}
