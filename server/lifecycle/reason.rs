//! Why a DHCP message is refused, not answered, or answered otherwise than usual: decided by `dhcp`
//! and `boot`, and the first thing to know of a boot that has stopped.

use serde::{Deserialize, Serialize};

/// Why a client is told that its address is wrong.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    thiserror::Error,
)]
#[serde(rename_all = "kebab-case")]
pub enum NakReason {
    /// It is another client's, or of another network.
    #[error("address not available")]
    NotAvailable,
    /// The client has another address here.
    #[error("another address is yours")]
    NotYours,
}

/// Why a message is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Every address of the subnet's ranges is taken.
    PoolExhausted,
    /// The subnet refuses clients that are not in the inventory.
    UnknownRefused,
    /// The client took the offer of another server.
    OtherServer,
    /// Another server may know the client: it must not hear a NAK from this one.
    NoRecord,
    /// The message lacks what its kind needs.
    NoAddress,
    /// The client gives back or refuses an address that it does not hold.
    NotItsLease,
    /// The client gives back or refuses an address while it asks for it: the lease would
    /// outlive its end in memory.
    BeingGiven,
    /// The packet does not come from the address that the client says it has.
    WrongSource,
    /// A kind of message that servers do not answer.
    NotForUs,
    /// The packet's link belongs to no subnet of the site.
    NoSubnet,
    /// A relay that is not allowed.
    UnknownRelay,
    /// Another server gives the addresses; this one says what to boot.
    AddressesElsewhere,
    /// A question about booting of one that boots nothing from here.
    BootsNothing,
    /// BOOTP is for hosts that own an address, where the subnet says so.
    NoBootp,
    /// Another server has time to answer first.
    TooEarly,
    /// The address that it is to have is being probed: the answer follows.
    BeingProbed,
    /// The host is not to be answered.
    HostOff,
    /// The client refuses too many addresses.
    TooManyDeclines,
}

impl Reason {
    /// The reason in words: one of a fixed set.
    pub fn label(self) -> &'static str {
        match self {
            Self::PoolExhausted => "no free address in the subnet's dhcp ranges",
            Self::UnknownRefused => "the subnet refuses clients that are not in the inventory",
            Self::OtherServer => "the client chose another server",
            Self::NoRecord => "no record of the client here",
            Self::NoAddress => "the message names no address",
            Self::NotItsLease => "the client does not hold that address",
            Self::BeingGiven => "a lease of that address is being made",
            Self::WrongSource => "the packet does not come from the address it speaks of",
            Self::NotForUs => "this kind of message is not answered",
            Self::NoSubnet => "no subnet of the site is on that link",
            Self::UnknownRelay => "the relay agent is not allowed",
            Self::AddressesElsewhere => "addresses are given by another server (proxy_dhcp)",
            Self::BootsNothing => "the client boots nothing from here",
            Self::NoBootp => {
                "a BOOTP client is answered only with an address of its own, where the subnet has bootp"
            }
            Self::TooEarly => "the client has not asked for min-secs seconds yet",
            Self::BeingProbed => "its address is being probed",
            Self::HostOff => "the host has dhcp: off",
            Self::TooManyDeclines => "the client declined too many addresses",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

impl std::error::Error for Reason {}

/// Why a client is told its script instead of a program.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    thiserror::Error,
)]
#[serde(rename_all = "kebab-case")]
pub enum Detour {
    /// It was told the same program again and again.
    #[error(
        "was told its boot program 3 times within a minute and is told its script now: \
             the program does not start, or iPXE hides what it is (options 77 and 175)"
    )]
    Loop,
    /// Its iPXE has no HTTP, and the one it was sent to seems to be no better.
    #[error("is an iPXE without HTTP that was sent to another iPXE already: told its script now")]
    Chained,
}
