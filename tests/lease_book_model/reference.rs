//! What may happen to a lease book, and the small reference that says what comes of it.

use super::*;

/// What happens next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Changes are asked for at once, and all are waited for.
    Changes(Vec<Change>),
    /// Changes are asked for at once; the power fails when they were looked at so often.
    PowerFailure(Vec<Change>, u32),
    /// A client asks for an address, and is kept one in memory.
    Discover(u8),
    /// An operator takes an address back.
    Remove(u8),
    /// Time goes by, in seconds.
    Wait(i64),
}

/// One change of one address by one client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub state: LeaseState,
    pub address: u8,
    pub client: u8,
    /// Whether the client is known by its host's name by now.
    pub named: bool,
}

pub(super) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 1 + number)
}

pub(super) fn mac(client: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0xaa, 0, client])
}

impl Change {
    pub(super) fn lease(self, now: i64) -> Lease {
        let lasts = if self.state == LeaseState::Released { 0 } else { LEASE_SECONDS };
        let client = match self.named {
            true => ClientKey::Host(format!("host{}", self.client)),
            false => ClientKey::Mac(mac(self.client)),
        };
        Lease {
            address: address(self.address),
            client,
            nic: Some(mac(self.client).into()),
            subnet: "lan".into(),
            state: self.state,
            starts_at: now,
            expires_at: now + lasts,
            taken_over: false,
        }
    }
}

pub(super) fn changes() -> impl Strategy<Value = Vec<Change>> {
    use LeaseState::{Bound, Declined, Released};
    let state = prop::sample::select(vec![Bound, Bound, Bound, Bound, Released, Declined]);
    let change = (state, 0..4_u8, 0..3_u8, prop::bool::weighted(0.2));
    let change =
        change.prop_map(|(state, address, client, named)| Change { state, address, client, named });
    prop::collection::vec(change, 1..8)
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let looks = prop_oneof![0..12_u32, (0..15_u32).prop_map(|power| 1 << power)];
    let waits = prop::sample::select(vec![1, 59, 60, 299, 599, 600, 601]);
    let step = prop_oneof![
        6 => changes().prop_map(Step::Changes),
        4 => (changes(), looks).prop_map(|(changes, looks)| Step::PowerFailure(changes, looks)),
        2 => (0..3_u8).prop_map(Step::Discover),
        1 => (0..4_u8).prop_map(Step::Remove),
        3 => waits.prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..16)
}

/// The reference: what the database holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Model(pub BTreeMap<Ipv4Addr, Lease>);

impl Model {
    /// A running lease yields to nobody but its own client, by name or by MAC; a
    /// quarantine to nobody at all.
    pub(super) fn apply(&mut self, wanted: &Lease, now: i64) -> Result<Lease, CommitError> {
        let before = self.0.get(&wanted.address);
        let runs = |lease: &&Lease| lease.state != LeaseState::Released && lease.expires_at > now;
        if let Some(before) = before.filter(runs) {
            let own = before.client == wanted.client || before.nic == wanted.nic;
            if before.state == LeaseState::Declined || !own {
                return Err(CommitError::Taken(wanted.address));
            }
        }
        let starts_at = before.filter(runs).map_or(now, |lease| lease.starts_at);
        let lease = Lease { starts_at, ..wanted.clone() };
        self.0.insert(lease.address, lease.clone());
        Ok(lease)
    }

    pub(super) fn list(&self) -> Vec<Lease> {
        self.0.values().cloned().collect()
    }
}
