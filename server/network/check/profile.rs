//! Rules about how the links of a profile are built on each other. Pure.

use std::collections::{BTreeMap, HashMap};

use super::subnet::VLAN_IDS;
use super::{Findings, ProfileView};
use crate::model::{ActivationMode, VlanProtocol, check_link_name, tenant_role};
use crate::network::links::{Kind, Link, Role};
use crate::network::nearest;

/// Names that another program on the host would fight over.
const CONTESTED: [(&str, &str); 3] = [
    ("virbr0", "libvirt's default NAT bridge"),
    ("docker0", "Docker's default bridge"),
    ("lo", "the kernel's loopback"),
];

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    names(view, findings);
    subnets(view, findings);
    masters(view, findings);
    rings(view, findings);
    for link in view.network.links.values() {
        if let Kind::Vlan { parent, id, .. } = &link.kind {
            vlan(view, link, parent, *id, findings);
        }
        member(view, link, findings);
        out_of_service(view, link, findings);
    }
    vlan_ids(view, findings);
}

fn names(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut sections: HashMap<&str, &str> = HashMap::new();
    for link in view.profile.links() {
        if let Some(other) = sections.insert(link.name, link.section) {
            let text = format!(
                "two links are named \"{}\", in {other} and in {}; names must be unique within a host",
                link.name, link.section
            );
            findings.error("N102", view.at(link.name, ""), text);
        }
    }
    for (name, link) in &view.network.links {
        if let Err(error) = check_link_name(name) {
            findings.error("N101", view.at(name, ""), error.to_string());
        }
        let contested = CONTESTED.iter().find(|(other, _)| other == name);
        if let Some((_, whose)) = contested.filter(|_| !link.is_found()) {
            let text = format!("\"{name}\" is {whose}; both would compete for the name");
            findings.warn("N103", view.at(name, ""), text);
        }
    }
}

fn subnets(view: &ProfileView<'_>, findings: &mut Findings) {
    for (link, subnet) in view.profile.subnets() {
        if !view.site.subnets.contains_key(subnet) {
            let hint = nearest::hint(subnet, view.site.subnets.keys().map(String::as_str));
            let text = format!("subnet \"{subnet}\" does not exist{hint}");
            findings.error("N180", view.at(link, "subnet"), text);
            let names = view.site.subnets.keys().map(String::as_str);
            if let Some(nearest) = nearest::nearest(subnet, names) {
                let settings = view.profile.links().find(|other| other.name == link);
                let is = |own: &Option<String>| own.as_deref() == Some(subnet);
                let key = settings.and_then(|link| match () {
                    () if is(&link.settings.subnet) => Some("subnet"),
                    () if is(&link.settings.subnet6) => Some("subnet6"),
                    () => None,
                });
                if let Some(key) = key {
                    findings.suggest(view.path(link, key), nearest);
                }
            }
        }
    }
}

/// Roles that no subnet has. Where only this tenant has none, rule N191 reports its hosts.
pub(super) fn roles(view: &ProfileView<'_>, findings: &mut Findings) {
    let known = || view.site.subnets.values().filter_map(|subnet| subnet.role.as_deref());
    let subnets = view.profile.subnets().map(|named| (named, "subnet"));
    let vlans = view.profile.vlan_subnets().map(|named| (named, "id"));
    for ((link, subnet), key) in subnets.chain(vlans) {
        let Some(role) = tenant_role(subnet) else { continue };
        if !known().any(|known| known == role) {
            let hint = nearest::hint(role, known());
            let text = format!("no subnet has the role \"{role}\"{hint}");
            findings.error("N180", view.at(link, key), text);
        }
    }
}

/// Rule N120: a link can be in one bond, bridge or VRF, once, and not in itself.
fn masters(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (master, key, members) in view.profile.masters() {
        for member in members {
            let text = match taken.insert(member, master) {
                Some(other) if other == master => format!("{member} is in {master} twice"),
                Some(other) => {
                    format!("{member} is in {other} and in {master}; it can be in only one")
                }
                None => continue,
            };
            findings.error("N120", view.at(master, key), text);
        }
    }
    for (name, bond) in &view.profile.bonds {
        for member in bond.nics.iter().filter(|member| view.profile.makes(member)) {
            let text = format!("{member} is not a NIC; a bond takes only NICs as members");
            findings.error("N120", view.at(name, "nics"), text);
        }
    }
}

/// Rule N120: links that are built on each other in a ring. What is built on nothing is taken
/// away until nothing can be; what is left is, or is built on, a ring.
fn rings(view: &ProfileView<'_>, findings: &mut Findings) {
    let network = &view.network;
    let mut left: BTreeMap<&str, &Link> =
        network.links.iter().map(|(name, link)| (name.as_str(), link)).collect();
    loop {
        let before = left.len();
        let still = left.clone();
        left.retain(|_, link| {
            network.below(link).any(|lower| still.contains_key(lower.name.as_str()))
        });
        if left.len() == before {
            break;
        }
    }
    let Some(mut link) = left.values().next().copied() else { return };
    let mut path: Vec<&str> = Vec::new();
    while !path.contains(&link.name.as_str()) {
        path.push(&link.name);
        let lower = network.below(link).find(|lower| left.contains_key(lower.name.as_str()));
        let Some(lower) = lower else { return };
        link = lower;
    }
    let start = path.iter().position(|name| *name == link.name).unwrap_or(0);
    let ring = [&path[start..], &[link.name.as_str()]].concat().join(" -> ");
    findings.error("N120", view.at(&link.name, ""), format!("links form a loop: {ring}"));
}

fn vlan(
    view: &ProfileView<'_>,
    link: &Link,
    parent: &str,
    id: Option<u16>,
    findings: &mut Findings,
) {
    match id {
        None => {
            findings.error("N110", view.at(&link.name, "id"), without_id(view, link));
        }
        Some(id) if !VLAN_IDS.contains(&id) => {
            let text = format!("{}: VLAN id {id} is outside 1-4094", link.name);
            findings.error("N110", view.at(&link.name, "id"), text);
        }
        Some(_) => {}
    }
    let bond = view.network.links.get(parent).and_then(|parent| parent.master.as_deref());
    if let Some(bond) = bond.filter(|bond| view.profile.bonds.contains_key(*bond)) {
        let text = format!(
            "{}: its parent {parent} is a member of {bond}, which takes all its packets; put the VLAN on {bond}",
            link.name
        );
        findings.error("N112", view.at(&link.name, "link"), text);
        findings.suggest(view.path(&link.name, "link"), bond);
    }
}

/// Why a VLAN has no id.
fn without_id(view: &ProfileView<'_>, link: &Link) -> String {
    let of_subnet = view.profile.vlan_subnets().find(|(name, _)| *name == link.name);
    let names = || view.site.subnets.keys().map(String::as_str);
    match of_subnet {
        Some((name, subnet)) if view.site.subnets.contains_key(subnet) => {
            format!("{name} has no VLAN id: subnet \"{subnet}\" has none")
        }
        Some((name, subnet)) => format!(
            "{name} has no VLAN id: subnet \"{subnet}\" does not exist{}",
            nearest::hint(subnet, names())
        ),
        None => format!("{} has no VLAN id: set id, or a subnet that has one", link.name),
    }
}

/// Rule N120: what other links stand on has to be up, and networkd's.
fn out_of_service(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let mut above = view.network.above(link).filter(|upper| !matches!(upper.kind, Kind::Vrf(_)));
    let Some(upper) = above.next() else { return };
    let nic = link.nic.as_ref();
    let (key, why) = if nic.is_some_and(|nic| nic.driver_override.is_some()) {
        ("driver-override", "bound to another driver and no link of the kernel")
    } else if view.network.is_of_unit(link) {
        // Rules N230 and N232 say what it may be.
        return;
    } else if link.role == Role::Unmanaged {
        ("unmanaged", "unmanaged, so networkd would not add it")
    } else if link.settings.activation_mode == Some(ActivationMode::Off) {
        ("activation-mode", "never brought up")
    } else {
        return;
    };
    let text = format!("{} needs {}, which is {why}; remove {key}", upper.name, link.name);
    findings.error("N120", view.at(&link.name, key), text);
    findings.suggest(view.path(&link.name, key), "");
}

/// Rule N111: one VLAN id of one protocol once on one parent, and not within itself or beside
/// the same VLAN without a tag.
fn vlan_ids(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut taken: HashMap<(&str, u16, VlanProtocol), &str> = HashMap::new();
    for link in view.network.links.values() {
        let Kind::Vlan { parent, id: Some(id), protocol, .. } = &link.kind else { continue };
        if let Some(other) = taken.insert((parent, *id, *protocol), &link.name) {
            let text = format!("{other} and {} are both VLAN {id} on {parent}", link.name);
            findings.error("N111", view.at(&link.name, "id"), text);
        }
        if let Some(outer) = outer_vlan(view, parent, *id, *protocol) {
            let text = format!("{} is VLAN {id} inside VLAN {id} of {}", link.name, outer.name);
            findings.error("N111", view.at(&link.name, "id"), text);
        }
        let untagged = view.network.links.get(parent).and_then(|parent| {
            let vlan = |name: &String| view.site.subnets.get(name)?.vlan;
            let borne = |link: &Link| {
                let native =
                    link.layer3.borne.iter().find(|borne| vlan(&borne.subnet) == Some(*id));
                native.map(|borne| borne.subnet.clone())
            };
            borne(parent).or_else(|| view.network.owner(parent).and_then(borne))
        });
        if let Some(subnet) = untagged.filter(|_| *protocol == VlanProtocol::default()) {
            let text = format!(
                "{} is VLAN {id} on {parent}, which carries subnet \"{subnet}\" of the same VLAN without \
                 a tag: the switch sends it one way or the other",
                link.name
            );
            findings.error("N111", view.at(&link.name, "id"), text);
        }
    }
}

/// A link below `parent`, or itself, that adds the same tag. What a tunnel carries is a network
/// of its own.
fn outer_vlan<'a>(
    view: &'a ProfileView<'_>,
    parent: &str,
    id: u16,
    protocol: VlanProtocol,
) -> Option<&'a Link> {
    let mut left: Vec<&Link> = view.network.links.get(parent).into_iter().collect();
    // A ring of links is found by its bound.
    for _ in 0..=view.network.links.len() {
        let below = left.pop()?;
        match below.kind {
            Kind::Vlan { id: Some(theirs), protocol: its, .. }
                if (theirs, its) == (id, protocol) =>
            {
                return Some(below);
            }
            Kind::Vxlan { .. }
            | Kind::Tunnel { .. }
            | Kind::Wireguard { .. }
            | Kind::Macsec { .. } => {}
            _ => left.extend(view.network.below(below)),
        }
    }
    None
}

/// Rule N121: what is in a bond or bridge has no address of its own.
fn member(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let Some(owner) = view.network.owner(link) else { return };
    let (layer3, settings) = (&link.layer3, &link.settings);
    let what = if let Some(borne) = layer3.borne.first() {
        format!("an address of subnet \"{}\"", borne.subnet)
    } else if let Some(shared) = layer3.shared.first() {
        shared.address.to_string()
    } else if settings.dhcp4 || settings.dhcp6 {
        "DHCP".into()
    } else if settings.accept_ra == Some(true) {
        "router advertisements".into()
    } else if !layer3.routes.is_empty() || !layer3.rules.is_empty() {
        "a route or rule".into()
    } else {
        return;
    };
    let text = format!(
        "{what} on {} is lost, because it is in {owner}; move it to {owner}",
        link.name,
        owner = owner.name
    );
    findings.error("N121", view.at(&link.name, ""), text);
}
