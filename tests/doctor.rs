//! `rackstrap doctor` in a namespace where one thing after another is wrong.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::common::dhcp::{DhcpServer, lan, start, wait_for};
use crate::common::netns::Netns;
use crate::common::skip::skip;

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
    findings_by(server, &["env"], words)
}

/// The same, started by another program: a line of `env`, `setpriv` and the like.
fn findings_by(server: &DhcpServer, by: &[&str], words: &[&str]) -> Vec<Value> {
    let mut command = server.inside.command(by[0]);
    command.args(&by[1..]).arg(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(server.directory.path());
    command.env("RACKSTRAP_IPXE_DIR", server.directory.path().join("ipxe"));
    command.args(["--json", "doctor", "--wait", "1"]).args(words);
    let output = command.output().unwrap();
    let found: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let failed = found.iter().any(|finding| finding["verdict"] == "error");
    assert_eq!(output.status.success(), !failed);
    found
}

/// The errors and warnings, as `check: text -> fix`.
fn wrong(server: &DhcpServer, words: &[&str]) -> Vec<String> {
    wrong_by(server, &["env"], words)
}

fn wrong_by(server: &DhcpServer, by: &[&str], words: &[&str]) -> Vec<String> {
    let found = findings_by(server, by, words);
    let wrong = found.iter().filter(|finding| finding["verdict"] != "ok");
    let told = |finding: &Value| {
        let part = |key: &str| finding[key].as_str().unwrap().to_owned();
        format!("{}: {} -> {}", part("check"), part("text"), part("fix"))
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

fn assert_reported(found: &[String], text: &str) {
    assert!(found.iter().any(|line| line.contains(text)), "no finding has {text:?}: {found:#?}");
}

#[test]
fn a_sound_server_passes_all_checks_running_or_not() {
    let (mut server, _clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    fill(server.directory.path());
    assert_eq!(wrong(&server, &["--interface", "lan"]), [""; 0]);
    server.start(&["lan"]);
    let found = findings(&server, &["--interface", "lan"]);
    let told: Vec<&str> = found.iter().filter_map(|finding| finding["text"].as_str()).collect();
    assert!(told.contains(&"UDP port 67 for DHCP is in use by rackstrap"), "{told:#?}");
    assert_eq!(wrong(&server, &["--interface", "lan"]), [""; 0]);
}

#[test]
fn each_problem_is_reported_with_its_fix() {
    let (server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    let on_link = ["--interface", "lan"];
    let missing = wrong(&server, &on_link);
    assert_reported(&missing, "undionly.kpxe");
    assert_reported(&missing, "apt install ipxe");
    assert_reported(&missing, "image live of 1 host: no file \"live/vmlinuz\"");
    assert_reported(&missing, "boot-file of host r1-n01");
    fill(server.directory.path());

    assert_reported(&wrong(&server, &[]), "no interface is configured");
    let absent = wrong(&server, &["--interface", "eth9"]);
    assert_reported(
        &absent,
        "eth9 does not exist -> use an existing interface (available: lan, lo",
    );
    server.inside.ip("link add idle type bridge");
    assert_reported(&wrong(&server, &["--interface", "idle"]), "ip link set idle up");

    let holder = server.inside.run(|| UdpSocket::bind("0.0.0.0:69").unwrap());
    assert_reported(&wrong(&server, &on_link), "UDP port 69 for TFTP is in use by");
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
    assert_reported(
        &closed,
        "(UDP port 67) are dropped by the policy of chain input of table inet t",
    );
    assert_reported(&closed, "iifname \"lan\" udp dport 69 accept");
    assert!(!closed.iter().any(|line| line.contains("tcp port 80")), "{closed:#?}");
    server.inside.sh("nft flush ruleset");

    let foreign = Foreign::start(&clients);
    assert_reported(
        &wrong(&server, &on_link),
        "DHCP server 10.77.0.9 also assigns addresses on lan",
    );
    assert_eq!(wrong(&server, &["--interface", "lan", "--quiet"]), [""; 0]);
    drop(foreign);

    // The first secret makes it; what is in it is not looked at here.
    let key = server.directory.path().join("secret.key");
    fs::write(&key, b"a key\n").unwrap();
    for (mode, is_wrong) in [(0o600, false), (0o640, false), (0o644, true), (0o660, true)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let found = wrong(&server, &["--interface", "lan", "--quiet"]);
        let text = format!("secret.key has mode {mode:04o}: other users of this machine");
        assert_eq!(found.iter().any(|line| line.contains(&text)), is_wrong, "{found:#?}");
        assert_eq!(found.iter().any(|line| line.contains("-> chmod 600 ")), is_wrong, "{found:#?}");
    }
    fs::remove_file(&key).unwrap();

    server.inside.ip("address flush dev lan");
    assert_reported(&wrong(&server, &on_link), "lan has no IPv4 address");
    server.inside.ip("address add 192.168.9.1/24 dev lan");
    assert_reported(
        &wrong(&server, &on_link),
        "192.168.9.1/24, which is not in a subnet of the site",
    );
}

const QUIET: [&str; 3] = ["--interface", "lan", "--quiet"];

/// A sound server that was not started.
fn sound() -> (DhcpServer, Netns) {
    let (server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    fill(server.directory.path());
    assert_eq!(wrong(&server, &QUIET), [""; 0]);
    (server, clients)
}

#[test]
fn missing_capabilities_are_reported_with_their_effect() {
    let (server, _clients) = sound();
    let unbound = wrong_by(&server, &["setpriv", "--bounding-set=-net_bind_service"], &QUIET);
    assert_reported(&unbound, "cannot bind ports below 1024 (CAP_NET_BIND_SERVICE) -> run as root");
    for port in ["UDP port 67", "UDP port 69", "TCP port 80"] {
        assert_reported(&unbound, &format!("ports: {port}"));
    }
    assert_reported(&unbound, "AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_RAW");
    let without_raw = wrong_by(&server, &["setpriv", "--bounding-set=-net_raw"], &QUIET);
    assert_eq!(without_raw.len(), 1, "{without_raw:#?}");
    assert_reported(&without_raw, "replies to clients without an address are broadcast");
    // The question to other servers is asked from port 68.
    let by = ["setpriv", "--bounding-set=-net_bind_service"];
    let loud = wrong_by(&server, &by, &QUIET[..2]);
    assert_reported(&loud, "other DHCP servers: cannot send a DHCPDISCOVER on lan");
    // Somebody who is not root at all; the program may lie where only root may look.
    let directory = server.directory.path();
    let program = directory.join("program");
    fs::copy(env!("CARGO_BIN_EXE_rackstrap"), &program).unwrap();
    let open_to_all = format!("chmod -R a+rwX {}", directory.display());
    assert!(server.inside.sh(&open_to_all).status.success());
    let line = format!(
        "setpriv --reuid=65534 --regid=65534 --clear-groups {} --data-dir {} --interface lan doctor",
        program.display(),
        directory.display()
    );
    let output = server.inside.sh(&line);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && said.contains("cannot bind ports below 1024"), "{said}");
}

#[test]
fn an_implausible_clock_is_reported() {
    let (server, _clients) = sound();
    let library = server.directory.path().join("clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/old-clock.c");
    let compiled = server.inside.sh(&format!("cc -shared -fPIC -o {} {source}", library.display()));
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let preload = format!("LD_PRELOAD={}", library.display());
    let old = wrong_by(&server, &["env", &preload], &QUIET);
    assert_eq!(old.len(), 1, "{old:#?}");
    assert_reported(
        &old,
        "clock: the clock is wrong: 1970-01-12T13:46:40Z -> set the clock and keep it synchronised",
    );

    server.tell_of_tomorrow();
    let behind = wrong(&server, &QUIET);
    assert_eq!(behind.len(), 1, "{behind:#?}");
    assert_reported(&behind, "s behind the newest event: leases expire late -> set the clock");
}

#[test]
fn a_database_that_is_not_writable_is_reported() {
    let (mut server, _clients) = sound();
    let directory = server.directory.path().display();
    let by = format!(
        "mount --bind {directory} {directory} && mount -o remount,ro,bind {directory} && exec \"$@\""
    );
    let by = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &by, "read-only"];
    let found = wrong_by(&server, &by, &QUIET);
    assert_eq!(found.len(), 1, "{found:#?}");
    // It does not even open, unless whoever had it open last left its log behind.
    let unopened = "cannot open";
    let tells = |line: &String| line.contains(unopened) || line.contains("not writable");
    assert!(found[0].starts_with("database: ") && tells(&found[0]), "{found:#?}");
    server.start(&["lan"]);
    let found = wrong_by(&server, &by, &QUIET);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_reported(&found, "database: not writable, so no client gets an address");
    assert_reported(&found, "readonly database -> check owner, mode and disk");
    assert_eq!(wrong(&server, &QUIET), [""; 0]);
}

#[test]
fn an_ipxe_that_waits_behind_relays_is_reported_unless_a_newer_one_goes_first() {
    let (server, _clients) = sound();
    let program = server.directory.path().join("ipxe/snponly.efi");
    fs::write(&program, b"MZ 1.0.0+git-20190125.36a4c85-5.1 ").unwrap();
    assert_eq!(wrong(&server, &QUIET), [""; 0], "the server's own link gets advertisements");
    let far = "far: {cidr: 10.88.0.0/24, ranges: [{from: 10.88.0.9, to: 10.88.0.9, for: dhcp}]}";
    server.set_site(&SITE.replacen("subnets:\n", &format!("subnets:\n  {far}\n"), 1));
    let found = wrong(&server, &QUIET);
    assert_reported(&found, "snponly.efi is iPXE 1.0 (2019), which waits 13 to 16 s");
    assert_reported(&found, "none of this server's reaches subnet far -> install a newer iPXE");
    assert_eq!(found.len(), 1, "{found:#?}");
    let quiet = wrong_by(&server, &["env", "RACKSTRAP_ROUTER_ADVERTISEMENTS=false"], &QUIET);
    assert_reported(&quiet, "reaches subnet far, provisioning");
    fs::write(server.directory.path().join("files/snponly.efi"), b"MZ 1.21.1+git").unwrap();
    assert_eq!(wrong(&server, &QUIET), [""; 0]);
}

#[test]
fn full_ranges_and_unknown_relays_are_reported() {
    let (server, _clients) = sound();
    let strangers = SITE.replace("10.77.0.199", "10.77.0.129");
    server.set_site(&strangers);
    let address = |last: u8| Ipv4Addr::new(10, 77, 0, last);
    server.lease_to_strangers((100..129).map(address));
    let nearly = wrong(&server, &QUIET);
    assert_reported(
        &nearly,
        "only 1 of 30 dynamic addresses of subnet provisioning are free -> extend",
    );
    assert!(findings(&server, &QUIET).iter().all(|finding| finding["verdict"] != "error"));
    server.lease_to_strangers([address(129)].into_iter());
    let full = wrong(&server, &QUIET);
    assert_reported(
        &full,
        "all 30 dynamic addresses of subnet provisioning are in use -> extend its dhcp",
    );

    let relays = ["env", "RACKSTRAP_RELAYS=10.77.0.9,192.168.9.1"];
    let found = wrong_by(&server, &relays, &QUIET);
    assert_reported(&found, "relay 192.168.9.1 is not in a subnet of the site");
    assert!(!found.iter().any(|line| line.contains("10.77.0.9")), "{found:#?}");
}

/// What a ruleset lets pass: nothing wrong, or what is dropped by what.
struct Filter {
    name: &'static str,
    /// Loads the rules in the server's namespace.
    load: String,
    /// A part of each finding, in their order.
    findings: &'static [&'static str],
}

/// Rules of a chain on the hook `input` with that policy, and tables beside it.
fn input(policy: &str, rules: &str, more: &str) -> String {
    format!(
        "nft -f - <<'END'\ntable inet t {{\n{more}\nchain input {{\ntype filter hook input priority 0; \
         policy {policy};\n{rules}\n}}\n}}\nEND"
    )
}

fn output(policy: &str, rules: &str) -> String {
    input(policy, rules, "").replace("input", "output")
}

const DISCOVER: &str = "DHCP requests of new clients (UDP port 67) are dropped by";
const REPLY: &str = "DHCP replies that are broadcast (UDP port 68) are dropped by";
const TFTP: &str = "TFTP requests (UDP port 69) are dropped by";
const ACKNOWLEDGEMENT: &str = "TFTP acknowledgements (to a UDP port of each transfer)";
const HTTP: &str = "HTTP connections (TCP port 80) are dropped by";

#[test]
fn packet_filters_are_tested_with_packets() {
    let (mut server, _clients) = sound();
    let all_but = "ct state established accept\ntcp dport 80 accept";
    let filters = [
        Filter { name: "no restriction", load: input("accept", "", ""), findings: &[] },
        Filter {
            name: "an interface's packets",
            load: input("accept", "iifname \"lan\" drop", ""),
            findings: &[DISCOVER, TFTP, HTTP],
        },
        Filter {
            name: "another interface's packets",
            load: input("accept", "iifname != \"lan\" drop", ""),
            findings: &[],
        },
        Filter {
            name: "an interface by its index",
            load: input("accept", "iif lan udp dport 67 drop", ""),
            findings: &["dropped by \"iif \"lan\" udp dport 67 drop\" in chain input"],
        },
        Filter {
            name: "a verdict map",
            load: input("accept", "udp dport vmap { 67 : drop, 69 : accept }", ""),
            findings: &[DISCOVER],
        },
        Filter {
            name: "a verdict map that jumps",
            load: input(
                "drop",
                &format!("udp dport vmap {{ 67 : accept, 69 : jump svc }}\n{all_but}"),
                "chain svc {\niifname \"lan\" accept\n}",
            ),
            findings: &[],
        },
        Filter {
            name: "another source only",
            load: input("drop", &format!("ip saddr 10.9.0.0/16 accept\n{all_but}"), ""),
            findings: &[DISCOVER, TFTP],
        },
        Filter {
            name: "the subnet only, which new clients are not in",
            load: input("drop", "ip saddr 10.77.0.0/24 accept", ""),
            findings: &[DISCOVER],
        },
        Filter {
            name: "new clients only",
            load: input("accept", "ip saddr 10.77.0.0/24 udp dport 67 drop", ""),
            findings: &["renewals of DHCP leases (UDP port 67) are dropped by"],
        },
        Filter { name: "replies", load: output("accept", "udp sport 67 drop"), findings: &[REPLY] },
        Filter {
            name: "everything that leaves but what was asked for",
            load: output("drop", "ct state established accept"),
            findings: &[REPLY, "TFTP data packets (from a UDP port of each transfer)"],
        },
        Filter {
            name: "replies of HTTP",
            load: output("accept", "tcp sport 80 drop"),
            findings: &["HTTP replies (from TCP port 80) are dropped by \"tcp sport 80 drop\""],
        },
        Filter {
            name: "all UDP is accepted",
            load: input("drop", "meta l4proto udp accept\ntcp dport http accept", ""),
            findings: &[],
        },
        Filter {
            name: "a named set",
            load: input(
                "drop",
                &format!("udp dport @ok accept\n{all_but}"),
                "set ok {\ntype inet_service\nelements = {67, 69}\n}",
            ),
            findings: &[],
        },
        Filter {
            name: "a named set without TFTP",
            load: input(
                "drop",
                &format!("udp dport @ok accept\n{all_but}"),
                "set ok {\ntype inet_service\nflags interval\nelements = {60-68}\n}",
            ),
            findings: &[TFTP],
        },
        Filter {
            name: "well-known ports only, where TFTP data has others",
            load: input("drop", "udp dport {67, 69} accept\ntcp dport 80 accept", ""),
            findings: &[ACKNOWLEDGEMENT],
        },
        Filter {
            name: "rejected",
            load: input("accept", "tcp dport 80 reject with tcp reset", ""),
            findings: &[HTTP],
        },
        Filter {
            name: "before routing",
            load: input("accept", "udp dport 69 drop", "").replace("hook input", "hook prerouting"),
            findings: &[TFTP],
        },
        Filter {
            name: "on a port of the bridge",
            load: input("accept", "iifname \"p0\" udp dport 67 drop", "")
                .replace("table inet", "table bridge"),
            findings: &[DISCOVER],
        },
        Filter {
            name: "at the network card",
            load:
                "nft -f - <<'END'\ntable netdev t {\nchain c {\ntype filter hook ingress device p0 \
                   priority 0;\nudp dport 69 drop\n}\n}\nEND"
                    .to_owned(),
            findings: &["TFTP requests (UDP port 69) are dropped by a packet filter rule"],
        },
        Filter {
            name: "iptables-legacy",
            load: "iptables-legacy -A INPUT -i lan -p udp --dport 67 -j DROP".to_owned(),
            findings: &["are dropped by a rule of iptables-legacy"],
        },
        Filter {
            name: "iptables-legacy that accepts",
            load: "iptables-legacy -P INPUT DROP; iptables-legacy -A INPUT -i lan -j ACCEPT"
                .to_owned(),
            findings: &[],
        },
        Filter {
            name: "iptables-nft",
            load: "iptables-nft -P INPUT DROP; iptables-nft -A INPUT -p udp --dport 67 -j ACCEPT"
                .to_owned(),
            findings: &[TFTP, HTTP],
        },
        Filter {
            name: "iptables-nft with a match that nftables lacks",
            load:
                "iptables-nft -A INPUT -p udp --dport 69 -m statistic --mode nth --every 1 --packet 0 -j DROP"
                    .to_owned(),
            findings: &[TFTP],
        },
        Filter {
            name: "a program decides",
            load: input("accept", "udp dport 67 queue num 0", ""),
            findings: &["not tested: lan: the rules hand packets to a program (queue)"],
        },
    ];
    for Filter { name, load, findings } in filters {
        if load.contains("iptables") && !server.inside.sh("iptables-legacy -S").status.success() {
            skip(&format!("doctor::packet_filters ({name})"), "no iptables-legacy here");
            continue;
        }
        let loaded = server.inside.sh(&load);
        if load.contains("queue") && !loaded.status.success() {
            skip(&format!("doctor::packet_filters ({name})"), "this kernel has no NFQUEUE");
            continue;
        }
        assert!(loaded.status.success(), "{name}: {}", String::from_utf8_lossy(&loaded.stderr));
        let found = wrong(&server, &QUIET);
        assert_eq!(found.len(), findings.len(), "{name}: {found:#?}");
        for (line, part) in found.iter().zip(findings) {
            assert!(line.contains(part), "{name}: {line} has no {part:?}");
        }
        let flush = "nft flush ruleset; iptables-legacy -F; iptables-legacy -P INPUT ACCEPT";
        server.inside.sh(flush);
    }
    assert_eq!(wrong(&server, &QUIET), [""; 0], "nothing is left behind");

    // Relays have addresses of their own, and a range of ports can be opened.
    server.inside.sh(&input(
        "drop",
        &format!(
            "ip saddr 0.0.0.0 accept\n{all_but}\nudp dport 69 accept\nip saddr 10.77.0.0/24 accept"
        ),
        "",
    ));
    let relays = ["env", "RACKSTRAP_RELAYS=10.88.0.9"];
    let found = wrong_by(&server, &relays, &QUIET);
    assert_reported(&found, "DHCP requests of relay 10.88.0.9 (UDP port 67)");
    assert_reported(&found, "iifname \"lan\" ip saddr 10.88.0.9 udp dport 67 accept");
    server.inside.sh("nft flush ruleset");
    server.set("tftp_ports", "40000-40009");
    server.inside.sh(&input("drop", "udp dport {67, 69} accept\ntcp dport 80 accept", ""));
    let found = wrong_by(&server, &["env", "RACKSTRAP_TFTP_PORTS=40000-40009"], &QUIET);
    assert_reported(&found, "add a rule before it: iifname \"lan\" udp dport 40000-40009 accept");
}

#[test]
fn a_filter_that_cannot_be_tested_is_reported() {
    let (server, _clients) = sound();
    server.inside.sh(&input("accept", "iifname \"lan\" drop", ""));
    let programs = tempfile::tempdir().unwrap();
    for program in ["ip", "env"] {
        let link = programs.path().join(program);
        std::os::unix::fs::symlink(format!("/usr/bin/{program}"), link).unwrap();
    }
    let path = format!("PATH={}", programs.path().display());
    let found = wrong_by(&server, &["/usr/bin/env", &path], &QUIET);
    assert_eq!(
        found,
        [
            "firewall: packet filter rules are not tested: nft is not installed -> apt install nftables"
        ]
    );
    let by = ["setpriv", "--bounding-set=-sys_admin"];
    assert_reported(&wrong_by(&server, &by, &QUIET), "not tested: lan: cannot make a test network");
}

#[test]
fn the_rules_that_it_proposes_let_a_host_boot() {
    let (mut server, clients) = sound();
    clients.ip("address add 10.77.0.50/24 dev eth0");
    server.start(&["lan"]);
    let closed = "nft -f - <<'END'\ntable inet t {\nchain input {\ntype filter hook input priority 0; \
                  policy drop;\n}\nchain output {\ntype filter hook output priority 0; policy drop;\n}\n}\nEND";
    assert!(server.inside.sh(closed).status.success());
    let fetch = "curl --silent --show-error --max-time 5 --output /dev/null";
    let tftp = format!("{fetch} --tftp-no-options tftp://10.77.0.1/undionly.kpxe");
    assert!(!clients.sh(&tftp).status.success());
    // A rule on the way in shows what is dropped on the way out.
    for _ in 0..8 {
        for line in wrong(&server, &QUIET) {
            let (_, rule) =
                line.split_once("add a rule before it: ").unwrap_or_else(|| panic!("{line}"));
            let chain = if rule.starts_with("iifname") { "input" } else { "output" };
            let added = server.inside.sh(&format!("nft 'insert rule inet t {chain} {rule}'"));
            assert!(added.status.success(), "{rule}: {}", String::from_utf8_lossy(&added.stderr));
        }
    }
    assert_eq!(wrong(&server, &QUIET), [""; 0]);
    for url in [tftp, format!("{fetch} http://10.77.0.1/ipxe/undionly.kpxe")] {
        let output = clients.sh(&url);
        assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    }
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
