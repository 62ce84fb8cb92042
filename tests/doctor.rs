//! `rackstrap doctor` in a namespace where one thing after another is wrong.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use serde_json::Value;

use crate::common::dhcp::{DhcpServer, lan, start, wait_for};
use crate::common::netns::Netns;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
images:
  live: {kernel: live/vmlinuz}
hosts:
  r1-n01:
    image: live
    boot-file: own.efi
    nics: {eth0: "52:54:00:aa:00:01"}
"#;

/// What the doctor finds, with more words on its command line.
fn findings(server: &DhcpServer, words: &[&str]) -> Vec<Value> {
    let mut command = server.inside.command(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(server.directory.path());
    command.env("RACKSTRAP_IPXE_DIR", server.directory.path().join("ipxe"));
    command.args(["--json", "doctor", "--wait", "1"]).args(words);
    let output = command.output().unwrap();
    let found: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let troubled = found.iter().any(|finding| finding["verdict"] == "trouble");
    assert_eq!(output.status.success(), !troubled);
    found
}

/// The texts and remedies of what is wrong, as `check: text -> remedy`.
fn wrong(server: &DhcpServer, words: &[&str]) -> Vec<String> {
    let found = findings(server, words);
    let wrong = found.iter().filter(|finding| finding["verdict"] != "good");
    let told = |finding: &Value| {
        let part = |key: &str| finding[key].as_str().unwrap().to_owned();
        format!("{}: {} -> {}", part("check"), part("text"), part("remedy"))
    };
    wrong.map(told).collect()
}

/// Puts boot programs, kernel and boot file where they are looked for.
fn fill(directory: &Path) {
    for file in ["ipxe/undionly.kpxe", "ipxe/snponly.efi", "files/live/vmlinuz", "files/own.efi"] {
        let path = directory.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"MZ").unwrap();
    }
}

fn one_tells(found: &[String], text: &str) {
    assert!(found.iter().any(|line| line.contains(text)), "nothing tells {text:?}: {found:#?}");
}

#[test]
fn a_sound_server_has_nothing_wrong_running_or_not() {
    let (mut server, _clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    fill(server.directory.path());
    assert_eq!(wrong(&server, &["--interface", "lan"]), [""; 0]);
    server.start(&["lan"]);
    let found = findings(&server, &["--interface", "lan"]);
    let told: Vec<&str> = found.iter().filter_map(|finding| finding["text"].as_str()).collect();
    assert!(told.contains(&"UDP port 67 for DHCP is rackstrap's"), "{told:#?}");
    assert_eq!(wrong(&server, &["--interface", "lan"]), [""; 0]);
}

#[test]
fn each_thing_that_stops_a_boot_is_told_with_its_remedy() {
    let (server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    let on_link = ["--interface", "lan"];
    let missing = wrong(&server, &on_link);
    one_tells(&missing, "undionly.kpxe");
    one_tells(&missing, "apt install ipxe");
    one_tells(&missing, "image live, which 1 hosts boot: no file \"live/vmlinuz\"");
    one_tells(&missing, "boot-file of host r1-n01");
    fill(server.directory.path());

    one_tells(&wrong(&server, &[]), "no interface is named");
    let absent = wrong(&server, &["--interface", "eth9"]);
    one_tells(&absent, "eth9 does not exist -> name one that is there: lan, lo");
    server.inside.ip("link add idle type bridge");
    one_tells(&wrong(&server, &["--interface", "idle"]), "ip link set idle up");

    let holder = server.inside.run(|| UdpSocket::bind("0.0.0.0:69").unwrap());
    one_tells(&wrong(&server, &on_link), "UDP port 69 for TFTP is taken by");
    drop(holder);

    let rules = "nft -f - <<END
table inet t {
    chain input {
        type filter hook input priority 0; policy drop;
        iifname \"lo\" accept
        tcp dport 80 accept
    }
}
END";
    assert!(server.inside.sh(rules).status.success());
    let closed = wrong(&server, &on_link);
    one_tells(&closed, "nftables seems to drop udp port 67: chain input drops");
    one_tells(&closed, "udp dport 69 accept");
    assert!(!closed.iter().any(|line| line.contains("tcp port 80")), "{closed:#?}");
    server.inside.sh("nft flush ruleset");

    let foreign = Foreign::start(&clients);
    one_tells(&wrong(&server, &on_link), "10.77.0.9 gives addresses on lan as well");
    assert_eq!(wrong(&server, &["--interface", "lan", "--quiet"]), [""; 0]);
    drop(foreign);

    server.inside.ip("address flush dev lan");
    one_tells(&wrong(&server, &on_link), "lan has no IPv4 address");
    server.inside.ip("address add 192.168.9.1/24 dev lan");
    one_tells(&wrong(&server, &on_link), "192.168.9.1/24, which is in no subnet of the site");
}

/// Somebody else's DHCP server on the clients' link.
struct Foreign {
    _process: crate::common::dhcp::Running,
    _directory: tempfile::TempDir,
}

impl Foreign {
    fn start(clients: &Netns) -> Self {
        clients.ip("address add 10.77.0.9/24 dev eth0");
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut command = clients.command("dnsmasq");
        command.args(["--no-daemon", "--port=0", "--conf-file=/dev/null", "--log-dhcp"]);
        command.args(["--interface=eth0", "--dhcp-authoritative", "--no-ping", "--user=root"]);
        command.arg("--dhcp-range=10.77.0.220,10.77.0.230,1h");
        command.arg(format!("--dhcp-leasefile={}", directory.path().join("leases").display()));
        let process = start(&mut command, &log);
        wait_for("dnsmasq serves", || fs::read_to_string(&log).unwrap().contains("DHCP, IP range"));
        Self { _process: process, _directory: directory }
    }
}
