//! Rule N245: links of MACsec that could not be made, or would hear nobody. Pure.

use std::collections::BTreeMap;

use super::{Findings, ProfileView};
use crate::model::{MacsecSpec, TunnelMode};
use crate::network::links::{Kind, Link};
use crate::network::{Macsec, nearest};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for link in view.network.links.values() {
        let Kind::Macsec { spec, macsec } = &link.kind else { continue };
        below(view, link, spec, findings);
        peers(view, link, spec, macsec, findings);
        if let Some(other) = taken.insert(&spec.link, &link.name) {
            let text = format!(
                "{other} and {} are both on {}: the kernel makes one link of MACsec with one MAC and port",
                link.name, spec.link
            );
            findings.error("N245", view.at(&link.name, "link"), text);
        }
    }
}

/// What frames of MACsec can be sent by.
fn below(view: &ProfileView<'_>, link: &Link, spec: &MacsecSpec, findings: &mut Findings) {
    let Some(below) = view.network.links.get(&spec.link) else { return };
    if let Some(owner) = view.network.owner(below) {
        let text = format!(
            "{}: its parent {} is in {owner}, which takes all its packets; put it on {owner}",
            link.name,
            below.name,
            owner = owner.name
        );
        findings.error("N112", view.at(&link.name, "link"), text);
        findings.suggest(view.path(&link.name, "link"), &owner.name);
        return;
    }
    let is_bare = match &below.kind {
        Kind::Tunnel { spec, .. } => spec.mode != TunnelMode::Geneve,
        Kind::Wireguard { .. } | Kind::Loopback | Kind::Vrf(_) | Kind::Macsec { .. } => true,
        _ => below.is_infiniband(),
    };
    if is_bare {
        let text = format!(
            "{}: {} does not carry Ethernet of its own; use a NIC, bond, VLAN or bridge",
            link.name, below.name
        );
        findings.error("N245", view.at(&link.name, "link"), text);
    }
    let takes_all = |other: &&Link| matches!(other.kind, Kind::Macvlan(_) | Kind::Ipvlan(_));
    if let Some(other) = view.network.children(&below.name).find(takes_all) {
        let text = format!(
            "{} cannot carry {} and the {} {} at once: each takes what comes in",
            below.name,
            link.name,
            other.kind.label(),
            other.name
        );
        findings.error("N116", view.at(&link.name, "link"), text);
    }
}

/// Whom it hears, and with which keys.
fn peers(
    view: &ProfileView<'_>,
    link: &Link,
    spec: &MacsecSpec,
    macsec: &Macsec,
    findings: &mut Findings,
) {
    let mut error = |key: &str, text: String| {
        let text = format!("{}: {text}", link.name);
        findings.error("N245", view.at(&link.name, key), text);
    };
    let derives = spec.key.is_none() || spec.mesh.is_some();
    if let Some(fault) = view.site.keyring().fault().filter(|_| derives) {
        error("", format!("its key cannot be derived: {fault}"));
    }
    if spec.mesh.is_none() && spec.peers.is_empty() {
        error("peers", "no peer: set mesh or peers".into());
    }
    let mut heard: BTreeMap<_, String> = BTreeMap::new();
    for channel in &macsec.channels {
        let Some(mac) = channel.mac else {
            let name = channel.host.as_deref().unwrap_or_default();
            error(
                "mesh",
                format!(
                    "the MAC that {name} sends from is not known before it runs: write its NIC's MAC, or macaddress"
                ),
            );
            continue;
        };
        let name = channel.host.clone().unwrap_or_else(|| format!("peer {mac}"));
        let key = if channel.host.is_some() { "mesh" } else { "peers" };
        if mac.is_multicast() || mac.is_zero() {
            error(
                key,
                format!("{mac} is not a valid MAC address: expected a non-zero unicast address"),
            );
        }
        if let Some(other) = heard.insert((mac, channel.port), name.clone()) {
            error(key, format!("{other} and {name} both send from {mac}, port {}", channel.port));
        }
    }
    let label = spec.mesh.as_ref().and_then(|mesh| mesh.label.as_ref());
    let has = |label: &&String| view.site.hosts.values().any(|host| host.labels.contains(*label));
    if let Some(label) = label.filter(|label| !has(label)) {
        let known = view.site.hosts.values().flat_map(|host| &host.labels);
        let hint = nearest::hint(label, known.map(String::as_str));
        let text = format!("{}: no host has the label \"{label}\"{hint}", link.name);
        findings.warn("N245", view.at(&link.name, "mesh"), text);
    }
}
