//! What the database would hold: the rules of its guard against taking a running lease.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use crate::model::{Lease, LeaseState};

/// The stored leases.
#[derive(Default)]
pub(super) struct Storage(HashMap<Ipv4Addr, Lease>);

impl Storage {
    /// Stores a lease as of `now` unless another client's stands in the way; gives it as
    /// it is stored.
    pub(super) fn claim(&mut self, wanted: &Lease, now: i64) -> Option<Lease> {
        let before = self.0.get(&wanted.address);
        if before.is_some_and(|before| !yields(before, wanted, now)) {
            return None;
        }
        let running =
            before.filter(|lease| lease.state == LeaseState::Bound && lease.expires_at > now);
        let starts_at = running.map_or(now, |lease| lease.starts_at);
        let lease = Lease { starts_at, ..wanted.clone() };
        self.0.insert(lease.address, lease.clone());
        Some(lease)
    }

    pub(super) fn find(&self, address: Ipv4Addr) -> Option<Lease> {
        self.0.get(&address).cloned()
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.0.values()
    }
}

/// Whether a stored lease gives way to another.
fn yields(before: &Lease, wanted: &Lease, now: i64) -> bool {
    let over = before.expires_at <= now || before.state == LeaseState::Released;
    let same = before.client == wanted.client || (before.nic == wanted.nic && before.nic.is_some());
    over || (before.state == LeaseState::Bound && same)
}
