//! Rules about what hosts must agree on that share switches, a profile or a number. What it takes
//! is collected from each host as it is checked. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::IpNet;

use super::finding::Severity;
use super::{FindingSubject, Findings, HostView};
use crate::model::{AddressRole, Host, Location, ProfileTree, RemoteAs, Subnet, Switch};
use crate::network::fabric::HEADROOM;
use crate::network::links::{Kind, Link};
use crate::profile::ResolvedSite;

/// What is known of all hosts together.
#[derive(Default)]
pub(super) struct Together<'a> {
    /// The first host with each subnet of a VLAN of an IP version on a switch, or on a pair.
    vlans: BTreeMap<Vlan<'a>, BTreeMap<&'a str, &'a str>>,
    /// The NICs of a rail, by the switch that they end on.
    rails: BTreeMap<Rail<'a>, BTreeMap<&'a str, Vec<NicOf<'a>>>>,
    /// The hosts of a profile by the rails that they have.
    rail_sets: BTreeMap<&'a str, BTreeMap<Vec<u16>, Sharing<'a>>>,
    /// The hosts of an autonomous system that refuse routes of each other.
    systems: BTreeMap<(u32, &'a str), Sharing<'a>>,
    router_ids: BTreeMap<Ipv4Addr, Vec<&'a str>>,
    /// The ways to each subnet that leave a host by a wire.
    paths: BTreeMap<&'a str, Paths<'a>>,
    /// The hosts with an anycast address.
    anycast: BTreeMap<(IpNet, &'a str, String), Sharing<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Vlan<'a> {
    /// The first switch of a pair.
    switch: &'a str,
    id: u16,
    is_ipv4: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rail<'a> {
    profile: &'a str,
    rack: &'a str,
    number: u16,
}

struct NicOf<'a> {
    host: &'a str,
    label: &'a str,
    is_allowed: bool,
}

/// How large packets are that hosts of a subnet send and take, and those that switches pass on.
#[derive(Default)]
struct Paths<'a> {
    /// The first link of each MTU, and how many hosts have it.
    ends: BTreeMap<u32, (End<'a>, usize)>,
    /// What a switch passes on that has a bound, or its peer, and the first host that needs it.
    switches: BTreeMap<&'a str, (u32, &'a str)>,
}

/// A link with an address of a subnet.
struct End<'a> {
    host: &'a str,
    link: String,
}

/// Hosts that share something, and whether their profile lives with it.
#[derive(Default)]
struct Sharing<'a> {
    hosts: Vec<&'a str>,
    is_allowed: bool,
}

impl<'a> Together<'a> {
    /// Notes what a host has.
    pub(super) fn add(&mut self, view: &HostView<'a>) {
        self.add_vlans(view);
        self.add_paths(view);
        self.add_rails(view);
        self.add_rail_sets(view);
        let allows = |rule: &str| view.network.allow.iter().any(|own| own == rule);
        let Some(profile) = view.host.profile.as_deref() else { return };
        if let Some(bgp) = &view.network.bgp {
            let is_external = |remote: RemoteAs| match remote {
                RemoteAs::External => true,
                RemoteAs::Internal => false,
                RemoteAs::Number(number) => number != bgp.asn,
            };
            if bgp.neighbors.iter().any(|neighbor| is_external(neighbor.remote_as)) {
                let sharing = self.systems.entry((bgp.asn, profile)).or_default();
                sharing.hosts.push(view.name);
                sharing.is_allowed |= allows("N219");
            }
            if let Some(id) = bgp.router_id {
                self.router_ids.entry(id).or_default().push(view.name);
            }
        }
        for link in view.network.links.values() {
            let shared = link.layer3.shared.iter();
            for one in shared.filter(|one| one.role == AddressRole::Anycast) {
                let key = (one.address, profile, link.name.clone());
                let sharing = self.anycast.entry(key).or_default();
                sharing.hosts.push(view.name);
                sharing.is_allowed |=
                    allows("N221") || link.settings.allow.iter().any(|rule| rule == "N221");
            }
        }
    }

    fn add_vlans(&mut self, view: &HostView<'a>) {
        let mut cables = view.host.nics.values().filter_map(|nic| nic.cable.as_ref());
        let Some(switch) = cables.next().map(|cable| cable.switch.as_str()) else { return };
        let peer = view.site.switches.get(switch).and_then(|own| own.mlag_peer.as_deref());
        let switch = peer.map_or(switch, |peer| peer.min(switch));
        let borne = view.network.links.values().flat_map(|link| &link.layer3.borne);
        for (name, subnet) in
            borne.filter_map(|borne| view.site.subnets.get_key_value(&borne.subnet))
        {
            let Some(id) = subnet.vlan else { continue };
            let vlan = Vlan { switch, id, is_ipv4: subnet.cidr.addr().is_ipv4() };
            self.vlans.entry(vlan).or_default().entry(name).or_insert(view.name);
        }
    }

    fn add_paths(&mut self, view: &HostView<'a>) {
        let is_wired = |link: &&Link| {
            !matches!(
                link.kind,
                Kind::Vxlan { .. }
                    | Kind::Tunnel { .. }
                    | Kind::Wireguard { .. }
                    | Kind::Loopback
                    | Kind::Dummy
            )
        };
        for link in view.network.links.values().filter(is_wired) {
            let Some(mtu) = link.settings.mtu else { continue };
            for borne in link.layer3.borne.iter().filter(|borne| borne.known_peer().is_none()) {
                let Some((name, _)) = view.site.subnets.get_key_value(&borne.subnet) else {
                    continue;
                };
                let paths = self.paths.entry(name).or_default();
                let first = || (End { host: view.name, link: link.name.clone() }, 0);
                paths.ends.entry(mtu).or_insert_with(first).1 += 1;
                for nic in view.network.nics_below(link) {
                    let cable = view.host.nics.get(&nic.name).and_then(|nic| nic.cable.as_ref());
                    let switches = &view.site.switches;
                    let leaf = cable.and_then(|cable| switches.get_key_value(&cable.switch));
                    let peer = leaf.and_then(|(_, leaf)| leaf.mlag_peer.as_ref());
                    let peer = peer.and_then(|peer| switches.get_key_value(peer));
                    for (name, switch) in leaf.into_iter().chain(peer) {
                        if let Some(mtu) = switch.mtu {
                            paths.switches.entry(name).or_insert((mtu, view.name));
                        }
                    }
                }
            }
        }
    }

    fn add_rail_sets(&mut self, view: &HostView<'a>) {
        let Some(profile) = view.host.profile.as_deref() else { return };
        let nics = view.network.links.values().filter_map(|link| link.nic.as_ref());
        let mut rails: Vec<u16> = nics.filter_map(|nic| nic.rail).collect();
        rails.sort_unstable();
        let sharing = self.rail_sets.entry(profile).or_default().entry(rails).or_default();
        sharing.hosts.push(view.name);
        sharing.is_allowed |= view.network.allow.iter().any(|rule| rule == "N218");
    }

    fn add_rails(&mut self, view: &HostView<'a>) {
        let (Some(profile), Some(rack)) = (view.host.profile.as_deref(), view.host.rack.as_deref())
        else {
            return;
        };
        for (label, nic) in &view.host.nics {
            let Some(cable) = &nic.cable else { continue };
            let link = view.network.links.get(label);
            let spec = link.and_then(|link| link.nic.as_ref());
            let Some(number) = spec.and_then(|spec| spec.rail) else { continue };
            let is_allowed = view.network.allow.iter().any(|rule| rule == "N218");
            let ends = self.rails.entry(Rail { profile, rack, number }).or_default();
            let own = NicOf { host: view.name, label, is_allowed };
            ends.entry(&cable.switch).or_default().push(own);
        }
    }

    /// What does not fit together.
    pub(super) fn check(self, site: &ResolvedSite, findings: &mut Findings) {
        vlans(site, &self.vlans, findings);
        paths(&self.paths, findings);
        rails(&self.rails, findings);
        unequal_rails(&self.rail_sets, findings);
        numbers(&self.systems, &self.router_ids, findings);
        lone_anycast(site, &self.anycast, findings);
    }
}

/// Silences what was reported last.
fn silence_last(is_allowed: bool, findings: &mut Findings) {
    let last = findings.len().saturating_sub(1);
    for finding in findings.since(last).iter_mut().filter(|_| is_allowed) {
        finding.severity = Severity::Silenced;
    }
}

/// Rule N217: one VLAN is one broadcast domain, whatever subnets are in it.
fn vlans(
    site: &ResolvedSite,
    vlans: &BTreeMap<Vlan<'_>, BTreeMap<&str, &str>>,
    findings: &mut Findings,
) {
    for (Vlan { switch, id, .. }, subnets) in vlans {
        let mut subnets = subnets.iter();
        let Some((first, host)) = subnets.next() else { continue };
        for (other, its_host) in subnets {
            let shared = |name: &str| site.subnets.get(name)?.shared_network.as_deref();
            if shared(first).is_some() && shared(first) == shared(other) {
                continue;
            }
            let text = format!(
                "VLAN {id} of {switch} has subnet \"{first}\" ({host}) and subnet \"{other}\" \
                 ({its_host}): one VLAN joins them; give each a VLAN, or the same shared-network"
            );
            let at = |name: &str| Location::of::<Subnet>(name).at("vlan");
            findings.warn("N217", FindingSubject::from(at(other)).and(at(first)), text);
        }
    }
}

/// Rule N223: what a host sends is lost without a message where a switch or the other host takes less.
fn paths(paths: &BTreeMap<&str, Paths<'_>>, findings: &mut Findings) {
    for (subnet, Paths { ends, switches }) in paths {
        let Some((&most, (End { host, link }, _))) = ends.last_key_value() else { continue };
        let at = || FindingSubject::from(Location::of::<Subnet>(*subnet).at("mtu"));
        let of_host = |host: &str| Location::of::<Host>(host);
        let smaller = ends.iter().filter(|(mtu, _)| **mtu < most);
        for (mtu, (End { host: other, link: its_link }, count)) in smaller {
            let take = match count - 1 {
                0 => "takes".to_owned(),
                more => format!("and {more} more take"),
            };
            let text = format!(
                "subnet \"{subnet}\": {host} sends packets of {most} bytes ({link}), and {other} {take} \
                 {mtu} ({its_link}): larger ones are lost without a message; give all the same MTU"
            );
            findings.warn("N223", at().and(of_host(other)).and(of_host(host)), text);
        }
        // Rule N132 is about a host's own packets on its own port.
        let small = switches.iter().filter(|(_, (room, of))| most + HEADROOM > *room && of != host);
        for (switch, (room, other)) in small {
            let text = format!(
                "subnet \"{subnet}\": {host} sends packets of {most} bytes ({link}), which need {} on \
                 {switch} on the way to {other}, and it has {room}",
                most + HEADROOM
            );
            findings.warn("N223", at().and(Location::of::<Switch>(*switch)), text);
        }
    }
}

/// Rule N218: NIC n of every host ends on one leaf, or flows of one rail cross the spines.
fn rails(rails: &BTreeMap<Rail<'_>, BTreeMap<&str, Vec<NicOf<'_>>>>, findings: &mut Findings) {
    for (Rail { profile, rack, number }, ends) in rails {
        let most = ends.iter().max_by_key(|(_, nics)| nics.len());
        let Some((usual, others)) = most.filter(|_| ends.len() > 1) else { continue };
        for (switch, nics) in ends.iter().filter(|(switch, _)| *switch != usual) {
            for NicOf { host, label, is_allowed } in nics {
                let text = format!(
                    "{label}: rail {number} of {host} ends on {switch}, but on {usual} for {} other \
                     hosts of profile {profile} in rack {rack}",
                    others.len()
                );
                let at = Location::of::<Host>(*host).at("nics").at(*label);
                findings.warn("N218", FindingSubject::from(at).of_link(*label), text);
                silence_last(*is_allowed, findings);
            }
        }
    }
}

/// Rule N218: a job runs on all hosts of a kind, at the pace of the one with the fewest rails.
fn unequal_rails(
    profiles: &BTreeMap<&str, BTreeMap<Vec<u16>, Sharing<'_>>>,
    findings: &mut Findings,
) {
    for (profile, sets) in profiles {
        let most = sets.iter().max_by_key(|(rails, sharing)| (sharing.hosts.len(), rails.len()));
        let Some((usual, others)) = most.filter(|_| sets.len() > 1) else { continue };
        for (rails, sharing) in sets.iter().filter(|(rails, _)| *rails != usual) {
            let first = sharing.hosts[0];
            let more = match sharing.hosts.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let text = format!(
                "{first}{more}: {} of profile {profile}, but {} other hosts have {}: jobs go at the pace \
                 of the host with the fewest",
                listed(rails),
                others.hosts.len(),
                listed(usual)
            );
            findings.warn("N218", FindingSubject::from(Location::of::<Host>(first)), text);
            silence_last(sharing.is_allowed || others.is_allowed, findings);
        }
    }
}

/// Rails as a sentence has them.
fn listed(rails: &[u16]) -> String {
    let numbers: Vec<String> = rails.iter().map(u16::to_string).collect();
    match rails.len() {
        0 => "no rails".to_owned(),
        1 => format!("rail {}", numbers[0]),
        _ => format!("rails {}", numbers.join(", ")),
    }
}

/// Rule N219: numbers of BGP that only one host may have.
fn numbers(
    systems: &BTreeMap<(u32, &str), Sharing<'_>>,
    router_ids: &BTreeMap<Ipv4Addr, Vec<&str>>,
    findings: &mut Findings,
) {
    for ((asn, profile), sharing) in systems.iter().filter(|(_, one)| one.hosts.len() > 1) {
        let text = format!(
            "{} hosts have asn {asn} (such as {} and {}): each refuses routes that have its own number \
             in their path, so they reach each other only by a default route; compute it, such as \
             =4200000000 + index",
            sharing.hosts.len(),
            sharing.hosts[0],
            sharing.hosts[1]
        );
        findings.warn("N219", Location::of::<ProfileTree>(*profile).within(["bgp", "asn"]), text);
        silence_last(sharing.is_allowed, findings);
    }
    for (id, hosts) in router_ids.iter().filter(|(_, hosts)| hosts.len() > 1) {
        let text = format!(
            "router id {id} is that of {} and of {}; switches take them for one router",
            hosts[0], hosts[1]
        );
        let at = |host: &str| Location::of::<Host>(host).at("addresses");
        findings.warn("N219", FindingSubject::from(at(hosts[1])).and(at(hosts[0])), text);
    }
}

/// Rule N221: an address that several hosts are to answer for, and one does.
fn lone_anycast(
    site: &ResolvedSite,
    anycast: &BTreeMap<(IpNet, &str, String), Sharing<'_>>,
    findings: &mut Findings,
) {
    if site.hosts.len() < 2 {
        return;
    }
    let mut bearers: BTreeMap<IpNet, usize> = BTreeMap::new();
    for ((address, ..), sharing) in anycast {
        *bearers.entry(*address).or_default() += sharing.hosts.len();
    }
    for ((address, profile, link), sharing) in anycast {
        if bearers.get(address) != Some(&1) {
            continue;
        }
        let text = format!(
            "{address} on {link} is anycast, but {} alone has it: nobody answers when it is down",
            sharing.hosts[0]
        );
        let at = Location::of::<ProfileTree>(*profile);
        let host = Location::of::<Host>(sharing.hosts[0]);
        findings.warn("N221", FindingSubject::from(at).and(host), text);
        silence_last(sharing.is_allowed, findings);
    }
}
