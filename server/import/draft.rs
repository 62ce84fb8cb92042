//! The site under construction: clients of DHCP servers become hosts, NICs and BMCs. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::networks::meaning::Meaning;
use super::options::Setting;
use super::{Choices, Imported, NotTaken, Place, Reason, TableColumn, networks, options};
use crate::model::{
    Bmc, Host, HostDhcp, HostMatch, NicAddress, Site, Subnet, check_host_name, check_link_name,
    suggested_host_name,
};
use crate::site_file::set_values;
use crate::tree;

/// One client that another server knows by name or address: one NIC or BMC of a host, or several.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) place: Place,
    /// The line, for the report.
    pub(super) text: String,
    pub(super) name: Option<String>,
    pub(super) nics: Vec<NicAddress>,
    /// What its NIC is called.
    pub(super) label: Option<String>,
    /// NICs whose labels are known.
    pub(super) labelled: Vec<(String, NicAddress)>,
    /// Other values of the host.
    pub(super) values: Vec<HostValue>,
    /// Whether it is a host even without a MAC.
    pub(super) is_named: bool,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) known_by: HostMatch,
    pub(super) labels: Vec<String>,
    pub(super) notes: Option<String>,
    /// Whether it gets no answer.
    pub(super) is_ignored: bool,
    pub(super) settings: Vec<Setting>,
}

impl Client {
    pub(super) fn new(place: Place, text: impl Into<String>) -> Self {
        Self {
            place,
            text: text.into(),
            name: None,
            nics: Vec::new(),
            label: None,
            labelled: Vec::new(),
            values: Vec::new(),
            is_named: false,
            addresses: Vec::new(),
            known_by: HostMatch::default(),
            labels: Vec::new(),
            notes: None,
            is_ignored: false,
            settings: Vec::new(),
        }
    }
}

/// A value of a host by its path in the site file.
#[derive(Clone, Debug)]
pub(super) struct HostValue {
    pub(super) path: String,
    pub(super) value: String,
    pub(super) place: Place,
}

/// A site that is being put together, and the report.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) choices: Choices,
    pub(super) site: Site,
    /// The networks of hosts, by host.
    pub(super) networks: BTreeMap<String, Meaning>,
    /// The same once they are in the site, to compare it with.
    pub(super) verify: BTreeMap<String, Meaning>,
    /// The columns of tables.
    pub(super) columns: Vec<TableColumn>,
    clients: Vec<Client>,
    not_taken: Vec<NotTaken>,
    seen: BTreeSet<(Place, String)>,
    places: BTreeMap<String, Place>,
}

/// What names of BMCs end with, after a hyphen, an underscore or a dot.
const BMC_SUFFIXES: [&str; 14] = [
    "bmc", "ipmi", "idrac", "drac", "ilo", "ilom", "oob", "xcc", "imm", "irmc", "cimc", "mgmt",
    "mgt", "rib",
];
/// What names of NICs begin with, before a number.
const NIC_WORDS: [&str; 12] =
    ["eth", "eno", "ens", "enp", "em", "nic", "port", "net", "ib", "if", "p", "lan"];

/// What a client is of the host whose name its own begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Bmc,
    Nic,
}

impl Draft {
    pub(super) fn new(choices: Choices) -> Self {
        Self {
            choices,
            site: Site::default(),
            networks: BTreeMap::new(),
            verify: BTreeMap::new(),
            columns: Vec::new(),
            clients: Vec::new(),
            not_taken: Vec::new(),
            seen: BTreeSet::new(),
            places: BTreeMap::new(),
        }
    }

    /// Reports something that is not taken over, once.
    pub(super) fn report(&mut self, place: &Place, text: impl Into<String>, reason: Reason) {
        let text = text.into();
        if self.seen.insert((place.clone(), text.clone())) {
            self.not_taken.push(NotTaken { place: place.clone(), text, reason });
        }
    }

    pub(super) fn client(&mut self, client: Client) {
        self.clients.push(client);
    }

    /// Adds a subnet, or finds the one with the same prefix.
    pub(super) fn subnet(
        &mut self,
        cidr: ipnet::IpNet,
        name: Option<&str>,
        place: &Place,
    ) -> String {
        let cidr = cidr.trunc();
        if let Some((name, _)) = self.site.subnets.iter().find(|(_, subnet)| subnet.cidr == cidr) {
            return name.clone();
        }
        let of_inventory = self.choices.known.iter().find(|(_, known)| **known == cidr);
        let name = of_inventory.map(|(name, _)| name.as_str()).or(name);
        let by_prefix = format!("{}-{}", cidr.network(), cidr.prefix_len()).replace(':', "-");
        let named = name.map(noun_name).filter(|name| !self.site.subnets.contains_key(name));
        let name = named.unwrap_or(by_prefix);
        self.site.subnets.insert(name.clone(), empty_subnet(cidr));
        self.places.insert(format!("subnets.{name}"), place.clone());
        name
    }

    /// Notes where an entry comes from.
    pub(super) fn placed(&mut self, path: String, place: &Place) {
        self.places.entry(path).or_insert_with(|| place.clone());
    }

    /// The most exact subnet with an address.
    pub(super) fn subnet_of(&self, address: IpAddr) -> Option<String> {
        let fits = self.site.subnets.iter().filter(|(_, subnet)| subnet.cidr.contains(&address));
        fits.max_by_key(|(_, subnet)| subnet.cidr.prefix_len()).map(|(name, _)| name.clone())
    }

    /// Lays what a server says of a subnet into it.
    pub(super) fn set_subnet(&mut self, name: &str, settings: &[Setting]) {
        let Some(mut subnet) = self.site.subnets.get(name).cloned() else { return };
        let mut given = Map::new();
        for setting in settings {
            if let Err(reason) =
                options::into_subnet(&mut subnet, &mut given, setting, &self.choices)
            {
                self.report(&setting.place, setting.text.clone(), reason);
            }
        }
        // Each was read by itself before.
        subnet.dhcp_options = tree::read_json(&Value::Object(given)).unwrap_or_default();
        self.site.subnets.insert(name.to_owned(), subnet);
    }

    /// A name that a host may have; reports one that had to be changed.
    pub(super) fn host_name(&mut self, raw: &str, place: &Place) -> Option<String> {
        if check_host_name(raw).is_ok() {
            return Some(raw.to_owned());
        }
        match suggested_host_name(raw.trim_end_matches('.')) {
            Some(name) => {
                self.report(place, format!("host {raw}"), Reason::Renamed(name.clone()));
                Some(name)
            }
            None => {
                let why = check_host_name(raw).err().map(|error| error.to_string());
                self.report(place, format!("host {raw}"), Reason::Invalid(why.unwrap_or_default()));
                None
            }
        }
    }

    /// Makes hosts of the clients, and gives the site and the report.
    pub(super) fn finish(mut self) -> Imported {
        let clients = std::mem::take(&mut self.clients);
        let mut named: IndexMap<String, Vec<Client>> = IndexMap::new();
        for client in clients {
            let raw = client
                .name
                .clone()
                .or_else(|| client.nics.first().map(|nic| format!("host-{}", nic.hyphenated())));
            let raw = raw.or_else(|| {
                client.addresses.first().map(|ip| format!("host-{ip}").replace(['.', ':'], "-"))
            });
            let Some(raw) = raw else {
                self.report(&client.place, client.text.clone(), Reason::NoMac);
                continue;
            };
            let Some(name) = self.host_name(&raw, &client.place) else { continue };
            named.entry(name).or_default().push(client);
        }
        let names: BTreeSet<String> = named.keys().cloned().collect();
        // Hosts first, then what is a part of one.
        let (whole, parts): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|(name, _)| base_of(name, &names).is_none());
        for (name, clients) in whole {
            clients.into_iter().for_each(|client| self.add_to_host(&name, None, client));
        }
        for (name, clients) in parts {
            let Some((base, part, label)) = base_of(&name, &names) else { continue };
            for client in clients {
                match part {
                    Part::Bmc => self.add_bmc(&base, &name, client),
                    Part::Nic => self.add_to_host(&base, Some(&label), client),
                }
            }
        }
        networks::verify(&mut self);
        self.not_taken.sort_by(|a, b| a.place.cmp(&b.place));
        let Self { site, not_taken, columns, places, .. } = self;
        Imported { site, not_taken, kinds: Vec::new(), columns, places }
    }

    fn add_bmc(&mut self, base: &str, name: &str, client: Client) {
        let has_bmc = self.site.hosts.get(base).is_some_and(|host| host.bmc.is_some());
        let mac = client.nics.first().and_then(|nic| nic.mac());
        let (Some(mac), false, 1) = (mac, has_bmc, client.nics.len()) else {
            self.add_to_host(name, None, client);
            return;
        };
        if self.is_taken(mac.into(), &client) {
            return;
        }
        // What a group says of its hosts is not meant for their BMCs.
        for setting in client.settings.iter().filter(|setting| setting.place >= client.place) {
            self.report(&setting.place, setting.text.clone(), Reason::NoCounterpart);
        }
        let address = client.addresses.first().copied();
        if let Some(host) = self.site.hosts.get_mut(base) {
            host.bmc = Some(Bmc { mac, address });
        }
        self.placed(format!("hosts.{base}.bmc"), &client.place);
    }

    /// Whether another host has a NIC already; reports it then.
    fn is_taken(&mut self, nic: NicAddress, client: &Client) -> bool {
        let path = format!("nic {nic}");
        match self.places.get(&path).cloned() {
            Some(place) => {
                self.report(
                    &client.place,
                    format!("{} ({nic})", client.text),
                    Reason::Duplicate(place),
                );
                true
            }
            None => {
                self.places.insert(path, client.place.clone());
                false
            }
        }
    }

    fn add_to_host(&mut self, name: &str, label: Option<&str>, client: Client) {
        let mut host = self.site.hosts.shift_take(name);
        let was_there = host.nics.len();
        let label = label.or(client.label.as_deref());
        for (label, nic) in &client.labelled {
            if !self.is_taken(*nic, &client) && check_link_name(label).is_ok() {
                host.nics.insert(label.clone(), (*nic).into());
            }
        }
        for nic in &client.nics {
            if self.is_taken(*nic, &client) {
                continue;
            }
            let free =
                || (0..).map(|n| format!("eth{n}")).find(|label| !host.nics.contains_key(label));
            let wanted = label.map(str::to_owned).filter(|label| !host.nics.contains_key(label));
            if let Some(label) = wanted.or_else(free) {
                host.nics.insert(label, (*nic).into());
            }
        }
        let is_new_nic = host.nics.len() > was_there;
        let is_known = is_new_nic || client.is_named || client.known_by != HostMatch::default();
        if !is_known && client.nics.is_empty() {
            self.report(&client.place, client.text.clone(), Reason::NoMac);
        }
        for address in &client.addresses {
            if is_known {
                self.reserve(name, &mut host, *address, &client);
            }
        }
        if host.known_by == HostMatch::default() {
            host.known_by = client.known_by.clone();
        }
        if host.notes.is_none() {
            host.notes = client.notes.clone();
        }
        for HostValue { path, value, place } in &client.values {
            let one = [(path.clone(), value.clone())];
            match set_values(Some(&host), &one) {
                Ok(changed) => host = changed,
                Err(error) => {
                    self.report(
                        place,
                        format!("{path}: {value}"),
                        Reason::Invalid(error.to_string()),
                    );
                }
            }
        }
        if client.is_ignored {
            host.dhcp = HostDhcp::Off;
        }
        for one in &client.labels {
            if !host.labels.contains(one) {
                host.labels.push(one.clone());
            }
        }
        let mut given = match serde_json::to_value(&host.dhcp_options) {
            Ok(Value::Object(given)) => given,
            _ => Map::new(),
        };
        for setting in &client.settings {
            if let Err(reason) =
                options::into_host(name, &mut host, &mut given, setting, &self.choices)
            {
                self.report(&setting.place, setting.text.clone(), reason);
            }
        }
        host.dhcp_options = tree::read_json(&Value::Object(given)).unwrap_or_default();
        if is_known || was_there > 0 {
            self.placed(format!("hosts.{name}"), &client.place);
            self.site.hosts.insert(name.to_owned(), host);
        }
    }

    fn reserve(&mut self, name: &str, host: &mut Host, address: IpAddr, client: &Client) {
        let given = self.choices.subnets.iter().find(|cidr| cidr.contains(&address)).copied();
        let known = self.choices.known.iter().filter(|(_, cidr)| cidr.contains(&address));
        let known = known.max_by_key(|(_, cidr)| cidr.prefix_len()).map(|(name, _)| name.clone());
        let found = self.subnet_of(address).or(known);
        let found = found.or_else(|| Some(self.subnet(given?, None, &client.place)));
        let Some(subnet) = found else {
            self.report(&client.place, format!("{} ({address})", client.text), Reason::NoSubnet);
            return;
        };
        match host.reservations.get(&subnet) {
            Some(kept) if *kept != address => {
                let reason = Reason::SecondAddress { host: name.to_owned(), subnet, kept: *kept };
                self.report(&client.place, format!("{} ({address})", client.text), reason);
            }
            Some(_) => {}
            None => {
                let path = format!("address {address}");
                if let Some(place) = self.places.get(&path).cloned() {
                    let text = format!("{} ({address})", client.text);
                    self.report(&client.place, text, Reason::Duplicate(place));
                    return;
                }
                self.places.insert(path, client.place.clone());
                host.reservations.insert(subnet, address);
            }
        }
    }
}

/// Takes a host out, or begins one.
trait ShiftTake {
    fn shift_take(&mut self, name: &str) -> Host;
}

impl ShiftTake for BTreeMap<String, Host> {
    fn shift_take(&mut self, name: &str) -> Host {
        self.remove(name).unwrap_or_default()
    }
}

/// The host that a name is a part of, what part, and the label of a NIC: `n1-bmc`, `n1-eth1`,
/// `n1-mgmt.dc1.example`.
fn base_of(name: &str, names: &BTreeSet<String>) -> Option<(String, Part, String)> {
    let (first, domain) = match name.split_once('.') {
        Some((first, domain)) => (first, format!(".{domain}")),
        None => (name, String::new()),
    };
    let of = |whole: &str, domain: &str| {
        let at = whole.rfind(['-', '_', '.'])?;
        let (base, suffix) = (&whole[..at], whole[at + 1..].to_ascii_lowercase());
        let base = format!("{base}{domain}");
        let word = suffix.trim_end_matches(|c: char| c.is_ascii_digit());
        let part = match suffix.as_str() {
            bmc if BMC_SUFFIXES.contains(&bmc) => Part::Bmc,
            _ if NIC_WORDS.contains(&word) && word.len() < suffix.len() => Part::Nic,
            _ => return None,
        };
        names.contains(&base).then_some((base, part, suffix))
    };
    of(first, &domain).or_else(|| of(name, ""))
}

/// A name that a subnet, rack or profile may have.
pub(super) fn noun_name(raw: &str) -> String {
    let allowed = |c: char| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') => c,
        _ => '-',
    };
    let name: String = raw.chars().map(allowed).take(63).collect();
    let name = name.trim_start_matches(['.', '_', '-']).to_owned();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// A subnet of which only the prefix is known.
pub(super) fn empty_subnet(cidr: ipnet::IpNet) -> Subnet {
    let value = serde_json::json!({"cidr": cidr});
    tree::read_json(&value).expect("a prefix alone is a subnet")
}

/// The place of a line.
pub(super) fn place(file: &Arc<str>, line: usize) -> Place {
    Place { file: file.clone(), line }
}

/// The first IPv4 address of some words.
pub(super) fn first_address(words: &[String]) -> Option<Ipv4Addr> {
    words.iter().find_map(|word| word.trim().parse().ok())
}
