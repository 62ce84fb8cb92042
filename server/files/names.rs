//! Maps the file name in a client's request to a relative path that cannot leave its root. Pure.

/// Longer names are refused: Linux allows 4096 bytes for the whole path, roots included.
const MAX_NAME_BYTES: usize = 1024;
/// NAME_MAX of Linux file systems.
const MAX_COMPONENT_BYTES: usize = 255;
/// The most characters of a client's text in a message.
const MAX_SHOWN_CHARACTERS: usize = 120;

/// The path for a requested name: components joined by single slashes, none of them empty, `.`
/// or `..`. The error is the reason, for the end of "NAME is not allowed: ...".
///
/// Accepts what firmware sends: leading and doubled slashes, `./`, backslashes (boot files
/// written for Windows servers), and garbage after the name: some ROMs append 0xFF or control
/// bytes.
pub fn relative_path(raw: &[u8]) -> Result<String, &'static str> {
    if raw.contains(&0) {
        return Err("it contains a NUL byte");
    }
    let text = std::str::from_utf8(without_junk(raw)).map_err(|_| "it is not UTF-8")?;
    if text.len() > MAX_NAME_BYTES {
        return Err("it is longer than 1024 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("it contains a control character");
    }
    if text.contains('?') {
        return Err("it contains a query");
    }
    let mut path = String::with_capacity(text.len());
    for component in text.split(['/', '\\']) {
        if matches!(component, "" | ".") {
            continue;
        }
        check_component(component, path.is_empty())?;
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(component);
    }
    if path.is_empty() { Err("it is empty") } else { Ok(path) }
}

/// The requested name for messages: printable, and at most one line.
pub fn shown(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let printable = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(MAX_SHOWN_CHARACTERS).map(printable).collect()
}

/// Strips garbage after the name. No UTF-8 text ends with a byte of 0xF0 or more.
fn without_junk(raw: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| *byte >= 0x20 && *byte != 0x7f && *byte < 0xf0;
    let end = raw.iter().rposition(is_text).map_or(0, |last| last + 1);
    &raw[..end]
}

fn check_component(component: &str, first: bool) -> Result<(), &'static str> {
    if component == ".." {
        return Err("it leaves the served directory");
    }
    if component.len() > MAX_COMPONENT_BYTES {
        return Err("a component is longer than 255 bytes");
    }
    let drive_letter = component.as_bytes().get(1) == Some(&b':');
    if first && drive_letter && component.as_bytes()[0].is_ascii_alphabetic() {
        return Err("it names a drive");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_firmware_writes_becomes_a_relative_path() {
        let table: &[(&[u8], &str)] = &[
            (b"undionly.kpxe", "undionly.kpxe"),
            (b"/undionly.kpxe", "undionly.kpxe"),
            (b"//boot//x64/./ipxe.efi", "boot/x64/ipxe.efi"),
            (b"./ipxe.efi", "ipxe.efi"),
            (b"\\boot\\x64\\wdsnbp.com", "boot/x64/wdsnbp.com"),
            (b"boot\\x64/mixed.efi", "boot/x64/mixed.efi"),
            (b"ipxe.efi\xff", "ipxe.efi"),
            (b"ipxe.efi\xff\xff\xfe", "ipxe.efi"),
            (b"ipxe.efi\r\n", "ipxe.efi"),
            (b"ipxe.efi\x7f\x01", "ipxe.efi"),
            (b"boot/", "boot"),
            ("kernel-\u{e9}".as_bytes(), "kernel-\u{e9}"),
            (b"52:54:00:aa:00:01.ipxe", "52:54:00:aa:00:01.ipxe"),
            (b"...", "..."),
            (b"a..b/c", "a..b/c"),
            (b"with space", "with space"),
        ];
        for &(raw, path) in table {
            assert_eq!(relative_path(raw).as_deref(), Ok(path), "{:?}", shown(raw));
        }
    }

    #[test]
    fn what_leaves_the_root_or_is_no_file_name_is_refused() {
        let long_part = vec![b'a'; 256];
        let long_name = "a/".repeat(600);
        let table: &[(&[u8], &str)] = &[
            (b"", "it is empty"),
            (b"/", "it is empty"),
            (b"\xff\xff", "it is empty"),
            (b"..", "it leaves the served directory"),
            (b"../etc/passwd", "it leaves the served directory"),
            (b"boot/../../etc/passwd", "it leaves the served directory"),
            (b"..\\..\\etc\\passwd", "it leaves the served directory"),
            (b"a\0b", "it contains a NUL byte"),
            (b"a\nb", "it contains a control character"),
            (b"C:\\boot\\x", "it names a drive"),
            (b"ipxe.efi?mac=1", "it contains a query"),
            (b"a\xfe\xffb", "it is not UTF-8"),
            (&long_part, "a component is longer than 255 bytes"),
            (long_name.as_bytes(), "it is longer than 1024 bytes"),
        ];
        for &(raw, reason) in table {
            assert_eq!(relative_path(raw), Err(reason), "{:?}", shown(raw));
        }
    }

    #[test]
    fn a_shown_name_is_one_printable_line() {
        assert_eq!(shown(b"a\x1b[31m\nb"), "a?[31m?b");
        assert_eq!(shown(&[b'x'; 500]).len(), MAX_SHOWN_CHARACTERS);
    }

    proptest! {
        #[test]
        fn a_path_is_always_below_its_root(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            crate::files::exercise::name(&raw);
        }

        #[test]
        fn a_path_of_hostile_pieces_is_always_below_its_root(
            pieces in proptest::collection::vec(
                prop::sample::select(vec!["..", ".", "/", "\\", "a", "\0", "\u{7f}", "C:", "%2e"]), 0..12,
            ),
        ) {
            crate::files::exercise::name(pieces.concat().as_bytes());
        }
    }
}
