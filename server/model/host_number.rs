//! The number of a host's address within its subnet, as a profile computes it. Pure.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::formula::{Formula, Overflow};

/// What a profile knows a host's own number by.
pub(crate) const INDEX: &str = "index";

/// A number, or an expression over the host's own number such as `=index + 10`. It is computed
/// for each host, so that hosts which differ in their number alone share one profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostNumber(Formula);

/// Why a host has no such number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostNumberError {
    /// The number depends on the host's own.
    #[error("the host has no index: set index or unit")]
    NoIndex,
    /// A name other than `index`.
    #[error("parameter \"{0}\" does not exist; expected one of: {INDEX}")]
    UnknownName(String),
    /// The result does not fit.
    #[error(transparent)]
    TooLarge(#[from] Overflow),
}

impl HostNumber {
    /// The number for a host with this number of its own.
    ///
    /// # Errors
    /// When the host has none and one is needed, or the result is too large.
    pub fn of(&self, index: Option<u32>) -> Result<i64, HostNumberError> {
        self.0.compute(&|name| match index {
            None => Err(HostNumberError::NoIndex),
            Some(index) if name == INDEX => Ok(index.into()),
            Some(_) => Err(HostNumberError::UnknownName(name.to_owned())),
        })
    }
}

impl fmt::Display for HostNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Formula::Number(number) => write!(f, "{number}"),
            formula => write!(f, "={formula}"),
        }
    }
}

impl Serialize for HostNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Formula::Number(number) => serializer.serialize_i64(*number),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for HostNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HostNumberVisitor)
    }
}

struct HostNumberVisitor;

impl Visitor<'_> for HostNumberVisitor {
    type Value = HostNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or an expression such as =index + 10")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<HostNumber, E> {
        let number = i64::try_from(value).map_err(|_| E::custom("the number is too large"))?;
        Ok(HostNumber(Formula::Number(number)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<HostNumber, E> {
        Ok(HostNumber(Formula::Number(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<HostNumber, E> {
        let Some(text) = value.strip_prefix('=') else {
            return Err(E::invalid_value(serde::de::Unexpected::Str(value), &self));
        };
        Formula::parse(text).map(HostNumber).map_err(E::custom)
    }
}
