//! Putting a part of a site into a site, and taking a change back. Pure.

use std::collections::BTreeMap;

use super::Site;

/// Puts every entry of `part` into `site`, in place of those with the same names.
pub fn merge(site: &mut Site, part: Site) {
    site.racks.extend(part.racks);
    site.tenants.extend(part.tenants);
    site.switches.extend(part.switches);
    site.subnets.extend(part.subnets);
    site.parameters.extend(part.parameters);
    if !part.network.is_empty() {
        site.network = part.network;
    }
    site.profiles.extend(part.profiles);
    site.images.extend(part.images);
    site.hosts.extend(part.hosts);
}

/// Takes the change from `before` to `after` back: entries of `before` return, entries that
/// only `after` has go.
///
/// # Errors
/// The entries that were changed once more since, as `host r1-n01`; `site` is then as it was.
pub fn revert(site: &mut Site, before: &Site, after: &Site) -> Result<(), Vec<String>> {
    let mut reverted = site.clone();
    let mut since = Vec::new();
    revert_entries("rack", &mut reverted.racks, (&before.racks, &after.racks), &mut since);
    revert_entries("tenant", &mut reverted.tenants, (&before.tenants, &after.tenants), &mut since);
    revert_entries(
        "switch",
        &mut reverted.switches,
        (&before.switches, &after.switches),
        &mut since,
    );
    revert_entries("subnet", &mut reverted.subnets, (&before.subnets, &after.subnets), &mut since);
    let mut wide = reverted.wide();
    revert_entries("site", &mut wide, (&before.wide(), &after.wide()), &mut since);
    reverted.set_wide(wide);
    revert_entries(
        "profile",
        &mut reverted.profiles,
        (&before.profiles, &after.profiles),
        &mut since,
    );
    revert_entries("image", &mut reverted.images, (&before.images, &after.images), &mut since);
    revert_entries("host", &mut reverted.hosts, (&before.hosts, &after.hosts), &mut since);
    if !since.is_empty() {
        return Err(since);
    }
    *site = reverted;
    Ok(())
}

type Entries<T> = BTreeMap<String, T>;

fn revert_entries<T: Clone + PartialEq>(
    noun: &str,
    now: &mut Entries<T>,
    (before, after): (&Entries<T>, &Entries<T>),
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
