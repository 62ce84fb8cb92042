//! What is wrong with a layer in itself, whether or not a profile is laid over it. Pure.
//!
//! What the site, a rack or a host says of its network is part of a profile only where a host
//! has that profile, and the keys of links that the profile does not have are not looked at
//! even then. A key that does not exist is refused all the same.

use serde_json::{Map, Value};

use super::layers::Layer;
use super::merge::{canonical, strip_nulls};
use super::{Fault, META, Origin};
use crate::model::{Host, Profile, ProfileTree, Site};
use crate::tree;

/// How many values of one layer may lack a key that another layer adds before the rest is left
/// to the profile.
const MOST_PARTIAL: usize = 1000;

/// What is wrong with the networks of the site, of racks, and of hosts without a profile of the
/// site; each with the name of the host, if it is a host's.
pub(super) fn faults(site: &Site) -> Vec<(String, Fault)> {
    let of_racks = site.racks.iter();
    let of_racks = of_racks.map(|(name, rack)| (Origin::Rack(name.clone()), &rack.network, ""));
    let has_profile =
        |host: &Host| host.profile.as_ref().is_some_and(|name| site.profiles.contains_key(name));
    let of_hosts = site.hosts.iter().filter(|(_, host)| !has_profile(host));
    let of_hosts = of_hosts.map(|(name, host)| (Origin::Host, &host.network, name.as_str()));
    let of_site = [(Origin::Site, &site.network, "")];
    of_site
        .into_iter()
        .chain(of_racks)
        .chain(of_hosts)
        .filter(|(_, tree, _)| !tree.is_empty())
        .filter_map(|(origin, tree, host)| Some((host.to_owned(), fault(origin, tree)?)))
        .collect()
}

/// The first fault of a layer.
fn fault(origin: Origin, tree: &ProfileTree) -> Option<Fault> {
    let layer = Layer { origin: origin.clone(), tree: tree.clone() };
    let fault = |keys: Vec<String>, key: Option<String>, text: String| Fault {
        origin: Some(origin.clone()),
        keys,
        key,
        text,
        is_value: false,
        in_itself: true,
    };
    if let Some(key) = META.iter().find(|key| tree.entries().contains_key(**key)) {
        return Some(fault(
            vec![(*key).to_owned()],
            None,
            format!("\"{key}\" belongs in a profile"),
        ));
    }
    let mut written = Value::Object(written(tree.entries()));
    strip_nulls(&mut written);
    for _ in 0..MOST_PARTIAL {
        let refusal = tree::read_json::<Profile>(&written).err()?;
        let path = refusal.path();
        if !refusal.is_missing() {
            let key = refusal.key().map(str::to_owned);
            let is_value = refusal.is_value();
            return Some(Fault { is_value, ..fault(layer.keys(&path), key, refusal.to_string()) });
        }
        remove(&mut written, &layer.keys(&path));
    }
    None
}

/// The entries without those whose key or value is computed.
fn written(entries: &Map<String, Value>) -> Map<String, Value> {
    let own = entries.iter().filter(|(key, value)| !key.contains('<') && !is_computed(value));
    own.map(|(key, value)| (canonical(key).to_owned(), written_value(value))).collect()
}

fn written_value(value: &Value) -> Value {
    match value {
        Value::Object(entries) => written(entries).into(),
        Value::Array(items) => {
            items.iter().filter(|item| !is_computed(item)).map(written_value).collect()
        }
        other => other.clone(),
    }
}

fn is_computed(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with('=') || text.contains('<'),
        Value::Object(entries) => entries.contains_key("for-each"),
        _ => false,
    }
}

/// Takes away the value at the end of `keys`.
fn remove(value: &mut Value, keys: &[String]) {
    let [outer @ .., last] = keys else {
        *value = Value::Null;
        return;
    };
    let mut holder = Some(value);
    for key in outer {
        holder = holder.and_then(|value| match value {
            Value::Object(entries) => entries.get_mut(canonical(key)),
            Value::Array(items) => key.parse().ok().and_then(|index: usize| items.get_mut(index)),
            _ => None,
        });
    }
    match holder {
        Some(Value::Object(entries)) => drop(entries.shift_remove(canonical(last))),
        Some(Value::Array(items)) => {
            if let Some(index) = last.parse().ok().filter(|index: &usize| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let site: Site = serde_saphyr::from_str(text).unwrap();
        let faults = faults(&site).into_iter();
        faults
            .map(|(host, fault)| format!("{}: {}", fault.location(&host).path(), fault.text))
            .collect()
    }

    #[test]
    fn a_key_that_does_not_exist_is_refused_wherever_it_is_written() {
        #[rustfmt::skip]
        let cases = [
            ("network: {version: 2}", "network: unknown key \"version\"; expected one of"),
            ("network: {vlans: {v: {}, w: {idd: 5}}}", "network.vlans.w: unknown key \"idd\""),
            ("network: {vlans: {v.1: {}, v.2: {mtu: high}}}", "network.vlans.v.2.mtu: expected a number"),
            ("racks: {r: {network: {nics: {eth0: {mut: 9000}}}}}", "racks.r.network.nics.eth0: unknown key \"mut\""),
            ("racks: {r: {network: {for-each: {}}}}", "racks.r.network.for-each: \"for-each\" belongs in a profile"),
            ("hosts: {a: {network: {nics: {eth0: {mut: 9000}}}}}", "hosts.a.network.nics.eth0: unknown key \"mut\""),
            ("hosts: {a: {profile: none, network: {nics: x}}}", "hosts.a.network.nics: expected a mapping"),
        ];
        for (text, expected) in cases {
            let told = told(text);
            assert_eq!(told.len(), 1, "{text}: {told:?}");
            assert!(told[0].starts_with(expected), "{text}: {told:?}");
        }
    }

    #[test]
    fn a_part_of_a_profile_is_a_layer() {
        for text in [
            "network: {systemd: 257, nics: {eth0: {dhcp: true}}}",
            "network: {vlans: {v: {mtu: 9000}}, bonds: {b: {mode: =mode}}}",
            "network: {nics: {\"rail<n>\": {wrong: 1}}, vlans: ~}",
            "racks: {r: {network: {routes: []}}}",
            "profiles: {p: {}}\nhosts: {a: {profile: p, network: {nics: {eth0: {mut: 1}}}}}",
        ] {
            let told = told(text);
            let expected: &[&str] = match text.contains("routes") {
                true => &["racks.r.network: unknown key \"routes\""],
                false => &[],
            };
            assert_eq!(told.len(), expected.len(), "{text}: {told:?}");
        }
    }
}
