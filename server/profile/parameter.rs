//! The values of parameters: which ones fit, and what an example is. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

use super::expression::Term;
use crate::model::{Mac, Parameter, ParameterKind, Scalar, check_noun_name, tenant_role};

/// The most characters of a text.
const LONGEST: usize = 200;

/// A value that does not fit its parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found \"{found}\"")]
pub struct UnfitValue {
    expected: String,
    found: String,
}

/// A declaration that no value fits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidParameter {
    /// A bound, `min` or `max`, of something else than a number.
    #[error("{0} is allowed for type: number only")]
    Bound(&'static str),
    #[error("words are required for type: word, and not allowed for any other type")]
    Words,
    #[error(transparent)]
    Default(UnfitValue),
}

impl InvalidParameter {
    /// The key of the declaration that is wrong.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Bound(key) => key,
            Self::Words => "words",
            Self::Default(_) => "default",
        }
    }
}

impl Parameter {
    /// What a value comes to.
    ///
    /// # Errors
    /// What would fit.
    pub fn read(&self, value: &Scalar) -> Result<Term, UnfitValue> {
        let text = value.0.as_str();
        let fits = match self.kind {
            ParameterKind::Number => return self.read_number(text),
            ParameterKind::Boolean => {
                return text.parse().map(Term::Truth).map_err(|_| self.refuse(text));
            }
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
            ParameterKind::Text => text.chars().count() <= LONGEST && text.chars().all(is_harmless),
        };
        if fits { Ok(Term::Text(text.to_owned())) } else { Err(self.refuse(text)) }
    }

    fn read_number(&self, text: &str) -> Result<Term, UnfitValue> {
        let (min, max) = (self.min.unwrap_or(i64::MIN), self.max.unwrap_or(i64::MAX));
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.map(Term::Number).ok_or_else(|| self.refuse(text))
    }

    fn refuse(&self, text: &str) -> UnfitValue {
        let expected = match self.kind {
            ParameterKind::Number => match (self.min, self.max) {
                (None, None) => "a number".into(),
                (Some(min), None) => format!("a number of at least {min}"),
                (None, Some(max)) => format!("a number up to {max}"),
                (Some(min), Some(max)) => format!("a number from {min} to {max}"),
            },
            ParameterKind::Boolean => "true or false".into(),
            ParameterKind::Word => format!("one of {}", self.words.join(", ")),
            ParameterKind::Subnet => "the name of a subnet".into(),
            ParameterKind::Address => "an address".into(),
            ParameterKind::AddressAndLength => {
                "an address with its prefix length (192.0.2.1/32)".into()
            }
            ParameterKind::Mac => "a MAC address".into(),
            ParameterKind::Text => {
                format!("up to {LONGEST} letters, digits, spaces and . , : / @ _ + -")
            }
        };
        UnfitValue { expected, found: text.to_owned() }
    }

    /// Checks the declaration.
    ///
    /// # Errors
    /// When no value fits it, or its own default does not.
    pub fn check_itself(&self) -> Result<(), InvalidParameter> {
        let is_number = self.kind == ParameterKind::Number;
        for (key, bound) in [("min", self.min), ("max", self.max)] {
            if bound.is_some() && !is_number {
                return Err(InvalidParameter::Bound(key));
            }
        }
        if (self.kind == ParameterKind::Word) == self.words.is_empty() {
            return Err(InvalidParameter::Words);
        }
        match &self.default {
            Some(value) => self.read(value).map(drop).map_err(InvalidParameter::Default),
            None => Ok(()),
        }
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

/// A character that has no special meaning in any generated file.
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
                Err("expected a number from 1 to 8, found \"9\""),
            ),
            ("{type: number, min: 1}", "0", Err("expected a number of at least 1, found \"0\"")),
            ("{type: number}", "x", Err("expected a number, found \"x\"")),
            ("{type: word, words: [a, b]}", "b", Ok("b")),
            ("{type: word, words: [a, b]}", "c", Err("expected one of a, b, found \"c\"")),
            ("{type: subnet}", "front", Ok("front")),
            ("{type: subnet}", "a b", Err("expected the name of a subnet, found \"a b\"")),
            ("{type: address}", "10.0.0.1", Ok("10.0.0.1")),
            ("{type: address}", "10.0.0.1/32", Ok("10.0.0.1/32")),
            ("{type: address}", "10", Err("expected an address, found \"10\"")),
            ("{type: address-and-length}", "10.0.0.1/32", Ok("10.0.0.1/32")),
            ("{type: address-and-length}", "2001:db8::1/128", Ok("2001:db8::1/128")),
            (
                "{type: address-and-length}",
                "10.0.0.1",
                Err(
                    "expected an address with its prefix length (192.0.2.1/32), found \"10.0.0.1\"",
                ),
            ),
            ("{type: mac}", "52:54:00:aa:00:01", Ok("52:54:00:aa:00:01")),
            ("{type: boolean}", "true", Ok("true")),
            ("{type: boolean}", "1", Err("expected true or false, found \"1\"")),
            ("{type: text}", "a-b c", Ok("a-b c")),
            (
                "{type: text}",
                "a\nb",
                Err(
                    "expected up to 200 letters, digits, spaces and . , : / @ _ + -, found \"a\nb\"",
                ),
            ),
        ];
        for (parameter, value, expected) in cases {
            let parameter: Parameter = serde_saphyr::from_str(parameter).unwrap();
            let found = parameter.read(&Scalar(value.into())).map(|term| term.to_string());
            let found = found.map_err(|error| error.to_string());
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
            assert_eq!(parameter.check_itself().unwrap_err().key(), key);
        }
    }
}
