//! Writes a document as YAML that 1.1 readers (PyYAML, libyaml) and 1.2 readers understand
//! alike. Pure.
//!
//! A MAC address of digits alone is a number to base 60 to YAML 1.1, and `no` is false: so
//! every text is quoted unless it is plainly a word.

use std::fmt::Write as _;

use serde_json::Value;

/// The document's text, with block style throughout.
pub(super) fn write(document: &Value) -> String {
    let mut text = String::new();
    block(&mut text, document, 0);
    // Nothing at all would be no document.
    if is_empty(document) { format!("{}\n", scalar(document)) } else { text }
}

/// Writes a map or a list of things, each on a line of its own.
fn block(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let _ = write!(text, "{indent}{}:", scalar(&Value::from(key.as_str())));
                nested(text, value, depth);
            }
        }
        Value::Array(list) => {
            for value in list {
                // The first key of a map is on the dash's own line.
                let mut item = String::new();
                block(&mut item, value, depth + 1);
                let item = item.trim_start();
                let _ = match is_empty(value) || !(value.is_object() || value.is_array()) {
                    true => writeln!(text, "{indent}- {}", scalar(value)),
                    false => write!(text, "{indent}- {item}"),
                };
            }
        }
        _ => {}
    }
}

fn nested(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(_) | Value::Array(_) if !is_empty(value) => {
            text.push('\n');
            block(text, value, depth + 1);
        }
        _ => {
            let _ = writeln!(text, " {}", scalar(value));
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

/// A value on one line. JSON's quoted texts are YAML's double-quoted ones.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(word) if is_plain(word) => word.clone(),
        value => value.to_string(),
    }
}

/// Whether a text is a word to every reader: it begins with a letter and is not a word that
/// YAML 1.1 reads as a truth value or as nothing.
fn is_plain(text: &str) -> bool {
    const OTHER: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(inner)
        && !OTHER.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::write;

    #[test]
    fn what_yaml_1_1_would_misread_is_quoted() {
        let document = json!({
            "mac": "52:54:00:12:34:56", "mode": "802.3ad", "no": "no", "hash": "layer3+4",
            "empty": [], "none": {}, "list": ["a", {"to": "::/0", "via": [1, true]}, []],
            "odd": "a: \"b\"\n",
        });
        let expected = r#"mac: "52:54:00:12:34:56"
mode: "802.3ad"
"no": "no"
hash: layer3+4
empty: []
none: {}
list:
  - a
  - to: "::/0"
    via:
      - 1
      - true
  - []
odd: "a: \"b\"\n"
"#;
        assert_eq!(write(&document), expected);
        assert_eq!(serde_saphyr::from_str::<serde_json::Value>(expected).unwrap(), document);
    }
}
