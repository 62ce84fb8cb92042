//! Who may do what: every route of the UI and of the API, asked with every role; users, sessions and
//! tokens. The table in docs/guide/security.md is what the routes themselves say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use rackstrap::http::ui::{RouteRule, route_rules};
use rackstrap::inventory::{AccountError, NewToken};
use rackstrap::model::{Limits, Role};
use reqwest::Method;
use serde_json::Value;

use crate::common::desk::Desk;
use crate::common::store::Store;
use crate::ui::server::{PASSWORD, Server, Visitor, fields};

const BEGIN: &str = "<!-- Written by tests/roles.rs: GOLDEN=write. -->\n";
const END: &str = "<!-- End of what tests/roles.rs writes. -->\n";

/// What is answered without a login, and how.
const OPEN: [(&str, &str); 9] = [
    ("/api/v1/openapi.json", "GET"),
    ("/healthz", "GET"),
    ("/login", "GET, POST"),
    ("/login/code", "GET, POST"),
    ("/login/oidc", "GET"),
    ("/login/oidc/callback", "GET"),
    ("/metrics", "GET"),
    ("/readyz", "GET"),
    ("/static/ui.css", "GET"),
];

/// A path with something in place of its names.
fn filled(path: &str) -> String {
    let mut filled = String::new();
    for piece in path.split_inclusive(['{', '}']) {
        match piece {
            "{" | "}" => {}
            "id}" => filled.push_str("999"),
            "address}" => filled.push_str("10.77.0.9"),
            name if name.ends_with('}') => filled.push('x'),
            text => filled.push_str(text.trim_end_matches('{')),
        }
    }
    filled
}

fn user_of(role: Role) -> &'static str {
    match role {
        Role::Viewer => "vera",
        Role::Operator => "olaf",
        Role::Admin => "ada",
    }
}

/// An operator with limits.
const LIMITED: &str = "lena";

fn limits() -> Limits {
    Limits { racks: ["r1".to_owned()].into(), ..Limits::default() }
}

async fn server() -> Server {
    let server = Server::start().await;
    let database = &server.app.inventory.database;
    for role in [Role::Viewer, Role::Operator] {
        database.add_user(user_of(role), PASSWORD, role).await.unwrap();
    }
    database.add_limited_user(LIMITED, PASSWORD, Role::Operator, &limits()).await.unwrap();
    server
}

async fn log_in(server: &Server, role: Role) -> (Visitor, String) {
    log_in_as(server, user_of(role)).await
}

async fn log_in_as(server: &Server, name: &str) -> (Visitor, String) {
    let visitor = server.stranger();
    assert_eq!(visitor.log_in(name, PASSWORD).await.status(), 303, "{name}");
    let csrf = fields(&visitor.page("/access").await)[0].1.clone();
    (visitor, csrf)
}

#[tokio::test]
async fn every_page_and_form_asks_for_its_role() {
    let server = server().await;
    let rules = route_rules();
    assert!(rules.len() > 60, "{}", rules.len());
    let mut wrong = Vec::new();
    for role in Role::ALL {
        let (mut visitor, mut csrf) = log_in(&server, *role).await;
        for RouteRule { path, method, role: needs, .. } in &rules {
            let answer = match *method {
                "GET" => visitor.get(&filled(path)).await,
                _ => visitor.post(&filled(path), format!("csrf={csrf}")).await,
            };
            let status = answer.status().as_u16();
            let is_refused = status == 403;
            let fits = is_refused == (role < needs) && ![405, 500].contains(&status);
            if !fits {
                wrong.push(format!("{role}: {method} {path}: {status}, needs {needs}"));
            } else if is_refused {
                let text = answer.text().await.unwrap();
                assert!(text.contains(&format!("this needs the role {needs}")), "{path}: {text}");
            }
            if ["/logout", "/access/sessions"].contains(path) {
                (visitor, csrf) = log_in(&server, *role).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let audit = rackstrap::inventory::AuditQuery { limit: 1000, ..Default::default() };
    server.app.inventory.database.page_audit(&audit).await.unwrap();
    let entries = server.app.inventory.database.page_audit(&audit).await.unwrap();
    let texts: Vec<String> = entries.iter().map(|stored| stored.entry.text()).collect();
    let said = "vera was refused /users/{name}/role, which needs the role admin";
    assert!(texts.iter().any(|text| text.contains(said)), "{texts:#?}");
}

#[tokio::test]
async fn without_a_login_nothing_is_answered_but_what_is_open() {
    let server = server().await;
    let nobody = server.stranger();
    for (path, _) in OPEN {
        let status = nobody.get(path).await.status().as_u16();
        assert!(![401, 403, 405, 500].contains(&status), "{path}: {status}");
    }
    for RouteRule { path, method, .. } in route_rules() {
        let answer = match method {
            "GET" => nobody.get(&filled(path)).await,
            _ => nobody.post(&filled(path), String::new()).await,
        };
        let status = answer.status().as_u16();
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        let is_sent = status == 303 && to.as_ref().is_some_and(|to| to.starts_with("/login"));
        assert!(is_sent || [401, 403].contains(&status), "{method} {path}: {status} {to:?}");
    }
}

#[tokio::test]
async fn nobody_with_limits_opens_what_all_hosts_share() {
    let server = server().await;
    let (mut visitor, mut csrf) = log_in_as(&server, LIMITED).await;
    let mut wrong = Vec::new();
    for RouteRule { path, method, role, is_shared } in route_rules() {
        let answer = match method {
            "GET" => visitor.get(&filled(path)).await,
            _ => visitor.post(&filled(path), format!("csrf={csrf}")).await,
        };
        let status = answer.status().as_u16();
        if (status == 403) != (is_shared || role == Role::Admin) {
            wrong.push(format!("{method} {path}: {status}, is_shared: {is_shared}"));
        }
        if ["/logout", "/access/sessions"].contains(&path) {
            (visitor, csrf) = log_in_as(&server, LIMITED).await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The same in the API: what the table says is shared is refused whatever is sent.
    let new = NewToken { limits: limits(), ..NewToken::new("limited", Role::Operator) };
    let token = server.app.inventory.database.add_token(&new).await.unwrap();
    for (path, method) in operations(&server).await {
        let url = format!("{}{}", server.url, filled(&path_of(&path)));
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        let status = request.bearer_auth(&token).send().await.unwrap().status().as_u16();
        if (status == 403) != (method != "GET" && !is_of_hosts(&path)) {
            wrong.push(format!("{method} {path}: {status}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether an operation that changes is decided for each host that it changes.
fn is_of_hosts(path: &str) -> bool {
    let of_hosts = ["hosts", "installs", "leases", "revisions", "site"];
    let path = path.trim_start_matches("/api/v1").trim_start_matches('/');
    of_hosts.contains(&path.split('/').next().unwrap())
}

/// Every operation of the API, from its description.
async fn operations(server: &Server) -> Vec<(String, String)> {
    let answer = server.stranger().get("/api/v1/openapi.json").await;
    let document: Value = answer.json().await.unwrap();
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let methods = ["get", "post", "put", "patch", "delete"].into_iter();
        let known = methods.filter(|method| item.get(*method).is_some());
        known.map(|method| (path.clone(), method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).filter(|(path, _)| !path.ends_with("/openapi.json")).collect()
}

fn path_of(path: &str) -> String {
    match path.starts_with("/api/v1") {
        true => path.to_owned(),
        false => format!("/api/v1{path}"),
    }
}

/// The role that an operation of the API needs.
fn needs(method: &str) -> Role {
    if method == "GET" { Role::Viewer } else { Role::Operator }
}

#[tokio::test]
async fn every_operation_of_the_api_asks_for_its_role() {
    let server = server().await;
    let database = &server.app.inventory.database;
    let operations = operations(&server).await;
    assert!(operations.len() > 30, "{operations:?}");
    let client = reqwest::Client::new();
    let mut wrong = Vec::new();
    for role in Role::ALL {
        let token = database.add_token(&NewToken::new(role.label(), *role)).await.unwrap();
        for (path, method) in &operations {
            let url = format!("{}{}", server.url, filled(&path_of(path)));
            let method_ = Method::from_bytes(method.as_bytes()).unwrap();
            for shown in [Some(&token), None] {
                let mut request = client.request(method_.clone(), &url);
                if let Some(token) = shown {
                    request = request.bearer_auth(token);
                }
                let status = request.send().await.unwrap().status().as_u16();
                let fits = match shown {
                    None => status == 401,
                    Some(_) => (status == 403) == (*role < needs(method)) && status < 500,
                };
                if !fits {
                    wrong.push(format!("{role}: {method} {path}: {status} ({shown:?})"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_guide_has_the_table_of_every_route_and_role() {
    let server = server().await;
    let mut rows: BTreeMap<(String, Role, bool), Vec<String>> = BTreeMap::new();
    for RouteRule { path, method, role, is_shared } in route_rules() {
        rows.entry((path.to_owned(), role, is_shared)).or_default().push(method.to_owned());
    }
    for (path, method) in operations(&server).await {
        let role = needs(&method);
        let is_shared = role > Role::Viewer && !is_of_hosts(&path);
        rows.entry((path_of(&path), role, is_shared)).or_default().push(method);
    }
    let mut table = String::from(
        "| route | methods | nobody | viewer | operator with limits | operator | admin |\n|---|---|---|---|---|---|---|\n",
    );
    for (path, methods) in OPEN {
        let path = path.replace("ui.css", "{file}");
        let _ = writeln!(table, "| `{path}` | {methods} | yes | yes | yes | yes | yes |");
    }
    for ((path, role, is_shared), methods) in rows {
        let [viewer, operator, admin] = [Role::Viewer, Role::Operator, Role::Admin]
            .map(|own| if own >= role { "yes" } else { "" });
        let limited = match role {
            Role::Viewer => "yes",
            Role::Operator if !is_shared => "hosts",
            _ => "",
        };
        let marks = [viewer, limited, operator, admin].join(" | ");
        let _ = writeln!(table, "| `{path}` | {} | | {marks} |", methods.join(", "));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/security.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the beginning of the table");
    let (written, after) = rest.split_once(END).expect("the end of the table");
    let expected = format!("\n{table}\n");
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(&file, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(written, expected, "GOLDEN=write writes the table");
}

#[tokio::test]
async fn an_admin_adds_limits_and_locks_out_a_user() {
    let server = server().await;
    let (admin, csrf) = log_in(&server, Role::Admin).await;
    let post = async |path: &str, more: &str| {
        let answer = admin.post(path, format!("csrf={csrf}&{more}")).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let shown = |html: &str| {
        let (_, rest) = html.split_once("<code>").unwrap();
        rest.split('<').next().unwrap().to_owned()
    };
    let (status, html) = post("/users", "name=nora&role=operator").await;
    assert_eq!(status, 200, "{html}");
    let password = shown(&html);
    assert_eq!(post("/users", "name=nora&role=viewer").await.0, 422, "there is one already");
    assert_eq!(post("/users", "name=otto&role=root").await.0, 422);
    let nora = server.stranger();
    assert_eq!(nora.log_in("nora", &password).await.status(), 303);
    assert_eq!(nora.get("/add-host").await.status(), 200);
    assert!(!nora.page("/hosts").await.contains("href=\"/users\""));
    assert!(admin.page("/hosts").await.contains("href=\"/users\""));
    assert_eq!(post("/users/nora/role", "role=viewer").await.0, 303);
    assert_eq!(nora.get("/add-host").await.status(), 403, "the next request knows it");
    let page = admin.page("/users/nora").await;
    assert!(page.contains("127.0.0.1") && page.contains("nora"), "{page}");

    // One session, then all of them.
    let other = server.stranger();
    assert_eq!(other.log_in("nora", &password).await.status(), 303);
    let sessions = server.app.inventory.database.list_sessions("nora").await.unwrap();
    assert_eq!(sessions.len(), 2);
    let own = format!("session={}", sessions[0].id);
    assert_eq!(post("/users/nora/sessions", &own).await.0, 303);
    assert_eq!(other.get("/hosts").await.status(), 303, "the newer one has ended");
    assert_eq!(nora.get("/hosts").await.status(), 200);
    assert_eq!(post("/users/nora/sessions", "").await.0, 303);
    assert_eq!(nora.get("/hosts").await.status(), 303);

    // A token does what its owner may, as long as the owner may do anything.
    let new = NewToken { owner: Some("nora".into()), ..NewToken::new("of-nora", Role::Operator) };
    let database = &server.app.inventory.database;
    let token = database.add_token(&new).await.unwrap();
    assert_eq!(database.find_token(&token).await.unwrap().unwrap().role, Role::Viewer);
    assert_eq!(post("/users/nora/disable", "").await.0, 303);
    assert_eq!(database.find_token(&token).await.unwrap(), None);
    assert_eq!(nora.log_in("nora", &password).await.status(), 401);
    assert_eq!(post("/users/nora/enable", "").await.0, 303);
    assert_eq!(nora.log_in("nora", &password).await.status(), 303);
    let (status, html) = post("/users/nora/reset", "").await;
    assert_eq!(status, 200);
    assert_eq!(nora.get("/hosts").await.status(), 303, "a new password ends the sessions");
    assert_eq!(nora.log_in("nora", &shown(&html)).await.status(), 303);
    // It asks first, and says what goes.
    let (status, html) = post("/users/nora/remove", "").await;
    assert!(status == 200 && html.contains("These tokens are revoked: of-nora."), "{html}");
    assert_eq!(post("/users/nora/remove", "do=save").await.0, 303);
    assert!(database.list_tokens().await.unwrap().is_empty());
    assert_eq!(nora.get("/hosts").await.status(), 303);

    // Somebody can manage users at any time.
    for (path, more) in [("/users/ada/role", "role=operator"), ("/users/ada/disable", "")] {
        let (status, html) = post(path, more).await;
        assert!(status == 422 && html.contains("is the last admin who can log in"), "{html}");
    }
    assert_eq!(post("/users/ada/remove", "do=save").await.0, 409);
    assert_eq!(admin.get("/users").await.status(), 200);
}

#[tokio::test]
async fn a_user_sees_and_ends_only_what_is_the_users_own() {
    let server = server().await;
    let database = &server.app.inventory.database;
    let (viewer, csrf) = log_in(&server, Role::Viewer).await;
    database.add_token(&NewToken::new("deploy", Role::Operator)).await.unwrap();
    assert!(!viewer.page("/access").await.contains("deploy"));
    let path = "/access/tokens/deploy/remove";
    assert_eq!(viewer.post(path, format!("csrf={csrf}&do=save")).await.status(), 404);
    let add = |role: &str| format!("csrf={csrf}&name=mine-{role}&days=5&role={role}");
    assert_eq!(viewer.post("/access/tokens", add("operator")).await.status(), 422);
    assert_eq!(viewer.post("/access/tokens", add("viewer")).await.status(), 200);
    let page = viewer.page("/access").await;
    assert!(page.contains("mine-viewer") && page.contains("this browser"), "{page}");
    let (other, other_csrf) = log_in(&server, Role::Viewer).await;
    assert_eq!(other.post("/access/sessions", format!("csrf={other_csrf}")).await.status(), 303);
    assert_eq!(viewer.get("/hosts").await.status(), 303, "logged out everywhere");
}

#[tokio::test]
async fn a_token_remembers_its_last_use() {
    let server = server().await;
    let database = &server.app.inventory.database;
    let token = database.add_token(&NewToken::new("ci", Role::Viewer)).await.unwrap();
    assert_eq!(database.list_tokens().await.unwrap()[0].last_used_at, None);
    let request = reqwest::Client::new().get(format!("{}/api/v1/racks", server.url));
    assert_eq!(request.bearer_auth(token).send().await.unwrap().status(), 200);
    let used = database.list_tokens().await.unwrap()[0].last_used_at.unwrap();
    assert!((jiff::Timestamp::now().as_second() - used).abs() < 10);
}

#[tokio::test]
async fn users_are_managed_on_the_command_line() {
    for store in Store::both().await {
        let desk = Desk::new(store);
        desk.good_with("user set root", "good password\n");
        assert_eq!(
            desk.good_with("user add eve --role viewer", "good password\n"),
            "created user eve (viewer)\n"
        );
        assert_eq!(desk.good("user role eve operator"), "eve has the role operator\n");
        let changed = desk.good("audit --kind role-changed");
        assert!(changed.contains("gave eve the role operator (before: viewer)"), "{changed}");
        assert!(desk.bad("user role nobody viewer")[0].contains("\"nobody\" does not exist"));
        let usage = desk.run("user role eve king", "");
        let said = String::from_utf8_lossy(&usage.stderr).into_owned();
        assert!(said.contains("expected viewer, operator or admin"), "{said}");
        for words in ["user role root viewer", "user disable root"] {
            assert!(desk.bad(words)[0].contains("is the last admin who can log in"), "{words}");
        }
        desk.good("user disable eve");
        let list = desk.good("user list");
        let line = list.lines().find(|line| line.starts_with("eve")).unwrap();
        assert!(line.contains("operator") && line.contains("disabled"), "{list}");
        desk.good("user enable eve");
        let password = desk.good("user reset eve");
        let database = desk.store.open().await;
        assert!(database.verify_password("eve", password.trim()).await.unwrap());
        assert_eq!(desk.good("user logout eve"), "ended 0 sessions\n");
        assert!(desk.bad("user logout eve --session abc")[0].contains("has no session \"abc\""));
        assert!(desk.good("token add ci --role viewer --owner eve").starts_with("rackstrap_"));
        assert!(desk.bad("token add cd --owner nobody")[0].contains("does not exist"));
        let tokens = desk.good("token list");
        assert!(tokens.contains("OWNER") && tokens.contains("eve"), "{tokens}");
        desk.good("user remove eve");
        assert!(!desk.good("token list").contains("ci"), "the tokens of a user go with the user");
        let last = database.set_role("root", Role::Viewer).await.unwrap_err();
        assert!(matches!(last, AccountError::LastAdmin(_)), "{last}");
    }
}
