//! The text of a networkd file or a keyfile: sections of `Key=value` lines. Pure.

use std::fmt::Display;
use std::fmt::Write as _;

/// One file under construction. Sections without keys are left out.
#[derive(Default)]
pub(super) struct Unit {
    text: String,
    /// The section whose header is still to be written.
    pending: Option<String>,
}

impl Unit {
    /// Writes a comment line.
    pub(super) fn comment(&mut self, text: &str) {
        let _ = writeln!(self.text, "# {text}");
    }

    /// Begins a section; its header is written with its first key.
    pub(super) fn section(&mut self, name: &str) {
        self.pending = Some(name.to_owned());
    }

    /// Writes `key=yes` or `key=no` if there is a value.
    pub(super) fn set_yes(&mut self, key: &str, value: Option<bool>) {
        self.set_some(key, value.map(|value| if value { "yes" } else { "no" }));
    }

    /// Writes `key=value`.
    pub(super) fn set(&mut self, key: &str, value: impl Display) {
        if let Some(section) = self.pending.take() {
            let gap = if self.text.is_empty() { "" } else { "\n" };
            let _ = writeln!(self.text, "{gap}[{section}]");
        }
        let _ = writeln!(self.text, "{key}={value}");
    }

    /// Writes `key=value` if there is a value.
    pub(super) fn set_some(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}
