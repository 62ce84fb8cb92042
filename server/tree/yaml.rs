//! YAML text to a tree. Pure.
//!
//! The only reader of YAML; serde-saphyr, whose parser this is, only writes (decision 0011).

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle};

use super::nearest::hint;
use super::{Content, Key, Node, Position, Refusal};

/// The longest text that is read, in bytes: some forty thousand hosts.
const MAX_BYTES: usize = 32 << 20;
/// How many values a file may stand for once its aliases are followed: a few short lines
/// of aliases could otherwise stand for billions.
const MAX_VALUES: usize = 4_000_000;
/// How deep values may stand inside one another.
const MAX_DEPTH: usize = 32;

/// Reads a text that holds one document, or none.
pub(crate) fn parse(text: &str) -> Result<Arc<Node>, Refusal> {
    let start = Position::default();
    if text.len() > MAX_BYTES {
        let message = format!("{} bytes are more than the {MAX_BYTES} that are read", text.len());
        return Err(Refusal::at(start, message));
    }
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let position = error.marker().into();
            let message = match unknown_alias(text, position) {
                Some(message) => message,
                None => format!("YAML syntax: {}", error.info()),
            };
            Refusal::at(position, message)
        })?;
        builder
            .take(event, Position::from(&span.start))
            .map_err(|refusal| builder.place(refusal))?;
    }
    let nothing = || Node { position: start, content: Content::Map(Vec::new()), values: 1 };
    Ok(builder.root.unwrap_or_else(|| Arc::new(nothing())))
}

/// What is wrong with the alias at a place where reading fails; none where there is no alias: it
/// repeats an anchor that is not above it.
fn unknown_alias(text: &str, at: Position) -> Option<String> {
    let line = text.lines().nth(at.line - 1)?;
    let rest: String = line.chars().skip(at.column - 1).collect();
    let name = anchor_name(rest.strip_prefix('*')?);
    let above = text.lines().take(at.line);
    let words = above.flat_map(|line| line.split([' ', '\t', '[', '{', ',']));
    let known: Vec<&str> =
        words.filter_map(|word| word.strip_prefix('&')).map(anchor_name).collect();
    let hint = match known.is_empty() {
        true => format!("; write &{name} before the value that *{name} repeats"),
        false => hint(name, known.into_iter()),
    };
    Some(format!("no value above has the anchor \"{name}\"{hint}"))
}

/// The name at the beginning of a text (YAML 1.2 section 6.9.2).
fn anchor_name(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || "[]{},".contains(c));
    text[..end.unwrap_or(text.len())].trim_end_matches(':')
}

/// A list or mapping that is being read.
struct Open {
    position: Position,
    anchor: usize,
    content: Content,
    key: Option<Key>,
    values: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>>,
    root: Option<Arc<Node>>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, position: Position) -> Result<(), Refusal> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Refusal::at(position, "a site file holds one document only".into()))
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar { text: text.into_owned(), plain };
                self.close(Node { position, content, values: 1 }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(position, anchor, Content::List(Vec::new()));
                Ok(())
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(position, anchor, Content::Map(Vec::new()));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let Open { position, anchor, content, values, .. } = open;
                self.close(Node { position, content: finish(content)?, values }, anchor)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => self.add(node.clone(), position),
                None => Err(Refusal::at(position, "the alias is inside its own anchor".into())),
            },
            _ => Ok(()),
        }
    }

    /// The refusal with the keys that lead to where the builder is.
    fn place(&self, refusal: Refusal) -> Refusal {
        let keys = self.open.iter().rev().filter_map(|open| open.key.as_ref());
        keys.fold(refusal, |refusal, key| refusal.within(&key.text))
    }

    fn begin(&mut self, position: Position, anchor: usize, content: Content) {
        self.open.push(Open { position, anchor, content, key: None, values: 1 });
    }

    fn close(&mut self, node: Node, anchor: usize) -> Result<(), Refusal> {
        let position = node.position;
        let node = Arc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.add(node, position)
    }

    /// Puts a finished value where it belongs: into the list or mapping around it.
    fn add(&mut self, node: Arc<Node>, position: Position) -> Result<(), Refusal> {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.values = parent.values.saturating_add(node.values);
        if parent.values > MAX_VALUES {
            let message = format!("aliases make this stand for more than {MAX_VALUES} values");
            return Err(Refusal::at(position, message));
        }
        match (&mut parent.content, parent.key.take()) {
            (Content::List(items), _) => items.push(node),
            (Content::Map(entries), Some(key)) => entries.push((key, node)),
            (Content::Map(_), None) => match &node.content {
                Content::Scalar { text, .. } => {
                    parent.key = Some(Key { position, text: text.clone() });
                }
                _ => return Err(Refusal::at(position, "a key must be a text".into())),
            },
            (Content::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

/// Refuses a key that appears twice, and puts in what `<<` brings along.
fn finish(content: Content) -> Result<Content, Refusal> {
    let Content::Map(entries) = content else { return Ok(content) };
    let (merged, mut own): (Entries, Entries) =
        entries.into_iter().partition(|(key, _)| key.text == "<<");
    let mut first_at = HashMap::new();
    for (key, _) in &own {
        if let Some(first) = first_at.insert(key.text.clone(), key.position) {
            let message = format!("the key is in line {} already", first.line);
            return Err(Refusal::at(key.position, message).within(&key.text));
        }
    }
    for (key, node) in merged {
        for (key, value) in merged_entries(&key, &node)? {
            if first_at.insert(key.text.clone(), key.position).is_none() {
                own.push((key, value));
            }
        }
    }
    Ok(Content::Map(own))
}

type Entries = Vec<(Key, Arc<Node>)>;

/// The entries of the mapping after `<<`, or of all the mappings in a list there.
fn merged_entries(key: &Key, node: &Node) -> Result<Entries, Refusal> {
    let within = |refusal: Refusal| refusal.within(&key.text);
    match &node.content {
        Content::List(nodes) => {
            let lists = nodes.iter().map(|node| node.entries().map_err(within));
            Ok(lists.collect::<Result<Vec<_>, _>>()?.concat())
        }
        _ => node.entries().map(<[_]>::to_vec).map_err(within),
    }
}
