//! The values of secrets, and the keys of hosts that follow from the key file. Pure, but for a
//! cache behind a lock.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};

use super::{SecretRef, SecretText};

/// The secrets of an inventory as one process knows them.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    secrets: BTreeMap<String, Option<SecretText>>,
    key: KeyState,
}

/// What a process knows of the key that secrets are sealed with.
#[derive(Clone, Debug, Default)]
pub enum KeyState {
    /// Nobody asked: no secret is missing, and keys of hosts are those of an example.
    #[default]
    Unknown,
    /// It cannot be used.
    Faulty(KeyFault),
    /// It is here.
    Open(Arc<MasterKey>),
}

/// Why the key file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There is none, and the secrets were sealed with one.
    #[error(
        "key file {path} does not exist: copy it from the server or the backup where the secrets were set, \
         or set secret_key_file"
    )]
    Missing {
        /// Where it is looked for.
        path: String,
    },
    /// It is that of another inventory.
    #[error(
        "key file {path} is not the one that the secrets of this inventory are sealed with: copy that one here"
    )]
    Another {
        /// The file.
        path: String,
    },
    /// It cannot be read or made.
    #[error("cannot use key file {path}: {cause}")]
    Unusable {
        /// The file.
        path: String,
        /// The system's reason, or what is wrong with its contents.
        cause: String,
    },
}

/// The 32 bytes of the key file, and the public keys that were derived so far.
pub struct MasterKey {
    bytes: [u8; 32],
    public: RwLock<HashMap<(String, String), String>>,
}

/// Never its bytes.
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// The key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self { bytes, public: RwLock::default() }
    }

    /// What the key file has.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// 32 bytes for one purpose (HKDF, RFC 5869), from which neither the key nor those of another
    /// purpose can be computed.
    pub fn derive(&self, purpose: &[&str]) -> [u8; 32] {
        let mut derived = [0; 32];
        // Each part with its length: "ab", "c" is not "a", "bc".
        let mut info = Vec::new();
        for part in purpose {
            info.extend((part.len() as u32).to_be_bytes());
            info.extend(part.as_bytes());
        }
        Hkdf::<Sha256>::new(Some(b"rackstrap"), &self.bytes)
            .expand(&info, &mut derived)
            .expect("32 bytes are not too many for SHA-256");
        derived
    }

    /// The private key of a WireGuard link of a host.
    fn wireguard_private(&self, host: &str, link: &str) -> StaticSecret {
        StaticSecret::from(self.derive(&["wireguard", host, link]))
    }

    fn wireguard_public(&self, host: &str, link: &str) -> String {
        let key = (host.to_owned(), link.to_owned());
        if let Some(known) = self.public.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let public = PublicKey::from(&self.wireguard_private(host, link));
        let text = STANDARD.encode(public.as_bytes());
        self.public.write().unwrap_or_else(PoisonError::into_inner).insert(key, text.clone());
        text
    }
}

impl Keyring {
    /// The secrets by name, each with its value where it could be unsealed.
    pub fn new(secrets: BTreeMap<String, Option<String>>, key: KeyState) -> Self {
        let shown = |value: Option<String>| value.map(SecretText::Shown);
        Self {
            secrets: secrets.into_iter().map(|(name, value)| (name, shown(value))).collect(),
            key,
        }
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.secrets.keys().map(String::as_str)
    }

    /// Whether nobody asked which secrets there are.
    pub fn is_unknown(&self) -> bool {
        matches!(self.key, KeyState::Unknown)
    }

    /// Why values are not known.
    pub fn fault(&self) -> Option<&KeyFault> {
        match &self.key {
            KeyState::Faulty(fault) => Some(fault),
            KeyState::Unknown | KeyState::Open(_) => None,
        }
    }

    /// The key, where it is here.
    pub fn master(&self) -> Option<&Arc<MasterKey>> {
        match &self.key {
            KeyState::Open(master) => Some(master),
            KeyState::Unknown | KeyState::Faulty(_) => None,
        }
    }

    /// The value of a secret.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.secrets.get(name)?.as_ref()?.value()
    }

    /// What a file has in the place of a secret: its value if `shows`, else its name.
    pub fn text(&self, named: &SecretRef, shows: bool) -> SecretText {
        let value = self.value(&named.secret).filter(|_| shows);
        let hidden = || SecretText::Hidden(format!("secret {}", named.secret));
        value.map_or_else(hidden, |value| SecretText::Shown(value.to_owned()))
    }

    /// The public key of a WireGuard link of a host, in base64; none without the key file.
    pub fn wireguard_public(&self, host: &str, link: &str) -> Option<String> {
        match &self.key {
            KeyState::Open(master) => Some(master.wireguard_public(host, link)),
            KeyState::Unknown => Some(MasterKey::new([0; 32]).wireguard_public(host, link)),
            KeyState::Faulty(_) => None,
        }
    }

    /// The key that a MACsec link of a host sends with, in hexadecimal if `shows`.
    pub fn macsec_key(&self, host: &str, link: &str, shows: bool) -> SecretText {
        match self.master().filter(|_| shows) {
            Some(master) => {
                let derived = master.derive(&["macsec", host, link]);
                // GCM-AES-128 (IEEE 802.1AE section 14.5): half of it.
                let digits = derived.iter().take(16).map(|byte| format!("{byte:02x}"));
                SecretText::Shown(digits.collect())
            }
            None => SecretText::Hidden(format!("key of {link} on {host}")),
        }
    }

    /// The private key of a WireGuard link of a host, in base64 if `shows`.
    pub fn wireguard_private(&self, host: &str, link: &str, shows: bool) -> SecretText {
        match self.master().filter(|_| shows) {
            Some(master) => {
                let private = master.wireguard_private(host, link);
                SecretText::Shown(STANDARD.encode(private.as_bytes()))
            }
            None => SecretText::Hidden(format!("private key of {link}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_hosts_follow_from_the_master_key_and_from_nothing_else() {
        let of = |byte: u8| {
            Keyring::new(BTreeMap::new(), KeyState::Open(MasterKey::new([byte; 32]).into()))
        };
        let (one, other) = (of(1), of(2));
        let public = |keyring: &Keyring, host, link| keyring.wireguard_public(host, link).unwrap();
        assert_eq!(public(&one, "n1", "wg0"), public(&of(1), "n1", "wg0"));
        for different in
            [public(&other, "n1", "wg0"), public(&one, "n2", "wg0"), public(&one, "n1", "wg1")]
        {
            assert_ne!(public(&one, "n1", "wg0"), different);
        }
        // The parts are told apart.
        assert_ne!(public(&one, "n", "1wg0"), public(&one, "n1", "wg0"));
        let private = one.wireguard_private("n1", "wg0", true);
        let bytes: [u8; 32] =
            STANDARD.decode(private.value().unwrap()).unwrap().try_into().unwrap();
        let computed = PublicKey::from(&StaticSecret::from(bytes));
        assert_eq!(STANDARD.encode(computed.as_bytes()), public(&one, "n1", "wg0"));
        assert_eq!(one.wireguard_private("n1", "wg0", false).to_string(), "<private key of wg0>");
    }

    #[test]
    fn readers_see_the_name_of_a_secret_and_the_host_its_value() {
        let secrets = [("leaf".to_owned(), Some("hunter2".to_owned()))].into();
        let keyring = Keyring::new(secrets, KeyState::Open(MasterKey::new([1; 32]).into()));
        let named = SecretRef { secret: "leaf".into() };
        assert_eq!(keyring.text(&named, false).to_string(), "<secret leaf>");
        assert_eq!(keyring.text(&named, true).to_string(), "hunter2");
        assert!(!format!("{keyring:?}").contains("hunter2"));
    }
}
