//! Every route, asked for by a host that must not be installed: whichever it is, nothing of the
//! installer comes out. A route that is added to [`ROUTES`] is tested without further ado.

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use super::peer::ConnectionAddresses;
use super::{ROUTES, Service, service};
use crate::app::App;
use crate::config::Config;
use crate::files::FileStore;
use crate::inventory::{BootGrant, Change, Database, Inventory};
use crate::leases::LeaseBook;
use crate::lifecycle::install::{InstallReport, InstallState};
use crate::model::InstallBegins;
use crate::site_file;

const SITE: &str = r#"
subnets:
  internal: {cidr: 10.0.0.0/24}
profiles:
  plain: {nics: {eth0: {subnet: internal}}}
images:
  installer:
    kernel: di/vmlinuz
    initrd: [di/initrd]
    boot: once
    recipe: {format: preseed, text: "INSTALLER"}
  efi: {efi: di/setup.efi, boot: once}
  script: {script: di/setup.ipxe, boot: once}
  live: {kernel: ipxe.efi}
  disk: {disk: di/disk.raw}
hosts:
  h2: {image: disk, nics: {eth0: "52:54:00:aa:00:02"}, reservations: {internal: 10.0.0.12}}
  h1:
    profile: plain
    image: installer
    nics: {eth0: "52:54:00:aa:00:01"}
    addresses: {eth0: 10.0.0.11}
"#;
const MAC: &str = "52:54:00:aa:00:01";
const HOST: &str = "10.0.0.11:4000";
const STRANGER: &str = "10.0.0.99:4000";
/// What every file that installs contains.
const MARKER: &str = "INSTALLER";
const FILES: [&str; 6] =
    ["di/vmlinuz", "di/initrd", "di/setup.efi", "di/setup.ipxe", "di/disk.raw", "ipxe.efi"];

struct Rack {
    app: App,
    runtime: Runtime,
    routes: Service,
    _directory: tempfile::TempDir,
}

impl Rack {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join("files");
        std::fs::create_dir_all(files.join("di")).unwrap();
        for name in FILES {
            let text = if name.starts_with("di/") { MARKER } else { "harmless" };
            std::fs::write(files.join(name), text).unwrap();
        }
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let url = format!("sqlite:{}", directory.path().join("db").display());
        let app = runtime.block_on(async {
            let database = Database::open(&url).await.unwrap();
            let inventory = Inventory::open(database.clone()).await.unwrap();
            let change = Change { who: "test", summary: "site", ..Change::default() };
            let site = site_file::parse(SITE, "site.yaml").unwrap();
            inventory.replace_site(change, site).await.unwrap();
            let leases = LeaseBook::open(database).await.unwrap();
            let config = Config { files_dir: Some(files.clone()), ..Config::default() };
            let files = FileStore::new(vec![files]);
            App { config: config.into(), inventory, leases, files }
        });
        let routes = {
            let _inside = runtime.enter();
            service(app.clone())
        };
        Self { app, runtime, routes, _directory: directory }
    }

    fn ask(&self, method: &Method, path: &str, peer: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path);
        self.send(request.body(Body::empty()).unwrap(), peer)
    }

    fn send(&self, mut request: Request<Body>, peer: &str) -> (StatusCode, String) {
        let ends = ConnectionAddresses {
            peer: peer.parse().unwrap(),
            local: SocketAddr::from(([10, 0, 0, 1], 80)),
        };
        request.extensions_mut().insert(ConnectInfo(ends));
        self.runtime.block_on(async {
            let Ok(response) = self.routes.clone().oneshot(request).await;
            let status = response.status();
            // A body that breaks off is none.
            let body = to_bytes(response.into_body(), 1 << 20).await.unwrap_or_default();
            (status, String::from_utf8_lossy(&body).into_owned())
        })
    }

    /// The host in a state, and the token of its boot.
    fn in_state(&self, state: Option<InstallState>) -> String {
        let inventory = &self.app.inventory;
        self.runtime.block_on(async {
            let Some(state) = state else { return String::new() };
            inventory.arm_install("h1", "test").await.unwrap();
            if state == InstallState::Armed {
                return String::new();
            }
            let grant = inventory.grant_boot("h1", "installer", None).await.unwrap();
            let BootGrant::Install(token) = grant else { panic!("{grant:?}") };
            let report = match state {
                InstallState::Loading | InstallState::Armed => return token,
                InstallState::Started => {
                    let begins = InstallBegins::Loaded;
                    inventory.install_loaded("h1", begins, &token).await.unwrap();
                    return token;
                }
                InstallState::Cancelled => {
                    inventory.cancel_install("h1", "test").await.unwrap();
                    return token;
                }
                InstallState::Done => InstallReport::Succeeded,
                InstallState::Failed => InstallReport::Failed("no disk".into()),
            };
            inventory.report_install("h1", &token, &report).await.unwrap().unwrap();
            token
        })
    }

    fn state(&self) -> Option<InstallState> {
        self.app.inventory.installs().of("h1").map(|install| install.state)
    }
}

/// Every URL of a route: each parameter in all that it can stand for.
fn urls(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (parameter, behind) = rest.split_once('}').unwrap();
    let values: Vec<String> = match (before, parameter) {
        ("/boot/", "script") => vec![format!("{MAC}.ipxe"), MAC.to_owned()],
        ("/files/", "*name") => {
            let awkward = |name: &str| [name.to_owned(), format!("/{name}"), format!("./{name}")];
            FILES.iter().flat_map(|name| awkward(name)).collect()
        }
        ("/config/", "mac") if behind.is_empty() => {
            ["", ".tar", ".cpio.gz", ".sh", ".json"].map(|end| format!("{MAC}{end}")).to_vec()
        }
        ("/config/" | "/report/" | "/deploy/" | "/recipe/", "mac") => vec![MAC.to_owned()],
        (_, "token") => ["-", "wr0ng"].map(str::to_owned).to_vec(),
        (_, "format") => vec!["networkd".to_owned(), "netplan.tar".to_owned()],
        (_, "name") => vec!["10-eth0.network".to_owned()],
        other => panic!("say what {other:?} of {path} can stand for"),
    };
    values.iter().flat_map(|value| urls(&format!("{before}{value}{behind}"))).collect()
}

fn installs(body: &str) -> bool {
    body.contains(MARKER) || body.contains("di/") && body.starts_with("#!ipxe")
}

#[test]
fn no_route_installs_a_host_that_is_not_armed() {
    let others = [None, Some(InstallState::Cancelled), Some(InstallState::Done)];
    for state in others.into_iter().chain([Some(InstallState::Failed), Some(InstallState::Started)])
    {
        let rack = Rack::new();
        let token = rack.in_state(state);
        // What only the boot that has started may show is not shown, but a wrong token.
        let tokens = match state {
            Some(InstallState::Started) => vec!["", "?token=wr0ng", "?last=wr0ng"],
            _ => vec!["", "?token=wr0ng", "?last=wr0ng", "?token=OWN", "?last=OWN"],
        };
        for url in ROUTES.iter().flat_map(|route| urls(route.path)) {
            for query in &tokens {
                let url = format!("{url}{}", query.replace("OWN", &token));
                for method in [Method::GET, Method::HEAD, Method::POST] {
                    let (status, body) = rack.ask(&method, &url, HOST);
                    assert!(!installs(&body), "{state:?}: {method} {url}: {status} {body}");
                    assert!(!status.is_server_error(), "{state:?}: {method} {url}: {status}");
                }
            }
        }
        let expected = match state {
            Some(InstallState::Started) => Some(InstallState::Failed),
            state => state,
        };
        assert_eq!(rack.state(), expected, "its script was fetched");
    }
}

#[test]
fn the_files_of_an_armed_host_come_only_with_the_token_of_its_script() {
    let rack = Rack::new();
    rack.in_state(Some(InstallState::Armed));
    let files: Vec<String> = FILES[..4].iter().map(|name| format!("/files/{name}")).collect();
    for url in &files {
        assert_eq!(rack.ask(&Method::GET, url, HOST).0, StatusCode::FORBIDDEN, "{url}");
    }
    let (_, script) = rack.ask(&Method::GET, &format!("/boot/{MAC}.ipxe"), HOST);
    assert!(script.contains("/files/di/vmlinuz?token="), "{script}");
    let token = script.split_once("?token=").unwrap().1.split_whitespace().next().unwrap();
    let fetch = |path: &str| rack.ask(&Method::GET, &format!("{path}?token={token}"), HOST);
    assert_eq!(fetch("/files/di/vmlinuz"), (StatusCode::OK, MARKER.to_owned()));
    assert_eq!(fetch("/files/di/initrd"), (StatusCode::OK, MARKER.to_owned()));
    assert_eq!(fetch("/files/di/setup.efi").0, StatusCode::FORBIDDEN, "of another image");
    assert_eq!(rack.state(), Some(InstallState::Loading));
    let last = format!("/config/52-54-00-aa-00-01.cpio.gz?last={token}");
    assert!(script.contains(&last), "{script}");
    assert_eq!(rack.ask(&Method::GET, &last, HOST).0, StatusCode::OK);
    assert_eq!(rack.state(), Some(InstallState::Started));
    let again = rack.ask(&Method::GET, &format!("/boot/{MAC}.ipxe?token={token}"), HOST).1;
    assert_eq!(again, script, "the same boot asks again");
    assert_eq!(rack.state(), Some(InstallState::Started));
}

#[test]
fn reading_a_script_consumes_nothing() {
    let rack = Rack::new();
    rack.in_state(Some(InstallState::Armed));
    let url = format!("/boot/{MAC}.ipxe");
    for (method, peer) in
        [(Method::HEAD, HOST), (Method::GET, STRANGER), (Method::GET, "127.0.0.1:4000")]
    {
        let (status, body) = rack.ask(&method, &url, peer);
        assert_eq!(status, StatusCode::OK);
        assert!(!installs(&body) && !body.contains("token"), "{method} {peer}: {body}");
        assert_eq!(rack.state(), Some(InstallState::Armed), "{method} {peer}");
    }
    let token_of = |script: &str| script.split("?token=").nth(1).unwrap()[..32].to_owned();
    let first = token_of(&rack.ask(&Method::GET, &url, HOST).1);
    let second = token_of(&rack.ask(&Method::GET, &url, HOST).1);
    assert_ne!(first, second, "a new boot has a new token");
    assert_eq!(rack.state(), Some(InstallState::Loading));
    let kernel = |token| rack.ask(&Method::GET, &format!("/files/di/vmlinuz?token={token}"), HOST);
    assert_eq!(kernel(first).0, StatusCode::FORBIDDEN);
    assert_eq!(kernel(second).0, StatusCode::OK);
}

#[test]
fn the_plan_of_a_deployment_is_for_the_boot_that_installs() {
    let rack = Rack::new();
    let (mac, peer) = ("52:54:00:aa:00:02", "10.0.0.12:4000");
    let ask = |method: Method, path: &str, token: &str, body: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {token}"));
        rack.send(request.body(Body::from(body.to_owned())).unwrap(), peer)
    };
    let deploy = format!("/deploy/{mac}");
    assert_eq!(ask(Method::GET, &deploy, "t0ken", "").0, StatusCode::FORBIDDEN, "not armed");
    rack.runtime.block_on(rack.app.inventory.arm_install("h2", "test")).unwrap();
    assert_eq!(ask(Method::GET, &deploy, "t0ken", "").0, StatusCode::FORBIDDEN, "another boot");
    let (_, refusal) = ask(Method::GET, &deploy, "t0ken", "");
    assert!(refusal.contains("h2 is armed to install"), "{refusal}");
    let (status, stranger) = rack.ask(&Method::GET, &deploy, STRANGER);
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, nobody) = rack.ask(&Method::GET, "/deploy/52:54:00:aa:00:77", STRANGER);
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(stranger.replace(mac, "MAC"), nobody.replace("52:54:00:aa:00:77", "MAC"));
    assert!(!stranger.contains("h2"), "{stranger}");
    let (_, script) = rack.ask(&Method::GET, &format!("/boot/{mac}.ipxe"), peer);
    let token = script.split_once("?last=").unwrap().1[..32].to_owned();
    assert!(script.contains("rackstrap.deploy"), "{script}");
    let (status, plan) = ask(Method::GET, &deploy, &token, "");
    assert_eq!(status, StatusCode::OK, "{plan}");
    assert!(plan.contains(r#""source":{"path":"/files/di/disk.raw","bytes":9}"#), "{plan}");
    let disk = format!("/files/di/disk.raw?token={token}");
    assert_eq!(rack.ask(&Method::GET, &disk, peer), (StatusCode::OK, MARKER.to_owned()));
    let state = || rack.app.inventory.installs().of("h2").unwrap().state;
    assert_eq!(state(), InstallState::Loading, "nothing is changed yet");
    let report = format!("/report/{mac}");
    assert_eq!(ask(Method::POST, &report, &token, "installing").0, StatusCode::OK);
    assert_eq!(state(), InstallState::Started);
    let step = r#"{"step":"write","disk":"vda","done":1,"total":2}"#;
    assert_eq!(ask(Method::POST, &deploy, &token, step).0, StatusCode::OK);
    assert_eq!(ask(Method::POST, &deploy, &token, "{}").0, StatusCode::BAD_REQUEST);
    assert_eq!(ask(Method::POST, &report, &token, "installed").0, StatusCode::OK);
    assert_eq!(state(), InstallState::Done);
    assert_eq!(ask(Method::GET, &deploy, &token, "").0, StatusCode::FORBIDDEN, "over");
    assert_eq!(rack.ask(&Method::GET, &disk, peer).0, StatusCode::FORBIDDEN, "over");
}

#[test]
fn a_file_that_installs_is_given_to_a_token_and_not_to_an_address() {
    let rack = Rack::new();
    let files = || FILES[..5].iter().map(|name| format!("/files/{name}"));
    for url in files() {
        for query in ["", "?token=wr0ng", "?last=wr0ng"] {
            for peer in [STRANGER, HOST, "10.0.0.12:4000", "[2001:db8::99]:4000"] {
                let (status, body) = rack.ask(&Method::GET, &format!("{url}{query}"), peer);
                assert_eq!(status, StatusCode::FORBIDDEN, "{url}{query} {peer}: {body}");
                assert!(peer != STRANGER || !body.contains("h1"), "{body}");
            }
        }
        let loopback = rack.ask(&Method::GET, &url, "127.0.0.1:4000");
        assert_eq!(loopback, (StatusCode::OK, MARKER.to_owned()), "an operator: {url}");
    }
    let public = rack.ask(&Method::GET, "/files/ipxe.efi", STRANGER);
    assert_eq!(public, (StatusCode::OK, "harmless".to_owned()));
    let token = rack.in_state(Some(InstallState::Loading));
    let with_token =
        |peer: &str| rack.ask(&Method::GET, &format!("/files/di/vmlinuz?token={token}"), peer).0;
    assert_eq!(with_token(HOST), StatusCode::OK);
    assert_eq!(with_token(STRANGER), StatusCode::OK, "the token shows which boot it is");
    assert_eq!(with_token("10.0.0.12:4000"), StatusCode::FORBIDDEN, "another host");
    rack.runtime.block_on(rack.app.inventory.cancel_install("h1", "test")).unwrap();
    assert_eq!(with_token(STRANGER), StatusCode::FORBIDDEN, "over");
}
