//! Two servers on one link and one PostgreSQL: both offer a client the same address, none is given
//! twice, and either answers for what the other gave.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use rackstrap::model::LeaseState;

use crate::common::dhcp::{Client, DhcpServer, Message, lan_on};
use crate::common::netns::Netns;
use crate::common::store::Store;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
"#;

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;

fn mac(number: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 0xbb, 0, number]
}

/// Two started servers that know of each other, and the clients' namespace.
fn pair(site: &str) -> (DhcpServer, DhcpServer, Netns, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = runtime.block_on(Store::postgres()).url;
    let (mut first, clients) = lan_on(Some(&url), site, &["52:54:00:cc:00:01"]);
    let inside = Netns::new("second");
    first.inside.join("p8", &inside, "lan");
    first.inside.ip("link set p8 master lan");
    inside.ip("address add 10.77.0.2/24 dev lan");
    let mut second = DhcpServer::on(Some(&url), inside, site);
    first.start(&["lan"]);
    second.start(&["lan"]);
    first.wait_for_log("the DHCP server at 10.77.0.2 shares this database");
    second.wait_for_log("the DHCP server at 10.77.0.1 shares this database");
    (first, second, clients, url)
}

/// A lease, however often the servers' offers collide; with the server that gave it.
fn acquire(client: &Client, mac: [u8; 6]) -> (Ipv4Addr, Ipv4Addr) {
    for _ in 0..10 {
        let offer = client.ask(&Message::new(1, mac), EVERYBODY).unwrap();
        let server = offer.option(54).unwrap();
        let request = Message::new(3, mac).option(50, &offer.your_address().octets());
        let answer = client.ask(&request.option(54, &server), EVERYBODY).unwrap();
        if answer.kind() == 5 {
            let server = <[u8; 4]>::try_from(server).unwrap();
            return (answer.your_address(), Ipv4Addr::from(server));
        }
    }
    panic!("no lease in ten attempts");
}

#[test]
fn two_servers_on_one_link_offer_one_address_give_none_twice_and_answer_for_each_other() {
    const CLIENTS: u8 = 40;
    let (mut first, mut second, clients, url) = pair(SITE);
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    // Whichever answers first: the address is the same.
    for number in 200..220 {
        let discover = Message::new(1, mac(number));
        client.send(&discover, EVERYBODY);
        let offer = || {
            let offer = client.receive(&discover, Duration::from_secs(10)).expect("both offer");
            (offer.option(54).unwrap(), offer.your_address())
        };
        let ((one, its), (other, others)) = (offer(), offer());
        assert_ne!(one, other, "an offer of each server");
        assert_eq!(its, others, "client {number} is offered one address by both");
    }
    let given: HashMap<u8, (Ipv4Addr, Ipv4Addr)> =
        (0..CLIENTS).map(|number| (number, acquire(&client, mac(number)))).collect();
    let addresses: HashSet<Ipv4Addr> = given.values().map(|(address, _)| *address).collect();
    assert_eq!(addresses.len(), usize::from(CLIENTS), "each client an address of its own");
    // What one has given, the other answers for at once.
    for (number, (address, server)) in &given {
        let other = if *server == FIRST { SECOND } else { FIRST };
        clients.ip(&format!("address add {address}/24 dev eth0"));
        let renewing = Client::bind(&clients, *address, 68, None);
        let ack =
            renewing.ask(&Message::new(3, mac(*number)).address(12, *address), other).unwrap();
        assert_eq!((ack.kind(), ack.your_address()), (5, *address), "renewed by the other server");
        clients.ip(&format!("address del {address}/24 dev eth0"));
    }
    for server in [&first, &second] {
        assert!(!server.log().contains("another DHCP server"), "{}", server.log());
    }
    // An operator takes one back: both have heard of it.
    let (address, _) = given[&0];
    let mut remove = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    remove.args(["--database", &url, "lease", "remove", &address.to_string()]);
    assert!(remove.status().unwrap().success());
    for server in [&first, &second] {
        server.wait_for_log(&format!("the lease of {address} was removed"));
    }
    clients.ip(&format!("address add {address}/24 dev eth0"));
    for server in [FIRST, SECOND] {
        // A server that knows nothing of a client costs it no address: it stays silent.
        let renewal = Message::new(3, mac(0)).address(12, address);
        client.send(&renewal, server);
        let answer = client.receive(&renewal, Duration::from_secs(1));
        assert!(answer.is_none(), "it is forgotten");
    }
    clients.ip(&format!("address del {address}/24 dev eth0"));
    // One dies: its clients rebind with the other.
    first.kill();
    for number in 1..CLIENTS {
        let (address, _) = given[&number];
        let rebinding = Message::new(3, mac(number)).address(12, address);
        let bound = {
            clients.ip(&format!("address add {address}/24 dev eth0"));
            Client::bind(&clients, address, 68, None)
        };
        let ack = bound.ask(&rebinding, EVERYBODY).unwrap();
        assert_eq!((ack.kind(), ack.your_address()), (5, address));
        clients.ip(&format!("address del {address}/24 dev eth0"));
    }
    let leases = second.leases();
    let bound = leases.iter().filter(|lease| lease.state == LeaseState::Bound);
    assert_eq!(bound.count(), usize::from(CLIENTS) - 1);
    second.kill();
}

const INSTALLS: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
images:
  installer: {kernel: di/vmlinuz, initrd: [di/initrd], boot: once}
hosts:
  n1: {image: installer, nics: {eth0: "52:54:00:aa:00:01"}, reservations: {provisioning: 10.77.0.12}}
"#;
const HOST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);

/// What a server tells firmware or iPXE of the host to boot.
fn told(client: &Client, server: Ipv4Addr, is_ipxe: bool, number: u8) -> String {
    let mut request = Message::new(3, HOST)
        .option(50, &OWN.octets())
        .option(54, &server.octets())
        .option(55, &[1, 3, 43, 60, 66, 67])
        .option(60, b"PXEClient:Arch:00000:UNDI:002001")
        .option(93, &[0, 0]);
    if is_ipxe {
        request = request.option(77, b"iPXE").option(175, &[0x13, 1, 1]);
    }
    request.0[4] = number;
    let ack = client.ask(&request, EVERYBODY).unwrap();
    assert_eq!((ack.kind(), ack.your_address()), (5, OWN));
    assert_eq!(ack.option(54).unwrap(), server.octets(), "the server that was chosen answers");
    ack.boot_file()
}

/// The body and the status of a page.
fn fetch(clients: &Netns, arguments: &str) -> (String, String) {
    let line = format!("curl -s -m 20 -w '\\n%{{http_code}}' {arguments}");
    let text = String::from_utf8(clients.sh(&line).stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (body.to_owned(), status.to_owned())
}

/// A script that installs, as soon as the server has heard that the host is armed.
fn installing_script(clients: &Netns, url: &str) -> String {
    for _ in 0..50 {
        let (script, _) = fetch(clients, url);
        if script.contains("token=") {
            return script;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{url} does not install");
}

/// Armed by one server, and each step answered by either: one boot installs, and then the host
/// boots its disk, whichever server it asks.
#[test]
fn a_host_is_installed_once_whichever_server_answers_each_step() {
    let (mut first, mut second, clients, url) = pair(INSTALLS);
    for server in [&first, &second] {
        let files = server.directory.path().join("files/di");
        std::fs::create_dir_all(&files).unwrap();
        std::fs::write(files.join("vmlinuz"), "kernel").unwrap();
        std::fs::write(files.join("initrd"), "initrd").unwrap();
    }
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    clients.ip("address add 10.77.0.12/24 dev eth0");
    let both = [FIRST, SECOND];
    let mut number = 0;
    // Each bit is the server of a step: firmware, iPXE, script, kernel, initrd, report.
    for steps in [0b00_0000, 0b11_1111, 0b10_1010, 0b01_0101, 0b00_1100, 0b11_0011] {
        let of = |step: u32| both[(steps >> step) & 1];
        let mut arm = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
        arm.arg("--data-dir").arg(first.directory.path());
        arm.args(["--database", &url, "host", "install", "n1"]);
        assert!(arm.status().unwrap().success());
        // A script that is only read, at the other server, does not use the boot up.
        let page = |server: Ipv4Addr| format!("http://{server}/boot/52:54:00:aa:00:01.ipxe");
        installing_script(&clients, &page(of(3)));
        number += 1;
        assert!(told(&client, of(0), false, number).contains("undionly"), "steps {steps:06b}");
        number += 1;
        let script = told(&client, of(1), true, number);
        assert_eq!(script, page(of(1)), "steps {steps:06b}");
        let script = installing_script(&clients, &page(of(2)));
        let token = script.split("?token=").nth(1).unwrap().split_whitespace().next().unwrap();
        for (step, file) in [(3, "di/vmlinuz"), (4, "di/initrd")] {
            let url = format!("'http://{}/files/{file}?token={token}'", of(step));
            let mut status = String::new();
            for _ in 0..50 {
                status = fetch(&clients, &url).1;
                if status == "200" {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            assert_eq!(status, "200", "{file} of {}, steps {steps:06b}", of(step));
        }
        let report = format!(
            "-d installed -H 'Authorization: Bearer {token}' \
             http://{}/report/52:54:00:aa:00:01",
            of(5)
        );
        assert_eq!(fetch(&clients, &report).1, "200", "steps {steps:06b}");
        // The next boots go to the disk, by either server, and the token opens nothing more.
        for server in both {
            let mut file = String::new();
            for _ in 0..50 {
                number += 1;
                file = told(&client, server, false, number);
                if file.is_empty() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            assert_eq!(file, "", "{server} after steps {steps:06b}");
            let (script, _) = fetch(&clients, &page(server));
            assert!(!script.contains("di/vmlinuz"), "{server}: {script}");
            let kernel = format!("'http://{server}/files/di/vmlinuz?token={token}'");
            assert_eq!(fetch(&clients, &kernel).1, "403", "{server} after steps {steps:06b}");
        }
    }
    first.kill();
    second.kill();
}
