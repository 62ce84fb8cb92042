//! Parameters: what a profile asks of the hosts that have it. Pure.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::words::words;
use super::{Mac, Scalar, check_noun_name, tenant_role};
use crate::profile::expression::Term;

/// One value that a host, its rack or the site gives to a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parameter {
    /// What kind of value it is.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// The smallest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// The words to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// What it is where nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Scalar>,
    /// What it is for, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

words! {
    /// The kinds of values that a parameter takes.
    ParameterKind {
        /// A whole number.
        Number = "number",
        /// One of the words that the parameter lists.
        Word = "word",
        /// The name of a subnet, or `tenant/ROLE`.
        Subnet = "subnet",
        /// An IP address, with a prefix length or without.
        Address = "address",
        /// An IP address with its prefix length.
        AddressAndLength = "address-and-length",
        /// A MAC address.
        Mac = "mac",
        /// True or false.
        Boolean = "boolean",
        /// A text of harmless characters.
        Text = "text",
    }
}

/// The most characters of a text.
const LONGEST: usize = 200;

impl Parameter {
    /// What a value comes to.
    ///
    /// # Errors
    /// What is wrong with it and what would be right.
    pub fn read(&self, value: &Scalar) -> Result<Term, String> {
        let text = value.0.as_str();
        let wanted = |wanted: &str| format!("{wanted} is needed, not \"{text}\"");
        match self.kind {
            ParameterKind::Number => self.number(text).map(Term::Number),
            ParameterKind::Boolean => {
                text.parse().map(Term::Truth).map_err(|_| wanted("true or false"))
            }
            _ => {
                self.check(text).map_err(|word| wanted(&word))?;
                Ok(Term::Text(text.to_owned()))
            }
        }
    }

    fn number(&self, text: &str) -> Result<i64, String> {
        let (min, max) = (self.min.unwrap_or(i64::MIN), self.max.unwrap_or(i64::MAX));
        let found = text.parse().ok().filter(|number| (min..=max).contains(number));
        found.ok_or_else(|| {
            let bounds = match (self.min, self.max) {
                (None, None) => String::new(),
                (Some(min), None) => format!(" from {min} on"),
                (None, Some(max)) => format!(" up to {max}"),
                (Some(min), Some(max)) => format!(" from {min} to {max}"),
            };
            format!("a number{bounds} is needed, not \"{text}\"")
        })
    }

    /// Whether a text can be a value; else what is needed in its place.
    fn check(&self, text: &str) -> Result<(), String> {
        let fits = match self.kind {
            ParameterKind::Word => self.words.iter().any(|word| word == text),
            ParameterKind::Subnet => {
                let name = tenant_role(text).unwrap_or(text);
                check_noun_name("subnet", name).is_ok()
            }
            ParameterKind::Address => {
                text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok()
            }
            ParameterKind::AddressAndLength => text.parse::<IpNet>().is_ok(),
            ParameterKind::Mac => text.parse::<Mac>().is_ok(),
            _ => text.chars().count() <= LONGEST && text.chars().all(is_harmless),
        };
        if fits {
            return Ok(());
        }
        Err(match self.kind {
            ParameterKind::Word => format!("one of {}", self.words.join(", ")),
            ParameterKind::Subnet => "the name of a subnet".into(),
            ParameterKind::Address => "an address".into(),
            ParameterKind::AddressAndLength => "an address with its length (192.0.2.1/32)".into(),
            ParameterKind::Mac => "a MAC address".into(),
            _ => format!("a text of up to {LONGEST} letters, digits, spaces and . , : / @ _ + -"),
        })
    }

    /// What is wrong with the parameter itself.
    ///
    /// # Errors
    /// The key that is wrong, and what is.
    pub fn check_itself(&self) -> Result<(), (&'static str, String)> {
        let is_number = self.kind == ParameterKind::Number;
        let bound = [("min", self.min), ("max", self.max)];
        if let Some((key, _)) = bound.iter().find(|(_, bound)| bound.is_some() && !is_number) {
            return Err((key, format!("only a number has a {key}")));
        }
        if (self.kind == ParameterKind::Word) == self.words.is_empty() {
            return Err(("words", "a word is chosen out of words, and nothing else is".into()));
        }
        let default = self.default.as_ref().map_or(Ok(()), |value| self.read(value).map(drop));
        default.map_err(|text| ("default", text))
    }

    /// A value that fits, for looking at a profile without a host.
    pub fn example(&self) -> Term {
        let text = |text: &str| Term::Text(text.to_owned());
        match self.kind {
            ParameterKind::Number => {
                Term::Number(self.min.unwrap_or(1).max(1).min(self.max.unwrap_or(i64::MAX)))
            }
            ParameterKind::Word => text(self.words.first().map_or("", String::as_str)),
            ParameterKind::Subnet => text("subnet"),
            ParameterKind::Address => text("192.0.2.1"),
            ParameterKind::AddressAndLength => text("192.0.2.1/32"),
            ParameterKind::Mac => text("52:54:00:00:00:01"),
            ParameterKind::Boolean => Term::Truth(false),
            ParameterKind::Text => text("text"),
        }
    }
}

/// A character that means nothing to any file that it may stand in.
fn is_harmless(c: char) -> bool {
    c.is_ascii_alphanumeric() || " .,:/@_+-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_its_parameter_or_is_refused_with_what_would() {
        let cases = [
            ("{type: number, min: 1, max: 8}", "8", Ok("8")),
            (
                "{type: number, min: 1, max: 8}",
                "9",
                Err("a number from 1 to 8 is needed, not \"9\""),
            ),
            ("{type: number, min: 1}", "0", Err("a number from 1 on is needed, not \"0\"")),
            ("{type: number}", "x", Err("a number is needed, not \"x\"")),
            ("{type: word, words: [a, b]}", "b", Ok("b")),
            ("{type: word, words: [a, b]}", "c", Err("one of a, b is needed, not \"c\"")),
            ("{type: subnet}", "front", Ok("front")),
            ("{type: subnet}", "a b", Err("the name of a subnet is needed, not \"a b\"")),
            ("{type: address}", "10.0.0.1", Ok("10.0.0.1")),
            ("{type: address}", "10.0.0.1/32", Ok("10.0.0.1/32")),
            ("{type: address}", "10", Err("an address is needed, not \"10\"")),
            ("{type: address-and-length}", "10.0.0.1/32", Ok("10.0.0.1/32")),
            ("{type: address-and-length}", "2001:db8::1/128", Ok("2001:db8::1/128")),
            (
                "{type: address-and-length}",
                "10.0.0.1",
                Err("an address with its length (192.0.2.1/32) is needed, not \"10.0.0.1\""),
            ),
            ("{type: mac}", "52:54:00:aa:00:01", Ok("52:54:00:aa:00:01")),
            ("{type: boolean}", "true", Ok("true")),
            ("{type: boolean}", "1", Err("true or false is needed, not \"1\"")),
            ("{type: text}", "a-b c", Ok("a-b c")),
            (
                "{type: text}",
                "a\nb",
                Err(
                    "a text of up to 200 letters, digits, spaces and . , : / @ _ + - is needed, not \"a\nb\"",
                ),
            ),
        ];
        for (parameter, value, expected) in cases {
            let parameter: Parameter = serde_saphyr::from_str(parameter).unwrap();
            let found = parameter.read(&Scalar(value.into())).map(|term| term.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{value}");
        }
    }

    #[test]
    fn a_parameter_that_fits_nothing_is_refused() {
        let cases = [
            ("{type: word}", "words"),
            ("{type: text, words: [a]}", "words"),
            ("{type: text, min: 1}", "min"),
            ("{type: number, max: 4, default: 5}", "default"),
        ];
        for (parameter, key) in cases {
            let parameter: Parameter = serde_saphyr::from_str(parameter).unwrap();
            assert_eq!(parameter.check_itself().unwrap_err().0, key);
        }
    }
}
