//! The site file: YAML text to a site and back, every error with its line. Pure.
//!
//! The text is read into a tree that knows where each value stands; the nouns
//! are then read from the tree one by one, so that all errors are found at once.

mod edit;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
mod rows;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::model::{Noun, NounKind, NounVisitor, Site, visit_nouns};
use crate::profile::{Fault, ResolvedSite};
pub use crate::tree::Position;
use crate::tree::{self, Key, Node, Refusal, Typing, unknown};
pub use edit::EditError;
pub(crate) use edit::{LayError, lay_over};
pub(crate) use edit::{set_host, set_values};
pub use rows::{RowError, Rows, decode, render as render_rows};
pub(crate) use rows::{UNCLOSED, decode_any, unclosed_quote};

/// One thing that is wrong with a site file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFileError {
    /// The file's name, as the operator gave it.
    pub file: String,
    /// Where in it.
    pub position: Position,
    /// Which value: keys joined by dots, such as `hosts.r1-n02.nics.eth0`; empty for the file.
    pub path: String,
    /// The same as a JSON pointer (RFC 6901), to the key itself where that is what is wrong.
    pub pointer: String,
    /// Whether the value has the right type but does not mean anything.
    pub is_value: bool,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl std::error::Error for SiteFileError {}

impl fmt::Display for SiteFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, position: Position { line, column }, .. } = self;
        write!(f, "{file}:{line}:{column}: {}", self.told())
    }
}

impl SiteFileError {
    /// What is wrong, without the file.
    fn told(&self) -> String {
        match self.path.as_str() {
            "" => self.message.clone(),
            path => format!("{path}: {}", self.message),
        }
    }
}

/// A site and where in its file everything stands.
#[derive(Clone, Debug)]
pub struct SiteFile {
    /// The site that the file describes.
    pub site: ResolvedSite,
    name: String,
    root: Arc<Node>,
}

impl SiteFile {
    /// Reads the text of the file `name`. All errors are found, not only the first; within
    /// one host, subnet and so on the first.
    pub fn parse(text: &str, name: &str) -> Result<Self, Vec<SiteFileError>> {
        if is_blank(text) {
            let text = "the file is empty: a site file has at least one section, such as hosts; \
                        {} alone stands for an empty inventory";
            let refusal = Refusal::at(Position::default(), text.to_owned());
            return Err(vec![placed(&refusal, name, &Node::nothing())]);
        }
        match tree::parse(text) {
            Ok(root) => Self::read(root, name, Typing::Loose),
            Err(refusal) => Err(vec![placed(&refusal, name, &Node::nothing())]),
        }
    }

    /// Reads what was parsed already. All errors are found, as by [`SiteFile::parse`].
    pub(crate) fn read(
        root: Arc<Node>,
        name: &str,
        typing: Typing,
    ) -> Result<Self, Vec<SiteFileError>> {
        let mut errors = Vec::new();
        if let Some(refusal) = refuse_netplan(&root) {
            return Err(vec![placed(&refusal, name, &root)]);
        }
        let site = ResolvedSite::from(read_site(&root, typing, &mut errors));
        check_profiles(&site, &root, &mut errors);
        if !errors.is_empty() {
            errors.sort_by_key(|error: &Refusal| error.position);
            return Err(errors.into_iter().map(|error| placed(&error, name, &root)).collect());
        }
        Ok(Self { site, name: name.to_owned(), root })
    }

    /// An error about the value at `path`; of one that is not in the file, about what
    /// would hold it.
    pub fn error_at(&self, path: &str, message: String) -> SiteFileError {
        let position = tree::place(&self.root, path);
        let (file, pointer) = (self.name.clone(), tree::pointer(&self.root, path));
        SiteFileError { file, position, path: path.to_owned(), pointer, is_value: true, message }
    }
}

/// Whether a text has nothing but comments and marks of documents.
pub(crate) fn is_blank(text: &str) -> bool {
    // Blank for longer than anybody writes, it is refused for its size.
    const LONGEST: usize = 1 << 20;
    text.len() <= LONGEST
        && text.trim_start_matches('\u{feff}').lines().map(str::trim).all(|line| {
            line.is_empty()
                || line.starts_with(['#', '%'])
                || matches!(line, "---" | "..." | "~" | "null")
        })
}

/// The keys of `network` in a netplan file that a site file's `network` does not have.
const NETPLAN_KEYS: [&str; 6] =
    ["version", "renderer", "ethernets", "wifis", "modems", "nm-devices"];

/// Refuses a netplan file, which also has the key `network`.
fn refuse_netplan(root: &Node) -> Option<Refusal> {
    let sections = root.entries().ok()?;
    let (_, network) = sections.iter().find(|(key, _)| key.text == "network")?;
    let keys = network.entries().ok()?;
    let (key, _) = keys.iter().find(|(key, _)| NETPLAN_KEYS.contains(&key.text.as_str()))?;
    let text = format!(
        "this is a netplan file (network has the key \"{}\"), and a site file is expected: \
         write its links as a profile (rackstrap keys lists the keys) and its hosts below hosts",
        key.text
    );
    Some(Refusal::at(key.position, text).within("network"))
}

/// What the operator is told of a refusal in the file `name`.
pub(crate) fn placed(refusal: &Refusal, name: &str, root: &Node) -> SiteFileError {
    let position = refusal.position.unwrap_or_default();
    let (path, message, is_value) = (refusal.path(), refusal.to_string(), refusal.is_value());
    let mut pointer = tree::pointer(root, &path);
    if let Some(key) = refusal.key() {
        pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
    }
    SiteFileError { file: name.to_owned(), position, path, pointer, is_value, message }
}

/// Reads the text of the file `name` and forgets where everything stood.
pub fn parse(text: &str, name: &str) -> Result<Site, Vec<SiteFileError>> {
    Ok(SiteFile::parse(text, name)?.site.into_site())
}

/// Reads one entry of a site, JSON or YAML.
pub fn parse_entry<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, SiteFileError> {
    let root = tree::parse(text).map_err(|refusal| placed(&refusal, name, &Node::nothing()))?;
    tree::read(&root).map_err(|refusal| placed(&refusal, name, &root))
}

/// The text of a site file that says everything about `site`.
pub fn render(site: &Site) -> String {
    // Every model type serialises: its maps have string keys and its numbers are finite.
    serde_saphyr::to_string(site).unwrap_or_else(|error| format!("# {error}\n"))
}

/// The keys of a site file: a section for each noun, and what the site says of itself.
fn section_names() -> Vec<&'static str> {
    let nouns = NounKind::ALL.iter().map(|kind| kind.section());
    nouns.chain(["parameters", "network", "labels"]).collect()
}

fn read_site(root: &Node, typing: Typing, errors: &mut Vec<Refusal>) -> Site {
    let sections = match root.entries() {
        Ok(sections) => sections,
        Err(refusal) => {
            errors.push(refusal);
            return Site::default();
        }
    };
    let names = section_names();
    for (key, _) in sections {
        if !names.contains(&key.text.as_str()) {
            errors.push(Refusal::at(key.position, unknown("key", &key.text, &names)));
        }
    }
    let mut reader = SectionReader { sections, typing, site: Site::default(), errors };
    visit_nouns(&mut reader);
    reader.site.parameters = read_section(reader.section("parameters"), typing, reader.errors);
    reader.site.labels = read_section(reader.section("labels"), typing, reader.errors);
    reader.site.network = read_part(reader.section("network"), typing, reader.errors);
    reader.site
}

struct SectionReader<'a> {
    sections: &'a [(Key, Arc<Node>)],
    typing: Typing,
    site: Site,
    errors: &'a mut Vec<Refusal>,
}

impl<'a> SectionReader<'a> {
    fn section(&self, name: &str) -> Option<(String, &'a Arc<Node>)> {
        let found = self.sections.iter().find(|(key, _)| key.text == name);
        found.map(|(_, node)| (name.to_owned(), node))
    }
}

impl NounVisitor for SectionReader<'_> {
    fn visit<T: Noun>(&mut self) {
        let section = self.section(T::SECTION);
        *T::all_mut(&mut self.site) = read_section(section, self.typing, self.errors);
    }
}

/// A section that is one entry itself.
fn read_part<T: DeserializeOwned + Default>(
    section: Option<(String, &Arc<Node>)>,
    typing: Typing,
    errors: &mut Vec<Refusal>,
) -> T {
    let Some((name, node)) = section else { return T::default() };
    tree::read_typed(node, typing).unwrap_or_else(|refusal| {
        errors.push(refusal.within(&name));
        T::default()
    })
}

/// Adds what is wrong with profiles in themselves, and with what hosts lay over them. It is
/// found once they are resolved, and told where it was written.
fn check_profiles(site: &ResolvedSite, root: &Node, errors: &mut Vec<Refusal>) {
    let mut told = HashSet::new();
    let mut tell = |fault: &Fault, host: &str| {
        let path = fault.location(host).path();
        let place = tree::value_place(root, &path, fault.key.as_deref());
        if fault.in_itself && told.insert((path.clone(), fault.text.clone())) {
            let refusal = Refusal::at(place, fault.text.clone());
            errors.push(refusal.of_value(fault.is_value).within(&path));
        }
    };
    site.layer_faults().iter().for_each(|(host, fault)| tell(fault, host));
    for resolution in site.profiles.keys().filter_map(|name| site.profile_named(name, None)) {
        resolution.faults.iter().for_each(|fault| tell(fault, ""));
    }
    for (name, host) in site.hosts.iter().filter(|(_, host)| !host.network.is_empty()) {
        let faults = site.profile_of(host);
        faults.iter().flat_map(|found| &found.faults).for_each(|fault| tell(fault, name));
    }
}

fn read_section<T: DeserializeOwned>(
    section: Option<(String, &Arc<Node>)>,
    typing: Typing,
    errors: &mut Vec<Refusal>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    let Some((section_name, node)) = section else { return found };
    let entries = match node.entries() {
        Ok(entries) => entries,
        Err(refusal) => {
            errors.push(refusal.within(&section_name));
            return found;
        }
    };
    for (key, node) in entries {
        match tree::read_typed(node, typing) {
            Ok(value) => drop(found.insert(key.text.clone(), value)),
            Err(refusal) => errors.push(refusal.within(&key.text).within(&section_name)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The errors of a text, each as the operator reads it.
    fn errors(text: &str) -> Vec<String> {
        SiteFile::parse(text, "site.yaml").unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_error_is_told_with_its_line_column_and_path() {
        let cases: [(&str, &[&str]); 16] = [
            (
                "hosts: {a: {nics: {eth0: \"52:54\"}}}",
                &[
                    "site.yaml:1:26: hosts.a.nics.eth0: \"52:54\" is not a MAC address: expected twelve \
                 hexadecimal digits, such as 52:54:00:aa:00:01",
                ],
            ),
            (
                "hosts:\n  a: {unit: x}\n  b:\n    profil: p\nracs: {}\n",
                &[
                    "site.yaml:2:13: hosts.a.unit: expected a number from 0 to 65535, found \"x\"",
                    "site.yaml:4:5: hosts.b: unknown key \"profil\"; did you mean \"profile\"?",
                    "site.yaml:5:1: unknown key \"racs\"; did you mean \"racks\"?",
                ],
            ),
            (
                "subnets: {s: {vlan: 5}}",
                &["site.yaml:1:14: subnets.s: the key \"cidr\" is missing"],
            ),
            (
                "subnets: {s: {cidr: 10.0.0.0/33}}",
                &["site.yaml:1:21: subnets.s.cidr: \"10.0.0.0/33\": invalid IP address syntax"],
            ),
            (
                "subnets: {s: {cidr: 10.0.0.0/8, ranges: [{from: 10.0.0.1, to: 10.0.0.2, for: all}]}}",
                &[
                    "site.yaml:1:78: subnets.s.ranges.0.for: unknown value \"all\"; expected one of: \
                 dhcp, hosts, reserved",
                ],
            ),
            (
                "hosts: [a, b]",
                &["site.yaml:1:8: hosts: expected a mapping (key: value), found a list"],
            ),
            (
                "images: {a: {initrd: x}}",
                &[
                    "site.yaml:1:22: images.a.initrd: expected a list (in brackets, or a line with \"- \" \
                 for each), found \"x\"",
                ],
            ),
            (
                "hosts:\n  a: {}\n  a: {}\n",
                &["site.yaml:3:3: hosts.a: the key is in line 2 already"],
            ),
            (
                "hosts: *nobody",
                &["site.yaml:1:8: no value above has the anchor \"nobody\"; write &nobody before \
                     the value that *nobody repeats"],
            ),
            (
                "hosts:\n  a: &base {unit: 1}\n  b: &other {unit: 2}\n  c: {<<: *bass, unit: 3}\n",
                &["site.yaml:4:11: no value above has the anchor \"bass\"; did you mean \"base\"?"],
            ),
            (
                "parameters: {x: [1]}",
                &[
                    "site.yaml:1:17: parameters.x: expected a number, a text, or true or false, found a list",
                ],
            ),
            (
                "hosts: {a: {nics: {e: [1]}}}",
                &[
                    "site.yaml:1:23: hosts.a.nics.e: expected a MAC address, or a mapping with mac, \
                   switch and port, found a list",
                ],
            ),
            (
                "images: {a: {cernel: x}}",
                &["site.yaml:1:14: images.a: unknown key \"cernel\"; did you mean \"kernel\"?"],
            ),
            (
                "images: {a: {vm: x}}",
                &[
                    "site.yaml:1:14: images.a: unknown key \"vm\"; expected one of: kernel, initrd, \
                   cmdline, efi, script, disk, sha256, live-system, network-format, recipe, local, \
                   boot, install-begins, install-ends, local-boot, boot-order, variants",
                ],
            ),
            (
                "---\nhosts: {}\n---\nhosts: {}\n",
                &["site.yaml:3:1: a site file holds one document only"],
            ),
            ("{a: 1}: b", &["site.yaml:1:1: a key must be a text"]),
        ];
        for (text, expected) in cases {
            assert_eq!(errors(text), expected, "{text}");
        }
    }

    #[test]
    fn broken_yaml_is_told_with_its_line() {
        for (text, line) in
            [("hosts:\n  a: [1,\n  b: 2\n", 2), ("hosts:\n\ta: {}\n", 2), ("a: b: c", 1)]
        {
            let found = SiteFile::parse(text, "x").unwrap_err();
            assert_eq!(found.len(), 1, "{text:?}");
            assert_eq!(found[0].position.line, line, "{text:?}: {}", found[0]);
        }
    }

    #[test]
    fn every_noun_is_exported_and_imported() {
        let text = "racks: {x: {units: 42}}\ntenants: {x: {contact: ops}}\nswitches: {x: {vendor: eos}}\n\
                    subnets: {x: {cidr: 10.0.0.0/24}}\nparameters: {x: 1}\nnetwork: {systemd: 257}\n\
                    profiles: {x: {nics: {eth0: {}}}}\nimages: {x: {local: true}}\nhosts: {x: {unit: 1}}\n";
        let site = parse(text, "x").unwrap();
        struct IsThere<'a>(&'a Site);
        impl NounVisitor for IsThere<'_> {
            fn visit<T: Noun>(&mut self) {
                assert!(T::all(self.0).contains_key("x"), "{}", T::SECTION);
            }
        }
        visit_nouns(&mut IsThere(&site));
        assert_eq!(parse(&render(&site), "x"), Ok(site));
    }

    #[test]
    fn nothing_is_a_site_and_so_is_an_empty_section() {
        for text in ["hosts:\n", "{}", "---\n{}\n", "racks: ~"] {
            assert_eq!(parse(text, "x").unwrap(), Site::default(), "{text:?}");
        }
    }

    #[test]
    fn a_file_without_a_section_is_refused() {
        for text in [
            "",
            " \n\t\n",
            "# only a comment\n",
            "---\n",
            "\u{feff}",
            "~",
            "null\n",
            "%YAML 1.2\n---\n...",
        ] {
            let found = errors(text);
            assert!(
                found[0].starts_with("site.yaml:1:1: the file is empty"),
                "{text:?}: {found:?}"
            );
        }
    }

    #[test]
    fn a_netplan_file_is_named() {
        for text in [
            "network: {version: 2, ethernets: {eth0: {dhcp4: true}}}",
            "network:\n  renderer: networkd\n  vlans: {}\n",
            "network: {ethernets: {}}\nhosts: {}",
        ] {
            let found = errors(text);
            assert!(found.len() == 1 && found[0].contains("this is a netplan file"), "{found:?}");
        }
        let found = errors("network: {config: disabled}");
        assert!(found[0].contains("unknown key \"config\""), "{found:?}");
    }

    #[test]
    fn an_unknown_key_of_any_network_is_told_with_its_line() {
        let text = "network:\n  mtu: 5\nracks:\n  r:\n    network:\n      nics: {eth0: {x: 1}}\n\
                    hosts:\n  a:\n    network:\n      links: {}\n";
        let found = errors(text);
        let places = [
            "site.yaml:2:3: network: ",
            "site.yaml:6:21: racks.r.network.nics.eth0: ",
            "site.yaml:10:7: hosts.a.network: ",
        ];
        assert_eq!(found.len(), places.len(), "{found:?}");
        for (found, place) in found.iter().zip(places) {
            assert!(found.starts_with(place), "{found}");
        }
    }

    #[test]
    fn anchors_and_merge_keys_spare_typing() {
        let text = "hosts:\n  a: &base {rack: r1, profile: p}\n  b: {<<: *base, profile: q}\n";
        let site = parse(text, "x").unwrap();
        let host = &site.hosts["b"];
        assert_eq!((host.rack.as_deref(), host.profile.as_deref()), (Some("r1"), Some("q")));
    }

    #[test]
    fn a_bomb_of_aliases_is_refused_and_so_is_a_deep_nest() {
        let mut bomb = String::from("a: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
            bomb.push_str(&format!("b{n}: &a{n} [{aliases}]\n"));
        }
        assert!(errors(&bomb)[0].contains("aliases make this stand for more than"), "{bomb}");
        let deep = format!("hosts: {}{}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(errors(&deep).len(), 1);
        let deep: String = (0..5000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert_eq!(errors(&deep).len(), 1);
        assert!(errors(&" ".repeat(33 << 20))[0].contains("bytes are more than"));
    }

    #[test]
    fn a_finding_is_placed_at_the_value_it_is_about_or_at_what_holds_it() {
        let text = "hosts:\n  n7.example.net:\n    nics: {eth0: \"52:54:00:aa:00:01\"}\n\
                    subnets:\n  s:\n    cidr: 10.0.0.0/8\n    ranges:\n      - {from: 10.0.0.1, to: 10.0.0.2, for: dhcp}\n";
        let file = SiteFile::parse(text, "site.yaml").unwrap();
        let cases = [
            ("hosts.n7.example.net.nics.eth0", 3, 12),
            ("hosts.n7.example.net.addresses.eth0", 2, 3),
            ("subnets.s.ranges.0", 8, 9),
            ("subnets.s.ranges.0.for", 8, 40),
            ("profiles.x", 1, 1),
        ];
        for (path, line, column) in cases {
            let error = file.error_at(path, String::new());
            assert_eq!(error.position, Position { line, column }, "{path}");
        }
    }
}
