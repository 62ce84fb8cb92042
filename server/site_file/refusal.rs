//! Why a value of a site file is refused, and where it stands. Pure.

use std::fmt;

use super::{Position, SiteFileError};
use crate::network::nearest::hint;

/// Why a value is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Where the value stands; nowhere until the reader that knows has seen it.
    pub position: Option<Position>,
    /// The keys that lead to it, the innermost first.
    path: Vec<String>,
    message: String,
}

impl Refusal {
    /// A refusal of what stands at `position`.
    pub fn at(position: Position, message: String) -> Self {
        Self { position: Some(position), path: Vec::new(), message }
    }

    /// The same, where nobody nearer knew the place.
    pub fn or_at(mut self, position: Position) -> Self {
        self.position.get_or_insert(position);
        self
    }

    /// The same, one key further out.
    pub fn within(mut self, key: &str) -> Self {
        self.path.push(key.to_owned());
        self
    }

    /// The same about a text that the message may not name yet.
    pub fn about(mut self, text: &str) -> Self {
        if !self.message.contains(text) {
            self.message = format!("\"{text}\": {}", self.message);
        }
        self
    }

    /// What the operator is told.
    pub fn into_error(self, file: &str) -> SiteFileError {
        let path = self.path.into_iter().rev().collect::<Vec<_>>().join(".");
        let position = self.position.unwrap_or_default();
        SiteFileError { file: file.to_owned(), position, path, message: self.message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl serde::de::Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { position: None, path: Vec::new(), message: message.to_string() }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown("key", field, expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown("word", variant, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("the key \"{field}\" is missing"))
    }

    fn invalid_type(given: serde::de::Unexpected<'_>, wanted: &dyn serde::de::Expected) -> Self {
        Self::custom(format_args!("{wanted} is needed, not {given}"))
    }

    fn invalid_value(given: serde::de::Unexpected<'_>, wanted: &dyn serde::de::Expected) -> Self {
        Self::invalid_type(given, wanted)
    }
}

/// Says that there is no such key or word, and what there is.
pub(super) fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    format!("there is no {what} \"{given}\"{}", hint(given, known.iter().copied()))
}
