//! The site file as a JSON Schema, made of the model itself: for editors, and for the pages that
//! list every key. Pure.

mod fields;
mod reference;
mod values;
mod written;

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Site;
pub use fields::{Field, Input};
pub use reference::{Key, Section, sections};
pub(super) use values::Prefix;

/// The JSON Schema (draft 2020-12) of the site file.
pub fn site_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let settings = SchemaSettings::draft2020_12().for_deserialize();
        let mut schema = settings.into_generator().into_root_schema_for::<Site>().to_value();
        written::loosen(&mut schema);
        schema["title"] = "rackstrap site file".into();
        schema
    });
    &SCHEMA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_says_what_it_is_for() {
        let mut silent = Vec::new();
        for (name, definition) in site_schema()["$defs"].as_object().unwrap() {
            let keys = definition["properties"].as_object().into_iter().flatten();
            let is_silent = |value: &Value| value.get("description").is_none();
            silent.extend(
                keys.filter(|(_, key)| is_silent(key)).map(|(key, _)| format!("{name}.{key}")),
            );
        }
        assert_eq!(silent, Vec::<String>::new());
    }
}
