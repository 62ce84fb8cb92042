//! What must hold of every packet and every answer, whatever comes: driven by bytes, for
//! tests and for fuzz targets. Pure.

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use dhcproto::v4::MessageType;

use super::pxe::{boot_data, boot_item};
use super::relay::RelayInfo;
use super::reply::Reply;
use super::wire::{HEADER_BYTES, MAGIC_COOKIE, Packet, decode_option, encode, write_option};
use crate::boot::arch::{Arch, Client};
use crate::boot::next::Next;
use crate::exercise::Dice;
use crate::model::Subnet;
use crate::options::code::{self, END, OVERLOAD, RELAY_INFO};
use crate::options::sub_option;
use crate::site_file;

/// The shortest packet that is sent (RFC 951 section 3).
const MIN_BYTES: usize = 300;
/// IP and UDP headers.
const LOWER_HEADER_BYTES: usize = 28;
/// What every client takes, IP and UDP headers included (RFC 2131 section 2).
const EVERY_CLIENT_TAKES: usize = 576;

/// Any bytes are a packet or none; what is read is written so that it reads the same.
pub(crate) fn decode(bytes: &[u8]) {
    let Ok(packet) = Packet::parse(bytes) else { return };
    for (code, data) in packet.options() {
        let _ = decode_option(code, data);
        let _ = (sub_option(data, code), boot_item(data), RelayInfo::read(data));
    }
    assert!(!packet.client().to_string().is_empty());
    if let Err(refusal) = packet.check_request() {
        assert!(!refusal.to_string().is_empty());
    }
    // Any two bytes of the header do for the size that is allowed.
    let max_bytes = usize::from(u16::from_be_bytes([bytes[8], bytes[9]]));
    check_written_again(&packet, bytes, max_bytes, bytes[3] & 1 == 1);
}

fn check_written_again(packet: &Packet<'_>, read: &[u8], max_bytes: usize, may_overload: bool) {
    let ours = |code: u8| !matches!(code, RELAY_INFO | OVERLOAD);
    // The same header in a server's packet without names.
    let mut header = [0; HEADER_BYTES];
    header[..44].copy_from_slice(&read[..44]);
    header[0] = 2;
    header[236..].copy_from_slice(&MAGIC_COOKIE);
    let mut options = Vec::new();
    for (code, data) in packet.options().filter(|(code, _)| ours(*code)) {
        write_option(&mut options, code, data);
    }
    let relay_info = packet.option(RELAY_INFO);
    let (bytes, left_out) = encode(&header, None, &options, relay_info, max_bytes, may_overload);
    let tail = relay_info.map_or(0, |info| encoded_length(info.len())) + 1;
    assert!(bytes.len() <= (max_bytes + tail).max(MIN_BYTES).max(HEADER_BYTES + tail));
    let again = Packet::parse(&bytes).expect("what we write, we read");
    assert_eq!(again.hardware, packet.hardware);
    for (code, data) in packet.options().filter(|(code, _)| ours(*code)) {
        let expected = Some(data).filter(|_| !left_out.contains(&code));
        assert_eq!(again.option(code), expected, "option {code}");
    }
    check_relay_info(packet, &bytes);
}

/// How many bytes an option of some data takes, split where it is long (RFC 3396).
fn encoded_length(data: usize) -> usize {
    data + 2 * data.div_ceil(255).max(1)
}

/// What a relay said comes back to it in every kind of answer, however full that is.
pub(crate) fn relay(bytes: &[u8]) {
    let mut dice = Dice::new(bytes);
    let message = relayed_message(&mut dice);
    let Ok(request) = Packet::parse(&message) else { return };
    if request.check_request().is_err() {
        return;
    }
    let server = Ipv4Addr::new(10, 0, 0, 1);
    let subnet = full_subnet();
    let name = "n".repeat(usize::from(dice.byte()));
    let boot = match dice.byte() {
        0..128 => Reply::default(),
        length => {
            let (client, name) = (Client::Pxe(Arch::Bios), "f".repeat(usize::from(length) - 100));
            let next = Next::Nbp(name.clone());
            boot_data(client, &next, name, server, request.option(code::CLIENT_UUID))
        }
    };
    let offer = Reply {
        message_type: Some(dice.pick(&[MessageType::Offer, MessageType::Ack])),
        address: Some(Ipv4Addr::new(10, 0, 0, 9)),
        lease_seconds: dice.number(),
        server_id: server,
        subnet: Some(subnet),
        host_name: Some(&name),
        ..boot
    };
    let nak = Reply {
        message_type: Some(MessageType::Nak),
        server_id: server,
        message: Some(&name),
        ..Reply::default()
    };
    for reply in [offer, nak] {
        let (bytes, left_out) = reply.encode(&request, 1500);
        check_relay_info(&request, &bytes);
        check_size(&request, &bytes, 1500);
        let long_id = request.client_id().is_some_and(|id| id.len() > 255);
        let essential = [
            code::MESSAGE_TYPE,
            code::SERVER_ID,
            code::LEASE_TIME,
            code::RENEWAL_TIME,
            code::REBINDING_TIME,
            if long_id { code::MESSAGE_TYPE } else { code::CLIENT_ID },
        ];
        for option in essential {
            assert!(!left_out.contains(&option), "an answer without option {option}");
        }
        assert_eq!(bytes[HEADER_BYTES..][..2], [code::MESSAGE_TYPE, 1], "option 53 is not first");
    }
}

/// Options that a relayed message has besides its type.
const SPOKEN: [u8; 5] = [
    code::PARAMETER_REQUEST_LIST,
    code::MAX_MESSAGE_SIZE,
    code::CLIENT_ID,
    code::CLIENT_UUID,
    RELAY_INFO,
];

/// A relay's DISCOVER with an option 82 of any length, and with other options.
fn relayed_message(dice: &mut Dice<'_>) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes[24..28].copy_from_slice(&[10, 0, 0, 254]);
    bytes[28..34].copy_from_slice(&[0x52, 0x54, 0, 0xaa, 0, 1]);
    bytes[236..].copy_from_slice(&MAGIC_COOKIE);
    bytes.extend([code::MESSAGE_TYPE, 1, 1]);
    for _ in 0..dice.byte() % 4 {
        push_option(&mut bytes, dice.pick(&SPOKEN), dice.take(255));
    }
    for _ in 0..dice.byte() % 4 {
        push_option(&mut bytes, RELAY_INFO, dice.take(255));
    }
    bytes.push(END);
    bytes
}

/// Appends one option of at most 255 bytes.
pub(super) fn push_option(bytes: &mut Vec<u8>, code: u8, data: &[u8]) {
    bytes.extend([code, data.len() as u8]);
    bytes.extend_from_slice(data);
}

/// A subnet with something to say about every option.
fn full_subnet() -> &'static Subnet {
    const TEXT: &str = "{cidr: 10.0.0.0/24, gateway: 10.0.0.254, mtu: 9000, dns: [10.0.0.53, \
        10.0.0.54], domains: [example.net., lab.example.net], ntp: [10.0.0.123], \
        dhcp-options: {150: 10.0.0.66, 17: /a/root/path}}";
    static SUBNET: OnceLock<Subnet> = OnceLock::new();
    SUBNET.get_or_init(|| site_file::parse_entry(TEXT, "subnet").expect("a subnet"))
}

/// Checks that an answer ends with the question's option 82, byte for byte, and that it
/// has none if the question had none (RFC 3046 section 2.2).
pub(super) fn check_relay_info(question: &Packet<'_>, answer: &[u8]) {
    let mut options = Vec::new();
    let mut rest = &answer[HEADER_BYTES..];
    while let [code, after @ ..] = rest
        && *code != END
    {
        let [length, after @ ..] = after else { panic!("option {code} has no length") };
        let (data, after) = after.split_at(usize::from(*length));
        options.push((*code, data));
        rest = after;
    }
    assert!(rest.first() == Some(&END), "an answer without end");
    assert!(rest[1..].iter().all(|byte| *byte == 0), "something stands behind the end");
    let first = options.iter().position(|(code, _)| *code == RELAY_INFO);
    let last = options.split_off(first.unwrap_or(options.len()));
    assert!(last.iter().all(|(code, _)| *code == RELAY_INFO), "option 82 is not the last");
    let echoed: Vec<u8> = last.iter().flat_map(|(_, data)| data.iter().copied()).collect();
    let echoed = first.map(|_| echoed.as_slice());
    assert_eq!(echoed, question.option(RELAY_INFO), "option 82 comes back otherwise");
}

/// Checks that an answer is as long as every BOOTP client needs it, and no longer than its
/// client takes (option 57) or the link carries. What a relay added is the relay's to
/// take out again: it comes on top where there is no other way.
pub(super) fn check_size(request: &Packet<'_>, answer: &[u8], mtu: usize) {
    let asked = request.max_message_bytes().map_or(0, usize::from);
    let message = asked.clamp(EVERY_CLIENT_TAKES, mtu.max(EVERY_CLIENT_TAKES));
    let relay_info = request.relay_info().map_or(0, |info| encoded_length(info.bytes.len()));
    let most = message - LOWER_HEADER_BYTES + relay_info;
    assert!((MIN_BYTES..=most).contains(&answer.len()), "{} bytes of {most}", answer.len());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dhcp::test_packets::message;

    proptest! {
        #[test]
        fn any_options_are_read_and_written_again(
            header in proptest::collection::vec(any::<u8>(), 236),
            options in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut bytes = message(1, &[]);
            bytes[1..236].copy_from_slice(&header[1..]);
            bytes.truncate(240);
            bytes.extend(options);
            decode(&bytes);
        }

        #[test]
        fn a_relay_hears_its_own_words_back(bytes in proptest::collection::vec(any::<u8>(), 0..900)) {
            relay(&bytes);
        }
    }
}
