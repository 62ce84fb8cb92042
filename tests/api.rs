//! `/api/v1` by the real router on a real database.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use futures_util::StreamExt;
use rackstrap::app::App;
use rackstrap::config::Config;
use rackstrap::files::FileStore;
use rackstrap::leases::LeaseBook;
use rackstrap::model::{ClientKey, Mac};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::common::boots;
use crate::common::store::Store;

struct Api {
    router: Router,
    app: App,
    reader: String,
    writer: String,
    _store: Store,
}

impl Api {
    async fn start() -> Self {
        let store = Store::sqlite();
        let inventory = store.inventory().await;
        let database = inventory.database.clone();
        let app = App {
            config: Config::default().into(),
            leases: LeaseBook::open(database.clone()).await.unwrap(),
            files: FileStore::new(Vec::new()),
            inventory,
        };
        let reader = database
            .add_token(&rackstrap::inventory::NewToken::new(
                "reader",
                rackstrap::model::Role::Viewer,
            ))
            .await
            .unwrap();
        let writer = database
            .add_token(&rackstrap::inventory::NewToken::new(
                "writer",
                rackstrap::model::Role::Operator,
            ))
            .await
            .unwrap();
        let router = rackstrap::http::ui::router(app.clone());
        Self { router, app, reader, writer, _store: store }
    }

    fn request(method: &str, path: &str, token: &str) -> axum::http::request::Builder {
        let builder = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, "localhost");
        match token {
            "" => builder,
            token => builder.header(header::AUTHORIZATION, format!("Bearer {token}")),
        }
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
        let request = Self::request(method, path, token).body(Body::from(body.to_owned()));
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| panic!("{path}: {}", String::from_utf8_lossy(&bytes)));
        (status, value)
    }

    async fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask(&self.reader, "GET", path, "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {value}");
        value
    }
}

#[tokio::test]
async fn only_a_token_that_may_is_let_in() {
    let api = Api::start().await;
    let cases = [
        ("", "GET", "/hosts", StatusCode::UNAUTHORIZED),
        ("rackstrap_nobodys", "GET", "/hosts", StatusCode::UNAUTHORIZED),
        (&api.reader, "GET", "/hosts", StatusCode::OK),
        (&api.reader, "PUT", "/racks/r1", StatusCode::FORBIDDEN),
        (&api.reader, "DELETE", "/racks/r1", StatusCode::FORBIDDEN),
        (&api.writer, "PUT", "/racks/r1", StatusCode::CREATED),
        ("", "GET", "/openapi.json", StatusCode::OK),
        ("", "GET", "/nothing", StatusCode::NOT_FOUND),
    ];
    for (token, method, path, expected) in cases {
        let (status, value) = api.ask(token, method, path, "{}").await;
        assert_eq!(status, expected, "{method} {path}: {value}");
    }
}

#[tokio::test]
async fn a_revert_that_removes_most_hosts_is_asked_for_twice() {
    let api = Api::start().await;
    let body = json!({"hosts": {"a": {}, "b": {}, "c": {}}}).to_string();
    let (status, done) = api.ask(&api.writer, "PUT", "/site?prune=true", &body).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    let path = format!("/revisions/{}/revert", done["revision"]);
    let (status, refused) = api.ask(&api.writer, "POST", &path, "").await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("?prune=true"), "{refused}");
    let path = format!("{path}?prune=true");
    let (status, done) = api.ask(&api.writer, "POST", &path, "").await;
    assert_eq!(status, StatusCode::OK, "{done}");
}

#[tokio::test]
async fn entries_are_listed_shown_put_and_removed() {
    let api = Api::start().await;
    let body = r#"{"cidr": "10.9.0.0/24", "vlan": 9}"#;
    let (status, done) = api.ask(&api.writer, "PUT", "/subnets/storage", body).await;
    assert_eq!((status, &done["revision"]), (StatusCode::CREATED, &json!(1)), "{done}");
    assert_eq!(api.get("/subnets/storage").await["vlan"], 9);
    assert_eq!(api.get("/subnets").await["items"][0]["name"], "storage");
    let yaml = "cidr: 10.9.0.0/24\nvlan: 10\n";
    let (status, done) = api.ask(&api.writer, "PUT", "/subnets/storage?dry_run=true", yaml).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    assert_eq!(done["differences"][0]["fields"][0]["after"], "10", "{done}");
    assert_eq!(api.get("/subnets/storage").await["vlan"], 9, "a dry run changes nothing");

    let (status, wrong) = api.ask(&api.writer, "PUT", "/hosts/a", r#"{"unti": 1}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let error = &wrong["errors"][0];
    assert_eq!(error["detail"], "unknown key \"unti\"; did you mean \"unit\"?", "{wrong}");
    assert_eq!((&error["line"], &error["column"]), (&json!(1), &json!(2)), "{wrong}");
    assert_eq!(error["pointer"], "/unti", "{wrong}");
    let (status, refused) = api.ask(&api.writer, "PUT", "/hosts/a", r#"{"profile": "x"}"#).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    assert_eq!(refused["findings"][0]["path"], "hosts.a.profile", "{refused}");
    let at = json!({"noun": "host", "name": "a", "field": ["profile"]});
    assert_eq!(refused["findings"][0]["at"], at, "{refused}");
    assert_eq!(refused["errors"][0]["pointer"], "/profile", "{refused}");
    let (status, late) = api.ask(&api.writer, "DELETE", "/subnets/storage?base=7", "").await;
    assert_eq!(status, StatusCode::CONFLICT, "{late}");
    let (status, _) = api.ask(&api.writer, "DELETE", "/subnets/storage", "").await;
    assert_eq!(status, StatusCode::OK);
    let (status, gone) = api.ask(&api.writer, "DELETE", "/subnets/storage", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{gone}");

    let (status, done) = api.ask(&api.writer, "POST", "/revisions/2/revert", "").await;
    assert_eq!(status, StatusCode::OK, "{done}");
    assert_eq!(api.get("/subnets/storage").await["vlan"], 9);
    let revisions = api.get("/revisions?limit=1").await;
    assert_eq!(revisions["items"][0]["who"], "token writer", "{revisions}");
    assert_eq!(api.get("/revisions/2").await["differences"][0]["name"], "storage");
}

#[tokio::test]
async fn one_prefix_is_a_subnet_in_each_vrf() {
    let api = Api::start().await;
    for (name, vrf, dry, expected) in [
        ("red", "red", "", StatusCode::CREATED),
        ("blue", "blue", "?dry_run=true", StatusCode::OK),
        ("blue", "blue", "", StatusCode::CREATED),
        ("other", "blue", "?dry_run=true", StatusCode::CONFLICT),
        ("other", "blue", "", StatusCode::CONFLICT),
    ] {
        let body = json!({"cidr": "10.50.0.0/24", "vrf": vrf}).to_string();
        let path = format!("/subnets/{name}{dry}");
        let (status, said) = api.ask(&api.writer, "PUT", &path, &body).await;
        assert_eq!(status, expected, "{name} {dry}: {said}");
        if status == StatusCode::CONFLICT {
            let taken = "prefix 10.50.0.0/24 (cidr of other) already belongs to subnet blue";
            assert_eq!(
                (&said["detail"], &said["errors"][0]["pointer"]),
                (&json!(taken), &json!("/cidr"))
            );
        }
    }
}

#[tokio::test]
async fn a_dry_run_tells_what_becomes_of_the_hosts() {
    let api = Api::start().await;
    let site = "subnets: {lan: {cidr: 10.1.0.0/24, vlan: 7}}\n\
                profiles: {p: {vlans: {v: {link: eth0, subnet: lan, dhcp4: true}}}}\n\
                switches: {leaf1: {vendor: sonic}}\n\
                hosts: {a: {profile: p, nics: {eth0: {mac: \"52:54:00:aa:00:01\", switch: leaf1, port: Ethernet4}}}}\n";
    let (_, done) = api.ask(&api.writer, "PUT", "/site", site).await;
    assert_eq!(done["consequences"], Value::Null, "{done}");
    let (status, _) = api.ask(&api.reader, "GET", "/switches/leaf9/config", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let config = api.get("/switches/leaf1/config").await;
    assert!(config["text"].as_str().unwrap().contains("Vlan7|Ethernet4"), "{config}");
    let subnet = r#"{"cidr": "10.1.0.0/24", "vlan": 8}"#;
    let (_, told) = api.ask(&api.writer, "PUT", "/subnets/lan?dry_run=true", subnet).await;
    let host = &told["consequences"]["hosts"][0];
    assert_eq!(host["hosts"], json!(["a"]), "{told}");
    assert_eq!(host["facts"], json!(["VLAN of v: 7 -> 8"]), "{told}");
}

#[tokio::test]
async fn the_whole_site_and_one_host_are_read_and_replaced() {
    let api = Api::start().await;
    let site = "subnets: {lan: {cidr: 10.1.0.0/24}}\nprofiles: {p: {nics: {eth0: {subnet: lan}}}}\n\
                hosts: {a: {profile: p, nics: {eth0: \"52:54:00:aa:00:01\"}, addresses: {eth0: 10.1.0.5},\n\
                bmc: {mac: \"52:54:00:aa:09:01\"}}}\n";
    let (status, done) = api.ask(&api.writer, "PUT", "/site", site).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    assert_eq!(api.get("/site").await["site"]["hosts"]["a"]["addresses"]["eth0"], "10.1.0.5");
    let files = api.get("/hosts/a/config").await;
    assert!(files[0]["text"].as_str().unwrap().contains("10.1.0.5/24"), "{files}");
    assert!(api.get("/check").await["items"].is_array());
    let status = api.get("/hosts/a/status").await;
    assert_eq!(status["status"]["state"], "waiting", "{status}");
    let (status, _) = api.ask(&api.reader, "GET", "/hosts/b/status", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/leases").await, json!({"items": [], "total": 0}));
    assert_eq!(api.get("/discovered").await, json!({"items": [], "total": 0}));
    let guid = ClientKey::Guid([0, 2, 0xc9, 3, 0, 0x0a, 0x0b, 0x0c]);
    let marks = json!({"client": {"pxe": "x64-efi"}, "way": {"interface": "lan"}, "vendor_class": "PXEClient"});
    let marks = serde_json::from_value(marks).unwrap();
    api.app.inventory.unknown.note(guid, || marks, jiff::Timestamp::now().as_millisecond());
    let unknown = &api.get("/discovered").await["items"][0];
    assert_eq!(unknown["nic"], "00:02:c9:03:00:0a:0b:0c", "{unknown}");
    assert_eq!(unknown["marks"]["client"], json!({"pxe": "x64-efi"}), "{unknown}");
    let bmc = Mac([0x52, 0x54, 0, 0xaa, 9, 1]);
    api.app.inventory.events.record(Some("a"), None, boots::ack());
    api.app.inventory.events.record(None, Some(bmc), boots::discover());
    api.app.inventory.events.record(None, Some(Mac([2; 6])), boots::discover());
    assert!(api.app.inventory.events.flush(Duration::from_secs(10)).await);
    let of_host = api.get("/events?host=a").await;
    let kinds: Vec<_> = of_host["items"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["discover", "ack"], "its own and its BMC's");
}

#[tokio::test]
async fn what_happens_is_streamed() {
    let api = Api::start().await;
    let request = Api::request("GET", "/live", &api.reader).body(Body::empty()).unwrap();
    let response = api.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    api.app.inventory.events.record(None, None, boots::discover());
    let next = tokio::time::timeout(Duration::from_secs(10), stream.next()).await.unwrap();
    let text = String::from_utf8(next.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.contains("event: event") && text.contains("asks for an address"), "{text}");
}

/// The description speaks of routes that there are, and of all of them that matter.
#[tokio::test]
async fn every_route_that_is_described_answers() {
    let api = Api::start().await;
    let (_, document) = api.ask("", "GET", "/openapi.json", "").await;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "head") {
            let real =
                path.replace("{name}", "a").replace("{id}", "1").replace("{address}", "10.0.0.1");
            let request = Api::request(&method.to_uppercase(), &real, "").body(Body::empty());
            let response = api.router.clone().oneshot(request.unwrap()).await.unwrap();
            let expected = match path.as_str() {
                "/openapi.json" => StatusCode::OK,
                _ => StatusCode::UNAUTHORIZED,
            };
            assert_eq!(response.status(), expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_document_of_a_cluster_is_to_be_had_by_its_profile() {
    let api = Api::start().await;
    let site = include_str!("golden/ready-microcloud.yaml");
    assert_eq!(api.ask(&api.writer, "PUT", "/site", site).await.0, StatusCode::OK);
    let path = "/profiles/own/microcloud-preseed";
    let document = api.get(path).await;
    assert_eq!(document["name"], "microcloud-preseed.yaml");
    let text = document["text"].as_str().unwrap();
    assert!(text.contains("ovn_uplink_interface: uplink0\n"), "{text}");
    let cases = [
        ("?underlay=eth7", StatusCode::UNPROCESSABLE_ENTITY, "underlay"),
        ("?ovn-range=9", StatusCode::BAD_REQUEST, "FROM-TO"),
    ];
    for (words, status, sentence) in cases {
        let (found, value) = api.ask(&api.reader, "GET", &format!("{path}{words}"), "").await;
        assert_eq!(found, status, "{words}");
        assert!(value["detail"].as_str().unwrap().contains(sentence), "{value}");
    }
    let missing = api.ask(&api.reader, "GET", "/profiles/owm/microcloud-preseed", "").await;
    assert_eq!(missing.0, StatusCode::NOT_FOUND, "{}", missing.1);
}

#[tokio::test]
async fn watch_shows_what_happens_with_a_server_and_without() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    for with_server in [true, false] {
        let api = Api::start().await;
        let mut admin = nowhere;
        if with_server {
            let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            admin = listener.local_addr().unwrap();
            let serving = axum::serve(listener, api.router.clone());
            tokio::spawn(async move { serving.await.unwrap() });
        }
        let mut child =
            tokio::process::Command::from(Command::new(env!("CARGO_BIN_EXE_rackstrap")))
                .args([
                    "--database",
                    &api._store.url,
                    "--admin-listen",
                    &admin.to_string(),
                    "watch",
                ])
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let events = api.app.inventory.events.clone();
        // It is not told when the watching begins: something happens until it is seen.
        let seen = async {
            loop {
                events.record(None, None, boots::discover());
                let wait = Duration::from_millis(200);
                if let Ok(line) = tokio::time::timeout(wait, lines.next_line()).await {
                    return line.unwrap().unwrap();
                }
            }
        };
        let line = tokio::time::timeout(Duration::from_secs(20), seen).await.unwrap();
        assert!(line.contains("discover asks for an address"), "{with_server}: {line}");
        child.kill().await.unwrap();
    }
}

/// Who may only read gets no hash to guess passwords with, wherever it stands, and cannot find it
/// out by searching; who may change gets what may be put back.
#[tokio::test]
async fn password_hashes_are_for_tokens_that_may_change() {
    const HASH: &str = "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.";
    let api = Api::start().await;
    let site = json!({
        "network": {"root-password-hash": HASH},
        "racks": {"r1": {"network": {"root-password-hash": HASH}}},
        "profiles": {"p": {"root-password-hash": HASH}},
        "images": {"i": {
            "kernel": "k", "boot": "once",
            "recipe": {"use": "kickstart", "values": {"disk": "sda", "root-password-hash": HASH}},
        }},
        "hosts": {"a": {"rack": "r1", "profile": "p", "network": {"root-password-hash": HASH}}},
    });
    let (status, done) = api.ask(&api.writer, "PUT", "/site", &site.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    let revision = format!("/revisions/{}", done["revision"]);
    let paths = ["/site", "/racks/r1", "/profiles/p", "/images/i", "/hosts/a", "/hosts", &revision];
    for path in paths {
        let (status, read) = api.ask(&api.reader, "GET", path, "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {read}");
        assert!(!read.to_string().contains("gruCpC7"), "{path}: {read}");
        let (_, whole) = api.ask(&api.writer, "GET", path, "").await;
        assert!(whole.to_string().contains(HASH), "{path}: {whole}");
        assert_eq!(whole.to_string().replace(HASH, "(hidden)"), read.to_string(), "{path}");
    }
    for (words, found) in [("$5$abcdefgh$gru", 0), ("gruCpC7", 0), ("root-password-hash", 1)] {
        let (_, page) = api.ask(&api.reader, "GET", &format!("/hosts?q={words}"), "").await;
        assert_eq!(page["items"].as_array().unwrap().len(), found, "{words}: {page}");
    }
    let secret = json!({"network": {"root-password-hash": "hunter2"}}).to_string();
    let (status, refused) = api.ask(&api.writer, "PUT", "/hosts/a", &secret).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
}
