//! Rules about bonds: members, monitoring, and which parameter fits which mode. Pure.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::routes::connected;
use super::unmanaged::{OF_MEMBERS, keys};
use super::{Findings, ProfileView};
use crate::model::{BondMode, BondSpec, Defaults, Millis};
use crate::network::bond::{Parameter, parameters};
use crate::network::links::Kind;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for (name, bond) in &view.profile.bonds {
        members(view, name, bond, findings);
        modes(view, name, bond, findings);
        bounds(view, name, bond, findings);
        match bond.openvswitch {
            true => openvswitch(view, name, bond, findings),
            false => {
                monitoring(view, name, bond, findings);
                kernels(view, name, bond, findings);
            }
        }
    }
}

/// What a bond of Open vSwitch's own has.
const OF_OPENVSWITCH: &[&str] = &[
    "nics",
    "mode",
    "openvswitch",
    "lacp",
    "lacp-rate",
    "up-delay",
    "down-delay",
    "primary",
    "ad-actor-system",
    "ad-actor-system-priority",
    "mtu",
    "allow",
];

/// The modes that Open vSwitch has, and the kernel.
const MODES_OF_OPENVSWITCH: [BondMode; 3] =
    [BondMode::Lacp, BondMode::ActiveBackup, BondMode::BalanceSlb];

/// Rule N232: what the kernel's bonds do not have.
fn kernels(view: &ProfileView<'_>, name: &str, bond: &BondSpec, findings: &mut Findings) {
    let words = [("mode", bond.mode == BondMode::BalanceSlb), ("lacp", bond.lacp.is_some())];
    for (key, _) in words.into_iter().filter(|(_, used)| *used) {
        let text = match key {
            "mode" => {
                format!("{name}: balance-slb is a mode of Open vSwitch; set openvswitch: true")
            }
            _ => format!(
                "{name}: lacp is a word of Open vSwitch's bonds; remove it, or set openvswitch: true"
            ),
        };
        findings.error("N232", view.at(name, key), text);
    }
}

/// Rule N232: a bond of Open vSwitch's own is a port of one of its bridges, with what it has.
fn openvswitch(view: &ProfileView<'_>, name: &str, bond: &BondSpec, findings: &mut Findings) {
    let Some(link) = view.network.links.get(name) else { return };
    let owner = view.network.owner(link);
    let bridge = owner.filter(|owner| owner.is_openvswitch());
    match bridge.map(|bridge| (&bridge.name, &bridge.kind)) {
        None => {
            let text = format!(
                "{name} is a bond of Open vSwitch's own, and in no bridge of it: add it to the interfaces \
                 of a bridge with openvswitch: true"
            );
            findings.error("N232", view.at(name, "openvswitch"), text);
        }
        Some((bridge, Kind::Bridge(spec))) if spec.stp == Some(true) => {
            let text =
                format!("{bridge}: Open vSwitch runs no spanning tree on bonds, such as {name}");
            findings.error("N232", view.at(bridge, "stp"), text);
            findings.suggest(view.path(bridge, "stp"), false);
        }
        Some(_) => {}
    }
    if !MODES_OF_OPENVSWITCH.contains(&bond.mode) {
        let text = format!(
            "{name}: Open vSwitch has no mode {}: expected {}",
            bond.mode,
            listed(&MODES_OF_OPENVSWITCH)
        );
        findings.error("N232", view.at(name, "mode"), text);
    }
    if bond.nics.len() == 1 {
        let text = format!("{name}: a bond of Open vSwitch has two members at least");
        findings.error("N232", view.at(name, "nics"), text);
    }
    if bond.lacp.is_some() && bond.mode != BondMode::Lacp {
        let text = format!("{name}: lacp is only for 802.3ad (mode is {})", bond.mode);
        findings.error("N124", view.at(name, "lacp"), text);
        findings.suggest(view.path(name, "lacp"), "");
    }
    for key in keys(bond).into_iter().filter(|key| !OF_OPENVSWITCH.contains(&key.as_str())) {
        // Rule N121 says what a member has not.
        if OF_MEMBERS.contains(&key.as_str()) && owner.is_some() {
            continue;
        }
        let text = format!("{name} is a bond of Open vSwitch, which has no {key}");
        findings.error("N232", view.at(name, &key), text);
        findings.suggest(view.path(name, &key), "");
    }
}

fn members(view: &ProfileView<'_>, name: &str, bond: &BondSpec, findings: &mut Findings) {
    if bond.nics.is_empty() {
        findings.error("N122", view.at(name, "nics"), format!("{name} has no members"));
    } else if bond.nics.len() == 1 && matches!(bond.mode, BondMode::Lacp | BondMode::ActiveBackup) {
        let text = format!("{name}: {} with one member gives no redundancy", bond.mode);
        findings.warn("N122", view.at(name, "nics"), text);
    }
    if let Some(links) = bond.min_links.filter(|links| *links as usize > bond.nics.len()) {
        let text = format!(
            "{name} needs {links} live members and has {}; it would never come up",
            bond.nics.len()
        );
        findings.error("N127", view.at(name, "min-links"), text);
        findings.suggest(view.path(name, "min-links"), bond.nics.len());
    }
    if let Some(primary) = bond.primary.as_ref().filter(|primary| !bond.nics.contains(primary)) {
        let hint = crate::network::nearest::hint(primary, bond.nics.iter().map(String::as_str));
        let text = format!("primary \"{primary}\" is not a member of {name}{hint}");
        findings.error("N180", view.at(name, "primary"), text);
    }
}

/// Rule N124: a parameter that the kernel ignores or refuses in this mode.
fn modes(view: &ProfileView<'_>, name: &str, bond: &BondSpec, findings: &mut Findings) {
    for Parameter { key, modes, .. } in parameters(bond) {
        if !(modes.is_empty() || modes.contains(&bond.mode)) {
            let modes = listed(modes);
            let text = format!("{name}: {key} is only for {modes} (mode is {})", bond.mode);
            findings.error("N124", view.at(name, &key), text);
            findings.suggest(view.path(name, &key), "");
        }
    }
}

/// `balance-xor, 802.3ad and balance-tlb`.
fn listed(modes: &[BondMode]) -> String {
    let mut text = String::new();
    for (place, mode) in modes.iter().enumerate() {
        text += match place {
            0 => "",
            _ if place + 1 == modes.len() => " and ",
            _ => ", ",
        };
        text += mode.label();
    }
    text
}

/// Rule N128: values that the kernel refuses.
fn bounds(view: &ProfileView<'_>, name: &str, bond: &BondSpec, findings: &mut Findings) {
    let targets = bond.arp_ip_targets.len();
    let asks = bond.arp_validate.is_some()
        || bond.arp_all_targets.is_some()
        || bond.arp_missed_max.is_some();
    let cases = [
        (
            "ad-actor-system-priority",
            bond.ad_actor_system_priority == Some(0),
            "must be 1 to 65535",
        ),
        ("ad-user-port-key", bond.ad_user_port_key > Some(1023), "must be 0 to 1023"),
        (
            "ad-actor-system",
            bond.ad_actor_system.is_some_and(|mac| mac.is_multicast() || mac.is_zero()),
            "must be a unicast MAC",
        ),
        (
            "arp-interval",
            bond.arp_interval.is_none() && asks,
            "is not set; the other ARP settings have no effect without it",
        ),
        (
            "arp-ip-targets",
            bond.arp_interval.is_some() && !(1..=16).contains(&targets),
            "must be 1 to 16 addresses",
        ),
    ];
    for (key, wrong, why) in cases {
        if wrong {
            findings.error("N128", view.at(name, key), format!("{name}: {key} {why}"));
        }
    }
}

/// Rules N125 and N126: a dead member must be noticed, and delays are counted in looks.
fn monitoring(view: &ProfileView<'_>, name: &str, bond: &BondSpec, findings: &mut Findings) {
    if bond.arp_interval.is_some() {
        return by_arp(view, name, bond, findings);
    }
    let monitor = match (bond.mii_monitor, view.profile.defaults) {
        (None, Defaults::Safe) => Millis(100),
        (None, Defaults::Verbatim) | (Some(Millis(0)), _) => {
            let text =
                format!("{name}: no link monitoring; a dead link would keep receiving traffic");
            findings.error("N125", view.at(name, "mii-monitor"), text);
            return findings.suggest(view.path(name, "mii-monitor"), Millis(100));
        }
        (Some(monitor), _) => monitor,
    };
    for (key, delay) in [("up-delay", bond.up_delay), ("down-delay", bond.down_delay)] {
        let Some(delay) = delay.filter(|delay| delay.0 % monitor.0 != 0) else { continue };
        let used = Millis(delay.0 - delay.0 % monitor.0);
        let text = format!(
            "{name}: {key} {delay} is not a multiple of mii-monitor {monitor}; the kernel uses {used}"
        );
        findings.warn("N126", view.at(name, key), text);
        findings.suggest(view.path(name, key), Millis(used.0.max(monitor.0)));
    }
}

/// The prefixes that ARP reaches by a bond, through the links on it; none where one of them
/// learns its prefix from the wire.
fn arp_nets(view: &ProfileView<'_>, bond: &str) -> Option<Vec<IpNet>> {
    let (mut nets, mut left) = (Vec::new(), vec![view.network.links.get(bond)?]);
    // A ring of links is found by its bound.
    for _ in 0..=view.network.links.len() {
        let Some(link) = left.pop() else { break };
        if link.learns() {
            return None;
        }
        nets.extend(connected(view, link));
        left.extend(view.network.above(link).filter(|upper| !matches!(upper.kind, Kind::Vrf(_))));
    }
    Some(nets)
}

fn by_arp(view: &ProfileView<'_>, name: &str, bond: &BondSpec, findings: &mut Findings) {
    let at = || view.at(name, "arp-interval");
    if bond.mii_monitor.is_some() {
        let text = format!("{name}: mii-monitor and arp-interval are mutually exclusive; set one");
        findings.error("N125", at(), text);
        findings.suggest(view.path(name, "arp-interval"), "");
    }
    let targets = arp_nets(view, name);
    let is_outside = |target: &&Ipv4Addr| {
        targets
            .as_ref()
            .is_some_and(|nets| !nets.iter().any(|net| net.contains(&IpAddr::V4(**target))))
    };
    for target in bond.arp_ip_targets.iter().filter(is_outside) {
        let text = format!(
            "{name}: ARP target {target} is outside the subnets of {name} and of the links on it: it \
             would never answer, and {name} would stay down"
        );
        findings.error("N125", view.at(name, "arp-ip-targets"), text);
    }
    if matches!(bond.mode, BondMode::Lacp | BondMode::BalanceTlb | BondMode::BalanceAlb) {
        let text = format!("{name}: {} cannot be monitored by ARP; use mii-monitor", bond.mode);
        findings.error("N125", at(), text);
        findings.suggest(view.path(name, "arp-interval"), "");
        findings.suggest(view.path(name, "mii-monitor"), Millis(100));
    }
}
