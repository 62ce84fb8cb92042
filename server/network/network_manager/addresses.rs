//! `[ipv4]` and `[ipv6]` of a keyfile: where addresses come from, and resolvers. Pure.

use std::net::IpAddr;

use super::Keyfile;
use crate::model::{
    AddressGeneration, Defaults, DhcpIdentifier, DnsServer, DuidType, Family, Ipv6Privacy,
    Ipv6Token, Overrides,
};
use crate::network::links::Kind;

/// Where the addresses of one family come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// DHCP; for IPv6 router advertisements, and DHCP where they say so.
    Auto,
    /// DHCPv6 without router advertisements.
    Dhcp,
    /// Written down.
    Manual,
    /// Only those of the link itself.
    LinkLocal,
    /// There are none.
    Disabled,
}

impl Method {
    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dhcp => "dhcp",
            Self::Manual => "manual",
            Self::LinkLocal => "link-local",
            Self::Disabled => "disabled",
        }
    }

    fn is_learned(self) -> bool {
        matches!(self, Self::Auto | Self::Dhcp)
    }
}

impl Keyfile<'_> {
    pub(super) fn addresses(&mut self) {
        let methods = [(Family::Ipv4, self.method4()), (Family::Ipv6, self.method6())];
        let searches = methods.iter().find(|(_, method)| *method != Method::Disabled);
        let searches = searches.map(|(family, _)| *family);
        let domains = &self.link.layer3.domains;
        self.lose(searches.is_none() && !domains.is_empty(), "search domains without an address");
        for (family, method) in methods {
            self.unit.section(family.label());
            self.unit.set("method", method.word());
            self.written(family, method);
            self.learned(family, method);
            self.resolvers(family, method);
            if searches == Some(family) && !domains.is_empty() {
                self.unit.set("dns-search", list(domains));
            }
            self.routes(family, method.is_learned());
        }
    }

    fn method4(&self) -> Method {
        let local = self.link_local(Family::Ipv4);
        match (self.link.settings.dhcp4, self.has_addresses(Family::Ipv4)) {
            (true, _) => Method::Auto,
            (_, true) => Method::Manual,
            // It has 127.0.0.1 and ::1 by itself, and knows no other word for that.
            _ if self.link.kind == Kind::Loopback => Method::Auto,
            _ if local => Method::LinkLocal,
            _ => Method::Disabled,
        }
    }

    fn method6(&mut self) -> Method {
        if self.link.kind == Kind::Loopback {
            let written = self.has_addresses(Family::Ipv6);
            return if written { Method::Manual } else { Method::Auto };
        }
        let local = self.link_local(Family::Ipv6);
        // networkd hears routers where there is a link-local address, unless told otherwise.
        let hears = self.host.accept_ra(self.link).unwrap_or(local);
        let has_addresses = self.has_addresses(Family::Ipv6);
        let learns = hears || self.link.settings.dhcp6;
        self.lose(!local && (learns || has_addresses), "IPv6 without a link-local address");
        match (hears, self.link.settings.dhcp6, has_addresses) {
            (true, ..) => Method::Auto,
            (_, true, _) => Method::Dhcp,
            (.., true) => Method::Manual,
            _ if local => Method::LinkLocal,
            _ => Method::Disabled,
        }
    }

    /// Whether the link has a link-local address of the family; without a word it is as with
    /// networkd: IPv6 alone.
    fn link_local(&self, family: Family) -> bool {
        let families = self.host.link_local(self.link);
        families.map_or(family == Family::Ipv6, |families| families.contains(&family))
    }

    fn has_addresses(&self, family: Family) -> bool {
        self.link.all_addresses().any(|net| is_of(net.addr(), family))
    }

    /// Addresses that are written down, and the default router.
    fn written(&mut self, family: Family, method: Method) {
        let addresses = self.link.all_addresses().filter(|net| is_of(net.addr(), family));
        for (index, address) in addresses.enumerate() {
            self.unit.set(&format!("address{}", index + 1), address);
        }
        let gateway = self.link.layer3.gateways.iter().find(|gateway| is_of(**gateway, family));
        self.unit.set_some("gateway", gateway);
        let router_alone = matches!(method, Method::LinkLocal | Method::Disabled);
        self.lose(router_alone && gateway.is_some(), "a router without an address");
        if method == Method::Manual {
            // Its own default differs between kinds of links: 100 on a NIC, 425 on a bridge.
            self.unit.set("route-metric", 0);
        }
        // It does not put the routes of a link into the table of its VRF by itself.
        self.unit.set_some("route-table", self.host.domain(self.link));
        let beside = method != Method::LinkLocal && method != Method::Disabled;
        if family == Family::Ipv4 && beside && self.link_local(family) {
            // Enabled, beside the others.
            self.unit.set("link-local", 3);
        }
    }

    /// What is asked of DHCP and of routers, and what is taken from them.
    fn learned(&mut self, family: Family, method: Method) {
        let settings = &self.link.settings;
        let (asked, ra) = match family {
            Family::Ipv4 => (settings.dhcp4_overrides, Overrides::default()),
            Family::Ipv6 => (settings.dhcp6_overrides, settings.ra_overrides),
        };
        if self.link.kind == Kind::Loopback {
            let hears = family == Family::Ipv6 && (settings.dhcp6 || settings.accept_ra.is_some());
            self.losses.client(self.link);
            self.lose(hears || [asked, ra] != [Overrides::default(); 2], "DHCP on the loopback");
            return;
        }
        if !method.is_learned() {
            if family == Family::Ipv6 {
                let settings = &self.link.settings;
                let made = settings.ipv6_address_generation.is_some();
                self.lose(made, "ipv6-address-generation without SLAAC");
            }
            return;
        }
        if family == Family::Ipv4 && self.host.defaults == Defaults::Safe {
            // The server knows the host by its MAC from the ROM on.
            let identifier = settings.dhcp_identifier.unwrap_or(DhcpIdentifier::Mac);
            self.unit.set("dhcp-client-id", identifier);
        } else if family == Family::Ipv4 {
            self.unit.set_some("dhcp-client-id", settings.dhcp_identifier);
        }
        let settings = &self.link.settings;
        self.lose(settings.duid.is_some() && !settings.dhcp6, "duid of DHCPv4 alone");
        if family == Family::Ipv4 {
            self.unit.set_some("dhcp-vendor-class-identifier", settings.vendor_class.as_ref());
        }
        if family == Family::Ipv6 {
            self.slaac();
        }
        let both = family == Family::Ipv6 && method == Method::Auto && settings.dhcp6;
        self.lose(both && asked.use_dns != ra.use_dns, "use-dns of DHCPv6 and of routers apart");
        let all = [asked, ra];
        let any = |value: fn(&Overrides) -> bool| all.iter().any(value);
        if let Some(tells) = asked.send_hostname {
            self.unit.set("dhcp-send-hostname", tells);
        }
        self.lose(any(|one| one.use_mtu.is_some()), "use-mtu");
        self.lose(any(|one| one.use_hostname.is_some()), "use-hostname");
        self.lose(any(|one| one.use_addresses.is_some()), "use-addresses");
        self.lose(any(|one| one.use_ntp.is_some()), "use-ntp");
        self.lose(any(|one| one.use_domains == Some(false)), "use-domains: false");
        let metric = all.iter().find_map(|one| one.route_metric);
        self.unit.set_some("route-metric", metric);
        if any(|one| one.use_dns == Some(false)) {
            self.unit.set("ignore-auto-dns", true);
        }
        if any(|one| one.use_routes == Some(false)) {
            self.unit.set("ignore-auto-routes", true);
            self.unit.set("never-default", true);
        }
    }

    /// How IPv6 addresses are made. It makes the link-local one and the others in one way.
    fn slaac(&mut self) {
        let settings = &self.link.settings;
        let stable = AddressGeneration::StablePrivacy;
        let is_stable = settings.ipv6_address_generation == Some(stable);
        let of_prefix = settings.ipv6_token == Some(Ipv6Token::Stable);
        let other = settings.ipv6_address_generation;
        let other = matches!(other, Some(AddressGeneration::Random | AddressGeneration::None));
        self.lose(other, "ipv6-address-generation: random or none");
        self.lose(is_stable != of_prefix, "stable addresses of the link or of prefixes alone");
        self.unit.set("addr-gen-mode", if is_stable { "stable-privacy" } else { "eui64" });
        let privacy = match settings.ipv6_privacy {
            None | Some(Ipv6Privacy::No) => 0,
            Some(Ipv6Privacy::PreferPublic) => 1,
            Some(Ipv6Privacy::Yes) => 2,
        };
        self.unit.set("ip6-privacy", privacy);
        let token = settings.ipv6_token.filter(|token| *token != Ipv6Token::Stable);
        self.unit.set_some("token", token);
        let duid = settings.duid.map(|kind| match kind {
            DuidType::LinkLayer => "ll",
            DuidType::LinkLayerTime => "llt",
            DuidType::Uuid => "uuid",
            DuidType::Vendor => "vendor",
        });
        self.lose(duid == Some("vendor"), "duid: vendor");
        self.unit.set_some("dhcp-duid", duid.filter(|_| settings.dhcp6));
        self.lose(settings.dhcp6 && settings.vendor_class.is_some(), "vendor-class of DHCPv6");
    }

    fn resolvers(&mut self, family: Family, method: Method) {
        let of_family = |dns: &&DnsServer| is_of(dns.address, family);
        let servers: Vec<&DnsServer> = self.link.layer3.dns.iter().filter(of_family).collect();
        if servers.is_empty() {
            return;
        }
        let feature = format!("{family} resolvers without an {family} address");
        self.lose(method == Method::Disabled, &feature);
        self.unit.set("dns", list(servers));
    }
}

/// Whether an address is of the family.
pub(super) fn is_of(address: IpAddr, family: Family) -> bool {
    address.is_ipv4() == (family == Family::Ipv4)
}

/// A list of a keyfile: each item ends with a semicolon.
fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    items.into_iter().map(|item| item.to_string() + ";").collect()
}
