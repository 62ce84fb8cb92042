//! What differs between two sites, in the operator's words. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Host, Identity, NicAddress, Noun, NounVisitor, Site, visit_nouns};

/// One entry of the site that is new, gone or otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// What kind of thing: a [`Noun::NOUN`], or `site` for what the site says of itself.
    pub noun: &'static str,
    /// Its name; of a renamed host the new one.
    pub name: String,
    /// What became of it.
    pub kind: DifferenceKind,
    /// The single values that differ; none where the whole entry is new or gone.
    pub fields: Vec<FieldDifference>,
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Some of its values differ.
    Changed,
    /// A host has another name, known by its NICs; some values may differ too.
    Renamed {
        /// The name before.
        from: String,
    },
}

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct FieldDifference {
    /// Where in the entry: keys joined by dots, such as `nics.eth0`.
    pub path: String,
    /// The value before, if there was one.
    pub before: Option<String>,
    /// The value after, if there is one.
    pub after: Option<String>,
}

impl fmt::Display for Difference {
    /// `+ host r1-n02`, `- host r1-n03`, or a line for each value: `~ host r1-n01 profile: a -> b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { noun, name, kind, fields } = self;
        let mut lines = Vec::new();
        match kind {
            DifferenceKind::Added => lines.push(format!("+ {noun} {name}")),
            DifferenceKind::Removed => lines.push(format!("- {noun} {name}")),
            DifferenceKind::Renamed { from } => {
                lines.push(format!("~ {noun} {from} is now {name}"))
            }
            DifferenceKind::Changed => {}
        }
        lines.extend(fields.iter().map(|field| format!("~ {noun} {name} {field}")));
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for FieldDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
        write!(f, "{}: {} -> {}", self.path, shown(&self.before), shown(&self.after))
    }
}

/// Everything that differs between two sites: what they say of themselves, then noun by noun,
/// each by name.
pub fn diff(before: &Site, after: &Site) -> Vec<Difference> {
    let renamed = BTreeMap::new();
    let mut differ = Differ { before, after, renamed, found: Vec::new() };
    differ.add("site", &before.wide(), &after.wide());
    visit_nouns(&mut differ);
    differ.found
}

struct Differ<'a> {
    before: &'a Site,
    after: &'a Site,
    /// The entries of the noun at hand that have another name, old name to new.
    renamed: BTreeMap<String, String>,
    found: Vec<Difference>,
}

impl NounVisitor for Differ<'_> {
    fn visit<T: Noun>(&mut self) {
        if T::NOUN == Host::NOUN {
            self.renamed = renamed_hosts(self.before, self.after);
        }
        self.add(T::NOUN, T::all(self.before), T::all(self.after));
        self.renamed.clear();
    }
}

/// The hosts that have another name than before, old name to new: a host is its NICs, and
/// whatever else it is known by.
pub fn renamed_hosts(before: &Site, after: &Site) -> BTreeMap<String, String> {
    let gone = || before.hosts.iter().filter(|(name, _)| !after.hosts.contains_key(*name));
    let macs: HashMap<NicAddress, &String> = gone()
        .flat_map(|(name, host)| host.nics.values().map(move |nic| (nic.address.identity(), name)))
        .collect();
    let identities: HashMap<Identity, &String> = gone()
        .flat_map(|(name, host)| host.known_by.identities().map(move |it| (it, name)))
        .collect();
    let mut renamed = BTreeMap::new();
    for (name, host) in after.hosts.iter().filter(|(name, _)| !before.hosts.contains_key(*name)) {
        let by_mac = host.nics.values().find_map(|nic| macs.get(&nic.address.identity()));
        let old = by_mac.or_else(|| host.known_by.identities().find_map(|it| identities.get(&it)));
        if let Some(old) = old {
            renamed.entry((*old).clone()).or_insert_with(|| name.clone());
        }
    }
    renamed
}

impl Differ<'_> {
    fn add<T: PartialEq + Serialize>(
        &mut self,
        noun: &'static str,
        before: &BTreeMap<String, T>,
        after: &BTreeMap<String, T>,
    ) {
        let renamed = &self.renamed;
        let new_names: BTreeSet<&String> = renamed.values().collect();
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let difference = match (before.get(name), after.get(name)) {
                (Some(old), Some(new)) if old == new => continue,
                (Some(old), Some(new)) => (DifferenceKind::Changed, diff_fields(old, new)),
                (Some(old), None) => match renamed.get(name) {
                    Some(new_name) => {
                        let kind = DifferenceKind::Renamed { from: name.clone() };
                        let fields = after
                            .get(new_name)
                            .map(|new| diff_fields(old, new))
                            .unwrap_or_default();
                        self.found.push(Difference { noun, name: new_name.clone(), kind, fields });
                        continue;
                    }
                    None => (DifferenceKind::Removed, Vec::new()),
                },
                (None, Some(_)) if new_names.contains(name) => continue,
                (None, _) => (DifferenceKind::Added, Vec::new()),
            };
            let (kind, fields) = difference;
            self.found.push(Difference { noun, name: name.clone(), kind, fields });
        }
    }
}

fn diff_fields<T: Serialize>(before: &T, after: &T) -> Vec<FieldDifference> {
    let (before, after) = (leaves(before), leaves(after));
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    differing
        .map(|path| FieldDifference {
            path: path.clone(),
            before: before.get(path).cloned(),
            after: after.get(path).cloned(),
        })
        .collect()
}

/// Every value of an entry by its path. A list is one value: its order means something.
fn leaves<T: Serialize>(entry: &T) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // Every model type serialises: its maps have string keys and its numbers are finite.
    let value = serde_json::to_value(entry).unwrap_or_default();
    collect_leaves("", &value, &mut found);
    found
}

fn collect_leaves(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    let Value::Object(fields) = value else {
        found.insert(path.to_owned(), shown(value));
        return;
    };
    for (key, value) in fields {
        let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        collect_leaves(&inner, value, found);
    }
}

/// A value as an operator reads it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let pair = |(key, value): (&String, &Value)| format!("{key}: {}", shown(value));
            format!("{{{}}}", fields.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Image, Mac, Rack};

    fn site() -> Site {
        let nics = [("eth0".to_owned(), Mac([2, 0, 0, 0, 0, 1]).into())].into_iter().collect();
        let host =
            Host { profile: Some("a".into()), rack: Some("r1".into()), nics, ..Host::default() };
        Site {
            racks: [("r1".to_owned(), Rack::default())].into(),
            images: [("live".to_owned(), Image { local: true, ..Image::default() })].into(),
            hosts: [("r1-n01".to_owned(), host)].into(),
            ..Site::default()
        }
    }

    fn lines(after: impl FnOnce(&mut Site)) -> Vec<String> {
        let before = site();
        let mut changed = site();
        after(&mut changed);
        diff(&before, &changed).iter().map(|difference| difference.to_string()).collect()
    }

    #[test]
    fn nothing_differs_between_equal_sites() {
        assert_eq!(lines(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_a_line_in_the_operators_words() {
        type Edit = fn(&mut Site);
        let cases: [(Edit, &str); 6] = [
            (|s| drop(s.hosts.insert("r1-n02".into(), Host::default())), "+ host r1-n02"),
            (|s| drop(s.images.remove("live")), "- image live"),
            (
                |s| s.hosts.get_mut("r1-n01").unwrap().profile = Some("b".into()),
                "~ host r1-n01 profile: a -> b",
            ),
            (
                |s| {
                    s.hosts
                        .get_mut("r1-n01")
                        .unwrap()
                        .nics
                        .extend([("eth1".into(), Mac([2; 6]).into())]);
                },
                "~ host r1-n01 nics.eth1: none -> 02:02:02:02:02:02",
            ),
            (
                |s| s.images.get_mut("live").unwrap().initrd = vec!["a".into(), "b".into()],
                "~ image live initrd: none -> [a, b]",
            ),
            (
                |s| {
                    let mut host = s.hosts.remove("r1-n01").unwrap();
                    host.unit = Some(3);
                    s.hosts.insert("r1-n07".into(), host);
                },
                "~ host r1-n01 is now r1-n07\n~ host r1-n07 unit: none -> 3",
            ),
        ];
        for (edit, expected) in cases {
            assert_eq!(lines(edit), [expected]);
        }
    }

    #[test]
    fn a_host_that_took_over_a_nic_of_a_living_host_is_no_renamed_one() {
        let changed = lines(|s| {
            let host = s.hosts["r1-n01"].clone();
            s.hosts.insert("r1-n02".into(), host);
        });
        assert_eq!(changed, ["+ host r1-n02"]);
    }
}
