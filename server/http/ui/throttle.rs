//! Delays after failed logins. Pure.

use std::collections::HashMap;

/// Guesses without a delay, for typing errors: of one name from one address, of one name from
/// anywhere, and from one address for any name.
const FREE_GUESSES: [u32; 3] = [3, 10, 30];
/// The longest delay, in seconds.
const LONGEST_WAIT: i64 = 60;
/// Seconds after the last guess until it is forgotten.
const MEMORY: i64 = 900;
/// The most names, addresses and pairs to remember, against memory exhaustion; the oldest is
/// forgotten first.
const CAPACITY: usize = 10_000;

/// Guesses of passwords that were not right.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: HashMap<String, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last_at: i64,
}

/// What guesses are counted by: name and address, name, address.
fn keys(name: &str, source: &str) -> [String; 3] {
    let name = name.to_lowercase();
    [format!("both {source} {name}"), format!("name {name}"), format!("address {source}")]
}

impl Throttle {
    /// Counts a guess for `name` from the address `source` at `now` (Unix seconds), as failed until
    /// [`Self::succeeded`].
    ///
    /// # Errors
    /// How many seconds to wait; then it is not counted and must not be looked at.
    pub(crate) fn begin(&mut self, name: &str, source: &str, now: i64) -> Result<(), i64> {
        let keys = keys(name, source);
        let waits = keys.iter().zip(FREE_GUESSES).map(|(key, free)| self.wait(key, free, now));
        let wait = waits.max().unwrap_or(0);
        if wait > 0 {
            return Err(wait);
        }
        self.forget_old(now);
        for key in keys {
            let failures = self.failures.entry(key).or_insert(Failures { count: 0, last_at: now });
            failures.count = failures.count.saturating_add(1);
            failures.last_at = now;
        }
        Ok(())
    }

    fn wait(&self, key: &str, free: u32, now: i64) -> i64 {
        let Some(failures) = self.failures.get(key) else { return 0 };
        let Some(beyond) = failures.count.checked_sub(free) else { return 0 };
        let wait = (1_i64 << beyond.min(10)).min(LONGEST_WAIT);
        (failures.last_at + wait - now).max(0)
    }

    /// The guess was right. What others guess of the same name from elsewhere stays counted.
    pub(crate) fn succeeded(&mut self, name: &str, source: &str) {
        let [both, name, address] = keys(name, source);
        let own = self.failures.remove(&both).map_or(0, |failures| failures.count);
        for key in [name, address] {
            if let Some(failures) = self.failures.get_mut(&key) {
                failures.count = failures.count.saturating_sub(own);
            }
        }
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

    const HOME: &str = "10.0.0.1";

    #[test]
    fn the_wait_grows_with_the_guesses_and_ends() {
        for (guesses, wait) in [(1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (9, 60), (12, 60)] {
            let mut throttle = Throttle::default();
            let mut now = 100;
            for _ in 0..guesses {
                while let Err(seconds) = throttle.begin("ada", HOME, now) {
                    now += seconds;
                }
            }
            let next = throttle.begin("Ada", HOME, now);
            assert_eq!(next.err().unwrap_or(0), wait, "after {guesses} guesses");
            if wait > 0 {
                assert_eq!(throttle.begin("ada", HOME, now + wait), Ok(()), "{wait} s later");
            }
            assert_eq!(throttle.begin("bob", HOME, now), Ok(()), "another user");
        }
    }

    #[test]
    fn many_at_once_are_no_more_than_as_many_in_a_row() {
        let mut throttle = Throttle::default();
        let looked_at = (0..300).filter(|_| throttle.begin("ada", HOME, 100).is_ok()).count();
        assert_eq!(looked_at, 3);
    }

    #[test]
    fn one_name_and_one_address_have_bounds_of_their_own() {
        let mut throttle = Throttle::default();
        let from = |number: usize| format!("10.1.0.{number}");
        let by_name = (0..100).filter(|n| throttle.begin("ada", &from(*n), 100).is_ok()).count();
        assert_eq!(by_name, 10);
        let mut throttle = Throttle::default();
        let name = |number: usize| format!("user{number}");
        let by_source = (0..100).filter(|n| throttle.begin(&name(*n), HOME, 100).is_ok()).count();
        assert_eq!(by_source, 30);
    }

    #[test]
    fn a_right_guess_takes_back_its_own_only() {
        let mut throttle = Throttle::default();
        (0..3).for_each(|_| throttle.begin("ada", HOME, 100).unwrap());
        throttle.succeeded("ada", HOME);
        assert_eq!(throttle.begin("ada", HOME, 100), Ok(()));
        (0..9).for_each(|n| throttle.begin("ada", &format!("10.2.0.{n}"), 100).unwrap());
        throttle.succeeded("ada", HOME);
        assert!(throttle.failures["name ada"].count == 9);
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = Throttle::default();
        for number in 0..CAPACITY as i64 + 50 {
            let _ = throttle.begin(&format!("name{number}"), &number.to_string(), number);
        }
        assert!(throttle.failures.len() <= CAPACITY + 3);
        assert!(throttle.failures.contains_key(&format!("name name{}", CAPACITY + 49)));
    }
}
