use super::*;
use crate::boot::arch::{Arch, Client};
use crate::boot::next::Next;
use crate::dhcp::link::Arrival;
use crate::dhcp::pxe::boot_data;
use crate::dhcp::test_packets::{message, subnet};
use crate::model::Mac;
use crate::model::Subnet;
use std::net::SocketAddrV4;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const YOURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 254);
const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

fn full_subnet() -> Subnet {
    Subnet {
        gateway: Some("10.0.0.254".parse().unwrap()),
        mtu: Some(9000),
        dns: vec!["10.0.0.53#dns.example.net".parse().unwrap(), "2001:db8::53".parse().unwrap()],
        domains: vec!["example.net.".into(), "lab.example.net".into()],
        ntp: vec!["10.0.0.123".into(), "ntp.example.net".into()],
        dhcp_options: options(r#"{"150": "10.0.0.66", "17": "/subnet", "43.1": "x"}"#),
        ..subnet("10.0.0.0/24", &[])
    }
}

fn options(json: &str) -> DhcpOptions {
    serde_json::from_str(json).unwrap()
}

#[test]
fn an_operators_options_go_to_who_asks_and_the_profiles_before_the_subnets() {
    let profile = options(r#"{"42": "10.0.0.99", "17": "/profile"}"#);
    let wanted = message(1, &[&[55, 6, 150, 17, 42, 43, 60, 3]]);
    let plain = (MessageType::Offer, Reply::default());
    answer_with(Some(profile.clone()), &wanted, plain, |packet, _| {
        assert_eq!(packet.option(150), Some(&[10, 0, 0, 66][..]));
        assert_eq!(packet.option(17), Some(&b"/profile"[..]));
        assert_eq!(packet.option(42), Some(&[10, 0, 0, 99][..]), "instead of the subnet's");
        assert_eq!(packet.option(43), Some(&[1, 1, b'x'][..]));
    });
    // What firmware insists on stays as it is.
    let next = Next::Nbp("a".into());
    let boot = boot_data(Client::Pxe(Arch::Bios), &next, "a".into(), SERVER, None);
    answer_with(None, &wanted, (MessageType::Offer, boot), |packet, _| {
        assert_eq!(packet.option(43), Some(&[6, 1, 8, 255][..]));
    });
}

/// Builds the answer to a message, and reads it back with `check`.
fn answer(
    bytes: &[u8],
    kind: MessageType,
    boot: Reply<'static>,
    check: impl FnOnce(&Packet<'_>, &Reply<'_>),
) {
    answer_with(None, bytes, (kind, boot), check);
}

/// The same for a client whose profile adds options.
fn answer_with(
    profile: Option<DhcpOptions>,
    bytes: &[u8],
    (kind, boot): (MessageType, Reply<'static>),
    check: impl FnOnce(&Packet<'_>, &Reply<'_>),
) {
    let request = Packet::parse(bytes).unwrap();
    request.check_request().unwrap();
    let subnet = full_subnet();
    let reply = Reply {
        message_type: Some(kind),
        address: Some(YOURS),
        lease_seconds: 3600,
        server_id: SERVER,
        subnet: Some(&subnet),
        host_name: Some("r1-n01"),
        own_options: [None, profile.as_ref()],
        ..boot
    };
    let (encoded, _) = reply.encode(&request, 1500);
    check(&Packet::parse(&encoded).unwrap(), &reply);
}

fn codes(packet: &Packet<'_>) -> Vec<u8> {
    packet.options().map(|(code, _)| code).collect()
}

/// RFC 2131 table 3, where `ciaddr` means nothing: a DISCOVER that is answered at once.
#[test]
fn an_ack_to_a_discover_has_no_client_address() {
    let mut hasty = message(1, &[&[80, 0]]);
    hasty[12..16].copy_from_slice(&YOURS.octets());
    answer(&hasty, MessageType::Ack, Reply::default(), |packet, _| {
        assert_eq!(packet.ciaddr, Ipv4Addr::UNSPECIFIED);
    });
}

/// RFC 2131 table 3, field by field.
#[test]
fn an_answer_has_the_fields_of_table_3() {
    let mut bytes = message(3, &[&[50, 4, 10, 0, 0, 9], &[61, 3, 0, 7, 7], &[57, 2, 5, 220]]);
    bytes[3] = 4;
    bytes[8..10].copy_from_slice(&[0, 9]);
    bytes[10] = 0x80;
    bytes[12..16].copy_from_slice(&YOURS.octets());
    bytes[24..28].copy_from_slice(&RELAY.octets());
    for (kind, client_address) in
        [(MessageType::Offer, Ipv4Addr::UNSPECIFIED), (MessageType::Ack, YOURS)]
    {
        answer(&bytes, kind, Reply::default(), |packet, _| {
            assert_eq!((packet.op, packet.hardware_type, packet.hops), (2, 1, 0));
            assert_eq!(packet.hardware, MAC.0);
            assert_eq!((packet.transaction_id, packet.seconds), (0xdead_beef, 0));
            assert_eq!(packet.flags, 0x8000);
            assert_eq!(packet.ciaddr, client_address);
            assert_eq!(packet.your_address, YOURS);
            assert_eq!(packet.next_server, Ipv4Addr::UNSPECIFIED);
            assert_eq!(packet.giaddr, RELAY);
            assert!(packet.boot_file.iter().all(|byte| *byte == 0));
            assert_eq!(packet.option(53), Some(&[u8::from(kind)][..]));
            assert_eq!(packet.address_option(54), Some(SERVER));
            assert_eq!(packet.option(51), Some(&3600_u32.to_be_bytes()[..]));
            assert_eq!(packet.option(58), Some(&1800_u32.to_be_bytes()[..]));
            assert_eq!(packet.option(59), Some(&3150_u32.to_be_bytes()[..]));
            assert_eq!(packet.option(61), Some(&[0, 7, 7][..]));
            for never in [50, 55, 57] {
                assert_eq!(packet.option(never), None, "{never}");
            }
        });
    }
}

fn nak(message: &str) -> Reply<'_> {
    let message_type = Some(MessageType::Nak);
    Reply { message_type, server_id: SERVER, message: Some(message), ..Reply::default() }
}

/// RFC 2131 table 3.
#[test]
fn a_nak_says_no_and_nothing_else() {
    let mut bytes = message(3, &[&[61, 2, 0, 7], &[55, 2, 1, 3], &[82, 3, 1, 1, 9]]);
    bytes[24..28].copy_from_slice(&RELAY.octets());
    let request = Packet::parse(&bytes).unwrap();
    request.check_request().unwrap();
    let (encoded, left_out) = nak("address not available").encode(&request, 1500);
    assert!(left_out.is_empty());
    assert!(encoded[44..236].iter().all(|byte| *byte == 0), "neither names nor options there");
    let nak = Packet::parse(&encoded).unwrap();
    assert_eq!(codes(&nak), [53, 54, 61, 56, 82]);
    assert_eq!(nak.option(82), Some(&[1, 1, 9][..]));
    assert_eq!(nak.flags, 0x8000, "so that the relay broadcasts it");
    for address in [nak.ciaddr, nak.your_address, nak.next_server] {
        assert!(address.is_unspecified());
    }
}

/// RFC 2132 section 9.8, RFC 3442.
#[test]
fn options_come_in_the_clients_order_but_for_what_must_come_first() {
    let wanted: &[u8] = &[55, 11, 28, 3, 1, 121, 6, 6, 15, 12, 119, 26, 42];
    answer(&message(1, &[wanted]), MessageType::Offer, Reply::default(), |packet, _| {
        assert_eq!(codes(packet), [53, 54, 51, 58, 59, 28, 1, 121, 6, 15, 12, 119, 26, 42]);
        let get = |code| packet.option(code).unwrap();
        assert_eq!(get(1), [255, 255, 255, 0]);
        assert_eq!(get(121), [0, 10, 0, 0, 254], "the default route in place of the router");
        assert_eq!(get(6), [10, 0, 0, 53], "no IPv6 resolver");
        assert_eq!(get(12), b"r1-n01");
        assert_eq!(get(15), b"example.net");
        assert_eq!(get(26), 9000_u16.to_be_bytes());
        assert_eq!(get(28), [10, 0, 0, 255]);
        assert_eq!(get(42), [10, 0, 0, 123], "addresses alone");
        // The second name points into the first (RFC 3397).
        assert_eq!(get(119), b"\x07example\x03net\0\x03lab\xc0\0");
    });
}

/// Without a mask, a router and DNS a lease is of no use, whatever the client lists.
#[test]
fn a_client_that_asks_for_little_gets_what_it_needs() {
    #[rustfmt::skip]
    let cases: [(&str, &[&[u8]], &[u8]); 5] = [
        ("no option 55", &[], &[53, 54, 51, 58, 59, 1, 3, 6, 12, 15, 26, 28, 17, 150]),
        ("an empty one", &[&[55, 0]], &[53, 54, 51, 58, 59, 1, 3, 6, 12, 15, 26, 28, 17, 150]),
        ("no mask", &[&[55, 2, 3, 6]], &[53, 54, 51, 58, 59, 1, 3, 6, 15]),
        ("one option", &[&[55, 1, 42]], &[53, 54, 51, 58, 59, 42, 1, 3, 6, 15]),
        ("routes", &[&[55, 1, 121]], &[53, 54, 51, 58, 59, 121, 1, 6, 15]),
    ];
    for (name, options, expected) in cases {
        answer(&message(1, options), MessageType::Offer, Reply::default(), |packet, _| {
            assert_eq!(codes(packet), expected, "{name}");
        });
    }
}

/// RFC 3442: a client with classless routes ignores options 3 and 33.
#[test]
fn an_operators_routes_keep_the_default_route() {
    let routes = |json: &str| Some(options(json));
    #[rustfmt::skip]
    let cases: [(&str, &str, u8, &[u8]); 5] = [
        ("one route", r#"{"classless-routes": ["10.5.1.0/24 via 10.0.0.8"]}"#, 121,
         &[24, 10, 5, 1, 10, 0, 0, 8, 0, 10, 0, 0, 254]),
        ("their own default", r#"{"121": ["default via 10.0.0.8"]}"#, 121, &[0, 10, 0, 0, 8]),
        ("their own 0.0.0.0/0", r#"{"121": ["10.5.0.0/16 via 10.0.0.8", "0.0.0.0/0 via 10.0.0.9"]}"#, 121,
         &[16, 10, 5, 10, 0, 0, 8, 0, 10, 0, 0, 9]),
        ("Microsoft's", r#"{"249": ["10.5.1.0/24 via 10.0.0.8"]}"#, 249,
         &[24, 10, 5, 1, 10, 0, 0, 8, 0, 10, 0, 0, 254]),
        ("in bytes", r#"{"121": "hex:080a0a000008"}"#, 121, &[8, 10, 10, 0, 0, 8, 0, 10, 0, 0, 254]),
    ];
    let wanted = message(1, &[&[55, 5, 1, 3, 33, 121, 249]]);
    for (name, json, code, expected) in cases {
        let plain = (MessageType::Offer, Reply::default());
        answer_with(routes(json), &wanted, plain, |packet, _| {
            assert_eq!(packet.option(code), Some(expected), "{name}");
            assert_eq!((packet.option(3), packet.option(33)), (None, None), "{name}");
        });
    }
    let both = r#"{"static-routes": ["10.1.0.1", "10.0.0.8"]}"#;
    answer_with(routes(both), &wanted, (MessageType::Ack, Reply::default()), |packet, _| {
        assert_eq!((packet.option(3), packet.option(33)), (None, None));
    });
    let without = message(1, &[&[55, 3, 1, 3, 33]]);
    answer_with(routes(both), &without, (MessageType::Ack, Reply::default()), |packet, _| {
        assert_eq!(packet.option(3), Some(&[10, 0, 0, 254][..]));
        assert_eq!(packet.option(33), Some(&[10, 1, 0, 1, 10, 0, 0, 8][..]));
    });
}

/// RFC 2131 section 4.4.5.
#[test]
fn renewal_times_are_the_subnets_within_the_lease() {
    let millis = |text: &str| Some(text.parse().unwrap());
    #[rustfmt::skip]
    let cases = [
        ("the usual ones", None, None, 3600, 1800, 3150),
        ("both", millis("10m"), millis("20m"), 3600, 600, 1200),
        ("T1 alone", millis("5m"), None, 3600, 300, 3150),
        ("T2 alone", None, millis("50m"), 3600, 1800, 3000),
        ("T2 alone, before half of the lease", None, millis("10m"), 3600, 600, 600),
        ("a lease that the client wants shorter", millis("10m"), millis("20m"), 300, 150, 262),
        ("one between T1 and T2", millis("10m"), millis("20m"), 900, 600, 787),
    ];
    for (name, renew_time, rebind_time, seconds, renew, rebind) in cases {
        let subnet = Subnet { renew_time, rebind_time, ..full_subnet() };
        let (mut times, mut expected) = (Vec::new(), Vec::new());
        write_lease_times(&mut times, seconds, Some(&subnet));
        for (code, time) in [(51, seconds), (58, renew), (59, rebind)] {
            write_option(&mut expected, code, &u32::to_be_bytes(time));
        }
        assert_eq!(times, expected, "{name}");
    }
}

/// Old ROMs read on until a NUL.
#[test]
fn boot_data_is_said_in_the_header_and_in_options() {
    let next = Next::Nbp("undionly.kpxe".into());
    let boot = boot_data(Client::Pxe(Arch::Bios), &next, "undionly.kpxe".into(), SERVER, None);
    answer(&message(1, &[&[55, 1, 67]]), MessageType::Offer, boot, |packet, reply| {
        assert_eq!(packet.next_server, SERVER);
        assert!(packet.boot_file.starts_with(b"undionly.kpxe\0"));
        assert_eq!(packet.option(67), Some(&b"undionly.kpxe\0"[..]));
        assert_eq!(packet.option(60), Some(&b"PXEClient"[..]));
        assert!(!reply.may_overload(), "PXE reads the file field as a name");
    });
}

/// RFC 2132 section 9.10.
#[test]
fn the_answer_is_no_longer_than_the_client_takes() {
    let cases: [(&str, &[u8], usize); 5] = [
        ("no word of it", &[], 548),
        ("1500", &[57, 2, 5, 220], 1472),
        ("576", &[57, 2, 2, 64], 548),
        ("less than the least", &[57, 2, 1, 0], 548),
        ("more than the link carries", &[57, 2, 255, 255], 1472),
    ];
    for (name, option, expected) in cases {
        let bytes = message(1, &[option]);
        assert_eq!(max_bytes(&Packet::parse(&bytes).unwrap(), 1500), expected, "{name}");
    }
}

/// RFC 2131 section 4.1.
#[test]
fn an_answer_goes_where_the_client_can_hear_it() {
    let to = |text: &str| (text.parse::<SocketAddrV4>().unwrap(), None);
    let (everybody, by_frame) = (to("255.255.255.255:68"), (to("10.0.0.9:68").0, Some(MAC)));
    let none = Ipv4Addr::UNSPECIFIED;
    let (bootp, inform, request) = (1, 8, 3);
    #[rustfmt::skip]
    let cases = [
        ("a relay", request, RELAY, none, 0x8000, false, to("10.1.0.254:67")),
        ("a relay of a client with an address", request, RELAY, YOURS, 0, false, to("10.1.0.254:67")),
        ("a client with an address", request, none, YOURS, 0x8000, false, to("10.0.0.9:68")),
        ("one that asks for broadcast", bootp, none, none, 0x8000, false, everybody),
        ("one without an address", bootp, none, none, 0, false, by_frame),
        ("the same where unicast is lost", bootp, none, none, 0, true, everybody),
        ("an inform", inform, none, YOURS, 0, false, to("10.0.0.9:68")),
        ("an inform without ciaddr", inform, none, none, 0, false, to("10.0.0.77:68")),
    ];
    for (name, kind, relay, client_address, flags, always_broadcast, expected) in cases {
        let mut bytes = message(kind, &[]);
        bytes[10..12].copy_from_slice(&u16::to_be_bytes(flags));
        bytes[12..16].copy_from_slice(&client_address.octets());
        bytes[24..28].copy_from_slice(&relay.octets());
        assert_eq!(way_of(&bytes, false, always_broadcast), expected, "{name}");
        let to_nak = if relay.is_unspecified() { everybody } else { expected };
        assert_eq!(way_of(&bytes, true, always_broadcast), to_nak, "a NAK to {name}");
    }
}

/// RFC 8357.
#[test]
fn a_relay_that_needs_its_source_port_back_gets_it() {
    let mut bytes = message(1, &[&[82, 4, 19, 2, 0, 0]]);
    bytes[24..28].copy_from_slice(&RELAY.octets());
    let expected = ("10.1.0.254:5067".parse().unwrap(), None);
    assert_eq!(way_of(&bytes, false, false), expected);
}

/// Where an ACK or a NAK goes, and the MAC that it is framed for.
fn way_of(bytes: &[u8], is_nak: bool, always_broadcast: bool) -> (SocketAddrV4, Option<Mac>) {
    let request = Packet::parse(bytes).unwrap();
    request.check_request().unwrap();
    let message_type = Some(MessageType::Ack);
    let ack = Reply { message_type, address: Some(YOURS), ..Reply::default() };
    let reply = if is_nak { nak("no") } else { ack };
    let arrival = Arrival {
        source: "10.0.0.77:5067".parse().unwrap(),
        destination: SERVER,
        local: SERVER,
        port: 67,
    };
    let sent = Transmit::new(vec![], &reply, &request, &arrival, SERVER, always_broadcast);
    assert_eq!(sent.is_routed(), sent.mac.is_none() && !sent.to.ip().is_broadcast());
    (sent.to, sent.mac)
}

/// What a host says goes before its profile, and that before the subnet.
#[test]
fn the_nearest_options_count() {
    let options = |json: &str| serde_json::from_str::<DhcpOptions>(json).unwrap();
    let host = options(r#"{"150": "10.0.0.66"}"#);
    let profile = options(r#"{"150": "10.0.0.67", "42": "10.0.0.68"}"#);
    let mut subnet = full_subnet();
    subnet.dhcp_options = options(r#"{"42": "10.0.0.69", "2": 3600}"#);
    let own_options = [Some(&host), Some(&profile)];
    let reply = Reply { subnet: Some(&subnet), own_options, ..Reply::default() };
    assert_eq!(reply.added(150), Some(&[10, 0, 0, 66][..]));
    assert_eq!(reply.added(42), Some(&[10, 0, 0, 68][..]));
    assert_eq!(reply.added(2), Some(&3600_u32.to_be_bytes()[..]));
    assert_eq!(reply.added(7), None);
}

/// The answer in two packets says that it is one (RFC 4039). The answer to BOOTP has
/// nothing of DHCP in it.
#[test]
fn a_lease_in_two_packets_says_so_and_bootp_hears_nothing_of_dhcp() {
    let subnet = full_subnet();
    let reply = |message_type| Reply {
        message_type,
        address: Some(YOURS),
        lease_seconds: 3600,
        server_id: SERVER,
        subnet: Some(&subnet),
        host_name: Some("r1-n01"),
        boot_file: "rom".into(),
        ..Reply::default()
    };
    let bytes = message(1, &[&[80, 0]]);
    let request = Packet::parse(&bytes).unwrap();
    request.check_request().unwrap();
    let (rapid, _) = reply(Some(MessageType::Ack)).encode(&request, 1500);
    assert_eq!(Packet::parse(&rapid).unwrap().option(80), Some(&[][..]));
    let (offer, _) = reply(Some(MessageType::Offer)).encode(&request, 1500);
    assert_eq!(Packet::parse(&offer).unwrap().option(80), None, "only in the answer with a lease");
    let (bootp, _) = reply(None).encode(&request, 1500);
    assert_eq!(bootp.len(), 300);
    let bootp = Packet::parse(&bootp).unwrap();
    assert_eq!((bootp.your_address, bootp.ciaddr), (YOURS, Ipv4Addr::UNSPECIFIED));
    assert!(bootp.boot_file.starts_with(b"rom\0"));
    let dhcp_only = [50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61];
    assert!(codes(&bootp).iter().all(|code| !dhcp_only.contains(code)), "{:?}", codes(&bootp));
    assert_eq!(bootp.option(1), Some(&[255, 255, 255, 0][..]));
}

#[test]
fn a_boot_file_too_long_for_its_field_is_left_out_of_it() {
    let bytes = message(1, &[]);
    let request = Packet::parse(&bytes).unwrap();
    for (length, expected) in [(127, b'a'), (128, 0), (1000, 0)] {
        let reply = Reply { boot_file: "a".repeat(length), ..Reply::default() };
        let (bytes, _) = reply.encode(&request, 1500);
        assert_eq!(bytes[108], expected, "{length}");
        assert_eq!(bytes[235], 0, "{length}");
    }
}

/// Old ROMs look for the type there. Whatever a reply says, nobody has to put it first.
#[test]
fn the_message_type_is_the_first_option_of_every_reply_but_bootps() {
    let bytes = message(3, &[&[61, 3, 0, 7, 7], &[55, 3, 53, 1, 3]]);
    let request = Packet::parse(&bytes).unwrap();
    let subnet = full_subnet();
    for kind in [MessageType::Offer, MessageType::Ack, MessageType::Nak] {
        let message_type = Some(kind);
        let next = Next::LocalMenu;
        let boot = boot_data(Client::Pxe(Arch::Bios), &next, String::new(), SERVER, None);
        let reply = Reply { message_type, subnet: Some(&subnet), server_id: SERVER, ..boot };
        for reply in [reply, Reply { message_type, ..Reply::default() }] {
            let (bytes, _) = reply.encode(&request, 1500);
            assert_eq!(bytes[240..243], [53, 1, kind.into()]);
            let again = Packet::parse(&bytes).unwrap();
            assert_eq!(codes(&again)[..2], [53, 54], "and then the server");
        }
    }
    let (bytes, _) = Reply { subnet: Some(&subnet), ..Reply::default() }.encode(&request, 1500);
    assert_eq!(Packet::parse(&bytes).unwrap().option(53), None, "BOOTP");
}
