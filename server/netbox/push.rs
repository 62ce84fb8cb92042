//! What the inventory knows of hosts and a NetBox lacks: what is written there. Pure.
//!
//! NetBox's own word stands: nothing is deleted, and nothing that it says already is replaced. Where both
//! say something else, that is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::records::{
    Device, INTERFACE, Interface, IpAddress, MacAddress, Port, Prefix, Rack, Record,
};
use crate::model::{Cable, Mac};
use crate::network::{Kind, Role, layout};
use crate::profile::ResolvedSite;

/// A host as the inventory has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    rack: Option<String>,
    unit: Option<u16>,
    serial: Option<String>,
    /// Whether it has reported that it is up.
    is_up: bool,
    nics: Vec<WantedNic>,
    bmc: Option<Mac>,
    links: Vec<WantedLink>,
    addresses: Vec<WantedAddress>,
}

#[derive(Clone, Debug)]
struct WantedNic {
    label: String,
    mac: Mac,
    cable: Option<Cable>,
}

/// A link that is no NIC.
#[derive(Clone, Debug)]
struct WantedLink {
    name: String,
    /// The type of such an interface in NetBox.
    kind: &'static str,
    /// The link below.
    parent: Option<String>,
    /// The bond or bridge that it is in.
    master: Option<String>,
}

#[derive(Clone, Debug)]
struct WantedAddress {
    on: On,
    net: IpNet,
}

/// What an address is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    Link(String),
    Bmc,
}

/// The host as it is to be in NetBox.
pub(crate) fn wanted(site: &ResolvedSite, name: &str, is_up: bool) -> Option<Wanted> {
    let host = site.hosts.get(name)?;
    let mut wanted = Wanted {
        name: name.to_owned(),
        rack: host.rack.clone(),
        unit: host.unit,
        serial: host.serial.clone(),
        is_up,
        bmc: host.bmc.as_ref().map(|bmc| bmc.mac),
        ..Wanted::default()
    };
    for (label, nic) in &host.nics {
        // NetBox has MACs alone.
        let Some(mac) = nic.mac() else { continue };
        wanted.nics.push(WantedNic { label: label.clone(), mac, cable: nic.cable.clone() });
    }
    let network = layout(site, name);
    let mut seen = BTreeSet::new();
    for link in network.links.values() {
        if matches!(link.role, Role::Unused | Role::Unmanaged) {
            continue;
        }
        let own: Vec<IpNet> =
            link.written().filter(|one| one.is_own).map(|one| one.address).collect();
        let kind = match &link.kind {
            Kind::Nic(_) => None,
            Kind::Bond(_) => Some("lag"),
            Kind::Bridge(_) => Some("bridge"),
            // Others are there for their addresses.
            Kind::Vlan { .. } => Some("virtual"),
            _ if own.is_empty() => continue,
            _ => Some("virtual"),
        };
        if let Some(kind) = kind {
            let parent = match &link.kind {
                Kind::Vlan { parent, .. } => Some(parent.clone()),
                _ => None,
            };
            let (name, master) = (link.name.clone(), link.master.clone());
            wanted.links.push(WantedLink { name, kind, parent, master });
        } else if let Some(master) = &link.master {
            let (name, master) = (link.name.clone(), Some(master.clone()));
            wanted.links.push(WantedLink { name, kind: "", parent: None, master });
        }
        for net in own.into_iter().filter(|net| seen.insert(net.addr())) {
            wanted.addresses.push(WantedAddress { on: On::Link(link.name.clone()), net });
        }
    }
    let whole = |subnet: &str, address: IpAddr| {
        let cidr = site.subnets.get(subnet)?.cidr;
        IpNet::new(address, cidr.prefix_len()).ok()
    };
    let first = wanted.nics.first().map(|nic| On::Link(nic.label.clone()));
    for (subnet, address) in host.reservations.iter().filter(|(_, ip)| !seen.contains(*ip)) {
        if let (Some(on), Some(net)) = (first.clone(), whole(subnet, *address)) {
            wanted.addresses.push(WantedAddress { on, net });
        }
    }
    if let Some(address) = host.bmc.as_ref().and_then(|bmc| bmc.address) {
        let around = site.subnets.values().filter(|subnet| subnet.cidr.contains(&address));
        let length = around.map(|subnet| subnet.cidr.prefix_len()).max();
        let length = length.unwrap_or_else(|| if address.is_ipv4() { 32 } else { 128 });
        let net = IpNet::new(address, length).ok();
        wanted.addresses.extend(net.map(|net| WantedAddress { on: On::Bmc, net }));
    }
    Some(wanted)
}

/// What is there of the hosts.
#[derive(Clone, Debug, Default)]
pub(crate) struct There {
    pub(crate) devices: Vec<Device>,
    /// Of hosts.
    pub(crate) interfaces: Vec<Interface>,
    /// Of switches.
    pub(crate) ports: Vec<Port>,
    /// Of hosts, and those that are elsewhere or nowhere and hosts have here.
    pub(crate) addresses: Vec<IpAddress>,
    /// The same.
    pub(crate) macs: Vec<MacAddress>,
    pub(crate) prefixes: Vec<Prefix>,
    pub(crate) racks: Vec<Rack>,
}

impl There {
    /// The device of a host, or why there is none to write to.
    fn device(&self, name: &str) -> Result<&Device, Why> {
        let mut devices = self.devices.iter().filter(|one| one.name.as_deref() == Some(name));
        match (devices.next(), devices.next()) {
            (Some(device), None) => Ok(device),
            (None, _) => Err(Why::NoDevice),
            (Some(_), Some(_)) => Err(Why::TwoDevices),
        }
    }

    /// The devices of hosts, and of the switches that they are cabled to.
    pub(crate) fn device_ids(&self, hosts: &[Wanted]) -> (Vec<u64>, Vec<u64>) {
        let id = |name: &str| self.device(name).ok().map(|device| device.id);
        let ends = hosts.iter().flat_map(|host| &host.nics).filter_map(|nic| nic.cable.as_ref());
        let switches: BTreeSet<&str> = ends.map(|cable| cable.switch.as_str()).collect();
        (
            hosts.iter().filter_map(|host| id(&host.name)).collect(),
            switches.into_iter().filter_map(id).collect(),
        )
    }

    /// MACs and addresses that hosts have here and their devices have not.
    pub(crate) fn missing(&self, hosts: &[Wanted]) -> (Vec<Mac>, Vec<IpAddr>) {
        let macs: BTreeSet<Mac> = self.interfaces.iter().flat_map(macs_of).collect();
        let addresses: BTreeSet<IpAddr> =
            self.addresses.iter().map(|one| one.address.addr()).collect();
        let hosts = || hosts.iter().filter(|host| self.device(&host.name).is_ok());
        let own = hosts().flat_map(|host| host.nics.iter().map(|nic| nic.mac).chain(host.bmc));
        let ips = hosts().flat_map(|host| &host.addresses).map(|one| one.net.addr());
        (
            own.filter(|mac| !macs.contains(mac)).collect(),
            ips.filter(|ip| !addresses.contains(ip)).collect(),
        )
    }
}

fn macs_of(interface: &Interface) -> impl Iterator<Item = Mac> {
    interface.macs().filter_map(|one| one.mac_address.parse().ok())
}

/// Why something of a host is not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    #[error("NetBox has no device of this name: create it there, with its type and role")]
    NoDevice,
    #[error("NetBox has several devices of this name: choose by --site")]
    TwoDevices,
    #[error("{what}: NetBox has {there}, the inventory {here}")]
    Differs { what: String, there: String, here: String },
    #[error("{what} is assigned to something else in NetBox")]
    Elsewhere { what: String },
    #[error("{what}: NetBox has no device {switch}")]
    NoSwitch { what: String, switch: String },
    #[error("{what}: {switch} has no interface {port} in NetBox")]
    NoPort { what: String, switch: String, port: String },
    #[error("{what}: {switch} {port} is cabled to something else in NetBox")]
    PortTaken { what: String, switch: String, port: String },
}

/// Something that is not written, because NetBox says otherwise or lacks what it would hang on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) host: String,
    pub(crate) why: Why,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.host, self.why)
    }
}

/// An object: one that is there, or one that the plan makes, by its number in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Object {
    There(u64),
    Made(usize),
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    Is(Value),
    /// The id of an object.
    Id(Object),
    /// The interface at an end of a cable.
    End(Object),
}

/// Whether objects are made or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Change,
}

/// One object that is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    /// For people.
    pub(crate) what: String,
    /// What others know it by that is made.
    number: Option<usize>,
    fields: Vec<(&'static str, Field)>,
}

/// Objects of a kind that are written together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stage {
    pub(crate) path: &'static str,
    pub(crate) verb: Verb,
    pub(crate) writes: Vec<Write>,
}

/// What is written, in this order, and what is not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) stages: Vec<Stage>,
    pub(crate) kept: Vec<Kept>,
}

impl Write {
    /// What NetBox is sent; nothing where an object that it names could not be made.
    pub(crate) fn body(&self, made: &HashMap<usize, u64>) -> Option<Value> {
        let id = |object: &Object| match object {
            Object::There(id) => Some(*id),
            Object::Made(number) => made.get(number).copied(),
        };
        let mut body = Map::new();
        for (name, field) in &self.fields {
            let value = match field {
                Field::Is(value) => value.clone(),
                Field::Id(object) => json!(id(object)?),
                Field::End(object) => {
                    json!([{"object_type": INTERFACE, "object_id": id(object)?}])
                }
            };
            body.insert((*name).to_owned(), value);
        }
        Some(Value::Object(body))
    }

    /// Notes the id of an object that was made.
    pub(crate) fn note(&self, id: u64, made: &mut HashMap<usize, u64>) {
        if let Some(number) = self.number {
            made.insert(number, id);
        }
    }
}

/// What has to be written.
pub(crate) fn plan(there: &There, hosts: &[Wanted]) -> Plan {
    let mut planning = Planning::new(there);
    for host in hosts {
        match there.device(&host.name) {
            Ok(device) => planning.host(device, host),
            Err(why) => planning.keep(host, why),
        }
    }
    planning.finish()
}

struct Planning<'a> {
    there: &'a There,
    interfaces: HashMap<u64, Vec<&'a Interface>>,
    addresses: HashMap<IpAddr, &'a IpAddress>,
    macs: HashMap<Mac, &'a MacAddress>,
    ports: HashMap<u64, Vec<&'a Port>>,
    made: usize,
    /// Ports that cables of this plan take.
    cabled: BTreeSet<u64>,
    new_interfaces: Vec<Write>,
    new_macs: Vec<Write>,
    moved_macs: Vec<Write>,
    /// Fields of interfaces that name others, by interface.
    set: Vec<(Object, String, Vec<(&'static str, Field)>)>,
    new_addresses: Vec<Write>,
    moved_addresses: Vec<Write>,
    new_cables: Vec<Write>,
    devices: Vec<Write>,
    kept: Vec<Kept>,
}

impl<'a> Planning<'a> {
    fn new(there: &'a There) -> Self {
        let mut interfaces: HashMap<u64, Vec<&Interface>> = HashMap::new();
        for interface in &there.interfaces {
            interfaces.entry(interface.device.id).or_default().push(interface);
        }
        let mut ports: HashMap<u64, Vec<&Port>> = HashMap::new();
        for port in &there.ports {
            ports.entry(port.device.id).or_default().push(port);
        }
        let macs = there.macs.iter().filter_map(|one| Some((one.mac_address.parse().ok()?, one)));
        Self {
            there,
            interfaces,
            addresses: there.addresses.iter().map(|one| (one.address.addr(), one)).collect(),
            macs: macs.collect(),
            ports,
            made: 0,
            cabled: BTreeSet::new(),
            new_interfaces: Vec::new(),
            new_macs: Vec::new(),
            moved_macs: Vec::new(),
            set: Vec::new(),
            new_addresses: Vec::new(),
            moved_addresses: Vec::new(),
            new_cables: Vec::new(),
            devices: Vec::new(),
            kept: Vec::new(),
        }
    }

    fn keep(&mut self, host: &Wanted, why: Why) {
        self.kept.push(Kept { host: host.name.clone(), why });
    }

    fn number(&mut self) -> usize {
        self.made += 1;
        self.made
    }

    fn host(&mut self, device: &Device, host: &Wanted) {
        let own = self.interfaces.get(&device.id).cloned().unwrap_or_default();
        let mut objects: BTreeMap<On, Object> = BTreeMap::new();
        for nic in &host.nics {
            let found = self.nic(device, host, &own, nic);
            let Some(object) = found else { continue };
            objects.insert(On::Link(nic.label.clone()), object);
            if let Some(cable) = &nic.cable {
                self.cable(host, &own, nic, object, cable);
            }
        }
        if let Some(mac) = host.bmc
            && let Some(object) = self.bmc(device, host, &own, mac)
        {
            objects.insert(On::Bmc, object);
        }
        for link in host.links.iter().filter(|link| !link.kind.is_empty()) {
            let known = own.iter().find(|one| one.name.eq_ignore_ascii_case(&link.name));
            let object = match known {
                Some(known) => Object::There(known.id),
                None => self.interface(device, host, &link.name, link.kind, false),
            };
            objects.insert(On::Link(link.name.clone()), object);
        }
        for link in &host.links {
            self.relations(host, &own, &objects, link);
        }
        let mut given = None;
        for address in &host.addresses {
            let Some(object) = objects.get(&address.on).copied() else { continue };
            let is_of = |id: u64| own.iter().any(|one| one.id == id);
            let id = self.address(host, address, object, is_of);
            if matches!(address.on, On::Link(_)) && address.net.addr().is_ipv4() {
                given = given.or(id);
            }
        }
        self.device(device, host, given);
    }

    /// The interface of a NIC, which is made if there is none.
    fn nic(
        &mut self,
        device: &Device,
        host: &Wanted,
        own: &[&Interface],
        nic: &WantedNic,
    ) -> Option<Object> {
        if let Some(known) = self.with_mac(own, nic.mac) {
            self.primary(host, known, nic.mac);
            return Some(Object::There(known.id));
        }
        let by_name = own.iter().find(|one| {
            one.is_physical() && !one.mgmt_only && one.name.eq_ignore_ascii_case(&nic.label)
        });
        match by_name {
            Some(known) => self.give_mac(host, known, nic.mac),
            None => {
                if self.is_elsewhere(host, nic.mac) {
                    return None;
                }
                let object = self.interface(device, host, &nic.label, "other", false);
                self.mac(host, object, &nic.label, nic.mac);
                Some(object)
            }
        }
    }

    /// The interface of a device that has a MAC, be it beside its primary one.
    fn with_mac<'b>(&self, own: &[&'b Interface], mac: Mac) -> Option<&'b Interface> {
        let beside = self.macs.get(&mac).and_then(|one| one.assigned_object_id);
        let is_it =
            |one: &&&Interface| macs_of(one).any(|own| own == mac) || beside == Some(one.id);
        own.iter().find(is_it).copied()
    }

    fn bmc(
        &mut self,
        device: &Device,
        host: &Wanted,
        own: &[&Interface],
        mac: Mac,
    ) -> Option<Object> {
        if let Some(known) = self.with_mac(own, mac) {
            self.primary(host, known, mac);
            return Some(Object::There(known.id));
        }
        let manager = own.iter().find(|one| {
            one.mgmt_only || ["bmc", "idrac", "ilo", "ipmi"].contains(&&*one.name.to_lowercase())
        });
        if let Some(known) = manager {
            return self.give_mac(host, known, mac);
        }
        if self.is_elsewhere(host, mac) {
            return None;
        }
        let object = self.interface(device, host, "bmc", "other", true);
        self.mac(host, object, "bmc", mac);
        Some(object)
    }

    /// Gives an interface its MAC if it has none.
    fn give_mac(&mut self, host: &Wanted, known: &Interface, mac: Mac) -> Option<Object> {
        if let Some(there) = known.macs().next() {
            let what = format!("MAC of {}", known.name);
            let (there, here) = (there.mac_address.to_lowercase(), mac.to_string());
            self.keep(host, Why::Differs { what, there, here });
            return None;
        }
        if self.is_elsewhere(host, mac) {
            return None;
        }
        let object = Object::There(known.id);
        self.mac(host, object, &known.name, mac);
        Some(object)
    }

    fn is_elsewhere(&mut self, host: &Wanted, mac: Mac) -> bool {
        let is_taken = self.macs.get(&mac).is_some_and(|one| one.assigned_object_id.is_some());
        if is_taken {
            self.keep(host, Why::Elsewhere { what: format!("MAC {mac}") });
        }
        is_taken
    }

    fn interface(
        &mut self,
        device: &Device,
        host: &Wanted,
        name: &str,
        kind: &str,
        is_bmc: bool,
    ) -> Object {
        let number = self.number();
        let mut fields = vec![
            ("device", Field::Is(json!(device.id))),
            ("name", Field::Is(json!(name))),
            ("type", Field::Is(json!(kind))),
        ];
        if is_bmc {
            fields.push(("mgmt_only", Field::Is(json!(true))));
        }
        let what = format!("interface {name} of {}", host.name);
        self.new_interfaces.push(Write { what, number: Some(number), fields });
        Object::Made(number)
    }

    /// Gives an interface a MAC as its primary one.
    fn mac(&mut self, host: &Wanted, object: Object, name: &str, mac: Mac) {
        let what = format!("MAC {mac} of {} {name}", host.name);
        let assigned = vec![
            ("assigned_object_type", Field::Is(json!(INTERFACE))),
            ("assigned_object_id", Field::Id(object)),
        ];
        let id = match self.macs.get(&mac) {
            Some(known) => {
                let fields = [vec![("id", Field::Is(json!(known.id)))], assigned].concat();
                let id = Object::There(known.id);
                self.moved_macs.push(Write { what, number: None, fields });
                id
            }
            None => {
                let number = self.number();
                let own = vec![("mac_address", Field::Is(json!(mac)))];
                let fields = [own, assigned].concat();
                self.new_macs.push(Write { what, number: Some(number), fields });
                Object::Made(number)
            }
        };
        let what = format!("primary MAC of {} {name}", host.name);
        self.set.push((object, what, vec![("primary_mac_address", Field::Id(id))]));
    }

    /// Makes a MAC that an interface has its primary one, if it has none.
    fn primary(&mut self, host: &Wanted, known: &Interface, mac: Mac) {
        let is_this = |text: &str| text.parse() == Ok(mac);
        let own = known.other_macs.iter().find(|one| is_this(&one.mac_address));
        if let (None, Some(own)) = (&known.primary_mac_address, own) {
            let what = format!("primary MAC of {} {}", host.name, known.name);
            let field = ("primary_mac_address", Field::Is(json!(own.id)));
            self.set.push((Object::There(known.id), what, vec![field]));
        }
    }

    /// Says which bond or bridge a link is in, and what a VLAN is on, where NetBox says nothing.
    fn relations(
        &mut self,
        host: &Wanted,
        own: &[&Interface],
        objects: &BTreeMap<On, Object>,
        link: &WantedLink,
    ) {
        let of = |name: &String| objects.get(&On::Link(name.clone())).copied();
        let Some(object) = of(&link.name) else { return };
        let known = own.iter().find(|one| object == Object::There(one.id));
        let kind_of = |name: &String| host.links.iter().find(|one| one.name == *name);
        let master = link.master.as_ref().filter(|name| kind_of(name).is_some());
        let of_master = |kind: &str| {
            master.filter(|name| kind_of(name).is_some_and(|one| one.kind == kind)).and_then(of)
        };
        let candidates = [
            ("lag", of_master("lag"), known.is_some_and(|one| one.lag.is_some())),
            ("bridge", of_master("bridge"), known.is_some_and(|one| one.bridge.is_some())),
            (
                "parent",
                link.parent.as_ref().and_then(of),
                known.is_some_and(|one| one.parent.is_some() || one.kind.value != "virtual"),
            ),
        ];
        for (field, other, is_said) in candidates {
            let Some(other) = other.filter(|_| !is_said) else { continue };
            let what = format!("{field} of {} {}", host.name, link.name);
            self.set.push((object, what, vec![(field, Field::Id(other))]));
        }
    }

    /// The address on an interface, which is made if there is none.
    fn address(
        &mut self,
        host: &Wanted,
        wanted: &WantedAddress,
        object: Object,
        is_of: impl Fn(u64) -> bool,
    ) -> Option<Object> {
        let net = wanted.net;
        let what = format!("address {net} of {}", host.name);
        let assigned = vec![
            ("assigned_object_type", Field::Is(json!(INTERFACE))),
            ("assigned_object_id", Field::Id(object)),
        ];
        match self.addresses.get(&net.addr()) {
            Some(known) => match known.assigned_object_id {
                Some(id)
                    if known.assigned_object_type.as_deref() == Some(INTERFACE) && is_of(id) =>
                {
                    Some(Object::There(known.id))
                }
                Some(_) => {
                    self.keep(host, Why::Elsewhere { what: format!("address {net}") });
                    None
                }
                None => {
                    let id = vec![("id", Field::Is(json!(known.id)))];
                    let fields = [id, assigned].concat();
                    self.moved_addresses.push(Write { what, number: None, fields });
                    Some(Object::There(known.id))
                }
            },
            None => {
                let number = self.number();
                let mut fields = vec![("address", Field::Is(json!(net)))];
                let prefix = self.there.prefixes.iter().find(|one| one.prefix == net.trunc());
                if let Some(vrf) = prefix.and_then(|one| one.vrf.as_ref()) {
                    fields.push(("vrf", Field::Is(json!(vrf.id))));
                }
                fields.extend(assigned);
                self.new_addresses.push(Write { what, number: Some(number), fields });
                Some(Object::Made(number))
            }
        }
    }

    fn cable(
        &mut self,
        host: &Wanted,
        own: &[&Interface],
        nic: &WantedNic,
        object: Object,
        cable: &Cable,
    ) {
        let Cable { switch, port } = cable.clone();
        let what = format!("cable of {}", nic.label);
        let known = own.iter().find(|one| object == Object::There(one.id));
        if let Some(known) = known.filter(|one| one.cable.is_some()) {
            let ends = known.connected_endpoints.iter().flatten();
            let ends: Vec<String> = ends
                .filter_map(|end| {
                    Some(format!("{} {}", end.device.as_ref()?.name(), end.name.as_ref()?))
                })
                .collect();
            if !ends.iter().any(|end| end.eq_ignore_ascii_case(&cable.to_string())) {
                let there =
                    if ends.is_empty() { "another end".to_owned() } else { ends.join(", ") };
                self.keep(host, Why::Differs { what, there, here: cable.to_string() });
            }
            return;
        }
        let Ok(device) = self.there.device(&switch) else {
            self.keep(host, Why::NoSwitch { what, switch });
            return;
        };
        let ports = self.ports.get(&device.id).into_iter().flatten();
        let Some(end) = ports.copied().find(|one| one.name.eq_ignore_ascii_case(&port)) else {
            self.keep(host, Why::NoPort { what, switch, port });
            return;
        };
        if end.cable.is_some() || !self.cabled.insert(end.id) {
            self.keep(host, Why::PortTaken { what, switch, port });
            return;
        }
        let what = format!("cable from {} {} to {cable}", host.name, nic.label);
        let fields = vec![
            ("a_terminations", Field::End(object)),
            ("b_terminations", Field::End(Object::There(end.id))),
        ];
        self.new_cables.push(Write { what, number: None, fields });
    }

    /// What a device itself lacks.
    fn device(&mut self, device: &Device, host: &Wanted, address: Option<Object>) {
        let mut fields = Vec::new();
        let mut words = Vec::new();
        let mut set = |name: &'static str, value: Field, word: String| {
            fields.push((name, value));
            words.push(word);
        };
        let mut kept = Vec::new();
        let mut differs = |what: &str, there: String, here: String| {
            kept.push(Why::Differs { what: what.to_owned(), there, here });
        };
        match &host.serial {
            Some(serial) if device.serial.is_empty() => {
                set("serial", Field::Is(json!(serial)), format!("serial {serial}"));
            }
            Some(serial) if device.serial != *serial => {
                differs("serial", device.serial.clone(), serial.clone());
            }
            _ => {}
        }
        let is_meant = |rack: &&Rack| sanitised(&rack.name) == *host.rack.as_deref().unwrap_or("");
        let rack = match (&device.rack, &host.rack) {
            (Some(there), Some(here)) => {
                // A rack may have the name of its site before its own here.
                let name = sanitised(there.name());
                let is_same = name == *here || here.ends_with(&format!("-{name}"));
                if !is_same {
                    differs("rack", there.name().to_owned(), here.clone());
                }
                self.there.racks.iter().find(|rack| is_same && rack.id == there.id)
            }
            (None, Some(_)) => {
                let racks = self.there.racks.iter().filter(|rack| rack.site.id == device.site.id);
                let found = racks.filter(|rack| is_meant(rack)).collect::<Vec<_>>();
                if let [rack] = found.as_slice() {
                    set("rack", Field::Is(json!(rack.id)), format!("rack {}", rack.name));
                }
                found.first().copied().filter(|_| found.len() == 1)
            }
            _ => None,
        };
        let is_plain = |rack: &&Rack| !rack.desc_units && rack.starting_unit == 1;
        if let (Some(_), Some(unit)) = (rack.filter(is_plain), host.unit) {
            match device.position {
                None => {
                    set("position", Field::Is(json!(unit)), format!("position {unit}"));
                    set("face", Field::Is(json!("front")), "face front".to_owned());
                }
                Some(there) if there != f64::from(unit) => {
                    differs("position", there.to_string(), unit.to_string());
                }
                Some(_) => {}
            }
        }
        if host.is_up && matches!(device.status.value.as_str(), "planned" | "staged") {
            set("status", Field::Is(json!("active")), "status active".to_owned());
        }
        if let (None, Some(address)) = (&device.primary_ip4, address) {
            set("primary_ip4", Field::Id(address), "primary IPv4 address".to_owned());
        }
        for why in kept {
            self.keep(host, why);
        }
        if !fields.is_empty() {
            fields.insert(0, ("id", Field::Is(json!(device.id))));
            let what = format!("device {}: {}", host.name, words.join(", "));
            self.devices.push(Write { what, number: None, fields });
        }
    }

    fn finish(self) -> Plan {
        // One change for each interface.
        let mut changes: Vec<Write> = Vec::new();
        let mut at: HashMap<Object, usize> = HashMap::new();
        for (object, what, more) in self.set {
            let index = *at.entry(object).or_insert(changes.len());
            match changes.get_mut(index) {
                Some(write) => {
                    write.what = format!("{}, {what}", write.what);
                    write.fields.extend(more);
                }
                None => {
                    let fields = [vec![("id", Field::Id(object))], more].concat();
                    changes.push(Write { what, number: None, fields });
                }
            }
        }
        let stages = [
            (Interface::PATH, Verb::Create, self.new_interfaces),
            (MacAddress::PATH, Verb::Create, self.new_macs),
            (MacAddress::PATH, Verb::Change, self.moved_macs),
            (Interface::PATH, Verb::Change, changes),
            (IpAddress::PATH, Verb::Create, self.new_addresses),
            (IpAddress::PATH, Verb::Change, self.moved_addresses),
            ("dcim/cables/", Verb::Create, self.new_cables),
            (Device::PATH, Verb::Change, self.devices),
        ];
        let stages = stages.into_iter().filter(|(_, _, writes)| !writes.is_empty());
        let stages = stages.map(|(path, verb, writes)| Stage { path, verb, writes });
        Plan { stages: stages.collect(), kept: self.kept }
    }
}

/// The name that a rack has here.
fn sanitised(name: &str) -> String {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' }
    };
    name.chars().map(allowed).collect()
}

#[cfg(test)]
mod tests;
