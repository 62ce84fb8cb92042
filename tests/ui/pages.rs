//! The reading pages and the live streams.

use std::time::{Duration, Instant};

use rackstrap::inventory::StoredReport;
use rackstrap::lifecycle::unknown::ClientMarks;
use rackstrap::lifecycle::{EventKind, Progress};
use rackstrap::model::{ClientKey, Lease, LeaseState, Mac, Site};
use tokio::time::timeout;

use super::server::{Server, fields};
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
async fn anything_is_found_by_a_word() {
    let server = Server::start().await;
    let operator = server.operator().await;
    for (text, link) in [
        ("", "<a href=\"/revisions\">Revisions</a>"),
        ("rev", "<a href=\"/revisions\">Revisions</a>"),
        ("n02", "<a href=\"/hosts/r1-n02\">r1-n02</a>"),
        ("aa0003", "<a href=\"/hosts/r1-n02\">r1-n02</a>"),
        ("LEAF", "<a href=\"/switches/leaf1a\">leaf1a</a>"),
        ("172.16.160.99", "<a href=\"/subnets/internal\">internal</a>"),
        ("hyper", "<a href=\"/profiles/hypervisor\">hypervisor</a>"),
    ] {
        let html = operator.page(&format!("/find?text={text}")).await;
        assert!(html.contains(link), "{text}: {html}");
    }
    let html = operator.page("/find?text=%3Cb%3Enowhere").await;
    assert!(html.contains("Nothing has \"&#60;b&#62;nowhere\""), "{html}");
}

#[tokio::test]
async fn what_a_host_runs_is_on_its_page_and_on_fleet() {
    let server = Server::start().await;
    let (operator, database) = (server.operator().await, &server.app.inventory.database);
    let fleet = operator.page("/").await;
    assert!(fleet.contains("Configuration of revision 1"), "{fleet}");
    let report = async |body: String| {
        let report = StoredReport { at_ms: 1_790_000_000_000, body };
        database.set_report("r1-n01", &report).await.unwrap();
    };
    report(r#"{"state": "up", "config": {"/etc/systemd/network/05-bond0.netdev": "00"}}"#.into())
        .await;
    let host = operator.page("/hosts/r1-n01").await;
    assert!(host.contains("does not run the network configuration"), "{host}");
    assert!(
        host.contains("<li class=\"mono\">/etc/systemd/network/05-bond0.netdev</li>"),
        "{host}"
    );
    assert!(host.contains("/config/52:54:00:aa:00:01.sh | sudo sh"), "{host}");
    let list = operator.page("/hosts?config=outdated").await;
    assert!(list.contains("r1-n01") && !list.contains("/hosts/r1-n02"), "{list}");
    // One that went back says so, and what is next.
    let back = r#"{"state": "failed", "revision": 7, "rolled-back": "no answer from gateway 10.77.0.1",
        "text": "rolled back revision 7: no answer from gateway 10.77.0.1"}"#;
    report(back.into()).await;
    let host = operator.page("/hosts/r1-n01").await;
    for words in [
        "the host restored the one it had",
        "It tried revision 7: no answer from gateway 10.77.0.1.",
        "href=\"/revisions/7\"",
    ] {
        assert!(host.contains(words), "{words} is not in {host}");
    }
    assert!(!host.contains("Stopped?"), "{host}");
    report("up".into()).await;
    let host = operator.page("/hosts/r1-n01").await;
    assert!(!host.contains("restored the one it had"), "{host}");
    assert!(host.contains("does not say which network configuration"), "{host}");
}

#[tokio::test]
async fn the_fleet_names_what_needs_somebody() {
    use rackstrap::lifecycle::event::ReportResult;
    let server = Server::start().await;
    let mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);
    let events = &server.app.inventory.events;
    events.record(Some("r1-n01"), Some(mac), boots::discover());
    let report = boots::report(ReportResult::Failed, "eth1 has <no> carrier");
    events.record(Some("r1-n01"), Some(mac), report);
    let operator = server.operator().await;
    wait_for(&operator, "/", "eth1 has &#60;no&#62; carrier").await;
    let html = operator.page("/").await;
    for words in [
        "class=\"state failed\">1 failed</span>",
        "href=\"/hosts/r1-n01\"",
        "<h3>hall 2</h3>",
        "aria-label=\"1 waiting, 1 failed\"",
        "first site",
        "href=\"/racks/r1\"",
    ] {
        assert!(html.contains(words), "{words} is not in {html}");
    }
    // What the first boot still needs is listed until it is there, or somebody does not want to see it.
    for words in ["Five steps to the first boot", "4 done", "/steps/dismiss"] {
        assert!(html.contains(words), "{words} is not in {html}");
    }
    let csrf = fields(&operator.page("/access").await)[0].1.clone();
    let answer = operator.post("/steps/dismiss", format!("csrf={csrf}")).await;
    assert_eq!(answer.headers()["location"], "/");
    let html = operator.page("/").await;
    assert!(!html.contains("steps to the first boot"), "{html}");
}

#[tokio::test]
async fn an_empty_site_begins_with_the_first_run() {
    let server = Server::with_site(Site::default()).await;
    let operator = server.operator().await;
    let html = operator.page("/").await;
    assert!(html.contains("Five steps to the first boot") && html.contains("0 done"), "{html}");
    // Every step that is open has a way to do it in the browser, but for the server's own file.
    let subnet = "/change?noun=subnets&view=fields";
    for href in [subnet, "/add-image", "/change?noun=profiles", "/add-host"] {
        let shown = href.replace('&', "&#38;");
        assert!(html.contains(&format!("href=\"{shown}\"")), "{href} is not in {html}");
        operator.page(href).await;
    }
    let subnet = "subnets:\n  p:\n    cidr: 10.0.0.0/24\n    ranges: [{from: 10.0.0.9, to: 10.0.0.99, for: dhcp}]\n";
    let values = [("text", subnet), ("do", "review")];
    let answer = operator.fill_in("/change?noun=subnets", &values).await;
    let mut reviewed = fields(&answer.text().await.unwrap());
    reviewed.push(("do".into(), "save".into()));
    let answer = operator.post("/change", super::server::encode(&reviewed)).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let html = operator.page("/").await;
    assert!(html.contains("1 done") && html.contains("There is one subnet."), "{html}");
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
    let marks = serde_json::json!({"client": "plain", "way": {"interface": "lan"},
        "vendor_class": "iDRAC", "host_name": "idrac-4RX2"});
    let marks: ClientMarks = serde_json::from_value(marks).unwrap();
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let unknown = &server.app.inventory.unknown;
    unknown.note(ClientKey::Guid([0, 2, 0xc9, 3, 0, 0x0a, 0x0b, 0x0c]), || marks.clone(), now_ms);
    unknown.note(ClientKey::Id("ff01".into()), || marks.clone(), now_ms);
    let html = operator.page("/discovered").await;
    for text in [
        "00:02:c9:03:00:0a:0b:0c",
        "may be a BMC",
        "class iDRAC",
        "calls itself idrac-4RX2",
        "on lan",
        "id:ff01",
        "by its identifier",
    ] {
        assert!(html.contains(text), "{text} is not in {html}");
    }
    // It is adopted as the port that it is, by a host that is new or not.
    let adopt = "/discovered/adopt?mac=00:02:c9:03:00:0a:0b:0c";
    for path in
        [format!("{adopt}&host=n77&new=yes"), format!("{adopt}&host=r1-n01"), adopt.to_owned()]
    {
        let answer = operator.get(&path).await;
        assert_eq!(answer.status(), 303, "{path}");
        let form = operator.page(answer.headers()["location"].to_str().unwrap()).await;
        assert!(form.contains("value=\"00:02:c9:03:00:0a:0b:0c\""), "{path}: {form}");
        assert!(form.contains("value=\"ib0\""), "{path}: {form}");
        assert_eq!(form.contains("value=\"n77\""), path.contains("n77"), "{path}");
    }
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
    read_until(&mut list, "The inventory has changed").await;
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
                nic: Some(mac.into()),
                subnet: "lan".into(),
                state: LeaseState::Bound,
                starts_at: now,
                expires_at: now + 3600,
                taken_over: false,
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
    let csrf = fields(&html)[0].1.clone();
    let path = "/leases/10.77.0.100/remove";
    for body in ["", "&do=save", "&do=save&client=mac:52:54:00:bb:00:09"] {
        let answer = operator.post(path, format!("csrf={csrf}{body}")).await;
        assert_eq!(answer.status(), 200, "{body}");
        assert_eq!(server.app.leases.list().len(), 5, "{body}");
    }
    assert_eq!(operator.fill_in(path, &[]).await.status(), 303);
    assert_eq!(server.app.leases.list().len(), 4);
}

#[tokio::test]
async fn the_last_boots_of_a_host_are_compared() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let empty = operator.page("/hosts/r1-n01/boots").await;
    assert!(empty.contains("No boot of this host is stored"), "{empty}");
    let events = &server.app.inventory.events;
    events.record(Some("r1-n01"), None, boots::kernel("vmlinuz"));
    assert!(events.flush(Duration::from_secs(60)).await);
    let html = operator.page("/hosts/r1-n01/boots").await;
    for word in ["<th scope=\"row\">Kernel</th>", "reached", "no report yet"] {
        assert!(html.contains(word), "{word} is not in {html}");
    }
    assert!(operator.page("/hosts/r1-n01").await.contains("href=\"/hosts/r1-n01/boots\""));
    assert_eq!(operator.get("/hosts/nobody/boots").await.status(), 404);
}
