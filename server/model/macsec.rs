//! MACsec: a link whose Ethernet frames are encrypted between hosts on one wire. Pure.

use serde::{Deserialize, Serialize};

use super::link::link_spec;
use super::{HostSelector, Mac, SecretRef};

link_spec! {
    /// A link of MACsec (IEEE 802.1AE) on another, with keys that are written down. Each host sends
    /// with a key of its own, which its peers receive with.
    MacsecSpec {
        /// The link below: a NIC, bond, VLAN or bridge.
        link: String,
        /// Its peers are all hosts that have a MACsec link of this name and fit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mesh: Option<HostSelector>,
        /// Peers that are not hosts of the inventory.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        peers: Vec<MacsecPeer>,
        /// The key that the host sends with, a secret of 32 hexadecimal digits. Without one the key
        /// follows from the server's key file, the host and the link.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<SecretRef>,
        /// Whether frames are encrypted. They are, unless told otherwise; without, they are only
        /// protected from changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        encrypt: Option<bool>,
    }
}

/// A peer that is not a host of the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MacsecPeer {
    /// The MAC address that it sends from.
    pub macaddress: Mac,
    /// The port of its secure channel, 1 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The key that it sends with, a secret of 32 hexadecimal digits.
    pub key: SecretRef,
}
