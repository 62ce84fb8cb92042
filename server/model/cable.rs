//! A host's NICs as the inventory has them, and the switches that they are cabled to. Pure.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::link::is_default;
use super::words::words;
use super::{Mac, NicAddress, VlanIds};

/// One NIC of a host: its permanent address, and where its cable ends. In the site file it is the
/// address alone, or a mapping with `mac`, `switch` and `port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nic {
    /// The permanent MAC, or what stands for it on InfiniBand.
    pub address: NicAddress,
    /// The port of the switch that it is cabled to, where that is known.
    pub cable: Option<Cable>,
}

/// The far end of a NIC's cable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cable {
    /// The switch's name in the site.
    pub switch: String,
    /// The port's name as the switch has it, such as `Ethernet12` or `swp12`.
    pub port: String,
}

impl fmt::Display for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.switch, self.port)
    }
}

impl<T: Into<NicAddress>> From<T> for Nic {
    fn from(address: T) -> Self {
        Self { address: address.into(), cable: None }
    }
}

impl Nic {
    /// The MAC of an Ethernet NIC.
    pub fn mac(&self) -> Option<Mac> {
        self.address.mac()
    }
}

impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// The mapping form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    mac: NicAddress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    switch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<String>,
}

impl Serialize for Nic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(Cable { switch, port }) = &self.cable else {
            return self.address.serialize(serializer);
        };
        let (switch, port) = (Some(switch.clone()), Some(port.clone()));
        Fields { mac: self.address, switch, port }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Nic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NicVisitor)
    }
}

struct NicVisitor;

impl<'de> Visitor<'de> for NicVisitor {
    type Value = Nic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MAC address, or a mapping with mac, switch and port")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Nic, E> {
        text.parse::<NicAddress>().map(Nic::from).map_err(E::custom)
    }

    /// A MAC of decimal digits alone, which YAML reads as a number.
    fn visit_u64<E: Error>(self, number: u64) -> Result<Nic, E> {
        // YAML reads 001122334455 as a number. A vendor's part begins with three zeros at most;
        // what has fewer digits was never a MAC.
        const SHORTEST: u64 = 100_000_000;
        match number {
            SHORTEST.. => self.visit_str(&format!("{number:012}")),
            _ => self.visit_str(&number.to_string()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Nic, A::Error> {
        let Fields { mac, switch, port } = Fields::deserialize(MapAccessDeserializer::new(map))?;
        let cable = match (switch, port) {
            (Some(switch), Some(port)) => Some(Cable { switch, port }),
            (None, None) => None,
            _ => return Err(A::Error::custom("a cable needs both switch and port")),
        };
        Ok(Nic { address: mac, cable })
    }
}

words! {
    /// Whose words a switch's configuration is in.
    pub Vendor {
        /// Arista EOS.
        Eos = "eos",
        /// NVIDIA Cumulus Linux, by NVUE.
        Nvue = "nvue",
        /// SONiC's configuration database.
        Sonic = "sonic",
    }
}

/// A switch that hosts are cabled to. Its configuration is rendered, never pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Switch {
    /// Whose words its configuration is in.
    pub vendor: Vendor,
    /// The rack it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// The lowest rack unit it fills, counted from 1 at the bottom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<u16>,
    /// How many units it fills, 1 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u16>,
    /// Names of labels, to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What people should know of it, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The switch that it is an MLAG pair with: a bond may end on both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mlag_peer: Option<String>,
    /// The number of the pair's MLAG domain, 1 where none is given (SONiC only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mlag_domain: Option<u16>,
    /// The MTU of its ports in bytes, where it is not the usual one with room for the hosts'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The VLAN of untagged packets whose subnet says none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native_vlan: Option<u16>,
    /// The VLANs that its ports may carry, ids and ranges such as `[10, 3700-3799]`; none for any.
    #[serde(default, skip_serializing_if = "VlanIds::is_empty")]
    pub vlans: VlanIds,
    /// Whether ports of hosts are shut when they send spanning-tree packets; they are unless
    /// told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpdu_guard: Option<bool>,
    /// Left without LACP fallback, because the switch cannot: hosts with an LACP bond then
    /// cannot boot over the network.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_lacp_fallback: bool,
}

impl Switch {
    /// Whether ports of hosts are shut when they send spanning-tree packets.
    pub fn guards_bpdus(&self) -> bool {
        self.bpdu_guard.unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nic_is_its_mac_or_a_mapping() {
        let cases = [
            (r#""52:54:00:aa:00:01""#, r#""52:54:00:aa:00:01""#),
            (r#"{"mac":"5254.00aa.0001"}"#, r#""52:54:00:aa:00:01""#),
            (
                r#"{"mac":"52:54:00:aa:00:01","switch":"leaf1a","port":"Ethernet12"}"#,
                r#"{"mac":"52:54:00:aa:00:01","switch":"leaf1a","port":"Ethernet12"}"#,
            ),
            ("1122334455", r#""00:11:22:33:44:55""#),
            (r#""0002:c903:000a:0b0c""#, r#""00:02:c9:03:00:0a:0b:0c""#),
        ];
        for (text, written) in cases {
            let nic: Nic = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&nic).unwrap(), written, "{text}");
        }
        let half = r#"{"mac":"52:54:00:aa:00:01","switch":"leaf1a"}"#;
        let error = serde_json::from_str::<Nic>(half).unwrap_err().to_string();
        assert!(error.contains("both switch and port"), "{error}");
        assert!(serde_json::from_str::<Nic>("[]").is_err());
    }
}
