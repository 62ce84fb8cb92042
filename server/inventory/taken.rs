//! Who has the MAC or address that a host cannot have. Pure.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Host, Identity, Location, NicAddress, Subnet};
use crate::network::Domains;
use crate::profile::ResolvedSite;

/// Subnets by their names.
type Subnets = BTreeMap<String, Subnet>;

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

/// Something that belongs to one host or subnet.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Thing<'a> {
    Nic(NicAddress),
    /// In a routing domain.
    Address(&'a str, IpAddr),
    Identity(Identity),
    Port(String),
    /// In a routing domain.
    Prefix(&'a str, IpNet),
}

impl Thing<'_> {
    /// Which of several is told of: the first.
    fn rank(&self) -> u8 {
        match self {
            Self::Nic(_) => 0,
            Self::Address(..) => 1,
            Self::Identity(_) => 2,
            Self::Port(_) => 3,
            Self::Prefix(..) => 4,
        }
    }
}

impl fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nic(nic) => match nic.mac() {
                Some(mac) => write!(f, "MAC {mac}"),
                None => write!(f, "GUID {nic}"),
            },
            Self::Address(_, address) => write!(f, "address {address}"),
            Self::Identity(identity) => write!(f, "{identity}"),
            Self::Port(port) => f.write_str(port),
            Self::Prefix(_, prefix) => write!(f, "prefix {prefix}"),
        }
    }
}

/// What a host has, each with its place.
fn of_host<'a>(name: &str, host: &Host, domains: &Domains<'a>) -> Vec<(Thing<'a>, Location)> {
    let mut found = Vec::new();
    for (label, nic) in &host.nics {
        let place = at(name, "nics").at(label);
        found.push((Thing::Nic(nic.address.identity()), place.clone()));
        if let Some(cable) = &nic.cable {
            found.push((Thing::Port(format!("port {} of {}", cable.port, cable.switch)), place));
        }
    }
    for (section, key, (domain, address)) in domains.owned(name, host) {
        found.push((Thing::Address(domain, address), at(name, section).at(key)));
    }
    let identities = host.known_by.identities();
    found.extend(identities.map(|identity| (Thing::Identity(identity), at(name, "match"))));
    found
}

/// What the subnets have, each with its place.
fn of_subnets(site: &ResolvedSite) -> impl Iterator<Item = (Thing<'_>, Location)> {
    site.subnets.iter().map(|(name, subnet)| {
        let domain = subnet.vrf.as_deref().unwrap_or_default();
        (Thing::Prefix(domain, subnet.cidr.trunc()), Location::of::<Subnet>(name).at("cidr"))
    })
}

/// Says which MAC, address, switch port or prefix of `wanted` has a second owner, in it or in
/// `stored`. The rules say so first; this is for a writer that did not ask them and was stopped by
/// the database.
pub(crate) fn find_taken(wanted: &ResolvedSite, stored: &ResolvedSite) -> Option<Taken> {
    let (new, old) = (Domains::of(wanted), Domains::of(stored));
    let present = stored.hosts.iter().flat_map(|(name, host)| of_host(name, host, &old));
    let present: HashMap<Thing<'_>, Location> = present.chain(of_subnets(stored)).collect();
    let only_stored = stored.hosts.iter().filter(|(name, _)| !wanted.hosts.contains_key(*name));
    let hosts: BTreeMap<&String, &Host> = only_stored.chain(&wanted.hosts).collect();
    let owned = hosts.into_iter().flat_map(|(name, host)| {
        let domains = if wanted.hosts.contains_key(name) { &new } else { &old };
        of_host(name, host, domains)
    });
    let mut owners: HashMap<Thing<'_>, Location> = HashMap::new();
    let mut taken: Option<(Thing<'_>, Location, Location)> = None;
    for (thing, at) in owned.chain(of_subnets(wanted)) {
        let owner = owners.insert(thing.clone(), at.clone());
        let Some(owner) = owner.filter(|owner| owner.name != at.name) else { continue };
        if taken.as_ref().is_some_and(|(first, ..)| first.rank() <= thing.rank()) {
            continue;
        }
        // The owner is the one that has it now, wherever its name sorts.
        let is_present = present.get(&thing).is_some_and(|present| present.name == at.name);
        let (at, owner) = if is_present { (owner, at) } else { (at, owner) };
        taken = Some((thing, at, owner));
    }
    taken.map(|(thing, at, owner)| Taken { what: thing.to_string(), at, owner })
}

/// Says which prefix of a subnet is another one's in `present`, and in `wanted` too. Rule N145 says
/// that two subnets have it, and not which of them is new.
pub(crate) fn find_taken_prefix(wanted: &Subnets, present: &Subnets) -> Option<Taken> {
    let prefix = |subnet: &Subnet| (subnet.vrf.clone(), subnet.cidr.trunc());
    let is_as_before = |name: &String, subnet: &Subnet| {
        present.get(name).is_some_and(|before| prefix(before) == prefix(subnet))
    };
    let (old, new): (Vec<_>, Vec<_>) =
        wanted.iter().partition(|(name, subnet)| is_as_before(name, subnet));
    let owners: HashMap<_, &String> =
        old.into_iter().map(|(name, subnet)| (prefix(subnet), name)).collect();
    new.into_iter().find_map(|(name, subnet)| {
        let owner = owners.get(&prefix(subnet))?;
        let place = |name: &String| Location::of::<Subnet>(name).at("cidr");
        let what = format!("prefix {}", subnet.cidr.trunc());
        Some(Taken { what, at: place(name), owner: place(owner) })
    })
}

fn at(host: &str, section: &str) -> Location {
    Location::of::<Host>(host).at(section)
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
    fn the_present_owner_is_named_wherever_its_name_sorts() {
        let subnet = |name: &str| -> ResolvedSite {
            let subnet: Subnet = serde_saphyr::from_str("cidr: 10.77.0.0/24").unwrap();
            Site { subnets: [(name.to_owned(), subnet)].into(), ..Site::default() }.into()
        };
        let both = |a: ResolvedSite, b: ResolvedSite| -> ResolvedSite {
            let mut site = a.into_site();
            site.hosts.extend(b.hosts.clone());
            site.subnets.extend(b.subnets.clone());
            site.into()
        };
        for (old, new) in [("m", "a"), ("m", "z")] {
            let taken = find_taken(&both(site(old, 1, 1), site(new, 1, 2)), &site(old, 1, 1));
            let taken = taken.unwrap();
            assert_eq!((taken.at.name.as_str(), taken.owner.name.as_str()), (new, old));
            let taken = find_taken(&both(subnet(old), subnet(new)), &subnet(old)).unwrap();
            let expected =
                format!("prefix 10.77.0.0/24 (cidr of {new}) already belongs to subnet {old}");
            assert_eq!(taken.to_string(), expected);
            assert_eq!(taken.at.pointer(), "/cidr");
        }
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
