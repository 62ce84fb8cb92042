//! What is remembered of each client, by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// How many transfers one client may run. Firmware runs one at a time; many
/// clients behind one translated address share this.
const MAX_TRANSFERS: usize = 64;
/// For how long an idle client is remembered.
const KEPT: Duration = Duration::from_secs(600);

/// What one client does and did last.
#[derive(Default)]
pub(super) struct ClientUse {
    /// How many transfers it runs.
    pub(super) running: usize,
    /// The directory of the boot program that it fetched last.
    pub(super) directory: String,
    /// The socket that answered it last.
    pub(super) socket: Option<u64>,
    seen_at: Duration,
}

/// All clients that were seen lately.
#[derive(Default)]
pub(super) struct Clients {
    by_address: HashMap<IpAddr, ClientUse>,
}

impl Clients {
    /// The client of an address.
    pub(super) fn of(&mut self, address: IpAddr, now: Duration) -> &mut ClientUse {
        let client = self.by_address.entry(address).or_default();
        client.seen_at = now;
        client
    }

    /// Whether a client runs as many transfers as it may.
    pub(super) fn is_busy(&self, address: IpAddr) -> bool {
        self.running(address) >= MAX_TRANSFERS
    }

    /// How many transfers a client runs.
    pub(super) fn running(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).map_or(0, |client| client.running)
    }

    /// Notes that one of a client's transfers ended.
    pub(super) fn end(&mut self, address: IpAddr) {
        if let Some(client) = self.by_address.get_mut(&address) {
            client.running = client.running.saturating_sub(1);
        }
    }

    /// Forgets clients that did nothing for ten minutes.
    pub(super) fn forget_idle(&mut self, now: Duration) {
        self.by_address.retain(|_, client| client.running > 0 || client.seen_at + KEPT > now);
    }
}
