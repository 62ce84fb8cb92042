//! Links of MACsec: whom they hear, and with which keys. Pure data.

use super::links::{HostNetwork, Kind};
use super::{File, Format};
use crate::model::{Mac, SecretText};

/// The port of a host's own secure channel: the first that is not reserved (IEEE 802.1AE section 7.1.2).
pub(super) const PORT: u16 = 1;

/// What a host's link of MACsec comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macsec {
    /// The key that it sends with: 16 bytes in hexadecimal.
    pub key: SecretText,
    /// Whom it hears.
    pub channels: Vec<Channel>,
}

/// The other end of a secure channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The host of the inventory that it is.
    pub host: Option<String>,
    /// The MAC that it sends from; none where it is not known before the host runs.
    pub mac: Option<Mac>,
    /// Its port.
    pub port: u16,
    /// The key that it sends with.
    pub key: SecretText,
}

impl Macsec {
    /// Of a link whose host is not known yet.
    pub(super) fn unknown() -> Self {
        Self { key: SecretText::Hidden(String::new()), channels: Vec::new() }
    }
}

impl Channel {
    /// What the file of its key is called after the link: the host, or the MAC in lower-case digits.
    fn word(&self) -> Option<String> {
        match (&self.host, self.mac) {
            (Some(host), _) => Some(host.clone()),
            (None, Some(mac)) => Some(format!("{mac}-{}", self.port).replace(':', "")),
            (None, None) => None,
        }
    }

    /// Where the file of its key is.
    pub(super) fn key_path(&self, link: &str) -> Option<String> {
        Some(File::of(Format::Networkd, self.key_name(link)?, String::new()).path())
    }

    fn key_name(&self, link: &str) -> Option<String> {
        Some(format!("{link}.{}.key", self.word()?))
    }
}

/// The files of all keys of all links, by name, with what is in them.
pub(super) fn keys(host: &HostNetwork) -> Vec<(String, &SecretText)> {
    let mut keys = Vec::new();
    for link in host.links.values() {
        let Kind::Macsec { macsec, .. } = &link.kind else { continue };
        keys.push((format!("{}.key", link.name), &macsec.key));
        for channel in &macsec.channels {
            keys.extend(channel.key_name(&link.name).map(|name| (name, &channel.key)));
        }
    }
    keys
}
