//! Rules about bonds: members, monitoring, and which parameter fits which mode. Pure.

use super::{Findings, ProfileView};
use crate::model::{BondMode, BondSpec, Defaults, Millis};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for (name, bond) in &view.profile.bonds {
        members(view, name, bond, findings);
        modes(view, name, bond, findings);
        bounds(view, name, bond, findings);
        monitoring(view, name, bond, findings);
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
    const BY_HASH: &str = "balance-xor, 802.3ad and balance-tlb";
    const BY_LOAD: &str = "balance-tlb and balance-alb";
    const WITH_PRIMARY: &str = "active-backup, balance-tlb and balance-alb";
    let (lacp, backup) = (bond.mode == BondMode::Lacp, bond.mode == BondMode::ActiveBackup);
    let (in_turn, tlb) = (bond.mode == BondMode::BalanceRr, bond.mode == BondMode::BalanceTlb);
    let by_load = tlb || bond.mode == BondMode::BalanceAlb;
    let (hashes, primary) = (bond.mode.chooses_by_hash(), bond.mode.has_primary());
    let cases = [
        ("lacp-rate", bond.lacp_rate.is_some(), lacp, "802.3ad"),
        ("ad-select", bond.ad_select.is_some(), lacp, "802.3ad"),
        ("ad-actor-system-priority", bond.ad_actor_system_priority.is_some(), lacp, "802.3ad"),
        ("ad-actor-system", bond.ad_actor_system.is_some(), lacp, "802.3ad"),
        ("ad-user-port-key", bond.ad_user_port_key.is_some(), lacp, "802.3ad"),
        ("transmit-hash-policy", bond.transmit_hash_policy.is_some(), hashes, BY_HASH),
        ("primary", bond.primary.is_some(), primary, WITH_PRIMARY),
        ("primary-reselect-policy", bond.primary_reselect_policy.is_some(), primary, WITH_PRIMARY),
        ("fail-over-mac-policy", bond.fail_over_mac_policy.is_some(), backup, "active-backup"),
        ("gratuitous-arp", bond.gratuitous_arp.is_some(), backup, "active-backup"),
        ("peer-notify-delay", bond.peer_notify_delay.is_some(), backup, "active-backup"),
        ("packets-per-member", bond.packets_per_member.is_some(), in_turn, "balance-rr"),
        ("learn-packet-interval", bond.learn_packet_interval.is_some(), by_load, BY_LOAD),
        ("dynamic-load-balancing", bond.dynamic_load_balancing.is_some(), tlb, "balance-tlb"),
    ];
    for (key, given, fits, modes) in cases {
        if given && !fits {
            let text = format!("{name}: {key} is only for {modes} (mode is {})", bond.mode);
            findings.error("N124", view.at(name, key), text);
            findings.suggest(view.path(name, key), "");
        }
    }
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

fn by_arp(view: &ProfileView<'_>, name: &str, bond: &BondSpec, findings: &mut Findings) {
    let at = || view.at(name, "arp-interval");
    if bond.mii_monitor.is_some() {
        let text = format!("{name}: mii-monitor and arp-interval are mutually exclusive; set one");
        findings.error("N125", at(), text);
        findings.suggest(view.path(name, "arp-interval"), "");
    }
    if matches!(bond.mode, BondMode::Lacp | BondMode::BalanceTlb | BondMode::BalanceAlb) {
        let text = format!("{name}: {} cannot be monitored by ARP; use mii-monitor", bond.mode);
        findings.error("N125", at(), text);
        findings.suggest(view.path(name, "arp-interval"), "");
        findings.suggest(view.path(name, "mii-monitor"), Millis(100));
    }
}
