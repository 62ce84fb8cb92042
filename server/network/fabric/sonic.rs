//! A switch's ports as tables of SONiC's configuration database. Pure.
//!
//! Tables and fields of SONiC's configuration manual and YANG models (PORT, PORTCHANNEL,
//! VLAN, MCLAG, STP); for `config load FILE`, which merges.

use serde_json::{Map, Value, json};

use super::plan::{Lag, Lan, PortPlan};

/// The document, to be loaded onto what the switch has.
pub(super) fn render(plan: &PortPlan<'_>) -> String {
    let mut tables = Tables::default();
    for port in &plan.ports {
        let mtu = port.lan.mtu.to_string();
        let entry = json!({"admin_status": "up", "description": port.description(), "mtu": mtu});
        tables.set("PORT", &port.name, entry);
        if port.lag.is_none() {
            tables.set_lan(&port.name, &port.lan);
        }
    }
    for lag in &plan.lags {
        tables.set_lag(plan, lag);
    }
    let text = serde_json::to_string_pretty(&Value::Object(tables.0));
    // Keys are texts and numbers are finite: nothing can fail.
    text.unwrap_or_default() + "\n"
}

/// What a SONiC switch cannot be told.
pub(super) fn losses(plan: &PortPlan<'_>) -> Vec<String> {
    let by_hand = plan.lags.iter().filter(|lag| lag.lacp_fast.is_none());
    by_hand
        .map(|lag| format!("PortChannel{}: {} of {} without LACP", lag.id, lag.bond, lag.host))
        .collect()
}

#[derive(Default)]
struct Tables(Map<String, Value>);

impl Tables {
    fn set(&mut self, table: &str, key: &str, entry: Value) {
        let table = self.0.entry(table).or_insert_with(|| json!({}));
        table[key] = entry;
    }

    fn set_lag(&mut self, plan: &PortPlan<'_>, lag: &Lag) {
        let name = format!("PortChannel{}", lag.id);
        let word = |yes: bool| if yes { "true" } else { "false" };
        let entry = json!({
            "admin_status": "up",
            "mtu": lag.lan.mtu.to_string(),
            "min_links": "1",
            "lacp_key": "auto",
            "fallback": word(lag.fallback),
            "fast_rate": word(lag.lacp_fast == Some(true)),
        });
        self.set("PORTCHANNEL", &name, entry);
        for member in &lag.members {
            self.set("PORTCHANNEL_MEMBER", &format!("{name}|{member}"), json!({}));
        }
        if lag.mlag {
            let domain = plan.switch.mlag_domain.unwrap_or(1);
            let entry = json!({"if_type": "PortChannel"});
            self.set("MCLAG_INTERFACE", &format!("{domain}|{name}"), entry);
        }
        self.set_lan(&name, &lag.lan);
    }

    fn set_lan(&mut self, name: &str, lan: &Lan) {
        for id in lan.vlans().iter() {
            let vlan = format!("Vlan{id}");
            self.set("VLAN", &vlan, json!({"vlanid": id.to_string()}));
            let mode = if lan.native == Some(id) { "untagged" } else { "tagged" };
            let entry = json!({"tagging_mode": mode});
            self.set("VLAN_MEMBER", &format!("{vlan}|{name}"), entry);
        }
        let guard = if lan.bpdu_guard { "true" } else { "false" };
        let entry = json!({
            "enabled": "true",
            "portfast": "true",
            "bpdu_guard": guard,
            "bpdu_guard_do_disable": guard,
        });
        self.set("STP_PORT", name, entry);
    }
}
