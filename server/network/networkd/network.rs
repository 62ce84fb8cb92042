//! `.network` files: how each link is found, and what stands on it. Pure.

use super::unit::Unit;
use super::{begin, layer3};
use crate::model::{BridgeSpec, Defaults, MatchBy, PortSpec};
use crate::network::links::{HostNetwork, Kind, Link, Role};

/// The `.network` of a link.
pub(super) fn render(host: &HostNetwork, link: &Link) -> String {
    let mut unit = begin(host);
    matching(&mut unit, host, link);
    unit.section("Link");
    if link.role == Role::Unmanaged {
        unit.set("Unmanaged", "yes");
        return unit.finish();
    }
    unit.set_some("MTUBytes", link.mtu);
    if link.is_nic() {
        unit.set_some("MACAddress", link.mac);
    }
    if host.defaults == Defaults::Safe {
        unit.set("RequiredForOnline", required_for_online(host, link));
    }
    layer3::learned(&mut unit, host, &link.layer3);
    unit.section("Network");
    stacking(&mut unit, host, link);
    layer3::network(&mut unit, host, link);
    if link.emit_lldp {
        unit.set("EmitLLDP", "yes");
    }
    layer3::written(&mut unit, link);
    port(&mut unit, host, link);
    unit.finish()
}

/// A physical NIC is found by its permanent MAC, because a bond rewrites the current one
/// and a VLAN on it shares it: `MACAddress=` then matches the wrong links.
fn matching(unit: &mut Unit, host: &HostNetwork, link: &Link) {
    unit.section("Match");
    match (&link.kind, host.match_by) {
        (Kind::Nic(Some(mac)), MatchBy::PermanentMac) => unit.set("PermanentMACAddress", mac),
        _ => unit.set("Name", &link.name),
    }
}

/// What state of the link `systemd-networkd-wait-online` waits for. Written down always,
/// because the meaning of the default differs between versions.
fn required_for_online(host: &HostNetwork, link: &Link) -> &'static str {
    match (&link.kind, link.role) {
        _ if host.owner(link).is_some() || link.optional => "no",
        (Kind::Vrf(_) | Kind::Dummy, _) => "no",
        (_, Role::LinkOnly | Role::Unused | Role::Unmanaged) => "no",
        // One dead member, or a port without a guest, must not hold up the boot.
        (Kind::Bond(_) | Kind::Bridge(_), _) => "degraded-carrier",
        (_, Role::Carrier) => "carrier",
        (_, Role::Addressed) => "routable",
    }
}

/// What the link belongs to and what stands on it.
fn stacking(unit: &mut Unit, host: &HostNetwork, link: &Link) {
    let master = link.master.as_deref().and_then(|name| host.links.get(name));
    match master.map(|master| (&master.kind, &master.name)) {
        Some((Kind::Bond(spec), name)) => {
            unit.set("Bond", name);
            if spec.primary.as_deref() == Some(&link.name) {
                unit.set("PrimarySlave", "true");
            }
        }
        Some((Kind::Vrf(_), name)) => unit.set("VRF", name),
        Some((_, name)) => unit.set("Bridge", name),
        None => {}
    }
    for child in host.children(&link.name) {
        let key = if matches!(child.kind, Kind::Vxlan { .. }) { "VXLAN" } else { "VLAN" };
        unit.set(key, &child.name);
    }
    if let Kind::Bond(spec) = &link.kind
        && spec.bind_carrier
    {
        unit.set("BindCarrier", spec.nics.join(" "));
    }
}

/// `[Bridge]` and `[BridgeVLAN]` of a port, or of the bridge as a port of itself.
fn port(unit: &mut Unit, host: &HostNetwork, link: &Link) {
    let bridge = |link: &Link| match &link.kind {
        Kind::Bridge(spec) => Some(spec.clone()),
        _ => None,
    };
    let owner = host.owner(link).and_then(bridge);
    let Some(spec) = owner.as_ref().and_then(|spec: &BridgeSpec| spec.ports.get(&link.name)) else {
        if let Some(spec) = bridge(link).as_ref().and_then(|spec| spec.ports.get(&link.name)) {
            vlans(unit, spec);
        }
        return;
    };
    unit.section("Bridge");
    unit.set_yes("Isolated", spec.isolated.then_some(true));
    unit.set_yes("HairPin", spec.hairpin.then_some(true));
    unit.set_some("Cost", spec.cost);
    vlans(unit, spec);
}

fn vlans(unit: &mut Unit, port: &PortSpec) {
    unit.section("BridgeVLAN");
    unit.set_some("PVID", port.pvid);
    for id in &port.untagged {
        unit.set("EgressUntagged", id);
    }
    for id in &port.tagged {
        unit.set("VLAN", id);
    }
}
