//! Dynamic updates of DNS (RFC 2136): the real program and BIND on loopback, with a key of tsig-keygen.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::desk::Desk;
use crate::common::skip::skip;
use crate::common::store::Store;
use crate::common::tools;

const SITE: &str = "subnets: {prov: {cidr: 10.77.0.0/24}, six: {cidr: \"2001:db8:77::/64\"}}\n\
    hosts:\n  n1: {nics: {eth0: \"52:54:00:aa:00:01\"}, reservations: {prov: 10.77.0.11, six: \"2001:db8:77::11\"}}\n  \
    n2: {nics: {eth0: \"52:54:00:aa:00:02\"}, reservations: {prov: 10.77.0.12}}\n";
/// A failed update is sent again after 5 s; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const ZONES: [&str; 3] =
    ["example.net", "0.77.10.in-addr.arpa", "7.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa"];

/// A process, ended when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// BIND with three zones that take updates signed by its key.
struct NameServer {
    named: tools::Tool,
    dig: tools::Tool,
    directory: TempDir,
    port: u16,
    running: Option<Running>,
}

impl NameServer {
    fn start(test: &str) -> Option<Self> {
        let find = |path| tools::find(path, if path.ends_with("keygen") { &[] } else { &["-v"] });
        let found = [find("usr/sbin/named"), find("usr/bin/dig"), find("usr/sbin/tsig-keygen")];
        let [Some(named), Some(dig), Some(keygen)] = found else {
            skip(
                test,
                "there is no named, dig or tsig-keygen below target/tools: run `make tools`",
            );
            return None;
        };
        let directory = TempDir::new().unwrap();
        let key = keygen.command().arg("rackstrap").output().unwrap();
        let key = String::from_utf8(key.stdout).unwrap();
        std::fs::write(directory.path().join("key"), &key).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = directory.path().display();
        let mut conf = format!(
            "options {{ directory \"{at}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
             pid-file none; session-keyfile none; recursion no; allow-transfer {{ any; }}; \
             dnssec-validation no; }};\ncontrols {{ }};\n{key}"
        );
        for zone in ZONES {
            writeln!(
                conf,
                "zone \"{zone}\" {{ type primary; file \"{at}/{zone}\"; allow-update {{ key rackstrap; }}; }};"
            )
            .unwrap();
            let mine =
                if zone == "example.net" { "n1 A 192.0.2.1\nmine A 192.0.2.2\n" } else { "" };
            let text = format!(
                "$TTL 300\n@ SOA ns.other.example. a.b. 1 3600 900 1209600 300\n@ NS ns.other.example.\n{mine}"
            );
            std::fs::write(directory.path().join(zone), text).unwrap();
        }
        std::fs::write(directory.path().join("conf"), conf).unwrap();
        let mut server = Self { named, dig, directory, port, running: None };
        server.run();
        Some(server)
    }

    fn run(&mut self) {
        let log = std::fs::File::create(self.directory.path().join("named.log")).unwrap();
        let mut command = self.named.command();
        command.args(["-f", "-g", "-c"]).arg(self.directory.path().join("conf"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.running = Some(Running(child));
    }

    /// The records of all zones but those of the zones themselves, sorted.
    fn records(&self) -> Vec<String> {
        let mut all = Vec::new();
        for zone in ZONES {
            let mut dig = self.dig.command();
            dig.args(["@127.0.0.1", "-p", &self.port.to_string(), zone, "AXFR"]);
            let output = dig.args(["+noall", "+answer", "+tries=1"]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            for line in text.lines().filter(|line| !line.starts_with(';')) {
                let words: Vec<&str> = line.split_whitespace().collect();
                if words.len() > 4 && !["SOA", "NS"].contains(&words[3]) {
                    all.push(format!("{} {} {}", words[0], words[3], words[4]));
                }
            }
        }
        all.sort();
        all
    }

    async fn wait_for(&self, expected: &[&str]) {
        let mut expected: Vec<&str> = [expected, &BY_HAND].concat();
        expected.sort();
        let end = Instant::now() + PATIENCE;
        while self.records() != expected {
            let log = self.directory.path().join("named.log");
            let log = || std::fs::read_to_string(&log).unwrap();
            assert!(Instant::now() < end, "{:#?}\n{expected:#?}\n{}", self.records(), log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What an administrator of the zone has written: it stays, also beside records of ours.
const BY_HAND: [&str; 2] = ["mine.example.net. A 192.0.2.2", "n1.example.net. A 192.0.2.1"];
const N1: [&str; 6] = [
    "n1.example.net. A 10.77.0.11",
    "prov.n1.example.net. A 10.77.0.11",
    "six.n1.example.net. AAAA 2001:db8:77::11",
    "11.0.77.10.in-addr.arpa. PTR n1.example.net.",
    "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR six.n1.example.net.",
    "n2.example.net. A 10.77.0.12",
];
const N2: [&str; 2] =
    ["prov.n2.example.net. A 10.77.0.12", "12.0.77.10.in-addr.arpa. PTR n2.example.net."];

fn serve(directory: &Path, database: &str, server: &NameServer, key: &Path) -> Running {
    let log = std::fs::OpenOptions::new();
    let log = { log }.create(true).append(true).open(directory.join("log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_rackstrap"))
        .args(["--database", database, "--admin-listen", "127.0.0.1:0"])
        .args(["--machine-listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.join("data"))
        .arg("serve")
        .env("RACKSTRAP_DNS_SERVER", format!("127.0.0.1:{}", server.port))
        .env("RACKSTRAP_DNS_KEY_FILE", key)
        .env("RACKSTRAP_DNS_ZONES", ZONES.join(","))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Running(child)
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_follow_an_inventory_in_sqlite() {
    zones_follow_the_inventory_and_keep_what_is_not_ours(Store::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_follow_an_inventory_in_postgres() {
    zones_follow_the_inventory_and_keep_what_is_not_ours(Store::postgres().await).await;
}

async fn zones_follow_the_inventory_and_keep_what_is_not_ours(store: Store) {
    let Some(mut server) = NameServer::start("dns_updates") else { return };
    let url = store.url.clone();
    let desk = Desk::new(store);
    desk.good_with("apply -", SITE);
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());

    // A server with a wrong key has the zones until it is killed, and then another one does.
    let wrong = desk.file("wrong", "key rackstrap { algorithm hmac-sha256; secret \"AAAA\"; };");
    let running = serve(one.path(), &url, &server, &wrong);
    let log = one.path().join("log");
    let end = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&log).unwrap_or_default().contains("rejected the key") {
        assert!(Instant::now() < end, "{}", std::fs::read_to_string(&log).unwrap());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(running);
    let _running = serve(two.path(), &url, &server, &server.directory.path().join("key"));
    server.wait_for(&[&N1[..], &N2].concat()).await;

    // A revision is in the zones at once: a host that goes takes its records with it, one that moves
    // has the new address only.
    desk.good("host remove n2");
    server.wait_for(&N1[..5]).await;
    desk.good("host set n1 reservations.prov=10.77.0.21");
    let moved = [
        "n1.example.net. A 10.77.0.21",
        "prov.n1.example.net. A 10.77.0.21",
        N1[2],
        "21.0.77.10.in-addr.arpa. PTR n1.example.net.",
        N1[4],
    ];
    server.wait_for(&moved).await;

    // The name server is away for a while: what changed meanwhile is sent when it is back.
    server.running = None;
    desk.good("host set n1 reservations.six=");
    let end = Instant::now() + PATIENCE;
    let warning = "DNS zone example.net. is not up to date: the name server is unreachable";
    while !desk.good("event list --kind warning").contains(warning) {
        assert!(Instant::now() < end, "{}", desk.good("event list"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    server.run();
    server.wait_for(&[moved[0], moved[1], moved[3]]).await;
}
