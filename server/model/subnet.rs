//! Subnets: what is true of everything that is plugged into one network.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::as_text::as_text;
use super::link::is_default;
use super::words::{switch_words, words};
use super::{DhcpOptions, InvalidDuration, Millis};

/// One IP network and the facts that nobody should type twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Subnet {
    /// The prefix, such as `172.16.160.0/24`.
    #[schemars(with = "super::schema::Prefix")]
    pub cidr: IpNet,
    /// The 802.1Q VLAN id that carries it, 1 to 4094; none when it is untagged everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Names of labels, to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What people should know of it, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The default router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The largest packet in bytes, 1500 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Resolvers, each `ADDRESS`, with `:PORT` behind it where that is not 53 (an IPv6 address
    /// then in brackets), and with `#NAME` for DNS over TLS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<DnsServer>,
    /// Whether resolvers are asked over TLS.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dns_over_tls: DnsOverTls,
    /// Whether their answers must be signed (DNSSEC), where that is not the resolver's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dnssec: Option<Dnssec>,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Time servers, addresses or names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp: Vec<String>,
    /// The tenant whose hosts alone may be put here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What it is for among its tenant's: a link of a profile that says `tenant/ROLE` means
    /// the one of its host's tenant. One without a tenant is for hosts that nobody has rented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Rules, such as `N152`, whose warnings about it are silenced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// The address of the provisioning server in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<IpAddr>,
    /// The rail that it is on: NICs of that rail, and no others, may have its addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rail: Option<u16>,
    /// The routing domain (VRF) of the fabric that it is in, where that is not the usual one. The
    /// same addresses, even the same prefix, may be used again in another; DHCP serves none that
    /// overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,
    /// How long a dynamic lease lasts, such as `1h`; an hour where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_time: Option<Millis>,
    /// When a client renews its lease (T1), such as `10m`; after half of it where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_time: Option<Millis>,
    /// When a client asks any server to extend its lease (T2); after seven eighths of it where
    /// none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebind_time: Option<Millis>,
    /// Addresses of relay agents whose clients are here although the addresses are not, such as
    /// the loopback of a switch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relay_addresses: Vec<Ipv4Addr>,
    /// Whether clients on this link may choose another subnet by option 118 (RFC 3011). Relays
    /// always may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub subnet_selection: bool,
    /// The TFTP server of boot files, where it is not this server (`siaddr`, option 66).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
    /// What a client that is in no inventory gets from DHCP.
    #[serde(default, skip_serializing_if = "UnknownClients::is_default")]
    pub unknown_clients: UnknownClients,
    /// What tells clients apart that are in no inventory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identify_by: IdentifyBy,
    /// The name of the link that several subnets share: a client there may get an address of
    /// any of them, those first that the packet speaks of, then the others by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_network: Option<String>,
    /// Whether an address is probed before a client gets it that has not had it before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub conflict_probe: ConflictProbe,
    /// Whether a client that asks for it gets its lease in two packets (RFC 4039). Only where
    /// no other DHCP server serves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rapid_commit: bool,
    /// For how many seconds a client must have asked (`secs`) before it is answered: for a
    /// server that stands by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_secs: Option<u16>,
    /// Whether BOOTP clients (RFC 951) get the address that their host owns, for ever.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bootp: bool,
    /// Boot files by the firmware's architecture, where they are not the usual ones, such as
    /// a signed chain for Secure Boot. A host's own goes before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"enum": FirmwareArch::ALL}))]
    pub boot_files: BTreeMap<FirmwareArch, String>,
    /// DHCP options beyond those that follow from the rest, by name or number.
    #[serde(default, skip_serializing_if = "DhcpOptions::is_empty")]
    pub dhcp_options: DhcpOptions,
    /// Parts of the prefix and what they are for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Range>,
}

impl Subnet {
    /// The resolvers that answer at the usual port: DHCP, and others that know addresses alone,
    /// can name no other.
    pub fn usual_resolvers(&self) -> impl Iterator<Item = IpAddr> {
        let usual = self.dns.iter().filter(|server| server.port.is_none());
        usual.map(|server| server.address)
    }

    /// The lease time in seconds.
    pub fn lease_seconds(&self) -> u32 {
        self.lease_time.map_or(3600, |time| (time.0 / 1000).max(60) as u32)
    }

    /// When a client renews, in seconds (T1).
    pub fn renew_seconds(&self) -> Option<u32> {
        self.renew_time.map(|time| (time.0 / 1000) as u32)
    }

    /// When a client rebinds, in seconds (T2).
    pub fn rebind_seconds(&self) -> Option<u32> {
        self.rebind_time.map(|time| (time.0 / 1000) as u32)
    }

    /// `network` or `broadcast` for an address that no host can have here. Both are usable
    /// in a /31 (RFC 3021), and every address of a /32, /127 and /128.
    pub fn unusable(&self, address: IpAddr) -> Option<&'static str> {
        if self.cidr.prefix_len() + 1 >= self.cidr.max_prefix_len() {
            return None;
        }
        if address == self.cidr.network() {
            return Some("network");
        }
        (self.cidr.broadcast() == address && address.is_ipv4()).then_some("broadcast")
    }

    /// The address with this number in the subnet, whose name is `name`, for a host to have.
    ///
    /// # Errors
    /// When no host can have it.
    pub fn host(&self, name: &str, number: i64) -> Result<IpAddr, NoSuchAddress> {
        let address = self.numbered(name, number)?;
        if self.gateway == Some(address) {
            return Err(NoSuchAddress::Gateway { number, address, subnet: name.to_owned() });
        }
        Ok(address)
    }

    /// The address with this number in the subnet, whose name is `name`, whoever has it.
    ///
    /// # Errors
    /// When it cannot be the address of an interface.
    pub fn numbered(&self, name: &str, number: i64) -> Result<IpAddr, NoSuchAddress> {
        let (cidr, subnet) = (self.cidr, name.to_owned());
        let bits = cidr.max_prefix_len() - cidr.prefix_len();
        let offset = u128::try_from(number).ok();
        let offset = offset.filter(|offset| offset.checked_shr(bits.into()).unwrap_or(0) == 0);
        let Some(offset) = offset else {
            return Err(NoSuchAddress::Outside { number, cidr, subnet });
        };
        let address = match cidr.network() {
            IpAddr::V4(network) => Ipv4Addr::from_bits(network.to_bits() + offset as u32).into(),
            IpAddr::V6(network) => Ipv6Addr::from_bits(network.to_bits() + offset).into(),
        };
        match self.unusable(address) {
            Some(role) => Err(NoSuchAddress::Special { number, role, cidr, subnet }),
            None => Ok(address),
        }
    }

    /// The use of the range that holds `address`, if one does.
    pub fn range_of(&self, address: IpAddr) -> Option<&Range> {
        self.ranges.iter().find(|range| range.contains(address))
    }
}

/// Why a number in a subnet is not the address of a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchAddress {
    /// It is too large, or too small.
    #[error("number {number} is outside {cidr} (subnet \"{subnet}\")")]
    Outside {
        /// The number.
        number: i64,
        /// The subnet's prefix.
        cidr: IpNet,
        /// The subnet's name.
        subnet: String,
    },
    /// The network's address or the broadcast address.
    #[error("number {number} is the {role} address of {cidr} (subnet \"{subnet}\")")]
    Special {
        /// The number.
        number: i64,
        /// `network` or `broadcast`.
        role: &'static str,
        /// The subnet's prefix.
        cidr: IpNet,
        /// The subnet's name.
        subnet: String,
    },
    /// The gateway's address.
    #[error("number {number} is {address}, the gateway of subnet \"{subnet}\"")]
    Gateway {
        /// The number.
        number: i64,
        /// The gateway.
        address: IpAddr,
        /// The subnet's name.
        subnet: String,
    },
}

/// What an unknown client gets.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownClients {
    /// No answer at all.
    Refuse,
    /// A lease of five minutes, so that an adopted host moves soon to its own address.
    Discover,
    /// A lease as long as everybody's.
    #[default]
    Lease,
}

impl UnknownClients {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

words! {
    /// What tells clients apart that are in no inventory.
    #[derive(Default)]
    pub IdentifyBy {
        /// The MAC, which ROM, iPXE and OS of one machine have in common.
        #[default]
        Mac = "mac",
        /// The client identifier where one is sent (RFC 2131 section 2), else the MAC.
        ClientId = "client-id",
    }
}

words! {
    /// Whether an address is probed before it is offered to a client that has not had it.
    #[derive(Default)]
    pub ConflictProbe {
        /// By ARP on the link (RFC 5227), by ICMP through a relay.
        #[default]
        On = "on",
        /// Never.
        Off = "off",
    }
}

words! {
    /// Processor and firmware, as far as a boot program exists for them.
    pub FirmwareArch {
        /// x86 with BIOS.
        Bios = "bios",
        /// 32-bit x86 with UEFI.
        X86 = "x86",
        /// 64-bit x86 with UEFI.
        X64 = "x64",
        /// 32-bit ARM with UEFI or U-Boot.
        Arm32 = "arm32",
        /// 64-bit ARM with UEFI or U-Boot.
        Arm64 = "arm64",
        /// 32-bit RISC-V with UEFI.
        Riscv32 = "riscv32",
        /// 64-bit RISC-V with UEFI.
        Riscv64 = "riscv64",
        /// 64-bit LoongArch with UEFI.
        Loong64 = "loong64",
    }
}

/// A part of a subnet, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first address.
    pub from: IpAddr,
    /// The last address.
    pub to: IpAddr,
    /// What the addresses are for.
    #[serde(rename = "for")]
    pub used_for: RangeUse,
}

impl Range {
    /// Whether `address` is one of the range's.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.from <= address && address <= self.to && self.from.is_ipv4() == address.is_ipv4()
    }
}

/// What a range is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RangeUse {
    /// Given by DHCP to clients without an address of their own.
    Dhcp,
    /// Given to hosts by the inventory, and kept.
    Hosts,
    /// Never given: switches, virtual addresses, another system's pool.
    Reserved,
}

impl RangeUse {
    /// The word of the site file.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Hosts => "hosts",
            Self::Reserved => "reserved",
        }
    }
}

switch_words! {
    /// Whether resolvers are asked over TLS.
    pub DnsOverTls {
        /// Never.
        No,
        /// Always: one that does not answer so, or has another's certificate, is not asked.
        Yes = "strict",
        /// Where they can, without looking at certificates.
        Opportunistic = "opportunistic",
    }
}

switch_words! {
    /// Whether answers of resolvers must be signed.
    pub Dnssec {
        /// Nobody looks.
        No,
        /// They must.
        Yes = "strict",
        /// They must unless the resolver knows of no signatures.
        AllowDowngrade = "allow-downgrade",
    }
}

impl DnsOverTls {
    /// Whether resolvers are asked over TLS at all.
    pub fn is_on(self) -> bool {
        self != Self::No
    }
}

/// A resolver: its address and, for DNS over TLS, the name in its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsServer {
    /// Where it is asked.
    pub address: IpAddr,
    /// The port, where it is not the usual one.
    pub port: Option<u16>,
    /// The name that its certificate must have, after `#`.
    pub server_name: Option<String>,
}

/// A text that names no resolver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a DNS server: expected ADDRESS, ADDRESS:PORT or either with #NAME, such as \
     223.5.5.5#dns.alidns.com"
)]
pub struct InvalidDnsServer(pub String);

impl FromStr for DnsServer {
    type Err = InvalidDnsServer;

    fn from_str(text: &str) -> Result<Self, InvalidDnsServer> {
        let invalid = || InvalidDnsServer(text.to_owned());
        let (address, server_name) = match text.split_once('#') {
            Some((address, name)) => (address, Some(name)),
            None => (text, None),
        };
        if server_name.is_some_and(|name| super::check_host_name(name).is_err()) {
            return Err(invalid());
        }
        let (address, port) = match address.parse::<IpAddr>() {
            Ok(address) => (address, None),
            Err(_) => {
                let socket: SocketAddr = address.parse().map_err(|_| invalid())?;
                (socket.ip(), Some(socket.port()))
            }
        };
        if port == Some(0) {
            return Err(invalid());
        }
        Ok(Self { address, port, server_name: server_name.map(str::to_owned) })
    }
}

impl fmt::Display for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f)?,
            None => self.address.fmt(f)?,
        }
        match &self.server_name {
            Some(name) => write!(f, "#{name}"),
            None => Ok(()),
        }
    }
}

as_text!(DnsServer);

impl From<InvalidDuration> for String {
    fn from(error: InvalidDuration) -> Self {
        error.to_string()
    }
}
