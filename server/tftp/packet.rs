//! TFTP packets: bytes to values and back (RFC 1350, RFC 2347). Pure.
//!
//! Reading is as tolerant as boot ROMs need, and works on bytes: names need not
//! be UTF-8, strings at the end of a request need not be terminated.

/// The longest request that is looked at (RFC 2347 section "Packet Formats").
const MAX_REQUEST_BYTES: usize = 512;
/// The length of the head of a DATA packet.
pub const DATA_HEAD_BYTES: usize = 4;

const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OPTION_ACK: u16 = 6;

/// A packet that a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TftpPacket<'a> {
    /// RRQ: the client wants a file.
    Read(ReadRequest<'a>),
    /// WRQ: the client wants to write one.
    Write,
    /// ACK of a block, by its number on the wire.
    Ack(u16),
    /// ERROR: the client gives up.
    Error {
        /// The error code.
        code: u16,
        /// What the client says about it.
        text: &'a [u8],
    },
    /// DATA or OACK: only servers send those to readers.
    Misdirected,
}

/// A request to read a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest<'a> {
    /// The file's name as the client wrote it.
    pub name: &'a [u8],
    /// How the file's bytes are to be sent.
    pub mode: Mode,
    /// The options that this server knows.
    pub options: Requested,
}

/// How a file's bytes are sent (RFC 1350 section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As they are.
    Octet,
    /// Text, whose line ends are CR LF on the wire.
    Netascii,
    /// To a user's mailbox: obsolete.
    Mail,
}

/// The options of a request (RFC 2347 and following), as far as they are numbers.
/// Of a repeated option the first counts; unknown ones are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    /// `blksize`, in bytes (RFC 2348).
    pub block_size: Option<u64>,
    /// `windowsize`, in blocks (RFC 7440).
    pub window_size: Option<u64>,
    /// `timeout`, in seconds (RFC 2349).
    pub timeout_seconds: Option<u64>,
    /// `tsize`: the client wants to know the file's length (RFC 2349).
    pub transfer_size: Option<u64>,
    /// `rollover`: the number of the block after 65535, 0 or 1 (tftp-hpa).
    pub rollover: Option<u64>,
}

/// Why bytes are no packet of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not even an operation code and what must follow it.
    #[error("the packet is too short")]
    Short,
    /// An operation that TFTP does not have.
    #[error("operation {0} is unknown")]
    Operation(u16),
    /// A request without a file name.
    #[error("the request has no file name")]
    NoName,
    /// A request without a transfer mode.
    #[error("the request has no transfer mode")]
    NoMode,
    /// A transfer mode that TFTP does not have.
    #[error("the transfer mode is unknown, octet is served")]
    Mode,
}

/// Reads a packet that a client sent.
pub fn parse(bytes: &[u8]) -> Result<TftpPacket<'_>, Malformed> {
    let (operation, body) = split_u16(bytes).ok_or(Malformed::Short)?;
    match operation {
        READ => parse_read(&body[..body.len().min(MAX_REQUEST_BYTES - 2)]).map(TftpPacket::Read),
        WRITE => Ok(TftpPacket::Write),
        ACK => split_u16(body).map(|(block, _)| TftpPacket::Ack(block)).ok_or(Malformed::Short),
        ERROR => {
            // Some clients leave the text out, some even the code.
            let (code, text) = split_u16(body).unwrap_or((0, &[]));
            let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
            Ok(TftpPacket::Error { code, text: &text[..end] })
        }
        DATA | OPTION_ACK => Ok(TftpPacket::Misdirected),
        other => Err(Malformed::Operation(other)),
    }
}

/// Whether a packet to a port that is shared with running transfers starts a new one.
pub fn is_request(bytes: &[u8]) -> bool {
    split_u16(bytes).is_some_and(|(operation, _)| matches!(operation, READ | WRITE))
}

fn parse_read(body: &[u8]) -> Result<ReadRequest<'_>, Malformed> {
    let mut strings = Strings { rest: body };
    let (name, terminated) = strings.next().ok_or(Malformed::NoName)?;
    if name.is_empty() {
        return Err(Malformed::NoName);
    }
    let (mode, _) = strings.next().filter(|_| terminated).ok_or(Malformed::NoMode)?;
    let mode = parse_mode(mode)?;
    Ok(ReadRequest { name, mode, options: parse_options(strings) })
}

fn parse_mode(text: &[u8]) -> Result<Mode, Malformed> {
    let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("octet") => Ok(Mode::Octet),
        () if is("netascii") => Ok(Mode::Netascii),
        () if is("mail") => Ok(Mode::Mail),
        () if text.is_empty() => Err(Malformed::NoMode),
        () => Err(Malformed::Mode),
    }
}

/// Reads pairs of strings until they end. An option that is cut off is left out:
/// its value may be cut off too, and every client can do without.
fn parse_options(mut strings: Strings<'_>) -> Requested {
    let mut seen: Vec<(&[u8], Option<u64>)> = Vec::new();
    while let (Some((name, true)), Some((value, true))) = (strings.next(), strings.next()) {
        seen.push((name, parse_number(value)));
    }
    let first = |wanted: &str| {
        let mut named =
            seen.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        named.next().and_then(|(_, value)| *value)
    };
    Requested {
        block_size: first("blksize"),
        window_size: first("windowsize"),
        timeout_seconds: first("timeout"),
        transfer_size: first("tsize"),
        rollover: first("rollover"),
    }
}

fn parse_number(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The NUL-terminated strings of a request, each with whether its NUL is there.
struct Strings<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Strings<'a> {
    type Item = (&'a [u8], bool);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == 0);
        let text = &self.rest[..end.unwrap_or(self.rest.len())];
        self.rest = end.map_or(&[], |end| &self.rest[end + 1..]);
        Some((text, end.is_some()))
    }
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*head), rest))
}

/// The error codes that this server sends (RFC 1350 appendix I).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// See the text.
    Undefined = 0,
    /// File not found.
    NotFound = 1,
    /// Access violation.
    Access = 2,
    /// Illegal TFTP operation.
    Illegal = 4,
    /// Unknown transfer ID.
    UnknownTransfer = 5,
}

impl ErrorCode {
    /// The word that it is counted under.
    pub fn label(self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::NotFound => "not-found",
            Self::Access => "access",
            Self::Illegal => "illegal",
            Self::UnknownTransfer => "unknown-transfer",
        }
    }
}

/// The code with which a client refuses the options of an OACK (RFC 2347).
pub const OPTIONS_REFUSED: u16 = 8;

/// The head of the DATA packet of a block, by its number on the wire.
pub fn data_head(block: u16) -> [u8; DATA_HEAD_BYTES] {
    let [high, low] = block.to_be_bytes();
    [0, DATA as u8, high, low]
}

/// An ERROR packet. The text is cut so that it fits any client's buffer.
pub fn encode_error(code: ErrorCode, text: &str) -> Vec<u8> {
    let mut packet = vec![0, ERROR as u8, 0, code as u8];
    // Longer texts, and bytes above 126, are beyond the screens and buffers of ROMs.
    let printable = |c: char| if matches!(c, ' '..='~') { c as u8 } else { b'?' };
    packet.extend(text.chars().take(200).map(printable));
    packet.push(0);
    packet
}

/// An OACK packet with these options, in this order (RFC 2347).
pub fn encode_option_ack(options: &[(&str, u64)]) -> Vec<u8> {
    let mut packet = vec![0, OPTION_ACK as u8];
    for (name, value) in options {
        packet.extend_from_slice(name.as_bytes());
        packet.push(0);
        packet.extend_from_slice(value.to_string().as_bytes());
        packet.push(0);
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (String, Mode, Requested) {
        match parse(bytes) {
            Ok(TftpPacket::Read(ReadRequest { name, mode, options })) => {
                (String::from_utf8_lossy(name).into_owned(), mode, options)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_uefi_request_reads_with_all_its_options() {
        let bytes = b"\0\x01boot/ipxe.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0";
        let options = Requested {
            transfer_size: Some(0),
            block_size: Some(1468),
            window_size: Some(4),
            ..Requested::default()
        };
        assert_eq!(read(bytes), ("boot/ipxe.efi".into(), Mode::Octet, options));
    }

    #[test]
    fn odd_requests_of_roms_are_understood() {
        let plain = Requested::default();
        let blksize = Requested { block_size: Some(1024), ..plain };
        let table: [(&str, &[u8], Requested); 11] = [
            ("plain", b"\0\x01f\0octet\0", plain),
            ("any case", b"\0\x01f\0OcTeT\0BLKSIZE\x001024\0", blksize),
            ("no NUL at the end", b"\0\x01f\0octet", plain),
            ("one NUL more", b"\0\x01f\0octet\0\0", plain),
            ("many NULs more", b"\0\x01f\0octet\0blksize\x001024\0\0\0\0\0\0", blksize),
            ("option without value", b"\0\x01f\0octet\0blksize\x001024\0tsize\0", blksize),
            ("value cut off", b"\0\x01f\0octet\0blksize\x001024\0windowsize\x001", blksize),
            ("repeated", b"\0\x01f\0octet\0blksize\x001024\0blksize\x00512\0", blksize),
            ("unknown", b"\0\x01f\0octet\0multicast\0\0blksize\x001024\0", blksize),
            ("no number", b"\0\x01f\0octet\0tsize\0x\0timeout\0-1\0blksize\x001024\0", blksize),
            ("empty number", b"\0\x01f\0octet\0tsize\0\0blksize\x001024\0", blksize),
        ];
        for (what, bytes, options) in table {
            assert_eq!(read(bytes), ("f".into(), Mode::Octet, options), "{what}");
        }
    }

    #[test]
    fn what_follows_the_512th_byte_is_not_looked_at() {
        let mut bytes = b"\0\x01f\0octet\0".to_vec();
        bytes.resize(512, 0);
        bytes.extend_from_slice(b"blksize\x001024\0");
        assert_eq!(read(&bytes).2, Requested::default());
    }

    #[test]
    fn a_name_is_bytes() {
        match parse(b"\0\x01\xff\xfe\0octet\0") {
            Ok(TftpPacket::Read(request)) => assert_eq!(request.name, b"\xff\xfe"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_other_packet_is_told_apart() {
        let table: [(&[u8], Result<TftpPacket, Malformed>); 17] = [
            (b"", Err(Malformed::Short)),
            (b"\0", Err(Malformed::Short)),
            (b"\0\x01", Err(Malformed::NoName)),
            (b"\0\x01\0octet\0", Err(Malformed::NoName)),
            (b"\0\x01name", Err(Malformed::NoMode)),
            (b"\0\x01name\0", Err(Malformed::NoMode)),
            (b"\0\x01name\0\0", Err(Malformed::NoMode)),
            (b"\0\x01name\0binary\0", Err(Malformed::Mode)),
            (b"\0\x02name\0octet\0", Ok(TftpPacket::Write)),
            (b"\0\x03\0\x01data", Ok(TftpPacket::Misdirected)),
            (b"\0\x04\x12\x34", Ok(TftpPacket::Ack(0x1234))),
            (b"\0\x04\x12\x34trailing", Ok(TftpPacket::Ack(0x1234))),
            (b"\0\x04\x12", Err(Malformed::Short)),
            (b"\0\x05\0\x08no\0", Ok(TftpPacket::Error { code: 8, text: b"no" })),
            (b"\0\x05\0\x08no", Ok(TftpPacket::Error { code: 8, text: b"no" })),
            (b"\0\x05", Ok(TftpPacket::Error { code: 0, text: b"" })),
            (b"\0\x07", Err(Malformed::Operation(7))),
        ];
        for (bytes, packet) in table {
            assert_eq!(parse(bytes), packet, "{bytes:?}");
        }
    }

    #[test]
    fn replies_are_written_as_the_rfcs_say() {
        assert_eq!(data_head(0x1234), [0, 3, 0x12, 0x34]);
        assert_eq!(encode_error(ErrorCode::NotFound, "no file\n"), b"\0\x05\0\x01no file?\0");
        assert_eq!(
            encode_option_ack(&[("blksize", 1468), ("tsize", 0)]),
            b"\0\x06blksize\x001468\0tsize\x000\0"
        );
        assert_eq!(encode_error(ErrorCode::Undefined, &"x".repeat(900)).len(), 205);
    }
}
