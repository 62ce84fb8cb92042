//! Rules about the one other end that a link leads to, where an address is valid, and who
//! chooses a link's MAC. Pure.

use ipnet::IpNet;

use super::routes::reaches;
use super::{Findings, ProfileView};
use crate::model::{Defaults, Family, LinkSettings, MacPolicy, SharedAddress};
use crate::network::links::{Kind, Link};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.profile.links() {
        without_subject(view, link.name, link.settings, findings);
        for shared in &link.settings.addresses {
            other_end(view, link.name, shared, findings);
        }
    }
    for link in view.network.links.values() {
        router(view, link, findings);
        chooser(view, link, findings);
        stranger(view, link, findings);
    }
}

/// Rule N182: a peer or a scope of an address that the link does not have.
fn without_subject(
    view: &ProfileView<'_>,
    name: &str,
    settings: &LinkSettings,
    findings: &mut Findings,
) {
    let subnet = |name: &Option<String>| Some(view.site.subnets.get(name.as_ref()?)?.cidr);
    let (first, second) = (subnet(&settings.subnet), subnet(&settings.subnet6));
    let learns = |net: &IpNet| match net {
        IpNet::V4(_) => settings.learns_addresses(Family::Ipv4),
        IpNet::V6(_) => settings.learns_addresses(Family::Ipv6),
    };
    let written = |net: Option<IpNet>| net.filter(|net| !learns(net));
    let is_ipv4 = |net: &IpNet| net.addr().is_ipv4();
    let has_ipv4 = written(first).iter().chain(&written(second)).any(is_ipv4);
    let cases = [
        ("peer-number", settings.peer_number.is_some(), written(first).is_some(), "a subnet"),
        ("peer-number6", settings.peer_number6.is_some(), written(second).is_some(), "a subnet6"),
        ("address-scope", settings.address_scope.is_some(), has_ipv4, "an IPv4 subnet"),
    ];
    for (key, _, _, whose) in cases.iter().filter(|(_, said, has, _)| *said && !has) {
        let text = format!("{name} has {key} but no static address of {whose}");
        findings.error("N182", view.at(name, key), text);
        findings.suggest(view.path(name, key), "");
    }
}

/// Rules N140 and N182 for an address that stands in the profile.
fn other_end(view: &ProfileView<'_>, name: &str, shared: &SharedAddress, findings: &mut Findings) {
    let SharedAddress { address, peer, scope, .. } = *shared;
    if let Some(peer) = peer {
        let one = IpNet::from(address.addr());
        let text = if peer.is_ipv4() != address.addr().is_ipv4() {
            format!("{address} on {name} and its peer {peer} have different address families")
        } else if peer == address.addr() {
            format!("{address} on {name} is its own peer")
        } else if address != one {
            format!("{address} on {name} has a peer, so it takes no prefix: write {one}")
        } else {
            String::new()
        };
        if !text.is_empty() {
            findings.error("N140", view.at(name, "addresses"), text);
        }
    }
    if let Some(scope) = scope.filter(|_| address.addr().is_ipv6()) {
        let text = format!(
            "{address} on {name} has scope {scope}; the scope of an IPv6 address follows from \
             the address"
        );
        findings.error("N182", view.at(name, "addresses"), text);
    }
}

/// Rule N150: with a peer, the subnet's router is not on the link unless it is that peer.
fn router(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let peer = link.layer3.borne.iter().find_map(|borne| borne.known_peer());
    let Some(peer) = peer else { return };
    for gateway in link.layer3.gateways.iter().filter(|one| !reaches(view, link, **one)) {
        let text = format!(
            "gateway {gateway} is unreachable: {} reaches only its peer {peer} (networkd would \
             wait for ever, without an error); make the gateway the peer, or set default-route: \
             false",
            link.name
        );
        findings.error("N150", view.at(&link.name, "peer-number"), text);
        findings.suggest(view.path(&link.name, "default-route"), false);
    }
}

/// Rule N182: a NIC has a MAC; a VRF needs none, and an IPVLAN has that of its NIC.
fn chooser(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let Some(policy) = link.settings.mac_policy() else { return };
    let why = match link.kind {
        Kind::Nic(_) => "a NIC has its own MAC",
        Kind::Loopback | Kind::Vrf(_) => "its packets never reach a wire",
        Kind::Ipvlan(_) => "an IPVLAN uses the MAC address of the link below it",
        _ => return,
    };
    let text = format!("{}: macaddress {policy} has no effect: {why}", link.name);
    findings.error("N182", view.at(&link.name, "macaddress"), text);
    findings.suggest(view.path(&link.name, "macaddress"), "");
}

/// Rule N117: who asks DHCP by a MAC that no NIC has is unknown to the server.
fn stranger(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let usual = match view.network.defaults {
        Defaults::Safe => MacPolicy::Inherit,
        Defaults::Verbatim => MacPolicy::Persistent,
    };
    let is_hashed =
        link.mac.is_none() && link.settings.mac_policy().unwrap_or(usual) == MacPolicy::Persistent;
    let has_nics = matches!(link.kind, Kind::Bond(_) | Kind::Bridge(_));
    if !(is_hashed && has_nics && link.settings.dhcp4) {
        return;
    }
    let text = format!(
        "{} uses DHCP with a MAC address that networkd derives from its name, so the server \
         would not recognise the host; set macaddress: inherit",
        link.name
    );
    findings.warn("N117", view.at(&link.name, "macaddress"), text);
    findings.suggest(view.path(&link.name, "macaddress"), MacPolicy::Inherit);
}
