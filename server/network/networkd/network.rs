//! `.network` files: how each link is found, and what is built on it. Pure.

use super::{begin, layer3};
use crate::model::{
    ActivationMode, AddressScope, BridgeSpec, Defaults, EmitLldp, FunctionState, MatchBy, PortSpec,
    Qdisc,
};
use crate::network::links::{HostNetwork, Kind, Link, Role};
use crate::network::unit::Unit;

/// The `.network` of a link.
pub(super) fn render(host: &HostNetwork, link: &Link) -> String {
    let mut unit = begin(host);
    matching(&mut unit, host, link);
    unit.section("Link");
    if link.role == Role::Unmanaged {
        unit.set("Unmanaged", "yes");
        return unit.finish();
    }
    unit.set_some("MTUBytes", link.settings.mtu);
    if link.is_nic() {
        unit.set_some("MACAddress", link.mac);
    }
    unit.set_some("Group", link.settings.group);
    unit.set_some("ActivationPolicy", link.settings.activation_mode.map(activation_policy));
    if host.defaults == Defaults::Safe || link.settings.online_state.is_some() {
        unit.set("RequiredForOnline", required_for_online(host, link));
    } else if link.settings.optional {
        unit.set("RequiredForOnline", "no");
    }
    unit.set_some("RequiredFamilyForOnline", link.settings.online_family);
    layer3::learned(&mut unit, host, &link.settings);
    unit.section("Network");
    unit.set_some("Description", link.settings.description.as_ref());
    stacking(&mut unit, host, link);
    layer3::network(&mut unit, host, link);
    unit.set_some("LLDP", link.settings.lldp);
    unit.set_some("EmitLLDP", Some(link.settings.emit_lldp).filter(|mode| *mode != EmitLldp::No));
    // The address of a bridge that guests will join has to be there before them.
    let early =
        host.defaults == Defaults::Safe && link.role == Role::Addressed && host.lacks_carrier(link);
    let early = early || link.settings.ignore_carrier;
    unit.set_yes("ConfigureWithoutCarrier", early.then_some(true));
    unit.set_yes("KeepConfiguration", link.settings.critical.then_some(true));
    layer3::written(&mut unit, host, link);
    port(&mut unit, host, link);
    virtual_functions(&mut unit, link);
    if let Some(qdisc) = link.settings.qdisc {
        unit.section(match qdisc {
            Qdisc::Fq => "FairQueueing",
            Qdisc::FqCodel => "FairQueueingControlledDelay",
            Qdisc::Cake => "CAKE",
            Qdisc::Pfifo => "PFIFO",
        });
        unit.set("Parent", "root");
    }
    unit.finish()
}

/// `[SR-IOV]`, one for each virtual function of which something is said.
fn virtual_functions(unit: &mut Unit, link: &Link) {
    let sriov = link.nic.as_ref().and_then(|nic| nic.sriov.as_ref());
    for (number, function) in sriov.iter().flat_map(|sriov| &sriov.functions) {
        unit.section("SR-IOV");
        unit.set("VirtualFunction", number);
        // networkd has no word for none, and leaves a setting alone that it does not find.
        unit.set_some("VLANId", function.vlan.filter(|id| *id != 0));
        unit.set_some("QualityOfService", function.qos);
        unit.set_yes("MACSpoofCheck", function.spoof_check);
        unit.set_yes("Trust", function.trust);
        unit.set_some(
            "LinkState",
            function.link_state.map(|state| match state {
                FunctionState::Auto => "auto",
                FunctionState::Up => "yes",
                FunctionState::Down => "no",
            }),
        );
        unit.set_some("MACAddress", function.macaddress);
    }
}

/// A physical NIC is found by its permanent MAC, because a bond rewrites the current one
/// and a VLAN on it shares it: `MACAddress=` then matches the wrong links.
fn matching(unit: &mut Unit, host: &HostNetwork, link: &Link) {
    unit.section("Match");
    let path = link.nic.as_ref().and_then(|nic| nic.path.as_deref());
    // What a NIC is renamed to is its name by the time that networkd looks.
    let renamed = link.nic.as_ref().is_some_and(|nic| nic.set_name.is_some());
    let pattern = link.nic.as_ref().and_then(|nic| nic.match_name.as_deref());
    let pattern = pattern.filter(|_| !renamed);
    match (&link.kind, host.match_by, path) {
        (Kind::Nic(Some(mac)), MatchBy::PermanentMac, _) => unit.set("PermanentMACAddress", mac),
        (Kind::Nic(Some(mac)), MatchBy::Mac, _) => unit.set("MACAddress", mac),
        (Kind::Nic(_), MatchBy::Path, Some(path)) => unit.set("Path", path),
        _ => {
            let driver = link.nic.as_ref().and_then(|nic| nic.match_driver.as_deref());
            let driver = driver.filter(|_| !renamed);
            unit.set_some("Driver", driver);
            if driver.is_none() || pattern.is_some() {
                unit.set("Name", pattern.unwrap_or_else(|| link.device()));
            }
        }
    }
}

/// What state of the link `systemd-networkd-wait-online` waits for. Written down always,
/// because the meaning of the default differs between versions.
fn required_for_online(host: &HostNetwork, link: &Link) -> &'static str {
    if host.owner(link).is_some()
        || link.settings.optional
        || link.settings.activation_mode.is_some()
    {
        return "no";
    }
    if let Some(state) = link.settings.online_state {
        return state.label();
    }
    if host.lacks_carrier(link) {
        return "no";
    }
    match (&link.kind, link.role) {
        (Kind::Vrf(_) | Kind::Dummy | Kind::Loopback, _) => "no",
        // Until somebody takes the other end and brings it up, this one has no carrier.
        (Kind::Veth { peer, .. }, _) if is_unmanaged(host, peer) => "no",
        (_, Role::LinkOnly | Role::Unused | Role::Unmanaged) => "no",
        // One dead member, or a port without a guest, must not hold up the boot.
        (Kind::Bond(_) | Kind::Bridge(_), _) => "degraded-carrier",
        (_, Role::Carrier) => "carrier",
        (_, Role::Addressed) => furthest(link),
    }
}

/// How far a link with addresses ever comes, to networkd.
fn furthest(link: &Link) -> &'static str {
    let widest = link.written().map(|written| written.scope.unwrap_or(AddressScope::Global)).min();
    match widest.filter(|_| !link.learns()) {
        None | Some(AddressScope::Global) => "routable",
        Some(AddressScope::Link) => "degraded",
        Some(AddressScope::Host) => "carrier",
    }
}

fn activation_policy(mode: ActivationMode) -> &'static str {
    match mode {
        ActivationMode::Manual => "manual",
        ActivationMode::Off => "always-down",
    }
}

fn is_unmanaged(host: &HostNetwork, name: &str) -> bool {
    host.links.get(name).is_some_and(|link| link.role == Role::Unmanaged)
}

/// What the link belongs to and what is built on it.
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
    // What is in a namespace is made there.
    let is_here = |child: &&Link| !host.is_independent(child) && child.settings.namespace.is_none();
    for child in host.children(&link.name).filter(is_here) {
        let key = match child.kind {
            Kind::Vxlan { .. } => "VXLAN",
            Kind::Macsec { .. } => "MACsec",
            Kind::Macvlan(_) => "MACVLAN",
            Kind::Ipvlan(_) => "IPVLAN",
            Kind::Partition(_) => "IPoIB",
            _ => "VLAN",
        };
        unit.set(key, &child.name);
    }
    if let Kind::Bond(spec) = &link.kind
        && spec.bind_carrier
    {
        let names: Vec<&str> = spec.nics.iter().map(|name| host.device(name)).collect();
        unit.set("BindCarrier", names.join(" "));
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
    unit.set_yes("Learning", spec.learning);
    unit.set_yes("NeighborSuppression", spec.neighbor_suppression.then_some(true));
    unit.set_some("Cost", spec.cost);
    vlans(unit, spec);
}

fn vlans(unit: &mut Unit, port: &PortSpec) {
    unit.section("BridgeVLAN");
    unit.set_some("PVID", port.pvid);
    for (key, ids) in [("EgressUntagged", &port.untagged), ("VLAN", &port.tagged)] {
        for range in ids.ranges() {
            match range.start() == range.end() {
                true => unit.set(key, range.start()),
                false => unit.set(key, format!("{}-{}", range.start(), range.end())),
            }
        }
    }
}
