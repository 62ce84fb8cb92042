//! The keys of a noun as the fields of a form: read from the schema, so that none is forgotten.
//! Pure.

use serde_json::Value;

use super::reference::{reference, text};
use super::site_schema;
use crate::model::NounKind;

/// One key of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key, as a site file has it.
    pub key: String,
    /// What it is for.
    pub purpose: String,
    /// Whether an entry must have it.
    pub required: bool,
    /// What it takes.
    pub input: Input,
}

/// What a field takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A text on one line.
    Text,
    /// A number, or a text that is one, such as `1h`.
    Scalar,
    /// A whole number between two others, where the schema names them.
    Number(Option<i64>, Option<i64>),
    /// Something that is so or is not.
    Tick,
    /// One of these words, each with its meaning.
    Choice(Vec<(String, String)>),
    /// Values without parts, one on each line; whether all are texts.
    List {
        /// Whether none is a number.
        of_texts: bool,
    },
    /// A table: each row has these columns.
    Rows(Vec<Field>),
    /// Whatever else a site file can say.
    Yaml,
}

impl NounKind {
    /// The keys of an entry of this kind, in the order of the model.
    pub fn fields(self) -> Vec<Field> {
        let section = resolved(&site_schema()["properties"][self.section()]);
        fields_of(resolved(&section["additionalProperties"]))
    }
}

fn fields_of(definition: &'static Value) -> Vec<Field> {
    let required: Vec<&str> =
        definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let keys = definition["properties"].as_object().into_iter().flatten();
    let field = |(key, value): (&String, &'static Value)| Field {
        key: key.clone(),
        purpose: text(value),
        required: required.contains(&key.as_str()),
        input: input(value),
    };
    keys.map(field).collect()
}

/// The definition that a value refers to, and of a value that may be absent the other choice.
fn resolved(value: &'static Value) -> &'static Value {
    if let Some(name) = reference(value) {
        return resolved(&site_schema()["$defs"][name]);
    }
    let is_null = |choice: &&Value| choice["type"] == "null";
    match value["anyOf"].as_array().map(Vec::as_slice) {
        Some([one, other]) if is_null(&other) => resolved(one),
        Some([one, other]) if is_null(&one) => resolved(other),
        _ => value,
    }
}

fn input(value: &'static Value) -> Input {
    let definition = resolved(value);
    let words = words(definition);
    if !words.is_empty() {
        return Input::Choice(words);
    }
    let is_optional = kinds(value).contains(&"null") || value.get("anyOf").is_some();
    let mut kinds = kinds(definition);
    kinds.retain(|kind| *kind != "null");
    match kinds[..] {
        ["boolean"] if is_optional => {
            Input::Choice(["true", "false"].map(|word| (word.to_owned(), String::new())).to_vec())
        }
        ["boolean"] => Input::Tick,
        ["integer"] => {
            Input::Number(definition["minimum"].as_i64(), definition["maximum"].as_i64())
        }
        ["string"] => Input::Text,
        ["array"] => list(resolved(&definition["items"])),
        [_, ..] if kinds.iter().all(|kind| is_scalar(kind)) => Input::Scalar,
        _ => Input::Yaml,
    }
}

fn list(item: &'static Value) -> Input {
    let kinds = kinds(item);
    if !kinds.is_empty() && kinds.iter().all(|kind| is_scalar(kind)) {
        return Input::List { of_texts: kinds == ["string"] };
    }
    let columns = fields_of(item);
    let is_cell = |column: &Field| {
        matches!(column.input, Input::Text | Input::Scalar | Input::Number(..) | Input::Choice(_))
    };
    if !columns.is_empty() && columns.len() <= 5 && columns.iter().all(is_cell) {
        return Input::Rows(columns);
    }
    Input::Yaml
}

/// The words to choose from, each with its meaning.
fn words(definition: &Value) -> Vec<(String, String)> {
    let many = definition["oneOf"].as_array().into_iter().flatten();
    let word = |word: &Value| Some((word["const"].as_str()?.to_owned(), text(word)));
    let bare = definition["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    many.filter_map(word).chain(bare.map(|word| (word.to_owned(), String::new()))).collect()
}

fn kinds(value: &Value) -> Vec<&str> {
    match &value["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    }
}

fn is_scalar(kind: &str) -> bool {
    matches!(kind, "string" | "integer" | "number" | "boolean")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input_of(kind: NounKind, key: &str) -> Input {
        let fields = kind.fields();
        let found = fields.iter().find(|field| field.key == key);
        found.unwrap_or_else(|| panic!("{key} in {fields:#?}")).input.clone()
    }

    #[test]
    fn a_field_takes_what_its_key_does() {
        assert_eq!(input_of(NounKind::Subnet, "cidr"), Input::Text);
        assert!(matches!(input_of(NounKind::Subnet, "vlan"), Input::Number(..)));
        assert_eq!(input_of(NounKind::Subnet, "gateway"), Input::Text);
        assert_eq!(input_of(NounKind::Subnet, "rapid-commit"), Input::Tick);
        assert_eq!(input_of(NounKind::Subnet, "domains"), Input::List { of_texts: true });
        assert_eq!(input_of(NounKind::Subnet, "dns"), Input::List { of_texts: true });
        assert_eq!(input_of(NounKind::Subnet, "dhcp-options"), Input::Yaml);
        assert_eq!(input_of(NounKind::Rack, "parameters"), Input::Yaml);
        let Input::Choice(words) = input_of(NounKind::Switch, "vendor") else { panic!() };
        assert!(words.iter().any(|(word, _)| word == "eos"), "{words:?}");
        let Input::Choice(words) = input_of(NounKind::Switch, "bpdu-guard") else { panic!() };
        assert_eq!(words.len(), 2);
        let Input::Rows(columns) = input_of(NounKind::Subnet, "ranges") else { panic!() };
        assert_eq!(
            columns.iter().map(|column| &column.key).collect::<Vec<_>>(),
            ["from", "to", "for"]
        );
        assert!(columns.iter().all(|column| column.required));
    }

    #[test]
    fn what_must_be_there_is_known() {
        let required = |kind: NounKind| -> Vec<String> {
            let fields = kind.fields().into_iter().filter(|field| field.required);
            fields.map(|field| field.key).collect()
        };
        assert_eq!(required(NounKind::Subnet), ["cidr"]);
        assert_eq!(required(NounKind::Switch), ["vendor"]);
        assert_eq!(required(NounKind::Rack), [""; 0]);
    }
}
