//! DHCPv4 on the wire: a bounds-checked header and option walk (RFC 2131, 2132, 3396). Pure.
//!
//! dhcproto decodes and encodes single options; the whole message is ours,
//! because its message decoder drops everything after one malformed option and
//! its encoder reorders option 82, which a relay wants back byte for byte.

mod encode;
mod options;

use std::borrow::Cow;
use std::net::Ipv4Addr;

pub(crate) use encode::{encode, remove_option, write_option, written_data, written_options};
#[cfg(any(test, fuzzing))]
pub(crate) use options::decode_option;

/// Bytes before the vendor area (RFC 951).
const BOOTP_HEADER_BYTES: usize = 236;
/// Bytes before the options: the BOOTP header and the magic cookie.
pub(crate) const HEADER_BYTES: usize = 240;
/// What marks the options as DHCP's (RFC 2131 section 3).
pub(crate) const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The flag by which a client asks for a broadcast answer (RFC 2131 section 2).
pub(crate) const BROADCAST_FLAG: u16 = 0x8000;

const SERVER_NAME: std::ops::Range<usize> = 44..108;
/// The boot file field of a header (`file`).
pub(crate) const BOOT_FILE: std::ops::Range<usize> = 108..236;

/// One packet, borrowed from the buffer that it was received in.
#[derive(Clone, Debug)]
pub(crate) struct Packet<'a> {
    /// 1 from clients and relays, 2 from servers.
    pub op: u8,
    /// The kind of hardware, 1 for Ethernet (`htype`).
    pub hardware_type: u8,
    /// How many relays it passed.
    #[cfg_attr(not(any(test, fuzzing)), expect(dead_code, reason = "compared with dhcproto's"))]
    pub hops: u8,
    /// What ties an answer to its question (`xid`).
    pub transaction_id: u32,
    /// How long the client has been trying, in seconds (`secs`).
    pub seconds: u16,
    /// Bit 15 asks for broadcast answers.
    pub flags: u16,
    /// The address that the client uses already.
    pub ciaddr: Ipv4Addr,
    /// The address that the server gives (`yiaddr`).
    pub your_address: Ipv4Addr,
    /// Where the boot file is (`siaddr`).
    #[cfg_attr(not(any(test, fuzzing)), expect(dead_code, reason = "compared with dhcproto's"))]
    pub next_server: Ipv4Addr,
    /// The relay agent that passed it on.
    pub giaddr: Ipv4Addr,
    /// The hardware address, as long as the packet says (`chaddr`, `hlen`).
    pub hardware: &'a [u8],
    /// The boot file field, all 128 bytes.
    pub boot_file: &'a [u8],
    /// The options of all three fields in the order in which each came first, repeated ones joined.
    options: Vec<(u8, Cow<'a, [u8]>)>,
    /// By code, one more than the place in `options`; 0 where the packet has none.
    /// At most 254 codes exist, so a byte holds it.
    places: [u8; 256],
}

/// Why bytes are no DHCP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum Malformed {
    /// Shorter than the header.
    #[error("packet of {0} bytes is shorter than the 236 of a BOOTP header")]
    TooShort(usize),
    /// Of a server, without options.
    #[error("packet has no DHCP magic cookie")]
    NoCookie,
    /// A hardware address that the header has no room for.
    #[error("hardware address length {0} is more than 16")]
    HardwareLength(u8),
}

impl<'a> Packet<'a> {
    /// Reads a packet of either direction. Options that are cut short end the
    /// option list; what came before them counts.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, vendor_area) =
            bytes.split_at_checked(BOOTP_HEADER_BYTES).ok_or(Malformed::TooShort(bytes.len()))?;
        // The vendor area of a BOOTP client may be missing, empty, or a vendor's (RFC 951).
        let rest = match vendor_area.strip_prefix(&MAGIC_COOKIE) {
            Some(options) => options,
            None if header[0] == 1 => &[],
            None => return Err(Malformed::NoCookie),
        };
        let hardware_length = header[2];
        if hardware_length > 16 {
            return Err(Malformed::HardwareLength(hardware_length));
        }
        let mut packet = Self {
            op: header[0],
            hardware_type: header[1],
            hops: header[3],
            transaction_id: u32::from_be_bytes(four(header, 4)),
            seconds: u16::from_be_bytes([header[8], header[9]]),
            flags: u16::from_be_bytes([header[10], header[11]]),
            ciaddr: four(header, 12).into(),
            your_address: four(header, 16).into(),
            next_server: four(header, 20).into(),
            giaddr: four(header, 24).into(),
            hardware: &header[28..28 + usize::from(hardware_length)],
            boot_file: &header[BOOT_FILE],
            options: Vec::with_capacity(24),
            places: [0; 256],
        };
        packet.read_options(rest, &header[SERVER_NAME]);
        Ok(packet)
    }
}

fn four(bytes: &[u8], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

#[cfg(test)]
mod tests;
