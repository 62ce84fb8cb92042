//! Undoing a revision. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Site;

/// Gives every entry that differs between `before` and `after` its value of `before`.
///
/// # Errors
/// When an entry was changed again since: undoing would undo that as well.
pub(crate) fn revert(site: &mut Site, before: &Site, after: &Site) -> Result<(), String> {
    put_back("rack", &mut site.racks, &before.racks, &after.racks)?;
    put_back("tenant", &mut site.tenants, &before.tenants, &after.tenants)?;
    put_back("subnet", &mut site.subnets, &before.subnets, &after.subnets)?;
    put_back("profile", &mut site.profiles, &before.profiles, &after.profiles)?;
    put_back("image", &mut site.images, &before.images, &after.images)?;
    put_back("host", &mut site.hosts, &before.hosts, &after.hosts)
}

fn put_back<T: Clone + PartialEq>(
    noun: &str,
    now: &mut BTreeMap<String, T>,
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
) -> Result<(), String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        if now.get(name) != after.get(name) {
            return Err(format!(
                "{noun} {name} was changed again since; revert the newer revision first, or \
                 change it by hand"
            ));
        }
        match before.get(name) {
            Some(entry) => drop(now.insert(name.clone(), entry.clone())),
            None => drop(now.remove(name)),
        }
    }
    Ok(())
}
