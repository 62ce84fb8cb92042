//! Rules about bridges: timers, ports and their VLANs. Pure.

use std::ops::RangeInclusive;

use super::subnet::VLAN_IDS;
use super::{Findings, ProfileView};
use crate::model::{BridgeSpec, Millis, PortSpec};
use crate::network::nearest;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for (name, bridge) in &view.profile.bridges {
        timers(view, name, bridge, findings);
        if let Some(id) = bridge.default_pvid.filter(|id| *id > *VLAN_IDS.end()) {
            let text = format!("{name}: VLAN id {id} is outside 1-4094 (0 for none)");
            findings.error("N110", view.at(name, "default-pvid"), text);
        }
        if let Some(version) = bridge.multicast_igmp_version.filter(|it| !(2..=3).contains(it)) {
            let text = format!("{name}: IGMP version {version} is not supported (2 or 3)");
            findings.error("N165", view.at(name, "multicast-igmp-version"), text);
        }
        for (port, spec) in &bridge.ports {
            ports(view, name, bridge, port, spec, findings);
        }
    }
}

/// Rule N165: the ranges of IEEE 802.1D, outside of which the kernel refuses the bridge.
fn timers(view: &ProfileView<'_>, name: &str, bridge: &BridgeSpec, findings: &mut Findings) {
    let timers: [(&str, Option<Millis>, RangeInclusive<u64>); 3] = [
        ("forward-delay", bridge.forward_delay, 2..=30),
        ("hello-time", bridge.hello_time, 1..=10),
        ("max-age", bridge.max_age, 6..=40),
    ];
    for (key, time, range) in timers {
        let millis = range.start() * 1000..=range.end() * 1000;
        if let Some(time) = time.filter(|time| !millis.contains(&time.0)) {
            let text =
                format!("{name}: {key} {time} is outside {}s-{}s", range.start(), range.end());
            findings.error("N165", view.at(name, key), text);
        }
    }
}

/// Rules N110, N165 and N180 for one port.
fn ports(
    view: &ProfileView<'_>,
    name: &str,
    bridge: &BridgeSpec,
    port: &String,
    spec: &PortSpec,
    findings: &mut Findings,
) {
    let at = || view.at(name, "ports");
    if port != name && !bridge.interfaces.contains(port) {
        let hint = nearest::hint(port, bridge.interfaces.iter().map(String::as_str));
        findings.error("N180", at(), format!("{name} has no port \"{port}\"{hint}"));
    }
    let ids = || spec.pvid.iter().chain(&spec.tagged).chain(&spec.untagged);
    for id in ids().filter(|id| !VLAN_IDS.contains(id)) {
        findings.error("N110", at(), format!("{port}: VLAN id {id} is outside 1-4094"));
    }
    if ids().next().is_some() && !bridge.vlan_filtering {
        let text =
            format!("{port} has VLANs, but {name} does not filter VLANs; set vlan-filtering: true");
        findings.error("N165", at(), text);
        findings.suggest(view.path(name, "vlan-filtering"), true);
    }
    if let Some(id) = spec.tagged.iter().find(|id| spec.untagged.contains(id)) {
        findings.error(
            "N165",
            at(),
            format!("{port}: VLAN {id} is both tagged and untagged; choose one"),
        );
    }
}
