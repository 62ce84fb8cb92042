//! Notices what another process stored, such as `rackstrap apply` beside the server, or another
//! server on the same database: revisions, installs, events, audit entries and the states of hosts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::inventory::{AuditQuery, Database, Error, Inventory, now_ms};

/// How soon a revision of another process is seen.
const POLL: Duration = Duration::from_millis(500);
/// How soon one is seen on PostgreSQL, should its notification be lost.
const POLL_WITH_NOTIFICATIONS: Duration = Duration::from_secs(5);
/// How long PostgreSQL may take to answer by the connection that listens.
const ANSWER: Duration = Duration::from_secs(2);
/// How late an entry of the audit log may be stored, in milliseconds, and how far the clock of
/// another server may be behind, so that it is still shown.
const LATEST_AUDIT_MS: i64 = 120_000;
/// How many entries of the audit log are shown at once.
const MOST_AUDIT_SHOWN: u32 = 1000;
/// How many events of other servers are shown at once.
const MOST_SHOWN: i64 = 2000;

impl Inventory {
    /// Reads the site anew whenever there is a revision that this process did not make,
    /// until `stop`.
    pub async fn run_watch(self, stop: CancellationToken) -> std::io::Result<()> {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.watch_revisions() => {}
        }
        Ok(())
    }

    async fn watch_revisions(&self) {
        let mut listener = listen(&self.database).await;
        let mut tick = interval(POLL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answers = true;
        loop {
            let outcome = self.reload_if_newer().await;
            match &outcome {
                Err(error) if answers => tracing::error!(%error, "the inventory cannot be read"),
                Ok(()) if !answers => tracing::info!("the inventory can be read again"),
                _ => {}
            }
            answers = outcome.is_ok();
            if !heard(&mut listener).await {
                tick.tick().await;
                listener = listen(&self.database).await;
            }
        }
    }

    async fn reload_if_newer(&self) -> Result<(), Error> {
        if self.database.newest_revision().await? > self.snapshot().revision {
            self.reload().await?;
        }
        self.reload_installs().await?;
        self.reload_stored_files().await?;
        self.take_over_audit().await?;
        self.take_over_events().await
    }

    /// Shows the entries of the audit log that another process stored to whoever watches here.
    async fn take_over_audit(&self) -> Result<(), Error> {
        if !self.events.is_watched() {
            self.shown_audit.skip_until(now_ms());
            return Ok(());
        }
        let from_ms = self.shown_audit.since_ms().max(now_ms() - LATEST_AUDIT_MS);
        let (from_ms, limit) = (Some(from_ms), MOST_AUDIT_SHOWN);
        let query = AuditQuery { from_ms, limit, ..AuditQuery::default() };
        let found = self.database.page_audit(&query).await?;
        for entry in self.shown_audit.take_new(found, now_ms() - LATEST_AUDIT_MS) {
            self.events.audited(entry);
        }
        Ok(())
    }

    /// Takes over the states that follow from events of other servers, and shows those events to
    /// whoever watches here.
    pub async fn take_over_events(&self) -> Result<(), Error> {
        self.events.publish().await?;
        let seen = self.seen_event.load(Ordering::Relaxed);
        let last = self.database.last_event().await?;
        if last <= seen {
            return Ok(());
        }
        self.states.take_over(self.database.list_lives_after(seen).await?);
        if self.events.is_watched() {
            let own = self.events.server;
            // Up to `last`: what comes meanwhile is shown the next time, and once.
            let numbers = seen + 1..=last;
            for event in self.database.list_events_of_others(numbers, own, MOST_SHOWN).await? {
                self.events.show(event);
            }
        }
        self.seen_event.fetch_max(last, Ordering::Relaxed);
        Ok(())
    }
}

/// Waits for a notification, or until it is time to look without one. False: there is no
/// listener (any more).
async fn heard(listener: &mut Option<PgListener>) -> bool {
    let Some(open) = listener else { return false };
    let lost = match timeout(POLL_WITH_NOTIFICATIONS, open.recv()).await {
        Ok(Ok(_)) => return true,
        Ok(Err(error)) => error,
        // One that lost its server without a word would be silent for ever.
        Err(_) => match timeout(ANSWER, sqlx::query("SELECT 1").execute(&mut *open)).await {
            Ok(Ok(_)) => return true,
            Ok(Err(error)) => error,
            Err(late) => std::io::Error::from(late).into(),
        },
    };
    tracing::warn!(error = %lost, "PostgreSQL sends no notifications; looking instead");
    *listener = None;
    false
}

async fn listen(database: &Database) -> Option<PgListener> {
    let Database::Postgres(postgres) = database else { return None };
    let connections = postgres.connections();
    let opened = connections.wait_for(async {
        let mut listener = PgListener::connect_with(&connections.pool).await?;
        listener.listen("rackstrap_revision").await?;
        Ok(listener)
    });
    opened.await.ok()
}
