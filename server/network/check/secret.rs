//! Rules N240 and N241: secrets that a profile names. Pure.

use super::{Findings, ProfileView};
use crate::network::nearest;

/// What a secret is for, which decides what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecretUse {
    /// It signs a session of BGP.
    BgpPassword,
    /// A link of MACsec sends with it.
    MacsecKey,
    /// It lets a NIC in, or opens the key that does.
    AuthPassword,
    /// It is the key of a certificate.
    ClientKey,
}

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    let keyring = view.site.keyring();
    if keyring.is_unknown() {
        return;
    }
    let neighbors = view.profile.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    let passwords = neighbors.filter_map(|neighbor| neighbor.password.as_ref());
    let of_bgp = passwords
        .map(|named| (view.within(["bgp", "neighbors"]).into(), named, SecretUse::BgpPassword));
    let of_macsec = view.profile.macsecs.iter().flat_map(|(link, spec)| {
        let own = spec.key.iter().map(move |named| (view.at(link, "key"), named));
        let peers = spec.peers.iter().map(move |peer| (view.at(link, "peers"), &peer.key));
        own.chain(peers).map(|(at, named)| (at, named, SecretUse::MacsecKey))
    });
    let of_auth = view.profile.nics.iter().flat_map(|(link, nic)| {
        let named = nic.auth.iter().flat_map(|auth| auth.secrets());
        named.map(move |(key, named)| {
            let purpose = match key {
                "sealed-client-key" => SecretUse::ClientKey,
                _ => SecretUse::AuthPassword,
            };
            (view.path(link, &format!("auth.{key}")).into(), named, purpose)
        })
    });
    let named: Vec<_> = of_bgp.chain(of_macsec).chain(of_auth).collect();
    for (at, named, purpose) in named {
        let at: super::FindingSubject = at;
        let name = &named.secret;
        if !keyring.names().any(|known| known == name) {
            let hint = nearest::hint(name, keyring.names());
            let text = format!(
                "secret \"{name}\" does not exist{hint}: set it with rackstrap secret set {name}"
            );
            findings.error("N240", at, text);
            continue;
        }
        match keyring.value(name) {
            Some(value) => {
                if let Some(why) = purpose.mistake(value) {
                    findings.error("N241", at, format!("secret \"{name}\" {why}"));
                }
            }
            None => {
                let why = keyring.fault().map_or_else(
                    || format!("it was not sealed with this key: set it again with rackstrap secret set {name}"),
                    ToString::to_string,
                );
                findings.error("N240", at, format!("secret \"{name}\" cannot be read: {why}"));
            }
        }
    }
}

impl SecretUse {
    /// Why a value cannot be used for it.
    fn mistake(self, value: &str) -> Option<&'static str> {
        match self {
            Self::MacsecKey => {
                let fits = value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
                (!fits).then_some("is not a key of MACsec: expected 32 hexadecimal digits")
            }
            Self::AuthPassword => {
                let fits = (1..=128).contains(&value.len()) && !value.chars().any(char::is_control);
                (!fits)
                    .then_some("is not a password of 802.1X: expected one line of 1 to 128 bytes")
            }
            Self::ClientKey => {
                let fits = value.starts_with("-----BEGIN") && value.contains("PRIVATE KEY-----");
                (!fits)
                    .then_some("is not a private key in PEM: expected -----BEGIN PRIVATE KEY-----")
            }
            // TCP_MD5SIG_MAXKEYLEN; and a word of FRR's grammar.
            Self::BgpPassword => {
                let fits = value.len() <= 80 && value.bytes().all(|byte| byte.is_ascii_graphic());
                (!fits).then_some(
                    "is not a password of BGP: expected 1 to 80 ASCII characters without spaces",
                )
            }
        }
    }
}
