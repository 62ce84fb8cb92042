//! Maps whose keys are numbers, for serde's `with`: JSON and the site file have texts as keys
//! only. Pure.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// Writes each key as a text.
pub(crate) fn serialize<K: Display, V: Serialize, S: Serializer>(
    map: &BTreeMap<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter().map(|(key, value)| (key.to_string(), value)))
}

/// Reads each key from a text.
pub(crate) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    K: FromStr + Ord,
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let entry = |(key, value): (String, V)| match key.parse() {
        Ok(number) => Ok((number, value)),
        Err(_) => Err(D::Error::custom(format_args!("a key must be a number, not \"{key}\""))),
    };
    BTreeMap::<String, V>::deserialize(deserializer)?.into_iter().map(entry).collect()
}
