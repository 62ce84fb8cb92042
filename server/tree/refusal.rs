//! Why a value is refused, and where it stands. Pure.

use std::fmt;

use super::Position;
use super::nearest::hint;

/// Why a value is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where the value stands; nowhere until the reader that knows has seen it.
    pub position: Option<Position>,
    /// The keys that lead to it, the innermost first.
    path: Vec<String>,
    key: Option<String>,
    is_missing: bool,
    is_value: bool,
    message: String,
}

impl Refusal {
    /// A refusal of what stands at `position`.
    pub(crate) fn at(position: Position, message: String) -> Self {
        let position = Some(position);
        let (path, key, is_missing, is_value) = (Vec::new(), None, false, false);
        Self { position, path, key, is_missing, is_value, message }
    }

    /// The same, of a value that has the right type, or of one that has not.
    pub(crate) fn of_value(self, is_value: bool) -> Self {
        Self { is_value, ..self }
    }

    /// The same, where nobody nearer knew the place.
    pub(crate) fn or_at(mut self, position: Position) -> Self {
        self.position.get_or_insert(position);
        self
    }

    /// The same, one key further out.
    pub(crate) fn within(mut self, key: &str) -> Self {
        self.path.push(key.to_owned());
        self
    }

    /// The same about a text that the message may not name yet.
    pub(crate) fn about(mut self, text: &str) -> Self {
        if !self.message.contains(text) {
            self.message = format!("\"{text}\": {}", self.message);
        }
        self
    }

    /// The keys that lead to the value, joined by dots; empty for the text itself.
    pub(crate) fn path(&self) -> String {
        self.path.iter().rev().map(String::as_str).collect::<Vec<_>>().join(".")
    }

    /// The key that is refused, where it is a key and no value.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether the value has the right type but does not mean anything, such as `"5g"` for a MAC.
    pub(crate) fn is_value(&self) -> bool {
        self.is_value
    }

    /// Whether something is missing, that somebody else may say.
    pub(crate) fn is_missing(&self) -> bool {
        self.is_missing
    }

    /// What is wrong, after the path of what is wrong.
    pub(crate) fn told(&self) -> String {
        match self.path().as_str() {
            "" => self.message.clone(),
            path => format!("{path}: {}", self.message),
        }
    }

    /// The same about a key.
    pub(crate) fn of_key(mut self, key: &str) -> Self {
        self.key.get_or_insert_with(|| key.to_owned());
        self
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
        Self {
            position: None,
            path: Vec::new(),
            key: None,
            is_missing: false,
            is_value: true,
            message: message.to_string(),
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self { is_value: false, ..Self::custom(unknown("key", field, expected)) }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self { is_value: false, ..Self::custom(unknown("value", variant, expected)) }
    }

    fn missing_field(field: &'static str) -> Self {
        let refusal = Self::custom(format_args!("the key \"{field}\" is missing"));
        Self { is_missing: true, is_value: false, ..refusal }
    }

    fn invalid_type(given: serde::de::Unexpected<'_>, wanted: &dyn serde::de::Expected) -> Self {
        let refusal = Self::custom(format_args!("expected {wanted}, found {}", FoundValue(given)));
        Self { is_value: false, ..refusal }
    }

    fn duplicate_field(field: &'static str) -> Self {
        let refusal = Self::custom(format_args!("the key \"{field}\" appears twice"));
        Self { is_value: false, ..refusal }.of_key(field)
    }

    fn invalid_length(length: usize, wanted: &dyn serde::de::Expected) -> Self {
        Self::custom(format_args!("expected {wanted}, found {length} values"))
    }

    fn invalid_value(given: serde::de::Unexpected<'_>, wanted: &dyn serde::de::Expected) -> Self {
        Self { is_value: true, ..Self::invalid_type(given, wanted) }
    }
}

/// A value in the words of the site file, in place of serde's.
struct FoundValue<'a>(serde::de::Unexpected<'a>);

impl fmt::Display for FoundValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use serde::de::Unexpected;
        match self.0 {
            Unexpected::Seq | Unexpected::TupleVariant => f.write_str("a list"),
            Unexpected::Map | Unexpected::StructVariant => f.write_str("a mapping"),
            Unexpected::Unit | Unexpected::Option | Unexpected::UnitVariant => {
                f.write_str("nothing")
            }
            Unexpected::Bool(value) => write!(f, "\"{value}\""),
            Unexpected::Unsigned(value) => write!(f, "\"{value}\""),
            Unexpected::Signed(value) => write!(f, "\"{value}\""),
            Unexpected::Float(value) => write!(f, "\"{value}\""),
            Unexpected::Char(value) => write!(f, "\"{value}\""),
            Unexpected::Str(value) => write!(f, "\"{value}\""),
            other => other.fmt(f),
        }
    }
}

/// Says that there is no such key or word, and what there is.
pub(crate) fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    format!("unknown {what} \"{given}\"{}", hint(given, known.iter().copied()))
}
