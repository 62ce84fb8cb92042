//! Users of an OpenID Connect provider. Issuer and subject say who somebody is; the name may change
//! there, and stays here what it was at the first login.

use crate::inventory::database::with_pool;
use crate::inventory::secrets::{random_text, token_hash};
use crate::inventory::users::read_role;
use crate::inventory::{Database, Error, Inventory, now_ms};
use crate::lifecycle::audit::{AuditAction, Author, Origin};
use crate::model::{InvalidName, Role, check_user_name};

/// Somebody whom a provider vouches for.
#[derive(Clone, Copy, Debug)]
pub struct ProvidedUser<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// The provider's own identifier, which never changes.
    pub subject: &'a str,
    /// What the provider calls the user now.
    pub name: &'a str,
    /// What the user's groups allow.
    pub role: Role,
}

/// Letters and digits in the place of a password's hash.
const MARK_CHARACTERS: usize = 20;

/// Why somebody whom a provider vouches for is not let in.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The name cannot be one here.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Somebody else has the name.
    #[error(
        "the name \"{0}\" belongs to another user of this server: an admin can remove that user, or \
         change the name at the provider"
    )]
    Taken(String),
    /// An admin disabled the user.
    #[error("user \"{0}\" is disabled: ask an admin")]
    Disabled(String),
    /// The database failed.
    #[error(transparent)]
    Inventory(#[from] Error),
}

/// What is stored of a user with an identity.
struct Known {
    name: String,
    role: Role,
    is_disabled: bool,
    /// Whether only some hosts may be changed.
    has_limits: bool,
}

impl Database {
    async fn find_identity(&self, issuer: &str, subject: &str) -> Result<Option<Known>, Error> {
        const FIND: &str = "SELECT name, role, is_disabled, limits IS NOT NULL FROM users
                WHERE issuer = $1 AND subject = $2";
        let row: Option<(String, String, bool, bool)> = with_pool!(self, pool => sqlx::query_as(FIND)
            .bind(issuer)
            .bind(subject)
            .fetch_optional(pool)
            .await)?;
        let known = |(name, role, is_disabled, has_limits): (String, String, bool, bool)| {
            let role = read_role("user", &name, &role)?;
            Ok(Known { name, role, is_disabled, has_limits })
        };
        row.map(known).transpose()
    }

    /// Adds a user of a provider, unless the name or the identity is there. Returns whether it was
    /// added.
    async fn add_identity(&self, user: ProvidedUser<'_>) -> Result<bool, Error> {
        const ADD: &str =
            "INSERT INTO users (name, password_hash, created_at, role, issuer, subject)
             VALUES ($1, $6, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let added = with_pool!(self, pool => sqlx::query(ADD)
            .bind(user.name)
            .bind(now_ms() / 1000)
            .bind(user.role.label())
            .bind(user.issuer)
            .bind(user.subject)
            // No hash of any password. Sessions of an earlier user of this name are known by it.
            .bind(random_text(MARK_CHARACTERS))
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(added == 1)
    }

    /// Notes that the login with this state was completed, until when it could be (Unix seconds).
    /// Returns whether it is the first time.
    pub async fn complete_login(&self, state: &str, expires_at: i64) -> Result<bool, Error> {
        const FORGET: &str = "DELETE FROM completed_logins WHERE expires_at < $1";
        const ADD: &str = "INSERT INTO completed_logins (state_hash, expires_at) VALUES ($1, $2)
             ON CONFLICT (state_hash) DO NOTHING";
        with_pool!(self, pool => sqlx::query(FORGET)
            .bind(now_ms() / 1000)
            .execute(pool)
            .await
            .map(drop))?;
        let added = with_pool!(self, pool => sqlx::query(ADD)
            .bind(token_hash(state))
            .bind(expires_at)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(added == 1)
    }
}

impl Inventory {
    /// Lets somebody in whom a provider vouches for: the first time as a new user, later as the same
    /// one, with the role of now. Returns the user's name here.
    ///
    /// # Errors
    /// When the name is taken or cannot be one, or the user is disabled.
    pub async fn admit(
        &self,
        user: ProvidedUser<'_>,
        origin: Origin,
    ) -> Result<String, IdentityError> {
        let known = match self.database.find_identity(user.issuer, user.subject).await? {
            Some(known) => known,
            None => {
                check_user_name(user.name)?;
                if self.database.add_identity(user).await? {
                    let author = Author { who: user.name, origin };
                    let action = AuditAction::UserAdded {
                        user: user.name.to_owned(),
                        role: Some(user.role),
                    };
                    self.audit(author, action).await;
                }
                // Another server may have added the same user first.
                let known = self.database.find_identity(user.issuer, user.subject).await?;
                known.ok_or_else(|| IdentityError::Taken(user.name.to_owned()))?
            }
        };
        let Known { name, role, is_disabled, has_limits } = known;
        if is_disabled {
            return Err(IdentityError::Disabled(name));
        }
        // An admin with limits could take them away.
        let now = if has_limits { user.role.min(Role::Operator) } else { user.role };
        if role != now && self.database.store_role(&name, now).await? {
            let action =
                AuditAction::RoleChanged { user: name.clone(), role: now, before: Some(role) };
            self.audit(Author { who: &name, origin }, action).await;
        }
        Ok(name)
    }
}
