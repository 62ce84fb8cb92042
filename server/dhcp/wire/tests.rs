use dhcproto::v4::{self, OptionCode};
use dhcproto::{Decodable, Decoder};
use proptest::prelude::*;

use super::*;
use crate::dhcp::test_packets::{discover, message};

fn codes(packet: &Packet<'_>) -> Vec<u8> {
    packet.options().map(|(code, _)| code).collect()
}

#[test]
fn options_are_read_past_one_that_makes_no_sense() {
    // A Latin-1 host name and a wrong length for option 50 before what matters.
    let bytes = message(3, &[&[12, 3, 0xe9, b't', 0xe9], &[50, 3, 10, 0, 0], &[61, 2, 1, 2]]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(codes(&packet), [53, 12, 50, 61]);
    assert_eq!(packet.typed_option(OptionCode::Hostname), None);
    assert_eq!(packet.address_option(50), None);
    assert_eq!(packet.option(61), Some(&[1, 2][..]));
}

/// RFC 3396 section 7.
#[test]
fn pieces_of_an_option_are_joined_wherever_they_stand() {
    let bytes = message(1, &[&[60, 3, b'P', b'X', b'E'], &[0], &[93, 2, 0, 7], &[60, 1, b'C']]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.option(60), Some(&b"PXEC"[..]));
}

/// Both fields hold options and are read in the order of RFC 3396.
#[test]
fn overloaded_fields_are_read() {
    let mut bytes = message(1, &[&[52, 1, 3], &[60, 1, b'a']]);
    bytes[108..115].copy_from_slice(&[60, 1, b'b', 12, 1, b'h', 255]);
    bytes[44..48].copy_from_slice(&[60, 1, b'c', 255]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.option(60), Some(&b"abc"[..]));
    assert_eq!(packet.option(12), Some(&b"h"[..]));
    // Without option 52 the fields are names.
    let mut bytes = message(1, &[]);
    bytes[108..111].copy_from_slice(&[60, 1, b'b']);
    assert_eq!(Packet::parse(&bytes).unwrap().option(60), None);
}

#[test]
fn what_runs_past_the_end_ends_the_list() {
    let mut bytes = message(1, &[&[61, 2, 1, 2]]);
    bytes.truncate(247);
    for rest in [&[12_u8][..], &[12, 5, b'a'], &[12, 255], &[]] {
        let packet_bytes = [&bytes[..], rest].concat();
        let packet = Packet::parse(&packet_bytes).unwrap();
        assert_eq!(codes(&packet), [53, 61], "{rest:?}");
    }
}

/// A server's packet, and what is asked of it.
#[derive(Clone)]
struct Written<'a> {
    message_type: Option<v4::MessageType>,
    boot_file: String,
    /// Codes and data.
    options: Vec<(u8, Vec<u8>)>,
    relay_info: Option<&'a [u8]>,
    max_bytes: usize,
    may_overload: bool,
}

impl Written<'_> {
    fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut header = [0; HEADER_BYTES];
        header[..3].copy_from_slice(&[2, 1, 6]);
        header[4..8].copy_from_slice(&0xdead_beef_u32.to_be_bytes());
        header[10] = 0x80;
        header[16..28].copy_from_slice(&[10, 0, 0, 9, 10, 0, 0, 1, 10, 1, 0, 1]);
        header[28..34].copy_from_slice(&[0x52, 0x54, 0, 0xaa, 0, 1]);
        header[BOOT_FILE][..self.boot_file.len()].copy_from_slice(self.boot_file.as_bytes());
        header[236..].copy_from_slice(&MAGIC_COOKIE);
        let mut options = Vec::new();
        for (code, data) in &self.options {
            write_option(&mut options, *code, data);
        }
        let Self { message_type, relay_info, max_bytes, may_overload, .. } = *self;
        encode(&header, message_type, &options, relay_info, max_bytes, may_overload)
    }
}

fn reply(options: Vec<(u8, Vec<u8>)>) -> Written<'static> {
    Written {
        message_type: None,
        boot_file: "undionly.kpxe".into(),
        options,
        relay_info: None,
        max_bytes: 548,
        may_overload: false,
    }
}

#[test]
fn a_reply_is_written_as_dhcproto_reads_it() {
    let options = vec![(51, 3600_u32.to_be_bytes().into())];
    let message_type = Some(v4::MessageType::Offer);
    let (bytes, left_out) = Written { message_type, ..reply(options) }.encode();
    assert!(left_out.is_empty());
    // No client of BOOTP's age takes less.
    assert_eq!(bytes.len(), 300);
    let message = v4::Message::decode(&mut Decoder::new(&bytes)).unwrap();
    assert_eq!(message.opcode(), v4::Opcode::BootReply);
    assert_eq!((message.hops(), message.secs(), message.xid()), (0, 0, 0xdead_beef));
    assert_eq!(message.yiaddr(), Ipv4Addr::new(10, 0, 0, 9));
    assert_eq!(message.siaddr(), Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!(message.giaddr(), Ipv4Addr::new(10, 1, 0, 1));
    assert!(message.flags().broadcast());
    assert_eq!(&bytes[108..122], b"undionly.kpxe\0");
    assert_eq!(message.opts().msg_type(), Some(v4::MessageType::Offer));
}

#[test]
fn options_keep_the_order_they_are_given_in_after_the_message_type() {
    let given = [54, 51, 6, 3, 1];
    let options = given.map(|code| (code, [1, 2, 3, 4].into()));
    let message_type = Some(v4::MessageType::Ack);
    let relay_info = Some(&[1, 1, 7][..]);
    let (bytes, _) = Written { message_type, relay_info, ..reply(options.into()) }.encode();
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(codes(&packet), [53, 54, 51, 6, 3, 1, 82]);
}

/// RFC 2132 section 9.3.
#[test]
fn what_does_not_fit_goes_into_the_name_fields_or_is_named() {
    let options: Vec<_> = [53, 6, 42, 119, 15].map(|code| (code, [7; 100].into())).into();
    let tight = Written { max_bytes: 552, ..reply(options) };
    let (bytes, left_out) = tight.encode();
    assert!(bytes.len() <= 552);
    assert_eq!(left_out, [119, 15]);

    let may_overload = Written { boot_file: String::new(), may_overload: true, ..tight.clone() };
    let (bytes, left_out) = may_overload.encode();
    assert!(bytes.len() <= 552);
    assert_eq!(left_out, [15]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.option(119), Some(&[7; 100][..]));

    // A boot file keeps its field.
    let booting = Written { may_overload: true, ..tight };
    assert_eq!(booting.encode().1, [119, 15]);
}

/// What a relay says may fill a packet; the client's part is there all the same.
#[test]
fn a_talkative_relay_costs_no_answer_its_type_or_server() {
    let essential = [54, 51, 58, 59, 61].map(|code| (code, [1; 4].into()));
    let mut options = essential.to_vec();
    options.push((6, vec![7; 200]));
    let relay_info = [b'r'; 290];
    let message_type = Some(v4::MessageType::Offer);
    let full = Written { message_type, relay_info: Some(&relay_info), ..reply(options) };
    let (bytes, left_out) = full.encode();
    assert_eq!(left_out, [6]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(codes(&packet), [53, 54, 51, 58, 59, 61, 82]);
    assert_eq!(packet.option(82), Some(&relay_info[..]));
    assert!(bytes.len() <= 548 + 294, "{}", bytes.len());
}

/// A packet of client fields and sound options, each code once.
fn well_formed() -> impl Strategy<Value = (Vec<u8>, Vec<(u8, Vec<u8>)>)> {
    let text = "[ -~]{1,40}".prop_map(String::into_bytes);
    let bytes = || prop::collection::vec(any::<u8>(), 1..60);
    let option = prop_oneof![
        (prop::sample::select(vec![60, 61, 77, 97, 43, 55, 175, 200]), bytes()),
        (prop::sample::select(vec![12, 15]), text),
        (prop::sample::select(vec![50, 54, 118]), prop::collection::vec(any::<u8>(), 4..=4)),
        (prop::sample::select(vec![57, 93]), prop::collection::vec(any::<u8>(), 2..=2)),
    ];
    let header = prop::collection::vec(any::<u8>(), 236..=236);
    (header, prop::collection::btree_map(any::<u8>(), option, 0..12)).prop_map(
        |(header, options)| {
            let mut seen = std::collections::BTreeSet::new();
            let options: Vec<_> =
                options.into_values().filter(|(code, _)| seen.insert(*code)).collect();
            let mut packet = header;
            packet[0] = 1;
            packet[2] %= 17;
            packet.extend(MAGIC_COOKIE);
            for (code, data) in &options {
                packet.extend([*code, data.len() as u8]);
                packet.extend(data);
            }
            packet.push(255);
            (packet, options)
        },
    )
}

proptest! {
    #[test]
    fn well_formed_packets_read_as_dhcproto_reads_them((bytes, options) in well_formed()) {
        let ours = Packet::parse(&bytes).unwrap();
        let theirs = v4::Message::decode(&mut Decoder::new(&bytes)).unwrap();
        prop_assert_eq!(ours.transaction_id, theirs.xid());
        prop_assert_eq!(ours.seconds, theirs.secs());
        prop_assert_eq!(ours.flags, u16::from(theirs.flags()));
        prop_assert_eq!(ours.ciaddr, theirs.ciaddr());
        prop_assert_eq!(ours.giaddr, theirs.giaddr());
        prop_assert_eq!(ours.hardware, theirs.chaddr());
        prop_assert_eq!(ours.options().count(), options.len());
        for (code, data) in &options {
            prop_assert_eq!(ours.option(*code), Some(&data[..]));
            let code = OptionCode::from(*code);
            let typed = ours.typed_option(code);
            prop_assert_eq!(typed.as_ref(), theirs.opts().get(code));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..700), cookie in any::<bool>()) {
        let mut bytes = bytes;
        if cookie && bytes.len() >= 240 {
            bytes[236..240].copy_from_slice(&MAGIC_COOKIE);
            bytes[2] %= 20;
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            for code in 0..=255 {
                let _ = packet.typed_option(OptionCode::from(code));
            }
        }
    }

    #[test]
    fn every_truncation_of_a_packet_is_taken_or_refused(end in 0_usize..300) {
        let _ = Packet::parse(&discover()[..end]);
    }

    /// RFC 3046 section 2.2.
    #[test]
    fn option_82_goes_back_byte_for_byte(info in prop::collection::vec(any::<u8>(), 0..300)) {
        let options = (0..40).map(|code| (code + 100, vec![1; 20])).collect();
        let (bytes, _) = Written { relay_info: Some(&info), ..reply(options) }.encode();
        prop_assert!(bytes.len() <= 548);
        let packet = Packet::parse(&bytes).unwrap();
        prop_assert_eq!(packet.option(82), Some(&info[..]));
        prop_assert_eq!(codes(&packet).pop(), Some(82));
    }
}
