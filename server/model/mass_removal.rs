//! A new site that would delete most of the present one: rarely what its author wants. Pure.

use std::fmt;

use serde::Serialize;

use super::{Host, Noun, NounVisitor, Site, diff::renamed_hosts, visit_nouns};

/// How many names of one noun a message has.
const MOST_NAMES: usize = 10;

/// What a change would delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct MassRemoval {
    /// The entries by noun, in the order of the site file.
    pub removed: Vec<RemovedEntries>,
    /// Whether nothing of the present site would be left.
    pub is_everything: bool,
}

/// The entries of one noun that would be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RemovedEntries {
    /// The section of the site file, such as `hosts`.
    pub section: &'static str,
    /// How many entries there are now.
    pub total: usize,
    /// Those that would go.
    pub names: Vec<String>,
}

impl MassRemoval {
    /// What `after` deletes of `before`, if that is everything or more than half of the hosts. A
    /// host under a new name is not deleted.
    pub fn find(before: &Site, after: &Site) -> Option<Self> {
        let renamed = renamed_hosts(before, after);
        let mut count = Count { before, after, removed: Vec::new(), total: 0 };
        visit_nouns(&mut count);
        let Count { mut removed, total, .. } = count;
        for entries in removed.iter_mut().filter(|entries| entries.section == Host::SECTION) {
            entries.names.retain(|name| !renamed.contains_key(name));
        }
        removed.retain(|entries| !entries.names.is_empty());
        let gone: usize = removed.iter().map(|entries| entries.names.len()).sum();
        let hosts = removed.iter().find(|entries| entries.section == Host::SECTION);
        let hosts = hosts.map_or(0, |entries| entries.names.len());
        let is_everything = total > 0 && gone == total;
        (is_everything || 2 * hosts > before.hosts.len()).then_some(Self { removed, is_everything })
    }
}

impl fmt::Display for MassRemoval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_everything { "everything: " } else { "" };
        write!(f, "this would delete {what}")?;
        for (index, entries) in self.removed.iter().enumerate() {
            let RemovedEntries { section, total, names } = entries;
            let comma = if index > 0 { ", " } else { "" };
            let shown = names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
            write!(f, "{comma}{} of {total} {section} ({shown}", names.len())?;
            match names.len().saturating_sub(MOST_NAMES) {
                0 => f.write_str(")")?,
                more => write!(f, " and {more} more)")?,
            }
        }
        Ok(())
    }
}

struct Count<'a> {
    before: &'a Site,
    after: &'a Site,
    removed: Vec<RemovedEntries>,
    total: usize,
}

impl NounVisitor for Count<'_> {
    fn visit<T: Noun>(&mut self) {
        let (before, after) = (T::all(self.before), T::all(self.after));
        self.total += before.len();
        let names = before.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
        self.removed.push(RemovedEntries { section: T::SECTION, total: before.len(), names });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(before: &str, after: &str) -> Option<String> {
        let site = |text| serde_saphyr::from_str::<Site>(text).unwrap();
        MassRemoval::find(&site(before), &site(after)).map(|removal| removal.to_string())
    }

    #[test]
    fn everything_and_most_hosts_are_not_deleted_by_the_way() {
        let three = "racks: {r: {}}\nhosts: {a: {}, b: {}, c: {nics: {e: \"02:00:00:00:00:01\"}}}";
        let cases = [
            ("{}", "{}", None),
            ("{}", "hosts: {a: {}}", None),
            (three, three, None),
            (three, "racks: {r: {}}\nhosts: {a: {}, b: {}}", None),
            ("hosts: {a: {}, b: {}}", "hosts: {a: {}}", None),
            // c has another name now.
            (three, "racks: {r: {}}\nhosts: {a: {}, d: {nics: {e: \"02:00:00:00:00:01\"}}}", None),
            (
                three,
                "racks: {r: {}}\nhosts: {a: {}}",
                Some("this would delete 2 of 3 hosts (b, c)"),
            ),
            (
                three,
                "{}",
                Some("this would delete everything: 1 of 1 racks (r), 3 of 3 hosts (a, b, c)"),
            ),
            (
                "subnets: {s: {cidr: 10.0.0.0/8}}",
                "images: {x: {local: true}}",
                Some("this would delete everything: 1 of 1 subnets (s)"),
            ),
        ];
        for (before, after, expected) in cases {
            assert_eq!(found(before, after).as_deref(), expected, "{before} -> {after}");
        }
        let many: String = (0..12).map(|n| format!("  h{n}: {{}}\n")).collect();
        let text = found(&format!("hosts:\n{many}"), "{}").unwrap();
        assert!(text.ends_with(" and 2 more)"), "{text}");
    }
}
