//! Kea's configuration of DHCPv4 (kea-dhcp4(8)): JSON with comments and includes. Pure.

mod text;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use super::dhcpd::{arch_of_bytes, typed_words};
use super::draft::{Client, Draft, noun_name};
use super::options::{OptionWords, Setting, What, overlaid};
use super::{ImportError, Library, Place, Reason, Source};
use crate::model::{Mac, NicAddress, Octets, Range, RangeUse};
use crate::options::code;
use crate::tree::{Content, Key, Node};
use text::Lines;

/// Reads files, and those that they include.
pub(super) fn read(
    draft: &mut Draft,
    files: &[&Source],
    library: &dyn Library,
) -> Result<(), ImportError> {
    for file in files {
        let lines = Lines::read(draft, file, library);
        let root = crate::tree::parse(&lines.text).map_err(|refusal| ImportError::Syntax {
            place: lines.place(refusal.position.unwrap_or_default()),
            message: refusal.told(),
        })?;
        Reader { draft, lines: &lines, definitions: Vec::new() }.file(&root);
    }
    Ok(())
}

/// An option that the file defines.
#[derive(Clone, Debug)]
struct Definition {
    name: String,
    space: String,
    code: u8,
    kind: String,
    encapsulates: Option<String>,
}

struct Reader<'a> {
    draft: &'a mut Draft,
    lines: &'a Lines,
    definitions: Vec<Definition>,
}

/// Keys about the server itself.
const SERVER_KEYS: [&str; 30] = [
    "interfaces-config",
    "lease-database",
    "hosts-database",
    "hosts-databases",
    "config-control",
    "control-socket",
    "control-sockets",
    "hooks-libraries",
    "loggers",
    "expired-leases-processing",
    "multi-threading",
    "dhcp-queue-control",
    "sanity-checks",
    "statistic-default-sample-count",
    "statistic-default-sample-age",
    "decline-probation-period",
    "dhcp4o6-port",
    "echo-client-id",
    "server-tag",
    "parked-packet-limit",
    "early-global-reservations-lookup",
    "ip-reservations-unique",
    "reservations-lookup-first",
    "compatibility",
    "store-extended-info",
    "allocator",
    "offer-lifetime",
    "authoritative",
    "interface",
    "require-client-classes",
];
/// Keys that say what rackstrap does in any case, or that only name something.
const SILENT_KEYS: [&str; 10] = [
    "id",
    "match-client-id",
    "reservation-mode",
    "reservations-in-subnet",
    "reservations-out-of-pool",
    "reservations-global",
    "host-reservation-identifiers",
    "calculate-tee-times",
    "server-hostname-unset",
    "4o6-interface-unset",
];

/// A text, a number or a truth.
fn scalar(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

fn items(node: &Node) -> &[Arc<Node>] {
    match &node.content {
        Content::List(items) => items,
        _ => &[],
    }
}

fn entries(node: &Node) -> &[(Key, Arc<Node>)] {
    node.entries().unwrap_or_default()
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    entries(node).iter().find(|(key, _)| key.text == name).map(|(_, value)| value.as_ref())
}

fn text<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    field(node, name).and_then(scalar)
}

impl Reader<'_> {
    fn place(&self, node: &Node) -> Place {
        self.lines.place(node.position)
    }

    fn report(&mut self, key: &Key, value: &Node, reason: Reason) {
        let place = self.lines.place(key.position);
        let text = match scalar(value) {
            Some(value) => format!("\"{}\": {value}", key.text),
            None => format!("\"{}\"", key.text),
        };
        self.draft.report(&place, text, reason);
    }

    fn file(&mut self, root: &Node) {
        for (key, value) in entries(root) {
            match key.text.as_str() {
                "Dhcp4" => self.dhcp4(value),
                "Dhcp6" => self.report(key, value, Reason::Ipv6),
                "DhcpDdns" => self.report(key, value, Reason::DynamicDns),
                "Control-agent" | "Logging" => self.report(key, value, Reason::OfServer),
                // A file that Dhcp4 includes, given by itself.
                "subnet4" => self.dhcp4(root),
                _ if field(root, "subnet4").is_some() => {}
                _ => self.report(key, value, Reason::NoCounterpart),
            }
        }
    }

    fn dhcp4(&mut self, dhcp4: &Node) {
        for definition in field(dhcp4, "option-def").map(items).unwrap_or_default() {
            self.define(definition);
        }
        let mut global = self.settings(dhcp4);
        for class in field(dhcp4, "client-classes").map(items).unwrap_or_default() {
            self.class(class, &mut global);
        }
        let scopes = vec![global];
        for network in field(dhcp4, "shared-networks").map(items).unwrap_or_default() {
            let own = self.settings(network);
            let name = text(network, "name").map(noun_name);
            let scopes = [scopes.clone(), vec![own]].concat();
            self.subnets(network, &scopes, name.as_deref());
        }
        self.subnets(dhcp4, &scopes, None);
        self.reservations(dhcp4);
    }

    fn define(&mut self, node: &Node) {
        let number = text(node, "code").and_then(|code| code.parse().ok());
        let (Some(name), Some(code)) = (text(node, "name"), number) else { return };
        let array = matches!(text(node, "array"), Some("true"));
        let kind = text(node, "type").unwrap_or("empty");
        self.definitions.push(Definition {
            name: name.to_owned(),
            space: text(node, "space").unwrap_or("dhcp4").to_owned(),
            code,
            kind: if array { format!("array of {kind}") } else { kind.to_owned() },
            encapsulates: text(node, "encapsulate")
                .filter(|one| !one.is_empty())
                .map(str::to_owned),
        });
    }

    /// What a scope says to its clients. Keys that are read elsewhere are passed over.
    fn settings(&mut self, scope: &Node) -> Vec<Setting> {
        let mut settings = Vec::new();
        for (key, value) in entries(scope) {
            let number = || scalar(value).and_then(|text| text.parse::<u64>().ok());
            let word = scalar(value).unwrap_or_default();
            let what = match key.text.as_str() {
                "option-def" | "client-classes" | "shared-networks" | "subnet4"
                | "reservations" | "pools" | "name" | "subnet" | "relay" | "comment"
                | "user-context" | "test" => {
                    continue;
                }
                "option-data" => {
                    items(value).iter().for_each(|option| settings.extend(self.option(option)));
                    continue;
                }
                "valid-lifetime" => number().map(What::LeaseSeconds),
                "renew-timer" => Some(time(code::RENEWAL_TIME, word)),
                "rebind-timer" => Some(time(code::REBINDING_TIME, word)),
                "next-server" if matches!(word, "" | "0.0.0.0") => continue,
                "next-server" => word.parse().ok().map(What::NextServer),
                "boot-file-name" | "server-hostname" if word.is_empty() => continue,
                "boot-file-name" => Some(What::BootFile { arch: None, file: word.to_owned() }),
                "server-hostname" => Some(What::Not(Reason::BootServer)),
                "max-valid-lifetime" | "min-valid-lifetime" => Some(What::Not(Reason::Invalid(
                    "clients get what they ask for up to lease-time, which is valid-lifetime"
                        .into(),
                ))),
                silent if SILENT_KEYS.contains(&silent) => continue,
                server if SERVER_KEYS.contains(&server) => Some(What::Not(Reason::OfServer)),
                ddns if ddns.starts_with("ddns-")
                    || ddns.starts_with("hostname-char")
                    || ddns == "dhcp-ddns" =>
                {
                    Some(What::Not(Reason::DynamicDns))
                }
                _ => Some(What::Not(Reason::NoCounterpart)),
            };
            let what = what.unwrap_or_else(|| {
                What::Not(Reason::Invalid(format!("\"{word}\" is not a value for it")))
            });
            let text = format!("\"{}\": {word}", key.text);
            let place = self.lines.place(key.position);
            match what {
                // Reported at once: a scope may be without subnets.
                What::Not(reason) => {
                    let text = text.trim_end_matches([':', ' ']).to_owned();
                    self.draft.report(&place, text, reason);
                }
                what => settings.push(Setting { place, text, what }),
            }
        }
        settings
    }

    fn option(&mut self, option: &Node) -> Option<Setting> {
        let place = self.place(option);
        let name =
            text(option, "name").or_else(|| text(option, "code")).unwrap_or_default().to_owned();
        let data = text(option, "data").unwrap_or_default();
        let shown = format!("option {name} = {data}");
        match self.option_value(option, data) {
            Ok(Some(what)) => Some(Setting { place, text: shown, what }),
            Ok(None) => None,
            Err(reason) => {
                self.draft.report(&place, shown, reason);
                None
            }
        }
    }

    fn option_value(&self, option: &Node, data: &str) -> Result<Option<What>, Reason> {
        let space = text(option, "space").unwrap_or("dhcp4");
        let (name, number) = (text(option, "name"), text(option, "code"));
        let number: Option<u8> = number.and_then(|number| number.parse().ok());
        let defined = self.definitions.iter().find(|one| {
            one.space == space && (Some(one.name.as_str()) == name || Some(one.code) == number)
        });
        if defined.is_some_and(|one| one.encapsulates.is_some()) && data.is_empty() {
            return Ok(None);
        }
        let is_bytes = matches!(text(option, "csv-format"), Some("false"));
        let words = comma_separated(data);
        let value = match (is_bytes, defined) {
            (true, _) => OptionWords::Bytes(hexadecimal(data)?),
            (false, Some(definition)) => typed_words(&definition.kind, &words)?,
            (false, None) => OptionWords::Words(words),
        };
        let code = defined.map(|one| one.code).or(number);
        if space == "dhcp4" {
            let code = code.or_else(|| name.and_then(code_named));
            let code = code.ok_or_else(|| {
                let name = name.unwrap_or_default();
                Reason::Invalid(format!("option {name} is neither known nor defined"))
            })?;
            return Ok(Some(What::Option { code, sub: None, value }));
        }
        let carrier = match space {
            "vendor-encapsulated-options-space" => Some(code::VENDOR_SPECIFIC),
            _ => self
                .definitions
                .iter()
                .find(|one| one.encapsulates.as_deref() == Some(space))
                .map(|one| one.code),
        };
        match (carrier, code) {
            (Some(carrier), Some(sub)) => {
                Ok(Some(What::Option { code: carrier, sub: Some(sub), value }))
            }
            _ => Err(Reason::UnsentSpace(space.to_owned())),
        }
    }

    /// Boot files that a class gives to one architecture; everything else depends on the client.
    fn class(&mut self, class: &Node, global: &mut Vec<Setting>) {
        let test = text(class, "test").unwrap_or_default().to_owned();
        let name = text(class, "name").unwrap_or_default().to_owned();
        let is_pxe =
            test.contains("PXEClient") && !test.contains(" and ") && !test.contains("not ");
        let arch = arch_in_test(&test);
        let settings = self.settings(class);
        if settings.is_empty() {
            let place = self.place(class);
            self.draft.report(&place, format!("class {name}"), Reason::Conditional(test));
            return;
        }
        for setting in settings {
            let what = match setting.what {
                What::BootFile { file, .. } if arch.is_some() || is_pxe => {
                    What::BootFile { arch, file }
                }
                What::NextServer(server) if arch.is_some() || is_pxe => What::NextServer(server),
                _ => {
                    let reason = Reason::Conditional(format!("class {name}: {test}"));
                    self.draft.report(&setting.place, setting.text, reason);
                    continue;
                }
            };
            global.push(Setting { what, ..setting });
        }
    }

    fn subnets(&mut self, scope: &Node, outer: &[Vec<Setting>], shared: Option<&str>) {
        for subnet in field(scope, "subnet4").map(items).unwrap_or_default() {
            let given = text(subnet, "subnet").unwrap_or_default();
            let Ok(cidr) = given.parse::<Ipv4Net>() else {
                let place = self.place(subnet);
                let reason = Reason::Invalid(format!("\"{given}\" is not an IPv4 prefix"));
                self.draft.report(&place, format!("subnet {given}"), reason);
                continue;
            };
            let place = self.place(subnet);
            let name = self.draft.subnet(IpNet::V4(cidr), None, &place);
            let mut own = self.settings(subnet);
            own.extend(self.pools(subnet, &name));
            let relays = self.relays(subnet, cidr);
            if let Some(known) = self.draft.site.subnets.get_mut(&name) {
                known.shared_network = shared.map(str::to_owned);
                known.notes = comment(subnet);
                known.relay_addresses = relays;
            }
            let scopes = outer.iter().map(Vec::as_slice).chain([own.as_slice()]);
            self.draft.set_subnet(&name, &overlaid(scopes));
            self.reservations(subnet);
        }
    }

    fn relays(&self, subnet: &Node, cidr: Ipv4Net) -> Vec<Ipv4Addr> {
        let Some(relay) = field(subnet, "relay") else { return Vec::new() };
        let listed = field(relay, "ip-addresses").map(items).unwrap_or_default();
        let words = listed.iter().filter_map(|node| scalar(node)).chain(text(relay, "ip-address"));
        let addresses = words.filter_map(|word| word.parse::<Ipv4Addr>().ok());
        // A relay inside the subnet is known by that.
        addresses.filter(|address| !cidr.contains(address)).collect()
    }

    fn pools(&mut self, subnet: &Node, name: &str) -> Vec<Setting> {
        let pools = field(subnet, "pools").map(items).unwrap_or_default();
        let mut settings = Vec::new();
        for pool in pools {
            let given = text(pool, "pool").unwrap_or_default();
            let ends = match given.split_once('-') {
                Some((from, to)) => from.trim().parse().ok().zip(to.trim().parse().ok()),
                None => {
                    given.trim().parse::<Ipv4Net>().ok().map(|net| (net.network(), net.broadcast()))
                }
            };
            let place = self.place(pool);
            let Some((from, to)) = ends else {
                self.draft.report(&place, format!("pool {given}"), Reason::NotAnAddress);
                continue;
            };
            let (from, to): (IpAddr, IpAddr) = (Ipv4Addr::into(from), Ipv4Addr::into(to));
            if let Some(subnet) = self.draft.site.subnets.get_mut(name) {
                subnet.ranges.push(Range { from, to, used_for: RangeUse::Dhcp });
            }
            for (key, value) in entries(pool) {
                if matches!(key.text.as_str(), "client-class" | "client-classes") {
                    let reason = Reason::Conditional("the range is for one class".into());
                    self.report(key, value, reason);
                }
            }
            let own: Vec<Setting> = match &pool.content {
                Content::Map(all) => {
                    let rest = all.iter().filter(|(key, _)| {
                        !matches!(
                            key.text.as_str(),
                            "pool" | "client-class" | "client-classes" | "pool-id"
                        )
                    });
                    self.settings(&Node::made(Content::Map(rest.cloned().collect())))
                }
                _ => Vec::new(),
            };
            match pools.len() {
                1 => settings.extend(own),
                _ => own.into_iter().for_each(|setting| {
                    self.draft.report(&setting.place, setting.text, Reason::OfOnePool);
                }),
            }
        }
        settings
    }

    fn reservations(&mut self, scope: &Node) {
        for one in field(scope, "reservations").map(items).unwrap_or_default() {
            self.reservation(one);
        }
    }

    fn reservation(&mut self, node: &Node) {
        let named = ["hostname", "hw-address", "ip-address", "client-id"];
        let shown = named.iter().find_map(|key| text(node, key)).unwrap_or_default();
        let mut client = Client::new(self.place(node), format!("reservation {shown}"));
        client.notes = comment(node);
        let mut rest = Vec::new();
        for (key, value) in entries(node) {
            let word = scalar(value).unwrap_or_default();
            match key.text.as_str() {
                "hw-address" => match word.parse::<Mac>() {
                    Ok(mac) => client.nics.push(NicAddress::Mac(mac)),
                    Err(error) => self.report(key, value, Reason::Invalid(error.to_string())),
                },
                "ip-address" => match word.parse::<Ipv4Addr>() {
                    Ok(address) => client.addresses.push(address.into()),
                    Err(_) => self.report(key, value, Reason::NotAnAddress),
                },
                "hostname" => {
                    client.name = Some(word.to_owned()).filter(|name| !name.is_empty());
                }
                "client-id" | "duid" => client.known_by.client_id = octets(word),
                "circuit-id" => client.known_by.circuit_id = octets(word),
                "flex-id" => self.report(key, value, Reason::NoCounterpart),
                "client-classes" => {
                    let labels = items(value).iter().filter_map(|one| scalar(one));
                    client.labels.extend(labels.map(noun_name));
                }
                "comment" | "user-context" => {}
                _ => rest.push((key.clone(), value.clone())),
            }
        }
        client.settings = self.settings(&Node::made(Content::Map(rest)));
        self.draft.client(client);
    }
}

/// The comment of an entry, as Kea keeps it.
fn comment(node: &Node) -> Option<String> {
    let context = field(node, "user-context").and_then(|context| text(context, "comment"));
    text(node, "comment").or(context).map(str::to_owned)
}

fn time(code: u8, word: &str) -> What {
    What::Option { code, sub: None, value: OptionWords::Words(vec![word.to_owned()]) }
}

/// The architecture in `option[93].hex == 0x0007`.
fn arch_in_test(test: &str) -> Option<crate::model::FirmwareArch> {
    let (left, right) = test.split_once("==")?;
    let is_arch = left.contains("option[93]") || left.contains("option[client-system]");
    let is_single = !test.contains(" and ") && !test.contains(" or ");
    let digits = right.trim().strip_prefix("0x")?;
    (is_arch && is_single).then(|| arch_of_bytes(digits)).flatten()
}

/// The words of a list; `\,` is a comma in a word.
fn comma_separated(data: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = data.chars().peekable();
    while let Some(next) = characters.next() {
        match (next, words.last_mut()) {
            ('\\', Some(word)) if characters.peek() == Some(&',') => {
                word.push(',');
                characters.next();
            }
            (',', _) => words.push(String::new()),
            (other, Some(word)) => word.push(other),
            _ => {}
        }
    }
    words.iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

fn hexadecimal(data: &str) -> Result<Vec<u8>, Reason> {
    // Kea's text in quotes: 'text'.
    if let Some(text) = data.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return Ok(text.as_bytes().to_vec());
    }
    let digits = data.trim_start_matches("0x");
    let octets: Result<Octets, _> = format!("hex:{digits}").parse();
    octets.map(|octets| octets.0).map_err(|error| Reason::Invalid(error.to_string()))
}

fn octets(word: &str) -> Option<Octets> {
    hexadecimal(word).ok().map(Octets)
}

fn code_named(name: &str) -> Option<u8> {
    super::dhcpd::code_named(name)
}
