//! What a DHCP server says to clients, laid into a subnet or a host of ours. Pure.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value, json};

use super::draft::first_address;
use super::{Choices, Place, Reason};
use crate::model::{
    DhcpOptions, DnsServer, FirmwareArch, Host, Millis, Subnet, UnknownClients, option_name,
};
use crate::options::code;
use crate::tree;

/// One thing that a server says to clients, and where it is written.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) place: Place,
    /// The statement, for the report.
    pub(super) text: String,
    pub(super) what: What,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// An option, or a sub-option of 43 or 175.
    Option {
        code: u8,
        sub: Option<u8>,
        value: OptionWords,
    },
    LeaseSeconds(u64),
    /// `next-server`.
    NextServer(Ipv4Addr),
    /// A boot file, for one architecture or for all.
    BootFile {
        arch: Option<FirmwareArch>,
        file: String,
    },
    RefuseUnknown,
    Bootp,
    NoProbe,
    RapidCommit,
    MinSecs(u16),
    /// Something that is known and not taken.
    Not(Reason),
}

impl What {
    /// Which earlier setting it replaces: those with the same key.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Option { code, sub, .. } => format!("option {code} {sub:?}"),
            Self::BootFile { arch, .. } => format!("boot file {arch:?}"),
            Self::LeaseSeconds(_) => "lease".into(),
            Self::NextServer(_) => "next server".into(),
            other => format!("{other:?}"),
        }
    }
}

/// The value of an option as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OptionWords {
    /// Words of a list, each without its quotes.
    Words(Vec<String>),
    Bytes(Vec<u8>),
}

/// The settings of several scopes as one: of those with one key the last.
pub(super) fn overlaid<'a>(scopes: impl IntoIterator<Item = &'a [Setting]>) -> Vec<Setting> {
    let mut all: Vec<Setting> = Vec::new();
    for setting in scopes.into_iter().flatten() {
        let key = setting.what.key();
        all.retain(|one| matches!(one.what, What::Not(_)) || one.what.key() != key);
        all.push(setting.clone());
    }
    all
}

fn millis(seconds: u64) -> Option<Millis> {
    Some(Millis(seconds.checked_mul(1000)?))
}

/// Lays a setting into a subnet; options without a key of their own go into `given`.
///
/// # Errors
/// Why it is not taken.
pub(super) fn into_subnet(
    subnet: &mut Subnet,
    given: &mut Map<String, Value>,
    setting: &Setting,
    choices: &Choices,
) -> Result<(), Reason> {
    match &setting.what {
        What::Not(reason) => return Err(reason.clone()),
        What::LeaseSeconds(seconds) => subnet.lease_time = millis(*seconds),
        What::RefuseUnknown => subnet.unknown_clients = UnknownClients::Refuse,
        What::Bootp => subnet.bootp = true,
        What::NoProbe => subnet.conflict_probe = crate::model::ConflictProbe::Off,
        What::RapidCommit => subnet.rapid_commit = true,
        What::MinSecs(seconds) => subnet.min_secs = Some(*seconds),
        What::NextServer(_) | What::BootFile { .. } if !choices.keeps_boot_server => {
            return Err(Reason::BootServer);
        }
        What::NextServer(address) => subnet.next_server = Some(*address),
        What::BootFile { arch, file } => match arch {
            Some(arch) => drop(subnet.boot_files.insert(*arch, file.clone())),
            None => {
                for arch in [FirmwareArch::Bios, FirmwareArch::X64, FirmwareArch::Arm64] {
                    subnet.boot_files.entry(arch).or_insert_with(|| file.clone());
                }
            }
        },
        What::Option { code, sub: None, value } => {
            return option_into_subnet(subnet, given, *code, value, choices);
        }
        What::Option { code, sub, value } => return add_option(given, *code, *sub, value),
    }
    Ok(())
}

fn option_into_subnet(
    subnet: &mut Subnet,
    given: &mut Map<String, Value>,
    code: u8,
    value: &OptionWords,
    choices: &Choices,
) -> Result<(), Reason> {
    let invalid = |text: String| Reason::Invalid(text);
    let words = match value {
        OptionWords::Words(words) => words.as_slice(),
        OptionWords::Bytes(_) => return add_option(given, code, None, value),
    };
    let number = || {
        let word = words.first().map(String::as_str).unwrap_or_default();
        word.parse::<u64>().map_err(|_| Reason::Invalid(format!("\"{word}\" is not a number")))
    };
    match code {
        code::SUBNET_MASK => {
            let given = first_address(words).map(u32::from).map(u32::leading_ones);
            if given != Some(subnet.cidr.prefix_len().into()) {
                return Err(invalid(format!("the prefix of the subnet is {}", subnet.cidr)));
            }
        }
        code::BROADCAST_ADDRESS => {
            if first_address(words).map(IpAddr::V4) != Some(subnet.cidr.broadcast()) {
                return add_option(given, code, None, value);
            }
        }
        code::ROUTER => {
            let router = first_address(words).ok_or(Reason::NotAnAddress)?;
            if !subnet.cidr.contains(&IpAddr::V4(router)) {
                return Err(invalid(format!("the router is not in {}", subnet.cidr)));
            }
            subnet.gateway = Some(router.into());
            if words.len() > 1 {
                add_option(given, code, None, value)?;
            }
        }
        code::DOMAIN_NAME_SERVER => {
            let parse = |word: &String| word.trim().parse::<DnsServer>();
            let servers: Result<Vec<_>, _> = words.iter().map(parse).collect();
            subnet.dns = servers.map_err(|_| Reason::NotAnAddress)?;
        }
        code::DOMAIN_NAME => {
            let name = words.first().cloned().unwrap_or_default();
            let others: Vec<String> =
                subnet.domains.iter().filter(|other| **other != name).cloned().collect();
            subnet.domains =
                std::iter::once(name).filter(|name| !name.is_empty()).chain(others).collect();
        }
        code::DOMAIN_SEARCH => {
            for word in words.iter().map(|word| word.trim_end_matches('.')) {
                if !subnet.domains.iter().any(|known| known == word) {
                    subnet.domains.push(word.to_owned());
                }
            }
        }
        code::NTP_SERVERS => subnet.ntp = words.to_vec(),
        code::INTERFACE_MTU => {
            let mtu = number()?;
            subnet.mtu = Some(u32::try_from(mtu).map_err(|error| invalid(error.to_string()))?);
        }
        code::LEASE_TIME => subnet.lease_time = millis(number()?),
        code::RENEWAL_TIME => subnet.renew_time = millis(number()?),
        code::REBINDING_TIME => subnet.rebind_time = millis(number()?),
        code::TFTP_SERVER_NAME | code::BOOT_FILE_NAME if !choices.keeps_boot_server => {
            return Err(Reason::BootServer);
        }
        code::TFTP_SERVER_NAME if first_address(words).is_some() => {
            subnet.next_server = first_address(words);
        }
        code::HOST_NAME => return Err(Reason::NoCounterpart),
        _ => return add_option(given, code, None, value),
    }
    Ok(())
}

/// Lays a setting into a host.
///
/// # Errors
/// Why it is not taken.
pub(super) fn into_host(
    name: &str,
    host: &mut Host,
    given: &mut Map<String, Value>,
    setting: &Setting,
    choices: &Choices,
) -> Result<(), Reason> {
    match &setting.what {
        What::Not(reason) => Err(reason.clone()),
        What::NextServer(_) | What::BootFile { .. } if !choices.keeps_boot_server => {
            Err(Reason::BootServer)
        }
        What::NextServer(address) => {
            host.next_server = Some(*address);
            Ok(())
        }
        What::BootFile { file, .. } => {
            host.boot_file = Some(file.clone());
            Ok(())
        }
        What::Option { code: code::HOST_NAME, value: OptionWords::Words(words), .. } => {
            let said = words.first().map(String::as_str).unwrap_or_default();
            let short = name.split('.').next().unwrap_or(name);
            match said == name || said == short {
                true => Ok(()),
                false => Err(Reason::Invalid(format!("the host's name is {name}"))),
            }
        }
        What::Option { code: code::TFTP_SERVER_NAME | code::BOOT_FILE_NAME, .. }
            if !choices.keeps_boot_server =>
        {
            Err(Reason::BootServer)
        }
        What::Option { code, sub, value } => add_option(given, *code, *sub, value),
        _ => Err(Reason::NoCounterpart),
    }
}

/// Adds an option by its name, in the first notation that its type takes.
fn add_option(
    given: &mut Map<String, Value>,
    code: u8,
    sub: Option<u8>,
    value: &OptionWords,
) -> Result<(), Reason> {
    let key = match (sub, option_name(code)) {
        (Some(sub), _) => format!("{code}.{sub}"),
        (None, Some(name)) => name.to_owned(),
        (None, None) => code.to_string(),
    };
    let mut why = None;
    for value in notations(value) {
        let one = Value::Object(Map::from_iter([(key.clone(), value.clone())]));
        match tree::read_json::<DhcpOptions>(&one) {
            Ok(_) => {
                given.insert(key, value);
                return Ok(());
            }
            Err(refusal) => why = Some(refusal.to_string()),
        }
    }
    Err(Reason::Invalid(why.unwrap_or_else(|| "the option has no value".into())))
}

/// The notations that a value may have in a site file.
fn notations(value: &OptionWords) -> Vec<Value> {
    let words = match value {
        OptionWords::Bytes(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            return vec![json!(format!("hex:{digits}"))];
        }
        OptionWords::Words(words) => words,
    };
    let mut all = Vec::new();
    if let [word] = words.as_slice() {
        match word.as_str() {
            "true" | "on" | "1" => all.push(json!(true)),
            "false" | "off" | "0" => all.push(json!(false)),
            _ => {}
        }
        all.extend(word.parse::<i64>().ok().map(|number| json!(number)));
        all.push(json!(word));
        all.push(json!([word]));
    } else {
        all.push(json!(words));
        all.push(json!(words.join(", ")));
    }
    all
}
