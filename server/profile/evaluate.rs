//! Loops unrolled and expressions computed in a tree. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::META;
use super::merge::{canonical, lay_under};
use crate::model::formula::Formula;
use crate::model::host_number::INDEX;
use crate::profile::expression::{Expression, Scope, Term, fill, names_in};

/// How often a loop goes round at most: as often as there are VLAN ids.
const MOST_ROUNDS: i64 = 4096;
/// How often all loops of a profile go round at most, those within others included.
const MOST_IN_ALL: usize = 16_384;

/// The keys whose expressions are computed for each host, not for each profile.
const HOST_NUMBERS: [&str; 2] = ["host-number", "host-number6"];

/// A tree that is being evaluated.
pub(super) struct Evaluation<'a, 'b> {
    scope: &'a mut Scope<'b>,
    path: Vec<String>,
    /// How often the loops have gone round.
    rounds: usize,
    /// What went wrong: where, and what.
    pub faults: Vec<(String, String)>,
}

/// What a text in a tree is.
enum TextKind<'a> {
    /// An expression, after its `=`.
    Expression(&'a str),
    /// A text with numbers in it; `==` at its start stands for `=`.
    Pattern(&'a str),
}

fn written(text: &str) -> Option<TextKind<'_>> {
    match text.strip_prefix('=') {
        Some(rest) if rest.starts_with('=') => Some(TextKind::Pattern(rest)),
        Some(rest) => Some(TextKind::Expression(rest)),
        None if text.contains('<') => Some(TextKind::Pattern(text)),
        None => None,
    }
}

impl<'a, 'b> Evaluation<'a, 'b> {
    /// Begins with the names that hold everywhere.
    pub(super) fn new(scope: &'a mut Scope<'b>) -> Self {
        Self { scope, path: Vec::new(), rounds: 0, faults: Vec::new() }
    }

    /// A profile's tree. What it says itself wins over what its loops say.
    pub(super) fn profile(&mut self, tree: &Map<String, Value>) -> Map<String, Value> {
        let own = tree.iter().filter(|(key, _)| !META.contains(&key.as_str()));
        let own = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut made = self.mapping(&own);
        let Some(loops) = tree.get("for-each") else { return made };
        self.path.push("for-each".into());
        for body in self.rounds(loops) {
            lay_under(&mut made, body);
        }
        self.path.pop();
        made
    }

    /// What each round of each loop comes to.
    fn rounds(&mut self, loops: &Value) -> Vec<Map<String, Value>> {
        let mut made = Vec::new();
        let Value::Object(loops) = loops else {
            self.fault("expected a loop, such as {rail: {count: 8, ...}}".into());
            return made;
        };
        for (name, body) in loops {
            self.path.push(name.clone());
            if let Some((from, to, body)) = self.bounds(name, body) {
                for number in from..to {
                    self.rounds += 1;
                    if self.rounds > MOST_IN_ALL {
                        if self.rounds == MOST_IN_ALL + 1 {
                            self.fault(format!("the loops go round more than {MOST_IN_ALL} times"));
                        }
                        break;
                    }
                    self.scope.names.insert(name.clone(), Term::Number(number));
                    made.push(self.mapping(&body));
                }
                self.scope.names.remove(name);
            }
            self.path.pop();
        }
        made
    }

    /// The first number of a loop, the one after its last, and what it repeats.
    fn bounds(&mut self, name: &str, body: &Value) -> Option<(i64, i64, Map<String, Value>)> {
        let Value::Object(body) = body else {
            self.fault("expected a mapping with a count".into());
            return None;
        };
        if self.scope.names.contains_key(name) || name == INDEX {
            self.fault(format!("\"{name}\" is already defined"));
            return None;
        }
        let mut number = |key: &str| {
            let value = body.get(key)?;
            self.path.push(key.to_owned());
            let value = self.value(key, value);
            let number = value
                .as_i64()
                .or_else(|| value.as_bool().map(i64::from))
                .filter(|number| (0..=MOST_ROUNDS).contains(number));
            if number.is_none() && !value.is_null() {
                self.fault(format!("expected a number from 0 to {MOST_ROUNDS}, found {value}"));
            }
            self.path.pop();
            number
        };
        let (from, count) = (number("from").unwrap_or(0), number("count"));
        if count.is_none() && !body.contains_key("count") {
            self.fault("the key \"count\" is missing".into());
        }
        let rest = body.iter().filter(|(key, _)| !matches!(key.as_str(), "count" | "from"));
        let rest = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
        Some((from, from + count?, rest))
    }

    fn mapping(&mut self, entries: &Map<String, Value>) -> Map<String, Value> {
        let mut made = Map::new();
        for (key, value) in entries {
            self.path.push(key.clone());
            let name = match written(key) {
                Some(TextKind::Pattern(text)) => self.filled(text),
                _ => Some(canonical(key).to_owned()),
            };
            let value = self.value(key, value);
            if let Some(name) = name {
                made.insert(name, value);
            }
            self.path.pop();
        }
        made
    }

    fn list(&mut self, items: &[Value]) -> Vec<Value> {
        let mut made = Vec::new();
        for (index, item) in items.iter().enumerate() {
            self.path.push(index.to_string());
            match item.as_object().filter(|item| item.len() == 1).and_then(|i| i.get("for-each")) {
                Some(loops) => {
                    let rounds = self.rounds(loops);
                    made.extend(rounds.into_iter().filter_map(|mut round| round.remove("item")));
                }
                None => made.push(self.value("", item)),
            }
            self.path.pop();
        }
        made
    }

    fn value(&mut self, key: &str, value: &Value) -> Value {
        match value {
            Value::Object(entries) => self.mapping(entries).into(),
            Value::Array(items) => self.list(items).into(),
            Value::String(text) => match written(text) {
                Some(TextKind::Pattern(text)) => self.filled(text).into(),
                Some(TextKind::Expression(text)) => self.computed(key, text),
                None => value.clone(),
            },
            _ => value.clone(),
        }
    }

    fn computed(&mut self, key: &str, text: &str) -> Value {
        let parsed = Expression::parse(text);
        let made = if HOST_NUMBERS.contains(&key) {
            let left = parsed.and_then(|expression| expression.fold(self.scope, INDEX));
            left.map(|left| match left {
                Formula::Number(number) => number.into(),
                formula => format!("={formula}").into(),
            })
        } else {
            parsed.and_then(|expression| expression.compute(self.scope)).map(Term::into_json)
        };
        made.unwrap_or_else(|error| {
            self.fault(error.to_string());
            Value::Null
        })
    }

    fn filled(&mut self, text: &str) -> Option<String> {
        let made = fill(text, self.scope);
        made.map_err(|error| self.fault(error.to_string())).ok()
    }

    fn fault(&mut self, text: String) {
        self.faults.push((self.path.join("."), text));
    }
}

/// The names that the expressions of a tree use, but for those of their loops.
#[derive(Default)]
pub(super) struct Names {
    /// Each with a place that uses it; none where it may be the name of a subnet as well.
    pub found: BTreeMap<String, Option<String>>,
    /// Expressions that cannot be read: where, and why.
    pub faults: Vec<(String, String)>,
    path: Vec<String>,
    loops: Vec<String>,
}

impl Names {
    /// Adds those of a tree.
    pub(super) fn collect(&mut self, tree: &Map<String, Value>) {
        for (key, value) in tree {
            self.path.push(key.clone());
            self.text(key, key);
            match value {
                Value::Object(loops) if key == "for-each" => self.loops(loops),
                value => self.value(key, value),
            }
            self.path.pop();
        }
    }

    fn loops(&mut self, loops: &Map<String, Value>) {
        for (name, body) in loops {
            self.path.push(name.clone());
            self.loops.push(name.clone());
            self.value("", body);
            self.loops.pop();
            self.path.pop();
        }
    }

    fn value(&mut self, key: &str, value: &Value) {
        match value {
            Value::Object(entries) => self.collect(entries),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push(index.to_string());
                    self.value("", item);
                    self.path.pop();
                }
            }
            Value::String(text) => self.text(key, text),
            _ => {}
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        let mut names = Vec::new();
        let read = match written(text) {
            Some(TextKind::Pattern(text)) => {
                names_in(text, &mut |name| names.push(name.to_owned()))
            }
            Some(TextKind::Expression(text)) => Expression::parse(text).and_then(|expression| {
                expression.names(&mut |name| names.push(name.to_owned()));
                let Some(subnet) = expression.subnet() else { return Ok(()) };
                // A subnet's name may be a parameter's.
                self.found.entry(subnet.to_owned()).or_insert(None);
                names_in(subnet, &mut |name| names.push(name.to_owned()))
            }),
            None => Ok(()),
        };
        let path = self.path.join(".");
        if let Err(error) = read {
            self.faults.push((path.clone(), error.to_string()));
        }
        let per_host = HOST_NUMBERS.contains(&key);
        for name in names {
            let is_known = self.loops.contains(&name) || (per_host && name == INDEX);
            if !is_known {
                self.found.insert(name, Some(path.clone()));
            }
        }
    }
}
