//! The other end of a host's cables: what the switch must be for the host's network to work,
//! made from the model with plain `ip` commands and nothing of networkd.

use std::net::IpAddr;

use indexmap::IndexMap;
use rackstrap::model::{BondMode, Site};
use rackstrap::network::{HostNetwork, Kind, Link};

/// A gateway that answers pings: how the host reaches it, and the largest packet it may send.
pub(crate) struct Gateway {
    /// Its address.
    pub address: IpAddr,
    /// The host's link that its subnet is on, by the model's name.
    pub link: String,
    /// The MTU on the way.
    pub mtu: u32,
}

/// The switch of one host: port N is where its N-th NIC is plugged in.
#[derive(Default)]
pub(crate) struct Partner {
    /// The `ip` commands that make it, without the word `ip`.
    pub commands: Vec<String>,
    /// The gateways that it is.
    pub gateways: Vec<Gateway>,
    vlans: IndexMap<String, ()>,
}

impl Partner {
    /// The switch for a host.
    pub(crate) fn of(network: &HostNetwork, site: &Site) -> Self {
        let mut partner = Self::default();
        for (number, link) in network.links.values().filter(|link| link.is_nic()).enumerate() {
            if link.master.is_none() {
                partner.commands.push(format!("link set port{number} up"));
            }
        }
        for link in network.links.values() {
            if let Kind::Bond(spec) = &link.kind {
                partner.bond(network, link, spec.mode);
            }
        }
        for link in network.links.values() {
            for borne in &link.layer3.borne {
                let subnet = &site.subnets[&borne.subnet];
                let Some(address) = subnet.gateway else { continue };
                let Some(device) = partner.end(network, link) else { continue };
                let length = subnet.cidr.prefix_len();
                partner.commands.push(format!("addr add {address}/{length} dev {device} nodad"));
                let mtu = link.settings.mtu.unwrap_or(1500);
                partner.gateways.push(Gateway { address, link: link.name.clone(), mtu });
            }
        }
        partner
    }

    /// The shell line that makes it out of what was there before.
    pub(crate) fn shell(&self) -> String {
        let undo = "for kind in vlan bridge bond; do ip -n switch -o link show type $kind | \
                    while read -r _ name _; do name=${name%%:*}; \
                    ip -n switch link del ${name%%@*}; done; done; \
                    for port in 0 1 2 3 4; do ip -n switch addr flush dev port$port; \
                    ip -n switch link set port$port down; done";
        let commands = self.commands.iter().map(|words| format!(" && ip -n switch {words}"));
        format!("{undo}; true{}", commands.collect::<String>())
    }

    /// Where a bond ends: an LACP partner, or a switch to which its ports are all one.
    fn bond(&mut self, network: &HostNetwork, bond: &Link, mode: BondMode) {
        let name = end_of(bond);
        let kind = match mode {
            BondMode::Lacp => "bond mode 802.3ad lacp_rate fast miimon 100",
            _ => "bridge forward_delay 0",
        };
        self.commands.push(format!("link add {name} type {kind}"));
        for (number, nic) in network.links.values().filter(|link| link.is_nic()).enumerate() {
            if nic.master.as_deref() == Some(&bond.name) {
                self.commands.push(format!("link set port{number} master {name}"));
                self.commands.push(format!("link set port{number} up"));
            }
        }
        self.commands.push(format!("link set {name} mtu 9000 up"));
    }

    /// The switch's interface that what leaves the host by `link` arrives on, made if it is
    /// not there yet; none for a link that leaves by no cable.
    fn end(&mut self, network: &HostNetwork, link: &Link) -> Option<String> {
        match &link.kind {
            Kind::Nic(_) => {
                let nics = network.links.values().filter(|link| link.is_nic());
                let number = nics.enumerate().find(|(_, nic)| nic.name == link.name)?.0;
                Some(format!("port{number}"))
            }
            Kind::Bond(_) => Some(end_of(link)),
            Kind::Vlan { parent, id: Some(id), .. } => {
                let below = self.end(network, network.links.get(parent)?)?;
                let name = format!("{below}.{id}");
                if self.vlans.insert(name.clone(), ()).is_none() {
                    self.commands.push(format!("link add {name} link {below} type vlan id {id}"));
                    self.commands.push(format!("link set {name} up"));
                }
                Some(name)
            }
            Kind::Bridge(spec) => self.end(network, network.links.get(spec.interfaces.first()?)?),
            _ => None,
        }
    }
}

fn end_of(bond: &Link) -> String {
    format!("to-{}", bond.name)
}
