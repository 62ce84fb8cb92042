//! Learns at once what other processes do to leases: other servers on one PostgreSQL, which
//! announce their addresses too, and `rackstrap lease remove` beside a server on SQLite.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::postgres::{PgListener, PgPool};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::inventory::database::Sqlite;
use crate::inventory::{Database, Postgres, now_ms};
use crate::leases::LeaseBook;
use crate::leases::book::{read_all, read_leases};
use crate::model::Lease;

/// The channel of PostgreSQL's notifications about leases.
const CHANNEL: &str = "rackstrap_lease";
/// How often this server announces its addresses to the others, and how long it believes theirs.
const HELLO: Duration = Duration::from_secs(5);
const PEER_SECONDS: i64 = 30;
/// How often SQLite is asked for leases that another process removed.
const POLL: Duration = Duration::from_millis(500);
/// How long an announcement may take. It is sent by the connection that listens: one that lost its
/// server without a word would be silent for ever.
const ANSWER: Duration = Duration::from_secs(2);
/// The delay before reconnecting to PostgreSQL: after a connection that lasted, and at most.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT: Duration = Duration::from_secs(1);
/// How many notifications are taken in at once, and leases under one lock.
const CHUNK: usize = 512;

/// Has the database notify every change of a lease, whoever makes it. A trigger, so that no
/// statement that writes leases can forget it. Two servers that start together take turns.
const CREATE_TRIGGER: [&str; 3] = [
    "SELECT pg_advisory_xact_lock(7261636873747261)",
    "CREATE OR REPLACE FUNCTION rackstrap_tell_lease() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
         IF TG_OP = 'DELETE' THEN
             PERFORM pg_notify('rackstrap_lease', OLD.address);
         ELSE
             PERFORM pg_notify('rackstrap_lease',
                 concat_ws(' ', NEW.address, NEW.state, NEW.expires_at, NEW.client));
         END IF;
         RETURN NULL;
     END $$",
    "DO $$ BEGIN
         IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'rackstrap_tell_lease'
                        AND tgrelid = 'leases'::regclass) THEN
             CREATE TRIGGER rackstrap_tell_lease AFTER INSERT OR UPDATE OR DELETE ON leases
             FOR EACH ROW EXECUTE FUNCTION rackstrap_tell_lease();
         END IF;
     END $$",
];

impl LeaseBook {
    /// Learns what other processes do to leases, until `stop`.
    pub async fn run_watch(self, stop: CancellationToken) -> std::io::Result<()> {
        let watch = async {
            match self.database() {
                Database::Sqlite(sqlite) => self.watch_removals(sqlite).await,
                Database::Postgres(postgres) => self.watch_notifications(postgres).await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = watch => {}
        }
        Ok(())
    }

    async fn watch_notifications(&self, postgres: &Postgres) {
        let mut delay = RECONNECT_FIRST;
        loop {
            let began = Instant::now();
            let connections = postgres.connections();
            if let Err(error) = connections.wait_for(self.listen(&connections.pool)).await {
                tracing::warn!(%error, "lost the notification channel to PostgreSQL; reconnecting");
            }
            // Soon at first: on a new primary the others may be leasing already.
            delay = if began.elapsed() > RECONNECT { RECONNECT_FIRST } else { delay * 2 };
            delay = delay.min(RECONNECT);
            sleep(delay).await;
        }
    }

    /// Takes in notifications until the connection is lost.
    async fn listen(&self, pool: &PgPool) -> sqlx::Result<()> {
        let mut transaction = pool.begin().await?;
        for statement in CREATE_TRIGGER {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        let mut listener = PgListener::connect_with(pool).await?;
        // A connection that is lost must be seen here, since what was told meanwhile is lost, too: a
        // receive that is dropped while it reconnects would not say so.
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        // What happened before the listener was there.
        self.learn_all().await?;
        let mut hello = interval(HELLO);
        hello.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = Vec::new();
        loop {
            tokio::select! {
                _ = hello.tick() => {
                    known = self.table().own_addresses();
                    let announced = announce_addresses(&mut listener, &known);
                    timeout(ANSWER, announced).await.map_err(std::io::Error::from)??;
                }
                received = listener.try_recv() => {
                    let Some(first) = received? else { return Ok(()) };
                    let mut payloads = vec![first.payload().to_owned()];
                    // What has come meanwhile, so that it is read by one statement: one for each
                    // would take longer than another busy server needs to make the next leases.
                    while payloads.len() < CHUNK
                        && let Some(next) = listener.try_recv().now_or_never()
                    {
                        let Some(next) = next? else { return Ok(()) };
                        payloads.push(next.payload().to_owned());
                    }
                    self.take_in(&payloads).await?;
                }
            }
            // An interface got another address: the others must not report it as a foreign server.
            if self.table().own_addresses() != known {
                hello.reset_immediately();
            }
        }
    }

    /// Takes in notifications. What memory knows already costs nothing; anything else is read,
    /// since an older notification may arrive after a newer commit of our own.
    async fn take_in(&self, payloads: &[String]) -> sqlx::Result<()> {
        let mut unknown = HashSet::new();
        for text in payloads {
            if let Some(peers) = text.strip_prefix('@') {
                self.note_peers(peers);
                continue;
            }
            let Some(address) = text.split(' ').next().and_then(|a| a.parse::<Ipv4Addr>().ok())
            else {
                continue;
            };
            if self.find(address).is_none_or(|lease| summary(&lease) != *text) {
                unknown.insert(address);
            }
        }
        let unknown: Vec<Ipv4Addr> = unknown.into_iter().collect();
        for addresses in unknown.chunks(CHUNK) {
            self.learn(addresses, read_leases(self.database(), addresses).await?);
        }
        Ok(())
    }

    /// Notes the addresses of a server on the same database.
    fn note_peers(&self, addresses: &str) {
        let now = now_ms() / 1000;
        let mut table = self.table();
        let peers = addresses.split(' ').filter_map(|address| address.parse().ok());
        let peers: Vec<Ipv4Addr> = peers.filter(|address| !table.is_own(*address)).collect();
        for peer in peers.iter().filter(|peer| !table.is_peer(**peer, now)) {
            tracing::info!("the DHCP server at {peer} shares this database");
        }
        table.note_peers(peers, now + PEER_SECONDS);
    }

    /// Reads every lease again.
    async fn learn_all(&self) -> sqlx::Result<()> {
        let before: Vec<Ipv4Addr> = self.list().iter().map(|lease| lease.address).collect();
        self.learn(&before, read_all(self.database()).await?);
        Ok(())
    }

    /// Takes in leases that were read, and forgets those of `addresses` that have none.
    fn learn(&self, addresses: &[Ipv4Addr], leases: Vec<Lease>) {
        let stored: HashSet<Ipv4Addr> = leases.iter().map(|lease| lease.address).collect();
        for chunk in leases.chunks(CHUNK) {
            let mut table = self.table();
            for lease in chunk {
                if table.find(lease.address).as_ref() != Some(lease) {
                    table.put(lease.clone());
                }
            }
        }
        for address in addresses.iter().filter(|address| !stored.contains(address)) {
            tracing::info!("the lease of {address} was removed");
            self.table().forget(*address);
        }
    }

    async fn watch_removals(&self, sqlite: &Sqlite) {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            poll.tick().await;
            if let Err(error) = self.take_removals(sqlite).await {
                tracing::debug!(%error, "cannot read which leases were removed");
            }
        }
    }

    /// Forgets the leases that another process removed, except where the address was leased again.
    async fn take_removals(&self, sqlite: &Sqlite) -> sqlx::Result<()> {
        const REMOVED: &str = "SELECT address FROM lease_removals";
        const TAKEN: &str = "DELETE FROM lease_removals WHERE address = $1";
        let removed: Vec<String> = sqlx::query_scalar(REMOVED).fetch_all(&sqlite.pool).await?;
        for text in removed {
            let turn = sqlite.turn().await;
            sqlx::query(TAKEN).bind(&text).execute(&sqlite.pool).await?;
            drop(turn);
            if let Ok(address) = text.parse() {
                self.learn(&[address], read_leases(self.database(), &[address]).await?);
            }
        }
        Ok(())
    }
}

/// What the trigger writes about a lease.
fn summary(lease: &Lease) -> String {
    format!("{} {} {} {}", lease.address, lease.state.label(), lease.expires_at, lease.client)
}

/// Announces the addresses of this server, so that the others do not report it as a foreign
/// DHCP server.
async fn announce_addresses(listener: &mut PgListener, own: &[Ipv4Addr]) -> sqlx::Result<()> {
    let addresses: Vec<String> = own.iter().map(ToString::to_string).collect();
    let text = format!("@{}", addresses.join(" "));
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(text).execute(listener).await?;
    Ok(())
}
