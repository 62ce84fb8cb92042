//! Moments as an operator writes them: a day, or a time with its zone. Pure.

use std::fmt;
use std::str::FromStr;

use super::as_text::as_text;
use jiff::Timestamp;
use jiff::civil::Date;

/// A day such as `2026-11-01`, or a time such as `2026-11-01T12:00:00Z` (RFC 3339). Days are
/// counted in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// A whole day.
    Day(Date),
    /// One moment.
    Time(Timestamp),
}

/// A text that is neither a day nor a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a day or a time: expected 2026-11-01 or 2026-11-01T12:00:00Z")]
pub struct InvalidWhen(pub String);

impl When {
    /// Its first second, in Unix time.
    pub fn begins_at(self) -> i64 {
        match self {
            Self::Day(day) => seconds_of(day),
            Self::Time(time) => time.as_second(),
        }
    }

    /// The second after its last, in Unix time: what lasts until a day lasts all that day.
    pub fn ends_at(self) -> i64 {
        match self {
            Self::Day(day) => seconds_of(day) + 86_400,
            Self::Time(time) => time.as_second(),
        }
    }
}

/// The second that a day begins at.
fn seconds_of(day: Date) -> i64 {
    // Only the very ends of jiff's ten thousand years lie outside of its timestamps.
    let zoned = day.to_zoned(jiff::tz::TimeZone::UTC);
    zoned.map_or(i64::MAX / 2, |zoned| zoned.timestamp().as_second())
}

impl FromStr for When {
    type Err = InvalidWhen;

    fn from_str(text: &str) -> Result<Self, InvalidWhen> {
        // jiff reads many more spellings of a day; one is enough.
        let is_day = text.len() == 10 && text.as_bytes()[4] == b'-';
        let read = match is_day {
            true => text.parse().map(Self::Day).ok(),
            false => text.parse().map(Self::Time).ok(),
        };
        read.ok_or_else(|| InvalidWhen(text.chars().take(40).collect()))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

as_text!(When);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_lasts_until_its_end_and_a_time_is_a_moment() {
        let cases = [
            ("1970-01-02", "1970-01-02", 86_400, 172_800),
            ("1970-01-01T00:01:00Z", "1970-01-01T00:01:00Z", 60, 60),
            ("1970-01-01T08:00:00+08:00", "1970-01-01T00:00:00Z", 0, 0),
        ];
        for (text, shown, begins, ends) in cases {
            let when: When = text.parse().unwrap();
            assert_eq!(
                (when.to_string().as_str(), when.begins_at(), when.ends_at()),
                (shown, begins, ends)
            );
        }
        let extremes: [When; 2] = ["9999-12-31", "0001-01-01"].map(|text| text.parse().unwrap());
        assert!(extremes[0].ends_at() > extremes[1].begins_at());
    }

    #[test]
    fn what_is_no_day_and_no_time_is_refused() {
        for text in ["", "tomorrow", "2026-02-30", "01.11.2026", "2026-11-01T12:00:00", "20261101"]
        {
            let error = text.parse::<When>().unwrap_err().to_string();
            assert!(error.contains("expected 2026-11-01 or 2026-11-01T12:00:00Z"), "{error}");
        }
    }
}
