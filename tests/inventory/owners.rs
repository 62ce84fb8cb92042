//! What is one host's is no other's: two writers, and the constraints of the database itself.

use super::*;
use crate::common::desk::Desk;

/// The constraints themselves, without any check of ours before them.
#[tokio::test]
async fn the_database_refuses_what_is_somebodys_already() {
    const TWICE: [(&str, &str); 5] = [
        ("host name", "INSERT INTO hosts (name, spec) VALUES ('r1-n01', '{}')"),
        (
            "MAC",
            "INSERT INTO nics (mac, host, label, position)
             VALUES ('52:54:00:aa:00:01', 'r1-n02', 'eth7', 7)",
        ),
        (
            "address",
            "INSERT INTO host_addresses (address, host, link)
             VALUES ('172.16.160.12', 'r1-n02', 'other0')",
        ),
        (
            "switch port",
            "INSERT INTO nics (mac, host, label, position, switch, port)
             VALUES ('52:54:00:aa:00:77', 'r1-n01', 'eth7', 7, 'leaf1a', 'Ethernet48')",
        ),
        ("prefix", "INSERT INTO subnets (name, cidr, spec) VALUES ('x', '10.77.0.0/24', '{}')"),
    ];
    for store in Store::both().await {
        let inventory = store.inventory().await;
        apply(&inventory, site()).await.unwrap();
        for (what, statement) in TWICE {
            use rackstrap::inventory::Database::{Postgres, Sqlite};
            let refused = match &inventory.database {
                Sqlite(file) => sqlx::query(statement).execute(&file.pool).await.map(drop),
                Postgres(postgres) => {
                    sqlx::query(statement).execute(&postgres.pool()).await.map(drop)
                }
            };
            let error = refused.expect_err(what);
            let unique = error.as_database_error().is_some_and(|e| e.is_unique_violation());
            assert!(unique, "{} {what}: {error}", store.kind);
        }
    }
}

#[tokio::test]
async fn an_address_of_another_routing_domain_may_be_used_again() {
    let text = r#"
subnets:
  a: {cidr: 10.0.0.0/24, vlan: 10, vrf: red}
  b: {cidr: 10.0.0.0/25, vlan: 20, vrf: blue}
profiles:
  red: {vlans: {v: {link: eth0, subnet: a}}}
  blue: {vlans: {v: {link: eth0, subnet: b}}}
hosts:
  n1: {profile: red, nics: {eth0: "52:54:00:aa:00:01"}, addresses: {v: 10.0.0.7}}
  n2: {profile: blue, nics: {eth0: "52:54:00:aa:00:02"}, addresses: {v: 10.0.0.7}}
"#;
    for store in Store::both().await {
        let inventory = store.inventory().await;
        let site = |text: &str| site_file::parse(text, "site.yaml").unwrap();
        apply(&inventory, site(text)).await.unwrap();
        assert_eq!(store.inventory().await.snapshot().site.hosts["n2"].addresses.len(), 1);
        // The host is as it was, and its address moves to the domain of the other.
        let moved = text.replace("vrf: blue", "vrf: red");
        let error = apply(&inventory, site(&moved)).await.unwrap_err().to_string();
        assert!(error.contains("10.0.0.7 of VRF red is on n1 v and on n2 v"), "{error}");
        let apart =
            text.replace("n2: {profile: blue", "n2: {profile: red").replace("10.0.0.7}}\n\"", "");
        let error = apply(&inventory, site(&apart)).await.unwrap_err().to_string();
        assert!(error.contains("10.0.0.7 of VRF red"), "{} {error}", store.kind);
        let renamed = text.replace("vrf: red", "vrf: green");
        apply(&inventory, site(&renamed)).await.unwrap();
        let swapped = renamed.replace("vrf: green", "vrf: x").replace("vrf: blue", "vrf: green");
        apply(&inventory, site(&swapped)).await.unwrap();
    }
}

/// A new host whose first MAC and address end in the numbers given.
async fn add_host(
    inventory: Inventory,
    name: &'static str,
    mac: u8,
    address: u8,
) -> Result<Committed, ChangeError> {
    inventory
        .change_site(change("add"), |site| {
            let mut host = site.hosts["r1-n02"].clone();
            host.nics["eth0"] = Mac([2, 0, 0, 0, 0, mac]).into();
            host.nics["eth1"] = Mac([2, 0, 0, 0, name.len() as u8, mac]).into();
            host.addresses.insert("virbr0".into(), [172, 16, 160, address].into());
            host.unit = None;
            site.hosts.insert(name.into(), host);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn of_two_writers_who_want_one_mac_or_address_one_is_refused_by_name() {
    for store in Store::both().await {
        let cases = [
            ("MAC", (7, 30), (7, 31), "02:00:00:00:00:07"),
            ("address", (8, 32), (9, 32), "172.16.160.32"),
        ];
        for (what, one, other, named) in cases {
            let (first, second) = (store.inventory().await, store.inventory().await);
            apply(&first, site()).await.unwrap();
            let (one, other) = tokio::join!(
                tokio::spawn(add_host(first, "one", one.0, one.1)),
                tokio::spawn(add_host(second, "other", other.0, other.1)),
            );
            let outcomes = [one.unwrap(), other.unwrap()];
            let errors: Vec<_> =
                outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
            let [error] = errors[..] else { panic!("{} {what}: {errors:?}", store.kind) };
            let text = error.to_string();
            assert!(text.contains(named), "{} {what}: {text}", store.kind);
            assert!(
                text.contains("one") && text.contains("other"),
                "{} {what}: {text}",
                store.kind
            );
        }
    }
}

#[tokio::test]
async fn one_cidr_is_a_subnet_in_each_routing_domain() {
    const TWO: &str = "subnets: {a: {cidr: 10.0.0.0/24, vrf: red}, \
                       b: {cidr: 10.0.0.0/24, vrf: blue}, c: {cidr: 10.0.0.0/24}, \
                       d: {cidr: 'fd00::/64', vrf: red}, e: {cidr: 'fd00::/64'}}\n";
    for store in Store::both().await {
        let desk = Desk::new(store);
        desk.file("two.yaml", TWO);
        desk.good("apply two.yaml");
        // Each takes the other's place, then one the other's prefix.
        let swapped = TWO.replace("red", "x").replace("blue", "red").replace("vrf: x", "vrf: blue");
        desk.file("swapped.yaml", &swapped);
        desk.good("apply swapped.yaml");
        let exported = desk.good("export");
        let (_, a) = exported.split_once("  a:").unwrap();
        assert!(a.split("  b:").next().unwrap().contains("vrf: blue"), "{exported}");
        desk.file("again.yaml", &exported);
        assert!(desk.good("apply again.yaml").contains("no changes"), "{exported}");
        let other = swapped.replacen("10.0.0.0/24", "10.0.1.0/24", 1);
        desk.file(
            "other.yaml",
            &other.replacen(
                "b: {cidr: 10.0.0.0/24, vrf: red",
                "b: {cidr: 10.0.0.0/24, vrf: blue",
                1,
            ),
        );
        desk.good("apply other.yaml");
        desk.file("same.yaml", &TWO.replace("vrf: red", "vrf: blue"));
        let said = desk.bad("apply same.yaml").join("\n");
        assert!(said.contains("10.0.0.0/24 is subnet \"a\" already"), "{said}");
        // DHCP is told apart from addresses alone.
        desk.file("served.yaml", &TWO.replacen("vrf: red", "vrf: red, server: 10.0.0.1", 1));
        let said = desk.bad("apply served.yaml").join("\n");
        assert!(said.contains("of another VRF, and DHCP serves one of them"), "{said}");
    }
}
