//! Objects of NetBox, and the site that they become.

use serde_json::{Value, json};

use super::*;
use crate::site_file::lay_over;

fn site(text: &str) -> Site {
    serde_saphyr::from_str(text).unwrap()
}

fn read<T: Record>(values: Value) -> Vec<T> {
    serde_json::from_value(values).unwrap()
}

fn device(id: u64, name: &str, role: u64) -> Value {
    json!({
        "id": id, "name": name, "role": {"id": role, "name": "Role", "slug": format!("role-{role}")},
        "device_type": {"id": 1, "manufacturer": {"id": 1, "name": "Acme", "slug": "acme"}},
        "platform": null, "site": {"id": 1, "name": "Hall 1", "slug": "hall-1"},
        "rack": {"id": 1, "name": "R 1"}, "position": 4.0,
        "status": {"value": "active", "label": "Active"}, "tenant": null, "serial": "",
        "description": "", "tags": [], "primary_ip4": null,
    })
}

fn with(mut value: Value, changes: Value) -> Value {
    let changes = changes.as_object().unwrap().clone();
    value.as_object_mut().unwrap().extend(changes);
    value
}

fn interface(id: u64, device: u64, name: &str, mac: Option<&str>) -> Value {
    let mac = mac.map(|mac| json!({"id": id, "mac_address": mac}));
    json!({
        "id": id, "device": {"id": device, "name": "d"}, "name": name,
        "type": {"value": "25gbase-x-sfp28", "label": "SFP28"}, "mgmt_only": false, "mtu": null,
        "lag": null, "parent": null, "bridge": null, "untagged_vlan": null, "primary_mac_address": mac,
        "cable": null, "connected_endpoints": null,
    })
}

fn cabled(interface: Value, device: u64, name: &str, port: &str) -> Value {
    let end = json!({"id": 900, "name": port, "device": {"id": device, "name": name}});
    with(interface, json!({"cable": {"id": 7}, "connected_endpoints": [end]}))
}

fn address(id: u64, address: &str, interface: u64) -> Value {
    json!({"id": id, "address": address, "status": {"value": "active"}, "role": null,
           "assigned_object_type": "dcim.interface", "assigned_object_id": interface})
}

fn prefix(id: u64, prefix: &str, more: Value) -> Value {
    let plain = json!({"id": id, "prefix": prefix, "status": {"value": "active"}, "vrf": null,
                       "vlan": null, "scope_type": null, "scope_id": null, "description": ""});
    with(plain, more)
}

/// A hall with one rack of 42 units.
fn hall(devices: Value, interfaces: Value, addresses: Value, prefixes: Value) -> Found {
    let rack = json!([{"id": 1, "name": "R 1", "site": {"id": 1, "name": "Hall 1", "slug": "hall-1"},
        "location": {"id": 3, "name": "Row 2", "slug": "row-2"}, "u_height": 42, "starting_unit": 1,
        "desc_units": false, "description": ""}]);
    Found {
        url: "https://netbox.example/".into(),
        sites: Vec::new(),
        devices: read(devices),
        device_types: read(json!([{"id": 1, "u_height": 2.0}])),
        racks: read(rack),
        interfaces: read(interfaces),
        addresses: read(addresses),
        prefixes: read(prefixes),
    }
}

const HOST: u64 = 10;
const SWITCH: u64 = 20;

fn taken(found: &Found, current: &Site) -> (Site, Vec<String>) {
    let imported = take_over(found, &BTreeSet::from([HOST]), current);
    (imported.site, imported.not_taken.iter().map(ToString::to_string).collect())
}

fn simple() -> Found {
    let tenant = json!({"id": 1, "name": "Acme Corp", "slug": "acme"});
    let tags = json!([{"id": 1, "name": "GPU", "slug": "gpu"}]);
    let host = with(
        device(1, "r1-n01", HOST),
        json!({"tenant": tenant, "tags": tags, "serial": "0123", "description": "first"}),
    );
    let platform = json!({"platform": {"id": 1, "name": "Arista EOS", "slug": "arista-eos"}});
    let bmc = with(interface(3, 1, "iDRAC", Some("02:00:5E:50:01:01")), json!({"mgmt_only": true}));
    hall(
        json!([host, with(device(2, "leaf1a", SWITCH), platform)]),
        json!([
            cabled(interface(1, 1, "eno1", Some("02:00:5E:50:00:01")), 2, "leaf1a", "Ethernet1"),
            interface(2, 1, "eno2", None),
            bmc,
        ]),
        json!([address(1, "10.1.0.11/24", 1), address(2, "10.9.0.11/24", 3)]),
        json!([
            prefix(1, "10.1.0.0/24", json!({"vlan": {"id": 1, "vid": 120}})),
            prefix(2, "10.9.0.0/24", json!({"description": "BMCs"})),
            prefix(3, "10.0.0.0/8", json!({"status": {"value": "container"}})),
        ]),
    )
}

#[test]
fn a_device_becomes_a_host_with_all_that_is_around_it() {
    let (made, left) = taken(&simple(), &Site::default());
    let expected = "racks: {R-1: {location: \"Hall 1, Row 2\", units: 42}}\n\
        tenants: {acme: {}}\n\
        switches: {leaf1a: {vendor: eos, rack: R-1, unit: 4, height: 2}}\n\
        subnets: {10.1.0.0-24: {cidr: 10.1.0.0/24, vlan: 120}, 10.9.0.0-24: {cidr: 10.9.0.0/24, notes: BMCs}}\n\
        hosts:\n\
        \x20 r1-n01: {rack: R-1, unit: 4, height: 2, labels: [gpu], notes: first, serial: \"0123\", tenant: acme,\n\
        \x20   nics: {eno1: {mac: \"02:00:5e:50:00:01\", switch: leaf1a, port: Ethernet1}},\n\
        \x20   reservations: {10.1.0.0-24: 10.1.0.11}, bmc: {mac: \"02:00:5e:50:01:01\", address: 10.9.0.11}}\n";
    assert_eq!(made, site(expected));
    assert_eq!(
        left,
        ["https://netbox.example/dcim/device-roles/20/: role role-20: 1 device of this role left \
             out; --role role-20 takes them"]
    );
}

#[test]
fn a_second_time_nothing_changes_and_what_is_only_here_stays() {
    let found = simple();
    let first = lay_over(&Site::default(), &taken(&found, &Site::default()).0).unwrap();
    assert_eq!(lay_over(&first, &taken(&found, &first).0).unwrap(), first);
    // Labels of NICs, names of subnets and cables are this inventory's once they are here.
    let here = site(
        "racks: {R-1: {units: 42, location: \"Hall 1, Row 2\"}}\n\
         tenants: {Acme-Corp: {}}\n\
         switches: {leaf1a: {vendor: sonic, rack: R-1, unit: 4, height: 2}}\n\
         subnets: {front: {cidr: 10.1.0.0/24, vlan: 120, gateway: 10.1.0.1}, \
                   bmcs: {cidr: 10.9.0.0/24, notes: BMCs}}\n\
         profiles: {plain: {nics: {eth0: {subnet: front}}}}\n\
         hosts:\n\
         \x20 r1-n01: {rack: R-1, unit: 4, height: 2, labels: [mine, gpu], notes: first, serial: \"0123\",\n\
         \x20   tenant: Acme-Corp, profile: plain, addresses: {eth0: 10.1.0.11},\n\
         \x20   nics: {eth0: {mac: \"02:00:5e:50:00:01\", switch: leaf1a, port: Ethernet1},\n\
         \x20          eth1: {mac: \"02:00:5e:50:00:02\", switch: leaf1a, port: Ethernet2}},\n\
         \x20   bmc: {mac: \"02:00:5e:50:01:01\", address: 10.9.0.11}}\n",
    );
    let (made, _) = taken(&found, &here);
    assert_eq!(lay_over(&here, &made).unwrap(), here);
}

#[test]
fn what_cannot_be_taken_over_says_why() {
    let status = |value: &str| json!({"status": {"value": value}});
    let cases: Vec<(Value, Value, Value, Value, &str)> = vec![
        (
            json!([with(device(1, "n1", HOST), status("inventory"))]),
            json!([]),
            json!([]),
            json!([]),
            "dcim/devices/1/: device n1: its status is inventory",
        ),
        (
            json!([with(device(1, "n1", HOST), json!({"name": null}))]),
            json!([]),
            json!([]),
            json!([]),
            "device 1: has no name",
        ),
        (
            json!([device(1, "n_1", HOST)]),
            json!([]),
            json!([]),
            json!([]),
            "host n_1: taken over as n-1",
        ),
        (
            json!([device(1, "n1", HOST), device(2, "n1", HOST)]),
            json!([]),
            json!([]),
            json!([]),
            "dcim/devices/2/: device n1: the same is in https://netbox.example/dcim/devices/1/ already",
        ),
        (
            json!([with(device(1, "n1", HOST), json!({"position": 4.5}))]),
            json!([]),
            json!([]),
            json!([]),
            "position 4.5 of n1: not a whole unit",
        ),
        (
            json!([device(1, "n1", HOST)]),
            json!([cabled(interface(1, 1, "eno1", None), 2, "sw", "p1")]),
            json!([]),
            json!([]),
            "interface eno1 of n1: has no MAC address",
        ),
        (
            json!([device(1, "n1", HOST), device(2, "sw", SWITCH)]),
            json!([cabled(interface(1, 1, "eno1", Some("02:00:5E:50:00:01")), 2, "sw", "p1")]),
            json!([]),
            json!([]),
            "dcim/devices/2/: switch sw and its cables: its platform names neither EOS",
        ),
        (
            json!([device(1, "n1", HOST)]),
            json!([with(
                interface(1, 1, "eno1", Some("02:00:5E:50:00:01")),
                json!({"cable": {"id": 3}})
            )]),
            json!([]),
            json!([]),
            "cable of eno1 of n1: ends at no interface",
        ),
        (
            json!([device(1, "n1", HOST)]),
            json!([interface(1, 1, "eno1", Some("02:00:5E:50:00:01"))]),
            json!([with(address(5, "10.0.0.9/24", 1), json!({"role": {"value": "vip"}}))]),
            json!([]),
            "ipam/ip-addresses/5/: address 10.0.0.9/24: a vip address",
        ),
        (
            json!([device(1, "n1", HOST)]),
            json!([with(interface(1, 1, "bmc", None), json!({"mgmt_only": true}))]),
            json!([address(5, "10.0.0.9/24", 1)]),
            json!([]),
            "interface bmc of n1: the BMC has an address and no MAC",
        ),
        (
            json!([]),
            json!([]),
            json!([]),
            json!([prefix(1, "10.0.0.0/8", json!({})), prefix(2, "10.1.0.0/24", json!({}))]),
            "ipam/prefixes/1/: prefix 10.0.0.0/8: 10.1.0.0/24 is within it",
        ),
        (
            json!([]),
            json!([]),
            json!([]),
            json!([
                prefix(1, "10.1.0.0/24", json!({})),
                prefix(2, "10.1.0.0/24", json!({"vrf": {"id": 1, "name": "blue"}}))
            ]),
            "prefix 10.1.0.0/24: subnet 10.1.0.0-24 has the same prefix",
        ),
        (
            json!([device(1, "other", HOST)]),
            json!([interface(1, 1, "eno1", Some("02:00:5E:50:00:0A"))]),
            json!([]),
            json!([]),
            "device other: host here of the inventory has this NIC",
        ),
    ];
    let current = site("hosts: {here: {nics: {eth0: \"02:00:5e:50:00:0a\"}}}");
    for (devices, interfaces, addresses, prefixes, expected) in cases {
        let (_, left) = taken(&hall(devices, interfaces, addresses, prefixes), &current);
        assert!(left.iter().any(|line| line.contains(expected)), "{expected}: {left:#?}");
    }
}

/// Two hosts with a bond over two leaves, a VLAN on it, and addresses.
fn bonded() -> Found {
    let platform = |name: &str| json!({"platform": {"id": 1, "name": name, "slug": name}});
    let mut interfaces = Vec::new();
    let mut addresses = Vec::new();
    for host in [1, 2] {
        let id = |number: u64| host * 10 + number;
        let named = |number: u64| json!({"id": id(number), "name": "x"});
        let lag = json!({"type": {"value": "lag"}, "mtu": 9000});
        let vlan = json!({"type": {"value": "virtual"}, "parent": named(1), "untagged_vlan": {"id": 1, "vid": 120}});
        interfaces.push(with(interface(id(1), host, "bond0", None), lag));
        interfaces.push(with(interface(id(2), host, "bond0.120", None), vlan));
        for (nic, leaf) in [(3, 3), (4, 4)] {
            let mac = format!("02:00:5E:50:0{host}:0{nic}");
            let nic = interface(id(nic), host, &format!("eno{}", nic - 2), Some(&mac));
            let port = format!("swp{host}");
            let cabled = cabled(nic, leaf, &format!("leaf{leaf}"), &port);
            interfaces.push(with(cabled, json!({"lag": named(1)})));
        }
        addresses.push(address(id(1), &format!("10.1.0.1{host}/24"), id(2)));
    }
    hall(
        json!([
            device(1, "n1", HOST),
            with(device(2, "n2", HOST), json!({"position": 8})),
            with(device(3, "leaf3", SWITCH), platform("cumulus-linux")),
            with(device(4, "leaf4", SWITCH), platform("cumulus-linux")),
        ]),
        Value::Array(interfaces),
        Value::Array(addresses),
        json!([prefix(1, "10.1.0.0/24", json!({"vlan": {"id": 1, "vid": 120}}))]),
    )
}

#[test]
fn lags_and_vlans_of_new_hosts_become_a_profile_that_they_share() {
    let (made, left) = taken(&bonded(), &Site::default());
    let expected = site(
        "profiles:\n\
         \x20 bond-vlan:\n\
         \x20   nics: {eno1: {}, eno2: {}}\n\
         \x20   bonds: {bond0: {nics: [eno1, eno2], mode: 802.3ad, transmit-hash-policy: layer3+4, mtu: 9000}}\n\
         \x20   vlans: {bond0.120: {link: bond0, mtu: 9000, subnet: 10.1.0.0-24}}\n\
         switches: {leaf3: {vendor: nvue, rack: R-1, unit: 4, height: 2, mlag-peer: leaf4}, leaf4: {vendor: nvue, rack: R-1, unit: 4, height: 2, mlag-peer: leaf3}}\n",
    );
    assert_eq!(json!(made.profiles), json!(expected.profiles), "{left:#?}");
    assert_eq!(made.switches, expected.switches);
    let host = &made.hosts["n2"];
    assert_eq!(host.profile.as_deref(), Some("bond-vlan"));
    assert_eq!(json!(host.addresses), json!({"bond0.120": "10.1.0.12"}));
    assert_eq!(host.nics.keys().collect::<Vec<_>>(), ["eno1", "eno2"]);
    assert_eq!(host.nics["eno2"].cable.as_ref().unwrap().to_string(), "leaf4 swp2");
    // A profile of the same name that is another one keeps it, and one that is the same is used.
    let first = lay_over(&Site::default(), &made).unwrap();
    assert_eq!(lay_over(&first, &taken(&bonded(), &first).0).unwrap(), first);
    let mut without = first.clone();
    without.hosts.clear();
    assert_eq!(taken(&bonded(), &without).0.hosts["n1"].profile.as_deref(), Some("bond-vlan"));
    without.profiles = site("profiles: {bond-vlan: {nics: {eth0: {}}}}").profiles;
    assert_eq!(taken(&bonded(), &without).0.hosts["n1"].profile.as_deref(), Some("bond-vlan-2"));
}

#[test]
fn a_mac_that_is_no_primary_one_counts_if_it_is_the_only_one() {
    let mut found = simple();
    let mac = |id: u64, mac: &str, interface: u64| json!({"id": id, "mac_address": mac, "assigned_object_type": "dcim.interface", "assigned_object_id": interface});
    assert_eq!(records::without_primary_mac(&found.interfaces), [1]);
    let macs = json!([mac(1, "02:00:5E:50:00:02", 2), mac(2, "02:00:5E:50:00:0F", 1)]);
    records::put_macs(&mut found.interfaces, read(macs));
    let (made, _) = taken(&found, &Site::default());
    let nics: Vec<String> = made.hosts["r1-n01"].nics.values().map(ToString::to_string).collect();
    assert_eq!(nics, ["02:00:5e:50:00:01", "02:00:5e:50:00:02"]);
    let another = found.interfaces[1].other_macs[0].clone();
    found.interfaces[1].other_macs.push(another);
    assert_eq!(taken(&found, &Site::default()).0.hosts["r1-n01"].nics.len(), 1);
}

#[test]
fn units_are_counted_from_the_bottom() {
    let cases = [
        (1, false, 4.0, Some(4)),
        (0, false, 4.0, Some(5)),
        (1, true, 1.0, Some(41)),
        (1, true, 41.0, Some(1)),
    ];
    for (starting_unit, desc_units, position, expected) in cases {
        let mut found = simple();
        found.racks[0].starting_unit = starting_unit;
        found.racks[0].desc_units = desc_units;
        found.devices[0].position = Some(position);
        let (made, _) = taken(&found, &Site::default());
        assert_eq!(made.hosts["r1-n01"].unit, expected, "{starting_unit} {desc_units} {position}");
    }
}

#[test]
fn roles_that_sound_like_servers_are_hosts() {
    let roles: Vec<Role> = ["server", "gpu-nodes", "console-server", "leaf-switch", "pdu"]
        .iter()
        .enumerate()
        .map(|(id, slug)| Role { id: id as u64, slug: (*slug).to_owned() })
        .collect();
    let asked = |slugs: &[&str]| {
        let slugs: Vec<String> = slugs.iter().map(|slug| (*slug).to_owned()).collect();
        host_roles(&roles, &slugs).map(Vec::from_iter).map_err(|error| error.to_string())
    };
    assert_eq!(asked(&[]), Ok(vec![0, 1]));
    assert_eq!(asked(&["pdu"]), Ok(vec![4]));
    let unknown = "NetBox has no device role \"x\"; it has console-server, gpu-nodes, leaf-switch, pdu, server";
    assert_eq!(asked(&["x"]), Err(unknown.to_owned()));
    let unclear = host_roles(&roles[2..], &[]).unwrap_err().to_string();
    assert!(
        unclear.ends_with("give --role with one of console-server, leaf-switch, pdu"),
        "{unclear}"
    );
}
