//! Pages of events, filtered in the database.

use std::net::IpAddr;

use crate::inventory::database::with_pool;
use crate::inventory::{Database, Error};
use crate::lifecycle::{Event, EventData, EventKind};
use crate::model::Mac;

/// Which events a page is to have, newest first.
#[derive(Clone, Debug, Default)]
pub struct EventPageQuery {
    /// Those of one host only.
    pub host: Option<String>,
    /// Those about one hardware address only.
    pub mac: Option<Mac>,
    /// Those of one kind only.
    pub kind: Option<EventKind>,
    /// Those about one address only.
    pub address: Option<IpAddr>,
    /// Those of this moment or later, in Unix milliseconds.
    pub from_ms: i64,
    /// Those before this moment, in Unix milliseconds.
    pub until_ms: Option<i64>,
    /// Those older than the event with this id.
    pub before: Option<String>,
    /// How many at most.
    pub limit: u32,
}

/// An event, and the id that continues behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// It sorts by time; no two events have the same.
    pub id: String,
    /// What happened.
    pub event: Event,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    at_ms: i64,
    host: Option<String>,
    mac: Option<String>,
    kind: String,
    text: String,
    data: Option<String>,
}

impl Row {
    fn read(self) -> Result<StoredEvent, Error> {
        let mac = self
            .mac
            .map(|mac| mac.parse().map_err(|error| Error::unreadable("event of", &mac, error)));
        let data = EventData::read(&self.kind, self.data.as_deref(), self.text)
            .map_err(|error| Error::unreadable("event", &self.kind, error))?;
        let event = Event { at_ms: self.at_ms, host: self.host, mac: mac.transpose()?, data };
        Ok(StoredEvent { id: self.id, event })
    }
}

impl Database {
    /// One page of events, newest first.
    pub async fn page_events(&self, query: &EventPageQuery) -> Result<Vec<StoredEvent>, Error> {
        let id_of = |at_ms: i64| format!("{:013}", at_ms.max(0));
        let mut texts = vec![id_of(query.from_ms)];
        let mut sql =
            "SELECT id, at_ms, host, mac, kind, text, data FROM events WHERE id >= $1".to_owned();
        let until = query.until_ms.map(id_of);
        let conditions = [
            ("id <", query.before.clone()),
            ("id <", until),
            ("host =", query.host.clone()),
            ("mac =", query.mac.map(|mac| mac.to_string())),
            ("kind =", query.kind.map(|kind| kind.label().to_owned())),
            ("address =", query.address.map(|address| address.to_string())),
        ];
        // Only what is asked for stands in the statement, so that it can use an index.
        for (condition, value) in conditions {
            if let Some(value) = value {
                texts.push(value);
                sql.push_str(&format!(" AND {condition} ${}", texts.len()));
            }
        }
        sql.push_str(&format!(" ORDER BY id DESC LIMIT ${}", texts.len() + 1));
        let rows: Vec<Row> = with_pool!(self, pool => {
            let mut asked = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            for text in texts {
                asked = asked.bind(text);
            }
            asked.bind(i64::from(query.limit)).fetch_all(pool).await
        })?;
        rows.into_iter().map(Row::read).collect()
    }
}
