//! What is a host's own in its files: its name, MACs and addresses. One change of forty hosts
//! differs between them in nothing else. Pure.

use std::collections::HashMap;

use serde::Serialize;

use super::difference::Line;
use super::links::HostNetwork;
use crate::model::{Host, NicAddress};

/// A value that stands as `{name}` in the lines of a group of hosts, as its first host has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
pub struct OwnValue {
    /// What it is, such as `address of br0`.
    pub name: String,
    /// The first host's.
    pub value: String,
}

/// The values that are one host's own, by their text.
#[derive(Debug, Default)]
pub(super) struct OwnValues(HashMap<String, String>);

/// A host on one side of a change.
pub(super) struct Side<'a> {
    pub name: &'a str,
    pub host: Option<&'a Host>,
    pub network: &'a HostNetwork,
}

impl OwnValues {
    /// Those of a host before and after a change. What it had before and has no more is `old`.
    pub(super) fn of(before: &Side<'_>, after: &Side<'_>) -> Self {
        let mut values = HashMap::new();
        let old: Vec<_> = own(before).collect();
        for (name, value) in old.into_iter().rev() {
            values.insert(value, format!("old {name}"));
        }
        let after: Vec<_> = own(after).collect();
        // The first name of a value stays, in the same order on every host.
        for (name, value) in after.into_iter().rev() {
            values.insert(value, name);
        }
        Self(values)
    }

    /// The text with the name of each own value in its place.
    pub(super) fn generic(&self, text: &str) -> String {
        replace_words(text, |word| self.0.get(word).map(|name| format!("{{{name}}}")))
    }

    pub(super) fn generic_lines(&self, lines: &[Line]) -> Vec<Line> {
        let line = |line: &Line| Line { class: line.class, text: self.generic(&line.text) };
        lines.iter().map(line).collect()
    }

    /// The values whose names these texts have.
    pub(super) fn named_in<'a>(
        &self,
        texts: impl Iterator<Item = &'a str> + Clone,
    ) -> Vec<OwnValue> {
        let is_named = |name: &str| texts.clone().any(|text| text.contains(&format!("{{{name}}}")));
        let named = self.0.iter().filter(|(_, name)| is_named(name));
        let mut values: Vec<OwnValue> = named
            .map(|(value, name)| OwnValue { name: name.clone(), value: value.clone() })
            .collect();
        values.sort_by(|a, b| a.name.cmp(&b.name));
        values
    }
}

/// Each own value with its name.
fn own<'a>(side: &'a Side<'_>) -> impl Iterator<Item = (String, String)> + 'a {
    let Side { name, host, network } = side;
    let nics = host.iter().flat_map(|host| &host.nics);
    let macs = nics.flat_map(|(label, nic)| mac_forms(label, nic.address));
    let links = network.links.values().flat_map(|link| {
        let mac = link.mac.map(|mac| (format!("MAC of {}", link.name), mac.to_string()));
        let own = link.written().filter(|written| written.is_own).enumerate();
        let addresses = own.map(|(index, written)| {
            let number = if index == 0 { String::new() } else { format!(" {}", index + 1) };
            (format!("address{number} of {}", link.name), written.address.addr().to_string())
        });
        mac.into_iter().chain(addresses.collect::<Vec<_>>())
    });
    let reserved = host.iter().flat_map(|host| &host.reservations);
    let reserved =
        reserved.map(|(subnet, address)| (format!("address on {subnet}"), address.to_string()));
    std::iter::once(("name".to_owned(), (*name).to_owned()))
        .chain(macs)
        .chain(links)
        .chain(reserved)
}

/// A MAC as files write it.
fn mac_forms(label: &str, address: NicAddress) -> [(String, String); 3] {
    let colons = address.to_string();
    let name = format!("MAC of {label}");
    [
        (name.clone(), colons.clone()),
        (name.clone(), colons.replace(':', "-")),
        (name, colons.replace(':', "")),
    ]
}

/// The text with some of its words replaced. A word is what is written together: `r1-n01`,
/// `10.0.0.1` of `10.0.0.1/24`, `52:54:00:aa:00:01`.
pub(super) fn replace_words(text: &str, replacement: impl Fn(&str) -> Option<String>) -> String {
    let is_inner = |c: char| c.is_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '/');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_inner(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        match replacement(word) {
            Some(new) => out.push_str(&new),
            // A prefix length, or a port's number with a slash in it.
            None => replace_parts(word, &replacement, &mut out),
        }
        let next = after.find(is_inner).unwrap_or(after.len());
        out.push_str(&after[..next]);
        rest = &after[next..];
    }
    out
}

fn replace_parts(word: &str, replacement: &impl Fn(&str) -> Option<String>, out: &mut String) {
    for (index, part) in word.split('/').enumerate() {
        if index > 0 {
            out.push('/');
        }
        let bare = part.trim_end_matches([':', '.']);
        match replacement(bare) {
            Some(new) if !bare.is_empty() => {
                out.push_str(&new);
                out.push_str(&part[bare.len()..]);
            }
            _ => out.push_str(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_replaced_and_no_parts_of_them() {
        let values = [("r1", "rack"), ("10.0.0.1", "address"), ("Ethernet1/2", "port")];
        let replace = |text: &str| {
            let found = |word: &str| values.iter().find(|(value, _)| *value == word);
            replace_words(text, |word| found(word).map(|(_, name)| format!("{{{name}}}")))
        };
        let cases = [
            ("Address=10.0.0.1/24", "Address={address}/24"),
            ("Address=10.0.0.12/24", "Address=10.0.0.12/24"),
            ("Address=110.0.0.1", "Address=110.0.0.1"),
            ("r1 r1-n01 xr1 (r1)", "{rack} r1-n01 xr1 ({rack})"),
            ("interface Ethernet1/2", "interface {port}"),
            ("interface Ethernet1/21", "interface Ethernet1/21"),
            ("via 10.0.0.1: up, 10.0.0.1.", "via {address}: up, {address}."),
            ("", ""),
            ("r\u{e4}1 r1\u{202e}", "r\u{e4}1 {rack}\u{202e}"),
        ];
        for (text, expected) in cases {
            assert_eq!(replace(text), expected, "{text}");
        }
    }

    /// Put back, the values give what each host's file says.
    #[test]
    fn what_is_replaced_can_be_put_back() {
        let host: Host = serde_json::from_value(serde_json::json!({
            "nics": {"eth0": "52:54:00:aa:00:01"}, "reservations": {"prov": "10.0.0.5"},
        }))
        .expect("a host");
        let network = crate::network::layout(&crate::profile::ResolvedSite::default(), "r1-n01");
        let side = Side { name: "r1-n01", host: Some(&host), network: &network };
        let values = OwnValues::of(&side, &side);
        for text in ["MACAddress=52:54:00:aa:00:01", "a 525400aa0001 10.0.0.5/24 r1-n01", "none"] {
            let mut back = values.generic(text);
            assert_eq!(back == text, text == "none", "{back}");
            // A MAC has one name in three forms; this text has one of them.
            for (value, name) in values.0.iter().filter(|(value, _)| text.contains(*value)) {
                back = back.replace(&format!("{{{name}}}"), value);
            }
            assert_eq!(back, text);
        }
    }
}
