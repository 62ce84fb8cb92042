//! The form of a host: what was typed, and the host it stands for. Pure.

mod form_errors;
mod places;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::form::Fields;
use crate::model::{
    Bmc, Cable, Host, HostMatch, LocalBoot, Mac, Nic, NicAddress, Scalar, When, check_host_name,
    check_link_name, check_noun_name,
};
use crate::profile::{Resolution, ResolvedSite};
use crate::site_file::set_values;

pub(crate) use form_errors::FormErrors;

/// Empty rows for NICs that the form offers.
const SPARE_ROWS: usize = 2;

/// The form as it was filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostForm {
    /// The host's name before; empty for a new host.
    pub was: String,
    /// What the host was when the form was made, as JSON; empty for a new host.
    pub seen: String,
    /// The [`digest`] of the host as it was reviewed; empty where nothing was.
    pub reviewed: String,
    /// The host's name.
    pub name: String,
    /// Its rack.
    pub rack: String,
    /// Its unit.
    pub unit: String,
    /// How many units it fills.
    pub height: String,
    /// Its own number.
    pub index: String,
    /// What it gives to the parameters of its profile: name and value.
    pub parameters: Vec<(String, String)>,
    /// Its serial number.
    pub serial: String,
    /// Its tenant.
    pub tenant: String,
    /// When the tenant's rental begins.
    pub rented_from: String,
    /// When it ends.
    pub rented_until: String,
    /// Its profile.
    pub profile: String,
    /// Its image.
    pub image: String,
    /// Its own boot file.
    pub boot_file: String,
    /// How its firmware is sent to the local disk.
    pub local_boot: String,
    /// Its labels, separated by commas.
    pub labels: String,
    /// What people should know of it.
    pub notes: String,
    /// Whether arming it is refused.
    pub protected: bool,
    /// The MAC of its BMC.
    pub bmc_mac: String,
    /// The address of its BMC.
    pub bmc_address: String,
    /// Label and MAC of each NIC.
    pub nics: Vec<(String, String)>,
    /// Label and switch port of each NIC that is cabled, the latter as `SWITCH PORT`.
    pub cables: Vec<(String, String)>,
    /// Link and address.
    pub addresses: Vec<(String, String)>,
    /// Subnet and address.
    pub reservations: Vec<(String, String)>,
    /// What else it is known by: key and value.
    pub known_by: Vec<(String, String)>,
}

/// A fingerprint of a host, by which a form knows that nobody changed it meanwhile.
pub(crate) fn digest(host: &Host) -> String {
    let json = serde_json::to_vec(host).unwrap_or_default();
    Sha256::digest(json).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl HostForm {
    /// The form of a host that exists.
    pub(crate) fn of(name: &str, host: &Host) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let pair = |(key, address): (&String, &IpAddr)| (key.clone(), address.to_string());
        let cable =
            |(label, nic): (&String, &Nic)| Some((label.clone(), nic.cable.as_ref()?.to_string()));
        let when = |when: Option<When>| when.map(|when| when.to_string()).unwrap_or_default();
        Self {
            was: name.to_owned(),
            seen: serde_json::to_string(host).unwrap_or_default(),
            reviewed: String::new(),
            name: name.to_owned(),
            rack: text(&host.rack),
            unit: host.unit.map(|unit| unit.to_string()).unwrap_or_default(),
            height: host.height.map(|height| height.to_string()).unwrap_or_default(),
            index: host.index.map(|index| index.to_string()).unwrap_or_default(),
            parameters: host.parameters.iter().map(|(k, v)| (k.clone(), v.to_string())).collect(),
            serial: text(&host.serial),
            tenant: text(&host.tenant),
            rented_from: when(host.rented_from),
            rented_until: when(host.rented_until),
            profile: text(&host.profile),
            image: text(&host.image),
            boot_file: text(&host.boot_file),
            local_boot: host.local_boot.map_or("", LocalBoot::label).to_owned(),
            labels: host.labels.join(", "),
            notes: text(&host.notes),
            protected: host.protected,
            bmc_mac: host.bmc.as_ref().map(|bmc| bmc.mac.to_string()).unwrap_or_default(),
            bmc_address: host
                .bmc
                .as_ref()
                .and_then(|bmc| bmc.address)
                .map(|address| address.to_string())
                .unwrap_or_default(),
            nics: host
                .nics
                .iter()
                .map(|(label, nic)| (label.clone(), nic.address.to_string()))
                .collect(),
            cables: host.nics.iter().filter_map(cable).collect(),
            addresses: host.addresses.iter().map(pair).collect(),
            reservations: host.reservations.iter().map(pair).collect(),
            known_by: host
                .known_by
                .values()
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?)))
                .collect(),
        }
    }

    /// What was sent. `was` is the host of the URL.
    pub(crate) fn read(fields: &Fields, was: &str) -> Self {
        let text = |name| fields.text(name).to_owned();
        let (nics, cables) = read_nics(fields);
        let pairs = |first, second| {
            let pairs = fields.texts(first).zip(fields.texts(second));
            let given = pairs.filter(|(a, b)| !a.is_empty() || !b.is_empty());
            given.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
        };
        Self {
            was: was.to_owned(),
            seen: text("seen"),
            reviewed: text("reviewed"),
            name: text("name"),
            rack: text("rack"),
            unit: text("unit"),
            height: text("height"),
            index: text("index"),
            parameters: pairs("parameter.name", "parameter"),
            serial: text("serial"),
            tenant: text("tenant"),
            rented_from: text("rented-from"),
            rented_until: text("rented-until"),
            profile: text("profile"),
            image: text("image"),
            boot_file: text("boot-file"),
            local_boot: text("local-boot"),
            labels: text("labels"),
            notes: text("notes"),
            protected: !fields.text("protected").is_empty(),
            bmc_mac: text("bmc-mac"),
            bmc_address: text("bmc-address"),
            nics,
            cables,
            addresses: pairs("address.link", "address"),
            reservations: pairs("reservation.subnet", "reservation"),
            known_by: pairs("match.key", "match"),
        }
    }

    /// Whether it says more than MACs of what the host is known by.
    pub(crate) fn is_known_by_more(&self) -> bool {
        self.known_by.iter().any(|(_, value)| !value.is_empty())
    }

    /// Fills in a NIC with the next free label, `ib` for a port of InfiniBand; no address adds none.
    pub(crate) fn adopt(&mut self, mac: String) {
        if !mac.is_empty() {
            let is_port = mac.parse::<NicAddress>().is_ok_and(NicAddress::is_infiniband);
            let labels = self.nics.iter().map(|(label, _)| label.as_str());
            let label = free_label(if is_port { "ib" } else { "eth" }, labels);
            self.nics.push((label, mac));
        }
    }

    /// Whether it is the name of a NIC that is wrong, rather than its MAC or its port.
    pub(crate) fn has_wrong_nic_name(&self, label: &str) -> bool {
        check_link_name(label).is_err()
            || self.nics.iter().filter(|(other, _)| other == label).count() > 1
    }

    /// The profile as the host would have it with what is filled in so far; with made-up values
    /// where that is not enough.
    pub(crate) fn resolution(&self, site: &ResolvedSite) -> Option<Arc<Resolution>> {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let host = Host {
            profile: given(&self.profile),
            tenant: given(&self.tenant),
            rack: given(&self.rack),
            unit: self.unit.parse().ok(),
            index: self.index.parse().ok(),
            parameters: self.parameters(),
            ..Host::default()
        };
        let own = site.profile_of(&host).filter(|found| found.faults.is_empty());
        own.or_else(|| site.profile_named(&self.profile, host.tenant.as_deref()))
    }

    /// Adds the rows that the page offers beyond what is filled in: every link of the
    /// profile that has an address, spare NICs, and one more reservation.
    pub(crate) fn offer_rows(&mut self, site: &ResolvedSite) {
        if let Some(resolution) = self.resolution(site) {
            for name in resolution.parameters.keys() {
                if !self.parameters.iter().any(|(known, _)| known == name) {
                    self.parameters.push((name.clone(), String::new()));
                }
            }
            let profile = &resolution.profile;
            for (_, subnet) in profile.subnets() {
                let Some(link) = profile.link_of_subnet(subnet) else { continue };
                if !self.addresses.iter().any(|(known, _)| known == link) {
                    self.addresses.push((link.to_owned(), String::new()));
                }
            }
        }
        for _ in 0..SPARE_ROWS {
            let label = free_label("eth", self.nics.iter().map(|(label, _)| label.as_str()));
            self.nics.push((label, String::new()));
        }
        self.reservations.push(<(String, String)>::default());
        for key in HostMatch::KEYS {
            if !self.known_by.iter().any(|(known, _)| known == key) {
                self.known_by.push((key.to_owned(), String::new()));
            }
        }
    }

    /// The name and the host that the form stands for, or all that is wrong with it.
    pub(crate) fn host(&self) -> Result<(String, Host), FormErrors> {
        let mut form_errors = FormErrors::default();
        if let Err(error) = check_host_name(&self.name) {
            form_errors.add("name", error.to_string());
        }
        if !self.rack.is_empty()
            && let Err(error) = check_noun_name("rack", &self.rack)
        {
            form_errors.add("rack", error.to_string());
        }
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        let host = Host {
            rack: given(&self.rack),
            unit: self.unit(&mut form_errors),
            height: self.height(&mut form_errors),
            index: self.index(&mut form_errors),
            parameters: self.parameters(),
            serial: given(&self.serial),
            tenant: given(&self.tenant),
            rented_from: when("rented-from", &self.rented_from, &mut form_errors),
            rented_until: when("rented-until", &self.rented_until, &mut form_errors),
            profile: given(&self.profile),
            image: given(&self.image),
            nics: self.nics(&mut form_errors),
            addresses: addresses("addresses", &self.addresses, &mut form_errors),
            reservations: addresses("reservations", &self.reservations, &mut form_errors),
            boot_file: given(&self.boot_file),
            local_boot: self.local_boot(&mut form_errors),
            labels: self.labels(&mut form_errors),
            notes: given(&self.notes),
            protected: self.protected,
            bmc: self.bmc(&mut form_errors),
            known_by: self.known_by(&mut form_errors),
            ..Host::default()
        };
        if form_errors.is_empty() { Ok((self.name.clone(), host)) } else { Err(form_errors) }
    }

    fn bmc(&self, form_errors: &mut FormErrors) -> Option<Bmc> {
        if self.bmc_mac.is_empty() && self.bmc_address.is_empty() {
            return None;
        }
        let address = match self.bmc_address.as_str() {
            "" => None,
            text => match text.parse() {
                Ok(address) => Some(address),
                Err(_) => {
                    let error = format!("\"{text}\" is not an IP address");
                    form_errors.add("bmc.address", error);
                    None
                }
            },
        };
        match self.bmc_mac.parse::<Mac>() {
            Ok(mac) => Some(Bmc { mac, address }),
            Err(error) => {
                form_errors.add("bmc", error.to_string());
                None
            }
        }
    }

    fn known_by(&self, form_errors: &mut FormErrors) -> HostMatch {
        for pair in &self.known_by {
            if let Err(error) = set_values::<HostMatch>(None, std::slice::from_ref(pair)) {
                form_errors.add(format!("match.{}", pair.0), error.to_string());
            }
        }
        set_values(None, &self.known_by).unwrap_or_default()
    }

    fn local_boot(&self, form_errors: &mut FormErrors) -> Option<LocalBoot> {
        let found = LocalBoot::ALL.into_iter().find(|way| way.label() == self.local_boot);
        if found.is_none() && !self.local_boot.is_empty() {
            let known = LocalBoot::ALL.map(LocalBoot::label).join(", ");
            let text = format!("expected one of {known}, found \"{}\"", self.local_boot);
            form_errors.add("local-boot", text);
        }
        found
    }

    /// Each label once, in the order in which they were typed.
    fn labels(&self, form_errors: &mut FormErrors) -> Vec<String> {
        let mut labels: Vec<String> = Vec::new();
        for label in self.labels.split(',').map(str::trim).filter(|label| !label.is_empty()) {
            if let Err(error) = check_noun_name("label", label) {
                form_errors.add("labels", error.to_string());
            } else if !labels.iter().any(|known| known == label) {
                labels.push(label.to_owned());
            }
        }
        labels
    }

    fn index(&self, form_errors: &mut FormErrors) -> Option<u32> {
        let index = self.index.parse().ok();
        if index.is_none() && !self.index.is_empty() {
            form_errors.add("index", format!("\"{}\" is not a number of 0 or more", self.index));
        }
        index
    }

    /// What is left empty is left to the rack, the site and the profile's default.
    fn parameters(&self) -> BTreeMap<String, Scalar> {
        let given = self.parameters.iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| (name.clone(), Scalar(value.clone()))).collect()
    }

    fn unit(&self, form_errors: &mut FormErrors) -> Option<u16> {
        if self.unit.is_empty() {
            return None;
        }
        let unit = self.unit.parse().ok().filter(|unit| (1..=100).contains(unit));
        if unit.is_none() {
            form_errors.add(
                "unit",
                format!("\"{}\" is not a unit: expected 1 to 100, from the bottom", self.unit),
            );
        }
        unit
    }

    fn height(&self, form_errors: &mut FormErrors) -> Option<u16> {
        if self.height.is_empty() {
            return None;
        }
        let height = self.height.parse().ok().filter(|height| (1..=100).contains(height));
        if height.is_none() {
            let text = format!("\"{}\" is not a height: expected 1 to 100 units", self.height);
            form_errors.add("height", text);
        }
        height
    }

    fn nics(&self, form_errors: &mut FormErrors) -> indexmap::IndexMap<String, Nic> {
        let mut nics = indexmap::IndexMap::new();
        for (label, mac) in &self.nics {
            let place = format!("nics.{label}");
            match (check_link_name(label), mac.parse::<NicAddress>()) {
                (Err(error), _) => form_errors.add(place, error.to_string()),
                (_, Err(error)) => form_errors.add(place, error.to_string()),
                (Ok(()), Ok(address)) => {
                    let cable = self.cable_of(label, form_errors);
                    if nics.insert(label.clone(), Nic { address, cable }).is_some() {
                        form_errors.add(place, format!("duplicate NIC name \"{label}\""));
                    }
                }
            }
        }
        nics
    }

    /// The switch port of a NIC as it was typed; nothing for none.
    pub(crate) fn cable(&self, label: &str) -> &str {
        let found = self.cables.iter().find(|(own, _)| own == label);
        found.map_or("", |(_, cable)| cable)
    }

    fn cable_of(&self, label: &str, form_errors: &mut FormErrors) -> Option<Cable> {
        let typed = self.cable(label);
        let words: Vec<&str> = typed.split_whitespace().collect();
        match words[..] {
            [] => None,
            [switch, port] => Some(Cable { switch: switch.into(), port: port.into() }),
            _ => {
                let text = format!(
                    "\"{typed}\" is not a switch port: expected SWITCH PORT, such as leaf1a Ethernet12"
                );
                form_errors.add(format!("nics.{label}"), text);
                None
            }
        }
    }
}

/// The first of eth0, eth1, ... or ib0, ib1, ... that no NIC has.
fn free_label<'a>(kind: &str, taken: impl Iterator<Item = &'a str> + Clone) -> String {
    let mut labels = (0..).map(|number| format!("{kind}{number}"));
    let free = labels.find(|label| !taken.clone().any(|other| other == label));
    free.unwrap_or_default()
}

/// Label and MAC, and label and switch port, of every NIC. A row with a name alone is one that
/// nobody filled in; a NIC without a name gets the next one.
#[allow(clippy::type_complexity)]
fn read_nics(fields: &Fields) -> (Vec<(String, String)>, Vec<(String, String)>) {
    let rows = fields.texts("nic.label").zip(fields.texts("nic.mac"));
    let mut cables_of_rows = fields.texts("nic.cable");
    let rows = rows.map(|(label, mac)| (label, mac, cables_of_rows.next().unwrap_or_default()));
    let rows: Vec<_> =
        rows.filter(|(_, mac, cable)| !mac.is_empty() || !cable.is_empty()).collect();
    let (mut nics, mut cables) = (Vec::<(String, String)>::new(), Vec::new());
    for (label, mac, cable) in &rows {
        let label = if label.is_empty() {
            let given = rows.iter().map(|(label, _, _)| *label);
            let made = nics.iter().map(|(label, _)| label.as_str());
            free_label("eth", given.chain(made))
        } else {
            (*label).to_owned()
        };
        cables.extend((!cable.is_empty()).then(|| (label.clone(), (*cable).to_owned())));
        nics.push((label, (*mac).to_owned()));
    }
    (nics, cables)
}

/// A day or time of the form; nothing for an empty field.
fn when(place: &str, text: &str, form_errors: &mut FormErrors) -> Option<When> {
    if text.is_empty() {
        return None;
    }
    let read = text.parse::<When>();
    read.inspect_err(|error| form_errors.add(place, error.to_string())).ok()
}

fn addresses(
    table: &str,
    rows: &[(String, String)],
    form_errors: &mut FormErrors,
) -> BTreeMap<String, IpAddr> {
    let mut addresses = BTreeMap::new();
    for (key, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let place = format!("{table}.{key}");
        let Ok(address) = value.parse() else {
            let hint = match value.split_once('/') {
                Some((address, _)) if address.parse::<IpAddr>().is_ok() => {
                    "; leave out the prefix length, which the subnet defines"
                }
                _ => ", such as 172.16.160.12",
            };
            form_errors.add(place, format!("\"{value}\" is not an IP address{hint}"));
            continue;
        };
        if key.is_empty() {
            form_errors.add(place, format!("select the subnet of {address}"));
        } else if addresses.insert(key.clone(), address).is_some() {
            form_errors.add(place, format!("\"{key}\" has two addresses; enter one"));
        }
    }
    addresses
}

#[cfg(test)]
mod tests;
