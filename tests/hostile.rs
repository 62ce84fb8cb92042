//! Hostile DHCP clients and relays on the wire: nothing gets through, and all is counted.

use std::net::Ipv4Addr;

use rackstrap::model::LeaseState;

use crate::common::dhcp::{Client, DhcpServer, Message, lan, wait_for};

const SITE: &str = r#"
subnets:
  provisioning: {cidr: 10.77.0.0/24, unknown-clients: lease, ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]}
hosts:
  r1-n01: {nics: {eth0: "52:54:00:aa:00:01"}, reservations: {provisioning: 10.77.0.12}}
"#;
const HOST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const VICTIM: [u8; 6] = [0x52, 0x54, 0, 0xbb, 0, 1];
const EVIL: [u8; 6] = [0x52, 0x54, 0, 0xbb, 0, 2];
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;

/// The value of a line of `/metrics`; 0 where there is none.
fn metric(server: &DhcpServer, line: &str) -> u64 {
    let output = server.inside.sh("curl -s -m 5 http://127.0.0.1:8080/metrics");
    let text = String::from_utf8(output.stdout).unwrap();
    let value = text.lines().find_map(|found| found.strip_prefix(line));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

fn unanswered(server: &DhcpServer, reason: &str) -> u64 {
    metric(server, &format!("rackstrap_dhcp_unanswered_total{{reason=\"{reason}\"}}"))
}

#[test]
fn what_is_refused_is_counted_by_its_reason_and_changes_nothing() {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    server.start(&["lan"]);
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let address = client.acquire(VICTIM).unwrap();
    assert_eq!(client.acquire(HOST), Some(OWN));
    clients.ip("address add 10.77.0.66/24 dev eth0");
    let forger = Client::bind(&clients, Ipv4Addr::new(10, 77, 0, 66), 68, None);
    let server_id = SERVER.octets();
    let of = |kind: u8, mac: [u8; 6]| Message::new(kind, mac).option(54, &server_id);

    let rogue = Message::new(1, EVIL).address(24, Ipv4Addr::new(192, 168, 9, 1));
    client.send(&rogue.option(82, &[1, 1, 9]), EVERYBODY);
    for (mac, address) in [(VICTIM, address), (HOST, OWN)] {
        // In the name of the holder, from elsewhere.
        forger.send(&of(7, mac).address(12, address), SERVER);
        // In its own name.
        client.send(&of(4, EVIL).option(50, &address.octets()), EVERYBODY);
    }
    let mut own_packet = Message::new(1, EVIL);
    own_packet.0[0] = 2;
    client.send(&own_packet, EVERYBODY);
    // Of every length: they are one reason.
    for length in (1..=80).chain([100]) {
        client.send_bytes(&vec![1; length], EVERYBODY);
    }
    let mut long_hardware = Message::new(1, EVIL);
    long_hardware.0[2] = 255;
    client.send(&long_hardware, EVERYBODY);

    for (reason, times) in [
        ("the relay agent is not allowed", 1),
        ("the packet does not come from the address it speaks of", 2),
        ("the client does not hold that address", 2),
        ("packet is from a server", 1),
        ("packet is shorter than a DHCP header", 81),
        ("hardware address is too long", 1),
    ] {
        wait_for(&format!("{times} times \"{reason}\""), || unanswered(&server, reason) == times);
    }
    assert!(metric(&server, "rackstrap_dhcp_messages_total{type=\"request\"}") >= 2);
    let leases = server.leases();
    assert_eq!(leases.len(), 2, "{leases:?}");
    assert!(leases.iter().all(|lease| lease.state == LeaseState::Bound), "{leases:?}");
}

/// Options that lie about their length, repeat, or fill and overlap the packet's fields.
#[test]
fn oversized_and_overlapping_options_get_a_sound_answer_or_none() {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    server.start(&["lan"]);
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let discover = || Message::new(1, EVIL);
    let repeated = (0..4).fold(discover(), |m, _| m.option(61, &[7; 255]).option(82, &[8; 255]));
    let mut cut = discover();
    cut.0.extend([82, 200, 1]);
    let mut overloaded = discover().option(52, &[3]);
    // Each name field is one option that would reach beyond it.
    overloaded.0[44..46].copy_from_slice(&[43, 255]);
    overloaded.0[108..110].copy_from_slice(&[43, 255]);
    let mut itself = discover().option(52, &[1]);
    itself.0[108..112].copy_from_slice(&[52, 1, 3, 255]);
    let small = discover().option(57, &[0, 1]).option(55, &[1; 255]).option(82, &[9; 255]);
    for (name, message) in [
        ("repeated", repeated),
        ("cut", cut),
        ("overloaded", overloaded),
        ("overload in itself", itself),
        ("small", small),
    ] {
        let offer = client.ask(&message, EVERYBODY).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(offer.kind(), 2, "{name}");
        assert!(offer.0.len() <= 1472, "{name}: {} bytes", offer.0.len());
        assert_eq!(offer.option(54).unwrap(), SERVER.octets(), "{name}");
    }
    assert_eq!(client.acquire(HOST), Some(OWN));
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
