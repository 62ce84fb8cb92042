//! A profile as its links, each with a form, and back to the text of a site file. What the forms do
//! not know stays as it was written. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::drawing::Node;
use super::form::Fields;
use super::host_form::FormErrors;
use crate::inventory::ChangeError;
use crate::model::{Host, Profile, ProfileTree, Site};
use crate::network::{HostNetwork, layout};
use crate::profile::ResolvedSite;
use crate::site_file::{self, SiteFileError};

/// The kinds of links that have forms, the lowest first: the section, and what one is called.
const KINDS: [(&str, &str); 4] =
    [("nics", "NIC"), ("bonds", "bond"), ("vlans", "VLAN"), ("bridges", "bridge")];
/// Labels of NICs that are offered where a profile has none.
const USUAL_NICS: [&str; 4] = ["eth0", "eth1", "eth2", "eth3"];
/// What a profile is called until it has a name.
const UNNAMED: &str = "new-profile";

/// A profile that is being built.
pub(super) struct Builder {
    /// Its name; of a new one, what was entered.
    pub name: String,
    /// Whether it is not in the site yet.
    pub is_new: bool,
    /// The link whose form is shown.
    pub selected: Option<String>,
    /// What is wrong with what was entered, before it is read as a whole.
    pub errors: FormErrors,
    tree: Map<String, Value>,
    /// What the tree and all that it extends come to.
    whole: Value,
    /// The sections of its links that have no forms.
    others: BTreeSet<&'static str>,
    network: Option<HostNetwork>,
}

/// The form of a link.
pub(super) struct LinkForm {
    pub name: String,
    pub section: &'static str,
    pub kind: &'static str,
    /// Where it is in the profile: `bonds.bond0`.
    pub place: String,
    /// Whether this profile itself has the link, and not one that it extends.
    pub is_own: bool,
    /// None for kinds of links that are edited as text.
    pub fields: Vec<LinkField>,
}

/// A key of a link.
pub(super) struct LinkField {
    pub key: &'static str,
    /// Where it is in the profile: `bonds.bond0.mode`.
    pub place: String,
    pub label: &'static str,
    pub hint: &'static str,
    /// What it has, as forms send it: what is sent unchanged changes nothing.
    pub value: String,
    pub control: Control,
}

/// How a key is entered.
pub(super) enum Control {
    Text,
    Tick,
    /// One of these: the value and what it means.
    Choice(Vec<(String, String)>),
    /// Any of these.
    Ticks(Vec<String>),
}

impl LinkField {
    /// Whether a box is ticked.
    pub(super) fn has(&self, word: &str) -> bool {
        self.value.split(' ').any(|own| own == word)
    }
}

impl Builder {
    /// The builder of a profile; an empty one for a new profile.
    pub(super) fn of(name: &str, tree: Option<&ProfileTree>, site: &ResolvedSite) -> Self {
        let tree = tree.map(|tree| tree.entries().clone()).unwrap_or_default();
        let mut builder = Self {
            name: name.to_owned(),
            is_new: name.is_empty(),
            selected: None,
            errors: FormErrors::default(),
            tree,
            whole: Value::Null,
            others: BTreeSet::new(),
            network: None,
        };
        builder.resolve(site);
        builder.selected = builder.highest();
        builder
    }

    /// That of a text with one profile; none if it has anything else.
    pub(super) fn of_text(text: &str, site: &ResolvedSite) -> Result<Option<Self>, SiteFileError> {
        let part: Site = site_file::parse_entry(text, "the text")?;
        let mut profiles = part.profiles.iter();
        let (Some((name, tree)), None) = (profiles.next(), profiles.next()) else {
            return Ok(None);
        };
        let mut alone = Site::default();
        alone.profiles.insert(name.clone(), tree.clone());
        Ok((alone == part).then(|| Self::of(name, Some(tree), site)))
    }

    /// Takes what was entered in the form of the link that was shown, and does what a button says.
    pub(super) fn take(&mut self, sent: &Fields, site: &ResolvedSite) {
        let selected = sent.text("selected");
        self.selected = (!selected.is_empty()).then(|| selected.to_owned());
        if let Some(name) = self.selected.clone() {
            self.enter(&name, sent);
        }
        match sent.text("do").split_once(' ') {
            Some(("select", name)) => self.selected = Some(name.to_owned()),
            Some(("add", section)) => self.add(section),
            Some(("remove", name)) => self.remove(name),
            _ => {}
        }
        self.resolve(site);
        if self.selected.as_deref().is_none_or(|name| !self.has(name)) {
            self.selected = self.highest();
        }
    }

    /// Computes what the profile comes to.
    fn resolve(&mut self, site: &ResolvedSite) {
        let name = self.key().to_owned();
        let mut site = site.clone();
        site.profiles.insert(name.clone(), ProfileTree::from(self.tree.clone()));
        let example = Host { profile: Some(name.clone()), index: Some(1), ..Host::default() };
        site.hosts = [(name.clone(), example)].into();
        let profile = site.profile_named(&name, None);
        let links = profile.iter().flat_map(|found| found.profile.links());
        let sections = links.map(|link| link.section);
        self.others = sections.filter(|own| KINDS.iter().all(|(kind, _)| kind != own)).collect();
        // Every model type serialises.
        self.whole = profile
            .and_then(|found| serde_json::to_value::<&Profile>(&found.profile).ok())
            .unwrap_or_default();
        self.network = Some(layout(&site, &name)).filter(|network| !network.links.is_empty());
    }

    fn key(&self) -> &str {
        if self.name.is_empty() { UNNAMED } else { &self.name }
    }

    /// The profile as a part of a site file.
    pub(super) fn text(&self) -> String {
        let mut alone = Site::default();
        alone.profiles.insert(self.key().to_owned(), ProfileTree::from(self.tree.clone()));
        site_file::render(&alone)
    }

    /// The network that the profile comes to; none if it has mistakes, or no links.
    pub(super) fn network(&self) -> Option<&HostNetwork> {
        self.network.as_ref()
    }

    /// The links as they were written, to draw what has mistakes.
    pub(super) fn nodes(&self) -> Vec<Node> {
        let node = |(layer, (section, kind)): (usize, (&'static str, &'static str))| {
            let names = self.names(section);
            let node = |name: String| {
                let below =
                    ["nics", "link", "interfaces"].map(|key| self.value(section, &name, key));
                let below = below.iter().flat_map(|value| value.split(' ')).map(str::to_owned);
                let below = below.filter(|name| !name.is_empty()).collect();
                Node { name, kind, layer, below, ..Node::default() }
            };
            names.into_iter().map(node).collect::<Vec<_>>()
        };
        KINDS.into_iter().enumerate().flat_map(node).collect()
    }

    /// The names of the links in a section; NICs also where only another link names them.
    fn names(&self, section: &str) -> Vec<String> {
        let keys = |tree: Option<&Value>| -> Vec<String> {
            let entries = tree.and_then(Value::as_object).into_iter().flatten();
            entries.filter(|(_, spec)| !spec.is_null()).map(|(name, _)| name.clone()).collect()
        };
        let own = self.tree.get(section).and_then(Value::as_object);
        let is_gone = |name: &String| own.and_then(|own| own.get(name)).is_some_and(Value::is_null);
        let mut names: BTreeSet<String> = keys(self.tree.get(section)).into_iter().collect();
        names.extend(keys(self.whole.get(section)).into_iter().filter(|name| !is_gone(name)));
        if section == "nics" {
            let others: BTreeSet<String> = self
                .sections()
                .filter(|other| *other != "nics")
                .flat_map(|s| self.names(s))
                .collect();
            for (section, key) in [("bonds", "nics"), ("vlans", "link"), ("bridges", "interfaces")]
            {
                for name in self.names(section) {
                    let below = self.value(section, &name, key);
                    let below = below.split(' ').filter(|name| !name.is_empty()).map(str::to_owned);
                    names.extend(below.filter(|name| !others.contains(name)));
                }
            }
        }
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }

    /// The sections of links that have forms, and those of the other links of the profile.
    fn sections(&self) -> impl Iterator<Item = &'static str> {
        KINDS.map(|(section, _)| section).into_iter().chain(self.others.iter().copied())
    }

    fn section_of(&self, name: &str) -> Option<&'static str> {
        self.sections().find(|section| self.names(section).iter().any(|own| own == name))
    }

    fn has(&self, name: &str) -> bool {
        self.section_of(name).is_some()
    }

    /// The topmost link.
    fn highest(&self) -> Option<String> {
        KINDS.iter().rev().find_map(|(section, _)| self.names(section).into_iter().next())
    }

    /// What a key of a link has, as forms send it: as it was written if it is plain, else what it
    /// comes to.
    fn value(&self, section: &str, name: &str, key: &str) -> String {
        let own = self.tree.get(section).and_then(|links| links.get(name)?.get(key));
        let own = own.and_then(sent);
        own.or_else(|| sent(self.whole.get(section)?.get(name)?.get(key)?)).unwrap_or_default()
    }

    /// Which bond or bridge a link is in.
    fn master(&self, name: &str) -> Option<String> {
        [("bonds", "nics"), ("bridges", "interfaces")].into_iter().find_map(|(section, key)| {
            self.names(section)
                .into_iter()
                .find(|master| self.value(section, master, key).split(' ').any(|own| own == name))
        })
    }

    fn enter(&mut self, name: &str, sent: &Fields) {
        let Some(section) = self.section_of(name) else { return };
        for key in KEYS {
            let (was, now) = (format!("was.{key}"), format!("set.{key}"));
            let Some(was) = sent.texts(&was).next() else { continue };
            let words: Vec<&str> = sent.texts(&now).filter(|word| !word.is_empty()).collect();
            let now = words.join(" ");
            if was != now {
                self.set(section, name, key, &now);
            }
        }
        let renamed = sent.text("link-name");
        if renamed.is_empty() || renamed == name || !self.is_own(section, name) {
            return;
        }
        if self.has(renamed) {
            let text = format!("another link is named \"{renamed}\" already");
            self.errors.add(format!("{section}.{name}"), text);
            return;
        }
        self.rename(section, name, renamed);
        self.selected = Some(renamed.to_owned());
    }

    fn is_own(&self, section: &str, name: &str) -> bool {
        let own = self.tree.get(section).and_then(|links| links.get(name));
        own.is_some_and(|spec| !spec.is_null())
    }

    fn set(&mut self, section: &str, name: &str, key: &str, text: &str) {
        let links = self.tree.entry(section).or_insert_with(|| json!({}));
        let Some(links) = links.as_object_mut() else { return };
        let spec = links.entry(name).or_insert_with(|| json!({}));
        let Some(spec) = spec.as_object_mut() else { return };
        let value = match (key, text) {
            ("nics" | "interfaces", text) => {
                text.split(' ').filter(|name| !name.is_empty()).map(Value::from).collect()
            }
            // What the profile extends may say it.
            (_, "") if spec.remove(key).is_some() => return,
            (_, "") => Value::Null,
            ("dhcp4" | "stp", text) => Value::from(text == "true"),
            ("id" | "mtu", text) => text.parse::<u32>().map_or_else(|_| text.into(), Value::from),
            (_, text) => text.into(),
        };
        spec.insert(key.to_owned(), value);
    }

    fn add(&mut self, section: &str) {
        let below = self.selected.clone().filter(|name| self.has(name)).or_else(|| self.highest());
        let (name, spec) = match section {
            "nics" => (self.free("eth"), json!({})),
            "bonds" => {
                let nics: Vec<String> =
                    self.nics().into_iter().filter(|n| self.master(n).is_none()).take(2).collect();
                (
                    self.free("bond"),
                    json!({"nics": nics, "mode": "802.3ad", "mii-monitor": "100ms"}),
                )
            }
            "vlans" => {
                let below = below.map(|name| match self.section_of(&name) {
                    Some("vlans") => self.value("vlans", &name, "link"),
                    _ => self.master(&name).unwrap_or(name),
                });
                (self.free("vlan"), json!({"link": below.unwrap_or_else(|| "eth0".to_owned())}))
            }
            "bridges" => {
                let below = below.map(|name| self.master(&name).unwrap_or(name));
                let is_port = |name: &String| self.section_of(name) != Some("bridges");
                let ports: Vec<String> = below.into_iter().filter(is_port).collect();
                let mut spec = json!({"interfaces": ports});
                if let Some((port, lower)) =
                    ports.first().and_then(|port| Some((port, self.section_of(port)?)))
                {
                    // The topmost link of a subnet has its address; DHCP asks there as well.
                    let subnet = self.value(lower, port, "subnet");
                    if !subnet.is_empty() {
                        spec["subnet"] = subnet.into();
                    }
                    let port = self.tree.get_mut(lower).and_then(|links| links.get_mut(port));
                    if let Some(port) = port.and_then(Value::as_object_mut) {
                        for key in ["host-number", "dhcp4"] {
                            if let Some(value) = port.remove(key) {
                                spec[key] = value;
                            }
                        }
                    }
                }
                (self.free("br"), spec)
            }
            _ => return,
        };
        let links = self.tree.entry(section).or_insert_with(|| json!({}));
        if let Some(links) = links.as_object_mut() {
            links.insert(name.clone(), spec);
        }
        self.selected = Some(name);
    }

    fn remove(&mut self, name: &str) {
        let Some(section) = self.section_of(name) else { return };
        let is_own = self.is_own(section, name);
        let is_below = self.whole.get(section).is_some_and(|links| links.get(name).is_some());
        let links = self.tree.entry(section).or_insert_with(|| json!({}));
        if let Some(links) = links.as_object_mut() {
            if is_own {
                links.remove(name);
            } else if is_below {
                links.insert(name.to_owned(), Value::Null);
            }
        }
        if self.tree.get(section).is_some_and(|links| *links == json!({})) {
            self.tree.remove(section);
        }
        self.whole = Value::Null;
        self.replace(name, None);
    }

    fn rename(&mut self, section: &str, name: &str, renamed: &str) {
        if let Some(links) = self.tree.get_mut(section).and_then(Value::as_object_mut) {
            let kept = std::mem::take(links).into_iter();
            links.extend(
                kept.map(|(own, spec)| (if own == name { renamed.to_owned() } else { own }, spec)),
            );
        }
        self.replace(name, Some(renamed));
    }

    /// Names a link otherwise, or no more, wherever a link is built on it.
    fn replace(&mut self, name: &str, by: Option<&str>) {
        for (section, key) in [("bonds", "nics"), ("vlans", "link"), ("bridges", "interfaces")] {
            let links = self.tree.get_mut(section).and_then(Value::as_object_mut);
            for spec in links.into_iter().flat_map(Map::values_mut) {
                match spec.get_mut(key) {
                    Some(Value::Array(names)) => {
                        names.retain(|own| by.is_some() || own.as_str() != Some(name));
                        for own in names.iter_mut().filter(|own| own.as_str() == Some(name)) {
                            *own = by.into();
                        }
                    }
                    Some(own) if by.is_some() && own.as_str() == Some(name) => *own = by.into(),
                    _ => {}
                }
            }
        }
    }

    /// The NICs that a bond may take.
    fn nics(&self) -> Vec<String> {
        let mut nics = self.names("nics");
        let more = USUAL_NICS.map(str::to_owned).into_iter().filter(|name| !nics.contains(name));
        let more: Vec<String> = more.collect();
        nics.extend(more);
        nics
    }

    fn free(&self, prefix: &str) -> String {
        let mut names = (0..).map(|number| format!("{prefix}{number}"));
        names.find(|name| !self.has(name)).unwrap_or_default()
    }

    /// The form of the link that is selected.
    pub(super) fn form(&self, subnets: &[String]) -> Option<LinkForm> {
        let name = self.selected.clone()?;
        let section = self.section_of(&name)?;
        let Some((section, kind)) = KINDS.into_iter().find(|(own, _)| *own == section) else {
            let (is_own, place) = (self.is_own(section, &name), format!("{section}.{name}"));
            let fields = Vec::new();
            return Some(LinkForm { name, section: "", kind: "link", place, is_own, fields });
        };
        let value = |key| self.value(section, &name, key);
        let words = |words: &[(&str, &str)]| -> Vec<(String, String)> {
            words.iter().map(|(word, text)| ((*word).to_owned(), (*text).to_owned())).collect()
        };
        let plain = |name: &String| (name.clone(), name.clone());
        let links = |but: &[&str]| -> Vec<String> {
            let all = KINDS.iter().filter(|(kind, _)| !but.contains(kind));
            all.flat_map(|(kind, _)| self.names(kind)).filter(|other| *other != name).collect()
        };
        // Those that are in another bond or bridge are not on offer.
        let free = |all: Vec<String>| -> Vec<String> {
            let is_free = |other: &String| self.master(other).is_none_or(|master| master == name);
            all.into_iter().filter(is_free).collect()
        };
        let field = |key, label, hint, control| {
            let place = format!("{section}.{name}.{key}");
            LinkField { key, place, label, hint, value: value(key), control }
        };
        let mut fields = match section {
            "bonds" => vec![
                field(
                    "nics",
                    "NICs",
                    "The members, by their labels.",
                    Control::Ticks(free(self.nics())),
                ),
                field(
                    "mode",
                    "Mode",
                    "802.3ad needs LACP on the switch.",
                    Control::Choice(words(&MODES)),
                ),
                field(
                    "lacp-rate",
                    "LACP rate",
                    "For 802.3ad only.",
                    Control::Choice(words(&LACP_RATES)),
                ),
            ],
            "vlans" => vec![
                field(
                    "link",
                    "On",
                    "The link below.",
                    Control::Choice(free(links(&["vlans"])).iter().map(plain).collect()),
                ),
                field("id", "VLAN id", "1 to 4094. Empty: that of the subnet.", Control::Text),
            ],
            "bridges" => vec![
                field(
                    "interfaces",
                    "Ports",
                    "What the bridge joins.",
                    Control::Ticks(free(links(&["bridges"]))),
                ),
                field(
                    "stp",
                    "Spanning tree",
                    "On delays the network at boot.",
                    Control::Choice(words(&SWITCH)),
                ),
            ],
            _ => Vec::new(),
        };
        let mut networks = words(&[("", "none")]);
        networks.extend(subnets.iter().map(plain));
        let hint = "Where links on each other name one subnet, the topmost has the address.";
        fields.push(field("subnet", "Subnet", hint, Control::Choice(networks)));
        fields.push(field("dhcp4", "Address by DHCP", "", Control::Tick));
        fields.push(field("mtu", "MTU", "In bytes. Empty: that of the subnet.", Control::Text));
        for field in &mut fields {
            if matches!(field.control, Control::Tick) && field.value != "true" {
                field.value = String::new();
            }
            if let Control::Choice(words) = &mut field.control
                && !words.iter().any(|(word, _)| *word == field.value)
            {
                let text = if field.value.is_empty() { "choose" } else { field.value.as_str() };
                words.insert(0, (field.value.clone(), text.to_owned()));
            }
        }
        let (is_own, place) = (self.is_own(section, &name), format!("{section}.{name}"));
        Some(LinkForm { name, section, kind, place, is_own, fields })
    }

    /// What is missing before the profile can be read as a whole.
    pub(super) fn own_errors(&self) -> FormErrors {
        let mut form_errors = self.errors.clone();
        if self.is_new && self.name.is_empty() {
            form_errors.add("entry-name", "enter a name for the profile");
        }
        form_errors
    }

    /// Errors of the text, at the fields of the links.
    pub(super) fn text_errors(&self, errors: &[SiteFileError]) -> FormErrors {
        let mut form_errors = FormErrors::default();
        let prefix = format!("profiles.{}.", self.key());
        for error in errors {
            let path = error.path.strip_prefix(&prefix).unwrap_or_default();
            form_errors.add(self.place(&self.keys(path), None), &*error.message);
        }
        form_errors
    }

    /// Why a change is refused, at the fields of the links.
    pub(super) fn refusal(&self, error: &ChangeError) -> FormErrors {
        FormErrors::of_change(error, |finding| {
            let own = finding.subjects().find(|at| at.is_in::<ProfileTree>(&self.name));
            let field = own.map(|at| at.field.as_slice()).unwrap_or_default();
            self.place(field, finding.link.as_deref())
        })
    }

    /// The keys of a path in the profile; names of links may have dots.
    fn keys(&self, path: &str) -> Vec<String> {
        let Some((section, rest)) = path.split_once('.') else { return Vec::new() };
        let within = |name: String| {
            let after = rest.strip_prefix(&name)?;
            let keys = after.strip_prefix('.').map(|keys| keys.split('.').map(str::to_owned));
            (after.is_empty() || keys.is_some()).then(|| {
                [section.to_owned(), name].into_iter().chain(keys.into_iter().flatten()).collect()
            })
        };
        self.names(section).into_iter().find_map(within).unwrap_or_default()
    }

    /// The field of a value: `bonds.bond0.nics`, or `bonds.bond0` for the link itself.
    fn place(&self, field: &[String], link: Option<&str>) -> String {
        match (field, link) {
            ([section, name, key, ..], _) if KEYS.contains(&key.as_str()) => {
                format!("{section}.{name}.{key}")
            }
            ([section, name, ..], _) => format!("{section}.{name}"),
            (_, Some(name)) => {
                self.section_of(name).map(|section| format!("{section}.{name}")).unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    /// The link that a place is about.
    pub(super) fn link_at<'a>(&self, place: &'a str) -> Option<&'a str> {
        let name = place.split_once('.')?.1;
        let key = KEYS.iter().find_map(|key| name.strip_suffix(&format!(".{key}")));
        Some(key.unwrap_or(name))
    }

    /// Shows the link that is wrong, unless something is wrong with the one that is shown.
    pub(super) fn select_wrong(&mut self, form_errors: &FormErrors) {
        let wrong: Vec<&str> =
            form_errors.iter().filter_map(|(place, _)| self.link_at(place)).collect();
        if !wrong.iter().any(|name| self.selected.as_deref() == Some(name)) {
            let first = wrong.into_iter().find(|name| self.has(name)).map(str::to_owned);
            self.selected = first.or_else(|| self.selected.take());
        }
    }
}

/// The keys of links that forms have.
const KEYS: [&str; 10] =
    ["nics", "mode", "lacp-rate", "link", "id", "interfaces", "stp", "subnet", "dhcp4", "mtu"];

const MODES: [(&str, &str); 7] = [
    ("802.3ad", "802.3ad: LACP"),
    ("active-backup", "active-backup: one link at a time"),
    ("balance-xor", "balance-xor: a hash chooses the link"),
    ("balance-rr", "balance-rr: packets in turn"),
    ("balance-tlb", "balance-tlb: sending by load"),
    ("balance-alb", "balance-alb: both ways by load"),
    ("broadcast", "broadcast: every packet on every link"),
];

const LACP_RATES: [(&str, &str); 3] =
    [("", "default"), ("slow", "slow: every 30 s"), ("fast", "fast: every second")];

const SWITCH: [(&str, &str); 3] = [("", "default"), ("true", "on"), ("false", "off")];

/// A plain value as a form sends it; none for what has parts or is computed from parts.
fn sent(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(items) => {
            let words: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            words.map(|words| words.join(" "))
        }
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The builder after these forms have been sent, one after the other.
    fn built(text: &str, forms: &[&str]) -> Builder {
        let site = site_file::parse("subnets: {lan: {cidr: 10.0.0.0/24, vlan: 500}}", "site");
        let site = ResolvedSite::from(site.unwrap());
        let mut builder = Builder::of_text(text, &site).unwrap().unwrap();
        for form in forms {
            let mut sent = builder.selected.as_ref().map(|name| format!("selected={name}&"));
            let sent = sent.get_or_insert_default();
            sent.push_str(form);
            builder.take(&Fields::parse(sent.as_bytes()).unwrap(), &site);
        }
        builder
    }

    fn json(text: &str) -> Value {
        serde_json::to_value(site_file::parse_entry::<Site>(text, "").unwrap()).unwrap()
    }

    #[test]
    fn links_are_added_on_each_other() {
        let forms = [
            "do=add+bonds",
            "do=add+vlans",
            "link-name=vlan500&was.subnet=&set.subnet=lan",
            "do=add+bridges",
        ];
        let builder = built("profiles: {it: {}}", &forms);
        let expected = "profiles: {it: {bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, mii-monitor: 100ms}}, \
            vlans: {vlan500: {link: bond0, subnet: lan}}, bridges: {br0: {interfaces: [vlan500], subnet: lan}}}}";
        assert_eq!(json(&builder.text()), json(expected));
    }

    #[test]
    fn what_no_form_knows_stays() {
        let text = "profiles: {it: {sysctl: {a.b: 1}, bonds: {bond0: {nics: [{for-each: {nic: {count: 2, item: eth<nic>}}}], \
            mode: active-backup, primary: eth1, host-number: =index + 10}}}}";
        let forms = [
            "was.mode=active-backup&set.mode=802.3ad&was.nics=eth0+eth1&set.nics=eth0&set.nics=eth1",
        ];
        let builder = built(text, &forms);
        assert_eq!(json(&builder.text()), json(&text.replace("active-backup", "802.3ad")));
    }

    #[test]
    fn a_renamed_link_is_renamed_wherever_it_is_used() {
        let text = "profiles: {it: {bonds: {bond0: {nics: [eth0], mode: 802.3ad}}, vlans: {v: {link: bond0, id: 5}}}}";
        let builder = built(text, &["do=select+bond0", "link-name=up&do=select+v"]);
        assert_eq!(json(&builder.text()), json(&text.replace("bond0", "up")));
        let builder = built(text, &["do=select+bond0", "link-name=v"]);
        assert_eq!(builder.errors.at("bonds.bond0"), Some("another link is named \"v\" already"));
        let builder = built(text, &["do=remove+v"]);
        assert_eq!(builder.names("vlans"), [""; 0]);
    }

    #[test]
    fn links_of_what_a_profile_extends_are_changed_and_taken_away_here() {
        let text = "profiles: {it: {extends: ready/bond-vlan-bridge, parameters: {subnet: {default: lan}}}}";
        let builder = built(text, &["do=select+br0"]);
        assert_eq!(builder.value("bonds", "bond0", "nics"), "eth0 eth1");
        assert_eq!(builder.value("bridges", "br0", "subnet"), "lan");
        let builder = built(
            text,
            &["do=select+br0", "was.stp=&set.stp=true&do=select+bond0", "do=remove+br0"],
        );
        assert_eq!(builder.names("bridges"), ["br0"], "that of the profile below is back");
        let builder = built(text, &["do=remove+br0"]);
        assert_eq!(builder.names("bridges"), [""; 0]);
        assert!(builder.names("bonds") == ["bond0"] && builder.network().is_some());
    }
}
