//! How a value is written in each format. Pure.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use crate::model::RecipeFormat;

/// What is written in place of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// The values.
    Values,
    /// The same text for every text, to see which structure the recipe has by itself.
    Probes,
}

/// What stands for every text then.
pub(super) const PROBE: &str = "probe";

fn refused(detail: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

/// Refuses what could end a line in any format.
fn check_line(text: &str) -> Result<(), Error> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    match text.chars().any(breaks) {
        true => Err(refused(format!("value {text:?} has a line break or a control character"))),
        false => Ok(()),
    }
}

/// A value as it stands in a file without any filter.
pub(super) fn value(
    format: RecipeFormat,
    writing: Writing,
    value: &Value,
) -> Result<String, Error> {
    let document = serde_json::to_value(value).map_err(|error| refused(error.to_string()))?;
    let document = match writing {
        Writing::Values => document,
        Writing::Probes => probed(document),
    };
    check_texts(&document)?;
    let is_single = !matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable);
    match format {
        // JSON is YAML, and flow style at that: one line.
        RecipeFormat::Yaml | RecipeFormat::Json => Ok(document.to_string()),
        RecipeFormat::Toml => toml_value(&document),
        RecipeFormat::Preseed | RecipeFormat::Kickstart | RecipeFormat::Xml if !is_single => {
            Err(refused("expected one value, found several: write a loop over them".to_owned()))
        }
        RecipeFormat::Preseed | RecipeFormat::Kickstart => word(&as_text(&document)),
        RecipeFormat::Xml => Ok(xml(&as_text(&document))),
    }
}

fn as_text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn probed(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as V;
    match value {
        V::String(_) => V::from(PROBE),
        V::Array(items) => V::Array(items.into_iter().map(probed).collect()),
        V::Object(entries) => {
            V::Object(entries.into_iter().map(|(key, it)| (key, probed(it))).collect())
        }
        other => other,
    }
}

fn check_texts(value: &serde_json::Value) -> Result<(), Error> {
    use serde_json::Value as V;
    match value {
        V::String(text) => check_line(text),
        V::Array(items) => items.iter().try_for_each(check_texts),
        V::Object(entries) => entries.iter().try_for_each(|(key, value)| {
            check_line(key)?;
            check_texts(value)
        }),
        _ => Ok(()),
    }
}

/// One word of a line: nothing that debconf, Anaconda or a shell reads as something else.
fn word(text: &str) -> Result<String, Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:/@%+=,~^-".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) && !text.starts_with(['-', '~']) {
        true => Ok(text.to_owned()),
        false => Err(refused(format!(
            "value {text:?} is not one plain word; write it with | text, or | shell in a command"
        ))),
    }
}

/// `| text`: a text with spaces and signs, as one value of the line.
pub(super) fn text(format: RecipeFormat, text: &str) -> Result<Value, Error> {
    check_line(text)?;
    let written = match format {
        // The rest of the line is the value (debconf-set-selections(1)); a backslash at its end
        // would continue it.
        RecipeFormat::Preseed if text.contains('\\') || text.trim() != text || text.is_empty() => {
            return Err(refused(format!(
                "value {text:?} cannot be written in a preseed file: no backslash, and no space at its ends"
            )));
        }
        RecipeFormat::Preseed => text.to_owned(),
        // As shlex reads it, by which Anaconda splits a line.
        RecipeFormat::Kickstart => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        // Written by the formatter.
        _ => return Ok(Value::from(text)),
    };
    Ok(Value::from_safe_string(written))
}

/// `| shell`: one argument of a command of a POSIX shell. The command itself stands in a text of the
/// file, which is read first; [`shape::first_lost`](super::shape::first_lost) tells whether it comes through.
pub(super) fn shell(format: RecipeFormat, text: &str) -> Result<Argument, Error> {
    check_line(text)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:/@%+=,-".contains(c);
    let quoted = match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    };
    if format == RecipeFormat::Preseed && quoted.contains('\\') {
        // cdebconf unescapes a value when one program hands it to another.
        return Err(refused(format!(
            "value {text:?} cannot be an argument of a command in a preseed file: no quote and no backslash"
        )));
    }
    let written = match format {
        RecipeFormat::Json => inside_json(&quoted),
        _ => quoted.clone(),
    };
    Ok(Argument { quoted, written: Value::from_safe_string(written) })
}

/// An argument of a command.
pub(super) struct Argument {
    /// As the shell reads it.
    pub(super) quoted: String,
    /// As it stands in the file.
    pub(super) written: Value,
}

/// As it stands between the quotes of a text in JSON.
fn inside_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// `| word`: one plain word inside a longer text, such as an argument in a systemd unit. It has no
/// sign that a format, a shell or systemd reads as something else.
pub(super) fn inner_word(text: &str) -> Result<Value, Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:/@+=,-".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) && !text.starts_with('-') {
        true => Ok(Value::from_safe_string(text.to_owned())),
        false => Err(refused(format!(
            "value {text:?} is not one plain word (letters, digits and _.:/@+=,-)"
        ))),
    }
}

fn toml_value(value: &serde_json::Value) -> Result<String, Error> {
    use serde_json::Value as V;
    Ok(match value {
        V::String(text) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        V::Number(_) | V::Bool(_) => value.to_string(),
        V::Array(items) => {
            let items = items.iter().map(toml_value).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        V::Null | V::Object(_) => {
            return Err(refused("expected a text, a number or a list of them".to_owned()));
        }
    })
}

fn xml(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '&' => written.push_str("&amp;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&apos;"),
            c => written.push(c),
        }
    }
    written
}
