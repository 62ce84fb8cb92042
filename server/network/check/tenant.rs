//! Rules about tenants: what belongs to one is nobody else's, and the days of leases. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{FindingSubject, Findings, HostView};
use crate::model::{Location, Site, Subnet, VlanProtocol, check_noun_name, tenant_role};
use crate::network::links::{HostNetwork, Kind, Link, Role};

/// Whose the VLANs and addresses of a site are.
pub(super) struct Owners<'a> {
    /// The subnets of tenants, by VLAN id.
    vlans: HashMap<u16, Vec<Owned<'a>>>,
    /// Every subnet of the site, longest prefix first; empty where no tenant has one.
    nets: Vec<(IpNet, &'a str, Option<&'a str>)>,
}

/// A subnet and its tenant.
#[derive(Clone, Copy)]
struct Owned<'a> {
    subnet: &'a str,
    tenant: &'a str,
}

impl<'a> Owners<'a> {
    /// The owners of a site's subnets.
    pub(super) fn of(site: &'a Site) -> Self {
        let mut owners = Self { vlans: HashMap::new(), nets: Vec::new() };
        if site.subnets.values().all(|subnet| subnet.tenant.is_none()) {
            return owners;
        }
        for (name, subnet) in &site.subnets {
            let tenant = subnet.tenant.as_deref();
            owners.nets.push((subnet.cidr.trunc(), name, tenant));
            if let (Some(id), Some(tenant)) = (subnet.vlan, tenant) {
                owners.vlans.entry(id).or_default().push(Owned { subnet: name, tenant });
            }
        }
        owners.nets.sort_by_key(|(net, ..)| std::cmp::Reverse(net.prefix_len()));
        owners
    }

    /// Somebody else's subnet with this VLAN id, if the VLAN is not `tenant`'s too.
    fn of_vlan(&self, id: u16, tenant: Option<&str>) -> Option<Owned<'a>> {
        let owned = self.vlans.get(&id)?;
        let shared = owned.iter().any(|owned| Some(owned.tenant) == tenant);
        owned.first().copied().filter(|_| !shared)
    }

    /// The narrowest subnet that holds an address, if it is a tenant's other than `tenant`.
    fn of_address(&self, address: IpAddr, tenant: Option<&str>) -> Option<Owned<'a>> {
        let (net, subnet, owner) = self.nets.iter().find(|(net, ..)| net.contains(&address))?;
        // In two routing domains it may be the host's tenant's as well.
        let own = self.nets.iter().any(|(other, _, owner)| other == net && *owner == tenant);
        let owner = owner.filter(|_| !own)?;
        Some(Owned { subnet, tenant: owner })
    }
}

/// What is wrong with the tenants' subnets as such.
pub(super) fn check_all(site: &Site, findings: &mut Findings) {
    let mut roles: HashMap<(Option<&str>, &str), &str> = HashMap::new();
    let mut vlans: HashMap<u16, (&str, &str)> = HashMap::new();
    for (name, subnet) in &site.subnets {
        let at = |key: &str| Location::of::<Subnet>(name).at(key);
        let tenant = subnet.tenant.as_deref();
        if let Some(role) = subnet.role.as_deref() {
            if let Err(error) = check_noun_name("role", role) {
                findings.error("N101", at("role"), error.to_string());
            }
            if let Some(other) = roles.insert((tenant, role), name) {
                let whose =
                    tenant.map_or_else(|| "no tenant".into(), |tenant| format!("\"{tenant}\""));
                let text = format!(
                    "\"{other}\" and \"{name}\" of {whose} both have the role \"{role}\"; \
                     tenant/{role} would be ambiguous"
                );
                findings.error("N193", at("role"), text);
            }
        }
        let (Some(id), Some(tenant)) = (subnet.vlan, tenant) else { continue };
        let (other, owner) = *vlans.entry(id).or_insert((name, tenant));
        if owner != tenant {
            let text = format!(
                "VLAN {id} is also that of \"{other}\" of tenant \"{owner}\"; VLANs separate tenants"
            );
            findings.error("N190", at("vlan"), text);
        }
    }
}

/// What is wrong with one host as its tenant's.
pub(super) fn check(view: &HostView<'_>, owners: &Owners<'_>, findings: &mut Findings) {
    lease(view, findings);
    roles(view, findings);
    for (name, subnet) in
        view.host.reservations.keys().filter_map(|name| view.site.subnets.get_key_value(name))
    {
        if let Some(tenant) = subnet.tenant.as_deref().filter(|owner| !is_of(view, owner)) {
            let what = "its reservation is".to_owned();
            let place = view.at_link("reservations", name);
            refuse(view, place, &what, Owned { subnet: name, tenant }, findings);
        }
    }
    let used = |link: &&Link| link.role != Role::Unused;
    for link in view.network.links.values().filter(used) {
        for (what, owned) in foreign(view, owners, link) {
            refuse(view, view.at("tenant"), &what, owned, findings);
        }
    }
}

/// Whether the host is rented to `tenant`.
fn is_of(view: &HostView<'_>, tenant: &str) -> bool {
    view.host.tenant.as_deref() == Some(tenant)
}

/// Rule N190: VLANs keep tenants apart.
fn refuse(
    view: &HostView<'_>,
    place: impl Into<FindingSubject>,
    what: &str,
    Owned { subnet, tenant }: Owned<'_>,
    findings: &mut Findings,
) {
    let whose = match &view.host.tenant {
        Some(tenant) => format!("the host is rented to \"{tenant}\""),
        None => "the host is rented to nobody".into(),
    };
    let text = format!("{what} in subnet \"{subnet}\" of tenant \"{tenant}\", but {whose}");
    findings.error("N190", place.into().and(Location::of::<Subnet>(subnet)), text);
}

/// Everything of a link that is in somebody else's subnet, as a sentence's beginning.
fn foreign<'a>(view: &HostView<'a>, owners: &Owners<'a>, link: &Link) -> Vec<(String, Owned<'a>)> {
    let tenant = view.host.tenant.as_deref();
    let mut found = Vec::new();
    for name in &link.subnets {
        let Some((subnet, entry)) = view.site.subnets.get_key_value(name) else { continue };
        if let Some(tenant) = entry.tenant.as_deref().filter(|owner| !is_of(view, owner)) {
            found.push((format!("{} would be", link.name), Owned { subnet, tenant }));
        }
    }
    if !found.is_empty() {
        return found;
    }
    for id in vlan_ids(&view.network, link) {
        if let Some(owned) = owners.of_vlan(id, tenant) {
            found.push((format!("{} would be with VLAN {id}", link.name), owned));
        }
    }
    let addresses = link.layer3.shared.iter().map(|shared| (shared.address.addr(), "address"));
    let routes = link.layer3.routes.iter().flat_map(|route| {
        let hops = route.next_hops.iter().map(|hop| hop.via);
        route.via.into_iter().chain(hops).map(|router| (router, "router"))
    });
    let remote = match &link.kind {
        Kind::Vxlan { spec, .. } => spec.remote,
        Kind::Tunnel { spec, .. } => Some(spec.remote),
        _ => None,
    };
    let remote = remote.map(|remote| (remote, "remote end"));
    for (address, what) in addresses.chain(routes).chain(remote) {
        if let Some(owned) = owners.of_address(address, tenant) {
            found.push((format!("the {what} {address} of {} is", link.name), owned));
        }
    }
    found
}

/// The VLANs that a link puts the host into on the wire: its own, those of a bridge's ports,
/// or those of a NIC's virtual functions. A tag inside a tag or a tunnel is the host's own affair.
fn vlan_ids(network: &HostNetwork, link: &Link) -> Vec<u16> {
    match &link.kind {
        Kind::Vlan { id: Some(id), protocol: VlanProtocol::Dot1q, parent, .. } => {
            let parent = network.links.get(parent);
            let inside = parent.is_some_and(|parent| parent.parent().is_some());
            if inside { Vec::new() } else { vec![*id] }
        }
        Kind::Bridge(bridge) => {
            let ports = bridge.ports.values();
            let ids = ports.flat_map(|port| {
                port.pvid.into_iter().chain(port.tagged.iter()).chain(port.untagged.iter())
            });
            ids.collect()
        }
        Kind::Nic(_) => {
            let sriov = link.nic.as_ref().and_then(|nic| nic.sriov.as_ref());
            let functions = sriov.into_iter().flat_map(|sriov| sriov.functions.values());
            functions.filter_map(|function| function.vlan).collect()
        }
        _ => Vec::new(),
    }
}

/// Rule N192: days of a lease that cannot be.
fn lease(view: &HostView<'_>, findings: &mut Findings) {
    let host = view.host;
    if let (Some(from), Some(until)) = (host.rented_from, host.rented_until)
        && until.ends_at() <= from.begins_at()
    {
        let text = format!("the rental ends ({until}) before it begins ({from})");
        findings.error("N192", view.at("rented-until"), text);
    }
    if host.tenant.is_none() {
        let days = [("rented-from", host.rented_from), ("rented-until", host.rented_until)];
        for (key, _) in days.into_iter().filter(|(_, when)| when.is_some()) {
            let text = format!("{key} is given, but the host is rented to nobody: name its tenant");
            findings.error("N192", view.at(key), text);
        }
    }
}

/// Rule N191: the profile wants a subnet that the host's tenant has not.
fn roles(view: &HostView<'_>, findings: &mut Findings) {
    let links = view.network.links.values();
    for (link, role) in links.flat_map(|link| {
        link.subnets.iter().filter_map(move |subnet| Some((&link.name, tenant_role(subnet)?)))
    }) {
        let text = match &view.host.tenant {
            Some(tenant) => format!(
                "{link} needs the \"{role}\" subnet of tenant \"{tenant}\", which has none: set \
                 role: {role} on one of its subnets"
            ),
            None => format!(
                "{link} needs the \"{role}\" subnet of the host's tenant, but it is rented to \
                 nobody, and no subnet without a tenant has role: {role}"
            ),
        };
        findings.error("N191", view.at("tenant"), text);
    }
}
