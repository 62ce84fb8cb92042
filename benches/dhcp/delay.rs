//! How long an OFFER takes: an open loop, beside an echo and what the machine loses meanwhile.

use crate::contender::Board;
use crate::figures::{Verdict, percentile};
use crate::process::Stolen;

use super::load::{Ledger, Pace, Plan};
use super::{OURS, PASSES, Turn, echo, one_relay};

/// The row of the echo.
pub(super) const ECHO: &str = "bare echo";
pub(super) const OFFER_P50: &str = "OFFER p50 ms";
pub(super) const OFFER_P99: &str = "OFFER p99 ms";
pub(super) const OFFER_WORST: &str = "its worst pass";
pub(super) const EXCHANGE_P99: &str = "exchange p99 ms";
/// Of the processors' time, what the machine's own host gave to others.
pub(super) const STOLEN: &str = "stolen %";

/// What an OFFER may take, in milliseconds, on a machine whose echo takes less.
const TARGET: f64 = 0.35;

impl Turn<'_> {
    /// How long known clients wait when `rate` of them come in a second, whatever the server
    /// does; and, beside rackstrap, how long they wait for an echo.
    pub(super) fn delays(&mut self, clients: &mut [u32], rate: f64, ledger: &mut Ledger) {
        for _ in 0..PASSES {
            if self.name == OURS {
                let lab = self.lab;
                let mut own = Ledger::new();
                echo::beside(lab, || self.pass(ECHO, echo::PORT, clients, rate, &mut own));
            }
            self.pass(self.name, super::PORT, clients, rate, ledger);
        }
    }

    /// A second of them, or each once.
    fn pass(
        &mut self,
        row: &'static str,
        port: u16,
        clients: &mut [u32],
        rate: f64,
        ledger: &mut Ledger,
    ) {
        let count = (rate as usize).clamp(1, clients.len());
        let plan = Plan { port, ..one_relay(&clients[..count], Pace::Open(rate), 3) };
        let stolen = Stolen::begin();
        let (outcome, _) = self.load(&plan, ledger);
        let samples = self.board.of(row);
        samples.add(STOLEN, stolen.percent());
        samples.add(OFFER_P50, percentile(&outcome.offers, 50.0));
        samples.add(OFFER_P99, percentile(&outcome.offers, 99.0));
        samples.add(EXCHANGE_P99, percentile(&outcome.exchanges, 99.0));
        clients.rotate_left(count);
    }
}

/// An OFFER's delay against the target, or against the echo's where that is slow itself.
pub(super) fn verdict(board: &Board) -> Verdict {
    let (ours, echo) = (board.median(OURS, OFFER_P99), board.median(ECHO, OFFER_P99));
    let target = "OFFER p99 at half rate: <= 0.35 ms, or <= 1.5x a bare echo's";
    Verdict::at_most(target, ours, TARGET.max(1.5 * echo))
}
