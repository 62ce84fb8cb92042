//! `.netdev` files: the links that networkd makes. Pure.

use super::begin;
use super::unit::Unit;
use crate::model::{BondMode, BondSpec, BridgeSpec, Defaults, Millis, TransmitHashPolicy};
use crate::network::links::{HostNetwork, Kind, Link};

/// The `.netdev` of a link; none for a NIC, which is there already.
pub(super) fn render(host: &HostNetwork, link: &Link) -> Option<String> {
    let word = match link.kind {
        Kind::Nic(_) => return None,
        Kind::Bond(_) => "bond",
        Kind::Vlan { .. } => "vlan",
        Kind::Bridge(_) => "bridge",
    };
    let mut unit = begin(host);
    unit.section("NetDev");
    unit.set("Name", &link.name);
    unit.set("Kind", word);
    let safe = host.defaults == Defaults::Safe;
    if safe {
        unit.set_some("MTUBytes", link.mtu);
    }
    unit.set_some("MACAddress", link.mac);
    match &link.kind {
        Kind::Nic(_) => {}
        Kind::Bond(spec) if safe => bond(&mut unit, &with_monitoring(spec)),
        Kind::Bond(spec) => bond(&mut unit, spec),
        Kind::Vlan { id, .. } => {
            unit.section("VLAN");
            unit.set_some("Id", *id);
        }
        Kind::Bridge(spec) => bridge(&mut unit, spec, safe),
    }
    Some(unit.finish())
}

/// The bond with what every bond should have: a dead link is noticed, and one live link is enough.
fn with_monitoring(spec: &BondSpec) -> BondSpec {
    let hashes = spec.mode == BondMode::Lacp;
    BondSpec {
        mii_monitor: spec.mii_monitor.or(Some(Millis(100))),
        min_links: spec.min_links.or(Some(1)),
        transmit_hash_policy: spec
            .transmit_hash_policy
            .or_else(|| hashes.then_some(TransmitHashPolicy::Layer34)),
        ..spec.clone()
    }
}

fn bond(unit: &mut Unit, spec: &BondSpec) {
    unit.section("Bond");
    unit.set("Mode", spec.mode);
    unit.set_some("TransmitHashPolicy", spec.transmit_hash_policy);
    unit.set_some("MIIMonitorSec", spec.mii_monitor.map(Millis::as_seconds_text));
    unit.set_some("LACPTransmitRate", spec.lacp_rate);
    unit.set_some("UpDelaySec", spec.up_delay.map(Millis::as_seconds_text));
    unit.set_some("DownDelaySec", spec.down_delay.map(Millis::as_seconds_text));
    unit.set_some("MinLinks", spec.min_links);
}

fn bridge(unit: &mut Unit, spec: &BridgeSpec, safe: bool) {
    unit.section("Bridge");
    // Off unless asked for: it keeps the network down for 30 s, and its packets
    // shut a switch port that has BPDU guard.
    let stp = spec.stp.or_else(|| safe.then_some(false));
    unit.set_some("STP", stp.map(|stp| if stp { "yes" } else { "no" }));
}
