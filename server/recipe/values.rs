//! The values that recipes name. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use crate::model::{Host, NicAddress, Scalar, Subnet};
use crate::network::{File, Format, commands, data_url, render_host};
use crate::profile::ResolvedSite;
use crate::tree;

/// How the host reaches the server, and what shows that it may install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Booting {
    /// The NIC that boots, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<NicAddress>,
    /// The server as the host reaches it, such as `http://10.77.0.1`.
    pub server_url: String,
    /// The token of the boot, with which the installer reports.
    pub token: String,
}

/// Everything that a recipe can name. What the host does not have is left out, so that
/// `default(...)` gives another value and anything else is an error.
#[derive(Clone, Debug, Serialize)]
pub struct RecipeValues {
    host: HostValues,
    rack: RackValues,
    /// Empty for a host without one.
    subnet: SubnetValues,
    network: NetworkValues,
    image: ImageValues,
    server: ServerValues,
    /// What the host, its rack and the site give to parameters of profiles.
    parameters: BTreeMap<String, Scalar>,
}

#[derive(Clone, Debug, Serialize)]
struct HostValues {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    labels: Vec<String>,
    /// The NIC that boots: its MAC, or its GUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<NicAddress>,
    nics: Vec<NicValues>,
    addresses: BTreeMap<String, IpAddr>,
}

#[derive(Clone, Debug, Serialize)]
struct NicValues {
    name: String,
    mac: NicAddress,
}

#[derive(Clone, Debug, Serialize)]
struct RackValues {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

/// The subnet of the host's own address that has a gateway.
#[derive(Clone, Debug, Default, Serialize)]
struct SubnetValues {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    netmask: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<Vec<String>>,
}

/// The host's network, as installers read it; none where it has none or cannot be said so.
#[derive(Clone, Debug, Default, Serialize)]
struct NetworkValues {
    /// The link with the host's own address in `subnet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    /// netplan's document.
    #[serde(skip_serializing_if = "Option::is_none")]
    netplan: Option<Value>,
    /// The words of dracut's command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    dracut: Option<String>,
    /// Commands that bring up what an installer needs, where its recipe comes as an initrd.
    #[serde(skip_serializing_if = "Option::is_none")]
    commands: Option<Vec<String>>,
    /// The files of systemd-networkd.
    #[serde(skip_serializing_if = "Option::is_none")]
    networkd: Option<Vec<FileValues>>,
    /// The files of NetworkManager.
    #[serde(skip_serializing_if = "Option::is_none")]
    networkmanager: Option<Vec<FileValues>>,
    /// The files of ifupdown2.
    #[serde(skip_serializing_if = "Option::is_none")]
    ifupdown2: Option<Vec<FileValues>>,
}

/// A file that the host keeps.
#[derive(Clone, Debug, Serialize)]
struct FileValues {
    path: String,
    /// Permissions, as the number that Ignition wants in decimal.
    mode: u32,
    /// Its text, as a URL of its own (RFC 2397).
    source: String,
}

impl From<File> for FileValues {
    fn from(file: File) -> Self {
        Self { path: file.path(), mode: file.mode, source: data_url(&file.text) }
    }
}

#[derive(Clone, Debug, Serialize)]
struct ImageValues {
    name: String,
    /// `values` of its recipe.
    values: BTreeMap<String, Scalar>,
}

#[derive(Clone, Debug, Serialize)]
struct ServerValues {
    url: String,
    /// Where the host's network configuration is.
    config_url: String,
    /// Where the installer reports.
    report_url: String,
    /// Where it says how far it is.
    step_url: String,
    /// Where this recipe is; a name of the installer's own follows.
    recipe_url: String,
    token: String,
}

impl RecipeValues {
    /// The values of a host; none if it does not exist.
    pub fn of(site: &ResolvedSite, name: &str, booting: &Booting) -> Option<Self> {
        let host = site.hosts.get(name)?;
        let rack = host.rack.as_ref().and_then(|rack| site.racks.get(rack));
        let image = host.image.as_ref().and_then(|image| site.images.get_key_value(image));
        let home = home(site, host);
        let mut parameters = site.parameters.clone();
        parameters.extend(rack.map(|rack| rack.parameters.clone()).unwrap_or_default());
        parameters.extend(host.parameters.clone());
        let file = |format| render_host(site, name, format).ok()?.into_iter().next();
        let files = |format| -> Option<Vec<FileValues>> {
            Some(render_host(site, name, format).ok()?.into_iter().map(FileValues::from).collect())
        };
        let Booting { mac, server_url, token } = booting;
        let url_name = mac.map_or_else(|| name.to_owned(), NicAddress::hyphenated);
        Some(Self {
            host: HostValues {
                name: name.to_owned(),
                serial: host.serial.clone(),
                unit: host.unit,
                index: host.number(),
                tenant: host.tenant.clone(),
                labels: host.labels.clone(),
                mac: *mac,
                nics: host
                    .nics
                    .iter()
                    .map(|(name, nic)| NicValues { name: name.clone(), mac: nic.address })
                    .collect(),
                addresses: host.addresses.clone(),
            },
            rack: RackValues {
                name: host.rack.clone(),
                location: rack.and_then(|rack| rack.location.clone()),
            },
            subnet: home
                .as_ref()
                .map(|home| subnet(home.subnet_name, home.subnet))
                .unwrap_or_default(),
            network: NetworkValues {
                link: home.as_ref().map(|home| home.link.clone()),
                address: home.as_ref().map(|home| home.address),
                netplan: file(Format::Netplan)
                    .and_then(|file| tree::read(&*tree::parse(&file.text).ok()?).ok()),
                dracut: file(Format::Dracut).map(|file| file.text.trim().to_owned()),
                commands: image
                    .filter(|(_, image)| image.has_recipe_as_initrd())
                    .and_then(|_| commands(site, name)),
                networkd: files(Format::Networkd),
                networkmanager: files(Format::NetworkManager),
                ifupdown2: files(Format::Ifupdown2),
            },
            image: ImageValues {
                name: image.map(|(name, _)| name.clone()).unwrap_or_default(),
                values: image
                    .and_then(|(_, image)| Some(image.recipe.as_ref()?.values.clone()))
                    .unwrap_or_default(),
            },
            server: ServerValues {
                url: server_url.clone(),
                config_url: format!("{server_url}/config/{url_name}"),
                report_url: format!("{server_url}/report/{url_name}"),
                step_url: format!("{server_url}/deploy/{url_name}"),
                recipe_url: format!("{server_url}/recipe/{url_name}/{token}"),
                token: token.clone(),
            },
            parameters,
        })
    }
}

/// Where a host is at home: its own address in a subnet with a gateway, else any.
struct Home<'a> {
    link: &'a String,
    address: IpAddr,
    subnet_name: &'a str,
    subnet: &'a Subnet,
}

fn home<'a>(site: &'a ResolvedSite, host: &'a Host) -> Option<Home<'a>> {
    let at = |(link, address): (&'a String, &'a IpAddr)| {
        let (name, subnet) = site.subnets.iter().find(|(_, it)| it.cidr.contains(address))?;
        Some(Home { link, address: *address, subnet_name: name, subnet })
    };
    let homes = || host.addresses.iter().filter_map(at);
    homes().find(|home| home.subnet.gateway.is_some()).or_else(|| homes().next())
}

fn subnet(name: &str, subnet: &Subnet) -> SubnetValues {
    SubnetValues {
        name: Some(name.to_owned()),
        cidr: Some(subnet.cidr.to_string()),
        prefix: Some(subnet.cidr.prefix_len()),
        netmask: Some(subnet.cidr.netmask()),
        vlan: subnet.vlan,
        gateway: subnet.gateway,
        dns: Some(subnet.dns.iter().map(ToString::to_string).collect()),
    }
}
