//! The whole site: everything that the site file holds and the inventory stores.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{
    FirmwareArch, Host, Identity, Image, Mac, NicAddress, ProfileTree, Scalar, Subnet, Switch,
    VlanId, VlanSpec,
};

/// Everything that an operator declares. `rackstrap apply` makes the inventory
/// equal to one of these; `rackstrap export` writes one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Site {
    /// Racks by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub racks: BTreeMap<String, Rack>,
    /// Tenants by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<String, Tenant>,
    /// Switches by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub switches: BTreeMap<String, Switch>,
    /// Subnets by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subnets: BTreeMap<String, Subnet>,
    /// Profiles by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<String, ProfileTree>,
    /// What hosts give to the parameters of their profiles where neither they nor their racks do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Scalar>,
    /// What holds where neither a host, nor its profile, nor its rack says otherwise: a part
    /// of a profile. What it says of a link is for the profiles that have the link.
    #[serde(default, skip_serializing_if = "ProfileTree::is_empty")]
    pub network: ProfileTree,
    /// What labels of hosts mean, by label. A label without an entry here means nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Label>,
    /// Images by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, Image>,
    /// Hosts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, Host>,
}

/// What a site says of itself rather than of one of its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SiteWide {
    /// See [`Site::parameters`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Scalar>,
    /// See [`Site::network`].
    #[serde(default, skip_serializing_if = "ProfileTree::is_empty")]
    pub network: ProfileTree,
    /// See [`Site::labels`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Label>,
}

/// What a label means for the hosts that have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Label {
    /// Whether arming these hosts for an install is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
}

/// A rack. A host may name a rack that has no entry of its own: the entry is then made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rack {
    /// Where it stands, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Names of labels, to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What people should know of it, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Whether arming its hosts for an install is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// How many units it has, 42 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u16>,
    /// What its hosts give to the parameters of their profiles where they do not themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Scalar>,
    /// What holds for its hosts where their profiles do not say otherwise: a part of a profile.
    /// What it says of a link is for the profiles that have the link.
    #[serde(default, skip_serializing_if = "ProfileTree::is_empty")]
    pub network: ProfileTree,
}

/// Who may lease hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tenant {
    /// How to reach them, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

impl Site {
    /// What boots for an image of this name: the image itself, or for a disk image the live
    /// system that writes it, as an image that installs.
    pub fn image_to_boot(&self, name: &str) -> Option<Cow<'_, Image>> {
        let image = self.images.get(name)?;
        if image.disk.is_none() && image.variants.is_empty() {
            return Some(Cow::Borrowed(image));
        }
        self.image_to_boot_on(name, None).map(Cow::Owned)
    }

    /// What boots for an image of this name on hosts of an architecture.
    pub fn image_to_boot_on(&self, name: &str, arch: Option<FirmwareArch>) -> Option<Image> {
        let image = self.images.get(name)?.on(arch);
        if image.disk.is_none() {
            return Some(image);
        }
        let live = self.images.get(image.live_system()).map(|live| live.on(arch));
        let live = live.unwrap_or_default();
        let (kernel, initrd, cmdline) = (live.kernel, live.initrd, live.cmdline);
        Some(Image { kernel, initrd, cmdline, ..image })
    }

    /// The architectures for which what an image boots differs.
    pub fn variants_of(&self, name: &str) -> BTreeSet<FirmwareArch> {
        let Some(image) = self.images.get(name) else { return BTreeSet::new() };
        let live = image.installs().then(|| self.images.get(image.live_system())).flatten();
        let images = [Some(image), live].into_iter().flatten();
        images.flat_map(|image| image.variants.keys().copied()).collect()
    }

    /// The host that one of whose NICs has this MAC. A walk over all hosts: the
    /// running server looks it up in an index instead (`inventory::Snapshot`).
    pub fn host_of_mac(&self, mac: Mac) -> Option<(&str, &Host)> {
        self.hosts
            .iter()
            .find(|(_, host)| host.has_mac(mac))
            .map(|(name, host)| (name.as_str(), host))
    }

    /// The hosts that have a label or are in a rack, or both where both are given; none where
    /// neither is.
    pub fn hosts_of(&self, label: Option<&str>, rack: Option<&str>) -> Vec<String> {
        let is_meant = |host: &Host| {
            label.is_none_or(|label| host.labels.iter().any(|own| own == label))
                && rack.is_none_or(|rack| host.rack.as_deref() == Some(rack))
        };
        if label.is_none() && rack.is_none() {
            return Vec::new();
        }
        let hosts = self.hosts.iter().filter(|(_, host)| is_meant(host));
        hosts.map(|(name, _)| name.clone()).collect()
    }

    /// The id of a VLAN: its own, or that of the subnet that it names or carries.
    pub fn vlan_of(&self, vlan: &VlanSpec) -> Option<u16> {
        let subnet = match &vlan.id {
            Some(VlanId::Number(number)) => return Some(*number),
            Some(VlanId::Of(subnet)) => Some(subnet),
            None => vlan.settings.subnet.as_ref(),
        };
        self.subnets.get(subnet?)?.vlan
    }

    /// Whether the same profiles come to the same in both: what differs is of single hosts.
    pub fn has_networks_of(&self, other: &Self) -> bool {
        self.profiles == other.profiles
            && self.subnets == other.subnets
            && self.racks == other.racks
            && (&self.parameters, &self.network) == (&other.parameters, &other.network)
    }

    /// What it says of itself: under `site` if it says anything.
    pub fn wide(&self) -> BTreeMap<String, SiteWide> {
        let wide = SiteWide {
            parameters: self.parameters.clone(),
            network: self.network.clone(),
            labels: self.labels.clone(),
        };
        let entry = (wide != SiteWide::default()).then(|| ("site".to_owned(), wide));
        entry.into_iter().collect()
    }

    /// Makes it say this of itself.
    pub fn set_wide(&mut self, wide: BTreeMap<String, SiteWide>) {
        let wide = wide.into_values().next().unwrap_or_default();
        (self.parameters, self.network) = (wide.parameters, wide.network);
        self.labels = wide.labels;
    }

    /// Every NIC of the site, by its [identity](NicAddress::identity), with the name of its host.
    pub fn nic_index(&self) -> HashMap<NicAddress, String> {
        let nics = |(name, host): (&String, &Host)| {
            host.nics.values().map(|nic| (nic.address.identity(), name.clone())).collect::<Vec<_>>()
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
