//! The state of a host. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::EventData;
use super::event::Report;

/// The state of a host: never in the site file, only in the database.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// In the inventory, never seen.
    #[default]
    Waiting,
    /// Asked DHCP and is on its way up.
    Booting,
    /// Boots an image that installs.
    Installing,
    /// Reported that it is up.
    Up,
    /// Its boot has been silent for longer than its stage allows, or cannot go on.
    Stuck,
    /// Reported that something is wrong.
    Failed,
}

impl HostState {
    /// All states, in the order of a host's life.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Booting, Self::Installing, Self::Up, Self::Stuck, Self::Failed];

    /// The word shown and stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Booting => "booting",
            Self::Installing => "installing",
            Self::Up => "up",
            Self::Stuck => "stuck",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A word that names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a host state: waiting, booting, installing, up, stuck or failed")]
pub struct UnknownState(pub String);

impl FromStr for HostState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let named = Self::ALL.into_iter().find(|state| state.label() == text);
        named.ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// The state that an event alone speaks of, if it does.
pub fn after(data: &EventData) -> Option<HostState> {
    use super::event::Verdict::{Failed, Up};
    match data {
        EventData::Discover(_)
        | EventData::Tftp(_)
        | EventData::Nbp(_)
        | EventData::Script(_)
        | EventData::Kernel(_)
        | EventData::Initrd(_) => Some(HostState::Booting),
        EventData::Report(Report { verdict: Up, .. }) => Some(HostState::Up),
        EventData::Report(Report { verdict: Failed, .. }) => Some(HostState::Failed),
        _ => None,
    }
}
