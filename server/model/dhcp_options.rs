//! DHCP options that an operator adds by name or number, with typed values. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::options::code;

/// Options beyond those that the inventory knows the values of, such as
/// `{150: 10.0.0.1, time-offset: 3600, 43.1: "hex:0a0b"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Given", into = "Given")]
pub struct DhcpOptions {
    given: Given,
    /// The options as they go over the wire, each code once.
    encoded: BTreeMap<u8, Vec<u8>>,
}

/// The options as they are written in the site file.
type Given = BTreeMap<String, OptionValue>;

/// One value as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum OptionValue {
    Flag(bool),
    Number(u32),
    Text(String),
    List(Vec<String>),
}

/// An option that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DHCP option \"{key}\" {reason}")]
pub struct InvalidDhcpOption {
    /// The name or number, as given.
    pub key: String,
    /// What is wrong with it.
    pub reason: InvalidOption,
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
    /// A number that the option has no room for.
    #[error("is {0}, which is too large")]
    TooLarge(u32),
    /// A number or flag for an option whose type is not known.
    #[error("has no known type: write \"hex:0a0b\", a text, an address or a list of addresses")]
    UnknownType,
}

/// What the values of an option are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Addresses,
    Text,
    Number {
        bytes: usize,
    },
    Flag,
    /// Destinations with their gateways (RFC 3442).
    Routes,
    /// Whatever the value looks like.
    Any,
}

/// The options with a name and a type.
const KNOWN: [(u8, &str, Kind); 27] = [
    (code::TIME_OFFSET, "time-offset", Kind::Number { bytes: 4 }),
    (code::ROUTER, "routers", Kind::Addresses),
    (code::TIME_SERVER, "time-servers", Kind::Addresses),
    (code::DOMAIN_NAME_SERVER, "domain-name-servers", Kind::Addresses),
    (code::LOG_SERVER, "log-servers", Kind::Addresses),
    (code::LPR_SERVER, "lpr-servers", Kind::Addresses),
    (code::BOOT_FILE_SIZE, "boot-file-size", Kind::Number { bytes: 2 }),
    (code::DOMAIN_NAME, "domain-name", Kind::Text),
    (code::ROOT_PATH, "root-path", Kind::Text),
    (code::IP_FORWARDING, "ip-forwarding", Kind::Flag),
    (code::DEFAULT_TTL, "default-ttl", Kind::Number { bytes: 1 }),
    (code::INTERFACE_MTU, "interface-mtu", Kind::Number { bytes: 2 }),
    (code::BROADCAST_ADDRESS, "broadcast-address", Kind::Addresses),
    (code::NIS_DOMAIN, "nis-domain", Kind::Text),
    (code::NIS_SERVERS, "nis-servers", Kind::Addresses),
    (code::NTP_SERVERS, "ntp-servers", Kind::Addresses),
    (code::NETBIOS_NAME_SERVERS, "netbios-name-servers", Kind::Addresses),
    (code::NETBIOS_NODE_TYPE, "netbios-node-type", Kind::Number { bytes: 1 }),
    (code::TFTP_SERVER_NAME, "tftp-server-name", Kind::Text),
    (code::BOOT_FILE_NAME, "boot-file-name", Kind::Text),
    (code::POSIX_TIMEZONE, "posix-timezone", Kind::Text),
    (code::TIMEZONE, "timezone", Kind::Text),
    (code::CAPTIVE_PORTAL, "captive-portal", Kind::Text),
    (code::CLASSLESS_ROUTES, "classless-routes", Kind::Routes),
    (code::CAPWAP_CONTROLLERS, "capwap-controllers", Kind::Addresses),
    (code::TFTP_SERVERS, "tftp-servers", Kind::Addresses),
    (code::PROXY_AUTODISCOVERY, "proxy-autodiscovery", Kind::Text),
];

/// What the server alone may say: message type, leases, identities, relay words.
const RESERVED: [u8; 15] = [
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
    code::RELAY_INFO,
    code::CLIENT_UUID,
    code::END,
];

/// The options that hold sub-options, as a key names them: `43.1`, `175.8`.
const ENCAPSULATING: [u8; 2] = [code::VENDOR_SPECIFIC, code::IPXE];

impl DhcpOptions {
    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The bytes of an option.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.encoded.get(&code).map(Vec::as_slice)
    }
}

impl TryFrom<Given> for DhcpOptions {
    type Error = InvalidDhcpOption;

    fn try_from(given: Given) -> Result<Self, InvalidDhcpOption> {
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

impl From<DhcpOptions> for Given {
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
        (Kind::Number { bytes }, OptionValue::Number(number)) => number_bytes(*number, bytes),
        (Kind::Number { .. }, _) => Err(InvalidOption::Expected("a number")),
        (Kind::Text, OptionValue::Text(text)) => Ok(text.clone().into_bytes()),
        (Kind::Text, _) => Err(InvalidOption::Expected("a text")),
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

fn number_bytes(number: u32, bytes: usize) -> Result<Vec<u8>, InvalidOption> {
    let all = number.to_be_bytes();
    let (head, tail) = all.split_at(4 - bytes);
    if head.iter().any(|byte| *byte != 0) {
        return Err(InvalidOption::TooLarge(number));
    }
    Ok(tail.to_vec())
}

fn addresses(words: &[&str]) -> Option<Vec<u8>> {
    let parse = |word: &&str| word.trim().parse::<Ipv4Addr>().ok();
    let addresses: Option<Vec<Ipv4Addr>> = words.iter().map(parse).collect();
    addresses
        .filter(|all| !all.is_empty())
        .map(|all| all.iter().flat_map(Ipv4Addr::octets).collect())
}

/// The default route is not repeated here: whoever sets routes says all of them.
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
        let cases: [(&str, u8, &[u8]); 12] = [
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
            (r#"{"26": 70000}"#, "is 70000, which is too large"),
            (r#"{"26": "big"}"#, "must be a number"),
            (r#"{"200": "hex:0"}"#, "expected an even number of hexadecimal digits"),
            (r#"{"200": 5}"#, "has no known type"),
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
