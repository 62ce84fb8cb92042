//! Clients that open connections and say nothing, or not all: the server stays within its limits,
//! and hosts are served meanwhile.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::dhcp::{Client, DhcpServer, Message, lan};
use crate::common::netns::Netns;

const SITE: &str = "
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
";

/// Opens connections from several addresses in turn, sends the same on each, says how many it
/// has, and keeps them. At a line of input it says how many are open still.
const OPENER: &str = r#"
import json, resource, socket, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
job = json.loads(sys.argv[1])
held = []
for number in range(job["count"]):
    connection = socket.socket()
    connection.settimeout(5)
    try:
        connection.bind((job["from"][number % len(job["from"])], 0))
        connection.connect((job["to"], job["port"]))
        connection.sendall(job["head"].encode() + b"x" * job["body"])
        held.append(connection)
    except OSError:
        pass
print(len(held), flush=True)
for _ in sys.stdin:
    still = 0
    for connection in held:
        connection.setblocking(False)
        try:
            still += bool(connection.recv(65536))
        except BlockingIOError:
            still += 1
        except OSError:
            pass
    print(still, flush=True)
"#;

/// The opener, as long as it runs.
struct Opener {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Opener {
    fn start(inside: &Netns, job: &serde_json::Value) -> Self {
        let mut command = inside.command("python3");
        command.args(["-c", OPENER, &job.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut opener = Self { child, lines };
        opener.said();
        opener
    }

    fn said(&mut self) -> usize {
        self.lines.next().unwrap().unwrap().trim().parse().unwrap()
    }

    /// How many connections the server has left open.
    fn still_open(&mut self) -> usize {
        use std::io::Write;
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.said()
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn descriptors(server: &DhcpServer) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.process_id())).unwrap().count()
}

/// How long a client waits for an OFFER.
fn offer_takes(client: &Client, number: u8) -> Duration {
    let begun = Instant::now();
    let mac = [0x52, 0x54, 0, 0xcc, 1, number];
    client.ask(&Message::new(1, mac), Ipv4Addr::BROADCAST).expect("an offer");
    begun.elapsed()
}

/// A server that may have as many open files as usual, and no more.
fn limited(server: &mut DhcpServer) {
    let script = server.directory.path().join("limited");
    fs::write(&script, "#!/bin/sh\nexec prlimit --nofile=1024:1024 \"$@\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    server.start_by(script);
    server.start(&["lan"]);
}

#[test]
fn half_open_connections_stop_neither_dhcp_nor_other_clients() {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    limited(&mut server);
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let before = (offer_takes(&client, 1), descriptors(&server), server.memory_kib());
    let sources: Vec<String> = (20..40).map(|last| format!("10.77.0.{last}")).collect();
    for address in &sources {
        clients.ip(&format!("address add {address}/24 dev eth0"));
    }
    for (from, most) in [(&sources[..1], 64), (&sources[..], 300)] {
        let job = serde_json::json!({
            "from": from, "to": "10.77.0.1", "port": 80, "count": 1100,
            "head": "GET /readyz HTTP/1.1\r\nHost: x\r\n", "body": 0,
        });
        let mut opener = Opener::start(&clients, &job);
        let during = (offer_takes(&client, 2), descriptors(&server), server.memory_kib());
        // A connection that is not accepted yet counts as open.
        let settled = Instant::now() + Duration::from_secs(8);
        let mut open = opener.still_open();
        while open > most && Instant::now() < settled {
            std::thread::sleep(Duration::from_millis(100));
            open = opener.still_open();
        }
        println!(
            "from {} addresses: {open} open; before {before:?}, during {during:?}",
            from.len()
        );
        assert!(open <= most, "{open}");
        assert!(during.1 < 900, "descriptors are left for others: {}", during.1);
        assert!(during.0 < Duration::from_secs(1), "{:?}", during.0);
        assert!(during.2 < before.2 + 20 * 1024, "KiB: {before:?}, {during:?}");
        let answer = server.inside.sh("curl -s -m 5 http://127.0.0.1:8080/readyz");
        assert_eq!(String::from_utf8_lossy(&answer.stdout), "ready\n");
        let end = Instant::now() + Duration::from_secs(30);
        while opener.still_open() > 0 {
            assert!(Instant::now() < end, "they are never closed");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    let log = server.log();
    assert!(log.contains("has 64 open, the limit"), "{log}");
    assert!(!log.contains("disappeared"), "no descriptor is not no interface: {log}");
    assert!(log.matches("closed a new HTTP connection").count() < 10, "{log}");
}

#[test]
fn unfinished_logins_hold_little_memory() {
    let (mut server, _clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    server.start(&["lan"]);
    let before = server.memory_kib();
    let head = "POST /login HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: \
        application/x-www-form-urlencoded\r\nContent-Length: 4100000\r\n\r\n";
    let job = serde_json::json!({
        "from": ["127.0.0.1"], "to": "127.0.0.1", "port": 8080, "count": 60, "head": head,
        "body": 4_000_000,
    });
    let mut opener = Opener::start(&server.inside, &job);
    let during = server.memory_kib();
    println!("memory before {before} KiB, with 60 unfinished logins {during} KiB");
    assert!(during < before + 16 * 1024, "{before} KiB, then {during} KiB");
    let end = Instant::now() + Duration::from_secs(40);
    while opener.still_open() > 0 {
        assert!(Instant::now() < end, "they are never closed");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Each with a whole request, as a browser or a program that guesses passwords has them.
#[test]
fn a_thousand_connections_to_the_web_ui_hold_little_memory() {
    let (mut server, _clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    server.start(&["lan"]);
    let before = server.memory_kib();
    let job = serde_json::json!({
        "from": ["127.0.0.1"], "to": "127.0.0.1", "port": 8080, "count": 1000, "body": 0,
        "head": "GET /login HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    });
    let mut opener = Opener::start(&server.inside, &job);
    let (open, during) = (opener.still_open(), server.memory_kib());
    println!("memory before {before} KiB, with {open} connections {during} KiB");
    // A debug build needs more than another.
    assert!(during < before + 60 * 1024, "{before} KiB, then {during} KiB");
}

#[test]
fn the_end_waits_for_no_stream_and_no_silent_client() {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    server.start(&["lan"]);
    let token = server.token();
    let mut stream = server.inside.command("curl");
    stream.args(["-s", "-N", "-H", &format!("Authorization: Bearer {token}")]);
    stream.arg("http://127.0.0.1:8080/api/v1/live").stdout(Stdio::null());
    let mut stream = stream.spawn().unwrap();
    let job = serde_json::json!({
        "from": ["0.0.0.0"], "to": "10.77.0.1", "port": 80, "count": 3, "head": "", "body": 0,
    });
    let _opener = Opener::start(&clients, &job);
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    kill(Pid::from_raw(server.process_id().cast_signed()), Signal::SIGTERM).unwrap();
    server.wait_for_end();
    println!("ended after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let _ = stream.kill();
    let _ = stream.wait();
}
