//! A host's network as a drawing with a text alternative: NICs at the bottom, bridges on top.

use askama::Template;

use super::drawing::{Drawing, Node, draw};
use crate::http::ui::overview::counted;
use crate::model::NicAddress;
use crate::network::{HostNetwork, Kind, Link, Role};

#[derive(Template)]
#[template(path = "stack.html")]
struct Stack<'a> {
    host: &'a str,
    text: String,
    drawing: Drawing<'a>,
}

/// The drawing as SVG; `None` for a host without links.
pub(crate) fn svg(network: &HostNetwork) -> Result<Option<String>, askama::Error> {
    if network.links.is_empty() {
        return Ok(None);
    }
    let nodes = nodes(network);
    let stack = Stack { host: &network.host, text: in_words(network), drawing: draw(&nodes) };
    stack.render().map(Some)
}

#[derive(Template)]
#[template(path = "stack_buttons.html")]
struct StackButtons<'a> {
    selected: &'a str,
    drawing: Drawing<'a>,
}

/// The links of a network as boxes of a drawing.
pub(super) fn nodes(network: &HostNetwork) -> Vec<Node> {
    network.links.values().map(|link| node(network, link)).collect()
}

/// The drawing with a button in each box, which selects the link; empty without links.
pub(super) fn buttons(nodes: &[Node], selected: &str) -> Result<String, askama::Error> {
    if nodes.is_empty() {
        return Ok(String::new());
    }
    StackButtons { selected, drawing: draw(nodes) }.render()
}

fn node(network: &HostNetwork, link: &Link) -> Node {
    Node {
        name: link.name.clone(),
        kind: link.kind.label(),
        class: match link.role {
            Role::Unused | Role::Unmanaged => "unused",
            Role::Addressed => "top-link",
            Role::Carrier | Role::LinkOnly => "",
        },
        layer: link.layer,
        lines: facts(link),
        below: network.below(link).map(|below| below.name.clone()).collect(),
    }
}

/// The lines in the box of a link.
fn facts(link: &Link) -> Vec<String> {
    let mut facts = Vec::new();
    match &link.kind {
        Kind::Nic(mac) => {
            facts.push(mac.map_or("no MAC address".into(), |mac: NicAddress| mac.to_string()))
        }
        Kind::Bond(bond) => facts.push(bond.mode.label().to_owned()),
        Kind::Vlan { id, .. } => {
            facts.push(id.map_or("no VLAN id".into(), |id| format!("VLAN {id}")));
        }
        Kind::Bridge(bridge) => {
            facts.push(if bridge.stp == Some(true) { "STP on" } else { "STP off" }.to_owned());
        }
        Kind::Vxlan { spec, .. } => facts.push(format!("VNI {}", spec.vni)),
        Kind::Wireguard { wireguard, .. } => {
            facts.push(counted(wireguard.peers.len(), "peer", "peers"));
            facts.extend(wireguard.public_key.as_ref().map(|key| format!("key {key}")));
        }
        Kind::Macsec { macsec, .. } => {
            facts.push(counted(macsec.channels.len(), "peer", "peers"));
        }
        Kind::Tunnel { spec, .. } => facts.push(format!("{} to {}", spec.mode, spec.remote)),
        Kind::Vrf(table) => facts.extend(table.map(|table| format!("table {table}"))),
        Kind::Veth { peer, .. } => facts.push(format!("to {peer}")),
        Kind::Macvlan(spec) => facts.push(format!("mode {}", spec.mode)),
        Kind::Ipvlan(spec) => facts.push(format!("mode {}", spec.mode)),
        Kind::Partition(spec) => facts.push(format!("P_Key {}", spec.pkey)),
        Kind::Dummy | Kind::Loopback => {}
    }
    let layer3 = &link.layer3;
    facts.extend(link.written().map(|written| written.to_string()));
    if link.settings.dhcp4 {
        facts.push("address by DHCP".into());
    }
    facts.extend(layer3.gateways.iter().map(|gateway| format!("via {gateway}")));
    facts.extend(link.subnets.iter().map(|subnet| format!("subnet {subnet}")));
    facts.extend(link.settings.mtu.map(|mtu| format!("MTU {mtu}")));
    match link.role {
        Role::Unused => facts.push("not in the profile".into()),
        Role::Unmanaged => facts.push("not managed here".into()),
        Role::Addressed | Role::Carrier | Role::LinkOnly => {}
    }
    facts
}

/// The text alternative of the drawing, topmost link first.
pub(crate) fn in_words(network: &HostNetwork) -> String {
    let mut links: Vec<&Link> = network.links.values().collect();
    links.sort_by_key(|link| std::cmp::Reverse(link.layer));
    let sentences = links.iter().map(|link| {
        let below: Vec<&str> = network.below(link).map(|below| below.name.as_str()).collect();
        let over =
            if below.is_empty() { String::new() } else { format!(" over {}", below.join(" and ")) };
        format!("{} {}{over}: {}.", link.kind.label(), link.name, facts(link).join(", "))
    });
    sentences.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layout;
    use crate::profile::ResolvedSite;

    fn site() -> ResolvedSite {
        serde_json::from_value(serde_json::json!({
            "subnets": {"internal": {"cidr": "172.16.160.0/24", "vlan": 500, "gateway": "172.16.160.254"}},
            "profiles": {"hypervisor": {
                "bonds": {"bond0": {"nics": ["eth0", "eth1"], "mode": "802.3ad"}},
                "vlans": {"vlan500": {"link": "bond0", "subnet": "internal"}},
                "bridges": {"virbr0": {"interfaces": ["vlan500"], "subnet": "internal"}},
            }},
            "hosts": {"n1": {
                "profile": "hypervisor",
                "nics": {"eth0": "52:54:00:aa:00:01", "eth1": "52:54:00:aa:00:02", "ipmi": "52:54:00:aa:00:03"},
                "addresses": {"virbr0": "172.16.160.12"},
            }},
        }))
        .unwrap()
    }

    #[test]
    fn the_drawing_and_its_text_alternative_have_the_same_facts() {
        let network = layout(&site(), "n1");
        let svg = svg(&network).unwrap().unwrap();
        let text = in_words(&network);
        for word in
            ["172.16.160.12/24", "802.3ad", "VLAN 500", "52:54:00:aa:00:01", "not in the profile"]
        {
            assert!(svg.contains(word), "{word} in {svg}");
            assert!(text.contains(word), "{word} in {text}");
        }
        assert!(text.starts_with("bridge virbr0 over vlan500"), "{text}");
        assert!(text.contains("bond bond0 over eth0 and eth1"), "{text}");
        assert!(svg.contains("role=\"img\"") && !svg.contains("style="));
        assert_eq!(svg.matches("class=\"wire\"").count(), 4);
    }

    #[test]
    fn a_host_without_links_has_no_drawing() {
        assert_eq!(svg(&layout(&ResolvedSite::default(), "nobody")).unwrap(), None);
    }
}
