//! Every key of the site file, for people: read from its schema, so that none is forgotten. Pure.

use std::collections::VecDeque;
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value};

use super::site_schema;

/// The definition whose keys every other link has as well.
const PLAIN_LINK: &str = "DummySpec";
/// Definitions that are said once in words, not as keys.
const LANGUAGE: [&str; 2] = ["Computed", "Loop"];

/// The keys of one mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Where it stands, such as `hosts.NAME.match`; empty for the file itself.
    pub path: String,
    /// What it is.
    pub purpose: String,
    /// Its keys. A link leaves out those that every link has; see [`Section::is_link`].
    pub keys: Vec<Key>,
    /// Whether it is a link, which has the keys of `profiles.NAME.dummies.NAME` as well.
    pub is_link: bool,
}

impl Section {
    /// What it is called where it has to be called something.
    pub fn anchor(&self) -> &str {
        if self.path.is_empty() { "the-file" } else { &self.path }
    }
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// The key, as it is written.
    pub name: String,
    /// Whether it must be there.
    pub required: bool,
    /// What its value is, in words such as "a list of numbers".
    pub kind: String,
    /// The section that says what stands in it.
    pub section: Option<String>,
    /// The words to choose from, each with its meaning.
    pub words: Vec<(String, String)>,
    /// What it is for.
    pub purpose: String,
}

/// Every section, from the top of the file down.
pub fn sections() -> &'static [Section] {
    static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| walk(site_schema()));
    &SECTIONS
}

/// A definition that is still to be told, and the path that first led to it.
type Open<'a> = (String, &'a Value);

/// Walks the schema in breadth, so that each definition is told at its shortest path.
fn walk(schema: &Value) -> Vec<Section> {
    let mut reader =
        Reader { definitions: &schema["$defs"], paths: Map::new(), open: VecDeque::new() };
    reader.open.push_back((String::new(), schema));
    let mut sections = Vec::new();
    while let Some((path, definition)) = reader.open.pop_front() {
        sections.push(reader.section(path, definition));
    }
    sections
}

struct Reader<'a> {
    definitions: &'a Value,
    /// Where each definition that is told stands.
    paths: Map<String, Value>,
    open: VecDeque<Open<'a>>,
}

/// What a value may be.
#[derive(Default)]
struct Shape {
    kind: String,
    section: Option<String>,
    words: Vec<(String, String)>,
}

impl<'a> Reader<'a> {
    fn section(&mut self, path: String, definition: &'a Value) -> Section {
        let common = &self.definitions[PLAIN_LINK];
        let is_plain = std::ptr::eq(definition, common);
        let common = common["properties"].as_object();
        let keys = definition["properties"].as_object();
        let is_common = |name: &str| common.is_some_and(|common| common.contains_key(name));
        let is_link = !is_plain
            && keys.is_some_and(|keys| {
                common.is_some_and(|all| all.keys().all(|key| keys.contains_key(key)))
            });
        let required: Vec<&str> = definition["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let told = keys.into_iter().flatten().filter(|(name, _)| !is_link || !is_common(name));
        // On a link, `dhcp` is short for `dhcp4` and `dhcp6`.
        let has_dhcp4 = keys.is_some_and(|keys| keys.contains_key("dhcp4"));
        let told: Vec<_> = told.filter(|(name, _)| *name != "dhcp" || !has_dhcp4).collect();
        let keys = told.into_iter().map(|(name, value)| {
            let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let Shape { kind, section, words } = self.shape(value, &at);
            let required = required.contains(&name.as_str());
            Key { name: name.clone(), required, kind, section, words, purpose: text(value) }
        });
        let keys = keys.collect();
        Section { path, purpose: text(definition), keys, is_link }
    }

    /// What a value at `path` may be. A definition that nobody told yet is put on the list.
    fn shape(&mut self, value: &'a Value, path: &str) -> Shape {
        if let Some(name) = reference(value) {
            return self.definition(name, path);
        }
        if let Some(choices) = value["anyOf"].as_array() {
            let mut told = choices.iter().filter(|choice| !is_language(choice));
            return match told.next() {
                Some(choice) => self.shape(choice, path),
                None => Shape::default(),
            };
        }
        let types = value["type"]
            .as_array()
            .map_or_else(|| std::slice::from_ref(&value["type"]), Vec::as_slice);
        let kinds: Vec<&str> =
            types.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect();
        match kinds[..] {
            ["array"] => {
                let item = self.shape(&value["items"], path);
                Shape { kind: format!("a list of {}", many(&item.kind)), ..item }
            }
            ["object"] if value["additionalProperties"].is_object() => {
                let entry = self.shape(&value["additionalProperties"], &format!("{path}.NAME"));
                Shape { kind: format!("names, each with {}", entry.kind), ..entry }
            }
            _ => Shape { kind: plain(&kinds, value), ..Shape::default() },
        }
    }

    fn definition(&mut self, name: &'a str, path: &str) -> Shape {
        let definition = &self.definitions[name];
        if let Some(words) = definition["oneOf"].as_array() {
            let word = |word: &Value| Some((word["const"].as_str()?.to_owned(), text(word)));
            return Shape {
                kind: "a word".into(),
                words: words.iter().filter_map(word).collect(),
                ..Shape::default()
            };
        }
        if let Some(words) = definition["enum"].as_array() {
            let words = words.iter().filter_map(Value::as_str);
            let words = words.map(|word| (word.to_owned(), String::new())).collect();
            return Shape { kind: "a word".into(), words, ..Shape::default() };
        }
        // Names or numbers of a list that is not ours, such as DHCP options, are one value.
        let is_open = definition.get("patternProperties").is_some();
        if is_open || definition.get("properties").is_none() {
            return Shape { kind: phrase(&text(definition)), ..Shape::default() };
        }
        if !self.paths.contains_key(name) {
            self.paths.insert(name.to_owned(), path.into());
            self.open.push_back((path.to_owned(), definition));
        }
        let section = self.paths[name].as_str().map(str::to_owned);
        Shape { kind: "a mapping".into(), section, ..Shape::default() }
    }
}

pub(super) fn reference(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

/// Whether a choice is one that every value of a profile has.
fn is_language(choice: &Value) -> bool {
    let loops = choice["properties"].get("for-each").is_some();
    loops
        || choice["type"] == "null"
        || reference(choice).is_some_and(|name| LANGUAGE.contains(&name))
}

/// A value without parts, in words.
fn plain(kinds: &[&str], value: &Value) -> String {
    let word = |kind: &&str| match *kind {
        "integer" => match (value["minimum"].as_u64(), value["maximum"].as_u64()) {
            (Some(from), Some(to)) => format!("a number from {from} to {to}"),
            _ => "a number".to_owned(),
        },
        "boolean" => "true or false".to_owned(),
        "string" if value["format"].as_str().is_some_and(|format| format.starts_with("ip")) => {
            "an IP address".to_owned()
        }
        "string" => "a text".to_owned(),
        other => other.to_owned(),
    };
    kinds.iter().map(word).collect::<Vec<_>>().join(", or ")
}

/// A sentence as a part of another.
fn phrase(text: &str) -> String {
    let text = text.trim_end_matches('.');
    match text.split_once(' ') {
        Some((first @ ("A" | "An" | "Bytes" | "Processors" | "The"), rest)) => {
            format!("{} {rest}", first.to_lowercase())
        }
        _ => text.to_owned(),
    }
}

/// Several of what `kind` names.
fn many(kind: &str) -> String {
    match kind {
        "a mapping" => "mappings".to_owned(),
        "a text" => "texts".to_owned(),
        "a number" => "numbers".to_owned(),
        "a word" => "words".to_owned(),
        "an IP address" => "IP addresses".to_owned(),
        other => format!("values, each {other}"),
    }
}

/// A description as one line.
pub(super) fn text(value: &Value) -> String {
    let text = value["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str, name: &str) -> Key {
        let section = sections().iter().find(|section| section.path == path).unwrap();
        section.keys.iter().find(|key| key.name == name).unwrap().clone()
    }

    #[test]
    fn every_mapping_of_the_file_has_its_section() {
        let paths: Vec<&str> = sections().iter().map(|section| section.path.as_str()).collect();
        for path in [
            "",
            "hosts.NAME",
            "subnets.NAME.ranges",
            "profiles.NAME.bonds.NAME",
            "profiles.NAME.parameters.NAME",
        ] {
            assert!(paths.contains(&path), "{path} in {paths:#?}");
        }
        let mut once = paths.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), paths.len());
    }

    #[test]
    fn a_key_says_what_it_takes() {
        let mode = key("profiles.NAME.bonds.NAME", "mode");
        assert_eq!(mode.words[1], ("active-backup".into(), "One link at a time.".into()));
        assert_eq!(key("hosts.NAME", "index").kind, "a number");
        assert_eq!(key("subnets.NAME", "vlan").kind, "a number from 0 to 65535");
        assert!(key("subnets.NAME", "cidr").required);
        let routes = key("profiles.NAME.dummies.NAME", "routes");
        assert_eq!(routes.kind, "a list of mappings");
        assert!(routes.section.is_some());
        assert_eq!(
            key("profiles.NAME", "sysctls").kind,
            "names, each with a number, a text, or true or false"
        );
    }
}
