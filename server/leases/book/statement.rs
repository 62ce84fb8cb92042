//! The statements that store leases: what differs between the engines, and nothing else.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::Ipv4Addr;

use serde::ser::{Serialize, SerializeStruct, Serializer};
use sqlx::pool::PoolConnection;

use super::{InvalidColumn, parse_column};
use crate::inventory::Database;
use crate::model::{Lease, NicAddress};

/// What lets a lease replace a stored one: that one is over, or is the same
/// client's (or the same NIC's, whose host was added, renamed or removed since).
/// A running lease keeps its start.
macro_rules! claim_guard {
    () => {
        "ON CONFLICT (address) DO UPDATE SET client = excluded.client, nic = excluded.nic, \
         subnet = excluded.subnet, state = excluded.state, expires_at = excluded.expires_at, \
         taken_over = excluded.taken_over, \
         starts_at = CASE WHEN leases.state = 'bound' AND leases.expires_at > excluded.starts_at \
         THEN leases.starts_at ELSE excluded.starts_at END \
         WHERE leases.expires_at <= excluded.starts_at OR leases.state = 'released' \
         OR (leases.state = 'bound' AND (leases.client = excluded.client \
         OR (leases.nic = excluded.nic AND leases.nic <> '')))"
    };
}

/// The connection that the writer keeps from the first lease on: taking one from the pool and
/// giving it back costs two more round trips to SQLite's thread than the statement.
pub(super) type Kept = Option<PoolConnection<sqlx::Sqlite>>;

/// Which leases of a batch were stored.
pub(super) enum Stored {
    /// All of it.
    All,
    /// These addresses, each with the start of its lease.
    Some(HashMap<Ipv4Addr, i64>),
}

impl Stored {
    pub(super) fn has(&self, address: Ipv4Addr) -> bool {
        match self {
            Self::All => true,
            Self::Some(granted) => granted.contains_key(&address),
        }
    }
}

/// Stores a batch as of `now` (Unix seconds) in one statement and gives what was granted. A lease
/// that another client holds stays, so that two servers on one database can never both win. This
/// is the one visible difference between the engines.
pub(super) async fn store(
    database: &Database,
    kept: &mut Kept,
    batch: &[&Lease],
    now: i64,
) -> Result<Stored, sqlx::Error> {
    let rows = as_json(batch)?;
    match database {
        Database::Sqlite(sqlite) => {
            let sql = concat!(
                "INSERT INTO leases (address, client, nic, subnet, state, starts_at, expires_at, ",
                "taken_over) SELECT value->>'address', value->>'client', value->>'nic', ",
                "value->>'subnet', value->>'state', $2, value->>'expires_at', ",
                "value->>'taken_over' FROM jsonb_each($1) WHERE true ",
                claim_guard!()
            );
            let _turn = sqlite.turn().await;
            let connection = match kept {
                Some(connection) => connection,
                None => kept.insert(sqlite.pool.acquire().await?),
            };
            let done = sqlx::query(sql).bind(&rows).bind(now).execute(&mut **connection).await?;
            // Rows that come back cost more than the insert: they are asked for where it matters.
            if done.rows_affected() == batch.len() as u64 {
                return Ok(Stored::All);
            }
            const GRANTED: &str = "SELECT address, starts_at FROM leases \
                 JOIN json_each($1) ON address = value->>'address' \
                 WHERE client = value->>'client' AND nic = value->>'nic' \
                 AND state = value->>'state' AND expires_at = value->>'expires_at'";
            let granted = sqlx::query_as(GRANTED).bind(rows).fetch_all(&mut **connection).await?;
            starts(granted).map(Stored::Some)
        }
        Database::Postgres(postgres) => {
            let sql = concat!(
                "INSERT INTO leases (address, client, nic, subnet, state, starts_at, expires_at, ",
                "taken_over) SELECT address, client, nic, subnet, state, $2::bigint, expires_at, taken_over ",
                "FROM jsonb_to_recordset($1::jsonb) AS claim(address TEXT, client TEXT, nic TEXT, ",
                "subnet TEXT, state TEXT, expires_at BIGINT, taken_over BOOLEAN) ",
                claim_guard!(),
                " RETURNING address, starts_at"
            );
            let connections = postgres.connections();
            let claim = sqlx::query_as(sql).bind(rows).bind(now).fetch_all(&connections.pool);
            starts(connections.wait_for(claim).await?).map(Stored::Some)
        }
    }
}

/// When the leases of these addresses began, from the database.
pub(super) async fn read_starts(
    database: &Database,
    addresses: &[Ipv4Addr],
) -> HashMap<Ipv4Addr, i64> {
    let Database::Sqlite(sqlite) = database else { return HashMap::new() };
    if addresses.is_empty() {
        return HashMap::new();
    }
    const SQL: &str = "SELECT address, starts_at FROM leases \
                       WHERE address IN (SELECT value FROM json_each($1))";
    let read = async {
        let addresses = as_json(addresses)?;
        starts(sqlx::query_as(SQL).bind(addresses).fetch_all(&sqlite.pool).await?)
    };
    // The leases are stored all the same: a start that is seconds off in the timeline does no
    // harm, a client without an answer does not boot.
    let unread = |error| tracing::warn!("cannot read the start of leases: {error}");
    read.await.map_err(unread).unwrap_or_default()
}

/// Rows of addresses with the starts of their leases.
fn starts(rows: Vec<(String, i64)>) -> Result<HashMap<Ipv4Addr, i64>, sqlx::Error> {
    rows.into_iter()
        .map(|(address, starts_at)| Ok((parse_column("address", &address)?, starts_at)))
        .collect::<Result<_, InvalidColumn>>()
        .map_err(|error| sqlx::Error::Decode(error.into()))
}

fn as_json<T: Serialize + ?Sized>(rows: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// As a row of the table of leases; when it began is the statement's to say.
impl Serialize for Lease {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("lease", 7)?;
        row.serialize_field("address", &self.address)?;
        row.serialize_field("client", &AsText(&self.client))?;
        row.serialize_field("nic", &NicColumn(self.nic))?;
        row.serialize_field("subnet", &self.subnet)?;
        row.serialize_field("state", self.state.label())?;
        row.serialize_field("expires_at", &self.expires_at)?;
        row.serialize_field("taken_over", &self.taken_over)?;
        row.end()
    }
}

/// A NIC as its column has it: empty where there is none.
struct NicColumn(Option<NicAddress>);

impl Serialize for NicColumn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(nic) => serializer.collect_str(&nic),
            None => serializer.serialize_str(""),
        }
    }
}

/// Something as its text.
struct AsText<T>(T);

impl<T: Display> Serialize for AsText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
