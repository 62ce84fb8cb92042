//! `.netdev` files: the links that networkd makes. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::begin;
use crate::model::{
    BondSpec, BridgeSpec, Defaults, LinkMac, MacPolicy, MacsecSpec, Millis, TunnelMode, TunnelSpec,
    VlanProtocol, VxlanSpec, WireguardSpec,
};
use crate::network::bond::{self, SpelledParameter, Value};
use crate::network::keys::key_path;
use crate::network::links::{HostNetwork, Kind, Link};
use crate::network::macsec::{Macsec, PORT};
use crate::network::unit::Unit;
use crate::network::wireguard::Wireguard;

/// The `.netdev` of a link; none for one that is there already: a NIC, the loopback, or the
/// end of a cable that the other end's file makes.
pub(super) fn render(host: &HostNetwork, link: &Link) -> Option<String> {
    let is_elsewhere = match &link.kind {
        Kind::Veth { makes_peer, .. } => makes_peer.is_none(),
        _ => link.is_openvswitch(),
    };
    if is_elsewhere {
        return None;
    }
    let word = link.kind.kernel_kind()?;
    let mut unit = begin(host);
    unit.section("NetDev");
    unit.set("Name", &link.name);
    unit.set("Kind", word);
    if host.defaults == Defaults::Safe {
        unit.set_some("MTUBytes", initial_mtu(host, link));
    }
    unit.set_some("MACAddress", link.mac);
    if link.settings.mac_policy() == Some(MacPolicy::Kernel) {
        unit.set("MACAddress", MacPolicy::Kernel);
    }
    match &link.kind {
        Kind::Nic(_) | Kind::Dummy | Kind::Loopback => {}
        Kind::Bond(spec) => bond(&mut unit, spec),
        Kind::Vlan { id, protocol, qos, .. } => {
            unit.section("VLAN");
            unit.set_some("Id", *id);
            if *protocol != VlanProtocol::default() {
                unit.set("Protocol", protocol);
            }
            let pairs = |map: &BTreeMap<u32, u32>| {
                let pairs: Vec<String> =
                    map.iter().map(|(from, to)| format!("{from}-{to}")).collect();
                Some(pairs.join(" ")).filter(|pairs| !pairs.is_empty())
            };
            unit.set_some("IngressQOSMaps", pairs(&qos.ingress));
            unit.set_some("EgressQOSMaps", pairs(&qos.egress));
        }
        Kind::Vxlan { spec, local } => {
            vxlan(&mut unit, spec, *local);
            unit.set_yes("Independent", host.is_independent(link).then_some(true));
        }
        Kind::Tunnel { spec, local } => tunnel(&mut unit, spec, *local),
        Kind::Wireguard { spec, wireguard } => {
            self::wireguard(&mut unit, host, link, spec, wireguard);
        }
        Kind::Macsec { spec, macsec } => self::macsec(&mut unit, host, link, spec, macsec),
        Kind::Bridge(spec) => bridge(&mut unit, spec),
        Kind::Vrf(table) => {
            unit.section("VRF");
            unit.set_some("Table", *table);
        }
        Kind::Veth { peer, makes_peer } => {
            unit.section("Peer");
            unit.set("Name", peer);
            let said = makes_peer.flatten();
            let left =
                |mac: &LinkMac| mac.given().is_some() || mac.policy() == Some(MacPolicy::Kernel);
            unit.set_some("MACAddress", said.filter(left));
        }
        Kind::Macvlan(spec) => {
            unit.section("MACVLAN");
            unit.set("Mode", spec.mode);
            for mac in &spec.source_macaddresses {
                unit.set("SourceMACAddress", mac);
            }
        }
        Kind::Partition(spec) => {
            unit.section("IPoIB");
            unit.set("PartitionKey", spec.pkey);
            unit.set_some("Mode", spec.mode);
        }
        Kind::Ipvlan(spec) => {
            unit.section("IPVLAN");
            unit.set("Mode", spec.mode.label().to_ascii_uppercase());
        }
    }
    Some(unit.finish())
}

/// The MTU that a link is made with. The kernel lets a bridge follow its ports until somebody
/// sets its MTU, and networkd sets only what differs: a bridge that is to stay below its ports
/// is made with theirs, and its `.network` then sets its own.
fn initial_mtu(host: &HostNetwork, link: &Link) -> Option<u32> {
    let of_ports = host.members(&link.name).filter_map(|port| port.settings.mtu).max();
    match link.kind {
        Kind::Bridge(_) => link.settings.mtu.max(link.settings.mtu.and(of_ports)),
        _ => link.settings.mtu,
    }
}

fn bond(unit: &mut Unit, spec: &BondSpec) {
    const FIRST: &[&str] = &["mode", "transmit-hash-policy", "mii-monitor", "lacp-rate"];
    unit.section("Bond");
    // networkd has a word for every parameter.
    for SpelledParameter { name, value, .. } in
        bond::spell(spec, |names| names.networkd, FIRST).written
    {
        match value {
            Value::Time(time) => unit.set(name, time.as_seconds_text()),
            Value::Addresses(targets) => unit.set(name, bond::joined(targets, " ")),
            other => unit.set(name, other),
        }
    }
}

fn bridge(unit: &mut Unit, spec: &BridgeSpec) {
    unit.section("Bridge");
    unit.set_yes("STP", spec.stp);
    unit.set_some("ForwardDelaySec", spec.forward_delay.map(Millis::as_seconds_text));
    unit.set_some("HelloTimeSec", spec.hello_time.map(Millis::as_seconds_text));
    unit.set_some("MaxAgeSec", spec.max_age.map(Millis::as_seconds_text));
    unit.set_some("AgeingTimeSec", spec.ageing_time.map(Millis::as_seconds_text));
    unit.set_some("Priority", spec.priority);
    unit.set_yes("VLANFiltering", spec.vlan_filtering.then_some(true));
    match spec.default_pvid {
        Some(0) => unit.set("DefaultPVID", "none"),
        id => unit.set_some("DefaultPVID", id),
    }
    unit.set_yes("MulticastSnooping", spec.multicast_snooping);
    unit.set_yes("MulticastQuerier", spec.multicast_querier);
    unit.set_some("MulticastIGMPVersion", spec.multicast_igmp_version);
}

fn wireguard(
    unit: &mut Unit,
    host: &HostNetwork,
    link: &Link,
    spec: &WireguardSpec,
    wireguard: &Wireguard,
) {
    unit.section("WireGuard");
    unit.set("PrivateKeyFile", key_path(&link.name));
    if let Some(key) = wireguard.public_key.as_ref().filter(|_| host.defaults == Defaults::Safe) {
        unit.comment(&format!("Public key: {key}"));
    }
    unit.set_some("ListenPort", spec.listen_port);
    for peer in &wireguard.peers {
        unit.section("WireGuardPeer");
        unit.set("PublicKey", &peer.public_key);
        if let Some(name) = peer.host.as_ref().filter(|_| host.defaults == Defaults::Safe) {
            unit.comment(name);
        }
        unit.set("AllowedIPs", peer.allowed().join(","));
        unit.set_some("Endpoint", peer.endpoint.as_ref());
        unit.set_some("PersistentKeepalive", peer.keepalive_seconds());
    }
}

/// The identifier of a key, which nobody reads where none is agreed on: in hexadecimal.
const KEY_ID: &str = "00";

/// A channel to send by, and one to hear each peer by, all with keys that are there from the start.
fn macsec(unit: &mut Unit, host: &HostNetwork, link: &Link, spec: &MacsecSpec, macsec: &Macsec) {
    unit.section("MACsec");
    unit.set("Port", PORT);
    // The kernel's own default is no.
    unit.set_yes("Encrypt", Some(spec.encrypt != Some(false)));
    unit.section("MACsecTransmitAssociation");
    // The kernel makes no sending association without a number to begin with.
    unit.set("PacketNumber", 1);
    unit.set("KeyId", KEY_ID);
    unit.set("KeyFile", key_path(&link.name));
    // What is not said to be active sends and hears nothing.
    unit.set("Activate", "yes");
    for channel in &macsec.channels {
        let Some((mac, path)) = channel.mac.zip(channel.key_path(&link.name)) else { continue };
        unit.section("MACsecReceiveChannel");
        unit.set("Port", channel.port);
        if let Some(name) = channel.host.as_ref().filter(|_| host.defaults == Defaults::Safe) {
            unit.comment(name);
        }
        unit.set("MACAddress", mac);
        unit.section("MACsecReceiveAssociation");
        unit.set("Port", channel.port);
        unit.set("MACAddress", mac);
        unit.set("KeyId", KEY_ID);
        unit.set("KeyFile", path);
        unit.set("Activate", "yes");
    }
}

fn tunnel(unit: &mut Unit, spec: &TunnelSpec, local: Option<IpAddr>) {
    if spec.mode == TunnelMode::Geneve {
        unit.section("GENEVE");
        unit.set_some("Id", spec.id);
        unit.set("Remote", spec.remote);
        unit.set_some("TTL", spec.ttl);
        // The kernel's own default as well (RFC 8926 section 3.3).
        unit.set("DestinationPort", 6081);
        return;
    }
    unit.section("Tunnel");
    // It leaves by whatever link the routes name.
    unit.set("Independent", "yes");
    unit.set_some("Local", local);
    unit.set("Remote", spec.remote);
    unit.set_some("TTL", spec.ttl);
    unit.set_some("Key", spec.id);
}

fn vxlan(unit: &mut Unit, spec: &VxlanSpec, local: Option<IpAddr>) {
    unit.section("VXLAN");
    unit.set("VNI", spec.vni);
    unit.set_some("Local", local);
    match spec.remote {
        Some(group) if group.is_multicast() => unit.set("Group", group),
        remote => unit.set_some("Remote", remote),
    }
    // The kernel's own default is 8472, from before the port was assigned.
    unit.set("DestinationPort", spec.port.unwrap_or(4789));
    unit.set_yes("MacLearning", spec.mac_learning);
}
