//! Messages of webhooks that wait for their receivers, and those that were sent lately.

use crate::inventory::database::{execute, with_pool};
use crate::inventory::{Database, Error};

/// How many messages may wait for one receiver.
const MOST_WAITING: i64 = 10_000;

/// A message for a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMessage {
    /// Its id; with the URL it is the key.
    pub id: String,
    /// Where it goes.
    pub url: String,
    /// What is sent.
    pub body: String,
    /// When it was made, in Unix milliseconds.
    pub made_ms: i64,
    /// How often it was sent in vain.
    pub attempts: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    url: String,
    body: String,
    made_ms: i64,
    attempts: i64,
    next_ms: i64,
}

impl Database {
    /// Stores a message that is due now, unless it is known. False if too many wait for its
    /// receiver.
    pub async fn add_webhook_message(
        &self,
        message: &WaitingMessage,
        now_ms: i64,
    ) -> Result<bool, Error> {
        const COUNT: &str = "SELECT COUNT(*) FROM webhook_messages
             WHERE url = $1 AND next_ms IS NOT NULL";
        const ADD: &str = "INSERT INTO webhook_messages (id, url, body, made_ms, attempts, next_ms)
             VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT (id, url) DO NOTHING";
        let WaitingMessage { id, url, body, made_ms, .. } = message;
        let waiting: i64 = with_pool!(self, pool =>
            sqlx::query_scalar(COUNT).bind(url).fetch_one(pool).await)?;
        if waiting >= MOST_WAITING {
            return Ok(false);
        }
        let mut transaction = self.begin_writing().await?;
        execute!(&mut transaction, ADD, id, url, body, made_ms, now_ms)?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The messages for a receiver that are due at `now_ms`, each with when it became due.
    pub async fn due_webhook_messages(
        &self,
        url: &str,
        now_ms: i64,
        limit: i64,
    ) -> Result<Vec<(WaitingMessage, i64)>, Error> {
        const DUE: &str = "SELECT id, url, body, made_ms, attempts, next_ms FROM webhook_messages
             WHERE url = $1 AND next_ms <= $2 ORDER BY next_ms, made_ms, id LIMIT $3";
        let rows: Vec<Row> = with_pool!(self, pool => sqlx::query_as(DUE)
            .bind(url)
            .bind(now_ms)
            .bind(limit)
            .fetch_all(pool)
            .await)?;
        let read = |row: Row| {
            let Row { id, url, body, made_ms, attempts, next_ms } = row;
            (WaitingMessage { id, url, body, made_ms, attempts }, next_ms)
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// Takes a message up that became due at `due_ms`, until `until_ms`. False if another server has
    /// done so.
    pub async fn claim_webhook_message(
        &self,
        message: &WaitingMessage,
        due_ms: i64,
        until_ms: i64,
    ) -> Result<bool, Error> {
        const CLAIM: &str = "UPDATE webhook_messages SET next_ms = $4
             WHERE id = $1 AND url = $2 AND next_ms = $3";
        let WaitingMessage { id, url, .. } = message;
        let mut transaction = self.begin_writing().await?;
        let claimed = execute!(&mut transaction, CLAIM, id, url, due_ms, until_ms)?;
        transaction.commit().await?;
        Ok(claimed == 1)
    }

    /// Stores that a message was sent: the next attempt follows at `next_ms`, or none.
    pub async fn set_webhook_attempt(
        &self,
        message: &WaitingMessage,
        next_ms: Option<i64>,
        attempts: i64,
    ) -> Result<(), Error> {
        const SET: &str = "UPDATE webhook_messages SET next_ms = $3, attempts = $4
             WHERE id = $1 AND url = $2";
        let WaitingMessage { id, url, .. } = message;
        let mut transaction = self.begin_writing().await?;
        execute!(&mut transaction, SET, id, url, next_ms, attempts)?;
        Ok(transaction.commit().await?)
    }

    /// Removes messages that were made before a moment: those that were sent, given up, or are for a
    /// receiver that is no longer configured.
    pub async fn trim_webhook_messages(&self, before_ms: i64) -> Result<u64, Error> {
        const TRIM: &str = "DELETE FROM webhook_messages WHERE made_ms < $1";
        let mut transaction = self.begin_writing().await?;
        let removed = execute!(&mut transaction, TRIM, before_ms)?;
        transaction.commit().await?;
        Ok(removed)
    }
}
