//! Profiles: the network that a kind of host has, in netplan's and networkd's words. Pure.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::bond::BondSpec;
use super::link::{LinkSettings, is_default, link_spec};
use super::words::words;

/// What the network of a kind of host looks like. Forty hosts are one profile and forty rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// Whether the generator adds what makes a host come up well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub defaults: Defaults,
    /// How the files find the physical NICs.
    #[serde(default, rename = "match", skip_serializing_if = "is_default")]
    pub match_by: MatchBy,
    /// What the profile says about NICs, by the label of the NIC.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub nics: IndexMap<String, NicSpec>,
    /// Bonds, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub bonds: IndexMap<String, BondSpec>,
    /// VLANs, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub vlans: IndexMap<String, VlanSpec>,
    /// Bridges, by link name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub bridges: IndexMap<String, BridgeSpec>,
}

words! {
    /// What the generator adds to the profile's own words.
    #[derive(Default)]
    Defaults {
        /// Everything that makes the host come up well (MAC, MTU, no stray IPv6, wait-online).
        #[default]
        Safe = "safe",
        /// Exactly what the profile says and nothing else.
        Verbatim = "verbatim",
    }
}

words! {
    /// How a `.network` file finds a physical NIC.
    #[derive(Default)]
    MatchBy {
        /// `PermanentMACAddress=`, which survives enslaving.
        #[default]
        PermanentMac = "permanent-mac",
        /// `Name=` with the NIC's label, for hosts with predictable kernel names.
        Name = "name",
    }
}

link_spec! {
    /// What a profile says about one NIC.
    #[derive(Default)]
    NicSpec {}
}

link_spec! {
    /// An 802.1Q VLAN on top of a link.
    VlanSpec {
        /// The link below.
        link: String,
        /// The VLAN id, where it is not the subnet's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u16>,
    }
}

link_spec! {
    /// A bridge over links.
    BridgeSpec {
        /// The ports.
        interfaces: Vec<String>,
        /// Whether spanning tree runs, which delays the network by 30 s.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stp: Option<bool>,
    }
}

/// One link of a profile: the key of the profile that holds it, its name and what all links share.
#[derive(Clone, Copy, Debug)]
pub struct ProfileLink<'a> {
    /// `nics`, `bonds`, `vlans` or `bridges`.
    pub section: &'static str,
    /// The link's name.
    pub name: &'a str,
    /// What links of every kind share.
    pub settings: LinkSettings<'a>,
}

impl Profile {
    /// Every link of the profile, the kind that usually lies lowest first.
    pub fn links(&self) -> impl Iterator<Item = ProfileLink<'_>> {
        let nics = self.nics.iter().map(|(name, spec)| ("nics", name, spec.settings()));
        let bonds = self.bonds.iter().map(|(name, spec)| ("bonds", name, spec.settings()));
        let vlans = self.vlans.iter().map(|(name, spec)| ("vlans", name, spec.settings()));
        let bridges = self.bridges.iter().map(|(name, spec)| ("bridges", name, spec.settings()));
        nics.chain(bonds).chain(vlans).chain(bridges).map(|(section, name, settings)| ProfileLink {
            section,
            name,
            settings,
        })
    }

    /// Every link of the profile that has a subnet, with the subnet's name, lowest kind first.
    pub fn subnets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.links().filter_map(|link| Some((link.name, link.settings.subnet?)))
    }

    /// The topmost link that carries `subnet`: an address lives there, never on a lower layer.
    pub fn link_of_subnet(&self, subnet: &str) -> Option<&str> {
        self.subnets().filter(|(_, name)| *name == subnet).last().map(|(link, _)| link)
    }

    /// The name of the link that stands directly on `link`: the bond or bridge that has
    /// taken it in.
    pub fn master_of(&self, link: &str) -> Option<&str> {
        let bonds = self.bonds.iter().map(|(name, spec)| (name, &spec.nics));
        let bridges = self.bridges.iter().map(|(name, spec)| (name, &spec.interfaces));
        let found = bonds.chain(bridges).find(|(_, members)| members.iter().any(|m| m == link));
        found.map(|(name, _)| name.as_str())
    }

    /// Whether `name` is a link that the profile makes: a bond, VLAN or bridge.
    pub fn makes(&self, name: &str) -> bool {
        self.bonds.contains_key(name)
            || self.vlans.contains_key(name)
            || self.bridges.contains_key(name)
    }
}
