//! Logins by OpenID Connect: the provider is oidc-provider-mock (Flask and Authlib), with PKCE checked.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rackstrap::config::Config;
use rackstrap::inventory::{AuditQuery, Inventory, ProvidedUser};
use rackstrap::lifecycle::audit::Origin;
use rackstrap::model::Role;
use reqwest::header::{COOKIE, LOCATION};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use crate::common::desk::Desk;
use crate::common::store::Store;
use crate::common::tools;
use crate::ui::browser::Browser;
use crate::ui::server::{PASSWORD, Server, Visitor, set_cookies};

/// A provider on a loopback port; ends with the test.
struct Provider {
    python: PathBuf,
    port: u16,
    url: String,
    process: Child,
    client: Client,
    /// The secret of this server there: the provider takes any, but not none.
    secret: NamedTempFile,
    /// Its certificate and its key, if it speaks HTTPS.
    tls: Option<[PathBuf; 2]>,
}

impl Provider {
    async fn start(test: &str) -> Option<Self> {
        Self::start_with(test, None).await
    }

    /// Starts one that speaks HTTPS, if it is given a certificate and a key.
    async fn start_with(test: &str, tls: Option<[PathBuf; 2]>) -> Option<Self> {
        let tools = tools::python(test, "oidc-tools", &["oidc-provider-mock==0.3.4"])?;
        let python = tools.join("python3");
        let port = free_port();
        let process = run(&python, port, tls.as_ref());
        let mut client = Client::builder().redirect(redirect::Policy::none());
        if let Some([certificate, _]) = &tls {
            let pem = std::fs::read(certificate).unwrap();
            client = client.add_root_certificate(reqwest::Certificate::from_pem(&pem).unwrap());
        }
        let client = client.build().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}");
        let secret = NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "hunter2\n").unwrap();
        let provider = Self { python, port, url, process, client, secret, tls };
        provider.wait().await;
        Some(provider)
    }

    async fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        while self.client.get(&self.url).send().await.is_err() {
            assert!(Instant::now() < end, "the provider does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again, with another key to sign with and without its users.
    async fn restart(&mut self) {
        self.stop();
        self.process = run(&self.python, self.port, self.tls.as_ref());
        self.wait().await;
    }

    /// What is known of somebody.
    async fn user(&self, subject: &str, claims: Value) {
        let request = self.client.put(format!("{}/users/{subject}", self.url)).json(&claims);
        assert_eq!(request.send().await.unwrap().status(), 204);
    }

    /// What the provider's page does: sends the browser back, with a code for `subject` or a refusal.
    async fn log_in(&self, page: &str, subject: Option<&str>) -> String {
        let form = match subject {
            Some(subject) => format!("sub={subject}"),
            None => "action=deny".to_owned(),
        };
        let request = self.client.post(page).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        location(&request.send().await.unwrap())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn run(python: &Path, port: u16, tls: Option<&[PathBuf; 2]>) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/oidc-provider.py");
    let mut command = Command::new(python);
    command.arg(script).arg(port.to_string()).args(tls.into_iter().flatten());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn location(answer: &Response) -> String {
    let text = || format!("{} without a location", answer.status());
    answer.headers().get(LOCATION).unwrap_or_else(|| panic!("{}", text())).to_str().unwrap().into()
}

fn config(provider: &Provider) -> Config {
    Config {
        oidc_issuer: Some(provider.url.parse().unwrap()),
        oidc_name: "Example <SSO>".into(),
        oidc_client_id: "rackstrap".into(),
        oidc_client_secret_file: Some(provider.secret.path().to_owned()),
        oidc_admins: vec!["infra-admins".into()],
        oidc_operators: vec!["infra".into()],
        oidc_viewers: vec!["staff".into()],
        ..Config::default()
    }
}

/// A server with a key file, as `serve` has one, that knows the provider.
async fn server(config: Config) -> Server {
    let server = Server::with_config(config).await;
    let key = server.app.config.now().secret_key_path();
    server.app.inventory.use_key_file(&key, true).await.unwrap();
    server
}

fn claims(name: &str, groups: &[&str]) -> Value {
    json!({"preferred_username": name, "groups": groups})
}

/// The path of a URL of the server.
fn path<'a>(server: &Server, url: &'a str) -> &'a str {
    url.strip_prefix(&server.url).unwrap_or_else(|| panic!("{url} is elsewhere"))
}

/// Logs in by the provider, as a browser would.
async fn log_in(server: &Server, provider: &Provider, subject: &str) -> (Visitor, Response) {
    let visitor = server.stranger();
    let page = location(&visitor.get("/login/oidc?then=%2Fhosts").await);
    let back = provider.log_in(&page, Some(subject)).await;
    let answer = visitor.get(path(server, &back)).await;
    (visitor, answer)
}

/// What a refused login says.
async fn refused(server: &Server, provider: &Provider, subject: &str) -> (StatusCode, String) {
    let (visitor, answer) = log_in(server, provider, subject).await;
    assert_eq!(visitor.get("/hosts").await.status(), 303, "{subject} is logged in");
    said(answer).await
}

async fn said(answer: Response) -> (StatusCode, String) {
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(text.contains("name=\"password\""), "local users can log in: {text}");
    let error = text.split_once("role=\"alert\">").map(|(_, rest)| rest);
    let error = error.and_then(|rest| rest.split_once("</p>")).unwrap_or_else(|| panic!("{text}"));
    (status, error.0.replace("&#34;", "\""))
}

async fn audited(inventory: &Inventory) -> Vec<String> {
    let query = AuditQuery { limit: 1000, oldest_first: true, ..AuditQuery::default() };
    let entries = inventory.database.page_audit(&query).await.unwrap();
    entries.iter().map(|stored| stored.entry.text()).collect()
}

#[tokio::test]
async fn a_provider_logs_people_in_with_the_role_of_their_groups() {
    let Some(mut provider) = Provider::start("oidc").await else { return };
    let server = server(config(&provider)).await;
    let inventory = &server.app.inventory;
    provider.user("u-1", claims("nora", &["staff", "infra"])).await;

    // The button leads to the provider, with PKCE, state and nonce, for the redirect URL of this name.
    let page = server.stranger().page("/login?then=/hosts").await;
    assert!(page.contains("href=\"/login/oidc?then=%2Fhosts\""), "{page}");
    assert!(page.contains("Log in with Example &#60;SSO&#62;"), "{page}");
    let begun = server.stranger().get("/login/oidc").await;
    let cookie = set_cookies(begun.headers()).remove(0);
    for part in ["HttpOnly", "SameSite=Lax", "Path=/login/oidc", "Max-Age=600"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    let url = location(&begun);
    let redirect = server.url.replace(':', "%3A").replace('/', "%2F");
    for part in [
        "response_type=code".to_owned(),
        "client_id=rackstrap".to_owned(),
        "code_challenge_method=S256".to_owned(),
        "scope=openid+profile".to_owned(),
        format!("redirect_uri={redirect}%2Flogin%2Foidc%2Fcallback"),
    ] {
        assert!(url.contains(&part), "{part}: {url}");
    }

    // The first login makes the user; the page goes on by itself.
    let (nora, answer) = log_in(&server, &provider, "u-1").await;
    assert_eq!(answer.status(), 200);
    let cookies = set_cookies(answer.headers());
    assert!(cookies.iter().any(|cookie| cookie.starts_with("rackstrap-oidc=;")), "{cookies:?}");
    let session = cookies.iter().find(|cookie| cookie.starts_with("rackstrap=")).unwrap();
    assert!(session.contains("SameSite=Strict"), "{session}");
    let text = answer.text().await.unwrap();
    assert!(text.contains("http-equiv=\"refresh\" content=\"0; url=/hosts\""), "{text}");
    assert!(nora.page("/hosts").await.contains("nora"));
    let user = inventory.database.find_user("nora").await.unwrap().unwrap();
    assert_eq!((user.role, user.issuer.as_ref()), (Role::Operator, Some(&provider.url)));
    assert_eq!(inventory.database.list_sessions("nora").await.unwrap().len(), 1);

    // Neither a password nor a second factor is asked for, or can be set here.
    let access = nora.page("/access").await;
    assert!(access.contains(&format!("You log in with {}", provider.url)), "{access}");
    assert!(!access.contains("/access/password") && !access.contains("/access/second-factor"));
    assert_ne!(server.stranger().log_in("nora", "").await.status(), 303);
    let ada = server.operator().await;
    assert!(ada.page("/users").await.contains(&provider.url));
    let html = ada.page("/users/nora").await;
    assert!(html.contains("whose groups say the role") && !html.contains("/users/nora/reset"));
    for (change, said) in [
        ("users/nora/role", "the role of &#34;nora&#34; follows from the groups"),
        ("users/nora/reset", "has no password here"),
    ] {
        let csrf = crate::ui::server::fields(&html)[0].1.clone();
        let answer = ada.post(&format!("/{change}"), format!("csrf={csrf}&role=admin")).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status == 422 && text.contains(said), "{change}: {text}");
    }

    // The role follows the groups, and the user stays the same one under another name.
    provider.user("u-1", claims("nora.new", &["infra-admins"])).await;
    let (_, answer) = log_in(&server, &provider, "u-1").await;
    assert!(answer.text().await.unwrap().contains("Logged in as nora."));
    let user = inventory.database.find_user("nora").await.unwrap().unwrap();
    assert_eq!(user.role, Role::Admin);
    provider.user("u-1", claims("nora", &["staff"])).await;
    log_in(&server, &provider, "u-1").await;
    assert_eq!(nora.get("/change").await.status(), 403, "an open session has the role, too");

    // A local admin who can log in stays, whoever comes by the provider.
    provider.user("u-2", claims("root", &["infra-admins"])).await;
    log_in(&server, &provider, "u-2").await;
    let error = inventory.database.set_role("ada", Role::Viewer).await.unwrap_err().to_string();
    assert!(error.contains("the last admin who can log in with a password"), "{error}");

    // A key that is newer than what is known; and groups that only the userinfo has.
    provider.restart().await;
    provider
        .user(
            "u-3",
            json!({"preferred_username": "mail@example.net", "userinfo": {"groups": "infra"}}),
        )
        .await;
    let (mail, answer) = log_in(&server, &provider, "u-3").await;
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    assert!(mail.page("/access").await.contains("mail@example.net"));
    assert_eq!(ada.get("/users/mail@example.net").await.status(), 200);
    let user = inventory.database.find_user("mail@example.net").await.unwrap().unwrap();
    assert_eq!(user.role, Role::Operator);

    let csrf = crate::ui::server::fields(&mail.page("/access").await)[0].1.clone();
    assert_eq!(mail.post("/logout", format!("csrf={csrf}")).await.status(), 303);
    assert_eq!(mail.get("/hosts").await.status(), 303);
    let texts = audited(inventory).await;
    for text in [
        "nora created user nora (operator) from 127.0.0.1".to_owned(),
        format!("nora logged in with {} from 127.0.0.1", provider.url),
        "nora gave nora the role admin (before: operator) from 127.0.0.1".to_owned(),
        "nora gave nora the role viewer (before: admin) from 127.0.0.1".to_owned(),
        "mail@example.net logged out from 127.0.0.1".to_owned(),
    ] {
        assert!(texts.contains(&text), "{text}: {texts:#?}");
    }
}

#[tokio::test]
async fn who_may_not_log_in_reads_why() {
    let Some(provider) = Provider::start("oidc").await else { return };
    let server = server(config(&provider)).await;
    let inventory = &server.app.inventory;

    // What the provider signs replaces what it would say by itself.
    let with = |name: &str, value: Value| {
        let mut claims = claims("eve", &["infra"]);
        claims[name] = value;
        claims
    };
    let cases = [
        (claims("eve", &["guests"]), 403, "None of the groups of \"eve\" may log in here"),
        (claims("eve", &[]), 403, "None of the groups of \"eve\""),
        (json!({"preferred_username": "eve"}), 403, "None of the groups of \"eve\""),
        (
            json!({"groups": ["infra"]}),
            403,
            "the claim \"preferred_username\" (oidc_name_claim) is missing",
        ),
        (claims("ada", &["infra"]), 403, "the name \"ada\" belongs to another user of this server"),
        (claims("a b", &["infra"]), 403, "letters, digits"),
        (claims("token ci", &["infra"]), 403, "letters, digits"),
        (with("aud", json!(["another-client"])), 403, "is not valid: Invalid audiences"),
        (with("nonce", json!("another")), 403, "is not valid: Invalid nonce"),
        (with("iss", json!("https://elsewhere.example")), 403, "is not valid: Invalid issuer"),
        (with("exp", json!(1_700_000_000)), 403, "is not valid: Expired"),
    ];
    for (number, (claims, status, text)) in cases.into_iter().enumerate() {
        let subject = format!("case-{number}");
        provider.user(&subject, claims.clone()).await;
        let (got, said) = refused(&server, &provider, &subject).await;
        assert!(got == status && said.contains(text), "{claims}: {got} {said}");
    }
    assert_eq!(inventory.database.list_users().await.unwrap().len(), 1, "nobody was added");

    // A disabled user.
    provider.user("u-1", claims("nora", &["infra"])).await;
    log_in(&server, &provider, "u-1").await;
    inventory.database.set_disabled("nora", true).await.unwrap();
    let (status, text) = refused(&server, &provider, "u-1").await;
    assert!(status == 403 && text.contains("user \"nora\" is disabled"), "{text}");
    inventory.database.set_disabled("nora", false).await.unwrap();

    // Somebody else of the provider who takes the name.
    provider.user("u-9", claims("nora", &["infra-admins"])).await;
    let (status, text) = refused(&server, &provider, "u-9").await;
    assert!(status == 403 && text.contains("the name \"nora\" belongs to another"), "{text}");

    let texts = audited(inventory).await;
    for text in [
        "login as \"eve\" by the provider failed: none of the user's groups has a role from 127.0.0.1",
        "login as \"ada\" by the provider failed: the name is taken or not allowed from 127.0.0.1",
        "login as \"nora\" by the provider failed: the user is disabled from 127.0.0.1",
        "login by the provider failed: the provider's answer is not valid from 127.0.0.1",
    ] {
        assert!(texts.iter().any(|said| said.starts_with(text)), "{text}: {texts:#?}");
    }
}

#[tokio::test]
async fn an_answer_belongs_to_one_login_of_one_browser() {
    let Some(provider) = Provider::start("oidc").await else { return };
    let server = server(config(&provider)).await;
    provider.user("u-1", claims("nora", &["infra"])).await;
    let callback = "/login/oidc/callback";
    let not_begun = "was started in another browser or tab";

    // Whatever anybody makes up.
    for (query, status, text) in [
        ("", 400, "\"state\" is missing"),
        ("?code=x", 400, "\"state\" is missing"),
        ("?state=x", 400, "neither \"code\" nor \"error\""),
        ("?state=x&state=y&code=z", 400, "\"state\" is given twice"),
        ("?state=x&code=y", 400, not_begun),
        ("?state=x&error=access_denied&error_description=%3Cb%3E", 400, not_begun),
    ] {
        let (got, said) = said(server.stranger().get(&format!("{callback}{query}")).await).await;
        assert!(got == status && said.contains(text), "{query}: {got} {said}");
    }
    let long = format!("{callback}?state=x&code={}", "y".repeat(5000));
    assert!(said(server.stranger().get(&long).await).await.1.contains("\"code\" is too long"));

    // The answer to somebody else's login: a browser is not logged in as whoever sends it a link.
    let (victim, attacker) = (server.stranger(), server.stranger());
    location(&victim.get("/login/oidc").await);
    let page = location(&attacker.get("/login/oidc").await);
    let back = provider.log_in(&page, Some("u-1")).await;
    let (status, text) = said(victim.get(path(&server, &back)).await).await;
    assert!(status == 400 && text.contains(not_begun), "{text}");
    assert_eq!(victim.get("/hosts").await.status(), 303);

    // A state that was changed on the way, and an issuer that is another (RFC 9207).
    for change in [("state=", "state=x"), ("code=", "iss=https%3A%2F%2Felsewhere.example&code=")] {
        let visitor = server.stranger();
        let page = location(&visitor.get("/login/oidc").await);
        let back = provider.log_in(&page, Some("u-1")).await.replacen(change.0, change.1, 1);
        let (status, text) = said(visitor.get(path(&server, &back)).await).await;
        assert!(status == 400 && text.contains(not_begun), "{text}");
    }

    // The provider refuses; a code that it never gave, and one of another login, which PKCE tells apart.
    let visitor = server.stranger();
    let page = location(&visitor.get("/login/oidc").await);
    let back = provider.log_in(&page, None).await;
    let back = if back.contains("state=") { back } else { format!("{back}&{}", state_of(&page)) };
    let (status, text) = said(visitor.get(path(&server, &back)).await).await;
    assert!(status == 403 && text.contains("access_denied"), "{text}");
    let other = location(&server.stranger().get("/login/oidc").await);
    let other = provider.log_in(&other, Some("u-1")).await;
    for code in ["code=made-up", code_of(&other)] {
        let visitor = server.stranger();
        let page = location(&visitor.get("/login/oidc").await);
        let answer = visitor.get(&format!("{callback}?{code}&{}", state_of(&page))).await;
        let (status, text) = said(answer).await;
        assert!(status == 403 && text.contains("rejected the login"), "{code}: {text}");
    }

    // The same answer twice: the browser has forgotten the login.
    let visitor = server.stranger();
    let page = location(&visitor.get("/login/oidc").await);
    let back = provider.log_in(&page, Some("u-1")).await;
    assert_eq!(visitor.get(path(&server, &back)).await.status(), 200);
    let (status, text) = said(visitor.get(path(&server, &back)).await).await;
    assert!(status == 400 && text.contains(not_begun), "{text}");

    // Who kept the cookie: the provider takes no code twice, and this server no state twice, even with
    // a code that is new.
    let begun = server.stranger().get("/login/oidc").await;
    let cookie = set_cookies(begun.headers())[0].split(';').next().unwrap().to_owned();
    let page = location(&begun);
    let codes =
        [provider.log_in(&page, Some("u-1")).await, provider.log_in(&page, Some("u-1")).await];
    let thief = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let get = async |url: &str| thief.get(url).header(COOKIE, &cookie).send().await.unwrap();
    assert_eq!(get(&codes[0]).await.status(), 200);
    let (status, text) = said(get(&codes[0]).await).await;
    assert!(status == 403 && text.contains("rejected the login"), "{text}");
    let (status, text) = said(get(&codes[1]).await).await;
    assert!(status == 400 && text.contains("was completed before"), "{text}");

    // A cookie that was changed.
    let begun = server.stranger().get("/login/oidc").await;
    let mut cookie = set_cookies(begun.headers())[0].split(';').next().unwrap().to_owned();
    cookie.truncate(cookie.len() - 8);
    let back = provider.log_in(&location(&begun), Some("u-1")).await;
    let answer = thief.get(&back).header(COOKIE, &cookie).send().await.unwrap();
    let (status, text) = said(answer).await;
    assert!(status == 400 && text.contains(not_begun), "{text}");
}

fn state_of(page: &str) -> &str {
    let at = page.find("state=").unwrap();
    page[at..].split('&').next().unwrap()
}

fn code_of(page: &str) -> &str {
    let at = page.find("code=").unwrap();
    page[at..].split('&').next().unwrap()
}

#[tokio::test]
async fn made_up_codes_make_their_sender_wait_before_the_provider_is_asked() {
    let test = "made_up_codes_make_their_sender_wait_before_the_provider_is_asked";
    let Some(provider) = Provider::start(test).await else { return };
    let server = server(config(&provider)).await;
    let (mut asked, mut waited) = (0, 0);
    for number in 0..40 {
        let visitor = server.stranger();
        let page = location(&visitor.get("/login/oidc").await);
        let url = format!("/login/oidc/callback?code=made-up-{number}&{}", state_of(&page));
        let (status, text) = said(visitor.get(&url).await).await;
        match status.as_u16() {
            429 => {
                assert!(text.contains("Too many logins from your address failed"), "{text}");
                waited += 1;
            }
            _ => {
                assert!(status == 403 && text.contains("rejected the login"), "{text}");
                asked += 1;
            }
        }
    }
    // A slow machine lets one more through for each second that passes.
    assert!(asked >= 30 && waited > 0, "{asked} asked, {waited} waited");
}

#[tokio::test]
async fn local_users_log_in_while_the_provider_is_away() {
    let Some(mut provider) = Provider::start("oidc").await else { return };
    provider.stop();
    std::fs::write(provider.secret.path(), "").unwrap();
    let server = server(Config { oidc_name: String::new(), ..config(&provider) }).await;
    let host = provider.url.trim_start_matches("http://");
    assert!(server.stranger().page("/login").await.contains(&format!("Log in with {host}")));
    let visitor = server.stranger();
    let (status, text) = said(visitor.get("/login/oidc?then=%2Fhosts").await).await;
    assert!(status == 502 && text.contains("is unreachable: "), "{status} {text}");
    assert!(text.contains("refused"), "{text}");
    let answer = visitor.log_in("ada", PASSWORD).await;
    assert_eq!(answer.status(), 303);

    // It is back, and goes away while somebody logs in there.
    provider.restart().await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    provider.user("u-1", claims("nora", &["infra"])).await;
    let visitor = server.stranger();
    let page = location(&visitor.get("/login/oidc").await);
    let back = provider.log_in(&page, Some("u-1")).await;
    let (status, text) = said(visitor.get(path(&server, &back)).await).await;
    assert!(status == 500 && text.contains("is not set up right"), "an empty secret: {text}");
    std::fs::write(provider.secret.path(), "hunter2\n").unwrap();
    let visitor = server.stranger();
    let page = location(&visitor.get("/login/oidc").await);
    let back = provider.log_in(&page, Some("u-1")).await;
    provider.stop();
    let (status, text) = said(visitor.get(path(&server, &back)).await).await;
    assert!(status == 502 && text.contains("is unreachable: "), "{text}");

    // What is no provider; and a server without one.
    let other = Config {
        oidc_issuer: Some(format!("{}/static", server.url).parse().unwrap()),
        ..config(&provider)
    };
    let other = self::server(other).await;
    let (status, text) = said(other.stranger().get("/login/oidc").await).await;
    assert!(status == 502 && text.contains("is not an OpenID Connect provider"), "{text}");
    let none = Server::start().await;
    for page in ["/login/oidc", "/login/oidc/callback?state=x&code=y"] {
        assert_eq!(none.stranger().get(page).await.status(), 404, "{page}");
    }
    assert!(!none.stranger().page("/login").await.contains("/login/oidc"));
}

#[tokio::test]
async fn a_reverse_proxy_and_a_name_are_in_the_redirect_url() {
    let Some(provider) = Provider::start("oidc").await else { return };
    let config = Config {
        admin_names: vec!["rackstrap.example.net".into()],
        trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()],
        ..config(&provider)
    };
    let server = server(config).await;
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let ask = async |host: &str, proto: &str| {
        let request = client.get(format!("{}/login/oidc", server.url));
        let request = request.header("host", host).header("x-forwarded-proto", proto);
        request.send().await.unwrap()
    };
    for (host, proto, redirect) in [
        ("rackstrap.example.net", "https", "https%3A%2F%2Frackstrap.example.net%2Flogin"),
        ("rackstrap.example.net:8443", "https", "https%3A%2F%2Frackstrap.example.net%3A8443%2F"),
        ("localhost", "http", "http%3A%2F%2Flocalhost%2Flogin"),
    ] {
        let answer = ask(host, proto).await;
        let url = location(&answer);
        assert!(url.contains(&format!("redirect_uri={redirect}")), "{host}: {url}");
        let is_secure = set_cookies(answer.headers())[0].contains("Secure");
        assert_eq!(is_secure, proto == "https", "{host}");
    }
    assert_eq!(ask("evil.example", "https").await.status(), 421);
}

#[tokio::test]
async fn identities_are_stored_once_and_commands_show_them() {
    for store in Store::both().await {
        let desk = Desk::new(store);
        let inventory = desk.store.inventory().await;
        let database = &inventory.database;
        let ann = ProvidedUser {
            issuer: "https://id.example.net",
            subject: "1",
            name: "ann",
            role: Role::Admin,
        };
        let other = desk.store.inventory().await;
        let (one, two) = tokio::join!(
            inventory.admit(ann, Origin::default()),
            other.admit(ann, Origin::default())
        );
        assert_eq!((one.unwrap(), two.unwrap()), ("ann".to_owned(), "ann".to_owned()));
        let another = ProvidedUser { subject: "2", ..ann };
        assert!(inventory.admit(another, Origin::default()).await.is_err());
        let elsewhere = ProvidedUser { issuer: "https://other.example", ..ann };
        assert!(inventory.admit(elsewhere, Origin::default()).await.is_err());
        assert_eq!(database.list_users().await.unwrap().len(), 1);

        let later = 4_000_000_000;
        assert!(database.complete_login("state", later).await.unwrap());
        assert!(!database.complete_login("state", later).await.unwrap());
        assert!(database.complete_login("old", 1).await.unwrap());
        assert!(database.complete_login("old", later).await.unwrap(), "forgotten");

        let list = desk.good("user list");
        assert!(list.contains("LOGIN BY") && list.contains("https://id.example.net"), "{list}");
        assert_eq!(desk.json("user list")[0]["issuer"], "https://id.example.net");
        assert!(desk.good("user show ann").contains("logs in with https://id.example.net"));
        assert!(desk.bad("user role ann viewer")[0].contains("follows from the groups"));
        assert!(desk.bad("user reset ann")[0].contains("has no password here"));
        desk.good("user disable ann");
        assert!(inventory.admit(ann, Origin::default()).await.is_err());
        assert!(desk.good("audit --kind user-added").contains("created user ann"));
        desk.good("user remove ann");
        assert_eq!(inventory.admit(another, Origin::default()).await.unwrap(), "ann");
    }
}

/// Browsers take `localhost` and an address for two sites: the way back from the provider is that of
/// another site's link, with which no `SameSite=Strict` cookie comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_comes_back_from_another_site_with_a_session() {
    let Some(provider) = Provider::start("oidc").await else { return };
    let elsewhere = format!("http://localhost:{}", provider.port);
    let config = Config { oidc_issuer: Some(elsewhere.parse().unwrap()), ..config(&provider) };
    let server = server(config).await;
    provider.user("u-1", claims("nora", &["infra"])).await;
    let browser = Browser::start().await;
    browser.client.goto(&format!("{}/hosts", server.url)).await.unwrap();
    browser.find("a[href='/login/oidc?then=%2Fhosts']").await;
    browser.screenshot("login-oidc").await;
    browser.click("a[href='/login/oidc?then=%2Fhosts']").await;
    browser.fill("input[name=sub]", "u-1").await;
    browser.click("form button[type=submit]").await;
    browser.wait_for_text("h1", "Hosts").await;
    let at = browser.client.current_url().await.unwrap();
    assert_eq!(at.as_str(), format!("{}/hosts", server.url));
    assert!(browser.client.source().await.unwrap().contains("nora"));
    browser.client.goto(&format!("{}/access", server.url)).await.unwrap();
    browser.wait_for_text("h1", "Access").await;
    browser.screenshot("access-oidc").await;
    browser.close().await;
}

/// The real program, which asks the provider; ended when dropped.
struct Program(Child, String);

impl Program {
    /// Trusts the certificates of `trusted`, beside none of this machine.
    async fn start(provider: &Provider, data: &Path, trusted: &Path) -> Self {
        let (admin, machine) = (free_port(), free_port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
        command.arg("--data-dir").arg(data).env("SSL_CERT_FILE", trusted);
        command.args(["--admin-listen", &format!("127.0.0.1:{admin}")]);
        command.args(["--machine-listen", &format!("127.0.0.1:{machine}"), "serve"]);
        let Config { oidc_client_id, oidc_admins, .. } = config(provider);
        command.env("RACKSTRAP_OIDC_ISSUER", &provider.url);
        command.env("RACKSTRAP_OIDC_CLIENT_ID", oidc_client_id);
        command.env("RACKSTRAP_OIDC_CLIENT_SECRET_FILE", provider.secret.path());
        command.env("RACKSTRAP_OIDC_ADMINS", oidc_admins.join(","));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let program = Self(child, format!("http://127.0.0.1:{admin}"));
        let end = Instant::now() + Duration::from_secs(60);
        while provider.client.get(format!("{}/healthz", program.1)).send().await.is_err() {
            assert!(Instant::now() < end, "the server does not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_provider_is_asked_by_https_if_its_certificate_is_trusted() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    let write = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(at(&format!("{name}.crt")), made.cert.pem()).unwrap();
        std::fs::write(at(&format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    };
    write("provider");
    write("other");
    let tls = Some([at("provider.crt"), at("provider.key")]);
    let Some(provider) = Provider::start_with("oidc", tls).await else { return };
    provider.user("u-1", claims("nora", &["infra-admins"])).await;

    let program = Program::start(&provider, &at("data"), &at("other.crt")).await;
    let answer = provider.client.get(format!("{}/login/oidc", program.1)).send().await.unwrap();
    let (status, text) = said(answer).await;
    assert!(status == 502 && text.contains("certificate"), "{status} {text}");
    drop(program);

    let program = Program::start(&provider, &at("data"), &at("provider.crt")).await;
    let browser = Client::builder().cookie_store(true).redirect(redirect::Policy::none());
    let browser = browser.build().unwrap();
    let get = |url: String| browser.get(url).send();
    let page = location(&get(format!("{}/login/oidc?then=%2Fusers", program.1)).await.unwrap());
    assert!(page.starts_with("https://127.0.0.1:"), "{page}");
    let back = provider.log_in(&page, Some("u-1")).await;
    assert_eq!(get(back).await.unwrap().status(), 200, "the page goes on by itself");
    let users = get(format!("{}/users", program.1)).await.unwrap();
    assert_eq!(users.status(), 200);
    assert!(users.text().await.unwrap().contains("nora"));
}
