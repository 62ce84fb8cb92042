//! Counts unanswered packets, so that a flood of invalid ones costs one log line a minute.

use std::collections::BTreeMap;

use crate::metrics::DHCP_UNANSWERED;

/// Packets that were dropped, by reason, since the last report.
#[derive(Debug, Default)]
pub(super) struct Drops(BTreeMap<&'static str, u64>);

impl Drops {
    /// Counts one packet.
    pub(super) fn count(&mut self, reason: &'static str) {
        DHCP_UNANSWERED.count(reason);
        *self.0.entry(reason).or_default() += 1;
    }

    /// Logs the counts and begins anew.
    pub(super) fn report(&mut self, interface: &str) {
        for (reason, count) in std::mem::take(&mut self.0) {
            tracing::info!(interface, count, "packets not answered: {reason}");
        }
    }
}
