//! What is written to a NetBox that has nothing, everything, or something else.

use serde_json::{Value, json};

use super::*;
use crate::model::Site;

fn read<T: Record>(values: Value) -> Vec<T> {
    serde_json::from_value(values).unwrap()
}

/// A host with a bond over two leaves, and a BMC.
const SITE: &str = "
racks: {R1: {}}
switches: {leaf1: {vendor: eos}, leaf2: {vendor: eos}}
subnets: {front: {cidr: 10.1.0.0/24}, bmcs: {cidr: 10.9.0.0/24}}
profiles:
  bonded:
    bonds: {bond0: {nics: [eth0, eth1], mode: active-backup, subnet: front}}
hosts:
  n1:
    rack: R1
    unit: 4
    serial: S1
    profile: bonded
    nics:
      eth0: {mac: '02:00:5e:50:00:01', switch: leaf1, port: Ethernet1}
      eth1: {mac: '02:00:5e:50:00:02', switch: leaf2, port: Ethernet1}
    addresses: {bond0: 10.1.0.11}
    bmc: {mac: '02:00:5e:50:01:01', address: 10.9.0.11}
";

fn hosts(is_up: bool) -> Vec<Wanted> {
    let site: Site = serde_saphyr::from_str(SITE).unwrap();
    wanted(&site.into(), "n1", is_up).into_iter().collect()
}

fn device(id: u64, name: &str, more: Value) -> Value {
    let mut device = json!({
        "id": id, "name": name, "role": {"id": 1, "slug": "x"},
        "device_type": {"id": 1, "manufacturer": {"id": 1, "name": "Acme", "slug": "acme"}},
        "platform": null, "site": {"id": 1, "name": "Hall 1", "slug": "hall-1"}, "rack": null,
        "position": null, "status": {"value": "active"}, "tenant": null, "serial": "",
        "description": "", "tags": [], "primary_ip4": null,
    });
    device.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    device
}

fn interface(id: u64, name: &str, more: Value) -> Value {
    let mut interface = json!({
        "id": id, "device": {"id": 1, "name": "n1"}, "name": name, "type": {"value": "other"},
        "mgmt_only": false, "mtu": null, "lag": null, "parent": null, "bridge": null,
        "untagged_vlan": null, "primary_mac_address": null, "cable": null,
        "connected_endpoints": null,
    });
    interface.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    interface
}

fn with_mac(id: u64, mac: &str) -> Value {
    json!({"primary_mac_address": {"id": id, "mac_address": mac}})
}

fn cabled(mut more: Value, device: &str) -> Value {
    more["cable"] = json!({"id": 1});
    more["connected_endpoints"] =
        json!([{"name": "Ethernet1", "device": {"id": 2, "name": device}}]);
    more["lag"] = json!({"id": 30, "name": "bond0"});
    more
}

/// Devices with nothing on them but the ports of the leaves.
fn bare() -> There {
    There {
        devices: read(json!([
            device(1, "n1", json!({"status": {"value": "planned"}})),
            device(2, "leaf1", json!({})),
            device(3, "leaf2", json!({})),
        ])),
        ports: read(json!([
            {"id": 51, "device": {"id": 2}, "name": "Ethernet1", "cable": null},
            {"id": 52, "device": {"id": 3}, "name": "Ethernet1", "cable": null},
        ])),
        racks: read(
            json!([{"id": 7, "name": "R1", "site": {"id": 1, "name": "Hall 1", "slug": "hall-1"},
            "location": null, "u_height": 42, "starting_unit": 1, "desc_units": false, "description": ""}]),
        ),
        ..There::default()
    }
}

/// The same when all is written.
fn full() -> There {
    let address = |id: u64, address: &str, interface: u64| {
        json!({"id": id, "address": address, "status": {"value": "active"}, "role": null,
               "assigned_object_type": "dcim.interface", "assigned_object_id": interface})
    };
    There {
        devices: read(json!([
            device(
                1,
                "n1",
                json!({"serial": "S1", "rack": {"id": 7, "name": "R1"}, "position": 4.0, "primary_ip4": {"id": 60}})
            ),
            device(2, "leaf1", json!({})),
            device(3, "leaf2", json!({})),
        ])),
        interfaces: read(json!([
            interface(31, "eno1", cabled(with_mac(41, "02:00:5E:50:00:01"), "leaf1")),
            interface(32, "eno2", cabled(with_mac(42, "02:00:5E:50:00:02"), "leaf2")),
            interface(30, "bond0", json!({"type": {"value": "lag"}})),
            interface(33, "iDRAC", with_mac(43, "02:00:5E:50:01:01")),
        ])),
        addresses: read(json!([address(60, "10.1.0.11/24", 30), address(61, "10.9.0.11/24", 33)])),
        ..bare()
    }
}

fn lines(plan: &Plan) -> Vec<String> {
    let writes = plan.stages.iter().flat_map(|stage| &stage.writes);
    writes.map(|write| write.what.clone()).collect()
}

fn kept(plan: &Plan) -> Vec<String> {
    plan.kept.iter().map(ToString::to_string).collect()
}

#[test]
fn a_bare_device_gets_all_that_is_known_of_its_host() {
    let plan = plan(&bare(), &hosts(true));
    assert_eq!(kept(&plan), Vec::<String>::new());
    assert_eq!(
        lines(&plan),
        [
            "interface eth0 of n1",
            "interface eth1 of n1",
            "interface bmc of n1",
            "interface bond0 of n1",
            "MAC 02:00:5e:50:00:01 of n1 eth0",
            "MAC 02:00:5e:50:00:02 of n1 eth1",
            "MAC 02:00:5e:50:01:01 of n1 bmc",
            "primary MAC of n1 eth0, lag of n1 eth0",
            "primary MAC of n1 eth1, lag of n1 eth1",
            "primary MAC of n1 bmc",
            "address 10.1.0.11/24 of n1",
            "address 10.9.0.11/24 of n1",
            "cable from n1 eth0 to leaf1 Ethernet1",
            "cable from n1 eth1 to leaf2 Ethernet1",
            "device n1: serial S1, rack R1, position 4, face front, status active, primary IPv4 address",
        ]
    );
    // Objects that are made are named by the ids that NetBox gives them.
    let mut made = HashMap::new();
    let mut next = 100;
    let mut bodies = Vec::new();
    for stage in &plan.stages {
        for write in &stage.writes {
            bodies.push(write.body(&made).unwrap());
            next += 1;
            write.note(next, &mut made);
        }
    }
    assert_eq!(bodies[0], json!({"device": 1, "name": "eth0", "type": "other"}));
    assert_eq!(bodies[2], json!({"device": 1, "name": "bmc", "type": "other", "mgmt_only": true}));
    assert_eq!(
        bodies[4],
        json!({"mac_address": "02:00:5e:50:00:01", "assigned_object_type": "dcim.interface", "assigned_object_id": 101})
    );
    assert_eq!(bodies[7], json!({"id": 101, "primary_mac_address": 105, "lag": 104}));
    assert_eq!(
        bodies[12],
        json!({"a_terminations": [{"object_type": "dcim.interface", "object_id": 101}],
               "b_terminations": [{"object_type": "dcim.interface", "object_id": 51}]})
    );
    assert_eq!(bodies[14]["primary_ip4"], 111);
    // Where NetBox refused an interface, nothing is written on it.
    made.clear();
    assert_eq!(plan.stages[1].writes[0].body(&made), None);
}

#[test]
fn a_netbox_that_has_all_of_it_is_left_alone() {
    let plan = plan(&full(), &hosts(true));
    assert_eq!((lines(&plan), kept(&plan)), (Vec::new(), Vec::new()));
}

#[test]
fn where_netbox_says_otherwise_it_stays_and_that_is_told() {
    let elsewhere = json!({"id": 60, "address": "10.1.0.11/24", "status": {"value": "active"},
        "role": null, "assigned_object_type": "dcim.interface", "assigned_object_id": 999});
    let cases: Vec<(&str, Box<dyn Fn(&mut There)>)> = vec![
        ("n1: NetBox has no device of this name", Box::new(|there| there.devices[0].name = None)),
        (
            "n1: NetBox has several devices of this name",
            Box::new(|there| there.devices[1].name = Some("n1".into())),
        ),
        (
            "n1: serial: NetBox has S2, the inventory S1",
            Box::new(|there| there.devices[0].serial = "S2".into()),
        ),
        (
            "n1: position: NetBox has 5, the inventory 4",
            Box::new(|there| there.devices[0].position = Some(5.0)),
        ),
        (
            "n1: rack: NetBox has R2, the inventory R1",
            Box::new(|there| there.devices[0].rack.as_mut().unwrap().name = Some("R2".into())),
        ),
        (
            "n1: cable of eth0: NetBox has leaf9 Ethernet1, the inventory leaf1 Ethernet1",
            Box::new(|there| {
                let ends = there.interfaces[0].connected_endpoints.as_mut().unwrap();
                ends[0].device.as_mut().unwrap().name = Some("leaf9".into());
            }),
        ),
        (
            "n1: MAC of iDRAC: NetBox has 02:00:5e:50:0f:0f, the inventory 02:00:5e:50:01:01",
            Box::new(|there| {
                let mac = there.interfaces[3].primary_mac_address.as_mut().unwrap();
                mac.mac_address = "02:00:5E:50:0F:0F".into();
            }),
        ),
        (
            "n1: address 10.1.0.11/24 is assigned to something else in NetBox",
            Box::new(move |there| there.addresses[0] = read(json!([elsewhere])).remove(0)),
        ),
        (
            "n1: cable of eth1: leaf2 Ethernet1 is cabled to something else in NetBox",
            Box::new(|there| {
                let named = there.interfaces[1].cable.take();
                there.ports[1].cable = named;
            }),
        ),
        (
            "n1: cable of eth1: leaf2 has no interface Ethernet1 in NetBox",
            Box::new(|there| {
                there.interfaces[1].cable = None;
                there.ports.pop();
            }),
        ),
    ];
    for (expected, change) in cases {
        let mut there = full();
        change(&mut there);
        let plan = plan(&there, &hosts(false));
        assert!(
            kept(&plan).iter().any(|line| line.contains(expected)),
            "{expected}: {:?}",
            kept(&plan)
        );
        let lines = lines(&plan);
        assert!(lines.is_empty(), "{expected}: {lines:?}");
    }
}

#[test]
fn what_is_there_and_free_is_used() {
    let mut there = full();
    there.interfaces[0].primary_mac_address = None;
    there.macs =
        read(json!([{"id": 41, "mac_address": "02:00:5E:50:00:01", "assigned_object_type": null,
        "assigned_object_id": null}]));
    there.interfaces[0].name = "ETH0".into();
    there.addresses[1].assigned_object_id = None;
    there.interfaces[1].other_macs =
        there.interfaces[1].primary_mac_address.take().into_iter().collect();
    let plan = plan(&there, &hosts(false));
    assert_eq!(
        lines(&plan),
        [
            "MAC 02:00:5e:50:00:01 of n1 ETH0",
            "primary MAC of n1 ETH0",
            "primary MAC of n1 eno2",
            "address 10.9.0.11/24 of n1",
        ]
    );
    assert_eq!(kept(&plan), Vec::<String>::new());
}
