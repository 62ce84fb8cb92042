//! What a change of the site does to the network of its hosts, told before it is made. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::Serialize;

use super::difference::{Line, lines};
use super::fabric::{FabricError, render_switch};
use super::links::HostNetwork;
use super::{Format, RenderError, layout, render_host};
use crate::model::Host;
use crate::profile::ResolvedSite;

/// What a change does to the generated files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Consequences {
    /// To those of hosts.
    pub hosts: Vec<Group>,
    /// To those of switches.
    pub switches: Vec<SwitchChange>,
}

/// A switch whose configuration changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct SwitchChange {
    /// Its name.
    pub switch: String,
    /// What differs in its configuration.
    pub lines: Vec<Line>,
}

/// Hosts whose files change in the same way.
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
}

impl Consequences {
    /// How many hosts get other files.
    pub fn host_count(&self) -> usize {
        self.hosts.iter().map(|group| group.hosts.len()).sum()
    }
}

impl Group {
    /// The first few hosts by name.
    pub fn some_hosts(&self) -> String {
        const NAMED: usize = 8;
        let named = self.hosts.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        match self.hosts.len().saturating_sub(NAMED) {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

/// The differences of the files of all hosts between two sites, the same ones together.
pub fn consequences(before: &ResolvedSite, after: &ResolvedSite) -> Consequences {
    let same_networks = before.has_networks_of(after);
    let mut groups: Vec<Group> = Vec::new();
    let names: BTreeSet<&String> = before.hosts.keys().chain(after.hosts.keys()).collect();
    for name in names {
        if same_networks && before.hosts.get(name) == after.hosts.get(name) {
            continue;
        }
        let (old, new) = (files(before, name), files(after, name));
        if old == new {
            continue;
        }
        let is_new = old.is_empty();
        let facts = differing_facts(&facts(before, name), &facts(after, name));
        let lines = differing(&old, &new);
        let same = |group: &&mut Group| group.lines == lines && group.facts == facts;
        match groups.iter_mut().find(same) {
            Some(group) => group.hosts.push(name.clone()),
            None => groups.push(Group { hosts: vec![name.clone()], is_new, facts, lines }),
        }
    }
    Consequences { hosts: groups, switches: switches(before, after) }
}

/// The switches whose configuration differs.
fn switches(before: &ResolvedSite, after: &ResolvedSite) -> Vec<SwitchChange> {
    if before == after {
        return Vec::new();
    }
    let names: BTreeSet<&String> = before.switches.keys().chain(after.switches.keys()).collect();
    let text = |site: &ResolvedSite, name: &str| match render_switch(site, name) {
        Ok(text) => text,
        Err(FabricError::UnknownSwitch { .. }) => String::new(),
        Err(error) => format!("{error}\n"),
    };
    let changes = names.into_iter().map(|name| {
        let lines = lines(&text(before, name), &text(after, name), 2);
        SwitchChange { switch: name.clone(), lines }
    });
    changes.filter(|change| !change.lines.is_empty()).collect()
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
type Facts = BTreeMap<String, String>;

fn facts(site: &ResolvedSite, name: &str) -> Facts {
    let host = site.hosts.get(name);
    let mut facts = network_facts(&layout(site, name));
    for (subnet, address) in host.into_iter().flat_map(|host: &Host| &host.reservations) {
        facts.insert(format!("DHCP on {subnet}"), address.to_string());
    }
    facts
}

fn network_facts(network: &HostNetwork) -> Facts {
    let mut facts = Facts::new();
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

fn differing_facts(before: &Facts, after: &Facts) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let told =
        |facts: &Facts, name: &str| facts.get(name).cloned().unwrap_or_else(|| "none".into());
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
    fn many_hosts_are_counted() {
        let hosts = (0..40).map(|n| format!("n{n}")).collect();
        let group = Group { hosts, is_new: false, facts: Vec::new(), lines: Vec::new() };
        assert!(group.some_hosts().ends_with("n7 and 32 more"));
    }
}
