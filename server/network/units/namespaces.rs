//! Links in network namespaces: made or moved there, with their addresses and routes. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Service, finder, head, quoted};
use crate::model::{Destination, NextHop, RouteKind, RouteSpec, VlanProtocol};
use crate::network::links::{HostNetwork, Kind, Link};

/// The links of each namespace.
fn by_namespace(host: &HostNetwork) -> BTreeMap<&str, Vec<&Link>> {
    let mut found: BTreeMap<&str, Vec<&Link>> = BTreeMap::new();
    for link in host.links.values() {
        if let Some(name) = &link.settings.namespace {
            found.entry(name).or_default().push(link);
        }
    }
    found
}

/// The service that makes the namespaces; none for a host without any.
pub(super) fn service(host: &HostNetwork) -> Option<Service> {
    let namespaces = by_namespace(host);
    if namespaces.is_empty() {
        return None;
    }
    let (mut start, mut stop) = (String::new(), String::new());
    for (name, links) in &namespaces {
        let _ = writeln!(start, "    add_namespace {name}");
        let lines: Vec<String> = resolver_lines(links).iter().map(|line| quoted(line)).collect();
        if !lines.is_empty() {
            let _ = writeln!(start, "    resolvers {name} {}", lines.join(" "));
        }
        for link in links {
            bring(&mut start, host, name, link);
        }
        for link in links {
            set(&mut start, host, name, link);
        }
        // A NIC comes back; what was made goes with the namespace.
        for link in links.iter().filter(|link| link.is_nic()) {
            let _ = writeln!(stop, "    give_back {name} {}", link.device());
        }
        for link in links.iter().filter(|link| !link.is_nic()) {
            let _ = writeln!(stop, "    remove {name} {}", link.device());
        }
        let _ = writeln!(stop, "    ip netns delete {name}");
    }
    let script = format!(
        "{}{FUNCTIONS}start() {{\n{start}}}\n\nstop() {{\n{stop}}}\n\n\"$1\"\n",
        head(host)
    );
    Some(Service {
        name: "rackstrap-namespaces",
        description: "Network namespaces of this host",
        after: "",
        has_stop: true,
        script,
    })
}

const FUNCTIONS: &str = r#"add_namespace() {
    ip netns pids "$1" >/dev/null 2>&1 || ip netns add "$1"
    ip -n "$1" link set dev lo up
}

# Writes what `ip netns exec` puts in the place of the host's resolv.conf (ip-netns(8)).
resolvers() {
    mkdir -p "/etc/netns/$1"
    file=/etc/netns/$1/resolv.conf
    shift
    printf '%s\n' "$@" >"$file"
}

has() {
    ip -n "$1" link show dev "$2" >/dev/null 2>&1
}

# Moves a link: the namespace, its name there, and how it is found here.
move() {
    namespace=$1 name=$2
    shift 2
    if ! has "$namespace" "$name"; then
        found=$("$@")
        ip link set dev "$found" netns "$namespace"
        [ "$found" = "$name" ] || ip -n "$namespace" link set dev "$found" name "$name"
    fi
}

# Makes a link: the namespace, its name there, how the link below is found, and what it is.
make() {
    namespace=$1 name=$2 below=$3
    shift 3
    if ! has "$namespace" "$name"; then
        below=$(eval "$below")
        ip link set dev "$below" up
        ip link add link "$below" name "$name" netns "$namespace" "$@"
    fi
}

# Takes away the addresses of an earlier revision. Nothing from router advertisements.
clear() {
    ip -n "$1" address flush dev "$2" scope global
    ip netns exec "$1" sysctl -qe -w "net.ipv6.conf.$2.accept_ra=0" || :
}

# Gives a NIC back to the host, by another name where a link of the host has its name meanwhile.
give_back() {
    has "$1" "$2" || return 0
    name=$2 number=0
    while ip link show dev "$name" >/dev/null 2>&1; do
        name=back$number
        number=$((number + 1))
    done
    if [ "$name" != "$2" ]; then
        echo "rackstrap: the host has a link $2: the NIC comes back as $name" >&2
        ip -n "$1" link set dev "$2" down
        ip -n "$1" link set dev "$2" name "$name"
    fi
    ip -n "$1" link set dev "$name" netns $$
}

remove() {
    ! has "$1" "$2" || ip -n "$1" link delete dev "$2"
}

"#;

/// Puts a link into its namespace.
fn bring(text: &mut String, host: &HostNetwork, namespace: &str, link: &Link) {
    let name = link.device();
    let below = |parent: &str| {
        let found = host.links.get(parent).map(|below| finder(host, below));
        quoted(&found.unwrap_or_else(|| format!("find_link by_name {parent}")))
    };
    let mac = link.mac.map(|mac| format!(" address {mac}")).unwrap_or_default();
    let line = match &link.kind {
        Kind::Vlan { parent, id, protocol, .. } => {
            let id = id.unwrap_or_default();
            let protocol = match protocol {
                VlanProtocol::Dot1q => "802.1Q",
                VlanProtocol::Dot1ad => "802.1ad",
            };
            let below = below(parent);
            format!("make {namespace} {name} {below}{mac} type vlan protocol {protocol} id {id}")
        }
        Kind::Macvlan(spec) => {
            let (below, mode) = (below(&spec.link), spec.mode);
            let mut line = format!("make {namespace} {name} {below}{mac} type macvlan mode {mode}");
            for source in &spec.source_macaddresses {
                let _ = write!(
                    line,
                    "\n    ip -n {namespace} link set dev {name} type macvlan macaddr add {source}"
                );
            }
            line
        }
        Kind::Ipvlan(spec) => {
            let (below, mode) = (below(&spec.link), spec.mode);
            format!("make {namespace} {name} {below} type ipvlan mode {mode}")
        }
        _ => {
            let mut line = format!("move {namespace} {name} {}", finder(host, link));
            if let Some(mac) = link.mac {
                let _ = write!(line, "\n    ip -n {namespace} link set dev {name} address {mac}");
            }
            line
        }
    };
    let _ = writeln!(text, "    {line}");
}

/// Sets a link up in its namespace, with its addresses and routes.
fn set(text: &mut String, host: &HostNetwork, namespace: &str, link: &Link) {
    let name = link.device();
    let ip = |family: &str| format!("    ip{family} -n {namespace}");
    let _ = writeln!(text, "    clear {namespace} {name}");
    let mtu = link.settings.mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
    let _ = writeln!(text, "{} link set dev {name}{mtu} up", ip(""));
    let metric = link.settings.metric.map(|metric| format!(" metric {metric}"));
    let metric = metric.unwrap_or_default();
    for written in link.written() {
        let peer = written.peer.map(|peer| format!(" peer {peer}")).unwrap_or_default();
        let scope = written.scope.map(|scope| format!(" scope {scope}")).unwrap_or_default();
        let address = match written.peer {
            // `ip address` takes the length of the other end.
            Some(_) => written.address.addr().to_string(),
            None => written.address.to_string(),
        };
        let _ = writeln!(text, "{} address add {address}{peer} dev {name}{scope}{metric}", ip(""));
    }
    for gateway in &link.layer3.gateways {
        let family = family(gateway.is_ipv4());
        let _ = writeln!(text, "{} route replace default via {gateway} dev {name}", ip(family));
    }
    for written in &link.layer3.routes {
        let is_ipv4 = written.family() == crate::model::Family::Ipv4;
        let words = route(host, link, written);
        let _ = writeln!(text, "{} route replace {words}", ip(family(is_ipv4)));
    }
}

fn family(is_ipv4: bool) -> &'static str {
    if is_ipv4 { "" } else { " -6" }
}

/// A route in the words of `ip route`.
fn route(host: &HostNetwork, link: &Link, route: &RouteSpec) -> String {
    let name = link.device();
    let is_unicast = route.kind == RouteKind::default();
    let to = match route.to {
        Destination::Default => "default".to_owned(),
        Destination::Net(net) => net.to_string(),
    };
    let mut words = if is_unicast { to } else { format!("{} {to}", route.kind) };
    let on_link = if route.on_link { " onlink" } else { "" };
    let mut add = |key: &str, value: Option<String>| {
        let _ = value.map(|value| write!(words, " {key} {value}"));
    };
    add("via", route.via.map(|via: IpAddr| via.to_string()));
    let is_single = is_unicast && route.next_hops.is_empty();
    add("dev", is_single.then(|| format!("{name}{on_link}")));
    add("src", route.from.map(|from| from.to_string()));
    add("metric", route.metric.map(|metric| metric.to_string()));
    add("table", route.table.map(|table| table.to_string()));
    add("mtu", route.mtu.map(|mtu| mtu.to_string()));
    add("advmss", route.advertised_mss.map(|mss| mss.to_string()));
    add("initcwnd", route.congestion_window.map(|window| window.to_string()));
    for NextHop { via, link: way, weight } in &route.next_hops {
        let device = way.as_deref().map_or(name, |way| host.device(way));
        let weight = weight.unwrap_or(1);
        let _ = write!(words, " nexthop via {via} dev {device}{on_link} weight {weight}");
    }
    words
}

/// The lines of a namespace's resolv.conf(5).
fn resolver_lines(links: &[&Link]) -> Vec<String> {
    let servers = links.iter().flat_map(|link| &link.layer3.dns);
    // Neither a port nor a name for TLS: resolv.conf has no words for them.
    let mut lines: Vec<String> =
        servers.map(|server| format!("nameserver {}", server.address)).collect();
    let domains = links.iter().flat_map(|link| &link.layer3.domains);
    let searched: Vec<&str> =
        domains.map(String::as_str).filter(|domain| !domain.starts_with('~')).collect();
    if !searched.is_empty() {
        lines.push(format!("search {}", searched.join(" ")));
    }
    lines
}
