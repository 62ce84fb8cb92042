//! Spans of time as people and networkd write them. Pure.

use std::fmt;
use std::str::FromStr;

use super::as_text::as_text;

/// A span of time in milliseconds, written `100ms`, `2s`, `5m`, `1h` or `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a duration: expected a number with ms, s, m, h or d, such as 100ms")]
pub struct InvalidDuration(pub String);

impl Millis {
    /// Seconds as networkd writes them: `0.1s`, `2s`.
    pub fn as_seconds_text(self) -> String {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        if millis == 0 {
            return format!("{seconds}s");
        }
        let fraction = format!("{millis:03}");
        format!("{seconds}.{}s", fraction.trim_end_matches('0'))
    }
}

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl FromStr for Millis {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let invalid = || InvalidDuration(text.to_owned());
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?.1;
        let number: u64 = digits.parse().map_err(|_| invalid())?;
        number.checked_mul(factor).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, factor): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*factor);
        let (unit, factor) = UNITS.iter().rev().find(whole).unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

as_text!(Millis);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_span_keeps_its_unit() {
        for text in ["100ms", "2s", "5m", "1h", "1d", "1500ms"] {
            assert_eq!(text.parse::<Millis>().unwrap().to_string(), text);
        }
        assert_eq!(Millis(100).as_seconds_text(), "0.1s");
        assert_eq!(Millis(2000).as_seconds_text(), "2s");
        for text in ["", "s", "10", "-1s", "1 s", "1w", "99999999999999999999d"] {
            assert!(text.parse::<Millis>().is_err(), "{text}");
        }
    }
}
