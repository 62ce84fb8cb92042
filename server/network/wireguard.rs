//! Links of WireGuard: the peers that follow from the inventory, and the files of keys. Pure.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::links::{HostNetwork, Kind};
use super::{File, Format};
use crate::model::{Millis, SecretText};

/// Where the file is that hands networkd the keys of its links.
const DIRECTORY: &str = "/etc/systemd/system/systemd-networkd.service.d";

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

/// The file of a link's own key, for networkd.
pub(super) fn key_path(link: &str) -> String {
    format!("/etc/systemd/network/{link}.key")
}

/// The files of keys that networkd reads, and what lets it: it runs as a user of its own, whose
/// number is another on each host. None for a host without.
pub(super) fn key_files(host: &HostNetwork) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    for link in host.links.values() {
        if let Kind::Wireguard { wireguard, .. } = &link.kind {
            let text = format!("{}\n", wireguard.private_key);
            let name = format!("{}.key", link.name);
            files.push(File { mode: 0o640, ..File::of(Format::Networkd, name, text) });
        }
    }
    if files.is_empty() {
        return files;
    }
    let paths: Vec<String> = files.iter().map(File::path).collect();
    // With `+`, because networkd may not change groups; with `-`, so that a host comes up whose
    // networkd runs as root and has no such group.
    let text = format!(
        "# {}\n[Service]\nExecStartPre=+-/bin/chgrp systemd-network {}\n",
        host.origin(),
        paths.join(" ")
    );
    files.push(File {
        name: "90-rackstrap-keys.conf".into(),
        directory: Some(DIRECTORY.into()),
        mode: 0o644,
        text,
    });
    files
}
