//! Users of the web UI.

use serde::Serialize;

use crate::inventory::database::with_pool;
use crate::inventory::secrets::{password_hash, password_matches, random_text, token_hash};
use crate::inventory::{Database, Error, now_ms};
use crate::model::check_noun_name;

/// Name of the user that the first start creates.
pub const FIRST_USER: &str = "admin";
/// The shortest password, in characters (NIST SP 800-63B section 3.1.1).
const SHORTEST: usize = 8;
/// The longest password, in bytes, to bound the cost of hashing.
const LONGEST: usize = 1024;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Creation time, in Unix seconds.
    pub created_at: i64,
}

/// Why a user or token cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The name is invalid.
    #[error(transparent)]
    Name(#[from] crate::model::InvalidName),
    /// The name is in use.
    #[error("{noun} \"{name}\" already exists")]
    Exists {
        /// `user` or `token`.
        noun: &'static str,
        /// The name.
        name: String,
    },
    /// The password is too short or too long.
    #[error("a password must have at least {SHORTEST} characters and at most {LONGEST} bytes")]
    Password,
    /// The database failed.
    #[error(transparent)]
    Inventory(#[from] Error),
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> Self {
        Self::Inventory(error.into())
    }
}

impl Database {
    /// Creates a user.
    pub async fn add_user(&self, name: &str, password: &str) -> Result<(), AccountError> {
        const ADD: &str = "INSERT INTO users (name, password_hash, created_at)
             VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";
        check_noun_name("user name", name)?;
        check_password(password)?;
        let hash = password_hash(password.to_owned()).await;
        let added = with_pool!(self, pool => sqlx::query(ADD)
            .bind(name)
            .bind(hash)
            .bind(now_ms() / 1000)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        match added {
            0 => Err(AccountError::Exists { noun: "user", name: name.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Creates the first user, unless one exists, and returns the generated password. Only its
    /// hash is stored.
    pub async fn add_first_user(&self) -> Result<Option<String>, AccountError> {
        if !self.list_users().await?.is_empty() {
            return Ok(None);
        }
        let password = random_text(20);
        match self.add_user(FIRST_USER, &password).await {
            Ok(()) => Ok(Some(password)),
            // Another server on the same database created it first.
            Err(AccountError::Exists { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the password of a user. Returns whether the user exists.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<bool, AccountError> {
        const SET: &str = "UPDATE users SET password_hash = $2 WHERE name = $1";
        check_password(password)?;
        let hash = password_hash(password.to_owned()).await;
        let set = with_pool!(self, pool => sqlx::query(SET)
            .bind(name)
            .bind(hash)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(set == 1)
    }

    /// Whether the user exists and has this password. Takes as long for an unknown user.
    pub async fn verify_password(&self, name: &str, password: &str) -> Result<bool, Error> {
        const FIND: &str = "SELECT password_hash FROM users WHERE name = $1";
        let stored: Option<String> = with_pool!(self, pool =>
            sqlx::query_scalar(FIND).bind(name).fetch_optional(pool).await)?;
        if password.len() > LONGEST {
            return Ok(false);
        }
        Ok(password_matches(password.to_owned(), stored).await)
    }

    /// What changes with a user's password, so that sessions which began with another one end;
    /// none for a user that does not exist.
    pub async fn password_mark(&self, name: &str) -> Result<Option<String>, Error> {
        const FIND: &str = "SELECT password_hash FROM users WHERE name = $1";
        let stored: Option<String> = with_pool!(self, pool =>
            sqlx::query_scalar(FIND).bind(name).fetch_optional(pool).await)?;
        Ok(stored.map(|hash| token_hash(&hash)))
    }

    /// One user.
    pub async fn find_user(&self, name: &str) -> Result<Option<User>, Error> {
        const FIND: &str = "SELECT name, created_at FROM users WHERE name = $1";
        Ok(with_pool!(self, pool => sqlx::query_as(FIND).bind(name).fetch_optional(pool).await)?)
    }

    /// All users by name.
    pub async fn list_users(&self) -> Result<Vec<User>, Error> {
        const LIST: &str = "SELECT name, created_at FROM users ORDER BY name";
        Ok(with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?)
    }

    /// Removes a user. Returns whether it existed.
    pub async fn remove_user(&self, name: &str) -> Result<bool, Error> {
        const REMOVE: &str = "DELETE FROM users WHERE name = $1";
        let removed = with_pool!(self, pool => sqlx::query(REMOVE)
            .bind(name)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(removed == 1)
    }
}

fn check_password(password: &str) -> Result<(), AccountError> {
    let fits = password.chars().count() >= SHORTEST && password.len() <= LONGEST;
    if fits { Ok(()) } else { Err(AccountError::Password) }
}
