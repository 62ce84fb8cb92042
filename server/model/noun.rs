//! What the nouns of a site have in common. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Host, Image, ProfileTree, Rack, Site, Subnet, Switch, Tenant};

/// A kind of entry of the site.
pub trait Noun:
    Serialize + DeserializeOwned + schemars::JsonSchema + Clone + PartialEq + Send + Sync + 'static
{
    /// Which kind it is.
    const KIND: NounKind;
    /// The operator's word for one, such as `host`.
    const NOUN: &'static str;
    /// The key of all of them in the site file, such as `hosts`.
    const SECTION: &'static str;
    /// What an error calls the name of one, such as `host name`.
    const NAME: &'static str;
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

/// Something to do for every noun, whatever its type.
pub trait NounVisitor {
    /// Does it for one.
    fn visit<T: Noun>(&mut self);
}

macro_rules! nouns {
    ($($type:ident $noun:literal $section:ident),* $(,)?) => {
        $(impl Noun for $type {
            const KIND: NounKind = NounKind::$type;
            const NOUN: &'static str = $noun;
            const SECTION: &'static str = stringify!($section);
            const NAME: &'static str = concat!($noun, " name");

            fn all(site: &Site) -> &BTreeMap<String, Self> {
                &site.$section
            }

            fn all_mut(site: &mut Site) -> &mut BTreeMap<String, Self> {
                &mut site.$section
            }
        })*

        /// The kinds of entries of a site. A kind comes after those that it refers to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum NounKind {
            $(
                #[doc = concat!("`", stringify!($section), "` of the site file.")]
                $type,
            )*
        }

        impl NounKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$type),*];

            /// The operator's word for one, such as `host`.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$type => $type::NOUN,)*
                }
            }

            /// The key of all of them in the site file, such as `hosts`.
            pub fn section(self) -> &'static str {
                match self {
                    $(Self::$type => $type::SECTION,)*
                }
            }

            /// The kind under a key of the site file.
            pub fn of_section(section: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.section() == section)
            }

            /// The kind that the operator calls so.
            pub fn of_label(label: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.label() == label)
            }

            /// Does something for this kind.
            pub fn visit(self, visitor: &mut impl NounVisitor) {
                match self {
                    $(Self::$type => visitor.visit::<$type>(),)*
                }
            }
        }

        /// Does something for every noun, in the order of [`NounKind::ALL`].
        pub fn visit_nouns(visitor: &mut impl NounVisitor) {
            $(visitor.visit::<$type>();)*
        }

        /// A map of a site that is not declared above does not compile here: rustc words it as
        /// "pattern requires `..`". Add the noun.
        const _: fn(Site) = |site| {
            let Site { $($section: _,)* parameters: _, network: _, labels: _ } = site;
        };
    };
}

// The one list of nouns. What else has to be done for a new one, the compiler asks for.
nouns! {
    Rack "rack" racks,
    Tenant "tenant" tenants,
    Switch "switch" switches,
    Subnet "subnet" subnets,
    ProfileTree "profile" profiles,
    Image "image" images,
    Host "host" hosts,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{diff, keep_differing, merge, revert};

    /// The shortest entry of each kind.
    fn entry(kind: NounKind) -> Value {
        match kind {
            NounKind::Rack => serde_json::json!({"units": 42}),
            NounKind::Tenant => serde_json::json!({"contact": "ops"}),
            NounKind::Switch => serde_json::json!({"vendor": "eos"}),
            NounKind::Subnet => serde_json::json!({"cidr": "10.0.0.0/24"}),
            NounKind::ProfileTree => serde_json::json!({"nics": {"eth0": {}}}),
            NounKind::Image => serde_json::json!({"local": true}),
            NounKind::Host => serde_json::json!({"unit": 1}),
        }
    }

    fn site_with(kind: NounKind) -> Site {
        serde_json::from_value(serde_json::json!({(kind.section()): {"x": entry(kind)}})).unwrap()
    }

    #[test]
    fn no_noun_is_forgotten_by_what_handles_all_of_them() {
        let nothing = Site::default();
        for kind in NounKind::ALL.iter().copied() {
            let (label, site) = (kind.label(), site_with(kind));
            assert_ne!(site, nothing, "{label}");
            let differences: Vec<String> =
                diff(&nothing, &site).iter().map(ToString::to_string).collect();
            assert_eq!(differences, [format!("+ {label} x")]);

            let mut merged = Site::default();
            merge(&mut merged, site.clone());
            assert_eq!(merged, site, "merge {label}");

            revert(&mut merged, &nothing, &site).unwrap();
            assert_eq!(merged, nothing, "revert {label}");

            let mut kept = site.clone();
            keep_differing(&mut kept, &nothing);
            assert_eq!(kept, site, "kept {label}");
            keep_differing(&mut kept, &site);
            assert_eq!(kept, nothing, "kept {label}");
            assert_eq!(NounKind::of_section(kind.section()), Some(kind));
        }
    }
}
