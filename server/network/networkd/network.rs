//! `.network` files: what is on each link. Pure.

use super::begin;
use super::unit::Unit;
use crate::model::{Defaults, MatchBy, Overrides};
use crate::network::links::{HostNetwork, Kind, Layer3, Link, Role};

/// The `.network` of a link.
pub(super) fn render(host: &HostNetwork, link: &Link) -> String {
    let mut unit = begin(host);
    matching(&mut unit, host, link);
    unit.section("Link");
    unit.set_some("MTUBytes", link.mtu);
    if host.defaults == Defaults::Safe {
        unit.set("RequiredForOnline", required_for_online(link));
    }
    dynamic(&mut unit, host, &link.layer3);
    unit.section("Network");
    stacking(&mut unit, host, link);
    if host.defaults == Defaults::Safe {
        quiet(&mut unit, link);
    }
    layer3(&mut unit, &link.layer3);
    for address in &link.layer3.addresses {
        unit.section("Address");
        unit.set("Address", address);
    }
    unit.finish()
}

/// A physical NIC is found by its permanent MAC, because a bond rewrites the current one
/// and a VLAN on it shares it: `MACAddress=` then matches the wrong links.
fn matching(unit: &mut Unit, host: &HostNetwork, link: &Link) {
    unit.section("Match");
    match (&link.kind, host.match_by) {
        (Kind::Nic(Some(mac)), MatchBy::PermanentMac) => unit.set("PermanentMACAddress", mac),
        _ => unit.set("Name", &link.name),
    }
}

/// What state of the link `systemd-networkd-wait-online` waits for. Written down always,
/// because the meaning of the default differs between versions.
fn required_for_online(link: &Link) -> &'static str {
    let enslaved = link.master.is_some();
    match (&link.kind, link.role) {
        _ if enslaved || link.optional => "no",
        (_, Role::LinkOnly | Role::Unused) => "no",
        // One dead member, or a port without a guest, must not hold up the boot.
        (Kind::Bond(_) | Kind::Bridge(_), _) => "degraded-carrier",
        (_, Role::Carrier) => "carrier",
        (_, Role::Addressed) => "routable",
    }
}

/// `[DHCPv4]`, `[DHCPv6]` and `[IPv6AcceptRA]`.
fn dynamic(unit: &mut Unit, host: &HostNetwork, layer3: &Layer3) {
    unit.section("DHCPv4");
    if host.defaults == Defaults::Safe && layer3.dhcp4 {
        // The server knows the host by its MAC from the ROM on; a DUID would be a stranger.
        unit.set("ClientIdentifier", "mac");
    }
    overrides(unit, &layer3.dhcp4_overrides);
    unit.section("DHCPv6");
    overrides(unit, &layer3.dhcp6_overrides);
    unit.section("IPv6AcceptRA");
    overrides(unit, &layer3.ra_overrides);
}

fn overrides(unit: &mut Unit, overrides: &Overrides) {
    unit.set_some("UseDNS", overrides.use_dns);
    unit.set_some("UseDomains", overrides.use_domains);
    unit.set_some("UseNTP", overrides.use_ntp);
    unit.set_some("UseRoutes", overrides.use_routes);
    unit.set_some("RouteMetric", overrides.route_metric);
}

/// What the link belongs to and what stands on it.
fn stacking(unit: &mut Unit, host: &HostNetwork, link: &Link) {
    let master = link.master.as_deref().and_then(|name| host.links.get(name));
    match master.map(|master| (&master.kind, &master.name)) {
        Some((Kind::Bond(spec), name)) => {
            unit.set("Bond", name);
            if spec.primary.as_deref() == Some(&link.name) {
                unit.set("PrimarySlave", "true");
            }
        }
        Some((_, name)) => unit.set("Bridge", name),
        None => {}
    }
    for vlan in host.vlans_on(&link.name) {
        unit.set("VLAN", &vlan.name);
    }
    if let Kind::Bond(spec) = &link.kind
        && spec.bind_carrier
    {
        unit.set("BindCarrier", spec.nics.join(" "));
    }
}

/// No stray IPv6. A layer that only carries others would wait for a router that never
/// answers (systemd 257 then never calls the host online), or take an address from the
/// untagged network; a statically addressed one hears routers only if asked to.
fn quiet(unit: &mut Unit, link: &Link) {
    if link.role != Role::Addressed {
        unit.set("LinkLocalAddressing", "no");
    }
    if link.layer3.accept_ra.is_none() {
        unit.set("IPv6AcceptRA", "no");
    }
}

fn layer3(unit: &mut Unit, layer3: &Layer3) {
    unit.set_some("IPv6AcceptRA", layer3.accept_ra.map(|accept| if accept { "yes" } else { "no" }));
    if layer3.dhcp4 {
        unit.set("DHCP", "ipv4");
    }
    unit.set_some("Gateway", layer3.gateway);
    if !layer3.domains.is_empty() {
        unit.set("Domains", layer3.domains.join(" "));
    }
    for server in &layer3.dns {
        unit.set("DNS", server);
    }
    if layer3.dns_over_tls {
        unit.set("DNSOverTLS", "true");
    }
    for server in &layer3.ntp {
        unit.set("NTP", server);
    }
}
