//! What something is for, in the operator's words. Pure.

use std::fmt;
use std::str::FromStr;

use super::as_text::as_text;

/// The most characters.
const LONGEST: usize = 200;

/// One line of text: no control characters, and no backslash, with which a line of a networkd
/// file would go on in the next one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caption(String);

/// A text that is not one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not allowed in a file: expected one line of at most {LONGEST} characters without a backslash"
)]
pub struct InvalidCaption(pub String);

impl Caption {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Caption {
    type Err = InvalidCaption;

    fn from_str(text: &str) -> Result<Self, InvalidCaption> {
        let is_safe = |c: char| !c.is_control() && c != '\\';
        let fits = !text.is_empty() && text.chars().count() <= LONGEST;
        match fits && text.chars().all(is_safe) && text.trim() == text {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidCaption(text.to_owned())),
        }
    }
}

impl fmt::Display for Caption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(Caption);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_is_one_line() {
        for text in ["to the spine", "Größe: 25 Gbit/s", "a"] {
            assert_eq!(text.parse::<Caption>().unwrap().as_str(), text);
        }
        for text in ["", " a", "a ", "a\n[Route]", "a\r", "a\\", "a\u{7}", &"x".repeat(201)] {
            assert!(text.parse::<Caption>().is_err(), "{text:?}");
        }
    }
}
