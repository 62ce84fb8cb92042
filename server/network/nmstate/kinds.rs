//! What is particular to one kind of interface. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{Writer, reference};
use crate::model::{
    BondSpec, BridgeSpec, Eswitch, FunctionSpec, MacvlanSpec, Millis, NicSpec, OffloadSpec,
    PortSpec, TunnelMode, TunnelSpec, VlanIds, VlanProtocol, VxlanSpec,
};
use crate::network::bond;
use crate::network::links::{Kind, Qos};
use crate::network::netplan::present;

impl Writer<'_> {
    pub(super) fn kind(&mut self) {
        let host = self.host;
        match &self.link.kind {
            Kind::Nic(_) => {
                if let Some(nic) = &self.link.nic {
                    self.nic(nic);
                }
            }
            Kind::Dummy => {}
            Kind::Partition(_) => self.lose(true, "partition"),
            // Its keys would be in the document, and nmstate has no type for it.
            Kind::Wireguard { .. } => self.lose(true, self.link.kind.label()),
            // It has keys that are agreed on (MKA), and none that are written down.
            Kind::Macsec { .. } => self.lose(true, "MACsec with written keys"),
            Kind::Loopback => self.lose(self.link.mac.is_some(), "macaddress of the loopback"),
            Kind::Bond(spec) => self.bond(spec),
            Kind::Vlan { parent, id, protocol, qos } => {
                let tagged = (*protocol != VlanProtocol::default()).then(|| protocol.to_string());
                let Qos { ingress, egress } = qos;
                let vlan = present([
                    ("base-iface", Some(json!(reference(host, parent)))),
                    ("id", Some(json!(id))),
                    ("protocol", tagged.map(|protocol| json!(protocol))),
                    ("ingress-qos-map", pairs(ingress)),
                    ("egress-qos-map", pairs(egress)),
                ]);
                self.set("vlan", vlan);
            }
            Kind::Vxlan { spec, local } => self.vxlan(spec, *local),
            Kind::Tunnel { spec, local } => self.tunnel(spec, *local),
            Kind::Bridge(spec) => self.bridge(spec),
            Kind::Vrf(table) => {
                let ports: Vec<&str> =
                    host.members(&self.link.name).map(|link| reference(host, &link.name)).collect();
                self.set("vrf", json!({"port": ports, "route-table-id": table}));
            }
            Kind::Veth { peer, makes_peer } => {
                self.lose(matches!(makes_peer, Some(Some(_))), "peer-macaddress");
                self.set("veth", json!({"peer": peer}));
            }
            Kind::Macvlan(spec) => self.macvlan(spec),
            Kind::Ipvlan(spec) => {
                let base = reference(host, &spec.link);
                self.set("ipvlan", json!({"base-iface": base, "mode": spec.mode.label()}));
            }
        }
    }

    fn nic(&mut self, nic: &NicSpec) {
        let ring = present([
            ("rx", nic.ring.rx.map(|size| json!(size))),
            ("tx", nic.ring.tx.map(|size| json!(size))),
        ]);
        let feature = features(&nic.offload);
        let has = |value: &Value| value.as_object().is_some_and(|keys| !keys.is_empty());
        let ethtool =
            present([("feature", Some(feature).filter(has)), ("ring", Some(ring).filter(has))]);
        if has(&ethtool) {
            self.set("ethtool", ethtool);
        }
        let Some(sriov) = &nic.sriov else { return };
        self.lose(sriov.eswitch == Some(Eswitch::Switchdev), "eswitch switchdev");
        let mut virtual_functions = Vec::new();
        for (id, function) in &sriov.functions {
            self.lose(function.link_state.is_some(), "link-state of a virtual function");
            virtual_functions.push(virtual_function(*id, function));
        }
        let mut keys = json!({"total-vfs": sriov.count});
        if !virtual_functions.is_empty() {
            keys["vfs"] = Value::Array(virtual_functions);
        }
        self.set("ethernet", json!({"sr-iov": keys}));
    }

    fn bond(&mut self, spec: &BondSpec) {
        let host = self.host;
        let spelled = bond::spell(spec, |names| names.nmstate, &[]);
        for lost in spelled.lost {
            self.lose(true, &lost);
        }
        let primary = spec.primary.as_ref().and_then(|name| host.links.get(name));
        let unnamed = primary.is_some_and(|link| !host.has_known_name(link));
        self.lose(unnamed, "a primary without set-name or match: name");
        let mut options = Map::new();
        for written in spelled.written {
            let value = match (written.name, written.value) {
                ("mode", _) => continue,
                (_, bond::Value::Member(_)) => json!(primary.map(|link| link.device())),
                // In seconds, unlike every other time.
                ("lp_interval", bond::Value::Time(time)) => {
                    self.lose(time.0 % 1000 != 0, "learn-packet-interval below a second");
                    json!(time.0 / 1000)
                }
                ("all_slaves_active", bond::Value::Switch(all)) => {
                    json!(if all { "delivered" } else { "dropped" })
                }
                ("arp_validate", bond::Value::Word(word)) => json!(word.replace('-', "_")),
                (_, bond::Value::Addresses(targets)) => json!(bond::joined(targets, ",")),
                (_, value) => value.json(),
            };
            options.insert(written.name.to_owned(), value);
        }
        let ports: Vec<&str> = spec.nics.iter().map(|name| reference(host, name)).collect();
        let mode = spec.mode.label();
        let mut keys = json!({"mode": mode, "port": ports});
        if !options.is_empty() {
            keys["options"] = Value::Object(options);
        }
        self.set("link-aggregation", keys);
    }

    fn vxlan(&mut self, spec: &VxlanSpec, local: Option<IpAddr>) {
        let bound = !self.host.is_independent(self.link);
        let vxlan = present([
            ("base-iface", bound.then(|| json!(reference(self.host, &spec.link)))),
            ("id", Some(json!(spec.vni))),
            ("local", local.map(|address| json!(address))),
            ("remote", spec.remote.map(|address| json!(address))),
            // Its own default is 8472, from before the port was assigned.
            ("destination-port", Some(json!(spec.port.unwrap_or(4789)))),
            ("learning", spec.mac_learning.map(|learning| json!(learning))),
        ]);
        self.set("vxlan", vxlan);
    }

    fn tunnel(&mut self, spec: &TunnelSpec, local: Option<IpAddr>) {
        let unknown = matches!(spec.mode, TunnelMode::Gre | TunnelMode::Geneve);
        self.lose(unknown, spec.mode.label());
        self.lose(spec.id.is_some(), "id of a tunnel");
        self.lose(self.link.mac.is_some(), "macaddress of a tunnel");
        let tunnel = present([
            ("mode", Some(json!(spec.mode.label()))),
            ("local", local.map(|address| json!(address))),
            ("remote", Some(json!(spec.remote))),
            ("ttl", spec.ttl.map(|ttl| json!(ttl))),
        ]);
        self.set("ip-tunnel", tunnel);
    }

    fn macvlan(&mut self, spec: &MacvlanSpec) {
        self.lose(!spec.source_macaddresses.is_empty(), "source-macaddresses");
        let base = reference(self.host, &spec.link);
        self.set("mac-vlan", json!({"base-iface": base, "mode": spec.mode.label()}));
    }

    fn bridge(&mut self, spec: &BridgeSpec) {
        let host = self.host;
        self.lose(spec.multicast_igmp_version.is_some(), "multicast-igmp-version");
        self.lose(spec.ports.contains_key(&self.link.name), "VLANs of the bridge itself");
        let times = [spec.forward_delay, spec.hello_time, spec.max_age, spec.ageing_time];
        self.lose(times.iter().flatten().any(|time| time.0 % 1000 != 0), "times below a second");
        let seconds = |time: Option<Millis>| time.map(|time| json!(time.0 / 1000));
        let stp = present([
            // NetworkManager's own default is yes, the kernel's no.
            ("enabled", Some(json!(spec.stp.unwrap_or(false)))),
            ("forward-delay", seconds(spec.forward_delay)),
            ("hello-time", seconds(spec.hello_time)),
            ("max-age", seconds(spec.max_age)),
            ("priority", spec.priority.map(|priority| json!(priority))),
        ]);
        let options = present([
            ("stp", Some(stp)),
            ("mac-ageing-time", seconds(spec.ageing_time)),
            ("multicast-snooping", spec.multicast_snooping.map(|on| json!(on))),
            ("multicast-querier", spec.multicast_querier.map(|on| json!(on))),
            ("vlan-default-pvid", spec.default_pvid.map(|id| json!(id))),
        ]);
        let mut ports = Vec::new();
        let mut filters = false;
        for link in host.members(&self.link.name) {
            let none = PortSpec::default();
            let port = spec.ports.get(&link.name).unwrap_or(&none);
            self.lose(port.isolated, "isolated");
            self.lose(port.learning.is_some(), "learning");
            self.lose(port.neighbor_suppression, "neighbor-suppression");
            let vlan = self.port_vlans(port);
            filters |= vlan.is_some();
            ports.push(present([
                ("name", Some(json!(reference(host, &link.name)))),
                ("stp-path-cost", port.cost.map(|cost| json!(cost))),
                ("stp-hairpin-mode", port.hairpin.then(|| json!(true))),
                ("vlan", vlan),
            ]));
        }
        // It filters where a port has VLANs, and has no other word for that.
        self.lose(spec.vlan_filtering && !filters, "vlan-filtering without VLANs of ports");
        self.set("bridge", json!({"options": options, "port": ports}));
    }

    /// The VLANs of a port: one without a tag, or a trunk that may have one without.
    fn port_vlans(&mut self, port: &PortSpec) -> Option<Value> {
        let native = port.pvid.filter(|id| port.untagged.contains(*id));
        self.lose(port.pvid.is_some() && native.is_none(), "a pvid that leaves with its tag");
        let own: VlanIds = native.into_iter().collect();
        let others = port.untagged.without(&own);
        self.lose(!others.is_empty(), "untagged VLANs besides the pvid");
        let tags: Vec<Value> = port
            .tagged
            .without(&port.untagged)
            .ranges()
            .map(|range| match range.start() == range.end() {
                true => json!({"id": range.start()}),
                false => json!({"id-range": {"min": range.start(), "max": range.end()}}),
            })
            .collect();
        match (native, tags.is_empty()) {
            (None, true) => None,
            (Some(id), true) => Some(json!({"mode": "access", "tag": id})),
            (None, false) => Some(json!({"mode": "trunk", "trunk-tags": tags})),
            (Some(id), false) => Some(json!({
                "mode": "trunk", "enable-native": true, "tag": id, "trunk-tags": tags
            })),
        }
    }
}

fn pairs(map: &BTreeMap<u32, u32>) -> Option<Value> {
    let pairs: Vec<Value> = map.iter().map(|(from, to)| json!({"from": from, "to": to})).collect();
    (!pairs.is_empty()).then_some(Value::Array(pairs))
}

/// Those that are one feature of the kernel; what is several is in the `.link` file alone.
fn features(offload: &OffloadSpec) -> Value {
    let on = |value: Option<bool>| value.map(|on| json!(on));
    present([
        ("rx-checksum", on(offload.rx_checksum)),
        ("tx-tcp-segmentation", on(offload.tso)),
        ("tx-tcp6-segmentation", on(offload.tso6)),
        ("tx-generic-segmentation", on(offload.gso)),
        ("rx-gro", on(offload.gro)),
        ("rx-lro", on(offload.lro)),
    ])
}

fn virtual_function(id: u16, function: &FunctionSpec) -> Value {
    present([
        ("id", Some(json!(id))),
        ("mac-address", function.macaddress.map(|mac| json!(mac.to_string()))),
        ("spoof-check", function.spoof_check.map(|on| json!(on))),
        ("trust", function.trust.map(|on| json!(on))),
        ("vlan-id", function.vlan.map(|id| json!(id))),
        ("qos", function.qos.map(|priority| json!(priority))),
    ])
}
