//! Rules about links that networkd leaves to others: what is said of them beside that is set by
//! nobody. Pure.

use serde::Serialize;
use serde_json::Value;

use super::{Findings, ProfileView};
use crate::model::NicSpec;
use crate::network::links::Link;

/// What is known of a NIC and how it is found, whoever owns it.
const FACTS: &[&str] = &[
    "match-name",
    "match-driver",
    "path",
    "rail",
    "numa",
    "gpu",
    "speed",
    "max-mtu",
    "bondable",
    "sriov-max",
    "rdma-device",
    "allow",
];

/// What udev or the unit of NICs sets on a NIC, whether networkd has it or not.
const BESIDE_NETWORKD: &[&str] = &[
    "unmanaged",
    "set-name",
    "wake-on-lan",
    "offload",
    "ring",
    "channels",
    "coalesce",
    "infiniband-mode",
    "roce",
    "affinity",
    "multicast-macs",
    "extra",
];

/// What Open vSwitch's unit and the files of what networkd makes set on a port.
const OF_PORTS: &[&str] = &["mtu", "multicast-macs", "extra", "allow"];

/// What rule N121 says of every link that is in another.
pub(super) const OF_MEMBERS: &[&str] = &[
    "subnet",
    "subnet6",
    "host-number",
    "host-number6",
    "more-subnets",
    "addresses",
    "dhcp4",
    "dhcp6",
    "accept-ra",
    "routes",
    "routing-policy",
];

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        if let Some(nic) = view.profile.nics.get(&link.name).filter(|_| link.is_nic()) {
            owned(view, link, nic, findings);
        }
        port(view, link, findings);
    }
}

/// Rule N182: a NIC of another program, and what nobody sets on it.
fn owned(view: &ProfileView<'_>, link: &Link, nic: &NicSpec, findings: &mut Findings) {
    let name = &link.name;
    let (word, why, allowed): (_, _, &[&[&str]]) = match (&nic.driver_override, nic.unmanaged) {
        (Some(driver), _) => {
            let why = format!("{name} is bound to {driver}, so the kernel has no link for it");
            ("driver-override", why, &[FACTS, &["driver-override", "unmanaged"]])
        }
        (None, true) => {
            let why = format!("{name} is unmanaged, so networkd sets nothing on it");
            ("unmanaged", why, &[FACTS, BESIDE_NETWORKD])
        }
        (None, false) => return,
    };
    // The unit that sets the mode sets the MTU after it.
    let has_mtu = word == "unmanaged" && nic.infiniband_mode.is_some();
    let is_set =
        |key: &str| allowed.iter().any(|keys| keys.contains(&key)) || (key == "mtu" && has_mtu);
    for key in keys(nic).into_iter().filter(|key| !is_set(key)) {
        let text = format!("{why}: {key} has no effect; remove it, or {word}");
        findings.error("N182", view.at(name, &key), text);
        findings.suggest(view.path(name, &key), "");
    }
}

/// Rule N232: a port of Open vSwitch, and what nobody sets on it.
fn port(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let owner = view.network.owner(link).filter(|owner| owner.is_openvswitch());
    let Some(owner) = owner else { return };
    for upper in view.network.children(&link.name) {
        let text = format!(
            "{} cannot be on {}, a port of {}: Open vSwitch has all its packets; use a port or a VLAN of \
             the bridge",
            upper.name, link.name, owner.name
        );
        findings.error("N232", view.at(&upper.name, "link"), text);
    }
    // Rule of bonds says what one of Open vSwitch's own has.
    if link.is_openvswitch() {
        return;
    }
    let Some(found) = view.profile.links().find(|found| found.name == link.name) else { return };
    let mut words = keys(found.settings);
    // networkd makes other links with their MAC.
    words.retain(|key| key != "macaddress" || link.is_nic());
    if link.nic.as_ref().is_some_and(|nic| nic.sriov.is_some()) {
        words.push("sriov".into());
    }
    let is_set = |key: &str| OF_PORTS.contains(&key) || OF_MEMBERS.contains(&key);
    for key in words.into_iter().filter(|key| !is_set(key)) {
        let text = format!(
            "{} is a port of {}, a {} of Open vSwitch: {key} has no effect on it; remove it",
            link.name,
            owner.name,
            owner.kind.label()
        );
        findings.error("N232", view.at(&link.name, &key), text);
        findings.suggest(view.path(&link.name, &key), "");
    }
}

/// The words that are said: those that are written to a site file. A word that is new is one of
/// them by itself.
pub(super) fn keys(spec: &impl Serialize) -> Vec<String> {
    match serde_json::to_value(spec) {
        Ok(Value::Object(words)) => words.into_iter().map(|(key, _)| key).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LinkSettings;

    #[test]
    fn every_word_of_the_lists_is_a_key_of_nics() {
        let schema = serde_json::to_value(schemars::schema_for!(NicSpec)).unwrap();
        let shared = serde_json::to_value(schemars::schema_for!(LinkSettings)).unwrap();
        let is_key = |key: &str| {
            schema["properties"].get(key).is_some() || shared["properties"].get(key).is_some()
        };
        for key in [FACTS, BESIDE_NETWORKD, OF_PORTS, OF_MEMBERS].concat() {
            assert!(is_key(key), "{key}");
        }
    }
}
