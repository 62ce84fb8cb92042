//! `If-Match` and `If-None-Match` (RFC 9110 section 13), and the entity tags that they name.

use axum::http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};

use super::problem::{Error, Fault};
use crate::model::Noun;

/// The entity tag of an entry: it is the same as long as the entry reads the same.
pub(super) fn entry_tag<T: Noun>(name: &str, entry: &T) -> String {
    tag_of(&entry.named(name).to_string())
}

/// The entity tag of a representation.
pub(super) fn tag_of(representation: &str) -> String {
    let digest = Sha256::digest(representation);
    let text: String = digest[..10].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{text}\"")
}

/// The entity tag of the whole site at a revision.
pub(super) fn site_tag(revision: i64) -> String {
    format!("\"revision-{revision}\"")
}

/// The revision that an entity tag of the site names.
pub(super) fn tagged_revision(tag: &str) -> Option<i64> {
    tag.strip_prefix("\"revision-")?.strip_suffix('"')?.parse().ok()
}

/// The entity tags of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    Any,
    List(Vec<String>),
}

impl Tags {
    fn read(headers: &HeaderMap, name: HeaderName) -> Result<Option<Self>, Error> {
        let refuse = || {
            let wanted = "expected * or entity tags such as \"0a1b2c\"";
            Error::Request(vec![Fault::header(name.as_str(), wanted)])
        };
        let mut found = Vec::new();
        let mut is_given = false;
        for value in headers.get_all(&name) {
            is_given = true;
            let value = value.to_str().map_err(|_| refuse())?.trim();
            if value == "*" {
                return Ok(Some(Self::Any));
            }
            for tag in value.split(',').map(str::trim) {
                let (weak, opaque) = match tag.strip_prefix("W/") {
                    Some(opaque) => ("W/", opaque),
                    None => ("", tag),
                };
                let quoted = opaque.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                // Shells eat the quotes of a tag that somebody pastes.
                let is_alone = tag.len() == value.len();
                let inner = quoted.unwrap_or(if is_alone { opaque } else { "" });
                let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                if inner.is_empty() || !inner.chars().all(is_known) {
                    return Err(refuse());
                }
                found.push(format!("{weak}\"{inner}\""));
            }
        }
        Ok(is_given.then_some(Self::List(found)))
    }

    /// By the strong comparison: a weak tag matches nothing.
    fn has(&self, current: Option<&str>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::List(tags), Some(current)) => tags.iter().any(|tag| tag == current),
        }
    }

    /// By the weak comparison.
    fn has_weakly(&self, current: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| tag.trim_start_matches("W/") == current),
        }
    }
}

/// What a request demands of the state of its target.
#[derive(Clone, Debug, Default)]
pub(super) struct Preconditions {
    pub(super) if_match: Option<Tags>,
    pub(super) if_none_match: Option<Tags>,
}

impl Preconditions {
    /// Reads both headers.
    ///
    /// # Errors
    /// For a header that is not a list of entity tags.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Error> {
        Ok(Self {
            if_match: Tags::read(headers, header::IF_MATCH)?,
            if_none_match: Tags::read(headers, header::IF_NONE_MATCH)?,
        })
    }

    /// Whether a reader has the current state already, so that 304 says everything.
    pub(super) fn is_fresh(&self, current: &str) -> bool {
        self.if_none_match.as_ref().is_some_and(|tags| tags.has_weakly(current))
    }

    /// Refuses a change of a target whose current tag, if it exists, is `current`.
    pub(super) fn check(&self, what: &str, current: Option<&str>) -> Result<(), Error> {
        if self.if_match.as_ref().is_some_and(|tags| !tags.has(current)) {
            return Err(Error::Precondition(match current {
                Some(current) => format!(
                    "{what} was changed since you read it (its entity tag is {current} now): read \
                     it again, then repeat your change"
                ),
                None => format!("{what} does not exist"),
            }));
        }
        let exists = current.filter(|current| self.is_fresh(current));
        match exists {
            Some(_) => Err(Error::Precondition(format!("{what} exists already"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: HeaderName, value: &str) -> Result<Preconditions, Error> {
        Preconditions::read(&[(name, value.parse().unwrap())].into_iter().collect())
    }

    #[test]
    fn a_change_is_made_only_under_its_preconditions() {
        let cases = [
            (header::IF_MATCH, "\"a\"", Some("\"a\""), true),
            (header::IF_MATCH, "\"b\", \"a\"", Some("\"a\""), true),
            (header::IF_MATCH, "\"b\"", Some("\"a\""), false),
            (header::IF_MATCH, "W/\"a\"", Some("\"a\""), false),
            (header::IF_MATCH, "\"a\"", None, false),
            (header::IF_MATCH, "a", Some("\"a\""), true),
            (header::IF_MATCH, "*", Some("\"a\""), true),
            (header::IF_MATCH, "*", None, false),
            (header::IF_NONE_MATCH, "*", None, true),
            (header::IF_NONE_MATCH, "*", Some("\"a\""), false),
            (header::IF_NONE_MATCH, "W/\"a\"", Some("\"a\""), false),
            (header::IF_NONE_MATCH, "\"b\"", Some("\"a\""), true),
        ];
        for (name, value, current, expected) in cases {
            let verdict = read(name.clone(), value).unwrap().check("it", current);
            assert_eq!(verdict.is_ok(), expected, "{name}: {value} on {current:?}");
        }
        assert!(Preconditions::default().check("it", None).is_ok());
    }

    #[test]
    fn a_header_that_is_not_a_list_of_tags_is_refused() {
        for value in ["\"a", "", "\"a\" \"b\"", "\"a\",", "{a}", "a, b", "\"é\"", "**"] {
            assert!(read(header::IF_MATCH, value).is_err(), "{value}");
        }
    }
}
