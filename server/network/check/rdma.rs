//! Rules about RDMA: lossless Ethernet, NCCL's hints, processors of NICs. Pure.

use super::{Findings, ProfileView};
use crate::model::{Processors, RoceSpec};
use crate::network::links::Link;
use crate::network::word::is_word;
use crate::tree::nearest;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        let Some(nic) = &link.nic else { continue };
        if let Some(spec) = &nic.roce {
            roce(view, link, spec, findings);
        }
        if let Some(device) = &nic.rdma_device
            && !is_word(device.as_str())
        {
            let text = format!(
                "{}: \"{device}\" is not a name of an RDMA device: expected one such as mlx5_0",
                link.name
            );
            findings.error("N231", view.at(&link.name, "rdma-device"), text);
        }
        let affinity = &nic.affinity;
        let rps = affinity.rps.iter().any(|rps| matches!(rps, Processors::List(_)));
        if rps && affinity.irqs.is_some() && affinity.rps == affinity.irqs {
            let text = format!(
                "{}: rps deals packets out to the processors that the NIC interrupts already; it costs \
                 another interrupt for each and gains nothing where there are as many queues",
                link.name
            );
            findings.warn("N231", view.at(&link.name, "affinity"), text);
        }
    }
    nccl(view, findings);
}

/// Rule N231: what the hardware has no bits for, and what is not lossless.
fn roce(view: &ProfileView<'_>, link: &Link, spec: &RoceSpec, findings: &mut Findings) {
    let mut wrong = |text: String| findings.error("N231", view.at(&link.name, "roce"), text);
    if spec.priorities.is_empty() {
        wrong(format!(
            "{}: roce needs a priority without loss: set priorities, such as [3]",
            link.name
        ));
    }
    for priority in spec.priorities.iter().filter(|priority| **priority > 7) {
        wrong(format!("{}: priority {priority} is outside 0-7", link.name));
    }
    if let Some(dscp) = spec.dscp.filter(|dscp| *dscp > 63) {
        wrong(format!("{}: DSCP {dscp} is outside 0-63", link.name));
    }
    if spec.priorities.len() > 2 {
        let text = format!(
            "{}: {} priorities without loss; most switches have buffers for two",
            link.name,
            spec.priorities.len()
        );
        findings.warn("N231", view.at(&link.name, "roce"), text);
    }
}

/// Rule N231: what NCCL would look for and not find.
fn nccl(view: &ProfileView<'_>, findings: &mut Findings) {
    let Some(spec) = &view.profile.nccl else { return };
    let links = &view.network.links;
    let at = |key: &str| view.within(["nccl", key]);
    let names = || links.keys().map(String::as_str);
    for name in &spec.links {
        let nic = links.get(name).and_then(|link| link.nic.as_ref());
        let text = match (links.get(name), nic) {
            (None, _) => {
                format!("link \"{name}\" does not exist{}", nearest::hint(name, names()))
            }
            (Some(_), Some(nic)) if nic.rdma_device.is_some() => continue,
            _ => format!("{name} has no rdma-device, by which NCCL knows it"),
        };
        findings.error("N231", at("links"), text);
    }
    if let Some(name) = spec.socket.as_ref().filter(|name| !links.contains_key(*name)) {
        let text = format!("link \"{name}\" does not exist{}", nearest::hint(name, names()));
        findings.error("N231", at("socket"), text);
    }
    let socket = spec.socket.as_ref().and_then(|name| links.get(name));
    if let Some(link) = socket.filter(|link| !view.network.has_known_name(link)) {
        let text = format!(
            "NCCL finds {} by its kernel name, which may differ; set set-name, or match: name",
            link.name
        );
        findings.warn("N231", at("socket"), text);
    }
    for (name, value) in &spec.variables {
        let is_letter =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if !name.starts_with("NCCL_") || !name.bytes().all(is_letter) {
            let text = format!("\"{name}\" is not a variable of NCCL: they begin with NCCL_");
            findings.error("N231", at("variables"), text);
        }
        if value.chars().any(char::is_control) {
            findings.error("N231", at("variables"), format!("{name} has more than one line"));
        }
    }
}
