//! Sessions of the web UI in the database, so that logins survive a restart.

use async_trait::async_trait;
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

use crate::inventory::Database;
use crate::inventory::database::with_pool;
use crate::inventory::secrets::token_hash;

/// Keeps sessions in the database.
#[derive(Clone, Debug)]
pub struct SessionStore {
    database: Database,
}

impl SessionStore {
    /// A store in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds a session. Returns whether its id was free.
    async fn add(&self, record: &Record) -> Result<bool> {
        const ADD: &str = "INSERT INTO sessions (id, data, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO NOTHING";
        let data = encode(record)?;
        let added = with_pool!(&self.database, pool => sqlx::query(ADD)
            .bind(key(&record.id))
            .bind(data)
            .bind(record.expiry_date.unix_timestamp())
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))
        .map_err(failed)?;
        Ok(added == 1)
    }

    async fn remove_expired(&self) -> Result<()> {
        const REMOVE: &str = "DELETE FROM sessions WHERE expires_at <= $1";
        with_pool!(&self.database, pool => sqlx::query(REMOVE)
            .bind(now())
            .execute(pool)
            .await
            .map(drop))
        .map_err(failed)
    }
}

#[async_trait]
impl tower_sessions::SessionStore for SessionStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        self.remove_expired().await?;
        while !self.add(record).await? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        const SET: &str = "INSERT INTO sessions (id, data, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO UPDATE
             SET data = excluded.data, expires_at = excluded.expires_at";
        let data = encode(record)?;
        with_pool!(&self.database, pool => sqlx::query(SET)
            .bind(key(&record.id))
            .bind(data)
            .bind(record.expiry_date.unix_timestamp())
            .execute(pool)
            .await
            .map(drop))
        .map_err(failed)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        const FIND: &str =
            "SELECT data, expires_at FROM sessions WHERE id = $1 AND expires_at > $2";
        let row: Option<(String, i64)> = with_pool!(&self.database, pool => sqlx::query_as(FIND)
            .bind(key(id))
            .bind(now())
            .fetch_optional(pool)
            .await)
        .map_err(failed)?;
        row.map(|(data, expires_at)| decode(*id, &data, expires_at)).transpose()
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        const REMOVE: &str = "DELETE FROM sessions WHERE id = $1";
        with_pool!(&self.database, pool => sqlx::query(REMOVE)
            .bind(key(id))
            .execute(pool)
            .await
            .map(drop))
        .map_err(failed)
    }
}

/// The key of a session is a hash, so that reading the database is not enough to take one over.
fn key(id: &Id) -> String {
    token_hash(&id.to_string())
}

fn encode(record: &Record) -> Result<String> {
    serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))
}

fn decode(id: Id, data: &str, expires_at: i64) -> Result<Record> {
    let data = serde_json::from_str(data).map_err(|error| Error::Decode(error.to_string()))?;
    let expiry_date = OffsetDateTime::from_unix_timestamp(expires_at)
        .map_err(|error| Error::Decode(error.to_string()))?;
    Ok(Record { id, data, expiry_date })
}

fn failed(error: sqlx::Error) -> Error {
    Error::Backend(error.to_string())
}

fn now() -> i64 {
    super::now_ms() / 1000
}
