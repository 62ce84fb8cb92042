//! Links of WireGuard: the peers that follow from the inventory. Pure data.

use std::net::SocketAddr;

use ipnet::IpNet;

use crate::model::{Millis, SecretText};

/// What a host's link of WireGuard comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wireguard {
    /// Its own private key, in base64.
    pub private_key: SecretText,
    /// Its own public key; none without the key file.
    pub public_key: Option<String>,
    /// Whom it speaks to.
    pub peers: Vec<Peer>,
}

/// The other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The host of the inventory that it is.
    pub host: Option<String>,
    /// Its public key, in base64.
    pub public_key: String,
    /// Where it is called, an address or a name with a port.
    pub endpoint: Option<String>,
    /// What is behind it.
    pub allowed_ips: Vec<IpNet>,
    /// How often it is called where nothing is sent.
    pub keepalive: Option<Millis>,
}

impl Wireguard {
    /// Of a link whose host is not known yet.
    pub(super) fn unknown() -> Self {
        let private_key = SecretText::Hidden(String::new());
        Self { private_key, public_key: None, peers: Vec::new() }
    }
}

impl Peer {
    /// The networks behind it, as files list them.
    pub(super) fn allowed(&self) -> Vec<String> {
        self.allowed_ips.iter().map(ToString::to_string).collect()
    }

    /// Seconds between two calls.
    pub(super) fn keepalive_seconds(&self) -> Option<u64> {
        self.keepalive.map(|time| time.0 / 1000)
    }
}

/// An address and a port, as an endpoint has them.
pub(super) fn endpoint(address: std::net::IpAddr, port: u16) -> String {
    SocketAddr::new(address, port).to_string()
}
