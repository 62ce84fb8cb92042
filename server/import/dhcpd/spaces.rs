//! Options by their names in dhcpd (dhcp-options(5)), and those that a file declares. Pure.

use std::collections::BTreeMap;

use super::plain;
use super::syntax::{Statement, Token};
use crate::import::Reason;
use crate::import::options::{OptionWords, What};
use crate::options::code;

/// Options of RFC 2132 and its successors by dhcpd's names, where those are not ours.
const NAMES: [(&str, u8); 27] = [
    ("subnet-mask", code::SUBNET_MASK),
    ("ien116-name-servers", code::NAME_SERVER),
    ("host-name", code::HOST_NAME),
    ("boot-size", code::BOOT_FILE_SIZE),
    ("merit-dump", code::MERIT_DUMP_FILE),
    ("extensions-path-name", code::EXTENSIONS_PATH),
    ("default-ip-ttl", code::DEFAULT_TTL),
    ("ieee802-3-encapsulation", code::ETHERNET_ENCAPSULATION),
    ("vendor-encapsulated-options", code::VENDOR_SPECIFIC),
    ("netbios-dd-server", 45),
    ("dhcp-lease-time", code::LEASE_TIME),
    ("dhcp-renewal-time", code::RENEWAL_TIME),
    ("dhcp-rebinding-time", code::REBINDING_TIME),
    ("vendor-class-identifier", code::VENDOR_CLASS),
    ("nisplus-domain", 64),
    ("nisplus-servers", 65),
    ("bootfile-name", code::BOOT_FILE_NAME),
    ("smtp-server", code::SMTP_SERVERS),
    ("pop-server", 70),
    ("nntp-server", 71),
    ("www-server", code::WWW_SERVERS),
    ("finger-server", 73),
    ("irc-server", 74),
    ("domain-search", code::DOMAIN_SEARCH),
    ("client-system", code::CLIENT_ARCH),
    ("classless-static-route", code::CLASSLESS_ROUTES),
    ("tftp-server-address", code::TFTP_SERVERS),
];
/// Names with a hyphen more or less than ours.
const SPELLED: [(&str, &str); 12] = [
    ("font-servers", "font-servers"),
    ("x-display-manager", "x-display-managers"),
    ("max-dgram-reassembly", "max-datagram-reassembly"),
    ("router-discovery", "router-discovery"),
    ("ntp-server", "ntp-servers"),
    ("netbios-name-server", "netbios-name-servers"),
    ("pcode", "posix-timezone"),
    ("tcode", "timezone"),
    ("v6-only-preferred", "ipv6-only-preferred"),
    ("default-url", "captive-portal"),
    ("static-route", "static-routes"),
    ("cookie-server", "cookie-servers"),
];

/// An option that the file declares.
#[derive(Clone, Debug)]
struct Declared {
    code: u8,
    /// The words of its type.
    kind: String,
    /// The option space that it encapsulates.
    encapsulates: Option<String>,
}

/// The declarations of a file.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    /// By name, with the space before a dot where it has one.
    options: BTreeMap<String, Declared>,
    vendor: Option<String>,
    site: Option<String>,
}

impl Spaces {
    /// Learns what a statement declares, and those in its block.
    pub(super) fn learn(&mut self, statement: &Statement) {
        match statement.words().as_slice() {
            ["option", name, "code", number, "=", kind @ ..] => {
                let Ok(code) = number.parse() else { return };
                let encapsulates = match kind {
                    ["encapsulate", space] => Some((*space).to_owned()),
                    _ => None,
                };
                let declared = Declared { code, kind: kind.join(" "), encapsulates };
                self.options.insert((*name).to_owned(), declared);
            }
            ["vendor-option-space", space] => self.vendor = Some((*space).to_owned()),
            ["site-option-space", space] => self.site = Some((*space).to_owned()),
            _ => {}
        }
        statement.block.iter().flatten().for_each(|inner| self.learn(inner));
    }

    /// What `option NAME VALUE` says; nothing where the option only carries others.
    pub(super) fn value(&self, name: &str, tokens: &[Token]) -> Result<Option<What>, Reason> {
        let tokens = match tokens {
            // `option x = concat(...)` is computed for each client.
            [first, rest @ ..] if first.text == "=" && !first.is_quoted => {
                let is_value = rest.len() == 1 && (rest[0].is_quoted || rest[0].bytes().is_some());
                match is_value {
                    true => rest,
                    false => {
                        let words: Vec<&str> =
                            rest.iter().map(|token| token.text.as_str()).collect();
                        return Err(Reason::Conditional(words.join(" ")));
                    }
                }
            }
            other => other,
        };
        let Some(declared) = self.options.get(name) else {
            return known(name, tokens).map(Some);
        };
        if declared.encapsulates.is_some() {
            return Ok(None);
        }
        let value = typed(&declared.kind, tokens)?;
        let Some((space, _)) = name.split_once('.') else {
            return Ok(Some(What::Option { code: declared.code, sub: None, value }));
        };
        if self.site.as_deref() == Some(space) {
            return Ok(Some(What::Option { code: declared.code, sub: None, value }));
        }
        let mut carriers = self.options.values();
        let carrier = match self.vendor.as_deref() == Some(space) {
            true => Some(code::VENDOR_SPECIFIC),
            false => {
                carriers.find(|one| one.encapsulates.as_deref() == Some(space)).map(|one| one.code)
            }
        };
        match carrier {
            Some(code) => Ok(Some(What::Option { code, sub: Some(declared.code), value })),
            None => Err(Reason::UnsentSpace(space.to_owned())),
        }
    }
}

/// What a known option says.
fn known(name: &str, tokens: &[Token]) -> Result<What, Reason> {
    match code_named(name) {
        Some(code) => Ok(plain(code, tokens)),
        None => Err(Reason::Invalid(format!("option {name} is neither known nor declared"))),
    }
}

/// The code of an option by its name in dhcpd and Kea.
pub(super) fn code_named(name: &str) -> Option<u8> {
    let spelled = SPELLED.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
    let ours = spelled.unwrap_or(name);
    let listed = NAMES.iter().find(|(theirs, _)| *theirs == name).map(|(_, code)| *code);
    let by_number = || name.strip_prefix("unknown-").and_then(|number| number.parse().ok());
    let by_our_name = || (2..=254).find(|code| crate::model::option_name(*code) == Some(ours));
    listed.or_else(by_our_name).or_else(by_number)
}

/// A value of a declared type.
pub(super) fn typed(kind: &str, tokens: &[Token]) -> Result<OptionWords, Reason> {
    let tokens: Vec<&Token> =
        tokens.iter().filter(|token| token.text != "," || token.is_quoted).collect();
    let words = || tokens.iter().map(|token| token.text.clone()).collect();
    let width = |kind: &str| match kind.rsplit(' ').next() {
        Some("8" | "uint8" | "int8") => Some(1),
        Some("16" | "uint16" | "int16") => Some(2),
        Some("32" | "uint32" | "int32") => Some(4),
        _ => None,
    };
    if kind.contains("int")
        && let Some(bytes) = width(kind)
        && !kind.contains('{')
    {
        let mut all = Vec::new();
        for token in &tokens {
            let number: i64 = token
                .text
                .parse()
                .map_err(|_| Reason::Invalid(format!("\"{}\" is not a number", token.text)))?;
            all.extend(&number.to_be_bytes()[8 - bytes..]);
        }
        return Ok(OptionWords::Bytes(all));
    }
    match kind {
        "boolean" | "flag" => {
            let is_on = tokens.iter().any(|token| matches!(token.text.as_str(), "on" | "true"));
            Ok(OptionWords::Bytes(vec![u8::from(is_on)]))
        }
        "string" | "text" => match tokens.as_slice() {
            [token] if !token.is_quoted => match token.bytes() {
                Some(bytes) => Ok(OptionWords::Bytes(bytes)),
                None => Ok(OptionWords::Words(words())),
            },
            _ => Ok(OptionWords::Words(words())),
        },
        "ip-address"
        | "array of ip-address"
        | "ipv4-address"
        | "array of ipv4-address"
        | "fqdn" => Ok(OptionWords::Words(words())),
        other => Err(Reason::Invalid(format!("values of the type {other} are not read"))),
    }
}
