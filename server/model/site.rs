//! The whole site: everything that the site file holds and the inventory stores.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Host, Identity, Image, Mac, Profile, Subnet, tenant_role};

/// Everything that an operator declares. `rackstrap apply` makes the inventory
/// equal to one of these; `rackstrap export` writes one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Site {
    /// Racks by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub racks: BTreeMap<String, Rack>,
    /// Tenants by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<String, Tenant>,
    /// Subnets by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subnets: BTreeMap<String, Subnet>,
    /// Profiles by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<String, Profile>,
    /// Images by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, Image>,
    /// Hosts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, Host>,
}

/// A rack. A host may name a rack that has no entry of its own: the entry is then made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rack {
    /// Where it stands, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// How many units it has, 42 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u16>,
}

/// Who may lease hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tenant {
    /// How to reach them, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

impl Site {
    /// The host that one of whose NICs has this MAC. A walk over all hosts: the
    /// running server looks it up in an index instead (`inventory::Snapshot`).
    pub fn host_of_mac(&self, mac: Mac) -> Option<(&str, &Host)> {
        self.hosts
            .iter()
            .find(|(_, host)| host.has_mac(mac))
            .map(|(name, host)| (name.as_str(), host))
    }

    /// The host's address on a subnet: what DHCP gives it there. A reservation
    /// comes first, else the address that one of its links bears in that subnet.
    pub fn address_on(&self, host: &Host, subnet_name: &str) -> Option<IpAddr> {
        if let Some(address) = host.reservations.get(subnet_name) {
            return Some(*address);
        }
        let profile = self.profiles.get(host.profile.as_deref()?)?;
        let tenant = host.tenant.as_deref();
        // Asked for every packet: no profile is made for a tenant here.
        let meant = |named: &str| match tenant_role(named) {
            Some(role) => self.subnet_of_tenant(tenant, role) == Some(subnet_name),
            None => named == subnet_name,
        };
        let (link, _) = profile.subnets().filter(|(_, named)| meant(named)).last()?;
        host.addresses.get(link).copied()
    }

    /// Every MAC of the site with the name of its host.
    pub fn mac_index(&self) -> HashMap<Mac, String> {
        let nics = |(name, host): (&String, &Host)| {
            host.nics.values().map(|mac| (*mac, name.clone())).collect::<Vec<_>>()
        };
        self.hosts.iter().flat_map(nics).collect()
    }

    /// Whatever else hosts are known by, with the name of the host.
    pub fn identity_index(&self) -> HashMap<Identity, String> {
        let of_host = |(name, host): (&String, &Host)| {
            host.known_by.identities().map(|it| (it, name.clone())).collect::<Vec<_>>()
        };
        self.hosts.iter().flat_map(of_host).collect()
    }
}
