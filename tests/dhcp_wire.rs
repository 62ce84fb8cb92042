//! What leaves the server and where it goes, seen on the wire; and clients without an
//! Ethernet address, or behind a relay, from the first packet to the last.

use std::fs;
use std::net::Ipv4Addr;

use rackstrap::model::LeaseState;

use crate::common::dhcp::{ANSWERS, Client, DhcpServer, Message, capture, lan, wait_for};
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
hosts:
  r1-n01:
    nics: {eth0: "52:54:00:aa:00:01"}
    reservations: {provisioning: 10.77.0.12}
"#;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;
const HOST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];
const STRANGER: [u8; 6] = [0x52, 0x54, 0, 0xbb, 0, 1];

fn rack() -> (DhcpServer, Netns) {
    let (mut server, clients) = lan(SITE, &["52:54:00:bb:00:01"]);
    server.start(&["lan"]);
    (server, clients)
}

/// A message that does not ask for broadcast answers.
fn quiet(kind: u8, mac: [u8; 6]) -> Message {
    let mut message = Message::new(kind, mac);
    message.0[10] = 0;
    message
}

/// RFC 2131 section 4.1, each way of an answer to a client on the link: the frame's
/// destination, the packet's, and the port.
#[test]
fn each_kind_of_answer_goes_where_its_client_listens() {
    let (_server, clients) = rack();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("capture");
    let _capture = capture(&clients, ANSWERS, &log);
    let everybody = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let address = everybody.acquire(STRANGER).unwrap();
    clients.ip(&format!("address add {address}/24 dev eth0"));
    clients.ip("address add 10.77.0.66/24 dev eth0");
    let own = Ipv4Addr::new(10, 77, 0, 66);
    let elsewhere = [10, 77, 0, 150];
    // Who asks for broadcast while it has an address hears the answer there all the same.
    let renewal = Message::new(3, STRANGER).address(12, address);
    let (frame, all) = ("> 52:54:00:bb:00:01, ethertype IPv4", "> ff:ff:ff:ff:ff:ff, ethertype");
    let cases = [
        ("a renewal", renewal.clone(), SERVER, frame, "10.77.0.1.67 > 10.77.0.100.68"),
        ("a rebinding", renewal, EVERYBODY, frame, "10.77.0.1.67 > 10.77.0.100.68"),
        (
            "an INFORM",
            quiet(8, STRANGER).address(12, own),
            SERVER,
            frame,
            "10.77.0.1.67 > 10.77.0.66.68",
        ),
        (
            "a NAK",
            quiet(3, STRANGER).option(50, &elsewhere),
            EVERYBODY,
            all,
            "10.77.0.1.67 > 255.255.255.255.68",
        ),
        (
            "a NAK to who uses an address",
            quiet(3, HOST).address(12, address),
            SERVER,
            all,
            "10.77.0.1.67 > 255.255.255.255.68",
        ),
    ];
    for (name, message, to, frame, packet) in cases {
        let lines = || fs::read_to_string(&log).unwrap();
        let found = |text: &str| {
            text.lines().filter(|line| line.contains(frame) && line.contains(packet)).count()
        };
        let before = found(&lines());
        everybody.send(&message, to);
        wait_for(name, || found(&lines()) > before);
    }
}

/// RFC 4390: InfiniBand has no room for its address and says who it is by option 61; and
/// UEFI that puts its GUID where the hardware address is. Neither can be reached by a frame
/// before it has an address.
#[test]
fn clients_without_an_ethernet_address_get_one_address_each_by_broadcast() {
    let (server, clients) = rack();
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let infiniband = |kind: u8, number: u8| {
        let mut message = quiet(kind, STRANGER);
        (message.0[1], message.0[2], message.0[7]) = (32, 0, number);
        message.0[28..44].fill(0);
        message.option(61, &[255, 0, 0, 0, number, 0, 3, 0, 32])
    };
    let with_guid = |kind: u8, number: u8| {
        let mut message = quiet(kind, STRANGER);
        (message.0[2], message.0[7]) = (16, number);
        message.0[28..44].fill(number);
        message
    };
    let acquire = |discover: &Message, request: Message| {
        let offer = client.ask(discover, EVERYBODY).unwrap();
        let wanted = offer.your_address().octets();
        let request = request.option(50, &wanted).option(54, &SERVER.octets());
        let ack = client.ask(&request, EVERYBODY).unwrap();
        assert_eq!(ack.kind(), 5);
        assert_eq!(ack.0[1..3], request.0[1..3], "hardware type and length as they came");
        assert_eq!(ack.0[28..44], request.0[28..44]);
        ack.your_address().octets()[3]
    };
    let given = [
        acquire(&infiniband(1, 1), infiniband(3, 1)),
        acquire(&infiniband(1, 2), infiniband(3, 2)),
        acquire(&with_guid(1, 3), with_guid(3, 3)),
        acquire(&with_guid(1, 4), with_guid(3, 4)),
        acquire(&infiniband(1, 1), infiniband(3, 1)),
        acquire(&with_guid(1, 3), with_guid(3, 3)),
    ];
    assert_eq!(given, [100, 101, 102, 103, 100, 102]);
    assert_eq!(server.leases().len(), 4);
    let mut nameless = infiniband(1, 9);
    nameless.0.truncate(243);
    client.send(&nameless, EVERYBODY);
    wait_for("one that does not say who it is is counted", || {
        let answer = server.inside.sh("curl -sf -m 5 http://127.0.0.1:8080/metrics");
        String::from_utf8_lossy(&answer.stdout).contains("packet has no usable hardware address")
    });
}

/// RFC 2131 section 4.3.4: what was released is kept for its client while nobody needs it. A
/// relay's word about the client's address is taken.
#[test]
fn who_gives_its_address_back_through_a_relay_may_have_it_again() {
    let (server, clients) = rack();
    clients.ip("address add 10.77.0.2/24 dev eth0");
    clients.ip("address add 10.78.0.1/24 dev lo");
    server.inside.ip("route add 10.78.0.0/24 via 10.77.0.2");
    let relay = Client::bind(&clients, RELAY, 67, None);
    let acquire = |mac: [u8; 6]| {
        let offer = relay.ask(&Message::new(1, mac).address(24, RELAY), SERVER).unwrap();
        let wanted = offer.your_address();
        let request = Message::new(3, mac).address(24, RELAY).option(54, &SERVER.octets());
        assert_eq!(relay.ask(&request.option(50, &wanted.octets()), SERVER).unwrap().kind(), 5);
        wanted
    };
    let state_of = |address: Ipv4Addr| {
        let leases = server.leases();
        leases.into_iter().find(|lease| lease.address == address).map(|lease| lease.state)
    };
    let other = [0x52, 0x54, 0, 0xbb, 0, 2];
    let address = acquire(STRANGER);
    let release = |mac: [u8; 6], address: Ipv4Addr, server_id: [u8; 4]| {
        let message = Message::new(7, mac).address(24, RELAY).address(12, address);
        relay.send(&message.option(54, &server_id), SERVER);
    };
    let of_others = acquire(other);
    release(other, address, SERVER.octets());
    server.wait_for_log("the client does not hold that address");
    release(STRANGER, address, [10, 78, 0, 9]);
    server.wait_for_log("the client chose another server");
    assert_eq!(state_of(address), Some(LeaseState::Bound), "neither ends it");
    release(STRANGER, address, SERVER.octets());
    wait_for("the lease is released", || state_of(address) == Some(LeaseState::Released));
    assert_eq!(state_of(of_others), Some(LeaseState::Bound));
    let third = acquire([0x52, 0x54, 0, 0xbb, 0, 3]);
    assert_ne!(third, address, "it rests while there are others");
    assert_eq!(acquire(STRANGER), address);
}

/// An address of its own that somebody uses is no reason for silence: an operator has to look.
#[test]
fn a_host_that_finds_its_own_address_in_use_gets_another_and_an_alarm() {
    let (server, clients) = rack();
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    assert_eq!(client.acquire(HOST), Some(OWN));
    let decline = Message::new(4, HOST).option(50, &OWN.octets());
    client.send(&decline.option(54, &SERVER.octets()), EVERYBODY);
    server.wait_for_log("It is its own address: find the device that uses it");
    wait_for("the address rests", || {
        server.leases().iter().any(|l| l.address == OWN && l.state == LeaseState::Declined)
    });
    assert_eq!(client.acquire(HOST), Some(Ipv4Addr::new(10, 77, 0, 100)), "it boots all the same");
}
