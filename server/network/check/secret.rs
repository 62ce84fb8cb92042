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
    let named: Vec<_> = of_bgp.chain(of_macsec).collect();
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
