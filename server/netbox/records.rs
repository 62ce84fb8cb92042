//! Objects of NetBox, with the fields that are read. Pure.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What interfaces are called where NetBox names kinds of objects.
pub(crate) const INTERFACE: &str = "dcim.interface";

/// A kind of objects: where they are, and which of their fields are asked for. NetBox spares itself
/// the others, which is most of its time.
pub(crate) trait Record: DeserializeOwned + Send {
    /// The path below the URL of the NetBox, in its pages and, behind `api/`, in its API.
    const PATH: &'static str;
    /// The fields, as `?fields=` has them.
    const FIELDS: &'static str;
    /// What one of them is called.
    const NOUN: &'static str;
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    /// How many objects the whole list has.
    pub(crate) count: usize,
    pub(crate) results: Vec<T>,
}

/// One of a fixed list of words.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Choice {
    pub(crate) value: String,
}

/// An object that another one names.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) id: u64,
    /// Devices may have none.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Interfaces, racks and devices have none.
    #[serde(default)]
    pub(crate) slug: String,
}

impl Named {
    /// What people call it.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// A site, or the role of a device.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Site {
    pub(crate) id: u64,
    pub(crate) slug: String,
}

impl Record for Site {
    const PATH: &'static str = "dcim/sites/";
    const FIELDS: &'static str = "id,slug";
    const NOUN: &'static str = "site";
}

/// What devices are for.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Role {
    pub(crate) id: u64,
    pub(crate) slug: String,
}

impl Record for Role {
    const PATH: &'static str = "dcim/device-roles/";
    const FIELDS: &'static str = "id,slug";
    const NOUN: &'static str = "device role";
}

/// A model of devices.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DeviceType {
    pub(crate) id: u64,
    pub(crate) u_height: f64,
}

impl Record for DeviceType {
    const PATH: &'static str = "dcim/device-types/";
    const FIELDS: &'static str = "id,u_height";
    const NOUN: &'static str = "device type";
}

/// A model of devices, where a device names it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TypeOfDevice {
    pub(crate) id: u64,
    pub(crate) manufacturer: Named,
}

/// A device.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Device {
    pub(crate) id: u64,
    pub(crate) name: Option<String>,
    pub(crate) role: Named,
    pub(crate) device_type: TypeOfDevice,
    pub(crate) platform: Option<Named>,
    pub(crate) site: Named,
    pub(crate) rack: Option<Named>,
    /// The unit with the lowest number that it fills.
    pub(crate) position: Option<f64>,
    pub(crate) status: Choice,
    pub(crate) tenant: Option<Named>,
    pub(crate) serial: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<Named>,
    pub(crate) primary_ip4: Option<Named>,
}

impl Record for Device {
    const PATH: &'static str = "dcim/devices/";
    const FIELDS: &'static str = "id,name,role,device_type,platform,site,rack,position,status,tenant,serial,description,tags,primary_ip4";
    const NOUN: &'static str = "device";
}

/// A rack.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Rack {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) site: Named,
    pub(crate) location: Option<Named>,
    pub(crate) u_height: u16,
    /// The number of its first unit.
    pub(crate) starting_unit: u16,
    /// Whether units are counted from the top.
    pub(crate) desc_units: bool,
    pub(crate) description: String,
}

impl Record for Rack {
    const PATH: &'static str = "dcim/racks/";
    const FIELDS: &'static str =
        "id,name,site,location,u_height,starting_unit,desc_units,description";
    const NOUN: &'static str = "rack";
}

/// The far end of a cable.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Endpoint {
    /// The name of an interface.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Where it is; a circuit or a power feed is on no device.
    #[serde(default)]
    pub(crate) device: Option<Named>,
}

/// A MAC of an interface.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct MacOfInterface {
    pub(crate) id: u64,
    pub(crate) mac_address: String,
}

/// A VLAN, where an interface or a prefix names it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Vlan {
    pub(crate) vid: u16,
}

/// An interface of a device.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Interface {
    pub(crate) id: u64,
    pub(crate) device: Named,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: Choice,
    pub(crate) mgmt_only: bool,
    pub(crate) mtu: Option<u32>,
    pub(crate) lag: Option<Named>,
    pub(crate) parent: Option<Named>,
    pub(crate) bridge: Option<Named>,
    pub(crate) untagged_vlan: Option<Vlan>,
    pub(crate) primary_mac_address: Option<MacOfInterface>,
    /// Those that are not the primary one, where they were asked for: NetBox looks for them one by one.
    #[serde(skip)]
    pub(crate) other_macs: Vec<MacOfInterface>,
    pub(crate) cable: Option<Named>,
    /// Where its cable ends, through all patch panels.
    pub(crate) connected_endpoints: Option<Vec<Endpoint>>,
}

impl Record for Interface {
    const PATH: &'static str = "dcim/interfaces/";
    const FIELDS: &'static str = "id,device,name,type,mgmt_only,mtu,lag,parent,bridge,untagged_vlan,primary_mac_address,cable,connected_endpoints";
    const NOUN: &'static str = "interface";
}

impl Interface {
    /// Its MAC: the primary one, else the only one that it has.
    pub(crate) fn mac(&self) -> Option<&str> {
        let only = || match self.other_macs.as_slice() {
            [one] => Some(one),
            _ => None,
        };
        let mac = self.primary_mac_address.as_ref().or_else(only);
        mac.map(|mac| mac.mac_address.as_str())
    }

    /// All of its MACs that were asked for.
    pub(crate) fn macs(&self) -> impl Iterator<Item = &MacOfInterface> {
        self.primary_mac_address.iter().chain(&self.other_macs)
    }

    /// Whether it is hardware.
    pub(crate) fn is_physical(&self) -> bool {
        !matches!(self.kind.value.as_str(), "virtual" | "bridge" | "lag")
    }
}

/// The devices with hardware that has no primary MAC: it may have others.
pub(crate) fn without_primary_mac(interfaces: &[Interface]) -> Vec<u64> {
    let without = interfaces
        .iter()
        .filter(|one| one.is_physical() && one.primary_mac_address.is_none())
        .map(|one| one.device.id);
    let devices: BTreeSet<u64> = without.collect();
    devices.into_iter().collect()
}

/// Puts MACs to the interfaces that have them and have no primary one.
pub(crate) fn put_macs(interfaces: &mut [Interface], macs: Vec<MacAddress>) {
    let mut of: HashMap<u64, Vec<MacOfInterface>> = HashMap::new();
    for MacAddress { id, mac_address, assigned_object_type, assigned_object_id } in macs {
        if let (Some(INTERFACE), Some(interface)) =
            (assigned_object_type.as_deref(), assigned_object_id)
        {
            of.entry(interface).or_default().push(MacOfInterface { id, mac_address });
        }
    }
    for interface in interfaces.iter_mut().filter(|one| one.primary_mac_address.is_none()) {
        interface.other_macs = of.remove(&interface.id).unwrap_or_default();
    }
}

/// An interface of a switch, where only its cable matters.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Port {
    pub(crate) id: u64,
    pub(crate) device: Named,
    pub(crate) name: String,
    pub(crate) cable: Option<Named>,
}

impl Record for Port {
    const PATH: &'static str = Interface::PATH;
    const FIELDS: &'static str = "id,device,name,cable";
    const NOUN: &'static str = "interface";
}

/// A MAC, whichever interface has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct MacAddress {
    pub(crate) id: u64,
    pub(crate) mac_address: String,
    /// `dcim.interface`, if anything.
    pub(crate) assigned_object_type: Option<String>,
    pub(crate) assigned_object_id: Option<u64>,
}

impl Record for MacAddress {
    const PATH: &'static str = "dcim/mac-addresses/";
    const FIELDS: &'static str = "id,mac_address,assigned_object_type,assigned_object_id";
    const NOUN: &'static str = "MAC address";
}

/// An address.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct IpAddress {
    pub(crate) id: u64,
    pub(crate) address: IpNet,
    pub(crate) status: Choice,
    /// Such as `vip`; none of a host's own.
    pub(crate) role: Option<Choice>,
    /// `dcim.interface`, if anything.
    pub(crate) assigned_object_type: Option<String>,
    pub(crate) assigned_object_id: Option<u64>,
}

impl Record for IpAddress {
    const PATH: &'static str = "ipam/ip-addresses/";
    const FIELDS: &'static str = "id,address,status,role,assigned_object_type,assigned_object_id";
    const NOUN: &'static str = "IP address";
}

/// A prefix.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Prefix {
    pub(crate) id: u64,
    pub(crate) prefix: IpNet,
    pub(crate) status: Choice,
    pub(crate) vrf: Option<Named>,
    pub(crate) vlan: Option<Vlan>,
    /// `dcim.site`, `dcim.location` or what else it belongs to.
    pub(crate) scope_type: Option<String>,
    pub(crate) scope_id: Option<u64>,
    pub(crate) description: String,
}

impl Record for Prefix {
    const PATH: &'static str = "ipam/prefixes/";
    const FIELDS: &'static str = "id,prefix,status,vrf,vlan,scope_type,scope_id,description";
    const NOUN: &'static str = "prefix";
}

/// What was read of a NetBox.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Its URL, with a slash at the end.
    pub(crate) url: String,
    /// The sites that were asked for; none for all.
    pub(crate) sites: Vec<Site>,
    /// All devices there, and those at the far ends of cables.
    pub(crate) devices: Vec<Device>,
    pub(crate) device_types: Vec<DeviceType>,
    pub(crate) racks: Vec<Rack>,
    /// Those of hosts.
    pub(crate) interfaces: Vec<Interface>,
    /// Those of hosts.
    pub(crate) addresses: Vec<IpAddress>,
    pub(crate) prefixes: Vec<Prefix>,
}
