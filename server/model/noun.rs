//! What the nouns of a site have in common. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Host, Image, ProfileTree, Rack, Site, Subnet, Switch, Tenant};

/// A kind of entry of the site.
pub trait Noun: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {
    /// The operator's word for one, such as `host`.
    const NOUN: &'static str;
    /// The key of all of them in the site file, such as `hosts`.
    const SECTION: &'static str;
    /// All of them, by name.
    fn all(site: &Site) -> &BTreeMap<String, Self>;
    /// All of them, to change.
    fn all_mut(site: &mut Site) -> &mut BTreeMap<String, Self>;

    /// One as JSON, its name in front.
    fn named(&self, name: &str) -> Value {
        let mut fields = Map::from_iter([("name".to_owned(), Value::from(name))]);
        // Every model type serialises: its maps have string keys and its numbers are finite.
        if let Ok(Value::Object(entry)) = serde_json::to_value(self) {
            fields.extend(entry);
        }
        fields.into()
    }
}

macro_rules! nouns {
    ($($type:ident $noun:literal $section:ident),* $(,)?) => {$(
        impl Noun for $type {
            const NOUN: &'static str = $noun;
            const SECTION: &'static str = stringify!($section);

            fn all(site: &Site) -> &BTreeMap<String, Self> {
                &site.$section
            }

            fn all_mut(site: &mut Site) -> &mut BTreeMap<String, Self> {
                &mut site.$section
            }
        }
    )*};
}

nouns! {
    Rack "rack" racks,
    Tenant "tenant" tenants,
    Switch "switch" switches,
    Subnet "subnet" subnets,
    ProfileTree "profile" profiles,
    Image "image" images,
    Host "host" hosts,
}
