//! What an operator leaves to the inventory: racks that only hosts name, and the addresses
//! of hosts, which keep those that they have. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::model::{Host, Site, renamed_hosts};
use crate::network::{Assignment, allocate, layout};
use crate::profile::ResolvedSite;

/// Adds to `after` what its author left out.
pub(crate) fn complete(before: &ResolvedSite, after: &mut ResolvedSite) {
    add_named_racks(after);
    keep_addresses(before, after);
    compute_addresses(before, after);
    for Assignment { host, link, address, .. } in allocate(after) {
        if let Some(host) = after.hosts.get_mut(&host) {
            host.addresses.insert(link, address);
        }
    }
}

/// A host or switch may name a rack that has no entry of its own.
fn add_named_racks(site: &mut Site) {
    let hosts = site.hosts.values().map(|host| &host.rack);
    let racks = hosts.chain(site.switches.values().map(|switch| &switch.rack));
    let named: Vec<String> = racks.flatten().cloned().collect();
    for rack in named {
        site.racks.entry(rack).or_default();
    }
}

/// A host keeps its address in a subnet, on whichever link its profile puts it now, and
/// leaves those of its tenant behind when it is given to another.
fn keep_addresses(before: &ResolvedSite, after: &mut ResolvedSite) {
    let same_networks = before.has_networks_of(after);
    let renamed = renamed_hosts(before, after);
    let old_names: HashMap<&String, &String> =
        renamed.iter().map(|(old, new)| (new, old)).collect();
    let mut kept = Vec::new();
    for (name, host) in &after.hosts {
        let old_name = old_names.get(name).copied().unwrap_or(name);
        let Some(old) = before.hosts.get(old_name) else { continue };
        if same_networks && old == host {
            continue;
        }
        let was = Network::of(before, old_name, old);
        let is = Network::of(after, name, host);
        kept.push((name.clone(), addresses_kept(&was, &is), reservations_kept(&was, &is)));
    }
    for (name, addresses, reservations) in kept {
        if let Some(host) = after.hosts.get_mut(&name) {
            (host.addresses, host.reservations) = (addresses, reservations);
        }
    }
}

/// A host of a site, with the keys of its addresses by the subnets that they are in.
struct Network<'a> {
    site: &'a ResolvedSite,
    host: &'a Host,
    bears: BTreeMap<String, String>,
    /// The addresses that its profile computes, by key.
    computed: Addresses,
}

impl<'a> Network<'a> {
    fn of(site: &'a ResolvedSite, name: &str, host: &'a Host) -> Self {
        let (mut bears, mut computed) = (BTreeMap::new(), Addresses::new());
        for borne in layout(site, name).links.into_values().flat_map(|link| link.layer3.borne) {
            let address = borne.computed.and_then(Result::ok).filter(|_| borne.written);
            computed.extend(address.map(|address| (borne.key.clone(), address)));
            bears.insert(borne.subnet, borne.key);
        }
        Self { site, host, bears, computed }
    }

    /// The subnet that the address under a key is in.
    fn subnet_of(&self, key: &str) -> Option<&String> {
        self.bears.iter().find(|(_, own)| *own == key).map(|(subnet, _)| subnet)
    }
}

/// The addresses that profiles compute. One that the host is given stays; but what was
/// computed before is not a choice of the operator, and changes with what it is computed from.
fn compute_addresses(before: &ResolvedSite, after: &mut ResolvedSite) {
    let renamed = renamed_hosts(before, after);
    let old_names: HashMap<&String, &String> =
        renamed.iter().map(|(old, new)| (new, old)).collect();
    let mut computed = Vec::new();
    for (name, host) in &after.hosts {
        let computes = |site: &ResolvedSite, host: &Host| {
            site.profile_of(host).is_some_and(|found| found.profile.computes_addresses())
        };
        if !computes(after, host) {
            continue;
        }
        let old_name = old_names.get(name).copied().unwrap_or(name);
        let old = before.hosts.get(old_name).filter(|old| computes(before, old));
        let old = old.map(|old| Network::of(before, old_name, old).computed).unwrap_or_default();
        for (key, address) in Network::of(after, name, host).computed {
            let given = host.addresses.get(&key);
            if given.is_none() || given == old.get(&key) {
                computed.push((name.clone(), key, address));
            }
        }
    }
    for (name, key, address) in computed {
        if let Some(host) = after.hosts.get_mut(&name) {
            host.addresses.insert(key, address);
        }
    }
}

type Addresses = BTreeMap<String, IpAddr>;

/// The addresses of a host: those that it is given, and those that it had in subnets
/// where it is given none. One whose link is now in another subnet, or in none, is dropped.
fn addresses_kept(was: &Network<'_>, is: &Network<'_>) -> Addresses {
    let mut addresses = is.host.addresses.clone();
    if !is.site.profiles.contains_key(is.host.profile.as_deref().unwrap_or_default()) {
        return addresses;
    }
    let fits = |subnet: &String, address: &IpAddr| {
        is.site.subnets.get(subnet).is_some_and(|subnet| subnet.cidr.contains(address))
    };
    let is_stale = |key: &String, address: &IpAddr| {
        let moved = match is.subnet_of(key) {
            None => true,
            Some(subnet) => was.subnet_of(key) != Some(subnet) && !fits(subnet, address),
        };
        moved && was.host.addresses.get(key) == Some(address)
    };
    addresses.retain(|key, address| !is_stale(key, address));
    for (subnet, key) in &is.bears {
        let before = was.bears.get(subnet).and_then(|key| was.host.addresses.get(key));
        let Some(address) = before.filter(|address| fits(subnet, address)) else { continue };
        let is_free = !addresses.values().any(|given| given == address);
        if is_free && !is.computed.contains_key(key) {
            addresses.entry(key.clone()).or_insert(*address);
        }
    }
    addresses
}

/// The reservations of a host, without those that it had by its tenant before.
fn reservations_kept(was: &Network<'_>, is: &Network<'_>) -> Addresses {
    let mut reservations = is.host.reservations.clone();
    if was.host.tenant == is.host.tenant {
        return reservations;
    }
    let of_old_tenant = |name: &String| {
        let subnet = is.site.subnets.get(name);
        subnet.is_some_and(|subnet| subnet.tenant.is_some() && subnet.tenant == was.host.tenant)
    };
    let left = |name: &String| was.bears.contains_key(name) && !is.bears.contains_key(name);
    reservations.retain(|name, address| {
        was.host.reservations.get(name) != Some(address) || !(of_old_tenant(name) || left(name))
    });
    reservations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(profile: &str) -> ResolvedSite {
        let json = serde_json::json!({
            "subnets": {"internal": {"cidr": "172.16.160.0/24"}},
            "profiles": {
                "vlan": {"vlans": {"vlan500": {"link": "eth0", "id": 500, "subnet": "internal"}}},
                "bridge": {
                    "vlans": {"vlan500": {"link": "eth0", "id": 500, "subnet": "internal"}},
                    "bridges": {"virbr0": {"interfaces": ["vlan500"], "subnet": "internal"}},
                },
            },
            "hosts": {"a": {"rack": "r1", "profile": profile, "nics": {"eth0": "52:54:00:aa:00:01"}}},
        });
        serde_json::from_value(json).unwrap()
    }

    fn host_with(link: &str, address: &str) -> ResolvedSite {
        let mut site = site(if link == "virbr0" { "bridge" } else { "vlan" });
        let addresses = &mut site.hosts.get_mut("a").unwrap().addresses;
        addresses.insert(link.into(), address.parse().unwrap());
        site
    }

    fn completed(before: &ResolvedSite, mut after: ResolvedSite) -> Vec<String> {
        complete(before, &mut after);
        let host = after.hosts.values().next().unwrap();
        host.addresses.iter().map(|(link, address)| format!("{link} {address}")).collect()
    }

    #[test]
    fn a_host_keeps_its_address_in_a_subnet() {
        let before = host_with("vlan500", "172.16.160.12");
        let mut renamed = site("vlan");
        let host = renamed.hosts.remove("a").unwrap();
        renamed.hosts.insert("b".into(), host);
        let mut moved = site("vlan");
        moved.subnets.get_mut("internal").unwrap().cidr = "10.0.0.0/24".parse().unwrap();
        let mut only_profile = before.clone();
        only_profile.hosts.get_mut("a").unwrap().profile = Some("bridge".into());

        let cases = [
            ("when it is not said again", site("vlan"), &["vlan500 172.16.160.12"][..]),
            ("when it gets another name", renamed, &["vlan500 172.16.160.12"]),
            ("when its profile puts it higher", site("bridge"), &["virbr0 172.16.160.12"]),
            (
                "unless it is given another",
                host_with("vlan500", "172.16.160.9"),
                &["vlan500 172.16.160.9"],
            ),
            ("unless the subnet moved away", moved, &[]),
        ];
        for (name, after, expected) in cases {
            assert_eq!(completed(&before, after), expected, "{name}");
        }
    }

    /// A site whose profile numbers its hosts' addresses, with one host.
    fn numbered(index: Option<u32>, number: &str, address: Option<&str>) -> ResolvedSite {
        let mut site: ResolvedSite = serde_json::from_value(serde_json::json!({
            "subnets": {"s": {"cidr": "10.0.0.0/24", "gateway": "10.0.0.1"}},
            "profiles": {"p": {"nics": {"eth0": {"subnet": "s", "host-number": number}}}},
            "hosts": {"a": {"profile": "p", "nics": {"eth0": "52:54:00:aa:00:01"}}},
        }))
        .unwrap();
        let host = site.hosts.get_mut("a").unwrap();
        host.index = index;
        let address = address.map(|address| ("eth0".to_owned(), address.parse().unwrap()));
        host.addresses.extend(address);
        site
    }

    #[test]
    fn a_computed_address_follows_what_it_is_computed_from_and_yields_to_a_given_one() {
        let nothing = ResolvedSite::default();
        let seven = numbered(Some(7), "=index + 10", Some("10.0.0.17"));
        let own = numbered(Some(7), "=index + 10", Some("10.0.0.5"));
        let cases = [
            (
                "a new host",
                &nothing,
                numbered(Some(7), "=index + 10", None),
                &["eth0 10.0.0.17"][..],
            ),
            ("given otherwise", &nothing, own.clone(), &["eth0 10.0.0.5"]),
            ("not said again", &seven, numbered(Some(7), "=index + 10", None), &["eth0 10.0.0.17"]),
            ("another index", &seven, numbered(Some(8), "=index + 10", None), &["eth0 10.0.0.18"]),
            (
                "another index beside the address of the old",
                &seven,
                numbered(Some(8), "=index + 10", Some("10.0.0.17")),
                &["eth0 10.0.0.18"],
            ),
            (
                "another expression",
                &seven,
                numbered(Some(7), "=index + 20", Some("10.0.0.17")),
                &["eth0 10.0.0.27"],
            ),
            (
                "its own stays",
                &own,
                numbered(Some(8), "=index + 10", Some("10.0.0.5")),
                &["eth0 10.0.0.5"],
            ),
            ("its own goes", &own, numbered(Some(7), "=index + 10", None), &["eth0 10.0.0.17"]),
            ("no index", &nothing, numbered(None, "=index + 10", None), &[]),
            ("the gateway's", &nothing, numbered(Some(1), "=index", None), &[]),
        ];
        for (name, before, after, expected) in cases {
            assert_eq!(completed(before, after), expected, "{name}");
        }
    }

    #[test]
    fn a_host_that_is_given_to_another_tenant_moves_to_its_subnet() {
        let before: ResolvedSite = serde_json::from_value(serde_json::json!({
            "tenants": {"acme": {}, "globex": {}},
            "subnets": {
                "a": {"cidr": "10.0.0.0/24", "tenant": "acme", "role": "internal"},
                "g": {"cidr": "10.0.1.0/24", "tenant": "globex", "role": "internal",
                      "ranges": [{"from": "10.0.1.10", "to": "10.0.1.20", "for": "hosts"}]},
                "pxe": {"cidr": "10.0.2.0/24"},
            },
            "profiles": {"p": {
                "vlans": {"v": {"link": "eth0", "id": 7, "subnet": "tenant/internal"}},
                "nics": {"eth1": {"subnet": "pxe"}},
            }},
            "hosts": {"n": {
                "tenant": "acme", "profile": "p",
                "addresses": {"v": "10.0.0.9", "eth1": "10.0.2.9"},
                "reservations": {"a": "10.0.0.9", "pxe": "10.0.2.9"},
            }},
        }))
        .unwrap();
        let mut after = before.clone();
        after.hosts.get_mut("n").unwrap().give_to(Some("globex".into()));
        complete(&before, &mut after);
        let told = |host: &Host| format!("{:?} {:?}", host.addresses, host.reservations);
        assert_eq!(
            told(&after.hosts["n"]),
            r#"{"eth1": 10.0.2.9, "v": 10.0.1.10} {"pxe": 10.0.2.9}"#
        );

        let mut back = after.clone();
        back.hosts.get_mut("n").unwrap().give_to(Some("acme".into()));
        back.hosts.get_mut("n").unwrap().addresses.insert("v".into(), [10, 0, 0, 7].into());
        complete(&after, &mut back);
        assert_eq!(
            told(&back.hosts["n"]),
            r#"{"eth1": 10.0.2.9, "v": 10.0.0.7} {"pxe": 10.0.2.9}"#
        );
    }

    #[test]
    fn an_address_beside_the_main_one_is_kept() {
        let site: ResolvedSite = serde_json::from_value(serde_json::json!({
            "subnets": {"four": {"cidr": "10.0.0.0/24"}, "six": {"cidr": "fd00::/64"}},
            "profiles": {"p": {"nics": {"eth0": {"subnet": "four", "subnet6": "six"}}}},
            "hosts": {"n": {"profile": "p", "addresses": {"eth0": "10.0.0.9", "eth0/six": "fd00::9"}}},
        }))
        .unwrap();
        let mut after = site.clone();
        after.hosts.get_mut("n").unwrap().unit = Some(7);
        complete(&site, &mut after);
        assert_eq!(after.hosts["n"].addresses, site.hosts["n"].addresses);
    }

    #[test]
    fn a_rack_that_only_a_host_names_gets_an_entry() {
        let mut after = site("vlan");
        complete(&ResolvedSite::default(), &mut after);
        assert!(after.racks.contains_key("r1"));
    }
}
