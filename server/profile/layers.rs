//! The layers that a host's profile is made of, and which of them a value stands in. Pure.

use std::fmt;

use serde_json::{Map, Value};

use super::{Fault, mapping};
use crate::model::{Host, Location, ProfileTree, Rack, Site};
use crate::profile::ready::{ready_names, ready_profile};
use crate::tree::nearest::hint;

/// Whose word a layer is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The host's own `network`.
    Host,
    /// A profile of the site.
    Profile(String),
    /// The `network` of a rack.
    Rack(String),
    /// The `network` of the whole site.
    Site,
}

impl Origin {
    /// Where in the site the layer is written.
    pub(super) fn location(&self, host: &str) -> Location {
        match self {
            Self::Host => Location::of::<Host>(host).at("network"),
            Self::Profile(name) => Location::of::<ProfileTree>(name),
            Self::Rack(name) => Location::of::<Rack>(name).at("network"),
            Self::Site => Location::site().at("network"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Rack(name) => write!(f, "rack {name}"),
            Self::Site => f.write_str("site"),
        }
    }
}

/// One layer of a host's profile.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Whose word it is.
    pub origin: Origin,
    /// What it says.
    pub tree: ProfileTree,
}

impl Layer {
    pub(super) fn identity(&self) -> (Origin, usize) {
        (self.origin.clone(), self.tree.identity())
    }

    /// The keys of a path within the layer. Names may contain dots: of the keys there are, the
    /// longest that fits is followed.
    pub(super) fn keys(&self, path: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let (mut entries, mut rest) = (Some(self.tree.entries()), path);
        let mut items: Option<&Vec<Value>> = None;
        while !rest.is_empty() {
            let fits = |key: &&String| {
                rest.strip_prefix(key.as_str())
                    .is_some_and(|after| after.is_empty() || after.starts_with('.'))
            };
            let known = entries.and_then(|map| map.keys().filter(fits).max_by_key(|key| key.len()));
            let first = rest.split('.').next().unwrap_or(rest);
            let key = known.map_or(first, String::as_str).to_owned();
            let value = match items {
                Some(items) => key.parse().ok().and_then(|index: usize| items.get(index)),
                None => entries.and_then(|map| map.get(&key)),
            };
            rest = rest[key.len()..].trim_start_matches('.');
            (entries, items) = (value.and_then(Value::as_object), value.and_then(Value::as_array));
            keys.push(key);
        }
        keys
    }

    /// Whether it is stronger than the profile's own, or the profile's.
    pub(super) fn is_upper(&self) -> bool {
        matches!(self.origin, Origin::Host | Origin::Profile(_))
    }
}

/// The layers of a host, the strongest first, and what is wrong with their order; none for a
/// host that names no profile of the site.
pub(super) fn collect(site: &Site, host: &Host) -> Option<(Vec<Layer>, Vec<Fault>)> {
    let (name, _) = site.profiles.get_key_value(host.profile.as_deref()?)?;
    let mut layers = Vec::with_capacity(4);
    let mut push = |origin: Origin, tree: &ProfileTree| {
        if !tree.is_empty() {
            layers.push(Layer { origin, tree: tree.clone() });
        }
    };
    push(Origin::Host, &host.network);
    let (chain, fault) = chain(site, name);
    for (name, tree) in chain {
        push(Origin::Profile(name.to_owned()), tree);
    }
    let rack = host.rack.as_ref().and_then(|rack| site.racks.get_key_value(rack));
    if let Some((name, rack)) = rack {
        push(Origin::Rack(name.clone()), &rack.network);
    }
    push(Origin::Site, &site.network);
    Some((layers, fault.into_iter().collect()))
}

type Chain<'a> = Vec<(&'a str, &'a ProfileTree)>;

/// A profile, what it extends, what that extends and so on.
fn chain<'a>(site: &'a Site, name: &'a str) -> (Chain<'a>, Option<Fault>) {
    let mut chain: Chain<'a> = Vec::new();
    let mut next = Some(name);
    while let Some(name) = next {
        let fault = |text: String| Fault {
            origin: chain.last().map(|(name, _)| Origin::Profile((*name).to_owned())),
            keys: vec!["extends".into()],
            key: None,
            text,
            is_value: true,
            in_itself: false,
        };
        if chain.iter().any(|(known, _)| *known == name) {
            let names: Vec<&str> = chain.iter().map(|(name, _)| *name).chain([name]).collect();
            let text = format!("profiles extend each other in a cycle: {}", names.join(" -> "));
            return (chain.clone(), Some(fault(text)));
        }
        let Some(tree) = site.profiles.get(name).or_else(|| ready_profile(name)) else {
            let own = site.profiles.keys().map(String::as_str);
            let hint = hint(name, own.chain(ready_names()));
            let fault = fault(format!("profile \"{name}\" does not exist{hint}"));
            return (chain, Some(fault));
        };
        chain.push((name, tree));
        next = tree.extends();
    }
    (chain, None)
}

/// The layer that the value at `path` of the resolved profile comes from, and its path there;
/// of a value that stands in none, where it would stand.
pub(super) fn find<'a>(layers: &'a [Layer], path: &str) -> Option<(&'a Layer, String)> {
    let ends = path.rmatch_indices('.').map(|(at, _)| at);
    for end in [path.len()].into_iter().chain(ends) {
        let (known, missing) = path.split_at(end);
        let own = |layer: &'a Layer| Some((layer, step_in(layer.tree.entries(), known)?));
        let found = layers.iter().find_map(own);
        let found = found.or_else(|| layers.iter().find_map(|layer| in_loop(layer, known)));
        if let Some((layer, known)) = found {
            return Some((layer, known + missing));
        }
    }
    let is_profile = |layer: &&Layer| matches!(layer.origin, Origin::Profile(_));
    layers.iter().find(is_profile).map(|layer| (layer, path.to_owned()))
}

/// The same in the loops of a layer.
fn in_loop<'a>(layer: &'a Layer, path: &str) -> Option<(&'a Layer, String)> {
    let loops = mapping(layer.tree.entries(), "for-each")?;
    loops
        .iter()
        .find_map(|(name, body)| Some((layer, format!("for-each.{name}.{}", step(body, path)?))))
}

/// The path of a layer's own that leads to where `path` leads.
fn step(value: &Value, path: &str) -> Option<String> {
    if path.is_empty() {
        return (!value.is_null()).then(String::new);
    }
    match value {
        Value::Array(items) => {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            onward(index, step(items.get(index.parse::<usize>().ok()?)?, rest)?)
        }
        Value::Object(entries) => step_in(entries, path),
        _ => None,
    }
}

fn step_in(entries: &Map<String, Value>, path: &str) -> Option<String> {
    steps(entries, path)
        .into_iter()
        .find_map(|(key, rest)| onward(key, step(entries.get(key)?, rest)?))
}

fn onward(key: &str, inner: String) -> Option<String> {
    Some(if inner.is_empty() { key.to_owned() } else { format!("{key}.{inner}") })
}

/// The keys that a path may begin with, and what is left of the path; the longest first.
fn steps<'a, 'p>(entries: &'a Map<String, Value>, path: &'p str) -> Vec<(&'a str, &'p str)> {
    let heads = path.match_indices('.').map(|(at, _)| (&path[..at], &path[at + 1..]));
    let heads: Vec<(&str, &str)> = heads.chain([(path, "")]).collect();
    let mut found = Vec::new();
    for (head, rest) in heads.into_iter().rev() {
        for key in entries.keys() {
            if key == head || (key == "dhcp" && head == "dhcp4") || fits(key, head) {
                found.push((key.as_str(), rest));
            }
        }
    }
    found
}

/// Whether a key with numbers in it, such as `rail<rail>`, may have become `name`.
fn fits(key: &str, name: &str) -> bool {
    let Some((before, after)) = key.split_once('<') else { return key == name };
    let Some((_, after)) = after.split_once('>') else { return false };
    let Some(rest) = name.strip_prefix(before) else { return false };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    digits > 0 && fits(after, &rest[digits..])
}
