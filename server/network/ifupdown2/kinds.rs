//! The attributes of an interface that are particular to its kind. Pure.

use std::net::IpAddr;

use super::Writer;
use crate::model::{
    BondSpec, BridgeSpec, Millis, PortSpec, TunnelMode, TunnelSpec, VlanIds, VlanProtocol,
    VxlanSpec,
};
use crate::network::bond::{self, SpelledParameter, Value};
use crate::network::links::{Kind, Link};

/// The tables that it takes for VRFs.
const VRF_TABLES: std::ops::RangeInclusive<u32> = 1001..=5000;

impl Writer<'_> {
    pub(super) fn kind(&mut self) {
        match &self.link.kind {
            Kind::Nic(_) | Kind::Loopback => {}
            Kind::Bond(spec) => self.bond(spec),
            Kind::Vlan { parent, id, protocol, qos } => {
                self.lose(qos.is_some(), "priorities of tags");
                self.set("vlan-raw-device", self.host.device(parent).to_owned());
                self.set_some("vlan-id", *id);
                if *protocol == VlanProtocol::Dot1ad {
                    self.set("vlan-protocol", protocol);
                }
            }
            Kind::Vxlan { spec, local } => self.vxlan(spec, *local),
            Kind::Wireguard { .. } | Kind::Macsec { .. } => self.lose(true, self.link.kind.label()),
            Kind::Tunnel { spec, local } => self.tunnel(spec, *local),
            Kind::Bridge(spec) => self.bridge(spec),
            Kind::Vrf(table) => {
                self.lose(
                    table.is_some_and(|table| !VRF_TABLES.contains(&table)),
                    "a VRF's table outside 1001 to 5000",
                );
                self.set_some("vrf-table", *table);
            }
            Kind::Dummy => self.set("link-type", "dummy"),
            Kind::Veth { peer, makes_peer } => {
                self.lose(matches!(makes_peer, Some(Some(_))), "peer-macaddress");
                self.set("link-type", "veth");
                self.set("veth-peer-name", peer);
            }
            Kind::Macvlan(_) | Kind::Ipvlan(_) | Kind::Partition(_) => {
                self.lose(true, self.link.kind.label())
            }
        }
    }

    fn names(&self, links: &[String]) -> String {
        let names: Vec<&str> = links.iter().map(|name| self.host.device(name)).collect();
        names.join(" ")
    }

    fn bond(&mut self, spec: &BondSpec) {
        let spelled = bond::spell(spec, |names| names.ifupdown2, &[]);
        for lost in spelled.lost {
            self.lose(true, &lost);
        }
        self.lose(spec.mii_monitor > Some(Millis(255)), "mii-monitor above 255 ms");
        self.set("bond-slaves", self.names(&spec.nics));
        for SpelledParameter { name, value, .. } in spelled.written {
            match value {
                Value::Member(member) => self.set(name, self.host.device(member).to_owned()),
                other => self.set(name, other),
            }
        }
    }

    fn vxlan(&mut self, spec: &VxlanSpec, local: Option<IpAddr>) {
        let ipv6 = [local, spec.remote].iter().flatten().any(IpAddr::is_ipv6);
        self.lose(ipv6, "VXLAN over IPv6");
        self.set("vxlan-id", spec.vni);
        let is_independent = self.host.is_independent(self.link);
        let device = (!is_independent).then(|| self.host.device(&spec.link).to_owned());
        self.set_some("vxlan-physdev", device);
        self.set_some("vxlan-local-tunnelip", local);
        match spec.remote {
            Some(group) if group.is_multicast() => self.set("vxlan-mcastgrp", group),
            remote => self.set_some("vxlan-remoteip", remote),
        }
        self.set("vxlan-port", spec.port.unwrap_or(4789));
        self.set("vxlan-learning", yes(spec.mac_learning.unwrap_or(true)));
    }

    fn tunnel(&mut self, spec: &TunnelSpec, local: Option<IpAddr>) {
        self.lose(spec.mode == TunnelMode::Geneve, "Geneve");
        self.lose(spec.id.is_some(), "the key of a tunnel");
        self.set("tunnel-mode", spec.mode);
        self.set_some("tunnel-local", local);
        self.set("tunnel-endpoint", spec.remote);
        self.set_some("tunnel-ttl", spec.ttl);
    }

    fn bridge(&mut self, spec: &BridgeSpec) {
        let times = [spec.forward_delay, spec.hello_time, spec.max_age, spec.ageing_time];
        self.lose(times.iter().flatten().any(|time| time.0 % 1000 != 0), "times below a second");
        self.lose(spec.default_pvid == Some(0), "default-pvid 0");
        self.lose(spec.default_pvid.is_some() && !spec.vlan_filtering, "default-pvid");
        // A VLAN device on the bridge brings its id along (ifupdown2's vlan addon).
        let ids: Vec<u16> = self.host.children(&self.link.name).filter_map(Link::vlan_id).collect();
        let own = spec.ports.get(&self.link.name);
        let is_brought = |own: &PortSpec| {
            let plain = PortSpec { tagged: own.tagged.clone(), ..PortSpec::default() };
            *own == plain && own.tagged.iter().all(|id| ids.contains(&id))
        };
        self.lose(own.is_some_and(|own| !is_brought(own)), "VLANs of the bridge itself");
        let seconds = |time: Option<Millis>| time.map(|time| time.0 / 1000);
        self.set("bridge-ports", self.names(&spec.interfaces));
        self.set("bridge-stp", yes(spec.stp.unwrap_or(false)));
        self.set_some("bridge-fd", seconds(spec.forward_delay));
        self.set_some("bridge-hello", seconds(spec.hello_time));
        self.set_some("bridge-maxage", seconds(spec.max_age));
        self.set_some("bridge-ageing", seconds(spec.ageing_time));
        self.set_some("bridge-bridgeprio", spec.priority);
        self.set_some("bridge-mcsnoop", spec.multicast_snooping.map(yes));
        self.set_some("bridge-mcquerier", spec.multicast_querier.map(yes));
        self.set_some("bridge-igmp-version", spec.multicast_igmp_version);
        if spec.vlan_filtering {
            self.set("bridge-vlan-aware", "yes");
            self.set_some("bridge-pvid", spec.default_pvid);
            return;
        }
        // A bridge that knows VLANs has this at its ports.
        let cost = |(port, spec): (&String, &PortSpec)| {
            Some(format!("{}={}", self.host.device(port), spec.cost?))
        };
        let costs: Vec<String> = spec.ports.iter().filter_map(cost).collect();
        self.set_some("bridge-pathcosts", (!costs.is_empty()).then(|| costs.join(" ")));
    }

    /// What is particular to a port of a bridge.
    pub(super) fn port(&mut self) {
        let Some(Kind::Bridge(bridge)) = self.host.owner(self.link).map(|owner| &owner.kind) else {
            return;
        };
        let Some(port) = bridge.ports.get(&self.link.name) else { return };
        self.lose(port.isolated, "isolated");
        self.lose(port.hairpin, "hairpin");
        self.set_some("bridge-learning", port.learning.map(on));
        self.set_some("bridge-arp-nd-suppress", port.neighbor_suppression.then_some("on"));
        let has_vlans = port.pvid.is_some() || !port.tagged.is_empty() || !port.untagged.is_empty();
        self.lose(has_vlans && !bridge.vlan_filtering, "VLANs without vlan-filtering");
        // What comes untagged goes untagged, and no other VLAN does.
        let pvid: VlanIds = port.pvid.into_iter().collect();
        self.lose(port.untagged != pvid, "untagged VLANs that are not the pvid");
        if bridge.vlan_filtering {
            self.set_some("bridge-pvid", port.pvid);
            let tagged = (!port.tagged.is_empty()).then(|| port.tagged.joined(" "));
            self.set_some("bridge-vids", tagged);
            self.set_some("bridge-pathcosts", port.cost);
        }
    }
}

fn on(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
