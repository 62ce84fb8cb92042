//! Writes a host's links as nmstate's desired state, in the vocabulary of nmstate 2.2. Pure.
//!
//! NetworkManager is what brings the links up, so its own settings are written as well. What udev
//! sets on a NIC stays in `.link` files.

mod addresses;
mod kinds;

use serde_json::{Map, Value, json};

use super::links::{HostNetwork, Kind, Link, Role};
use super::losses::{INFINIBAND, Losses};
use super::netplan::present;
use super::network_manager::{self, KnownBy};
use super::{File, Format, networkd, resolvers, yaml};
use crate::model::{EmitLldp, MacPolicy, MatchBy, ReceiveLldp};

/// The desired state, and what NetworkManager and udev are told besides.
pub(super) fn render(host: &HostNetwork, losses: &mut Losses) -> Vec<File> {
    let managed = |link: &&Link| !matches!(link.role, Role::Unused | Role::Unmanaged);
    let mut state = State::default();
    for link in host.links.values().filter(managed) {
        let mut writer = Writer { host, link, keys: Map::new(), state: &mut state, losses };
        writer.link();
        let keys = Value::Object(writer.keys);
        state.interfaces.push(keys);
    }
    let mut files = networkd::link_files(host);
    files.push(network_manager::settings(host));
    let resolvers = resolvers(host, losses);
    let text = yaml::write(&state.document(resolvers));
    files.push(File::of(Format::Nmstate, "90-rackstrap.yml", text));
    files
}

/// The parts of the document.
#[derive(Default)]
struct State {
    interfaces: Vec<Value>,
    routes: Vec<Value>,
    rules: Vec<Value>,
}

impl State {
    fn document(self, resolvers: Option<Value>) -> Value {
        let config = |list: Vec<Value>| (!list.is_empty()).then(|| json!({"config": list}));
        let mut document = Map::new();
        let parts = [
            ("dns-resolver", resolvers.map(|config| json!({"config": config}))),
            ("route-rules", config(self.rules)),
            ("routes", config(self.routes)),
            ("interfaces", Some(Value::Array(self.interfaces))),
        ];
        for (key, part) in parts {
            document.extend(part.map(|part| (key.to_owned(), part)));
        }
        Value::Object(document)
    }
}

/// The resolvers and search domains, which nmstate has once for the whole host.
fn resolvers(host: &HostNetwork, losses: &mut Losses) -> Option<Value> {
    let link = resolvers::of_host(host, losses)?;
    let servers: Vec<_> = link.layer3.dns.iter().map(|server| server.address).collect();
    // It places them in one list a family.
    let changes = servers.windows(2).filter(|pair| pair[0].is_ipv4() != pair[1].is_ipv4()).count();
    losses.add_if(changes > 1, &link.name, "resolvers of both families in turn");
    let domains = &link.layer3.domains;
    Some(present([
        ("server", (!servers.is_empty()).then(|| json!(servers))),
        ("search", (!domains.is_empty()).then(|| json!(domains))),
    ]))
}

/// One interface under construction.
struct Writer<'a> {
    host: &'a HostNetwork,
    link: &'a Link,
    keys: Map<String, Value>,
    state: &'a mut State,
    losses: &'a mut Losses,
}

impl Writer<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.keys.insert(key.to_owned(), value.into());
    }

    fn lose(&mut self, lost: bool, feature: &str) {
        self.losses.add_if(lost, &self.link.name, feature);
    }

    fn link(&mut self) {
        let link = self.link;
        self.set("name", name(self.host, link));
        self.set("type", type_word(&link.kind));
        self.set("state", "up");
        self.identity();
        self.bring_up();
        self.kind();
        // What a bond or a bridge has taken in has no addresses.
        if self.host.owner(link).is_none() {
            self.addresses();
        }
    }

    /// How the interface is found, and its MAC.
    fn identity(&mut self) {
        let link = self.link;
        self.lose(link.is_infiniband(), INFINIBAND);
        self.lose(link.has_pattern(), "match-name with a pattern");
        let path = link.nic.as_ref().and_then(|nic| nic.path.as_deref());
        match network_manager::known_by(self.host, link) {
            KnownBy::Mac(mac) => {
                self.set("identifier", "mac-address");
                self.set("mac-address", mac.to_string());
                self.lose(link.mac.is_some(), "macaddress of a NIC that is found by its MAC");
                return;
            }
            KnownBy::Path(path) => match path.strip_prefix("pci-").filter(|pci| is_pci(pci)) {
                Some(pci) => {
                    self.set("identifier", "pci-address");
                    self.set("pci-address", pci);
                }
                None => self.lose(true, "a path that is not of PCI"),
            },
            KnownBy::Name => {
                let unsaid = link.is_nic() && self.host.match_by == MatchBy::Path;
                self.lose(unsaid && path.is_none(), "match by path");
            }
        }
        if let Some(mac) = link.mac {
            self.set("mac-address", mac.to_string());
        }
    }

    /// What is said of how the link is announced and brought up.
    fn bring_up(&mut self) {
        let (link, settings) = (self.link, &self.link.settings);
        self.losses.networkd_words(link);
        let words = [
            (settings.emit_lldp != EmitLldp::No, "emit-lldp"),
            (settings.lldp == Some(ReceiveLldp::Routers), "lldp: routers-only"),
            (settings.activation_mode.is_some(), "activation-mode"),
            (settings.mac_policy() == Some(MacPolicy::Persistent), "macaddress: persistent"),
            (settings.critical, "critical"),
            (settings.optional, "optional"),
            (!link.layer3.ntp.is_empty(), "time servers"),
        ];
        for (used, feature) in words {
            self.lose(used, feature);
        }
        for (said, words) in link.layer3.resolver_words() {
            self.lose(said, words);
        }
        if let Some(text) = &settings.description {
            self.set("description", text.to_string());
        }
        if let Some(mtu) = settings.mtu {
            self.set("mtu", mtu);
        }
        if let Some(lldp) = settings.lldp {
            self.set("lldp", json!({"enabled": lldp != ReceiveLldp::No}));
        }
    }
}

/// What the document calls a link: a NIC that may be called anything has a name in the document
/// alone.
fn name<'a>(host: &HostNetwork, link: &'a Link) -> &'a str {
    match network_manager::known_by(host, link) {
        KnownBy::Name => link.device(),
        _ => &link.name,
    }
}

/// The name in the document of the link `link`.
fn reference<'a>(host: &'a HostNetwork, link: &'a str) -> &'a str {
    host.links.get(link).map_or(link, |link| name(host, link))
}

/// Whether a text is a PCI address such as `0000:42:00.0`.
fn is_pci(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '.']).collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [4, 2, 2, 1]
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
        && text.matches(':').count() == 2
}

fn type_word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Nic(_) => "ethernet",
        Kind::Bridge(_) => "linux-bridge",
        Kind::Macvlan(_) => "mac-vlan",
        Kind::Tunnel { .. } => "ip-tunnel",
        Kind::Loopback => "loopback",
        other => other.kernel_kind().unwrap_or("ethernet"),
    }
}
