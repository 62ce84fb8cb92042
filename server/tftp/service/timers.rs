//! The moments at which transfers want to be looked at.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::listeners::Peer;

/// A heap of moments. A transfer whose deadline moves further away keeps its
/// entry, and a new one is made when the old one comes up: deadlines move with
/// every acknowledgement, and nearly all of them away.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Duration, Peer)>>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Duration, peer: Peer) {
        self.heap.push(Reverse((at, peer)));
    }

    /// When the next entry comes up.
    pub(super) fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out an entry that has come up.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<(Duration, Peer)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
