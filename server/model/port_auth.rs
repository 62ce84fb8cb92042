//! How a NIC is let into a network whose switch asks who is there (IEEE 802.1X), in netplan's words. Pure.

use serde::{Deserialize, Serialize};

use super::link::is_default;
use super::words::words;
use super::{Caption, SecretRef};

words! {
    /// What keys follow from.
    #[derive(Default)]
    pub KeyManagement {
        /// A server that knows the host (EAP over Ethernet).
        #[default]
        Dot1x = "802.1x",
    }
}

words! {
    /// How the host shows who it is (EAP).
    pub EapMethod {
        /// By a certificate of its own (RFC 5216).
        Tls = "tls",
        /// By a password, within TLS.
        Peap = "peap",
        /// By a password, within TLS (RFC 5281).
        Ttls = "ttls",
    }
}

words! {
    /// How a password is shown within TLS.
    #[derive(Default)]
    pub InnerAuth {
        /// MS-CHAPv2 (RFC 2759).
        #[default]
        Mschapv2 = "mschapv2",
        /// MS-CHAP (RFC 2433).
        Mschap = "mschap",
        /// CHAP (RFC 1994).
        Chap = "chap",
        /// As it is (RFC 1334).
        Pap = "pap",
    }
}

/// How a NIC is let into the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuthSpec {
    /// What keys follow from: `802.1x`, the only one on a wire.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key_management: KeyManagement,
    /// How the host shows who it is.
    pub method: EapMethod,
    /// Who it is, such as `host/n1.example.net`.
    pub identity: EapIdentity,
    /// Who it says it is outside of TLS, where everybody can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous_identity: Option<EapIdentity>,
    /// The password of `peap` and `ttls`, a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// How `peap` and `ttls` show the password within TLS, where that is not `mschapv2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase2_auth: Option<InnerAuth>,
    /// The host's file with the certificates that the server's must come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<Caption>,
    /// The host's file with its own certificate, for `tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Caption>,
    /// The host's file with the key of that, for `tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<Caption>,
    /// That key itself as a secret, in PEM, in place of `client-key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_client_key: Option<SecretRef>,
    /// The password of that key, a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_password: Option<SecretRef>,
}

impl AuthSpec {
    /// The secrets that it names: the key of each, and the secret.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &SecretRef)> {
        let named = [
            ("password", &self.password),
            ("sealed-client-key", &self.sealed_client_key),
            ("client-key-password", &self.client_key_password),
        ];
        named.into_iter().filter_map(|(key, named)| Some((key, named.as_ref()?)))
    }
}

/// Who a host is to a server of 802.1X: one line without quotation marks, which may have a
/// backslash as names of Windows domains do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EapIdentity(String);

/// A text that is not an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an identity: expected one line of 1 to 200 characters without quotation marks, such as host/n1.example.net"
)]
pub struct InvalidEapIdentity(pub String);

impl std::str::FromStr for EapIdentity {
    type Err = InvalidEapIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidEapIdentity> {
        let fits = (1..=200).contains(&text.chars().count())
            && text.trim() == text
            && text.chars().all(|c| !c.is_control() && c != '"');
        fits.then(|| Self(text.to_owned())).ok_or_else(|| InvalidEapIdentity(text.to_owned()))
    }
}

impl std::fmt::Display for EapIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

super::as_text::as_text!(EapIdentity);
