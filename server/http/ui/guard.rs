//! Security headers on every response, a check of the Host header against DNS rebinding, and
//! bounds of a request's head.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::state::Ui;
use crate::config::Config;

/// Nothing inline, nothing from elsewhere, no framing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// The longest path and query, in bytes: a page of hosts follows as many as it shows by name. hyper
/// answers more than 65,534 bytes by itself, without a body.
pub(super) const URI_BYTES: usize = 32 << 10;
/// The most bytes of header fields, each with the 4 around it. hyper answers more than 8 KiB +
/// 100 x 4 KiB over HTTP/1, and more than 64 KiB over HTTP/2, by itself, without a body.
pub(super) const HEADER_BYTES: usize = 48 << 10;

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Refuses a request for a foreign name, from a foreign page or with too large a head, and sets the
/// security headers.
pub(crate) async fn check(State(ui): State<Ui>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&request, &ui.app.config.now()) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // Pages show the inventory: they are not for a shared cache.
    let caching = response.headers_mut().entry(header::CACHE_CONTROL);
    caching.or_insert(HeaderValue::from_static("no-store"));
    response
}

fn refusal(request: &Request, config: &Config) -> Option<Error> {
    let uri_bytes = request.uri().path_and_query().map_or(0, |it| it.as_str().len());
    if uri_bytes > URI_BYTES {
        return Some(Error::UriTooLong(uri_bytes));
    }
    let header_bytes =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    let header_bytes: usize = request.headers().iter().map(header_bytes).sum();
    if header_bytes > HEADER_BYTES {
        return Some(Error::HeadersTooLarge(header_bytes));
    }
    let authority = authority(request);
    if !is_own_name(&authority, config) {
        return Some(Error::WrongHost(authority));
    }
    if !request.method().is_safe() && is_foreign(request.headers(), &authority) {
        return Some(Error::Foreign);
    }
    None
}

/// The authority of the request, as the client wrote it.
pub(super) fn authority(request: &Request) -> String {
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let authority = header.or_else(|| request.uri().authority().map(|a| a.as_str()));
    authority.unwrap_or_default().to_owned()
}

/// Whether a Host header names this server: a loopback name or address, the address that
/// is listened on (any address where that is all of them: a rebound name is never an
/// address), or a name of the configuration.
fn is_own_name(authority: &str, config: &Config) -> bool {
    let host = without_port(authority).to_ascii_lowercase();
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    let listening = config.admin_listen.ip();
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || listening.is_unspecified() || address == listening,
        Err(_) => config.admin_names.iter().any(|name| name.eq_ignore_ascii_case(&host)),
    }
}

fn without_port(authority: &str) -> &str {
    if let Some(end) = authority.find(']') {
        return &authority[..=end];
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

/// Whether the browser says that another site's page sent this (Fetch Metadata, Origin).
fn is_foreign(headers: &HeaderMap, authority: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text("origin") else { return false };
    let from = origin.split_once("://").map_or(origin, |(_, from)| from);
    !from.eq_ignore_ascii_case(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_answered() {
        let mut config =
            Config { admin_names: vec!["rackstrap.example.net".into()], ..Config::default() };
        let cases = [
            ("localhost", true),
            ("localhost:8080", true),
            ("ui.localhost", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("Rackstrap.Example.net:8443", true),
            ("192.0.2.7", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
            ("[", false),
        ];
        for (host, own) in cases {
            assert_eq!(is_own_name(host, &config), own, "{host}");
        }
        config.admin_listen.set_ip("192.0.2.7".parse().unwrap());
        assert!(is_own_name("192.0.2.7:8080", &config));
        assert!(!is_own_name("192.0.2.8:8080", &config));
        config.admin_listen.set_ip("0.0.0.0".parse().unwrap());
        assert!(is_own_name("192.0.2.8:8080", &config));
        assert!(!is_own_name("evil.example", &config));
    }

    #[test]
    fn a_foreign_page_cannot_send_a_form() {
        let cases = [
            (vec![], false),
            (vec![("sec-fetch-site", "same-origin")], false),
            (vec![("sec-fetch-site", "none")], false),
            (vec![("sec-fetch-site", "cross-site")], true),
            (vec![("sec-fetch-site", "same-site")], true),
            (vec![("origin", "http://localhost:8080")], false),
            (vec![("origin", "http://evil.example")], true),
            (vec![("origin", "null")], true),
            (vec![("origin", "http://localhost:8081")], true),
        ];
        for (pairs, foreign) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in &pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_foreign(&headers, "localhost:8080"), foreign, "{pairs:?}");
        }
    }
}
