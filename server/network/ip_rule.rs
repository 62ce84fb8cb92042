//! Policy rules in the words of `ip rule` (ip-rule(8)), which ifupdown2 and NetworkManager
//! take. Pure.

use super::links::HostNetwork;
use crate::model::{RuleSpec, RuleVerdict};

/// A rule of a host. What it says where the rule names no source is the caller's: each tool
/// wants that said in a way of its own.
pub(super) fn ip_rule(host: &HostNetwork, rule: &RuleSpec, from: Option<String>) -> String {
    let mask = rule.mask.map(|mask| format!("/{mask:#x}")).unwrap_or_default();
    let device = |name: &Option<String>| name.as_ref().map(|name| host.device(name).to_owned());
    let words = [
        ("from", from),
        ("to", rule.to.map(|net| net.to_string())),
        ("fwmark", rule.mark.map(|mark| format!("{mark:#x}{mask}"))),
        ("iif", device(&rule.incoming_interface)),
        ("oif", device(&rule.outgoing_interface)),
        ("tos", rule.tos.map(|tos| format!("{tos:#x}"))),
        ("uidrange", rule.users.map(|users| format!("{}-{}", users.first, users.last))),
        ("ipproto", rule.protocol.map(|protocol| protocol.to_string())),
        ("sport", rule.source_port.map(|ports| ports.to_string())),
        ("dport", rule.destination_port.map(|ports| ports.to_string())),
        ("table", (rule.verdict == RuleVerdict::Table).then(|| rule.table.to_string())),
        ("suppress_prefixlength", rule.suppress_prefix_length.map(|bits| bits.to_string())),
    ];
    let words = words.into_iter().filter_map(|(key, value)| Some(format!(" {key} {}", value?)));
    let not = if rule.invert { " not" } else { "" };
    let verdict = match rule.verdict {
        RuleVerdict::Table => String::new(),
        verdict => format!(" {verdict}"),
    };
    format!("priority {}{not}", rule.priority) + &words.collect::<String>() + &verdict
}
