//! The structure of a filled-in file: its keys, and of which kind each value is. Pure.

use serde_json::Value;

use crate::model::RecipeFormat;
use crate::tree::{self, Refusal};

/// Why a text is not a file of its format.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOfFormat {
    #[error(transparent)]
    Yaml(#[from] Refusal),
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Whether files of this format have a structure that is compared.
pub(super) fn has_shape(format: RecipeFormat) -> bool {
    matches!(format, RecipeFormat::Yaml | RecipeFormat::Toml | RecipeFormat::Json)
}

/// The structure of a file: its document with every value in place of which another one could
/// stand replaced by its kind.
pub(super) fn of(format: RecipeFormat, text: &str) -> Result<Value, NotOfFormat> {
    let document: Value = match format {
        RecipeFormat::Yaml => tree::read(&*tree::parse(text)?)?,
        RecipeFormat::Toml => toml::from_str(text)?,
        _ => serde_json::from_str(text)?,
    };
    Ok(kinds(document))
}

fn kinds(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            Value::Object(entries.into_iter().map(|(key, value)| (key, kinds(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(kinds).collect()),
        Value::String(text) => Value::from(format!("text of {} lines", text.lines().count())),
        Value::Number(_) => Value::from("number"),
        Value::Bool(_) => Value::from("boolean"),
        Value::Null => Value::Null,
    }
}
