//! What the model has no word for: keys and whole files that are passed on as they are. Nothing
//! checks what they mean. Pure.

use std::fmt;

use indexmap::IndexMap;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::link::is_default;

/// Sections of a file by their name.
pub type Sections = IndexMap<String, ExtraSection>;

/// A section with its keys, or several of one name, such as two `[Route]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraSection(Vec<IndexMap<String, ExtraValue>>);

impl ExtraSection {
    /// The keys of each section of the name.
    pub fn copies(&self) -> &[IndexMap<String, ExtraValue>] {
        &self.0
    }
}

impl Serialize for ExtraSection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            several => serializer.collect_seq(several),
        }
    }
}

impl<'de> Deserialize<'de> for ExtraSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExtraSectionVisitor)
    }
}

struct ExtraSectionVisitor;

impl<'de> Visitor<'de> for ExtraSectionVisitor {
    type Value = ExtraSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys of a section (key: value), or a list of such for several sections")
    }

    fn visit_unit<E: Error>(self) -> Result<ExtraSection, E> {
        Ok(ExtraSection(vec![IndexMap::new()]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ExtraSection, A::Error> {
        let keys = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
        Ok(ExtraSection(vec![keys]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ExtraSection, A::Error> {
        let mut copies = Vec::new();
        while let Some(keys) = list.next_element()? {
            copies.push(keys);
        }
        Ok(ExtraSection(copies))
    }
}

/// The value of a key: one line, or several that each repeat the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraValue(Vec<String>);

impl ExtraValue {
    /// Its lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// What the files of a link have besides what is made of the profile, by the file that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LinkExtra {
    /// Sections of networkd's `.network` file, each with its keys, or a list of them where networkd
    /// reads several of one name (systemd.network(5)).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub network: Sections,
    /// Sections of networkd's `.netdev` file (systemd.netdev(5)).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub netdev: Sections,
    /// Sections of udev's `.link` file (systemd.link(5)).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub link: Sections,
    /// Sections of NetworkManager's keyfile (nm-settings-keyfile(5)).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub keyfile: Sections,
    /// Lines of the interface's stanza for ifupdown2, by attribute.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub interfaces: IndexMap<String, ExtraValue>,
}

impl LinkExtra {
    /// Whether it has nothing for any file.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a host has besides its links' files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProfileExtra {
    /// Whole files, by their path on the host, such as `/etc/systemd/network/50-wg0.netdev`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub files: IndexMap<String, ExtraFile>,
}

/// A file that is written as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExtraFile {
    /// Its contents.
    pub text: String,
    /// Whether only root may read it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub private: bool,
}

impl ExtraFile {
    /// Its permissions, such as `0o644`.
    pub fn mode(&self) -> u32 {
        if self.private { 0o600 } else { 0o644 }
    }
}

impl Serialize for ExtraValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => serializer.serialize_str(one),
            several => serializer.collect_seq(several),
        }
    }
}

impl<'de> Deserialize<'de> for ExtraValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExtraValueVisitor)
    }
}

struct ExtraValueVisitor;

impl<'de> Visitor<'de> for ExtraValueVisitor {
    type Value = ExtraValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of one line, or a list of them")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<ExtraValue, E> {
        self.visit_str(if value { "yes" } else { "no" })
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<ExtraValue, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<ExtraValue, E> {
        self.visit_str(&value.to_string())
    }

    /// A line that ends would let a value be another key, and one that ends in a backslash goes
    /// on with the next.
    fn visit_str<E: Error>(self, value: &str) -> Result<ExtraValue, E> {
        if value.contains(char::is_control) || value.ends_with('\\') {
            return Err(E::custom(format!("{value:?} is not one line")));
        }
        Ok(ExtraValue(vec![value.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ExtraValue, A::Error> {
        let mut lines = Vec::new();
        while let Some(ExtraValue(line)) = list.next_element()? {
            lines.extend(line);
        }
        Ok(ExtraValue(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_one_or_several() {
        let cases = [
            ("{A: {x: 1}}", Some(r#"{"A":{"x":"1"}}"#)),
            ("{A: [{x: 1}, {x: 2}]}", Some(r#"{"A":[{"x":"1"},{"x":"2"}]}"#)),
            ("{A: [{x: 1}]}", Some(r#"{"A":{"x":"1"}}"#)),
            ("{A: }", Some(r#"{"A":{}}"#)),
            ("{A: x}", None),
            ("{A: [x]}", None),
        ];
        for (text, expected) in cases {
            let node = crate::tree::parse(text).unwrap();
            let read = crate::tree::read::<Sections>(&node).ok();
            let json = read.map(|value| serde_json::to_string(&value).unwrap());
            assert_eq!(json.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_value_is_one_line_or_several() {
        let cases = [
            ("yes", Some(r#""yes""#)),
            ("true", Some(r#""yes""#)),
            ("5", Some(r#""5""#)),
            ("[a, 7]", Some(r#"["a","7"]"#)),
            ("[]", Some("[]")),
            (r#""a\nb""#, None),
            (r#""a\\""#, None),
            (r#"["a", "b\r"]"#, None),
            ("{a: 1}", None),
        ];
        for (text, expected) in cases {
            let node = crate::tree::parse(text).unwrap();
            let read = crate::tree::read::<ExtraValue>(&node).ok();
            let json = read.map(|value| serde_json::to_string(&value).unwrap());
            assert_eq!(json.as_deref(), expected, "{text}");
        }
    }
}
