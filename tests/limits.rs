//! Limits of users and tokens, on both databases: hosts within may be changed and armed, everything
//! else may be read. In the API, the UI and the audit log, by real requests.

use rackstrap::inventory::{AccountError, AuditQuery, Change, Inventory, NewToken};
use rackstrap::model::{ClientKey, Lease, LeaseState, Limits, Mac, Role, Site};
use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::common::desk::Desk;
use crate::common::sample;
use crate::common::store::Store;
use crate::ui::server::{PASSWORD, Server, Visitor, fields};

fn tenant(name: &str) -> Limits {
    Limits { tenants: [name.to_owned()].into(), ..Limits::default() }
}

fn rack(name: &str) -> Limits {
    Limits { racks: [name.to_owned()].into(), ..Limits::default() }
}

async fn edit(inventory: &Inventory, edit: impl FnOnce(&mut Site)) {
    let change = Change { who: "ada", summary: "for the test", ..Change::default() };
    let done = inventory.change_site(change, |site| {
        edit(site);
        Ok(())
    });
    done.await.unwrap();
}

async fn audit_texts(inventory: &Inventory) -> Vec<String> {
    let query = AuditQuery { limit: 1000, ..Default::default() };
    let entries = inventory.database.page_audit(&query).await.unwrap();
    entries.iter().map(|stored| stored.entry.text()).collect()
}

#[tokio::test]
async fn limits_are_for_viewers_and_operators() {
    for store in Store::both().await {
        let database = store.open().await;
        database.add_user("olaf", PASSWORD, Role::Operator).await.unwrap();
        database.add_user("ada", PASSWORD, Role::Admin).await.unwrap();
        database.set_limits("olaf", &tenant("acme")).await.unwrap();
        assert_eq!(database.find_user("olaf").await.unwrap().unwrap().limits, tenant("acme"));
        let account = database.find_account("olaf").await.unwrap().unwrap();
        assert_eq!(account.limits, tenant("acme"));

        let said = "cannot be an admin with limits";
        let refused = [
            database.set_role("olaf", Role::Admin).await.unwrap_err(),
            database.set_limits("ada", &tenant("acme")).await.unwrap_err(),
            database.add_limited_user("eve", PASSWORD, Role::Admin, &rack("r1")).await.unwrap_err(),
            database
                .add_token(&NewToken { limits: rack("r1"), ..NewToken::new("t", Role::Admin) })
                .await
                .unwrap_err(),
        ];
        for error in refused {
            assert!(error.to_string().contains(said), "{}: {error}", store.kind);
        }
        assert_eq!(database.find_user("olaf").await.unwrap().unwrap().role, Role::Operator);
        let missing = database.set_limits("nobody", &rack("r1")).await.unwrap_err();
        assert!(matches!(missing, AccountError::Missing(_)), "{missing}");
        database.set_limits("ada", &Limits::default()).await.unwrap();
        database.set_limits("olaf", &Limits::default()).await.unwrap();
        database.set_role("olaf", Role::Admin).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_never_exceeds_the_limits_of_its_owner() {
    for store in Store::both().await {
        let database = store.open().await;
        database.add_user("olaf", PASSWORD, Role::Operator).await.unwrap();
        let new = |name: &str, limits: Limits| NewToken {
            owner: Some("olaf".into()),
            limits,
            ..NewToken::new(name, Role::Operator)
        };
        let plain = database.add_token(&new("plain", Limits::default())).await.unwrap();
        let own = database.add_token(&new("own", rack("r1"))).await.unwrap();
        let found = async |token: &str| database.find_token(token).await.unwrap().unwrap();
        assert!(found(&plain).await.all_limits().is_empty());
        assert_eq!(found(&own).await.all_limits(), [rack("r1")]);
        // They shrink later, and grow again.
        database.set_limits("olaf", &tenant("acme")).await.unwrap();
        assert_eq!(found(&plain).await.all_limits(), [tenant("acme")]);
        assert_eq!(found(&own).await.all_limits(), [rack("r1"), tenant("acme")]);
        database.set_limits("olaf", &Limits::default()).await.unwrap();
        assert_eq!(found(&own).await.all_limits(), [rack("r1")]);
        let listed = database.list_tokens().await.unwrap();
        assert_eq!(listed.iter().find(|it| it.name == "own").unwrap().limits, rack("r1"));
    }
}

/// A request with a token: its status, kind of problem, detail and whole body.
async fn ask(
    server: &ApiServer,
    token: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, String, String, Value) {
    let url = format!("{}{path}", server.url);
    let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
    request = request.bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let kind = text("type").rsplit(':').next().unwrap_or_default().to_owned();
    (status, kind, text("detail"), body)
}

#[tokio::test]
async fn a_token_with_limits_changes_hosts_within_them_and_reads_everything() {
    for store in Store::both().await {
        let server = ApiServer::with_store(store).await;
        let inventory = &server.app.inventory;
        edit(inventory, sample::install_first_host).await;
        let new = NewToken { limits: tenant("acme"), ..NewToken::new("ci", Role::Operator) };
        let token = inventory.database.add_token(&new).await.unwrap();
        let ask = async |method: &str, path: &str, body: Option<Value>| {
            ask(&server, &token, method, path, body).await
        };
        let host = async |name: &str| {
            let (status, _, _, mut host) = ask("GET", &format!("/hosts/{name}"), None).await;
            assert_eq!(status, 200, "{host}");
            host.as_object_mut().unwrap().remove("status");
            host
        };
        let outside = |answer: &(u16, String, String, Value), said: &str| {
            let (status, kind, detail, body) = answer;
            assert_eq!((*status, kind.as_str()), (403, "outside-limits"), "{body}");
            assert!(detail.contains(said), "{detail}");
        };
        let before = inventory.snapshot().revision;

        // Within.
        let mut first = host("r1-n01").await;
        first["notes"] = "in repair".into();
        let (status, .., body) = ask("PUT", "/hosts/r1-n01", Some(first.clone())).await;
        assert_eq!(status, 200, "{body}");
        let (status, .., body) = ask("POST", "/hosts/r1-n01/install", None).await;
        assert_eq!(status, 200, "{body}");
        let (status, .., body) = ask("DELETE", "/hosts/r1-n01/install", None).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(inventory.snapshot().revision, before + 1);

        // Out of them, into them, and outside.
        let mut given = first.clone();
        given.as_object_mut().unwrap().remove("tenant");
        for query in ["", "?dry-run"] {
            let answer = ask("PUT", &format!("/hosts/r1-n01{query}"), Some(given.clone())).await;
            outside(&answer, "host r1-n01 would be outside the limits: tenant none, allowed: acme");
            assert_eq!(answer.3["errors"][0]["path"], "hosts.r1-n01");
        }
        let mut second = host("r1-n02").await;
        second["tenant"] = "acme".into();
        let said = "host r1-n02 is outside the limits: tenant none, allowed: acme";
        outside(&ask("PUT", "/hosts/r1-n02", Some(second)).await, said);
        outside(&ask("DELETE", "/hosts/r1-n02", None).await, said);
        outside(&ask("POST", "/hosts/r1-n02/install", None).await, said);
        outside(&ask("DELETE", "/hosts/r1-n02/install", None).await, said);
        outside(&ask("POST", "/installs?hosts=r1-n01,r1-n02", None).await, said);
        outside(&ask("POST", "/installs?rack=r1&dry-run", None).await, said);
        let last = inventory.installs();
        assert!(last.of("r1-n02").is_none());
        assert_eq!(last.of("r1-n01").unwrap().state.label(), "cancelled", "all or none");
        // A release takes the tenant away.
        let path = "/hosts/r1-n01/install?task=release&confirm=r1-n01";
        outside(&ask("POST", path, None).await, "would be outside the limits");
        let new = json!({"rack": "r1", "unit": 9, "nics": {"eth0": "52:54:00:aa:00:99"}});
        let answer = ask("PUT", "/hosts/r1-n09", Some(new.clone())).await;
        outside(&answer, "host r1-n09 is outside the limits: tenant none, allowed: acme");
        let mut new = new;
        new["tenant"] = "acme".into();
        assert_eq!(ask("PUT", "/hosts/r1-n09", Some(new)).await.0, 201);
        assert_eq!(ask("DELETE", "/hosts/r1-n09", None).await.0, 200);

        // What hosts outside use, too.
        let (.., subnet) = ask("GET", "/subnets/provisioning", None).await;
        let shared = [
            ("PUT", "/subnets/provisioning", Some(subnet)),
            ("DELETE", "/racks/r1", None),
            ("PUT", "/tenants/acme", Some(json!({"contact": "me@acme.example"}))),
            ("PUT", "/secrets/x", Some(json!({"value": "y"}))),
            ("DELETE", "/secrets/x", None),
            ("POST", "/images/live/files/kernel", None),
        ];
        for (method, path, body) in shared {
            outside(&ask(method, path, body).await, path);
        }
        // The whole site, in which only hosts within may differ; and back.
        let (.., mut site) = ask("GET", "/site", None).await;
        site["site"]["hosts"]["r1-n01"]["notes"] = "well again".into();
        let (status, .., body) = ask("PUT", "/site", Some(site.clone())).await;
        assert_eq!(status, 200, "{body}");
        site["site"]["hosts"]["r1-n02"]["notes"] = "x".into();
        site["site"]["racks"]["r1"]["location"] = "elsewhere".into();
        site.as_object_mut().unwrap().remove("revision");
        let answer = ask("PUT", "/site", Some(site)).await;
        outside(&answer, "rack r1 is outside the limits: only hosts within them may be changed");
        assert_eq!(answer.3["errors"].as_array().unwrap().len(), 2, "{}", answer.3);
        let revision = inventory.snapshot().revision;
        assert_eq!(ask("POST", &format!("/revisions/{revision}/revert"), None).await.0, 200);
        edit(inventory, |site| site.hosts.get_mut("r1-n02").unwrap().notes = Some("n".into()))
            .await;
        let revision = inventory.snapshot().revision;
        outside(&ask("POST", &format!("/revisions/{revision}/revert"), None).await, said);

        // Limits that shrink hold for the next request, and those of the owner for the token.
        assert_eq!(inventory.snapshot().revision, revision);
        let texts = audit_texts(inventory).await;
        let denied = format!("token ci was refused a change: {said} from 127.0.0.1");
        assert!(texts.iter().any(|text| text.starts_with(&denied)), "{texts:#?}");
        let whole =
            "rack r1 is outside the limits: only hosts within them may be changed; and 1 more";
        assert!(texts.iter().any(|text| text.contains(whole)), "{texts:#?}");
    }
}

#[tokio::test]
async fn a_lease_is_taken_back_of_hosts_within_the_limits_alone() {
    let server = ApiServer::start().await;
    let leased = async |address: &str, mac: &str| {
        let mac: Mac = mac.parse().unwrap();
        let lease = Lease {
            address: address.parse().unwrap(),
            subnet: "provisioning".into(),
            client: ClientKey::Mac(mac),
            nic: Some(mac.into()),
            taken_over: false,
            state: LeaseState::Bound,
            starts_at: 1,
            expires_at: 4_000_000_000,
        };
        server.app.leases.commit(lease, 1).await.unwrap();
    };
    leased("10.77.0.101", "52:54:00:aa:00:01").await;
    leased("10.77.0.102", "52:54:00:aa:00:03").await;
    leased("10.77.0.103", "52:54:00:ff:ff:ff").await;
    let new = NewToken { limits: tenant("acme"), ..NewToken::new("ci", Role::Operator) };
    let token = server.app.inventory.database.add_token(&new).await.unwrap();
    let remove = async |address: &str| {
        let (status, _, detail, _) =
            ask(&server, &token, "DELETE", &format!("/leases/{address}"), None).await;
        (status, detail)
    };
    assert_eq!(remove("10.77.0.101").await.0, 200);
    let (status, detail) = remove("10.77.0.102").await;
    assert!(status == 403 && detail.starts_with("host r1-n02 is outside"), "{detail}");
    let (status, detail) = remove("10.77.0.103").await;
    assert!(status == 403 && detail.starts_with("lease 10.77.0.103 is outside"), "{detail}");
}

async fn log_in(server: &Server, name: &str) -> (Visitor, String) {
    let visitor = server.stranger();
    assert_eq!(visitor.log_in(name, PASSWORD).await.status(), 303, "{name}");
    let csrf = fields(&visitor.page("/access").await)[0].1.clone();
    (visitor, csrf)
}

#[tokio::test]
async fn an_operator_with_limits_sees_what_cannot_be_changed_and_why() {
    let server = Server::start().await;
    let inventory = &server.app.inventory;
    edit(inventory, |site| {
        sample::install_first_host(site);
        site.hosts.get_mut("r1-n01").unwrap().labels = vec!["db".into()];
    })
    .await;
    inventory.database.add_user("olaf", PASSWORD, Role::Operator).await.unwrap();
    let (admin, admin_csrf) = log_in(&server, "ada").await;
    let (olaf, csrf) = log_in(&server, "olaf").await;
    let hidden = "<body class=\"viewer\">";
    assert!(!olaf.page("/hosts/r1-n02").await.contains(hidden));

    // An admin sets the limits; the next request knows them.
    let set = async |more: &str| {
        let body = format!("csrf={admin_csrf}&{more}");
        let answer = admin.post("/users/olaf/limits", body).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, html) = set("labels=dbs").await;
    assert!(status == 422 && html.contains("expected db"), "{html}");
    assert_eq!(set("labels=db&racks=r1").await.0, 303);
    let page = admin.page("/users/olaf").await;
    assert!(page.contains("may change only hosts within: rack r1; label db"), "{page}");
    assert!(page.contains("name=\"labels\"") && page.contains("value=\"db\""), "{page}");
    let (status, html) = {
        let body = format!("csrf={admin_csrf}&role=admin");
        let answer = admin.post("/users/olaf/role", body).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert!(status == 422 && html.contains("cannot be an admin with limits"), "{html}");

    // Within, everything is as before.
    let page = olaf.page("/hosts/r1-n01").await;
    assert!(!page.contains(hidden) && page.contains("limited: rack r1; label db"), "{page}");
    let answer = olaf.fill_in("/hosts/r1-n01/edit", &[("serial", "CZ4712"), ("do", "save")]).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let install = format!("csrf={csrf}&do=arm");
    assert_eq!(olaf.post("/hosts/r1-n01/install", install.clone()).await.status(), 303);

    // Outside, pages explain themselves, and a forged request is refused.
    let revision = inventory.snapshot().revision;
    let said = "host r1-n02 is outside the limits: label none, allowed: db";
    let page = olaf.page("/hosts/r1-n02").await;
    assert!(page.contains(hidden) && page.contains(said), "{page}");
    let answer = olaf.fill_in("/hosts/r1-n02/edit", &[("serial", "X"), ("do", "save")]).await;
    let (status, html) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert!(status == 422 && html.contains(said), "{html}");
    assert!(olaf.page("/hosts/r1-n02/install").await.contains(said));
    for (path, status) in [
        ("/hosts/r1-n02/install", 403),
        ("/hosts/r1-n02/remove", 409),
        ("/access/secrets", 403),
        ("/access/secrets/remove", 403),
        ("/add-image", 403),
    ] {
        let body = format!("csrf={csrf}&do=save&name=x&value=y&typed=r1-n02");
        let answer = olaf.post(path, body).await;
        let (has, html) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert!(has == status && html.contains("outside the limits"), "{path}: {has} {html}");
    }
    let change =
        format!("csrf={csrf}&do=save&noun=racks&name=r1&text=racks%3A%20%7Br1%3A%20%7B%7D%7D");
    let html = olaf.post("/change", change).await.text().await.unwrap();
    assert!(html.contains("rack r1 is outside the limits"), "{html}");
    assert_eq!(inventory.snapshot().revision, revision);
    assert!(inventory.installs().of("r1-n02").is_none());
    assert!(olaf.page("/subnets").await.contains(hidden));
    assert!(!olaf.page("/access").await.contains("Set a secret"));

    // A token of the user's own is within both.
    let body = format!("csrf={csrf}&name=mine&days=&role=operator&racks=r1");
    assert_eq!(olaf.post("/access/tokens", body).await.status(), 200);
    let page = olaf.page("/access").await;
    assert!(page.contains("limited: rack r1; rack r1; label db"), "{page}");
    let texts = audit_texts(inventory).await;
    for text in [
        "ada set the limits of olaf: rack r1; label db",
        &format!("olaf was refused a change: {said}"),
        "olaf was refused a change: page /add-image is outside the limits",
        "olaf created token mine (operator), limits: rack r1",
    ] {
        assert!(texts.iter().any(|entry| entry.contains(text)), "{text}: {texts:#?}");
    }
    assert_eq!(set("").await.0, 303);
    assert!(!olaf.page("/hosts/r1-n02").await.contains(hidden));
}

#[tokio::test]
async fn limits_are_set_on_the_command_line() {
    for store in Store::both().await {
        let desk = Desk::new(store);
        desk.file(
            "site.yaml",
            "racks: {r1: {}, r2: {}}\ntenants: {acme: {}}\nhosts: {n1: {labels: [db]}}\n",
        );
        desk.good("apply site.yaml");
        let made = desk.good_with("user add eve --rack r1 --rack r2 --label db", "good password\n");
        assert_eq!(made, "created user eve (operator), limits: rack r1, r2; label db\n");
        assert_eq!(desk.good("user limit eve --tenant acme"), "limits of eve: tenant acme\n");
        assert!(desk.good("user show eve").contains("limits: tenant acme"));
        assert!(desk.good("user list").contains("tenant acme"));
        for (words, said) in [
            ("user limit eve --rack r9", "rack \"r9\" does not exist: expected r1, r2"),
            ("user limit eve", "say which hosts, with --tenant, --rack or --label, or --none"),
            ("user limit nobody --rack r1", "user \"nobody\" does not exist"),
            ("user role eve admin", "user \"eve\" cannot be an admin with limits"),
            ("token add t --role admin --rack r1", "token \"t\" cannot be an admin with limits"),
            ("token add t --label x", "label \"x\" does not exist: expected db"),
        ] {
            assert!(desk.bad(words)[0].contains(said), "{words}: {:?}", desk.bad(words));
        }
        desk.good("token add ci --role operator --owner eve --rack r1");
        let tokens = desk.good("token list");
        assert!(tokens.contains("rack r1; tenant acme"), "{tokens}");
        let json = desk.json("token list");
        assert_eq!(json[0]["limits"], json!({"racks": ["r1"]}));
        assert_eq!(json[0]["owner_limits"], json!({"tenants": ["acme"]}));
        assert_eq!(desk.good("user limit eve --none"), "limits of eve: none\n");
        desk.good("user role eve admin");
        let log = desk.good("audit --kind limits-changed");
        assert!(log.contains("ann set the limits of eve: tenant acme"), "{log}");
    }
}
