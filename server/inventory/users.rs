//! Users of the web UI.

use serde::Serialize;

use crate::inventory::database::with_pool;
use crate::inventory::secrets::{password_hash, password_matches, random_text, token_hash};
use crate::inventory::{Database, Error, now_ms};
use crate::model::{Limits, Role, UnknownLimit, check_noun_name};

/// Name of the user that the first start creates.
pub const FIRST_USER: &str = "admin";
/// The shortest password, in characters (NIST SP 800-63B section 3.1.1).
const SHORTEST: usize = 8;
/// The longest password, in bytes, to bound the cost of hashing.
const LONGEST: usize = 1024;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Login name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Whether the user may not log in now.
    pub is_disabled: bool,
    /// Creation time, in Unix seconds.
    pub created_at: i64,
    /// Last login, in Unix seconds; `None` for never.
    pub last_login_at: Option<i64>,
    /// Whether a login asks for a code, too.
    pub has_second_factor: bool,
    /// Which hosts the user may change.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// The OpenID Connect provider that the user logs in with; none for a local user.
    pub issuer: Option<String>,
}

#[derive(sqlx::FromRow)]
struct UserRow {
    name: String,
    role: String,
    is_disabled: bool,
    created_at: i64,
    last_login_at: Option<i64>,
    has_second_factor: bool,
    limits: Option<String>,
    issuer: Option<String>,
}

impl UserRow {
    fn read(self) -> Result<User, Error> {
        let role = read_role("user", &self.name, &self.role)?;
        let limits = read_limits("user", &self.name, self.limits.as_deref())?;
        Ok(User {
            name: self.name,
            role,
            is_disabled: self.is_disabled,
            created_at: self.created_at,
            last_login_at: self.last_login_at,
            has_second_factor: self.has_second_factor,
            limits,
            issuer: self.issuer,
        })
    }
}

/// A stored role.
pub(super) fn read_role(noun: &'static str, name: &str, role: &str) -> Result<Role, Error> {
    role.parse().map_err(|error| Error::unreadable(noun, name, error))
}

/// Stored limits: what cannot be read must not let everything through.
pub(super) fn read_limits(
    noun: &'static str,
    name: &str,
    limits: Option<&str>,
) -> Result<Limits, Error> {
    let read = limits.map(serde_json::from_str).transpose();
    Ok(read.map_err(|error| Error::unreadable(noun, name, error))?.unwrap_or_default())
}

/// Limits as they are stored.
pub(super) fn stored_limits(limits: &Limits) -> Option<String> {
    (!limits.is_empty()).then(|| serde_json::json!(limits).to_string())
}

/// What a session asks for with every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What the user may do.
    pub role: Role,
    /// Changes with the password, so that sessions which began with another one end.
    pub password_mark: String,
    /// Whether a login asks for a code, too.
    pub has_second_factor: bool,
    /// Which hosts the user may change.
    pub limits: Limits,
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
    /// Nobody could manage users any more.
    #[error(
        "\"{0}\" is the last admin who can log in with a password: make another such user an admin first"
    )]
    LastAdmin(String),
    /// Nobody with limits manages users, who could take them away.
    #[error(
        "{noun} \"{name}\" cannot be an admin with limits: give the role operator or viewer, or no limits"
    )]
    LimitedAdmin {
        /// `user` or `token`.
        noun: &'static str,
        /// The name.
        name: String,
    },
    /// A limit names nothing.
    #[error(transparent)]
    Limit(#[from] UnknownLimit),
    /// The user logs in with a provider, which knows the password.
    #[error("\"{name}\" logs in with {issuer} and has no password here")]
    NoPassword {
        /// The user.
        name: String,
        /// The provider.
        issuer: String,
    },
    /// The user's groups at a provider say the role.
    #[error(
        "the role of \"{name}\" follows from the groups at {issuer}: change them there, or disable the user here"
    )]
    RoleOfGroups {
        /// The user.
        name: String,
        /// The provider.
        issuer: String,
    },
    /// The user does not exist.
    #[error("user \"{0}\" does not exist")]
    Missing(String),
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
    /// Creates a user who may change every host.
    pub async fn add_user(
        &self,
        name: &str,
        password: &str,
        role: Role,
    ) -> Result<(), AccountError> {
        self.add_limited_user(name, password, role, &Limits::default()).await
    }

    /// Creates a user.
    ///
    /// # Errors
    /// If the name is in use, name or password are not allowed, or it would be an admin with limits.
    pub async fn add_limited_user(
        &self,
        name: &str,
        password: &str,
        role: Role,
        limits: &Limits,
    ) -> Result<(), AccountError> {
        const ADD: &str = "INSERT INTO users (name, password_hash, created_at, role, limits)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING";
        if role == Role::Admin && !limits.is_empty() {
            return Err(AccountError::LimitedAdmin { noun: "user", name: name.to_owned() });
        }
        check_noun_name("user name", name)?;
        check_password(password)?;
        let hash = password_hash(password.to_owned()).await;
        let added = with_pool!(self, pool => sqlx::query(ADD)
            .bind(name)
            .bind(hash)
            .bind(now_ms() / 1000)
            .bind(role.label())
            .bind(stored_limits(limits))
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        match added {
            0 => Err(AccountError::Exists { noun: "user", name: name.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Creates the first user, an admin, unless one exists, and returns the generated password.
    /// Only its hash is stored.
    pub async fn add_first_user(&self) -> Result<Option<String>, AccountError> {
        if !self.list_users().await?.is_empty() {
            return Ok(None);
        }
        let password = random_password();
        match self.add_user(FIRST_USER, &password, Role::Admin).await {
            Ok(()) => Ok(Some(password)),
            // Another server on the same database created it first.
            Err(AccountError::Exists { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The provider that a user logs in with; none for a local user, and for nobody.
    async fn issuer_of(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.find_user(name).await?.and_then(|user| user.issuer))
    }

    /// Sets the password of a local user. Returns whether the user exists.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<bool, AccountError> {
        const SET: &str = "UPDATE users SET password_hash = $2 WHERE name = $1";
        check_password(password)?;
        if let Some(issuer) = self.issuer_of(name).await? {
            return Err(AccountError::NoPassword { name: name.to_owned(), issuer });
        }
        let hash = password_hash(password.to_owned()).await;
        let set = with_pool!(self, pool => sqlx::query(SET)
            .bind(name)
            .bind(hash)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(set == 1)
    }

    /// Gives a user a role.
    ///
    /// # Errors
    /// If there is no such user, no other admin could log in, one with limits would be an admin, or a
    /// provider says the role.
    pub async fn set_role(&self, name: &str, role: Role) -> Result<Role, AccountError> {
        if let Some(issuer) = self.issuer_of(name).await? {
            return Err(AccountError::RoleOfGroups { name: name.to_owned(), issuer });
        }
        if role < Role::Admin {
            self.keep_an_admin(name).await?;
        }
        let before = self.find_user(name).await?;
        match (before, self.store_role(name, role).await?) {
            (Some(before), true) => Ok(before.role),
            _ => Err(self.why_not_set(name).await),
        }
    }

    /// Stores a role, but not that of an admin with limits, who could take them away. Returns whether
    /// it was stored.
    pub(super) async fn store_role(&self, name: &str, role: Role) -> Result<bool, Error> {
        const SET: &str =
            "UPDATE users SET role = $2 WHERE name = $1 AND (limits IS NULL OR $2 <> 'admin')";
        let set = with_pool!(self, pool => sqlx::query(SET)
            .bind(name)
            .bind(role.label())
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(set == 1)
    }

    /// Why role and limits of a user were not set together.
    async fn why_not_set(&self, name: &str) -> AccountError {
        let name = name.to_owned();
        match self.find_user(&name).await {
            Ok(Some(_)) => AccountError::LimitedAdmin { noun: "user", name },
            Ok(None) => AccountError::Missing(name),
            Err(error) => error.into(),
        }
    }

    /// Limits which hosts a user may change, or with empty limits no more. An admin by the groups of a
    /// provider becomes an operator, as with the next login. Returns the limits until then.
    ///
    /// # Errors
    /// If there is no such user, or the user is an admin here.
    pub async fn set_limits(&self, name: &str, limits: &Limits) -> Result<Limits, AccountError> {
        const SET: &str = "UPDATE users SET limits = $2,
                 role = CASE WHEN role = 'admin' AND $2 IS NOT NULL THEN 'operator' ELSE role END
             WHERE name = $1 AND (issuer IS NOT NULL OR role <> 'admin' OR $2 IS NULL)";
        let before = self.find_user(name).await?;
        let set = with_pool!(self, pool => sqlx::query(SET)
            .bind(name)
            .bind(stored_limits(limits))
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        match (before, set) {
            (Some(before), 1) => Ok(before.limits),
            _ => Err(self.why_not_set(name).await),
        }
    }

    /// Lets a user log in, or not. The sessions of one who may not end with their next request, and
    /// tokens of the user do not work meanwhile.
    ///
    /// # Errors
    /// If there is no such user, or no other admin could log in.
    pub async fn set_disabled(&self, name: &str, is_disabled: bool) -> Result<(), AccountError> {
        const SET: &str = "UPDATE users SET is_disabled = $2 WHERE name = $1";
        if is_disabled {
            self.keep_an_admin(name).await?;
        }
        let set = with_pool!(self, pool => sqlx::query(SET)
            .bind(name)
            .bind(is_disabled)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        if set == 1 { Ok(()) } else { Err(AccountError::Missing(name.to_owned())) }
    }

    /// Refuses to go on if the user is the only admin who can log in with a password: one of a
    /// provider cannot while that is unreachable.
    pub(crate) async fn keep_an_admin(&self, name: &str) -> Result<(), AccountError> {
        let users = self.list_users().await?;
        let can =
            |user: &&User| user.role == Role::Admin && !user.is_disabled && user.issuer.is_none();
        let mut admins = users.iter().filter(can);
        let is_one = admins.clone().any(|user| user.name == name);
        if is_one && admins.all(|user| user.name == name) {
            return Err(AccountError::LastAdmin(name.to_owned()));
        }
        Ok(())
    }

    /// Whether the user exists, may log in and has this password. Takes as long for an unknown user.
    pub async fn verify_password(&self, name: &str, password: &str) -> Result<bool, Error> {
        const FIND: &str = "SELECT password_hash FROM users
             WHERE name = $1 AND NOT is_disabled AND issuer IS NULL";
        let stored: Option<String> = with_pool!(self, pool =>
            sqlx::query_scalar(FIND).bind(name).fetch_optional(pool).await)?;
        if password.len() > LONGEST {
            return Ok(false);
        }
        Ok(password_matches(password.to_owned(), stored).await)
    }

    /// What a session needs of its user; none for one that does not exist or is disabled.
    pub async fn find_account(&self, name: &str) -> Result<Option<Account>, Error> {
        const FIND: &str = "SELECT role, password_hash, EXISTS (SELECT 1 FROM second_factors
                WHERE username = name AND is_on), limits
             FROM users WHERE name = $1 AND NOT is_disabled";
        type Stored = (String, String, bool, Option<String>);
        let stored: Option<Stored> = with_pool!(self, pool =>
            sqlx::query_as(FIND).bind(name).fetch_optional(pool).await)?;
        let account = |(role, hash, has_second_factor, limits): Stored| {
            let role = read_role("user", name, &role)?;
            let limits = read_limits("user", name, limits.as_deref())?;
            Ok(Account { role, password_mark: token_hash(&hash), has_second_factor, limits })
        };
        stored.map(account).transpose()
    }

    /// Notes that a user logged in.
    pub(crate) async fn note_login(&self, name: &str) -> Result<(), Error> {
        const SET: &str = "UPDATE users SET last_login_at = $2 WHERE name = $1";
        with_pool!(self, pool => sqlx::query(SET)
            .bind(name)
            .bind(now_ms() / 1000)
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }

    /// One user.
    pub async fn find_user(&self, name: &str) -> Result<Option<User>, Error> {
        Ok(self.list_users().await?.into_iter().find(|user| user.name == name))
    }

    /// All users by name.
    pub async fn list_users(&self) -> Result<Vec<User>, Error> {
        const LIST: &str = "SELECT name, role, is_disabled, created_at, last_login_at, limits,
                EXISTS (SELECT 1 FROM second_factors WHERE username = name AND is_on)
                    AS has_second_factor, issuer
             FROM users ORDER BY name";
        let rows: Vec<UserRow> =
            with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        rows.into_iter().map(UserRow::read).collect()
    }

    /// Removes a user with the user's tokens and sessions. Returns whether it existed.
    pub async fn remove_user(&self, name: &str) -> Result<bool, Error> {
        const TOKENS: &str = "DELETE FROM tokens WHERE owner = $1";
        const REMOVE: &str = "DELETE FROM users WHERE name = $1";
        self.end_sessions(name, None).await?;
        with_pool!(self, pool => sqlx::query(TOKENS).bind(name).execute(pool).await.map(drop))?;
        let removed = with_pool!(self, pool => sqlx::query(REMOVE)
            .bind(name)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(removed == 1)
    }
}

/// A password that is shown once.
pub(crate) fn random_password() -> String {
    random_text(20)
}

fn check_password(password: &str) -> Result<(), AccountError> {
    let fits = password.chars().count() >= SHORTEST && password.len() <= LONGEST;
    if fits { Ok(()) } else { Err(AccountError::Password) }
}
