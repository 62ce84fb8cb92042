//! `/metrics` after one of everything, and the page of the guide about it.

use std::net::Ipv4Addr;

use crate::common::dhcp::{Client, DhcpServer, Message, lan, wait_for};

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    bootp: true
    ranges: [{from: 10.77.0.100, to: 10.77.0.109, for: dhcp}]
hosts:
  n01: {nics: {eth0: "52:54:00:aa:00:01"}, reservations: {provisioning: 10.77.0.12}}
"#;
const MAC: [u8; 6] = [0x52, 0x54, 0, 0xbb, 0, 1];
const HOST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

fn metrics(server: &DhcpServer) -> String {
    let output = server.inside.sh("curl -sf -m 5 http://127.0.0.1:8080/metrics");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// One of each kind of DHCP answer, a DECLINE, a transfer and two requests by HTTP.
fn let_things_happen(server: &DhcpServer, clients: &crate::common::netns::Netns) {
    let client = Client::bind(clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    assert_eq!(client.acquire(MAC), Some(Ipv4Addr::new(10, 77, 0, 100)));
    let wrong = Message::new(3, MAC).option(50, &[10, 77, 0, 105]);
    assert_eq!(client.ask(&wrong, Ipv4Addr::BROADCAST).unwrap().kind(), 6);
    let mut bootp = Message::new(1, HOST);
    bootp.0.truncate(240);
    client.send(&bootp, Ipv4Addr::BROADCAST);
    let next = client.next(std::time::Duration::from_secs(10)).unwrap();
    assert_eq!(next.your_address(), Ipv4Addr::new(10, 77, 0, 12));
    let decline = Message::new(4, MAC).option(50, &[10, 77, 0, 100]);
    client.send(&decline.option(54, &SERVER.octets()), Ipv4Addr::BROADCAST);
    clients.ip("address add 10.77.0.66/24 dev eth0");
    for line in [
        "curl -sS -m 10 -o /dev/null tftp://10.77.0.1/file",
        "curl -sf -m 10 -o /dev/null http://10.77.0.1/files/file",
        "curl -s -m 10 -o /dev/null http://10.77.0.1/files/none",
    ] {
        assert!(clients.sh(line).status.success(), "{line}");
    }
    wait_for("the lease is declined", || {
        metrics(server).contains("rackstrap_leases{subnet=\"provisioning\",state=\"declined\"} 1")
    });
}

#[test]
fn what_happens_is_counted_and_every_counter_is_documented() {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    let files = server.directory.path().join("files");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("file"), [7; 1000]).unwrap();
    server.start(&["lan"]);
    let_things_happen(&server, &clients);
    let text = metrics(&server);
    for line in [
        "rackstrap_dhcp_messages_total{type=\"discover\"} 1",
        "rackstrap_dhcp_answers_total{type=\"offer\"} 1",
        "rackstrap_dhcp_answers_total{type=\"ack\"} 1",
        "rackstrap_dhcp_answers_total{type=\"nak\"} 1",
        "rackstrap_dhcp_answers_total{type=\"bootp\"} 1",
        // The lease, and the end of it.
        "rackstrap_lease_commits_total{outcome=\"stored\"} 2",
        "rackstrap_tftp_transfers_total{ending=\"complete\"} 1",
        "rackstrap_tftp_bytes_total{ending=\"complete\"} 1000",
        "rackstrap_tftp_transfers_running 0",
        "rackstrap_http_answers_total{status=\"200\"} 1",
        "rackstrap_http_answers_total{status=\"404\"} 1",
        "rackstrap_events_total{kind=\"nak\"} 1",
        "rackstrap_pool_addresses{subnet=\"provisioning\",state=\"all\"} 10",
        "rackstrap_pool_addresses{subnet=\"provisioning\",state=\"free\"} 9",
        "rackstrap_pool_level{subnet=\"provisioning\"} 0",
        "rackstrap_hosts{state=\"booting\"} 1",
        "rackstrap_ready 1",
        // The kinds that deserve an alert are counted before there is one.
        "rackstrap_events_total{kind=\"error\"} 0",
        "rackstrap_events_total{kind=\"warning\"} 0",
        "rackstrap_hosts{state=\"stuck\"} 0",
        "rackstrap_hosts{state=\"failed\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let page = include_str!("../docs/guide/metrics.md");
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = name.split(' ').next().unwrap();
        assert!(page.contains(&format!("`{name}")), "docs/guide/metrics.md lacks {name}");
    }
    let rules = include_str!("../packaging/prometheus/rackstrap.rules.yml");
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(alerts.len() >= 5, "{alerts:?}");
    for alert in alerts {
        let names = alert.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_name = |word: &&str| word.starts_with("rackstrap_") || word.starts_with("process_");
        // Whether the server is there at all is Prometheus' own metric.
        let Some(name) = names.into_iter().find(is_name) else {
            assert!(alert.starts_with("up{"), "{alert}");
            continue;
        };
        let name = name.trim_end_matches("_bucket");
        // With a certificate only: tests/tls.rs and tests/machine_tls.rs see them.
        if name.ends_with("certificate_expiry_timestamp_seconds") {
            continue;
        }
        assert!(text.contains(&format!("# TYPE {name} ")), "there is no metric {name}: {alert}");
    }
}
