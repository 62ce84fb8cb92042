//! What must hold of any request of a stranger to the listener of operators, with the real routes: pages,
//! API, and the way back from an OpenID Connect provider.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, OnceLock, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use tower::ServiceExt;

use super::pending::{LASTS, PendingLogin};
use crate::app::App;
use crate::config::{Config, OidcIssuer};
use crate::exercise::TestServer;
use crate::http::ui;

const SITE: &str = "hosts: {n1: {nics: {eth0: \"52:54:00:aa:00:01\"}}}\n";
/// Nothing listens there: a login that comes so far ends with an error of the provider.
const ISSUER: &str = "http://127.0.0.1:9/";
/// The `state` of the login that a browser has begun.
const STATE: &str = "0123456789abcdef";
/// What an input writes for the cookie of that login.
const BEGUN: &str = "{begun}";
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS];

/// A request without a session and without a token is answered, never by a failure of the server,
/// and is given no page and no object of the inventory. The input has lines: method and path, cookies,
/// `Authorization`, and the body.
pub(crate) fn stranger(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (first, cookie, authorization, body) = (line(), line(), line(), line());
    let (word, path) = first.split_once(' ').unwrap_or(("GET", first));
    let method = METHODS.into_iter().find(|method| method.as_str() == word).unwrap_or_default();
    let Ok(uri) = format!("/{}", path.trim_start_matches('/')).parse::<Uri>() else { return };
    // Half a second of a password's hash is no use here.
    if method == Method::POST && uri.path() == "/login" {
        return;
    }
    let Some(status) = answer(&method, &uri, [cookie, authorization], body) else { return };
    let is_provider = uri.path() == "/login/oidc" || uri.path() == "/login/oidc/callback";
    let may_fail =
        is_provider && matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE);
    assert!(!status.is_server_error() || may_fail, "{method} {uri}: {status}");
    let is_open = uri.path().starts_with("/login")
        || uri.path().starts_with("/static/")
        || ["/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"].contains(&uri.path());
    assert!(!status.is_success() || is_open, "{method} {uri}: {status} to a stranger");
}

/// The status of the answer; none for what is no request at all.
fn answer(method: &Method, uri: &Uri, headers: [&str; 2], body: &str) -> Option<StatusCode> {
    static ROUTES: OnceLock<(Mutex<TestServer>, Router, String)> = OnceLock::new();
    let (stage, routes, begun) = ROUTES.get_or_init(|| {
        let oidc_issuer = Some(ISSUER.parse::<OidcIssuer>().expect("an issuer"));
        let config = Config { oidc_issuer, ..Config::default() };
        let stage = TestServer::set(config, SITE);
        let routes = stage.block_on(async { ui::router(App::clone(&stage.app)) });
        let begun = begun(&stage);
        (Mutex::new(stage), routes, begun)
    });
    let [cookie, authorization] = headers;
    let cookie = HeaderValue::from_str(&cookie.replace(BEGUN, begun)).ok()?;
    let authorization = HeaderValue::from_str(authorization).ok()?;
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::HOST, "localhost")
        .header(header::COOKIE, cookie)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .extension(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000))));
    if !authorization.is_empty() {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let request = request.body(Body::from(body.to_owned())).ok()?;
    let stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(response) = stage.block_on(routes.clone().oneshot(request));
    Some(response.status())
}

/// The cookie of a login that was begun here.
fn begun(stage: &TestServer) -> String {
    let pending = PendingLogin {
        issuer: ISSUER.into(),
        state: STATE.into(),
        nonce: "nonce".into(),
        verifier: "verifier".into(),
        redirect_url: "http://localhost/login/oidc/callback".into(),
        then: "/".into(),
        expires_at: jiff::Timestamp::now().as_second() + LASTS,
    };
    let cookie = pending.cookie(&stage.app.inventory).expect("a key and a short login");
    let text = cookie.to_str().expect("a cookie is text");
    text.split(';').next().unwrap_or_default().to_owned()
}
