//! The messages of a simulated PXE client behind a relay agent. Pure.

use std::net::Ipv4Addr;

/// DHCPDISCOVER, DHCPOFFER, DHCPREQUEST, DHCPACK and DHCPNAK (RFC 2132 section 9.6).
pub(crate) const DISCOVER: u8 = 1;
/// See [`DISCOVER`].
pub(crate) const OFFER: u8 = 2;
/// See [`DISCOVER`].
pub(crate) const REQUEST: u8 = 3;
/// See [`DISCOVER`].
pub(crate) const ACK: u8 = 5;
/// See [`DISCOVER`].
pub(crate) const NAK: u8 = 6;

const COOKIE: [u8; 4] = [99, 130, 83, 99];
const OPTIONS: usize = 240;
/// What a UEFI firmware's PXE client asks for.
const REQUESTED: [u8; 20] =
    [1, 3, 6, 12, 15, 17, 28, 43, 54, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134];

/// The MAC of a client: locally administered, scattered, and never the same for two.
///
/// Scattered, because dnsmasq picks addresses by a hash that sequential MACs defeat.
pub(crate) fn mac(client: u32) -> [u8; 6] {
    // Multiplying by an odd number permutes the 32 bits.
    let [a, b, c, d] = (client ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b1).to_be_bytes();
    [0x52, 0x54, a, b, c, d]
}

/// The MAC of a client as a site file has it.
pub(crate) fn mac_text(client: u32) -> String {
    mac(client).map(|byte| format!("{byte:02x}")).join(":")
}

/// What one message is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// Transaction id.
    pub xid: u32,
    /// Which client.
    pub client: u32,
    /// The relay agent's address (giaddr).
    pub relay: Ipv4Addr,
    /// Whether the relay adds its circuit id (option 82).
    pub circuit: bool,
}

impl Ask {
    /// The client's DHCPDISCOVER.
    pub(crate) fn discover(&self, packet: &mut Vec<u8>) {
        self.write(packet, DISCOVER, None);
    }

    /// The client's DHCPREQUEST for what `server` offered.
    pub(crate) fn request(&self, packet: &mut Vec<u8>, address: Ipv4Addr, server: Ipv4Addr) {
        self.write(packet, REQUEST, Some((address, server)));
    }

    fn write(&self, packet: &mut Vec<u8>, kind: u8, chosen: Option<(Ipv4Addr, Ipv4Addr)>) {
        packet.clear();
        packet.resize(OPTIONS, 0);
        packet[..4].copy_from_slice(&[1, 1, 6, 1]);
        packet[4..8].copy_from_slice(&self.xid.to_be_bytes());
        packet[24..28].copy_from_slice(&self.relay.octets());
        packet[28..34].copy_from_slice(&mac(self.client));
        packet[236..240].copy_from_slice(&COOKIE);
        option(packet, 53, &[kind]);
        if let Some((address, server)) = chosen {
            option(packet, 50, &address.octets());
            option(packet, 54, &server.octets());
        }
        option(packet, 57, &1472_u16.to_be_bytes());
        option(packet, 55, &REQUESTED);
        let mut uuid = [0; 17];
        uuid[11..17].copy_from_slice(&mac(self.client));
        option(packet, 97, &uuid);
        option(packet, 94, &[1, 3, 16]);
        option(packet, 93, &[0, 7]);
        option(packet, 60, b"PXEClient:Arch:00007:UNDI:003016");
        if self.circuit {
            let [.., rack, port] = mac(self.client);
            option(packet, 82, &[1, 4, b'e', b't', rack, port, 2, 2, b'r', b'1']);
        }
        packet.push(255);
        packet.resize(packet.len().max(300), 0);
    }
}

fn option(packet: &mut Vec<u8>, code: u8, value: &[u8]) {
    packet.extend([code, value.len() as u8]);
    packet.extend(value);
}

/// The answer to a message of [`Ask`]'s without looking anything up: an address made of the MAC,
/// for an hour. None if it is something else.
pub(crate) fn turned_round(packet: &[u8], server: Ipv4Addr) -> Option<Vec<u8>> {
    let kind = match packet.get(OPTIONS..OPTIONS + 3)? {
        [53, 1, DISCOVER] => OFFER,
        [53, 1, REQUEST] => ACK,
        _ => return None,
    };
    let mut reply = packet[..OPTIONS].to_vec();
    reply[0] = 2;
    reply.copy_within(30..34, 16);
    option(&mut reply, 53, &[kind]);
    option(&mut reply, 54, &server.octets());
    option(&mut reply, 51, &3600_u32.to_be_bytes());
    reply.push(255);
    reply.resize(reply.len().max(300), 0);
    Some(reply)
}

/// What a generator needs of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Transaction id.
    pub xid: u32,
    /// The message type.
    pub kind: u8,
    /// The address that is offered or given (yiaddr).
    pub your_address: Ipv4Addr,
    /// The server's identifier (option 54).
    pub server: Ipv4Addr,
    /// The lease time in seconds (option 51).
    pub lease_seconds: u32,
    /// The hardware address it is for.
    pub mac: [u8; 6],
    /// Whether option 82 came back.
    pub circuit: bool,
}

/// Reads a reply; an error says what is wrong with it.
pub(crate) fn parse(packet: &[u8]) -> Result<Reply, String> {
    // Kea does not pad to the 300 bytes of RFC 951.
    if packet.len() <= OPTIONS {
        return Err(format!("a reply of {} bytes has no options", packet.len()));
    }
    if packet[0] != 2 || packet[236..240] != COOKIE {
        return Err("a reply without BOOTREPLY or cookie".to_owned());
    }
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| packet[at + i]));
    let mut reply = Reply {
        xid: word(4),
        kind: 0,
        your_address: word(16).into(),
        server: Ipv4Addr::UNSPECIFIED,
        lease_seconds: 0,
        mac: [0, 1, 2, 3, 4, 5].map(|i| packet[28 + i]),
        circuit: false,
    };
    let mut rest = &packet[OPTIONS..];
    loop {
        match rest {
            [255, ..] => return Ok(reply),
            [0, tail @ ..] => rest = tail,
            [code, length, tail @ ..] if tail.len() >= usize::from(*length) => {
                let (value, tail) = tail.split_at(usize::from(*length));
                note(&mut reply, *code, value);
                rest = tail;
            }
            _ => return Err("a reply whose options do not end".to_owned()),
        }
    }
}

fn note(reply: &mut Reply, code: u8, value: &[u8]) {
    let word = || value.try_into().map(u32::from_be_bytes).unwrap_or_default();
    match code {
        51 => reply.lease_seconds = word(),
        53 => reply.kind = value.first().copied().unwrap_or_default(),
        54 => reply.server = word().into(),
        82 => reply.circuit = true,
        _ => {}
    }
}
