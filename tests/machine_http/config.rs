//! `/config/...`: every form of a host's configuration, and who may read it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use rackstrap::config::Config;
use rackstrap::inventory::Database;
use rackstrap::leases::LeaseBook;
use rackstrap::model::{ClientKey, Lease, LeaseState};
use tempfile::TempDir;

use super::SITE;
use crate::common::machine::{Server, fill};
use crate::common::netns::Netns;

/// Runs a program on `input` and gives what it printed; panics unless it succeeds.
fn pipe(program: &str, arguments: &[&str], input: &[u8], directory: &Path) -> String {
    use std::io::Write;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &errors
}

/// Checks that `root` holds exactly the files that the text of the configuration shows.
fn check_unpacked(root: &Path, text: &str) {
    let directory = root.join("etc/systemd/network");
    let mut names: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let file = std::fs::read_to_string(directory.join(&name)).unwrap();
        assert!(
            text.contains(&format!("# /etc/systemd/network/{name}\n{file}")),
            "{name}:\n{text}"
        );
    }
}

#[tokio::test]
async fn any_mac_in_any_notation_gives_the_same_configuration() {
    let server = Server::start(SITE).await;
    let expected = server.text("/config/52:54:00:aa:00:01").await;
    assert!(expected.starts_with("# /etc/systemd/network/"), "{expected}");
    assert!(expected.contains("Address=172.16.160.12/24"));
    for mac in ["52-54-00-AA-00-01", "525400aa0001", "5254.00aa.0001", "52:54:00:aa:00:02"] {
        let answer = server.get(&format!("/config/{mac}")).await;
        assert_eq!(answer.status(), 200, "{mac}");
        assert_eq!(answer.text().await.unwrap(), expected, "{mac}");
    }
}

#[tokio::test]
async fn a_wrong_mac_is_named_in_a_400_and_an_unknown_one_in_a_404() {
    let server = Server::start(SITE).await;
    let wrong = [
        "x",
        "52:54:00:aa:00",
        "52:54:00:aa:00:01:02",
        "52:54:00:aa:00:0g",
        "52:54:00:aa:0:001",
        "%00%0a%0d",
        "5254%2000aa0001",
        "é",
        "..",
        "${net0%2Fmac}",
        "52:54:00:aa:00:01'--",
        "%F0%9F%92%A5",
    ];
    for mac in wrong {
        for path in [format!("/config/{mac}.tar"), format!("/boot/{mac}.ipxe")] {
            let answer = server.get(&path).await;
            let status = answer.status();
            let text = answer.text().await.unwrap();
            assert_eq!(status, 400, "{path}: {text}");
            assert!(text.contains("is not a MAC address"), "{path}: {text}");
            assert!(!text.trim_end().contains(char::is_control), "{path}: {text:?}");
        }
        assert_ne!(server.report(mac, "up").await.status(), 500, "{mac}");
    }
    assert_eq!(server.get("/config/%ff%fe").await.status(), 400);
    assert_eq!(server.get("/config/").await.status(), 404);
    assert_eq!(server.get(&format!("/config/{}", "a".repeat(8000))).await.status(), 400);
    let unknown = server.get("/config/52:54:00:ff:ff:ff").await;
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().await.unwrap().contains("has the MAC 52:54:00:ff:ff:ff"));
    let format = server.get("/config/5254.00aa.0001.zip").await;
    assert_eq!(format.status(), 404);
    assert!(format.text().await.unwrap().contains("\".zip\" is not a format"));
}

/// Unpacks every form of the configuration as hosts do, each into a directory of its own.
async fn unpack_all(server: &Server) -> Vec<TempDir> {
    let mut roots = Vec::new();
    for (suffix, program, arguments) in [
        (".tar", "tar", ["-x", "-f", "-"].as_slice()),
        (".cpio.gz", "sh", ["-c", "gunzip | cpio -i --quiet"].as_slice()),
        (".cpio.gz", "sh", ["-c", "gunzip | busybox cpio -i"].as_slice()),
        (".sh", "sh", ["-c", "ROOT=. sh"].as_slice()),
        (".sh", "busybox", ["sh", "-c", "ROOT=. busybox sh"].as_slice()),
    ] {
        let answer = server.get(&format!("/config/52-54-00-aa-00-02{suffix}")).await;
        assert_eq!(answer.status(), 200, "{suffix}");
        let archive = answer.bytes().await.unwrap();
        let root = TempDir::new().unwrap();
        pipe(program, arguments, &archive, root.path());
        roots.push(root);
    }
    roots
}

#[tokio::test]
async fn the_archives_unpack_to_the_same_files() {
    let server = Server::start(SITE).await;
    let text = server.text("/config/52:54:00:aa:00:01").await;
    assert!(!text.contains("sysctl"), "{text}");
    for root in unpack_all(&server).await {
        check_unpacked(root.path(), &text);
        assert!(!root.path().join("etc/sysctl.d").exists());
    }
}

#[tokio::test]
async fn kernel_settings_come_with_the_links_that_need_them() {
    let settings = "  hypervisor:\n    sysctls: {net.ipv4.conf.all.rp_filter: \"2\"}\n";
    let server = Server::start(&SITE.replace("  hypervisor:\n", settings)).await;
    let text = server.text("/config/52:54:00:aa:00:01").await;
    let path = "/etc/sysctl.d/90-rackstrap.conf";
    let line = "net.ipv4.conf.all.rp_filter = 2\n";
    assert!(text.ends_with(&format!("\n\n# {path}\n{line}")), "{text}");
    for root in unpack_all(&server).await {
        check_unpacked(root.path(), &text);
        assert_eq!(std::fs::read_to_string(root.path().join(&path[1..])).unwrap(), line);
    }
    let data: serde_json::Value =
        server.get("/config/52:54:00:aa:00:01.json").await.json().await.unwrap();
    let last = data["files"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["path"], &last["text"]), (&path.into(), &line.into()));

    // A revision without settings removes those of the last one.
    let script = server.text("/config/52:54:00:aa:00:01.sh").await;
    let (root, run) = (TempDir::new().unwrap(), ["-c", "ROOT=. sh"]);
    pipe("sh", &run, script.as_bytes(), root.path());
    let bare = Server::start(SITE).await.text("/config/52:54:00:aa:00:01.sh").await;
    pipe("sh", &run, bare.as_bytes(), root.path());
    assert!(!root.path().join(&path[1..]).exists());
    check_unpacked(root.path(), &text);
}

#[tokio::test]
async fn the_install_script_changes_nothing_twice_and_removes_what_it_left() {
    let server = Server::start(SITE).await;
    let script = server.text("/config/52:54:00:aa:00:01.sh").await;
    let root = TempDir::new().unwrap();
    let network = root.path().join("etc/systemd/network");
    let run = |script: &str| pipe("sh", &["-c", "ROOT=. sh"], script.as_bytes(), root.path());
    assert!(run(&script).contains("wrote revision 1 to"), "{script}");
    assert!(run(&script).contains("revision 1 is already applied"));

    std::fs::write(network.join("90-mine.network"), "").unwrap();
    let fewer = script.replace("put '15-virbr0.netdev'", "put '16-virbr0.netdev'");
    assert_ne!(fewer, script);
    assert!(run(&fewer).contains("wrote revision 1 to"));
    assert!(network.join("16-virbr0.netdev").exists());
    assert!(!network.join("15-virbr0.netdev").exists(), "a file of the last revision remains");
    assert!(network.join("90-mine.network").exists(), "an operator's own file went");

    let half = &script[..script.len() - 10];
    let other = TempDir::new().unwrap();
    pipe("sh", &["-c", "ROOT=. sh || true"], half.as_bytes(), other.path());
    assert!(!other.path().join("etc").exists(), "half a script did something");
}

#[tokio::test]
async fn the_json_holds_the_files_as_data() {
    let server = Server::start(SITE).await;
    let answer = server.get("/config/52:54:00:aa:00:01.json").await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    let data: serde_json::Value = answer.json().await.unwrap();
    assert_eq!((&data["host"], &data["revision"]), (&"r1-n01".into(), &1.into()));
    let path = data["files"][0]["path"].as_str().unwrap();
    let name = path.strip_prefix("/etc/systemd/network/").unwrap();
    let one = server.text(&format!("/config/52:54:00:aa:00:02/networkd/{name}")).await;
    assert_eq!(data["files"][0]["text"], one);
    let missing = server.get("/config/52:54:00:aa:00:02/networkd/99-x.network").await;
    assert_eq!(missing.status(), 404);
    assert!(missing.text().await.unwrap().contains(name));
}

#[tokio::test]
async fn every_format_is_served_by_its_name() {
    let server = Server::start(SITE).await;
    let url = "/config/52:54:00:aa:00:02";
    let netplan = server.text(&format!("{url}/netplan.yaml")).await;
    assert!(netplan.starts_with("network:\n") && netplan.contains("virbr0:"), "{netplan}");
    assert_eq!(netplan, server.text(&format!("{url}/netplan/90-rackstrap.yaml")).await);
    for (name, says) in [
        ("meta-data", "local-hostname: r1-n01"),
        ("user-data", "#cloud-config"),
        ("vendor-data", "#cloud-config"),
        ("network-config", "version: 2"),
    ] {
        let text = server.text(&format!("{url}/cloud-init/{name}")).await;
        assert!(text.contains(says), "{name}: {text}");
    }
    let ignition = server.text(&format!("{url}/ignition/config.ign")).await;
    assert!(ignition.contains("\"path\": \"/etc/systemd/network/05-bond0.netdev\""), "{ignition}");
    let unknown = server.get(&format!("{url}/windows/x")).await;
    assert_eq!(unknown.status(), 404);
    let text = unknown.text().await.unwrap();
    assert!(text.contains("\"windows\"") && text.contains("netplan, cloud-init"), "{text}");
}

#[tokio::test]
async fn every_format_is_served_whole_and_unpacks_with_its_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(SITE).await;
    let url = "/config/52:54:00:aa:00:02/networkmanager";
    let text = server.text(url).await;
    let path = "etc/NetworkManager/system-connections/bond0.nmconnection";
    assert!(text.contains(&format!("# /{path}\n")), "{text}");
    for (suffix, program, arguments) in [
        (".tar", "tar", ["-x", "-f", "-"].as_slice()),
        (".cpio.gz", "sh", ["-c", "gunzip | cpio -i --quiet"].as_slice()),
    ] {
        let archive = server.get(&format!("{url}{suffix}")).await.bytes().await.unwrap();
        let root = TempDir::new().unwrap();
        pipe(program, arguments, &archive, root.path());
        let mode = std::fs::metadata(root.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    let data: serde_json::Value = server.get(&format!("{url}.json")).await.json().await.unwrap();
    let modes = data["files"].as_array().unwrap().iter().map(|file| &file["mode"]);
    assert!(modes.clone().any(|mode| mode == "0600"), "{data}");
    let script = server.get(&format!("{url}.sh")).await;
    assert_eq!(script.status(), 409);
    let text = script.text().await.unwrap();
    assert!(text.contains("cannot put back"), "{text}");
    let unknown = server.get("/config/52:54:00:aa:00:02/windows").await;
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().await.unwrap().contains("expected one of: networkd, netplan"));
}

#[tokio::test]
async fn an_unchanged_configuration_is_not_sent_again() {
    let server = Server::start(SITE).await;
    let path = "/config/52:54:00:aa:00:01";
    let first = server.get(path).await;
    assert_eq!(first.headers()["x-rackstrap-revision"], "1");
    // The former name of the header.
    assert_eq!(first.headers()["x-rackstrap-generation"], "1");
    let etag = first.headers()["etag"].to_str().unwrap().to_owned();
    let again = server.get_with(path, "if-none-match", &etag).await;
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()["etag"].to_str().unwrap(), etag);
    assert_eq!(server.get_with(path, "if-none-match", "\"other\"").await.status(), 200);
}

/// Stores a lease of the host, as DHCP would.
async fn lease_to_r1_n01(database: &Database, address: Ipv4Addr) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let lease = Lease {
        address,
        client: ClientKey::Host("r1-n01".into()),
        nic: Some("52:54:00:aa:00:01".parse().unwrap()),
        subnet: "provisioning".into(),
        state: LeaseState::Bound,
        starts_at: now,
        expires_at: now + 3600,
        taken_over: false,
    };
    let leases = LeaseBook::open(database.clone()).await.unwrap();
    leases.commit(lease, now).await.unwrap();
}

/// The audit log of a server that has ended.
async fn audit_texts(config: &Config) -> Vec<String> {
    let database = Database::open(&config.database_url()).await.unwrap();
    let query = rackstrap::inventory::AuditQuery { limit: 1000, ..Default::default() };
    let entries = database.page_audit(&query).await.unwrap();
    entries.iter().map(|stored| stored.entry.text()).collect()
}

#[tokio::test]
async fn only_the_host_itself_reads_its_configuration() {
    let directory = TempDir::new().unwrap();
    let config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
    let database = fill(&config, SITE).await.database;
    let token = database
        .add_token(&rackstrap::inventory::NewToken::new("reader", rackstrap::model::Role::Viewer))
        .await
        .unwrap();
    let operator = |name: &str, racks: &[&str]| {
        let racks = racks.iter().map(|rack| (*rack).to_owned()).collect();
        let limits = rackstrap::model::Limits { racks, ..Default::default() };
        let operator = rackstrap::model::Role::Operator;
        rackstrap::inventory::NewToken {
            limits,
            ..rackstrap::inventory::NewToken::new(name, operator)
        }
    };
    let writer = database.add_token(&operator("writer", &[])).await.unwrap();
    let limited = database.add_token(&operator("limited", &["r9"])).await.unwrap();
    lease_to_r1_n01(&database, Ipv4Addr::new(10, 77, 0, 100)).await;
    database.close().await;
    let (rack, host) = (Netns::new("rack"), Netns::new("host"));
    rack.join("port", &host, "eth0");
    rack.ip("addr add 10.77.0.1/24 dev port");
    host.ip("addr add 10.77.0.11/24 dev eth0");
    host.ip("addr add 10.77.0.66/24 dev eth0");
    host.ip("addr add 10.77.0.100/24 dev eth0");
    let mut server = rack
        .command(env!("CARGO_BIN_EXE_rackstrap"))
        .args(["serve", "--data-dir"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let curl = |source: &str, words: &str| {
        let kind = if words.contains("-d ") { "report" } else { "config" };
        let url = format!("http://10.77.0.1/{kind}/52:54:00:aa:00:02");
        let line = format!(
            "curl -s --retry 60 --retry-connrefused --retry-delay 1 -m 60 --interface {source} -w '%{{http_code}}' {words} {url}"
        );
        String::from_utf8(host.sh(&line).stdout).unwrap()
    };
    let own = curl("10.77.0.11", "");
    let leased = curl("10.77.0.100", "");
    let strange = curl("10.77.0.66", "");
    let wrong_token = curl("10.77.0.66", "-H 'Authorization: Bearer rackstrap_wrong'");
    let right_token = curl("10.77.0.66", &format!("-H 'Authorization: Bearer {token}'"));
    let bearer = |token: &str| format!("-H 'Authorization: Bearer {token}'");
    let limited_reads = curl("10.77.0.66", &bearer(&limited));
    // A report speaks for the host.
    let report = |token: &str| curl("10.77.0.66", &format!("{} -d 'failed: x'", bearer(token)));
    let [by_reader, by_limited, by_writer] = [&token, &limited, &writer].map(|token| report(token));
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(limited_reads.ends_with("200"), "{limited_reads}");
    assert!(by_reader.ends_with("403") && by_limited.ends_with("403"), "{by_reader} {by_limited}");
    assert!(by_writer.ends_with("200"), "{by_writer}");
    let texts = audit_texts(&config).await;
    let said = "token limited was refused a change: host r1-n01 is outside the limits: rack none, allowed: r9";
    assert!(texts.iter().any(|text| text.starts_with(said)), "{texts:#?}");
    assert!(own.ends_with("200") && own.contains("Address=172.16.160.12/24"), "{own}");
    assert!(leased.ends_with("200"), "{leased}");
    assert!(strange.ends_with("403"), "{strange}");
    assert!(strange.contains("10.77.0.66 is not an address of r1-n01"), "{strange}");
    assert!(wrong_token.ends_with("403"), "{wrong_token}");
    assert!(right_token.ends_with("200"), "{right_token}");
}
