//! Second factors of users: codes of an authenticator (TOTP, RFC 6238) and recovery codes.

use totp_rs::{Builder, Totp};

use crate::inventory::database::{Transaction, execute, with_pool};
use crate::inventory::secrets::{random_text, token_hash};
use crate::inventory::vault::{seal, unseal};
use crate::inventory::{Error, Inventory, SecretError, now_ms};

/// Bytes of a secret: as many as HMAC-SHA-1 has (RFC 4226 section 4). Authenticators take no other
/// hash reliably.
const SECRET_BYTES: usize = 20;
/// What authenticators show beside the name of the user.
const ISSUER: &str = "rackstrap";
/// How many recovery codes a user gets.
const RECOVERY_CODES: usize = 10;
/// Letters of a recovery code, 5.8 bits each: it is random, so it needs no slow hash.
const RECOVERY_LETTERS: usize = 12;

/// A second factor of a user, without its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondFactor {
    /// Whether a login asks for it: it does once the user gave a first code.
    pub is_on: bool,
    /// When it was set up, in Unix seconds.
    pub set_at: i64,
    /// How many recovery codes are left.
    pub recovery_codes: u64,
}

/// What an authenticator needs to know.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The secret in base32, to be typed.
    pub secret: String,
    /// The same as `otpauth://totp/...`, for a QR code.
    pub url: String,
}

/// What became of a code that a user gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeCheck {
    /// It is of the authenticator, and was not given before.
    Right,
    /// It was a recovery code, which is used up.
    Recovery {
        /// How many are left.
        left: u64,
    },
    /// It is neither, or was given before.
    Wrong,
}

/// Why a second factor cannot be set up or read.
#[derive(Debug, thiserror::Error)]
pub enum SecondFactorError {
    /// The user has one.
    #[error("a second factor is set up already: remove it first")]
    IsOn,
    /// The user has none, or none that waits for its first code.
    #[error("no second factor is being set up: begin once more")]
    Missing,
    /// It was sealed with another key.
    #[error(
        "the second factor of {0} was sealed with another key file: a recovery code still works, \
         and \"rackstrap user reset-second-factor {0}\" removes it"
    )]
    Unreadable(String),
    /// The key file cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The database failed.
    #[error(transparent)]
    Inventory(#[from] Error),
}

impl From<sqlx::Error> for SecondFactorError {
    fn from(error: sqlx::Error) -> Self {
        Self::Inventory(error.into())
    }
}

/// The name that a secret is sealed under: names of other secrets have no colon.
fn sealed_name(user: &str) -> String {
    format!("totp:{user}")
}

fn totp(user: &str, secret: &[u8]) -> Totp {
    let builder = Builder::new().with_secret(secret).with_account_name(user);
    let built = builder.with_issuer(Some(ISSUER)).build();
    built.expect("the secret is long enough, and names of users have no colon")
}

/// A recovery code as it is hashed: people leave dashes out, or put spaces in.
fn recovery_hash(code: &str) -> String {
    let letters: String = code.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    token_hash(&letters)
}

#[derive(sqlx::FromRow)]
struct Row {
    sealed: String,
    is_on: bool,
    set_at: i64,
    recovery_codes: i64,
}

impl Inventory {
    /// The second factor of a user, also one that waits for its first code.
    pub async fn second_factor(&self, user: &str) -> Result<Option<SecondFactor>, Error> {
        let row = self.find_second_factor(user).await?;
        Ok(row.map(|Row { is_on, set_at, recovery_codes, .. }| SecondFactor {
            is_on,
            set_at,
            recovery_codes: u64::try_from(recovery_codes).unwrap_or(0),
        }))
    }

    async fn find_second_factor(&self, user: &str) -> Result<Option<Row>, Error> {
        const FIND: &str = "SELECT sealed, is_on, set_at, (SELECT count(*) FROM recovery_codes
                WHERE recovery_codes.username = second_factors.username) AS recovery_codes
             FROM second_factors WHERE username = $1";
        Ok(with_pool!(&self.database, pool =>
            sqlx::query_as(FIND).bind(user).fetch_optional(pool).await)?)
    }

    /// Makes a secret for a user. A login asks for its codes once [`Self::confirm_second_factor`] was
    /// given one.
    ///
    /// # Errors
    /// When the user has a second factor, or no key file can be used.
    pub async fn begin_second_factor(&self, user: &str) -> Result<(), SecondFactorError> {
        const SET: &str =
            "INSERT INTO second_factors (username, sealed, set_at) VALUES ($1, $2, $3)
             ON CONFLICT (username) DO UPDATE SET sealed = excluded.sealed,
                 set_at = excluded.set_at WHERE NOT second_factors.is_on";
        let secret: [u8; SECRET_BYTES] = rand::random();
        let text = totp(user, &secret).secret().to_base32();
        let sealed = seal(&*self.master_key()?, &sealed_name(user), &text);
        let set = with_pool!(&self.database, pool => sqlx::query(SET)
            .bind(user)
            .bind(sealed)
            .bind(now_ms() / 1000)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        if set == 1 { Ok(()) } else { Err(SecondFactorError::IsOn) }
    }

    /// What an authenticator needs to know of a second factor that waits for its first code; none
    /// when none does.
    pub async fn enrolment(&self, user: &str) -> Result<Option<Enrolment>, SecondFactorError> {
        let Some(row) = self.find_second_factor(user).await?.filter(|row| !row.is_on) else {
            return Ok(None);
        };
        let totp = self.totp_of(user, &row)?;
        let url = totp.to_url().map_err(|_| SecondFactorError::Unreadable(user.to_owned()))?;
        Ok(Some(Enrolment { secret: totp.secret().to_base32(), url }))
    }

    fn totp_of(&self, user: &str, row: &Row) -> Result<Totp, SecondFactorError> {
        let unreadable = || SecondFactorError::Unreadable(user.to_owned());
        let text = unseal(&*self.master_key()?, &sealed_name(user), &row.sealed);
        let secret = totp_rs::Secret::try_from_base32(text.ok_or_else(unreadable)?);
        Ok(totp(user, secret.map_err(|_| unreadable())?.as_bytes()))
    }

    /// Turns a second factor on by its first code, at `now` (Unix seconds). Returns the recovery
    /// codes, of which only hashes are stored; none if the code is wrong.
    ///
    /// # Errors
    /// When none waits for its first code, or it cannot be read.
    pub async fn confirm_second_factor(
        &self,
        user: &str,
        code: &str,
        now: i64,
    ) -> Result<Option<Vec<String>>, SecondFactorError> {
        const ON: &str = "UPDATE second_factors SET is_on = true, last_step = $2
             WHERE username = $1 AND sealed = $3 AND NOT is_on";
        let row = self.find_second_factor(user).await?.filter(|row| !row.is_on);
        let row = row.ok_or(SecondFactorError::Missing)?;
        let Some(step) = step_of(&self.totp_of(user, &row)?, code, now) else { return Ok(None) };
        let mut transaction = self.database.begin_changing().await?;
        if execute!(&mut transaction, ON, user, step, &row.sealed)? == 0 {
            transaction.roll_back().await?;
            return Err(SecondFactorError::Missing);
        }
        let codes = replace_recovery_codes(&mut transaction, user).await?;
        transaction.commit().await?;
        Ok(Some(codes))
    }

    /// New recovery codes in place of those that are left.
    ///
    /// # Errors
    /// When the user has no second factor.
    pub async fn renew_recovery_codes(&self, user: &str) -> Result<Vec<String>, SecondFactorError> {
        self.second_factor(user)
            .await?
            .filter(|factor| factor.is_on)
            .ok_or(SecondFactorError::Missing)?;
        let mut transaction = self.database.begin_changing().await?;
        let codes = replace_recovery_codes(&mut transaction, user).await?;
        transaction.commit().await?;
        Ok(codes)
    }

    /// Checks a code that a user gives at `now` (Unix seconds), and uses it up: whichever server is
    /// asked, a code is right once.
    ///
    /// # Errors
    /// When the code is of an authenticator whose secret cannot be read.
    pub async fn check_code(
        &self,
        user: &str,
        code: &str,
        now: i64,
    ) -> Result<CodeCheck, SecondFactorError> {
        const TAKE: &str = "UPDATE second_factors SET last_step = $2
             WHERE username = $1 AND is_on AND last_step < $2";
        const USE: &str = "DELETE FROM recovery_codes WHERE username = $1 AND hash = $2";
        let Some(row) = self.find_second_factor(user).await?.filter(|row| row.is_on) else {
            return Ok(CodeCheck::Wrong);
        };
        if is_totp(code) {
            let Some(step) = step_of(&self.totp_of(user, &row)?, code, now) else {
                return Ok(CodeCheck::Wrong);
            };
            let taken = with_pool!(&self.database, pool => sqlx::query(TAKE)
                .bind(user)
                .bind(step)
                .execute(pool)
                .await
                .map(|done| done.rows_affected()))?;
            return Ok(if taken == 1 { CodeCheck::Right } else { CodeCheck::Wrong });
        }
        let used = with_pool!(&self.database, pool => sqlx::query(USE)
            .bind(user)
            .bind(recovery_hash(code))
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        if used == 0 {
            return Ok(CodeCheck::Wrong);
        }
        let left = self.second_factor(user).await?.map_or(0, |factor| factor.recovery_codes);
        Ok(CodeCheck::Recovery { left })
    }

    /// Removes the second factor of a user with its recovery codes. Returns whether there was one.
    pub async fn remove_second_factor(&self, user: &str) -> Result<bool, Error> {
        const REMOVE: &str = "DELETE FROM second_factors WHERE username = $1";
        let removed = with_pool!(&self.database, pool => sqlx::query(REMOVE)
            .bind(user)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(removed == 1)
    }
}

/// Whether a text is a code of an authenticator, and no recovery code: digits, perhaps in groups.
fn is_totp(code: &str) -> bool {
    code.chars().all(|c| c.is_ascii_digit() || c.is_whitespace())
}

/// The step of a code: the one at `now` or a neighbour of it, for clocks that are half a minute off.
fn step_of(totp: &Totp, code: &str, now: i64) -> Option<i64> {
    let digits: String = code.chars().filter(char::is_ascii_digit).collect();
    let step = totp.check(&digits, u64::try_from(now).ok()?)?;
    i64::try_from(step).ok()
}

async fn replace_recovery_codes(
    transaction: &mut Transaction,
    user: &str,
) -> Result<Vec<String>, sqlx::Error> {
    const REMOVE: &str = "DELETE FROM recovery_codes WHERE username = $1";
    const ADD: &str = "INSERT INTO recovery_codes (username, hash) VALUES ($1, $2)";
    execute!(transaction, REMOVE, user)?;
    let mut codes = Vec::new();
    for _ in 0..RECOVERY_CODES {
        let letters = random_text(RECOVERY_LETTERS);
        execute!(transaction, ADD, user, recovery_hash(&letters))?;
        codes.push(format!("{}-{}-{}", &letters[..4], &letters[4..8], &letters[8..]));
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, SHA-1: the last six of its eight digits.
        let totp = totp("ann", b"12345678901234567890");
        for (now, code, step) in [
            (59, "287082", Some(1)),
            (59, "287 082", Some(1)),
            (1_111_111_109, "081804", Some(37_037_036)),
            (2_000_000_000, "279037", Some(66_666_666)),
            (2_000_000_029, "279037", Some(66_666_666)),
            (2_000_000_061, "279037", None),
            (59, "287083", None),
            (59, "", None),
            (59, "0287082", None),
        ] {
            assert_eq!(step_of(&totp, code, now), step, "{now} {code:?}");
        }
        let url = totp.to_url().unwrap();
        assert!(url.starts_with("otpauth://totp/rackstrap:ann?secret=GEZDGNBVGY3TQOJQ"), "{url}");
    }

    #[test]
    fn a_recovery_code_is_the_same_however_it_is_typed() {
        let hash = recovery_hash("abcd-EFGH-2345");
        assert_eq!(hash, recovery_hash(" abcd EFGH2345\n"));
        assert_ne!(hash, recovery_hash("abcd-efgh-2345"));
        assert!(is_totp("123 456") && !is_totp("2345-6789-abcd"));
    }
}
