//! What every answer must be (RFC 2131 table 3, RFC 3046, RFC 6842).

use std::net::Ipv4Addr;

use dhcproto::v4::{Message, MessageType};
use dhcproto::{Decodable, Decoder};

use super::SERVER;
use super::messages::SentMessage;
use crate::dhcp::exercise::{check_relay_info, check_size};
use crate::dhcp::reply::{BOOT_SERVER_PORT, Transmit};
use crate::dhcp::wire::{BROADCAST_FLAG, Packet};
use crate::options::code;

const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
/// What an answer to BOOTP does not have.
const DHCP_ONLY: [u8; 5] = [
    code::LEASE_TIME,
    code::MESSAGE_TYPE,
    code::SERVER_ID,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
];
/// All that a NAK may have.
const IN_A_NAK: [u8; 5] =
    [code::MESSAGE_TYPE, code::SERVER_ID, code::MESSAGE, code::CLIENT_ID, code::RELAY_INFO];

/// Checks an answer to a message. Gives what it promises: an address and for how long.
pub(super) fn check(sent: &SentMessage, transmit: &Transmit) -> Option<(Ipv4Addr, u32)> {
    let bytes = &transmit.bytes;
    let request = Packet::parse(&sent.bytes).expect("only a packet is answered");
    request.check_request().expect("only a request is answered");
    let answer = Packet::parse(bytes).expect("an answer is a packet");
    check_relay_info(&request, bytes);
    check_size(&request, bytes, 1500);
    if request.message_type().is_none() {
        check_bootp(&request, &answer);
        check_destination(&request, transmit);
        return None;
    }
    check_header(&request, &answer);
    let kind =
        answer.option(code::MESSAGE_TYPE).and_then(|data| data.first().copied()).unwrap_or(0);
    let others = Message::decode(&mut Decoder::new(bytes)).expect("others read it too");
    assert_eq!(others.opts().msg_type(), Some(MessageType::from(kind)));
    assert_eq!(others.yiaddr(), answer.your_address);
    for never in [code::REQUESTED_ADDRESS, code::PARAMETER_REQUEST_LIST, code::MAX_MESSAGE_SIZE] {
        assert_eq!(answer.option(never), None, "option {never} in an answer");
    }
    // RFC 6842; for one that takes several options there may be no room.
    if request.client_id().is_none_or(|id| id.len() <= 255) {
        assert_eq!(answer.option(code::CLIENT_ID), request.client_id(), "the client identifier");
    }
    check_destination(&request, transmit);
    if sent.arrival.port == BOOT_SERVER_PORT {
        assert_eq!((kind, answer.your_address), (5, NOBODY), "boot data and no address");
        return None;
    }
    check_kind(&request, &answer, kind)
}

/// An answer to a BOOTP client says nothing of DHCP, and is for ever (RFC 1534).
fn check_bootp(request: &Packet<'_>, answer: &Packet<'_>) {
    assert_eq!((answer.op, answer.hardware), (2, request.hardware));
    assert_eq!(answer.transaction_id, request.transaction_id);
    assert!(!answer.your_address.is_unspecified());
    for never in DHCP_ONLY {
        assert_eq!(answer.option(never), None, "option {never} in an answer by BOOTP");
    }
}

fn check_header(request: &Packet<'_>, answer: &Packet<'_>) {
    assert_eq!((answer.op, answer.hardware_type), (2, request.hardware_type));
    assert_eq!(answer.hardware, request.hardware);
    assert_eq!((answer.hops, answer.seconds), (0, 0));
    assert_eq!(answer.transaction_id, request.transaction_id);
    assert_eq!(answer.giaddr, request.giaddr);
    assert_eq!(answer.flags | BROADCAST_FLAG, request.flags | BROADCAST_FLAG);
    let server = answer.address_option(code::SERVER_ID).expect("an answer says who gives it");
    let said = request.relay_address().and_then(|_| request.relay_info()?.server_id_override);
    assert!(server == SERVER || Some(server) == said, "{server} is not this server");
}

fn check_destination(request: &Packet<'_>, transmit: &Transmit) {
    if let Some(relay) = request.relay_address().filter(|_| transmit.port != BOOT_SERVER_PORT) {
        assert!(transmit.is_routed(), "a relay's answer goes astray");
        assert_eq!(*transmit.to.ip(), relay);
    } else if transmit.mac.is_some() {
        assert!(!transmit.to.ip().is_unspecified() && transmit.mac == request.mac());
        assert!(!request.wants_broadcast());
    }
}

fn check_kind(request: &Packet<'_>, answer: &Packet<'_>, kind: u8) -> Option<(Ipv4Addr, u32)> {
    let seconds = answer
        .option(code::LEASE_TIME)
        .map(|data| u32::from_be_bytes(data.try_into().expect("a time has four bytes")));
    let asked = request.message_type().expect("not BOOTP");
    match (asked, kind) {
        (MessageType::Discover, 2) => {
            assert_eq!(answer.ciaddr, NOBODY);
            assert!(!answer.your_address.is_unspecified() && seconds.is_some());
            None
        }
        (MessageType::Discover, 5) => {
            assert_eq!(answer.ciaddr, NOBODY);
            // RFC 4039: only to who asks for it, and said in the answer.
            assert!(request.option(code::RAPID_COMMIT).is_some());
            assert!(
                answer.option(code::RAPID_COMMIT).is_some()
                    && !answer.your_address.is_unspecified()
            );
            Some((answer.your_address, seconds.expect("an ACK says for how long")))
        }
        (MessageType::Request, 5) => {
            assert_eq!(answer.ciaddr, request.ciaddr);
            assert!(!answer.your_address.is_unspecified());
            let wanted = [request.requested_address(), request.client_address()];
            assert!(wanted.contains(&Some(answer.your_address)), "not what was asked for");
            Some((answer.your_address, seconds.expect("an ACK says for how long")))
        }
        (MessageType::Request, 6) => {
            let addresses = [answer.ciaddr, answer.your_address, answer.next_server];
            assert_eq!(addresses, [NOBODY; 3], "a NAK with an address");
            assert!(answer.boot_file.iter().all(|byte| *byte == 0));
            let codes: Vec<u8> = answer.options().map(|(code, _)| code).collect();
            assert!(codes.iter().all(|code| IN_A_NAK.contains(code)), "{codes:?}");
            None
        }
        (MessageType::Inform, 5) => {
            assert_eq!((answer.your_address, seconds), (NOBODY, None));
            assert!(
                answer.option(code::RENEWAL_TIME).is_none()
                    && answer.option(code::REBINDING_TIME).is_none()
            );
            None
        }
        _ => panic!("a {asked:?} is answered with type {kind}"),
    }
}
