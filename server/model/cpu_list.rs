//! Processors by their numbers, as the kernel lists them: `0-55,112-167`. Pure.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest number of a processor: the kernel's NR_CPUS is 8192 at most on x86.
const LARGEST: u16 = 8191;

/// Processors, in ranges that neither overlap nor touch, the lowest first. Empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuList(Vec<RangeInclusive<u16>>);

/// A text that lists no processors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a list of processors: expected numbers and ranges up to {LARGEST}, such as 0-55,112-167"
)]
pub struct InvalidCpuList(String);

impl CpuList {
    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lowest processor that both lists have.
    pub fn shared(&self, other: &Self) -> Option<u16> {
        let both = |a: &RangeInclusive<u16>, b: &RangeInclusive<u16>| {
            let from = *a.start().max(b.start());
            (from <= *a.end().min(b.end())).then_some(from)
        };
        self.0.iter().flat_map(|a| other.0.iter().filter_map(move |b| both(a, b))).min()
    }
}

impl FromStr for CpuList {
    type Err = InvalidCpuList;

    fn from_str(text: &str) -> Result<Self, InvalidCpuList> {
        let number = |text: &str| text.trim().parse().ok().filter(|number| *number <= LARGEST);
        let range = |part: &str| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to): (u16, u16) = (number(from)?, number(to)?);
            (from <= to).then_some(from..=to)
        };
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        let mut ranges = ranges.ok_or_else(|| InvalidCpuList(text.to_owned()))?;
        ranges.sort_by_key(|range| *range.start());
        let mut list: Vec<RangeInclusive<u16>> = Vec::new();
        for range in ranges {
            match list.last_mut().filter(|last| *range.start() <= last.end() + 1) {
                Some(last) => *last = *last.start()..=*last.end().max(range.end()),
                None => list.push(range),
            }
        }
        Ok(Self(list))
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match range.start() == range.end() {
                true => write!(f, "{comma}{}", range.start())?,
                false => write!(f, "{comma}{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

impl Serialize for CpuList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CpuList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CpuListVisitor)
    }
}

struct CpuListVisitor;

impl Visitor<'_> for CpuListVisitor {
    type Value = CpuList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("processors such as 0-55,112-167")
    }

    /// A single processor may look like a number.
    fn visit_u64<E: Error>(self, value: u64) -> Result<CpuList, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<CpuList, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<CpuList, E> {
        value.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_read_as_the_kernel_lists_them() {
        let cases = [
            ("0-55,112-167", Some("0-55,112-167")),
            ("3", Some("3")),
            ("112-167, 0-55", Some("0-55,112-167")),
            ("0-3,4,2-6,9", Some("0-6,9")),
            ("", Some("")),
            ("8191", Some("8191")),
            ("8192", None),
            ("5-3", None),
            ("1,,2", None),
            ("a", None),
            ("-1", None),
        ];
        for (text, expected) in cases {
            let read = text.parse::<CpuList>().ok().map(|list| list.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_two_lists_share_is_found() {
        let shared =
            |a: &str, b: &str| a.parse::<CpuList>().unwrap().shared(&b.parse::<CpuList>().unwrap());
        assert_eq!(shared("0-55,112-167", "56-111,168-223"), None);
        assert_eq!(shared("0-55,112-167", "56-111,160"), Some(160));
        assert_eq!(shared("", "0-3"), None);
    }
}
