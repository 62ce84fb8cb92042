//! Rules about NICs: how they are found and named, what they can do, what is made of them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{FindingSubject, Findings, ProfileView};
use crate::model::{BondMode, MatchBy, NicSpec, check_link_name};
use crate::network::links::{Kind, Link, Role};
use crate::network::nearest;
use crate::network::word::{is_id_path, is_word, pci_address};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    devices(view, findings);
    for link in view.network.links.values() {
        rails(view, link, findings);
        rule_links(view, link, findings);
        if let Kind::Bond(spec) = &link.kind {
            mixed(view, link, spec.mode, findings);
            bind_carrier(view, link, spec.bind_carrier, findings);
        }
        if !link.is_nic() || link.role == Role::Unused {
            continue;
        }
        found(view, link, findings);
        if let Some(nic) = &link.nic {
            merged(view, link, nic, findings);
            named(view, link, nic, findings);
            virtual_functions(view, link, nic, findings);
        }
    }
}

/// Rule N102 for the kernel's names: two links of one host cannot share one.
fn devices(view: &ProfileView<'_>, findings: &mut Findings) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for link in view.network.links.values() {
        let Some(other) = taken.insert(link.device(), &link.name) else { continue };
        let text = format!("{other} and {} would both be named \"{}\"", link.name, link.device());
        findings.error("N102", nic_place(view, link, "set-name"), text);
    }
}

fn nic_place(view: &ProfileView<'_>, link: &Link, key: &str) -> FindingSubject {
    FindingSubject::from(view.path(&link.name, key)).of_link(link.name.as_str())
}

/// Rules N106, N107 and N108: how the files find a NIC.
fn found(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let network = &view.network;
    let nic = link.nic.as_deref();
    let shares_mac = |upper: &&Link| {
        matches!(
            upper.kind,
            Kind::Bond(_)
                | Kind::Bridge(_)
                | Kind::Vlan { .. }
                | Kind::Ipvlan(_)
                | Kind::Macsec { .. }
        )
    };
    if network.match_by == MatchBy::Mac
        && let Some(upper) = network.above(link).find(shares_mac)
    {
        let text = format!(
            "{}: [Match] MACAddress= would also match {}, which has the same MAC (\"Cannot enslave \
             {} to itself\"); match PermanentMACAddress",
            link.name,
            upper.name,
            upper.kind.label()
        );
        let place = FindingSubject::from(view.within(["match"])).of_link(link.name.as_str());
        findings.error("N106", place, text);
        findings.suggest(view.within(["match"]), "permanent-mac");
    }
    if let Some(path) = nic.and_then(|nic| nic.path.as_deref()).filter(|path| !is_id_path(path)) {
        let text = format!(
            "{}: \"{path}\" is not a path of udev: expected one such as pci-0000:41:00.0",
            link.name
        );
        findings.error("N108", nic_place(view, link, "path"), text);
    }
    if network.match_by == MatchBy::Path && nic.is_none_or(|nic| nic.path.is_none()) {
        let text = format!("{} has no path, but the profile finds NICs by path", link.name);
        findings.error("N108", nic_place(view, link, "path"), text);
    }
    if let Some(driver) = nic.and_then(|nic| nic.match_driver.as_deref()) {
        if network.match_by != MatchBy::Name {
            let text = format!(
                "{}: match-driver has no effect where NICs are found by {}",
                link.name, network.match_by
            );
            findings.error("N182", nic_place(view, link, "match-driver"), text);
            findings.suggest(view.path(&link.name, "match-driver"), "");
        }
        if !is_word(driver) {
            let text = format!(
                "{}: \"{driver}\" is not a name of a driver: expected one such as mlx5_core",
                link.name
            );
            findings.error("N108", nic_place(view, link, "match-driver"), text);
        }
    }
    if let Some(driver) = nic.and_then(|nic| nic.driver_override.as_deref()) {
        let address = nic.and_then(|nic| nic.path.as_deref()).and_then(pci_address);
        let text = match address {
            _ if !is_word(driver) => format!(
                "{}: \"{driver}\" is not a name of a driver: expected one such as vfio-pci",
                link.name
            ),
            None => format!(
                "{}: driver-override needs a path on the PCI bus, such as pci-0000:41:00.0",
                link.name
            ),
            Some(_) => String::new(),
        };
        if !text.is_empty() {
            findings.error("N108", nic_place(view, link, "driver-override"), text);
        }
    }
    let Some(pattern) = nic.and_then(|nic| nic.match_name.as_deref()) else { return };
    if network.match_by != MatchBy::Name {
        let text = format!(
            "{}: match-name has no effect where NICs are found by {}",
            link.name, network.match_by
        );
        findings.error("N182", nic_place(view, link, "match-name"), text);
        findings.suggest(view.path(&link.name, "match-name"), "");
    }
    if !is_pattern(pattern) {
        let text = format!(
            "{}: \"{pattern}\" is not a name of a link, or one pattern with * and ?: expected one such \
             as enp65s0f0 or ens*",
            link.name
        );
        findings.error("N108", nic_place(view, link, "match-name"), text);
        return;
    }
    let others = network.links.values().filter(|other| other.name != link.name);
    for other in others.filter(|other| is_matched(pattern, other.device())) {
        let text = format!("{}: Name={pattern} also matches {}", link.name, other.device());
        findings.warn("N107", nic_place(view, link, "match-name"), text);
    }
}

/// Whether `pattern` is one pattern of networkd's for names: a space would begin another, `!` would
/// turn it round, and what is no pattern is a name.
fn is_pattern(pattern: &str) -> bool {
    let plain: String = pattern.chars().filter(|letter| !matches!(letter, '*' | '?')).collect();
    // Beside `*` and `?` a pattern has what a name has.
    let is_short = plain.len() == pattern.len() || plain.len() <= 15;
    let filled = if plain.is_empty() { "x" } else { &plain };
    !pattern.is_empty() && is_short && check_link_name(filled).is_ok()
}

/// Whether a pattern with `*` and `?` covers all of `name`.
fn is_matched(pattern: &str, name: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            let mut tails = name.char_indices().map(|(at, _)| &name[at..]).chain([""]);
            tails.any(|tail| is_matched(rest, tail))
        }
        Some(first) => {
            let mut letters = name.chars();
            let fits = letters.next().is_some_and(|letter| first == '?' || first == letter);
            fits && is_matched(&pattern[first.len_utf8()..], letters.as_str())
        }
    }
}

/// Rules N101, N103 and N132 for what a NIC is named and set to.
fn named(view: &ProfileView<'_>, link: &Link, nic: &NicSpec, findings: &mut Findings) {
    if let Some(name) = &nic.set_name {
        let at = || nic_place(view, link, "set-name");
        if let Err(error) = check_link_name(name) {
            findings.error("N101", at(), error.to_string());
        }
        if is_kernels(name) {
            let text = format!(
                "\"{name}\" is a name that the kernel assigns itself, so two NICs may compete for \
                 it; use a name such as nic0"
            );
            findings.warn("N103", at(), text);
        }
    }
    if let Some((mtu, most)) = link.settings.mtu.zip(nic.max_mtu).filter(|(mtu, most)| mtu > most) {
        let text = format!("{} would have MTU {mtu}, but its hardware allows {most}", link.name);
        findings.error("N132", nic_place(view, link, "max-mtu"), text);
    }
}

/// `eth0` and its like.
fn is_kernels(name: &str) -> bool {
    let digits = name.strip_prefix("eth").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Rule N108: `BindCarrier=` goes by the kernel's names.
fn bind_carrier(view: &ProfileView<'_>, bond: &Link, binds: bool, findings: &mut Findings) {
    if !binds || view.network.match_by == MatchBy::Name {
        return;
    }
    let unnamed = |link: &&Link| link.nic.as_ref().is_none_or(|nic| nic.set_name.is_none());
    for member in view.network.members(&bond.name).filter(unnamed) {
        let text = format!(
            "{}: BindCarrier={} refers to the NIC's kernel name, which nothing sets; set \
             set-name, or match: name",
            bond.name, member.name
        );
        findings.warn("N108", view.at(&bond.name, "bind-carrier"), text);
        let name = match member.name.strip_prefix("eth").filter(|_| is_kernels(&member.name)) {
            Some(number) => format!("nic{number}"),
            None => member.name.clone(),
        };
        findings.suggest(view.path(&member.name, "set-name"), name);
    }
}

/// Rule N108: a policy rule about a link that the host does not have.
fn rule_links(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let names = link
        .layer3
        .rules
        .iter()
        .flat_map(|rule| rule.incoming_interface.iter().chain(&rule.outgoing_interface));
    let links = &view.network.links;
    let is_known = |name: &str| {
        links.contains_key(name) || links.values().any(|link| link.device() == name) || name == "lo"
    };
    for name in names.filter(|name| !is_known(name)) {
        let hint = nearest::hint(name, links.keys().map(String::as_str));
        let text = format!(
            "a rule of {} refers to link \"{name}\", which does not exist{hint}",
            link.name
        );
        findings.warn("N108", view.at(&link.name, "routing-policy"), text);
    }
}

/// Rule N161: a bridge or router must not pass on what was merged, so the kernel switches LRO off
/// there (dev_disable_lro).
fn merged(view: &ProfileView<'_>, link: &Link, nic: &NicSpec, findings: &mut Findings) {
    let mut bridges =
        view.network.links.values().filter(|link| matches!(link.kind, Kind::Bridge(_)));
    let is_below =
        |bridge: &&Link| view.network.nics_below(bridge).iter().any(|nic| nic.name == link.name);
    if nic.offload.lro != Some(true) {
        return;
    }
    let forwards = || {
        let device = link.device();
        let scopes = ["ip_forward", "conf.all.forwarding"].map(|key| format!("net.ipv4.{key}"));
        let own = format!("net.ipv4.conf.{device}.forwarding");
        let is_on = |key: &String| view.network.sysctls.get(key).is_some_and(|value| value == "1");
        scopes.into_iter().chain([own]).find(is_on)
    };
    let why = match bridges.find(is_below) {
        Some(bridge) => format!("below a bridge ({})", bridge.name),
        None => match forwards() {
            Some(setting) => format!("on a host that forwards packets ({setting})"),
            None => return,
        },
    };
    let text = format!("{}: lro has no effect: the kernel switches it off {why}", link.name);
    findings.warn("N161", view.at(&link.name, "offload"), text);
    findings.suggest(view.path(&link.name, "offload.lro"), false);
}

/// Rule N123: members that a bond cannot use alike.
fn mixed(view: &ProfileView<'_>, bond: &Link, mode: BondMode, findings: &mut Findings) {
    let members = || view.network.members(&bond.name).filter_map(|link| link.nic.as_deref());
    let at = || view.at(&bond.name, "nics");
    let speeds: BTreeSet<u32> = members().filter_map(|nic| nic.speed).collect();
    if speeds.len() > 1 {
        let words: Vec<String> = speeds.iter().rev().map(|speed| speed_text(*speed)).collect();
        let why = match mode {
            BondMode::Lacp => "LACP aggregates one speed only",
            _ => "the slower members limit the others",
        };
        let text = format!("{}: {} members; {why}", bond.name, words.join(" and "));
        findings.warn("N123", at(), text);
    }
    let places = [
        ("rails", members().filter_map(|nic| nic.rail).collect::<BTreeSet<u16>>()),
        ("NUMA nodes", members().filter_map(|nic| nic.numa).collect()),
        ("GPUs", members().filter_map(|nic| nic.gpu).collect()),
    ];
    for (what, numbers) in places.into_iter().filter(|(_, numbers)| numbers.len() > 1) {
        let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
        let text = format!("{}: members on {what} {}", bond.name, numbers.join(" and "));
        findings.warn("N123", at(), text);
    }
    let is_alone = |link: &&Link| link.nic.as_ref().is_some_and(|nic| nic.bondable == Some(false));
    for member in view.network.members(&bond.name).filter(is_alone) {
        let text = format!("{}: {} cannot be in a bond", bond.name, member.name);
        findings.error("N123", at(), text);
    }
}

/// A speed in Mbit/s as people write it.
fn speed_text(speed: u32) -> String {
    match speed {
        0..1000 => format!("{speed}M"),
        _ if speed.is_multiple_of(1000) => format!("{}G", speed / 1000),
        _ => format!("{}.{}G", speed / 1000, speed % 1000 / 100),
    }
}

/// Rule N145: a NIC's rail and the subnets on it.
fn rails(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    for borne in &link.layer3.borne {
        let Some(subnet) = view.site.subnets.get(&borne.subnet) else { continue };
        let Some(rail) = subnet.rail else { continue };
        let nics = view.network.nics_below(link);
        let others = nics.iter().filter_map(|nic| Some((&nic.name, nic.nic.as_ref()?.rail?)));
        for (nic, own) in others.filter(|(_, own)| *own != rail) {
            let text = format!(
                "{} is in subnet \"{}\" of rail {rail}, but {nic} is cabled to rail {own}",
                link.name, borne.subnet
            );
            findings.error("N145", view.at(&link.name, "subnet"), text);
        }
    }
}

/// Rule N175: what the device, the tag and the kernel allow of virtual functions.
fn virtual_functions(view: &ProfileView<'_>, link: &Link, nic: &NicSpec, findings: &mut Findings) {
    let Some(sriov) = &nic.sriov else { return };
    let (name, at) = (&link.name, |key: &str| nic_place(view, link, key));
    if let Some(most) = nic.sriov_max.filter(|most| sriov.count > *most) {
        let text = format!("{name}: {} virtual functions, but the device has {most}", sriov.count);
        findings.warn("N175", at("sriov.count"), text);
        findings.suggest(view.path(name, "sriov.count"), most);
    }
    if let Some(owner) = view.network.owner(link).filter(|_| sriov.count > 0) {
        let text = format!(
            "{name} is in {} and has virtual functions, whose packets bypass it",
            owner.name
        );
        findings.warn("N175", at("sriov"), text);
    }
    for (number, function) in &sriov.functions {
        let key = format!("sriov.functions.{number}");
        if *number >= sriov.count {
            let text = format!(
                "{name}: virtual function {number} does not exist; the {} are numbered from 0",
                sriov.count
            );
            findings.error("N175", at(&key), text);
        }
        if let Some(id) = function.vlan.filter(|id| *id > 4095) {
            let text =
                format!("{name}: VLAN id {id} of virtual function {number} is outside 0-4095");
            findings.error("N175", at(&format!("{key}.vlan")), text);
        }
        if let Some(qos) = function.qos.filter(|qos| *qos > 7) {
            let text =
                format!("{name}: priority {qos} of virtual function {number} is outside 0-7");
            findings.error("N175", at(&format!("{key}.qos")), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_matched, speed_text};

    #[test]
    fn a_pattern_covers_whole_names() {
        let cases = [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("b*", "bond0", true),
            ("*0", "bond0", true),
            ("en*s?", "enp65s0", true),
            ("en*s?", "enp65s", false),
            ("*", "", true),
            ("?", "é", true),
        ];
        for (pattern, name, fits) in cases {
            assert_eq!(is_matched(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn a_speed_is_told_as_people_do() {
        let told: Vec<String> = [100, 1000, 2500, 25_000].map(speed_text).into();
        assert_eq!(told, ["100M", "1G", "2.5G", "25G"]);
    }
}
