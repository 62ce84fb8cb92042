//! The id of a VLAN as a profile says it: a number, or that of a subnet. Pure.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A VLAN's id, without an address of a subnet coming with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VlanId {
    /// The id itself.
    Number(u16),
    /// That of the subnet of this name, or of the tenant's for `tenant/ROLE`.
    Of(String),
}

impl VlanId {
    /// The subnet whose id it is, by name or as `tenant/ROLE`.
    pub fn subnet(&self) -> Option<&str> {
        match self {
            Self::Number(_) => None,
            Self::Of(subnet) => Some(subnet),
        }
    }

    /// The same, to change.
    pub(super) fn subnet_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Number(_) => None,
            Self::Of(subnet) => Some(subnet),
        }
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Of(subnet) => f.write_str(subnet),
        }
    }
}

impl Serialize for VlanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u16(*number),
            Self::Of(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for VlanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VlanIdVisitor)
    }
}

struct VlanIdVisitor;

impl Visitor<'_> for VlanIdVisitor {
    type Value = VlanId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a VLAN id from 1 to 4094, the name of a subnet that has one, or tenant/ROLE")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<VlanId, E> {
        let number = u16::try_from(value);
        number.map(VlanId::Number).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<VlanId, E> {
        let number = u16::try_from(value);
        number.map(VlanId::Number).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<VlanId, E> {
        match value.parse::<u64>() {
            Ok(number) => self.visit_u64(number),
            Err(_) if value.is_empty() => Err(E::invalid_value(Unexpected::Str(value), &self)),
            Err(_) => Ok(VlanId::Of(value.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_number_or_a_subnets() {
        let of = |subnet: &str| VlanId::Of(subnet.to_owned());
        let cases = [
            ("500", Some(VlanId::Number(500))),
            ("\"500\"", Some(VlanId::Number(500))),
            ("\"tenant/internal\"", Some(of("tenant/internal"))),
            ("\"guests\"", Some(of("guests"))),
            ("70000", None),
            ("\"70000\"", None),
            ("-1", None),
            ("\"\"", None),
            ("true", None),
            ("null", None),
        ];
        for (text, expected) in cases {
            let read = serde_json::from_str::<VlanId>(text);
            if let Err(error) = &read {
                assert!(error.to_string().contains("tenant/ROLE"), "{text}: {error}");
            }
            let again = read.as_ref().ok().map(|id| serde_json::to_string(id).unwrap());
            assert_eq!(read.ok(), expected, "{text}");
            let same = again.is_none_or(|again| again == text || format!("\"{again}\"") == text);
            assert!(same, "{text}");
        }
    }
}
