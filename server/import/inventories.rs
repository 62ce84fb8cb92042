//! Inventories: Ansible's (INI and YAML), Warewulf's `nodes.conf`, MAAS `machines read`. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use indexmap::IndexMap;
use ipnet::IpNet;

use super::draft::{Client, Draft, HostValue, noun_name, place};
use super::facts::Facts;
use super::{ImportError, Include, Library, Place, Reason, Source};
use crate::tree::{self, Content, Key, Node};

fn parsed(file: &Source) -> Result<Arc<Node>, ImportError> {
    tree::parse(&file.text.replace('\t', " ")).map_err(|refusal| ImportError::Syntax {
        place: place(&file.name, refusal.position.unwrap_or_default().line),
        message: refusal.told(),
    })
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar { .. } if node.is_null() => None,
        Content::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

fn items(node: &Node) -> &[Arc<Node>] {
    match &node.content {
        Content::List(items) => items,
        _ => &[],
    }
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let entries = node.entries().unwrap_or_default();
    entries.iter().find(|(key, _)| key.text == name).map(|(_, value)| value.as_ref())
}

fn entries_of<'a>(node: &'a Node, name: &str) -> &'a [(Key, Arc<Node>)] {
    field(node, name).and_then(|node| node.entries().ok()).unwrap_or_default()
}

fn text<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    field(node, name).and_then(scalar)
}

/// One variable of an inventory.
#[derive(Clone, Debug)]
struct Variable {
    place: Place,
    key: String,
    value: String,
}

/// Hosts of Ansible, with the variables that they have by themselves, and their groups.
#[derive(Debug, Default)]
struct Ansible {
    hosts: IndexMap<String, AnsibleHost>,
}

#[derive(Debug)]
struct AnsibleHost {
    place: Place,
    variables: Vec<Variable>,
    groups: Vec<String>,
}

impl Ansible {
    fn host(&mut self, name: &str, place: &Place, group: &str) -> &mut AnsibleHost {
        let fresh =
            || AnsibleHost { place: place.clone(), variables: Vec::new(), groups: Vec::new() };
        let host = self.hosts.entry(name.to_owned()).or_insert_with(fresh);
        let is_meant = !matches!(group, "" | "all" | "ungrouped");
        if is_meant && !host.groups.iter().any(|known| known == group) {
            host.groups.push(group.to_owned());
        }
        host
    }

    fn finish(
        self,
        draft: &mut Draft,
        from: &Arc<str>,
        library: &dyn Library,
    ) -> Result<(), ImportError> {
        for (name, host) in self.hosts {
            let mut facts = Facts::of(&name, &host.place);
            facts.host.labels.extend(host.groups.iter().map(|group| noun_name(group)));
            let mut variables = host.variables;
            for suffix in [".yml", ".yaml", ""] {
                let path = format!("host_vars/{name}{suffix}");
                let include = Include { path, from: from.clone(), is_directory: false };
                for source in library.open(&include).unwrap_or_default() {
                    variables.extend(flat(&source, &*parsed(&source)?));
                }
            }
            for Variable { place, key, value } in variables {
                match key.as_str() {
                    // How Ansible logs in.
                    "ansible_user"
                    | "ansible_port"
                    | "ansible_connection"
                    | "ansible_become"
                    | "ansible_python_interpreter"
                    | "ansible_ssh_private_key_file"
                    | "ansible_ssh_common_args"
                    | "ansible_password" => {
                        draft.report(&place, format!("{key}: {value}"), Reason::OfAnsible);
                    }
                    _ => facts.add(draft, &place, &key, &value),
                }
            }
            facts.finish(draft);
        }
        Ok(())
    }
}

/// The variables of a mapping; those in mappings by their last key.
fn flat(source: &Source, node: &Node) -> Vec<Variable> {
    let mut all = Vec::new();
    for (key, value) in node.entries().unwrap_or_default() {
        let at = place(&source.name, key.position.line);
        match &value.content {
            Content::Map(_) => {
                for inner in flat(source, value) {
                    all.push(Variable { key: format!("{}_{}", key.text, inner.key), ..inner });
                }
            }
            Content::List(items) => {
                for item in items.iter().filter_map(|item| scalar(item)) {
                    all.push(Variable {
                        place: at.clone(),
                        key: key.text.clone(),
                        value: item.to_owned(),
                    });
                }
            }
            Content::Scalar { .. } => all.push(Variable {
                place: at,
                key: key.text.clone(),
                value: scalar(value).unwrap_or_default().to_owned(),
            }),
        }
    }
    all
}

/// Reads an inventory of Ansible as INI.
pub(super) fn ansible_ini(
    draft: &mut Draft,
    file: &Source,
    library: &dyn Library,
) -> Result<(), ImportError> {
    let mut found = Ansible::default();
    let mut group = String::new();
    for (index, raw) in file.text.lines().enumerate() {
        let line = raw.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let at = place(&file.name, index + 1);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            group = name.to_owned();
            continue;
        }
        match group.split_once(':') {
            Some((_, "children")) => draft.report(&at, line.to_owned(), Reason::GroupOfGroups),
            Some((_, _)) => draft.report(&at, line.to_owned(), Reason::OfGroup),
            None => {
                let mut words = words(line).into_iter();
                let pattern = words.next().unwrap_or_default();
                let words: Vec<String> = words.collect();
                for name in expanded(&pattern) {
                    let host = found.host(&name, &at, &group);
                    for word in &words {
                        let (key, value) = word.split_once('=').unwrap_or((word, ""));
                        host.variables.push(Variable {
                            place: at.clone(),
                            key: key.to_owned(),
                            value: value.to_owned(),
                        });
                    }
                }
            }
        }
    }
    found.finish(draft, &file.name, library)
}

/// Words between white space; quotes keep white space, and are left out.
fn words(line: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut quote = None;
    for character in line.chars() {
        match quote {
            Some(open) if open == character => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if character.is_whitespace() => all.push(String::new()),
            _ => all.iter_mut().last().into_iter().for_each(|word| word.push(character)),
        }
    }
    all.retain(|word| !word.is_empty());
    all
}

/// The names that `n[01:03]` and `n[a:c]` stand for.
fn expanded(pattern: &str) -> Vec<String> {
    let range = pattern.split_once('[').and_then(|(before, rest)| {
        let (range, after) = rest.split_once(']')?;
        let (from, to) = range.split_once(':')?;
        Some((before, from, to, after))
    });
    let Some((before, from, to, after)) = range else { return vec![pattern.to_owned()] };
    let middles: Vec<String> = match (from.parse::<u32>(), to.parse::<u32>()) {
        (Ok(first), Ok(last)) => {
            let width = from.len();
            (first..=last.min(first.saturating_add(100_000)))
                .map(|n| format!("{n:0width$}"))
                .collect()
        }
        _ => match (from.chars().next(), to.chars().next()) {
            (Some(first), Some(last)) => (first..=last).map(String::from).collect(),
            _ => return vec![pattern.to_owned()],
        },
    };
    let names = middles.iter().map(|middle| format!("{before}{middle}{after}"));
    names.flat_map(|name| expanded(&name)).collect()
}

/// Reads an inventory of Ansible as YAML.
pub(super) fn ansible_yaml(
    draft: &mut Draft,
    file: &Source,
    library: &dyn Library,
) -> Result<(), ImportError> {
    let root = parsed(file)?;
    let mut found = Ansible::default();
    for (group, node) in root.entries().unwrap_or_default() {
        ansible_group(draft, file, &mut found, &group.text, node);
    }
    found.finish(draft, &file.name, library)
}

fn ansible_group(draft: &mut Draft, file: &Source, found: &mut Ansible, group: &str, node: &Node) {
    for (key, value) in node.entries().unwrap_or_default() {
        let at = place(&file.name, key.position.line);
        match key.text.as_str() {
            "hosts" => {
                for (name, variables) in value.entries().unwrap_or_default() {
                    let at = place(&file.name, name.position.line);
                    for one in expanded(&name.text) {
                        let host = found.host(&one, &at, group);
                        host.variables.extend(flat(file, variables));
                    }
                }
            }
            "children" => {
                for (name, inner) in value.entries().unwrap_or_default() {
                    ansible_group(draft, file, found, &name.text, inner);
                }
            }
            "vars" => {
                for variable in flat(file, value) {
                    let text = format!("{}: {}", variable.key, variable.value);
                    draft.report(&variable.place, text, Reason::OfGroup);
                }
            }
            other => draft.report(&at, other.to_owned(), Reason::NoCounterpart),
        }
    }
}

/// Reads Warewulf's `nodes.conf` (version 4).
pub(super) fn warewulf(draft: &mut Draft, file: &Source) -> Result<(), ImportError> {
    let root = parsed(file)?;
    let profiles: BTreeMap<&str, &Node> = entries_of(&root, "nodeprofiles")
        .iter()
        .map(|(key, value)| (key.text.as_str(), value.as_ref()))
        .collect();
    for (key, node) in entries_of(&root, "nodes") {
        let at = place(&file.name, key.position.line);
        let mut facts = Facts::of(&key.text, &at);
        let named = field(node, "profiles").map(items).unwrap_or_default();
        let mut layers: Vec<&Node> =
            named.iter().filter_map(|name| profiles.get(scalar(name)?).copied()).collect();
        layers.push(node);
        for (key, value) in node.entries().unwrap_or_default() {
            warewulf_key(draft, file, &mut facts, &key.text, value, key.position.line);
        }
        warewulf_devices(draft, file, &mut facts, &layers);
        let of_bmc =
            |name: &str| layers.iter().rev().find_map(|layer| text(field(layer, "ipmi")?, name));
        if let Some(address) = of_bmc("ipaddr") {
            facts.add(draft, &at, "bmc ip", address);
        }
        facts.finish(draft);
    }
    Ok(())
}

fn warewulf_key(
    draft: &mut Draft,
    file: &Source,
    facts: &mut Facts,
    key: &str,
    value: &Node,
    line: usize,
) {
    let at = place(&file.name, line);
    match key {
        "profiles" | "network devices" | "ipmi" => {}
        "comment" => facts.add(draft, &at, "notes", scalar(value).unwrap_or_default()),
        "tags" => {
            for variable in flat(file, value) {
                let text = format!("{}: {}", variable.key, variable.value);
                draft.report(&variable.place, text, Reason::NoCounterpart);
            }
        }
        _ => draft.report(&at, format!("{} of {}", key, facts.name()), Reason::NoCounterpart),
    }
}

fn warewulf_devices(draft: &mut Draft, file: &Source, facts: &mut Facts, layers: &[&Node]) {
    let mut devices: Vec<&str> = Vec::new();
    for (key, _) in layers.iter().flat_map(|layer| entries_of(layer, "network devices")) {
        if !devices.contains(&key.text.as_str()) {
            devices.push(&key.text);
        }
    }
    for name in devices {
        // What a node says goes before what its profiles say.
        let value = |key: &str| {
            layers.iter().rev().find_map(|layer| {
                let (_, device) = entries_of(layer, "network devices")
                    .iter()
                    .find(|(known, _)| known.text == name)?;
                let node = field(device, key)?;
                Some((scalar(node)?, node.position.line))
            })
        };
        let at = |line| place(&file.name, line);
        let Some((mac, line)) = value("hwaddr") else { continue };
        let label = value("device").map_or(name, |(device, _)| device);
        match mac.parse() {
            Ok(nic) => facts.host.labelled.push((label.to_owned(), nic)),
            Err(error) => {
                draft.report(&at(line), mac.to_owned(), Reason::Invalid(format!("{error}")))
            }
        }
        let Some((address, line)) = value("ipaddr") else { continue };
        let Ok(address) = address.parse::<IpAddr>() else {
            draft.report(&at(line), address.to_owned(), Reason::NotAnAddress);
            continue;
        };
        facts.host.addresses.push(address);
        let mask = value("netmask").and_then(|(mask, _)| mask.parse::<IpAddr>().ok());
        let Some(cidr) = mask.and_then(|mask| IpNet::with_netmask(address, mask).ok()) else {
            continue;
        };
        let subnet = draft.subnet(cidr, Some(name), &at(line));
        let gateway = value("gateway").and_then(|(gateway, _)| gateway.parse().ok());
        let mtu = value("mtu").and_then(|(mtu, _)| mtu.parse().ok());
        if let Some(subnet) = draft.site.subnets.get_mut(&subnet) {
            subnet.gateway = subnet.gateway.or(gateway);
            subnet.mtu = subnet.mtu.or(mtu);
        }
    }
}

/// Reads what `maas admin machines read` prints.
pub(super) fn maas(draft: &mut Draft, file: &Source) -> Result<(), ImportError> {
    let root = parsed(file)?;
    for machine in items(&root) {
        maas_machine(draft, file, machine);
    }
    Ok(())
}

fn maas_machine(draft: &mut Draft, file: &Source, machine: &Node) {
    let at = place(&file.name, machine.position.line);
    let name = text(machine, "fqdn").or_else(|| text(machine, "hostname"));
    let Some(name) = name.map(|name| text(machine, "hostname").unwrap_or(name)) else {
        draft.report(&at, "machine".to_owned(), Reason::NoName);
        return;
    };
    let mut client = Client::new(at.clone(), format!("machine {name}"));
    client.name = Some(name.to_owned());
    client.is_named = true;
    let tags = field(machine, "tag_names").map(items).unwrap_or_default();
    client.labels.extend(tags.iter().filter_map(|tag| scalar(tag)).map(noun_name));
    let mut value = |path: &str, found: Option<&str>| {
        let value = found.map(str::trim).filter(|value| !value.is_empty() && *value != "Unknown");
        if let Some(value) = value {
            let (path, value) = (path.to_owned(), value.to_owned());
            client.values.push(HostValue { path, value, place: at.clone() });
        }
    };
    let hardware = field(machine, "hardware_info");
    value("serial", hardware.and_then(|hardware| text(hardware, "system_serial")));
    value("match.uuid", text(machine, "hardware_uuid"));
    value("notes", text(machine, "description"));
    for interface in field(machine, "interface_set").map(items).unwrap_or_default() {
        maas_interface(draft, file, &mut client, interface);
    }
    let power = field(machine, "power_parameters");
    if let Some(address) = power.and_then(|power| text(power, "power_address")) {
        draft.report(&at, format!("BMC {address} of {name}"), Reason::BmcWithoutMac);
    }
    draft.client(client);
}

fn maas_interface(draft: &mut Draft, file: &Source, client: &mut Client, interface: &Node) {
    let at = place(&file.name, interface.position.line);
    let name = text(interface, "name").unwrap_or_default();
    let kind = text(interface, "type").unwrap_or("physical");
    match (kind, text(interface, "mac_address").map(str::parse)) {
        ("physical", Some(Ok(nic))) => client.labelled.push((name.to_owned(), nic)),
        ("physical", _) => draft.report(&at, format!("interface {name}"), Reason::NoMac),
        (kind, _) => draft.report(&at, format!("{kind} {name}"), Reason::NetworkOfMaas),
    }
    for link in field(interface, "links").map(items).unwrap_or_default() {
        let Some(subnet) = field(link, "subnet") else { continue };
        let Some(cidr) = text(subnet, "cidr").and_then(|cidr| cidr.parse::<IpNet>().ok()) else {
            continue;
        };
        let label = text(subnet, "name").filter(|name| name.parse::<IpNet>().is_err());
        let name = draft.subnet(cidr, label, &at);
        let vlan = field(subnet, "vlan");
        let number = |key: &str| vlan.and_then(|vlan| text(vlan, key)?.parse::<u32>().ok());
        let servers = field(subnet, "dns_servers").map(items).unwrap_or_default();
        if let Some(known) = draft.site.subnets.get_mut(&name) {
            known.gateway = text(subnet, "gateway_ip").and_then(|ip| ip.parse().ok());
            known.vlan =
                number("vid").and_then(|vid| u16::try_from(vid).ok()).filter(|vid| *vid > 0);
            known.mtu = number("mtu").filter(|mtu| *mtu != 1500);
            known.dns = servers.iter().filter_map(|one| scalar(one)?.parse().ok()).collect();
        }
        let Some(address) = text(link, "ip_address").and_then(|ip| ip.parse::<IpAddr>().ok())
        else {
            continue;
        };
        client.addresses.push(address);
    }
}
