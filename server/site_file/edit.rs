//! Changes single values of an entry, given as `key=value` in the operator's words. Pure.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::rows::RowError;
use crate::model::{Host, Site, current_host_key};
use crate::tree;

/// Why values cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The text of one value is not YAML.
    #[error("{path}: {}", .error.told())]
    Value {
        /// The path of the value.
        path: String,
        /// What is wrong with it.
        error: tree::Refusal,
    },
    /// The entry as it would be is not one.
    #[error("{}", .0.told())]
    Entry(tree::Refusal),
    /// The entry as it is cannot be taken apart.
    #[error(transparent)]
    Unreadable(#[from] serde_json::Error),
}

impl EditError {
    /// The path of the value that is wrong, such as `unit`; empty where the entry is.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Value { path, .. } => path.clone(),
            Self::Entry(refusal) => refusal.path(),
            Self::Unreadable(_) => String::new(),
        }
    }

    /// What is wrong, without the path.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Value { error, .. } => error.told(),
            Self::Entry(refusal) => refusal.to_string(),
            Self::Unreadable(error) => error.to_string(),
        }
    }
}

/// Why what was read does not go into a site.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayError {
    /// Rows of a table are not those of hosts.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Rows(Vec<RowError>),
    /// Two values of an entry do not go together.
    #[error(transparent)]
    Entry(#[from] EditError),
}

/// Sets values in an entry of the site, each by its path, such as `nics.eth0`, and gives
/// the entry as it is then. An empty value takes the key away; one in brackets or braces
/// is YAML; any other is what it says. Without an entry a new one is made.
///
/// # Errors
/// What is wrong, with the key that it is about.
pub(crate) fn set_values<T: Serialize + DeserializeOwned>(
    entry: Option<&T>,
    values: &[(String, String)],
) -> Result<T, EditError> {
    let entry = entry.map_or(Ok(Value::Null), serde_json::to_value)?;
    let mut fields = match entry {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for (path, text) in values {
        let value = parse(text).map_err(|error| EditError::Value { path: path.clone(), error })?;
        set(&mut fields, path, value);
    }
    tree::read_json(&Value::Object(fields)).map_err(EditError::Entry)
}

/// [`set_values`] of a host: the days of a rental end with its tenant, unless they are
/// among the values.
///
/// # Errors
/// Those of [`set_values`].
pub(crate) fn set_host(
    host: Option<&Host>,
    values: &[(String, String)],
) -> Result<Host, EditError> {
    let values = &nic_values(host, values);
    let mut new: Host = set_values(host, values)?;
    let told = |key: &str| values.iter().any(|(path, _)| path == key);
    if host.is_some_and(|old| old.tenant != new.tenant) {
        new.rented_from = new.rented_from.filter(|_| told("rented-from"));
        new.rented_until = new.rented_until.filter(|_| told("rented-until"));
    }
    Ok(new)
}

/// A site with another laid over it, key by key: what only the first has stays, lists are
/// replaced. A NIC without a cable leaves the cable of a NIC with its MAC where it is.
///
/// # Errors
/// Two values of an entry do not go together.
pub(crate) fn lay_over(site: &Site, upper: &Site) -> Result<Site, EditError> {
    let mut upper = upper.clone();
    for (name, host) in &mut upper.hosts {
        let Some(known) = site.hosts.get(name) else { continue };
        for (label, nic) in &mut host.nics {
            let same = known.nics.get(label).filter(|known| known.address == nic.address);
            nic.cable = nic.cable.take().or_else(|| same.and_then(|known| known.cable.clone()));
        }
    }
    let mut value = serde_json::to_value(site)?;
    lay_value(&mut value, serde_json::to_value(&upper)?);
    tree::read_json(&value).map_err(EditError::Entry)
}

fn lay_value(lower: &mut Value, upper: Value) {
    match (lower, upper) {
        (Value::Object(lower), Value::Object(upper)) => {
            for (key, value) in upper {
                match lower.get_mut(&key) {
                    Some(lower) => lay_value(lower, value),
                    None => drop(lower.insert(key, value)),
                }
            }
        }
        (lower, upper) => *lower = upper,
    }
}

/// The values of a host with those of its cabled NICs as a mapping each: `nics.eth0.port`
/// is a value of the NIC, and `nics.eth0` its MAC, which leaves the cable where it is.
fn nic_values(host: Option<&Host>, values: &[(String, String)]) -> Vec<(String, String)> {
    let parts = |path: &str| {
        let (label, part) = path.strip_prefix("nics.")?.rsplit_once('.')?;
        matches!(part, "mac" | "switch" | "port").then(|| label.to_owned())
    };
    let cabled: BTreeSet<String> = values.iter().filter_map(|(path, _)| parts(path)).collect();
    let mut all = Vec::new();
    for (label, nic) in host.into_iter().flat_map(|host| &host.nics) {
        if cabled.contains(label) && nic.cable.is_none() {
            all.push((format!("nics.{label}"), format!("{{mac: \"{}\"}}", nic.address)));
        }
    }
    for (path, value) in values {
        let path = current_host_key(path);
        let label = path.strip_prefix("nics.");
        let has_cable = |label: &str| {
            let nic = host.and_then(|host| host.nics.get(label));
            cabled.contains(label) || nic.is_some_and(|nic| nic.cable.is_some())
        };
        let is_mac = !value.is_empty() && !value.starts_with('{');
        let path = match label.is_some_and(has_cable) && is_mac {
            true => format!("{path}.mac"),
            false => path.to_owned(),
        };
        all.push((path, value.clone()));
    }
    all
}

/// The value that a text stands for; none for an empty one.
fn parse(text: &str) -> Result<Option<Value>, tree::Refusal> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(number) = tree::number::<i64>(text) {
        return Ok(Some(number.into()));
    }
    if let Ok(truth) = text.parse::<bool>() {
        return Ok(Some(truth.into()));
    }
    if !text.starts_with(['[', '{']) {
        return Ok(Some(text.into()));
    }
    let node = tree::parse(text)?;
    tree::read(&node).map(Some)
}

/// Puts a value at a path or takes what is there away. Names may hold dots themselves: of
/// the keys there are, the longest that fits is followed.
fn set(fields: &mut Map<String, Value>, path: &str, value: Option<Value>) {
    let begins_path =
        |key: &&String| path.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('.'));
    let is_leaf = fields.contains_key(path) || !path.contains('.');
    match (is_leaf, value) {
        (true, Some(value)) => drop(fields.insert(path.to_owned(), value)),
        (true, None) => drop(fields.shift_remove(path)),
        (false, value) => {
            let known = fields.keys().filter(begins_path).max_by_key(|key| key.len()).cloned();
            let first = || path.split('.').next().unwrap_or(path).to_owned();
            let key = known.unwrap_or_else(first);
            let rest = path[key.len() + 1..].to_owned();
            let inner = fields.entry(key).or_insert_with(|| Map::new().into());
            if !inner.is_object() {
                *inner = Map::new().into();
            }
            if let Some(inner) = inner.as_object_mut() {
                set(inner, &rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Subnet;

    fn changed(values: &[(&str, &str)]) -> Result<String, String> {
        let nics = [("eth0".to_owned(), crate::model::Mac([2, 0, 0, 0, 0, 1]).into())].into();
        let host = Host { unit: Some(4), nics, ..Host::default() };
        let values: Vec<_> =
            values.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
        set_values(Some(&host), &values)
            .map(|host| serde_json::to_string(&host).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_is_set_by_its_path() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (
                &[("unit", "7"), ("serial", "0042")],
                r#"{"unit":7,"serial":"0042","nics":{"eth0":"02:00:00:00:00:01"}}"#,
            ),
            (
                &[("nics.eth1", "02-00-00-00-00-02"), ("nics.eth0", "")],
                r#"{"unit":4,"nics":{"eth1":"02:00:00:00:00:02"}}"#,
            ),
            (&[("unit", ""), ("nics", "")], "{}"),
            (
                &[("addresses.vlan500", "10.0.0.1")],
                r#"{"unit":4,"nics":{"eth0":"02:00:00:00:00:01"},"addresses":{"vlan500":"10.0.0.1"}}"#,
            ),
            (
                &[("nics", "{eth5: \"02:00:00:00:00:05\"}")],
                r#"{"unit":4,"nics":{"eth5":"02:00:00:00:00:05"}}"#,
            ),
        ];
        for (values, expected) in cases {
            assert_eq!(changed(values).as_deref(), Ok(expected), "{values:?}");
        }
    }

    #[test]
    fn the_days_of_a_lease_end_with_its_tenant() {
        let when = |text: &str| text.parse().unwrap();
        let host = Host {
            tenant: Some("acme".into()),
            rented_from: Some(when("2026-01-01")),
            rented_until: Some(when("2026-12-31")),
            ..Host::default()
        };
        let cases: [(&[(&str, &str)], [Option<&str>; 2]); 5] = [
            (&[("unit", "7")], [Some("2026-01-01"), Some("2026-12-31")]),
            (&[("tenant", "globex")], [None, None]),
            (&[("tenant", "globex"), ("rented-until", "2026-12-31")], [None, Some("2026-12-31")]),
            // The key of earlier versions.
            (&[("tenant", "globex"), ("leased-until", "2026-12-31")], [None, Some("2026-12-31")]),
            (&[("tenant", "")], [None, None]),
        ];
        for (values, expected) in cases {
            let values: Vec<_> =
                values.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            let new = set_host(Some(&host), &values).unwrap();
            assert_eq!([new.rented_from, new.rented_until], expected.map(|text| text.map(when)));
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_key() {
        let cases = [
            ("unit", "high", "unit: expected a number from 0 to 65535, found \"high\""),
            (
                "nics.eth0",
                "52:54",
                "nics.eth0: \"52:54\" is not a MAC address: expected twelve \
                hexadecimal digits, such as 52:54:00:aa:00:01",
            ),
            ("profil", "x", "unknown key \"profil\"; did you mean \"profile\"?"),
            ("unit.x", "1", "unit: expected a number from 0 to 65535, found a mapping"),
        ];
        for (path, value, expected) in cases {
            assert_eq!(changed(&[(path, value)]), Err(expected.into()), "{path}={value}");
        }
        let missing = set_values::<Subnet>(None, &[("vlan".into(), "5".into())]);
        assert_eq!(missing.unwrap_err().to_string(), "the key \"cidr\" is missing");
    }

    #[test]
    fn a_cable_stays_where_only_the_mac_is_said_again() {
        let site = |nic: &str| -> Site {
            serde_saphyr::from_str(&format!("hosts: {{n1: {{nics: {{eth0: {nic}}}}}}}")).unwrap()
        };
        let here = site("{mac: \"52:54:00:aa:00:01\", switch: leaf1, port: Ethernet1}");
        let same = site("\"52:54:00:aa:00:01\"");
        assert_eq!(lay_over(&here, &same).unwrap(), here);
        let moved = site("{mac: \"52:54:00:aa:00:01\", switch: leaf2, port: Ethernet7}");
        assert_eq!(lay_over(&here, &moved).unwrap(), moved);
        // Another NIC is not known to be where the old one was.
        let other = site("\"52:54:00:aa:00:02\"");
        assert_eq!(lay_over(&here, &other).unwrap(), other);
    }
}
