//! Rules about links in network namespaces, and what of a host is in which. Pure.

use std::collections::BTreeSet;

use super::{Findings, ProfileView};
use crate::model::LinkSettings;
use crate::network::links::{HostNetwork, Kind, Link};

/// Rule N230: a link that cannot be in a namespace, or what has no meaning in one.
pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        let Some(name) = &link.settings.namespace else { continue };
        let mut wrong = |key: &str, text: String| {
            findings.error("N230", view.at(&link.name, key), text);
        };
        if !is_name(name) {
            wrong(
                "namespace",
                format!(
                    "\"{name}\" is not a name of a namespace: expected letters, digits, \".\", \"_\" and \
                     \"-\", at most 64, and a letter or digit first"
                ),
            );
        }
        if !can_move(&link.kind) {
            wrong(
                "namespace",
                format!(
                    "{} is a {} and cannot be in a namespace: only a NIC, VLAN, veth, MACVLAN or \
                     IPVLAN can",
                    link.name,
                    link.kind.label()
                ),
            );
        }
        if let Some(upper) = view.network.above(link).next() {
            wrong(
                "namespace",
                format!("{} is in namespace {name}, so {} cannot be on it", link.name, upper.name),
            );
        }
        for key in meaningless(&link.settings) {
            wrong(
                key,
                format!(
                    "{}: {key} has no effect in a namespace, where networkd is not; remove it",
                    link.name
                ),
            );
        }
    }
}

/// A name that is one file of /run/netns and one word of a shell.
fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.len() <= 64
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(is_inner)
}

fn can_move(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Nic(_) | Kind::Vlan { .. } | Kind::Veth { .. } | Kind::Macvlan(_) | Kind::Ipvlan(_)
    )
}

/// Keys that are set and that only networkd, or a rule of the host, gives a meaning.
fn meaningless(settings: &LinkSettings) -> impl Iterator<Item = &'static str> + '_ {
    let more_table = settings.more_subnets.iter().any(|more| more.table.is_some());
    let words = [
        (settings.dhcp4, "dhcp4"),
        (settings.dhcp6, "dhcp6"),
        (settings.accept_ra == Some(true), "accept-ra"),
        (settings.ipv6_token.is_some(), "ipv6-token"),
        (settings.ipv6_privacy.is_some(), "ipv6-privacy"),
        (settings.ipv6_address_generation.is_some(), "ipv6-address-generation"),
        (settings.link_local.is_some(), "link-local"),
        (settings.table.is_some(), "table"),
        (settings.mark.is_some(), "mark"),
        (!settings.cpus.is_empty(), "cpus"),
        (!settings.users.is_empty(), "users"),
        (!settings.slices.is_empty(), "slices"),
        (!settings.routing_policy.is_empty(), "routing-policy"),
        (!settings.neighbors.is_empty(), "neighbors"),
        (!settings.forwarding.is_empty(), "forwarding"),
        (more_table, "more-subnets"),
        (settings.emit_lldp != Default::default(), "emit-lldp"),
        (settings.lldp.is_some(), "lldp"),
        (settings.ignore_carrier, "ignore-carrier"),
        (settings.critical, "critical"),
        (settings.duplicate_detection, "duplicate-detection"),
        (settings.activation_mode.is_some(), "activation-mode"),
        (settings.online_state.is_some(), "online-state"),
        (settings.online_family.is_some(), "online-family"),
        (settings.group.is_some(), "group"),
        (!settings.extra.network.is_empty(), "extra"),
        (settings.qdisc.is_some(), "qdisc"),
        (!settings.multicast_macs.is_empty(), "multicast-macs"),
    ];
    words.into_iter().filter(|(used, _)| *used).map(|(_, key)| key)
}

/// What the host itself routes by, and what each of its namespaces does: their tables have nothing
/// in common. None for a host without namespaces.
pub(super) fn parts<'a>(view: &'a ProfileView<'_>) -> Option<Parts<'a>> {
    let names: BTreeSet<&String> =
        view.network.links.values().filter_map(|link| link.settings.namespace.as_ref()).collect();
    if names.is_empty() {
        return None;
    }
    let part = |name: Option<&String>| {
        let is_in = |link: &Link| link.settings.namespace.as_ref() == name;
        let links = view.network.links.iter().filter(|(_, link)| is_in(link));
        let links = links.map(|(name, link)| (name.clone(), link.clone())).collect();
        let network = HostNetwork { links, ..view.network.clone() };
        let (name, profile) = (view.name, view.profile);
        ProfileView { site: view.site, around: view.around, name, profile, network }
    };
    Some(Parts { host: part(None), namespaces: names.into_iter().map(Some).map(part).collect() })
}

/// A profile's links by where they are.
pub(super) struct Parts<'a> {
    /// Those that no namespace has.
    pub(super) host: ProfileView<'a>,
    /// Those of each namespace.
    pub(super) namespaces: Vec<ProfileView<'a>>,
}
