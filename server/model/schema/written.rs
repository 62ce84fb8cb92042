//! Profiles as they are written: parts of profiles, with expressions, loops and parameters. Pure.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::model::{Parameter, Profile, ProfileTree};

/// The name of the definition of a value that is computed.
const COMPUTED: &str = "Computed";

/// What an expression, or a text with one in it, looks like.
const COMPUTED_TEXT: &str = "^=|<";

/// The keys that a profile has beside those of what it comes to.
impl JsonSchema for ProfileTree {
    fn schema_name() -> Cow<'static, str> {
        "WrittenProfile".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (parameter, _) =
            (generator.subschema_for::<Parameter>(), generator.subschema_for::<Profile>());
        json_schema!({
            "type": "object",
            "description": "What the network of a kind of host looks like, or a part of it.",
            "properties": {
                "extends": {
                    "type": "string",
                    "description": "The profile that lies below this one: another, or one that `rackstrap profile ready` lists.",
                },
                "parameters": {
                    "type": "object",
                    "additionalProperties": parameter,
                    "description": "What the profile asks of its hosts, by name.",
                },
                "for-each": {
                    "type": "object",
                    "additionalProperties": {"$ref": "#/$defs/Loop"},
                    "description": "Parts of the profile that are repeated, by the name of the number that counts.",
                },
            },
        })
    }
}

/// Makes of the schema of what profiles come to the one of what people write.
pub(super) fn loosen(schema: &mut Value) {
    let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) else { return };
    for name in reachable(definitions, "Profile") {
        if let Some(definition) = definitions.get_mut(&name).and_then(Value::as_object_mut) {
            loosen_definition(definition);
        }
    }
    // A profile that extends another may say a part of one of its parameters.
    if let Some(parameter) = definitions.get_mut("Parameter").and_then(Value::as_object_mut) {
        parameter.remove("required");
    }
    let keys = definitions
        .remove("Profile")
        .and_then(|mut profile| profile.get_mut("properties").map(Value::take));
    let keys = keys.and_then(|keys| keys.as_object().cloned()).unwrap_or_default();
    if let Some(written) = definitions.get_mut("WrittenProfile") {
        let mut own = written["properties"].as_object().cloned().unwrap_or_default();
        own.extend(keys);
        written["properties"] = own.into();
        written["additionalProperties"] = false.into();
    }
    definitions.insert(COMPUTED.into(), computed());
    definitions.insert("Loop".into(), a_loop());
    for definition in definitions.values_mut() {
        refuse_keys_of_profiles(definition);
    }
    refuse_keys_of_profiles(schema);
}

/// A `network` of the site, a rack or a tenant has no key that only a profile has.
fn refuse_keys_of_profiles(definition: &mut Value) {
    let network = definition.pointer_mut("/properties/network").and_then(Value::as_object_mut);
    if let Some(network) = network.filter(|network| network.contains_key("$ref")) {
        network.insert(
            "properties".into(),
            json!({"extends": false, "parameters": false, "for-each": false}),
        );
    }
}

/// The definitions that one leads to, itself included.
fn reachable(definitions: &Map<String, Value>, from: &str) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(name) = open.pop() {
        if let Some(definition) = definitions.get(&name).filter(|_| found.insert(name)) {
            references(definition, &mut open);
        }
    }
    found
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            let name = entries.get("$ref").and_then(Value::as_str);
            found.extend(name.and_then(|name| name.strip_prefix("#/$defs/")).map(str::to_owned));
            entries.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// A mapping may be a part of one, and its values may be computed, or taken away by null.
fn loosen_definition(definition: &mut Map<String, Value>) {
    let Some(keys) = definition.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for key in keys.values_mut() {
        *key = loosened(key.take());
    }
    if let Some(dhcp4) = keys.get("dhcp4").cloned() {
        keys.insert("dhcp".into(), dhcp4);
    }
    definition.remove("required");
}

fn loosened(mut key: Value) -> Value {
    let is_list = key["type"] == "array"
        || key["type"].as_array().is_some_and(|types| types.contains(&"array".into()));
    if is_list && let Some(item) = key.get_mut("items") {
        let one = json!({"anyOf": [item.take(), {"type": "string", "pattern": COMPUTED_TEXT}]});
        *item = json!({"anyOf": [one, {
            "type": "object",
            "required": ["for-each"],
            "additionalProperties": false,
            "properties": {"for-each": {"type": "object", "additionalProperties": item_loop(&one)}},
        }]});
    }
    let description = key.as_object_mut().and_then(|key| key.remove("description"));
    let mut loose = json!({"anyOf": [key, {"$ref": "#/$defs/Computed"}]});
    if let Some(description) = description {
        loose["description"] = description;
    }
    loose
}

fn computed() -> Value {
    json!({
        "description": "An expression, such as =100 + rail; a text with numbers in it, such as rail<rail>; null takes away what a layer below says.",
        "anyOf": [{"type": "string", "pattern": COMPUTED_TEXT}, {"type": "null"}],
    })
}

/// The loop of a list whose items have a schema.
fn item_loop(item: &Value) -> Value {
    let mut looped = a_loop();
    looped["required"] = json!(["item"]);
    looped["properties"]["item"] = item.clone();
    looped
}

fn a_loop() -> Value {
    json!({
        "description": "What is repeated: in a profile a part of it, in a list an item.",
        "type": "object",
        "properties": {
            "count": {"description": "How often: a number, an expression, or true for once.", "type": ["integer", "string", "boolean"]},
            "from": {"description": "What is counted from, 0 where none is given.", "type": ["integer", "string"]},
            "item": {"description": "The item of a list."},
        },
    })
}
