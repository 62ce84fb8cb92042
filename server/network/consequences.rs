//! What a change of the site does to the network of its hosts, told before it is made. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;

use serde::Serialize;

use super::difference::{Line, lines};
use super::links::HostNetwork;
use super::own_values::{OwnValue, OwnValues, Side};
use super::switch_changes::{SwitchChange, switch_changes};
use super::{Format, RenderError, layout, render_host};
use crate::model::{Host, some_names};
use crate::profile::ResolvedSite;

/// What a change does to the generated files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Consequences {
    /// To those of hosts.
    pub hosts: Vec<Group>,
    /// To those of switches.
    pub switches: Vec<SwitchChange>,
}

/// Hosts whose files change in the same way, but for what is each host's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Group {
    /// Their names.
    pub hosts: Vec<String>,
    /// Whether they are new, or new to having files.
    pub is_new: bool,
    /// What differs of their network in words, such as `VLAN of vlan500: 500 -> 501`.
    pub facts: Vec<String>,
    /// What differs, each file under a line with its name.
    pub lines: Vec<Line>,
    /// The values that stand in braces in `facts` and `lines`, since each host has its own; none
    /// where the hosts change alike to the letter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub own_values: Vec<OwnValue>,
}

impl Consequences {
    /// How many hosts get other files.
    pub fn host_count(&self) -> usize {
        self.hosts.iter().map(|group| group.hosts.len()).sum()
    }

    /// How many switches get another configuration.
    pub fn switch_count(&self) -> usize {
        self.switches.iter().map(|change| change.switches.len()).sum()
    }
}

impl Group {
    /// The first few hosts by name.
    pub fn some_hosts(&self) -> String {
        some_names(&self.hosts)
    }
}

/// The differences of the files of all hosts between two sites, the same ones together.
pub fn consequences(before: &ResolvedSite, after: &ResolvedSite) -> Consequences {
    let names: BTreeSet<&String> = before.hosts.keys().chain(after.hosts.keys()).collect();
    let hosts = host_groups(before, after, names.into_iter());
    Consequences { hosts, switches: switch_changes(before, after) }
}

/// The difference of the files of one host between two sites.
pub fn host_consequences(before: &ResolvedSite, after: &ResolvedSite, host: &str) -> Vec<Group> {
    host_groups(before, after, std::iter::once(&host.to_owned()))
}

fn host_groups<'a>(
    before: &ResolvedSite,
    after: &ResolvedSite,
    names: impl Iterator<Item = &'a String>,
) -> Vec<Group> {
    let same_networks = before.has_networks_of(after);
    let mut grouping = Grouping::default();
    for name in names {
        if same_networks && before.hosts.get(name) == after.hosts.get(name) {
            continue;
        }
        let (old, new) = (files(before, name), files(after, name));
        if old == new {
            continue;
        }
        let networks = (layout(before, name), layout(after, name));
        let old_side = Side { name, host: before.hosts.get(name), network: &networks.0 };
        let new_side = Side { name, host: after.hosts.get(name), network: &networks.1 };
        let facts = differing_facts(&facts(&old_side), &facts(&new_side));
        let own = OwnValues::of(&old_side, &new_side);
        let group = Group {
            hosts: vec![name.clone()],
            is_new: old.is_empty(),
            facts,
            lines: differing(&old, &new),
            own_values: Vec::new(),
        };
        grouping.add(group, &own);
    }
    grouping.finish()
}

/// Groups that grow host by host.
#[derive(Default)]
struct Grouping {
    groups: Vec<Growing>,
    by_change: HashMap<GenericChange, usize>,
}

/// What hosts of one group have in common: whether they are new, facts and lines.
type GenericChange = (bool, Vec<String>, Vec<Line>);

struct Growing {
    /// With the first host's own values.
    group: Group,
    /// The values that the others have otherwise.
    own_values: Vec<OwnValue>,
    change: GenericChange,
    /// Whether all hosts are alike to the letter.
    is_uniform: bool,
}

impl Grouping {
    fn add(&mut self, single: Group, own: &OwnValues) {
        let facts = single.facts.iter().map(|fact| own.generic(fact)).collect();
        let change: GenericChange = (single.is_new, facts, own.generic_lines(&single.lines));
        if let Some(index) = self.by_change.get(&change) {
            let Growing { group, is_uniform, .. } = &mut self.groups[*index];
            *is_uniform &= group.lines == single.lines && group.facts == single.facts;
            group.hosts.extend(single.hosts);
            return;
        }
        let (_, facts, lines) = &change;
        let texts = facts.iter().chain(lines.iter().map(|line| &line.text)).map(String::as_str);
        let own_values = own.named_in(texts);
        self.by_change.insert(change.clone(), self.groups.len());
        self.groups.push(Growing { group: single, own_values, change, is_uniform: true });
    }

    fn finish(self) -> Vec<Group> {
        let group = |growing: Growing| {
            let Growing { group, own_values, change: (_, facts, lines), is_uniform } = growing;
            if is_uniform { group } else { Group { facts, lines, own_values, ..group } }
        };
        self.groups.into_iter().map(group).collect()
    }
}

/// A host's files by name; instead of them one line that says why there are none.
fn files(site: &ResolvedSite, name: &str) -> Vec<(String, String)> {
    match render_host(site, name, Format::Networkd) {
        Ok(files) => files.into_iter().map(|file| (file.path(), file.text)).collect(),
        Err(RenderError::UnknownHost { .. } | RenderError::NoProfile { .. }) => Vec::new(),
        Err(error) => vec![("no files".into(), format!("{error}\n"))],
    }
}

fn differing(old: &[(String, String)], new: &[(String, String)]) -> Vec<Line> {
    let text = |files: &[(String, String)], name: &str| {
        let found = files.iter().find(|(own, _)| own == name);
        found.map(|(_, text)| text.clone()).unwrap_or_default()
    };
    let names: BTreeSet<&String> = old.iter().chain(new).map(|(name, _)| name).collect();
    let mut all = Vec::new();
    for name in names {
        // Without lines around them, the differences of forty hosts are the same one.
        let lines = lines(&text(old, name), &text(new, name), 0);
        if !lines.is_empty() {
            all.push(Line { class: "file", text: name.clone() });
            all.extend(lines.into_iter().filter(|line| line.class != "gap"));
        }
    }
    all
}

/// What an operator would say of a host's network: each fact by its name.
type NamedFacts = BTreeMap<String, String>;

fn facts(side: &Side<'_>) -> NamedFacts {
    let mut facts = network_facts(side.network);
    for (subnet, address) in side.host.into_iter().flat_map(|host: &Host| &host.reservations) {
        facts.insert(format!("DHCP on {subnet}"), address.to_string());
    }
    facts
}

fn network_facts(network: &HostNetwork) -> NamedFacts {
    let mut facts = NamedFacts::new();
    for link in network.links.values() {
        let name = &link.name;
        let layer3 = &link.layer3;
        let told = [
            (format!("VLAN of {name}"), joined(link.vlan_id())),
            (format!("address of {name}"), joined(link.written().filter(|written| written.is_own))),
            (format!("router of {name}"), joined(&layer3.gateways)),
            (format!("DNS of {name}"), joined(&layer3.dns)),
            (format!("search domains of {name}"), joined(&layer3.domains)),
            (format!("MTU of {name}"), joined(link.settings.mtu)),
        ];
        facts.extend(told.into_iter().filter(|(_, value)| !value.is_empty()));
    }
    facts
}

fn joined<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    texts.join(", ")
}

fn differing_facts(before: &NamedFacts, after: &NamedFacts) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let told =
        |facts: &NamedFacts, name: &str| facts.get(name).cloned().unwrap_or_else(|| "none".into());
    differing
        .map(|name| format!("{name}: {} -> {}", told(before, name), told(after, name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(vlan: u16) -> ResolvedSite {
        serde_json::from_value(serde_json::json!({
            "subnets": {"internal": {"cidr": "10.0.0.0/24", "vlan": vlan}},
            "profiles": {"p": {"vlans": {"v": {"link": "eth0", "subnet": "internal", "dhcp4": true}}}},
            "hosts": {
                "a": {"profile": "p", "nics": {"eth0": "52:54:00:aa:00:01"}},
                "b": {"profile": "p", "nics": {"eth0": "52:54:00:aa:00:02"}},
                "c": {"nics": {"eth0": "52:54:00:aa:00:03"}},
            },
        }))
        .unwrap()
    }

    #[test]
    fn hosts_that_change_alike_are_told_together() {
        let groups = consequences(&site(500), &site(501)).hosts;
        assert_eq!(groups.len(), 1, "{groups:?}");
        assert_eq!(groups[0].hosts, ["a", "b"]);
        assert_eq!(groups[0].facts, ["VLAN of v: 500 -> 501"]);
        let text: Vec<&str> = groups[0].lines.iter().map(|line| line.text.as_str()).collect();
        assert!(text.contains(&"- Id=500") && text.contains(&"+ Id=501"), "{text:?}");
        assert_eq!(consequences(&site(500), &site(500)), Consequences::default());
    }

    #[test]
    fn what_is_each_hosts_own_keeps_no_hosts_apart() {
        let site = |last: [u8; 3], vlan: u16| -> ResolvedSite {
            let host = |nic: u8, last: u8| {
                serde_json::json!({
                    "profile": "p",
                    "nics": {"eth0": format!("52:54:00:aa:00:0{nic}")},
                    "addresses": {"v": format!("10.0.0.{last}")},
                })
            };
            serde_json::from_value(serde_json::json!({
                "subnets": {"internal": {"cidr": "10.0.0.0/24", "vlan": vlan}},
                "profiles": {"p": {"vlans": {"v": {"link": "eth0", "subnet": "internal"}}}},
                "hosts": {
                    "a": host(1, last[0]), "b": host(2, last[1]), "c": host(3, last[2]),
                },
            }))
            .unwrap()
        };
        // Each gets another address: one change, not three.
        let groups = consequences(&site([11, 12, 13], 5), &site([21, 22, 23], 5)).hosts;
        assert_eq!(groups.len(), 1, "{groups:?}");
        assert_eq!(groups[0].hosts, ["a", "b", "c"]);
        assert_eq!(groups[0].facts, ["address of v: {old address of v}/24 -> {address of v}/24"]);
        let own: Vec<_> = groups[0].own_values.iter().map(|it| it.value.as_str()).collect();
        assert_eq!(own, ["10.0.0.21", "10.0.0.11"], "{groups:?}");
        // One alone is told as it is.
        let groups = consequences(&site([11, 12, 13], 5), &site([21, 12, 13], 5)).hosts;
        assert_eq!(groups[0].facts, ["address of v: 10.0.0.11/24 -> 10.0.0.21/24"]);
        assert!(groups[0].own_values.is_empty());
        // New hosts are one group too, and an address that is nobody's own is kept.
        let groups = consequences(&ResolvedSite::default(), &site([11, 12, 13], 5)).hosts;
        assert_eq!(groups.len(), 1, "{groups:?}");
        assert!(groups[0].is_new);
    }

    #[test]
    fn many_hosts_are_counted() {
        let hosts = (0..40).map(|n| format!("n{n}")).collect();
        let (facts, lines, own_values) = Default::default();
        let group = Group { hosts, is_new: false, facts, lines, own_values };
        assert!(group.some_hosts().ends_with("n7 and 32 more"));
    }
}
