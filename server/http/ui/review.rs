//! What a change does to the generated files, told before it is made. Pure.

use std::collections::BTreeSet;

use super::difference::{Line, lines};
use crate::model::Site;
use crate::network::{Format, RenderError, allocate, render_host};

/// Hosts whose files change in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Their names.
    pub hosts: Vec<String>,
    /// What differs, each file under a line with its name.
    pub lines: Vec<Line>,
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
pub fn rendered(before: &Site, after: &Site) -> Vec<Group> {
    let (before, after) = (with_addresses(before), with_addresses(after));
    let mut groups: Vec<Group> = Vec::new();
    let names: BTreeSet<&String> = before.hosts.keys().chain(after.hosts.keys()).collect();
    for name in names {
        let (old, new) = (files(&before, name), files(&after, name));
        if old == new {
            continue;
        }
        let lines = differing(&old, &new);
        match groups.iter_mut().find(|group| group.lines == lines) {
            Some(group) => group.hosts.push(name.clone()),
            None => groups.push(Group { hosts: vec![name.clone()], lines }),
        }
    }
    groups
}

/// The site with the addresses that the inventory would give.
fn with_addresses(site: &Site) -> Site {
    let mut complete = site.clone();
    for given in allocate(site) {
        if let Some(host) = complete.hosts.get_mut(&given.host) {
            host.addresses.insert(given.link, given.address);
        }
    }
    complete
}

/// A host's files by name; instead of them one line that says why there are none.
fn files(site: &Site, name: &str) -> Vec<(String, String)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn site(vlan: u16) -> Site {
        serde_json::from_value(serde_json::json!({
            "subnets": {"internal": {"cidr": "10.0.0.0/24", "vlan": vlan, "ranges": [{"from": "10.0.0.10", "to": "10.0.0.20", "for": "hosts"}]}},
            "profiles": {"p": {"vlans": {"v": {"link": "eth0", "subnet": "internal"}}}},
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
        let groups = rendered(&site(500), &site(501));
        assert_eq!(groups.len(), 1, "{groups:?}");
        assert_eq!(groups[0].hosts, ["a", "b"]);
        let text: Vec<&str> = groups[0].lines.iter().map(|line| line.text.as_str()).collect();
        assert!(text.contains(&"- Id=500") && text.contains(&"+ Id=501"), "{text:?}");
        assert!(rendered(&site(500), &site(500)).is_empty());
    }

    #[test]
    fn many_hosts_are_counted() {
        let hosts = (0..40).map(|n| format!("n{n}")).collect();
        let group = Group { hosts, lines: Vec::new() };
        assert!(group.some_hosts().ends_with("n7 and 32 more"));
    }
}
