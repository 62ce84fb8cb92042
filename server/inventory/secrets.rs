//! Passwords and tokens, and the hashes that are stored.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use rand::Rng;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// Letters and digits without those that look alike: no 0, O, 1, l or I.
const ALPHABET: &[u8] = b"23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";
/// Limits concurrent hashes: each takes 19 MiB and 0.1 s, which a flood of logins would take
/// from booting hosts.
static HASHING: Semaphore = Semaphore::const_new(1);

/// A random text, with 5.8 bits per character.
pub(crate) fn random_text(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

/// The stored form of a token: SHA-256 in hexadecimal. A token is random, so it needs no slow hash.
pub(crate) fn token_hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The stored form of a password: argon2id (RFC 9106) as a PHC string.
pub(crate) async fn password_hash(password: String) -> String {
    hashing(move || {
        let salt: [u8; 16] = rand::random();
        let salt = SaltString::encode_b64(&salt).expect("16 bytes are a salt of allowed length");
        Argon2::default()
            .hash_password(password.as_bytes(), &salt)
            .expect("argon2's own parameters and this salt are allowed")
            .to_string()
    })
    .await
}

/// Whether the password matches the stored hash. Without a hash the answer takes as long, so that
/// its timing does not reveal which users exist.
pub(crate) async fn password_matches(password: String, stored: Option<String>) -> bool {
    const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$\
        AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    hashing(move || {
        let text = stored.as_deref().unwrap_or(NOBODYS);
        let Ok(hash) = PasswordHash::new(text) else { return false };
        let matches = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        matches && stored.is_some()
    })
    .await
}

async fn hashing<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let _turn = HASHING.acquire().await.expect("the semaphore is never closed");
    tokio::task::spawn_blocking(work).await.expect("hashing does not panic and is not aborted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let hash = password_hash("correct horse".into()).await;
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(password_matches("correct horse".into(), Some(hash.clone())).await);
        assert!(!password_matches("wrong horse".into(), Some(hash.clone())).await);
        assert!(!password_matches("correct horse".into(), None).await);
        assert!(!password_matches("x".into(), Some("no hash".into())).await);
        assert_ne!(hash, password_hash("correct horse".into()).await, "salts differ");
    }

    #[test]
    fn random_texts_differ_and_are_easily_read() {
        let (one, other) = (random_text(20), random_text(20));
        assert_ne!(one, other);
        assert!(one.len() == 20 && one.bytes().all(|byte| ALPHABET.contains(&byte)), "{one}");
    }

    #[test]
    fn a_token_is_kept_as_its_digest() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(token_hash("abc"), digest);
    }
}
