//! A kernel without IPv6: by default HTTP for machines listens on both families, TFTP has a
//! socket for each, and router advertisements need the family. What is IPv4 must not notice.

use std::net::Ipv4Addr;

use crate::common::dhcp::{Client, DhcpServer, lan};
use crate::common::netns::Netns;
use crate::common::real_client::tool;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
images:
  live: {kernel: live/vmlinuz}
hosts:
  r1-n01:
    image: live
    nics: {eth0: "52:54:00:aa:00:01"}
    reservations: {provisioning: 10.77.0.12}
"#;
const HOST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);

fn said(inside: &Netns, line: &str) -> String {
    let output = inside.sh(line);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// DHCP, TFTP and HTTP over IPv4, as a host that boots uses them.
fn serves_ipv4(server: &DhcpServer, clients: &Netns) {
    let client = Client::bind(clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    assert_eq!(client.acquire(HOST), Some(OWN));
    clients.ip(&format!("address add {OWN}/24 dev eth0"));
    for url in ["tftp://10.77.0.1/file", "http://10.77.0.1/files/file"] {
        assert_eq!(said(clients, &format!("curl -sSf -m 20 {url}")), "content", "{url}");
    }
    let url = "http://10.77.0.1/boot/52:54:00:aa:00:01.ipxe";
    let script = said(clients, &format!("curl -sSf -m 20 {url}"));
    assert!(script.contains("http://10.77.0.1/files/live/vmlinuz"), "{script}");
    assert_eq!(said(&server.inside, "curl -s -m 5 http://127.0.0.1:8080/readyz").trim(), "ready");
}

fn rack() -> (DhcpServer, Netns) {
    let (server, clients) = lan(SITE, &["52:54:00:aa:00:01"]);
    let files = server.directory.path().join("files");
    std::fs::create_dir_all(files.join("live")).unwrap();
    for name in ["file", "live/vmlinuz"] {
        std::fs::write(files.join(name), "content").unwrap();
    }
    (server, clients)
}

#[test]
fn a_kernel_without_ipv6_serves_ipv4_and_says_once_what_is_missing() {
    let (mut server, clients) = rack();
    server.start_by(tool("without-ipv6.py"));
    server.start(&["lan"]);
    server.wait_for_log("hosts fetch from http://10.77.0.1");
    let listeners = said(&server.inside, "cat /proc/net/tcp");
    assert!(listeners.contains(" 00000000:0050 "), "0.0.0.0:80: {listeners}");
    serves_ipv4(&server, &clients);
    let log = server.log();
    let family = "Address family not supported by protocol";
    let missing: Vec<&str> = log.lines().filter(|line| line.contains(family)).collect();
    assert_eq!(missing.len(), 3, "TFTP over IPv6, advertisements and DHCPv6: {missing:?}");
    assert!(!log.contains("ERROR"), "{log}");
    let listeners = said(&server.inside, "cat /proc/net/tcp6 /proc/net/udp6");
    assert!(!listeners.contains(":0050 ") && !listeners.contains(":0045 "), "{listeners}");
}

/// The milder way: the family is there, and no interface has an address of it.
#[test]
fn a_namespace_without_ipv6_addresses_serves_ipv4_by_the_same_listener() {
    let (mut server, clients) = rack();
    said(&server.inside, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    server.start(&["lan"]);
    server.wait_for_log("hosts fetch from http://10.77.0.1");
    let listeners = said(&server.inside, "cat /proc/net/tcp6");
    assert!(listeners.contains(" 00000000000000000000000000000000:0050 "), "[::]:80: {listeners}");
    serves_ipv4(&server, &clients);
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}

/// The doctor tries the ports as the server would.
#[test]
fn the_doctor_finds_nothing_wrong_with_a_kernel_without_ipv6() {
    let (server, _clients) = rack();
    let mut command = server.inside.command(tool("without-ipv6.py").to_str().unwrap());
    command.args([env!("CARGO_BIN_EXE_rackstrap"), "--json", "doctor", "--wait", "1"]);
    command.args(["--interface", "lan", "--data-dir"]).arg(server.directory.path());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let port = found.iter().find(|finding| {
        finding["text"].as_str().is_some_and(|text| text.contains("machine_listen [::]:80"))
    });
    assert_eq!(port.unwrap()["verdict"], "ok", "{text}");
    assert!(!text.contains("Address family not supported"), "{text}");
}
