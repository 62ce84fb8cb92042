//! Layers laid over each other: what hosts with the same layers have in common. Pure.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::evaluate::{Evaluation, Names};
use super::explain::is_computed;
use super::layers::{Layer, find};
use super::{Fault, META, Origin, REMEMBERED, Resolution};
use crate::model::host_number::INDEX;
use crate::model::{Parameter, ParameterKind};
use crate::profile::expression::{Scope, Term, unknown_name};
use crate::tree;

/// Layers laid over each other, before anything in them is computed.
#[derive(Debug)]
pub(super) struct Merged {
    /// The layers, the strongest first.
    pub layers: Arc<Vec<Layer>>,
    /// What is wrong with them for every host.
    pub faults: Vec<Fault>,
    /// The parameters that the profiles declare.
    pub parameters: Arc<IndexMap<String, Parameter>>,
    /// The parameters, and perhaps `index`, whose values make profiles differ.
    pub needs: BTreeSet<String>,
    /// Whether it may say `tenant/ROLE` and so differ from tenant to tenant.
    pub may_serve_tenants: bool,
    /// The host's own word and the profile's.
    upper: Map<String, Value>,
    /// What holds where those say nothing: the rack's word and the site's.
    lower: Map<String, Value>,
    variants: RwLock<HashMap<Vec<Term>, Arc<Resolution>>>,
}

impl Merged {
    /// Lays layers over each other.
    pub(super) fn new(layers: Vec<Layer>, faults: Vec<Fault>) -> Self {
        let (mut upper, mut lower) = (Map::new(), Map::new());
        for layer in layers.iter().rev() {
            let into = if layer.is_upper() { &mut upper } else { &mut lower };
            lay_over(into, layer.tree.entries());
        }
        let mut merged = Self {
            layers: Arc::new(layers),
            faults,
            parameters: Arc::default(),
            needs: BTreeSet::new(),
            may_serve_tenants: false,
            upper,
            lower,
            variants: RwLock::default(),
        };
        // Of layers that are not all there little can be said.
        if merged.faults.is_empty() {
            merged.check_meta();
            merged.read_parameters();
            merged.read_needs();
            let takes_subnet = |p: &Parameter| p.kind == ParameterKind::Subnet;
            merged.may_serve_tenants = merged.parameters.values().any(takes_subnet)
                || [&merged.upper, &merged.lower].into_iter().any(names_tenant);
        }
        merged
    }

    /// A fault of the value at `path` of the merged tree, in the layer that says it.
    pub(super) fn fault_at(&self, path: &str, text: String) -> Fault {
        let (origin, keys) = match find(&self.layers, path) {
            Some((layer, path)) => (Some(layer.origin.clone()), layer.keys(&path)),
            None => (None, path.split('.').map(str::to_owned).collect()),
        };
        Fault { origin, keys, key: None, text, is_value: true, in_itself: true }
    }

    /// Whether the value at `path` of the merged tree is computed in the layer that says it.
    pub(super) fn is_computed_at(&self, path: &str) -> bool {
        find(&self.layers, path).is_some_and(|(layer, path)| is_computed(layer, &path))
    }

    /// Refuses what only a profile may say in a layer that is none.
    fn check_meta(&mut self) {
        for layer in self.layers.iter().filter(|layer| !matches!(layer.origin, Origin::Profile(_)))
        {
            for key in META.iter().filter(|key| layer.tree.entries().contains_key(**key)) {
                let text = format!("\"{key}\" belongs in a profile");
                let (origin, keys) = (Some(layer.origin.clone()), vec![(*key).to_owned()]);
                let (key, is_value) = (None, false);
                self.faults.push(Fault { origin, keys, key, text, is_value, in_itself: true });
            }
        }
        let extends = self.upper.get("extends");
        if extends.is_some_and(|extends| !extends.is_string()) {
            let fault = self.fault_at("extends", "expected the name of one profile".into());
            self.faults.push(Fault { is_value: false, ..fault });
        }
    }

    fn read_parameters(&mut self) {
        let Some(declared) = self.upper.remove("parameters") else { return };
        let mut declared = declared;
        strip_nulls(&mut declared);
        match tree::read_json::<IndexMap<String, Parameter>>(&declared) {
            Ok(parameters) => self.parameters = Arc::new(parameters),
            Err(refusal) => {
                let path = match refusal.path().as_str() {
                    "" => "parameters".to_owned(),
                    path => format!("parameters.{path}"),
                };
                let key = refusal.key().map(str::to_owned);
                let fault = self.declared_fault(&path, refusal.to_string());
                let is_value = refusal.is_value();
                return self.faults.push(Fault { key, is_value, ..fault });
            }
        }
        for (name, parameter) in self.parameters.clone().iter() {
            let named = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            let wrong = match parameter.check_itself() {
                _ if !named || name == INDEX => Some((
                    format!("parameters.{name}"),
                    format!(
                        "\"{name}\" is not a valid parameter name: use lower-case letters, digits \
                         and hyphens, and not \"index\", which every host has"
                    ),
                )),
                Ok(()) => None,
                Err(error) => {
                    Some((format!("parameters.{name}.{}", error.key()), error.to_string()))
                }
            };
            if let Some((path, text)) = wrong {
                let fault = self.declared_fault(&path, text);
                self.faults.push(fault);
            }
        }
    }

    /// A fault of a parameter. The parameters are looked for in the layers by hand, because
    /// nothing of the network is named so.
    fn declared_fault(&self, path: &str, text: String) -> Fault {
        let name = path.split('.').nth(1).unwrap_or_default();
        let declares = |layer: &&Layer| {
            super::mapping(layer.tree.entries(), "parameters").is_some_and(|p| p.contains_key(name))
        };
        let origin = self.layers.iter().find(declares).or_else(|| self.layers.first());
        let origin = origin.map(|layer| layer.origin.clone());
        let keys = path.split('.').map(str::to_owned).collect();
        Fault { origin, keys, key: None, text, is_value: true, in_itself: true }
    }

    /// Finds out which names the expressions use, and refuses those that stand for nothing.
    fn read_needs(&mut self) {
        let mut names = Names::default();
        names.collect(&self.upper);
        names.collect(&self.lower);
        for (path, text) in names.faults {
            let fault = self.fault_at(&path, text);
            self.faults.push(fault);
        }
        for (name, path) in names.found {
            if name == INDEX || self.parameters.contains_key(&name) {
                self.needs.insert(name);
            } else if let Some(path) = path {
                let known = self.parameters.keys().map(String::as_str).chain([INDEX]);
                let fault = self.fault_at(&path, unknown_name(&name, known).to_string());
                self.faults.push(fault);
            }
        }
    }

    /// The tree with its loops unrolled and its expressions computed, and what went wrong.
    pub(super) fn evaluate(&self, scope: &mut Scope<'_>) -> (Map<String, Value>, Vec<Fault>) {
        let mut evaluation = Evaluation::new(scope);
        let mut tree = evaluation.profile(&self.upper);
        let lower = evaluation.profile(&self.lower);
        lay_under_known(&mut tree, lower);
        let mut tree = Value::Object(tree);
        strip_nulls(&mut tree);
        let faults = evaluation.faults.iter();
        let fault = |(path, text): &(String, String)| Fault {
            in_itself: false,
            ..self.fault_at(path, text.clone())
        };
        let faults = faults.map(fault).collect();
        match tree {
            Value::Object(tree) => (tree, faults),
            _ => (Map::new(), faults),
        }
    }

    /// The profile for these values of what it needs, if it was made before.
    pub(super) fn find(&self, values: &[Term]) -> Option<Arc<Resolution>> {
        self.variants.read().unwrap_or_else(PoisonError::into_inner).get(values).cloned()
    }

    /// Remembers a profile.
    pub(super) fn add(&self, values: Vec<Term>, made: Arc<Resolution>) {
        let mut variants = self.variants.write().unwrap_or_else(PoisonError::into_inner);
        if variants.len() >= REMEMBERED {
            variants.clear();
        }
        variants.insert(values, made);
    }
}

/// Whether a text of a tree says `tenant/ROLE`.
fn names_tenant(tree: &Map<String, Value>) -> bool {
    fn in_value(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains("tenant/"),
            Value::Array(items) => items.iter().any(in_value),
            Value::Object(entries) => names_tenant(entries),
            _ => false,
        }
    }
    tree.values().any(in_value)
}

/// The one name of a key that has two.
pub(super) fn canonical(key: &str) -> &str {
    if key == "dhcp" { "dhcp4" } else { key }
}

/// The one list that grows from layer to layer: what a profile says is still said, and still
/// allowed, in one that extends it and allows more.
const ALLOW: &str = "allow";

/// Lays `over` over a tree: mappings merge, everything else but [`ALLOW`] replaces. A `null` stays, so that
/// it takes away what is laid below later.
fn lay_over(tree: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        let key = canonical(key);
        match (tree.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(over)) => lay_over(below, over),
            (Some(Value::Array(below)), Value::Array(over)) if key == ALLOW => join(below, over),
            (_, Value::Object(over)) => {
                let mut entries = Map::new();
                lay_over(&mut entries, over);
                tree.insert(key.to_owned(), entries.into());
            }
            _ => drop(tree.insert(key.to_owned(), value.clone())),
        }
    }
}

/// Lays `under` below a tree: what the tree says stays.
pub(super) fn lay_under(tree: &mut Map<String, Value>, under: Map<String, Value>) {
    for (key, value) in under {
        match (tree.get_mut(&key), value) {
            (None, value) => drop(tree.insert(key, value)),
            (Some(Value::Object(tree)), Value::Object(under)) => lay_under(tree, under),
            (Some(Value::Array(tree)), Value::Array(under)) if key == ALLOW => join(tree, &under),
            _ => {}
        }
    }
}

/// Adds what a list lacks.
fn join(list: &mut Vec<Value>, more: &[Value]) {
    for value in more {
        if !list.contains(value) {
            list.push(value.clone());
        }
    }
}

/// The same for the words of racks and of the site: what they say of a link is for the
/// profiles that have the link.
fn lay_under_known(tree: &mut Map<String, Value>, under: Map<String, Value>) {
    for (section, value) in under {
        let value = match value {
            Value::Object(mut entries) => {
                let known = tree.get(&section).and_then(Value::as_object);
                let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
                entries.retain(|name, entry| !entry.is_object() || is_known(name));
                Value::Object(entries)
            }
            value => value,
        };
        lay_under(tree, Map::from_iter([(section, value)]));
    }
}

/// Takes away what is `null`, and the key with it.
pub(super) fn strip_nulls(value: &mut Value) {
    if let Value::Object(entries) = value {
        entries.retain(|_, value| !value.is_null());
        entries.values_mut().for_each(strip_nulls);
    }
}
