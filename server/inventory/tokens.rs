//! Tokens: how programs show that they may read or change.

use serde::Serialize;

use crate::inventory::database::with_pool;
use crate::inventory::secrets::{random_text, token_hash};
use crate::inventory::users::AccountError;
use crate::inventory::{Database, Error, now_ms};
use crate::model::check_noun_name;

/// How every token begins, so that people and scanners know one when they see it.
const PREFIX: &str = "rackstrap_";

/// What a token allows. The token itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Token {
    /// What the operator calls it.
    pub name: String,
    /// Whether it may change the inventory; every token may read.
    pub may_change: bool,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it ends, in Unix seconds, if it does.
    pub expires_at: Option<i64>,
}

impl Database {
    /// Makes a token and returns it; it can be found nowhere else.
    pub async fn add_token(
        &self,
        name: &str,
        may_change: bool,
        expires_at: Option<i64>,
    ) -> Result<String, AccountError> {
        const ADD: &str = "INSERT INTO tokens (hash, name, may_change, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING";
        check_noun_name("token name", name)?;
        let token = format!("{PREFIX}{}", random_text(40));
        let added = with_pool!(self, pool => sqlx::query(ADD)
            .bind(token_hash(&token))
            .bind(name)
            .bind(may_change)
            .bind(now_ms() / 1000)
            .bind(expires_at)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        match added {
            0 => Err(AccountError::Exists { noun: "token", name: name.to_owned() }),
            _ => Ok(token),
        }
    }

    /// What a token allows, if it is one of ours and has not ended.
    pub async fn find_token(&self, token: &str) -> Result<Option<Token>, Error> {
        const FIND: &str = "SELECT name, may_change, created_at, expires_at FROM tokens
             WHERE hash = $1 AND (expires_at IS NULL OR expires_at > $2)";
        if !token.starts_with(PREFIX) {
            return Ok(None);
        }
        Ok(with_pool!(self, pool => sqlx::query_as(FIND)
            .bind(token_hash(token))
            .bind(now_ms() / 1000)
            .fetch_optional(pool)
            .await)?)
    }

    /// Every token, by name, those that have ended included.
    pub async fn list_tokens(&self) -> Result<Vec<Token>, Error> {
        const LIST: &str =
            "SELECT name, may_change, created_at, expires_at FROM tokens ORDER BY name";
        Ok(with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?)
    }

    /// Removes a token by its name. Whether there was one.
    pub async fn remove_token(&self, name: &str) -> Result<bool, Error> {
        const REMOVE: &str = "DELETE FROM tokens WHERE name = $1";
        let removed = with_pool!(self, pool => sqlx::query(REMOVE)
            .bind(name)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(removed == 1)
    }
}
