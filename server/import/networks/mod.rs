//! The networks of hosts, as their own files say them, turned into subnets, profiles that hosts
//! share, and values of single hosts. Pure.

mod counterparts;
mod ifupdown;
mod ini;
mod keyfile;
pub(crate) mod meaning;
mod merge;
mod netplan;
mod networkd;
mod nmstate;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::draft::Draft;
use super::{ImportError, InvalidValue, Place, Reason, Source};
use crate::model::{BondSpec, Caption, RuleSpec};
use crate::network::{BondWords, bond_parameter};
use crate::tree;
use meaning::Meaning;
pub(super) use networkd::dropped_into;

/// How files say a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dialect {
    Netplan,
    Networkd,
    NetworkManager,
    Ifupdown,
    Nmstate,
}

impl Dialect {
    /// How the files of a format are read; netplan's are known by what is in them as well.
    pub(crate) fn of(format: crate::network::Format, files: &[Source]) -> Option<Self> {
        use crate::import::Kind;
        let kinds = files.iter().filter_map(|file| Kind::of(&file.name, &file.text));
        let mut found = kinds.filter_map(|kind| match kind {
            Kind::Network(dialect) => Some(dialect),
            _ => None,
        });
        found.next_back().or(match format {
            crate::network::Format::Networkd => Some(Self::Networkd),
            crate::network::Format::Netplan => Some(Self::Netplan),
            crate::network::Format::NetworkManager => Some(Self::NetworkManager),
            crate::network::Format::Nmstate => Some(Self::Nmstate),
            crate::network::Format::Ifupdown2 => Some(Self::Ifupdown),
            _ => None,
        })
    }
}

/// A network and what its files say besides.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) meaning: Meaning,
    pub(crate) left_out: Vec<super::NotTaken>,
    /// Links of kinds that are not read: what is on them or has them is no NIC of theirs.
    untaken: BTreeSet<String>,
}

impl Read {
    fn report(&mut self, place: &Place, text: impl Into<String>, reason: Reason) {
        let place = place.clone();
        self.left_out.push(super::NotTaken { place, text: text.into(), reason });
    }

    /// Takes a text of one line over, or reports it.
    fn caption(&mut self, link: &mut meaning::Link, key: &str, word: &str, place: &Place) {
        match word.parse::<Caption>() {
            Ok(_) => drop(link.quiet.insert(key.to_owned(), json!(word))),
            Err(error) => self.report(place, format!("{key} {word}"), Reason::Value(error.into())),
        }
    }

    /// Reports a link of a kind that is not read.
    fn leave_link(&mut self, place: &Place, name: &str, text: impl Into<String>, reason: Reason) {
        self.untaken.insert(name.to_owned());
        self.report(place, text, reason);
    }
}

/// Reads the files of one host.
///
/// # Errors
/// One of them is broken.
pub(crate) fn read_host(dialect: Dialect, files: &[&Source]) -> Result<Read, ImportError> {
    let mut read = match dialect {
        Dialect::Netplan => netplan::read(files),
        Dialect::Networkd => networkd::read(files),
        Dialect::NetworkManager => keyfile::read(files),
        Dialect::Ifupdown => ifupdown::read(files),
        Dialect::Nmstate => nmstate::read(files),
    }?;
    leave_untaken(&mut read);
    leave_domains(&mut read);
    Ok(read)
}

/// Takes links that were not read from those that have them, and leaves out what is on them: a profile
/// would take their names for NICs.
fn leave_untaken(read: &mut Read) {
    loop {
        let Read { meaning, untaken, .. } = &*read;
        let is_on =
            |link: &meaning::Link| link.parent().is_some_and(|parent| untaken.contains(parent));
        let found =
            meaning.links.iter().find(|(name, link)| untaken.contains(*name) || is_on(link));
        let Some((name, link)) = found.map(|(name, link)| (name.clone(), link.clone())) else {
            break;
        };
        read.meaning.links.remove(&name);
        if let (Some(place), Some(parent)) = (&link.place, link.parent()) {
            let reason = Reason::OfUntaken(parent.to_owned());
            read.report(place, format!("{name} on {parent}"), reason);
        }
        read.untaken.insert(name);
    }
    let mut taken_out = Vec::new();
    for (name, link) in &mut read.meaning.links {
        for key in ["nics", "interfaces"] {
            let Some(Value::Array(members)) = link.keys.get_mut(key) else { continue };
            let is_untaken =
                |member: &Value| member.as_str().is_some_and(|one| read.untaken.contains(one));
            for member in members.extract_if(.., |member| is_untaken(member)) {
                let member = member.as_str().unwrap_or_default().to_owned();
                taken_out.extend(link.place.clone().map(|place| (place, name.clone(), member)));
            }
        }
    }
    for (place, name, member) in taken_out {
        read.report(&place, format!("{member} in {name}"), Reason::OfUntaken(member));
    }
}

/// Takes the table of a VRF from the routes of the links in it: they are there by themselves.
fn leave_domains(read: &mut Read) {
    let links = &mut read.meaning.links;
    let mut domains: Vec<(String, u64)> = Vec::new();
    for vrf in links.values().filter(|link| link.section == "vrfs") {
        let table = vrf.keys.get("table").and_then(Value::as_u64);
        let members = vrf.members().into_iter().map(str::to_owned);
        domains.extend(members.filter_map(|member| Some((member, table?))));
    }
    for (member, table) in domains {
        let routes = links.get_mut(&member).into_iter().flat_map(|link| &mut link.routes);
        for route in routes.filter(|route| route.table.map(u64::from) == Some(table)) {
            route.table = None;
        }
    }
}

/// Reads the networks of hosts, each with the files of one host.
pub(super) fn read(
    draft: &mut Draft,
    dialect: Dialect,
    files: &[&Source],
) -> Result<(), ImportError> {
    let mut hosts: BTreeMap<String, Vec<&Source>> = BTreeMap::new();
    let by_directory = are_directories_hosts(files);
    for file in files {
        let host = host_of(&file.name, &draft.choices.host, by_directory);
        hosts.entry(host).or_default().push(file);
    }
    for (host, files) in hosts {
        let read = read_host(dialect, &files)?;
        for one in read.left_out {
            draft.report(&one.place, one.text, one.reason);
        }
        draft.networks.insert(host, read.meaning);
    }
    Ok(())
}

/// Puts all networks that were read into the site.
pub(super) fn finish(draft: &mut Draft) {
    let networks = std::mem::take(&mut draft.networks);
    merge::merge(draft, networks);
}

/// Reports where the network that a host gets here means something else than its files.
pub(super) fn verify(draft: &mut Draft) {
    merge::verify(draft);
}

/// Names of files and directories that do not tell whose they are.
const USUAL: [&str; 18] = [
    "netplan",
    "nmstate",
    "local",
    "network",
    "etc",
    "systemd",
    "interfaces",
    "interfaces.d",
    "system-connections",
    "NetworkManager",
    "run",
    "lib",
    "usr",
    "50-cloud-init",
    "00-installer-config",
    "01-netcfg",
    "90-rackstrap",
    ".",
];

/// Whether directories are named after hosts: files of one name are in several of them.
fn are_directories_hosts(files: &[&Source]) -> bool {
    let mut directories: BTreeMap<&str, &str> = BTreeMap::new();
    files.iter().any(|file| {
        let (directory, name) = file.name.rsplit_once('/').unwrap_or(("", &file.name));
        *directories.entry(name).or_insert(directory) != directory
    })
}

/// The host whose file this is: the innermost directory with a name of its own, else the file's.
fn host_of(path: &str, given: &Option<String>, by_directory: bool) -> String {
    if let Some(given) = given {
        return given.clone();
    }
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let file = parts.pop().unwrap_or_default();
    let is_own = |part: &&str| {
        let is_of_unit = part.ends_with(".network.d") || part.ends_with(".netdev.d");
        let is_of_unit = is_of_unit || part.ends_with(".link.d");
        !USUAL.contains(part) && *part != ".." && *part != "tmp" && !is_of_unit
    };
    if let Some(directory) = parts.iter().rev().find(|part| is_own(part)) {
        // Below a copy of a host's own directories every file is the host's.
        let is_of_host =
            ["/etc/", "/run/systemd/", "/lib/systemd/"].iter().any(|within| path.contains(within));
        if is_of_host || parts.last() == Some(directory) && (by_directory || !is_single(file)) {
            return (*directory).to_owned();
        }
    }
    let stem = file.split_once('.').map_or(file, |(stem, _)| stem);
    if USUAL.contains(&stem) {
        return parts.iter().rev().find(|part| is_own(part)).map_or("host", |part| part).to_owned();
    }
    stem.to_owned()
}

/// Whether a file is named after its host: netplan's and nmstate's of several hosts in one
/// directory are. Those of netplan begin with a number on a host.
fn is_single(file: &str) -> bool {
    let begins = file.starts_with(|c: char| c.is_ascii_digit());
    let is_yaml = file.ends_with(".yaml") || file.ends_with(".yml");
    is_yaml && !begins && !USUAL.contains(&file.split('.').next().unwrap_or_default())
}

/// A time as the site file has it; without a unit it is of `unit` milliseconds.
fn duration(word: &str, unit: u64) -> Option<String> {
    let word = word.trim();
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let factor = match word[digits.len()..].trim() {
        "" => unit as f64,
        "ms" | "msec" => 1.0,
        "s" | "sec" | "seconds" => 1000.0,
        "m" | "min" => 60_000.0,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    Some(crate::model::Millis((number * factor).round() as u64).to_string())
}

/// A parameter of a bond as the model has it.
struct BondSetting {
    key: String,
    value: Value,
}

/// The parameter that a format calls `name`.
///
/// # Errors
/// The model has no such parameter, or not this value of it.
fn bond_setting(words: BondWords, name: &str, word: &str) -> Result<BondSetting, Reason> {
    const TIMES: [&str; 6] = [
        "mii-monitor",
        "up-delay",
        "down-delay",
        "arp-interval",
        "learn-packet-interval",
        "peer-notify-delay",
    ];
    let key = bond_parameter(words, name).ok_or(Reason::NoCounterpart)?;
    let candidates: Vec<Value> = match key.as_str() {
        time if TIMES.contains(&time) => vec![json!(duration(word, 1))],
        "arp-ip-targets" => vec![json!(word.split(',').map(str::trim).collect::<Vec<_>>())],
        "ad-actor-system" => vec![json!(word.to_ascii_lowercase())],
        "mode" => vec![json!(match word {
            "0" => "balance-rr",
            "1" => "active-backup",
            "2" => "balance-xor",
            "3" => "broadcast",
            "4" => "802.3ad",
            "5" => "balance-tlb",
            "6" => "balance-alb",
            name => name,
        })],
        "lacp-rate" => vec![json!(match word {
            "0" => "slow",
            "1" => "fast",
            name => name,
        })],
        "transmit-hash-policy" => vec![json!(match word {
            "0" => "layer2",
            "1" => "layer3+4",
            "2" => "layer2+3",
            "3" => "encap2+3",
            "4" => "encap3+4",
            name => name,
        })],
        _ => {
            let number = word.parse::<i64>().ok().map(|number| json!(number));
            let truth = match word {
                "yes" | "true" => Some(json!(true)),
                "no" | "false" => Some(json!(false)),
                _ => None,
            };
            number.into_iter().chain(truth).chain([json!(word)]).collect()
        }
    };
    let mut why = Reason::NoCounterpart;
    for value in candidates {
        let mut spec =
            Map::from_iter([("nics".to_owned(), json!([])), ("mode".to_owned(), json!("802.3ad"))]);
        spec.insert(key.clone(), value.clone());
        match tree::read_json::<BondSpec>(&Value::Object(spec)) {
            Ok(_) => return Ok(BondSetting { key, value }),
            Err(refusal) => why = Reason::Value(refusal.into()),
        }
    }
    Err(why)
}

/// Puts links into the bonds, bridges and VRFs that have them, in this order.
fn join_members(read: &mut Read, members: Vec<(String, String)>) {
    for (outer, inner) in members {
        let Some(link) = read.meaning.links.get_mut(&outer) else { continue };
        let key = if link.section == "bonds" { "nics" } else { "interfaces" };
        let members = link.keys.entry(key).or_insert_with(|| json!([]));
        if let Some(members) = members.as_array_mut().filter(|all| !all.contains(&json!(inner))) {
            members.push(json!(inner));
        }
    }
    for link in read.meaning.links.values_mut() {
        match link.section {
            "bonds" => drop(link.keys.entry("nics").or_insert_with(|| json!([]))),
            "bridges" | "vrfs" => drop(link.keys.entry("interfaces").or_insert_with(|| json!([]))),
            _ => {}
        }
    }
}

/// `priority 90 from 10.0.0.5/32 table 100`, as `ip rule` has it.
///
/// # Errors
/// A word is none that a rule has, or one is missing.
fn rule_words(text: &str) -> Result<RuleSpec, InvalidValue> {
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let mut keys = Map::new();
    for pair in words.chunks(2) {
        let [key, word] = pair else { return Err(InvalidValue::NotARule(text.to_owned())) };
        let key = match *key {
            "iif" => "incoming-interface",
            "oif" => "outgoing-interface",
            "fwmark" => "mark",
            "lookup" => "table",
            "pref" | "prio" | "preference" | "order" => "priority",
            "suppress_prefixlength" => "suppress-prefix-length",
            other => other,
        };
        let number = word.parse::<i64>().map(|number| json!(number));
        keys.insert(key.to_owned(), number.unwrap_or_else(|_| json!(word)));
    }
    rule_of(keys)
}

/// A rule as the model has it. An address without a length is itself alone, as `ip rule` has it.
///
/// # Errors
/// The model refuses it.
fn rule_of(mut keys: Map<String, Value>) -> Result<RuleSpec, InvalidValue> {
    for key in ["from", "to"] {
        let Some(word) = keys.get(key).and_then(Value::as_str) else { continue };
        match word {
            "all" | "any" | "default" => drop(keys.shift_remove(key)),
            word if word.contains('/') => {}
            word => {
                let length = if word.contains(':') { 128 } else { 32 };
                let net = json!(format!("{word}/{length}"));
                keys.insert(key.to_owned(), net);
            }
        }
    }
    Ok(tree::read_json(&Value::Object(keys))?)
}
