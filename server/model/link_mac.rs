//! Where the MAC of a link comes from, as a profile says it. Pure.

use std::fmt;
use std::str::FromStr;

use super::as_text::as_text;
use super::words::words;
use super::{InvalidMac, Mac};

words! {
    /// Who chooses the MAC of a link that is made.
    pub MacPolicy {
        /// The profile: a bond or bridge has the MAC of its first NIC, whatever NIC comes up
        /// first and whatever image the host runs.
        Inherit = "inherit",
        /// The kernel: a bond takes that of the first member, a bridge the least of its ports',
        /// a VLAN its parent's; the others get one by chance.
        Kernel = "none",
        /// networkd: one made of the link's name and the machine-id, which images that were
        /// cloned share.
        Persistent = "persistent",
    }
}

/// A MAC, or who chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkMac {
    /// This one.
    Given(Mac),
    /// One that is chosen so.
    Policy(MacPolicy),
}

impl LinkMac {
    /// The MAC, where it is given.
    pub fn given(self) -> Option<Mac> {
        match self {
            Self::Given(mac) => Some(mac),
            Self::Policy(_) => None,
        }
    }

    /// Who chooses it, where it is not given.
    pub fn policy(self) -> Option<MacPolicy> {
        match self {
            Self::Given(_) => None,
            Self::Policy(policy) => Some(policy),
        }
    }
}

/// A text that is neither a MAC nor a word for who chooses one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; or write inherit, none or persistent")]
pub struct InvalidLinkMac(#[from] InvalidMac);

impl FromStr for LinkMac {
    type Err = InvalidLinkMac;

    fn from_str(text: &str) -> Result<Self, InvalidLinkMac> {
        match MacPolicy::ALL.iter().find(|policy| policy.label() == text) {
            Some(policy) => Ok(Self::Policy(*policy)),
            None => Ok(Self::Given(text.parse()?)),
        }
    }
}

impl fmt::Display for LinkMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(mac) => mac.fmt(f),
            Self::Policy(policy) => policy.fmt(f),
        }
    }
}

as_text!(LinkMac);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_s_mac_is_an_address_or_a_word() {
        for text in ["52:54:00:aa:00:01", "inherit", "none", "persistent"] {
            assert_eq!(text.parse::<LinkMac>().unwrap().to_string(), text);
        }
        let error = "random".parse::<LinkMac>().unwrap_err().to_string();
        assert!(error.contains("\"random\" is not a MAC address"), "{error}");
        assert!(error.ends_with("or write inherit, none or persistent"), "{error}");
    }
}
