//! How full a pool is, and when that is reported: once as it fills, and again only after it
//! has emptied. Pure.

use std::fmt;

/// From this share in use on a pool runs low, in per cent.
const LOW_PERCENT: u64 = 80;
/// Below this share in use a pool may be reported again, in per cent: one whose use goes up
/// and down around a limit is reported once.
const OVER_PERCENT: u64 = 70;

/// How many of a subnet's dynamic addresses are in use: leased, offered or in quarantine.
/// Addresses reserved for hosts are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many are in use.
    pub used: u64,
    /// How many there are.
    pub of: u64,
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There are addresses, or there never were any.
    #[default]
    Enough,
    /// Four of five are in use.
    Low,
    /// All are in use.
    Exhausted,
}

impl Usage {
    /// How full that is.
    pub fn level(self) -> Level {
        Level::Enough.after(self)
    }

    fn is_at_least(self, percent: u64) -> bool {
        self.used.saturating_mul(100) >= self.of.saturating_mul(percent)
    }
}

impl Level {
    /// The level reported once this usage is seen: one above `self` is news.
    pub fn after(self, usage: Usage) -> Self {
        if usage.of == 0 {
            return Self::Enough;
        }
        if usage.used >= usage.of {
            return Self::Exhausted;
        }
        if usage.is_at_least(LOW_PERCENT) {
            return self.max(Self::Low);
        }
        if usage.is_at_least(OVER_PERCENT) { self } else { Self::Enough }
    }

    /// The word for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Enough => "enough",
            Self::Low => "running low",
            Self::Exhausted => "exhausted",
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.used, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Level::{Enough, Exhausted, Low};

    #[test]
    fn a_level_is_told_once_until_the_pool_has_become_emptier() {
        let cases = [
            ("some in use", Enough, (79, 100), Enough),
            ("four fifths", Enough, (80, 100), Low),
            ("still so", Low, (99, 100), Low),
            ("a little less", Low, (79, 100), Low),
            ("as little as it may be", Low, (70, 100), Low),
            ("less than that", Low, (69, 100), Enough),
            ("all", Low, (100, 100), Exhausted),
            ("all at once", Enough, (100, 100), Exhausted),
            ("one came back", Exhausted, (99, 100), Exhausted),
            ("some came back", Exhausted, (70, 100), Exhausted),
            ("most came back", Exhausted, (69, 100), Enough),
            ("rounded to nobody's favour", Enough, (3, 4), Enough),
            ("a pool of five", Enough, (4, 5), Low),
            ("a pool of one", Enough, (1, 1), Exhausted),
            ("a pool of one that is free", Exhausted, (0, 1), Enough),
            ("no range", Enough, (0, 0), Enough),
            ("a range that was taken away", Exhausted, (0, 0), Enough),
            ("more than there are", Low, (6, 5), Exhausted),
            ("a range of all addresses", Enough, (u64::MAX - 1, u64::MAX), Low),
        ];
        for (name, told, (used, of), expected) in cases {
            assert_eq!(told.after(Usage { used, of }), expected, "{name}");
        }
    }

    #[test]
    fn use_that_goes_up_and_down_around_a_limit_is_told_of_once() {
        let mut told = Enough;
        let mut news = Vec::new();
        let way = [10, 79, 80, 79, 81, 100, 99, 100, 75, 90, 100, 69, 80, 100];
        for used in way {
            let next = told.after(Usage { used, of: 100 });
            if next > told {
                news.push((used, next));
            }
            told = next;
        }
        assert_eq!(news, [(80, Low), (100, Exhausted), (80, Low), (100, Exhausted)]);
    }
}
