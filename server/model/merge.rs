//! Putting a part of a site into a site, and taking a change back. Pure.

use std::collections::BTreeMap;

use super::{Noun, NounVisitor, Site, visit_nouns};

/// Puts every entry of `part` into `site`, in place of those with the same names.
pub fn merge(site: &mut Site, mut part: Site) {
    site.parameters.append(&mut part.parameters);
    site.labels.append(&mut part.labels);
    if !part.network.is_empty() {
        site.network = std::mem::take(&mut part.network);
    }
    visit_nouns(&mut Merger { site, part });
}

struct Merger<'a> {
    site: &'a mut Site,
    part: Site,
}

impl NounVisitor for Merger<'_> {
    fn visit<T: Noun>(&mut self) {
        T::all_mut(self.site).append(T::all_mut(&mut self.part));
    }
}

/// Leaves in `site` only the entries that `other` lacks or has otherwise.
pub(crate) fn keep_differing(site: &mut Site, other: &Site) {
    if site.wide() == other.wide() {
        site.set_wide(Default::default());
    }
    visit_nouns(&mut DifferingOnly { site, other });
}

struct DifferingOnly<'a> {
    site: &'a mut Site,
    other: &'a Site,
}

impl NounVisitor for DifferingOnly<'_> {
    fn visit<T: Noun>(&mut self) {
        let other = T::all(self.other);
        T::all_mut(self.site).retain(|name, entry| other.get(name) != Some(entry));
    }
}

/// Takes the change from `before` to `after` back: entries of `before` return, entries that
/// only `after` has go.
///
/// # Errors
/// The entries that were changed once more since, as `host r1-n01`; `site` is then as it was.
pub fn revert(site: &mut Site, before: &Site, after: &Site) -> Result<(), Vec<String>> {
    let mut reverter = Reverter { now: site.clone(), before, after, since: Vec::new() };
    let mut wide = reverter.now.wide();
    revert_entries("site", &mut wide, &before.wide(), &after.wide(), &mut reverter.since);
    reverter.now.set_wide(wide);
    visit_nouns(&mut reverter);
    if !reverter.since.is_empty() {
        return Err(reverter.since);
    }
    *site = reverter.now;
    Ok(())
}

struct Reverter<'a> {
    now: Site,
    before: &'a Site,
    after: &'a Site,
    since: Vec<String>,
}

impl NounVisitor for Reverter<'_> {
    fn visit<T: Noun>(&mut self) {
        let (before, after) = (T::all(self.before), T::all(self.after));
        revert_entries(T::NOUN, T::all_mut(&mut self.now), before, after, &mut self.since);
    }
}

type Entries<T> = BTreeMap<String, T>;

fn revert_entries<T: Clone + PartialEq>(
    noun: &str,
    now: &mut Entries<T>,
    before: &Entries<T>,
    after: &Entries<T>,
    since: &mut Vec<String>,
) {
    let names: Vec<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        if before.get(name) == after.get(name) {
            continue;
        }
        match before.get(name) {
            // An entry that is as it was before needs no reverting: it was done by hand.
            old if now.get(name) == old => {}
            _ if now.get(name) != after.get(name) => {
                let text = format!("{noun} {name}");
                if !since.contains(&text) {
                    since.push(text);
                }
            }
            Some(old) => drop(now.insert(name.clone(), old.clone())),
            None => drop(now.remove(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(json: serde_json::Value) -> Site {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_change_is_taken_back_unless_it_was_overtaken() {
        let before = site(serde_json::json!({"hosts": {"a": {"unit": 1}, "gone": {}}}));
        let after = site(serde_json::json!({"hosts": {"a": {"unit": 2}, "new": {}}}));
        let with = |json| {
            let mut site = after.clone();
            merge(&mut site, self::site(json));
            site
        };
        let cases = [
            ("nothing else happened", after.clone(), Ok(before.clone())),
            (
                "something else was added",
                with(serde_json::json!({"images": {"live": {"local": true}}})),
                Ok(Site {
                    images: with(serde_json::json!({"images": {"live": {"local": true}}})).images,
                    ..before.clone()
                }),
            ),
            (
                "the same host was changed",
                with(serde_json::json!({"hosts": {"a": {"unit": 3}}})),
                Err(vec!["host a".to_owned()]),
            ),
            ("it was undone by hand", before.clone(), Ok(before.clone())),
        ];
        for (name, mut now, expected) in cases {
            let untouched = now.clone();
            let outcome = revert(&mut now, &before, &after);
            match expected {
                Ok(site) => assert_eq!((outcome, now), (Ok(()), site), "{name}"),
                Err(since) => assert_eq!((outcome, now), (Err(since), untouched), "{name}"),
            }
        }
    }
}
