//! Writes a server's packet: explicit order, option 82 last and as it came, bounded size. Pure.

use dhcproto::v4::MessageType;

use super::{BOOT_FILE, HEADER_BYTES, SERVER_NAME};
use crate::options::code;

/// The shortest packet that every BOOTP client takes (RFC 951 section 3).
const MIN_BYTES: usize = 300;
/// What no answer may lack besides its type: the server, the lease times and the client
/// identifier (RFC 2131 table 3, RFC 6842).
const ESSENTIAL: [u8; 5] =
    [code::SERVER_ID, code::LEASE_TIME, code::RENEWAL_TIME, code::REBINDING_TIME, code::CLIENT_ID];

/// Appends an option, in several pieces where its data is long.
pub(crate) fn write_option(options: &mut Vec<u8>, code: u8, data: &[u8]) {
    for (head, data) in pieces(code, data) {
        options.extend(head);
        options.extend_from_slice(data);
    }
}

/// An option in pieces of at most 255 bytes, each with code and length before it (RFC 3396).
fn pieces(code: u8, data: &[u8]) -> impl Iterator<Item = ([u8; 2], &[u8])> + Clone {
    let empty = data.is_empty().then_some(data);
    let all = data.chunks(255).chain(empty);
    all.map(move |piece| ([code, piece.len() as u8], piece))
}

/// The options that [`write_option`] wrote, each with all its pieces: code, length, data.
pub(crate) fn written_options(mut options: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let code = options.first()?;
        let mut end = 0;
        while let [next, length, ..] = &options[end..]
            && next == code
        {
            end = options.len().min(end + 2 + usize::from(*length));
        }
        let option;
        (option, options) = options.split_at(end);
        (!option.is_empty()).then_some(option)
    })
}

/// The data of an option that [`write_option`] wrote, as far as one piece holds it.
pub(crate) fn written_data(options: &[u8], code: u8) -> Option<&[u8]> {
    let option = written_options(options).find(|option| option[0] == code)?;
    option.get(2..2 + usize::from(option[1]))
}

/// Removes an option that [`write_option`] wrote.
pub(crate) fn remove_option(options: &mut Vec<u8>, code: u8) {
    let before: usize =
        written_options(options).take_while(|option| option[0] != code).map(<[u8]>::len).sum();
    let length = written_options(&options[before..]).next().map_or(0, <[u8]>::len);
    options.drain(before..before + length);
}

/// A packet of a header, its type (none for BOOTP), and options but 53 and 82 in the order in
/// which [`write_option`] wrote them; and the codes of the options for which there was no room.
///
/// The type is written as option 53 before all others, where old ROMs look for it. `max_bytes` is
/// what the client takes without IP and UDP headers. `may_overload` says whether options that do
/// not fit may go into `file` and `sname`, if the header has no boot file.
pub(crate) fn encode(
    header: &[u8; HEADER_BYTES],
    message_type: Option<MessageType>,
    options: &[u8],
    relay_info: Option<&[u8]>,
    max_bytes: usize,
    may_overload: bool,
) -> (Vec<u8>, Vec<u8>) {
    // Always last, always there: option 82 as the relay sent it, and End.
    let tail = relay_info.into_iter().flat_map(|data| pieces(code::RELAY_INFO, data));
    let tail_bytes = 1 + tail.clone().map(|(head, data)| head.len() + data.len()).sum::<usize>();
    let message_type = message_type.map(|kind| [code::MESSAGE_TYPE, 1, kind.into()]);
    let type_bytes = message_type.map_or(0, |option| option.len());
    let essential = written_options(options).filter(|option| ESSENTIAL.contains(&option[0]));
    let essential: usize = essential.map(<[u8]>::len).sum();
    let room = room(max_bytes, tail_bytes, type_bytes + essential).saturating_sub(type_bytes);
    let length = HEADER_BYTES + type_bytes + options.len() + tail_bytes;
    let mut bytes = Vec::with_capacity(length.max(MIN_BYTES));
    bytes.extend_from_slice(header);
    bytes.extend(message_type.into_iter().flatten());
    let mut left_out = Vec::new();
    if options.len() <= room {
        bytes.extend_from_slice(options);
    } else {
        // Option 52 itself needs three bytes of the option field.
        let overload = may_overload && header[BOOT_FILE.start] == 0 && essential + 3 <= room;
        left_out = write_what_fits(&mut bytes, options, room, overload);
    }
    tail.for_each(|(head, data)| {
        bytes.extend(head);
        bytes.extend_from_slice(data);
    });
    bytes.push(code::END);
    if bytes.len() < MIN_BYTES {
        bytes.resize(MIN_BYTES, 0);
    }
    (bytes, left_out)
}

/// Writes as many options as there is room for, in other fields too where that is
/// allowed; gives the codes of the rest.
fn write_what_fits(bytes: &mut Vec<u8>, options: &[u8], room: usize, overload: bool) -> Vec<u8> {
    let mut fields = Fields::new(if overload { room - 3 } else { room }, overload);
    let left_out = written_options(options)
        .filter(|option| !fields.place(option))
        .map(|option| option[0])
        .collect();
    bytes.extend_from_slice(&fields.options);
    if let Some(flag) = fields.overload_flag() {
        bytes.extend([code::OVERLOAD, 1, flag]);
    }
    fields.write_into(bytes);
    left_out
}

/// How many bytes there are for options before a tail.
fn room(max_bytes: usize, tail_bytes: usize, essential_bytes: usize) -> usize {
    // A relay may say so much that nothing else fits. It takes its words out again
    // before the client sees the packet, so the client's limit is not theirs.
    let clients_room = max_bytes.saturating_sub(HEADER_BYTES + 1);
    let room = max_bytes.saturating_sub(HEADER_BYTES + tail_bytes);
    room.max(clients_room.min(essential_bytes))
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
