//! dnsmasq's configuration (dnsmasq(8)), with its files of hosts and options, `/etc/hosts` and
//! `/etc/ethers`. Pure.

mod lines;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::dhcpd::arch_numbered;
use super::draft::{Client, Draft, noun_name};
use super::options::{OptionWords, Setting, What, overlaid};
use super::{ImportError, Library, Question, Reason, Source};
use crate::model::{FirmwareArch, Mac, NicAddress, Octets, Range, RangeUse};
use crate::options::code;
use lines::Line;

/// Reads files, and those that they include.
pub(super) fn read(
    draft: &mut Draft,
    files: &[&Source],
    library: &dyn Library,
) -> Result<(), ImportError> {
    let mut all = Vec::new();
    for file in files {
        lines::read(draft, file, library, &mut vec![file.name.to_string()], &mut all);
    }
    let mut reader = Reader {
        draft,
        said: Vec::new(),
        of_subnets: BTreeMap::new(),
        archs: BTreeMap::new(),
        subnets: Vec::new(),
        clients: Vec::new(),
        names: BTreeMap::new(),
    };
    // What tags mean, before what is said of them.
    all.iter().for_each(|line| reader.learn(line));
    for line in &all {
        reader.line(line)?;
    }
    reader.finish();
    Ok(())
}

/// What a server says, and to which clients.
#[derive(Debug)]
struct Said {
    setting: Setting,
    /// All of these a client must have.
    tags: Vec<String>,
}

struct Reader<'a> {
    draft: &'a mut Draft,
    said: Vec<Said>,
    /// The subnets whose clients have a tag.
    of_subnets: BTreeMap<String, Vec<String>>,
    /// Tags that clients of one architecture have.
    archs: BTreeMap<String, Option<FirmwareArch>>,
    subnets: Vec<String>,
    clients: Vec<Client>,
    /// Names of `/etc/hosts`, and whether a client has them.
    names: BTreeMap<String, Named>,
}

#[derive(Debug)]
struct Named {
    address: Ipv4Addr,
    line: Line,
    is_used: bool,
}

/// Options by dnsmasq's names (`dnsmasq --help dhcp`), where those are not ours.
const NAMES: [(&str, u8); 36] = [
    ("netmask", code::SUBNET_MASK),
    ("router", code::ROUTER),
    ("dns-server", code::DOMAIN_NAME_SERVER),
    ("log-server", code::LOG_SERVER),
    ("lpr-server", code::LPR_SERVER),
    ("hostname", code::HOST_NAME),
    ("extension-path", code::EXTENSIONS_PATH),
    ("ip-forward-enable", code::IP_FORWARDING),
    ("mtu", code::INTERFACE_MTU),
    ("broadcast", code::BROADCAST_ADDRESS),
    ("router-solicitation", code::ROUTER_SOLICITATION_ADDRESS),
    ("static-route", code::STATIC_ROUTES),
    ("arp-timeout", code::ARP_CACHE_TIMEOUT),
    ("ethernet-encap", code::ETHERNET_ENCAPSULATION),
    ("tcp-ttl", code::TCP_DEFAULT_TTL),
    ("tcp-keepalive", code::TCP_KEEPALIVE_INTERVAL),
    ("nis-server", code::NIS_SERVERS),
    ("ntp-server", code::NTP_SERVERS),
    ("vendor-encap", code::VENDOR_SPECIFIC),
    ("netbios-ns", code::NETBIOS_NAME_SERVERS),
    ("netbios-dd", 45),
    ("netbios-nodetype", code::NETBIOS_NODE_TYPE),
    ("x-windows-fs", code::FONT_SERVERS),
    ("x-windows-dm", code::X_DISPLAY_MANAGERS),
    ("lease-time", code::LEASE_TIME),
    ("T1", code::RENEWAL_TIME),
    ("T2", code::REBINDING_TIME),
    ("vendor-class", code::VENDOR_CLASS),
    ("tftp-server", code::TFTP_SERVER_NAME),
    ("bootfile-name", code::BOOT_FILE_NAME),
    ("smtp-server", code::SMTP_SERVERS),
    ("domain-search", code::DOMAIN_SEARCH),
    ("classless-static-route", code::CLASSLESS_ROUTES),
    ("server-ip-address", code::TFTP_SERVERS),
    ("tftp-server-address", code::TFTP_SERVERS),
    ("tzdb-timezone", code::TIMEZONE),
];

/// Keys of the DNS server.
const DNS_KEYS: [&str; 40] = [
    "server",
    "rev-server",
    "local",
    "address",
    "cname",
    "mx-host",
    "mx-target",
    "selfmx",
    "localmx",
    "srv-host",
    "ptr-record",
    "txt-record",
    "naptr-record",
    "caa-record",
    "host-record",
    "dynamic-host",
    "interface-name",
    "auth-zone",
    "auth-server",
    "auth-soa",
    "dnssec",
    "trust-anchor",
    "domain-needed",
    "bogus-priv",
    "filterwin2k",
    "no-resolv",
    "no-poll",
    "resolv-file",
    "strict-order",
    "all-servers",
    "stop-dns-rebind",
    "rebind-domain-ok",
    "rebind-localhost-ok",
    "cache-size",
    "no-negcache",
    "local-ttl",
    "neg-ttl",
    "expand-hosts",
    "localise-queries",
    "dns-forward-max",
];
/// Keys of the server itself.
const SERVER_KEYS: [&str; 36] = [
    "interface",
    "except-interface",
    "no-dhcp-interface",
    "listen-address",
    "bind-interfaces",
    "bind-dynamic",
    "port",
    "user",
    "group",
    "pid-file",
    "log-facility",
    "log-queries",
    "log-dhcp",
    "log-async",
    "quiet-dhcp",
    "quiet-tftp",
    "dhcp-leasefile",
    "leasefile-ro",
    "dhcp-script",
    "dhcp-luascript",
    "dhcp-scriptuser",
    "dhcp-lease-max",
    "dhcp-authoritative",
    "enable-tftp",
    "tftp-root",
    "tftp-secure",
    "tftp-no-fail",
    "tftp-unique-root",
    "tftp-no-blocksize",
    "tftp-port-range",
    "enable-dbus",
    "keep-in-foreground",
    "no-daemon",
    "no-hosts",
    "dhcp-alternate-port",
    "dhcp-relay",
];

impl Reader<'_> {
    fn report(&mut self, line: &Line, reason: Reason) {
        self.draft.report(&line.place, line.text.clone(), reason);
    }

    fn learn(&mut self, line: &Line) {
        let words: Vec<&str> = line.value.split(',').map(str::trim).collect();
        let set = words.first().and_then(|word| word.strip_prefix("set:"));
        let arch = match (line.key.as_str(), words.as_slice()) {
            ("dhcp-match", [_, option, number])
                if matches!(*option, "option:client-arch" | "option:93" | "93") =>
            {
                number.parse().ok().and_then(arch_numbered)
            }
            ("dhcp-vendorclass", [_, class]) if class.starts_with("PXEClient:Arch:") => {
                let number = class.trim_start_matches("PXEClient:Arch:");
                number.get(..5).unwrap_or(number).parse().ok().and_then(arch_numbered)
            }
            ("dhcp-match" | "dhcp-vendorclass" | "dhcp-userclass" | "dhcp-mac", _) => None,
            _ => return,
        };
        if let Some(tag) = set {
            self.archs.insert(tag.to_owned(), arch);
        }
    }

    fn line(&mut self, line: &Line) -> Result<(), ImportError> {
        match line.key.as_str() {
            "dhcp-range" => self.range(line)?,
            "dhcp-host" => self.host(line),
            "dhcp-option" | "dhcp-option-force" => self.option(line),
            "dhcp-boot" => self.boot(line),
            "domain" => self.domain(line),
            "ethers" => self.ethers(line),
            "hosts" => self.names(line),
            "dhcp-match" | "dhcp-vendorclass" => {
                let tag =
                    line.value.split(',').next().unwrap_or_default().trim_start_matches("set:");
                if self.archs.get(tag).copied().flatten().is_none() {
                    self.report(line, Reason::Conditional(line.value.clone()));
                }
            }
            "dhcp-userclass" | "dhcp-mac" | "dhcp-circuitid" | "dhcp-remoteid"
            | "dhcp-subscrid" | "tag-if" | "dhcp-name-match" => {
                self.report(line, Reason::Conditional(line.value.clone()));
            }
            "pxe-service" | "pxe-prompt" => self.report(line, Reason::BootServer),
            "dhcp-ignore" => match line.value.as_str() {
                "tag:!known" | "#known" => self.say(line, What::RefuseUnknown, Vec::new()),
                _ => self.report(line, Reason::Conditional(line.value.clone())),
            },
            "no-ping" => self.say(line, What::NoProbe, Vec::new()),
            "bootp-dynamic" => self.say(line, What::Bootp, Vec::new()),
            "dhcp-rapid-commit" => self.say(line, What::RapidCommit, Vec::new()),
            "enable-ra" | "ra-param" | "dhcp-duid" => self.report(line, Reason::Ipv6),
            key if DNS_KEYS.contains(&key) => self.report(line, Reason::Dns),
            key if SERVER_KEYS.contains(&key) => self.report(line, Reason::OfServer),
            _ => self.report(line, Reason::NoCounterpart),
        }
        Ok(())
    }

    fn say(&mut self, line: &Line, what: What, tags: Vec<String>) {
        let setting = Setting { place: line.place.clone(), text: line.text.clone(), what };
        self.said.push(Said { setting, tags });
    }

    fn range(&mut self, line: &Line) -> Result<(), ImportError> {
        let words: Vec<&str> = line.value.split(',').map(str::trim).collect();
        let (tags, words): (Vec<&str>, Vec<&str>) = words
            .into_iter()
            .partition(|word| ["tag:", "set:", "net:"].iter().any(|tag| word.starts_with(tag)));
        let set: Vec<&str> = tags.iter().filter_map(|tag| tag.strip_prefix("set:")).collect();
        if tags.len() > set.len() {
            self.report(line, Reason::Conditional(tags.join(",")));
        }
        if words.iter().any(|word| word.contains(':')) || words.first() == Some(&"::") {
            self.report(line, Reason::Ipv6);
            return Ok(());
        }
        let addresses: Vec<Ipv4Addr> = words.iter().map_while(|word| word.parse().ok()).collect();
        let modes: Vec<&str> =
            words.iter().copied().filter(|word| matches!(*word, "static" | "proxy")).collect();
        let rest: Vec<Ipv4Addr> = words.iter().filter_map(|word| word.parse().ok()).collect();
        let Some(from) = addresses.first().copied() else {
            self.report(line, Reason::NotAnAddress);
            return Ok(());
        };
        if modes.contains(&"proxy") {
            self.report(line, Reason::OfServer);
        }
        // START[,END or MODE][,NETMASK[,BROADCAST]][,TIME]
        let to = rest.get(1).copied().filter(|_| modes.is_empty());
        let mask = rest.get(if modes.is_empty() { 2 } else { 1 }).copied();
        let mask = mask.or_else(|| to.filter(|to| is_mask(*to)));
        let to = to.filter(|to| !is_mask(*to));
        let cidr = match mask.and_then(|mask| Ipv4Net::with_netmask(from, mask).ok()) {
            Some(cidr) => IpNet::V4(cidr.trunc()),
            None => self.given_subnet(line, from)?,
        };
        let name = self.draft.subnet(cidr, set.first().copied(), &line.place);
        for tag in set {
            self.of_subnets.entry(tag.to_owned()).or_default().push(name.clone());
        }
        if !self.subnets.contains(&name) {
            self.subnets.push(name.clone());
        }
        if let (Some(subnet), Some(to)) = (self.draft.site.subnets.get_mut(&name), to) {
            let (from, to) = (IpAddr::V4(from.min(to)), IpAddr::V4(from.max(to)));
            subnet.ranges.push(Range { from, to, used_for: RangeUse::Dhcp });
        }
        let time = words.iter().rev().find_map(|word| lease_seconds(word));
        match (words.last(), time) {
            (Some(&"infinite"), _) => self.report(line, Reason::Invalid("leases end".into())),
            (_, Some(seconds)) => {
                if let Some(subnet) = self.draft.site.subnets.get_mut(&name) {
                    subnet.lease_time = Some(crate::model::Millis(seconds * 1000));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The subnet that the operator gave for a range without a netmask.
    fn given_subnet(&self, line: &Line, address: Ipv4Addr) -> Result<IpNet, ImportError> {
        let address = IpAddr::V4(address);
        let known = self.draft.site.subnets.values().map(|subnet| subnet.cidr);
        let mut given = self.draft.choices.subnets.iter().copied().chain(known);
        let found = given.find(|cidr| cidr.contains(&address));
        found.ok_or_else(|| ImportError::Question {
            place: line.place.clone(),
            text: line.text.clone(),
            question: Question::Netmask {
                address,
                guess: IpNet::new(address, 24)
                    .map(|net| net.trunc())
                    .unwrap_or_else(|_| address.into()),
            },
        })
    }

    fn host(&mut self, line: &Line) {
        let mut client = Client::new(line.place.clone(), line.text.clone());
        for word in line.value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            if let Ok(mac) = word.trim_start_matches("1-").parse::<Mac>() {
                client.nics.push(NicAddress::Mac(mac));
            } else if let Some(tag) = word.strip_prefix("set:") {
                client.labels.push(noun_name(tag));
            } else if let Some(id) = word.strip_prefix("id:") {
                match id {
                    "*" => {}
                    _ => client.known_by.client_id = Some(octets(id)),
                }
            } else if word.starts_with("tag:") || word.starts_with("net:") {
                self.report(line, Reason::Conditional(word.to_owned()));
            } else if word == "ignore" {
                client.is_ignored = true;
            } else if word.starts_with('[') {
                self.report(line, Reason::Ipv6);
            } else if let Ok(address) = word.parse::<Ipv4Addr>() {
                client.addresses.push(address.into());
            } else if word == "infinite" || lease_seconds(word).is_some() {
                self.report(line, Reason::OwnLeaseTime);
            } else if word.contains(['*', ':']) {
                self.report(line, Reason::Pattern);
            } else {
                client.name = Some(word.to_owned());
            }
        }
        self.clients.push(client);
    }

    fn ethers(&mut self, line: &Line) {
        let words: Vec<&str> = line.value.split_whitespace().collect();
        let [mac, name] = words[..] else { return self.report(line, Reason::NoCounterpart) };
        let mut client = Client::new(line.place.clone(), line.text.clone());
        match mac.parse::<Mac>() {
            Ok(mac) => client.nics.push(NicAddress::Mac(mac)),
            Err(error) => return self.report(line, Reason::Invalid(error.to_string())),
        }
        match name.parse::<Ipv4Addr>() {
            Ok(address) => client.addresses.push(address.into()),
            Err(_) => client.name = Some(name.to_owned()),
        }
        self.clients.push(client);
    }

    fn names(&mut self, line: &Line) {
        let mut words = line.value.split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
            return self.report(line, Reason::NotAnAddress);
        };
        let IpAddr::V4(address) = address else {
            return if address.is_loopback() || line.value.contains("ip6-") {
            } else {
                self.report(line, Reason::Ipv6)
            };
        };
        if address.is_loopback() {
            return;
        }
        let all: Vec<&str> = words.collect();
        for (index, name) in all.iter().enumerate() {
            let line = Line { text: line.text.clone(), ..line.clone() };
            let named = Named { address, line, is_used: index > 0 };
            self.names.entry((*name).to_owned()).or_insert(named);
        }
    }

    fn domain(&mut self, line: &Line) {
        let words: Vec<String> = line.value.split(',').map(|word| word.trim().to_owned()).collect();
        match words.as_slice() {
            [domain] => {
                let value = OptionWords::Words(vec![domain.clone()]);
                let what = What::Option { code: code::DOMAIN_NAME, sub: None, value };
                // What is said last goes first, and options before it.
                let setting = Setting { place: line.place.clone(), text: line.text.clone(), what };
                self.said.insert(0, Said { setting, tags: Vec::new() });
            }
            _ => self.report(line, Reason::Dns),
        }
    }

    fn option(&mut self, line: &Line) {
        let mut words = line.value.split(',').map(str::trim).peekable();
        let (mut tags, mut sub_of) = (Vec::new(), None);
        while let Some(word) = words.peek() {
            if let Some(tag) = word.strip_prefix("tag:").or_else(|| word.strip_prefix("net:")) {
                tags.push(tag.to_owned());
            } else if let Some(number) = word.strip_prefix("encap:") {
                sub_of = number.parse::<u8>().ok();
            } else if word.starts_with("vendor:") {
                // Sub-options of 43 for a vendor class; PXE's is every client that boots.
                sub_of = Some(code::VENDOR_SPECIFIC);
                if *word != "vendor:PXEClient" {
                    return self.report(line, Reason::Conditional((*word).to_owned()));
                }
            } else if word.starts_with("vi-encap:") {
                return self.report(line, Reason::NoCounterpart);
            } else {
                break;
            }
            words.next();
        }
        let name = words.next().unwrap_or_default();
        let values: Vec<String> = words.map(|word| word.trim_matches('"').to_owned()).collect();
        if name.starts_with("option6:") {
            return self.report(line, Reason::Ipv6);
        }
        let bare = name.strip_prefix("option:").unwrap_or(name);
        let listed = NAMES.iter().find(|(theirs, _)| *theirs == bare).map(|(_, code)| *code);
        let code = bare.parse().ok().or(listed).or_else(|| super::dhcpd::code_named(bare));
        let Some(number) = code else {
            let reason = Reason::Invalid(format!("option {bare} is not known"));
            return self.report(line, reason);
        };
        if values.iter().any(|value| value == "0.0.0.0") {
            return self.report(line, Reason::OldServer);
        }
        let (code, sub) = match sub_of {
            Some(outer) => (outer, Some(number)),
            None => (number, None),
        };
        let value = match (values.as_slice(), code) {
            // An option without a value is one that clients do not get.
            ([], _) => return self.report(line, Reason::NoCounterpart),
            (_, code::CLASSLESS_ROUTES | code::MICROSOFT_ROUTES) => OptionWords::Words(
                values
                    .chunks(2)
                    .map(|pair| pair.join(" via ").replace("0.0.0.0/0", "default"))
                    .collect(),
            ),
            ([one], _) if crate::model::option_name(code).is_none() || sub.is_some() => {
                untyped(one)
            }
            ([one], code::LEASE_TIME | code::RENEWAL_TIME | code::REBINDING_TIME) => {
                let seconds = lease_seconds(one).map(|seconds| seconds.to_string());
                OptionWords::Words(vec![seconds.unwrap_or_else(|| one.clone())])
            }
            _ => OptionWords::Words(values),
        };
        self.say(line, What::Option { code, sub, value }, tags);
    }

    fn boot(&mut self, line: &Line) {
        let words: Vec<&str> = line.value.split(',').map(str::trim).collect();
        let (tags, words): (Vec<&str>, Vec<&str>) = words
            .into_iter()
            .partition(|word| word.starts_with("tag:") || word.starts_with("net:"));
        let tags: Vec<&str> =
            tags.iter().filter_map(|tag| tag.split_once(':').map(|(_, tag)| tag)).collect();
        let arch = match tags.as_slice() {
            [] => None,
            [tag] if self.archs.get(*tag).copied().flatten().is_some() => {
                self.archs.get(*tag).copied().flatten()
            }
            tags => {
                let conditional =
                    tags.iter().any(|tag| self.archs.contains_key(*tag) || tag.starts_with('!'));
                if conditional {
                    return self.report(line, Reason::Conditional(tags.join(",")));
                }
                None
            }
        };
        let tags: Vec<String> = match arch {
            Some(_) => Vec::new(),
            None => tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        let Some(file) = words.first().filter(|file| !file.is_empty()) else { return };
        self.say(line, What::BootFile { arch, file: (*file).to_owned() }, tags.clone());
        match words.get(2).map(|server| server.parse::<Ipv4Addr>()) {
            Some(Ok(server)) => self.say(line, What::NextServer(server), tags),
            Some(Err(_)) => self.report(line, Reason::NotAnAddress),
            None => {}
        }
    }

    fn finish(mut self) {
        let mut clients = std::mem::take(&mut self.clients);
        self.join_names(&mut clients);
        let said = std::mem::take(&mut self.said);
        let mut of_subnet: BTreeMap<String, Vec<Setting>> = BTreeMap::new();
        for Said { setting, tags } in said {
            let subnets: Vec<String> = match tags.as_slice() {
                [] => self.subnets.clone(),
                [tag] => self.of_subnets.get(tag).cloned().unwrap_or_default(),
                _ => Vec::new(),
            };
            let of_clients = |client: &&mut Client| matches!(tags.as_slice(), [tag] if client.labels.contains(&noun_name(tag)));
            let mut is_said = !subnets.is_empty();
            for name in subnets {
                of_subnet.entry(name).or_default().push(setting.clone());
            }
            for client in clients.iter_mut().filter(of_clients) {
                client.settings.push(setting.clone());
                is_said = true;
            }
            if !is_said {
                let reason = match tags.as_slice() {
                    [] => Reason::WithoutSubnet,
                    [tag]
                        if !self.archs.contains_key(tag)
                            && !tag.starts_with('!')
                            && tag != "known" =>
                    {
                        Reason::UnknownTag(tag.clone())
                    }
                    tags => Reason::Conditional(tags.join(",")),
                };
                self.draft.report(&setting.place, setting.text, reason);
            }
        }
        for (name, settings) in of_subnet {
            self.draft.set_subnet(&name, &overlaid([settings.as_slice()]));
        }
        clients.into_iter().for_each(|client| self.draft.client(client));
        let unused = self.names.values().filter(|named| !named.is_used);
        let lines: Vec<Line> = unused.map(|named| named.line.clone()).collect();
        lines.iter().for_each(|line| self.report(line, Reason::NoMac));
    }

    /// Gives clients the addresses that `/etc/hosts` has for their names, and the names that it
    /// has for their addresses.
    fn join_names(&mut self, clients: &mut [Client]) {
        for client in clients {
            if let Some(named) = client.name.as_ref().and_then(|name| self.names.get_mut(name)) {
                let address = named.address;
                named.is_used = true;
                if client.addresses.is_empty() {
                    client.addresses.push(address.into());
                }
                continue;
            }
            let Some(IpAddr::V4(address)) = client.addresses.first().copied() else { continue };
            let found =
                self.names.iter_mut().find(|(_, named)| named.address == address && !named.is_used);
            if let Some((name, named)) = found {
                named.is_used = true;
                client.name.get_or_insert_with(|| name.clone());
            }
        }
    }
}

/// Whether an address is a netmask: ones, then zeros.
fn is_mask(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    bits >> 31 == 1 && bits.leading_ones() + bits.trailing_zeros() == 32
}

/// The seconds of `3600`, `45m`, `12h`, `2d` and `1w`.
fn lease_seconds(word: &str) -> Option<u64> {
    let digits = word.trim_end_matches(['s', 'm', 'h', 'd', 'w']);
    let unit = match &word[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// A client identifier: bytes with colons, or a text.
fn octets(id: &str) -> Octets {
    let bytes: Option<Vec<u8>> =
        id.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    match bytes.filter(|_| id.contains(':')) {
        Some(bytes) => Octets(bytes),
        None => Octets(id.as_bytes().to_vec()),
    }
}

/// The value of an option whose type dnsmasq does not know: a number of one, two or four bytes,
/// bytes with colons, addresses, or a text.
fn untyped(word: &str) -> OptionWords {
    if let Ok(number) = word.parse::<u32>() {
        let bytes = number.to_be_bytes();
        let from = match number {
            0..=0xff => 3,
            0x100..=0xffff => 2,
            _ => 0,
        };
        return OptionWords::Bytes(bytes[from..].to_vec());
    }
    let bytes: Option<Vec<u8>> =
        word.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    match bytes.filter(|_| word.contains(':')) {
        Some(bytes) => OptionWords::Bytes(bytes),
        None => OptionWords::Words(vec![word.to_owned()]),
    }
}
