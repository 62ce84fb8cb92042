//! Secrets in the database: sealed with the key file, which is not in it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde::Serialize;

use crate::inventory::change::Change;
use crate::inventory::database::{Transaction, execute, with_connection, with_pool};
use crate::inventory::revisions::{self, Revision};
use crate::inventory::{Error, Inventory, Snapshot, audit_log, now_ms};
use crate::lifecycle::audit::{AuditAction, AuditEntry};
use crate::model::{
    InvalidName, KeyFault, KeyState, Keyring, Location, MasterKey, OutsideLimits, check_noun_name,
    some_names,
};

/// How a sealed value begins: the nonce and the value behind it are of ChaCha20-Poly1305 (RFC 8439).
const SEALED: &str = "v1:";
/// Bytes of the nonce.
const NONCE: usize = 12;
/// The largest value: a private key or a chain of certificates, not a file of any size.
const MOST_BYTES: usize = 64 * 1024;

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Secret")]
pub struct StoredSecret {
    /// The name that profiles give.
    pub name: String,
    /// When it was set, in Unix seconds.
    pub changed_at: i64,
    /// Where it is named, such as `profile hypervisor`.
    pub used_by: Vec<String>,
}

/// Where the key file is.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    /// Whether this process makes one where neither it nor a sealed secret exists.
    may_make: bool,
}

/// Why a secret is not set or removed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The name is not allowed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The value is not allowed.
    #[error(
        "the value of secret \"{name}\" has {bytes} bytes: expected 1 to {MOST_BYTES}, without NUL"
    )]
    Value {
        /// The secret.
        name: String,
        /// The length of what was given.
        bytes: usize,
    },
    /// The key file cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// There is no key file: this process does not keep one.
    #[error("no key file is configured, so no secret can be sealed")]
    NoKey,
    /// Something names it.
    #[error("secret \"{name}\" is in use by {}: change that first", some_names(&places(.used_by)))]
    InUse {
        /// The secret.
        name: String,
        /// Where it is named.
        used_by: Vec<Location>,
    },
    /// Somebody with limits wants to change it.
    #[error(transparent)]
    Denied(#[from] OutsideLimits),
    /// There is none of that name.
    #[error("secret \"{0}\" does not exist")]
    Missing(String),
    /// The database refused or is gone.
    #[error(transparent)]
    Inventory(#[from] Error),
}

impl From<sqlx::Error> for SecretError {
    fn from(error: sqlx::Error) -> Self {
        Self::Inventory(error.into())
    }
}

fn places(used_by: &[Location]) -> Vec<String> {
    used_by.iter().map(place).collect()
}

fn place(at: &Location) -> String {
    format!("{} {}", at.noun, at.name).trim_end().to_owned()
}

/// Every secret as it is stored, by name.
pub(super) async fn list_sealed(
    transaction: &mut Transaction,
) -> Result<BTreeMap<String, String>, Error> {
    const LIST: &str = "SELECT name, sealed FROM secrets";
    let rows: Vec<(String, String)> = with_connection!(transaction, connection =>
        sqlx::query_as(LIST).fetch_all(connection).await)?;
    Ok(rows.into_iter().collect())
}

impl Inventory {
    /// Uses a key file. Where neither it nor a sealed secret exists, one is made if this process may
    /// change the inventory (`may_make`); else a key in memory stands for it.
    pub async fn use_key_file(&self, path: &Path, may_make: bool) -> Result<(), Error> {
        let _ = self.key_file.set(KeyFile { path: path.to_owned(), may_make });
        self.read_key_file().await
    }

    /// Reads the key file that is used, again, and opens the secrets with it if it is another one. A
    /// fault that is new is a warning.
    pub(super) async fn read_key_file(&self) -> Result<(), Error> {
        let Some(KeyFile { path, may_make }) = self.key_file.get() else { return Ok(()) };
        let before = self.key.load_full();
        let now = match (self.key_state(path, *may_make).await?, &*before) {
            // A key in memory that stands for a file stays the same.
            (KeyState::Open(_), KeyState::Open(known)) if !path.exists() => {
                KeyState::Open(known.clone())
            }
            // The file went away under a server whose key is still the right one.
            (KeyState::Faulty(_), KeyState::Open(known))
                if self.stored_fingerprint().await? == Some(fingerprint(known)) =>
            {
                KeyState::Open(known.clone())
            }
            (now, _) => now,
        };
        let is_as_before = match (&*before, &now) {
            (KeyState::Open(before), KeyState::Open(now)) => before.bytes() == now.bytes(),
            (KeyState::Faulty(before), KeyState::Faulty(now)) => before == now,
            _ => false,
        };
        if is_as_before {
            return Ok(());
        }
        if let KeyState::Faulty(fault) = &now {
            tracing::warn!("hosts whose profiles name secrets get no configuration: {fault}");
        }
        self.key.store(Arc::new(now));
        // Its revision is the same, and its values are others.
        let snapshot = self.unsealed(Snapshot::load(&self.database).await?);
        self.current.store(Arc::new(snapshot));
        Ok(())
    }

    async fn key_state(&self, path: &Path, may_make: bool) -> Result<KeyState, Error> {
        let found = match read_key(path) {
            Ok(found) => found,
            Err(fault) => return Ok(KeyState::Faulty(fault)),
        };
        let shown = || path.display().to_string();
        let stored = self.stored_fingerprint().await?;
        let (key, stored) = match (found, stored) {
            (None, Some(_)) => return Ok(KeyState::Faulty(KeyFault::Missing { path: shown() })),
            (Some(key), Some(stored)) => (key, stored),
            (found, None) => {
                let key = found.unwrap_or_else(|| MasterKey::new(rand::random()));
                if !may_make {
                    return Ok(KeyState::Open(key.into()));
                }
                // What is in the file now: another process may have made it first.
                let kept = keep_key(path, &key).and_then(|()| read_key(path));
                let key = match kept {
                    Ok(kept) => kept.unwrap_or(key),
                    Err(fault) => return Ok(KeyState::Faulty(fault)),
                };
                let stored = self.claim(&fingerprint(&key)).await?;
                (key, stored)
            }
        };
        // Another server may have been first.
        Ok(match stored == fingerprint(&key) {
            true => KeyState::Open(key.into()),
            false => KeyState::Faulty(KeyFault::Another { path: shown() }),
        })
    }

    async fn stored_fingerprint(&self) -> Result<Option<String>, Error> {
        const FIND: &str = "SELECT fingerprint FROM secret_key WHERE id = 1";
        Ok(with_pool!(&self.database, pool =>
            sqlx::query_scalar(FIND).fetch_optional(pool).await)?)
    }

    /// Says that secrets are sealed with this key, unless another one is there already. Returns the
    /// fingerprint that is there.
    async fn claim(&self, fingerprint: &str) -> Result<String, Error> {
        const ADD: &str =
            "INSERT INTO secret_key (id, fingerprint) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
        with_pool!(&self.database, pool =>
            sqlx::query(ADD).bind(fingerprint).execute(pool).await.map(drop))?;
        Ok(self.stored_fingerprint().await?.unwrap_or_default())
    }

    /// The snapshot with the values of its secrets, as far as the key file opens them.
    pub(super) fn unsealed(&self, mut snapshot: Snapshot) -> Snapshot {
        let key = KeyState::clone(&self.key.load());
        if let KeyState::Unknown = key {
            return snapshot;
        }
        let open = |(name, sealed): (&String, &String)| {
            let value = match &key {
                KeyState::Open(master) => unseal(master, name, sealed),
                KeyState::Unknown | KeyState::Faulty(_) => None,
            };
            (name.clone(), value)
        };
        let secrets = snapshot.sealed.iter().map(open).collect();
        let keyring = Keyring::new(secrets, key.clone());
        snapshot.site = snapshot.site.with_keyring(keyring);
        snapshot
    }

    /// Every secret by name, without its value.
    pub async fn list_secrets(&self) -> Result<Vec<StoredSecret>, Error> {
        const LIST: &str = "SELECT name, changed_at FROM secrets ORDER BY name";
        let rows: Vec<(String, i64)> = with_pool!(&self.database, pool =>
            sqlx::query_as(LIST).fetch_all(pool).await)?;
        let snapshot = self.snapshot();
        let secret = |(name, changed_at): (String, i64)| {
            let used_by = places(&snapshot.site.secret_uses(&name));
            StoredSecret { name, changed_at, used_by }
        };
        Ok(rows.into_iter().map(secret).collect())
    }

    /// The key that values are sealed with.
    pub(super) fn master_key(&self) -> Result<Arc<MasterKey>, SecretError> {
        match &**self.key.load() {
            KeyState::Open(master) => Ok(master.clone()),
            KeyState::Faulty(fault) => Err(fault.clone().into()),
            KeyState::Unknown => Err(SecretError::NoKey),
        }
    }

    /// Seals what a browser keeps for the servers of this inventory. Secrets have no such names, so
    /// neither can stand for the other.
    pub(crate) fn seal_for_browser(&self, what: &str, value: &str) -> Result<String, SecretError> {
        Ok(seal(&*self.master_key()?, &format!("browser:{what}"), value))
    }

    /// What a browser kept; none if it is not what was sealed.
    pub(crate) fn unseal_from_browser(
        &self,
        what: &str,
        sealed: &str,
    ) -> Result<Option<String>, SecretError> {
        Ok(unseal(&*self.master_key()?, &format!("browser:{what}"), sealed))
    }

    /// Sets a secret, and makes a revision of it without the value: the files of hosts change.
    ///
    /// # Errors
    /// When the name or the value is not allowed, or the key file is not here.
    pub async fn set_secret(
        &self,
        change: Change<'_>,
        name: &str,
        value: &str,
    ) -> Result<(), SecretError> {
        const SET: &str = "INSERT INTO secrets (name, sealed, changed_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed,
                 changed_at = excluded.changed_at";
        self.check_shared(change.author(), change.limits, "secret", name).await?;
        check_noun_name("secret name", name)?;
        if value.is_empty() || value.len() > MOST_BYTES || value.contains('\0') {
            return Err(SecretError::Value { name: name.to_owned(), bytes: value.len() });
        }
        // Somebody may have reset the secrets a moment ago.
        self.read_key_file().await?;
        let sealed = seal(&*self.master_key()?, name, value);
        let mut transaction = self.database.begin_changing().await?;
        execute!(&mut transaction, SET, name, sealed, now_ms() / 1000)?;
        self.commit_secrets(transaction, change).await
    }

    /// Removes a secret that nothing names.
    ///
    /// # Errors
    /// When it is in use, or does not exist.
    pub async fn remove_secret(&self, change: Change<'_>, name: &str) -> Result<(), SecretError> {
        const REMOVE: &str = "DELETE FROM secrets WHERE name = $1";
        self.check_shared(change.author(), change.limits, "secret", name).await?;
        let mut transaction = self.database.begin_changing().await?;
        let before = Snapshot::read(&mut transaction).await?;
        let used_by = before.site.secret_uses(name);
        let refusal = if !before.sealed.contains_key(name) {
            Some(SecretError::Missing(name.to_owned()))
        } else if !used_by.is_empty() {
            Some(SecretError::InUse { name: name.to_owned(), used_by })
        } else {
            None
        };
        if let Some(refusal) = refusal {
            transaction.roll_back().await?;
            return Err(refusal);
        }
        execute!(&mut transaction, REMOVE, name)?;
        self.commit_secrets(transaction, change).await
    }

    /// Gives up every secret and the key that they are sealed with, and makes a new key file. The
    /// keys of WireGuard links become others.
    ///
    /// # Errors
    /// When the new key file cannot be written.
    pub async fn reset_secrets(&self, change: Change<'_>, path: &Path) -> Result<(), SecretError> {
        const REMOVE: &str = "DELETE FROM secrets";
        const SET: &str = "INSERT INTO secret_key (id, fingerprint) VALUES (1, $1)
             ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint";
        let key = MasterKey::new(rand::random());
        let mut transaction = self.database.begin_changing().await?;
        execute!(&mut transaction, REMOVE)?;
        execute!(&mut transaction, SET, fingerprint(&key))?;
        // The old file is lost only once the database has given up what it opens.
        let old = path.with_added_extension("old");
        let is_kept = match fs::rename(path, &old) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(unusable(path, error).into()),
        };
        let before = self.key.load_full();
        let made = match keep_key(path, &key) {
            Ok(()) => {
                self.key.store(Arc::new(KeyState::Open(key.into())));
                self.commit_secrets(transaction, change).await
            }
            Err(fault) => Err(fault.into()),
        };
        match (&made, is_kept) {
            (Ok(()), true) => fs::remove_file(&old).map_err(|error| unusable(&old, error))?,
            (Err(_), true) => {
                self.key.store(before);
                fs::rename(&old, path).map_err(|error| unusable(&old, error))?;
            }
            (_, false) => {}
        }
        made
    }

    /// Commits a change of secrets as a revision, by which every server notices it.
    async fn commit_secrets(
        &self,
        mut transaction: Transaction,
        change: Change<'_>,
    ) -> Result<(), SecretError> {
        let mut after = Snapshot::read(&mut transaction).await?;
        let id = after.revision + 1;
        let revision = Revision::new(id, change, &after.site, &after.site, now_ms() / 1000);
        revisions::add(&mut transaction, &revision).await?;
        let author = change.author();
        let action = AuditAction::Changed { revision: id, summary: change.summary.to_owned() };
        let entry = self.numbered(AuditEntry::new(author, action, now_ms()));
        audit_log::add(&mut transaction, &entry).await?;
        transaction.commit().await?;
        self.database.checkpoint().await;
        after.revision = id;
        self.show(self.unsealed(after));
        self.tell_of_audit(entry);
        Ok(())
    }
}

/// What tells one key from another, and nothing else of it.
fn fingerprint(key: &MasterKey) -> String {
    key.derive(&["fingerprint"])[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cipher(key: &MasterKey) -> LessSafeKey {
    let derived = key.derive(&["seal"]);
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &derived).expect("the key has 32 bytes"))
}

/// Seals a value under its name: one secret cannot be put in the place of another.
pub(super) fn seal(key: &MasterKey, name: &str, value: &str) -> String {
    let nonce: [u8; NONCE] = rand::random();
    let mut bytes = value.as_bytes().to_vec();
    cipher(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name.as_bytes()),
            &mut bytes,
        )
        .expect("the value is not longer than the cipher allows");
    format!("{SEALED}{}", STANDARD.encode([&nonce[..], &bytes].concat()))
}

/// The value; none with another key, or if somebody changed the row.
pub(super) fn unseal(key: &MasterKey, name: &str, sealed: &str) -> Option<String> {
    let bytes = STANDARD.decode(sealed.strip_prefix(SEALED)?).ok()?;
    let (nonce, value) = bytes.split_at_checked(NONCE)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut value = value.to_vec();
    let opened = cipher(key).open_in_place(nonce, Aad::from(name.as_bytes()), &mut value).ok()?;
    String::from_utf8(opened.to_vec()).ok()
}

/// The mode of a key file that others than its owner can read, or a group can write. That a group reads
/// it is how a service that is not root has a key of root's.
pub(crate) fn exposed_mode(path: &Path) -> Option<u32> {
    const OF_OTHERS: u32 = 0o037;
    let mode = fs::metadata(path).ok()?.mode() & 0o777;
    (mode & OF_OTHERS != 0).then_some(mode)
}

/// Reads a key file: 32 bytes in base64.
fn read_key(path: &Path) -> Result<Option<MasterKey>, KeyFault> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, error)),
    };
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(MasterKey::new).map(Some).ok_or_else(|| {
        let cause = "expected 32 bytes in base64";
        KeyFault::Unusable { path: path.display().to_string(), cause: cause.into() }
    })
}

/// Writes a key file for its owner alone, who is the owner of the directory; one that is there stays.
fn keep_key(path: &Path, key: &MasterKey) -> Result<(), KeyFault> {
    let write = || -> io::Result<()> {
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            opened => opened?,
        };
        file.write_all(format!("{}\n", STANDARD.encode(key.bytes())).as_bytes())?;
        if let Some(directory) = path.parent() {
            let owner = fs::metadata(directory)?;
            if owner.uid() != file.metadata()?.uid() {
                // A command of root beside a server that runs as another user.
                fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
            }
        }
        file.sync_all()
    };
    write().map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: io::Error) -> KeyFault {
    KeyFault::Unusable { path: path.display().to_string(), cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_with_its_key_and_under_its_name_only() {
        let key = MasterKey::new([7; 32]);
        let sealed = seal(&key, "leaf", "hunter2");
        assert_ne!(sealed, seal(&key, "leaf", "hunter2"));
        assert!(!sealed.contains("hunter2"));
        assert_eq!(unseal(&key, "leaf", &sealed).as_deref(), Some("hunter2"));
        assert_eq!(unseal(&key, "spine", &sealed), None);
        assert_eq!(unseal(&MasterKey::new([8; 32]), "leaf", &sealed), None);
        for broken in ["", "v1:", "v1:AAAA", "v2:AAAA", &sealed[..sealed.len() - 4]] {
            assert_eq!(unseal(&key, "leaf", broken), None, "{broken:?}");
        }
    }
}
