//! API tokens.

use serde::Serialize;

use crate::inventory::database::with_pool;
use crate::inventory::secrets::{random_text, token_hash};
use crate::inventory::users::{AccountError, read_limits, read_role, stored_limits};
use crate::inventory::{Database, Error, now_ms};
use crate::model::{Limits, Role, check_noun_name};

/// Prefix of every token, so that people and secret scanners recognise one.
const PREFIX: &str = "rackstrap_";
/// How exact the last use of a token is, in seconds: each use would cost a commit otherwise.
const USE_SECONDS: i64 = 60;

/// A token's name and rights. The token itself is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Name, chosen by the operator.
    pub name: String,
    /// What it may do; at most what its owner may.
    pub role: Role,
    /// Whether it can change the inventory; every token can read.
    pub may_change: bool,
    /// The user who created it in the UI; none of a token of the command line.
    pub owner: Option<String>,
    /// Creation time, in Unix seconds.
    pub created_at: i64,
    /// Expiry, in Unix seconds; `None` for never.
    pub expires_at: Option<i64>,
    /// Last use, in Unix seconds, to the minute; `None` for never.
    pub last_used_at: Option<i64>,
    /// Which hosts it may change: its own limits.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Those of its owner, which hold, too.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub owner_limits: Limits,
}

impl Token {
    /// All limits that hold for it.
    pub fn all_limits(&self) -> Vec<Limits> {
        let both = [&self.limits, &self.owner_limits].into_iter();
        both.filter(|limits| !limits.is_empty()).cloned().collect()
    }
}

/// A token that is to be created.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The user whose token it is. When that user is disabled or removed, it stops working.
    pub owner: Option<String>,
    /// Expiry, in Unix seconds; `None` for never.
    pub expires_at: Option<i64>,
    /// Which hosts it may change.
    pub limits: Limits,
}

impl NewToken {
    /// One without an owner that never expires.
    pub fn new(name: &str, role: Role) -> Self {
        let limits = Limits::default();
        Self { name: name.to_owned(), role, owner: None, expires_at: None, limits }
    }
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    name: String,
    role: String,
    owner: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    owner_role: Option<String>,
    limits: Option<String>,
    owner_limits: Option<String>,
}

impl TokenRow {
    fn read(self) -> Result<Token, Error> {
        let Self { name, owner, created_at, expires_at, last_used_at, .. } = self;
        let mut role = read_role("token", &name, &self.role)?;
        if let Some(of_owner) = self.owner_role {
            role = role.min(read_role("token", &name, &of_owner)?);
        }
        let may_change = role >= Role::Operator;
        let limits = read_limits("token", &name, self.limits.as_deref())?;
        let owner_limits = read_limits("token", &name, self.owner_limits.as_deref())?;
        Ok(Token {
            name,
            role,
            may_change,
            owner,
            created_at,
            expires_at,
            last_used_at,
            limits,
            owner_limits,
        })
    }
}

impl Database {
    /// Creates a token and returns it. Only its hash is stored.
    pub async fn add_token(&self, new: &NewToken) -> Result<String, AccountError> {
        const ADD: &str = "INSERT INTO tokens
             (hash, name, may_change, created_at, expires_at, role, owner, limits)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING";
        let NewToken { name, role, owner, expires_at, limits } = new;
        check_noun_name("token name", name)?;
        if *role == Role::Admin && !limits.is_empty() {
            return Err(AccountError::LimitedAdmin { noun: "token", name: name.clone() });
        }
        let token = format!("{PREFIX}{}", random_text(40));
        let added = with_pool!(self, pool => sqlx::query(ADD)
            .bind(token_hash(&token))
            .bind(name)
            .bind(*role >= Role::Operator)
            .bind(now_ms() / 1000)
            .bind(expires_at)
            .bind(role.label())
            .bind(owner)
            .bind(stored_limits(limits))
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        match added {
            0 => Err(AccountError::Exists { noun: "token", name: name.clone() }),
            _ => Ok(token),
        }
    }

    /// The rights of a token, if it exists, has not expired, and its owner is not disabled.
    pub async fn find_token(&self, token: &str) -> Result<Option<Token>, Error> {
        const FIND: &str = "SELECT tokens.name, tokens.role, owner, tokens.created_at, expires_at,
                last_used_at, users.role AS owner_role, tokens.limits,
                users.limits AS owner_limits
             FROM tokens LEFT JOIN users ON users.name = owner
             WHERE hash = $1 AND (expires_at IS NULL OR expires_at > $2)
                AND (owner IS NULL OR (users.name IS NOT NULL AND NOT users.is_disabled))";
        if !token.starts_with(PREFIX) {
            return Ok(None);
        }
        let row: Option<TokenRow> = with_pool!(self, pool => sqlx::query_as(FIND)
            .bind(token_hash(token))
            .bind(now_ms() / 1000)
            .fetch_optional(pool)
            .await)?;
        row.map(TokenRow::read).transpose()
    }

    /// Notes that a token is used, unless that was noted within the last minute.
    pub(crate) async fn note_use(&self, token: &Token) -> Result<(), Error> {
        const SET: &str = "UPDATE tokens SET last_used_at = $2 WHERE name = $1";
        let now = now_ms() / 1000;
        if token.last_used_at.is_some_and(|last| now - last < USE_SECONDS) {
            return Ok(());
        }
        with_pool!(self, pool => sqlx::query(SET)
            .bind(&token.name)
            .bind(now)
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }

    /// All tokens by name, including expired ones.
    pub async fn list_tokens(&self) -> Result<Vec<Token>, Error> {
        const LIST: &str = "SELECT tokens.name, tokens.role, owner, tokens.created_at, expires_at,
                last_used_at, users.role AS owner_role, tokens.limits,
                users.limits AS owner_limits
             FROM tokens LEFT JOIN users ON users.name = owner ORDER BY tokens.name";
        let rows: Vec<TokenRow> =
            with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        rows.into_iter().map(TokenRow::read).collect()
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
