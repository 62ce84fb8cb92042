//! The files of systemd-networkd: `.link`, `.netdev` and `.network`, with their drop-ins
//! (systemd.network(5), systemd.netdev(5), systemd.link(5)). Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::counterparts::reason;
use super::ini::{Line, Stray, continued, value};
use super::meaning::Link;
use super::netplan::route_of;
use super::{Dialect, Read, rule_of};
use crate::import::draft::place;
use crate::import::{ImportError, Reason, Source};
use crate::model::{Caption, Mac, PortSpec, VlanIds};
use crate::network::BondWords;

/// A file with what its drop-ins add.
struct Unit<'a> {
    file: &'a Source,
    lines: Vec<Line>,
}

/// The files of one host, laid over each other.
#[derive(Default)]
struct Units<'a> {
    units: Vec<Unit<'a>>,
    strays: Vec<Stray>,
    /// Drop-ins of units that are masked or were not given.
    alone: Vec<&'a Source>,
}

/// Reads the files of one host.
pub(super) fn read(files: &[&Source]) -> Result<Read, ImportError> {
    let mut reader = Reader::default();
    let Units { units, strays, alone } = units(files);
    for stray in strays {
        reader.read.report(&stray.place, stray.text, Reason::NotALine);
    }
    for file in alone {
        let unit = dropped_into(&file.name).unwrap_or_default().to_owned();
        let reason = Reason::WithoutUnit(unit);
        reader.read.report(&place(&file.name, 1), base(&file.name), reason);
    }
    let of_kind =
        |ending: &'static str| units.iter().filter(move |unit| unit.file.name.ends_with(ending));
    of_kind(".link").for_each(|unit| reader.link_file(unit));
    of_kind(".netdev").for_each(|unit| reader.netdev(unit));
    of_kind(".network").for_each(|unit| reader.network(unit));
    reader.join();
    Ok(reader.read)
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The file that a drop-in belongs to: `10-lan.network` of `10-lan.network.d/50-mtu.conf`.
pub(in crate::import) fn dropped_into(path: &str) -> Option<&str> {
    let (directory, name) = path.rsplit_once('/')?;
    let unit = base(directory).strip_suffix(".d").filter(|_| name.ends_with(".conf"))?;
    [".network", ".netdev", ".link"].iter().any(|ending| unit.ends_with(ending)).then_some(unit)
}

/// Which of the directories of systemd a file is in: a file in an earlier one takes the place of
/// one of its name in a later one.
fn rank(path: &str) -> usize {
    const DIRECTORIES: [&str; 4] = ["etc/", "run/", "usr/local/lib/", "usr/lib/"];
    let found = DIRECTORIES.iter().position(|directory| {
        path.starts_with(directory) || path.contains(&format!("/{directory}"))
    });
    found.unwrap_or(0)
}

/// The files by name, with the lines of their drop-ins behind their own. One that is empty, as a link to
/// /dev/null is, masks those of its name: systemd then reads none of them, nor their drop-ins.
fn units<'a>(files: &[&'a Source]) -> Units<'a> {
    let mut named: BTreeMap<&str, &'a Source> = BTreeMap::new();
    let mut added: BTreeMap<(&str, &str), &'a Source> = BTreeMap::new();
    for &file in files {
        let before = match dropped_into(&file.name) {
            Some(unit) => added.entry((unit, base(&file.name))).or_insert(file),
            None => named.entry(base(&file.name)).or_insert(file),
        };
        if rank(&file.name) < rank(&before.name) {
            *before = file;
        }
    }
    named.retain(|_, file| !file.text.is_empty());
    let mut found = Units::default();
    for (&name, &file) in &named {
        let mut all = continued(file);
        for (_, drop_in) in added.iter().filter(|((unit, _), _)| *unit == name) {
            let sections = all.lines.iter().map(|line| line.number).max().unwrap_or(0);
            let more = continued(drop_in);
            let lines = more.lines.into_iter();
            all.lines.extend(lines.map(|line| Line { number: line.number + sections, ..line }));
            all.strays.extend(more.strays);
        }
        found.strays.extend(all.strays);
        found.units.push(Unit { file, lines: settled(all.lines) });
    }
    let is_alone = |(unit, _): &&(&str, &str)| !named.contains_key(unit);
    let alone = added.iter().filter(|(at, file)| is_alone(at) && !file.text.is_empty());
    found.alone = alone.map(|(_, file)| *file).collect();
    found
}

/// The lines that count: an empty value takes back what was said of the key before it.
fn settled(all: Vec<Line>) -> Vec<Line> {
    let mut settled: Vec<Line> = Vec::new();
    for line in all {
        match line.value.is_empty() {
            true => {
                settled.retain(|other| (&other.section, &other.key) != (&line.section, &line.key))
            }
            false => settled.push(line),
        }
    }
    settled
}

/// The name in `10-eth0.network`.
fn stem(path: &str) -> String {
    let stem = base(path).rsplit_once('.').map_or_else(|| base(path), |(stem, _)| stem);
    match stem.split_once('-') {
        Some((number, rest)) if number.chars().all(|c| c.is_ascii_digit()) => rest.to_owned(),
        _ => stem.to_owned(),
    }
}

fn is_yes(word: &str) -> bool {
    matches!(word, "yes" | "true" | "on" | "1")
}

fn is_no(word: &str) -> bool {
    matches!(word, "no" | "false" | "off" | "0")
}

/// A number, or the text.
fn scalar(word: &str) -> Value {
    word.parse::<i64>().map_or_else(|_| json!(word), |number| json!(number))
}

/// The kinds of links, and the sections of a profile.
const KINDS: [(&str, &str); 13] = [
    ("bond", "bonds"),
    ("vlan", "vlans"),
    ("bridge", "bridges"),
    ("vrf", "vrfs"),
    ("dummy", "dummies"),
    ("vxlan", "vxlans"),
    ("macvlan", "macvlans"),
    ("ipvlan", "ipvlans"),
    ("veth", "veths"),
    ("gre", "tunnels"),
    ("ipip", "tunnels"),
    ("sit", "tunnels"),
    ("geneve", "tunnels"),
];

/// Whether a key of a `.link` says who chooses a name or a MAC.
fn is_policy(key: &str) -> bool {
    matches!(key, "NamePolicy" | "MACAddressPolicy" | "AlternativeNamesPolicy")
}

/// What is taken from DHCP or routers, and its key.
fn override_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "UseDNS" => "use-dns",
        "UseDomains" => "use-domains",
        "UseNTP" => "use-ntp",
        "UseMTU" => "use-mtu",
        "UseHostname" => "use-hostname",
        "SendHostname" => "send-hostname",
        "UseRoutes" | "UseGateway" => "use-routes",
        "UseAutonomousPrefix" => "use-addresses",
        "RouteMetric" => "route-metric",
        _ => return None,
    })
}

/// What udev sets, and its place in a NIC of a profile.
fn of_hardware(key: &str) -> Option<(&'static str, &'static str)> {
    Some(match key {
        "ReceiveChecksumOffload" => ("offload", "rx-checksum"),
        "TransmitChecksumOffload" => ("offload", "tx-checksum"),
        "TCPSegmentationOffload" => ("offload", "tso"),
        "TCP6SegmentationOffload" => ("offload", "tso6"),
        "GenericSegmentationOffload" => ("offload", "gso"),
        "GenericReceiveOffload" => ("offload", "gro"),
        "LargeReceiveOffload" => ("offload", "lro"),
        "RxBufferSize" => ("ring", "rx"),
        "TxBufferSize" => ("ring", "tx"),
        "RxChannels" => ("channels", "rx"),
        "TxChannels" => ("channels", "tx"),
        "OtherChannels" => ("channels", "other"),
        "CombinedChannels" => ("channels", "combined"),
        "SR-IOVVirtualFunctions" => ("sriov", "count"),
        _ => return None,
    })
}

/// What a `.link` file sets on a NIC.
#[derive(Debug, Default)]
struct Hardware {
    mac: Option<Mac>,
    /// What the NIC is renamed to.
    set_name: Option<String>,
    /// What it is called here: by that name, by its first, or by the file's.
    name: String,
    mtu: Option<u32>,
    keys: Map<String, Value>,
    /// The lines that say so.
    lines: Vec<Line>,
}

/// A link and the one that it belongs to, or that it is on.
#[derive(Debug)]
struct Pair {
    outer: String,
    inner: String,
}

/// A tunnel that names the address that it leaves from, and not the link.
#[derive(Debug)]
struct Unbound {
    name: String,
    local: IpAddr,
}

#[derive(Debug, Default)]
struct Reader {
    read: Read,
    names: BTreeMap<Mac, String>,
    hardware: Vec<Hardware>,
    /// The bond, bridge or VRF, and the link in it.
    of: Vec<Pair>,
    /// The link below, and the link on it.
    on: Vec<Pair>,
    /// The bond, and its first member.
    primary: Vec<Pair>,
    ports: BTreeMap<String, PortSpec>,
    /// The lines that say something of a port, with its name.
    port_lines: Vec<(String, Line)>,
    unbound: Vec<Unbound>,
}

impl Reader {
    fn report(&mut self, line: &Line, reason: Reason) {
        self.read.report(&line.place, line.text(), reason);
    }

    /// Reports a line that is not read.
    fn leave(&mut self, line: &Line) {
        let word = format!("{}.{}", line.section, line.key);
        self.report(line, reason(Dialect::Networkd, &word));
    }

    /// `.link`: what a NIC with a MAC is called, and what udev sets on it.
    fn link_file(&mut self, unit: &Unit<'_>) {
        let lines = &unit.lines;
        let mac = value(lines, "Match", "PermanentMACAddress")
            .or_else(|| value(lines, "Match", "MACAddress"));
        let mac = mac.and_then(|mac| mac.parse::<Mac>().ok());
        let set_name = value(lines, "Link", "Name");
        let name = set_name.or_else(|| value(lines, "Match", "OriginalName"));
        if let (Some(mac), Some(name)) = (mac, value(lines, "Link", "Name")) {
            self.names.insert(mac, name.to_owned());
        }
        let mut hardware = Hardware {
            mac,
            set_name: set_name.filter(|_| mac.is_some()).map(str::to_owned),
            name: name.map_or_else(|| stem(&unit.file.name), str::to_owned),
            ..Hardware::default()
        };
        for line in lines {
            let word = line.value.as_str();
            let value = match (is_yes(word), is_no(word), word.parse::<u32>()) {
                (.., Ok(number)) => json!(number),
                (true, ..) => json!(true),
                (_, true, _) => json!(false),
                _ => json!(word),
            };
            match (line.section.as_str(), line.key.as_str()) {
                ("Match", "PermanentMACAddress" | "MACAddress") if mac.is_some() => {}
                ("Match", "OriginalName") if !word.contains(['*', '?', ' ']) => {}
                ("Link", "Name") if mac.is_some() => {}
                // Rackstrap's own, in every file.
                ("Link", key) if is_policy(key) => {}
                ("Link", "MTUBytes") if word.parse::<u32>().is_ok() => {
                    hardware.mtu = word.parse().ok()
                }
                ("Link", "WakeOnLan") => {
                    let events: Vec<&str> =
                        word.split_whitespace().filter(|one| *one != "off").collect();
                    hardware.keys.insert("wake-on-lan".into(), json!(events));
                }
                ("Link", key) if of_hardware(key).is_some() => {
                    let (group, key) = of_hardware(key).unwrap_or_default();
                    let keys = hardware.keys.entry(group).or_insert_with(|| json!({}));
                    keys[key] = value;
                }
                _ => {
                    self.leave(line);
                    continue;
                }
            }
            if line.section == "Link" {
                hardware.lines.push(line.clone());
            }
        }
        self.hardware.push(hardware);
    }

    fn netdev(&mut self, unit: &Unit<'_>) {
        let lines = &unit.lines;
        let at = lines.first().map_or_else(|| place(&unit.file.name, 1), |line| line.place.clone());
        let (name, kind) = (value(lines, "NetDev", "Name"), value(lines, "NetDev", "Kind"));
        let section = KINDS.iter().find(|(theirs, _)| Some(*theirs) == kind).map(|(_, ours)| *ours);
        let (Some(name), Some(section)) = (name.map(str::to_owned), section) else {
            let kind = kind.unwrap_or("(none)");
            let why = reason(Dialect::Networkd, &format!("Kind.{kind}"));
            let name = name.unwrap_or_default();
            return self.read.leave_link(&at, name, format!("link of the kind {kind}"), why);
        };
        let mut link = Link { place: Some(at), section, ..Link::default() };
        if section == "tunnels" {
            link.keys.insert("mode".into(), json!(kind));
        }
        for line in lines {
            let word = line.value.as_str();
            let number = || json!(word.parse::<u32>().ok());
            let mut set = |key: &str, value: Value| drop(link.keys.insert(key.to_owned(), value));
            match (line.section.as_str(), line.key.as_str()) {
                ("NetDev", "Name" | "Kind") => {}
                ("NetDev", "Description") => {
                    self.read.caption(&mut link, "description", word, &line.place)
                }
                // The .network has it.
                ("NetDev", "MTUBytes") if word.parse::<u32>().is_ok() => {
                    link.mtu = word.parse().ok()
                }
                ("NetDev", "MACAddress") if word != "none" => {
                    set("macaddress", json!(word.to_ascii_lowercase()))
                }
                ("NetDev", "MACAddress") => {
                    drop(link.quiet.insert("macaddress".into(), json!("none")))
                }
                ("VLAN", "Id") => set("id", number()),
                ("VLAN", "Protocol") if word == "802.1q" => {}
                ("VLAN", "Protocol") => set("protocol", json!(word)),
                ("VLAN", "IngressQOSMaps" | "EgressQOSMaps") => {
                    let key = if line.key.starts_with('I') { "ingress-qos" } else { "egress-qos" };
                    let pairs = word.split_whitespace().filter_map(|pair| pair.split_once('-'));
                    let pair =
                        |(from, to): (&str, &str)| (from.to_owned(), json!(to.parse::<u32>().ok()));
                    set(key, Value::Object(pairs.map(pair).collect()));
                }
                ("VRF", "Table") => set("table", number()),
                ("VXLAN", "VNI" | "Id") => set("vni", number()),
                ("VXLAN", "Remote" | "Group") => set("remote", json!(word)),
                ("VXLAN", "DestinationPort") if word == "4789" => {}
                ("VXLAN", "DestinationPort") => set("port", number()),
                ("VXLAN", "MacLearning") => set("mac-learning", json!(is_yes(word))),
                ("VXLAN" | "Tunnel", "Local") if word.parse::<IpAddr>().is_ok() => {
                    let local = word.parse().ok();
                    let unbound = |local| Unbound { name: name.clone(), local };
                    self.unbound.extend(local.map(unbound));
                }
                ("VXLAN" | "Tunnel", "Independent") if is_yes(word) => {}
                ("Tunnel" | "GENEVE", "Remote") => set("remote", json!(word)),
                ("Tunnel" | "GENEVE", "TTL") => set("ttl", number()),
                ("Tunnel", "Key") | ("GENEVE", "Id") => set("id", number()),
                ("GENEVE", "DestinationPort") if word == "6081" => {}
                ("MACVLAN", "Mode") if word == "bridge" => {}
                ("MACVLAN", "Mode") => set("mode", json!(word)),
                ("MACVLAN", "SourceMACAddress") => {
                    let macs = word.split_whitespace().map(str::to_ascii_lowercase);
                    let macs: Vec<String> = macs.collect();
                    set("source-macaddresses", json!(macs));
                }
                ("IPVLAN", "Mode") if word.eq_ignore_ascii_case("l2") => {}
                ("IPVLAN", "Mode") => set("mode", json!(word.to_ascii_lowercase())),
                ("Peer", "Name") => set("peer", json!(word)),
                ("Peer", "MACAddress") => {
                    let mac = json!(word.to_ascii_lowercase());
                    drop(link.quiet.insert("peer-macaddress".into(), mac))
                }
                ("Bridge", "STP") => set("stp", json!(is_yes(word))),
                ("Bridge", "Priority") => set("priority", number()),
                ("Bridge", "VLANFiltering") => set("vlan-filtering", json!(is_yes(word))),
                ("Bridge", "DefaultPVID") => {
                    set("default-pvid", json!(word.parse::<u16>().unwrap_or(0)))
                }
                ("Bridge", "MulticastSnooping") => set("multicast-snooping", json!(is_yes(word))),
                ("Bridge", "MulticastQuerier") => set("multicast-querier", json!(is_yes(word))),
                ("Bridge", "MulticastIGMPVersion") => set("multicast-igmp-version", number()),
                ("Bridge", "ForwardDelaySec" | "HelloTimeSec" | "MaxAgeSec" | "AgeingTimeSec") => {
                    let key = match line.key.as_str() {
                        "ForwardDelaySec" => "forward-delay",
                        "HelloTimeSec" => "hello-time",
                        "MaxAgeSec" => "max-age",
                        _ => "ageing-time",
                    };
                    set(key, json!(super::duration(word, 1000)));
                }
                ("Bond", key) => {
                    match super::bond_setting(BondWords::Networkd, key, &seconds(key, word)) {
                        Ok(setting) => set(&setting.key, setting.value),
                        Err(reason) => self.report(line, reason),
                    }
                }
                _ => self.leave(line),
            }
        }
        self.read.meaning.links.insert(name, link);
    }

    fn network(&mut self, unit: &Unit<'_>) {
        let lines = &unit.lines;
        let at = lines.first().map_or_else(|| place(&unit.file.name, 1), |line| line.place.clone());
        let mac = value(lines, "Match", "PermanentMACAddress")
            .or_else(|| value(lines, "Match", "MACAddress"));
        let mac = mac.and_then(|mac| mac.parse::<Mac>().ok());
        let of_mac = mac.and_then(|mac| self.names.get(&mac).cloned());
        let matched = value(lines, "Match", "Name").map(str::to_owned);
        let path = value(lines, "Match", "Path").map(str::to_owned);
        let is_found = mac.is_some() || matched.is_some() || path.is_some();
        if !is_found {
            // What finds it instead, or nothing at all.
            let by = lines.iter().find(|line| line.section == "Match").cloned();
            return match by {
                Some(by) => self.leave(&by),
                None => self.read.report(&at, base(&unit.file.name), Reason::WithoutMatch),
            };
        }
        let name = of_mac.or(matched).unwrap_or_else(|| stem(&unit.file.name));
        let is_pattern = |name: &str| name.contains(['*', '?', ' ', '[', '!']);
        if is_pattern(&name) {
            let why = Reason::NotRead("match-name of NICs");
            return self.read.report(&at, format!("[Match] Name={name}"), why);
        }
        if let Some(path) = path.as_ref().filter(|path| is_pattern(path)) {
            let text = format!("[Match] Path={path}");
            return self.read.report(&at, text, Reason::NoCounterpart);
        }
        if self.read.untaken.contains(&name) {
            let why = Reason::OfUntaken(name.clone());
            return self.read.report(&at, format!("[Match] Name={name}"), why);
        }
        let mut link = self.read.meaning.links.remove(&name).unwrap_or_else(|| Link {
            section: if name == "lo" { "loopbacks" } else { "nics" },
            ..Link::default()
        });
        link.place.get_or_insert(at);
        link.mac = link.mac.or_else(|| mac.filter(|_| link.section == "nics"));
        if let Some(path) = path.filter(|_| link.section == "nics") {
            link.quiet.insert("path".into(), json!(path));
        }
        let mut groups = Groups::default();
        for line in lines {
            let taken = match line.section.as_str() {
                "Match" => {
                    matches!(
                        line.key.as_str(),
                        "Name" | "MACAddress" | "PermanentMACAddress" | "Path"
                    )
                }
                "Link" => of_link(&mut link, line),
                "Network" => self.of_network(&mut link, &name, line),
                "DHCPv4" | "DHCPv6" | "IPv6AcceptRA" | "DHCP" => learned(&mut link, line),
                "Bridge" | "BridgeVLAN" => self.of_port(&name, line),
                "Address" | "Neighbor" | "Route" | "RoutingPolicyRule" => groups.take(line),
                _ => false,
            };
            if !taken {
                self.leave(line);
            }
        }
        self.close(&mut link, groups);
        online(&mut link);
        self.read.meaning.links.insert(name, link);
    }

    /// `[Network]`.
    fn of_network(&mut self, link: &mut Link, name: &str, line: &Line) -> bool {
        let word = line.value.as_str();
        let words = || word.split_whitespace().map(str::to_owned);
        let mut quiet = |key: &str, value: Value| drop(link.quiet.insert(key.to_owned(), value));
        match line.key.as_str() {
            "Address" => match word.parse() {
                Ok(address) => link.addresses.push(address),
                Err(_) => self.report(line, Reason::NotAnAddress),
            },
            "Gateway" => match route_of(Map::from_iter([("via".to_owned(), json!(word))])) {
                Ok(route) => link.routes.push(route),
                Err(error) => self.report(line, Reason::Value(error)),
            },
            "DNS" => link.dns.extend(words()),
            "Domains" => link.domains.extend(words()),
            "DHCP" => {
                let on = match word {
                    "yes" | "true" | "both" => [true, true],
                    "ipv4" | "v4" => [true, false],
                    "ipv6" | "v6" => [false, true],
                    word if is_no(word) || word == "none" => [false, false],
                    _ => return false,
                };
                for (key, on) in ["dhcp4", "dhcp6"].into_iter().zip(on) {
                    if on {
                        link.keys.insert(key.to_owned(), json!(true));
                    }
                }
            }
            "Bond" | "Bridge" | "VRF" => {
                self.of.push(Pair { outer: word.to_owned(), inner: name.to_owned() });
            }
            "VLAN" | "VXLAN" | "MACVLAN" | "IPVLAN" | "Tunnel" => {
                let on = words().map(|inner| Pair { outer: name.to_owned(), inner });
                self.on.extend(on);
            }
            "PrimarySlave" if is_yes(word) => {
                self.primary.push(Pair { outer: String::new(), inner: name.to_owned() });
            }
            "PrimarySlave" if is_no(word) => {}
            "LinkLocalAddressing" => {
                let families: &[&str] = match word {
                    "ipv4" => &["ipv4"],
                    "ipv6" => &["ipv6"],
                    word if is_yes(word) => &["ipv4", "ipv6"],
                    word if is_no(word) => &[],
                    _ => return false,
                };
                quiet("link-local", json!(families));
            }
            "IPv6AcceptRA" if is_yes(word) || is_no(word) => {
                quiet("accept-ra", json!(is_yes(word)))
            }
            "LLDP" if is_no(word) => quiet("lldp", json!(false)),
            "LLDP" if is_yes(word) => quiet("lldp", json!(true)),
            "LLDP" => quiet("lldp", json!(word)),
            "EmitLLDP" if is_no(word) => {}
            "EmitLLDP" if is_yes(word) => quiet("emit-lldp", json!(true)),
            "EmitLLDP" => quiet("emit-lldp", json!(word)),
            "Description" => self.read.caption(link, "description", word, &line.place),
            "ConfigureWithoutCarrier" if is_no(word) => {}
            "ConfigureWithoutCarrier" if is_yes(word) => quiet("ignore-carrier", json!(true)),
            "KeepConfiguration" if is_no(word) => {}
            "KeepConfiguration" if is_yes(word) => quiet("critical", json!(true)),
            "BindCarrier" if link.section == "bonds" => quiet("bind-carrier", json!(true)),
            "IPv6PrivacyExtensions" if is_yes(word) || is_no(word) => {
                quiet("ipv6-privacy", json!(is_yes(word)));
            }
            "IPv6PrivacyExtensions" if word == "prefer-public" => {
                quiet("ipv6-privacy", json!(word))
            }
            "IPv6LinkLocalAddressGenerationMode" => quiet("ipv6-address-generation", json!(word)),
            "IPv6Token" => quiet("ipv6-token", json!(token(word))),
            _ => return false,
        }
        true
    }

    /// `[Bridge]` and `[BridgeVLAN]`: of a port, or of the bridge as a port of itself.
    fn of_port(&mut self, name: &str, line: &Line) -> bool {
        let word = line.value.as_str();
        self.port_lines.push((name.to_owned(), line.clone()));
        let port = self.ports.entry(name.to_owned()).or_default();
        let ids = || word.parse::<VlanIds>().ok();
        match (line.section.as_str(), line.key.as_str()) {
            ("Bridge", "Isolated") => port.isolated = is_yes(word),
            ("Bridge", "HairPin") => port.hairpin = is_yes(word),
            ("Bridge", "Learning") => port.learning = Some(is_yes(word)),
            ("Bridge", "NeighborSuppression") => port.neighbor_suppression = is_yes(word),
            ("Bridge", "Cost") => port.cost = word.parse().ok(),
            ("BridgeVLAN", "PVID") => port.pvid = word.parse().ok(),
            ("BridgeVLAN", "VLAN") => match ids() {
                Some(ids) => port.tagged.extend(&ids),
                None => return false,
            },
            ("BridgeVLAN", "EgressUntagged") => match ids() {
                Some(ids) => port.untagged.extend(&ids),
                None => return false,
            },
            _ => return false,
        }
        true
    }

    /// Puts the sections that repeat into the link.
    fn close(&mut self, link: &mut Link, groups: Groups) {
        for (line, keys) in groups.addresses.into_values() {
            match keys.get("Address").and_then(Value::as_str).map(str::parse) {
                Some(Ok(address)) => link.addresses.push(address),
                _ => self.report(&line, Reason::NotAnAddress),
            }
        }
        let mut neighbors = Vec::new();
        for (_, keys) in groups.neighbors.into_values() {
            neighbors.push(Value::Object(keys));
        }
        if !neighbors.is_empty() {
            link.quiet.insert("neighbors".into(), Value::Array(neighbors));
        }
        for (line, route) in groups.routes.into_values() {
            match route_of(route) {
                Ok(route) => link.routes.push(route),
                Err(error) => self.report(&line, Reason::Value(error)),
            }
        }
        for (line, rule) in groups.rules.into_values() {
            match rule_of(rule) {
                Ok(rule) => link.rules.push(rule),
                Err(error) => self.report(&line, Reason::Value(error)),
            }
        }
    }

    /// Puts links into those that have them, once all files are read.
    fn join(&mut self) {
        let links = &mut self.read.meaning.links;
        for pair in &mut self.primary {
            let bond = self.of.iter().find(|of| of.inner == pair.inner);
            pair.outer = bond.map(|of| of.outer.clone()).unwrap_or_default();
            if let Some(bond) = links.get_mut(&pair.outer) {
                bond.keys.insert("primary".into(), json!(pair.inner));
            }
        }
        let mut of_no_bridge = Vec::new();
        for (name, port) in &self.ports {
            let of = self.of.iter().find(|of| of.inner == *name).map(|of| &of.outer);
            let bridge = links.get_mut(of.unwrap_or(name)).filter(|link| link.section == "bridges");
            if bridge.is_none() {
                of_no_bridge.push(name.clone());
            }
            if let Some(bridge) = bridge.filter(|_| *port != PortSpec::default()) {
                let ports = bridge.keys.entry("ports").or_insert_with(|| json!({}));
                ports[name] = json!(port);
            }
        }
        for Pair { outer, inner } in &self.of {
            let Some(link) = links.get_mut(outer) else { continue };
            let key = if link.section == "bonds" { "nics" } else { "interfaces" };
            let members = link.keys.entry(key).or_insert_with(|| json!([]));
            if let Some(members) = members.as_array_mut() {
                members.push(json!(inner));
            }
        }
        for Unbound { name, local } in &self.unbound {
            let has = |link: &Link| link.addresses.iter().any(|net| net.addr() == *local);
            let below = links.iter().find(|(_, link)| has(link)).map(|(name, _)| name.clone());
            if let (Some(below), Some(link)) = (below, links.get_mut(name)) {
                link.keys.insert("link".into(), json!(below));
            }
        }
        for Pair { outer, inner } in &self.on {
            if let Some(link) = links.get_mut(inner) {
                link.keys.insert("link".into(), json!(outer));
            }
        }
        for hardware in std::mem::take(&mut self.hardware) {
            let is_meant = |(name, link): &(&String, &mut Link)| {
                let by_mac = hardware.mac.is_some() && link.mac == hardware.mac;
                by_mac || hardware.name == **name
            };
            let Some((_, link)) = links.iter_mut().find(is_meant) else {
                let unmet = hardware.lines.iter().filter(|line| !is_policy(&line.key));
                let report = |line: &Line| (line.place.clone(), line.text());
                for (place, text) in unmet.map(report) {
                    let reason = Reason::OfUntaken(hardware.name.clone());
                    self.read.left_out.push(crate::import::NotTaken { place, text, reason });
                }
                continue;
            };
            link.mtu = link.mtu.or(hardware.mtu);
            link.quiet.extend(hardware.keys);
            if let Some(name) = hardware.set_name.filter(|_| link.section == "nics") {
                link.mac = link.mac.or(hardware.mac);
                link.quiet.insert("set-name".into(), json!(name));
            }
        }
        let sections = ["bonds", "bridges", "vrfs"];
        for link in links.values_mut().filter(|link| sections.contains(&link.section)) {
            let key = if link.section == "bonds" { "nics" } else { "interfaces" };
            link.keys.entry(key).or_insert_with(|| json!([]));
        }
        for (name, line) in std::mem::take(&mut self.port_lines) {
            if of_no_bridge.contains(&name) {
                self.report(&line, Reason::OfNoBridge);
            }
        }
    }
}

/// networkd's times are in seconds where they have no unit.
fn seconds(key: &str, word: &str) -> String {
    match key.ends_with("Sec") {
        true => super::duration(word, 1000).unwrap_or_else(|| word.to_owned()),
        false => word.replace(' ', ","),
    }
}

/// `::53` of `static:::53`, and the word for one that is made of the prefix.
fn token(word: &str) -> &str {
    match word {
        "prefixstable" => "stable",
        word => word.strip_prefix("static:").unwrap_or(word),
    }
}

/// `[Link]` of a `.network`.
fn of_link(link: &mut Link, line: &Line) -> bool {
    let word = line.value.as_str();
    let mut quiet = |key: &str, value: Value| drop(link.quiet.insert(key.to_owned(), value));
    match line.key.as_str() {
        "MTUBytes" if word.parse::<u32>().is_ok() => link.mtu = word.parse().ok(),
        "MACAddress" => {
            drop(link.keys.insert("macaddress".into(), json!(word.to_ascii_lowercase())))
        }
        "RequiredForOnline" if is_no(word) => quiet("optional", json!(true)),
        "RequiredForOnline" if is_yes(word) => {}
        "RequiredForOnline" => {
            let known = ["carrier", "degraded-carrier", "degraded", "routable"].contains(&word);
            if known {
                quiet("online-state", json!(word));
            }
            return known;
        }
        "RequiredFamilyForOnline" => quiet("online-family", json!(word)),
        "Group" if word.parse::<u32>().is_ok() => quiet("group", scalar(word)),
        "ActivationPolicy" if word == "up" => {}
        "ActivationPolicy" if word == "manual" => quiet("activation-mode", json!("manual")),
        "ActivationPolicy" if word == "always-down" => quiet("activation-mode", json!("off")),
        "Unmanaged" if is_no(word) => {}
        "Unmanaged" if link.section == "nics" && is_yes(word) => quiet("unmanaged", json!(true)),
        _ => return false,
    }
    true
}

/// What rackstrap waits for by itself need not be said.
fn online(link: &mut Link) {
    let own = match link.section {
        "bonds" | "bridges" => "degraded-carrier",
        _ if link.addresses.is_empty() && !link.keys.contains_key("dhcp4") => "carrier",
        _ => "routable",
    };
    if link.quiet.get("online-state").is_some_and(|state| *state == json!(own)) {
        link.quiet.shift_remove("online-state");
    }
}

/// `[DHCPv4]`, `[DHCPv6]` and `[IPv6AcceptRA]`.
fn learned(link: &mut Link, line: &Line) -> bool {
    let word = line.value.as_str();
    let group = match line.section.as_str() {
        "DHCPv6" => "dhcp6-overrides",
        "IPv6AcceptRA" => "ra-overrides",
        _ => "dhcp4-overrides",
    };
    let value = match (is_yes(word), is_no(word)) {
        (true, _) if line.key != "RouteMetric" => json!(true),
        (_, true) if line.key != "RouteMetric" => json!(false),
        _ => scalar(word),
    };
    let mut quiet = |key: &str, value: Value| drop(link.quiet.insert(key.to_owned(), value));
    match line.key.as_str() {
        "ClientIdentifier" if word == "mac" => {}
        "ClientIdentifier" if word == "duid" => quiet("dhcp-identifier", json!("duid")),
        "DUIDType" => quiet("duid", json!(word)),
        "VendorClassIdentifier" | "VendorClass" if word.parse::<Caption>().is_ok() => {
            quiet("vendor-class", json!(word))
        }
        "Token" => quiet("ipv6-token", json!(token(word))),
        // It says the same as the gateway's.
        "UseRoutePrefix" => {
            let overrides = link.quiet.get(group);
            return overrides.is_some_and(|keys| keys.get("use-routes") == Some(&value));
        }
        key => {
            let Some(key) = override_of(key) else { return false };
            let keys = link.quiet.entry(group).or_insert_with(|| json!({}));
            keys[key] = value;
        }
    }
    true
}

/// A section that may be there several times: its first line, and its keys.
type Group = BTreeMap<usize, (Line, Map<String, Value>)>;

#[derive(Debug, Default)]
struct Groups {
    addresses: Group,
    neighbors: Group,
    routes: Group,
    rules: Group,
}

impl Groups {
    /// Notes a line of such a section; false for a key that a site file has no word for.
    fn take(&mut self, line: &Line) -> bool {
        let word = line.value.as_str();
        let (group, found) = match line.section.as_str() {
            "Address" => (&mut self.addresses, address_key(line)),
            "Neighbor" => (&mut self.neighbors, neighbor_key(line)),
            "Route" => (&mut self.routes, route_key(line)),
            _ => (&mut self.rules, rule_key(line)),
        };
        let (_, keys) = group.entry(line.number).or_insert_with(|| (line.clone(), Map::new()));
        match (line.section.as_str(), line.key.as_str()) {
            ("Route", "Scope") => return word == "link",
            ("Route", "Protocol") => return word == "static",
            ("Route", "MultiPathRoute") => {
                let hops = keys.entry("next-hops").or_insert_with(|| json!([]));
                if let (Some(hops), Some(hop)) = (hops.as_array_mut(), hop(word)) {
                    hops.push(hop);
                    return true;
                }
                return false;
            }
            ("RoutingPolicyRule", "FirewallMark") => {
                let (mark, mask) = word.split_once('/').unwrap_or((word, ""));
                keys.insert("mark".into(), scalar(mark));
                if !mask.is_empty() {
                    keys.insert("mask".into(), scalar(mask));
                }
                return true;
            }
            ("RoutingPolicyRule", "Family") if word == "ipv4" => return true,
            _ => {}
        }
        let Some(key) = found else { return false };
        let is_switch = ["on-link", "invert"].contains(&key);
        let value = if is_switch { json!(is_yes(word)) } else { scalar(word) };
        keys.insert(key.to_owned(), value);
        true
    }
}

/// `10.0.0.1@eth0 3`.
fn hop(word: &str) -> Option<Value> {
    let mut words = word.split_whitespace();
    let (via, device) = words.next()?.split_once('@').map_or_else(
        || (word.split_whitespace().next().unwrap_or_default(), None),
        |(via, device)| (via, Some(device)),
    );
    let mut hop = Map::from_iter([("via".to_owned(), json!(via))]);
    hop.extend(device.map(|device| ("link".to_owned(), json!(device))));
    let weight = words.next().and_then(|weight| weight.parse::<u32>().ok());
    hop.extend(weight.map(|weight| ("weight".to_owned(), json!(weight))));
    Some(Value::Object(hop))
}

fn address_key(line: &Line) -> Option<&'static str> {
    (line.key == "Address").then_some("Address")
}

fn neighbor_key(line: &Line) -> Option<&'static str> {
    match line.key.as_str() {
        "Address" => Some("address"),
        "LinkLayerAddress" | "MACAddress" => Some("macaddress"),
        _ => None,
    }
}

fn route_key(line: &Line) -> Option<&'static str> {
    Some(match line.key.as_str() {
        "Destination" => "to",
        "Gateway" => "via",
        "Metric" => "metric",
        "Table" => "table",
        "Type" => "type",
        "PreferredSource" => "from",
        "MTUBytes" => "mtu",
        "InitialCongestionWindow" => "congestion-window",
        "TCPAdvertisedMaximumSegmentSize" => "advertised-mss",
        "GatewayOnLink" => "on-link",
        _ => return None,
    })
}

fn rule_key(line: &Line) -> Option<&'static str> {
    Some(match line.key.as_str() {
        "From" => "from",
        "To" => "to",
        "Table" => "table",
        "Priority" => "priority",
        "IncomingInterface" => "incoming-interface",
        "OutgoingInterface" => "outgoing-interface",
        "SuppressPrefixLength" => "suppress-prefix-length",
        "TypeOfService" => "tos",
        "User" => "users",
        "IPProtocol" => "protocol",
        "SourcePort" => "source-port",
        "DestinationPort" => "destination-port",
        "InvertRule" => "invert",
        "Family" => "family",
        "Type" => "type",
        _ => return None,
    })
}
