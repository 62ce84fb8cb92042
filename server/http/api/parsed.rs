//! Values of a query that say what would be right when they are wrong.

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use crate::inventory::is_audit_id;

/// What a value of a query is written as.
pub(super) trait ParsedText: Sized {
    /// What is expected, after "expected".
    const EXPECTED: &'static str;
    /// What its schema is.
    type Schema: JsonSchema;

    /// Reads it.
    fn read(text: &str) -> Option<Self>;
}

/// A value of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parsed<T>(pub(super) T);

/// What is wrong with a value that cannot be read.
pub(super) fn expected<T: ParsedText>(text: &str) -> String {
    format!("expected {}, not \"{text}\"", T::EXPECTED)
}

impl<'de, T: ParsedText> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::read(&text).map(Self).ok_or_else(|| serde::de::Error::custom(expected::<T>(&text)))
    }
}

impl<T: ParsedText> JsonSchema for Parsed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::Schema::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::Schema::json_schema(generator)
    }
}

/// How many items a page has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit(pub(super) u32);

impl ParsedText for Limit {
    const EXPECTED: &'static str = "a number from 1 to 1000";
    type Schema = u32;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// A moment, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnixMillis(pub(super) i64);

impl ParsedText for UnixMillis {
    const EXPECTED: &'static str = "a moment in Unix milliseconds, such as 1767225600000";
    type Schema = i64;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// The number of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RevisionNumber(pub(super) i64);

impl ParsedText for RevisionNumber {
    const EXPECTED: &'static str = "the number of a revision, such as 12";
    type Schema = i64;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// The number of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventNumber(pub(super) i64);

impl ParsedText for EventNumber {
    const EXPECTED: &'static str = "the id of an event, such as 1234";
    type Schema = i64;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl ParsedText for IpAddr {
    const EXPECTED: &'static str = "an IPv4 or IPv6 address, such as 10.77.0.5";
    type Schema = IpAddr;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Where a page of events or revisions begins: the number of the last item of the page before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberCursor(pub(super) i64);

impl ParsedText for NumberCursor {
    const EXPECTED: &'static str = "a cursor from the link to the next page";
    type Schema = i64;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// Where a page of the audit log begins: the id of the last entry of the page before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AuditCursor(pub(super) String);

impl ParsedText for AuditCursor {
    const EXPECTED: &'static str = NumberCursor::EXPECTED;
    type Schema = String;

    fn read(text: &str) -> Option<Self> {
        is_audit_id(text).then(|| Self(text.to_owned()))
    }
}
