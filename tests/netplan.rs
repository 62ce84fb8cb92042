//! netplan as a second opinion: what it makes of our netplan text must mean to networkd
//! what our networkd files mean.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rackstrap::network::{Format, Reader, RenderError, abilities, render_host};

use crate::common::skip::skip;
use crate::golden;

/// Who says something that the other does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    /// Our networkd files.
    We,
    /// What netplan makes of our netplan text.
    Netplan,
    /// Our networkd files; and netplan has no words for it, so that its text is refused by name.
    Refused,
}
use Says::{Netplan, Refused, We};

/// Every difference between our networkd files and netplan's, and why it is one. What is not here
/// fails the test, and so does what is here and is no difference of any golden site or feature.
#[rustfmt::skip] // a table: a difference a line
const DIFFERENCES: &[(Says, &str, &str)] = &[
    (Netplan, "a .link file", "it turns wake-on-LAN off where nobody asks for it"),
    (Netplan, "[Match] Name= beside a MAC", "a NIC that is renamed must have its new name as well"),
    (Netplan, "[Network] ConfigureWithoutCarrier=", "what it makes is configured without a carrier; ours waits"),
    (Netplan, "[Network] LinkLocalAddressing=ipv6", "networkd's default, written down"),
    (Netplan, "[Link] MACAddress=", "repeats what the .netdev says"),
    (Netplan, "[DHCPv4] UseMTU=", "its own default"),
    (Netplan, "[DHCPv4] RouteMetric=100", "its own default"),
    (Netplan, "[RoutingPolicyRule] From=0.0.0.0/0", "a rule must have a source or a destination"),
    (Netplan, "[Route] Table= of a VRF", "a link in a VRF routes by its table, said or not"),
    (We, "the .network of a VRF", "ours refuses link-local addresses and routers there"),
    (Netplan, "the .network of a VRF", "it has no words for a VRF but its members and its table"),
    (We, "[Network] LinkLocalAddressing=ipv6", "where a profile says it; to netplan it is the default"),
    (We, "[Link] Unmanaged=", "it leaves a NIC alone by not naming it"),
    (We, "[Link] RequiredForOnline= but no", "it says only what is not waited for"),
    (Refused, "DNS over TLS", "nameservers have addresses alone, and no names to check certificates by"),
    (Refused, "time servers", "it leaves them to timesyncd's own file"),
    (Refused, "several routers for one route", "a route has one `via`, so none over several links either"),
    (Refused, "advertised-mss", "`advertised-receive-window` is all it has"),
    (Refused, "rules with a mask", "`mark` is a number"),
    (Refused, "rules by user", "rules go by source, destination, mark and TOS"),
    (Refused, "rules by protocol or port", "rules go by source, destination, mark and TOS"),
    (Refused, "rules with a type", "a rule leads to a table"),
    (Refused, "neighbors", "no word for it"),
    (Refused, "forwarding", "no word for it"),
    (Refused, "rules by interface", "rules go by source, destination, mark and TOS"),
    (Refused, "rules with invert or suppress-prefix-length", "rules go by source, destination, mark and TOS"),
    (Refused, "IPv6 rules by mark alone", "the family of a rule is that of its source or destination"),
    (Refused, "ra-overrides", "overrides are for DHCP"),
    (Refused, "ipv6-token: stable", "a token is an address"),
    (Refused, "ipv6-privacy: prefer-public", "`ipv6-privacy` is yes or no"),
    (Refused, "ipv6-address-generation", "for NetworkManager alone: with networkd netplan refuses its own word"),
    (Refused, "duid", "`dhcp-identifier` is all that it says of it"),
    (Refused, "vendor-class", "no word for it"),
    (Refused, "overrides of DHCPv4 and DHCPv6 apart", "it writes one section for both, and refuses a text where they differ"),
    (Refused, "protocol 802.1ad", "a VLAN has `id` and `link`"),
    (Refused, "priorities of tags", "a VLAN has `id` and `link`"),
    (Refused, "vlan-filtering", "a bridge has no VLANs of its own"),
    (Refused, "multicast-snooping", "a bridge's `parameters` are those of spanning tree"),
    (Refused, "multicast-querier", "a bridge's `parameters` are those of spanning tree"),
    (Refused, "isolated", "of ports it knows `path-cost` and `port-priority`"),
    (Refused, "learning", "of ports it knows `path-cost` and `port-priority`"),
    (Refused, "neighbor-suppression", "of ports it knows `path-cost` and `port-priority`"),
    (Refused, "hairpin", "of ports it knows `path-cost` and `port-priority`"),
    (Refused, "dummy link", "from 0.107 on; 0.106 is what Debian 12 has"),
    (Refused, "Geneve", "no mode of its tunnels"),
    (Refused, "ttl of a tunnel", "from 0.107 on"),
    (Refused, "veth", "from 0.107 on; 0.106 is what Debian 12 has"),
    (Refused, "namespace", "no word for it"),
    (Refused, "metric", "metrics are those of single routes"),
    (Refused, "multicast-macs", "no word for it"),
    (Refused, "qdisc", "no word for it"),
    (Refused, "coalesce", "of the hardware it knows offloads, wake-on-LAN and the count of virtual functions"),
    (Refused, "roce", "no word for it"),
    (Refused, "affinity", "no word for it"),
    (Refused, "infiniband-mode", "what it makes of its own word no networkd reads"),
    (Refused, "driver-override", "no word for it"),
    (Refused, "nccl", "no word for it"),
    (Refused, "partition", "no kind of link"),
    (Refused, "openvswitch", "its own `openvswitch` was not compared with ours"),
    (Refused, "MACsec", "no kind of link"),
    (Refused, "MACVLAN", "no kind of link"),
    (Refused, "IPVLAN", "no kind of link"),
    (Refused, "set-name without a MAC", "a NIC that is found by its name keeps it"),
    (Refused, "DNSSEC", "no word for it"),
    (Refused, "resolvers with a port", "nameservers have addresses alone"),
    (Refused, "duplicate-detection", "no word for RFC 5227"),
    (Refused, "online-state", "`optional` is all that it says of being online"),
    (Refused, "online-family", "the same"),
    (Refused, "description", "no word for it"),
    (Refused, "group", "no word for it"),
    (Refused, "macaddress: none", "without a MAC, networkd makes one of the name"),
    (Refused, "peer", "an address has a label and a lifetime"),
    (Refused, "scope of an address", "an address has a label and a lifetime"),
    (Refused, "extra", "keys of networkd's files are not netplan's"),
    (Refused, "multicast-igmp-version", "a bridge's `parameters` are those of spanning tree"),
    (Refused, "lldp", "only whether LLDP announces the host"),
    (Refused, "emit-lldp by distance", "`emit-lldp` is yes or no"),
    (Refused, "ring", "of the hardware it knows offloads, wake-on-LAN and the count of virtual functions"),
    (Refused, "channels", "of the hardware it knows offloads, wake-on-LAN and the count of virtual functions"),
    (Refused, "single virtual functions", "it has their count alone"),
    (Refused, "bind-carrier", "no word"),
    (Refused, "ad-actor-system-priority", "no parameter of a bond"),
    (Refused, "ad-actor-system", "no parameter of a bond"),
    (Refused, "ad-user-port-key", "no parameter of a bond"),
];

/// The differences that were met.
#[derive(Default)]
struct Met(BTreeSet<(Says, String)>);

impl Met {
    /// Notes a difference, which the table must explain.
    fn note(&mut self, says: Says, what: &str) {
        let is_known = DIFFERENCES.iter().any(|(who, known, _)| (*who, *known) == (says, what));
        assert!(is_known, "{says:?} say {what}, and no line of the table explains it");
        self.0.insert((says, what.to_owned()));
    }
}

/// The sections of a file, each with its keys and values.
type Meaning = BTreeSet<(String, BTreeSet<(String, String)>)>;

#[test]
fn netplan_reads_our_text_as_our_networkd_files_say() {
    let Some(generate) = generator() else {
        return skip(
            "netplan_reads_our_text_as_our_networkd_files_say",
            "netplan.io is not installed",
        );
    };
    let (mut compared, mut met) = (0, Met::default());
    for feature in refused_features() {
        met.note(Refused, &feature);
    }
    for (name, site) in golden::sites() {
        let Ok(text) = render_host(&site, golden::HOST, Format::Netplan) else { continue };
        let mut ours = render_host(&site, golden::HOST, Format::Networkd).unwrap();
        ours.retain(|file| file.directory.as_deref() == Format::Networkd.directory());
        let theirs = generated(&generate, &text[0].text);
        let (ours, theirs) = (
            meanings(golden::by_name(ours), (We, &mut met)),
            meanings(theirs, (Netplan, &mut met)),
        );
        for (link, meaning) in &ours {
            let other =
                theirs.get(link).unwrap_or_else(|| panic!("{name}: netplan made no {link}"));
            assert_eq!(meaning, other, "{name}: {link}");
        }
        assert_eq!(ours.len(), theirs.len(), "{name}: {:?}", theirs.keys());
        compared += 1;
    }
    assert!(compared >= 4, "only {compared} sites were compared");
    let stale = DIFFERENCES.iter().map(|(who, what, _)| (*who, (*what).to_owned()));
    let stale: Vec<_> = stale.filter(|line| !met.0.contains(line)).collect();
    assert!(stale.is_empty(), "lines of the table that are no difference any more: {stale:?}");
}

/// What our netplan text is refused for: of the golden sites, and of every feature of networkd's.
fn refused_features() -> BTreeSet<String> {
    let mut features = BTreeSet::new();
    for (_, site) in golden::sites() {
        if let Err(RenderError::Unsupported { features: lost, .. }) =
            render_host(&site, golden::HOST, Format::Netplan)
        {
            features.extend(lost);
        }
    }
    let column = Reader::all().iter().position(|reader| reader.format == Format::Netplan).unwrap();
    for ability in abilities() {
        let refusal = ability.refusals[column].iter();
        features.extend(refusal.flat_map(|text| text.split(", ")).map(str::to_owned));
    }
    features
        .iter()
        .map(|text| text.split_once(": ").map_or(&**text, |(_, what)| what).to_owned())
        .collect()
}

fn generator() -> Option<PathBuf> {
    let given = std::env::var_os("RACKSTRAP_NETPLAN_GENERATE").map(PathBuf::from);
    let path = given.unwrap_or_else(|| "/usr/libexec/netplan/generate".into());
    path.exists().then_some(path)
}

/// The networkd files that netplan makes of a text.
fn generated(generate: &Path, text: &str) -> BTreeMap<String, String> {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("etc/netplan")).unwrap();
    fs::write(root.path().join("etc/netplan/90-rackstrap.yaml"), text).unwrap();
    let output = Command::new(generate).arg("--root-dir").arg(root.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("rror"), "{said}\n{text}");
    golden::read_files(&root.path().join("run/systemd/network"))
}

/// What the files of each link mean, by `LINK.network` and `LINK.netdev`.
fn meanings(
    files: BTreeMap<String, String>,
    (who, met): (Says, &mut Met),
) -> BTreeMap<String, Meaning> {
    let mut meanings = BTreeMap::new();
    // A file of a key says nothing of a link.
    let files = files.into_iter().filter(|(name, _)| !name.ends_with(".key"));
    for (name, text) in files {
        // `01-eth0.network` is ours, `10-netplan-eth0.network` is theirs.
        let name = name.split_once('-').unwrap().1.trim_start_matches("netplan-").to_owned();
        let whole = [
            (name.ends_with(".link") && who == Netplan, "a .link file"),
            (name.ends_with(".network") && text.contains("Name=blue"), "the .network of a VRF"),
            (text.contains("Unmanaged=yes"), "[Link] Unmanaged="),
        ];
        // Ours are udev's as well, and `networkd.rs` proves them there.
        let is_link = name.ends_with(".link");
        match whole.iter().find(|(found, _)| *found) {
            Some((_, what)) => met.note(who, what),
            None if is_link => {}
            None => drop(meanings.insert(name, Reading { who, met }.meaning(&text))),
        }
    }
    meanings
}

/// One file being read.
struct Reading<'a> {
    who: Says,
    met: &'a mut Met,
}

impl Reading<'_> {
    fn meaning(&mut self, text: &str) -> Meaning {
        let mut meaning = Meaning::new();
        let mut section = String::new();
        let mut block = BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')).chain(["[End]"]) {
            if let Some(next) = line.strip_prefix('[') {
                self.end_section(&mut meaning, &section, std::mem::take(&mut block));
                section = next.trim_end_matches(']').replace("DHCP", "DHCPv4").replace("v4v", "v");
            } else if let Some((key, value)) = line.split_once('=') {
                let values: Vec<&str> =
                    if key == "Domains" { value.split(' ').collect() } else { vec![value] };
                block.extend(values.into_iter().map(|value| (key.to_owned(), plain(key, value))));
            }
        }
        meaning
    }

    /// Adds a section: its single keys where their order and grouping mean nothing, else whole.
    fn end_section(
        &mut self,
        meaning: &mut Meaning,
        section: &str,
        mut block: BTreeSet<(String, String)>,
    ) {
        if section == "Match" && block.iter().any(|(key, _)| key == "PermanentMACAddress") {
            let before = block.len();
            block.retain(|(key, _)| key != "Name");
            self.note_if(block.len() < before, "[Match] Name= beside a MAC");
        }
        match section {
            "Route" => {
                let ipv6 = block.iter().any(|(key, value)| key == "Gateway" && value.contains(':'));
                if !block.iter().any(|(key, _)| key == "Destination") {
                    block.insert(pair("Destination", if ipv6 { "::/0" } else { "0.0.0.0/0" }));
                }
                let removed = block.remove(&pair("Table", "1000"));
                self.note_if(removed, "[Route] Table= of a VRF");
                meaning.insert((section.into(), block));
            }
            "RoutingPolicyRule" => {
                let removed = block.remove(&pair("From", "0.0.0.0/0"));
                self.note_if(removed, "[RoutingPolicyRule] From=0.0.0.0/0");
                meaning.insert((section.into(), block));
            }
            _ => {
                for (key, value) in block {
                    match set_aside(section, &key, &value) {
                        Some(what) => self.met.note(self.who, what),
                        None => drop(meaning.insert(alone(section, (key, value)))),
                    }
                }
            }
        }
    }

    fn note_if(&mut self, found: bool, what: &str) {
        if found {
            self.met.note(self.who, what);
        }
    }
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// A key whose place among others means nothing, with the section that it may also stand in.
fn alone(section: &str, (key, value): (String, String)) -> (String, BTreeSet<(String, String)>) {
    match key.as_str() {
        "Gateway" => {
            let all = if value.contains(':') { "::/0" } else { "0.0.0.0/0" };
            ("Route".into(), [pair("Destination", all), (key, value)].into())
        }
        // Where it was until systemd 250, which still reads it.
        "IPv6Token" => {
            let token = value.trim_start_matches("static:").to_owned();
            ("IPv6AcceptRA".into(), [("Token".into(), token)].into())
        }
        "Address" => ("Address".into(), [(key, value)].into()),
        _ => (section.into(), [(key, value)].into()),
    }
}

/// The difference that a key is, if only one of the two means to say it.
fn set_aside(section: &str, key: &str, value: &str) -> Option<&'static str> {
    match (section, key, value) {
        ("Network", "ConfigureWithoutCarrier", _) => Some("[Network] ConfigureWithoutCarrier="),
        ("Network", "LinkLocalAddressing", "ipv6") => Some("[Network] LinkLocalAddressing=ipv6"),
        ("Link", "RequiredForOnline", value) if value != "no" => {
            Some("[Link] RequiredForOnline= but no")
        }
        ("Link", "MACAddress", _) => Some("[Link] MACAddress="),
        ("DHCPv4", "UseMTU", _) => Some("[DHCPv4] UseMTU="),
        ("DHCPv4", "RouteMetric", "100") => Some("[DHCPv4] RouteMetric=100"),
        _ => None,
    }
}

/// A value in one notation: times in milliseconds, truth as yes and no.
fn plain(key: &str, value: &str) -> String {
    let millis = |number: &str, factor: f64| {
        number.parse::<f64>().map(|number| format!("{}ms", (number * factor).round()))
    };
    match value {
        "true" => return "yes".into(),
        "false" => return "no".into(),
        _ => {}
    }
    if !key.ends_with("Sec") {
        return value.to_owned();
    }
    if let Some(number) = value.strip_suffix("ms") {
        return millis(number, 1.0).unwrap();
    }
    millis(value.trim_end_matches('s'), 1000.0).unwrap()
}
