//! What must hold of any URL that a booting host asks for, with the real routes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, Uri};
use tower::ServiceExt;

use super::config::unsuffixed;
use super::peer::ConnectionAddresses;
use super::{Service, service};
use crate::app::App;
use crate::config::Config;
use crate::exercise::TestServer;
use crate::model::{Mac, NicAddress};

const SITE: &str = r#"
images: {disk: {local: true}}
hosts:
  r1-n01: {image: disk, nics: {eth0: "52:54:00:aa:00:01"}}
"#;
const KNOWN: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

/// Any path is answered, never by a failure of the server; and whatever is taken for a MAC
/// with a suffix is one, written one way or another.
pub(crate) fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (name, _) = unsuffixed(text);
    if let Ok(mac) = name.parse::<NicAddress>() {
        let text = text.strip_prefix("0x").unwrap_or(text);
        // Of six groups, one digit stands for two.
        let groups: Vec<&str> = text.splitn(6, [':', '-']).collect();
        let is_digit = |c: char| c.is_ascii_hexdigit();
        let whole = |group: &&str| match group.find(|c| !is_digit(c)).unwrap_or(group.len()) {
            1 if groups.len() == 6 => format!("0{group}"),
            _ => (*group).to_owned(),
        };
        let text: String = groups.iter().map(whole).collect();
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
        let plain = mac.to_string().replace(':', "");
        assert!(digits.to_ascii_lowercase().starts_with(&plain), "{text} is read as {mac}");
    }
    let prefixes = ["", "/config/", "/boot/", "/files/"];
    prefixes.iter().for_each(|prefix| ask(&format!("{prefix}{text}")));
}

fn ask(path: &str) {
    let Ok(uri) = path.parse::<Uri>() else { return };
    let status = status_of(&uri);
    assert!(!status.is_server_error(), "{uri}: {status}");
    // A script is one that runs, whatever MAC it is for.
    let known = uri.path().strip_prefix("/boot/").map(|name| name.trim_end_matches(".ipxe"));
    if known.and_then(|text| text.parse().ok()) == Some(KNOWN) {
        assert_eq!(status, StatusCode::OK, "{uri}");
    }
    assert!(!status.is_redirection() || status == StatusCode::NOT_MODIFIED, "{uri}: {status}");
}

fn status_of(uri: &Uri) -> StatusCode {
    static ROUTES: OnceLock<(Mutex<TestServer>, Service)> = OnceLock::new();
    let (stage, routes) = ROUTES.get_or_init(|| {
        let config = Config { files_dir: Some(PathBuf::from("/nonexistent")), ..Config::default() };
        let stage = TestServer::set(config, SITE);
        let routes = service(App::clone(&stage.app));
        (Mutex::new(stage), routes)
    });
    let stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    let end = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let request = Request::get(uri).extension(ConnectInfo(ConnectionAddresses {
        peer: end,
        local: end,
        is_tls: false,
    }));
    let request = request.body(Body::empty()).expect("a request of a URI");
    let Ok(response) = stage.block_on(routes.clone().oneshot(request));
    response.status()
}
