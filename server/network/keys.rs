//! The files of keys that networkd reads, and what lets it. Pure.

use super::links::{HostNetwork, Kind};
use super::{File, Format, macsec};

/// Where the file is that hands networkd the keys of its links.
const DIRECTORY: &str = "/etc/systemd/system/systemd-networkd.service.d";

/// The file of a link's own key, for networkd.
pub(super) fn key_path(link: &str) -> String {
    format!("/etc/systemd/network/{link}.key")
}

/// The files of keys, and what lets networkd read them: it runs as a user of its own, whose number
/// is another on each host. None for a host without.
pub(super) fn files(host: &HostNetwork) -> Vec<File> {
    let mut keys = Vec::new();
    for link in host.links.values() {
        if let Kind::Wireguard { wireguard, .. } = &link.kind {
            keys.push((format!("{}.key", link.name), &wireguard.private_key));
        }
    }
    keys.extend(macsec::keys(host));
    if keys.is_empty() {
        return Vec::new();
    }
    let file =
        |(name, key)| File { mode: 0o640, ..File::of(Format::Networkd, name, format!("{key}\n")) };
    let mut files: Vec<File> = keys.into_iter().map(file).collect();
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
