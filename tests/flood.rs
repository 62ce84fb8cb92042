//! Strangers who repeat themselves: neither the database nor the log grows with their number, and
//! what matters is recorded all the same.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::dhcp::{Client, DhcpServer, Message, lan, wait_for};
use crate::common::netns::Netns;
use crate::common::tftp::Raw;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
images: {live: {kernel: live/vmlinuz}}
hosts:
  n1:
    image: live
    nics: {eth0: "52:54:00:aa:00:01"}
    reservations: {provisioning: 10.77.0.12}
"#;
const KNOWN: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 66);

fn database_bytes(server: &DhcpServer) -> u64 {
    let size =
        |name: &str| fs::metadata(server.directory.path().join(name)).map_or(0, |file| file.len());
    // The write-ahead log is reused: it has a size of its own.
    size("rackstrap.db")
}

fn curl(clients: &Netns, words: &str) {
    let output = clients.sh(&format!("curl -s -o /dev/null --interface {STRANGER} {words}"));
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_flood_fills_neither_the_database_nor_the_log() {
    let (mut server, clients) = lan(SITE, &["52:54:00:aa:00:66"]);
    server.log_at("info");
    server.start(&["lan"]);
    clients.ip(&format!("address add {STRANGER}/24 dev eth0"));
    clients.ip("address add 10.77.0.12/24 dev eth0");
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    assert!(client.ask(&Message::new(1, KNOWN), Ipv4Addr::BROADCAST).is_some());
    std::thread::sleep(Duration::from_millis(500));

    let floods: [(&str, usize, &dyn Fn()); 6] = [
        ("DISCOVER of a known MAC", 60_000, &|| {
            let discover = Message::new(1, KNOWN);
            for n in 0..60_000 {
                client.send(&discover, Ipv4Addr::BROADCAST);
                if n % 100 == 0 {
                    // The answers are read, and the server keeps up.
                    while client.next(Duration::from_millis(1)).is_some() {}
                }
            }
        }),
        ("DISCOVER of forged MACs", 20_000, &|| {
            for n in 0..20_000_u32 {
                let [_, a, b, c] = n.to_be_bytes();
                let discover = Message::new(1, [2, 0, 0, a, b, c]);
                client.send(&discover, Ipv4Addr::BROADCAST);
                if n % 100 == 0 {
                    while client.next(Duration::from_millis(1)).is_some() {}
                }
            }
        }),
        ("scripts of MACs that nobody has", 8100, &|| {
            curl(&clients, "'http://10.77.0.1/boot/02:00:00:00:[10-99]:[10-99].ipxe'");
        }),
        ("refused configurations", 8100, &|| {
            curl(&clients, "'http://10.77.0.1/config/52:54:00:aa:00:01?x=[1-8100]'");
        }),
        ("files that do not exist", 8100, &|| {
            curl(&clients, "'http://10.77.0.1/files/none-[1-8100]'");
        }),
        ("refused TFTP requests", 5000, &|| {
            let raw = Raw::bind(&clients, SocketAddr::from((STRANGER, 0)));
            for n in 0..5000 {
                raw.read(&format!("none-{n}"), &[]);
                if n % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }),
    ];
    println!("| flood | requests | database KB | log KB | s |\n|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for (name, requests, flood) in floods {
        let (database, log) = (database_bytes(&server), server.log().len() as u64);
        let begin = Instant::now();
        flood();
        let spent = begin.elapsed().as_secs_f64();
        std::thread::sleep(Duration::from_millis(500));
        let database = database_bytes(&server).saturating_sub(database) / 1000;
        let log = (server.log().len() as u64).saturating_sub(log) / 1000;
        println!("| {name} | {requests} | {database} | {log} | {spent:.1} |");
        if database > 1000 || log > 500 {
            wrong.push(format!("{name}: {database} KB, {log} KB"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Of a host that asks again and again, its state is logged once.
    let states = server.log().matches("n1 is stuck").count();
    assert!(states <= 2, "{states} lines that n1 is stuck");

    // The host itself is heard at once.
    let report = "curl -sSf --interface 10.77.0.12 -d up http://10.77.0.1/report/52:54:00:aa:00:01";
    assert!(clients.sh(report).status.success());
    let said = server.events_of("n1");
    assert!(said[0].starts_with("up"), "{said:?}");
    // How many were left out is told within a minute or two.
    let end = Instant::now() + Duration::from_secs(100);
    while !server.log().contains("discover events within") {
        assert!(Instant::now() < end, "nobody tells how many were left out");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Every line about a host has its MAC and its boot, and JSON lines have fields.
#[test]
fn log_lines_are_fields_with_the_mac_and_the_boot() {
    let (mut server, clients) = lan(SITE, &["52:54:00:aa:00:01"]);
    let files = server.directory.path().join("files/live");
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("vmlinuz"), [7; 3000]).unwrap();
    server.log_at("info");
    server.set("log_format", "json");
    server.start(&["lan"]);
    clients.ip("address add 10.77.0.12/24 dev eth0");
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let firmware = |message: Message| {
        message.option(60, b"PXEClient:Arch:00007:UNDI:003000").option(93, &[0, 7])
    };
    assert!(client.ask(&firmware(Message::new(1, KNOWN)), Ipv4Addr::BROADCAST).is_some());
    let request =
        firmware(Message::new(3, KNOWN)).option(50, &[10, 77, 0, 12]).option(54, &[10, 77, 0, 1]);
    assert!(client.ask(&request, Ipv4Addr::BROADCAST).is_some());
    let raw = Raw::bind(&clients, SocketAddr::from(([10, 77, 0, 12], 0)));
    crate::common::tftp::read_all(&raw, "live/vmlinuz");
    let get = |words: &str| {
        let line = format!("curl -sS -o /dev/null --interface 10.77.0.12 {words}");
        assert!(clients.sh(&line).status.success(), "{words}");
    };
    get("http://10.77.0.1/boot/52:54:00:aa:00:01.ipxe");
    get("http://10.77.0.1/files/live/vmlinuz");
    get("http://10.77.0.1/files/live/none");
    get("-d 'failed: no partner' http://10.77.0.1/report/52:54:00:aa:00:01");
    wait_for("the report is logged", || server.log().contains("no partner"));
    wait_for("the state is logged", || server.log().contains("n1 is failed"));

    let lines: Vec<Value> =
        server.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut boots = Vec::new();
    for kind in ["discover", "offer", "request", "ack", "tftp", "script", "kernel", "report"] {
        let line = lines.iter().find(|line| line["kind"] == kind);
        let line = line.unwrap_or_else(|| panic!("{kind} is not logged: {}", server.log()));
        assert_eq!(line["mac"], "52:54:00:aa:00:01", "{line}");
        assert_eq!(line["host"], "n1", "{line}");
        let fields: Value = serde_json::from_str(line["fields"].as_str().unwrap()).unwrap();
        assert_eq!(fields["kind"], kind, "{line}");
        if ["tftp", "kernel"].contains(&kind) {
            assert_eq!(
                (&line["file"], &line["bytes"]),
                (&"live/vmlinuz".into(), &3000.into()),
                "{line}"
            );
            assert!(line["milliseconds"].is_u64(), "{line}");
        }
        boots.push(line["boot"].as_i64().unwrap_or_else(|| panic!("no boot: {line}")));
    }
    let state = lines.iter().find(|line| line["state"] == "failed").expect("the state");
    boots.push(state["boot"].as_i64().unwrap_or_else(|| panic!("no boot: {state}")));
    boots.dedup();
    assert_eq!(boots.len(), 1, "one boot: {boots:?}");
    let refused = lines.iter().find(|line| line["status"] == 404).expect("the refused request");
    assert_eq!(refused["mac"], "52:54:00:aa:00:01", "{refused}");
    assert_eq!(refused["boot"], boots[0], "{refused}");
}
