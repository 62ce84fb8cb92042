//! WireGuard: a link whose packets go to peers by their public keys. Pure.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::as_text::as_text;
use super::link::link_spec;
use super::{Host, Millis};

link_spec! {
    /// A link of WireGuard. Its private key is the host's alone and follows from the server's key
    /// file; the public key is that of the host and the link.
    #[derive(Default)]
    WireguardSpec {
        /// The UDP port that it listens at; one that the kernel chooses where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        listen_port: Option<u16>,
        /// The link whose address other hosts call it at, with `listen-port`. Without `link` and
        /// `endpoint` nobody calls it: it calls others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
        /// Where other hosts call it instead, such as `vpn.example.net:51820`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<WireguardEndpoint>,
        /// Networks behind this host that the others reach through it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(with = "Vec<super::schema::Prefix>")]
        networks: Vec<IpNet>,
        /// Its peers are all hosts that have a link of this name and fit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mesh: Option<HostSelector>,
        /// The host that all others with a link of this name have as their only peer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hub: Option<String>,
        /// How often hosts of `mesh` or the `hub` are called where nothing is sent: whole seconds,
        /// for a host behind source NAT.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keepalive: Option<Millis>,
        /// Peers that are not hosts of the inventory.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        peers: Vec<WireguardPeer>,
    }
}

/// Which hosts are meant: those that fit all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostSelector {
    /// Those with this label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Those in this rack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Those with this profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl HostSelector {
    /// Whether a host is meant.
    pub fn fits(&self, host: &Host) -> bool {
        let has_label = |label: &String| host.labels.contains(label);
        self.label.as_ref().is_none_or(has_label)
            && self.rack.as_ref().is_none_or(|rack| host.rack.as_ref() == Some(rack))
            && self.profile.as_ref().is_none_or(|it| host.profile.as_ref() == Some(it))
    }
}

/// A peer that is not a host of the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WireguardPeer {
    /// Its public key, as `wg pubkey` prints it.
    pub public_key: WireguardKey,
    /// Where it is, such as `192.0.2.1:51820`; none for one that calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<WireguardEndpoint>,
    /// The networks behind it: it alone sends from there, and what goes there goes to it.
    #[schemars(with = "Vec<super::schema::Prefix>")]
    pub allowed_ips: Vec<IpNet>,
    /// How often it is called where nothing is sent: whole seconds, for a host behind source NAT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Millis>,
}

/// A public key: 32 bytes in base64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireguardKey(String);

/// A text that is not such a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a public key of WireGuard: expected 44 characters as wg pubkey prints them")]
pub struct InvalidWireguardKey(pub String);

impl FromStr for WireguardKey {
    type Err = InvalidWireguardKey;

    fn from_str(text: &str) -> Result<Self, InvalidWireguardKey> {
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
        let fits = match text.as_bytes() {
            // Of the last character only four bits belong to the key.
            [most @ .., last, b'='] => {
                most.len() == 42
                    && most.iter().all(|byte| is_base64(*byte))
                    && b"AEIMQUYcgkosw048".contains(last)
            }
            _ => false,
        };
        fits.then(|| Self(text.to_owned())).ok_or_else(|| InvalidWireguardKey(text.to_owned()))
    }
}

impl fmt::Display for WireguardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address or a name, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireguardEndpoint(String);

/// A text that is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an endpoint: expected one such as 192.0.2.1:51820, [2001:db8::1]:51820 or vpn.example.net:51820"
)]
pub struct InvalidWireguardEndpoint(pub String);

impl FromStr for WireguardEndpoint {
    type Err = InvalidWireguardEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidWireguardEndpoint> {
        let fits = text.rsplit_once(':').is_some_and(|(host, port)| {
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let is_name = |host: &str| {
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
                !host.is_empty() && host.chars().all(fits)
            };
            let is_host = match inner {
                Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
                None => is_name(host),
            };
            let is_plain = port.bytes().all(|byte| byte.is_ascii_digit());
            is_host && is_plain && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        fits.then(|| Self(text.to_owned())).ok_or_else(|| InvalidWireguardEndpoint(text.to_owned()))
    }
}

impl fmt::Display for WireguardEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(WireguardKey, WireguardEndpoint);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_endpoints_are_those_of_wg() {
        let key = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
        assert_eq!(key.parse::<WireguardKey>().unwrap().to_string(), key);
        for wrong in ["", "short=", &key[1..], &key.replace('D', "\n"), &key.replace("g=", "h=")] {
            assert!(wrong.parse::<WireguardKey>().is_err(), "{wrong:?}");
        }
        for text in ["192.0.2.1:51820", "[2001:db8::1]:51820", "vpn.example.net:1"] {
            assert_eq!(text.parse::<WireguardEndpoint>().unwrap().to_string(), text);
        }
        for wrong in ["", "host", "host:0", "host:+1", "2001:db8::1:51820", "a b:1", "x\ny:1"] {
            assert!(wrong.parse::<WireguardEndpoint>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_selector_means_hosts_that_fit_all_of_it() {
        let host: Host =
            serde_json::from_str(r#"{"labels": ["office"], "rack": "r1", "profile": "p"}"#)
                .unwrap();
        let fits = |text: &str| serde_json::from_str::<HostSelector>(text).unwrap().fits(&host);
        assert!(fits("{}") && fits(r#"{"label": "office", "rack": "r1", "profile": "p"}"#));
        for other in
            [r#"{"label": "lab"}"#, r#"{"rack": "r2"}"#, r#"{"label": "office", "profile": "q"}"#]
        {
            assert!(!fits(other), "{other}");
        }
    }
}
