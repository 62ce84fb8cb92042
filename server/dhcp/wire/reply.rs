//! Writes a server's packet: explicit order, option 82 last and as it came, bounded size. Pure.

use std::net::Ipv4Addr;

use dhcproto::v4::{DhcpOption, MessageType, OptionCode};
use dhcproto::{Encodable, Encoder};
use smallvec::SmallVec;

use super::{BOOT_FILE, HEADER_BYTES, MAGIC_COOKIE, SERVER_NAME};
use crate::options::code;

/// The shortest packet that every BOOTP client takes (RFC 951 section 3).
const MIN_BYTES: usize = 300;
/// What no answer may lack besides its type: the server, the lease times and the client
/// identifier (RFC 2131 table 3, RFC 6842). They come first.
const ESSENTIAL: [u8; 5] =
    [code::SERVER_ID, code::LEASE_TIME, code::RENEWAL_TIME, code::REBINDING_TIME, code::CLIENT_ID];
/// Up to this length, head included, an option needs no allocation.
const INLINE_BYTES: usize = 24;

/// Options as they stand in a packet.
pub(super) type OptionBytes = SmallVec<[u8; INLINE_BYTES]>;

/// One option ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EncodedOption {
    /// Its code.
    pub code: u8,
    /// Code, length and data; several times where the data is longer than 255 bytes.
    bytes: OptionBytes,
}

impl EncodedOption {
    /// An option of raw bytes.
    pub(crate) fn raw(code: u8, data: &[u8]) -> Self {
        let mut bytes = SmallVec::with_capacity(data.len() + 2);
        append_option(&mut bytes, code, data);
        Self { code, bytes }
    }

    /// An option of one address.
    pub(crate) fn address(code: u8, address: Ipv4Addr) -> Self {
        Self::raw(code, &address.octets())
    }

    /// An option of one 32-bit number, such as a time in seconds.
    pub(crate) fn number(code: u8, number: u32) -> Self {
        Self::raw(code, &number.to_be_bytes())
    }

    /// An option as dhcproto writes it; none where it has no encoding.
    pub(crate) fn typed(option: &DhcpOption) -> Option<Self> {
        let mut bytes = Vec::new();
        option.encode(&mut Encoder::new(&mut bytes)).ok()?;
        Some(Self { code: OptionCode::from(option).into(), bytes: bytes.into() })
    }

    /// Its data, as far as one instance of the option holds it.
    pub(crate) fn data(&self) -> &[u8] {
        let length = self.bytes.get(1).map_or(0, |length| usize::from(*length));
        self.bytes.get(2..2 + length).unwrap_or_default()
    }

    /// Whether there is nothing to write: a list without members.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() <= 2
    }
}

fn size_of<'a>(options: impl Iterator<Item = &'a EncodedOption>) -> usize {
    options.map(|option| option.bytes.len()).sum()
}

/// Appends an option, in several pieces where its data is long.
pub(super) fn append_option(bytes: &mut OptionBytes, code: u8, data: &[u8]) {
    for (head, data) in pieces(code, data) {
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(data);
    }
}

/// An option in pieces of at most 255 bytes, each with code and length before it (RFC 3396).
fn pieces(code: u8, data: &[u8]) -> impl Iterator<Item = ([u8; 2], &[u8])> {
    let empty = data.is_empty().then_some(data);
    let all = data.chunks(255).chain(empty);
    all.map(move |piece| ([code, piece.len() as u8], piece))
}

/// A server's packet before it is bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply<'a> {
    /// Written as option 53 before all others, where old ROMs look for it; none for BOOTP.
    pub message_type: Option<MessageType>,
    /// The client's kind of hardware.
    pub hardware_type: u8,
    /// The client's hardware address, 16 bytes at most.
    pub hardware: &'a [u8],
    /// The client's transaction id.
    pub transaction_id: u32,
    /// The client's flags.
    pub flags: u16,
    /// `ciaddr`.
    pub client_address: Ipv4Addr,
    /// `yiaddr`.
    pub your_address: Ipv4Addr,
    /// `siaddr`.
    pub next_server: Ipv4Addr,
    /// `giaddr`.
    pub relay_address: Ipv4Addr,
    /// The boot file field; left empty where it is longer than 127 bytes.
    pub boot_file: String,
    /// The options but 53 and 82, in the order in which they are written.
    pub options: Vec<EncodedOption>,
    /// Option 82 as the relay sent it.
    pub relay_info: Option<&'a [u8]>,
    /// The longest packet that the client takes, without IP and UDP headers.
    pub max_bytes: usize,
    /// Whether options that do not fit may go into `file` and `sname`. Not for
    /// PXE firmware, which reads `file` as a name whatever option 52 says.
    pub may_overload: bool,
}

impl Default for Reply<'_> {
    /// A reply that says nothing yet.
    fn default() -> Self {
        Self {
            message_type: None,
            hardware_type: 0,
            hardware: &[],
            transaction_id: 0,
            flags: 0,
            client_address: Ipv4Addr::UNSPECIFIED,
            your_address: Ipv4Addr::UNSPECIFIED,
            next_server: Ipv4Addr::UNSPECIFIED,
            relay_address: Ipv4Addr::UNSPECIFIED,
            boot_file: String::new(),
            options: Vec::new(),
            relay_info: None,
            max_bytes: 0,
            may_overload: false,
        }
    }
}

impl Reply<'_> {
    /// The packet's bytes, and the codes of the options for which there was no room.
    pub(crate) fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let tail_bytes = self.tail_bytes();
        let message_type =
            self.message_type.map(|kind| EncodedOption::raw(code::MESSAGE_TYPE, &[kind.into()]));
        let type_bytes = size_of(message_type.iter());
        let essential = self.options.iter().filter(|option| ESSENTIAL.contains(&option.code));
        let essential = size_of(essential);
        let room = self.room(tail_bytes, type_bytes + essential).saturating_sub(type_bytes);
        let size = size_of(self.options.iter());
        let length = HEADER_BYTES + type_bytes + size + tail_bytes;
        let mut bytes = Vec::with_capacity(length.max(MIN_BYTES));
        self.write_header(&mut bytes);
        message_type.iter().for_each(|option| bytes.extend_from_slice(&option.bytes));
        let left_out = if size <= room {
            self.options.iter().for_each(|option| bytes.extend_from_slice(&option.bytes));
            Vec::new()
        } else {
            self.write_what_fits(&mut bytes, room, essential)
        };
        self.write_tail(&mut bytes);
        if bytes.len() < MIN_BYTES {
            bytes.resize(MIN_BYTES, 0);
        }
        (bytes, left_out)
    }

    /// Writes as many options as there is room for, in other fields too where that is
    /// allowed; gives the codes of the rest.
    fn write_what_fits(&self, bytes: &mut Vec<u8>, room: usize, essential: usize) -> Vec<u8> {
        // Option 52 itself needs three bytes of the option field.
        let overload = self.may_overload && self.boot_file.is_empty() && essential + 3 <= room;
        let mut fields = Fields::new(if overload { room - 3 } else { room }, overload);
        let left_out = self
            .options
            .iter()
            .filter(|option| !fields.place(&option.bytes))
            .map(|option| option.code)
            .collect();
        bytes.extend_from_slice(&fields.options);
        if let Some(flag) = fields.overload_flag() {
            bytes.extend([code::OVERLOAD, 1, flag]);
        }
        fields.write_into(bytes);
        left_out
    }

    /// How many bytes there are for options before a tail.
    fn room(&self, tail_bytes: usize, essential_bytes: usize) -> usize {
        // A relay may say so much that nothing else fits. It takes its words out again
        // before the client sees the packet, so the client's limit is not theirs.
        let clients_room = self.max_bytes.saturating_sub(HEADER_BYTES + 1);
        let room = self.max_bytes.saturating_sub(HEADER_BYTES + tail_bytes);
        room.max(clients_room.min(essential_bytes))
    }

    /// Option 82 in pieces, if a relay sent it.
    fn relay_info(&self) -> impl Iterator<Item = ([u8; 2], &[u8])> {
        self.relay_info.into_iter().flat_map(|data| pieces(code::RELAY_INFO, data))
    }

    /// How long option 82 and End are.
    fn tail_bytes(&self) -> usize {
        self.relay_info().map(|(head, data)| head.len() + data.len()).sum::<usize>() + 1
    }

    /// Writes option 82 and End: always last, always there.
    fn write_tail(&self, bytes: &mut Vec<u8>) {
        for (head, data) in self.relay_info() {
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(data);
        }
        bytes.push(code::END);
    }

    fn write_header(&self, bytes: &mut Vec<u8>) {
        let hardware = &self.hardware[..self.hardware.len().min(16)];
        bytes.resize(HEADER_BYTES, 0);
        bytes[0] = 2;
        bytes[1] = self.hardware_type;
        bytes[2] = hardware.len() as u8;
        bytes[4..8].copy_from_slice(&self.transaction_id.to_be_bytes());
        bytes[10..12].copy_from_slice(&self.flags.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.client_address.octets());
        bytes[16..20].copy_from_slice(&self.your_address.octets());
        bytes[20..24].copy_from_slice(&self.next_server.octets());
        bytes[24..28].copy_from_slice(&self.relay_address.octets());
        bytes[28..28 + hardware.len()].copy_from_slice(hardware);
        if self.boot_file.len() < BOOT_FILE.len() {
            let end = BOOT_FILE.start + self.boot_file.len();
            bytes[BOOT_FILE.start..end].copy_from_slice(self.boot_file.as_bytes());
        }
        bytes[236..].copy_from_slice(&MAGIC_COOKIE);
    }
}

/// The fields that options go into while a packet is written.
struct Fields {
    options: Vec<u8>,
    boot_file: Vec<u8>,
    server_name: Vec<u8>,
    room: usize,
    overload: bool,
}

impl Fields {
    fn new(room: usize, overload: bool) -> Self {
        let (options, boot_file, server_name) = (Vec::new(), Vec::new(), Vec::new());
        Self { options, boot_file, server_name, room, overload }
    }

    /// Puts an option into the first field with room for all of it.
    fn place(&mut self, option: &[u8]) -> bool {
        // The last byte of an overloaded field is for End.
        let fields = [
            (&mut self.options, self.room, true),
            (&mut self.boot_file, BOOT_FILE.len() - 1, self.overload),
            (&mut self.server_name, SERVER_NAME.len() - 1, self.overload),
        ];
        for (field, room, usable) in fields {
            if usable && field.len() + option.len() <= room {
                field.extend_from_slice(option);
                return true;
            }
        }
        false
    }

    fn overload_flag(&self) -> Option<u8> {
        let flag =
            u8::from(!self.boot_file.is_empty()) | u8::from(!self.server_name.is_empty()) << 1;
        Some(flag).filter(|flag| *flag != 0)
    }

    fn write_into(&self, bytes: &mut [u8]) {
        for (field, range) in [(&self.boot_file, BOOT_FILE), (&self.server_name, SERVER_NAME)] {
            if !field.is_empty() {
                bytes[range.start..range.start + field.len()].copy_from_slice(field);
                bytes[range.start + field.len()] = code::END;
            }
        }
    }
}
