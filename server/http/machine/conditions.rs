//! Which part of a file a request wants: `If-None-Match`, `If-Range`, `Range` (RFC 9110). Pure.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, header};

/// What of a body is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it.
    Whole,
    /// These bytes of it.
    Part(Range<u64>),
    /// Nothing: the client has it already.
    NotModified,
    /// Nothing: the range begins behind the end.
    Unsatisfiable,
}

/// Chooses what of a body of `length` bytes with the entity tag `etag` the client wants.
pub(crate) fn select(headers: &HeaderMap, etag: &str, length: u64) -> Selection {
    let value = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if value(header::IF_NONE_MATCH).is_some_and(|tags| matches(tags, etag)) {
        return Selection::NotModified;
    }
    // A changed file is sent whole: the client's first half is of another one.
    if value(header::IF_RANGE).is_some_and(|tag| tag != etag) {
        return Selection::Whole;
    }
    value(header::RANGE).map_or(Selection::Whole, |range| part(range, length))
}

/// Whether a list of entity tags has `etag` by the weak comparison (RFC 9110 section 8.8.3.2).
fn matches(tags: &str, etag: &str) -> bool {
    let mut tags = tags.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    tags.any(|tag| tag == "*" || tag == etag)
}

/// Reads one byte range (RFC 9110 section 14.1.2). Several ranges, and units or
/// numbers that mean nothing, are answered with the whole body, as the RFC allows.
fn part(range: &str, length: u64) -> Selection {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|spec| spec.split_once('-'))
    else {
        return Selection::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number with too many digits is behind every end.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (first, last) = match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(0) => return Selection::Unsatisfiable,
            Some(count) => (length.saturating_sub(count), length),
            None => return Selection::Whole,
        },
        (first, "") => match number(first) {
            Some(first) => (first, length),
            None => return Selection::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1)),
            _ => return Selection::Whole,
        },
    };
    if first >= length {
        return Selection::Unsatisfiable;
    }
    Selection::Part(first..last.min(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_range_is_read_as_rfc_9110_says() {
        let cases = [
            ("bytes=0-0", Selection::Part(0..1)),
            ("bytes=0-9", Selection::Part(0..10)),
            ("bytes=5-", Selection::Part(5..10)),
            ("bytes=5-99", Selection::Part(5..10)),
            ("bytes=-3", Selection::Part(7..10)),
            ("bytes=-99", Selection::Part(0..10)),
            ("bytes=0-99999999999999999999999", Selection::Part(0..10)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=99999999999999999999999-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=5-4", Selection::Whole),
            ("bytes=0-1,3-4", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("bytes=+1-2", Selection::Whole),
            ("lines=1-2", Selection::Whole),
            ("", Selection::Whole),
        ];
        for (range, expected) in cases {
            let headers = headers(&[(header::RANGE, range)]);
            assert_eq!(select(&headers, "\"a\"", 10), expected, "{range}");
        }
        let any = headers(&[(header::RANGE, "bytes=0-")]);
        assert_eq!(select(&any, "\"a\"", 0), Selection::Unsatisfiable);
    }

    #[test]
    fn an_entity_tag_decides_before_the_range() {
        let (tag, range) = (header::IF_NONE_MATCH, header::RANGE);
        let cases = [
            ("\"a\"", Selection::NotModified),
            ("W/\"a\"", Selection::NotModified),
            ("\"b\", \"a\"", Selection::NotModified),
            ("*", Selection::NotModified),
            ("\"b\"", Selection::Part(1..2)),
        ];
        for (tags, expected) in cases {
            let headers = headers(&[(tag.clone(), tags), (range.clone(), "bytes=1-1")]);
            assert_eq!(select(&headers, "\"a\"", 10), expected, "{tags}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_answered_with_the_whole() {
        for (tag, expected) in [("\"a\"", Selection::Part(1..2)), ("\"b\"", Selection::Whole)] {
            let headers = headers(&[(header::IF_RANGE, tag), (header::RANGE, "bytes=1-1")]);
            assert_eq!(select(&headers, "\"a\"", 10), expected);
        }
    }
}
