//! Whom a request comes from, and whether it came encrypted: the connection says so, or a reverse
//! proxy that is trusted to.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

use super::state::Ui;

/// Browsers use HTTPS alone for a year (RFC 6797).
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// How a request comes: its connection says so, and [`settle`] puts how its client sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Plain,
    Tls,
}

/// Puts the address of the client into the request. Of one that came encrypted, browsers are told
/// to send nothing in clear any more.
pub(super) async fn settle(State(ui): State<Ui>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(a)| *a);
    let mut is_encrypted = request.extensions().get() == Some(&Transport::Tls);
    if let Some(peer) = peer {
        let config = ui.app.config.now();
        let found = client(peer.ip(), request.headers(), &config.trusted_proxies);
        if let Some(scheme) = found.scheme {
            is_encrypted = scheme == Scheme::Https;
        }
        if found.address != peer.ip().to_canonical() {
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(found.address, 0)));
        }
    }
    let transport = if is_encrypted { Transport::Tls } else { Transport::Plain };
    request.extensions_mut().insert(transport);
    let mut response = next.run(request).await;
    if is_encrypted {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        make_secure(response.headers_mut());
    }
    response
}

/// Whom a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ForwardedClient {
    address: IpAddr,
    /// How the client reached the proxy; none if no proxy says so.
    scheme: Option<Scheme>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// The client of a connection. A proxy appends the address that it was reached from, so the last
/// address that is not a trusted proxy's is the client's; what is before it may be invented.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> ForwardedClient {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut address = peer.to_canonical();
    if !is_trusted(&address) {
        return ForwardedClient { address, scheme: None };
    }
    for hop in values(headers, "x-forwarded-for").into_iter().rev() {
        let Some(hop) = parse_hop(&hop) else { break };
        address = hop;
        if !is_trusted(&address) {
            break;
        }
    }
    let scheme = values(headers, "x-forwarded-proto").pop().and_then(|word| match word.as_str() {
        "https" | "wss" => Some(Scheme::Https),
        "http" | "ws" => Some(Scheme::Http),
        _ => None,
    });
    ForwardedClient { address, scheme }
}

/// The values of a header that may stand several times and have several values in a line.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|word| word.trim().to_ascii_lowercase()).collect()
}

/// An address, which some proxies write with its port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let plain = text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    plain.or_else(with_port).map(|address| address.to_canonical())
}

/// Marks every cookie `Secure`, which keeps browsers from sending it in clear.
fn make_secure(headers: &mut HeaderMap) {
    let cookies: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        let text = cookie.to_str().unwrap_or_default();
        let is_secure = text.split(';').any(|part| part.trim().eq_ignore_ascii_case("secure"));
        let secure = HeaderValue::from_str(&format!("{text}; Secure"));
        let cookie = if is_secure { cookie } else { secure.unwrap_or(cookie) };
        headers.append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is() {
        let trusted: Vec<IpNet> =
            ["10.0.0.1/32", "10.0.1.0/24", "::1/128"].map(|net| net.parse().unwrap()).to_vec();
        let cases: [(&str, &[&str], &str, &str, Option<Scheme>); 12] = [
            ("192.0.2.9", &["198.51.100.7"], "https", "192.0.2.9", None),
            ("10.0.0.1", &[], "", "10.0.0.1", None),
            ("10.0.0.1", &["198.51.100.7"], "https", "198.51.100.7", Some(Scheme::Https)),
            ("10.0.0.1", &["198.51.100.7"], "http", "198.51.100.7", Some(Scheme::Http)),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.7"], "gopher", "198.51.100.7", None),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.1.9"], "", "198.51.100.7", None),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.7"], "", "198.51.100.7", None),
            ("10.0.0.1", &["198.51.100.7:4711"], "", "198.51.100.7", None),
            ("::1", &["[2001:db8::7]:4711"], "http, HTTPS", "2001:db8::7", Some(Scheme::Https)),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.7"], "", "198.51.100.7", None),
            ("10.0.0.1", &["198.51.100.7, nonsense"], "", "10.0.0.1", None),
            ("10.0.0.1", &["10.0.1.5"], "", "10.0.1.5", None),
        ];
        for (peer, forwarded, proto, address, scheme) in cases {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            if !proto.is_empty() {
                headers.insert("x-forwarded-proto", HeaderValue::from_static(proto));
            }
            let expected = ForwardedClient { address: address.parse().unwrap(), scheme };
            assert_eq!(
                client(peer.parse().unwrap(), &headers, &trusted),
                expected,
                "{forwarded:?}"
            );
        }
    }

    #[test]
    fn every_cookie_is_made_secure_once() {
        let mut headers = HeaderMap::new();
        for cookie in ["a=1; HttpOnly", "b=2; secure; Path=/"] {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
        }
        make_secure(&mut headers);
        let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; HttpOnly; Secure", "b=2; secure; Path=/"]);
    }
}
