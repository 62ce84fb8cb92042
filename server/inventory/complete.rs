//! What an operator leaves to the inventory: racks that only hosts name, and the addresses
//! of hosts, which keep those that they have. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::model::{Host, Site, renamed_hosts};
use crate::network::{Assignment, allocate};

/// Adds to `after` what its author left out.
pub(crate) fn complete(before: &Site, after: &mut Site) {
    add_named_racks(after);
    keep_addresses(before, after);
    for Assignment { host, link, address, .. } in allocate(after) {
        if let Some(host) = after.hosts.get_mut(&host) {
            host.addresses.insert(link, address);
        }
    }
}

/// A host may name a rack that has no entry of its own.
fn add_named_racks(site: &mut Site) {
    let named: Vec<String> = site.hosts.values().filter_map(|host| host.rack.clone()).collect();
    for rack in named {
        site.racks.entry(rack).or_default();
    }
}

/// A host keeps its address in a subnet, on whichever link its profile puts it now.
fn keep_addresses(before: &Site, after: &mut Site) {
    let renamed = renamed_hosts(before, after);
    let old_names: HashMap<&String, &String> =
        renamed.iter().map(|(old, new)| (new, old)).collect();
    let mut kept = Vec::new();
    for (name, host) in &after.hosts {
        let old_name = old_names.get(name).copied().unwrap_or(name);
        let Some(old) = before.hosts.get(old_name) else { continue };
        let addresses = addresses_kept((before, old), (after, host));
        if addresses != host.addresses {
            kept.push((name.clone(), addresses));
        }
    }
    for (name, addresses) in kept {
        if let Some(host) = after.hosts.get_mut(&name) {
            host.addresses = addresses;
        }
    }
}

type Addresses = BTreeMap<String, IpAddr>;

/// The addresses of a host: those that it is given, and those that it had in subnets
/// where it is given none. One that stood on a link which the profile lost is dropped.
fn addresses_kept((before, old): (&Site, &Host), (after, new): (&Site, &Host)) -> Addresses {
    let mut addresses = new.addresses.clone();
    let Some(profile) = new.profile.as_ref().and_then(|name| after.profiles.get(name)) else {
        return addresses;
    };
    let is_stale = |link: &String, address: &IpAddr| {
        old.addresses.get(link) == Some(address)
            && !profile.subnets().any(|(carrier, _)| carrier == link.as_str())
    };
    addresses.retain(|link, address| !is_stale(link, address));
    for (_, subnet_name) in profile.subnets() {
        let Some(link) = profile.link_of_subnet(subnet_name) else { continue };
        let Some(subnet) = after.subnets.get(subnet_name) else { continue };
        let Some(address) = link_address(before, old, subnet_name) else { continue };
        let free = !addresses.values().any(|given| *given == address);
        if subnet.cidr.contains(&address) && free {
            addresses.entry(link.to_owned()).or_insert(address);
        }
    }
    addresses
}

/// The address that a host bears in a subnet.
fn link_address(site: &Site, host: &Host, subnet_name: &str) -> Option<IpAddr> {
    let profile = site.profiles.get(host.profile.as_deref()?)?;
    host.addresses.get(profile.link_of_subnet(subnet_name)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(profile: &str) -> Site {
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

    fn host_with(link: &str, address: &str) -> Site {
        let mut site = site(if link == "virbr0" { "bridge" } else { "vlan" });
        let addresses = &mut site.hosts.get_mut("a").unwrap().addresses;
        addresses.insert(link.into(), address.parse().unwrap());
        site
    }

    fn completed(before: &Site, mut after: Site) -> Vec<String> {
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

    #[test]
    fn a_rack_that_only_a_host_names_gets_an_entry() {
        let mut after = site("vlan");
        complete(&Site::default(), &mut after);
        assert!(after.racks.contains_key("r1"));
    }
}
