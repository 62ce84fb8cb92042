//! What NCCL is told of the links of an accelerator host (nccl.conf). Pure.

use std::fmt::Write as _;

use super::{File, file, nics};
use crate::network::links::HostNetwork;

/// The file that NCCL reads wherever a job does not set the variable itself.
pub(super) fn render(host: &HostNetwork) -> Option<File> {
    let spec = host.nccl.as_ref()?;
    let mut text = format!("# {}\n", host.origin());
    let mut rails: Vec<_> = host
        .links
        .values()
        .filter_map(|link| Some((link, link.nic.as_ref()?)))
        .filter(|(link, nic)| match spec.links.is_empty() {
            true => nic.rail.is_some() && nic.rdma_device.is_some(),
            false => spec.links.contains(&link.name),
        })
        .collect();
    rails.sort_by_key(|(link, nic)| {
        (spec.links.iter().position(|name| *name == link.name), nic.rail)
    });
    let devices: Vec<String> = rails
        .iter()
        .filter_map(|(_, nic)| nic.rdma_device.as_ref().map(ToString::to_string))
        .collect();
    // With `=` a name is the whole name: mlx5_1 is not mlx5_10.
    if !devices.is_empty() {
        let _ = writeln!(text, "NCCL_IB_HCA=={}", devices.join(","));
    }
    if let Some(socket) = &spec.socket {
        let _ = writeln!(text, "NCCL_SOCKET_IFNAME=={}", host.device(socket));
    }
    let marked = rails.iter().filter_map(|(_, nic)| nic.roce.as_ref());
    let mut classes = marked.filter_map(|spec| Some(nics::type_of_service(spec, spec.dscp?)));
    let class = classes.next().filter(|_| !spec.variables.contains_key(TRAFFIC_CLASS));
    if let Some(class) = class {
        let _ = writeln!(text, "{TRAFFIC_CLASS}={class}");
    }
    for (name, value) in &spec.variables {
        let _ = writeln!(text, "{name}={value}");
    }
    Some(file("/etc", "nccl.conf", 0o644, text))
}

/// The byte of the IP header of its packets.
const TRAFFIC_CLASS: &str = "NCCL_IB_TC";
