//! A cut-over: leases in the files of real servers become leases here, and their clients renew them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::dhcp::{Client, DhcpServer, Message, lan_on, start, wait_for};
use crate::common::skip::skip;
use crate::common::store::databases;

const SITE: &str = r#"
subnets:
  s: {cidr: 10.77.0.0/24, conflict-probe: off, ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]}
hosts:
  known: {nics: {eth0: "52:54:00:01:00:02"}}
  own: {nics: {eth0: "52:54:00:01:00:03"}, reservations: {s: 10.77.0.9}}
"#;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

fn mac(last: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 1, 0, last]
}

/// A server that is replaced: it gives 10.77.0.90 to .199 on `lan`.
struct Old {
    name: &'static str,
    program: &'static str,
    /// Its command, and its lease file.
    make: fn(&DhcpServer, &Path) -> (Command, PathBuf),
}

const OLD: &[Old] = &[
    Old {
        name: "dnsmasq",
        program: "dnsmasq",
        make: |server, directory| {
            let file = directory.join("dnsmasq.leases");
            let mut command = server.inside.command("dnsmasq");
            command.args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--port=0",
                "--user=root",
            ]);
            command.args([
                "--no-ping",
                "--dhcp-authoritative",
                "--log-facility=-",
                "--interface=lan",
            ]);
            command.arg("--dhcp-range=10.77.0.90,10.77.0.199,1h");
            command.arg(format!("--dhcp-leasefile={}", file.display()));
            command.arg(format!("--pid-file={}", directory.join("pid").display()));
            (command, file)
        },
    },
    Old {
        name: "ISC dhcpd",
        program: "dhcpd",
        make: |server, directory| {
            let (file, configuration) =
                (directory.join("dhcpd.leases"), directory.join("dhcpd.conf"));
            fs::write(&file, "").unwrap();
            let text = "authoritative; ping-check false; default-lease-time 3600;\n\
                        subnet 10.77.0.0 netmask 255.255.255.0 { range 10.77.0.90 10.77.0.199; }\n";
            fs::write(&configuration, text).unwrap();
            let mut command = server.inside.command("dhcpd");
            command.args(["-4", "-f", "-q", "-user", "root", "-group", "root", "-cf"]);
            command.arg(configuration).arg("-lf").arg(&file);
            command.arg("-pf").arg(directory.join("pid")).arg("lan");
            (command, file)
        },
    },
    Old {
        name: "Kea",
        program: "kea-dhcp4",
        make: |server, directory| {
            let (file, configuration) =
                (directory.join("kea-leases4.csv"), directory.join("kea.json"));
            let text = serde_json::json!({"Dhcp4": {
                "interfaces-config": {"interfaces": ["lan"]},
                "lease-database": {"type": "memfile", "persist": true, "lfc-interval": 0, "name": file},
                "valid-lifetime": 3600,
                "subnet4": [{"id": 1, "subnet": "10.77.0.0/24",
                             "pools": [{"pool": "10.77.0.90 - 10.77.0.199"}]}],
            }});
            fs::write(&configuration, text.to_string()).unwrap();
            let mut command = server.inside.command("kea-dhcp4");
            command.arg("-c").arg(configuration);
            command.env("KEA_LOCKFILE_DIR", directory).env("KEA_PIDFILE_DIR", directory);
            (command, file)
        },
    },
];

fn import(server: &DhcpServer, file: &Path, words: &[&str]) -> Value {
    let mut command = server.inside.command(env!("CARGO_BIN_EXE_rackstrap"));
    command.args(["--database", &server.database]);
    command.arg("--data-dir").arg(server.directory.path()).args(["--json", "import"]);
    let output = command.arg(file).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn clients_of_a_real_server_keep_their_addresses() {
    for old in OLD {
        for database in databases() {
            check_cut_over(old, database.as_deref());
        }
    }
}

fn check_cut_over(Old { name, program, make }: &Old, database: Option<&str>) {
    let is_installed = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    if !is_installed.unwrap().status.success() {
        skip(&format!("lease_import ({name})"), &format!("{program} is not installed"));
        return;
    }
    println!("{name}");
    let (mut server, clients) = lan_on(database, SITE, &["52:54:00:cc:00:01"]);
    let directory = tempfile::tempdir().unwrap();
    let (mut command, file) = make(&server, directory.path());
    let old = start(&mut command, &directory.path().join("log"));
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let mut addresses: Vec<Ipv4Addr> = Vec::new();
    wait_for("the server before answers", || {
        addresses.extend(client.acquire(mac(1)));
        !addresses.is_empty()
    });
    addresses.extend([2, 3].map(|last| client.acquire(mac(last)).unwrap()));
    // One that is given back, and one that is outside the ranges here.
    let gone = client.acquire(mac(4)).unwrap();
    let release = Message::new(7, mac(4)).address(12, gone).option(54, &SERVER.octets());
    clients.ip(&format!("address add {gone}/24 dev eth0"));
    Client::bind(&clients, gone, 68, None).send(&release, SERVER);
    clients.ip(&format!("address del {gone}/24 dev eth0"));
    wait_for("the leases are in the file", || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        addresses.iter().all(|address| text.contains(&address.to_string()))
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(old);

    server.start(&["lan"]);
    let tried = import(&server, &file, &["--dry-run"]);
    assert!(server.leases().is_empty());
    let done = import(&server, &file, &[]);
    assert_eq!((&tried["leases"], &tried["not_taken"]), (&done["leases"], &done["not_taken"]));
    assert_eq!(done["from"], *name);
    let reasons: Vec<&str> = done["not_taken"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["reason"].as_str().unwrap())
        .collect();
    for (last, address) in [(1, addresses[0]), (2, addresses[1]), (3, addresses[2])] {
        let is_in_range = address.octets()[3] >= 100;
        let held = server.leases().into_iter().find(|lease| lease.address == address);
        let held = held.map(|lease| lease.client.to_string());
        let expected = match last {
            1 => Some("mac:52:54:00:01:00:01"),
            2 => Some("host:known"),
            _ => None,
        };
        assert_eq!(held.as_deref(), expected.filter(|_| is_in_range), "{name}: {reasons:?}");
        if held.is_none() {
            continue;
        }
        clients.ip(&format!("address add {address}/24 dev eth0"));
        let renewing = Client::bind(&clients, address, 68, None);
        let renewal = Message::new(3, mac(last)).address(12, address);
        let ack = renewing.ask(&renewal, SERVER).unwrap();
        assert_eq!((ack.kind(), ack.your_address()), (5, address), "{name}");
        clients.ip(&format!("address del {address}/24 dev eth0"));
    }
    let outside = reasons.iter().filter(|reason| reason.contains("no dhcp range")).count();
    let own = reasons.iter().filter(|reason| reason.contains("own address is 10.77.0.9"));
    assert_eq!(own.count(), 1, "{name}: {reasons:?}");
    assert_eq!(done["leases"].as_u64().unwrap() as usize + outside, 2, "{name}: {reasons:?}");
}

#[test]
fn what_is_not_taken_is_reported_by_its_line() {
    for database in databases() {
        check_report(database.as_deref());
    }
}

fn check_report(database: Option<&str>) {
    let site = format!(
        "{SITE}  other: {{nics: {{eth0: \"52:54:00:01:00:05\"}}, reservations: {{s: 10.77.0.150}}, \
         bmc: {{mac: \"52:54:00:01:01:05\", address: 10.77.0.151}}}}\n"
    );
    let (server, _clients) = lan_on(database, &site, &[]);
    server.lease_to_strangers([Ipv4Addr::new(10, 77, 0, 120)].into_iter());
    let file = server.directory.path().join("dnsmasq.leases");
    let text = "4000000000 52:54:00:02:00:01 10.77.0.110 * *
1000 52:54:00:02:00:02 10.77.0.111 * *
4000000000 52:54:00:02:00:03 10.9.9.9 * *
4000000000 52:54:00:02:00:04 10.77.0.50 * *
4000000000 52:54:00:02:00:05 10.77.0.150 * *
4000000000 52:54:00:02:00:06 10.77.0.151 * *
4000000000 52:54:00:01:00:03 10.77.0.112 * *
4000000000 52:54:00:01:01:05 10.77.0.113 * *
4000000000 52:54:00:02:00:07 10.77.0.120 * *
4000000000 20-00:01 10.77.0.114 * *
rubbish
0 52:54:00:02:00:08 10.77.0.115 * *
4000000000 52:54:00:01:00:05 10.77.0.150 * *
";
    fs::write(&file, text.replace("4000000000 52:54:00:02:00:05 10.77.0.150 * *\n", "")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.args(["--database", &server.database]);
    command.arg("--data-dir").arg(server.directory.path()).arg("import").arg(&file);
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).replace(&format!("{}: ", file.display()), "");
    let expected = [
        "line 2: 10.77.0.111: not taken: it ended at ",
        "line 3: 10.9.9.9: not taken: no subnet of the site has this address",
        "line 4: 10.77.0.50: not taken: subnet s has no dhcp range with this address",
        "line 5: 10.77.0.151: not taken: the address is a gateway, a DNS server or a BMC of the site",
        "line 6: 10.77.0.112: not taken: its client is host own, whose own address is 10.77.0.9",
        "line 7: 10.77.0.113: not taken: its client is the BMC of a host",
        "line 8: 10.77.0.120: not taken: 10.77.0.120 is held by another client",
        "line 9: 10.77.0.114: not taken: it names no client that subnet s can tell from others",
        "line 10: not taken: the line is not a lease",
        "3 leases of dnsmasq taken over",
    ];
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{said}");
    for (line, part) in lines.iter().zip(expected) {
        assert!(line.starts_with(part), "{line} does not begin with {part}");
    }
    // A second time nothing changes, and a stranger does not get another's own address.
    fs::write(&file, text.replace("4000000000 52:54:00:01:00:05 10.77.0.150 * *\n", "")).unwrap();
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(
        said.contains("line 5: 10.77.0.150: not taken: the address is host other's own"),
        "{said}"
    );
    assert!(said.ends_with("2 leases of dnsmasq taken over\n"), "{said}");
}
