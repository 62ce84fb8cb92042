//! The reading pages and the live streams.

use std::time::{Duration, Instant};

use rackstrap::lifecycle::{EventKind, Progress};
use rackstrap::model::{ClientKey, Lease, LeaseState, Mac, Site};
use tokio::time::timeout;

use super::server::Server;
use crate::common::boots;

#[tokio::test]
async fn a_host_page_says_all_of_a_host() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let html = operator.page("/hosts/r1-n01").await;
    for word in [
        "CZ4711",
        "bridge virbr0 over vlan500",
        "05-bond0.netdev",
        "/config/52:54:00:aa:00:01",
        "Power it on",
        "10.77.0.11",
        "No report yet",
    ] {
        assert!(html.contains(word), "{word} is not in {html}");
    }
}

#[tokio::test]
async fn every_list_says_what_is_in_it() {
    let server = Server::start().await;
    let mac = Mac([2, 0, 0, 0, 0, 7]);
    server.app.inventory.events.record(None, Some(mac), boots::discover());
    let operator = server.operator().await;
    let cases = [
        ("/hosts?text=52-54-00-aa-00-03", "r1-n02", "r1-n01"),
        ("/hosts?state=up", "No host matches", "r1-n01"),
        ("/subnets", "172.16.160.0/24", "No subnets"),
        ("/subnets/internal", "172.16.160.12", "10.77.0.11"),
        ("/revisions", "first site", "No revisions yet"),
        ("/leases", "No leases yet", "10.77"),
        ("/formats", "source NAT by processor", "no host"),
        ("/keys", "profiles.NAME.bonds.NAME", "WrittenProfile"),
        ("/keys/schema.json", "rackstrap site file", "WrittenProfil "),
    ];
    for (path, there, absent) in cases {
        let html = operator.page(path).await;
        assert!(html.contains(there), "{path} lacks {there}: {html}");
        assert!(!html.contains(absent), "{path} has {absent}: {html}");
    }
    wait_for(&operator, "/discovered", "02:00:00:00:00:07").await;
    wait_for(&operator, "/events?kind=discover", "asks for an address on provisioning").await;
}

#[tokio::test]
async fn a_profile_of_members_shows_the_document_of_their_cluster() {
    let site = serde_saphyr::from_str(include_str!("../golden/ready-microcloud.yaml")).unwrap();
    let server = Server::with_site(site).await;
    let html = server.operator().await.page("/profiles/own").await;
    assert!(html.contains("lookup_subnet:"), "{html}");
}

/// Loads a page until it has a word: events reach the database a moment after they happen.
async fn wait_for(visitor: &super::server::Visitor, path: &str, word: &str) {
    let found = async {
        while !visitor.page(path).await.contains(word) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), found).await.unwrap_or_else(|_| panic!("{path} lacks {word}"));
}

#[tokio::test]
async fn four_thousand_hosts_stay_usable() {
    let mut hosts = serde_json::Map::new();
    for number in 0..4000_u32 {
        let mac = Mac([0x52, 0x54, 0, 0, (number >> 8) as u8, number as u8]).to_string();
        let host = serde_json::json!({"rack": format!("r{}", number / 40), "unit": number % 40 + 1, "nics": {"eth0": mac}});
        hosts.insert(format!("n{number}"), host);
    }
    let site: Site = serde_json::from_value(serde_json::json!({"hosts": hosts})).unwrap();
    let server = Server::with_site(site).await;
    let operator = server.operator().await;
    let begin = Instant::now();
    let html = operator.page("/hosts?page=40").await;
    let took = begin.elapsed();
    assert!(html.contains("4000 hosts, page 40 of 40") && html.contains(">n3999<"), "{html}");
    assert!(html.len() < 100_000, "{} bytes", html.len());
    println!("a page of 4,000 hosts: {took:?}, {} bytes", html.len());
    // Wide, for a debug build on a busy machine; it takes some ten milliseconds.
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_stream_sends_what_the_page_would_show() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let events = &server.app.inventory.events;
    let mut list = operator.get("/live?hosts=r1-n01,r1-n02").await;
    let mut host = operator.get("/live/hosts/r1-n01").await;
    read_until(&mut list, "state r1-n02").await;
    read_until(&mut host, "Power it on").await;

    events.record(Some("r1-n01"), None, boots::kernel("vmlinuz <b>"));
    events.progress(Progress {
        host: Some("r1-n01".into()),
        kind: EventKind::Initrd,
        file: "initrd.img".into(),
        sent_bytes: 45,
        total_bytes: 100,
    });
    read_until(&mut host, "vmlinuz &#60;b&#62; to 10.77.0.11").await;
    read_until(&mut list, "initrd 45 %").await;
    server.app.inventory.events.revision(9);
    read_until(&mut list, "The inventory was changed").await;
}

#[tokio::test]
async fn the_server_ends_though_streams_are_open() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let mut stream = operator.get("/live").await;
    drop(server);
    let ended = async { while let Ok(Some(_)) = stream.chunk().await {} };
    timeout(Duration::from_secs(5), ended).await.expect("the stream ends with the server");
}

async fn read_until(stream: &mut reqwest::Response, word: &str) {
    let mut seen = String::new();
    let reading = async {
        while !seen.contains(word) {
            let chunk = stream.chunk().await.unwrap().expect("the stream is open");
            seen.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    let done = timeout(Duration::from_secs(10), reading).await;
    assert!(done.is_ok(), "no {word:?} in {seen}");
}

#[tokio::test]
async fn a_subnet_whose_pool_runs_low_says_so() {
    let site = "subnets: {lan: {cidr: 10.77.0.0/24, \
                ranges: [{from: 10.77.0.100, to: 10.77.0.104, for: dhcp}]}}";
    let server = Server::with_site(serde_saphyr::from_str(site).unwrap()).await;
    let operator = server.operator().await;
    let now = jiff::Timestamp::now().as_second();
    let expected = [
        (3, "3 of 5 in use", ""),
        (4, "4 of 5 in use", "The DHCP ranges are running low: 4 of 5 addresses are in use."),
        (5, "5 of 5 in use", "The DHCP ranges are exhausted: 5 of 5 addresses are in use."),
    ];
    let mut given = 0;
    for (count, fact, notice) in expected {
        while given < count {
            let mac = Mac([0x52, 0x54, 0, 0xbb, 0, given]);
            let lease = Lease {
                address: std::net::Ipv4Addr::new(10, 77, 0, 100 + given),
                client: ClientKey::Mac(mac),
                mac,
                subnet: "lan".into(),
                state: LeaseState::Bound,
                starts_at: now,
                expires_at: now + 3600,
            };
            server.app.leases.commit(lease, now).await.unwrap();
            given += 1;
        }
        let html = operator.page("/subnets/lan").await;
        assert!(html.contains(fact) && html.contains(notice), "{html}");
        assert_eq!(html.contains("The DHCP ranges are"), !notice.is_empty(), "{html}");
    }
    // To release one is asked first, with who has it; another holder is asked about anew.
    let html = operator.page("/leases/10.77.0.100/remove").await;
    assert!(html.contains("52:54:00:bb:00:00 has 10.77.0.100 in lan: bound"), "{html}");
    let csrf = super::server::fields(&html)[0].1.clone();
    let path = "/leases/10.77.0.100/remove";
    for body in ["", "&do=save", "&do=save&client=mac:52:54:00:bb:00:09"] {
        let answer = operator.post(path, format!("csrf={csrf}{body}")).await;
        assert_eq!(answer.status(), 200, "{body}");
        assert_eq!(server.app.leases.list().len(), 5, "{body}");
    }
    assert_eq!(operator.fill_in(path, &[]).await.status(), 303);
    assert_eq!(server.app.leases.list().len(), 4);
}
