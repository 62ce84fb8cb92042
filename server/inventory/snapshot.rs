//! The whole site in memory, with the indexes that answering a packet needs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use crate::inventory::database::{Transaction, with_connection};
use crate::inventory::{Database, Error, hosts, specs, subnets, vault};
use crate::model::{
    Bmc, FirmwareArch, Host, Identity, Image, Mac, NicAddress, NounKind, Site, SubnetIndex,
};
use crate::profile::ResolvedSite;

/// The site at one revision.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The number of the last revision in it; 0 for an empty inventory.
    pub revision: i64,
    /// Everything the operators declared.
    pub site: ResolvedSite,
    /// The secrets as they are stored, by name.
    pub(super) sealed: BTreeMap<String, String>,
    by_nic: HashMap<NicAddress, String>,
    by_bmc: HashMap<Mac, String>,
    by_identity: HashMap<Identity, String>,
    subnets: SubnetIndex,
    shared: HashSet<IpAddr>,
    /// The images with a disk image, with what boots to write it.
    disk_images: HashMap<String, Image>,
    /// The images that differ by architecture, with what boots on each.
    variants: HashMap<String, BTreeMap<FirmwareArch, Image>>,
}

impl Snapshot {
    /// Makes the indexes for a site.
    pub fn new(revision: i64, site: impl Into<ResolvedSite>) -> Self {
        let site = site.into();
        let (by_nic, by_identity) = (site.nic_index(), site.identity_index());
        let subnets = SubnetIndex::new(&site);
        let bmcs = site.hosts.iter().filter_map(|(name, host)| Some((host.bmc.as_ref()?, name)));
        let by_bmc = bmcs.map(|(bmc, name)| (bmc.mac, name.clone())).collect();
        let shared = shared_addresses(&site);
        let on = |name: &str, arch| Some((arch, site.image_to_boot_on(name, Some(arch))?));
        let variants = site.images.keys().filter_map(|name| {
            let images: BTreeMap<_, _> =
                site.variants_of(name).into_iter().filter_map(|arch| on(name, arch)).collect();
            (!images.is_empty()).then(|| (name.clone(), images))
        });
        let variants = variants.collect();
        let disk_images = site
            .images
            .iter()
            .filter(|(_, image)| image.disk.is_some() || !image.variants.is_empty());
        let disk_images = disk_images
            .filter_map(|(name, _)| Some((name.clone(), site.image_to_boot(name)?.into_owned())))
            .collect();
        Self {
            revision,
            site,
            sealed: BTreeMap::new(),
            by_nic,
            by_bmc,
            by_identity,
            subnets,
            shared,
            disk_images,
            variants,
        }
    }

    /// Reads the whole site: twelve queries, however many hosts there are.
    pub async fn load(database: &Database) -> Result<Self, Error> {
        let mut transaction = database.begin_reading().await?;
        let snapshot = Self::read(&mut transaction).await?;
        transaction.commit().await?;
        Ok(snapshot)
    }

    /// Reads the whole site as a transaction sees it.
    pub(crate) async fn read(transaction: &mut Transaction) -> Result<Self, Error> {
        const REVISION: &str = "SELECT COALESCE(MAX(id), 0) FROM revisions";
        let revision: i64 = with_connection!(&mut *transaction, connection =>
            sqlx::query_scalar(REVISION).fetch_one(connection).await)?;
        let mut site = Site::default();
        for kind in NounKind::ALL {
            match kind {
                NounKind::Rack => site.racks = specs::list(transaction).await?,
                NounKind::Tenant => site.tenants = specs::list(transaction).await?,
                NounKind::Switch => site.switches = specs::list(transaction).await?,
                NounKind::Subnet => site.subnets = subnets::list(transaction).await?,
                NounKind::ProfileTree => site.profiles = specs::list(transaction).await?,
                NounKind::Image => site.images = specs::list(transaction).await?,
                NounKind::Host => site.hosts = hosts::list(transaction).await?,
            }
        }
        site.set_wide(specs::list(transaction).await?);
        let sealed = vault::list_sealed(transaction).await?;
        Ok(Self { sealed, ..Self::new(revision, site) })
    }

    /// The host that has this MAC, with its name.
    pub fn host_of_mac(&self, mac: Mac) -> Option<(&str, &Host)> {
        self.host_of_nic(mac.into())
    }

    /// The host that has this NIC, with its name.
    pub fn host_of_nic(&self, nic: NicAddress) -> Option<(&str, &Host)> {
        self.host(self.by_nic.get(&nic.identity())?)
    }

    /// The baseboard management controller that has this MAC.
    pub(crate) fn bmc_of_mac(&self, mac: Mac) -> Option<&Bmc> {
        self.host(self.by_bmc.get(&mac)?)?.1.bmc.as_ref()
    }

    /// The host whose baseboard management controller has this MAC, with its name.
    pub fn host_of_bmc(&self, mac: Mac) -> Option<(&str, &Host)> {
        self.host(self.by_bmc.get(&mac)?)
    }

    /// Whether some host is known by more than its MACs.
    pub fn knows_identities(&self) -> bool {
        !self.by_identity.is_empty()
    }

    /// The host that is known by this, with its name.
    pub fn host_of_identity(&self, identity: &Identity) -> Option<(&str, &Host)> {
        self.host(self.by_identity.get(identity)?)
    }

    /// Which subnets an address is in.
    pub fn subnets(&self) -> &SubnetIndex {
        &self.subnets
    }

    /// Whether several hosts have this address, each in a VRF of its own: it says nothing about
    /// which of them a request is from.
    pub fn is_shared(&self, address: IpAddr) -> bool {
        self.shared.contains(&address)
    }

    /// What boots for an image of this name; see [`Site::image_to_boot`].
    pub fn image_to_boot(&self, name: &str) -> Option<&Image> {
        self.disk_images.get(name).or_else(|| self.site.images.get(name))
    }

    /// The same on a host of an architecture, which is only asked for where it matters.
    pub fn image_to_boot_on(
        &self,
        name: &str,
        arch: impl FnOnce() -> Option<FirmwareArch>,
    ) -> Option<&Image> {
        let variant = self.variants.get(name).and_then(|variants| variants.get(&arch()?));
        variant.or_else(|| self.image_to_boot(name))
    }

    /// The host of this name.
    pub fn host(&self, name: &str) -> Option<(&str, &Host)> {
        self.site.hosts.get_key_value(name).map(|(name, host)| (name.as_str(), host))
    }
}

/// The addresses that several hosts have.
fn shared_addresses(site: &ResolvedSite) -> HashSet<IpAddr> {
    let mut owners: HashMap<IpAddr, &str> = HashMap::new();
    let mut shared = HashSet::new();
    for (name, host) in &site.hosts {
        for address in host.addresses.values().chain(host.reservations.values()) {
            if owners.insert(*address, name).is_some_and(|other| other != name) {
                shared.insert(*address);
            }
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_what_the_architecture_of_the_host_needs() {
        let site: Site = serde_json::from_value(serde_json::json!({"images": {
            "live": {
                "kernel": "amd64/vmlinuz", "initrd": ["amd64/initrd.img"], "cmdline": "quiet",
                "variants": {"arm64": {
                    "kernel": "arm64/vmlinuz", "initrd": ["arm64/initrd.img"],
                    "cmdline": "console=ttyAMA0",
                }},
            },
            "debian": {
                "disk": "amd64.raw", "sha256": "aa",
                "variants": {"arm64": {"disk": "arm64.raw"}},
            },
            "plain": {"disk": "any.raw"},
        }}))
        .unwrap();
        let snapshot = Snapshot::new(1, site);
        let on = |name: &str, arch| {
            let image = snapshot.image_to_boot_on(name, || arch).unwrap();
            let told = (image.kernel.as_deref().unwrap_or_default(), image.disk.as_deref());
            assert_eq!(image.initrd.len(), 1, "{name}");
            (told.0, told.1, image.cmdline.as_str(), image.sha256.as_deref())
        };
        let (x64, arm64) = (Some(FirmwareArch::X64), Some(FirmwareArch::Arm64));
        for arch in [x64, None, Some(FirmwareArch::Bios)] {
            assert_eq!(on("live", arch), ("amd64/vmlinuz", None, "quiet", None));
            let disk = ("amd64/vmlinuz", Some("amd64.raw"), "quiet", Some("aa"));
            assert_eq!(on("debian", arch), disk);
        }
        assert_eq!(on("live", arm64), ("arm64/vmlinuz", None, "console=ttyAMA0", None));
        let disk = ("arm64/vmlinuz", Some("arm64.raw"), "console=ttyAMA0", None);
        assert_eq!(on("debian", arm64), disk);
        let disk = ("arm64/vmlinuz", Some("any.raw"), "console=ttyAMA0", None);
        assert_eq!(on("plain", arm64), disk);
        // A disk image of any architecture is for the boot that may install it alone.
        assert!(!crate::lifecycle::gate::is_public("arm64.raw", &snapshot.site));
        assert!(crate::lifecycle::gate::is_public("arm64/vmlinuz", &snapshot.site));
    }

    #[test]
    fn an_address_of_two_hosts_is_shared_and_one_that_a_host_has_twice_is_not() {
        let (one, both) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let host = |addresses: &[(&str, IpAddr)], reserved: IpAddr| Host {
            addresses: addresses.iter().map(|(link, it)| ((*link).to_owned(), *it)).collect(),
            reservations: [("boot".to_owned(), reserved)].into_iter().collect(),
            ..Host::default()
        };
        let mut site = Site::default();
        site.hosts.insert("a".into(), host(&[("br0", one), ("br1", both)], one));
        site.hosts.insert("b".into(), host(&[], both));
        let snapshot = Snapshot::new(1, site);
        assert!(snapshot.is_shared(both));
        assert!(!snapshot.is_shared(one) && !snapshot.is_shared([10, 0, 0, 3].into()));
    }
}
