//! The parts of a `.network` file above Ethernet: addresses, routes, rules, resolvers. Pure.

use ipnet::IpNet;

use crate::model::{
    Defaults, Destination, DhcpIdentifier, DnsOverTls, Family, Ipv6Token, LinkSettings, Overrides,
    RouteKind, RouteSpec, RuleSpec, RuleVerdict,
};
use crate::network::links::{HostNetwork, Link};
use crate::network::unit::Unit;

/// `[DHCPv4]`, `[DHCPv6]` and `[IPv6AcceptRA]`: what is taken from the wire.
pub(super) fn learned(unit: &mut Unit, host: &HostNetwork, settings: &LinkSettings) {
    unit.section("DHCPv4");
    if host.defaults == Defaults::Safe && settings.dhcp4 {
        // The server knows the host by its MAC from the ROM on; a DUID would be a stranger.
        let identifier = settings.dhcp_identifier.unwrap_or(DhcpIdentifier::Mac);
        unit.set("ClientIdentifier", identifier);
    } else {
        unit.set_some("ClientIdentifier", settings.dhcp_identifier);
    }
    if settings.dhcp_identifier == Some(DhcpIdentifier::Duid) {
        unit.set_some("DUIDType", settings.duid);
    }
    unit.set_some(
        "VendorClassIdentifier",
        settings.vendor_class.as_ref().filter(|_| settings.dhcp4),
    );
    overrides(unit, &settings.dhcp4_overrides);
    unit.section("DHCPv6");
    unit.set_some("DUIDType", settings.duid.filter(|_| settings.dhcp6));
    unit.set_some("VendorClass", settings.vendor_class.as_ref().filter(|_| settings.dhcp6));
    overrides(unit, &settings.dhcp6_overrides);
    unit.section("IPv6AcceptRA");
    if host.systemd >= TOKEN_OF_RA {
        unit.set_some("Token", settings.ipv6_token.map(token));
    }
    unit.set_yes("UseAutonomousPrefix", settings.ra_overrides.use_addresses);
    unit.set_yes("UseGateway", settings.ra_overrides.use_routes);
    unit.set_yes("UseRoutePrefix", settings.ra_overrides.use_routes);
    overrides(unit, &Overrides { use_routes: None, ..settings.ra_overrides });
}

/// Since when the token stands in `[IPv6AcceptRA]`.
const TOKEN_OF_RA: u16 = 250;

fn token(token: Ipv6Token) -> String {
    match token {
        Ipv6Token::Stable => "prefixstable".to_owned(),
        given => given.to_string(),
    }
}

fn overrides(unit: &mut Unit, overrides: &Overrides) {
    unit.set_some("UseDNS", overrides.use_dns);
    unit.set_some("UseDomains", overrides.use_domains);
    unit.set_some("UseNTP", overrides.use_ntp);
    unit.set_some("UseMTU", overrides.use_mtu);
    unit.set_some("UseHostname", overrides.use_hostname);
    unit.set_some("SendHostname", overrides.send_hostname);
    unit.set_some("UseRoutes", overrides.use_routes);
    unit.set_some("RouteMetric", overrides.route_metric);
}

/// The keys of `[Network]`.
pub(super) fn network(unit: &mut Unit, host: &HostNetwork, link: &Link) {
    let (layer3, settings) = (&link.layer3, &link.settings);
    unit.set_some("LinkLocalAddressing", host.link_local(link).map(link_local));
    unit.set_some("IPv6LinkLocalAddressGenerationMode", settings.ipv6_address_generation);
    unit.set_some("IPv6PrivacyExtensions", settings.ipv6_privacy);
    unit.set_yes("IPv6AcceptRA", host.accept_ra(link));
    if host.systemd < TOKEN_OF_RA {
        unit.set_some("IPv6Token", settings.ipv6_token.map(token));
    }
    match (settings.dhcp4, settings.dhcp6) {
        (true, true) => unit.set("DHCP", "yes"),
        (true, false) => unit.set("DHCP", "ipv4"),
        (false, true) => unit.set("DHCP", "ipv6"),
        (false, false) => {}
    }
    for gateway in &layer3.gateways {
        unit.set("Gateway", gateway);
    }
    if !layer3.domains.is_empty() {
        unit.set("Domains", layer3.domains.join(" "));
    }
    for server in &layer3.dns {
        unit.set("DNS", server);
    }
    match layer3.dns_over_tls {
        DnsOverTls::No => {}
        DnsOverTls::Yes => unit.set("DNSOverTLS", "true"),
        DnsOverTls::Opportunistic => unit.set("DNSOverTLS", "opportunistic"),
    }
    unit.set_some("DNSSEC", layer3.dnssec);
    for server in &layer3.ntp {
        unit.set("NTP", server);
    }
}

fn link_local(families: &[Family]) -> &'static str {
    match (families.contains(&Family::Ipv4), families.contains(&Family::Ipv6)) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    }
}

/// `[Address]`, `[Route]` and `[RoutingPolicyRule]`.
pub(super) fn written(unit: &mut Unit, host: &HostNetwork, link: &Link) {
    for written in link.written() {
        unit.section("Address");
        unit.set("Address", written.address);
        // With the length of one address: networkd takes the last length for both.
        unit.set_some("Peer", written.peer.map(IpNet::from));
        unit.set_some("Scope", written.scope);
        // One that several hosts have would be taken for a duplicate.
        let own = written.is_own && written.address.addr().is_ipv4();
        let probed = own && link.settings.duplicate_detection;
        unit.set_some("DuplicateAddressDetection", probed.then_some("ipv4"));
        unit.set_some("RouteMetric", link.settings.metric);
    }
    for neighbor in &link.settings.neighbors {
        unit.section("Neighbor");
        unit.set("Address", neighbor.address);
        unit.set("LinkLayerAddress", neighbor.macaddress);
    }
    for entry in &link.settings.forwarding {
        unit.section("BridgeFDB");
        unit.set("MACAddress", entry.macaddress);
        unit.set_some("Destination", entry.destination);
        unit.set_some("VLANId", entry.vlan);
        // The table of the bridge that the port is in; a VXLAN has one of its own.
        let is_port = host.owner(link).is_some() && entry.destination.is_none();
        unit.set_some("AssociatedWith", is_port.then_some("master"));
    }
    for written in &link.layer3.routes {
        route(unit, host, written);
    }
    for written in &link.layer3.rules {
        rule(unit, host, written);
    }
}

fn route(unit: &mut Unit, host: &HostNetwork, route: &RouteSpec) {
    unit.section("Route");
    if let Destination::Net(net) = route.to {
        unit.set("Destination", net);
    }
    unit.set_some("Gateway", route.via);
    for hop in &route.next_hops {
        let device = hop.link.as_ref().map(|link| format!("@{}", host.device(link)));
        let weight = hop.weight.map(|weight| format!(" {weight}")).unwrap_or_default();
        unit.set("MultiPathRoute", format!("{}{}{weight}", hop.via, device.unwrap_or_default()));
    }
    unit.set_yes("GatewayOnLink", route.on_link.then_some(true));
    if route.kind != RouteKind::default() {
        unit.set("Type", route.kind);
    } else if route.via.is_none()
        && route.next_hops.is_empty()
        && matches!(route.to, Destination::Net(IpNet::V4(_)))
    {
        // IPv6 has no scopes of routes.
        unit.set("Scope", "link");
    }
    unit.set_some("PreferredSource", route.from);
    unit.set_some("Metric", route.metric);
    // By number: names need an entry in networkd.conf.
    unit.set_some("Table", route.table);
    unit.set_some("MTUBytes", route.mtu);
    unit.set_some("TCPAdvertisedMaximumSegmentSize", route.advertised_mss);
    unit.set_some("InitialCongestionWindow", route.congestion_window);
}

fn rule(unit: &mut Unit, host: &HostNetwork, rule: &RuleSpec) {
    unit.section("RoutingPolicyRule");
    if rule.family() == Family::Ipv6 && rule.from.or(rule.to).is_none() {
        unit.set("Family", "ipv6");
    }
    unit.set_some("From", rule.from);
    unit.set_some("To", rule.to);
    let mask = rule.mask.map(|mask| format!("/{mask}")).unwrap_or_default();
    unit.set_some("FirewallMark", rule.mark.map(|mark| format!("{mark}{mask}")));
    let device = |name: &Option<String>| name.as_ref().map(|name| host.device(name).to_owned());
    unit.set_some("IncomingInterface", device(&rule.incoming_interface));
    unit.set_some("OutgoingInterface", device(&rule.outgoing_interface));
    unit.set_some("TypeOfService", rule.tos);
    unit.set_some("User", rule.users);
    unit.set_some("IPProtocol", rule.protocol);
    unit.set_some("SourcePort", rule.source_port);
    unit.set_some("DestinationPort", rule.destination_port);
    unit.set_yes("InvertRule", rule.invert.then_some(true));
    unit.set_some("SuppressPrefixLength", rule.suppress_prefix_length);
    match rule.verdict {
        RuleVerdict::Table => unit.set("Table", rule.table),
        verdict => unit.set("Type", verdict),
    }
    unit.set("Priority", rule.priority);
}
