//! Links that stand beside others on one host: veth pairs, MACVLANs, IPVLANs, partitions of InfiniBand,
//! the loopback. Pure.

use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::Mac;
use super::as_text::as_text;
use super::link::{is_default, link_spec};
use super::nic::InfinibandMode;
use super::words::words;

words! {
    /// Who of a link's MACVLANs may talk to whom.
    #[derive(Default)]
    pub MacvlanMode {
        /// They reach each other directly.
        #[default]
        Bridge = "bridge",
        /// They do not reach each other.
        Private = "private",
        /// They reach each other through the switch, which must send packets back (IEEE 802.1Qbg).
        Vepa = "vepa",
        /// One alone has the whole link below.
        Passthru = "passthru",
        /// Packets are chosen by the MAC that sent them.
        Source = "source",
    }
}

words! {
    /// What an IPVLAN looks at.
    #[derive(Default)]
    pub IpvlanMode {
        /// It takes part in ARP by itself.
        #[default]
        L2 = "l2",
        /// It routes, and hears neither multicast nor broadcast.
        L3 = "l3",
        /// As `l3`, and packet filters of the host see its packets.
        L3s = "l3s",
    }
}

link_spec! {
    /// One end of a virtual cable. Where the profile lists the other end as well, the host
    /// has both; else that is left alone, for a namespace or a container to take.
    VethSpec {
        /// The name of the other end.
        peer: String,
        /// The MAC of the other end, where the profile does not list it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer_macaddress: Option<Mac>,
    }
}

link_spec! {
    /// A link with a MAC of its own on top of another.
    MacvlanSpec {
        /// The link below.
        link: String,
        /// Who may talk to whom.
        #[serde(default, skip_serializing_if = "is_default")]
        mode: MacvlanMode,
        /// Whose packets it takes (mode `source` only).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        source_macaddresses: Vec<Mac>,
    }
}

link_spec! {
    /// A link with addresses of its own and the MAC of the one below.
    IpvlanSpec {
        /// The link below.
        link: String,
        /// What it looks at.
        #[serde(default, skip_serializing_if = "is_default")]
        mode: IpvlanMode,
    }
}

/// The key of a partition of InfiniBand (P_Key), such as `0x8001`: 15 bits, and one for full members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartitionKey(pub u16);

/// A text that is not a partition key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a partition key: expected one from 0x0001 to 0xffff, not 0x8000, such as 0x8001"
)]
pub struct InvalidPartitionKey(String);

impl FromStr for PartitionKey {
    type Err = InvalidPartitionKey;

    fn from_str(text: &str) -> Result<Self, InvalidPartitionKey> {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        // The kernel refuses a number without one of its 15 bits (ipoib_intf_alloc).
        let number = number.filter(|number| number & 0x7fff != 0);
        number.map(Self).ok_or_else(|| InvalidPartitionKey(text.to_owned()))
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

as_text!(PartitionKey);

link_spec! {
    /// A partition of an InfiniBand fabric, on a port of it.
    PartitionSpec {
        /// The port.
        link: String,
        /// The partition's key, such as `"0x8001"`.
        #[schemars(with = "super::Scalar")]
        pkey: PartitionKey,
        /// How packets are sent, where that is not as the driver has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<InfinibandMode>,
    }
}

/// What NCCL is told of the host's links, by `/etc/nccl.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NcclSpec {
    /// The NICs whose RDMA devices it uses (`NCCL_IB_HCA`), in order; those with a `rail` and an
    /// `rdma-device` where none are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// The link that members of a job find each other by (`NCCL_SOCKET_IFNAME`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// Other variables, such as `NCCL_IB_GID_INDEX`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "IndexMap<String, super::Scalar>")]
    pub variables: IndexMap<String, String>,
}

link_spec! {
    /// The host's loopback link `lo`, for addresses that are reached by any of its links.
    #[derive(Default)]
    LoopbackSpec {}
}
