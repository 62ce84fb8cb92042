//! The schemas of the inventory in the OpenAPI document: the site file's own, with what a
//! representation has besides.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::lifecycle::HostStatus;
use crate::model::{Host, Noun, site_schema};

/// Where the OpenAPI document has its schemas.
pub(super) const COMPONENTS: &str = "#/components/schemas/";

/// An entry as it is read: its name, and what the site file says of it.
pub(super) struct Entry<T> {
    value: Value,
    noun: PhantomData<fn() -> T>,
}

impl<T: Noun> Entry<T> {
    pub(super) fn new(name: &str, entry: &T) -> Self {
        Self { value: entry.named(name), noun: PhantomData }
    }

    /// Its fields, its name among them.
    pub(super) fn fields_mut(&mut self) -> Option<&mut Map<String, Value>> {
        self.value.as_object_mut()
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }
}

impl<T> Serialize for Entry<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: Noun + JsonSchema> JsonSchema for Entry<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Entry", capitalised(T::NOUN)).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        entry_schema::<T>(generator, true)
    }
}

/// An entry as it is written: its name may be left out.
pub(super) struct Input<T>(PhantomData<fn() -> T>);

impl<T: Noun + JsonSchema> JsonSchema for Input<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Input", capitalised(T::NOUN)).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        entry_schema::<T>(generator, false)
    }
}

/// A site as it is written: the site file's keys, or those of `GET /site`.
pub(super) struct SiteInputSchema;

impl JsonSchema for SiteInputSchema {
    fn schema_name() -> Cow<'static, str> {
        "SiteInput".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let site = json!({"$ref": format!("{COMPONENTS}Site")});
        object(json!({"anyOf": [site, {
            "type": "object",
            "required": ["site"],
            "additionalProperties": false,
            "properties": {
                "revision": {
                    "type": "integer",
                    "format": "int64",
                    "description": "The revision that the author read: a newer one refuses the change.",
                },
                "site": site,
            },
        }]}))
    }
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
    first.to_ascii_uppercase() + rest
}

fn object(value: Value) -> Schema {
    Schema::try_from(value).unwrap_or_default()
}

/// The definition of a noun in the schema of the site file.
fn definition<T: JsonSchema>() -> &'static Value {
    &site_schema()["$defs"][T::schema_name().as_ref()]
}

/// Whether a noun has NICs and a state.
pub(super) fn is_host<T: Noun>() -> bool {
    T::SECTION == Host::SECTION
}

fn entry_schema<T: Noun + JsonSchema>(generator: &mut SchemaGenerator, is_named: bool) -> Schema {
    let mut schema = definition::<T>().clone();
    let name = json!({"type": "string", "description": format!("The name of the {}.", T::NOUN)});
    let mut properties = Map::from_iter([("name".to_owned(), name)]);
    if let Some(own) = schema["properties"].as_object() {
        properties.extend(own.clone());
    }
    if is_host::<T>() {
        let status = generator.subschema_for::<HostStatus>();
        properties.insert("status".to_owned(), status.to_value());
    }
    schema["properties"] = properties.into();
    if is_named {
        let own = schema["required"].as_array().cloned().unwrap_or_default();
        schema["required"] = [vec!["name".into()], own].concat().into();
    }
    refer(&mut schema);
    object(schema)
}

/// The definitions of the site file's schema and the site itself, as components.
pub(super) fn site_components() -> Map<String, Value> {
    let mut schema = site_schema().clone();
    refer(&mut schema);
    let mut site = schema.as_object().cloned().unwrap_or_default();
    let definitions = site.remove("$defs");
    site.remove("$schema");
    let mut components = definitions.and_then(|all| all.as_object().cloned()).unwrap_or_default();
    components.insert("Site".to_owned(), site.into());
    components
}

/// Makes references to definitions references to components.
fn refer(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "$ref" => {
                        *text = text.replace("#/$defs/", COMPONENTS);
                    }
                    value => refer(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(refer),
        _ => {}
    }
}

/// The type of a top-level value that is a single text, number or boolean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Simple {
    Text,
    Integer,
    Boolean,
}

impl Simple {
    fn of(value: &Value) -> Option<Self> {
        if let Some(reference) = value["$ref"].as_str() {
            return Self::of(&site_schema()["$defs"][reference.strip_prefix("#/$defs/")?]);
        }
        let types: Vec<&str> = match &value["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ if value["oneOf"].is_array() || value["enum"].is_array() => vec!["string"],
            _ => match value["anyOf"].as_array() {
                // An optional value of a type with a name of its own.
                Some(choices) => return choices.iter().find_map(Self::of),
                None => return None,
            },
        };
        match *types.iter().find(|word| **word != "null")? {
            "string" => Some(Self::Text),
            "integer" => Some(Self::Integer),
            "boolean" => Some(Self::Boolean),
            _ => None,
        }
    }
}

/// The keys of a noun that hold one simple value each, in the order of its schema.
pub(super) fn simple_keys<T: JsonSchema>() -> Vec<(&'static str, Simple)> {
    let properties = definition::<T>()["properties"].as_object();
    let keys = properties.into_iter().flatten();
    keys.filter_map(|(key, value)| Some((key.as_str(), Simple::of(value)?))).collect()
}
