//! Which addresses are or were a client's. Pure.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;

use crate::model::ClientKey;

/// The addresses of leases by the hash of their client. The clients themselves are with the
/// leases: a second copy of each would cost more memory than everything else in this index.
#[derive(Debug, Default)]
pub(super) struct ByClient {
    addresses: BTreeSet<(u64, Ipv4Addr)>,
    /// Seeded: a client chooses its identifier, and must not choose whom it collides with.
    hasher: RandomState,
}

impl ByClient {
    pub(super) fn insert(&mut self, client: &ClientKey, address: Ipv4Addr) {
        self.addresses.insert((self.hasher.hash_one(client), address));
    }

    pub(super) fn remove(&mut self, client: &ClientKey, address: Ipv4Addr) {
        self.addresses.remove(&(self.hasher.hash_one(client), address));
    }

    /// The addresses of a client in order, and now and then another's: clients may share a hash.
    pub(super) fn find(&self, client: &ClientKey) -> impl Iterator<Item = Ipv4Addr> {
        let hash = self.hasher.hash_one(client);
        let range = (hash, Ipv4Addr::UNSPECIFIED)..=(hash, Ipv4Addr::BROADCAST);
        self.addresses.range(range).map(|(_, address)| *address)
    }
}
