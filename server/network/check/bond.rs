//! Rules about bonds: members, monitoring, and which parameter fits which mode. Pure.

use super::{Findings, ProfileView};
use crate::model::{BondMode, BondSpec, Defaults, Millis};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for (name, bond) in &view.profile.bonds {
        members(view, name, bond, findings);
        modes(view, name, bond, findings);
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
            "{name} needs {links} live members to be up and has {}; it would never be up",
            bond.nics.len()
        );
        findings.error("N127", view.at(name, "min-links"), text);
    }
    if let Some(primary) = bond.primary.as_ref().filter(|primary| !bond.nics.contains(primary)) {
        let hint = crate::network::nearest::hint(primary, bond.nics.iter().map(String::as_str));
        let text = format!("the primary \"{primary}\" is no member of {name}{hint}");
        findings.error("N180", view.at(name, "primary"), text);
    }
}

/// Rule N124: a parameter that the kernel ignores or refuses in this mode.
fn modes(view: &ProfileView<'_>, name: &str, bond: &BondSpec, findings: &mut Findings) {
    let lacp = bond.mode == BondMode::Lacp;
    let cases = [
        ("lacp-rate", bond.lacp_rate.is_some() && !lacp, "802.3ad"),
        (
            "transmit-hash-policy",
            bond.transmit_hash_policy.is_some() && !bond.mode.chooses_by_hash(),
            "balance-xor, 802.3ad and balance-tlb",
        ),
        (
            "primary",
            bond.primary.is_some() && !bond.mode.has_primary(),
            "active-backup, balance-tlb and balance-alb",
        ),
    ];
    for (key, wrong, modes) in cases {
        if wrong {
            let text = format!("{name}: {key} is only for {modes} (mode is {})", bond.mode);
            findings.error("N124", view.at(name, key), text);
        }
    }
}

/// Rules N125 and N126: a dead member must be noticed, and delays are counted in looks.
fn monitoring(view: &ProfileView<'_>, name: &str, bond: &BondSpec, findings: &mut Findings) {
    let monitor = match (bond.mii_monitor, view.profile.defaults) {
        (None, Defaults::Safe) => Millis(100),
        (None, Defaults::Verbatim) | (Some(Millis(0)), _) => {
            let text =
                format!("{name}: no link monitoring; a dead link would keep receiving traffic");
            return findings.error("N125", view.at(name, "mii-monitor"), text);
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
    }
}
