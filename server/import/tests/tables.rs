//! Tables of any shape, and inventories.

use super::{Shelf, imported, imported_with, site};
use crate::import::{Choices, Source, import};

fn question(text: &str) -> String {
    import(&[Source::new("f.csv", text)], &Shelf::default(), &Choices::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn a_table_of_any_shape() {
    let mac = "02:00:5e:90:00:01";
    let hosts = "hosts: {n1: {rack: r1, unit: 7, serial: ABC, nics: {eth0: \"02:00:5e:90:00:01\"}, reservations: {10.90.0.0-24: 10.90.0.11}}}";
    let expected = format!("subnets: {{10.90.0.0-24: {{cidr: 10.90.0.0/24}}}}\n{hosts}");
    let cases = [
        format!("Hostname,MAC Address,IP,Rack,U,Serial Number\nn1,{mac},10.90.0.11/24,r1,7,ABC\n"),
        format!(
            "server name;mac;ip address;rack;position;s/n\nn1;{mac};10.90.0.11/24;r1;7.0;ABC\n"
        ),
        format!(
            "fqdn\tmac_addr\tipv4\tcabinet\track unit\tservice tag\nn1\t{mac}\t10.90.0.11/24\tr1\tU7\tABC\n"
        ),
        format!(
            "host|mac|ip|rack|unit|serial\n# a comment\n|||||\nn1|{mac}|10.90.0.11/24|r1|7|ABC\n"
        ),
        format!("sep=;\nhost;mac;ip;rack;unit;serial\nn1;{mac};10.90.0.11/24;r1;7;ABC\n"),
        format!("host,mac,ip,rack,unit,serial,,\r\nn1,{mac},10.90.0.11/24,r1,7,ABC,,\r\n"),
        format!(
            "host,mac,ip,netmask,rack,unit,serial\nn1,{mac},10.90.0.11,255.255.255.0,r1,7,ABC\n"
        ),
        format!(
            "\u{feff}\"Host Name\",\"Primary MAC\",\"Primary IP\",Rack,\"Rack Unit\",SN\nn1,{mac},10.90.0.11/24,r1,7,ABC\n"
        ),
    ];
    for text in cases {
        let (made, found) = imported("f.csv", &text);
        assert_eq!(made, site(&expected), "{text}");
        assert!(found.is_empty(), "{text}: {found:?}");
    }
}

#[test]
fn rows_of_nics_and_columns_of_bmcs() {
    let text = "Delivery of May,,,,,\nServer,NIC,MAC,Mgmt IP,iDRAC MAC,Purchase date\n\
                n1,eno1,02:00:5e:50:00:01,10.9.0.1,02:00:5e:51:00:01,2026-01-01\n\
                n1,eno2,02:00:5e:50:00:02,,,\nn2,eno1,nonsense,10.9.0.2,,\n,eno1,02:00:5e:50:00:09,,,\n";
    let (made, found) = imported("f.csv", text);
    assert_eq!(
        made,
        site(
            "hosts: {n1: {nics: {eno1: \"02:00:5e:50:00:01\", eno2: \"02:00:5e:50:00:02\"}, \
             bmc: {mac: \"02:00:5e:51:00:01\", address: 10.9.0.1}}, n2: {}}"
        )
    );
    assert_eq!(
        found,
        [
            "f.csv:1: Delivery of May: stands above the head of the table",
            "f.csv:2: column \"Purchase date\": 1 cells are not taken over; --column NAME=KEY takes them",
            "f.csv:5: nonsense: \"nonsense\" is not a MAC address: expected twelve hexadecimal digits, such as 52:54:00:aa:00:01",
            "f.csv:5: n2, eno1, nonsense, 10.9.0.2: the BMC has an address and no MAC, and DHCP knows it by its MAC",
            "f.csv:6: eno1, 02:00:5e:50:00:09: has no name",
        ]
    );
}

#[test]
fn netbox_exports() {
    let text = "Device,Name,Label,Enabled,Type,LAG,MTU,Mode,Untagged VLAN,MAC Address,Parent,Description\n\
                r1-n01,eno1,,True,SFP28 (25GE),bond0,9000,,,02:00:5E:50:00:01,,\n\
                r1-n01,eno2,,True,SFP28 (25GE),bond0,9000,,,02:00:5E:50:00:02,,\n\
                r1-n01,iDRAC,,True,1000BASE-T (1GE),,,,,02:00:5E:50:01:01,,\n\
                r1-n02,eno1,,True,SFP28 (25GE),bond0,9000,,,02:00:5E:50:00:03,,\n";
    let (made, found) = imported("netbox.csv", text);
    assert_eq!(
        made,
        site(
            "hosts: {r1-n01: {nics: {eno1: \"02:00:5e:50:00:01\", eno2: \"02:00:5e:50:00:02\"}, bmc: {mac: \"02:00:5e:50:01:01\"}}, \
             r1-n02: {nics: {eno1: \"02:00:5e:50:00:03\"}}}"
        )
    );
    let columns: Vec<&str> = found.iter().filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(columns, ["Enabled", "Type", "LAG", "MTU"], "{found:?}");
    let (made, _) = imported(
        "prefixes.csv",
        "Prefix,Status,VLAN,Tenant,Description\n10.1.0.0/24,Active,servers (120),,front\n10.2.0.0/24,Active,,,\n",
    );
    assert_eq!(
        made,
        site(
            "subnets: {10.1.0.0-24: {cidr: 10.1.0.0/24, vlan: 120, notes: front}, 10.2.0.0-24: {cidr: 10.2.0.0/24}}"
        )
    );
}

#[test]
fn what_is_unsure_is_a_question() {
    let cases = [
        (
            "host,mac,ip,primary ip\nn1,02:00:5e:90:00:01,10.0.0.1,10.0.0.2\n",
            "\"primary ip\" (it may be the same as \"ip\")",
        ),
        (
            "host,storage\nn1,02:00:5e:90:00:01\nn2,02:00:5e:90:00:02\n",
            "\"storage\" (its cells are MAC addresses)",
        ),
        ("asset,mac,rack\nA1,02:00:5e:90:00:01,r1\n", "\"NAME\" (no column is the host's name)"),
    ];
    for (text, expected) in cases {
        let asked = question(text);
        assert!(asked.contains(expected) && asked.contains("--column NAME=KEY"), "{asked}");
    }
    let columns = vec![
        ("asset".to_owned(), "host".to_owned()),
        ("storage".to_owned(), "nics.eth5".to_owned()),
        ("x".to_owned(), "-".to_owned()),
    ];
    let choices = Choices { columns, ..Choices::default() };
    let text = "asset,storage,x\nA1,02:00:5e:90:00:01,02:00:5e:90:00:02\n";
    let (made, found) = imported_with("f.csv", text, Shelf::default(), choices);
    assert_eq!(made, site("hosts: {A1: {nics: {eth5: \"02:00:5e:90:00:01\"}}}"));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn ansible_in_both_notations() {
    let mut shelf = Shelf::default();
    shelf.0.insert("host_vars/n2.yml", "mac: \"02:00:5e:00:00:02\"\nunknown_thing: 5\n");
    let ini = "# lab\nlogin ansible_host=10.0.0.9 mac_address=02:00:5e:00:00:09\n[compute]\n\
               n[1:2] ansible_user=root\n[compute:vars]\nmtu=9000\n[all:children]\ncompute\n";
    let (made, found) = imported_with(
        "hosts",
        ini,
        shelf,
        Choices { subnets: vec!["10.0.0.0/24".parse().unwrap()], ..Choices::default() },
    );
    assert_eq!(
        made,
        site(
            "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24}}\n\
             hosts: {login: {nics: {eth0: \"02:00:5e:00:00:09\"}, reservations: {10.0.0.0-24: 10.0.0.9}}, \
             n1: {labels: [compute]}, n2: {labels: [compute], nics: {eth0: \"02:00:5e:00:00:02\"}}}"
        )
    );
    assert_eq!(
        found,
        [
            "host_vars/n2.yml:2: unknown_thing: 5: a site file has no word for this",
            "hosts:4: ansible_user: root: how Ansible logs in",
            "hosts:6: mtu=9000: a variable of a group; hosts of a group share a profile or a rack here",
            "hosts:8: compute: a group of groups; labels are not nested",
        ]
    );
    let yaml = "all:\n  hosts:\n    login: {mac_address: \"02:00:5e:00:00:09\", rack: r1}\n  children:\n    gpu:\n      hosts:\n        n1:\n          ipmi_mac: \"02:00:5e:00:01:01\"\n      vars: {a: 1}\n";
    let (made, found) = imported("inventory.yml", yaml);
    assert_eq!(
        made,
        site(
            "hosts: {login: {rack: r1, nics: {eth0: \"02:00:5e:00:00:09\"}}, \
             n1: {labels: [gpu], bmc: {mac: \"02:00:5e:00:01:01\"}}}"
        )
    );
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn warewulf_and_maas() {
    let text = "nodeprofiles:\n  default:\n    network devices:\n      prov:\n        device: eth0\n        netmask: 255.255.255.0\n        gateway: 10.0.0.1\n\
                nodes:\n  n1:\n    comment: first\n    profiles: [default]\n    image name: rocky\n    network devices:\n      prov:\n        hwaddr: 02:00:5e:00:00:01\n        ipaddr: 10.0.0.11\n";
    let (made, found) = imported("nodes.conf", text);
    assert_eq!(
        made,
        site(
            "subnets: {prov: {cidr: 10.0.0.0/24, gateway: 10.0.0.1}}\n\
             hosts: {n1: {notes: first, nics: {eth0: \"02:00:5e:00:00:01\"}, reservations: {prov: 10.0.0.11}}}"
        )
    );
    assert_eq!(found, ["nodes.conf:12: image name of n1: a site file has no word for this"]);
    let text = r#"[
  {"system_id": "abc", "hostname": "n1", "fqdn": "n1.maas", "tag_names": ["gpu"], "hardware_uuid": "6d2e0a1c-0000-4000-8000-000000000001",
   "hardware_info": {"system_serial": "S1"}, "interface_set": [
    {"name": "eno1", "type": "physical", "mac_address": "02:00:5e:00:00:01", "links": [
      {"mode": "static", "ip_address": "10.0.0.11", "subnet": {"name": "lab", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "dns_servers": ["10.0.0.2"], "vlan": {"vid": 120, "mtu": 9000}}}]},
    {"name": "bond0", "type": "bond", "mac_address": "02:00:5e:00:00:01", "links": []}]}]"#;
    let (made, found) = imported("machines.json", text);
    assert_eq!(
        made,
        site(
            "subnets: {lab: {cidr: 10.0.0.0/24, vlan: 120, gateway: 10.0.0.1, mtu: 9000, dns: [10.0.0.2]}}\n\
             hosts: {n1: {serial: S1, labels: [gpu], match: {uuid: 6d2e0a1c-0000-4000-8000-000000000001}, \
             nics: {eno1: \"02:00:5e:00:00:01\"}, reservations: {lab: 10.0.0.11}}}"
        )
    );
    assert_eq!(
        found,
        [
            "machines.json:6: bond bond0: the network of a host is a profile; import the host's netplan"
        ]
    );
}
