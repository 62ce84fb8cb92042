//! Where in the site something is: an entry, or a value within it. Pure data.

use serde::Serialize;

use super::Noun;

/// An entry of the site, or a value within one.
///
/// Names may contain dots (`hosts.n1.addresses.bond0.500`), so the keys are kept apart; only
/// [`path`](Self::path) joins them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
pub struct Location {
    /// The kind of entry, such as `host`; `site` for values that belong to no entry.
    pub noun: &'static str,
    /// The entry's name; empty for the site.
    pub name: String,
    /// The keys that lead from the entry to the value; none for the entry itself.
    pub field: Vec<String>,
    /// The key of all entries of this kind; empty for the site.
    #[serde(skip)]
    section: &'static str,
}

impl Location {
    /// An entry.
    pub fn of<T: Noun>(name: impl Into<String>) -> Self {
        Self { noun: T::NOUN, section: T::SECTION, name: name.into(), field: Vec::new() }
    }

    /// The site itself, whose `network` and `parameters` are not part of any entry.
    pub fn site() -> Self {
        Self { noun: "site", section: "", name: String::new(), field: Vec::new() }
    }

    /// The value at `key` within this one.
    pub fn at(mut self, key: impl Into<String>) -> Self {
        self.field.push(key.into());
        self
    }

    /// The value that several keys lead to from this one.
    pub fn within<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.field.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Whether it is the entry `name` of that kind, or a value within it.
    pub fn is_in<T: Noun>(&self, name: &str) -> bool {
        self.noun == T::NOUN && self.name == name
    }

    /// The entry's name, if it is of that kind.
    pub fn name_of<T: Noun>(&self) -> Option<&str> {
        (self.noun == T::NOUN).then_some(self.name.as_str())
    }

    /// The keys of the site file that lead here, joined by dots: `hosts.n1.nics.eth0`.
    pub fn path(&self) -> String {
        let entry = [self.section, &self.name];
        let keys = entry.into_iter().filter(|key| !key.is_empty());
        keys.chain(self.field.iter().map(String::as_str)).collect::<Vec<_>>().join(".")
    }

    /// A JSON pointer (RFC 6901) to the value within the whole site.
    pub fn site_pointer(&self) -> String {
        let entry = [self.section, &self.name].into_iter().filter(|key| !key.is_empty());
        let entry = entry.map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")));
        entry.chain([self.pointer()]).collect()
    }

    /// A JSON pointer (RFC 6901) to the value within its entry; empty for the entry itself.
    pub fn pointer(&self) -> String {
        let escaped = |key: &String| format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        self.field.iter().map(escaped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Location;
    use crate::model::{Host, Subnet};

    #[test]
    fn keys_are_joined_only_where_they_are_shown() {
        let address = Location::of::<Host>("n1").at("addresses").at("bond0.500/lan~6");
        let cases = [
            (Location::of::<Host>("n1"), "hosts.n1", ""),
            (address, "hosts.n1.addresses.bond0.500/lan~6", "/addresses/bond0.500~1lan~06"),
            (Location::site().within(["network", "bonds"]), "network.bonds", "/network/bonds"),
        ];
        for (location, path, pointer) in cases {
            assert_eq!((location.path().as_str(), location.pointer().as_str()), (path, pointer));
        }
    }

    #[test]
    fn an_entry_is_told_from_one_whose_name_begins_alike() {
        let location = Location::of::<Host>("n10").at("rack");
        assert!(location.is_in::<Host>("n10") && !location.is_in::<Host>("n1"));
        assert!(!location.is_in::<Subnet>("n10"));
    }
}
