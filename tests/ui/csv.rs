//! Every table as a file of a spreadsheet.

use rackstrap::lifecycle::Event;
use rackstrap::model::{ClientKey, Lease, LeaseState, Site};
use serde_json::json;

use super::server::Server;
use crate::common::boots;

/// A site in which operators' and clients' words would be formulas.
fn site() -> Site {
    serde_json::from_value(json!({
        "racks": {"r1": {"location": "=HYPERLINK(\"http://x\")", "labels": ["copper"]}, "r2": {}},
        "switches": {"leaf1": {"vendor": "eos", "rack": "r1", "notes": "+1"}},
        "subnets": {"prov": {
            "cidr": "10.77.0.0/24", "gateway": "10.77.0.1", "vlan": 12,
            "ranges": [{"from": "10.77.0.100", "to": "10.77.0.199", "for": "dhcp"}],
        }},
        "tenants": {"blue": {"contact": "@SUM(A1)"}},
        "profiles": {"plain": {"nics": {"eth0": {"dhcp4": true}}}},
        "images": {"live": {"kernel": "live/vmlinuz", "initrd": ["live/initrd.img"]}},
        "hosts": {"n1": {
            "rack": "r1", "profile": "plain", "image": "live", "tenant": "blue",
            "nics": {"eth0": {"mac": "52:54:00:aa:00:01", "switch": "leaf1", "port": "Ethernet1"}},
            "reservations": {"prov": "10.77.0.11"},
        }},
    }))
    .unwrap()
}

#[tokio::test]
async fn every_table_is_a_file_that_a_link_on_its_page_downloads() {
    let server = Server::with_site(site()).await;
    let lease = Lease {
        address: [10, 77, 0, 150].into(),
        client: ClientKey::Host("n1".into()),
        nic: "52:54:00:aa:00:01".parse().ok(),
        subnet: "prov".into(),
        state: LeaseState::Bound,
        starts_at: 1,
        expires_at: 4_000_000_000,
        taken_over: false,
    };
    server.app.leases.commit(lease, 1).await.unwrap();
    let operator = server.operator().await;
    for (page, file, heading, row) in [
        ("/racks", "/racks.csv", "rack,location,units,labels,notes,hosts,waiting,", "r1,\"'=HYPER"),
        ("/switches", "/switches.csv", "switch,vendor,rack,", "leaf1,eos,r1,,,1,,'+1"),
        ("/subnets", "/subnets.csv", "subnet,prefix,", "prov,10.77.0.0/24,12,10.77.0.1,0,0,1,100,"),
        ("/subnets/prov", "/subnets/prov/addresses.csv", "address,use,", "10.77.0.1,gateway,"),
        ("/tenants", "/tenants.csv", "tenant,contact,", "blue,'@SUM(A1),,1,0,0"),
        ("/profiles", "/profiles.csv", "profile,links,", "plain,eth0,,1"),
        ("/images", "/images.csv", "image,kind,bytes,", "live,"),
        (
            "/leases?text=10.77",
            "/leases.csv?text=10%2E77&",
            "address,host,client,nic,subnet,state,since,expires",
            "10.77.0.150,n1,host:n1,52:54:00:aa:00:01,prov,bound,1970-01-01T00:00:01Z,2096-10-02T07:06:40Z",
        ),
    ] {
        let html = operator.page(page).await.replace("&#38;", "&");
        assert!(html.contains(&format!("href=\"{file}\" download>CSV<")), "{page}: {html}");
        let answer = operator.get(file).await;
        assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8", "{file}");
        let name = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert!(name.starts_with("attachment; filename=") && name.ends_with(".csv\""), "{name}");
        let text = answer.text().await.unwrap();
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with(heading), "{file}: {text}");
        assert!(lines.any(|line| line.starts_with(row)), "{file}: no {row} in {text}");
    }
    assert_eq!(operator.page("/leases.csv?text=nobody").await.lines().count(), 1);
    assert_eq!(operator.get("/subnets/none/addresses.csv").await.status(), 404);
    // No roll-out yet: no link, and a table without rows.
    assert!(!operator.page("/roll-out").await.contains("roll-out.csv"));
    assert_eq!(operator.page("/roll-out.csv").await.lines().count(), 1);
}

/// More than are read at once, in their order; and a query that cannot be read is said so.
#[tokio::test]
async fn events_are_downloaded_page_by_page() {
    let server = Server::with_site(site()).await;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let event = |number: i64| Event {
        at_ms: now_ms - 10_000 + number,
        host: Some("n1".into()),
        mac: None,
        data: boots::kernel(&format!("file-{number:04}")),
    };
    let events: Vec<Event> = (0..2345).map(event).collect();
    server.app.inventory.database.add_events(&events, 0, &|_| None).await.unwrap();
    let operator = server.operator().await;
    let text = operator.page("/events.csv?host=n1&kind=kernel").await;
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("time,host,mac,kind,failed,event"));
    let files: Vec<&str> =
        lines.map(|line| &line[line.find("file-").unwrap() + 5..][..4]).collect();
    let expected: Vec<String> = (0..2345).rev().map(|number| format!("{number:04}")).collect();
    assert_eq!(files, expected);
    assert_eq!(operator.page("/events.csv?text=file-0007").await.lines().count(), 2);
    assert_eq!(operator.get("/events.csv?mac=x").await.status(), 400);
    let html = operator.page("/events?kind=kernel").await.replace("&#38;", "&");
    assert!(html.contains("href=\"/events.csv?kind=kernel&\""), "{html}");
}
