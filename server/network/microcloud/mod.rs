//! The document with which `microcloud preseed` makes one cluster of several hosts. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::links::{HostNetwork, Kind, Link, Role};
use super::{RenderError, checked, yaml};
use crate::model::{Host, Range, RangeUse, Subnet};
use crate::profile::ResolvedSite;

/// The name of the document.
pub const MICROCLOUD_FILE: &str = "microcloud-preseed.yaml";

/// What a cluster needs to be told besides its hosts.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The hosts that become members, by name.
    pub hosts: Vec<String>,
    /// The member that begins; the first of the hosts where none is given.
    pub initiator: Option<String>,
    /// What members prove themselves with to each other. MicroCloud refuses an empty one where
    /// there are several, so that nobody can forget to write it in.
    pub passphrase: String,
    /// The link that OVN gets, where several might be meant.
    pub uplink: Option<String>,
    /// The link whose address the tunnels between members end at, where several might be meant.
    pub underlay: Option<String>,
    /// The addresses that OVN gives out; where none is given, the only reserved range of the
    /// network that the members are managed in.
    pub range: Option<OvnRange>,
}

impl Cluster {
    /// All hosts that have a profile.
    pub fn of_profile(site: &ResolvedSite, profile: &str) -> Self {
        Self::of(site, |host| host.profile.as_deref() == Some(profile))
    }

    /// A host, and all others that have its profile and its tenant.
    pub fn of_host(site: &ResolvedSite, host: &Host) -> Self {
        let is_like =
            |other: &Host| (&other.profile, &other.tenant) == (&host.profile, &host.tenant);
        Self::of(site, is_like)
    }

    fn of(site: &ResolvedSite, is_member: impl Fn(&Host) -> bool) -> Self {
        let members = site.hosts.iter().filter(|(_, host)| is_member(host));
        Self { hosts: members.map(|(name, _)| name.clone()).collect(), ..Self::default() }
    }
}

/// Two IPv4 addresses with a hyphen between them, as JSON Schema has it.
const OVN_RANGE: &str = concat!(
    r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
    r"-((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$",
);

/// What a URL may say of a cluster. No passphrase: URLs are logged.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PreseedWords {
    /// The host that initialises the cluster.
    initiator: Option<String>,
    /// The link of each host that OVN uses as its uplink.
    uplink: Option<String>,
    /// The link of each host that carries OVN's tunnels.
    underlay: Option<String>,
    /// The addresses that OVN may use on the uplink: FROM-TO.
    #[schemars(regex(pattern = OVN_RANGE))]
    ovn_range: Option<String>,
}

impl PreseedWords {
    /// The cluster with what was said of it.
    ///
    /// # Errors
    /// When the range is none.
    pub fn applied_to(self, cluster: Cluster) -> Result<Cluster, PreseedError> {
        let range = self.ovn_range.map(|range| range.parse()).transpose()?;
        let Self { initiator, uplink, underlay, .. } = self;
        Ok(Cluster { initiator, uplink, underlay, range, ..cluster })
    }
}

/// IPv4 addresses, both ends included: `FROM-TO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OvnRange {
    /// The first address.
    pub from: Ipv4Addr,
    /// The last address.
    pub to: Ipv4Addr,
}

impl FromStr for OvnRange {
    type Err = PreseedError;

    fn from_str(text: &str) -> Result<Self, PreseedError> {
        let ends = text.split_once('-').and_then(|(from, to)| {
            Some(Self { from: from.trim().parse().ok()?, to: to.trim().parse().ok()? })
        });
        ends.filter(|range| range.from <= range.to)
            .ok_or_else(|| PreseedError::InvalidRange(text.to_owned()))
    }
}

impl fmt::Display for OvnRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

/// Why no document can be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreseedError {
    /// A host cannot be configured at all.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// There are no hosts.
    #[error("a MicroCloud needs hosts, and none is named or has the profile")]
    NoHosts,
    /// The one that begins is not a member.
    #[error("the initiator \"{0}\" is not one of the members: {1}")]
    Initiator(String, String),
    /// A host has no link for a purpose, or not the one that was named.
    #[error("host \"{host}\" has no {wanted}")]
    Missing {
        /// The host.
        host: String,
        /// What it lacks.
        wanted: String,
    },
    /// A host has more than one link for a purpose.
    #[error("host \"{host}\" has several links that may be its {purpose}: {}; say which", links.join(", "))]
    Several {
        /// The host.
        host: String,
        /// `uplink` or `underlay`.
        purpose: &'static str,
        /// Those that may be.
        links: Vec<String>,
    },
    /// Nobody knows what the kernel calls the uplink.
    #[error(
        "host \"{0}\": the kernel's name of its uplink {1} is not known; give the NIC set-name, \
         or the profile match: name"
    )]
    Unnamed(String, String),
    /// Members must all be alike in this.
    #[error("the members differ in {0}: {1}")]
    Unlike(&'static str, String),
    /// A text that is not a range.
    #[error(
        "\"{0}\" is not a range of IPv4 addresses: expected FROM-TO, such as 10.0.1.101-10.0.1.150"
    )]
    InvalidRange(String),
    /// A range that OVN cannot have.
    #[error("OVN cannot give out addresses: {0}")]
    Range(String),
}

/// One host as a member.
struct Member {
    name: String,
    /// The network that it is managed in, and the subnets of the link there.
    management: IpNet,
    subnets: Vec<String>,
    uplink: String,
    underlay: Option<IpAddr>,
}

/// The text of the document, for every member alike.
///
/// # Errors
/// When a host is refused or is not a member of a MicroCloud, or OVN has no addresses.
pub fn microcloud_preseed(site: &ResolvedSite, cluster: &Cluster) -> Result<String, PreseedError> {
    let members: Vec<Member> =
        cluster.hosts.iter().map(|host| member(site, cluster, host)).collect::<Result<_, _>>()?;
    let first = members.first().ok_or(PreseedError::NoHosts)?;
    alike(&members)?;
    let initiator = cluster.initiator.as_ref().unwrap_or(&first.name);
    if !members.iter().any(|member| member.name == *initiator) {
        return Err(PreseedError::Initiator(initiator.clone(), cluster.hosts.join(", ")));
    }
    // With addresses of the members in it MicroCloud takes no network to look for them in.
    let document = json!({
        "lookup_subnet": first.management.to_string(),
        "initiator": initiator,
        "session_passphrase": cluster.passphrase,
        "systems": members.iter().map(system).collect::<Vec<Value>>(),
        "ovn": ovn(site, cluster, first)?,
    });
    let mut text =
        "# Generated by rackstrap, for `microcloud preseed` on every member.\n".to_owned();
    if cluster.passphrase.is_empty() && members.len() > 1 {
        text.push_str("# Write a session_passphrase: MicroCloud refuses an empty one.\n");
    }
    Ok(text + &yaml::write(&document))
}

fn system(member: &Member) -> Value {
    let mut system = Map::new();
    system.insert("name".into(), member.name.as_str().into());
    system.insert("ovn_uplink_interface".into(), member.uplink.as_str().into());
    if let Some(address) = member.underlay {
        system.insert("ovn_underlay_ip".into(), address.to_string().into());
    }
    system.into()
}

/// MicroCloud looks for all members in one network, and wants underlays of all or of none.
fn alike(members: &[Member]) -> Result<(), PreseedError> {
    let networks: BTreeSet<String> = members.iter().map(|m| m.management.to_string()).collect();
    if networks.len() > 1 {
        let networks: Vec<String> = networks.into_iter().collect();
        return Err(PreseedError::Unlike("the network they are managed in", networks.join(", ")));
    }
    let without: Vec<&str> =
        members.iter().filter(|m| m.underlay.is_none()).map(|m| m.name.as_str()).collect();
    if !without.is_empty() && without.len() < members.len() {
        let text = format!("{} have none", without.join(", "));
        return Err(PreseedError::Unlike("having an underlay", text));
    }
    Ok(())
}

fn member(site: &ResolvedSite, cluster: &Cluster, host: &str) -> Result<Member, PreseedError> {
    let network = checked(site, host)?;
    let missing = |wanted: &str| PreseedError::Missing { host: host.into(), wanted: wanted.into() };
    let links = || network.links.values();
    let management = links()
        .find(|link| !link.layer3.gateways.is_empty() && may_be_managed_by(link))
        .ok_or_else(|| missing("link with a written address and the default route"))?;
    let uplinks = links().filter(|link| may_be_uplink(link)).collect();
    let uplink = pick(host, "uplink", uplinks, cluster.uplink.as_deref())?
        .ok_or_else(|| missing("link that is up without an address, for OVN to use"))?;
    let underlays =
        links().filter(|link| may_be_underlay(link) && link.name != management.name).collect();
    let underlay = pick(host, "underlay", underlays, cluster.underlay.as_deref())?;
    Ok(Member {
        name: host.to_owned(),
        management: management.layer3.addresses[0].trunc(),
        subnets: management.layer3.borne.iter().map(|borne| borne.subnet.clone()).collect(),
        uplink: device(&network, uplink)?,
        underlay: underlay.map(|link| link.layer3.addresses[0].addr()),
    })
}

fn may_be_uplink(link: &Link) -> bool {
    let is_kind = matches!(link.kind, Kind::Nic(_) | Kind::Bond(_) | Kind::Vlan { .. });
    is_kind && link.role == Role::LinkOnly
}

/// Members find each other's addresses by the prefix of their own: a peer has none.
fn may_be_managed_by(link: &Link) -> bool {
    let peers = || link.written().filter_map(|written| written.peer);
    !link.layer3.addresses.is_empty() && peers().next().is_none()
}

fn may_be_underlay(link: &Link) -> bool {
    !matches!(link.kind, Kind::Loopback | Kind::Dummy) && !link.layer3.addresses.is_empty()
}

/// The one link for a purpose, if there is one.
fn pick<'a>(
    host: &str,
    purpose: &'static str,
    links: Vec<&'a Link>,
    named: Option<&str>,
) -> Result<Option<&'a Link>, PreseedError> {
    if let Some(name) = named {
        let found = links.into_iter().find(|link| link.name == name);
        let wanted = || format!("link \"{name}\" that may be its {purpose}");
        let missing = || PreseedError::Missing { host: host.to_owned(), wanted: wanted() };
        return found.map(Some).ok_or_else(missing);
    }
    match links[..] {
        [] => Ok(None),
        [link] => Ok(Some(link)),
        _ => {
            let links = links.iter().map(|link| link.name.clone()).collect();
            Err(PreseedError::Several { host: host.to_owned(), purpose, links })
        }
    }
}

/// What the kernel calls the uplink, if that is known.
fn device(network: &HostNetwork, link: &Link) -> Result<String, PreseedError> {
    if !network.has_known_name(link) {
        return Err(PreseedError::Unnamed(network.host.clone(), link.name.clone()));
    }
    Ok(link.device().to_owned())
}

/// The network that OVN reaches the world by.
fn ovn(site: &ResolvedSite, cluster: &Cluster, member: &Member) -> Result<Value, PreseedError> {
    let (name, subnet, range) = ovn_range(site, cluster, member)?;
    let is_kept = |part: &Range| {
        let ends = [range.from, range.to].map(IpAddr::V4);
        part.used_for == RangeUse::Reserved && ends.iter().all(|end| part.contains(*end))
    };
    if !subnet.ranges.iter().any(is_kept) {
        let text =
            format!("no reserved range of subnet \"{name}\" holds {range}, so hosts may get them");
        return Err(PreseedError::Range(text));
    }
    let no_gateway = || PreseedError::Range(format!("subnet \"{name}\" has no gateway"));
    let mut ovn = Map::new();
    ovn.insert("ipv4_gateway".into(), gateway(subnet).ok_or_else(no_gateway)?.into());
    ovn.insert("ipv4_range".into(), range.to_string().into());
    let mut dns: Vec<String> = subnet.usual_resolvers().map(|server| server.to_string()).collect();
    // What is on the same link is the same network in IPv6.
    let beside = managed(site, member).find(|(_, other)| other.cidr.addr().is_ipv6());
    if let Some((_, other)) = beside.filter(|_| member.subnets.contains(name)) {
        ovn.extend(gateway(other).map(|gateway| ("ipv6_gateway".into(), gateway.into())));
        dns.extend(other.usual_resolvers().map(|server| server.to_string()));
    }
    if !dns.is_empty() {
        ovn.insert("dns_servers".into(), dns.join(",").into());
    }
    Ok(ovn.into())
}

/// The addresses that OVN gives out, and the subnet that they are of.
fn ovn_range<'a>(
    site: &'a ResolvedSite,
    cluster: &Cluster,
    member: &'a Member,
) -> Result<(&'a String, &'a Subnet, OvnRange), PreseedError> {
    if let Some(range) = cluster.range {
        let holds = |subnet: &Subnet| subnet.cidr.contains(&IpAddr::V4(range.from));
        let mut subnets = managed(site, member).chain(&site.subnets);
        let found = subnets.find(|(_, subnet)| holds(subnet));
        let none = || PreseedError::Range(format!("{} is in no subnet", range.from));
        let (name, subnet) = found.ok_or_else(none)?;
        return Ok((name, subnet, range));
    }
    let found = managed(site, member).find(|(_, subnet)| subnet.cidr.addr().is_ipv4());
    let none = || PreseedError::Range("the members are managed in no IPv4 subnet".into());
    let (name, subnet) = found.ok_or_else(none)?;
    let reserved: Vec<OvnRange> = subnet.ranges.iter().filter_map(reserved).collect();
    match reserved[..] {
        [range] => Ok((name, subnet, range)),
        _ => Err(PreseedError::Range(format!(
            "subnet \"{name}\" has {} reserved ranges; say which addresses are OVN's",
            reserved.len()
        ))),
    }
}

fn reserved(range: &Range) -> Option<OvnRange> {
    match (range.used_for, range.from, range.to) {
        (RangeUse::Reserved, IpAddr::V4(from), IpAddr::V4(to)) => Some(OvnRange { from, to }),
        _ => None,
    }
}

/// The subnets that a member is managed in.
fn managed<'a>(
    site: &'a ResolvedSite,
    member: &'a Member,
) -> impl Iterator<Item = (&'a String, &'a Subnet)> {
    member.subnets.iter().filter_map(|name| Some((name, site.subnets.get(name)?)))
}

/// The gateway of a subnet with its prefix length.
fn gateway(subnet: &Subnet) -> Option<String> {
    Some(format!("{}/{}", subnet.gateway?, subnet.cidr.prefix_len()))
}

#[cfg(test)]
mod tests;
