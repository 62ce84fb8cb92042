//! Rule N170: what the target's systemd does not know yet, and rule N182: what has no
//! meaning where it is said. Pure.

use super::{Findings, ProfileView};
use crate::model::{LinkSettings, MacPolicy, RouteSpec, VlanProtocol};
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
    let (dhcp6, ra) = (settings.dhcp6_overrides, settings.ra_overrides);
    let cases = [
        ("dhcp6-overrides", "use-routes", dhcp6.use_routes.is_some(), "DHCPv6 carries no routes"),
        (
            "dhcp6-overrides",
            "route-metric",
            dhcp6.route_metric.is_some(),
            "DHCPv6 carries no routes",
        ),
        ("ra-overrides", "use-ntp", ra.use_ntp.is_some(), "routers announce no time servers"),
        ("ra-overrides", "use-routes", ra.use_routes.is_some(), "write accept-ra: false"),
        ("ra-overrides", "route-metric", ra.route_metric.is_some(), "systemd 247 has no such key"),
    ];
    for (key, word, given, why) in cases {
        if given {
            let text = format!("{name}: {word} has no effect in {key}: {why}");
            findings.error("N182", view.at(name, key), text);
            findings.suggest(view.path(name, key).at(word), "");
        }
    }
    if settings.mark.is_some() && settings.table.is_none() {
        let text = format!("{name}: mark needs a routing table of the link: set table");
        findings.error("N182", view.at(name, "mark"), text);
        findings.suggest(view.path(name, "mark"), "");
    }
}
