//! The record of unknown clients: in memory for DHCP, which never waits for it, and in the database
//! a moment later.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::inventory::database::{execute, insert_rows, with_pool};
use crate::inventory::{Database, Error, Inventory, Snapshot, now_ms};
use crate::lifecycle::unknown::{ClientMarks, SeenClient, UnknownClient, unknown_clients};
use crate::model::{ClientKey, Identity, Lease, NicAddress, Octets};

/// How many clients are recorded: many racks of new hosts, and little memory. A hash table of 4,096
/// places is full then.
const MOST: usize = 3584;
/// How many clients a second may take the place of others: a flood of invented MACs must not
/// push out a rack that was powered on just now.
const REPLACED_A_SECOND: u32 = 20;
/// How soon what was seen is in the database.
const EVERY: Duration = Duration::from_secs(2);
/// How many rows are written at once: a lease may wait for them.
const BATCH: usize = 250;
/// How long a client is recorded that does not ask again.
const KEPT_MS: i64 = 30 * 24 * 3600 * 1000;

/// The unknown clients that this server knows of.
#[derive(Debug, Default)]
pub struct UnknownClients {
    record: Mutex<Record>,
    /// Set once `record` has what the database had: until then nothing is written over it.
    has_stored: OnceCell<()>,
}

#[derive(Debug, Default)]
struct Record {
    clients: HashMap<ClientKey, Recorded>,
    /// Those that are not in the database as they are here.
    changed: HashSet<ClientKey>,
    /// Those that the database may have, and that are to go.
    gone: HashSet<ClientKey>,
    /// The second of the last replacement, and how many it has seen.
    replaced: (i64, u32),
}

#[derive(Debug)]
struct Recorded {
    seen: SeenClient,
    /// Whether it asked only once: one of a flood does.
    once: bool,
}

impl UnknownClients {
    /// Takes note of a client that asks and is in no host. Its marks are asked for only if there
    /// is room for it.
    pub fn note(&self, client: ClientKey, marks: impl FnOnce() -> ClientMarks, now_ms: i64) {
        let mut record = self.record();
        if let Some(recorded) = record.clients.get_mut(&client) {
            let seen = &mut recorded.seen;
            seen.marks = marks().after(&seen.marks);
            seen.last_seen_ms = now_ms;
            recorded.once = false;
        } else {
            if record.clients.len() >= MOST && !record.replaces_one(now_ms) {
                return;
            }
            let (first_seen_ms, last_seen_ms, marks) = (now_ms, now_ms, marks());
            let seen = SeenClient { client: client.clone(), first_seen_ms, last_seen_ms, marks };
            record.clients.insert(client.clone(), Recorded { seen, once: true });
        }
        record.gone.remove(&client);
        record.changed.insert(client);
    }

    /// Forgets a client that is a host's by now.
    pub fn forget(&self, client: &ClientKey) {
        let mut record = self.record();
        if record.clients.remove(client).is_some() {
            record.changed.remove(client);
            record.gone.insert(client.clone());
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.record().clients.is_empty()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the database has. A client may ask again before that.
    fn take_in(&self, stored: Vec<SeenClient>) {
        let mut record = self.record();
        for stored in stored.into_iter().take(MOST) {
            match record.clients.entry(stored.client.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(Recorded { seen: stored, once: false });
                }
                Entry::Occupied(mut entry) => {
                    let recorded = entry.get_mut();
                    let seen = &mut recorded.seen;
                    seen.first_seen_ms = seen.first_seen_ms.min(stored.first_seen_ms);
                    seen.marks = seen.marks.clone().after(&stored.marks);
                    recorded.once = false;
                }
            }
        }
    }

    /// What is to be written next, and what is to be removed.
    fn take_changes(&self) -> (Vec<SeenClient>, Vec<ClientKey>) {
        let mut record = self.record();
        let changed: Vec<ClientKey> = record.changed.iter().take(BATCH).cloned().collect();
        let gone: Vec<ClientKey> = record.gone.iter().take(BATCH).cloned().collect();
        changed.iter().for_each(|client| {
            record.changed.remove(client);
        });
        gone.iter().for_each(|client| {
            record.gone.remove(client);
        });
        let seen =
            changed.iter().filter_map(|client| Some(record.clients.get(client)?.seen.clone()));
        (seen.collect(), gone)
    }
}

impl Record {
    /// Makes room for one more: of those that asked once, the one that did so first goes; else the
    /// one that has been silent the longest.
    fn replaces_one(&mut self, now_ms: i64) -> bool {
        let second = now_ms / 1000;
        if self.replaced.0 != second {
            self.replaced = (second, 0);
        }
        self.replaced.1 += 1;
        if self.replaced.1 > REPLACED_A_SECOND {
            return false;
        }
        let oldest = self.clients.iter().min_by_key(|(_, it)| (!it.once, it.seen.last_seen_ms));
        let Some(client) = oldest.map(|(client, _)| client.clone()) else { return true };
        self.clients.remove(&client);
        self.changed.remove(&client);
        self.gone.insert(client);
        true
    }
}

/// Whether a host has this client among its NICs, is known by its identifier, or has it as BMC.
fn is_known(snapshot: &Snapshot, client: &ClientKey) -> bool {
    match client {
        ClientKey::Host(_) => true,
        ClientKey::Mac(mac) => {
            snapshot.host_of_mac(*mac).is_some() || snapshot.host_of_bmc(*mac).is_some()
        }
        ClientKey::Guid(guid) => snapshot.host_of_nic(NicAddress::Guid(*guid)).is_some(),
        ClientKey::Id(id) => {
            let octets = format!("hex:{id}").parse::<Octets>();
            octets.is_ok_and(|id| snapshot.host_of_identity(&Identity::ClientId(id.0)).is_some())
        }
    }
}

impl Inventory {
    /// Writes down which unknown clients ask, until `stop`.
    pub async fn run_unknown_clients(self, stop: CancellationToken) -> std::io::Result<()> {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                () = stop.cancelled() => true,
                _ = tick.tick() => false,
            };
            if let Err(error) = self.store_unknown_clients().await {
                tracing::debug!(%error, "cannot store which unknown clients were seen");
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Writes down what was seen since the last time.
    async fn store_unknown_clients(&self) -> Result<(), Error> {
        let read = async || {
            self.unknown.take_in(self.database.list_seen_clients().await?);
            Ok::<_, Error>(())
        };
        self.unknown.has_stored.get_or_try_init(read).await?;
        let (seen, gone) = self.unknown.take_changes();
        if seen.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.database.store_seen_clients(&seen, &gone, now_ms() - KEPT_MS).await
    }

    /// The unknown clients at `now` (Unix seconds), those that asked last first.
    pub async fn unknown_clients(
        &self,
        leases: &[Lease],
        now: i64,
    ) -> Result<Vec<UnknownClient>, Error> {
        self.store_unknown_clients().await?;
        let seen = self.database.list_seen_clients().await?;
        let snapshot = self.snapshot();
        Ok(unknown_clients(seen, leases, |client| is_known(&snapshot, client), now))
    }
}

impl Database {
    /// The newest first. One corrupt row does not hide the others.
    async fn list_seen_clients(&self) -> Result<Vec<SeenClient>, Error> {
        const LIST: &str = "SELECT client, first_seen_ms, last_seen_ms, marks FROM unknown_clients
             ORDER BY last_seen_ms DESC";
        let rows: Vec<(String, i64, i64, String)> =
            with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        let read = |(client, first_seen_ms, last_seen_ms, marks): (String, i64, i64, String)| {
            let marks = serde_json::from_str(&marks).ok()?;
            Some(SeenClient { client: client.parse().ok()?, first_seen_ms, last_seen_ms, marks })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Stores clients as they were seen, and removes others: those `gone`, and those not seen since
    /// `oldest_ms`. Another server may have seen a client earlier.
    async fn store_seen_clients(
        &self,
        seen: &[SeenClient],
        gone: &[ClientKey],
        oldest_ms: i64,
    ) -> Result<(), Error> {
        const SEEN: &str =
            "INSERT INTO unknown_clients (client, first_seen_ms, last_seen_ms, marks) ";
        const AGAIN: &str = " ON CONFLICT (client) DO UPDATE SET
             first_seen_ms = CASE WHEN unknown_clients.first_seen_ms < excluded.first_seen_ms
             THEN unknown_clients.first_seen_ms ELSE excluded.first_seen_ms END,
             last_seen_ms = excluded.last_seen_ms, marks = excluded.marks";
        const GONE: &str = "DELETE FROM unknown_clients WHERE client = $1";
        const OLD: &str = "DELETE FROM unknown_clients WHERE last_seen_ms < $1";
        let rows: Vec<(String, &SeenClient, String)> = seen
            .iter()
            .map(|seen| {
                let marks = serde_json::to_string(&seen.marks);
                Ok((
                    seen.client.to_string(),
                    seen,
                    marks.map_err(|error| sqlx::Error::Encode(error.into()))?,
                ))
            })
            .collect::<Result<_, Error>>()?;
        let mut transaction = self.begin_writing().await?;
        insert_rows!(
            &mut transaction,
            SEEN,
            &rows,
            |(client, seen, marks)| [client, seen.first_seen_ms, seen.last_seen_ms, marks],
            AGAIN
        );
        for client in gone {
            execute!(&mut transaction, GONE, client.to_string())?;
        }
        execute!(&mut transaction, OLD, oldest_ms)?;
        transaction.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::client::Client;
    use crate::lifecycle::event::Way;
    use crate::model::Mac;

    fn client(number: u32) -> ClientKey {
        let [a, b, c, d] = number.to_be_bytes();
        ClientKey::Mac(Mac([0x52, 0x54, a, b, c, d]))
    }

    fn marks() -> ClientMarks {
        ClientMarks {
            client: Client::Plain,
            vendor_class: None,
            host_name: None,
            uuid: None,
            way: Way::Interface("lan".into()),
            remote_id: None,
            unanswered: None,
        }
    }

    /// A rack that asks keeps its place in a flood of invented MACs.
    #[test]
    fn a_flood_of_invented_clients_does_not_push_out_those_that_ask_again() {
        let unknown = UnknownClients::default();
        for host in 0..40 {
            unknown.note(client(host), marks, 1000);
            unknown.note(client(host), marks, 1500);
        }
        for number in 0..100_000 {
            unknown.note(client(1000 + number), marks, 2000 + i64::from(number) / 10);
        }
        let record = unknown.record();
        assert_eq!(record.clients.len(), MOST);
        assert!((0..40).all(|host| record.clients.contains_key(&client(host))));
        assert!(record.gone.len() <= 11 * REPLACED_A_SECOND as usize, "{}", record.gone.len());
    }

    /// The server has started, and its record is not read yet.
    #[test]
    fn a_client_that_asks_before_the_record_is_read_stays_the_one_that_it_was() {
        let stored = SeenClient {
            client: client(1),
            first_seen_ms: 1000,
            last_seen_ms: 2000,
            marks: ClientMarks {
                client: Client::RaspberryPi,
                host_name: Some("new".into()),
                ..marks()
            },
        };
        let unknown = UnknownClients::default();
        unknown.note(client(1), marks, 9000);
        unknown.take_in(vec![stored.clone()]);
        let (seen, _) = unknown.take_changes();
        let marks = marks().after(&stored.marks);
        assert_eq!(seen, vec![SeenClient { last_seen_ms: 9000, marks, ..stored }]);
    }

    #[test]
    fn a_client_that_became_a_host_is_forgotten() {
        let unknown = UnknownClients::default();
        unknown.note(client(1), marks, 1000);
        unknown.forget(&client(1));
        unknown.forget(&client(2));
        assert!(unknown.is_empty());
        let (seen, gone) = unknown.take_changes();
        assert_eq!((seen, gone), (Vec::new(), vec![client(1)]));
    }
}
