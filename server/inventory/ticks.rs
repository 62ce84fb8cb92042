//! Time that passes in equal steps, until the server stops.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Steps of time; the first one is at once.
pub(super) struct Ticks {
    interval: Interval,
    stop: CancellationToken,
}

impl Ticks {
    /// One every so often, until `stop`.
    pub(super) fn every(period: Duration, stop: CancellationToken) -> Self {
        let mut interval = interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, stop }
    }

    /// Waits for the next one; false once the server stops.
    pub(super) async fn next(&mut self) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            _ = self.interval.tick() => true,
        }
    }
}
