//! How a host makes its IPv6 addresses, and what it calls itself to a DHCP server. Pure.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::as_text::as_text;
use super::words::{switch_words, words};

words! {
    /// How the IPv6 link-local address is made (RFC 7217, RFC 4291 appendix A).
    pub AddressGeneration {
        /// Of the MAC.
        Eui64 = "eui64",
        /// Of the MAC, the link's name and a secret of the host.
        StablePrivacy = "stable-privacy",
        /// By chance, whenever the link comes up.
        Random = "random",
        /// There is none.
        None = "none",
    }
}

switch_words! {
    /// Whether a host has addresses by SLAAC that change (RFC 8981).
    pub Ipv6Privacy {
        /// No.
        No,
        /// It has them and sends from them.
        Yes = "prefer-temporary",
        /// It has them, and sends from the one that stays.
        PreferPublic = "prefer-public",
    }
}

/// The half of addresses by SLAAC that the host chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ipv6Token {
    /// The last 64 bits of this address.
    Address(Ipv6Addr),
    /// One that is made of the prefix and a secret of the host (RFC 7217).
    Stable,
}

/// A text that is not such a half.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a token: expected the last 64 bits of an address, such as ::1:2, or stable"
)]
pub struct InvalidIpv6Token(pub String);

impl FromStr for Ipv6Token {
    type Err = InvalidIpv6Token;

    fn from_str(text: &str) -> Result<Self, InvalidIpv6Token> {
        if text == "stable" {
            return Ok(Self::Stable);
        }
        let address: Option<Ipv6Addr> = text.parse().ok();
        let fits =
            |address: &Ipv6Addr| address.octets()[..8] == [0; 8] && !address.is_unspecified();
        let address = address.filter(fits).ok_or_else(|| InvalidIpv6Token(text.to_owned()))?;
        Ok(Self::Address(address))
    }
}

impl fmt::Display for Ipv6Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Not as an IPv4 address within one: systemd 247 does not read `::0.1.0.2`.
            Self::Address(address) => {
                let [.., a, b, c, d] = address.segments();
                match (a, b, c) {
                    (0, 0, 0) => write!(f, "::{d:x}"),
                    (0, 0, _) => write!(f, "::{c:x}:{d:x}"),
                    (0, ..) => write!(f, "::{b:x}:{c:x}:{d:x}"),
                    _ => write!(f, "::{a:x}:{b:x}:{c:x}:{d:x}"),
                }
            }
            Self::Stable => f.write_str("stable"),
        }
    }
}

as_text!(Ipv6Token);

words! {
    /// What an IPv4 DHCP client calls itself (option 61).
    pub DhcpIdentifier {
        /// By its MAC, as firmware does.
        Mac = "mac",
        /// By its DUID and a number of the link (RFC 4361).
        Duid = "duid",
    }
}

words! {
    /// The kind of a DUID (RFC 8415 section 11).
    pub DuidType {
        /// Of a MAC and the time.
        LinkLayerTime = "link-layer-time",
        /// Of systemd's number and the machine-id.
        Vendor = "vendor",
        /// Of a MAC.
        LinkLayer = "link-layer",
        /// Of the machine's UUID.
        Uuid = "uuid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_last_half_of_an_address() {
        for text in ["::1", "::1:2", "::a:b:c", "::1:0:0:53", "stable"] {
            assert_eq!(text.parse::<Ipv6Token>().unwrap().to_string(), text);
        }
        for text in ["", "::", "fd00::1", "1", "10.0.0.1", "static"] {
            assert!(text.parse::<Ipv6Token>().is_err(), "{text}");
        }
    }
}
