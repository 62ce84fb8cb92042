//! What a NetBox has, laid out as a site: racks, hosts, cables, addresses, subnets. Pure.
//!
//! NetBox and the inventory are both asked: a NIC keeps the label that it has here, an address its
//! link, a host its profile. So the same NetBox changes nothing a second time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Map, json};

use super::draft::{Client, Draft, noun_name};
use super::networks;
use super::networks::meaning::{Link, Meaning};
use super::table::is_bmc_name;
use super::{Choices, Imported, Place, Reason};
use crate::model::{
    Bmc, Cable, Host, Mac, NicAddress, Rack, Site, Switch, Vendor, check_link_name,
};
use crate::netbox::records::{self, Device, Endpoint, Found, Interface, IpAddress, Record, Role};
use crate::tree;

/// What roles are called whose devices are hosts, as a part of the slug between hyphens.
const HOST_WORDS: [&str; 12] = [
    "server",
    "host",
    "node",
    "compute",
    "hypervisor",
    "gpu",
    "storage",
    "worker",
    "ceph",
    "kvm",
    "controller",
    "baremetal",
];
/// Parts of slugs whose devices are none, whatever else is there: a console server is not a host.
const OTHER_WORDS: [&str; 6] = ["console", "terminal", "print", "time", "wireless", "wifi"];

/// Why the roles of hosts are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RoleError {
    #[error("NetBox has no device role \"{asked}\"; it has {}", known.join(", "))]
    Unknown { asked: String, known: Vec<String> },
    #[error("NetBox has no device role that sounds like servers: give --role with one of {}", known.join(", "))]
    Unclear { known: Vec<String> },
}

/// The roles whose devices are hosts: those that were asked for, else those that sound like it.
pub(crate) fn host_roles(roles: &[Role], asked: &[String]) -> Result<BTreeSet<u64>, RoleError> {
    let known = || {
        let mut known: Vec<String> = roles.iter().map(|role| role.slug.clone()).collect();
        known.sort();
        known
    };
    let sounds = |role: &&Role| {
        let parts = || role.slug.split(['-', '_']).map(|part| part.trim_end_matches('s'));
        parts().any(|part| HOST_WORDS.contains(&part))
            && !parts().any(|part| OTHER_WORDS.contains(&part))
    };
    let mut found = BTreeSet::new();
    for slug in asked {
        let role = roles.iter().find(|role| role.slug == *slug);
        let unknown = || RoleError::Unknown { asked: slug.clone(), known: known() };
        found.insert(role.ok_or_else(unknown)?.id);
    }
    if asked.is_empty() {
        found.extend(roles.iter().filter(sounds).map(|role| role.id));
    }
    if found.is_empty() && !roles.is_empty() {
        return Err(RoleError::Unclear { known: known() });
    }
    Ok(found)
}

/// The devices that become hosts, by their ids.
pub(crate) fn host_ids(devices: &[Device], roles: &BTreeSet<u64>) -> Vec<u64> {
    devices
        .iter()
        .filter(|device| roles.contains(&device.role.id))
        .map(|device| device.id)
        .collect()
}

/// The site that a NetBox describes, beside the one that is here.
pub(crate) fn take_over(found: &Found, roles: &BTreeSet<u64>, current: &Site) -> Imported {
    let known = current.subnets.iter().map(|(name, subnet)| (name.clone(), subnet.cidr));
    let choices = Choices { known: known.collect(), ..Choices::default() };
    let mut reading = Reading::new(found, current, Draft::new(choices));
    reading.prefixes();
    reading.other_roles(roles);
    for device in found.devices.iter().filter(|device| roles.contains(&device.role.id)) {
        reading.host(device);
    }
    reading.finish()
}

/// What a device comes to besides its NICs.
#[derive(Default)]
struct Facts {
    rack: Option<String>,
    unit: Option<u16>,
    height: Option<u16>,
    serial: Option<String>,
    tenant: Option<String>,
    labels: Vec<String>,
    notes: Option<String>,
    bmc: Option<Bmc>,
    /// The labels of its NICs, as NetBox orders its interfaces.
    order: Vec<String>,
    /// By NIC.
    cables: BTreeMap<NicAddress, Cable>,
    /// Of links that have others here.
    addresses: BTreeMap<String, IpAddr>,
}

struct Reading<'a> {
    found: &'a Found,
    current: &'a Site,
    draft: Draft,
    /// Of each device.
    interfaces: HashMap<u64, Vec<&'a Interface>>,
    /// Of each interface.
    addresses: HashMap<u64, Vec<&'a IpAddress>>,
    devices: HashMap<u64, &'a Device>,
    racks: HashMap<u64, &'a records::Rack>,
    heights: HashMap<u64, f64>,
    /// Whose NIC it is here.
    owners: HashMap<NicAddress, String>,
    /// The names of racks, by id.
    rack_names: HashMap<u64, String>,
    /// Hosts by name.
    facts: BTreeMap<String, Facts>,
    places: BTreeMap<String, Place>,
    switches: BTreeMap<String, Switch>,
    /// The switches that bonds end on.
    bonded: BTreeMap<String, BTreeSet<String>>,
}

/// Where an object of NetBox is seen: its page.
fn page_of<T: Record>(found: &Found, id: u64) -> Place {
    let file: Arc<str> = format!("{}{}", found.url, T::PATH).into();
    Place { file, line: usize::try_from(id).unwrap_or_default() }
}

impl<'a> Reading<'a> {
    fn new(found: &'a Found, current: &'a Site, draft: Draft) -> Self {
        let mut interfaces: HashMap<u64, Vec<&Interface>> = HashMap::new();
        for interface in &found.interfaces {
            interfaces.entry(interface.device.id).or_default().push(interface);
        }
        let mut addresses: HashMap<u64, Vec<&IpAddress>> = HashMap::new();
        for address in &found.addresses {
            let is_of_interface =
                address.assigned_object_type.as_deref() == Some(records::INTERFACE);
            if let (true, Some(id)) = (is_of_interface, address.assigned_object_id) {
                addresses.entry(id).or_default().push(address);
            }
        }
        // A name that racks of two sites have tells them apart by the site.
        let mut of_name: HashMap<String, BTreeSet<u64>> = HashMap::new();
        for rack in &found.racks {
            of_name.entry(noun_name(&rack.name)).or_default().insert(rack.id);
        }
        let rack_name = |rack: &records::Rack| {
            let name = noun_name(&rack.name);
            match of_name.get(&name).is_some_and(|ids| ids.len() > 1) {
                true => noun_name(&format!("{}-{}", rack.site.slug, rack.name)),
                false => name,
            }
        };
        Self {
            draft,
            current,
            interfaces,
            addresses,
            devices: found.devices.iter().map(|device| (device.id, device)).collect(),
            racks: found.racks.iter().map(|rack| (rack.id, rack)).collect(),
            heights: found.device_types.iter().map(|one| (one.id, one.u_height)).collect(),
            owners: current.nic_index(),
            rack_names: found.racks.iter().map(|rack| (rack.id, rack_name(rack))).collect(),
            facts: BTreeMap::new(),
            places: BTreeMap::new(),
            switches: BTreeMap::new(),
            bonded: BTreeMap::new(),
            found,
        }
    }

    /// Prefixes become subnets, the innermost where one is within another.
    fn prefixes(&mut self) {
        let found = self.found;
        let addresses: BTreeSet<IpAddr> =
            found.addresses.iter().map(|address| address.address.addr()).collect();
        let is_used =
            |net: &IpNet| addresses.range(net.network()..=net.broadcast()).next().is_some();
        let is_asked = |prefix: &records::Prefix| {
            let is_of_site = prefix.scope_type.as_deref() == Some("dcim.site");
            found.sites.is_empty()
                || is_of_site && found.sites.iter().any(|site| Some(site.id) == prefix.scope_id)
                || is_used(&prefix.prefix)
        };
        let mut wanted: Vec<&records::Prefix> = found
            .prefixes
            .iter()
            .filter(|one| one.status.value != "container" && is_asked(one))
            .filter(|one| one.prefix.prefix_len() < one.prefix.max_prefix_len())
            .collect();
        let vrf = |one: &records::Prefix| one.vrf.as_ref().map(|vrf| vrf.id);
        wanted.sort_by_key(|one| (vrf(one), one.prefix, one.id));
        for (index, one) in wanted.iter().enumerate() {
            let place = page_of::<records::Prefix>(found, one.id);
            // What is within a prefix comes next to it.
            let inner = wanted[index + 1..]
                .iter()
                .find(|next| next.prefix != one.prefix)
                .filter(|next| vrf(next) == vrf(one) && one.prefix.contains(&next.prefix));
            if let Some(inner) = inner {
                let reason = Reason::Around(inner.prefix);
                self.draft.report(&place, format!("prefix {}", one.prefix), reason);
                continue;
            }
            let taken = self.draft.site.subnets.values().any(|it| it.cidr == one.prefix.trunc());
            let name = self.draft.subnet(one.prefix, None, &place);
            if taken {
                let reason = Reason::OverlapsSubnet(name);
                self.draft.report(&place, format!("prefix {}", one.prefix), reason);
                continue;
            }
            if let Some(subnet) = self.draft.site.subnets.get_mut(&name) {
                subnet.vlan = one.vlan.as_ref().map(|vlan| vlan.vid);
                subnet.vrf = one.vrf.as_ref().map(|vrf| noun_name(vrf.name()));
                subnet.notes = Some(one.description.clone()).filter(|text| !text.is_empty());
            }
        }
    }

    /// Says which devices are not looked at.
    fn other_roles(&mut self, roles: &BTreeSet<u64>) {
        let mut others: BTreeMap<u64, (&str, usize)> = BTreeMap::new();
        for device in self.found.devices.iter().filter(|one| !roles.contains(&one.role.id)) {
            others.entry(device.role.id).or_insert((&device.role.slug, 0)).1 += 1;
        }
        for (id, (slug, devices)) in others {
            let reason = Reason::OtherRole { devices, slug: slug.to_owned() };
            self.draft.report(&page_of::<Role>(self.found, id), format!("role {slug}"), reason);
        }
    }

    fn host(&mut self, device: &Device) {
        let place = page_of::<Device>(self.found, device.id);
        let raw = device.name.clone().unwrap_or_default();
        let text = format!("device {raw}");
        if matches!(device.status.value.as_str(), "decommissioning" | "inventory") {
            let reason = Reason::Status(device.status.value.clone());
            self.draft.report(&place, text, reason);
            return;
        }
        if raw.is_empty() {
            self.draft.report(&place, format!("device {}", device.id), Reason::NoName);
            return;
        }
        let Some(name) = self.draft.host_name(&raw, &place) else { return };
        if let Some(first) = self.places.get(&name) {
            self.draft.report(&place, text, Reason::Duplicate(first.clone()));
            return;
        }
        let known = self.current.hosts.get(&name);
        let interfaces = self.interfaces.get(&device.id).cloned().unwrap_or_default();
        let owner = |interface: &&Interface| {
            let nic: NicAddress = interface.mac()?.parse().ok()?;
            self.owners.get(&nic.identity()).filter(|owner| **owner != name)
        };
        if known.is_none()
            && let Some(owner) = interfaces.iter().find_map(owner)
        {
            self.draft.report(&place, text, Reason::NicOfHost(owner.clone()));
            return;
        }
        self.places.insert(name.clone(), place.clone());
        let mut facts = self.device_facts(device, known, &place);
        let mut client = Client::new(place.clone(), text);
        client.name = Some(name.clone());
        client.is_named = true;
        let (bmcs, own): (Vec<&Interface>, Vec<&Interface>) = interfaces
            .iter()
            .copied()
            .partition(|one| one.is_physical() && (one.mgmt_only || is_bmc_name(&one.name)));
        facts.bmc = self.bmc(&bmcs, known, &place, &name);
        let labels = self.labels(&own, known, &name);
        let mut on_links: HashMap<u64, Vec<IpNet>> = HashMap::new();
        let has_network = known.is_none() && is_compound(&own);
        for interface in &own {
            let label = labels.get(&interface.id);
            if let Some((label, nic)) = label {
                client.labelled.push((label.clone(), *nic));
                if let Some(cable) = self.cable(interface, &name) {
                    facts.cables.insert(*nic, cable);
                }
            } else if interface.is_physical() && interface.cable.is_some() {
                let text = format!("interface {} of {name}", interface.name);
                self.draft.report(
                    &page_of::<Interface>(self.found, interface.id),
                    text,
                    Reason::NoMac,
                );
            }
            for address in self.own_addresses(interface) {
                match has_network {
                    true => on_links.entry(interface.id).or_default().push(address),
                    false => self.address(&mut client, &mut facts, known, interface, address),
                }
            }
        }
        let order = own.iter().filter_map(|interface| labels.get(&interface.id));
        facts.order = order.map(|(label, _)| label.clone()).collect();
        if has_network {
            let network = self.network(&own, &labels, &on_links, &place);
            // The network brings its own NICs along.
            client.labelled.retain(|(label, _)| !network.links.contains_key(label));
            self.draft.networks.insert(name.clone(), network);
            self.note_bonds(&own, &labels, &facts);
        }
        self.draft.client(client);
        self.facts.insert(name, facts);
    }

    fn device_facts(&mut self, device: &Device, known: Option<&Host>, place: &Place) -> Facts {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (rack, unit) = self.place_in_rack(device, place);
        let mut facts = Facts {
            unit,
            height: self.units(device, known.and_then(|host| host.height)),
            rack,
            serial: text(&device.serial),
            notes: text(&device.description),
            ..Facts::default()
        };
        // A name or a slug: what the inventory has goes before.
        facts.tenant = device.tenant.as_ref().map(|tenant| {
            let by_name = noun_name(tenant.name());
            let is_known = self.current.tenants.contains_key(&by_name);
            if is_known { by_name } else { noun_name(&tenant.slug) }
        });
        let tags = device.tags.iter().map(|tag| noun_name(&tag.slug));
        let mut labels: Vec<String> = known.map(|host| host.labels.clone()).unwrap_or_default();
        for tag in tags {
            if !labels.contains(&tag) {
                labels.push(tag);
            }
        }
        facts.labels = labels;
        facts
    }

    /// The rack of a device, and its lowest unit.
    fn place_in_rack(&mut self, device: &Device, place: &Place) -> (Option<String>, Option<u16>) {
        let rack = device.rack.as_ref().and_then(|rack| self.rack_names.get(&rack.id)).cloned();
        let unit = rack.is_some().then(|| self.unit(device, place)).flatten();
        (rack, unit)
    }

    /// How many units a device fills, where that is not the one that goes without saying.
    fn units(&self, device: &Device, known: Option<u16>) -> Option<u16> {
        let height = self.heights.get(&device.device_type.id)?.ceil();
        match height {
            // Models between two units fill both.
            height if (2.0..=f64::from(u16::MAX)).contains(&height) => Some(height as u16),
            _ => known.map(|_| 1),
        }
    }

    /// The unit from the bottom, counted from 1.
    fn unit(&mut self, device: &Device, place: &Place) -> Option<u16> {
        let rack = *self.racks.get(&device.rack.as_ref()?.id)?;
        let position = device.position?;
        let first = f64::from(rack.starting_unit);
        let unit = match rack.desc_units {
            false => position - first + 1.0,
            // The lowest number is at the top of the device.
            true => {
                let height = self.heights.get(&device.device_type.id).copied().unwrap_or(1.0);
                f64::from(rack.u_height) - (position - first) - height + 1.0
            }
        };
        if unit.fract() != 0.0 || !(1.0..=f64::from(u16::MAX)).contains(&unit) {
            let text = format!("position {position} of {}", device.name.as_deref().unwrap_or(""));
            self.draft.report(place, text, Reason::NotAUnit);
            return None;
        }
        // It is whole and within bounds.
        Some(unit as u16)
    }

    fn bmc(
        &mut self,
        bmcs: &[&Interface],
        known: Option<&Host>,
        place: &Place,
        name: &str,
    ) -> Option<Bmc> {
        let known = known.and_then(|host| host.bmc.clone());
        let mut found: Option<Bmc> = None;
        for interface in bmcs {
            let text = format!("interface {} of {name}", interface.name);
            let address = self.own_addresses(interface).first().map(IpNet::addr);
            let mac = interface.mac().map(str::parse::<Mac>).and_then(Result::ok);
            let mac = mac.or_else(|| known.as_ref().map(|bmc| bmc.mac));
            let Some(mac) = mac else {
                if address.is_some() {
                    self.draft.report(place, text, Reason::BmcWithoutMac);
                }
                continue;
            };
            if found.is_some() {
                self.draft.report(place, text, Reason::SecondBmc);
                continue;
            }
            found = Some(Bmc { mac, address });
        }
        found
    }

    /// The label and the address of each interface that is a NIC.
    fn labels(
        &mut self,
        own: &[&Interface],
        known: Option<&Host>,
        name: &str,
    ) -> HashMap<u64, (String, NicAddress)> {
        let mut nics: Vec<(&Interface, NicAddress)> = Vec::new();
        for interface in own.iter().filter(|one| one.is_physical()) {
            let Some(mac) = interface.mac() else { continue };
            let place = page_of::<Interface>(self.found, interface.id);
            let text = || format!("interface {} of {name}: {mac}", interface.name);
            match mac.parse::<NicAddress>() {
                Ok(nic) => match self.owners.get(&nic.identity()).filter(|owner| **owner != name) {
                    Some(owner) => {
                        let reason = Reason::NicOfHost(owner.clone());
                        self.draft.report(&place, text(), reason);
                    }
                    None => nics.push((interface, nic)),
                },
                Err(error) => {
                    self.draft.report(&place, text(), Reason::Invalid(error.to_string()));
                }
            }
        }
        let here = |nic: NicAddress| {
            let mut labelled = known.into_iter().flat_map(|host| &host.nics);
            let found = labelled.find(|(_, own)| own.address.identity() == nic.identity());
            found.map(|(label, _)| label.clone())
        };
        let mut used: BTreeSet<String> = nics.iter().filter_map(|(_, nic)| here(*nic)).collect();
        let mut labels = HashMap::new();
        for (interface, nic) in nics {
            let label = here(nic).unwrap_or_else(|| {
                let own = Some(interface.name.clone());
                let own = own.filter(|own| check_link_name(own).is_ok() && !used.contains(own));
                let is_free = |label: &String| {
                    let is_known = known.is_some_and(|host| host.nics.contains_key(label));
                    !used.contains(label) && !is_known
                };
                let numbered = || (0..).map(|number| format!("eth{number}")).find(is_free);
                own.or_else(numbered).unwrap_or_default()
            });
            used.insert(label.clone());
            labels.insert(interface.id, (label, nic));
        }
        labels
    }

    /// The addresses of an interface that are its host's alone.
    fn own_addresses(&mut self, interface: &Interface) -> Vec<IpNet> {
        let mut own = Vec::new();
        for one in self.addresses.get(&interface.id).into_iter().flatten() {
            let place = page_of::<IpAddress>(self.found, one.id);
            let role = one.role.as_ref().map(|role| role.value.as_str()).unwrap_or_default();
            let reason = match (one.status.value.as_str(), role) {
                ("active" | "reserved", "" | "secondary" | "loopback") => {
                    own.push(one.address);
                    continue;
                }
                ("active" | "reserved", role) => Reason::SharedAddress(role.to_owned()),
                (status, _) => Reason::Status(status.to_owned()),
            };
            self.draft.report(&place, format!("address {}", one.address), reason);
        }
        own
    }

    /// An address of a host whose links are not NetBox's to say.
    fn address(
        &mut self,
        client: &mut Client,
        facts: &mut Facts,
        known: Option<&Host>,
        interface: &Interface,
        net: IpNet,
    ) {
        let address = net.addr();
        let has = |host: &Host| {
            host.addresses.values().chain(host.reservations.values()).any(|own| *own == address)
        };
        if known.is_some_and(has) {
            return;
        }
        let subnets = || self.draft.site.subnets.iter().chain(&self.current.subnets);
        let around = subnets()
            .filter(|(_, subnet)| subnet.cidr.contains(&address))
            .max_by_key(|(_, subnet)| subnet.cidr.prefix_len());
        let around = around.map(|(name, subnet)| (name.clone(), subnet.cidr));
        let Some((subnet, cidr)) = around else {
            if net.prefix_len() < net.max_prefix_len() {
                self.draft.subnet(net, None, &client.place);
            }
            client.addresses.push(address);
            return;
        };
        let mut links = known.into_iter().flat_map(|host| &host.addresses);
        let own = links.clone().find(|(link, own)| {
            link.split('/').next() == Some(&*interface.name) && cidr.contains(*own)
        });
        if let Some((link, _)) = own {
            facts.addresses.insert(link.clone(), address);
            return;
        }
        if let Some((_, kept)) = links.find(|(_, own)| cidr.contains(*own)) {
            let host = client.name.clone().unwrap_or_default();
            let reason = Reason::SecondAddress { host, subnet, kept: *kept };
            self.draft.report(&client.place, format!("address {net}"), reason);
            return;
        }
        client.addresses.push(address);
    }

    /// The port that a NIC is cabled to.
    fn cable(&mut self, interface: &Interface, name: &str) -> Option<Cable> {
        interface.cable.as_ref()?;
        let at = page_of::<Interface>(self.found, interface.id);
        let text = format!("cable of {} of {name}", interface.name);
        let ends = interface.connected_endpoints.as_deref().unwrap_or_default();
        let [Endpoint { name: Some(port), device: Some(device) }] = ends else {
            let reason = if ends.is_empty() { Reason::OpenCable } else { Reason::NotAPort };
            self.draft.report(&at, text, reason);
            return None;
        };
        let raw = device.name();
        let switch = noun_name(raw);
        if raw.is_empty() {
            self.draft.report(&at, text, Reason::NoName);
            return None;
        }
        if !self.switches.contains_key(&switch) {
            let end = self.devices.get(&device.id).copied();
            let at = page_of::<Device>(self.found, device.id);
            let known = self.current.switches.get(&switch).cloned();
            let Some(mut made) = known.or_else(|| end.and_then(vendor).map(switch_of)) else {
                let text = format!("switch {raw} and its cables");
                self.draft.report(&at, text, Reason::UnknownVendor);
                return None;
            };
            if let Some(end) = end {
                let (rack, unit) = self.place_in_rack(end, &at);
                made.height = self.units(end, made.height);
                (made.rack, made.unit) = (rack.or(made.rack), unit.or(made.unit));
            }
            self.switches.insert(switch.clone(), made);
        }
        Some(Cable { switch, port: port.clone() })
    }

    /// The links of a new host, as NetBox has them.
    fn network(
        &self,
        own: &[&Interface],
        labels: &HashMap<u64, (String, NicAddress)>,
        addresses: &HashMap<u64, Vec<IpNet>>,
        place: &Place,
    ) -> Meaning {
        let name = |interface: &Interface| {
            labels.get(&interface.id).map_or(&interface.name, |(label, _)| label).clone()
        };
        let by_id: HashMap<u64, &Interface> = own.iter().map(|one| (one.id, *one)).collect();
        let of = |named: &Option<records::Named>| {
            named.as_ref().and_then(|named| by_id.get(&named.id)).copied()
        };
        let members = |id: u64, field: fn(&Interface) -> &Option<records::Named>| {
            let within = own.iter().filter(|one| field(one).as_ref().is_some_and(|it| it.id == id));
            within.map(|one| name(one)).collect::<Vec<_>>()
        };
        let is_parent =
            |id: u64| own.iter().any(|one| one.parent.as_ref().is_some_and(|it| it.id == id));
        let mut meaning = Meaning::default();
        for interface in own.iter().filter(|one| check_link_name(&name(one)).is_ok()) {
            let has_addresses = addresses.contains_key(&interface.id);
            let mut link = Link {
                place: Some(place.clone()),
                mtu: interface.mtu,
                addresses: addresses.get(&interface.id).cloned().unwrap_or_default(),
                ..Link::default()
            };
            let vlan = || {
                let of_name = interface.name.rsplit_once('.').and_then(|(_, id)| id.parse().ok());
                interface.untagged_vlan.as_ref().map(|vlan| vlan.vid).or(of_name)
            };
            match interface.kind.value.as_str() {
                "lag" => {
                    let nics = members(interface.id, |one| &one.lag);
                    if nics.is_empty() {
                        continue;
                    }
                    link.section = "bonds";
                    link.keys = Map::from_iter([
                        ("nics".to_owned(), json!(nics)),
                        // What a LAG is in NetBox; it has no word for other modes.
                        ("mode".to_owned(), json!("802.3ad")),
                        ("transmit-hash-policy".to_owned(), json!("layer3+4")),
                    ]);
                }
                "bridge" => {
                    let ports = members(interface.id, |one| &one.bridge);
                    link.section = "bridges";
                    link.keys = Map::from_iter([("interfaces".to_owned(), json!(ports))]);
                }
                "virtual" => {
                    let (Some(parent), Some(id)) = (of(&interface.parent), vlan()) else {
                        // A loopback or a link of a guest: what it is, nobody says.
                        continue;
                    };
                    link.section = "vlans";
                    link.keys = Map::from_iter([
                        ("link".to_owned(), json!(name(parent))),
                        ("id".to_owned(), json!(id)),
                    ]);
                }
                _ => {
                    let is_used = has_addresses
                        || of(&interface.lag).is_some()
                        || of(&interface.bridge).is_some()
                        || is_parent(interface.id);
                    let Some((_, nic)) = labels.get(&interface.id).filter(|_| is_used) else {
                        continue;
                    };
                    link.section = "nics";
                    link.mac = nic.mac();
                }
            }
            meaning.links.insert(name(interface), link);
        }
        meaning
    }

    /// Notes which switches a bond ends on: two of them are a pair.
    fn note_bonds(
        &mut self,
        own: &[&Interface],
        labels: &HashMap<u64, (String, NicAddress)>,
        facts: &Facts,
    ) {
        let mut ends: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
        for interface in own {
            let nic = labels.get(&interface.id).map(|(_, nic)| *nic);
            let cable = nic.and_then(|nic| facts.cables.get(&nic));
            if let (Some(lag), Some(cable)) = (&interface.lag, cable) {
                ends.entry(lag.id).or_default().insert(&cable.switch);
            }
        }
        for switches in ends.values().filter(|switches| switches.len() > 1) {
            for one in switches {
                let others = switches.iter().filter(|other| *other != one);
                let all = self.bonded.entry((*one).to_owned()).or_default();
                all.extend(others.map(|other| (*other).to_owned()));
            }
        }
    }

    fn finish(self) -> Imported {
        let Self { found, current, mut draft, facts, mut switches, bonded, rack_names, .. } = self;
        networks::finish(&mut draft);
        // NetBox says little of a network: that a profile says more is no difference.
        draft.verify.clear();
        let mut imported = draft.finish();
        for (name, others) in &bonded {
            let mut others = others.iter();
            let (Some(peer), None) = (others.next(), others.next()) else { continue };
            let is_pair = bonded.get(peer).is_some_and(|own| own.len() == 1 && own.contains(name));
            if let (true, Some(switch)) = (is_pair, switches.get_mut(name)) {
                switch.mlag_peer.get_or_insert_with(|| peer.clone());
            }
        }
        let mut racks: BTreeSet<String> =
            switches.values().filter_map(|it| it.rack.clone()).collect();
        for (name, facts) in facts {
            let Some(host) = imported.site.hosts.get_mut(&name) else { continue };
            for nic in host.nics.values_mut() {
                nic.cable = facts.cables.get(&nic.address).cloned();
            }
            let place_of = |label: &String| facts.order.iter().position(|one| one == label);
            host.nics.sort_by(|a, _, b, _| place_of(a).cmp(&place_of(b)));
            host.addresses.extend(facts.addresses);
            (host.rack, host.unit, host.height) = (facts.rack, facts.unit, facts.height);
            host.serial = facts.serial;
            (host.tenant, host.labels, host.notes) = (facts.tenant, facts.labels, facts.notes);
            host.bmc = facts.bmc;
            racks.extend(host.rack.clone());
            if let Some(tenant) = &host.tenant {
                imported.site.tenants.entry(tenant.clone()).or_default();
            }
        }
        imported.site.switches = switches;
        for rack in &found.racks {
            let name = rack_names.get(&rack.id).filter(|name| racks.contains(*name));
            let Some(name) = name else { continue };
            let place = rack.location.as_ref().map(|location| location.name().to_owned());
            let made = Rack {
                location: Some(match place {
                    Some(place) => format!("{}, {place}", rack.site.name()),
                    None => rack.site.name().to_owned(),
                }),
                units: Some(rack.u_height),
                notes: Some(rack.description.clone()).filter(|text| !text.is_empty()),
                ..Rack::default()
            };
            imported.site.racks.insert(name.clone(), made);
        }
        name_profiles(&mut imported.site, current);
        imported
    }
}

/// Whether interfaces are on each other, so that a profile says how.
fn is_compound(own: &[&Interface]) -> bool {
    own.iter().any(|one| one.lag.is_some() || one.bridge.is_some() || one.parent.is_some())
}

/// Profiles that the site has already keep their names, and others get names of their own.
fn name_profiles(site: &mut Site, current: &Site) {
    let made = std::mem::take(&mut site.profiles);
    let mut names = BTreeMap::new();
    for (name, tree) in made {
        let same = current.profiles.iter().find(|(_, known)| **known == tree);
        let is_free = |name: &String| {
            !current.profiles.contains_key(name) && !site.profiles.contains_key(name)
        };
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut free = std::iter::once(name.clone()).chain(numbered);
        let new = match same {
            Some((known, _)) => known.clone(),
            None => free.find(is_free).unwrap_or_else(|| name.clone()),
        };
        site.profiles.insert(new.clone(), tree);
        names.insert(name, new);
    }
    for host in site.hosts.values_mut() {
        if let Some(new) = host.profile.as_ref().and_then(|name| names.get(name)) {
            host.profile = Some(new.clone());
        }
    }
}

/// Whose words the configuration of a switch is in: its platform says it, else its maker.
fn vendor(device: &Device) -> Option<Vendor> {
    let platform = device.platform.as_ref();
    let words = |named: &records::Named| format!("{} {}", named.slug, named.name()).to_lowercase();
    let platform = platform.map(words).unwrap_or_default();
    let maker = words(&device.device_type.manufacturer);
    let says = |text: &str, words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&platform, &["sonic"]) {
        return Some(Vendor::Sonic);
    }
    if says(&platform, &["cumulus", "nvue"]) || says(&maker, &["cumulus"]) {
        return Some(Vendor::Nvue);
    }
    let is_eos = says(&platform, &["arista"]) || platform.split([' ', '-']).any(|it| it == "eos");
    (is_eos || says(&maker, &["arista"])).then_some(Vendor::Eos)
}

fn switch_of(vendor: Vendor) -> Switch {
    tree::read_json(&json!({"vendor": vendor})).expect("a vendor alone is a switch")
}

#[cfg(test)]
mod tests;
