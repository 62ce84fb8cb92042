//! Who a client is, where its MAC does not tell; and which of a link's subnets it is in.

use std::net::Ipv4Addr;

use crate::common::dhcp::{Client, DhcpServer, Message, lan};
use crate::common::netns::Netns;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
  behind-relay:
    cidr: 10.78.0.0/24
    conflict-probe: off
    ranges: [{from: 10.78.0.100, to: 10.78.0.199, for: dhcp}]
images:
  live: {kernel: live/vmlinuz}
hosts:
  by-uuid:
    image: live
    match: {uuid: 4c4c4544-0042-3010-8051-b4c04f4d3232}
    reservations: {provisioning: 10.77.0.12}
  by-id:
    match: {client-id: "hex:ff00000001"}
    reservations: {provisioning: 10.77.0.13}
  by-port:
    image: live
    match: {circuit-id: ge-0/0/1, remote-id: sw1}
    dhcp-options: {150: 10.78.0.66}
    reservations: {behind-relay: 10.78.0.14}
  by-mac:
    nics: {eth0: "52:54:00:aa:00:01"}
    reservations: {provisioning: 10.77.0.15}
"#;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;
/// As UEFI sends the UUID of `by-uuid`: the first three fields turned round.
const UUID: [u8; 17] = [
    0, 0x44, 0x45, 0x4c, 0x4c, 0x42, 0, 0x10, 0x30, 0x80, 0x51, 0xb4, 0xc0, 0x4f, 0x4d, 0x32, 0x32,
];

fn rack(site: &str) -> (DhcpServer, Netns) {
    let (mut server, clients) = lan(site, &["52:54:00:cc:00:01"]);
    server.start(&["lan"]);
    (server, clients)
}

fn client(clients: &Netns) -> Client {
    Client::bind(clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"))
}

fn mac(number: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 0xbb, 0, number]
}

/// MAC, UUID, client identifier, in this order.
#[test]
fn a_host_is_known_by_the_first_of_its_signs_that_somebody_has() {
    let (_server, clients) = rack(SITE);
    let client = client(&clients);
    let printed: Vec<u8> = [0, 0x4c, 0x4c, 0x45, 0x44, 0, 0x42, 0x30, 0x10]
        .into_iter()
        .chain(UUID[9..].iter().copied())
        .collect();
    let id = [0xff, 0, 0, 0, 1];
    let known = [0x52, 0x54, 0, 0xaa, 0, 1];
    let cases = [
        ("a UUID as UEFI sends it", Message::new(1, mac(1)).option(97, &UUID), 12),
        ("a UUID as it is printed", Message::new(1, mac(2)).option(97, &printed), 12),
        ("a UUID as client identifier", Message::new(1, mac(3)).option(61, &UUID), 12),
        ("a client identifier", Message::new(1, mac(4)).option(61, &id), 13),
        ("a UUID before it", Message::new(1, mac(5)).option(61, &id).option(97, &UUID), 12),
        ("a MAC before all", Message::new(1, known).option(61, &id).option(97, &UUID), 15),
        ("nothing that is known", Message::new(1, mac(6)).option(61, &[1, 2, 3]), 100),
    ];
    for (name, discover, last) in cases {
        let offer = client.ask(&discover, EVERYBODY).unwrap();
        assert_eq!(offer.your_address(), Ipv4Addr::new(10, 77, 0, last), "{name}");
    }
}

/// The host on a switch port keeps its address when it renews without the relay,
/// and its script is its own although nobody has its MAC.
#[test]
fn the_host_on_a_switch_port_is_known_with_the_relay_and_without() {
    let (server, clients) = rack(SITE);
    clients.ip("address add 10.77.0.2/24 dev eth0");
    clients.ip("address add 10.78.0.1/24 dev lo");
    clients.ip("address add 10.78.0.14/24 dev lo");
    server.inside.ip("route add 10.78.0.0/24 via 10.77.0.2");
    let relay = Client::bind(&clients, RELAY, 67, None);
    let info = |port: &[u8]| [&[1, port.len() as u8][..], port, &[2, 3], b"sw1"].concat();
    let own = Ipv4Addr::new(10, 78, 0, 14);
    let relayed =
        |message: Message, port: &[u8]| message.address(24, RELAY).option(82, &info(port));
    let discover = Message::new(1, mac(1)).option(55, &[150]);
    let offer = relay.ask(&relayed(discover, b"ge-0/0/1"), SERVER).unwrap();
    assert_eq!(offer.your_address(), own);
    assert_eq!(offer.option(150).unwrap(), [10, 78, 0, 66]);
    let request = Message::new(3, mac(1)).option(50, &own.octets()).option(54, &SERVER.octets());
    assert_eq!(relay.ask(&relayed(request, b"ge-0/0/1"), SERVER).unwrap().kind(), 5);
    let other = relay.ask(&relayed(Message::new(1, mac(2)), b"ge-0/0/2"), SERVER).unwrap();
    assert_eq!(other.your_address(), Ipv4Addr::new(10, 78, 0, 100));
    // Straight to the server, as a system does at half its lease.
    let renewing = Client::bind(&clients, own, 68, None);
    let renewal = Message::new(3, mac(1)).address(12, own);
    let ack = renewing.ask(&renewal, SERVER).unwrap();
    assert_eq!((ack.kind(), ack.your_address()), (5, own));
    let script = clients.sh(&format!(
        "curl --silent --fail --interface {own} http://10.77.0.1/boot/52:54:00:bb:00:01.ipxe"
    ));
    let script = String::from_utf8_lossy(&script.stdout).into_owned();
    // A stranger would be told to be adopted.
    assert!(script.contains("image live"), "{script}");
}

/// A NIC at another switch port than before is told of, once.
#[test]
fn a_nic_that_turns_up_at_another_switch_port_is_told_of() {
    let (server, clients) = rack(SITE);
    clients.ip("address add 10.77.0.2/24 dev eth0");
    clients.ip("address add 10.78.0.1/24 dev lo");
    server.inside.ip("route add 10.78.0.0/24 via 10.77.0.2");
    let relay = Client::bind(&clients, RELAY, 67, None);
    let acquire = |port: &[u8]| {
        let info = [&[1, port.len() as u8][..], port, &[2, 3], b"sw1"].concat();
        let relayed = |message: Message| message.address(24, RELAY).option(82, &info);
        let offer = relay.ask(&relayed(Message::new(1, mac(3))), SERVER).unwrap();
        let wanted = offer.your_address().octets();
        let request = Message::new(3, mac(3)).option(50, &wanted).option(54, &SERVER.octets());
        assert_eq!(relay.ask(&relayed(request), SERVER).unwrap().kind(), 5);
    };
    let told = "is at port ge-0/0/8 of sw1 and was at port ge-0/0/7 of sw1";
    acquire(b"ge-0/0/7");
    acquire(b"ge-0/0/7");
    assert!(!server.log().contains("was at port"), "{}", server.log());
    acquire(b"ge-0/0/8");
    server.wait_for_log(told);
    acquire(b"ge-0/0/8");
    assert_eq!(server.log().matches("was at port").count(), 1, "{}", server.log());
}

/// RFC 2131 section 2, where a subnet asks for it.
#[test]
fn a_strict_subnet_tells_strangers_apart_by_their_client_identifiers() {
    let strict =
        SITE.replacen("conflict-probe: off", "conflict-probe: off\n    identify-by: client-id", 1);
    for (site, addresses) in [(SITE, 1), (&strict, 3)] {
        let (_server, clients) = rack(site);
        let client = client(&clients);
        let ids: [&[u8]; 3] = [&[1, 0x52, 0x54, 0, 0xbb, 0, 1], &[255, 1, 2, 3], b"\0rom"];
        let mut given = std::collections::HashSet::new();
        for id in ids {
            let discover = Message::new(1, mac(1)).option(61, id);
            let offer = client.ask(&discover, EVERYBODY).unwrap();
            let request = Message::new(3, mac(1)).option(61, id);
            let request = request.option(50, &offer.your_address().octets());
            let request = request.option(54, &SERVER.octets());
            let ack = client.ask(&request, EVERYBODY).unwrap();
            given.insert(ack.your_address());
        }
        assert_eq!(given.len(), addresses);
    }
}

const SHARED: &str = r#"
subnets:
  first:
    cidr: 10.77.0.0/24
    shared-network: row1
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.101, for: dhcp}]
  second:
    cidr: 10.79.0.0/24
    shared-network: row1
    conflict-probe: off
    gateway: 10.79.0.254
    ranges: [{from: 10.79.0.100, to: 10.79.0.199, for: dhcp}]
hosts:
  r1-n01:
    nics: {eth0: "52:54:00:aa:00:01"}
    reservations: {second: 10.79.0.12}
"#;

#[test]
fn the_pools_of_a_shared_network_are_tried_in_order_and_an_own_address_comes_first() {
    let (server, clients) = rack(SHARED);
    let client = client(&clients);
    let given: Vec<Ipv4Addr> = (1..=4).map(|n| client.acquire(mac(n)).unwrap()).collect();
    let second = |last| Ipv4Addr::new(10, 79, 0, last);
    let first = |last| Ipv4Addr::new(10, 77, 0, last);
    assert_eq!(given, [first(100), first(101), second(100), second(101)]);
    assert_eq!(client.acquire([0x52, 0x54, 0, 0xaa, 0, 1]), Some(second(12)));
    // Who has an address of the second pool keeps it, and hears the second subnet's facts.
    assert_eq!(client.acquire(mac(3)), Some(second(100)));
    let reboot = Message::new(3, mac(4)).option(50, &second(101).octets()).option(55, &[1, 3]);
    let ack = client.ask(&reboot, EVERYBODY).unwrap();
    assert_eq!((ack.kind(), ack.your_address()), (5, second(101)));
    assert_eq!(ack.option(3).unwrap(), [10, 79, 0, 254]);
    assert_eq!(server.leases().len(), 5);
}

const OLD: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    bootp: true
    rapid-commit: true
    min-secs: 4
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
hosts:
  r1-n01:
    nics: {eth0: "52:54:00:aa:00:01"}
    boot-file: vmlinux.img
    reservations: {provisioning: 10.77.0.12}
"#;

/// BOOTP, rapid commit (RFC 4039) and `secs` on the wire.
#[test]
fn old_clients_hasty_clients_and_patient_ones_are_served() {
    let (server, clients) = rack(OLD);
    let client = client(&clients);
    let patience = std::time::Duration::from_secs(5);
    // BOOTP has no message type.
    let bootp = |mac: [u8; 6]| {
        let mut message = Message::new(1, mac);
        message.0.truncate(240);
        message
    };
    let known = [0x52, 0x54, 0, 0xaa, 0, 1];
    client.send(&bootp(known), EVERYBODY);
    let reply = client.receive(&bootp(known), patience).unwrap();
    assert_eq!(reply.your_address(), Ipv4Addr::new(10, 77, 0, 12));
    assert_eq!((reply.boot_file(), reply.0.len()), ("vmlinux.img".to_owned(), 300));
    assert_eq!(reply.option(53), None);
    assert!(server.leases().is_empty(), "its address is its own anyway");
    client.send(&bootp(mac(1)), EVERYBODY);
    server.wait_for_log("a BOOTP client is answered only with an address of its own");
    let mut rapid = Message::new(1, mac(1)).option(80, &[]);
    client.send(&rapid, EVERYBODY);
    server.wait_for_log("the client has not asked for min-secs seconds yet");
    assert!(server.leases().is_empty());
    rapid.0[9] = 4;
    let ack = client.ask(&rapid, EVERYBODY).unwrap();
    assert_eq!((ack.kind(), ack.your_address()), (5, Ipv4Addr::new(10, 77, 0, 100)));
    assert_eq!(ack.option(80).unwrap(), b"");
    assert_eq!(server.leases()[0].address, ack.your_address());
}

/// A client may name any address of the server, and one behind a relay
/// what that calls the server (RFC 5107).
#[test]
fn the_server_is_known_by_each_of_its_addresses_and_by_what_a_relay_calls_it() {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    server.inside.ip("address add 10.77.0.3/24 dev lan");
    clients.ip("address add 10.77.0.2/24 dev eth0");
    clients.ip("address add 10.78.0.1/24 dev lo");
    server.inside.ip("route add 10.78.0.0/24 via 10.77.0.2");
    server.start(&["lan"]);
    let direct = client(&clients);
    let offer = direct.ask(&Message::new(1, mac(1)), EVERYBODY).unwrap();
    let request = Message::new(3, mac(1)).option(50, &offer.your_address().octets());
    let ack = direct.ask(&request.option(54, &[10, 77, 0, 3]), EVERYBODY).unwrap();
    assert_eq!(ack.kind(), 5, "the other address of ours");
    let relay = Client::bind(&clients, RELAY, 67, None);
    let called = [11, 4, 10, 78, 0, 254];
    let relayed = |message: Message| message.address(24, RELAY).option(82, &called);
    let offer = relay.ask(&relayed(Message::new(1, mac(2))), SERVER).unwrap();
    assert_eq!(offer.option(54).unwrap(), [10, 78, 0, 254]);
    let request = Message::new(3, mac(2)).option(50, &offer.your_address().octets());
    let request = relayed(request.option(54, &[10, 78, 0, 254]));
    assert_eq!(relay.ask(&request, SERVER).unwrap().kind(), 5);
}

/// RFC 2131 section 4.4.5; no lease is for ever.
#[test]
fn a_lease_is_as_long_as_its_client_asks_within_the_subnets_bounds() {
    let (_server, clients) = rack(SITE);
    let client = client(&clients);
    let cases = [
        ("no word of it", None, 3600),
        ("less", Some(600_u32), 600),
        ("too little", Some(1), 60),
        ("too much", Some(86_400), 3600),
        ("for ever", Some(u32::MAX), 3600),
    ];
    for (number, (name, asked, seconds)) in (1..).zip(cases) {
        let discover = Message::new(1, mac(number));
        let discover = match asked {
            Some(asked) => discover.option(51, &asked.to_be_bytes()),
            None => discover,
        };
        let offer = client.ask(&discover, EVERYBODY).unwrap();
        let time = |code| u32::from_be_bytes(offer.option(code).unwrap().try_into().unwrap());
        assert_eq!(
            [51, 58, 59].map(time),
            [seconds, seconds / 2, seconds / 8 * 7 + seconds % 8 * 7 / 8],
            "{name}"
        );
    }
}

/// Addresses alone tell DHCP and HTTP which client is which, and here they tell nothing: DHCP serves
/// neither subnet, and a host is known by its NIC.
#[test]
fn two_hosts_with_one_address_in_two_vrfs_do_not_read_each_other() {
    const SITE: &str = r#"
subnets:
  red: {cidr: 10.77.0.0/24, vrf: red}
  blue: {cidr: 10.77.0.0/24, vrf: blue}
profiles: {red: {nics: {eth0: {subnet: red}}}, blue: {nics: {eth0: {subnet: blue}}}}
hosts:
  n1: {profile: red, nics: {eth0: "52:54:00:cc:00:01"}, addresses: {eth0: 10.77.0.12}}
  n2: {profile: blue, nics: {eth0: "52:54:00:cc:00:02"}, addresses: {eth0: 10.77.0.12}}
"#;
    let macs = ["52:54:00:cc:00:01", "52:54:00:cc:00:02"];
    for database in crate::common::store::databases() {
        let (mut server, clients) = crate::common::dhcp::lan_on(database.as_deref(), SITE, &macs);
        server.start(&["lan"]);
        let sender = client(&clients);
        for number in [1, 2, 9] {
            let discover = Message::new(1, mac(number));
            sender.send(&discover, EVERYBODY);
            assert!(sender.receive(&discover, std::time::Duration::from_millis(700)).is_none());
        }
        assert!(server.leases().is_empty());
        for (nic, own) in ["eth0", "eth1"].into_iter().zip(macs) {
            clients.ip(&format!("address add 10.77.0.12/24 dev {nic}"));
            server.inside.ip("neighbour flush all");
            for asked in macs {
                for path in ["config", "boot"] {
                    let end = if path == "boot" { ".ipxe" } else { "" };
                    let line = format!("curl -s -m 20 http://10.77.0.1/{path}/{asked}{end}");
                    let said = String::from_utf8(clients.sh(&line).stdout).unwrap();
                    let is_refused = said.contains("10.77.0.12 is not an address of")
                        || said.contains("this script is for");
                    assert_eq!(is_refused, asked != own, "{nic} {path} {asked}: {said}");
                }
            }
            clients.ip(&format!("address del 10.77.0.12/24 dev {nic}"));
        }
    }
}
