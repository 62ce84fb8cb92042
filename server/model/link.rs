//! What every kind of link of a profile may say about itself. Pure.

use serde::{Deserialize, Serialize};

use super::MacPolicy;
use super::words::{switch_words, words};

words! {
    /// An IP version.
    pub Family {
        /// IPv4.
        Ipv4 = "ipv4",
        /// IPv6.
        Ipv6 = "ipv6",
    }
}

switch_words! {
    /// How far LLDP announces the host (IEEE 802.1AB section 7.1).
    pub EmitLldp {
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
    pub ReceiveLldp {
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
    pub ActivationMode {
        /// When somebody brings it up.
        Manual = "manual",
        /// Never: it is taken down whenever it is up.
        Off = "off",
    }
}

words! {
    /// How far a link must have come before the host counts as online.
    pub OnlineState {
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
    pub OnlineFamily {
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

words! {
    /// How packets wait to be sent.
    pub Qdisc {
        /// Each flow in turn, at its own pace.
        Fq = "fq",
        /// Each flow in turn, and what waits too long is dropped.
        FqCodel = "fq-codel",
        /// The same, with a shaper.
        Cake = "cake",
        /// As they come, up to a number of packets.
        Pfifo = "pfifo",
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
    /// Whether the announced MTU is used. Not for DHCPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_mtu: Option<bool>,
    /// Whether the host takes the announced name. Not for router advertisements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_hostname: Option<bool>,
    /// Whether the host tells its name. Not for router advertisements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_hostname: Option<bool>,
    /// Whether addresses are made of announced prefixes. With `false` the link has its written
    /// address, and router and resolvers of the advertisements. For router advertisements alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_addresses: Option<bool>,
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

/// A subnet that a link has beside its first ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MoreSubnet {
    /// The subnet, or `tenant/ROLE`. Its address stands under `LINK/SUBNET` in the host's addresses.
    pub subnet: String,
    /// The number of the address within it, such as `=index + 10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_number: Option<super::HostNumber>,
    /// A routing table of this address: what comes from it leaves by this subnet's gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// Whether the subnet's gateway becomes a default route of the main table. It does not unless
    /// told so.
    #[serde(default, skip_serializing_if = "is_default")]
    pub default_route: bool,
}

/// Calls a macro with the settings that links of every kind share appended, in brackets. This is
/// the one place that declares them.
macro_rules! with_link_settings {
    ($macro:path => $($args:tt)*) => {
        $macro! { $($args)* [
            /// The subnet whose address, gateway, resolvers and MTU the link gets; `tenant/ROLE`
            /// for the one with that role of the host's tenant. Where links that are built on each
            /// other name one subnet, the topmost has the address.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            subnet: Option<String>,
            /// The MTU in bytes, where it is not the subnet's, or the largest of those on top.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            mtu: Option<u32>,
            /// The IPv6 subnet beside `subnet`. Its address stands under `LINK/SUBNET` in the
            /// host's addresses.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            subnet6: Option<String>,
            /// The number of the address within `subnet`, such as `=index + 10`. An address that
            /// the host is given goes before it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            host_number: Option<crate::model::HostNumber>,
            /// The number of the address within `subnet6`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            host_number6: Option<crate::model::HostNumber>,
            /// The number within `subnet` of the one other end that the link leads to, such as
            /// the router's. The rest of the subnet is then not on the link.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            peer_number: Option<crate::model::HostNumber>,
            /// The number within `subnet6` of that other end.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            peer_number6: Option<crate::model::HostNumber>,
            /// Subnets beside `subnet` and `subnet6`, of either family.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            more_subnets: Vec<crate::model::MoreSubnet>,
            /// Where the link's own IPv4 address is valid: `global` unless told otherwise.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            address_scope: Option<crate::model::AddressScope>,
            /// Ask DHCP for the IPv4 address instead of writing it down.
            #[serde(default, alias = "dhcp", skip_serializing_if = "crate::model::link::is_default")]
            dhcp4: bool,
            /// Ask DHCP for an IPv6 address.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            dhcp6: bool,
            /// The families that get a link-local address.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            link_local: Option<Vec<crate::model::link::Family>>,
            /// Hear router advertisements (IPv6 by SLAAC).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            accept_ra: Option<bool>,
            /// The half of addresses by SLAAC that the host chooses: the last 64 bits, such as
            /// `::53`, or `stable` for one made of the prefix and a secret; the MAC's where none
            /// is given.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            ipv6_token: Option<crate::model::Ipv6Token>,
            /// Whether there are addresses by SLAAC that change (RFC 8981).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            ipv6_privacy: Option<crate::model::Ipv6Privacy>,
            /// How the IPv6 link-local address is made.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            ipv6_address_generation: Option<crate::model::AddressGeneration>,
            /// What the host calls itself to a DHCPv4 server: its `mac` unless told otherwise.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            dhcp_identifier: Option<crate::model::DhcpIdentifier>,
            /// The kind of DUID that the host has to DHCPv6 servers, and to DHCPv4 servers with
            /// `dhcp-identifier: duid`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            duid: Option<crate::model::DuidType>,
            /// The vendor class that the host tells DHCP servers (options 60 and, of DHCPv6, 16).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            vendor_class: Option<crate::model::Caption>,
            /// Whether the subnet's gateway becomes the default route of the main table. It does
            /// unless told otherwise, or the link has a `table`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            default_route: Option<bool>,
            /// A routing table of the link's own: its subnet's routes go there, and what comes
            /// from its address leaves by it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            table: Option<u32>,
            /// The firewall mark of packets that are looked up in `table`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            mark: Option<u32>,
            /// Processors, such as `0-55,112-167`, whose new connections leave by this link and
            /// from its address, by rules of nftables. It needs a `table` and a `mark`.
            #[serde(default, skip_serializing_if = "crate::model::CpuList::is_empty")]
            cpus: crate::model::CpuList,
            /// Users, such as `[1000, 2000-2999]`, whose new connections leave by this link and from
            /// its address. It needs a `table` and a `mark`, as `cpus` does.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            users: Vec<crate::model::NumberRange>,
            /// Slices of systemd, such as `gpu0.slice`, whose services' new connections leave by this
            /// link and from its address. It needs a `table` and a `mark`, as `cpus` does.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            slices: Vec<String>,
            /// The network namespace that the link is moved to, with its addresses and routes. The
            /// namespace is made at boot; of a NIC, VLAN, veth, MACVLAN or IPVLAN.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            namespace: Option<String>,
            /// MACs of multicast groups that the link takes packets for (`ip maddress`).
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            multicast_macs: Vec<crate::model::Mac>,
            /// How packets wait to be sent (tc(8)), where that is not `net.core.default_qdisc`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            qdisc: Option<crate::model::link::Qdisc>,
            /// The metric of the routes to the link's subnets and of the default routes by their
            /// gateways: the lower, the more they are preferred.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            metric: Option<u32>,
            /// Addresses that every host of the profile has.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            addresses: Vec<crate::model::SharedAddress>,
            /// Routes beside those of the subnet.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            routes: Vec<crate::model::RouteSpec>,
            /// Policy rules beside those of the table.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            routing_policy: Vec<crate::model::RuleSpec>,
            /// Neighbours whose MACs are written down, in place of asking for them.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            neighbors: Vec<crate::model::StaticNeighbor>,
            /// Where what is for a MAC is sent, in place of learning it: of a VXLAN, or of a port of
            /// a bridge.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            forwarding: Vec<crate::model::StaticMac>,
            /// The MAC that the link is given; or who chooses it: `inherit` for that of the
            /// first NIC below it, `none` for the kernel's choice, `persistent` for networkd's.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            macaddress: Option<crate::model::LinkMac>,
            /// Whether, and how far, LLDP announces the host.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            emit_lldp: crate::model::link::EmitLldp,
            /// Which announcements of neighbours are kept.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            lldp: Option<crate::model::link::ReceiveLldp>,
            /// The largest TCP segment that is announced over the subnet's default route, in
            /// bytes: where packets larger than that are lost on the way.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            advertised_mss: Option<u32>,
            /// Rules, such as `N131`, whose warnings about the link are silenced.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            allow: Vec<String>,
            /// Search domains beside the subnet's. One with `~` before it is a routing domain:
            /// its names are asked of this link's resolvers, and it is not searched.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            domains: Vec<String>,
            /// Set addresses and routes before the link has a carrier.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            ignore_carrier: bool,
            /// Keep addresses and routes whatever becomes of networkd: for the link by which
            /// the host reaches its root file system.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            critical: bool,
            /// Whether the host counts as online without this link.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            optional: bool,
            /// Probe the written IPv4 addresses of the host's own by ARP before they are used
            /// (RFC 5227): an address that another host has is not set.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            duplicate_detection: bool,
            /// When the link is brought up, where that is not at boot.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            activation_mode: Option<crate::model::link::ActivationMode>,
            /// How far the link must have come before the host counts as online, where that is
            /// not what its kind asks for.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            online_state: Option<crate::model::link::OnlineState>,
            /// The families of which the link must have an address before the host counts as online.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            online_family: Option<crate::model::link::OnlineFamily>,
            /// What the link is for, in the operator's words.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            description: Option<crate::model::Caption>,
            /// The number of the kernel's group of links that it is in (`ip link set group`).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            group: Option<u32>,
            /// What is taken from DHCPv4 besides the address.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            dhcp4_overrides: crate::model::link::Overrides,
            /// What is taken from DHCPv6 besides the address.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            dhcp6_overrides: crate::model::link::Overrides,
            /// What is taken from router advertisements besides the address.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            ra_overrides: crate::model::link::Overrides,
            /// Keys of its files that the model has no word for, passed on as they are. Nothing
            /// checks what they mean.
            #[serde(default, skip_serializing_if = "crate::model::LinkExtra::is_empty")]
            extra: crate::model::LinkExtra,
        ] }
    };
}

/// Defines [`LinkSettings`].
macro_rules! define_link_settings {
    ([$($(#[$meta:meta])* $field:ident: $type:ty,)*]) => {
        /// The settings that links of every kind share.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub struct LinkSettings {
            $($(#[$meta])* pub $field: $type,)*
        }
    };
}

with_link_settings! { define_link_settings => }

impl LinkSettings {
    /// The subnets that the link carries: `subnet`, then `subnet6`, then the others.
    pub fn subnets(&self) -> impl Iterator<Item = &str> {
        let more = self.more_subnets.iter().map(|more| &more.subnet);
        self.subnet.iter().chain(&self.subnet6).chain(more).map(String::as_str)
    }

    /// The same, to change.
    pub(super) fn subnets_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let more = self.more_subnets.iter_mut().map(|more| &mut more.subnet);
        self.subnet.iter_mut().chain(&mut self.subnet6).chain(more)
    }

    /// Whether a DHCP server or a router says the link's MTU.
    pub fn takes_mtu(&self) -> bool {
        let of_dhcp = self.dhcp4 && self.dhcp4_overrides.use_mtu == Some(true);
        of_dhcp || self.ra_overrides.use_mtu == Some(true)
    }

    /// Whether one of its addresses is computed.
    pub fn computes_address(&self) -> bool {
        let more = self.more_subnets.iter().map(|more| &more.host_number);
        more.chain([&self.host_number, &self.host_number6]).any(Option::is_some)
    }

    /// Whether addresses of the family that the link has are said by the wire.
    pub fn learns_addresses(&self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.dhcp4,
            Family::Ipv6 => {
                let makes = self.ra_overrides.use_addresses != Some(false);
                self.dhcp6 || (self.accept_ra == Some(true) && makes)
            }
        }
    }

    /// Whether the subnet's gateway becomes the default route of the main table. It does unless
    /// the profile says otherwise, or the link has a table of its own.
    pub fn sets_default_route(&self) -> bool {
        self.default_route.unwrap_or_else(|| self.table.is_none())
    }

    /// Who chooses the link's MAC, where the profile says so.
    pub fn mac_policy(&self) -> Option<MacPolicy> {
        self.macaddress?.policy()
    }
}

/// Defines one kind of link of a profile: its own keys, and those that all links share as
/// `settings`.
///
/// Reading goes through a struct with all keys in it, because serde can neither refuse unknown
/// keys of a flattened struct nor tell its reader the types of the values.
macro_rules! link_spec {
    ($($spec:tt)*) => {
        $crate::model::link::with_link_settings! { $crate::model::link::define_link_spec => $($spec)* }
    };
}

macro_rules! define_link_spec {
    (
        $(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? }
        [$($(#[$shared_meta:meta])* $shared:ident: $shared_type:ty,)*]
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// What links of every kind share.
            #[serde(flatten)]
            pub settings: $crate::model::link::LinkSettings,
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize, schemars::JsonSchema)]
                #[serde(deny_unknown_fields, rename_all = "kebab-case")]
                struct Keys {
                    $($(#[$field_meta])* $field: $type,)*
                    $($(#[$shared_meta])* $shared: $shared_type,)*
                }
                let Keys { $($field,)* $($shared,)* } = Keys::deserialize(deserializer)?;
                let settings = $crate::model::link::LinkSettings { $($shared,)* };
                Ok(Self { $($field,)* settings })
            }
        }
    };
}

pub(crate) use {define_link_spec, link_spec, with_link_settings};
