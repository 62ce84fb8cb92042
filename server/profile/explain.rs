//! Where each value of a host's profile comes from. Pure.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::layers::{Layer, Origin, find};

/// One value of a host's profile, and whose word it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Where in the profile: keys joined by dots.
    pub path: String,
    /// The value, as an operator reads it.
    pub value: String,
    /// Whose word it is, such as `profile base via hypervisor`.
    pub from: String,
    /// How it was written, where it was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} - from {}", self.path, self.value, self.from)?;
        match &self.written {
            Some(written) => write!(f, ", {written}"),
            None => Ok(()),
        }
    }
}

/// Every value of a tree with its layer.
pub(super) fn explain(layers: &[Layer], tree: &Map<String, Value>) -> Vec<Explained> {
    let mut found = Vec::new();
    collect(layers, "", tree, &mut found);
    found
}

fn collect(layers: &[Layer], path: &str, tree: &Map<String, Value>, found: &mut Vec<Explained>) {
    for (key, value) in tree {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Object(entries) if !entries.is_empty() => collect(layers, &path, entries, found),
            value => {
                let Some((layer, place)) = find(layers, &path) else { continue };
                let shown = crate::model::diff::shown(value);
                let written = at(layer.tree.entries(), &place).map(crate::model::diff::shown);
                found.push(Explained {
                    from: from(layers, layer),
                    written: written.filter(|written| *written != shown),
                    value: shown,
                    path,
                });
            }
        }
    }
}

/// Whose word a layer is, and by which profiles it came to the host.
fn from(layers: &[Layer], layer: &Layer) -> String {
    let Origin::Profile(name) = &layer.origin else { return layer.origin.to_string() };
    let above = layers.iter().filter_map(|layer| match &layer.origin {
        Origin::Profile(name) => Some(name.as_str()),
        _ => None,
    });
    let mut via: Vec<&str> = above.take_while(|above| above != name).collect();
    via.reverse();
    if via.is_empty() {
        layer.origin.to_string()
    } else {
        format!("{} via {}", layer.origin, via.join(", "))
    }
}

/// Whether the value at a path of a layer's own is computed.
pub(super) fn is_computed(layer: &Layer, path: &str) -> bool {
    let written = at(layer.tree.entries(), path).and_then(Value::as_str);
    written.is_some_and(|text| text.starts_with('=') || text.contains('<'))
}

/// The value at a path of a layer's own.
fn at<'a>(entries: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let begins = |key: &&String| {
        path.strip_prefix(key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let key = entries.keys().filter(begins).max_by_key(|key| key.len())?;
    inside(&entries[key], &path[key.len()..])
}

/// The value in another at what is left of a path, with the dot before it.
fn inside<'a>(value: &'a Value, rest: &str) -> Option<&'a Value> {
    let Some(rest) = rest.strip_prefix('.') else { return Some(value) };
    match value {
        Value::Object(entries) => at(entries, rest),
        Value::Array(items) => {
            let end = rest.find('.').unwrap_or(rest.len());
            inside(items.get(rest[..end].parse::<usize>().ok()?)?, &rest[end..])
        }
        _ => None,
    }
}
