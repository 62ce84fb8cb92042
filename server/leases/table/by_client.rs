//! Which addresses are or were a client's. Pure.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;

use hashbrown::HashTable;

use crate::model::ClientKey;

/// The addresses of leases by their clients. Five bytes a lease: the clients themselves are with
/// the leases, and a second copy of a hundred thousand would take twenty times that.
#[derive(Debug, Default)]
pub(super) struct ByClient {
    addresses: HashTable<Ipv4Addr>,
    /// Seeded: a client chooses its identifier, and must not choose whom it collides with.
    hasher: RandomState,
}

impl ByClient {
    /// Adds an address of a client, once; `client_of` gives the client of each address.
    pub(super) fn insert<'a>(
        &mut self,
        client: &ClientKey,
        address: Ipv4Addr,
        client_of: impl Fn(Ipv4Addr) -> Option<&'a ClientKey>,
    ) {
        let Self { addresses, hasher } = self;
        addresses.insert_unique(hasher.hash_one(client), address, |other| {
            client_of(*other).map_or(0, |client| hasher.hash_one(client))
        });
    }

    /// Takes an address from its client.
    pub(super) fn remove(&mut self, client: &ClientKey, address: Ipv4Addr) {
        let found = self.addresses.find_entry(self.hasher.hash_one(client), |it| *it == address);
        if let Ok(entry) = found {
            entry.remove();
        }
    }

    /// The addresses of a client, and now and then another's: clients may share a hash.
    pub(super) fn find(&self, client: &ClientKey) -> impl Iterator<Item = Ipv4Addr> {
        self.addresses.iter_hash(self.hasher.hash_one(client)).copied()
    }
}
