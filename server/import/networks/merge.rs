//! Networks of hosts as subnets, profiles and values of hosts. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::meaning::{Link, Meaning, is_plain_default};
use crate::import::draft::{Client, Draft, place};
use crate::import::{Place, Reason};
use crate::model::{NicAddress, ProfileTree, check_link_name};
use crate::network::layout;
use crate::profile::ResolvedSite;

/// What one host comes to.
struct Planned {
    host: String,
    tree: Map<String, Value>,
    /// What is laid over the profile for this host.
    own: Map<String, Value>,
    addresses: BTreeMap<String, IpAddr>,
    place: Place,
}

/// Adds the networks of hosts to the site. Hosts that agree share a profile.
pub(super) fn merge(draft: &mut Draft, networks: BTreeMap<String, Meaning>) {
    for meaning in networks.values() {
        for (name, link) in &meaning.links {
            learn_subnets(draft, meaning.mtu(name), link);
            if let (Some(bond), Some(own)) = (bond_of(meaning, name), link.mtu)
                && own != meaning.mtu(name)
                && let Some(at) = &link.place
            {
                let reason = Reason::MtuOfBond { bond: bond.clone(), mtu: meaning.mtu(name) };
                draft.report(at, format!("{name}: MTU {own}"), reason);
            }
        }
    }
    let mut planned = Vec::new();
    for (raw, meaning) in &networks {
        let at = meaning.links.values().find_map(|link| link.place.clone());
        let at = at.unwrap_or_else(|| place(&raw.as_str().into(), 1));
        let Some(host) = draft.host_name(raw, &at) else { continue };
        let mut client = Client::new(at.clone(), format!("host {host}"));
        client.name = Some(host.clone());
        client.is_named = true;
        for (name, link) in &meaning.links {
            let nic = link.mac.filter(|_| link.section == "nics" && check_link_name(name).is_ok());
            client.labelled.extend(nic.map(|mac| (name.clone(), NicAddress::Mac(mac))));
        }
        draft.client(client);
        planned.push(plan(draft, host, at, meaning));
    }
    // Equal trees are one profile.
    let mut groups: Vec<(Map<String, Value>, Vec<Planned>)> = Vec::new();
    for one in planned {
        match groups.iter_mut().find(|(tree, _)| *tree == one.tree) {
            Some((_, hosts)) => hosts.push(one),
            None => groups.push((one.tree.clone(), vec![one])),
        }
    }
    groups.sort_by_key(|(_, hosts)| std::cmp::Reverse(hosts.len()));
    for (tree, hosts) in groups {
        let name = profile_name(draft, &tree);
        draft.site.profiles.insert(name.clone(), ProfileTree::from(tree));
        for one in hosts {
            draft.placed(format!("profiles.{name}"), &one.place);
            let host = draft.site.hosts.entry(one.host.clone()).or_default();
            host.profile = Some(name.clone());
            host.addresses.extend(one.addresses);
            if !one.own.is_empty() {
                host.network = ProfileTree::from(one.own);
            }
        }
    }
    draft.verify = networks;
}

/// Reports where the network that a host gets here means something else than its files.
pub(super) fn verify(draft: &mut Draft) {
    let networks = std::mem::take(&mut draft.verify);
    if networks.is_empty() {
        return;
    }
    let site = ResolvedSite::from(draft.site.clone());
    for (raw, meaning) in &networks {
        let Some(host) = crate::model::suggested_host_name(raw) else { continue };
        if !site.hosts.contains_key(&host) {
            continue;
        }
        let mut expected = meaning.clone();
        // NICs without a MAC are unknown to the inventory.
        expected.links.values_mut().for_each(|link| link.place = None);
        for difference in expected.differences(&Meaning::of(&layout(&site, &host))) {
            let at = meaning.links.get(&difference.link).and_then(|link| link.place.clone());
            let at = at.unwrap_or_else(|| place(&raw.as_str().into(), 1));
            let text = difference.to_string().replace('\n', "; ");
            draft.report(&at, text, Reason::OtherMeaning);
        }
    }
}

/// Whether an address is in a subnet that others are in as well: a host's own /32 is not.
fn is_shared(address: &IpNet) -> bool {
    address.prefix_len() < address.max_prefix_len()
}

fn learn_subnets(draft: &mut Draft, mtu: u32, link: &Link) {
    let Some(at) = link.place.clone() else { return };
    for family in [true, false] {
        let of_family = |address: &&IpNet| address.addr().is_ipv4() == family && is_shared(address);
        let Some(address) = link.addresses.iter().find(of_family) else { continue };
        // The `id` of a tunnel is its key.
        let id = link.keys.get("id").filter(|_| link.section == "vlans").and_then(Value::as_u64);
        let vlan = id.and_then(|id| u16::try_from(id).ok());
        let name = vlan.map(|id| format!("vlan{id}"));
        let name = name.map(|name| if family { name } else { format!("{name}-v6") });
        let subnet = draft.subnet(*address, name.as_deref(), &at);
        let gateway = link.gateways().find(|gateway| address.contains(gateway));
        let dns = &link.dns;
        let mut differs = false;
        if let Some(known) = draft.site.subnets.get_mut(&subnet) {
            known.vlan = known.vlan.or(vlan);
            known.gateway = known.gateway.or(gateway);
            known.mtu = known.mtu.or_else(|| Some(mtu).filter(|mtu| *mtu != 1500));
            let parsed = dns.iter().filter_map(|server| server.parse().ok()).collect();
            match known.dns.is_empty() && known.domains.is_empty() {
                true if family => (known.dns, known.domains) = (parsed, link.domains.clone()),
                true => {}
                false => differs = known.dns != parsed && !dns.is_empty(),
            }
        }
        if differs {
            draft.report(
                &at,
                format!("resolvers {}", dns.join(" ")),
                Reason::OtherResolvers(subnet),
            );
        }
    }
}

/// The sections of a profile that networks of hosts are read into.
const SECTIONS: [&str; 12] = [
    "nics",
    "bonds",
    "vlans",
    "bridges",
    "vrfs",
    "vxlans",
    "tunnels",
    "dummies",
    "veths",
    "macvlans",
    "ipvlans",
    "loopbacks",
];

/// The profile of a host by itself, and the values that are its own.
fn plan(draft: &Draft, host: String, at: Place, meaning: &Meaning) -> Planned {
    let mut planned =
        Planned { host, tree: Map::new(), own: Map::new(), addresses: BTreeMap::new(), place: at };
    for section in SECTIONS {
        // Every host has a loopback; files name it even where they say nothing of it.
        let says = |link: &Link| {
            section != "loopbacks" || !link.addresses.is_empty() || !link.routes.is_empty()
        };
        let links = meaning.links.iter().filter(|(_, link)| link.section == section && says(link));
        let mut entries = Map::new();
        for (name, link) in links {
            let keys = plan_link(draft, &mut planned, meaning, name, link);
            entries.insert(name.clone(), Value::Object(keys));
        }
        if !entries.is_empty() {
            planned.tree.insert(section.to_owned(), Value::Object(entries));
        }
    }
    // Files that find NICs by their names say no MAC.
    let mut nics = meaning.links.values().filter(|link| link.section == "nics").peekable();
    if nics.peek().is_some() && nics.all(|link| link.mac.is_none()) {
        let mut nics = meaning.links.values().filter(|link| link.section == "nics");
        let by_path = nics.all(|link| link.quiet.contains_key("path"));
        planned.tree.insert("match".to_owned(), json!(if by_path { "path" } else { "name" }));
    }
    planned
}

fn plan_link(
    draft: &Draft,
    planned: &mut Planned,
    meaning: &Meaning,
    name: &str,
    link: &Link,
) -> Map<String, Value> {
    let mut keys = link.keys.clone();
    keys.extend(link.quiet.clone());
    // The kernel's choice where nothing is said; a profile's is another.
    let mode = keys.get("mode").and_then(Value::as_str);
    if link.section == "bonds" && mode == Some("802.3ad") {
        keys.entry("transmit-hash-policy").or_insert_with(|| json!("layer2"));
    }
    let mtu = meaning.mtu(name);
    if mtu != 1500 && bond_of(meaning, name).is_none() {
        keys.insert("mtu".into(), json!(mtu));
    }
    let mut own_addresses = Vec::new();
    let (mut has_v4, mut has_v6) = (false, false);
    let mut gateway_is_set = false;
    for address in &link.addresses {
        let subnet = draft.subnet_of(address.addr()).filter(|_| is_shared(address));
        let is_first = if address.addr().is_ipv4() { !has_v4 } else { !has_v6 };
        match subnet.filter(|_| is_first) {
            Some(subnet) if learns(&keys, address.addr().is_ipv4()) => {
                let known = draft.site.subnets.get(&subnet);
                let gateway = known.and_then(|known| known.gateway);
                let leads_out = gateway.is_some_and(|it| link.gateways().any(|own| own == it));
                gateway_is_set |= leads_out;
                let mut more = Map::from_iter([("subnet".to_owned(), json!(subnet))]);
                if leads_out {
                    more.insert("default-route".into(), json!(true));
                }
                planned.addresses.insert(format!("{name}/{subnet}"), address.addr());
                let all = keys.entry("more-subnets").or_insert_with(|| json!([]));
                if let Some(all) = all.as_array_mut() {
                    all.push(Value::Object(more));
                }
                match address.addr().is_ipv4() {
                    true => has_v4 = true,
                    false => has_v6 = true,
                }
            }
            Some(subnet) => {
                let known = draft.site.subnets.get(&subnet);
                let gateway = known.and_then(|known| known.gateway);
                if let Some(gateway) = gateway {
                    match link.gateways().any(|own| own == gateway) {
                        true => gateway_is_set = true,
                        false => drop(keys.insert("default-route".into(), json!(false))),
                    }
                }
                let is_v4 = address.addr().is_ipv4();
                let (key, of_link) = match is_v4 || !has_v4 {
                    true => ("subnet", name.to_owned()),
                    false => ("subnet6", format!("{name}/{subnet}")),
                };
                planned.addresses.insert(of_link, address.addr());
                // The VLAN of its subnet need not be said twice.
                let is_vlan = link.section == "vlans";
                if known.filter(|_| is_vlan).is_some_and(|known| {
                    known.vlan.map(u64::from) == keys.get("id").and_then(Value::as_u64)
                }) {
                    keys.shift_remove("id");
                }
                keys.insert(key.into(), json!(subnet));
                (has_v4, has_v6) = (has_v4 || is_v4, has_v6 || !is_v4);
            }
            None => own_addresses.push(json!({"address": address, "role": "secondary"})),
        }
    }
    let is_said = |via: Option<IpAddr>| {
        gateway_is_set && link.addresses.iter().any(|net| via.is_some_and(|via| net.contains(&via)))
    };
    let routes: Vec<Value> = link
        .routes
        .iter()
        .filter(|route| !(is_plain_default(route) && is_said(route.via)))
        .map(|route| json!(route))
        .collect();
    if !routes.is_empty() {
        keys.insert("routes".into(), Value::Array(routes));
    }
    if !link.rules.is_empty() {
        keys.insert("routing-policy".into(), json!(link.rules));
    }
    if !own_addresses.is_empty() {
        let section = planned.own.entry(link.section).or_insert_with(|| json!({}));
        section[name] = json!({"addresses": own_addresses});
    }
    keys
}

/// The bond that a link is in.
fn bond_of<'a>(meaning: &'a Meaning, name: &str) -> Option<&'a String> {
    let mut links = meaning.links.iter();
    let found = links.find(|(_, link)| link.section == "bonds" && link.members().contains(&name));
    found.map(|(bond, _)| bond)
}

/// Whether the wire says the addresses of a family, so that one that is written has to be beside them.
fn learns(keys: &Map<String, Value>, is_ipv4: bool) -> bool {
    let is_set = |key: &str| keys.get(key) == Some(&json!(true));
    let makes = || {
        let overrides = keys.get("ra-overrides");
        overrides.and_then(|overrides| overrides.get("use-addresses")) != Some(&json!(false))
    };
    match is_ipv4 {
        true => is_set("dhcp4"),
        false => is_set("dhcp6") || is_set("accept-ra") && makes(),
    }
}

/// A name after what is in the profile: `bond-vlan`, `nics`.
fn profile_name(draft: &Draft, tree: &Map<String, Value>) -> String {
    let words = [
        ("bonds", "bond"),
        ("vlans", "vlan"),
        ("bridges", "bridge"),
        ("vrfs", "vrf"),
        ("vxlans", "vxlan"),
    ];
    let there: Vec<&str> = words
        .iter()
        .filter(|(section, _)| tree.contains_key(*section))
        .map(|(_, word)| *word)
        .collect();
    let base = if there.is_empty() { "plain".to_owned() } else { there.join("-") };
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    names.find(|name| !draft.site.profiles.contains_key(name)).unwrap_or(base)
}
