//! Text as netascii puts it on the wire (RFC 764, RFC 1350 section 1). Pure.

use bytes::Bytes;

/// Gives a text with CR LF for each line end and CR NUL for a lone CR; `None`
/// if the content is binary, which this mode would corrupt.
pub fn encode(content: &[u8]) -> Option<Bytes> {
    if content.contains(&0) || std::str::from_utf8(content).is_err() {
        return None;
    }
    let mut text = Vec::with_capacity(content.len() + content.len() / 16);
    let mut bytes = content.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' => text.extend_from_slice(b"\r\n"),
            b'\r' if bytes.next_if_eq(&&b'\n').is_some() => text.extend_from_slice(b"\r\n"),
            b'\r' => text.extend_from_slice(b"\r\0"),
            other => text.push(*other),
        }
    }
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_become_cr_lf_and_a_lone_cr_gets_a_nul() {
        let table: [(&str, &str); 5] = [
            ("", ""),
            ("a\nb\n", "a\r\nb\r\n"),
            ("a\r\nb", "a\r\nb"),
            ("a\rb", "a\r\0b"),
            ("\r", "\r\0"),
        ];
        for (content, wire) in table {
            assert_eq!(encode(content.as_bytes()).as_deref(), Some(wire.as_bytes()), "{content:?}");
        }
    }

    #[test]
    fn a_binary_is_no_text() {
        assert_eq!(encode(b"\x7fELF\0"), None);
        assert_eq!(encode(b"\xff\xfe"), None);
    }
}
