//! Rule N170: what the target's systemd does not know yet, and rule N182: what has no
//! meaning where it is said. Pure.

use std::collections::BTreeSet;

use super::{Findings, ProfileView};
use crate::model::{LinkSettings, MacPolicy, RouteSpec, RuleVerdict, VlanProtocol};
use crate::network::bond::{self, Name, Parameter};
use crate::network::links::{Kind, Link};

/// The versions whose keys are known (systemd's `*.gperf` of each stable branch).
const KNOWN: std::ops::RangeInclusive<u16> = 247..=257;

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    let target = view.network.systemd;
    if !KNOWN.contains(&target) {
        let text = format!("systemd {target} is not supported (247 to 257)");
        findings.error("N170", view.within(["systemd"]), text);
    }
    for link in view.network.links.values() {
        for Newer { key, words, since } in newer(link) {
            if target < since {
                let text = format!(
                    "{}: {words} needs systemd {since}, but the target has {target}",
                    link.name
                );
                findings.error("N170", view.at(&link.name, &key), text);
            }
        }
    }
    for link in view.profile.links() {
        meaningless(view, link.name, link.settings, findings);
    }
}

/// Something that came later than the oldest systemd.
struct Newer {
    /// Its key in the profile.
    key: String,
    /// networkd's words for it.
    words: String,
    /// The first version that knows them.
    since: u16,
}

impl Newer {
    fn new(key: &str, words: &str, since: u16) -> Self {
        Self { key: key.to_owned(), words: words.to_owned(), since }
    }
}

/// What a link uses that came later than the oldest systemd.
fn newer(link: &Link) -> Vec<Newer> {
    let mut used = Vec::new();
    match &link.kind {
        Kind::Vlan { protocol: VlanProtocol::Dot1ad, .. } => {
            used.push(Newer::new("protocol", "[VLAN] Protocol=", 248));
        }
        Kind::Vlan { qos, .. } if qos.is_some() => {
            let key = if qos.egress.is_empty() { "ingress-qos" } else { "egress-qos" };
            used.push(Newer::new(key, "[VLAN] EgressQOSMaps= and IngressQOSMaps=", 248));
        }
        Kind::Bond(spec) => {
            for Parameter { key, since, names, .. } in bond::parameters(spec) {
                let (Some(since), Name::Key(name)) = (since, names.networkd) else { continue };
                used.push(Newer { key, words: format!("[Bond] {name}="), since });
            }
        }
        Kind::Nic(_) if link.nic.as_ref().is_some_and(|nic| nic.sriov.is_some()) => {
            used.push(Newer::new("sriov", "[Link] SR-IOVVirtualFunctions=", 251));
        }
        Kind::Bridge(spec) if spec.ports.values().any(|port| port.isolated) => {
            used.push(Newer::new("ports", "[Bridge] Isolated=", 251));
        }
        _ => {}
    }
    if link.layer3.rules.iter().any(|rule| rule.verdict != RuleVerdict::Table) {
        used.push(Newer::new("routing-policy", "[RoutingPolicyRule] Type=", 252));
    }
    let LinkSettings { dhcp6_overrides: dhcp6, ra_overrides: ra, .. } = &link.settings;
    let words = [
        (dhcp6.use_domains.is_some(), "dhcp6-overrides", "[DHCPv6] UseDomains=", 252),
        (dhcp6.use_hostname.is_some(), "dhcp6-overrides", "[DHCPv6] UseHostname=", 252),
        (dhcp6.send_hostname.is_some(), "dhcp6-overrides", "[DHCPv6] SendHostname=", 255),
        (link.settings.metric.is_some(), "metric", "[Address] RouteMetric=", 249),
        (ra.use_routes.is_some(), "ra-overrides", "[IPv6AcceptRA] UseGateway=", 252),
        (ra.route_metric.is_some(), "ra-overrides", "[IPv6AcceptRA] RouteMetric=", 252),
        (ra.use_mtu.is_some(), "ra-overrides", "[IPv6AcceptRA] UseMTU=", 252),
        (link.settings.duid.is_some() && link.settings.dhcp6, "duid", "[DHCPv6] DUIDType=", 252),
    ];
    let words = words.into_iter().filter(|(is_used, ..)| *is_used);
    used.extend(words.map(|(_, key, words, since)| Newer::new(key, words, since)));
    if matches!(link.kind, Kind::Partition(_)) {
        used.push(Newer::new("pkey", "[NetDev] Kind=ipoib", 250));
    }
    if link.nic.as_ref().is_some_and(|nic| nic.coalesce != Default::default()) {
        used.push(Newer::new("coalesce", "[Link] RxCoalesceSec= and its like", 250));
    }
    if link.settings.online_family.is_some() {
        used.push(Newer::new("online-family", "[Link] RequiredFamilyForOnline=", 249));
    }
    if link.settings.mac_policy() == Some(MacPolicy::Kernel) {
        used.push(Newer::new("macaddress", "[NetDev] MACAddress=none", 250));
    }
    if link.settings.activation_mode.is_some() {
        used.push(Newer::new("activation-mode", "[Link] ActivationPolicy=", 248));
    }
    if link.layer3.routes.iter().any(|route| route.advertised_mss.is_some()) {
        used.push(Newer::new("routes", "[Route] TCPAdvertisedMaximumSegmentSize=", 248));
    }
    // Version 247 asks the kernel for it on the link that has the route, and too early: the
    // kernel refuses. Of those that wait, 252 is the oldest that was seen to install it.
    if link.layer3.routes.iter().any(RouteSpec::spans_links) {
        used.push(Newer::new("routes", "[Route] MultiPathRoute= with a link", 252));
    }
    used
}

/// Overrides that the protocol has no answer for.
fn meaningless(
    view: &ProfileView<'_>,
    name: &str,
    settings: &LinkSettings,
    findings: &mut Findings,
) {
    let (dhcp4, dhcp6) = (settings.dhcp4_overrides, settings.dhcp6_overrides);
    let ra = settings.ra_overrides;
    let name_of_ra = "routers announce no names of hosts";
    let only_ra = "it is about router advertisements";
    let cases = [
        ("dhcp6-overrides", "use-mtu", dhcp6.use_mtu.is_some(), "DHCPv6 carries no MTU"),
        ("ra-overrides", "use-hostname", ra.use_hostname.is_some(), name_of_ra),
        ("ra-overrides", "send-hostname", ra.send_hostname.is_some(), "routers are told no names"),
        ("dhcp4-overrides", "use-addresses", dhcp4.use_addresses.is_some(), only_ra),
        ("dhcp6-overrides", "use-addresses", dhcp6.use_addresses.is_some(), only_ra),
        ("dhcp6-overrides", "use-routes", dhcp6.use_routes.is_some(), "DHCPv6 carries no routes"),
        (
            "dhcp6-overrides",
            "route-metric",
            dhcp6.route_metric.is_some(),
            "DHCPv6 carries no routes",
        ),
        ("ra-overrides", "use-ntp", ra.use_ntp.is_some(), "routers announce no time servers"),
    ];
    for (key, word, given, why) in cases {
        if given {
            let text = format!("{name}: {word} has no effect in {key}: {why}");
            findings.error("N182", view.at(name, key), text);
            findings.suggest(view.path(name, key).at(word), "");
        }
    }
    if settings.mtu.is_some() && settings.takes_mtu() {
        let text = format!("{name} has an mtu, so networkd ignores use-mtu; remove one of them");
        findings.error("N182", view.at(name, "mtu"), text);
        findings.suggest(view.path(name, "mtu"), "");
    }
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for subnet in settings.subnets().filter(|subnet| !seen.insert(subnet)) {
        let text =
            format!("{name} has subnet \"{subnet}\" twice; use addresses for a second address");
        findings.error("N182", view.at(name, "more-subnets"), text);
    }
    if settings.metric.is_some()
        && settings.addresses.is_empty()
        && settings.subnets().next().is_none()
    {
        let text = format!(
            "{name}: metric has no effect without a subnet or an address; of DHCP and router \
             advertisements it is route-metric of the overrides"
        );
        findings.error("N182", view.at(name, "metric"), text);
        findings.suggest(view.path(name, "metric"), "");
    }
    if settings.mark.is_some() && settings.table.is_none() {
        let text = format!("{name}: mark needs a routing table of the link: set table");
        findings.error("N182", view.at(name, "mark"), text);
        findings.suggest(view.path(name, "mark"), "");
    }
}
