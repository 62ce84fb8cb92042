//! Rules about how a host comes up: waiting, router advertisements, spanning tree. Pure.

use super::{Findings, ProfileView};
use crate::model::{Defaults, DhcpIdentifier, Family, Millis, Overrides};
use crate::network::links::{Kind, Link, Role};

/// The kernel's forwarding delay, where a bridge says none (IEEE 802.1D).
const FORWARD_DELAY: Millis = Millis(15_000);

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        carriers(view, link, findings);
        spanning_tree(view, link, findings);
        dead_options(view, link, findings);
        deaf(view, link, findings);
        never_online(view, link, findings);
    }
    let addressed = || view.network.links.values().filter(|link| link.role == Role::Addressed);
    if addressed().next().is_some() && addressed().all(|link| link.settings.optional) {
        let text = "every link with an address is optional: the host counts as online before any of them is up";
        findings.warn("N163", view.within([]), text.into());
        for link in addressed().take(1) {
            findings.suggest(view.path(&link.name, "optional"), "");
        }
    }
}

/// Rule N162: measured on systemd 257, which then never calls the host online.
fn carriers(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let hears = view.profile.defaults == Defaults::Verbatim && link.settings.accept_ra.is_none();
    if link.role == Role::Carrier && link.master.is_none() && hears {
        let text = format!(
            "{} only carries other links but accepts router advertisements; systemd 257 never reports \
             it configured; set accept-ra: false, or defaults: safe",
            link.name
        );
        findings.warn("N162", view.at(&link.name, "accept-ra"), text);
        findings.suggest(view.path(&link.name, "accept-ra"), false);
    }
}

/// Rule N164: listening and learning take 15 s each.
fn spanning_tree(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    if let Kind::Bridge(spec) = &link.kind
        && spec.stp == Some(true)
    {
        // Listening, then learning.
        let delay = Millis(2 * spec.forward_delay.unwrap_or(FORWARD_DELAY).0);
        let text =
            format!("{}: spanning tree delays the network by {} s", link.name, delay.0 / 1000);
        findings.warn("N164", view.at(&link.name, "stp"), text);
        findings.suggest(view.path(&link.name, "stp"), false);
    }
}

/// Rule N163: a verbatim file that says nothing of `RequiredForOnline=` waits for the link.
fn never_online(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let waits = view.profile.defaults == Defaults::Verbatim && !link.settings.optional;
    let quiet = link.settings.link_local.as_ref().is_some_and(Vec::is_empty);
    if waits && link.role == Role::Addressed && view.network.lacks_carrier(link) {
        let text = format!(
            "{} has no ports and no carrier, but the boot waits for it for 120 s; set optional: true",
            link.name
        );
        findings.warn("N163", view.at(&link.name, "optional"), text);
        findings.suggest(view.path(&link.name, "optional"), true);
    }
    if waits && link.role == Role::LinkOnly && link.master.is_none() && quiet {
        let text = format!(
            "{} has no address, but the boot waits for it for 120 s; set optional: true",
            link.name
        );
        findings.warn("N163", view.at(&link.name, "optional"), text);
        findings.suggest(view.path(&link.name, "optional"), true);
    }
}

/// Rule N161: routers and DHCPv6 servers are asked from a link-local address (RFC 4861 section
/// 4.1, RFC 8415 section 13).
fn deaf(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let silent = view.network.link_local(link).is_some_and(|all| !all.contains(&Family::Ipv6));
    let asks =
        [("accept-ra", link.settings.accept_ra == Some(true)), ("dhcp6", link.settings.dhcp6)];
    for (key, _) in asks.into_iter().filter(|(_, asks)| silent && *asks) {
        let text = format!(
            "{}: {key} has no effect without an IPv6 link-local address; add ipv6 to link-local",
            link.name
        );
        findings.warn("N161", view.at(&link.name, key), text);
        findings.suggest(view.path(&link.name, "link-local"), "[ipv6]");
    }
}

/// Rule N161: what is said about an answer that is never asked for. Router advertisements
/// are heard by default in a verbatim profile, and can start DHCPv6.
fn dead_options(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let settings = &link.settings;
    let hears = settings.accept_ra.unwrap_or(view.profile.defaults == Defaults::Verbatim);
    let cases = [
        ("dhcp4-overrides", settings.dhcp4_overrides, settings.dhcp4),
        ("dhcp6-overrides", settings.dhcp6_overrides, hears),
        ("ra-overrides", settings.ra_overrides, hears),
    ];
    let asks = settings.dhcp4 || hears || settings.dhcp6;
    let by_duid = settings.dhcp4 && settings.dhcp_identifier == Some(DhcpIdentifier::Duid);
    let words = [
        ("ipv6-token", settings.ipv6_token.is_some(), hears),
        ("ipv6-privacy", settings.ipv6_privacy.is_some(), hears),
        ("dhcp-identifier", settings.dhcp_identifier.is_some(), settings.dhcp4),
        ("vendor-class", settings.vendor_class.is_some(), asks),
        ("duid", settings.duid.is_some(), by_duid || hears || settings.dhcp6),
    ];
    for (key, _, _) in words.into_iter().filter(|(_, is_said, is_used)| *is_said && !is_used) {
        let text = format!("{}: {key} has no effect, because the link asks nobody", link.name);
        findings.warn("N161", view.at(&link.name, key), text);
        findings.suggest(view.path(&link.name, key), "");
    }
    for (key, overrides, asked) in cases {
        if overrides != Overrides::default() && !asked {
            let text = format!(
                "{}: {key} has no effect, because the link does not use that protocol",
                link.name
            );
            findings.warn("N161", view.at(&link.name, key), text);
            findings.suggest(view.path(&link.name, key), "");
        }
    }
}
