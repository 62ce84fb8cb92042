//! Events in the database.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::inventory::database::{insert_rows, with_pool};
use crate::inventory::host_status::set_life;
use crate::inventory::{Database, Error};
use crate::lifecycle::state::Life;
use crate::lifecycle::{Event, EventData};

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Those of one host only.
    pub host: Option<String>,
    /// Those after this moment only, in Unix milliseconds.
    pub after_ms: i64,
    /// The newest so many.
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    at_ms: i64,
    host: Option<String>,
    mac: Option<String>,
    kind: String,
    text: String,
    data: Option<String>,
}

impl TryFrom<EventRow> for Event {
    type Error = Error;

    fn try_from(row: EventRow) -> Result<Self, Error> {
        let mac = row
            .mac
            .map(|mac| mac.parse().map_err(|error| Error::unreadable("event of", &mac, error)))
            .transpose()?;
        let data = EventData::read(&row.kind, row.data.as_deref(), row.text)
            .map_err(|error| Error::unreadable("event", &row.kind, error))?;
        Ok(Self { at_ms: row.at_ms, host: row.host, mac, data })
    }
}

impl Database {
    /// Stores events, and the states of hosts that follow from them, in one transaction.
    pub async fn add_events<'a>(
        &self,
        events: &'a [Event],
        lives: &[(String, Life)],
    ) -> Result<(), Error> {
        const ADD: &str = "INSERT INTO events (id, at_ms, host, mac, kind, text, data, address) ";
        if events.is_empty() {
            return Ok(());
        }
        let row = |event: &'a Event| -> Result<(String, String, &'a Event), Error> {
            let data = serde_json::to_string(&event.data)
                .map_err(|error| Error::unreadable("event", event.kind().label(), error))?;
            Ok((next_id(event), data, event))
        };
        let rows = events.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
        let mut transaction = self.begin_writing().await?;
        insert_rows!(
            &mut transaction,
            ADD,
            &rows,
            |(id, data, event)| [
                id,
                event.at_ms,
                &event.host,
                event.mac.map(|mac| mac.to_string()),
                event.kind().label(),
                "",
                data,
                event.data.address().map(|address| address.to_string()),
            ],
            ""
        );
        for (host, life) in lives {
            set_life(&mut transaction, host, life).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The newest events that `filter` lets through, newest first.
    pub async fn list_events(&self, filter: &EventFilter) -> Result<Vec<Event>, Error> {
        const ALL: &str = "SELECT at_ms, host, mac, kind, text, data FROM events
             WHERE id > $1 ORDER BY id DESC LIMIT $2";
        const OF_HOST: &str = "SELECT at_ms, host, mac, kind, text, data FROM events
             WHERE id > $1 AND host = $3 ORDER BY id DESC LIMIT $2";
        let (after, limit) = (first_id(filter.after_ms.saturating_add(1)), i64::from(filter.limit));
        let rows: Vec<EventRow> = match &filter.host {
            None => with_pool!(self, pool => sqlx::query_as(ALL)
                .bind(&after)
                .bind(limit)
                .fetch_all(pool)
                .await)?,
            Some(host) => with_pool!(self, pool => sqlx::query_as(OF_HOST)
                .bind(&after)
                .bind(limit)
                .bind(host)
                .fetch_all(pool)
                .await)?,
        };
        rows.into_iter().map(Event::try_from).collect()
    }

    /// The newest event of every host that has one, by the host's name.
    pub async fn list_last_events(&self) -> Result<BTreeMap<String, Event>, Error> {
        const LIST: &str = "SELECT at_ms, host, mac, kind, text, data FROM hosts
             JOIN events ON id = (SELECT MAX(id) FROM events WHERE host = hosts.name)";
        let rows: Vec<EventRow> =
            with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        rows.into_iter()
            .map(|row| Ok((row.host.clone().unwrap_or_default(), Event::try_from(row)?)))
            .collect()
    }

    /// Removes the events before a moment (Unix milliseconds); how many there were.
    pub async fn remove_events_before(&self, before_ms: i64) -> Result<u64, Error> {
        const REMOVE: &str = "DELETE FROM events WHERE id < $1";
        Ok(with_pool!(self, pool => sqlx::query(REMOVE)
            .bind(first_id(before_ms))
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?)
    }
}

/// A key that sorts by time and is nobody else's, though several processes write events
/// in the same millisecond.
fn next_id(event: &Event) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    static PROCESS: std::sync::LazyLock<u32> = std::sync::LazyLock::new(rand::random);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}-{count:010}-{:08x}", first_id(event.at_ms), *PROCESS)
}

/// What sorts before the key of every event from a moment on (Unix milliseconds), and after
/// those before it.
pub(super) fn first_id(at_ms: i64) -> String {
    format!("{:013}", at_ms.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{EventKind, samples};

    fn event(at_ms: i64, host: Option<&str>, kind: EventKind) -> Event {
        Event { at_ms, host: host.map(str::to_owned), mac: None, data: samples::data(kind) }
    }

    #[test]
    fn keys_sort_by_time_and_are_unique() {
        let late = next_id(&event(1_700_000_000_000, None, EventKind::Ack));
        let early = next_id(&event(999, None, EventKind::Ack));
        assert!(early < late, "{early} {late}");
        assert_ne!(early, next_id(&event(999, None, EventKind::Ack)));
    }
}
