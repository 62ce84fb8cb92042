//! Leases: who holds which address until when.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidNicAddress, Mac, NicAddress};

/// Who holds a lease. A host is one client whichever of its NICs asks, so that
/// it keeps one address from ROM to OS; a stranger is its MAC. The client
/// identifier is not used: ROM, iPXE and OS send three different ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientKey {
    /// A host of the inventory, by name.
    Host(String),
    /// An unknown client, by hardware address.
    Mac(Mac),
    /// An unknown client on InfiniBand, by the GUID of its port.
    Guid([u8; 8]),
    /// A client that tells neither (RFC 4390), by client identifier in hexadecimal.
    Id(String),
}

impl From<NicAddress> for ClientKey {
    fn from(nic: NicAddress) -> Self {
        match nic {
            NicAddress::Mac(mac) => Self::Mac(mac),
            NicAddress::Guid(guid) => Self::Guid(guid),
            NicAddress::Ipoib([.., a, b, c, d, e, f, g, h]) => Self::Guid([a, b, c, d, e, f, g, h]),
        }
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => write!(f, "host:{name}"),
            Self::Mac(mac) => write!(f, "mac:{mac}"),
            Self::Guid(guid) => write!(f, "guid:{}", NicAddress::Guid(*guid)),
            Self::Id(id) => write!(f, "id:{id}"),
        }
    }
}

/// A text that does not name a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClientKey {
    #[error(transparent)]
    Nic(#[from] InvalidNicAddress),
    #[error("\"{0}\" is not a client: host:NAME, mac:MAC, guid:GUID or id:HEX")]
    Form(String),
}

/// A text that is not a [`LeaseState`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a lease state: bound, released or declined")]
pub struct InvalidLeaseState(pub String);

impl FromStr for ClientKey {
    type Err = InvalidClientKey;

    fn from_str(text: &str) -> Result<Self, InvalidClientKey> {
        match text.split_once(':') {
            Some(("host", name)) => Ok(Self::Host(name.to_owned())),
            Some(("mac" | "guid", nic)) => Ok(nic.parse::<NicAddress>()?.into()),
            Some(("id", id)) => Ok(Self::Id(id.to_owned())),
            _ => Err(InvalidClientKey::Form(text.to_owned())),
        }
    }
}

/// One address and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Who holds it.
    pub client: ClientKey,
    /// The NIC that asked last, by its [identity](NicAddress::identity); none of a client that does
    /// not tell it.
    pub nic: Option<NicAddress>,
    /// The subnet it belongs to, by name.
    pub subnet: String,
    /// Whether it is in use.
    pub state: LeaseState,
    /// When it was first given, in Unix seconds.
    pub starts_at: i64,
    /// When it ends, in Unix seconds.
    pub expires_at: i64,
    /// Whether another server gave the address: its client owns another one here, and keeps this
    /// one until it asks anew.
    pub taken_over: bool,
}

impl Lease {
    /// The MAC of the NIC that asked last, if it is on Ethernet.
    pub fn mac(&self) -> Option<Mac> {
        self.nic?.mac()
    }

    /// Whether nobody else may have the address at `now` (Unix seconds).
    pub fn is_live(&self, now: i64) -> bool {
        self.state != LeaseState::Released && self.expires_at > now
    }
}

/// What became of a lease.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseState {
    /// Acknowledged to the client.
    Bound,
    /// Given back; kept so that the client gets the same address again.
    Released,
    /// The client found somebody else on it: nobody gets it until it expires.
    Declined,
}

impl LeaseState {
    /// The word shown and stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Released => "released",
            Self::Declined => "declined",
        }
    }
}

impl FromStr for LeaseState {
    type Err = InvalidLeaseState;

    fn from_str(text: &str) -> Result<Self, InvalidLeaseState> {
        [Self::Bound, Self::Released, Self::Declined]
            .into_iter()
            .find(|state| state.label() == text)
            .ok_or_else(|| InvalidLeaseState(text.to_owned()))
    }
}
