//! Which hosts are wanted: words that all match, and facets. The same query, as text in a URL, is
//! a view to come back to and what a change of many hosts is about. Pure.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::error::Error;
use super::site_facts::SiteFacts;
use crate::lifecycle::{HostState, HostStatus};
use crate::model::natural;
use crate::model::{Host, HostMatch, NicAddress, Rack, Site};
use crate::network::ConfigState;

/// How many hexadecimal digits may be part of a MAC.
const MAC_DIGITS: usize = 3;

/// What hosts are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Facet {
    State,
    Rack,
    Profile,
    Image,
    Tenant,
    Vlan,
    Label,
    RackLabel,
    SubnetLabel,
    SwitchLabel,
    Finding,
    Config,
}

impl Facet {
    pub(crate) const ALL: [Self; 12] = [
        Self::State,
        Self::Config,
        Self::Rack,
        Self::Profile,
        Self::Image,
        Self::Tenant,
        Self::Vlan,
        Self::Label,
        Self::RackLabel,
        Self::SubnetLabel,
        Self::SwitchLabel,
        Self::Finding,
    ];

    /// The key of the URL, and of a word such as `rack:r051`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Rack => "rack",
            Self::Profile => "profile",
            Self::Image => "image",
            Self::Tenant => "tenant",
            Self::Vlan => "vlan",
            Self::Label => "label",
            Self::RackLabel => "rack-label",
            Self::SubnetLabel => "subnet-label",
            Self::SwitchLabel => "switch-label",
            Self::Finding => "finding",
            Self::Config => "config",
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::State => "State",
            Self::Rack => "Rack",
            Self::Profile => "Profile",
            Self::Image => "Image",
            Self::Tenant => "Tenant",
            Self::Vlan => "VLAN",
            Self::Label => "Label",
            Self::RackLabel => "Rack label",
            Self::SubnetLabel => "Subnet label",
            Self::SwitchLabel => "Switch label",
            Self::Finding => "Finding",
            Self::Config => "Configuration",
        }
    }

    fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.key() == key)
    }
}

/// A column of the list that can be shown besides the usual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    Serial,
    Macs,
    Profile,
    Image,
    Tenant,
    Labels,
    Lease,
    Ports,
    Notes,
}

impl Extra {
    pub(crate) const ALL: [Self; 9] = [
        Self::Serial,
        Self::Macs,
        Self::Profile,
        Self::Image,
        Self::Tenant,
        Self::Labels,
        Self::Lease,
        Self::Ports,
        Self::Notes,
    ];

    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Macs => "macs",
            Self::Profile => "profile",
            Self::Image => "image",
            Self::Tenant => "tenant",
            Self::Labels => "labels",
            Self::Lease => "lease",
            Self::Ports => "ports",
            Self::Notes => "notes",
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Serial => "Serial",
            Self::Macs => "MACs",
            Self::Profile => "Profile",
            Self::Image => "Image",
            Self::Tenant => "Tenant",
            Self::Labels => "Labels",
            Self::Lease => "Lease",
            Self::Ports => "Switch ports",
            Self::Notes => "Notes",
        }
    }

    /// What it says of a host.
    pub(crate) fn text(self, view: &HostView<'_>) -> String {
        let host = view.host;
        let given = |text: &Option<String>| text.clone().unwrap_or_default();
        match self {
            Self::Serial => given(&host.serial),
            Self::Macs => {
                let macs = host.nics.values().map(|nic| nic.address.to_string());
                macs.collect::<Vec<_>>().join(" ")
            }
            Self::Profile => given(&host.profile),
            Self::Image => given(&host.image),
            Self::Tenant => given(&host.tenant),
            Self::Labels => host.labels.join(", "),
            Self::Lease => {
                let leased = view.leased.iter().map(ToString::to_string);
                leased.collect::<Vec<_>>().join(" ")
            }
            Self::Ports => {
                let cables = host.nics.values().filter_map(|nic| nic.cable.as_ref());
                cables.map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
            Self::Notes => given(&host.notes),
        }
    }
}

/// All that is known of hosts at a moment.
pub(crate) struct Hosts<'a> {
    pub site: &'a Site,
    pub statuses: &'a BTreeMap<String, HostStatus>,
    /// The addresses that hosts have by DHCP now.
    pub leases: HashMap<String, Vec<Ipv4Addr>>,
    /// What the hosts run, compared with the inventory, as far as they have said.
    pub configs: &'a BTreeMap<String, ConfigState>,
    pub facts: &'a SiteFacts,
}

/// A host with what is known of it.
pub(crate) struct HostView<'a> {
    pub name: &'a String,
    pub host: &'a Host,
    pub state: HostState,
    pub leased: &'a [Ipv4Addr],
    config: ConfigState,
    site: &'a Site,
    rack: Option<&'a Rack>,
    vlans: &'a [u16],
    rules: &'a [&'static str],
}

impl<'a> Hosts<'a> {
    pub(crate) fn view(&'a self, name: &'a String, host: &'a Host) -> HostView<'a> {
        HostView {
            name,
            host,
            state: self.statuses.get(name).map(|status| status.state).unwrap_or_default(),
            config: self.configs.get(name).copied().unwrap_or(ConfigState::Unknown),
            leased: self.leases.get(name).map(Vec::as_slice).unwrap_or_default(),
            site: self.site,
            rack: host.rack.as_ref().and_then(|rack| self.site.racks.get(rack)),
            vlans: self.facts.vlans_of(name),
            rules: self.facts.rules_of(name),
        }
    }
}

impl HostView<'_> {
    /// What it is in a facet; none where it is nothing there.
    fn values(&self, facet: Facet) -> Vec<String> {
        let given = |text: &Option<String>| text.iter().cloned().collect();
        let mut values: Vec<String> = match facet {
            Facet::State => vec![self.state.label().to_owned()],
            Facet::Rack => given(&self.host.rack),
            Facet::Profile => given(&self.host.profile),
            Facet::Image => given(&self.host.image),
            Facet::Tenant => given(&self.host.tenant),
            Facet::Vlan => self.vlans.iter().map(ToString::to_string).collect(),
            Facet::Label => self.host.labels.clone(),
            Facet::RackLabel => self.rack_labels().to_vec(),
            Facet::SubnetLabel => distinct(self.subnet_labels()),
            Facet::SwitchLabel => distinct(self.switch_labels()),
            Facet::Finding => self.rules.iter().map(|rule| (*rule).to_owned()).collect(),
            Facet::Config => vec![self.config.label().to_owned()],
        };
        if values.is_empty() {
            values.push("none".into());
        }
        values
    }

    fn rack_labels(&self) -> &[String] {
        self.rack.map(|rack| rack.labels.as_slice()).unwrap_or_default()
    }

    /// The labels of the subnets that it has a reservation or an address in.
    fn subnet_labels(&self) -> impl Iterator<Item = &String> {
        let labelled = self.site.subnets.iter().filter(|(_, subnet)| !subnet.labels.is_empty());
        let mut labelled = labelled.peekable();
        let addresses: Vec<IpAddr> = match labelled.peek() {
            Some(_) => self.addresses().collect(),
            None => Vec::new(),
        };
        let own = labelled.filter(move |(name, subnet)| {
            self.host.reservations.contains_key(*name)
                || addresses.iter().any(|address| subnet.cidr.contains(address))
        });
        own.flat_map(|(_, subnet)| &subnet.labels)
    }

    /// The labels of the switches that it is cabled to.
    fn switch_labels(&self) -> impl Iterator<Item = &String> {
        let cables = self.host.nics.values().filter_map(|nic| nic.cable.as_ref());
        let switches = cables.filter_map(|cable| self.site.switches.get(&cable.switch));
        switches.flat_map(|switch| &switch.labels)
    }

    /// What DHCP knows it by besides its MACs, as text.
    fn identities(&self) -> impl Iterator<Item = String> {
        let HostMatch { uuid, client_id, circuit_id, remote_id } = &self.host.known_by;
        let octets = [client_id, circuit_id, remote_id].into_iter().flatten();
        uuid.iter().map(ToString::to_string).chain(octets.map(ToString::to_string))
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let bmc = self.host.bmc.as_ref().and_then(|bmc| bmc.address);
        let own = self.host.addresses.values().chain(self.host.reservations.values()).copied();
        own.chain(bmc).chain(self.leased.iter().map(|address| IpAddr::V4(*address)))
    }

    /// Whether one of its texts has this in it, which is in lower case.
    fn says(&self, text: &str) -> bool {
        let has = |value: &str| value.to_lowercase().contains(text);
        let host = self.host;
        let optional = [
            &host.rack,
            &host.serial,
            &host.profile,
            &host.image,
            &host.tenant,
            &host.notes,
            &host.boot_file,
        ];
        let location = self.rack.and_then(|rack| rack.location.as_deref());
        let parameters = host.parameters.iter();
        let mut parameters = parameters.map(|(name, value)| format!("{name}={value}"));
        let is_number =
            |word: &str, number: &dyn ToString| text == word || text == number.to_string();
        let is_in = |identity: String| has(&identity) || has(&identity.replace('-', ""));
        let mut cables = host.nics.values().filter_map(|nic| nic.cable.as_ref());
        has(self.name)
            || optional.into_iter().flatten().any(|value| has(value))
            || host.labels.iter().any(|label| has(label))
            || self.rack_labels().iter().any(|label| has(label))
            || self.subnet_labels().any(|label| has(label))
            || self.switch_labels().any(|label| has(label))
            || location.is_some_and(has)
            || self.state.label() == text
            || host.unit.is_some_and(|unit| text == format!("u{unit}"))
            || cables.any(|cable| has(&cable.to_string()))
            || self.addresses().any(|address| address.to_string().contains(text))
            || self.vlans.iter().any(|vlan| is_number("vlan", vlan))
            || host.index.is_some_and(|index| is_number("index", &index))
            || parameters.any(|given| has(&given))
            || (text.len() >= IDENTITY_DIGITS && self.identities().any(is_in))
    }

    fn has_mac_with(&self, digits: &str) -> bool {
        let is_in = |mac: NicAddress| mac.to_string().replace(':', "").contains(digits);
        self.host.nics.values().any(|nic| is_in(nic.address))
            || self.host.bmc.as_ref().is_some_and(|bmc| is_in(bmc.mac.into()))
    }
}

/// How much of a UUID or client identifier finds a host: less is in many of them by chance.
const IDENTITY_DIGITS: usize = 4;

/// Each once, in their order.
fn distinct<'a>(labels: impl Iterator<Item = &'a String>) -> Vec<String> {
    labels.collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

/// One thing to look for.
#[derive(Debug)]
enum Word {
    Facet(Facet, String),
    Prefix(IpNet),
    /// A text in lower case, and the hexadecimal digits alone where it may be part of a MAC: as they are
    /// written, and with the zeros that were left out.
    Text(String, Vec<String>),
}

impl Word {
    fn new(text: &str) -> Self {
        let text = text.trim().to_lowercase();
        if let Some((key, value)) = text.split_once(':')
            && let Some(facet) = Facet::of_key(key)
            && !value.is_empty()
        {
            return Self::Facet(facet, value.to_owned());
        }
        if text.contains('/')
            && let Ok(prefix) = text.parse::<IpNet>()
        {
            return Self::Prefix(prefix.trunc());
        }
        let bare = text.strip_prefix("0x").unwrap_or(&text);
        let digits: String = bare.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
        let is_hexadecimal =
            digits.len() >= MAC_DIGITS && digits.chars().all(|c| c.is_ascii_hexdigit());
        if !is_hexadecimal {
            return Self::Text(text, Vec::new());
        }
        // `0c:42:a1:3:5:0` is `0c:42:a1:03:05:00`; of a part that is still typed, the last byte may go on.
        let bytes: Vec<&str> = bare.split([':', '-']).collect();
        let mut all = vec![digits];
        if bytes.len() > 1 && bytes.iter().all(|byte| byte.len() <= 2) {
            let padded = |bytes: &[&str]| -> String {
                let filled = bytes.iter().filter(|byte| !byte.is_empty());
                filled.map(|byte| format!("{byte:0>2}")).collect()
            };
            let (last, rest) = bytes.split_last().unwrap_or((&"", &[][..]));
            all.extend([padded(&bytes), padded(rest) + *last]);
        }
        all.dedup();
        Self::Text(text, all)
    }

    fn matches(&self, view: &HostView<'_>) -> bool {
        match self {
            Self::Facet(facet, value) => {
                view.values(*facet).iter().any(|own| own.to_lowercase() == *value)
            }
            Self::Prefix(prefix) => view.addresses().any(|address| prefix.contains(&address)),
            Self::Text(text, digits) => {
                view.says(text) || digits.iter().any(|it| view.has_mac_with(it))
            }
        }
    }
}

/// The words of a text: all must match. Words joined by commas are alternatives; the six pairs
/// of a MAC with blanks are one word.
fn words(text: &str) -> Vec<Vec<Word>> {
    let is_pair = |word: &&str| word.len() == 2 && word.chars().all(|c| c.is_ascii_hexdigit());
    let pieces: Vec<&str> = text.split_whitespace().collect();
    if pieces.len() > 1 && pieces.iter().all(is_pair) {
        return vec![vec![Word::new(&pieces.concat())]];
    }
    let alternatives = |piece: &&str| {
        piece.split(',').filter(|word| !word.is_empty()).map(Word::new).collect::<Vec<_>>()
    };
    pieces.iter().map(alternatives).filter(|words| !words.is_empty()).collect()
}

/// Which hosts are wanted, in which order, and what is shown of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostsQuery {
    /// Words that must all match.
    pub text: String,
    /// Wanted values by facet: one of each must match.
    pub facets: BTreeMap<Facet, Vec<String>>,
    /// `place`, `name`, `state` or `event`; anything else is `place`.
    pub sort: String,
    /// Columns besides the usual ones.
    pub extra: Vec<Extra>,
    /// Which page, from 1.
    pub page: usize,
}

/// How many hosts have each value of each facet.
pub(crate) type FacetCounts = BTreeMap<Facet, BTreeMap<String, usize>>;

/// The hosts that a query finds.
pub(crate) struct Found<'a> {
    /// In the order that is wanted.
    pub hosts: Vec<(&'a String, &'a Host)>,
    /// Of each value: how many there would be with it.
    pub counts: FacetCounts,
}

impl HostsQuery {
    /// Reads the query of a URL.
    ///
    /// # Errors
    /// A page that is not a number. What is not known is left out.
    pub(crate) fn parse(raw: &str) -> Result<Self, Error> {
        let mut query = Self::default();
        for (key, value) in form_urlencoded::parse(raw.as_bytes()) {
            let value = value.trim();
            match key.as_ref() {
                _ if value.is_empty() => {}
                "text" => value.clone_into(&mut query.text),
                "sort" => value.clone_into(&mut query.sort),
                "page" => {
                    let wrong = |error| {
                        Error::Malformed(format!("invalid query \"?{raw}\": page: {error}"))
                    };
                    query.page = usize::from_str(value).map_err(wrong)?;
                }
                "cols" => {
                    let named = |key: &str| Extra::ALL.into_iter().find(|it| it.key() == key);
                    for extra in value.split(',').filter_map(named) {
                        if !query.extra.contains(&extra) {
                            query.extra.push(extra);
                        }
                    }
                }
                key => {
                    if let Some(facet) = Facet::of_key(key) {
                        let wanted = query.facets.entry(facet).or_default();
                        if !wanted.iter().any(|known| known == value) {
                            wanted.push(value.to_owned());
                        }
                    }
                }
            }
        }
        Ok(query)
    }

    /// What it finds, as the query of a URL: always the same text for the same query, without the
    /// order and the page.
    pub(crate) fn filter_text(&self) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        if !self.text.is_empty() {
            text.append_pair("text", &self.text);
        }
        for (facet, values) in &self.facets {
            let mut values = values.clone();
            values.sort();
            for value in &values {
                text.append_pair(facet.key(), value);
            }
        }
        text.finish()
    }

    /// The whole query but for the page, with its `&` at the end.
    pub(crate) fn link(&self) -> String {
        let mut text = self.filter_text();
        let extra: Vec<&str> = self.extra.iter().map(|extra| extra.key()).collect();
        let mut rest = form_urlencoded::Serializer::new(String::new());
        if !extra.is_empty() {
            rest.append_pair("cols", &extra.join(","));
        }
        if !self.sort.is_empty() {
            rest.append_pair("sort", &self.sort);
        }
        let rest = rest.finish();
        for part in [rest.as_str()] {
            if !part.is_empty() {
                if !text.is_empty() {
                    text.push('&');
                }
                text.push_str(part);
            }
        }
        if !text.is_empty() {
            text.push('&');
        }
        text
    }

    /// The query with a value of a facet added, or taken away where it is in.
    pub(crate) fn toggled(&self, facet: Facet, value: &str) -> Self {
        let mut query = Self { page: 0, ..self.clone() };
        let wanted = query.facets.entry(facet).or_default();
        match wanted.iter().position(|known| known == value) {
            Some(index) => drop(wanted.remove(index)),
            None => wanted.push(value.to_owned()),
        }
        query.facets.retain(|_, values| !values.is_empty());
        query
    }

    pub(crate) fn has(&self, facet: Facet, value: &str) -> bool {
        self.facets.get(&facet).is_some_and(|values| values.iter().any(|known| known == value))
    }

    /// Whether it leaves out any host.
    pub(crate) fn is_narrow(&self) -> bool {
        !self.text.is_empty() || !self.facets.is_empty()
    }

    /// Whether it asks for what follows from the whole site: VLANs and findings.
    pub(crate) fn needs_facts(&self) -> bool {
        let is_one = |facet: &Facet| matches!(facet, Facet::Vlan | Facet::Finding);
        let text = self.text.to_lowercase();
        self.facets.keys().any(is_one) || text.contains("vlan") || text.contains("finding:")
    }

    /// The hosts that it finds. `last_ms` says when something happened to a host last.
    pub(crate) fn find<'a>(
        &self,
        hosts: &'a Hosts<'a>,
        last_ms: impl Fn(&str) -> i64,
    ) -> Found<'a> {
        let words = words(&self.text);
        let mut counts = FacetCounts::new();
        let mut found: Vec<(&String, &Host)> = Vec::new();
        for (name, host) in &hosts.site.hosts {
            let view = hosts.view(name, host);
            if !words.iter().all(|word| word.iter().any(|word| word.matches(&view))) {
                continue;
            }
            let failed: Vec<Facet> = self
                .facets
                .iter()
                .filter(|(facet, wanted)| {
                    let own = view.values(**facet);
                    !wanted.iter().any(|wanted| own.contains(wanted))
                })
                .map(|(facet, _)| *facet)
                .collect();
            let counted: &[Facet] = match failed.as_slice() {
                [] => {
                    found.push((name, host));
                    &Facet::ALL
                }
                // One more value of this facet would let it in.
                [one] => std::slice::from_ref(one),
                _ => &[],
            };
            for facet in counted {
                for value in view.values(*facet) {
                    *counts.entry(*facet).or_default().entry(value).or_default() += 1;
                }
            }
        }
        let state = |name: &str| hosts.statuses.get(name).map(|it| it.state).unwrap_or_default();
        match self.sort.as_str() {
            "name" => found.sort_by(|a, b| natural(a.0, b.0)),
            "state" => found.sort_by_key(|(name, _)| urgency(state(name))),
            "event" => found.sort_by_key(|(name, _)| std::cmp::Reverse(last_ms(name))),
            _ => found.sort_by(by_place),
        }
        Found { hosts: found, counts }
    }
}

/// By rack and unit, then by name; hosts without a rack come last.
fn by_place(a: &(&String, &Host), b: &(&String, &Host)) -> Ordering {
    let rack = match (&a.1.rack, &b.1.rack) {
        (Some(a), Some(b)) => natural(a, b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    };
    rack.then_with(|| a.1.unit.cmp(&b.1.unit)).then_with(|| natural(a.0, b.0))
}

/// What needs a person comes first.
pub(crate) fn urgency(state: HostState) -> u8 {
    match state {
        HostState::Failed => 0,
        HostState::Stuck => 1,
        HostState::Installing => 2,
        HostState::Booting => 3,
        HostState::Waiting => 4,
        HostState::Up => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        serde_json::from_value(serde_json::json!({
            "racks": {"R7": {"location": "hall 2 row 9", "labels": ["copper"]}},
            "switches": {"leaf7a": {"vendor": "eos", "labels": ["old-firmware"]}},
            "subnets": {
                "a": {"cidr": "172.16.160.0/24", "labels": ["customers"]},
                "b": {"cidr": "10.1.0.0/24", "labels": ["lab"]},
            },
            "hosts": {
                "r7-n01": {
                    "rack": "R7", "unit": 32, "serial": "CZ123", "profile": "hyper",
                    "labels": ["gold"], "notes": "fan is loud",
                    "nics": {"eth0": {"mac": "52:54:00:aa:0f:7e", "switch": "leaf7a", "port": "Ethernet20"}},
                    "addresses": {"br0": "172.16.160.12"},
                    "bmc": {"mac": "52:54:00:bb:00:01", "address": "10.9.0.7"},
                    "parameters": {"asn": 65001}, "index": 4711, "boot-file": "special.efi",
                    "match": {"uuid": "00112233-4455-6677-8899-aabbccddeeff", "client-id": "hex:ff0102"},
                },
                "r8-n02": {"rack": "r8", "unit": 1, "profile": "other"},
            },
        }))
        .unwrap()
    }

    fn names(query: &str) -> String {
        let site = site();
        let statuses = BTreeMap::from([(
            "r7-n01".to_owned(),
            HostStatus { state: HostState::Stuck, ..HostStatus::default() },
        )]);
        let leases = HashMap::from([("r7-n01".to_owned(), vec![Ipv4Addr::new(10, 64, 0, 29)])]);
        let facts = SiteFacts::with_vlans([("r7-n01".to_owned(), vec![509])]);
        let configs = BTreeMap::from([("r7-n01".to_owned(), ConfigState::Outdated)]);
        let hosts =
            Hosts { site: &site, statuses: &statuses, leases, configs: &configs, facts: &facts };
        let found = HostsQuery::parse(query).unwrap().find(&hosts, |_| 0);
        found.hosts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_host_is_found_by_anything_that_is_known_of_it() {
        for text in [
            "n01",
            "R7-N",
            "r7",
            "cz12",
            "160.12",
            "5254.00aa",
            "52-54-00-AA-0F-7E",
            "aa:0f:7e",
            "52:54:0:aa:f:7e",
            "0:aa:f",
            "f7e",
            "52 54 00 aa 0f 7e",
            "0x525400aa",
            "10.64.0.29",
            "10.64.0.0/24",
            "172.16.0.0/12",
            "10.9.0.7",
            "bb:00:01",
            "leaf7a",
            "Ethernet20",
            "leaf7a Ethernet20",
            "hyper gold",
            "rack:r7",
            "R7 U32",
            "hall 2",
            "stuck",
            "state:stuck",
            "vlan 509",
            "vlan:509",
            "label:gold",
            "loud",
            "n01,n99",
            "profile:hyper,profile:x",
            "rack-label:copper",
            "copper",
            "switch-label:old-firmware",
            "subnet-label:Customers",
            "asn=65001",
            "asn",
            "index 4711",
            "special.efi",
            "445566",
            "8899-aabb",
            "hex:ff01",
        ] {
            let query =
                form_urlencoded::Serializer::new(String::new()).append_pair("text", text).finish();
            assert_eq!(names(&query), "r7-n01", "{text}");
        }
        for text in [
            "n03",
            "n01 n02",
            "52:54:00:aa:00:02",
            "10.65",
            "192.168.0.0/16",
            "label:iron",
            "label:copper",
            "subnet-label:lab",
            "vlan 88",
            "index 471",
        ] {
            let query =
                form_urlencoded::Serializer::new(String::new()).append_pair("text", text).finish();
            assert_eq!(names(&query), "", "{text}");
        }
        assert_eq!(names(""), "r7-n01 r8-n02");
    }

    #[test]
    fn facets_are_alternatives_within_and_together_between() {
        let cases = [
            ("rack=R7", "r7-n01"),
            ("rack=R7&rack=r8", "r7-n01 r8-n02"),
            ("rack=R7&rack=r8&state=waiting", "r8-n02"),
            ("rack=R7&state=waiting", ""),
            ("tenant=none&label=gold", "r7-n01"),
            ("vlan=509", "r7-n01"),
            ("config=outdated", "r7-n01"),
            ("config=unknown", "r8-n02"),
            ("rack-label=copper", "r7-n01"),
            ("rack-label=none", "r8-n02"),
            ("switch-label=old-firmware&subnet-label=customers", "r7-n01"),
            ("finding=none&unknown=1", "r7-n01 r8-n02"),
        ];
        for (query, expected) in cases {
            assert_eq!(names(query), expected, "{query}");
        }
    }

    #[test]
    fn counts_say_what_another_value_would_find() {
        let (site, statuses, facts) = (site(), BTreeMap::new(), SiteFacts::default());
        let (leases, configs) = Default::default();
        let hosts =
            Hosts { site: &site, statuses: &statuses, leases, configs: &configs, facts: &facts };
        let found = HostsQuery::parse("rack=R7").unwrap().find(&hosts, |_| 0);
        assert_eq!(
            found.counts[&Facet::Rack],
            BTreeMap::from([("R7".into(), 1), ("r8".into(), 1)])
        );
        assert_eq!(found.counts[&Facet::Profile], BTreeMap::from([("hyper".into(), 1)]));
    }

    #[test]
    fn a_query_has_one_text() {
        let query =
            HostsQuery::parse("sort=name&state=stuck&state=failed&text=a+b&cols=serial&page=3")
                .unwrap();
        assert_eq!(query.filter_text(), "text=a+b&state=failed&state=stuck");
        assert_eq!(query.link(), "text=a+b&state=failed&state=stuck&cols=serial&sort=name&");
        assert_eq!(HostsQuery::parse(&query.link()).unwrap().filter_text(), query.filter_text());
        let toggled = query.toggled(Facet::State, "stuck").toggled(Facet::Rack, "r1");
        assert_eq!(toggled.filter_text(), "text=a+b&state=failed&rack=r1");
        assert!(HostsQuery::parse("page=x").is_err());
        assert_eq!(HostsQuery::default().link(), "");
    }

    #[test]
    fn hosts_stand_in_the_order_of_the_racks() {
        let host = |rack: Option<&str>, unit| Host {
            rack: rack.map(str::to_owned),
            unit,
            ..Host::default()
        };
        let names: Vec<String> = ["z", "b", "a", "y", "c"].map(str::to_owned).into();
        let hosts = [
            host(Some("r2"), Some(1)),
            host(Some("r2"), Some(10)),
            host(Some("r2"), Some(9)),
            host(Some("r10"), None),
            host(None, None),
        ];
        let mut list: Vec<(&String, &Host)> = names.iter().zip(&hosts).rev().collect();
        list.sort_by(by_place);
        assert_eq!(
            list.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["z", "a", "b", "y", "c"]
        );
    }
}
