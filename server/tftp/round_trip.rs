//! How long to wait for an acknowledgement, by the measured round trip
//! (RFC 6298 and Karn's rule, with a floor for a rack's network). Pure.

use std::time::Duration;

/// Below this a busy client looks like a lost packet.
const FLOOR: Duration = Duration::from_millis(20);
/// The wait before anything is measured, if the client asked for no other.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait for a client that did answer, as long as nothing is measured:
/// its first answer may have been to any of several packets.
const ANSWERED: Duration = Duration::from_millis(200);
/// The longest wait for a client that was not measured.
const CEILING: Duration = Duration::from_secs(5);
/// The longest wait for one that was. atftp answers a repeated block only once,
/// and starts its own timer of 5 s anew with each: only a longer silence wakes it.
const MEASURED_CEILING: Duration = Duration::from_secs(10);

/// The retransmission timer of one transfer.
#[derive(Clone, Debug)]
pub(super) struct RoundTrip {
    measured: Option<Measured>,
    wait: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    smoothed: Duration,
    variation: Duration,
    smallest: Duration,
}

impl RoundTrip {
    /// A timer that has measured nothing yet; `asked` is the client's `timeout` option.
    pub(super) fn new(asked: Option<Duration>) -> Self {
        Self { measured: None, wait: asked.unwrap_or(FIRST).min(CEILING) }
    }

    /// How long to wait for the acknowledgement of what is sent now.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// The shortest round trip seen.
    pub(super) fn smallest(&self) -> Option<Duration> {
        self.measured.map(|measured| measured.smallest)
    }

    /// Takes in the round trip of something that was sent once (Karn's rule: of
    /// of what was sent twice it is unknown which one was acknowledged).
    pub(super) fn measure(&mut self, sample: Duration) {
        let next = match self.measured {
            None => Measured { smoothed: sample, variation: sample / 2, smallest: sample },
            Some(Measured { smoothed, variation, smallest }) => Measured {
                smoothed: (smoothed * 7 + sample) / 8,
                variation: (variation * 3 + smoothed.abs_diff(sample)) / 4,
                smallest: smallest.min(sample),
            },
        };
        self.measured = Some(next);
        self.wait = (next.smoothed + next.variation * 4).clamp(FLOOR, CEILING);
    }

    /// Takes in an answer to something that was sent more than once.
    pub(super) fn answered(&mut self) {
        if self.measured.is_none() {
            self.wait = self.wait.min(ANSWERED);
        }
    }

    /// Waits longer from now on, until something is measured again. Before the
    /// first measurement the wait grows more slowly: it is long already.
    pub(super) fn back_off(&mut self) {
        self.wait = match self.measured {
            Some(_) => (self.wait * 2).min(MEASURED_CEILING),
            None => (self.wait * 3 / 2).min(CEILING),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn before_a_measurement_the_wait_grows_from_one_second_to_five() {
        let mut timer = RoundTrip::new(None);
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.push(timer.wait().as_millis());
            timer.back_off();
        }
        assert_eq!(waits, [1000, 1500, 2250, 3375, 5000, 5000]);
    }

    #[test]
    fn the_clients_timeout_is_the_first_wait_within_five_seconds() {
        assert_eq!(RoundTrip::new(Some(ms(3000))).wait(), ms(3000));
        assert_eq!(RoundTrip::new(Some(ms(255_000))).wait(), CEILING);
    }

    #[test]
    fn a_client_that_answered_late_is_not_waited_for_as_if_it_never_had() {
        let mut timer = RoundTrip::new(None);
        timer.back_off();
        timer.answered();
        assert_eq!(timer.wait(), ANSWERED);
        timer.measure(ms(1));
        timer.back_off();
        timer.answered();
        assert_eq!(timer.wait(), FLOOR * 2, "a measurement knows better");
    }

    #[test]
    fn a_measured_wait_follows_the_round_trip_and_has_a_floor() {
        let mut timer = RoundTrip::new(None);
        timer.measure(Duration::from_micros(60));
        assert_eq!(timer.wait(), FLOOR);
        for _ in 0..50 {
            timer.measure(ms(100));
        }
        assert!((ms(100)..ms(130)).contains(&timer.wait()), "{:?}", timer.wait());
        assert_eq!(timer.smallest(), Some(Duration::from_micros(60)));
    }

    #[test]
    fn losses_double_the_wait_until_the_next_measurement() {
        let mut timer = RoundTrip::new(None);
        timer.measure(ms(1));
        for wait in [20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_000, 10_000] {
            assert_eq!(timer.wait(), ms(wait));
            timer.back_off();
        }
        timer.measure(ms(1));
        assert_eq!(timer.wait(), FLOOR);
    }
}
