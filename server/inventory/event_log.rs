//! Events in the database: stored with the states of hosts that follow from them, and removed when
//! they are too old or too many.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::inventory::database::{execute, insert_rows, with_connection, with_pool};
use crate::inventory::event_page::{EventPageQuery, EventsOf, StoredEvent};
use crate::inventory::event_segments::SEGMENT;
use crate::inventory::host_status::{StoredLife, find_lives, set_life};
use crate::inventory::revisions::tell_others;
use crate::inventory::{Database, Error};
use crate::lifecycle::{Event, EventData};

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Those of one host only, its BMC's included.
    pub host: Option<EventsOf>,
    /// Those after this moment only, in Unix milliseconds.
    pub after_ms: i64,
    /// The newest so many.
    pub limit: u32,
}

/// How long events are kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For how many days.
    pub days: u32,
    /// Of how many boots of a host.
    pub boots: u32,
    /// How many in all.
    pub rows: u64,
}

pub(super) const SELECT: &str = "SELECT number, at_ms, host, mac, kind, text, data FROM events";

/// A row of [`SELECT`].
#[derive(sqlx::FromRow)]
pub(super) struct EventRow {
    pub(super) number: i64,
    pub(super) at_ms: i64,
    host: Option<String>,
    mac: Option<String>,
    kind: String,
    text: String,
    data: Option<String>,
}

impl EventRow {
    pub(super) fn read(self) -> Result<StoredEvent, Error> {
        let Self { number, at_ms, host, mac, kind, text, data } = self;
        let mac = mac
            .map(|mac| mac.parse().map_err(|error| Error::unreadable("event of", &mac, error)))
            .transpose()?;
        let data = EventData::read(&kind, data.as_deref(), text)
            .map_err(|error| Error::unreadable("event", &kind, error))?;
        Ok(StoredEvent { number, event: Event { at_ms, host, mac, data } })
    }
}

/// Events that belong to no host are at most this part of all: they must not displace the hosts'
/// history.
const STRANGERS_PART: u64 = 5;

/// How many events one transaction removes: a lease may wait for it.
const REMOVED_AT_ONCE: i64 = 1000;

impl Database {
    /// Stores events, and the states of hosts that follow from them, in one transaction.
    /// `is_local` says for a host of the inventory whether its image is the local disk; the states
    /// of other hosts are not kept. `server` is a random number of whoever stores them. Returns the
    /// states.
    pub async fn add_events(
        &self,
        events: &[Event],
        server: i64,
        is_local: &(dyn Fn(&str) -> Option<bool> + Sync),
    ) -> Result<Vec<StoredLife>, Error> {
        const NUMBER: &str = "UPDATE event_numbers SET last = last + $1 RETURNING last";
        const ADD: &str = "INSERT INTO events
            (number, at_ms, host, mac, kind, text, data, address, begins_boot, server) ";
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin_writing().await?;
        let count = events.len() as i64;
        // The row is held until the commit: numbers are in the order of commits.
        let last: i64 = with_connection!(&mut transaction, connection =>
            sqlx::query_scalar(NUMBER).bind(count).fetch_one(connection).await)?;
        let known = |name: &&String| is_local(name).is_some();
        let hosts: BTreeSet<&String> =
            events.iter().filter_map(|event| event.host.as_ref()).filter(known).collect();
        let stored = find_lives(&mut transaction, &hosts).await?;
        let mut lives: BTreeMap<&String, StoredLife> = hosts
            .into_iter()
            .map(|host| (host, stored.get(host).cloned().unwrap_or_else(|| StoredLife::new(host))))
            .collect();
        let mut rows = Vec::with_capacity(events.len());
        for (number, event) in (last - count + 1..).zip(events) {
            let life = event.host.as_ref().and_then(|host| lives.get_mut(host));
            let begins_boot = life.is_some_and(|stored| {
                stored.last_event = number;
                stored.life.note(event, is_local(&stored.host).unwrap_or_default())
            });
            let data = serde_json::to_string(&event.data)
                .map_err(|error| Error::unreadable("event", event.kind().label(), error))?;
            rows.push(NewRow { number, data, begins_boot, event });
        }
        insert_rows!(
            &mut transaction,
            ADD,
            &rows,
            |NewRow { number, data, begins_boot, event }| [
                number,
                event.at_ms,
                &event.host,
                event.mac.map(|mac| mac.to_string()),
                event.kind().label(),
                "",
                data,
                event.data.address().map(|address| address.to_string()),
                begins_boot,
                server,
            ],
            ""
        );
        let lives: Vec<StoredLife> = lives.into_values().collect();
        for life in &lives {
            set_life(&mut transaction, life).await?;
        }
        tell_others(&mut transaction).await?;
        transaction.commit().await?;
        Ok(lives)
    }

    /// The newest events that `filter` lets through, newest first.
    pub async fn list_events(&self, filter: &EventFilter) -> Result<Vec<Event>, Error> {
        let EventFilter { host, after_ms, limit } = filter.clone();
        let from_ms = after_ms.saturating_add(1);
        let query = EventPageQuery { host, from_ms, limit, ..EventPageQuery::default() };
        let found = self.page_events(&query).await?;
        let mut events: Vec<Event> = found.into_iter().map(|stored| stored.event).collect();
        // Servers on one database store theirs a moment apart.
        events.sort_by_key(|event| std::cmp::Reverse(event.at_ms));
        Ok(events)
    }

    /// The number of the newest event; 0 before the first one.
    pub(super) async fn last_event(&self) -> Result<i64, Error> {
        const LAST: &str = "SELECT last FROM event_numbers";
        Ok(with_pool!(self, pool => sqlx::query_scalar(LAST).fetch_one(pool).await)?)
    }

    /// The newest `limit` events with these numbers that others than `server` stored, oldest first.
    pub(super) async fn list_events_of_others(
        &self,
        numbers: RangeInclusive<i64>,
        server: i64,
        limit: i64,
    ) -> Result<Vec<Event>, Error> {
        let sql = format!(
            "{SELECT} WHERE number >= $1 AND number <= $2 AND server <> $3 \
             ORDER BY number DESC LIMIT $4"
        );
        let rows: Vec<EventRow> = with_pool!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .bind(*numbers.start())
                .bind(*numbers.end())
                .bind(server)
                .bind(limit)
                .fetch_all(pool)
                .await)?;
        rows.into_iter().rev().map(|row| Ok(row.read()?.event)).collect()
    }

    /// At most `limit` events with numbers above `after`, up to `last`, the oldest first.
    pub async fn list_events_between(
        &self,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, Error> {
        let sql = format!("{SELECT} WHERE number > $1 AND number <= $2 ORDER BY number LIMIT $3");
        let rows: Vec<EventRow> = with_pool!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .bind(after)
                .bind(last)
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await)?;
        rows.into_iter().map(EventRow::read).collect()
    }

    /// The newest event of every host that has one, by the host's name.
    pub async fn list_last_events(&self) -> Result<BTreeMap<String, Event>, Error> {
        const LIST: &str = "SELECT number, at_ms, host, mac, kind, text, data FROM hosts
             JOIN events ON number = (SELECT MAX(number) FROM events WHERE host = hosts.name)";
        let rows: Vec<EventRow> =
            with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        rows.into_iter()
            .map(|row| Ok((row.host.clone().unwrap_or_default(), row.read()?.event)))
            .collect()
    }

    /// Removes events that `retention` does not keep at a moment (Unix milliseconds), the oldest
    /// first; how many there were.
    pub async fn trim_events(&self, retention: Retention, now_ms: i64) -> Result<u64, Error> {
        let before_ms = now_ms - i64::from(retention.days) * 86_400_000;
        Ok(self.remove_events_before(before_ms).await?
            + self.remove_old_boots(retention.boots).await?
            + self.remove_events_of_strangers(retention.rows / STRANGERS_PART).await?
            + self.remove_events_beyond(retention.rows).await?)
    }

    /// Removes the events before a moment (Unix milliseconds); how many there were.
    pub async fn remove_events_before(&self, before_ms: i64) -> Result<u64, Error> {
        const INDEXED: &str = "SELECT MAX(segment) FROM event_segments WHERE first_ms < $1";
        const AT_THE_END: &str = "SELECT MAX(number) FROM events WHERE number >= $1 AND at_ms < $2";
        let end = self.first_unindexed().await? * SEGMENT;
        let indexed: Option<i64> = with_pool!(self, pool =>
            sqlx::query_scalar(INDEXED).bind(before_ms).fetch_one(pool).await)?;
        let at_the_end: Option<i64> = with_pool!(self, pool => sqlx::query_scalar(AT_THE_END)
            .bind(end)
            .bind(before_ms)
            .fetch_one(pool)
            .await)?;
        let indexed = indexed.map(|segment| (segment + 1) * SEGMENT);
        let Some(below) = at_the_end.map(|number| number + 1).or(indexed) else { return Ok(0) };
        self.remove_events_below(below, before_ms).await
    }

    /// Removes the oldest events, so that `rows` are left; how many there were.
    pub async fn remove_events_beyond(&self, rows: u64) -> Result<u64, Error> {
        const SPAN: &str = "SELECT COALESCE(MAX(number) - MIN(number) + 1, 0) FROM events";
        const COUNT: &str = "SELECT COUNT(*) FROM events";
        const NTH: &str = "SELECT number FROM events ORDER BY number LIMIT 1 OFFSET $1";
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let span: i64 = with_pool!(self, pool => sqlx::query_scalar(SPAN).fetch_one(pool).await)?;
        if span <= rows {
            return Ok(0);
        }
        let count: i64 = with_pool!(self, pool => sqlx::query_scalar(COUNT).fetch_one(pool).await)?;
        if count <= rows {
            return Ok(0);
        }
        let first: Option<i64> = with_pool!(self, pool => sqlx::query_scalar(NTH)
            .bind(count - rows)
            .fetch_optional(pool)
            .await)?;
        self.remove_events_below(first.unwrap_or(i64::MAX), i64::MAX).await
    }

    /// Removes the oldest events that belong to no host, so that `rows` are left; how many there
    /// were.
    pub async fn remove_events_of_strangers(&self, rows: u64) -> Result<u64, Error> {
        const FIRST_KEPT: &str = "SELECT number FROM events WHERE host IS NULL
             ORDER BY number DESC LIMIT 1 OFFSET $1";
        const REMOVE: &str = "DELETE FROM events WHERE number IN
             (SELECT number FROM events WHERE host IS NULL AND number <= $1
              ORDER BY number LIMIT $2)";
        let last: Option<i64> = with_pool!(self, pool => sqlx::query_scalar(FIRST_KEPT)
            .bind(i64::try_from(rows).unwrap_or(i64::MAX))
            .fetch_optional(pool)
            .await)?;
        let Some(last) = last else { return Ok(0) };
        let mut removed = 0;
        loop {
            let mut transaction = self.begin_writing().await?;
            let some = execute!(&mut transaction, REMOVE, last, REMOVED_AT_ONCE)?;
            transaction.commit().await?;
            removed += some;
            if some < REMOVED_AT_ONCE as u64 {
                return Ok(removed);
            }
        }
    }

    /// Removes the events of each host before the newest `boots` of its boots; how many there were.
    pub async fn remove_old_boots(&self, boots: u32) -> Result<u64, Error> {
        const HOSTS: &str = "SELECT host FROM events WHERE begins_boot GROUP BY host
             HAVING COUNT(*) > $1";
        const FIRST_KEPT: &str = "SELECT number FROM events WHERE host = $1 AND begins_boot
             ORDER BY number DESC LIMIT 1 OFFSET $2";
        const REMOVE: &str = "DELETE FROM events WHERE number IN
             (SELECT number FROM events WHERE host = $1 AND number < $2 ORDER BY number LIMIT $3)";
        let hosts: Vec<String> = with_pool!(self, pool =>
            sqlx::query_scalar(HOSTS).bind(i64::from(boots)).fetch_all(pool).await)?;
        let mut removed = 0;
        for host in hosts {
            let first: Option<i64> = with_pool!(self, pool => sqlx::query_scalar(FIRST_KEPT)
                .bind(&host)
                .bind(i64::from(boots.saturating_sub(1)))
                .fetch_optional(pool)
                .await)?;
            let Some(first) = first else { continue };
            loop {
                let mut transaction = self.begin_writing().await?;
                let some = execute!(&mut transaction, REMOVE, &host, first, REMOVED_AT_ONCE)?;
                transaction.commit().await?;
                removed += some;
                if some < REMOVED_AT_ONCE as u64 {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Removes the events with lower numbers that are from before a moment, and the index of
    /// segments that have none left.
    async fn remove_events_below(&self, below: i64, before_ms: i64) -> Result<u64, Error> {
        const OLDEST: &str = "SELECT MIN(number) FROM events WHERE number >= $1 AND number < $2";
        const REMOVE: &str = "DELETE FROM events WHERE number >= $1 AND number < $2 AND at_ms < $3";
        let (mut removed, mut from) = (0, 0);
        loop {
            let oldest: Option<i64> = with_pool!(self, pool => sqlx::query_scalar(OLDEST)
                .bind(from)
                .bind(below)
                .fetch_one(pool)
                .await)?;
            let Some(oldest) = oldest else { break };
            let until = below.min(oldest + REMOVED_AT_ONCE);
            let mut transaction = self.begin_writing().await?;
            removed += execute!(&mut transaction, REMOVE, oldest, until, before_ms)?;
            transaction.commit().await?;
            from = until;
        }
        self.remove_empty_segments().await?;
        Ok(removed)
    }

    async fn remove_empty_segments(&self) -> Result<(), Error> {
        const OLDEST: &str = "SELECT MIN(number) FROM events";
        const SEGMENTS: &str =
            "SELECT segment FROM event_segments WHERE segment < $1 ORDER BY segment";
        const TERMS: &str = "DELETE FROM event_terms WHERE segment = $1";
        const SEGMENT_ROW: &str = "DELETE FROM event_segments WHERE segment = $1";
        let oldest: Option<i64> =
            with_pool!(self, pool => sqlx::query_scalar(OLDEST).fetch_one(pool).await)?;
        let first = match oldest {
            Some(oldest) => oldest / SEGMENT,
            // The next event continues in the newest segment.
            None => self.first_unindexed().await?,
        };
        let segments: Vec<i64> = with_pool!(self, pool =>
            sqlx::query_scalar(SEGMENTS).bind(first).fetch_all(pool).await)?;
        for segment in segments {
            let mut transaction = self.begin_writing().await?;
            execute!(&mut transaction, TERMS, segment)?;
            execute!(&mut transaction, SEGMENT_ROW, segment)?;
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// An event that is about to be stored.
struct NewRow<'a> {
    number: i64,
    data: String,
    begins_boot: bool,
    event: &'a Event,
}

/// What sorts before the key of every entry from a moment on (Unix milliseconds), and after those
/// before it.
pub(super) fn first_id(at_ms: i64) -> String {
    format!("{:013}", at_ms.max(0))
}
