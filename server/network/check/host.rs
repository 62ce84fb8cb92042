//! Rules about one host: what it refers to and its NICs. Pure.

use super::{Findings, HostView, addresses, subnet};
use crate::model::{MatchBy, Nic, NicSpec, check_link_name};
use crate::network::links::{Kind, Link, Role};
use crate::network::nearest;

/// QEMU's prefix: locally administered, and yet what the NIC of a virtual host has.
const QEMU: [u8; 3] = [0x52, 0x54, 0x00];

pub(super) fn check(view: &HostView<'_>, findings: &mut Findings) {
    references(view, findings);
    nics(view, findings);
    if let Some(name) = &view.host.boot_file {
        subnet::boot_file(name, view.at("boot-file"), findings);
    }
    let used = view.network.links.values().filter(|link| link.role != Role::Unused);
    for link in used.filter(|link| link.kind == Kind::Nic(None)) {
        missing_nic(view, link, findings);
    }
    addresses::check(view, findings);
}

fn references(view: &HostView<'_>, findings: &mut Findings) {
    let site = view.site;
    let (host, profiles) = (view.host, site.profiles.keys().map(String::as_str));
    unknown(view, "profile", host.profile.as_deref(), profiles.collect(), findings);
    let images = site.images.keys().map(String::as_str).collect();
    unknown(view, "image", host.image.as_deref(), images, findings);
    let tenants = site.tenants.keys().map(String::as_str).collect();
    unknown(view, "tenant", host.tenant.as_deref(), tenants, findings);
}

fn unknown(
    view: &HostView<'_>,
    key: &str,
    name: Option<&str>,
    known: Vec<&str>,
    findings: &mut Findings,
) {
    let Some(name) = name.filter(|name| !known.contains(name)) else { return };
    let hint = nearest::hint(name, known.iter().copied());
    findings.error("N180", view.at(key), format!("{key} \"{name}\" does not exist{hint}"));
    if let Some(nearest) = nearest::nearest(name, known.into_iter()) {
        findings.suggest(view.at(key), nearest);
    }
}

/// What vendors call their baseboard management controllers.
const BMC_NAMES: [&str; 8] = ["bmc", "ipmi", "idrac", "ilo", "xcc", "irmc", "cimc", "imm"];

/// Rule N104 for the BMC's MAC, and rule N147 for its address.
fn bmc(view: &HostView<'_>, findings: &mut Findings) {
    let Some(bmc) = &view.host.bmc else { return };
    if bmc.mac.is_zero() || bmc.mac.is_multicast() {
        let text =
            format!("{} is not a valid MAC address: expected a non-zero unicast address", bmc.mac);
        findings.error("N104", view.at("bmc"), text);
    }
    let Some(address) = bmc.address else { return };
    let around = view.site.subnets.iter().find(|(_, subnet)| subnet.cidr.contains(&address));
    if around.is_none() {
        let text = format!("{address} of the BMC is in no subnet: DHCP cannot give it");
        findings.warn("N214", view.at("bmc"), text);
    }
    if let Some((name, subnet)) = around
        && let Some(word) = subnet.unusable(address)
    {
        let text = format!("{address} is the {word} address of subnet \"{name}\"");
        findings.error("N140", view.at("bmc"), text);
    }
    if let Some((name, _)) = around.filter(|(_, subnet)| subnet.gateway == Some(address)) {
        let text = format!("{address} is the gateway of subnet \"{name}\"");
        findings.error("N143", view.at("bmc"), text);
    }
}

fn nics(view: &HostView<'_>, findings: &mut Findings) {
    bmc(view, findings);
    for (label, Nic { address: mac, .. }) in &view.host.nics {
        let at = || view.at_link("nics", label);
        if let Err(error) = check_link_name(label) {
            findings.error("N101", at(), error.to_string());
        }
        if BMC_NAMES.contains(&label.to_lowercase().as_str()) {
            let text = format!(
                "{label} is the name of a management controller, and DHCP gives every NIC the \
                 host's address; write bmc: {{mac: \"{mac}\"}} instead of the NIC"
            );
            findings.error("N212", at(), text);
        }
        let vendor_name = label.trim_end_matches(|c: char| c.is_ascii_digit()).to_lowercase();
        let is_bmc = vendor_name == "drac" || BMC_NAMES.contains(&vendor_name.as_str());
        let is_likely = vendor_name == "mgmt" && view.host.addresses.contains_key(label);
        if !BMC_NAMES.contains(&label.to_lowercase().as_str()) && (is_bmc || is_likely) {
            let text = format!(
                "{label} looks like a management controller: if it is one, write bmc: {{mac: \
                 \"{mac}\"}} instead of the NIC"
            );
            findings.warn("N212", at(), text);
        }
        if mac.is_impossible() {
            let text = match mac.mac() {
                Some(_) => format!(
                    "{mac} is not a valid NIC MAC address: expected a non-zero unicast address"
                ),
                None => format!("{mac} is not a valid GUID: expected one that is not zero"),
            };
            findings.error("N104", at(), text);
        } else if mac.mac().is_some_and(|mac| mac.is_local() && mac.0[..3] != QEMU) {
            let text =
                format!("{mac} is locally administered: expected the NIC's permanent MAC address");
            findings.warn("N105", at(), text);
        }
    }
}

fn needs_mac(nic: &NicSpec) -> bool {
    nic.needs_link_file() && nic.path.is_none()
}

/// Rule N181: a NIC that the profile speaks of and the host does not have.
fn missing_nic(view: &HostView<'_>, link: &Link, findings: &mut Findings) {
    let profile = view.network.profile.as_deref().unwrap_or_default();
    let made = view.network.links.values().filter(|other| other.kind != Kind::Nic(None));
    let hint = nearest::hint(&link.name, made.map(|other| other.name.as_str()));
    let user = link.master.as_deref().map(|master| format!(" for {master}")).unwrap_or_default();
    let text = format!(
        "{} has no NIC \"{}\", which profile \"{profile}\" needs{user}; add it under nics{hint}",
        view.name, link.name
    );
    match view.network.match_by {
        MatchBy::PermanentMac | MatchBy::Mac | MatchBy::Path => {
            findings.error("N181", view.at_link("nics", &link.name), text)
        }
        MatchBy::Name if link.nic.as_ref().is_some_and(|nic| needs_mac(nic)) => {
            let text = format!(
                "{}: its .link file finds it by MAC or path, and neither is set",
                link.name
            );
            findings.error("N108", view.at_link("nics", &link.name), text);
        }
        // Its files can be written; but DHCP and `/config/MAC` will not know the host by it.
        MatchBy::Name => findings.warn("N181", view.at_link("nics", &link.name), text),
    }
}
