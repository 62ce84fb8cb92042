//! Messages of every kind, made of bytes.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::SERVER;
use crate::dhcp::exercise::push_option;
use crate::dhcp::link::Arrival;
use crate::dhcp::reply::{BOOT_SERVER_PORT, CLIENT_PORT, SERVER_PORT};
use crate::dhcp::wire::{HEADER_BYTES, MAGIC_COOKIE};
use crate::exercise::Dice;
use crate::options::code;

const NOBODY: [u8; 4] = [0; 4];
/// Addresses that messages speak of: owned, dynamic, the network's own, and elsewhere.
const ADDRESSES: [[u8; 4]; 18] = [
    [10, 0, 0, 100],
    [10, 0, 0, 101],
    [10, 0, 0, 102],
    [10, 0, 0, 103],
    [10, 0, 0, 104],
    [10, 0, 0, 105],
    [10, 0, 0, 12],
    [10, 0, 0, 1],
    [10, 0, 0, 254],
    [10, 0, 0, 0],
    [10, 0, 0, 255],
    [10, 1, 0, 100],
    [10, 1, 0, 9],
    [192, 168, 1, 7],
    [255; 4],
    NOBODY,
    [10, 0, 2, 100],
    [10, 0, 2, 101],
];
/// Relay agents: none, those of either subnet, and one of nowhere.
const RELAYS: [[u8; 4]; 8] = [
    NOBODY,
    NOBODY,
    NOBODY,
    NOBODY,
    [10, 1, 0, 254],
    [10, 1, 0, 254],
    [10, 0, 0, 254],
    [10, 9, 9, 9],
];
/// Sizes that a client says it takes (option 57).
const SIZES: [u16; 8] = [0, 300, 576, 590, 1024, 1500, 9000, 65_535];
/// Hardware: the NICs of hosts, strangers, and clients without an Ethernet address.
const HARDWARE: [&[u8]; 9] = [
    &[0x52, 0x54, 0, 0xaa, 0, 1],
    &[0x52, 0x54, 0, 0xaa, 0, 2],
    &[0x52, 0x54, 0, 0xaa, 0, 3],
    &[0x52, 0x54, 0, 0xbb, 0, 0],
    &[0x52, 0x54, 0, 0xbb, 0, 1],
    &[0x52, 0x54, 0, 0xbb, 0, 2],
    &[0xb8, 0x27, 0xeb, 0xbb, 0, 3],
    b"a-guid-is-no-mac",
    &[],
];
const INFINIBAND: u8 = 32;

/// A message and how it arrived.
#[derive(Clone)]
pub(super) struct SentMessage {
    pub(super) bytes: Vec<u8>,
    pub(super) arrival: Arrival,
}

/// Bytes that need not be a message.
pub(super) fn raw(dice: &mut Dice<'_>) -> SentMessage {
    let arrival = arrival(dice, NOBODY);
    let header = dice.take(255);
    let rest = dice.take(600);
    SentMessage { bytes: [header, rest].concat(), arrival }
}

/// A message that is one at first sight: nearly everything in it is the bytes' choice.
pub(super) fn message(dice: &mut Dice<'_>) -> SentMessage {
    let hardware = dice.pick(&HARDWARE);
    let client_address = if dice.byte() & 3 == 0 { dice.pick(&ADDRESSES) } else { NOBODY };
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[0] = 1;
    bytes[1] = if hardware.is_empty() { INFINIBAND } else { 1 };
    bytes[2] = hardware.len() as u8;
    bytes[7] = dice.byte();
    bytes[10] = dice.byte();
    bytes[12..16].copy_from_slice(&client_address);
    bytes[24..28].copy_from_slice(&dice.pick(&RELAYS));
    bytes[28..28 + hardware.len()].copy_from_slice(hardware);
    bytes[236..].copy_from_slice(&MAGIC_COOKIE);
    // Without a type it is BOOTP's.
    match dice.pick(&[1, 3, 3, 3, 4, 7, 8, 13, 0]) {
        0 => {}
        kind => push_option(&mut bytes, code::MESSAGE_TYPE, &[kind]),
    }
    if hardware.is_empty() {
        push_option(&mut bytes, code::CLIENT_ID, &[0xff, dice.byte() & 1]);
    }
    add_options(&mut bytes, dice);
    bytes.push(255);
    bytes.resize(bytes.len().max(300), 0);
    let arrival = arrival(dice, client_address);
    SentMessage { bytes, arrival }
}

fn add_options(bytes: &mut Vec<u8>, dice: &mut Dice<'_>) {
    let which = dice.byte();
    if which & 1 != 0 {
        push_option(bytes, code::REQUESTED_ADDRESS, &dice.pick(&ADDRESSES));
    }
    if which & 2 != 0 {
        let server = SERVER.octets();
        push_option(bytes, code::SERVER_ID, &dice.pick(&[server, server, server, [10, 0, 0, 66]]));
    }
    if which & 4 != 0 {
        push_option(bytes, code::MAX_MESSAGE_SIZE, &dice.pick(&SIZES).to_be_bytes());
    }
    if which & 8 != 0 {
        push_option(bytes, code::PARAMETER_REQUEST_LIST, dice.take(40));
    }
    if which & 16 != 0 {
        push_option(bytes, code::RELAY_INFO, dice.take(255));
    }
    if which & 32 != 0 {
        push_option(bytes, code::LEASE_TIME, &dice.number().to_be_bytes());
    }
    if which & 64 != 0 {
        add_boot_signs(bytes, dice);
    }
    if which & 128 != 0 {
        // Whatever else: also halves of options, repeated ones, and option 52.
        bytes.extend_from_slice(dice.take(255));
    }
}

/// What firmware says of itself.
fn add_boot_signs(bytes: &mut Vec<u8>, dice: &mut Dice<'_>) {
    let signs = dice.byte();
    let class: &[u8] = dice.pick(&[b"PXEClient:Arch:00007".as_slice(), b"HTTPClient:Arch:00016"]);
    push_option(bytes, code::VENDOR_CLASS, class);
    push_option(bytes, code::CLIENT_ARCH, &dice.pick(&[[0, 0], [0, 7], [0, 11], [0, 16], [9, 9]]));
    if signs & 1 != 0 {
        push_option(bytes, code::USER_CLASS, b"iPXE");
    }
    if signs & 2 != 0 {
        push_option(bytes, code::IPXE, dice.take(20));
    }
    if signs & 4 != 0 {
        push_option(bytes, code::CLIENT_UUID, dice.take(40));
    }
    if signs & 8 != 0 {
        push_option(bytes, code::VENDOR_SPECIFIC, dice.take(20));
    }
    if signs & 16 != 0 {
        push_option(bytes, code::RAPID_COMMIT, &[]);
    }
}

fn arrival(dice: &mut Dice<'_>, client_address: [u8; 4]) -> Arrival {
    let how = dice.byte();
    let source = match how & 3 {
        0 => NOBODY,
        1 => dice.pick(&ADDRESSES),
        _ => client_address,
    };
    let unicast = how & 12 == 12;
    Arrival {
        source: SocketAddrV4::new(source.into(), CLIENT_PORT),
        destination: if unicast { SERVER } else { Ipv4Addr::BROADCAST },
        local: SERVER,
        port: if how & 0xf0 == 0xf0 { BOOT_SERVER_PORT } else { SERVER_PORT },
    }
}
