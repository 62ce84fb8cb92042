//! Secrets by name: a profile names one, its value is kept elsewhere, and a reader of files sees
//! the name. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Host, Location, Noun, ProfileTree, Rack, Site};

/// A secret of the inventory, by the name that `rackstrap secret set` gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretRef {
    /// The name of the secret.
    pub secret: String,
}

/// What a file has in the place of a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretText {
    /// The name, for readers: `<secret leaf-bgp>`.
    Hidden(String),
    /// The value, for the host itself.
    Shown(String),
}

impl SecretText {
    /// The value, where it is shown.
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Hidden(_) => None,
            Self::Shown(value) => Some(value),
        }
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden(name) => write!(f, "<{name}>"),
            Self::Shown(value) => f.write_str(value),
        }
    }
}

/// Never the value: it would be in logs.
impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.value().is_some() { "SecretText(shown)" } else { "SecretText(hidden)" })
    }
}

impl Site {
    /// Where a secret is named: profiles, and the networks of the site, of racks and of hosts.
    pub fn secret_uses(&self, name: &str) -> Vec<Location> {
        let names = |tree: &ProfileTree| tree.entries().values().any(|value| has(value, name));
        let profiles = self.profiles.iter().filter(|(_, tree)| names(tree));
        let racks = self.racks.iter().filter(|(_, rack)| names(&rack.network));
        let hosts = self.hosts.iter().filter(|(_, host)| names(&host.network));
        let own = names(&self.network).then(|| Location::site().at("network"));
        own.into_iter()
            .chain(profiles.map(|(name, _)| at::<ProfileTree>(name)))
            .chain(racks.map(|(name, _)| at::<Rack>(name)))
            .chain(hosts.map(|(name, _)| at::<Host>(name)))
            .collect()
    }
}

fn at<T: Noun>(name: &str) -> Location {
    Location::of::<T>(name)
}

/// Whether a value names the secret, however deep.
fn has(value: &Value, name: &str) -> bool {
    match value {
        Value::Object(entries) => {
            let is_named =
                entries.len() == 1 && entries.get("secret").and_then(Value::as_str) == Some(name);
            is_named || entries.values().any(|value| has(value, name))
        }
        Value::Array(items) => items.iter().any(|item| has(item, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_a_network_names_it() {
        let site: Site = serde_json::from_value(serde_json::json!({
            "profiles": {"p": {"bgp": {"neighbors": [{"password": {"secret": "leaf"}}]}}, "q": {}},
            "hosts": {"n1": {"network": {"x": {"y": {"secret": "leaf"}}}}},
        }))
        .unwrap();
        let uses = |name: &str| site.secret_uses(name).len();
        assert_eq!((uses("leaf"), uses("spine")), (2, 0));
    }

    #[test]
    fn a_value_is_in_no_debug_text() {
        let shown = SecretText::Shown("hunter2".into());
        assert_eq!(format!("{shown} {shown:?}"), "hunter2 SecretText(shown)");
        let hidden = SecretText::Hidden("secret leaf".into());
        assert_eq!(hidden.to_string(), "<secret leaf>");
    }
}
