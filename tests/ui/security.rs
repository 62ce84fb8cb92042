//! Who gets in, and what a hostile page, name or client can do: nothing.

use std::time::Duration;

use rackstrap::lifecycle::EventData;
use rackstrap::lifecycle::event::{Report, ReportResult, Sent};
use rackstrap::model::Mac;
use reqwest::header::{HOST, LOCATION};

use super::server::{PASSWORD, Server, set_cookies};

const PAGES: [&str; 32] = [
    "/install-hosts?host=r1-n01&host=%3Cscript%3E&task=%3Cscript%3E",
    "/hosts/r1-n01/install",
    "/hosts",
    "/hosts?text=r1&state=up&sort=event&page=9",
    "/add-host",
    "/hosts/r1-n01",
    "/hosts/r1-n01/edit",
    "/hosts/r1-n01/remove",
    "/subnets",
    "/subnets/provisioning",
    "/profiles",
    "/keys",
    "/profiles/hypervisor",
    "/images",
    "/change?noun=profiles&name=hypervisor",
    "/change?noun=subnets",
    "/racks",
    "/racks/r1",
    "/edit-hosts?host=r1-n01&host=%3Cscript%3E",
    "/import",
    "/access",
    "/leases",
    "/discovered",
    "/events",
    "/revisions",
    "/revisions/1",
    "/revisions/1/revert",
    "/leases/10.77.0.9/remove",
    "/access/tokens/x/remove",
    "/live",
    "/live/hosts/r1-n01",
    "/live/racks/r1",
];
const FORMS: [&str; 16] = [
    "/import/x",
    "/install-hosts",
    "/hosts/r1-n01/install",
    "/logout",
    "/add-host",
    "/hosts/r1-n01/edit",
    "/hosts/r1-n01/remove",
    "/change",
    "/revisions/1/revert",
    "/edit-hosts",
    "/access/tokens",
    "/access/tokens/x/remove",
    "/leases/10.77.0.9/remove",
    "/checks/fix",
    "/access/password",
    "/access/theme",
];

#[tokio::test]
async fn without_a_login_every_page_leads_to_the_login() {
    let server = Server::start().await;
    let stranger = server.stranger();
    for path in PAGES {
        let answer = stranger.get(path).await;
        assert_eq!(answer.status(), 303, "{path}");
        let location = answer.headers()[LOCATION].to_str().unwrap().to_owned();
        assert!(location.starts_with("/login"), "{path} leads to {location}");
    }
    for path in FORMS {
        let answer = stranger.post(path, "name=r1-n01").await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()[LOCATION].to_str().unwrap()),
            (303, "/login"),
            "{path}"
        );
    }
    assert!(server.app.inventory.snapshot().site.hosts.contains_key("r1-n01"));
}

#[tokio::test]
async fn the_login_leads_back_to_what_was_asked_for() {
    let server = Server::start().await;
    let visitor = server.stranger();
    let wanted = visitor.get("/hosts/r1-n01?x=1").await;
    let login = wanted.headers()[LOCATION].to_str().unwrap().to_owned();
    let fields = super::server::fields(&visitor.page(&login).await);
    let then = fields.iter().find(|(name, _)| name == "then").unwrap().1.clone();
    let values = [("name", "ada"), ("password", PASSWORD), ("then", then.as_str())];
    let answer = visitor.fill_in("/login", &values).await;
    assert_eq!(answer.headers()[LOCATION], "/hosts/r1-n01?x=1");
    let cookie =
        set_cookies(answer.headers()).into_iter().find(|c| c.starts_with("rackstrap=")).unwrap();
    for word in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
}

#[tokio::test]
async fn after_the_logout_the_cookie_is_worth_nothing() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let answer = operator.get("/hosts").await;
    assert_eq!(answer.status(), 200);
    let csrf = csrf(&answer.text().await.unwrap());
    assert_eq!(operator.post("/logout", format!("csrf={csrf}")).await.status(), 303);
    assert_eq!(operator.get("/hosts").await.status(), 303);
}

#[tokio::test]
async fn a_removed_user_is_out_at_once() {
    let server = Server::start().await;
    let operator = server.operator().await;
    server.app.inventory.database.remove_user("ada").await.unwrap();
    assert_eq!(operator.get("/hosts").await.status(), 303);
}

#[tokio::test]
async fn wrong_passwords_make_the_next_try_wait() {
    let server = Server::start().await;
    let visitor = server.stranger();
    for _ in 0..3 {
        let answer = visitor.log_in("ada", "wrong password").await;
        assert_eq!(answer.status(), 401);
        assert!(answer.text().await.unwrap().contains("Wrong name or password."));
    }
    // The wait doubles with each wrong password that is looked at. A second may be over before a
    // busy computer asks, four are not.
    let mut is_long = false;
    while !is_long {
        let answer = visitor.log_in("ada", "wrong password").await;
        if answer.status() == 401 {
            continue;
        }
        assert_eq!(answer.status(), 429);
        let html = answer.text().await.unwrap();
        let (_, rest) = html.split_once("Try again in ").expect("how long");
        let (seconds, _) = rest.split_once(" s").unwrap();
        let seconds: u64 = seconds.parse().unwrap();
        is_long = seconds >= 4;
        if !is_long {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }
    // The right one waits as well.
    assert_eq!(visitor.log_in("ada", PASSWORD).await.status(), 429);
}

#[tokio::test]
async fn a_form_without_its_token_changes_nothing() {
    let server = Server::start().await;
    let operator = server.operator().await;
    for path in FORMS {
        for body in ["name=r1-n01", "csrf=&name=r1-n01", "csrf=0123456789&name=r1-n01"] {
            let answer = operator.post(path, body).await;
            assert_eq!(answer.status(), 403, "{path} {body}");
        }
    }
    assert_eq!(
        server.stranger().post("/login", format!("name=ada&password={PASSWORD}")).await.status(),
        403
    );
    assert_eq!(operator.get("/hosts/r1-n01").await.status(), 200);
}

#[tokio::test]
async fn a_page_of_another_site_can_send_nothing() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let csrf = csrf(&operator.page("/hosts/r1-n01/remove").await);
    for (header, value) in [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")] {
        let request = operator.client.post(format!("{}/hosts/r1-n01/remove", server.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let body = format!("csrf={csrf}&name=r1-n01");
        let answer = request.header(header, value).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{header}: {value}");
    }
}

#[tokio::test]
async fn a_foreign_host_name_is_refused() {
    let server = Server::start().await;
    let operator = server.operator().await;
    for (host, status) in
        [("evil.example", 421), ("192.0.2.1:8080", 421), ("localhost:1", 200), ("[::1]", 200)]
    {
        let request = operator.client.get(format!("{}/hosts", server.url)).header(HOST, host);
        assert_eq!(request.send().await.unwrap().status(), status, "{host}");
    }
}

#[tokio::test]
async fn too_large_a_head_is_refused_with_a_page_that_names_the_limit() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let long = "x".repeat(33 << 10);
    let ask = |query: &str| operator.client.get(format!("{}/hosts{query}", server.url));
    let cases = [
        (ask(&format!("?text={long}")), 414, "at most 32768 are allowed"),
        (ask("").header("x-forwarded-for", long.repeat(2)), 431, "at most 49152 are allowed"),
    ];
    for (request, status, says) in cases {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        let html = answer.text().await.unwrap();
        assert!(html.contains(says) && html.contains("<html"), "{html}");
    }
    assert_eq!(ask("").header("x-forwarded-for", long).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn every_page_has_its_headers_and_nothing_inline() {
    let server = Server::start().await;
    let operator = server.operator().await;
    for path in PAGES
        .into_iter()
        .filter(|path| !path.starts_with("/live"))
        .chain(["/nowhere", "/hosts/nobody"])
    {
        let answer = operator.get(path).await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        for (name, value) in [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY")] {
            assert_eq!(answer.headers()[name], value, "{path}");
        }
        // The form of a change is kept by the browser, for "Back"; nothing else is.
        let parts = path.split('?').next().unwrap();
        let is_form = (FORMS.contains(&parts) || parts == "/import") && answer.status() == 200;
        let is_own = parts.starts_with("/access") || parts == "/logout";
        let caching = if is_form && !is_own { "private, no-cache" } else { "no-store" };
        assert_eq!(answer.headers()["cache-control"], caching, "{path}");
        let html = answer.text().await.unwrap();
        assert_nothing_inline(path, &html);
    }
    let login = server.stranger().page("/login").await;
    assert_nothing_inline("/login", &login);
}

#[tokio::test]
async fn what_clients_say_is_shown_and_never_run() {
    const CORPUS: [&str; 7] = [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "\"><svg onload=alert(1)>",
        "' onmouseover='alert(1)",
        "</textarea><script>alert(1)</script>",
        "{{7*7}}${7*7}",
        "javascript:alert(1)//\u{202e}",
    ];
    let server = Server::start().await;
    let (events, database) = (&server.app.inventory.events, &server.app.inventory.database);
    for text in CORPUS {
        let to = std::net::Ipv4Addr::LOCALHOST.into();
        let sent = Sent { to, file: text.to_owned(), bytes: 1, milliseconds: None };
        events.record(Some("r1-n01"), None, EventData::Kernel(sent));
        let mac = Some(Mac([2, 0, 0, 0, 0, 9]));
        let report = Report { verdict: ReportResult::Failed, text: text.to_owned() };
        events.record(Some(text), mac, EventData::Report(report));
    }
    let report = rackstrap::inventory::StoredReport { at_ms: 1, body: CORPUS.concat() };
    database.set_report("r1-n01", &report).await.unwrap();
    let operator = server.operator().await;
    let url = format!("/events?text={}&host={0}", "%22%3E%3Cscript%3Ealert(1)");
    for path in ["/hosts/r1-n01", "/hosts", "/events", "/discovered", url.as_str()] {
        let html = operator.page(path).await;
        assert_nothing_inline(path, &html);
        assert!(!html.contains("<img src=x") && !html.contains("<svg onload"), "{path}");
    }
    let html = operator.page("/hosts/r1-n01").await;
    assert!(html.contains("&#60;script&#62;alert(1)"), "the text itself is shown");
}

/// No script but our files', no style, no handler, no link that runs something.
fn assert_nothing_inline(path: &str, html: &str) {
    let own = ["live.js", "palette.js", "rack.js"]
        .map(|file| format!("<script src=\"/static/{file}\" defer></script>"));
    let rest = own.iter().fold(html.to_owned(), |rest, script| rest.replace(script, ""));
    for wrong in ["<script", "<style", " style=", "href=\"javascript:", "href='"] {
        assert!(!rest.contains(wrong), "{path} has {wrong}: {html}");
    }
    for tag in rest.split('<').skip(1).filter_map(|tag| tag.split('>').next()) {
        let handler =
            tag.split_whitespace().find(|word| word.starts_with("on") && word.contains('='));
        assert_eq!(handler, None, "{path}: <{tag}>");
    }
}

/// The token of a page's first form.
pub(super) fn csrf(html: &str) -> String {
    let (_, rest) = html.split_once("name=\"csrf\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}
