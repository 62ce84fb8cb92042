//! A profile, or a part of one, as it was written: before its expressions are computed and
//! what it extends is laid below it. Pure.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// The keys and values of a profile in the words of whoever wrote it. A [`Profile`](super::Profile)
/// is what it comes to for a host: see `ResolvedSite::profile_of`.
///
/// Copies share one text, so that they are known to be the same without being read.
#[derive(Clone, Debug, Default)]
pub struct ProfileTree(Arc<Map<String, Value>>);

impl ProfileTree {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its keys and values.
    pub fn entries(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The profile that lies below it.
    pub fn extends(&self) -> Option<&str> {
        self.0.get("extends").and_then(Value::as_str)
    }

    /// A number that is the same for copies, and differs from that of every other tree that
    /// lives at the same time.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl From<Map<String, Value>> for ProfileTree {
    fn from(entries: Map<String, Value>) -> Self {
        Self(Arc::new(entries))
    }
}

impl PartialEq for ProfileTree {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for ProfileTree {}

impl Serialize for ProfileTree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ProfileTree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}
