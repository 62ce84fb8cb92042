//! By what the URLs of a boot name the host that boots. Pure.

use std::fmt;

use crate::model::{Mac, NicAddress};

/// What `/boot/…`, `/config/…` and `/report/…` are followed by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum UrlName {
    /// A NIC, of a host of the inventory or not.
    Nic(NicAddress),
    /// A host of the inventory, of which the packet names no NIC.
    Host(String),
}

impl UrlName {
    /// The NIC, if it is one.
    pub(crate) fn nic(&self) -> Option<NicAddress> {
        match self {
            Self::Nic(nic) => Some(*nic),
            Self::Host(_) => None,
        }
    }

    /// As iPXE's `${mac:hexhyp}` writes a MAC: without colons, which some clients refuse in a path.
    pub(crate) fn hyphenated(&self) -> String {
        match self {
            Self::Nic(nic) => nic.hyphenated(),
            Self::Host(name) => name.clone(),
        }
    }
}

impl From<Mac> for UrlName {
    fn from(mac: Mac) -> Self {
        Self::Nic(mac.into())
    }
}

impl fmt::Display for UrlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nic(nic) => nic.fmt(f),
            Self::Host(name) => f.write_str(name),
        }
    }
}
