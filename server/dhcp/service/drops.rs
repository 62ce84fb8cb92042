//! Counts unanswered packets, so that a flood of invalid ones costs one log line a minute.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::metrics::DHCP_UNANSWERED;

/// How many different reasons are told apart; the rest is counted together.
const MAX_REASONS: usize = 64;

/// Packets that were dropped, by reason, since the last report.
#[derive(Debug, Default)]
pub(super) struct Drops(BTreeMap<String, u64>);

impl Drops {
    /// Counts one packet.
    pub(super) fn count(&mut self, reason: &impl Display) {
        let reason = reason.to_string();
        DHCP_UNANSWERED.count(&reason);
        if self.0.len() >= MAX_REASONS && !self.0.contains_key(&reason) {
            *self.0.entry("other".to_owned()).or_default() += 1;
            return;
        }
        *self.0.entry(reason).or_default() += 1;
    }

    /// Logs the counts and begins anew.
    pub(super) fn report(&mut self, interface: &str) {
        for (reason, count) in std::mem::take(&mut self.0) {
            tracing::info!(interface, count, "packets not answered: {reason}");
        }
    }
}
