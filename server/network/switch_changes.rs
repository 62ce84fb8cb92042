//! What a change does to the configurations of switches, equal changes together. Pure.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::difference::{Line, lines};
use super::fabric::{FabricError, render_switch};
use super::own_values::replace_words;
use crate::model::some_names;
use crate::profile::ResolvedSite;

/// Switches whose configuration changes in the same way, but for the names of ports and hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct SwitchChange {
    /// Their names.
    pub switches: Vec<String>,
    /// What differs. Of several switches: each stanza once, with `{port}`, `{host}` and `{switch}`
    /// for the names and how often a switch has it.
    pub lines: Vec<Line>,
}

impl SwitchChange {
    /// The first few switches by name.
    pub fn some_switches(&self) -> String {
        some_names(&self.switches)
    }
}

/// The switches whose configuration differs.
pub(super) fn switch_changes(before: &ResolvedSite, after: &ResolvedSite) -> Vec<SwitchChange> {
    if before == after {
        return Vec::new();
    }
    let names: BTreeSet<&String> = before.switches.keys().chain(after.switches.keys()).collect();
    let ports = PortNames::of([before, after]);
    let mut groups: Vec<(SwitchChange, Vec<Counted>)> = Vec::new();
    let mut by_change: HashMap<Vec<Counted>, usize> = HashMap::new();
    for name in names {
        let (old, new) = (text(before, name), text(after, name));
        if old == new {
            continue;
        }
        let change = counted(stanzas(&old, &new, |word| ports.generic(name, word)));
        if let Some(index) = by_change.get(&change) {
            groups[*index].0.switches.push(name.clone());
            continue;
        }
        by_change.insert(change.clone(), groups.len());
        let single = SwitchChange { switches: vec![name.clone()], lines: lines(&old, &new, 2) };
        groups.push((single, change));
    }
    let told = |(group, change): (SwitchChange, Vec<Counted>)| match group.switches.len() {
        1 => group,
        _ => SwitchChange { lines: change.into_iter().flat_map(Counted::lines).collect(), ..group },
    };
    groups.into_iter().map(told).collect()
}

fn text(site: &ResolvedSite, name: &str) -> String {
    match render_switch(site, name) {
        Ok(text) => text,
        Err(FabricError::UnknownSwitch { .. }) => String::new(),
        Err(error) => format!("{error}\n"),
    }
}

/// The names that differ from switch to switch.
struct PortNames<'a> {
    /// The ports of cables, by switch.
    ports: HashMap<&'a str, BTreeSet<&'a str>>,
    hosts: BTreeSet<&'a str>,
    switches: BTreeSet<&'a str>,
}

impl<'a> PortNames<'a> {
    fn of(sites: [&'a ResolvedSite; 2]) -> Self {
        let (mut ports, mut hosts, mut switches) =
            (HashMap::<_, BTreeSet<_>>::new(), BTreeSet::new(), BTreeSet::new());
        for site in sites {
            switches.extend(site.switches.keys().map(String::as_str));
            for (name, host) in &site.hosts {
                hosts.insert(name.as_str());
                for cable in host.nics.values().filter_map(|nic| nic.cable.as_ref()) {
                    ports.entry(cable.switch.as_str()).or_default().insert(cable.port.as_str());
                }
            }
        }
        Self { ports, hosts, switches }
    }

    fn generic(&self, switch: &str, word: &str) -> Option<String> {
        let is_port = |port: &str| self.ports.get(switch).is_some_and(|own| own.contains(port));
        if is_port(word) {
            return Some("{port}".into());
        }
        // Groups have numbers that follow from their ports.
        let lags = ["Port-Channel", "PortChannel", "bond"];
        let number = lags.iter().find_map(|lag| Some((lag, word.strip_prefix(lag)?)));
        if let Some((lag, number)) = number
            && number.parse::<u32>().is_ok()
        {
            return Some(format!("{lag}{{number}}"));
        }
        if self.hosts.contains(word) {
            return Some("{host}".into());
        }
        let name = if word == switch { "{switch}" } else { "{peer}" };
        self.switches.contains(word).then(|| name.into())
    }
}

/// The lines of one stanza that change, under the line that begins it.
type Stanza = Vec<Line>;

/// A stanza, and how often it is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Counted {
    stanza: Stanza,
    count: usize,
}

impl Counted {
    fn lines(self) -> Vec<Line> {
        let Self { stanza, count } = self;
        let heading = Line { class: "gap", text: format!("  {count} times on each:") };
        (count > 1).then_some(heading).into_iter().chain(stanza).collect()
    }
}

fn counted(stanzas: Vec<Stanza>) -> Vec<Counted> {
    let mut found: Vec<Counted> = Vec::new();
    let mut by_stanza: HashMap<Stanza, usize> = HashMap::new();
    for stanza in stanzas {
        match by_stanza.get(&stanza) {
            Some(index) => found[*index].count += 1,
            None => {
                by_stanza.insert(stanza.clone(), found.len());
                found.push(Counted { stanza, count: 1 });
            }
        }
    }
    found
}

/// The changed lines by stanza. A stanza is the last line before that is indented less.
fn stanzas(old: &str, new: &str, generic: impl Fn(&str) -> Option<String>) -> Vec<Stanza> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let diff = TextDiff::from_lines(old, new);
    let mut headings: Vec<String> = Vec::new();
    let mut last: Option<Option<String>> = None;
    let mut found: Vec<Stanza> = Vec::new();
    for change in diff.iter_all_changes() {
        let line = change.value().trim_end_matches('\n');
        headings.retain(|heading| indent(heading) < indent(line));
        let (class, mark) = match change.tag() {
            ChangeTag::Equal => ("same", ' '),
            ChangeTag::Delete => ("removed", '-'),
            ChangeTag::Insert => ("added", '+'),
        };
        if class != "same" {
            let heading = headings.last().cloned();
            let text = format!("{mark} {}", replace_words(line, &generic));
            if heading.is_none() || last.as_ref() != Some(&heading) {
                let above = heading.iter().map(|text| Line {
                    class: "same",
                    text: format!("  {}", replace_words(text, &generic)),
                });
                found.push(above.collect());
            }
            if let Some(stanza) = found.last_mut() {
                stanza.push(Line { class, text });
            }
            last = Some(heading);
        }
        headings.push(line.to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Racks of two hosts, each cabled to its rack's switch.
    fn site(racks: usize, vlan: u16) -> ResolvedSite {
        let (mut hosts, mut switches) = (serde_json::Map::new(), serde_json::Map::new());
        for rack in 1..=racks {
            switches.insert(format!("leaf{rack}"), serde_json::json!({"vendor": "eos"}));
            for unit in 1..=2 {
                let nic = serde_json::json!({
                    "mac": format!("52:54:00:aa:{rack:02x}:{unit:02x}"),
                    "switch": format!("leaf{rack}"),
                    "port": format!("Ethernet{}", unit + rack),
                });
                hosts.insert(
                    format!("r{rack}-n{unit}"),
                    serde_json::json!({"profile": "p", "nics": {"eth0": nic}}),
                );
            }
        }
        serde_json::from_value(serde_json::json!({
            "subnets": {"internal": {"cidr": "10.0.0.0/24", "vlan": vlan}},
            "profiles": {"p": {"vlans": {"v": {"link": "eth0", "subnet": "internal", "dhcp4": true}}}},
            "switches": switches,
            "hosts": hosts,
        }))
        .unwrap()
    }

    #[test]
    fn equal_changes_of_many_switches_are_one() {
        let changes = switch_changes(&site(9, 500), &site(9, 600));
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!(changes[0].switches.len(), 9);
        assert!(changes[0].some_switches().ends_with("leaf8 and 1 more"));
        let text: Vec<&str> = changes[0].lines.iter().map(|line| line.text.as_str()).collect();
        for line in [
            "- vlan 500",
            "+ vlan 600",
            "  2 times on each:",
            "  interface {port}",
            "-    switchport trunk allowed vlan 500",
            "+    switchport trunk allowed vlan 600",
        ] {
            assert!(text.contains(&line), "{line}: {text:#?}");
        }
    }

    #[test]
    fn one_switch_is_told_as_it_is() {
        let changes = switch_changes(&site(1, 500), &site(1, 600));
        assert_eq!(changes.len(), 1);
        let is_named = |line: &Line| line.text.contains("interface Ethernet2");
        assert!(changes[0].lines.iter().any(is_named), "{changes:?}");
    }
}
