//! The sections of a keyfile that are particular to one kind of link. Pure.

use std::net::IpAddr;

use super::{Keyfile, uuid};
use crate::model::{
    BondSpec, BridgeSpec, MacvlanMode, MacvlanSpec, Millis, PortSpec, TunnelMode, TunnelSpec,
    VlanIds, VlanProtocol, VxlanSpec, WireguardSpec,
};
use crate::network::bond::{self, SpelledParameter, Value};
use crate::network::links::Kind;
use crate::network::wireguard::Wireguard;

impl Keyfile<'_> {
    pub(super) fn kind(&mut self) {
        match &self.link.kind {
            Kind::Nic(_) | Kind::Dummy | Kind::Loopback => {}
            // Known to version 1.52.
            Kind::Ipvlan(_) => self.lose(true, "IPVLAN"),
            Kind::Partition(_) => self.lose(true, self.link.kind.label()),
            // It has keys that are agreed on (MKA), and none that are written down.
            Kind::Macsec { .. } => self.lose(true, "MACsec with written keys"),
            Kind::Macvlan(spec) => self.macvlan(spec),
            Kind::Veth { peer, makes_peer } => {
                self.lose(matches!(makes_peer, Some(Some(_))), "peer-macaddress");
                self.unit.section("veth");
                self.unit.set("peer", peer);
            }
            Kind::Bond(spec) => self.bond(spec),
            Kind::Vlan { parent, id, protocol, qos } => {
                self.lose(qos.is_some(), "priorities of tags");
                self.unit.section("vlan");
                self.unit.set_some("id", *id);
                self.unit.set("parent", self.reference(parent));
                if *protocol == VlanProtocol::Dot1ad {
                    self.unit.set("protocol", protocol);
                }
            }
            Kind::Vxlan { spec, local } => self.vxlan(spec, *local),
            Kind::Wireguard { spec, wireguard } => self.wireguard(spec, wireguard),
            Kind::Tunnel { spec, local } => self.tunnel(spec, *local),
            Kind::Bridge(spec) => self.bridge(spec),
            Kind::Vrf(table) => {
                self.unit.section("vrf");
                self.unit.set_some("table", *table);
            }
        }
    }

    /// How another connection names a link: a NIC that may be called anything, by its
    /// connection.
    fn reference(&self, name: &str) -> String {
        let named = |link| self.host.has_known_name(link);
        match self.host.links.get(name).is_none_or(named) {
            true => self.host.device(name).to_owned(),
            false => uuid(self.host, name),
        }
    }

    fn bond(&mut self, spec: &BondSpec) {
        let spelled = bond::spell(spec, |names| names.network_manager, &[]);
        for lost in spelled.lost {
            self.lose(true, &lost);
        }
        let primary = spec.primary.as_ref().and_then(|name| self.host.links.get(name));
        let unnamed = primary.is_some_and(|link| !self.host.has_known_name(link));
        self.lose(unnamed, "a primary without set-name or match: name");
        self.unit.section("bond");
        for SpelledParameter { name, value, .. } in spelled.written {
            match value {
                Value::Member(_) => self.unit.set_some(name, primary.map(|link| link.device())),
                other => self.unit.set(name, other),
            }
        }
    }

    fn vxlan(&mut self, spec: &VxlanSpec, local: Option<IpAddr>) {
        let is_independent = self.host.is_independent(self.link);
        let parent = (!is_independent).then(|| self.reference(&spec.link));
        let unit = &mut self.unit;
        unit.section("vxlan");
        unit.set("id", spec.vni);
        unit.set_some("parent", parent);
        unit.set_some("local", local);
        unit.set_some("remote", spec.remote);
        // Its own default is 8472, from before the port was assigned.
        unit.set("destination-port", spec.port.unwrap_or(4789));
        unit.set_some("learning", spec.mac_learning);
    }

    /// The connection has the key itself: its file is root's alone.
    fn wireguard(&mut self, spec: &WireguardSpec, wireguard: &Wireguard) {
        self.unit.section("wireguard");
        self.unit.set_some("mtu", self.link.settings.mtu);
        self.unit.set("private-key", &wireguard.private_key);
        self.unit.set_some("listen-port", spec.listen_port);
        // Routes are written as those of any link.
        self.unit.set("peer-routes", false);
        for peer in &wireguard.peers {
            self.unit.section(&format!("wireguard-peer.{}", peer.public_key));
            self.unit.set_some("endpoint", peer.endpoint.as_ref());
            self.unit.set_some("persistent-keepalive", peer.keepalive_seconds());
            self.unit.set("allowed-ips", format!("{};", peer.allowed().join(";")));
        }
    }

    fn tunnel(&mut self, spec: &TunnelSpec, local: Option<IpAddr>) {
        let mode = match spec.mode {
            TunnelMode::Ipip => 1,
            TunnelMode::Gre => 2,
            TunnelMode::Sit => 3,
            TunnelMode::Geneve => {
                self.lose(true, "Geneve");
                0
            }
        };
        let unit = &mut self.unit;
        if self.link.settings.mtu.is_none() {
            unit.section("ip-tunnel");
        }
        unit.set("mode", mode);
        unit.set_some("local", local);
        unit.set("remote", spec.remote);
        unit.set_some("ttl", spec.ttl);
        // What comes in has the same key.
        unit.set_some("input-key", spec.id);
        unit.set_some("output-key", spec.id);
    }

    fn macvlan(&mut self, spec: &MacvlanSpec) {
        let mode = match spec.mode {
            MacvlanMode::Vepa => 1,
            MacvlanMode::Bridge => 2,
            MacvlanMode::Private => 3,
            MacvlanMode::Passthru => 4,
            MacvlanMode::Source => 5,
        };
        self.lose(!spec.source_macaddresses.is_empty(), "source-macaddresses");
        let parent = self.reference(&spec.link);
        self.unit.section("macvlan");
        self.unit.set("mode", mode);
        self.unit.set("parent", parent);
    }

    fn bridge(&mut self, spec: &BridgeSpec) {
        self.lose(spec.multicast_igmp_version.is_some(), "multicast-igmp-version");
        let times = [spec.forward_delay, spec.hello_time, spec.max_age, spec.ageing_time];
        self.lose(times.iter().flatten().any(|time| time.0 % 1000 != 0), "times below a second");
        let seconds = |time: Option<Millis>| time.map(|time| time.0 / 1000);
        let unit = &mut self.unit;
        unit.section("bridge");
        // Its own default is yes, the kernel's no.
        unit.set("stp", spec.stp.unwrap_or(false));
        unit.set_some("forward-delay", seconds(spec.forward_delay));
        unit.set_some("hello-time", seconds(spec.hello_time));
        unit.set_some("max-age", seconds(spec.max_age));
        unit.set_some("ageing-time", seconds(spec.ageing_time));
        unit.set_some("priority", spec.priority);
        unit.set_some("vlan-filtering", spec.vlan_filtering.then_some(true));
        unit.set_some("vlan-default-pvid", spec.default_pvid);
        unit.set_some("multicast-snooping", spec.multicast_snooping);
        unit.set_some("multicast-querier", spec.multicast_querier);
        unit.set_some("vlans", spec.ports.get(&self.link.name).and_then(vlans));
    }

    /// What is particular to a port of a bridge.
    pub(super) fn port(&mut self) {
        let Some(Kind::Bridge(bridge)) = self.host.owner(self.link).map(|owner| &owner.kind) else {
            return;
        };
        let Some(spec) = bridge.ports.get(&self.link.name) else { return };
        self.lose(spec.isolated, "isolated");
        self.lose(spec.learning.is_some(), "learning");
        self.lose(spec.neighbor_suppression, "neighbor-suppression");
        self.unit.section("bridge-port");
        self.unit.set_some("path-cost", spec.cost);
        self.unit.set_some("hairpin-mode", spec.hairpin.then_some(true));
        self.unit.set_some("vlans", vlans(spec));
    }
}

/// A port's VLANs, such as `10 pvid untagged,20-29`; none for a port without.
fn vlans(port: &PortSpec) -> Option<String> {
    let pvid: VlanIds = port.pvid.into_iter().collect();
    let plain = port.tagged.without(&port.untagged).without(&pvid);
    let untagged = port.untagged.without(&pvid);
    let mut ranges: Vec<(u16, String)> = Vec::new();
    for (ids, flags) in [(plain, ""), (untagged, " untagged")] {
        for range in ids.ranges() {
            let text = VlanIds::from(range.clone()).to_string();
            ranges.push((*range.start(), format!("{text}{flags}")));
        }
    }
    if let Some(id) = port.pvid {
        let flags = if port.untagged.contains(id) { " pvid untagged" } else { " pvid" };
        ranges.push((id, format!("{id}{flags}")));
    }
    ranges.sort();
    let texts: Vec<String> = ranges.into_iter().map(|(_, text)| text).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}
