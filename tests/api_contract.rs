//! What the API promises to programs, over real HTTP: what GET returns PUT accepts, conditional
//! requests, problem documents, pages, streams that go on where they ended.

use std::time::Duration;

use rackstrap::lifecycle::EventData;
use rackstrap::model::{ClientKey, Host, Lease, LeaseState, Mac};
use reqwest::Response;
use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::common::store::Store;

async fn json_of(response: Response) -> Value {
    let (status, text) = (response.status(), response.text().await.unwrap());
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"))
}

async fn get(server: &ApiServer, path: &str) -> Value {
    let response = server.request("GET", path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    json_of(response).await
}

const SECTIONS: [&str; 7] =
    ["racks", "tenants", "switches", "subnets", "profiles", "images", "hosts"];

#[tokio::test]
async fn what_get_returns_put_accepts_and_nothing_changes() {
    let server = ApiServer::start().await;
    let mut paths = vec!["/site".to_owned()];
    for section in SECTIONS {
        let list = get(&server, &format!("/{section}")).await;
        let names = list["items"].as_array().unwrap().iter();
        let names = names.map(|item| format!("/{section}/{}", item["name"].as_str().unwrap()));
        let before = paths.len();
        paths.extend(names);
        assert!(paths.len() > before, "the site has no {section}");
    }
    for path in &paths {
        for kind in [Some("application/json"), Some("application/yaml"), None] {
            let bytes = server.request("GET", path).send().await.unwrap().bytes().await.unwrap();
            let mut put = server.request("PUT", path).body(bytes);
            if let Some(kind) = kind {
                put = put.header("content-type", kind);
            }
            let response = put.send().await.unwrap();
            let (status, done) = (response.status(), json_of(response).await);
            assert_eq!(status, 200, "{path} as {kind:?}: {done}");
            assert_eq!(done["differences"], json!([]), "{path} as {kind:?}");
            assert_eq!(done["revision"], 1, "{path} as {kind:?}");
        }
    }
    // An item of a list, with the state that is not the operator's to set.
    let item = &get(&server, "/hosts").await["items"][0];
    assert_eq!(item["status"]["state"], "waiting", "{item}");
    let path = format!("/hosts/{}", item["name"].as_str().unwrap());
    let done = json_of(server.request("PUT", &path).json(item).send().await.unwrap()).await;
    assert_eq!(done["differences"], json!([]), "{done}");
}

#[tokio::test]
async fn a_change_is_conditional_on_what_its_author_read() {
    let server = ApiServer::start().await;
    let tag = |response: &Response| response.headers()["etag"].to_str().unwrap().to_owned();
    for (path, changed) in
        [("/racks/r1", json!({"location": "hall 3"})), ("/hosts/r1-n01", json!({"rack": "r1"}))]
    {
        let read = server.request("GET", path).send().await.unwrap();
        let first = tag(&read);
        let again = server.request("GET", path).header("if-none-match", &first);
        let again = again.send().await.unwrap();
        assert_eq!((again.status().as_u16(), tag(&again)), (304, first.clone()), "{path}");
        assert_eq!(again.text().await.unwrap(), "");

        let put = |tag: &str| server.request("PUT", path).json(&changed).header("if-match", tag);
        let done = put(&first).send().await.unwrap();
        assert_eq!(done.status(), 200, "{path}");
        let second = json_of(done).await["etag"].as_str().unwrap().to_owned();
        assert_ne!(first, second);
        assert_eq!(tag(&server.request("GET", path).send().await.unwrap()), second);
        let refused = put(&first).send().await.unwrap();
        assert_eq!(refused.status(), 412, "{path}");
        let refused = json_of(refused).await;
        assert_eq!(refused["type"], "urn:rackstrap:problem:precondition", "{refused}");
        let create = server.request("PUT", path).json(&changed).header("if-none-match", "*");
        assert_eq!(create.send().await.unwrap().status(), 412, "{path}");
        let delete = |tag: &str| server.request("DELETE", path).header("if-match", tag);
        assert_eq!(delete(&first).send().await.unwrap().status(), 412, "{path}");
    }
    let create = server.request("PUT", "/racks/r9").json(&json!({})).header("if-none-match", "*");
    let created = create.send().await.unwrap();
    assert_eq!(created.status(), 201);
    assert_eq!(created.headers()["location"], "/api/v1/racks/r9");
    let absent = server.request("PUT", "/racks/r8").json(&json!({})).header("if-match", "*");
    assert_eq!(absent.send().await.unwrap().status(), 412);

    let site = server.request("GET", "/site").send().await.unwrap();
    let (first, body) = (tag(&site), json_of(site).await);
    let fresh = server.request("GET", "/site").header("if-none-match", &first);
    assert_eq!(fresh.send().await.unwrap().status(), 304);
    let remove = server.request("DELETE", "/racks/r9").send().await.unwrap();
    assert_eq!(remove.status(), 200);
    let late = server.request("PUT", "/site").json(&body["site"]).header("if-match", &first);
    assert_eq!(late.send().await.unwrap().status(), 412);
    // Without the header the revision in the body says what its author has read.
    let late = server.request("PUT", "/site").json(&body).send().await.unwrap();
    assert_eq!(late.status(), 409);
}

#[tokio::test]
async fn every_failure_is_a_problem_document_that_says_where() {
    struct Case {
        request: reqwest::RequestBuilder,
        status: u16,
        kind: &'static str,
        /// A member of the first of `errors`, and its value.
        place: Option<(&'static str, &'static str)>,
    }
    let server = ApiServer::start().await;
    let put = |path: &str, body: &str| {
        let put = server.request("PUT", path).header("content-type", "application/json");
        put.body(body.to_owned())
    };
    let get = |path: &str| server.request("GET", path);
    let case = |request, status, kind, place| Case { request, status, kind, place };
    let client = reqwest::Client::new();
    let url = format!("{}/hosts", server.url);
    let cases = [
        case(client.get(&url), 401, "no-token", None),
        case(client.get(&url).header("authorization", "Basic eA=="), 401, "no-token", None),
        case(client.get(&url).bearer_auth("rackstrap_x"), 401, "no-token", None),
        case(get("/nothing"), 404, "no-route", None),
        case(get("/racks/r2"), 404, "not-found", None),
        case(server.request("POST", "/hosts"), 405, "method-not-allowed", None),
        case(get("/hosts?limt=1"), 400, "invalid-request", Some(("parameter", "limt"))),
        case(get("/hosts?limit=0"), 400, "invalid-request", Some(("parameter", "limit"))),
        case(get("/hosts?limit=x"), 400, "invalid-request", Some(("parameter", "limit"))),
        case(get("/hosts?unit=x"), 400, "invalid-request", Some(("parameter", "unit"))),
        case(get("/hosts?sort=colour"), 400, "invalid-request", Some(("parameter", "sort"))),
        case(get("/hosts?q=a&q=b"), 400, "invalid-request", Some(("parameter", "q"))),
        case(get("/leases?state=odd"), 400, "invalid-request", Some(("parameter", "state"))),
        case(get("/events?limt=1"), 400, "invalid-request", Some(("parameter", "limt"))),
        case(get("/revisions/one"), 400, "invalid-request", Some(("parameter", "id"))),
        case(get("/racks/%ff"), 400, "invalid-request", Some(("parameter", "name"))),
        case(get("/hosts/%ff/status"), 400, "invalid-request", Some(("parameter", "name"))),
        case(get("/leases/%ff"), 400, "invalid-request", Some(("parameter", "address"))),
        case(get("/hosts?q=%ff"), 400, "invalid-request", Some(("parameter", "q"))),
        case(get("/events?q=a%ffb"), 400, "invalid-request", Some(("parameter", "q"))),
        case(get("/hosts?%ff=1"), 400, "invalid-request", Some(("parameter", "%ff"))),
        case(get("/events?limit=x"), 400, "invalid-request", Some(("parameter", "limit"))),
        case(get("/events?from_ms=x"), 400, "invalid-request", Some(("parameter", "from_ms"))),
        case(get("/audit?until_ms=1h"), 400, "invalid-request", Some(("parameter", "until_ms"))),
        case(get("/events?address=zz"), 400, "invalid-request", Some(("parameter", "address"))),
        case(get("/audit?address=zz"), 400, "invalid-request", Some(("parameter", "address"))),
        case(put("/racks/r1?base=x", "{}"), 400, "invalid-request", Some(("parameter", "base"))),
        case(
            get("/racks/r1").header("if-none-match", "{}"),
            400,
            "invalid-request",
            Some(("header", "if-none-match")),
        ),
        case(
            put("/racks/r1?dry-run=maybe", "{}"),
            400,
            "invalid-request",
            Some(("parameter", "dry-run")),
        ),
        case(put("/racks/r1", "{\"units\": "), 400, "invalid-body", Some(("pointer", ""))),
        case(put("/racks/r1", "[]"), 400, "invalid-body", Some(("pointer", ""))),
        case(put("/racks/r1", "{\"untis\": 1}"), 400, "invalid-body", Some(("pointer", "/untis"))),
        case(
            put("/racks/r1", "{\"units\": \"1\"}"),
            400,
            "invalid-body",
            Some(("pointer", "/units")),
        ),
        case(
            put("/site", "{\"site\": {\"racks\": {\"a/b\": {\"units\": -1}}}}"),
            400,
            "invalid-body",
            Some(("pointer", "/site/racks/a~1b/units")),
        ),
        case(
            put("/hosts/h", "{\"nics\": {\"eth0\": \"52:54\"}}"),
            422,
            "invalid-values",
            Some(("pointer", "/nics/eth0")),
        ),
        case(
            put("/racks/r1", "{\"name\": \"r2\"}"),
            422,
            "invalid-values",
            Some(("pointer", "/name")),
        ),
        case(put("/hosts/h", "{\"profile\": \"x\"}"), 422, "rules", Some(("pointer", "/profile"))),
        case(
            put("/site", "{\"hosts\": {\"a.b\": {\"profile\": \"x\"}}}"),
            422,
            "rules",
            Some(("pointer", "/hosts/a.b/profile")),
        ),
        case(
            put("/subnets/more", "{\"cidr\": \"10.77.0.0/24\"}"),
            409,
            "conflict",
            Some(("pointer", "/cidr")),
        ),
        case(
            server.request("PUT", "/racks/r1").header("content-type", "text/html").body("x"),
            415,
            "content-type",
            None,
        ),
        case(put("/racks/r1", &" ".repeat((1 << 20) + 1)), 413, "too-large", None),
        case(get(&format!("/racks?text={}", "x".repeat(33 << 10))), 414, "414", None),
        case(get("/racks").header("x-forwarded-for", "1".repeat(49 << 10)), 431, "431", None),
        case(get("/racks").header("host", "evil.example"), 421, "421", None),
        case(put("/racks/r1", "{}").header("origin", "http://evil.example"), 403, "403", None),
    ];
    for Case { request, status, kind, place } in cases {
        let what = format!("{request:?}");
        let response = request.send().await.unwrap();
        let (found, headers) = (response.status(), response.headers().clone());
        let problem = json_of(response).await;
        assert_eq!(found, status, "{what}: {problem}");
        assert_eq!(headers["content-type"], "application/problem+json", "{what}: {problem}");
        assert_eq!(problem["type"], format!("urn:rackstrap:problem:{kind}"), "{what}: {problem}");
        assert_eq!(problem["status"], status, "{what}: {problem}");
        for member in ["title", "detail"] {
            assert!(!problem[member].as_str().unwrap().is_empty(), "{what}: {problem}");
        }
        if let Some((member, value)) = place {
            assert_eq!(problem["errors"][0][member], value, "{what}: {problem}");
        }
        match status {
            401 => assert_eq!(headers["www-authenticate"], "Bearer"),
            405 => assert_eq!(headers["allow"], "GET,HEAD"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_cursor_that_no_list_gave_is_refused() {
    let server = ApiServer::start().await;
    let sections = SECTIONS.map(|section| format!("/{section}"));
    let others = ["/leases", "/check", "/events", "/audit", "/revisions"].map(str::to_owned);
    for list in sections.into_iter().chain(others) {
        for cursor in ["zz", "~", "n5~x", "", "1700000000000-xyz"] {
            let path = format!("{list}?cursor={cursor}");
            let refused = server.request("GET", &path).send().await.unwrap();
            assert_eq!(refused.status(), 400, "{path}");
            let problem = json_of(refused).await;
            assert_eq!(problem["errors"][0]["parameter"], "cursor", "{path}: {problem}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("link to the next page"), "{path}: {problem}");
        }
    }
    let next = get(&server, "/subnets?limit=1").await["next"].as_str().unwrap().to_owned();
    let other = next.strip_prefix("/api/v1").unwrap().replace("/subnets", "/hosts");
    assert_eq!(server.request("GET", &other).send().await.unwrap().status(), 400, "{other}");
}

#[tokio::test]
async fn a_refusal_says_what_would_be_right() {
    let server = ApiServer::start().await;
    let cases = [
        ("/events?address=zz", "expected an IPv4 or IPv6 address, such as 10.77.0.5, not \"zz\""),
        (
            "/events?from_ms=x",
            "expected a moment in Unix milliseconds, such as 1767225600000, not \"x\"",
        ),
        ("/audit?limit=x", "expected a number from 1 to 1000, not \"x\""),
        ("/hosts?limit=x", "expected a number from 1 to 1000, not \"x\""),
        ("/revisions/x", "expected a whole number such as 12, not \"x\""),
        ("/hosts/%ff", "is not UTF-8"),
    ];
    for (path, expected) in cases {
        let problem = json_of(server.request("GET", path).send().await.unwrap()).await;
        let detail = problem["errors"][0]["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(expected), "{path}: {problem}");
    }
}

#[tokio::test]
async fn what_is_in_use_is_not_removed_and_its_users_are_named() {
    let server = ApiServer::start().await;
    let put = |path: &str, body: Value| server.request("PUT", path).json(&body);
    let leaf = put("/switches/leaf2", json!({"vendor": "eos", "rack": "r2"}));
    assert_eq!(put("/racks/r2", json!({})).send().await.unwrap().status(), 201);
    assert_eq!(leaf.send().await.unwrap().status(), 201);
    let cases = [
        ("/racks/r1", "hosts.r1-n01.rack"),
        ("/racks/r2", "switches.leaf2.rack"),
        ("/images/live", "hosts.r1-n01.image"),
        ("/tenants/acme", "hosts.r1-n01.tenant"),
        ("/profiles/hypervisor", "hosts.r1-n01.profile"),
        ("/switches/leaf1", "hosts.r1-n02.nics.eth0"),
        ("/subnets/internal", "profiles.hypervisor"),
    ];
    for (path, user) in cases {
        for query in ["", "?dry-run"] {
            let path = format!("{path}{query}");
            let refused = server.request("DELETE", &path).send().await.unwrap();
            let status = refused.status();
            let problem = json_of(refused).await;
            assert_eq!(status, 409, "{path}: {problem}");
            assert_eq!(problem["type"], "urn:rackstrap:problem:conflict", "{path}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains("is in use by"), "{problem}");
            let errors = problem["errors"].as_array().unwrap();
            let names = |one: &Value| one["path"].as_str().is_some_and(|at| at.starts_with(user));
            assert!(errors.iter().any(names), "{path}: {problem}");
        }
    }
    let twice = put("/subnets/another", json!({"cidr": "10.77.0.0/24"})).send().await.unwrap();
    let problem = json_of(twice).await;
    let expected = "prefix 10.77.0.0/24 (cidr of another) already belongs to subnet provisioning";
    assert_eq!(problem["detail"], expected, "{problem}");
    assert_eq!(problem["errors"][0]["pointer"], "/cidr", "{problem}");
}

#[tokio::test]
async fn a_lease_and_a_revision_have_entity_tags() {
    let server = ApiServer::start().await;
    let tag = |response: &Response| response.headers()["etag"].to_str().unwrap().to_owned();
    let body = json!({"location": "hall 3"});
    assert_eq!(server.request("PUT", "/racks/r1").json(&body).send().await.unwrap().status(), 200);
    let mac = Mac([2, 0, 0, 0, 0, 9]);
    let lease = Lease {
        address: "10.77.0.99".parse().unwrap(),
        client: ClientKey::Mac(mac),
        nic: Some(mac.into()),
        taken_over: false,
        subnet: "provisioning".to_owned(),
        state: LeaseState::Bound,
        starts_at: 1,
        expires_at: 4_000_000_000,
    };
    server.app.leases.commit(lease.clone(), 1).await.unwrap();
    let before = tag(&server.request("GET", "/leases/10.77.0.99").send().await.unwrap());
    let renewed = Lease { expires_at: 4_000_000_100, ..lease };
    server.app.leases.commit(renewed, 2).await.unwrap();
    let late = server.request("DELETE", "/leases/10.77.0.99").header("if-match", before);
    assert_eq!(late.send().await.unwrap().status(), 412, "it was renewed since");
    for (read, method, change) in [
        ("/revisions/2", "POST", "/revisions/2/revert"),
        ("/leases/10.77.0.99", "DELETE", "/leases/10.77.0.99"),
    ] {
        let shown = server.request("GET", read).send().await.unwrap();
        assert_eq!(shown.status(), 200, "{read}");
        let current = tag(&shown);
        let again = server.request("GET", read).header("if-none-match", &current);
        assert_eq!(again.send().await.unwrap().status(), 304, "{read}");
        let send = |tag: &str| server.request(method, change).header("if-match", tag).send();
        let late = send("\"other\"").await.unwrap();
        assert_eq!(late.status(), 412, "{change}");
        assert_eq!(json_of(late).await["type"], "urn:rackstrap:problem:precondition");
        assert_eq!(send("{x}").await.unwrap().status(), 400, "{change}");
        assert_eq!(send(&current).await.unwrap().status(), 200, "{change}");
    }
}

#[tokio::test]
async fn lists_have_pages_an_order_and_filters() {
    let server = ApiServer::start().await;
    let mut site = server.app.inventory.snapshot().site.clone();
    for number in 0..250_u8 {
        let nics = [("eth0".to_owned(), Mac([2, 0, 0, 0, 1, number]).into())].into();
        let index = Some(u32::from(number));
        let host = Host { rack: Some("r2".to_owned()), index, nics, ..Host::default() };
        site.hosts.insert(format!("r2-n{number:03}"), host);
    }
    site.labels.insert("gold".to_owned(), Default::default());
    site.hosts.get_mut("r1-n02").unwrap().labels = vec!["gold".to_owned()];
    let done = server.request("PUT", "/site").json(&site).send().await.unwrap();
    assert_eq!(done.status(), 200, "{}", done.text().await.unwrap());

    let first = get(&server, "/hosts").await;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["total"]), (100, &json!(252)));
    let mut path = "/hosts?rack=r2&sort=-index&limit=60".to_owned();
    let mut names = Vec::new();
    loop {
        let response = server.request("GET", &path).send().await.unwrap();
        let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let page = json_of(response).await;
        assert_eq!(page["total"], 250, "{path}");
        let items = page["items"].as_array().unwrap();
        names.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else {
            assert_eq!(link, None);
            break;
        };
        assert_eq!(link.unwrap(), format!("<{next}>; rel=\"next\""));
        path = next.strip_prefix("/api/v1").unwrap().to_owned();
    }
    let expected: Vec<String> = (0..250).rev().map(|number| format!("r2-n{number:03}")).collect();
    assert_eq!(names, expected);

    let cases = [
        ("/hosts?mac=52-54-00-AA-00-02", vec!["r1-n01"]),
        ("/hosts?serial=CZ4711", vec!["r1-n01"]),
        ("/hosts?q=cz47", vec!["r1-n01"]),
        ("/hosts?image=disk&state=waiting", vec!["r1-n02"]),
        ("/hosts?state=up", vec![]),
        ("/subnets?vlan=500", vec!["internal"]),
        ("/images?local=true", vec!["disk"]),
        ("/images?local=false", vec!["live"]),
        ("/images?boot=always", vec!["disk", "live"]),
        ("/images?boot=once", vec![]),
        ("/hosts?protected=false&rack=r1", vec!["r1-n01", "r1-n02"]),
        ("/hosts?dhcp=on&rack=r1", vec!["r1-n01", "r1-n02"]),
        ("/hosts?dhcp=off", vec![]),
        ("/subnets?lease-time=1h", vec!["internal", "provisioning"]),
        ("/subnets?lease-time=60m", vec!["internal", "provisioning"]),
        ("/subnets?lease-time=2h", vec![]),
        ("/hosts?label=gold", vec!["r1-n02"]),
        ("/hosts?label=gol", vec![]),
        ("/hosts?sort=-state&rack=r1", vec!["r1-n02", "r1-n01"]),
    ];
    for (path, expected) in cases {
        let page = get(&server, path).await;
        let items = page["items"].as_array().unwrap().iter();
        let names: Vec<_> = items.map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{path}");
    }
    for number in 0..3 {
        let body = json!({"location": format!("hall {number}")});
        server.request("PUT", "/racks/r1").json(&body).send().await.unwrap();
    }
    let page = get(&server, "/revisions?limit=2").await;
    let next = page["next"].as_str().unwrap().strip_prefix("/api/v1").unwrap();
    let rest = get(&server, next).await;
    let ids = |page: &Value| -> Vec<i64> {
        page["items"].as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect()
    };
    assert_eq!((ids(&page), ids(&rest)), (vec![5, 4], vec![3, 2]));
    assert_eq!(ids(&get(&server, "/revisions?who=ada").await), [1]);
    let oldest = get(&server, "/revisions?sort=id&limit=3").await;
    let next = oldest["next"].as_str().unwrap().strip_prefix("/api/v1").unwrap();
    let rest = get(&server, next).await;
    assert_eq!((ids(&oldest), ids(&rest)), (vec![1, 2, 3], vec![4, 5]));
    let first = &oldest["items"][0];
    assert_eq!(first["at_ms"].as_i64().unwrap(), first["at"].as_i64().unwrap() * 1000);
}

#[tokio::test]
async fn leases_and_findings_have_orders_and_filters() {
    let server = ApiServer::start().await;
    let mac = |last: u8| Mac([2, 0, 0, 0, 0, last]);
    for (last, holder, expires_at) in
        [(10, 3, 4_000_000_300), (11, 1, 4_000_000_100), (12, 2, 4_000_000_200)]
    {
        let lease = Lease {
            address: [10, 77, 0, last].into(),
            client: ClientKey::Mac(mac(holder)),
            nic: Some(mac(holder).into()),
            taken_over: false,
            subnet: "provisioning".to_owned(),
            state: LeaseState::Bound,
            starts_at: 1,
            expires_at,
        };
        server.app.leases.commit(lease, 1).await.unwrap();
    }
    let cases: [(&str, &[u8]); 12] = [
        ("", &[10, 11, 12]),
        ("?sort=-address", &[12, 11, 10]),
        ("?sort=mac", &[11, 12, 10]),
        ("?sort=-client", &[10, 12, 11]),
        ("?sort=expires_at", &[11, 12, 10]),
        ("?sort=-expires_ms", &[10, 12, 11]),
        ("?sort=subnet", &[10, 11, 12]),
        ("?sort=state", &[10, 11, 12]),
        ("?sort=starts_ms", &[10, 11, 12]),
        ("?mac=0200.0000.0002", &[12]),
        ("?q=00:01", &[11]),
        ("?q=nowhere", &[]),
    ];
    for (query, expected) in cases {
        let list = get(&server, &format!("/leases{query}")).await;
        let items = list["items"].as_array().unwrap().iter();
        let found: Vec<_> = items.map(|it| it["address"].as_str().unwrap().to_owned()).collect();
        let expected: Vec<_> = expected.iter().map(|last| format!("10.77.0.{last}")).collect();
        assert_eq!(found, expected, "{query}");
    }
    let lease = get(&server, "/leases/10.77.0.11").await;
    assert_eq!(
        (&lease["starts_ms"], &lease["expires_ms"]),
        (&json!(1000), &json!(4_000_000_100_000_i64))
    );
    let odd = server.request("GET", "/leases?sort=colour").send().await.unwrap();
    assert_eq!(json_of(odd).await["errors"][0]["parameter"], "sort");

    for (sort, key) in [("rule", "rule"), ("path", "path"), ("severity", "severity")] {
        let list = async |sort: &str| -> Vec<Value> {
            let found = get(&server, &format!("/check?sort={sort}")).await;
            found["items"].as_array().unwrap().iter().map(|it| it[key].clone()).collect()
        };
        let (up, mut down) = (list(sort).await, list(&format!("-{sort}")).await);
        down.reverse();
        assert_eq!(up, down, "{sort}");
        assert!(key == "severity" || up.is_sorted_by_key(Value::to_string), "{sort}: {up:?}");
    }
}

#[tokio::test]
async fn events_are_filtered_and_paged_in_the_database() {
    for store in Store::both().await {
        let kind = store.kind;
        let server = ApiServer::with_store(store).await;
        for number in 0..25_u8 {
            let mac = Mac([2, 0, 0, 0, 0, number % 2]);
            let address = std::net::Ipv4Addr::new(10, 77, 0, number);
            let host = (number % 5 == 0).then_some("r1-n01");
            server.app.inventory.events.record(host, Some(mac), EventData::Release { address });
        }
        let pages = async |path: &str| {
            let mut path = path.to_owned();
            let mut found = Vec::new();
            loop {
                let page = get(&server, &path).await;
                found.extend(page["items"].as_array().unwrap().iter().cloned());
                let Some(next) = page["next"].as_str() else { return found };
                path = next.strip_prefix("/api/v1").unwrap().to_owned();
            }
        };
        let all = pages("/events?kind=release&limit=7").await;
        let addresses: Vec<&str> =
            all.iter().map(|event| event["data"]["address"].as_str().unwrap()).collect();
        let expected: Vec<String> = (0..25).rev().map(|n| format!("10.77.0.{n}")).collect();
        assert_eq!(addresses, expected, "{kind}");
        let until = all[0]["at_ms"].as_i64().unwrap();
        let cases = [
            ("/events?host=r1-n01&limit=2".to_owned(), 5),
            ("/events?mac=0200.0000.0001&kind=release&limit=5".to_owned(), 12),
            ("/events?address=10.77.0.24".to_owned(), 1),
            ("/events?q=10.77.0.2&kind=release&limit=2".to_owned(), 6),
            ("/events?kind=nak".to_owned(), 0),
            (format!("/events?kind=release&from_ms={}", until + 1), 0),
            (format!("/events?kind=release&until_ms={}", until + 1), 25),
            ("/events?kind=release&after_ms=0".to_owned(), 25),
        ];
        for (path, expected) in cases {
            assert_eq!(pages(&path).await.len(), expected, "{kind}: {path}");
        }
    }
}

#[tokio::test]
async fn a_dry_run_says_that_it_is_one_and_which_revision_there_is() {
    let server = ApiServer::start().await;
    let rack = json!({"location": "hall 9"});
    let put = server.request("PUT", "/racks/r1").json(&rack).send().await.unwrap();
    let done = json_of(put).await;
    assert_eq!((&done["revision"], done.get("dry_run")), (&json!(2), None), "{done}");
    let dry_runs = [
        ("PUT", "/racks/r9?dry-run"),
        ("PUT", "/racks/r1?dry-run=true"),
        ("PUT", "/site?dry-run&prune"),
        ("DELETE", "/hosts/r1-n02?dry-run"),
        ("POST", "/revisions/2/revert?dry_run=true"),
    ];
    for (method, path) in dry_runs {
        let response = server.request(method, path).json(&json!({})).send().await.unwrap();
        let (status, told) = (response.status(), json_of(response).await);
        assert_eq!(status, 200, "{method} {path}: {told}");
        assert_eq!(told["dry_run"], true, "{method} {path}: {told}");
        assert_eq!(told["revision"], 2, "{method} {path}: {told}");
        assert!(!told["differences"].as_array().unwrap().is_empty(), "{method} {path}: {told}");
    }
    assert_eq!(get(&server, "/site").await["revision"], 2);
    let same = server.request("PUT", "/racks/r1?dry-run").json(&rack).send().await.unwrap();
    let told = json_of(same).await;
    let nothing = (&json!(2), &json!(true), &json!([]));
    assert_eq!((&told["revision"], &told["dry_run"], &told["differences"]), nothing, "{told}");
}

#[tokio::test]
async fn a_dry_run_answers_200_with_its_consequences() {
    let server = ApiServer::start().await;
    let rack = server.request("PUT", "/racks/r9?dry-run").json(&json!({})).send().await.unwrap();
    assert_eq!(rack.status(), 200);
    let told = json_of(rack).await;
    assert_eq!(told["differences"][0]["name"], "r9", "{told}");
    assert_eq!(told["consequences"], json!({"hosts": [], "switches": []}), "{told}");
    let subnet = json!({"cidr": "172.16.160.0/24", "vlan": 501, "mtu": 9000,
        "ranges": [{"from": "172.16.160.10", "to": "172.16.160.99", "for": "hosts"}]});
    let put = server.request("PUT", "/subnets/internal?dry-run=true").json(&subnet);
    let told = json_of(put.send().await.unwrap()).await;
    assert_eq!(told["consequences"]["hosts"][0]["hosts"], json!(["r1-n01", "r1-n02"]), "{told}");
    let delete = server.request("DELETE", "/images/disk?dry-run").send().await.unwrap();
    assert_eq!(delete.status(), 409, "a host boots it");
    assert_eq!(get(&server, "/site").await["revision"], 1);
}

/// Reads messages of a stream until one has `text`.
async fn read_until(response: &mut Response, text: &str) -> String {
    let mut seen = String::new();
    let reading = async {
        while !(seen.contains(text) && seen.ends_with("\n\n")) {
            let chunk = response.chunk().await.unwrap().expect("the stream goes on");
            seen.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), reading).await;
    assert!(in_time.is_ok(), "{text} is not in {seen}");
    seen
}

#[tokio::test]
async fn a_stream_goes_on_where_it_ended() {
    let server = ApiServer::start().await;
    let put = async |location: &str| {
        let body = json!({"location": location});
        let done = server.request("PUT", "/racks/r1").json(&body).send().await.unwrap();
        assert_eq!(done.status(), 200);
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let mut stream = server.request("GET", "/live").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    put("one").await;
    let seen = read_until(&mut stream, "revision 2").await;
    let id = seen.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    drop(stream);
    // Nobody listens now.
    put("two").await;
    put("three").await;
    let resume = server.request("GET", "/live").header("last-event-id", id);
    let mut stream = resume.send().await.unwrap();
    let seen = read_until(&mut stream, "revision 4").await;
    assert_eq!(seen.matches("revision 3").count(), 1, "{seen}");
    put("four").await;
    let seen = read_until(&mut stream, "revision 5").await;
    assert!(!seen.contains("revision 3"), "{seen}");
    let odd = server.request("GET", "/live").header("last-event-id", "x").send().await.unwrap();
    assert_eq!(odd.status(), 400);
}

#[tokio::test]
async fn one_token_has_a_bounded_number_of_streams() {
    let server = ApiServer::start().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        let stream = server.request("GET", "/live").send().await.unwrap();
        assert_eq!(stream.status(), 200);
        open.push(stream);
    }
    let refused = server.request("GET", "/live").send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "10");
    open.clear();
    let again = async {
        while server.request("GET", "/live").send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again)
        .await
        .expect("a closed stream is forgotten");
}
