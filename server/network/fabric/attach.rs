//! What a host needs of each switch port that it is cabled to. Pure.

use crate::model::{
    BondMode, BondSpec, Cable, Host, LacpRate, RangeUse, Site, VlanIds, VlanProtocol,
};
use crate::network::links::{HostNetwork, Kind, Link, Role};

/// Ethernet's MTU, where a link says none.
const ETHERNET_MTU: u32 = 1500;

/// A NIC of a host and what the port at the other end of its cable has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment<'a> {
    /// The host.
    pub host: &'a str,
    /// The NIC's label.
    pub nic: &'a str,
    /// The port.
    pub cable: &'a Cable,
    /// The bond that the NIC is in.
    pub bond: Option<Bundle>,
    /// The VLANs of its tagged packets.
    pub tagged: VlanIds,
    /// Whose its untagged packets are.
    pub untagged: Untagged,
    /// Whether its firmware boots over it.
    pub boots: bool,
    /// The largest packet of the host on it, in bytes.
    pub mtu: u32,
    /// A bridge on it that runs spanning tree.
    pub spanning_tree: Option<String>,
    /// A link on it with a provider's tag (802.1ad).
    pub provider_tag: Option<String>,
}

/// The bond of a NIC, as its switch sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// The bond's name.
    pub name: String,
    /// How its members are one to the switch.
    pub mode: Bundling,
    /// Its mode's own word.
    pub bond_mode: BondMode,
}

/// How the ports of a bond are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bundling {
    /// By LACP; fast: a packet every second.
    Lacp {
        /// Whether every second and not every 30.
        fast: bool,
    },
    /// Without a protocol.
    Static,
    /// Not at all: the host uses one at a time, or balances by itself.
    Apart,
}

/// Whose a port's untagged packets are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Untagged {
    /// The subnet of the running host.
    pub running: Option<String>,
    /// The subnet that its firmware boots in.
    pub booting: Option<String>,
}

impl Untagged {
    /// The subnet that the port's native VLAN is of: the running host's comes first.
    pub(crate) fn subnet(&self) -> Option<&str> {
        self.running.as_deref().or(self.booting.as_deref())
    }
}

impl Bundling {
    fn of(bond: &BondSpec) -> Self {
        match bond.mode {
            BondMode::Lacp => Self::Lacp { fast: bond.lacp_rate == Some(LacpRate::Fast) },
            BondMode::BalanceRr | BondMode::BalanceXor | BondMode::Broadcast => Self::Static,
            BondMode::ActiveBackup
            | BondMode::BalanceTlb
            | BondMode::BalanceAlb
            | BondMode::BalanceSlb => Self::Apart,
        }
    }
}

/// What a host needs of the ports that its NICs are cabled to.
pub(crate) fn attachments<'a>(
    site: &Site,
    name: &'a str,
    host: &'a Host,
    network: &HostNetwork,
) -> Vec<Attachment<'a>> {
    let booting = boot_subnet(site, host);
    let boots_on = booting.as_deref().map(|subnet| boot_nics(network, subnet)).unwrap_or_default();
    let attach = |(label, cable): (&'a String, &'a Cable)| {
        let boots = boots_on.contains(&label.as_str());
        let untagged = Untagged { running: None, booting: booting.clone().filter(|_| boots) };
        let mut attachment = Attachment {
            host: name,
            nic: label,
            cable,
            bond: None,
            tagged: VlanIds::default(),
            untagged,
            boots,
            mtu: ETHERNET_MTU,
            spanning_tree: None,
            provider_tag: None,
        };
        if let Some(link) = network.links.get(label) {
            look(site, network, link, &mut attachment);
        }
        attachment
    };
    let cabled = host.nics.iter().filter_map(|(label, nic)| Some((label, nic.cable.as_ref()?)));
    cabled.map(attach).collect()
}

/// Notes what a NIC and everything on it needs of the port.
fn look(site: &Site, network: &HostNetwork, nic: &Link, needs: &mut Attachment<'_>) {
    if let Some(mtu) = nic.settings.mtu {
        needs.mtu = mtu;
    }
    let functions = nic.nic.iter().filter_map(|nic| nic.sriov.as_ref());
    let functions = functions.flat_map(|sriov| sriov.functions.values());
    let ids = functions.filter_map(|function| function.vlan.filter(|vlan| *vlan > 0));
    ids.for_each(|id| needs.tagged.insert(id));
    let mut seen: Vec<&str> = Vec::new();
    let mut whole: Vec<&Link> = vec![nic];
    // Everything that sends the NIC's frames as they are: its bond, and bridges on those.
    while let Some(link) = whole.pop() {
        if seen.contains(&link.name.as_str()) {
            continue;
        }
        seen.push(&link.name);
        if link.role != Role::Unused {
            needs.untagged.running = needs.untagged.running.take().or_else(|| untagged(site, link));
        }
        for upper in network.above(link) {
            match &upper.kind {
                Kind::Bond(bond) => {
                    let mode = Bundling::of(bond);
                    let name = upper.name.clone();
                    needs.bond = Some(Bundle { name, mode, bond_mode: bond.mode });
                    whole.push(upper);
                }
                Kind::Bridge(bridge) => {
                    if let Some(port) = bridge.ports.get(&link.name) {
                        needs.tagged.extend(&port.tagged.without(&port.untagged));
                    }
                    whole.push(upper);
                }
                Kind::Vlan { id: Some(id), protocol: VlanProtocol::Dot1q, .. } => {
                    needs.tagged.insert(*id);
                }
                Kind::Vlan { protocol: VlanProtocol::Dot1ad, .. } => {
                    needs.provider_tag = Some(upper.name.clone());
                }
                Kind::Macvlan(_) | Kind::Ipvlan(_) | Kind::Partition(_) => whole.push(upper),
                // What is on a link of MACsec is encrypted, tags and all.
                _ => {}
            }
        }
    }
    // Spanning tree of a bridge on a VLAN reaches the port too, in that VLAN.
    let over =
        |link: &&Link| matches!(&link.kind, Kind::Bridge(bridge) if bridge.stp == Some(true));
    let tree = network.links.values().filter(over).find(|bridge| stands_on(network, bridge, nic));
    needs.spanning_tree = tree.map(|bridge| bridge.name.clone());
}

/// The subnet whose packets a link sends untagged.
fn untagged(site: &Site, link: &Link) -> Option<String> {
    if matches!(link.kind, Kind::Vlan { .. }) {
        return None;
    }
    link.subnets.iter().find(|name| site.subnets.contains_key(*name)).cloned()
}

/// Whether `link` is built on `nic`, directly or not. Bounded by the links' layers.
fn stands_on(network: &HostNetwork, link: &Link, nic: &Link) -> bool {
    network.below(link).any(|lower| {
        lower.name == nic.name || (lower.layer < link.layer && stands_on(network, lower, nic))
    })
}

/// The subnet that a host's firmware boots in: that of its reservation, else the only one
/// with a range for DHCP. A host that boots nothing boots nowhere.
fn boot_subnet(site: &Site, host: &Host) -> Option<String> {
    if let Some(subnet) = host.reservations.keys().next() {
        return Some(subnet.clone());
    }
    host.image.as_ref()?;
    let serves = |range: &crate::model::Range| range.used_for == RangeUse::Dhcp;
    let mut serving = site.subnets.iter().filter(|(_, subnet)| subnet.ranges.iter().any(serves));
    let (name, _) = serving.next()?;
    serving.next().is_none().then(|| name.clone())
}

/// The NICs that a host boots over: those that carry the subnet, else those below the
/// default route, else the first and what is bonded with it.
fn boot_nics<'a>(network: &'a HostNetwork, subnet: &str) -> Vec<&'a str> {
    let links = || network.links.values();
    let carries = |link: &&Link| link.subnets.iter().any(|own| own == subnet);
    let first = || links().find(|link| link.is_nic());
    let lowest = |link: &'a Link| {
        let below = links().filter(|nic| nic.is_nic() && stands_on(network, link, nic));
        let own = link.is_nic().then_some(link);
        own.into_iter().chain(below).map(|nic| nic.name.as_str()).collect::<Vec<_>>()
    };
    let untagged = |link: &&Link| !matches!(link.kind, Kind::Vlan { .. });
    let carrier = links().filter(untagged).find(carries);
    let routed = || links().find(|link| !link.layer3.gateways.is_empty());
    match carrier.or_else(routed).or_else(first) {
        Some(link) if link.is_nic() => match network.owner(link) {
            Some(owner) => lowest(owner),
            None => lowest(link),
        },
        Some(link) => lowest(link),
        None => Vec::new(),
    }
}
