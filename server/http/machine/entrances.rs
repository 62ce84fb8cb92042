//! Every route, asked for by a host that must not be installed: whichever it is, nothing of the
//! installer comes out. A route that is added to [`ROUTES`] is tested without further ado.

use std::collections::BTreeMap;
use std::io::Read;
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
use crate::inventory::{BootGrant, Change, Database, InstallError, InstallRequest, Inventory};
use crate::leases::LeaseBook;
use crate::lifecycle::install::{Install, InstallReport, InstallState, InstallTask};
use crate::model::{InstallBegins, PRESEED, PROXMOX, Recipe, Scalar, TALOS};
use crate::recipe::SHIPPED;
use crate::site_file;
use crate::tree;

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
  h2: {profile: plain, addresses: {eth0: 10.0.0.12}, image: disk, network: {root-password-hash: locked}, nics: {eth0: "52:54:00:aa:00:02"}, reservations: {internal: 10.0.0.12}}
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

struct BootServer {
    app: App,
    runtime: Runtime,
    routes: Service,
    _directory: tempfile::TempDir,
}

impl BootServer {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join("files");
        std::fs::create_dir_all(files.join("di")).unwrap();
        for name in FILES {
            let text = if name.starts_with("di/") { MARKER } else { "harmless" };
            std::fs::write(files.join(name), text).unwrap();
        }
        // Other ways to the same files.
        std::os::unix::fs::symlink("di", files.join("pub")).unwrap();
        std::os::unix::fs::symlink("di/initrd", files.join("link")).unwrap();
        std::fs::hard_link(files.join("di/vmlinuz"), files.join("hard")).unwrap();
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
            is_tls: false,
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
            inventory.report_install("h1", &token, &report).await.unwrap();
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
        ("/boot/", "script") if !behind.is_empty() => vec![MAC.to_owned()],
        ("/grub/", "*name") => vec!["grub.cfg".to_owned(), "x86_64-efi/grub.cfg".to_owned()],
        ("/boot/", "script") => vec![format!("{MAC}.ipxe"), MAC.to_owned()],
        ("/files/", "*name") => {
            let awkward = |name: &str| {
                let upper = name.to_uppercase();
                let (first, rest) = name.split_at(1);
                let first = format!("{}{rest}", first.to_uppercase());
                [
                    format!("/{name}"),
                    format!("./{name}"),
                    format!("//{upper}"),
                    upper.replace('/', "%5C"),
                    name.to_owned(),
                    upper,
                    first,
                ]
            };
            let links = ["pub/vmlinuz", "pub/INITRD", "PUB/disk.raw", "link", "hard", "Hard"];
            FILES.iter().chain(&links).flat_map(|name| awkward(name)).collect()
        }
        ("/config/", "mac") if behind.is_empty() => {
            ["", ".tar", ".cpio.gz", ".sh", ".json"].map(|end| format!("{MAC}{end}")).to_vec()
        }
        ("/config/" | "/report/" | "/deploy/" | "/recipe/" | "/roll-out/", "mac") => {
            vec![MAC.to_owned()]
        }
        (_, "token") => ["-", "wr0ng"].map(str::to_owned).to_vec(),
        (_, "format") => vec!["networkd".to_owned(), "netplan.tar".to_owned()],
        (_, "name") => vec!["10-eth0.network".to_owned()],
        other => panic!("say what {other:?} of {path} can stand for"),
    };
    values.iter().flat_map(|value| urls(&format!("{before}{value}{behind}"))).collect()
}

fn installs(body: &str) -> bool {
    let is_script = body.starts_with("#!ipxe") || body.starts_with("echo 'rackstrap");
    body.contains(MARKER) || body.contains("di/") && is_script
}

#[test]
fn no_route_installs_a_host_that_is_not_armed() {
    let others = [None, Some(InstallState::Cancelled), Some(InstallState::Done)];
    for state in others.into_iter().chain([Some(InstallState::Failed), Some(InstallState::Started)])
    {
        let rack = BootServer::new();
        let token = rack.in_state(state);
        // What only the boot that has started may show is not shown, but a wrong token.
        let tokens = match state {
            Some(InstallState::Started) => vec!["", "?token=wr0ng", "?last=wr0ng"],
            _ => vec!["", "?token=wr0ng", "?last=wr0ng", "?token=OWN", "?last=OWN"],
        };
        for url in ROUTES.iter().flat_map(|route| urls(route.path)) {
            for query in &tokens {
                // The boot's own token is its right to report, late as well.
                if url.starts_with("/report/") && query.contains("OWN") {
                    continue;
                }
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
    let rack = BootServer::new();
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
    let rack = BootServer::new();
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
    let rack = BootServer::new();
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
    assert!(plan.contains(r#""root-password-hash":"locked""#), "{plan}");
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let networks = plan["networks"].as_array().unwrap();
    let formats: Vec<_> = networks.iter().map(|it| it["format"].as_str().unwrap()).collect();
    assert_eq!(formats, ["networkd", "netplan", "networkmanager", "ifupdown2", "cloud-init"]);
    let private = |path: &str| {
        let files =
            networks.iter().flat_map(|network| network["files"].as_array().into_iter().flatten());
        let mut own = files.filter(|file| file["path"] == path);
        own.next().unwrap_or_else(|| panic!("no {path}"))["mode"] == 0o600
    };
    let refusals: Vec<_> = networks.iter().filter_map(|it| it["refusal"].as_str()).collect();
    let refusal = "ifupdown2 cannot express eth0: a NIC without set-name or match: name";
    assert_eq!(refusals, [refusal]);
    assert!(private("/etc/netplan/90-rackstrap.yaml"));
    assert!(private("/var/lib/cloud/seed/nocloud/user-data"));
    assert_eq!(networks[0]["files"][0]["mode"], 0o644);
    assert_eq!(plan["address"], "10.0.0.12");
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

/// `rescue`: one boot gets the live system, whatever the host boots otherwise, and may write nothing.
#[test]
fn a_rescue_starts_the_live_system_once() {
    let rack = BootServer::new();
    let (mac, peer) = ("52:54:00:aa:00:02", "10.0.0.12:4000");
    let arm = |task| {
        let request =
            InstallRequest { host: "h2", author: "test".into(), limits: &[], task, dry_run: false };
        let any = |_: Option<&Install>| Ok::<(), InstallError>(());
        rack.runtime.block_on(rack.app.inventory.arm_install_if(request, any)).unwrap()
    };
    let script = || rack.ask(&Method::GET, &format!("/boot/{mac}.ipxe"), peer).1;
    assert!(!script().contains("ipxe.efi"));
    assert_eq!(arm(InstallTask::Rescue).image, "live");
    let text = script();
    assert!(text.contains("/files/ipxe.efi?"), "{text}");
    assert!(!text.contains("rackstrap.deploy"), "{text}");
    let state = || rack.app.inventory.installs().of("h2").unwrap().state;
    assert_eq!(state(), InstallState::Loading);
    let token = text.split_once("?last=").unwrap().1[..32].to_owned();
    let plan = Request::builder().uri(format!("/deploy/{mac}"));
    let plan = plan.header("authorization", format!("Bearer {token}")).body(Body::empty());
    assert_eq!(rack.send(plan.unwrap(), peer).0, StatusCode::FORBIDDEN, "it writes nothing");
    assert_eq!(
        rack.ask(&Method::GET, &format!("/files/di/disk.raw?token={token}"), peer).0,
        StatusCode::FORBIDDEN
    );
    let last = format!("/files/ipxe.efi?last={token}");
    assert_eq!(rack.ask(&Method::GET, &last, peer).0, StatusCode::OK);
    assert_eq!(state(), InstallState::Done);
    assert!(!script().contains("ipxe.efi"), "the next boot goes to the disk");
}

/// `release`: the report that the disks are empty takes away what the host was used for.
#[test]
fn a_released_host_keeps_its_place_and_its_nics() {
    let rack = BootServer::new();
    let (mac, peer) = ("52:54:00:aa:00:02", "10.0.0.12:4000");
    let request = InstallRequest {
        host: "h2",
        author: "ada".into(),
        limits: &[],
        task: InstallTask::Release,
        dry_run: false,
    };
    let any = |_: Option<&Install>| Ok::<(), InstallError>(());
    rack.runtime.block_on(rack.app.inventory.arm_install_if(request, any)).unwrap();
    let (_, script) = rack.ask(&Method::GET, &format!("/boot/{mac}.ipxe"), peer);
    let token = script.split_once("?last=").unwrap().1[..32].to_owned();
    let report = |text: &str| {
        let request = Request::builder().method(Method::POST).uri(format!("/report/{mac}"));
        let request = request.header("authorization", format!("Bearer {token}"));
        rack.send(request.body(Body::from(text.to_owned())).unwrap(), peer)
    };
    assert_eq!(report("installing").0, StatusCode::OK);
    let host = || rack.app.inventory.snapshot().site.hosts["h2"].clone();
    assert_eq!(host().image.as_deref(), Some("disk"), "nothing is erased yet");
    for _ in 0..2 {
        let expected = (StatusCode::OK, "h2 is erased and released\n".to_owned());
        assert_eq!(report("erased: vda overwritten"), expected, "a report may be repeated");
        let host = host();
        assert_eq!(host.nics.len(), 1);
        assert_eq!((&host.image, &host.profile), (&None, &None));
        assert!(host.addresses.is_empty() && host.reservations.is_empty());
        assert!(host.network.is_empty());
    }
    let status = rack.app.inventory.host_status("h2", crate::inventory::now_ms()).unwrap();
    assert_eq!(status.state, crate::lifecycle::HostState::Waiting);
}

#[test]
fn a_file_that_installs_is_given_to_a_token_and_not_to_an_address() {
    let rack = BootServer::new();
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

#[test]
fn grub_gets_what_ipxe_gets_and_its_boot_is_the_one_that_installs() {
    let rack = BootServer::new();
    let url = format!("/boot/{MAC}/grub.cfg");
    let (status, text) = rack.ask(&Method::GET, "/grub/x86_64-efi/grub.cfg", STRANGER);
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("configfile (http,10.0.0.1)/boot/$net_default_mac/grub.cfg\n"), "{text}");
    let (status, text) = rack.ask(&Method::GET, "/grub/x86_64-efi/command.lst", STRANGER);
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(!text.is_empty(), "shim waits for ever after a 404 without a body");
    let (_, text) = rack.ask(&Method::GET, &url, HOST);
    assert!(text.contains("chainloader /EFI/BOOT/BOOTX64.EFI"), "not armed: {text}");
    rack.in_state(Some(InstallState::Armed));
    for (method, peer) in [(Method::HEAD, HOST), (Method::GET, STRANGER)] {
        let (_, text) = rack.ask(&method, &url, peer);
        assert!(!text.contains("di/") && !text.contains("token"), "{text}");
        assert_eq!(rack.state(), Some(InstallState::Armed), "{method} {peer}");
    }
    let (_, text) = rack.ask(&Method::GET, &url, HOST);
    assert_eq!(rack.state(), Some(InstallState::Loading));
    let paths: Vec<String> = text
        .split("(http,10.0.0.1)")
        .skip(1)
        .map(|rest| rest.split('\'').next().unwrap().to_owned())
        .collect();
    let [kernel, initrd, config, again] = &paths[..] else { panic!("{text}") };
    let fetch = |path: &str| rack.ask(&Method::GET, path, HOST);
    assert_eq!(fetch(kernel), (StatusCode::OK, MARKER.to_owned()));
    assert_eq!(fetch(initrd), (StatusCode::OK, MARKER.to_owned()));
    assert_eq!(fetch(config).0, StatusCode::OK);
    assert_eq!(rack.state(), Some(InstallState::Started));
    assert_eq!(fetch(again).1, text, "the same boot asks again");
    let (_, text) = fetch(&url);
    assert!(text.contains("boots its disk"), "{text}");
    assert_eq!(rack.state(), Some(InstallState::Failed));
}

/// The values that the shipped recipes must be given.
const VALUES: &str = r#"{disk: sda, mirror: mirror.example, password-hash: "$6$x", root-password-hash: "$6$x", machine-token: x,
    machine-ca-crt: x, cluster-id: x, cluster-secret: x, cluster-token: x, cluster-ca-crt: x, endpoint: "https://10.0.0.9:6443"}"#;

/// The installer's image of [`SITE`], with a shipped recipe.
fn with_recipe(name: &str) -> BootServer {
    let rack = BootServer::new();
    let values: BTreeMap<String, Scalar> = tree::read(&tree::parse(VALUES).unwrap()).unwrap();
    let shipped = SHIPPED.iter().find(|shipped| shipped.name == name).unwrap();
    let read = |key: &String| shipped.values.contains(&key.as_str());
    let values = values.into_iter().filter(|(key, _)| read(key)).collect();
    // Some of them leave files that find a NIC by its name.
    let named =
        SITE.replace("eth0: {subnet: internal}", "eth0: {subnet: internal, set-name: lan0}");
    let mut site = site_file::parse(&named, "site.yaml").unwrap();
    let recipe = Recipe { shipped: Some(name.to_owned()), values, ..Recipe::default() };
    site.images.get_mut("installer").unwrap().recipe = Some(recipe);
    let change = Change { who: "test", summary: "recipe", ..Change::default() };
    rack.runtime.block_on(rack.app.inventory.replace_site(change, site)).unwrap();
    rack
}

#[test]
fn every_url_of_a_shipped_recipe_is_served() {
    for shipped in &SHIPPED {
        let rack = with_recipe(shipped.name);
        let token = rack.in_state(Some(InstallState::Loading));
        let (status, text) = rack.ask(&Method::GET, &format!("/recipe/{MAC}/{token}/x"), HOST);
        assert_eq!(status, StatusCode::OK, "{}: {text}", shipped.name);
        let ends = |c: char| c.is_whitespace() || "\"'\\<;".contains(c);
        let urls: Vec<&str> = text
            .split("http://10.0.0.1")
            .skip(1)
            .filter(|rest| rest.starts_with('/'))
            .map(|rest| rest.split(ends).next().unwrap())
            .collect();
        assert!(shipped.name == "talos" || !urls.is_empty(), "{}: {text}", shipped.name);
        for url in urls.into_iter().filter(|url| *url != "/answer") {
            let is_report = url.starts_with("/report/") || url.starts_with("/deploy/");
            let method = if is_report { Method::POST } else { Method::GET };
            let request = Request::builder().method(&method).uri(url);
            let request = request.header("authorization", format!("Bearer {token}"));
            let body =
                if url.starts_with("/deploy/") { r#"{"step":"write"}"# } else { "installing" };
            let (status, body) = rack.send(request.body(Body::from(body)).unwrap(), HOST);
            assert_eq!(status, StatusCode::OK, "{}: {method} {url}: {body}", shipped.name);
        }
    }
}

#[test]
fn an_installer_without_a_token_gets_its_answers_once() {
    let rack = with_recipe(PROXMOX);
    let ask = |peer| rack.ask(&Method::POST, "/answer", peer);
    assert_eq!(ask(HOST).0, StatusCode::FORBIDDEN, "not armed");
    assert_eq!(ask(STRANGER).0, StatusCode::FORBIDDEN);
    let token = rack.in_state(Some(InstallState::Loading));
    // Its kernel and initrd have come, and nothing has begun.
    let last = format!("/config/52-54-00-aa-00-01.cpio.gz?last={token}");
    assert_eq!(rack.ask(&Method::GET, &last, HOST).0, StatusCode::OK);
    assert_eq!(rack.state(), Some(InstallState::Loading));
    assert_eq!(rack.ask(&Method::GET, "/answer", HOST).0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(STRANGER).0, StatusCode::FORBIDDEN, "another host");
    assert_eq!(rack.state(), Some(InstallState::Loading));
    let (status, text) = ask(HOST);
    assert_eq!(status, StatusCode::OK, "{text}");
    assert_eq!(rack.state(), Some(InstallState::Started));
    assert_eq!(ask(HOST).0, StatusCode::FORBIDDEN, "a second installer");
    assert_eq!(rack.state(), Some(InstallState::Started), "and the first goes on");
    let answers: toml::Value = toml::from_str(&text).unwrap();
    let webhook = answers["post-installation-webhook"]["url"].as_str().unwrap();
    let request = Request::builder().method(Method::POST);
    let request = request.uri(webhook.strip_prefix("http://10.0.0.1").unwrap());
    let body = r#"{"debian-version":"12.5","fqdn":"h1.localdomain","disks":[]}"#;
    let (status, said) = rack.send(request.body(Body::from(body)).unwrap(), HOST);
    assert_eq!((status, said.as_str()), (StatusCode::OK, "h1 is up\n"));
    assert_eq!(rack.state(), Some(InstallState::Done));
}

#[test]
fn the_recipe_of_debians_installer_is_an_initrd_of_the_boot_that_may_install() {
    let rack = with_recipe(PRESEED);
    let initrd = |query: &str, peer: &str| {
        let mut request = Request::builder().uri(format!("/config/{MAC}.cpio.gz{query}"));
        request = request.method(Method::GET);
        let mut request = request.body(Body::empty()).unwrap();
        let ends = ConnectionAddresses {
            peer: peer.parse().unwrap(),
            local: SocketAddr::from(([10, 0, 0, 1], 80)),
            is_tls: false,
        };
        request.extensions_mut().insert(ConnectInfo(ends));
        let body = rack.runtime.block_on(async {
            let Ok(response) = rack.routes.clone().oneshot(request).await;
            to_bytes(response.into_body(), 1 << 20).await.unwrap()
        });
        let mut text = Vec::new();
        let _ = flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    assert!(!initrd("", HOST).contains("preseed.cfg"), "not armed");
    let token = rack.in_state(Some(InstallState::Loading));
    assert!(!initrd("", HOST).contains("preseed.cfg"), "without its token");
    assert!(!initrd("?token=wr0ng", HOST).contains("preseed.cfg"));
    assert!(!initrd(&format!("?token={token}"), STRANGER).contains("d-i "));
    let text = initrd(&format!("?last={token}"), HOST);
    let command = "ip address add 10.0.0.11/24 dev $(nic 52:54:00:aa:00:01)";
    for expected in ["preseed.cfg", "netcfg/enable boolean false", command, &token] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(rack.state(), Some(InstallState::Started));
}

#[test]
fn an_installer_that_cannot_report_is_done_when_its_host_boots_again() {
    let rack = with_recipe(TALOS);
    let token = rack.in_state(Some(InstallState::Started));
    assert_eq!(rack.state(), Some(InstallState::Started));
    let (_, script) = rack.ask(&Method::GET, &format!("/boot/{MAC}.ipxe"), HOST);
    assert!(!script.contains("di/"), "{script}");
    assert_eq!(rack.state(), Some(InstallState::Done));
    assert_eq!(
        rack.ask(&Method::GET, &format!("/recipe/{MAC}/{token}/x"), HOST).0,
        StatusCode::FORBIDDEN
    );
}

#[test]
fn the_script_that_unpacks_has_the_files_of_any_format() {
    let rack = with_recipe(PRESEED);
    let root = tempfile::tempdir().unwrap();
    for (name, path) in [
        ("ifupdown2.unpack.sh", "etc/network/interfaces"),
        ("networkd.unpack.sh", "etc/systemd/network"),
        ("networkmanager.unpack.sh", "etc/NetworkManager/system-connections"),
    ] {
        let (status, script) = rack.ask(&Method::GET, &format!("/config/{MAC}/{name}"), HOST);
        assert_eq!(status, StatusCode::OK, "{script}");
        let mut shell = std::process::Command::new("sh");
        let status = shell.args(["-c", &script]).env("ROOT", root.path()).status().unwrap();
        assert!(status.success() && root.path().join(path).exists(), "{script}");
    }
    let format = |name: &str| rack.ask(&Method::GET, &format!("/config/{MAC}/{name}"), HOST).1;
    let interfaces = std::fs::read_to_string(root.path().join("etc/network/interfaces")).unwrap();
    assert!(format("ifupdown2").contains(interfaces.trim()), "{interfaces}");
}
