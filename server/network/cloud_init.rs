//! Writes the tree of cloud-init's NoCloud source, with its network configuration in
//! version 2 (for netplan's distributions) or version 1 (for all others). Pure.

use serde_json::{Map, Value, json};

use super::bond;
use super::links::{HostNetwork, Kind, Layer3, Link, Role};
use super::losses::{INFINIBAND, Losses};
use super::netplan::{self, Dialect, present};
use super::{File, Format, yaml};
use crate::model::{
    BondSpec, BridgeSpec, Destination, Family, MatchBy, Millis, NicAddress, Overrides, RouteKind,
    VlanProtocol,
};

/// What the kernel gives a link by itself, in bytes.
const MTU: u32 = 1500;

/// The four documents of a NoCloud tree with network configuration version 2.
pub(super) fn version2(host: &HostNetwork, losses: &mut Losses) -> Vec<File> {
    let network = netplan::document(host, Dialect::CloudInit, losses);
    tree(host, network, losses)
}

/// The same with network configuration version 1.
pub(super) fn version1(host: &HostNetwork, losses: &mut Losses) -> Vec<File> {
    let managed = |link: &&Link| !matches!(link.role, Role::Unused | Role::Unmanaged);
    let links = host.links.values().filter(managed);
    let config: Vec<Value> = links.map(|link| device(host, link, losses)).collect();
    tree(host, json!({"version": 1, "config": config}), losses)
}

fn tree(host: &HostNetwork, network: Value, losses: &mut Losses) -> Vec<File> {
    losses.add_if(host.bgp.is_some(), "profile", "bgp");
    let meta = json!({"instance-id": host.host, "local-hostname": host.host});
    let file = |name: &str, text: String| File::of(Format::CloudInit, name, text);
    vec![
        file("meta-data", yaml::write(&meta)),
        file("user-data", format!("#cloud-config\n{}", yaml::write(&user_data(host)))),
        file("vendor-data", "#cloud-config\n{}\n".into()),
        file("network-config", yaml::write(&network)),
    ]
}

/// What is the host's and not a link's: kernel settings, those of its modules, time servers.
fn user_data(host: &HostNetwork) -> Value {
    let mut servers: Vec<&String> = Vec::new();
    for server in host.links.values().flat_map(|link| &link.layer3.ntp) {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    let entry = |file: File| {
        let mode = file.mode_text();
        json!({"path": file.path(), "permissions": mode, "content": file.text})
    };
    let settings = super::sysctl(host);
    let has_settings = !settings.is_empty();
    let files = settings.into_iter().chain(super::modules::render(host));
    let files: Vec<Value> = files.map(entry).collect();
    // The file came after the kernel had its settings from the others.
    let commands = json!([["sysctl", "-p", "/etc/sysctl.d/90-rackstrap.conf"]]);
    present([
        ("ntp", (!servers.is_empty()).then(|| json!({"enabled": true, "servers": servers}))),
        ("runcmd", has_settings.then_some(commands)),
        ("write_files", (!files.is_empty()).then(|| json!(files))),
    ])
}

/// One entry of version 1's list.
fn device(host: &HostNetwork, link: &Link, losses: &mut Losses) -> Value {
    losses.bring_up(link);
    losses.hardware(host, link);
    let mut lose = |lost: bool, feature: &str| losses.add_if(lost, &link.name, feature);
    let renamed = link.nic.as_ref().is_some_and(|nic| nic.set_name.is_some());
    // It renames a NIC to its name by its MAC, without being asked.
    lose(renamed && link.kind == Kind::Nic(None), "set-name without a MAC");
    let mac = match link.kind {
        Kind::Nic(nic) if matches!(host.match_by, MatchBy::PermanentMac | MatchBy::Mac) => {
            nic.and_then(NicAddress::mac)
        }
        _ => link.mac,
    };
    lose(link.is_infiniband(), INFINIBAND);
    lose(link.is_nic() && link.mac.is_some(), "macaddress of a NIC");
    let (kind, own) = match &link.kind {
        Kind::Nic(_) => ("physical", Value::Null),
        Kind::Bond(spec) => ("bond", bond(host, spec, &mut lose)),
        Kind::Vlan { parent, id, protocol, qos } => {
            lose(qos.is_some(), "priorities of tags");
            lose(*protocol != VlanProtocol::default(), "protocol 802.1ad");
            ("vlan", json!({"vlan_link": host.device(parent), "vlan_id": id}))
        }
        Kind::Bridge(spec) => ("bridge", bridge(host, spec, &mut lose)),
        Kind::Loopback => ("loopback", Value::Null),
        Kind::Wireguard { .. }
        | Kind::Macsec { .. }
        | Kind::Vxlan { .. }
        | Kind::Tunnel { .. }
        | Kind::Vrf(_)
        | Kind::Dummy => {
            lose(true, link.kind.label());
            ("", Value::Null)
        }
        Kind::Veth { .. } | Kind::Macvlan(_) | Kind::Ipvlan(_) | Kind::Partition(_) => {
            lose(true, link.kind.label());
            ("", Value::Null)
        }
    };
    // A bridge has no word for it: the kernel gives it the least of its ports'.
    let is_bridge = matches!(link.kind, Kind::Bridge(_));
    let of_ports = host.members(&link.name).map(|port| port.settings.mtu.unwrap_or(MTU)).min();
    let other = link.settings.mtu.is_some_and(|mtu| mtu != of_ports.unwrap_or(MTU));
    lose(is_bridge && other, "an MTU of a bridge unlike its ports'");
    let mtu = link.settings.mtu.filter(|_| !is_bridge);
    let subnets = subnets(link, &mut lose);
    let common = present([
        ("type", Some(json!(kind))),
        ("name", Some(json!(link.device()))),
        ("mac_address", mac.map(|mac| json!(mac.to_string()))),
        ("mtu", mtu.map(|mtu| json!(mtu))),
        ("accept-ra", host.accept_ra(link).map(|accept| json!(accept))),
    ]);
    let mut device: Map<String, Value> = Map::new();
    for part in [common, own] {
        device.extend(part.as_object().cloned().unwrap_or_default());
    }
    if !subnets.is_empty() {
        device.insert("subnets".into(), json!(subnets));
    }
    Value::Object(device)
}

/// The kernel's names of links.
fn devices<'a>(host: &'a HostNetwork, names: &'a [String]) -> Vec<&'a str> {
    names.iter().map(|name| host.device(name)).collect()
}

fn bond(host: &HostNetwork, spec: &BondSpec, lose: &mut impl FnMut(bool, &str)) -> Value {
    const FIRST: &[&str] =
        &["mode", "lacp-rate", "mii-monitor", "transmit-hash-policy", "ad-actor-system"];
    let spelled = bond::spell(spec, |names| names.cloud_init, FIRST);
    for lost in spelled.lost {
        lose(true, &lost);
    }
    let value = |written: &bond::SpelledParameter<'_>| match written.value {
        bond::Value::Member(name) => json!(host.device(name)),
        bond::Value::Addresses(_) => json!(written.value.to_string()),
        value if written.is_text => json!(value.to_string()),
        value => value.json(),
    };
    let params = spelled.written.iter().map(|written| (written.name.to_owned(), value(written)));
    let params = Value::Object(params.collect());
    json!({"bond_interfaces": devices(host, &spec.nics), "params": params})
}

fn bridge(host: &HostNetwork, spec: &BridgeSpec, lose: &mut impl FnMut(bool, &str)) -> Value {
    lose(spec.vlan_filtering || spec.default_pvid.is_some(), "vlan-filtering");
    lose(spec.multicast_snooping.is_some(), "multicast-snooping");
    lose(spec.multicast_querier.is_some(), "multicast-querier");
    lose(spec.multicast_igmp_version.is_some(), "multicast-igmp-version");
    lose(!spec.ports.is_empty(), "ports");
    let times = [spec.forward_delay, spec.hello_time, spec.max_age, spec.ageing_time];
    lose(times.iter().flatten().any(|time| time.0 % 1000 != 0), "times below a second");
    let seconds = |time: Option<Millis>| time.map(|time| json!(time.0 / 1000));
    let params = present([
        ("bridge_stp", spec.stp.map(|stp| json!(if stp { "on" } else { "off" }))),
        ("bridge_fd", seconds(spec.forward_delay)),
        ("bridge_hello", seconds(spec.hello_time)),
        ("bridge_maxage", seconds(spec.max_age)),
        ("bridge_ageing", seconds(spec.ageing_time)),
        ("bridge_bridgeprio", spec.priority.map(|priority| json!(priority))),
    ]);
    json!({"bridge_interfaces": devices(host, &spec.interfaces), "params": params})
}

/// The addresses of a link, the resolvers and routes with the first.
fn subnets(link: &Link, lose: &mut impl FnMut(bool, &str)) -> Vec<Value> {
    let (layer3, settings) = (&link.layer3, &link.settings);
    let overrides = [settings.dhcp4_overrides, settings.dhcp6_overrides, settings.ra_overrides];
    lose(overrides.iter().any(|one| *one != Overrides::default()), "overrides");
    for (said, words) in layer3.resolver_words() {
        lose(said, words);
    }
    lose(!layer3.rules.is_empty(), "policy rules");
    lose(
        settings.link_local.as_deref().is_some_and(|families| families != [Family::Ipv6]),
        "link-local",
    );
    let learned = [
        (settings.dhcp4, "dhcp4"),
        (settings.dhcp6, "dhcp6"),
        (settings.accept_ra == Some(true) && !settings.dhcp6, "ipv6_slaac"),
    ];
    let learned = learned.iter().filter(|(used, _)| *used).map(|(_, kind)| json!({"type": kind}));
    let mut subnets: Vec<Value> = learned.collect();
    let routes = routes(layer3, lose);
    let written = layer3.addresses.iter().chain(layer3.shared.iter().map(|shared| &shared.address));
    let servers: Vec<String> = layer3.dns.iter().map(|dns| dns.address.to_string()).collect();
    for (index, address) in written.enumerate() {
        let is_ipv4 = address.addr().is_ipv4();
        let gateway = layer3
            .gateways
            .iter()
            .find(|gateway| gateway.is_ipv4() == is_ipv4 && address.contains(*gateway));
        let first = index == 0;
        subnets.push(present([
            ("type", Some(json!(if is_ipv4 { "static" } else { "static6" }))),
            ("address", Some(json!(address.to_string()))),
            ("gateway", gateway.map(|gateway| json!(gateway))),
            ("dns_nameservers", (first && !servers.is_empty()).then(|| json!(servers))),
            ("dns_search", (first && !layer3.domains.is_empty()).then(|| json!(layer3.domains))),
            ("routes", (first && !routes.is_empty()).then(|| json!(routes))),
        ]));
    }
    lose(subnets.is_empty() && !routes.is_empty(), "routes without an address");
    if subnets.is_empty() {
        subnets.push(json!({"type": "manual"}));
    }
    subnets
}

fn routes(layer3: &Layer3, lose: &mut impl FnMut(bool, &str)) -> Vec<Value> {
    let mut routes = Vec::new();
    for route in &layer3.routes {
        lose(route.table.is_some(), "routes with a table");
        lose(!route.next_hops.is_empty(), "several routers for one route");
        lose(route.kind != RouteKind::default(), "routes with a type");
        let own = route.on_link || route.from.is_some() || route.mtu.is_some();
        lose(
            own || route.advertised_mss.is_some(),
            "routes with from, on-link, mtu or advertised-mss",
        );
        lose(route.congestion_window.is_some(), "congestion-window");
        lose(route.via.is_none(), "routes without a router");
        let destination = match (route.to, route.via.is_some_and(|via| via.is_ipv6())) {
            (Destination::Net(net), _) => net.to_string(),
            (Destination::Default, false) => "0.0.0.0/0".into(),
            (Destination::Default, true) => "::/0".into(),
        };
        routes.push(present([
            ("destination", Some(json!(destination))),
            ("gateway", route.via.map(|via| json!(via))),
            ("metric", route.metric.map(|metric| json!(metric))),
        ]));
    }
    routes
}
