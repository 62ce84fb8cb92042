//! Times and durations as text. Pure: the current time and the zone are arguments.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment for a `<time>` element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The machine's form (RFC 3339).
    pub datetime: String,
    /// The reader's form: the time alone when it is today.
    pub text: String,
}

/// A moment (Unix milliseconds) in `zone`, as it reads at `now_ms`.
pub(crate) fn moment(at_ms: i64, now_ms: i64, zone: &TimeZone) -> Moment {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default().to_zoned(zone.clone());
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(zone.clone());
    let today = at.date() == now.date();
    let form = if today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    Moment { datetime: at.timestamp().to_string(), text: at.strftime(form).to_string() }
}

/// What a zone is called at a moment, and how far it is from UTC: `CET (+01:00)`.
pub(crate) fn zone_name(at_ms: i64, zone: &TimeZone) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default().to_zoned(zone.clone());
    at.strftime("%Z (%:z)").to_string()
}

/// A span in words: `42 s`, `3 min`, `5 h`, `2 d`.
pub(crate) fn span(seconds: i64) -> String {
    match seconds.max(0) {
        s if s < 100 => format!("{s} s"),
        s if s < 6000 => format!("{} min", s / 60),
        s if s < 172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn today_needs_no_date() {
        let noon = 1_790_000_000_000;
        assert_eq!(moment(noon, noon + 5000, &TimeZone::UTC).text, "14:13:20");
        let old = moment(noon - 86_400_000, noon, &TimeZone::UTC);
        assert_eq!(old.text, "2026-09-20 14:13:20");
        assert_eq!(old.datetime, "2026-09-20T14:13:20Z");
        assert!(!moment(i64::MAX, 0, &TimeZone::UTC).text.is_empty());
    }

    #[test]
    fn a_zone_has_its_name_and_its_distance() {
        assert_eq!(zone_name(0, &TimeZone::UTC), "UTC (+00:00)");
        let east = TimeZone::fixed(jiff::tz::offset(9));
        assert!(zone_name(0, &east).ends_with("(+09:00)"), "{}", zone_name(0, &east));
    }

    #[test]
    fn spans_read_as_people_say_them() {
        let cases = [(0, "0 s"), (99, "99 s"), (100, "1 min"), (7200, "2 h"), (200_000, "2 d")];
        for (seconds, text) in cases {
            assert_eq!(span(seconds), text);
        }
    }
}
