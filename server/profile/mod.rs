//! From profiles as they were written to the profile of a host. Pure.
//!
//! The layers of a host, the strongest first: its own `network`, its profile and what that
//! `extends`, its rack's `network`, the site's. They are laid over each other as trees,
//! before any default of a type is known: mappings merge, lists and single values replace,
//! `null` takes away; only `allow` grows. Then loops are unrolled and expressions computed, and what comes out is
//! read as a [`Profile`]. Hosts whose layers and values are the same share one.

mod alone;
mod environment;
mod evaluate;
mod explain;
pub(crate) mod expression;
mod layers;
mod merge;
mod parameter;
pub(crate) mod ready;
mod resolved_site;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::model::tenancy::Served;
use crate::model::{Host, Location, Parameter, Profile, Site, Subnet};
pub use explain::Explained;
pub use layers::{Layer, Origin};
use merge::Merged;
pub use ready::{READY_PROFILES, ReadyProfile};
pub use resolved_site::{Login, ResolvedSite};

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
    /// Whether the value has the right type but does not mean anything.
    pub is_value: bool,
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

/// The keys of a profile that are not the network's.
const META: [&str; 3] = ["extends", "parameters", "for-each"];

/// An entry of a tree that is a mapping.
fn mapping<'a>(entries: &'a Map<String, Value>, key: &str) -> Option<&'a Map<String, Value>> {
    entries.get(key).and_then(Value::as_object)
}
