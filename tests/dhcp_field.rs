//! What networks in the field send: firmware and switches of all makes, hosts with several NICs
//! and a BMC, and clients that another server knew before.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::dhcp::{Client, DhcpServer, Message, lan, lan_on};
use crate::common::message::Reply;
use crate::common::netns::Netns;
use crate::common::store::databases;

const SITE: &str = r#"
subnets:
  prov:
    cidr: 10.77.0.0/24
    gateway: 10.77.0.254
    dns: [10.77.0.53]
    conflict-probe: off
    bootp: true
    dhcp-options: {classless-routes: ["10.5.1.0/24 via 10.77.0.8"]}
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
  far:
    cidr: 10.88.0.0/24
    relay-addresses: [10.255.0.9]
    conflict-probe: off
    ranges: [{from: 10.88.0.100, to: 10.88.0.199, for: dhcp}]
images:
  live: {kernel: vmlinuz}
  disk: {local: true}
profiles: {fabric: {nics: {ib0: {dhcp4: true}, ib1: {}}}}
hosts:
  two:
    image: live
    nics: {eth0: "52:54:00:01:00:01", eth1: "52:54:00:01:00:02"}
    reservations: {prov: 10.77.0.21}
    bmc: {mac: "52:54:00:01:01:01", address: 10.77.0.150}
  inside:
    nics: {eth0: "52:54:00:01:00:03"}
    reservations: {prov: 10.77.0.100}
  old1: {boot-file: pxelinux.0, next-server: 10.77.0.5, nics: {eth0: "52:54:00:01:00:04"}, reservations: {prov: 10.77.0.24}}
  bf: {image: live, nics: {eth0: "52:54:00:01:00:05"}, reservations: {prov: 10.77.0.25}}
  ib:
    image: live
    nics: {eth0: "52:54:00:01:00:06"}
    match: {client-id: "hex:20000000000000000000000000000000000002c903000a0b0c"}
    reservations: {prov: 10.77.0.26}
  fabric:
    image: live
    profile: fabric
    nics: {ib0: "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0d", ib1: "80:00:02:09:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0e"}
    reservations: {prov: 10.77.0.29}
  nameless: {image: live, match: {client-id: "hex:ff0102030400010203"}, reservations: {prov: 10.77.0.30}}
  quiet: {dhcp: off, image: live, nics: {eth0: "52:54:00:01:00:07"}, reservations: {prov: 10.77.0.27}}
  disk: {image: disk, boot-file: pxelinux.0, nics: {eth0: "52:54:00:01:00:08"}, reservations: {prov: 10.77.0.28}}
"#;
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Long enough for an answer that must not come.
const SILENCE: Duration = Duration::from_millis(700);

fn rack(authoritative: bool) -> (DhcpServer, Netns, Client) {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    server.set("authoritative", if authoritative { "true" } else { "false" });
    server.start(&["lan"]);
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    (server, clients, client)
}

fn nic(last: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 1, 0, last]
}

fn prov(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

/// A DISCOVER of firmware: vendor class and architecture.
fn firmware(mac: [u8; 6], class: &[u8], arch: u8) -> Message {
    Message::new(1, mac).option(60, class).option(93, &[0, arch]).option(55, &[1, 3, 66, 67])
}

fn next_server(reply: &Reply) -> Ipv4Addr {
    Ipv4Addr::new(reply.0[20], reply.0[21], reply.0[22], reply.0[23])
}

#[test]
fn two_nics_and_the_bmc_of_a_host_have_an_address_each() {
    let (server, clients, client) = rack(false);
    let bmc = [0x52, 0x54, 0, 1, 1, 1];
    assert_eq!(client.acquire(nic(1)), Some(prov(21)));
    let second = client.acquire(nic(2)).unwrap();
    assert_ne!(second, prov(21), "the first NIC has it");
    assert_eq!(client.acquire(bmc), Some(prov(150)));
    let asked = firmware(bmc, b"PXEClient:Arch:00007:UNDI:003016", 7);
    let offer = client.ask(&asked, EVERYBODY).unwrap();
    assert_eq!((offer.your_address(), offer.boot_file()), (prov(150), String::new()));
    assert_eq!(offer.option(67), None, "a BMC boots nothing from here");
    // The second NIC finds the first one's address in use, and declines it.
    let decline =
        Message::new(4, nic(2)).option(50, &prov(21).octets()).option(54, &SERVER.octets());
    client.send(&decline, EVERYBODY);
    server.wait_for_log("the client does not hold that address");
    clients.ip("address add 10.77.0.21/24 dev eth0");
    let renewing = Client::bind(&clients, prov(21), 68, None);
    let renewal = renewing.ask(&Message::new(3, nic(1)).address(12, prov(21)), SERVER).unwrap();
    assert_eq!((renewal.kind(), renewal.your_address()), (5, prov(21)));
    // The host is powered on anew: firmware asks, whichever NIC it boots from.
    let reboot = firmware(nic(2), b"PXEClient:Arch:00007:UNDI:003016", 7);
    let offer = client.ask(&reboot, EVERYBODY).unwrap();
    assert_eq!(offer.your_address(), prov(21));
}

#[test]
fn a_reservation_inside_a_range_is_given_to_its_host_alone() {
    let (_server, _clients, client) = rack(false);
    let stranger = [0x52, 0x54, 0, 2, 0, 1];
    assert_eq!(client.acquire(stranger), Some(prov(101)), "the first address is reserved");
    assert_eq!(client.acquire(nic(3)), Some(prov(100)));
}

#[test]
fn an_adopted_host_gives_its_dynamic_address_back() {
    let (server, _clients, client) = rack(false);
    let stranger = [0x52, 0x54, 0, 2, 0, 1];
    let dynamic = client.acquire(stranger).unwrap();
    let adopted = format!(
        "{SITE}  new: {{nics: {{eth0: \"52:54:00:02:00:01\"}}, reservations: {{prov: 10.77.0.50}}}}\n"
    );
    server.set_site(&adopted);
    let mut address = None;
    for _ in 0..20 {
        address = client.acquire(stranger);
        if address == Some(prov(50)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(address, Some(prov(50)));
    let bound: Vec<Ipv4Addr> = server
        .leases()
        .into_iter()
        .filter(|lease| lease.state == rackstrap::model::LeaseState::Bound)
        .map(|lease| lease.address)
        .collect();
    assert_eq!(bound, [prov(50)], "{dynamic} is free");
}

#[test]
fn a_client_of_the_server_before_keeps_its_address_or_hears_nothing() {
    for authoritative in [true, false] {
        let (server, clients, _client) = rack(authoritative);
        clients.ip("address add 10.77.0.130/24 dev eth0");
        let stranger = [0x52, 0x54, 0, 2, 0, 9];
        let renewing = Client::bind(&clients, prov(130), 68, None);
        let renewal = Message::new(3, stranger).address(12, prov(130));
        renewing.send(&renewal, SERVER);
        let reply = renewing.receive(&renewal, SILENCE);
        let kinds = reply.map(|reply| (reply.kind(), reply.your_address()));
        assert_eq!(kinds, authoritative.then_some((5, prov(130))));
        let leases = server.leases().into_iter().map(|lease| lease.address);
        let expected: &[Ipv4Addr] = if authoritative { &[prov(130)] } else { &[] };
        assert_eq!(leases.collect::<Vec<_>>(), expected);
    }
}

/// A host that owns another address keeps the one that it uses, too, until it asks anew.
#[test]
fn a_host_that_the_server_before_knew_loses_no_address() {
    for authoritative in [true, false] {
        let (server, clients, client) = rack(authoritative);
        clients.ip("address add 10.77.0.130/24 dev eth0");
        let renewing = Client::bind(&clients, prov(130), 68, None);
        let renewal = Message::new(3, nic(5)).address(12, prov(130));
        for to in [SERVER, EVERYBODY] {
            renewing.send(&renewal, to);
            let reply = renewing.receive(&renewal, SILENCE);
            let kinds = reply.map(|reply| (reply.kind(), reply.your_address()));
            assert_eq!(kinds, authoritative.then_some((5, prov(130))), "{to}");
        }
        let holder = server.leases().into_iter().find(|lease| lease.address == prov(130));
        let holder = holder.map(|lease| lease.client.to_string());
        assert_eq!(holder.as_deref(), authoritative.then_some("host:bf"));
        assert_eq!(client.acquire(nic(5)), Some(prov(25)), "its own");
        let bound = server
            .leases()
            .into_iter()
            .filter(|lease| lease.state == rackstrap::model::LeaseState::Bound);
        assert_eq!(bound.map(|lease| lease.address).collect::<Vec<_>>(), [prov(25)]);
    }
}

/// A power cut makes the server forget neither who keeps which address of another server, nor who
/// does not any more.
#[test]
fn an_address_of_the_server_before_is_kept_over_a_power_cut() {
    for database in databases() {
        let (mut server, clients) = lan_on(database.as_deref(), SITE, &["52:54:00:cc:00:01"]);
        server.set("authoritative", "true");
        server.start(&["lan"]);
        let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
        clients.ip("address add 10.77.0.130/24 dev eth0");
        let renewing = Client::bind(&clients, prov(130), 68, None);
        let renewal = Message::new(3, nic(5)).address(12, prov(130));
        for round in 0..3 {
            let reply = renewing.ask(&renewal, SERVER).unwrap();
            assert_eq!((reply.kind(), reply.your_address()), (5, prov(130)), "{round}");
            server.kill();
            // Renamed meanwhile, it is the same client.
            server.set_site(&SITE.replace("  bf: {", &format!("  bf{round}: {{")));
            server.start(&["lan"]);
        }
        // It asks anew, and has its own from then on.
        assert_eq!(client.acquire(nic(5)), Some(prov(25)));
        server.kill();
        server.start(&["lan"]);
        renewing.send(&renewal, SERVER);
        let reply = renewing.receive(&renewal, SILENCE);
        assert_ne!(reply.map(|reply| reply.kind()), Some(5), "that is over");
    }
}

/// A message of an InfiniBand port (RFC 4390): no hardware address, and an identifier that ends
/// with the GUID.
fn of_port(kind: u8, head: &[u8], last: u8) -> Message {
    let guid = [0, 2, 0xc9, 3, 0, 0x0a, 0x0b, last];
    let mut message = Message::new(kind, [0; 6]).option(61, &[head, &guid].concat());
    (message.0[1], message.0[2], message.0[7]) = (32, 0, last);
    message
}

/// The head of `dhclient`'s identifier, and of iPXE's.
const OFED: [u8; 12] = [0xff, 0, 0, 0, 0, 0, 2, 0, 0, 2, 0xc9, 0];
const IPXE: [u8; 1] = [0x20];

#[test]
fn two_infiniband_ports_that_ask_at_once_have_an_address_each() {
    for database in databases() {
        let (mut server, clients) = lan_on(database.as_deref(), SITE, &["52:54:00:cc:00:01"]);
        server.start(&["lan"]);
        let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
        let take = |offer: &Reply, last| {
            let asked = of_port(3, &OFED, last).option(50, &offer.your_address().octets());
            let ack = client.ask(&asked.option(54, &SERVER.octets()), EVERYBODY).unwrap();
            assert_eq!((ack.kind(), ack.your_address()), (5, offer.your_address()));
        };
        let discover = |head: &[u8], last| client.ask(&of_port(1, head, last), EVERYBODY).unwrap();
        // Both ask before either takes what it is offered.
        let (first, second) = (discover(&OFED, 0x0d), discover(&OFED, 0x0e));
        assert_eq!(first.your_address(), prov(29));
        assert_ne!(second.your_address(), prov(29));
        take(&first, 0x0d);
        take(&second, 0x0e);
        let owner = |last: u8| {
            let leases = server.leases().into_iter();
            leases.filter(|lease| lease.address == prov(last)).find_map(|lease| lease.nic)
        };
        assert_eq!(owner(29), "00:02:c9:03:00:0a:0b:0d".parse().ok());
        // The second port finds the first one's address in use, and declines it.
        let decline = of_port(4, &OFED, 0x0e).option(50, &prov(29).octets());
        client.send(&decline.option(54, &SERVER.octets()), EVERYBODY);
        server.wait_for_log("the client does not hold that address");
        // Each keeps its own, also over a power cut.
        server.kill();
        server.start(&["lan"]);
        let again = (discover(&OFED, 0x0d), discover(&OFED, 0x0e));
        assert_eq!(again.0.your_address(), prov(29));
        assert_eq!(again.1.your_address(), second.your_address());
        // A port that nobody knows has one address from iPXE to its operating system, and the host
        // that adopts it has the lease.
        let stranger = discover(&IPXE, 0x77);
        take(&stranger, 0x77);
        assert_eq!(discover(&OFED, 0x77).your_address(), stranger.your_address());
        for nic in [
            "00:02:c9:03:00:0a:0b:77",
            "80:00:02:0a:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:77",
        ] {
            server.set_site(&format!("{SITE}  new: {{nics: {{ib0: \"{nic}\"}}}}\n"));
            let holder = || {
                let mut leases = server.leases().into_iter();
                leases.find(|it| it.address == stranger.your_address()).unwrap().client.to_string()
            };
            assert_eq!(holder(), "host:new", "{nic}");
            server.set_site(SITE);
            assert_eq!(holder(), "guid:00:02:c9:03:00:0a:0b:77");
        }
    }
}

/// What `rackstrap discovered` lists of a running server.
fn discovered(server: &DhcpServer) -> Vec<Value> {
    let mut command = server.inside.command(env!("CARGO_BIN_EXE_rackstrap"));
    command.args(["--database", &server.database, "--json", "discovered", "--data-dir"]);
    let output = command.arg(server.directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits until a client is listed as it should be: it is stored a moment after it asked.
fn wait_for_client(server: &DhcpServer, client: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    let mut last = Vec::new();
    for _ in 0..100 {
        last = discovered(server);
        if let Some(found) = last.iter().find(|it| it["client"] == client && is_right(it)) {
            return found.clone();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{client} is not listed so: {last:#?}");
}

#[test]
fn an_unknown_client_is_listed_with_what_marks_it() {
    for database in databases() {
        let (mut server, clients) = lan_on(database.as_deref(), SITE, &["52:54:00:cc:00:01"]);
        server.start(&["lan"]);
        let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
        let (new, bmc) = ([0x52, 0x54, 0, 9, 0, 1], [0x52, 0x54, 0, 9, 0, 2]);
        let uuid: Vec<u8> = (0..=16).collect();
        let rom = firmware(new, b"PXEClient:Arch:00007:UNDI:003016", 7).option(97, &uuid);
        client.ask(&rom, EVERYBODY).unwrap();
        // Its operating system knows no architecture.
        let system = Message::new(1, new).option(12, b"new-server-1");
        client.ask(&system, EVERYBODY).unwrap();
        client.ask(&Message::new(1, bmc).option(60, b"iDRAC"), EVERYBODY).unwrap();
        client.acquire(bmc).unwrap();
        client.ask(&of_port(1, &IPXE, 0x78), EVERYBODY).unwrap();
        // Through a relay that names the switch port; and one whose subnet nobody knows.
        clients.ip("address add 10.77.0.2/24 dev eth0");
        let relay = Client::bind(&clients, prov(2), 67, None);
        let behind = Message::new(1, [0x52, 0x54, 0, 9, 0, 3]).address(24, prov(2));
        let port = [1, 8, b'g', b'e', b'-', b'0', b'/', b'0', b'/', b'1', 2, 3, b's', b'w', b'1'];
        relay.ask(&behind.option(82, &port), SERVER).unwrap();

        let host = wait_for_client(&server, "mac:52:54:00:09:00:01", |it| {
            it["marks"]["host_name"] == "new-server-1"
        });
        let marks = &host["marks"];
        assert_eq!(marks["client"], json!({"pxe": "x64-efi"}), "{host}");
        assert_eq!(marks["vendor_class"], "PXEClient:Arch:00007:UNDI:003016");
        assert_eq!(marks["way"], json!({"interface": "lan"}));
        assert!(marks["uuid"].is_string() && host["lease"].is_null(), "{host}");
        assert!(host["first_seen_ms"].as_i64() <= host["last_seen_ms"].as_i64());
        let bmc = wait_for_client(&server, "mac:52:54:00:09:00:02", |it| !it["lease"].is_null());
        assert_eq!(
            (&bmc["looks_like_bmc"], &host["looks_like_bmc"]),
            (&json!("vendor-class"), &Value::Null)
        );
        assert_eq!(bmc["lease"]["subnet"], "prov");
        let port = wait_for_client(&server, "mac:52:54:00:09:00:03", |_| true);
        let way = json!({"relay": {"address": "10.77.0.2", "port": "\"ge-0/0/1\""}});
        assert_eq!((&port["marks"]["way"], &port["marks"]["remote_id"]), (&way, &json!("\"sw1\"")));
        let guid = "guid:00:02:c9:03:00:0a:0b:78";
        let fabric = wait_for_client(&server, guid, |_| true);
        assert_eq!(fabric["nic"], "00:02:c9:03:00:0a:0b:78");
        // A power cut does not make it young again, and a host that has its NIC is not unknown.
        server.kill();
        server.set_site(&format!("{SITE}  new: {{nics: {{ib0: \"00:02:c9:03:00:0a:0b:78\"}}}}\n"));
        server.start(&["lan"]);
        client.ask(&system, EVERYBODY).unwrap();
        let again = wait_for_client(&server, "mac:52:54:00:09:00:01", |it| {
            it["last_seen_ms"] != host["last_seen_ms"]
        });
        assert_eq!(again["first_seen_ms"], host["first_seen_ms"]);
        assert_eq!(again["marks"]["client"], host["marks"]["client"], "what its firmware said");
        assert!(discovered(&server).iter().all(|it| it["client"] != guid));
    }
}

/// Anybody on the link can name a server that does not exist.
#[test]
fn a_forged_request_does_not_overrule_the_operator() {
    let (server, _clients, client) = rack(true);
    let reboot = |mac| Message::new(3, mac).option(50, &[10, 9, 9, 9]);
    let stranger = [0x52, 0x54, 0, 2, 0, 1];
    assert_eq!(client.ask(&reboot(stranger), EVERYBODY).unwrap().kind(), 6);
    let forged = Message::new(3, [0x52, 0x54, 0, 2, 0, 2]);
    client.send(&forged.option(50, &[10, 77, 0, 9]).option(54, &[192, 0, 2, 66]), EVERYBODY);
    server.wait_for_log("authoritative = true stays in force");
    assert_eq!(client.ask(&reboot([0x52, 0x54, 0, 2, 0, 3]), EVERYBODY).unwrap().kind(), 6);
}

#[test]
fn firmware_of_all_makes_boots() {
    let (_server, _clients, client) = rack(false);
    let pi = *b"\0RPi5\x17\x10\xd0\0\0\0\0\0\0\0\0\0";
    let bluefield = client.ask(&firmware(nic(5), b"NVIDIA/BF/PXE", 11), EVERYBODY).unwrap();
    assert_eq!(bluefield.boot_file(), "ipxe-arm64.efi");
    assert_eq!(bluefield.option(67).unwrap(), b"ipxe-arm64.efi\0");
    let raspberry = firmware([0x52, 0x54, 0, 2, 0, 5], b"PXEClient:Arch:00000:UNDI:002001", 0);
    let raspberry = client.ask(&raspberry.option(97, &pi), EVERYBODY).unwrap();
    let menu = raspberry.option(43).unwrap();
    assert!(menu.windows(17).any(|text| text == b"Raspberry Pi Boot"), "{menu:?}");
    // RFC 4390: no hardware address, but a client identifier.
    let id = b"\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\xc9\x03\0\x0a\x0b\x0c";
    let mut infiniband = Message::new(1, [0; 6])
        .option(61, id)
        .option(60, b"PXEClient:Arch:00007:UNDI:003016")
        .option(77, b"iPXE")
        .option(175, &[0x13, 1, 1])
        .option(93, &[0, 7]);
    (infiniband.0[1], infiniband.0[2]) = (32, 0);
    let offer = client.ask(&infiniband, EVERYBODY).unwrap();
    assert_eq!(offer.your_address(), prov(26));
    let script = String::from_utf8(offer.option(67).unwrap()).unwrap();
    assert!(script.contains("/boot/52:54:00:01:00:06.ipxe"), "{script}");
    // RFC 951: no cookie, nothing behind it.
    let mut bootp = Message::new(1, nic(4));
    bootp.0.truncate(236);
    bootp.0.resize(300, 0);
    client.send_bytes(&bootp.0, EVERYBODY);
    let reply = client.next(Duration::from_secs(5)).unwrap();
    assert_eq!(reply.your_address(), prov(24));
    assert_eq!((reply.boot_file(), next_server(&reply)), ("pxelinux.0".into(), prov(5)));
    assert_eq!(reply.option(1).unwrap(), [255, 255, 255, 0]);
    // The cookie of a vendor, a vendor area that is cut short, and none.
    for (length, area) in [(300, &b"CMU\0"[..]), (240, b"STAN"), (238, b"\0\0"), (236, b"")] {
        bootp.0.truncate(236);
        bootp.0.extend(area);
        bootp.0.resize(length, 0);
        client.send_bytes(&bootp.0, EVERYBODY);
        let reply = client.next(Duration::from_secs(5)).unwrap();
        assert_eq!(reply.your_address(), prov(24), "{length} bytes");
    }
}

/// RFC 4390 and what clients make of it: one host, by either port and in whichever place its packet
/// tells the GUID.
#[test]
fn a_host_is_known_by_the_guid_of_an_infiniband_port() {
    let (_server, clients, client) = rack(false);
    let ask = |hardware: &[u8], id: &[u8]| {
        let mut asked = Message::new(1, [0; 6])
            .option(61, id)
            .option(60, b"PXEClient:Arch:00007:UNDI:003016")
            .option(77, b"iPXE")
            .option(175, &[0x13, 1, 1])
            .option(93, &[0, 7]);
        (asked.0[1], asked.0[2]) = (32, hardware.len() as u8);
        asked.0[28..28 + hardware.len()].copy_from_slice(hardware);
        let offer = client.ask(&asked, EVERYBODY).unwrap();
        let script = String::from_utf8(offer.option(67).unwrap()).unwrap();
        (offer.your_address(), script.trim_end_matches('\0').to_owned())
    };
    let first = [0, 2, 0xc9, 3, 0, 0x0a, 0x0b, 0x0d];
    let second = [0, 2, 0xc9, 3, 0, 0x0a, 0x0b, 0x0e];
    let behind = |head: &[u8], guid: &[u8]| [head, guid].concat();
    let link = [0x20, 0x80, 0, 2, 9, 0xfe, 0x80, 0, 0, 0, 0, 0, 0];
    let ofed = [0xff, 0, 0, 0, 0, 0, 2, 0, 0, 2, 0xc9, 0];
    for (name, hardware, id, guid) in [
        ("iPXE", &first[..], behind(&[0x20], &first), "00:02:c9:03:00:0a:0b:0d"),
        ("20 bytes", &[], behind(&link, &second), "00:02:c9:03:00:0a:0b:0e"),
        ("dhclient", &[], behind(&ofed, &second), "00:02:c9:03:00:0a:0b:0e"),
    ] {
        let url = format!("http://10.77.0.1/boot/{guid}.ipxe");
        assert_eq!(ask(hardware, &id), (prov(29), url.clone()), "{name}");
    }
    // A host without a NIC is named by its name, and who is nobody by what it says.
    let nameless = ask(&[], &[0xff, 1, 2, 3, 4, 0, 1, 2, 3]);
    assert_eq!(nameless, (prov(30), "http://10.77.0.1/boot/nameless.ipxe".into()));
    let (_, stranger) = ask(&[], &behind(&[0x20], &[0, 2, 0xc9, 3, 0, 0, 0, 1]));
    assert_eq!(stranger, "http://10.77.0.1/boot/00:02:c9:03:00:00:00:01.ipxe");
    // What the URLs lead to, asked from the host's address.
    for (last, name, host) in [
        (29, "00:02:c9:03:00:0a:0b:0d", "fabric"),
        (29, "00-02-c9-03-00-0a-0b-0e", "fabric"),
        (29, "fabric", "fabric"),
        (30, "nameless", "nameless"),
    ] {
        let address = prov(last);
        clients.ip(&format!("address add {address}/24 dev eth0"));
        let fetch = |path: &str| {
            let mut curl = clients.command("curl");
            curl.args(["-s", "--max-time", "5", "--interface", &address.to_string()]);
            let output = curl.arg(format!("http://10.77.0.1{path}")).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let script = fetch(&format!("/boot/{name}.ipxe"));
        let again = format!("/boot/{}.ipxe", name.replace(':', "-"));
        assert!(script.contains("image live: no file") && script.contains(&again), "{script}");
        if host == "fabric" {
            let config = fetch(&format!("/config/{name}"));
            assert!(config.contains("[Match]") && config.contains("ib0"), "{name}: {config}");
            let recipe = fetch(&format!("/recipe/{name}/-/preseed.cfg"));
            assert!(recipe.contains("fabric has no image with a recipe"), "{name}: {recipe}");
            let deploy = fetch(&format!("/deploy/{name}"));
            assert!(deploy.contains("fabric"), "{name}: {deploy}");
            // From an address that is not the host's, the GUID opens nothing.
            let stranger = prov(190);
            clients.ip(&format!("address add {stranger}/24 dev eth0"));
            for path in ["config/", "recipe/", "deploy/"] {
                let end = if path == "recipe/" { "/-/preseed.cfg" } else { "" };
                let url = format!("http://10.77.0.1/{path}{name}{end}");
                let mut curl = clients.command("curl");
                curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]);
                let output = curl.args(["--interface", &stranger.to_string(), &url]).output();
                let status = String::from_utf8(output.unwrap().stdout).unwrap();
                assert_eq!(status, "403", "{url}");
            }
            clients.ip(&format!("address del {stranger}/24 dev eth0"));
        }
        let mut curl = clients.command("curl");
        curl.args(["-s", "--interface", &address.to_string(), "-d", "up"]);
        let report = curl.arg(format!("http://10.77.0.1/report/{name}")).output().unwrap();
        assert_eq!(String::from_utf8(report.stdout).unwrap(), format!("{host} is up\n"));
        clients.ip(&format!("address del {address}/24 dev eth0"));
    }
}

#[test]
fn a_boot_file_needs_no_image_and_may_lie_elsewhere() {
    let (_server, _clients, client) = rack(false);
    let offer = client.ask(&firmware(nic(4), b"PXEClient:Arch:00000", 0), EVERYBODY).unwrap();
    assert_eq!((offer.boot_file(), next_server(&offer)), ("pxelinux.0".into(), prov(5)));
    assert_eq!(offer.option(66).unwrap(), b"10.77.0.5");
    // By what its host says, even of a class that nobody knows.
    let unknown = Message::new(1, nic(4)).option(60, b"BF2Client").option(55, &[1, 67]);
    assert_eq!(client.ask(&unknown, EVERYBODY).unwrap().boot_file(), "pxelinux.0");
    let system = Message::new(1, nic(4)).option(55, &[1, 3]);
    assert_eq!(client.ask(&system, EVERYBODY).unwrap().boot_file(), "", "an operating system");
    // A host that boots its disk gets no file by any of these ways.
    let disk = client.ask(&firmware(nic(8), b"PXEClient:Arch:00000", 0), EVERYBODY).unwrap();
    assert_eq!(disk.boot_file(), "");
    let mut bootp = Message::new(1, nic(8));
    bootp.0.truncate(240);
    client.send(&bootp, EVERYBODY);
    assert_eq!(client.receive(&bootp, Duration::from_secs(5)).unwrap().boot_file(), "");
}

#[test]
fn a_host_that_is_switched_off_in_dhcp_is_never_answered() {
    let (server, _clients, client) = rack(false);
    let asked = firmware(nic(7), b"PXEClient:Arch:00007:UNDI:003016", 7);
    client.send(&asked, EVERYBODY);
    assert!(client.receive(&asked, SILENCE).is_none());
    client.send_to(&asked, SERVER, 4011);
    assert!(client.receive(&asked, SILENCE).is_none());
    let events = server.events_of("quiet");
    assert!(events.iter().any(|event| event.contains("dhcp: off")), "{events:?}");
}

#[test]
fn a_relay_with_a_loopback_is_served_where_a_subnet_lists_it_and_else_reported() {
    let (server, clients, _client) = rack(false);
    clients.ip("address add 10.77.0.2/24 dev eth0");
    for loopback in ["10.255.0.9", "10.255.0.8"] {
        clients.ip(&format!("address add {loopback}/32 dev lo"));
        server.inside.ip(&format!("route add {loopback}/32 via 10.77.0.2"));
    }
    let listed = Ipv4Addr::new(10, 255, 0, 9);
    let relay = Client::bind(&clients, listed, 67, None);
    let discover = Message::new(1, [0x52, 0x54, 0, 3, 0, 1]).address(24, listed);
    let offer = relay.ask(&discover, SERVER).unwrap();
    assert_eq!(offer.your_address(), Ipv4Addr::new(10, 88, 0, 100));
    let other = Ipv4Addr::new(10, 255, 0, 8);
    let relay = Client::bind(&clients, other, 67, None);
    let unknown = Message::new(1, [0x52, 0x54, 0, 3, 0, 2]).address(24, other);
    relay.send(&unknown, SERVER);
    server.wait_for_log("relay 10.255.0.8 (on lan) is not served");
    server.wait_for_log("relay-addresses: [10.255.0.8]");
    // Its link selection (RFC 3527) is enough.
    let selecting = unknown.option(82, &[5, 4, 10, 88, 0, 0]);
    let offer = relay.ask(&selecting, SERVER).unwrap();
    assert_eq!(offer.your_address(), Ipv4Addr::new(10, 88, 0, 101));
}

/// RFC 3011: honoured from a relay, and then returned; from the link it is not honoured.
#[test]
fn a_subnet_selection_counts_from_a_relay_and_comes_back() {
    let (server, clients, client) = rack(false);
    let selection = [10, 88, 0, 0];
    let direct = Message::new(1, [0x52, 0x54, 0, 3, 0, 1]).option(118, &selection);
    let offer = client.ask(&direct, EVERYBODY).unwrap();
    assert_eq!(offer.your_address().octets()[..3], [10, 77, 0]);
    assert_eq!(offer.option(118), None);
    clients.ip("address add 10.77.0.2/24 dev eth0");
    let relay = Client::bind(&clients, prov(2), 67, None);
    let relayed = Message::new(1, [0x52, 0x54, 0, 3, 0, 2]).option(118, &selection);
    let offer = relay.ask(&relayed.address(24, prov(2)), SERVER).unwrap();
    assert_eq!(offer.your_address().octets()[..3], [10, 88, 0]);
    assert_eq!(offer.option(118).unwrap(), selection);
    drop(server);
}

/// A client without option 55, such as `busybox udhcpc -o`.
#[test]
fn a_client_that_asks_for_nothing_can_use_its_lease() {
    let (_server, _clients, client) = rack(false);
    let offer = client.ask(&Message::new(1, [0x52, 0x54, 0, 3, 0, 1]), EVERYBODY).unwrap();
    assert_eq!(offer.option(1).unwrap(), [255, 255, 255, 0]);
    assert_eq!(offer.option(6).unwrap(), [10, 77, 0, 53]);
    // The operator's routes go out too, and the default route is one of them.
    let routes = [24, 10, 5, 1, 10, 77, 0, 8, 0, 10, 77, 0, 254];
    assert_eq!((offer.option(121).unwrap(), offer.option(3)), (routes.to_vec(), None));
}
