//! The ports of one switch, whoever's words they are written in. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::attach::{Attachment, Bundling, attachments};
use super::mtu::port_mtu;
use crate::model::{Site, Switch, VlanIds};
use crate::network::lower::lower;
use crate::profile::ResolvedSite;

/// What is configured on one switch for its hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortPlan<'a> {
    /// The switch's name.
    pub name: &'a str,
    /// The switch.
    pub switch: &'a Switch,
    /// Its ports, in the order of their numbers.
    pub ports: Vec<Port>,
    /// Its link aggregation groups, by number.
    pub lags: Vec<Lag>,
    /// What cannot be configured, each as `PORT: WHAT`.
    pub losses: Vec<String>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name as the switch has it.
    pub name: String,
    /// The host that is cabled to it, and its NIC.
    pub host: String,
    /// The NIC's label.
    pub nic: String,
    /// The group that it is in.
    pub lag: Option<u32>,
    /// What it carries; in a group, what it carries while no LACP is spoken.
    pub lan: Lan,
}

/// Ports that are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Its number, the same on both switches of an MLAG pair.
    pub id: u32,
    /// The host.
    pub host: String,
    /// The host's bond.
    pub bond: String,
    /// By LACP: whether every second. Without: none.
    pub lacp_fast: Option<bool>,
    /// Whether members work alone until LACP is heard, so that firmware can boot.
    pub fallback: bool,
    /// Whether it ends on the other switch of the pair too.
    pub mlag: bool,
    /// The ports of this switch in it.
    pub members: Vec<String>,
    /// What it carries.
    pub lan: Lan,
}

/// What a port carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lan {
    /// The VLAN of untagged packets.
    pub native: Option<u16>,
    /// The VLANs of tagged packets.
    pub tagged: VlanIds,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// Whether spanning-tree packets of the host shut it.
    pub bpdu_guard: bool,
}

impl Lan {
    /// All VLANs, tagged or not.
    pub fn vlans(&self) -> VlanIds {
        let mut all = self.tagged.clone();
        self.native.iter().for_each(|id| all.insert(*id));
        all
    }
}

impl Port {
    /// What stands at the port for people.
    pub fn description(&self) -> String {
        format!("{} {}", self.host, self.nic)
    }
}

impl PortPlan<'_> {
    /// Every VLAN of a port or group.
    pub(super) fn vlans(&self) -> VlanIds {
        let lans = self.ports.iter().map(|port| &port.lan).chain(self.lags.iter().map(|l| &l.lan));
        let mut all = VlanIds::default();
        lans.for_each(|lan| all.extend(&lan.vlans()));
        all
    }
}

/// Plans a switch for the hosts that are cabled to it.
pub(super) fn plan<'a>(site: &'a ResolvedSite, name: &'a str, switch: &'a Switch) -> PortPlan<'a> {
    let mut plan =
        PortPlan { name, switch, ports: Vec::new(), lags: Vec::new(), losses: Vec::new() };
    let mut bundles: BTreeMap<(&str, String), Vec<Attachment<'_>>> = BTreeMap::new();
    let cabled_here = |host: &crate::model::Host| {
        host.nics.values().any(|nic| nic.cable.as_ref().is_some_and(|end| end.switch == name))
    };
    for (host_name, host) in site.hosts.iter().filter(|(_, host)| cabled_here(host)) {
        let network = lower(site, host_name, host);
        for needs in attachments(site, host_name, host, &network) {
            let bundled = needs.bond.as_ref().filter(|bond| bond.mode != Bundling::Apart);
            match bundled.map(|bond| bond.name.clone()) {
                Some(bond) => bundles.entry((host_name, bond)).or_default().push(needs),
                None if needs.cable.switch == name => plan.add_port(site, &needs, None),
                None => {}
            }
        }
    }
    for ((_, bond), members) in bundles {
        if members.iter().any(|member| member.cable.switch == name) {
            plan.add_lag(site, &bond, &members);
        }
    }
    plan.ports.sort_by_cached_key(|port| (port_number(&port.name), port.name.clone()));
    plan.lags.sort_by_key(|lag| lag.id);
    plan.find_collisions();
    plan
}

impl PortPlan<'_> {
    fn add_port(&mut self, site: &Site, needs: &Attachment<'_>, lag: Option<u32>) {
        let lan = self.lan(site, needs);
        if let Some(link) = &needs.provider_tag {
            self.losses.push(format!("{}: 802.1ad of {} {link}", needs.cable.port, needs.host));
        }
        self.ports.push(Port {
            name: needs.cable.port.clone(),
            host: needs.host.to_owned(),
            nic: needs.nic.to_owned(),
            lag,
            lan,
        });
    }

    fn lan(&mut self, site: &Site, needs: &Attachment<'_>) -> Lan {
        let subnet = needs.untagged.subnet();
        let native =
            subnet.and_then(|name| site.subnets.get(name)?.vlan.or(self.switch.native_vlan));
        let tagged = needs.tagged.without(&native.into_iter().collect());
        if let Some(id) = native.filter(|id| needs.tagged.contains(*id)) {
            let port = &needs.cable.port;
            self.losses
                .push(format!("{port}: VLAN {id} both tagged and native for {}", needs.host));
        }
        let mtu = port_mtu(self.switch, needs.mtu);
        if mtu.is_none() {
            self.losses.push(format!(
                "{}: MTU {} of {} with room for its headers",
                needs.cable.port, needs.mtu, needs.host
            ));
        }
        let bpdu_guard = self.switch.guards_bpdus();
        Lan { native, tagged, mtu: mtu.unwrap_or_default(), bpdu_guard }
    }

    fn add_lag(&mut self, site: &Site, bond: &str, members: &[Attachment<'_>]) {
        let (here, there): (Vec<_>, Vec<_>) =
            members.iter().partition(|member| member.cable.switch == self.name);
        let (Some(first), Some(bundle)) = (here.first(), &members[0].bond) else { return };
        let host = first.host;
        let peer = self.switch.mlag_peer.as_deref();
        if let Some(other) = there.iter().find(|member| peer != Some(&member.cable.switch)) {
            self.losses.push(format!(
                "{}: {bond} of {host} ends on {} too, which is not an MLAG peer",
                first.cable.port, other.cable.switch
            ));
        }
        let Some(id) = self.lag_id(members) else {
            let port = &first.cable.port;
            return self.losses.push(format!("{port}: a number for {bond} of {host}"));
        };
        let boots = members.iter().any(|member| member.boots);
        let lacp_fast = match bundle.mode {
            Bundling::Lacp { fast } => Some(fast),
            Bundling::Static | Bundling::Apart => None,
        };
        let mut lan = self.lan(site, first);
        for member in &here {
            self.add_port(site, member, Some(id));
            lan.tagged.extend(&member.tagged);
        }
        self.lags.push(Lag {
            id,
            host: host.to_owned(),
            bond: bond.to_owned(),
            lacp_fast,
            fallback: boots && lacp_fast.is_some() && !self.switch.no_lacp_fallback,
            mlag: !there.is_empty(),
            members: here.iter().map(|member| member.cable.port.clone()).collect(),
            lan,
        });
    }

    /// The number of a group: it must be one on both switches of a pair, and must not change
    /// when other hosts come and go. So it is that of the lowest port on the pair's first
    /// switch by name; a group that is on the second switch alone counts from 1000.
    fn lag_id(&self, members: &[Attachment<'_>]) -> Option<u32> {
        let switches: BTreeSet<&str> =
            members.iter().map(|member| member.cable.switch.as_str()).collect();
        let first = *switches.first()?;
        let own = members.iter().filter(|member| member.cable.switch == first);
        let number = own.filter_map(|member| port_number(&member.cable.port)).min()?;
        let is_second = self.switch.mlag_peer.as_deref().is_some_and(|peer| peer < first);
        Some(if is_second && switches.len() == 1 { number + 1000 } else { number })
    }

    fn find_collisions(&mut self) {
        for pair in self.lags.windows(2) {
            if pair[0].id == pair[1].id {
                let [a, b] = [&pair[0], &pair[1]];
                self.losses.push(format!(
                    "{}: {} of {} and {} of {} would both be group {}",
                    a.members.join(" "),
                    a.bond,
                    a.host,
                    b.bond,
                    b.host,
                    a.id
                ));
            }
        }
        self.losses.dedup();
    }
}

/// A port's number: that of `Ethernet12`, `swp12`, or of `Ethernet12/1` and `swp12s1`, whose
/// numbers follow after 200 so that none is another's.
pub(super) fn port_number(name: &str) -> Option<u32> {
    let digits = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let parts: Vec<u32> =
        digits.split(['/', 's']).map(|part| part.parse().ok()).collect::<Option<_>>()?;
    match parts[..] {
        [number] if number < 1000 => Some(number),
        [number, lane] if number < 96 && lane < 8 => Some(200 + number * 8 + lane),
        _ => None,
    }
}
