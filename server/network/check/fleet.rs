//! Rules about what two hosts must not have in common, and about images. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::{FindingSubject, Findings, Surroundings, shared};
use crate::model::command_line::check_command_line;
use crate::model::{
    AddressRole, BootMode, DRACUT_WORD, Host, Identity, Image, ImageVariant, Location, NewHosts,
    NicAddress, Rack, RackItem, STORE_FOLDER, SharedAddress,
};
use crate::network::Domains;
use crate::profile::ResolvedSite;

pub(super) fn check(site: &ResolvedSite, findings: &mut Findings) {
    names(site, findings);
    macs(site, findings);
    identities(site, findings);
    addresses(site, findings);
    units(site, findings);
    similar_racks(site, findings);
    mistyped_racks(site, findings);
    for (name, image) in &site.images {
        one_thing_to_boot(name, image, findings);
        disk_image(site, name, image, findings);
        command_line(name, image, findings);
        recipe(name, image, findings);
    }
}

fn at(host: &str, key: &str) -> Location {
    Location::of::<Host>(host).at(key)
}

/// Rule N101: DNS and file systems of other programs do not tell letters by their case.
fn names(site: &ResolvedSite, findings: &mut Findings) {
    let mut owners: HashMap<String, &str> = HashMap::with_capacity(site.hosts.len());
    for name in site.hosts.keys() {
        if let Some(other) = owners.insert(name.to_ascii_lowercase(), name) {
            let text = format!("hosts \"{other}\" and \"{name}\" differ only in case");
            let place = FindingSubject::from(Location::of::<Host>(name.as_str()));
            findings.error("N101", place.and(Location::of::<Host>(other)), text);
        }
    }
}

/// Rule N104: a MAC is how a host is known.
fn macs(site: &ResolvedSite, findings: &mut Findings) {
    let mut owners: HashMap<NicAddress, (&str, &str)> =
        HashMap::with_capacity(site.hosts.len() * 4);
    for (host, (label, nic)) in
        site.hosts.iter().flat_map(|(name, host)| host.nics.iter().map(move |nic| (name, nic)))
    {
        let mac = nic.address.identity();
        if let Some((other_host, other_label)) = owners.insert(mac, (host, label)) {
            let text = format!(
                "{mac} belongs to {other_label} of {other_host} and to {label} of {host}; {} identifies one host",
                mac.noun()
            );
            let place = FindingSubject::from(at(host, "nics").at(label)).of_link(label.as_str());
            let other = at(other_host, "nics").at(other_label);
            findings.error("N104", place.and(other), text);
        }
    }
    let bmcs = site.hosts.iter().filter_map(|(name, host)| Some((name, host.bmc.as_ref()?)));
    for (host, bmc) in bmcs {
        if let Some((other_host, other_label)) = owners.insert(bmc.mac.into(), (host, "the BMC")) {
            let text = format!(
                "{} belongs to {other_label} of {other_host} and to the BMC of {host}; a MAC \
                 address identifies one of them",
                bmc.mac
            );
            findings.error("N104", FindingSubject::from(at(host, "bmc")), text);
        }
    }
}

/// Rule N109: whatever else a host is known by is its own.
fn identities(site: &ResolvedSite, findings: &mut Findings) {
    let mut owners: HashMap<Identity, &str> = HashMap::new();
    for (name, host) in &site.hosts {
        for identity in host.known_by.identities() {
            let shown = identity.to_string();
            if let Some(other) = owners.insert(identity, name) {
                let text = format!("{shown} identifies both {other} and {name}; it must be unique");
                let place = FindingSubject::from(at(name, "match")).and(at(other, "match"));
                findings.error("N109", place, text);
            }
        }
    }
}

/// Rule N141: one address of a routing domain, one host. A reservation of a host may be an address of its own link.
fn addresses(site: &ResolvedSite, findings: &mut Findings) {
    let domains = Domains::of(site);
    let shared = shared::all(site);
    let mut owners: HashMap<(&str, IpAddr), Owner<'_>> =
        HashMap::with_capacity(site.hosts.len() * 2);
    for (name, host) in &site.hosts {
        for (section, key, owned) in domains.owned(name, host) {
            let (domain, address) = owned;
            let place = || FindingSubject {
                link: (section == "addresses").then(|| key.clone()),
                ..FindingSubject::from(at(name, section).at(key))
            };
            if domain.is_empty() {
                shared::is_own(&shared, address, place, findings);
            }
            let own = Owner { host: name, section, key };
            let Some(other) = owners.insert(owned, own) else { continue };
            if other.host == name && section == "reservations" {
                continue;
            }
            let domain = match domain {
                "" => String::new(),
                domain => format!(" of VRF {domain}"),
            };
            let text =
                format!("{address}{domain} is on {} {} and on {name} {key}", other.host, other.key);
            findings.error("N141", place().and(other.location()), text);
        }
    }
    for (name, host) in &site.hosts {
        let Some(address) = host.bmc.as_ref().and_then(|bmc| bmc.address) else { continue };
        let own = Owner { host: name, section: "bmc", key: "" };
        let Some(other) = owners.insert(("", address), own) else { continue };
        let text = format!("{address} is on {} {} and on the bmc of {name}", other.host, other.key);
        findings.error("N141", FindingSubject::from(at(name, "bmc")).and(other.location()), text);
    }
    let taken = owners.into_iter().filter(|((domain, _), _)| domain.is_empty());
    secondary(site, taken.map(|((_, address), owner)| (address, owner)).collect(), findings);
}

/// Who has an address, and where that is written.
#[derive(Clone, Copy)]
struct Owner<'a> {
    host: &'a str,
    section: &'a str,
    /// Empty for an address of the host's profile.
    key: &'a str,
}

impl Owner<'_> {
    fn location(&self) -> Location {
        let key = Some(self.key).filter(|key| !key.is_empty());
        at(self.host, self.section).within(key)
    }
}

/// Rule N141 for the addresses that hosts have beside those of their subnets.
fn secondary<'a>(
    site: &'a ResolvedSite,
    mut owners: HashMap<IpAddr, Owner<'a>>,
    findings: &mut Findings,
) {
    for (name, host) in &site.hosts {
        let Some(resolution) = site.profile_of(host) else { continue };
        for link in resolution.profile.links() {
            let own = |one: &&SharedAddress| one.role == AddressRole::Secondary;
            for address in link.settings.addresses.iter().filter(own).map(|one| one.address.addr())
            {
                let own = Owner { host: name, section: "network", key: "" };
                let Some(other) = owners.insert(address, own) else { continue };
                let its_key = Some(other.key).filter(|key| !key.is_empty());
                let text = format!(
                    "{address} is on {} ({}) and on {} of {name}; a secondary address belongs to one host",
                    other.host,
                    its_key.unwrap_or("beside its subnet"),
                    link.name
                );
                let place = FindingSubject::from(at(name, "network")).and(other.location());
                findings.error("N141", place, text);
            }
        }
    }
}

/// Rule N184: two hosts or switches that claim one unit of one rack.
fn units(site: &ResolvedSite, findings: &mut Findings) {
    let mut owners: HashMap<(&str, u16), RackItem> = HashMap::new();
    for item in site.rack_items() {
        let RackItem { rack, unit, .. } = item;
        let units = site.racks.get(rack).and_then(|rack| rack.units).unwrap_or(42);
        if unit == 0 || item.top() > units {
            let claimed = match item.top() {
                top if top == unit => unit.to_string(),
                top => format!("{unit} to {top}"),
            };
            let text = format!("rack {rack} has units 1 to {units}, not {claimed}");
            let place = FindingSubject::from(item.location()).and(Location::of::<Rack>(rack));
            findings.warn("N184", place, text);
        }
        // One finding, however many units two of them share.
        let taken: Vec<(u16, RackItem)> = (unit..=item.top().min(units.max(unit)))
            .filter_map(|unit| Some((unit, owners.insert((rack, unit), item)?)))
            .collect();
        for (index, (unit, other)) in taken.iter().enumerate() {
            if taken[..index].iter().any(|(_, known)| known == other) {
                continue;
            }
            let text = format!("unit {unit} of rack {rack} is already occupied by {}", other.name);
            let place = FindingSubject::from(item.location()).and(other.location());
            findings.warn("N184", place, text);
        }
    }
}

/// Rule N215: racks whose names differ in case, zeros or separators only.
fn similar_racks(site: &ResolvedSite, findings: &mut Findings) {
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    let hosts_in =
        |rack: &str| site.hosts.values().filter(|host| host.rack.as_deref() == Some(rack)).count();
    let of_hosts = site.hosts.values().filter_map(|host| host.rack.as_ref());
    for name in site.racks.keys().chain(of_hosts).collect::<BTreeSet<_>>() {
        let Some(other) = known.insert(plain_name(name), name) else { continue };
        // The one with fewer hosts is the one that somebody mistyped.
        let (wrong, right) = if hosts_in(name) <= hosts_in(other) {
            (name.as_str(), other)
        } else {
            (other, name.as_str())
        };
        let place = Location::of::<Rack>(wrong);
        let text =
            format!("rack {wrong} has almost the same name as rack {right}, which has more hosts");
        findings.warn("N215", FindingSubject::from(place).and(Location::of::<Rack>(right)), text);
        known.insert(plain_name(name), right);
    }
}

/// How many racks make a pattern of names.
const PATTERN_RACKS: usize = 5;
/// How many of its racks have more than a few hosts, for one to stand out.
const FULL_RACK: usize = 3;

/// Rule N215: a rack that one host alone stands in, among many of its pattern, one slip away from a rack
/// that has several: two characters swapped, or a letter for the digit it looks like.
fn mistyped_racks(site: &ResolvedSite, findings: &mut Findings) {
    let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, host) in &site.hosts {
        if let Some(rack) = &host.rack {
            hosts.entry(rack).or_default().push(name);
        }
    }
    let full: Vec<&str> =
        hosts.iter().filter(|(_, own)| own.len() >= FULL_RACK).map(|(name, _)| *name).collect();
    for (name, own) in &hosts {
        let [host] = own[..] else { continue };
        // A rack that has something of its own was entered on purpose, as was the name of a host
        // that says its rack.
        let is_own = site.racks.get(*name).is_some_and(|rack| *rack != Rack::default());
        if is_own || host.to_lowercase().contains(&name.to_lowercase()) {
            continue;
        }
        let plain = plain_name(name);
        let slips: Vec<&&str> = full.iter().filter(|other| is_slip(name, other)).collect();
        // Names that count as the same are found by `similar_racks`.
        let Some(right) = slips.iter().find(|other| plain_name(other) != plain) else { continue };
        let pattern = shape(right);
        if full.iter().filter(|other| shape(other) == pattern).count() < PATTERN_RACKS {
            continue;
        }
        let place = FindingSubject::from(Location::of::<Rack>(*name));
        let text = format!(
            "rack {name} has one host, {host}, and its name is one slip away from rack {right}, \
             which has {}",
            hosts[**right].len()
        );
        findings.warn("N215", place.and(Location::of::<Rack>(**right)), text);
    }
}

/// A name with each digit as `0`, which names of one pattern have in common.
fn shape(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

/// Whether somebody who meant one name may have typed the other: two neighbours are swapped, or one
/// character is a letter that looks like the digit.
fn is_slip(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let differing: Vec<usize> =
        (0..one.len()).filter(|at| one.get(*at) != other.get(*at)).collect();
    one.len() == other.len()
        && match differing[..] {
            [at] => look_alike(one[at], other[at]),
            [at, next] => next == at + 1 && one[at] == other[next] && one[next] == other[at],
            _ => false,
        }
}

fn look_alike(one: char, other: char) -> bool {
    const PAIRS: [(char, &str); 5] =
        [('0', "oO"), ('1', "lI"), ('5', "sS"), ('8', "B"), ('2', "zZ")];
    let is = |digit: char, letter: char| {
        PAIRS.iter().any(|(own, letters)| *own == digit && letters.contains(letter))
    };
    is(one, other) || is(other, one)
}

/// A name in lower case, without separators and leading zeros.
fn plain_name(name: &str) -> String {
    let mut plain = String::new();
    let mut after_digit = false;
    for c in name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase) {
        let is_leading_zero = c == '0' && !after_digit;
        if !is_leading_zero {
            plain.push(c);
        }
        after_digit = c.is_ascii_digit() && !is_leading_zero;
    }
    plain
}

/// Rule N183: an image is one thing to boot.
fn one_thing_to_boot(name: &str, image: &Image, findings: &mut Findings) {
    let has = |given: fn(&ImageVariant) -> bool| image.variants.values().any(given);
    let given: Vec<&str> = [
        ("kernel", has(|it| it.kernel.is_some()) || image.kernel.is_some()),
        ("efi", has(|it| it.efi.is_some()) || image.efi.is_some()),
        ("script", image.script.is_some()),
        ("disk", has(|it| it.disk.is_some()) || image.disk.is_some()),
        ("local", image.local),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect();
    let place = || Location::of::<Image>(name);
    match given[..] {
        [] => findings.error(
            "N183",
            place(),
            "nothing to boot: set kernel, efi, script, disk or local".into(),
        ),
        [_] => {}
        _ => findings.error(
            "N183",
            place(),
            format!("{} are set; an image boots exactly one", given.join(" and ")),
        ),
    }
    if image.local && image.boot == BootMode::Once {
        let text = "boot: once is for an image that installs; the local disk boots always";
        findings.error("N183", place(), text.into());
    }
    if image.kernel.is_none() && !has(|it| it.kernel.is_some()) && !image.initrd.is_empty() {
        findings.error("N183", place(), "initrd is set without a kernel".into());
    }
}

/// Rule N183: a disk image, and the live system that writes it.
fn disk_image(site: &ResolvedSite, name: &str, image: &Image, findings: &mut Findings) {
    let at = |key: &str| Location::of::<Image>(name).at(key);
    if image.disk.is_none() {
        for (key, given) in [
            ("sha256", image.sha256.is_some()),
            ("live-system", image.live_system.is_some()),
            ("network-format", image.network_format.is_some()),
        ] {
            if given {
                findings.error("N183", at(key), format!("{key} is set without a disk image"));
            }
        }
        return;
    }
    if let Some(digest) = &image.sha256
        && !(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        let text = format!("\"{digest}\" is not a SHA-256: expected 64 hexadecimal digits");
        findings.error("N183", at("sha256"), text);
    }
    let live = image.live_system();
    let fault = match site.images.get(live) {
        None => "does not exist",
        Some(live) if live.kernel.is_none() || live.installs() => {
            "has no kernel that boots every time"
        }
        Some(_) => return,
    };
    let text = format!(
        "a live system writes the disk image, and image {live} {fault}; make one with \
         rackstrap image build live, or name another as live-system"
    );
    findings.error("N183", at("live-system"), text);
}

/// Rule N220 for all images.
pub(super) fn files(site: &ResolvedSite, around: &Surroundings, findings: &mut Findings) {
    for (name, image) in &site.images {
        files_of(name, image, around, findings);
    }
}

/// Rule N220 for the images that one host boots.
pub(super) fn files_of_host(
    site: &ResolvedSite,
    host: &Host,
    around: &Surroundings,
    findings: &mut Findings,
) {
    let own = host.image.as_deref().and_then(|name| site.images.get_key_value(name));
    let Some((name, image)) = own else { return };
    files_of(name, image, around, findings);
    let writer = image.disk.as_ref().and_then(|_| site.images.get_key_value(image.live_system()));
    if let Some((name, image)) = writer {
        files_of(name, image, around, findings);
    }
}

/// Rule N220: a file of an image that this server cannot send, or that is not what was added.
fn files_of(name: &str, image: &Image, around: &Surroundings, findings: &mut Findings) {
    for (key, file) in image.files() {
        let Some(fault) = around.files.fault(file) else { continue };
        let advice = match file.trim_start_matches('/').split('/').next() {
            Some(STORE_FOLDER) => "",
            _ => "; copy it to files_dir",
        };
        let text = format!("hosts cannot boot this image: {fault}{advice}");
        findings.warn("N220", Location::of::<Image>(name).at(key), text);
    }
}

/// Rule N183: a recipe that is none, or is never asked for.
fn recipe(name: &str, image: &Image, findings: &mut Findings) {
    let Some(recipe) = &image.recipe else { return };
    let at = || Location::of::<Image>(name).at("recipe");
    match (&recipe.shipped, recipe.format, &recipe.text) {
        (Some(_), None, None) | (None, Some(_), Some(_)) => {}
        _ => findings.error("N183", at(), "a recipe has either use, or format and text".into()),
    }
    if image.kernel.is_none() {
        findings.error("N183", at(), "recipe is set without a kernel".into());
    }
}

/// Rule N183: a recipe that cannot be filled in for a host that boots its image. One finding for all
/// hosts with the same fault.
pub(super) fn recipes<'a>(
    site: &'a ResolvedSite,
    around: &Surroundings,
    hosts: impl Iterator<Item = (&'a String, &'a Host)>,
    findings: &mut Findings,
) {
    let Some(check) = around.recipes else { return };
    let mut faulty: BTreeMap<&str, BTreeMap<String, Vec<&String>>> = BTreeMap::new();
    for (name, host) in hosts {
        let image = host.image.as_ref().and_then(|image| site.images.get_key_value(image));
        let Some((image, _)) = image.filter(|(_, image)| image.recipe.is_some()) else { continue };
        if let Some(fault) = check(site, name) {
            faulty.entry(image).or_default().entry(fault).or_default().push(name);
        }
    }
    for (image, faults) in faulty {
        for (fault, hosts) in faults {
            let at = |host: &&String| Location::of::<Host>(host.as_str()).at("image");
            let place = FindingSubject::from(Location::of::<Image>(image).at("recipe"));
            let place = hosts.iter().map(at).fold(place, FindingSubject::and);
            findings.error("N183", place, fault);
        }
    }
}

/// Rule N183: a policy for new hosts whose image no live system can write. One finding for all hosts.
pub(super) fn new_hosts(site: &ResolvedSite, findings: &mut Findings) {
    let mut faulty: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for (name, host) in &site.hosts {
        let NewHosts::Install(image) = site.policy_for_new(host) else { continue };
        if site.images.get(&image).is_none_or(|image| image.disk.is_none()) {
            faulty.entry(image).or_default().push(name);
        }
    }
    for (image, hosts) in faulty {
        let fault = match site.images.get(&image) {
            Some(_) => "is not a disk image: only a live system looks at a disk before it writes",
            None => "does not exist",
        };
        let at = |host: &&String| Location::of::<Host>(host.as_str());
        let mut places = hosts.iter().map(at);
        let Some(first) = places.next() else { continue };
        let place = places.fold(FindingSubject::from(first), FindingSubject::and);
        findings.error("N183", place, format!("new-hosts: image {image} {fault}"));
    }
}

/// Rule N183: a command line that cannot be delivered.
fn command_line(name: &str, image: &Image, findings: &mut Findings) {
    for error in check_command_line(&image.cmdline) {
        findings.error("N183", Location::of::<Image>(name).at("cmdline"), error.to_string());
    }
    if image.wants_dracut() && image.kernel.is_none() {
        let text = format!("{DRACUT_WORD} is used without a kernel");
        findings.error("N183", Location::of::<Image>(name).at("cmdline"), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six racks of three hosts, and a host in `rack`.
    fn findings_with(host: &str, rack: &str, own: serde_json::Value) -> Vec<String> {
        let mut hosts = serde_json::Map::new();
        for number in [10, 15, 26, 61, 62, 80] {
            for unit in 1..=3 {
                let host = serde_json::json!({"rack": format!("r{number:03}"), "unit": unit});
                hosts.insert(format!("h{number}-{unit}"), host);
            }
        }
        hosts.insert(host.to_owned(), serde_json::json!({"rack": rack}));
        let site = serde_json::json!({"racks": {rack: own}, "hosts": hosts});
        let site = ResolvedSite::from(serde_json::from_value::<crate::model::Site>(site).unwrap());
        let mut findings = Findings::default();
        mistyped_racks(&site, &mut findings);
        findings.sorted().into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn one_host_in_a_rack_a_slip_away_from_a_full_one_is_found() {
        let none = || serde_json::json!({});
        for (rack, right) in
            [("r016", "r061"), ("r06l", "r061"), ("rO61", "r061"), ("r08O", "r080")]
        {
            let texts = findings_with("n1", rack, none());
            assert_eq!(texts.len(), 1, "{rack}: {texts:?}");
            assert!(
                texts[0].contains(&format!("slip away from rack {right}, which has 3")),
                "{texts:?}"
            );
        }
        for (host, rack, own) in [
            ("n1", "r063", none()),
            ("n1", "r160", none()),
            ("n1", "r061", none()),
            ("r016-n1", "r016", none()),
            ("n1", "r016", serde_json::json!({"location": "hall 2"})),
        ] {
            assert_eq!(findings_with(host, rack, own), [""; 0], "{host} in {rack}");
        }
    }
}
