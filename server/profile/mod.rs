//! From profiles as they were written to the profile of a host. Pure.
//!
//! The layers of a host, the strongest first: its own `network`, its profile and what that
//! `extends`, its rack's `network`, the site's. They are laid over each other as trees,
//! before any default of a type is known: mappings merge, lists and single values replace,
//! `null` takes away; only `allow` grows. Then loops are unrolled and expressions computed, and what comes out is
//! read as a [`Profile`]. Hosts whose layers and values are the same share one.

mod environment;
mod evaluate;
mod explain;
pub(crate) mod expression;
mod layers;
mod merge;
pub(crate) mod ready;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::model::tenancy::Served;
use crate::model::{Host, Location, Parameter, Profile, Site, Subnet};
use crate::tree;
use environment::Environment;
pub use explain::Explained;
use expression::{Scope, Term};
pub use layers::{Layer, Origin};
use merge::Merged;
pub use ready::{READY_PROFILES, ReadyProfile};

/// How many sets of layers, and how many profiles of one set, are remembered before all are
/// forgotten: more than the hosts that one server is meant for.
const REMEMBERED: usize = 16_384;

/// The profile of a host, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Resolution {
    /// Everything that the host's layers come to; empty if they come to nothing that can be read.
    pub profile: Profile,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// The parameters that it takes.
    pub parameters: Arc<IndexMap<String, Parameter>>,
    /// Whether values were made up for it, because it was asked for without a host.
    pub is_example: bool,
    layers: Arc<Vec<Layer>>,
    /// The subnets that its expressions asked, and what they were.
    asked: BTreeMap<String, Option<Subnet>>,
    /// The tenant that it serves, if it serves tenants, and with which subnets.
    tenant: Option<String>,
    served: Served,
}

/// One thing that is wrong with a profile as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The layer that it stands in; none for the entry of the host itself.
    pub origin: Option<Origin>,
    /// The keys that lead to it in the layer.
    pub keys: Vec<String>,
    /// The key that is refused, where it is a key and no value.
    pub key: Option<String>,
    /// What is wrong and what would be right.
    pub text: String,
    /// Whether the text of the layer itself is wrong, whatever lies above and below it.
    pub in_itself: bool,
}

impl Fault {
    /// Where in the site it is, for the host that the profile was resolved for.
    pub fn location(&self, host: &str) -> Location {
        let layer = match &self.origin {
            None => Location::of::<Host>(host),
            Some(origin) => origin.location(host),
        };
        layer.within(self.keys.iter().cloned())
    }
}

impl Resolution {
    /// Where in the site the value at `field` of the profile was written.
    pub fn location(&self, host: &str, field: &[String]) -> Option<Location> {
        let (layer, path) = layers::find(&self.layers, &field.join("."))?;
        Some(layer.origin.location(host).within(layer.keys(&path)))
    }

    /// Nothing but faults.
    fn faulty(merged: &Merged, faults: Vec<Fault>) -> Self {
        Self {
            faults,
            layers: merged.layers.clone(),
            parameters: merged.parameters.clone(),
            ..Self::default()
        }
    }

    fn is_current(&self, site: &Site) -> bool {
        self.asked.iter().all(|(name, subnet)| site.subnets.get(name) == subnet.as_ref())
            && site.still_serves(&self.served, self.tenant.as_deref())
    }
}

impl Site {
    /// The profile of a host with everything that is laid over and below it; none for a host
    /// that names no profile of the site.
    pub fn profile_of(&self, host: &Host) -> Option<Arc<Resolution>> {
        let merged = self.merged(host)?;
        let environment = Environment::of(self, host, &merged);
        Some(self.resolve(&merged, environment))
    }

    /// A profile as it is without any host: what it needs to know of one is made up.
    /// It is that of a tenant, where it serves tenants.
    pub fn profile_named(&self, name: &str, tenant: Option<&str>) -> Option<Arc<Resolution>> {
        let tenant = tenant.map(str::to_owned);
        let host = Host { profile: Some(name.to_owned()), tenant, ..Host::default() };
        let merged = self.merged(&host)?;
        match Environment::of(self, &host, &merged) {
            Ok(environment) => Some(self.resolve(&merged, Ok(environment))),
            Err(_) if merged.faults.is_empty() => {
                let made_up = Environment::example(self, &host, &merged);
                let read = self.read(&merged, made_up);
                Some(Arc::new(Resolution { is_example: true, ..read }))
            }
            Err(faults) => Some(self.resolve(&merged, Err(faults))),
        }
    }

    /// Every value of a host's profile and where it comes from, in the order of the profile.
    pub fn explain(&self, host: &Host) -> Vec<Explained> {
        let Some(merged) = self.merged(host) else { return Vec::new() };
        let Ok(environment) = Environment::of(self, host, &merged) else { return Vec::new() };
        let (tree, _) = merged.evaluate(&mut self.scope(environment));
        explain::explain(&merged.layers, &tree)
    }

    fn scope(&self, environment: Environment) -> Scope<'_> {
        let Environment { names, tenant } = environment;
        let (asked, served) = Default::default();
        Scope { names, tenant, site: Some(self), asked, served }
    }

    /// The layers of a host, merged; the same as last time where they are the same.
    fn merged(&self, host: &Host) -> Option<Arc<Merged>> {
        let (layers, faults) = layers::collect(self, host)?;
        let key: LayersKey = layers.iter().map(Layer::identity).collect();
        if let Some(found) = self.resolved.find(&key) {
            return Some(found);
        }
        let merged = Arc::new(Merged::new(layers, faults));
        self.resolved.add(key, merged.clone());
        Some(merged)
    }

    fn resolve(
        &self,
        merged: &Arc<Merged>,
        environment: Result<Environment, Vec<Fault>>,
    ) -> Arc<Resolution> {
        if !merged.faults.is_empty() {
            return Arc::new(Resolution::faulty(merged, merged.faults.clone()));
        }
        let environment = match environment {
            Ok(environment) => environment,
            Err(faults) => return Arc::new(Resolution::faulty(merged, faults)),
        };
        let mut values: Vec<Term> = environment.names.values().cloned().collect();
        values.extend(environment.tenant.iter().cloned().map(Term::Text));
        if let Some(found) = merged.find(&values).filter(|found| found.is_current(self)) {
            return found;
        }
        let made = Arc::new(self.read(merged, environment));
        merged.add(values, made.clone());
        made
    }

    fn read(&self, merged: &Merged, environment: Environment) -> Resolution {
        let mut scope = self.scope(environment);
        let (tree, faults) = merged.evaluate(&mut scope);
        let (tenant, asked, served) =
            (scope.tenant, scope.asked.into_inner(), scope.served.into_inner());
        let mut resolution =
            Resolution { tenant, asked, served, ..Resolution::faulty(merged, faults) };
        if !resolution.faults.is_empty() {
            return resolution;
        }
        match tree::read_json(&Value::Object(tree)) {
            Ok(mut profile) => {
                let served = self.serve(&mut profile, resolution.tenant.as_deref());
                resolution.served.extend(served);
                resolution.profile = profile;
            }
            Err(refusal) => {
                let text = refusal.to_string();
                let fault = merged.fault_at(&refusal.path(), text);
                let key = refusal.key().map(str::to_owned);
                // What lies above a profile may say what is missing in it, and a host gives
                // it the values that it is computed with.
                let in_itself = !refusal.is_missing() && !merged.is_computed_at(&refusal.path());
                resolution.faults.push(Fault { key, in_itself, ..fault });
            }
        }
        resolution
    }
}

type LayersKey = Vec<(Origin, usize)>;

/// What was resolved already. Its keys are the identities of the layers, which it keeps alive:
/// what was changed since is another layer, so that nothing in it is ever stale.
#[derive(Clone, Default)]
pub struct Resolved(Arc<RwLock<HashMap<LayersKey, Arc<Merged>>>>);

impl Resolved {
    fn find(&self, key: &LayersKey) -> Option<Arc<Merged>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn add(&self, key: LayersKey, merged: Arc<Merged>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, merged);
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolved")
    }
}

/// It follows from the rest of a site, so that sites never differ in it.
impl PartialEq for Resolved {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Resolved {}

/// The keys of a profile that are not the network's.
const META: [&str; 3] = ["extends", "parameters", "for-each"];

/// An entry of a tree that is a mapping.
fn mapping<'a>(entries: &'a Map<String, Value>, key: &str) -> Option<&'a Map<String, Value>> {
    entries.get(key).and_then(Value::as_object)
}
