//! Parameters: what a profile asks of the hosts that have it. Pure.

use serde::{Deserialize, Serialize};

use super::Scalar;
use super::words::words;

/// One value that a host, its rack or the site gives to a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parameter {
    /// What kind of value it is.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// The smallest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// The words to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// The value where neither the host, nor its rack, nor the site gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Scalar>,
    /// What it is for, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

words! {
    /// The kinds of values that a parameter takes.
    pub ParameterKind {
        /// A whole number.
        Number = "number",
        /// One of the words that the parameter lists.
        Word = "word",
        /// The name of a subnet, or `tenant/ROLE`.
        Subnet = "subnet",
        /// An IP address, with a prefix length or without.
        Address = "address",
        /// An IP address with its prefix length.
        AddressAndLength = "address-and-length",
        /// A MAC address.
        Mac = "mac",
        /// True or false.
        Boolean = "boolean",
        /// A text of harmless characters.
        Text = "text",
    }
}
