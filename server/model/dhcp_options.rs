//! DHCP options that an operator adds by name or number, with typed values. Pure.

mod schema;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::options::code;

/// Options beyond those that the inventory knows the values of, such as
/// `{150: 10.0.0.1, time-offset: 3600, 43.1: "hex:0a0b"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OptionValues", into = "OptionValues")]
pub struct DhcpOptions {
    given: OptionValues,
    /// The options as they go over the wire, each code once.
    encoded: BTreeMap<u8, Vec<u8>>,
}

/// The options as they are written in the site file.
type OptionValues = BTreeMap<String, OptionValue>;

/// One value as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum OptionValue {
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
}

/// An option that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DHCP option \"{key}\" {reason}{}", hint(key, reason))]
pub struct InvalidDhcpOption {
    /// The name or number, as given.
    pub key: String,
    /// What is wrong with it.
    pub reason: InvalidOption,
}

/// The name that was meant instead of an unknown one, as a sentence's end.
fn hint(key: &str, reason: &InvalidOption) -> String {
    let names = KNOWN.iter().map(|(_, name, _)| *name);
    let nearest = Some(key).filter(|_| *reason == InvalidOption::Unknown);
    let nearest = nearest.and_then(|key| crate::tree::nearest::nearest(key, names));
    nearest.map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

/// What is wrong with an option, to follow its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOption {
    /// Neither a known name nor a code.
    #[error(
        "does not exist: expected a number from 2 to 254, a sub-option such as 43.1 or 175.1, \
         or a name such as ntp-servers"
    )]
    Unknown,
    /// A code that only the server writes.
    #[error("is set by the server and cannot be changed")]
    Reserved,
    /// By name and by number, or whole and in sub-options.
    #[error("is given twice, by name and by number")]
    Duplicate,
    /// Longer than one option can be, or empty.
    #[error("has {0} bytes; expected 1 to 255")]
    Length(usize),
    /// `hex:` with something else behind it.
    #[error("is \"{0}\": expected an even number of hexadecimal digits")]
    Hexadecimal(String),
    /// The value is of another kind.
    #[error("must be {0}")]
    Expected(&'static str),
    /// A number outside the bounds of its RFC.
    #[error("is {number}; expected {min} to {max}")]
    OutOfBounds {
        /// The number.
        number: i64,
        /// The least that is allowed.
        min: i64,
        /// The most that is allowed.
        max: i64,
    },
    /// One of a few numbers.
    #[error("is {0}; expected 1 (B), 2 (P), 4 (M) or 8 (H)")]
    NodeType(i64),
    /// A number or flag for an option whose type is not known.
    #[error("has no known type: write \"hex:0a0b\", a text, an address or a list of addresses")]
    UnknownType,
}

/// What the values of an option are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Address,
    Addresses,
    /// Addresses in pairs: a destination with its router, or with its mask.
    Pairs,
    Text,
    Number(Bounds),
    /// RFC 2132 section 8.7.
    NodeType,
    Flag,
    /// Destinations with their gateways (RFC 3442).
    Routes,
    /// Whatever the value looks like.
    Any,
}

/// The size of a number on the wire, and its least and largest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    bytes: usize,
    min: i64,
    max: i64,
}

const fn number(bytes: usize, min: i64) -> Kind {
    Kind::Number(Bounds { bytes, min, max: (1 << (8 * bytes)) - 1 })
}

/// A signed number (RFC 2132 section 3.4).
const OFFSET: Kind = Kind::Number(Bounds { bytes: 4, min: i32::MIN as i64, max: i32::MAX as i64 });

/// The options with a name and a type, by code (RFC 2132 where no other is named).
const KNOWN: [(u8, &str, Kind); 57] = [
    (code::TIME_OFFSET, "time-offset", OFFSET),
    (code::ROUTER, "routers", Kind::Addresses),
    (code::TIME_SERVER, "time-servers", Kind::Addresses),
    (code::NAME_SERVER, "name-servers", Kind::Addresses),
    (code::DOMAIN_NAME_SERVER, "domain-name-servers", Kind::Addresses),
    (code::LOG_SERVER, "log-servers", Kind::Addresses),
    (code::COOKIE_SERVER, "cookie-servers", Kind::Addresses),
    (code::LPR_SERVER, "lpr-servers", Kind::Addresses),
    (code::IMPRESS_SERVER, "impress-servers", Kind::Addresses),
    (code::RESOURCE_LOCATION_SERVER, "resource-location-servers", Kind::Addresses),
    (code::BOOT_FILE_SIZE, "boot-file-size", number(2, 0)),
    (code::MERIT_DUMP_FILE, "merit-dump-file", Kind::Text),
    (code::DOMAIN_NAME, "domain-name", Kind::Text),
    (code::SWAP_SERVER, "swap-server", Kind::Address),
    (code::ROOT_PATH, "root-path", Kind::Text),
    (code::EXTENSIONS_PATH, "extensions-path", Kind::Text),
    (code::IP_FORWARDING, "ip-forwarding", Kind::Flag),
    (code::NON_LOCAL_SOURCE_ROUTING, "non-local-source-routing", Kind::Flag),
    (code::POLICY_FILTER, "policy-filter", Kind::Pairs),
    (code::MAX_DATAGRAM_REASSEMBLY, "max-datagram-reassembly", number(2, 576)),
    (code::DEFAULT_TTL, "default-ttl", number(1, 1)),
    (code::PATH_MTU_AGING_TIMEOUT, "path-mtu-aging-timeout", number(4, 0)),
    (code::INTERFACE_MTU, "interface-mtu", number(2, 68)),
    (code::ALL_SUBNETS_LOCAL, "all-subnets-local", Kind::Flag),
    (code::BROADCAST_ADDRESS, "broadcast-address", Kind::Address),
    (code::PERFORM_MASK_DISCOVERY, "perform-mask-discovery", Kind::Flag),
    (code::MASK_SUPPLIER, "mask-supplier", Kind::Flag),
    (code::ROUTER_DISCOVERY, "router-discovery", Kind::Flag),
    (code::ROUTER_SOLICITATION_ADDRESS, "router-solicitation-address", Kind::Address),
    (code::STATIC_ROUTES, "static-routes", Kind::Pairs),
    (code::TRAILER_ENCAPSULATION, "trailer-encapsulation", Kind::Flag),
    (code::ARP_CACHE_TIMEOUT, "arp-cache-timeout", number(4, 0)),
    (code::ETHERNET_ENCAPSULATION, "ethernet-encapsulation", Kind::Flag),
    (code::TCP_DEFAULT_TTL, "tcp-default-ttl", number(1, 1)),
    (code::TCP_KEEPALIVE_INTERVAL, "tcp-keepalive-interval", number(4, 0)),
    (code::TCP_KEEPALIVE_GARBAGE, "tcp-keepalive-garbage", Kind::Flag),
    (code::NIS_DOMAIN, "nis-domain", Kind::Text),
    (code::NIS_SERVERS, "nis-servers", Kind::Addresses),
    (code::NTP_SERVERS, "ntp-servers", Kind::Addresses),
    (code::NETBIOS_NAME_SERVERS, "netbios-name-servers", Kind::Addresses),
    (code::NETBIOS_NODE_TYPE, "netbios-node-type", Kind::NodeType),
    (code::NETBIOS_SCOPE, "netbios-scope", Kind::Text),
    (code::FONT_SERVERS, "font-servers", Kind::Addresses),
    (code::X_DISPLAY_MANAGERS, "x-display-managers", Kind::Addresses),
    (code::TFTP_SERVER_NAME, "tftp-server-name", Kind::Text),
    (code::BOOT_FILE_NAME, "boot-file-name", Kind::Text),
    (code::SMTP_SERVERS, "smtp-servers", Kind::Addresses),
    (code::WWW_SERVERS, "www-servers", Kind::Addresses),
    (code::POSIX_TIMEZONE, "posix-timezone", Kind::Text),
    (code::TIMEZONE, "timezone", Kind::Text),
    // RFC 8925 section 3.4: a client raises less than 300 s to that.
    (code::IPV6_ONLY_PREFERRED, "ipv6-only-preferred", number(4, 0)),
    (code::CAPTIVE_PORTAL, "captive-portal", Kind::Text),
    (code::CLASSLESS_ROUTES, "classless-routes", Kind::Routes),
    (code::CAPWAP_CONTROLLERS, "capwap-controllers", Kind::Addresses),
    (code::TFTP_SERVERS, "tftp-servers", Kind::Addresses),
    (code::MICROSOFT_ROUTES, "microsoft-routes", Kind::Routes),
    (code::PROXY_AUTODISCOVERY, "proxy-autodiscovery", Kind::Text),
];

/// What the server alone may say: message type, leases, identities, relay words.
const RESERVED: [u8; 17] = [
    code::PAD,
    code::SUBNET_MASK,
    code::REQUESTED_ADDRESS,
    code::LEASE_TIME,
    code::OVERLOAD,
    code::MESSAGE_TYPE,
    code::SERVER_ID,
    code::PARAMETER_REQUEST_LIST,
    code::MAX_MESSAGE_SIZE,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
    code::CLIENT_ID,
    code::RAPID_COMMIT,
    code::RELAY_INFO,
    code::CLIENT_UUID,
    code::SUBNET_SELECTION,
    code::END,
];

/// The options that hold sub-options, as a key names them: `43.1`, `175.8`.
const ENCAPSULATING: [u8; 2] = [code::VENDOR_SPECIFIC, code::IPXE];

/// The name of an option that has one.
pub(crate) fn option_name(code: u8) -> Option<&'static str> {
    KNOWN.iter().find(|(known, ..)| *known == code).map(|(_, name, _)| *name)
}

impl DhcpOptions {
    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The codes of the options, in order.
    pub(crate) fn codes(&self) -> impl Iterator<Item = u8> {
        self.encoded.keys().copied()
    }

    /// The bytes of an option.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.encoded.get(&code).map(Vec::as_slice)
    }

    /// The TFTP server, an address or a name (option 66).
    pub fn tftp_server(&self) -> Option<Cow<'_, str>> {
        self.get(code::TFTP_SERVER_NAME).map(String::from_utf8_lossy)
    }
}

impl TryFrom<OptionValues> for DhcpOptions {
    type Error = InvalidDhcpOption;

    fn try_from(given: OptionValues) -> Result<Self, InvalidDhcpOption> {
        let mut encoded: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for (key, value) in &given {
            let invalid = |reason| InvalidDhcpOption { key: key.clone(), reason };
            let (code, sub_code, kind) = code_of(key).map_err(invalid)?;
            let data = encode(kind, value).map_err(invalid)?;
            if data.is_empty() || data.len() > 255 {
                return Err(invalid(InvalidOption::Length(data.len())));
            }
            match (sub_code, encoded.entry(code).or_default()) {
                (Some(sub_code), whole) => {
                    whole.extend([sub_code, data.len() as u8]);
                    whole.extend(data);
                }
                (None, whole) if whole.is_empty() => *whole = data,
                _ => return Err(invalid(InvalidOption::Duplicate)),
            }
        }
        Ok(Self { given, encoded })
    }
}

impl From<DhcpOptions> for OptionValues {
    fn from(options: DhcpOptions) -> Self {
        options.given
    }
}

/// Code, sub-option and kind of `NAME`, `NUMBER`, `43.NUMBER` or `175.NUMBER`.
fn code_of(key: &str) -> Result<(u8, Option<u8>, Kind), InvalidOption> {
    if let Some((code, _, kind)) = KNOWN.iter().find(|(_, name, _)| *name == key) {
        return Ok((*code, None, *kind));
    }
    let (code, sub_code) = match key.split_once('.') {
        Some((code, sub_code)) => (code, Some(sub_code)),
        None => (key, None),
    };
    let code: u8 = code.parse().map_err(|_| InvalidOption::Unknown)?;
    let sub_code: Option<u8> =
        sub_code.map(str::parse).transpose().map_err(|_| InvalidOption::Unknown)?;
    if sub_code.is_some() && !ENCAPSULATING.contains(&code) {
        return Err(InvalidOption::Unknown);
    }
    if RESERVED.contains(&code) {
        return Err(InvalidOption::Reserved);
    }
    let known = KNOWN.iter().find(|(known, ..)| *known == code);
    Ok((code, sub_code, known.map_or(Kind::Any, |(_, _, kind)| *kind)))
}

fn encode(kind: Kind, value: &OptionValue) -> Result<Vec<u8>, InvalidOption> {
    // Whoever writes hexadecimal digits knows the bytes.
    if let OptionValue::Text(text) = value
        && let Some(digits) = text.strip_prefix("hex:")
    {
        return hexadecimal(digits).ok_or_else(|| InvalidOption::Hexadecimal(text.clone()));
    }
    let words: Vec<&str> = match value {
        OptionValue::Text(text) => vec![text],
        OptionValue::List(list) => list.iter().map(String::as_str).collect(),
        OptionValue::Flag(_) | OptionValue::Number(_) => Vec::new(),
    };
    match (kind, value) {
        (Kind::Flag, OptionValue::Flag(flag)) => Ok(vec![u8::from(*flag)]),
        (Kind::Flag, _) => Err(InvalidOption::Expected("true or false")),
        (Kind::Number(bounds), OptionValue::Number(number)) => number_bytes(*number, bounds),
        (Kind::NodeType, OptionValue::Number(number)) => match number {
            1 | 2 | 4 | 8 => Ok(vec![*number as u8]),
            _ => Err(InvalidOption::NodeType(*number)),
        },
        (Kind::Number(_) | Kind::NodeType, _) => Err(InvalidOption::Expected("a number")),
        (Kind::Text, OptionValue::Text(text)) => Ok(text.clone().into_bytes()),
        (Kind::Text, _) => Err(InvalidOption::Expected("a text")),
        (Kind::Address, OptionValue::Text(text)) => {
            addresses(&[text]).ok_or(InvalidOption::Expected("an IPv4 address"))
        }
        (Kind::Address, _) => Err(InvalidOption::Expected("an IPv4 address")),
        (Kind::Pairs, _) => addresses(&words)
            .filter(|bytes| bytes.len() % 8 == 0)
            .ok_or(InvalidOption::Expected("a list of IPv4 addresses in pairs")),
        (Kind::Addresses, _) => {
            addresses(&words).ok_or(InvalidOption::Expected("an IPv4 address or a list of them"))
        }
        (Kind::Routes, _) => routes(&words)
            .ok_or(InvalidOption::Expected("routes such as [\"10.0.0.0/8 via 10.77.0.254\"]")),
        (Kind::Any, _) if !words.is_empty() => match (addresses(&words), value) {
            (Some(bytes), _) => Ok(bytes),
            (None, OptionValue::Text(text)) => Ok(text.clone().into_bytes()),
            (None, _) => Err(InvalidOption::Expected("a list of IPv4 addresses")),
        },
        (Kind::Any, _) => Err(InvalidOption::UnknownType),
    }
}

fn number_bytes(number: i64, bounds: Bounds) -> Result<Vec<u8>, InvalidOption> {
    let Bounds { bytes, min, max } = bounds;
    if !(min..=max).contains(&number) {
        return Err(InvalidOption::OutOfBounds { number, min, max });
    }
    Ok(number.to_be_bytes()[8 - bytes..].to_vec())
}

fn addresses(words: &[&str]) -> Option<Vec<u8>> {
    let parse = |word: &&str| word.trim().parse::<Ipv4Addr>().ok();
    let addresses: Option<Vec<Ipv4Addr>> = words.iter().map(parse).collect();
    addresses
        .filter(|all| !all.is_empty())
        .map(|all| all.iter().flat_map(Ipv4Addr::octets).collect())
}

/// The reply adds the default route of the subnet's gateway where they have none.
fn routes(words: &[&str]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for word in words {
        let (to, gateway) = word.split_once(" via ")?;
        let to: Ipv4Net = if to == "default" { Ipv4Net::default() } else { to.parse().ok()? };
        let gateway: Ipv4Addr = gateway.parse().ok()?;
        bytes.push(to.prefix_len());
        bytes.extend(&to.network().octets()[..usize::from(to.prefix_len()).div_ceil(8)]);
        bytes.extend(gateway.octets());
    }
    Some(bytes)
}

/// The bytes of an even number of hexadecimal digits; colons and spaces between them do not count.
pub(super) fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits: String = digits.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<DhcpOptions, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn names_and_numbers_take_typed_values() {
        let cases: [(&str, u8, &[u8]); 18] = [
            (r#"{"time-offset": -18000}"#, 2, &[0xff, 0xff, 0xb9, 0xb0]),
            (r#"{"2": -2147483648}"#, 2, &[0x80, 0, 0, 0]),
            (r#"{"default-ttl": 1}"#, 23, &[1]),
            (r#"{"interface-mtu": 68}"#, 26, &[0, 68]),
            (r#"{"netbios-node-type": 8}"#, 46, &[8]),
            (r#"{"static-routes": ["10.1.0.1", "10.0.0.1"]}"#, 33, &[10, 1, 0, 1, 10, 0, 0, 1]),
            (r#"{"ntp-servers": ["10.0.0.1", "10.0.0.2"]}"#, 42, &[10, 0, 0, 1, 10, 0, 0, 2]),
            (r#"{"42": "10.0.0.1"}"#, 42, &[10, 0, 0, 1]),
            (r#"{"time-offset": 3600}"#, 2, &[0, 0, 14, 16]),
            (r#"{"interface-mtu": 9000}"#, 26, &[35, 40]),
            (r#"{"ip-forwarding": false}"#, 19, &[0]),
            (r#"{"root-path": "/srv"}"#, 17, b"/srv"),
            (r#"{"200": "hex:0a:0B"}"#, 200, &[10, 11]),
            (r#"{"200": "text"}"#, 200, b"text"),
            (r#"{"200": ["10.0.0.1"]}"#, 200, &[10, 0, 0, 1]),
            (
                r#"{"121": ["10.0.0.0/8 via 10.77.0.254", "default via 10.77.0.1"]}"#,
                121,
                &[8, 10, 10, 77, 0, 254, 0, 10, 77, 0, 1],
            ),
            (r#"{"43.1": "hex:ff", "43.2": "10.0.0.1"}"#, 43, &[1, 1, 255, 2, 4, 10, 0, 0, 1]),
            (r#"{"175.8": "x"}"#, 175, &[8, 1, b'x']),
        ];
        for (json, code, expected) in cases {
            let options = parse(json).unwrap();
            assert_eq!(options.get(code), Some(expected), "{json}");
            let again = serde_json::to_string(&options).unwrap();
            assert_eq!(parse(&again), Ok(options), "{json}");
        }
    }

    #[test]
    fn invalid_options_are_refused_with_a_reason() {
        let cases = [
            (r#"{"ntp": "10.0.0.1"}"#, "\"ntp\" does not exist"),
            (r#"{"53": "hex:01"}"#, "\"53\" is set by the server"),
            (r#"{"256": "x"}"#, "does not exist"),
            (r#"{"42": "ntp.example.net"}"#, "must be an IPv4 address"),
            (r#"{"26": 70000}"#, "is 70000; expected 68 to 65535"),
            (r#"{"26": "big"}"#, "must be a number"),
            (r#"{"200": "hex:0"}"#, "expected an even number of hexadecimal digits"),
            (r#"{"200": 5}"#, "has no known type"),
            (r#"{"default-ttl": 0}"#, "is 0; expected 1 to 255"),
            (r#"{"default-ttl": 256}"#, "is 256; expected 1 to 255"),
            (r#"{"23": -1}"#, "is -1; expected 1 to 255"),
            (r#"{"interface-mtu": 10}"#, "is 10; expected 68 to 65535"),
            (r#"{"max-datagram-reassembly": 575}"#, "is 575; expected 576 to 65535"),
            (r#"{"tcp-default-ttl": 0}"#, "is 0; expected 1 to 255"),
            (r#"{"time-offset": 2147483648}"#, "is 2147483648; expected -2147483648 to 2147483647"),
            (r#"{"arp-cache-timeout": -1}"#, "is -1; expected 0 to 4294967295"),
            (r#"{"netbios-node-type": 3}"#, "is 3; expected 1 (B), 2 (P), 4 (M) or 8 (H)"),
            (r#"{"broadcast-address": ["10.0.0.1", "10.0.0.2"]}"#, "must be an IPv4 address"),
            (r#"{"static-routes": ["10.0.0.1"]}"#, "must be a list of IPv4 addresses in pairs"),
            (r#"{"118": "10.0.0.1"}"#, "is set by the server"),
            (r#"{"80": "hex:01"}"#, "is set by the server"),
            (r#"{"200": ""}"#, "has 0 bytes"),
            (r#"{"42": "10.0.0.1", "ntp-servers": "10.0.0.2"}"#, "is given twice"),
            (r#"{"121": ["10.0.0.0/8"]}"#, "must be routes"),
        ];
        for (json, expected) in cases {
            let error = parse(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
