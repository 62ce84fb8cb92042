//! What every kind of link of a profile may say about itself. Pure.

use serde::{Deserialize, Serialize};

/// Whether a value is the one that is left out of the site file.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is taken from DHCP or from router advertisements besides addresses (netplan's overrides).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether IPv4 is asked from DHCP.
    pub dhcp4: bool,
    /// Whether router advertisements are heard, where the profile says so.
    pub accept_ra: Option<bool>,
    /// Whether the subnet's gateway becomes the default route.
    pub default_route: bool,
    /// Whether the host counts as online without this link.
    pub optional: bool,
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
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// The subnet whose address, gateway, resolvers and MTU the link gets. Where links
            /// that stand on each other name one subnet, the topmost bears the address.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub subnet: Option<String>,
            /// The MTU in bytes, where it is not the subnet's, or the largest of what stands on it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub mtu: Option<u32>,
            /// Ask DHCP for the IPv4 address instead of writing it down.
            #[serde(default, alias = "dhcp", skip_serializing_if = "crate::model::link::is_default")]
            pub dhcp4: bool,
            /// Hear router advertisements (IPv6 by SLAAC).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub accept_ra: Option<bool>,
            /// Whether the subnet's gateway becomes the default route; it does unless told otherwise.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub default_route: Option<bool>,
            /// Whether the host counts as online without this link.
            #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
            pub optional: bool,
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
                    dhcp4: self.dhcp4,
                    accept_ra: self.accept_ra,
                    default_route: self.default_route.unwrap_or(true),
                    optional: self.optional,
                    dhcp4_overrides: self.dhcp4_overrides,
                    dhcp6_overrides: self.dhcp6_overrides,
                    ra_overrides: self.ra_overrides,
                }
            }
        }
    };
}

pub(crate) use link_spec;
