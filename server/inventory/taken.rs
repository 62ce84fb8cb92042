//! Who has the MAC or address that a host cannot have. Pure.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::model::{Host, Identity, Site};
use crate::network::Domains;

/// Says which MAC or address of `wanted` has a second owner, in it or in `stored`. The rules
/// say so first; this is for a writer that did not ask them and was stopped by the database.
pub(crate) fn find_taken(wanted: &Site, stored: &Site) -> Option<String> {
    let only_stored = stored.hosts.iter().filter(|(name, _)| !wanted.hosts.contains_key(*name));
    let hosts: BTreeMap<&String, &Host> = only_stored.chain(&wanted.hosts).collect();
    let nics = hosts
        .iter()
        .flat_map(|(name, host)| host.nics.iter().map(|(label, nic)| (*name, (label, &nic.mac))));
    let (new, old) = (Domains::of(wanted), Domains::of(stored));
    let owned = hosts.iter().flat_map(|(name, host)| {
        let domains = if wanted.hosts.contains_key(*name) { &new } else { &old };
        domains.owned(name, host).map(|(_, key, owned)| (*name, (key, owned)))
    });
    let addresses: Vec<_> = owned.collect();
    let identities: Vec<_> = hosts
        .iter()
        .flat_map(|(name, host)| host.known_by.identities().map(move |identity| (*name, identity)))
        .collect();
    second_owner("MAC", nics, |mac| mac.to_string())
        .or_else(|| {
            let addresses = addresses.iter().map(|(host, (key, owned))| (*host, (*key, owned)));
            second_owner("address", addresses, |(_, address)| address.to_string())
        })
        .or_else(|| second_match(&identities))
}

fn second_match(identities: &[(&String, Identity)]) -> Option<String> {
    let mut owners = HashMap::new();
    identities.iter().find_map(|(host, identity)| {
        let owner = owners.insert(identity, host).filter(|owner| owner != &host)?;
        Some(format!("{identity} (match of {host}) is host {owner}'s already"))
    })
}

fn second_owner<'a, T: Copy + Eq + Hash + 'a>(
    what: &str,
    owned: impl Iterator<Item = (&'a String, (&'a String, &'a T))>,
    told: impl Fn(&T) -> String,
) -> Option<String> {
    let mut owners = HashMap::new();
    for (host, (key, value)) in owned {
        if let Some(owner) = owners.insert(*value, host).filter(|owner| *owner != host) {
            let value = told(value);
            return Some(format!("{what} {value} ({key} of {host}) is host {owner}'s already"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mac;

    fn site(name: &str, mac: u8, address: u8) -> Site {
        let host = Host {
            nics: [("eth0".to_owned(), Mac([2, 0, 0, 0, 0, mac]).into())].into(),
            addresses: [("eth0".to_owned(), [10, 0, 0, address].into())].into(),
            ..Host::default()
        };
        Site { hosts: [(name.to_owned(), host)].into(), ..Site::default() }
    }

    #[test]
    fn the_present_owner_is_named() {
        let cases = [
            ("nothing is taken", site("b", 2, 2), None),
            ("it is the host itself", site("a", 1, 1), None),
            (
                "a MAC is",
                site("b", 1, 2),
                Some("MAC 02:00:00:00:00:01 (eth0 of b) is host a's already"),
            ),
            (
                "an address is",
                site("b", 2, 1),
                Some("address 10.0.0.1 (eth0 of b) is host a's already"),
            ),
        ];
        for (name, wanted, expected) in cases {
            assert_eq!(find_taken(&wanted, &site("a", 1, 1)).as_deref(), expected, "{name}");
        }
    }
}
