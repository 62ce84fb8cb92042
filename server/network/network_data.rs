//! Writes OpenStack's `network_data.json`, as Ironic and Nova hand it to a host's first boot
//! and cloud-init, Glean and Ignition-like agents read it. Pure. It has few words: what its
//! readers do not all understand is refused.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::bond;
use super::links::{HostNetwork, Kind, Layer3, Link, Role};
use super::losses::{INFINIBAND, Losses};
use super::netplan::present;
use super::{File, Format};
use crate::model::{
    BondMode, BondSpec, Destination, Family, Mac, NicAddress, Overrides, RouteKind, RouteSpec,
    VlanProtocol,
};

/// The one document, with the links, the networks on them, and the resolvers.
pub(super) fn render(host: &HostNetwork, losses: &mut Losses) -> Vec<File> {
    losses.add_if(host.bgp.is_some(), "profile", "bgp");
    losses.add_if(!host.sysctls.is_empty(), "profile", "sysctls");
    let managed = |link: &&Link| !matches!(link.role, Role::Unused | Role::Unmanaged);
    let (mut links, mut networks, mut services) = (Vec::new(), Vec::new(), Vec::<Value>::new());
    for link in host.links.values().filter(managed) {
        links.push(entry(host, link, losses));
        if host.owner(link).is_none() {
            networks.extend(self::networks(link, losses));
        }
        for server in &link.layer3.dns {
            let service = json!({"type": "dns", "address": server.address});
            if !services.contains(&service) {
                services.push(service);
            }
        }
    }
    let document = json!({"links": links, "networks": networks, "services": services});
    vec![File::of(Format::NetworkData, "network_data.json", format!("{document:#}\n"))]
}

/// One of `links`: a NIC, a bond or a VLAN.
fn entry(host: &HostNetwork, link: &Link, losses: &mut Losses) -> Value {
    losses.bring_up(link);
    losses.hardware(host, link);
    let mut lose = |lost: bool, feature: &str| losses.add_if(lost, &link.name, feature);
    lose(link.is_infiniband(), INFINIBAND);
    lose(link.is_nic() && link.mac.is_some(), "macaddress of a NIC");
    lose(link.nic.as_ref().is_some_and(|nic| nic.set_name.is_some()), "set-name");
    let mac = mac(host, link).map(|mac| json!(mac.to_string()));
    let mut unsaid = Vec::new();
    let (kind, own) = match &link.kind {
        Kind::Nic(permanent) => {
            lose(permanent.is_none(), "a NIC without a MAC");
            ("phy", json!({"ethernet_mac_address": mac}))
        }
        Kind::Bond(spec) => ("bond", bond(spec, mac, &mut unsaid)),
        Kind::Vlan { parent, id, protocol, qos } => {
            lose(qos.is_some(), "priorities of tags");
            lose(*protocol != VlanProtocol::default(), "protocol 802.1ad");
            ("vlan", json!({"vlan_link": parent, "vlan_id": id, "vlan_mac_address": mac}))
        }
        other => {
            lose(true, other.label());
            ("phy", json!({}))
        }
    };
    for parameter in unsaid {
        match &link.kind {
            // The switch and the host agree without them.
            Kind::Bond(spec) if spec.mode == BondMode::Lacp => {
                losses.leave_out(&link.name, &parameter);
            }
            _ => losses.add_if(true, &link.name, &parameter),
        }
    }
    let mut entry = present([
        ("id", Some(json!(link.name))),
        ("type", Some(json!(kind))),
        ("mtu", link.settings.mtu.map(|mtu| json!(mtu))),
    ]);
    if let (Some(entry), Some(own)) = (entry.as_object_mut(), own.as_object()) {
        entry.extend(own.clone());
    }
    entry
}

/// The MAC that a link has in the end: a VLAN has that of the link below.
fn mac(host: &HostNetwork, link: &Link) -> Option<Mac> {
    let below = || match &link.kind {
        Kind::Nic(nic) => nic.and_then(NicAddress::mac),
        Kind::Bond(spec) => spec.nics.iter().find_map(|name| mac(host, host.links.get(name)?)),
        Kind::Vlan { parent, .. } => mac(host, host.links.get(parent)?),
        _ => None,
    };
    link.mac.or_else(below)
}

fn bond(spec: &BondSpec, mac: Option<Value>, unsaid: &mut Vec<String>) -> Value {
    const FIRST: &[&str] = &["lacp-rate", "min-links", "ad-select", "ad-actor-system-priority"];
    let spelled = bond::spell(spec, |names| names.network_data, FIRST);
    unsaid.extend(spelled.lost);
    let own = [("ethernet_mac_address", mac), ("bond_links", Some(json!(spec.nics)))];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let parameters = spelled.written.into_iter();
    let parameters = parameters.map(|written| (written.name.to_owned(), written.value.json()));
    Value::Object(own.chain(parameters).collect())
}

/// The networks on a link: one for each way to an address.
fn networks(link: &Link, losses: &mut Losses) -> Vec<Value> {
    let (layer3, settings) = (&link.layer3, &link.settings);
    layer3_losses(link, losses);
    let slaac = settings.accept_ra == Some(true) && !settings.dhcp6;
    let learned = [
        (settings.dhcp4, "ipv4_dhcp", Family::Ipv4),
        (settings.dhcp6, "ipv6_dhcp", Family::Ipv6),
        (slaac, "ipv6_slaac", Family::Ipv6),
    ];
    let mut networks: Vec<(Family, Value)> = Vec::new();
    let mut add = |family: Family, kind: &str, address: Option<IpNet>| {
        let id = format!("{}-{}", link.name, networks.len());
        let network = present([
            ("id", Some(json!(id))),
            ("network_id", Some(json!(id))),
            ("link", Some(json!(link.name))),
            ("type", Some(json!(kind))),
            ("ip_address", address.map(|net| json!(net.addr()))),
            ("netmask", address.map(|net| json!(net.netmask()))),
        ]);
        networks.push((family, network));
    };
    for (_, kind, family) in learned.into_iter().filter(|(used, ..)| *used) {
        add(family, kind, None);
    }
    for address in link.all_addresses() {
        let family = family(address.addr());
        add(family, family.label(), Some(address));
    }
    for route in routes(layer3) {
        let to = networks.iter_mut().find(|(family, _)| *family == route.0);
        losses.add_if(to.is_none(), &link.name, "routes without an address");
        let Some((_, network)) = to else { continue };
        match network["routes"].as_array_mut() {
            Some(routes) => routes.push(route.1),
            None => network["routes"] = json!([route.1]),
        }
    }
    networks.into_iter().map(|(_, network)| network).collect()
}

fn layer3_losses(link: &Link, losses: &mut Losses) {
    let (layer3, settings) = (&link.layer3, &link.settings);
    let mut lose = |lost: bool, feature: &str| losses.add_if(lost, &link.name, feature);
    let overrides = [settings.dhcp4_overrides, settings.dhcp6_overrides, settings.ra_overrides];
    lose(overrides.iter().any(|one| *one != Overrides::default()), "overrides");
    let local = settings.link_local.as_deref();
    lose(local.is_some_and(|families| families != [Family::Ipv6]), "link-local");
    lose(settings.accept_ra == Some(false), "accept-ra: false");
    for (said, words) in layer3.resolver_words() {
        lose(said, words);
    }
    lose(!layer3.domains.is_empty(), "search domains");
    lose(!layer3.ntp.is_empty(), "time servers");
    lose(!layer3.rules.is_empty(), "policy rules");
    for route in &layer3.routes {
        lose(route.via.is_none(), "routes without a router");
        lose(!route.next_hops.is_empty(), "several routers for one route");
        lose(route.kind != RouteKind::default(), "routes with a type");
        let own = RouteSpec { via: route.via, ..RouteSpec::to(route.to) };
        let more = RouteSpec { next_hops: Vec::new(), kind: RouteKind::default(), ..route.clone() };
        lose(
            own != more,
            "routes with metric, table, from, on-link, mtu, advertised-mss or congestion-window",
        );
    }
}

/// The routes of a link, the default ones first.
fn routes(layer3: &Layer3) -> impl Iterator<Item = (Family, Value)> {
    let default = layer3.gateways.iter().map(|via| (Destination::Default, *via));
    let others = layer3.routes.iter().filter_map(|route| Some((route.to, route.via?)));
    default.chain(others).map(|(to, via)| {
        let net = match (to, via) {
            (Destination::Net(net), _) => net,
            (Destination::Default, IpAddr::V4(_)) => IpNet::V4(Default::default()),
            (Destination::Default, IpAddr::V6(_)) => IpNet::V6(Default::default()),
        };
        let route = json!({"network": net.network(), "netmask": net.netmask(), "gateway": via});
        (family(via), route)
    })
}

fn family(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
}
