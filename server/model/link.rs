//! What every kind of link of a profile may say about itself. Pure.

use serde::{Deserialize, Serialize};

use super::words::{switch_words, words};
use super::{AddressScope, CpuList, HostNumber, LinkMac, RouteSpec, RuleSpec, SharedAddress};

words! {
    /// An IP version.
    Family {
        /// IPv4.
        Ipv4 = "ipv4",
        /// IPv6.
        Ipv6 = "ipv6",
    }
}

switch_words! {
    /// How far LLDP announces the host (IEEE 802.1AB section 7.1).
    EmitLldp {
        /// Not at all.
        No,
        /// To the switch that it is plugged into.
        Yes = "nearest-bridge",
        /// To the nearest bridge that is more than a relay of two ports.
        NonTpmr = "non-tpmr-bridge",
        /// To the nearest bridge of its own network, through a provider's.
        Customer = "customer-bridge",
    }
}

switch_words! {
    /// Which announcements of neighbours are kept.
    ReceiveLldp {
        /// None.
        No,
        /// All.
        Yes = "all",
        /// Those of routers and switches.
        Routers = "routers-only",
    }
}

words! {
    /// When a link is brought up, where that is not at boot.
    ActivationMode {
        /// When somebody brings it up.
        Manual = "manual",
        /// Never: it is taken down whenever it is up.
        Off = "off",
    }
}

words! {
    /// How far a link must have come before the host counts as online.
    OnlineState {
        /// It has a carrier.
        Carrier = "carrier",
        /// It has a carrier, and of a bond or bridge some member may lack one.
        DegradedCarrier = "degraded-carrier",
        /// It has a link-local address.
        Degraded = "degraded",
        /// It has an address that others reach.
        Routable = "routable",
    }
}

words! {
    /// The families of which a link must have an address before the host counts as online.
    OnlineFamily {
        /// One of the two.
        Any = "any",
        /// IPv4.
        Ipv4 = "ipv4",
        /// IPv6.
        Ipv6 = "ipv6",
        /// Both.
        Both = "both",
    }
}

/// Whether a value is the one that is left out of the site file.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is taken from DHCP or from router advertisements besides addresses (netplan's overrides).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Overrides {
    /// Whether announced resolvers are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_dns: Option<bool>,
    /// Whether announced search domains are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_domains: Option<bool>,
    /// Whether announced time servers are used. Not for router advertisements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_ntp: Option<bool>,
    /// Whether announced routes are used. Not for DHCPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_routes: Option<bool>,
    /// The metric of announced routes. Not for DHCPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_metric: Option<u32>,
}

/// The settings that links of every kind share, borrowed from one link of a profile.
#[derive(Clone, Copy, Debug)]
pub struct LinkSettings<'a> {
    /// The subnet that the link carries.
    pub subnet: Option<&'a str>,
    /// The MTU in bytes, where the profile says one.
    pub mtu: Option<u32>,
    /// The IPv6 subnet beside it.
    pub subnet6: Option<&'a str>,
    /// The number of its address in `subnet`, where the profile computes it.
    pub host_number: Option<&'a HostNumber>,
    /// The number of its address in `subnet6`, where the profile computes it.
    pub host_number6: Option<&'a HostNumber>,
    /// The number in `subnet` of the only other end that the link leads to.
    pub peer_number: Option<&'a HostNumber>,
    /// The number in `subnet6` of that other end.
    pub peer_number6: Option<&'a HostNumber>,
    /// Where its own IPv4 address is valid, where the profile says so.
    pub address_scope: Option<AddressScope>,
    /// Whether IPv4 is asked from DHCP.
    pub dhcp4: bool,
    /// Whether IPv6 is asked from DHCP.
    pub dhcp6: bool,
    /// The families that get a link-local address, where the profile says so.
    pub link_local: Option<&'a [Family]>,
    /// Whether router advertisements are heard, where the profile says so.
    pub accept_ra: Option<bool>,
    /// Whether the subnet's gateway becomes the default route.
    pub default_route: bool,
    /// The table that the link's own routes go to, with rules that lead there.
    pub table: Option<u32>,
    /// The firewall mark of packets that leave by this link.
    pub mark: Option<u32>,
    /// The processors whose new connections leave by this link.
    pub cpus: &'a CpuList,
    /// Addresses that every host of the profile bears.
    pub addresses: &'a [SharedAddress],
    /// Routes beside those of the subnet.
    pub routes: &'a [RouteSpec],
    /// Rules beside those of the table.
    pub rules: &'a [RuleSpec],
    /// The MAC that the link is given, or who chooses it.
    pub mac: Option<LinkMac>,
    /// Whether LLDP announces the host to its switch.
    pub emit_lldp: EmitLldp,
    /// Which announcements of neighbours are kept, where the profile says so.
    pub lldp: Option<ReceiveLldp>,
    /// The largest TCP segment that is announced over the subnet's default route, in bytes.
    pub advertised_mss: Option<u32>,
    /// Rules whose warnings about the link are silenced.
    pub allow: &'a [String],
    /// Search domains, and routing domains with a `~`, beside the subnet's.
    pub domains: &'a [String],
    /// Whether its addresses and routes are set before it has a carrier.
    pub ignore_carrier: bool,
    /// Whether its addresses and routes outlive networkd: the root is reached by it.
    pub critical: bool,
    /// Whether the host counts as online without this link.
    pub optional: bool,
    /// Whether its written IPv4 addresses are probed before they are used.
    pub duplicate_detection: bool,
    /// When it is brought up, where that is not at boot.
    pub activation_mode: Option<ActivationMode>,
    /// How far it must have come before the host counts as online.
    pub online_state: Option<OnlineState>,
    /// The families of which it must have an address before that.
    pub online_family: Option<OnlineFamily>,
    /// What it is for, in the operator's words.
    pub description: Option<&'a str>,
    /// The number of the kernel's group of links that it is in.
    pub group: Option<u32>,
    /// What is taken from DHCPv4.
    pub dhcp4_overrides: Overrides,
    /// What is taken from DHCPv6.
    pub dhcp6_overrides: Overrides,
    /// What is taken from router advertisements.
    pub ra_overrides: Overrides,
}

/// Defines one kind of link of a profile: its own keys and those that all links share.
///
/// A macro and no flattened struct: serde cannot refuse unknown keys of a flattened one.
macro_rules! link_spec {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// The subnet whose address, gateway, resolvers and MTU the link gets; `tenant/ROLE`
            /// for the one with that role of the host's tenant. Where links that stand on each
            /// other name one subnet, the topmost bears the address.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub subnet: Option<String>,
            /// The MTU in bytes, where it is not the subnet's, or the largest of what stands on it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub mtu: Option<u32>,
            /// The IPv6 subnet beside `subnet`. Its address stands under `LINK/SUBNET` in the
            /// host's addresses.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub subnet6: Option<String>,
            /// The number of the address within `subnet`, such as `=index + 10`. An address that
            /// the host is given goes before it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub host_number: Option<crate::model::HostNumber>,
            /// The number of the address within `subnet6`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub host_number6: Option<crate::model::HostNumber>,
            /// The number within `subnet` of the one other end that the link leads to, such as
            /// the router's. The rest of the subnet is then not on the link.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub peer_number: Option<crate::model::HostNumber>,
            /// The number within `subnet6` of that other end.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub peer_number6: Option<crate::model::HostNumber>,
            /// Where the link's own IPv4 address is valid: `global` unless told otherwise.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub address_scope: Option<crate::model::AddressScope>,
            /// Ask DHCP for the IPv4 address instead of writing it down.
            #[serde(default, alias = "dhcp", skip_serializing_if = "crate::model::link::is_default")]
            pub dhcp4: bool,
            /// Ask DHCP for an IPv6 address.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            pub dhcp6: bool,
            /// The families that get a link-local address.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub link_local: Option<Vec<crate::model::link::Family>>,
            /// Hear router advertisements (IPv6 by SLAAC).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub accept_ra: Option<bool>,
            /// Whether the subnet's gateway becomes the default route of the main table. It does
            /// unless told otherwise, or the link has a `table`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub default_route: Option<bool>,
            /// A routing table of the link's own: its subnet's routes go there, and what comes
            /// from its address leaves by it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub table: Option<u32>,
            /// The firewall mark of packets that are looked up in `table`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub mark: Option<u32>,
            /// Processors, such as `0-55,112-167`, whose new connections leave by this link and
            /// from its address, by rules of nftables. It needs a `table` and a `mark`.
            #[serde(default, skip_serializing_if = "crate::model::CpuList::is_empty")]
            pub cpus: crate::model::CpuList,
            /// Addresses that every host of the profile bears.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub addresses: Vec<crate::model::SharedAddress>,
            /// Routes beside those of the subnet.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub routes: Vec<crate::model::RouteSpec>,
            /// Policy rules beside those of the table.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub routing_policy: Vec<crate::model::RuleSpec>,
            /// The MAC that the link is given; or who chooses it: `inherit` for that of the
            /// first NIC below it, `none` for the kernel's choice, `persistent` for networkd's.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub macaddress: Option<crate::model::LinkMac>,
            /// Whether, and how far, LLDP announces the host.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            pub emit_lldp: crate::model::link::EmitLldp,
            /// Which announcements of neighbours are kept.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub lldp: Option<crate::model::link::ReceiveLldp>,
            /// The largest TCP segment that is announced over the subnet's default route, in
            /// bytes: where packets larger than that are lost on the way.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub advertised_mss: Option<u32>,
            /// Rules, such as `N131`, whose warnings about the link are silenced.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub allow: Vec<String>,
            /// Search domains beside the subnet's. One with `~` before it is a routing domain:
            /// its names are asked of this link's resolvers, and it is not searched.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub domains: Vec<String>,
            /// Set addresses and routes before the link has a carrier.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            pub ignore_carrier: bool,
            /// Keep addresses and routes whatever becomes of networkd: for the link by which
            /// the host reaches its root file system.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            pub critical: bool,
            /// Whether the host counts as online without this link.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            pub optional: bool,
            /// Probe the written IPv4 addresses of the host's own by ARP before they are used
            /// (RFC 5227): one that another host bears is left off.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            pub duplicate_detection: bool,
            /// When the link is brought up, where that is not at boot.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub activation_mode: Option<crate::model::link::ActivationMode>,
            /// How far the link must have come before the host counts as online, where that is
            /// not what its kind asks for.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub online_state: Option<crate::model::link::OnlineState>,
            /// The families of which the link must have an address before the host counts as online.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub online_family: Option<crate::model::link::OnlineFamily>,
            /// What the link is for, in the operator's words.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub description: Option<crate::model::Caption>,
            /// The number of the kernel's group of links that it is in (`ip link set group`).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub group: Option<u32>,
            /// What is taken from DHCPv4 besides the address.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            pub dhcp4_overrides: crate::model::link::Overrides,
            /// What is taken from DHCPv6 besides the address.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            pub dhcp6_overrides: crate::model::link::Overrides,
            /// What is taken from router advertisements besides the address.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            pub ra_overrides: crate::model::link::Overrides,
        }

        impl $name {
            /// The settings that links of every kind share.
            pub fn settings(&self) -> crate::model::link::LinkSettings<'_> {
                crate::model::link::LinkSettings {
                    subnet: self.subnet.as_deref(),
                    mtu: self.mtu,
                    subnet6: self.subnet6.as_deref(),
                    host_number: self.host_number.as_ref(),
                    host_number6: self.host_number6.as_ref(),
                    peer_number: self.peer_number.as_ref(),
                    peer_number6: self.peer_number6.as_ref(),
                    address_scope: self.address_scope,
                    dhcp4: self.dhcp4,
                    dhcp6: self.dhcp6,
                    link_local: self.link_local.as_deref(),
                    accept_ra: self.accept_ra,
                    default_route: self.default_route.unwrap_or(self.table.is_none()),
                    table: self.table,
                    mark: self.mark,
                    cpus: &self.cpus,
                    addresses: &self.addresses,
                    routes: &self.routes,
                    rules: &self.routing_policy,
                    mac: self.macaddress,
                    emit_lldp: self.emit_lldp,
                    lldp: self.lldp,
                    advertised_mss: self.advertised_mss,
                    allow: &self.allow,
                    domains: &self.domains,
                    ignore_carrier: self.ignore_carrier,
                    critical: self.critical,
                    optional: self.optional,
                    duplicate_detection: self.duplicate_detection,
                    activation_mode: self.activation_mode,
                    online_state: self.online_state,
                    online_family: self.online_family,
                    description: self.description.as_ref().map(crate::model::Caption::as_str),
                    group: self.group,
                    dhcp4_overrides: self.dhcp4_overrides,
                    dhcp6_overrides: self.dhcp6_overrides,
                    ra_overrides: self.ra_overrides,
                }
            }
        }
    };
}

pub(crate) use link_spec;
