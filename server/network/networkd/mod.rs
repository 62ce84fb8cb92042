//! Writes a host's links as systemd-networkd files (systemd.network(5), systemd.netdev(5)). Pure.

mod layer3;
mod link;
mod netdev;
mod network;

use super::links::{HostNetwork, Kind, Link, Role};
use super::losses::Losses;
use super::{File, Format, extra, unit};
use crate::model::{Defaults, Eswitch};

/// The files of a host: for every link a `.link` where udev has to set something, a `.netdev`
/// where networkd makes it, and a `.network`.
pub(super) fn render(host: &HostNetwork, losses: &mut Losses) -> Vec<File> {
    let used = |link: &&Link| link.role != Role::Unused;
    for link in host.links.values().filter(used) {
        let sriov = link.nic.as_ref().and_then(|nic| nic.sriov.as_ref());
        let eswitch = sriov.and_then(|sriov| sriov.eswitch);
        losses.add_if(eswitch == Some(Eswitch::Switchdev), &link.name, "eswitch switchdev");
    }
    // What is moved to a namespace is networkd's to make or to leave alone; what is made there is not.
    let is_here = |link: &&Link| {
        let is_moved = matches!(link.kind, Kind::Nic(_) | Kind::Veth { .. });
        // Of a bond of Open vSwitch's the kernel has no link.
        let is_bond = matches!(link.kind, Kind::Bond(_)) && link.is_openvswitch();
        (link.settings.namespace.is_none() || is_moved) && !is_bond
    };
    let links = host.links.values().filter(used).filter(is_here);
    let links = links.flat_map(|link| files(host, link));
    links.chain(settings(host)).collect()
}

/// What holds for networkd as a whole, of a host that speaks BGP: left to itself it removes
/// the routes that it did not make whenever it starts, those of FRR among them.
pub(super) fn settings(host: &HostNetwork) -> Option<File> {
    host.bgp.as_ref()?;
    let mut unit = begin(host);
    unit.section("Network");
    unit.set("ManageForeignRoutes", "no");
    // Before version 249 it leaves rules alone.
    if host.systemd >= 249 {
        unit.set("ManageForeignRoutingPolicyRules", "no");
    }
    let file = File::of(Format::Networkd, "90-rackstrap-bgp.conf", unit.finish());
    Some(File { directory: Some("/etc/systemd/networkd.conf.d".into()), ..file })
}

/// The `.link` files alone, which are udev's whatever brings the links up.
pub(super) fn link_files(host: &HostNetwork) -> Vec<File> {
    let used = host.links.values().filter(|link| link.role != Role::Unused);
    used.filter_map(|link| link_file(host, link)).collect()
}

fn link_file(host: &HostNetwork, link: &Link) -> Option<File> {
    let name = format!("{}.link", stem(host, link));
    let text = extra::merged(link::render(host, link)?, &link.settings.extra.link);
    Some(File::of(Format::Networkd, name, text))
}

fn files(host: &HostNetwork, link: &Link) -> Vec<File> {
    let stem = stem(host, link);
    let file = |ending, text| File::of(Format::Networkd, format!("{stem}.{ending}"), text);
    let added = &link.settings.extra;
    let netdev = netdev::render(host, link).map(|text| extra::merged(text, &added.netdev));
    let netdev = netdev.map(|text| file("netdev", text));
    let network = file("network", extra::merged(network::render(host, link), &added.network));
    link_file(host, link).into_iter().chain(netdev).chain([network]).collect()
}

/// The name that all files of a link begin with. The number makes lower links come
/// first; networkd sorts names as text, so it is padded unless the profile is verbatim.
fn stem(host: &HostNetwork, link: &Link) -> String {
    let number = match link.kind {
        Kind::Nic(_) => 1,
        Kind::Loopback => 2,
        Kind::Veth { .. } => 3,
        Kind::Bond(_) => 5,
        Kind::Vlan { .. } => 10,
        Kind::Macsec { .. } => 12,
        Kind::Bridge(_) => 15,
        Kind::Macvlan(_) | Kind::Ipvlan(_) | Kind::Partition(_) => 17,
        Kind::Vxlan { .. } | Kind::Tunnel { .. } | Kind::Wireguard { .. } => 20,
        Kind::Vrf(_) => 25,
        Kind::Dummy => 30,
    };
    match host.defaults {
        Defaults::Safe => format!("{number:02}-{}", link.name),
        Defaults::Verbatim => format!("{number}-{}", link.name),
    }
}

/// A file begun with where it comes from, in a profile whose files are not verbatim.
fn begin(host: &HostNetwork) -> unit::Unit {
    let mut unit = unit::Unit::default();
    if host.defaults == Defaults::Safe {
        unit.comment(&host.origin());
    }
    unit
}
