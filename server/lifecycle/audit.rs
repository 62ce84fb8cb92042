//! What people and programs did to the inventory, accounts and leases.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// What was done. As JSON an object whose `action` names the variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// The inventory was changed.
    Changed {
        /// The revision that it became.
        revision: i64,
        /// What was changed, as whoever changed it put it.
        summary: String,
    },
    /// A lease was taken back.
    LeaseRemoved {
        /// The address.
        address: Ipv4Addr,
        /// The client that leased it.
        client: String,
    },
    /// An API token was made.
    TokenAdded {
        /// The token's name.
        token: String,
    },
    /// An API token was removed.
    TokenRemoved {
        /// The token's name.
        token: String,
    },
    /// A user's password was changed.
    PasswordChanged {
        /// The user.
        user: String,
    },
    /// An install was cancelled.
    InstallCancelled {
        /// The host.
        host: String,
    },
    /// The user logged in.
    LoggedIn {
        /// The client's address.
        from: IpAddr,
    },
    /// A login was refused.
    LoginRefused {
        /// The client's address.
        from: IpAddr,
    },
    /// The user logged out.
    LoggedOut,
}

impl Action {
    /// The address that it is about.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::LeaseRemoved { address, .. } => Some(IpAddr::V4(*address)),
            Self::LoggedIn { from } | Self::LoginRefused { from } => Some(*from),
            Self::Changed { .. }
            | Self::TokenAdded { .. }
            | Self::TokenRemoved { .. }
            | Self::PasswordChanged { .. }
            | Self::InstallCancelled { .. }
            | Self::LoggedOut => None,
        }
    }
}
