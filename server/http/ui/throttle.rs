//! Delays after failed logins. Pure.

use std::collections::HashMap;

/// Failed logins without a delay, for typing errors.
const FREE_FAILURES: u32 = 3;
/// The longest delay, in seconds.
const LONGEST_WAIT: i64 = 60;
/// Seconds after the last failure until it is forgotten.
const MEMORY: i64 = 900;
/// The most pairs of address and name to remember, against memory exhaustion; the oldest is
/// forgotten first.
const CAPACITY: usize = 10_000;

/// Failed logins by client address and user name.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: HashMap<String, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last_at: i64,
}

impl Throttle {
    /// How many seconds `who` must wait at `now` (Unix seconds) before the next try; 0 for none.
    pub(crate) fn wait_seconds(&self, who: &str, now: i64) -> i64 {
        let Some(failures) = self.failures.get(who) else { return 0 };
        let Some(beyond) = failures.count.checked_sub(FREE_FAILURES) else { return 0 };
        let wait = (1_i64 << beyond.min(10)).min(LONGEST_WAIT);
        (failures.last_at + wait - now).max(0)
    }

    /// Records a failed login.
    pub(crate) fn failed(&mut self, who: String, now: i64) {
        self.forget_old(now);
        let failures = self.failures.entry(who).or_insert(Failures { count: 0, last_at: now });
        failures.count = failures.count.saturating_add(1);
        failures.last_at = now;
    }

    /// Forgets the failures after a successful login.
    pub(crate) fn succeeded(&mut self, who: &str) {
        self.failures.remove(who);
    }

    fn forget_old(&mut self, now: i64) {
        if self.failures.len() < CAPACITY {
            return;
        }
        self.failures.retain(|_, failures| now - failures.last_at < MEMORY);
        while self.failures.len() >= CAPACITY {
            let oldest = self.failures.iter().min_by_key(|(_, failures)| failures.last_at);
            let Some(who) = oldest.map(|(who, _)| who.clone()) else { return };
            self.failures.remove(&who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_the_failures_and_ends() {
        let mut throttle = Throttle::default();
        for (failures, wait) in [(1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (9, 60), (40, 60)] {
            throttle.failures.clear();
            for _ in 0..failures {
                throttle.failed("ada".into(), 100);
            }
            assert_eq!(throttle.wait_seconds("ada", 100), wait, "after {failures} failures");
            assert_eq!(throttle.wait_seconds("ada", 100 + wait), 0, "{wait} s later");
            assert_eq!(throttle.wait_seconds("bob", 100), 0, "another user");
        }
        throttle.succeeded("ada");
        assert_eq!(throttle.wait_seconds("ada", 100), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = Throttle::default();
        for number in 0..CAPACITY as i64 + 50 {
            throttle.failed(format!("name {number}"), number);
        }
        assert!(throttle.failures.len() <= CAPACITY);
        assert!(throttle.failures.contains_key(&format!("name {}", CAPACITY + 49)));
    }
}
