//! API tokens.

use serde::Serialize;

use crate::inventory::database::with_pool;
use crate::inventory::secrets::{random_text, token_hash};
use crate::inventory::users::AccountError;
use crate::inventory::{Database, Error, now_ms};
use crate::model::check_noun_name;

/// Prefix of every token, so that people and secret scanners recognise one.
const PREFIX: &str = "rackstrap_";

/// A token's name and rights. The token itself is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Token {
    /// Name, chosen by the operator.
    pub name: String,
    /// Whether it can change the inventory; every token can read.
    pub may_change: bool,
    /// Creation time, in Unix seconds.
    pub created_at: i64,
    /// Expiry, in Unix seconds; `None` for never.
    pub expires_at: Option<i64>,
}

impl Database {
    /// Creates a token and returns it. Only its hash is stored.
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

    /// The rights of a token, if it exists and has not expired.
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

    /// All tokens by name, including expired ones.
    pub async fn list_tokens(&self) -> Result<Vec<Token>, Error> {
        const LIST: &str =
            "SELECT name, may_change, created_at, expires_at FROM tokens ORDER BY name";
        Ok(with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?)
    }

    /// Removes a token. Returns whether it existed.
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
