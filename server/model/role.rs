//! Who may do what. Pure.

use std::str::FromStr;

use super::words::words;

words! {
    /// What a user or a token may do; each role includes the ones before it.
    pub Role {
        /// Look at everything but users.
        Viewer = "viewer",
        /// Change the inventory, arm installs, release leases.
        Operator = "operator",
        /// Manage users, and the tokens and sessions of others.
        Admin = "admin",
    }
}

/// A word that is not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a role: expected viewer, operator or admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.iter().find(|role| role.label() == text);
        found.copied().ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_words_in_order() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(*role));
        }
        let error = "root".parse::<Role>().unwrap_err().to_string();
        assert_eq!(error, "\"root\" is not a role: expected viewer, operator or admin");
    }
}
