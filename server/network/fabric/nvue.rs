//! A switch's ports as NVUE YAML for Cumulus Linux 5. Pure.
//!
//! Keys of the NVUE reference and the Cumulus Linux user guide (Bonding, LACP Bypass, MLAG,
//! VLAN-aware Bridge Mode, Spanning Tree); for `nv config patch FILE`.

use serde_json::{Map, Value, json};

use super::plan::{Lag, Lan, Port, PortPlan};
use crate::network::yaml;

/// The document, to be patched into what the switch has.
pub(super) fn render(plan: &PortPlan<'_>) -> String {
    let mut interfaces = Map::new();
    for port in &plan.ports {
        interfaces.insert(port.name.clone(), single(port));
    }
    for lag in &plan.lags {
        interfaces.insert(format!("bond{}", lag.id), group(lag));
    }
    let mut set = Map::new();
    let vlans = plan.vlans();
    if !vlans.is_empty() {
        let vlans = Map::from_iter([(vlans.to_string(), json!({}))]);
        set.insert("bridge".into(), json!({"domain": {"br_default": {"vlan": vlans}}}));
    }
    set.insert("interface".into(), interfaces.into());
    format!("# {}: the ports of hosts\n{}", plan.name, yaml::write(&json!([{"set": set}])))
}

fn single(port: &Port) -> Value {
    let mut interface = json!({
        "type": "swp",
        "description": port.description(),
        "link": {"mtu": port.lan.mtu, "state": {"up": {}}},
    });
    // A member of a bond carries what its bond does, with LACP and without.
    if port.lag.is_none() {
        interface["bridge"] = bridge(&port.lan);
    }
    interface
}

fn group(lag: &Lag) -> Value {
    let members: Map<String, Value> =
        lag.members.iter().map(|member| (member.clone(), json!({}))).collect();
    let mut bond = json!({"member": members});
    match lag.lacp_fast {
        Some(fast) => {
            bond["mode"] = "lacp".into();
            bond["lacp-rate"] = if fast { "fast" } else { "slow" }.into();
            bond["lacp-bypass"] = if lag.fallback { "on" } else { "off" }.into();
        }
        None => bond["mode"] = "static".into(),
    }
    if lag.mlag {
        bond["mlag"] = json!({"enable": "on", "id": lag.id});
    }
    json!({
        "type": "bond",
        "description": format!("{} {}", lag.host, lag.bond),
        "bond": bond,
        "link": {"mtu": lag.lan.mtu, "state": {"up": {}}},
        "bridge": bridge(&lag.lan),
    })
}

fn bridge(lan: &Lan) -> Value {
    let guard = if lan.bpdu_guard { "on" } else { "off" };
    let mut domain = json!({"stp": {"admin-edge": "on", "bpdu-guard": guard}});
    match (lan.native, lan.tagged.is_empty()) {
        (Some(id), true) => domain["access"] = id.into(),
        (native, _) => {
            domain["untagged"] = native.map_or_else(|| "none".into(), Value::from);
            let vlans: Map<String, Value> = match lan.tagged.is_empty() {
                true => Map::new(),
                false => Map::from_iter([(lan.vlans().to_string(), json!({}))]),
            };
            domain["vlan"] = vlans.into();
        }
    }
    json!({"domain": {"br_default": domain}})
}
