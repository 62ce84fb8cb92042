//! Sessions of the web UI in the database, so that logins survive a restart.

use std::collections::HashMap;
use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

use crate::inventory::database::with_pool;
use crate::inventory::secrets::token_hash;
use crate::inventory::{self, Database};

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
        const ADD: &str = "INSERT INTO sessions (id, data, expires_at, username)
             VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING";
        let data = encode(record)?;
        let added = with_pool!(&self.database, pool => sqlx::query(ADD)
            .bind(key(&record.id))
            .bind(data)
            .bind(record.expiry_date.unix_timestamp())
            .bind(user_of(record))
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
        // One that was ended meanwhile does not come back.
        const SET: &str = "UPDATE sessions SET data = $2, expires_at = $3, username = $4
             WHERE id = $1";
        let data = encode(record)?;
        with_pool!(&self.database, pool => sqlx::query(SET)
            .bind(key(&record.id))
            .bind(data)
            .bind(record.expiry_date.unix_timestamp())
            .bind(user_of(record))
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

/// The login that a session keeps under the key `login`, as far as the store knows it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct KnownLogin {
    user: String,
    began_ms: i64,
    renewed_ms: i64,
    address: Option<IpAddr>,
}

fn login_of(data: &HashMap<String, Value>) -> KnownLogin {
    let login = data.get("login").cloned().unwrap_or_default();
    serde_json::from_value(login).unwrap_or_default()
}

fn user_of(record: &Record) -> String {
    login_of(&record.data).user
}

/// A session of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserSession {
    /// The beginning of its stored key, which opens nothing.
    pub id: String,
    /// When it began, in Unix milliseconds.
    pub began_ms: i64,
    /// When it was last seen in use, in Unix milliseconds, to ten minutes.
    pub used_ms: i64,
    /// Where from.
    pub address: Option<IpAddr>,
    /// When it expires unless it is used, in Unix seconds.
    pub expires_at: i64,
}

/// How much of a session's key is shown.
const SHOWN: usize = 12;

/// The shown part of the key of a session.
pub(crate) fn shown_id(id: &Id) -> String {
    key(id)[..SHOWN].to_owned()
}

impl Database {
    /// The sessions of a user, the newest first.
    pub async fn list_sessions(
        &self,
        user: &str,
    ) -> std::result::Result<Vec<UserSession>, inventory::Error> {
        const LIST: &str =
            "SELECT id, data, expires_at FROM sessions WHERE username = $1 AND expires_at > $2";
        let rows: Vec<(String, String, i64)> = with_pool!(self, pool => sqlx::query_as(LIST)
            .bind(user)
            .bind(now())
            .fetch_all(pool)
            .await)?;
        let read = |(id, data, expires_at): (String, String, i64)| {
            let login = login_of(&serde_json::from_str(&data).unwrap_or_default());
            let KnownLogin { began_ms, renewed_ms: used_ms, address, .. } = login;
            let id = id.chars().take(SHOWN).collect();
            UserSession { id, began_ms, used_ms, address, expires_at }
        };
        let mut sessions: Vec<UserSession> = rows.into_iter().map(read).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.began_ms));
        Ok(sessions)
    }

    /// Ends one session of a user by its shown id, or all of them. Returns how many.
    pub async fn end_sessions(
        &self,
        user: &str,
        id: Option<&str>,
    ) -> std::result::Result<u64, inventory::Error> {
        const ALL: &str = "DELETE FROM sessions WHERE username = $1";
        const ONE: &str = "DELETE FROM sessions WHERE username = $1 AND substr(id, 1, 12) = $2";
        let ended = match id {
            None => with_pool!(self, pool => sqlx::query(ALL)
                .bind(user)
                .execute(pool)
                .await
                .map(|done| done.rows_affected()))?,
            Some(id) => with_pool!(self, pool => sqlx::query(ONE)
                .bind(user)
                .bind(id)
                .execute(pool)
                .await
                .map(|done| done.rows_affected()))?,
        };
        Ok(ended)
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
