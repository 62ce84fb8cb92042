//! `dhcpd.conf` of ISC dhcpd (dhcpd.conf(5), dhcp-options(5), dhcp-eval(5)). Pure.
//!
//! The text becomes a tree of statements. Declarations are then walked with the scopes around
//! them, from the outermost to the innermost, because dhcpd lets the innermost win wherever a
//! statement stands.

mod spaces;
mod syntax;

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::draft::{Client, Draft, noun_name};
use super::options::{OptionWords, Setting, What, overlaid};
use super::{ImportError, Library, Reason, Source};
use crate::model::{FirmwareArch, Mac, NicAddress, Octets, Range, RangeUse};
use crate::options::code;
use spaces::Spaces;
use syntax::{Statement, Token};

/// Reads files, and those that they include.
pub(super) fn read(
    draft: &mut Draft,
    files: &[&Source],
    library: &dyn Library,
) -> Result<(), ImportError> {
    for file in files {
        let statements = syntax::parse(file)?;
        let mut opened = vec![file.name.to_string()];
        let statements = included(draft, statements, library, &mut opened)?;
        let mut spaces = Spaces::default();
        statements.iter().for_each(|statement| spaces.learn(statement));
        let mut reader = Reader { draft, spaces, subnets: Vec::new(), declared: Vec::new() };
        let mut global = Scope::default();
        reader.block(&statements, &mut global, &mut Vec::new());
        reader.finish(&global);
    }
    Ok(())
}

/// The statements with those of included files in their place.
fn included(
    draft: &mut Draft,
    statements: Vec<Statement>,
    library: &dyn Library,
    opened: &mut Vec<String>,
) -> Result<Vec<Statement>, ImportError> {
    let mut all = Vec::new();
    for mut statement in statements {
        if let Some(block) = statement.block.take() {
            statement.block = Some(included(draft, block, library, opened)?);
        }
        let path = match statement.words().as_slice() {
            ["include", path] => (*path).to_owned(),
            _ => {
                all.push(statement);
                continue;
            }
        };
        if opened.contains(&path) {
            draft.report(&statement.place, statement.text(), Reason::IncludesItself);
            continue;
        }
        let from = statement.place.file.clone();
        let include = super::Include { path: path.clone(), from, is_directory: false };
        match library.open(&include) {
            Err(why) => draft.report(&statement.place, statement.text(), Reason::Unreadable(why)),
            Ok(sources) => {
                opened.push(path);
                for source in sources {
                    let inner = syntax::parse(&source)?;
                    all.extend(included(draft, inner, library, opened)?);
                }
                opened.pop();
            }
        }
    }
    Ok(all)
}

/// What one pair of braces says, in the order of the text.
#[derive(Clone, Debug, Default)]
struct Scope {
    settings: Vec<Setting>,
    /// The link that the subnets within share.
    shared_network: Option<String>,
}

/// A subnet, to be finished when all of its scopes are known.
#[derive(Debug)]
struct OpenSubnet {
    name: String,
    /// The settings of the scopes around it, and its own, but for the global ones.
    settings: Vec<Vec<Setting>>,
}

struct Reader<'a> {
    draft: &'a mut Draft,
    spaces: Spaces,
    subnets: Vec<OpenSubnet>,
    /// Settings of the scopes between the whole file and a host: groups.
    declared: Vec<Vec<Setting>>,
}

impl Reader<'_> {
    /// Reads the statements of a block. `around` are the scopes between the whole file and it.
    fn block(
        &mut self,
        statements: &[Statement],
        scope: &mut Scope,
        around: &mut Vec<Vec<Setting>>,
    ) {
        // Settings first: they hold for declarations above them as well.
        for statement in statements.iter().filter(|one| one.block.is_none()) {
            let setting = self.setting(statement);
            scope.settings.extend(setting);
        }
        let mut condition = None;
        for statement in statements.iter().filter(|one| one.block.is_some()) {
            self.declaration(statement, scope, around, &mut condition);
        }
    }

    fn declaration(
        &mut self,
        statement: &Statement,
        scope: &mut Scope,
        around: &mut Vec<Vec<Setting>>,
        condition: &mut Option<Condition>,
    ) {
        let block = statement.block.as_deref().unwrap_or_default();
        let words = statement.words();
        match words.as_slice() {
            ["subnet", network, "netmask", mask] => {
                self.subnet(statement, [network, mask], scope, around)
            }
            ["subnet6", ..] => self.leave_out(statement, &Reason::Ipv6),
            ["shared-network", name] => {
                let mut inner = Scope { shared_network: Some(noun_name(name)), ..Scope::default() };
                self.nested(block, &mut inner, around, false);
            }
            ["group", ..] => {
                let mut inner =
                    Scope { shared_network: scope.shared_network.clone(), ..Scope::default() };
                self.nested(block, &mut inner, around, true);
            }
            ["host", name] => self.host(statement, name, block),
            ["pool" | "pool6", ..] => self.leave_out(statement, &Reason::NoCounterpart),
            ["class", _] => self.class(statement, scope),
            ["if", condition_words @ ..] => {
                let one = Condition::read(condition_words);
                self.conditional(statement, &one, scope);
                *condition = Some(one);
            }
            ["elsif", condition_words @ ..] => {
                let one = Condition::read(condition_words);
                self.conditional(statement, &one, scope);
            }
            ["else", "if", condition_words @ ..] => {
                let one = Condition::read(condition_words);
                self.conditional(statement, &one, scope);
            }
            ["else"] => {
                // What no condition about UEFI names is what a BIOS gets.
                let one = match condition.take() {
                    Some(Condition { arch: Some(_), .. }) => Condition {
                        arch: Some(FirmwareArch::Bios),
                        text: "else".into(),
                        is_pxe: false,
                    },
                    _ => Condition { arch: None, text: "else".into(), is_pxe: false },
                };
                self.conditional(statement, &one, scope);
            }
            ["key" | "zone", ..] => self.leave_out(statement, &Reason::DynamicDns),
            ["on", ..] | ["switch", ..] => {
                let condition = Reason::Conditional(statement.head());
                self.leave_out(statement, &condition);
            }
            _ => self.leave_out(statement, &Reason::NoCounterpart),
        }
    }

    /// Reads a block of declarations. What a group says holds for its hosts wherever they are;
    /// what a shared network says is its subnets'.
    fn nested(
        &mut self,
        block: &[Statement],
        inner: &mut Scope,
        around: &mut Vec<Vec<Setting>>,
        is_group: bool,
    ) {
        // The settings have to be known before the declarations: hosts and subnets copy them.
        for statement in block.iter().filter(|one| one.block.is_none()) {
            let setting = self.setting(statement);
            inner.settings.extend(setting);
        }
        let mut condition = None;
        let (conditions, others): (Vec<&Statement>, Vec<&Statement>) =
            block.iter().filter(|one| one.block.is_some()).partition(|one| one.is_conditional());
        for statement in conditions {
            self.declaration(statement, inner, around, &mut condition);
        }
        around.push(inner.settings.clone());
        self.declared.push(if is_group { inner.settings.clone() } else { Vec::new() });
        for statement in others {
            self.declaration(statement, inner, around, &mut None);
        }
        self.declared.pop();
        around.pop();
    }

    fn subnet(
        &mut self,
        statement: &Statement,
        [network, mask]: [&str; 2],
        scope: &Scope,
        around: &[Vec<Setting>],
    ) {
        let cidr = network.parse::<Ipv4Addr>().ok().zip(mask.parse::<Ipv4Addr>().ok());
        let cidr = cidr.and_then(|(network, mask)| Ipv4Net::with_netmask(network, mask).ok());
        let Some(cidr) = cidr else {
            let reason = Reason::Invalid(format!("{network} with netmask {mask} is not a subnet"));
            self.leave_out(statement, &reason);
            return;
        };
        let name = self.draft.subnet(IpNet::V4(cidr), None, &statement.place);
        if let Some(subnet) = self.draft.site.subnets.get_mut(&name) {
            subnet.shared_network = scope.shared_network.clone();
        }
        let mut own = Scope::default();
        let block = statement.block.as_deref().unwrap_or_default();
        let pools: Vec<&Statement> =
            block.iter().filter(|one| one.words().first() == Some(&"pool")).collect();
        for inner in block.iter().filter(|one| one.block.is_none()) {
            if !self.range(inner, &name) {
                let setting = self.setting(inner);
                own.settings.extend(setting);
            }
        }
        let mut condition = None;
        let mut outer: Vec<Vec<Setting>> = around.to_vec();
        for inner in block.iter().filter(|one| one.block.is_some() && !pools.contains(one)) {
            self.declaration(inner, &mut own, &mut outer, &mut condition);
        }
        for pool in &pools {
            let of_pool = self.pool(pool, &name);
            match pools.len() {
                1 => own.settings.extend(of_pool),
                _ => of_pool.into_iter().for_each(|setting| {
                    self.draft.report(&setting.place, setting.text, Reason::OfOnePool);
                }),
            }
        }
        let settings = [around.to_vec(), vec![own.settings]].concat();
        self.subnets.push(OpenSubnet { name, settings });
    }

    /// Reads the ranges of a pool, and gives what else it says.
    fn pool(&mut self, pool: &Statement, subnet: &str) -> Vec<Setting> {
        let mut settings = Vec::new();
        for inner in pool.block.as_deref().unwrap_or_default() {
            if inner.block.is_some() {
                self.leave_out(inner, &Reason::NoCounterpart);
            } else if !self.range(inner, subnet) {
                let setting = self.setting(inner);
                settings.extend(setting);
            }
        }
        settings
    }

    /// Reads `range`, if the statement is one.
    fn range(&mut self, statement: &Statement, subnet: &str) -> bool {
        let words = statement.words();
        let ["range", rest @ ..] = words.as_slice() else { return false };
        let (is_bootp, rest) = match rest {
            ["dynamic-bootp", rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let ends: Option<Vec<IpAddr>> = rest.iter().map(|word| word.parse().ok()).collect();
        let (from, to) = match ends.as_deref() {
            Some([from]) => (*from, *from),
            Some([from, to]) => (*from.min(to), *from.max(to)),
            _ => {
                self.draft.report(&statement.place, statement.text(), Reason::NotAnAddress);
                return true;
            }
        };
        if let Some(subnet) = self.draft.site.subnets.get_mut(subnet) {
            subnet.ranges.push(Range { from, to, used_for: RangeUse::Dhcp });
            subnet.bootp |= is_bootp;
        }
        true
    }

    fn host(&mut self, statement: &Statement, name: &str, block: &[Statement]) {
        let mut client = Client::new(statement.place.clone(), statement.head());
        let mut own = Vec::new();
        let mut wanted = name.to_owned();
        for inner in block {
            let words = inner.words();
            match words.as_slice() {
                _ if inner.block.is_some() => {
                    let condition = Reason::Conditional(inner.head());
                    self.leave_out(inner, &condition);
                }
                ["hardware", "ethernet", mac] => match mac.parse::<Mac>() {
                    Ok(mac) => client.nics.push(NicAddress::Mac(mac)),
                    Err(error) => {
                        let reason = Reason::Invalid(error.to_string());
                        self.draft.report(&inner.place, inner.text(), reason);
                    }
                },
                ["fixed-address", addresses @ ..] => {
                    for address in addresses.iter().filter(|word| **word != ",") {
                        match address.parse::<Ipv4Addr>() {
                            Ok(address) => client.addresses.push(address.into()),
                            Err(_) => {
                                self.draft.report(&inner.place, inner.text(), Reason::NotAnAddress)
                            }
                        }
                    }
                }
                ["fixed-address6" | "fixed-prefix6", ..] => {
                    self.draft.report(&inner.place, inner.text(), Reason::Ipv6);
                }
                ["option", "host-name", name] => wanted = (*name).to_owned(),
                ["option", "dhcp-client-identifier", _] | ["uid", _] => {
                    client.known_by.client_id = inner.tokens.last().map(octets);
                }
                ["host-identifier", "option", "agent.circuit-id", _] => {
                    client.known_by.circuit_id = inner.tokens.last().map(octets);
                }
                ["host-identifier", "option", "agent.remote-id", _] => {
                    client.known_by.remote_id = inner.tokens.last().map(octets);
                }
                ["deny" | "ignore", "booting"] => client.is_ignored = true,
                ["allow", "booting"] | ["dynamic"] => {}
                ["ddns-hostname", ..] | ["ddns-domainname", ..] => {
                    self.draft.report(&inner.place, inner.text(), Reason::DynamicDns);
                }
                _ => {
                    let setting = self.setting(inner);
                    own.extend(setting);
                }
            }
        }
        client.name = Some(wanted);
        let scopes = self.declared.iter().map(Vec::as_slice).chain([own.as_slice()]);
        client.settings = overlaid(scopes);
        // What a group says of subnets is said there.
        client.settings.retain(|setting| {
            matches!(
                setting.what,
                What::Option { .. } | What::NextServer(_) | What::BootFile { .. } | What::Not(_)
            )
        });
        self.draft.client(client);
    }

    /// A class whose statements hold for all clients that boot from the network is what they
    /// say; of any other the statements depend on the client.
    fn class(&mut self, statement: &Statement, scope: &mut Scope) {
        let block = statement.block.as_deref().unwrap_or_default();
        let is_match = |one: &&Statement| one.words().first() == Some(&"match");
        let words = block.iter().find(is_match).map(Statement::words).unwrap_or_default();
        let condition = Condition::read(words.get(2..).unwrap_or_default());
        let rest: Vec<Statement> = block.iter().filter(|one| !is_match(one)).cloned().collect();
        let of_class = Statement { block: Some(rest), ..statement.clone() };
        self.conditional(&of_class, &condition, scope);
    }

    /// What stands below a condition: boot files by architecture are taken, the rest is reported.
    fn conditional(&mut self, statement: &Statement, condition: &Condition, scope: &mut Scope) {
        let mut inner_condition = None;
        for inner in statement.block.as_deref().unwrap_or_default() {
            let words = inner.words();
            if inner.block.is_some() {
                if !condition.is_pxe {
                    self.leave_out(inner, &Reason::Conditional(condition.text.clone()));
                    continue;
                }
                self.declaration(inner, scope, &mut Vec::new(), &mut inner_condition);
                continue;
            }
            let what = match (words.as_slice(), condition.arch) {
                (["filename", file], Some(arch)) => {
                    What::BootFile { arch: Some(arch), file: (*file).to_owned() }
                }
                (["filename", file], None) if condition.is_pxe => {
                    What::BootFile { arch: None, file: (*file).to_owned() }
                }
                (["next-server", _], arch) if condition.is_pxe || arch.is_some() => {
                    let setting = self.setting(inner);
                    scope.settings.extend(setting);
                    continue;
                }
                _ => What::Not(Reason::Conditional(condition.text.clone())),
            };
            let setting = Setting { place: inner.place.clone(), text: inner.text(), what };
            match &setting.what {
                What::Not(reason) => self.draft.report(&inner.place, inner.text(), reason.clone()),
                _ => scope.settings.push(setting),
            }
        }
    }

    /// Reports a declaration that is not taken over, statement by statement.
    fn leave_out(&mut self, statement: &Statement, reason: &Reason) {
        let text = match statement.block {
            Some(_) => statement.head(),
            None => statement.text(),
        };
        self.draft.report(&statement.place, text, reason.clone());
        for inner in statement.block.as_deref().unwrap_or_default() {
            self.leave_out(inner, reason);
        }
    }

    /// What a statement without braces says.
    fn setting(&mut self, statement: &Statement) -> Option<Setting> {
        let what = self.what(statement)?;
        Some(Setting { place: statement.place.clone(), text: statement.text(), what })
    }

    fn what(&mut self, statement: &Statement) -> Option<What> {
        let words = statement.words();
        let not = |reason| Some(What::Not(reason));
        let number = |word: &str| word.parse::<u64>().ok();
        match words.as_slice() {
            // Declarations of options, which are known already.
            ["option", "space", ..] | ["option", _, "code", ..] => None,
            ["vendor-option-space" | "site-option-space", _] => None,
            ["option", name, ..] => match self.spaces.value(name, statement.tokens.get(2..)?) {
                Ok(Some(what)) => Some(what),
                Ok(None) => None,
                Err(reason) => not(reason),
            },
            ["default-lease-time", seconds] => number(seconds).map(What::LeaseSeconds),
            ["max-lease-time" | "min-lease-time", _] => not(Reason::Invalid(
                "clients get what they ask for up to lease-time, which is default-lease-time"
                    .into(),
            )),
            ["filename", file] => Some(What::BootFile { arch: None, file: (*file).to_owned() }),
            ["next-server", server] => match server.parse() {
                Ok(address) => Some(What::NextServer(address)),
                Err(_) => not(Reason::NotAnAddress),
            },
            ["server-name", _] => not(Reason::BootServer),
            ["deny" | "ignore", "unknown-clients"] => Some(What::RefuseUnknown),
            ["allow", "bootp"] => Some(What::Bootp),
            ["ping-check", "false" | "off" | "0"] => Some(What::NoProbe),
            ["min-secs", seconds] => seconds.parse().ok().map(What::MinSecs),
            // What rackstrap does in any case.
            ["allow", "unknown-clients" | "booting"]
            | ["deny" | "ignore", "bootp"]
            | ["ping-check", ..]
            | ["use-host-decl-names", "on" | "true"]
            | ["ddns-update-style", "none"]
            | ["ddns-updates", "off" | "false"]
            | ["deny" | "ignore", "client-updates"] => None,
            ["authoritative"] => not(Reason::OfServer),
            ["not", "authoritative"] => not(Reason::OfServer),
            [word, ..]
                if word.starts_with("ddns-")
                    || matches!(
                        *word,
                        "update-static-leases"
                            | "do-forward-updates"
                            | "update-optimization"
                            | "update-conflict-detection"
                    ) =>
            {
                not(Reason::DynamicDns)
            }
            ["allow", "client-updates"] => not(Reason::DynamicDns),
            ["primary" | "secondary" | "algorithm" | "secret", ..] => not(Reason::DynamicDns),
            [word, ..] if SERVER_WORDS.contains(word) || word.starts_with("ldap-") => {
                not(Reason::OfServer)
            }
            ["subclass" | "match" | "spawn" | "lease" | "set" | "log", ..] => {
                not(Reason::Conditional(statement.head()))
            }
            _ => not(Reason::NoCounterpart),
        }
    }

    fn finish(self, global: &Scope) {
        let mut used = Vec::new();
        for subnet in self.subnets {
            let scopes = [global.settings.as_slice()].into_iter();
            let settings = overlaid(scopes.chain(subnet.settings.iter().map(Vec::as_slice)));
            self.draft.set_subnet(&subnet.name, &settings);
            used.push(subnet.name);
        }
        if used.is_empty() {
            for setting in &global.settings {
                let reason = match &setting.what {
                    What::Not(reason) => reason.clone(),
                    _ => Reason::WithoutSubnet,
                };
                self.draft.report(&setting.place, setting.text.clone(), reason);
            }
        }
    }
}

/// Statements about the server itself.
const SERVER_WORDS: [&str; 26] = [
    "log-facility",
    "omapi-port",
    "omapi-key",
    "local-port",
    "local-address",
    "remote-port",
    "lease-file-name",
    "pid-file-name",
    "dhcpv6-lease-file-name",
    "server-identifier",
    "server-id-check",
    "db-time-format",
    "delayed-ack",
    "max-ack-delay",
    "dhcp-cache-threshold",
    "abandon-lease-time",
    "adaptive-lease-time-threshold",
    "stash-agent-options",
    "one-lease-per-client",
    "always-reply-rfc1048",
    "always-broadcast",
    "get-lease-hostnames",
    "failover",
    "interface",
    "release-on-roam",
    "ping-timeout",
];

/// What statements depend on.
#[derive(Clone, Debug)]
struct Condition {
    text: String,
    /// The only architecture that fulfils it.
    arch: Option<FirmwareArch>,
    /// Whether every client that boots from the network fulfils it.
    is_pxe: bool,
}

impl Condition {
    fn read(words: &[&str]) -> Self {
        let text = words.join(" ");
        let is_pxe =
            words.contains(&"PXEClient") && !words.contains(&"and") && !words.contains(&"not");
        // `option NAME = 00:07`, where NAME is option 93 in practice.
        let value = match words {
            ["option", name, "=", value]
                if name.contains("arch") || name.contains("system-type") =>
            {
                Some(*value)
            }
            _ => None,
        };
        Self { arch: value.and_then(arch_of), text, is_pxe }
    }
}

/// The architecture with this number in option 93 (RFC 4578, and the registry of processor
/// architectures).
pub(super) fn arch_of(value: &str) -> Option<FirmwareArch> {
    let digits: String = value.chars().filter(|c| *c != ':').collect();
    let number = match value.contains(':') {
        true => u16::from_str_radix(&digits, 16).ok()?,
        false => value.parse().ok()?,
    };
    arch_numbered(number)
}

/// The same by the number.
pub(super) fn arch_numbered(number: u16) -> Option<FirmwareArch> {
    Some(match number {
        0 => FirmwareArch::Bios,
        6 => FirmwareArch::X86,
        7 | 9 => FirmwareArch::X64,
        10 => FirmwareArch::Arm32,
        11 => FirmwareArch::Arm64,
        25 => FirmwareArch::Riscv32,
        27 => FirmwareArch::Riscv64,
        39 => FirmwareArch::Loong64,
        _ => return None,
    })
}

/// The architecture with this number, in hexadecimal digits.
pub(super) fn arch_of_bytes(digits: &str) -> Option<FirmwareArch> {
    arch_numbered(u16::from_str_radix(digits.trim(), 16).ok()?)
}

/// The option with a name of ISC's, which Kea has as well.
pub(super) fn code_named(name: &str) -> Option<u8> {
    spaces::code_named(name)
}

/// A value of a type that a file declares.
///
/// # Errors
/// The words are not of the type.
pub(super) fn typed_words(kind: &str, words: &[String]) -> Result<OptionWords, Reason> {
    let tokens: Vec<Token> =
        words.iter().map(|word| Token { text: word.clone(), is_quoted: true }).collect();
    spaces::typed(kind, &tokens)
}

/// A data string: text in quotes, or bytes with colons.
fn octets(token: &Token) -> Octets {
    match token.bytes() {
        Some(bytes) if !token.is_quoted => Octets(bytes),
        _ => Octets(token.text.clone().into_bytes()),
    }
}

impl Statement {
    fn is_conditional(&self) -> bool {
        matches!(self.words().first(), Some(&("if" | "elsif" | "else" | "class")))
    }
}

/// The settings of options that dhcpd knows by name, for the options of a subnet or host.
fn plain(code: u8, tokens: &[Token]) -> What {
    let words: Vec<String> = tokens
        .iter()
        .filter(|token| token.text != "," || token.is_quoted)
        .map(|token| token.text.clone())
        .collect();
    let value = match tokens {
        // A string that is written in bytes.
        [token] if !token.is_quoted && token.text.contains(':') => match token.bytes() {
            Some(bytes) => OptionWords::Bytes(bytes),
            None => OptionWords::Words(words),
        },
        _ if code == code::VENDOR_SPECIFIC && tokens.iter().all(|token| !token.is_quoted) => {
            let bytes: Option<Vec<Vec<u8>>> = tokens.iter().map(Token::bytes).collect();
            bytes.map_or(OptionWords::Words(words), |all| OptionWords::Bytes(all.concat()))
        }
        _ => OptionWords::Words(words),
    };
    What::Option { code, sub: None, value }
}
