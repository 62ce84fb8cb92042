//! Who has the MAC or address that a host cannot have. Pure.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::model::{Host, Identity, Location, Subnet};
use crate::network::Domains;
use crate::profile::ResolvedSite;

/// Something that belongs to one host or subnet, and that two have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} ({} of {}) already belongs to {} {}", .at.field.join("."), .at.name, .owner.noun, .owner.name)]
pub struct Taken {
    /// What it is, such as `MAC 02:00:00:00:00:01`.
    pub what: String,
    /// Where one of the two has it.
    pub at: Location,
    /// Where the other has it.
    pub owner: Location,
}

/// Says which MAC, address, switch port or prefix of `wanted` has a second owner, in it or in
/// `stored`. The rules say so first; this is for a writer that did not ask them and was stopped by
/// the database.
pub(crate) fn find_taken(wanted: &ResolvedSite, stored: &ResolvedSite) -> Option<Taken> {
    let only_stored = stored.hosts.iter().filter(|(name, _)| !wanted.hosts.contains_key(*name));
    let hosts: BTreeMap<&String, &Host> = only_stored.chain(&wanted.hosts).collect();
    let (new, old) = (Domains::of(wanted), Domains::of(stored));
    let mut macs = Owners::default();
    let mut addresses = Owners::default();
    let mut identities: Owners<Identity> = Owners::default();
    let mut ports = Owners::default();
    let mut prefixes = Owners::default();
    for (name, subnet) in &wanted.subnets {
        prefixes.add(subnet.cidr.trunc(), Location::of::<Subnet>(name).at("cidr"));
    }
    for (name, host) in &hosts {
        for (label, nic) in &host.nics {
            macs.add(nic.address.identity(), at(name, "nics").at(label));
            if let Some(cable) = &nic.cable {
                let port = format!("port {} of {}", cable.port, cable.switch);
                ports.add(port, at(name, "nics").at(label));
            }
        }
        let domains = if wanted.hosts.contains_key(*name) { &new } else { &old };
        for (section, key, owned) in domains.owned(name, host) {
            addresses.add(owned, at(name, section).at(key));
        }
        for identity in host.known_by.identities() {
            identities.add(identity, at(name, "match"));
        }
    }
    let mac = macs.second.map(|(mac, at, owner)| Taken {
        what: match mac.mac() {
            Some(mac) => format!("MAC {mac}"),
            None => format!("GUID {mac}"),
        },
        at,
        owner,
    });
    let address = addresses.second.map(|((_, address), at, owner)| Taken {
        what: format!("address {address}"),
        at,
        owner,
    });
    let identity = identities.second.map(|(identity, at, owner)| Taken {
        what: identity.to_string(),
        at,
        owner,
    });
    let port = ports.second.map(|(what, at, owner)| Taken { what, at, owner });
    let prefix = prefixes.second.map(|(prefix, at, owner)| Taken {
        what: format!("prefix {prefix}"),
        at,
        owner,
    });
    mac.or(address).or(identity).or(port).or(prefix)
}

fn at(host: &str, section: &str) -> Location {
    Location::of::<Host>(host).at(section)
}

/// Who has which value, and the first that two hosts have.
struct Owners<T> {
    owners: HashMap<T, Location>,
    second: Option<(T, Location, Location)>,
}

impl<T> Default for Owners<T> {
    fn default() -> Self {
        Self { owners: HashMap::new(), second: None }
    }
}

impl<T: Clone + Eq + Hash> Owners<T> {
    fn add(&mut self, value: T, at: Location) {
        let owner = self.owners.insert(value.clone(), at.clone());
        if let Some(owner) = owner.filter(|owner| owner.name != at.name) {
            self.second.get_or_insert((value, at, owner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mac;
    use crate::model::Site;

    fn site(name: &str, mac: u8, address: u8) -> ResolvedSite {
        let host = Host {
            nics: [("eth0".to_owned(), Mac([2, 0, 0, 0, 0, mac]).into())].into(),
            addresses: [("eth0".to_owned(), [10, 0, 0, address].into())].into(),
            ..Host::default()
        };
        Site { hosts: [(name.to_owned(), host)].into(), ..Site::default() }.into()
    }

    #[test]
    fn the_present_owner_is_named() {
        let cases = [
            ("nothing is taken", site("b", 2, 2), None),
            ("it is the host itself", site("a", 1, 1), None),
            (
                "a MAC is",
                site("b", 1, 2),
                Some("MAC 02:00:00:00:00:01 (nics.eth0 of b) already belongs to host a"),
            ),
            (
                "an address is",
                site("b", 2, 1),
                Some("address 10.0.0.1 (addresses.eth0 of b) already belongs to host a"),
            ),
        ];
        for (name, wanted, expected) in cases {
            let taken = find_taken(&wanted, &site("a", 1, 1));
            assert_eq!(taken.map(|taken| taken.to_string()).as_deref(), expected, "{name}");
        }
    }
}
