//! What happens to a host that is new when it first asks to boot. Pure.

use std::fmt;
use std::str::FromStr;

use super::as_text::as_text;
use super::name::check_noun_name;

/// What happens to a host that was never armed, when it first asks to boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NewHosts {
    /// It waits until a person decides.
    #[default]
    Ask,
    /// It is armed for this disk image, which is never written to a disk that has data.
    Install(String),
}

/// A text that is not such a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a policy for new hosts: expected ask, or install and the name of an image")]
pub struct InvalidNewHosts(pub String);

impl FromStr for NewHosts {
    type Err = InvalidNewHosts;

    fn from_str(text: &str) -> Result<Self, InvalidNewHosts> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["ask"] => Ok(Self::Ask),
            ["install", image] if check_noun_name("image", image).is_ok() => {
                Ok(Self::Install(image.to_owned()))
            }
            _ => Err(InvalidNewHosts(text.to_owned())),
        }
    }
}

impl fmt::Display for NewHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask => f.write_str("ask"),
            Self::Install(image) => write!(f, "install {image}"),
        }
    }
}

as_text!(NewHosts);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_ask_or_an_image_to_install() {
        for text in ["ask", "install debian-13"] {
            assert_eq!(text.parse::<NewHosts>().unwrap().to_string(), text);
        }
        for text in ["", "install", "install a b", "reinstall debian", "erase", "debian"] {
            assert!(text.parse::<NewHosts>().is_err(), "{text}");
        }
    }
}
