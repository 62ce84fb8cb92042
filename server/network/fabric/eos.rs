//! A switch's ports as Arista EOS configuration. Pure.
//!
//! Words of the EOS user manual (chapters Port Channels and LACP, MLAG, VLANs, Spanning Tree).

use std::fmt::Write as _;

use super::plan::{Lag, Lan, Port, PortPlan};

/// Seconds without LACP after which a port works alone: less than firmware waits for DHCP.
const FALLBACK_TIMEOUT: u32 = 5;

/// The configuration, to be merged into what the switch has.
pub(super) fn render(plan: &PortPlan<'_>) -> String {
    let mut text = format!("! {}: the ports of hosts\n", plan.name);
    let vlans = plan.vlans();
    if !vlans.is_empty() {
        let _ = writeln!(text, "vlan {}\n!", vlans);
    }
    for lag in &plan.lags {
        group(&mut text, lag);
    }
    for port in &plan.ports {
        single(&mut text, plan, port);
    }
    text
}

fn group(text: &mut String, lag: &Lag) {
    let _ = writeln!(text, "interface Port-Channel{}", lag.id);
    let _ = writeln!(text, "   description {} {}", lag.host, lag.bond);
    lan(text, &lag.lan);
    if lag.fallback {
        let _ = writeln!(text, "   port-channel lacp fallback timeout {FALLBACK_TIMEOUT}");
        text.push_str("   port-channel lacp fallback individual\n");
    }
    if lag.mlag {
        let _ = writeln!(text, "   mlag {}", lag.id);
    }
    text.push_str("   no shutdown\n!\n");
}

fn single(text: &mut String, plan: &PortPlan<'_>, port: &Port) {
    let _ = writeln!(text, "interface {}", port.name);
    let _ = writeln!(text, "   description {}", port.description());
    let lag = plan.lags.iter().find(|lag| Some(lag.id) == port.lag);
    // A member that has fallen back to itself carries what it says itself.
    if lag.is_none_or(|lag| lag.fallback) {
        lan(text, &port.lan);
    } else {
        let _ = writeln!(text, "   mtu {}", port.lan.mtu);
    }
    if let Some(lag) = lag {
        let mode = if lag.lacp_fast.is_some() { "active" } else { "on" };
        let _ = writeln!(text, "   channel-group {} mode {mode}", lag.id);
        if let Some(fast) = lag.lacp_fast {
            let _ = writeln!(text, "   lacp timer {}", if fast { "fast" } else { "normal" });
        }
    }
    text.push_str("   no shutdown\n!\n");
}

fn lan(text: &mut String, lan: &Lan) {
    let _ = writeln!(text, "   mtu {}", lan.mtu);
    text.push_str("   switchport\n");
    match (lan.native, lan.tagged.is_empty()) {
        (Some(id), true) => {
            let _ = writeln!(text, "   switchport mode access\n   switchport access vlan {id}");
        }
        (None, true) => text.push_str("   switchport mode access\n"),
        (native, false) => {
            match native {
                Some(id) => drop(writeln!(text, "   switchport trunk native vlan {id}")),
                // Untagged incoming packets belong to nobody.
                None => text.push_str("   switchport trunk native vlan tag\n"),
            }
            let _ = writeln!(text, "   switchport trunk allowed vlan {}", lan.vlans());
            text.push_str("   switchport mode trunk\n");
        }
    }
    text.push_str("   spanning-tree portfast\n");
    let guard = if lan.bpdu_guard { "enable" } else { "disable" };
    let _ = writeln!(text, "   spanning-tree bpduguard {guard}");
}
