//! Hosts.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::link::is_default;
use super::words::words;
use super::{
    DhcpOptions, DiskRule, HostMatch, LocalBoot, Mac, Nic, NicAddress, ProfileTree, Scalar, When,
};

/// The key of a host that `key` was called before, or `key` itself: site files, rows and stored
/// revisions of earlier versions are still read.
pub fn current_host_key(key: &str) -> &str {
    match key {
        "leased-from" => "rented-from",
        "leased-until" => "rented-until",
        key => key,
    }
}

/// The keys of a host that hold one value each, in the order of the columns of rows.
pub const SINGLE_VALUE_KEYS: [&str; 12] = [
    "rack",
    "unit",
    "index",
    "serial",
    "tenant",
    "rented-from",
    "rented-until",
    "profile",
    "image",
    "boot-file",
    "local-boot",
    "protected",
];

/// One server: where it stands, what its NICs are, what it boots and what its network is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Host {
    /// The rack it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// The lowest rack unit it fills, counted from 1 at the bottom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<u16>,
    /// How many units it fills, 1 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u16>,
    /// Its own number, for profiles that compute with it; its unit where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Names of labels, such as `database`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What people should know of it, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Whether arming it for an install is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// The maker's serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Who rents it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// When the tenant's rental begins: a day, or a time (RFC 3339).
    #[serde(default, alias = "leased-from", skip_serializing_if = "Option::is_none")]
    pub rented_from: Option<When>,
    /// When it ends; a day is its last one. Nothing is switched off then.
    #[serde(default, alias = "leased-until", skip_serializing_if = "Option::is_none")]
    pub rented_until: Option<When>,
    /// What its network looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What it gives to the parameters of its profile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Scalar>,
    /// What its network is otherwise than its profile says: a part of a profile, laid over it.
    #[serde(default, skip_serializing_if = "ProfileTree::is_empty")]
    pub network: ProfileTree,
    /// What it boots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Which of its disks an image is written to.
    #[serde(
        default,
        skip_serializing_if = "DiskRule::is_empty",
        deserialize_with = "DiskRule::read"
    )]
    pub disk: DiskRule,
    /// Its NICs by label, in the order of the slots: the permanent MAC, and the switch port
    /// it is cabled to.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub nics: IndexMap<String, Nic>,
    /// The addresses that its links have, by link name. Left out: the inventory
    /// gives the next free one of the subnet's `hosts` range, and keeps it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<String, IpAddr>,
    /// The address that DHCP gives it on a subnet while it boots, by subnet name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reservations: BTreeMap<String, IpAddr>,
    /// Rules, such as `N152`, whose warnings about it are silenced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Replaces the boot file that its firmware's architecture would get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_file: Option<String>,
    /// The TFTP server of its boot file, where it is not this server (`siaddr`, option 66).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
    /// Whether DHCP answers it; `off` keeps it from booting and from leasing here.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dhcp: HostDhcp,
    /// Its baseboard management controller, which DHCP gives an address of its own and no boot
    /// data. It is not one of the NICs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmc: Option<Bmc>,
    /// How its firmware is sent to the local disk, instead of the way that its image names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_boot: Option<LocalBoot>,
    /// What DHCP knows it by besides its MACs.
    #[serde(default, rename = "match", skip_serializing_if = "HostMatch::is_empty")]
    pub known_by: HostMatch,
    /// DHCP options of its own, by name or number; they go before those of its profile and subnet.
    #[serde(default, skip_serializing_if = "DhcpOptions::is_empty")]
    pub dhcp_options: DhcpOptions,
}

words! {
    /// Whether DHCP answers a host.
    #[derive(Default)]
    pub HostDhcp {
        /// As its subnet and its image say.
        #[default]
        On = "on",
        /// Never.
        Off = "off",
    }
}

/// A baseboard management controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bmc {
    /// Its MAC.
    pub mac: Mac,
    /// Its address, which DHCP reserves for it; a dynamic one where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

impl Host {
    /// The address that it is reached at: of its first link, else reserved for it.
    pub fn main_address(&self) -> Option<IpAddr> {
        self.addresses.values().chain(self.reservations.values()).next().copied()
    }

    /// The number that profiles know it by.
    pub fn number(&self) -> Option<u32> {
        self.index.or_else(|| self.unit.map(u32::from))
    }

    /// What is left of it when nobody uses it any more: where it is, what it is made of, and how
    /// its firmware boots.
    pub fn released(&self) -> Self {
        Self {
            rack: self.rack.clone(),
            unit: self.unit,
            height: self.height,
            index: self.index,
            serial: self.serial.clone(),
            disk: self.disk.clone(),
            nics: self.nics.clone(),
            boot_file: self.boot_file.clone(),
            next_server: self.next_server,
            dhcp: self.dhcp,
            bmc: self.bmc.clone(),
            local_boot: self.local_boot,
            known_by: self.known_by.clone(),
            ..Self::default()
        }
    }

    /// Whether `mac` is one of its NICs.
    pub fn has_mac(&self, mac: Mac) -> bool {
        self.has_nic(mac.into())
    }

    /// Whether a NIC is one of the host's own.
    pub fn has_nic(&self, nic: NicAddress) -> bool {
        self.nics.values().any(|own| own.address.identity() == nic.identity())
    }
}
