//! Events: what happened to whom and when. The boot timeline and the audit trail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{HostState, Mac};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Event {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// The host it is about, if it is about a known one.
    pub host: Option<String>,
    /// The MAC it is about.
    pub mac: Option<Mac>,
    /// What kind of thing.
    pub kind: EventKind,
    /// A short sentence for a person, free of control characters.
    pub text: String,
}

macro_rules! event_kinds {
    ($($(#[doc = $doc:literal])* $variant:ident = $label:literal),* $(,)?) => {
        /// What kind of thing happened; the boot's stages in the order of a boot come first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum EventKind { $($(#[doc = $doc])* $variant),* }

        impl EventKind {
            /// All kinds, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word shown and stored.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),* }
            }
        }
    };
}

event_kinds! {
    /// The client asked for an address.
    Discover = "discover",
    /// An address was offered.
    Offer = "offer",
    /// The client asked for the offered address, or to keep its own.
    Request = "request",
    /// The address was given.
    Ack = "ack",
    /// The client was told that its address is wrong.
    Nak = "nak",
    /// A file began to go out by TFTP.
    Tftp = "tftp",
    /// A network boot program went out by HTTP (UEFI HTTP Boot).
    Nbp = "nbp",
    /// The host's iPXE script went out.
    Script = "script",
    /// The kernel went out.
    Kernel = "kernel",
    /// An initrd went out.
    Initrd = "initrd",
    /// The host's network configuration went out.
    Config = "config",
    /// The host said how it is.
    Report = "report",
    /// The client found its address in use.
    Decline = "decline",
    /// The client gave its address back.
    Release = "release",
    /// Something of another kind was sent by HTTP or TFTP.
    File = "file",
    /// The inventory was changed.
    Change = "change",
    /// Somebody logged in, failed to, or logged out.
    Login = "login",
    /// Something that the operator should look at.
    Warning = "warning",
    /// Something that keeps clients from being served.
    Error = "error",
}

impl EventKind {
    /// The state that a host is in after this event, where the event says.
    pub fn host_state(self) -> Option<HostState> {
        match self {
            Self::Discover
            | Self::Tftp
            | Self::Nbp
            | Self::Script
            | Self::Kernel
            | Self::Initrd => Some(HostState::Booting),
            _ => None,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for EventKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.label() == text)
            .ok_or_else(|| format!("\"{text}\" is not an event kind"))
    }
}

/// How far a long transfer is. Shown live, never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The host that fetches, if it is known.
    pub host: Option<String>,
    /// Which stage of the boot the file belongs to.
    pub kind: EventKind,
    /// The file's name.
    pub file: String,
    /// How many bytes have left.
    pub sent_bytes: u64,
    /// How many there are in all.
    pub total_bytes: u64,
}

/// How many things of strangers are told in a second: a flood of invented MACs
/// must not bury what happens to hosts.
const STRANGERS_A_SECOND: u32 = 20;

/// What may still be told of strangers in a second.
#[derive(Debug, Default)]
pub struct StrangerBudget {
    second: i64,
    told: u32,
}

impl StrangerBudget {
    /// Whether one more thing of a stranger is told at `now` (Unix seconds).
    pub fn takes_one(&mut self, now: i64) -> bool {
        if self.second != now {
            (self.second, self.told) = (now, 0);
        }
        self.told = self.told.saturating_add(1);
        self.told <= STRANGERS_A_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_is_told_of_in_part() {
        let mut budget = StrangerBudget::default();
        assert_eq!((0..50_000).filter(|_| budget.takes_one(7)).count(), 20);
        assert!(budget.takes_one(8));
    }
}
