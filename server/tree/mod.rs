//! Values in which everything knows where it stands in its text, and how the types of the
//! model are read from them, with the operator's words for what is wrong. Pure.
//!
//! The lowest floor of the house: the site file, single entries and the layers of a profile
//! are all trees before they are types.

pub(crate) mod nearest;
mod read;
mod refusal;
mod yaml;

use std::sync::Arc;

use granit_parser::Marker;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use read::{Typing, number, value as read, value_typed as read_typed};
pub(crate) use refusal::Refusal;
pub(crate) use refusal::unknown;
pub(crate) use yaml::parse;

/// A place in a text, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

impl Default for Position {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

impl From<&Marker> for Position {
    fn from(marker: &Marker) -> Self {
        Self { line: marker.line().max(1), column: marker.col() + 1 }
    }
}

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub position: Position,
    pub content: Content,
    /// How many values it stands for, itself included.
    pub(super) values: usize,
}

/// A value without its place.
#[derive(Debug)]
pub(crate) enum Content {
    /// A text; plain if it has no quotes, so that it may be a number or nothing at all.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Arc<Node>>),
    Map(Vec<(Key, Arc<Node>)>),
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub position: Position,
    pub text: String,
}

impl Key {
    /// A key that stands in no text.
    pub(crate) fn made(text: String) -> Self {
        Self { position: Position::default(), text }
    }
}

impl Node {
    /// A value that stands in no text.
    pub(crate) fn made(content: Content) -> Self {
        Self { position: Position::default(), content, values: 1 }
    }

    /// What an empty text holds.
    pub(crate) fn nothing() -> Self {
        Self::made(Content::Map(Vec::new()))
    }

    /// The plain text of a value that is given as nothing: `key:`, `key: ~` or `key: null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The entries of a mapping; a value that is given as nothing is an empty one.
    pub(crate) fn entries(&self) -> Result<&[(Key, Arc<Node>)], Refusal> {
        match &self.content {
            Content::Map(entries) => Ok(entries),
            _ if self.is_null() => Ok(&[]),
            _ => Err(self.refuse("a mapping (key: value)")),
        }
    }

    /// Refuses the value because `wanted` is needed in its place.
    pub(crate) fn refuse(&self, wanted: &str) -> Refusal {
        let given = match &self.content {
            Content::Scalar { .. } if self.is_null() => "nothing".to_owned(),
            Content::Scalar { text, .. } => format!("\"{text}\""),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a mapping".to_owned(),
        };
        Refusal::at(self.position, format!("expected {wanted}, found {given}"))
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        let nodes = |value| Arc::new(Node::from(value));
        Self::made(match value {
            Value::Null => Content::Scalar { text: String::new(), plain: true },
            Value::String(text) => Content::Scalar { text: text.clone(), plain: false },
            Value::Bool(_) | Value::Number(_) => {
                Content::Scalar { text: value.to_string(), plain: true }
            }
            Value::Array(values) => Content::List(values.iter().map(nodes).collect()),
            Value::Object(fields) => Content::Map(
                fields.iter().map(|(key, value)| (Key::made(key.clone()), nodes(value))).collect(),
            ),
        })
    }
}

/// Reads a value of the model from JSON that stands in no text.
pub(crate) fn read_json<T: DeserializeOwned>(value: &Value) -> Result<T, Refusal> {
    read(&Node::from(value))
}

/// The place of the value at `path`, or of the innermost value around it. Names may hold
/// dots themselves: of the keys that fit, the longest is followed.
pub(crate) fn place(root: &Node, path: &str) -> Position {
    let (mut node, mut position, mut rest) = (root, root.position, path);
    while !rest.is_empty() {
        let Some((place, inner, after)) = step(node, rest) else { break };
        (position, node, rest) = (place, inner, after);
    }
    position
}

/// The place of the value at `path` itself, or of its `key`; of one that is not there, of the
/// innermost value around it.
pub(crate) fn value_place(root: &Node, path: &str, key: Option<&str>) -> Position {
    let (mut node, mut rest) = (root, path);
    while !rest.is_empty() {
        let Some((_, inner, after)) = step(node, rest) else { break };
        (node, rest) = (inner, after);
    }
    let keys = node.entries().unwrap_or_default();
    let found = keys.iter().find(|(own, _)| key == Some(own.text.as_str()));
    found.map_or(node.position, |(key, _)| key.position)
}

/// The JSON pointer (RFC 6901) to the value at `path`, of keys joined by dots, which may hold dots
/// themselves. What of the path is not in the tree is split at its dots.
pub(crate) fn pointer(root: &Node, path: &str) -> String {
    let (mut node, mut rest, mut pointer) = (root, path, String::new());
    let mut push = |key: &str| {
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
    };
    while !rest.is_empty() {
        let Some((_, inner, after)) = step(node, rest) else { break };
        push(rest[..rest.len() - after.len()].trim_end_matches('.'));
        (node, rest) = (inner, after);
    }
    rest.split('.').filter(|key| !key.is_empty()).for_each(push);
    pointer
}

fn step<'a>(node: &'a Node, path: &'a str) -> Option<(Position, &'a Node, &'a str)> {
    let after = |key: &str| {
        let rest = path.strip_prefix(key)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
    };
    match &node.content {
        Content::Scalar { .. } => None,
        Content::List(items) => items.iter().enumerate().find_map(|(index, item)| {
            Some((item.position, item.as_ref(), after(&index.to_string())?))
        }),
        Content::Map(entries) => entries
            .iter()
            .filter_map(|(key, value)| Some((key, value, after(&key.text)?)))
            .max_by_key(|(key, ..)| key.text.len())
            .map(|(key, value, rest)| (key.position, value.as_ref(), rest)),
    }
}
