//! Moments as people type them. Pure: the current time and the zone are arguments.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A text that is not a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a time: expected a day such as 2026-11-28, a time such as 2026-11-28 21:05, \
     RFC 3339, or how long ago, such as 30m, 12h or 7d"
)]
pub struct InvalidMoment(pub String);

/// Reads a moment, as Unix milliseconds: a day or a local time in `zone`, RFC 3339, or how long
/// before `now_ms` it was.
pub fn parse(text: &str, now_ms: i64, zone: &TimeZone) -> Result<i64, InvalidMoment> {
    let text = text.trim();
    let found = ago(text, now_ms)
        .or_else(|| Some(text.parse::<Timestamp>().ok()?.as_millisecond()))
        .or_else(|| local(text.parse::<DateTime>().ok()?, zone))
        .or_else(|| local(text.parse::<Date>().ok()?.at(0, 0, 0, 0), zone));
    found.ok_or_else(|| InvalidMoment(text.to_owned()))
}

fn local(moment: DateTime, zone: &TimeZone) -> Option<i64> {
    Some(zone.to_ambiguous_zoned(moment).compatible().ok()?.timestamp().as_millisecond())
}

fn ago(text: &str, now_ms: i64) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: i64 = number.parse().ok().filter(|number| (0..=100_000).contains(number))?;
    let span = match unit {
        "s" => number.seconds(),
        "m" => number.minutes(),
        "h" => number.hours(),
        "d" => (number * 24).hours(),
        _ => return None,
    };
    let now = Timestamp::from_millisecond(now_ms).ok()?;
    Some(now.checked_sub(span).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_people_type_it() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let now_ms = 1_790_000_000_000;
        let cases = [
            ("2026-11-28", Some(1_795_820_400_000)),
            ("2026-11-28 00:00", Some(1_795_820_400_000)),
            ("2026-11-28T00:00:01", Some(1_795_820_401_000)),
            ("2026-11-27T23:00:00Z", Some(1_795_820_400_000)),
            (" 90s ", Some(now_ms - 90_000)),
            ("2h", Some(now_ms - 7_200_000)),
            ("7d", Some(now_ms - 604_800_000)),
            ("", None),
            ("yesterday", None),
            ("-3h", None),
            ("d", None),
            ("28.11.2026", None),
            ("\u{e4}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, now_ms, &zone).ok(), expected, "{text}");
        }
    }
}
