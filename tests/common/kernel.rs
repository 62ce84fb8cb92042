//! What a kernel has of a host's network, as `ip -j` tells it, and how that differs from
//! the model. For networkd in a namespace and for whole guests alike.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rackstrap::model::{
    AddressScope, MacPolicy, Millis, RouteKind, RouteSpec, RuleSpec, RuleVerdict, VlanProtocol,
};
use rackstrap::network::{HostNetwork, Kind, Link, Role, WrittenAddress};
use serde_json::{Value, json};

/// Routes that somebody wrote down, as networkd installs them.
const WRITTEN: &str = "static";

/// One look at a kernel.
pub(crate) struct Kernel {
    links: Vec<Value>,
    routes: Vec<Value>,
    rules: Vec<Value>,
}

impl Kernel {
    /// Looks through `ip`, which runs `ip -j WORDS` where the host is.
    pub(crate) fn read(mut ip: impl FnMut(&str) -> Value) -> Self {
        let mut both = |words: &str| {
            let families = ["-4", "-6"].map(|family| rows(ip(&format!("{family} {words}"))));
            families.concat()
        };
        let (routes, rules) = (both("route show table all"), both("rule"));
        Self { links: rows(ip("-d addr")), routes, rules }
    }

    /// What of it is not as the model says; empty when all is.
    pub(crate) fn differences(&self, network: &HostNetwork) -> Vec<String> {
        let mut wrong = Vec::new();
        for link in network.links.values().filter(|link| is_ours(link)) {
            match self.find(link) {
                Some(real) => self.link_differences(network, link, real, &mut wrong),
                None => wrong.push(format!("{} is not there", link.name)),
            }
        }
        compare("routes", self.written_routes(), self.modelled_routes(network), &mut wrong);
        compare("rules", self.written_rules(), self.modelled_rules(network), &mut wrong);
        wrong
    }

    /// The name that a link of the model has in the kernel: a NIC's name is only a label.
    pub(crate) fn name<'a>(&'a self, link: &'a Link) -> &'a str {
        self.find(link).and_then(|real| real["ifname"].as_str()).unwrap_or(&link.name)
    }

    /// The kernel's link that is the model's: a NIC by its permanent MAC, the others by name.
    fn find(&self, link: &Link) -> Option<&Value> {
        self.links.iter().find(|real| match link.kind {
            Kind::Nic(Some(mac)) => {
                // The kernel shows it only where another one is in use. A veth has none.
                let permanent = real.get("permaddr").unwrap_or_else(|| &real["address"]);
                let kind = real.pointer("/linkinfo/info_kind").and_then(Value::as_str);
                kind.is_none_or(|kind| kind == "veth") && *permanent == mac.to_string()
            }
            _ => real["ifname"] == *link.name,
        })
    }

    fn link_differences(
        &self,
        network: &HostNetwork,
        link: &Link,
        real: &Value,
        wrong: &mut Vec<String>,
    ) {
        let by_label = |name: &str| network.links.get(name).map(|link| self.name(link).to_owned());
        let mut expected = expected(link);
        expected.insert("/master", json!(link.master));
        let is_free = matches!(link.kind, Kind::Tunnel { .. });
        if let Some(parent) = link.parent().filter(|_| !is_free) {
            let is_tunnel = matches!(link.kind, Kind::Vxlan { .. });
            let place = if is_tunnel { "/linkinfo/info_data/link" } else { "/link" };
            // A tunnel only has its address from the loopback or a dummy, and leaves by any link.
            let lends = |parent: &Link| matches!(parent.kind, Kind::Loopback | Kind::Dummy);
            let is_bound = !(is_tunnel && network.links.get(parent).is_some_and(lends));
            expected.insert(place, json!(is_bound.then(|| by_label(parent)).flatten()));
        }
        if let Kind::Bond(spec) = &link.kind
            && let Some(primary) = &spec.primary
        {
            expected.insert("/linkinfo/info_data/primary", json!(by_label(primary)));
        }
        for (place, value) in expected {
            let seen = real.pointer(place).unwrap_or(&Value::Null);
            if *seen != value {
                wrong.push(format!("{}: {place} is {seen}, expected {value}", link.name));
            }
        }
        if !flags(real).contains("UP") {
            wrong.push(format!("{} is not up", link.name));
        }
        chosen_mac(network, link, real, wrong);
        let addresses = link.written().map(|written| modelled_address(&written)).collect();
        compare(&format!("{} addresses", link.name), addresses_of(real), addresses, wrong);
    }

    fn modelled_routes(&self, network: &HostNetwork) -> BTreeSet<String> {
        let mut routes = BTreeSet::new();
        for link in network.links.values().filter(|link| is_ours(link)) {
            let (name, domain) = (self.name(link), network.domain(link));
            for gateway in &link.layer3.gateways {
                let metric = if gateway.is_ipv6() { 1024 } else { 0 };
                let table = domain.map_or_else(|| "main".to_owned(), |table| table.to_string());
                let route = Route {
                    to: "default".into(),
                    via: gateway.to_string(),
                    device: name.to_owned(),
                    metric,
                    table,
                    ..Route::default()
                };
                routes.insert(route.to_string());
            }
            let of = |label: &String| self.name(&network.links[label]).to_owned();
            let written = link.layer3.routes.iter();
            routes.extend(written.map(|spec| modelled(spec, name, domain, of)));
        }
        routes
    }

    fn written_routes(&self) -> BTreeSet<String> {
        let written = self.routes.iter().filter(|route| route["protocol"] == WRITTEN);
        written.map(|route| installed(route).to_string()).collect()
    }

    fn modelled_rules(&self, network: &HostNetwork) -> BTreeSet<String> {
        let links = network.links.values().filter(|link| is_ours(link));
        links.flat_map(|link| &link.layer3.rules).map(modelled_rule).collect()
    }

    /// Every rule but those that the kernel has by itself, the one for VRFs included.
    fn written_rules(&self) -> BTreeSet<String> {
        let own = [0, 1000, 32766, 32767];
        let own = |rule: &&Value| own.contains(&rule["priority"].as_u64().unwrap_or_default());
        self.rules.iter().filter(|rule| !own(rule)).map(installed_rule).collect()
    }
}

/// Whether networkd is to set the link up.
fn is_ours(link: &Link) -> bool {
    !matches!(link.role, Role::Unused | Role::Unmanaged)
}

fn rows(value: Value) -> Vec<Value> {
    match value {
        Value::Array(rows) => rows.into_iter().filter(|row| row != &json!({})).collect(),
        _ => Vec::new(),
    }
}

fn flags(real: &Value) -> BTreeSet<&str> {
    real["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn compare(
    what: &str,
    seen: BTreeSet<String>,
    expected: BTreeSet<String>,
    wrong: &mut Vec<String>,
) {
    wrong.extend(expected.difference(&seen).map(|one| format!("{what}: \"{one}\" is missing")));
    wrong.extend(seen.difference(&expected).map(|one| format!("{what}: \"{one}\" is too much")));
}

/// The written addresses of a link: all but those that it has by itself.
fn addresses_of(real: &Value) -> BTreeSet<String> {
    let infos = real["addr_info"].as_array().into_iter().flatten();
    let is_written = |info: &&Value| {
        let address: IpAddr = info["local"].as_str().unwrap().parse().unwrap();
        let is_link_local = match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        !is_link_local && !address.is_loopback()
    };
    let text = |info: &Value| {
        let text = |key: &str| info[key].as_str().unwrap_or_default();
        let (local, length) = (text("local"), &info["prefixlen"]);
        format!("{local}/{length} peer {} scope {}", text("address"), text("scope"))
    };
    infos.filter(is_written).map(text).collect()
}

fn modelled_address(written: &WrittenAddress) -> String {
    let peer = written.peer.map(|peer| peer.to_string()).unwrap_or_default();
    let scope = written.scope.unwrap_or(AddressScope::Global);
    format!("{} peer {peer} scope {scope}", written.address)
}

/// Whether a bond or bridge has the MAC of one of its NICs, where the profile leaves the choice
/// to others: the kernel takes one of theirs, and networkd makes another.
fn chosen_mac(network: &HostNetwork, link: &Link, real: &Value, wrong: &mut Vec<String>) {
    let is_one_of_theirs = network
        .nics_below(link)
        .iter()
        .any(|nic| matches!(nic.kind, Kind::Nic(Some(mac)) if real["address"] == mac.to_string()));
    let expected = match (&link.kind, link.settings.mac_policy()) {
        (Kind::Bond(_) | Kind::Bridge(_), Some(MacPolicy::Kernel)) => true,
        (Kind::Bond(_) | Kind::Bridge(_), Some(MacPolicy::Persistent)) => false,
        _ => return,
    };
    if is_one_of_theirs != expected {
        let (name, mac) = (&link.name, &real["address"]);
        wrong.push(format!("{name}: {mac} is a NIC's: {is_one_of_theirs}, expected {expected}"));
    }
}

/// What the model says of a link, by its place in the kernel's own words. What the model
/// leaves open is not there.
fn expected(link: &Link) -> BTreeMap<&'static str, Value> {
    let mut all = BTreeMap::new();
    let mut set = |place, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(place, value);
        }
    };
    set("/mtu", link.settings.mtu.map(Value::from));
    set("/group", link.settings.group.map(|group| json!(group.to_string())));
    // A bond gives its members its own MAC.
    let written = link.mac.filter(|_| link.master.is_none() || !link.is_nic());
    set("/address", written.map(|mac| json!(mac.to_string())));
    // In centiseconds.
    let ticks = |time: Option<Millis>| time.map(|time| json!(time.0 / 10));
    let milliseconds = |time: Option<Millis>| time.map(|time| json!(time.0));
    let kind = match &link.kind {
        Kind::Bond(_) => "bond",
        Kind::Vlan { .. } => "vlan",
        Kind::Vxlan { .. } => "vxlan",
        Kind::Bridge(_) => "bridge",
        Kind::Vrf(_) => "vrf",
        Kind::Dummy => "dummy",
        Kind::Veth { .. } => "veth",
        Kind::Macvlan(_) => "macvlan",
        Kind::Ipvlan(_) => "ipvlan",
        _ => return all,
    };
    set("/linkinfo/info_kind", Some(json!(kind)));
    match &link.kind {
        Kind::Bond(spec) => {
            set("/linkinfo/info_data/mode", Some(json!(spec.mode.label())));
            let rate = spec.lacp_rate.map(|rate| json!(rate.label()));
            set("/linkinfo/info_data/ad_lacp_rate", rate);
            let policy = spec.transmit_hash_policy.map(|policy| json!(policy.label()));
            set("/linkinfo/info_data/xmit_hash_policy", policy);
            set("/linkinfo/info_data/miimon", milliseconds(spec.mii_monitor));
            set("/linkinfo/info_data/updelay", milliseconds(spec.up_delay));
            set("/linkinfo/info_data/downdelay", milliseconds(spec.down_delay));
            set("/linkinfo/info_data/min_links", spec.min_links.map(Value::from));
            set("/linkinfo/info_data/ad_select", spec.ad_select.map(|one| json!(one.label())));
            set("/linkinfo/info_data/arp_interval", milliseconds(spec.arp_interval));
            let reselect = spec.primary_reselect_policy.map(|policy| json!(policy.label()));
            set("/linkinfo/info_data/primary_reselect", reselect);
            let policy = spec.fail_over_mac_policy.map(|policy| json!(policy.label()));
            set("/linkinfo/info_data/fail_over_mac", policy);
            let number = spec.gratuitous_arp.map(Value::from);
            set("/linkinfo/info_data/num_peer_notif", number);
        }
        Kind::Vlan { id, protocol, .. } => {
            set("/linkinfo/info_data/id", id.map(Value::from));
            let word = if *protocol == VlanProtocol::Dot1q { "802.1Q" } else { "802.1ad" };
            set("/linkinfo/info_data/protocol", Some(json!(word)));
        }
        Kind::Vxlan { spec, local } => {
            set("/linkinfo/info_data/id", Some(json!(spec.vni)));
            set("/linkinfo/info_data/port", Some(json!(spec.port.unwrap_or(4789))));
            set("/linkinfo/info_data/local", local.map(|address| json!(address.to_string())));
            let group = spec.remote.filter(|address| address.is_multicast());
            set("/linkinfo/info_data/group", group.map(|address| json!(address.to_string())));
            let remote = spec.remote.filter(|address| !address.is_multicast());
            set("/linkinfo/info_data/remote", remote.map(|address| json!(address.to_string())));
        }
        Kind::Bridge(spec) => {
            set("/linkinfo/info_data/stp_state", spec.stp.map(|stp| json!(u8::from(stp))));
            set("/linkinfo/info_data/forward_delay", ticks(spec.forward_delay));
            set("/linkinfo/info_data/hello_time", ticks(spec.hello_time));
            set("/linkinfo/info_data/max_age", ticks(spec.max_age));
            set("/linkinfo/info_data/ageing_time", ticks(spec.ageing_time));
            set("/linkinfo/info_data/priority", spec.priority.map(Value::from));
            let filters = Some(json!(u8::from(spec.vlan_filtering)));
            set("/linkinfo/info_data/vlan_filtering", filters);
        }
        Kind::Vrf(table) => set("/linkinfo/info_data/table", table.map(Value::from)),
        _ => {}
    }
    all
}

/// A route in one notation, for comparing.
#[derive(Default)]
struct Route {
    kind: String,
    to: String,
    via: String,
    device: String,
    from: String,
    metric: u64,
    table: String,
    hops: Vec<Hop>,
}

/// One of several ways: the router, the device and the weight.
type Hop = (String, String, u64);

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, to, via, device, from, metric, table, hops } = self;
        let word = if kind == "unicast" { "" } else { kind };
        let words = format!("{word} {to} via {via} dev {device} src {from}");
        write!(f, "{} metric {metric} table {table} hops {hops:?}", words.trim())
    }
}

/// A route of the model, on a link that is `device`. `of` knows the devices of the others.
fn modelled(
    spec: &RouteSpec,
    device: &str,
    domain: Option<u32>,
    of: impl Fn(&String) -> String,
) -> String {
    let text =
        |address: Option<IpAddr>| address.map(|address| address.to_string()).unwrap_or_default();
    let to = spec.to.to_string();
    // The kernel leaves the length of a host route away, and has one word for all of a family.
    let to = to.strip_suffix("/32").or_else(|| to.strip_suffix("/128")).unwrap_or(&to).to_owned();
    let is_ipv6 = to.contains(':') || spec.via.is_some_and(|via| via.is_ipv6());
    let to = if matches!(&*to, "0.0.0.0/0" | "::/0") { "default".to_owned() } else { to };
    let table = spec.table.or(domain).filter(|table| *table != 254);
    let hops = spec.next_hops.iter().map(|hop| {
        let device = hop.link.as_ref().map_or_else(|| device.to_owned(), &of);
        (hop.via.to_string(), device, hop.weight.unwrap_or(1).into())
    });
    let hops: Vec<Hop> = hops.collect();
    let named = spec.kind == RouteKind::Unicast && hops.is_empty();
    Route {
        kind: spec.kind.label().to_owned(),
        to,
        via: text(spec.via),
        device: if named { device.to_owned() } else { String::new() },
        from: text(spec.from),
        metric: spec.metric.map_or(if is_ipv6 { 1024 } else { 0 }, u64::from),
        table: table.map_or_else(|| "main".to_owned(), |table| table.to_string()),
        hops,
    }
    .to_string()
}

fn installed(route: &Value) -> Route {
    let text = |key: &str| route[key].as_str().unwrap_or_default().to_owned();
    let hops = route["nexthops"].as_array().into_iter().flatten();
    let hops = hops.map(|hop| {
        let text = |key: &str| hop[key].as_str().unwrap_or_default().to_owned();
        (text("gateway"), text("dev"), hop["weight"].as_u64().unwrap())
    });
    let hops: Vec<Hop> = hops.collect();
    let text_or = |key: &str, usual: &str| route[key].as_str().unwrap_or(usual).to_owned();
    let (kind, table) = (text_or("type", "unicast"), text_or("table", "main"));
    let device = if kind == "unicast" { text("dev") } else { String::new() };
    Route {
        kind,
        to: text("dst"),
        via: text("gateway"),
        device,
        from: text("prefsrc"),
        metric: route["metric"].as_u64().unwrap_or(0),
        table,
        hops,
    }
}

fn modelled_rule(rule: &RuleSpec) -> String {
    let net = |net: Option<ipnet::IpNet>| {
        let text = net.map_or_else(|| "all".to_owned(), |net| net.to_string());
        let host = text.strip_suffix("/32").or_else(|| text.strip_suffix("/128"));
        host.unwrap_or(&text).to_owned()
    };
    let mark = rule.mark.map(|mark| format!("{mark:#x}")).unwrap_or_default();
    let leads = rule.verdict == RuleVerdict::Table;
    let table = if leads { rule.table.to_string() } else { String::new() };
    let (from, to) = (net(rule.from), net(rule.to));
    let mut words = format!("{}: from {from} to {to} mark {mark} ", rule.priority);
    for link in [&rule.incoming_interface, &rule.outgoing_interface] {
        words.push_str(&format!("if {} ", link.as_deref().unwrap_or_default()));
    }
    format!("{words}table {table}")
}

fn installed_rule(rule: &Value) -> String {
    let text = |key: &str| rule[key].as_str().unwrap_or_default();
    let net = |key: &str, length: &str| match (text(key), &rule[length]) {
        ("", _) => "all".to_owned(),
        (address, Value::Null) => address.to_owned(),
        (address, length) => format!("{address}/{length}"),
    };
    let (from, to) = (net("src", "srclen"), net("dst", "dstlen"));
    let mut words = format!("{}: from {from} to {to} mark {} ", rule["priority"], text("fwmark"));
    for link in [text("iif"), text("oif")] {
        words.push_str(&format!("if {link} "));
    }
    format!("{words}table {}", text("table"))
}
