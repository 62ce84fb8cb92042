//! Wraps a host's networkd files and kernel settings as an Ignition configuration
//! (Ignition specification 3.3.0), for systems whose network is networkd's. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{File, Format};

/// One configuration that writes `files` where they belong, whatever is there already.
pub(super) fn render(files: &[File]) -> Vec<File> {
    let entry = |file: &File| {
        json!({
            "path": file.path(),
            // JSON has no octal numbers: the specification wants it in decimal.
            "mode": file.mode,
            "overwrite": true,
            "contents": {"source": data_url(&file.text)},
        })
    };
    let entries: Vec<Value> = files.iter().map(entry).collect();
    let config = json!({"ignition": {"version": "3.3.0"}, "storage": {"files": entries}});
    vec![File::of(Format::Ignition, "config.ign", format!("{config:#}\n"))]
}

/// What a URL may hold as it is (RFC 3986 section 2.3) is left readable.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The text as a URL of its own (RFC 2397).
pub(crate) fn data_url(text: &str) -> String {
    format!("data:,{}", utf8_percent_encode(text, ESCAPED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_survives_its_url() {
        for (text, url) in [
            ("", "data:,"),
            ("[Match]\nName=eth0\n", "data:,%5BMatch%5D%0AName%3Deth0%0A"),
            ("a-b.c_d~e", "data:,a-b.c_d~e"),
            ("100% +é\0", "data:,100%25%20%2B%C3%A9%00"),
        ] {
            assert_eq!(data_url(text), url);
        }
    }
}
